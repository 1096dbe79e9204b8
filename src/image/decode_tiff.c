/* decode_tiff.c: the first page of a TIFF, by libtiff.
 *
 * libtiff undoes the compression, strip by strip or tile by tile. The samples become RGB here: any
 * number of bits; grey, palette, RGB, CMYK, CIE L*a*b*; interleaved or in planes. libtiff's own
 * RGBA interface multiplies alpha in and rounds 16 bits differently from Pillow; it serves only for
 * the rest (YCbCr outside of JPEG, LogLuv). Unsigned samples of more than 8 bits keep their high
 * byte, as in Pillow for color. (Pillow clips grey instead.) samples.h describes the other
 * forms. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

#include "image/decode.h"
#include "image/samples.h"

enum { LARGE_TILE = 64 << 20 }; /* bytes that a tile may have, even in a small picture */

typedef struct tiff_state {
    const clipimg_input *in;
    uint64_t at;
    TIFF *tiff;
    int64_t most_bytes; /* that one strip, one tile or one allocation of libtiff may have */
    char fault[256];    /* libtiff's first complaint */
    uint32_t width, height;
    uint16_t bits, samples, photometric, planar, compression, format;
    uint16_t colours, used;   /* colours: color samples. used: planes that must be read */
    clipimg_samples form;
    bool alpha, premultiplied;
    uint16_t *map[3];         /* palette; libtiff owns it */
    uint32_t block_w, block_h;
    bool tiled;
    size_t plane_bytes;       /* of one strip or tile */
    uint8_t *planes;          /* one plane, or one for each sample */
    uint8_t *row;             /* [block_w, samples] in 8 bits */
    uint8_t *rgba;            /* [block_w] */
    uint32_t *raster;         /* for libtiff's RGBA interface */
} tiff_state;

/* ---- the file in memory ---- */

static tmsize_t on_read(thandle_t h, void *to, tmsize_t n)
{
    tiff_state *t = h;
    uint64_t left = t->at < t->in->size ? t->in->size - t->at : 0, got = n < 0                ? 0
                                                                         : (uint64_t)n < left ? (uint64_t)n
                                                                                              : left;
    if (got > 0)
        memcpy(to, t->in->data + t->at, got);
    t->at += got;
    return (tmsize_t)got;
}

static tmsize_t on_write(thandle_t h, void *from, tmsize_t n)
{
    (void)h, (void)from, (void)n;
    return 0;
}

static toff_t on_seek(thandle_t h, toff_t to, int whence)
{
    tiff_state *t = h;
    t->at = to + (whence == SEEK_CUR ? t->at : whence == SEEK_END ? t->in->size : 0);
    return t->at;
}

static toff_t on_size(thandle_t h) { return ((tiff_state *)h)->in->size; }

static int on_close(thandle_t h)
{
    (void)h;
    return 0;
}

static int on_map(thandle_t h, void **base, toff_t *size)
{
    tiff_state *t = h;
    *base = (void *)(uintptr_t)t->in->data; /* opened for reading, so libtiff copies before it changes bytes */
    *size = t->in->size;
    return 1;
}

static void on_unmap(thandle_t h, void *base, toff_t size) { (void)h, (void)base, (void)size; }

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)module;
    tiff_state *t = user;
    if (!t->fault[0])
        vsnprintf(t->fault, sizeof t->fault, format, args);
    return 1;
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)user, (void)module, (void)format, (void)args;
    return 1;
}

static bool open_tiff(tiff_state *t)
{
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    if (!o)
        return false;
    int64_t pixels = t->in->max_pixels < INT64_MAX / 32 ? t->in->max_pixels : INT64_MAX / 32;
    t->most_bytes = 16 * pixels + LARGE_TILE;
    TIFFOpenOptionsSetMaxSingleMemAlloc(o, (tmsize_t)t->most_bytes);
    TIFFOpenOptionsSetErrorHandlerExtR(o, on_error, t);
    TIFFOpenOptionsSetWarningHandlerExtR(o, on_warning, t);
    t->tiff = TIFFClientOpenExt("TIFF", "r", t, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap, o);
    TIFFOpenOptionsFree(o);
    return t->tiff != NULL;
}

static clip_status damaged(const tiff_state *t)
{
    return clipb_fail(t->in->err, CLIP_EFORMAT, t->in->name, "TIFF: %s",
                      t->fault[0] ? t->fault : "the data are damaged");
}

/* ---- what is in it ---- */

static void read_alpha(tiff_state *t)
{
    uint16_t n = 0, *extra = NULL;
    TIFFGetFieldDefaulted(t->tiff, TIFFTAG_EXTRASAMPLES, &n, &extra);
    if (t->samples <= t->colours)
        return;
    t->premultiplied = n > 0 && extra[0] == EXTRASAMPLE_ASSOCALPHA;
    t->alpha = t->photometric != PHOTOMETRIC_SEPARATED && (n == 0 || extra[0] != EXTRASAMPLE_UNSPECIFIED);
}

/* Finds how the samples are to be read. false if they cannot be read here. */
static bool set_form(tiff_state *t)
{
    const bool planar = t->planar == PLANARCONFIG_SEPARATE,
               grey = t->colours == 1 && t->photometric != PHOTOMETRIC_PALETTE;
    t->used = (uint16_t)(t->colours + t->alpha);
    t->form = (clipimg_samples){.bits = t->bits, .per_pixel = planar ? 1 : t->samples, .colour = t->colours > 1,
                                .index = t->photometric == PHOTOMETRIC_PALETTE};
    t->form.form = t->format == SAMPLEFORMAT_INT      ? CLIPIMG_SIGNED
                   : t->format == SAMPLEFORMAT_IEEEFP ? CLIPIMG_FLOAT
                                                      : CLIPIMG_UNSIGNED;
    t->form.alpha = t->alpha && !planar ? t->colours : t->form.per_pixel;
    return clipimg_samples_known(&t->form) &&
           (!clipimg_samples_measured(&t->form) || grey || t->photometric == PHOTOMETRIC_RGB);
}

/* Whether the rows can be read here. Sets everything that read_blocks() needs. */
static bool is_plain(tiff_state *t)
{
    TIFF *f = t->tiff;
    if (t->photometric == PHOTOMETRIC_YCBCR && t->compression == COMPRESSION_JPEG && t->planar == PLANARCONFIG_CONTIG) {
        TIFFSetField(f, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        t->photometric = PHOTOMETRIC_RGB;
    }
    if (t->photometric == PHOTOMETRIC_YCBCR && t->samples == 1)
        t->photometric = PHOTOMETRIC_MINISBLACK;
    switch (t->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_PALETTE: t->colours = 1; break;
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_CIELAB:
    case PHOTOMETRIC_ICCLAB: t->colours = 3; break;
    case PHOTOMETRIC_SEPARATED: t->colours = 4; break;
    default: return false;
    }
    if (t->samples < t->colours)
        return false;
    read_alpha(t);
    if (!set_form(t) || (t->form.index && !TIFFGetField(f, TIFFTAG_COLORMAP, &t->map[0], &t->map[1], &t->map[2])))
        return false;
    t->tiled = TIFFIsTiled(f);
    t->block_w = t->width;
    t->block_h = t->height;
    if (t->tiled) {
        if (!TIFFGetField(f, TIFFTAG_TILEWIDTH, &t->block_w) || !TIFFGetField(f, TIFFTAG_TILELENGTH, &t->block_h))
            return false;
    } else {
        TIFFGetFieldDefaulted(f, TIFFTAG_ROWSPERSTRIP, &t->block_h);
        if (t->block_h > t->height)
            t->block_h = t->height;
    }
    return true;
}

static clip_status allocate(tiff_state *t)
{
    tmsize_t bytes = t->tiled ? TIFFTileSize(t->tiff) : TIFFStripSize(t->tiff);
    size_t planes = t->planar == PLANARCONFIG_SEPARATE ? t->used : 1;
    size_t need = (((size_t)t->block_w * t->form.per_pixel * t->bits + 7) / 8) * t->block_h, total;
    if (bytes <= 0 || (size_t)bytes < need || t->block_w < 1 || t->block_h < 1)
        return damaged(t);
    const uint64_t most = 32 * (uint64_t)t->width * t->height + LARGE_TILE;
    if (__builtin_mul_overflow((size_t)bytes, planes, &total) || total > most || total > (size_t)t->most_bytes)
        return clipb_fail(t->in->err, CLIP_ELIMIT, t->in->name, "TIFF: tiles of %lld bytes are too large",
                          (long long)bytes);
    t->plane_bytes = (size_t)bytes;
    t->planes = malloc(total);
    t->row = malloc((size_t)t->block_w * t->samples);
    t->rgba = malloc((size_t)t->block_w * 4);
    return t->planes && t->row && t->rgba ? CLIP_OK : clipb_nomem(t->in->err, t->in->name);
}

/* ---- samples to RGB ---- */

static uint8_t divide_alpha(unsigned c, unsigned a)
{
    unsigned v = a ? c * 255 / a : 0;
    return (uint8_t)(v < 255 ? v : 255);
}

/* Converts one row of t->row to RGBA. */
static void colour_row(const tiff_state *t, size_t n)
{
    size_t step = t->samples;
    const uint8_t *p = t->row;
    uint8_t *q = t->rgba;
    unsigned flip = t->photometric == PHOTOMETRIC_MINISWHITE ? 255 : 0;
    for (size_t x = 0; x < n; x++, p += step, q += 4) {
        if (t->photometric == PHOTOMETRIC_SEPARATED)
            clipimg_cmyk_row(p, false, q, 1);
        else if (t->photometric == PHOTOMETRIC_CIELAB)
            clipimg_lab_pixel(p[0], (int8_t)p[1], (int8_t)p[2], q);
        else if (t->photometric == PHOTOMETRIC_ICCLAB)
            clipimg_lab_pixel(p[0], p[1] - 128, p[2] - 128, q);
        else
            for (int c = 0; c < 3; c++)
                q[c] = t->map[0] ? (uint8_t)(t->map[c][*p] >> 8) : t->colours == 3 ? p[c] : (uint8_t)(*p ^ flip);
        q[3] = t->alpha ? p[t->colours] : 255;
        if (t->alpha && t->premultiplied)
            for (int c = 0; c < 3; c++)
                q[c] = divide_alpha(q[c], q[3]);
    }
}

static void write_row(const clipimg_input *in, const uint8_t *rgba, size_t n, uint8_t *rgb)
{
    if (in->flatten)
        clipimg_flatten_row(in, rgba, rgb, n);
    else
        for (size_t x = 0; x < n; x++)
            memcpy(rgb + 3 * x, rgba + 4 * x, 3);
}

/* Reads the samples of one block, plane by plane. Without `out` they are only measured, to find
 * their white. */
static clip_status read_block(tiff_state *t, uint32_t x, uint32_t y, const clip_image *out)
{
    TIFF *f = t->tiff;
    uint32_t w = t->width - x < t->block_w ? t->width - x : t->block_w,
             h = t->height - y < t->block_h ? t->height - y : t->block_h;
    const bool planar = t->planar == PLANARCONFIG_SEPARATE;
    uint16_t planes = planar ? t->used : 1;
    size_t per_row = t->form.per_pixel, bytes = ((size_t)t->block_w * per_row * t->bits + 7) / 8;
    for (uint16_t s = 0; s < planes; s++) {
        uint8_t *to = t->planes + s * t->plane_bytes;
        tmsize_t got = t->tiled ? TIFFReadEncodedTile(f, TIFFComputeTile(f, x, y, 0, s), to, (tmsize_t)t->plane_bytes)
                                : TIFFReadEncodedStrip(f, TIFFComputeStrip(f, y, s), to, (tmsize_t)t->plane_bytes);
        if (got < 0 || (size_t)got < bytes * h)
            return damaged(t);
    }
    for (uint32_t i = 0; i < h; i++) {
        for (uint16_t s = 0; s < planes; s++) {
            const uint8_t *p = t->planes + s * t->plane_bytes + i * bytes;
            clipimg_samples form = t->form;
            if (planar && s == t->colours)
                form.alpha = 0;
            if (out)
                clipimg_samples_unpack(&form, p, w * per_row, t->row + s, planar ? t->samples : 1);
            else if (s < t->colours)
                clipimg_samples_measure(&t->form, p, w * per_row);
        }
        if (out) {
            colour_row(t, w);
            write_row(t->in, t->rgba, w, clipimg_row(out, y + i) + 3 * (size_t)x);
        }
    }
    return CLIP_OK;
}

static clip_status each_block(tiff_state *t, const clip_image *out)
{
    for (uint64_t y = 0; y < t->height; y += t->block_h)
        for (uint64_t x = 0; x < t->width; x += t->block_w)
            TRY(read_block(t, (uint32_t)x, (uint32_t)y, out));
    return CLIP_OK;
}

static clip_status read_blocks(tiff_state *t, const clip_image *out)
{
    TRY(allocate(t));
    if (clipimg_samples_measured(&t->form)) {
        TRY(each_block(t, NULL));
        clipimg_samples_set_white(&t->form);
    }
    return each_block(t, out);
}

/* Reads through libtiff's RGBA interface, which multiplies alpha in. */
static clip_status read_rgba(tiff_state *t, const clip_image *out)
{
    TIFFRGBAImage img;
    char why[1024] = "";
    if (!TIFFRGBAImageOK(t->tiff, why) || !TIFFRGBAImageBegin(&img, t->tiff, 1, why))
        return clipb_fail(t->in->err, CLIP_EUNSUPPORTED, t->in->name, "TIFF: %s", why);
    img.req_orientation = img.orientation; /* decode.c turns it */
    t->raster = malloc(4 * (size_t)t->width * t->height);
    bool ok = t->raster && TIFFRGBAImageGet(&img, t->raster, t->width, t->height);
    bool alpha = img.alpha != 0;
    TIFFRGBAImageEnd(&img);
    if (!ok)
        return t->raster ? damaged(t) : clipb_nomem(t->in->err, t->in->name);
    for (size_t y = 0; y < t->height; y++)
        for (size_t x = 0; x < t->width; x++) {
            uint32_t v = t->raster[y * t->width + x];
            uint8_t rgba[4] = {(uint8_t)TIFFGetR(v), (uint8_t)TIFFGetG(v), (uint8_t)TIFFGetB(v),
                               alpha ? (uint8_t)TIFFGetA(v) : 255};
            for (int c = 0; alpha && c < 3; c++)
                rgba[c] = divide_alpha(rgba[c], rgba[3]);
            write_row(t->in, rgba, 1, clipimg_row(out, y) + 3 * x);
        }
    return CLIP_OK;
}

/* The orientation. libtiff refuses some types of the tag, so the EXIF reader looks first; only
 * libtiff reads BigTIFF. XMP counts if there is no tag. */
static int orientation_of(const tiff_state *t)
{
    uint16_t tag = 0;
    uint32_t size = 0;
    void *xmp = NULL;
    int o = clipimg_exif_orientation(t->in->data, t->in->size);
    if (!o && TIFFGetField(t->tiff, TIFFTAG_ORIENTATION, &tag))
        o = tag >= 1 && tag <= 8 ? tag : 1;
    if (!o && TIFFGetField(t->tiff, TIFFTAG_XMLPACKET, &size, &xmp))
        o = clipimg_xmp_orientation(xmp, size);
    return o ? o : 1;
}

static clip_status read_picture(tiff_state *t, clip_image *out, int *orientation)
{
    TIFF *f = t->tiff;
    if (!TIFFGetField(f, TIFFTAG_IMAGEWIDTH, &t->width) || !TIFFGetField(f, TIFFTAG_IMAGELENGTH, &t->height))
        return damaged(t);
    TRY(clipimg_new(t->in, t->width, t->height, out));
    TIFFGetFieldDefaulted(f, TIFFTAG_BITSPERSAMPLE, &t->bits);
    TIFFGetFieldDefaulted(f, TIFFTAG_SAMPLESPERPIXEL, &t->samples);
    TIFFGetFieldDefaulted(f, TIFFTAG_PLANARCONFIG, &t->planar);
    TIFFGetFieldDefaulted(f, TIFFTAG_COMPRESSION, &t->compression);
    TIFFGetFieldDefaulted(f, TIFFTAG_SAMPLEFORMAT, &t->format);
    if (!TIFFGetField(f, TIFFTAG_PHOTOMETRIC, &t->photometric))
        /* as Pillow reads files that do not say */
        t->photometric = t->bits <= 8 ? PHOTOMETRIC_MINISWHITE : PHOTOMETRIC_MINISBLACK;
    *orientation = orientation_of(t);
    if (t->samples < 1 || t->samples > 8)
        return clipb_fail(t->in->err, CLIP_EUNSUPPORTED, t->in->name, "TIFF: %u samples per pixel are not supported",
                          t->samples);
    if (t->format == SAMPLEFORMAT_INT && t->bits <= 8)
        t->format = SAMPLEFORMAT_UINT; /* as Pillow reads them */
    if (is_plain(t))
        return read_blocks(t, out);
    if (t->format != SAMPLEFORMAT_UINT && t->format != SAMPLEFORMAT_VOID)
        return clipb_fail(t->in->err, CLIP_EUNSUPPORTED, t->in->name, "TIFF: %u-bit %s samples are not supported",
                          t->bits,
                          t->format == SAMPLEFORMAT_IEEEFP ? "float"
                          : t->format == SAMPLEFORMAT_INT  ? "signed"
                                                           : "complex");
    return read_rgba(t, out);
}

clip_status clipimg_read_tiff(const clipimg_input *in, clip_image *out, int *orientation)
{
    tiff_state t = {.in = in};
    if (!open_tiff(&t))
        return damaged(&t);
    clip_status s = read_picture(&t, out, orientation);
    clipimg_note_taken(in, in->data, in->size); /* EXIF is a TIFF file's form */
    TIFFClose(t.tiff);
    free(t.planes);
    free(t.row);
    free(t.rgba);
    free(t.raster);
    return s;
}
