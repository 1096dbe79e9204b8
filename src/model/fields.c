/* fields.c: what of a configuration changes embeddings, as words.
 *
 * Two models may have one file of weights, and differ in what shapes do not show: heads,
 * activations, pooling, epsilons. Their embeddings cannot be compared, so the words go into what a
 * model is known by (src/engine/identity.c). A field that is 0 is left out: a new field, 0 in the
 * models of today, does not rename them. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "model/tower.h"

#define FIELD(field, kind)                                                                          \
    {                                                                                              \
        #field, offsetof(clipmdl_config, field), sizeof(((clipmdl_config *)NULL)->field), kind     \
    }
#define N(field) FIELD(field, CLIPMDL_FIELD_NUMBER)
#define F(field) FIELD(field, CLIPMDL_FIELD_FLOAT)
#define WORD(field) FIELD(field, CLIPMDL_FIELD_WORD)
#define SKIP(field) FIELD(field, CLIPMDL_FIELD_SKIPPED)

/* All fields, in the order of config.h. Skipped are the towers' rows, which have names; what only
 * names of tensors, the score and training depend on; and the size that positions are stored for,
 * which is the weights'. */
const clipmdl_field clipmdl_fields[] = {
    SKIP(towers), N(embed_dim), SKIP(logit_bias), SKIP(most_scale),
    SKIP(vision.tower), N(vision.image_size), SKIP(vision.stored_size), N(vision.patch_size), N(vision.width),
    N(vision.heads), N(vision.layers), N(vision.stage[0]), N(vision.stage[1]), N(vision.stage[2]), N(vision.stage[3]),
    N(vision.stage[4]), N(vision.mlp), N(vision.pooling), N(vision.norm_last), N(vision.layer_scale),
    N(vision.pool_queries), N(vision.pool_heads), SKIP(vision.patch_dropout), F(vision.eps), N(vision.act),
    N(vision.pooler), N(vision.projection), SKIP(vision.trunk), N(vision.class_token), N(vision.ln_pre),
    N(vision.patch_bias),
    N(vision.eva.split), N(vision.eva.k_bias), N(vision.eva.inner_norms), N(vision.eva.gated), N(vision.eva.geglu),
    N(vision.eva.post_norm), N(vision.eva.turn), N(vision.eva.turn_from), N(vision.eva.columns_first),
    N(vision.eva.pool_heads), N(vision.eva.bare_class), N(vision.eva.no_positions), N(vision.eva.outer_head),
    N(vision.eva.stem), N(vision.eva.stem_width), N(vision.eva.stem_stage[0]), N(vision.eva.stem_stage[1]),
    N(vision.mlp_head), N(vision.mlp_ratio), N(vision.squeezes), N(vision.layer_norms), N(vision.plain_stem),
    SKIP(text.tower), N(text.context_length), N(text.vocab_size), N(text.width), N(text.heads), N(text.layers),
    N(text.mlp), N(text.pooling), N(text.eos_id), F(text.eps), N(text.act), N(text.projection), N(text.causal),
    N(text.padded), N(text.layer_scale), SKIP(text.custom),
    SKIP(text.bert.names), N(text.bert.positions), N(text.bert.first_position), N(text.bert.token_types),
    N(text.bert.pad_id), F(text.bert.scale), N(text.bert.post_norm), N(text.bert.ln_embedding), N(text.bert.ln_final),
    N(text.bert.pooler), N(text.bert.proj_in.width), N(text.bert.proj_in.act), N(text.bert.proj_in.bias),
    N(text.hf_tokenizer), WORD(text.tokenizer),
    {0}};

/* The value as text; "": it is 0. Floats by their bits, so that no locale has a say. */
static void value_of(const clipmdl_config *c, const clipmdl_field *f, char out[64])
{
    const char *word = NULL;
    uint32_t bits = 0; /* of a bool, an int, an enum or a float */
    const void *at = (const char *)c + f->at;
    *out = 0;
    if (f->kind == CLIPMDL_FIELD_WORD) {
        memcpy(&word, at, sizeof word);
        snprintf(out, 64, "%s", word ? word : "");
    } else if (f->kind != CLIPMDL_FIELD_SKIPPED) {
        if (f->size == sizeof(bool))
            bits = *(const bool *)at;
        else
            memcpy(&bits, at, sizeof bits);
        if (bits)
            snprintf(out, 64, f->kind == CLIPMDL_FIELD_FLOAT ? "0x%08x" : "%u", (unsigned)bits);
    }
}

int clipmdl_config_words(const clipmdl_config *c, char out[CLIPMDL_WORDS])
{
    char value[64];
    int n = snprintf(out, CLIPMDL_WORDS, "%s\n%s\n", c->vision.tower ? c->vision.tower->name : "",
                     c->text.tower ? c->text.tower->name : "");
    for (const clipmdl_field *f = clipmdl_fields; f->name; f++) {
        value_of(c, f, value);
        if (*value)
            n += snprintf(out + n, (size_t)(CLIPMDL_WORDS - n), "%s=%s\n", f->name, value);
    }
    return n;
}
