/* pairs.c: all sources of a specification, one after the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/plain.h"
#include "data/data.h"

struct clip_pairs {
    pid_t process; /* the process that opened it */
    char **path;
    size_t n, at; /* the source after the open one */
    char *image_key, *caption_key; /* opt points to them */
    clip_pairs_options opt;
    clipdat_source *source; /* NULL: none is open */
    clipdat_sample sample;
    clip_passed passed;
};

clip_pairs_options clipdat_pairs_options_default(void)
{
    return (clip_pairs_options){.image_key = "filepath", .caption_key = "title"};
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), e = strlen(end);
    return n > e && strcasecmp_l(s + n - e, end, clipb_plain()) == 0;
}

bool clipdat_is_tar(const char *path) { return ends(path, ".tar") || ends(path, ".tar.gz") || ends(path, ".tgz"); }

clip_status clipdat_open(const char *path, const clip_pairs_options *opt, clipdat_source **out, clip_error *err)
{
    struct stat st;
    *out = NULL;
    if (stat(path, &st) < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return clipdat_folder_open(path, out, err);
    if (clipdat_is_tar(path))
        return clipdat_tar_open(path, out, err);
    if (!ends(path, ".tsv") && !ends(path, ".csv"))
        return clipb_fail(err, CLIP_EUNSUPPORTED, path,
                          "is neither a directory nor a .tar, .tar.gz, .tgz, .tsv or .csv file");
    return clipdat_table_open(path, opt, out, err);
}

/* Finds a user's mistakes before the first pair: wrong names, and missing columns of tables. */
static clip_status check_source(const char *path, const clip_pairs_options *opt, clip_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && (S_ISDIR(st.st_mode) || clipdat_is_tar(path)))
        return CLIP_OK;
    clipdat_source *table;
    TRY(clipdat_open(path, opt, &table, err));
    table->close(table);
    return CLIP_OK;
}

static clip_status copy_options(clip_pairs *p, const clip_pairs_options *opt)
{
    const clip_pairs_options standard = clipdat_pairs_options_default();
    p->image_key = strdup(opt && opt->image_key ? opt->image_key : standard.image_key);
    p->caption_key = strdup(opt && opt->caption_key ? opt->caption_key : standard.caption_key);
    p->opt = (clip_pairs_options){p->image_key, p->caption_key, opt ? opt->separator : 0};
    return p->image_key && p->caption_key ? CLIP_OK : CLIP_ENOMEM;
}

clip_status clipdat_pairs_open(const char *spec, const clip_pairs_options *opt, clip_pairs **out, clip_error *err)
{
    *out = NULL;
    clip_pairs *p = calloc(1, sizeof *p);
    if (p)
        p->process = getpid();
    clip_status s = p ? copy_options(p, opt) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = clipdat_expand(spec, &p->path, &p->n, err);
    for (size_t i = 0; s == CLIP_OK && i < p->n; i++)
        s = check_source(p->path[i], &p->opt, err);
    if (s < 0) {
        clipdat_pairs_close(p);
        return s == CLIP_ENOMEM ? clipb_fail(err, s, spec, "out of memory") : s;
    }
    *out = p;
    return CLIP_OK;
}

/* The next sample of the next source that has one. *end: no source has one. */
static clip_status next_sample(clip_pairs *p, bool *end, clip_error *err)
{
    *end = false;
    for (;;) {
        if (!p->source && p->at == p->n) {
            *end = true;
            return CLIP_OK;
        }
        if (!p->source) {
            TRY(clipdat_open(p->path[p->at++], &p->opt, &p->source, err));
            if (p->source->passed)
                clipdat_passed_merge(&p->passed, p->source->passed);
        }
        clip_status s = p->source->next(p->source, &p->sample, err);
        if (!p->source->over)
            return s;
        p->source->close(p->source);
        p->source = NULL;
        TRY(s);
    }
}

clip_status clipdat_pairs_next(clip_pairs *p, clip_pair *out, clip_error *err)
{
    bool end;
    *out = (clip_pair){0};
    if (getpid() != p->process)
        return clipb_fail(err, CLIP_EINVAL, NULL,
                          "a forked process cannot read its parent's stream of pairs; open a new one");
    clip_status s = next_sample(p, &end, err);
    if (s == CLIP_ENOMEM)
        return clipb_nomem(err, p->path[p->at - 1]);
    if (s == CLIP_OK && !end)
        *out = (clip_pair){p->sample.key.p, p->sample.picture.p, p->sample.picture.n, p->sample.caption,
                           p->sample.captions};
    return s;
}

void clipdat_pairs_get_passed(const clip_pairs *p, clip_passed *out) { *out = p->passed; }

void clipdat_pairs_close(clip_pairs *p)
{
    if (!p)
        return;
    if (p->source && getpid() == p->process) /* closing moves the position in the file, which a forked process shares */
        p->source->close(p->source);
    clipdat_sample_free(&p->sample);
    clipdat_list_free(p->path, p->n);
    free(p->image_key);
    free(p->caption_key);
    free(p);
}
