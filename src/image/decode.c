/* decode.c: finds a picture's format by its first bytes, calls the reader, turns the result
 * upright. */
#include "image/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAX_FILE_BYTES (1 << 30) /* every library below counts this far without overflow */

clip_image_options clipimg_options_default(void)
{
    return (clip_image_options){.max_pixels = 178956970, .background = -1};
}

/* ---- formats ---- */

static bool starts_with(const clipimg_input *in, size_t at, const char *magic, size_t n)
{
    return in->size >= at + n && memcmp(in->data + at, magic, n) == 0;
}
#define STARTS(in, at, magic) starts_with((in), (at), (magic), sizeof(magic) - 1)

static bool is_jpeg(const clipimg_input *in) { return STARTS(in, 0, "\xff\xd8\xff"); }
static bool is_png(const clipimg_input *in) { return STARTS(in, 0, "\x89PNG\r\n\x1a\n"); }
static bool is_webp(const clipimg_input *in) { return STARTS(in, 0, "RIFF") && STARTS(in, 8, "WEBP"); }
static bool is_gif(const clipimg_input *in) { return STARTS(in, 0, "GIF87a") || STARTS(in, 0, "GIF89a"); }

/* Many texts begin with these two letters, so the length of the header must be less than 256. */
static bool is_bmp(const clipimg_input *in)
{
    return STARTS(in, 0, "BM") && (in->size < 18 || STARTS(in, 15, "\0\0\0"));
}

static bool is_tiff(const clipimg_input *in)
{
    return STARTS(in, 0, "II*\0") || STARTS(in, 0, "MM\0*") || STARTS(in, 0, "II+\0") || STARTS(in, 0, "MM\0+");
}

/* ISO base media: the box "ftyp" with a major brand and a list of compatible brands, four letters
 * each. */
static bool has_brand(const clipimg_input *in, const char *const *brands)
{
    if (!STARTS(in, 4, "ftyp"))
        return false;
    size_t end = clipimg_be32(in->data);
    if (end > in->size)
        end = in->size;
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) /* the minor version lies between */
        for (const char *const *b = brands; *b; b++)
            if (memcmp(in->data + at, *b, 4) == 0)
                return true;
    return false;
}

static bool is_avif(const clipimg_input *in) { return has_brand(in, (const char *const[]){"avif", "avis", NULL}); }

static bool is_heic(const clipimg_input *in)
{
    return has_brand(in, (const char *const[]){"heic", "heix", "hevc", "hevx", "heim", "heis", "hevm", "hevs", "mif1",
                                               "msf1", NULL});
}

/* "P6", white space or a comment, and the width. In PAM ("P7") words follow. */
static bool is_pnm(const clipimg_input *in)
{
    if (in->size < 3 || in->data[0] != 'P' || in->data[1] < '1' || in->data[1] > '7')
        return false;
    const unsigned char c = in->data[2], next = in->size > 3 ? in->data[3] : '#';
    if (c == '#' || !c || !strchr(" \t\n\v\f\r", c))
        return c == '#';
    return in->data[1] == '7' || (next && strchr("0123456789 \t\n\v\f\r#", next));
}

static bool is_pfm(const clipimg_input *in) { return STARTS(in, 0, "PF\n") || STARTS(in, 0, "Pf\n"); }
static bool is_jp2(const clipimg_input *in) { return STARTS(in, 4, "jP  \r\n") || STARTS(in, 0, "\xff\x4f\xff\x51"); }
static bool is_jxl(const clipimg_input *in) { return STARTS(in, 4, "JXL \r\n") || STARTS(in, 0, "\xff\x0a"); }
static bool is_psd(const clipimg_input *in) { return STARTS(in, 0, "8BPS"); }
static bool is_pdf(const clipimg_input *in) { return STARTS(in, 0, "%PDF-"); }

/* A format whose library is missing is known by name only. */
#ifndef HAVE_WEBP
#define clipimg_read_webp NULL
#endif
#ifndef HAVE_GIF
#define clipimg_read_gif NULL
#endif
#ifndef HAVE_TIFF
#define clipimg_read_tiff NULL
#endif
#ifndef HAVE_HEIF
#define clipimg_read_heic NULL
#define clipimg_read_avif NULL
#endif
#ifndef HAVE_JXL
#define clipimg_read_jxl NULL
#endif
#ifndef HAVE_JP2
#define clipimg_read_jp2 NULL
#endif
#ifndef HAVE_SVG
#define clipimg_read_svg NULL
#endif

/* In the order in which they are tried. */
static const struct format {
    const char *name;
    bool (*is)(const clipimg_input *in);
    clipimg_reader *read;
} formats[] = {
    {"JPEG", is_jpeg, clipimg_read_jpeg},      {"PNG", is_png, clipimg_read_png},
    {"WebP", is_webp, clipimg_read_webp},      {"GIF", is_gif, clipimg_read_gif},
    {"RAW", clipimg_is_raw, clipimg_read_raw}, {"AVIF", is_avif, clipimg_read_avif},
    {"HEIC", is_heic, clipimg_read_heic},      {"TIFF", is_tiff, clipimg_read_tiff},
    {"PNM", is_pnm, clipimg_read_pnm},         {"BMP", is_bmp, clipimg_read_bmp},
    {"JPEG 2000", is_jp2, clipimg_read_jp2},   {"JPEG XL", is_jxl, clipimg_read_jxl},
    {"SVG", clipimg_is_svg, clipimg_read_svg}, {"PFM", is_pfm, NULL},
    {"Photoshop", is_psd, NULL},               {"PDF", is_pdf, NULL},
};

static const struct format *find_format(const clipimg_input *in)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].is(in))
            return &formats[i];
    return NULL;
}

const char *clipimg_format(const void *bytes, size_t size, bool *reads)
{
    const struct format *f = find_format(&(clipimg_input){.data = bytes, .size = size});
    if (reads)
        *reads = f && f->read;
    return f ? f->name : NULL;
}

const char *clipimg_formats(void)
{
    return "JPEG PNG"
#ifdef HAVE_WEBP
           " WebP"
#endif
#ifdef HAVE_GIF
           " GIF"
#endif
           " BMP"
#ifdef HAVE_TIFF
           " TIFF"
#endif
#ifdef HAVE_HEIF
           " HEIC AVIF"
#endif
#ifdef HAVE_JXL
           " JXL"
#endif
#ifdef HAVE_JP2
           " JP2"
#endif
#ifdef HAVE_SVG
           " SVG"
#endif
#ifdef HAVE_RAW
           " RAW"
#else
           " RAW (previews)"
#endif
           " PNM";
}

static clip_status decode_input(const clipimg_input *in, clip_image *out)
{
    const struct format *f = find_format(in);
    if (!f)
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, in->size ? "not a picture of a known format" : "is empty");
    if (!f->read)
        return clipb_fail(in->err, CLIP_EUNSUPPORTED, in->name, "this is %s; this build reads %s", f->name,
                          clipimg_formats());
    int orientation = 1;
    clip_status s = f->read(in, out, &orientation);
    if (s == CLIP_OK && in->facts && orientation >= 5) {
        const int width = in->facts->width;
        in->facts->width = in->facts->height;
        in->facts->height = width;
    }
    if (s == CLIP_OK && (s = clipimg_turn(out, orientation)) < 0)
        s = clipb_fail(in->err, s, in->name, "out of memory to turn the picture upright");
    if (s < 0)
        clipimg_free(out);
    else if (in->facts && !in->facts->width) {
        in->facts->width = out->width;
        in->facts->height = out->height;
    }
    return s;
}

clip_status clipimg_decode(const void *bytes, size_t size, const char *name, const clip_image_options *opt,
                           clipimg_facts *facts, clip_image *out, clip_error *err)
{
    clip_image_options o = opt ? *opt : clipimg_options_default();
    clipimg_input in = {.data = bytes,
                        .size = size,
                        .name = name ? name : "picture",
                        .max_pixels = o.max_pixels,
                        .enough = o.enough,
                        .facts = facts,
                        .err = err};
    in.flatten = o.background >= 0;
    for (int c = 0; c < 3; c++)
        in.background[c] = (uint8_t)(o.background >> (16 - 8 * c));
    if (facts)
        *facts = (clipimg_facts){0};
    *out = (clip_image){0};
    if (!bytes && size > 0)
        return clipb_fail(err, CLIP_EINVAL, in.name, "the bytes are missing: NULL with a size above 0");
    if (size > MAX_FILE_BYTES)
        return clipb_fail(err, CLIP_ELIMIT, in.name, "%zu bytes are more than the %d allowed", size, MAX_FILE_BYTES);
    return decode_input(&in, out);
}

/* Read, not mapped: a file that shrinks while it is decoded must not raise SIGBUS. */
clip_status clipimg_read(const char *path, const clip_image_options *opt, clip_image *out, clip_error *err)
{
    unsigned char *data;
    size_t size;
    *out = (clip_image){0};
    TRY((opt && opt->pipes ? clipb_read_named : clipb_read_file)(path, MAX_FILE_BYTES, &data, &size, err));
    const char *name = opt && opt->pipes && strcmp(path, "-") == 0 ? "standard input" : path;
    clip_status s = clipimg_decode(data, size, name, opt, NULL, out, err);
    free(data);
    return s;
}
