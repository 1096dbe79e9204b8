/* Tables of questions and their pictures. Each picture is embedded once, even if several questions
 * are about it. */
#include <stdlib.h>
#include <string.h>

#include "vqa.h"

typedef struct place {
    const char *picture;
    size_t asked;
} place;

typedef struct job {
    cli_session *s;
    vqa_data *d;
    size_t next; /* next picture */
    bool *sound; /* [pictures] */
} job;

static int by_picture(const void *a, const void *b)
{
    const place *x = a, *y = b;
    const int order = strcmp(x->picture, y->picture);
    return order ? order : (x->asked > y->asked) - (x->asked < y->asked);
}

static int picture(void *user, cli_picture *p, const float *embedding)
{
    job *j = user;
    const size_t i = j->next++, row = j->s->row;
    (void)p;
    j->sound[i] = embedding != NULL;
    if (embedding)
        memcpy(j->d->image + i * row, embedding, row * sizeof *embedding);
    return CLI_DONE;
}

/* Put the distinct pictures, sorted, into files. row[i] is the picture of question i. */
static int list_pictures(vqa_data *d, cli_list *files)
{
    place *p = malloc(d->n * sizeof *p);
    if (!p)
        return cli_no_memory();
    for (size_t i = 0; i < d->n; i++)
        p[i] = (place){d->asked[i].picture, i};
    qsort(p, d->n, sizeof *p, by_picture);
    int code = CLI_DONE;
    for (size_t i = 0; i < d->n && code == CLI_DONE; i++) {
        if (i == 0 || strcmp(p[i].picture, p[i - 1].picture) != 0)
            code = cli_list_add(files, p[i].picture);
        d->row[p[i].asked] = (int32_t)files->n - 1;
    }
    free(p);
    return code;
}

/* Move questions about broken pictures to the end of the table, where they do not count. */
static void leave_out_broken(vqa_data *d, const bool *sound)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (!sound[d->row[i]])
            continue;
        const clip_asked a = d->asked[kept];
        const int32_t r = d->row[kept];
        d->asked[kept] = d->asked[i];
        d->row[kept++] = d->row[i];
        d->asked[i] = a;
        d->row[i] = r;
    }
    d->n = kept;
}

int vqa_read(cli_session *s, const char *path, vqa_data *d)
{
    clip_error err;
    cli_source source = {0};
    *d = (vqa_data){0};
    if (clip_asked_read(path, &d->asked, &d->n, &err) < 0)
        return cli_fail("%s", err.message);
    d->all = d->n;
    if (d->n > INT32_MAX)
        return cli_fail("%s: more than %d questions", path, INT32_MAX);
    d->row = malloc(d->n * sizeof *d->row);
    int code = d->row ? list_pictures(d, &source.files) : cli_no_memory();
    job j = {.s = s, .d = d};
    d->pictures = source.files.n;
    if (code == CLI_DONE) {
        d->image = malloc(d->pictures * s->row * sizeof *d->image);
        j.sound = calloc(d->pictures, sizeof *j.sound);
        code = d->image && j.sound ? cli_each_picture(s, &source, 0, false, picture, &j) : cli_no_memory();
    }
    if (code == CLI_DONE)
        leave_out_broken(d, j.sound);
    d->failed = source.failed;
    free(j.sound);
    cli_source_close(&source);
    if (code == CLI_DONE && d->n == 0)
        return cli_fail("%s: none of its pictures can be read", path);
    return code;
}

void vqa_free(vqa_data *d)
{
    clip_asked_free(d->asked, d->all);
    free(d->row);
    free(d->image);
    *d = (vqa_data){0};
}
