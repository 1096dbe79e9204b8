/* names.c: where a file keeps the parameters, by the families' rows. */
#include "model/names.h"

#include <stdio.h>
#include <string.h>

/* The names of the code, in which an attention pool of a ResNet is not joined. */
static void name_of_code(const char *name, char *out, size_t size)
{
    static const char joined[] = "visual.attnpool.in_proj_";
    const size_t n = sizeof joined - 1;
    if (strncmp(name, joined, n) == 0)
        snprintf(out, size, "visual.attnpool.{q,k,v}_proj.%s", name + n);
    else
        snprintf(out, size, "%s", name);
}

/* Part of the rows in `whole`, which names alternatives: "attn.{q,k,v}_proj.weight". */
static int split(const char *whole, const char *open, int64_t first, int64_t rows, int64_t total, clipmdl_part *part)
{
    const char *close = strchr(open, '}');
    const int64_t third = total / 3;
    int64_t at = 0;
    int n = 0;
    for (const char *word = open + 1, *end; word < close && n < CLIPMDL_MAX_PARTS; word = end + 1) {
        end = word + strcspn(word, ",}");
        const bool last = end == close;
        const int64_t has = last ? total - at : third; /* of the parameter's rows, from `at` on */
        const int64_t from = first > at ? first : at, to = first + rows < at + has ? first + rows : at + has;
        if (from < to) {
            part[n] = (clipmdl_part){.first = from - at, .rows = to - from, .total = has};
            snprintf(part[n++].name, CLIPMDL_MAX_NAME, "%.*s%.*s%s", (int)(open - whole), whole, (int)(end - word),
                     word, close + 1);
        }
        at += has;
    }
    return n;
}

int clipmdl_parts(const clipmdl_family *family, const char *prefix, const char *name, int64_t first, int64_t rows,
                  int64_t total, clipmdl_part *part)
{
    char whole[CLIPMDL_MAX_NAME];
    const size_t before = strlen(prefix);
    memcpy(whole, prefix, before);
    if (family)
        family->translate(name, whole + before, sizeof whole - before);
    else
        name_of_code(name, whole + before, sizeof whole - before);
    const char *open = strchr(whole + before, '{'); /* whatever the prefix says */
    if (open)
        return split(whole, open, first, rows, total, part);
    part[0] = (clipmdl_part){.first = first, .rows = rows, .total = total};
    memcpy(part[0].name, whole, sizeof whole);
    return 1;
}

/* ---- What is in a file besides --------------------------------------------------------------- */

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

bool clipmdl_is_whole(const clipmdl_store *s, const char *prefix)
{
    for (size_t i = 0; i < s->n; i++)
        if (!begins(s->tensor[i].name, prefix))
            return false;
    return true;
}

bool clipmdl_in_tower(const clipmdl_family *family, const char *prefix, const char *name, int towers)
{
    if (!begins(name, prefix))
        return false;
    for (const clipmdl_beginning *b = family->beginnings; b->name; b++)
        if ((b->towers & towers) && begins(name + strlen(prefix), b->name))
            return true;
    return false;
}

bool clipmdl_is_unread(const clipmdl_family *family, const char *prefix, const char *name)
{
    if (!begins(name, prefix))
        return false;
    for (const char *const *b = family->unread.beginnings; b && *b; b++)
        if (begins(name + strlen(prefix), *b))
            return true;
    return false;
}

bool clipmdl_is_harmless(const char *name)
{
    static const char *const harmless[] = {"position_ids",        "attn_mask",        "logit_scale",    "logit_bias",
                                           "num_batches_tracked", "input_resolution", "context_length", "vocab_size",
                                           "weights" /* of M2M-100's positions, which are sines */};
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(last, harmless[i]) == 0)
            return true;
    return false;
}
