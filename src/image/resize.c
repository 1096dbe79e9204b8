/* resize.c: Pillow's resampling (its Resample.c), bit for bit.
 *
 * Output pixel i of an axis lies at c = (i + 1/2) scale in the input, scale = in / out. Its filter
 * is the kernel widened by max(scale, 1), so that shrinking averages over all input pixels:
 *
 *     support = radius max(scale, 1)
 *     first = [c - support + 1/2],  end = [c + support + 1/2], cut to the input
 *     w_k = kernel((first + k - c + 1/2) / max(scale, 1)), divided by their sum in doubles, then
 *           rounded to 22 bits
 *
 * Rows first, rounded to 8 bits, then columns. Columns go first if the height shrinks, and by more
 * than twice the pixels that the width does. (This came with Pillow 13. Before, rows were always
 * first; pictures taller than about 2 : 1 differ by a rounding here and there.)
 *
 * The rows that a column filter reads are kept in a ring, which stays in the cache. Each input row
 * goes through the horizontal pass once, eight at a time. */
#include "image/resize.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { MIN_CHUNK = 1024 }; /* pixels rearranged at once; the result fits the second-level cache */

/* ---- kernels ---- */

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double bicubic(double x) /* a = -1/2, Catmull-Rom */
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

/* ---- one axis ---- */

typedef struct axis {
    int in;       /* pixels of the input */
    double scale, stretch, support;
    double (*kernel)(double);
    int most;     /* most taps of an output */
    double *w;    /* [most] */
    int32_t *c;   /* [most] coefficients of the last output */
} axis;

static clip_status axis_init(axis *a, int in, int64_t out, clipimg_filter filter)
{
    a->in = in;
    a->scale = (double)(float)in / (double)out; /* Pillow keeps the box in floats */
    a->stretch = a->scale < 1.0 ? 1.0 : a->scale;
    a->kernel = filter == CLIPIMG_BILINEAR ? bilinear : bicubic;
    a->support = (filter == CLIPIMG_BILINEAR ? 1.0 : 2.0) * a->stretch;
    double most = ceil(a->support) * 2 + 1;
    a->most = most < in ? (int)most : in;
    a->w = malloc((size_t)a->most * sizeof *a->w);
    a->c = malloc((size_t)a->most * sizeof *a->c);
    return a->w && a->c ? CLIP_OK : CLIP_ENOMEM;
}

static void axis_free(axis *a)
{
    free(a->w);
    free(a->c);
}

/* Computes the filter of output i: coefficients to a->c. Returns their number. */
static int axis_filter(axis *a, int64_t i, int *first)
{
    double center = ((double)i + 0.5) * a->scale, from = center - a->support + 0.5, to = center + a->support + 0.5;
    int start = from < 0 ? 0 : (int)from, end = to > a->in ? a->in : (int)to;
    double sum = 0, narrow = 1.0 / a->stretch;
    int n = end - start;
    for (int k = 0; k < n; k++) {
        a->w[k] = a->kernel((k + start - center + 0.5) * narrow);
        sum += a->w[k];
    }
    for (int k = 0; k < n; k++) {
        double w = (sum != 0.0 ? a->w[k] / sum : a->w[k]) * (1 << CLIPIMG_SHIFT);
        a->c[k] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
    *first = start;
    return n;
}

/* Computes all filters of the window's columns, in pairs. */
static clip_status filters_init(clipimg_filters *f, axis *a, int64_t x, int n)
{
    size_t most = (size_t)a->most / 2 + 1, bytes; /* pairs, if the first pixel is odd */
    *f = (clipimg_filters){
        .n = n, .width = a->in, .first = malloc((size_t)n * sizeof(int)), .pairs = malloc((size_t)n * sizeof(int))};
    if (!f->first || !f->pairs || __builtin_mul_overflow(most * sizeof *f->taps, (size_t)n, &bytes) ||
        !(f->taps = malloc(bytes)))
        return CLIP_ENOMEM;
    int64_t chunk = (4 * (int64_t)most + MIN_CHUNK) / 4 * 4, all = ((int64_t)a->in + 7) / 4 * 4;
    f->chunk = (int)(chunk < all ? chunk : all);
    f->scratch = aligned_alloc(CLIPB_ALIGN, (size_t)f->chunk / 2 * 3 * CLIPIMG_ROWS * 2 * sizeof(int16_t));
    if (!f->scratch)
        return CLIP_ENOMEM;
    clipimg_taps *t = f->taps;
    for (int i = 0; i < n; i++) {
        int count = axis_filter(a, x + i, &f->first[i]), odd = f->first[i] % 2;
        f->first[i] -= odd;
        f->pairs[i] = (count + odd + 1) / 2;
        for (int k = 0; k < 2 * f->pairs[i]; k++) {
            int32_t c = k >= odd && k - odd < count ? a->c[k - odd] : 0, high = c >> 15;
            t[k / 2].high[k % 2] = (int16_t)high;
            t[k / 2].low[k % 2] = (int16_t)(c - high * 32768);
        }
        t += f->pairs[i];
    }
    return CLIP_OK;
}

static void filters_free(clipimg_filters *f)
{
    free(f->first);
    free(f->pairs);
    free(f->taps);
    free(f->scratch);
}

/* ---- both axes ---- */

typedef struct resizer {
    const clipimg_passes *passes;
    const clip_image *in;
    bool horizontal, vertical; /* the passes to do: a side that keeps its size needs none */
    bool columns_first;
    axis ax, ay;
    clipimg_filters f;
    int64_t x, y;
    size_t bytes;             /* of a row of the window */
    uint8_t *spare;           /* [CLIPIMG_ROWS, spare_bytes] copies of rows that may be read beyond their end */
    size_t spare_bytes;
    uint8_t *ring;            /* [ring_rows, bytes] row y at y % ring_rows */
    int ring_rows, done;      /* done: rows below it have been through */
    const uint8_t **rows;     /* [ay.most] the rows that a column filter reads */
} resizer;

static clip_status resizer_init(resizer *r, int64_t width, int64_t height, clipimg_filter filter, int window_width)
{
    size_t bytes;
    r->bytes = 3 * (size_t)window_width;
    if (r->horizontal) {
        TRY(axis_init(&r->ax, r->in->width, width, filter));
        TRY(filters_init(&r->f, &r->ax, r->x, window_width));
        r->spare_bytes = 3 * (size_t)r->in->width + CLIPIMG_OVERREAD;
        r->spare = calloc(CLIPIMG_ROWS, r->spare_bytes);
        if (!r->spare)
            return CLIP_ENOMEM;
    }
    if (r->vertical) {
        TRY(axis_init(&r->ay, r->in->height, height, filter));
        r->rows = malloc((size_t)r->ay.most * sizeof *r->rows);
        if (!r->rows)
            return CLIP_ENOMEM;
    }
    if (r->horizontal && r->vertical && !r->columns_first) {
        r->ring_rows = r->ay.most + CLIPIMG_ROWS - 1; /* the rows of a filter, and the rest of a group */
        if (__builtin_mul_overflow((size_t)r->ring_rows, r->bytes, &bytes) || !(r->ring = malloc(bytes)))
            return CLIP_ENOMEM;
    }
    return CLIP_OK;
}

static const uint8_t *input_row(const resizer *r, int y) { return r->in->rgb + (size_t)y * r->in->stride; }
static int group_rows(int left) { return left < CLIPIMG_ROWS ? left : CLIPIMG_ROWS; }

/* The horizontal pass over n <= CLIPIMG_ROWS rows. A short group repeats its first row. */
static void pass_rows(const resizer *r, const uint8_t *const *in, uint8_t *const *out, int n)
{
    const uint8_t *from[CLIPIMG_ROWS];
    uint8_t *to[CLIPIMG_ROWS];
    for (int k = 0; k < CLIPIMG_ROWS; k++) {
        from[k] = in[k < n ? k : 0];
        to[k] = out[k < n ? k : 0];
    }
    r->passes->horizontal(&r->f, from, to);
}

/* The same over rows [y, y + n) of the input. A row that another one follows can be read beyond its
 * end; the last one is copied. */
static void pass_input_rows(const resizer *r, int y, int n, uint8_t *const *out)
{
    const uint8_t *in[CLIPIMG_ROWS];
    size_t bytes = 3 * (size_t)r->in->width;
    for (int k = 0; k < n; k++) {
        in[k] = input_row(r, y + k);
        if (y + k == r->in->height - 1 || bytes < CLIPIMG_OVERREAD)
            in[k] = memcpy(r->spare + (size_t)k * r->spare_bytes, in[k], bytes);
    }
    pass_rows(r, in, out, n);
}

/* Output row i of the window from rows of the input, of which bytes [at, at + bytes) are read. */
static void pass_columns(resizer *r, int i, size_t at, size_t bytes, uint8_t *out)
{
    int first, n = axis_filter(&r->ay, r->y + i, &first);
    for (int k = 0; k < n; k++)
        r->rows[k] = input_row(r, first + k) + at;
    r->passes->vertical(r->ay.c, r->rows, n, out, bytes);
}

static void rows_then_columns(resizer *r, const clip_image *out)
{
    for (int i = 0; i < out->height; i++) {
        int first, n = axis_filter(&r->ay, r->y + i, &first);
        if (r->done < first)
            r->done = first;
        while (r->done < first + n) {
            int rows = group_rows(r->in->height - r->done);
            uint8_t *to[CLIPIMG_ROWS];
            for (int k = 0; k < rows; k++)
                to[k] = r->ring + (size_t)((r->done + k) % r->ring_rows) * r->bytes;
            pass_input_rows(r, r->done, rows, to);
            r->done += rows;
        }
        for (int k = 0; k < n; k++)
            r->rows[k] = r->ring + (size_t)((first + k) % r->ring_rows) * r->bytes;
        r->passes->vertical(r->ay.c, r->rows, n, out->rgb + (size_t)i * out->stride, r->bytes);
    }
}

static void columns_then_rows(resizer *r, const clip_image *out)
{
    /* the columns that are read */
    int last = r->f.n - 1, from = r->f.first[0], to = r->f.first[last] + 2 * r->f.pairs[last];
    size_t at = 3 * (size_t)from, bytes = 3 * (size_t)(to < r->in->width ? to : r->in->width) - at;
    for (int i = 0; i < out->height; i += CLIPIMG_ROWS) {
        int n = group_rows(out->height - i);
        const uint8_t *in[CLIPIMG_ROWS];
        uint8_t *rows[CLIPIMG_ROWS];
        for (int k = 0; k < n; k++) {
            uint8_t *row = r->spare + (size_t)k * r->spare_bytes;
            pass_columns(r, i + k, at, bytes, row + at);
            in[k] = row;
            rows[k] = out->rgb + (size_t)(i + k) * out->stride;
        }
        pass_rows(r, in, rows, n);
    }
}

static void one_pass(resizer *r, const clip_image *out)
{
    for (int i = 0; i < out->height; i += CLIPIMG_ROWS) {
        int n = group_rows(out->height - i);
        uint8_t *rows[CLIPIMG_ROWS];
        for (int k = 0; k < n; k++) {
            rows[k] = out->rgb + (size_t)(i + k) * out->stride;
            if (r->vertical)
                pass_columns(r, i + k, 3 * (size_t)r->x, r->bytes, rows[k]);
            else if (!r->horizontal)
                memcpy(rows[k], input_row(r, (int)r->y + i + k) + 3 * (size_t)r->x, r->bytes);
        }
        if (r->horizontal)
            pass_input_rows(r, (int)r->y + i, n, rows);
    }
}

clip_status clipimg_resize_window(const clipimg_passes *passes, const clip_image *in, int64_t width, int64_t height,
                                  clipimg_filter filter, int64_t x, int64_t y, const clip_image *out)
{
    assert(in->width > 0 && in->height > 0 && out->width > 0 && out->height > 0);
    assert(x >= 0 && y >= 0 && x + out->width <= width && y + out->height <= height);
    resizer r = {
        .passes = passes, .in = in, .x = x, .y = y, .horizontal = width != in->width, .vertical = height != in->height};
    r.columns_first = in->height > height && in->height - height > 2 * (in->width - width);
    clip_status s = resizer_init(&r, width, height, filter, out->width);
    if (s == CLIP_OK)
        (!r.horizontal || !r.vertical ? one_pass : r.columns_first ? columns_then_rows : rows_then_columns)(&r, out);
    axis_free(&r.ax);
    axis_free(&r.ay);
    filters_free(&r.f);
    free(r.spare);
    free(r.ring);
    free(r.rows);
    return s;
}

const clipimg_passes *clipimg_best_passes(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return &clipimg_passes_avx2;
#endif
    return &clipimg_passes_generic;
}

clip_status clipimg_resize(const clip_image *in, int width, int height, clipimg_filter filter, clip_image *out)
{
    *out = (clip_image){0};
    if (width < 1 || height < 1 || in->width < 1 || in->height < 1)
        return CLIP_EINVAL;
    clip_image to = {.width = width, .height = height, .stride = 3 * (size_t)width};
    size_t bytes;
    if (__builtin_mul_overflow(to.stride, (size_t)height, &bytes) || !(to.rgb = malloc(bytes)))
        return CLIP_ENOMEM;
    clip_status s = clipimg_resize_window(clipimg_best_passes(), in, width, height, filter, 0, 0, &to);
    if (s < 0)
        clipimg_free(&to);
    else
        *out = to;
    return s;
}
