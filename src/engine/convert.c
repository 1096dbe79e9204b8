/* One checkpoint, or the mean of several, to another. The configuration is written in the words of
 * the other layout. The weights go through a block of f32, which holds f16 and bf16 exactly. The
 * files of the tokenizer are copied, and completed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"

typedef struct converter {
    clip_convert_options opt;
    clip_model *m;
    const clipmdl_family *family;
    clipmdl_params params;
    clipk_type type;
    bool quantises; /* products in 8 bits; type: of the rest */
    const char *out;
    clip_error *err;
} converter;

static void warn(const converter *c, const char *message)
{
    if (c->opt.warn)
        c->opt.warn(c->opt.warn_user, message);
}

/* ---- Options --------------------------------------------------------------------------------- */

static clip_status choose_layout(converter *c)
{
    int n;
    const clipmdl_family *const *all = clipmdl_families(&n);
    char names[128] = "";
    c->family = c->opt.layout ? NULL : c->m->family;
    for (int i = 0; i < n && c->opt.layout; i++) {
        const clipmdl_family *f = all[i];
        const size_t used = strlen(names);
        if (f->layout && !strstr(names, f->layout))
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", f->layout);
        /* Of several families with this layout, the one that has words for the model. */
        if (f->layout && strcmp(c->opt.layout, f->layout) == 0 && (!c->family || !c->family->writes(&c->m->config)))
            c->family = f;
    }
    if (!c->family)
        return clipb_fail(c->err, CLIP_EINVAL, NULL, "the layout '%s' is none of %s", c->opt.layout, names);
    return c->family->save ? CLIP_OK
                           : clipb_fail(c->err, CLIP_EUNSUPPORTED, NULL, "the layout of %s is read, but not written",
                                        c->family->name);
}

/* The one type that all tensors have, or f32. */
static clipk_type common_type(const converter *c)
{
    clipk_type all = CLIPK_F32, type;
    bool first = true;
    for (size_t i = 0; i < c->params.n; i++) {
        const clipmdl_param *p = &c->params.param[i];
        const int64_t rows = p->ndim > 0 ? p->dim[0] : 1;
        clipmdl_part part[CLIPMDL_MAX_PARTS];
        const int n = clipmdl_parts(c->m->family, c->m->prefix, p->name, 0, rows, rows, part);
        for (int j = 0; j < n; j++) {
            const clipmdl_tensor *t = clipmdl_store_find(&c->m->store, part[j].name);
            if (!t || !clipmdl_tensor_type(t, &type))
                continue; /* reading will say so */
            if (!first && type != all)
                return CLIPK_F32;
            all = type;
            first = false;
        }
    }
    return all;
}

static clip_status choose_type(converter *c)
{
    static const char *const names[] = {[CLIPK_F32] = "f32", [CLIPK_F16] = "f16", [CLIPK_BF16] = "bf16"};
    c->type = common_type(c);
    if (!c->opt.type)
        return CLIP_OK;
    if (strcmp(c->opt.type, "int8") == 0) {
        c->quantises = true;
        c->type = c->opt.averages > 0 ? CLIPK_F32 : c->type; /* a mean has more digits */
        return CLIP_OK;
    }
    for (clipk_type t = CLIPK_F32; t <= CLIPK_BF16; t++)
        if (strcmp(c->opt.type, names[t]) == 0) {
            c->type = t;
            return CLIP_OK;
        }
    return clipb_fail(c->err, CLIP_EINVAL, NULL, "the type '%s' is none of f32, f16, bf16, int8", c->opt.type);
}

/* ---- The mean of several --------------------------------------------------------------------- */

static bool same_params(const clipmdl_params *a, const clipmdl_params *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const clipmdl_param *p = &a->param[i], *q = &b->param[i];
        if (strcmp(p->name, q->name) != 0 || p->ndim != q->ndim ||
            memcmp(p->dim, q->dim, (size_t)p->ndim * sizeof *p->dim) != 0)
            return false;
    }
    return true;
}

static bool same_towers(const clipmdl_config *a, const clipmdl_config *b)
{
    return a->vision.image_size == b->vision.image_size && a->vision.heads == b->vision.heads &&
           a->vision.act == b->vision.act && a->text.heads == b->text.heads && a->text.act == b->text.act;
}

/* w, the mean of k - 1 models, becomes that of k. */
static clip_status add_to_mean(const converter *c, const clip_model *m, int k, float *w)
{
    clipmdl_params p = {0};
    float *v = calloc(c->params.count, sizeof *v);
    clip_status s = v ? clipmdl_params_list(&m->config, &p) : CLIP_ENOMEM;
    if (s == CLIP_OK && !(same_params(&p, &c->params) && same_towers(&m->config, &c->m->config)))
        s = clipb_fail(c->err, CLIP_EMISMATCH, m->path, "is another kind of model than %s: they have no mean",
                       c->m->path);
    if (s == CLIP_OK)
        s = clipmdl_params_read(&p, &m->store, m->family, m->prefix, v, c->err);
    for (size_t i = 0; s == CLIP_OK && i < p.count; i++)
        w[i] += (v[i] - w[i]) / (float)k;
    clipmdl_params_free(&p);
    free(v);
    return s;
}

static clip_status average(const converter *c, float *w)
{
    clip_status s = CLIP_OK;
    for (int i = 0; s == CLIP_OK && i < c->opt.averages; i++) {
        const clip_load_options load = clipeng_load_options_default();
        clip_model *m = NULL;
        s = clipeng_model_open(c->opt.average[i], &load, &m, c->err);
        if (s == CLIP_OK)
            s = add_to_mean(c, m, i + 2, w);
        clipeng_model_free(m);
    }
    return s;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static clip_status write_weights(const converter *c, const char *dir)
{
    char *path = clipb_path_join(dir, c->quantises ? CLIPENG_INT8_FILE : c->family->weights_file);
    float *w = calloc(c->params.count, sizeof *w);
    clip_status s = path && w ? CLIP_OK : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = clipmdl_params_read(&c->params, &c->m->store, c->m->family, c->m->prefix, w, c->err);
    if (s == CLIP_OK)
        s = clipmdl_store_check(&c->m->store, c->err);
    if (s == CLIP_OK)
        s = average(c, w);
    if (s == CLIP_OK)
        s = c->quantises
                ? clipmdl_save_quantised(path, &c->m->config, &c->params, w, c->type, c->family, c->err)
                : clipmdl_save_weights(path, &c->params, w, c->type, c->family, c->err);
    free(path);
    free(w);
    return s;
}

static clip_status remove_file(const char *dir, const char *name)
{
    char *path = clipb_path_join(dir, name);
    if (!path)
        return CLIP_ENOMEM;
    unlink(path);
    free(path);
    return CLIP_OK;
}

static clip_status write_tokenizer(const converter *c, const char *dir, bool complete)
{
    clipeng_files files;
    clipeng_tokenizer_files f = {0};
    TRY(clipeng_files_find(c->m->path, &files, c->err));
    clip_status s = clipeng_tokenizer_files_read(files.dir, &f, c->err);
    if (s == CLIP_OK)
        s = clipeng_tokenizer_files_write(&f, dir, c->err);
    if (s == CLIP_OK && complete)
        s = clipeng_tokenizer_files_complete(dir, c->m->tokenizer, c->m->config.text.context_length, c->err);
    if (s == CLIP_OK && c->family->auto_tokenizer)
        s = remove_file(dir, "bpe_simple_vocab_16e6.txt.gz"); /* transformers reads vocab.json, made from it */
    clipeng_tokenizer_files_free(&f);
    clipeng_files_free(&files);
    return s;
}

/* The model has been opened, so each tensor that is missing here is one that inference can do
 * without: its branches have been joined. */
static clip_status check_stored(const converter *c)
{
    const clip_model *m = c->m;
    if (m->store.quantised)
        return CLIP_OK; /* reading refuses them */
    const clipmdl_param *q = clipmdl_params_missing(&c->params, &m->store, m->family, m->prefix);
    if (!q)
        return CLIP_OK;
    return clipb_fail(c->err, CLIP_EUNSUPPORTED, m->store.file,
                      "the branches of its %s have been joined (reparameterized), so there is no '%s': convert the "
                      "weights as they were trained",
                      (q->flags & CLIPMDL_IMAGE_PARAM ? m->config.vision.tower : m->config.text.tower)->name, q->name);
}

static clip_status write_checkpoint(const converter *c, const char *dir)
{
    const clipmdl_family *f = c->family;
    const clipmdl_recipe recipe = clipeng_recipe_words(&c->m->recipe, c->m->tokenizer);
    TRY(f->save(dir, &c->m->config, &recipe, c->err)); /* first: it knows what the layout cannot say */
    TRY(check_stored(c));
    TRY(write_tokenizer(c, dir, f->auto_tokenizer || recipe.own_tokenizer));
    TRY(write_weights(c, dir));
    if (c->m->config.logit_bias && f->no_logit_bias)
        warn(c, f->no_logit_bias);
    if (c->m->recipe.mode == CLIPIMG_LONGEST && f->no_padding)
        warn(c, f->no_padding);
    return CLIP_OK;
}

static clip_status convert(converter *c)
{
    char *tmp;
    TRY(choose_layout(c));
    TRY(clipmdl_params_list(&c->m->config, &c->params));
    TRY(choose_type(c));
    TRY(clipb_dir_check_empty(c->out, c->err)); /* nobody's files are replaced */
    TRY(clipb_dir_new(c->out, &tmp, c->err));
    clip_status s = clipb_dir_replace(tmp, c->out, write_checkpoint(c, tmp), c->err);
    free(tmp);
    return s;
}

clip_status clipeng_convert(const char *path, const char *out, const clip_convert_options *opt, clip_error *err)
{
    if (!path || !out)
        return clipb_fail(err, CLIP_EINVAL, NULL, "no path of a model, or none to write to");
    converter c = {.opt = opt ? *opt : (clip_convert_options){0}, .out = out, .err = err};
    clip_load_options load = clipeng_load_options_default();
    load.warn = c.opt.warn;
    load.warn_user = c.opt.warn_user;
    clip_status s = clipeng_model_open(path, &load, &c.m, err);
    if (s == CLIP_OK)
        s = convert(&c);
    if (s == CLIP_ENOMEM)
        clipb_nomem(err, path);
    clipmdl_params_free(&c.params);
    clipeng_model_free(c.m);
    return s;
}
