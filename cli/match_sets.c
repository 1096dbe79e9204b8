/* What `clip match` tells about sets of pairs: the fit, its quality, confusable pairs, Winoground
 * scores. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "match.h"

static int failed_code(const match_pairs *p) { return p->data.failed > 0 ? CLI_FAILED : CLI_DONE; }

static void print_failed(long failed)
{
    if (failed > 0)
        printf("%ld samples could not be read and are left out\n", failed);
}

/* ---- Fit and eval ---------------------------------------------------------------------------- */

static void print_scores(const match_job *j, cli_json *o, double accuracy, double auc, double ece)
{
    if (j->json) {
        cli_json_number(o, "accuracy", accuracy);
        cli_json_number(o, "auc", auc);
        cli_json_number(o, "calibration_error", ece);
        return;
    }
    if (isnan(accuracy))
        printf("too few pairs to hold any back\n");
    else
        printf("accuracy %.1f %%, AUC %.3f, calibration error %.3f\n", 100 * accuracy, auc, ece);
}

static void print_fit(const match_job *j, const match_pairs *p, const clip_match *m)
{
    cli_json o = {.f = stdout};
    if (!j->json) {
        printf("%lld pairs, and as many wrong ones in batches of %d\n", (long long)m->pairs, m->batch);
        printf("p = 1 / (1 + exp(-(%.3f + %.3f max(logit - %.2f, 0))))\n", m->intercept, m->slope, m->knot);
        printf("each half measured with a fit on the other: ");
        print_scores(j, NULL, m->accuracy, m->auc, m->ece);
        print_failed(p->data.failed);
        return;
    }
    cli_json_open(&o, NULL, '{');
    cli_json_int(&o, "pairs", m->pairs);
    cli_json_int(&o, "batch", m->batch);
    cli_json_number(&o, "knot", m->knot);
    cli_json_number(&o, "slope", m->slope);
    cli_json_number(&o, "intercept", m->intercept);
    cli_json_open(&o, "held_out", '{');
    print_scores(j, &o, m->accuracy, m->auc, m->ece);
    cli_json_close(&o, '}');
    cli_json_int(&o, "failed", p->data.failed);
    cli_passed_json(&o, &p->data.passed);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

static int store_fit(const match_job *j, const clip_match *m)
{
    clip_error err;
    if (clip_match_save(j->session.model, m, j->output, &err) == CLIP_OK)
        return CLI_DONE;
    return j->output ? cli_fail("%s", err.message) : cli_fail("%s (--output FILE stores it elsewhere)", err.message);
}

int match_fit(match_job *j, const char *spec)
{
    match_pairs p;
    clip_match m;
    clip_error err;
    int code = match_read(j, spec, &p);
    if (code == CLI_DONE && clip_match_fit(j->session.ctx, p.image, p.text, p.n, j->batch, &m, &err) < 0)
        code = cli_fail("%s: %s", spec, err.message);
    if (code == CLI_DONE)
        code = store_fit(j, &m);
    if (code == CLI_DONE) {
        print_fit(j, &p, &m);
        code = failed_code(&p);
    }
    match_pairs_free(&p);
    return code;
}

static void print_evaluation(const match_job *j, const match_pairs *p, const clip_match_scores *s)
{
    cli_json o = {.f = stdout};
    if (!j->json) {
        printf("%lld pairs, and as many wrong ones in batches of %d: ", (long long)s->pairs, j->batch);
        print_scores(j, NULL, s->accuracy, s->auc, s->ece);
        print_failed(p->data.failed);
        return;
    }
    cli_json_open(&o, NULL, '{');
    cli_json_int(&o, "pairs", s->pairs);
    cli_json_int(&o, "batch", j->batch);
    print_scores(j, &o, s->accuracy, s->auc, s->ece);
    cli_json_int(&o, "failed", p->data.failed);
    cli_passed_json(&o, &p->data.passed);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

int match_evaluate(match_job *j, const char *spec)
{
    match_pairs p = {0};
    clip_match_scores s;
    clip_error err;
    int code = j->fitted ? match_read(j, spec, &p)
                         : cli_fail("no probability has been fitted for this model: 'clip match --fit PAIRS' does it");
    if (code == CLI_DONE &&
        clip_match_evaluate(j->session.ctx, &j->match, p.image, p.text, p.n, j->batch, &s, &err) < 0)
        code = cli_fail("%s: %s", spec, err.message);
    if (code == CLI_DONE) {
        print_evaluation(j, &p, &s);
        code = failed_code(&p);
    }
    match_pairs_free(&p);
    return code;
}

/* ---- The most confusable pairs --------------------------------------------------------------- */

static void print_member(const match_job *j, cli_json *o, const match_pairs *p, int i)
{
    const char *path = p->data.keys.item[p->picture[i]], *text = p->data.captions.item[i];
    if (j->json) {
        cli_json_open(o, NULL, '{');
        cli_json_path(o, "path", path);
        cli_json_string(o, "text", text);
        cli_json_close(o, '}');
        return;
    }
    printf("%8s  ", "");
    cli_print_plain(stdout, path);
    printf("  ");
    cli_print_plain(stdout, text);
    putchar('\n');
}

static void print_confusions(const match_job *j, const match_pairs *p, const clip_confusion *c, int n)
{
    for (int i = 0; i < n; i++) {
        cli_json o = {.f = stdout};
        if (j->json) {
            cli_json_open(&o, NULL, '{');
            cli_json_number(&o, "margin", (double)c[i].margin);
            cli_json_open(&o, "pairs", '[');
        } else {
            printf("%8.3f\n", (double)c[i].margin);
        }
        print_member(j, &o, p, c[i].i);
        print_member(j, &o, p, c[i].j);
        if (j->json) {
            cli_json_close(&o, ']');
            cli_json_close(&o, '}');
            cli_json_line(&o);
        }
    }
    if (!j->json)
        print_failed(p->data.failed);
}

int match_hardest(match_job *j, const char *spec)
{
    match_pairs p;
    int found = 0;
    clip_confusion *c = malloc((size_t)j->hardest * sizeof *c);
    int code = match_read(j, spec, &p);
    if (code == CLI_DONE && !c)
        code = cli_no_memory();
    if (code == CLI_DONE && p.n < 2)
        code = cli_fail("%s: a single pair cannot be confused with another", spec);
    if (code == CLI_DONE)
        code = cli_status(clip_match_hardest(j->session.ctx, p.image, p.text, p.n, j->hardest, c, &found), spec);
    if (code == CLI_DONE) {
        print_confusions(j, &p, c, found);
        code = failed_code(&p);
    }
    free(c);
    match_pairs_free(&p);
    return code;
}

/* ---- Winoground ------------------------------------------------------------------------------ */

/* Each row of the table has two pictures and two captions with the same words in another order.
 * s(c, i) is the cosine of caption c and picture i (Thrush et al. 2022, arXiv:2204.03162, 3.2):
 *     text   s(0,0) > s(1,0)  and  s(1,1) > s(0,1)        each picture finds its caption
 *     image  s(0,0) > s(0,1)  and  s(1,1) > s(1,0)        each caption finds its picture
 *     group  both */
typedef struct winoground {
    long rows, text, image, group;
} winoground;

static void count(const match_pairs side[2], int D, winoground *w)
{
    for (int r = 0; r < side[0].n; r++) {
        float s[2][2];
        for (int c = 0; c < 2; c++)
            for (int i = 0; i < 2; i++)
                s[c][i] = cli_cosine(side[i].image + (size_t)r * (size_t)D, side[c].text + (size_t)r * (size_t)D, D);
        const bool text = s[0][0] > s[1][0] && s[1][1] > s[0][1], image = s[0][0] > s[0][1] && s[1][1] > s[1][0];
        w->text += text;
        w->image += image;
        w->group += text && image;
    }
    w->rows = side[0].n;
}

static void print_winoground(const match_job *j, const winoground *w)
{
    const double n = (double)w->rows;
    cli_json o = {.f = stdout};
    if (!j->json) {
        printf("%ld rows, in per cent: text %.2f, image %.2f, group %.2f (by chance 25, 25, 16.67)\n", w->rows,
               100 * (double)w->text / n, 100 * (double)w->image / n, 100 * (double)w->group / n);
        return;
    }
    cli_json_open(&o, NULL, '{');
    cli_json_int(&o, "rows", w->rows);
    cli_json_number(&o, "text", (double)w->text / n);
    cli_json_number(&o, "image", (double)w->image / n);
    cli_json_number(&o, "group", (double)w->group / n);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

/* Only a table has columns to choose from. With a folder or a tar both sides have the same
 * captions. */
static bool same_captions(const match_pairs side[2])
{
    for (int i = 0; i < side[0].n; i++)
        if (strcmp(side[0].data.captions.item[i], side[1].data.captions.item[i]) != 0)
            return false;
    return true;
}

/* The table is read as two sets of pairs. A row missing in one set would shift the others, so every
 * row must be readable. */
int match_winoground(match_job *j, const char *spec)
{
    static const char *const image[2] = {"image_0", "image_1"}, *const caption[2] = {"caption_0", "caption_1"};
    match_pairs side[2] = {0};
    winoground w = {0};
    int code = CLI_DONE;
    for (int i = 0; i < 2 && code == CLI_DONE; i++) {
        j->eval.pairs.image_key = image[i];
        j->eval.pairs.caption_key = caption[i];
        j->eval.captions = EVAL_ALL;
        code = match_read(j, spec, &side[i]);
        if (code == CLI_DONE && side[i].data.failed > 0)
            code = cli_fail("%s: every row must be readable", spec);
    }
    if (code == CLI_DONE && side[0].n != side[1].n)
        code = cli_fail("%s: a row lacks a caption", spec);
    else if (code == CLI_DONE && same_captions(side))
        code = cli_fail("%s: --winoground needs a table whose columns caption_0 and caption_1 differ", spec);
    if (code == CLI_DONE) {
        count(side, j->session.D, &w);
        print_winoground(j, &w);
    }
    match_pairs_free(&side[0]);
    match_pairs_free(&side[1]);
    return code;
}
