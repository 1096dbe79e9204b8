/* Questions by rules, answers as VQA compares them, and the network that learns to answer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "model/save.h"
#include "failing_alloc.h"
#include "heads/question.h"
#include "heads/vqa_head.h"
#include "heads/vqa_score.h"

/* ---- Questions ------------------------------------------------------------------------------- */

static void questions_become_statements(void **state)
{
    static const struct {
        const char *question, *type, *statement, *kind;
    } table[] = {
        {"How many dogs are there?", "count", "{} dogs", ""},
        {"how many red things are there?", "count", "{} red things", ""},
        {"how many people are in the car", "count", "{} people in the car", ""},
        {"What color is the car?", "color", "{} car", ""},
        {"What colour are these?", "color", "{}", ""},
        {"what is the color of the sky?", "color", "{} sky", ""},
        {"what color shirt is the man wearing?", "color", "{} shirt the man wearing", ""},
        {"is there a red circle?", "yes/no", "red circle", ""},
        {"Is this a dog?", "yes/no", "dog", ""},
        {"do you see a cat?", "yes/no", "cat", ""},
        {"is the star right of the ring?", "yes/no", "star right of the ring", ""},
        {"what animal is this?", "kind", "{}", "animal"},
        {"what animal is on the bed?", "kind", "{} on the bed", "animal"},
        {"what kind of wild animal is shown in this picture?", "kind", "{}", "animal"},
        {"which fruit do you see in the picture?", "kind", "{}", "fruit"},
        {"what shape are the red things?", "kind", "red {}", "shape"},
        {"what shape is it?", "kind", "{}", "shape"},
        {"what size is the star?", "kind", "{} star", "size"},
        {"What is the man doing?", "kind", "man {}", "action"},
        {"where is the cat?", "where", "cat {}", ""},
        {"who is riding the horse?", "who", "{} riding the horse", ""},
        {"what is on the table?", "other", "{} on the table", ""},
        {"what is this?", "other", "{}", ""},
        {"why is he sad", "other", "why is he sad {}", ""},
        {"what flurb is this?", "other", "{} flurb is this", ""},
        {"???", "other", "{}", ""},
        {"", "other", "{}", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        cliphd_question q;
        cliphd_question_parse(table[i].question, &q);
        assert_string_equal(cliphd_question_type_name(q.type), table[i].type);
        assert_string_equal(q.statement, table[i].statement);
        assert_string_equal(q.kind, table[i].kind);
        assert_non_null(cliphd_question_words(&q)[0]);
    }
}

/* Any text: a statement that fits its room, with its hole unless it is for "yes". */
static void any_text_becomes_a_statement_that_fits(void **state)
{
    static const char *const piece[] = {"what ", "how many ", "is ", "the ",     "color ", "are ", "there ",
                                        "x",     "? ",        "of ", "\xff\x01", "{} ",    "$1 ",  "in the picture "};
    static char text[40000];
    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        clipb_rng r = clipb_rng_at(1, 0, i, 0);
        const int n = (int)clipb_rng_below(&r, i % 50 == 0 ? 2000 : 12);
        *text = 0;
        for (int p = 0, at = 0; p < n; p++)
            at += (int)strlen(strcpy(text + at, piece[clipb_rng_below(&r, sizeof piece / sizeof *piece)]));
        cliphd_question q;
        cliphd_question_parse(text, &q);
        assert_true(strlen(q.statement) < CLIPHD_MOST_STATEMENT);
        const char *hole = strstr(q.statement, "{}");
        assert_true(q.type == CLIPHD_YES_NO ? !hole : hole && !strstr(hole + 2, "{}"));
    }
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void answers_are_normalised(void **state)
{
    static const char *const table[][2] = {
        {"Yes", "yes"},
        {"The  Red car.", "red car"},
        {"two", "2"},
        {"none", "0"},
        {"ten dogs", "10 dogs"},
        {"a man, an apple", "man apple"},
        {"1,000", "1000"},
        {"3.5", "3.5"},
        {"t-shirt", "t shirt"},
        {"don't know!", "dont know"},
        {"the", ""},
        {"", ""},
        {"\"black & white\"", "black & white"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *out;
        assert_int_equal(cliphd_answer_normalize(table[i][0], &out), CLIP_OK);
        assert_string_equal(out, table[i][1]);
        free(out);
    }
    for (long n = 1;; n++) {
        char *out;
        fail_alloc_at(n);
        const clip_status s = cliphd_answer_normalize("two dogs", &out);
        if (!fail_alloc_stop()) {
            free(out);
            break;
        }
        assert_int_equal(s, CLIP_ENOMEM);
        assert_null(out);
    }
}

static void answers_are_scored_as_in_vqa(void **state)
{
    const char *const ten[] = {"cat", "cat", "cat", "cat", "dog", "dog", "cow", "cat", "cat", "cat"}, *const two[] = {
                                                                                                          "cat",
                                                                                                          "kitten"};
    (void)state;
    assert_true(cliphd_answer_score("cat", ten, 10) == 1);
    assert_true(cliphd_answer_score("dog", ten, 10) == 2 / 3.0);
    assert_true(cliphd_answer_score("cow", ten, 10) == 1 / 3.0);
    assert_true(cliphd_answer_score("pig", ten, 10) == 0);
    assert_true(cliphd_answer_score("kitten", two, 2) == 1);
    assert_true(cliphd_answer_score("pig", two, 2) == 0);
}

/* ---- The head -------------------------------------------------------------------------------- */

/* Pictures of a thing (of 4) in a colour (of 4): v is the sum of two directions. Question 0 asks
 * for the thing, 1 for the colour. The answer is in neither alone. */
enum { D = 32, PICTURES = 400, N = 2 * PICTURES, A = 8 };

static float image[PICTURES * D], question[2 * D];
static cliphd_asked at[N];
static int32_t target[N], target_off[N + 1];
static float worth[N];
static const cliphd_head_data data = {{D, 0, 0}, image, question, at, target, target_off, worth, NULL, N};
static const cliphd_head_options options = {.hidden = 64,
                                             .epochs = 40,
                                             .patience = 40,
                                             .batch = 64,
                                             .lr = 3e-3,
                                             .weight_decay = 0.01,
                                             .dropout = 0.1,
                                             .seed = 5};

static void unit(float *x)
{
    float sum = 0;
    for (int d = 0; d < D; d++)
        sum += x[d] * x[d];
    for (int d = 0; d < D; d++)
        x[d] /= sqrtf(sum);
}

static void make_data(void)
{
    float direction[A][D];
    clipb_rng r = clipb_rng_at(3, 0, 0, 0);
    for (int i = 0; i < A; i++)
        for (int d = 0; d < D; d++)
            direction[i][d] = clipb_rng_normal(&r);
    for (int i = 0; i < 2 * D; i++)
        question[i] = clipb_rng_normal(&r);
    unit(question);
    unit(question + D);
    for (int p = 0; p < PICTURES; p++) {
        const int thing = (int)clipb_rng_below(&r, 4), color = 4 + (int)clipb_rng_below(&r, 4);
        for (int d = 0; d < D; d++)
            image[p * D + d] = direction[thing][d] + direction[color][d] + 0.3f * clipb_rng_normal(&r);
        unit(image + p * D);
        for (int q = 0; q < 2; q++) {
            const int i = 2 * p + q;
            at[i] = (cliphd_asked){p, q};
            target[i] = q == 0 ? thing : color;
            target_off[i + 1] = i + 1;
            worth[i] = 1;
        }
    }
}

static clipk_ctx context(int threads, clipb_block *scratch, clipb_team **team)
{
    clipk_ctx k = {.set = clipk_set_find(NULL)};
    assert_non_null(*team = clipb_team_new(threads));
    assert_int_equal(clipb_block_reserve(scratch, clipk_scratch_bytes(k.set, threads)), CLIP_OK);
    k.team = *team;
    k.scratch = scratch->base;
    return k;
}

static void train(int threads, bool blind, cliphd_head *h, cliphd_head_fit *fit)
{
    clipb_block scratch = {0};
    clipb_team *team;
    const clipk_ctx k = context(threads, &scratch, &team);
    assert_int_equal(cliphd_head_layout(h, data.see, options.hidden, A, blind), CLIP_OK);
    assert_int_equal(cliphd_head_train(&k, h, &data, &options, fit), CLIP_OK);
    clipb_team_free(team);
    clipb_block_free(&scratch);
}

static void a_head_learns_and_repeats(void **state)
{
    cliphd_head one, other, blind;
    cliphd_head_fit fit, again, alone;
    (void)state;
    make_data();
    train(1, false, &one, &fit);
    train(3, false, &other, &again);
    train(1, true, &blind, &alone);
    assert_true(fit.held_back > 40 && fit.trained + fit.held_back == N);
    assert_true(fit.score > 0.95);
    assert_true(alone.score < 0.45); /* of the four things or colours, one is right */
    assert_int_equal(fit.epoch, again.epoch);
    assert_memory_equal(one.w, other.w, one.params.count * sizeof *one.w);
    cliphd_head_free(&other);
    cliphd_head_free(&blind);

    clipb_block scratch = {0};
    clipb_team *team;
    const clipk_ctx k = context(2, &scratch, &team);
    static float all[PICTURES * A], single[A];
    assert_int_equal(cliphd_head_answer(&k, &one, image, D, question, 0, PICTURES, all), CLIP_OK);
    for (int p = 0; p < PICTURES; p += 37) {
        float sum = 0;
        for (int a = 0; a < A; a++)
            sum += all[p * A + a];
        assert_true(fabsf(sum - 1) < 1e-5f);
        assert_int_equal(cliphd_head_answer(&k, &one, image + p * D, D, question, 0, 1, single), CLIP_OK);
        assert_memory_equal(single, all + p * A, sizeof single);
    }
    cliphd_head_free(&one);
    clipb_team_free(team);
    clipb_block_free(&scratch);
}

/* Pictures of four tokens, each a thing (of 4) in a colour (of 4), no thing twice. The question
 * names a thing and asks for its colour. v is empty. */
enum { T = 4, W = 16, ROW = D + T * W / 2 };

static float tokens[PICTURES * ROW], things[4 * D];
static cliphd_asked look_at[PICTURES * 2];
static int32_t color_of[PICTURES * 2], color_off[PICTURES * 2 + 1];

static void make_tokens(void)
{
    float direction[A][W];
    clipb_rng r = clipb_rng_at(4, 0, 0, 0);
    for (int i = 0; i < A; i++)
        for (int d = 0; d < W; d++)
            direction[i][d] = clipb_rng_normal(&r);
    for (int i = 0; i < 4; i++) {
        for (int d = 0; d < D; d++)
            things[i * D + d] = clipb_rng_normal(&r);
        unit(things + i * D);
    }
    for (int p = 0; p < PICTURES; p++) {
        uint16_t *token = (uint16_t *)(void *)(tokens + p * ROW + D);
        const int turn = (int)clipb_rng_below(&r, 4);
        tokens[p * ROW] = 1;
        for (int t = 0; t < T; t++) {
            const int thing = (t + turn) % 4, color = (int)clipb_rng_below(&r, 4);
            for (int d = 0; d < W; d++)
                token[t * W + d] =
                    clipmdl_to_f16(direction[thing][d] + direction[4 + color][d] + 0.1f * clipb_rng_normal(&r));
            if (thing >= 2)
                continue;
            look_at[2 * p + thing] = (cliphd_asked){p, thing};
            color_of[2 * p + thing] = color;
        }
    }
    for (int i = 0; i <= 2 * PICTURES; i++)
        color_off[i] = i;
}

static double look_around(cliphd_look see, int threads, cliphd_head *h)
{
    const cliphd_head_data d = {{D, T, W}, tokens, things, look_at, color_of, color_off, worth, NULL, 2 * PICTURES};
    clipb_block scratch = {0};
    clipb_team *team;
    cliphd_head_fit fit;
    const clipk_ctx k = context(threads, &scratch, &team);
    assert_int_equal(cliphd_head_layout(h, see, options.hidden, 4, false), CLIP_OK);
    assert_int_equal(cliphd_head_train(&k, h, &d, &options, &fit), CLIP_OK);
    clipb_team_free(team);
    clipb_block_free(&scratch);
    return fit.score;
}

static void a_head_looks_at_tokens(void **state)
{
    cliphd_head one, other, pooled;
    (void)state;
    make_data();
    make_tokens();
    assert_true(look_around((cliphd_look){D, T, W}, 1, &one) > 0.9);
    look_around((cliphd_look){D, T, W}, 3, &other);
    assert_true(look_around((cliphd_look){D, 0, W}, 1, &pooled) < 0.5);
    assert_memory_equal(one.w, other.w, one.params.count * sizeof *one.w);
    cliphd_head_free(&one);
    cliphd_head_free(&other);
    cliphd_head_free(&pooled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_become_statements),
        cmocka_unit_test(any_text_becomes_a_statement_that_fits),
        cmocka_unit_test(answers_are_normalised),
        cmocka_unit_test(answers_are_scored_as_in_vqa),
        cmocka_unit_test(a_head_learns_and_repeats),
        cmocka_unit_test(a_head_looks_at_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
