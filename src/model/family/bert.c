/* bert.c: names and settings of transformers' BERT. */
#include "model/family/bert.h"

#include "base/json.h"

const clipmdl_rename clipmdl_bert_blocks[] = {
    {"ln_1.", "attention.output.LayerNorm.", NULL},
    {"ln_2.", "output.LayerNorm.", NULL},
    {"attn.in_proj_", "attention.self.{query,key,value}.", NULL},
    {"attn.out_proj.", "attention.output.dense.", NULL},
    {"mlp.c_fc.", "intermediate.dense.", NULL},
    {"mlp.c_proj.", "output.dense.", NULL},
    {0},
};

clip_status clipmdl_bert_read(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *t)
{
    TRY(clipb_json_int(o, "vocab_size", 1, CLIPMDL_MOST_VOCABULARY, &t->vocab_size, r->file, r->err));
    TRY(clipmdl_json_size(r, o, "hidden_size", &t->width));
    TRY(clipmdl_json_size(r, o, "num_attention_heads", &t->heads));
    TRY(clipb_json_int(o, "num_hidden_layers", 1, CLIPMDL_MOST_LAYERS, &t->layers, r->file, r->err));
    TRY(clipmdl_json_size(r, o, "intermediate_size", &t->mlp));
    TRY(clipmdl_json_size(r, o, "max_position_embeddings", &t->bert.positions));
    TRY(clipmdl_json_size(r, o, "type_vocab_size", &t->bert.token_types));
    TRY(clipb_json_int(o, "pad_token_id", 0, CLIPMDL_MOST_VOCABULARY, &t->bert.pad_id, r->file, r->err));
    return clipb_json_float(o, "layer_norm_eps", &t->eps, r->file, r->err);
}

void clipmdl_bert_put(FILE *f, const clipmdl_text_config *t)
{
    fprintf(f,
            "    \"hidden_size\": %d,\n    \"intermediate_size\": %d,\n    \"num_attention_heads\": %d,\n"
            "    \"num_hidden_layers\": %d,\n    \"hidden_act\": \"gelu\",\n    \"layer_norm_eps\": ",
            t->width, t->mlp, t->heads, t->layers);
    clipmdl_put_float(f, (double)t->eps);
    fprintf(f,
            ",\n    \"max_position_embeddings\": %d,\n    \"type_vocab_size\": %d,\n    \"vocab_size\": %d,\n"
            "    \"pad_token_id\": %d\n",
            t->bert.positions, t->bert.token_types, t->vocab_size, t->bert.pad_id);
}
