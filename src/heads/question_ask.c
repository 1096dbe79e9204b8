/* clip_question: from words to vectors that a picture's embedding can be compared with. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "heads/heads.h"
#include "heads/vqa.h"
#include "heads/question.h"
#include "tasks/tasks.h"
#include "text/word.h"
#include "heads/vqa_score.h"

/* "Is there a dog?" is yes if at most this many common things fit the picture better than a dog
 * does. Comparing with "no dog" is useless: CLIP hardly tells negations from what they deny
 * (docs/vqa.md). */
#define BETTER_THINGS 4

#define MOST_WORDS 1000 /* that answers are made of, at most */

struct clip_question {
    cliphd_question q;
    char **answer;        /* [n] */
    int n, D;
    float logit_scale;
    bool yes_no;
    float *statement;     /* zero-shot: [n, D]. yes/no: [1 + things, D], the thing asked for and the common things */
    int things;
    const clip_vqa *head; /* or a head, with: */
    const cliphd_head *net;
    float *text;          /* [D] of the question */
    int *column;          /* [n] columns of the head's answers */
};

static const char *const no_template[] = {"{}"};

void cliphd_question_free(clip_question *q)
{
    if (!q)
        return;
    for (int i = 0; q->answer && i < q->n; i++)
        free(q->answer[i]);
    free(q->answer);
    free(q->statement);
    free(q->text);
    free(q->column);
    free(q);
}

void cliphd_question_get_info(const clip_question *q, clip_question_info *out)
{
    *out = (clip_question_info){cliphd_question_type_name(q->q.type), q->q.kind, q->q.statement,
                                (const char *const *)q->answer, q->n};
}

static int length(const char *const *list)
{
    int n = 0;
    while (list[n])
        n++;
    return n;
}

static clip_status set_answers(clip_question *q, const char *const *answers, int n)
{
    q->answer = calloc((size_t)n, sizeof *q->answer);
    if (!q->answer)
        return CLIP_ENOMEM;
    for (q->n = 0; q->n < n; q->n++)
        if (!(q->answer[q->n] = strdup(answers[q->n])))
            return CLIP_ENOMEM;
    return CLIP_OK;
}

/* ---- Zero-shot ------------------------------------------------------------------------------- */

/* In captions numbers are words. */
static const char *as_said(const clip_question *q, const char *answer)
{
    static const char *const number[] = {"no",  "one",   "two",   "three", "four", "five",
                                         "six", "seven", "eight", "nine",  "ten"};
    char *end;
    const long v = strtol(answer, &end, 10);
    return q->q.type == CLIPHD_COUNT && end != answer && !*end && v >= 0 && v <= 10 ? number[v] : answer;
}

static clip_status encode(clip_context *ctx, const clip_question_options *o, char *const *statements, int n, float *out)
{
    const bool given = o->n_templates > 0;
    const char *const *const templates = given ? o->templates : no_template;
    return clipeng_encode_labels(ctx, (const char *const *)statements, n, templates, given ? o->n_templates : 1, out);
}

static clip_status embed(clip_context *ctx, const clip_question_options *o, char *const *statements, int n, float **out)
{
    *out = malloc((size_t)n * (size_t)ctx->model->config.embed_dim * sizeof **out);
    return *out ? encode(ctx, o, statements, n, *out) : CLIP_ENOMEM;
}

static clip_status embed_statements(clip_context *ctx, clip_question *q, const clip_question_options *o)
{
    enum { AT_ONCE = 256 };
    char *statements[AT_ONCE];
    q->statement = malloc((size_t)q->n * (size_t)q->D * sizeof *q->statement);
    clip_status s = q->statement ? CLIP_OK : CLIP_ENOMEM;
    for (int i = 0, n; i < q->n && s == CLIP_OK; i += AT_ONCE) {
        for (n = 0; s == CLIP_OK && n < AT_ONCE && i + n < q->n; n++)
            s = cliptsk_fill_template(q->q.statement, as_said(q, q->answer[i + n]), &statements[n]);
        if (s == CLIP_OK)
            s = encode(ctx, o, statements, n, q->statement + (size_t)i * (size_t)q->D);
        while (n > 0)
            free(statements[--n]);
    }
    return s;
}

static const char things_slot; /* of a context: embeddings of the common things, without templates */

/* Embeddings of the common things [length(things), D]. Without templates they are the same for
 * every question, and the context keeps them. With templates they are the caller's. */
static clip_status things_of(clip_context *ctx, const clip_question_options *o, const char *const *things, float **out)
{
    *out = o->n_templates == 0 ? clipeng_slot_get(ctx, &things_slot) : NULL;
    if (*out)
        return CLIP_OK;
    const clip_status s = embed(ctx, o, (char *const *)things, length(things), out);
    if (s < 0)
        free(*out);
    else if (o->n_templates == 0)
        return clipeng_slot_fill(ctx, &things_slot, *out, free);
    return s;
}

static clip_status embed_things(clip_context *ctx, clip_question *q, const clip_question_options *o)
{
    const char *const *things = cliphd_question_words(&(cliphd_question){.type = CLIPHD_FREE});
    const size_t D = (size_t)q->D;
    char *asked = q->q.statement;
    float *common, *one;
    q->things = length(things);
    TRY(things_of(ctx, o, things, &common));
    clip_status s = embed(ctx, o, &asked, 1, &one);
    q->statement = malloc(((size_t)q->things + 1) * D * sizeof *q->statement);
    if (s == CLIP_OK && !q->statement)
        s = CLIP_ENOMEM;
    if (s == CLIP_OK) {
        memcpy(q->statement, one, D * sizeof *one);
        memcpy(q->statement + D, common, (size_t)q->things * D * sizeof *common);
    }
    free(one);
    if (o->n_templates > 0)
        free(common);
    return s;
}

/* "Is it day or night?" has other answers than its type suggests; they are statements by
 * themselves. */
static void take_other_answers(clip_question *q)
{
    int yes = 0, no = 0;
    for (int i = 0; i < q->n; i++) {
        yes += strcmp(q->answer[i], "yes") == 0;
        no += strcmp(q->answer[i], "no") == 0;
    }
    q->yes_no = q->q.type == CLIPHD_YES_NO && q->n == 2 && yes == 1 && no == 1;
    if (q->q.type == CLIPHD_YES_NO && !q->yes_no) {
        q->q.type = CLIPHD_FREE;
        strcpy(q->q.statement, "{}");
    }
}

/* Whether this word, or every part of it ("fire engine"), is among the words of o. */
static bool made_of(const char *text, const clip_question_options *o)
{
    char word[64];
    while (cliptok_next_word(&text, word, sizeof word) > 0) {
        int i = 0;
        while (i < o->n_words && strcmp(o->words[i], word) != 0)
            i++;
        if (i == o->n_words)
            return false;
    }
    return true;
}

/* Whether the statement contains this word already. */
static bool is_said(const char *statement, const char *text)
{
    char word[64];
    while (cliptok_next_word(&statement, word, sizeof word) > 0)
        if (strcmp(word, text) == 0)
            return true;
    return false;
}

/* Answers made of the given words; the words that ship where that gives none. */
static clip_status choose_answers(clip_question *q, const clip_question_options *o)
{
    const char *const *ship = cliphd_question_words(&q->q);
    const bool any = q->q.type == CLIPHD_FREE;
    const int n = any ? o->n_words : length(ship);
    if (o->n_words == 0 || q->q.type == CLIPHD_YES_NO)
        return set_answers(q, ship, length(ship));
    const char **chosen = malloc((size_t)n * sizeof *chosen);
    if (!chosen)
        return CLIP_ENOMEM;
    int kept = 0;
    for (int i = 0; i < n && !(any && kept == MOST_WORDS); i++) {
        const char *word = any ? o->words[i] : ship[i];
        if (any ? !cliphd_is_filler(word) && !is_said(q->q.statement, word) : made_of(word, o))
            chosen[kept++] = word;
    }
    const clip_status s = kept > 0 ? set_answers(q, chosen, kept) : set_answers(q, ship, length(ship));
    free(chosen);
    return s;
}

static clip_status prepare_zero_shot(clip_context *ctx, clip_question *q, const clip_question_options *o)
{
    TRY(o->n_answers > 0 ? set_answers(q, o->answers, o->n_answers) : choose_answers(q, o));
    take_other_answers(q);
    return q->yes_no ? embed_things(ctx, q, o) : embed_statements(ctx, q, o);
}

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* similarity [N, 1 + things] to p [N, 2]:
 *     p(yes) = sigmoid(scale (cos(statement) - cos(the best thing that may not fit better))) */
static void answer_yes_no(const clip_question *q, float *similarity, int N, float *p)
{
    const bool yes_first = strcmp(q->answer[0], "yes") == 0;
    for (int i = 0; i < N; i++) {
        float *s = similarity + (size_t)i * ((size_t)q->things + 1);
        qsort(s + 1, (size_t)q->things, sizeof *s, descending);
        const float yes = 1 / (1 + expf(-q->logit_scale * (s[0] - s[1 + BETTER_THINGS])));
        p[2 * i] = yes_first ? yes : 1 - yes;
        p[2 * i + 1] = yes_first ? 1 - yes : yes;
    }
}

static clip_status ask_zero_shot(clip_context *ctx, const clip_question *q, const float *image, int N, float *out)
{
    if (!q->yes_no) {
        TRY(clipeng_similarity(ctx, image, N, q->statement, q->n, out));
        clipeng_probabilities(ctx->model, out, N, q->n);
        return CLIP_OK;
    }
    float *similarity = malloc((size_t)N * ((size_t)q->things + 1) * sizeof *similarity);
    if (!similarity)
        return CLIP_ENOMEM;
    const clip_status s = clipeng_similarity(ctx, image, N, q->statement, q->things + 1, similarity);
    if (s == CLIP_OK)
        answer_yes_no(q, similarity, N, out);
    free(similarity);
    return s;
}

/* ---- With a head ----------------------------------------------------------------------------- */

/* Columns of the head's answers: those that are among the given answers, or all. */
static clip_status choose_columns(clip_question *q, const clip_question_options *o)
{
    const int A = q->net->A;
    q->column = malloc((size_t)A * sizeof *q->column);
    q->answer = calloc((size_t)A, sizeof *q->answer);
    if (!q->column || !q->answer)
        return CLIP_ENOMEM;
    for (int a = 0; a < A; a++) {
        bool wanted = o->n_answers == 0;
        for (int i = 0; i < o->n_answers && !wanted; i++) {
            char *normal;
            TRY(cliphd_answer_normalize(o->answers[i], &normal));
            wanted = strcmp(normal, q->head->answer[a]) == 0;
            free(normal);
        }
        if (!wanted)
            continue;
        if (!(q->answer[q->n] = strdup(q->head->answer[a])))
            return CLIP_ENOMEM;
        q->column[q->n++] = a;
    }
    return CLIP_OK;
}

static clip_status prepare_head(clip_context *ctx, clip_question *q, const char *text, const clip_question_options *o,
                                clip_error *err)
{
    TRY(choose_columns(q, o));
    if (q->n == 0)
        return clipb_fail(err, CLIP_EINVAL, NULL,
                          "none of the answers to choose from is one that the head has learned");
    q->text = malloc((size_t)q->D * sizeof *q->text);
    return q->text ? clipeng_encode_text(ctx, &text, 1, q->text) : CLIP_ENOMEM;
}

static clip_status ask_head(clip_context *ctx, const clip_question *q, const float *image, int N, float *out)
{
    const size_t A = (size_t)q->net->A;
    float *p = malloc((size_t)N * A * sizeof *p);
    if (!p)
        return CLIP_ENOMEM;
    const clip_status s = cliphd_head_answer(&ctx->k, q->net, image, cliphd_look_width(ctx->model), q->text, 0, N, p);
    for (int i = 0; i < N && s == CLIP_OK; i++) {
        float sum = 0;
        for (int j = 0; j < q->n; j++)
            sum += p[(size_t)i * A + (size_t)q->column[j]];
        for (int j = 0; j < q->n; j++) /* all are 0 in f32: nothing is known */
            out[(size_t)i * (size_t)q->n + (size_t)j] =
                sum > 0 ? p[(size_t)i * A + (size_t)q->column[j]] / sum : 1 / (float)q->n;
    }
    free(p);
    return s;
}

/* ---- Both ------------------------------------------------------------------------------------ */

static bool has(const char *const *list, int n)
{
    for (int i = 0; i < n; i++)
        if (!list || !list[i])
            return false;
    return n >= 0;
}

clip_status cliphd_question_new(clip_context *ctx, const clip_vqa *head, const char *text,
                                const clip_question_options *options, clip_question **out, clip_error *err)
{
    const clip_question_options none = {0}, *o = options ? options : &none;
    *out = NULL;
    if (!has(o->answers, o->n_answers) || !has(o->words, o->n_words) || !has(o->templates, o->n_templates))
        return clipb_fail(err, CLIP_EINVAL, NULL, "answers, words or templates are missing");
    if (!text || !text[strspn(text, " \t\r\n?.!")])
        return clipb_fail(err, CLIP_EINVAL, NULL, "the question is empty");
    clip_question *q = calloc(1, sizeof *q);
    if (!q)
        return clipb_fail(err, CLIP_ENOMEM, NULL, "%s", clipb_status_message(CLIP_ENOMEM));
    q->D = ctx->model->config.embed_dim;
    q->logit_scale = ctx->model->logit_scale;
    q->head = head;
    q->net = !head ? NULL : o->blind ? &head->blind : &head->net;
    if (err)
        *err = (clip_error){0};
    cliphd_question_parse(text, &q->q);
    clip_status s = head ? prepare_head(ctx, q, text, o, err) : prepare_zero_shot(ctx, q, o);
    if (s < 0) {
        cliphd_question_free(q);
        return err && *err->message ? s : clipb_fail(err, s, NULL, "%s", clipeng_context_message(ctx, s));
    }
    *out = q;
    return CLIP_OK;
}

clip_status cliphd_question_ask(clip_context *ctx, const clip_question *q, const float *image, int N, float *out)
{
    if (!image || !out || N < 1)
        return CLIP_EINVAL;
    return q->head ? ask_head(ctx, q, image, N, out) : ask_zero_shot(ctx, q, image, N, out);
}
