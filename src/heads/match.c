/* Wrong pairs from batches, the probability fitted to them, and the pairs that are easily
 * confused. */
#include "heads/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/order.h"
#include "base/rng.h"
#include "tasks/logistic.h"

#define SEED 0x6d61746368u /* by which pairs are drawn into batches */
#define KNOTS 32           /* quantiles of the scores that are tried as the knot */
#define L2 0.1             /* keeps the slope finite where scores separate true and wrong pairs without a fault */
#define BLOCK 512          /* pairs on a side of a block, when all pairs are compared */

/* ---- Wrong pairs ----------------------------------------------------------------------------- */

static const float *row(const float *x, int64_t i, int D) { return x + i * D; }

static double dot(const float *a, const float *b, int D)
{
    double sum = 0;
    for (int d = 0; d < D; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

static bool same(const float *x, int i, int j, int D)
{
    return memcmp(row(x, i, D), row(x, j, D), (size_t)D * sizeof *x) == 0;
}

/* FNV-1a over the bits of a vector. */
static uint8_t half_of(const float *x, int D)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (int d = 0; d < D; d++) {
        uint32_t bits;
        memcpy(&bits, &x[d], sizeof bits);
        h = (h ^ bits) * 0x100000001b3u;
    }
    return (uint8_t)(h >> 40 & 1);
}

/* The pair in the batch whose text is most like the text of `at`. -1: all have its picture or its
 * text. */
static int neighbour(const float *image, const float *text, const int *member, int n, int at, int D)
{
    const int i = member[at];
    double best = -INFINITY;
    int found = -1;
    for (int b = 0; b < n; b++) {
        const int j = member[b];
        if (b == at || same(text, i, j, D) || same(image, i, j, D))
            continue;
        const double s = dot(row(text, i, D), row(text, j, D), D);
        if (s > best) {
            best = s;
            found = j;
        }
    }
    return found;
}

static void put(cliphd_scored *o, double score, bool yes, float weight, uint8_t half)
{
    o->score[o->n] = (float)score;
    o->yes[o->n] = yes;
    o->weight[o->n] = weight;
    o->half[o->n++] = half;
}

typedef struct batches_job {
    const float *image, *text;
    const int *order;
    int *near; /* [N] for the pair at each place of the order */
    int begin, end, batch, D;
} batches_job;

static void find_neighbours(void *job, int64_t piece, int thread)
{
    const batches_job *j = job;
    const int b0 = j->begin + (int)piece * j->batch, n = j->end - b0 < j->batch ? j->end - b0 : j->batch;
    (void)thread;
    for (int at = 0; at < n; at++)
        j->near[b0 + at] = neighbour(j->image, j->text, j->order + b0, n, at, j->D);
}

/* Both halves shuffled, one after the other.
 * @return: how many are in the first */
static int shuffle(const float *image, int N, int D, int *order)
{
    int first = 0, at = N;
    for (int i = 0; i < N; i++) {
        if (half_of(row(image, i, D), D) == 0)
            order[first++] = i;
        else
            order[--at] = i;
    }
    clipb_rng r = clipb_rng_at(SEED, CLIPB_RNG_SHUFFLE, 0, 0);
    const int begin[2] = {0, first}, end[2] = {first, N};
    for (int h = 0; h < 2; h++)
        for (int i = end[h] - 1; i > begin[h]; i--) {
            const int j = begin[h] + (int)clipb_rng_below(&r, (uint32_t)(i - begin[h] + 1)), other = order[j];
            order[j] = order[i];
            order[i] = other;
        }
    return first;
}

clip_status cliphd_scored_pairs(const clipk_ctx *k, const float *image, const float *text, int N, int D,
                                double logit_scale, int batch, cliphd_scored *out)
{
    *out = (cliphd_scored){0};
    if (N < 2 || batch < 2 || N > INT32_MAX / 3)
        return CLIP_EINVAL;
    const size_t most = 3 * (size_t)N;
    int *order = malloc(2 * (size_t)N * sizeof *order), *near = order ? order + N : NULL;
    *out = (cliphd_scored){.score = malloc(most * sizeof(float)),
                            .weight = malloc(most * sizeof(float)),
                            .yes = malloc(most),
                            .half = malloc(most)};
    clip_status s = order && out->score && out->weight && out->yes && out->half ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK) {
        const int first = shuffle(image, N, D, order);
        batches_job j = {image, text, order, near, 0, first, batch, D};
        clipb_team_run(k->team, (first + batch - 1) / batch, find_neighbours, &j);
        j.begin = first;
        j.end = N;
        clipb_team_run(k->team, (N - first + batch - 1) / batch, find_neighbours, &j);
        for (int at = 0; at < N; at++) {
            const int i = order[at], o = near[at];
            const uint8_t half = at >= first;
            if (o < 0)
                continue;
            put(out, logit_scale * dot(row(image, i, D), row(text, i, D), D), true, 2, half);
            put(out, logit_scale * dot(row(image, i, D), row(text, o, D), D), false, 1, half);
            put(out, logit_scale * dot(row(image, o, D), row(text, i, D), D), false, 1, half);
        }
        if (out->n == 0)
            s = CLIP_EINVAL;
    }
    free(order);
    if (s < 0)
        cliphd_scored_free(out);
    return s;
}

void cliphd_scored_free(cliphd_scored *s)
{
    free(s->score);
    free(s->weight);
    free(s->yes);
    free(s->half);
    *s = (cliphd_scored){0};
}

/* ---- The probability ------------------------------------------------------------------------- */

float cliphd_law_probability(const cliphd_law *m, float score)
{
    const double above = (double)score - m->knot, z = m->intercept + m->slope * (above > 0 ? above : 0);
    return isnan(score) ? NAN : (float)(z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z)));
}

/* One knot: the logistic of u = max(score - knot, 0) / deviation. Two classes with a weight each;
 * only the difference of the weights matters. */
static clip_status fit_knot(const clipk_ctx *k, const float *score, const cliptsk_samples *s, float *u, double knot,
                            double deviation, cliphd_law *m, double *f)
{
    float theta[4] = {0};
    cliptsk_logistic *l;
    cliptsk_logistic_report r;
    for (int i = 0; i < s->N; i++)
        u[i] = (float)fmax(((double)score[i] - knot) / deviation, 0);
    TRY(cliptsk_logistic_new(k, s, &l));
    cliptsk_logistic_fit(l, &(cliptsk_logistic_options){L2, 1e-5, 100}, theta, &r);
    cliptsk_logistic_free(l);
    *m = (cliphd_law){knot, (double)(theta[1] - theta[0]) / deviation, (double)(theta[3] - theta[2])};
    *f = r.f;
    return CLIP_OK;
}

typedef struct fit_room {
    float *score, *sorted, *u, *weight; /* [n] */
    int32_t *y;
} fit_room;

static clip_status fit(const clipk_ctx *k, const fit_room *w, int n, cliphd_law *out)
{
    const cliptsk_samples s = {w->u, w->y, w->weight, n, 1, 2};
    double best = INFINITY, mean = 0, variance = 0;
    for (int i = 0; i < n; i++)
        mean += (double)w->score[i] / n;
    for (int i = 0; i < n; i++)
        variance += ((double)w->score[i] - mean) * ((double)w->score[i] - mean) / n;
    if (!(variance > 0))
        return CLIP_EINVAL;
    memcpy(w->sorted, w->score, (size_t)n * sizeof(float));
    qsort(w->sorted, (size_t)n, sizeof(float), clipb_order_f32);
    for (int q = 0; q < KNOTS; q++) {
        cliphd_law m;
        double f;
        TRY(fit_knot(k, w->score, &s, w->u, (double)w->sorted[(int64_t)n * q / KNOTS], sqrt(variance), &m, &f));
        if (m.slope > 0 && f < best) {
            best = f;
            *out = m;
        }
    }
    return isfinite(best) ? CLIP_OK : CLIP_EINVAL;
}

clip_status cliphd_law_fit(const clipk_ctx *k, const cliphd_scored *s, int half, cliphd_law *out)
{
    const size_t most = (size_t)s->n + 1;
    float *memory = malloc(most * 4 * sizeof *memory);
    int32_t *y = malloc(most * sizeof *y);
    clip_status status = memory && y ? CLIP_EINVAL : CLIP_ENOMEM;
    if (status != CLIP_ENOMEM) {
        const fit_room w = {memory, memory + most, memory + 2 * most, memory + 3 * most, y};
        int n = 0, yes = 0;
        for (int i = 0; i < s->n; i++)
            if (half < 0 || s->half[i] == half) {
                w.score[n] = s->score[i];
                w.weight[n] = s->weight[i];
                y[n++] = s->yes[i];
                yes += s->yes[i];
            }
        if (yes > 0 && yes < n)
            status = fit(k, &w, n, out);
    }
    free(memory);
    free(y);
    return status;
}

/* ---- Confusions ------------------------------------------------------------------------------ */

static bool before(const clip_confusion *a, const clip_confusion *b)
{
    return a->margin != b->margin ? a->margin < b->margin : a->i != b->i ? a->i < b->i : a->j < b->j;
}

/* Insert into a short sorted list. */
static void keep(clip_confusion *list, int n, int *found, const clip_confusion *c)
{
    int at = *found;
    while (at > 0 && before(c, &list[at - 1]))
        at--;
    if (at >= n)
        return;
    if (*found < n)
        ++*found;
    memmove(&list[at + 1], &list[at], (size_t)(*found - 1 - at) * sizeof *list);
    list[at] = *c;
}

typedef struct confusion_room {
    clipk_weight w;
    float *ij, *ji; /* [BLOCK, BLOCK] scores of pictures i with texts j; of pictures j with texts i */
    float *own;     /* [N] */
} confusion_room;

static void confusion_layout(clipb_arena *a, confusion_room *r, const clipk_set *set, int N, int D)
{
    r->w = (clipk_weight){.format = CLIPK_FORMAT_F32, .K = D,
                          .panels = clipb_arena_alloc(a, clipk_weight_bytes(set, CLIPK_FORMAT_F32, BLOCK, D), 1)};
    r->ij = CLIPB_NEW(a, float, BLOCK * BLOCK);
    r->ji = CLIPB_NEW(a, float, BLOCK * BLOCK);
    r->own = CLIPB_NEW(a, float, N);
}

static void product(const clipk_ctx *k, confusion_room *r, float *y, const float *a, int n, const float *b, int m)
{
    r->w.N = m;
    clipk_weight_pack(k, &r->w, clipk_rows(b, r->w.K));
    clipk_gemm(k, y, m, clipk_rows(a, r->w.K), n, &r->w, NULL);
}

clip_status cliphd_confusions(const clipk_ctx *k, const float *image, const float *text, int N, int D, int n,
                              clip_confusion *out, int *found)
{
    clipb_block memory = {0};
    clipb_arena a = {0};
    confusion_room r;
    *found = 0;
    if (N < 2 || n < 1)
        return CLIP_EINVAL;
    confusion_layout(&a, &r, k->set, N, D);
    TRY(clipb_block_reserve(&memory, a.peak));
    a = clipb_arena_on(&memory);
    confusion_layout(&a, &r, k->set, N, D);
    for (int i = 0; i < N; i++)
        r.own[i] = (float)dot(row(image, i, D), row(text, i, D), D);
    for (int i0 = 0; i0 < N; i0 += BLOCK)
        for (int j0 = i0; j0 < N; j0 += BLOCK) {
            const int ni = N - i0 < BLOCK ? N - i0 : BLOCK, nj = N - j0 < BLOCK ? N - j0 : BLOCK;
            product(k, &r, r.ij, row(image, i0, D), ni, row(text, j0, D), nj);
            product(k, &r, r.ji, row(image, j0, D), nj, row(text, i0, D), ni);
            for (int i = 0; i < ni; i++)
                for (int j = i0 == j0 ? i + 1 : 0; j < nj; j++) {
                    const clip_confusion c = {i0 + i, j0 + j,
                                              r.own[i0 + i] + r.own[j0 + j] - r.ij[i * nj + j] - r.ji[j * ni + i]};
                    if ((*found < n || before(&c, &out[n - 1])) && !same(image, c.i, c.j, D) &&
                        !same(text, c.i, c.j, D))
                        keep(out, n, found, &c);
                }
        }
    clipb_block_free(&memory);
    return CLIP_OK;
}
