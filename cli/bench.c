/* clip bench: the speed of this model on this machine. Times are medians after a warm-up. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"

#define LEAST_SECONDS 0.5 /* for each row of the table */
enum { LEAST_RUNS = 5, MOST_RUNS = 1000, LOADS = 3, TOKENS = 12, WIDE = 4000, HIGH = 3000 };

typedef struct job {
    cli_session session;
    float *pixels, *embedding; /* CLI_BATCH of each */
    clip_image photo;
    const char *texts[CLI_BATCH];
    int32_t *ids; /* [context_length] */
    char caption[256];
    int tokens;   /* in the caption: TOKENS, or as near as the tokenizer allows */
    int batch;    /* of the current measurement */
    double load;  /* seconds */
    long resident, peak; /* KB: with the model loaded; peak */
} job;

typedef clip_status (*measure_fn)(job *j);

/* ---- Measurements ---------------------------------------------------------------------------- */

static clip_status run_images(job *j) { return clip_encode_pixels(j->session.ctx, j->pixels, j->batch, j->embedding); }

static clip_status run_texts(job *j) { return clip_encode_text(j->session.ctx, j->texts, j->batch, j->embedding); }

static clip_status run_preprocess(job *j) { return clip_preprocess(j->session.model, &j->photo, j->pixels); }

static clip_status run_tokenizer(job *j)
{
    int n;
    for (int i = 0; i < j->batch; i++) {
        clip_status s = clip_tokenize(j->session.model, j->caption, j->ids, &n);
        if (s < 0)
            return s;
    }
    return CLIP_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median time of a run, in seconds. */
static int median(job *j, measure_fn f, int batch, double *out)
{
    static double seconds[MOST_RUNS];
    int n = 0;
    j->batch = batch;
    DO(cli_encoded(j->session.ctx, f(j), "bench")); /* warm-up */
    for (double begin = cli_now(); n < MOST_RUNS && (n < LEAST_RUNS || cli_now() - begin < LEAST_SECONDS); n++) {
        double start = cli_now();
        DO(cli_encoded(j->session.ctx, f(j), "bench"));
        seconds[n] = cli_now() - start;
    }
    qsort(seconds, (size_t)n, sizeof *seconds, by_value);
    *out = seconds[n / 2];
    return CLI_DONE;
}

/* ---- Preparation ----------------------------------------------------------------------------- */

static long peak_kilobytes(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? u.ru_maxrss : 0;
}

/* Load the model a few times. After the first time its files are in the cache. */
static int load(const cli_args *a, job *j)
{
    double seconds[LOADS];
    for (int i = 0; i < LOADS; i++) {
        cli_close(&j->session);
        double start = cli_now();
        DO(cli_open(a, CLIP_TOWER_BOTH, 0, &j->session));
        seconds[i] = cli_now() - start;
        if (i == 0)
            j->resident = peak_kilobytes();
    }
    qsort(seconds, LOADS, sizeof *seconds, by_value);
    j->load = seconds[LOADS / 2];
    return CLI_DONE;
}

/* A caption of TOKENS tokens: words while they fit, then the letter a, which is one token in every
 * vocabulary. */
static int write_caption(job *j)
{
    static const char *const words[] = {"a",   "photo", "of",    "small", "dog", "on",
                                        "the", "green", "grass", "near",  "red", "house"};
    const int want = TOKENS < j->session.info.context_length ? TOKENS : j->session.info.context_length;
    for (size_t w = 0; j->tokens < want && w < 4 * TOKENS; w++) {
        size_t end = strlen(j->caption);
        const char *word = w < sizeof words / sizeof *words ? words[w] : "a";
        if (end + strlen(word) + 2 > sizeof j->caption)
            break;
        int n;
        sprintf(j->caption + end, "%s%s", end > 0 ? " " : "", word);
        DO(cli_status(clip_tokenize(j->session.model, j->caption, j->ids, &n), "tokenizer"));
        if (n > want)
            j->caption[end] = 0;
        else
            j->tokens = n;
    }
    for (int i = 0; i < CLI_BATCH; i++)
        j->texts[i] = j->caption;
    return CLI_DONE;
}

static int prepare(const cli_args *a, job *j)
{
    DO(load(a, j));
    const clip_model_info *info = &j->session.info;
    const size_t pixels = CLI_BATCH * info->picture_floats,
                 bytes = 3 * (size_t)WIDE * HIGH;
    j->pixels = malloc(pixels * sizeof *j->pixels);
    j->embedding = malloc(CLI_BATCH * (size_t)j->session.D * sizeof *j->embedding);
    j->ids = malloc((size_t)info->context_length * sizeof *j->ids);
    j->photo = (clip_image){WIDE, HIGH, 3 * (size_t)WIDE, malloc(bytes)};
    if (!j->pixels || !j->embedding || !j->ids || !j->photo.rgb)
        return cli_no_memory();
    for (size_t i = 0; i < bytes; i++)
        j->photo.rgb[i] = (uint8_t)((i * 2654435761u) >> 24);
    for (size_t i = 0; i < pixels; i += info->picture_floats)
        DO(cli_status(clip_preprocess(j->session.model, &j->photo, j->pixels + i), "preprocess"));
    return write_caption(j);
}

/* ---- The table ------------------------------------------------------------------------------- */

typedef struct results {
    clip_machine_speed speed;
    double image_1, image_32, text_1, text_32, tokenizer, preprocess; /* seconds of a run */
} results;

static int measure(job *j, results *r)
{
    DO(cli_status(clip_measure(j->session.ctx, &r->speed), "bench"));
    DO(median(j, run_images, 1, &r->image_1));
    DO(median(j, run_images, CLI_BATCH, &r->image_32));
    DO(median(j, run_texts, 1, &r->text_1));
    DO(median(j, run_texts, CLI_BATCH, &r->text_32));
    DO(median(j, run_tokenizer, 1000, &r->tokenizer));
    DO(median(j, run_preprocess, 1, &r->preprocess));
    j->peak = peak_kilobytes();
    return CLI_DONE;
}

static void row(const char *name, double seconds, int n, const char *unit)
{
    const bool micro = seconds / n < 1e-4;
    printf("  %-22s%10.3f %s%14.1f %s/s\n", name, (micro ? 1e6 : 1e3) * seconds / n, micro ? "us" : "ms", n / seconds,
           unit);
}

static void print_people(const job *j, const results *r)
{
    const clip_model_info *i = &j->session.info;
    char caption[32], note[32];
    snprintf(caption, sizeof caption, "text (%d tokens)", j->tokens);
    cli_print_plain(stdout, j->session.name);
    printf(", %s, %s, %s%s", i->vision_kind, i->weights_type, i->isa, cli_precision_note(i, note));
    const int threads = clip_context_threads(j->session.ctx);
    printf(", %d thread%s", threads, threads == 1 ? "" : "s");
    printf("\n\nmachine\n  multiply-adds         %10.1f GFLOP/s\n", r->speed.fma_gflops);
    printf("  largest product       %10.1f GFLOP/s%10.1f %% of that\n", r->speed.gemm_gflops,
           100 * r->speed.gemm_gflops / r->speed.fma_gflops);
    printf("\none at a time\n");
    row("picture", r->image_1, 1, "pictures");
    row(caption, r->text_1, 1, "texts");
    printf("\n%d at a time, for each\n", CLI_BATCH);
    row("picture", r->image_32, CLI_BATCH, "pictures");
    row(caption, r->text_32, CLI_BATCH, "texts");
    printf("\naround it\n");
    row("tokenizer", r->tokenizer, 1000, "texts");
    row("12 MP to pixels", r->preprocess, 1, "pictures");
    printf("  %-22s%10.3f ms\n", "loading", 1e3 * j->load);
    printf("  %-22s%10.1f MB\n", "memory, loaded", (double)j->resident / 1024);
    printf("  %-22s%10.1f MB\n", "memory, at most", (double)j->peak / 1024);
}

static void print_json(const job *j, const results *r)
{
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "model", j->session.info.path);
    cli_json_string(&o, "weights_type", j->session.info.weights_type);
    cli_json_string(&o, "isa", j->session.info.isa);
    cli_json_string(&o, "precision", j->session.info.precision);
    cli_json_int(&o, "threads", clip_context_threads(j->session.ctx));
    cli_json_number(&o, "fma_gflops", r->speed.fma_gflops);
    cli_json_number(&o, "gemm_gflops", r->speed.gemm_gflops);
    cli_json_number(&o, "image_batch1_ms", 1e3 * r->image_1);
    cli_json_number(&o, "image_batch32_ms", 1e3 * r->image_32 / CLI_BATCH);
    cli_json_int(&o, "text_tokens", j->tokens);
    cli_json_number(&o, "text_batch1_ms", 1e3 * r->text_1);
    cli_json_number(&o, "text_batch32_ms", 1e3 * r->text_32 / CLI_BATCH);
    cli_json_number(&o, "tokenizer_texts_per_s", 1000 / r->tokenizer);
    cli_json_number(&o, "preprocess_12mp_ms", 1e3 * r->preprocess);
    cli_json_number(&o, "load_ms", 1e3 * j->load);
    cli_json_number(&o, "loaded_mb", (double)j->resident / 1024);
    cli_json_number(&o, "peak_mb", (double)j->peak / 1024);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

static int run(cli_args *a)
{
    job j = {0};
    results r;
    if (cli_next(a) != 0)
        return a->code;
    if (a->operands > 0)
        return cli_usage(a, "unexpected argument '%s'", a->operand[0]);
    int code = prepare(a, &j);
    if (code == CLI_DONE)
        code = measure(&j, &r);
    if (code == CLI_DONE)
        (a->json ? print_json : print_people)(&j, &r);
    free(j.pixels);
    free(j.embedding);
    free(j.ids);
    free(j.photo.rgb);
    cli_close(&j.session);
    return code;
}

const cli_command cli_bench = {
    .name = "bench",
    .operands = "[OPTIONS]",
    .summary = "the speed of this model on this machine",
    .help =
        "Measures for some seconds: the machine's peak of multiply-adds, and how much of it the model's\n"
        "largest matrix product reaches; both encoders, one at a time and 32 at a time (a caption of 12\n"
        "tokens); the tokenizer; preparing a picture of 12 megapixels; loading; and memory (resident set).\n"
        "Times are medians after a warm-up. The machine should have nothing else to do.",
    .examples = "clip bench\n"
                "clip bench --model path/to/ViT-B-32 --threads 1 --json",
    .run = run,
};
