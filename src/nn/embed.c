/* Gathers and sums: what turns pixels and ids into rows. Memory-bound, so shared among threads by sample. */
#include <string.h>

#include "nn/nn.h"

#define PER_SAMPLE _Pragma("omp parallel for num_threads(k->threads) if (k->threads > 1 && N > 1) schedule(static)")

void clipnn_patchify(const clipk_ctx *k, float *y, const float *x, int N, int S, int P)
{
    const size_t G = (size_t)(S / P), s = (size_t)S, p = (size_t)P, K = 3 * p * p;
    PER_SAMPLE
    for (int n = 0; n < N; n++)
        for (size_t i = 0; i < G; i++)
            for (size_t c = 0; c < 3; c++)
                for (size_t u = 0; u < p; u++) {
                    const float *from = x + (((size_t)n * 3 + c) * s + i * p + u) * s;
                    float *to = y + ((size_t)n * G + i) * G * K + (c * p + u) * p;
                    for (size_t j = 0; j < G; j++)
                        memcpy(to + j * K, from + j * p, p * sizeof(float));
                }
}

static void add(float *y, const float *a, const float *b, int C)
{
    for (int c = 0; c < C; c++)
        y[c] = a[c] + b[c];
}

void clipnn_class_tokens(const clipk_ctx *k, float *y, const float *x, const float *cls, const float *pos, int N, int G, int C)
{
    const size_t g1 = (size_t)G + 1, w = (size_t)C;
    PER_SAMPLE
    for (int n = 0; n < N; n++) {
        float *to = y + (size_t)n * g1 * w;
        add(to, cls, pos, C);
        for (size_t g = 0; g < (size_t)G; g++)
            add(to + (g + 1) * w, x + ((size_t)n * (size_t)G + g) * w, pos + (g + 1) * w, C);
    }
}

void clipnn_mean_tokens(const clipk_ctx *k, float *y, const float *x, const float *pos, int N, int G, int C)
{
    const size_t g1 = (size_t)G + 1, w = (size_t)C;
    PER_SAMPLE
    for (int n = 0; n < N; n++) {
        const float *from = x + (size_t)n * (size_t)G * w;
        float *to = y + (size_t)n * g1 * w;
        memset(to, 0, w * sizeof(float));
        for (size_t g = 0; g < (size_t)G; g++)
            add(to, to, from + g * w, C);
        for (int c = 0; c < C; c++)
            to[c] = to[c] / (float)G + pos[c];
        for (size_t g = 0; g < (size_t)G; g++)
            add(to + (g + 1) * w, from + g * w, pos + (g + 1) * w, C);
    }
}

void clipnn_token_embedding(const clipk_ctx *k, float *y, clipk_view table, const float *pos, const int32_t *ids, const clipnn_batch *n, int C)
{
    const size_t w = (size_t)C, size = clipk_type_size(table.type);
    for (int b = 0; b < n->B; b++)
        for (int t = n->off[b]; t < n->off[b + 1]; t++) {
            float *to = y + (size_t)t * w;
            clipk_to_f32(k, to, (const char *)table.p + (size_t)ids[t] * w * size, table.type, w);
            add(to, to, pos + (size_t)(t - n->off[b]) * w, C);
        }
}

void clipnn_channels_last(const clipk_ctx *k, float *y, const float *x, int N, int C, int HW)
{
    const size_t c = (size_t)C, hw = (size_t)HW;
    PER_SAMPLE
    for (int n = 0; n < N; n++)
        for (size_t i = 0; i < c; i++)
            for (size_t j = 0; j < hw; j++)
                y[((size_t)n * hw + j) * c + i] = x[((size_t)n * c + i) * hw + j];
}
