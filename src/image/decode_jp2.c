/* decode_jp2.c: JPEG 2000 by OpenJPEG: files of boxes (JP2, JPX, JPH) and bare codestreams. A
 * picture that may come reduced is decoded without its finest wavelets, each level of which halves
 * both sides. Samples of any depth are scaled to 8 bits. */
#include <stdlib.h>
#include <string.h>

#include <openjpeg.h>

#include "image/decode.h"

typedef struct source {
    const clipimg_input *in;
    size_t at;
    char message[200]; /* the library's last */
} source;

static void on_error(const char *message, void *user)
{
    source *s = user;
    snprintf(s->message, sizeof s->message, "%.*s", (int)strcspn(message, "\n"), message);
}

static void no_message(const char *message, void *user)
{
    (void)message;
    (void)user;
}

static OPJ_SIZE_T read_bytes(void *to, OPJ_SIZE_T n, void *user)
{
    source *s = user;
    const size_t left = s->in->size - s->at;
    if (left == 0)
        return (OPJ_SIZE_T)-1;
    n = n < left ? n : left;
    memcpy(to, s->in->data + s->at, n);
    s->at += n;
    return n;
}

static OPJ_OFF_T skip_bytes(OPJ_OFF_T n, void *user)
{
    source *s = user;
    if (n < 0 || (uint64_t)n > s->in->size - s->at)
        return -1;
    s->at += (size_t)n;
    return n;
}

static OPJ_BOOL seek_bytes(OPJ_OFF_T at, void *user)
{
    source *s = user;
    if (at < 0 || (uint64_t)at > s->in->size)
        return OPJ_FALSE;
    s->at = (size_t)at;
    return OPJ_TRUE;
}

/* ---- Metadata -------------------------------------------------------------------------------- */

/* EXIF and XMP lie in top-level boxes with a UUID. */
static void read_metadata(const clipimg_input *in, int *orientation)
{
    static const char exif[] = "JpgTiffExif->JP2";
    static const char xmp[] = "\xBE\x7A\xCF\xCB\x97\xA9\x42\xE8\x9C\x71\x99\x94\x91\xE3\xAF\xAC";
    int from_exif = 0, from_xmp = 0;
    for (size_t at = 0; in->size - at >= 8;) {
        const unsigned char *box = in->data + at;
        const size_t left = in->size - at;
        uint64_t size = clipimg_be32(box);
        const size_t head = size == 1 ? 16 : 8;
        if (size == 1 && left >= 16)
            size = (uint64_t)clipimg_be32(box + 8) << 32 | clipimg_be32(box + 12);
        else if (size == 0)
            size = left;
        if (size < head || size > left)
            break;
        if (memcmp(box + 4, "uuid", 4) == 0 && size > head + 16) {
            const unsigned char *data = box + head + 16;
            const size_t n = (size_t)size - head - 16;
            if (memcmp(box + head, exif, 16) == 0) {
                from_exif = from_exif ? from_exif : clipimg_exif_orientation(data, n);
                clipimg_note_taken(in, data, n);
            } else if (memcmp(box + head, xmp, 16) == 0) {
                from_xmp = clipimg_xmp_orientation((const char *)data, n);
            }
        }
        at += (size_t)size;
    }
    if (from_exif || from_xmp)
        *orientation = from_exif ? from_exif : from_xmp;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* What the components are. */
typedef struct layout {
    int colors;      /* 1: gray, 3: RGB or YCbCr, 4: CMYK */
    int alpha;       /* the component with alpha; -1: none */
    bool ycc;
} layout;

static clip_status find_layout(const clipimg_input *in, const opj_image_t *img, layout *l)
{
    const int n = (int)img->numcomps;
    const bool cmyk = img->color_space == OPJ_CLRSPC_CMYK;
    *l = (layout){.colors = n >= 3 ? 3 : 1, .alpha = -1};
    for (int i = 0; i < n && i < 5; i++)
        if (img->comps[i].alpha)
            l->alpha = i;
    if (cmyk && n >= 4)
        l->colors = 4;
    else if (l->alpha < 0 && (n == 2 || n == 4))
        l->alpha = n - 1;
    if (n < 1 || n > l->colors + (l->alpha >= 0) || (l->alpha >= 0 && l->alpha < l->colors))
        return clipb_fail(in->err, CLIP_EUNSUPPORTED, in->name,
                          "JPEG 2000: %d components that are not gray, RGB or CMYK are not supported", n);
    const opj_image_comp_t *c = img->comps;
    l->ycc = l->colors == 3 && (img->color_space == OPJ_CLRSPC_SYCC || img->color_space == OPJ_CLRSPC_EYCC ||
                                (img->color_space != OPJ_CLRSPC_SRGB && c[0].dx == c[0].dy && c[1].dx != 1));
    for (int i = 0; i < n; i++)
        if (c[i].prec < 1 || c[i].prec > 31)
            return clipb_fail(in->err, CLIP_EUNSUPPORTED, in->name, "JPEG 2000: %u bits per sample are not supported",
                              (unsigned)c[i].prec);
    return CLIP_OK;
}

/* Row y of a component in 8 bits. A component with fewer samples is stretched. */
static void component_row(const opj_image_comp_t *c, const clip_image *out, size_t y, uint8_t *to, size_t step)
{
    const int64_t most = (INT64_C(1) << c->prec) - 1, base = c->sgnd ? INT64_C(1) << (c->prec - 1) : 0;
    const size_t width = (size_t)out->width, height = (size_t)out->height;
    const OPJ_INT32 *row = c->data + (y * c->h / height) * c->w;
    for (size_t x = 0; x < width; x++, to += step) {
        int64_t v = row[c->w == width ? x : x * c->w / width] + base;
        v = v < 0 ? 0 : v > most ? most : v;
        *to = (uint8_t)(most == 255 ? v : (v * 255 + most / 2) / most);
    }
}

static uint8_t clamp(double v) { return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)(v + 0.5); }

/* ITU-R BT.601, as JFIF has it. */
static void ycc_to_rgb(uint8_t *p, size_t width, size_t step)
{
    for (size_t x = 0; x < width; x++, p += step) {
        const double y = p[0], cb = p[1] - 128, cr = p[2] - 128;
        p[0] = clamp(y + 1.402 * cr);
        p[1] = clamp(y - 0.344136 * cb - 0.714136 * cr);
        p[2] = clamp(y + 1.772 * cb);
    }
}

/* rgba  room for a row at four bytes per pixel */
static void write_row(const clipimg_input *in, const opj_image_t *img, const layout *l, size_t y, uint8_t *rgba,
                      const clip_image *out)
{
    const size_t width = (size_t)out->width;
    uint8_t *to = clipimg_row(out, y);
    for (int i = 0; i < (l->colors == 1 ? 3 : l->colors); i++)
        component_row(&img->comps[l->colors == 1 ? 0 : i], out, y, rgba + i, 4);
    if (l->colors == 4) {
        clipimg_cmyk_row(rgba, false, to, width);
        return;
    }
    if (l->ycc)
        ycc_to_rgb(rgba, width, 4);
    if (l->alpha >= 0 && in->flatten) {
        component_row(&img->comps[l->alpha], out, y, rgba + 3, 4);
        clipimg_flatten_row(in, rgba, to, width);
        return;
    }
    for (size_t x = 0; x < width; x++)
        memcpy(to + 3 * x, rgba + 4 * x, 3);
}

static clip_status copy_picture(const clipimg_input *in, const opj_image_t *img, clip_image *out)
{
    layout l;
    TRY(find_layout(in, img, &l));
    for (unsigned i = 0; i < img->numcomps; i++)
        if (!img->comps[i].data || img->comps[i].w < 1 || img->comps[i].h < 1)
            return clipb_fail(in->err, CLIP_EFORMAT, in->name, "JPEG 2000: a component is missing");
    uint64_t width = 0, height = 0;
    for (int i = 0; i < l.colors; i++) {
        width = img->comps[i].w > width ? img->comps[i].w : width;
        height = img->comps[i].h > height ? img->comps[i].h : height;
    }
    TRY(clipimg_new(in, width, height, out));
    uint8_t *rgba = malloc(4 * (size_t)width);
    if (!rgba)
        return clipb_nomem(in->err, in->name);
    for (size_t y = 0; y < height; y++)
        write_row(in, img, &l, y, rgba, out);
    free(rgba);
    return CLIP_OK;
}

/* ---- Completeness ---------------------------------------------------------------------------- */

/* Where the codestream begins; the size of the file where there is none. */
static size_t find_codestream(const clipimg_input *in)
{
    size_t at = 0;
    if (in->size < 12 || memcmp(in->data + 4, "jP  ", 4) != 0)
        return 0;
    while (in->size - at >= 16) {
        const unsigned char *box = in->data + at;
        const uint64_t size = clipimg_be32(box) == 1 ? (uint64_t)clipimg_be32(box + 8) << 32 | clipimg_be32(box + 12)
                                                     : clipimg_be32(box);
        if (memcmp(box + 4, "jp2c", 4) == 0)
            return at + (clipimg_be32(box) == 1 ? 16 : 8);
        if (size < 8 || size > in->size - at)
            break;
        at += (size_t)size;
    }
    return in->size;
}

/* How many tiles a codestream has (SIZ, ISO/IEC 15444-1, A.5.1); p points behind the marker. */
static uint64_t count_tiles(const unsigned char *p)
{
    uint64_t n[2];
    for (int i = 0; i < 2; i++) {
        const uint64_t end = clipimg_be32(p + 4 + 4 * i), size = clipimg_be32(p + 20 + 4 * i),
                       from = clipimg_be32(p + 28 + 4 * i);
        n[i] = size > 0 && end > from ? (end - from + size - 1) / size : 0;
    }
    return n[0] * n[1];
}

/* Whether every tile begins, and its parts are whole. From version 2.5.1 on OpenJPEG decodes a file
 * that has been cut between two tiles, and says nothing. */
static bool is_whole(const clipimg_input *in)
{
    size_t at = find_codestream(in) + 2; /* SOC */
    uint64_t tiles = 0, begun = 0;
    while (at < in->size && in->size - at >= 12) {
        const unsigned char *p = in->data + at;
        const size_t left = in->size - at, marker = (size_t)p[0] << 8 | p[1], length = (size_t)p[2] << 8 | p[3];
        if (marker == 0xFFD9)
            break;
        if (marker == 0xFF51 && left >= 42)
            tiles = count_tiles(p + 2);
        if (marker == 0xFF90) {
            const uint32_t part = clipimg_be32(p + 6);
            begun += p[10] == 0; /* the first part of a tile */
            if (part == 0)       /* up to the end */
                break;
            if (part < 12 || part > left)
                return false;
            at += part;
        } else {
            at += 2 + length;
        }
    }
    return begun >= tiles;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

/* How often the picture can be halved: every component must allow it, and enough must be left. */
static unsigned halvings(const clipimg_input *in, opj_codec_t *codec, uint64_t width, uint64_t height)
{
    opj_codestream_info_v2_t *info = opj_get_cstr_info(codec);
    const uint64_t shorter = width < height ? width : height;
    unsigned n = 0, most = 32;
    for (unsigned i = 0; info && info->m_default_tile_info.tccp_info && i < info->nbcomps; i++) {
        const unsigned levels = info->m_default_tile_info.tccp_info[i].numresolutions;
        most = levels < most ? levels : most;
    }
    if (info && info->m_default_tile_info.tccp_info)
        while (in->enough > 0 && n + 1 < most && shorter >> (n + 1) >= (unsigned)in->enough)
            n++;
    opj_destroy_cstr_info(&info);
    return n;
}

/* max_pixels limits the samples of one component. There are five components at most. */
static clip_status decode_codestream(source *s, opj_codec_t *codec, opj_stream_t *stream, opj_image_t **img,
                                     bool reduce, bool *reduced)
{
    const clipimg_input *in = s->in;
    layout l;
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_set_error_handler(codec, on_error, s);
    opj_set_warning_handler(codec, no_message, NULL);
    opj_set_info_handler(codec, no_message, NULL);
    if (!opj_setup_decoder(codec, &parameters) || !opj_read_header(stream, codec, img))
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "JPEG 2000: %s",
                          *s->message ? s->message : "the data are damaged");
    TRY(find_layout(in, *img, &l));
    const uint64_t width = (uint64_t)(*img)->x1 - (*img)->x0, height = (uint64_t)(*img)->y1 - (*img)->y0;
    const unsigned n = reduce ? halvings(in, codec, width, height) : 0;
    *reduced = n > 0;
    TRY(clipimg_allow(in, (width + (1u << n) - 1) >> n, (height + (1u << n) - 1) >> n));
    if (n > 0 && !opj_set_decoded_resolution_factor(codec, n))
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "JPEG 2000: %s",
                          *s->message ? s->message : "the data are damaged");
    if (!opj_decode(codec, stream, *img) || !opj_end_decompress(codec, stream))
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "JPEG 2000: %s",
                          *s->message ? s->message : "the data are damaged");
    if (!is_whole(in))
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "JPEG 2000: the file ends too early: tiles are missing");
    if (in->facts) {
        in->facts->width = (int)width;
        in->facts->height = (int)height;
    }
    return CLIP_OK;
}

static clip_status read_picture(const clipimg_input *in, clip_image *out, bool reduce, bool *reduced)
{
    source s = {.in = in};
    const bool boxes = in->size >= 12 && memcmp(in->data + 4, "jP  ", 4) == 0;
    opj_image_t *img = NULL;
    opj_codec_t *codec = opj_create_decompress(boxes ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_default_create(OPJ_TRUE);
    clip_status status = codec && stream ? CLIP_OK : clipb_nomem(in->err, in->name);
    if (status == CLIP_OK) {
        opj_stream_set_user_data(stream, &s, NULL);
        opj_stream_set_user_data_length(stream, in->size);
        opj_stream_set_read_function(stream, read_bytes);
        opj_stream_set_skip_function(stream, skip_bytes);
        opj_stream_set_seek_function(stream, seek_bytes);
        status = decode_codestream(&s, codec, stream, &img, reduce, reduced);
    }
    if (status == CLIP_OK)
        status = copy_picture(in, img, out);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(img);
    return status;
}

clip_status clipimg_read_jp2(const clipimg_input *in, clip_image *out, int *orientation)
{
    bool reduced = false;
    clip_status s = read_picture(in, out, in->enough > 0, &reduced);
    if (s == CLIP_EFORMAT && reduced) { /* a tile may have fewer resolutions than the others: decode in full */
        clipimg_free(out);
        s = read_picture(in, out, false, &reduced);
    }
    if (s == CLIP_OK && in->size >= 12 && memcmp(in->data + 4, "jP  ", 4) == 0)
        read_metadata(in, orientation);
    return s;
}
