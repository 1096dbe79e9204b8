/* A third tower, added by one row and chosen by a configuration, is encoded and trained without a
 * change elsewhere. Then every choice of a configuration: gradients against differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/net.h"

/* ---- The toy: embedding = W mean(patches) + b ------------------------------------------------ */

typedef struct toy {
    clipmdl_tower tower;
    int S, P;
    clipnn_linear head; /* [D, 3*P*P] */
} toy;

typedef struct toy_acts {
    float *patches; /* [N*G, 3*P*P] */
    float *mean;    /* [N, 3*P*P] */
    int32_t *off;
} toy_acts;

static clip_status toy_check(const clipmdl_config *c, const char *file, clip_error *err)
{
    return c->vision.image_size % c->vision.patch_size == 0 ? CLIP_OK : clipb_fail(err, CLIP_EFORMAT, file, "no grid");
}

static clip_status toy_init(clipmdl_tower *t, const clipmdl_config *c)
{
    toy *m = (toy *)t;
    m->S = c->vision.image_size;
    m->P = c->vision.patch_size;
    t->tokens = (m->S / m->P) * (m->S / m->P);
    t->groups = 1;
    t->largest = &m->head;
    return CLIP_OK;
}

static void toy_free(clipmdl_tower *t) { (void)t; }

static int patch_width(const toy *m) { return 3 * m->P * m->P; }

static void toy_bind(clipmdl_binder *b, clipmdl_tower *t)
{
    toy *m = (toy *)t;
    clipmdl_bind_linear(b, &m->head, "visual.", "toy.weight", "toy.bias", 0, t->embed_dim, t->embed_dim,
                        patch_width(m));
}

static clipmdl_draw toy_draw(const clipmdl_param *p, const clipmdl_config *c)
{
    (void)p;
    return clipmdl_draw_linear(3.0 * c->vision.patch_size * c->vision.patch_size);
}

static clipmdl_rows toy_rows(const clipmdl_tower *t, int layer)
{
    const toy *m = (const toy *)t;
    (void)layer;
    return (clipmdl_rows){.side = m->S / m->P, .width = patch_width(m)};
}

static void toy_layout(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                       const clipmdl_input *in, bool tape)
{
    const toy *m = (const toy *)t;
    toy_acts measured, *v = CLIPB_NEW(a, toy_acts, 1);
    acts->own = v;
    v = v ? v : &measured;
    (void)k;
    (void)tape; /* backward needs only the mean, which is kept without a tape */
    v->patches = CLIPB_NEW(a, float, in->N * t->tokens * patch_width(m));
    v->mean = acts->pooled = CLIPB_NEW(a, float, in->N * patch_width(m));
    v->off = CLIPB_NEW(a, int32_t, in->N + 1);
    acts->tape = (clipmdl_tape){.all = clipb_arena_mark(a)};
}

static void toy_forward(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                        float *out)
{
    const toy *m = (const toy *)t;
    const toy_acts *a = acts->own;
    const int G = t->tokens, W = patch_width(m);
    for (int n = 0; n <= in->N; n++)
        a->off[n] = n * G;
    const clipnn_batch batch = {.B = in->N, .off = a->off};
    clipnn_patchify(k, a->patches, in->pixels, NULL, in->N, G, m->S, m->P);
    clipnn_pool_mean(k, a->mean, a->patches, 0, &batch, W);
    clipnn_linear_forward(k, out, NULL, clipk_rows(a->mean, W), in->N, &m->head, CLIPK_LINEAR, NULL);
}

static void toy_layout_grads(clipb_arena *a, clipmdl_grads *g, const clipk_ctx *k, const clipmdl_tower *t,
                             const clipmdl_input *in)
{
    const size_t work = clipnn_linear_work(k, in->N, patch_width((const toy *)t), t->embed_dim);
    g->own = clipb_arena_alloc(a, work, 1);
}

static void toy_backward(const clipk_ctx *k, const clipmdl_grads *g, const clipmdl_acts *acts, const clipmdl_tower *t,
                         const clipmdl_input *in, const float *dout)
{
    const toy *m = (const toy *)t;
    const toy_acts *a = acts->own;
    clipmdl_enter(g, 0);
    clipnn_linear_dw(k, dout, clipk_rows(a->mean, patch_width(m)), in->N, &m->head, g->own);
}

static const clipmdl_tower_kind toy_kind = {
    .name = "toy",
    .flags = CLIPMDL_IMAGE_PARAM,
    .beta2 = 0.98,
    .eps = 1e-6,
    .check = toy_check,
    .size = sizeof(toy),
    .init = toy_init,
    .free = toy_free,
    .bind = toy_bind,
    .draw = toy_draw,
    .rows = toy_rows,
    .layout = toy_layout,
    .forward = toy_forward,
    .layout_grads = toy_layout_grads,
    .backward = toy_backward,
};

/* ---- Pairs ----------------------------------------------------------------------------------- */

enum { S = 16, P = 8, PAIRS = 4, VOCABULARY = 20, END = 13, LONGEST = 7 };

static float pixels[PAIRS * 3 * S * S];
static int32_t ids[PAIRS * LONGEST], off[PAIRS + 1];

static int setup(void **state)
{
    (void)state;
    clipb_rng r = clipb_rng_at(7, CLIPB_RNG_INIT, 0, 0);
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++)
        pixels[i] = clipb_rng_normal(&r) + (float)(i / (3 * S * S)) * 0.3f;
    for (int n = 0; n < PAIRS; n++) {
        const int length = 3 + n;
        off[n + 1] = off[n] + length;
        for (int i = 0; i < length; i++)
            ids[off[n] + i] = i == length - 1 ? END : (int32_t)clipb_rng_below(&r, 12);
    }
    return 0;
}

static const cliptrn_pairs pairs = {.N = PAIRS, .pixels = pixels, .ids = ids, .off = off};

static clipmdl_config small(void)
{
    return (clipmdl_config){
        .towers = CLIP_TOWER_BOTH,
        .embed_dim = 12,
        .vision = {.tower = &clipmdl_vit,
                   .image_size = S,
                   .patch_size = P,
                   .width = 16,
                   .heads = 2,
                   .layers = 2,
                   .mlp = 24,
                   .class_token = true,
                   .ln_pre = true,
                   .pooling = CLIPNN_POOL_FIRST,
                   .eps = 1e-5f},
        .text = {.tower = &clipmdl_text,
                 .context_length = LONGEST,
                 .vocab_size = VOCABULARY,
                 .width = 16,
                 .heads = 2,
                 .layers = 2,
                 .mlp = 24,
                 .causal = true,
                 .pooling = CLIPNN_POOL_ARGMAX,
                 .eps = 1e-5f},
    };
}

static void net_open(cliptrn_net *n, const clipmdl_config *c, const cliptrn_net_options *opt)
{
    clip_error err;
    *n = (cliptrn_net){0};
    if (cliptrn_net_init(n, c, opt, 1, &err) < 0)
        fail_msg("%s", err.message);
}

static double loss_of(cliptrn_net *n)
{
    cliptrn_loss l;
    assert_int_equal(cliptrn_net_gradient(n, &pairs, 0, &l, NULL), CLIP_OK);
    return l.loss;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void it_is_encoded(void **state)
{
    (void)state;
    clipmdl_config c = small();
    c.vision.tower = &toy_kind;
    assert_int_equal(clipmdl_config_check(&c, "", NULL), CLIP_OK);
    cliptrn_net n;
    net_open(&n, &c, &(cliptrn_net_options){.lock_image = true}); /* packs its weights once */
    loss_of(&n);
    clipmdl_acts acts = {0};
    clipb_block block = {0};
    clipb_arena a = {0};
    const clipmdl_input in = {.N = PAIRS, .pixels = pixels};
    float out[PAIRS * 12];
    toy_layout(&a, &acts, &n.k, n.image, &in, false);
    assert_int_equal(clipb_block_reserve(&block, a.peak), CLIP_OK);
    a = clipb_arena_on(&block);
    toy_layout(&a, &acts, &n.k, n.image, &in, false);
    n.image->kind->forward(&n.k, &acts, n.image, &in, out);

    const float *w = n.w + clipmdl_params_find(&n.params, "visual.toy.weight")->at,
                *b = n.w + clipmdl_params_find(&n.params, "visual.toy.bias")->at;
    for (int i = 0; i < PAIRS; i++)
        for (int d = 0; d < 12; d++) {
            double y = b[d], size = fabs(y);
            for (int p = 0; p < 3 * S * S; p++) { /* channel, row, column of the pixel, and of its place in a patch */
                const int ch = p / (S * S), row = p / S % S, col = p % S;
                const double term = (double)w[d * 3 * P * P + (ch * P + row % P) * P + col % P] *
                                    (double)pixels[i * 3 * S * S + p] * P * P / (S * S);
                y += term;
                size += fabs(term);
            }
            assert_true(fabs(out[i * 12 + d] - y) <= 3 * S * S * 1.2e-7 * size);
        }
    clipb_block_free(&block);
    cliptrn_net_free(&n);
}

static void it_is_trained(void **state)
{
    (void)state;
    clipmdl_config c = small();
    c.vision.tower = &toy_kind;
    for (int chunk = 0; chunk <= 3; chunk += 3) {
        cliptrn_net n;
        net_open(&n, &c, &(cliptrn_net_options){.chunk = chunk});
        const double first = loss_of(&n);
        for (int step = 0; step < 30; step++) {
            loss_of(&n);
            for (size_t i = 0; i < n.params.count; i++)
                n.w[i] -= 0.02f * n.g[i];
        }
        const double last = loss_of(&n);
        if (!(last < 0.5 * first))
            fail_msg("in chunks of %d the loss goes from %g to %g", chunk, first, last);
        cliptrn_net_free(&n);
    }
}

static void it_has_nothing_to_leave_out_or_unlock(void **state)
{
    (void)state;
    clipmdl_config c = small();
    c.vision.tower = &toy_kind;
    cliptrn_net n = {0};
    clip_error err;
    assert_int_equal(cliptrn_net_init(&n, &c, &(cliptrn_net_options){.patch_dropout = 0.5}, 1, &err),
                     CLIP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "a toy has no patches to leave out"));
    cliptrn_net_free(&n);
}

/* The loss changes along each parameter's gradient as the gradient says. */
static void check_gradients(const clipmdl_config *c, const cliptrn_net_options *opt, const char *what)
{
    cliptrn_net n;
    net_open(&n, c, opt);
    clipb_rng r = clipb_rng_at(11, CLIPB_RNG_INIT, 1, 0);
    for (size_t i = 0; i < n.params.count; i++) /* no weight is 0 or 1 */
        n.w[i] += 0.1f * clipb_rng_normal(&r);
    loss_of(&n);
    float *g = malloc(n.params.count * sizeof *g), *w = malloc(n.params.count * sizeof *w);
    for (size_t i = 0; i < n.params.n; i++) { /* gaps between parameters are unused */
        const clipmdl_param *p = &n.params.param[i];
        memcpy(g + p->at, n.g + p->at, p->count * sizeof *g);
        memcpy(w + p->at, n.w + p->at, p->count * sizeof *w);
    }
    for (size_t i = 0; i < n.params.n; i++) {
        const clipmdl_param *p = &n.params.param[i];
        double norm = 0;
        for (size_t j = p->at; j < p->at + p->count; j++)
            norm += (double)g[j] * (double)g[j];
        norm = sqrt(norm);
        const double h = norm > 2 ? 0.02 / norm : 1e-2; /* a steep loss is also curved */
        double change = 0;
        for (int side = -1; side <= 1; side += 2) {
            for (size_t j = p->at; j < p->at + p->count && norm > 0; j++)
                n.w[j] = w[j] + (float)(side * h * (double)g[j] / norm);
            change += side * loss_of(&n);
        }
        memcpy(n.w + p->at, w + p->at, p->count * sizeof *w);
        const double is = change / (2 * h), noise = 2e-6 / h; /* the noise of a loss in f32 */
        if (!(fabs(is - norm) <= 2e-2 * norm + noise))
            fail_msg("%s: along %s the loss changes by %g, not by %g", what, p->name, is, norm);
    }
    free(g);
    free(w);
    cliptrn_net_free(&n);
}

static void gradients_of_every_choice(void **state)
{
    (void)state;
    const cliptrn_net_options plain = {0}, dropout = {.patch_dropout = 0.5}, chunks = {.chunk = 3};
    clipmdl_config c = small();
    check_gradients(&c, &plain, "plain");
    c.vision.patch_bias = true;
    check_gradients(&c, &dropout, "patch bias, patch dropout");
    c.vision.class_token = false;
    c.vision.pooling = CLIPNN_POOL_MEAN;
    check_gradients(&c, &plain, "no class token, mean");
    check_gradients(&c, &dropout, "no class token, mean, patch dropout");
    c.vision.class_token = true;
    c.vision.norm_last = true;
    check_gradients(&c, &dropout, "class token, norm behind the mean, patch dropout");
    c.vision.norm_last = false;
    c.vision.projection = c.text.projection = CLIPMDL_PROJECTION_LINEAR;
    check_gradients(&c, &chunks, "class token, mean, projection bias");
    c = small();
    c.text.pooling = CLIPNN_POOL_EOS;
    c.text.eos_id = END;
    c.text.causal = false;
    check_gradients(&c, &plain, "end token, not causal");
    c.text.pooling = CLIPNN_POOL_MEAN;
    check_gradients(&c, &plain, "mean of a text, not causal");
    c.text.pooling = CLIPNN_POOL_FIRST;
    check_gradients(&c, &chunks, "first token, not causal");
    c = small();
    c.vision.pooler = true;
    check_gradients(&c, &plain, "a pooler behind the class token");
}

static clipmdl_config small_bert(void)
{
    clipmdl_config c = small();
    c.text = (clipmdl_text_config){.tower = &clipmdl_bert,
                                   .context_length = LONGEST,
                                   .vocab_size = VOCABULARY,
                                   .width = 16,
                                   .heads = 2,
                                   .layers = 2,
                                   .mlp = 24,
                                   .pooling = CLIPNN_POOL_FIRST,
                                   .act = CLIPK_GELU,
                                   .eps = 1e-5f,
                                   .bert = {.names = "bert.",
                                            .positions = LONGEST + 3,
                                            .first_position = 2,
                                            .token_types = 2,
                                            .scale = 1,
                                            .post_norm = true,
                                            .ln_embedding = true}};
    return c;
}

static void gradients_of_every_bert(void **state)
{
    (void)state;
    const cliptrn_net_options plain = {0}, chunks = {.chunk = 3};
    clipmdl_config c = small_bert();
    check_gradients(&c, &plain, "post-norm, first token");
    c.text.pooling = CLIPNN_POOL_MEAN;
    c.text.projection = CLIPMDL_PROJECTION_PLAIN;
    c.text.bert.proj_in = (clipmdl_proj_in){.width = 14, .act = CLIPK_GELU};
    check_gradients(&c, &chunks, "post-norm, mean, two projections");
    c.text.bert.ln_final = true;
    c.text.bert.proj_in = (clipmdl_proj_in){.width = 10, .act = CLIPK_LINEAR, .bias = true};
    check_gradients(&c, &plain, "post-norm, last norm, mean, two linear projections");
    c.text.pooling = CLIPNN_POOL_FIRST;
    check_gradients(&c, &plain, "post-norm, last norm, first token");
    c = small_bert();
    c.text.act = CLIPK_RELU;
    c.text.projection = CLIPMDL_PROJECTION_PLAIN;
    c.text.bert = (clipmdl_bert_config){.names = "m2m100.", .first_position = 2, .scale = 4, .ln_final = true};
    check_gradients(&c, &plain, "M2M-100");
    c = small_bert();
    c.text.bert.pooler = true;
    check_gradients(&c, &plain, "a pooler");
    c.text.projection = CLIPMDL_PROJECTION_PLAIN;
    c.text.bert.proj_in = (clipmdl_proj_in){.width = 14, .act = CLIPK_GELU};
    check_gradients(&c, &chunks, "a pooler and two projections");
}

static void a_masked_text_ends_before_its_padding(void **state)
{
    (void)state;
    static const int32_t text[] = {1, 0, 5, 13, 0, 0, 0}, padding[] = {0, 0};
    clipmdl_config c = small_bert();
    clipmdl_tower *t;
    assert_int_equal(clipmdl_tower_new(c.text.tower, &c, &t), CLIP_OK);
    assert_int_equal(t->kind->length(t, text, 7), 4);
    assert_int_equal(t->kind->length(t, padding, 2), 1);
    clipmdl_tower_free(t);
    c.text.bert.positions = LONGEST + 1;
    assert_int_equal(clipmdl_config_check(&c, "", NULL), CLIP_EFORMAT);
}

static void a_text_ends_where_nothing_is_read_behind(void **state)
{
    (void)state;
    static const int32_t text[] = {1, 13, 5, 13, 2, 19, 0};
    static const struct {
        clipnn_pooling by;
        bool causal;
        int length;
    } cases[] = {{CLIPNN_POOL_ARGMAX, true, 6}, {CLIPNN_POOL_EOS, true, 2},    {CLIPNN_POOL_FIRST, true, 1},
                 {CLIPNN_POOL_MEAN, true, 7},   {CLIPNN_POOL_ARGMAX, false, 7}, {CLIPNN_POOL_EOS, false, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clipmdl_config c = small();
        clipmdl_tower *t;
        c.text.pooling = cases[i].by;
        c.text.eos_id = END;
        c.text.causal = cases[i].causal;
        assert_int_equal(clipmdl_tower_new(c.text.tower, &c, &t), CLIP_OK);
        assert_int_equal(t->kind->length(t, text, 7), cases[i].length);
        clipmdl_tower_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_encoded),
        cmocka_unit_test(it_is_trained),
        cmocka_unit_test(it_has_nothing_to_leave_out_or_unlock),
        cmocka_unit_test(gradients_of_every_choice),
        cmocka_unit_test(gradients_of_every_bert),
        cmocka_unit_test(a_masked_text_ends_before_its_padding),
        cmocka_unit_test(a_text_ends_where_nothing_is_read_behind),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
