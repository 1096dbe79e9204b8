/* clip eval retrieval: does a caption find its picture among all, and a picture its caption? */
#include <stdlib.h>

#include "eval.h"

static const cli_option options[] = {
    {EVAL_CAPTIONS, "captions", "WHICH", "which captions of a picture count: first, last or all (default: all)"},
    EVAL_KEYS,
    {0},
};

typedef struct job {
    const char *spec;
    eval_options eval;
    cli_session session;
    eval_data data;
    float *text;             /* [C, D] */
    int32_t *owner, *count;  /* [C] the picture of a caption; [max(C, n) + 1] 0, 1, 2, ... */
    int32_t *rank;           /* [max(C, n)] */
    clip_rank_metrics image_to_text, text_to_image;
} job;

/* Both ways. With several captions, each is a query whose right answer is its own picture; a picture is found by its best
 * placed caption. Equal captions of other pictures count as wrong, as in OpenCLIP's evaluation. */
static int measure(job *j)
{
    const eval_data *d = &j->data;
    const size_t C = d->captions.n, most = C > d->n ? C : d->n;
    clip_context *ctx = j->session.ctx;
    j->text = malloc(C * (size_t)j->session.D * sizeof *j->text);
    j->owner = malloc(C * sizeof *j->owner);
    j->count = malloc((most + 1) * sizeof *j->count);
    j->rank = malloc(most * sizeof *j->rank);
    if (!j->text || !j->owner || !j->count || !j->rank)
        return cli_no_memory();
    for (size_t i = 0; i < d->n; i++)
        for (int32_t c = d->first[i]; c < d->first[i + 1]; c++)
            j->owner[c] = (int32_t)i;
    for (size_t i = 0; i <= most; i++)
        j->count[i] = (int32_t)i;
    DO(cli_encode_texts(&j->session, d->captions.item, C, j->text));
    DO(cli_status(clip_ranks(ctx, d->image, (int)d->n, j->text, (int)C, j->count, d->first, j->rank), j->spec));
    DO(cli_status(clip_rank_summary(j->rank, (int64_t)d->n, &j->image_to_text), j->spec));
    DO(cli_status(clip_ranks(ctx, j->text, (int)C, d->image, (int)d->n, j->owner, j->count, j->rank), j->spec));
    return cli_status(clip_rank_summary(j->rank, (int64_t)C, &j->text_to_image), j->spec);
}

static void row(const char *name, const clip_rank_metrics *m)
{
    printf("%-15s%7.2f%9.2f%9.2f%12.2f%14.1f\n", name, 100 * m->r1, 100 * m->r5, 100 * m->r10, m->mean_rank, m->median_rank);
}

static void print_people(const job *j)
{
    cli_print_plain(stdout, j->spec);
    printf(": %zu pictures, %zu captions, %s\n\n", j->data.n, j->data.captions.n, cli_model_name(&j->session));
    printf("in per cent        R@1      R@5     R@10   mean rank   median rank\n");
    row("image to text", &j->image_to_text);
    row("text to image", &j->text_to_image);
    if (j->data.failed > 0)
        printf("\n%ld samples could not be read and are left out\n", j->data.failed);
}

static void json_row(cli_json *o, const char *name, const clip_rank_metrics *m)
{
    cli_json_open(o, name, '{');
    cli_json_int(o, "queries", m->queries);
    cli_json_number(o, "R@1", m->r1);
    cli_json_number(o, "R@5", m->r5);
    cli_json_number(o, "R@10", m->r10);
    cli_json_number(o, "mean_rank", m->mean_rank);
    cli_json_number(o, "median_rank", m->median_rank);
    cli_json_close(o, '}');
}

static void print_json(const job *j)
{
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "data", j->spec);
    cli_json_string(&o, "model", j->session.info.path);
    cli_json_int(&o, "pictures", (long long)j->data.n);
    cli_json_int(&o, "captions", (long long)j->data.captions.n);
    cli_json_int(&o, "failed", j->data.failed);
    json_row(&o, "image_to_text", &j->image_to_text);
    json_row(&o, "text_to_image", &j->text_to_image);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

static int work(cli_args *a, job *j)
{
    if (!(j->spec = eval_operand(a)))
        return CLI_USAGE;
    DO(cli_open(a, CLIP_TOWER_BOTH, &j->session));
    DO(eval_read(&j->session, j->spec, &j->eval, &j->data));
    DO(measure(j));
    (a->json ? print_json : print_people)(j);
    return j->data.failed > 0 ? CLI_FAILED : CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case EVAL_CAPTIONS:
        case EVAL_IMAGE_KEY:
        case EVAL_CAPTION_KEY: DO(eval_option(a, id, true, &j->eval)); break;
        default: return a->code;
        }
    return work(a, j);
}

static int run(cli_args *a)
{
    job j = {.eval = {EVAL_ALL, clip_pairs_options_default()}};
    int code = parse(a, &j);
    free(j.text);
    free(j.owner);
    free(j.count);
    free(j.rank);
    eval_free(&j.data);
    cli_close(&j.session);
    return code;
}

const cli_command eval_retrieval = {
    .name = "retrieval",
    .operands = "DATA [OPTIONS]",
    .summary = "R@1/5/10 and ranks: words find pictures, pictures find words",
    .help = "Ranks all captions of DATA for each of its pictures, and all pictures for each caption, and prints how often\n"
            "the right one is among the best 1, 5 and 10 (R@k), and its mean and median rank, counted from 1.\n"
            "\n"
            "Of several captions of a picture any is right for the picture; for a caption only its own picture is right,\n"
            "even if another has the same caption (as in OpenCLIP). See 'clip eval --help' for what DATA can be.",
    .examples = "clip eval retrieval 'pairs/val-{000..003}.tar'\n"
                "clip eval retrieval flickr.tsv --image-key path --caption-key text --json",
    .options = options,
    .run = run,
};
