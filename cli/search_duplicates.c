/* clip search --duplicates. A script may keep the first file of a group and delete the others, so:
 * - Every file in a group exists and is unchanged since it was indexed. - If a file has several
 * names, only one is listed. - An item that is not a file of its own (a member of a tar, a URL)
 * never comes before a file. */
#include <stdlib.h>
#include <string.h>

#include "search_common.h"

/* A file, and one of its names. */
typedef struct name {
    dev_t device;
    ino_t inode;
    int64_t row;
    bool alias; /* leads to the file through a symbolic link */
} name;

static int by_file(const void *a, const void *b)
{
    const name *p = a, *q = b;
    if (p->device != q->device)
        return p->device < q->device ? -1 : 1;
    if (p->inode != q->inode)
        return p->inode < q->inode ? -1 : 1;
    if (p->alias != q->alias)
        return p->alias - q->alias;
    return (p->row > q->row) - (p->row < q->row);
}

typedef struct survey {
    search *s;
    int8_t *grade; /* [rows] for clip_duplicates_options */
    name *file;    /* [n] files that exist */
    size_t n;
} survey;

static bool is_alias(const search *s, int64_t row)
{
    clip_item item;
    char *real =
        clip_index_item_at(s->index, row, &item, NULL) == CLIP_OK && item.path ? realpath(item.path, NULL) : NULL;
    const bool alias = real && strcmp(real, item.path) != 0;
    free(real);
    return alias;
}

/* Of the names of one file, keep the earliest that is not a symbolic link. The others are not
 * copies: deleting them would free nothing, or leave broken links. */
static void drop_aliases(survey *v)
{
    if (v->n > 0)
        qsort(v->file, v->n, sizeof *v->file, by_file);
    for (size_t i = 0, end; i < v->n; i = end) {
        for (end = i + 1;
             end < v->n && v->file[end].device == v->file[i].device && v->file[end].inode == v->file[i].inode;)
            end++;
        for (size_t j = i; end - i > 1 && j < end; j++)
            v->file[j].alias = is_alias(v->s, v->file[j].row);
        if (end - i > 1)
            qsort(v->file + i, end - i, sizeof *v->file, by_file);
        for (size_t j = i + 1; j < end; j++)
            v->grade[v->file[j].row] = -1;
    }
}

static int look_at_all(survey *v)
{
    search *s = v->s;
    clip_item item;
    clip_error err;
    for (int64_t cursor = 0;;) {
        struct stat st;
        if (clip_index_next(s->index, &cursor, &item, &err) < 0)
            return cli_fail("%s", err.message);
        if (!item.kind)
            return CLI_DONE;
        if (item.kind != CLIP_ITEM_PICTURE)
            continue;
        search_file is = search_look(&item, &st);
        if (!*item.path) /* an empty line ends a group */
            is = SEARCH_GONE;
        if (is == SEARCH_THERE && !item.size && !item.mtime) /* imported before the file existed */
            is = SEARCH_CHANGED;
        if (is == SEARCH_THERE)
            v->file[v->n++] = (name){st.st_dev, st.st_ino, item.row, false};
        s->gone += is == SEARCH_GONE || is == SEARCH_UNREACHABLE;
        s->changed += is == SEARCH_CHANGED;
        v->grade[item.row] = is == SEARCH_THERE ? 0 : is == SEARCH_ELSEWHERE ? 1 : -1;
    }
}

/* Cosines of the group's rows with its first row. */
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

static int find(search *s, clip_grouping grouping, const int8_t *grade, int64_t **row, search_answer *out)
{
    const clip_duplicates_options o = {
        .grouping = grouping, .score = s->filter.min_score, .filter = &s->filter, .grade = grade};
    clip_error err;
    if (clip_index_duplicates(s->index, &o, row, &out->group, &out->groups, &err) < 0)
        return cli_fail("%s", err.message);
    const size_t D = (size_t)s->info.dim, n = (size_t)out->group[out->groups];
    float *two = malloc(2 * D * sizeof *two);
    out->hit = malloc((n + 1) * sizeof *out->hit);
    int code = two && out->hit ? CLI_DONE : cli_no_memory();
    for (int64_t g = 0; g < out->groups && code == CLI_DONE; g++)
        code = score_group(s, *row + out->group[g], out->group[g + 1] - out->group[g], two, two + D,
                           out->hit + out->group[g]);
    free(two);
    return code;
}

/* Output is one path a line. A name with a newline would be read as two files, or as the end of a
 * group. */
static int check_lines(const search *s, const search_answer *r)
{
    clip_item item;
    if (s->table || s->args->json || s->delimiter != '\n')
        return CLI_DONE;
    for (int64_t i = 0; i < r->group[r->groups]; i++)
        if (clip_index_item_at(s->index, r->hit[i].row, &item, NULL) == CLIP_OK && item.path &&
            strchr(item.path, '\n'))
            return cli_fail("%s: a name with a newline in it; use -0 or --json", item.path);
    return CLI_DONE;
}

static void tell_left_out(const search *s)
{
    if (s->gone)
        cli_warn("%lld pictures of the index no longer exist, or cannot be reached: they are left out",
                 (long long)s->gone);
    if (s->changed)
        cli_warn(
            "%lld pictures have changed since they were indexed: they are left out until 'clip index' has read them",
            (long long)s->changed);
}

int search_duplicates(search *s, clip_grouping grouping, search_answer *out)
{
    const size_t rows = (size_t)s->info.rows + 1;
    survey v = {.s = s, .grade = calloc(rows, sizeof *v.grade), .file = malloc(rows * sizeof *v.file)};
    int64_t *row = NULL;
    int code = v.grade && v.file ? look_at_all(&v) : cli_no_memory();
    if (code == CLI_DONE) {
        drop_aliases(&v);
        free(v.file);
        v.file = NULL;
        code = find(s, grouping, v.grade, &row, out);
    }
    if (code == CLI_DONE)
        code = check_lines(s, out);
    if (code == CLI_DONE)
        tell_left_out(s);
    free(v.grade);
    free(v.file);
    free(row);
    return code;
}
