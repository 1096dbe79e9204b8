/* tower.c: making, binding and freeing any tower, and the initial weights of most layers. */
#include "model/tower.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

clip_status clipmdl_tower_new(const clipmdl_tower_kind *kind, const clipmdl_config *c, clipmdl_tower **out)
{
    clipmdl_tower *t = *out = calloc(1, kind->size);
    if (!t)
        return CLIP_ENOMEM;
    t->kind = kind;
    t->embed_dim = c->embed_dim;
    clip_status s = kind->init(t, c);
    if (s < 0) {
        clipmdl_tower_free(t);
        *out = NULL;
    }
    return s;
}

void clipmdl_tower_free(clipmdl_tower *t)
{
    if (t)
        t->kind->free(t);
    free(t);
}

void clipmdl_tower_bind(clipmdl_binder *b, clipmdl_tower *t)
{
    b->flags = t->kind->flags;
    b->group = 0;
    t->first_group = b->first_group;
    t->kind->bind(b, t);
}

clip_status clipmdl_check_heads(const char *what, int width, int heads, const char *file, clip_error *err)
{
    if (heads < 1 || width % heads)
        return clipb_fail(err, CLIP_EFORMAT, file, "a %s width of %d does not divide into %d heads", what, width,
                          heads);
    if (width / heads > CLIPK_ATTENTION_D)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "attention heads of %d numbers are more than the %d supported",
                          width / heads, CLIPK_ATTENTION_D);
    return CLIP_OK;
}

bool clipmdl_tap_rows(const clipk_ctx *k, const clipmdl_tap *tap, int layer, const float *x, int T, int C)
{
    if (!tap || tap->layer != layer)
        return false;
    if (tap->norm)
        clipnn_layernorm_forward(k, tap->rows, NULL, NULL, x, NULL, tap->norm, T, C);
    else
        memcpy(tap->rows, x, (size_t)T * (size_t)C * sizeof *x);
    return tap->ends;
}

clipmdl_draw clipmdl_draw_linear(double fan_in) { return (clipmdl_draw){CLIPMDL_UNIFORM, 1 / sqrt(fan_in)}; }

bool clipmdl_name_ends(const char *name, const char *end)
{
    const size_t n = strlen(name), e = strlen(end);
    return n >= e && strcmp(name + n - e, end) == 0;
}
