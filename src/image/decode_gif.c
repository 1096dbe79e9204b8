/* decode_gif.c: the first frame of a GIF, on its logical screen. giflib finds the frame. Its pixels
 * are unpacked here, because giflib refuses codes that begin with more than 9 bits.
 *
 * As in Pillow, the screen grows where the frame leaves it. Around the frame lies the transparent
 * color if there is one, else color 0. A picture without a palette is grey. */
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "image/decode.h"

typedef struct gif_state {
    const clipimg_input *in;
    size_t at;
    GifFileType *gif;
    int transparent; /* index, or NO_TRANSPARENT_COLOR */
    uint8_t colour[256][3];
} gif_state;

static int read_bytes(GifFileType *gif, GifByteType *to, int n)
{
    gif_state *g = gif->UserData;
    size_t left = g->in->size - g->at, got = n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;
    memcpy(to, g->in->data + g->at, got);
    g->at += got;
    return (int)got;
}

static clip_status failed(const clipimg_input *in, int code)
{
    const char *why = GifErrorString(code);
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return clipb_fail(in->err, CLIP_ELIMIT, in->name, "GIF: too large for giflib");
    if (code == D_GIF_ERR_EOF_TOO_SOON || code == D_GIF_ERR_READ_FAILED)
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "GIF: the file is truncated");
    return clipb_fail(in->err, CLIP_EFORMAT, in->name, "GIF: %s", why ? why : "the data are damaged");
}

static clip_status read_extension(gif_state *g)
{
    int code;
    GifByteType *block;
    if (DGifGetExtension(g->gif, &code, &block) == GIF_ERROR)
        return failed(g->in, g->gif->Error);
    while (block) {
        GraphicsControlBlock control;
        if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
            g->transparent = control.TransparentColor;
        if (DGifGetExtensionNext(g->gif, &block) == GIF_ERROR)
            return failed(g->in, g->gif->Error);
    }
    return CLIP_OK;
}

enum { MAX_BITS = 12, CODES = 1 << MAX_BITS }; /* bits of a code */

/* Goes to the first frame, behind the byte with the bits per pixel. giflib reads that byte too, and
 * refuses more than 8. */
static clip_status find_frame(gif_state *g)
{
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    while (type != IMAGE_DESC_RECORD_TYPE) {
        if (DGifGetRecordType(g->gif, &type) == GIF_ERROR)
            return failed(g->in, g->gif->Error);
        if (type == EXTENSION_RECORD_TYPE)
            TRY(read_extension(g));
        else if (type != IMAGE_DESC_RECORD_TYPE)
            return clipb_fail(g->in->err, CLIP_EFORMAT, g->in->name, "GIF: there is no frame in it");
    }
    const bool read = DGifGetImageDesc(g->gif) == GIF_OK;
    const unsigned bits = g->in->data[g->at - 1];
    if (!read && (bits <= 8 || bits > MAX_BITS))
        return failed(g->in, g->gif->Error);
    return CLIP_OK;
}

static void set_colours(gif_state *g)
{
    const ColorMapObject *map = g->gif->Image.ColorMap ? g->gif->Image.ColorMap : g->gif->SColorMap;
    for (int i = 0; i < 256; i++)
        if (!map)
            memset(g->colour[i], i, 3);
        else if (i < map->ColorCount)
            memcpy(g->colour[i], (uint8_t[]){map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue}, 3);
    if (g->in->flatten && g->transparent != NO_TRANSPARENT_COLOR)
        memcpy(g->colour[g->transparent & 255], g->in->background, 3);
}

static void fill_background(const gif_state *g, const clip_image *out)
{
    const uint8_t *colour = g->colour[g->transparent == NO_TRANSPARENT_COLOR ? 0 : g->transparent & 255];
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            memcpy(clipimg_row(out, (size_t)y) + 3 * x, colour, 3);
}

/* ---- LZW ---- */

/* A code below `clear` is a pixel. Any other code stands for the pixels of an earlier code and one
 * more. Bytes come in blocks, each with its length before it. */
typedef struct lzw {
    const clipimg_input *in;
    size_t at, block; /* block: bytes left in this block */
    uint64_t bits;
    unsigned have; /* bits waiting */
    unsigned pixel_bits, clear, code_bits, next;
    int last;                    /* the code before; -1: none since the last clear code */
    uint8_t first, pixel[CODES]; /* first: the first pixel of the code before */
    uint16_t link[CODES];
    uint8_t stack[CODES + 1]; /* the pixels to write next, the last one first */
    unsigned depth;
} lzw;

static void clear_codes(lzw *z)
{
    z->code_bits = z->pixel_bits + 1;
    z->next = z->clear + 2;
    z->last = -1;
}

enum { TRUNCATED = -1, DAMAGED = -2 };

static int next_code(lzw *z)
{
    while (z->have < z->code_bits) {
        if (z->at >= z->in->size)
            return TRUNCATED;
        const unsigned byte = z->in->data[z->at++];
        if (z->block == 0) {
            z->block = byte;
            if (byte == 0)
                return TRUNCATED;
            continue;
        }
        z->block--;
        z->bits |= (uint64_t)byte << z->have;
        z->have += 8;
    }
    const int code = (int)(z->bits & ((1u << z->code_bits) - 1));
    z->bits >>= z->code_bits;
    z->have -= z->code_bits;
    return code;
}

static void add_code(lzw *z)
{
    if (z->next >= CODES)
        return;
    z->pixel[z->next] = z->first;
    z->link[z->next] = (uint16_t)z->last;
    if (z->next == (1u << z->code_bits) - 1 && z->code_bits < MAX_BITS)
        z->code_bits++;
    z->next++;
}

/* Puts the pixels of the next code on the stack. */
static int unpack_code(lzw *z)
{
    int code;
    while ((code = next_code(z)) == (int)z->clear)
        clear_codes(z);
    if (code < 0 || code == (int)z->clear + 1)
        return TRUNCATED;
    if (z->last<0 ? code > (int)z->clear : code>(int) z->next)
        return DAMAGED;
    int c = code;
    if (z->last >= 0 && code == (int)z->next) { /* the code that is about to be made */
        z->stack[z->depth++] = z->first;
        c = z->last;
    }
    for (; c >= (int)z->clear; c = z->link[c]) {
        if (c >= CODES || z->depth >= CODES)
            return DAMAGED;
        z->stack[z->depth++] = z->pixel[c];
    }
    z->stack[z->depth++] = z->first = (uint8_t)c;
    if (z->last >= 0)
        add_code(z);
    z->last = code;
    return CLIP_OK;
}

static clip_status read_line(gif_state *g, lzw *z, uint8_t *to, int width)
{
    for (int x = 0; x < width; x++) {
        const int code = z->depth ? CLIP_OK : unpack_code(z);
        if (code < 0)
            return clipb_fail(g->in->err, CLIP_EFORMAT, g->in->name,
                              code == TRUNCATED ? "GIF: the file is truncated" : "GIF: the data are damaged");
        memcpy(to + 3 * x, g->colour[z->stack[--z->depth]], 3);
    }
    return CLIP_OK;
}

static clip_status read_lines(gif_state *g, lzw *z, const clip_image *out)
{
    static const struct pass {
        int first, step;
    } interlaced[4] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}}, plain[1] = {{0, 1}};
    const GifImageDesc *d = &g->gif->Image;
    int passes = d->Interlace ? 4 : 1;
    for (int i = 0; i < passes; i++) {
        const struct pass *pass = d->Interlace ? &interlaced[i] : &plain[i];
        for (int y = pass->first; y < d->Height; y += pass->step)
            TRY(read_line(g, z, clipimg_row(out, (size_t)(d->Top + y)) + 3 * (size_t)d->Left, d->Width));
    }
    return CLIP_OK;
}

static clip_status read_picture(gif_state *g, clip_image *out)
{
    TRY(find_frame(g));
    const GifImageDesc *d = &g->gif->Image;
    if (d->Width < 1 || d->Height < 1 || d->Left < 0 || d->Top < 0)
        return clipb_fail(g->in->err, CLIP_EFORMAT, g->in->name,
                          "GIF: the size or place of a frame is not valid (%d x %d pixels)", d->Width, d->Height);
    int right = d->Left + d->Width, bottom = d->Top + d->Height; /* each has 16 bits in the file */
    int width = right > g->gif->SWidth ? right : g->gif->SWidth,
        height = bottom > g->gif->SHeight ? bottom : g->gif->SHeight;
    TRY(clipimg_new(g->in, (uint64_t)width, (uint64_t)height, out));
    set_colours(g);
    if (d->Width < width || d->Height < height)
        fill_background(g, out);
    lzw *z = calloc(1, sizeof *z);
    if (!z)
        return clipb_nomem(g->in->err, g->in->name);
    z->in = g->in;
    z->at = g->at;
    z->pixel_bits = g->in->data[g->at - 1];
    z->clear = 1u << z->pixel_bits;
    clear_codes(z);
    clip_status s = read_lines(g, z, out);
    free(z);
    return s;
}

clip_status clipimg_read_gif(const clipimg_input *in, clip_image *out, int *orientation)
{
    (void)orientation;
    gif_state g = {.in = in, .transparent = NO_TRANSPARENT_COLOR};
    int code = 0;
    g.gif = DGifOpen(&g, read_bytes, &code);
    if (!g.gif)
        return failed(in, code);
    clip_status s = read_picture(&g, out);
    DGifCloseFile(g.gif, &code);
    return s;
}
