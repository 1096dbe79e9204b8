/* shapes.c: a configuration from the shapes of the weights, as OpenAI's build_model() reads them
 * (openai/CLIP, clip/model.py). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/names.h"
#include "model/tower.h"

typedef struct shapes {
    const clipmdl_store *store;
    const clipmdl_family *family;
    const char *prefix;
    clip_error *err;
} shapes;

static const clipmdl_tensor *find(const shapes *s, const char *name)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    clipmdl_parts(s->family, s->prefix, name, 0, 1, 1, part);
    return clipmdl_store_find(s->store, part[0].name);
}

/* Dimension i of a tensor that must have `ndim` dimensions. */
static clip_status dim(const shapes *s, const char *name, int ndim, int i, int *out)
{
    const clipmdl_tensor *t = find(s, name);
    if (!t)
        return clipb_fail(s->err, CLIP_EMISMATCH, s->store->file,
                          "no configuration beside it, and no tensor '%s' to infer one from", name);
    bool fits = t->ndim == ndim;
    for (int d = 0; fits && d < ndim; d++)
        fits = t->dim[d] >= 1 && t->dim[d] <= 1 << 24;
    if (!fits)
        return clipb_fail(s->err, CLIP_EMISMATCH, s->store->file, "tensor '%s' has a shape that no CLIP has", t->name);
    *out = (int)t->dim[i];
    return CLIP_OK;
}

/* How many of "before0after", "before1after", ... exist. */
static int count(const shapes *s, const char *before, const char *after)
{
    int n = 0;
    char name[CLIPMDL_MAX_NAME];
    do
        snprintf(name, sizeof name, "%s%d%s", before, n, after);
    while (find(s, name) && ++n < 1000);
    return n;
}

static clip_status root(const shapes *s, const char *name, int *side)
{
    int n;
    TRY(dim(s, name, 2, 0, &n));
    *side = (int)lround(sqrt(n - 1));
    if (*side * *side != n - 1 || n < 2)
        return clipb_fail(s->err, CLIP_EMISMATCH, s->store->file,
                          "'%s' has %d positions, which is not a square plus one", name, n);
    return CLIP_OK;
}

/* Shapes do not show the width of a head. That of known models is 64. */
static clip_status heads_of(const shapes *s, const char *what, int width, int *heads)
{
    *heads = width / 64;
    if (width % 64 == 0)
        return CLIP_OK;
    return clipb_fail(s->err, CLIP_EUNSUPPORTED, s->store->file,
                      "no configuration beside it, and shapes do not tell how many attention heads a %s encoder %d "
                      "wide has: its %s is needed", what, width, s->family->config_file);
}

/* OpenCLIP's vision Transformers from ViT-H on (1280, 1408, 1664, 1792 wide) have 16 heads of any
 * width. */
static clip_status vision_heads(const shapes *s, int width, int *heads)
{
    if (width < 1280)
        return heads_of(s, "vision", width, heads);
    *heads = 16;
    return CLIP_OK;
}

static clip_status vision(const shapes *s, clipmdl_vision_config *v)
{
    int side;
    if (find(s, "visual.proj") || find(s, "visual.class_embedding") || !find(s, "visual.layer1.0.conv1.weight")) {
        v->tower = &clipmdl_vit;
        v->class_token = true;
        TRY(dim(s, "visual.conv1.weight", 4, 0, &v->width));
        TRY(dim(s, "visual.conv1.weight", 4, 3, &v->patch_size));
        TRY(root(s, "visual.positional_embedding", &side));
        if (v->patch_size > 1 << 16)
            return clipb_fail(s->err, CLIP_EMISMATCH, s->store->file, "patches of %d pixels", v->patch_size);
        v->image_size = side * v->patch_size; /* side is below 2^12 */
        TRY(vision_heads(s, v->width, &v->heads));
        v->layers = count(s, "visual.transformer.resblocks.", ".ln_1.weight");
        v->ln_pre = find(s, "visual.ln_pre.weight") != NULL;
        v->eps = 1e-5f;
        return dim(s, "visual.transformer.resblocks.0.mlp.c_fc.weight", 2, 0, &v->mlp);
    }
    v->tower = &clipmdl_resnet;
    TRY(dim(s, "visual.layer1.0.conv1.weight", 4, 0, &v->width));
    TRY(root(s, "visual.attnpool.positional_embedding", &side));
    v->image_size = side * 32;
    v->heads = v->width * 32 / 64;
    for (int i = 0; i < 4; i++) {
        char before[CLIPMDL_MAX_NAME];
        snprintf(before, sizeof before, "visual.layer%d.", i + 1);
        v->stage[i] = count(s, before, ".conv1.weight");
    }
    return CLIP_OK;
}

/* BERT's heads are 64 wide. */
static clip_status bert(const shapes *s, clipmdl_text_config *t)
{
    t->tower = &clipmdl_bert;
    t->bert.names = "bert.";
    TRY(dim(s, "bert.token_embedding.weight", 2, 0, &t->vocab_size));
    TRY(dim(s, "bert.token_embedding.weight", 2, 1, &t->width));
    TRY(dim(s, "bert.positional_embedding", 2, 0, &t->bert.positions));
    TRY(dim(s, "bert.token_type_embedding", 2, 0, &t->bert.token_types));
    TRY(dim(s, "bert.transformer.resblocks.0.mlp.c_fc.weight", 2, 0, &t->mlp));
    TRY(heads_of(s, "text", t->width, &t->heads));
    t->layers = count(s, "bert.transformer.resblocks.", ".ln_1.weight");
    return CLIP_OK;
}

static clip_status text(const shapes *s, clipmdl_text_config *t)
{
    if (find(s, "bert.token_embedding.weight"))
        return bert(s, t);
    t->tower = &clipmdl_text;
    t->causal = true;
    TRY(dim(s, "positional_embedding", 2, 0, &t->context_length));
    TRY(dim(s, "token_embedding.weight", 2, 0, &t->vocab_size));
    TRY(dim(s, "ln_final.weight", 1, 0, &t->width));
    TRY(dim(s, "transformer.resblocks.0.mlp.c_fc.weight", 2, 0, &t->mlp));
    TRY(heads_of(s, "text", t->width, &t->heads));
    t->layers = count(s, "transformer.resblocks.", ".ln_1.weight");
    t->eps = 1e-5f;
    t->pooling = CLIPNN_POOL_ARGMAX;
    return CLIP_OK;
}

/* The width of the embedding; 0 for an encoder alone without a projection. */
static clip_status embed_dim(const shapes *s, clipmdl_config *c)
{
    const char *name = c->towers & CLIP_TOWER_TEXT ? "text_projection" : "visual.proj";
    if (c->towers == CLIP_TOWER_IMAGE && c->vision.tower == &clipmdl_resnet)
        return dim(s, "visual.attnpool.c_proj.weight", 2, 0, &c->embed_dim);
    if (c->towers != CLIP_TOWER_BOTH && !find(s, name))
        return CLIP_OK;
    return dim(s, name, 2, s->family->transposes ? 1 : 0, &c->embed_dim);
}

/* Towers whose settings shapes do not show. */
static clip_status check_plain(const shapes *s)
{
    static const char *const names[] = {"text.token_embedding.weight", "visual.trunk.conv1.weight"};
    for (int i = 0; i < 2; i++)
        if (find(s, names[i]))
            return clipb_fail(s->err, CLIP_EUNSUPPORTED, s->store->file,
                              "is an OpenCLIP model with custom_text or an encoder of timm's. Shapes do not tell its "
                              "settings: its open_clip_config.json is needed");
    return CLIP_OK;
}

clip_status clipmdl_config_from_shapes(const clipmdl_store *store, const clipmdl_found *f, clipmdl_config *out,
                                       clip_error *err)
{
    const shapes s = {store, f->family, f->prefix, err};
    *out = (clipmdl_config){.towers = f->towers};
    TRY(check_plain(&s));
    if (f->towers & CLIP_TOWER_IMAGE)
        TRY(vision(&s, &out->vision));
    TRY(embed_dim(&s, out));
    if (f->towers & CLIP_TOWER_TEXT)
        TRY(text(&s, &out->text));
    TRY(f->family->guess(store, f, out, err));
    return clipmdl_config_check(out, store->file, err);
}
