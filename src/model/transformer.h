/* transformer.h: the common part of towers that are Transformers, from the first block to the
 * embedding:
 *
 *     rows -> blocks -> [norm] -> pool -> [pooler] -> [proj_in] -> projection
 *
 * Such a tower is an embedding that makes the rows, and a trunk. */
#ifndef CLIPMDL_TRANSFORMER_H
#define CLIPMDL_TRANSFORMER_H

#include "model/tower.h"

typedef struct clipmdl_trunk {
    int layers, width, embed_dim;
    bool causal;          /* a row sees only itself and rows before it */
    bool post_norm;       /* of the blocks */
    bool no_norm;         /* none stands behind the last block */
    bool layer_scale;     /* ls_1 and ls_2, which are folded into out_proj and c_proj: for inference alone */
    int queries;          /* of OpenCLIP's AttentionalPooler, in place of SigLIP's head; 0: none. Inference alone */
    bool has_pooler;      /* BERT's: tanh(W pooled + b) */
    clipmdl_projection projection;
    clipmdl_proj_in proj_in; /* a layer before the projection, if its width is not 0 */
    float eps;
    clipnn_pool pool;
    clipnn_block *block;   /* [layers] */
    bool norm_last;        /* rows are pooled by their mean, and the norm stands behind it */
    clipnn_layernorm norm; /* before pooling; after it if one row is pooled, with the same result */
    clipnn_attention_pool head; /* if rows are pooled by attention */
    clipnn_linear pooler;  /* [C, C]; if there is one */
    clipnn_linear first;   /* [H, C]: proj_in */
    clipnn_linear proj;    /* [D, C], [D, P] or [D, H]; if there is a projection */
    int first_group;
} clipmdl_trunk;

typedef struct clipmdl_trunk_acts {
    clipnn_block_acts *block; /* [layers] */
    float *normed;            /* [T, C], if all rows are pooled; norm_last: their mean, [N, C] */
    clipnn_attention_pool_acts head;
    float *bare, *sum;        /* [N, C]: what the pooler reads, and its result before tanh; NULL: none */
    float *pooled;            /* [N, C]; [N, P] behind a pooler of another width */
    float *hidden, *pre;      /* [N, H]: the output of proj_in, and that before its activation */
    float *mean, *rstd;       /* the norm's; NULL without a tape, as pre is */
    int32_t *read;            /* [N] the row of each sample that is pooled */
} clipmdl_trunk_acts;

typedef struct clipmdl_trunk_grads {
    float *x;      /* [T, C] */
    float *pooled; /* [N, C] */
    float *bare;   /* [N, C]; NULL: no pooler */
    float *hidden; /* [N, H] */
    clipnn_attention_pool_grads head;
    clipnn_block_grads block;
} clipmdl_trunk_grads;

/* clipmdl_trunk_init(): allocate the blocks of a trunk whose other numbers are set, and fill in the
 * tower's facts. free() trunk->block.
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_trunk_init(clipmdl_tower *t, clipmdl_trunk *m, int heads, int mlp, clipk_act act);

/* clipmdl_trunk_bind(): name the parameters of the groups 1 .. layers + 1.
 * prefix      in  how all names begin: "visual."
 * norm, proj  in  "ln_post", "proj" */
void clipmdl_trunk_bind(clipmdl_binder *b, clipmdl_trunk *m, const char *prefix, const char *norm, const char *proj);

/* clipmdl_trunk_bind_head(): name the parameters of a pool by attention, "attn_pool.". */
void clipmdl_trunk_bind_head(clipmdl_binder *b, clipnn_attention_pool *p, const char *prefix, float eps);

/* clipmdl_trunk_projection(): the name of the projection's weight. */
void clipmdl_trunk_projection(clipmdl_projection p, const char *prefix, const char *proj,
                              char out[CLIPMDL_MAX_NAME]);

/* clipmdl_trunk_layout(): place everything except the blocks.
 * clipmdl_trunk_layout_blocks(): place the blocks. They start when x [T, C] is complete, so they
 * may overlap the memory that was needed only to make x.
 * tape  out  where it ends; NULL: no tape */
void clipmdl_trunk_layout(clipb_arena *a, clipmdl_trunk_acts *acts, const clipmdl_trunk *m, int N, int T, bool tape);
void clipmdl_trunk_layout_blocks(clipb_arena *a, clipmdl_trunk_acts *acts, clipmdl_tape *tape, const clipmdl_trunk *m,
                                 float *x, int N, int T, const clipmdl_tap *tap);
void clipmdl_trunk_layout_grads(clipb_arena *a, clipmdl_trunk_grads *g, const clipk_ctx *k, const clipmdl_trunk *m,
                                int N, int T, size_t work, const clipnn_relevance *relevance);

/* clipmdl_trunk_forward(): from the layout's x to out [N, D].
 * ids  in   of the batch, if they say which row is pooled; NULL for pictures
 * out  out  NULL: stop at acts->pooled */
void clipmdl_trunk_forward(const clipk_ctx *k, const clipmdl_trunk_acts *a, const clipmdl_trunk *m,
                           const clipnn_batch *n, const int32_t *ids, const clipmdl_tap *tap, float *out);

/* clipmdl_trunk_backward(): from dout [N, D] to the gradient of x, in own->x.
 * @return: is the embedding trained? Then its group is next. */
bool clipmdl_trunk_backward(const clipk_ctx *k, const clipmdl_grads *g, const clipmdl_trunk_grads *own,
                            const clipmdl_trunk_acts *a, const clipmdl_trunk *m, const clipnn_batch *n,
                            const float *dout);

#endif
