/* clip classify: which of these words fits each picture (arXiv:2103.00020, 3.1). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { TEMPLATES = CLI_LONG, SCALE, FILES_FROM, HTML, THUMBNAIL = 256 };

static const cli_option options[] = {
    {'l', "labels", "LIST", "the labels to choose from: 'a cat,a dog,a bird', or a file with one a line"},
    {TEMPLATES, "templates", "FILE", "a text with {} where the label goes, or a file with one a line; the embeddings of\n"
                                     "all of them are averaged for each label (default: '" CLI_TEMPLATE "')"},
    {SCALE, "scale", "S", "what cosines are multiplied by before they become probabilities (default: the model's own; 'clip\n"
                          "eval zeroshot --calibrate' finds a better one)"},
    {'k', "top", "K", "print the K best labels (default: 5)"},
    {HTML, "html", "FILE", "also write a page to look at: pictures, labels, and the best pictures for each label"},
    {FILES_FROM, "files-from", "FILE", "read names of pictures from FILE, one a line; '-' is standard input"},
    {'0', "null", NULL, "zero bytes instead of newlines end the names in --files-from and '-'"},
    {0},
};

typedef struct job {
    const char *labels_arg, *templates_arg, *html, *files_from;
    int k, delimiter;
    float scale; /* 0: the model's */
    bool json;
    cli_list labels, templates;
    cli_session session;
    cli_source source;
    float *label;     /* [L, D] */
    float *cosine, *probability; /* [L], of the picture at hand */
    cli_hit *hit;     /* [k], best first */
    cli_page *page;   /* NULL: none wanted */
    cli_out out;
    cli_json j;
} job;

/* The k best labels, best first; of equal ones the earlier. One pass, inserting into a short list. */
static void best(job *j)
{
    const int L = (int)j->labels.n;
    int n = 0;
    for (int l = 0; l < L; l++) {
        int at = n;
        while (at > 0 && j->hit[at - 1].cosine < j->cosine[l])
            at--;
        if (at >= j->k)
            continue;
        if (n < j->k)
            n++;
        memmove(&j->hit[at + 1], &j->hit[at], (size_t)(n - 1 - at) * sizeof *j->hit);
        j->hit[at] = (cli_hit){l, j->probability[l], j->cosine[l]};
    }
}

static void print_people(job *j, const cli_picture *p)
{
    cli_print_plain(j->out.f, p->path);
    fputc('\n', j->out.f);
    for (int i = 0; i < j->k; i++) {
        fprintf(j->out.f, "  %5.1f %%  %6.3f  ", 100 * (double)j->hit[i].probability, (double)j->hit[i].cosine);
        cli_print_plain(j->out.f, j->labels.item[j->hit[i].label]);
        fputc('\n', j->out.f);
    }
}

static void print_json(job *j, const cli_picture *p, bool sound)
{
    cli_json_open(&j->j, NULL, '{');
    cli_json_string(&j->j, "path", p->path);
    if (!sound) {
        cli_json_string(&j->j, "error", p->error.message);
    } else {
        cli_json_open(&j->j, "labels", '[');
        for (int i = 0; i < j->k; i++) {
            cli_json_open(&j->j, NULL, '{');
            cli_json_string(&j->j, "label", j->labels.item[j->hit[i].label]);
            cli_json_number(&j->j, "probability", (double)j->hit[i].probability);
            cli_json_number(&j->j, "cosine", (double)j->hit[i].cosine);
            cli_json_close(&j->j, '}');
        }
        cli_json_close(&j->j, ']');
    }
    cli_json_close(&j->j, '}');
}

static int picture(void *user, cli_picture *p, const float *embedding)
{
    job *j = user;
    const int L = (int)j->labels.n;
    if (embedding) {
        DO(cli_status(clip_similarity(j->session.ctx, embedding, 1, j->label, L, j->cosine), p->path));
        memcpy(j->probability, j->cosine, (size_t)L * sizeof *j->cosine);
        clip_probabilities_scaled(j->session.model, j->scale, j->probability, 1, L);
        best(j);
    }
    if (j->json)
        print_json(j, p, embedding);
    else if (embedding)
        print_people(j, p);
    if (embedding && j->page)
        DO(cli_page_picture(j->page, p, j->hit, j->cosine));
    return ferror(j->out.f) ? cli_out_check(&j->out) : CLI_DONE;
}

static void json_head(job *j)
{
    j->j = (cli_json){.f = j->out.f};
    cli_json_open(&j->j, NULL, '{');
    cli_json_string(&j->j, "model", j->session.info.path);
    cli_json_number(&j->j, "logit_scale", (double)j->scale);
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
    cli_json_close(&j->j, '}');
    cli_json_line(&j->j);
}

static int prepare(cli_args *a, job *j)
{
    DO(cli_labels_read(a, j->labels_arg, &j->labels));
    DO(cli_templates_read(a, j->templates_arg, &j->templates));
    DO(cli_source_open(a, j->files_from, j->delimiter, &j->source));
    DO(cli_open(a, CLIP_TOWER_BOTH, &j->session));
    DO(cli_encode_labels(&j->session, &j->labels, &j->templates, &j->label));
    if (j->scale <= 0)
        j->scale = j->session.info.logit_scale;
    const size_t L = j->labels.n;
    j->k = (size_t)j->k < L ? j->k : (int)L;
    j->cosine = malloc(L * sizeof *j->cosine);
    j->probability = malloc(L * sizeof *j->probability);
    j->hit = malloc(((size_t)j->k + 1) * sizeof *j->hit);
    return j->cosine && j->probability && j->hit ? CLI_DONE : cli_no_memory();
}

static int work(cli_args *a, job *j)
{
    if (!j->labels_arg)
        return cli_usage(a, "--labels is missing: the words to choose from");
    if (a->operands == 0 && !j->files_from)
        return cli_usage(a, "no picture is named");
    DO(prepare(a, j));
    DO(cli_out_open(&j->out, NULL));
    if (j->html)
        DO(cli_page_open(j->html, &j->session, &j->labels, j->k, &j->page));
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
    j->k = 5;
    j->delimiter = '\n';
    double scale = 0;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case 'l': j->labels_arg = a->value; break;
        case TEMPLATES: j->templates_arg = a->value; break;
        case SCALE: DO(cli_decimal(a, 1e-3, 1e5, &scale)); j->scale = (float)scale; break;
        case 'k': DO(cli_number(a, 1, 1000000, &j->k)); break;
        case HTML: j->html = a->value; break;
        case FILES_FROM: j->files_from = a->value; break;
        case '0': j->delimiter = 0; break;
        default: return a->code;
        }
    return work(a, j);
}

static int run(cli_args *a)
{
    job j = {0};
    int code = parse(a, &j);
    cli_page_free(j.page);
    free(j.label);
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
    .help = "Tells which of the labels fits each picture best, without any training for them (zero-shot). A FOLDER means\n"
            "every picture below it; '-' reads names from standard input.\n"
            "\n"
            "For each picture the K best labels are printed with their probability among all labels given (they add up\n"
            "to 100 %; it says nothing about labels that were not offered) and their cosine with the picture, which can\n"
            "be compared between pictures. A picture that cannot be read is reported and skipped; the exit code is then 1.\n"
            "\n"
            "Labels are read as they are typed. Models that learned from captions of the web mostly do better with\n"
            "--templates 'a photo of a {}.' or with many such templates; the small model that ships does not.",
    .examples = "clip classify --labels 'a cat,a dog,a bird' photo.jpg\n"
                "clip classify --labels animals.txt --templates 'a photo of a {}.' -k 1 --json zoo/\n"
                "clip classify --labels animals.txt --html zoo.html zoo/",
    .options = options,
    .run = run,
};
