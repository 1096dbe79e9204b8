/* The Vision Transformer of CLIP:
 *
 *     patches -> conv1 -> [class, patches] + positions -> ln_pre -> blocks -> ln_post(class token) -> proj */
#include <stdlib.h>

#include "model/model.h"

static int grid(const clipmdl_vit *m) { return m->cfg.image_size / m->cfg.patch_size; }

int clipmdl_vit_tokens(const clipmdl_vit *m) { return 1 + grid(m) * grid(m); }

clip_status clipmdl_vit_init(clipmdl_vit *m, const clipmdl_config *c)
{
    const clipmdl_vision_config *v = &c->vision;
    *m = (clipmdl_vit){.cfg = *v, .embed_dim = c->embed_dim};
    m->block = clipmdl_blocks_new(v->layers, v->width, v->heads, v->mlp, v->act);
    return m->block ? CLIP_OK : CLIP_ENOMEM;
}

void clipmdl_vit_free(clipmdl_vit *m) { free(m->block); }

void clipmdl_vit_bind(clipmdl_binder *b, clipmdl_vit *m)
{
    const int C = m->cfg.width;
    b->flags = CLIPMDL_IMAGE_PARAM;
    b->group = 0;
    clipmdl_bind_patches(b, &m->conv1, "visual.conv1.weight", C, m->cfg.patch_size);
    clipmdl_bind_vector(b, &m->class_embedding, &m->d_class_embedding, "visual.", "class_embedding", C);
    clipmdl_bind_matrix(b, &m->positional_embedding, &m->d_positional_embedding, "visual.", "positional_embedding",
                        clipmdl_vit_tokens(m), C);
    if (m->cfg.ln_pre)
        clipmdl_bind_layernorm(b, &m->ln_pre, "visual.", "ln_pre", C, m->cfg.eps);
    clipmdl_blocks_bind(b, m->block, m->cfg.layers, "visual.transformer.resblocks.", m->cfg.eps);
    clipmdl_bind_layernorm(b, &m->ln_post, "visual.", "ln_post", C, m->cfg.eps);
    b->group++;
    if (m->embed_dim > 0)
        clipmdl_bind_projection(b, &m->proj, "visual.proj", m->embed_dim, C);
    m->first_group = b->first_group;
}

static void layout(clipb_arena *a, clipmdl_vit_acts *acts, const clipmdl_vit *m, int N, int K, bool tape,
                   const clipmdl_tap *tap)
{
    const size_t n = (size_t)N, C = (size_t)m->cfg.width, P = (size_t)m->cfg.patch_size;
    *acts = (clipmdl_vit_acts){.K = K ? K : clipmdl_vit_tokens(m) - 1, .tap = tap};
    const size_t k = (size_t)acts->K, T = n * (1 + k);
    acts->x = acts->tokens = CLIPB_NEW(a, float, T * C);
    acts->pooled = CLIPB_NEW(a, float, n * C);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    acts->read = CLIPB_NEW(a, int32_t, n);
    acts->block = CLIPB_NEW(a, clipnn_block_acts, m->cfg.layers);
    if (tape) {
        if (m->cfg.ln_pre)
            acts->x = CLIPB_NEW(a, float, T * C);
        acts->mean_pre = CLIPB_NEW(a, float, T);
        acts->rstd_pre = CLIPB_NEW(a, float, T);
        acts->mean_post = CLIPB_NEW(a, float, n);
        acts->rstd_post = CLIPB_NEW(a, float, n);
    }
    const size_t mark = clipb_arena_mark(a);
    acts->patches = CLIPB_NEW(a, float, n * k * 3 * P * P);
    acts->embed = CLIPB_NEW(a, float, n * k * C);
    const size_t embedded = clipb_arena_mark(a);
    clipb_arena_reset(a, mark); /* the blocks begin when x is made, and on the way back they have ended */
    clipmdl_blocks_layout(a, acts->block, tape ? &acts->tape : NULL, acts->x, (int)T,
                          clipmdl_taps_all(tap, m->cfg.layers) ? 0 : N, m->block, m->cfg.layers);
    if (tape && acts->tape.first < embedded)
        acts->tape.first = embedded;
}

void clipmdl_vit_layout(clipb_arena *a, clipmdl_vit_acts *acts, const clipmdl_vit *m, int N, int K, bool tape)
{
    layout(a, acts, m, N, K, tape, NULL);
}

void clipmdl_vit_layout_tap(clipb_arena *a, clipmdl_vit_acts *acts, const clipmdl_vit *m, int N, const clipmdl_tap *tap)
{
    layout(a, acts, m, N, 0, false, tap);
}

void clipmdl_vit_layout_grads(clipb_arena *a, clipmdl_tower_grads *g, const clipk_ctx *k, const clipmdl_vit *m, int N,
                              int K)
{
    const int C = m->cfg.width, P = m->cfg.patch_size, T = N * (K ? 1 + K : clipmdl_vit_tokens(m));
    const size_t proj = clipnn_linear_work(k, N, C, m->embed_dim), conv1 = clipnn_linear_work(k, T, 3 * P * P, C);
    clipmdl_blocks_layout_grads(a, g, k, T, N, m->block, proj > conv1 ? proj : conv1);
}

void clipmdl_vit_forward(const clipk_ctx *k, clipmdl_vit_acts *a, const clipmdl_vit *m, const float *pixels, int N,
                         float *out)
{
    const int C = m->cfg.width, P = m->cfg.patch_size, K = a->K, T = 1 + K;

    a->pixels = pixels;
    clipnn_patchify(k, a->patches, pixels, a->kept, N, K, m->cfg.image_size, P);
    clipnn_linear_forward(k, a->embed, NULL, clipk_rows(a->patches, 3 * P * P), N * K, &m->conv1, CLIPK_LINEAR, NULL);
    clipnn_class_tokens(k, a->tokens, a->embed, m->class_embedding, m->positional_embedding, a->kept, N, K, C);
    if (m->cfg.ln_pre)
        clipnn_layernorm_forward(k, a->x, a->mean_pre, a->rstd_pre, a->tokens, NULL, &m->ln_pre, N * T, C);

    for (int n = 0; n <= N; n++)
        a->off[n] = n * T;
    for (int n = 0; n < N; n++)
        a->read[n] = n * T; /* the class token */
    const clipnn_batch batch = {.B = N, .off = a->off};
    const bool all = clipmdl_taps_all(a->tap, m->cfg.layers);
    const float *last =
        clipmdl_blocks_forward(k, a->block, m->block, m->cfg.layers, &batch, all ? NULL : a->read, a->tap);
    if (!last)
        return;
    clipnn_layernorm_forward(k, a->pooled, a->mean_post, a->rstd_post, last, all ? a->read : NULL, &m->ln_post, N, C);
    if (out)
        clipnn_linear_forward(k, out, NULL, clipk_rows(a->pooled, C), N, &m->proj, CLIPK_LINEAR, NULL);
}

void clipmdl_vit_backward(const clipk_ctx *k, const clipmdl_tower_grads *g, const clipmdl_vit_acts *a,
                          const clipmdl_vit *m, const float *dout, int N)
{
    const int C = m->cfg.width, P = m->cfg.patch_size, L = m->cfg.layers, K = a->K, T = 1 + K;
    const clipnn_batch batch = {.B = N, .off = a->off};
    void *work = g->block.work;

    clipmdl_enter(g, L + 1);
    clipnn_linear_backward(k, m->first_group <= L ? g->pooled : NULL, dout, clipk_rows(a->pooled, C), N, &m->proj, NULL,
                           work);
    if (m->first_group > L)
        return;
    clipmdl_enter(g, L);
    clipnn_layernorm_backward(k, g->pooled, g->pooled, a->block[L - 1].out, a->mean_post, a->rstd_post, &m->ln_post,
                              NULL, N, C, work);
    clipmdl_blocks_backward(k, g, g->pooled, a->block, m->block, L, m->first_group > 0 ? m->first_group - 1 : 0, &batch,
                            a->read);
    if (m->first_group > 0)
        return;

    clipmdl_enter(g, 0);
    if (m->cfg.ln_pre)
        clipnn_layernorm_backward(k, g->x, g->x, a->tokens, a->mean_pre, a->rstd_pre, &m->ln_pre, NULL, N * T, C, work);
    clipnn_class_tokens_backward(k, a->embed, m->d_class_embedding, m->d_positional_embedding, g->x, a->kept, N, K, C);
    clipnn_patchify(k, a->patches, a->pixels, a->kept, N, K, m->cfg.image_size, P);
    clipnn_linear_dw(k, a->embed, clipk_rows(a->patches, 3 * P * P), N * K, &m->conv1, work); /* pixels want no gradient */
}
