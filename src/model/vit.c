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
    clipmdl_bind_patches(b, &m->conv1, "visual.conv1.weight", C, m->cfg.patch_size);
    clipmdl_bind_vector(b, &m->class_embedding, "visual.", "class_embedding", C);
    clipmdl_bind_matrix(b, &m->positional_embedding, "visual.", "positional_embedding", clipmdl_vit_tokens(m), C);
    if (m->cfg.ln_pre)
        clipmdl_bind_layernorm(b, &m->ln_pre, "visual.", "ln_pre", C, m->cfg.eps);
    clipmdl_blocks_bind(b, m->block, m->cfg.layers, "visual.transformer.resblocks.", m->cfg.eps);
    clipmdl_bind_layernorm(b, &m->ln_post, "visual.", "ln_post", C, m->cfg.eps);
    clipmdl_bind_projection(b, &m->proj, "visual.proj", m->embed_dim, C);
}

void clipmdl_vit_layout(clipb_arena *a, clipmdl_vit_acts *acts, const clipmdl_vit *m, int N)
{
    const size_t n = (size_t)N, G2 = (size_t)clipmdl_vit_tokens(m) - 1, C = (size_t)m->cfg.width, P = (size_t)m->cfg.patch_size;
    acts->x = CLIPB_NEW(a, float, n * (1 + G2) * C);
    acts->pooled = CLIPB_NEW(a, float, n * C);
    acts->off = CLIPB_NEW(a, int32_t, n + 1);
    acts->read = CLIPB_NEW(a, int32_t, n);
    size_t mark = clipb_arena_mark(a);
    acts->patches = CLIPB_NEW(a, float, n * G2 * 3 * P * P);
    acts->embed = CLIPB_NEW(a, float, n * G2 * C);
    clipb_arena_reset(a, mark); /* the blocks begin when x is made */
    clipmdl_blocks_layout(a, &acts->block, &acts->last, acts->x, N * clipmdl_vit_tokens(m), N, m->block);
}

void clipmdl_vit_forward(const clipk_ctx *k, clipmdl_vit_acts *a, const clipmdl_vit *m, const float *pixels, int N, float *out)
{
    const int C = m->cfg.width, P = m->cfg.patch_size, T = clipmdl_vit_tokens(m), G2 = T - 1;

    clipnn_patchify(k, a->patches, pixels, N, m->cfg.image_size, P);
    clipnn_linear_forward(k, a->embed, clipk_rows(a->patches, 3 * P * P), N * G2, &m->conv1, CLIPK_LINEAR, NULL);
    clipnn_class_tokens(k, a->x, a->embed, m->class_embedding, m->positional_embedding, N, G2, C);
    if (m->cfg.ln_pre)
        clipk_layernorm(k, a->x, NULL, NULL, a->x, NULL, m->ln_pre.gain, m->ln_pre.bias, m->ln_pre.eps, N * T, C);

    for (int n = 0; n <= N; n++)
        a->off[n] = n * T;
    for (int n = 0; n < N; n++)
        a->read[n] = n * T; /* the class token */
    const clipnn_batch batch = {.B = N, .off = a->off};
    const float *class_rows = clipmdl_blocks_forward(k, &a->block, &a->last, a->x, m->block, m->cfg.layers, &batch, a->read);

    clipk_layernorm(k, a->pooled, NULL, NULL, class_rows, NULL, m->ln_post.gain, m->ln_post.bias, m->ln_post.eps, N, C);
    clipnn_linear_forward(k, out, clipk_rows(a->pooled, C), N, &m->proj, CLIPK_LINEAR, NULL);
}
