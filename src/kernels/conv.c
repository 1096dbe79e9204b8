/* conv.c: convolutions cut into pieces and shared among threads.
 *
 * The 3x3 convolution is cut into strips of tiles, each with all its channels. If a small picture
 * gives fewer strips than there are threads, the channels are cut as well. Every group of channels
 * then transforms the strip's input again, which is cheap beside the product. No sum is ever cut,
 * so the result does not depend on the cut. */
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>
#include <string.h>

/* ---- 3x3 ------------------------------------------------------------------------------------- */

/* tiles: all; T: per strip. G: channels per group. */
typedef struct conv_plan {
    int tiles, T, strips, G, groups;
} conv_plan;

/* Short strips keep their own transforms in the second cache. Long strips use a weight more often
 * once it has come from memory: large weights need them. */
#define STRIP_FLOATS (96 * 1024)
#define STRIP_LEAST 24
#define STRIP_MOST 96
#define GROUP_LEAST 64 /* least channels that are worth transforming the input once more */

static int strip_tiles(int I, int O)
{
    const int cached = (int)(STRIP_FLOATS / clipk_conv3x3_scratch(1, I, O)),
              amortised = clipb_min(I * O / 2048, STRIP_MOST);
    return cached > STRIP_LEAST ? cached : amortised > STRIP_LEAST ? amortised : STRIP_LEAST;
}

static conv_plan plan_conv(const clipk_ctx *k, int N, int H, int W, int I, int O)
{
    const int threads = clipk_threads(k);
    assert(N > 0 && H > 0 && W > 0 && I > 0 && O > 0);
    conv_plan p = {.tiles = N * clipb_ceil_div(H, CLIPK_CONV_TILE) * clipb_ceil_div(W, CLIPK_CONV_TILE), .groups = 1};
    p.strips = clipb_ceil_div(p.tiles, strip_tiles(I, O));
    if (p.strips >= threads) {
        p.strips = clipb_round_up(p.strips, threads); /* as many for each thread */
    } else {
        p.groups = clipb_min(clipb_ceil_div(threads, p.strips), clipb_ceil_div(O, GROUP_LEAST));
        if (p.strips * p.groups < threads)
            p.strips = clipb_ceil_div(threads, p.groups);
    }
    p.T = clipb_ceil_div(p.tiles, p.strips);
    p.strips = clipb_ceil_div(p.tiles, p.T);
    p.G = clipb_round_up(clipb_ceil_div(O, p.groups), k->set->nr);
    p.groups = clipb_ceil_div(O, p.G);
    return p;
}

size_t clipk_conv3x3_bytes(const clipk_set *set, int O, int I) { return set->conv3x3_bytes(O, I); }

typedef struct pack_job {
    const clipk_set *set;
    const clipk_conv3x3_weight *w;
    clipk_filters W;
} pack_job;

static void pack_piece(void *job, int64_t i, int thread)
{
    const pack_job *j = job;
    const int nr = j->set->nr, o0 = (int)i * nr;
    (void)thread;
    j->set->conv3x3_pack(j->w->panels, j->W, j->w->O, j->w->I, o0, clipb_min(o0 + nr, j->w->O));
}

void clipk_conv3x3_pack(const clipk_ctx *k, const clipk_conv3x3_weight *w, const float *W)
{
    pack_job j = {k->set, w, {W, (int64_t)w->I * 9, 9, 1}};
    clipb_team_run(k->team, clipb_ceil_div(w->O, k->set->nr), pack_piece, &j);
}

void clipk_conv3x3_pack_back(const clipk_ctx *k, const clipk_conv3x3_weight *w, const float *W)
{
    pack_job j = {k->set, w, {W + 8, 9, (int64_t)w->O * 9, -1}};
    clipb_team_run(k->team, clipb_ceil_div(w->O, k->set->nr), pack_piece, &j);
}

size_t clipk_conv3x3_work(const clipk_ctx *k, int N, int H, int W, int I, int O)
{
    conv_plan p = plan_conv(k, N, H, W, I, O);
    return sizeof(float) * clipk_threads(k) * clipk_conv3x3_scratch(p.T, I, p.G);
}

typedef struct conv_job {
    const clipk_set *set;
    clipk_conv3x3_piece piece; /* shared by all pieces */
    conv_plan plan;
} conv_job;

static void conv_piece(void *job, int64_t i, int thread)
{
    const conv_job *j = job;
    const conv_plan *p = &j->plan;
    clipk_conv3x3_piece piece = j->piece;
    piece.t0 = (int)(i / p->groups) * p->T;
    piece.t1 = clipb_min(piece.t0 + p->T, p->tiles);
    piece.o0 = (int)(i % p->groups) * p->G;
    piece.o1 = clipb_min(piece.o0 + p->G, piece.O);
    piece.scratch += thread * clipk_conv3x3_scratch(p->T, piece.I, p->G);
    j->set->conv3x3(&piece);
}

void clipk_conv3x3(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, const clipk_conv3x3_weight *w,
                   const clipk_epilogue *e, void *work)
{
    static const clipk_epilogue none;
    conv_job j = {.set = k->set, .plan = plan_conv(k, N, H, W, w->I, w->O)};
    j.piece = (clipk_conv3x3_piece){
        .y = y, .x = x, .H = H, .W = W, .I = w->I, .O = w->O, .panels = w->panels, .e = e ? e : &none, .scratch = work};
    clipb_team_run(k->team, (int64_t)j.plan.strips * j.plan.groups, conv_piece, &j);
}

/* ---- Patches and pooling --------------------------------------------------------------------- */

typedef struct picture_job {
    const clipk_set *set;
    float *y;
    const float *x;
    int H, W, C, Ho, Wo, kh, kw, stride, pad;
} picture_job;

/* Row i % Ho of picture i / Ho. */
static void im2col_piece(void *job, int64_t i, int thread)
{
    const picture_job *j = job;
    const int h = (int)(i % j->Ho) * j->stride - j->pad;
    const float *x = j->x + i / j->Ho * j->C * j->H * j->W;
    float *y = j->y + i * j->Wo * j->C * j->kh * j->kw;
    (void)thread;
    for (int o = 0; o < j->Wo; o++) {
        const int w = o * j->stride - j->pad;
        for (int c = 0; c < j->C; c++)
            for (int r = h; r < h + j->kh; r++) {
                const float *row = x + ((int64_t)c * j->H + r) * j->W;
                const bool inside = r >= 0 && r < j->H;
                for (int s = w; s < w + j->kw; s++)
                    *y++ = inside && s >= 0 && s < j->W ? row[s] : 0;
            }
    }
}

void clipk_im2col(const clipk_ctx *k, float *y, const float *x, int N, int C, int H, int W, int kh, int kw, int stride,
                  int pad)
{
    picture_job j = {k->set, y,  x,      H,  W, C, (H + 2 * pad - kh) / stride + 1, (W + 2 * pad - kw) / stride + 1,
                     kh,     kw, stride, pad};
    assert(H + 2 * pad >= kh && W + 2 * pad >= kw);
    clipb_team_run(k->team, (int64_t)N * j.Ho, im2col_piece, &j);
}

static void avgpool_piece(void *job, int64_t i, int thread)
{
    const picture_job *j = job;
    const size_t row = (size_t)j->W * j->C, n = i / j->Ho, h = i % j->Ho;
    const float *x = j->x + (n * j->H + 2 * h) * row;
    (void)thread;
    j->set->avgpool2x2(j->y + i * j->Wo * j->C, x, x + row, j->Wo, j->C);
}

void clipk_avgpool2x2(const clipk_ctx *k, float *y, const float *x, int N, int H, int W, int C)
{
    picture_job j = {.set = k->set, .y = y, .x = x, .H = H, .W = W, .C = C, .Ho = H / 2, .Wo = W / 2};
    clipb_team_run(k->team, (int64_t)N * j.Ho, avgpool_piece, &j);
}
