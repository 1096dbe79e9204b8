/* trainer.h: a training: net, optimizer and stream, step after step; and its state on the disk. */
#ifndef CLIPTRN_TRAINER_H
#define CLIPTRN_TRAINER_H

#include "train/net.h"
#include "train/stream.h"

typedef struct cliptrn_trainer {
    cliptrn_net net;
    cliptrn_optimizer optimizer;
    cliptrn_stream *stream;
    cliptrn_position next;   /* of the stream, after the last step */
    int64_t steps, per_epoch;
    int batch;
    bool share_ends; /* set it before init: a token of a script without blanks has one embedding, be it
                      * within a word or at its end (cliptok_inner_id()) */
    int32_t *row;    /* [vocabulary] of the token embedding, which learns for this id; NULL: its own */
    /* of a batch: texts cut where they are pooled */
    int32_t *ids, *off;
    size_t ids_capacity;
} cliptrn_trainer;

/* cliptrn_trainer_init(): the order: net (cliptrn_net_init), weights, then this, which opens the
 * stream and places the optimizer. optimizer->steps, ->warmup and ->cooldown count steps; where
 * they are below 0: -n epochs, or for the warm-up its default. Free with cliptrn_trainer_free(),
 * also after an error. */
clip_status cliptrn_trainer_init(cliptrn_trainer *t, const cliptrn_stream_options *stream,
                                 const cliptrn_optimizer_options *optimizer, clip_error *err);
void cliptrn_trainer_free(cliptrn_trainer *t);

/* cliptrn_trainer_step(): clipeng_trainer_step() of clip.h. */
clip_status cliptrn_trainer_step(cliptrn_trainer *t, clip_train_step *out, clip_error *err);

/* cliptrn_state_write(), cliptrn_state_read(): what resuming needs besides the weights, as files in
 * `dir`:
 *     optimizer.safetensors   exp_avg.NAME, exp_avg_sq.NAME
 *     trainer.json            {"step": .., "epoch": .., "sample": .., "data": "a fingerprint", "settings": {..}}
 * cliptrn_state_read() comes before cliptrn_trainer_init(), for the position and settings;
 * cliptrn_state_apply() after it. */
typedef struct cliptrn_state {
    int64_t step;
    cliptrn_position next;
    uint64_t data;
    char *settings; /* a JSON object; free() it, also after an error */
} cliptrn_state;

clip_status cliptrn_state_write(const cliptrn_trainer *t, const char *dir, const char *settings, clip_error *err);
clip_status cliptrn_state_read(const char *dir, cliptrn_state *out, clip_error *err);
bool cliptrn_state_is_in(const char *dir); /* has one been written there? */

/* cliptrn_state_apply(): the step and the moments of the optimizer. CLIP_EMISMATCH where the data
 * are not those it was written with. */
clip_status cliptrn_state_apply(const cliptrn_state *s, cliptrn_trainer *t, const char *dir, clip_error *err);

#endif
