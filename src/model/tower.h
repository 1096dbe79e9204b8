/* tower.h: one interface for every tower, whatever it is made of.
 *
 * A kind of tower is a row: a table of functions and a few facts. A configuration names the rows of
 * its two towers; nobody else asks what a tower is. To add one: a file with a row, and whoever
 * reads configurations puts the row into them (docs/extending.md).
 *
 *     clipmdl_tower_new     allocate the tower that a configuration describes
 *     clipmdl_tower_bind    fill it from a file or from training's parameters; run twice (bind.h)
 *     kind->layout          place the acts of a batch; run twice (base/arena.h)
 *     kind->forward         the embeddings [N, D], not yet normalised
 *     kind->layout_grads, kind->backward    after a forward with a tape
 *
 * Groups are what unlocks together in fine-tuning (OpenCLIP's lock_image_tower). Group 0 is the
 * embedding; a Transformer then has one for each block, the last with the final norm, and one for
 * the projection. Backward goes down to the lowest group that is trained. */
#ifndef CLIPMDL_TOWER_H
#define CLIPMDL_TOWER_H

#include "model/bind.h"

/* A batch on its way into a tower. An image tower reads pixels and kept, a text tower ids and
 * off. */
typedef struct clipmdl_input {
    int N;
    const float *pixels;      /* [N, 3, S, S] */
    int K;                    /* patches kept of each picture; 0: all */
    const int32_t *kept;      /* [N, K] which, ascending; NULL: all */
    const int32_t *ids, *off; /* text n is ids[off[n]] .. ids[off[n + 1] - 1]; off[0] is 0 */
} clipmdl_input;

/* All rows of one layer, taken on the way through a tower. */
typedef struct clipmdl_tap {
    int layer;                    /* the input of block `layer`, or the output of the last block */
    const clipnn_layernorm *norm; /* the rows go through it; NULL: they are taken as they are */
    float *rows;                  /* out: [T, width] */
    bool ends;                    /* nothing behind the layer is wanted: forward may stop there */
} clipmdl_tap;

/* What a tap gets of each sample: `before` rows, then side * side that are the cells of a map. */
typedef struct clipmdl_rows {
    int before, side, width;
} clipmdl_rows;

static inline int clipmdl_rows_count(clipmdl_rows r) { return r.before + r.side * r.side; }

/* Where the tape of each group ends, in bytes from the front of its arena: backward of a group, and
 * of those below it, reads nothing beyond. */
typedef struct clipmdl_tape {
    size_t first, block, all; /* of group 0; how much further with each block; of the last block */
    int layers;
} clipmdl_tape;

static inline size_t clipmdl_tape_end(const clipmdl_tape *t, int group)
{
    return group < t->layers ? t->first + (size_t)group * t->block : t->all;
}

/* What a forward computes. The caller sets `tap`, layout the rest. */
typedef struct clipmdl_acts {
    const clipmdl_tap *tap; /* lives until forward has run; NULL: none */
    float *pooled;          /* [N, width] before the projection; NULL: the tower has no such row */
    clipmdl_tape tape;
    void *own;              /* the tower's, in the arena; NULL while measuring */
} clipmdl_acts;

/* What a backward works on. The caller sets all but `own`, before layout_grads. */
typedef struct clipmdl_grads {
    /* Called before the gradients of a group's parameters are added to, the last group first; NULL:
     * nobody wants to know. */
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

/* A row. */
typedef struct clipmdl_tower_kind {
    const char *name;       /* "ViT": in clip_model_info, and in messages */
    int flags;              /* of its parameters: CLIPMDL_IMAGE_PARAM or CLIPMDL_TEXT_PARAM */
    const char *projection; /* the parameter that an encoder alone may lack; NULL: it is always there */
    int chunk;              /* samples that inference computes at once; 0: as many as have 2048 rows */
    bool batchnorm;         /* training takes statistics from the batch */
    double beta2, eps;      /* OpenCLIP's defaults of AdamW for such a tower */

    /* Are the sizes possible? CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
    clip_status (*check)(const clipmdl_config *c, const char *file, clip_error *err);

    /* Allocate what the configuration counts, and fill in the facts below. The tower is zeroed, but
     * for `kind` and `embed_dim`; `free` is called also after an error. CLIP_ENOMEM. */
    clip_status (*init)(clipmdl_tower *t, const clipmdl_config *c);
    void (*free)(clipmdl_tower *t);
    size_t size; /* of the tower's struct, which begins with a clipmdl_tower */

    /* Name every parameter once. Sets binder->group as it goes on; it begins at 0. */
    void (*bind)(clipmdl_binder *b, clipmdl_tower *t);
    clipmdl_draw (*draw)(const clipmdl_param *p, const clipmdl_config *c); /* of all but norms, which all start alike */

    clipmdl_rows (*rows)(const clipmdl_tower *t, int layer);
    int (*length)(const clipmdl_tower *t, const int32_t *ids, int n); /* texts: how many of n ids are needed, 1 .. n */

    /* tape: everything is kept that backward needs. Reads in->N, in->K and in->off alone. */
    void (*layout)(clipb_arena *a, clipmdl_acts *acts, const clipk_ctx *k, const clipmdl_tower *t,
                   const clipmdl_input *in, bool tape);
    /* out: [N, D]; NULL: no further than acts->pooled. */
    void (*forward)(const clipk_ctx *k, const clipmdl_acts *acts, const clipmdl_tower *t, const clipmdl_input *in,
                    float *out);
    void (*layout_grads)(clipb_arena *a, clipmdl_grads *g, const clipk_ctx *k, const clipmdl_tower *t,
                         const clipmdl_input *in);
    /* dout [N, D] into the gradients of the parameters. It uses up the tape. */
    void (*backward)(const clipk_ctx *k, const clipmdl_grads *g, const clipmdl_acts *acts, const clipmdl_tower *t,
                     const clipmdl_input *in, const float *dout);
} clipmdl_tower_kind;

/* What others may know of a tower. */
struct clipmdl_tower {
    const clipmdl_tower_kind *kind;
    int embed_dim;               /* D; 0: an encoder alone, without a projection */
    int width;                   /* of a pooled row; 0: it has none, nor hidden states that callers can ask for */
    int layers;                  /* callers' taps are at 0 .. layers */
    int look;                    /* the layer whose rows tell best what is where in a picture */
    int tokens;                  /* rows of a picture, or of the longest text */
    int patches;                 /* of a picture; training may leave some out. 0: there are none */
    int groups;
    int first_group;             /* the lowest that is trained */
    const clipnn_layernorm *norm;  /* the last norm, for a tap; NULL: none */
    const clipnn_block *block;     /* the attention blocks, which tell what mattered; NULL: none */
    const clipnn_linear *largest;  /* the largest product, of `tokens` rows a sample */
};

/* clipmdl_tower_new(): free with clipmdl_tower_free(). kind: c->vision.tower or c->text.tower.
 * CLIP_ENOMEM. */
clip_status clipmdl_tower_new(const clipmdl_tower_kind *kind, const clipmdl_config *c, clipmdl_tower **out);
void clipmdl_tower_free(clipmdl_tower *t);

/* clipmdl_tower_bind(): once measuring, once placing. */
void clipmdl_tower_bind(clipmdl_binder *b, clipmdl_tower *t);

/* clipmdl_check_heads(): heads divide the width, and are not wider than the kernels' limit.
 * what  in  "vision", "text": for the message
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
clip_status clipmdl_check_heads(const char *what, int width, int heads, const char *file, clip_error *err);

/* nn.Linear's and nn.Conv2d's own: uniform within 1/sqrt(fan_in), weights and biases alike. */
clipmdl_draw clipmdl_draw_linear(double fan_in);
bool clipmdl_name_ends(const char *name, const char *end);

/* ---- The rows -------------------------------------------------------------------------------- */

/* vit.c: Dosovitskiy et al. 2020, arXiv:2010.11929, with CLIP's norm before the blocks */
extern const clipmdl_tower_kind clipmdl_vit;

/* resnet.c: He et al. 2015, arXiv:1512.03385, with the changes of arXiv:2103.00020, section 2.4 */
extern const clipmdl_tower_kind clipmdl_resnet;

/* text.c: the text Transformer */
extern const clipmdl_tower_kind clipmdl_text;

#endif
