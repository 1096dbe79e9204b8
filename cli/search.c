/* clip search: what in an index is nearest to words, pictures, and sums of them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search_common.h"

enum { INDEX = CLI_LONG, KIND, MIN_SCORE, FILTER, AFTER, BEFORE, LIKE, PROMPT, QUERIES, DUPLICATES, TABLE, HTML, SHOW, BATCH = 64 };

static const cli_option options[] = {
    {CLI_HEADING, NULL, NULL, "what to ask"},
    {LIKE, "like", "N|PATH", "more like number N of the last answer, or like a picture in the index; terms may\n"
                             "follow: --like 3 + snow"},
    {PROMPT, "prompt", "TEXT", "put words into this text, at its {}: 'a photo of {}'; the mean of several, if it is\n"
                               "given several times (default: words as they are typed)"},
    {QUERIES, "queries", "FILE", "a query a line ('-': standard input), its terms and operators separated by tabs;\n"
                                 "prints a line of JSON each"},
    {DUPLICATES, "duplicates", NULL, "instead of asking: groups of pictures that are nearly the same, with an empty line\n"
                                     "between them"},
    {CLI_HEADING, NULL, NULL, "what to look at"},
    {INDEX, "index", "DIR", "the index (default: $CLIP_INDEX, else that of 'clip index')"},
    {'k', "top", "K", "the K best (default: 10)"},
    {KIND, "kind", "KIND", "picture, text or all (default: pictures, where the index has any)"},
    {MIN_SCORE, "min-score", "S", "only what has a cosine of at least S (for --duplicates the default is 0.97)"},
    {FILTER, "filter", "PATTERN", "only paths that are like this from end to end ('*/2023/*', '*.png'); like one of\n"
                                   "them, if given several times"},
    {AFTER, "after", "DATE", "only pictures taken (or, where that is not known, files changed) since the\n"
                             "beginning of 2023, 2023-05 or 2023-05-17"},
    {BEFORE, "before", "DATE", "only those from before the beginning of it"},
    {CLI_HEADING, NULL, NULL, "how to show the answer"},
    {TABLE, "table", NULL, "with ranks and cosines also where the output is no terminal"},
    {'0', "null", NULL, "zero bytes instead of newlines end the paths, and the lines of --queries"},
    {HTML, "html", "FILE", "also write a page with the pictures"},
    {SHOW, "show", "HOW", "pictures in the terminal: kitty, iterm or sixel; no (default: as the terminal can)"},
    {0},
};

typedef struct job {
    search search;
    const char *queries;
    bool duplicates, show_set, kind_set, score_set;
    int k;
    search_query query[BATCH];
    float *vector; /* [Q, D] */
    clip_hit *hit; /* [Q, k + liked] */
    int found[BATCH];
} job;

/* ---- One answer ------------------------------------------------------------------------------------------ */

static bool is_liked(const search *s, int64_t row)
{
    for (int i = 0; i < s->n_liked; i++)
        if (s->liked[i] == row)
            return true;
    return false;
}

/* So many queries at once; afterwards hit [Q, k + liked] has found[q] of each. What --like names is not an answer itself. */
static int ask(job *j, int Q)
{
    search *s = &j->search;
    const int width = j->k + s->n_liked;
    clip_error err;
    DO(search_embed(s, j->query, Q, j->vector));
    if (clip_index_search(s->index, j->vector, Q, width, &s->filter, j->hit, j->found, &err) < 0)
        return cli_fail("%s", err.message);
    for (int q = 0; q < Q; q++) {
        clip_hit *h = j->hit + (size_t)q * (size_t)width;
        int n = 0;
        for (int i = 0; i < j->found[q] && n < j->k; i++)
            if (!is_liked(s, h[i].row))
                h[n++] = h[i];
        j->found[q] = n;
    }
    return CLI_DONE;
}

static void json_head(const search *s, cli_json *o)
{
    cli_json_open(o, NULL, '{');
    cli_json_string(o, "index", s->info.path);
    cli_json_string(o, "model", s->info.model_name);
}

/* The numbers of an answer that shows them can be named by the next --like. */
static int present(job *j, const search_answer *r)
{
    search *s = &j->search;
    if (s->html)
        DO(search_gallery(s, r));
    if (s->args->json) {
        cli_json o = {.f = s->out.f};
        json_head(s, &o);
        if (!j->duplicates)
            cli_json_string(&o, "query", s->title);
        search_print_json(s, r, &o, j->duplicates);
        cli_json_close(&o, '}');
        cli_json_line(&o);
    } else {
        DO(search_print(s, r));
    }
    if (s->args->json || s->table || s->html)
        search_remember(s, r);
    DO(cli_out_check(&s->out));
    return r->group[r->groups] > 0 ? CLI_DONE : cli_fail(j->duplicates ? "no picture is nearly the same as another" : "nothing found");
}

static int answer_one(job *j)
{
    int64_t group[2] = {0};
    search_answer r = {j->hit, group, 1};
    DO(search_parse(&j->search, j->search.args->operand, j->search.args->operands, &j->query[0]));
    DO(ask(j, 1));
    group[1] = j->found[0];
    return present(j, &r);
}

/* ---- Many answers ---------------------------------------------------------------------------------------- */

/* Terms and operators of a line, which is cut up. */
static int parse_line(job *j, char *line, const char *name, long number, search_query *q)
{
    enum { MOST = 2 * SEARCH_TERMS };
    char *operand[MOST];
    int n = 0;
    while (line && n < MOST)
        operand[n++] = strsep(&line, "\t");
    if (line || search_parse(&j->search, operand, n, q) != CLI_DONE)
        return cli_fail("%s: line %ld is no query", name, number);
    return CLI_DONE;
}

static int answer_lines(job *j, cli_lines *lines, char **texts)
{
    search *s = &j->search;
    int Q = 0;
    bool any = false, more = true;
    while (more) {
        for (Q = 0; Q < BATCH && more; Q++) {
            char *line;
            DO(cli_lines_next(lines, &line));
            if (!(more = line != NULL))
                break;
            texts[Q] = strdup(line);
            if (!texts[Q])
                return cli_no_memory();
            DO(parse_line(j, line, lines->name, lines->number, &j->query[Q]));
        }
        if (Q > 0)
            DO(ask(j, Q));
        for (int q = 0; q < Q; q++) {
            int64_t group[2] = {0, j->found[q]};
            search_answer r = {j->hit + (size_t)q * (size_t)(j->k + s->n_liked), group, 1};
            cli_json o = {.f = s->out.f};
            cli_json_open(&o, NULL, '{');
            cli_json_string(&o, "query", texts[q]);
            search_print_json(s, &r, &o, false);
            cli_json_close(&o, '}');
            cli_json_line(&o);
            any |= j->found[q] > 0;
            free(texts[q]);
            texts[q] = NULL;
            search_query_free(&j->query[q]);
        }
        DO(cli_out_check(&s->out));
    }
    return any ? CLI_DONE : cli_fail("nothing found");
}

static int answer_many(job *j)
{
    char *texts[BATCH] = {0};
    cli_lines lines;
    int code = cli_lines_open(&lines, j->queries, j->search.delimiter);
    if (code == CLI_DONE)
        code = answer_lines(j, &lines, texts);
    for (int q = 0; q < BATCH; q++)
        free(texts[q]);
    cli_lines_close(&lines);
    return code;
}

/* ---- Near duplicates ------------------------------------------------------------------------------------- */

/* Does row `at` lead, by symbolic links, to another of the group? They are one file: who deletes one as the duplicate of the other would lose it. */
static int is_link(const search *s, int64_t at, const int64_t *row, int64_t n, bool *out)
{
    clip_item item;
    clip_error err;
    *out = false;
    if (clip_index_item_at(s->index, at, &item, &err) < 0)
        return cli_fail("%s", err.message);
    char *real = item.path ? realpath(item.path, NULL) : NULL;
    clip_status status = CLIP_OK;
    if (real && strcmp(real, item.path) != 0) {
        status = clip_index_find(s->index, real, &item, &err);
        for (int64_t i = 0; status == CLIP_OK && item.kind && i < n; i++)
            *out |= row[i] == item.row;
    }
    free(real);
    return status == CLIP_OK ? CLI_DONE : cli_fail("%s", err.message);
}

/* Rows that only are links to others of their group leave, and with them what then is no group any more. */
static int drop_links(const search *s, search_answer *r, int64_t *row)
{
    int64_t groups = 0, kept = 0;
    for (int64_t g = 0, begin = 0, end; g < r->groups; g++, begin = end) {
        const int64_t from = kept;
        end = r->group[g + 1];
        for (int64_t i = begin; i < end; i++) {
            bool link;
            DO(is_link(s, row[i], row + begin, end - begin, &link));
            if (link)
                row[i] = -1;
        }
        for (int64_t i = begin; i < end; i++)
            if (row[i] >= 0)
                row[kept++] = row[i];
        if (kept - from > 1)
            r->group[++groups] = kept;
        else
            kept = from;
    }
    r->groups = groups;
    return CLI_DONE;
}

/* Cosines with the first of the group. */
static int score_group(const search *s, const int64_t *row, int64_t n, float *first, float *other, clip_hit *hit)
{
    const int D = s->info.dim;
    clip_error err;
    if (clip_index_vector(s->index, row[0], first, &err) < 0)
        return cli_fail("%s", err.message);
    for (int64_t i = 0; i < n; i++) {
        if (clip_index_vector(s->index, row[i], other, &err) < 0)
            return cli_fail("%s", err.message);
        hit[i] = (clip_hit){row[i], cli_cosine(first, other, D)};
    }
    return CLI_DONE;
}

static int answer_duplicates(job *j)
{
    search *s = &j->search;
    search_answer r = {0};
    int64_t *row = NULL;
    clip_error err;
    clip_index_filter filter = s->filter;
    filter.min_score = 0; /* the score of the groups */
    if (clip_index_duplicates(s->index, s->filter.min_score, &filter, &row, &r.group, &r.groups, &err) < 0)
        return cli_fail("%s", err.message);
    const size_t D = (size_t)s->info.dim, n = (size_t)r.group[r.groups];
    float *two = malloc(2 * D * sizeof *two);
    r.hit = malloc((n + 1) * sizeof *r.hit);
    int code = two && r.hit ? drop_links(s, &r, row) : cli_no_memory();
    for (int64_t g = 0; g < r.groups && code == CLI_DONE; g++)
        code = score_group(s, row + r.group[g], r.group[g + 1] - r.group[g], two, two + D, r.hit + r.group[g]);
    if (code == CLI_DONE)
        code = present(j, &r);
    free(two);
    free(row);
    free(r.hit);
    free(r.group);
    return code;
}

/* ---- Options --------------------------------------------------------------------------------------------- */

static int read_score(job *j)
{
    const cli_args *a = j->search.args;
    char *end;
    const float v = strtof(a->value, &end);
    if (end == a->value || *end || !(v >= -1 && v <= 1))
        return cli_usage(a, "--%s: '%s' is not a number from -1 to 1", a->name, a->value);
    j->search.filter.min_score = v != 0 ? v : 1e-30f; /* to clip_index_filter 0 is no bound */
    j->score_set = true;
    return CLI_DONE;
}

/* The place of the value in a list of words, which ends with NULL. */
static int read_word(const cli_args *a, const char *const *words, int *out)
{
    for (*out = 0; words[*out]; ++*out)
        if (strcmp(a->value, words[*out]) == 0)
            return CLI_DONE;
    const char *near = cli_nearest(a->value, words, *out);
    return near ? cli_usage(a, "--%s: there is no '%s'; did you mean '%s'?", a->name, a->value, near)
                : cli_usage(a, "--%s: there is no '%s'", a->name, a->value);
}

static int read_kind(job *j)
{
    static const char *const words[] = {"picture", "text", "all", NULL};
    static const int kinds[] = {CLIP_ITEM_PICTURE, CLIP_ITEM_TEXT, 0};
    int which;
    DO(read_word(j->search.args, words, &which));
    j->search.filter.kinds = kinds[which];
    j->kind_set = true;
    return CLI_DONE;
}

static int read_show(job *j)
{
    static const char *const words[] = {"no", "kitty", "iterm", "sixel", NULL};
    static const cli_graphics graphics[] = {CLI_GRAPHICS_NONE, CLI_GRAPHICS_KITTY, CLI_GRAPHICS_ITERM, CLI_GRAPHICS_SIXEL};
    int which;
    DO(read_word(j->search.args, words, &which));
    j->search.graphics = graphics[which];
    j->show_set = true;
    return CLI_DONE;
}

static int read_prompt(job *j)
{
    const cli_args *a = j->search.args;
    if (!strstr(a->value, "{}"))
        return cli_usage(a, "--prompt: '%s' has no {} for the words", a->value);
    return cli_list_add(&j->search.prompts, a->value);
}

/* ---- The whole ------------------------------------------------------------------------------------------- */

static int check_options(const job *j)
{
    const search *s = &j->search;
    const cli_args *a = s->args;
    const bool asked = a->operands > 0 || s->likes.n > 0;
    if (asked + !!j->queries + j->duplicates != 1)
        return cli_usage(a, asked || j->queries || j->duplicates ? "a query, --queries and --duplicates: one of them at a time"
                                                                 : "a query is missing: words, or a picture");
    if (j->queries && (s->html || s->table || j->show_set))
        return cli_usage(a, "--queries prints JSON; --html, --table and --show are for one query");
    if (j->duplicates && (j->k || j->kind_set || s->prompts.n > 0))
        return cli_usage(a, "--duplicates lists all groups of pictures; -k, --kind and --prompt are for a query");
    if (s->likes.n > SEARCH_TERMS)
        return cli_usage(a, "a query has at most %d terms", SEARCH_TERMS);
    return CLI_DONE;
}

/* For a page and a message: the query as it was typed. */
static int write_title(job *j)
{
    search *s = &j->search;
    size_t size;
    FILE *f = open_memstream(&s->title, &size);
    if (!f)
        return cli_no_memory();
    for (size_t i = 0; i < s->likes.n; i++)
        fprintf(f, "%slike %s", i > 0 ? " + " : "", s->likes.item[i]);
    for (int i = 0; i < s->args->operands; i++)
        fprintf(f, "%s%s", i > 0 || s->likes.n > 0 ? " " : "", s->args->operand[i]);
    if (j->duplicates)
        fputs("Near duplicates", f);
    return fclose(f) == 0 ? CLI_DONE : cli_no_memory();
}

static int open_index(job *j)
{
    search *s = &j->search;
    if (!(s->index_path = cli_index_path(s->index_path)))
        return CLI_FAILED;
    DO(cli_index_open(s->args, s->index_path, NULL, CLI_INDEX_READ, &s->index));
    clip_index_get_info(s->index, &s->info);
    s->index_path = s->info.path;
    cli_index_model(s->args, &s->info);
    if (s->info.items == 0)
        return cli_fail("%s: nothing is in the index yet; 'clip index FOLDER' fills it", s->info.path);
    for (size_t i = 0; i < s->likes.n; i++, s->n_liked++)
        DO(search_resolve(s, s->likes.item[i], &s->liked[i]));
    s->filter.patterns = (const char *const *)s->patterns.item;
    s->filter.n_patterns = (int)s->patterns.n;
    if (!j->kind_set)
        s->filter.kinds = s->info.pictures > 0 ? CLIP_ITEM_PICTURE : CLIP_ITEM_TEXT;
    if (j->duplicates && !j->score_set)
        s->filter.min_score = 0.97f;
    if (j->k == 0)
        j->k = 10;
    if (j->k > s->info.items)
        j->k = (int)s->info.items;
    return CLI_DONE;
}

static int work(job *j)
{
    search *s = &j->search;
    const size_t Q = j->queries ? BATCH : 1;
    DO(check_options(j));
    DO(write_title(j));
    DO(open_index(j));
    DO(cli_out_open(&s->out, NULL));
    if (isatty(STDOUT_FILENO) || s->graphics)
        s->table = true;
    if (!j->show_set && !s->args->json && !j->queries && !j->duplicates)
        s->graphics = cli_graphics_find();
    if (j->duplicates)
        return answer_duplicates(j);
    j->vector = malloc(Q * (size_t)s->info.dim * sizeof *j->vector);
    j->hit = malloc(Q * (size_t)(j->k + s->n_liked) * sizeof *j->hit);
    if (!j->vector || !j->hit)
        return cli_no_memory();
    return j->queries ? answer_many(j) : answer_one(j);
}

static int parse(job *j, cli_args *a)
{
    search *s = &j->search;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case INDEX: s->index_path = a->value; break;
        case 'k': DO(cli_number(a, 1, 1000000, &j->k)); break;
        case KIND: DO(read_kind(j)); break;
        case MIN_SCORE: DO(read_score(j)); break;
        case FILTER: DO(cli_list_add(&s->patterns, a->value)); break;
        case AFTER: DO(search_date(a, &s->filter.after)); break;
        case BEFORE: DO(search_date(a, &s->filter.before)); break;
        case LIKE: DO(cli_list_add(&s->likes, a->value)); break;
        case PROMPT: DO(read_prompt(j)); break;
        case QUERIES: j->queries = a->value; break;
        case DUPLICATES: j->duplicates = true; break;
        case TABLE: s->table = true; break;
        case '0': s->delimiter = 0; break;
        case HTML:
            s->html = a->value;
            DO(cli_not_stdout(a, a->name, a->value));
            break;
        case SHOW: DO(read_show(j)); break;
        default: return a->code;
        }
    return work(j);
}

static int run(cli_args *a)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return cli_no_memory();
    search *s = &j->search;
    s->args = a;
    s->delimiter = '\n';
    const int code = parse(j, a);
    clip_index_close(s->index, NULL);
    cli_close(&s->words);
    cli_close(&s->pictures);
    for (int q = 0; q < BATCH; q++)
        search_query_free(&j->query[q]);
    cli_list_free(&s->prompts);
    cli_list_free(&s->patterns);
    cli_list_free(&s->likes);
    free(s->title);
    free(j->vector);
    free(j->hit);
    free(j);
    return code;
}

const cli_command cli_search = {
    .name = "search",
    .operands = "[OPTIONS] QUERY...",
    .summary = "finds pictures by words, by pictures, and by sums of them",
    .help = "Finds what in an index (see 'clip index') is nearest to a query, best first.\n"
            "\n"
            "A query is words, or a picture (a file, or '-' for standard input), or several such terms with '+' and '-'\n"
            "between them, each an argument of its own; '2:' in front of one gives it twice the weight. Words in double\n"
            "quotes of their own ('\"a/b\"') are words, whatever they look like.\n"
            "\n"
            "A terminal gets a table of rank, cosine and path, with pictures where it can show them; a pipe gets the\n"
            "paths, and the words of captions that are found. Exit code 1: nothing was found, or something failed.",
    .examples = "clip search a red balloon\n"
                "clip search '2:golden retriever' + ./pool.jpg - fruit\n"
                "clip search --after 2023-05 --before 2023-06 --html may.html a birthday\n"
                "clip search --like 3\n"
                "clip search --kind text photo.jpg\n"
                "clip search --duplicates --html twins.html",
    .options = options,
    .run = run,
};
