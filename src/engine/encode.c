/* Teams, contexts, and the encoders of clip.h. Batches are cut into chunks, so that memory is
 * bounded and the acts of a chunk stay in the caches. A sample's result does not depend on the
 * cut. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define CHUNK_ROWS 2048 /* rows of a Transformer in one chunk */

static bool threads_allowed(int threads) { return threads >= 0 && threads <= CLIPENG_MOST_THREADS; }

/* threads 0: all cores. @return: NULL: out of memory */
static clipb_team *start_team(int threads) { return clipb_team_new(threads ? threads : clipb_cores()); }

clip_status clipeng_team_new(int threads, clip_team **out)
{
    *out = NULL;
    if (!threads_allowed(threads))
        return CLIP_EINVAL;
    clip_team *t = calloc(1, sizeof *t);
    if (!t)
        return CLIP_ENOMEM;
    t->threads = start_team(threads);
    if (!t->threads) {
        free(t);
        return CLIP_ENOMEM;
    }
    *out = t;
    return CLIP_OK;
}

void clipeng_team_free(clip_team *t)
{
    if (!t)
        return;
    clipb_team_free(t->threads);
    free(t);
}

/* Scratch for every thread of the team: any of them may take a piece of this context's jobs. */
static clip_status reserve_scratch(clip_context *c)
{
    TRY(clipb_block_reserve(&c->scratch, clipk_scratch_bytes(c->k.set, clipk_threads(&c->k))));
    c->k.scratch = c->scratch.base;
    return CLIP_OK;
}

/* team NULL: out of memory */
static clip_status open_context(const clip_model *m, clipb_team *team, clip_context **out)
{
    clip_context *c = team ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return CLIP_ENOMEM;
    c->model = m;
    c->k.set = m->set;
    c->k.team = team;
    const clip_status s = reserve_scratch(c);
    if (s < 0)
        clipeng_context_free(c);
    else
        *out = c;
    return s;
}

clip_status clipeng_context_new_on(const clip_model *m, clip_team *team, clip_context **out)
{
    *out = NULL;
    return m && team ? open_context(m, team->threads, out) : CLIP_EINVAL;
}

clip_status clipeng_context_new(const clip_model *m, int threads, clip_context **out)
{
    *out = NULL;
    if (!m || !threads_allowed(threads))
        return CLIP_EINVAL;
    clipb_team *team = start_team(threads);
    const clip_status s = open_context(m, team, out);
    if (s < 0)
        clipb_team_free(team);
    else
        (*out)->own_team = team;
    return s;
}

void clipeng_context_free(clip_context *c)
{
    if (!c)
        return;
    clipb_team_free(c->own_team);
    clipeng_slots_free(c);
    clipb_block_free(&c->scratch);
    clipb_block_free(&c->acts);
    clipb_block_free(&c->inputs);
    free(c);
}

int clipeng_context_threads(const clip_context *ctx) { return clipk_threads(&ctx->k); }

typedef struct parallel_job {
    void (*fn)(void *user, int64_t i);
    void *user;
} parallel_job;

static void parallel_piece(void *job, int64_t i, int thread)
{
    const parallel_job *j = job;
    (void)thread;
    j->fn(j->user, i);
}

void clipeng_parallel(clip_context *ctx, int64_t n, void (*fn)(void *user, int64_t i), void *user)
{
    parallel_job j = {fn, user};
    if (n < 1)
        return;
    clipb_team_run(ctx->k.team, n, parallel_piece, &j);
}

/* ---- Outputs --------------------------------------------------------------------------------- */

/* What is wanted of a batch; each may be NULL. One forward makes all of it. */
typedef struct outputs {
    const clipmdl_tower *tower; /* that makes them */
    float *unit;        /* [N, D], of length 1 */
    clip_hidden hidden;
    int layer, pad_id;  /* of hidden.states */
    bool norm;
    int64_t done;       /* samples before these */
} outputs;

clip_hidden_options clipeng_hidden_options_default(void)
{
    return (clip_hidden_options){.layer = -1, .final_norm = -1, .pad_id = -1};
}

/* normed: the last layer is, unless asked otherwise. */
static clip_status read_options(const clip_model *m, const clipmdl_tower *t, const clip_hidden_options *opt,
                                const clip_hidden *out, bool normed, outputs *o)
{
    const clip_hidden_options h = opt ? *opt : clipeng_hidden_options_default();
    const int layers = t->layers, layer = h.layer < 0 ? h.layer + layers + 1 : h.layer;
    if (h.final_norm > 0 && out->states && !clipeng_norms_rows(t))
        return CLIP_EUNSUPPORTED;
    *o = (outputs){.tower = t, .hidden = *out, .layer = layer, .pad_id = h.pad_id < 0 ? m->pad_id : h.pad_id};
    o->norm = h.final_norm < 0 ? normed && layer == layers : h.final_norm != 0;
    const bool none = !out->states && !out->pooled && !out->projected;
    const bool bad = none || layer < 0 || layer > layers || (out->projected && m->config.embed_dim == 0);
    return bad ? CLIP_EINVAL : CLIP_OK;
}

static float *projection_of(const outputs *o) { return o->unit ? o->unit : o->hidden.projected; }

static clipmdl_tap tap_of(const outputs *o, const clipmdl_tower *t)
{
    return (clipmdl_tap){.layer = o->layer,
                         .normed = o->norm,
                         .norm = o->norm ? t->norm : NULL,
                         .rows = o->hidden.states,
                         .ends = !projection_of(o) && !o->hidden.pooled};
}

static float *behind(float *p, size_t n) { return p ? p + n : NULL; }

/* n samples are done: where the next go. T tokens a sample, C wide. */
static void advance(outputs *o, const clip_model *m, int n, int T, int C)
{
    const size_t D = (size_t)m->config.embed_dim, rows = (size_t)n;
    o->done += n;
    o->unit = behind(o->unit, rows * D);
    o->hidden.projected = behind(o->hidden.projected, rows * D);
    o->hidden.pooled = behind(o->hidden.pooled, rows * (size_t)C);
    o->hidden.states = behind(o->hidden.states, rows * (size_t)T * (size_t)C);
}

/* What a forward has made, and of what. */
typedef struct results {
    const char *kind;    /* "picture", "text" */
    const float *pooled; /* [N, C] */
    int T, C;            /* rows of states a sample, and how wide they are */
    const float *input;  /* [N, each] or NULL */
    size_t each;
} results;

static clip_status check_rows(clip_context *c, const outputs *o, const results *r, const float *x, int N, size_t width)
{
    return x ? clipeng_check_finite(c, x, N, width, r->kind, o->done, r->input, r->each) : CLIP_OK;
}

/* Check that N results are numbers, make them ready, and let `o` go on behind them. */
static clip_status finish(clip_context *c, outputs *o, const results *r, int N)
{
    const size_t D = (size_t)c->model->config.embed_dim, C = (size_t)r->C;
    TRY(check_rows(c, o, r, projection_of(o), N, D));
    TRY(check_rows(c, o, r, o->hidden.pooled ? r->pooled : NULL, N, C));
    TRY(check_rows(c, o, r, o->hidden.states, N, (size_t)r->T * C));
    if (o->hidden.pooled)
        memcpy(o->hidden.pooled, r->pooled, (size_t)N * C * sizeof *r->pooled);
    if (o->unit)
        clipk_l2norm(&c->k, o->unit, NULL, N, c->model->config.embed_dim);
    advance(o, c->model, N, r->T, r->C);
    return CLIP_OK;
}

/* N samples, at most a chunk, through a tower. r: what is known of them before. */
static clip_status forward_chunk(clip_context *c, const clipmdl_input *in, outputs *o, results r)
{
    const clipmdl_tower *t = o->tower;
    const clipmdl_tap tap = tap_of(o, t);
    clipmdl_acts acts = {.tap = o->hidden.states ? &tap : NULL};
    clipb_arena a = {0};
    t->kind->layout(&a, &acts, &c->k, t, in, false);
    TRY(clipb_block_reserve(&c->acts, a.peak));
    a = clipb_arena_on(&c->acts);
    t->kind->layout(&a, &acts, &c->k, t, in, false);
    t->kind->forward(&c->k, &acts, t, in, projection_of(o));
    const clipmdl_rows rows = t->kind->rows(t, o->layer);
    r.pooled = acts.pooled;
    r.T = clipmdl_rows_count(rows);
    r.C = rows.width;
    return finish(c, o, &r, in->N);
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static int picture_chunk(const clip_model *m)
{
    const clipmdl_tower *t = m->image;
    const int n = t->kind->chunk ? t->kind->chunk : CHUNK_ROWS / t->tokens;
    return n > 0 ? n : 1;
}

static size_t pixels_of(const clip_model *m) { return clipimg_floats(&m->recipe); }

static clip_status forward_pixels(clip_context *c, const float *pixels, int N, outputs *o)
{
    const size_t each = pixels_of(c->model);
    const clipmdl_input in = {.N = N, .pixels = pixels, .each = each};
    for (int i = 0; i < N; i++)
        TRY(clipimg_check_prepared(&c->model->recipe, pixels + (size_t)i * each));
    if (c->model->mapped & CLIP_TOWER_IMAGE)
        TRY(clipmdl_store_check(&c->model->store, NULL));
    return forward_chunk(c, &in, o, (results){.kind = "picture", .input = pixels, .each = each});
}

static clip_status encode_pixels(clip_context *c, const float *pixels, int N, outputs *o)
{
    const int chunk = picture_chunk(c->model);
    for (int i = 0; i < N; i += chunk)
        TRY(forward_pixels(c, pixels + (size_t)i * pixels_of(c->model), N - i < chunk ? N - i : chunk, o));
    return CLIP_OK;
}

clip_image_options clipeng_model_image_options(const clip_model *m) { return clipimg_recipe_options(&m->recipe); }

clip_status clipeng_preprocess(const clip_model *m, const clip_image *img, float *out)
{
    return img && out ? clipimg_preprocess(&m->recipe, img, out) : CLIP_EINVAL;
}

typedef struct preprocess_job {
    const clip_model *m;
    const clip_image *img;
    float *pixels;
    clip_status *status; /* of each picture */
} preprocess_job;

static void preprocess_piece(void *job, int64_t i, int thread)
{
    const preprocess_job *j = job;
    (void)thread;
    j->status[i] = clipeng_preprocess(j->m, &j->img[i], j->pixels + (size_t)i * pixels_of(j->m));
}

static clip_status encode_image(clip_context *c, const clip_image *img, int N, outputs *o)
{
    const clip_model *m = c->model;
    const int chunk = picture_chunk(m), most = N < chunk ? N : chunk;
    clipb_arena a = {0};
    clipb_arena_alloc(&a, (size_t)most * pixels_of(m), sizeof(float));
    clipb_arena_alloc(&a, (size_t)most, sizeof(clip_status));
    TRY(clipb_block_reserve(&c->inputs, a.peak));
    a = clipb_arena_on(&c->inputs);
    preprocess_job j = {.m = m};
    j.pixels = CLIPB_NEW(&a, float, (size_t)most * pixels_of(m));
    j.status = CLIPB_NEW(&a, clip_status, most);
    for (int i = 0; i < N; i += chunk) {
        const int n = N - i < chunk ? N - i : chunk;
        j.img = img + i;
        clipb_team_run(c->k.team, n, preprocess_piece, &j);
        for (int p = 0; p < n; p++)
            TRY(j.status[p]);
        TRY(forward_pixels(c, j.pixels, n, o));
    }
    return CLIP_OK;
}

/* Can this model embed N of these? */
static clip_status check_embeds(const clip_model *m, int tower, const void *in, int N, const float *out)
{
    return in && out && N >= 1 && (m->towers & tower) && m->config.embed_dim > 0 ? CLIP_OK : CLIP_EINVAL;
}

clip_status clipeng_encode_pixels(clip_context *c, const float *pixels, int N, float *out)
{
    return clipeng_encode_pixels_by(c, c->model->image, pixels, N, out);
}

clip_status clipeng_encode_pixels_by(clip_context *c, const clipmdl_tower *t, const float *pixels, int N, float *out)
{
    TRY(check_embeds(c->model, CLIP_TOWER_IMAGE, pixels, N, out));
    return encode_pixels(c, pixels, N, &(outputs){.tower = t, .unit = out});
}

clip_status clipeng_encode_image(clip_context *c, const clip_image *img, int N, float *out)
{
    TRY(check_embeds(c->model, CLIP_TOWER_IMAGE, img, N, out));
    return encode_image(c, img, N, &(outputs){.tower = c->model->image, .unit = out});
}

static clip_status picture_outputs(const clip_model *m, const void *in, int N, const clip_hidden_options *opt,
                                   const clip_hidden *out, outputs *o)
{
    if (!in || !out || N < 1 || !(m->towers & CLIP_TOWER_IMAGE))
        return CLIP_EINVAL;
    if (m->image->width == 0 && (out->states || out->pooled))
        return CLIP_EUNSUPPORTED;
    return read_options(m, m->image, opt, out, false, o);
}

clip_status clipeng_hidden_pixels(clip_context *c, const float *pixels, int N, const clip_hidden_options *opt,
                                  const clip_hidden *out)
{
    outputs o;
    TRY(picture_outputs(c->model, pixels, N, opt, out, &o));
    return encode_pixels(c, pixels, N, &o);
}

clip_status clipeng_hidden_image(clip_context *c, const clip_image *img, int N, const clip_hidden_options *opt,
                                 const clip_hidden *out)
{
    outputs o;
    TRY(picture_outputs(c->model, img, N, opt, out, &o));
    return encode_image(c, img, N, &o);
}

clip_status clipeng_encode_states(clip_context *c, const float *pixels, int N, int layer, float *unit, float *states)
{
    TRY(check_embeds(c->model, CLIP_TOWER_IMAGE, pixels, N, unit));
    return encode_pixels(
        c, pixels, N,
        &(outputs){.tower = c->model->image, .unit = unit, .hidden.states = states, .layer = layer});
}

/* ---- Words ----------------------------------------------------------------------------------- */

clip_status clipeng_tokenize(const clip_model *m, const char *text, int32_t *ids, int *n)
{
    if (!m->tokenizer || !text || !ids || !n)
        return CLIP_EINVAL;
    return cliptok_encode(m->tokenizer, text, strlen(text), ids, m->config.text.context_length, n);
}

/* N texts, ragged: cut to what is needed, or padded where their states are wanted. */
static clip_status forward_tokens(clip_context *c, const int32_t *ids, const int32_t *off, int N, outputs *o)
{
    const clipmdl_input in = {.N = N, .ids = ids, .off = off};
    TRY(clipmdl_store_check(&c->model->store, NULL)); /* the rows of the token embedding come from there */
    return forward_chunk(c, &in, o, (results){.kind = "text"});
}

/* Texts on their way into a chunk. */
typedef struct gather {
    int32_t *ids, *off;
    int n;       /* texts in it */
    int most;    /* that it may hold */
    outputs *out; /* where the first of them goes */
} gather;

static clip_status gather_start(clip_context *c, gather *g, int N, outputs *out)
{
    const int L = c->model->config.text.context_length;
    const int most = CHUNK_ROWS / L > 0 ? CHUNK_ROWS : L; /* rows; at least one text of the full length */
    clipb_arena a = {0};
    *g = (gather){.most = N < most ? N : most, .out = out};
    const size_t rows = (size_t)most + (size_t)L, texts = (size_t)g->most + 1;
    clipb_arena_alloc(&a, rows, sizeof *g->ids);
    clipb_arena_alloc(&a, texts, sizeof *g->off);
    TRY(clipb_block_reserve(&c->inputs, a.peak));
    a = clipb_arena_on(&c->inputs);
    g->ids = CLIPB_NEW(&a, int32_t, rows);
    g->off = CLIPB_NEW(&a, int32_t, texts);
    g->off[0] = 0;
    return CLIP_OK;
}

static clip_status gather_flush(clip_context *c, gather *g)
{
    if (g->n == 0)
        return CLIP_OK;
    TRY(forward_tokens(c, g->ids, g->off, g->n, g->out));
    g->n = 0;
    return CLIP_OK;
}

/* A text of `n` ids stands at ids + off[g->n]: take it in, and run the chunk when it is full. */
static clip_status gather_add(clip_context *c, gather *g, int n)
{
    const int at = g->off[g->n], L = c->model->config.text.context_length;
    const clipmdl_tower *t = c->model->text;
    for (; n < L && (g->out->hidden.states || t->padded); n++)
        g->ids[at + n] = g->out->hidden.states ? g->out->pad_id : c->model->pad_id;
    if (!g->out->hidden.states)
        n = t->kind->length(t, g->ids + at, n);
    g->off[g->n + 1] = at + n;
    g->n++;
    return g->off[g->n] >= CHUNK_ROWS || g->n == g->most ? gather_flush(c, g) : CLIP_OK;
}

static clip_status encode_text(clip_context *c, const char *const *texts, int N, outputs *o)
{
    gather g;
    if (!c->model->tokenizer)
        return CLIP_EINVAL;
    TRY(gather_start(c, &g, N, o));
    for (int i = 0; i < N; i++) {
        int n;
        TRY(clipeng_tokenize_in_language(c, texts[i], g.ids + g.off[g.n], &n));
        TRY(gather_add(c, &g, n));
    }
    return gather_flush(c, &g);
}

static clip_status encode_tokens(clip_context *c, const int32_t *ids, const int32_t *offsets, int N, outputs *o)
{
    const clipmdl_text_config *t = &c->model->config.text;
    gather g;
    if (!offsets || offsets[0] < 0)
        return CLIP_EINVAL;
    TRY(gather_start(c, &g, N, o));
    for (int i = 0; i < N; i++) {
        const int64_t n = (int64_t)offsets[i + 1] - offsets[i]; /* so no offset is below the first */
        if (n < 1 || n > t->context_length)
            return CLIP_EINVAL;
        for (int j = 0; j < n; j++) {
            int32_t id = ids[offsets[i] + j];
            if (id < 0 || id >= t->vocab_size)
                return CLIP_EINVAL;
            g.ids[g.off[g.n] + j] = id;
        }
        TRY(gather_add(c, &g, (int)n));
    }
    return gather_flush(c, &g);
}

clip_status clipeng_encode_text(clip_context *c, const char *const *texts, int N, float *out)
{
    TRY(check_embeds(c->model, CLIP_TOWER_TEXT, texts, N, out));
    return encode_text(c, texts, N, &(outputs){.tower = c->model->text, .unit = out});
}

clip_status clipeng_encode_tokens(clip_context *c, const int32_t *ids, const int32_t *offsets, int N, float *out)
{
    TRY(check_embeds(c->model, CLIP_TOWER_TEXT, ids, N, out));
    return encode_tokens(c, ids, offsets, N, &(outputs){.tower = c->model->text, .unit = out});
}

static clip_status text_outputs(const clip_model *m, const void *in, int N, const clip_hidden_options *opt,
                                const clip_hidden *out, outputs *o)
{
    const clipmdl_text_config *t = &m->config.text;
    if (!in || !out || N < 1 || !(m->towers & CLIP_TOWER_TEXT))
        return CLIP_EINVAL;
    if (m->text->width == 0 && (out->states || out->pooled))
        return CLIP_EUNSUPPORTED;
    TRY(read_options(m, m->text, opt, out, true, o));
    return o->pad_id >= 0 && o->pad_id < t->vocab_size ? CLIP_OK : CLIP_EINVAL;
}

clip_status clipeng_hidden_text(clip_context *c, const char *const *texts, int N, const clip_hidden_options *opt,
                                const clip_hidden *out)
{
    outputs o;
    TRY(text_outputs(c->model, texts, N, opt, out, &o));
    return encode_text(c, texts, N, &o);
}

clip_status clipeng_hidden_tokens(clip_context *c, const int32_t *ids, const int32_t *offsets, int N,
                                  const clip_hidden_options *opt, const clip_hidden *out)
{
    outputs o;
    TRY(text_outputs(c->model, ids, N, opt, out, &o));
    return encode_tokens(c, ids, offsets, N, &o);
}
