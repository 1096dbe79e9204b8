/* Safetensors files that are broken or hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "model/names.h"
#include "own_dir.h"

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(in_dir(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

/* A safetensors file with this header, followed by `data` zero bytes. */
static size_t safetensors(unsigned char *out, const char *header, size_t data)
{
    size_t n = strlen(header);
    memset(out, 0, 8);
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(n >> 8 * i);
    memcpy(out + 8, header, n);
    memset(out + 8 + n, 0, data);
    return 8 + n + data;
}

static clip_status open_header(const char *header, size_t data, clipmdl_store *s, clip_error *err)
{
    static unsigned char file[65536];
    write_file("t.safetensors", file, safetensors(file, header, data));
    return clipmdl_store_open(in_dir("t.safetensors"), s, err);
}

#define GOOD                                                                                                           \
    "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[4,28]},"         \
    "\"a\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]},\"n\":{\"dtype\":\"I64\",\"shape\":[0]," \
    "\"data_offsets\":[28,28]}}"

static void a_sound_file_opens(void **state)
{
    (void)state;
    clipmdl_store s;
    clip_error err;
    clipk_type type;
    assert_int_equal(open_header(GOOD, 28, &s, &err), CLIP_OK);
    assert_int_equal(s.n, 3);
    clipmdl_tensor *t = clipmdl_store_find(&s, "b");
    assert_non_null(t);
    assert_int_equal(t->ndim, 2);
    assert_int_equal(t->dim[1], 3);
    assert_int_equal(t->bytes, 24);
    assert_true(clipmdl_tensor_type(t, &type) && type == CLIPK_F32);
    assert_false(clipmdl_tensor_type(clipmdl_store_find(&s, "n"), &type));
    assert_null(clipmdl_store_find(&s, "c"));
    clipmdl_store_close(&s);
}

static void faults_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *says;
    } cases[] = {
        {"[]", 0, "not a JSON object"},
        {"{\"a\":1}", 0, "lacks dtype"},
        {"{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype 'F99'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,4]}}", 4,
         "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "impossible data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, "impossible data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "cut short"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "needs 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\","
         "\"shape\":[1],\"data_offsets\":[2,6]}}",
         8, "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\","
         "\"shape\":[1],\"data_offsets\":[4,8]}}",
         8, "there twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]", 4, "not valid JSON"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} x", 4, "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clipmdl_store s;
        clip_error err = {0};
        assert_int_equal(open_header(cases[i].header, cases[i].data, &s, &err), CLIP_EFORMAT);
        if (!strstr(err.message, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].says);
        assert_non_null(strstr(err.message, "t.safetensors: "));
        assert_null(s.tensor);
    }
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    unsigned char file[1024];
    size_t n = safetensors(file, GOOD, 28);
    for (size_t i = 0; i < n; i++) {
        clipmdl_store s;
        clip_error err;
        write_file("cut.safetensors", file, i);
        assert_int_equal(clipmdl_store_open(in_dir("cut.safetensors"), &s, &err), CLIP_EFORMAT);
    }
}

static volatile unsigned char read_all; /* the compiler must not drop the reads */

static void no_flipped_bit_reads_beyond(void **state)
{
    (void)state;
    unsigned char file[1024];
    size_t n = safetensors(file, GOOD, 28);
    for (size_t bit = 0; bit < (n - 28) * 8; bit++) {
        clipmdl_store s;
        clip_error err;
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
        write_file("flip.safetensors", file, n);
        if (clipmdl_store_open(in_dir("flip.safetensors"), &s, &err) == CLIP_OK) {
            unsigned char sum = 0;
            for (size_t i = 0; i < s.n; i++)
                for (size_t b = 0; b < s.tensor[i].bytes; b++)
                    sum ^= s.tensor[i].data[b];
            read_all = sum;
            clipmdl_store_close(&s);
        }
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void shards_are_joined(void **state)
{
    (void)state;
    static const char index[] =
        "{\"weight_map\":{\"x\":\"1.safetensors\",\"y\":\"2.safetensors\",\"z\":\"1.safetensors\"}}";
    static const char escape[] = "{\"weight_map\":{\"x\":\"../1.safetensors\"}}";
    unsigned char file[1024];
    clipmdl_store s;
    clip_error err;
    size_t n = safetensors(
        file,
        "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"z\":{\"dtype\":\"F32\","
        "\"shape\":[1],\"data_offsets\":[4,8]}}",
        8);
    write_file("1.safetensors", file, n);
    n = safetensors(file, "{\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    write_file("2.safetensors", file, n);
    write_file("i.safetensors.index.json", index, strlen(index));
    assert_int_equal(clipmdl_store_open(in_dir("i.safetensors.index.json"), &s, &err), CLIP_OK);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.shards, 2);
    clipmdl_store_close(&s);

    for (long f = 1;; f++) {
        fail_alloc_at(f);
        clip_status status = clipmdl_store_open(in_dir("i.safetensors.index.json"), &s, &err);
        if (!fail_alloc_stop()) {
            assert_int_equal(status, CLIP_OK);
            clipmdl_store_close(&s);
            break;
        }
        assert_int_equal(status, CLIP_ENOMEM);
    }

    write_file("i.safetensors.index.json", escape, strlen(escape));
    assert_int_equal(clipmdl_store_open(in_dir("i.safetensors.index.json"), &s, &err), CLIP_EFORMAT);
    assert_non_null(strstr(err.message, "not a file beside the index"));
    unlink(in_dir("2.safetensors"));
    write_file("i.safetensors.index.json", index, strlen(index));
    assert_int_equal(clipmdl_store_open(in_dir("i.safetensors.index.json"), &s, &err), CLIP_EIO);
    assert_non_null(strstr(err.message, "2.safetensors"));
}

static void names_translate(void **state)
{
    (void)state;
    static const struct {
        const clipmdl_family *family;
        const char *name, *in_file;
    } cases[] = {
        {&clipmdl_openclip, "visual.transformer.resblocks.3.attn.in_proj_weight",
         "visual.transformer.resblocks.3.attn.in_proj_weight"},
        {&clipmdl_huggingface, "visual.transformer.resblocks.11.mlp.c_fc.bias",
         "vision_model.encoder.layers.11.mlp.fc1.bias"},
        {&clipmdl_huggingface, "transformer.resblocks.0.ln_1.weight", "text_model.encoder.layers.0.layer_norm1.weight"},
        {&clipmdl_huggingface, "visual.ln_pre.weight", "vision_model.pre_layrnorm.weight"},
        {&clipmdl_huggingface, "visual.proj", "visual_projection.weight"},
        {&clipmdl_huggingface, "text_projection", "text_projection.weight"},
        {&clipmdl_huggingface, "positional_embedding", "text_model.embeddings.position_embedding.weight"},
        {&clipmdl_huggingface, "transformer.resblocks.2.attn.out_proj.weight",
         "text_model.encoder.layers.2.self_attn.out_proj.weight"},
    };
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(clipmdl_parts(cases[i].family, "", cases[i].name, 0, 64, 64, part), 1);
        assert_string_equal(part[0].name, cases[i].in_file);
    }
    /* keys and values: rows 64..192 of in_proj */
    /* a prefix can be anything */
    assert_int_equal(clipmdl_parts(&clipmdl_openclip, "x.in_proj_.attnpool.", "ln_final.weight", 0, 2, 2, part), 1);
    assert_string_equal(part[0].name, "x.in_proj_.attnpool.ln_final.weight");
    assert_int_equal(clipmdl_parts(&clipmdl_huggingface_tower, "a.", "visual.ln_pre.weight", 0, 64, 64, part), 1);
    assert_string_equal(part[0].name, "a.pre_layrnorm.weight");
    assert_int_equal(
        clipmdl_parts(&clipmdl_openclip, "module.", "transformer.resblocks.0.attn.in_proj_weight", 64, 128, 192, part),
        1);
    assert_string_equal(part[0].name, "module.transformer.resblocks.0.attn.in_proj_weight");
    assert_int_equal(part[0].first, 64);
    assert_int_equal(
        clipmdl_parts(&clipmdl_huggingface, "", "transformer.resblocks.0.attn.in_proj_weight", 64, 128, 192, part), 2);
    assert_string_equal(part[0].name, "text_model.encoder.layers.0.self_attn.k_proj.weight");
    assert_string_equal(part[1].name, "text_model.encoder.layers.0.self_attn.v_proj.weight");
    assert_int_equal(part[1].total, 64);
    assert_int_equal(clipmdl_parts(&clipmdl_openclip, "", "visual.attnpool.in_proj_bias", 0, 64, 192, part), 1);
    assert_string_equal(part[0].name, "visual.attnpool.q_proj.bias");
}

static clip_status read_openclip(clipmdl_config *c, clip_error *err)
{
    return clipmdl_config_read(&clipmdl_openclip, in_dir("open_clip_config.json"), c, NULL, NULL, err);
}

static void configurations_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        clip_status status;
        const char *says;
    } cases[] = {
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{},\"text_cfg\":{}}}", CLIP_OK, ""},
        {"{}", CLIP_EFORMAT, "model_cfg"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{\"timm_model_name\":\"vit\"},\"text_cfg\":{}}}",
         CLIP_EUNSUPPORTED, "timm_model_name"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{\"width\":0},\"text_cfg\":{}}}", CLIP_EFORMAT, "width"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{\"width\":100},\"text_cfg\":{\"heads\":7}}}", CLIP_EFORMAT,
         "heads"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{},\"text_cfg\":{\"heads\":1}}}", CLIP_EUNSUPPORTED,
         "heads of 512"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{\"layers\":[1,2,3]},\"text_cfg\":{}}}", CLIP_EFORMAT,
         "layers"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{\"image_size\":[224,336]},\"text_cfg\":{}}}",
         CLIP_EUNSUPPORTED, "image_size"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{\"pool_type\":\"max\"},\"text_cfg\":{}}}", CLIP_EUNSUPPORTED,
         "pool_type"},
        {"{\"model_cfg\":{\"embed_dim\":8,\"vision_cfg\":{\"mlp_ratio\":1e300},\"text_cfg\":{}}}", CLIP_EFORMAT,
         "mlp_ratio"},
        {"{\"model_cfg\":{\"embed_dim\":\"8\",\"vision_cfg\":{},\"text_cfg\":{}}}", CLIP_EFORMAT, "embed_dim"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clipmdl_config c;
        clip_error err = {0};
        write_file("open_clip_config.json", cases[i].json, strlen(cases[i].json));
        assert_int_equal(read_openclip(&c, &err), cases[i].status);
        if (!strstr(err.message, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].says);
    }
}

/* Bare files with the shapes of a CLIP, except one that would break the forward. */
static void shapes_of_no_clip_are_refused(void **state)
{
    (void)state;
#define TEXT                                                                                                           \
    "\"text_projection\":{\"dtype\":\"U8\",\"shape\":[64,8],\"data_offsets\":[0,512]},"                                \
    "\"positional_embedding\":{\"dtype\":\"U8\",\"shape\":[4,64],\"data_offsets\":[512,768]},"                         \
    "\"token_embedding.weight\":{\"dtype\":\"U8\",\"shape\":[9,64],\"data_offsets\":[768,1344]},"                      \
    "\"ln_final.weight\":{\"dtype\":\"U8\",\"shape\":[64],\"data_offsets\":[1344,1408]},"                              \
    "\"transformer.resblocks.0.mlp.c_fc.weight\":{\"dtype\":\"U8\",\"shape\":[1,64],\"data_offsets\":[1408,1472]}"
#define LAYER "\"transformer.resblocks.0.ln_1.weight\":{\"dtype\":\"U8\",\"shape\":[64],\"data_offsets\":[1472,1536]}"
    static const struct {
        const char *header, *says;
    } cases[] = {
        /* a ResNet of one stage */
        {"{\"visual.conv1.weight\":{\"dtype\":\"U8\",\"shape\":[1,3,3,3],\"data_offsets\":[2000,2027]},"
         "\"visual.layer1.0.conv1.weight\":{\"dtype\":\"U8\",\"shape\":[64,2,1,1],\"data_offsets\":[2027,2155]},"
         "\"visual.attnpool.positional_embedding\":{\"dtype\":\"U8\",\"shape\":[5,4],"
         "\"data_offsets\":[2155,2175]}," LAYER
         "," TEXT "}",
         "stage 2 of the ResNet has no blocks"},
        /* a text tower of no layers */
        {"{\"visual.conv1.weight\":{\"dtype\":\"U8\",\"shape\":[1,3,3,3],\"data_offsets\":[2000,2027]},"
         "\"visual.layer1.0.conv1.weight\":{\"dtype\":\"U8\",\"shape\":[64,2,1,1],\"data_offsets\":[2027,2155]},"
         "\"visual.attnpool.positional_embedding\":{\"dtype\":\"U8\",\"shape\":[5,4],"
         "\"data_offsets\":[2155,2175]}," TEXT
         "}",
         "without layers"},
        /* a patch of 2^24 pixels, in no bytes at all */
        {"{\"visual.conv1.weight\":{\"dtype\":\"U8\",\"shape\":[64,0,0,16777216],\"data_offsets\":[2000,2000]},"
         "\"visual.proj\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2000,2000]},"
         "\"visual.positional_embedding\":{\"dtype\":\"U8\",\"shape\":[16769026,0],\"data_offsets\":[2000,2000]}," TEXT
         "}",
         "has a shape that no CLIP has"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clipmdl_store s;
        clipmdl_config c;
        clip_error err = {0};
        assert_int_equal(open_header(cases[i].header, 2200, &s, &err), CLIP_OK);
        assert_true(clipmdl_config_from_shapes(&s, &(clipmdl_found){&clipmdl_openclip, CLIP_TOWER_BOTH, ""}, &c, &err) <
                    0);
        if (!strstr(err.message, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].says);
        clipmdl_store_close(&s);
    }
}

/* A bare vision encoder does not say how many heads it has: as many as the known model of its
 * width. */
static void heads_are_those_of_known_models(void **state)
{
    (void)state;
    static const struct {
        int width, heads;
    } cases[] = {{384, 6}, {768, 12}, {1024, 16}, {1280, 16}, {1408, 16}, {1664, 16}, {1792, 16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int n = 3 * cases[i].width;
        char header[1024];
        clipmdl_store s;
        clipmdl_config c;
        clip_error err;
        snprintf(
            header, sizeof header,
            "{\"visual.conv1.weight\":{\"dtype\":\"U8\",\"shape\":[%d,3,1,1],\"data_offsets\":[0,%d]},"
            "\"visual.class_embedding\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]},"
            "\"visual.positional_embedding\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[%d,%d]},"
            "\"visual.transformer.resblocks.0.ln_1.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]},"
            "\"visual.transformer.resblocks.0.mlp.c_fc.weight\":{\"dtype\":\"U8\",\"shape\":[1,1],"
            "\"data_offsets\":[%d,%d]}}",
            cases[i].width, n, n, n + 1, n + 1, n + 3, n + 3, n + 4, n + 4, n + 5);
        assert_int_equal(open_header(header, (size_t)n + 5, &s, &err), CLIP_OK);
        if (clipmdl_config_from_shapes(&s, &(clipmdl_found){&clipmdl_openclip, CLIP_TOWER_IMAGE, ""}, &c, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(c.vision.heads, cases[i].heads);
        assert_int_equal(c.embed_dim, 0);
        clipmdl_store_close(&s);
    }
}

static void g14_has_its_odd_mlp(void **state)
{
    (void)state;
    static const char json[] =
        "{\"model_cfg\":{\"embed_dim\":1024,\"vision_cfg\":{\"image_size\":224,\"layers\":40,\"width\":1408,"
        "\"head_width\":88,"
        "\"mlp_ratio\":4.3637,\"patch_size\":14},\"text_cfg\":{\"context_length\":77,\"width\":1024,"
        "\"heads\":16,\"layers\":24}}}";
    clipmdl_config c;
    clip_error err;
    write_file("open_clip_config.json", json, strlen(json));
    assert_int_equal(read_openclip(&c, &err), CLIP_OK);
    assert_int_equal(c.vision.mlp, 6144);
    assert_int_equal(c.vision.heads, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file_opens),         cmocka_unit_test(faults_are_named),
        cmocka_unit_test(every_truncation_is_an_error), cmocka_unit_test(no_flipped_bit_reads_beyond),
        cmocka_unit_test(shards_are_joined),          cmocka_unit_test(names_translate),
        cmocka_unit_test(configurations_are_checked), cmocka_unit_test(heads_are_those_of_known_models),
        cmocka_unit_test(g14_has_its_odd_mlp),
        cmocka_unit_test(shapes_of_no_clip_are_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
