/* The public functions on calibration and metrics. The bodies are in src/tasks. */
#include "engine/engine.h"
#include "tasks/calibrate.h"
#include "tasks/multilabel.h"
#include "tasks/tasks.h"

clip_status clip_fit_scale(const float *cosine, const int32_t *right, int N, int L, double *scale)
{
    return cliptsk_fit_scale(cosine, right, N, L, scale);
}

clip_status clip_calibration(const float *cosine, const int32_t *right, int N, int L, double scale, double *nll,
                             double *ece)
{
    return cliptsk_choice_errors(cosine, right, N, L, scale, nll, ece);
}

clip_status clip_fit_thresholds(const float *cosine, const uint8_t *yes, int N, int L, float *threshold, float *for_all,
                                double *scale)
{
    return cliptsk_fit_thresholds(cosine, yes, N, L, threshold, for_all, scale);
}

clip_status clip_multilabel(const float *cosine, const uint8_t *yes, int N, int L, const float *threshold, double scale,
                            clip_multilabel_metrics *out)
{
    return cliptsk_multilabel(cosine, yes, N, L, threshold, scale, out);
}

clip_status clip_ranks(clip_context *ctx, const float *query, int Q, const float *candidate, int C,
                       const int32_t *right, const int32_t *right_off, int32_t *rank)
{
    return cliptsk_ranks(&ctx->k, query, Q, candidate, C, ctx->model->config.embed_dim, right, right_off, rank);
}

clip_status clip_rank_summary(const int32_t *rank, int64_t Q, clip_rank_metrics *out)
{
    return cliptsk_rank_summary(rank, Q, out);
}
