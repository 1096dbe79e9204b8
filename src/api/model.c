/* Loading: files -> configuration -> tensors -> packed layers, and what can be said about the result. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

typedef struct loader {
    clip_load_options opt;
    clip_files files;
    clip_error *err;
} loader;

clip_load_options clip_load_options_default(void) { return (clip_load_options){.towers = CLIP_TOWER_BOTH}; }

__attribute__((format(printf, 2, 3))) static void warn(const loader *l, const char *fmt, ...)
{
    char line[1024];
    if (!l->opt.warn)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    l->opt.warn(l->opt.warn_user, line);
}

/* ---- Configuration ------------------------------------------------------------------------------------------ */

static const char *name_towers(int towers)
{
    return towers == CLIP_TOWER_BOTH ? "image and text encoder" : towers == CLIP_TOWER_IMAGE ? "image encoder" : "text encoder";
}

static int count_towers(int towers) { return (towers & CLIP_TOWER_IMAGE ? 1 : 0) + (towers & CLIP_TOWER_TEXT ? 1 : 0); }

/* Several fit: they are named, for a person to choose. */
static clip_status ambiguous(const loader *l, const clipmdl_found *found, int n)
{
    char list[CLIPMDL_MAX_FOUND * (CLIPMDL_MAX_PREFIX + 40)] = "";
    for (int i = 0; i < n; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s' (%s)", i ? ", " : "", found[i].prefix, name_towers(found[i].towers));
    }
    return clipb_fail(l->err, CLIP_EINVAL, l->files.weights, "holds several encoders: choose by a prefix of their tensors' names: %.800s", list);
}

/* Which of the encoders in the file: that with the most of the towers asked for. */
static clip_status find_encoders(loader *l, clip_model *m, clipmdl_found *out)
{
    clipmdl_found found[CLIPMDL_MAX_FOUND], *best = NULL;
    const int n = clipmdl_find(&m->store, l->opt.prefix, found);
    int most = 0, ties = 0;
    for (int i = 0; i < n; i++) {
        const int has = count_towers(found[i].towers & l->opt.towers);
        if (has > most) {
            most = has;
            best = &found[i];
            ties = 0;
        } else if (has > 0 && has == most) {
            ties++;
        }
    }
    if (n == 0)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.weights, "no tensor%s%s%s has a name that OpenCLIP, OpenAI or Hugging Face give to CLIP's",
                          l->opt.prefix ? " below '" : "", l->opt.prefix ? l->opt.prefix : "", l->opt.prefix ? "'" : "");
    if (ties > 0)
        return ambiguous(l, found, n);
    *out = best ? *best : found[0];
    return CLIP_OK;
}

/* A configuration beside the weights speaks of all of the file, so not of an encoder inside something larger. */
static bool is_all_of_file(const char *prefix)
{
    static const char *const wrappers[] = {"", "module.", "model.", "clip_model."};
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (strcmp(prefix, wrappers[i]) == 0)
            return true;
    return false;
}

static clip_status read_sizes(loader *l, clip_model *m, const clipmdl_found *found)
{
    const char *openclip = l->files.openclip_config, *huggingface = l->files.huggingface_config;
    if (openclip && is_all_of_file(m->prefix) && (m->scheme == CLIPMDL_OPENCLIP || !huggingface))
        return clipmdl_config_openclip(openclip, &m->config, l->err);
    if (huggingface && is_all_of_file(m->prefix))
        return clipmdl_config_huggingface(huggingface, &m->config, l->err);
    TRY(clipmdl_config_from_shapes(&m->store, found, &m->config, l->err));
    warn(l, "%s: no configuration beside it: sizes are told by the shapes; %s, the heads of known models and layer norms' eps 1e-5 are assumed",
         l->files.weights, m->config.text.act == CLIPK_QUICKGELU ? "QuickGELU" : "GELU");
    return CLIP_OK;
}

/* Is there a projection behind the one tower of the file? A configuration does not tell. */
static bool has_projection(const clip_model *m)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    if (m->config.towers == CLIP_TOWER_IMAGE && m->config.vision.kind == CLIPMDL_RESNET)
        return true;
    clipmdl_parts(m->scheme, m->prefix, m->config.towers == CLIP_TOWER_IMAGE ? "visual.proj" : "text_projection", 0, 1, 1, part);
    return clipmdl_store_find(&m->store, part[0].name) != NULL;
}

static clip_status read_config(loader *l, clip_model *m)
{
    clipmdl_found found;
    TRY(find_encoders(l, m, &found));
    m->scheme = found.scheme;
    memcpy(m->prefix, found.prefix, sizeof m->prefix);
    TRY(read_sizes(l, m, &found));
    if (m->config.towers != found.towers && (m->config.towers & found.towers) && m->towers == CLIP_TOWER_BOTH)
        warn(l, "%s: weights and configuration have only the %s in common", l->files.weights, name_towers(m->config.towers & found.towers));
    m->config.towers &= found.towers;
    if (!(m->config.towers & CLIP_TOWER_IMAGE))
        m->config.vision = (clipmdl_vision_config){0};
    if (!(m->config.towers & CLIP_TOWER_TEXT))
        m->config.text = (clipmdl_text_config){0};
    m->towers &= m->config.towers;
    if (!m->towers)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.weights, "holds no %s", name_towers(l->opt.towers));
    if (m->config.towers != CLIP_TOWER_BOTH && !has_projection(m))
        m->config.embed_dim = 0;
    return CLIP_OK;
}

static clip_status read_recipe(loader *l, clip_model *m)
{
    m->recipe = clip_recipe_default(m->config.vision.image_size);
    if (!(m->config.towers & CLIP_TOWER_IMAGE))
        return CLIP_OK;
    if (m->scheme != CLIPMDL_OPENCLIP && l->files.preprocessor_config)
        return clip_recipe_huggingface(l->files.preprocessor_config, &m->recipe, l->err);
    if (l->files.openclip_config)
        return clip_recipe_openclip(l->files.openclip_config, &m->recipe, l->err);
    if (l->files.preprocessor_config)
        return clip_recipe_huggingface(l->files.preprocessor_config, &m->recipe, l->err);
    warn(l, "%s: nothing says how pictures are prepared: OpenAI's mean, deviation and bicubic resize are assumed", l->files.dir);
    return CLIP_OK;
}

static clip_status read_tokenizer(loader *l, clip_model *m)
{
    const clipmdl_text_config *t = &m->config.text;
    if (!(m->towers & CLIP_TOWER_TEXT))
        return CLIP_OK;
    /* as long as no tokenizer says something else: its end token, where a text is pooled */
    m->pad_id = m->scheme == CLIPMDL_OPENCLIP ? 0 : t->pooling == CLIPMDL_POOL_EOS && t->eos_id < t->vocab_size ? t->eos_id : t->vocab_size - 1;
    /* OpenCLIP's tokenizer knows one vocabulary, CLIP's own, and one format, the bpe file's; a model with another was trained behind a
     * reader of vocab.json. */
    bool openclip = m->scheme == CLIPMDL_OPENCLIP && (m->config.text.vocab_size == CLIP_VOCABULARY || l->files.bpe);
    const cliptok_rules rules = openclip ? CLIPTOK_OPENCLIP : CLIPTOK_HUGGINGFACE;
    TRY(cliptok_load(l->files.dir, rules, &m->tokenizer, l->err));
    if (!m->tokenizer && l->files.tokenizer_dir)
        TRY(cliptok_load(l->files.tokenizer_dir, rules, &m->tokenizer, l->err));
    if (!m->tokenizer) {
        warn(l, "%s: holds no tokenizer (tokenizer.json, vocab.json + merges.txt or bpe_simple_vocab_16e6.txt.gz): texts cannot be encoded", l->files.dir);
        return CLIP_OK;
    }
    if (cliptok_vocab_size(m->tokenizer) > m->config.text.vocab_size)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.dir, "the tokenizer has ids up to %d, the model a vocabulary of %d",
                          cliptok_vocab_size(m->tokenizer) - 1, m->config.text.vocab_size);
    m->pad_id = cliptok_pad_id(m->tokenizer);
    snprintf(m->tokenizer_name, sizeof m->tokenizer_name, "%s", cliptok_source(m->tokenizer));
    return CLIP_OK;
}

/* ---- Weights ------------------------------------------------------------------------------------------------ */

static clip_status init_towers(clip_model *m)
{
    if (m->towers & CLIP_TOWER_IMAGE)
        TRY(m->config.vision.kind == CLIPMDL_VIT ? clipmdl_vit_init(&m->vit, &m->config) : clipmdl_resnet_init(&m->resnet, &m->config));
    return m->towers & CLIP_TOWER_TEXT ? clipmdl_text_init(&m->text, &m->config) : CLIP_OK;
}

static void bind_towers(clipmdl_binder *b, clip_model *m)
{
    b->parameters = 0;
    if (m->towers & CLIP_TOWER_IMAGE) {
        if (m->config.vision.kind == CLIPMDL_VIT)
            clipmdl_vit_bind(b, &m->vit);
        else
            clipmdl_resnet_bind(b, &m->resnet);
    }
    m->image_parameters = b->parameters;
    if (m->towers & CLIP_TOWER_TEXT)
        clipmdl_text_bind(b, &m->text);
    m->text_parameters = b->parameters - m->image_parameters;
}

static clip_status bind_weights(loader *l, clip_model *m)
{
    const int threads = l->opt.threads > 0 ? l->opt.threads : clipb_cores();
    clipk_ctx k = {.set = m->set};
    clipb_block scratch = {0};
    clipmdl_binder b = {.store = &m->store, .scheme = m->scheme, .prefix = m->prefix, .bf16 = m->bf16, .k = &k,
                        .warn = l->opt.warn, .warn_user = l->opt.warn_user};
    k.team = clipb_team_new(threads);
    clip_status s = k.team ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = clipb_block_reserve(&scratch, clipk_scratch_bytes(m->set, threads));
    k.scratch = scratch.base;
    if (s == CLIP_OK)
        s = init_towers(m);
    if (s == CLIP_OK) {
        bind_towers(&b, m); /* measuring */
        if (b.faults)
            s = clipb_fail(l->err, CLIP_EMISMATCH, l->files.weights, "%d tensor%s not fit the configuration: %s%s", b.faults,
                           b.faults == 1 ? " does" : "s do", b.first_faults, b.faults > 4 ? "; ..." : "");
        else
            s = clipb_block_reserve(&m->weights, b.arena.peak);
    }
    if (s == CLIP_OK) {
        b.arena = clipb_arena_on(&m->weights);
        bind_towers(&b, m); /* placing */
        s = b.status;
    }
    clipb_team_free(k.team);
    clipb_block_free(&b.scratch);
    clipb_block_free(&scratch);
    return s;
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), e = strlen(end);
    return n >= e && strcmp(s + n - e, end) == 0;
}

/* Tensors nobody took, but for those that carry nothing. */
static void report_unexpected(const loader *l, const clip_model *m)
{
    static const char *const harmless[] = {"position_ids", "logit_bias", "num_batches_tracked", "input_resolution", "context_length", "vocab_size"};
    int n = 0;
    for (size_t i = 0; i < m->store.n; i++) {
        const clipmdl_tensor *t = &m->store.tensor[i];
        bool skip = t->used;
        for (size_t h = 0; h < sizeof harmless / sizeof *harmless; h++)
            skip |= ends(t->name, harmless[h]);
        if (!skip && ++n <= 20)
            warn(l, "%s: tensor '%s' is not part of this model and is ignored", m->store.file, t->name);
    }
    if (n > 20)
        warn(l, "%s: and %d more tensors like that", m->store.file, n - 20);
}

static clip_status read_logit_scale(loader *l, clip_model *m)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    clipmdl_parts(m->scheme, m->prefix, "logit_scale", 0, 1, 1, part);
    clipmdl_tensor *t = clipmdl_store_find(&m->store, part[0].name);
    clipk_type type;
    float log_scale = logf(1 / 0.07f);
    if (!t && m->config.towers != CLIP_TOWER_BOTH) /* nothing to compare with */
        return CLIP_OK;
    if (!t || !clipmdl_tensor_type(t, &type) || t->bytes != clipk_type_size(type)) {
        warn(l, "%s: no logit_scale: its initial value, ln(1/0.07), is assumed", l->files.weights);
    } else {
        t->used = true;
        clipk_to_f32(&(clipk_ctx){.set = m->set}, &log_scale, t->data, type, 1);
    }
    m->logit_scale = expf(log_scale);
    if (!isfinite(m->logit_scale))
        return clipb_fail(l->err, CLIP_EFORMAT, l->files.weights, "logit_scale is %g", (double)log_scale);
    return CLIP_OK;
}

static void name_type(clip_model *m)
{
    const clipmdl_tensor *most = NULL; /* the largest tensor speaks for all */
    for (size_t i = 0; i < m->store.n; i++)
        if (m->store.tensor[i].used && (!most || m->store.tensor[i].bytes > most->bytes))
            most = &m->store.tensor[i];
    clipk_type type = CLIPK_F32;
    if (most)
        clipmdl_tensor_type(most, &type);
    snprintf(m->weights_type, sizeof m->weights_type, "%s", type == CLIPK_F16 ? "f16" : type == CLIPK_BF16 ? "bf16" : "f32");
}

static clip_status choose_arithmetic(const loader *l, clip_model *m)
{
    const char *precision = l->opt.precision ? l->opt.precision : "f32";
    m->set = clipk_set_find(l->opt.isa);
    m->bf16 = strcmp(precision, "bf16") == 0;
    if (!m->set)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "this machine or build has no instruction set '%s'", l->opt.isa);
    if (!m->bf16 && strcmp(precision, "f32") != 0)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "precision must be f32 or bf16, not '%s'", precision);
    if (m->bf16 && !clipk_set_has_bf16(m->set))
        return clipb_fail(l->err, CLIP_EUNSUPPORTED, NULL, "precision bf16 needs AVX512_BF16, which %s on this processor does not have; f32 runs everywhere",
                          clipk_set_name(m->set));
    return CLIP_OK;
}

/* Everything but the weights. */
static clip_status read_all_but_weights(loader *l, const char *path, clip_model *m)
{
    m->path = strdup(path);
    m->towers = l->opt.towers;
    if (!m->path)
        return CLIP_ENOMEM;
    TRY(choose_arithmetic(l, m));
    if (l->opt.threads < 0 || l->opt.threads > CLIP_MOST_THREADS)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "threads must be 0 to %d", CLIP_MOST_THREADS);
    if (m->towers < 1 || m->towers > CLIP_TOWER_BOTH)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "towers must be CLIP_TOWER_IMAGE, CLIP_TOWER_TEXT or both");
    TRY(clip_files_find(path, &l->files, l->err));
    TRY(clipmdl_store_open(l->files.weights, &m->store, l->err));
    TRY(read_config(l, m));
    TRY(read_recipe(l, m));
    TRY(read_tokenizer(l, m));
    return read_logit_scale(l, m);
}

static clip_status read_weights(loader *l, clip_model *m)
{
    TRY(bind_weights(l, m));
    if (m->towers == CLIP_TOWER_BOTH && is_all_of_file(m->prefix))
        report_unexpected(l, m);
    name_type(m);
    return CLIP_OK;
}

static clip_status load(const char *path, const clip_load_options *opt, bool weights, clip_model **out, clip_error *err)
{
    loader l = {.opt = opt ? *opt : clip_load_options_default(), .err = err};
    *out = NULL;
    if (err)
        *err = (clip_error){0};
    clip_model *m = calloc(1, sizeof *m);
    clip_status s = m ? read_all_but_weights(&l, path, m) : CLIP_ENOMEM;
    if (s == CLIP_OK && weights)
        s = read_weights(&l, m);
    if (s == CLIP_ENOMEM)
        clipb_fail(err, s, path, "out of memory");
    clip_files_free(&l.files);
    if (s < 0)
        clip_model_free(m);
    else
        *out = m;
    return s;
}

clip_status clip_model_load(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err)
{
    return load(path, opt, true, out, err);
}

clip_status clip_model_open(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err)
{
    TRY(load(path, opt, false, out, err));
    const int missing = (opt ? opt->towers : CLIP_TOWER_BOTH) & ~(*out)->towers;
    if (!missing)
        return CLIP_OK;
    clip_model_free(*out);
    *out = NULL;
    return clipb_fail(err, CLIP_EMISMATCH, path, "holds no %s, which is needed here", name_towers(missing));
}

void clip_model_free(clip_model *m)
{
    if (!m)
        return;
    clipmdl_vit_free(&m->vit);
    clipmdl_resnet_free(&m->resnet);
    clipmdl_text_free(&m->text);
    cliptok_free(m->tokenizer);
    clipb_block_free(&m->weights);
    clipmdl_store_close(&m->store);
    free(m->path);
    free(m);
}

static void tell_image(const clip_model *m, clip_model_info *o)
{
    const clipmdl_vision_config *v = &m->config.vision;
    const clipmdl_recipe recipe = clip_recipe_words(&m->recipe, NULL, false);
    const bool vit = v->kind == CLIPMDL_VIT;
    const int side = vit ? v->image_size / v->patch_size : 0;
    o->vision_kind = vit ? "ViT" : "ModifiedResNet";
    o->image_size = v->image_size;
    o->vision_width = v->width;
    o->vision_heads = v->heads;
    o->patch_size = vit ? v->patch_size : 0;
    o->vision_tokens = vit ? 1 + side * side : 0;
    o->interpolation = recipe.interpolation;
    o->resize_mode = recipe.resize_mode;
    o->background = recipe.background;
    for (int i = 0; i < 4; i++)
        o->vision_layers[i] = vit ? (i == 0 ? v->layers : 0) : v->stage[i];
    for (int i = 0; i < 3; i++) {
        o->mean[i] = m->recipe.mean[i];
        o->std[i] = m->recipe.std[i];
    }
}

static void tell_text(const clip_model *m, clip_model_info *o)
{
    const clipmdl_text_config *t = &m->config.text;
    o->context_length = t->context_length;
    o->vocab_size = t->vocab_size;
    o->text_width = t->width;
    o->text_heads = t->heads;
    o->text_layers = t->layers;
    o->pooling = t->pooling == CLIPMDL_POOL_ARGMAX ? "argmax" : "eos";
    o->pad_id = m->pad_id;
}

void clip_model_get_info(const clip_model *m, clip_model_info *o)
{
    const bool texts = m->config.towers & CLIP_TOWER_TEXT;
    const clipk_act act = texts ? m->config.text.act : m->config.vision.act;
    *o = (clip_model_info){
        .path = m->path, .layout = m->scheme == CLIPMDL_OPENCLIP ? "OpenCLIP" : "Hugging Face", .weights_file = m->store.file, .prefix = m->prefix,
        .weights_type = m->weights_type, .tokenizer = m->tokenizer ? m->tokenizer_name : NULL, .isa = clipk_set_name(m->set),
        .precision = m->bf16 ? "bf16" : "f32", .towers = m->towers,
        .embed_dim = m->config.embed_dim, .logit_scale = m->logit_scale, .activation = act == CLIPK_QUICKGELU ? "quickgelu" : "gelu",
        .image_parameters = m->image_parameters, .text_parameters = m->text_parameters,
        .parameters = m->image_parameters + m->text_parameters + (m->logit_scale > 0),
    };
    if (m->config.towers & CLIP_TOWER_IMAGE)
        tell_image(m, o);
    if (texts)
        tell_text(m, o);
}
