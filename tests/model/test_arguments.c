/* What clip.h promises about wrong arguments: CLIP_EINVAL, and no read beyond what was given.
 * usage: test_arguments MODEL      models/emoji-clip */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip.h"

static const char *path;
static clip_model *m;
static clip_context *ctx;
static clip_model_info info;
static float *pixels, *out; /* two pictures; two rows */

static const char *const texts[] = {"a cat", "a dog", NULL}, *const templates[] = {"a photo of {}", NULL};
static uint8_t rgb[8 * 8 * 3];
static const clip_image image = {8, 8, 24, rgb};

static int start(void **state)
{
    (void)state;
    clip_error err;
    if (clip_model_load(path, NULL, &m, &err) < 0)
        fail_msg("%s", err.message);
    clip_model_get_info(m, &info);
    pixels = calloc(2 * 3 * (size_t)info.image_size * (size_t)info.image_size, sizeof *pixels);
    out = calloc(3 * (size_t)info.embed_dim, sizeof *out);
    return clip_context_new(m, 2, &ctx);
}

static int stop(void **state)
{
    (void)state;
    clip_context_free(ctx);
    clip_model_free(m);
    free(pixels);
    free(out);
    return 0;
}

#define REFUSED(call) assert_int_equal(call, CLIP_EINVAL)

static void encoders(void **state)
{
    (void)state;
    clip_image bad[] = {{0, 8, 24, rgb}, {8, 0, 24, rgb}, {-8, 8, 24, rgb}, {8, 8, 23, rgb}, {8, 8, 24, NULL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(clip_encode_image(ctx, &bad[i], 1, out));
        REFUSED(clip_preprocess(m, &bad[i], pixels));
        REFUSED(clip_explain(ctx, &bad[i], texts, 1, out, out));
    }
    for (int n = -1; n <= 0; n++) {
        REFUSED(clip_encode_image(ctx, &image, n, out));
        REFUSED(clip_encode_pixels(ctx, pixels, n, out));
        REFUSED(clip_encode_text(ctx, texts, n, out));
        REFUSED(clip_encode_labels(ctx, texts, n, templates, 1, out));
        REFUSED(clip_encode_labels(ctx, texts, 1, templates, n, out));
        REFUSED(clip_similarity(ctx, out, n, out, 1, out));
        REFUSED(clip_similarity(ctx, out, 1, out, n, out));
        REFUSED(clip_look_pixels(ctx, pixels, n, out));
        REFUSED(clip_explain(ctx, &image, texts, n, out, out));
    }
    REFUSED(clip_encode_image(ctx, NULL, 1, out));
    REFUSED(clip_encode_image(ctx, &image, 1, NULL));
    REFUSED(clip_encode_pixels(ctx, NULL, 1, out));
    REFUSED(clip_encode_pixels(ctx, pixels, 1, NULL));
    REFUSED(clip_encode_text(ctx, NULL, 1, out));
    REFUSED(clip_encode_text(ctx, texts, 3, out)); /* the third is NULL */
    REFUSED(clip_encode_text(ctx, texts, 1, NULL));
    REFUSED(clip_encode_labels(ctx, NULL, 1, templates, 1, out));
    REFUSED(clip_encode_labels(ctx, texts, 3, templates, 1, out));
    REFUSED(clip_encode_labels(ctx, texts, 1, templates, 2, out));
    REFUSED(clip_encode_labels(ctx, texts, 1, texts, 1, out)); /* no {} */
    REFUSED(clip_similarity(ctx, NULL, 1, out, 1, out));
    REFUSED(clip_preprocess(m, NULL, pixels));
    REFUSED(clip_preprocess(m, &image, NULL));
    REFUSED(clip_look_pixels(ctx, NULL, 1, out));
    REFUSED(clip_explain(ctx, NULL, texts, 1, out, out));
    REFUSED(clip_explain(ctx, &image, NULL, 1, out, out));
    REFUSED(clip_explain_heat(m, out, 0, 8, out));
    REFUSED(clip_explain_heat(m, NULL, 8, 8, out));
    clip_window w;
    REFUSED(clip_seen_window(m, 0, 8, &w));
    clip_context *none;
    REFUSED(clip_context_new(m, -1, &none));
    REFUSED(clip_context_new(m, 1025, &none));
    REFUSED(clip_context_new(NULL, 1, &none));
    clip_parallel(ctx, -5, NULL, NULL);
    clip_parallel(ctx, 0, NULL, NULL);
    clip_probabilities(m, NULL, 0, 0);
}

static void offsets(void **state)
{
    (void)state;
    enum { MOST = 4 };
    const struct {
        int32_t off[MOST];
        int n;
    } bad[] = {
        {{-1, 2}, 1},        {{INT32_MIN, 2}, 1}, {{INT32_MIN, INT32_MAX}, 1},
        {{0, 0}, 1},         {{2, 1}, 1},         {{0, 2, 1}, 2},
        {{0, 2, 2}, 2},      {{0, -1}, 1},        {{0, 2, INT32_MIN}, 2},
        {{0, INT32_MAX}, 1}, {{0, 100}, 1},       {{0, 2}, 0},
        {{0, 2}, -1},
    };
    int32_t *ids = malloc(4 * sizeof *ids); /* on the heap, so that a sanitizer sees reads beside them */
    ids[0] = ids[1] = ids[2] = 1;
    ids[3] = info.vocab_size - 1;
    const clip_hidden hidden = {.pooled = out};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(clip_encode_tokens(ctx, ids, bad[i].off, bad[i].n, out));
        REFUSED(clip_hidden_tokens(ctx, ids, bad[i].off, bad[i].n, NULL, &hidden));
    }
    const int32_t all[] = {0, 4}, tail[] = {1, 4};
    REFUSED(clip_encode_tokens(ctx, NULL, all, 1, out));
    REFUSED(clip_encode_tokens(ctx, ids, NULL, 1, out));
    REFUSED(clip_encode_tokens(ctx, ids, all, 1, NULL));
    assert_int_equal(clip_encode_tokens(ctx, ids, all, 1, out), CLIP_OK);
    assert_int_equal(clip_encode_tokens(ctx, ids, tail, 1, out), CLIP_OK); /* the first need not be 0 */
    for (int i = 0; i < 2; i++) {
        ids[1] = i ? -1 : info.vocab_size;
        REFUSED(clip_encode_tokens(ctx, ids, all, 1, out));
    }
    free(ids);

    const int32_t right[] = {0, 1}, rank_off[][3] = {{0, 1, 1}, {0, 2, 1}, {-1, 1, 2}, {1, 1, 2}, {0, -1, 2}};
    int32_t rank[2], wrong[] = {0, 2};
    for (size_t i = 0; i < sizeof rank_off / sizeof *rank_off; i++)
        REFUSED(clip_ranks(ctx, out, 2, out, 2, right, rank_off[i], rank));
    const int32_t good[] = {0, 1, 2};
    REFUSED(clip_ranks(ctx, out, 2, out, 2, wrong, good, rank));
    REFUSED(clip_ranks(ctx, out, 2, out, 2, NULL, good, rank));
    REFUSED(clip_ranks(ctx, out, 2, out, 2, right, NULL, rank));
    REFUSED(clip_ranks(ctx, NULL, 2, out, 2, right, good, rank));
    REFUSED(clip_ranks(ctx, out, -1, out, 2, right, good, rank));
    assert_int_equal(clip_ranks(ctx, out, 2, out, 2, right, good, rank), CLIP_OK);
    int n;
    int32_t id;
    REFUSED(clip_tokenize(m, NULL, &id, &n));
    REFUSED(clip_tokenize(m, "a", NULL, &n));
}

static void hidden_states(void **state)
{
    (void)state;
    const clip_hidden nothing = {0}, wanted = {.pooled = out};
    REFUSED(clip_hidden_text(ctx, texts, 1, NULL, &nothing));
    REFUSED(clip_hidden_text(ctx, texts, 1, NULL, NULL));
    REFUSED(clip_hidden_text(ctx, texts, 0, NULL, &wanted));
    REFUSED(clip_hidden_text(ctx, NULL, 1, NULL, &wanted));
    REFUSED(clip_hidden_image(ctx, NULL, 1, NULL, &wanted));
    REFUSED(clip_hidden_pixels(ctx, NULL, 1, NULL, &wanted));
    const int layers[] = {INT_MIN, -100, 100, INT_MAX}, pads[] = {info.vocab_size, INT_MAX};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        clip_hidden_options o = clip_hidden_options_default();
        o.layer = layers[i];
        REFUSED(clip_hidden_text(ctx, texts, 1, &o, &wanted));
    }
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++) {
        clip_hidden_options o = clip_hidden_options_default();
        o.pad_id = pads[i];
        REFUSED(clip_hidden_text(ctx, texts, 1, &o, &wanted));
    }
}

static void measures(void **state)
{
    (void)state;
    const float cosine[] = {0.1f, 0.2f, 0.3f, 0.4f}, odd[] = {0.1f, NAN, 0.3f, INFINITY};
    const int32_t right[] = {0, 1}, beyond[] = {0, 2}, below[] = {-1, 0};
    const uint8_t yes[] = {1, 0, 0, 1}, no[] = {0, 0, 0, 0};
    double scale, nll, ece;
    float threshold[2] = {0}, for_all, odd_threshold[2] = {NAN, 0};
    clip_multilabel_metrics metrics;
    REFUSED(clip_fit_scale(cosine, right, 0, 2, &scale));
    REFUSED(clip_fit_scale(cosine, right, 2, -1, &scale));
    REFUSED(clip_fit_scale(cosine, beyond, 2, 2, &scale));
    REFUSED(clip_fit_scale(cosine, below, 2, 2, &scale));
    REFUSED(clip_fit_scale(odd, right, 2, 2, &scale));
    REFUSED(clip_fit_scale(NULL, right, 2, 2, &scale));
    REFUSED(clip_fit_scale(cosine, NULL, 2, 2, &scale));
    REFUSED(clip_calibration(cosine, beyond, 2, 2, 1, &nll, &ece));
    REFUSED(clip_calibration(cosine, right, 2, 2, (double)NAN, &nll, &ece));
    REFUSED(clip_calibration(cosine, right, 2, 2, 1, NULL, &ece));
    REFUSED(clip_fit_thresholds(cosine, no, 2, 2, threshold, &for_all, &scale));
    REFUSED(clip_fit_thresholds(odd, yes, 2, 2, threshold, &for_all, &scale));
    REFUSED(clip_fit_thresholds(cosine, NULL, 2, 2, threshold, &for_all, &scale));
    REFUSED(clip_fit_thresholds(cosine, yes, -2, 2, threshold, &for_all, &scale));
    REFUSED(clip_multilabel(cosine, yes, 2, 2, odd_threshold, 1, &metrics));
    REFUSED(clip_multilabel(cosine, yes, 2, 2, NULL, 1, &metrics));
    REFUSED(clip_multilabel(cosine, yes, 2, 0, threshold, 1, &metrics));
}

static void fits(void **state)
{
    (void)state;
    clip_match match;
    clip_confusion confusion[2];
    int found;
    REFUSED(clip_match_fit(ctx, out, out, 1, 16, &match, NULL));
    REFUSED(clip_match_fit(ctx, out, out, -2, 16, &match, NULL));
    REFUSED(clip_match_fit(ctx, out, out, 2, 1, &match, NULL));
    REFUSED(clip_match_fit(ctx, NULL, out, 2, 2, &match, NULL));
    REFUSED(clip_match_hardest(ctx, out, out, 1, 1, confusion, &found));
    REFUSED(clip_match_hardest(ctx, out, out, 2, 0, confusion, &found));
    REFUSED(clip_match_hardest(ctx, out, NULL, 2, 1, confusion, &found));
    const int32_t label[] = {0, 1}, wrong[] = {0, 2}, below[] = {-1, 0};
    clip_probe *probe;
    const clip_probe_data part = {out, label, 2}, bad[] = {{out, wrong, 2},  {out, below, 2},  {out, label, 0},
                                                           {out, label, -1}, {NULL, label, 2}, {out, NULL, 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(clip_probe_fit(ctx, texts, 2, &bad[i], NULL, NULL, &probe, NULL));
        REFUSED(clip_probe_fit(ctx, texts, 2, &part, &bad[i], NULL, &probe, NULL));
    }
    REFUSED(clip_probe_fit(ctx, texts, 1, &part, NULL, NULL, &probe, NULL));
    REFUSED(clip_probe_fit(ctx, texts, 3, &part, NULL, NULL, &probe, NULL));
    REFUSED(clip_probe_fit(ctx, NULL, 2, &part, NULL, NULL, &probe, NULL));
    REFUSED(clip_probe_fit(ctx, texts, 2, NULL, NULL, NULL, &probe, NULL));
    clip_question *q;
    clip_question_options o = {.n_answers = -1};
    REFUSED(clip_question_new(ctx, NULL, NULL, NULL, &q, NULL));
    REFUSED(clip_question_new(ctx, NULL, " ", NULL, &q, NULL));
    REFUSED(clip_question_new(ctx, NULL, "what animal is this?", &o, &q, NULL));
    o = (clip_question_options){.answers = texts, .n_answers = 3};
    REFUSED(clip_question_new(ctx, NULL, "what animal is this?", &o, &q, NULL));
    o = (clip_question_options){.n_templates = 1};
    REFUSED(clip_question_new(ctx, NULL, "what animal is this?", &o, &q, NULL));
    assert_int_equal(clip_question_new(ctx, NULL, "what animal is this?", NULL, &q, NULL), CLIP_OK);
    REFUSED(clip_question_ask(ctx, q, out, 0, out));
    REFUSED(clip_question_ask(ctx, q, NULL, 1, out));
    clip_question_free(q);
    clip_vqa *head;
    const clip_asked asked[2] = {{"a", "b", texts, 1}, {"a", "c", texts + 1, 1}};
    const int32_t rows[] = {0, -1};
    REFUSED(clip_vqa_fit(ctx, asked, rows, 2, out, NULL, &head, NULL));
    REFUSED(clip_vqa_fit(ctx, NULL, rows, 2, out, NULL, &head, NULL));
    REFUSED(clip_vqa_fit(ctx, asked, label, 1, out, NULL, &head, NULL));
}

static void files(void **state)
{
    (void)state;
    clip_model *none;
    clip_image picture;
    clip_pairs *pairs;
    clip_index *x;
    clip_trainer *t;
    clip_train_options *o;
    char **list;
    size_t n;
    clip_asked *asked;
    REFUSED(clip_model_load(NULL, NULL, &none, NULL));
    REFUSED(clip_convert(NULL, "x", NULL, NULL));
    REFUSED(clip_convert(path, NULL, NULL, NULL));
    REFUSED(clip_image_read(NULL, NULL, &picture, NULL));
    REFUSED(clip_image_decode(NULL, 5, NULL, NULL, &picture, NULL));
    REFUSED(clip_pairs_open(NULL, NULL, &pairs, NULL));
    REFUSED(clip_list_pictures(NULL, NULL, NULL, NULL, NULL, &list, &n, NULL));
    REFUSED(clip_asked_read(NULL, &asked, &n, NULL));
    REFUSED(clip_index_open(NULL, NULL, &x, NULL));
    REFUSED(clip_trainer_new(NULL, NULL, NULL, &t, NULL));
    REFUSED(clip_trainer_resume(NULL, NULL, NULL, NULL, &t, NULL));
    assert_int_equal(clip_train_options_new(&o), CLIP_OK);
    REFUSED(clip_train_options_set(o, NULL, "1", NULL));
    REFUSED(clip_train_options_set(o, "lr", NULL, NULL));
    REFUSED(clip_train_options_read(o, NULL, NULL));
    clip_train_options_free(o);
    clip_train_options_free(NULL);
    clip_model_free(NULL);
    clip_context_free(NULL);
    clip_trainer_free(NULL);
    clip_pairs_close(NULL);
    clip_question_free(NULL);
    clip_probe_free(NULL);
    clip_vqa_free(NULL);
    clip_index_discard(NULL);
    assert_int_equal(clip_index_close(NULL, NULL), CLIP_OK);
    clip_list_free(NULL, 0);
    clip_asked_free(NULL, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoders), cmocka_unit_test(offsets), cmocka_unit_test(hidden_states),
        cmocka_unit_test(measures), cmocka_unit_test(fits),    cmocka_unit_test(files),
    };
    if (argc != 2)
        return 2;
    path = argv[1];
    return cmocka_run_group_tests(tests, start, stop);
}
