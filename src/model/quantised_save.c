/* quantised_save.c: writes a model whose products are in 8 bits. The towers are bound to the
 * parameters, as for inference in 8 bits, and what they pack is kept. */
#include "model/quantised.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/tower.h"

#define F16_LIMIT 65504.0f

/* A run of rows that is one operand, or a part of one. */
typedef struct run {
    int64_t first, rows;
    float *t; /* [K] */
} run;

/* A parameter [rows, K] whose operands have been packed. */
struct clipmdl_matrix {
    char name[CLIPMDL_MAX_NAME]; /* the code's */
    int64_t rows, K, depth;
    int8_t *q;    /* [rows, depth] */
    float *scale; /* [rows] */
    run run[CLIPMDL_MAX_PARTS];
    int runs;
    float *smoothing; /* the table of all rows */
};
typedef struct clipmdl_matrix matrix;

/* ---- Keeping --------------------------------------------------------------------------------- */

static matrix *find_matrix(const clipmdl_integers *all, const char *name)
{
    for (size_t i = all->n; i-- > 0;) /* the parts of an operand follow each other */
        if (strcmp(all->matrix[i].name, name) == 0)
            return &all->matrix[i];
    return NULL;
}

static clip_status find_or_add(clipmdl_integers *all, const clipmdl_part *part, int64_t K, matrix **out)
{
    *out = find_matrix(all, part->name);
    if (*out)
        return CLIP_OK;
    TRY(clipb_grow((void **)&all->matrix, &all->capacity, all->n + 1, sizeof *all->matrix));
    matrix *m = *out = &all->matrix[all->n];
    *m = (matrix){.rows = part->total, .K = K, .depth = clipk_quantised_depth((int)K)};
    memcpy(m->name, part->name, sizeof m->name);
    m->q = malloc((size_t)(m->rows * m->depth));
    m->scale = malloc((size_t)m->rows * sizeof *m->scale);
    all->n++;
    return m->q && m->scale ? CLIP_OK : CLIP_ENOMEM;
}

/* The rows of one part, from what the operand was unpacked to. */
static clip_status add_run(matrix *m, const clipmdl_part *part, const clipk_quantised *from)
{
    for (int i = 0; i < m->runs; i++)
        if (m->run[i].first == part->first)
            return CLIP_OK; /* another layer has it too */
    assert(m->runs < CLIPMDL_MAX_PARTS);
    run *r = &m->run[m->runs];
    *r = (run){part->first, part->rows, malloc((size_t)m->K * sizeof *r->t)};
    if (!r->t)
        return CLIP_ENOMEM;
    m->runs++;
    memcpy(r->t, from->t, (size_t)m->K * sizeof *r->t);
    memcpy(m->scale + r->first, from->scale, (size_t)r->rows * sizeof *m->scale);
    memcpy(m->q + r->first * m->depth, from->q, (size_t)(r->rows * m->depth));
    return CLIP_OK;
}

clip_status clipmdl_integers_add(clipmdl_integers *all, const clipk_set *set, const clipk_weight *w,
                                 const clipmdl_part *part, int parts)
{
    const size_t N = (size_t)w->N, depth = (size_t)clipk_quantised_depth(w->K);
    if (parts == 0) /* a tower has put it together */
        return CLIP_OK;
    int8_t *q = malloc(N * depth);
    float *scale = malloc(N * sizeof *scale), *t = malloc((size_t)w->K * sizeof *t);
    clip_status s = q && scale && t ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK)
        clipk_weight_unpack(set, w, q, scale, t);
    size_t row = 0;
    for (int i = 0; s == CLIP_OK && i < parts; i++) {
        matrix *m;
        const clipk_quantised from = {q + row * depth, scale + row, t};
        s = find_or_add(all, &part[i], w->K, &m);
        if (s == CLIP_OK)
            s = add_run(m, &part[i], &from);
        row += (size_t)part[i].rows;
    }
    free(q);
    free(scale);
    free(t);
    return s;
}

void clipmdl_integers_free(clipmdl_integers *all)
{
    for (size_t i = 0; i < all->n; i++) {
        matrix *m = &all->matrix[i];
        for (int r = 0; r < m->runs; r++)
            free(m->run[r].t);
        free(m->q);
        free(m->scale);
        free(m->smoothing);
    }
    free(all->matrix);
    *all = (clipmdl_integers){0};
}

static clip_status bind_tower(clipmdl_binder *b, const clipmdl_tower_kind *kind, const clipmdl_config *c)
{
    clipb_block panels = {0};
    clipmdl_tower *t;
    TRY(clipmdl_tower_new(kind, c, &t));
    b->arena = (clipb_arena){0};
    clipmdl_tower_bind(b, t);
    clip_status s = clipb_block_reserve(&panels, b->arena.peak);
    if (s == CLIP_OK) {
        b->arena = clipb_arena_on(&panels);
        clipmdl_tower_bind(b, t);
        s = b->status;
    }
    clipb_block_free(&panels);
    clipmdl_tower_free(t);
    return s;
}

static clip_status quantise(const clipmdl_config *c, const clipmdl_params *p, float *w, clipmdl_integers *out)
{
    clipb_block scratch = {0};
    clipk_ctx k = {.set = clipk_set_find(NULL), .team = clipb_team_new(clipb_cores())};
    clipmdl_binder b = {.params = p, .prefix = "", .w = w, .k = &k, .integers = out,
                        .format = clipk_format_find("int8", k.set)};
    clip_status s = k.team ? clipb_block_reserve(&scratch, clipk_scratch_bytes(k.set, clipk_threads(&k))) : CLIP_ENOMEM;
    k.scratch = scratch.base;
    if (s == CLIP_OK && (c->towers & CLIP_TOWER_IMAGE))
        s = bind_tower(&b, c->vision.tower, c);
    if (s == CLIP_OK && (c->towers & CLIP_TOWER_TEXT))
        s = bind_tower(&b, c->text.tower, c);
    clipb_block_free(&b.scratch);
    clipb_block_free(&scratch);
    clipb_team_free(k.team);
    return s;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

/* m->smoothing: T for each `each` rows. */
static clip_status lay_out_smoothing(matrix *m, int64_t each)
{
    const size_t row = (size_t)m->K * sizeof *m->smoothing;
    m->smoothing = malloc((size_t)(m->rows / each) * row);
    if (!m->smoothing)
        return CLIP_ENOMEM;
    for (int r = 0; r < m->runs; r++)
        for (int64_t i = m->run[r].first; i < m->run[r].first + m->run[r].rows; i += each)
            memcpy(m->smoothing + i / each * m->K, m->run[r].t, row);
    return CLIP_OK;
}

static clipmdl_array *push(clipmdl_arrays *a, const char *name, const char *end, int64_t rows, int64_t cols)
{
    clipmdl_array *t = &a->array[a->n++];
    *t = (clipmdl_array){.type = CLIPK_F32, .ndim = 2, .dim = {rows, cols}};
    clipmdl_quantised_name(t->name, name, end);
    return t;
}

static clip_status add_matrix(clipmdl_arrays *a, matrix *m, const clipmdl_family *family)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const int parts = clipmdl_parts(family, "", m->name, 0, m->rows, m->rows, part);
    int64_t each = m->rows, row = 0;
    for (int i = 0; i < m->runs; i++)
        each = common_divisor(each, m->run[i].first);
    for (int i = 0; i < parts; i++)
        each = common_divisor(each, part[i].rows);
    TRY(lay_out_smoothing(m, each));
    TRY(clipb_grow((void **)&a->array, &a->capacity, a->n + 3 * (size_t)parts, sizeof *a->array));
    for (int i = 0; i < parts; i++) {
        push(a, part[i].name, "", part[i].rows, m->depth)->integers = m->q + row * m->depth;
        push(a, part[i].name, "_scale", part[i].rows, 1)->data = m->scale + row;
        push(a, part[i].name, "_smoothing", part[i].rows / each, m->K)->data = m->smoothing + row / each * m->K;
        row += part[i].rows;
    }
    return CLIP_OK;
}

/* The type of a parameter that is not in 8 bits. */
static clipk_type type_of(const clipmdl_param *q, const float *w, clipk_type type)
{
    if (type != CLIPK_F32 || !(q->flags & CLIPMDL_LARGE_PARAM))
        return type;
    for (size_t i = 0; i < q->count; i++)
        if (!(fabsf(w[q->at + i]) <= F16_LIMIT))
            return CLIPK_F32;
    return CLIPK_F16;
}

static clip_status add_all(clipmdl_arrays *a, clipmdl_integers *all, const clipmdl_params *p, const float *w,
                           clipk_type type, const clipmdl_family *family)
{
    for (size_t i = 0; i < p->n; i++) {
        const clipmdl_param *q = &p->param[i];
        matrix *m = find_matrix(all, q->name);
        TRY(m ? add_matrix(a, m, family) : clipmdl_arrays_add_param(a, q, w, "", family, type_of(q, w, type)));
    }
    return CLIP_OK;
}

clip_status clipmdl_save_quantised(const char *path, const clipmdl_config *c, const clipmdl_params *p, float *w,
                                   clipk_type type, const clipmdl_family *family, clip_error *err)
{
    clipmdl_integers all = {0};
    clipmdl_arrays a = {.quantised = true};
    clip_status s = quantise(c, p, w, &all);
    if (s == CLIP_OK)
        s = add_all(&a, &all, p, w, type, family);
    if (s == CLIP_OK)
        s = clipmdl_arrays_write(&a, path, err);
    else
        s = clipb_fail(err, s, path, s == CLIP_ENOMEM ? "out of memory" : "its weights do not fit its configuration");
    clipmdl_arrays_free(&a);
    clipmdl_integers_free(&all);
    return s;
}
