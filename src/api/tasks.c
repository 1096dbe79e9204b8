/* The tasks behind clip.h: classes, similarities, ranks. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "tasks/calibrate.h"
#include "tasks/multilabel.h"
#include "tasks/tasks.h"

#define TEXTS_AT_ONCE 256 /* filled templates held, if one label has not more */

/* L labels in T templates each: unit [L*T, D] gets their embeddings. */
static clip_status encode_filled(clip_context *ctx, const char *const *labels, int L, const char *const *templates, int T, char **filled, float *unit)
{
    for (int i = 0; i < L * T; i++) {
        if (!templates[i % T] || !labels[i / T])
            return CLIP_EINVAL;
        TRY(cliptsk_fill_template(templates[i % T], labels[i / T], &filled[i]));
    }
    return clip_encode_text(ctx, (const char *const *)filled, L * T, unit);
}

clip_status clip_encode_labels(clip_context *ctx, const char *const *labels, int L, const char *const *templates, int T, float *out)
{
    const size_t D = (size_t)ctx->model->config.embed_dim;
    if (!labels || !templates || !out || L < 1 || T < 1 || T > INT32_MAX / TEXTS_AT_ONCE)
        return CLIP_EINVAL;
    const int each = T < TEXTS_AT_ONCE ? TEXTS_AT_ONCE / T : 1;
    const size_t texts = (size_t)each * (size_t)T;
    char **filled = calloc(texts, sizeof *filled);
    float *unit = malloc(texts * D * sizeof *unit);
    clip_status s = filled && unit ? CLIP_OK : CLIP_ENOMEM;
    for (int i = 0; s == CLIP_OK && i < L; i += each) {
        const int n = L - i < each ? L - i : each;
        s = encode_filled(ctx, labels + i, n, templates, T, filled, unit);
        for (int j = 0; s == CLIP_OK && j < n; j++)
            cliptsk_class_embedding(&ctx->k, unit + (size_t)j * (size_t)T * D, T, (int)D, out + (size_t)(i + j) * D);
        for (size_t t = 0; t < texts; t++) {
            free(filled[t]);
            filled[t] = NULL;
        }
    }
    free(filled);
    free(unit);
    return s;
}

clip_status clip_similarity(clip_context *ctx, const float *a, int N, const float *b, int M, float *out)
{
    const int D = ctx->model->config.embed_dim;
    if (!a || !b || !out || N < 1 || M < 1 || D < 1)
        return CLIP_EINVAL;
    clipk_weight w = {.type = CLIPK_F32, .N = M, .K = D};
    TRY(clipb_block_reserve(&ctx->acts, clipk_weight_bytes(ctx->k.set, w.type, M, D)));
    w.panels = ctx->acts.base;
    clipk_weight_pack(&ctx->k, &w, clipk_rows(b, D));
    clipk_gemm(&ctx->k, out, M, clipk_rows(a, D), N, &w, NULL);
    return CLIP_OK;
}

void clip_probabilities_scaled(const clip_model *m, float scale, float *similarity, int N, int M)
{
    const clipk_ctx k = {.set = m->set};
    if (!similarity || N < 1 || M < 1)
        return;
    clipk_softmax(&k, similarity, scale, N, M);
}

void clip_probabilities(const clip_model *m, float *similarity, int N, int M) { clip_probabilities_scaled(m, m->logit_scale, similarity, N, M); }

clip_status clip_fit_scale(const float *cosine, const int32_t *right, int N, int L, double *scale)
{
    return cliptsk_fit_scale(cosine, right, N, L, scale);
}

clip_status clip_calibration(const float *cosine, const int32_t *right, int N, int L, double scale, double *nll, double *ece)
{
    return cliptsk_choice_errors(cosine, right, N, L, scale, nll, ece);
}

clip_status clip_fit_thresholds(const float *cosine, const uint8_t *yes, int N, int L, float *threshold, float *for_all, double *scale)
{
    return cliptsk_fit_thresholds(cosine, yes, N, L, threshold, for_all, scale);
}

clip_status clip_multilabel(const float *cosine, const uint8_t *yes, int N, int L, const float *threshold, double scale, clip_multilabel_metrics *out)
{
    return cliptsk_multilabel(cosine, yes, N, L, threshold, scale, out);
}

clip_status clip_ranks(clip_context *ctx, const float *query, int Q, const float *candidate, int C, const int32_t *right, const int32_t *right_off,
                       int32_t *rank)
{
    return cliptsk_ranks(&ctx->k, query, Q, candidate, C, ctx->model->config.embed_dim, right, right_off, rank);
}
