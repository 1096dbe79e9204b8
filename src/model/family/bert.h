/* bert.h: what the families have in common whose texts are read by an encoder of transformers: the
 * names of its tensors. */
#ifndef CLIPMDL_FAMILY_BERT_H
#define CLIPMDL_FAMILY_BERT_H

#include "model/family/words.h"

/* Rules for names that begin with "bert." in the code. before: how they begin in the file. */
#define CLIPMDL_BERT_NAMES(before)                                                              \
    {"bert.transformer.resblocks.", before "encoder.layer.", clipmdl_bert_blocks},              \
        {"bert.token_embedding.", before "embeddings.word_embeddings.", NULL},                  \
        {"bert.positional_embedding", before "embeddings.position_embeddings.weight", NULL},    \
        {"bert.token_type_embedding", before "embeddings.token_type_embeddings.weight", NULL},  \
        {"bert.ln_embedding.", before "embeddings.LayerNorm.", NULL},                           \
        {"bert.pooler.", before "pooler.dense.", NULL}

extern const clipmdl_rename clipmdl_bert_blocks[];

/* Settings of a BERT in transformers that change nothing here. */
#define CLIPMDL_BERT_SETTINGS                                                                            \
    " attention_probs_dropout_prob hidden_dropout_prob classifier_dropout type_vocab_size directionality" \
    " output_past pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head"    \
    " pooler_type"
#define CLIPMDL_BERT_ONE_OF                   \
    {"position_embedding_type", "absolute"},  \
    {                                         \
        "hidden_act", "gelu"                  \
    }

/* clipmdl_bert_read(): sizes from a configuration of transformers. *t holds the defaults.
 * Errors: CLIP_EFORMAT. */
clip_status clipmdl_bert_read(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t);

/* clipmdl_bert_put(): the settings that clipmdl_bert_read() reads, without the braces around. */
void clipmdl_bert_put(FILE *f, const clipmdl_text_config *t);

#endif
