/* search_common.h: what the files of `clip search` share.
 *
 *     operands -> clip_query (search_query.c) -> vectors -> clip_index_search() -> search_answer
 *     search_answer -> search_print.c, gallery.c
 *
 * An answer is a list of groups of hits: one for a search, many for --duplicates. */
#ifndef SEARCH_COMMON_H
#define SEARCH_COMMON_H

#include <sys/stat.h>

#include "cli.h"

typedef struct search_answer {
    clip_hit *hit;  /* group after group */
    int64_t *group; /* [groups + 1] where each begins */
    int64_t groups;
} search_answer;

typedef struct search {
    cli_args *args;
    char *title;             /* the query, for people */
    const char *index_path;
    clip_index *index;
    clip_index_info info;
    cli_session words, pictures; /* one tower each, loaded on first use */
    cli_list prompts, patterns, likes, below;
    clip_index_filter filter;
    int64_t liked[CLIP_QUERY_TERMS]; /* rows that --like names; left out of answers */
    int n_liked;
    bool listed;                 /* queries come from a file */
    int delimiter;
    bool by_date;                /* sort by date; false: by score */
    int64_t gone, changed;       /* files left out of an answer */
    bool table;                  /* print ranks and scores; false: paths only */
    cli_graphics graphics;
    const char *html;
    cli_out out;
} search;

/* ---- Queries (search_query.c) ---------------------------------------------------------------- */

/* search_parse(), search_parse_line(): parse operands [n], or a line, after the rows of --like.
 * Free *out with clip_query_free(). */
int search_parse(const search *s, char *const *operand, int n, clip_query *out);
int search_parse_line(const search *s, const char *line, clip_query *out);

/* search_embed(): turn queries [*Q] into vectors [*Q, D] of unit length. Loads the towers it needs.
 * Q  in out  on error: the number of queries that are done */
int search_embed(search *s, clip_query *q, int *Q, float *out);

/* search_date(): the beginning of 2023, 2023-05 or 2023-05-17, local time, in seconds since 1970.
 * behind  in   the first moment after the period instead */
int search_date(const cli_args *a, bool behind, int64_t *out);

/* ---- The last answer (search_last.c) --------------------------------------------------------- */

/* search_remember(): store what the numbers of this answer refer to. Errors are ignored. */
void search_remember(const search *s, const search_answer *r);
/* search_resolve(): the row that --like names: a number of the last answer, or a path. */
int search_resolve(const search *s, const char *like, int64_t *row);

/* ---- Showing an answer (search_print.c, gallery.c) ------------------------------------------- */

int search_print(search *s, const search_answer *r);
/* search_print_json(): print "hits". With `groups`, print "groups" of hits and the numbers of files
 * left out. */
void search_print_json(search *s, const search_answer *r, cli_json *j, bool groups);

/* search_duplicates(): the groups of --duplicates (search_duplicates.c). free() the lists of *out,
 * also after an error. */
int search_duplicates(search *s, clip_grouping grouping, search_answer *out);

/* ---- Files and dates (search_files.c) -------------------------------------------------------- */

/* SEARCH_ELSEWHERE: not a file here: a member of a tar, a URL, or an imported name. */
typedef enum search_file {
    SEARCH_THERE, SEARCH_CHANGED, SEARCH_ELSEWHERE, SEARCH_GONE, SEARCH_UNREACHABLE
} search_file;

/* search_look(): compare an item's file with its size and time in the index.
 * st  out  of the file, if it exists */
search_file search_look(const clip_item *item, struct stat *st);
/* search_fault(): a word for what happened to the file; NULL: nothing. */
const char *search_fault(const clip_item *item);

/* search_when(): when a picture was taken, or else when its file changed; 0: unknown. */
int64_t search_when(const clip_item *item);
/* search_json_dates(): "taken" and "mtime", if known. */
void search_json_dates(cli_json *j, const clip_item *item);

/* search_thumbnails(): thumbnails of n hits. A hit without a picture gets zeros. free() each
 * .rgb. */
int search_thumbnails(search *s, const clip_hit *hit, int n, int side, clip_image *out);

/* search_gallery(): the page of --html. */
int search_gallery(search *s, const search_answer *r);

#endif
