/* NaN and infinity are found where results are made, so that loading need not read all weights.
 * Then the tensor to blame is looked for. */
#include <float.h>
#include <inttypes.h>
#include <math.h>

#include "engine/engine.h"

/* The sum is a double, so that no length that fits into f32 overflows. NaN compares false. */
static bool is_sound(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum <= (double)FLT_MAX;
}

/* The first tensor in use that holds NaN or infinity; NULL: none does. */
static const clipmdl_tensor *find_tensor(const clip_context *c)
{
    const clipmdl_store *s = &c->model->store;
    clipk_type type;
    for (size_t i = 0; i < s->n; i++)
        if (s->tensor[i].used && clipmdl_tensor_type(&s->tensor[i], &type) &&
            !clipmdl_tensor_is_finite(&s->tensor[i], c->k.team))
            return &s->tensor[i];
    return NULL;
}

clip_status clipeng_check_finite(clip_context *c, const float *x, int N, size_t C, const char *kind, int64_t first,
                                 const float *input, size_t each)
{
    int row = 0;
    while (row < N && is_sound(x + (size_t)row * C, C))
        row++;
    if (row == N)
        return CLIP_OK;
    const clipmdl_tensor *t = find_tensor(c);
    const int64_t number = first + row + 1;
    if (t)
        snprintf(c->fault, sizeof c->fault,
                 "%s %" PRId64 " comes out as NaN or infinity: tensor '%.120s' of %.240s holds such a number", kind,
                 number, t->name, c->model->store.file);
    else if (input && !is_sound(input + (size_t)row * each, each))
        snprintf(c->fault, sizeof c->fault, "%s %" PRId64 " comes out as NaN or infinity, as its pixels are", kind,
                 number);
    else
        snprintf(c->fault, sizeof c->fault,
                 "%s %" PRId64
                 " comes out as NaN or infinity, though all weights are numbers: they are too large for f32",
                 kind, number);
    return CLIP_ENOTFINITE;
}

const char *clipeng_context_message(const clip_context *ctx, clip_status s)
{
    return s == CLIP_ENOTFINITE ? ctx->fault : clipb_status_message(s);
}
