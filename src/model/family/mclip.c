/* mclip.c: Multilingual-CLIP (Carlsson et al. 2022): an XLM-R that has learned to embed texts as
 * another CLIP does, whose image encoder is elsewhere. It can only be read. */
#include <string.h>

#include "model/family/bert.h"
#include "model/family/hf_text.h"
#include "model/settings.h"
#include "model/tower.h"

static const clipmdl_rename names[] = {
    CLIPMDL_BERT_NAMES("transformer."), {"bert.text_projection.", "LinearTransformation.", NULL}, {0}};

static void translate(const char *name, char *out, size_t size) { clipmdl_rename_by(names, name, out, size); }

static const clipmdl_mark marks[] = {
    {"transformer.embeddings.word_embeddings.weight", "LinearTransformation.weight", CLIP_TOWER_TEXT}, {0}};
/* transformer.pooler. is in the files and used by none. */
static const clipmdl_beginning beginnings[] = {{"transformer.embeddings.", CLIP_TOWER_TEXT},
                                               {"transformer.encoder.", CLIP_TOWER_TEXT},
                                               {"LinearTransformation.", CLIP_TOWER_TEXT},
                                               {0}};

static const clipmdl_settings settings = {
    .known = "model_type architectures modelBase numDims transformerDimensions transformers_version torch_dtype dtype"};

static clip_status read_config(const clipmdl_reader *r, const cJSON *root, clipmdl_config *c)
{
    const char *base = "xlm-roberta-large";
    clipmdl_text_config *t = &c->text;
    TRY(clipmdl_settings_check(&settings, root, "Multilingual-CLIP", false, r->file, r->warn, r->warn_user, r->err));
    TRY(clipb_json_string(root, "modelBase", &base, r->file, r->err));
    TRY(clipmdl_hf_text_read(r, "modelBase", base, t));
    c->towers = CLIP_TOWER_TEXT;
    c->embed_dim = 768;
    TRY(clipmdl_json_size(r, root, "numDims", &c->embed_dim));
    t->context_length = t->bert.positions ? t->bert.positions - t->bert.first_position : 512; /* it cuts no text */
    t->pooling = CLIPNN_POOL_MEAN;
    t->projection = CLIPMDL_PROJECTION_LINEAR;
    return CLIP_OK;
}

static clip_status guess(const clipmdl_store *s, const clipmdl_found *f, clipmdl_config *c, clip_error *err)
{
    (void)f;
    (void)c;
    return clipb_fail(err, CLIP_EUNSUPPORTED, s->file, "is a Multilingual-CLIP, whose config.json is needed");
}

static int pad_id(const clipmdl_text_config *t) { return t->bert.pad_id; }

/* There is no image encoder. */
static clip_status read_recipe(const clipmdl_reader *r, const char *dir, int size, clipmdl_recipe *out, bool *found)
{
    (void)r;
    (void)dir;
    (void)size;
    (void)out;
    *found = false;
    return CLIP_OK;
}

const clipmdl_family clipmdl_mclip = {
    .name = "Multilingual-CLIP",
    .marks = marks,
    .beginnings = beginnings,
    .translate = translate,
    .config_file = "config.json",
    .model_type = "M-CLIP",
    .read_config = read_config,
    .guess = guess,
    .tokenizer = "huggingface",
    .pad_id = pad_id,
    .preprocessor = "none",
    .rounding = "openclip",
    .read_recipe = read_recipe,
    .weights_file = "model.safetensors",
};
