/* How much memory a model takes: a text encoder of 63 MB, made here. Where /proc does not tell a
 * process' peak, nothing is measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip.h"
#include "own_dir.h"

enum { LAYERS = 5, WIDTH = 512, MLP = 2048, VOCABULARY = 100, CONTEXT = 16, MOST = 200 };
#define MATRICES ((long)LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * MLP) * (long)sizeof(float))

/* ---- The checkpoint -------------------------------------------------------------------------- */

typedef struct tensor {
    char name[80];
    long rows, columns; /* columns 0: a vector */
} tensor;

static tensor tensors[MOST];
static int n_tensors;

static void add(int layer, const char *name, long rows, long columns)
{
    tensor *t = &tensors[n_tensors++];
    assert_true(n_tensors <= MOST);
    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "text_model.encoder.layers.%d.%s", layer, name);
    else
        snprintf(t->name, sizeof t->name, "%s", name);
    t->rows = rows;
    t->columns = columns;
}

static void add_both(int layer, const char *name, long rows, long columns)
{
    char whole[80];
    snprintf(whole, sizeof whole, "%s.weight", name);
    add(layer, whole, rows, columns);
    snprintf(whole, sizeof whole, "%s.bias", name);
    add(layer, whole, rows, 0);
}

static void list_tensors(void)
{
    add(-1, "text_model.embeddings.token_embedding.weight", VOCABULARY, WIDTH);
    add(-1, "text_model.embeddings.position_embedding.weight", CONTEXT, WIDTH);
    for (int i = 0; i < LAYERS; i++) {
        add_both(i, "layer_norm1", WIDTH, 0);
        add_both(i, "self_attn.q_proj", WIDTH, WIDTH);
        add_both(i, "self_attn.k_proj", WIDTH, WIDTH);
        add_both(i, "self_attn.v_proj", WIDTH, WIDTH);
        add_both(i, "self_attn.out_proj", WIDTH, WIDTH);
        add_both(i, "layer_norm2", WIDTH, 0);
        add_both(i, "mlp.fc1", MLP, WIDTH);
        add_both(i, "mlp.fc2", WIDTH, MLP);
    }
    add_both(-1, "text_model.final_layer_norm", WIDTH, 0);
    add(-1, "text_projection.weight", WIDTH, WIDTH);
}

static long numbers(const tensor *t) { return t->rows * (t->columns ? t->columns : 1); }

static int make_checkpoint(void **state)
{
    static char header[64 << 10];
    size_t n = 0;
    long at = 0;
    uint32_t random = 1;
    if (make_dir(state) < 0)
        return -1;
    list_tensors();
    for (int i = 0; i < n_tensors; i++) {
        const tensor *t = &tensors[i];
        const long end = at + numbers(t) * (long)sizeof(float);
        n += (size_t)snprintf(header + n, sizeof header - n, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%ld",
                              i ? ',' : '{', t->name, t->rows);
        if (t->columns)
            n += (size_t)snprintf(header + n, sizeof header - n, ",%ld", t->columns);
        n += (size_t)snprintf(header + n, sizeof header - n, "],\"data_offsets\":[%ld,%ld]}", at, end);
        at = end;
    }
    n += (size_t)snprintf(header + n, sizeof header - n, "}");
    assert_true(n < sizeof header);
    FILE *f = fopen(in_dir("model.safetensors"), "wb");
    const uint64_t length = n;
    fwrite(&length, sizeof length, 1, f);
    fwrite(header, 1, n, f);
    for (int i = 0; i < n_tensors; i++)
        for (long j = 0; j < numbers(&tensors[i]); j++) {
            random = random * 1664525 + 1013904223;
            const float x = ((float)(random >> 8) / (1 << 23) - 1) / 16;
            fwrite(&x, sizeof x, 1, f);
        }
    assert_int_equal(fclose(f), 0);
    f = fopen(in_dir("config.json"), "w");
    fprintf(f,
            "{\"architectures\": [\"CLIPTextModelWithProjection\"], \"model_type\": \"clip_text_model\", "
            "\"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
            "\"num_attention_heads\": 8, \"vocab_size\": %d, "
            "\"max_position_embeddings\": %d, \"projection_dim\": %d, \"eos_token_id\": 2, "
            "\"hidden_act\": \"quick_gelu\"}",
            WIDTH, MLP, LAYERS, VOCABULARY, CONTEXT, WIDTH);
    return fclose(f);
}

/* ---- The peak -------------------------------------------------------------------------------- */

/* The process' peak of resident memory so far, in bytes. -1: unknown. */
static long peak(void)
{
    char line[256];
    long kilobytes = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kilobytes = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

/* The peak starts again at what is resident now. */
static bool forget_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    const bool done = f && fputs("5", f) >= 0;
    return f && fclose(f) == 0 && done;
}

/* Embed one text. @return: how far the peak rose */
static long rise(int mapped, float out[WIDTH])
{
    static const int32_t ids[] = {1, 5, 7, 9, 99}, offsets[] = {0, 5};
    clip_load_options opt = clip_load_options_default();
    clip_model *m;
    clip_context *ctx;
    clip_error err;
    opt.mapped = mapped;
    const long before = forget_peak() ? peak() : -1;
    if (clip_model_load(dir, &opt, &m, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(clip_context_new(m, 2, &ctx), CLIP_OK);
    assert_int_equal(clip_encode_tokens(ctx, ids, offsets, 1, out), CLIP_OK);
    const long after = peak();
    clip_context_free(ctx);
    clip_model_free(m);
    return before < 0 || after < 0 ? -1 : after - before;
}

static void a_mapped_tower_is_never_held(void **state)
{
    (void)state;
    float mapped[WIDTH], packed[WIDTH];
    const long little = rise(CLIP_TOWER_TEXT, mapped), all = rise(0, packed);
    assert_memory_equal(mapped, packed, sizeof packed);
    if (little < 0 || all < 0)
        skip();
    print_message("%ld MB of matrices: mapped %ld MB, packed %ld MB\n", MATRICES / 1000000, little / 1000000,
                  all / 1000000);
    assert_true(little < MATRICES / 2); /* much of it are pages of the file, which come in runs */
    assert_true(all > MATRICES); /* so the measure sees what it should */
    assert_true(all < MATRICES + MATRICES / 2); /* no second copy */
}

static void unknown_towers_are_refused(void **state)
{
    (void)state;
    clip_load_options opt = clip_load_options_default();
    clip_model *m;
    clip_error err;
    opt.mapped = 4;
    assert_int_equal(clip_model_load(dir, &opt, &m, &err), CLIP_EINVAL);
    assert_non_null(strstr(err.message, "mapped"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapped_tower_is_never_held),
        cmocka_unit_test(unknown_towers_are_refused),
    };
    return cmocka_run_group_tests(tests, make_checkpoint, remove_dir);
}
