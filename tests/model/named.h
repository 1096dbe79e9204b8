/* named.h: towers whose weights and pixels are made from their names, by a formula that
 * tools/dump_towers.py has as well. So no weights are stored. */
#ifndef TESTS_MODEL_NAMED_H
#define TESTS_MODEL_NAMED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/tower.h"

enum { N = 2, D = 8 };

/* ---- Numbers that belong to a name ----------------------------------------------------------- */

static uint32_t hash_of(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

static float uniform(uint32_t h, size_t i)
{
    uint32_t x = h + (uint32_t)i * 0x9E3779B9u;
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    x ^= x >> 16;
    return (float)(x >> 8) / (float)(1 << 23) - 1;
}

static bool is_bias(const char *name)
{
    return clipmdl_name_ends(name, "bias") || clipmdl_name_ends(name, "running_mean");
}

static void fill(float *w, const char *name, size_t n, int ndim, size_t fan_in)
{
    const uint32_t h = hash_of(name);
    const bool token = strstr(name, "cls_token") || strstr(name, "pos_embed") || strstr(name, "latent");
    for (size_t i = 0; i < n; i++) {
        const float u = uniform(h, i);
        w[i] = token                   ? 0.4f * u
               : strstr(name, "gamma") ? 0.2f + 0.04f * u
               : ndim > 1              ? u * 1.4f / sqrtf((float)fan_in)
               : is_bias(name)         ? 0.1f * u
                                       : 1 + 0.2f * u;
    }
}

/* As the family's file has it: in one tensor or in several. */
static void fill_param(float *w, const clipmdl_param *p, const clipmdl_family *family)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const int n = clipmdl_parts(family, "", p->name, 0, p->dim[0], p->dim[0], part);
    const size_t each = p->count / (size_t)p->dim[0];
    if ((p->flags & CLIPMDL_PROJECTION_PARAM) && !family->transposes) { /* [D, C] in the file, [C, D] here */
        const size_t C = (size_t)p->dim[0];
        const float bound = 1.4f / sqrtf((float)C);
        for (size_t i = 0; i < p->count; i++)
            w[i % C * each + i / C] = bound * uniform(hash_of(part[0].name), i);
        return;
    }
    for (int i = 0; i < n; i++) {
        fill(w, part[i].name, each * (size_t)part[i].rows, p->ndim, each);
        w += each * (size_t)part[i].rows;
    }
}

/* ---- One tower ------------------------------------------------------------------------------- */

typedef struct held {
    clipk_ctx k;
    clipmdl_tower *t;
    clipmdl_params params;
    float *w, *pixels;
    clipb_block scratch, weights, acts;
} held;

static void fill_params(const clipmdl_params *p, const clipmdl_family *family, float *w)
{
    for (size_t i = 0; i < p->n; i++)
        fill_param(w + p->param[i].at, &p->param[i], family);
}

/* From a file's tensors or from parameters, whatever the binder holds. */
static void place_tower(held *s, clipmdl_binder *b)
{
    clipmdl_tower_bind(b, s->t);
    if (b->faults)
        fail_msg("%s", b->first_faults);
    assert_int_equal(clipb_block_reserve(&s->weights, b->arena.peak), CLIP_OK);
    b->arena = clipb_arena_on(&s->weights);
    clipmdl_tower_bind(b, s->t);
    assert_int_equal(b->status, CLIP_OK);
    clipb_block_free(&b->scratch);
}

static held tower_new(const clipmdl_config *c)
{
    held s = {.k = {.set = clipk_set_find(NULL)}};
    clip_error err;
    if (c->vision.tower->check(c, "golden", &err) != CLIP_OK)
        fail_msg("%s", err.message);
    assert_int_equal(clipmdl_tower_new(c->vision.tower, c, &s.t), CLIP_OK);
    assert_int_equal(clipb_block_reserve(&s.scratch, clipk_scratch_bytes(s.k.set, 1)), CLIP_OK);
    s.k.scratch = s.scratch.base;
    clipmdl_binder list = {.list = &s.params, .prefix = "", .k = &s.k};
    clipmdl_tower_bind(&list, s.t);
    assert_int_equal(list.status, CLIP_OK);
    s.w = calloc(s.params.count, sizeof *s.w);
    const size_t numbers = N * 3 * (size_t)c->vision.image_size * (size_t)c->vision.image_size;
    s.pixels = malloc(numbers * sizeof *s.pixels);
    assert_true(s.w && s.pixels);
    for (size_t i = 0; i < numbers; i++)
        s.pixels[i] = uniform(hash_of("pixels"), i);
    return s;
}

static void tower_free(held *s)
{
    clipmdl_tower_free(s->t);
    clipmdl_params_free(&s->params);
    free(s->w);
    free(s->pixels);
    clipb_block_free(&s->scratch);
    clipb_block_free(&s->weights);
    clipb_block_free(&s->acts);
}

static void forward(held *s, const clipmdl_tap *tap, float *out)
{
    const clipmdl_input in = {.N = N, .pixels = s->pixels};
    clipmdl_acts acts = {.tap = tap};
    clipb_arena a = {0};
    s->t->kind->layout(&a, &acts, &s->k, s->t, &in, false);
    assert_int_equal(clipb_block_reserve(&s->acts, a.peak), CLIP_OK);
    a = clipb_arena_on(&s->acts);
    s->t->kind->layout(&a, &acts, &s->k, s->t, &in, false);
    s->t->kind->forward(&s->k, &acts, s->t, &in, out);
}

#endif
