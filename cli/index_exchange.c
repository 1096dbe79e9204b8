/* clip index --export and --import: embeddings in the layout of clip-retrieval. */
#include "cli.h"

int cli_index_export(const cli_args *a, const char *path, const char *dir)
{
    clip_index *x;
    clip_error err;
    int64_t rows;
    DO(cli_index_open(a, path, NULL, CLI_INDEX_READ, &x));
    const clip_status status = clip_index_export(x, dir, &rows, &err);
    clip_index_close(x, NULL);
    if (status < 0)
        return cli_fail("%s", err.message);
    if (a->json) {
        cli_json o = {.f = stdout};
        cli_json_open(&o, NULL, '{');
        cli_json_string(&o, "index", path);
        cli_json_string(&o, "exported", dir);
        cli_json_int(&o, "rows", rows);
        cli_json_close(&o, '}');
        cli_json_line(&o);
    } else {
        printf("%lld rows written to ", (long long)rows);
        cli_print_plain(stdout, dir);
        fputc('\n', stdout);
    }
    return CLI_DONE;
}

static void print_report(const cli_args *a, const char *path, const char *dir, const clip_import_report *r)
{
    if (a->json) {
        cli_json o = {.f = stdout};
        cli_json_open(&o, NULL, '{');
        cli_json_string(&o, "index", path);
        cli_json_string(&o, "imported", dir);
        cli_json_int(&o, "rows", r->rows);
        cli_json_int(&o, "pictures", r->pictures);
        cli_json_int(&o, "texts", r->texts);
        cli_json_int(&o, "empty", r->empty);
        cli_json_int(&o, "compared_pictures", r->compared_pictures);
        cli_json_int(&o, "compared_texts", r->compared_texts);
        cli_json_close(&o, '}');
        cli_json_line(&o);
        return;
    }
    printf("%lld rows: %lld pictures, %lld texts", (long long)r->rows, (long long)r->pictures, (long long)r->texts);
    if (r->empty > 0)
        printf("; %lld rows had neither (no vector, or no name)", (long long)r->empty);
    fputc('\n', stdout);
}

/* A context that embeds a few pictures and captions again. */
static int open_model(const cli_args *a, cli_session *s)
{
    clip_error err;
    DO(cli_load(a, CLIP_TOWER_BOTH, CLIP_TOWER_BOTH, s));
    DO(cli_status(clip_context_new(s->model, a->threads, &s->ctx), a->model));
    return !a->language || clip_context_set_language(s->ctx, a->language, &err) == CLIP_OK
               ? CLI_DONE : cli_fail("%s", err.message);
}

/* The files do not say which model made these embeddings. --model may say so. */
static int open_to_import(const cli_args *a, const char *path, const char *dir, cli_session *s, clip_index **out)
{
    clip_error err;
    int dim;
    int64_t rows;
    if (clip_index_import_info(dir, &dim, &rows, &err) < 0)
        return cli_fail("%s", err.message);
    if (!a->model_named && (a->language || a->image_size))
        return cli_usage(a, "--%s goes with --model, which is not named", a->language ? "language" : "image-size");
    if (!a->model_named) {
        clip_index_info info;
        DO(cli_index_make(a, path, dim, out));
        clip_index_get_info(*out, &info);
        return *info.model_id ? cli_fail("%s: is an index of %s; name the model of the embeddings in %s with --model",
                                         path, info.model_name, dir)
                              : CLI_DONE;
    }
    DO(open_model(a, s));
    if (s->D != dim)
        return cli_fail("%s: has %d numbers a row; %s makes %d", dir, dim, a->model, s->D);
    return cli_index_open(a, path, s, CLI_INDEX_MAKE, out);
}

int cli_index_import(const cli_args *a, const char *path, const char *dir)
{
    cli_session s = {0};
    clip_index *x = NULL;
    clip_error err;
    clip_import_report report;
    int code = open_to_import(a, path, dir, &s, &x);
    if (code == CLI_DONE && clip_index_import(x, s.ctx, dir, &report, &err) < 0)
        code = cli_fail("%s", err.message);
    if (code != CLI_DONE)
        clip_index_discard(x);
    else if (clip_index_close(x, &err) < 0)
        code = cli_fail("%s", err.message);
    if (code == CLI_DONE && s.model && report.pictures > 0 && report.compared_pictures == 0)
        cli_warn("%s: none of its pictures is here and can be read, so that nothing tells whether %s made their "
                 "embeddings, with pictures of %d pixels (--image-size)", dir, a->model, s.info.image_size);
    cli_close(&s);
    if (code == CLI_DONE)
        print_report(a, path, dir, &report);
    return code;
}
