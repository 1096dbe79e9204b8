/* clipcol_update(): pictures on their way into an index.
 *
 *     feed (this thread) --> parcels --> workers: read, hash, decode, preprocess
 *                        --> in order --> batches of 32 --> encoder --> the index
 *
 * This thread compares pictures with the catalogue, gathers batches, and encodes them on the
 * context's threads. Meanwhile the workers decode ahead, up to the length of the queue. They run at
 * a lower priority: an encoder's pass is a hundred short jobs that wait for each other, while a
 * picture is one long job that nothing waits for. So the encoder goes first, and decoding gets the
 * cores that it leaves. Each file is read once: the hash is that of the bytes that are decoded. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/order.h"
#include "base/queue.h"
#include "collection/collection.h"
#include "collection/feed.h"
#include "engine/engine.h"

enum { BATCH = 32, AHEAD = 2 * BATCH, TEXTS = 64, MOST_CAPTIONS = 1000, LATER = 5 };
#define ENOUGH 2                          /* a JPEG is decoded at no less than twice the model's side */
#define MOST_BYTES ((size_t)64 << 20)     /* of encoded pictures that came with their source and wait to be decoded */

typedef struct update {
    clip_index *x;
    clip_context *ctx;
    clip_update_options opt;
    clip_image_options image; /* how pictures are read */
    clip_update_report report;
    char language[CLIPENG_LANGUAGE]; /* the context's; sources remember theirs */
    double started, committed;
    bool stopped;
    size_t floats, D;     /* numbers of a picture's pixels; of a vector */
    pthread_mutex_t lock; /* of the index, which the workers ask for hashes */
    clipb_queue *queue;
    size_t bytes;         /* in the queue, of pictures that came with their source */
    clip_item item[BATCH];
    int n;
    float *pixels, *vector; /* [BATCH] of each; vector has room for TEXTS */
    clip_item text[TEXTS];
    int n_texts;
    char **seen;          /* paths of all existing pictures, for the sweep */
    size_t n_seen, seen_capacity;
    clipcol_sources swept;   /* sources looked through, or missing; their strings are owned elsewhere */
    clipcol_holds holds;
    clipcol_others others;
} update;

clip_update_options clipcol_update_options_default(void) { return (clip_update_options){.commit_every = 5}; }

static void tell(const update *u, const char *message)
{
    if (u->opt.warn)
        u->opt.warn(u->opt.warn_user, message);
}

static bool go_on(void *user)
{
    update *u = user;
    u->report.seconds = clipb_now() - u->started;
    u->report.waited = u->queue ? clipb_queue_waited(u->queue) : 0;
    u->stopped = u->stopped || (u->opt.progress && !u->opt.progress(u->opt.progress_user, &u->report));
    return !u->stopped;
}

/* ---- Workers --------------------------------------------------------------------------------- */

static clip_status read_picture(clipcol_parcel *p)
{
    struct stat st;
    if (p->has_bytes)
        return CLIP_OK;
    if (stat(p->path.p, &st) < 0) {
        p->gone = errno == ENOENT || errno == ENOTDIR;
        return clipb_fail(&p->err, CLIP_EIO, p->path.p, "%s", strerror(errno));
    }
    p->item.size = st.st_size; /* before reading: if the file changes meanwhile, the next update sees that */
    p->item.mtime = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    return clipdat_sample_picture(&p->sample, p->path.p, false, &p->err);
}

/* A caption file that cannot be read is reported, and changes nothing. */
static clip_status read_captions(clipcol_parcel *p)
{
    bool there;
    if (!p->captions || !p->beside)
        return CLIP_OK;
    clipdat_sample_no_captions(&p->sample);
    clip_status s = clipdat_captions_beside(&p->sample, p->path.p, &there, &p->err);
    p->captions = s == CLIP_OK;
    return s == CLIP_ENOMEM ? s : CLIP_OK;
}

/* Where memory does not suffice for a picture, the picture counts as broken, and the run goes
 * on. */
static clip_status decode(const update *u, clipcol_parcel *p)
{
    clip_image_options o = u->image;
    clipimg_facts facts;
    clip_image img;
    o.enough = u->opt.full_decode ? 0 : ENOUGH * u->ctx->model->recipe.size;
    if (!p->pixels && !(p->pixels = malloc(u->floats * sizeof *p->pixels)))
        return CLIP_ENOMEM;
    clip_status s = clipimg_decode(p->sample.picture.p, p->sample.picture.n, p->path.p, &o, &facts, &img, &p->err);
    if (s == CLIP_OK) {
        p->item.taken = facts.taken;
        s = clipimg_preprocess_reduced(&u->ctx->model->recipe, &img, facts.width, facts.height, p->pixels);
        clipimg_free(&img);
        if (s < 0)
            clipb_fail(&p->err, s, p->path.p, "%s", clipb_status_message(s));
    }
    p->decoded = s == CLIP_OK;
    return s == CLIP_ENOMEM ? CLIP_EIO : s;
}

static clip_status known_bytes(update *u, const clipcol_parcel *p, bool *known)
{
    clip_item item;
    int64_t row = 0;
    pthread_mutex_lock(&u->lock);
    clip_status s = clipidx_next_copy(u->x, p->item.hash, &row, &item, NULL);
    pthread_mutex_unlock(&u->lock);
    *known = s == CLIP_OK && item.kind;
    return s == CLIP_ENOMEM ? s : CLIP_OK; /* other faults show again where they can be reported */
}

static clip_status prepare_steps(update *u, clipcol_parcel *p)
{
    bool known;
    XXH128_canonical_t hash;
    TRY(read_picture(p));
    XXH128_canonicalFromHash(&hash, XXH3_128bits(p->sample.picture.p, p->sample.picture.n));
    memcpy(p->item.hash, hash.digest, sizeof p->item.hash);
    TRY(read_captions(p));
    TRY(known_bytes(u, p, &known));
    return known ? CLIP_OK : decode(u, p);
}

static void drop_bytes(clipcol_parcel *p)
{
    free(p->sample.picture.p);
    p->sample.picture = (clipdat_bytes){0};
}

static void prepare(void *user, void *parcel)
{
    clipcol_parcel *p = parcel;
    p->err = (clip_error){0};
    p->status = prepare_steps(user, p);
    if (!p->has_bytes)
        drop_bytes(p);
    if (p->status == CLIP_ENOMEM)
        clipb_nomem(&p->err, p->path.p);
}

static void drop(void *parcel)
{
    clipcol_parcel *p = parcel;
    free(p->pixels);
    clipcol_parcel_drop(p);
}

/* ---- Batches --------------------------------------------------------------------------------- */

/* Ask the catalogue (EXPR) while no worker reads it. */
#define LOCKED(u, expr)                          \
    do {                                         \
        pthread_mutex_lock(&(u)->lock);          \
        clip_status locked_status = (expr);      \
        pthread_mutex_unlock(&(u)->lock);        \
        TRY(locked_status);                      \
    } while (0)

static void clear_items(clip_item *item, int *n)
{
    for (; *n > 0; --*n) {
        free((char *)(uintptr_t)item[*n - 1].path);
        free((char *)(uintptr_t)item[*n - 1].text);
    }
}

static clip_status encode_pictures(update *u, clip_error *err)
{
    if (u->n == 0)
        return CLIP_OK;
    clip_status s = clipeng_encode_pixels(u->ctx, u->pixels, u->n, u->vector);
    if (s < 0)
        return clipb_fail(err, s, NULL, "pictures cannot be embedded: %s", clipeng_context_message(u->ctx, s));
    LOCKED(u, clipidx_add(u->x, u->item, u->vector, u->n, err));
    u->report.embedded += u->n;
    clear_items(u->item, &u->n);
    return CLIP_OK;
}

static clip_status encode_texts(update *u, clip_error *err)
{
    const char *words[TEXTS];
    if (u->n_texts == 0)
        return CLIP_OK;
    for (int i = 0; i < u->n_texts; i++)
        words[i] = u->text[i].text;
    clip_status s = clipeng_encode_text(u->ctx, words, u->n_texts, u->vector);
    if (s < 0)
        return clipb_fail(err, s, NULL, "captions cannot be embedded: %s", clipeng_context_message(u->ctx, s));
    LOCKED(u, clipidx_add(u->x, u->text, u->vector, u->n_texts, err));
    u->report.texts += u->n_texts;
    clear_items(u->text, &u->n_texts);
    return CLIP_OK;
}

static clip_status commit(update *u, clip_error *err)
{
    LOCKED(u, clipidx_commit(u->x, err));
    u->committed = clipb_now();
    return CLIP_OK;
}

static clip_status add_picture(update *u, const clipcol_parcel *p, clip_error *err)
{
    clip_item *item = &u->item[u->n];
    *item = p->item;
    item->path = strdup(p->path.p);
    if (!item->path)
        return clipb_nomem(err, p->path.p);
    memcpy(u->pixels + (size_t)u->n * u->floats, p->pixels, u->floats * sizeof *p->pixels);
    return ++u->n == BATCH ? encode_pictures(u, err) : CLIP_OK;
}

static clip_status add_text(update *u, const clipcol_parcel *p, const char *words, clip_error *err)
{
    clip_item *item = &u->text[u->n_texts];
    *item = (clip_item){.kind = CLIP_ITEM_TEXT,
                        .path = strdup(p->path.p),
                        .text = strdup(words),
                        .mtime = p->item.mtime,
                        .taken = p->item.taken};
    u->n_texts++;
    if (!item->path || !item->text)
        return clipb_nomem(err, p->path.p);
    return u->n_texts == TEXTS ? encode_texts(u, err) : CLIP_OK;
}

static clip_status take_captions(update *u, const clipcol_parcel *p, clip_error *err)
{
    const char *caption[MOST_CAPTIONS], *at = p->sample.text.p;
    bool is_new[MOST_CAPTIONS];
    /* Of a long text beside a picture, the beginning. */
    const int n = p->sample.captions < MOST_CAPTIONS ? p->sample.captions : MOST_CAPTIONS;
    if (!p->captions)
        return CLIP_OK;
    for (int i = 0; i < n; i++, at += strlen(at) + 1)
        caption[i] = at;
    LOCKED(u, clipcol_plan_captions(u->x, p->path.p, caption, n, p->exact, is_new, err));
    for (int i = 0; i < n; i++)
        if (is_new[i])
            TRY(add_text(u, p, caption[i], err));
    return CLIP_OK;
}

/* ---- Parcels --------------------------------------------------------------------------------- */

static bool in_batch(const update *u, const uint8_t *hash)
{
    for (int i = 0; i < u->n; i++)
        if (memcmp(u->item[i].hash, hash, sizeof u->item[i].hash) == 0)
            return true;
    return false;
}

/* The bytes were known when a worker looked, and no longer are: they were the old bytes of a
 * picture that has changed since. */
static clip_status decode_late(update *u, clipcol_parcel *p)
{
    const clip_item first = p->item;
    TRY(read_picture(p));
    /* Those that belong to the hash: if the file has changed since, the next update sees that. */
    p->item.size = first.size;
    p->item.mtime = first.mtime;
    clip_status s = decode(u, p);
    drop_bytes(p);
    return s;
}

/* A file that existed when the folder was listed.
 * told  out  there is nothing to report */
static clip_status take_gone(update *u, const clipcol_parcel *p, bool *told, clip_error *err)
{
    clipcol_fate fate;
    clipcol_hold *hold;
    clip_item item = {0};
    int64_t removed = 0;
    if (clipcol_plan_fate(p->path.p, &u->holds, &fate, &hold) < 0)
        return clipb_nomem(err, p->path.p);
    if (hold)
        LOCKED(u, clipidx_find(u->x, p->path.p, &item, err));
    if (hold)
        hold->kept += item.kind != 0;
    if (fate == CLIPCOL_FATE_GONE)
        LOCKED(u, clipcol_plan_forget(u->x, p->path.p, &removed, err));
    u->report.removed += removed;
    *told = removed > 0 || item.kind;
    return CLIP_OK;
}

/* Bytes that could not be read may be unchanged. Bytes that are not a picture are not what the
 * index knows. */
static clip_status take_broken(update *u, clipcol_parcel *p, clip_error *err)
{
    int64_t removed = 0;
    bool told = false;
    if (p->gone)
        TRY(take_gone(u, p, &told, err));
    else if (p->status != CLIP_EIO)
        LOCKED(u, clipcol_plan_forget(u->x, p->path.p, &removed, err));
    u->report.removed += removed;
    if (told)
        return CLIP_OK;
    u->report.broken++;
    tell(u, p->err.message);
    return CLIP_OK;
}

static clip_status take(update *u, clipcol_parcel *p, clip_error *err)
{
    clipcol_plan_outcome outcome;
    u->report.todo--;
    if (p->has_bytes)
        u->bytes -= p->sample.picture.n;
    if (p->status == CLIP_OK && p->err.message[0])
        tell(u, p->err.message); /* its captions */
    if (p->status == CLIP_OK) {
        p->item.kind = CLIP_ITEM_PICTURE;
        p->item.path = p->path.p;
        if (in_batch(u, p->item.hash))
            TRY(encode_pictures(u, err));
        LOCKED(u, clipcol_plan_by_bytes(u->x, &p->item, u->vector, &outcome, err));
        u->report.moved += outcome == CLIPCOL_PLAN_MOVED;
        u->report.copied += outcome == CLIPCOL_PLAN_COPIED;
        if (outcome == CLIPCOL_PLAN_NEW && !p->decoded)
            p->status = decode_late(u, p);
    }
    if (p->has_bytes)
        drop_bytes(p);
    if (p->status == CLIP_ENOMEM)
        return clipb_nomem(err, p->path.p);
    if (p->status < 0)
        return take_broken(u, p, err);
    if (outcome == CLIPCOL_PLAN_NEW)
        TRY(add_picture(u, p, err));
    return take_captions(u, p, err);
}

static clip_status take_unchanged(update *u, clipcol_parcel *p, clip_error *err)
{
    p->err = (clip_error){0};
    if (read_captions(p) < 0)
        return clipb_nomem(err, p->path.p);
    if (p->err.message[0])
        tell(u, p->err.message);
    return take_captions(u, p, err);
}

static clip_status commit_in_time(update *u, clip_error *err)
{
    return clipb_now() - u->committed < u->opt.commit_every ? CLIP_OK : commit(u, err);
}

/* Fill the queue as far as possible. */
static clip_status fill(update *u, clipcol_feed *feed, bool *more, clip_error *err)
{
    clipcol_parcel *p;
    while (*more && u->bytes < MOST_BYTES && (p = clipb_queue_room(u->queue))) {
        bool unchanged = false;
        LOCKED(u, clipcol_feed_next(feed, p, more, &unchanged, err));
        if (!*more)
            break;
        if (unchanged) {
            TRY(take_unchanged(u, p, err));
            TRY(commit_in_time(u, err));
            continue;
        }
        if (p->has_bytes)
            u->bytes += p->sample.picture.n;
        clipb_queue_put(u->queue);
    }
    return CLIP_OK;
}

static clip_status run_feed(update *u, clipcol_feed *feed, clip_error *err)
{
    bool more = true;
    clipcol_parcel *p;
    for (;;) {
        TRY(fill(u, feed, &more, err));
        if (u->stopped || !(p = clipb_queue_oldest(u->queue)))
            break;
        clip_status s = take(u, p, err);
        clipb_queue_pass(u->queue);
        TRY(s);
        TRY(commit_in_time(u, err));
        if (!go_on(u))
            break;
    }
    return CLIP_OK;
}

/* ---- Sources --------------------------------------------------------------------------------- */

/* A remembered source that does not exist: a picture has been deleted; a folder may be on a disk
 * that is not connected. */
static clip_status source_gone(update *u, const clipcol_source *s, clip_error *err)
{
    int64_t removed = 0;
    clip_error said;
    clipcol_fate fate;
    clipcol_hold *hold;
    if (clipcol_plan_fate(s->path, &u->holds, &fate, &hold) < 0)
        return clipb_nomem(err, s->path);
    if (fate == CLIPCOL_FATE_GONE)
        TRY(clipcol_plan_forget(u->x, s->path, &removed, err));
    u->report.removed += removed;
    if (removed)
        return CLIP_OK;
    if (clipb_fail(&said, CLIP_EIO, s->path, "is not there now; what the index has of it stays") < 0)
        tell(u, said.message);
    u->swept.item[u->swept.n++] = *s; /* so that what stays is counted */
    clip_status added = clipcol_holds_add(&u->holds, s->path, "");
    return added < 0 ? clipb_nomem(err, s->path) : CLIP_OK;
}

/* Texts that wait belong to the source before. */
static clip_status speak(update *u, const char *language, clip_error *err)
{
    if (strcmp(language, clipeng_context_language(u->ctx)) == 0)
        return CLIP_OK;
    TRY(encode_texts(u, err));
    return clipeng_context_set_language(u->ctx, language, err);
}

static clip_status run_source(update *u, const clipcol_source *source, clip_error *err)
{
    const bool words = (u->ctx->model->towers & CLIP_TOWER_TEXT) && u->ctx->model->tokenizer;
    const clipcol_feed_options o = {words, u->opt.warn, u->opt.warn_user, go_on, u, &u->report, &u->holds, &u->others};
    const clipcol_source_kind kind = clipcol_source_kind_of(source->path);
    const size_t seen_before = u->n_seen;
    clipcol_feed *feed;
    bool whole = false;
    if (kind == CLIPCOL_SOURCE_GONE)
        return source_gone(u, source, err);
    if (source->captions && !words)
        return clipb_fail(err, CLIP_EINVAL, source->path,
                          "its captions were to be indexed, which takes a text tower and a tokenizer");
    if (words)
        TRY(speak(u, *source->language ? source->language : u->language, err));
    TRY(clipcol_feed_open(u->x, source, &o, &feed, err));
    clip_status s = run_feed(u, feed, err);
    if (clipcol_feed_close(feed, &u->seen, &u->n_seen, &u->seen_capacity, &whole) < 0 && s == CLIP_OK)
        s = clipb_nomem(err, source->path);
    if (s == CLIP_OK && whole)
        u->swept.item[u->swept.n++] = *source;
    if (s == CLIP_OK && whole && kind == CLIPCOL_SOURCE_FOLDER && u->n_seen == seen_before &&
        clipcol_holds_add(&u->holds, source->path, "holds no pictures any more") < 0)
        s = clipb_nomem(err, source->path);
    return s;
}

/* Also for sources that this update does not look at: a missing folder that the index was given may
 * lie below another one. */
static clip_status hold_absent(update *u, clip_error *err)
{
    clipcol_sources all = {0};
    clip_status s = clipcol_sources_recall(u->x, &all, err);
    for (size_t i = 0; s == CLIP_OK && i < all.n; i++)
        if (clipcol_source_kind_of(all.item[i].path) == CLIPCOL_SOURCE_GONE &&
            clipcol_holds_add(&u->holds, all.item[i].path, "is not there now") < 0)
            s = clipb_nomem(err, u->x->dir);
    clipcol_sources_free(&all);
    return s;
}

static clip_status sweep(update *u, clip_error *err)
{
    int64_t removed;
    if (u->n_seen > 0)
        qsort(u->seen, u->n_seen, sizeof *u->seen, clipb_order_strings);
    TRY(hold_absent(u, err));
    TRY(clipcol_plan_sweep(u->x, &u->swept, u->seen, u->n_seen, &u->holds, &removed, err));
    u->report.removed += removed;
    for (size_t i = 0; i < u->holds.n; i++) {
        const clipcol_hold *h = &u->holds.item[i];
        clip_error said;
        u->report.kept += h->kept;
        if (h->kept == 0 || !h->why[0])
            continue;
        clipb_fail(&said, CLIP_EIO, h->path, "%s; what the index has of it stays (%lld picture%s)", h->why,
                   (long long)h->kept, h->kept == 1 ? "" : "s");
        tell(u, said.message);
    }
    return CLIP_OK;
}

static clip_status check(const update *u, int n, clip_error *err)
{
    const clip_model *m = u->ctx->model;
    if (!u->x->write)
        return clipb_fail(err, CLIP_EINVAL, u->x->dir, "the index is open for reading");
    if (!(m->towers & CLIP_TOWER_IMAGE))
        return clipb_fail(err, CLIP_EINVAL, m->path, "its image tower has not been loaded");
    if (m->config.embed_dim != u->x->dim)
        return clipb_fail(err, CLIP_EMISMATCH, u->x->dir, "has %d numbers a vector; %s makes %d", u->x->dim, m->path,
                          m->config.embed_dim);
    if (n < 0 || u->opt.workers < 0 || u->opt.workers > CLIPENG_MOST_THREADS || u->opt.n_exclude < 0)
        return clipb_fail(err, CLIP_EINVAL, NULL, "an option is out of its range");
    return CLIP_OK;
}

static clip_status start(update *u, size_t sources, clip_error *err)
{
    const size_t rows = BATCH > TEXTS ? BATCH : TEXTS;
    const int workers = u->opt.workers ? u->opt.workers : clipeng_context_threads(u->ctx);
    u->floats = clipimg_floats(&u->ctx->model->recipe);
    u->D = (size_t)u->x->dim;
    u->pixels = malloc(BATCH * u->floats * sizeof *u->pixels);
    u->vector = malloc(rows * u->D * sizeof *u->vector);
    u->swept.item = calloc(sources + 1, sizeof *u->swept.item);
    clip_status s = u->pixels && u->vector && u->swept.item ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = clipb_queue_new(workers, AHEAD > 2 * workers ? AHEAD : 2 * (size_t)workers, sizeof(clipcol_parcel), LATER,
                            prepare, u, &u->queue);
    return s < 0 ? clipb_fail(err, s, u->x->dir, "%s",
                              s == CLIP_ENOMEM ? "out of memory" : "the system allows no thread to read pictures")
                 : s;
}

/* `clip index *` names texts and films as well: a file that has given nothing is not looked for
 * again. */
static clip_status forget_barren(update *u, const clipcol_sources *named, clip_error *err)
{
    char **barren = calloc(named->n + 1, sizeof *barren);
    int n = 0;
    clip_status s = barren ? CLIP_OK : clipb_nomem(err, u->x->dir);
    for (size_t i = 0; s == CLIP_OK && i < named->n; i++) {
        clip_item item = {0};
        if (clipcol_source_kind_of(named->item[i].path) != CLIPCOL_SOURCE_PICTURE)
            continue;
        s = clipidx_find(u->x, named->item[i].path, &item, err);
        if (s == CLIP_OK && !item.kind)
            barren[n++] = named->item[i].path;
    }
    if (s == CLIP_OK && n > 0)
        s = clipcol_sources_forget(u->x, barren, n, err);
    free(barren);
    return s;
}

/* all: the sources are all that the index was ever given. */
static clip_status run(update *u, const clipcol_sources *sources, bool all, clip_error *err)
{
    TRY(start(u, sources->n, err));
    TRY(clipcol_others_recall(u->x, &u->others, err));
    for (size_t i = 0; i < sources->n && !u->stopped; i++)
        TRY(run_source(u, &sources->item[i], err));
    if (u->stopped)
        return CLIP_OK;
    TRY(encode_pictures(u, err));
    TRY(encode_texts(u, err));
    TRY(sweep(u, err));
    TRY(clipcol_others_remember(u->x, &u->others, all, err));
    char when[32];
    snprintf(when, sizeof when, "%lld", (long long)time(NULL));
    return clipidx_remember(u->x, "updated", when, err);
}

static clip_status find_sources(update *u, const char *const *paths, int n, clipcol_sources *out, clip_error *err)
{
    if (n > 0) {
        TRY(clipcol_sources_resolve(paths, n, &u->opt, u->language, out, err));
        TRY(clipcol_sources_agree(u->x, out, err));
        TRY(clipcol_sources_remember(u->x, out, err));
        return clipidx_commit(u->x, err);
    }
    TRY(clipcol_sources_recall(u->x, out, err));
    return out->n > 0 ? CLIP_OK : clipb_fail(err, CLIP_EINVAL, u->x->dir, "it has not been given any pictures yet");
}

clip_status clipcol_update(clip_index *x, clip_context *ctx, const char *const *paths, int n,
                           const clip_update_options *opt, clip_update_report *report, clip_error *err)
{
    update u = {.x = x,
                .ctx = ctx,
                .opt = opt ? *opt : clipcol_update_options_default(),
                .started = clipb_now(),
                .committed = clipb_now()};
    clipcol_sources sources = {0};
    pthread_mutex_init(&u.lock, NULL);
    clip_status s = check(&u, n, err);
    if (s == CLIP_OK) {
        snprintf(u.language, sizeof u.language, "%s", clipeng_context_language(ctx));
        u.image = u.opt.image ? *u.opt.image : clipcol_index_image_options(x, ctx->model);
        s = clipcol_index_settle_background(x, u.image.background, err);
    }
    if (s == CLIP_OK)
        s = find_sources(&u, paths, n, &sources, err);
    if (s == CLIP_OK)
        s = run(&u, &sources, n == 0, err);
    if (s == CLIP_OK && n > 0 && !u.stopped)
        s = forget_barren(&u, &sources, err);
    if (*u.language)
        clipeng_context_set_language(ctx, u.language, NULL);
    u.report.seconds = clipb_now() - u.started;
    u.report.waited = u.queue ? clipb_queue_waited(u.queue) : 0;
    clipb_queue_free(u.queue, drop);
    if (x->write) { /* also after a fault: finished work is kept */
        clip_status committed = clipidx_commit(x, s < 0 ? NULL : err);
        s = s < 0 ? s : committed;
    }
    if (report)
        *report = u.report;
    clear_items(u.item, &u.n);
    clear_items(u.text, &u.n_texts);
    clipdat_list_free(u.seen, u.n_seen);
    clipcol_sources_free(&sources);
    clipcol_holds_free(&u.holds);
    clipcol_others_free(&u.others);
    pthread_mutex_destroy(&u.lock);
    free(u.swept.item);
    free(u.pixels);
    free(u.vector);
    return s;
}
