/* folder.c: pictures below a directory. Their captions are in a text file beside them, else the
 * caption is the name of their directory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/data.h"

typedef struct folder {
    clipdat_source source;
    char **picture;
    size_t n, at;
    char **fault; /* messages */
    size_t faults, faults_capacity, told;
    bool lost;    /* a fault could not be kept: no memory */
    clip_passed passed;
    char *root; /* its real path */
} folder;

/* Adds the name of the directory that a picture lies in. */
static clip_status name_of_folder(const folder *f, clipdat_sample *s, const char *picture)
{
    const char *file = strrchr(picture, '/');
    const char *end = file, *start;
    while (end && end > picture && end[-1] == '/')
        end--;
    start = end;
    while (start && start > picture && start[-1] != '/')
        start--;
    size_t n = (size_t)(end - start);
    if (n == 0 || (n == 1 && *start == '.') || (n == 2 && memcmp(start, "..", 2) == 0)) {
        start = strrchr(f->root, '/') + 1;
        n = strlen(start);
    }
    return clipdat_sample_caption(s, start, n);
}

static clip_status captions_in(clipdat_sample *s, const char *path, clip_error *err)
{
    unsigned char *data;
    size_t size;
    TRY(clipb_read_file(path, CLIPDAT_MAX_TEXT, &data, &size, err));
    const char *p = (const char *)data, *end = p + size;
    if (size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        p += 3;
    clip_status status = CLIP_OK;
    while (p < end && status == CLIP_OK) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        line = line ? line : end;
        status = clipdat_sample_caption(s, p, (size_t)(line - p));
        p = line + 1;
    }
    free(data);
    return status;
}

clip_status clipdat_captions_beside(clipdat_sample *s, const char *picture, bool *there, clip_error *err)
{
    const char *dot = strrchr(picture, '.'), *slash = strrchr(picture, '/');
    const size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - picture) : strlen(picture);
    char *path = malloc(stem + sizeof ".txt");
    if (!path)
        return CLIP_ENOMEM;
    memcpy(path, picture, stem);
    memcpy(path + stem, ".txt", sizeof ".txt");
    struct stat st;
    clip_status status = CLIP_OK;
    const bool itself = strcmp(path, picture) == 0; /* a picture may be called NAME.txt */
    *there = !itself && stat(path, &st) == 0;
    if (!*there && !itself && errno != ENOENT)
        status = clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    else if (*there && !S_ISREG(st.st_mode))
        status = clipb_fail(err, CLIP_EIO, path, "is not a regular file");
    else if (*there)
        status = captions_in(s, path, err);
    free(path);
    return status;
}

static clip_status folder_next(clipdat_source *source, clipdat_sample *s, clip_error *err)
{
    folder *f = (folder *)source;
    if (f->told < f->faults) /* the message has its name */
        return clipb_fail(err, CLIP_EIO, NULL, "%s", f->fault[f->told++]);
    if (f->at == f->n) {
        source->over = true;
        return CLIP_OK;
    }
    const char *picture = f->picture[f->at++];
    clipdat_sample_clear(s);
    TRY(clipdat_sample_picture(s, picture, source->unread, err));
    bool there;
    TRY(clipdat_captions_beside(s, picture, &there, err));
    if (!there)
        TRY(name_of_folder(f, s, picture));
    return clipdat_sample_finish(s, source->unread, err);
}

static void folder_close(clipdat_source *source)
{
    folder *f = (folder *)source;
    clipdat_list_free(f->picture, f->n);
    clipdat_list_free(f->fault, f->faults);
    free(f->root);
    free(f);
}

static void keep_fault(void *user, const char *path, const char *message)
{
    folder *f = user;
    (void)path;
    char *copy = strdup(message);
    if (!copy || clipb_grow((void **)&f->fault, &f->faults_capacity, f->faults + 1, sizeof *f->fault) < 0) {
        f->lost = true;
        free(copy);
        return;
    }
    f->fault[f->faults++] = copy;
}

static clip_status list_pictures(folder *f, const char *path, clip_error *err)
{
    const clipdat_list_options o = {.passed = &f->passed, .fault = keep_fault, .user = f};
    f->root = realpath(path, NULL);
    if (!f->root)
        return errno == ENOMEM ? CLIP_ENOMEM : clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    TRY(clipdat_list(path, &o, &f->picture, &f->n, err));
    clipdat_passed_drop(&f->passed, ".txt"); /* captions */
    f->source.faults = (int64_t)f->faults;
    if (f->lost)
        return CLIP_ENOMEM;
    return f->n + f->faults > 0 ? CLIP_OK : clipb_fail(err, CLIP_EIO, path, "no picture in it");
}

clip_status clipdat_folder_open(const char *path, clipdat_source **out, clip_error *err)
{
    *out = NULL;
    folder *f = calloc(1, sizeof *f);
    if (!f)
        return CLIP_ENOMEM;
    f->source = (clipdat_source){.next = folder_next, .close = folder_close, .passed = &f->passed};
    clip_status s = list_pictures(f, path, err);
    if (s < 0) {
        folder_close(&f->source);
        return s;
    }
    *out = &f->source;
    return CLIP_OK;
}
