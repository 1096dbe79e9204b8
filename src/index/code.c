#include "index/code.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define ROUNDS 4
#define ROTATION_ERROR 0x1p-17 /* of a vector no longer than 1.001: one rounding to f32, then each of at most 4 (14 + 2) steps rounds every number once */
#define ROUNDED 0.5001         /* of a scale: what a number is off its code, at most */
#define NOTHING 0x1p-100f      /* no number of a part is larger: its code is 0 */

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

clip_status clipidx_coder_init(clipidx_coder *c, const clipk_set *set, int D, const float *axis, int axes)
{
    const int H = axes ? axes : clipidx_head(D);
    const size_t d = (size_t)D, n = (size_t)axes;
    *c = (clipidx_coder){.set = set, .D = D, .size = {H, D - H}, .axes = axes, .normal = malloc((n * d + 1) * sizeof *c->normal),
                         .sign = malloc(ROUNDS * d * sizeof *c->sign)};
    if (!c->normal || !c->sign)
        return CLIP_ENOMEM;
    clipb_rng r = {UINT64_C(0x636f6465)}; /* the same for ever: codes in files depend on it */
    for (int i = 0; i < ROUNDS * D; i++)
        c->sign[i] = clipb_rng_next(&r) >> 63 ? -1 : 1;
    for (size_t i = 0; i < n; i++) {
        double squares = 0;
        for (size_t j = 0; j < d; j++)
            squares += (double)axis[i * d + j] * axis[i * d + j];
        if (!(squares > 0) || !isfinite(squares))
            return CLIP_EFORMAT;
        for (size_t j = 0; j < d; j++)
            c->normal[i * d + j] = axis[i * d + j] * sqrt(2 / squares);
    }
    return CLIP_OK;
}

void clipidx_coder_free(clipidx_coder *c)
{
    free(c->normal);
    free(c->sign);
    *c = (clipidx_coder){0};
}

/* Signs that look random, then a Hadamard matrix on as many numbers as it can take, the first and the last in turn: each step is orthogonal. */
static void mix(const clipidx_coder *c, float *x, const float *sign, int n)
{
    int P = 1;
    while (2 * P <= n)
        P *= 2;
    for (int round = 0; round < ROUNDS; round++, sign += n) {
        for (int i = 0; i < n; i++)
            x[i] *= sign[i];
        c->set->hadamard(x + (round % 2 ? n - P : 0), P);
    }
}

/* R x of the x [D] in `work`; it comes to lie behind it. */
static const float *rotate(const clipidx_coder *c, double *work)
{
    const int H = c->size[CLIPIDX_HEAD];
    float *out = (float *)(work + c->D);
    for (int i = 0; i < c->axes; i++)
        c->set->reflect(work, c->normal + (size_t)i * (size_t)c->D, c->D);
    for (int d = 0; d < c->D; d++)
        out[d] = (float)work[d];
    mix(c, out, c->sign, H);
    mix(c, out + H, c->sign + ROUNDS * H, c->D - H);
    return out;
}

static const float *rotate_vector(const clipidx_coder *c, const uint16_t *vector, double *work)
{
    float *x = (float *)(work + c->D);
    c->set->to_f32(x, vector, CLIPK_F16, (size_t)c->D);
    for (int d = 0; d < c->D; d++)
        work[d] = x[d];
    return rotate(c, work);
}

static double squares_of(const float *x, int n)
{
    double squares = 0;
    for (int i = 0; i < n; i++)
        squares += (double)x[i] * x[i];
    return squares;
}

static float largest(const float *x, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

/* A length, a little too long rather than too short. */
static double length_of(double squares) { return sqrt(squares) * (1 + 0x1p-20) + ROTATION_ERROR; }

void clipidx_code(const clipidx_coder *c, const uint16_t *vector, int8_t *const code[CLIPIDX_PARTS], float *const bound[CLIPIDX_PARTS], double *work)
{
    const float *x = rotate_vector(c, vector, work), *t = x + c->size[CLIPIDX_HEAD];
    double left = 0;
    for (int part = 0; part < CLIPIDX_PARTS; x += c->size[part++]) {
        const float most = largest(x, c->size[part]), s = most > NOTHING ? most / 127 : 0, inverse = most > NOTHING ? 127 / most : 0;
        for (int i = 0; i < c->size[part]; i++) {
            const int n = (int)lrintf(x[i] * inverse);
            const double e = x[i] - (double)s * n;
            code[part][i] = (int8_t)n;
            left += e * e;
        }
        bound[part][0] = s;
    }
    bound[CLIPIDX_HEAD][1] = (float)length_of(squares_of(t, c->size[CLIPIDX_TAIL]));
    bound[CLIPIDX_TAIL][1] = (float)length_of(left);
}

bool clipidx_code_holds(const clipidx_coder *c, const uint16_t *vector, const int8_t *const code[CLIPIDX_PARTS], const float *const bound[CLIPIDX_PARTS],
                        double *work)
{
    const float *x = rotate_vector(c, vector, work), *t = x + c->size[CLIPIDX_HEAD];
    double left = 0;
    for (int part = 0; part < CLIPIDX_PARTS; x += c->size[part++])
        for (int i = 0; i < c->size[part]; i++) {
            const double e = x[i] - (double)bound[part][0] * code[part][i];
            if (part == CLIPIDX_HEAD && !(fabs(e) <= ROUNDED * bound[part][0] + 0x1p-30))
                return false;
            left += e * e;
        }
    return length_of(squares_of(t, c->size[CLIPIDX_TAIL])) <= bound[CLIPIDX_HEAD][1] * (1 + 0x1p-20) &&
           length_of(left) <= bound[CLIPIDX_TAIL][1] * (1 + 0x1p-20);
}

/* No sum of n products with codes of -128 .. 127 may reach 2^31. */
static int query_limit(int n)
{
    const int64_t most = INT32_MAX / (128 * (int64_t)n);
    return most < INT16_MAX ? (int)most : INT16_MAX;
}

/* x = s code + e: returns s; *squares is |e|^2 */
static float round_query(const float *x, int n, int16_t *code, double *squares)
{
    const int limit = query_limit(n);
    const float most = largest(x, n), s = most > NOTHING ? most / (float)limit : 0, inverse = most > NOTHING ? (float)limit / most : 0;
    memset(code, 0, (size_t)clipk_scan_padded(n) * sizeof *code);
    *squares = 0;
    for (int i = 0; i < n; i++) {
        int c = (int)lrintf(x[i] * inverse);
        c = c > limit ? limit : c < -limit ? -limit : c;
        const double e = x[i] - (double)s * c;
        code[i] = (int16_t)c;
        *squares += e * e;
    }
    return s;
}

void clipidx_code_query(const clipidx_coder *c, const float *unit, int16_t *const code[CLIPIDX_PARTS], clipidx_query *out, double *work)
{
    const int H = c->size[CLIPIDX_HEAD], T = c->size[CLIPIDX_TAIL];
    double head, tail;
    for (int d = 0; d < c->D; d++)
        work[d] = unit[d];
    const float *x = rotate(c, work);
    *out = (clipidx_query){.unit = unit};
    out->scale[CLIPIDX_HEAD] = round_query(x, H, code[CLIPIDX_HEAD], &head);
    out->scale[CLIPIDX_TAIL] = round_query(x + H, T, code[CLIPIDX_TAIL], &tail);

    /* |x| is below 1.001, |q| below 1 + 1e-6, |(s c, s' c')| at most 1.001 + |(e, e')|. The score itself is computed with some rounding, a chain of at most D/16 + 16 additions;
     * and so are the sums that these bounds become part of. */
    const double g = length_of(squares_of(x, H)), u = length_of(squares_of(x + H, T));
    const double rounding = (c->D / 16 + 32) * 0x1p-24 * 1.002 + 0x1p-20, rest = length_of(head + tail);
    out->step = (float)((g + rest) * ROUNDED * sqrt(H) * (1 + 0x1p-20));
    out->tail = (float)(u * (1 + 0x1p-20));
    out->head_rest = (float)(1.002 * rest + 1.001 * ROTATION_ERROR + rounding);
    out->slack = (float)(1.0001 + rest);
    out->rest = (float)(1.002 * rest + rounding);
}
