/* clip eval zeroshot: how often the right label is among the best of a list (arXiv:2103.00020,
 * 3.1). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zeroshot.h"

enum { TEMPLATES = EVAL_OWN, CALIBRATE, HIERARCHY, CONFUSION, MULTI_LABEL, FIT_THRESHOLDS, DEEPEST_SHOWN = 16 };

static const cli_option options[] = {
    {'l', "labels", "LIST",
     "the labels to choose from: 'a cat,a dog,a bird', or a file with one a line\n"
     "(default: all captions of DATA)"},
    {TEMPLATES, "templates", "FILE",
     "a text with {} where the label goes, or a file with one a line; the embeddings of\n"
     "all of them are averaged for each label (default: '" CLI_TEMPLATE "')"},
    {HIERARCHY, "hierarchy", "FILE",
     "a tree over the labels, one a line, indented below its parent: also tells how often the\n"
     "label is right at each level; a parent's probability is the sum of its leaves'"},
    {CALIBRATE, "calibrate", NULL,
     "fit the scale of probabilities on every second picture, and measure the error of\n"
     "probabilities on the others before and after; 'clip classify --scale' takes it"},
    {CONFUSION, "confusion", "FILE",
     "write which labels are taken for which, with recall and precision of each: a page, or\n"
     "a table where the name ends in .csv"},
    {MULTI_LABEL, "multi-label", NULL,
     "a picture may have several labels: all its captions are right, and each label has a threshold of\n"
     "its own, from the lines of --labels: 'LABEL<TAB>0.31'"},
    {FIT_THRESHOLDS, "fit-thresholds", "FILE",
     "the same with thresholds fitted on every second picture and measured on the others; FILE is what\n"
     "'clip classify --multi-label --labels' takes"},
    {EVAL_CAPTIONS, "captions", "WHICH",
     "which caption of a picture is its right label: first or last (default: first)"},
    EVAL_KEYS,
    {0},
};

typedef struct job {
    const char *spec, *labels_arg, *templates_arg, *hierarchy_arg, *confusion, *fit_thresholds;
    bool calibrate, several, captions_set;
    eval_options eval;
    cli_session session;
    eval_data data;
    cli_list labels, templates;
    float *label;               /* [L, D] */
    float *threshold;           /* [L] given with the labels */
    int32_t *right, *off, *rank; /* [n], [n + 1], [n] */
    long unlisted;              /* pictures whose label is not on the list */
    clip_rank_metrics m;
    float *cosine;              /* [n, L]; only if more than ranks is wanted */
    cli_hierarchy tree;
    double level[DEEPEST_SHOWN]; /* share of pictures whose name at this depth is right */
    int levels;
    double scale, nll[2], ece[2]; /* fitted; before and after */
} job;

/* ---- The right labels ------------------------------------------------------------------------ */

/* The distinct captions become the labels. */
static int distinct(const cli_list *captions, cli_list *labels)
{
    cli_name *s = NULL;
    DO(cli_list_sort(captions, &s));
    int code = CLI_DONE;
    for (size_t i = 0; i < captions->n && code == CLI_DONE; i++)
        if (i == 0 || strcmp(s[i].text, s[i - 1].text) != 0)
            code = cli_list_add(labels, s[i].text);
    free(s);
    return code;
}

/* Find the right label of each picture. Pictures whose label is not on the list leave the data. */
static int find_right(job *j)
{
    eval_data *d = &j->data;
    const size_t row = (size_t)j->session.D * sizeof(float);
    cli_name *s = NULL;
    DO(cli_list_sort(&j->labels, &s));
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++) {
        const char *text = d->captions.item[i]; /* caption i belongs to picture i */
        const int32_t found = cli_list_find(s, j->labels.n, text);
        if (found < 0) {
            if (j->unlisted++ == 0)
                cli_fail("%s: '%s', the right label of a picture, is not on the list of labels", j->spec, text);
            continue;
        }
        memmove(d->image + kept * (size_t)j->session.D, d->image + i * (size_t)j->session.D, row);
        j->right[kept++] = found;
    }
    free(s);
    d->n = kept;
    return kept > 0 ? CLI_DONE : cli_fail("%s: no picture has a label from the list", j->spec);
}

/* ---- Measuring ------------------------------------------------------------------------------- */

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
    DO(cli_status(
        clip_ranks(j->session.ctx, j->data.image, (int)n, j->label, (int)j->labels.n, j->right, j->off, j->rank),
        j->spec));
    return cli_status(clip_rank_summary(j->rank, (int64_t)n, &j->m), j->spec);
}

/* ---- Calibration, hierarchies, confusion ----------------------------------------------------- */

static size_t best_label(const float *cosine, size_t L)
{
    size_t best = 0;
    for (size_t l = 1; l < L; l++)
        if (cosine[l] > cosine[best])
            best = l;
    return best;
}

static int write_confusion(const job *j)
{
    const size_t L = j->labels.n;
    int32_t *count = L <= SIZE_MAX / L / sizeof *count ? calloc(L * L, sizeof *count) : NULL;
    char title[512];
    if (!count)
        return cli_no_memory();
    for (size_t i = 0; i < j->data.n; i++)
        count[(size_t)j->right[i] * L + best_label(j->cosine + i * L, L)]++;
    snprintf(title, sizeof title, "%s, %s", j->spec, j->session.name);
    int code = cli_confusion_write(j->confusion, title, &j->labels, count);
    free(count);
    return code;
}

/* Fit the scale on even pictures, and measure it on odd ones. */
static int calibrate(job *j)
{
    const size_t n = j->data.n, L = j->labels.n, odd = n / 2, even = n - odd;
    if (odd == 0)
        return cli_fail("%s: --calibrate needs at least two pictures", j->spec);
    float *c = malloc(n * L * sizeof *c);
    int32_t *right = malloc(n * sizeof *right);
    int code = c && right ? CLI_DONE : cli_no_memory();
    for (size_t i = 0; i < n && code == CLI_DONE; i++) {
        const size_t to = i % 2 ? even + i / 2 : i / 2;
        memcpy(c + to * L, j->cosine + i * L, L * sizeof *c);
        right[to] = j->right[i];
    }
    if (code == CLI_DONE)
        code = cli_status(clip_fit_scale(c, right, (int)even, (int)L, &j->scale), j->spec);
    for (int after = 0; after < 2 && code == CLI_DONE; after++)
        code = cli_status(clip_calibration(c + even * L, right + even, (int)odd, (int)L,
                                           after ? j->scale : (double)j->session.info.logit_scale, &j->nll[after],
                                           &j->ece[after]),
                          j->spec);
    free(c);
    free(right);
    return code;
}

/* For each picture and depth: is the best name the right one? */
static int measure_levels(job *j)
{
    const size_t L = j->labels.n;
    const float scale = j->calibrate ? (float)j->scale : j->session.info.logit_scale;
    float *p = malloc(L * sizeof *p);
    double *sum = malloc(j->tree.name.n * sizeof *sum);
    j->levels = j->tree.depths < DEEPEST_SHOWN ? j->tree.depths : DEEPEST_SHOWN;
    for (size_t i = 0; i < j->data.n && p && sum; i++) {
        memcpy(p, j->cosine + i * L, L * sizeof *p);
        clip_probabilities_scaled(j->session.model, scale, p, 1, (int)L);
        cli_hierarchy_sums(&j->tree, p, sum);
        for (int d = 0; d < j->levels; d++)
            j->level[d] += (cli_hierarchy_best(&j->tree, sum, d) == cli_hierarchy_at(&j->tree, j->right[i], d)) /
                           (double)j->data.n;
    }
    int code = p && sum ? CLI_DONE : cli_no_memory();
    free(p);
    free(sum);
    return code;
}

static int beyond_ranks(job *j, const zeroshot_data *z)
{
    if (!j->calibrate && !j->confusion && !j->hierarchy_arg)
        return CLI_DONE;
    DO(eval_cosines(z->session, z->spec, z->data, z->label, z->labels->n, &j->cosine));
    if (j->calibrate)
        DO(calibrate(j));
    if (j->hierarchy_arg)
        DO(measure_levels(j));
    return j->confusion ? write_confusion(j) : CLI_DONE;
}

static void print_people(const job *j)
{
    cli_print_plain(stdout, j->spec);
    printf(": %zu pictures, %zu labels, %zu template%s, ", j->data.n, j->labels.n, j->templates.n,
           j->templates.n == 1 ? "" : "s");
    cli_print_plain(stdout, j->session.name);
    printf("\n\n");
    printf("in per cent      top-1    top-5   top-10   mean rank   median rank\n");
    printf("%-15s%7.2f%9.2f%9.2f%12.2f%14.1f\n", "right label", 100 * j->m.r1, 100 * j->m.r5, 100 * j->m.r10,
           j->m.mean_rank, j->m.median_rank);
    for (int d = 0; d < j->levels; d++)
        printf("level %-9d%7.2f\n", d + 1, 100 * j->level[d]);
    if (j->calibrate) {
        printf("\nprobabilities     scale   error (ECE)   -log p\n");
        printf("as they are    %8.2f%14.4f%9.4f\n", (double)j->session.info.logit_scale, j->ece[0], j->nll[0]);
        printf("calibrated     %8.2f%14.4f%9.4f\n", j->scale, j->ece[1], j->nll[1]);
        if (j->ece[1] > j->ece[0])
            printf(
                "The calibrated probabilities have a larger error (ECE) on these pictures: keep the scale.\n");
    }
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
    cli_passed_json(&o, &j->data.passed);
    cli_json_int(&o, "unlisted", j->unlisted);
    cli_json_number(&o, "top1", j->m.r1);
    cli_json_number(&o, "top5", j->m.r5);
    cli_json_number(&o, "top10", j->m.r10);
    cli_json_number(&o, "mean_rank", j->m.mean_rank);
    cli_json_number(&o, "median_rank", j->m.median_rank);
    if (j->levels > 0) {
        cli_json_open(&o, "levels", '[');
        for (int d = 0; d < j->levels; d++)
            cli_json_number(&o, NULL, j->level[d]);
        cli_json_close(&o, ']');
    }
    if (j->calibrate) {
        cli_json_number(&o, "scale", j->scale);
        cli_json_number(&o, "ece_before", j->ece[0]);
        cli_json_number(&o, "ece_after", j->ece[1]);
        cli_json_number(&o, "nll_before", j->nll[0]);
        cli_json_number(&o, "nll_after", j->nll[1]);
    }
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

static int evaluate_zeroshot(cli_args *a, job *j)
{
    if (!(j->spec = eval_operand(a)))
        return CLI_USAGE;
    if (j->several && (j->hierarchy_arg || j->calibrate || j->confusion || j->captions_set))
        return cli_usage(
            a,
            "--multi-label and --fit-thresholds do not go with --hierarchy, --calibrate, --confusion, --captions");
    if (j->several && !j->labels_arg && !j->fit_thresholds)
        return cli_usage(
            a,
            "--multi-label: labels need thresholds (in the file of --labels, or from --fit-thresholds)");
    if (j->labels_arg) {
        DO(cli_labels_read(a, j->labels_arg, &j->labels));
        DO(cli_thresholds_split(&j->labels, &j->threshold));
    }
    if (j->several && !j->fit_thresholds)
        DO(cli_thresholds_complete(&j->labels, j->threshold, NAN));
    if (j->hierarchy_arg)
        DO(cli_hierarchy_read(j->hierarchy_arg, &j->labels, &j->tree));
    DO(cli_templates_read(a, j->templates_arg, &j->templates));
    DO(cli_open(a, CLIP_TOWER_BOTH, 0, &j->session));
    DO(eval_read(&j->session, j->spec, &j->eval, &j->data));
    if (j->labels.n == 0)
        DO(distinct(&j->data.captions, &j->labels));
    DO(cli_check_texts(&j->session, &j->labels));
    DO(cli_encode_labels(&j->session, &j->labels, &j->templates, &j->label));
    const zeroshot_data z = {j->spec, &j->session, &j->data, &j->labels, j->label, j->templates.n, j->templates_arg};
    if (j->several)
        return zeroshot_multilabel(&z, j->threshold, j->fit_thresholds, a->json);
    DO(measure(j));
    DO(beyond_ranks(j, &z));
    (a->json ? print_json : print_people)(j);
    return j->data.failed + j->unlisted > 0 ? CLI_FAILED : CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case 'l': j->labels_arg = a->value; break;
        case TEMPLATES: j->templates_arg = a->value; break;
        case HIERARCHY: j->hierarchy_arg = a->value; break;
        case CALIBRATE: j->calibrate = true; break;
        case CONFUSION:
            j->confusion = a->value;
            DO(cli_not_stdout(a, a->name, a->value));
            break;
        case MULTI_LABEL: j->several = true; break;
        case FIT_THRESHOLDS:
            DO(cli_not_stdout(a, a->name, a->value));
            j->fit_thresholds = a->value;
            j->several = true;
            break;
        case EVAL_CAPTIONS:
        case EVAL_IMAGE_KEY:
        case EVAL_CAPTION_KEY:
            j->captions_set |= id == EVAL_CAPTIONS;
            DO(eval_option(a, id, false, &j->eval));
            break;
        default: return a->code;
        }
    if (j->several)
        j->eval.captions = EVAL_ALL;
    return evaluate_zeroshot(a, j);
}

static int run(cli_args *a)
{
    job j = {.eval = {.captions = EVAL_FIRST, .pairs = clip_pairs_options_default()}};
    int code = parse(a, &j);
    free(j.label);
    free(j.threshold);
    free(j.cosine);
    cli_hierarchy_free(&j.tree);
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
    .help =
        "Classifies each picture of DATA by the labels, without training for them. Prints how often its\n"
        "right label (its caption) is the best, among the best 5, and among the best 10, and the label's\n"
        "mean and median rank, counted from 1. For pictures with several labels, --multi-label measures\n"
        "instead how well thresholds find them. A picture whose caption is not on the list is left out and\n"
        "counted; the exit code is then 1. See 'clip eval --help' for what DATA can be.",
    .examples = "clip eval zeroshot zoo/\n"
                "clip eval zeroshot party/ --fit-thresholds party.txt\n"
                "clip eval zeroshot 'imagenet-val-{00..49}.tar' --labels classes.txt --templates 80-templates.txt",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
