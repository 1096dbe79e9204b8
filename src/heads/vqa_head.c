#include "base/number.h"
#include "heads/vqa_head.h"

#include <math.h>
#include <string.h>

enum { AT_ONCE = 64, C = CLIPHD_HEAD_C }; /* questions answered at once; width of a token */

/* ---- Parameters ------------------------------------------------------------------------------ */

static int width(const cliphd_head *h) { return 4 * h->see.D + (h->see.T ? 2 * C : 0); }

static void bind(clipmdl_binder *b, cliphd_head *h)
{
    const int D = h->see.D;
    if (h->see.T) {
        clipmdl_bind_linear(b, &h->look, "", "look.weight", "look.bias", 0, C, C, h->see.W);
        clipmdl_bind_matrix(b, &h->pos, &h->dpos, "", "pos", h->see.T, C);
        clipmdl_bind_linear(b, &h->kv, "", "kv.weight", "kv.bias", 0, 2 * C, 2 * C, C);
        clipmdl_bind_linear(b, &h->ask, "", "ask.weight", "ask.bias", 0, C, C, D);
        clipmdl_bind_linear(b, &h->gate, "", "gate.weight", "gate.bias", 0, C, C, D);
    }
    clipmdl_bind_linear(b, &h->fc, "", "fc.weight", "fc.bias", 0, h->H, h->H, width(h));
    clipmdl_bind_linear(b, &h->out, "", "out.weight", "out.bias", 0, h->A, h->A, h->H);
}

clip_status cliphd_head_layout(cliphd_head *h, cliphd_look see, int H, int A, bool blind)
{
    const clipk_ctx k = {.set = clipk_set_find("ref")};
    *h = (cliphd_head){.see = see, .H = H, .A = A, .blind = blind};
    if (blind)
        h->see.T = 0;
    clipmdl_binder b = {.list = &h->params, .prefix = "", .k = &k};
    bind(&b, h);
    TRY(b.status);
    TRY(clipb_block_reserve(&h->weights, h->params.count * sizeof *h->w));
    h->w = (float *)(void *)h->weights.base;
    memset(h->w, 0, h->params.count * sizeof *h->w);
    return CLIP_OK;
}

void cliphd_head_free(cliphd_head *h)
{
    clipmdl_params_free(&h->params);
    clipb_block_free(&h->weights);
    clipb_block_free(&h->panels);
    *h = (cliphd_head){0};
}

clip_status cliphd_head_bind(const clipk_ctx *k, cliphd_head *h, float *g, clipb_block *room)
{
    clipmdl_binder b = {
        .params = &h->params, .prefix = "", .w = h->w, .g = g, .k = k, .room = room};
    bind(&b, h);
    TRY(clipb_block_reserve(&h->panels, b.arena.peak));
    b.arena = clipb_arena_on(&h->panels);
    bind(&b, h);
    return b.status;
}

clip_status cliphd_head_pack(const clipk_ctx *k, cliphd_head *h) { return cliphd_head_bind(k, h, NULL, NULL); }

/* ---- Layout ---------------------------------------------------------------------------------- */

static void layout_back(clipb_arena *a, cliphd_head_acts *s, const clipk_ctx *k, const cliphd_head *h, int N, int BT)
{
    const size_t n = (size_t)N, bt = (size_t)BT;
    s->pre = CLIPB_NEW(a, float, n * (size_t)h->H);
    s->dh = CLIPB_NEW(a, float, n * (size_t)h->H);
    s->dz_out = CLIPB_NEW(a, float, n * (size_t)h->A);
    size_t work = clipnn_linear_work(k, N, width(h), h->H);
    clipb_raise(&work, clipnn_linear_work(k, N, h->H, h->A));
    if (h->see.T) {
        s->u_pre = CLIPB_NEW(a, float, bt * C);
        s->lse = CLIPB_NEW(a, float, n * CLIPHD_HEAD_HEADS);
        s->dx = CLIPB_NEW(a, float, n * (size_t)width(h));
        s->dz = CLIPB_NEW(a, float, n * C);
        s->dq = CLIPB_NEW(a, float, n * C);
        s->dgate = CLIPB_NEW(a, float, n * C);
        s->du = CLIPB_NEW(a, float, bt * C);
        s->dkv = CLIPB_NEW(a, float, bt * 2 * C);
        clipb_raise(&work, clipnn_linear_work(k, N, h->see.D, C));
        clipb_raise(&work, clipnn_linear_work(k, BT, h->see.W, C));
        clipb_raise(&work, clipnn_linear_work(k, BT, C, 2 * C));
    }
    s->work = clipb_arena_alloc(a, work, 1);
}

static void layout(clipb_arena *a, cliphd_head_acts *s, const clipk_ctx *k, const cliphd_head *h, int N, int B,
                   bool back)
{
    const size_t n = (size_t)N, bt = (size_t)B * (size_t)h->see.T;
    *s = (cliphd_head_acts){.N = N, .B = B};
    s->off = CLIPB_NEW(a, int32_t, B + 1);
    s->x = CLIPB_NEW(a, float, n * (size_t)width(h));
    s->h = CLIPB_NEW(a, float, n * (size_t)h->H);
    s->z_out = CLIPB_NEW(a, float, n * (size_t)h->A);
    if (h->see.T) {
        s->tokens_off = CLIPB_NEW(a, int32_t, B + 1);
        s->tokens = CLIPB_NEW(a, float, bt * (size_t)h->see.W);
        s->place = CLIPB_NEW(a, float, bt * C);
        s->u = CLIPB_NEW(a, float, bt * C);
        s->kv = CLIPB_NEW(a, float, bt * 2 * C);
        s->q = CLIPB_NEW(a, float, n * C);
        s->z = CLIPB_NEW(a, float, n * C);
        s->gate = CLIPB_NEW(a, float, n * C);
    }
    if (back)
        layout_back(a, s, k, h, N, (int)bt);
}

clip_status cliphd_head_acts_reserve(clipb_block *block, cliphd_head_acts *s, const clipk_ctx *k,
                                     const cliphd_head *h, int N, int B, bool back)
{
    clipb_arena a = {0};
    layout(&a, s, k, h, N, B, back);
    TRY(clipb_block_reserve(block, a.peak));
    a = clipb_arena_on(block);
    layout(&a, s, k, h, N, B, back);
    return CLIP_OK;
}

/* ---- Forward --------------------------------------------------------------------------------- */

void cliphd_head_see(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h, int b, const float *image)
{
    const size_t n = (size_t)h->see.T * (size_t)h->see.W;
    if (n > 0)
        clipk_to_f32(k, s->tokens + (size_t)b * n, image + h->see.D, CLIPK_F16, n);
}

void cliphd_head_hear(const cliphd_head_acts *s, const cliphd_head *h, int i, const float *v, const float *t)
{
    const int D = h->see.D;
    const float scale = sqrtf((float)D);
    float *x = s->x + (size_t)i * (size_t)width(h);
    for (int d = 0; d < D; d++) {
        const float a = h->blind ? 0 : scale * v[d], b = scale * t[d];
        x[d] = a;
        x[D + d] = b;
        x[2 * D + d] = a * b;
        x[3 * D + d] = fabsf(a - b);
    }
}

/* t, as it stands in x */
static clipk_view heard(const cliphd_head_acts *s, const cliphd_head *h)
{
    return (clipk_view){s->x + h->see.D, CLIPK_F32, width(h), 1};
}

static clipk_attention_shape shape(const cliphd_head_acts *s)
{
    return (clipk_attention_shape){
        .B = s->B, .H = CLIPHD_HEAD_HEADS, .D = C / CLIPHD_HEAD_HEADS, .q_off = s->off, .k_off = s->tokens_off};
}

/* What the questions look for in the tokens, into the end of x. */
static void look(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h)
{
    const int N = s->N, T = h->see.T, rows = s->B * T, X = width(h);
    for (int b = 0; b <= s->B; b++)
        s->tokens_off[b] = b * T;
    for (int b = 0; b < s->B; b++)
        memcpy(s->place + (size_t)b * (size_t)T * C, h->pos, (size_t)T * C * sizeof(float));
    clipnn_linear_forward(k, s->u, s->u_pre, clipk_rows(s->tokens, h->see.W), rows, &h->look, CLIPK_GELU, s->place);
    clipnn_linear_forward(k, s->kv, NULL, clipk_rows(s->u, C), rows, &h->kv, CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, s->q, NULL, heard(s, h), N, &h->ask, CLIPK_LINEAR, NULL);
    clipnn_linear_forward(k, s->gate, NULL, heard(s, h), N, &h->gate, CLIPK_LINEAR, NULL);
    const clipk_attention_shape a = shape(s);
    clipk_attention(k, s->z, C, s->lse, s->q, C, s->kv, 2 * C, s->kv + C, 2 * C, &a);
    for (size_t i = 0; i < (size_t)N; i++) {
        float *x = s->x + (i + 1) * (size_t)X - 2 * C;
        for (size_t c = 0; c < C; c++) {
            x[c] = s->z[i * C + c];
            x[C + c] = s->z[i * C + c] * s->gate[i * C + c];
        }
    }
}

void cliphd_head_forward(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h)
{
    if (h->see.T)
        look(k, s, h);
    clipnn_linear_forward(k, s->h, s->pre, clipk_rows(s->x, width(h)), s->N, &h->fc, CLIPK_GELU, NULL);
}

void cliphd_head_forward_out(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h)
{
    clipnn_linear_forward(k, s->z_out, NULL, clipk_rows(s->h, h->H), s->N, &h->out, CLIPK_LINEAR, NULL);
}

clip_status cliphd_head_answer(const clipk_ctx *k, const cliphd_head *h, const float *image, size_t image_step,
                               const float *question, size_t question_step, int N, float *out)
{
    clipb_block memory = {0};
    cliphd_head_acts s;
    const int most_n = N < AT_ONCE ? N : AT_ONCE;
    TRY(cliphd_head_acts_reserve(&memory, &s, k, h, most_n, most_n, false));
    for (int i = 0; i < N; i += most_n) {
        s.N = s.B = N - i < most_n ? N - i : most_n; /* each has a picture of its own */
        s.off[s.N] = s.N;
        for (int j = 0; j < s.N; j++) {
            const float *v = h->blind ? NULL : image + (size_t)(i + j) * image_step;
            s.off[j] = j;
            cliphd_head_see(k, &s, h, j, v);
            cliphd_head_hear(&s, h, j, v, question + (size_t)(i + j) * question_step);
        }
        cliphd_head_forward(k, &s, h);
        cliphd_head_forward_out(k, &s, h);
        clipk_softmax(k, s.z_out, 1, s.N, h->A);
        memcpy(out + (size_t)i * (size_t)h->A, s.z_out, (size_t)s.N * (size_t)h->A * sizeof *out);
    }
    clipb_block_free(&memory);
    return CLIP_OK;
}

/* ---- Backward: the same from the end --------------------------------------------------------- */

void cliphd_head_backward_out(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h)
{
    clipnn_linear_backward(k, s->dh, s->dz_out, clipk_rows(s->h, h->H), s->N, &h->out, NULL, s->work);
}

/* s->dx to the parameters of the layers that look at tokens. */
static void look_backward(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h)
{
    const int N = s->N, T = h->see.T, rows = s->B * T, X = width(h);
    for (size_t i = 0; i < (size_t)N; i++) {
        const float *dx = s->dx + (i + 1) * (size_t)X - 2 * C;
        for (size_t c = 0; c < C; c++) {
            s->dz[i * C + c] = dx[c] + dx[C + c] * s->gate[i * C + c];
            s->dgate[i * C + c] = dx[C + c] * s->z[i * C + c];
        }
    }
    const clipk_attention_shape a = shape(s);
    clipk_attention_backward(k, s->dq, C, s->dkv, 2 * C, s->dkv + C, 2 * C, s->dz, C, s->z, C, s->lse, s->q, C, s->kv,
                             2 * C, s->kv + C, 2 * C, &a);
    clipnn_linear_dw(k, s->dgate, heard(s, h), N, &h->gate, s->work);
    clipnn_linear_dw(k, s->dq, heard(s, h), N, &h->ask, s->work);
    clipnn_linear_backward(k, s->du, s->dkv, clipk_rows(s->u, C), rows, &h->kv, NULL, s->work);
    clipk_act_backward(k, s->du, NULL, s->du, s->u_pre, (size_t)rows * C, CLIPK_GELU);
    clipnn_linear_dw(k, s->du, clipk_rows(s->tokens, h->see.W), rows, &h->look, s->work);
    for (size_t b = 0; b < (size_t)s->B; b++)
        for (size_t i = 0; i < (size_t)T * C; i++)
            h->dpos[i] += s->du[b * (size_t)T * C + i];
}

void cliphd_head_backward(const clipk_ctx *k, const cliphd_head_acts *s, const cliphd_head *h)
{
    clipk_act_backward(k, s->dh, NULL, s->dh, s->pre, (size_t)s->N * (size_t)h->H, CLIPK_GELU);
    clipnn_linear_backward(k, h->see.T ? s->dx : NULL, s->dh, clipk_rows(s->x, width(h)), s->N, &h->fc, NULL, s->work);
    if (h->see.T)
        look_backward(k, s, h);
}
