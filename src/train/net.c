/* The gradient of a batch. The contrastive loss needs all of the batch, the towers do not: they meet only at the embeddings. So a batch may pass in
 * chunks: all chunks are embedded without a tape, the loss and its gradient are taken at the embeddings, and each chunk is embedded once more with
 * a tape and goes back (Gao et al. 2021, arXiv:2101.06983). The result is that of the whole batch; the memory is that of a chunk. */
#include "train/net.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define MOMENTUM 0.1f /* PyTorch's default, which every modified ResNet has */

/* ---- The net ------------------------------------------------------------------------------------------------- */

static bool is_vit(const cliptrn_net *n) { return n->config.vision.kind == CLIPMDL_VIT; }

static int image_groups(const cliptrn_net *n) { return is_vit(n) ? n->config.vision.layers + 2 : 1; }
static int text_groups(const cliptrn_net *n) { return n->config.text.layers + 2; }

static int first_group(bool locked, int unlocked, int groups)
{
    if (!locked)
        return 0;
    return unlocked < groups ? groups - unlocked : 0;
}

static int first_image_group(const cliptrn_net *n)
{
    return first_group(n->opt.lock_image, n->opt.image_unlocked, image_groups(n));
}
static int first_text_group(const cliptrn_net *n)
{
    return first_group(n->opt.lock_text, n->opt.text_unlocked, text_groups(n));
}
static bool trains_image(const cliptrn_net *n) { return first_image_group(n) < image_groups(n); }
static bool trains_text(const cliptrn_net *n) { return first_text_group(n) < text_groups(n); }

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
    if (is_vit(n))
        return CLIP_OK;
    if (o->patch_dropout > 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "patch dropout is for ViTs: a ResNet has no patches to leave out");
    if (o->image_unlocked > 0 && o->lock_image)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "a ResNet is locked as a whole: it has no groups to unlock");
    if (o->chunk > 0 && !o->lock_image && !o->freeze_bn)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "in chunks, batch norms would see other statistics than in the whole batch: "
                          "freeze them, or train without chunks");
    return CLIP_OK;
}

/* The towers' parameters where they are, and the operands of what is locked. */
static clip_status bind(cliptrn_net *n, bool image, clipb_block *panels)
{
    const bool trains = image ? trains_image(n) : trains_text(n);
    clipmdl_binder b = {.params = &n->params,
                        .prefix = "",
                        .scheme = CLIPMDL_OPENCLIP,
                        .w = n->w,
                        .g = trains ? n->g : NULL,
                        .k = &n->k,
                        .room = &n->room,
                        .first_group = image ? first_image_group(n) : first_text_group(n),
                        .freeze_bn = n->opt.freeze_bn};
    for (int pass = 0; pass < 2; pass++) {
        if (!image)
            clipmdl_text_bind(&b, &n->text);
        else if (is_vit(n))
            clipmdl_vit_bind(&b, &n->vit);
        else
            clipmdl_resnet_bind(&b, &n->resnet);
        if (pass == 0) {
            TRY(clipb_block_reserve(panels, b.arena.peak));
            b.arena = clipb_arena_on(panels);
        }
    }
    clipb_block_free(&b.scratch);
    return b.status;
}

static clip_status init(cliptrn_net *n, int threads, clip_error *err)
{
    TRY(check(n, err));
    TRY(clipmdl_params_list(&n->config, n->opt.loss == CLIPTRN_SIGLIP, &n->params));
    TRY(cliptrn_zeros(&n->weights, &n->w, n->params.count));
    n->trains = malloc(n->params.n * sizeof *n->trains);
    TRY(n->trains ? CLIP_OK : CLIP_ENOMEM);
    for (size_t i = 0; i < n->params.n; i++)
        n->trains[i] = trains(n, &n->params.param[i]);
    TRY(is_vit(n) ? clipmdl_vit_init(&n->vit, &n->config) : clipmdl_resnet_init(&n->resnet, &n->config));
    TRY(clipmdl_text_init(&n->text, &n->config));
    n->k.set = clipk_set_find(NULL);
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
    n->opt = *opt;
    clip_status s = init(n, threads, err);
    return s == CLIP_ENOMEM ? clipb_fail(err, s, NULL, "out of memory") : s;
}

void cliptrn_net_free(cliptrn_net *n)
{
    clipmdl_params_free(&n->params);
    free(n->trains);
    clipmdl_vit_free(&n->vit);
    clipmdl_resnet_free(&n->resnet);
    clipmdl_text_free(&n->text);
    clipb_team_free(n->k.team);
    clipb_block *const blocks[] = {&n->weights, &n->tape,    &n->image_panels, &n->text_panels,
                                   &n->room,    &n->scratch, &n->batch,        &n->grads};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        clipb_block_free(blocks[i]);
    *n = (cliptrn_net){0};
}

/* ---- A batch --------------------------------------------------------------------------------------------------- */

typedef struct pass {
    cliptrn_net *n;
    const cliptrn_pairs *batch;
    int D, K;                          /* K: patches kept of a picture; 0: all */
    float *v, *t, *dv, *dt, *again;    /* [N, D] */
    float *v_norm, *t_norm;            /* [N] */
    int32_t *kept, *off;               /* [N, K]; [N + 1], a chunk's own offsets */
    size_t image_at, tapes;            /* where the pictures' acts begin; where the tapes end */
    cliptrn_loss_acts loss;
    clipmdl_vit_acts vit;
    clipmdl_resnet_acts resnet;
    clipmdl_text_acts text;
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
    cliptrn_loss_layout(a, &p->loss, &p->n->k, p->batch->N, p->D);
}

/* K of the G patches of every picture, each choice as likely as any other, in order. */
static void draw_patches(pass *p, int64_t step)
{
    const int G = p->K ? clipmdl_vit_tokens(&p->n->vit) - 1 : 0;
    for (int i = 0; i < p->batch->N && p->K; i++) {
        clipb_rng r = clipb_rng_at(p->n->opt.seed, CLIPB_RNG_PATCHES, (uint64_t)step, (uint64_t)i);
        for (int g = 0, left = p->K; left > 0; g++)
            if ((int)clipb_rng_below(&r, (uint32_t)(G - g)) < left)
                p->kept[i * p->K + p->K - left--] = g;
    }
}

/* ---- Where the tape and the gradient are -------------------------------------------------------------------------
 *
 *     [texts' tape][pictures' tape: embedding, block 0, 1, .., last]
 *             [texts' gradient ..................][pictures' gradient: embedding, block 0, 1, .., last][scale]
 *
 * in one piece of memory. Backward uses the tape from its end to its front, and comes upon the gradients in the same order; so they may lie over it,
 * where the tape of a layer, and of those before it, ends before the layer's gradient begins. */

static void layout_text(pass *p, clipb_arena *a, int from, int N, bool tape)
{
    const int32_t *off = p->batch->off + from;
    clipmdl_text_layout(a, &p->text, &p->n->text, N, off[N] - off[0], tape);
}

static void layout_image(pass *p, clipb_arena *a, int N, bool tape)
{
    if (is_vit(p->n))
        clipmdl_vit_layout(a, &p->vit, &p->n->vit, N, p->K, tape);
    else
        clipmdl_resnet_layout(a, &p->resnet, &p->n->k, &p->n->resnet, N, tape);
}

/* The end of the tape that is still to be read when the gradient of a parameter begins. */
static size_t tape_end(const pass *p, const clipmdl_param *q)
{
    if (q->flags & CLIPMDL_TEXT_PARAM)
        return clipmdl_tape_end(&p->text.tape, q->group);
    if (q->flags & CLIPMDL_IMAGE_PARAM && is_vit(p->n))
        return clipmdl_tape_end(&p->vit.tape, q->group);
    return p->tapes;
}

/* Measure the acts of both towers, one behind the other as far as their tapes have to be kept. Returns by how much the gradient begins later than
 * they do. */
static size_t measure_whole(pass *p, clipb_arena *a)
{
    const cliptrn_net *n = p->n;
    size_t later = 0;
    layout_text(p, a, 0, p->batch->N, trains_text(n));
    p->image_at = trains_text(n) ? clipb_arena_mark(a) : 0;
    clipb_arena_reset(a, p->image_at);
    layout_image(p, a, p->batch->N, trains_image(n));
    p->tapes = trains_image(n) ? clipb_arena_mark(a) : p->image_at;
    for (size_t i = 0; i < n->params.n; i++) {
        const clipmdl_param *q = &n->params.param[i];
        const size_t at = q->at * sizeof(float), end = n->trains[i] ? tape_end(p, q) : 0;
        if (end > at + later)
            later = end - at;
    }
    return later;
}

/* In chunks one is kept at a time, and each adds to the gradient: it is behind them. */
static size_t measure_chunks(pass *p, clipb_arena *a, int chunk)
{
    for (int i = 0; i < p->batch->N; i += chunk) {
        const int m = p->batch->N - i < chunk ? p->batch->N - i : chunk;
        clipb_arena_reset(a, 0);
        layout_text(p, a, i, m, trains_text(p->n));
        clipb_arena_reset(a, 0);
        layout_image(p, a, m, trains_image(p->n));
    }
    return a->peak;
}

/* Room for so many bytes of tape and gradient, the gradient at its end. */
static clip_status reserve(cliptrn_net *n, size_t bytes)
{
    TRY(clipb_block_reserve(&n->tape, bytes));
    n->g = (float *)(void *)(n->tape.base + n->tape.capacity) - n->params.count;
    if (n->bound == n->g)
        return CLIP_OK;
    TRY(bind(n, true, &n->image_panels));
    TRY(bind(n, false, &n->text_panels));
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
    TRY(reserve(p->n, gradient)); /* what is not bound cannot be measured */
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

/* ---- There and back ------------------------------------------------------------------------------------------------ */

static void image_forward(pass *p, int from, int N, bool tape, float *out)
{
    cliptrn_net *n = p->n;
    const size_t S = (size_t)n->config.vision.image_size;
    const float *pixels = p->batch->pixels + (size_t)from * 3 * S * S;
    clipb_arena a = clipb_arena_on(&n->tape);
    clipb_arena_reset(&a, p->image_at);
    layout_image(p, &a, N, tape);
    if (is_vit(n)) {
        p->vit.kept = p->K ? p->kept + (size_t)from * (size_t)p->K : NULL;
        clipmdl_vit_forward(&n->k, &p->vit, &n->vit, pixels, N, out);
    } else {
        clipmdl_resnet_forward(&n->k, &p->resnet, &n->resnet, pixels, N, out);
    }
}

static clip_status image_backward(pass *p, int from, int N)
{
    cliptrn_net *n = p->n;
    const float *dout = p->dv + (size_t)from * (size_t)p->D;
    clipmdl_tower_grads vit;
    clipmdl_resnet_grads resnet;
    for (int placing = 0; placing < 2; placing++) {
        clipb_arena a = placing ? clipb_arena_on(&n->grads) : (clipb_arena){0};
        if (is_vit(n))
            clipmdl_vit_layout_grads(&a, &vit, &n->k, &n->vit, N, p->K);
        else
            clipmdl_resnet_layout_grads(&a, &resnet, &n->k, &n->resnet, N);
        if (!placing)
            TRY(clipb_block_reserve(&n->grads, a.peak));
    }
    if (is_vit(n)) {
        vit.enter = from == 0 ? enter_image : NULL;
        vit.user = p;
        clipmdl_vit_backward(&n->k, &vit, &p->vit, &n->vit, dout, N);
    } else {
        if (from == 0)
            enter_image(p, 0); /* all of it */
        clipmdl_resnet_backward(&n->k, &resnet, &p->resnet, &n->resnet, dout, N);
    }
    return CLIP_OK;
}

/* The texts from .. from + N as a batch of their own. */
static const int32_t *text_chunk(pass *p, int from, int N)
{
    const int32_t *off = p->batch->off + from;
    for (int i = 0; i <= N; i++)
        p->off[i] = off[i] - off[0];
    return p->batch->ids + off[0];
}

static void text_forward(pass *p, int from, int N, bool tape, float *out)
{
    cliptrn_net *n = p->n;
    const int32_t *ids = text_chunk(p, from, N);
    clipb_arena a = clipb_arena_on(&n->tape);
    layout_text(p, &a, from, N, tape);
    clipmdl_text_forward(&n->k, &p->text, &n->text, ids, p->off, N, out);
}

static clip_status text_backward(pass *p, int from, int N)
{
    cliptrn_net *n = p->n;
    const int32_t *ids = text_chunk(p, from, N);
    clipmdl_tower_grads g;
    for (int placing = 0; placing < 2; placing++) {
        clipb_arena a = placing ? clipb_arena_on(&n->grads) : (clipb_arena){0};
        clipmdl_text_layout_grads(&a, &g, &n->k, &n->text, N, p->off[N]);
        if (!placing)
            TRY(clipb_block_reserve(&n->grads, a.peak));
    }
    g.enter = from == 0 ? enter_text : NULL;
    g.user = p;
    clipmdl_text_backward(&n->k, &g, &p->text, &n->text, ids, p->off, p->dt + (size_t)from * (size_t)p->D, N);
    return CLIP_OK;
}

static void loss_at_embeddings(pass *p, cliptrn_loss *out)
{
    cliptrn_net *n = p->n;
    const int N = p->batch->N, D = p->D;
    const bool sigmoid = n->opt.loss == CLIPTRN_SIGLIP;
    *out = (cliptrn_loss){.scale = exp(*cliptrn_net_number(n, n->w, "logit_scale")),
                          .bias = sigmoid ? *cliptrn_net_number(n, n->w, "logit_bias") : 0};
    clipk_l2norm(&n->k, p->v, p->v_norm, N, D);
    clipk_l2norm(&n->k, p->t, p->t_norm, N, D);
    cliptrn_loss_backward(&n->k, out, p->dv, p->dt, &p->loss, p->v, p->t, N, D, n->opt.loss);
    clipk_l2norm_backward(&n->k, p->dv, p->dv, p->v, p->v_norm, N, D);
    clipk_l2norm_backward(&n->k, p->dt, p->dt, p->t, p->t_norm, N, D);
    *cliptrn_net_number(n, n->g, "logit_scale") = (float)out->dscale;
    if (sigmoid)
        *cliptrn_net_number(n, n->g, "logit_bias") = (float)out->dbias;
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

clip_status cliptrn_net_gradient(cliptrn_net *n, const cliptrn_pairs *batch, int64_t step, cliptrn_loss *out)
{
    const int N = batch->N, D = n->config.embed_dim, chunk = n->opt.chunk > 0 && n->opt.chunk < N ? n->opt.chunk : N;
    const bool once = chunk == N;
    pass p = {.n = n, .batch = batch, .D = D};
    if (n->opt.patch_dropout > 0) {
        const int G = n->config.vision.image_size / n->config.vision.patch_size, K = (int)(G * G * (1 - n->opt.patch_dropout)); /* in double, as OpenCLIP */
        p.K = K > 0 ? K : 1;
    }
    for (int placing = 0; placing < 2; placing++) {
        clipb_arena a = placing ? clipb_arena_on(&n->batch) : (clipb_arena){0};
        layout(&a, &p);
        if (!placing)
            TRY(clipb_block_reserve(&n->batch, a.peak));
    }
    TRY(place(&p, chunk));
    draw_patches(&p, step);

    for (int i = 0; i < N; i += chunk) {
        const int m = N - i < chunk ? N - i : chunk;
        text_forward(&p, i, m, once && trains_text(n), p.t + (size_t)i * (size_t)D);
        image_forward(&p, i, m, once && trains_image(n), p.v + (size_t)i * (size_t)D);
    }
    loss_at_embeddings(&p, out);
    for (int i = 0; i < N; i += chunk)
        TRY(go_back(&p, i, N - i < chunk ? N - i : chunk, once));
    return CLIP_OK;
}
