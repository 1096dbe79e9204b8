/* The precisions that a model can be loaded with. The rows of clipk_formats name them; several rows
 * may have the same one. */
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

const char *clipeng_precision_at(int i)
{
    for (int row = 0; row < CLIPK_TILES; row++) {
        const clipk_format *f = &clipk_formats[row];
        if (clipk_format_find(f->precision, NULL) == f && i-- == 0)
            return f->precision;
    }
    return NULL;
}

clip_status clipeng_precision_find(const char *name, const clipk_set *set, const clipk_format **out, clip_error *err)
{
    char all[128] = "";
    const char *p;
    *out = clipk_format_find(name ? name : clipeng_precision_at(0), set);
    if (!*out) {
        for (int i = 0; (p = clipeng_precision_at(i)); i++)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", p);
        return clipb_fail(err, CLIP_EINVAL, NULL, "precision must be one of %s, not '%s'", all, name);
    }
    if (!clipk_set_has(set, *out))
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "precision %s needs %s, which %s on this processor does not have; f32 runs everywhere", name,
                          (*out)->needs, clipk_set_name(set));
    return CLIP_OK;
}

const char *clipeng_precisions_note(const clipk_set *set, char out[64])
{
    const char *p;
    int n = 0;
    *out = 0;
    for (int i = 0; (p = clipeng_precision_at(i)); i++) {
        const clipk_format *f = clipk_format_find(p, set);
        if (f->needs && clipk_set_has(set, f) && n < 64)
            n += snprintf(out + n, 64 - (size_t)n, "%s%s", n ? ", " : " (with ", p);
    }
    if (n > 0 && n < 63)
        strcpy(out + n, ")");
    return out;
}
