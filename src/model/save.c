/* save.c: writes tensors to one safetensors file, byte for byte as safetensors' own writer does. */
#include "model/save.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/tower.h"

/* ---- Numbers --------------------------------------------------------------------------------- */

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

uint16_t clipmdl_to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000;
    u &= 0x7FFFFFFF;
    if (u > 0x7F800000) /* NaN, made quiet */
        return (uint16_t)(sign | 0x7E00 | (u >> 13 & 0x3FF));
    if (u >= 0x477FF000) /* 65,520 */
        return (uint16_t)(sign | 0x7C00);
    if (u < 0x38800000) /* below 2^-14: a multiple of 2^-24; adding 1/2 rounds to it */
        return (uint16_t)(sign | (bits_of(fabsf(f) + 0.5f) - bits_of(0.5f)));
    return (uint16_t)(sign | ((u + 0xFFF + (u >> 13 & 1) - 0x38000000) >> 13));
}

static uint16_t to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

/* Rounds to 16 bits. Returns the first finite number that becomes infinite, or NULL. */
static const float *narrow(uint16_t *out, const float *in, size_t n, clipk_type type)
{
    const uint16_t infinity = type == CLIPK_F16 ? 0x7C00 : 0x7F80;
    for (size_t i = 0; i < n; i++) {
        out[i] = type == CLIPK_F16 ? clipmdl_to_f16(in[i]) : to_bf16(in[i]);
        if ((out[i] & 0x7FFF) == infinity && !isinf(in[i]))
            return &in[i];
    }
    return NULL;
}

/* ---- Arrays ---------------------------------------------------------------------------------- */

/* PyTorch loads a tensor only with the dimensions that the package has. */
static void put_ones(clipmdl_array *t, const clipmdl_ones *ones)
{
    for (; ones && ones->end; ones++)
        while (clipmdl_name_ends(t->name, ones->end) && t->ndim < ones->ndim) {
            memmove(t->dim + 1, t->dim, (size_t)t->ndim++ * sizeof *t->dim);
            t->dim[0] = 1;
        }
}

clip_status clipmdl_arrays_add_param(clipmdl_arrays *a, const clipmdl_param *q, const float *block, const char *prefix,
                                     const clipmdl_family *family, clipk_type type)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const float *data = block + q->at;
    if (family->no_logit_bias && strcmp(q->name, "logit_bias") == 0)
        return CLIP_OK;
    const int64_t rows = q->ndim > 0 ? q->dim[0] : 1;
    const int n = clipmdl_parts(family, prefix, q->name, 0, rows, rows, part);
    TRY(clipb_grow((void **)&a->array, &a->capacity, a->n + n, sizeof *a->array));
    for (int i = 0; i < n; i++) {
        clipmdl_array *t = &a->array[a->n++];
        *t = (clipmdl_array){.type = type, .ndim = q->ndim, .data = data};
        data += q->count / (size_t)rows * (size_t)part[i].rows;
        memcpy(t->name, part[i].name, sizeof t->name);
        memcpy(t->dim, q->dim, sizeof t->dim);
        if (n > 1)
            t->dim[0] = part[i].rows;
        if ((q->flags & CLIPMDL_PROJECTION_PARAM) && !family->transposes) {
            t->transpose = true;
            t->dim[0] = q->dim[1];
            t->dim[1] = q->dim[0];
        }
        put_ones(t, family->ones);
    }
    return CLIP_OK;
}

clip_status clipmdl_arrays_add(clipmdl_arrays *a, const clipmdl_params *p, const float *block, const char *prefix,
                               const clipmdl_family *family, clipk_type type)
{
    for (size_t i = 0; i < p->n; i++)
        TRY(clipmdl_arrays_add_param(a, &p->param[i], block, prefix, family, type));
    return CLIP_OK;
}

void clipmdl_arrays_free(clipmdl_arrays *a)
{
    free(a->array);
    *a = (clipmdl_arrays){0};
}

/* ---- The file -------------------------------------------------------------------------------- */

/* By type, the wide ones first, so that each is aligned to its own size; then by name. */
static int turn_of(const clipmdl_array *t)
{
    static const int turn[] = {[CLIPK_F32] = 0, [CLIPK_BF16] = 1, [CLIPK_F16] = 2};
    return t->integers ? 3 : turn[t->type];
}

static int in_file(const void *a, const void *b)
{
    const clipmdl_array *x = a, *y = b;
    const int order = turn_of(x) - turn_of(y);
    return order ? order : strcmp(x->name, y->name);
}

static size_t count_of(const clipmdl_array *t)
{
    size_t n = 1;
    for (int d = 0; d < t->ndim; d++)
        n *= t->dim[d];
    return n;
}

static size_t size_of(const clipmdl_array *t) { return count_of(t) * (t->integers ? 1 : clipk_type_size(t->type)); }

/* The length is written to the front at the end, when it is known. */
static clip_status write_header(clipb_output *o, const clipmdl_arrays *a, clip_error *err)
{
    static const char *const dtype[] = {[CLIPK_F32] = "F32", [CLIPK_F16] = "F16", [CLIPK_BF16] = "BF16"};
    unsigned char length[8] = {0};
    size_t at = 0;
    TRY(clipb_output_write(o, length, sizeof length, err));
    fprintf(o->f, "{\"__metadata__\":{%s\"format\":\"pt\"}",
            a->quantised ? "\"" CLIPMDL_INT8_KEY "\":\"" CLIPMDL_INT8_VERSION "\"," : "");
    for (size_t i = 0; i < a->n; i++) {
        const clipmdl_array *t = &a->array[i];
        fprintf(o->f, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, t->integers ? "I8" : dtype[t->type]);
        for (int d = 0; d < t->ndim; d++)
            fprintf(o->f, "%s%" PRId64, d > 0 ? "," : "", t->dim[d]);
        const size_t bytes = size_of(t);
        fprintf(o->f, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
        at += bytes;
    }
    fputc('}', o->f);
    while (ftell(o->f) % 8 > 0)
        fputc(' ', o->f);
    const uint64_t n = (uint64_t)ftell(o->f) - sizeof length;
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(n >> 8 * i);
    if (fseek(o->f, 0, SEEK_SET) == 0)
        TRY(clipb_output_write(o, length, sizeof length, err));
    return fseek(o->f, 0, SEEK_END) == 0 ? CLIP_OK : clipb_fail(err, CLIP_EIO, o->path, "cannot be written");
}

enum { PIECE = 1 << 14 }; /* numbers transposed or rounded at a time */

typedef struct pieces {
    float row[PIECE];
    uint16_t narrow[PIECE];
} pieces;

static clip_status write_run(clipb_output *o, pieces *s, const clipmdl_array *t, const float *data, size_t n,
                             clip_error *err)
{
    if (t->type == CLIPK_F32)
        return clipb_output_write(o, data, n * sizeof *data, err);
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t k = n - i < PIECE ? n - i : PIECE;
        const float *lost = narrow(s->narrow, data + i, k, t->type);
        if (lost)
            return clipb_fail(err, CLIP_ELIMIT, o->path, "tensor '%s': %g is beyond the range of %s", t->name,
                              (double)*lost, t->type == CLIPK_F16 ? "f16 (65504); bf16 or f32 hold it" : "bf16");
        TRY(clipb_output_write(o, s->narrow, k * sizeof *s->narrow, err));
    }
    return CLIP_OK;
}

static clip_status write_transpose(clipb_output *o, pieces *s, const clipmdl_array *t, clip_error *err)
{
    const size_t rows = t->dim[0], cols = t->dim[1];
    for (size_t r = 0; r < rows; r++)
        for (size_t from = 0; from < cols; from += PIECE) {
            const size_t k = cols - from < PIECE ? cols - from : PIECE;
            for (size_t c = 0; c < k; c++)
                s->row[c] = t->data[(from + c) * rows + r];
            TRY(write_run(o, s, t, s->row, k, err));
        }
    return CLIP_OK;
}

static clip_status write_file(clipb_output *o, const clipmdl_arrays *a, clip_error *err)
{
    pieces *s = malloc(sizeof *s);
    clip_status status = s ? write_header(o, a, err) : clipb_nomem(err, o->path);
    for (size_t i = 0; status == CLIP_OK && i < a->n; i++) {
        const clipmdl_array *t = &a->array[i];
        status = t->integers    ? clipb_output_write(o, t->integers, count_of(t), err)
                 : t->transpose ? write_transpose(o, s, t, err)
                                : write_run(o, s, t, t->data, count_of(t), err);
    }
    free(s);
    return status;
}

clip_status clipmdl_arrays_write(clipmdl_arrays *a, const char *path, clip_error *err)
{
    clipb_output o;
    if (a->n > 1)
        qsort(a->array, a->n, sizeof *a->array, in_file);
    TRY(clipb_output_open(&o, path, err));
    return clipb_output_close(&o, write_file(&o, a, err), err);
}

clip_status clipmdl_save_weights(const char *path, const clipmdl_params *p, const float *w, clipk_type type,
                                 const clipmdl_family *family, clip_error *err)
{
    clipmdl_arrays a = {0};
    clip_status s = clipmdl_arrays_add(&a, p, w, "", family, type);
    s = s == CLIP_OK ? clipmdl_arrays_write(&a, path, err) : clipb_nomem(err, path);
    clipmdl_arrays_free(&a);
    return s;
}
