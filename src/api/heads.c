/* The public functions on probes, matching and questions. The bodies are in src/heads. */
#include "heads/heads.h"

/* ---- Probes ---- */

clip_probe_options clip_probe_options_default(void) { return cliphd_probe_options_default(); }

clip_status clip_probe_fit(clip_context *ctx, const char *const *names, int n_names, const clip_probe_data *train,
                           const clip_probe_data *val, const clip_probe_options *opt, clip_probe **out, clip_error *err)
{
    return cliphd_probe_fit(ctx, names, n_names, train, val, opt, out, err);
}

void clip_probe_free(clip_probe *p) { cliphd_probe_free(p); }

void clip_probe_get_info(const clip_probe *p, clip_probe_info *out) { cliphd_probe_get_info(p, out); }

clip_status clip_probe_predict(clip_context *ctx, const clip_probe *p, const float *image, int N, float *out)
{
    return cliphd_probe_predict(ctx, p, image, N, out);
}

clip_status clip_probe_save(const clip_model *m, const clip_probe *p, const char *dir, clip_error *err)
{
    return cliphd_probe_save(m, p, dir, err);
}

clip_status clip_probe_load(const clip_model *m, const char *dir, clip_probe **out, clip_error *err)
{
    return cliphd_probe_load(m, dir, out, err);
}

/* ---- Matching ---- */

clip_status clip_match_fit(clip_context *ctx, const float *image, const float *text, int N, int batch, clip_match *out,
                           clip_error *err)
{
    return cliphd_match_fit(ctx, image, text, N, batch, out, err);
}

clip_status clip_match_evaluate(clip_context *ctx, const clip_match *match, const float *image, const float *text,
                                int N, int batch, clip_match_scores *out, clip_error *err)
{
    return cliphd_match_evaluate(ctx, match, image, text, N, batch, out, err);
}

double clip_match_probability(const clip_match *match, double s) { return cliphd_match_probability(match, s); }

clip_status clip_match_save(const clip_model *m, const clip_match *match, const char *path, clip_error *err)
{
    return cliphd_match_save(m, match, path, err);
}

clip_status clip_match_load(const clip_model *m, const char *path, clip_match *out, clip_error *err)
{
    return cliphd_match_load(m, path, out, err);
}

bool clip_match_exists(const clip_model *m, const char *path) { return cliphd_match_exists(m, path); }

clip_status clip_match_hardest(clip_context *ctx, const float *image, const float *text, int N, int n,
                               clip_confusion *out, int *found)
{
    return cliphd_match_hardest(ctx, image, text, N, n, out, found);
}

/* ---- Questions ---- */

clip_status clip_question_new(clip_context *ctx, const clip_vqa *head, const char *text,
                              const clip_question_options *options, clip_question **out, clip_error *err)
{
    return cliphd_question_new(ctx, head, text, options, out, err);
}

void clip_question_free(clip_question *q) { cliphd_question_free(q); }

void clip_question_get_info(const clip_question *q, clip_question_info *out) { cliphd_question_get_info(q, out); }

clip_status clip_question_ask(clip_context *ctx, const clip_question *q, const float *image, int N, float *out)
{
    return cliphd_question_ask(ctx, q, image, N, out);
}

size_t clip_look_width(const clip_model *m) { return cliphd_look_width(m); }

clip_status clip_look_pixels(clip_context *ctx, const float *pixels, int N, float *out)
{
    return cliphd_look_pixels(ctx, pixels, N, out);
}

clip_status clip_asked_read(const char *path, clip_asked **out, size_t *n, clip_error *err)
{
    return cliphd_asked_read(path, out, n, err);
}

void clip_asked_free(clip_asked *asked, size_t n) { cliphd_asked_free(asked, n); }

double clip_asked_score(const clip_asked *asked, const char *answer) { return cliphd_asked_score(asked, answer); }

clip_vqa_options clip_vqa_options_default(void) { return cliphd_vqa_options_default(); }

clip_status clip_vqa_fit(clip_context *ctx, const clip_asked *asked, const int32_t *row, int n, const float *image,
                         const clip_vqa_options *options, clip_vqa **out, clip_error *err)
{
    return cliphd_vqa_fit(ctx, asked, row, n, image, options, out, err);
}

void clip_vqa_free(clip_vqa *h) { cliphd_vqa_free(h); }

void clip_vqa_get_info(const clip_vqa *h, clip_vqa_info *out) { cliphd_vqa_get_info(h, out); }

clip_status clip_vqa_save(const clip_model *m, const clip_vqa *h, const char *dir, clip_error *err)
{
    return cliphd_vqa_save(m, h, dir, err);
}

clip_status clip_vqa_load(const clip_model *m, const char *dir, clip_vqa **out, clip_error *err)
{
    return cliphd_vqa_load(m, dir, out, err);
}

bool clip_vqa_exists(const clip_model *m, const char *dir) { return cliphd_vqa_exists(m, dir); }
