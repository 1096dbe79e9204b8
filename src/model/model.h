/* model.h: the towers. Each is a struct of packed layers, a bind function that fills it from a file or from training's parameters, a layout
 * of what it computes, a forward and a backward.
 *
 *     clipmdl_x_init         allocate what the configuration counts (blocks)
 *     clipmdl_x_bind         fill it; run twice (bind.h)
 *     clipmdl_x_layout       place the acts of a batch; run twice (base/arena.h); with a tape, all that backward needs is kept
 *     clipmdl_x_forward      embeddings [N, D], not yet normalised; out NULL: no further than acts->pooled, which is before the projection
 *     clipmdl_x_layout_grads, clipmdl_x_backward   after a forward with a tape, which it uses up: dout [N, D] into the gradients of the parameters
 *
 * Groups are what unlocks together in fine-tuning (OpenCLIP's lock_image_tower): 0 the embedding, 1 .. the blocks but the last, then the last with
 * the norm behind it, then the projection. Backward goes down to the lowest that is trained. */
#ifndef CLIPMDL_MODEL_H
#define CLIPMDL_MODEL_H

#include "model/bind.h"

/* What is read of a tower on its way, besides what it is for: all rows of one layer. */
typedef struct clipmdl_tap {
    int layer;                    /* what goes into block `layer`; the number of blocks: what comes out of the last. A ResNet's are its four stages */
    const clipnn_layernorm *norm; /* that the rows go through; NULL: as they are */
    float *rows;                  /* out: [T, C] */
    bool ends;                    /* nothing behind it is wanted: forward stops here */
} clipmdl_tap;

/* Where the tape of a Transformer ends, in bytes from where its arena began: what lies beyond the end of a group, backward of that group and of
 * those below it no longer reads. */
typedef struct clipmdl_tape {
    size_t first, block, all; /* of the embedding; how much further with each block; of the last block */
    int layers;
} clipmdl_tape;

static inline size_t clipmdl_tape_end(const clipmdl_tape *t, int group)
{
    return group < t->layers ? t->first + (size_t)group * t->block : t->all;
}

/* ---- ViT (vit.c): Dosovitskiy et al. 2020, arXiv:2010.11929, with CLIP's extra norm before the blocks ------- */

typedef struct clipmdl_vit {
    clipmdl_vision_config cfg;
    int embed_dim;
    clipnn_linear conv1;              /* [C, 3*P*P] */
    const float *class_embedding;     /* [C] */
    const float *positional_embedding; /* [1+G*G, C] */
    clipnn_layernorm ln_pre, ln_post;
    clipnn_block *block;              /* [layers] */
    clipnn_linear proj;               /* [D, C] */
    float *d_class_embedding, *d_positional_embedding; /* training alone */
    int first_group;                  /* the lowest that is trained */
} clipmdl_vit;

typedef struct clipmdl_vit_acts {
    int K;             /* patches a picture: G*G, or fewer with patch dropout */
    const int32_t *kept; /* [N, K] which; NULL: all */
    const float *pixels; /* [N, 3, S, S] the caller's, which backward reads again */
    float *patches;    /* [N*K, 3*P*P] */
    float *embed;      /* [N*K, C]; on the way back its gradient */
    float *tokens;     /* [N*(1+K), C]: before ln_pre */
    float *x;          /* after it; tokens itself where nothing is kept, or without ln_pre */
    float *mean_pre, *rstd_pre, *mean_post, *rstd_post;
    float *pooled;     /* [N, C] */
    int32_t *off, *read;
    clipnn_block_acts *block; /* [layers] */
    clipmdl_tape tape;
    const clipmdl_tap *tap;   /* NULL: none */
} clipmdl_vit_acts;

typedef struct clipmdl_tower_grads {
    float *x;      /* [T, C] */
    float *pooled; /* [N, C] */
    clipnn_block_grads block;
    /* Called before the gradients of a group's parameters are added to, the last group first; NULL, as layout leaves it: nobody wants to know. */
    void (*enter)(void *user, int group);
    void *user;
} clipmdl_tower_grads;

clip_status clipmdl_vit_init(clipmdl_vit *m, const clipmdl_config *c);
void clipmdl_vit_free(clipmdl_vit *m);
void clipmdl_vit_bind(clipmdl_binder *b, clipmdl_vit *m);
int clipmdl_vit_tokens(const clipmdl_vit *m); /* 1 + G*G */

/* K: patches a picture, 0: all. Set acts->kept afterwards where there are fewer. */
void clipmdl_vit_layout(clipb_arena *a, clipmdl_vit_acts *acts, const clipmdl_vit *m, int N, int K, bool tape);
/* clipmdl_vit_layout_tap(): all patches, no tape, and a tap that lives until forward has run. */
void clipmdl_vit_layout_tap(clipb_arena *a, clipmdl_vit_acts *acts, const clipmdl_vit *m, int N,
                            const clipmdl_tap *tap);
void clipmdl_vit_layout_grads(clipb_arena *a, clipmdl_tower_grads *g, const clipk_ctx *k, const clipmdl_vit *m, int N,
                              int K);
void clipmdl_vit_forward(const clipk_ctx *k, clipmdl_vit_acts *acts, const clipmdl_vit *m, const float *pixels, int N,
                         float *out);
void clipmdl_vit_backward(const clipk_ctx *k, const clipmdl_tower_grads *g, const clipmdl_vit_acts *acts,
                          const clipmdl_vit *m, const float *dout, int N);

/* ---- Modified ResNet (resnet.c): He et al. 2015, arXiv:1512.03385, with the changes of arXiv:2103.00020, 2.4:
 *      a stem of three convolutions, blur pooling in the place of strides, attention pooling in the place of the mean */

typedef struct clipmdl_bottleneck {
    int in, planes, stride;     /* out = 4 planes */
    clipnn_conv1x1 conv1;       /* [planes, in] */
    clipnn_conv3x3 conv2;       /* [planes, planes, 3, 3] */
    clipnn_conv1x1 conv3;       /* [4 planes, planes] */
    clipnn_conv1x1 downsample;  /* [4 planes, in], where has_downsample */
    bool has_downsample;
} clipmdl_bottleneck;

typedef struct clipmdl_resnet {
    clipmdl_vision_config cfg;
    int embed_dim;
    clipnn_conv1x1 conv1;        /* [C/2, 27], over im2col's columns */
    clipnn_conv3x3 conv2, conv3; /* [C/2, C/2, 3, 3], [C, C/2, 3, 3] */
    clipmdl_bottleneck *block;   /* [blocks] */
    int blocks;
    const float *positional_embedding; /* [1+G*G, 32 C] */
    clipnn_linear q, kv, c_proj;       /* [32C, 32C], [64C, 32C], [D, 32C] */
    float *d_positional_embedding;     /* training alone */
} clipmdl_resnet;

typedef struct clipmdl_bottleneck_acts {
    int S;          /* side of what comes in */
    float *x, *y;   /* what comes in; what goes out, which without a tape may be x */
    clipnn_conv_acts conv1, conv2, conv3, downsample;
} clipmdl_bottleneck_acts;

typedef struct clipmdl_resnet_acts {
    float *columns; /* im2col of the pixels */
    float *x, *y;   /* the stem's maps; without a tape the blocks' too */
    clipnn_conv_acts conv1, conv2, conv3;
    clipmdl_bottleneck_acts *block; /* [blocks] */
    float *narrow, *inner, *pooled; /* inside a bottleneck */
    float *tokens, *q, *kv, *att, *lse; /* attention pool */
    int32_t *off, *one_each;
    void *work;     /* of the convolutions */
    const clipmdl_tap *tap; /* rows alone; NULL, as layout leaves it: none */
} clipmdl_resnet_acts;

clip_status clipmdl_resnet_init(clipmdl_resnet *m, const clipmdl_config *c);
void clipmdl_resnet_free(clipmdl_resnet *m);
void clipmdl_resnet_bind(clipmdl_binder *b, clipmdl_resnet *m);
void clipmdl_resnet_layout(clipb_arena *a, clipmdl_resnet_acts *acts, const clipk_ctx *k, const clipmdl_resnet *m,
                           int N, bool tape);
void clipmdl_resnet_forward(const clipk_ctx *k, clipmdl_resnet_acts *acts, const clipmdl_resnet *m, const float *pixels,
                            int N, float *out);

/* clipmdl_resnet_map(): what a tap of this layer gets of a picture: side * side rows, returns their width. */
int clipmdl_resnet_map(const clipmdl_resnet *m, int layer, int *side);

typedef struct clipmdl_resnet_grads {
    float *x, *wide;                /* of a block's output, then of its input; of what is as wide */
    float *narrow, *inner, *pooled; /* inside a bottleneck */
    float *tokens, *q, *kv, *att;   /* attention pool */
    void *work;
} clipmdl_resnet_grads;

void clipmdl_resnet_layout_grads(clipb_arena *a, clipmdl_resnet_grads *g, const clipk_ctx *k, const clipmdl_resnet *m,
                                 int N);
void clipmdl_resnet_backward(const clipk_ctx *k, const clipmdl_resnet_grads *g, const clipmdl_resnet_acts *acts,
                             const clipmdl_resnet *m, const float *dout, int N);

/* ---- Text Transformer (text.c): causal, so that what follows the pooled token is never computed --------------- */

typedef struct clipmdl_text {
    clipmdl_text_config cfg;
    int embed_dim;
    clipk_view token_embedding;        /* [V, C], in the file */
    const float *positional_embedding; /* [L, C] */
    clipnn_block *block;               /* [layers] */
    clipnn_layernorm ln_final;
    clipnn_linear text_projection;     /* [D, C] */
    float *d_token_embedding, *d_positional_embedding; /* training alone */
    int first_group;                   /* the lowest that is trained */
} clipmdl_text;

typedef struct clipmdl_text_acts {
    float *x;      /* [T, C] */
    float *mean_final, *rstd_final;
    float *pooled; /* [N, C] */
    int32_t *read; /* [N] */
    clipnn_block_acts *block; /* [layers] */
    clipmdl_tape tape;
    const clipmdl_tap *tap;   /* NULL: none */
} clipmdl_text_acts;

clip_status clipmdl_text_init(clipmdl_text *m, const clipmdl_config *c);
void clipmdl_text_free(clipmdl_text *m);
void clipmdl_text_bind(clipmdl_binder *b, clipmdl_text *m);

/* clipmdl_text_length(): how many of the n ids are needed: up to the one the text is pooled at. 1..n. */
int clipmdl_text_length(const clipmdl_text *m, const int32_t *ids, int n);

/* T: rows of the batch, each text cut to its clipmdl_text_length(). */
void clipmdl_text_layout(clipb_arena *a, clipmdl_text_acts *acts, const clipmdl_text *m, int N, int T, bool tape);
/* clipmdl_text_layout_tap(): no tape, and a tap that lives until forward has run. Texts need not be cut: what is behind is computed for the tap. */
void clipmdl_text_layout_tap(clipb_arena *a, clipmdl_text_acts *acts, const clipmdl_text *m, int N, int T,
                             const clipmdl_tap *tap);
void clipmdl_text_layout_grads(clipb_arena *a, clipmdl_tower_grads *g, const clipk_ctx *k, const clipmdl_text *m, int N,
                               int T);

/* ids [off[N]] ragged, in range and cut as above (but see the tap). */
void clipmdl_text_forward(const clipk_ctx *k, clipmdl_text_acts *acts, const clipmdl_text *m, const int32_t *ids,
                          const int32_t *off, int N, float *out);
void clipmdl_text_backward(const clipk_ctx *k, const clipmdl_tower_grads *g, const clipmdl_text_acts *acts,
                           const clipmdl_text *m, const int32_t *ids, const int32_t *off, const float *dout, int N);

/* ---- Shared by both Transformers (transformer.c) -------------------------------------------------------------- */

clipnn_block *clipmdl_blocks_new(int layers, int width, int heads, int mlp, clipk_act act); /* free() it; NULL: out of memory */

/* prefix: "visual.transformer.resblocks." */
void clipmdl_blocks_bind(clipmdl_binder *b, clipnn_block *block, int layers, const char *prefix, float eps);

/* clipmdl_blocks_layout(): acts [layers] of the blocks: of the last N rows are read (0: all). Without a tape all but the last are the same.
 * acts  itself from the arena, where nothing else shares its room; NULL while measuring
 * ends  out  of the tape; NULL: there is none */
void clipmdl_blocks_layout(clipb_arena *a, clipnn_block_acts *acts, clipmdl_tape *ends, float *x, int T, int N,
                           const clipnn_block *p, int layers);
void clipmdl_blocks_layout_grads(clipb_arena *a, clipmdl_tower_grads *g, const clipk_ctx *k, int T, int N,
                                 const clipnn_block *p, size_t work);

/* clipmdl_blocks_forward(): acts[0].x [T, C] through all blocks; returns the rows read [N, C], NULL where the tap ends there.
 * read  in  of the last block; NULL: all its rows, which must be so where the tap is there (clipmdl_taps_all())
 * tap   in  NULL: none */
const float *clipmdl_blocks_forward(const clipk_ctx *k, const clipnn_block_acts *acts, const clipnn_block *p,
                                    int layers, const clipnn_batch *n, const int32_t *read, const clipmdl_tap *tap);
static inline bool clipmdl_taps_all(const clipmdl_tap *tap, int layers) { return tap && tap->layer == layers; }

static inline void clipmdl_enter(const clipmdl_tower_grads *g, int group)
{
    if (g->enter)
        g->enter(g->user, group);
}

/* clipmdl_blocks_backward(): the gradient of the rows read, dout [N, C], to that of acts[first].x in g->x. The last block's group has been entered. */
void clipmdl_blocks_backward(const clipk_ctx *k, const clipmdl_tower_grads *g, const float *dout,
                             const clipnn_block_acts *acts, const clipnn_block *p, int layers, int first,
                             const clipnn_batch *n, const int32_t *read);

#endif
