/* relevance.c: how much each token mattered, from the attention of each block and its gradient
 * (Chefer, Gur and Wolf 2021, arXiv:2103.15679, equations 5 and 6):
 *
 *     R = (1 + C_L) .. (1 + C_1),   C = mean over heads of max(0, P dP)
 *
 * Only the row of the pooled token is needed. That is a vector times matrices, beginning with the
 * last block, so it follows the order of backward. */
#include <math.h>
#include <string.h>

#include "nn/nn.h"

void clipnn_relevance_layout(clipb_arena *a, clipnn_relevance *r, const clipk_ctx *k, int T, int longest,
                             const clipnn_block *p)
{
    const size_t square = (size_t)longest * longest;
    r->r = CLIPB_NEW(a, float, T);
    r->before = CLIPB_NEW(a, float, T);
    r->score = CLIPB_NEW(a, float, square);
    r->dp = CLIPB_NEW(a, float, square);
    r->panels = clipb_arena_alloc(a, clipk_weight_bytes(k->set, CLIPK_FORMAT_F32, longest, p->width / p->heads), 1);
}

/* y [M, N] = a bᵀ, for the columns of one head. */
static void product(const clipk_ctx *k, const clipnn_relevance *r, float *y, const float *a, int lda, int M,
                    const float *b, int ldb, int N, int D)
{
    clipk_weight w = {.format = CLIPK_FORMAT_F32, .N = N, .K = D, .panels = r->panels};
    clipk_weight_pack(k, &w, clipk_rows(b, ldb));
    clipk_gemm(k, y, N, clipk_rows(a, lda), M, &w, NULL);
}

/* What one attention saw: its queries, keys beside values, and log sums. */
typedef struct seen {
    const float *q, *kv, *lse;
    int C;
    const clipk_attention_shape *s;
} seen;

/* r += before C. Query i of sample b is the row read[b], or row i of the sample if read is NULL. */
static void add_seen(const clipk_ctx *k, const clipnn_relevance *r, const float *datt, const seen *a,
                     const int32_t *read)
{
    const clipk_attention_shape *s = a->s;
    const int D = s->D, Tq = s->q_off[s->B];
    const float scale = 1 / sqrtf((float)D);
    for (int b = 0; b < s->B; b++)
        for (int h = 0; h < s->H; h++) {
            const size_t q0 = (size_t)s->q_off[b], k0 = (size_t)s->k_off[b], c = (size_t)a->C;
            const int Q = s->q_off[b + 1] - s->q_off[b], K = s->k_off[b + 1] - s->k_off[b];
            product(k, r, r->score, a->q + q0 * c + h * D, a->C, Q, a->kv + k0 * 2 * c + h * D, 2 * a->C, K, D);
            product(k, r, r->dp, datt + q0 * c + h * D, a->C, Q, a->kv + k0 * 2 * c + c + h * D, 2 * a->C, K, D);
            for (int i = 0; i < Q; i++) {
                const float from = r->before[read ? read[b] : (int)k0 + i] / (float)s->H,
                            lse = a->lse[h * Tq + (int)q0 + i];
                for (int j = 0; j < K && from > 0; j++) {
                    const float weight = expf(scale * r->score[i * K + j] - lse) * r->dp[i * K + j];
                    if (weight > 0)
                        r->r[(int)k0 + j] += from * weight;
                }
            }
        }
}

void clipnn_relevance_block(const clipk_ctx *k, const clipnn_relevance *r, const float *datt,
                            const clipnn_block_acts *a, const clipnn_block *p, const clipk_attention_shape *s,
                            const int32_t *read)
{
    memcpy(r->before, r->r, (size_t)s->k_off[s->B] * sizeof *r->r);
    add_seen(k, r, datt, &(seen){a->q, a->kv, a->lse, p->width, s}, read);
}

void clipnn_relevance_pool(const clipk_ctx *k, const clipnn_relevance *r, const float *datt,
                           const clipnn_attention_pool_acts *a, const clipnn_attention_pool *p,
                           const clipk_attention_shape *s)
{
    memset(r->r, 0, (size_t)s->k_off[s->B] * sizeof *r->r);
    for (int b = 0; b < s->B; b++)
        r->before[s->k_off[b]] = 1; /* the query of the sample */
    add_seen(k, r, datt, &(seen){a->q, a->kv, a->lse, p->width, s}, NULL);
}
