/* The subspace is that of the largest eigenvalues of the vectors' second moments, found by
 * subspace iteration (Bauer 1957). How well it is found decides how much of an index a search
 * must read, and nothing else. */
#include "index/learn.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "index/code.h"

#define SAMPLE 16384 /* vectors looked at, evenly spread */
#define ITERATIONS 12
#define HELD 0.98 /* of the squared length */
#define STEP 32   /* axes come in such numbers: they are scanned so many at once */

typedef struct learning {
    clipk_ctx k;
    int D, n, axes;  /* numbers a vector, vectors, axes at most */
    float *x;        /* [n, D] */
    float *moments;  /* [D, D]: x^T x */
    float *basis;    /* [axes, D]: orthonormal rows, the most important first */
    float *image;    /* [axes, D]: basis moments */
    double *normal;  /* [axes, D] */
    double *row;     /* [D] */
    unsigned char *panels;
} learning;

static void layout(clipb_arena *a, learning *l)
{
    const size_t D = (size_t)l->D, square = clipk_weight_bytes(l->k.set, CLIPK_FORMAT_F32, l->D, l->D),
                 tall = clipk_weight_bytes(l->k.set, CLIPK_FORMAT_F32, l->D, l->n);
    l->x = CLIPB_NEW(a, float, (size_t)l->n * D);
    l->moments = CLIPB_NEW(a, float, D * D);
    l->basis = CLIPB_NEW(a, float, (size_t)l->axes * D);
    l->image = CLIPB_NEW(a, float, (size_t)l->axes * D);
    l->normal = CLIPB_NEW(a, double, (size_t)l->axes * D);
    l->row = CLIPB_NEW(a, double, D);
    l->panels = CLIPB_NEW(a, unsigned char, square > tall ? square : tall);
    l->k.scratch = CLIPB_NEW(a, unsigned char, clipk_scratch_bytes(l->k.set, 1));
}

/* The normals of the reflections that turn the span of the image's first i rows onto the first i
 * numbers, for every i (Householder 1958). */
static void find_normals(learning *l)
{
    const size_t D = (size_t)l->D;
    for (int i = 0; i < l->axes; i++) {
        double *v = l->normal + (size_t)i * D, squares = 0;
        for (size_t d = 0; d < D; d++)
            v[d] = l->image[(size_t)i * D + d];
        for (int j = 0; j < i; j++)
            l->k.set->reflect(v, l->normal + (size_t)j * D, l->D);
        memset(v, 0, (size_t)i * sizeof *v);
        for (size_t d = 0; d < D; d++)
            squares += v[d] * v[d];
        v[i] += v[i] < 0 ? -sqrt(squares) : sqrt(squares);
        if (squares == 0)
            v[i] = 1; /* the span has fewer dimensions: any direction will do */
        squares = 0;
        for (size_t d = 0; d < D; d++)
            squares += v[d] * v[d];
        for (size_t d = 0; d < D; d++)
            v[d] *= sqrt(2 / squares);
    }
}

/* What they turn onto the first numbers: an orthonormal basis of that span. */
static void find_basis(learning *l)
{
    const size_t D = (size_t)l->D;
    for (int i = 0; i < l->axes; i++) {
        memset(l->row, 0, D * sizeof *l->row);
        l->row[i] = 1;
        for (int j = l->axes; j-- > 0;)
            l->k.set->reflect(l->row, l->normal + (size_t)j * D, l->D);
        for (size_t d = 0; d < D; d++)
            l->basis[(size_t)i * D + d] = (float)l->row[d];
    }
}

static void multiply(learning *l, float *out, clipk_view a, int M, clipk_view b, int K)
{
    const clipk_weight W = {.format = CLIPK_FORMAT_F32, .N = l->D, .K = K, .panels = l->panels};
    clipk_weight_pack(&l->k, &W, b);
    clipk_gemm(&l->k, out, l->D, a, M, &W, NULL);
}

/* So many of the basis hold enough of the length. */
static int enough(const learning *l)
{
    const size_t D = (size_t)l->D;
    double all = 0, held = 0;
    int n = 0;
    for (size_t d = 0; d < D; d++)
        all += l->moments[d * D + d];
    for (; n < l->axes && (n < clipidx_head(l->D) || n % STEP || held < HELD * all); n++)
        for (size_t d = 0; d < D; d++)
            held += (double)l->basis[(size_t)n * D + d] * l->image[(size_t)n * D + d];
    return n;
}

clip_status clipidx_learn(const clipk_set *set, const uint16_t *vector, int64_t rows, int D, float *reflector,
                          int *axes)
{
    const size_t d = (size_t)D;
    learning l = {.k.set = set, .D = D, .n = (int)(rows < SAMPLE ? rows : SAMPLE), .axes = clipidx_most_axes(D)};
    clipb_arena a = {0};
    clipb_block block = {0};
    layout(&a, &l);
    TRY(clipb_block_reserve(&block, a.peak));
    a = clipb_arena_on(&block);
    layout(&a, &l);

    for (int i = 0; i < l.n; i++) {
        float *x = l.x + (size_t)i * d;
        set->to_f32(x, vector + (size_t)(rows * i / l.n) * d, CLIPK_F16, d);
        if (!clipidx_unit(x, x, D)) /* it is damaged */
            memset(x, 0, d * sizeof *x);
    }
    multiply(&l, l.moments, (clipk_view){l.x, CLIPK_F32, 1, D}, D, (clipk_view){l.x, CLIPK_F32, 1, D}, l.n);
    clipb_rng r = {0};
    for (size_t i = 0; i < (size_t)l.axes * d; i++)
        l.image[i] = clipb_rng_normal(&r);
    for (int i = 0; i < ITERATIONS; i++) {
        find_normals(&l);
        find_basis(&l);
        multiply(&l, l.image, clipk_rows(l.basis, D), l.axes, clipk_rows(l.moments, D), D);
    }
    find_normals(&l);
    *axes = enough(&l);
    for (size_t i = 0; i < (size_t)*axes * d; i++)
        reflector[i] = (float)l.normal[i];
    clipb_block_free(&block);
    return CLIP_OK;
}
