#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

#define MOST_WARMUP 10000 /* OpenCLIP's default, for its long runs */

static int64_t in_steps(int64_t n, int64_t per_epoch) { return n < 0 ? -n * per_epoch : n; }

/* CLIP's encoding has two tokens for the same letters, within a word and at its end. Without
 * blanks, a word has this end only at the end of its phrase. A query of that word alone would then
 * differ from the word in a caption. So the two tokens share what they learn. Both rows are in the
 * weights, and are equal. */
static clip_status find_rows(cliptrn_trainer *t, const cliptok *tokenizer)
{
    const int V = t->net.config.text.vocab_size;
    t->row = malloc((size_t)V * sizeof *t->row);
    for (int id = 0; t->row && id < V; id++)
        t->row[id] = cliptok_inner_id(tokenizer, id);
    return t->row ? CLIP_OK : CLIP_ENOMEM;
}

/* Every text tower has such a table, behind a prefix of its own. */
static float *find_table(const cliptrn_trainer *t)
{
    const clipmdl_param *p = t->net.params.param;
    while (!clipmdl_name_ends(p->name, "token_embedding.weight"))
        p++;
    return t->net.w + p->at;
}

static void copy_rows(const cliptrn_trainer *t)
{
    const size_t C = (size_t)t->net.config.text.width;
    float *table = t->row ? find_table(t) : NULL;
    for (int id = 0; t->row && id < t->net.config.text.vocab_size; id++)
        if (t->row[id] != id)
            memcpy(table + (size_t)id * C, table + (size_t)t->row[id] * C, C * sizeof *table);
}

clip_status cliptrn_trainer_init(cliptrn_trainer *t, const cliptrn_stream_options *stream,
                                 const cliptrn_optimizer_options *optimizer, clip_error *err)
{
    cliptrn_optimizer_options o = *optimizer;
    TRY(cliptrn_stream_open(stream, &t->stream, err));
    t->peers = stream->peers;
    t->next = stream->start;
    t->batch = stream->batch;
    t->pad_id = cliptok_pad_id(stream->tokenizer);
    t->per_epoch = cliptrn_stream_count(t->stream) / stream->batch;
    o.steps = t->steps = in_steps(o.steps, t->per_epoch);
    o.cooldown = in_steps(o.cooldown, t->per_epoch);
    if (o.warmup < 0)
        o.warmup = o.steps / 10 < MOST_WARMUP ? o.steps / 10 : MOST_WARMUP;
    t->off = calloc((size_t)stream->batch + 1, sizeof *t->off);
    if (t->share_ends && find_rows(t, stream->tokenizer) < 0)
        return clipb_nomem(err, NULL);
    copy_rows(t);
    if (!t->off || cliptrn_optimizer_init(&t->optimizer, &o, &t->net.params) < 0)
        return clipb_nomem(err, NULL);
    return CLIP_OK;
}

void cliptrn_trainer_free(cliptrn_trainer *t)
{
    cliptrn_stream_close(t->stream);
    cliptrn_optimizer_free(&t->optimizer);
    cliptrn_net_free(&t->net);
    free(t->ids);
    free(t->off);
    free(t->row);
    *t = (cliptrn_trainer){0};
}

/* The texts of a batch, each cut at the token it is pooled at, or padded if the tower wants
 * that. */
static clip_status fit_texts(cliptrn_trainer *t, const cliptrn_batch *b)
{
    const clipmdl_tower *text = t->net.text;
    const size_t most = text->padded ? (size_t)b->N * (size_t)text->tokens : (size_t)b->off[b->N];
    TRY(clipb_grow((void **)&t->ids, &t->ids_capacity, most, sizeof *t->ids));
    for (int i = 0; i < b->N; i++) {
        const int32_t *ids = b->ids + b->off[i];
        int32_t *to = t->ids + t->off[i];
        const int n = b->off[i + 1] - b->off[i], all = text->padded ? text->tokens : n;
        for (int j = 0; j < all; j++)
            to[j] = j >= n ? t->pad_id : t->row ? t->row[ids[j]] : ids[j];
        t->off[i + 1] = t->off[i] + text->kind->length(text, to, all);
    }
    return CLIP_OK;
}

clip_status cliptrn_trainer_step(cliptrn_trainer *t, clip_train_step *out, clip_error *err)
{
    const double start = clipb_now(), waited = cliptrn_stream_get_stats(t->stream).waited;
    cliptrn_batch b;
    cliptrn_loss loss;
    *out = (clip_train_step){0};
    if (t->optimizer.step >= t->steps)
        return clipb_fail(err, CLIP_EINVAL, NULL, "the run is at its end, %lld steps", (long long)t->steps);
    TRY(cliptrn_stream_next(t->stream, &b, err));
    if (fit_texts(t, &b) < 0)
        return clipb_nomem(err, NULL);
    const cliptrn_pairs pairs = {
        .N = b.N, .pixels = b.pixels, .ids = t->ids, .off = t->off, .whole = b.whole, .holder = b.holder};
    TRY(cliptrn_net_gradient(&t->net, &pairs, t->optimizer.step, &loss, err));
    const cliptrn_weights weights = cliptrn_net_weights(&t->net);
    const double norm = cliptrn_gradient_norm(&t->net.k, &weights);
    if (!isfinite(loss.loss) || !isfinite(norm))
        return clipb_fail(
            err, CLIP_EDIVERGED, NULL,
            "step %lld: the loss is %g and the norm of its gradient %g: training has diverged; "
            "a new run from the last checkpoint (pretrained) with a lower lr, a longer warmup or "
            "grad-clip-norm may help",
            (long long)t->optimizer.step + 1, loss.loss, norm);
    out->lr = cliptrn_learning_rate(&t->optimizer.opt, t->optimizer.step);
    cliptrn_optimizer_step(&t->optimizer, &t->net.k, &weights, norm);
    cliptrn_net_settle(&t->net);
    copy_rows(t);
    t->next = b.next;

    const cliptrn_stream_stats stats = cliptrn_stream_get_stats(t->stream);
    out->step = t->optimizer.step;
    out->epoch = (out->step - 1) / t->per_epoch + 1; /* by steps: broken samples make a pass over the data shorter */
    out->epoch_ends = out->step % t->per_epoch == 0;
    out->loss = loss.loss;
    out->grad_norm = norm;
    out->logit_scale = expf(*cliptrn_net_number(&t->net, t->net.w, "logit_scale"));
    out->seconds = clipb_now() - start;
    out->waited = stats.waited - waited;
    out->broken = stats.broken;
    return CLIP_OK;
}
