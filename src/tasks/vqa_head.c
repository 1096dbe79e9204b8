#include "tasks/vqa_head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "train/optimizer.h"

enum { AT_ONCE = 512 }; /* questions answered in one go */

/* ---- Parameters ----------------------------------------------------------------------------------------------- */

static clip_status list(cliptsk_head *h)
{
    const int64_t fc[2] = {h->H, 4 * (int64_t)h->D}, out[2] = {h->A, h->H};
    TRY(clipmdl_params_add(&h->params, "fc.weight", h->H, 2, fc, 0, 0));
    TRY(clipmdl_params_add(&h->params, "fc.bias", h->H, 1, fc, 0, 0));
    TRY(clipmdl_params_add(&h->params, "out.weight", h->A, 2, out, 0, 0));
    return clipmdl_params_add(&h->params, "out.bias", h->A, 1, out, 0, 0);
}

static float *param(const cliptsk_head *h, float *block, const char *name) { return block + clipmdl_params_find(&h->params, name)->at; }

clip_status cliptsk_head_layout(cliptsk_head *h, int D, int H, int A, bool blind)
{
    *h = (cliptsk_head){.D = D, .H = H, .A = A, .blind = blind};
    TRY(list(h));
    TRY(cliptrn_zeros(&h->weights, &h->w, h->params.count));
    h->fc = (clipnn_linear){.w = {.N = H, .K = 4 * D}, .wt = {.N = 4 * D, .K = H}, .b = param(h, h->w, "fc.bias")};
    h->out = (clipnn_linear){.w = {.N = A, .K = H}, .wt = {.N = H, .K = A}, .b = param(h, h->w, "out.bias")};
    return CLIP_OK;
}

void cliptsk_head_free(cliptsk_head *h)
{
    clipmdl_params_free(&h->params);
    clipb_block_free(&h->weights);
    clipb_block_free(&h->panels);
    *h = (cliptsk_head){0};
}

static void place_panels(clipb_arena *a, cliptsk_head *h, const clipk_set *set)
{
    clipk_weight *const w[] = {&h->fc.w, &h->out.w, &h->out.wt};
    for (int i = 0; i < 3; i++)
        w[i]->panels = clipb_arena_alloc(a, clipk_weight_bytes(set, CLIPK_F32, w[i]->N, w[i]->K), 1);
}

static void pack(const clipk_ctx *k, cliptsk_head *h)
{
    float *out = param(h, h->w, "out.weight");
    clipk_weight_pack(k, &h->fc.w, clipk_rows(param(h, h->w, "fc.weight"), h->fc.w.K));
    clipk_weight_pack(k, &h->out.w, clipk_rows(out, h->H));
    clipk_weight_pack(k, &h->out.wt, (clipk_view){out, CLIPK_F32, 1, h->H});
}

clip_status cliptsk_head_pack(const clipk_ctx *k, cliptsk_head *h)
{
    clipb_arena a = {0};
    place_panels(&a, h, k->set);
    TRY(clipb_block_reserve(&h->panels, a.peak));
    a = clipb_arena_on(&h->panels);
    place_panels(&a, h, k->set);
    pack(k, h);
    return CLIP_OK;
}

/* ---- Forward -------------------------------------------------------------------------------------------------- */

typedef struct acts {
    float *x;          /* [N, 4D] */
    float *pre, *h;    /* [N, H]; pre for backward alone */
    float *z;          /* [N, A] logits, then probabilities */
    float *dz, *dh;    /* backward alone */
    void *work;
} acts;

static void layout(clipb_arena *a, acts *s, const clipk_ctx *k, const cliptsk_head *h, int N, bool back)
{
    *s = (acts){.x = CLIPB_NEW(a, float, (size_t)N * 4 * (size_t)h->D), .h = CLIPB_NEW(a, float, (size_t)N * (size_t)h->H)};
    s->z = CLIPB_NEW(a, float, (size_t)N * (size_t)h->A);
    if (!back)
        return;
    s->pre = CLIPB_NEW(a, float, (size_t)N * (size_t)h->H);
    s->dh = CLIPB_NEW(a, float, (size_t)N * (size_t)h->H);
    s->dz = CLIPB_NEW(a, float, (size_t)N * (size_t)h->A);
    const size_t fc = clipnn_linear_work(k, N, h->fc.w.K, h->H), out = clipnn_linear_work(k, N, h->H, h->A);
    s->work = clipb_arena_alloc(a, fc > out ? fc : out, 1);
}

static clip_status reserve(clipb_block *block, acts *s, const clipk_ctx *k, const cliptsk_head *h, int N, bool back)
{
    clipb_arena a = {0};
    layout(&a, s, k, h, N, back);
    TRY(clipb_block_reserve(block, a.peak));
    a = clipb_arena_on(block);
    layout(&a, s, k, h, N, back);
    return CLIP_OK;
}

static void fuse(float *x, const float *v, const float *t, int D, bool blind)
{
    const float scale = sqrtf((float)D);
    for (int d = 0; d < D; d++) {
        const float a = blind ? 0 : scale * v[d], b = scale * t[d];
        x[d] = a;
        x[D + d] = b;
        x[2 * D + d] = a * b;
        x[3 * D + d] = fabsf(a - b);
    }
}

static void forward(const clipk_ctx *k, const acts *s, const cliptsk_head *h, int N)
{
    clipnn_linear_forward(k, s->h, s->pre, clipk_rows(s->x, h->fc.w.K), N, &h->fc, CLIPK_GELU, NULL);
    clipnn_linear_forward(k, s->z, NULL, clipk_rows(s->h, h->H), N, &h->out, CLIPK_LINEAR, NULL);
}

clip_status cliptsk_head_answer(const clipk_ctx *k, const cliptsk_head *h, const float *image, int image_step, const float *question, int question_step,
                                int N, float *out)
{
    clipb_block memory = {0};
    acts s;
    TRY(reserve(&memory, &s, k, h, N < AT_ONCE ? N : AT_ONCE, false));
    for (int i = 0; i < N; i += AT_ONCE) {
        const int n = N - i < AT_ONCE ? N - i : AT_ONCE;
        for (int j = 0; j < n; j++)
            fuse(s.x + (size_t)j * 4 * (size_t)h->D, image + (size_t)(i + j) * (size_t)image_step * (size_t)h->D,
                 question + (size_t)(i + j) * (size_t)question_step * (size_t)h->D, h->D, h->blind);
        forward(k, &s, h, n);
        clipk_softmax(k, s.z, 1, n, h->A);
        memcpy(out + (size_t)i * (size_t)h->A, s.z, (size_t)n * (size_t)h->A * sizeof *out);
    }
    clipb_block_free(&memory);
    return CLIP_OK;
}

/* ---- Training ------------------------------------------------------------------------------------------------- */

typedef struct fit {
    const clipk_ctx *k;
    cliptsk_head *h;
    const cliptsk_head_data *d;
    const cliptsk_head_options *o;
    cliptrn_optimizer_options opt;
    acts s;
    float *g, *m, *v, *best; /* laid out as the weights */
    int32_t *order;          /* [n] questions: those trained on, shuffled, then those held back */
    int trained;
    int64_t step;
    clipb_block acts, gradient, first, second, kept;
} fit;

static void gather(const fit *f, const int32_t *which, int N)
{
    const size_t D = (size_t)f->h->D;
    for (int i = 0; i < N; i++) {
        const cliptsk_asked q = f->d->at[which[i]];
        fuse(f->s.x + (size_t)i * 4 * D, f->d->image + (size_t)q.image * D, f->d->question + (size_t)q.question * D, f->h->D, f->h->blind);
    }
}

/* dz = (p - y) / N, y the shares of the answers; the loss, summed. z becomes p. */
static double cross_entropy(const fit *f, const int32_t *which, int N)
{
    const cliptsk_head_data *d = f->d;
    const int A = f->h->A;
    double loss = 0;
    clipk_softmax(f->k, f->s.z, 1, N, A);
    for (int i = 0; i < N; i++) {
        const float *p = f->s.z + (size_t)i * (size_t)A;
        float *dz = f->s.dz + (size_t)i * (size_t)A, all = 0;
        for (int32_t t = d->target_off[which[i]]; t < d->target_off[which[i] + 1]; t++)
            all += d->worth[t];
        for (int c = 0; c < A; c++)
            dz[c] = p[c] / (float)N;
        for (int32_t t = d->target_off[which[i]]; t < d->target_off[which[i] + 1]; t++) {
            const float y = d->worth[t] / all;
            dz[d->target[t]] -= y / (float)N;
            loss -= (double)y * log(fmax((double)p[d->target[t]], 1e-30));
        }
    }
    return loss;
}

/* Inverted dropout of h, and of its gradient by the same draws (Srivastava et al. 2014). */
static void drop(const fit *f, float *h, int N)
{
    const float keep = 1 - (float)f->o->dropout;
    if (f->o->dropout <= 0)
        return;
    for (int i = 0; i < N; i++) {
        clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_PATCHES, (uint64_t)f->step, (uint64_t)i);
        for (int j = 0; j < f->h->H; j++) {
            float *at = h + (size_t)i * (size_t)f->h->H + (size_t)j;
            *at = clipb_rng_float(&r) < keep ? *at / keep : 0;
        }
    }
}

static double gradient(fit *f, const int32_t *which, int N)
{
    const clipk_ctx *k = f->k;
    const cliptsk_head *h = f->h;
    const acts *s = &f->s;
    memset(f->g, 0, h->params.count * sizeof *f->g);
    gather(f, which, N);
    clipnn_linear_forward(k, s->h, s->pre, clipk_rows(s->x, h->fc.w.K), N, &h->fc, CLIPK_GELU, NULL);
    drop(f, s->h, N);
    clipnn_linear_forward(k, s->z, NULL, clipk_rows(s->h, h->H), N, &h->out, CLIPK_LINEAR, NULL);
    const double loss = cross_entropy(f, which, N);
    clipnn_linear_backward(k, s->dh, s->dz, clipk_rows(s->h, h->H), N, &h->out, NULL, s->work);
    drop(f, s->dh, N);
    clipk_act_backward(k, s->dh, NULL, s->dh, s->pre, (size_t)N * (size_t)h->H, CLIPK_GELU);
    clipnn_linear_dw(k, s->dh, clipk_rows(s->x, h->fc.w.K), N, &h->fc, s->work);
    return loss;
}

static void step(fit *f)
{
    const double t = (double)f->step + 1;
    clipk_adamw_step s = {.lr = cliptrn_learning_rate(&f->opt, f->step), .beta1 = f->opt.beta1, .beta2 = f->opt.beta2, .eps = f->opt.eps, .scale = 1,
                          .correction1 = 1 - pow(f->opt.beta1, t), .correction2 = 1 - pow(f->opt.beta2, t)};
    for (size_t i = 0; i < f->h->params.n; i++) {
        const clipmdl_param *p = &f->h->params.param[i];
        s.weight_decay = p->ndim >= 2 ? f->opt.weight_decay : 0;
        clipk_adamw(f->k, f->h->w + p->at, f->m + p->at, f->v + p->at, f->g + p->at, p->count, &s);
    }
    pack(f->k, f->h);
    f->step++;
}

/* The mean worth of the best answers to these questions. */
static double score(fit *f, const int32_t *which, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i += f->o->batch) {
        const int N = n - i < f->o->batch ? n - i : f->o->batch;
        gather(f, which + i, N);
        forward(f->k, &f->s, f->h, N);
        for (int j = 0; j < N; j++) {
            const float *z = f->s.z + (size_t)j * (size_t)f->h->A;
            int best = 0;
            for (int c = 1; c < f->h->A; c++)
                best = z[c] > z[best] ? c : best;
            for (int32_t t = f->d->target_off[which[i + j]]; t < f->d->target_off[which[i + j] + 1]; t++)
                sum += f->d->target[t] == best ? (double)f->d->worth[t] : 0;
        }
    }
    return sum / n;
}

/* He et al. 2015 (arXiv:1502.01852) for the layer before the activation, small ones for the last. */
static void draw_weights(fit *f)
{
    const cliptsk_head *h = f->h;
    const char *const name[2] = {"fc.weight", "out.weight"};
    const float deviation[2] = {sqrtf(2 / (4 * (float)h->D)), sqrtf(1 / (float)h->H)};
    memset(h->w, 0, h->params.count * sizeof *h->w);
    for (int i = 0; i < 2; i++) {
        const clipmdl_param *p = clipmdl_params_find(&h->params, name[i]);
        clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_INIT, (uint64_t)i, 0);
        for (size_t j = 0; j < p->count; j++)
            h->w[p->at + j] = deviation[i] * clipb_rng_normal(&r);
    }
}

/* A picture is held back with all its questions. */
static void split(fit *f)
{
    int held = f->d->n;
    for (int i = 0; i < f->d->n; i++) {
        clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_SHUFFLE, UINT64_MAX, (uint64_t)f->d->at[i].image);
        if (clipb_rng_below(&r, 10) == 0)
            f->order[--held] = i;
        else
            f->order[f->trained++] = i;
    }
}

static void shuffle(fit *f, int epoch)
{
    clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_SHUFFLE, (uint64_t)epoch, 0);
    for (int i = f->trained - 1; i > 0; i--) {
        const int j = (int)clipb_rng_below(&r, (uint32_t)i + 1);
        const int32_t t = f->order[i];
        f->order[i] = f->order[j];
        f->order[j] = t;
    }
}

static clip_status prepare(fit *f)
{
    cliptsk_head *h = f->h;
    const cliptsk_head_options *o = f->o;
    f->order = malloc((size_t)f->d->n * sizeof *f->order);
    if (!f->order)
        return CLIP_ENOMEM;
    split(f);
    if (f->trained == 0 || f->trained == f->d->n) /* too few pictures to hold some back: all are trained on, and scored */
        f->trained = f->d->n;
    TRY(reserve(&f->acts, &f->s, f->k, h, o->batch, true));
    TRY(cliptrn_zeros(&f->gradient, &f->g, h->params.count));
    TRY(cliptrn_zeros(&f->first, &f->m, h->params.count));
    TRY(cliptrn_zeros(&f->second, &f->v, h->params.count));
    TRY(cliptrn_zeros(&f->kept, &f->best, h->params.count));
    h->fc.dw = param(h, f->g, "fc.weight");
    h->fc.db = param(h, f->g, "fc.bias");
    h->out.dw = param(h, f->g, "out.weight");
    h->out.db = param(h, f->g, "out.bias");
    const int64_t steps = (f->trained + o->batch - 1) / o->batch;
    f->opt = (cliptrn_optimizer_options){.lr = o->lr, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = o->weight_decay,
                                         .schedule = CLIPTRN_COSINE, .warmup = steps / 2 + 1, .steps = steps * o->epochs + 1};
    draw_weights(f);
    return cliptsk_head_pack(f->k, h);
}

static clip_status run(fit *f, cliptsk_head_fit *out)
{
    const int held = f->d->n - f->trained;
    const int32_t *scored = held > 0 ? f->order + f->trained : f->order;
    *out = (cliptsk_head_fit){.score = -1, .trained = f->trained, .held_back = held};
    for (int epoch = 1; epoch <= f->o->epochs && epoch - out->epoch <= f->o->patience; epoch++) {
        double loss = 0;
        shuffle(f, epoch);
        for (int i = 0; i < f->trained; i += f->o->batch) {
            loss += gradient(f, f->order + i, f->trained - i < f->o->batch ? f->trained - i : f->o->batch);
            step(f);
        }
        if (!isfinite(loss))
            return CLIP_EDIVERGED;
        const double s = score(f, scored, held > 0 ? held : f->trained);
        if (s > out->score) {
            *out = (cliptsk_head_fit){epoch, s, f->trained, held};
            memcpy(f->best, f->h->w, f->h->params.count * sizeof *f->best);
        }
        if (f->o->progress && !f->o->progress(f->o->user, epoch, loss / f->trained, s))
            break;
    }
    memcpy(f->h->w, f->best, f->h->params.count * sizeof *f->best);
    pack(f->k, f->h);
    return CLIP_OK;
}

clip_status cliptsk_head_train(const clipk_ctx *k, cliptsk_head *h, const cliptsk_head_data *d, const cliptsk_head_options *o, cliptsk_head_fit *out)
{
    if (d->n < 2 || o->batch < 1 || o->epochs < 1)
        return CLIP_EINVAL;
    fit f = {.k = k, .h = h, .d = d, .o = o};
    clip_status s = prepare(&f);
    if (s == CLIP_OK)
        s = run(&f, out);
    h->fc.dw = h->fc.db = h->out.dw = h->out.db = NULL;
    free(f.order);
    clipb_block *const blocks[] = {&f.acts, &f.gradient, &f.first, &f.second, &f.kept};
    for (int i = 0; i < 5; i++)
        clipb_block_free(blocks[i]);
    return s;
}
