/* The kinds of probe, and the search for settings that descent does not find. */
#include "heads/probe_kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define QUERIES 256     /* of a block */
#define KEYS 1024       /* of a block */
#define VOTE_SCALE (1 / 0.07)
#define COARSE 7        /* 1e-6, 1e-4, .. 1e6 */
#define EIGHTHS 16      /* steps in a decade, within a coarse step */

int cliphd_best_class(const float *p, int C)
{
    int best = 0;
    for (int c = 1; c < C; c++)
        if (p[c] > p[best])
            best = c;
    return best;
}

double cliphd_accuracy(const float *p, const int32_t *y, int N, int C)
{
    int64_t right = 0;
    for (int n = 0; n < N; n++)
        right += cliphd_best_class(p + (int64_t)n * C, C) == y[n];
    return N > 0 ? (double)right / N : 0;
}

/* ---- Linear ---------------------------------------------------------------------------------- */

typedef struct search {
    const clipk_ctx *k;
    cliptsk_logistic *l;
    const cliptsk_samples *val;
    cliptsk_logistic_options opt;
    float *theta, *best_theta, *p; /* theta of the last fit; of the best fit; [val->N, C] */
    int at;                        /* position of the best fit, in eighths of a decade */
    double accuracy;
} search;

static double l2_at(int eighths) { return pow(10, eighths / 8.0); }

/* Fit at a position, starting from the last fit. */
static clip_status try_l2(search *s, int at)
{
    cliptsk_logistic_report r;
    s->opt.l2 = l2_at(at);
    cliptsk_logistic_fit(s->l, &s->opt, s->theta, &r);
    TRY(cliptsk_logistic_predict(s->k, s->theta, s->val->x, s->val->N, s->val->F, s->val->C, s->p));
    const double accuracy = cliphd_accuracy(s->p, s->val->y, s->val->N, s->val->C);
    if (accuracy > s->accuracy || (accuracy == s->accuracy && at > s->at)) {
        s->accuracy = accuracy;
        s->at = at;
        memcpy(s->best_theta, s->theta, cliptsk_logistic_size(s->val->F, s->val->C) * sizeof *s->theta);
    }
    return CLIP_OK;
}

/* From strong to weak regularisation, so that each optimum is near the last. Then on both sides of
 * the best one, starting from it. */
static clip_status find_l2(search *s)
{
    const size_t bytes = cliptsk_logistic_size(s->val->F, s->val->C) * sizeof *s->theta;
    s->accuracy = -1;
    for (int i = COARSE - 1; i >= 0; i--)
        TRY(try_l2(s, (i - COARSE / 2) * EIGHTHS));
    for (int step = EIGHTHS / 2; step >= 1; step /= 2) {
        const int middle = s->at;
        for (int side = 1; side >= -1; side -= 2) {
            memcpy(s->theta, s->best_theta, bytes);
            TRY(try_l2(s, middle + side * step));
        }
    }
    memcpy(s->theta, s->best_theta, bytes);
    return CLIP_OK;
}

static clip_status search_linear(const clipk_ctx *k, const cliptsk_samples *train, const cliptsk_samples *val,
                                 double tolerance, int iterations, double *l2, double *accuracy, float *theta)
{
    search s = {.k = k, .val = val, .opt = {.tolerance = tolerance, .iterations = iterations}, .theta = theta};
    s.best_theta = malloc(cliptsk_logistic_size(train->F, train->C) * sizeof *theta);
    s.p = malloc((size_t)val->N * (size_t)val->C * sizeof *s.p);
    clip_status status = s.best_theta && s.p ? cliptsk_logistic_new(k, train, &s.l) : CLIP_ENOMEM;
    if (status == CLIP_OK)
        status = find_l2(&s);
    if (status == CLIP_OK) {
        *l2 = l2_at(s.at);
        *accuracy = s.accuracy;
    }
    cliptsk_logistic_free(s.l);
    free(s.best_theta);
    free(s.p);
    return status;
}

/* Both parts as one, without weights. */
static clip_status join(const cliptsk_samples *a, const cliptsk_samples *b, cliptsk_samples *out)
{
    const size_t F = (size_t)a->F, n_a = (size_t)a->N, n_b = (size_t)b->N;
    if (a->N > INT32_MAX - b->N)
        return CLIP_EINVAL;
    float *x = malloc((n_a + n_b) * F * sizeof *x);
    int32_t *y = malloc((n_a + n_b) * sizeof *y);
    *out = (cliptsk_samples){x, y, NULL, a->N + b->N, a->F, a->C};
    if (!x || !y) {
        free(x);
        free(y);
        return CLIP_ENOMEM;
    }
    memcpy(x, a->x, n_a * F * sizeof *x);
    memcpy(y, a->y, n_a * sizeof *y);
    if (n_b > 0) {
        memcpy(x + n_a * F, b->x, n_b * F * sizeof *x);
        memcpy(y + n_a, b->y, n_b * sizeof *y);
    }
    return CLIP_OK;
}

clip_status cliphd_probe_linear(const clipk_ctx *k, const cliptsk_samples *train, const cliptsk_samples *val,
                                double tolerance, int iterations, double *l2, double *accuracy, float *theta,
                                cliptsk_logistic_report *report)
{
    cliptsk_samples all;
    cliptsk_logistic *l = NULL;
    *accuracy = 0;
    memset(theta, 0, cliptsk_logistic_size(train->F, train->C) * sizeof *theta);
    if (val->N > 0)
        TRY(search_linear(k, train, val, tolerance, iterations, l2, accuracy, theta));
    TRY(join(train, val, &all));
    clip_status s = cliptsk_logistic_new(k, &all, &l);
    if (s == CLIP_OK)
        cliptsk_logistic_fit(l, &(cliptsk_logistic_options){*l2, tolerance, iterations}, theta, report);
    cliptsk_logistic_free(l);
    free((void *)all.x);
    free((void *)all.y);
    return s;
}

/* ---- Products with many rows, a block at a time ---------------------------------------------- */

/* Queries against keys: each(user, cosines [n, m] of queries q0.. with keys k0..). */
typedef void block_fn(void *user, const float *cosine, int q0, int n, int k0, int m);

static clip_status each_block(const clipk_ctx *k, const float *query, int Q, const float *key, int N, int D,
                              block_fn *each, void *user)
{
    clipb_block memory = {0};
    clipb_arena a = {0};
    clipk_weight w = {.format = CLIPK_FORMAT_F32, .K = D};
    float *cosine = NULL;
    for (int round = 0; round < 2; round++) { /* measuring, placing */
        w.panels = clipb_arena_alloc(&a, clipk_weight_bytes(k->set, CLIPK_FORMAT_F32, KEYS, D), 1);
        cosine = CLIPB_NEW(&a, float, QUERIES * KEYS);
        if (round == 0) {
            TRY(clipb_block_reserve(&memory, a.peak));
            a = clipb_arena_on(&memory);
        }
    }
    for (int k0 = 0; k0 < N; k0 += KEYS) {
        const int m = w.N = N - k0 < KEYS ? N - k0 : KEYS;
        clipk_weight_pack(k, &w, clipk_rows(key + (int64_t)k0 * D, D));
        for (int q0 = 0; q0 < Q; q0 += QUERIES) {
            const int n = Q - q0 < QUERIES ? Q - q0 : QUERIES;
            clipk_gemm(k, cosine, m, clipk_rows(query + (int64_t)q0 * D, D), n, &w, NULL);
            each(user, cosine, q0, n, k0, m);
        }
    }
    clipb_block_free(&memory);
    return CLIP_OK;
}

/* ---- Cache ----------------------------------------------------------------------------------- */

typedef struct cache_job {
    const cliphd_cache *c;
    float *p;
} cache_job;

static void add_text(void *user, const float *cosine, int q0, int n, int k0, int m)
{
    const cache_job *j = user;
    for (int q = 0; q < n; q++)
        for (int c = 0; c < m; c++)
            j->p[(int64_t)(q0 + q) * j->c->C + k0 + c] = (float)j->c->logit_scale * cosine[(int64_t)q * m + c];
}

static void add_keys(void *user, const float *cosine, int q0, int n, int k0, int m)
{
    const cache_job *j = user;
    const float alpha = (float)j->c->alpha, beta = (float)j->c->beta;
    for (int q = 0; q < n; q++)
        for (int i = 0; i < m; i++)
            j->p[(int64_t)(q0 + q) * j->c->C + j->c->y[k0 + i]] +=
                alpha * expf(-beta * (1 - cosine[(int64_t)q * m + i]));
}

clip_status cliphd_cache_predict(const clipk_ctx *k, const cliphd_cache *c, const float *query, int Q, float *p)
{
    cache_job j = {c, p};
    TRY(each_block(k, query, Q, c->text, c->C, c->D, add_text, &j));
    TRY(each_block(k, query, Q, c->key, c->N, c->D, add_keys, &j));
    clipk_softmax(k, p, 1, Q, c->C);
    return CLIP_OK;
}

clip_status cliphd_cache_sweep(const clipk_ctx *k, cliphd_cache *c, const cliptsk_samples *val, double *accuracy)
{
    static const double alphas[] = {0, 0.25, 0.5, 1, 2, 4, 8, 16, 32}, betas[] = {1, 2, 4, 8, 16, 32};
    float *p = malloc((size_t)val->N * (size_t)val->C * sizeof *p);
    clip_status s = p ? CLIP_OK : CLIP_ENOMEM;
    double alpha = 0, beta = 1;
    *accuracy = -1;
    for (size_t a = 0; s == CLIP_OK && a < sizeof alphas / sizeof *alphas; a++)
        for (size_t b = 0; s == CLIP_OK && b < (a == 0 ? 1 : sizeof betas / sizeof *betas); b++) {
            c->alpha = alphas[a];
            c->beta = betas[b];
            s = cliphd_cache_predict(k, c, val->x, val->N, p);
            const double now = s == CLIP_OK ? cliphd_accuracy(p, val->y, val->N, val->C) : -1;
            if (now > *accuracy) {
                *accuracy = now;
                alpha = c->alpha;
                beta = c->beta;
            }
        }
    c->alpha = alpha;
    c->beta = beta;
    free(p);
    return s;
}

/* ---- Neighbours ------------------------------------------------------------------------------ */

typedef struct near_key {
    float cosine;
    int key;
} near_key;

typedef struct near_job {
    near_key *near; /* [Q, K] nearest first */
    int *found;     /* [Q] */
    int K;
} near_job;

static void keep_nearest(void *user, const float *cosine, int q0, int n, int k0, int m)
{
    const near_job *j = user;
    for (int q = 0; q < n; q++) {
        near_key *list = j->near + (int64_t)(q0 + q) * j->K;
        int *found = &j->found[q0 + q];
        for (int i = 0; i < m; i++) {
            const float s = cosine[(int64_t)q * m + i];
            int at = *found;
            while (at > 0 && s > list[at - 1].cosine)
                at--;
            if (at >= j->K)
                continue;
            *found += *found < j->K;
            memmove(&list[at + 1], &list[at], (size_t)(*found - 1 - at) * sizeof *list);
            list[at] = (near_key){s, k0 + i};
        }
    }
}

static void vote(const near_key *near, int K, const int32_t *y, int C, float *p)
{
    double sum = 0;
    for (int c = 0; c < C; c++)
        p[c] = 0;
    for (int i = 0; i < K; i++) {
        const double w = exp(VOTE_SCALE * ((double)near[i].cosine - (double)near[0].cosine));
        p[y[near[i].key]] += (float)w;
        sum += w;
    }
    for (int c = 0; c < C; c++)
        p[c] /= (float)sum;
}

clip_status cliphd_neighbours(const clipk_ctx *k, const float *key, const int32_t *y, int N, int D, int C,
                              const float *query, int Q, int K, float *p)
{
    near_job j = {.K = K < N ? K : N};
    j.near = malloc((size_t)Q * (size_t)j.K * sizeof *j.near);
    j.found = calloc((size_t)Q, sizeof *j.found);
    clip_status s = j.near && j.found ? each_block(k, query, Q, key, N, D, keep_nearest, &j) : CLIP_ENOMEM;
    for (int q = 0; s == CLIP_OK && q < Q; q++)
        vote(j.near + (int64_t)q * j.K, j.K, y, C, p + (int64_t)q * C);
    free(j.near);
    free(j.found);
    return s;
}
