/* clip probe: learn classes from the embeddings of a model that does not change. */
#include "probe.h"

#include <stdlib.h>
#include <string.h>

enum { VAL = EVAL_OWN, TEST, SHOTS, TEMPLATES, KNN, LAMBDA, SEED, APPLY, CLASSES };

static const cli_option options[] = {
    {VAL, "val-data", "DATA",
     "choose swept values on these pictures (default: a fifth of the training pictures of each class)"},
    {TEST, "test-data", "DATA", "measure on these pictures (default: a fifth of the pictures of each class)"},
    {LAMBDA, "l2", "L2", "strength of the regularisation, 1/C of scikit-learn (default: swept over 1e-6 .. 1e6)"},
    {SHOTS, "shots", "K", "instead of a linear probe: K pictures a class, with the words of the labels (Tip-Adapter)"},
    {TEMPLATES, "templates", "FILE", "with --shots: a text with {} where the label goes, or a file with one a line"},
    {KNN, "knn", "K", "instead of a linear probe: the K nearest training pictures vote"},
    {SEED, "seed", "N", "for the random choice of parts and shots (default: 0)"},
    {CLASSES, "per-class", NULL, "also print the accuracy of each class"},
    {'o', "output", "DIR", "store the probe"},
    {APPLY, "apply", "DIR", "classify the given pictures with the probe stored in DIR"},
    {'k', "top", "K", "with --apply: print the K best labels (default: 5)"},
    {EVAL_CAPTIONS, "captions", "WHICH", "which caption of a picture is its label: first or last (default: first)"},
    EVAL_KEYS,
    {0},
};

typedef struct job {
    probe_split split;
    const char *templates_arg, *output, *apply;
    eval_options eval;
    clip_probe_options opt;
    int k;                     /* 0: not given */
    const char *of_learning;   /* an option that --apply cannot use; NULL: none given */
    bool json, classes;
    cli_session session;
    probe_sets sets;
    cli_list templates;
    float *text;
    clip_probe *probe;
    clip_probe_info info;
    double seconds; /* of the fit */
    int32_t *asked, *right; /* [classes] test pictures; those classified right */
} job;

/* ---- Measuring ------------------------------------------------------------------------------- */

static int count_right(job *j)
{
    enum { BLOCK = 256 };
    const probe_part *t = &j->sets.test;
    const size_t C = (size_t)j->info.classes, D = (size_t)j->session.D;
    float *p = malloc(BLOCK * C * sizeof *p);
    j->asked = calloc(C, sizeof *j->asked);
    j->right = calloc(C, sizeof *j->right);
    int code = p && j->asked && j->right ? CLI_DONE : cli_no_memory();
    for (size_t i0 = 0; i0 < t->n && code == CLI_DONE; i0 += BLOCK) {
        const int n = t->n - i0 < BLOCK ? (int)(t->n - i0) : BLOCK;
        code = cli_status(clip_probe_predict(j->session.ctx, j->probe, t->image + i0 * D, n, p), j->split.train);
        for (int i = 0; i < n && code == CLI_DONE; i++) {
            const float *row = p + (size_t)i * C;
            size_t best = 0;
            for (size_t c = 1; c < C; c++)
                if (row[c] > row[best])
                    best = c;
            const size_t label = (size_t)t->label[i0 + (size_t)i];
            j->asked[label]++;
            j->right[label] += best == label;
        }
    }
    free(p);
    return code;
}

typedef struct summary {
    double top1, mean_per_class;
    long tested; /* classes */
} summary;

static summary summarise(const job *j)
{
    summary s = {0};
    double right = 0, shares = 0;
    for (int c = 0; c < j->info.classes; c++) {
        right += j->right[c];
        if (j->asked[c] > 0) {
            shares += (double)j->right[c] / j->asked[c];
            s.tested++;
        }
    }
    s.top1 = right / (double)j->sets.test.n;
    s.mean_per_class = shares / (double)s.tested;
    return s;
}

/* ---- Printing -------------------------------------------------------------------------------- */

static const char *kind_name(const job *j)
{
    return j->opt.kind == CLIP_PROBE_LINEAR  ? "linear probe"
           : j->opt.kind == CLIP_PROBE_CACHE ? "few-shot cache"
                                             : "nearest neighbours";
}

static void print_kind(const job *j)
{
    const clip_probe_info *i = &j->info;
    if (i->kind == CLIP_PROBE_LINEAR)
        printf("l2 %.4g, %d iterations%s", i->l2, i->iterations, i->converged ? "" : " (not converged)");
    else if (i->kind == CLIP_PROBE_CACHE)
        printf("%d shots, alpha %.4g, beta %.4g", j->split.shots, i->alpha, i->beta);
    else
        printf("%d neighbours", i->neighbours);
}

static void print_people(const job *j, const summary *s)
{
    cli_print_plain(stdout, j->split.train);
    printf(": %s, %d classes; pictures: %zu training, %zu validation, %zu test\n", kind_name(j), j->info.classes,
           j->sets.train.n, j->sets.val.n, j->sets.test.n);
    print_kind(j);
    printf(", fitted in %.2f s\n", j->seconds);
    if (j->sets.val.n > 0 && j->info.kind != CLIP_PROBE_NEIGHBOURS)
        printf("validation  %6.2f %%\n", 100 * j->info.accuracy);
    printf("test        %6.2f %%   mean of the classes %.2f %%\n", 100 * s->top1, 100 * s->mean_per_class);
    for (int c = 0; c < j->info.classes && j->classes; c++) {
        if (j->asked[c] == 0)
            continue;
        printf("%8d of %-6d%6.2f %%  ", j->right[c], j->asked[c], 100.0 * j->right[c] / j->asked[c]);
        cli_print_plain(stdout, j->info.names[c]);
        putchar('\n');
    }
    if (j->sets.failed > 0)
        printf("%ld samples could not be read and are left out\n", j->sets.failed);
}

static void json_kind(const job *j, cli_json *o)
{
    const clip_probe_info *i = &j->info;
    cli_json_string(o, "kind",
                    i->kind == CLIP_PROBE_LINEAR  ? "linear"
                    : i->kind == CLIP_PROBE_CACHE ? "cache"
                                                  : "neighbours");
    if (i->kind == CLIP_PROBE_LINEAR) {
        cli_json_number(o, "l2", i->l2);
        cli_json_int(o, "iterations", i->iterations);
        cli_json_raw(o, "converged", i->converged ? "true" : "false");
    } else if (i->kind == CLIP_PROBE_CACHE) {
        cli_json_int(o, "shots", j->split.shots);
        cli_json_number(o, "alpha", i->alpha);
        cli_json_number(o, "beta", i->beta);
    } else {
        cli_json_int(o, "neighbours", i->neighbours);
    }
}

static void print_json(const job *j, const summary *s)
{
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "data", j->split.train);
    cli_json_string(&o, "model", j->session.info.path);
    json_kind(j, &o);
    cli_json_int(&o, "classes", j->info.classes);
    cli_json_int(&o, "training", (long long)j->sets.train.n);
    cli_json_int(&o, "validation", (long long)j->sets.val.n);
    cli_json_int(&o, "test", (long long)j->sets.test.n);
    cli_json_int(&o, "failed", j->sets.failed);
    cli_passed_json(&o, &j->sets.passed);
    cli_json_number(&o, "seconds", j->seconds);
    if (j->sets.val.n > 0 && j->info.kind != CLIP_PROBE_NEIGHBOURS)
        cli_json_number(&o, "validation_top1", j->info.accuracy);
    cli_json_number(&o, "top1", s->top1);
    cli_json_number(&o, "mean_per_class", s->mean_per_class);
    cli_json_open(&o, "per_class", '[');
    for (int c = 0; c < j->info.classes; c++) {
        cli_json_open(&o, NULL, '{');
        cli_json_string(&o, "label", j->info.names[c]);
        cli_json_int(&o, "test", j->asked[c]);
        cli_json_int(&o, "right", j->right[c]);
        cli_json_close(&o, '}');
    }
    cli_json_close(&o, ']');
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

/* ---- Fitting --------------------------------------------------------------------------------- */

static int embed_names(job *j)
{
    if (j->opt.kind != CLIP_PROBE_CACHE)
        return CLI_DONE;
    DO(cli_check_texts(&j->session, &j->sets.names));
    DO(cli_encode_labels(&j->session, &j->sets.names, &j->templates, &j->text));
    j->opt.text = j->text;
    return CLI_DONE;
}

static clip_probe_data data_of(const probe_part *p) { return (clip_probe_data){p->image, p->label, (int)p->n}; }

static int fit(job *j)
{
    const clip_probe_data train = data_of(&j->sets.train), val = data_of(&j->sets.val);
    clip_error err;
    const double start = cli_now();
    if (clip_probe_fit(j->session.ctx, (const char *const *)j->sets.names.item, (int)j->sets.names.n, &train,
                       val.n > 0 ? &val : NULL, &j->opt, &j->probe, &err) < 0)
        return cli_fail("%s: %s", j->split.train, err.message);
    j->seconds = cli_now() - start;
    clip_probe_get_info(j->probe, &j->info);
    if (!j->info.converged)
        cli_warn("%s: the fit has not converged in %d iterations", j->split.train, j->info.iterations);
    return CLI_DONE;
}

static int store(const job *j)
{
    clip_error err;
    if (j->output && clip_probe_save(j->session.model, j->probe, j->output, &err) < 0)
        return cli_fail("%s", err.message);
    return CLI_DONE;
}

static int learn(cli_args *a, job *j)
{
    if (!(j->split.train = eval_operand(a)))
        return CLI_USAGE;
    DO(cli_templates_read(a, j->templates_arg, &j->templates));
    j->split.want_val = j->opt.kind == CLIP_PROBE_CACHE || (j->opt.kind == CLIP_PROBE_LINEAR && j->opt.l2 == 0);
    DO(cli_open(a, j->opt.kind == CLIP_PROBE_CACHE ? CLIP_TOWER_BOTH : CLIP_TOWER_IMAGE, 0, &j->session));
    DO(probe_read(&j->session, &j->split, &j->eval, &j->sets));
    if (j->sets.test.n == 0)
        return cli_fail("%s: no picture is left for the test: a class needs five (or use --test-data)",
                        j->split.train);
    DO(embed_names(j));
    DO(fit(j));
    DO(count_right(j));
    DO(store(j));
    const summary s = summarise(j);
    (j->json ? print_json : print_people)(j, &s);
    return j->sets.failed > 0 ? CLI_FAILED : CLI_DONE;
}

static int check(const cli_args *a, const job *j)
{
    if (j->apply && j->of_learning)
        return cli_usage(a, "--%s goes with learning, not with --apply", j->of_learning);
    if (!j->apply && j->k)
        return cli_usage(a, "--top goes with --apply");
    if (j->templates_arg && j->opt.kind != CLIP_PROBE_CACHE)
        return cli_usage(a, "--templates goes with --shots");
    if (j->opt.l2 > 0 && j->opt.kind != CLIP_PROBE_LINEAR)
        return cli_usage(a, "--l2 goes with a linear probe, not with --shots or --knn");
    if (j->split.val && j->opt.kind == CLIP_PROBE_NEIGHBOURS)
        return cli_usage(a, "--val-data does not go with --knn, which sweeps nothing");
    return CLI_DONE;
}

static int fit_or_apply(cli_args *a, job *j)
{
    DO(check(a, j));
    j->json = a->json;
    if (!j->apply)
        return learn(a, j);
    if (a->operands == 0)
        return cli_usage(a, "no picture is named");
    DO(cli_open(a, CLIP_TOWER_IMAGE, 0, &j->session));
    return probe_apply(a, &j->session, j->apply, j->k ? j->k : 5);
}

static int choose(const cli_args *a, job *j, clip_probe_kind kind)
{
    if (j->opt.kind != CLIP_PROBE_LINEAR && j->opt.kind != kind)
        return cli_usage(a, "--shots and --knn do not go together");
    j->opt.kind = kind;
    return CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    for (int id; (id = cli_next(a)) != 0;) {
        if (id != APPLY && id != 'k')
            j->of_learning = a->name;
        switch (id) {
        case VAL: j->split.val = a->value; break;
        case TEST: j->split.test = a->value; break;
        case LAMBDA: DO(cli_decimal(a, 1e-12, 1e12, &j->opt.l2)); break;
        case SHOTS:
            DO(choose(a, j, CLIP_PROBE_CACHE));
            DO(cli_number(a, 1, 1000000, &j->split.shots));
            break;
        case KNN:
            DO(choose(a, j, CLIP_PROBE_NEIGHBOURS));
            DO(cli_number(a, 1, 1000000, &j->opt.neighbours));
            break;
        case TEMPLATES: j->templates_arg = a->value; break;
        case SEED: DO(cli_number(a, 0, 1000000000, &j->split.seed)); break;
        case CLASSES: j->classes = true; break;
        case 'o': j->output = a->value; break;
        case APPLY: j->apply = a->value; break;
        case 'k': DO(cli_number(a, 1, 1000000, &j->k)); break;
        case EVAL_CAPTIONS:
        case EVAL_IMAGE_KEY:
        case EVAL_CAPTION_KEY: DO(eval_option(a, id, false, &j->eval)); break;
        default: return a->code;
        }
    }
    return fit_or_apply(a, j);
}

static int run(cli_args *a)
{
    job j = {.opt = clip_probe_options_default(),
             .eval = {.captions = EVAL_FIRST, .pairs = clip_pairs_options_default()}};
    int code = parse(a, &j);
    clip_probe_free(j.probe);
    free(j.text);
    free(j.asked);
    free(j.right);
    probe_sets_free(&j.sets);
    cli_list_free(&j.templates);
    cli_close(&j.session);
    return code;
}

const cli_command cli_probe = {
    .name = "probe",
    .operands = "DATA [OPTIONS] | --apply DIR PICTURE|FOLDER|-...",
    .summary = "learn classes from labelled pictures, and classify others",
    .help =
        "Learns the classes of DATA from the embeddings of the model, which does not change, and measures\n"
        "them on pictures that were not learnt from. DATA is labelled pictures, as 'clip eval --help' says:\n"
        "in a folder without captions a picture's label is the name of its folder.\n"
        "\n"
        "A linear probe is logistic regression, with the regularisation that does best on the validation\n"
        "part. With few pictures a class, --shots does better: it starts from the embeddings of the labels.\n"
        "--knn lets the nearest pictures vote. -o stores the measured probe, and --apply classifies\n"
        "pictures with it. docs/probes.md says more.",
    .examples = "clip probe flowers/\n"
                "clip probe --shots 4 --templates 'a photo of a {}, a flower.' flowers/\n"
                "clip probe flowers/ -o flowers.probe && clip probe --apply flowers.probe garden.jpg\n"
                "clip probe train.tsv --caption-key label --test-data test.tsv --json",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
