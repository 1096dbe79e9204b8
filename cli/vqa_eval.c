/* clip vqa --eval: how good answers are, by type of question, compared with two ways of answering
 * that ignore the picture. */
#include <stdlib.h>
#include <string.h>

#include "vqa.h"

enum { MOST_TYPES = 128 }; /* question types: singular and plural of each kind of thing */

/* A question and its scores. */
typedef struct result {
    size_t asked;     /* in the table */
    int type;
    double score, blind;
} result;

typedef struct type {
    char name[32];
    size_t n;
    double score, blind, frequent; /* sums */
    const char *answer;            /* the most frequent one */
} type;

typedef struct job {
    cli_session *s;
    const char *path;
    const clip_vqa *head;
    clip_question_options options;
    vqa_data d;
    result *r;        /* [n], equal questions together */
    type type[MOST_TYPES];
    int types;
} job;

static const vqa_data *sorting; /* qsort() has no user pointer */

static int by_question(const void *a, const void *b)
{
    const result *x = a, *y = b;
    const int order = strcmp(sorting->asked[x->asked].question, sorting->asked[y->asked].question);
    return order ? order : (x->asked > y->asked) - (x->asked < y->asked);
}

static int type_of(job *j, const char *name)
{
    int t = 0;
    while (t < j->types && strcmp(j->type[t].name, name) != 0)
        t++;
    if (t == j->types)
        snprintf(j->type[j->types++].name, sizeof j->type->name, "%s", name);
    return t;
}

/* Score the best answers to one question about the pictures of results [n]. */
static int put(job *j, result *r, size_t n, bool blind, float *image, double *score)
{
    const size_t row = j->s->row;
    clip_question *q;
    clip_question_info info;
    clip_error err;
    j->options.blind = blind;
    if (clip_question_new(j->s->ctx, j->head, j->d.asked[r->asked].question, &j->options, &q, &err) < 0)
        return cli_fail("'%s': %s", j->d.asked[r->asked].question, err.message);
    clip_question_get_info(q, &info);
    float *p = malloc(n * (size_t)info.n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        memcpy(image + i * row, j->d.image + (size_t)j->d.row[r[i].asked] * row, row * sizeof *image);
    int code = p ? cli_status(clip_question_ask(j->s->ctx, q, image, (int)n, p), j->path) : cli_no_memory();
    for (size_t i = 0; i < n && code == CLI_DONE; i++) {
        const float *answer = p + i * (size_t)info.n;
        int best = 0;
        for (int a = 1; a < info.n; a++)
            best = answer[a] > answer[best] ? a : best;
        score[i] = clip_asked_score(&j->d.asked[r[i].asked], info.answers[best]);
        r[i].type = type_of(j, *info.kind ? info.kind : info.type);
    }
    free(p);
    clip_question_free(q);
    return code;
}

static int ask_all(job *j)
{
    float *image = malloc(j->d.n * j->s->row * sizeof *image);
    double *score = malloc(j->d.n * sizeof *score);
    int code = image && score ? CLI_DONE : cli_no_memory();
    cli_progress_start("questions", (long)j->d.n);
    for (size_t i = 0, n; i < j->d.n && code == CLI_DONE; i += n) {
        for (n = 1;
             i + n < j->d.n && strcmp(j->d.asked[j->r[i].asked].question, j->d.asked[j->r[i + n].asked].question) == 0;)
            n++;
        code = put(j, j->r + i, n, false, image, score);
        for (size_t k = 0; k < n && code == CLI_DONE; k++)
            j->r[i + k].score = score[k];
        if (j->head && code == CLI_DONE)
            code = put(j, j->r + i, n, true, image, score);
        for (size_t k = 0; k < n && code == CLI_DONE && j->head; k++)
            j->r[i + k].blind = score[k];
        cli_progress_step((long)n);
    }
    cli_progress_end();
    free(image);
    free(score);
    return code;
}

/* ---- The most frequent answer ---------------------------------------------------------------- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Find the most frequent answer to questions of this type, and its score for each of them. */
static int find_frequent(job *j, int t)
{
    size_t n = 0, most = 0;
    for (size_t i = 0; i < j->d.n; i++)
        n += j->r[i].type == t ? (size_t)j->d.asked[j->r[i].asked].n_answers : 0;
    const char **all = malloc((n + 1) * sizeof *all);
    if (!all)
        return cli_no_memory();
    n = 0;
    for (size_t i = 0; i < j->d.n; i++)
        for (int a = 0; j->r[i].type == t && a < j->d.asked[j->r[i].asked].n_answers; a++)
            all[n++] = j->d.asked[j->r[i].asked].answers[a];
    qsort(all, n, sizeof *all, by_text);
    for (size_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && strcmp(all[i], all[i + run]) == 0;)
            run++;
        if (run > most) {
            most = run;
            j->type[t].answer = all[i];
        }
    }
    free(all);
    for (size_t i = 0; i < j->d.n; i++)
        if (j->r[i].type == t)
            j->type[t].frequent += clip_asked_score(&j->d.asked[j->r[i].asked], j->type[t].answer);
    return CLI_DONE;
}

static int sum_up(job *j)
{
    for (size_t i = 0; i < j->d.n; i++) {
        type *t = &j->type[j->r[i].type];
        t->n++;
        t->score += j->r[i].score;
        t->blind += j->r[i].blind;
    }
    for (int t = 0; t < j->types; t++)
        DO(find_frequent(j, t));
    return CLI_DONE;
}

static type total(const job *j)
{
    type all = {.name = "all"};
    for (int t = 0; t < j->types; t++) {
        all.n += j->type[t].n;
        all.score += j->type[t].score;
        all.blind += j->type[t].blind;
        all.frequent += j->type[t].frequent;
    }
    return all;
}

/* ---- Results --------------------------------------------------------------------------------- */

static double mean(double sum, size_t n) { return sum / (double)n; }

static void print_row(const job *j, const type *t)
{
    printf("%-10s%9zu%10.1f", t->name, t->n, 100 * mean(t->score, t->n));
    if (j->head)
        printf("%16.1f", 100 * mean(t->blind, t->n));
    printf("%15.1f  ", 100 * mean(t->frequent, t->n));
    cli_print_plain(stdout, t->answer ? t->answer : "");
    putchar('\n');
}

static void print_people(const job *j)
{
    const type all = total(j);
    cli_print_plain(stdout, j->path);
    printf(": %zu questions, %zu pictures, ", j->d.n, j->d.pictures - (size_t)j->d.failed);
    cli_print_plain(stdout, j->s->name);
    printf(", %s\n\n", j->head ? "a fitted head" : "zero-shot");
    printf("in per cent questions  accuracy%s  most frequent\n", j->head ? "  question alone" : "");
    for (int t = 0; t < j->types; t++)
        print_row(j, &j->type[t]);
    print_row(j, &all);
    if (j->d.failed > 0)
        printf("\n%ld pictures could not be read; their questions are left out\n", j->d.failed);
}

static void json_row(const job *j, cli_json *o, const char *key, const type *t)
{
    cli_json_open(o, key, '{');
    if (!key)
        cli_json_string(o, "type", t->name);
    cli_json_int(o, "questions", (long long)t->n);
    cli_json_number(o, "accuracy", mean(t->score, t->n));
    if (j->head)
        cli_json_number(o, "question_alone", mean(t->blind, t->n));
    cli_json_number(o, "most_frequent", mean(t->frequent, t->n));
    cli_json_close(o, '}');
}

static void print_json(const job *j)
{
    const type all = total(j);
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "data", j->path);
    cli_json_string(&o, "model", j->s->info.path);
    cli_json_string(&o, "by", j->head ? "head" : "zero-shot");
    cli_json_int(&o, "failed", j->d.failed);
    json_row(j, &o, "all", &all);
    cli_json_open(&o, "types", '[');
    for (int t = 0; t < j->types; t++)
        json_row(j, &o, NULL, &j->type[t]);
    cli_json_close(&o, ']');
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

int vqa_evaluate(cli_session *s, const char *path, const clip_vqa *head, const clip_question_options *options,
                 bool json)
{
    job j = {.s = s, .path = path, .head = head, .options = *options};
    int code = vqa_read(s, path, &j.d);
    if (code == CLI_DONE) {
        j.r = calloc(j.d.n, sizeof *j.r);
        code = j.r ? CLI_DONE : cli_no_memory();
    }
    if (code == CLI_DONE) {
        for (size_t i = 0; i < j.d.n; i++)
            j.r[i].asked = i;
        sorting = &j.d;
        qsort(j.r, j.d.n, sizeof *j.r, by_question);
        code = ask_all(&j);
    }
    if (code == CLI_DONE)
        code = sum_up(&j);
    if (code == CLI_DONE) {
        (json ? print_json : print_people)(&j);
        code = j.d.failed > 0 ? CLI_FAILED : CLI_DONE;
    }
    free(j.r);
    vqa_free(&j.d);
    return code;
}
