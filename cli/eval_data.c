/* What the kinds of `clip eval` share: the data and its options. */
#include <stdlib.h>
#include <string.h>

#include "eval.h"

int eval_option(const cli_args *a, int id, bool all, eval_options *o)
{
    static const char *const names[] = {[EVAL_FIRST] = "first", [EVAL_LAST] = "last", [EVAL_ALL] = "all"};
    if (id == EVAL_IMAGE_KEY)
        o->pairs.image_key = a->value;
    else if (id == EVAL_CAPTION_KEY)
        o->pairs.caption_key = a->value;
    else {
        for (int i = 0; i < (all ? 3 : 2); i++)
            if (strcmp(a->value, names[i]) == 0) {
                o->captions = (eval_captions)i;
                return CLI_DONE;
            }
        return cli_usage(a, "--captions: '%s' is not %s", a->value, all ? "first, last or all" : "first or last");
    }
    return CLI_DONE;
}

const char *eval_operand(const cli_args *a)
{
    if (a->operands == 1)
        return a->operand[0];
    if (a->operands == 0)
        cli_usage(a, "the data is missing");
    else
        cli_usage(a, "one DATA at a time ('::' joins several)");
    return NULL;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The samples of a batch, with their captions. They wait until it is known whether the picture is
 * broken. */
typedef struct waiting {
    cli_list caption[CLI_BATCH];
    int32_t place[CLI_BATCH];
} waiting;

static void report(const eval_options *o, eval_data *d, const char *message)
{
    if (!o->quiet)
        cli_fail("%s", message);
    d->failed++;
}

/* Add a sample to the batch. Takes ownership of the picture's `bytes`. */
static int take(cli_batch *b, waiting *w, const clip_pair *pair, void *bytes, int32_t place, eval_captions which)
{
    cli_picture *p = &b->picture[b->n];
    const int from = which == EVAL_LAST ? pair->n_captions - 1 : 0, to = which == EVAL_FIRST ? 1 : pair->n_captions;
    *p = (cli_picture){.path = strdup(pair->key), .bytes = bytes, .size = pair->size, .row = -1};
    w->caption[b->n] = (cli_list){0};
    w->place[b->n] = place;
    b->n++;
    if (!p->path)
        return cli_no_memory();
    for (int i = from; i < to; i++)
        DO(cli_list_add(&w->caption[b->n - 1], pair->captions[i]));
    return CLI_DONE;
}

static int fill(clip_pairs *pairs, cli_batch *b, waiting *w, int32_t *place, const eval_options *o, eval_data *d)
{
    while (b->n < CLI_BATCH) {
        clip_pair pair;
        clip_error err;
        clip_status s = clip_pairs_next(pairs, &pair, &err);
        if (s == CLIP_ENOMEM)
            return cli_no_memory();
        if (s < 0) {
            report(o, d, err.message);
            continue;
        }
        if (!pair.key)
            break;
        void *bytes = malloc(pair.size + 1);
        if (!bytes) { /* this picture alone is too large */
            snprintf(err.message, sizeof err.message, "%.900s: out of memory", pair.key);
            report(o, d, err.message);
            ++*place;
            continue;
        }
        memcpy(bytes, pair.bytes, pair.size);
        DO(take(b, w, &pair, bytes, (*place)++, o->captions));
    }
    return CLI_DONE;
}

static int grow(eval_data *d, int D)
{
    if (d->n + CLI_BATCH < d->capacity)
        return CLI_DONE;
    const size_t capacity = d->capacity ? 2 * d->capacity : 1024;
    float *image = realloc(d->image, capacity * (size_t)D * sizeof *image);
    if (image)
        d->image = image;
    int32_t *first = realloc(d->first, (capacity + 1) * sizeof *first);
    if (first)
        d->first = first;
    int32_t *place = realloc(d->place, capacity * sizeof *place);
    if (place)
        d->place = place;
    if (!image || !first || !place)
        return cli_no_memory();
    d->capacity = capacity;
    return CLI_DONE;
}

static int keep(const cli_batch *b, const waiting *w, int D, const eval_options *o, eval_data *d)
{
    DO(grow(d, D));
    for (int i = 0; i < b->n; i++) {
        const cli_picture *p = &b->picture[i];
        if (p->row < 0) {
            report(o, d, p->error.message);
            continue;
        }
        DO(cli_list_add(&d->keys, p->path));
        memcpy(d->image + d->n * (size_t)D, b->embedding + (size_t)p->row * (size_t)D, (size_t)D * sizeof(float));
        d->place[d->n] = w->place[i];
        d->first[d->n++] = (int32_t)d->captions.n;
        for (size_t c = 0; c < w->caption[i].n; c++)
            DO(cli_list_add(&d->captions, w->caption[i].item[c]));
    }
    d->first[d->n] = (int32_t)d->captions.n;
    return d->captions.n > INT32_MAX / 2 ? cli_fail("more captions than can be counted") : CLI_DONE;
}

static int read_all(cli_session *s, clip_pairs *pairs, cli_batch *b, const eval_options *o, eval_data *d)
{
    int code = CLI_DONE, n = CLI_BATCH;
    int32_t place = 0;
    while (code == CLI_DONE && n == CLI_BATCH) {
        waiting w;
        cli_batch_clear(b);
        code = fill(pairs, b, &w, &place, o, d);
        n = b->n;
        if (code == CLI_DONE)
            code = cli_batch_encode(s, b);
        if (code == CLI_DONE)
            code = keep(b, &w, s->D, o, d);
        for (int i = 0; i < n; i++)
            cli_list_free(&w.caption[i]);
        cli_progress_step(n);
        if (code == CLI_DONE && cli_interrupted())
            code = CLI_INTERRUPTED;
    }
    return code;
}

int eval_read(cli_session *s, const char *spec, const eval_options *o, eval_data *d)
{
    clip_pairs *pairs;
    clip_error err;
    *d = (eval_data){0};
    if (clip_pairs_open(spec, &o->pairs, &pairs, &err) < 0)
        return cli_fail("%s", err.message);
    cli_batch *b = cli_batch_new(s);
    int code = CLI_FAILED;
    if (b) {
        cli_progress_start("pictures", 0);
        code = read_all(s, pairs, b, o, d);
        cli_progress_end();
    }
    clip_pairs_get_passed(pairs, &d->passed);
    if (code == CLI_DONE && !o->quiet)
        cli_passed_say(&d->passed);
    if (code == CLI_DONE && d->n == 0)
        code = cli_fail("%s: no picture with a caption could be read", spec);
    cli_batch_free(b);
    clip_pairs_close(pairs);
    if (code != CLI_DONE)
        eval_free(d);
    return code;
}

void eval_free(eval_data *d)
{
    free(d->image);
    free(d->first);
    free(d->place);
    cli_list_free(&d->keys);
    cli_list_free(&d->captions);
    *d = (eval_data){0};
}

/* ---- Labels ---------------------------------------------------------------------------------- */

int eval_cosines(cli_session *s, const char *spec, const eval_data *d, const float *label, size_t L, float **out)
{
    enum { ROWS = 256 };
    const size_t n = d->n, D = (size_t)s->D;
    *out = L <= SIZE_MAX / sizeof **out / n ? malloc(n * L * sizeof **out) : NULL;
    if (!*out)
        return cli_no_memory();
    for (size_t i = 0; i < n; i += ROWS) {
        const int rows = n - i < ROWS ? (int)(n - i) : ROWS;
        DO(cli_status(clip_similarity(s->ctx, d->image + i * D, rows, label, (int)L, *out + i * L), spec));
    }
    return CLI_DONE;
}
