/* Validation: the last checkpoint is loaded like any model, and measured as by `clip eval
 * retrieval`. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { THUMBNAIL = 96, ROWS = 64 /* of a matrix of similarities at a time */ };

/* ---- The loss -------------------------------------------------------------------------------- */

/* log(sum of exp(x)), computed as the x come. */
typedef struct lse {
    double most, sum;
} lse;

static void lse_add(lse *l, double x)
{
    if (x <= l->most) {
        l->sum += exp(x - l->most);
        return;
    }
    l->sum = l->sum * exp(l->most - x) + 1;
    l->most = x;
}

static double lse_value(const lse *l) { return l->most + log(l->sum); }

/* N pairs of unit rows: their symmetric cross entropy, summed. similarity [ROWS, N], column [N]. */
static int batch_loss(const cli_session *s, const float *v, const float *t, int N, float *similarity, lse *column,
                      double *sum)
{
    const double scale = (double)s->info.logit_scale;
    for (int j = 0; j < N; j++)
        column[j] = (lse){-DBL_MAX, 0};
    double loss = 0;
    for (int i = 0; i < N; i += ROWS) {
        const int rows = N - i < ROWS ? N - i : ROWS;
        DO(cli_status(clip_similarity(s->ctx, v + (size_t)i * (size_t)s->D, rows, t, N, similarity), "validation"));
        for (int r = 0; r < rows; r++) {
            const float *z = similarity + (size_t)r * (size_t)N;
            lse row = {-DBL_MAX, 0};
            for (int j = 0; j < N; j++) {
                lse_add(&row, scale * (double)z[j]);
                lse_add(&column[j], scale * (double)z[j]);
            }
            loss += lse_value(&row) - 2 * scale * (double)z[i + r];
        }
    }
    for (int j = 0; j < N; j++)
        loss += lse_value(&column[j]);
    *sum += loss / 2;
    return CLI_DONE;
}

/* OpenCLIP's clip_val_loss: the mean over batches in the order of the data, with the first caption
 * of each picture. */
static int loss(const cli_session *s, train_validation *v, int batch)
{
    const size_t D = (size_t)s->D, n = v->data.n, B = (size_t)batch < n ? (size_t)batch : n;
    float *text = malloc(B * D * sizeof *text), *similarity = malloc(ROWS * B * sizeof *similarity);
    lse *column = malloc(B * sizeof *column);
    double sum = 0;
    int code = text && similarity && column ? CLI_DONE : cli_no_memory();
    for (size_t i = 0; i < n && code == CLI_DONE; i += B) {
        const size_t N = n - i < B ? n - i : B;
        for (size_t k = 0; k < N; k++)
            memcpy(text + k * D, v->found.text + (size_t)v->data.first[i + k] * D, D * sizeof *text);
        code = batch_loss(s, v->data.image + i * D, text, (int)N, similarity, column, &sum);
    }
    v->score.loss = sum / (double)n;
    free(text);
    free(similarity);
    free(column);
    return code;
}

/* ---- What the report shows ------------------------------------------------------------------- */

/* Position i of `some` positions spread evenly over n. */
static int32_t spread(int i, int some, size_t n) { return (int32_t)((2 * (size_t)i + 1) * n / (2 * (size_t)some)); }

static int fewer(int most, size_t n) { return n < (size_t)most ? (int)n : most; }

/* The best of cosine [n] into r, best first. Of equal ones the earlier comes first. */
static void rank(train_ranking *r, const float *cosine, int n)
{
    r->n = 0;
    for (int i = 0; i < n; i++) {
        int at = r->n;
        while (at > 0 && r->cosine[at - 1] < cosine[i])
            at--;
        if (at == TRAIN_TOP)
            continue;
        r->n += r->n < TRAIN_TOP;
        memmove(&r->hit[at + 1], &r->hit[at], (size_t)(r->n - 1 - at) * sizeof *r->hit);
        memmove(&r->cosine[at + 1], &r->cosine[at], (size_t)(r->n - 1 - at) * sizeof *r->cosine);
        r->hit[at] = i;
        r->cosine[at] = cosine[i];
    }
}

static int matrix(const cli_session *s, train_validation *v)
{
    const size_t D = (size_t)s->D;
    float *image = malloc(2 * TRAIN_MATRIX * D * sizeof *image);
    if (!image)
        return cli_no_memory();
    float *text = image + TRAIN_MATRIX * D;
    v->M = fewer(TRAIN_MATRIX, v->data.n);
    for (int i = 0; i < v->M; i++) {
        const size_t p = (size_t)(v->matrix[i] = spread(i, v->M, v->data.n));
        memcpy(image + (size_t)i * D, v->data.image + p * D, D * sizeof *image);
        memcpy(text + (size_t)i * D, v->found.text + (size_t)v->data.first[p] * D, D * sizeof *text);
    }
    int code = cli_status(clip_similarity(s->ctx, image, v->M, text, v->M, v->cosine), "validation");
    free(image);
    return code;
}

static int rankings(const cli_session *s, train_validation *v)
{
    const size_t D = (size_t)s->D, n = v->data.n, C = v->data.captions.n;
    float *cosine = malloc((C > n ? C : n) * sizeof *cosine);
    int code = cosine ? CLI_DONE : cli_no_memory();
    v->pictures = fewer(TRAIN_PICTURES, n);
    v->words = fewer(TRAIN_WORDS, C);
    for (int i = 0; i < v->pictures && code == CLI_DONE; i++) {
        train_ranking *r = &v->picture[i];
        r->query = spread(i, v->pictures, n);
        r->rank = v->found.image_rank[r->query];
        code =
            cli_status(clip_similarity(s->ctx, v->data.image + (size_t)r->query * D, 1, v->found.text, (int)C, cosine),
                       "validation");
        if (code == CLI_DONE)
            rank(r, cosine, (int)C);
    }
    for (int i = 0; i < v->words && code == CLI_DONE; i++) {
        train_ranking *r = &v->word[i];
        r->query = spread(i, v->words, C);
        r->rank = v->found.text_rank[r->query];
        code =
            cli_status(clip_similarity(s->ctx, v->found.text + (size_t)r->query * D, 1, v->data.image, (int)n, cosine),
                       "validation");
        if (code == CLI_DONE)
            rank(r, cosine, (int)n);
    }
    free(cosine);
    return code;
}

/* ---- Thumbnails ------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
    const int32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int list_shown(train_validation *v)
{
    enum { MOST = TRAIN_MATRIX + TRAIN_PICTURES + TRAIN_WORDS * TRAIN_TOP };
    int32_t *p = v->shown = malloc(MOST * sizeof *p);
    v->thumbnail = calloc(MOST, sizeof *v->thumbnail);
    if (!p || !v->thumbnail)
        return cli_no_memory();
    for (int i = 0; i < v->M; i++)
        *p++ = v->matrix[i];
    for (int i = 0; i < v->pictures; i++)
        *p++ = v->picture[i].query;
    for (int i = 0; i < v->words; i++)
        for (int k = 0; k < v->word[i].n; k++)
            *p++ = v->word[i].hit[k];
    const size_t all = (size_t)(p - v->shown);
    qsort(v->shown, all, sizeof *v->shown, by_number);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || v->shown[i] != v->shown[i - 1])
            v->shown[v->thumbnails++] = v->shown[i];
    return CLI_DONE;
}

long train_thumbnail(const train_validation *v, int32_t picture)
{
    const int32_t *at = bsearch(&picture, v->shown, v->thumbnails, sizeof *v->shown, by_number);
    return at && v->thumbnail[at - v->shown].rgb ? at - v->shown : -1;
}

/* Read the data again for the few pictures shown. A picture that can no longer be read is not
 * shown. */
static int thumbnails(const char *spec, const clip_pairs_options *o, const clip_image_options *image,
                      train_validation *v)
{
    clip_pairs *pairs;
    clip_error err;
    clip_status s = list_shown(v) == CLI_DONE ? CLIP_OK : CLIP_ENOMEM;
    if (s < 0)
        return CLI_FAILED;
    if (clip_pairs_open(spec, o, &pairs, &err) < 0)
        return cli_fail("%s", err.message);
    int32_t place = 0;
    for (size_t i = 0; i < v->thumbnails && s != CLIP_ENOMEM;) {
        clip_pair pair;
        clip_image img;
        s = clip_pairs_next(pairs, &pair, &err);
        if (s == CLIP_OK && !pair.key)
            break;
        if (s < 0 || place++ != v->data.place[v->shown[i]])
            continue;
        if (clip_image_decode(pair.bytes, pair.size, pair.key, image, &img, &err) == CLIP_OK)
            cli_thumbnail(&img, THUMBNAIL, &v->thumbnail[i]);
        clip_image_free(&img);
        i++;
    }
    clip_pairs_close(pairs);
    return s == CLIP_ENOMEM ? cli_no_memory() : CLI_DONE;
}

/* ---- Validation ------------------------------------------------------------------------------ */

/* Tables are read with the columns of the training data. */
enum { COLUMNS = 3 };

static void free_options(char *text[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++)
        free(text[i]);
}

static int options(const char *settings, char *text[COLUMNS], eval_options *o)
{
    static const char *const names[COLUMNS] = {"csv-img-key", "csv-caption-key", "csv-separator"};
    memset(text, 0, COLUMNS * sizeof *text);
    for (int i = 0; i < COLUMNS; i++)
        DO(train_setting(settings, names[i], &text[i]));
    *o = (eval_options){.captions = EVAL_ALL, .pairs = {text[0], text[1], text[2] ? text[2][0] : 0}};
    return CLI_DONE;
}

/* The limit on picture size is the same as in training. */
static int limit(const char *settings, int *max_pixels)
{
    char *text;
    DO(train_setting(settings, "max-pixels", &text));
    *max_pixels = text ? atoi(text) : 0;
    free(text);
    return CLI_DONE;
}

int train_validation_try(const char *settings, const char *spec)
{
    clip_pairs *pairs = NULL;
    clip_error err;
    eval_options o;
    char *text[COLUMNS];
    int code = options(settings, text, &o);
    if (code == CLI_DONE && clip_pairs_open(spec, &o.pairs, &pairs, &err) < 0)
        code = cli_fail("--val-data: %s", err.message);
    clip_pairs_close(pairs);
    free_options(text);
    return code;
}

static int validate_pairs(cli_session *s, const char *spec, const eval_options *o, int batch, train_validation *v)
{
    DO(eval_read(s, spec, o, &v->data));
    DO(eval_retrieve(s, spec, &v->data, &v->found));
    v->score.samples = (int64_t)v->data.n;
    v->score.image_to_text = v->found.image_to_text;
    v->score.text_to_image = v->found.text_to_image;
    DO(loss(s, v, batch));
    DO(matrix(s, v));
    DO(rankings(s, v));
    return thumbnails(spec, &o->pairs, &s->image, v);
}

int train_validate(const cli_args *a, const train_folder *f, const char *spec, int batch, train_validation *out)
{
    cli_args model = *a;
    cli_session s;
    eval_options o;
    char *text[COLUMNS];
    model.model = f->checkpoint; /* its preprocessing has the background of the run */
    *out = (train_validation){0};
    int code = options(f->settings, text, &o);
    if (code == CLI_DONE)
        code = limit(f->settings, &model.max_pixels);
    o.quiet = code == CLI_DONE && f->history.scores > 0; /* reported the first time */
    if (code == CLI_DONE && (code = cli_open(&model, CLIP_TOWER_BOTH, 0, &s)) == CLI_DONE) {
        code = validate_pairs(&s, spec, &o, batch, out);
        cli_close(&s);
    }
    free_options(text);
    return code;
}

void train_validation_free(train_validation *v)
{
    eval_free(&v->data);
    eval_retrieved_free(&v->found);
    for (size_t i = 0; i < v->thumbnails; i++)
        free(v->thumbnail[i].rgb);
    free(v->thumbnail);
    free(v->shown);
    *v = (train_validation){0};
}
