/* probe.c: the image room as a filter, for tools/parity_images.py. Commands on standard input, one
 * on each line:
 *
 *     decode BACKGROUND MAX_PIXELS PATH
 *         -> "WIDTH HEIGHT\n" RGB, or "-STATUS MESSAGE\n"
 *     resize SET FILTER W H w h (then W*H*3 bytes)
 *         -> RGB of w x h
 *     preprocess S MODE FILTER FLAVOUR FILL W H m m m s s s (then W*H*3 bytes)
 *         -> 3*S*S floats
 *     time resize SET FILTER W H w h N            -> median milliseconds of N
 *     time decode N PATH                          -> median milliseconds of N
 *     time preprocess S MODE FILTER W H N         -> median milliseconds of N */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/order.h"
#include "image/resize.h"
#include "pictures.h"

static clip_image read_pixels(int w, int h)
{
    clip_image p = {.width = w, .height = h, .stride = 3 * (size_t)w, .rgb = malloc(3 * (size_t)w * (size_t)h)};
    if (!p.rgb || fread(p.rgb, p.stride, (size_t)h, stdin) != (size_t)h)
        exit(3);
    return p;
}

static const clipimg_passes *passes_named(const char *name)
{
    return strcmp(name, "generic") == 0 ? &clipimg_passes_generic : clipimg_best_passes();
}

static void check(clip_status s)
{
    if (s < 0) {
        fprintf(stderr, "probe: %s\n", clipb_status_name(s));
        exit(4);
    }
}

static void print_median(double *ms, int n)
{
    qsort(ms, (size_t)n, sizeof *ms, clipb_order_f64);
    printf("%.4f\n", ms[n / 2]);
}

static void resize_to(const char *set, int filter, const clip_image *in, clip_image *out)
{
    out->stride = 3 * (size_t)out->width;
    out->rgb = malloc(out->stride * (size_t)out->height);
    if (!out->rgb)
        exit(3);
    check(clipimg_resize_window(passes_named(set), in, out->width, out->height, filter, 0, 0, out));
}

static void time_command(const char *line)
{
    char set[16], path[4096];
    int filter, mode, S, W, H, w, h, n;
    double ms[1000];
    if (sscanf(line, "resize %15s %d %d %d %d %d %d", set, &filter, &W, &H, &w, &h, &n) == 7) {
        clip_image in = noise_picture(W, H, 1, 0);
        for (int i = 0; i < n; i++) {
            clip_image out = {.width = w, .height = h};
            double t = 1e3 * clipb_now();
            resize_to(set, filter, &in, &out);
            ms[i] = 1e3 * clipb_now() - t;
            clipimg_free(&out);
        }
        clipimg_free(&in);
    } else if (sscanf(line, "preprocess %d %d %d %d %d %d", &S, &mode, &filter, &W, &H, &n) == 6) {
        clipimg_recipe r = {
            .size = S, .mode = mode, .filter = filter, .mean = {.5f, .5f, .5f}, .std = {.25f, .25f, .25f}};
        clip_image in = noise_picture(W, H, 1, 0);
        float *out = malloc(3 * sizeof(float) * (size_t)S * (size_t)S);
        for (int i = 0; i < n; i++) {
            double t = 1e3 * clipb_now();
            check(clipimg_preprocess(&r, &in, out));
            ms[i] = 1e3 * clipb_now() - t;
        }
        free(out);
        clipimg_free(&in);
    } else if (sscanf(line, "decode %d %4095[^\n]", &n, path) == 2) {
        unsigned char *data;
        size_t size;
        check(clipb_read_file(path, 1u << 30, &data, &size, NULL));
        for (int i = 0; i < n; i++) {
            clip_image out;
            double t = 1e3 * clipb_now();
            check(clipimg_decode(data, size, path, NULL, NULL, &out, NULL));
            ms[i] = 1e3 * clipb_now() - t;
            clipimg_free(&out);
        }
        free(data);
    } else
        exit(2);
    print_median(ms, n);
}

static void decode_command(const char *line)
{
    char path[4096];
    clip_image_options o = clipimg_options_default();
    long long most;
    if (sscanf(line, "%d %lld %4095[^\n]", &o.background, &most, path) != 3)
        exit(2);
    o.max_pixels = most;
    clip_image out;
    clip_error err = {0};
    clip_status s = clipimg_read(path, &o, &out, &err);
    if (s < 0)
        printf("%d %s\n", s, err.message);
    else {
        printf("%d %d\n", out.width, out.height);
        for (int y = 0; y < out.height; y++)
            fwrite(out.rgb + (size_t)y * out.stride, 3, (size_t)out.width, stdout);
    }
    clipimg_free(&out);
}

static void preprocess_command(const char *line)
{
    clipimg_recipe r = {0};
    int mode, filter, flavour, fill, W, H;
    float *m = r.mean, *s = r.std;
    if (sscanf(line, "%d %d %d %d %d %d %d %f %f %f %f %f %f", &r.size, &mode, &filter, &flavour, &fill, &W, &H, m,
               m + 1, m + 2, s, s + 1, s + 2) != 13)
        exit(2);
    r.mode = mode;
    r.filter = filter;
    r.flavour = flavour;
    memset(r.fill_color, fill, 3);
    clip_image in = read_pixels(W, H);
    size_t n = 3 * (size_t)r.size * (size_t)r.size;
    float *out = malloc(n * sizeof *out);
    check(clipimg_preprocess(&r, &in, out));
    fwrite(out, sizeof *out, n, stdout);
    free(out);
    clipimg_free(&in);
}

static void resize_command(const char *line)
{
    char set[16];
    int filter, W, H;
    clip_image out = {0};
    if (sscanf(line, "%15s %d %d %d %d %d", set, &filter, &W, &H, &out.width, &out.height) != 6)
        exit(2);
    clip_image in = read_pixels(W, H);
    resize_to(set, filter, &in, &out);
    fwrite(out.rgb, out.stride, (size_t)out.height, stdout);
    clipimg_free(&in);
    clipimg_free(&out);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(const char *line);
    } commands[] = {
        {"decode ", decode_command},
        {"resize ", resize_command},
        {"preprocess ", preprocess_command},
        {"time ", time_command},
    };
    char line[8192];
    while (fgets(line, sizeof line, stdin)) {
        size_t i = 0;
        while (i < 4 && strncmp(line, commands[i].name, strlen(commands[i].name)) != 0)
            i++;
        if (i == 4)
            return 2;
        commands[i].run(line + strlen(commands[i].name));
        fflush(stdout);
    }
    return 0;
}
