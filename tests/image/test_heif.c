/* test_heif.c: HEIC files with false, damaged or reordered items (made by tools/write_heif.py).
 * Sound ones are read, a thumbnail is used only if the picture confirms it, and files that would
 * take too long are refused. */
#include <stdlib.h>

#include "golden.h"
#include "image/decode.h"

const char *golden_dir;

/* Mean red and green of the four quarters, left to right and top to bottom: '0' below 100, '1'
 * above 155. */
static void check_quarters(const char *name, const clip_image *img, const char *red, const char *green)
{
    for (int q = 0; q < 4; q++) {
        const int w = img->width / 2, h = img->height / 2, x0 = q % 2 * w, y0 = q / 2 * h;
        double mean[2] = {0, 0};
        for (int y = y0; y < y0 + h; y++)
            for (int x = x0; x < x0 + w; x++)
                for (int c = 0; c < 2; c++)
                    mean[c] += clipimg_row(img, (size_t)y)[3 * x + c] / (double)(w * h);
        for (int c = 0; c < 2; c++) {
            const char want = c ? green[q] : red[q];
            if (want == '0' ? mean[c] >= 100 : mean[c] <= 155)
                fail_msg("%s: quarter %d has %s %.0f", name, q, c ? "green" : "red", mean[c]);
        }
    }
}

static clip_status read_golden(const char *name, int enough, clipimg_facts *facts, clip_image *out, clip_error *err)
{
    size_t size;
    unsigned char *data = golden_file(name, &size);
    clip_image_options o = clipimg_options_default();
    o.enough = enough;
    clip_status s = clipimg_decode(data, size, name, &o, facts, out, err);
    free(data);
    return s;
}

enum { ENOUGH = 64, TAKEN = 1684325001 };

static void sound_pictures_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool thumbnail, dated;
        int width, height; /* in full */
        const char *red, *green;
    } files[] = {
        {"tiled.heic", true, true, 192, 128, "0101", "0011"},
        {"thumbnail_turned.heic", true, true, 128, 192, "0011", "1010"},
        {"exif_beyond.heic", true, false, 192, 128, "0101", "0011"},
        {"thumbnail_other.heic", false, true, 192, 128, "0101", "0011"},
        {"thumbnail_lying.heic", false, true, 192, 128, "0101", "0011"},
        {"thumbnail_broken.heic", false, true, 192, 128, "0101", "0011"},
        {"thumbnail_bare.heic", false, true, 192, 128, "0101", "0011"},
        {"thumbnail_beyond.heic", false, true, 192, 128, "0101", "0011"},
        {"thumbnail_upright.heic", false, true, 192, 128, "1010", "1100"},
        {"thumbnail_untiled.heic", false, false, 192, 128, "0101", "0011"},
        {"irot_first.heic", false, false, 128, 192, "1100", "0101"},
        {"irot_last.heic", false, false, 128, 192, "1100", "0101"},
        {"second_beyond.heic", false, false, 192, 128, "0101", "0011"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int enough = 0; enough <= ENOUGH; enough += ENOUGH) {
            clip_image img;
            clip_error err = {0};
            clipimg_facts facts;
            if (read_golden(files[i].name, enough, &facts, &img, &err) < 0)
                fail_msg("%s", err.message);
            const int half = enough && files[i].thumbnail ? 2 : 1;
            if (img.width != files[i].width / half || img.height != files[i].height / half)
                fail_msg("%s: %d x %d pixels where %d are enough", files[i].name, img.width, img.height, enough);
            assert_int_equal(facts.width, files[i].width);
            assert_int_equal(facts.height, files[i].height);
            if (facts.taken != (files[i].dated ? TAKEN : 0))
                fail_msg("%s: taken at %lld", files[i].name, (long long)facts.taken);
            check_quarters(files[i].name, &img, files[i].red, files[i].green);
            clipimg_free(&img);
        }
}

static void a_crop_listed_first_is_applied(void **state)
{
    (void)state;
    clip_image img;
    assert_int_equal(read_golden("clap_first.heic", 0, NULL, &img, NULL), CLIP_OK);
    assert_int_equal(img.width, 40);
    assert_int_equal(img.height, 30);
    clipimg_free(&img);
}

static void hostile_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
        clip_status status;
    } files[] = {
        {"huge.heic", "huge.heic: 65535 x 65535 pixels are more than the 178956970 allowed (max_pixels, --max-pixels)",
         CLIP_ELIMIT},
        {"huge_grid.heic",
         "huge_grid.heic: 32000 x 32000 pixels are more than the 178956970 allowed (max_pixels, --max-pixels)",
         CLIP_ELIMIT},
        {"bomb.heic", "bomb.heic: HEIF: the picture has too many parts", CLIP_ELIMIT},
        {"cycle.heic", "cycle.heic: HEIF: a picture contains itself", CLIP_EFORMAT},
        {"stream_large.heic", "stream_large.heic: HEIF: the coded picture is far larger than its declared size",
         CLIP_EFORMAT},
        {"stream_large.avif", "stream_large.avif: HEIF: the coded picture is far larger than its declared size",
         CLIP_EFORMAT},
        {"cycle_grid.heic", "cycle_grid.heic: HEIF: a picture contains itself", CLIP_EFORMAT},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        clip_image img;
        clip_error err = {0};
        assert_int_equal(read_golden(files[i].name, 0, NULL, &img, &err), files[i].status);
        assert_string_equal(err.message, files[i].why);
        assert_null(img.rgb);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_pictures_are_read),
        cmocka_unit_test(a_crop_listed_first_is_applied),
        cmocka_unit_test(hostile_files_are_refused),
    };
    golden_dir = argc > 1 ? argv[1] : "golden";
    if (!golden_readable("x.heic"))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
