/* clip vqa: answer questions about pictures, train heads that answer, and measure the answers. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vqa.h"

enum {
    ANSWERS_FROM_INDEX = CLI_LONG,
    TEMPLATES,
    FILES_FROM,
    ZERO_SHOT,
    HEAD,
    FIT,
    EVAL,
    POOLED,
    UNBIASED,
    EPOCHS,
    HIDDEN,
    SEED
};

static const cli_option options[] = {
    {'a', "answers", "LIST",
     "the answers to choose from: 'red,green,blue', or a file with one a line\n"
     "(default: words that ship for such a question; with a head, all it has learned)"},
    {ANSWERS_FROM_INDEX, "answers-from-index", "DIR",
     "the answers to choose from: words of the texts in an index ('clip index'); for a kind\n"
     "of question with words of its own (colors, animals, ..), only such words, if it has any"},
    {TEMPLATES, "templates", "FILE",
     "a text with {} for the statement, or a file with one a line (default: '" CLI_TEMPLATE "')"},
    {'k', "top", "K", "print the K best answers (default: 3)"},
    {FILES_FROM, "files-from", "FILE", "read names of pictures from FILE, one a line; '-' is standard input"},
    {'0', "null", NULL, "zero bytes instead of newlines end the names in --files-from and '-'"},
    {ZERO_SHOT, "zero-shot", NULL, "answer by statements, even if the model has a head"},
    {HEAD, "head", "DIR", "where the head is, or where --fit puts it (default: the model's folder)"},
    {CLI_HEADING, NULL, NULL,
     "Tables of questions, with columns filepath, question, answer (several separated by '|')"},
    {EVAL, "eval", "TABLE", "score the answers, by type of question"},
    {FIT, "fit", "TABLE", "train a head on the frozen model"},
    {POOLED, "pooled", NULL, "fit on the embeddings alone, not on the tokens of a picture's patches"},
    {UNBIASED, "unbiased", NULL,
     "fit only what pictures add to the question alone: for answers spread otherwise than in TABLE"},
    {EPOCHS, "epochs", "N", "at most N epochs (default: 30)"},
    {HIDDEN, "hidden", "N", "width of the network (default: 512)"},
    {SEED, "seed", "N", "for random numbers (default: 0)"},
    {0},
};

typedef struct job {
    const char *answers_arg, *index, *templates_arg, *files_from, *head_dir, *fit, *eval;
    int k, delimiter;
    bool zero_shot, json;
    clip_vqa_options vqa;
    cli_list answers, templates;
    char **words; /* of the index */
    size_t n_words;
    cli_session session;
    cli_source source;
    clip_vqa *head;
    clip_question_options options;
    clip_question *question;
    clip_question_info info;
    float *p; /* [n] of the current picture */
    cli_out out;
    cli_json j;
} job;

/* ---- Answers --------------------------------------------------------------------------------- */

/* The most likely answer that has not been taken. Taken answers are negative. */
static int take_best(job *j)
{
    int best = 0;
    for (int i = 1; i < j->info.n; i++)
        best = j->p[i] > j->p[best] ? i : best;
    return best;
}

static void print_answers(job *j, const cli_picture *p)
{
    cli_print_plain(j->out.f, p->path);
    fputc('\n', j->out.f);
    for (int i = 0; i < j->k && i < j->info.n; i++) {
        const int best = take_best(j);
        fprintf(j->out.f, "  %5.1f %%  ", 100 * (double)j->p[best]);
        cli_print_plain(j->out.f, j->info.answers[best]);
        fputc('\n', j->out.f);
        j->p[best] = -1;
    }
}

static void json_answers(job *j, const cli_picture *p, bool sound)
{
    cli_json_open(&j->j, NULL, '{');
    cli_json_path(&j->j, "path", p->path);
    if (!sound) {
        cli_json_string(&j->j, "error", p->error.message);
    } else {
        cli_json_open(&j->j, "answers", '[');
        for (int i = 0; i < j->k && i < j->info.n; i++) {
            const int best = take_best(j);
            cli_json_open(&j->j, NULL, '{');
            cli_json_string(&j->j, "answer", j->info.answers[best]);
            cli_json_number(&j->j, "probability", (double)j->p[best]);
            cli_json_close(&j->j, '}');
            j->p[best] = -1;
        }
        cli_json_close(&j->j, ']');
    }
    cli_json_close(&j->j, '}');
}

static int picture(void *user, cli_picture *p, const float *embedding)
{
    job *j = user;
    if (embedding)
        DO(cli_status(clip_question_ask(j->session.ctx, j->question, embedding, 1, j->p), p->path));
    if (j->json)
        json_answers(j, p, embedding);
    else if (embedding)
        print_answers(j, p);
    return ferror(j->out.f) ? cli_out_check(&j->out) : CLI_DONE;
}

static void json_head(job *j, const char *question)
{
    j->j = (cli_json){.f = j->out.f};
    cli_json_open(&j->j, NULL, '{');
    cli_json_string(&j->j, "model", j->session.info.path);
    cli_json_string(&j->j, "question", question);
    cli_json_string(&j->j, "type", j->info.type);
    cli_json_string(&j->j, "by", j->head ? "head" : "zero-shot");
    if (!j->head)
        cli_json_string(&j->j, "statement", j->info.statement);
    cli_json_open(&j->j, "pictures", '[');
}

static int answer(cli_args *a, job *j)
{
    const char *question = *a->operand++; /* the remaining operands are pictures */
    clip_error err;
    a->operands--;
    DO(cli_source_open(a, j->files_from, j->delimiter, &j->source));
    if (clip_question_new(j->session.ctx, j->head, question, &j->options, &j->question, &err) < 0)
        return cli_fail("%s", err.message);
    clip_question_get_info(j->question, &j->info);
    if (!(j->p = malloc((size_t)j->info.n * sizeof *j->p)))
        return cli_no_memory();
    DO(cli_out_open(&j->out, NULL));
    if (j->json)
        json_head(j, question);
    DO(cli_each_picture(&j->session, &j->source, 0, isatty(STDOUT_FILENO), picture, j));
    if (j->json) {
        cli_json_close(&j->j, ']');
        cli_json_int(&j->j, "failed", j->source.failed);
        cli_passed_json(&j->j, &j->source.passed);
        cli_json_close(&j->j, '}');
        cli_json_line(&j->j);
    }
    DO(cli_out_check(&j->out));
    return j->source.failed > 0 ? CLI_FAILED : CLI_DONE;
}

/* ---- Fitting --------------------------------------------------------------------------------- */

static bool epoch(void *user, int n, double loss, double accuracy)
{
    (void)user;
    fprintf(stderr, "epoch %d  loss %.4f  held-back questions %.1f %%\n", n, loss, 100 * accuracy);
    return !cli_interrupted();
}

static int fit(job *j)
{
    vqa_data d;
    clip_error err;
    clip_vqa_info info;
    int code = vqa_read(&j->session, j->fit, &d);
    j->vqa.progress = epoch;
    cli_catch_signals();
    if (code == CLI_DONE &&
        clip_vqa_fit(j->session.ctx, d.asked, d.row, (int)d.n, d.image, &j->vqa, &j->head, &err) < 0)
        code = cli_fail("%s: %s", j->fit, err.message);
    if (code == CLI_DONE && clip_vqa_save(j->session.model, j->head, j->head_dir, &err) < 0)
        code = cli_fail("%s", err.message);
    if (code == CLI_DONE) {
        clip_vqa_get_info(j->head, &info);
        fprintf(stderr, "%d answers, %d questions learned, %d held back; epoch %d answers %.1f %%\n",
                info.answers, info.trained, info.held_back, info.epoch, 100 * info.accuracy);
        code = d.failed > 0 ? CLI_FAILED : CLI_DONE;
    }
    vqa_free(&d);
    return code;
}

/* ---- Words of an index ----------------------------------------------------------------------- */

static int read_words(const cli_args *a, job *j)
{
    clip_index *x;
    clip_error err;
    if (j->head)
        return cli_usage(a,
                         "--answers-from-index: a head chooses among its own answers (use --zero-shot)");
    DO(cli_index_open(a, j->index, NULL, CLI_INDEX_READ, &x));
    const clip_status s = clip_index_words(x, &j->words, &j->n_words, &err);
    clip_index_close(x, NULL);
    if (s < 0)
        return cli_fail("%s", err.message);
    return j->n_words > 0
               ? CLI_DONE
               : cli_fail("%s: the index has no texts ('clip index --captions' adds those beside pictures)",
                          j->index);
}

/* ---- The command ----------------------------------------------------------------------------- */

static int load_head(job *j)
{
    clip_error err;
    if (j->zero_shot || (!j->head_dir && !clip_vqa_exists(j->session.model, NULL)))
        return CLI_DONE;
    return clip_vqa_load(j->session.model, j->head_dir, &j->head, &err) < 0 ? cli_fail("%s", err.message) : CLI_DONE;
}

static int check(const cli_args *a, const job *j)
{
    if (j->fit && j->eval)
        return cli_usage(a, "give only one of --fit and --eval");
    if ((j->fit || j->eval) && (a->operands > 0 || j->files_from))
        return cli_usage(a, "--%s takes its questions and pictures from the table", j->fit ? "fit" : "eval");
    if (j->index && (j->fit || j->answers_arg))
        return cli_usage(a, "--answers-from-index does not go with --%s", j->fit ? "fit" : "answers");
    if ((j->vqa.pooled || j->vqa.unbiased) && !j->fit)
        return cli_usage(a, "--%s goes with --fit", j->vqa.pooled ? "pooled" : "unbiased");
    if (j->zero_shot && (j->fit || j->head_dir))
        return cli_usage(a, "--zero-shot does not go with --%s", j->fit ? "fit" : "head");
    if (!j->fit && !j->eval && a->operands == 0)
        return cli_usage(a, "no question is asked");
    if (!j->fit && !j->eval && a->operands == 1 && !j->files_from)
        return cli_usage(a, "no picture is named");
    return CLI_DONE;
}

/* Make the session encode pictures as heads need them. */
static void look(cli_session *s)
{
    s->kind = CLI_LOOK;
    s->row = clip_look_width(s->model);
}

static int answer_questions(cli_args *a, job *j)
{
    DO(check(a, j));
    if (j->answers_arg)
        DO(cli_labels_read(a, j->answers_arg, &j->answers));
    DO(cli_templates_read(a, j->templates_arg, &j->templates));
    DO(cli_open(a, CLIP_TOWER_BOTH, 0, &j->session));
    j->json = a->json;
    if (j->fit) {
        look(&j->session);
        return fit(j);
    }
    DO(load_head(j));
    if (j->head)
        look(&j->session);
    if (j->index)
        DO(read_words(a, j));
    j->options = (clip_question_options){.answers = (const char *const *)j->answers.item,
                                         .n_answers = (int)j->answers.n,
                                         .words = (const char *const *)j->words,
                                         .n_words = (int)j->n_words,
                                         .templates = (const char *const *)j->templates.item,
                                         .n_templates = (int)j->templates.n};
    return j->eval ? vqa_evaluate(&j->session, j->eval, j->head, &j->options, a->json) : answer(a, j);
}

static int parse(cli_args *a, job *j)
{
    int seed = 0;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case 'a': j->answers_arg = a->value; break;
        case ANSWERS_FROM_INDEX: j->index = a->value; break;
        case TEMPLATES: j->templates_arg = a->value; break;
        case 'k': DO(cli_number(a, 1, 1000000, &j->k)); break;
        case FILES_FROM: j->files_from = a->value; break;
        case '0': j->delimiter = 0; break;
        case ZERO_SHOT: j->zero_shot = true; break;
        case HEAD: j->head_dir = a->value; break;
        case FIT: j->fit = a->value; break;
        case EVAL: j->eval = a->value; break;
        case POOLED: j->vqa.pooled = true; break;
        case UNBIASED: j->vqa.unbiased = true; break;
        case EPOCHS: DO(cli_number(a, 1, 100000, &j->vqa.epochs)); break;
        case HIDDEN: DO(cli_number(a, 1, 65536, &j->vqa.hidden)); break;
        case SEED: DO(cli_number(a, 0, INT32_MAX, &seed)); break;
        default: return a->code;
        }
    j->vqa.seed = (uint64_t)seed;
    return answer_questions(a, j);
}

static int run(cli_args *a)
{
    job j = {.k = 3, .delimiter = '\n', .vqa = clip_vqa_options_default()};
    int code = parse(a, &j);
    clip_question_free(j.question);
    clip_vqa_free(j.head);
    free(j.p);
    cli_source_close(&j.source);
    cli_list_free(&j.answers);
    cli_list_free(&j.templates);
    clip_list_free(j.words, j.n_words);
    cli_close(&j.session);
    return code;
}

const cli_command cli_vqa = {
    .name = "vqa",
    .operands = "[OPTIONS] QUESTION PICTURE|FOLDER|-...",
    .summary = "answers a question about pictures",
    .help =
        "Answers QUESTION, in plain English, about each picture, with probabilities among the answers to\n"
        "choose from. A FOLDER means every picture below it; '-' reads names from standard input.\n"
        "\n"
        "Without training (zero-shot) the question becomes a statement with a hole, 'what color is the\n"
        "car?' '{} car', and the picture chooses among the statements completed with each answer. 'Is there\n"
        "a dog?' is yes if a dog fits the picture better than nearly all of a list of common things.\n"
        "\n"
        "--fit trains a head on a table of questions with answers and saves it with the model, as vqa.json\n"
        "and vqa.safetensors. From then on the head answers, unless --zero-shot is given. --eval scores\n"
        "answers as VQA v2 does: an answer is right if three people gave it. For comparison it prints the\n"
        "scores of a head that knows the question alone, and of the most frequent answer to each type of\n"
        "question.",
    .examples = "clip vqa 'what animal is this?' zoo/\n"
                "clip vqa 'what color is the car?' --answers red,green,blue photo.jpg\n"
                "clip vqa -m ViT-B-32 --fit train.tsv --head heads/vqa\n"
                "clip vqa -m ViT-B-32 --head heads/vqa --eval test.tsv",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
