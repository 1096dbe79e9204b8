/* ref_gemm.c: the oracle of simd_gemm.c, in plain C with sums in double, and the oracle's table. */
#include <assert.h>
#include <math.h>
#include <string.h>

#define CLIPK_ISA ref
#include "kernels/simd.h"

#define MR 3 /* odd numbers: no test can rely on a tile's shape */
#define NR 5
#define KC 200

void NAME(gemm_pack_x)(float *out, clipk_x_form form, const float *x, int64_t rs, int64_t cs, int rows, int K)
{
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < K; k++) {
            if (form == CLIPK_X_F32) {
                *out++ = x[i * rs + k * cs];
                continue;
            }
            uint16_t pair[2] = {0};
            NAME(to_bf16)(pair, &x[i * rs + k * cs], 1);
            if (++k < K)
                NAME(to_bf16)(pair + 1, &x[i * rs + k * cs], 1);
            memcpy(out++, pair, sizeof pair);
        }
}

void NAME(gemm_pack_w)(void *panel, const clipk_format *f, clipk_view W, int n, int K)
{
    const size_t from = clipk_type_size(W.type), to = f->bytes;
    memset(panel, 0, to * NR * clipk_panel_depth(f, K));
    for (int k = 0; k < K; k++)
        for (int j = 0; j < n; j++) {
            const char *p = (const char *)W.p + (j * W.rs + k * W.cs) * (int64_t)from;
            char *q = (char *)panel + (k * NR + j) * to;
            float value;
            if (f->group == 1 && f->type == W.type) {
                memcpy(q, p, to);
                continue;
            }
            NAME(to_f32)(&value, p, W.type, 1);
            switch (f->tile) {
            case CLIPK_TILE_F32: memcpy(q, &value, to); break;
            case CLIPK_TILE_BF16_PAIRS:
                NAME(to_bf16)((uint16_t *)panel + (k / 2 * NR + j) * 2 + k % 2, &value, 1);
                break;
            case CLIPK_TILE_F16:
            case CLIPK_TILE_BF16:
            case CLIPK_TILE_I8_QUADS:
            case CLIPK_TILE_I8_SIGNED:
            case CLIPK_TILE_I8_PAIRS:
            case CLIPK_TILES: assert(!"a panel that takes only its own type");
            }
        }
}

static double act(double z, clipk_act a)
{
    if (z == -INFINITY && a != CLIPK_LINEAR && a != CLIPK_TANH)
        return 0; /* the limit at infinity */
    switch (a) {
    case CLIPK_RELU: return z < 0 ? 0 : z;
    case CLIPK_GELU: return z * 0.5 * erfc(-z * 0.70710678118654752440);
    case CLIPK_QUICKGELU: return z / (1 + exp(-1.702 * z));
    case CLIPK_GELU_TANH: return 0.5 * z * (1 + tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
    case CLIPK_TANH: return tanh(z);
    case CLIPK_LINEAR: break;
    }
    return z;
}

static double number(const void *p, clipk_type type)
{
    float f;
    NAME(to_f32)(&f, p, type, 1);
    return f;
}

/* x[i][k] W[j][k]. For pairs, the sum of both products. */
static double product(const clipk_gemm_block *b, int i, int k, int j)
{
    const float *x = b->x + i * (b->ldx ? b->ldx : b->K) + k;
    const clipk_format *f = &clipk_formats[b->tile];
    if (f->group == 1)
        return *x * number((const char *)b->w + (size_t)(k * NR + j) * f->bytes, f->type);
    const char *p = (const char *)x, *q = (const char *)b->w + (size_t)(k * NR + j) * 4;
    int sum = 0;
    if (b->tile == CLIPK_TILE_I8_QUADS)
        for (int n = 0; n < 4; n++)
            sum += ((const uint8_t *)p)[n] * ((const int8_t *)q)[n];
    if (b->tile == CLIPK_TILE_I8_SIGNED)
        for (int n = 0; n < 4; n++)
            sum += ((const int8_t *)p)[n] * ((const int8_t *)q)[n];
    if (b->tile == CLIPK_TILE_I8_PAIRS)
        for (int n = 0; n < 2; n++)
            sum += ((const int16_t *)p)[n] * ((const int16_t *)q)[n];
    if (f->rotates)
        return sum;
    return number(p, CLIPK_BF16) * number(q, CLIPK_BF16) + number(p + 2, CLIPK_BF16) * number(q + 2, CLIPK_BF16);
}

/* Sums of integers wait as integers. */
static double sum_of(const clipk_gemm_block *b, int i)
{
    int32_t sum;
    memcpy(&sum, b->sum + i, sizeof sum);
    return clipk_formats[b->tile].rotates ? sum : b->sum[i];
}

static void keep_sum(const clipk_gemm_block *b, int i, double z)
{
    const int32_t sum = (int32_t)z;
    if (clipk_formats[b->tile].rotates)
        memcpy(b->sum + i, &sum, sizeof sum);
    else
        b->sum[i] = (float)z;
}

void NAME(gemm_block)(const clipk_gemm_block *b)
{
    const bool integers = clipk_formats[b->tile].rotates;
    for (int i = 0; i < b->rows; i++)
        for (int j = 0; j < b->n; j++) {
            double z = !b->first ? sum_of(b, i * NR + j) : integers ? b->start[j] : 0;
            for (int k = 0; k < b->K; k++)
                z += product(b, i, k, j);
            if (!b->last) {
                keep_sum(b, i * NR + j, z);
                continue;
            }
            if (integers)
                z = (double)(float)z * (b->x_scale[i] * b->scale[j]);
            z += b->bias ? b->bias[j] : 0;
            z += b->residual ? b->residual[i * b->ld_residual + j] : 0;
            if (b->pre)
                b->pre[i * b->ld_pre + j] = (float)z;
            const float y = (float)act(z, b->act);
            if (b->rounds)
                NAME(to_bf16)((uint16_t *)b->y + i * b->ldy + j, &y, 1);
            else
                ((float *)b->y)[i * b->ldy + j] = y;
        }
}

double NAME(fma_rounds)(clipk_tile tile, int64_t n)
{
    (void)tile;
    volatile float a = 1;
    for (int64_t k = 0; k < n; k++)
        a = a * 0.9999f + 0.0001f;
    return 2 * (double)n;
}

const clipk_set NAME(set) = {
    .name = CLIPK_TEXT(CLIPK_ISA),
    .mr = MR,
    .nr = NR,
    .kc = KC,
#define KERNEL(type, name, parameters) .name = NAME(name),
#include "kernels/list.h"
};
