/* A loaded model with its workspace, and the encoding of texts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define TEXTS_AT_ONCE 256 /* texts between two updates of the progress line */
#define FEW_TEXTS 32       /* for more, packing the weights takes less time than reading them unpacked */
#define WORTH_KEEPING 100  /* texts; for fewer, hashing the weights takes longer */

static void warn(void *user, const char *message)
{
    (void)user;
    cli_warn("%s", message);
}

/* Split FILE:PREFIX, unless a file has this whole name. *path becomes a copy of FILE. The colon of
 * "local-dir:" does not count. */
static int split_prefix(const char *model, char **path, const char **prefix)
{
    const char *name = strncmp(model, "local-dir:", 10) == 0 ? model + 10
                       : strncmp(model, "hf-hub:", 7) == 0   ? model + 7
                                                             : model;
    const char *colon = strrchr(name, ':');
    *prefix = colon && access(model, F_OK) != 0 && access(name, F_OK) != 0 ? colon + 1 : NULL;
    *path = *prefix ? strndup(model, (size_t)(colon - model)) : strdup(model);
    return *path ? CLI_DONE : cli_no_memory();
}

static void name_session(cli_session *s)
{
    const char *path = s->info.path, *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/')
        end--;
    const char *start = end;
    while (start > path && start[-1] != '/')
        start--;
    snprintf(s->name, sizeof s->name, "%.*s", (int)(end - start), start);
}

int cli_load(const cli_args *a, int towers, int few, cli_session *s)
{
    static bool said; /* warn once, although clip bench loads again */
    clip_error err;
    char *path;
    clip_load_options o = clip_load_options_default();
    *s = (cli_session){0};
    DO(split_prefix(a->model, &path, &o.prefix));
    o.towers = towers;
    o.threads = a->threads;
    o.precision = a->precision;
    o.mapped = few;
    o.image_size = a->image_size;
    o.warn = said ? NULL : warn;
    said = true;
    const int fetched = cli_fetch_if_asked(a, path);
    const clip_status status = fetched == CLI_DONE ? clip_model_load(path, &o, &s->model, &err) : CLIP_OK;
    free(path);
    DO(fetched);
    if (status < 0)
        return cli_fail("%s", err.message);
    clip_model_get_info(s->model, &s->info);
    name_session(s);
    s->image = cli_image_options(a, clip_model_image_options(s->model));
    s->D = s->info.embed_dim;
    s->row = (size_t)s->D;
    return CLI_DONE;
}

static int open_session(const cli_args *a, int towers, int few, bool embeds, cli_session *s)
{
    if (a->language && !(towers & CLIP_TOWER_TEXT))
        return cli_usage(a, "--language: there is no text to encode");
    DO(cli_load(a, towers, few, s));
    const int missing = towers & ~s->info.towers;
    clip_error err;
    int code;
    if (missing)
        code = cli_fail("%s: holds no %s encoder", a->model, missing == CLIP_TOWER_IMAGE ? "image" : "text");
    else if (embeds && s->D == 0)
        code = cli_fail(
            "%s: no embeddings, because there is no projection ('clip embed' with --tokens or --pooled gives states)",
            a->model);
    else if ((towers & CLIP_TOWER_TEXT) && !s->info.tokenizer)
        code = cli_fail("%s: texts cannot be read without a tokenizer", a->model);
    else
        code = cli_status(clip_context_new(s->model, a->threads, &s->ctx), a->model);
    if (code == CLI_DONE && a->language &&
        clip_context_set_language(s->ctx, a->language, &err) < 0)
        code = cli_fail("%s", err.message);
    if (code != CLI_DONE)
        cli_close(s);
    return code;
}

int cli_open(const cli_args *a, int towers, int few, cli_session *s) { return open_session(a, towers, few, true, s); }

int cli_open_encoders(const cli_args *a, int towers, int few, cli_session *s)
{
    return open_session(a, towers, few, false, s);
}

int cli_few_texts(size_t n) { return n <= FEW_TEXTS ? CLIP_TOWER_TEXT : 0; }

int cli_encoded(const clip_context *ctx, clip_status s, const char *what)
{
    return s == CLIP_OK ? CLI_DONE : cli_fail("%s: %s", what, clip_context_message(ctx, s));
}

void cli_close(cli_session *s)
{
    clip_context_free(s->ctx);
    clip_model_free(s->model);
    *s = (cli_session){0};
}

const char *cli_precision_note(const clip_model_info *i, char out[32])
{
    *out = 0;
    if (strcmp(i->precision, clip_precision_at(0)) != 0)
        snprintf(out, 32, ", products in %s", i->precision);
    return out;
}

static int encode_labels(cli_session *s, const cli_list *labels, const cli_list *templates, float *out)
{
    const int T = (int)templates->n, step = TEXTS_AT_ONCE / T > 0 ? TEXTS_AT_ONCE / T : 1;
    int code = CLI_DONE;
    cli_progress_start("labels", (long)labels->n);
    for (size_t i = 0; i < labels->n && code == CLI_DONE; i += (size_t)step) {
        int n = labels->n - i < (size_t)step ? (int)(labels->n - i) : step;
        code = cli_encoded(s->ctx,
                           clip_encode_labels(s->ctx, (const char *const *)labels->item + i, n,
                                              (const char *const *)templates->item, T, out + i * (size_t)s->D),
                           "labels");
        cli_progress_step(n);
    }
    cli_progress_end();
    return code;
}

/* If a template can hold the longest label, it can hold each of them. */
static int check_filled(const cli_list *labels, const cli_list *templates)
{
    const char *longest = "";
    for (size_t i = 0; i < labels->n; i++)
        longest = strlen(labels->item[i]) > strlen(longest) ? labels->item[i] : longest;
    for (size_t t = 0; t < templates->n; t++) {
        size_t n = strlen(templates->item[t]), times = 0;
        for (const char *p = templates->item[t]; (p = strstr(p, "{}")); p += 2)
            times++;
        n += times * strlen(longest) - 2 * times;
        if (n > CLI_MOST_TEXT)
            return cli_fail("template '%.40s', which has {} %zu times, and label '%.40s' make a text "
                            "of %zu bytes; %d are allowed", templates->item[t], times, longest, n, CLI_MOST_TEXT);
    }
    return CLI_DONE;
}

int cli_encode_labels(cli_session *s, const cli_list *labels, const cli_list *templates, float **out)
{
    const size_t L = labels->n, D = (size_t)s->D;
    *out = NULL;
    DO(check_filled(labels, templates));
    *out = malloc(L * D * sizeof **out);
    if (!*out)
        return cli_no_memory();
    char *kept = L * templates->n >= WORTH_KEEPING ? cli_label_cache_path(s, labels, templates) : NULL;
    int code = CLI_DONE;
    if (!kept || !cli_label_cache_read(kept, *out, L, D)) {
        code = encode_labels(s, labels, templates, *out);
        if (code == CLI_DONE && kept)
            cli_label_cache_write(kept, *out, L, D);
    }
    free(kept);
    if (code != CLI_DONE) {
        free(*out);
        *out = NULL;
    }
    return code;
}

int cli_check_texts(const cli_session *s, const cli_list *texts)
{
    int32_t *ids = malloc((size_t)s->info.context_length * sizeof *ids);
    int code = ids ? CLI_DONE : cli_no_memory(), n, none = 0; /* tokens of a text without words */
    if (code == CLI_DONE)
        code = cli_status(clip_tokenize(s->model, "", ids, &none), "");
    for (size_t i = 0; i < texts->n && code == CLI_DONE; i++) {
        code = cli_status(clip_tokenize(s->model, texts->item[i], ids, &n), texts->item[i]);
        if (code == CLI_DONE && n <= none)
            code = cli_fail("'%s' has no words in it", texts->item[i]);
    }
    free(ids);
    return code;
}

clip_hidden cli_hidden(const cli_session *s, float *out)
{
    return (clip_hidden){s->kind == CLI_STATES ? out : NULL, s->kind == CLI_POOLED ? out : NULL,
                         s->kind == CLI_PROJECTED ? out : NULL};
}

float cli_cosine(const float *a, const float *b, int D)
{
    double ab = 0, aa = 0, bb = 0;
    for (int d = 0; d < D; d++) {
        ab += (double)a[d] * (double)b[d];
        aa += (double)a[d] * (double)a[d];
        bb += (double)b[d] * (double)b[d];
    }
    return (float)(ab / sqrt(aa * bb));
}

int cli_encode_texts(cli_session *s, char *const *texts, size_t n, float *out)
{
    cli_progress_start("texts", (long)n);
    int code = CLI_DONE;
    for (size_t i = 0; i < n && code == CLI_DONE; i += TEXTS_AT_ONCE) {
        int some = n - i < TEXTS_AT_ONCE ? (int)(n - i) : TEXTS_AT_ONCE;
        code = cli_encoded(
            s->ctx, clip_encode_text(s->ctx, (const char *const *)texts + i, some, out + i * (size_t)s->D), "texts");
        cli_progress_step(some);
    }
    cli_progress_end();
    return code;
}
