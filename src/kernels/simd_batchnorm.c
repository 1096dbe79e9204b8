/* simd_batchnorm.c: batch norm, [rows, C]: a part of the rows, all columns.
 *
 * Sums over rows are kept in memory, in the innermost cache. Four rows are added together first. So
 * rows are read in the order in which they lie, which matters more than registers, and the sums are
 * more exact. */
#include "kernels/vec.h"

#include "kernels/tile.h"

#define ROWS 4

INLINE vf load_run(const float *p, int n) { return n == CLIPK_VL ? vload(p) : vload_n(p, n); }

INLINE void store_run(float *p, vf v, int n)
{
    if (n == CLIPK_VL)
        vstore(p, v);
    else
        vstore_n(p, v, n);
}

/* DO(c, n) for every run of n columns from c: whole vectors, then the remaining columns. */
#define COLUMNS(C, DO)                              \
    do {                                            \
        int c_ = 0;                                 \
        for (; c_ + CLIPK_VL <= (C); c_ += CLIPK_VL) \
            DO(c_, CLIPK_VL);                       \
        if (c_ < (C))                               \
            DO(c_, (C) - c_);                       \
    } while (0)

/* ---- Forward --------------------------------------------------------------------------------- */

/* Sums of (x - first row) and of its square. These numbers are near the mean, so the difference
 * that gives the variance loses no digits. */
INLINE void stats_rows(float *sum, float *squares, const float *x, const float *first, int C, int rows, int c, int n)
{
    vf s = {0}, q = {0};
    const vf base = load_run(first + c, n);
    UNROLL
    for (int r = 0; r < rows; r++) {
        vf d = load_run(x + (int64_t)r * C + c, n) - base;
        s += d;
        q += d * d;
    }
    store_run(sum + c, load_run(sum + c, n) + s, n);
    store_run(squares + c, load_run(squares + c, n) + q, n);
}

INLINE void stats_end(float *mean, float *squares, const float *first, float per_row, int c, int n)
{
    const vf s = load_run(mean + c, n), m = s * per_row, q = load_run(squares + c, n) - s * m;
    store_run(mean + c, load_run(first + c, n) + m, n);
    store_run(squares + c, vmax(q, (vf){0}), n);
}

void NAME(batchnorm_stats)(float *mean, float *squares, const float *x, int rows, int C)
{
    memset(mean, 0, sizeof(float) * C);
    memset(squares, 0, sizeof(float) * C);
    const float *at = x;
    int r = 0;
#define FOUR(c, n) stats_rows(mean, squares, at, x, C, ROWS, c, n)
#define ONE(c, n) stats_rows(mean, squares, at, x, C, 1, c, n)
#define END(c, n) stats_end(mean, squares, x, 1.0f / (float)rows, c, n)
    for (; r + ROWS <= rows; r += ROWS, at += (int64_t)ROWS * C)
        COLUMNS(C, FOUR);
    for (; r < rows; r++, at += C)
        COLUMNS(C, ONE);
    COLUMNS(C, END);
#undef FOUR
#undef ONE
#undef END
}

/* xh gain + bias. Forward and backward must agree on its sign. */
INLINE vf normed(const clipk_batchnorm *b, vf x, int c, int n)
{
    return (x - load_run(b->mean + c, n)) * (load_run(b->rstd + c, n) * load_run(b->gain + c, n)) +
           load_run(b->bias + c, n);
}

INLINE void forward(float *y, const float *x, const clipk_batchnorm *b, const float *residual, bool relu, int c, int n)
{
    vf z = normed(b, load_run(x + c, n), c, n);
    if (residual)
        z += load_run(residual + c, n);
    store_run(y + c, relu ? vmax((vf){0}, z) : z, n); /* NaN stays */
}

void NAME(batchnorm)(float *y, const float *x, const clipk_batchnorm *b, const float *residual, clipk_act act, int rows,
                     int C)
{
#define LINE(c, n) forward(y, x, b, residual, true, c, n)
#define LINE_LINEAR(c, n) forward(y, x, b, residual, false, c, n)
    for (int r = 0; r < rows; r++, x += C, y += C, residual = residual ? residual + C : NULL)
        if (act == CLIPK_RELU)
            COLUMNS(C, LINE);
        else
            COLUMNS(C, LINE_LINEAR);
#undef LINE
#undef LINE_LINEAR
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* How to find where the output was positive. */
enum { ALL, BY_OUTPUT, BY_INPUT };

INLINE vf gradient(const clipk_batchnorm_piece *p, vf x, int64_t row, int how, int c, int n)
{
    const vf dy = load_run(p->dy + row + c, n);
    if (how == ALL)
        return dy;
    const vf y = how == BY_OUTPUT ? load_run(p->y + row + c, n) : normed(&p->b, x, c, n);
    return vselect(y > 0, dy, (vf){0});
}

INLINE void sums(const clipk_batchnorm_piece *p, int64_t at, int rows, int how, int c, int n)
{
    vf s = {0}, q = {0};
    const vf mean = load_run(p->b.mean + c, n);
    UNROLL
    for (int r = 0; r < rows; r++) {
        const int64_t row = at + (int64_t)r * p->C;
        const vf x = load_run(p->x + row + c, n), dz = gradient(p, x, row, how, c, n);
        if (p->dz)
            store_run(p->dz + row + c, dz, n);
        s += dz;
        q += dz * (x - mean);
    }
    store_run(p->sum_dz + c, load_run(p->sum_dz + c, n) + s, n);
    store_run(p->sum_dzx + c, load_run(p->sum_dzx + c, n) + q, n);
}

INLINE void sums_all(const clipk_batchnorm_piece *p, int how)
{
    const int C = p->C;
    int r = 0;
#define FOUR(c, n) sums(p, (int64_t)r * C, ROWS, how, c, n)
#define ONE(c, n) sums(p, (int64_t)r * C, 1, how, c, n)
    for (; r + ROWS <= p->rows; r += ROWS)
        COLUMNS(C, FOUR);
    for (; r < p->rows; r++)
        COLUMNS(C, ONE);
#undef FOUR
#undef ONE
}

static int how_of(const clipk_batchnorm_piece *p) { return p->act != CLIPK_RELU ? ALL : p->y ? BY_OUTPUT : BY_INPUT; }

void NAME(batchnorm_sums)(const clipk_batchnorm_piece *p)
{
    memset(p->sum_dz, 0, sizeof(float) * p->C);
    memset(p->sum_dzx, 0, sizeof(float) * p->C);
    switch (how_of(p)) {
    case ALL: sums_all(p, ALL); break;
    case BY_OUTPUT: sums_all(p, BY_OUTPUT); break;
    default: sums_all(p, BY_INPUT);
    }
}

INLINE void backward(const clipk_batchnorm_piece *p, int64_t row, int how, int c, int n)
{
    const vf x = load_run(p->x + row + c, n), dz = gradient(p, x, row, how, c, n);
    store_run(p->dx + row + c,
              load_run(p->scale + c, n) * dz - load_run(p->offset + c, n) -
                  load_run(p->slope + c, n) * (x - load_run(p->b.mean + c, n)),
              n);
}

INLINE void backward_all(const clipk_batchnorm_piece *p, int how)
{
#define LINE(c, n) backward(p, (int64_t)r * p->C, how, c, n)
    for (int r = 0; r < p->rows; r++)
        COLUMNS(p->C, LINE);
#undef LINE
}

void NAME(batchnorm_backward)(const clipk_batchnorm_piece *p)
{
    switch (how_of(p)) {
    case ALL: backward_all(p, ALL); break;
    case BY_OUTPUT: backward_all(p, BY_OUTPUT); break;
    default: backward_all(p, BY_INPUT);
    }
}
