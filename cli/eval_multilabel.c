/* clip eval zeroshot --multi-label: how well thresholds tell which labels a picture has.
 * --fit-thresholds finds good thresholds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zeroshot.h"

typedef struct job {
    const zeroshot_data *z;
    const char *fit;
    uint8_t *yes;  /* [n, L] */
    float *cosine; /* [n, L], pictures to fit on first */
    size_t fitted; /* pictures to fit on */
    float *threshold, *same, for_all; /* [L]; [L] all equal to for_all */
    double scale;
    long unlisted;
    clip_multilabel_metrics each, all; /* with a threshold for each label; with one for all */
} job;

/* ---- The right labels ------------------------------------------------------------------------ */

/* A table may name a picture once for each of its labels. owner [n]: the first sample of each
 * picture, which collects all its labels. */
static int find_owners(const job *j, size_t *owner)
{
    const eval_data *d = j->z->data;
    const size_t D = (size_t)j->z->session->D;
    cli_name *s;
    DO(cli_list_sort(&d->keys, &s));
    for (size_t i = 0, first = 0; i < d->n; i++) {
        if (strcmp(s[i].text, s[first].text) != 0)
            first = i;
        const size_t a = s[first].at, b = s[i].at;
        owner[b] = memcmp(d->image + a * D, d->image + b * D, D * sizeof(float)) == 0 ? a : b;
    }
    free(s);
    return CLI_DONE;
}

static void mark(job *j, const cli_name *sorted, size_t picture, uint8_t *yes)
{
    const eval_data *d = j->z->data;
    for (int32_t c = d->first[picture]; c < d->first[picture + 1]; c++) {
        const int32_t label = cli_list_find(sorted, j->z->labels->n, d->captions.item[c]);
        if (label >= 0)
            yes[label] = 1;
        else if (j->unlisted++ == 0)
            cli_fail("%s: '%s', a label of a picture, is not on the list of labels", j->z->spec, d->captions.item[c]);
    }
}

/* Collect the right labels of each picture, and drop repeated pictures from the data. */
static int find_right(job *j)
{
    eval_data *d = j->z->data;
    const size_t L = j->z->labels->n, D = (size_t)j->z->session->D;
    size_t *owner = malloc(d->n * sizeof *owner), kept = 0;
    cli_name *sorted = NULL;
    j->yes = L <= SIZE_MAX / d->n ? calloc(d->n, L) : NULL;
    int code = owner && j->yes ? find_owners(j, owner) : cli_no_memory();
    if (code == CLI_DONE)
        code = cli_list_sort(j->z->labels, &sorted);
    for (size_t i = 0; i < d->n && code == CLI_DONE; i++) {
        if (owner[i] == i) { /* an owner comes before its copies, so its row is known first */
            memmove(d->image + kept * D, d->image + i * D, D * sizeof(float));
            owner[i] = kept++;
        } else {
            owner[i] = owner[owner[i]];
        }
        mark(j, sorted, i, j->yes + owner[i] * L);
    }
    if (code == CLI_DONE)
        d->n = kept;
    free(sorted);
    free(owner);
    return code;
}

/* ---- Measuring ------------------------------------------------------------------------------- */

/* Move every second picture to the front, to fit on. */
static int move_fitted(job *j)
{
    const size_t n = j->z->data->n, L = j->z->labels->n;
    j->fitted = n - n / 2;
    float *c = malloc(n * L * sizeof *c);
    uint8_t *y = malloc(n * L);
    if (!c || !y) {
        free(c);
        free(y);
        return cli_no_memory();
    }
    for (size_t i = 0; i < n; i++) {
        const size_t to = i % 2 ? j->fitted + i / 2 : i / 2;
        memcpy(c + to * L, j->cosine + i * L, L * sizeof *c);
        memcpy(y + to * L, j->yes + i * L, L);
    }
    free(j->cosine);
    free(j->yes);
    j->cosine = c;
    j->yes = y;
    return CLI_DONE;
}

static int fit(job *j)
{
    const size_t L = j->z->labels->n;
    if (j->z->data->n < 2)
        return cli_fail("%s: --fit-thresholds needs at least two pictures", j->z->spec);
    DO(move_fitted(j));
    if (!memchr(j->yes, 1, j->fitted * L))
        return cli_fail("%s: no picture to fit on has a label from the list", j->z->spec);
    return cli_status(
        clip_fit_thresholds(j->cosine, j->yes, (int)j->fitted, (int)L, j->threshold, &j->for_all, &j->scale),
        j->z->spec);
}

static int measure(job *j)
{
    const size_t L = j->z->labels->n, n = j->z->data->n - j->fitted;
    const float *cosine = j->cosine + j->fitted * L;
    const uint8_t *yes = j->yes + j->fitted * L;
    if (!memchr(yes, 1, n * L))
        return cli_fail("%s: no picture has a label from the list", j->z->spec);
    DO(cli_status(clip_multilabel(cosine, yes, (int)n, (int)L, j->threshold, j->scale, &j->each), j->z->spec));
    for (size_t l = 0; l < L; l++)
        j->same[l] = j->for_all;
    return j->fit ? cli_status(clip_multilabel(cosine, yes, (int)n, (int)L, j->same, j->scale, &j->all), j->z->spec)
                  : CLI_DONE;
}

static int write_thresholds(const job *j)
{
    cli_out o;
    for (size_t l = 0; l < j->z->labels->n; l++)
        if (strchr(j->z->labels->item[l], '\n'))
            return cli_fail("%s: label '%s' contains a newline, but the file has one label a line", j->fit,
                            j->z->labels->item[l]);
    DO(cli_out_open(&o, j->fit));
    for (size_t l = 0; l < j->z->labels->n; l++)
        fprintf(o.f, "%s\t%.6f\n", j->z->labels->item[l], (double)j->threshold[l]);
    return cli_out_close(&o);
}

/* ---- Printing -------------------------------------------------------------------------------- */

static void print_row(const char *name, const clip_multilabel_metrics *m)
{
    printf("%-28s%9.2f%9.2f%9.2f%13.2f\n", name, 100 * m->precision, 100 * m->recall, 100 * m->f1, 100 * m->label_f1);
}

static void print_people(const job *j)
{
    const zeroshot_data *z = j->z;
    char name[64];
    cli_print_plain(stdout, z->spec);
    printf(": %zu pictures, %zu labels, %zu template%s, ", z->data->n, z->labels->n, z->templates,
           z->templates == 1 ? "" : "s");
    cli_print_plain(stdout, z->session->name);
    printf("\n\n");
    printf("in per cent                 precision   recall       F1   labels' F1\n");
    if (j->fit) {
        snprintf(name, sizeof name, "one threshold, %.3f", (double)j->for_all);
        print_row(name, &j->all);
    }
    print_row("one for each label", &j->each);
    printf("\nmean average precision %.2f %%, over %d labels that occur\n", 100 * j->each.map, j->each.labels);
    printf("probabilities: scale %.2f, error (ECE) %.4f\n", j->scale, j->each.ece);
    if (j->fit) {
        printf("\nfitted on %zu pictures, measured on the other %zu; thresholds are in ", j->fitted,
               z->data->n - j->fitted);
        cli_print_plain(stdout, j->fit);
        printf(":\nclip classify --multi-label --labels ");
        cli_print_plain(stdout, j->fit);
        if (z->templates_arg) {
            printf(" --templates '");
            cli_print_plain(stdout, z->templates_arg);
            putchar('\'');
        }
        printf(" --scale %.2f\n", j->scale);
    }
    if (j->unlisted > 0)
        printf("\n%ld labels of pictures are not on the list and are left out\n", j->unlisted);
    if (z->data->failed > 0)
        printf("\n%ld samples could not be read and are left out\n", z->data->failed);
}

static void json_metrics(cli_json *o, const char *key, const clip_multilabel_metrics *m)
{
    cli_json_open(o, key, '{');
    cli_json_number(o, "precision", m->precision);
    cli_json_number(o, "recall", m->recall);
    cli_json_number(o, "f1", m->f1);
    cli_json_number(o, "label_f1", m->label_f1);
    cli_json_close(o, '}');
}

static void print_json(const job *j)
{
    const zeroshot_data *z = j->z;
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "data", z->spec);
    cli_json_string(&o, "model", z->session->info.path);
    cli_json_int(&o, "pictures", (long long)z->data->n);
    cli_json_int(&o, "fitted_on", (long long)j->fitted);
    cli_json_int(&o, "labels", (long long)z->labels->n);
    cli_json_int(&o, "templates", (long long)z->templates);
    cli_json_int(&o, "failed", z->data->failed);
    cli_passed_json(&o, &z->data->passed);
    cli_json_int(&o, "unlisted", j->unlisted);
    json_metrics(&o, "each", &j->each);
    if (j->fit) {
        json_metrics(&o, "all", &j->all);
        cli_json_number(&o, "threshold", (double)j->for_all);
    }
    cli_json_number(&o, "map", j->each.map);
    cli_json_number(&o, "scale", j->scale);
    cli_json_number(&o, "ece", j->each.ece);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

static int evaluate_multilabel(job *j)
{
    const zeroshot_data *z = j->z;
    DO(find_right(j));
    DO(eval_cosines(z->session, z->spec, z->data, z->label, z->labels->n, &j->cosine));
    if (j->fit)
        DO(fit(j));
    DO(measure(j));
    return j->fit ? write_thresholds(j) : CLI_DONE;
}

int zeroshot_multilabel(const zeroshot_data *z, const float *threshold, const char *to, bool json)
{
    const size_t L = z->labels->n;
    job j = {.z = z, .fit = to, .scale = (double)z->session->info.logit_scale};
    j.threshold = malloc(L * sizeof *j.threshold);
    j.same = malloc(L * sizeof *j.same);
    int code = j.threshold && j.same ? CLI_DONE : cli_no_memory();
    if (code == CLI_DONE && !to)
        memcpy(j.threshold, threshold, L * sizeof *threshold);
    if (code == CLI_DONE)
        code = evaluate_multilabel(&j);
    if (code == CLI_DONE) {
        (json ? print_json : print_people)(&j);
        code = z->data->failed + j.unlisted > 0 ? CLI_FAILED : CLI_DONE;
    }
    free(j.yes);
    free(j.cosine);
    free(j.threshold);
    free(j.same);
    return code;
}
