/* The page of `search --html`: a single file without scripts that fetches nothing. A picture is a
 * link to its file. */
#include <stdlib.h>
#include <string.h>

#include "search_common.h"

enum { SIDE = 320 };

static const char style[] =
    ".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:16px}\n"
    ".card{color:inherit;text-decoration:none;display:block}\n"
    ".card .pic{aspect-ratio:1;padding:10px;border-bottom:1px solid var(--line)}\n"
    ".card q{display:block;padding:12px 14px 0;quotes:none;overflow-wrap:anywhere}\n"
    ".foot{display:grid;grid-template-columns:auto 1fr auto;gap:0 10px;padding:9px 14px 11px;"
    "align-items:baseline;font-size:13px}\n"
    ".foot b{font-variant-numeric:tabular-nums}\n"
    ".foot span{color:var(--soft);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}\n"
    ".foot small{color:var(--soft);font-variant-numeric:tabular-nums}\n"
    ".best .foot b,.best .foot small{color:var(--best)}\n"
    ".none{display:grid;place-items:center;color:var(--soft);font-size:13px}\n"
    "a.card:hover{border-color:var(--best)}\n";

/* Thumbnails go into the style sheet as they are made. has [n]: which hits have one. */
static int write_thumbnails(search *s, const search_answer *r, FILE *f, bool *has)
{
    const int64_t n = r->group[r->groups];
    int code = CLI_DONE;
    cli_progress_start("thumbnails", (long)n);
    for (int64_t i = 0; i < n && code == CLI_DONE; i += CLI_BATCH) {
        clip_image tile[CLI_BATCH];
        const int some = n - i < CLI_BATCH ? (int)(n - i) : CLI_BATCH;
        code = search_thumbnails(s, r->hit + i, some, SIDE, tile);
        for (int t = 0; t < some; t++) {
            has[i + t] = tile[t].rgb;
            if (code == CLI_DONE && tile[t].rgb)
                code = cli_html_thumbnail(f, (long)(i + t), &tile[t]);
            free(tile[t].rgb);
        }
        cli_progress_step(some);
    }
    cli_progress_end();
    return code;
}

/* A path as an address. Bytes other than letters, digits, '/', '.', '-' and '_' become %XX. */
static void write_address(FILE *f, const char *path)
{
    fputs("file://", f);
    for (; *path; path++) {
        const unsigned char c = (unsigned char)*path;
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("/.-_", c);
        fprintf(f, plain ? "%c" : "%%%02X", c);
    }
}

static void write_card(const search *s, const search_answer *r, int64_t i, bool best, bool has, FILE *f)
{
    clip_item item;
    if (clip_index_item_at(s->index, r->hit[i].row, &item, NULL) < 0 || !item.kind)
        return;
    const char *path = item.path ? item.path : "";
    const char *fault = search_fault(&item);
    const bool gone = fault && strcmp(fault, "gone") == 0, link = path[0] == '/' && has;
    fprintf(f, "<%s class=\"card%s\"", link ? "a" : "div", best ? " best" : "");
    if (link) {
        fputs(" href=\"", f);
        write_address(f, path);
        fputc('"', f);
    }
    fputs(" title=\"", f);
    cli_html_text(f, path);
    if (has)
        fprintf(f, "\"><div class=\"pic p%lld\"></div>", (long long)i);
    else
        fprintf(f, "\">%s",
                item.kind == CLIP_ITEM_TEXT ? ""
                : gone                      ? "<div class=\"pic none\">no longer there</div>"
                                            : "<div class=\"pic none\">no picture to show</div>");
    if (item.text) {
        fputs("<q>", f);
        cli_html_text(f, item.text);
        fputs("</q>", f);
    }
    fprintf(f, "<div class=\"foot\"><b>%lld</b><span>", (long long)i + 1);
    cli_html_text(f, cli_base_name(path));
    fprintf(f, "</span><small>%.3f</small></div></%s>\n", (double)r->hit[i].score, link ? "a" : "div");
}

static void write_body(const search *s, const search_answer *r, const bool *has, FILE *f)
{
    const int64_t n = r->group[r->groups];
    fputs("</style>\n</head>\n<body>\n<main>\n<h1>", f);
    cli_html_text(f, s->title);
    fprintf(f, "</h1>\n<p>%s%lld of %lld pictures and %lld texts in <bdi>", r->groups == 1 ? "The best " : "",
            (long long)n, (long long)s->info.pictures, (long long)s->info.texts);
    cli_html_text(f, s->info.path);
    fputs("</bdi>, with their cosines. Model: <bdi>", f);
    cli_html_text(f, s->info.model_name);
    fputs("</bdi>.</p>\n", f);
    for (int64_t g = 0; g < r->groups; g++) {
        if (r->groups > 1)
            fprintf(f, "<h2>Group %lld</h2>\n", (long long)g + 1);
        fputs("<div class=\"grid\">\n", f);
        for (int64_t i = r->group[g]; i < r->group[g + 1]; i++)
            write_card(s, r, i, i == r->group[g] && !s->by_date, has[i], f);
        fputs("</div>\n", f);
    }
    fputs("</main>\n</body>\n</html>\n", f);
}

int search_gallery(search *s, const search_answer *r)
{
    cli_out out;
    bool *has = calloc((size_t)r->group[r->groups] + 1, sizeof *has);
    int code = has ? cli_out_open(&out, s->html) : cli_no_memory();
    if (code == CLI_DONE) {
        cli_html_head(out.f, s->title);
        fputs(style, out.f);
        code = write_thumbnails(s, r, out.f, has);
        if (code == CLI_DONE) {
            write_body(s, r, has, out.f);
            code = cli_out_close(&out);
        }
        cli_out_discard(&out);
    }
    free(has);
    return code;
}
