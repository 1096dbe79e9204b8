#include "index/code.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define ROUNDS 4
#define ROTATION_ERROR 0x1p-17 /* of a vector no longer than 1.001: each of at most 4 (14 + 2) steps rounds every number once */

bool clipidx_unit(float *out, const float *in, int D)
{
    double squares = 0;
    for (int d = 0; d < D; d++)
        squares += (double)in[d] * in[d];
    const double length = sqrt(squares);
    if (!(length > 0) || !isfinite(length))
        return false;
    for (int d = 0; d < D; d++)
        out[d] = (float)(in[d] / length);
    return true;
}

clip_status clipidx_coder_init(clipidx_coder *c, const clipk_set *set, int D)
{
    *c = (clipidx_coder){.set = set, .D = D, .P = 1, .sign = malloc(ROUNDS * (size_t)D * sizeof *c->sign)};
    if (!c->sign)
        return CLIP_ENOMEM;
    while (2 * c->P <= D)
        c->P *= 2;
    clipb_rng r = {UINT64_C(0x636f6465)}; /* the same for ever: codes in files depend on it */
    for (int i = 0; i < ROUNDS * D; i++)
        c->sign[i] = clipb_rng_next(&r) >> 63 ? -1 : 1;
    return CLIP_OK;
}

void clipidx_coder_free(clipidx_coder *c)
{
    free(c->sign);
    *c = (clipidx_coder){0};
}

/* Signs that look random, then a Hadamard matrix on as many numbers as it can take, the first and the last in turn: each step is orthogonal. */
static void rotate(const clipidx_coder *c, float *x)
{
    const float *sign = c->sign;
    for (int round = 0; round < ROUNDS; round++, sign += c->D) {
        for (int d = 0; d < c->D; d++)
            x[d] *= sign[d];
        c->set->hadamard(x + (round % 2 ? c->D - c->P : 0), c->P);
    }
}

static float largest(const float *x, int D)
{
    float most = 0;
    for (int d = 0; d < D; d++)
        most = fabsf(x[d]) > most ? fabsf(x[d]) : most;
    return most;
}

/* What is left of x after the code, a little too long rather than too short. */
static double rest_of(double squares) { return sqrt(squares) * (1 + 0x1p-20) + ROTATION_ERROR; }

void clipidx_code(const clipidx_coder *c, const uint16_t *vector, int8_t *code, float *bound, float *work)
{
    c->set->to_f32(work, vector, CLIPK_F16, (size_t)c->D);
    rotate(c, work);
    const float most = largest(work, c->D), s = most / 127, inverse = most > 0 ? 127 / most : 0;
    double squares = 0;
    for (int d = 0; d < c->D; d++) {
        const int n = (int)lrintf(work[d] * inverse);
        const double e = work[d] - (double)s * n;
        code[d] = (int8_t)n;
        squares += e * e;
    }
    bound[0] = s;
    bound[1] = (float)rest_of(squares);
}

bool clipidx_code_holds(const clipidx_coder *c, const uint16_t *vector, const int8_t *code, const float *bound, float *work)
{
    double squares = 0;
    c->set->to_f32(work, vector, CLIPK_F16, (size_t)c->D);
    rotate(c, work);
    for (int d = 0; d < c->D; d++) {
        const double e = work[d] - (double)bound[0] * code[d];
        squares += e * e;
    }
    return rest_of(squares) <= bound[1] * (1 + 0x1p-20);
}

/* No sum of D products with codes of -128 .. 127 may reach 2^31. */
static int query_limit(int D)
{
    const int64_t most = INT32_MAX / (128 * (int64_t)D);
    return most < INT16_MAX ? (int)most : INT16_MAX;
}

void clipidx_code_query(const clipidx_coder *c, const float *unit, int16_t *code, clipidx_query *out, float *work)
{
    memset(code, 0, (size_t)clipk_scan_padded(c->D) * sizeof *code);
    memcpy(work, unit, (size_t)c->D * sizeof *work);
    rotate(c, work);
    const int limit = query_limit(c->D);
    const float most = largest(work, c->D), s = most / (float)limit, inverse = (float)limit / most;
    double squares = 0;
    for (int d = 0; d < c->D; d++) {
        int n = (int)lrintf(work[d] * inverse);
        n = n > limit ? limit : n < -limit ? -limit : n;
        const double e = work[d] - (double)s * n;
        code[d] = (int16_t)n;
        squares += e * e;
    }
    /* |s c| <= |x| + r with |x| below 1.001, |q| below 1 + 1e-6. The score itself is computed with some rounding, a chain of at most D/16 + 16 additions; and so is
     * the sum that this bound becomes part of. */
    const double rest = rest_of(squares), rounding = (c->D / 16 + 32) * 0x1p-24 * 1.002 + 0x1p-20;
    *out = (clipidx_query){.unit = unit, .scale = s, .slack = (float)(1.0001 + rest), .rest = (float)(1.002 * rest + rounding)};
}
