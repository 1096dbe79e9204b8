/* test_decode.c: every kind of picture, against Pillow or against the picture that was encoded. */
#include <math.h>

#include "base/color.h"
#include "golden.h"
#include "image/decode.h"
#include "pictures.h"

const char *golden_dir;

static void check_row(const golden_row *r, int background, unsigned long long hash)
{
    char path[4096];
    clip_image img;
    clip_error err = {0};
    clip_image_options o = clipimg_options_default();
    o.background = background;
    golden_path(path, sizeof path, r->name);
    clip_status s = clipimg_read(path, &o, &img, &err);
    if (!golden_readable(r->name)) {
        assert_int_equal(s, CLIP_EUNSUPPORTED);
        return;
    }
    if (s < 0)
        fail_msg("%s", err.message);
    if (img.width != r->width || img.height != r->height || picture_hash(&img) != hash)
        fail_msg("%s: %d x %d pixels, hash %llx; expected %d x %d, %llx (background %d)", r->name, img.width,
                 img.height, (unsigned long long)picture_hash(&img), r->width, r->height, hash, background);
    clipimg_free(&img);
}

static void pictures_equal_pillows(void **state)
{
    (void)state;
    FILE *f = golden_table("decode.tsv");
    golden_row r;
    int n = 0;
    for (; golden_next(f, &r); n++) {
        check_row(&r, -1, r.hash);
        check_row(&r, GOLDEN_BACKGROUND, r.hash_flat);
    }
    fclose(f);
    assert_true(n > 100);
}

/* AVIF and HEIC lose something in coding, and libraries convert colors differently. */
static void check_near(const char *name, double bound)
{
    char path[4096], want_name[64], want_path[4096];
    clip_image got, want;
    clip_error err = {0};
    snprintf(want_name, sizeof want_name, "%s.ppm", name);
    golden_path(path, sizeof path, name);
    golden_path(want_path, sizeof want_path, want_name);
    clip_status s = clipimg_read(path, NULL, &got, &err);
    if (!golden_readable(name)) {
        assert_int_equal(s, CLIP_EUNSUPPORTED);
        return;
    }
    if (s < 0)
        fail_msg("%s", err.message);
    assert_int_equal(clipimg_read(want_path, NULL, &want, &err), CLIP_OK);
    assert_int_equal(got.width, want.width);
    assert_int_equal(got.height, want.height);
    double sum = 0;
    size_t n = got.stride * (size_t)got.height;
    for (size_t i = 0; i < n; i++)
        sum += abs(got.rgb[i] - want.rgb[i]);
    if (sum / (double)n > bound)
        fail_msg("%s: differs by %.2f levels in the mean", name, sum / (double)n);
    clipimg_free(&got);
    clipimg_free(&want);
}

static void lossy_pictures_are_near(void **state)
{
    (void)state;
    check_near("rgb.avif", 6);
    check_near("rgba.avif", 6);
    check_near("rgb.heic", 6);
    check_near("turned6.jxl", 6);
    check_near("sensor.dng", 12); /* LibRaw brightens it */
}

/* Alpha of one half over blue, through a lossy codec. */
static void alpha_of_avif_is_laid_on_the_background(void **state)
{
    (void)state;
    if (!golden_readable("rgba.avif"))
        skip();
    char path[4096];
    golden_path(path, sizeof path, "rgba.avif");
    clip_image bare, flat;
    clip_image_options o = clipimg_options_default();
    assert_int_equal(clipimg_read(path, &o, &bare, NULL), CLIP_OK);
    o.background = 0x0000FF;
    assert_int_equal(clipimg_read(path, &o, &flat, NULL), CLIP_OK);
    const uint8_t blue[3] = {0, 0, 255};
    for (size_t i = 0; i < flat.stride * (size_t)flat.height; i++)
        assert_true(abs(flat.rgb[i] - (bare.rgb[i] + blue[i % 3]) / 2) <= 3);
    clipimg_free(&bare);
    clipimg_free(&flat);
}

static void the_content_counts_not_the_name(void **state)
{
    (void)state;
    clip_image img;
    clip_error err = {0};
    size_t size;
    unsigned char *data = golden_file("rgb8.png", &size);
    assert_int_equal(clipimg_decode(data, size, "holiday.jpg", NULL, NULL, &img, &err), CLIP_OK);
    clipimg_free(&img);
    free(data);

    assert_int_equal(clipimg_decode("GIF is what I like", 18, "words.gif", NULL, NULL, &img, &err), CLIP_EFORMAT);
    assert_string_equal(err.message, "words.gif: not a picture of a known format");
    assert_null(img.rgb);
    assert_int_equal(clipimg_decode(NULL, 0, NULL, NULL, NULL, &img, &err), CLIP_EFORMAT);
    assert_string_equal(err.message, "picture: is empty");
    assert_int_equal(clipimg_decode("%PDF-1.7 and so on", 18, "a.png", NULL, NULL, &img, &err), CLIP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "a.png: this is PDF"));
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    clip_image img;
    clip_error err = {0};
    assert_int_equal(clipimg_read("/nowhere/at/all.png", NULL, &img, &err), CLIP_EIO);
    assert_non_null(strstr(err.message, "/nowhere/at/all.png"));
    assert_int_equal(clipimg_read(golden_dir, NULL, &img, &err), CLIP_EIO);
    assert_null(img.rgb);
    clipimg_free(&img);
    clipimg_free(NULL);
}

/* Row and column 0 in every orientation, in a picture larger than a tile. */
static void every_orientation_becomes_upright(void **state)
{
    (void)state;
    enum { W = 71, H = 40 };
    for (int o = 1; o <= 8; o++) {
        clip_image img = noise_picture(W, H, 3, 0), from = noise_picture(W, H, 3, 0);
        assert_int_equal(clipimg_turn(&img, o), CLIP_OK);
        assert_int_equal(img.width, o >= 5 ? H : W);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                int row = o == 1 || o == 2 ? y : o == 3 || o == 4 ? H - 1 - y : o == 5 || o == 6 ? x : W - 1 - x;
                int col = o == 1 || o == 4 ? x : o == 2 || o == 3 ? W - 1 - x : o == 5 || o == 8 ? y : H - 1 - y;
                const uint8_t *a = img.rgb + (size_t)row * img.stride, *b = from.rgb + (size_t)y * from.stride;
                assert_memory_equal(a + 3 * (size_t)col, b + 3 * (size_t)x, 3);
            }
        clipimg_free(&img);
        clipimg_free(&from);
    }
}

static void exif_orientations_are_read(void **state)
{
    (void)state;
    unsigned char little[] = "Exif\0\0II*\0\x08\0\0\0\x02\0"
                             "\x0f\x01\x02\0\x01\0\0\0A\0\0\0"
                             "\x12\x01\x03\0\x01\0\0\0\x06\0\0";
    size_t n = sizeof little;
    assert_int_equal(clipimg_exif_orientation(little, n), 6);
    assert_int_equal(clipimg_exif_orientation(little + 6, n - 6), 6);
    for (size_t cut = 0; cut < n; cut++) { /* on the heap, so that ASan sees the end */
        unsigned char *copy = malloc(cut ? cut : 1);
        memcpy(copy, little, cut);
        assert_int_equal(clipimg_exif_orientation(copy, cut), 0);
        free(copy);
    }
    little[10] = 0xF0; /* a directory beyond the end */
    little[13] = 0xFF;
    assert_int_equal(clipimg_exif_orientation(little, n), 0);
    static const unsigned char big[] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x03";
    assert_int_equal(clipimg_exif_orientation(big, 22), 3);
    assert_int_equal(clipimg_xmp_orientation("<tiff:Orientation>8<", 20), 8);
    assert_int_equal(clipimg_xmp_orientation("tiff:Orientation tiff:Orientation=\"3\"", 37), 3);
    assert_int_equal(clipimg_xmp_orientation("tiff:Orientation=\"", 18), 0);
    assert_int_equal(clipimg_xmp_orientation("tiff:Orientation", 16), 0);
}

/* Two directories. The second has the date, with an offset from UTC. */
static const unsigned char exif_taken[] =
    "II*\0\x08\0\0\0\x01\0"
    "\x69\x87\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0"                                             /* at 26: */
    "\x02\0\x03\x90\x02\0\x14\0\0\0\x38\0\0\0\x11\x90\x02\0\x07\0\0\0\x4c\0\0\0\0\0\0\0" /* 36867, 36881 */
    "2023:05:17 14:03:21\0+02:00";

static void dates_are_read(void **state)
{
    (void)state;
    unsigned char exif[sizeof exif_taken];
    memcpy(exif, exif_taken, sizeof exif);
    assert_int_equal(sizeof exif, 26 + 30 + 20 + 7);
    assert_int_equal(clipimg_exif_taken(exif, sizeof exif), 1684325001);
    for (size_t cut = 0; cut < sizeof exif; cut++) { /* without the offset the time zone is this machine's */
        unsigned char *copy = malloc(cut ? cut : 1);
        memcpy(copy, exif, cut);
        const int64_t t = clipimg_exif_taken(copy, cut);
        assert_true(cut < 26 + 30 + 20 ? t == 0 : t > 1684325001 - 86400 && t < 1684325001 + 86400);
        free(copy);
    }
    memcpy(exif + 56, "0000:00:00", 10); /* a clock that was never set */
    assert_int_equal(clipimg_exif_taken(exif, sizeof exif), 0);
}

/* A box of ISO base media: its length, its name, its contents. */
static unsigned char *put_box(unsigned char *to, const char *name, const char *head, size_t n_head, const void *data,
                              size_t n)
{
    const size_t size = 8 + n_head + n;
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(size >> (24 - 8 * i));
    memcpy(to + 4, name, 4);
    memcpy(to + 8, head, n_head);
    memcpy(to + 8 + n_head, data, n);
    return to + size;
}

static void check_facts(const char *name, const unsigned char *data, size_t size, int enough, int64_t taken, int width,
                        int height)
{
    clip_image img;
    clipimg_facts facts;
    clip_error err = {0};
    clip_image_options o = clipimg_options_default();
    o.enough = enough;
    if (clipimg_decode(data, size, name, &o, &facts, &img, &err) < 0)
        fail_msg("%s", err.message);
    if (facts.taken != taken || facts.width != width || facts.height != height)
        fail_msg("%s: taken at %lld, %d x %d", name, (long long)facts.taken, facts.width, facts.height);
    if (enough && (img.width >= width || img.height >= height))
        fail_msg("%s: did not come reduced", name);
    clipimg_free(&img);
}

/* The date and the full size, in formats that keep them in boxes or directories. */
static void facts_are_of_the_full_picture(void **state)
{
    (void)state;
    unsigned char file[16384], *end;
    size_t n;
    unsigned char *data;
    if (golden_readable("x.jp2")) {
        data = golden_file("exif_last.jp2", &n);
        memcpy(file, data, n);
        end = put_box(file + n, "uuid", "JpgTiffExif->JP2", 16, exif_taken, sizeof exif_taken);
        /* the first orientation counts */
        check_facts("taken.jp2", file, (size_t)(end - file), 0, 1684325001, 22, 30);
        check_facts("turned.jp2", data, n, 0, 0, 22, 30);
        check_facts("reduced.jp2", data, n, 11, 0, 22, 30);
        free(data);
    }
    if (golden_readable("x.jxl")) {
        data = golden_file("rgb.jxl", &n);
        end = put_box(file, "JXL ", "\r\n\x87\n", 4, "", 0);
        end = put_box(end, "ftyp", "jxl \0\0\0\0jxl ", 12, "", 0);
        unsigned char *boxes = end;
        end = put_box(put_box(boxes, "Exif", "\0\0\0\0", 4, exif_taken, sizeof exif_taken), "jxlc", "", 0, data, n);
        check_facts("before.jxl", file, (size_t)(end - file), 0, 1684325001, 30, 22);
        end = put_box(put_box(boxes, "jxlc", "", 0, data, n), "Exif", "\0\0\0\0", 4, exif_taken, sizeof exif_taken);
        check_facts("behind.jxl", file, (size_t)(end - file), 0, 1684325001, 30, 22);
        free(data);
    }
    data = golden_file("preview.cr2", &n);
    check_facts("preview.cr2", data, n, 150, 0, 300, 340);
    free(data);
}

/* The least eighth of the size that is enough: upright like the full picture, in the same
 * colors. */
static void check_reduced(const char *name, int enough)
{
    char path[4096];
    clip_image whole, small;
    clip_error err = {0};
    clip_image_options o = clipimg_options_default();
    golden_path(path, sizeof path, name);
    assert_int_equal(clipimg_read(path, &o, &whole, &err), CLIP_OK);
    o.enough = enough;
    assert_int_equal(clipimg_read(path, &o, &small, &err), CLIP_OK);
    const int shorter = whole.width < whole.height ? whole.width : whole.height;
    int num = 1;
    while (num < 8 && shorter * num < enough * 8)
        num *= 2;
    assert_int_equal(small.width, (whole.width * num + 7) / 8);
    assert_int_equal(small.height, (whole.height * num + 7) / 8);
    for (int corner = 0; corner < 4; corner++) { /* means of the quarters */
        double mean[2] = {0, 0};
        const clip_image *img[2] = {&whole, &small};
        for (int i = 0; i < 2; i++) {
            const int w = img[i]->width / 2, h = img[i]->height / 2, x0 = corner % 2 * w, y0 = corner / 2 * h;
            for (int y = y0; y < y0 + h; y++)
                for (int x = x0; x < x0 + w; x++)
                    mean[i] += img[i]->rgb[(size_t)y * img[i]->stride + 3 * (size_t)x] / (double)(w * h);
        }
        if (fabs(mean[0] - mean[1]) > 12)
            fail_msg("%s, at least %d: corner %d is %.1f, not %.1f", name, enough, corner, mean[1], mean[0]);
    }
    clipimg_free(&whole);
    clipimg_free(&small);
}

static void reduced_pictures_are_large_enough(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb420.jpg", "rgb444.jpg",  "progressive.jpg", "grey.jpg",
                                        "cmyk.jpg",   "turned6.jpg", "turned3.jpg",     "turned_cmyk.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int enough = 14; enough < 200; enough *= 2) /* of 29 pixels: halved, then in full */
            check_reduced(names[i], enough);
}

/* The decoded size counts: a JPEG that comes reduced may be larger. */
static void the_decoded_size_is_limited(void **state)
{
    (void)state;
    char path[4096];
    clip_image img;
    clip_error err = {0};
    clip_image_options o = clipimg_options_default();
    static const char *const names[] = {"rgb420.jpg", "grey.jpg", "progressive.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        golden_path(path, sizeof path, names[i]);
        o.max_pixels = 178956970;
        o.enough = 0;
        assert_int_equal(clipimg_read(path, &o, &img, &err), CLIP_OK);
        const int64_t pixels = (int64_t)img.width * img.height;
        clipimg_free(&img);
        o.max_pixels = pixels - 1;
        assert_int_equal(clipimg_read(path, &o, &img, &err), CLIP_ELIMIT);
        assert_non_null(strstr(err.message, "max_pixels"));
        /* half of each side, and for a progressive JPEG the coefficients of 4:2:0 */
        o.max_pixels = pixels - pixels / 4;
        o.enough = 14;
        assert_int_equal(clipimg_read(path, &o, &img, &err), CLIP_OK);
        assert_true((int64_t)img.width * img.height < pixels / 2);
        clipimg_free(&img);
        o.max_pixels = pixels / 8;
        assert_int_equal(clipimg_read(path, &o, &img, &err), CLIP_ELIMIT);
    }
}

static void backgrounds_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int value; /* -2: refused */
    } rows[] = {{"#ffffff", 0xFFFFFF},
                {"0080Ff", 0x0080FF},
                {"white", 0xFFFFFF},
                {"black", 0},
                {"drop", -1},
                {"", -2},
                {"#", -2},
                {"#fff", -2},
                {"##ffffff", -2},
                {"#fffffff", -2},
                {"0x00ff", -2},
                {"-00001", -2},
                {"White", -2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = -2;
        const clip_status s = clipb_background_parse(rows[i].text, &got);
        if (got != rows[i].value || (s == CLIP_OK) != (got != -2))
            fail_msg("'%s': %d", rows[i].text, got);
    }
}

static void formats_are_found_by_content(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *format;
        size_t size;
    } rows[] = {
        {"\xff\xd8\xff\xe0", "JPEG", 4},
        {"P6 2 2 255 ", "PNM", 11},
        {"P7\nWIDTH 2", "PNM", 10},
        {"P3#a\n1", "PNM", 6},
        {"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", 12},
        {"8BPS\0\1", "Photoshop", 6},
        {"BMW and other letters", NULL, 21},
        {"P1 is first", NULL, 11},
        {"P", NULL, 1},
        {"", NULL, 0},
        {"plain text", NULL, 10},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *format = clipimg_format(rows[i].bytes, rows[i].size, NULL);
        if (rows[i].format ? !format || strcmp(format, rows[i].format) != 0 : format != NULL)
            fail_msg("row %zu: %s, not %s", i, format ? format : "nothing",
                     rows[i].format ? rows[i].format : "nothing");
    }
    bool reads = true;
    assert_string_equal(clipimg_format("%PDF-1.7", 8, &reads), "PDF");
    assert_false(reads);
    size_t size;
    unsigned char *data = golden_file("rgb24.bmp", &size);
    assert_string_equal(clipimg_format(data, 64, &reads), "BMP");
    assert_true(reads);
    free(data);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_equal_pillows),
        cmocka_unit_test(lossy_pictures_are_near),
        cmocka_unit_test(alpha_of_avif_is_laid_on_the_background),
        cmocka_unit_test(the_content_counts_not_the_name),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(every_orientation_becomes_upright),
        cmocka_unit_test(exif_orientations_are_read),
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(reduced_pictures_are_large_enough),
        cmocka_unit_test(formats_are_found_by_content),
        cmocka_unit_test(the_decoded_size_is_limited),
        cmocka_unit_test(backgrounds_are_parsed),
        cmocka_unit_test(facts_are_of_the_full_picture),
    };
    golden_dir = argc > 1 ? argv[1] : "golden";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
