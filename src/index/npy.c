#include "index/npy.h"

#include <inttypes.h>
#include <string.h>

#include "index/index.h"

#define MOST_ROWS (INT64_C(1) << 40)

/* ---- The header: a dictionary as Python writes one ------------------------------------------- */

typedef struct text {
    const char *at, *end;
} text;

typedef struct header {
    char descr[16];
    bool fortran, has_descr, has_order, has_shape;
    int dims;
    int64_t shape[2];
} header;

static void skip_blanks(text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n'))
        t->at++;
}

static bool take(text *t, char c)
{
    skip_blanks(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static bool take_word(text *t, const char *word)
{
    const size_t n = strlen(word);
    skip_blanks(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return false;
    t->at += n;
    return true;
}

static bool take_string(text *t, char *out, size_t size)
{
    const char quote = take(t, '\'') ? '\'' : take(t, '"') ? '"' : 0;
    const char *end = quote ? memchr(t->at, quote, (size_t)(t->end - t->at)) : NULL;
    if (!end || (size_t)(end - t->at) >= size)
        return false;
    memcpy(out, t->at, (size_t)(end - t->at));
    out[end - t->at] = 0;
    t->at = end + 1;
    return true;
}

static bool take_number(text *t, int64_t *out)
{
    skip_blanks(t);
    const char *begin = t->at;
    for (*out = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9' && *out < MOST_ROWS; t->at++)
        *out = *out * 10 + (*t->at - '0');
    return t->at > begin && *out < MOST_ROWS;
}

/* "(3, 4)"; more than two numbers are counted, not kept. */
static bool take_shape(text *t, header *h)
{
    if (!take(t, '('))
        return false;
    for (h->dims = 0; !take(t, ')'); h->dims++) {
        int64_t n;
        if ((h->dims > 0 && !take(t, ',')) || h->dims > 32)
            return false;
        if (take(t, ')')) /* "(3,)" */
            return true;
        if (!take_number(t, &n))
            return false;
        if (h->dims < 2)
            h->shape[h->dims] = n;
    }
    return true;
}

static bool take_value(text *t, const char *key, header *h)
{
    if (strcmp(key, "descr") == 0)
        return h->has_descr = take_string(t, h->descr, sizeof h->descr);
    if (strcmp(key, "fortran_order") == 0) {
        h->fortran = take_word(t, "True");
        return h->has_order = h->fortran || take_word(t, "False");
    }
    return strcmp(key, "shape") == 0 && (h->has_shape = take_shape(t, h));
}

static bool read_header(text t, header *h)
{
    char key[32];
    *h = (header){0};
    if (!take(&t, '{'))
        return false;
    while (!take(&t, '}')) {
        if (!take_string(&t, key, sizeof key) || !take(&t, ':') || !take_value(&t, key, h))
            return false;
        if (!take(&t, ',')) {
            if (!take(&t, '}'))
                return false;
            break;
        }
    }
    return h->has_descr && h->has_order && h->has_shape;
}

/* ---- The file -------------------------------------------------------------------------------- */

static clip_status check(const header *h, size_t room, const char *path, clipidx_npy *out, clip_error *err)
{
    const char *const types[] = {"<f2", "<f4", "<f8"};
    for (int i = 0; i < 3; i++)
        if (strcmp(h->descr, types[i]) == 0)
            out->bytes = 2 << i;
    if (out->bytes == 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, path, "holds numbers of type '%s', not <f2, <f4 or <f8", h->descr);
    if (h->fortran || h->dims != 2)
        return clipb_fail(err, CLIP_EUNSUPPORTED, path, "is not a matrix in C order");
    if (h->shape[1] < CLIPIDX_LEAST_DIM || h->shape[1] > CLIPIDX_MOST_DIM)
        return clipb_fail(err, CLIP_ELIMIT, path, "has %" PRId64 " columns, not from %d to %d", h->shape[1],
                          CLIPIDX_LEAST_DIM, CLIPIDX_MOST_DIM);
    out->rows = h->shape[0];
    out->columns = (int)h->shape[1];
    if ((uint64_t)out->rows > room / ((size_t)out->columns * (size_t)out->bytes))
        return clipb_fail(err, CLIP_EFORMAT, path, "ends before its %" PRId64 " rows do", out->rows);
    return CLIP_OK;
}

static clip_status parse(clipidx_npy *a, const char *path, clip_error *err)
{
    const unsigned char *p = a->map.data;
    const size_t size = a->map.size;
    header h;
    if (size < 12 || memcmp(p, "\x93NUMPY", 6) != 0)
        return clipb_fail(err, CLIP_EFORMAT, path, "is not a NumPy array");
    if (p[6] < 1 || p[6] > 3)
        return clipb_fail(err, CLIP_EUNSUPPORTED, path, "is of version %d of NumPy's format", p[6]);
    const size_t begin = p[6] == 1 ? 10 : 12;
    size_t length = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1)
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > size - begin || !read_header((text){(const char *)p + begin, (const char *)p + begin + length}, &h))
        return clipb_fail(err, CLIP_EFORMAT, path, "its header is damaged");
    a->data = p + begin + length;
    return check(&h, size - begin - length, path, a, err);
}

clip_status clipidx_npy_open(const char *path, clipidx_npy *out, clip_error *err)
{
    *out = (clipidx_npy){0};
    TRY(clipb_map_open(path, &out->map, err));
    clip_status s = parse(out, path, err);
    if (s < 0)
        clipidx_npy_close(out);
    return s;
}

void clipidx_npy_close(clipidx_npy *a)
{
    clipb_map_close(&a->map);
    *a = (clipidx_npy){0};
}

void clipidx_npy_row(const clipidx_npy *a, const clipk_set *set, int64_t i, float *out)
{
    const size_t D = (size_t)a->columns;
    const unsigned char *row = a->data + (size_t)i * D * (size_t)a->bytes;
    if (a->bytes == 2)
        set->to_f32(out, row, CLIPK_F16, D);
    else if (a->bytes == 4)
        memcpy(out, row, D * sizeof *out);
    for (size_t d = 0; a->bytes == 8 && d < D; d++) {
        double v;
        memcpy(&v, row + d * sizeof v, sizeof v);
        out[d] = (float)v;
    }
}
