#include "model/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct rule {
    const char *openclip, *huggingface;
} rule;

/* Beginnings of names: the first that fits, so the longer ones first. */
static const rule tower_rules[] = {
    {"visual.transformer.resblocks.", "vision_model.encoder.layers."},
    {"visual.class_embedding", "vision_model.embeddings.class_embedding"},
    {"visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"},
    {"visual.conv1.", "vision_model.embeddings.patch_embedding."},
    {"visual.ln_pre.", "vision_model.pre_layrnorm."}, /* transformers' own spelling */
    {"visual.ln_post.", "vision_model.post_layernorm."},
    {"visual.proj", "visual_projection.weight"},
    {"transformer.resblocks.", "text_model.encoder.layers."},
    {"token_embedding.", "text_model.embeddings.token_embedding."},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
    {"ln_final.", "text_model.final_layer_norm."},
    {"text_projection", "text_projection.weight"},
    {"logit_scale", "logit_scale"},
};

/* Behind "resblocks.N.". */
static const rule blocks[] = {
    {"ln_1.", "layer_norm1."},
    {"ln_2.", "layer_norm2."},
    {"attn.out_proj.", "self_attn.out_proj."},
    {"attn.in_proj_", "self_attn.in_proj_"},
    {"mlp.c_fc.", "mlp.fc1."},
    {"mlp.c_proj.", "mlp.fc2."},
};

/* Translate the beginning of `name`; *rest is what follows it. */
static const char *begin(const rule *r, size_t n, const char *name, const char **rest)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(name, r[i].openclip, strlen(r[i].openclip)) == 0) {
            *rest = name + strlen(r[i].openclip);
            return r[i].huggingface;
        }
    *rest = name;
    return "";
}

static void translate(clipmdl_scheme scheme, const char *prefix, const char *name, char *out)
{
    if (scheme == CLIPMDL_OPENCLIP) {
        snprintf(out, CLIPMDL_MAX_NAME, "%s%s", prefix, name);
        return;
    }
    const char *rest, *tower = begin(tower_rules, sizeof tower_rules / sizeof *tower_rules, name, &rest);
    if (scheme == CLIPMDL_HUGGINGFACE_TOWER &&
        (strncmp(tower, "vision_model.", 13) == 0 || strncmp(tower, "text_model.", 11) == 0))
        tower = strchr(tower, '.') + 1;
    int layer = 0, digits = 0;
    if (strstr(tower, "layers.") && sscanf(rest, "%d.%n", &layer, &digits) == 1 && digits > 0) {
        const char *block = begin(blocks, sizeof blocks / sizeof *blocks, rest + digits, &rest);
        snprintf(out, CLIPMDL_MAX_NAME, "%s%s%d.%s%s", prefix, tower, layer, block, rest);
    } else {
        snprintf(out, CLIPMDL_MAX_NAME, "%s%s%s", prefix, tower, rest);
    }
}

int clipmdl_parts(clipmdl_scheme scheme, const char *prefix, const char *name, int64_t first, int64_t rows,
                  int64_t total, clipmdl_part *part)
{
    char whole[CLIPMDL_MAX_NAME];
    translate(scheme, prefix, name, whole);
    char *in_proj = strstr(whole + strlen(prefix), "in_proj_"); /* whatever the prefix says */
    if (!in_proj || (scheme == CLIPMDL_OPENCLIP && !strstr(name, "attnpool."))) {
        part[0] = (clipmdl_part){.first = first, .rows = rows, .total = total};
        memcpy(part[0].name, whole, sizeof whole);
        return 1;
    }
    const int64_t third = total / 3;
    int n = 0;
    for (int64_t i = first / third; i < (first + rows) / third; i++, n++) {
        part[n] = (clipmdl_part){.first = 0, .rows = third, .total = third};
        snprintf(part[n].name, CLIPMDL_MAX_NAME, "%.*s%c_proj.%.32s", (int)(in_proj - whole), whole, "qkv"[i],
                 in_proj + strlen("in_proj_"));
    }
    return n;
}

/* ---- Finding --------------------------------------------------------------------------------------------------- */

/* A tensor that every encoder of a kind has. */
static const struct mark {
    const char *name, *also; /* `also` must be there too: OpenCLIP's names are short ones, that other programs use as well */
    clipmdl_scheme scheme;
    int tower;
} marks[] = {
    {"visual.conv1.weight", NULL, CLIPMDL_OPENCLIP, CLIP_TOWER_IMAGE},
    {"token_embedding.weight", "positional_embedding", CLIPMDL_OPENCLIP, CLIP_TOWER_TEXT},
    {"vision_model.embeddings.patch_embedding.weight", NULL, CLIPMDL_HUGGINGFACE, CLIP_TOWER_IMAGE},
    {"text_model.embeddings.token_embedding.weight", NULL, CLIPMDL_HUGGINGFACE, CLIP_TOWER_TEXT},
    {"embeddings.patch_embedding.weight", NULL, CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_IMAGE},
    {"embeddings.token_embedding.weight", NULL, CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_TEXT},
};

/* Is `name` the mark behind some beginning? *prefix: how long that is. The beginning ends with a dot. */
static bool is_mark(const clipmdl_store *s, const struct mark *m, const char *name, size_t *prefix)
{
    const size_t n = strlen(name), k = strlen(m->name);
    if (n < k || n - k >= CLIPMDL_MAX_PREFIX || strcmp(name + n - k, m->name) != 0 || (n > k && name[n - k - 1] != '.'))
        return false;
    *prefix = n - k;
    if (!m->also)
        return true;
    char also[CLIPMDL_MAX_NAME];
    snprintf(also, sizeof also, "%.*s%s", (int)*prefix, name, m->also);
    return clipmdl_store_find(s, also) != NULL;
}

int clipmdl_find(const clipmdl_store *s, const char *within, clipmdl_found *found)
{
    int n = 0;
    for (size_t t = 0; t < s->n; t++) {
        const char *name = s->tensor[t].name;
        size_t prefix = 0, m = 0;
        if (within && strncmp(name, within, strlen(within)) != 0)
            continue;
        while (m < sizeof marks / sizeof *marks && !is_mark(s, &marks[m], name, &prefix))
            m++;
        if (m == sizeof marks / sizeof *marks)
            continue;
        int i = 0;
        while (i < n && !(found[i].scheme == marks[m].scheme && strlen(found[i].prefix) == prefix &&
                          strncmp(found[i].prefix, name, prefix) == 0))
            i++;
        if (i == CLIPMDL_MAX_FOUND)
            continue;
        if (i == n) {
            found[n] = (clipmdl_found){.scheme = marks[m].scheme};
            memcpy(found[n++].prefix, name, prefix);
        }
        found[i].towers |= marks[m].tower;
    }
    return n;
}

/* ---- What is in a file besides --------------------------------------------------------------- */

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

bool clipmdl_is_whole(const clipmdl_store *s, const char *prefix)
{
    for (size_t i = 0; i < s->n; i++)
        if (!begins(s->tensor[i].name, prefix))
            return false;
    return true;
}

bool clipmdl_in_tower(clipmdl_scheme scheme, const char *prefix, const char *name, int towers)
{
    static const struct {
        clipmdl_scheme scheme;
        int tower;
        const char *begins;
    } parts[] = {
        {CLIPMDL_OPENCLIP, CLIP_TOWER_IMAGE, "visual."},
        {CLIPMDL_OPENCLIP, CLIP_TOWER_TEXT, "transformer."},
        {CLIPMDL_OPENCLIP, CLIP_TOWER_TEXT, "token_embedding"},
        {CLIPMDL_OPENCLIP, CLIP_TOWER_TEXT, "positional_embedding"},
        {CLIPMDL_OPENCLIP, CLIP_TOWER_TEXT, "ln_final"},
        {CLIPMDL_OPENCLIP, CLIP_TOWER_TEXT, "text_projection"},
        {CLIPMDL_OPENCLIP, CLIP_TOWER_TEXT, "cls_emb"},
        {CLIPMDL_HUGGINGFACE, CLIP_TOWER_IMAGE, "vision_model."},
        {CLIPMDL_HUGGINGFACE, CLIP_TOWER_IMAGE, "visual_projection"},
        {CLIPMDL_HUGGINGFACE, CLIP_TOWER_TEXT, "text_model."},
        {CLIPMDL_HUGGINGFACE, CLIP_TOWER_TEXT, "text_projection"},
        {CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_BOTH, "embeddings."},
        {CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_BOTH, "encoder."},
        {CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_IMAGE, "pre_layrnorm"},
        {CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_IMAGE, "post_layernorm"},
        {CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_TEXT, "final_layer_norm"},
        {CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_IMAGE, "visual_projection"},
        {CLIPMDL_HUGGINGFACE_TOWER, CLIP_TOWER_TEXT, "text_projection"},
    };
    if (!begins(name, prefix))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].scheme == scheme && (parts[i].tower & towers) && begins(name + strlen(prefix), parts[i].begins))
            return true;
    return false;
}

bool clipmdl_is_harmless(const char *name)
{
    static const char *const harmless[] = {"position_ids",        "attn_mask",        "logit_scale",    "logit_bias",
                                           "num_batches_tracked", "input_resolution", "context_length", "vocab_size"};
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(last, harmless[i]) == 0)
            return true;
    return false;
}

/* ---- Long-CLIP ------------------------------------------------------------------------------- */

#define LONGCLIP_KEPT 20

clip_status clipmdl_join_positions(clipmdl_store *s, const clipmdl_found *f, clip_error *err)
{
    char name[CLIPMDL_MAX_NAME];
    snprintf(name, sizeof name, "%spositional_embedding_res", f->prefix);
    clipmdl_tensor *rest = f->scheme == CLIPMDL_OPENCLIP ? clipmdl_store_find(s, name) : NULL;
    snprintf(name, sizeof name, "%spositional_embedding", f->prefix);
    clipmdl_tensor *kept = rest ? clipmdl_store_find(s, name) : NULL;
    if (!kept)
        return CLIP_OK;
    if (kept->ndim != 2 || rest->ndim != 2 || kept->dtype != rest->dtype
        || memcmp(kept->dim, rest->dim, 2 * sizeof *kept->dim) != 0 || kept->dim[0] <= LONGCLIP_KEPT)
        return clipb_fail(err, CLIP_EMISMATCH, s->file,
                          "'%s' and '%s' are not two tables of one size and type, as Long-CLIP has them", kept->name,
                          rest->name);
    const size_t head = kept->bytes / (size_t)kept->dim[0] * LONGCLIP_KEPT;
    unsigned char *joined = malloc(kept->bytes);
    if (!joined)
        return clipb_fail(err, CLIP_ENOMEM, s->file, "out of memory");
    memcpy(joined, kept->data, head);
    memcpy(joined + head, rest->data + head, kept->bytes - head);
    kept->data = s->joined = joined;
    kept->map = NULL;
    rest->used = true;
    return CLIP_OK;
}
