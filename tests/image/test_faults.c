/* test_faults.c: pictures that are truncated at every length, have flipped bits, or claim an
 * enormous size; and memory that runs out. The result is an error that names the picture, or a
 * whole picture. There is no crash, and no library writes to standard error. */
#include "failing_alloc.h"
#include "golden.h"
#include "image/decode.h"
#include "image/resize.h"
#include "pictures.h"

#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

const char *golden_dir;

/* librsvg leaks the text of each declared entity. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libxml2.so\n"; }

/* Decoders of HEIC and AVIF start threads, which takes milliseconds, and drawings and raw files are
 * large: only some of the cuts are tried. */
static bool is_slow(const char *name)
{
    static const char *const slow[] = {".heic", ".avif", ".jxl", ".svg", "preview.", ".dng"};
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
        if (strstr(name, slow[i]))
            return true;
    return false;
}

/* Standard error is a file while a picture is decoded, and must stay empty. Not under a sanitizer,
 * whose report would be lost, and not for AVIF and JPEG XL: dav1d and libjxl cannot be silenced. */
static FILE *words;

static clip_status decode_silently(const void *data, size_t size, const char *name, const clip_image_options *o,
                                   clip_image *img, clip_error *err)
{
#ifdef SANITIZED
    return clipimg_decode(data, size, name, o, NULL, img, err);
#else
    const off_t before = lseek(fileno(words), 0, SEEK_CUR);
    int kept = dup(STDERR_FILENO);
    dup2(fileno(words), STDERR_FILENO);
    clip_status s = clipimg_decode(data, size, name, o, NULL, img, err);
    dup2(kept, STDERR_FILENO);
    close(kept);
    if (strstr(name, ".avif") || strstr(name, ".jxl")) {
        assert_int_equal(ftruncate(fileno(words), before), 0);
        lseek(fileno(words), before, SEEK_SET);
    }
    return s;
#endif
}

static void assert_silence(void)
{
    char said[200] = "";
    fseek(words, 0, SEEK_SET);
    said[fread(said, 1, sizeof said - 1, words)] = 0;
    fclose(words);
    if (said[0])
        fail_msg("a library said on standard error: %s", said);
}

/* Decodes a copy that ends at the end of a heap block. */
static clip_status decode(const unsigned char *data, size_t size, const golden_row *r, bool whole)
{
    clip_image img;
    clip_error err = {0};
    unsigned char *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    clip_image_options o = {.max_pixels = 1 << 20, .background = size % 2 ? 0x102030 : -1};
    clip_status s = decode_silently(copy, size, r->name, &o, &img, &err);
    free(copy);
    if (s < 0) {
        assert_null(img.rgb);
        assert_int_equal(err.code, s);
        assert_memory_equal(err.message, r->name, strlen(r->name));
        assert_true(strlen(err.message) > strlen(r->name) + 4);
    } else {
        assert_true(img.width > 0 && img.height > 0 && img.stride >= 3 * (size_t)img.width);
        /* the orientation lies behind the pixels */
        bool lost = strstr(r->name, "exif_last") || strstr(r->name, "many_texts");
        if (whole && !(lost && img.width == r->height && img.height == r->width))
            if (img.width != r->width || img.height != r->height)
                fail_msg("%s: %zu bytes: %d x %d", r->name, size, img.width, img.height);
        volatile uint64_t read_all = picture_hash(&img); /* for the sanitizers */
        (void)read_all;
    }
    clipimg_free(&img);
    return s;
}

static void for_each_file(void (*check)(const unsigned char *data, size_t size, const golden_row *r))
{
    static const golden_row more[] = {{.name = "rgb.avif", .width = 48, .height = 36},
                                      {.name = "rgb.heic", .width = 48, .height = 36}};
    FILE *f = golden_table("decode.tsv");
    golden_row r;
    size_t n = 0;
    while (golden_next(f, &r) || (n < 2 && (r = more[n++], true))) {
        if (!golden_readable(r.name))
            continue;
        size_t size;
        unsigned char *data = golden_file(r.name, &size);
        check(data, size, &r);
        free(data);
    }
    fclose(f);
}

static void check_cuts(const unsigned char *data, size_t size, const golden_row *r)
{
    for (size_t n = 0; n < size; n += is_slow(r->name) ? 37 : 1) {
        clip_status s = decode(data, n, r, true);
        /* the first frame may lie in the first half, and libtiff needs no tags that lie behind the
         * pixels */
        bool enough = strstr(r->name, "animated") || strstr(r->name, ".tif");
        if (n < size / 2 && !enough && s == CLIP_OK)
            fail_msg("%s: %zu of %zu bytes were enough", r->name, n, size);
    }
}

static void check_flips(const unsigned char *data, size_t size, const golden_row *r)
{
    unsigned char *copy = malloc(size);
    for (uint32_t i = 0; i < (is_slow(r->name) ? 60u : 400u); i++) {
        memcpy(copy, data, size);
        for (uint32_t k = 0; k <= i % 4; k++) {
            uint32_t at = (uint32_t)noise_byte(i, 3 * k, 0) << 8 | noise_byte(i, 3 * k + 1, 0);
            copy[i % 2 ? at % size : at % (size < 64 ? size : 64)] ^=
                (unsigned char)(1u << noise_byte(i, 3 * k + 2, 0) % 8);
        }
        decode(copy, size, r, false);
    }
    free(copy);
}

static void check_memory(const unsigned char *data, size_t size, const golden_row *r)
{
    for (long n = 1;; n++) {
        clip_image img;
        clip_error err = {0};
        clip_image_options o = {.max_pixels = 1 << 20, .background = GOLDEN_BACKGROUND};
        fail_alloc_at(n);
        clip_status s = clipimg_decode(data, size, r->name, &o, NULL, &img, &err);
        bool failed = fail_alloc_stop();
        if (failed) {
            assert_int_equal(s, CLIP_ENOMEM);
            assert_null(img.rgb);
            continue;
        }
        assert_int_equal(s, CLIP_OK);
        clipimg_free(&img);
        assert_true(n > 1);
        return;
    }
}

static void every_cut_is_an_error_or_harmless(void **state)
{
    (void)state;
    words = tmpfile();
    assert_non_null(words);
    for_each_file(check_cuts);
    assert_silence();
}

static void no_flipped_bit_harms(void **state)
{
    (void)state;
    words = tmpfile();
    assert_non_null(words);
    for_each_file(check_flips);
    assert_silence();
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    for_each_file(check_memory);
}

static void resizing_survives_failing_allocations(void **state)
{
    (void)state;
    static float pixels[3 * 16 * 16];
    static const int shapes[][2] = {{40, 30}, {8, 90}, {16, 40}, {40, 16}, {16, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        clip_image in = noise_picture(shapes[i][0], shapes[i][1], 1, 0), out;
        clipimg_recipe r = {.size = 16, .mode = CLIPIMG_SQUASH, .filter = CLIPIMG_BICUBIC, .std = {1, 1, 1}};
        clip_status s = CLIP_ENOMEM;
        for (long n = 1; s != CLIP_OK; n++) {
            fail_alloc_at(n);
            s = clipimg_resize(&in, 16, 16, CLIPIMG_BICUBIC, &out);
            assert_int_equal(s, fail_alloc_stop() ? CLIP_ENOMEM : CLIP_OK);
        }
        clipimg_free(&out);
        s = CLIP_ENOMEM;
        for (long n = 1; s != CLIP_OK; n++) {
            fail_alloc_at(n);
            s = clipimg_preprocess(&r, &in, pixels);
            assert_int_equal(s, fail_alloc_stop() ? CLIP_ENOMEM : CLIP_OK);
        }
        clipimg_free(&in);
    }
    clip_image turned = noise_picture(5, 4, 1, 0);
    fail_alloc_at(1);
    assert_int_equal(clipimg_turn(&turned, 6), CLIP_ENOMEM);
    assert_true(fail_alloc_stop());
    assert_int_equal(turned.width, 5);
    clipimg_free(&turned);
}

/* ---- Enormous pictures ---- */

static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t c = 0xFFFFFFFF;
    for (; n-- > 0; p++) {
        c ^= *p;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xEDB88320 : 0);
    }
    return ~c;
}

static void put_big(unsigned char *p, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
}

static void put_little(unsigned char *p, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static unsigned char *find(unsigned char *data, size_t size, const char *what, size_t n)
{
    unsigned char *p = memmem(data, size, what, n);
    assert_non_null(p);
    return p;
}

/* Refused by the header: an allocation before that would have failed. */
static void refuse(unsigned char *data, size_t size, const char *name, long long max_pixels, clip_status want)
{
    clip_image img;
    clip_error err = {0};
    clip_image_options o = {.max_pixels = max_pixels, .background = -1};
    fail_alloc_at(1);
    clip_status s = clipimg_decode(data, size, name, &o, NULL, &img, &err);
    fail_alloc_stop();
    if (s != want)
        fail_msg("%s: %s (%s)", name, clipb_status_name(s), err.message);
    assert_null(img.rgb);
    free(data);
}

static void one_pixel_too_many_is_refused(void **state)
{
    (void)state;
    FILE *f = golden_table("decode.tsv");
    golden_row r;
    while (golden_next(f, &r)) {
        /* a drawing is scaled down as far as needed */
        if (!golden_readable(r.name) || r.width * r.height < 2 || strstr(r.name, ".svg"))
            continue;
        size_t size;
        unsigned char *data = golden_file(r.name, &size);
        refuse(data, size, r.name, r.width * r.height - 1, CLIP_ELIMIT);
    }
    fclose(f);
}

static void enormous_pictures_are_refused(void **state)
{
    (void)state;
    const long long usual = clipimg_options_default().max_pixels;
    size_t n;
    unsigned char *d = golden_file("rgb8.png", &n);
    put_big(d + 16, 0x7FFFFFFF, 4);
    put_big(d + 20, 0x7FFFFFFF, 4);
    put_big(d + 29, crc32_of(d + 12, 17), 4);
    refuse(d, n, "rgb8.png", usual, CLIP_ELIMIT);

    d = golden_file("rgb420.jpg", &n);
    unsigned char *sof = find(d, n, "\xff\xc0", 2);
    put_big(sof + 5, 65500, 2);
    put_big(sof + 7, 65500, 2);
    refuse(d, n, "rgb420.jpg", usual, CLIP_ELIMIT);

    d = golden_file("rgb24.bmp", &n);
    put_little(d + 18, 0x7FFFFFFF, 4);
    put_little(d + 22, 0x80000001, 4);
    refuse(d, n, "rgb24.bmp", usual, CLIP_ELIMIT);

    d = (unsigned char *)strdup("P6 4294967295 4294967295 255\nabc");
    refuse(d, 32, "huge.ppm", usual, CLIP_ELIMIT);
    d = (unsigned char *)strdup("P5 99999999999 1 255\nabc");
    refuse(d, 24, "huge.pgm", usual, CLIP_EFORMAT);
    d = (unsigned char *)strdup("P5 0 1 255\nabc");
    refuse(d, 14, "none.pgm", usual, CLIP_EFORMAT);

    if (golden_readable("x.gif")) {
        d = golden_file("plain.gif", &n);
        put_little(d + 6, 65535, 2);
        put_little(d + 8, 65535, 2);
        refuse(d, n, "plain.gif", usual, CLIP_ELIMIT);
    }
    if (golden_readable("x.webp")) {
        d = golden_file("animated.webp", &n);
        put_little(d + 24, 0xFFFF, 3);
        put_little(d + 27, 0xFFFE, 3);
        refuse(d, n, "animated.webp", usual, CLIP_ELIMIT);
    }
    if (golden_readable("x.tif")) {
        d = golden_file("white8.tif", &n); /* big end first, one strip */
        put_big(find(d, n, "\x01\x00\x00\x03\x00\x00\x00\x01", 8) + 8, 65535, 2);
        put_big(find(d, n, "\x01\x01\x00\x03\x00\x00\x00\x01", 8) + 8, 65535, 2);
        put_big(find(d, n, "\x01\x16\x00\x03\x00\x00\x00\x01", 8) + 8, 65535, 2);
        refuse(d, n, "white8.tif", usual, CLIP_ELIMIT);
    }
}

static void read_drawing(const char *text, long long max_pixels, clip_status want, int width, int height)
{
    clip_image img;
    clip_error err = {0};
    clip_image_options o = {.max_pixels = max_pixels, .background = 0xFFFFFF};
    clip_status s = clipimg_decode(text, strlen(text), "drawing.svg", &o, NULL, &img, &err);
    if (s != want)
        fail_msg("%s: %s (%s)", text, clipb_status_name(s), err.message);
    if (s == CLIP_OK && (img.width != width || img.height != height))
        fail_msg("%s: %d x %d, not %d x %d", text, img.width, img.height, width, height);
    clipimg_free(&img);
}

static void drawings_have_a_bounded_size(void **state)
{
    (void)state;
    if (!golden_readable("x.svg"))
        skip();
#define SVG "<svg xmlns=\"http://www.w3.org/2000/svg\""
    const long long usual = clipimg_options_default().max_pixels;
    read_drawing(SVG " width=\"700\" height=\"600\"/>", usual, CLIP_OK, 700, 600);
    read_drawing(SVG " width=\"16\" height=\"24\"/>", usual, CLIP_OK, 512, 768);
    read_drawing(SVG " width=\"16\" height=\"24\"/>", 600, CLIP_OK, 20, 30);
    read_drawing(SVG " width=\"1e9\" height=\"1e9\"/>", usual, CLIP_OK, 4096, 4096);
    read_drawing(SVG " width=\"1\" height=\"1e6\"/>", usual, CLIP_OK, 1, 32767);
    read_drawing(SVG " width=\"1in\" height=\"2in\"/>", usual, CLIP_OK, 512, 1024);
    read_drawing(SVG " viewBox=\"0 0 30 10\"/>", usual, CLIP_OK, 1536, 512);
    read_drawing(SVG "><rect width=\"10\" height=\"20\"/></svg>", usual, CLIP_OK, 512, 1024);
    read_drawing(SVG " width=\"0\" height=\"10\"/>", usual, CLIP_EFORMAT, 0, 0);
    read_drawing(SVG " width=\"-5\" height=\"10\"/>", usual, CLIP_EFORMAT, 0, 0);
    read_drawing(SVG " width=\"10\" height=\"10\"><rect></svg>", usual, CLIP_EFORMAT, 0, 0);
    read_drawing("<!DOCTYPE svg [<!ENTITY a \"aaaaaaaaaaaaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
                 "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">"
                 "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\"><!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">]>" SVG
                 " width=\"10\" height=\"10\"><text>&f;&f;&f;&f;&f;&f;&f;&f;</text></svg>",
                 usual, CLIP_EFORMAT, 0, 0);
}

/* A raw file without its pictures. */
static void raw_files_without_previews_are_refused(void **state)
{
    (void)state;
    clip_image img;
    clip_error err = {0};
    size_t n;
    unsigned char *d = golden_file("preview.nef", &n);
    assert_int_equal(find(d, n, "\xff\xd8\xff", 3)[0], 0xFF);
    unsigned char *sof = find(d, n, "\xff\xc0", 2); /* the large picture's: only the thumbnail is left */
    sof[1] = 0xC3;
    assert_true(clipimg_decode(d, n, "thumbnail.nef", NULL, NULL, &img, &err) < 0);
    assert_non_null(strstr(err.message, "thumbnail.nef: RAW: the largest preview in it has only 160 x 120 pixels; "));
    sof = find(sof, n - (size_t)(sof - d), "\xff\xc0", 2);
    sof[1] = 0xC3;
    assert_true(clipimg_decode(d, n, "nothing.nef", NULL, NULL, &img, &err) < 0);
    assert_non_null(strstr(err.message, "nothing.nef: RAW: no preview in it; "));
    free(d);
}

/* A progressive picture whose last scan is repeated 600 times: little to read, much to do. */
static void too_many_scans_are_refused(void **state)
{
    (void)state;
    size_t n, scan = 0;
    unsigned char *d = golden_file("progressive.jpg", &n);
    for (size_t i = 0; i + 1 < n; i++)
        if (d[i] == 0xFF && d[i + 1] == 0xDA)
            scan = i;
    size_t bytes = n - 2 - scan, total = n + 600 * bytes;
    unsigned char *many = malloc(total);
    memcpy(many, d, n - 2);
    for (size_t i = 0; i < 600; i++)
        memcpy(many + n - 2 + i * bytes, d + scan, bytes);
    memcpy(many + total - 2, "\xff\xd9", 2);
    clip_image img;
    clip_error err = {0};
    assert_int_equal(clipimg_decode(many, total, "many.jpg", NULL, NULL, &img, &err), CLIP_ELIMIT);
    assert_string_equal(err.message, "many.jpg: JPEG: 501 scans over 1073 pixels are too many");
    free(many);
    free(d);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_pixel_too_many_is_refused),
        cmocka_unit_test(enormous_pictures_are_refused),
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(resizing_survives_failing_allocations),
        cmocka_unit_test(every_cut_is_an_error_or_harmless),
        cmocka_unit_test(no_flipped_bit_harms),
        cmocka_unit_test(too_many_scans_are_refused),
        cmocka_unit_test(drawings_have_a_bounded_size),
        cmocka_unit_test(raw_files_without_previews_are_refused),
    };
    golden_dir = argc > 1 ? argv[1] : "golden";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
