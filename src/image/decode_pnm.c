/* decode_pnm.c: netpbm's portable anymaps: P1..P3 in ASCII, P4..P6 in bytes (bitmap, grey, color),
 * P7 (PAM).
 *
 *     P6 # comment            P7
 *     WIDTH HEIGHT            WIDTH 4, HEIGHT 4, DEPTH 3, MAXVAL 255, TUPLTYPE RGB: a line each
 *     MAXVAL                  ENDHDR
 *     samples                 samples
 *
 * A sample v stands for v / MAXVAL. If MAXVAL is above 255, samples have two bytes, the high one
 * first. A sample becomes round(v / MAXVAL * 255), half to even, as in Pillow. (Pillow clips 16-bit
 * grey; here grey and color are treated alike.) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/decode.h"

typedef struct pnm_state {
    const clipimg_input *in;
    size_t at;
    int kind;                   /* 1..7 */
    uint32_t width, height, maxval;
    unsigned depth;             /* samples per pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA */
    uint8_t *level;             /* [maxval + 1] */
} pnm_state;

static clip_status damaged(const pnm_state *p, const char *what)
{
    return clipb_fail(p->in->err, CLIP_EFORMAT, p->in->name, "PNM: %s", what);
}

static clip_status truncated(const pnm_state *p) { return damaged(p, "the file is truncated"); }

static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next byte that is neither space nor comment, which is left unread; -1: the end. */
static int next_char(pnm_state *p)
{
    for (; p->at < p->in->size; p->at++) {
        int c = p->in->data[p->at];
        if (c == '#')
            while (p->at + 1 < p->in->size && p->in->data[p->at + 1] != '\n' && p->in->data[p->at + 1] != '\r')
                p->at++;
        else if (!is_space(c))
            return c;
    }
    return -1;
}

static clip_status read_number(pnm_state *p, uint32_t *out)
{
    int c = next_char(p);
    if (c < 0)
        return truncated(p);
    uint64_t value = 0;
    size_t from = p->at;
    for (; p->at < p->in->size && p->in->data[p->at] >= '0' && p->in->data[p->at] <= '9' && p->at - from < 10; p->at++)
        value = 10 * value + (uint64_t)(p->in->data[p->at] - '0');
    bool ends = p->at == p->in->size || is_space(p->in->data[p->at]) || p->in->data[p->at] == '#';
    if (p->at == from || !ends || value > UINT32_MAX)
        return damaged(p, "a number is missing in the header or the samples");
    *out = (uint32_t)value;
    return CLIP_OK;
}

/* ---- headers ---- */

/* If the PAM header goes on with this word, steps over it. */
static bool skip_word(pnm_state *p, const char *w)
{
    size_t n = strlen(w), left = p->in->size - p->at;
    if (left <= n || memcmp(p->in->data + p->at, w, n) != 0 || !is_space(p->in->data[p->at + n]))
        return false;
    p->at += n;
    return true;
}

static clip_status read_pam_header(pnm_state *p)
{
    uint32_t depth = 0;
    for (;;) {
        if (next_char(p) < 0)
            return truncated(p);
        if (skip_word(p, "ENDHDR"))
            break;
        if (skip_word(p, "WIDTH"))
            TRY(read_number(p, &p->width));
        else if (skip_word(p, "HEIGHT"))
            TRY(read_number(p, &p->height));
        else if (skip_word(p, "DEPTH"))
            TRY(read_number(p, &depth));
        else if (skip_word(p, "MAXVAL"))
            TRY(read_number(p, &p->maxval));
        else /* TUPLTYPE: the depth says the same */
            while (p->at < p->in->size && p->in->data[p->at] != '\n')
                p->at++;
    }
    if (depth < 1 || depth > 4)
        return clipb_fail(p->in->err, CLIP_EUNSUPPORTED, p->in->name, "PAM: %u samples per pixel are not supported",
                          depth);
    p->depth = depth;
    return CLIP_OK;
}

static clip_status read_header(pnm_state *p)
{
    p->kind = p->in->data[1] - '0';
    p->at = 2;
    p->maxval = 1;
    if (p->kind == 7)
        TRY(read_pam_header(p));
    else {
        p->depth = p->kind % 3 == 0 ? 3 : 1;
        TRY(read_number(p, &p->width));
        TRY(read_number(p, &p->height));
        if (p->kind % 3 != 1)
            TRY(read_number(p, &p->maxval));
    }
    if (p->maxval < 1 || p->maxval > 65535)
        return damaged(p, "the largest value (MAXVAL) must be 1..65535");
    if (p->kind >= 4) { /* one white space, then bytes */
        if (p->at >= p->in->size)
            return truncated(p);
        p->at++;
    }
    return CLIP_OK;
}

/* ---- samples ---- */

static clip_status make_levels(pnm_state *p)
{
    p->level = malloc((size_t)p->maxval + 1);
    if (!p->level)
        return clipb_nomem(p->in->err, p->in->name);
    for (uint32_t v = 0; v <= p->maxval; v++)
        p->level[v] = (uint8_t)rint((double)v / p->maxval * 255);
    if (p->kind == 1 || p->kind == 4) { /* 1 is ink */
        p->level[0] = 255;
        p->level[1] = 0;
    }
    return CLIP_OK;
}

/* One row of samples in ASCII. A bitmap's digits need no space between them. */
static clip_status read_text(pnm_state *p, uint8_t *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t v;
        if (p->kind == 1) {
            int c = next_char(p);
            if (c != '0' && c != '1')
                return c < 0 ? truncated(p) : damaged(p, "a bitmap's sample is neither 0 nor 1");
            v = (uint32_t)(c - '0');
            p->at++;
        } else
            TRY(read_number(p, &v));
        if (v > p->maxval)
            return damaged(p, "a sample is above the largest value (MAXVAL)");
        samples[i] = p->level[v];
    }
    return CLIP_OK;
}

static clip_status read_binary(pnm_state *p, uint8_t *samples, size_t n)
{
    size_t bytes = p->kind == 4 ? (n + 7) / 8 : p->maxval > 255 ? 2 * n : n;
    if (p->in->size - p->at < bytes)
        return truncated(p);
    const unsigned char *from = p->in->data + p->at;
    p->at += bytes;
    if (p->maxval == 255)
        memcpy(samples, from, n);
    else
        for (size_t i = 0; i < n; i++) {
            uint32_t v = p->kind == 4      ? from[i / 8] >> (7 - i % 8) & 1
                         : p->maxval > 255 ? clipimg_be16(from + 2 * i)
                                           : from[i];
            samples[i] = p->level[v > p->maxval ? p->maxval : v];
        }
    return CLIP_OK;
}

static void write_row(const pnm_state *p, const uint8_t *samples, uint8_t *rgb)
{
    bool alpha = p->depth % 2 == 0;
    for (size_t x = 0; x < p->width; x++, samples += p->depth, rgb += 3) {
        uint8_t rgba[4] = {samples[0], samples[p->depth > 2 ? 1 : 0], samples[p->depth > 2 ? 2 : 0],
                           samples[p->depth - 1]};
        if (alpha && p->in->flatten)
            clipimg_flatten_row(p->in, rgba, rgb, 1);
        else
            memcpy(rgb, rgba, 3);
    }
}

static clip_status read_rows(pnm_state *p, const clip_image *out)
{
    size_t n = (size_t)p->width * p->depth;
    TRY(make_levels(p));
    uint8_t *samples = p->depth == 3 ? NULL : malloc(n);
    if (p->depth != 3 && !samples)
        return clipb_nomem(p->in->err, p->in->name);
    clip_status s = CLIP_OK;
    for (size_t y = 0; y < p->height && s == CLIP_OK; y++) {
        uint8_t *row = samples ? samples : clipimg_row(out, y);
        s = p->kind <= 3 ? read_text(p, row, n) : read_binary(p, row, n);
        if (s == CLIP_OK && samples)
            write_row(p, samples, clipimg_row(out, y));
    }
    free(samples);
    return s;
}

clip_status clipimg_read_pnm(const clipimg_input *in, clip_image *out, int *orientation)
{
    (void)orientation;
    pnm_state p = {.in = in};
    TRY(read_header(&p));
    TRY(clipimg_new(in, p.width, p.height, out));
    clip_status s = read_rows(&p, out);
    free(p.level);
    return s;
}
