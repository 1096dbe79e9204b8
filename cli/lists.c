/* Lists that people write: lines of a file, labels, templates. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define LONGEST_LINE ((size_t)1 << 20)
#define MOST_ITEMS 10000000 /* labels or templates in a file; a limit far above sensible use */
#define MOST_BYTES ((size_t)1 << 30) /* of all items */

/* ---- Growing lists --------------------------------------------------------------------------- */

int cli_list_add(cli_list *l, const char *text)
{
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        char **item = realloc(l->item, capacity * sizeof *item);
        if (!item)
            return cli_no_memory();
        l->item = item;
        l->capacity = capacity;
    }
    l->item[l->n] = strdup(text);
    if (!l->item[l->n])
        return cli_no_memory();
    l->n++;
    return CLI_DONE;
}

void cli_list_free(cli_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->item[i]);
    free(l->item);
    *l = (cli_list){0};
}

static int by_text(const void *a, const void *b)
{
    const cli_name *x = a, *y = b;
    const int order = strcmp(x->text, y->text);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

int cli_list_sort(const cli_list *l, cli_name **out)
{
    cli_name *s = malloc((l->n + 1) * sizeof *s);
    *out = s;
    if (!s)
        return cli_no_memory();
    for (size_t i = 0; i < l->n; i++)
        s[i] = (cli_name){l->item[i], i};
    qsort(s, l->n, sizeof *s, by_text);
    return CLI_DONE;
}

static int same_text(const void *a, const void *b)
{
    return strcmp(((const cli_name *)a)->text, ((const cli_name *)b)->text);
}

int32_t cli_list_find(const cli_name *sorted, size_t n, const char *text)
{
    const cli_name key = {text, 0}, *found = bsearch(&key, sorted, n, sizeof *sorted, same_text);
    return found ? (int32_t)found->at : -1;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

int cli_take_input(void)
{
    static bool taken;
    if (taken) {
        cli_fail("standard input ('-') can be read only once");
        return CLI_USAGE;
    }
    taken = true;
    return CLI_DONE;
}

int cli_lines_open(cli_lines *l, const char *path, int delimiter)
{
    const bool in = strcmp(path, "-") == 0;
    *l = (cli_lines){.fd = STDIN_FILENO, .name = in ? "standard input" : path, .delimiter = delimiter};
    if (in)
        DO(cli_take_input());
    else if ((l->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return cli_fail("%s: %s", path, strerror(errno));
    l->open = true;
    return CLI_DONE;
}

/* Whether the next line is in the buffer, from `from` to `seen`. The last line may end without a
 * delimiter. A line that is too long counts, and is not read to its end. */
static bool complete(cli_lines *l)
{
    const char *end = l->to > l->seen ? memchr(l->buffer + l->seen, l->delimiter, l->to - l->seen) : NULL;
    l->seen = end ? (size_t)(end - l->buffer) : l->to;
    return end || l->ended || l->to - l->from > LONGEST_LINE;
}

/* Whether there is something to read within so many milliseconds (-1: no limit). What poll() cannot
 * tell, read() will. */
static bool arrives(const cli_lines *l, int milliseconds)
{
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    return poll(&p, 1, milliseconds) != 0;
}

/* Read what the input has now, and append it to the buffer. */
static void fetch(cli_lines *l)
{
    if (l->from > 0) {
        memmove(l->buffer, l->buffer + l->from, l->to - l->from);
        l->to -= l->from;
        l->seen -= l->from;
        l->from = 0;
    }
    if (l->to + 1 >= l->capacity) { /* one byte stays free for the 0 after the last line */
        const size_t capacity = l->capacity ? 2 * l->capacity : (size_t)1 << 16;
        char *more = realloc(l->buffer, capacity);
        if (!more) {
            l->ended = true;
            l->fault = ENOMEM;
            return;
        }
        l->buffer = more;
        l->capacity = capacity;
    }
    const ssize_t got = read(l->fd, l->buffer + l->to, l->capacity - 1 - l->to);
    if (got > 0)
        l->to += (size_t)got;
    else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
        l->ended = true;
        l->fault = got < 0 ? errno : 0;
    }
}

bool cli_lines_ready(cli_lines *l)
{
    while (!complete(l)) {
        if (!arrives(l, 0))
            return false;
        fetch(l);
    }
    return true;
}

/* Check the line of n bytes at s, and remove what editors put around it. */
static int trim_line(const cli_lines *l, char *s, size_t n, char **line)
{
    if (n > LONGEST_LINE)
        return cli_fail("%s: line %ld is longer than %zu bytes", l->name, l->number, LONGEST_LINE);
    if (memchr(s, 0, n))
        return cli_fail("%s: line %ld contains a zero byte (if the list is separated by zeros, use -0)",
                        l->name, l->number);
    s[n] = 0;
    if (l->delimiter == '\n' && n > 0 && s[n - 1] == '\r')
        s[n - 1] = 0;
    if (l->delimiter == '\n' && l->number == 1 && strncmp(s, "\xef\xbb\xbf", 3) == 0)
        s += 3;
    *line = s;
    return CLI_DONE;
}

int cli_lines_next(cli_lines *l, char **line)
{
    *line = NULL;
    l->number++;
    while (!complete(l)) {
        if (!arrives(l, 0)) {
            DO(cli_out_pause());
            arrives(l, -1);
        }
        fetch(l);
    }
    const size_t n = l->seen - l->from;
    const bool last = l->seen == l->to;
    if (last && l->fault)
        return l->fault == ENOMEM ? cli_no_memory() : cli_fail("%s: %s", l->name, strerror(l->fault));
    if (last && n == 0)
        return CLI_DONE;
    char *s = l->buffer + l->from;
    l->from = l->seen = last ? l->to : l->seen + 1;
    return trim_line(l, s, n, line);
}

void cli_lines_close(cli_lines *l)
{
    if (l->open && l->fd != STDIN_FILENO)
        close(l->fd);
    free(l->buffer);
    *l = (cli_lines){0};
}

/* ---- Labels and templates -------------------------------------------------------------------- */

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1]))
        s[--n] = 0;
    return s;
}

/* Check an item on this line of a file. Line 0: an item of an argument. */
static int check_length(const char *name, long number, size_t n)
{
    if (n <= CLI_MOST_TEXT)
        return CLI_DONE;
    return number ? cli_fail("%s: line %ld has %zu bytes; a label or template has at most %d", name, number, n,
                             CLI_MOST_TEXT)
                  : cli_fail("'%.40s...' has %zu bytes; a label or template has at most %d", name, n, CLI_MOST_TEXT);
}

/* Read the lines that are not blank, one item a line. */
static int read_items(const char *path, cli_list *out)
{
    cli_lines l;
    char *line;
    size_t bytes = 0;
    int code = cli_lines_open(&l, path, '\n');
    while (code == CLI_DONE && (code = cli_lines_next(&l, &line)) == CLI_DONE && line) {
        line = trim(line);
        const size_t n = strlen(line);
        bytes += n;
        if (out->n == MOST_ITEMS || bytes > MOST_BYTES)
            code = cli_fail("%s: line %ld: a list has at most %d lines and %zu bytes", l.name, l.number, MOST_ITEMS,
                            MOST_BYTES);
        else if (n > 0 && (code = check_length(l.name, l.number, n)) == CLI_DONE)
            code = cli_list_add(out, line);
    }
    cli_lines_close(&l);
    return code;
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static int split(const char *arg, cli_list *out)
{
    char *copy = strdup(arg), *rest = copy, *item;
    int code = copy ? CLI_DONE : cli_no_memory();
    while (code == CLI_DONE && (item = strsep(&rest, ",")))
        if (*(item = trim(item)) && (code = check_length(item, 0, strlen(item))) == CLI_DONE)
            code = cli_list_add(out, item);
    free(copy);
    return code;
}

/* The first of equal labels stays in its place. */
static int drop_repeats(cli_list *l)
{
    cli_name *sorted;
    DO(cli_list_sort(l, &sorted));
    for (size_t i = 1, kept = 0; i < l->n; i++) {
        if (strcmp(sorted[i].text, sorted[kept].text) == 0) {
            free(l->item[sorted[i].at]);
            l->item[sorted[i].at] = NULL;
        } else {
            kept = i;
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->item[i])
            l->item[n++] = l->item[i];
    l->n = n;
    free(sorted);
    return CLI_DONE;
}

int cli_labels_read(const cli_args *a, const char *arg, cli_list *out)
{
    bool list = !is_there(arg) && strcmp(arg, "-") != 0;
    DO(list ? split(arg, out) : read_items(arg, out));
    /* A single "label" that looks like a path is a mistake. It would give every picture 100 %. */
    if (list && out->n == 1 && (strchr(arg, '/') || (strchr(arg, '.') && !strchr(arg, ' '))))
        return cli_fail("%s: no such file (--labels takes a file with one a line, or a list: 'a cat,a dog')", arg);
    if (out->n == 0)
        return list ? cli_usage(a, "--labels: the list is empty") : cli_fail("%s: no label in it", arg);
    return drop_repeats(out);
}

int cli_templates_read(const cli_args *a, const char *arg, cli_list *out)
{
    if (!arg)
        return cli_list_add(out, CLI_TEMPLATE);
    bool inline_one = strstr(arg, "{}") != NULL && !is_there(arg);
    if (!inline_one && !is_there(arg) && strcmp(arg, "-") != 0 && !strpbrk(arg, "/."))
        return cli_usage(a, "--templates: '%s' is not a file, nor a text with {} for the label", arg);
    const char *name = strcmp(arg, "-") == 0 ? "standard input" : arg;
    if (inline_one)
        DO(check_length(arg, 0, strlen(arg)));
    DO(inline_one ? cli_list_add(out, arg) : read_items(arg, out));
    for (size_t i = 0; i < out->n; i++)
        if (!strstr(out->item[i], "{}"))
            return cli_fail("%s: template '%s' has no {} for the label", name, out->item[i]);
    return out->n > 0 ? CLI_DONE : cli_fail("%s: no template in it", name);
}

/* ---- Thresholds ------------------------------------------------------------------------------ */

int cli_thresholds_split(cli_list *labels, float **out)
{
    cli_name *sorted = NULL;
    float *t = malloc((labels->n + 1) * sizeof *t);
    *out = t;
    if (!t)
        return cli_no_memory();
    for (size_t i = 0; i < labels->n; i++) {
        char *tab = strrchr(labels->item[i], '\t'), *end;
        t[i] = NAN;
        if (!tab)
            continue;
        t[i] = strtof(tab + 1, &end);
        if (end == tab + 1 || *end || !(t[i] >= -1 && t[i] <= 1))
            return cli_fail("label '%s': after the tab, a threshold from -1 to 1 is missing", labels->item[i]);
        *tab = 0;
        trim(labels->item[i]);
    }
    int code = cli_list_sort(labels, &sorted);
    for (size_t i = 1; i < labels->n && code == CLI_DONE; i++)
        if (strcmp(sorted[i].text, sorted[i - 1].text) == 0)
            code = cli_fail("label '%s' occurs twice, with different thresholds", sorted[i].text);
    free(sorted);
    return code;
}

int cli_thresholds_complete(const cli_list *labels, float *threshold, float rest)
{
    for (size_t i = 0; i < labels->n; i++) {
        if (isnan(threshold[i]))
            threshold[i] = rest;
        if (isnan(rest) && isnan(threshold[i]))
            return cli_fail(
                "label '%s' has no threshold: write 'LABEL<TAB>NUMBER' in the file of --labels ('clip eval zeroshot "
                "--fit-thresholds' finds good ones)",
                labels->item[i]);
    }
    return CLI_DONE;
}
