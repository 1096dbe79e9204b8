/* Queries of the command. The library parses them; this file loads the towers that they need. */
#include <stdlib.h>
#include <string.h>

#include "search_common.h"

static int parsed(const search *s, clip_status status, const clip_error *err)
{
    return status == CLIP_OK       ? CLI_DONE
           : status == CLIP_EINVAL ? cli_usage(s->args, "%s", err->message)
                                   : cli_fail("%s", err->message);
}

int search_parse(const search *s, char *const *operand, int n, clip_query *out)
{
    clip_error err;
    return parsed(s, clip_query_parse(s->liked, s->n_liked, (const char *const *)operand, n, true, out, &err), &err);
}

int search_parse_line(const search *s, const char *line, clip_query *out)
{
    clip_error err;
    return parsed(s, clip_query_parse_line(s->liked, s->n_liked, line, true, out, &err), &err);
}

int search_date(const cli_args *a, bool behind, int64_t *out)
{
    int64_t begin, end;
    if (clip_date_parse(a->value, &begin, &end) < 0)
        return cli_usage(a, "--%s: '%s' is not a date like 2023, 2023-05 or 2023-05-17", a->name, a->value);
    *out = behind ? end : begin;
    return CLI_DONE;
}

/* ---- Towers ---------------------------------------------------------------------------------- */

static int check_model(const search *s, const cli_session *session)
{
    clip_index *x;
    DO(cli_index_open(s->args, s->index_path, session, CLI_INDEX_READ, &x));
    clip_index_close(x, NULL);
    return CLI_DONE;
}

/* Load only the tower that a query needs. Each tower has a session of its own. */
static int load_tower(search *s, int tower)
{
    cli_session *mine = tower == CLIP_TOWER_TEXT ? &s->words : &s->pictures;
    const bool first = !s->words.model && !s->pictures.model;
    if (mine->model)
        return CLI_DONE;
    DO(cli_open(s->args, tower, s->listed ? 0 : tower & (CLIP_TOWER_IMAGE | cli_few_texts(s->prompts.n)), mine));
    if (first && !s->info.model_id[0])
        cli_warn("%s was imported without the name of its model: it has to be %s", s->index_path, s->args->model);
    return first ? check_model(s, mine) : CLI_DONE;
}

static int load_towers(search *s, int towers)
{
    if (towers & CLIP_TOWER_TEXT)
        DO(load_tower(s, CLIP_TOWER_TEXT));
    return towers & CLIP_TOWER_IMAGE ? load_tower(s, CLIP_TOWER_IMAGE) : CLI_DONE;
}

/* ---- Vectors --------------------------------------------------------------------------------- */

/* Read the picture on standard input, for the terms that refer to it. */
static int read_input(const clip_image_options *options, clip_query *q, int Q, clip_image *out)
{
    clip_image_options o = *options;
    clip_error err;
    o.pipes = true;
    for (int i = 0; i < Q; i++)
        for (int t = 0; t < q[i].n; t++) {
            clip_term *term = &q[i].term[t];
            if (term->kind != CLIP_TERM_PICTURE || strcmp(term->text, "-") != 0)
                continue;
            DO(cli_take_input());
            if (clip_image_read("-", &o, out, &err) < 0)
                return cli_fail("%s", err.message);
            term->image = out;
        }
    return CLI_DONE;
}

int search_embed(search *s, clip_query *q, int *Q, float *out)
{
    const int n = *Q, towers = clip_query_towers(q, n);
    clip_image input = {0};
    clip_error err;
    *Q = 0;
    DO(load_towers(s, towers));
    clip_image_options o = cli_image_options(s->args, clip_index_image_options(s->index, s->pictures.model));
    o.pipes = !s->listed; /* a pipe named in --queries could block for ever */
    const clip_query_encoder e = {.words = s->words.ctx,
                                  .pictures = s->pictures.ctx,
                                  .index = s->index,
                                  .image = &o,
                                  .prompts = (const char *const *)s->prompts.item,
                                  .n_prompts = (int)s->prompts.n};
    int code = read_input(&o, q, n, &input);
    if (code == CLI_DONE && clip_query_embed(&e, q, n, out, Q, &err) < 0)
        code = cli_fail("%s", err.message);
    clip_image_free(&input);
    return code;
}
