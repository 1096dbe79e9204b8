/* tower.h: one interface for all towers.
 *
 * A kind of tower is a row: a table of functions and a few facts. A configuration names the rows of
 * its two towers. No other code asks what kind a tower is. To add one: write a file with a row, and
 * let the readers of configurations use the row (docs/extending.md).
 *
 *     clipmdl_tower_new     allocate the tower that a configuration describes
 *     clipmdl_tower_bind    fill it from a file or from training's parameters; run twice (bind.h)
 *     kind->layout          place the acts of a batch; run twice (base/arena.h)
 *     kind->forward         the embeddings [N, D], not yet normalised
 *     kind->layout_grads, kind->backward    after a forward with a tape
 *
 * A group is a set of parameters that fine-tuning unlocks together (OpenCLIP's lock_image_tower).
 * Group 0 is the embedding. A Transformer then has a group for each block, the last one with the
 * final norm, and one for the projection. Backward ends at the lowest group that is trained. */
#ifndef CLIPMDL_TOWER_H
#define CLIPMDL_TOWER_H

#include "model/bind.h"

/* The input of a tower. An image tower reads pixels and kept, a text tower ids and off. */
typedef struct clipmdl_input {
    int N;
    const float *pixels;      /* [N, 3, S, S]; NaFlex: [N, each], a picture is its number of rows, that
                               * of columns, and patches [rows * columns, P, P, 3], then zeros */
    size_t each;              /* NaFlex: numbers from one picture to the next */
    int K;                    /* patches kept of each picture; 0: all */
    const int32_t *kept;      /* [N, K] their numbers, ascending; NULL: all */
    const int32_t *ids, *off; /* text n is ids[off[n]] .. ids[off[n + 1] - 1]; off[0] is 0 */
} clipmdl_input;

/* Copies all rows of one layer during a forward. */
typedef struct clipmdl_tap {
    int layer;                    /* the input of block `layer`, or the output of the last block */
    bool normed;                  /* the encoder's last norm is wanted: `norm`, or one that the tower knows itself */
    const clipnn_layernorm *norm; /* applied to the rows; NULL: none */
    float *rows;                  /* out: [T, width] */
    bool ends;                    /* forward may stop there: later layers are not needed */
} clipmdl_tap;

/* Rows that a tap gets of each sample: `before` rows, then side * side cells of a map. */
typedef struct clipmdl_rows {
    int before, side, width;
} clipmdl_rows;

static inline int clipmdl_rows_count(clipmdl_rows r) { return r.before + r.side * r.side; }

/* Where the tape of each group ends, in bytes from the front of its arena. Backward of this group
 * and of lower ones reads nothing beyond. */
typedef struct clipmdl_tape {
    size_t first, block, all; /* end of group 0; size of a block; end of the last block */
    int layers;
} clipmdl_tape;

static inline size_t clipmdl_tape_end(const clipmdl_tape *t, int group)
{
    return group < t->layers ? t->first + group * t->block : t->all;
}

/* The results of a forward. The caller sets `tap`, layout sets the rest. */
typedef struct clipmdl_acts {
    const clipmdl_tap *tap; /* must live until forward has run; NULL: none */
    float *pooled;          /* [N, width] before the projection; NULL: the tower has none */
    clipmdl_tape tape;
    void *own;              /* the tower's own struct, in the arena; NULL while measuring */
} clipmdl_acts;

/* The memory of a backward. The caller sets everything except `own`, before layout_grads. */
typedef struct clipmdl_grads {
    /* Called before a group's gradients are added to, last group first. May be NULL. */
    void (*enter)(void *user, int group);
    void *user;
    const clipnn_relevance *relevance; /* NULL: not wanted, or the tower has no blocks */
    void *own;
} clipmdl_grads;

static inline void clipmdl_enter(const clipmdl_grads *g, int group)
{
    if (g->enter)
        g->enter(g->user, group);
}

/* How initial weights are drawn. */
typedef struct clipmdl_draw {
    enum { CLIPMDL_CONSTANT, CLIPMDL_NORMAL, CLIPMDL_UNIFORM } by;
    double x; /* the constant, the deviation, the bound */
} clipmdl_draw;

typedef struct clipmdl_tower clipmdl_tower;

/* A kind of tower. */
typedef struct clipmdl_tower_kind {
    const char *name;       /* "ViT": for clip_model_info and messages */
    int flags;              /* of its parameters: CLIPMDL_IMAGE_PARAM or CLIPMDL_TEXT_PARAM */
    /* The name of the projection, which an encoder alone may lack; false: none can be missing. */
    bool (*projection)(const clipmdl_config *c, char name[CLIPMDL_MAX_NAME]);
    int chunk;              /* samples that inference computes at once; 0: as many as fit 2048 rows */
    bool any_shape;         /* pictures keep their shape: a prepared one is a grid of patches (naflex.c) */
    bool batchnorm;         /* training takes statistics from the batch */
    double beta2, eps;      /* OpenCLIP's defaults of AdamW for this tower */

    /* Are the sizes possible? Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
    clip_status (*check)(const clipmdl_config *c, const char *file, clip_error *err);

    /* Allocate the blocks, and fill in the facts below. The tower comes zeroed, except `kind` and
     * `embed_dim`. `free` is called even after an error. Errors: CLIP_ENOMEM. */
    clip_status (*init)(clipmdl_tower *t, const clipmdl_config *c);
    void (*free)(clipmdl_tower *t);
    size_t size; /* of the tower's struct, which begins with a clipmdl_tower */

    /* Name every parameter once. Sets binder->group as it goes on, starting from 0. */
    void (*bind)(clipmdl_binder *b, clipmdl_tower *t);
    clipmdl_draw (*draw)(const clipmdl_param *p, const clipmdl_config *c); /* not for norms, which start alike */

    clipmdl_rows (*rows)(const clipmdl_tower *t, int layer);
    int (*length)(const clipmdl_tower *t, const int32_t *ids, int n); /* texts: how many of n ids are needed, 1 .. n */

    /* tape: keep everything that backward needs. Reads only in->N, in->K and in->off, and of
     * NaFlex' pictures the two numbers in front. */
    void (*layout)(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape);
    /* out: [N, D]; NULL: stop at acts->pooled. */
    void (*forward)(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out);
    /* Both are NULL where a tower is for inference alone; then `draw` is NULL, and beta2 and eps
     * are 0. */
    void (*layout_grads)(clipb_arena *a, clipmdl_grads *g, const clipk_ctx *k, const clipmdl_tower *t,
                         const clipmdl_input *in);
    /* dout [N, D] into the gradients of the parameters. Overwrites the tape. */
    void (*backward)(const clipk_ctx *k, const clipmdl_grads *g, const clipmdl_acts *acts, const clipmdl_tower *t,
                     const clipmdl_input *in, const float *dout);
} clipmdl_tower_kind;

/* Facts of a tower that all code may read. */
struct clipmdl_tower {
    const clipmdl_tower_kind *kind;
    int embed_dim;               /* D; 0: an encoder alone, without a projection */
    int width;                   /* of a pooled row; 0: it has none, and no hidden states for callers */
    int layers;                  /* taps of callers are at 0 .. layers */
    int look;                    /* the layer whose rows show best where things are in a picture */
    bool padded;                 /* a text has `tokens` rows; what pads it takes part */
    int tokens;                  /* rows of a picture, or of the longest text */
    int patches;                 /* of a picture; training may leave some out; 0: it has no patches */
    int groups;
    int first_group;             /* the lowest that is trained */
    const clipnn_layernorm *norm;  /* the last norm, for a tap; NULL: none, or it stands behind the pooling */
    bool own_norm;                 /* a tap that is `normed` gets another kind of norm, which the tower applies */
    const clipnn_block *block;     /* the attention blocks, for relevance; NULL: none */
    const clipnn_linear *largest;  /* the largest product, with `tokens` rows for each sample */
};

/* clipmdl_tower_new(): free with clipmdl_tower_free().
 * kind  in  c->vision.tower or c->text.tower
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_tower_new(const clipmdl_tower_kind *kind, const clipmdl_config *c, clipmdl_tower **out);
void clipmdl_tower_free(clipmdl_tower *t);

/* clipmdl_tower_bind(): call it once to measure, once to place. */
void clipmdl_tower_bind(clipmdl_binder *b, clipmdl_tower *t);

/* clipmdl_check_heads(): do heads divide the width, within the kernels' limit of a head's width?
 * what  in  "vision", "text": for the message
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
clip_status clipmdl_check_heads(const char *what, int width, int heads, const char *file, clip_error *err);

/* clipmdl_tap_rows(): copy the rows x [T, C] before block `layer`, if the tap is there.
 * tap  in  may be NULL
 * @return: does the forward end here? */
bool clipmdl_tap_rows(const clipk_ctx *k, const clipmdl_tap *tap, int layer, const float *x, int T, int C);

/* As in nn.Linear and nn.Conv2d: uniform within 1/sqrt(fan_in), for weights and biases. */
clipmdl_draw clipmdl_draw_linear(double fan_in);
bool clipmdl_name_ends(const char *name, const char *end);

/* ---- The rows -------------------------------------------------------------------------------- */

/* vit.c: Dosovitskiy et al. 2020, arXiv:2010.11929, with CLIP's norm before the blocks */
extern const clipmdl_tower_kind clipmdl_vit;

/* vit.c, text.c: with parts that backward does not know, for inference alone: OpenCLIP's layer
 * scale (Touvron et al. 2021, arXiv:2103.17239), and its AttentionalPooler */
extern const clipmdl_tower_kind clipmdl_vit_scaled, clipmdl_vit_pooler, clipmdl_text_scaled;

/* naflex.c: for inference alone */
extern const clipmdl_tower_kind clipmdl_naflex;

/* coca.c: the text encoder of CoCa */
extern const clipmdl_tower_kind clipmdl_coca;

/* resnet.c: He et al. 2015, arXiv:1512.03385, with the changes of arXiv:2103.00020, section 2.4 */
extern const clipmdl_tower_kind clipmdl_resnet;

/* eva.c: EVA, EVA-02 and the Perception Encoder */
extern const clipmdl_tower_kind clipmdl_eva;

/* aimv2.c */
extern const clipmdl_tower_kind clipmdl_aimv2, clipmdl_aimv2_text;

/* convnext.c, fastvit.c */
extern const clipmdl_tower_kind clipmdl_convnext, clipmdl_fastvit;

/* text.c: the text Transformer */
extern const clipmdl_tower_kind clipmdl_text;

/* bert.c: encoders of texts that mask their padding (Devlin et al. 2018, arXiv:1810.04805) */
extern const clipmdl_tower_kind clipmdl_bert;

/* t5.c: the encoder of mT5 (Xue et al. 2021, arXiv:2010.11934) */
extern const clipmdl_tower_kind clipmdl_t5;

#endif
