/* decode_gif.c: the first frame of a GIF, by giflib, on its logical screen.
 *
 * As Pillow has it: the screen grows where the frame leaves it; around the frame lies the transparent colour if there is one, else
 * colour 0; a picture without a palette is grey. */
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "image/decode.h"

typedef struct gif_state {
    const clipimg_input *in;
    size_t at;
    GifFileType *gif;
    int transparent;     /* index, or NO_TRANSPARENT_COLOR */
    uint8_t colour[256][3];
    uint8_t *line;       /* indices of one row */
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
        return clipb_fail(in->err, CLIP_ENOMEM, in->name, "out of memory");
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

/* Go to the first frame. */
static clip_status find_frame(gif_state *g)
{
    for (;;) {
        GifRecordType type;
        if (DGifGetRecordType(g->gif, &type) == GIF_ERROR)
            return failed(g->in, g->gif->Error);
        if (type == EXTENSION_RECORD_TYPE)
            TRY(read_extension(g));
        else if (type != IMAGE_DESC_RECORD_TYPE)
            return clipb_fail(g->in->err, CLIP_EFORMAT, g->in->name, "GIF: no picture in it");
        else
            return DGifGetImageDesc(g->gif) == GIF_ERROR ? failed(g->in, g->gif->Error) : CLIP_OK;
    }
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

static void fill(const gif_state *g, const clip_image *out)
{
    const uint8_t *colour = g->colour[g->transparent == NO_TRANSPARENT_COLOR ? 0 : g->transparent & 255];
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            memcpy(clipimg_row(out, (size_t)y) + 3 * x, colour, 3);
}

static clip_status read_lines(gif_state *g, const clip_image *out)
{
    static const struct pass {
        int first, step;
    } interlaced[4] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}}, plain[1] = {{0, 1}};
    const GifImageDesc *d = &g->gif->Image;
    int passes = d->Interlace ? 4 : 1;
    for (int i = 0; i < passes; i++) {
        const struct pass *pass = d->Interlace ? &interlaced[i] : &plain[i];
        for (int y = pass->first; y < d->Height; y += pass->step) {
            if (DGifGetLine(g->gif, g->line, d->Width) == GIF_ERROR)
                return failed(g->in, g->gif->Error);
            uint8_t *to = clipimg_row(out, (size_t)(d->Top + y)) + 3 * (size_t)d->Left;
            for (int x = 0; x < d->Width; x++)
                memcpy(to + 3 * x, g->colour[g->line[x]], 3);
        }
    }
    return CLIP_OK;
}

static clip_status read_picture(gif_state *g, clip_image *out)
{
    TRY(find_frame(g));
    const GifImageDesc *d = &g->gif->Image;
    if (d->Width < 1 || d->Height < 1 || d->Left < 0 || d->Top < 0)
        return clipb_fail(g->in->err, CLIP_EFORMAT, g->in->name, "GIF: a frame of %d x %d pixels", d->Width, d->Height);
    int right = d->Left + d->Width, bottom = d->Top + d->Height; /* 16 bits each in the file */
    int width = right > g->gif->SWidth ? right : g->gif->SWidth, height = bottom > g->gif->SHeight ? bottom : g->gif->SHeight;
    TRY(clipimg_new(g->in, (uint64_t)width, (uint64_t)height, out));
    g->line = malloc((size_t)d->Width);
    if (!g->line)
        return clipb_fail(g->in->err, CLIP_ENOMEM, g->in->name, "out of memory");
    set_colours(g);
    if (d->Width < width || d->Height < height)
        fill(g, out);
    return read_lines(g, out);
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
    free(g.line);
    return s;
}
