/* The page of `classify --html`: a single file without scripts that fetches nothing.
 *
 * It is written while pictures come. Each picture goes into the style sheet once, as the background
 * of its own class (.p0, .p1, ...), because it is shown in several places. Names and scores wait in
 * memory for the body. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { BEST = 6 }; /* pictures shown for a label */

typedef struct entry {
    char *path;
    cli_hit *hit; /* [n] */
    int n;
} entry;

typedef struct fit {
    size_t picture;
    float cosine;
} fit;

struct cli_page {
    cli_out out;
    const cli_list *labels;
    bool several;
    char model[256];
    entry *entry;
    size_t n, capacity;
    fit *fit; /* [L, BEST], best first */
    int *fits; /* [L] how many of them */
};

static const char style[] =
    ".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:18px}\n"
    ".word{background:var(--card);border:1px solid var(--line);border-radius:14px;overflow:hidden}\n"
    ".card:target{outline:3px solid var(--best)}\n"
    ".card .pic{aspect-ratio:1;padding:14px;border-bottom:1px solid var(--line)}\n"
    ".name{padding:10px 14px 4px;color:var(--soft);font-size:13px;overflow:hidden;text-overflow:ellipsis;"
    "white-space:nowrap}\n"
    ".card ol{list-style:none;margin:0;padding:0 14px 14px}\n"
    ".card li{display:grid;grid-template-columns:1fr auto 3.2em;gap:0 8px;align-items:baseline;margin-top:6px}\n"
    ".card li b{font-weight:400;overflow-wrap:anywhere}\n"
    ".card li span,.card li small{font-variant-numeric:tabular-nums;text-align:right}\n"
    ".card li small{color:var(--soft)}\n"
    ".card li i{grid-column:1/-1;height:4px;border-radius:2px;"
    "background:linear-gradient(var(--best),var(--best)) no-repeat var(--bar)}\n"
    ".card li:first-child b{font-weight:650;color:var(--best)}\n"
    ".words{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:14px}\n"
    ".word{padding:12px 14px 10px}\n"
    ".word h3{font-size:15px;margin:0 0 8px;overflow-wrap:anywhere}\n"
    ".strip{display:grid;grid-template-columns:repeat(6,1fr);gap:8px}\n"
    ".strip a{text-decoration:none;color:var(--soft);font-size:12px;text-align:center;"
    "font-variant-numeric:tabular-nums}\n"
    ".strip .pic{display:block;aspect-ratio:1;padding:4px;border:1px solid var(--line);border-radius:9px;"
    "margin-bottom:2px}\n"
    ".strip a:first-child .pic{border:2px solid var(--best)}\n"
    ".strip a:first-child{color:var(--best);font-weight:650}\n"
    "@media(max-width:460px){.words{grid-template-columns:1fr}}\n";

int cli_page_open(const char *path, const cli_session *s, const cli_list *labels, bool several, cli_page **out)
{
    cli_page *p = calloc(1, sizeof *p);
    int code = CLI_DONE;
    *out = NULL;
    if (p) {
        *p = (cli_page){.labels = labels, .several = several};
        p->fit = malloc(labels->n * BEST * sizeof *p->fit);
        p->fits = calloc(labels->n, sizeof *p->fits);
    }
    if (!p || !p->fit || !p->fits)
        code = cli_no_memory();
    else
        code = cli_out_open(&p->out, path);
    if (code != CLI_DONE) {
        cli_page_free(p);
        return code;
    }
    snprintf(p->model, sizeof p->model, "%s", s->name);
    cli_html_head(p->out.f, "clip classify");
    fputs(style, p->out.f);
    *out = p;
    return CLI_DONE;
}

/* ---- Collecting pictures --------------------------------------------------------------------- */

static void rank(cli_page *p, size_t label, float cosine)
{
    fit *list = p->fit + label * BEST;
    int n = p->fits[label], at = n;
    while (at > 0 && list[at - 1].cosine < cosine)
        at--;
    if (at == BEST)
        return;
    if (n < BEST)
        p->fits[label] = ++n;
    memmove(&list[at + 1], &list[at], (size_t)(n - 1 - at) * sizeof *list);
    list[at] = (fit){p->n, cosine};
}

int cli_page_picture(cli_page *p, const cli_picture *picture, const cli_hit *hit, int n, const float *cosine)
{
    if (p->n == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 64;
        entry *e = realloc(p->entry, capacity * sizeof *e);
        if (!e)
            return cli_no_memory();
        p->entry = e;
        p->capacity = capacity;
    }
    entry e = {strdup(picture->path), malloc(((size_t)n + 1) * sizeof *hit), n};
    if (!e.path || !e.hit) {
        free(e.path);
        free(e.hit);
        return cli_no_memory();
    }
    memcpy(e.hit, hit, (size_t)n * sizeof *hit);
    for (size_t l = 0; l < p->labels->n; l++)
        rank(p, l, cosine[l]);
    p->entry[p->n++] = e;
    DO(cli_html_thumbnail(p->out.f, (long)p->n - 1, &picture->thumbnail));
    return ferror(p->out.f) ? cli_out_check(&p->out) : CLI_DONE;
}

/* ---- The body -------------------------------------------------------------------------------- */

static void write_card(const cli_page *p, size_t i)
{
    FILE *f = p->out.f;
    const entry *e = &p->entry[i];
    fprintf(f, "<article class=\"card\" id=\"c%zu\"><div class=\"pic p%zu\" role=\"img\" aria-label=\"", i, i);
    cli_html_text(f, cli_base_name(e->path));
    fputs("\"></div><div class=\"name\" title=\"", f);
    cli_html_text(f, e->path);
    fputs("\">", f);
    cli_html_text(f, cli_base_name(e->path));
    fputs("</div><ol>\n", f);
    for (int k = 0; k < e->n; k++) {
        const cli_hit *h = &e->hit[k];
        const double percent = 100 * (double)h->probability;
        fputs("<li><b>", f);
        cli_html_text(f, p->labels->item[h->label]);
        fprintf(
            f, "</b><span>%.1f&#8201;%%</span><small>%.3f</small><i style=\"background-size:%.1f%% 100%%\"></i></li>\n",
            percent, (double)h->cosine, percent);
    }
    fputs("</ol></article>\n", f);
}

static void write_word(const cli_page *p, size_t label)
{
    FILE *f = p->out.f;
    fputs("<section class=\"word\"><h3>", f);
    cli_html_text(f, p->labels->item[label]);
    fputs("</h3><div class=\"strip\">", f);
    for (int i = 0; i < p->fits[label]; i++) {
        const fit *t = &p->fit[label * BEST + (size_t)i];
        fprintf(f, "<a href=\"#c%zu\" title=\"", t->picture);
        cli_html_text(f, cli_base_name(p->entry[t->picture].path));
        fprintf(f, "\"><span class=\"pic p%zu\"></span>%.3f</a>", t->picture, (double)t->cosine);
    }
    fputs("</div></section>\n", f);
}

int cli_page_close(cli_page *p)
{
    FILE *f = p->out.f;
    fprintf(f, "</style>\n</head>\n<body>\n<main>\n<h1>%zu picture%s, %zu label%s</h1>\n<p>Model: <bdi>", p->n,
            p->n == 1 ? "" : "s", p->labels->n, p->labels->n == 1 ? "" : "s");
    cli_html_text(f, p->model);
    fprintf(f,
            "</bdi>. Under each picture its %s, in small print, their cosine with the picture.</p>\n"
            "<div class=\"grid\">\n",
            p->several ? "labels, each with its probability and"
                       : "best labels, with their probability among all given labels and");
    for (size_t i = 0; i < p->n; i++)
        write_card(p, i);
    fputs(
        "</div>\n<h2>Which picture fits each label best?</h2>\n"
        "<p>All pictures ranked by their cosine with the label, best first.</p>\n"
        "<div class=\"words\">\n",
        f);
    for (size_t l = 0; l < p->labels->n; l++)
        write_word(p, l);
    fputs("</div>\n</main>\n</body>\n</html>\n", f);
    return cli_out_close(&p->out);
}

void cli_page_free(cli_page *p)
{
    if (!p)
        return;
    cli_out_discard(&p->out);
    for (size_t i = 0; i < p->n; i++) {
        free(p->entry[i].path);
        free(p->entry[i].hit);
    }
    free(p->entry);
    free(p->fit);
    free(p->fits);
    free(p);
}
