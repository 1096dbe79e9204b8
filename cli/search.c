/* clip search: find what in an index is nearest to words, pictures, and sums of them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search_common.h"

enum {
    INDEX = CLI_LONG, KIND, MIN_SCORE, FILTER, BELOW, AFTER, BEFORE, UNIQUE, LIKE, PROMPT, QUERIES, DUPLICATES, GROUP,
    SORT, TABLE, HTML, SHOW, BATCH = 64
};

#define NEAR 0.97f /* cosine from which pictures count as nearly the same */

static const cli_option options[] = {
    {CLI_HEADING, NULL, NULL, "what to ask"},
    {LIKE, "like", "N|PATH",
     "more like number N of the last answer, or like a picture in the index; terms may\n"
     "follow: --like 3 + snow"},
    {PROMPT, "prompt", "TEXT",
     "put words into this text, at its {}: 'a photo of {}'; may be given several\n"
     "times, for the mean (default: words as they are typed)"},
    {QUERIES, "queries", "FILE",
     "a query a line ('-': standard input), its terms and operators separated by tabs;\n"
     "prints a line of JSON each"},
    {DUPLICATES, "duplicates", NULL,
     "instead of asking: groups of pictures that are nearly the same, with an empty line\n"
     "between them; only files that exist, each under one name"},
    {GROUP, "group", "HOW",
     "what makes a group: first (near its first picture, the default), linked (near any of\n"
     "its pictures: chains may be long) or bytes (the same bytes)"},
    {CLI_HEADING, NULL, NULL, "what to look at"},
    {INDEX, "index", "DIR", "the index (default: $CLIP_INDEX, else the one of 'clip index')"},
    {'k', "top", "K", "the K best (default: 10)"},
    {KIND, "kind", "KIND", "picture, text or all (default: picture, if the index has any)"},
    {MIN_SCORE, "min-score", "S", "only a cosine of at least S (default with --duplicates: 0.97)"},
    {FILTER, "filter", "PATTERN",
     "only whole paths that match PATTERN ('*/2023/*', '*.png'), or one of several\n"
     "patterns"},
    {BELOW, "below", "DIR",
     "only below this folder, or one of several folders; no character of DIR is a\n"
     "pattern"},
    {AFTER, "after", "DATE",
     "only pictures taken (or, if unknown, files changed) since the beginning of 2023,\n"
     "2023-05 or 2023-05-17"},
    {BEFORE, "before", "DATE", "only pictures up to the end of DATE: --after D --before D is D alone"},
    {UNIQUE, "unique", NULL, "of copies (equal bytes, or a cosine of 0.97 with a better hit) only the best"},
    {CLI_HEADING, NULL, NULL, "how to show the answer"},
    {SORT, "sort", "HOW", "the K best by score (default), or by date, the newest first"},
    {TABLE, "table", NULL, "print ranks and cosines even if the output is not a terminal"},
    {'0', "null", NULL, "zero bytes instead of newlines end the paths, and the lines of --queries"},
    {HTML, "html", "FILE", "also write a page with the pictures"},
    {SHOW, "show", "HOW", "pictures in the terminal: kitty, iterm or sixel; no (default: as the terminal can)"},
    {0},
};

typedef struct job {
    search search;
    const char *queries;
    bool duplicates, show_set, kind_set, score_set, group_set, sort_set;
    clip_grouping grouping;
    int k;
    clip_query query[BATCH];
    float *vector; /* [Q, D] */
    clip_hit *hit; /* [Q, k + liked] */
    int found[BATCH];
} job;

/* ---- One answer ------------------------------------------------------------------------------ */

static bool is_liked(const search *s, int64_t row)
{
    for (int i = 0; i < s->n_liked; i++)
        if (s->liked[i] == row)
            return true;
    return false;
}

typedef struct dated {
    clip_hit hit;
    int64_t when;
    int rank;
} dated;

/* Newest first. Items without a date come last. */
static int newest(const void *a, const void *b)
{
    const dated *p = a, *q = b;
    if (p->when != q->when && p->when && q->when)
        return p->when > q->when ? -1 : 1;
    if (!p->when != !q->when)
        return p->when ? -1 : 1;
    return p->rank - q->rank;
}

static int sort_by_date(const search *s, clip_hit *hit, int n)
{
    dated *d = malloc(((size_t)n + 1) * sizeof *d);
    if (!d)
        return cli_no_memory();
    for (int i = 0; i < n; i++) {
        clip_item item;
        const bool known = clip_index_item_at(s->index, hit[i].row, &item, NULL) == CLIP_OK;
        d[i] = (dated){hit[i], known ? search_when(&item) : 0, i};
    }
    qsort(d, (size_t)n, sizeof *d, newest);
    for (int i = 0; i < n; i++)
        hit[i] = d[i].hit;
    free(d);
    return CLI_DONE;
}

/* Answer *Q queries at once: hit [*Q, k + liked], of which found[q] belong to query q. Items that
 * --like names are left out. After a query that fails no more are answered, and *Q is the number of
 * queries before it. */
static int ask(job *j, int *Q)
{
    search *s = &j->search;
    const int width = j->k + s->n_liked, code = search_embed(s, j->query, Q, j->vector);
    clip_error err;
    if (*Q > 0 && clip_index_search(s->index, j->vector, *Q, width, &s->filter, j->hit, j->found, &err) < 0) {
        *Q = 0;
        return cli_fail("%s", err.message);
    }
    for (int q = 0; q < *Q; q++) {
        clip_hit *h = j->hit + (size_t)q * (size_t)width;
        int n = 0;
        for (int i = 0; i < j->found[q] && n < j->k; i++)
            if (!is_liked(s, h[i].row))
                h[n++] = h[i];
        j->found[q] = n;
        if (s->by_date)
            DO(sort_by_date(s, h, n));
    }
    return code;
}

static void json_head(const search *s, cli_json *o)
{
    cli_json_open(o, NULL, '{');
    cli_json_string(o, "index", s->info.path);
    cli_json_string(o, "model", s->info.model_name);
}

/* Print an answer. If it shows numbers, remember them for the next --like. */
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
    return r->group[r->groups] > 0
               ? CLI_DONE
               : cli_fail(j->duplicates ? "no picture is nearly the same as another" : "nothing found");
}

static int answer_one(job *j)
{
    int64_t group[2] = {0};
    search_answer r = {j->hit, group, 1};
    int Q = 1;
    DO(search_parse(&j->search, j->search.args->operand, j->search.args->operands, &j->query[0]));
    DO(ask(j, &Q));
    group[1] = j->found[0];
    return present(j, &r);
}

/* ---- Many answers ---------------------------------------------------------------------------- */

/* Read the next queries. Once there is one, do not wait for more. No query: the end of the
 * input. */
static int read_queries(job *j, cli_lines *lines, char **texts, int *Q)
{
    for (*Q = 0; *Q < BATCH && (*Q == 0 || cli_lines_ready(lines)); ++*Q) {
        char *line;
        DO(cli_lines_next(lines, &line));
        if (!line)
            break;
        texts[*Q] = strdup(line);
        if (!texts[*Q])
            return cli_no_memory();
        if (search_parse_line(&j->search, line, &j->query[*Q]) != CLI_DONE)
            return cli_fail("%s: line %ld is not a query", lines->name, lines->number);
    }
    return CLI_DONE;
}

static void print_answer(job *j, int q, const char *text)
{
    search *s = &j->search;
    int64_t group[2] = {0, j->found[q]};
    search_answer r = {j->hit + (size_t)q * (size_t)(j->k + s->n_liked), group, 1};
    cli_json o = {.f = s->out.f};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "query", text);
    search_print_json(s, &r, &o, false);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

/* Answer line by line. An error in a line ends this after the lines before it are answered. */
static int answer_lines(job *j, cli_lines *lines, char **texts)
{
    bool any = false;
    for (int Q = 1; Q > 0;) {
        int code = read_queries(j, lines, texts, &Q);
        const int asked = Q > 0 ? ask(j, &Q) : CLI_DONE;
        for (int q = 0; q < Q; q++) {
            print_answer(j, q, texts[q]);
            any |= j->found[q] > 0;
        }
        for (int q = 0; q < BATCH; q++) {
            free(texts[q]);
            texts[q] = NULL;
            clip_query_free(&j->query[q]);
        }
        code = asked != CLI_DONE ? asked : code;
        DO(code != CLI_DONE ? code : cli_out_check(&j->search.out));
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

static int answer_duplicates(job *j)
{
    search_answer r = {0};
    int code = search_duplicates(&j->search, j->grouping, &r);
    if (code == CLI_DONE)
        code = present(j, &r);
    free(r.hit);
    free(r.group);
    return code;
}

/* ---- Options --------------------------------------------------------------------------------- */

static int read_score(job *j)
{
    const cli_args *a = j->search.args;
    char *end;
    const float v = strtof(a->value, &end);
    if (end == a->value || *end || !(v >= -1 && v <= 1))
        return cli_usage(a, "--%s: '%s' is not a number from -1 to 1", a->name, a->value);
    j->search.filter.min_score = v != 0 ? v : 1e-30f; /* in clip_index_filter 0 means no limit */
    j->score_set = true;
    return CLI_DONE;
}

/* The position of the value in a list of words. The list ends with NULL. */
static int read_word(const cli_args *a, const char *const *words, int *out)
{
    for (*out = 0; words[*out]; ++*out)
        if (strcmp(a->value, words[*out]) == 0)
            return CLI_DONE;
    const char *near = cli_nearest(a->value, words, *out);
    return near ? cli_usage(a, "--%s: unknown value '%s'; did you mean '%s'?", a->name, a->value, near)
                : cli_usage(a, "--%s: unknown value '%s'", a->name, a->value);
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

static int read_group(job *j)
{
    static const char *const words[] = {"first", "linked", "bytes", NULL};
    static const clip_grouping groupings[] = {CLIP_GROUP_FIRST, CLIP_GROUP_LINKED, CLIP_GROUP_BYTES};
    int which;
    DO(read_word(j->search.args, words, &which));
    j->grouping = groupings[which];
    j->group_set = true;
    return CLI_DONE;
}

static int read_sort(job *j)
{
    static const char *const words[] = {"score", "date", NULL};
    int which;
    DO(read_word(j->search.args, words, &which));
    j->search.by_date = which == 1;
    j->sort_set = true;
    return CLI_DONE;
}

static int read_show(job *j)
{
    static const char *const words[] = {"no", "kitty", "iterm", "sixel", NULL};
    static const cli_graphics graphics[] = {CLI_GRAPHICS_NONE, CLI_GRAPHICS_KITTY, CLI_GRAPHICS_ITERM,
                                            CLI_GRAPHICS_SIXEL};
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

/* ---- The command ----------------------------------------------------------------------------- */

static int check_options(const job *j)
{
    const search *s = &j->search;
    const cli_args *a = s->args;
    const bool asked = a->operands > 0 || s->likes.n > 0;
    if (asked + !!j->queries + j->duplicates != 1)
        return cli_usage(a, asked || j->queries || j->duplicates
                                ? "give only one of: a query, --queries, --duplicates"
                                : "a query is missing: words, or a picture");
    if (j->queries && (s->html || s->table || j->show_set))
        return cli_usage(a, "--queries prints JSON; --html, --table and --show are for one query");
    if (j->duplicates && (j->k || j->kind_set || j->sort_set || s->filter.unique != 0 || s->prompts.n > 0))
        return cli_usage(a, "--duplicates lists all groups of pictures; -k, --kind, --sort, --unique and --prompt are "
                            "for a query");
    if (j->group_set && !j->duplicates)
        return cli_usage(a, "--group goes with --duplicates");
    if (j->grouping == CLIP_GROUP_BYTES && j->score_set)
        return cli_usage(a, "--min-score goes with '--group first' and 'linked', not with bytes");
    if (s->filter.after && s->filter.before && s->filter.after >= s->filter.before)
        return cli_usage(a, "--after is later than --before");
    if (s->likes.n > CLIP_QUERY_TERMS)
        return cli_usage(a, "a query has at most %d terms", CLIP_QUERY_TERMS);
    return CLI_DONE;
}

/* The query as typed, for a page and a message. */
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
    if (!(s->index_path = cli_index_path(s->args, s->index_path)))
        return CLI_FAILED;
    DO(cli_index_open(s->args, s->index_path, NULL, CLI_INDEX_READ, &s->index));
    clip_index_get_info(s->index, &s->info);
    s->index_path = s->info.path;
    cli_index_model(s->args, &s->info);
    if (s->info.items == 0)
        return cli_fail("%s: the index is empty; 'clip index FOLDER' fills it", s->info.path);
    for (size_t i = 0; i < s->likes.n; i++, s->n_liked++)
        DO(search_resolve(s, s->likes.item[i], &s->liked[i]));
    s->filter.patterns = (const char *const *)s->patterns.item;
    s->filter.n_patterns = (int)s->patterns.n;
    s->filter.below = (const char *const *)s->below.item;
    s->filter.n_below = (int)s->below.n;
    if (!j->kind_set)
        s->filter.kinds = s->info.pictures > 0 ? CLIP_ITEM_PICTURE : CLIP_ITEM_TEXT;
    if (j->duplicates && !j->score_set)
        s->filter.min_score = NEAR;
    if (j->k == 0)
        j->k = 10;
    if (j->k > s->info.items)
        j->k = (int)s->info.items;
    return CLI_DONE;
}

static int search_index(job *j)
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
        case AFTER: DO(search_date(a, false, &s->filter.after)); break;
        case BEFORE: DO(search_date(a, true, &s->filter.before)); break;
        case BELOW:
            if (!*a->value)
                return cli_usage(a, "--below: a folder without a name");
            DO(cli_list_add(&s->below, a->value));
            break;
        case UNIQUE: s->filter.unique = NEAR; break;
        case LIKE: DO(cli_list_add(&s->likes, a->value)); break;
        case PROMPT: DO(read_prompt(j)); break;
        case QUERIES: j->queries = a->value, s->listed = true; break;
        case DUPLICATES: j->duplicates = true; break;
        case GROUP: DO(read_group(j)); break;
        case SORT: DO(read_sort(j)); break;
        case TABLE: s->table = true; break;
        case '0': s->delimiter = 0; break;
        case HTML:
            s->html = a->value;
            DO(cli_not_stdout(a, a->name, a->value));
            break;
        case SHOW: DO(read_show(j)); break;
        default: return a->code;
        }
    return search_index(j);
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
        clip_query_free(&j->query[q]);
    cli_list_free(&s->prompts);
    cli_list_free(&s->patterns);
    cli_list_free(&s->likes);
    cli_list_free(&s->below);
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
    .help =
        "Finds what in an index (see 'clip index') is nearest to a query, best first.\n"
        "\n"
        "A query is words, or a picture (a file, or '-' for standard input), or several such terms with '+'\n"
        "and '-' between them, each an argument of its own. '2:' in front of a term doubles its weight.\n"
        "Words in their own double quotes ('\"a/b\"') are always words, even if they look like a path.\n"
        "\n"
        "A terminal gets a table of rank, cosine and path, with pictures if it can show them. A pipe gets\n"
        "the paths, and the words of captions that are found. Exit code 1: nothing was found, or something\n"
        "failed.",
    .examples = "clip search a red balloon\n"
                "clip search '2:golden retriever' + ./pool.jpg - fruit\n"
                "clip search --after 2023-05 --before 2023-05 --html may.html a birthday\n"
                "clip search --like 3\n"
                "clip search --kind text photo.jpg\n"
                "clip search --below ~/Pictures/2023 --unique --sort date a birthday\n"
                "clip search --duplicates --group bytes",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
