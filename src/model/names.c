#include "model/names.h"

#include <stdio.h>
#include <string.h>

typedef struct rule {
    const char *openclip, *huggingface;
} rule;

/* Beginnings of names: the first that fits, so the longer ones first. */
static const rule towers[] = {
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
    const char *rest, *tower = begin(towers, sizeof towers / sizeof *towers, name, &rest);
    int layer = 0, digits = 0;
    if (strstr(tower, "layers.") && sscanf(rest, "%d.%n", &layer, &digits) == 1 && digits > 0) {
        const char *block = begin(blocks, sizeof blocks / sizeof *blocks, rest + digits, &rest);
        snprintf(out, CLIPMDL_MAX_NAME, "%s%s%d.%s%s", prefix, tower, layer, block, rest);
    } else {
        snprintf(out, CLIPMDL_MAX_NAME, "%s%s%s", prefix, tower, rest);
    }
}

int clipmdl_parts(clipmdl_scheme scheme, const char *prefix, const char *name, int64_t first, int64_t rows, int64_t total, clipmdl_part *part)
{
    char whole[CLIPMDL_MAX_NAME];
    translate(scheme, prefix, name, whole);
    char *in_proj = strstr(whole, "in_proj_");
    if (!in_proj || (scheme == CLIPMDL_OPENCLIP && !strstr(whole, "attnpool."))) {
        part[0] = (clipmdl_part){.first = first, .rows = rows, .total = total};
        memcpy(part[0].name, whole, sizeof whole);
        return 1;
    }
    const int64_t third = total / 3;
    int n = 0;
    for (int64_t i = first / third; i < (first + rows) / third; i++, n++) {
        part[n] = (clipmdl_part){.first = 0, .rows = third, .total = third};
        snprintf(part[n].name, CLIPMDL_MAX_NAME, "%.*s%c_proj.%.32s", (int)(in_proj - whole), whole, "qkv"[i], in_proj + strlen("in_proj_"));
    }
    return n;
}

bool clipmdl_find_scheme(const clipmdl_store *s, clipmdl_scheme *scheme, const char **prefix)
{
    static const char *const prefixes[] = {"", "module.", "model.", "clip_model."};
    static const struct {
        clipmdl_scheme scheme;
        const char *name;
    } marks[] = {{CLIPMDL_OPENCLIP, "visual.conv1.weight"},
                 {CLIPMDL_HUGGINGFACE, "vision_model.embeddings.patch_embedding.weight"},
                 {CLIPMDL_OPENCLIP, "token_embedding.weight"},
                 {CLIPMDL_HUGGINGFACE, "text_model.embeddings.token_embedding.weight"}};
    for (size_t m = 0; m < sizeof marks / sizeof *marks; m++)
        for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
            char name[CLIPMDL_MAX_NAME];
            snprintf(name, sizeof name, "%s%s", prefixes[p], marks[m].name);
            if (clipmdl_store_find(s, name)) {
                *scheme = marks[m].scheme;
                *prefix = prefixes[p];
                return true;
            }
        }
    return false;
}
