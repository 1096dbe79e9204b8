/* clip pull: fetch models by name; and --pull of the other commands. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ---- The progress line ----------------------------------------------------------------------- */

typedef struct meter {
    clip_pull_progress last;
    double since;    /* when `seen` was taken */
    int64_t seen;    /* bytes fetched then */
    double rate;     /* bytes a second, smoothed; 0: not known yet */
    bool has_waited; /* has said whom it waits for */
} meter;

const char *cli_bytes(int64_t bytes, char out[32])
{
    if (bytes >= 9950000000)
        snprintf(out, 32, "%.0f GB", (double)bytes / 1e9);
    else if (bytes >= 999500000)
        snprintf(out, 32, "%.1f GB", (double)bytes / 1e9);
    else if (bytes >= 999500)
        snprintf(out, 32, "%.0f MB", (double)bytes / 1e6);
    else if (bytes >= 1000)
        snprintf(out, 32, "%.0f kB", (double)bytes / 1e3);
    else
        snprintf(out, 32, "%lld bytes", (long long)bytes);
    return out;
}

static void measure(meter *m, int64_t fetched)
{
    const double now = cli_now(), passed = now - m->since;
    if (passed < 0.5)
        return;
    const double rate = (double)(fetched - m->seen) / passed;
    m->rate = m->rate > 0 ? 0.7 * m->rate + 0.3 * rate : rate;
    m->since = now;
    m->seen = fetched;
}

/* "open_clip_model.safetensors: 120 MB of 605 MB, 11 MB/s, 0:44 left" */
static void show(meter *m, const clip_pull_progress *now)
{
    char line[512], done[32], total[32], speed[32], left[24];
    measure(m, now->fetched);
    if (now->total == 0) {
        snprintf(line, sizeof line, "asking for %s", now->file ? now->file : "the model");
    } else {
        int n = snprintf(line, sizeof line, "%.200s: %s of %s", now->file ? now->file : "", cli_bytes(now->done, done),
                         cli_bytes(now->total, total));
        if (m->rate >= 1)
            snprintf(line + n, sizeof line - (size_t)n, ", %s/s, %s left", cli_bytes((int64_t)m->rate, speed),
                     cli_time((double)(now->total - now->done) / m->rate, left));
    }
    cli_progress_show(line);
}

static bool on_progress(void *user, const clip_pull_progress *now)
{
    meter *m = user;
    if (now->waiting && !m->has_waited) {
        cli_warn("%s: waiting for %s, which fetches the same file", now->file, now->waiting);
        m->has_waited = true;
    }
    show(m, now);
    m->last = *now;
    return !cli_interrupted();
}

/* ---- Fetching -------------------------------------------------------------------------------- */

int cli_fetch(const char *name, bool if_missing, char **path, clip_pull_progress *last)
{
    meter m = {.since = cli_now()};
    clip_error err;
    clip_pull_options o = clip_pull_options_default();
    o.if_missing = if_missing;
    o.progress = on_progress;
    o.progress_user = &m;
    cli_catch_signals();
    const clip_status s = clip_pull(name, &o, path, &err);
    cli_progress_end();
    if (last)
        *last = m.last;
    if (s < 0)
        return cli_fail("%s", err.message);
    if (!*path) {
        cli_fail("%s: stopped; what has come is kept, and 'clip pull %s' goes on from there", name, name);
        return CLI_INTERRUPTED;
    }
    cli_release_signals();
    return CLI_DONE;
}

int cli_fetch_if_asked(const cli_args *a, const char *name)
{
    char *path = NULL;
    if (!a->pull)
        return CLI_DONE;
    const int code = cli_fetch(name, true, &path, NULL);
    free(path);
    return code;
}

/* ---- The command ----------------------------------------------------------------------------- */

static void report(const cli_args *a, const char *name, const char *path, const clip_pull_progress *p)
{
    char total[32], fetched[32];
    if (a->json) {
        cli_json j = {.f = stdout};
        cli_json_open(&j, NULL, '{');
        cli_json_string(&j, "name", name);
        cli_json_path(&j, "path", path);
        cli_json_int(&j, "files", p->files);
        cli_json_int(&j, "bytes", p->total);
        cli_json_int(&j, "fetched", p->fetched);
        cli_json_close(&j, '}');
        cli_json_line(&j);
        return;
    }
    cli_print_plain(stdout, name);
    if (p->files == 0)
        printf(": is here already\n  ");
    else if (p->fetched == 0)
        printf(": %s in %d files, all here already\n  ", cli_bytes(p->total, total), p->files);
    else
        printf(": %s in %d files, %s of them fetched now\n  ", cli_bytes(p->total, total), p->files,
               cli_bytes(p->fetched, fetched));
    cli_print_plain(stdout, path);
    putchar('\n');
}

static int run(cli_args *a)
{
    if (cli_next(a) != 0)
        return a->code;
    if (a->operands == 0)
        return cli_usage(a, "the name of a model is missing");
    for (int i = 0; i < a->operands; i++) {
        clip_pull_progress last = {0};
        char *path;
        DO(cli_fetch(a->operand[i], false, &path, &last));
        report(a, a->operand[i], path, &last);
        free(path);
    }
    return CLI_DONE;
}

const cli_command cli_pull = {
    .name = "pull",
    .operands = "[OPTIONS] NAME...",
    .summary = "fetch a model by its name",
    .help =
        "Fetches models from the Hugging Face hub into its cache, where Python's huggingface_hub finds\n"
        "them, and the other way round. NAME is ORG/NAME[@REVISION] or hf-hub:ORG/NAME, OpenCLIP's\n"
        "ARCHITECTURE/TAG, or Immich's ARCHITECTURE__TAG; 'clip models --known' lists names. Afterwards\n"
        "--model takes this name.\n"
        "\n"
        "Only weights, configuration and tokenizer are fetched: weights as safetensors, and where there\n"
        "are none as a pickle of PyTorch's, which is read without running it. Sizes and hashes are\n"
        "checked. After an interruption the same command goes on where it stopped.\n"
        "\n"
        "The cache is $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub. HF_TOKEN holds a\n"
        "token for private and gated models, HF_ENDPOINT the address of a mirror. With HF_HUB_OFFLINE=1\n"
        "nothing is fetched.",
    .examples = "clip pull ViT-B-32/laion2b_s34b_b79k\n"
                "clip classify --model ViT-B-32/laion2b_s34b_b79k --labels 'a cat,a dog' photo.jpg\n"
                "clip pull openai/clip-vit-base-patch32@main",
    .encodes_nothing = true,
    .opens_no_model = true,
    .run = run,
};
