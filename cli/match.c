/* clip match: do this picture and this text belong together? For one pair, for many pairs, or for
 * all pictures with all texts. */
#include <stdlib.h>

#include "match.h"

enum { TEXTS = EVAL_OWN, FILES_FROM, MATRIX, FITTED, FIT, EVALUATE, BATCH, HARDEST, WINOGROUND };

static const cli_option options[] = {
    {TEXTS, "texts", "LIST", "score each picture with each of these: 'a cat,a dog', or a file with one a line"},
    {FILES_FROM, "files-from", "FILE",
     "with --texts: read names of pictures from FILE, one a line; '-' is standard input"},
    {'0', "null", NULL, "zero bytes instead of newlines end the names in --files-from and '-'"},
    {MATRIX, "matrix", NULL, "score each picture of PAIRS with each of its texts"},
    {HARDEST, "hardest", "N", "the N most easily confused couples of PAIRS"},
    {FIT, "fit", NULL, "fit the probability to PAIRS and store it as match.json beside the model's weights"},
    {'o', "output", "FILE", "with --fit: store it in FILE instead"},
    {EVALUATE, "eval", NULL, "accuracy, AUC and calibration error on PAIRS and as many wrong pairs"},
    {BATCH, "batch", "N",
     "with --fit and --eval: wrong pairs are made in batches of N (default: 16); larger is harder"},
    {WINOGROUND, "winoground", NULL,
     "text, image and group score; PAIRS is a table with the columns image_0, image_1,\n"
     "caption_0 and caption_1"},
    {FITTED, "fitted", "FILE",
     "take the probability from FILE (default: match.json beside the weights, if it is there)"},
    {EVAL_CAPTIONS, "captions", "WHICH",
     "which captions of a picture make pairs with it: first, last or all (default: all)"},
    EVAL_KEYS,
    {0},
};

/* ---- Pairs ----------------------------------------------------------------------------------- */

static void heading(const match_job *j)
{
    if (!j->json)
        printf("probability cosine   logit\n");
}

/* One line: a picture, a text, and their score. */
static void line(const match_job *j, const char *picture, const char *text, float cosine)
{
    cli_json o = {.f = stdout};
    if (j->json) {
        cli_json_open(&o, NULL, '{');
        cli_json_path(&o, "path", picture);
        cli_json_string(&o, "text", text);
        match_score(j, &o, cosine);
        cli_json_close(&o, '}');
        cli_json_line(&o);
        return;
    }
    match_score(j, NULL, cosine);
    printf("  ");
    cli_print_plain(stdout, picture);
    printf("  ");
    cli_print_plain(stdout, text);
    putchar('\n');
}

static int list_pairs(match_job *j, const char *spec)
{
    match_pairs p;
    int code = match_read(j, spec, &p);
    if (code == CLI_DONE) {
        heading(j);
        for (int i = 0; i < p.n; i++) {
            const size_t at = (size_t)i * (size_t)j->session.D;
            line(j, p.data.keys.item[p.picture[i]], p.data.captions.item[i],
                 cli_cosine(p.image + at, p.text + at, j->session.D));
        }
        code = p.data.failed > 0 ? CLI_FAILED : CLI_DONE;
    }
    match_pairs_free(&p);
    return code;
}

/* ---- All pictures with all texts ------------------------------------------------------------- */

typedef struct matrix {
    match_job *j;
    const cli_list *texts;
    const float *text; /* [texts, D] */
    float *cosine;     /* [texts] */
} matrix;

static int matrix_row(void *user, cli_picture *p, const float *embedding)
{
    matrix *m = user;
    const int n = (int)m->texts->n;
    if (!embedding)
        return CLI_DONE;
    DO(cli_status(clip_similarity(m->j->session.ctx, embedding, 1, m->text, n, m->cosine), p->path));
    for (int t = 0; t < n; t++)
        line(m->j, p->path, m->texts->item[t], m->cosine[t]);
    return CLI_DONE;
}

static int start_matrix(match_job *j, const cli_list *texts, matrix *m, float **text)
{
    *text = malloc(texts->n * (size_t)j->session.D * sizeof **text);
    *m = (matrix){j, texts, *text, malloc(texts->n * sizeof(float))};
    if (!*text || !m->cosine)
        return cli_no_memory();
    return cli_encode_texts(&j->session, texts->item, texts->n, *text);
}

/* Either PICTURE TEXT, or pictures on the command line and texts from --texts. */
static int given_texts(cli_args *a, match_job *j, const cli_list *texts)
{
    cli_source source;
    matrix m = {0};
    float *text = NULL;
    DO(cli_source_open(a, j->files_from, j->delimiter, &source));
    int code = cli_check_texts(&j->session, texts);
    if (code == CLI_DONE)
        code = start_matrix(j, texts, &m, &text);
    if (code == CLI_DONE) {
        heading(j);
        code = cli_each_picture(&j->session, &source, 0, true, matrix_row, &m);
    }
    if (code == CLI_DONE && source.failed > 0)
        code = CLI_FAILED;
    free(text);
    free(m.cosine);
    cli_source_close(&source);
    return code;
}

/* A picture with several captions is listed once. */
static int own_texts(match_job *j, const char *spec)
{
    match_pairs p;
    matrix m = {.cosine = NULL};
    int code = match_read(j, spec, &p);
    if (code == CLI_DONE) {
        m = (matrix){j, &p.data.captions, p.text, malloc((size_t)p.n * sizeof(float))};
        code = m.cosine ? CLI_DONE : cli_no_memory();
    }
    if (code == CLI_DONE)
        heading(j);
    for (size_t i = 0; code == CLI_DONE && i < p.data.n; i++) {
        cli_picture picture = {.path = p.data.keys.item[i]};
        code = matrix_row(&m, &picture, p.data.image + i * (size_t)j->session.D);
    }
    if (code == CLI_DONE && p.data.failed > 0)
        code = CLI_FAILED;
    free(m.cosine);
    match_pairs_free(&p);
    return code;
}

/* ---- The command ----------------------------------------------------------------------------- */

/* Load the fitted probability. If it was asked for, it must exist and belong to the model. If it
 * only lies beside the weights, it is used if it belongs to the model. */
static int load_match(match_job *j)
{
    clip_error err;
    if (!j->fitted_arg && !clip_match_exists(j->session.model, NULL))
        return CLI_DONE;
    if (clip_match_load(j->session.model, j->fitted_arg, &j->match, &err) == CLIP_OK)
        j->fitted = true;
    else if (j->fitted_arg || err.code == CLIP_ENOMEM)
        return cli_fail("%s", err.message);
    else
        cli_warn("%s", err.message);
    return CLI_DONE;
}

static int one_pair(cli_args *a, match_job *j)
{
    cli_list text = {0};
    int code = cli_list_add(&text, a->operand[1]);
    a->operands = 1;
    if (code == CLI_DONE)
        code = given_texts(a, j, &text);
    cli_list_free(&text);
    return code;
}

static int with_texts(cli_args *a, match_job *j)
{
    cli_list texts = {0};
    int code = a->operands > 0 || j->files_from ? cli_labels_read(a, j->texts_arg, &texts)
                                                : cli_usage(a, "no picture is named");
    if (code == CLI_DONE)
        code = given_texts(a, j, &texts);
    cli_list_free(&texts);
    return code;
}

static int check(cli_args *a, const match_job *j, int mode)
{
    if (j->output && mode != FIT)
        return cli_usage(a, "--output goes with --fit");
    if (j->batch && mode != FIT && mode != EVALUATE)
        return cli_usage(a, "--batch goes with --fit and --eval");
    if (j->fitted_arg && (mode == FIT || mode == HARDEST || mode == WINOGROUND))
        return cli_usage(a, "--fitted does not go with modes that print no probabilities");
    if (j->files_from && !j->texts_arg)
        return cli_usage(a, "--files-from goes with --texts");
    if (mode != 0 && j->texts_arg)
        return cli_usage(a, "--texts goes with pictures, not with pairs");
    if (j->texts_arg)
        return CLI_DONE;
    if (a->operands == 0)
        return cli_usage(a, mode ? "the pairs are missing" : "a picture and a text, or pairs, are missing");
    if (a->operands > 2 || (mode && a->operands > 1))
        return cli_usage(a, mode ? "one set of PAIRS at a time ('::' joins several)"
                                 : "one picture and one text (--texts takes several)");
    return CLI_DONE;
}

static int match_inputs(cli_args *a, match_job *j, int mode)
{
    DO(check(a, j, mode));
    j->json = a->json;
    j->batch = j->batch ? j->batch : CLIP_MATCH_BATCH;
    const bool one = !mode && a->operands == 2 && !j->texts_arg;
    DO(cli_open(a, CLIP_TOWER_BOTH, one ? CLIP_TOWER_BOTH : 0, &j->session));
    if (mode == FIT)
        return match_fit(j, a->operand[0]);
    if (mode == WINOGROUND)
        return match_winoground(j, a->operand[0]);
    if (mode == HARDEST)
        return match_hardest(j, a->operand[0]);
    DO(load_match(j));
    if (mode == EVALUATE)
        return match_evaluate(j, a->operand[0]);
    if (mode == MATRIX)
        return own_texts(j, a->operand[0]);
    if (j->texts_arg)
        return with_texts(a, j);
    return a->operands == 2 ? one_pair(a, j) : list_pairs(j, a->operand[0]);
}

static int parse(cli_args *a, match_job *j)
{
    int mode = 0;
    const char *named = NULL;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case TEXTS: j->texts_arg = a->value; break;
        case FILES_FROM: j->files_from = a->value; break;
        case '0': j->delimiter = 0; break;
        case 'o':
            j->output = a->value;
            DO(cli_only_file(a, a->name, a->value));
            break;
        case FITTED: j->fitted_arg = a->value; break;
        case BATCH: DO(cli_number(a, 2, 1000000, &j->batch)); break;
        case EVAL_CAPTIONS:
        case EVAL_IMAGE_KEY:
        case EVAL_CAPTION_KEY: DO(eval_option(a, id, true, &j->eval)); break;
        case HARDEST: DO(cli_number(a, 1, 1000000, &j->hardest)); /* fall through */
        case MATRIX:
        case FIT:
        case EVALUATE:
        case WINOGROUND:
            if (mode && mode != id)
                return cli_usage(a, "--%s and --%s do not go together", named, a->name);
            mode = id;
            named = a->name;
            break;
        default: return a->code;
        }
    return match_inputs(a, j, mode);
}

static int run(cli_args *a)
{
    match_job j = {.delimiter = '\n', .eval = {.captions = EVAL_ALL, .pairs = clip_pairs_options_default()}};
    int code = parse(a, &j);
    cli_close(&j.session);
    return code;
}

const cli_command cli_match = {
    .name = "match",
    .operands = "PICTURE TEXT | PAIRS | --texts LIST PICTURE|FOLDER|-...",
    .summary = "do a picture and a text belong together",
    .help =
        "Scores pictures with texts: one PICTURE with one TEXT, the pairs of a set (a line each), or with\n"
        "--texts or --matrix each picture with each text. PAIRS are pictures with captions, as 'clip eval\n"
        "--help' says: a folder, a .tsv or .csv table, a .tar, or several joined by '::'.\n"
        "\n"
        "The cosine can be compared between pictures. The logit is the cosine times the model's scale. The\n"
        "probability that the pair belongs together is printed once it has been fitted (--fit) to pairs\n"
        "like those it will be used for. It assumes as many wrong pairs as true ones. The wrong pairs are\n"
        "hard: in batches of pairs, each picture with the most similar wrong text, and that text's picture\n"
        "with its own text. docs/matching.md says more.",
    .examples = "clip match photo.jpg 'a cat'\n"
                "clip match --fit pairs.tsv\n"
                "clip match --eval held-out.tsv --json\n"
                "clip match --hardest 20 pairs.tsv\n"
                "clip match --texts 'a cat,a dog' zoo/",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
