/* Tensors, types, numbers, places and formats of other programs: each is understood, or refused by
 * name.
 * usage: test_refused GOLDEN_DIRECTORY */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "altered.h"
#include "failing_alloc.h"
#include "model/names.h"
#include "model/params.h"
#include "model/tower.h"

/* ---- Tensors --------------------------------------------------------------------------------- */

static void a_strange_tensor_in_a_tower(void **state)
{
    (void)state;
    static const struct {
        const char *checkpoint, *file, *name;
        bool refused;
    } cases[] = {
        {"tiny-vit", "open_clip_model.safetensors", "visual.attn_pool.query", true},
        {"tiny-vit", "open_clip_model.safetensors", "transformer.resblocks.0.ls_1.gamma", true},
        {"tiny-vit", "open_clip_model.safetensors", "transformer.resblocks.0.attn.in_proj_weight.lora_A", true},
        {"tiny-vit", "open_clip_model.safetensors", "cls_emb", true},
        {"tiny-vit", "open_clip_model.safetensors", "text_projection.bias", true},
        {"tiny-vit", "open_clip_model.safetensors", "attn_mask", false},
        {"tiny-vit", "open_clip_model.safetensors", "classifier.weight", false},
        {"tiny-resnet", "open_clip_model.safetensors", "visual.bn9.num_batches_tracked", false},
        {"tiny-hf", "model.safetensors", "vision_model.head.weight", true},
        {"tiny-hf", "model.safetensors", "text_model.encoder.layers.0.self_attn.q_norm.weight", true},
        {"tiny-hf", "model.safetensors", "text_model.embeddings.position_ids", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        take(cases[i].checkpoint);
        rewrite(cases[i].file, "", cases[i].name, NULL);
        if (!cases[i].refused) {
            clip_model_free(loads(dir));
            continue;
        }
        refused(dir, CLIP_EUNSUPPORTED, cases[i].name);
        clip_convert_options opt = {.type = "f32"};
        clip_error err = {0};
        assert_int_equal(clip_convert(dir, in_dir("out"), &opt, &err), CLIP_EUNSUPPORTED);
        says(err.message, cases[i].name);
    }
}

static void types_that_are_not_weights_in_one_sentence(void **state)
{
    (void)state;
    static const char *const types[] = {"F8_E4M3", "F8_E5M2", "I8", "U8"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        take("tiny-vit");
        rewrite("open_clip_model.safetensors", "", NULL, types[i]);
        refused(dir, CLIP_EUNSUPPORTED, types[i]);
        refused(dir, CLIP_EUNSUPPORTED, "tensors are of the type");
        assert_string_equal(said, "");
    }
}

static void any_allocation_may_fail(const char *path)
{
    bool failed = true;
    for (long n = 1; failed; n++) {
        clip_model *m;
        clip_error err;
        fail_alloc_at(n);
        const clip_status s = load(path, &m, &err);
        failed = fail_alloc_stop();
        assert_int_equal(s, failed ? CLIP_ENOMEM : CLIP_OK);
        clip_model_free(m);
    }
}

static void long_clips_tables_fit_each_other(void **state)
{
    (void)state;
    take("tiny-vit");
    rewrite("open_clip_model.safetensors", "", "positional_embedding_res", NULL);
    refused(dir, CLIP_EMISMATCH, "'positional_embedding_res' are not two tables");
    take("tiny-longclip");
    any_allocation_may_fail(dir);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* Load and embed. If that fails because of a number, *message says why. */
static clip_status embed(const char *isa, char message[1024])
{
    static uint8_t rgb[40 * 36 * 3] = {1, 200, 30, 90};
    const clip_image image = {40, 36, 120, rgb};
    const char *text = "a red apple";
    float out[1024];
    clip_model *m = NULL;
    clip_context *ctx = NULL;
    clip_error err = {0};
    clip_load_options opt = clip_load_options_default();
    opt.isa = isa;
    opt.threads = 1;
    clip_status s = clip_model_load(dir, &opt, &m, &err);
    snprintf(message, 1024, "%s", err.message);
    if (s == CLIP_OK) {
        assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
        s = clip_encode_image(ctx, &image, 1, out);
        if (s == CLIP_OK)
            s = clip_encode_text(ctx, &text, 1, out);
        snprintf(message, 1024, "%s", clip_context_message(ctx, s));
    }
    clip_context_free(ctx);
    clip_model_free(m);
    return s;
}

/* The place in the file of the i-th number of a tensor. In the token embedding: of a row that every
 * text reads. */
static size_t place(const clipmdl_tensor *t, size_t i, size_t each)
{
    const size_t count = t->bytes / each, row = t->ndim > 1 ? count / (size_t)t->dim[0] : count;
    const bool tokens = strstr(t->name, "token_embedding") != NULL;
    const size_t at = tokens ? (size_t)(t->dim[0] - 2) * row + i % row : i % count;
    return (size_t)(t->data - t->map->data) + at * each;
}

static void every_tensor(const char *checkpoint, const char *file)
{
    static const unsigned char nan32[] = {0, 0, 0xc0, 0x7f}, inf32[] = {0, 0, 0x80, 0x7f}, nan16[] = {0, 0x7e},
                               inf16[] = {0, 0xfc};
    clipmdl_store s;
    clip_error err;
    take(checkpoint);
    assert_int_equal(clipmdl_store_open(in_dir(file), &s, &err), CLIP_OK);
    for (size_t i = 0; i < s.n; i++) {
        const clipmdl_tensor *t = &s.tensor[i];
        clipk_type type;
        if (!clipmdl_tensor_type(t, &type) || strcmp(t->name, "logit_scale") == 0)
            continue;
        const size_t each = clipk_type_size(type);
        for (int infinite = 0; infinite < 2; infinite++) {
            char message[1024];
            unsigned char was[4];
            const size_t at = place(t, 7919 * i + 31, each);
            const unsigned char *number = each == 4 ? infinite ? inf32 : nan32 : infinite ? inf16 : nan16;
            FILE *f = fopen(in_dir(file), "r+b");
            fseek(f, (long)at, SEEK_SET);
            assert_int_equal(fread(was, 1, each, f), each);
            fseek(f, (long)at, SEEK_SET);
            fwrite(number, 1, each, f);
            fflush(f);
            if (embed(i % 2 ? NULL : "generic", message) != CLIP_ENOTFINITE)
                fail_msg("%s: %s in '%s' is not noticed", checkpoint, infinite ? "infinity" : "NaN", t->name);
            says(message, t->name);
            clip_convert_options opt = {.type = "f32"};
            assert_int_equal(clip_convert(dir, in_dir("out"), &opt, &err), CLIP_ENOTFINITE);
            says(err.message, t->name);
            fseek(f, (long)at, SEEK_SET);
            fwrite(was, 1, each, f);
            fclose(f);
        }
    }
    clipmdl_store_close(&s);
}

static void nan_and_infinity_are_told(void **state)
{
    (void)state;
    every_tensor("tiny-vit", "open_clip_model.safetensors");
    every_tensor("tiny-resnet", "open_clip_model.safetensors");
    every_tensor("tiny-hf", "model.safetensors");
}

/* Every function that gives numbers, with a tensor of the last layer that holds NaN. */
static void every_function_tells(void **state)
{
    (void)state;
    static float pixels[3 * 32 * 32], out[8192];
    static uint8_t rgb[40 * 36 * 3];
    const clip_image image = {40, 36, 120, rgb};
    const int32_t ids[] = {574, 10, 575}, off[] = {0, 3};
    const char *text = "red", *template = "a {}";
    clip_model *m = NULL;
    clip_context *ctx;
    clip_error err;
    for (int tower = 0; tower < 2; tower++) {
        const char *name = tower ? "ln_final.bias" : "visual.ln_post.bias";
        clipmdl_store s;
        take("tiny-vit");
        assert_int_equal(clipmdl_store_open(in_dir("open_clip_model.safetensors"), &s, &err), CLIP_OK);
        FILE *f = fopen(in_dir("open_clip_model.safetensors"), "r+b");
        fseek(f, (long)place(clipmdl_store_find(&s, name), 3, 4), SEEK_SET);
        fwrite("\0\0\xc0\x7f", 1, 4, f);
        fclose(f);
        clipmdl_store_close(&s);
        m = loads(dir);
        assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
        const clip_status image_is = tower ? CLIP_OK : CLIP_ENOTFINITE, text_is = tower ? CLIP_ENOTFINITE : CLIP_OK;
        assert_int_equal(clip_encode_pixels(ctx, pixels, 1, out), image_is);
        assert_int_equal(clip_encode_image(ctx, &image, 1, out), image_is);
        assert_int_equal(clip_hidden_pixels(ctx, pixels, 1, NULL, &(clip_hidden){.pooled = out}), image_is);
        assert_int_equal(clip_hidden_image(ctx, &image, 1, NULL, &(clip_hidden){.projected = out}), image_is);
        assert_int_equal(clip_hidden_image(ctx, &image, 1, NULL, &(clip_hidden){.states = out}),
                         CLIP_OK); /* before the norm */
        assert_int_equal(clip_look_pixels(ctx, pixels, 1, out), image_is);
        assert_int_equal(clip_encode_text(ctx, &text, 1, out), text_is);
        assert_int_equal(clip_encode_tokens(ctx, ids, off, 1, out), text_is);
        assert_int_equal(clip_encode_labels(ctx, &text, 1, &template, 1, out), text_is);
        assert_int_equal(clip_hidden_text(ctx, &text, 1, NULL, &(clip_hidden){.states = out}), text_is);
        assert_int_equal(clip_hidden_tokens(ctx, ids, off, 1, NULL, &(clip_hidden){.pooled = out}), text_is);
        assert_int_equal(clip_explain(ctx, &image, &text, 1, out, out + 1024), CLIP_ENOTFINITE);
        says(clip_context_message(ctx, CLIP_ENOTFINITE), name);
        clip_question *question;
        assert_int_equal(clip_question_new(ctx, NULL, "what color is it?", NULL, &question, &err), text_is);
        if (tower)
            says(err.message, name);
        clip_question_free(question);
        clip_context_free(ctx);
        clip_model_free(m);
    }
    m = loads((take("tiny-vit"), dir));
    assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
    float two[2 * 3 * 32 * 32] = {0};
    two[3 * 32 * 32 + 5] = 1e30f; /* a norm makes all numbers equal; infinity stays */
    assert_int_equal(clip_encode_pixels(ctx, two, 2, out), CLIP_OK);
    two[3 * 32 * 32 + 5] = two[5] / two[6];
    assert_int_equal(clip_encode_pixels(ctx, two, 2, out), CLIP_ENOTFINITE);
    says(clip_context_message(ctx, CLIP_ENOTFINITE), "picture 2 comes out as NaN or infinity, as its pixels are");
    assert_string_equal(clip_context_message(ctx, CLIP_EINVAL), clip_status_message(CLIP_EINVAL));
    clip_context_free(ctx);
    clip_model_free(m);
}

/* ---- Places and formats ---------------------------------------------------------------------- */

static void weights_of(const char *path, const char *should)
{
    clip_model_info info;
    clip_model *m = loads(path);
    clip_model_get_info(m, &info);
    says(info.weights_file, should);
    assert_non_null(info.tokenizer);
    clip_model_free(m);
}

static void places_of_a_model(void **state)
{
    (void)state;
    char path[256], hub[128];
    take("tiny-hf");
    snprintf(hub, sizeof hub, "%s/models--org--name", dir);
    shell("cd %s && mkdir -p %s/blobs %s/refs %s/snapshots/0a1b && printf 0a1b >%s/refs/main", dir, hub, hub, hub, hub);
    shell("cd %s && for f in *.*; do mv $f %s/blobs/ && ln -s ../../blobs/$f %s/snapshots/0a1b/$f; done", dir, hub,
          hub);
    weights_of(hub, "snapshots/0a1b/model.safetensors");
    snprintf(path, sizeof path, "local-dir:%s", hub);
    weights_of(path, "snapshots/0a1b/model.safetensors");
    any_allocation_may_fail(hub);
    shell("printf 'ffff\\n' >%s/refs/main", hub);
    refused(hub, CLIP_EIO, "snapshots/ffff: is not there");
    shell("printf '../..' >%s/refs/main", hub);
    refused(hub, CLIP_EFORMAT, "refs/main: does not name a snapshot");
    shell("rm %s/refs/main", hub);
    weights_of(hub, "snapshots/0a1b/model.safetensors");
    shell("mkdir %s/snapshots/0a1c", hub);
    refused(hub, CLIP_EIO, "holds several snapshots");
    refused("local-dir:", CLIP_EINVAL, "empty");
    shell("mkdir %s/cache", dir);
    snprintf(path, sizeof path, "%s/cache", dir);
    setenv("HF_HUB_CACHE", path, 1);
    refused("hf-hub:org/name", CLIP_EIO, "'clip pull hf-hub:org/name' fetches it");
    shell("mv %s %s/cache/ && rm -r %s/cache/models--org--name/snapshots/0a1c", hub, dir, dir);
    weights_of("hf-hub:org/name", "cache/models--org--name/snapshots/0a1b/model.safetensors");
    weights_of("org/name", "snapshots/0a1b/model.safetensors");
    any_allocation_may_fail("org/name");
    unsetenv("HF_HUB_CACHE");

    static const struct {
        const char *modules;
        clip_status status;
        const char *says;
    } cases[] = {
        {"[{\"path\": \"0_CLIPModel\", \"type\": \"sentence_transformers.models.CLIPModel\"}]", CLIP_OK,
         "0_CLIPModel/model.safetensors"},
        {"[{\"path\": \"0_CLIPModel\", \"type\": \"m.CLIPModel\"}, {\"path\": \"1_Normalize\", \"type\": "
         "\"m.Normalize\"}]",
         CLIP_OK, "0_CLIPModel/model.safetensors"},
        {"[{\"path\": \"0_CLIPModel\", \"type\": \"m.CLIPModel\"}, {\"path\": \"1_Dense\", \"type\": \"m.Dense\"}]",
         CLIP_EUNSUPPORTED, "module 1 is m.Dense"},
        {"[{\"path\": \"\", \"type\": \"m.Transformer\"}]", CLIP_EUNSUPPORTED, "module 0 is m.Transformer"},
        {"[{\"path\": \"../elsewhere\", \"type\": \"m.CLIPModel\"}]", CLIP_EFORMAT, "not in this folder"},
        {"[]", CLIP_EFORMAT, "lists no modules"},
        {"[", CLIP_EFORMAT, "modules.json"},
    };
    take("tiny-hf");
    shell("cd %s && mkdir 0_CLIPModel && mv *.* 0_CLIPModel/", dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *f = fopen(in_dir("modules.json"), "w");
        fputs(cases[i].modules, f);
        fclose(f);
        if (cases[i].status == CLIP_OK)
            weights_of(dir, cases[i].says);
        else
            refused(dir, cases[i].status, cases[i].says);
    }
    snprintf(path, sizeof path, "%s", dir);
    shell("printf '[{\"path\": \"0_CLIPModel\", \"type\": \"m.CLIPModel\"}]' >%s", in_dir("modules.json"));
    any_allocation_may_fail(path);
    take("tiny-vit"); /* weights of another name are used if they are the only ones */
    shell("cd %s && mv open_clip_model.safetensors ViT-T.safetensors", dir);
    weights_of(dir, "ViT-T.safetensors");
    any_allocation_may_fail(dir);
    shell("cd %s && cp ViT-T.safetensors other.safetensors", dir);
    refused(dir, CLIP_EINVAL, "ViT-T.safetensors, other.safetensors");
}

static void formats_of_other_programs(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
    } cases[] = {
        {"model.onnx", "an ONNX graph"},
        {"clip.gguf", "a GGUF file"},
        {"tf_model.h5", "a TensorFlow or Keras checkpoint"},
        {"flax_model.msgpack", "a Flax"},
        {"clip.tflite", "a TensorFlow Lite"},
        {"openvino_model.xml", "an OpenVINO graph"},
        {"clip.mlmodel", "a Core ML graph"},
        {"weights.npz", "a NumPy archive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shell("rm -rf %s/*; printf 'some bytes' >%s/%s", dir, dir, cases[i].name);
        refused(in_dir(cases[i].name), CLIP_EUNSUPPORTED, cases[i].says);
        refused(dir, CLIP_EUNSUPPORTED, cases[i].says);
    }
    shell("rm -rf %s/*; printf '' >%s/m.xml; printf '' >%s/m.bin; printf 'GGUF012345678901' >%s/x.safetensors", dir,
          dir, dir, dir);
    refused(in_dir("m.bin"), CLIP_EUNSUPPORTED, "an OpenVINO graph");
    refused(in_dir("x.safetensors"), CLIP_EUNSUPPORTED, "a GGUF file");
    shell("rm %s/x.safetensors", dir);
    refused(dir, CLIP_EUNSUPPORTED, "an OpenVINO graph");
    shell("rm -rf %s/*; printf 'some bytes, and more' >%s/ViT.pt", dir, dir); /* a pickle by its name alone */
    refused(in_dir("ViT.pt"), CLIP_EFORMAT, "not a safetensors file");
    refused(dir, CLIP_EIO, "holds no weights");
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

static void many_layers_are_listed_at_once(void **state)
{
    (void)state;
    clipmdl_params p;
    clipmdl_config c = {.towers = CLIP_TOWER_BOTH, .embed_dim = 4};
    c.vision = (clipmdl_vision_config){
        .tower = &clipmdl_resnet, .image_size = 32, .width = 2, .heads = 1, .stage = {1000, 1000, 1000, 1000}};
    c.text = (clipmdl_text_config){.tower = &clipmdl_text,
                                   .context_length = 4,
                                   .vocab_size = 8,
                                   .width = 4,
                                   .heads = 1,
                                   .layers = 1000,
                                   .mlp = 4};
    alarm(60); /* comparing each name with all earlier ones took longer */
    assert_int_equal(clipmdl_params_list(&c, &p), CLIP_OK);
    for (size_t i = 0; i < p.n; i++)
        assert_ptr_equal(clipmdl_params_find(&p, p.param[i].name), &p.param[i]);
    alarm(0);
    assert_true(p.n > 60000);
    assert_null(clipmdl_params_find(&p, "visual.layer5.0.conv1.weight"));
    clipmdl_params_free(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_strange_tensor_in_a_tower),
        cmocka_unit_test(types_that_are_not_weights_in_one_sentence),
        cmocka_unit_test(long_clips_tables_fit_each_other),
        cmocka_unit_test(nan_and_infinity_are_told),
        cmocka_unit_test(every_function_tells),
        cmocka_unit_test(places_of_a_model),
        cmocka_unit_test(formats_of_other_programs),
        cmocka_unit_test(many_layers_are_listed_at_once),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
