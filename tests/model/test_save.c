/* Saving: files hold exactly what was written. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "model/family/timm.h"
#include "model/save.h"
#include "model/tower.h"
#include "own_dir.h"


static int setup(void **state)
{
    signal(SIGXFSZ, SIG_IGN);
    return make_dir(state);
}

static clipmdl_config vit(void)
{
    return (clipmdl_config){
        .embed_dim = 24,
        .vision = {.tower = &clipmdl_vit,
                   .image_size = 32,
                   .patch_size = 8,
                   .width = 16,
                   .heads = 2,
                   .layers = 2,
                   .mlp = 64,
                   .class_token = true,
                   .ln_pre = true,
                   .eps = 1e-5f,
                   .act = CLIPK_GELU},
        .text = {.tower = &clipmdl_text,
                 .context_length = 7,
                 .vocab_size = 50,
                 .width = 8,
                 .heads = 2,
                 .layers = 1,
                 .mlp = 32,
                 .pooling = CLIPNN_POOL_ARGMAX,
                 .eos_id = 2,
                 .eps = 1e-5f,
                 .causal = true,
                 .act = CLIPK_GELU},
    };
}

static clipmdl_config resnet(void)
{
    clipmdl_config c = vit();
    c.vision = (clipmdl_vision_config){
        .tower = &clipmdl_resnet, .image_size = 32, .width = 2, .heads = 4, .stage = {1, 2, 1, 1}};
    return c;
}

/* Parameters whose weights are all different, so that each weight shows its place. */
static float *numbered(const clipmdl_params *p)
{
    float *w = calloc(p->count, sizeof *w);
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->param[i].count; j++)
            w[p->param[i].at + j] = (float)(i + 1) + (float)j / 16384 + 1e-6f;
    return w;
}

static unsigned char *slurp(const char *path, size_t *n)
{
    unsigned char *data;
    clip_error err;
    assert_int_equal(clipb_read_file(path, 1 << 30, &data, n, &err), CLIP_OK);
    return data;
}

static void assert_same_file(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = slurp(a, &n), *y = slurp(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

/* Write, read, compare, write again: the second file equals the first. */
static void round_trip(const clipmdl_config *c, const clipmdl_family *family, clipk_type type)
{
    clipmdl_params p;
    clipmdl_store store;
    clip_error err = {0};
    assert_int_equal(clipmdl_params_list(c, &p), CLIP_OK);
    float *w = numbered(&p), *back = calloc(p.count, sizeof *w);
    assert_int_equal(clipmdl_save_weights(in_dir("a"), &p, w, type, family, &err), CLIP_OK);
    assert_int_equal(clipmdl_store_open(in_dir("a"), &store, &err), CLIP_OK);
    clipmdl_found found[CLIPMDL_MAX_FOUND];
    assert_int_equal(clipmdl_find(&store, NULL, found), 1);
    assert_ptr_equal(found[0].family, family);
    assert_int_equal(found[0].towers, CLIP_TOWER_BOTH);
    if (clipmdl_params_read(&p, &store, family, found[0].prefix, back, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    const double epsilon = type == CLIPK_F32 ? 0 : type == CLIPK_F16 ? ldexp(1, -11) : ldexp(1, -8);
    for (size_t i = 0; i < p.count; i++)
        assert_true(fabs((double)back[i] - (double)w[i]) <= epsilon * (double)w[i]);
    assert_int_equal(clipmdl_save_weights(in_dir("b"), &p, back, type, family, &err), CLIP_OK);
    assert_same_file(in_dir("a"), in_dir("b"));
    clipmdl_store_close(&store);
    clipmdl_params_free(&p);
    free(w);
    free(back);
}

static void weights_come_back(void **state)
{
    (void)state;
    const clipmdl_config v = vit(), r = resnet();
    for (clipk_type type = CLIPK_F32; type <= CLIPK_BF16; type++) {
        round_trip(&v, &clipmdl_openclip, type);
        round_trip(&v, &clipmdl_huggingface, type);
        round_trip(&r, &clipmdl_openclip, type);
    }
}

static const clipmdl_tensor *tensor(const clipmdl_store *s, const char *name, int ndim, int64_t d0, int64_t d1)
{
    const clipmdl_tensor *t = clipmdl_store_find(s, name);
    if (!t)
        fail_msg("no %s", name);
    assert_int_equal(t->ndim, ndim);
    assert_true(ndim < 1 || t->dim[0] == d0);
    assert_true(ndim < 2 || t->dim[1] == d1);
    return t;
}

static float at(const clipmdl_tensor *t, size_t i)
{
    float f;
    memcpy(&f, t->data + i * sizeof f, sizeof f);
    return f;
}

static void layouts_are_theirs(void **state)
{
    (void)state;
    clipmdl_config c = vit();
    clipmdl_params p;
    clipmdl_store o, h;
    clip_error err;
    c.logit_bias = true;
    assert_int_equal(clipmdl_params_list(&c, &p), CLIP_OK);
    float *w = numbered(&p);
    assert_int_equal(clipmdl_save_weights(in_dir("o"), &p, w, CLIPK_F32, &clipmdl_openclip, &err), CLIP_OK);
    assert_int_equal(clipmdl_save_weights(in_dir("h"), &p, w, CLIPK_F32, &clipmdl_huggingface, &err), CLIP_OK);
    assert_int_equal(clipmdl_store_open(in_dir("o"), &o, &err), CLIP_OK);
    assert_int_equal(clipmdl_store_open(in_dir("h"), &h, &err), CLIP_OK);
    assert_int_equal(((uintptr_t)o.tensor[0].map->data + 8) % 8, 0);
    assert_int_equal((size_t)(tensor(&o, "logit_bias", 0, 0, 0)->data - o.map->data) % 4, 0);
    assert_null(clipmdl_store_find(&h, "logit_bias"));
    const clipmdl_tensor *in = tensor(&o, "visual.transformer.resblocks.1.attn.in_proj_weight", 2, 48, 16);
    const clipmdl_tensor *k = tensor(&h, "vision_model.encoder.layers.1.self_attn.k_proj.weight", 2, 16, 16);
    assert_true(at(in, 16 * 16 + 5) == at(k, 5));
    const clipmdl_tensor *x = tensor(&o, "text_projection", 2, 8, 24),
                         *y = tensor(&h, "text_projection.weight", 2, 24, 8);
    assert_true(at(x, 3 * 24 + 17) == at(y, 17 * 8 + 3));
    tensor(&h, "vision_model.embeddings.class_embedding", 1, 16, 0);
    tensor(&h, "logit_scale", 0, 0, 0);
    /* no bytes between or behind the tensors */
    size_t bytes = 0;
    for (size_t i = 0; i < h.n; i++)
        bytes += h.tensor[i].bytes;
    uint64_t header;
    memcpy(&header, h.map->data, sizeof header);
    assert_int_equal(8 + header + bytes, h.map->size);
    assert_int_equal(header % 8, 0);
    clipmdl_store_close(&o);
    clipmdl_store_close(&h);
    clipmdl_params_free(&p);
    free(w);
}

static void optimizer_state_is_the_same_to_it(void **state)
{
    (void)state;
    clipmdl_config c = vit();
    clipmdl_params p;
    clipmdl_arrays a = {0};
    clipmdl_store store;
    clip_error err;
    c.logit_bias = true;
    assert_int_equal(clipmdl_params_list(&c, &p), CLIP_OK);
    float *m = numbered(&p), *v = numbered(&p), *back = calloc(p.count, sizeof *m);
    for (size_t i = 0; i < p.count; i++)
        if (v[i] != 0) /* zeros between the parameters */
            v[i] *= -2;
    assert_int_equal(clipmdl_arrays_add(&a, &p, m, "exp_avg.", &clipmdl_openclip, CLIPK_F32), CLIP_OK);
    assert_int_equal(clipmdl_arrays_add(&a, &p, v, "exp_avg_sq.", &clipmdl_openclip, CLIPK_F32), CLIP_OK);
    assert_int_equal(clipmdl_arrays_write(&a, in_dir("state"), &err), CLIP_OK);
    clipmdl_arrays_free(&a);
    assert_int_equal(clipmdl_store_open(in_dir("state"), &store, &err), CLIP_OK);
    assert_int_equal(store.n, 2 * p.n);
    assert_int_equal(clipmdl_params_read(&p, &store, &clipmdl_openclip, "exp_avg_sq.", back, &err), CLIP_OK);
    assert_memory_equal(back, v, p.count * sizeof *v);
    clipmdl_store_close(&store);
    clipmdl_params_free(&p);
    free(m);
    free(v);
    free(back);
}

/* One tensor of n numbers, written as `type`: the 16-bit patterns that are stored. */
static clip_status write_narrow(const float *in, size_t n, clipk_type type, uint16_t *out, clip_error *err)
{
    clipmdl_array t = {.name = "t", .type = type, .ndim = 1, .dim = {(int64_t)n}, .data = in};
    clipmdl_arrays a = {.array = &t, .n = 1, .capacity = 1};
    clipmdl_store s;
    TRY(clipmdl_arrays_write(&a, in_dir("narrow"), err));
    assert_int_equal(clipmdl_store_open(in_dir("narrow"), &s, err), CLIP_OK);
    memcpy(out, s.tensor[0].data, n * sizeof *out);
    clipmdl_store_close(&s);
    return CLIP_OK;
}

/* Every 16-bit number survives. Numbers between two go to the nearer one, or to the even one. */
static void numbers_are_rounded_to_the_nearest(void **state)
{
    (void)state;
    const clipk_ctx k = {.set = clipk_set_find(NULL)};
    enum { N = 65536 };
    static uint16_t pattern[N], out[N];
    static float value[N], between[N];
    clip_error err = {0};
    for (int i = 0; i < N; i++)
        pattern[i] = (uint16_t)i;
    for (clipk_type type = CLIPK_F16; type <= CLIPK_BF16; type++) {
        const int infinity = type == CLIPK_F16 ? 0x7C00 : 0x7F80;
        clipk_to_f32(&k, value, pattern, type, N);
        assert_int_equal(write_narrow(value, N, type, out, &err), CLIP_OK);
        for (int i = 0; i < N; i++)
            if ((i & 0x7FFF) <= infinity)
                assert_int_equal(out[i], i);
            else
                assert_true((out[i] & 0x7FFF) > infinity); /* NaN stays NaN */
        for (int shift = -1; shift <= 1; shift++) { /* just below the middle, the middle, just above */
            for (int i = 0; i < N; i++) {
                const bool edge = (i & 0x7FFF) >= infinity - 1;
                const float middle = edge ? 0 : (float)(((double)value[i] + (double)value[i + 1]) / 2);
                between[i] = shift == 0 || edge ? middle : nextafterf(middle, shift < 0 ? value[i] : value[i + 1]);
            }
            assert_int_equal(write_narrow(between, N, type, out, &err), CLIP_OK);
            for (int i = 0; i < N; i++)
                if ((i & 0x7FFF) < infinity - 1)
                    assert_int_equal(out[i], shift < 0 ? i : shift > 0 ? i + 1 : i + (i & 1));
        }
    }
}

static void what_f16_cannot_hold_is_named(void **state)
{
    (void)state;
    const clipmdl_config c = vit();
    clipmdl_params p;
    clip_error err = {0};
    assert_int_equal(clipmdl_params_list(&c, &p), CLIP_OK);
    float *w = numbered(&p);
    const clipmdl_param *q = clipmdl_params_find(&p, "visual.proj");
    w[q->at + 7] = -65519;
    assert_int_equal(clipmdl_save_weights(in_dir("big"), &p, w, CLIPK_F16, &clipmdl_huggingface, &err), CLIP_OK);
    unlink(in_dir("big"));
    w[q->at + 7] = -65520;
    assert_int_equal(clipmdl_save_weights(in_dir("big"), &p, w, CLIPK_F16, &clipmdl_huggingface, &err), CLIP_ELIMIT);
    assert_non_null(strstr(err.message, "/big: tensor 'visual_projection.weight': -65520 is beyond the range of f16"));
    assert_false(clipb_is_file(in_dir("big")) || clipb_is_file(in_dir("big.tmp")));
    assert_int_equal(clipmdl_save_weights(in_dir("big"), &p, w, CLIPK_BF16, &clipmdl_huggingface, &err), CLIP_OK);
    clipmdl_params_free(&p);
    free(w);
}

static void a_full_disk_leaves_what_was(void **state)
{
    (void)state;
    const clipmdl_config c = vit();
    clipmdl_params p;
    clip_error err = {0};
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(clipmdl_params_list(&c, &p), CLIP_OK);
    float *w = numbered(&p);
    assert_int_equal(clipmdl_save_weights(in_dir("kept"), &p, w, CLIPK_F32, &clipmdl_openclip, &err), CLIP_OK);
    assert_int_equal(clipmdl_save_weights(in_dir("copy"), &p, w, CLIPK_F32, &clipmdl_openclip, &err), CLIP_OK);
    for (rlim_t limit = 1; limit < 40000; limit *= 7) {
        const struct rlimit tight = {limit, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        clip_status s = clipmdl_save_weights(in_dir("kept"), &p, w, CLIPK_F32, &clipmdl_openclip, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(s, CLIP_EIO);
        assert_non_null(strstr(err.message, "/kept: cannot be written"));
        assert_same_file(in_dir("kept"), in_dir("copy"));
        assert_false(clipb_is_file(in_dir("kept.tmp")));
    }
    clipmdl_params_free(&p);
    free(w);
}

/* ---- Configuration --------------------------------------------------------------------------- */

static clipmdl_recipe recipe(void)
{
    return (clipmdl_recipe){.background = -1,
                            .mean = {0.48145466f, 0.5f, 0.40821073f},
                            .std = {0.26862954f, 0.25f, 1},
                            .interpolation = "bicubic",
                            .resize_mode = "shortest",
                            .start_id = 48,
                            .end_id = 49};
}

static clipmdl_config saved(const clipmdl_family *family, const clipmdl_config *c, const clipmdl_recipe *r)
{
    clipmdl_config out;
    clip_error err = {0};
    if (family->save(dir, c, r, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    if (clipmdl_config_read(family, in_dir(family->config_file), &out, NULL, NULL, &err) != CLIP_OK)
        fail_msg("%s", err.message);
    return out;
}

static void assert_same_config(const clipmdl_config *a, const clipmdl_config *b, bool pooling)
{
    clipmdl_text_config x = a->text, y = b->text;
    clipmdl_vision_config v = a->vision, w = b->vision;
    if (!pooling) {
        x.pooling = y.pooling;
        x.eos_id = y.eos_id;
    }
    if (v.tower == &clipmdl_resnet) { /* fields that a ResNet does not have */
        v.act = w.act;
    }
    assert_int_equal(a->embed_dim, b->embed_dim);
    assert_true(v.tower == w.tower && v.image_size == w.image_size && v.patch_size == w.patch_size &&
                v.width == w.width && v.heads == w.heads);
    assert_true(v.layers == w.layers && memcmp(v.stage, w.stage, sizeof v.stage) == 0 && v.mlp == w.mlp);
    assert_true(v.ln_pre == w.ln_pre && v.eps == w.eps && v.act == w.act);
    assert_true(x.context_length == y.context_length && x.vocab_size == y.vocab_size && x.width == y.width &&
                x.heads == y.heads && x.layers == y.layers && x.mlp == y.mlp);
    assert_true(x.tower == y.tower && x.pooling == y.pooling && x.eos_id == y.eos_id && x.eps == y.eps &&
                x.act == y.act && x.causal == y.causal);
}

static void configurations_come_back(void **state)
{
    (void)state;
    clipmdl_recipe r = recipe();
    clipmdl_config c = vit(), d = saved(&clipmdl_openclip, &c, &r);
    assert_same_config(&c, &d, true);
    d = saved(&clipmdl_huggingface, &c, &r);
    assert_same_config(&c, &d, false);
    assert_int_equal(d.text.pooling, CLIPNN_POOL_EOS); /* the first 49 is the first of the largest ids */
    assert_int_equal(d.text.eos_id, 49);
    d = saved(&clipmdl_openclip, &d, &r);
    assert_same_config(&c, &d, true);

    c.vision.eps = 1e-6f;
    c.text.eps = 3e-7f;
    c.vision.act = c.text.act = CLIPK_QUICKGELU;
    c.text.eos_id = 13;
    c.text.pooling = CLIPNN_POOL_EOS;
    d = saved(&clipmdl_openclip, &c, &r);
    assert_same_config(&c, &d, true);
    d = saved(&clipmdl_huggingface, &c, &r);
    assert_same_config(&c, &d, true);
    static const char *const rules[] = {"openclip-canonical", "openclip-clipa", "openclip-hf"};
    for (int i = 0; i < 3; i++) { /* how texts are read comes back */
        clipmdl_recipe own = r;
        own.own_tokenizer = true;
        c.text.tokenizer = rules[i];
        d = saved(&clipmdl_openclip, &c, &own);
        assert_string_equal(d.text.tokenizer, rules[i]);
    }
    c.text.tokenizer = NULL;
    c.vision.ln_pre = false;
    d = saved(&clipmdl_openclip, &c, &r);
    assert_same_config(&c, &d, true);

    for (int mlp = 1; mlp < 200; mlp++) { /* int(width * mlp_ratio) hits every width */
        c.vision.width = 48 + mlp % 50;
        c.vision.heads = 1;
        c.vision.mlp = mlp;
        d = saved(&clipmdl_openclip, &c, &r);
        assert_same_config(&c, &d, true);
    }
    c = resnet();
    c.logit_bias = r.own_tokenizer = true;
    d = saved(&clipmdl_openclip, &c, &r);
    assert_same_config(&c, &d, true);
}

static clip_status read_text(const clipmdl_family *family, const char *json, clipmdl_config *out, clip_error *err)
{
    FILE *f = fopen(in_dir(family->config_file), "w");
    fputs(json, f);
    fclose(f);
    return clipmdl_config_read(family, in_dir(family->config_file), out, NULL, NULL, err);
}

static void assert_same_bert(const clipmdl_text_config *a, const clipmdl_text_config *b)
{
    const clipmdl_bert_config *x = &a->bert, *y = &b->bert;
    assert_true(a->tower == &clipmdl_bert && strcmp(x->names, y->names) == 0 && x->positions == y->positions);
    assert_true(x->first_position == y->first_position && x->token_types == y->token_types && x->pad_id == y->pad_id);
    assert_true(x->scale == y->scale && x->post_norm == y->post_norm && x->ln_embedding == y->ln_embedding);
    assert_true(x->ln_final == y->ln_final && x->proj_in.width == y->proj_in.width && a->projection == b->projection);
}

static void encoders_of_transformers_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {"roberta-base", "xlm-roberta-base", "xlm-roberta-large",
                                        "facebook/nllb-200-distilled-600M", "facebook/nllb-200-distilled-1.3B"};
    static const char *const choices[] = {"", ", \"hf_proj_type\": \"linear\", \"context_length\": 64",
                                          ", \"hf_pooler_type\": \"cls_last_hidden_state_pooler\""};
    const clipmdl_recipe r = recipe();
    for (int i = 0; i < 15; i++) {
        char json[512];
        clipmdl_config c, d;
        clip_error err = {0};
        snprintf(json, sizeof json,
                 "{\"model_cfg\": {\"embed_dim\": 512, \"quick_gelu\": true, \"vision_cfg\": {\"patch_size\": 32}, "
                 "\"text_cfg\": {\"hf_model_name\": \"%s\"%s}}, \"preprocess_cfg\": {}}",
                 names[i % 5], choices[i / 5]);
        if (read_text(&clipmdl_openclip, json, &c, &err) != CLIP_OK)
            fail_msg("%s", err.message);
        assert_true(clipmdl_family_to_write(&c) == &clipmdl_openclip);
        d = saved(&clipmdl_openclip, &c, &r);
        assert_same_config(&c, &d, true);
        assert_same_bert(&c.text, &d.text);
    }
}

static void chinese_clip_comes_back(void **state)
{
    (void)state;
    const clipmdl_recipe r = recipe();
    clipmdl_config c, d;
    clip_error err = {0};
    assert_int_equal(read_text(&clipmdl_chinese_clip,
                               "{\"model_type\": \"chinese_clip\", \"projection_dim\": 640, \"vision_config\": "
                               "{\"patch_size\": 16}, \"text_config\": {\"vocab_size\": 21128}}", &c, &err),
                     CLIP_OK);
    assert_int_equal(c.text.context_length, 52);
    assert_int_equal(c.text.bert.positions, 512);
    assert_true(clipmdl_family_to_write(&c) == &clipmdl_chinese_clip);
    d = saved(&clipmdl_chinese_clip, &c, &r);
    assert_same_config(&c, &d, true);
    assert_same_bert(&c.text, &d.text);
    c.text.bert.ln_final = true;
    assert_null(clipmdl_family_to_write(&c));
}

/* Multilingual-CLIP has a text encoder alone. */
static void multilingual_clip_is_read(void **state)
{
    (void)state;
    clipmdl_config c;
    clip_error err = {0};
    assert_int_equal(read_text(&clipmdl_mclip, "{\"model_type\": \"M-CLIP\", \"numDims\": 640}", &c, &err), CLIP_OK);
    assert_int_equal(c.towers, CLIP_TOWER_TEXT);
    assert_int_equal(c.embed_dim, 640);
    assert_int_equal(c.text.width, 1024);
    assert_int_equal(c.text.context_length, 512);
    assert_int_equal(c.text.pooling, CLIPNN_POOL_MEAN);
    assert_int_equal(read_text(&clipmdl_mclip, "{\"modelBase\": \"LABSE\"}", &c, &err), CLIP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "modelBase is \"LABSE\""));
}

static void the_recipe_is_written(void **state)
{
    (void)state;
    const clipmdl_config c = vit();
    clipmdl_recipe r = recipe();
    size_t n;
    saved(&clipmdl_openclip, &c, &r);
    char *text = (char *)slurp(in_dir("open_clip_config.json"), &n);
    assert_non_null(strstr(text, "\"mean\": [0.48145467, 0.5, 0.40821072]"));
    assert_null(strstr(text, "fill_color"));
    assert_null(strstr(text, "background"));
    assert_null(strstr(text, "logit_bias"));
    free(text);
    r.resize_mode = "longest";
    memset(r.fill_color, 255, 3);
    r.background = 0x0080ff;
    saved(&clipmdl_openclip, &c, &r);
    text = (char *)slurp(in_dir("open_clip_config.json"), &n);
    assert_non_null(strstr(text, "\"fill_color\": 255,\n    \"background\": \"#0080ff\"\n"));
    free(text);
    saved(&clipmdl_huggingface, &c, &r);
    text = (char *)slurp(in_dir("preprocessor_config.json"), &n);
    assert_non_null(strstr(text, "\"size\": {\"shortest_edge\": 32}"));
    assert_non_null(strstr(text, "\"background\": \"#0080ff\""));
    free(text);
    r.resize_mode = "squash";
    r.interpolation = "bilinear";
    saved(&clipmdl_huggingface, &c, &r);
    text = (char *)slurp(in_dir("preprocessor_config.json"), &n);
    assert_non_null(strstr(text, "\"size\": {\"height\": 32, \"width\": 32}"));
    assert_non_null(strstr(text, "\"resample\": 2"));
    free(text);
}

static void refuse(const clipmdl_family *family, const clipmdl_config *c, const clipmdl_recipe *r, const char *says)
{
    clip_error err = {0};
    assert_int_equal(family->save(dir, c, r, &err), CLIP_EUNSUPPORTED);
    if (!strstr(err.message, says))
        fail_msg("\"%s\" does not say \"%s\"", err.message, says);
}

static void what_a_layout_has_no_words_for_is_refused(void **state)
{
    (void)state;
    const clipmdl_recipe r = recipe();
    clipmdl_config c = resnet();
    refuse(&clipmdl_huggingface, &c, &r, "transformers' CLIP has no ResNet");
    c = vit();
    c.vision.ln_pre = false;
    refuse(&clipmdl_huggingface, &c, &r, "layer norm");
    c = vit();
    c.text.pooling = CLIPNN_POOL_EOS;
    refuse(&clipmdl_huggingface, &c, &r, "token 2");
    c = vit();
    c.vision.act = CLIPK_QUICKGELU;
    refuse(&clipmdl_openclip, &c, &r, "activation");
    c = vit();
    c.vision.pooling = CLIPNN_POOL_ATTENTION;
    refuse(&clipmdl_openclip, &c, &r, "such a ViT");
    refuse(&clipmdl_huggingface, &c, &r, "such ViT");
    c = vit();
    c.text.causal = false;
    refuse(&clipmdl_openclip, &c, &r, "such a text Transformer");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const clipmdl_config c = vit();
    const clipmdl_recipe r = recipe();
    clipmdl_params p;
    clip_error err;
    assert_int_equal(clipmdl_params_list(&c, &p), CLIP_OK);
    float *w = numbered(&p);
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        clip_status s = clipmdl_save_weights(in_dir("alloc"), &p, w, CLIPK_F16, &clipmdl_huggingface, &err);
        if (s == CLIP_OK)
            s = clipmdl_huggingface.save(dir, &c, &r, &err);
        if (!fail_alloc_stop()) {
            assert_int_equal(s, CLIP_OK);
            break;
        }
        assert_int_equal(s, CLIP_ENOMEM);
        assert_false(clipb_is_file(in_dir("alloc.tmp")));
    }
    clipmdl_params_free(&p);
    free(w);
}

static const clipmdl_array *array_of(const clipmdl_arrays *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->array[i].name, name) == 0)
            return &a->array[i];
    return NULL;
}

/* A tower of timm's, made small, in OpenCLIP's layout. PyTorch loads no other shapes than
 * timm's. */
static void timm_has_ones_in_front(void **state)
{
    (void)state;
    static const struct {
        const char *timm, *name;
        int64_t dim[3];
    } tensors[] = {{"vit_base_patch16_siglip_224", "visual.trunk.pos_embed", {1, 16, 16}},
                   {"vit_base_patch16_siglip_224", "visual.trunk.attn_pool.latent", {1, 1, 16}},
                   {"vit_pe_core_base_patch16_224", "visual.trunk.pos_embed", {1, 17, 16}},
                   {"vit_pe_core_base_patch16_224", "visual.trunk.cls_token", {1, 1, 16}},
                   {"vit_pe_core_base_patch16_224", "visual.trunk.attn_pool.latent", {1, 1, 16}},
                   {"vitamin_small_224", "visual.trunk.pos_embed", {1, 4, 16}},
                   {"eva02_base_patch16_clip_224", "visual.trunk.pos_embed", {1, 17, 16}}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        clipmdl_config c = vit();
        clipmdl_params p;
        clipmdl_arrays a = {0};
        const char *pool, *proj;
        c.towers = CLIP_TOWER_BOTH;
        c.vision = (clipmdl_vision_config){0};
        c.embed_dim = 16;
        assert_true(clipmdl_timm_read(tensors[i].timm, &c.vision, &pool, &proj));
        c.vision.width = 16;
        c.vision.heads = c.vision.eva.pool_heads = 2;
        c.vision.layers = 1;
        c.vision.mlp = 32;
        c.vision.image_size = 32;
        c.vision.patch_size = c.vision.eva.stem == CLIPMDL_STEM_PATCHES ? 8 : 16;
        assert_int_equal(clipmdl_params_list(&c, &p), CLIP_OK);
        float *w = numbered(&p);
        assert_int_equal(clipmdl_arrays_add(&a, &p, w, "", &clipmdl_openclip, CLIPK_F32), CLIP_OK);
        const clipmdl_array *t = array_of(&a, tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->ndim, 3);
        assert_memory_equal(t->dim, tensors[i].dim, sizeof tensors[i].dim);
        clipmdl_arrays_free(&a);
        clipmdl_params_free(&p);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_come_back),
        cmocka_unit_test(layouts_are_theirs),
        cmocka_unit_test(timm_has_ones_in_front),
        cmocka_unit_test(optimizer_state_is_the_same_to_it),
        cmocka_unit_test(numbers_are_rounded_to_the_nearest),
        cmocka_unit_test(what_f16_cannot_hold_is_named),
        cmocka_unit_test(a_full_disk_leaves_what_was),
        cmocka_unit_test(configurations_come_back),
        cmocka_unit_test(encoders_of_transformers_come_back),
        cmocka_unit_test(chinese_clip_comes_back),
        cmocka_unit_test(multilingual_clip_is_read),
        cmocka_unit_test(the_recipe_is_written),
        cmocka_unit_test(what_a_layout_has_no_words_for_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, remove_dir);
}
