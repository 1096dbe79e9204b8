/* Workers take samples in order, each with the next cell of a ring, and fill their cells at the
 * same time. next() takes the cells in the same order, and makes batches of the sound ones. So the
 * speed of the workers makes no difference.
 *
 *     order --claim, one worker at a time--> cell cell cell ...
 *                                            \___ in work ___/
 *           --next(), when the oldest cell is done--> batch
 *
 * The end of an epoch and a fatal error are cells as well. They arrive after all cells before them.
 *
 * With peers, the sample at place p of an epoch is decoded by rank p % size. All ranks take the
 * same cells. For as many as the batch still lacks, they tell each other which are sound. So a
 * broken sample is skipped by all of them, and the batch is that of a process alone.
 *
 * `turn` guards the order and `taken`. `lock` guards `done`, `passed` and `stop`. Take `turn`
 * first. */
#include "train/stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "train/stream_order.h"

enum { REPORT = 1, NAMED = 10, MAX_WORKERS = 1024, MAX_BATCH = 1 << 20, MAX_CONTEXT = 1 << 16 };
#define MAX_AHEAD ((size_t)1 << 29) /* bytes of pictures in cells */

typedef enum kind { SOUND, BROKEN, ELSEWHERE, END, FATAL } kind; /* ELSEWHERE: of another rank */

typedef struct cell {
    kind kind;
    bool done;
    cliptrn_sample *sample;
    cliptrn_position at, next; /* of the sample, and behind it */
    const char *caption;
    float *pixels;             /* [3, S, S] */
    int32_t *ids;              /* [context_length] */
    int n_ids;
    clip_status status;
    clip_error err;            /* BROKEN: empty if this was known before */
} cell;

/* A sample that was taken: its place in the catalogue, who decoded it, and what became of it. */
typedef struct taken {
    int64_t index;
    cliptrn_position at, next;
    int rank;
    bool broken;
} taken;

struct cliptrn_stream {
    const clipb_peers *peers;
    clipimg_recipe recipe;
    clip_image_options image;
    clipimg_augment augment;
    bool augmented;
    const cliptok *tokenizer;
    int context;
    uint64_t seed;
    clip_warn_fn warn;
    void *warn_user;
    size_t plane; /* floats of a picture */
    cliptrn_order *order;
    _Atomic uint8_t *bad; /* [samples] known to be broken */
    size_t bad_capacity;
    int64_t count;
    /* the ring */
    pthread_mutex_t turn, lock;
    pthread_cond_t ready, room;
    cell *cells;
    size_t n_cells;
    float *cell_pixels;
    int32_t *cell_ids;
    uint64_t taken, passed;  /* cells, by workers and by next() */
    cliptrn_position at;     /* of the order */
    bool ended, stop;        /* the order after a fatal error; close() */
    pthread_t *thread;
    int workers;             /* that run */
    pid_t process;           /* they run in */
    /* the batch */
    int N;                   /* of all ranks */
    int n;                   /* that it has so far */
    int *holder;             /* [N] */
    taken *window;           /* [N] samples that were taken since the last exchange */
    uint8_t *reports;        /* [size][REPORT + N] what ranks tell each other of a window; NULL: alone */
    int mine, room_for;      /* samples of this rank in it; and how many the arrays below hold */
    float *pixels;
    int32_t *ids, *off;
    const char **key, **caption;
    int64_t *index;
    cliptrn_sample **sample; /* that it holds */
    bool from_start;         /* this epoch was read from its beginning */
    int64_t sound, batches;  /* of it, so far */
    cliptrn_stream_stats stats;
    clip_status status;      /* the error that ended it */
    clip_error err;
};

/* ---- Workers --------------------------------------------------------------------------------- */

static bool wait_for_room(cliptrn_stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->taken - s->passed == s->n_cells && !s->stop)
        pthread_cond_wait(&s->room, &s->lock);
    const bool go = !s->stop;
    pthread_mutex_unlock(&s->lock);
    return go;
}

static int rank_of(const cliptrn_stream *s, const cell *c)
{
    return (int)(c->at.sample % clipb_peers_size(s->peers));
}

/* Put the next sample of the order into the next cell; NULL: there is nothing more to do. */
static cell *claim(cliptrn_stream *s)
{
    cell *c = NULL;
    pthread_mutex_lock(&s->turn);
    if (!s->ended && wait_for_room(s)) {
        c = &s->cells[s->taken++ % s->n_cells];
        c->status = cliptrn_order_next(s->order, &c->sample, &c->err);
        c->at = s->at;
        s->at.sample++;
        if (c->status < 0)
            s->ended = true;
        else if (!c->sample)
            s->at = (cliptrn_position){s->at.epoch + 1, 0};
        c->next = s->at;
        if (c->status < 0)
            c->kind = FATAL;
        else if (!c->sample)
            c->kind = END;
        else
            c->kind = rank_of(s, c) == clipb_peers_rank(s->peers) ? SOUND : ELSEWHERE;
    }
    pthread_mutex_unlock(&s->turn);
    return c;
}

static clip_status decode(cliptrn_stream *s, cell *c, clipdat_sample *scratch)
{
    const cliptrn_sample *sample = c->sample;
    const void *bytes = sample->bytes;
    size_t size = sample->size;
    if (sample->fault < 0)
        return clipb_fail(&c->err, sample->fault, NULL, "%s", sample->text);
    if (!bytes) {
        TRY(clipdat_sample_picture(scratch, sample->text, false, &c->err));
        bytes = scratch->picture.p;
        size = scratch->picture.n;
    }
    clip_image img;
    TRY(clipimg_decode(bytes, size, sample->text, &s->image, NULL, &img, &c->err));
    clipb_rng rng = clipb_rng_at(s->seed, CLIPB_RNG_AUGMENT, (uint64_t)c->at.epoch, (uint64_t)sample->index);
    clip_status status = s->augmented ? clipimg_augment_apply(&s->augment, &rng, &s->recipe, &img, c->pixels)
                                      : clipimg_preprocess(&s->recipe, &img, c->pixels);
    clipimg_free(&img);
    return status < 0 ? clipb_fail(&c->err, status, sample->text, "%s", clipb_status_message(status)) : CLIP_OK;
}

static clip_status tokenize(cliptrn_stream *s, cell *c)
{
    clipb_rng rng = clipb_rng_at(s->seed, CLIPB_RNG_CAPTION, (uint64_t)c->at.epoch, (uint64_t)c->sample->index);
    c->caption = cliptrn_sample_caption(c->sample, clipb_rng_below(&rng, (uint32_t)c->sample->captions));
    return cliptok_encode(s->tokenizer, c->caption, strlen(c->caption), c->ids, s->context, &c->n_ids);
}

static void prepare(cliptrn_stream *s, cell *c, clipdat_sample *scratch)
{
    c->err.message[0] = 0;
    if (s->bad[c->sample->index]) {
        c->kind = BROKEN;
        return;
    }
    c->status = decode(s, c, scratch);
    if (c->status < 0) { /* also without memory for it: the fault of this picture, not of the run */
        c->kind = BROKEN;
        return;
    }
    c->status = tokenize(s, c);
    if (c->status == CLIP_OK)
        return;
    c->kind = c->status == CLIP_ENOMEM ? FATAL : BROKEN;
    if (c->kind == FATAL)
        clipb_nomem(&c->err, c->sample->text);
}

static void *work(void *user)
{
    cliptrn_stream *s = user;
    clipdat_sample scratch = {0};
    for (cell *c; (c = claim(s));) {
        if (c->kind == SOUND)
            prepare(s, c, &scratch);
        pthread_mutex_lock(&s->lock);
        c->done = true;
        if (c == &s->cells[s->passed % s->n_cells])
            pthread_cond_signal(&s->ready);
        pthread_mutex_unlock(&s->lock);
    }
    clipdat_sample_free(&scratch);
    return NULL;
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void release(cliptrn_sample **s)
{
    if (*s && !(*s)->held)
        free(*s);
    *s = NULL;
}

static void drop_batch(cliptrn_stream *s)
{
    while (s->mine > 0)
        release(&s->sample[--s->mine]);
    s->n = 0;
}

static cell *oldest(cliptrn_stream *s)
{
    cell *c = &s->cells[s->passed % s->n_cells];
    pthread_mutex_lock(&s->lock);
    if (!c->done) {
        const double since = clipb_now();
        while (!c->done)
            pthread_cond_wait(&s->ready, &s->lock);
        s->stats.waited += clipb_now() - since;
    }
    pthread_mutex_unlock(&s->lock);
    return c;
}

static void pass(cliptrn_stream *s, cell *c)
{
    release(&c->sample);
    pthread_mutex_lock(&s->lock);
    c->done = false;
    s->passed++;
    pthread_cond_signal(&s->room);
    pthread_mutex_unlock(&s->lock);
}

/* Count a broken sample once. The first few are named.
 * message  in   NULL: another rank names it */
static void count_broken(cliptrn_stream *s, int64_t index, const char *message)
{
    if (s->bad[index])
        return;
    s->bad[index] = 1;
    s->stats.broken++;
    if (s->warn && message && s->stats.broken <= NAMED)
        s->warn(s->warn_user, message);
}

static clip_status found_by_scan(void *user, int64_t index, const char *message)
{
    cliptrn_stream *s = user;
    const size_t before = s->bad_capacity;
    TRY(clipb_grow((void **)&s->bad, &s->bad_capacity, (size_t)index + 1, 1));
    for (size_t i = before; i < s->bad_capacity; i++)
        s->bad[i] = 0;
    count_broken(s, index, clipb_peers_rank(s->peers) == 0 ? message : NULL);
    return CLIP_OK;
}

static bool widen(void *array, size_t n, size_t size)
{
    void **p = array, *wider = realloc(*p, n * size);
    *p = wider ? wider : *p;
    return wider;
}

/* Room for n samples of this rank. */
static clip_status reserve(cliptrn_stream *s, int samples)
{
    const size_t n = (size_t)samples;
    if (s->plane > SIZE_MAX / sizeof(float) / n)
        return CLIP_ENOMEM;
    if (!widen(&s->pixels, n, s->plane * sizeof *s->pixels) ||
        !widen(&s->ids, n, (size_t)s->context * sizeof *s->ids) || !widen(&s->off, n + 1, sizeof *s->off) ||
        !widen(&s->key, n, sizeof *s->key) || !widen(&s->caption, n, sizeof *s->caption) ||
        !widen(&s->index, n, sizeof *s->index) || !widen(&s->sample, n, sizeof *s->sample))
        return CLIP_ENOMEM;
    s->room_for = samples;
    return CLIP_OK;
}

static clip_status add_to_batch(cliptrn_stream *s, cell *c)
{
    if (s->mine == s->room_for)
        TRY(reserve(s, s->mine + s->mine / 8 + 1));
    const int n = s->mine++;
    s->off[n] = n == 0 ? 0 : s->off[n];
    memcpy(s->pixels + (size_t)n * s->plane, c->pixels, s->plane * sizeof *c->pixels);
    memcpy(s->ids + s->off[n], c->ids, (size_t)c->n_ids * sizeof *c->ids);
    s->off[n + 1] = s->off[n] + c->n_ids;
    s->key[n] = c->sample->text;
    s->caption[n] = c->caption;
    s->index[n] = c->sample->index;
    s->sample[n] = c->sample;
    c->sample = NULL;
    return CLIP_OK;
}

static clip_status end_epoch(cliptrn_stream *s, const cell *c)
{
    if (s->from_start && s->batches == 0) {
        const long long epoch = c->at.epoch + 1, sound = s->sound;
        return clipb_fail(&s->err, CLIP_EFORMAT, NULL, sound == 0 ? "epoch %lld: there is no sound sample"
                          : "epoch %lld: its %lld sound samples are fewer than a batch of %d", epoch, sound, s->N);
    }
    drop_batch(s);
    s->from_start = true;
    s->sound = s->batches = 0;
    return CLIP_OK;
}

/* Take cells up to what the batch lacks, or to the end of the epoch.
 * n  out  samples in the window */
static clip_status take_window(cliptrn_stream *s, int *n)
{
    clip_status status = CLIP_OK;
    for (*n = 0; *n < s->N - s->n && status == CLIP_OK; ++*n) {
        cell *c = oldest(s);
        if (c->kind == END)
            break;
        if (c->kind == FATAL) {
            s->err = c->err;
            return c->status;
        }
        s->window[*n] = (taken){c->sample->index, c->at, c->next, rank_of(s, c), c->kind == BROKEN};
        if (c->kind == BROKEN)
            count_broken(s, c->sample->index, c->err.message);
        if (c->kind == SOUND)
            status = add_to_batch(s, c);
        pass(s, c);
    }
    return status == CLIP_ENOMEM ? clipb_nomem(&s->err, NULL) : status;
}

/* Tell the other ranks which samples of the window are broken here, and learn it from them.
 * status  in   not CLIP_OK: this rank cannot go on */
static clip_status agree(cliptrn_stream *s, int n, clip_status status)
{
    const int size = clipb_peers_size(s->peers);
    const size_t bytes = REPORT + (size_t)s->N;
    if (size == 1)
        return status;
    uint8_t *own = s->reports + (size_t)clipb_peers_rank(s->peers) * bytes;
    memset(own, 0, bytes);
    own[0] = status < 0;
    for (int i = 0; i < n; i++)
        own[REPORT + i] = s->window[i].broken;
    const clip_status exchanged = s->peers->gather(s->peers, s->reports, bytes, &s->err);
    TRY(status);
    TRY(exchanged);
    for (int r = 0; r < size; r++)
        if (s->reports[(size_t)r * bytes])
            return clipb_fail(&s->err, CLIP_EIO, NULL, "rank %d of %d cannot read its data", r, size);
    for (int i = 0; i < n; i++) {
        taken *t = &s->window[i];
        t->broken = s->reports[(size_t)t->rank * bytes + REPORT + (size_t)i];
        if (t->broken)
            count_broken(s, t->index, NULL);
    }
    return CLIP_OK;
}

static clip_status fill_batch(cliptrn_stream *s, cliptrn_batch *out)
{
    int n;
    const clip_status status = take_window(s, &n);
    TRY(agree(s, n, status));
    for (int i = 0; i < n; i++) {
        const taken *t = &s->window[i];
        if (t->broken)
            continue;
        s->holder[s->n++] = t->rank;
        s->sound++;
        out->epoch = t->at.epoch;
        out->next = t->next;
    }
    if (s->n == s->N)
        return CLIP_OK;
    cell *c = oldest(s);
    if (c->kind != END)
        return CLIP_OK;
    const clip_status ended = end_epoch(s, c);
    pass(s, c);
    return ended;
}

clip_status cliptrn_stream_next(cliptrn_stream *s, cliptrn_batch *out, clip_error *err)
{
    *out = (cliptrn_batch){0};
    drop_batch(s);
    while (s->n < s->N && s->status == CLIP_OK)
        s->status = fill_batch(s, out);
    if (s->status < 0) {
        *out = (cliptrn_batch){0};
        if (err)
            *err = s->err;
        return s->status;
    }
    s->batches++;
    s->stats.seen += s->N;
    out->N = s->mine;
    out->whole = s->N;
    out->holder = s->holder;
    out->pixels = s->pixels;
    out->ids = s->ids;
    out->off = s->off;
    out->key = s->key;
    out->caption = s->caption;
    out->index = s->index;
    return CLIP_OK;
}

int64_t cliptrn_stream_count(const cliptrn_stream *s) { return s->count; }
const clip_passed *cliptrn_stream_passed(const cliptrn_stream *s) { return cliptrn_order_passed(s->order); }
uint64_t cliptrn_stream_fingerprint(const cliptrn_stream *s) { return cliptrn_order_fingerprint(s->order); }
cliptrn_stream_stats cliptrn_stream_get_stats(const cliptrn_stream *s) { return s->stats; }

/* ---- Open and close -------------------------------------------------------------------------- */

static clip_status allocate(cliptrn_stream *s, int workers)
{
    const size_t N = (size_t)s->N, context = (size_t)s->context, least = 2 * (size_t)workers;
    const int size = clipb_peers_size(s->peers);
    TRY(reserve(s, (s->N + size - 1) / size));
    s->n_cells = MAX_AHEAD / (s->plane * sizeof(float));
    s->n_cells = s->n_cells > 2 * N ? 2 * N : s->n_cells;
    s->n_cells = s->n_cells < least ? least : s->n_cells;
    s->cells = calloc(s->n_cells, sizeof *s->cells);
    s->cell_pixels = calloc(s->n_cells * s->plane, sizeof *s->cell_pixels);
    s->cell_ids = calloc(s->n_cells * context, sizeof *s->cell_ids);
    s->holder = malloc(N * sizeof *s->holder);
    s->window = malloc(N * sizeof *s->window);
    s->reports = size > 1 ? malloc((size_t)size * (REPORT + N)) : NULL;
    s->thread = malloc((size_t)workers * sizeof *s->thread);
    if (!s->cells || !s->cell_pixels || !s->cell_ids || !s->holder || !s->window || (size > 1 && !s->reports) ||
        !s->thread)
        return CLIP_ENOMEM;
    for (size_t i = 0; i < s->n_cells; i++) {
        s->cells[i].pixels = s->cell_pixels + i * s->plane;
        s->cells[i].ids = s->cell_ids + i * context;
    }
    return CLIP_OK;
}

static clip_status start(cliptrn_stream *s, const cliptrn_stream_options *opt, clip_error *err)
{
    TRY(cliptrn_order_open(opt, found_by_scan, s, &s->order, err));
    const int64_t samples = cliptrn_order_samples(s->order);
    s->count = samples - s->stats.broken;
    if (s->count < s->N)
        return clipb_fail(err, CLIP_EFORMAT, opt->spec,
                          s->count == 0 ? "has no pair" : "has %lld pairs, fewer than a batch of %d",
                          (long long)s->count, s->N);
    const size_t known = s->bad_capacity;
    TRY(clipb_grow((void **)&s->bad, &s->bad_capacity, (size_t)samples, 1));
    for (size_t i = known; i < s->bad_capacity; i++)
        s->bad[i] = 0;
    TRY(allocate(s, opt->workers));
    TRY(cliptrn_order_seek(s->order, opt->start, err));
    while (s->workers < opt->workers)
        if (pthread_create(&s->thread[s->workers], NULL, work, s) == 0)
            s->workers++;
        else
            return clipb_fail(err, CLIP_ELIMIT, NULL, "the system does not allow thread %d of %d to read data",
                              s->workers + 1, opt->workers);
    return CLIP_OK;
}

static clip_status check(const cliptrn_stream_options *opt, clip_error *err)
{
    if (!opt->spec || !opt->recipe || !opt->tokenizer || opt->recipe->size < 1 || opt->recipe->size > 1 << 14)
        return clipb_fail(err, CLIP_EINVAL, NULL, "data, recipe or tokenizer are missing");
    if (opt->batch < 1 || opt->batch > MAX_BATCH)
        return clipb_fail(err, CLIP_EINVAL, NULL, "a batch of %d samples: must be 1 to %d", opt->batch, MAX_BATCH);
    if (opt->batch < clipb_peers_size(opt->peers))
        return clipb_fail(err, CLIP_EINVAL, NULL, "a batch of %d pairs for %d ranks: each needs one", opt->batch,
                          clipb_peers_size(opt->peers));
    if (opt->workers < 1 || opt->workers > MAX_WORKERS)
        return clipb_fail(err, CLIP_EINVAL, NULL, "%d threads to read data: must be 1 to %d", opt->workers,
                          MAX_WORKERS);
    if (opt->context_length < 2 || opt->context_length > MAX_CONTEXT || opt->shuffle_buffer < 0)
        return clipb_fail(err, CLIP_EINVAL, NULL, "context length or shuffle buffer are out of range");
    return CLIP_OK;
}

clip_status cliptrn_stream_open(const cliptrn_stream_options *opt, cliptrn_stream **out, clip_error *err)
{
    *out = NULL;
    TRY(check(opt, err));
    cliptrn_stream *s = calloc(1, sizeof *s);
    if (!s)
        return clipb_nomem(err, opt->spec);
    s->process = getpid();
    s->peers = opt->peers;
    s->recipe = *opt->recipe;
    s->image = clipimg_recipe_options(opt->recipe);
    if (opt->max_pixels > 0)
        s->image.max_pixels = opt->max_pixels;
    s->augmented = opt->augment;
    s->augment = opt->augment ? *opt->augment : clipimg_augment_default();
    s->tokenizer = opt->tokenizer;
    s->context = opt->context_length;
    s->seed = opt->seed;
    s->warn = opt->warn;
    s->warn_user = opt->warn_user;
    s->plane = 3 * (size_t)s->recipe.size * (size_t)s->recipe.size;
    s->N = opt->batch;
    s->at = opt->start;
    s->from_start = opt->start.sample == 0;
    pthread_mutex_init(&s->turn, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ready, NULL);
    pthread_cond_init(&s->room, NULL);
    clip_status status = start(s, opt, err);
    if (status < 0) {
        cliptrn_stream_close(s);
        return status == CLIP_ENOMEM ? clipb_nomem(err, opt->spec) : status;
    }
    *out = s;
    return CLIP_OK;
}

/* In a forked child the workers are missing, and their work is half done. Their memory stays where
 * it is. */
void cliptrn_stream_close(cliptrn_stream *s)
{
    if (!s || getpid() != s->process)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->room);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->workers; i++)
        pthread_join(s->thread[i], NULL);
    drop_batch(s);
    for (size_t i = 0; s->cells && i < s->n_cells; i++)
        release(&s->cells[i].sample);
    cliptrn_order_close(s->order);
    pthread_mutex_destroy(&s->turn);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->ready);
    pthread_cond_destroy(&s->room);
    free((void *)s->bad);
    free(s->cells);
    free(s->cell_pixels);
    free(s->cell_ids);
    free(s->pixels);
    free(s->ids);
    free(s->off);
    free(s->key);
    free(s->caption);
    free(s->index);
    free(s->sample);
    free(s->holder);
    free(s->window);
    free(s->reports);
    free(s->thread);
    free(s);
}
