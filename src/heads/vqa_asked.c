/* Tables of questions with people's answers. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/engine.h"
#include "heads/heads.h"
#include "base/plain.h"
#include "data/csv.h"
#include "heads/vqa_score.h"

#define MOST_ASKED 100000000
enum { PICTURE, QUESTION, ANSWER, COLUMNS };

typedef struct reader {
    const char *path, *dir;
    clipdat_csv csv;
    size_t column[COLUMNS];
    clip_asked *asked;
    size_t n, capacity;
} reader;

static void free_one(clip_asked *q)
{
    for (int i = 0; i < q->n_answers; i++)
        free((char *)q->answers[i]);
    free((void *)q->answers);
    free((char *)q->picture);
    free((char *)q->question);
}

void cliphd_asked_free(clip_asked *asked, size_t n)
{
    for (size_t i = 0; asked && i < n; i++)
        free_one(&asked[i]);
    free(asked);
}

static clip_status read_columns(reader *r, clip_error *err)
{
    static const char *const name[COLUMNS] = {"filepath", "question", "answer"};
    TRY(clipdat_csv_row(&r->csv, err));
    for (int c = 0; c < COLUMNS; c++) {
        size_t at = 0;
        while (at < r->csv.n && strcmp(clipdat_csv_field(&r->csv, at), name[c]) != 0)
            at++;
        if (at == r->csv.n)
            return clipb_fail(
                err, CLIP_EFORMAT, r->path,
                "its first line names no column '%s'; a table of questions has filepath, question, answer", name[c]);
        r->column[c] = at;
    }
    return CLIP_OK;
}

/* "a dog|the dog|puppy". Blank answers are left out. */
static clip_status add_answers(clip_asked *q, const char *field)
{
    char *copy = strdup(field), *rest = copy, *one;
    size_t most = 1;
    for (const char *p = field; *p; p++)
        most += *p == '|';
    char **answers = calloc(most, sizeof *answers);
    q->answers = (const char *const *)answers;
    clip_status s = copy && answers ? CLIP_OK : CLIP_ENOMEM;
    while (s == CLIP_OK && (one = strsep(&rest, "|"))) {
        s = cliphd_answer_normalize(one, &answers[q->n_answers]);
        if (s == CLIP_OK && *answers[q->n_answers])
            q->n_answers++;
        else if (s == CLIP_OK)
            free(answers[q->n_answers]);
    }
    free(copy);
    return s;
}

static clip_status add_row(reader *r, clip_error *err)
{
    for (int c = 0; c < COLUMNS; c++)
        if (r->column[c] >= r->csv.n || !*clipdat_csv_field(&r->csv, r->column[c]))
            return clipb_fail(err, CLIP_EFORMAT, r->path, "line %zu: a picture, a question or an answer is missing",
                              r->csv.line);
    if (r->n == MOST_ASKED)
        return clipb_fail(err, CLIP_ELIMIT, r->path, "more than %d questions", MOST_ASKED);
    const char *file = clipdat_csv_field(&r->csv, r->column[PICTURE]);
    TRY(clipb_grow((void **)&r->asked, &r->capacity, r->n + 1, sizeof *r->asked));
    clip_asked *q = &r->asked[r->n++];
    *q = (clip_asked){.picture = *file == '/' || !r->dir ? strdup(file) : clipb_path_join(r->dir, file),
                      .question = strdup(clipdat_csv_field(&r->csv, r->column[QUESTION]))};
    if (!q->picture || !q->question)
        return CLIP_ENOMEM;
    TRY(add_answers(q, clipdat_csv_field(&r->csv, r->column[ANSWER])));
    if (q->n_answers == 0)
        return clipb_fail(err, CLIP_EFORMAT, r->path, "line %zu: the answer has no word", r->csv.line);
    return CLIP_OK;
}

static clip_status read_rows(reader *r, clip_error *err)
{
    const char *dot = strrchr(r->path, '.');
    r->csv.separator = dot && strcasecmp_l(dot, ".csv", clipb_plain()) == 0 ? ',' : '\t';
    TRY(read_columns(r, err));
    for (;;) {
        TRY(clipdat_csv_row(&r->csv, err));
        if (r->csv.n == 0)
            break;
        TRY(add_row(r, err));
    }
    return r->n > 0 ? CLIP_OK : clipb_fail(err, CLIP_EFORMAT, r->path, "has no question in it");
}

clip_status cliphd_asked_read(const char *path, clip_asked **out, size_t *n, clip_error *err)
{
    *out = NULL;
    *n = 0;
    if (!path)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no path of questions");
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
    reader r = {.path = path, .dir = dir};
    clip_status s = slash && !dir ? CLIP_ENOMEM : clipdat_csv_open(&r.csv, path, err);
    if (s == CLIP_OK) {
        s = read_rows(&r, err);
        clipdat_csv_close(&r.csv);
    }
    free(dir);
    if (s < 0) {
        cliphd_asked_free(r.asked, r.n);
        return s == CLIP_ENOMEM ? clipb_fail(err, s, path, "%s", clipb_status_message(s)) : s;
    }
    *out = r.asked;
    *n = r.n;
    return CLIP_OK;
}

double cliphd_asked_score(const clip_asked *asked, const char *answer)
{
    char *normal;
    if (cliphd_answer_normalize(answer, &normal) < 0)
        return 0;
    const double score = cliphd_answer_score(normal, asked->answers, asked->n_answers);
    free(normal);
    return score;
}
