/* params.c: the list of a model's parameters, their initial values, and reading them from a
 * checkpoint. */
#include "model/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/tower.h"

#define ROUND 16 /* a parameter starts at a multiple of this many numbers */

/* ---- The list -------------------------------------------------------------------------------- */

/* The slot of `name`, or a free one for it. The table has at least twice as many slots as names,
 * and is searched from the hash of the name. */
static size_t slot_of(const clipmdl_params *p, const char *name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    size_t i = (size_t)(h ^ h >> 32) & (p->slots - 1);
    while (p->slot[i] && strcmp(p->param[p->slot[i] - 1].name, name) != 0)
        i = (i + 1) & (p->slots - 1);
    return i;
}

const clipmdl_param *clipmdl_params_find(const clipmdl_params *p, const char *name)
{
    const uint32_t at = p->slots ? p->slot[slot_of(p, name)] : 0;
    return at ? &p->param[at - 1] : NULL;
}

static clip_status reserve_slots(clipmdl_params *p)
{
    if (p->slots >= 2 * (p->n + 1))
        return CLIP_OK;
    const size_t slots = p->slots ? 2 * p->slots : 512;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot)
        return CLIP_ENOMEM;
    free(p->slot);
    p->slot = slot;
    p->slots = slots;
    for (size_t i = 0; i < p->n; i++)
        p->slot[slot_of(p, p->param[i].name)] = (uint32_t)i + 1;
    return CLIP_OK;
}

static size_t rounded(size_t count) { return (count + ROUND - 1) / ROUND * ROUND; }

clip_status clipmdl_params_add(clipmdl_params *p, const char *name, int64_t rows, int ndim, const int64_t *dim,
                               int flags, int group)
{
    if (clipmdl_params_find(p, name))
        return CLIP_OK;
    TRY(reserve_slots(p));
    TRY(clipb_grow((void **)&p->param, &p->capacity, p->n + 1, sizeof *p->param));
    clipmdl_param *q = &p->param[p->n++];
    *q = (clipmdl_param){.ndim = ndim, .flags = flags, .group = group, .at = p->count, .count = 1};
    snprintf(q->name, sizeof q->name, "%s", name);
    for (int i = 0; i < ndim; i++) {
        q->dim[i] = i == 0 ? rows : dim[i];
        q->count *= q->dim[i];
    }
    p->count += rounded(q->count);
    p->slot[slot_of(p, q->name)] = (uint32_t)p->n;
    return CLIP_OK;
}

/* The tower's bind function names all of them. */
static clip_status list_tower(const clipmdl_tower_kind *kind, const clipmdl_config *c, clipmdl_params *out)
{
    const clipk_ctx k = {.set = clipk_set_find("ref")};
    clipmdl_binder b = {.list = out, .prefix = "", .k = &k};
    clipmdl_tower *t;
    TRY(clipmdl_tower_new(kind, c, &t));
    clipmdl_tower_bind(&b, t);
    clipmdl_tower_free(t);
    return b.status;
}

/* The texts' parameters first, then the pictures': see params.h. */
static void place(clipmdl_params *p)
{
    static const int towers[] = {CLIPMDL_TEXT_PARAM, CLIPMDL_IMAGE_PARAM, 0};
    p->count = 0;
    for (int t = 0; t < 3; t++)
        for (size_t i = 0; i < p->n; i++) {
            clipmdl_param *q = &p->param[i];
            if ((q->flags & (CLIPMDL_TEXT_PARAM | CLIPMDL_IMAGE_PARAM)) != towers[t])
                continue;
            q->at = p->count;
            p->count += rounded(q->count);
        }
}

clip_status clipmdl_params_list(const clipmdl_config *c, clipmdl_params *out)
{
    *out = (clipmdl_params){0};
    clip_status s = list_tower(c->vision.tower, c, out);
    if (s == CLIP_OK)
        s = list_tower(c->text.tower, c, out);
    if (s == CLIP_OK)
        s = clipmdl_params_add(out, "logit_scale", 1, 0, NULL, 0, 0);
    if (s == CLIP_OK && c->logit_bias)
        s = clipmdl_params_add(out, "logit_bias", 1, 0, NULL, 0, 0);
    if (s < 0)
        clipmdl_params_free(out);
    place(out);
    return s;
}

void clipmdl_params_free(clipmdl_params *p)
{
    free(p->param);
    free(p->slot);
    *p = (clipmdl_params){0};
}

/* ---- Initial weights: those of OpenCLIP 3's CLIP class, PyTorch's defaults included ---------- */

static bool has(const char *s, const char *part) { return strstr(s, part) != NULL; }

/* Initial values of norms and of biases of attention; false if `p` is another parameter. */
static bool draw_plain(const clipmdl_param *p, clipmdl_draw *out)
{
    const char *n = p->name;
    const bool norm = has(n, "ln_") || has(n, ".bn") || has(n, "downsample.1.");
    if (norm && (clipmdl_name_ends(n, ".weight") || clipmdl_name_ends(n, "running_var")))
        *out = (clipmdl_draw){CLIPMDL_CONSTANT, has(n, ".layer") && has(n, "bn3.weight") ? 0 : 1};
    else if (norm || clipmdl_name_ends(n, "attn.in_proj_bias") || clipmdl_name_ends(n, "attn.out_proj.bias"))
        *out = (clipmdl_draw){CLIPMDL_CONSTANT, 0};
    else
        return false;
    return true;
}

void clipmdl_params_init(const clipmdl_params *p, const clipmdl_config *c, uint64_t seed, float *w)
{
    const bool sigmoid = clipmdl_params_find(p, "logit_bias") != NULL;
    for (size_t i = 0; i < p->n; i++) {
        const clipmdl_param *q = &p->param[i];
        clipmdl_draw d;
        if (strcmp(q->name, "logit_scale") == 0)
            d = (clipmdl_draw){CLIPMDL_CONSTANT, sigmoid ? log(10) : log(1 / 0.07)};
        else if (strcmp(q->name, "logit_bias") == 0)
            d = (clipmdl_draw){CLIPMDL_CONSTANT, -10};
        else if (!draw_plain(q, &d))
            d = (q->flags & CLIPMDL_IMAGE_PARAM ? c->vision.tower : c->text.tower)->draw(q, c);
        clipb_rng r = clipb_rng_at(seed, CLIPB_RNG_INIT, i, 0);
        const float x = (float)d.x;
        for (size_t j = 0; j < q->count; j++)
            w[q->at + j] = d.by == CLIPMDL_CONSTANT ? x
                           : d.by == CLIPMDL_NORMAL ? x * clipb_rng_normal(&r)
                                                    : clipb_rng_between(&r, -x, x);
    }
}

/* ---- From a checkpoint ----------------------------------------------------------------------- */

/* The file's tensor for a part of q; NULL if its shape or type is wrong. transposed: the file has
 * [cols, rows]. */
static const clipmdl_tensor *find_part(const clipmdl_param *q, const clipmdl_part *part, bool transposed,
                                       const clipmdl_store *s)
{
    const clipmdl_tensor *t = clipmdl_store_find(s, part->name);
    int64_t dim[4];
    memcpy(dim, q->dim, sizeof dim);
    dim[0] = part->total;
    if (transposed) {
        dim[0] = q->dim[1];
        dim[1] = q->dim[0];
    }
    clipk_type type;
    if (!t || !clipmdl_tensor_type(t, &type))
        return NULL;
    if (q->ndim == 0)
        return t->bytes == clipk_type_size(type) ? t : NULL; /* a number, or a vector of one number */
    return clipmdl_tensor_has_shape(t, q->ndim, dim) ? t : NULL;
}

/* The same, or an error. */
static clip_status take_part(const clipmdl_param *q, const clipmdl_part *part, bool transposed, const clipmdl_store *s,
                             const clipmdl_tensor **out, clip_error *err)
{
    *out = find_part(q, part, transposed, s);
    if (!*out)
        return clipb_fail(err, CLIP_EMISMATCH, s->file,
                          "tensor '%s' is missing, or has another shape or type than the configuration asks for",
                          part->name);
    if (!clipmdl_tensor_is_finite(*out, NULL))
        return clipb_fail(err, CLIP_ENOTFINITE, s->file, "tensor '%s' holds NaN or infinity", (*out)->name);
    return CLIP_OK;
}

static bool is_resampled(const clipmdl_param *q) { return q->positions.stored != q->positions.side; }

/* Positions of a grid of another size. */
static clip_status read_positions(const clipmdl_param *q, clipmdl_part *part, const clipmdl_store *s,
                                  const clipmdl_family *family, float *w, clip_error *err)
{
    const clipk_ctx k = {.set = clipk_set_find(NULL)};
    const clipmdl_tensor *t;
    clipk_type type;
    part->total = clipmdl_positions_stored(&q->positions);
    TRY(take_part(q, part, false, s, &t, err));
    const size_t count = (size_t)(part->total * q->dim[1]);
    float *stored = malloc(count * sizeof *stored);
    if (!stored)
        return clipb_nomem(err, s->file);
    clipmdl_tensor_type(t, &type);
    clipk_to_f32(&k, stored, t->data, type, count);
    const bool done =
        clipmdl_positions_resample(w, stored, &q->positions, (int)q->dim[1], !family->no_antialias) == CLIP_OK;
    free(stored);
    return done ? CLIP_OK : clipb_nomem(err, s->file);
}

static void transpose(float *w, const float *from, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            w[r * cols + c] = from[c * rows + r];
}

static clip_status read_param(const clipmdl_param *q, const clipmdl_store *s, const clipmdl_family *family,
                              const char *prefix, float *w, clip_error *err)
{
    const clipk_ctx k = {.set = clipk_set_find(NULL)};
    const bool turned = (q->flags & CLIPMDL_PROJECTION_PARAM) && !family->transposes;
    const int64_t rows = q->ndim ? q->dim[0] : 1;
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const int n = clipmdl_parts(family, prefix, q->name, 0, rows, rows, part);
    float *to = w + q->at;
    if (is_resampled(q))
        return read_positions(q, part, s, family, to, err);
    for (int i = 0; i < n; i++) {
        const clipmdl_tensor *t;
        clipk_type type;
        if (strcmp(q->name, "logit_bias") == 0 && !find_part(q, &part[i], turned, s))
            return CLIP_OK;
        TRY(take_part(q, &part[i], turned, s, &t, err));
        clipmdl_tensor_type(t, &type);
        const size_t count = q->count / (size_t)rows * (size_t)part[i].rows;
        float *as_it_is = turned ? malloc(count * sizeof(float)) : to;
        if (!as_it_is)
            return clipb_nomem(err, s->file);
        clipk_to_f32(&k, as_it_is, t->data, type, count);
        if (turned) {
            transpose(to, as_it_is, (size_t)q->dim[0], (size_t)q->dim[1]);
            free(as_it_is);
        }
        to += count;
    }
    return CLIP_OK;
}

static bool is_stored(const clipmdl_param *q, const clipmdl_store *s, const clipmdl_family *family, const char *prefix)
{
    const bool turned = (q->flags & CLIPMDL_PROJECTION_PARAM) && !family->transposes;
    const int64_t rows = q->ndim ? q->dim[0] : 1;
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const int n = clipmdl_parts(family, prefix, q->name, 0, rows, rows, part);
    if (is_resampled(q))
        part->total = clipmdl_positions_stored(&q->positions);
    for (int i = 0; i < n; i++)
        if (!find_part(q, &part[i], turned, s))
            return false;
    return true;
}

const clipmdl_param *clipmdl_params_missing(const clipmdl_params *p, const clipmdl_store *s,
                                            const clipmdl_family *family, const char *prefix)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->param[i].name, "logit_bias") != 0 && !is_stored(&p->param[i], s, family, prefix))
            return &p->param[i];
    return NULL;
}

clip_status clipmdl_params_read(const clipmdl_params *p, const clipmdl_store *s, const clipmdl_family *family,
                                const char *prefix, float *w, clip_error *err)
{
    if (s->quantised)
        return clipb_fail(err, CLIP_EUNSUPPORTED, s->file,
                          "its weights are in 8 bits, for inference alone: take the checkpoint that it was made from");
    for (size_t i = 0; i < p->n; i++)
        TRY(read_param(&p->param[i], s, family, prefix, w, err));
    return CLIP_OK;
}
