/* Curves over the steps of a run, as SVG inside a page. Colours come from the page's style sheet,
 * so that they follow light and dark. */
#include <math.h>
#include <stdlib.h>

#include "train.h"

enum { W = 560, H = 250, LEFT = 58, RIGHT = 14, TOP = 14, BOTTOM = 30, POINTS = 400, MOST_TICKS = 16 };

typedef struct axis {
    double lo, hi;
    bool log;
    double tick[MOST_TICKS];
    int ticks;
} axis;

/* ---- Axes ------------------------------------------------------------------------------------ */

/* The smallest step of 1, 2 or 5 times a power of ten that divides a length into at most `most`
 * parts. */
static double round_step(double length, int most)
{
    const double raw = length / most, power = pow(10, floor(log10(raw))), x = raw / power;
    return power * (x <= 1 ? 1 : x <= 2 ? 2 : x <= 5 ? 5 : 10);
}

static void linear(axis *a, int most)
{
    const double step = round_step(a->hi - a->lo, most);
    a->lo = floor(a->lo / step + 1e-3) * step;
    a->hi = ceil(a->hi / step - 1e-3) * step;
    for (int i = 0; i < MOST_TICKS && a->lo + i * step <= a->hi + step / 2; i++)
        a->tick[a->ticks++] = a->lo + i * step;
}

/* Ticks at 1, 2, 5 of every decade, or only at decades if there are many. */
static void logarithmic(axis *a)
{
    static const double part[] = {1, 2, 5};
    const bool sparse = a->hi / a->lo > 1e4;
    for (double decade = pow(10, floor(log10(a->lo))); decade <= a->hi * 1.0001 && a->ticks < MOST_TICKS - 3;
         decade *= 10)
        for (int i = 0; i < (sparse ? 1 : 3); i++)
            if (part[i] * decade >= a->lo * 0.9999 && part[i] * decade <= a->hi * 1.0001)
                a->tick[a->ticks++] = part[i] * decade;
}

static axis y_axis(const chart *c)
{
    axis a = {.lo = INFINITY, .hi = -INFINITY, .log = c->log};
    for (int l = 0; l < c->lines; l++)
        for (size_t i = 0; i < c->line[l].n; i++) {
            const double y = c->line[l].y[i];
            if (!isfinite(y) || (c->log && y <= 0))
                continue;
            a.lo = fmin(a.lo, y);
            a.hi = fmax(a.hi, y);
        }
    if (!(a.lo <= a.hi)) /* nothing to draw */
        a.lo = a.hi = 1;
    if (c->from_zero && !c->log)
        a.lo = 0;
    if (c->log && a.hi / a.lo < 3) { /* fewer than two ticks: use a linear axis */
        a.log = false;
        a.lo = 0;
    }
    if (a.hi - a.lo < 1e-12 * fmax(1, fabs(a.hi))) {
        a.lo -= a.log ? 0 : fabs(a.lo) > 0 ? fabs(a.lo) / 2 : 1;
        a.hi += fabs(a.hi) > 0 ? fabs(a.hi) / 2 : 1;
    }
    if (a.log)
        logarithmic(&a);
    else
        linear(&a, 5);
    return a;
}

static double place(const axis *a, double v)
{
    return a->log ? log(v / a->lo) / log(a->hi / a->lo) : (v - a->lo) / (a->hi - a->lo);
}

static double at_x(const axis *x, double v) { return LEFT + (W - LEFT - RIGHT) * place(x, v); }
static double at_y(const axis *y, double v) { return H - BOTTOM - (H - TOP - BOTTOM) * place(y, v); }

/* "1,200", "0.25", "5e-05", "40%" */
static void label(FILE *f, double v, bool percent)
{
    if (percent)
        fprintf(f, "%.4g%%", 100 * v);
    else if (fabs(v) >= 1e6 || (v != 0 && fabs(v) < 1e-3))
        fprintf(f, "%.2g", v);
    else if (fabs(v) >= 1000)
        fprintf(f, "%ld,%03ld", (long)(v + 0.5) / 1000, (long)(v + 0.5) % 1000);
    else
        fprintf(f, "%.4g", fabs(v) < 1e-12 ? 0 : v);
}

static void draw_axes(FILE *f, const chart *c, const axis *x, const axis *y)
{
    for (int i = 0; i < y->ticks; i++) {
        const double at = at_y(y, y->tick[i]);
        fprintf(f, "<path class=\"rule\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT, at,
                W - RIGHT, LEFT - 8, at + 4);
        label(f, y->tick[i], c->percent);
        fputs("</text>\n", f);
    }
    for (int i = 0; i < x->ticks; i++) {
        const double at = at_x(x, x->tick[i]);
        fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">", at, H - BOTTOM + 18,
                at < W - RIGHT - 16 ? "middle" : "end");
        label(f, x->tick[i], false);
        fputs("</text>\n", f);
    }
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* The mean of y over points from .. to-1 that can be drawn. Not finite if there is no such
 * point. */
static double mean(const chart_line *l, size_t from, size_t to, bool log)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = from; i < to; i++)
        if (isfinite(l->y[i]) && (!log || l->y[i] > 0)) {
            sum += l->y[i];
            n++;
        }
    return n > 0 ? sum / (double)n : (double)NAN;
}

/* Draw at most POINTS points. Each is the mean of its share of the steps and of `reach` steps on
 * both sides. */
static void draw_line(FILE *f, const chart_line *l, const axis *x, const axis *y, size_t reach, const char *class)
{
    const size_t share = (l->n + POINTS - 1) / POINTS;
    bool pen = false;
    fprintf(f, "<path class=\"%s\" style=\"stroke:%s\" d=\"", class, l->color);
    for (size_t i = 0; i < l->n; i += share) {
        const size_t end = i + share < l->n ? i + share : l->n, to = end + reach < l->n ? end + reach : l->n;
        const double v = mean(l, i > reach ? i - reach : 0, to, y->log);
        if (isfinite(v))
            fprintf(f, "%c%.1f %.1f", pen ? 'L' : 'M', at_x(x, (l->x[i] + l->x[end - 1]) / 2), at_y(y, v));
        pen = isfinite(v);
    }
    fputs("\"/>\n", f);
}

static void draw_dots(FILE *f, const chart_line *l, const axis *x, const axis *y)
{
    if (l->n > 60)
        return;
    for (size_t i = 0; i < l->n; i++)
        if (isfinite(l->y[i]) && (!y->log || l->y[i] > 0))
            fprintf(
                f,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" style=\"fill:%s\"><title>step %.0f: %.6g</title></circle>\n",
                at_x(x, l->x[i]), at_y(y, l->y[i]), l->color, l->x[i], l->y[i]);
}

static void write_key(FILE *f, const chart *c)
{
    fputs("<figcaption><b>", f);
    cli_html_text(f, c->title);
    fputs("</b>", f);
    for (int l = 0; l < c->lines && c->lines > 1; l++) {
        fprintf(f, "<span><i style=\"background:%s\"></i>", c->line[l].color);
        cli_html_text(f, c->line[l].name);
        fputs("</span>", f);
    }
    fputs("</figcaption>", f);
}

void chart_write(FILE *f, const chart *c)
{
    axis x = {.lo = 0, .hi = c->x_end > 0 ? c->x_end : 1}, y = y_axis(c);
    const double step = fmax(1, round_step(x.hi, 6));
    for (int i = 0; i < MOST_TICKS && i * step <= x.hi; i++)
        x.tick[x.ticks++] = i * step;
    fputs("<figure class=\"card chart\">", f);
    write_key(f, c);
    fprintf(f, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", W, H);
    cli_html_text(f, c->title);
    fputs("\">\n", f);
    draw_axes(f, c, &x, &y);
    for (int l = 0; l < c->lines; l++) {
        const chart_line *line = &c->line[l];
        if (line->smooth && line->n > 20)
            draw_line(f, line, &x, &y, 0, "faint");
        draw_line(f, line, &x, &y, line->smooth && line->n > 20 ? line->n / 60 + 1 : 0, "curve");
        if (line->dots)
            draw_dots(f, line, &x, &y);
    }
    fputs("</svg></figure>\n", f);
}
