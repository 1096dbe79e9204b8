/* clip classify: which of the labels fits each picture (arXiv:2103.00020, 3.1). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zeroshot.h"

enum { TEMPLATES = CLI_LONG, HIERARCHY, MULTI_LABEL, THRESHOLD, SCALE, FILES_FROM, HTML, THUMBNAIL = 256 };

static const cli_option options[] = {
    {'l', "labels", "LIST", "the labels to choose from: 'a cat,a dog,a bird', or a file with one a line"},
    {TEMPLATES, "templates", "FILE",
     "a text with {} where the label goes, or a file with one a line; the embeddings of\n"
     "all of them are averaged for each label (default: '" CLI_TEMPLATE "')"},
    {HIERARCHY, "hierarchy", "FILE",
     "a tree over the labels, one a line, indented below its parent: the best labels are printed as\n"
     "a tree. A parent's probability is the sum of its leaves'. Without --labels the leaves are\n"
     "the labels"},
    {MULTI_LABEL, "multi-label", NULL,
     "a picture may have several labels, or none: each label whose cosine reaches its threshold. A line\n"
     "of --labels can give the threshold: 'LABEL<TAB>0.31', as 'clip eval zeroshot --fit-thresholds' writes"},
    {THRESHOLD, "threshold", "T", "with --multi-label: the threshold of labels that have none"},
    {SCALE, "scale", "S",
     "factor for cosines before they become probabilities (default: the model's own; 'clip\n"
     "eval zeroshot --calibrate' finds a better one)"},
    {'k', "top", "K", "print the K best labels (default: 5; with --multi-label all)"},
    {HTML, "html", "FILE", "also write a page to look at: pictures, labels, and the best pictures for each label"},
    {FILES_FROM, "files-from", "FILE", "read names of pictures from FILE, one a line; '-' is standard input"},
    {'0', "null", NULL, "zero bytes instead of newlines end the names in --files-from and '-'"},
    {0},
};

typedef struct job {
    const char *labels_arg, *templates_arg, *hierarchy_arg, *html, *files_from;
    int k, delimiter; /* k 0: not given */
    float scale;      /* 0: the model's */
    bool scaled;          /* by --scale */
    float rest;       /* --threshold */
    bool json, several;
    cli_list labels, templates;
    cli_session session;
    cli_source source;
    float *label;     /* [L, D] */
    float *threshold; /* [L] */
    float *cosine, *probability; /* [L], of the current picture */
    cli_hit *hit;     /* [k], best first */
    int hits;
    cli_hierarchy tree;
    double *sum;      /* [names of the tree] */
    int *picked;      /* the same */
    cli_page *page;   /* NULL: no page */
    cli_out out;
    cli_json j;
} job;

/* Labels are ordered by this: the cosine, or its distance above the threshold. */
static float score(const job *j, int l) { return j->several ? j->cosine[l] - j->threshold[l] : j->cosine[l]; }

/* The k best labels, best first, in one pass. Of equal labels the earlier one comes first. */
static void best(job *j)
{
    const int L = (int)j->labels.n;
    int n = 0;
    for (int l = 0; l < L; l++) {
        int at = n;
        while (at > 0 && score(j, j->hit[at - 1].label) < score(j, l))
            at--;
        if (at >= j->k || (j->several && j->cosine[l] < j->threshold[l]))
            continue;
        if (n < j->k)
            n++;
        memmove(&j->hit[at + 1], &j->hit[at], (size_t)(n - 1 - at) * sizeof *j->hit);
        j->hit[at] = (cli_hit){l, j->probability[l], j->cosine[l]};
    }
    j->hits = n;
}

/* ---- Printing -------------------------------------------------------------------------------- */

static void print_hits(const job *j)
{
    for (int i = 0; i < j->hits; i++) {
        fprintf(j->out.f, "  %5.1f %%  %6.3f  ", 100 * (double)j->hit[i].probability, (double)j->hit[i].cosine);
        cli_print_plain(j->out.f, j->labels.item[j->hit[i].label]);
        fputc('\n', j->out.f);
    }
    if (j->hits == 0)
        fputs("  none of the labels\n", j->out.f);
}

static void print_tree(const job *j, int picked)
{
    for (int i = 0; i < picked; i++) {
        const hierarchy_node *node = &j->tree.node[j->picked[i]];
        fprintf(j->out.f, "  %5.1f %%  ", 100 * j->sum[j->picked[i]]);
        if (node->label >= 0)
            fprintf(j->out.f, "%6.3f  ", (double)j->cosine[node->label]);
        else
            fprintf(j->out.f, "%8s", "");
        fprintf(j->out.f, "%*s", 2 * node->depth, "");
        cli_print_plain(j->out.f, j->tree.name.item[j->picked[i]]);
        fputc('\n', j->out.f);
    }
}

static void json_hits(job *j)
{
    cli_json_open(&j->j, "labels", '[');
    for (int i = 0; i < j->hits; i++) {
        const cli_hit *h = &j->hit[i];
        cli_json_open(&j->j, NULL, '{');
        cli_json_string(&j->j, "label", j->labels.item[h->label]);
        cli_json_number(&j->j, "probability", (double)h->probability);
        cli_json_number(&j->j, "cosine", (double)h->cosine);
        if (j->several)
            cli_json_number(&j->j, "threshold", (double)j->threshold[h->label]);
        cli_json_close(&j->j, '}');
    }
    cli_json_close(&j->j, ']');
}

static void json_tree(job *j, int picked)
{
    cli_json_open(&j->j, "tree", '[');
    for (int i = 0; i < picked; i++) {
        const int at = j->picked[i], parent = j->tree.node[at].parent;
        cli_json_open(&j->j, NULL, '{');
        cli_json_string(&j->j, "name", j->tree.name.item[at]);
        cli_json_string(&j->j, "parent", parent >= 0 ? j->tree.name.item[parent] : NULL);
        cli_json_number(&j->j, "probability", j->sum[at]);
        cli_json_close(&j->j, '}');
    }
    cli_json_close(&j->j, ']');
}

static void print_people(job *j, const cli_picture *p, int picked)
{
    cli_print_plain(j->out.f, p->path);
    fputc('\n', j->out.f);
    if (j->hierarchy_arg)
        print_tree(j, picked);
    else
        print_hits(j);
}

static void print_json(job *j, const cli_picture *p, bool sound, int picked)
{
    cli_json_open(&j->j, NULL, '{');
    cli_json_path(&j->j, "path", p->path);
    if (!sound) {
        cli_json_string(&j->j, "error", p->error.message);
    } else {
        json_hits(j);
        if (j->hierarchy_arg)
            json_tree(j, picked);
    }
    cli_json_close(&j->j, '}');
}

/* ---- One picture ----------------------------------------------------------------------------- */

static void probabilities(job *j)
{
    const int L = (int)j->labels.n;
    memcpy(j->probability, j->cosine, (size_t)L * sizeof *j->cosine);
    if (!j->several && (j->scaled || j->hierarchy_arg)) /* the names of a tree share what is certain */
        clip_probabilities_scaled(j->session.model, j->scale, j->probability, 1, L);
    else if (!j->several)
        clip_probabilities(j->session.model, j->probability, 1, L);
    for (int l = 0; l < L && j->several; l++)
        j->probability[l] = 1 / (1 + expf(-j->scale * (j->cosine[l] - j->threshold[l])));
}

static int picture(void *user, cli_picture *p, const float *embedding)
{
    job *j = user;
    int picked = 0;
    if (embedding) {
        DO(cli_status(clip_similarity(j->session.ctx, embedding, 1, j->label, (int)j->labels.n, j->cosine), p->path));
        probabilities(j);
        best(j);
    }
    if (embedding && j->hierarchy_arg) {
        cli_hierarchy_sums(&j->tree, j->probability, j->sum);
        if ((picked = cli_hierarchy_pick(&j->tree, j->hit, j->hits, j->sum, j->picked)) < 0)
            return CLI_FAILED;
    }
    if (j->json)
        print_json(j, p, embedding, picked);
    else if (embedding)
        print_people(j, p, picked);
    if (embedding && j->page)
        DO(cli_page_picture(j->page, p, j->hit, j->hits, j->cosine));
    return ferror(j->out.f) ? cli_out_check(&j->out) : CLI_DONE;
}

/* ---- The command ----------------------------------------------------------------------------- */

static void json_head(job *j)
{
    j->j = (cli_json){.f = j->out.f};
    cli_json_open(&j->j, NULL, '{');
    cli_json_string(&j->j, "model", j->session.info.path);
    cli_json_number(&j->j, "logit_scale", (double)j->scale);
    cli_json_string(&j->j, "score", j->scaled || j->hierarchy_arg ? "softmax" : j->session.info.score);
    cli_json_int(&j->j, "labels", (long long)j->labels.n);
    cli_json_open(&j->j, "templates", '[');
    for (size_t i = 0; i < j->templates.n; i++)
        cli_json_string(&j->j, NULL, j->templates.item[i]);
    cli_json_close(&j->j, ']');
    cli_json_open(&j->j, "pictures", '[');
}

static void json_tail(job *j)
{
    cli_json_close(&j->j, ']');
    cli_json_int(&j->j, "failed", j->source.failed);
    cli_passed_json(&j->j, &j->source.passed);
    cli_json_close(&j->j, '}');
    cli_json_line(&j->j);
}

static int read_labels(cli_args *a, job *j)
{
    if (j->labels_arg) {
        DO(cli_labels_read(a, j->labels_arg, &j->labels));
        DO(cli_thresholds_split(&j->labels, &j->threshold));
    }
    if (j->several)
        DO(cli_thresholds_complete(&j->labels, j->threshold, j->rest));
    if (j->hierarchy_arg)
        DO(cli_hierarchy_read(j->hierarchy_arg, &j->labels, &j->tree));
    return CLI_DONE;
}

static int prepare(cli_args *a, job *j)
{
    DO(read_labels(a, j));
    DO(cli_templates_read(a, j->templates_arg, &j->templates));
    DO(cli_source_open(a, j->files_from, j->delimiter, &j->source));
    const int few = cli_few_pictures(&j->source) | cli_few_texts(j->labels.n * j->templates.n);
    DO(cli_open(a, CLIP_TOWER_BOTH, few, &j->session));
    DO(cli_check_texts(&j->session, &j->labels));
    DO(cli_encode_labels(&j->session, &j->labels, &j->templates, &j->label));
    j->scaled = j->scale > 0;
    if (!j->scaled)
        j->scale = j->session.info.logit_scale;
    const size_t L = j->labels.n;
    if (j->k == 0)
        j->k = j->several ? (int)L : 5;
    j->k = (size_t)j->k < L ? j->k : (int)L;
    j->cosine = malloc(L * sizeof *j->cosine);
    j->probability = malloc(L * sizeof *j->probability);
    j->hit = malloc(((size_t)j->k + 1) * sizeof *j->hit);
    j->sum = malloc((j->tree.name.n + 1) * sizeof *j->sum);
    j->picked = malloc((j->tree.name.n + 1) * sizeof *j->picked);
    return j->cosine && j->probability && j->hit && j->sum && j->picked ? CLI_DONE : cli_no_memory();
}

static int classify_pictures(cli_args *a, job *j)
{
    if (!j->labels_arg && (!j->hierarchy_arg || j->several))
        return cli_usage(a, "--labels is missing: the labels to choose from");
    if (j->several && j->hierarchy_arg)
        return cli_usage(a, "--hierarchy is for one label a picture, --multi-label for several");
    if (!j->several && !isnan(j->rest))
        return cli_usage(a, "--threshold goes with --multi-label");
    if (a->operands == 0 && !j->files_from)
        return cli_usage(a, "no picture is named");
    DO(prepare(a, j));
    DO(cli_out_open(&j->out, NULL));
    if (j->html)
        DO(cli_page_open(j->html, &j->session, &j->labels, j->several, &j->page));
    if ((j->json = a->json))
        json_head(j);
    DO(cli_each_picture(&j->session, &j->source, j->page ? THUMBNAIL : 0, isatty(STDOUT_FILENO), picture, j));
    if (j->json)
        json_tail(j);
    if (j->page)
        DO(cli_page_close(j->page));
    DO(cli_out_check(&j->out));
    return j->source.failed > 0 ? CLI_FAILED : CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    j->delimiter = '\n';
    j->rest = NAN;
    double value = 0;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case 'l': j->labels_arg = a->value; break;
        case TEMPLATES: j->templates_arg = a->value; break;
        case HIERARCHY: j->hierarchy_arg = a->value; break;
        case MULTI_LABEL: j->several = true; break;
        case THRESHOLD: DO(cli_decimal(a, -1, 1, &value)); j->rest = (float)value; break;
        case SCALE: DO(cli_decimal(a, 1e-3, 1e5, &value)); j->scale = (float)value; break;
        case 'k': DO(cli_number(a, 1, 1000000, &j->k)); break;
        case HTML:
            j->html = a->value;
            DO(cli_not_stdout(a, a->name, a->value));
            break;
        case FILES_FROM: j->files_from = a->value; break;
        case '0': j->delimiter = 0; break;
        default: return a->code;
        }
    return classify_pictures(a, j);
}

static int run(cli_args *a)
{
    job j = {0};
    int code = parse(a, &j);
    cli_page_free(j.page);
    free(j.label);
    free(j.threshold);
    free(j.sum);
    free(j.picked);
    cli_hierarchy_free(&j.tree);
    free(j.cosine);
    free(j.probability);
    free(j.hit);
    cli_source_close(&j.source);
    cli_list_free(&j.labels);
    cli_list_free(&j.templates);
    cli_close(&j.session);
    return code;
}

const cli_command cli_classify = {
    .name = "classify",
    .operands = "--labels LIST [OPTIONS] PICTURE|FOLDER|-...",
    .summary = "which of your words fits each picture",
    .help =
        "Tells which of the labels fits each picture best, without any training for them (zero-shot). A\n"
        "FOLDER means every picture below it; '-' reads names from standard input.\n"
        "\n"
        "For each picture the K best labels are printed with their probability and their cosine. The\n"
        "probabilities of all labels given add up to 100 %; they say nothing about other labels. Cosines\n"
        "can be compared between pictures. A picture that cannot be read is reported and skipped; the exit\n"
        "code is then 1.\n"
        "\n"
        "With --multi-label each label has a probability of its own: 50 % if its cosine equals its\n"
        "threshold.\n"
        "\n"
        "Labels are read as they are typed. Models that learned from captions of the web mostly do better\n"
        "with --templates 'a photo of a {}.' or with many such templates; the small model that ships does\n"
        "not.",
    .examples = "clip classify --labels 'a cat,a dog,a bird' photo.jpg\n"
                "clip classify --labels animals.txt --templates 'a photo of a {}.' -k 1 --json zoo/\n"
                "clip classify --hierarchy kinds-of-animals.txt -k 2 zoo/\n"
                "clip classify --labels 'cake,candle,balloon' --multi-label --threshold 0.25 party/\n"
                "clip classify --labels animals.txt --html zoo.html zoo/",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
