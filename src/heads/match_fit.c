/* clip_match_*(): fitting a probability, its file, and the pairs that are easily confused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "heads/artefact.h"
#include "heads/heads.h"
#include "heads/match.h"
#include "tasks/metrics.h"

#define MOST_JSON ((size_t)1 << 16)

static cliphd_law law_of(const clip_match *m) { return (cliphd_law){m->knot, m->slope, m->intercept}; }

double cliphd_match_probability(const clip_match *match, double s)
{
    const cliphd_law law = law_of(match);
    return (double)cliphd_law_probability(&law, (float)s);
}

static bool are_numbers(const float *image, const float *text, int N, int D)
{
    const size_t n = N < 1 ? 0 : (size_t)N * (size_t)D;
    return image && text && cliptsk_finite(image, n) && cliptsk_finite(text, n);
}

static clip_status find_pairs(clip_context *ctx, const float *image, const float *text, int N, int batch,
                              cliphd_scored *s, clip_error *err)
{
    const int D = ctx->model->config.embed_dim;
    if (N < 2 || batch < 2)
        return clipb_fail(err, CLIP_EINVAL, NULL, "matching needs two pairs, and two in a batch");
    if (!are_numbers(image, text, N, D))
        return clipb_fail(err, CLIP_EINVAL, NULL, "an embedding is not a number");
    clip_status status = cliphd_scored_pairs(&ctx->k, image, text, N, D, (double)ctx->model->logit_scale, batch, s);
    if (status == CLIP_ENOMEM)
        return clipb_nomem(err, NULL);
    return status == CLIP_EINVAL
               ? clipb_fail(err, status, NULL,
                            "no pair has another in its batch with a different picture and a different text")
               : status;
}

/* Each sample is judged by the law of its half. */
static clip_status judge(const cliphd_scored *s, const cliphd_law law[2], clip_match_scores *out, clip_error *err)
{
    float *p = malloc((size_t)s->n * sizeof *p);
    double right = 0, all = 0;
    if (!p)
        return CLIP_ENOMEM;
    *out = (clip_match_scores){0};
    for (int i = 0; i < s->n; i++) {
        p[i] = cliphd_law_probability(&law[s->half[i]], s->score[i]);
        right += (p[i] > 0.5f) == s->yes[i] ? (double)s->weight[i] : 0;
        all += (double)s->weight[i];
        out->pairs += s->yes[i];
    }
    out->accuracy = right / all;
    out->ece = cliptsk_ece(p, s->yes, s->weight, s->n, CLIPTSK_BINS);
    clip_status status = cliptsk_auc(p, s->yes, s->weight, s->n, &out->auc);
    free(p);
    return status == CLIP_EINVAL
               ? clipb_fail(err, status, NULL, "the knot, slope or intercept of the probability is not a number")
               : status;
}

/* With few pairs a half may have no neighbours. Then there is no held-out figure to report. */
static clip_status cross_fit(clip_context *ctx, const cliphd_scored *s, clip_match *out, clip_error *err)
{
    cliphd_law law[2];
    clip_match_scores held_out;
    out->accuracy = out->auc = out->ece = (double)NAN;
    for (int half = 0; half < 2; half++) {
        clip_status status = cliphd_law_fit(&ctx->k, s, !half, &law[half]);
        if (status < 0)
            return status == CLIP_EINVAL ? CLIP_OK : status;
    }
    TRY(judge(s, law, &held_out, err));
    out->accuracy = held_out.accuracy;
    out->auc = held_out.auc;
    out->ece = held_out.ece;
    return CLIP_OK;
}

clip_status cliphd_match_fit(clip_context *ctx, const float *image, const float *text, int N, int batch,
                             clip_match *out, clip_error *err)
{
    cliphd_scored s;
    cliphd_law law;
    *out = (clip_match){.batch = batch};
    TRY(find_pairs(ctx, image, text, N, batch, &s, err));
    clip_status status = cliphd_law_fit(&ctx->k, &s, -1, &law);
    if (status == CLIP_EINVAL)
        status =
            clipb_fail(err, status, NULL, "pairs score no higher than wrong ones: there is nothing to learn from them");
    if (status == CLIP_OK) {
        out->knot = law.knot;
        out->slope = law.slope;
        out->intercept = law.intercept;
        out->pairs = s.n / 3;
        status = cross_fit(ctx, &s, out, err);
    }
    cliphd_scored_free(&s);
    return status == CLIP_ENOMEM ? clipb_nomem(err, NULL) : status;
}

clip_status cliphd_match_evaluate(clip_context *ctx, const clip_match *match, const float *image, const float *text,
                                  int N, int batch, clip_match_scores *out, clip_error *err)
{
    cliphd_scored s;
    const cliphd_law law[2] = {law_of(match), law_of(match)};
    TRY(find_pairs(ctx, image, text, N, batch, &s, err));
    clip_status status = judge(&s, law, out, err);
    cliphd_scored_free(&s);
    return status == CLIP_ENOMEM ? clipb_nomem(err, NULL) : status;
}

clip_status cliphd_match_hardest(clip_context *ctx, const float *image, const float *text, int N, int n,
                                 clip_confusion *out, int *found)
{
    const int D = ctx->model->config.embed_dim;
    *found = 0;
    if (!out || !are_numbers(image, text, N, D))
        return CLIP_EINVAL;
    return cliphd_confusions(&ctx->k, image, text, N, D, n, out, found);
}

/* ---- match.json ------------------------------------------------------------------------------ */

static clip_status file_of(const clip_model *m, const char *path, char **out, clip_error *err)
{
    if (!path)
        return cliphd_artefact_path(m, NULL, "match.json", out, err);
    *out = strdup(path);
    return *out ? CLIP_OK : clipb_nomem(err, path);
}

bool cliphd_match_exists(const clip_model *m, const char *path)
{
    char *file = NULL;
    const bool is = file_of(m, path, &file, NULL) == CLIP_OK && clipb_is_file(file);
    free(file);
    return is;
}

/* The key of each number in the file. */
static const struct {
    const char *name;
    size_t at;
    bool measured; /* left out where too few pairs could be held out */
} numbers[] = {
    {"knot", offsetof(clip_match, knot), false},         {"slope", offsetof(clip_match, slope), false},
    {"intercept", offsetof(clip_match, intercept), false}, {"accuracy", offsetof(clip_match, accuracy), true},
    {"auc", offsetof(clip_match, auc), true},            {"ece", offsetof(clip_match, ece), true},
};

static double *number(const clip_match *m, size_t i) { return (double *)((char *)m + numbers[i].at); }

static clip_status add_numbers(const clip_match *match, cJSON *words)
{
    bool good = true;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && good; i++)
        good = !isfinite(*number(match, i)) || cJSON_AddNumberToObject(words, numbers[i].name, *number(match, i));
    good = good && cJSON_AddNumberToObject(words, "batch", match->batch) &&
           cJSON_AddNumberToObject(words, "pairs", (double)match->pairs);
    return good ? CLIP_OK : CLIP_ENOMEM;
}

clip_status cliphd_match_save(const clip_model *m, const clip_match *match, const char *path, clip_error *err)
{
    char *file = NULL;
    cJSON *words = NULL;
    TRY(file_of(m, path, &file, err));
    clip_status s = cliphd_words_new(m, &words, err);
    if (s == CLIP_OK && add_numbers(match, words) < 0)
        s = clipb_nomem(err, file);
    if (s == CLIP_OK)
        s = cliphd_words_write(words, file, err);
    cJSON_Delete(words);
    free(file);
    return s;
}

static clip_status read_match(const clip_model *m, const cJSON *j, const char *file, clip_match *out, clip_error *err)
{
    int pairs = 0;
    *out = (clip_match){0};
    TRY(cliphd_words_check(m, j, file, err));
    TRY(clipb_json_int(j, "batch", 2, INT32_MAX, &out->batch, file, err));
    TRY(clipb_json_int(j, "pairs", 1, INT32_MAX, &pairs, file, err));
    out->pairs = pairs;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        float x = NAN;
        TRY(clipb_json_float(j, numbers[i].name, &x, file, err));
        if (isnan(x) && !numbers[i].measured)
            return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" is missing", numbers[i].name);
        *number(out, i) = (double)x;
    }
    if (!(out->slope > 0) || out->batch < 2)
        return clipb_fail(err, CLIP_EFORMAT, file, "\"slope\" must be above 0, \"batch\" at least 2");
    return CLIP_OK;
}

clip_status cliphd_match_load(const clip_model *m, const char *path, clip_match *out, clip_error *err)
{
    char *file = NULL;
    cJSON *j;
    TRY(file_of(m, path, &file, err));
    clip_status s = clipb_json_read_named(file, MOST_JSON, &j, err);
    if (s == CLIP_OK) {
        s = read_match(m, j, file, out, err);
        cJSON_Delete(j);
    }
    free(file);
    return s;
}
