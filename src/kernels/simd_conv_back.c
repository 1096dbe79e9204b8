/* simd_conv_back.c: the gradient of a 3x3 convolution with respect to its filters, by the method of
 * simd_conv.c. From
 *
 *     y = Aᵀ [ (G w Gᵀ) . (Bᵀ x B) ] A
 *
 * follows, since y is linear in w,
 *
 *     dw = Gᵀ [ sum over tiles of (A dy Aᵀ) . (Bᵀ x B) ] G
 *
 * At each of the 36 points the sum over tiles is a matrix product, [O, tiles] by [tiles, I]. Its
 * operands need no packing: a tile gives one number of each row and a run of columns. Gᵀ and G are
 * applied once, at the end.
 *
 *     scratch V [36, T, I padded], D [36, T, O of the piece, padded]
 *     sums      [36, O of the piece, I padded] */
#include "kernels/winograd.h"

/* ---- The tiles of dy ------------------------------------------------------------------------- */

/* A: four numbers to six. */
INLINE void gradient_line(vf *to, int step, vf y0, vf y1, vf y2, vf y3)
{
    vf even1 = y0 + SQ1 * y2, odd1 = P1 * y1 + (SQ1 * P1) * y3;
    vf even2 = y0 + SQ2 * y2, odd2 = P2 * y1 + (SQ2 * P2) * y3;
    to[0] = y0;
    to[step] = even1 + odd1;
    to[2 * step] = even1 - odd1;
    to[3 * step] = even2 + odd2;
    to[4 * step] = even2 - odd2;
    to[5 * step] = y3;
}

INLINE void gradient_tile(float *D, int64_t stride, const clipk_conv3x3_back_piece *p, place at, bool inside)
{
    const float *dy = p->dy + (((int64_t)at.n * p->H + at.h) * p->W + at.w) * p->O + p->o0;
    for (int o = 0; o < p->o1 - p->o0; o += CLIPK_VL) {
        const int n = clipb_min(CLIPK_VL, p->o1 - p->o0 - o);
        vf d[POINTS], y[4];
        for (int c = 0; c < 4; c++) {
            for (int r = 0; r < 4; r++) {
                const float *pixel = dy + ((int64_t)r * p->W + c) * p->O + o;
                if (!inside && (at.h + r >= p->H || at.w + c >= p->W))
                    y[r] = (vf){0};
                else
                    y[r] = n == CLIPK_VL ? vload(pixel) : vload_n(pixel, n);
            }
            gradient_line(d + c, 6, y[0], y[1], y[2], y[3]);
        }
        for (int r = 0; r < 6; r++) {
            vf *row = d + 6 * r;
            gradient_line(row, 1, row[0], row[1], row[2], row[3]);
            for (int c = 0; c < 6; c++)
                vstore(D + (6 * r + c) * stride + o, row[c]);
        }
    }
}

static void gradient_tiles(float *D, int Op, const clipk_conv3x3_back_piece *p)
{
    const int64_t stride = stride_of(p->t1 - p->t0, Op);
    for (int t = p->t0; t < p->t1; t++, D += Op) {
        const place at = place_of(p->H, p->W, t);
        if (at.h + 4 <= p->H && at.w + 4 <= p->W)
            gradient_tile(D, stride, p, at, true);
        else
            gradient_tile(D, stride, p, at, false);
    }
}

/* ---- The products ---------------------------------------------------------------------------- */

/* sums [m rows of o, 16 or 2 VL columns of i] = or += Dᵀ V over T tiles. */
typedef void sum_tile(float *sums, int64_t lds, bool first, const float *D, int64_t ldd, const float *V, int64_t ldv,
                      int T);

#define SUM(m, name, nv)                                                                                     \
    static NOINLINE void name##_##m(float *sums, int64_t lds, bool first, const float *D, int64_t ldd,       \
                                   const float *V, int64_t ldv, int T)                                       \
    {                                                                                                        \
        vf acc[m][2];                                                                                        \
        tile_zero(acc, m);                                                                                   \
        tile(acc, m, nv, D, 1, ldd, V, ldv, 0, T);                                                           \
        UNROLL for (int i = 0; i < m; i++)                                                                   \
        {                                                                                                    \
            UNROLL for (int v = 0; v < nv; v++)                                                              \
            {                                                                                                \
                float *at = sums + i * lds + v * CLIPK_VL;                                                   \
                vstore(at, first ? acc[i][v] : vload(at) + acc[i][v]);                                       \
            }                                                                                                \
        }                                                                                                    \
    }
#define SUM2(m) SUM(m, sum2, 2)
#define SUM1(m) SUM(m, sum1, 1)
TILE_SIZES(SUM2)
TILE_SIZES(SUM1)

#define ENTRY2(m) [m] = sum2_##m,
#define ENTRY1(m) [m] = sum1_##m,
static sum_tile *const sum[2][TILE_ROWS + 1] = {{TILE_SIZES(ENTRY1)}, {TILE_SIZES(ENTRY2)}};

void NAME(conv3x3_sums)(const clipk_conv3x3_back_piece *p)
{
    const int T = p->t1 - p->t0, n = p->o1 - p->o0, Ip = clipb_round_up(p->I, 16), Op = clipb_round_up(n, 16);
    float *V = p->scratch, *D = V + POINTS * stride_of(T, Ip);
    input_tiles(V, Ip, p->x, p->H, p->W, p->I, p->t0, p->t1);
    gradient_tiles(D, Op, p);
    for (int j = 0; j < POINTS; j++) {
        const float *v = V + j * stride_of(T, Ip), *d = D + j * stride_of(T, Op);
        float *to = p->sums + (int64_t)j * n * Ip;
        for (int i = 0, wide; i < Ip; i += wide ? 2 * CLIPK_VL : CLIPK_VL) {
            wide = Ip - i >= 2 * CLIPK_VL;
            for (int o = 0, m; o < n; o += m) {
                m = tile_step(n - o);
                sum[wide][m](to + (int64_t)o * Ip + i, Ip, p->first, d + o, Op, v + i, Ip, T);
            }
        }
    }
}

/* ---- The filters ----------------------------------------------------------------------------- */

/* Gᵀ: six numbers, `from` apart, to three. */
INLINE void filter_line_back(vf *to, int step, const vf *u, int from)
{
    const float f0 = 1 / (SQ1 * SQ2), f1 = 1 / (2 * SQ1 * (SQ1 - SQ2)), f2 = 1 / (2 * SQ2 * (SQ2 - SQ1));
    vf sum1 = f1 * (u[from] + u[2 * from]), difference1 = f1 * (u[from] - u[2 * from]);
    vf sum2 = f2 * (u[3 * from] + u[4 * from]), difference2 = f2 * (u[3 * from] - u[4 * from]);
    to[0] = f0 * u[0] + sum1 + sum2;
    to[step] = P1 * difference1 + P2 * difference2;
    to[2 * step] = SQ1 * sum1 + SQ2 * sum2 + u[5 * from];
}

void NAME(conv3x3_filters)(float *dW, const float *sums, int64_t part, int parts, int I, int n, int o)
{
    const int Ip = clipb_round_up(I, 16);
    for (int i = 0; i < I; i += CLIPK_VL) {
        vf u[POINTS], half[18], w[9];
        for (int j = 0; j < POINTS; j++) {
            const float *at = sums + ((int64_t)j * n + o) * Ip + i;
            u[j] = vload(at);
            for (int p = 1; p < parts; p++)
                u[j] += vload(at + p * part);
        }
        for (int j = 0; j < 6; j++)
            filter_line_back(half + 3 * j, 1, u + 6 * j, 1);
        for (int j = 0; j < 3; j++)
            filter_line_back(w + j, 3, half + j, 3);
        for (int l = 0; l < clipb_min(CLIPK_VL, I - i); l++)
            for (int j = 0; j < 9; j++)
                dW[(i + l) * 9 + j] += w[j][l];
    }
}

/* ---- Pooling --------------------------------------------------------------------------------- */

void NAME(avgpool2x2_backward)(float *x0, float *x1, const float *y, int W, int C)
{
    for (int w = 0; w < W; w++, y += C, x0 += 2 * C, x1 += 2 * C) {
        int c = 0;
        for (; c + CLIPK_VL <= C; c += CLIPK_VL) {
            vf q = vload(y + c) * 0.25f;
            vstore(x0 + c, q), vstore(x0 + C + c, q);
            vstore(x1 + c, q), vstore(x1 + C + c, q);
        }
        for (; c < C; c++)
            x0[c] = x0[C + c] = x1[c] = x1[C + c] = y[c] * 0.25f;
    }
}
