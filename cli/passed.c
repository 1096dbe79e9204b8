/* Files in folders that were skipped: the report for people and for programs. */
#include <string.h>

#include "cli.h"

enum { MOST_NAMED = 6, ROOM = 1024 };

/* Files that often lie beside pictures. Alone they are not worth a message. */
static bool is_ordinary(const clip_passed_kind *k)
{
    static const char *const beside[] = {".txt", ".json", ".jsonl", ".xmp",  ".aae", ".xml",
                                         ".csv", ".tsv",  ".md",    ".html", ".db",  ".ini"};
    if (k->why == CLIP_PASSED_HIDDEN)
        return true;
    for (size_t i = 0; k->why == CLIP_PASSED_NOT_PICTURE && i < sizeof beside / sizeof *beside; i++)
        if (strcmp(k->name, beside[i]) == 0)
            return true;
    return false;
}

static long long count(const clip_passed *p, clip_passed_why why)
{
    long long n = 0;
    for (int i = 0; i < p->kinds; i++)
        n += p->kind[i].why == why ? (long long)p->kind[i].n : 0;
    return n;
}

/* " (.txt 5, .xmp 4, others 2)" */
static void put_names(FILE *f, const clip_passed *p, clip_passed_why why)
{
    int named = 0;
    long long others = 0;
    for (int i = 0; i < p->kinds; i++) {
        const clip_passed_kind *k = &p->kind[i];
        if (k->why != why)
            continue;
        if (!k->name[0] || named == MOST_NAMED)
            others += (long long)k->n;
        else
            fprintf(f, "%s%s %lld", named++ ? ", " : " (", k->name, (long long)k->n);
    }
    if (others > 0 && named > 0)
        fprintf(f, ", others %lld", others);
    if (named > 0)
        fputc(')', f);
}

static void put(FILE *f, const clip_passed *p)
{
    static const struct {
        clip_passed_why why;
        const char *one, *more;
    } reasons[] = {
        {CLIP_PASSED_NOT_PICTURE, "not a picture", "not pictures"},
        {CLIP_PASSED_FORMAT, "of a format that this build does not read", "of formats that this build does not read"},
        {CLIP_PASSED_HIDDEN, "hidden", "hidden"},
        {CLIP_PASSED_EXCLUDED, "excluded", "excluded"},
        {CLIP_PASSED_SPECIAL, "not a regular file", "not regular files"},
    };
    bool first = true;
    fprintf(f, "%lld file%s passed over: ", (long long)p->n, p->n == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        const long long n = count(p, reasons[i].why);
        if (n == 0)
            continue;
        fprintf(f, "%s%lld %s", first ? "" : ", ", n, n == 1 ? reasons[i].one : reasons[i].more);
        put_names(f, p, reasons[i].why);
        first = false;
    }
}

const char *cli_passed_text(const clip_passed *p, char out[ROOM])
{
    out[0] = 0;
    FILE *f = p->n > 0 ? fmemopen(out, ROOM, "w") : NULL;
    if (f) {
        put(f, p);
        fclose(f);
    }
    return out;
}

void cli_passed_say(const clip_passed *p)
{
    char text[ROOM];
    bool ordinary = true;
    for (int i = 0; i < p->kinds; i++)
        ordinary = ordinary && is_ordinary(&p->kind[i]);
    if (ordinary)
        return;
    cli_progress_hide();
    fprintf(stderr, "%s\n", cli_passed_text(p, text));
}

static void json_names(cli_json *j, const char *key, const clip_passed *p, clip_passed_why why)
{
    cli_json_open(j, key, '{');
    for (int i = 0; i < p->kinds; i++)
        if (p->kind[i].why == why)
            cli_json_int(j, p->kind[i].name, (long long)p->kind[i].n);
    cli_json_close(j, '}');
}

void cli_passed_json(cli_json *j, const clip_passed *p)
{
    cli_json_open(j, "passed_over", '{');
    cli_json_int(j, "files", (long long)p->n);
    json_names(j, "not_pictures", p, CLIP_PASSED_NOT_PICTURE);
    json_names(j, "formats_not_read", p, CLIP_PASSED_FORMAT);
    cli_json_int(j, "hidden", count(p, CLIP_PASSED_HIDDEN));
    cli_json_int(j, "excluded", count(p, CLIP_PASSED_EXCLUDED));
    cli_json_int(j, "special", count(p, CLIP_PASSED_SPECIAL));
    cli_json_close(j, '}');
}
