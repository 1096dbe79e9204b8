/* simd_conv.c: the 3x3 convolution by Winograd's minimal filtering F(4x4, 3x3)  (Lavin and Gray
 *     2015, arXiv:1509.09308).
 *
 * A tile of 4x4 pixels depends on 6x6 pixels of x. Filter and pixels are read as polynomials, known
 * from their values at 6 points in each dimension. At a point, convolution is a multiplication:
 *
 *     y = Aᵀ [ (G w Gᵀ) . (Bᵀ x B) ] A        36 products a tile instead of 144
 *
 * The products of all tiles and channels at one of the 36 points are a matrix product: [tiles, I]
 * by [I, O]. The points are 0, +-3/4, +-3/2 and infinity. They are symmetric, so the transforms
 * share their even and odd halves. They are close together, which halves the error of the usual 0,
 * +-1, +-2: 7e-7 of the result's root mean square, where the plain sum has 1e-7.
 *
 *     panels  U [36, O/NR, I, NR]
 *     scratch V [36, T, I padded], M [36, T, O padded], for T tiles
 *
 * winograd.h has the transforms of x. */
#include "kernels/winograd.h"

#define NR TILE_COLUMNS

/* ---- The weights ----------------------------------------------------------------------------- */

size_t NAME(conv3x3_bytes)(int O, int I) { return sizeof(float) * POINTS * clipb_round_up(O, NR) * I; }

/* G: three numbers, `from` apart, to six. */
INLINE void filter_line(vf *to, int step, const vf *from, int at)
{
    const float f0 = 1 / (SQ1 * SQ2), f1 = 1 / (2 * SQ1 * (SQ1 - SQ2)), f2 = 1 / (2 * SQ2 * (SQ2 - SQ1));
    vf g0 = from[0], g1 = from[at], g2 = from[2 * at];
    to[0] = f0 * g0;
    to[step] = f1 * (g0 + SQ1 * g2 + P1 * g1);
    to[2 * step] = f1 * (g0 + SQ1 * g2 - P1 * g1);
    to[3 * step] = f2 * (g0 + SQ2 * g2 + P2 * g1);
    to[4 * step] = f2 * (g0 + SQ2 * g2 - P2 * g1);
    to[5 * step] = g2;
}

void NAME(conv3x3_pack)(void *panels, clipk_filters W, int O, int I, int o0, int o1)
{
    const size_t point = (size_t)clipb_round_up(O, NR) * I;
    float *u = (float *)panels + (size_t)o0 * I;
    for (int i = 0; i < I; i++)
        for (int v = 0; v < NR; v += CLIPK_VL, u += CLIPK_VL) {
            vf w[9] = {{0}}, half[18], all[POINTS];
            for (int l = 0; l < clipb_min(CLIPK_VL, o1 - o0 - v); l++)
                for (int j = 0; j < 9; j++)
                    w[j][l] = W.p[(o0 + v + l) * W.os + i * W.is + j * W.ts];
            for (int j = 0; j < 3; j++)
                filter_line(half + j, 3, w + j, 3);
            for (int j = 0; j < 6; j++)
                filter_line(all + 6 * j, 1, half + 3 * j, 1);
            for (int p = 0; p < POINTS; p++)
                vstore(u + p * point, all[p]);
        }
}

/* ---- The products ---------------------------------------------------------------------------- */

/* M = V U at every point, for m rows and one panel. */
typedef void product_tile(float *M, int64_t ldm, const float *V, int64_t ldv, const float *U, int I);

#define PRODUCT(m)                                                                                                  \
    static NOINLINE void product_##m(float *M, int64_t ldm, const float *V, int64_t ldv, const float *U, int I)     \
    {                                                                                                               \
        vf acc[m][2];                                                                                               \
        tile_zero(acc, m);                                                                                          \
        tile(acc, m, 2, V, ldv, 1, U, NR, 0, I);                                                                    \
        UNROLL for (int i = 0; i < m; i++)                                                        \
        {                                                                                                           \
            vstore(M + i * ldm, acc[i][0]);                                                                         \
            vstore(M + i * ldm + CLIPK_VL, acc[i][1]);                                                              \
        }                                                                                                           \
    }
TILE_SIZES(PRODUCT)

#define ENTRY(m) [m] = product_##m,
static product_tile *const product[] = {TILE_SIZES(ENTRY)};

static void products(const clipk_conv3x3_piece *p, float *M, int Op, const float *V, int Ip)
{
    const int T = p->t1 - p->t0;
    const int64_t panel = (int64_t)p->I * NR, point = (int64_t)clipb_round_up(p->O, NR) * p->I;
    for (int j = 0; j < POINTS; j++) {
        const float *U = (const float *)p->panels + j * point + (int64_t)p->o0 * p->I, *v = V + j * stride_of(T, Ip);
        float *to = M + j * stride_of(T, Op);
        for (int o = 0; o < p->o1 - p->o0; o += NR, U += panel)
            for (int t = 0, m; t < T; t += m) {
                m = tile_step(T - t);
                product[m](to + t * Op + o, Op, v + t * Ip, Ip, U, p->I);
            }
    }
}

/* Aᵀ: six numbers to four, `step` apart. */
INLINE void output_line(vf *y, const vf *m, int step)
{
    vf sum1 = m[step] + m[2 * step], difference1 = m[step] - m[2 * step];
    vf sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    y[0] = m[0] + sum1 + sum2;
    y[step] = P1 * difference1 + P2 * difference2;
    y[2 * step] = SQ1 * sum1 + SQ2 * sum2;
    y[3 * step] = SQ1 * P1 * difference1 + SQ2 * P2 * difference2 + m[5 * step];
}

/* Channels o .. o+n of one pixel, through the epilogue. */
INLINE void finish(const clipk_conv3x3_piece *p, vf z, int64_t pixel, int o, int n, clipk_act act)
{
    const clipk_epilogue *e = p->e;
    const bool whole = n == CLIPK_VL;
    if (e->bias)
        z += whole ? vload(e->bias + o) : vload_n(e->bias + o, n);
    if (e->residual) {
        const float *at = e->residual + pixel * e->ld_residual + o;
        z += whole ? vload(at) : vload_n(at, n);
    }
    if (e->pre)
        vstore_n(e->pre + pixel * e->ld_pre + o, z, n);
    z = vact(z, act);
    if (whole)
        vstore(p->y + pixel * p->O + o, z);
    else
        vstore_n(p->y + pixel * p->O + o, z, n);
}

INLINE void output_tiles(const clipk_conv3x3_piece *p, const float *M, int Op, clipk_act act)
{
    const int64_t stride = stride_of(p->t1 - p->t0, Op);
    for (int t = p->t0; t < p->t1; t++, M += Op) {
        const place at = place_of(p->H, p->W, t);
        const int rows = clipb_min(4, p->H - at.h), columns = clipb_min(4, p->W - at.w);
        for (int o = p->o0; o < p->o1; o += CLIPK_VL) {
            vf m[POINTS];
            for (int c = 0; c < 6; c++) {
                for (int r = 0; r < 6; r++)
                    m[6 * r + c] = vload(M + (6 * r + c) * stride + o - p->o0);
                output_line(m + c, m + c, 6);
            }
            for (int r = 0; r < rows; r++) {
                vf y[4];
                output_line(y, m + 6 * r, 1);
                for (int c = 0; c < columns; c++)
                    finish(p, y[c], ((int64_t)at.n * p->H + at.h + r) * p->W + at.w + c, o,
                           clipb_min(CLIPK_VL, p->o1 - o), act);
            }
        }
    }
}

void NAME(conv3x3)(const clipk_conv3x3_piece *p)
{
    const int T = p->t1 - p->t0, Ip = clipb_round_up(p->I, 16), Op = clipb_round_up(p->o1 - p->o0, NR);
    float *V = p->scratch, *M = V + POINTS * stride_of(T, Ip);
    input_tiles(V, Ip, p->x, p->H, p->W, p->I, p->t0, p->t1);
    products(p, M, Op, V, Ip);
    if (p->e->act == CLIPK_RELU)
        output_tiles(p, M, Op, CLIPK_RELU);
    else
        output_tiles(p, M, Op, p->e->act);
}

/* ---- Pooling --------------------------------------------------------------------------------- */

void NAME(avgpool2x2)(float *y, const float *x0, const float *x1, int W, int C)
{
    for (int w = 0; w < W; w++, y += C, x0 += 2 * C, x1 += 2 * C) {
        int c = 0;
        for (; c + CLIPK_VL <= C; c += CLIPK_VL)
            vstore(y + c, ((vload(x0 + c) + vload(x0 + C + c)) + (vload(x1 + c) + vload(x1 + C + c))) * 0.25f);
        for (; c < C; c++)
            y[c] = ((x0[c] + x0[C + c]) + (x1[c] + x1[C + c])) * 0.25f;
    }
}
