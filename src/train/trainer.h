/* trainer.h: a training: a net, an optimizer and a stream, step after step, and its state on the
 * disk. */
#ifndef CLIPTRN_TRAINER_H
#define CLIPTRN_TRAINER_H

#include "train/net.h"
#include "train/stream.h"

typedef struct cliptrn_trainer {
    cliptrn_net net;
    cliptrn_optimizer optimizer;
    cliptrn_stream *stream;
    const clipb_peers *peers;
    cliptrn_position next;   /* place in the stream after the last step */
    int64_t steps, per_epoch;
    int batch;
    /* Tokens of scripts without blanks have one embedding, within a word and at its end
     * (cliptok_inner_id()). Set this before init. */
    bool share_ends;
    int32_t pad_id; /* behind a text, if the padding takes part */
    int32_t *row; /* [vocabulary] row of the token embedding that learns for an id; NULL: its own */
    /* The texts of a batch, cut where they are pooled. */
    int32_t *ids, *off;
    size_t ids_capacity;
} cliptrn_trainer;

/* cliptrn_trainer_init(): open the stream and the optimizer. Before it, call cliptrn_net_init() and
 * set the weights.
 * optimizer  in   steps, warmup and cooldown count steps. -n means n epochs; for the warm-up it
 *                 means the default.
 * Free with cliptrn_trainer_free(), also after an error. */
clip_status cliptrn_trainer_init(cliptrn_trainer *t, const cliptrn_stream_options *stream,
                                 const cliptrn_optimizer_options *optimizer, clip_error *err);
void cliptrn_trainer_free(cliptrn_trainer *t);

/* cliptrn_trainer_step(): clip_trainer_step() of clip.h. With peers, all ranks call it together. */
clip_status cliptrn_trainer_step(cliptrn_trainer *t, clip_train_step *out, clip_error *err);

/* cliptrn_state_write(), cliptrn_state_read(): the state that resuming needs besides the weights,
 * as files in `dir`:
 *     optimizer.safetensors   exp_avg.NAME, exp_avg_sq.NAME
 *     trainer.json            {"step": .., "epoch": .., "sample": .., "data": "a fingerprint",
 *                              "settings": {..}}
 * Call cliptrn_state_read() before cliptrn_trainer_init(), for the position and the settings, and
 * cliptrn_state_apply() after it. */
typedef struct cliptrn_state {
    int64_t step;
    cliptrn_position next;
    uint64_t data;
    char *settings; /* a JSON object; free() it, also after an error */
} cliptrn_state;

clip_status cliptrn_state_write(const cliptrn_trainer *t, const char *dir, const char *settings, clip_error *err);
clip_status cliptrn_state_read(const char *dir, cliptrn_state *out, clip_error *err);
bool cliptrn_state_is_in(const char *dir); /* has a state been written there? */

/* cliptrn_state_apply(): set the step and the moments of the optimizer.
 * Errors: CLIP_EMISMATCH (the state was written with other data), CLIP_EIO, CLIP_EFORMAT,
 * CLIP_ENOMEM. */
clip_status cliptrn_state_apply(const cliptrn_state *s, cliptrn_trainer *t, const char *dir, clip_error *err);

#endif
