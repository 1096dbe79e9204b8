/* Terms of queries to vectors, and their sums. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collection/collection.h"
#include "collection/query.h"
#include "engine/engine.h"
#include "index/index.h"

#define NOTHING 1e-3 /* of the weights: equal terms leave no more than this, by the rounding of f16 */

typedef struct encoder {
    const clip_query_encoder *e;
    int D;
    float *words; /* [n, D] of the texts of all queries, in their order */
    float *term;  /* [D] */
    clip_error *err;
} encoder;

int clipcol_query_towers(const clip_query *q, int Q)
{
    int towers = 0;
    for (int i = 0; i < Q; i++)
        for (int t = 0; t < q[i].n; t++) {
            const clip_term_kind kind = q[i].term[t].kind;
            towers |= kind == CLIP_TERM_WORDS ? CLIP_TOWER_TEXT : kind == CLIP_TERM_PICTURE ? CLIP_TOWER_IMAGE : 0;
        }
    return towers;
}

static bool is_term(const clip_term *t)
{
    if (!isfinite(t->weight) || t->weight == 0)
        return false;
    switch (t->kind) {
    case CLIP_TERM_WORDS: return t->text;
    case CLIP_TERM_PICTURE: return t->text || t->image;
    case CLIP_TERM_ROW: return t->row >= 0;
    case CLIP_TERM_VECTOR: return t->vector;
    }
    return false;
}

/* The terms are sound, and the encoder has what they need. */
static clip_status check(const encoder *e, const clip_query *q, int Q)
{
    const clip_query_encoder *with = e->e;
    for (int i = 0; i < Q; i++) {
        if (q[i].n < 1 || q[i].n > CLIP_QUERY_TERMS)
            return clipb_fail(e->err, CLIP_EINVAL, NULL, "a query has 1 to %d terms", CLIP_QUERY_TERMS);
        for (int t = 0; t < q[i].n; t++) {
            const clip_term *term = &q[i].term[t];
            if (!is_term(term))
                return clipb_fail(e->err, CLIP_EINVAL, NULL, "term %d of the query has no content or no weight", t + 1);
            if ((term->kind == CLIP_TERM_WORDS && !with->words) ||
                (term->kind == CLIP_TERM_PICTURE && !with->pictures) ||
                (term->kind == CLIP_TERM_ROW && !with->index))
                return clipb_fail(e->err, CLIP_EINVAL, NULL, "term %d of the query needs %s", t + 1,
                                  term->kind == CLIP_TERM_ROW ? "an index" : "a model");
        }
    }
    return CLIP_OK;
}

static clip_status find_dimension(encoder *e)
{
    const clip_query_encoder *with = e->e;
    const int D[] = {with->index ? with->index->dim : 0, with->words ? with->words->model->config.embed_dim : 0,
                     with->pictures ? with->pictures->model->config.embed_dim : 0};
    for (int i = 0; i < 3; i++) {
        if (e->D > 0 && D[i] > 0 && D[i] != e->D)
            return clipb_fail(e->err, CLIP_EMISMATCH, NULL, "vectors of %d and of %d numbers do not fit together", e->D,
                              D[i]);
        e->D = e->D > 0 ? e->D : D[i];
    }
    return e->D > 0 ? CLIP_OK : clipb_fail(e->err, CLIP_EINVAL, NULL, "neither an index nor a model was given");
}

/* The texts of all queries at once. */
static clip_status embed_words(encoder *e, const clip_query *q, int Q)
{
    const clip_query_encoder *with = e->e;
    const char **text = malloc(((size_t)Q * CLIP_QUERY_TERMS + 1) * sizeof *text);
    int n = 0;
    for (int i = 0; text && i < Q; i++)
        for (int t = 0; t < q[i].n; t++)
            if (q[i].term[t].kind == CLIP_TERM_WORDS)
                text[n++] = q[i].term[t].text;
    e->words = malloc(((size_t)n + 1) * (size_t)e->D * sizeof *e->words);
    clip_status s = text && e->words ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK && n > 0)
        s = with->n_prompts > 0 ? clipeng_encode_labels(with->words, text, n, with->prompts, with->n_prompts, e->words)
                                : clipeng_encode_text(with->words, text, n, e->words);
    free(text);
    if (s == CLIP_ENOMEM)
        return clipb_nomem(e->err, NULL);
    return s < 0 ? clipb_fail(e->err, s, "words", "%s", clipeng_context_message(with->words, s)) : s;
}

static clip_image_options image_options(const clip_query_encoder *e)
{
    const clip_model *m = e->pictures->model;
    return e->image ? *e->image : e->index ? clipcol_index_image_options(e->index, m) : clipeng_model_image_options(m);
}

static clip_status embed_picture(const encoder *e, const clip_term *t)
{
    clip_image read = {0};
    const clip_image_options o = image_options(e->e);
    if (!t->image)
        TRY(clipimg_read(t->text, &o, &read, e->err));
    const clip_status s = clipeng_encode_image(e->e->pictures, t->image ? t->image : &read, 1, e->term);
    clipimg_free(&read);
    return s < 0 ? clipb_fail(e->err, s, t->text, "%s", clipeng_context_message(e->e->pictures, s)) : s;
}

static clip_status take_row(const encoder *e, int64_t row)
{
    const clip_index *x = e->e->index;
    clipidx_hold(x);
    const clip_status s = clipidx_vector(x, row, e->term, e->err);
    clipidx_release(x);
    return s;
}

static clip_status take_vector(const encoder *e, const float *x)
{
    double squares = 0;
    for (int d = 0; d < e->D; d++)
        squares += (double)x[d] * (double)x[d];
    if (!(squares > 0) || !isfinite(squares))
        return clipb_fail(e->err, CLIP_EINVAL, NULL, "zero or non-finite vector in the query");
    for (int d = 0; d < e->D; d++)
        e->term[d] = (float)((double)x[d] / sqrt(squares));
    return CLIP_OK;
}

/* To unit length. */
static clip_status normalise(const encoder *e, const clip_query *q, float *x)
{
    double norm = 0, weights = 0;
    for (int d = 0; d < e->D; d++)
        norm += (double)x[d] * (double)x[d];
    norm = sqrt(norm);
    for (int t = 0; t < q->n; t++)
        weights += fabs((double)q->term[t].weight);
    if (!(norm > NOTHING * weights))
        return clipb_fail(e->err, CLIP_EINVAL, NULL,
                          "the terms of the query cancel each other out: nothing is left to search for");
    for (int d = 0; d < e->D; d++)
        x[d] = (float)((double)x[d] / norm);
    return CLIP_OK;
}

/* One query: the sum of its terms. *words are the vectors of its texts, and move on. */
static clip_status combine(const encoder *e, const clip_query *q, const float **words, float *out)
{
    memset(out, 0, (size_t)e->D * sizeof *out);
    for (int t = 0; t < q->n; t++) {
        const clip_term *term = &q->term[t];
        const float *x = e->term;
        switch (term->kind) {
        case CLIP_TERM_WORDS:
            x = *words;
            *words += e->D;
            break;
        case CLIP_TERM_PICTURE: TRY(embed_picture(e, term)); break;
        case CLIP_TERM_ROW: TRY(take_row(e, term->row)); break;
        case CLIP_TERM_VECTOR: TRY(take_vector(e, term->vector)); break;
        }
        for (int d = 0; d < e->D; d++)
            out[d] += term->weight * x[d];
    }
    return normalise(e, q, out);
}

clip_status clipcol_query_embed(const clip_query_encoder *with, const clip_query *q, int Q, float *out, int *done,
                                clip_error *err)
{
    encoder e = {.e = with, .err = err};
    int n = 0;
    *done = 0;
    if (!with || !q || !out || Q < 1)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no query, or no room for its vector");
    TRY(check(&e, q, Q));
    TRY(find_dimension(&e));
    e.term = malloc((size_t)e.D * sizeof *e.term);
    clip_status s = e.term ? embed_words(&e, q, Q) : clipb_nomem(err, NULL);
    const float *words = e.words;
    while (s == CLIP_OK && n < Q) {
        s = combine(&e, &q[n], &words, out + (size_t)n * (size_t)e.D);
        n += s == CLIP_OK;
    }
    *done = n;
    free(e.words);
    free(e.term);
    return s;
}
