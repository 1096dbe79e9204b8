/* Where a file keeps the parameters, told by the row of its family. */
#include "model/names.h"

#include <stdio.h>
#include <string.h>

int clipmdl_parts(const clipmdl_family *family, const char *prefix, const char *name, int64_t first, int64_t rows,
                  int64_t total, clipmdl_part *part)
{
    char whole[CLIPMDL_MAX_NAME];
    const size_t before = strlen(prefix);
    memcpy(whole, prefix, before);
    family->translate(name, whole + before, sizeof whole - before);
    const char *in_proj = strstr(whole + before, "in_proj_"); /* whatever the prefix says */
    if (!in_proj || !(family->splits || strstr(name, "attnpool."))) {
        part[0] = (clipmdl_part){.first = first, .rows = rows, .total = total};
        memcpy(part[0].name, whole, sizeof whole);
        return 1;
    }
    const int64_t third = total / 3;
    int n = 0;
    for (int64_t i = first / third; i < (first + rows) / third; i++, n++) {
        part[n] = (clipmdl_part){.first = 0, .rows = third, .total = third};
        snprintf(part[n].name, CLIPMDL_MAX_NAME, "%.*s%c_proj.%.32s", (int)(in_proj - whole), whole, "qkv"[i],
                 in_proj + strlen("in_proj_"));
    }
    return n;
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

bool clipmdl_is_harmless(const char *name)
{
    static const char *const harmless[] = {"position_ids",        "attn_mask",        "logit_scale",    "logit_bias",
                                           "num_batches_tracked", "input_resolution", "context_length", "vocab_size"};
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(last, harmless[i]) == 0)
            return true;
    return false;
}
