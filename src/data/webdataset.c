/* webdataset.c: a tar with members KEY.jpg, KEY.txt, KEY.json side by side, in any order. KEY is
 * the path up to the first dot of the file's name. So "a.seg.png" is the member "seg.png" of "a",
 * not a picture. https://github.com/webdataset/webdataset
 *
 * libarchive reads the tar: ustar, GNU and PAX, plain or gzipped. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/plain.h"
#include "data/data.h"

#define READ_SIZE ((size_t)1 << 18)
#define FIRST_STEP ((size_t)1 << 20) /* largest part of a member's claimed size that is believed at once */

typedef enum member { PICTURE, TEXT, JSON, OTHER } member;

typedef struct tar {
    clipdat_source source;
    char *path;
    int fd;
    struct archive *archive;
    int64_t end;        /* of the last member, in bytes of the tar */
    bool ended;
    /* the member whose header was read last */
    const char *name;   /* libarchive owns it; NULL: none is waiting */
    int64_t size;
    size_t key;         /* bytes of `name` that are the key */
    member kind;
    int rank;           /* of a picture's extension */
    /* the sample being put together */
    clipdat_bytes sample;  /* its key; n = 0: none */
    clipdat_bytes content; /* of a caption's file */
    int best;              /* rank of its picture; INT_MAX: none */
    bool text, json;       /* whether it had a TEXT, or a JSON with captions */
} tar;

static clip_status damaged(tar *t, clip_error *err)
{
    const char *why = archive_error_string(t->archive);
    t->source.over = true;
    if (archive_errno(t->archive) == ENOMEM)
        return CLIP_ENOMEM;
    return clipb_fail(err, CLIP_EFORMAT, t->path, "damaged or cut short: %s", why ? why : "not a tar");
}

/* ---- Members ---- */

/* Finds a member's kind by its name. */
static void classify(tar *t)
{
    const char *slash = strrchr(t->name, '/'), *base = slash ? slash + 1 : t->name, *dot = strchr(base, '.');
    t->kind = OTHER;
    if (!dot || dot == base) /* hidden files as well: "._000.jpg" is macOS's, not a picture */
        return;
    t->key = (size_t)(dot - t->name);
    t->rank = clipdat_picture_rank(dot + 1);
    if (t->rank >= 0)
        t->kind = PICTURE;
    else if (strcasecmp_l(dot + 1, "txt", clipb_plain()) == 0)
        t->kind = TEXT;
    else if (strcasecmp_l(dot + 1, "json", clipb_plain()) == 0)
        t->kind = JSON;
}

static clip_status look_for_member(tar *t, clip_error *err)
{
    struct archive_entry *e;
    while (!t->name && !t->ended) {
        int r = archive_read_next_header(t->archive, &e);
        if (r == ARCHIVE_EOF) {
            t->ended = true;
            break;
        }
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return damaged(t, err);
        /* The UTF-8 name first. The other is recoded for the locale, where names can collide. */
        const char *name = archive_entry_pathname_utf8(e);
        t->name = name ? name : archive_entry_pathname(e);
        t->size = archive_entry_size(e);
        if (t->name)
            classify(t);
        if (t->name && t->kind != OTHER && archive_entry_filetype(e) == AE_IFREG && !archive_entry_hardlink(e))
            break;
        t->name = NULL;
        if (archive_read_data_skip(t->archive) != ARCHIVE_OK)
            return damaged(t, err);
        t->end = archive_filter_bytes(t->archive, 0);
    }
    return CLIP_OK;
}

/* Finds the next member that matters, or sets t->ended. Names that are not marked as UTF-8 keep
 * their bytes: libarchive would recode them from the program's locale. */
static clip_status next_member(tar *t, clip_error *err)
{
    const locale_t before = uselocale(clipb_plain());
    const clip_status s = look_for_member(t, err);
    uselocale(before);
    return s;
}

/* Skips the rest of the waiting member. */
static clip_status leave_member(tar *t, clip_error *err)
{
    t->name = NULL;
    if (archive_read_data_skip(t->archive) != ARCHIVE_OK)
        return damaged(t, err);
    t->end = archive_filter_bytes(t->archive, 0);
    return CLIP_OK;
}

/* Reads the waiting member. Damage sets source.over; after other errors the tar can be read on. */
static clip_status read_member(tar *t, clipdat_bytes *b, size_t limit, clip_error *err)
{
    b->n = 0;
    if (t->size < 0 || (uint64_t)t->size > limit)
        return clipb_fail(err, CLIP_ELIMIT, t->path, "%s: %lld bytes are more than the %zu allowed", t->name,
                          (long long)t->size, limit);
    TRY(clipdat_bytes_reserve(b, (size_t)t->size < FIRST_STEP ? (size_t)t->size : FIRST_STEP));
    while (b->n < (size_t)t->size) {
        /* of this member alone; the next may fit */
        if (b->n + 1 == b->capacity && clipdat_bytes_reserve(b, b->n + 1) < 0)
            return clipb_fail(err, CLIP_EIO, t->path, "%s: out of memory for its %lld bytes", t->name,
                              (long long)t->size);
        size_t room = b->capacity - 1 - b->n, left = (size_t)t->size - b->n;
        la_ssize_t got = archive_read_data(t->archive, b->p + b->n, room < left ? room : left);
        if (got < 0)
            return damaged(t, err);
        if (got == 0)
            break;
        b->n += (size_t)got;
    }
    b->p[b->n] = 0;
    return CLIP_OK;
}

/* ---- Samples ---- */

/* Reads "captions": ["..", ..] or "caption": "..". JSON with neither, or with an empty list, has
 * other uses and is ignored. */
static clip_status captions_in(tar *t, clipdat_sample *s, const cJSON *root, clip_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "captions"), *c;
    const cJSON *one = cJSON_GetObjectItemCaseSensitive(root, "caption");
    if ((list && !cJSON_IsArray(list) && !cJSON_IsNull(list)) || (one && !cJSON_IsString(one) && !cJSON_IsNull(one)))
        return clipb_fail(err, CLIP_EFORMAT, t->path,
                          "%s: \"captions\" must be a list of strings, \"caption\" a string", t->name);
    const bool many = cJSON_GetArraySize(list) > 0;
    if (!many && !cJSON_IsString(one))
        return CLIP_OK;
    t->json = true;
    clipdat_sample_no_captions(s);
    if (!many)
        return clipdat_sample_caption(s, one->valuestring, strlen(one->valuestring));
    cJSON_ArrayForEach(c, list)
    {
        if (!cJSON_IsString(c))
            return clipb_fail(err, CLIP_EFORMAT, t->path, "%s: \"captions\" must be a list of strings", t->name);
        TRY(clipdat_sample_caption(s, c->valuestring, strlen(c->valuestring)));
    }
    return CLIP_OK;
}

static clip_status read_json(tar *t, clipdat_sample *s, clip_error *err)
{
    cJSON *root;
    clip_error why = {0};
    if (clipb_json_parse(t->content.p, t->content.n, t->name, &root, &why) < 0)
        return clipb_fail(err, CLIP_EFORMAT, t->path, "%.900s", why.message);
    clip_status status = captions_in(t, s, root, err);
    cJSON_Delete(root);
    return status;
}

/* Adds the waiting member to the sample. */
static clip_status take_member(tar *t, clipdat_sample *s, clip_error *err)
{
    if (t->kind == PICTURE ? t->rank == t->best : t->kind == TEXT ? t->text : t->json)
        return clipb_fail(err, CLIP_EFORMAT, t->path, "%s: is there twice", t->name);
    if (t->kind == PICTURE) {
        if (t->rank > t->best)
            return CLIP_OK;
        t->best = t->rank;
        s->key.n = 0;
        TRY(clipdat_bytes_add(&s->key, t->path, strlen(t->path)));
        TRY(clipdat_bytes_add(&s->key, "/", 1));
        TRY(clipdat_bytes_add(&s->key, t->name, strlen(t->name)));
        if (!t->source.unread)
            return read_member(t, &s->picture, CLIPDAT_MAX_PICTURE, err);
        s->picture.n = 0;
        return CLIP_OK;
    }
    TRY(read_member(t, &t->content, CLIPDAT_MAX_TEXT, err));
    if (t->kind == JSON)
        return read_json(t, s, err);
    t->text = true;
    return t->json ? CLIP_OK : clipdat_sample_caption(s, t->content.p, t->content.n);
}

/* Called when no other member of this sample follows: checks that it is complete. */
static clip_status finish_sample(tar *t, clipdat_sample *s, clip_error *err)
{
    if (t->best == INT_MAX)
        return clipb_fail(err, CLIP_EFORMAT, t->path, "sample '%s' has no picture", t->sample.p);
    return clipdat_sample_finish(s, t->source.unread, err);
}

/* Called at the end. A tar ends with two blocks of zeros, which one that was cut between members
 * lacks. */
static clip_status at_end(tar *t, clip_error *err)
{
    t->source.over = true;
    if (archive_filter_bytes(t->archive, 0) - t->end < 512)
        return clipb_fail(err, CLIP_EFORMAT, t->path, "cut short: the mark that ends a tar is missing");
    return CLIP_OK;
}

static clip_status tar_next(clipdat_source *source, clipdat_sample *s, clip_error *err)
{
    tar *t = (tar *)source;
    clip_status fault = CLIP_OK; /* the first of this sample, whose other members are skipped */
    clipdat_sample_clear(s);
    t->sample.n = 0;
    t->best = INT_MAX;
    t->text = t->json = false;
    for (;;) {
        TRY(next_member(t, err));
        if (!t->name)
            break;
        if (t->sample.n == 0) {
            TRY(clipdat_bytes_add(&t->sample, t->name, t->key));
        } else if (t->sample.n != t->key || memcmp(t->sample.p, t->name, t->key) != 0) {
            return fault < 0 ? fault : finish_sample(t, s, err);
        }
        if (fault == CLIP_OK)
            fault = take_member(t, s, err);
        if (source->over)
            return fault;
        TRY(leave_member(t, err));
    }
    if (t->sample.n > 0)
        return fault < 0 ? fault : finish_sample(t, s, err);
    return at_end(t, err);
}

/* ---- Open and close ---- */

static void tar_close(clipdat_source *source)
{
    tar *t = (tar *)source;
    archive_read_free(t->archive);
    if (t->fd >= 0)
        close(t->fd);
    free(t->path);
    free(t->sample.p);
    free(t->content.p);
    free(t);
}

static clip_status open_tar(tar *t, const char *path, clip_error *err)
{
    t->path = strdup(path);
    t->archive = archive_read_new();
    if (!t->path || !t->archive)
        return CLIP_ENOMEM;
    t->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (t->fd < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    if (archive_read_support_format_tar(t->archive) != ARCHIVE_OK ||
        archive_read_support_filter_gzip(t->archive) != ARCHIVE_OK)
        return CLIP_ENOMEM;
    if (archive_read_open_fd(t->archive, t->fd, READ_SIZE) != ARCHIVE_OK)
        return clipb_fail(err, CLIP_EFORMAT, path, "cannot be read as a tar: %s", archive_error_string(t->archive));
    return CLIP_OK;
}

clip_status clipdat_tar_open(const char *path, clipdat_source **out, clip_error *err)
{
    *out = NULL;
    tar *t = calloc(1, sizeof *t);
    if (!t)
        return CLIP_ENOMEM;
    t->source = (clipdat_source){.next = tar_next, .close = tar_close};
    t->fd = -1;
    clip_status s = open_tar(t, path, err);
    if (s < 0) {
        tar_close(&t->source);
        return s;
    }
    *out = &t->source;
    return CLIP_OK;
}
