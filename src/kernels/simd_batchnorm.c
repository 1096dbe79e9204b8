/* simd_batchnorm.c: batch norm, [rows, C]: a part of the rows, all columns.
 *
 * Sums over rows are kept in memory (they stay in the innermost cache) and four rows at a time are
 * added first: rows are then read in the order in which they lie, which matters more than
 * registers, and the sums lose less. */
#include "kernels/vec.h"

#include "kernels/tile.h"

#define ROWS 4

INLINE vf get(const float *p, int n) { return n == CLIPK_VL ? vload(p) : vload_n(p, n); }

INLINE void put(float *p, vf v, int n)
{
    if (n == CLIPK_VL)
        vstore(p, v);
    else
        vstore_n(p, v, n);
}

/* DO(c, n) for every run of n columns from c: whole vectors, then what is left. */
#define COLUMNS(C, DO)                              \
    do {                                            \
        int c_ = 0;                                 \
        for (; c_ + CLIPK_VL <= (C); c_ += CLIPK_VL) \
            DO(c_, CLIPK_VL);                       \
        if (c_ < (C))                               \
            DO(c_, (C) - c_);                       \
    } while (0)

/* ---- Forward --------------------------------------------------------------------------------- */

/* Sums of x - first row and of its squares: near the mean, nothing is lost when one is taken from
 * the other. */
INLINE void stats_rows(float *sum, float *squares, const float *x, const float *first, int C, int rows, int c, int n)
{
    vf s = {0}, q = {0};
    const vf base = get(first + c, n);
    UNROLL
    for (int r = 0; r < rows; r++) {
        vf d = get(x + (int64_t)r * C + c, n) - base;
        s += d;
        q += d * d;
    }
    put(sum + c, get(sum + c, n) + s, n);
    put(squares + c, get(squares + c, n) + q, n);
}

INLINE void stats_end(float *mean, float *squares, const float *first, float per_row, int c, int n)
{
    const vf s = get(mean + c, n), m = s * per_row, q = get(squares + c, n) - s * m;
    put(mean + c, get(first + c, n) + m, n);
    put(squares + c, vmax(q, (vf){0}), n);
}

void NAME(batchnorm_stats)(float *mean, float *squares, const float *x, int rows, int C)
{
    memset(mean, 0, sizeof(float) * (size_t)C);
    memset(squares, 0, sizeof(float) * (size_t)C);
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
    return (x - get(b->mean + c, n)) * (get(b->rstd + c, n) * get(b->gain + c, n)) + get(b->bias + c, n);
}

INLINE void forward(float *y, const float *x, const clipk_batchnorm *b, const float *residual, bool relu, int c, int n)
{
    vf z = normed(b, get(x + c, n), c, n);
    if (residual)
        z += get(residual + c, n);
    put(y + c, relu ? vmax((vf){0}, z) : z, n); /* NaN stays */
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

/* How it is known where the output was positive. */
enum { ALL, BY_OUTPUT, BY_INPUT };

INLINE vf gradient(const clipk_batchnorm_piece *p, vf x, int64_t row, int how, int c, int n)
{
    const vf dy = get(p->dy + row + c, n);
    if (how == ALL)
        return dy;
    const vf y = how == BY_OUTPUT ? get(p->y + row + c, n) : normed(&p->b, x, c, n);
    return vselect(y > 0, dy, (vf){0});
}

INLINE void sums(const clipk_batchnorm_piece *p, int64_t at, int rows, int how, int c, int n)
{
    vf s = {0}, q = {0};
    const vf mean = get(p->b.mean + c, n);
    UNROLL
    for (int r = 0; r < rows; r++) {
        const int64_t row = at + (int64_t)r * p->C;
        const vf x = get(p->x + row + c, n), dz = gradient(p, x, row, how, c, n);
        if (p->dz)
            put(p->dz + row + c, dz, n);
        s += dz;
        q += dz * (x - mean);
    }
    put(p->sum_dz + c, get(p->sum_dz + c, n) + s, n);
    put(p->sum_dzx + c, get(p->sum_dzx + c, n) + q, n);
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
    memset(p->sum_dz, 0, sizeof(float) * (size_t)p->C);
    memset(p->sum_dzx, 0, sizeof(float) * (size_t)p->C);
    switch (how_of(p)) {
    case ALL: sums_all(p, ALL); break;
    case BY_OUTPUT: sums_all(p, BY_OUTPUT); break;
    default: sums_all(p, BY_INPUT);
    }
}

INLINE void backward(const clipk_batchnorm_piece *p, int64_t row, int how, int c, int n)
{
    const vf x = get(p->x + row + c, n), dz = gradient(p, x, row, how, c, n);
    put(p->dx + row + c,
        get(p->scale + c, n) * dz - get(p->offset + c, n) - get(p->slope + c, n) * (x - get(p->b.mean + c, n)), n);
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
