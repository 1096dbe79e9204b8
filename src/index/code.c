#include "index/code.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define ROUNDS 4
/* Of a vector no longer than 1.001. It is rounded to f32, then mixed in 4 rounds. Each round has
 * at most 13 steps and a scaling, which round every number once. */
#define ROTATION_ERROR 0x1p-17
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

clip_status clipidx_coder_init(clipidx_coder *c, const clipk_set *set, int D, const float *reflector, int axes)
{
    const int H = axes ? axes : clipidx_head(D);
    const size_t d = (size_t)D, n = (size_t)axes;
    *c = (clipidx_coder){.set = set,
                         .D = D,
                         .H = H,
                         .T = D - H,
                         .bytes = (D - H + 1) / 2,
                         .axes = axes,
                         .normal = malloc((n * d + 1) * sizeof *c->normal),
                         .sign = malloc(ROUNDS * d * sizeof *c->sign)};
    if (!c->normal || !c->sign)
        return CLIP_ENOMEM;
    clipb_rng r = {UINT64_C(0x636f6465)}; /* the same for ever: codes in files depend on it */
    for (int i = 0; i < ROUNDS * D; i++)
        c->sign[i] = clipb_rng_next(&r) >> 63 ? -1 : 1;
    for (size_t i = 0; i < n; i++) {
        double squares = 0;
        for (size_t j = 0; j < d; j++)
            squares += (double)reflector[i * d + j] * reflector[i * d + j];
        if (!(squares > 0) || !isfinite(squares))
            return CLIP_EFORMAT;
        for (size_t j = 0; j < d; j++)
            c->normal[i * d + j] = reflector[i * d + j] * sqrt(2 / squares);
    }
    return CLIP_OK;
}

void clipidx_coder_free(clipidx_coder *c)
{
    free(c->normal);
    free(c->sign);
    *c = (clipidx_coder){0};
}

/* Signs that look random, then a Hadamard matrix on as many numbers as it can take: the first
 * and the last in turn. Each step is orthogonal. */
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
    float *out = (float *)(work + c->D);
    for (int i = 0; i < c->axes; i++)
        c->set->reflect(work, c->normal + (size_t)i * (size_t)c->D, c->D);
    for (int d = 0; d < c->D; d++)
        out[d] = (float)work[d];
    mix(c, out, c->sign, c->H);
    mix(c, out + c->H, c->sign + ROUNDS * c->H, c->T);
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

/* s' for |t| = 1: of 16 equal steps, those that lose least of normally distributed numbers (Max
 * 1960, table II). */
static double tail_step(const clipidx_coder *c) { return 0.3352 / 2 / sqrt(c->T); }

/* The bits of a tail's number i: in byte i, or in the high half of byte i - bytes. */
static int shift_of(const clipidx_coder *c, int i) { return i < c->bytes ? 0 : 4; }
static int byte_of(const clipidx_coder *c, int i) { return i < c->bytes ? i : i - c->bytes; }

void clipidx_code(const clipidx_coder *c, const uint16_t *vector, const clipidx_coded *out, double *work)
{
    const float *h = rotate_vector(c, vector, work), *t = h + c->H;
    const float most = largest(h, c->H), inverse = most > NOTHING ? 127 / most : 0;
    out->head_bound[0] = most > NOTHING ? most / 127 : 0;
    for (int i = 0; i < c->H; i++)
        out->head[i] = (int8_t)lrintf(h[i] * inverse);

    out->head_bound[1] = (float)length_of(squares_of(t, c->T));
    const double s = tail_step(c) * out->head_bound[1];
    double left = 0;
    memset(out->tail, 0, (size_t)c->bytes);
    for (int i = 0; i < c->T; i++) {
        int n = (int)lrint((t[i] / s + 15) / 2);
        n = n < 0 ? 0 : n > 15 ? 15 : n;
        const double e = t[i] - s * (2 * n - 15);
        out->tail[byte_of(c, i)] |= (uint8_t)(n << shift_of(c, i));
        left += e * e;
    }
    out->tail_bound[0] = (float)length_of(left);
}

bool clipidx_code_holds(const clipidx_coder *c, const uint16_t *vector, const int8_t *head, const float *head_bound,
                        const uint8_t *tail, const float *tail_bound, double *work)
{
    const float *h = rotate_vector(c, vector, work), *t = h + c->H;
    for (int i = 0; i < c->H; i++)
        if (!(fabs(h[i] - (double)head_bound[0] * head[i]) <= ROUNDED * head_bound[0] + 0x1p-30))
            return false;
    const double s = tail_step(c) * head_bound[1];
    double left = 0;
    for (int i = 0; i < c->T; i++) {
        const double e = t[i] - s * (2 * (tail[byte_of(c, i)] >> shift_of(c, i) & 15) - 15);
        left += e * e;
    }
    return length_of(squares_of(t, c->T)) <= head_bound[1] * (1 + 0x1p-20) &&
           length_of(left) <= tail_bound[0] * (1 + 0x1p-20);
}

/* x = s code + e: no sum of n products with a vector's code, whose numbers reach to most_code,
 * may reach 2^31. Returns s; *squares is |e|^2. */
static float round_query(const float *x, int n, int most_code, int16_t *code, double *squares)
{
    const int64_t most_fits = INT32_MAX / (most_code * (int64_t)n);
    const int limit = most_fits < INT16_MAX ? (int)most_fits : INT16_MAX;
    const float most = largest(x, n), s = most > NOTHING ? most / (float)limit : 0,
                inverse = most > NOTHING ? (float)limit / most : 0;
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

void clipidx_code_query(const clipidx_coder *c, const float *unit, int16_t *head, int16_t *tail, clipidx_query *out,
                        double *work)
{
    const size_t padded = (size_t)clipk_scan_padded(c->bytes);
    double head_left, tail_left;
    int64_t sum = 0;
    for (int d = 0; d < c->D; d++)
        work[d] = unit[d];
    const float *g = rotate(c, work), *u = g + c->H;
    memset(head, 0, (size_t)clipk_scan_padded(c->H) * sizeof *head);
    memset(tail, 0, 2 * padded * sizeof *tail);
    const float scale = round_query(g, c->H, 128, head, &head_left),
                tail_scale = round_query(u, c->T, 15, tail, &tail_left);
    for (int i = 0; i < c->T; i++)
        sum += tail[i];
    memmove(tail + padded, tail + c->bytes, (size_t)(c->T - c->bytes) * sizeof *tail); /* the high halves */
    memset(tail + c->bytes, 0, (padded - (size_t)c->bytes) * sizeof *tail);

    /* |x| is below 1.001, |q| below 1 + 1e-6, |s c| at most 1.001 + |e|, and so of the tail. The
     * score itself is computed with some rounding, a chain of at most D/16 + 16 additions; and
     * so are the sums that these bounds become part of. */
    const double rounding = (c->D / 16 + 32) * 0x1p-24 * 1.002 + 0x1p-19, head_rest = length_of(head_left),
                 tail_rest = length_of(tail_left);
    const double step = tail_step(c) * tail_scale, up = 1 + 0x1p-20;
    *out = (clipidx_query){
        .unit = unit, .scale = scale, .tail_scale = (float)(2 * step), .tail_offset = (float)(15 * step * (double)sum)};
    out->step = (float)((length_of(squares_of(g, c->H)) + head_rest) * ROUNDED * sqrt(c->H) * up);
    out->length = (float)((length_of(squares_of(u, c->T)) + tail_rest) * up);
    out->head_rest = (float)(1.002 * head_rest + 1.001 * ROTATION_ERROR + rounding);
    out->rest = (float)(1.002 * (head_rest + tail_rest) + 1.001 * ROTATION_ERROR + rounding);
}
