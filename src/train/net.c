/* The gradient of a batch. The contrastive loss needs the whole batch, the towers do not: they meet
 * only at the embeddings. So a batch may pass in chunks (Gao et al. 2021, arXiv:2101.06983). All
 * chunks are embedded without a tape, the loss and its gradient are taken at the embeddings, and
 * each chunk is embedded once more with a tape and goes back. The result is that of the whole
 * batch, the memory that of a chunk.
 *
 * With peers, each rank has a part of the batch. Between forward and loss the embeddings of all are
 * gathered, and every rank takes the loss of the whole batch. Each goes back with the gradient at
 * its own embeddings. The sum over ranks of what it finds at the towers is the gradient of the
 * batch. */
#include "train/net.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define MOMENTUM 0.1f /* PyTorch's default, which every modified ResNet has */

/* ---- The net --------------------------------------------------------------------------------- */

static int first_group(bool locked, int unlocked, int groups)
{
    if (!locked)
        return 0;
    return unlocked < groups ? groups - unlocked : 0;
}

static int first_image_group(const cliptrn_net *n)
{
    return first_group(n->opt.lock_image, n->opt.image_unlocked, n->image->groups);
}
static int first_text_group(const cliptrn_net *n)
{
    return first_group(n->opt.lock_text, n->opt.text_unlocked, n->text->groups);
}
static bool trains_image(const cliptrn_net *n) { return first_image_group(n) < n->image->groups; }
static bool trains_text(const cliptrn_net *n) { return first_text_group(n) < n->text->groups; }

static bool trains(const cliptrn_net *n, const clipmdl_param *p)
{
    if (p->flags & CLIPMDL_BUFFER_PARAM)
        return false;
    if (p->flags & CLIPMDL_IMAGE_PARAM)
        return p->group >= first_image_group(n);
    return !(p->flags & CLIPMDL_TEXT_PARAM) || p->group >= first_text_group(n);
}

cliptrn_weights cliptrn_net_weights(const cliptrn_net *n)
{
    return (cliptrn_weights){.params = &n->params, .trains = n->trains, .w = n->w, .g = n->g};
}

void cliptrn_net_settle(cliptrn_net *n)
{
    float *logit_scale = cliptrn_net_number(n, n->w, "logit_scale");
    for (size_t i = 0; i < n->params.n && trains_image(n) && !n->opt.freeze_bn; i++) {
        const clipmdl_param *p = &n->params.param[i];
        for (size_t j = p->at; j < p->at + p->count && (p->flags & CLIPMDL_BUFFER_PARAM); j++)
            n->w[j] += MOMENTUM * (n->g[j] - n->w[j]);
    }
    *logit_scale = fminf(fmaxf(*logit_scale, 0), logf(100));
}

float *cliptrn_net_number(const cliptrn_net *n, float *block, const char *name)
{
    return block + clipmdl_params_find(&n->params, name)->at;
}

static clip_status check(const cliptrn_net *n, clip_error *err)
{
    const cliptrn_net_options *o = &n->opt;
    const clipmdl_tower *t = n->image;
    if (!t->kind->backward)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "%s is for inference alone: training is for ViT and "
                          "ModifiedResNet", t->kind->name);
    if (o->patch_dropout > 0 && t->patches == 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "patch dropout is for ViTs: a %s has no patches to leave out", t->kind->name);
    if (o->image_unlocked > 0 && o->lock_image && t->groups == 1)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "a %s is locked as a whole: it has no groups to unlock",
                          t->kind->name);
    if (o->chunk > 0 && !o->lock_image && !o->freeze_bn && t->kind->batchnorm)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "in chunks, batch norms would see other statistics than in the whole batch: "
                          "freeze them, or train without chunks");
    if (clipb_peers_size(o->peers) > 1 && !o->lock_image && !o->freeze_bn && t->kind->batchnorm)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "with peers, batch norms would see other statistics than in the whole batch: freeze them");
    return CLIP_OK;
}

/* A tower's parameters where they are, and the operands of what is locked. */
static clip_status bind(cliptrn_net *n, clipmdl_tower *t, int first_group, clipb_block *panels)
{
    clipmdl_binder b = {.params = &n->params,
                        .prefix = "",
                        .w = n->w,
                        .g = first_group < t->groups ? n->g : NULL,
                        .k = &n->k,
                        .format = n->opt.format,
                        .room = &n->room,
                        .first_group = first_group,
                        .freeze_bn = n->opt.freeze_bn};
    clipmdl_tower_bind(&b, t);
    TRY(clipb_block_reserve(panels, b.arena.peak));
    b.arena = clipb_arena_on(panels);
    clipmdl_tower_bind(&b, t);
    clipb_block_free(&b.scratch);
    return b.status;
}

static clip_status init(cliptrn_net *n, int threads, clip_error *err)
{
    TRY(clipmdl_tower_new(n->config.vision.tower, &n->config, &n->image));
    TRY(clipmdl_tower_new(n->config.text.tower, &n->config, &n->text));
    TRY(check(n, err));
    TRY(clipmdl_params_list(&n->config, &n->params));
    TRY(cliptrn_zeros(&n->weights, &n->w, n->params.count));
    n->trains = malloc(n->params.n * sizeof *n->trains);
    TRY(n->trains ? CLIP_OK : CLIP_ENOMEM);
    for (size_t i = 0; i < n->params.n; i++)
        n->trains[i] = trains(n, &n->params.param[i]);
    n->k.set = n->opt.set ? n->opt.set : clipk_set_find(NULL);
    n->k.team = clipb_team_new(threads ? threads : clipb_cores());
    TRY(n->k.team ? CLIP_OK : CLIP_ENOMEM);
    TRY(clipb_block_reserve(&n->scratch, clipk_scratch_bytes(n->k.set, clipk_threads(&n->k))));
    n->k.scratch = n->scratch.base;
    clipmdl_params_init(&n->params, &n->config, n->opt.seed, n->w);
    return CLIP_OK;
}

clip_status cliptrn_net_init(cliptrn_net *n, const clipmdl_config *c, const cliptrn_net_options *opt, int threads,
                             clip_error *err)
{
    n->config = *c;
    n->config.logit_bias = opt->loss == CLIPTRN_SIGLIP;
    n->opt = *opt;
    clip_status s = init(n, threads, err);
    return s == CLIP_ENOMEM ? clipb_nomem(err, NULL) : s;
}

void cliptrn_net_free(cliptrn_net *n)
{
    clipmdl_params_free(&n->params);
    free(n->trains);
    clipmdl_tower_free(n->image);
    clipmdl_tower_free(n->text);
    clipb_team_free(n->k.team);
    clipb_block *const blocks[] = {&n->weights, &n->tape,    &n->image_panels, &n->text_panels,
                                   &n->room,    &n->scratch, &n->batch,        &n->grads};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        clipb_block_free(blocks[i]);
    *n = (cliptrn_net){0};
}

/* ---- A batch --------------------------------------------------------------------------------- */

typedef struct pass {
    cliptrn_net *n;
    const cliptrn_pairs *batch;
    int B, most;                       /* pairs of all ranks; the most that a rank has */
    int D, K;                          /* K: patches kept of a picture; 0: all */
    float *v, *t, *dv, *dt, *again;    /* [N, D] */
    float *v_norm, *t_norm;            /* [N] */
    int32_t *kept, *off;               /* [N, K]; [N + 1], a chunk's own offsets */
    int32_t *place;                    /* [N] place of a pair in the batch of all ranks */
    /* Of all ranks. Alone, all_v is v, and so on. */
    float *all_v, *all_t, *all_dv, *all_dt; /* [B, D] */
    float *parts;                      /* [size][most, 2, D] v and t of the pairs of a rank */
    int *taken;                        /* [size] */
    size_t image_at, tapes;            /* where the pictures' acts begin, where the tapes end */
    cliptrn_loss_acts loss;
    clipmdl_acts image, text;
} pass;

static void layout(clipb_arena *a, pass *p)
{
    const size_t N = (size_t)p->batch->N, D = (size_t)p->D;
    p->v = CLIPB_NEW(a, float, N * D);
    p->t = CLIPB_NEW(a, float, N * D);
    p->dv = CLIPB_NEW(a, float, N * D);
    p->dt = CLIPB_NEW(a, float, N * D);
    p->again = CLIPB_NEW(a, float, N * D);
    p->v_norm = CLIPB_NEW(a, float, N);
    p->t_norm = CLIPB_NEW(a, float, N);
    p->kept = CLIPB_NEW(a, int32_t, N * (size_t)p->K);
    p->off = CLIPB_NEW(a, int32_t, N + 1);
    p->place = CLIPB_NEW(a, int32_t, N);
    cliptrn_loss_layout(a, &p->loss, &p->n->k, p->B, p->D);
    if (clipb_peers_size(p->n->opt.peers) == 1) {
        p->all_v = p->v, p->all_t = p->t, p->all_dv = p->dv, p->all_dt = p->dt;
        return;
    }
    const size_t B = (size_t)p->B, size = (size_t)p->n->opt.peers->size;
    p->all_v = CLIPB_NEW(a, float, B * D);
    p->all_t = CLIPB_NEW(a, float, B * D);
    p->all_dv = CLIPB_NEW(a, float, B * D);
    p->all_dt = CLIPB_NEW(a, float, B * D);
    p->parts = CLIPB_NEW(a, float, size * (size_t)p->most * 2 * D);
    p->taken = CLIPB_NEW(a, int, size);
}

/* The places in the whole batch that the pairs of this rank have. */
static void find_places(pass *p)
{
    const clipb_peers *peers = p->n->opt.peers;
    for (int j = 0, i = 0; i < p->batch->N; j++)
        if (!peers || p->batch->holder[j] == peers->rank)
            p->place[i++] = j;
}

/* The most pairs that a rank has. */
static int most_of_a_rank(const clipb_peers *peers, const cliptrn_pairs *batch)
{
    int most = 0;
    for (int r = 0; r < clipb_peers_size(peers); r++) {
        int n = peers ? 0 : batch->N;
        for (int j = 0; peers && j < batch->whole; j++)
            n += batch->holder[j] == r;
        most = n > most ? n : most;
    }
    return most;
}

/* K of the G patches of every picture, each choice as likely as any other, in order. */
static void draw_patches(pass *p, int64_t step)
{
    const int G = p->n->image->patches;
    for (int i = 0; i < p->batch->N && p->K; i++) {
        clipb_rng r = clipb_rng_at(p->n->opt.seed, CLIPB_RNG_PATCHES, (uint64_t)step, (uint64_t)p->place[i]);
        for (int g = 0, left = p->K; left > 0; g++)
            if ((int)clipb_rng_below(&r, (uint32_t)(G - g)) < left)
                p->kept[i * p->K + p->K - left--] = g;
    }
}

/* ---- Where the tape and the gradient are --------------------------------------------------------
 *
 *   [texts' tape][pictures' tape: embedding, block 0, 1, .., last]
 *           [texts' gradient ....][pictures' gradient: embedding, block 0, 1, .., last][scale]
 *
 * in one piece of memory. Backward uses the tape from its end to its front, and makes the gradients
 * in the same order. So they may lie over it, as long as the tapes of a layer and of the
 * layers before it end before the layer's gradient begins. */

/* The texts from .. from + N as a batch of their own. */
static clipmdl_input texts_of(pass *p, int from, int N)
{
    const int32_t *off = p->batch->off + from;
    for (int i = 0; i <= N; i++)
        p->off[i] = off[i] - off[0];
    return (clipmdl_input){.N = N, .ids = p->batch->ids + off[0], .off = p->off};
}

static clipmdl_input pictures_of(const pass *p, int from, int N)
{
    const size_t S = (size_t)p->n->config.vision.image_size;
    return (clipmdl_input){.N = N,
                           .pixels = p->batch->pixels + (size_t)from * 3 * S * S,
                           .K = p->K,
                           .kept = p->K ? p->kept + (size_t)from * (size_t)p->K : NULL};
}

static void layout_tower(clipb_arena *a, clipmdl_acts *acts, const pass *p, const clipmdl_tower *t, clipmdl_input in,
                         bool tape)
{
    t->kind->layout(a, acts, &p->n->k, t, &in, tape);
}

/* The end of the tape that is still to be read when the gradient of a parameter begins. */
static size_t tape_end(const pass *p, const clipmdl_param *q)
{
    if (q->flags & CLIPMDL_TEXT_PARAM)
        return clipmdl_tape_end(&p->text.tape, q->group);
    return q->flags & CLIPMDL_IMAGE_PARAM ? clipmdl_tape_end(&p->image.tape, q->group) : p->tapes;
}

/* Measure the acts of both towers, one behind the other as far as their tapes have to be kept.
 * Returns by how many bytes the gradient begins later than they do. */
static size_t measure_whole(pass *p, clipb_arena *a)
{
    const cliptrn_net *n = p->n;
    size_t later = 0;
    layout_tower(a, &p->text, p, n->text, texts_of(p, 0, p->batch->N), trains_text(n));
    p->image_at = trains_text(n) ? clipb_arena_mark(a) : 0;
    clipb_arena_reset(a, p->image_at);
    layout_tower(a, &p->image, p, n->image, pictures_of(p, 0, p->batch->N), trains_image(n));
    p->tapes = trains_image(n) ? clipb_arena_mark(a) : p->image_at;
    for (size_t i = 0; i < n->params.n; i++) {
        const clipmdl_param *q = &n->params.param[i];
        const size_t at = q->at * sizeof(float), end = n->trains[i] ? tape_end(p, q) : 0;
        if (end > at + later)
            later = end - at;
    }
    return later;
}

/* In chunks one tape is kept at a time. Each chunk adds to the gradient, so that is behind the
 * tapes. */
static size_t measure_chunks(pass *p, clipb_arena *a, int chunk)
{
    for (int i = 0; i < p->batch->N; i += chunk) {
        const int m = p->batch->N - i < chunk ? p->batch->N - i : chunk;
        clipb_arena_reset(a, 0);
        layout_tower(a, &p->text, p, p->n->text, texts_of(p, i, m), trains_text(p->n));
        clipb_arena_reset(a, 0);
        layout_tower(a, &p->image, p, p->n->image, pictures_of(p, i, m), trains_image(p->n));
    }
    return a->peak;
}

/* Room for `bytes` of tape and gradient, the gradient at its end. */
static clip_status reserve(cliptrn_net *n, size_t bytes)
{
    TRY(clipb_block_reserve(&n->tape, bytes));
    n->g = (float *)(void *)(n->tape.base + n->tape.capacity) - n->params.count;
    if (n->bound == n->g)
        return CLIP_OK;
    TRY(bind(n, n->image, first_image_group(n), &n->image_panels));
    TRY(bind(n, n->text, first_text_group(n), &n->text_panels));
    n->bound = n->g;
    return CLIP_OK;
}

static clip_status place(pass *p, int chunk)
{
    clipb_arena a = {0};
    const size_t gradient = p->n->params.count * sizeof(float);
    const double side = p->n->config.vision.image_size;
    if (chunk * side * side > INT_MAX) /* layers count pixels in an int; a chunk has fewer */
        return CLIP_ENOMEM;
    TRY(reserve(p->n, gradient)); /* a tower must be bound before it is measured */
    const size_t later = chunk == p->batch->N ? measure_whole(p, &a) : measure_chunks(p, &a, chunk);
    return reserve(p->n, a.peak > later + gradient ? a.peak : later + gradient);
}

static void zero_gradients(const pass *p, int tower, int group)
{
    const clipmdl_params *all = &p->n->params;
    for (size_t i = 0; i < all->n; i++)
        if (all->param[i].flags & tower && all->param[i].group == group)
            memset(p->n->g + all->param[i].at, 0, all->param[i].count * sizeof(float));
}

static void enter_image(void *user, int group) { zero_gradients(user, CLIPMDL_IMAGE_PARAM, group); }
static void enter_text(void *user, int group) { zero_gradients(user, CLIPMDL_TEXT_PARAM, group); }

/* ---- Forward and backward -------------------------------------------------------------------- */

/* at: where the tower's acts begin in the tape */
static void tower_forward(const pass *p, const clipmdl_tower *t, clipmdl_acts *acts, clipmdl_input in, size_t at,
                          bool tape, float *out)
{
    clipb_arena a = clipb_arena_on(&p->n->tape);
    clipb_arena_reset(&a, at);
    layout_tower(&a, acts, p, t, in, tape);
    t->kind->forward(&p->n->k, acts, t, &in, out);
}

static void image_forward(pass *p, int from, int N, bool tape, float *out)
{
    tower_forward(p, p->n->image, &p->image, pictures_of(p, from, N), p->image_at, tape, out);
}

static void text_forward(pass *p, int from, int N, bool tape, float *out)
{
    tower_forward(p, p->n->text, &p->text, texts_of(p, from, N), 0, tape, out);
}

static clip_status tower_backward(const pass *p, const clipmdl_tower *t, const clipmdl_acts *acts, clipmdl_input in,
                                  clipmdl_grads *g, const float *dout)
{
    cliptrn_net *n = p->n;
    for (int placing = 0; placing < 2; placing++) {
        clipb_arena a = placing ? clipb_arena_on(&n->grads) : (clipb_arena){0};
        t->kind->layout_grads(&a, g, &n->k, t, &in);
        if (!placing)
            TRY(clipb_block_reserve(&n->grads, a.peak));
    }
    t->kind->backward(&n->k, g, acts, t, &in, dout);
    return CLIP_OK;
}

static clip_status image_backward(pass *p, int from, int N)
{
    clipmdl_grads g = {.enter = from == 0 ? enter_image : NULL, .user = p};
    return tower_backward(p, p->n->image, &p->image, pictures_of(p, from, N), &g, p->dv + (size_t)from * (size_t)p->D);
}

static clip_status text_backward(pass *p, int from, int N)
{
    clipmdl_grads g = {.enter = from == 0 ? enter_text : NULL, .user = p};
    return tower_backward(p, p->n->text, &p->text, texts_of(p, from, N), &g, p->dt + (size_t)from * (size_t)p->D);
}

/* The embeddings of all ranks, in the order of the whole batch. */
static clip_status gather(pass *p, clip_error *err)
{
    const clipb_peers *peers = p->n->opt.peers;
    const size_t D = (size_t)p->D, row = D * sizeof(float), part = (size_t)p->most * 2 * D;
    if (clipb_peers_size(peers) == 1)
        return CLIP_OK;
    float *own = p->parts + (size_t)peers->rank * part;
    memset(own, 0, part * sizeof(float));
    for (size_t i = 0; i < (size_t)p->batch->N; i++) {
        memcpy(own + 2 * i * D, p->v + i * D, row);
        memcpy(own + (2 * i + 1) * D, p->t + i * D, row);
    }
    TRY(peers->gather(peers, p->parts, part * sizeof(float), err));
    memset(p->taken, 0, (size_t)peers->size * sizeof *p->taken);
    for (size_t j = 0; j < (size_t)p->B; j++) {
        const int r = p->batch->holder[j];
        const float *from = p->parts + (size_t)r * part + (size_t)p->taken[r]++ * 2 * D;
        memcpy(p->all_v + j * D, from, row);
        memcpy(p->all_t + j * D, from + D, row);
    }
    return CLIP_OK;
}

/* The gradient at this rank's embeddings, from that of the whole batch. */
static void keep_own(const pass *p)
{
    const size_t D = (size_t)p->D;
    for (size_t i = 0; p->all_dv != p->dv && i < (size_t)p->batch->N; i++) {
        memcpy(p->dv + i * D, p->all_dv + (size_t)p->place[i] * D, D * sizeof(float));
        memcpy(p->dt + i * D, p->all_dt + (size_t)p->place[i] * D, D * sizeof(float));
    }
}

static clip_status loss_at_embeddings(pass *p, cliptrn_loss *out, clip_error *err)
{
    cliptrn_net *n = p->n;
    const int N = p->batch->N, D = p->D;
    const bool sigmoid = n->opt.loss == CLIPTRN_SIGLIP;
    *out = (cliptrn_loss){.scale = exp(*cliptrn_net_number(n, n->w, "logit_scale")),
                          .bias = sigmoid ? *cliptrn_net_number(n, n->w, "logit_bias") : 0};
    clipk_l2norm(&n->k, p->v, p->v_norm, N, D);
    clipk_l2norm(&n->k, p->t, p->t_norm, N, D);
    TRY(gather(p, err));
    cliptrn_loss_backward(&n->k, out, p->all_dv, p->all_dt, &p->loss, p->all_v, p->all_t, p->B, D, n->opt.loss);
    keep_own(p);
    clipk_l2norm_backward(&n->k, p->dv, p->dv, p->v, p->v_norm, N, D);
    clipk_l2norm_backward(&n->k, p->dt, p->dt, p->t, p->t_norm, N, D);
    *cliptrn_net_number(n, n->g, "logit_scale") = (float)out->dscale;
    if (sigmoid)
        *cliptrn_net_number(n, n->g, "logit_bias") = (float)out->dbias;
    return CLIP_OK;
}

/* Sum over ranks the gradient at the towers. Every rank has the whole one at logit_scale and
 * logit_bias. Neighbours in memory are summed in one call. */
static clip_status sum_gradients(const cliptrn_net *n, clip_error *err)
{
    const clipb_peers *peers = n->opt.peers;
    size_t from = 0, count = 0;
    for (size_t i = 0; i < n->params.n && clipb_peers_size(peers) > 1; i++) {
        const clipmdl_param *q = &n->params.param[i];
        if (!n->trains[i] || !(q->flags & (CLIPMDL_IMAGE_PARAM | CLIPMDL_TEXT_PARAM)))
            continue;
        if (count > 0 && q->at != from + count) {
            TRY(peers->sum(peers, n->g + from, count, err));
            count = 0;
        }
        from = count > 0 ? from : q->at;
        count += q->count;
    }
    return count > 0 ? peers->sum(peers, n->g + from, count, err) : CLIP_OK;
}

static clip_status go_back(pass *p, int from, int N, bool once)
{
    if (trains_image(p->n)) {
        if (!once)
            image_forward(p, from, N, true, p->again);
        TRY(image_backward(p, from, N));
    }
    if (trains_text(p->n)) {
        if (!once)
            text_forward(p, from, N, true, p->again);
        TRY(text_backward(p, from, N));
    }
    return CLIP_OK;
}

/* A rank that has no pair of a batch adds nothing. */
static void zero_towers(const cliptrn_net *n)
{
    for (size_t i = 0; i < n->params.n; i++)
        if (n->params.param[i].flags & (CLIPMDL_IMAGE_PARAM | CLIPMDL_TEXT_PARAM))
            memset(n->g + n->params.param[i].at, 0, n->params.param[i].count * sizeof(float));
}

static clip_status prepare(pass *p, int chunk, int64_t step)
{
    cliptrn_net *n = p->n;
    if (n->opt.patch_dropout > 0) {
        const int K = (int)(n->image->patches * (1 - n->opt.patch_dropout)); /* in double, as OpenCLIP */
        p->K = K > 0 ? K : 1;
    }
    for (int placing = 0; placing < 2; placing++) {
        clipb_arena a = placing ? clipb_arena_on(&n->batch) : (clipb_arena){0};
        layout(&a, p);
        if (!placing)
            TRY(clipb_block_reserve(&n->batch, a.peak));
    }
    find_places(p);
    draw_patches(p, step);
    return p->batch->N > 0 ? place(p, chunk) : reserve(n, n->params.count * sizeof(float));
}

clip_status cliptrn_net_gradient(cliptrn_net *n, const cliptrn_pairs *batch, int64_t step, cliptrn_loss *out,
                                 clip_error *err)
{
    const int N = batch->N, D = n->config.embed_dim, chunk = n->opt.chunk > 0 && n->opt.chunk < N ? n->opt.chunk : N;
    const bool once = chunk == N;
    pass p = {.n = n, .batch = batch, .D = D, .B = n->opt.peers ? batch->whole : N};
    p.most = most_of_a_rank(n->opt.peers, batch);
    if (prepare(&p, chunk, step) < 0)
        return clipb_fail(err, CLIP_ENOMEM, NULL, "out of memory: a smaller batch, or chunks of it, take less");
    for (int i = 0; i < N; i += chunk) {
        const int m = N - i < chunk ? N - i : chunk;
        text_forward(&p, i, m, once && trains_text(n), p.t + (size_t)i * (size_t)D);
        image_forward(&p, i, m, once && trains_image(n), p.v + (size_t)i * (size_t)D);
    }
    TRY(loss_at_embeddings(&p, out, err));
    for (int i = 0; i < N; i += chunk)
        if (go_back(&p, i, N - i < chunk ? N - i : chunk, once) < 0)
            return clipb_nomem(err, NULL);
    if (N == 0)
        zero_towers(n);
    return sum_gradients(n, err);
}
