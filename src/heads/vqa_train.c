/* Training a head. The questions of a batch are ordered by picture, so that the tokens of a picture
 * pass once for all its questions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "heads/vqa_head.h"
#include "train/optimizer.h"

typedef struct fit {
    const clipk_ctx *k;
    cliphd_head *h;
    const cliphd_head_data *d;
    const cliphd_head_options *o;
    cliptrn_optimizer optimizer;
    cliphd_head_acts s;
    float *g, *best; /* laid out like the weights */
    int32_t *sorted; /* [n] questions, ordered by picture: those for training, then those held back */
    int32_t *order;  /* [n] the same, with the pictures for training shuffled */
    int32_t *run;    /* [runs] where each picture for training begins in `sorted` */
    int trained, runs;
    clipb_block acts, room, gradient, kept;
} fit;

static void gather(fit *f, const int32_t *which, int N)
{
    const size_t D = (size_t)f->h->see.D, row = cliphd_look_floats(&f->d->see);
    cliphd_head_acts *s = &f->s;
    s->N = N;
    s->B = 0;
    for (int i = 0; i < N; i++) {
        const cliphd_asked q = f->d->at[which[i]];
        const float *v = f->d->image + (size_t)q.image * row;
        if (i == 0 || q.image != f->d->at[which[i - 1]].image) {
            cliphd_head_see(f->k, s, f->h, s->B, v);
            s->off[s->B++] = i;
        }
        cliphd_head_hear(s, f->h, i, v, f->d->question + (size_t)q.question * D);
    }
    s->off[s->B] = N;
}

/* dz = (p - y) / N, where y are the shares of the answers. z becomes p.
 * @return: the loss, summed */
static double cross_entropy(const fit *f, const int32_t *which, int N)
{
    const cliphd_head_data *d = f->d;
    const int A = f->h->A;
    double loss = 0;
    for (int i = 0; i < N && d->prior; i++)
        for (int c = 0; c < A; c++)
            f->s.z_out[(size_t)i * (size_t)A + (size_t)c] +=
                d->prior[(size_t)d->at[which[i]].question * (size_t)A + (size_t)c];
    clipk_softmax(f->k, f->s.z_out, 1, N, A);
    for (int i = 0; i < N; i++) {
        const float *p = f->s.z_out + (size_t)i * (size_t)A;
        float *dz = f->s.dz_out + (size_t)i * (size_t)A, all = 0;
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
        clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_PATCHES, (uint64_t)f->optimizer.step, (uint64_t)i);
        for (int j = 0; j < f->h->H; j++) {
            float *at = h + (size_t)i * (size_t)f->h->H + (size_t)j;
            *at = clipb_rng_float(&r) < keep ? *at / keep : 0;
        }
    }
}

static double gradient(fit *f, const int32_t *which, int N)
{
    const cliphd_head_acts *s = &f->s;
    memset(f->g, 0, f->h->params.count * sizeof *f->g);
    gather(f, which, N);
    cliphd_head_forward(f->k, s, f->h);
    drop(f, s->h, N);
    cliphd_head_forward_out(f->k, s, f->h);
    const double loss = cross_entropy(f, which, N);
    cliphd_head_backward_out(f->k, s, f->h);
    drop(f, s->dh, N);
    cliphd_head_backward(f->k, s, f->h);
    return loss;
}

static void take_step(fit *f)
{
    const cliptrn_weights weights = {.params = &f->h->params, .w = f->h->w, .g = f->g};
    cliptrn_optimizer_step(&f->optimizer, f->k, &weights, 0);
}

/* The mean score of the best answers to these questions. */
static double score(fit *f, const int32_t *which, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i += f->o->batch) {
        const int N = n - i < f->o->batch ? n - i : f->o->batch;
        gather(f, which + i, N);
        cliphd_head_forward(f->k, &f->s, f->h);
        cliphd_head_forward_out(f->k, &f->s, f->h);
        for (int j = 0; j < N; j++) {
            const float *z = f->s.z_out + (size_t)j * (size_t)f->h->A;
            int best = 0;
            for (int c = 1; c < f->h->A; c++)
                best = z[c] > z[best] ? c : best;
            for (int32_t t = f->d->target_off[which[i + j]]; t < f->d->target_off[which[i + j] + 1]; t++)
                sum += f->d->target[t] == best ? (double)f->d->worth[t] : 0;
        }
    }
    return sum / n;
}

/* He et al. 2015 (arXiv:1502.01852) for layers before an activation; half of that variance for the
 * others. */
static void draw_weights(fit *f)
{
    const cliphd_head *h = f->h;
    memset(h->w, 0, h->params.count * sizeof *h->w);
    for (size_t i = 0; i < h->params.n; i++) {
        const clipmdl_param *p = &h->params.param[i];
        if (p->ndim < 2)
            continue;
        const bool before_gelu = strcmp(p->name, "fc.weight") == 0 || strcmp(p->name, "look.weight") == 0;
        const float deviation = strcmp(p->name, "pos") == 0 ? 0.5f : sqrtf((before_gelu ? 2 : 1) / (float)p->dim[1]);
        clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_INIT, (uint64_t)i, 0);
        for (size_t j = 0; j < p->count; j++)
            h->w[p->at + j] = deviation * clipb_rng_normal(&r);
    }
}

/* A picture is held back with all its questions. */
static bool held_back(const fit *f, int32_t picture)
{
    clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_SHUFFLE, UINT64_MAX, (uint64_t)picture);
    return clipb_rng_below(&r, 10) == 0;
}

typedef struct place {
    bool held;
    int32_t picture, question;
} place;

static int by_picture(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->held != y->held)
        return x->held - y->held;
    return x->picture != y->picture ? (x->picture > y->picture) - (x->picture < y->picture)
                                    : (x->question > y->question) - (x->question < y->question);
}

static clip_status split(fit *f)
{
    const int n = f->d->n;
    place *p = malloc((size_t)n * sizeof *p);
    f->sorted = malloc((size_t)n * sizeof *f->sorted);
    f->order = malloc((size_t)n * sizeof *f->order);
    f->run = malloc((size_t)n * sizeof *f->run);
    if (!p || !f->sorted || !f->order || !f->run) {
        free(p);
        return CLIP_ENOMEM;
    }
    for (int i = 0; i < n; i++) {
        p[i] = (place){held_back(f, f->d->at[i].image), f->d->at[i].image, i};
        f->trained += !p[i].held;
    }
    if (f->trained == 0) /* too few pictures to hold any back: train and score on all of them */
        f->trained = n;
    qsort(p, (size_t)n, sizeof *p, by_picture);
    for (int i = 0; i < n; i++) {
        f->sorted[i] = f->order[i] = p[i].question;
        if (i < f->trained && (i == 0 || p[i].picture != p[i - 1].picture))
            f->run[f->runs++] = i;
    }
    free(p);
    return CLIP_OK;
}

static void shuffle(fit *f, int epoch)
{
    clipb_rng r = clipb_rng_at(f->o->seed, CLIPB_RNG_SHUFFLE, (uint64_t)epoch, 0);
    for (int i = f->runs - 1; i > 0; i--) {
        const int j = (int)clipb_rng_below(&r, (uint32_t)i + 1);
        const int32_t t = f->run[i];
        f->run[i] = f->run[j];
        f->run[j] = t;
    }
    for (int i = 0, n = 0; i < f->runs; i++)
        for (int32_t q = f->run[i];
             q < f->trained && f->d->at[f->sorted[q]].image == f->d->at[f->sorted[f->run[i]]].image; q++)
            f->order[n++] = f->sorted[q];
}

static clip_status prepare(fit *f)
{
    cliphd_head *h = f->h;
    const cliphd_head_options *o = f->o;
    TRY(split(f));
    TRY(cliphd_head_acts_reserve(&f->acts, &f->s, f->k, h, o->batch, o->batch, true));
    TRY(cliptrn_zeros(&f->gradient, &f->g, h->params.count));
    TRY(cliptrn_zeros(&f->kept, &f->best, h->params.count));
    const int64_t steps = (f->trained + o->batch - 1) / o->batch;
    const cliptrn_optimizer_options opt = {.lr = o->lr,
                                           .beta1 = 0.9,
                                           .beta2 = 0.98,
                                           .eps = 1e-8,
                                           .weight_decay = o->weight_decay,
                                           .schedule = CLIPTRN_COSINE,
                                           .warmup = steps / 2 + 1,
                                           .steps = steps * o->epochs + 1};
    TRY(cliptrn_optimizer_init(&f->optimizer, &opt, &h->params));
    draw_weights(f);
    return cliphd_head_bind(f->k, h, f->g, &f->room);
}

static clip_status run(fit *f, cliphd_head_fit *out)
{
    const int held = f->d->n - f->trained;
    const int32_t *scored = held > 0 ? f->order + f->trained : f->order;
    *out = (cliphd_head_fit){.score = -1, .trained = f->trained, .held_back = held};
    for (int epoch = 1; epoch <= f->o->epochs && epoch - out->epoch <= f->o->patience; epoch++) {
        double loss = 0;
        shuffle(f, epoch);
        for (int i = 0; i < f->trained; i += f->o->batch) {
            loss += gradient(f, f->order + i, f->trained - i < f->o->batch ? f->trained - i : f->o->batch);
            take_step(f);
        }
        if (!isfinite(loss))
            return CLIP_EDIVERGED;
        const double s = score(f, scored, held > 0 ? held : f->trained);
        if (s > out->score) {
            *out = (cliphd_head_fit){epoch, s, f->trained, held};
            memcpy(f->best, f->h->w, f->h->params.count * sizeof *f->best);
        }
        if (f->o->progress && !f->o->progress(f->o->user, epoch, loss / f->trained, s))
            break;
    }
    memcpy(f->h->w, f->best, f->h->params.count * sizeof *f->best);
    return cliphd_head_pack(f->k, f->h); /* release room and gradients */
}

clip_status cliphd_head_train(const clipk_ctx *k, cliphd_head *h, const cliphd_head_data *d,
                              const cliphd_head_options *o, cliphd_head_fit *out)
{
    if (d->n < 2 || o->batch < 1 || o->epochs < 1)
        return CLIP_EINVAL;
    fit f = {.k = k, .h = h, .d = d, .o = o};
    clip_status s = prepare(&f);
    if (s == CLIP_OK)
        s = run(&f, out);
    cliptrn_optimizer_free(&f.optimizer);
    free(f.sorted);
    free(f.order);
    free(f.run);
    clipb_block *const blocks[] = {&f.acts, &f.room, &f.gradient, &f.kept};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        clipb_block_free(blocks[i]);
    return s;
}
