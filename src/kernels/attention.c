/* attention.c: attention cut into pieces and shared among threads. A piece is some queries of one
 * head of one sample, against all keys that they see. There are enough pieces to keep the threads
 * busy. */
#include "base/number.h"
#include "kernels/set.h"

#include <assert.h>

#define FORK_FROM 300000 /* multiply-adds; below this, waking other threads costs more than they save */
#define LANES 4          /* unused lanes in an average block of queries */
#define PAIRS_FROM 16    /* queries of a sample; for fewer, rounding its keys costs more than it saves */
#define PIECES_EACH 4    /* least pieces per thread: heads of ragged samples differ in length */

typedef struct attention_job {
    const clipk_set *set;
    clipk_attention_shape s;
    float *y, *lse;
    const float *q, *k, *v;
    int64_t ldy, ldq, ldk, ldv;
    int cuts; /* pieces that a sample's queries are cut into */
    bool pairs;
    unsigned char *scratch;
} attention_job;

static void attention_piece(void *job, int64_t i, int thread)
{
    const attention_job *j = job;
    const int cut = (int)(i % j->cuts), h = (int)(i / j->cuts % j->s.H), b = (int)(i / j->cuts / j->s.H);
    const int row = j->s.q_off[b], nq = j->s.q_off[b + 1] - row, key = j->s.k_off[b], all = j->s.k_off[b + 1] - key;
    const int nk = j->s.k_end ? j->s.k_end[b] - key : all;
    const int nr = j->set->nr, each = clipb_round_up(clipb_ceil_div(nq, j->cuts), nr);
    const int q0 = cut * each, q1 = q0 + each < nq ? q0 + each : nq, D = j->s.D;
    if (q0 >= q1)
        return;
    assert(nk > 0 && nk <= all && (!j->s.causal || all >= nq));
    const int sees = j->s.causal ? all - nq + 1 + q0 : nk;
    const int64_t from = row + q0, column = (int64_t)h * D;
    j->set->attention(&(clipk_attention_piece){
        .y = j->y + from * j->ldy + column,
        .lse = j->lse ? j->lse + (int64_t)h * j->s.q_off[j->s.B] + from : NULL,
        .q = j->q + from * j->ldq + column,
        .k = j->k + key * j->ldk + column,
        .v = j->v + key * j->ldv + column,
        .ldy = j->ldy,
        .ldq = j->ldq,
        .ldk = j->ldk,
        .ldv = j->ldv,
        .nq = q1 - q0,
        .nk = nk,
        .sees = sees,
        .D = D,
        .pairs = j->pairs && nq >= PAIRS_FROM && clipk_attention_pairs_fit(all, D),
        .scratch = j->scratch + thread * CLIPK_ATTENTION_SCRATCH});
}

void clipk_attention(const clipk_ctx *kc, float *y, int64_t ldy, float *lse, const float *q, int64_t ldq,
                     const float *k, int64_t ldk, const float *v, int64_t ldv, const clipk_attention_shape *s)
{
    assert(s->D > 0 && s->D <= CLIPK_ATTENTION_D);
    int64_t work = 0;
    int longest = 0;
    for (int b = 0; b < s->B; b++) {
        int nq = s->q_off[b + 1] - s->q_off[b];
        work += 2 * ((int64_t)nq + LANES) * (s->k_off[b + 1] - s->k_off[b]) * s->D * s->H;
        longest = nq > longest ? nq : longest;
    }
    const int threads = work < FORK_FROM ? 1 : clipk_threads(kc), most = clipb_ceil_div(longest, kc->set->nr);
    const bool pairs = s->format && s->format->x != CLIPK_X_F32 && !lse &&
                       clipk_set_has(kc->set, &clipk_formats[CLIPK_TILE_BF16_PAIRS]);
    attention_job j = {kc->set, *s, y, lse, q, k, v, ldy, ldq, ldk, ldv, 1, pairs, kc->scratch};
    const int64_t heads = (int64_t)s->B * s->H;
    if (threads > 1 && heads < (int64_t)threads * PIECES_EACH)
        j.cuts = (int)clipb_ceil_div64(threads * PIECES_EACH, heads);
    if (j.cuts > most)
        j.cuts = most > 0 ? most : 1;
    clipb_team_run(threads > 1 ? kc->team : NULL, heads * j.cuts, attention_piece, &j);
}

/* ---- Backward: a piece is all of one head of one sample, so that no sum crosses pieces ------- */

typedef struct back_job {
    const clipk_set *set;
    clipk_attention_shape s;
    clipk_attention_back_piece p; /* pointers at the first head of the first sample */
} back_job;

static void back_piece(void *job, int64_t i, int thread)
{
    const back_job *j = job;
    clipk_attention_back_piece p = j->p;
    const int h = (int)(i % j->s.H), b = (int)(i / j->s.H);
    const int64_t row = j->s.q_off[b], key = j->s.k_off[b], column = (int64_t)h * p.D;
    p.nq = j->s.q_off[b + 1] - j->s.q_off[b];
    p.nk = j->s.k_off[b + 1] - j->s.k_off[b];
    p.sees = j->s.causal ? p.nk - p.nq + 1 : p.nk;
    assert((p.nk > 0 || p.nq == 0) && (!j->s.causal || p.nk >= p.nq));
    p.dq += row * p.lddq + column;
    p.dk += key * p.lddk + column;
    p.dv += key * p.lddv + column;
    p.dy += row * p.lddy + column;
    p.y += row * p.ldy + column;
    p.q += row * p.ldq + column;
    p.k += key * p.ldk + column;
    p.v += key * p.ldv + column;
    p.lse += (int64_t)h * j->s.q_off[j->s.B] + row;
    p.scratch = (unsigned char *)p.scratch + thread * CLIPK_ATTENTION_BACK_SCRATCH;
    j->set->attention_back(&p);
}

void clipk_attention_backward(const clipk_ctx *kc, float *dq, int64_t lddq, float *dk, int64_t lddk, float *dv,
                              int64_t lddv, const float *dy, int64_t lddy, const float *y, int64_t ldy,
                              const float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                              const float *v, int64_t ldv, const clipk_attention_shape *s)
{
    assert(s->D > 0 && s->D <= CLIPK_ATTENTION_D && !s->k_end);
    int64_t work = 0;
    for (int b = 0; b < s->B; b++)
        work += 5 * ((int64_t)(s->q_off[b + 1] - s->q_off[b]) + LANES) * (s->k_off[b + 1] - s->k_off[b]) * s->D * s->H;
    back_job j = {kc->set, *s, {dq,   dk,   dv,  dy,  y,   lse, q, k, v, lddq, lddk,
                                lddv, lddy, ldy, ldq, ldk, ldv, 0, 0, 0, s->D, kc->scratch}};
    clipb_team_run(work < FORK_FROM ? NULL : kc->team, (int64_t)s->B * s->H, back_piece, &j);
}
