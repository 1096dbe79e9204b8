/* The list of the families, and the encoders in a file, told by the rows' marks. */
#include <stdio.h>
#include <string.h>

#include "model/family/family.h"

/* Families whose image encoders have the names of OpenCLIP's or of transformers' CLIP come before
 * these. */
static const clipmdl_family *const families[] = {
    &clipmdl_flava,       &clipmdl_dual_vit,     &clipmdl_dual_clip_4,      &clipmdl_dual_clip,
    &clipmdl_altclip_5,   &clipmdl_chinese_clip, &clipmdl_chinese_clip_own, &clipmdl_altclip,
    &clipmdl_mclip,       &clipmdl_owl,          &clipmdl_aimv2_hf,         &clipmdl_openclip,
    &clipmdl_siglip,      &clipmdl_huggingface, &clipmdl_huggingface_tower};
enum { FAMILIES = sizeof families / sizeof *families };

const clipmdl_family *const *clipmdl_families(int *n)
{
    *n = FAMILIES;
    return families;
}

clip_status clipmdl_family_of_config(const char *path, const clipmdl_family **out, clip_error *err)
{
    char type[64];
    TRY(clipmdl_config_type(path, type, err));
    *out = *type ? &clipmdl_huggingface : &clipmdl_openclip;
    for (int f = 0; f < FAMILIES && *type; f++)
        if (families[f]->model_type && strncmp(type, families[f]->model_type, strlen(families[f]->model_type)) == 0) {
            *out = families[f];
            break;
        }
    return CLIP_OK;
}

const clipmdl_family *clipmdl_family_to_write(const clipmdl_config *c)
{
    for (int f = 0; f < FAMILIES; f++)
        if (families[f]->writes && families[f]->writes(c))
            return families[f];
    return NULL;
}

/* Is `name` the mark behind some beginning? *prefix: how long that is. The beginning ends with a
 * dot. */
static bool is_mark(const clipmdl_store *s, const clipmdl_mark *m, const char *name, size_t *prefix)
{
    const size_t n = strlen(name), k = strlen(m->name);
    if (n < k || n - k >= CLIPMDL_MAX_PREFIX || strcmp(name + n - k, m->name) != 0 || (n > k && name[n - k - 1] != '.'))
        return false;
    *prefix = n - k;
    if (!m->also)
        return true;
    char also[CLIPMDL_MAX_NAME];
    snprintf(also, sizeof also, "%.*s%s", (int)*prefix, name, m->also);
    return clipmdl_store_find(s, also) != NULL;
}

/* The first row with a mark that fits. *mark: that one. NULL: none. */
static const clipmdl_family *find_family(const clipmdl_store *s, const char *name, const clipmdl_mark **mark,
                                         size_t *prefix)
{
    for (int f = 0; f < FAMILIES; f++)
        for (*mark = families[f]->marks; (*mark)->name; ++*mark)
            if (is_mark(s, *mark, name, prefix))
                return families[f];
    return NULL;
}

int clipmdl_find(const clipmdl_store *s, const char *within, clipmdl_found *found)
{
    int n = 0;
    for (size_t t = 0; t < s->n; t++) {
        const char *name = s->tensor[t].name;
        const clipmdl_mark *mark;
        size_t prefix = 0;
        if (within && strncmp(name, within, strlen(within)) != 0)
            continue;
        const clipmdl_family *family = find_family(s, name, &mark, &prefix);
        if (!family)
            continue;
        int i = 0;
        while (i < n && !(found[i].family == family && strlen(found[i].prefix) == prefix &&
                          strncmp(found[i].prefix, name, prefix) == 0))
            i++;
        if (i == CLIPMDL_MAX_FOUND)
            continue;
        if (i == n) {
            found[n] = (clipmdl_found){.family = family};
            memcpy(found[n++].prefix, name, prefix);
        }
        found[i].towers |= mark->tower;
    }
    return n;
}
