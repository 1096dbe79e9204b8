/* corner.c: OWLv2's preparation of pictures, as transformers' Owlv2ImageProcessorPil has it, which
 * does it in floats with SciPy:
 *
 *     v / 255 -> black at the right and below, to a square of N -> blur -> S x S
 *             -> (v - mean) / std
 *
 * If N > S, the blur is Gaussian, of deviation s = (N / S - 1) / 2 and 4 s wide (gaussian_filter).
 * The resize takes the two nearest pixels of each axis (zoom of order 1 with grid_mode). Beyond an
 * edge both mirror the square, about the middle of its last pixel. Both are linear and work on one
 * axis after the other, so an output pixel is a sum over pixels of one axis, then of the other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/corner.h"

/* Output pixel i of an axis is the sum of weight[j] times pixel first + j, for j < n. */
typedef struct axis {
    int N, S, most; /* most: weights of an output pixel, at most */
    int *first, *n; /* [S] */
    double *weight; /* [S, most] */
    double *kernel; /* [2 * radius + 1] */
    int radius;
} axis;

static void free_axis(axis *a)
{
    free(a->first);
    free(a->n);
    free(a->weight);
    free(a->kernel);
}

static void make_kernel(axis *a, double deviation)
{
    double sum = 0;
    for (int j = -a->radius; j <= a->radius; j++)
        sum += a->kernel[j + a->radius] = a->radius ? exp(-0.5 * j * j / (deviation * deviation)) : 1;
    for (int j = 0; j <= 2 * a->radius; j++)
        a->kernel[j] /= sum;
}

/* The pixel that stands at place i, mirrored until it is inside. */
static int mirrored(int i, int N)
{
    while (i < 0 || i >= N)
        i = N == 1 ? 0 : i < 0 ? -i : 2 * (N - 1) - i;
    return i;
}

static void fill_weights(axis *a, int i)
{
    const double at = (i + 0.5) * a->N / a->S - 0.5, low = floor(at);
    double *w = a->weight + (size_t)i * (size_t)a->most;
    const int from = (int)low - a->radius, to = (int)low + 1 + a->radius;
    int first = a->N, last = 0;
    for (int j = from; j <= to; j++) {
        const int p = mirrored(j, a->N);
        first = p < first ? p : first;
        last = p > last ? p : last;
    }
    a->first[i] = first;
    a->n[i] = last - first + 1;
    for (int near = 0; near < 2; near++)
        for (int j = -a->radius; j <= a->radius; j++) {
            const double share = near ? at - low : 1 - (at - low);
            const int p = mirrored(mirrored((int)low + near, a->N) + j, a->N);
            w[p - first] += share * a->kernel[j + a->radius];
        }
}

static clip_status make_axis(axis *a, int N, int S)
{
    const double deviation = N > S ? ((double)N / S - 1) / 2 : 0;
    *a = (axis){.N = N, .S = S, .radius = (int)(4 * deviation + 0.5)};
    a->most = 2 * a->radius + 4 < N ? 2 * a->radius + 4 : N;
    a->first = calloc((size_t)S, sizeof *a->first);
    a->n = calloc((size_t)S, sizeof *a->n);
    a->weight = calloc((size_t)S * (size_t)a->most, sizeof *a->weight);
    a->kernel = calloc(2 * (size_t)a->radius + 1, sizeof *a->kernel);
    if (!a->first || !a->n || !a->weight || !a->kernel) {
        free_axis(a);
        return CLIP_ENOMEM;
    }
    make_kernel(a, deviation);
    for (int i = 0; i < S; i++)
        fill_weights(a, i);
    return CLIP_OK;
}

/* The rows of the picture that output row i needs, summed: [3, width]. Rows below the picture are
 * black. */
static void sum_rows(const axis *a, int i, const clip_image *img, float *row)
{
    const double *w = a->weight + (size_t)i * (size_t)a->most;
    const size_t W = (size_t)img->width;
    memset(row, 0, 3 * W * sizeof *row);
    for (int j = 0; j < a->n[i] && a->first[i] + j < img->height; j++) {
        const uint8_t *from = img->rgb + (size_t)(a->first[i] + j) * img->stride;
        const float share = (float)(w[j] / 255);
        for (size_t x = 0; x < W; x++)
            for (size_t c = 0; c < 3; c++)
                row[c * W + x] += share * (float)from[3 * x + c];
    }
}

static float sum_columns(const axis *a, int i, const float *row, int width)
{
    const double *w = a->weight + (size_t)i * (size_t)a->most;
    double sum = 0;
    for (int j = 0; j < a->n[i] && a->first[i] + j < width; j++)
        sum += w[j] * (double)row[a->first[i] + j];
    return (float)sum;
}

clip_status clipimg_corner(const clipimg_recipe *r, const clip_image *img, float *out)
{
    const size_t S = (size_t)r->size, W = (size_t)img->width;
    axis a;
    TRY(make_axis(&a, img->width > img->height ? img->width : img->height, r->size));
    float *row = malloc(3 * W * sizeof *row);
    for (size_t y = 0; y < S && row; y++) {
        sum_rows(&a, (int)y, img, row);
        for (size_t c = 0; c < 3; c++)
            for (size_t x = 0; x < S; x++)
                out[(c * S + y) * S + x] =
                    (sum_columns(&a, (int)x, row + c * W, img->width) - r->mean[c]) / r->std[c];
    }
    const clip_status s = row ? CLIP_OK : CLIP_ENOMEM;
    free(row);
    free_axis(&a);
    return s;
}
