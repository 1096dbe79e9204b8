/* The public functions on models, teams, contexts, encoders, heat maps and converting. The bodies
 * are in src/engine. */
#include "engine/engine.h"

clip_load_options clip_load_options_default(void) { return clipeng_load_options_default(); }

clip_status clip_model_load(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err)
{
    return clipeng_model_load(path, opt, out, err);
}

void clip_model_free(clip_model *m) { clipeng_model_free(m); }

void clip_model_get_info(const clip_model *m, clip_model_info *out) { clipeng_model_get_info(m, out); }

void clip_weights_hash(const clip_model *m, char out[33]) { clipeng_weights_hash(m, out); }

clip_status clip_team_new(int threads, clip_team **out) { return clipeng_team_new(threads, out); }

void clip_team_free(clip_team *t) { clipeng_team_free(t); }

clip_status clip_context_new(const clip_model *m, int threads, clip_context **out)
{
    return clipeng_context_new(m, threads, out);
}

clip_status clip_context_new_on(const clip_model *m, clip_team *team, clip_context **out)
{
    return clipeng_context_new_on(m, team, out);
}

void clip_context_free(clip_context *ctx) { clipeng_context_free(ctx); }

int clip_context_threads(const clip_context *ctx) { return clipeng_context_threads(ctx); }

clip_status clip_context_set_language(clip_context *ctx, const char *name, clip_error *err)
{
    return clipeng_context_set_language(ctx, name, err);
}

const char *clip_context_message(const clip_context *ctx, clip_status s) { return clipeng_context_message(ctx, s); }

void clip_parallel(clip_context *ctx, int64_t n, void (*fn)(void *user, int64_t i), void *user)
{
    clipeng_parallel(ctx, n, fn, user);
}

clip_image_options clip_model_image_options(const clip_model *m) { return clipeng_model_image_options(m); }

clip_status clip_preprocess(const clip_model *m, const clip_image *img, float *out)
{
    return clipeng_preprocess(m, img, out);
}

clip_status clip_tokenize(const clip_model *m, const char *text, int32_t *ids, int *n)
{
    return clipeng_tokenize(m, text, ids, n);
}

clip_status clip_encode_image(clip_context *ctx, const clip_image *img, int N, float *out)
{
    return clipeng_encode_image(ctx, img, N, out);
}

clip_status clip_encode_pixels(clip_context *ctx, const float *pixels, int N, float *out)
{
    return clipeng_encode_pixels(ctx, pixels, N, out);
}

clip_status clip_encode_text(clip_context *ctx, const char *const *texts, int N, float *out)
{
    return clipeng_encode_text(ctx, texts, N, out);
}

clip_status clip_encode_tokens(clip_context *ctx, const int32_t *ids, const int32_t *offsets, int N, float *out)
{
    return clipeng_encode_tokens(ctx, ids, offsets, N, out);
}

clip_status clip_encode_labels(clip_context *ctx, const char *const *labels, int L, const char *const *templates, int T,
                               float *out)
{
    return clipeng_encode_labels(ctx, labels, L, templates, T, out);
}

clip_status clip_similarity(clip_context *ctx, const float *a, int N, const float *b, int M, float *out)
{
    return clipeng_similarity(ctx, a, N, b, M, out);
}

void clip_probabilities(const clip_model *m, float *similarity, int N, int M)
{
    clipeng_probabilities(m, similarity, N, M);
}

void clip_probabilities_scaled(const clip_model *m, float scale, float *similarity, int N, int M)
{
    clipeng_probabilities_scaled(m, scale, similarity, N, M);
}

clip_hidden_options clip_hidden_options_default(void) { return clipeng_hidden_options_default(); }

clip_status clip_hidden_text(clip_context *ctx, const char *const *texts, int N, const clip_hidden_options *opt,
                             const clip_hidden *out)
{
    return clipeng_hidden_text(ctx, texts, N, opt, out);
}

clip_status clip_hidden_tokens(clip_context *ctx, const int32_t *ids, const int32_t *offsets, int N,
                               const clip_hidden_options *opt, const clip_hidden *out)
{
    return clipeng_hidden_tokens(ctx, ids, offsets, N, opt, out);
}

clip_status clip_hidden_image(clip_context *ctx, const clip_image *img, int N, const clip_hidden_options *opt,
                              const clip_hidden *out)
{
    return clipeng_hidden_image(ctx, img, N, opt, out);
}

clip_status clip_hidden_pixels(clip_context *ctx, const float *pixels, int N, const clip_hidden_options *opt,
                               const clip_hidden *out)
{
    return clipeng_hidden_pixels(ctx, pixels, N, opt, out);
}

clip_status clip_explain(clip_context *ctx, const clip_image *img, const char *const *texts, int K, float *map,
                         float *cosine)
{
    return clipeng_explain(ctx, img, texts, K, map, cosine);
}

int clip_explain_side(const clip_model *m) { return clipeng_explain_side(m); }

clip_status clip_explain_heat(const clip_model *m, const float *map, int width, int height, float *heat)
{
    return clipeng_explain_heat(m, map, width, height, heat);
}

clip_status clip_seen_window(const clip_model *m, int width, int height, clip_window *out)
{
    return clipeng_seen_window(m, width, height, out);
}

clip_status clip_convert(const char *path, const char *out, const clip_convert_options *opt, clip_error *err)
{
    return clipeng_convert(path, out, opt, err);
}

clip_status clip_measure(clip_context *ctx, clip_machine_speed *out) { return clipeng_measure(ctx, out); }
