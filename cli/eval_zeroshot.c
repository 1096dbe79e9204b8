/* clip eval zeroshot: how often the right label is among the best of a list (arXiv:2103.00020, 3.1). */
#include <stdlib.h>
#include <string.h>

#include "eval.h"

enum { TEMPLATES = EVAL_OWN };

static const cli_option options[] = {
    {'l', "labels", "LIST", "the labels to choose from: 'a cat,a dog,a bird', or a file with one a line\n"
                            "(default: every caption that occurs as a right label)"},
    {TEMPLATES, "templates", "FILE", "a text with {} where the label goes, or a file with one a line; the embeddings of\n"
                                     "all of them are averaged for each label (default: '" CLI_TEMPLATE "')"},
    {EVAL_CAPTIONS, "captions", "WHICH", "which caption of a picture is its right label: first or last (default: first)"},
    EVAL_KEYS,
    {0},
};

typedef struct job {
    const char *spec, *labels_arg, *templates_arg;
    eval_options eval;
    cli_session session;
    eval_data data;
    cli_list labels, templates;
    float *label;               /* [L, D] */
    int32_t *right, *off, *rank; /* [n], [n + 1], [n] */
    long unlisted;              /* pictures whose label is not on the list */
    clip_rank_metrics m;
} job;

/* ---- Labels by their text -------------------------------------------------------------------------------- */

typedef struct name {
    const char *text;
    int32_t id;
} name;

static int by_text(const void *a, const void *b)
{
    const name *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

static int same_text(const void *a, const void *b) { return strcmp(((const name *)a)->text, ((const name *)b)->text); }

static int sorted(const cli_list *l, name **out)
{
    name *s = malloc((l->n + 1) * sizeof *s);
    if (!s)
        return cli_no_memory();
    for (size_t i = 0; i < l->n; i++)
        s[i] = (name){l->item[i], (int32_t)i};
    qsort(s, l->n, sizeof *s, by_text);
    *out = s;
    return CLI_DONE;
}

/* The distinct captions become the labels. */
static int distinct(const cli_list *captions, cli_list *labels)
{
    name *s = NULL;
    DO(sorted(captions, &s));
    int code = CLI_DONE;
    for (size_t i = 0; i < captions->n && code == CLI_DONE; i++)
        if (i == 0 || strcmp(s[i].text, s[i - 1].text) != 0)
            code = cli_list_add(labels, s[i].text);
    free(s);
    return code;
}

/* The right label of each picture. Pictures without one on the list leave the data. */
static int find_right(job *j)
{
    eval_data *d = &j->data;
    const size_t row = (size_t)j->session.D * sizeof(float);
    name *s = NULL;
    DO(sorted(&j->labels, &s));
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++) {
        const name key = {d->captions.item[i], 0}; /* one caption a picture, so caption i is picture i's */
        const name *found = bsearch(&key, s, j->labels.n, sizeof *s, same_text);
        if (!found) {
            if (j->unlisted++ == 0)
                cli_fail("%s: '%s', the right label of a picture, is not on the list of labels", j->spec, key.text);
            continue;
        }
        memmove(d->image + kept * (size_t)j->session.D, d->image + i * (size_t)j->session.D, row);
        j->right[kept++] = found->id;
    }
    free(s);
    d->n = kept;
    return kept > 0 ? CLI_DONE : cli_fail("%s: no picture has a label of the list", j->spec);
}

/* ---- The measure ----------------------------------------------------------------------------------------- */

static int measure(job *j)
{
    size_t n = j->data.n;
    j->right = malloc(n * sizeof *j->right);
    j->off = malloc((n + 1) * sizeof *j->off);
    j->rank = malloc(n * sizeof *j->rank);
    if (!j->right || !j->off || !j->rank)
        return cli_no_memory();
    for (size_t i = 0; i <= n; i++)
        j->off[i] = (int32_t)i;
    DO(find_right(j));
    n = j->data.n;
    DO(cli_encode_labels(&j->session, &j->labels, &j->templates, &j->label));
    DO(cli_status(clip_ranks(j->session.ctx, j->data.image, (int)n, j->label, (int)j->labels.n, j->right, j->off, j->rank), j->spec));
    return cli_status(clip_rank_summary(j->rank, (int64_t)n, &j->m), j->spec);
}

static void print_people(const job *j)
{
    cli_print_plain(stdout, j->spec);
    printf(": %zu pictures, %zu labels, %zu template%s, %s\n\n", j->data.n, j->labels.n, j->templates.n, j->templates.n == 1 ? "" : "s",
           cli_model_name(&j->session));
    printf("in per cent      top-1    top-5   top-10   mean rank   median rank\n");
    printf("%-15s%7.2f%9.2f%9.2f%12.2f%14.1f\n", "right label", 100 * j->m.r1, 100 * j->m.r5, 100 * j->m.r10, j->m.mean_rank,
           j->m.median_rank);
    if (j->unlisted > 0)
        printf("\n%ld pictures have a label that is not on the list and are left out\n", j->unlisted);
    if (j->data.failed > 0)
        printf("\n%ld samples could not be read and are left out\n", j->data.failed);
}

static void print_json(const job *j)
{
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "data", j->spec);
    cli_json_string(&o, "model", j->session.info.path);
    cli_json_int(&o, "pictures", (long long)j->data.n);
    cli_json_int(&o, "labels", (long long)j->labels.n);
    cli_json_int(&o, "templates", (long long)j->templates.n);
    cli_json_int(&o, "failed", j->data.failed);
    cli_json_int(&o, "unlisted", j->unlisted);
    cli_json_number(&o, "top1", j->m.r1);
    cli_json_number(&o, "top5", j->m.r5);
    cli_json_number(&o, "top10", j->m.r10);
    cli_json_number(&o, "mean_rank", j->m.mean_rank);
    cli_json_number(&o, "median_rank", j->m.median_rank);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

static int work(cli_args *a, job *j)
{
    if (!(j->spec = eval_operand(a)))
        return CLI_USAGE;
    if (j->labels_arg)
        DO(cli_labels_read(a, j->labels_arg, &j->labels));
    DO(cli_templates_read(a, j->templates_arg, &j->templates));
    DO(cli_open(a, CLIP_TOWER_BOTH, &j->session));
    DO(eval_read(&j->session, j->spec, &j->eval, &j->data));
    if (!j->labels_arg)
        DO(distinct(&j->data.captions, &j->labels));
    DO(measure(j));
    (a->json ? print_json : print_people)(j);
    return j->data.failed + j->unlisted > 0 ? CLI_FAILED : CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case 'l': j->labels_arg = a->value; break;
        case TEMPLATES: j->templates_arg = a->value; break;
        case EVAL_CAPTIONS:
        case EVAL_IMAGE_KEY:
        case EVAL_CAPTION_KEY: DO(eval_option(a, id, false, &j->eval)); break;
        default: return a->code;
        }
    return work(a, j);
}

static int run(cli_args *a)
{
    job j = {.eval = {.captions = EVAL_FIRST, .pairs = clip_pairs_options_default()}};
    int code = parse(a, &j);
    free(j.label);
    free(j.right);
    free(j.off);
    free(j.rank);
    cli_list_free(&j.labels);
    cli_list_free(&j.templates);
    eval_free(&j.data);
    cli_close(&j.session);
    return code;
}

const cli_command eval_zeroshot = {
    .name = "zeroshot",
    .operands = "DATA [OPTIONS]",
    .summary = "how often the right label is among the best of a list",
    .help = "Classifies each picture of DATA by the labels, without training for them, and prints how often its right label\n"
            "(its caption) is the best, among the best 5, and among the best 10, and the label's mean and median rank,\n"
            "counted from 1. A picture whose caption is not on the list is left out and counted; the exit code is then 1.\n"
            "See 'clip eval --help' for what DATA can be.",
    .examples = "clip eval zeroshot zoo/\n"
                "clip eval zeroshot 'imagenet-val-{00..49}.tar' --labels classes.txt --templates 80-templates.txt",
    .options = options,
    .run = run,
};
