/* The page of a run: curves, the similarity matrix of a validation batch, the best matches of some
 * pictures and captions, the settings. A single file without scripts that fetches nothing. It is
 * rewritten after every validation. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

static const char style[] =
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0 0}\n"
    ".tile{padding:12px 16px}\n"
    ".tile b{display:block;font-size:21px;font-weight:650;font-variant-numeric:tabular-nums;letter-spacing:-.01em}\n"
    ".tile span{color:var(--soft);font-size:13px}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr));gap:16px;"
    "margin-top:14px}\n"
    ".chart{margin:0;padding:12px 12px 6px}\n"
    ".chart svg{display:block;width:100%;height:auto}\n"
    ".chart text{font:12px system-ui,sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums}\n"
    ".chart figcaption{display:flex;flex-wrap:wrap;gap:2px 14px;padding:0 4px 6px;font-size:13px;color:var(--soft)}\n"
    ".chart figcaption b{color:var(--ink);font-size:14px;font-weight:650}\n"
    ".chart figcaption i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;"
    "vertical-align:middle}\n"
    ".rule{stroke:var(--line);stroke-width:1}\n"
    ".curve,.faint{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".faint{stroke-width:1;opacity:.3}\n"
    ".matrix{padding:16px;overflow-x:auto}\n"
    ".matrix>div{display:grid;grid-template-columns:auto auto;gap:5px;width:max-content}\n"
    ".tops{grid-column:2;display:flex;align-items:flex-end;height:150px}\n"
    ".tops span{writing-mode:vertical-rl;transform:rotate(180deg);font-size:12px;color:var(--soft);"
    "max-height:150px;overflow:hidden;"
    "text-overflow:ellipsis;white-space:nowrap;line-height:1;display:flex;align-items:center}\n"
    ".sides .pic{display:block;padding:1px;border-radius:3px}\n"
    ".matrix svg{display:block}\n"
    ".matrix rect{fill:var(--best)}\n"
    ".matrix .right{fill:none;stroke:var(--right);stroke-width:.09}\n"
    ".scale{white-space:nowrap}\n"
    ".ramp{display:inline-block;width:120px;height:9px;border-radius:3px;margin:0 8px;"
    "background:linear-gradient(90deg,var(--card),var(--best));"
    "border:1px solid var(--line)}\n"
    ".looks{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,360px),1fr));gap:14px}\n"
    ".look{display:grid;grid-template-columns:112px 1fr;gap:14px;padding:12px}\n"
    ".look .pic{aspect-ratio:1;border:1px solid var(--line);border-radius:9px;padding:4px;align-self:start}\n"
    ".look ol{list-style:none;margin:0;padding:0;font-size:14px;min-width:0}\n"
    ".look li{display:grid;grid-template-columns:1fr auto;gap:0 8px;margin-bottom:5px}\n"
    ".look li b{font-weight:400;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}\n"
    ".look li span{color:var(--soft);font-variant-numeric:tabular-nums;font-size:12px}\n"
    ".look li i{grid-column:1/-1;height:3px;border-radius:2px;"
    "background:linear-gradient(var(--best),var(--best)) no-repeat var(--bar)}\n"
    ".look .right b,.look .miss{color:var(--right);font-weight:650}\n"
    ".look .right i{background-image:linear-gradient(var(--right),var(--right))}\n"
    ".look .miss{font-weight:400;font-size:12px;margin:2px 0 0}\n"
    ".word{padding:12px 14px}\n"
    ".word h3{font-size:15px;font-weight:650;margin:0 0 8px;overflow:hidden;text-overflow:ellipsis;"
    "white-space:nowrap}\n"
    ".strip{display:grid;grid-template-columns:repeat(5,1fr);gap:8px}\n"
    ".strip span{font-size:12px;text-align:center;color:var(--soft);font-variant-numeric:tabular-nums}\n"
    ".strip .pic{display:block;aspect-ratio:1;padding:4px;border:1px solid var(--line);border-radius:9px;"
    "margin-bottom:2px}\n"
    ".strip .right .pic{border:2px solid var(--right)}\n"
    ".strip .right{color:var(--right);font-weight:650}\n"
    ".word .miss{color:var(--soft);font-size:12px;margin:6px 0 0}\n"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,380px),1fr));gap:0 28px;"
    "margin:14px 0 0;padding:8px 16px}\n"
    "dl div{display:flex;justify-content:space-between;gap:16px;padding:5px 0;border-bottom:1px solid var(--line)}\n"
    "dt{color:var(--soft);white-space:nowrap}\n"
    "dd{margin:0;text-align:right;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}\n"
    "dd.standard{color:var(--soft)}\n";

/* ---- Head ------------------------------------------------------------------------------------ */

static void tile(FILE *f, const char *what, const char *format, double value)
{
    fputs("<div class=\"card tile\"><b>", f);
    fprintf(f, format, value); /* `format` is one of the constants below */
    fprintf(f, "</b><span>%s</span></div>\n", what);
}

static void write_tiles(FILE *f, const train_folder *t, const clip_train_info *info)
{
    const train_history *h = &t->history;
    const train_step *last = h->steps ? &h->step[h->steps - 1] : NULL;
    char time[24];
    fputs("<div class=\"tiles\">\n", f);
    if (h->scores) {
        const train_score *s = &h->score[h->scores - 1];
        tile(f, "image to text R@1", "%.1f&#8201;%%", 100 * s->image_to_text.r1);
        tile(f, "text to image R@1", "%.1f&#8201;%%", 100 * s->text_to_image.r1);
        tile(f, "validation loss", "%.3g", s->loss);
    }
    if (last) {
        double loss = 0, seconds = 0;
        const size_t some = h->steps < 50 ? h->steps : 50;
        for (size_t i = h->steps - some; i < h->steps; i++) {
            loss += h->step[i].loss;
            seconds += h->step[i].batch_time;
        }
        tile(f, "recent training loss", "%.3g", loss / (double)some);
        tile(f, "recent pairs a second", "%.0f", seconds > 0 ? (double)some * info->batch_size / seconds : 0);
        fprintf(f, "<div class=\"card tile\"><b>%s</b><span>time</span></div>\n", cli_time(last->time, time));
    }
    fputs("</div>\n", f);
}

/* ---- Curves ---------------------------------------------------------------------------------- */

enum { VAL_LOSS, I_R1, I_R5, I_R10, T_R1, T_R5, T_R10, I_MEAN, T_MEAN, I_MEDIAN, T_MEDIAN, SCORES };

/* Columns of the history, for the charts. */
typedef struct columns {
    double *step_x, *loss, *lr, *scale, *norm; /* [steps] */
    double *score_x, *score[SCORES];           /* [scores] */
} columns;

/* All columns share one block: free(c->step_x). */
static int fill_columns(const train_history *h, columns *c)
{
    double *p = malloc((5 * h->steps + (1 + SCORES) * h->scores + 1) * sizeof *p);
    if (!p)
        return cli_no_memory();
    double **const of_steps[] = {&c->step_x, &c->loss, &c->lr, &c->scale, &c->norm};
    for (int i = 0; i < 5; i++, p += h->steps)
        *of_steps[i] = p;
    c->score_x = p;
    for (int i = 0; i < SCORES; i++)
        c->score[i] = p += h->scores;
    for (size_t i = 0; i < h->steps; i++) {
        const train_step *s = &h->step[i];
        const double row[] = {(double)s->step, s->loss, s->lr, s->scale, s->grad_norm};
        for (int k = 0; k < 5; k++)
            (*of_steps[k])[i] = row[k];
    }
    for (size_t i = 0; i < h->scores; i++) {
        const train_score *s = &h->score[i];
        const clip_rank_metrics *v = &s->image_to_text, *t = &s->text_to_image;
        const double row[SCORES] = {s->loss, v->r1,        v->r5,        v->r10,         t->r1,         t->r5,
                                    t->r10,  v->mean_rank, t->mean_rank, v->median_rank, t->median_rank};
        c->score_x[i] = (double)s->step;
        for (int k = 0; k < SCORES; k++)
            c->score[k][i] = row[k];
    }
    return CLI_DONE;
}

#define BLUE "var(--best)"
#define ORANGE "var(--second)"
#define CYAN "var(--third)"

static void write_step_charts(FILE *f, const train_history *h, const columns *c, double end)
{
    const chart_line loss[] = {
        {.name = "training", .color = BLUE, .x = c->step_x, .y = c->loss, .n = h->steps, .smooth = true},
        {.name = "validation", .color = ORANGE, .x = c->score_x, .y = c->score[VAL_LOSS], .n = h->scores, .dots = true},
    };
    const chart_line lr = {.name = "", .color = BLUE, .x = c->step_x, .y = c->lr, .n = h->steps};
    const chart_line scale = {.name = "", .color = BLUE, .x = c->step_x, .y = c->scale, .n = h->steps};
    const chart_line norm = {.name = "", .color = BLUE, .x = c->step_x, .y = c->norm, .n = h->steps, .smooth = true};
    chart_write(f,
                &(chart){.title = "Loss", .line = loss, .lines = h->scores ? 2 : 1, .x_end = end, .from_zero = true});
    chart_write(f, &(chart){.title = "Learning rate", .line = &lr, .lines = 1, .x_end = end, .from_zero = true});
    chart_write(f, &(chart){.title = "Logit scale", .line = &scale, .lines = 1, .x_end = end});
    chart_write(f, &(chart){.title = "Norm of the gradient", .line = &norm, .lines = 1, .x_end = end, .log = true});
}

static void write_score_charts(FILE *f, const train_history *h, const columns *c, double end)
{
    static const char *const color[] = {BLUE, ORANGE, CYAN};
    static const struct {
        const char *title, *name[3];
        int first, lines;
        bool percent;
    } charts[] = {
        {"Image to text", {"R@1", "R@5", "R@10"}, I_R1, 3, true},
        {"Text to image", {"R@1", "R@5", "R@10"}, T_R1, 3, true},
        {"Mean rank of the right one", {"image to text", "text to image"}, I_MEAN, 2, false},
        {"Median rank of the right one", {"image to text", "text to image"}, I_MEDIAN, 2, false},
    };
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++) {
        chart_line line[3];
        for (int l = 0; l < charts[i].lines; l++)
            line[l] = (chart_line){.name = charts[i].name[l],
                                   .color = color[l],
                                   .x = c->score_x,
                                   .y = c->score[charts[i].first + l],
                                   .n = h->scores,
                                   .dots = true};
        const bool percent = charts[i].percent;
        chart_write(f, &(chart){.title = charts[i].title,
                                .line = line,
                                .lines = charts[i].lines,
                                .x_end = end,
                                .percent = percent,
                                .from_zero = percent,
                                .log = !percent});
    }
}

static int write_curves(FILE *f, const train_history *h, double end)
{
    columns c;
    DO(fill_columns(h, &c));
    fputs("<h2>Curves</h2>\n<p>Over the steps of the run.</p>\n<div class=\"charts\">\n", f);
    write_step_charts(f, h, &c, end);
    if (h->scores)
        write_score_charts(f, h, &c, end);
    fputs("</div>\n", f);
    free(c.step_x);
    return CLI_DONE;
}

/* ---- The matrix ------------------------------------------------------------------------------ */

static const char *first_caption(const train_validation *v, int32_t picture)
{
    return v->data.captions.item[v->data.first[picture]];
}

static void picture(FILE *f, const train_validation *v, int32_t number, const char *attributes)
{
    const long at = train_thumbnail(v, number);
    fprintf(f, "<span class=\"pic");
    if (at >= 0)
        fprintf(f, " p%ld", at);
    fprintf(f, "\" %s title=\"", attributes);
    cli_html_text(f, first_caption(v, number));
    fputs("\"></span>", f);
}

/* Squared, so that all but the best cells of a row are pale. */
static double shade(double z, double lo, double hi)
{
    const double t = hi > lo ? (z - lo) / (hi - lo) : 1;
    return t * t;
}

static void write_cells(FILE *f, const train_validation *v, int side, double lo, double hi)
{
    const int M = v->M;
    fprintf(f, "<svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", M * side, M * side, M, M);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < M; j++) {
            const double z = (double)v->cosine[i * M + j];
            fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"1\" height=\"1\" opacity=\"%.2f\"><title>%.3f ", j, i,
                    shade(z, lo, hi), z);
            cli_html_text(f, first_caption(v, v->matrix[j]));
            fputs("</title></rect>\n", f);
        }
    for (int i = 0; i < M; i++)
        fprintf(f, "<rect class=\"right\" x=\"%.3f\" y=\"%.3f\" width=\".91\" height=\".91\"/>", i + .045, i + .045);
    fputs("</svg>", f);
}

static void write_matrix(FILE *f, const train_validation *v)
{
    const int side = v->M > 16 ? 33 : 40;
    double lo = INFINITY, hi = -INFINITY;
    char size[64];
    for (int i = 0; i < v->M * v->M; i++) {
        lo = fmin(lo, (double)v->cosine[i]);
        hi = fmax(hi, (double)v->cosine[i]);
    }
    snprintf(size, sizeof size, "style=\"width:%dpx;height:%dpx\"", side, side);
    fprintf(
        f,
        "<h2>Which picture goes with which caption?</h2>\n"
        "<p>The cosine of each of %d validation pictures (rows) with each of their captions "
        "(columns), <span class=\"scale\">from %.2f<i class=\"ramp\"></i>to %.2f</span>. "
        "In a model that has learned, the framed "
        "diagonal stands out.</p>\n"
        "<div class=\"card matrix\"><div><div class=\"tops\">",
        v->M, lo, hi);
    for (int i = 0; i < v->M; i++) {
        fprintf(f, "<span style=\"width:%dpx\" title=\"", side);
        cli_html_text(f, first_caption(v, v->matrix[i]));
        fputs("\">", f);
        cli_html_text(f, first_caption(v, v->matrix[i]));
        fputs("</span>", f);
    }
    fputs("</div><div class=\"sides\">", f);
    for (int i = 0; i < v->M; i++)
        picture(f, v, v->matrix[i], size);
    fputs("</div>", f);
    write_cells(f, v, side, lo, hi);
    fputs("</div></div>\n", f);
}

/* ---- Rankings -------------------------------------------------------------------------------- */

static void write_rank(FILE *f, const train_ranking *r, size_t of)
{
    if (r->rank >= r->n)
        fprintf(f, "<p class=\"miss\">the right one: place %d of %zu</p>", r->rank + 1, of);
}

static void write_look(FILE *f, const train_validation *v, const train_ranking *r)
{
    const int32_t from = v->data.first[r->query], to = v->data.first[r->query + 1];
    fputs("<article class=\"card look\">", f);
    picture(f, v, r->query, "");
    fputs("<div style=\"min-width:0\"><ol>\n", f);
    for (int k = 0; k < r->n; k++) {
        const bool right = r->hit[k] >= from && r->hit[k] < to;
        const char *caption = v->data.captions.item[r->hit[k]];
        const double z = (double)r->cosine[k];
        fprintf(f, "<li%s><b title=\"", right ? " class=\"right\"" : "");
        cli_html_text(f, caption);
        fprintf(f, "\">%s", right ? "&#10003; " : "");
        cli_html_text(f, caption);
        fprintf(f, "</b><span>%.3f</span><i style=\"background-size:%.0f%% 100%%\"></i></li>\n", z,
                100 * (z > 0 ? z : 0));
    }
    fputs("</ol>", f);
    if (r->rank >= r->n) {
        fputs("<p class=\"miss\">right, place ", f);
        fprintf(f, "%d of %zu: <bdi>", r->rank + 1, v->data.captions.n);
        cli_html_text(f, first_caption(v, r->query));
        fputs("</bdi></p>", f);
    }
    fputs("</div></article>\n", f);
}

static void write_word(FILE *f, const train_validation *v, const train_ranking *r)
{
    const char *caption = v->data.captions.item[r->query];
    fputs("<section class=\"card word\"><h3 title=\"", f);
    cli_html_text(f, caption);
    fputs("\">", f);
    cli_html_text(f, caption);
    fputs("</h3><div class=\"strip\">", f);
    for (int k = 0; k < r->n; k++) {
        const bool right = r->query >= v->data.first[r->hit[k]] && r->query < v->data.first[r->hit[k] + 1];
        fprintf(f, "<span%s>", right ? " class=\"right\"" : "");
        picture(f, v, r->hit[k], "");
        fprintf(f, "%.3f</span>", (double)r->cosine[k]);
    }
    fputs("</div>", f);
    write_rank(f, r, v->data.n);
    fputs("</section>\n", f);
}

static void write_rankings(FILE *f, const train_validation *v)
{
    fprintf(
        f,
        "<h2>Captions for pictures</h2>\n<p>The best of %zu captions for some of the validation pictures, "
        "with their cosines; "
        "the right one is marked.</p>\n<div class=\"looks\">\n",
        v->data.captions.n);
    for (int i = 0; i < v->pictures; i++)
        write_look(f, v, &v->picture[i]);
    fprintf(
        f,
        "</div>\n<h2>Pictures for captions</h2>\n<p>The best of %zu pictures for some of the captions.</p>\n"
        "<div class=\"looks\">\n",
        v->data.n);
    for (int i = 0; i < v->words; i++)
        write_word(f, v, &v->word[i]);
    fputs("</div>\n", f);
}

/* ---- Settings -------------------------------------------------------------------------------- */

static void write_setting(FILE *f, const char *name, const char *value, bool standard)
{
    fputs("<div><dt>", f);
    cli_html_text(f, name);
    fprintf(f, "</dt><dd%s>", standard ? " class=\"standard\"" : "");
    cli_html_text(f, value);
    fputs("</dd></div>\n", f);
}

static int write_settings(FILE *f, const train_folder *t)
{
    const clip_train_option *o;
    fputs("<h2>Settings</h2>\n<p>Defaults are paler.</p>\n<dl class=\"card\">\n", f);
    if (t->val_data)
        write_setting(f, "val-data", t->val_data, false);
    for (int i = 0; (o = clip_train_option_at(i)); i++) {
        char *value;
        DO(train_setting(t->settings, o->name, &value));
        if (value)
            write_setting(f, o->name, value, o->standard && strcmp(value, o->standard) == 0);
        free(value);
    }
    fputs("</dl>\n", f);
    return CLI_DONE;
}

/* ---- The page -------------------------------------------------------------------------------- */

static int write_page(FILE *f, const train_folder *t, const clip_train_info *info, const char *state,
                      const train_validation *v)
{
    char title[300];
    snprintf(title, sizeof title, "Training %s", cli_base_name(t->path));
    cli_html_head(f, title);
    fputs(style, f);
    for (size_t i = 0; v && i < v->thumbnails; i++)
        if (v->thumbnail[i].rgb)
            DO(cli_html_thumbnail(f, (long)i, &v->thumbnail[i]));
    fputs("</style>\n</head>\n<body>\n<main>\n<h1>", f);
    cli_html_text(f, title);
    fprintf(f, "</h1>\n<p>%s: step %lld of %lld, %d epochs of %lld pairs, batches of %d. %.2f million parameters",
            state, (long long)(t->history.steps ? t->history.step[t->history.steps - 1].step : 0),
            (long long)info->steps, info->epochs, (long long)info->pairs, info->batch_size,
            1e-6 * (double)info->parameters);
    if (info->trained_parameters < info->parameters)
        fprintf(f, ", %.2f of them trained", 1e-6 * (double)info->trained_parameters);
    fputs(".</p>\n", f);
    write_tiles(f, t, info);
    DO(write_curves(f, &t->history, (double)info->steps));
    if (v && v->M > 0) {
        write_matrix(f, v);
        write_rankings(f, v);
    }
    DO(write_settings(f, t));
    fputs("</main>\n</body>\n</html>\n", f);
    return CLI_DONE;
}

int train_report(const train_folder *t, const clip_train_info *info, const char *state, const train_validation *v)
{
    cli_out o;
    DO(cli_out_open_own(&o, t->report));
    int code = write_page(o.f, t, info, state, v);
    if (code == CLI_DONE)
        return cli_out_close(&o);
    cli_out_discard(&o);
    return code;
}
