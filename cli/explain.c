/* clip explain: which parts of a picture match a text, as a heat map over the picture. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cli.h"

enum { RAW = CLI_LONG, SIZE, MOST_TEXTS = 1000 };

static const cli_option options[] = {
    {'o', "output", "FILE", "where to write the picture (default: NAME-WORDS.png here); with several texts, an\n"
                            "existing folder"},
    {SIZE, "size", "N", "the longer side of the picture, at most (default: 1024)"},
    {RAW, "raw", "FILE", "also write the maps, cell by cell, as a NumPy array [texts, G, G] of float32"},
    {0},
};

typedef struct job {
    const char *path, *output, *raw;
    int size, K, G;
    cli_list text;         /* [K] */
    cli_session session;
    clip_image picture, small; /* small: the size that is drawn */
    float *map, *cosine;   /* [K, G, G], [K] */
    float *heat;           /* [h, w] of the current text */
    uint8_t *drawn;        /* [h, w, 3] */
    int peak_x, peak_y;    /* in small; -1: no part matches the text */
    cli_json j;
} job;

/* ---- Drawing --------------------------------------------------------------------------------- */

/* Cold parts keep their colour but become paler. Warm parts go through yellow to red. */
static void draw_heat(const job *j)
{
    static const float warm[2][3] = {{255, 225, 40}, {225, 20, 35}};
    for (int y = 0; y < j->small.height; y++)
        for (int x = 0; x < j->small.width; x++) {
            const uint8_t *from = j->small.rgb + (size_t)y * j->small.stride + 3 * (size_t)x;
            const size_t at = (size_t)y * (size_t)j->small.width + (size_t)x;
            const float h = j->heat[at], grey = 0.3f * from[0] + 0.59f * from[1] + 0.11f * from[2],
                        cover = h < 0.5f ? 1.3f * h : 0.65f;
            for (int c = 0; c < 3; c++) {
                const float pale = 0.55f * from[c] + 0.45f * (0.5f * grey + 110),
                            color = warm[0][c] + h * (warm[1][c] - warm[0][c]);
                const float clear = h * from[c] + (1 - h) * pale;
                j->drawn[3 * at + (size_t)c] = (uint8_t)(clear + cover * (color - clear) + 0.5f);
            }
        }
}

/* A ring around the peak: white, with a dark edge. */
static void draw_peak(const job *j)
{
    const int w = j->small.width, h = j->small.height, longer = w > h ? w : h;
    const float radius = longer > 200 ? 0.025f * (float)longer : 5, line = radius / 4;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const float dx = (float)(x - j->peak_x), dy = (float)(y - j->peak_y), r2 = dx * dx + dy * dy;
            const float in = radius - 2 * line, out = radius + 2 * line;
            if (r2 < in * in || r2 > out * out)
                continue;
            const bool edge = r2 < (radius - line) * (radius - line) || r2 > (radius + line) * (radius + line);
            memset(j->drawn + 3 * ((size_t)y * (size_t)w + (size_t)x), edge ? 40 : 255, 3);
        }
}

static int draw(job *j, int text)
{
    const size_t cells = (size_t)j->G * (size_t)j->G;
    const int w = j->small.width, h = j->small.height;
    DO(cli_status(clip_explain_heat(j->session.model, j->map + (size_t)text * cells, w, h, j->heat), j->path));
    j->peak_x = j->peak_y = -1;
    for (int i = 0; i < w * h && j->peak_x < 0; i++)
        if (j->heat[i] >= 1) {
            j->peak_x = i % w;
            j->peak_y = i / w;
        }
    draw_heat(j);
    if (j->peak_x >= 0)
        draw_peak(j);
    return CLI_DONE;
}

/* ---- Files ----------------------------------------------------------------------------------- */

enum { SLUG = 101 };

/* "a cat, asleep" -> "-a-cat-asleep" */
static void slug_of(const char *text, char out[SLUG])
{
    int n = 0;
    out[n++] = '-';
    for (const char *s = text; *s && n < SLUG - 1; s++) {
        const bool plain = isalnum((unsigned char)*s) || (unsigned char)*s >= 0x80;
        if (plain || out[n - 1] != '-')
            out[n++] = plain ? *s : '-';
    }
    while (n > 0 && out[n - 1] == '-')
        n--;
    out[n] = 0;
}

/* "dog.jpg", "a cat, asleep" -> "dog-a-cat-asleep.png", in `folder` if there is one. A text that
 * gives no name, or the name of an earlier text, gets its number as well. */
static void name_file(const job *j, const char *folder, int text, char out[1200])
{
    const char *base = cli_base_name(j->path), *dot = strrchr(base, '.');
    const int stem = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
    char slug[SLUG], other[SLUG], number[16] = "";
    slug_of(j->text.item[text], slug);
    bool taken = slug[0] == 0;
    for (int i = 0; i < text && !taken; i++) {
        slug_of(j->text.item[i], other);
        taken = strcasecmp(slug, other) == 0;
    }
    if (taken)
        snprintf(number, sizeof number, "-%d", text + 1);
    int n = snprintf(out, 1000, "%s%s%.*s", folder ? folder : "", folder ? "/" : "", stem > 200 ? 200 : stem, base);
    n = n > 999 ? 999 : n;
    snprintf(out + n, 1200 - (size_t)n, "%s%s.png", slug, number);
}

static int write_picture(const job *j, const char *path)
{
    const clip_image img = {j->small.width, j->small.height, 3 * (size_t)j->small.width, j->drawn};
    uint8_t *png;
    size_t size;
    cli_out o;
    DO(cli_encode_png(&img, &png, &size));
    int code = cli_out_open(&o, path);
    if (code == CLI_DONE) {
        fwrite(png, 1, size, o.f);
        code = cli_out_close(&o);
    }
    free(png);
    return code;
}

static int write_raw(const job *j)
{
    const long long shape[3] = {j->K, j->G, j->G};
    cli_out o;
    DO(cli_out_open(&o, j->raw));
    cli_npy_header(o.f, shape, 3);
    fwrite(j->map, sizeof *j->map, (size_t)j->K * (size_t)j->G * (size_t)j->G, o.f);
    return cli_out_close(&o);
}

/* ---- Output ---------------------------------------------------------------------------------- */

/* From pixels of the drawing to pixels of the picture. */
static int whole(int small, int from, int to) { return (int)(((double)small + 0.5) * to / from); }

static void print_people(const job *j, int text, const char *file)
{
    printf("%6.3f  ", (double)j->cosine[text]);
    cli_print_plain(stdout, j->text.item[text]);
    if (j->peak_x >= 0)
        printf("  peak at %d,%d", whole(j->peak_x, j->small.width, j->picture.width),
               whole(j->peak_y, j->small.height, j->picture.height));
    else
        printf("  no part matches");
    printf("  -> ");
    cli_print_plain(stdout, file);
    putchar('\n');
}

static void print_json(job *j, int text, const char *file)
{
    const size_t cells = (size_t)j->G * (size_t)j->G;
    cli_json_open(&j->j, NULL, '{');
    cli_json_string(&j->j, "text", j->text.item[text]);
    cli_json_number(&j->j, "cosine", (double)j->cosine[text]);
    if (j->peak_x >= 0) {
        cli_json_open(&j->j, "peak", '[');
        cli_json_int(&j->j, NULL, whole(j->peak_x, j->small.width, j->picture.width));
        cli_json_int(&j->j, NULL, whole(j->peak_y, j->small.height, j->picture.height));
        cli_json_close(&j->j, ']');
    } else {
        cli_json_raw(&j->j, "peak", "null");
    }
    cli_json_open(&j->j, "map", '[');
    for (int y = 0; y < j->G; y++)
        cli_json_floats(&j->j, NULL, j->map + (size_t)text * cells + (size_t)y * (size_t)j->G, j->G);
    cli_json_close(&j->j, ']');
    if (file)
        cli_json_string(&j->j, "file", file);
    cli_json_close(&j->j, '}');
}

static int json_head(job *j)
{
    clip_window w;
    DO(cli_status(clip_seen_window(j->session.model, j->picture.width, j->picture.height, &w), j->path));
    j->j = (cli_json){.f = stdout};
    cli_json_open(&j->j, NULL, '{');
    cli_json_path(&j->j, "path", j->path);
    cli_json_int(&j->j, "width", j->picture.width);
    cli_json_int(&j->j, "height", j->picture.height);
    cli_json_open(&j->j, "seen", '['); /* x, y, width, height */
    const double side[4] = {w.x, w.y, w.width, w.height};
    for (int i = 0; i < 4; i++)
        cli_json_number(&j->j, NULL, side[i]);
    cli_json_close(&j->j, ']');
    cli_json_open(&j->j, "texts", '[');
    return CLI_DONE;
}

/* ---- The command ----------------------------------------------------------------------------- */

static int explain(job *j)
{
    clip_image_options o = j->session.image;
    clip_error err;
    o.pipes = true;
    if (clip_image_read(j->path, &o, &j->picture, &err) < 0)
        return cli_fail("%s", err.message);
    DO(cli_status(cli_thumbnail(&j->picture, j->size, &j->small), j->path));
    const size_t pixels = (size_t)j->small.width * (size_t)j->small.height, cells = (size_t)j->G * (size_t)j->G;
    j->map = malloc((size_t)j->K * cells * sizeof *j->map);
    j->cosine = malloc((size_t)j->K * sizeof *j->cosine);
    j->heat = malloc(pixels * sizeof *j->heat);
    j->drawn = malloc(3 * pixels);
    if (!j->map || !j->cosine || !j->heat || !j->drawn)
        return cli_no_memory();
    return cli_encoded(
        j->session.ctx,
        clip_explain(j->session.ctx, &j->picture, (const char *const *)j->text.item, j->K, j->map, j->cosine), j->path);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int explain_picture(cli_args *a, job *j)
{
    if (a->operands < 2)
        return cli_usage(a, a->operands == 0 ? "no picture is named" : "the text is missing");
    j->path = a->operand[0];
    j->K = a->operands - 1;
    if (j->K > MOST_TEXTS)
        return cli_usage(a, "more than %d texts", MOST_TEXTS);
    const bool folder = is_folder(j->output);
    if (j->K > 1 && j->output && !folder)
        return cli_usage(a, "--output: '%s' is not a folder, but there are several texts", j->output);
    for (int k = 0; k < j->K; k++)
        DO(cli_list_add(&j->text, a->operand[1 + k]));
    DO(cli_open(a, CLIP_TOWER_BOTH, CLIP_TOWER_BOTH, &j->session));
    DO(cli_check_texts(&j->session, &j->text));
    j->G = clip_explain_side(j->session.model);
    DO(explain(j));
    if (a->json)
        DO(json_head(j));
    for (int k = 0; k < j->K; k++) {
        char name[1200];
        const char *file = name;
        if (j->output && !folder)
            file = j->output;
        else if (a->json && !j->output)
            file = NULL; /* with --json, pictures are written only if asked for */
        else
            name_file(j, j->output, k, name);
        DO(draw(j, k));
        if (file)
            DO(write_picture(j, file));
        if (a->json)
            print_json(j, k, file);
        else
            print_people(j, k, file);
    }
    if (a->json) {
        cli_json_close(&j->j, ']');
        cli_json_close(&j->j, '}');
        cli_json_line(&j->j);
    }
    cli_out out;
    DO(cli_out_open(&out, NULL));
    DO(cli_out_check(&out));
    return j->raw ? write_raw(j) : CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    j->size = 1024;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case 'o':
            j->output = a->value;
            DO(cli_not_stdout(a, a->name, a->value));
            break;
        case SIZE: DO(cli_number(a, 16, 16384, &j->size)); break;
        case RAW:
            j->raw = a->value;
            DO(cli_not_stdout(a, a->name, a->value));
            break;
        default: return a->code;
        }
    return explain_picture(a, j);
}

static int run(cli_args *a)
{
    job j = {0};
    int code = parse(a, &j);
    free(j.map);
    free(j.cosine);
    free(j.heat);
    free(j.drawn);
    free(j.small.rgb);
    clip_image_free(&j.picture);
    cli_list_free(&j.text);
    cli_close(&j.session);
    return code;
}

const cli_command cli_explain = {
    .name = "explain",
    .operands = "PICTURE TEXT... [OPTIONS]",
    .summary = "which parts of a picture match a text",
    .help =
        "Draws a heat map over PICTURE for each TEXT: red where the picture matches the words most, with a\n"
        "ring at the peak. It shows what the model looked at, even if the words are wrong, so look at the\n"
        "cosine as well.\n"
        "\n"
        "The map is as fine as a patch of a ViT, or a sixteenth of a side (ResNet). With --json, the cells,\n"
        "the peak (x, y) and the part of the picture that the model sees (x, y, width, height) are printed,\n"
        "and pictures are written only with --output.",
    .examples = "clip explain street.jpg 'a red car'\n"
                "clip explain pets.jpg 'a dog' 'a cat' -o heats/\n"
                "clip explain pets.jpg 'a dog' --json --raw dog.npy",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
