/* One scan makes the catalogue. Samples that can be read at any time (files that tables and folders
 * name; tars, if together they fit into `memory`) become a list, which an epoch permutes. Of larger
 * tars only the number of samples is kept. An epoch takes these tars in shuffled order, and their
 * samples at random from a buffer, which grows by two for each sample taken until it is full.
 *
 * Each draw is from the list or from the buffer, with the odds of the samples that are left in
 * each. All draws come from the seed and the epoch, which therefore determine the order. To get
 * into the middle of an epoch, the order is run through without decoding. */
#include "train/stream_order.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { FIRST_FILL = 1000 }; /* samples in the buffer before the first is taken */

/* A tar that is read anew each epoch. */
typedef struct tar {
    char *path;
    int64_t first, n; /* samples, broken ones included */
} tar;

struct cliptrn_order {
    char *image_key, *caption_key;
    clip_pairs_options pairs;
    uint64_t seed;
    size_t shuffle, memory;
    cliptrn_broken_fn *broken;
    void *user;
    /* catalogue */
    cliptrn_sample **held;
    size_t n_held, held_capacity, held_bytes;
    tar *tars;
    size_t n_tars, tars_capacity;
    int64_t n_streamed;     /* in all of them */
    int64_t samples;        /* indices given */
    uint64_t fingerprint;
    clip_passed passed;
    clipdat_sample scratch;
    /* where in which epoch */
    int64_t epoch;
    clipb_rng rng;
    uint32_t *turn;         /* [n_held] permutation */
    uint32_t *tar_turn;     /* [n_tars] */
    size_t at;              /* of turn */
    size_t tar_at;          /* of tar_turn; the tar after the open one */
    int64_t streamed;       /* taken */
    clipdat_source *source; /* the open tar; NULL: none */
    const tar *open;
    int64_t read;           /* samples of it */
    cliptrn_sample **buffer;
    size_t n_buffer, buffer_capacity, buffer_bytes;
};

const char *cliptrn_sample_caption(const cliptrn_sample *s, uint32_t i)
{
    const char *p = s->text;
    for (uint32_t k = 0; k <= i; k++)
        p += strlen(p) + 1;
    return p;
}

/* ---- Samples --------------------------------------------------------------------------------- */

static clip_status copy_sample(const clipdat_sample *from, int64_t index, cliptrn_sample **out)
{
    const size_t key = from->key.n + 1, text = from->text.n, size = from->picture.n;
    cliptrn_sample *s = malloc(sizeof *s + key + text + size);
    *out = s;
    if (!s)
        return CLIP_ENOMEM;
    *s = (cliptrn_sample){.index = index, .captions = from->captions, .size = size};
    memcpy(s->text, from->key.p, key);
    memcpy(s->text + key, from->text.p, text);
    if (size > 0)
        s->bytes = memcpy(s->text + key + text, from->picture.p, size);
    return CLIP_OK;
}

/* A sample that cannot be used, in its place. */
static clip_status broken_sample(clip_status fault, const char *message, int64_t index, cliptrn_sample **out)
{
    const size_t n = strlen(message) + 1;
    cliptrn_sample *s = malloc(sizeof *s + n);
    *out = s;
    if (!s)
        return CLIP_ENOMEM;
    *s = (cliptrn_sample){.index = index, .fault = fault};
    memcpy(s->text, message, n);
    return CLIP_OK;
}

static size_t sample_bytes(const cliptrn_sample *s) { return sizeof *s + s->size + 64; } /* and about so much text */

/* ---- The scan -------------------------------------------------------------------------------- */

static void release_held(cliptrn_order *o, size_t from)
{
    while (o->n_held > from)
        free(o->held[--o->n_held]);
}

static clip_status hold(cliptrn_order *o)
{
    TRY(clipb_grow((void **)&o->held, &o->held_capacity, o->n_held + 1, sizeof *o->held));
    cliptrn_sample *s;
    TRY(copy_sample(&o->scratch, o->samples, &s));
    s->held = true;
    o->held[o->n_held++] = s;
    return CLIP_OK;
}

/* FNV-1a (Fowler, Noll and Vo) */
static uint64_t fnv1a(uint64_t hash, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)p[i]) * 0x100000001b3u;
    return hash;
}

/* The last part of the key (a folder may be named in more than one way) and the captions, each with
 * the zero that ends it. */
static void add_to_fingerprint(cliptrn_order *o)
{
    const clipdat_sample *s = &o->scratch;
    const char *slash = strrchr(s->key.p, '/'), *name = slash ? slash + 1 : s->key.p;
    o->fingerprint = fnv1a(o->fingerprint, name, strlen(name) + 1);
    o->fingerprint = fnv1a(o->fingerprint, s->text.p, s->text.n);
}

/* Take all samples of a source into the catalogue. *keep: as samples, unless those of a tar turn
 * out to have too many bytes; else only their number. */
static clip_status scan(cliptrn_order *o, clipdat_source *source, bool is_tar, bool *keep, clip_error *err)
{
    const size_t before = o->n_held, bytes_before = o->held_bytes;
    source->unread = !is_tar || !*keep;
    for (;; o->samples++) {
        clip_status s = source->next(source, &o->scratch, err);
        if (source->over || s == CLIP_ENOMEM)
            return s;
        if (s < 0) {
            TRY(o->broken(o->user, o->samples, err->message));
            continue;
        }
        add_to_fingerprint(o);
        if (!*keep)
            continue;
        TRY(hold(o));
        o->held_bytes += is_tar ? sample_bytes(o->held[o->n_held - 1]) : 0;
        if (is_tar && o->held_bytes > o->memory) { /* gzip: what its size did not say */
            release_held(o, before);
            o->held_bytes = bytes_before;
            source->unread = true;
            *keep = false;
        }
    }
}

/* A run is worth hours, and the same data must make it again. So a folder that cannot be listed
 * whole stops it before it begins, as a damaged tar does. */
static clip_status incomplete(clipdat_source *source, const char *path, clip_error *err)
{
    clip_error why = {0};
    clipdat_sample none = {0};
    clip_status s = source->next(source, &none, &why);
    clipdat_sample_free(&none);
    return clipb_fail(err, s < 0 ? s : CLIP_EIO, NULL, "%.700s (parts of %.100s that cannot be looked at: %lld)",
                      why.message, path, (long long)source->faults);
}

static clip_status add_source(cliptrn_order *o, const char *path, bool hold_tars, clip_error *err)
{
    const bool is_tar = !clipb_is_dir(path) && clipdat_is_tar(path);
    bool keep = !is_tar || hold_tars;
    const int64_t first = o->samples;
    clipdat_source *source;
    TRY(clipdat_open(path, &o->pairs, &source, err));
    if (source->passed)
        clipdat_passed_merge(&o->passed, source->passed);
    clip_status s = source->faults > 0 ? incomplete(source, path, err) : scan(o, source, is_tar, &keep, err);
    source->close(source);
    TRY(s);
    if (keep)
        return CLIP_OK;
    TRY(clipb_grow((void **)&o->tars, &o->tars_capacity, o->n_tars + 1, sizeof *o->tars));
    o->tars[o->n_tars] = (tar){strdup(path), first, o->samples - first};
    if (!o->tars[o->n_tars].path)
        return CLIP_ENOMEM;
    o->n_tars++;
    o->n_streamed += o->samples - first;
    return CLIP_OK;
}

static clip_status scan_all(cliptrn_order *o, const char *spec, clip_error *err)
{
    char **path;
    size_t n;
    uint64_t bytes = 0;
    TRY(clipdat_expand(spec, &path, &n, err));
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        if (clipdat_is_tar(path[i]) && stat(path[i], &st) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    }
    clip_status s = CLIP_OK;
    for (size_t i = 0; i < n && s == CLIP_OK; i++)
        s = add_source(o, path[i], bytes <= o->memory, err);
    clipdat_list_free(path, n);
    return s;
}

/* ---- Epochs ---------------------------------------------------------------------------------- */

static void permute(uint32_t *p, size_t n, clipb_rng rng)
{
    for (size_t i = 0; i < n; i++) { /* from the inside out (Durstenfeld 1964) */
        const uint32_t k = clipb_rng_below(&rng, (uint32_t)i + 1);
        p[i] = (uint32_t)i;
        p[i] = p[k];
        p[k] = (uint32_t)i;
    }
}

static void close_tar(cliptrn_order *o)
{
    if (o->source)
        o->source->close(o->source);
    o->source = NULL;
}

static void start_epoch(cliptrn_order *o, int64_t epoch)
{
    close_tar(o);
    while (o->n_buffer > 0)
        free(o->buffer[--o->n_buffer]);
    o->buffer_bytes = 0;
    o->epoch = epoch;
    o->at = o->tar_at = 0;
    o->streamed = 0;
    permute(o->turn, o->n_held, clipb_rng_at(o->seed, CLIPB_RNG_SHUFFLE, (uint64_t)epoch, 0));
    permute(o->tar_turn, o->n_tars, clipb_rng_at(o->seed, CLIPB_RNG_SHUFFLE, (uint64_t)epoch, 1));
    o->rng = clipb_rng_at(o->seed, CLIPB_RNG_SHUFFLE, (uint64_t)epoch, 2);
}

static clip_status changed(const tar *t, clip_error *err)
{
    return clipb_fail(err, CLIP_EFORMAT, t->path, "does not have the %lld samples any more that it had at first",
                      (long long)t->n);
}

/* Take one sample of the tars into the buffer. There must be one. */
static clip_status read_streamed(cliptrn_order *o, clip_error *err)
{
    while (!o->source) {
        o->open = &o->tars[o->tar_turn[o->tar_at++]];
        o->read = 0;
        if (o->open->n > 0)
            TRY(clipdat_open(o->open->path, &o->pairs, &o->source, err));
    }
    clip_error why = {0};
    const clip_status s = o->source->next(o->source, &o->scratch, &why);
    if (s == CLIP_ENOMEM || o->source->over) {
        if (s == CLIP_OK)
            return changed(o->open, err);
        if (err)
            *err = why;
        return s;
    }
    TRY(clipb_grow((void **)&o->buffer, &o->buffer_capacity, o->n_buffer + 1, sizeof *o->buffer));
    cliptrn_sample **to = &o->buffer[o->n_buffer];
    const int64_t index = o->open->first + o->read;
    TRY(s < 0 ? broken_sample(s, why.message, index, to) : copy_sample(&o->scratch, index, to));
    o->buffer_bytes += sample_bytes(*to);
    o->n_buffer++;
    if (++o->read == o->open->n)
        close_tar(o);
    return CLIP_OK;
}

static clip_status take_streamed(cliptrn_order *o, cliptrn_sample **out, clip_error *err)
{
    size_t want = o->n_buffer + 2 > FIRST_FILL ? o->n_buffer + 2 : FIRST_FILL;
    want = want < o->shuffle ? want : o->shuffle;
    while (o->n_buffer == 0 || (o->n_buffer < want && o->buffer_bytes < o->memory)) {
        if (o->streamed + (int64_t)o->n_buffer == o->n_streamed)
            break;
        TRY(read_streamed(o, err));
    }
    const uint32_t k = clipb_rng_below(&o->rng, (uint32_t)o->n_buffer);
    *out = o->buffer[k];
    o->buffer[k] = o->buffer[--o->n_buffer];
    o->buffer_bytes -= sample_bytes(*out);
    o->streamed++;
    return CLIP_OK;
}

clip_status cliptrn_order_next(cliptrn_order *o, cliptrn_sample **out, clip_error *err)
{
    const uint64_t held = o->n_held - o->at, streamed = (uint64_t)(o->n_streamed - o->streamed);
    *out = NULL;
    if (held + streamed == 0) {
        start_epoch(o, o->epoch + 1);
        return CLIP_OK;
    }
    if (streamed > 0 && clipb_rng_next(&o->rng) % (held + streamed) >= held) {
        const clip_status s = take_streamed(o, out, err);
        return s == CLIP_ENOMEM ? clipb_fail(err, s, NULL, "out of memory for samples") : s;
    }
    *out = o->held[o->turn[o->at++]];
    return CLIP_OK;
}

clip_status cliptrn_order_seek(cliptrn_order *o, cliptrn_position to, clip_error *err)
{
    const int64_t total = (int64_t)o->n_held + o->n_streamed;
    if (to.epoch < 0 || to.sample < 0 || to.sample > total)
        return clipb_fail(err, CLIP_EMISMATCH, NULL,
                          "sample %lld of epoch %lld is beyond the data, which have %lld: have they changed?",
                          (long long)to.sample, (long long)to.epoch, (long long)total);
    start_epoch(o, to.epoch);
    if (o->n_tars == 0) {
        o->at = (size_t)to.sample;
        return CLIP_OK;
    }
    for (int64_t i = 0; i < to.sample; i++) {
        cliptrn_sample *s;
        TRY(cliptrn_order_next(o, &s, err));
        if (!s->held)
            free(s);
    }
    return CLIP_OK;
}

int64_t cliptrn_order_samples(const cliptrn_order *o) { return o->samples; }
const clip_passed *cliptrn_order_passed(const cliptrn_order *o) { return &o->passed; }
uint64_t cliptrn_order_fingerprint(const cliptrn_order *o) { return o->fingerprint; }

/* ---- Open and close -------------------------------------------------------------------------- */

static clip_status copy_options(cliptrn_order *o, const cliptrn_stream_options *opt)
{
    const clip_pairs_options standard = clipdat_pairs_options_default(), *given = opt->pairs ? opt->pairs : &standard;
    o->image_key = strdup(given->image_key ? given->image_key : standard.image_key);
    o->caption_key = strdup(given->caption_key ? given->caption_key : standard.caption_key);
    o->pairs = (clip_pairs_options){o->image_key, o->caption_key, given->separator};
    o->seed = opt->seed;
    o->shuffle = opt->shuffle_buffer > 0 ? (size_t)opt->shuffle_buffer : 10000;
    o->memory = opt->memory > 0 ? opt->memory : (size_t)1 << 30;
    return o->image_key && o->caption_key ? CLIP_OK : CLIP_ENOMEM;
}

static clip_status fill(cliptrn_order *o, const cliptrn_stream_options *opt, clip_error *err)
{
    TRY(copy_options(o, opt));
    o->fingerprint = 0xcbf29ce484222325u;
    TRY(scan_all(o, opt->spec, err));
    if (o->samples >= UINT32_MAX)
        return clipb_fail(err, CLIP_ELIMIT, opt->spec, "%lld samples are more than 2^32", (long long)o->samples);
    o->turn = malloc((o->n_held + 1) * sizeof *o->turn);
    o->tar_turn = malloc((o->n_tars + 1) * sizeof *o->tar_turn);
    if (!o->turn || !o->tar_turn)
        return CLIP_ENOMEM;
    start_epoch(o, 0);
    return CLIP_OK;
}

clip_status cliptrn_order_open(const cliptrn_stream_options *opt, cliptrn_broken_fn *broken, void *user,
                               cliptrn_order **out, clip_error *err)
{
    clip_error unasked;
    *out = NULL;
    cliptrn_order *o = calloc(1, sizeof *o);
    if (!o)
        return clipb_nomem(err, opt->spec);
    o->broken = broken;
    o->user = user;
    clip_status s = fill(o, opt, err ? err : &unasked);
    if (s < 0) {
        cliptrn_order_close(o);
        return s == CLIP_ENOMEM ? clipb_nomem(err, opt->spec) : s;
    }
    *out = o;
    return CLIP_OK;
}

void cliptrn_order_close(cliptrn_order *o)
{
    if (!o)
        return;
    close_tar(o);
    release_held(o, 0);
    while (o->n_buffer > 0)
        free(o->buffer[--o->n_buffer]);
    for (size_t i = 0; i < o->n_tars; i++)
        free(o->tars[i].path);
    free(o->held);
    free(o->tars);
    free(o->turn);
    free(o->tar_turn);
    free(o->buffer);
    clipdat_sample_free(&o->scratch);
    free(o->image_key);
    free(o->caption_key);
    free(o);
}
