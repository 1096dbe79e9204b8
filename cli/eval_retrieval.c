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
    eval_retrieved found;
} job;

/* Two lists of the right answers, for clip_ranks(). */
typedef struct answers {
    int32_t *owner; /* [C] the picture of a caption */
    int32_t *count; /* [max(C, n) + 1] 0, 1, 2, ...: all captions; one answer a query */
} answers;

static int list_answers(const eval_data *d, answers *a)
{
    const size_t C = d->captions.n, most = C > d->n ? C : d->n;
    a->owner = malloc(C * sizeof *a->owner);
    a->count = malloc((most + 1) * sizeof *a->count);
    if (!a->owner || !a->count)
        return cli_no_memory();
    for (size_t i = 0; i < d->n; i++)
        for (int32_t c = d->first[i]; c < d->first[i + 1]; c++)
            a->owner[c] = (int32_t)i;
    for (size_t i = 0; i <= most; i++)
        a->count[i] = (int32_t)i;
    return CLI_DONE;
}

static int rank(cli_session *s, const char *spec, const eval_data *d, const answers *a, eval_retrieved *r)
{
    const int n = (int)d->n, C = (int)d->captions.n;
    DO(cli_encode_texts(s, d->captions.item, (size_t)C, r->text));
    DO(cli_status(clip_ranks(s->ctx, d->image, n, r->text, C, a->count, d->first, r->image_rank), spec));
    DO(cli_status(clip_rank_summary(r->image_rank, n, &r->image_to_text), spec));
    DO(cli_status(clip_ranks(s->ctx, r->text, C, d->image, n, a->owner, a->count, r->text_rank), spec));
    return cli_status(clip_rank_summary(r->text_rank, C, &r->text_to_image), spec);
}

/* If pictures have several captions, each caption is a query whose right answer is its own picture.
 * A picture is found by its best placed caption. Equal captions of other pictures count as wrong,
 * as in OpenCLIP's evaluation. */
int eval_retrieve(cli_session *s, const char *spec, const eval_data *d, eval_retrieved *r)
{
    const size_t C = d->captions.n;
    answers a = {0};
    *r = (eval_retrieved){.text = malloc(C * (size_t)s->D * sizeof *r->text),
                          .image_rank = malloc(d->n * sizeof *r->image_rank),
                          .text_rank = malloc(C * sizeof *r->text_rank)};
    int code = r->text && r->image_rank && r->text_rank ? list_answers(d, &a) : cli_no_memory();
    if (code == CLI_DONE)
        code = rank(s, spec, d, &a, r);
    free(a.owner);
    free(a.count);
    return code;
}

void eval_retrieved_free(eval_retrieved *r)
{
    free(r->text);
    free(r->image_rank);
    free(r->text_rank);
    *r = (eval_retrieved){0};
}

static void row(const char *name, const clip_rank_metrics *m)
{
    printf("%-15s%7.2f%9.2f%9.2f%12.2f%14.1f\n", name, 100 * m->r1, 100 * m->r5, 100 * m->r10, m->mean_rank,
           m->median_rank);
}

static void print_people(const job *j)
{
    cli_print_plain(stdout, j->spec);
    printf(": %zu pictures, %zu captions, ", j->data.n, j->data.captions.n);
    cli_print_plain(stdout, j->session.name);
    printf("\n\n");
    printf("in per cent        R@1      R@5     R@10   mean rank   median rank\n");
    row("image to text", &j->found.image_to_text);
    row("text to image", &j->found.text_to_image);
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
    cli_passed_json(&o, &j->data.passed);
    json_row(&o, "image_to_text", &j->found.image_to_text);
    json_row(&o, "text_to_image", &j->found.text_to_image);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

static int evaluate_retrieval(cli_args *a, job *j)
{
    if (!(j->spec = eval_operand(a)))
        return CLI_USAGE;
    DO(cli_open(a, CLIP_TOWER_BOTH, 0, &j->session));
    DO(eval_read(&j->session, j->spec, &j->eval, &j->data));
    DO(eval_retrieve(&j->session, j->spec, &j->data, &j->found));
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
    return evaluate_retrieval(a, j);
}

static int run(cli_args *a)
{
    job j = {.eval = {.captions = EVAL_ALL, .pairs = clip_pairs_options_default()}};
    int code = parse(a, &j);
    eval_retrieved_free(&j.found);
    eval_free(&j.data);
    cli_close(&j.session);
    return code;
}

const cli_command eval_retrieval = {
    .name = "retrieval",
    .operands = "DATA [OPTIONS]",
    .summary = "R@1/5/10 and ranks: words find pictures, pictures find words",
    .help =
        "Ranks all captions of DATA for each of its pictures, and all pictures for each caption. Prints how\n"
        "often the right one is among the best 1, 5 and 10 (R@k), and its mean and median rank, counted\n"
        "from 1.\n"
        "\n"
        "If a picture has several captions, any of them is right for it. For a caption only its own picture\n"
        "is right, even if another has the same caption (as in OpenCLIP). See 'clip eval --help' for what\n"
        "DATA can be.",
    .examples = "clip eval retrieval 'pairs/val-{000..003}.tar'\n"
                "clip eval retrieval flickr.tsv --image-key path --caption-key text --json",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
