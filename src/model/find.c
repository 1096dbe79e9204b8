/* find.c: finds tensors by name, type and shape, and collects faults. */
#include "model/find.h"

#include "base/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MOST_WARNINGS 20 /* a wrong configuration lacks every tensor: nobody reads 500 lines */

void clipmdl_bind_fault(clipmdl_binder *b, const char *fmt, ...)
{
    char line[CLIPMDL_MAX_NAME + 256];
    va_list ap;
    va_start(ap, fmt);
    clipb_line(line, sizeof line, fmt, ap);
    va_end(ap);
    if (strstr(b->first_faults, line)) /* in_proj is asked for twice */
        return;
    size_t used = strlen(b->first_faults);
    if (b->faults < 4)
        snprintf(b->first_faults + used, sizeof b->first_faults - used, "%s%s", used ? "; " : "", line);
    if (b->warn && b->faults < MOST_WARNINGS)
        b->warn(b->warn_user, line);
    b->faults++;
}

static void format_shape(char *out, size_t size, const int64_t *dim, int ndim)
{
    size_t n = snprintf(out, size, "[");
    for (int i = 0; i < ndim && n < size; i++)
        n += snprintf(out + n, size - n, "%s%lld", i ? ", " : "", (long long)dim[i]);
    if (n < size)
        snprintf(out + n, size - n, "]");
}

clipmdl_tensor *clipmdl_bind_find(clipmdl_binder *b, const char *name, const char *dtype, int ndim,
                                  const int64_t *dim)
{
    clipmdl_tensor *t = clipmdl_store_find(b->store, name);
    clipk_type type;
    if (!t) {
        clipmdl_bind_fault(b, "tensor '%s' is missing", name);
        return NULL;
    }
    /* Written only while loading, before the store is shared. Later binds, as by clipeng_explain()
     * beside other threads, only read it. */
    if (!t->used)
        t->used = true;
    if (dtype && strcmp(t->dtype, dtype) != 0) {
        clipmdl_bind_fault(b, "tensor '%s' has the type %s, not %s", name, t->dtype, dtype);
        return NULL;
    }
    if (!dtype && !clipmdl_tensor_type(t, &type)) {
        if (b->odd_types++ == 0)
            b->odd_type = t;
        return NULL;
    }
    char is[96], should[96];
    if (!clipmdl_tensor_has_shape(t, ndim, dim)) {
        format_shape(is, sizeof is, t->dim, t->ndim);
        format_shape(should, sizeof should, dim, ndim);
        clipmdl_bind_fault(b, "tensor '%s' has the shape %s, not %s", name, is, should);
        return NULL;
    }
    return t;
}

void clipmdl_bind_check(clipmdl_binder *b, const clipmdl_tensor *t)
{
    if (t && clipmdl_binder_places(b) && !clipmdl_tensor_is_finite(t, b->k->team)) {
        b->not_finite = t;
        b->status = CLIP_ENOTFINITE;
    }
}

void clipmdl_bind_drop(const clipmdl_tensor *t)
{
    if (t && t->map)
        clipb_map_drop(t->map, t->data, t->bytes);
}
