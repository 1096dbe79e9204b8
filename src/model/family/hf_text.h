/* hf_text.h: text encoders that OpenCLIP takes from transformers by their names. OpenCLIP's
 * configuration says the name and nothing else, so the numbers of the known ones are here. */
#ifndef CLIPMDL_HF_TEXT_H
#define CLIPMDL_HF_TEXT_H

#include "model/family/family.h"

/* name, kind, vocabulary, width, layers, heads, width inside the MLP. */
#define CLIPMDL_HF_TEXTS(X)                                                        \
    X("roberta-base", ROBERTA, 50265, 768, 12, 12, 3072)                           \
    X("xlm-roberta-base", ROBERTA, 250002, 768, 12, 12, 3072)                      \
    X("xlm-roberta-large", ROBERTA, 250002, 1024, 24, 16, 4096)                    \
    X("facebook/nllb-200-distilled-600M", M2M100, 256206, 1024, 12, 16, 4096)      \
    X("facebook/nllb-200-distilled-1.3B", M2M100, 256206, 1024, 24, 16, 8192)      \
    X("google/mt5-base", MT5, 250112, 768, 12, 12, 2048)                          \
    X("google/mt5-xl", MT5, 250112, 2048, 24, 32, 5120)                           \
    X("sentence-transformers/LaBSE", BERT, 501153, 768, 12, 12, 3072)             \
    X("setu4993/LaBSE", BERT, 501153, 768, 12, 12, 3072)

/* clipmdl_hf_text_read(): the encoder of this name. A name that is not in the table may be that of
 * a directory beside the file that is read, with the config.json of an encoder.
 * key  in   the setting that holds the name, for messages
 * out  out  its choices; pooling, projection and context are left at 0
 * Errors: CLIP_EUNSUPPORTED (names it), CLIP_EFORMAT, CLIP_EIO. */
clip_status clipmdl_hf_text_read(const clipmdl_reader *r, const char *key, const char *name,
                                 clipmdl_text_config *out);

/* clipmdl_hf_text_config(): an encoder's own configuration, by its "model_type". Pooling,
 * projection and context are left at 0.
 * Errors: CLIP_EUNSUPPORTED (names the type or the settings), CLIP_EFORMAT. */
clip_status clipmdl_hf_text_config(const clipmdl_reader *r, const cJSON *o, clipmdl_text_config *out);

/* clipmdl_hf_text_bert(): the defaults of the encoder in transformers' FLAVA.
 * clipmdl_hf_text_xlm_roberta(): of that in its AltCLIP. */
clipmdl_text_config clipmdl_hf_text_bert(void);
clipmdl_text_config clipmdl_hf_text_xlm_roberta(void);

/* clipmdl_hf_text_name(): the name of such an encoder in the table, or NULL. */
const char *clipmdl_hf_text_name(const clipmdl_text_config *t);

#endif
