/* heads.h: what is trained on a frozen CLIP. Each function does what its namesake in clip.h says:
 * cliphd_probe_fit() is clip_probe_fit(). */
#ifndef CLIPHD_HEADS_H
#define CLIPHD_HEADS_H

#include "clip.h"

/* ---- Probes (probe.c, probe_fit.c, probe_files.c) ---- */

clip_probe_options cliphd_probe_options_default(void);
clip_status cliphd_probe_fit(clip_context *ctx, const char *const *names, int n_names, const clip_probe_data *train,
                             const clip_probe_data *val, const clip_probe_options *opt, clip_probe **out,
                             clip_error *err);
void cliphd_probe_free(clip_probe *p);
void cliphd_probe_get_info(const clip_probe *p, clip_probe_info *out);
clip_status cliphd_probe_predict(clip_context *ctx, const clip_probe *p, const float *image, int N, float *out);
clip_status cliphd_probe_save(const clip_model *m, const clip_probe *p, const char *dir, clip_error *err);
clip_status cliphd_probe_load(const clip_model *m, const char *dir, clip_probe **out, clip_error *err);

/* ---- Matching (match_fit.c) ---- */

clip_status cliphd_match_fit(clip_context *ctx, const float *image, const float *text, int N, int batch,
                             clip_match *out, clip_error *err);
clip_status cliphd_match_evaluate(clip_context *ctx, const clip_match *match, const float *image, const float *text,
                                  int N, int batch, clip_match_scores *out, clip_error *err);
double cliphd_match_probability(const clip_match *match, double s);
clip_status cliphd_match_save(const clip_model *m, const clip_match *match, const char *path, clip_error *err);
clip_status cliphd_match_load(const clip_model *m, const char *path, clip_match *out, clip_error *err);
bool cliphd_match_exists(const clip_model *m, const char *path);
clip_status cliphd_match_hardest(clip_context *ctx, const float *image, const float *text, int N, int n,
                                 clip_confusion *out, int *found);

/* ---- Questions (question_ask.c, vqa_look.c, vqa_asked.c, vqa_fit.c, vqa_files.c) ---- */

clip_status cliphd_question_new(clip_context *ctx, const clip_vqa *head, const char *text,
                                const clip_question_options *options, clip_question **out, clip_error *err);
void cliphd_question_free(clip_question *q);
void cliphd_question_get_info(const clip_question *q, clip_question_info *out);
clip_status cliphd_question_ask(clip_context *ctx, const clip_question *q, const float *image, int N, float *out);
size_t cliphd_look_width(const clip_model *m);
clip_status cliphd_look_pixels(clip_context *ctx, const float *pixels, int N, float *out);
clip_status cliphd_asked_read(const char *path, clip_asked **out, size_t *n, clip_error *err);
void cliphd_asked_free(clip_asked *asked, size_t n);
double cliphd_asked_score(const clip_asked *asked, const char *answer);
clip_vqa_options cliphd_vqa_options_default(void);
clip_status cliphd_vqa_fit(clip_context *ctx, const clip_asked *asked, const int32_t *row, int n, const float *image,
                           const clip_vqa_options *options, clip_vqa **out, clip_error *err);
void cliphd_vqa_free(clip_vqa *h);
void cliphd_vqa_get_info(const clip_vqa *h, clip_vqa_info *out);
clip_status cliphd_vqa_save(const clip_model *m, const clip_vqa *h, const char *dir, clip_error *err);
clip_status cliphd_vqa_load(const clip_model *m, const char *dir, clip_vqa **out, clip_error *err);
bool cliphd_vqa_exists(const clip_model *m, const char *dir);

#endif
