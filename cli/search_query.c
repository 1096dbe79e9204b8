/* What is asked for: terms with weights, their sum, and the first second of a date.
 *
 *     query    = term (("+" | "-") term)...          each an operand of its own; what the shell has quoted is never split
 *     term     = [weight ":"] (picture | words)
 *     picture  = "-" | a file | what looks like a path
 *
 * Words that follow each other without an operator are one text, so nobody has to quote `clip search a red balloon`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "search_common.h"

/* ---- Reading operands ------------------------------------------------------------------------------------ */

static bool is_operator(const char *s) { return (s[0] == '+' || s[0] == '-') && !s[1]; }

static bool is_quoted(const char *s)
{
    const size_t n = strlen(s);
    return n >= 2 && s[0] == '"' && s[n - 1] == '"';
}

static bool is_picture(const char *s)
{
    struct stat st;
    if (is_quoted(s))
        return false;
    if (stat(s, &st) == 0)
        return !S_ISDIR(st.st_mode) || strchr(s, '/');
    return s[0] == '/' || strncmp(s, "./", 2) == 0 || strncmp(s, "../", 3) == 0 ||
           ((strchr(s, '/') || clip_is_picture_name(s)) && !strchr(s, ' '));
}

/* "2:dog": the length of the weight with its colon, else 0. "3:30", "16:9" and "2: dog" are words. */
static size_t weight_length(const char *s, float *weight)
{
    const size_t n = strspn(s, "0123456789.");
    char *end;
    if (n == 0 || s[n] != ':' || !s[n + 1] || strchr(" 0123456789", s[n + 1]))
        return 0;
    const float w = strtof(s, &end);
    if (end != s + n || !(w > 0) || !isfinite(w))
        return 0;
    *weight = w;
    return n + 1;
}

static int add(const search *s, search_query *q, search_term t)
{
    if (q->n == SEARCH_TERMS)
        return cli_usage(s->args, "a query has at most %d terms", SEARCH_TERMS);
    if (t.kind != SEARCH_ROW) {
        if (!*t.text)
            return cli_usage(s->args, "a term of the query is empty");
        t.text = strdup(t.text);
        if (!t.text)
            return cli_no_memory();
    }
    q->term[q->n++] = t;
    return CLI_DONE;
}

static int add_operand(const search *s, search_query *q, char *operand, float sign)
{
    search_term t = {.weight = 1, .text = operand};
    if (access(operand, F_OK) < 0) /* a file may be called "2:a.png" */
        t.text += weight_length(operand, &t.weight);
    t.kind = strcmp(t.text, "-") == 0 || is_picture(t.text) ? SEARCH_PICTURE : SEARCH_WORDS;
    t.weight *= sign;
    if (t.kind == SEARCH_PICTURE || !is_quoted(t.text))
        return add(s, q, t);
    char *inner = strndup(t.text + 1, strlen(t.text) - 2);
    if (!inner)
        return cli_no_memory();
    t.text = inner;
    const int code = add(s, q, t);
    free(inner);
    return code;
}

/* Two operands without an operator: more of the same text, or a slip. */
static int continue_words(const search *s, search_query *q, const char *operand)
{
    search_term *last = &q->term[q->n - 1];
    float weight;
    char *text;
    if (last->kind != SEARCH_WORDS || is_picture(operand) || is_quoted(operand) || weight_length(operand, &weight))
        return cli_usage(s->args, "'%s': '+' or '-' is missing in front of it%s", operand,
                         last->kind == SEARCH_WORDS && is_picture(operand)
                             ? " (it names a file; quoted with its neighbours it is words)"
                             : "");
    if (asprintf(&text, "%s %s", last->text, operand) < 0)
        return cli_no_memory();
    free(last->text);
    last->text = text;
    return CLI_DONE;
}

int search_parse(const search *s, char *const *operand, int n, search_query *out)
{
    float sign = 1;
    bool term_next = s->n_liked == 0;
    *out = (search_query){0};
    for (int i = 0; i < s->n_liked; i++)
        DO(add(s, out, (search_term){.kind = SEARCH_ROW, .weight = 1, .row = s->liked[i]}));
    for (int i = 0; i < n; i++) {
        if (!term_next && is_operator(operand[i])) {
            if (i + 1 == n)
                return cli_usage(s->args, "nothing follows the '%s'", operand[i]);
            sign = operand[i][0] == '-' ? -1 : 1;
            term_next = true;
        } else if (term_next) {
            if (strcmp(operand[i], "+") == 0)
                return cli_usage(s->args, "a term is missing in front of the '+'");
            DO(add_operand(s, out, operand[i], sign));
            term_next = false;
        } else {
            DO(continue_words(s, out, operand[i]));
        }
    }
    return CLI_DONE;
}

void search_query_free(search_query *q)
{
    for (int i = 0; i < q->n; i++)
        free(q->term[i].text);
    *q = (search_query){0};
}

/* ---- Dates ----------------------------------------------------------------------------------------------- */

static bool is_before(time_t at, const struct tm *day)
{
    struct tm is;
    if (!localtime_r(&at, &is))
        return false;
    return is.tm_year != day->tm_year ? is.tm_year < day->tm_year : is.tm_yday < day->tm_yday;
}

/* The first second of a day, in local time. mktime() does not know it: where clocks change at midnight
 * that comes twice, or not at all; a zone that changed sides of the date line left out a whole day. */
static time_t begin_of(struct tm day)
{
    enum { TWO_DAYS = 2 * 86400 }; /* more than any zone is off */
    const time_t middle = timegm(&day); /* in `day` the 32nd becomes the 1st */
    time_t before = middle - TWO_DAYS, from = middle + TWO_DAYS;
    while (from - before > 1) {
        const time_t at = before + (from - before) / 2;
        if (is_before(at, &day))
            before = at;
        else
            from = at;
    }
    return from;
}

int search_date(const cli_args *a, bool behind, int64_t *out)
{
    int year, month = 1, day = 1, used[3] = {0};
    const int n = sscanf(a->value, "%4d%n-%2d%n-%2d%n", &year, &used[0], &month, &used[1], &day, &used[2]);
    const size_t length = strspn(a->value, "0123456789-");
    struct tm t = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    if (n >= 1)
        timegm(&t); /* there is no 30th of February: another date comes out */
    if (n < 1 || (size_t)used[n - 1] != length || a->value[length] || length != (size_t)(1 + 3 * n) || year < 1000 ||
        t.tm_mon != month - 1 || t.tm_mday != day)
        return cli_usage(a, "--%s: '%s' is not a date like 2023, 2023-05 or 2023-05-17", a->name, a->value);
    if (behind)
        t = (struct tm){.tm_year = year - 1900 + (n == 1), .tm_mon = month - 1 + (n == 2), .tm_mday = day + (n == 3)};
    const time_t at = begin_of(t);
    *out = at != 0 ? at : 1; /* to clip_index_filter 0 is no bound */
    return CLI_DONE;
}

/* ---- Terms to vectors ------------------------------------------------------------------------------------ */

static int check_model(const search *s, const cli_session *session)
{
    clip_index *x;
    DO(cli_index_open(s->args, s->index_path, session, CLI_INDEX_READ, &x));
    clip_index_close(x, NULL);
    return CLI_DONE;
}

/* Only what a query needs is read and packed: a tower each in a session of its own. */
static int need(search *s, int tower)
{
    cli_session *mine = tower == CLIP_TOWER_TEXT ? &s->words : &s->pictures;
    const bool first = !s->words.model && !s->pictures.model;
    if (mine->model)
        return CLI_DONE;
    DO(cli_open(s->args, tower, mine));
    if (first && !s->info.model_id[0])
        cli_warn("%s was imported, and does not say which model it is of: it has to be %s", s->index_path,
                 s->args->model);
    return first ? check_model(s, mine) : CLI_DONE;
}

static int embed_words(search *s, const search_query *q, int Q, float **out)
{
    cli_list words = {.item = malloc(((size_t)Q * SEARCH_TERMS + 1) * sizeof *words.item)}; /* borrows the texts */
    int code = words.item ? CLI_DONE : cli_no_memory();
    for (int i = 0; i < Q && words.item; i++)
        for (int t = 0; t < q[i].n; t++)
            if (q[i].term[t].kind == SEARCH_WORDS)
                words.item[words.n++] = q[i].term[t].text;
    if (code == CLI_DONE && words.n > 0)
        code = need(s, CLIP_TOWER_TEXT);
    if (code == CLI_DONE && words.n > 0 && s->prompts.n > 0) {
        code = cli_encode_labels(&s->words, &words, &s->prompts, out);
    } else if (code == CLI_DONE && words.n > 0) {
        *out = malloc(words.n * (size_t)s->words.D * sizeof **out);
        code = *out ? cli_encode_texts(&s->words, words.item, words.n, *out) : cli_no_memory();
    }
    free(words.item);
    return code;
}

/* A line of --queries may not name a pipe or a device: it could make us wait for ever. */
static int embed_picture(search *s, const char *path, float *out)
{
    clip_image img;
    clip_error err;
    DO(need(s, CLIP_TOWER_IMAGE));
    clip_image_options o = cli_image_options(s->args, clip_index_image_options(s->index, s->pictures.model));
    const bool input = strcmp(path, "-") == 0;
    if (input)
        DO(cli_take_input());
    o.pipes = input || !s->listed;
    if (clip_image_read(path, &o, &img, &err) < 0)
        return cli_fail("%s", err.message);
    const int code = cli_encoded(s->pictures.ctx, clip_encode_image(s->pictures.ctx, &img, 1, out), path);
    clip_image_free(&img);
    return code;
}

static int embed_row(const search *s, int64_t row, float *out)
{
    clip_error err;
    return clip_index_vector(s->index, row, out, &err) < 0 ? cli_fail("%s", err.message) : CLI_DONE;
}

/* To unit length. Terms that are the same but for f16's rounding leave a thousandth of their weights. */
static int normalise(const search_query *q, float *x, int D)
{
    double norm = 0, weights = 0;
    for (int d = 0; d < D; d++)
        norm += (double)x[d] * (double)x[d];
    norm = sqrt(norm);
    for (int t = 0; t < q->n; t++)
        weights += fabs((double)q->term[t].weight);
    if (!(norm > 1e-3 * weights))
        return cli_fail("the terms of the query cancel each other out: nothing is left to search for");
    for (int d = 0; d < D; d++)
        x[d] = (float)((double)x[d] / norm);
    return CLI_DONE;
}

/* One query: the sum of its terms. *words are the vectors of its texts, and move on. */
static int combine(search *s, const search_query *q, const float **words, float *term, float *out)
{
    const int D = s->info.dim;
    memset(out, 0, (size_t)D * sizeof *out);
    for (int t = 0; t < q->n; t++) {
        const float *x = term;
        if (q->term[t].kind == SEARCH_PICTURE)
            DO(embed_picture(s, q->term[t].text, term));
        else if (q->term[t].kind == SEARCH_ROW)
            DO(embed_row(s, q->term[t].row, term));
        else
            x = *words, *words += D;
        for (int d = 0; d < D; d++)
            out[d] += q->term[t].weight * x[d];
    }
    return normalise(q, out, D);
}

int search_embed(search *s, const search_query *q, int *Q, float *out)
{
    float *words = NULL, *term = malloc((size_t)s->info.dim * sizeof *term);
    int code = term ? embed_words(s, q, *Q, &words) : cli_no_memory(), n = 0;
    const float *at = words;
    while (code == CLI_DONE && n < *Q) {
        code = combine(s, &q[n], &at, term, out + (size_t)n * (size_t)s->info.dim);
        n += code == CLI_DONE;
    }
    *Q = n;
    free(words);
    free(term);
    return code;
}
