/* quantised.c: reads weights in 8 bits from a file. */
#include "model/quantised.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/find.h"

void clipmdl_quantised_name(char out[CLIPMDL_MAX_NAME], const char *name, const char *end)
{
    snprintf(out, CLIPMDL_MAX_NAME, "%.*s%s", CLIPMDL_MAX_NAME - 16, name, end);
}

bool clipmdl_is_quantised(const clipmdl_binder *b, const char *name)
{
    const clipmdl_tensor *t = b->store && b->store->quantised ? clipmdl_store_find(b->store, name) : NULL;
    return t && strcmp(t->dtype, "I8") == 0;
}

/* Number i of a tensor of F32. */
static float number(const clipmdl_tensor *t, int64_t i)
{
    float f;
    memcpy(&f, t->data + (size_t)i * sizeof f, sizeof f);
    return f;
}

static int64_t count_of(const clipmdl_tensor *t) { return (int64_t)(t->bytes / sizeof(float)); }

static const clipmdl_tensor *find_beside(clipmdl_binder *b, const clipmdl_part *part, const char *end, int64_t rows,
                                         int64_t cols)
{
    char name[CLIPMDL_MAX_NAME];
    clipmdl_quantised_name(name, part->name, end);
    return clipmdl_bind_find(b, name, "F32", 2, (int64_t[]){rows, cols});
}

static bool check_scales(clipmdl_binder *b, const clipmdl_tensor *t)
{
    for (int64_t i = 0; i < count_of(t); i++)
        if (!(number(t, i) > 0) || isinf(number(t, i))) {
            clipmdl_bind_fault(b, "tensor '%s' holds %g, which is not a scale", t->name, (double)number(t, i));
            return false;
        }
    return true;
}

static bool check_smoothing(clipmdl_binder *b, const clipmdl_tensor *t)
{
    for (int64_t i = 0; i < count_of(t); i++)
        if (number(t, i) == 0 || !isfinite(number(t, i))) {
            clipmdl_bind_fault(b, "tensor '%s' holds %g, which is not a factor", t->name, (double)number(t, i));
            return false;
        }
    return true;
}

/* NAME_smoothing [n, K]: n divides the rows. */
static const clipmdl_tensor *find_smoothing(clipmdl_binder *b, const clipmdl_part *part, int64_t K)
{
    char name[CLIPMDL_MAX_NAME];
    clipmdl_quantised_name(name, part->name, "_smoothing");
    const clipmdl_tensor *t = clipmdl_store_find(b->store, name);
    const int64_t n = t && t->ndim == 2 ? t->dim[0] : 1;
    t = find_beside(b, part, "_smoothing", n, K);
    if (t && (n < 1 || part->total % n != 0)) {
        clipmdl_bind_fault(b, "tensor '%s' has %lld rows for %lld of '%s'", t->name, (long long)n,
                           (long long)part->total, part->name);
        return NULL;
    }
    return t && check_smoothing(b, t) ? t : NULL;
}

/* Row i of a part's T. */
static const unsigned char *smoothing_at(const clipmdl_quantised *s, int part, int64_t i)
{
    return s->smoothing[part]->data + (size_t)(i * s->K) * sizeof(float);
}

/* How many rows of the part have the same row of T. */
static int64_t rows_each(const clipmdl_quantised *s, int part)
{
    return s->part[part].total / (count_of(s->smoothing[part]) / s->K);
}

static const unsigned char *first_smoothing(const clipmdl_quantised *s)
{
    return smoothing_at(s, 0, s->part[0].first / rows_each(s, 0));
}

/* All rows of the operand have one T. */
static bool check_same(clipmdl_binder *b, const clipmdl_quantised *s)
{
    const unsigned char *first = first_smoothing(s);
    for (int p = 0; p < s->parts; p++) {
        const int64_t each = rows_each(s, p), last = s->part[p].first + s->part[p].rows - 1;
        for (int64_t i = s->part[p].first / each; i <= last / each; i++)
            if (memcmp(smoothing_at(s, p, i), first, (size_t)s->K * sizeof(float)) != 0) {
                clipmdl_bind_fault(b, "tensor '%s' has several factors for one product", s->smoothing[p]->name);
                return false;
            }
    }
    return true;
}

bool clipmdl_quantised_find(clipmdl_binder *b, clipmdl_quantised *out, const clipmdl_part *part, int parts, int64_t O,
                            int64_t K)
{
    bool all = true;
    *out = (clipmdl_quantised){.parts = parts, .O = (int)O, .K = (int)K};
    if (!b->format || !clipk_format_for(b->format, CLIPK_F32, (int)K)->rotates) {
        clipmdl_bind_fault(b, "tensor '%s' is in 8 bits, for products that are not", part[0].name);
        return false;
    }
    for (int i = 0; i < parts; i++) {
        const int64_t total = part[i].total, shape[] = {total, clipk_quantised_depth((int)K)};
        out->part[i] = part[i];
        out->q[i] = clipmdl_bind_find(b, part[i].name, "I8", 2, shape);
        out->scale[i] = find_beside(b, &part[i], "_scale", total, 1);
        out->smoothing[i] = find_smoothing(b, &part[i], K);
        all = all && out->q[i] && out->scale[i] && out->smoothing[i] && check_scales(b, out->scale[i]);
    }
    b->parameters += O * K;
    return all && check_same(b, out);
}

/* The scales, T and the integers of several parts, one behind the other, in scratch. The integers
 * of one part stay where they are.
 * @return: false: out of memory */
static bool gather(clipmdl_binder *b, clipk_quantised *out, const clipmdl_quantised *from)
{
    const size_t depth = (size_t)clipk_quantised_depth(from->K), O = (size_t)from->O, K = (size_t)from->K;
    if (clipb_block_reserve(&b->scratch, (O + K) * sizeof(float) + (from->parts > 1 ? O * depth : 0)) < 0) {
        b->status = CLIP_ENOMEM;
        return false;
    }
    float *scale = (float *)(void *)b->scratch.base, *t = scale + O;
    int8_t *q = (int8_t *)(void *)(t + K);
    *out = (clipk_quantised){q, scale, t};
    memcpy(t, first_smoothing(from), K * sizeof *t);
    for (int i = 0; i < from->parts; i++) {
        const size_t first = (size_t)from->part[i].first, rows = (size_t)from->part[i].rows;
        const int8_t *rows_of_it = (const int8_t *)from->q[i]->data + first * depth;
        memcpy(scale, from->scale[i]->data + first * sizeof *scale, rows * sizeof *scale);
        if (from->parts == 1)
            out->q = rows_of_it;
        else
            memcpy(q, rows_of_it, rows * depth);
        scale += rows;
        q += rows * depth;
    }
    return true;
}

void clipmdl_quantised_pack(clipmdl_binder *b, const clipk_weight *w, const clipmdl_quantised *from)
{
    clipk_quantised all;
    if (!gather(b, &all, from))
        return;
    clipk_weight_pack_quantised(b->k, w, &all);
    for (int i = 0; i < from->parts; i++)
        clipmdl_bind_drop(from->q[i]);
}
