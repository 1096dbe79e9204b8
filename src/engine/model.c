/* Loading: files -> configuration -> tensors -> packed layers. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "base/line.h"

typedef struct loader {
    clip_load_options opt;
    clipeng_files files;
    clip_error *err;
    int picture_size; /* that the files are for */
} loader;

clip_load_options clipeng_load_options_default(void) { return (clip_load_options){.towers = CLIP_TOWER_BOTH}; }

__attribute__((format(printf, 2, 3))) static void warn(const loader *l, const char *fmt, ...)
{
    char line[1024];
    if (!l->opt.warn)
        return;
    va_list ap;
    va_start(ap, fmt);
    clipb_line(line, sizeof line, fmt, ap);
    va_end(ap);
    l->opt.warn(l->opt.warn_user, line);
}

/* ---- Configuration --------------------------------------------------------------------------- */

static const char *name_towers(int towers)
{
    return towers == CLIP_TOWER_BOTH    ? "image and text encoder"
           : towers == CLIP_TOWER_IMAGE ? "image encoder"
                                        : "text encoder";
}

static int count_towers(int towers) { return (towers & CLIP_TOWER_IMAGE ? 1 : 0) + (towers & CLIP_TOWER_TEXT ? 1 : 0); }

/* Several encoders fit. They are named, for a person to choose. */
static clip_status ambiguous(const loader *l, const clipmdl_found *found, int n)
{
    char list[CLIPMDL_MAX_FOUND * (CLIPMDL_MAX_PREFIX + 40)] = "";
    for (int i = 0; i < n; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s' (%s)", i ? ", " : "", found[i].prefix,
                 name_towers(found[i].towers));
    }
    return clipb_fail(l->err, CLIP_EINVAL, l->files.weights,
                      "holds several encoders: choose by a prefix of their tensors' names: %.800s", list);
}

/* The names of the tensors do not tell which encoders to take. A configuration beside them may say
 * why: it is of another model, or has settings that are not supported (custom_text).
 * typed: a file with a model type counts too. It may be of something larger that the encoders are a
 * part of. */
static clip_status blame_config(const loader *l, bool typed)
{
    int n;
    const clipmdl_family *const *all = clipmdl_families(&n);
    clip_status s = CLIP_OK;
    for (int i = 0; i < n && s == CLIP_OK; i++) {
        clipmdl_config ignored;
        char *path = clipb_path_join(l->files.dir, all[i]->config_file);
        const clipmdl_family *whose = all[i];
        if (!path)
            return CLIP_ENOMEM;
        const bool there = clipb_is_file(path) && (typed || !all[i]->model_type);
        if (there && all[i]->model_type)
            s = clipmdl_family_of_config(path, &whose, l->err);
        if (s == CLIP_OK && there && whose == all[i])
            s = clipmdl_config_read(all[i], path, &ignored, NULL, NULL, l->err);
        free(path);
    }
    return s;
}

/* Of the encoders in the file, take those with most of the towers asked for. Of several with the
 * same towers, the one without a prefix is the model, as it is for transformers. */
static clip_status find_encoders(loader *l, clip_model *m, clipmdl_found *out)
{
    clipmdl_found found[CLIPMDL_MAX_FOUND], *best = NULL;
    const int n = clipmdl_find(&m->store, l->opt.prefix, found);
    int most = 0, ties = 0;
    bool twins = true;
    for (int i = 0; i < n; i++) {
        const int has = count_towers(found[i].towers & l->opt.towers);
        if (has > most) {
            most = has;
            best = &found[i];
            ties = 0;
            twins = true;
        } else if (has > 0 && has == most) {
            twins = twins && found[i].towers == best->towers;
            ties++;
            if (!*found[i].prefix)
                best = &found[i];
        }
    }
    if (ties > 0 && twins && !*best->prefix)
        ties = 0;
    if (ties > 0 || (n == 0 && !l->opt.prefix))
        TRY(blame_config(l, n == 0));
    if (n == 0)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.weights,
                          "no tensor%s%s%s has a name that OpenCLIP, OpenAI or Hugging Face give to CLIP's",
                          l->opt.prefix ? " below '" : "", l->opt.prefix ? l->opt.prefix : "",
                          l->opt.prefix ? "'" : "");
    if (ties > 0)
        return ambiguous(l, found, n);
    *out = best ? *best : found[0];
    return CLIP_OK;
}

/* Does a configuration describe these encoders? It may be that of something larger that they are a
 * part of; then they are not all of the file. */
static clip_status describes(const loader *l, const clip_model *m, const clipmdl_family *f, const char *path, bool *is)
{
    char type[64];
    *is = true;
    if (!f->model_type)
        return CLIP_OK;
    TRY(clipmdl_config_type(path, type, l->err));
    *is = !*type || strncmp(type, f->model_type, strlen(f->model_type)) == 0 || clipmdl_is_whole(&m->store, m->prefix);
    if (!*is)
        warn(l, "%s: is of a model of type \"%s\", and says nothing of '%s' in it", path, type, m->prefix);
    return CLIP_OK;
}

static clip_status sizes_from_shapes(const loader *l, clip_model *m, const clipmdl_found *found)
{
    TRY(clipmdl_config_from_shapes(&m->store, found, &m->config, l->err));
    warn(
        l,
        "%s: no configuration beside it: sizes are told by the shapes; %s, the heads of known models and layer norms' "
        "eps 1e-5 are assumed",
        l->files.weights,
        (m->config.towers & CLIP_TOWER_IMAGE ? m->config.vision.act : m->config.text.act) == CLIPK_QUICKGELU
            ? "QuickGELU"
            : "GELU");
    return CLIP_OK;
}

/* The family whose configuration is beside the weights: their own, or else the one that a file's
 * model type names. NULL: there is no file. *path: free() it. */
static clip_status find_config(const loader *l, const clip_model *m, const clipmdl_family **out, char **path)
{
    int n;
    const clipmdl_family *const *all = clipmdl_families(&n);
    *out = NULL;
    *path = NULL;
    for (int i = -1; i < n && !*out; i++) {
        const clipmdl_family *f = i < 0 ? m->family : all[i];
        free(*path);
        *path = clipb_path_join(l->files.dir, f->config_file);
        if (!*path)
            return CLIP_ENOMEM;
        if (!clipb_is_file(*path))
            continue;
        *out = f;
        if (i >= 0 && f->model_type)
            TRY(clipmdl_family_of_config(*path, out, l->err));
    }
    return CLIP_OK;
}

static clip_status read_sizes(loader *l, clip_model *m, const clipmdl_found *found)
{
    const clipmdl_family *f;
    char *path;
    bool is = false;
    clip_status s = find_config(l, m, &f, &path);
    if (s == CLIP_OK && f)
        s = describes(l, m, f, path, &is);
    if (s == CLIP_OK)
        s = is ? clipmdl_config_read(f, path, &m->config, l->opt.warn, l->opt.warn_user, l->err)
               : sizes_from_shapes(l, m, found);
    free(path);
    return s;
}

/* Is there a projection behind the one tower of the file? The configuration does not tell. */
static bool has_projection(const clip_model *m)
{
    const clipmdl_tower_kind *kind =
        m->config.towers == CLIP_TOWER_IMAGE ? m->config.vision.tower : m->config.text.tower;
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    char name[CLIPMDL_MAX_NAME];
    if (!kind->projection || !kind->projection(&m->config, name))
        return true;
    clipmdl_parts(m->family, m->prefix, name, 0, 1, 1, part);
    return clipmdl_store_find(&m->store, part[0].name) != NULL;
}

static bool has_logit_bias(const clip_model *m)
{
    char name[CLIPMDL_MAX_NAME];
    snprintf(name, sizeof name, "%slogit_bias", m->prefix);
    return clipmdl_store_find(&m->store, name) != NULL;
}

static clip_status read_config(loader *l, clip_model *m)
{
    clipmdl_found found;
    TRY(find_encoders(l, m, &found));
    m->family = found.family;
    memcpy(m->prefix, found.prefix, sizeof m->prefix);
    if (m->family->prepare)
        TRY(m->family->prepare(&m->store, &found, l->err));
    TRY(read_sizes(l, m, &found));
    if (m->config.towers != found.towers && (m->config.towers & found.towers) && m->towers == CLIP_TOWER_BOTH)
        warn(l, "%s: weights and configuration have only the %s in common", l->files.weights,
             name_towers(m->config.towers & found.towers));
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
    m->config.logit_bias = has_logit_bias(m);
    l->picture_size = m->config.vision.image_size;
    if (l->opt.image_size != 0 && l->opt.image_size != m->config.vision.image_size)
        TRY(clipmdl_config_resize(&m->config, l->opt.image_size, l->files.weights, l->err));
    return CLIP_OK;
}

/* Are pictures prepared as the encoder takes them: squares, or patches of its own size? */
static clip_status check_recipe(const loader *l, const clip_model *m, const clipmdl_recipe *words, bool found)
{
    const clipmdl_vision_config *v = &m->config.vision;
    const bool patches = words->max_patches > 0;
    if (!(m->config.towers & CLIP_TOWER_IMAGE))
        return CLIP_OK;
    if (v->tower->any_shape && !found)
        return clipb_fail(l->err, CLIP_EUNSUPPORTED, l->files.dir,
                          "nothing says how many patches a picture has: its preprocessor_config.json is needed");
    if (v->tower->any_shape != patches)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.dir, "pictures are prepared as %s, for an encoder of %s",
                          patches ? "patches" : "squares", patches ? "squares" : "patches");
    if (patches && words->patch_size != v->patch_size)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.dir,
                          "patches of %d pixels are prepared for an encoder of %d", words->patch_size, v->patch_size);
    return CLIP_OK;
}

/* The weights' own family is asked first. Where no file says it, that family's rounding counts. */
static clip_status read_recipe(loader *l, clip_model *m)
{
    const clipmdl_reader r = {.warn = l->opt.warn, .warn_user = l->opt.warn_user, .err = l->err};
    clipmdl_recipe words = clipeng_recipe_default();
    int n;
    const clipmdl_family *const *all = clipmdl_families(&n);
    bool found = !(m->config.towers & CLIP_TOWER_IMAGE);
    if (m->family->standard)
        m->family->standard(&words);
    for (int i = -1; i < n && !found; i++) {
        const clipmdl_family *f = i < 0 ? m->family : all[i];
        if (i >= 0 && f->model_type && f != &clipmdl_huggingface)
            continue; /* of transformers' processors, CLIP's is the one for models of other programs */
        TRY(f->read_recipe(&r, l->files.dir, l->picture_size, &words, &found));
    }
    if (!found && l->files.pictures_dir)
        TRY(m->family->read_recipe(&r, l->files.pictures_dir, l->picture_size, &words, &found));
    TRY(check_recipe(l, m, &words, found));
    if (!found) {
        words.rounding = m->family->rounding;
        warn(l,
             "%s: nothing says how pictures are prepared: the defaults of %s are assumed, for %d pixels", l->files.dir,
             words.assumed ? words.assumed : m->family->preprocessor, m->config.vision.image_size);
    }
    m->recipe = clipeng_recipe_of_words(&words, m->config.vision.image_size);
    return CLIP_OK;
}

static clip_status read_tokenizer(loader *l, clip_model *m)
{
    if (!(m->towers & CLIP_TOWER_TEXT))
        return CLIP_OK;
    m->pad_id = m->family->pad_id(&m->config.text); /* as long as no tokenizer says another */
    const cliptok_rules *rules;
    TRY(clipeng_rules_choose(m->family, &m->config.text, m->config.text.vocab_size, l->files.bpe, &rules, l->err));
    TRY(cliptok_load(l->files.dir, rules, &m->tokenizer, l->err));
    if (!m->tokenizer && l->files.tokenizer_dir)
        TRY(cliptok_load(l->files.tokenizer_dir, rules, &m->tokenizer, l->err));
    if (!m->tokenizer) {
        warn(
            l,
            "%s: holds no tokenizer (tokenizer.json, vocab.json + merges.txt, bpe_simple_vocab_16e6.txt.gz, "
            "a SentencePiece model or vocab.txt): texts cannot be encoded",
            l->files.dir);
        return CLIP_OK;
    }
    if (cliptok_vocab_size(m->tokenizer) > m->config.text.vocab_size)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.dir,
                          "the tokenizer has ids up to %d, the model a vocabulary of %d",
                          cliptok_vocab_size(m->tokenizer) - 1, m->config.text.vocab_size);
    m->pad_id = cliptok_pad_id(m->tokenizer);
    snprintf(m->tokenizer_name, sizeof m->tokenizer_name, "%s", cliptok_source(m->tokenizer));
    return CLIP_OK;
}

/* ---- Weights --------------------------------------------------------------------------------- */

static clip_status make_towers(clip_model *m)
{
    if (m->towers & CLIP_TOWER_IMAGE)
        TRY(clipmdl_tower_new(m->config.vision.tower, &m->config, &m->image));
    return m->towers & CLIP_TOWER_TEXT ? clipmdl_tower_new(m->config.text.tower, &m->config, &m->text) : CLIP_OK;
}

static void bind_towers(clipmdl_binder *b, clip_model *m)
{
    b->parameters = 0;
    b->in_place = m->mapped & CLIP_TOWER_IMAGE;
    if (m->image)
        clipmdl_tower_bind(b, m->image);
    m->image_parameters = b->parameters;
    b->in_place = m->mapped & CLIP_TOWER_TEXT;
    if (m->text)
        clipmdl_tower_bind(b, m->text);
    m->text_parameters = b->parameters - m->image_parameters;
}

/* Tensors that nobody took. In a tower they would change what it computes, so the model is another
 * one, which is refused. Others are ignored with a warning. */
static clip_status check_unexpected(const loader *l, clip_model *m)
{
    char names[512] = "";
    int inside = 0, outside = 0;
    const bool tell = m->towers == CLIP_TOWER_BOTH && clipmdl_is_whole(&m->store, m->prefix);
    for (size_t i = 0; i < m->store.n; i++) {
        const clipmdl_tensor *t = &m->store.tensor[i];
        if (t->used || clipmdl_is_harmless(t->name))
            continue;
        if (clipmdl_is_unread(m->family, m->prefix, t->name))
            m->has_unread = true;
        else if (clipmdl_in_tower(m->family, m->prefix, t->name, m->towers)) {
            const size_t used = strlen(names);
            if (inside++ < 4)
                snprintf(names + used, sizeof names - used, "%s'%.100s'", used ? ", " : "", t->name);
        } else if (tell && ++outside <= 20) {
            warn(l, "%s: tensor '%s' is not part of this model and is ignored", m->store.file, t->name);
        }
    }
    if (outside > 20)
        warn(l, "%s: and %d more tensors like that", m->store.file, outside - 20);
    if (inside > 0)
        return clipb_fail(l->err, CLIP_EUNSUPPORTED, l->files.weights,
                          "%d tensor%s that a plain CLIP does not have, so this is another model: %s%s", inside,
                          inside == 1 ? "" : "s", names, inside > 4 ? ", .." : "");
    return CLIP_OK;
}

static clip_status tell_faults(const loader *l, const clipmdl_binder *b)
{
    if (b->odd_types)
        return clipb_fail(l->err, CLIP_EUNSUPPORTED, l->files.weights,
                          "%d tensor%s of the type %s, like '%.100s': weights must be F32, F16 or BF16. Take the "
                          "checkpoint of one of those types, or save it as one",
                          b->odd_types, b->odd_types == 1 ? " is" : "s are", b->odd_type->dtype, b->odd_type->name);
    if (b->faults)
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.weights, "%d tensor%s not fit the configuration: %s%s",
                          b->faults, b->faults == 1 ? " does" : "s do", b->first_faults, b->faults > 4 ? "; ..." : "");
    return CLIP_OK;
}

/* Check that every tensor of the towers is there and fits. place: also pack them. */
static clip_status bind_weights(loader *l, clip_model *m, bool place)
{
    const int threads = l->opt.threads > 0 ? l->opt.threads : clipb_cores();
    clipk_ctx k = {.set = m->set};
    clipb_block scratch = {0};
    clipmdl_binder b = {.store = &m->store, .family = m->family, .prefix = m->prefix, .format = m->format, .k = &k,
                        .warn = l->opt.warn, .warn_user = l->opt.warn_user};
    TRY(make_towers(m));
    bind_towers(&b, m); /* measuring */
    TRY(tell_faults(l, &b));
    TRY(check_unexpected(l, m));
    if (!place)
        return CLIP_OK;
    k.team = clipb_team_new(threads);
    clip_status s = k.team ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = clipb_block_reserve(&scratch, clipk_scratch_bytes(m->set, threads));
    k.scratch = scratch.base;
    if (s == CLIP_OK)
        s = clipb_block_reserve(&m->weights, b.arena.peak);
    if (s == CLIP_OK) {
        b.arena = clipb_arena_on(&m->weights);
        bind_towers(&b, m); /* placing */
        s = b.status;
        if (s == CLIP_ENOTFINITE)
            clipb_fail(l->err, s, l->files.weights, "tensor '%s' holds NaN or infinity", b.not_finite->name);
    }
    clipb_team_free(k.team);
    clipb_block_free(&b.scratch);
    clipb_block_free(&scratch);
    return s;
}

/* A tensor of one number. *found: it is there. */
static clip_status read_number(const loader *l, const clip_model *m, const char *name, float *out, bool *found)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    clipmdl_parts(m->family, m->prefix, name, 0, 1, 1, part);
    const clipmdl_tensor *t = clipmdl_store_find(&m->store, part[0].name);
    clipk_type type;
    *found = t != NULL;
    if (!t)
        return CLIP_OK;
    if (!clipmdl_tensor_type(t, &type) || t->bytes != clipk_type_size(type))
        return clipb_fail(l->err, CLIP_EMISMATCH, l->files.weights,
                          "tensor '%s' is not one number of the type F32, F16 or BF16", t->name);
    clipk_to_f32(&(clipk_ctx){.set = m->set}, out, t->data, type, 1);
    return CLIP_OK;
}

static clip_status read_score(loader *l, clip_model *m)
{
    float log_scale = logf(1 / 0.07f);
    bool found;
    TRY(read_number(l, m, "logit_scale", &log_scale, &found));
    if (!found && m->config.towers != CLIP_TOWER_BOTH) /* nothing to compare with */
        return CLIP_OK;
    if (!found)
        warn(l, "%s: no logit_scale: its initial value, ln(1/0.07), is assumed", l->files.weights);
    if (m->config.most_scale > 0)
        log_scale = fminf(fmaxf(log_scale, 0), logf(m->config.most_scale));
    m->logit_scale = expf(log_scale);
    if (!isfinite(m->logit_scale))
        return clipb_fail(l->err, CLIP_ENOTFINITE, l->files.weights,
                          "tensor 'logit_scale' is %g: exp() of it overflows f32", (double)log_scale);
    TRY(read_number(l, m, "logit_bias", &m->logit_bias, &found));
    if (!isfinite(m->logit_bias))
        return clipb_fail(l->err, CLIP_ENOTFINITE, l->files.weights, "tensor 'logit_bias' is not a number");
    return CLIP_OK;
}

static void name_type(clip_model *m)
{
    if (m->store.quantised) {
        strcpy(m->weights_type, "int8");
        return;
    }
    const clipmdl_tensor *most = NULL; /* the largest tensor speaks for all */
    for (size_t i = 0; i < m->store.n; i++)
        if (m->store.tensor[i].used && (!most || m->store.tensor[i].bytes > most->bytes))
            most = &m->store.tensor[i];
    clipk_type type = CLIPK_F32;
    if (most)
        clipmdl_tensor_type(most, &type);
    snprintf(m->weights_type, sizeof m->weights_type, "%s",
             type == CLIPK_F16    ? "f16"
             : type == CLIPK_BF16 ? "bf16"
                                  : "f32");
}

/* Weights in 8 bits have one precision. */
static clip_status choose_precision(const loader *l, clip_model *m)
{
    const char *wanted = l->opt.precision;
    TRY(clipeng_precision_find(!wanted && m->store.quantised ? "int8" : wanted, m->set, &m->format, l->err));
    if (m->store.quantised && !m->format->rotates)
        return clipb_fail(l->err, CLIP_EUNSUPPORTED, l->files.weights,
                          "its weights are in 8 bits, so its precision is int8, not %s: take the checkpoint that it "
                          "was made from",
                          wanted);
    return CLIP_OK;
}

/* Everything but the weights. */
static clip_status read_all_but_weights(loader *l, const char *path, clip_model *m)
{
    m->path = strdup(path);
    m->towers = l->opt.towers;
    m->mapped = l->opt.mapped;
    if (!m->path)
        return CLIP_ENOMEM;
    m->set = clipk_set_find(l->opt.isa);
    if (!m->set)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "this machine or build has no instruction set '%s'", l->opt.isa);
    TRY(clipeng_precision_find(l->opt.precision, m->set, &m->format, l->err)); /* before anything is opened */
    if (l->opt.threads < 0 || l->opt.threads > CLIPENG_MOST_THREADS)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "threads must be 0 to %d", CLIPENG_MOST_THREADS);
    if (m->towers < 1 || m->towers > CLIP_TOWER_BOTH)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "towers must be CLIP_TOWER_IMAGE, CLIP_TOWER_TEXT or both");
    if (m->mapped < 0 || m->mapped > CLIP_TOWER_BOTH)
        return clipb_fail(l->err, CLIP_EINVAL, NULL, "mapped must be 0, CLIP_TOWER_IMAGE, CLIP_TOWER_TEXT or both");
    TRY(clipeng_files_find(path, &l->files, l->err));
    TRY(clipmdl_store_open(l->files.weights, &m->store, l->err));
    TRY(choose_precision(l, m));
    TRY(read_config(l, m));
    TRY(read_recipe(l, m));
    return read_tokenizer(l, m);
}

static clip_status load(const char *path, const clip_load_options *opt, bool weights, clip_model **out, clip_error *err)
{
    loader l = {.opt = opt ? *opt : clipeng_load_options_default(), .err = err};
    *out = NULL;
    if (err)
        *err = (clip_error){0};
    if (!path)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no path of a model");
    clip_model *m = calloc(1, sizeof *m);
    clip_status s = m ? read_all_but_weights(&l, path, m) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = bind_weights(&l, m, weights);
    if (s == CLIP_OK)
        s = read_score(&l, m);
    if (s == CLIP_OK)
        name_type(m);
    if (s == CLIP_OK && weights)
        s = clipmdl_store_check(&m->store, err);
    if (s == CLIP_ENOMEM)
        clipb_nomem(err, path);
    clipeng_files_free(&l.files);
    if (s < 0)
        clipeng_model_free(m);
    else
        *out = m;
    return s;
}

clip_status clipeng_model_load(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err)
{
    return load(path, opt, true, out, err);
}

clip_status clipeng_model_open(const char *path, const clip_load_options *opt, clip_model **out, clip_error *err)
{
    TRY(load(path, opt, false, out, err));
    const int missing = (opt ? opt->towers : CLIP_TOWER_BOTH) & ~(*out)->towers;
    if (!missing)
        return CLIP_OK;
    clipeng_model_free(*out);
    *out = NULL;
    return clipb_fail(err, CLIP_EMISMATCH, path, "holds no %s, which is needed here", name_towers(missing));
}

void clipeng_model_free(clip_model *m)
{
    if (!m)
        return;
    clipmdl_tower_free(m->image);
    clipmdl_tower_free(m->text);
    cliptok_free(m->tokenizer);
    clipb_block_free(&m->weights);
    clipmdl_store_close(&m->store);
    free(m->path);
    free(m);
}
