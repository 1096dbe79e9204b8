/* Fitting a head to tables of questions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "heads/heads.h"
#include "heads/question.h"
#include "heads/vqa.h"
#include "heads/vqa_score.h"

clip_vqa_options cliphd_vqa_options_default(void)
{
    return (clip_vqa_options){.hidden = 512,
                              .epochs = 30,
                              .patience = 5,
                              .answers = 3000,
                              .batch_size = 256,
                              .lr = 1e-3,
                              .weight_decay = 0.05,
                              .dropout = 0.3};
}

/* ---- Data ------------------------------------------------------------------------------------ */

/* A distinct text: how often it occurs, and its number. */
typedef struct word {
    const char *text;
    int64_t count;
    int32_t id; /* -1: none */
} word;

typedef struct data {
    const clip_asked *asked;
    const int32_t *row;
    int n;
    word *answer, *question; /* [n_answers], [n_questions], distinct, by text */
    size_t n_answers, n_questions;
    float *text;             /* [n_questions, D] */
    float *prior;            /* [n_questions, A] */
    cliphd_asked *at;
    int32_t *target, *target_off;
    float *worth;
    cliphd_head_data head;
} data;

static void free_data(data *d)
{
    void *const owned[] = {d->answer, d->question, d->text, d->prior, d->at, d->target, d->target_off, d->worth};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

static int by_text(const void *a, const void *b) { return strcmp(((const word *)a)->text, ((const word *)b)->text); }

static int by_count(const void *a, const void *b)
{
    const word *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_text(a, b);
}

/* Sort, and keep each text once. */
static size_t distinct(word *w, size_t n)
{
    size_t kept = 0;
    qsort(w, n, sizeof *w, by_text);
    for (size_t i = 0; i < n; i++)
        if (kept > 0 && strcmp(w[kept - 1].text, w[i].text) == 0)
            w[kept - 1].count++;
        else
            w[kept++] = (word){w[i].text, 1, -1};
    return kept;
}

static int32_t id_of(const word *w, size_t n, const char *text)
{
    const word key = {.text = text};
    return ((const word *)bsearch(&key, w, n, sizeof *w, by_text))->id;
}

static clip_status list_words(data *d)
{
    size_t all = 0;
    for (int i = 0; i < d->n; i++)
        all += (size_t)d->asked[i].n_answers;
    d->answer = malloc(all * sizeof *d->answer);
    d->question = malloc((size_t)d->n * sizeof *d->question);
    d->target = malloc(all * sizeof *d->target);
    d->worth = malloc(all * sizeof *d->worth);
    d->target_off = malloc(((size_t)d->n + 1) * sizeof *d->target_off);
    d->at = malloc((size_t)d->n * sizeof *d->at);
    if (!d->answer || !d->question || !d->target || !d->worth || !d->target_off || !d->at)
        return CLIP_ENOMEM;
    for (int i = 0; i < d->n; i++) {
        d->question[d->n_questions++].text = d->asked[i].question;
        for (int j = 0; j < d->asked[i].n_answers; j++)
            d->answer[d->n_answers++].text = d->asked[i].answers[j];
    }
    d->n_answers = distinct(d->answer, d->n_answers);
    d->n_questions = distinct(d->question, d->n_questions);
    for (size_t i = 0; i < d->n_questions; i++)
        d->question[i].id = (int32_t)i;
    return CLIP_OK;
}

/* The most frequent answers get the numbers 0, 1, .. and become the head's answers. */
static clip_status choose_answers(data *d, clip_vqa *h, int most)
{
    const size_t A = d->n_answers < (size_t)most ? d->n_answers : (size_t)most;
    h->answer = calloc(A, sizeof *h->answer);
    if (!h->answer)
        return CLIP_ENOMEM;
    qsort(d->answer, d->n_answers, sizeof *d->answer, by_count);
    for (size_t i = 0; i < A; i++) {
        d->answer[i].id = (int32_t)i;
        if (!(h->answer[i] = strdup(d->answer[i].text)))
            return CLIP_ENOMEM;
        h->net.A = (int)i + 1; /* cliphd_vqa_free() reads it */
    }
    qsort(d->answer, d->n_answers, sizeof *d->answer, by_text);
    return CLIP_OK;
}

/* Questions whose answers are all too rare to be learned are left out. */
static void gather(data *d)
{
    int n = 0;
    int32_t at = 0;
    d->target_off[0] = 0;
    for (int i = 0; i < d->n; i++) {
        const clip_asked *q = &d->asked[i];
        for (int j = 0; j < q->n_answers; j++) {
            const int32_t id = id_of(d->answer, d->n_answers, q->answers[j]);
            bool again = id < 0;
            for (int32_t t = d->target_off[n]; t < at; t++)
                again |= d->target[t] == id;
            if (again)
                continue;
            d->target[at] = id;
            d->worth[at++] = (float)cliphd_answer_score(q->answers[j], q->answers, q->n_answers);
        }
        if (at == d->target_off[n])
            continue;
        d->at[n] = (cliphd_asked){d->row[i], id_of(d->question, d->n_questions, q->question)};
        d->target_off[++n] = at;
    }
    d->head.n = n;
}

static clip_status embed_questions(clip_context *ctx, data *d)
{
    const size_t D = (size_t)ctx->model->config.embed_dim;
    const char **texts = malloc(d->n_questions * sizeof *texts);
    d->text = malloc(d->n_questions * D * sizeof *d->text);
    clip_status s = texts && d->text ? CLIP_OK : CLIP_ENOMEM;
    for (size_t i = 0; i < d->n_questions && s == CLIP_OK; i++)
        texts[i] = d->question[i].text;
    if (s == CLIP_OK)
        s = clipeng_encode_text(ctx, texts, (int)d->n_questions, d->text);
    free(texts);
    return s;
}

/* The types of the distinct questions ("color", "kind" of "shape", ..): type[i] of question i. */
static void list_types(const data *d, int32_t *type, cliphd_question *seen, int most)
{
    int types = 0;
    for (size_t i = 0; i < d->n_questions; i++) {
        cliphd_question q;
        cliphd_question_parse(d->question[i].text, &q);
        int t = 0;
        while (t < types && (seen[t].type != q.type || strcmp(seen[t].kind, q.kind) != 0))
            t++;
        if (t == types && types < most)
            seen[types++] = q;
        type[i] = t < most ? t : most - 1; /* the last number is for all other types */
    }
}

/* prior = log p(answer | question) - log p(answer | type of question). The first is the blind
 * network's answer, the second its mean over the type. */
static clip_status set_prior(data *d, size_t A)
{
    enum { MOST_TYPES = 64 };
    int32_t *type = malloc(d->n_questions * sizeof *type);
    cliphd_question *seen = malloc(MOST_TYPES * sizeof *seen);
    float *mean = calloc(MOST_TYPES * (A + 1), sizeof *mean); /* A sums, then the number of questions in them */
    const clip_status s = type && seen && mean ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK)
        list_types(d, type, seen, MOST_TYPES);
    for (size_t i = 0; i < d->n_questions && s == CLIP_OK; i++) {
        mean[(size_t)type[i] * (A + 1) + A] += 1;
        for (size_t a = 0; a < A; a++)
            mean[(size_t)type[i] * (A + 1) + a] += d->prior[i * A + a];
    }
    for (size_t i = 0; i < d->n_questions && s == CLIP_OK; i++) {
        const float *m = mean + (size_t)type[i] * (A + 1);
        for (size_t a = 0; a < A; a++)
            d->prior[i * A + a] = logf(fmaxf(d->prior[i * A + a], 1e-6f)) - logf(fmaxf(m[a] / m[A], 1e-6f));
    }
    free(type);
    free(seen);
    free(mean);
    return s;
}

/* What a question suggests beyond its type. If it is given while learning, the network need not
 * learn it, and answers without it. So a red circle that never occurred is not ruled out by the
 * usual colours of circles (a product of experts: Clark et al. 2019, arXiv:1909.03683). */
static clip_status find_prior(clip_context *ctx, data *d, const clip_vqa *h)
{
    const size_t A = (size_t)h->net.A;
    d->prior = malloc(d->n_questions * A * sizeof *d->prior);
    if (!d->prior)
        return CLIP_ENOMEM;
    TRY(cliphd_head_answer(&ctx->k, &h->blind, NULL, 0, d->text, (size_t)h->net.see.D, (int)d->n_questions, d->prior));
    d->head.prior = d->prior;
    return set_prior(d, A);
}

/* ---- Fitting --------------------------------------------------------------------------------- */

static clip_status fit(clip_context *ctx, data *d, const clip_vqa_options *o, clip_vqa *h)
{
    cliphd_look see = cliphd_vqa_sees(ctx->model);
    cliphd_head_fit ignored;
    cliphd_head_options opt = {o->hidden,       o->epochs,  o->patience, o->batch_size, o->lr,
                                o->weight_decay, o->dropout, o->seed,     o->progress,   o->progress_user};
    TRY(list_words(d));
    if (d->n_answers < 2)
        return CLIP_EINVAL;
    TRY(choose_answers(d, h, o->answers));
    gather(d);
    TRY(embed_questions(ctx, d));
    d->head.see = see;
    if (o->pooled)
        see.T = 0;
    d->head.question = d->text;
    d->head.at = d->at;
    d->head.target = d->target;
    d->head.target_off = d->target_off;
    d->head.worth = d->worth;
    const int A = h->net.A;
    TRY(cliphd_head_layout(&h->net, see, o->hidden, A, false));
    TRY(cliphd_head_layout(&h->blind, see, o->hidden, A, true));
    opt.progress = NULL;
    TRY(cliphd_head_train(&ctx->k, &h->blind, &d->head, &opt, &ignored));
    if (o->unbiased)
        TRY(find_prior(ctx, d, h));
    opt.progress = o->progress;
    return cliphd_head_train(&ctx->k, &h->net, &d->head, &opt, &h->fit);
}

static bool sound(const clip_vqa_options *o)
{
    return o->hidden >= 1 && o->hidden <= 65536 && o->epochs >= 1 && o->patience >= 1 && o->answers >= 2 &&
           o->answers <= CLIPHD_MOST_ANSWERS && o->batch_size >= 1 && o->lr > 0 && o->weight_decay >= 0 &&
           o->dropout >= 0 && o->dropout < 1;
}

clip_status cliphd_vqa_fit(clip_context *ctx, const clip_asked *asked, const int32_t *row, int n, const float *image,
                           const clip_vqa_options *options, clip_vqa **out, clip_error *err)
{
    const clip_vqa_options standard = cliphd_vqa_options_default(), *o = options ? options : &standard;
    *out = NULL;
    for (int i = 0; i < n; i++)
        if (!asked || !row || !image || row[i] < 0)
            return clipb_fail(err, CLIP_EINVAL, NULL, "questions, pictures or the rows of pictures are missing");
    if (n < 2 || !sound(o))
        return clipb_fail(err, CLIP_EINVAL, NULL,
                          n < 2 ? "fewer than two questions to learn from"
                                : "an option of the fit is out of its range");
    data d = {.asked = asked, .row = row, .n = n, .head = {.image = image}};
    clip_vqa *h = calloc(1, sizeof *h);
    clip_status s = h ? fit(ctx, &d, o, h) : CLIP_ENOMEM;
    free_data(&d);
    if (s < 0) {
        cliphd_vqa_free(h);
        return clipb_fail(err, s, NULL, "%s",
                          s == CLIP_EINVAL ? "fewer than two different answers to learn"
                                           : clipeng_context_message(ctx, s));
    }
    *out = h;
    return CLIP_OK;
}
