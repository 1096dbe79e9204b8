/* Which labels are mistaken for which, and how well each label does. Recall: the share of its
 * pictures that got it. Precision: the share of the pictures that got it which are its own. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "zeroshot.h"

enum { WIDEST = 60 }; /* labels in the matrix of a page; with more, only the table is written */

typedef struct row {
    long pictures, hits, taken; /* of the label; classified right; classified as this label */
    int other;                  /* the other label that its pictures most often got; -1: none */
} row;

static row row_of(const int32_t *count, size_t L, size_t i)
{
    row r = {.hits = count[i * L + i], .other = -1};
    for (size_t j = 0; j < L; j++) {
        r.pictures += count[i * L + j];
        r.taken += count[j * L + i];
        if (j != i && count[i * L + j] > 0 && (r.other < 0 || count[i * L + j] > count[i * L + (size_t)r.other]))
            r.other = (int)j;
    }
    return r;
}

/* Whether a spreadsheet would take the cell for a formula, even in quotes. Formulas can run
 * programs and send the contents of other cells (OWASP, CSV Injection). */
static bool is_formula(const char *text)
{
    static const int32_t begins[] = {'=', '+', '-', '@', '\t', '\r', '\n', 0xff1d, 0xff0b, 0xff0d, 0xff20};
    int32_t code;
    clip_text_next(text, &code);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (code == begins[i])
            return true;
    return false;
}

/* An apostrophe in front makes a cell text. */
static void csv_text(FILE *f, const char *text)
{
    fputs(is_formula(text) ? "\"'" : "\"", f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

static void csv_share(FILE *f, long part, long whole)
{
    if (whole > 0)
        fprintf(f, ",%.6g", (double)part / (double)whole);
    else
        fputc(',', f);
}

static void write_csv(FILE *f, const cli_list *labels, const int32_t *count)
{
    const size_t L = labels->n;
    fputs("label,pictures,recall,precision", f);
    for (size_t j = 0; j < L; j++) {
        fputc(',', f);
        csv_text(f, labels->item[j]);
    }
    fputc('\n', f);
    for (size_t i = 0; i < L; i++) {
        const row r = row_of(count, L, i);
        csv_text(f, labels->item[i]);
        fprintf(f, ",%ld", r.pictures);
        csv_share(f, r.hits, r.pictures);
        csv_share(f, r.hits, r.taken);
        for (size_t j = 0; j < L; j++)
            fprintf(f, ",%d", count[i * L + j]);
        fputc('\n', f);
    }
}

static const char style[] =
    "table{border-collapse:collapse;font-size:13px}"
    "td,th{padding:5px 9px;text-align:right;border-bottom:1px solid var(--line);font-weight:400}\n"
    "td{white-space:nowrap}td:first-child,.t{white-space:normal}\n"
    "th{color:var(--soft)}td:first-child,th:first-child,.t{text-align:left}\n"
    ".m td+td{min-width:34px;text-align:center;font-variant-numeric:tabular-nums}"
    ".m thead th{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left}\n"
    ".bar{background:linear-gradient(var(--best),var(--best)) no-repeat var(--bar);height:6px;width:110px;"
    "border-radius:3px}\n"
    ".wide{overflow-x:auto}\n";

static void html_share(FILE *f, long part, long whole)
{
    if (whole > 0)
        fprintf(f, "<td>%.1f %%</td>", 100 * (double)part / (double)whole);
    else
        fputs("<td>&ndash;</td>", f);
}

static void html_classes(FILE *f, const cli_list *labels, const int32_t *count)
{
    fputs(
        "<h2>Labels</h2>\n<table><thead><tr><th>label<th>pictures<th>recall<th><th>precision<th class=t>"
        "mostly taken for</thead><tbody>\n",
        f);
    for (size_t i = 0; i < labels->n; i++) {
        const row r = row_of(count, labels->n, i);
        fputs("<tr><td>", f);
        cli_html_text(f, labels->item[i]);
        fprintf(f, "<td>%ld", r.pictures);
        html_share(f, r.hits, r.pictures);
        fprintf(f, "<td><div class=bar style=\"background-size:%.1f%% 100%%\"></div>",
                r.pictures > 0 ? 100 * (double)r.hits / (double)r.pictures : 0);
        html_share(f, r.hits, r.taken);
        fputs("<td class=t>", f);
        if (r.other >= 0) {
            fputs("<bdi>", f);
            cli_html_text(f, labels->item[r.other]);
            fprintf(f, "</bdi> (%d)", count[i * labels->n + (size_t)r.other]);
        }
        fputs("</tr>\n", f);
    }
    fputs("</tbody></table>\n", f);
}

static void html_matrix(FILE *f, const cli_list *labels, const int32_t *count)
{
    const size_t L = labels->n;
    fputs(
        "<h2>Taken for</h2>\n<p>Rows are right labels. Columns are the labels that their pictures were taken "
        "for.</p>\n<div class=wide><table class=m><thead><tr><th>",
        f);
    for (size_t j = 0; j < L; j++) {
        fputs("<th>", f);
        cli_html_text(f, labels->item[j]);
    }
    fputs("</thead><tbody>\n", f);
    for (size_t i = 0; i < L; i++) {
        const row r = row_of(count, L, i);
        fputs("<tr><td>", f);
        cli_html_text(f, labels->item[i]);
        for (size_t j = 0; j < L; j++) {
            const int n = count[i * L + j];
            if (n > 0)
                fprintf(f, "<td style=\"background:color-mix(in srgb,var(--%s) %d%%,transparent)\">%d",
                        i == j ? "right" : "second", (int)(15 + 55 * (double)n / (double)r.pictures), n);
            else
                fputs("<td>", f);
        }
        fputs("</tr>\n", f);
    }
    fputs("</tbody></table></div>\n", f);
}

static void write_page(FILE *f, const char *title, const cli_list *labels, const int32_t *count)
{
    long pictures = 0, hits = 0;
    for (size_t i = 0; i < labels->n; i++) {
        const row r = row_of(count, labels->n, i);
        pictures += r.pictures;
        hits += r.hits;
    }
    cli_html_head(f, "clip eval zeroshot");
    fprintf(f, "%s</style>\n</head>\n<body>\n<main>\n<h1>", style);
    cli_html_text(f, title);
    fprintf(f, "</h1>\n<p>%ld pictures, %zu labels, %.1f %% right.</p>\n", pictures, labels->n,
            pictures > 0 ? 100 * (double)hits / (double)pictures : 0);
    html_classes(f, labels, count);
    if (labels->n <= WIDEST)
        html_matrix(f, labels, count);
    fputs("</main>\n</body>\n</html>\n", f);
}

int cli_confusion_write(const char *path, const char *title, const cli_list *labels, const int32_t *count)
{
    const size_t n = strlen(path);
    cli_out o;
    DO(cli_out_open(&o, path));
    if (n >= 4 && strcasecmp(path + n - 4, ".csv") == 0)
        write_csv(o.f, labels, count);
    else
        write_page(o.f, title, labels, count);
    return cli_out_close(&o);
}
