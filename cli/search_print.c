/* Print an answer: as paths, as a table, as JSON, or with pictures if the terminal shows them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search_common.h"

enum { TILE = 16, TILE_ROWS = 8 }; /* a picture in a terminal: columns and rows of characters */

/* false: another process has removed the item meanwhile. */
static bool read_item(const search *s, const clip_hit *h, clip_item *item)
{
    return clip_index_item_at(s->index, h->row, item, NULL) == CLIP_OK && item->kind;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void print_path(const search *s, const clip_item *item)
{
    fputs(item->kind == CLIP_ITEM_TEXT ? item->text : item->path, s->out.f);
    fputc(s->delimiter, s->out.f);
}

/* For people: a path below the current directory becomes relative to it. */
static const char *nearby(const char *path)
{
    char here[4096];
    const size_t n = getcwd(here, sizeof here) ? strlen(here) : 0;
    return n > 1 && strncmp(path, here, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static void print_row(const search *s, int64_t rank, const clip_hit *h, const clip_item *item)
{
    FILE *f = s->out.f;
    fprintf(f, "%4lld  %6.3f  ", (long long)rank, (double)h->score);
    if (item->kind == CLIP_ITEM_TEXT) {
        cli_print_plain(f, item->text);
        fputs(item->path ? "  in " : "", f);
    }
    cli_print_plain(f, item->path ? nearby(item->path) : "");
    const char *fault = search_fault(item);
    fprintf(f, fault ? "  (%s)\n" : "\n", fault && strcmp(fault, "gone") == 0 ? "no longer there" : fault);
}

/* ---- Pictures in the terminal ---------------------------------------------------------------- */

typedef struct thumbnails {
    char *path[CLI_BATCH];
    clip_image *out;
    clip_image_options image;
    int side;
} thumbnails;

static void thumbnail(void *user, int64_t i)
{
    thumbnails *t = user;
    clip_image_options o = t->image;
    clip_image img;
    o.enough = t->side;
    if (!t->path[i] || clip_image_read(t->path[i], &o, &img, NULL) < 0)
        return;
    if (cli_thumbnail(&img, t->side, &t->out[i]) < 0)
        t->out[i] = (clip_image){0};
    clip_image_free(&img);
}

int search_thumbnails(search *s, const clip_hit *hit, int n, int side, clip_image *out)
{
    thumbnails t = {.out = out,
                    .side = side,
                    .image = cli_image_options(s->args, clip_index_image_options(s->index, s->pictures.model))};
    clip_context *ctx = s->words.ctx ? s->words.ctx : s->pictures.ctx;
    int code = CLI_DONE;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int i = 0; i < n && code == CLI_DONE; i++) {
        clip_item item;
        if (read_item(s, &hit[i], &item) && item.path && !(t.path[i] = strdup(item.path)))
            code = cli_no_memory();
    }
    if (code == CLI_DONE && ctx)
        clip_parallel(ctx, n, thumbnail, &t);
    for (int i = 0; code == CLI_DONE && !ctx && i < n; i++)
        thumbnail(&t, i);
    for (int i = 0; i < n; i++)
        free(t.path[i]);
    return code;
}

/* Draw a row of tiles. Room for them is made first, so that nothing scrolls while they are drawn.
 * Each tile starts from the same corner, because terminals leave the cursor at different places
 * after a picture. */
static int show_row(search *s, const clip_hit *hit, int n, int64_t rank, int side)
{
    FILE *f = s->out.f;
    clip_image tile[CLI_BATCH];
    int code = search_thumbnails(s, hit, n, side, tile);
    for (int i = 0; i < TILE_ROWS && code == CLI_DONE; i++)
        fputc('\n', f);
    for (int i = 0; i < n && code == CLI_DONE; i++) {
        if (!tile[i].rgb)
            continue;
        fprintf(f, "\0337\033[%dA\r", TILE_ROWS);
        if (i > 0)
            fprintf(f, "\033[%dC", i * TILE);
        code = cli_show(f, s->graphics, &tile[i]);
        fputs("\0338", f);
    }
    for (int i = 0; i < n; i++) {
        char label[32];
        snprintf(label, sizeof label, "%lld  %.3f", (long long)rank + i, (double)hit[i].score);
        if (code == CLI_DONE)
            fprintf(f, "%-*s", TILE, label);
        free(tile[i].rgb);
    }
    fputs("\n\n", f);
    return code;
}

static int show(search *s, const clip_hit *hit, int64_t n)
{
    int columns, width, height;
    cli_terminal_cells(&columns, &width, &height);
    int each = columns / TILE > CLI_BATCH ? CLI_BATCH : columns / TILE > 0 ? columns / TILE : 1;
    int side = (TILE - 1) * width < TILE_ROWS * height ? (TILE - 1) * width : TILE_ROWS * height;
    for (int64_t i = 0; i < n; i += each)
        DO(show_row(s, hit + i, n - i < each ? (int)(n - i) : each, i + 1, side));
    return CLI_DONE;
}

/* ---- The whole answer ------------------------------------------------------------------------ */

int search_print(search *s, const search_answer *r)
{
    for (int64_t g = 0; g < r->groups; g++) {
        const clip_hit *hit = r->hit + r->group[g];
        const int64_t n = r->group[g + 1] - r->group[g];
        if (g > 0)
            fputc(s->table ? '\n' : s->delimiter, s->out.f);
        if (s->graphics)
            DO(show(s, hit, n));
        for (int64_t i = 0; i < n; i++) {
            clip_item item;
            if (!read_item(s, &hit[i], &item))
                continue;
            if (s->table)
                print_row(s, r->group[g] + i + 1, &hit[i], &item);
            else
                print_path(s, &item);
        }
    }
    return ferror(s->out.f) ? cli_out_check(&s->out) : CLI_DONE;
}

static void json_hits(search *s, const search_answer *r, int64_t group, cli_json *j, const char *key)
{
    cli_json_open(j, key, '[');
    for (int64_t i = r->group[group]; i < r->group[group + 1]; i++) {
        clip_item item;
        if (!read_item(s, &r->hit[i], &item))
            continue;
        cli_json_open(j, NULL, '{');
        cli_json_int(j, "rank", i + 1);
        cli_json_number(j, "score", (double)r->hit[i].score);
        cli_json_string(j, "kind", item.kind == CLIP_ITEM_TEXT ? "text" : "picture");
        if (item.path)
            cli_json_path(j, "path", item.path);
        if (item.text)
            cli_json_string(j, "text", item.text);
        search_json_dates(j, &item);
        const char *fault = search_fault(&item);
        if (fault)
            cli_json_raw(j, fault, "true");
        cli_json_close(j, '}');
    }
    cli_json_close(j, ']');
}

void search_print_json(search *s, const search_answer *r, cli_json *j, bool groups)
{
    if (!groups) {
        json_hits(s, r, 0, j, "hits");
        return;
    }
    cli_json_open(j, "groups", '[');
    for (int64_t g = 0; g < r->groups; g++)
        json_hits(s, r, g, j, NULL);
    cli_json_close(j, ']');
    cli_json_int(j, "gone", s->gone);
    cli_json_int(j, "changed", s->changed);
}
