/* model.h: the towers. Each is a struct of packed layers, a bind function that fills it from a file, a layout of what it
 * computes, and a forward.
 *
 *     clipmdl_x_init     allocate what the configuration counts (blocks)
 *     clipmdl_x_bind     fill it; run twice (bind.h)
 *     clipmdl_x_layout   place the acts of a batch; run twice (base/arena.h)
 *     clipmdl_x_forward  embeddings [N, D], not yet normalised */
#ifndef CLIPMDL_MODEL_H
#define CLIPMDL_MODEL_H

#include "model/bind.h"

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
} clipmdl_vit;

typedef struct clipmdl_vit_acts {
    float *patches; /* [N*G*G, 3*P*P] */
    float *embed;   /* [N*G*G, C] */
    float *x;       /* [N*(1+G*G), C] */
    float *pooled;  /* [N, C] */
    int32_t *off, *read;
    clipnn_block_acts block, last;
} clipmdl_vit_acts;

clip_status clipmdl_vit_init(clipmdl_vit *m, const clipmdl_config *c);
void clipmdl_vit_free(clipmdl_vit *m);
void clipmdl_vit_bind(clipmdl_binder *b, clipmdl_vit *m);
int clipmdl_vit_tokens(const clipmdl_vit *m); /* 1 + G*G */
void clipmdl_vit_layout(clipb_arena *a, clipmdl_vit_acts *acts, const clipmdl_vit *m, int N);
void clipmdl_vit_forward(const clipk_ctx *k, clipmdl_vit_acts *acts, const clipmdl_vit *m, const float *pixels, int N, float *out);

/* ---- Modified ResNet (resnet.c): He et al. 2015, arXiv:1512.03385, with the changes of arXiv:2103.00020, 2.4:
 *      a stem of three convolutions, blur pooling in the place of strides, attention pooling in the place of the mean */

typedef struct clipmdl_bottleneck {
    int in, planes, stride;    /* out = 4 planes */
    clipnn_linear conv1;       /* [planes, in] */
    clipnn_conv3x3 conv2;      /* [planes, planes, 3, 3] */
    clipnn_linear conv3;       /* [4 planes, planes] */
    clipnn_linear downsample;  /* [4 planes, in], where has_downsample */
    bool has_downsample;
} clipmdl_bottleneck;

typedef struct clipmdl_resnet {
    clipmdl_vision_config cfg;
    int embed_dim;
    clipnn_linear conv1;         /* [C/2, 27] */
    clipnn_conv3x3 conv2, conv3; /* [C/2, C/2, 3, 3], [C, C/2, 3, 3] */
    clipmdl_bottleneck *block;   /* [blocks] */
    int blocks;
    const float *positional_embedding; /* [1+G*G, 32 C] */
    clipnn_linear q, kv, c_proj;       /* [32C, 32C], [64C, 32C], [D, 32C] */
} clipmdl_resnet;

typedef struct clipmdl_resnet_acts {
    float *columns;  /* im2col of the pixels */
    float *x, *y;    /* what goes into a stage and what comes out; they swap */
    float *narrow, *conv, *pooled; /* inside a bottleneck */
    float *tokens, *q, *kv, *att; /* attention pool */
    int32_t *off, *one_each;
    void *work;      /* of the 3x3 convolutions */
} clipmdl_resnet_acts;

clip_status clipmdl_resnet_init(clipmdl_resnet *m, const clipmdl_config *c);
void clipmdl_resnet_free(clipmdl_resnet *m);
void clipmdl_resnet_bind(clipmdl_binder *b, clipmdl_resnet *m);
void clipmdl_resnet_layout(clipb_arena *a, clipmdl_resnet_acts *acts, const clipk_ctx *k, const clipmdl_resnet *m, int N);
void clipmdl_resnet_forward(const clipk_ctx *k, clipmdl_resnet_acts *acts, const clipmdl_resnet *m, const float *pixels, int N, float *out);

/* ---- Text Transformer (text.c): causal, so that what follows the pooled token is never computed --------------- */

typedef struct clipmdl_text {
    clipmdl_text_config cfg;
    int embed_dim;
    clipk_view token_embedding;        /* [V, C], in the file */
    const float *positional_embedding; /* [L, C] */
    clipnn_block *block;               /* [layers] */
    clipnn_layernorm ln_final;
    clipnn_linear text_projection;     /* [D, C] */
} clipmdl_text;

typedef struct clipmdl_text_acts {
    float *x;      /* [T, C] */
    float *pooled; /* [N, C] */
    int32_t *read; /* [N] */
    clipnn_block_acts block, last;
} clipmdl_text_acts;

clip_status clipmdl_text_init(clipmdl_text *m, const clipmdl_config *c);
void clipmdl_text_free(clipmdl_text *m);
void clipmdl_text_bind(clipmdl_binder *b, clipmdl_text *m);

/* clipmdl_text_length(): how many of the n ids are needed: up to the one the text is pooled at. 1..n. */
int clipmdl_text_length(const clipmdl_text *m, const int32_t *ids, int n);

/* T: rows of the batch, each text cut to its clipmdl_text_length(). */
void clipmdl_text_layout(clipb_arena *a, clipmdl_text_acts *acts, const clipmdl_text *m, int N, int T);

/* ids [off[N]] ragged, in range and cut as above. */
void clipmdl_text_forward(const clipk_ctx *k, clipmdl_text_acts *acts, const clipmdl_text *m, const int32_t *ids, const int32_t *off, int N, float *out);

/* ---- Shared by both Transformers (transformer.c) -------------------------------------------------------------- */

clipnn_block *clipmdl_blocks_new(int layers, int width, int heads, int mlp, clipk_act act); /* free() it; NULL: out of memory */

/* prefix: "visual.transformer.resblocks." */
void clipmdl_blocks_bind(clipmdl_binder *b, clipnn_block *block, int layers, const char *prefix, float eps);

/* clipmdl_blocks_layout(): acts of the blocks before the last, shared by them, and of the last, of which N rows are read. */
void clipmdl_blocks_layout(clipb_arena *a, clipnn_block_acts *each, clipnn_block_acts *last, float *x, int T, int N, const clipnn_block *p);

/* clipmdl_blocks_forward(): x [T, C] through all blocks; returns the rows read [N, C]. */
const float *clipmdl_blocks_forward(const clipk_ctx *k, clipnn_block_acts *each, clipnn_block_acts *last, float *x, const clipnn_block *p, int layers,
                                    const clipnn_batch *n, const int32_t *read);

#endif
