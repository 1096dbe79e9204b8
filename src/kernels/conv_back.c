/* conv_back.c: the backward of convolutions cut into pieces and shared among threads.
 *
 * The filters' gradient is a sum over all tiles. It is cut into parts of a fixed number of tiles.
 * Each part has sums of its own, so many channels allow few parts: then the channels are cut into
 * groups as well. The cuts do not depend on the number of threads, and the parts are added in their
 * order. */
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>
#include <string.h>

/* ---- Filters --------------------------------------------------------------------------------- */

#define PIECES 8                /* parts to share among threads; halved while the sums of all parts exceed SUMS */
#define SUMS (4 * 1024 * 1024)  /* numbers in the sums of all parts */
#define GROUP_LEAST 64          /* least channels that are worth transforming x once more */
#define STRIP_FLOATS (192 * 1024)
#define STRIP_LEAST 32
#define STRIP_MOST 128

/* tiles: all; T: per strip; part: per part. G: channels per group. sums: numbers per part. */
typedef struct filters_plan {
    int tiles, T, part, parts, G, groups;
    int64_t sums;
} filters_plan;

static filters_plan plan_filters(int N, int H, int W, int I, int O)
{
    assert(N > 0 && H > 0 && W > 0 && I > 0 && O > 0);
    const int Ip = clipb_round_up(I, 16);
    filters_plan p = {.tiles = N * clipb_ceil_div(H, CLIPK_CONV_TILE) * clipb_ceil_div(W, CLIPK_CONV_TILE),
                      .sums = (int64_t)CLIPK_CONV_POINTS * O * Ip};
    int parts = PIECES;
    while (parts > 1 && parts * p.sums > SUMS)
        parts /= 2;
    p.groups = parts > 1 ? 1 : clipb_max(1, clipb_min(PIECES, O / GROUP_LEAST));
    p.G = clipb_round_up(clipb_ceil_div(O, p.groups), 16);
    p.groups = clipb_ceil_div(O, p.G);
    p.T = clipb_max(STRIP_LEAST, clipb_min(STRIP_MOST, (int)(STRIP_FLOATS / clipk_conv3x3_scratch(1, I, p.G))));
    const int strips = clipb_ceil_div(p.tiles, p.T);
    p.part = clipb_ceil_div(strips, clipb_min(parts, strips)) * p.T;
    p.parts = clipb_ceil_div(p.tiles, p.part);
    p.T = clipb_min(p.T, p.tiles);
    return p;
}

size_t clipk_conv3x3_filters_work(const clipk_ctx *k, int N, int H, int W, int I, int O)
{
    const filters_plan p = plan_filters(N, H, W, I, O);
    return sizeof(float) * (p.parts * p.sums + clipk_threads(k) * clipk_conv3x3_scratch(p.T, I, p.G));
}

typedef struct filters_job {
    const clipk_set *set;
    filters_plan plan;
    clipk_conv3x3_back_piece piece; /* shared by all pieces */
    float *dW, *sums;               /* [parts][groups][36, G or the remaining channels, I padded] */
} filters_job;

static float *sums_of(const filters_job *j, int part, int o0)
{
    return j->sums + part * j->plan.sums + j->plan.sums / j->piece.O * o0;
}

static void sums_piece(void *job, int64_t i, int thread)
{
    const filters_job *j = job;
    const filters_plan *p = &j->plan;
    clipk_conv3x3_back_piece piece = j->piece;
    const int part = (int)(i / p->groups), end = clipb_min((part + 1) * p->part, p->tiles);
    piece.o0 = (int)(i % p->groups) * p->G;
    piece.o1 = clipb_min(piece.o0 + p->G, piece.O);
    piece.sums = sums_of(j, part, piece.o0);
    piece.scratch += thread * clipk_conv3x3_scratch(p->T, piece.I, p->G);
    for (int t = part * p->part; t < end; t = piece.t1) {
        piece.t0 = t;
        piece.t1 = clipb_min(t + p->T, end);
        piece.first = t == part * p->part;
        j->set->conv3x3_sums(&piece);
    }
}

static void filters_piece(void *job, int64_t i, int thread)
{
    const filters_job *j = job;
    const filters_plan *p = &j->plan;
    const int I = j->piece.I, o0 = (int)i / p->G * p->G;
    (void)thread;
    j->set->conv3x3_filters(j->dW + i * I * 9, sums_of(j, 0, o0), p->sums, p->parts, I,
                            clipb_min(p->G, j->piece.O - o0), (int)i - o0);
}

void clipk_conv3x3_filters(const clipk_ctx *k, float *dW, const float *dy, const float *x, int N, int H, int W, int I,
                           int O, void *work)
{
    filters_job j = {.set = k->set, .plan = plan_filters(N, H, W, I, O), .dW = dW, .sums = work};
    float *scratch = j.sums + j.plan.parts * j.plan.sums;
    j.piece = (clipk_conv3x3_back_piece){.dy = dy, .x = x, .H = H, .W = W, .I = I, .O = O, .scratch = scratch};
    clipb_team_run(k->team, (int64_t)j.plan.parts * j.plan.groups, sums_piece, &j);
    clipb_team_run(k->team, O, filters_piece, &j);
}

/* ---- Pooling --------------------------------------------------------------------------------- */

typedef struct pool_job {
    const clipk_set *set;
    float *dx;
    const float *dy;
    int H, W, C;
} pool_job;

/* Row i % (H/2) of dy's picture i / (H/2) goes to two rows of dx. The last row goes to three if H
 * is odd. */
static void pool_piece(void *job, int64_t i, int thread)
{
    const pool_job *j = job;
    const int Ho = j->H / 2, Wo = j->W / 2, h = (int)(i % Ho);
    const size_t C = j->C, row = j->W * C;
    float *x = j->dx + (i / Ho * j->H + 2 * h) * row;
    (void)thread;
    j->set->avgpool2x2_backward(x, x + row, j->dy + i * Wo * C, Wo, j->C);
    if (j->W % 2)
        for (int r = 0; r < 2; r++)
            memset(x + (r + 1) * row - C, 0, C * sizeof *x);
    if (j->H % 2 && h == Ho - 1)
        memset(x + 2 * row, 0, row * sizeof *x);
}

void clipk_avgpool2x2_backward(const clipk_ctx *k, float *dx, const float *dy, int N, int H, int W, int C)
{
    assert(H > 1 && W > 1);
    pool_job j = {k->set, dx, dy, H, W, C};
    clipb_team_run(k->team, (int64_t)N * (H / 2), pool_piece, &j);
}
