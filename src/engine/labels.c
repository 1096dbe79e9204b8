/* Embeddings of labels, and embeddings compared with each other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "tasks/tasks.h"

#define ROUNDING 1e-5f /* by which the product of two unit rows may be beyond 1 */
enum { TEXTS_AT_ONCE = 256 }; /* whose tokens and embeddings are held */

/* The texts from `first` on, n of all L*T, a label's beside each other: unit [n, D] gets their
 * embeddings. ids [TEXTS_AT_ONCE, context_length] and off [TEXTS_AT_ONCE + 1] are room for their
 * tokens. */
static clip_status encode_filled(clip_context *ctx, const char *const *labels, const char *const *templates, int T,
                                 int64_t first, int n, int32_t *ids, int32_t *off, float *unit)
{
    for (int i = 0; i < n; i++) {
        char *filled;
        int length;
        if (!templates[(first + i) % T] || !labels[(first + i) / T])
            return CLIP_EINVAL;
        TRY(cliptsk_fill_template(templates[(first + i) % T], labels[(first + i) / T], &filled));
        const clip_status s = clipeng_tokenize_in_language(ctx, filled, ids + off[i], &length);
        free(filled);
        TRY(s);
        off[i + 1] = off[i] + length;
    }
    return clipeng_encode_tokens(ctx, ids, off, n, unit);
}

clip_status clipeng_encode_labels(clip_context *ctx, const char *const *labels, int L, const char *const *templates,
                                  int T, float *out)
{
    const size_t D = (size_t)ctx->model->config.embed_dim;
    if (!labels || !templates || !out || L < 1 || T < 1 || !(ctx->model->towers & CLIP_TOWER_TEXT))
        return CLIP_EINVAL;
    const int64_t all = (int64_t)L * T;
    const size_t room = TEXTS_AT_ONCE * (size_t)ctx->model->config.text.context_length;
    int32_t *ids = malloc(room * sizeof *ids), off[TEXTS_AT_ONCE + 1] = {0};
    float *unit = malloc(TEXTS_AT_ONCE * D * sizeof *unit);
    clip_status s = ids && unit ? CLIP_OK : CLIP_ENOMEM;
    memset(out, 0, (size_t)L * D * sizeof *out);
    for (int64_t first = 0; s == CLIP_OK && first < all; first += TEXTS_AT_ONCE) {
        const int n = all - first < TEXTS_AT_ONCE ? (int)(all - first) : TEXTS_AT_ONCE;
        s = encode_filled(ctx, labels, templates, T, first, n, ids, off, unit);
        for (int i = 0; s == CLIP_OK && i < n; i++)
            cliptsk_class_add(out + (size_t)((first + i) / T) * D, unit + (size_t)i * D, (int)D);
    }
    for (int l = 0; s == CLIP_OK && l < L; l++)
        cliptsk_class_embedding(&ctx->k, out + (size_t)l * D, T, (int)D);
    free(ids);
    free(unit);
    return s;
}

clip_status clipeng_similarity(clip_context *ctx, const float *a, int N, const float *b, int M, float *out)
{
    const int D = ctx->model->config.embed_dim;
    if (!a || !b || !out || N < 1 || M < 1 || D < 1)
        return CLIP_EINVAL;
    clipk_weight w = {.format = CLIPK_FORMAT_F32, .N = M, .K = D};
    TRY(clipb_block_reserve(&ctx->acts, clipk_weight_bytes(ctx->k.set, w.format, M, D)));
    w.panels = ctx->acts.base;
    clipk_weight_pack(&ctx->k, &w, clipk_rows(b, D));
    clipk_gemm(&ctx->k, out, M, clipk_rows(a, D), N, &w, NULL);
    for (size_t i = 0; i < (size_t)N * (size_t)M; i++)
        if (fabsf(out[i]) < 1 + ROUNDING)
            out[i] = clipk_cosine(out[i]);
    return CLIP_OK;
}

void clipeng_probabilities_scaled(const clip_model *m, float scale, float *similarity, int N, int M)
{
    const clipk_ctx k = {.set = m->set};
    if (!similarity || N < 1 || M < 1)
        return;
    clipk_softmax(&k, similarity, scale, N, M);
}

void clipeng_probabilities(const clip_model *m, float *similarity, int N, int M)
{
    if (!m->config.logit_bias) {
        clipeng_probabilities_scaled(m, m->logit_scale, similarity, N, M);
        return;
    }
    for (int64_t i = 0; similarity && i < (int64_t)N * M; i++)
        similarity[i] = 1 / (1 + expf(-(m->logit_scale * similarity[i] + m->logit_bias)));
}
