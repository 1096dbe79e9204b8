/* How near an embedding in 8 bits is to that in f32, where weights are random, and where a few
 * channels of the residual stream are a hundred times the others, as they are in trained
 * Transformers (Dettmers et al. 2022, arXiv:2208.07339). */
#include "named.h"

enum { WIDTH = 256, LAYERS = 4, DIM = 128, TOKENS = 17, TIMES = 100 };

static const clipmdl_config config = {.towers = CLIP_TOWER_IMAGE,
                                      .embed_dim = DIM,
                                      .vision = {.tower = &clipmdl_vit,
                                                 .image_size = 64,
                                                 .patch_size = 16,
                                                 .width = WIDTH,
                                                 .heads = 4,
                                                 .layers = LAYERS,
                                                 .mlp = 4 * WIDTH,
                                                 .eps = 1e-5f,
                                                 .act = CLIPK_GELU,
                                                 .class_token = true,
                                                 .ln_pre = true}};

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

static float *param(held *s, const char *name) { return s->w + clipmdl_params_find(&s->params, name)->at; }

static float *param_of_block(held *s, int layer, const char *name)
{
    char full[128];
    snprintf(full, sizeof full, "visual.transformer.resblocks.%d.%s", layer, name);
    return param(s, full);
}

/* Both pictures in a precision. */
static void embed(held *s, const char *precision, const clipmdl_tap *tap, float *out)
{
    clipmdl_binder b = {.params = &s->params, .prefix = "", .w = s->w, .k = &s->k,
                        .format = clipk_format_find(precision, s->k.set)};
    place_tower(s, &b);
    forward(s, tap, out);
}

/* The least cosine of a picture between int8 and f32. */
static double agreement(held *s)
{
    float exact[N * DIM], rounded[N * DIM];
    double least = 1;
    embed(s, "f32", NULL, exact);
    embed(s, "int8", NULL, rounded);
    assert_true(cosine(exact, exact + DIM, DIM) < 0.9); /* pictures differ, or all is near */
    for (size_t i = 0; i < N; i++)
        least = fmin(least, cosine(exact + i * DIM, rounded + i * DIM, DIM));
    return least;
}

static void random_weights(void **state)
{
    (void)state;
    held s = tower_new(&config);
    fill_params(&s.params, &clipmdl_openclip, s.w);
    const double least = agreement(&s);
    if (least < 0.999)
        fail_msg("a cosine of %.6f", least);
    tower_free(&s);
}

/* ---- Outliers -------------------------------------------------------------------------------- */

static const int outliers[4] = {3, 77, 130, 201};

/* Four channels of the stream are large, in every token with the same sign. What reads the stream
 * has small weights for them. So the products have the size of before, and so have the norms' other
 * channels. */
static void add_outliers(held *s)
{
    const float restored = TIMES * sqrtf(4.0f / WIDTH);
    for (int i = 0; i < 4; i++) {
        const size_t c = (size_t)outliers[i];
        param(s, "visual.ln_pre.weight")[c] *= TIMES / 10;
        param(s, "visual.ln_pre.bias")[c] = i % 2 ? TIMES : -TIMES;
        for (int layer = 0; layer < LAYERS; layer++) {
            for (size_t n = 0; n < 3 * WIDTH; n++)
                param_of_block(s, layer, "attn.in_proj_weight")[n * WIDTH + c] /= TIMES;
            for (size_t n = 0; n < (size_t)4 * WIDTH; n++)
                param_of_block(s, layer, "mlp.c_fc.weight")[n * WIDTH + c] /= TIMES;
        }
        for (size_t n = 0; n < DIM; n++)
            param(s, "visual.proj")[c * DIM + n] /= TIMES;
    }
    for (int layer = 0; layer < LAYERS; layer++)
        for (size_t c = 0; c < WIDTH; c++) {
            param_of_block(s, layer, "ln_1.weight")[c] *= restored;
            param_of_block(s, layer, "ln_2.weight")[c] *= restored;
        }
}

/* A quantiser with one step for a row and nothing else. */
static void round_rows(float *out, const float *x, size_t rows, size_t K)
{
    for (size_t r = 0; r < rows; r++) {
        float most = 0;
        for (size_t k = 0; k < K; k++)
            most = fmaxf(most, fabsf(x[r * K + k]));
        for (size_t k = 0; k < K; k++)
            out[r * K + k] = rintf(x[r * K + k] / most * 127) * most / 127;
    }
}

static void multiply(const clipk_ctx *k, const clipk_format *format, float *y, const float *x, const float *W, int M)
{
    clipk_weight w = {.format = format, .N = 3 * WIDTH, .K = WIDTH};
    clipb_block panels = {0};
    assert_int_equal(clipb_block_reserve(&panels, clipk_weight_bytes(k->set, format, w.N, w.K)), CLIP_OK);
    w.panels = panels.base;
    clipk_weight_pack(k, &w, clipk_rows(W, WIDTH));
    clipk_gemm(k, y, w.N, clipk_rows(x, WIDTH), M, &w, NULL);
    clipb_block_free(&panels);
}

/* The first block's queries, keys and values: by rows that are rounded alone, and as here. */
static void compare_first_product(held *s)
{
    enum { ROWS = N * TOKENS, OUT = 3 * WIDTH };
    static float stream[ROWS * WIDTH], x[ROWS * WIDTH], rough[ROWS * WIDTH], W[OUT * WIDTH];
    static float exact[ROWS * OUT], y[ROWS * OUT];
    float ignored[N * DIM];
    const clipmdl_tap tap = {.layer = 0, .rows = stream};
    const float *weight = param_of_block(s, 0, "attn.in_proj_weight");
    embed(s, "f32", &tap, ignored);
    assert_true(fabsf(stream[outliers[0]]) > 20 * fabsf(stream[outliers[0] + 1]));
    clipk_layernorm(&s->k, x, NULL, NULL, stream, NULL, param_of_block(s, 0, "ln_1.weight"),
                    param_of_block(s, 0, "ln_1.bias"), 1e-5f, ROWS, WIDTH);
    multiply(&s->k, CLIPK_FORMAT_F32, exact, x, weight, ROWS);
    multiply(&s->k, clipk_format_find("int8", s->k.set), y, x, weight, ROWS);
    assert_true(cosine(y, exact, ROWS * OUT) > 0.9998);
    round_rows(rough, x, ROWS, WIDTH);
    round_rows(W, weight, OUT, WIDTH);
    multiply(&s->k, CLIPK_FORMAT_F32, y, rough, W, ROWS);
    const double naive = cosine(y, exact, ROWS * OUT);
    if (naive >= 0.998)
        fail_msg("rounding alone keeps a cosine of %.6f: these outliers do no harm", naive);
}

static void outliers_of_the_stream(void **state)
{
    (void)state;
    held s = tower_new(&config);
    fill_params(&s.params, &clipmdl_openclip, s.w);
    add_outliers(&s);
    compare_first_product(&s);
    const double least = agreement(&s);
    if (least < 0.998)
        fail_msg("a cosine of %.6f", least);
    tower_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_weights),
        cmocka_unit_test(outliers_of_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
