#include "model/save.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "model/tower.h"

/* ---- Numbers ------------------------------------------------------------------------------------------------ */

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

uint16_t clipmdl_to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000;
    u &= 0x7FFFFFFF;
    if (u > 0x7F800000) /* NaN, made quiet */
        return (uint16_t)(sign | 0x7E00 | (u >> 13 & 0x3FF));
    if (u >= 0x477FF000) /* 65,520 */
        return (uint16_t)(sign | 0x7C00);
    if (u < 0x38800000) /* below 2^-14: a multiple of 2^-24, which is what a sum with 1/2 is rounded to */
        return (uint16_t)(sign | (bits_of(fabsf(f) + 0.5f) - bits_of(0.5f)));
    return (uint16_t)(sign | ((u + 0xFFF + (u >> 13 & 1) - 0x38000000) >> 13));
}

static uint16_t to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

/* Half the numbers; the first that is finite and cannot stay so, or NULL. */
static const float *narrow(uint16_t *out, const float *in, size_t n, clipk_type type)
{
    const uint16_t infinity = type == CLIPK_F16 ? 0x7C00 : 0x7F80;
    for (size_t i = 0; i < n; i++) {
        out[i] = type == CLIPK_F16 ? clipmdl_to_f16(in[i]) : to_bf16(in[i]);
        if ((out[i] & 0x7FFF) == infinity && !isinf(in[i]))
            return &in[i];
    }
    return NULL;
}

/* ---- Arrays ------------------------------------------------------------------------------------------------- */

static clip_status add_param(clipmdl_arrays *a, const clipmdl_param *q, const float *data, const char *prefix,
                             clipmdl_scheme scheme, clipk_type type)
{
    clipmdl_part part[CLIPMDL_MAX_PARTS];
    const int64_t rows = q->ndim > 0 ? q->dim[0] : 1;
    const int n = clipmdl_parts(scheme, prefix, q->name, 0, rows, rows, part);
    TRY(clipb_grow((void **)&a->array, &a->capacity, a->n + (size_t)n, sizeof *a->array));
    for (int i = 0; i < n; i++) {
        clipmdl_array *t = &a->array[a->n++];
        *t = (clipmdl_array){.type = type, .ndim = q->ndim, .data = data + (size_t)i * (q->count / (size_t)n)};
        memcpy(t->name, part[i].name, sizeof t->name);
        memcpy(t->dim, q->dim, sizeof t->dim);
        if (n > 1)
            t->dim[0] = part[i].rows;
        if ((q->flags & CLIPMDL_PROJECTION_PARAM) && !clipmdl_projection_transposed(scheme)) {
            t->transpose = true;
            t->dim[0] = q->dim[1];
            t->dim[1] = q->dim[0];
        }
    }
    return CLIP_OK;
}

clip_status clipmdl_arrays_add(clipmdl_arrays *a, const clipmdl_params *p, const float *block, const char *prefix,
                               clipmdl_scheme scheme, clipk_type type)
{
    for (size_t i = 0; i < p->n; i++) {
        const clipmdl_param *q = &p->param[i];
        if (scheme == CLIPMDL_OPENCLIP || strcmp(q->name, "logit_bias") != 0)
            TRY(add_param(a, q, block + q->at, prefix, scheme, type));
    }
    return CLIP_OK;
}

void clipmdl_arrays_free(clipmdl_arrays *a)
{
    free(a->array);
    *a = (clipmdl_arrays){0};
}

/* ---- The file ----------------------------------------------------------------------------------------------- */

/* By type, the wide first, so that each is aligned to its own size; then by name. */
static int in_file(const void *a, const void *b)
{
    static const int turn[] = {[CLIPK_F32] = 0, [CLIPK_BF16] = 1, [CLIPK_F16] = 2};
    const clipmdl_array *x = a, *y = b;
    return x->type != y->type ? turn[x->type] - turn[y->type] : strcmp(x->name, y->name);
}

static size_t count_of(const clipmdl_array *t)
{
    size_t n = 1;
    for (int d = 0; d < t->ndim; d++)
        n *= (size_t)t->dim[d];
    return n;
}

/* The length goes to the front when it is known. */
static clip_status write_header(clipb_output *o, const clipmdl_arrays *a, clip_error *err)
{
    static const char *const dtype[] = {[CLIPK_F32] = "F32", [CLIPK_F16] = "F16", [CLIPK_BF16] = "BF16"};
    unsigned char length[8] = {0};
    size_t at = 0;
    TRY(clipb_output_write(o, length, sizeof length, err));
    fputs("{\"__metadata__\":{\"format\":\"pt\"}", o->f);
    for (size_t i = 0; i < a->n; i++) {
        const clipmdl_array *t = &a->array[i];
        fprintf(o->f, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, dtype[t->type]);
        for (int d = 0; d < t->ndim; d++)
            fprintf(o->f, "%s%" PRId64, d > 0 ? "," : "", t->dim[d]);
        const size_t bytes = count_of(t) * clipk_type_size(t->type);
        fprintf(o->f, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
        at += bytes;
    }
    fputc('}', o->f);
    while (ftell(o->f) % 8 > 0)
        fputc(' ', o->f);
    const uint64_t n = (uint64_t)ftell(o->f) - sizeof length;
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(n >> 8 * i);
    if (fseek(o->f, 0, SEEK_SET) == 0)
        TRY(clipb_output_write(o, length, sizeof length, err));
    return fseek(o->f, 0, SEEK_END) == 0 ? CLIP_OK : clipb_fail(err, CLIP_EIO, o->path, "cannot be written");
}

enum { PIECE = 1 << 14 }; /* numbers turned around or rounded at a time */

typedef struct pieces {
    float row[PIECE];
    uint16_t narrow[PIECE];
} pieces;

static clip_status write_run(clipb_output *o, pieces *s, const clipmdl_array *t, const float *data, size_t n,
                             clip_error *err)
{
    if (t->type == CLIPK_F32)
        return clipb_output_write(o, data, n * sizeof *data, err);
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t k = n - i < PIECE ? n - i : PIECE;
        const float *lost = narrow(s->narrow, data + i, k, t->type);
        if (lost)
            return clipb_fail(err, CLIP_ELIMIT, o->path, "tensor '%s': %g is beyond the range of %s", t->name,
                              (double)*lost, t->type == CLIPK_F16 ? "f16 (65504); bf16 or f32 hold it" : "bf16");
        TRY(clipb_output_write(o, s->narrow, k * sizeof *s->narrow, err));
    }
    return CLIP_OK;
}

static clip_status write_transpose(clipb_output *o, pieces *s, const clipmdl_array *t, clip_error *err)
{
    const size_t rows = (size_t)t->dim[0], cols = (size_t)t->dim[1];
    for (size_t r = 0; r < rows; r++)
        for (size_t from = 0; from < cols; from += PIECE) {
            const size_t k = cols - from < PIECE ? cols - from : PIECE;
            for (size_t c = 0; c < k; c++)
                s->row[c] = t->data[(from + c) * rows + r];
            TRY(write_run(o, s, t, s->row, k, err));
        }
    return CLIP_OK;
}

static clip_status write_file(clipb_output *o, const clipmdl_arrays *a, clip_error *err)
{
    pieces *s = malloc(sizeof *s);
    clip_status status = s ? write_header(o, a, err) : clipb_fail(err, CLIP_ENOMEM, o->path, "out of memory");
    for (size_t i = 0; status == CLIP_OK && i < a->n; i++) {
        const clipmdl_array *t = &a->array[i];
        status = t->transpose ? write_transpose(o, s, t, err) : write_run(o, s, t, t->data, count_of(t), err);
    }
    free(s);
    return status;
}

clip_status clipmdl_arrays_write(clipmdl_arrays *a, const char *path, clip_error *err)
{
    clipb_output o;
    if (a->n > 1)
        qsort(a->array, a->n, sizeof *a->array, in_file);
    TRY(clipb_output_open(&o, path, err));
    return clipb_output_close(&o, write_file(&o, a, err), err);
}

clip_status clipmdl_save_weights(const char *path, const clipmdl_params *p, const float *w, clipk_type type,
                                 clipmdl_scheme scheme, clip_error *err)
{
    clipmdl_arrays a = {0};
    clip_status s = clipmdl_arrays_add(&a, p, w, "", scheme, type);
    s = s == CLIP_OK ? clipmdl_arrays_write(&a, path, err) : clipb_fail(err, s, path, "out of memory");
    clipmdl_arrays_free(&a);
    return s;
}

/* ---- Configuration ------------------------------------------------------------------------------------------ */

/* The shortest digits that are read as this float again. */
static void put_float(FILE *f, double v)
{
    char digits[32];
    for (int n = 1; n <= 9; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, v);
        if (strtof_l(digits, NULL, clipb_plain()) == (float)v)
            break;
    }
    fputs(digits, f);
}

static void put_triple(FILE *f, const char *before, const float v[3], const char *after)
{
    fputs(before, f);
    for (int i = 0; i < 3; i++) {
        fputs(i > 0 ? ", " : "[", f);
        put_float(f, (double)v[i]);
    }
    fprintf(f, "]%s", after);
}

/* What OpenCLIP takes for granted is not said. */
static void put_mlp_and_eps(FILE *f, int mlp, int width, float eps)
{
    if (mlp != 4 * width) { /* it is int(width * mlp_ratio): where the quotient falls short of it, the middle of what does not */
        const double ratio = (double)mlp / width;
        fprintf(f, ",\n      \"mlp_ratio\": %.17g", (int)(width * ratio) == mlp ? ratio : (mlp + 0.5) / width);
    }
    if (eps != 1e-5f) {
        fputs(",\n      \"norm_kwargs\": {\"eps\": ", f);
        put_float(f, (double)eps);
        fputc('}', f);
    }
}

static void put_openclip_vision(FILE *f, const clipmdl_vision_config *v)
{
    fprintf(f, "    \"vision_cfg\": {\n      \"image_size\": %d,\n      \"width\": %d,\n", v->image_size, v->width);
    if (v->tower == &clipmdl_resnet) {
        fprintf(f, "      \"layers\": [%d, %d, %d, %d],\n      \"head_width\": %d,\n      \"patch_size\": null",
                v->stage[0], v->stage[1], v->stage[2], v->stage[3], v->width * 32 / v->heads);
    } else {
        fprintf(f, "      \"layers\": %d,\n      \"head_width\": %d,\n      \"patch_size\": %d", v->layers,
                v->width / v->heads, v->patch_size);
        if (!v->ln_pre)
            fputs(",\n      \"no_ln_pre\": true", f);
        put_mlp_and_eps(f, v->mlp, v->width, v->eps);
    }
    fputs("\n    },\n", f);
}

static void put_openclip_text(FILE *f, const clipmdl_text_config *t, const clipmdl_recipe *r)
{
    fprintf(
        f,
        "    \"text_cfg\": {\n      \"context_length\": %d,\n      \"vocab_size\": %d,\n      \"width\": %d,\n      \"heads\": %d,\n      \"layers\": %d",
        t->context_length, t->vocab_size, t->width, t->heads, t->layers);
    if (t->pooling == CLIPNN_POOL_EOS && t->eos_id != t->vocab_size - 1) /* the first of the largest ids is the first of these */
        fprintf(f, ",\n      \"pool_type\": \"eos\",\n      \"eos_id\": %d", t->eos_id);
    if (r->own_tokenizer) /* that there is one; OpenCLIP looks for it in this directory */
        fputs(",\n      \"hf_tokenizer_name\": \".\"", f);
    put_mlp_and_eps(f, t->mlp, t->width, t->eps);
    fputs("\n    }\n", f);
}

static clip_status put_openclip(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    if (c->vision.tower == &clipmdl_vit && c->vision.act != c->text.act)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "OpenCLIP's layout has one activation for both towers; these have GELU and QuickGELU");
    fprintf(f, "{\n  \"model_cfg\": {\n    \"embed_dim\": %d,\n", c->embed_dim);
    if (c->text.act == CLIPK_QUICKGELU)
        fputs("    \"quick_gelu\": true,\n", f);
    if (r->logit_bias) /* that there is one; its value is among the weights */
        fputs("    \"init_logit_bias\": -10,\n", f);
    put_openclip_vision(f, &c->vision);
    put_openclip_text(f, &c->text, r);
    fputs("  },\n  \"preprocess_cfg\": {\n", f);
    put_triple(f, "    \"mean\": ", r->mean, ",\n");
    put_triple(f, "    \"std\": ", r->std, ",\n");
    fprintf(f, "    \"interpolation\": \"%s\",\n    \"resize_mode\": \"%s\"", r->interpolation, r->resize_mode);
    const uint8_t *fill = r->fill_color;
    if (fill[0] != fill[1] || fill[0] != fill[2])
        fprintf(f, ",\n    \"fill_color\": [%d, %d, %d]", fill[0], fill[1], fill[2]);
    else if (fill[0] != 0)
        fprintf(f, ",\n    \"fill_color\": %d", fill[0]);
    if (r->background >= 0)
        fprintf(f, ",\n    \"background\": \"#%06x\"", (unsigned)r->background);
    fputs("\n  }\n}\n", f);
    return CLIP_OK;
}

/* transformers pools at the first end token; where it is said to be 2, at the first of the largest ids. */
static clip_status end_token(const clipmdl_text_config *t, const clipmdl_recipe *r, int *out, clip_error *err)
{
    if (t->pooling == CLIPNN_POOL_EOS && t->eos_id == 2 && t->vocab_size > 3)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "transformers cannot pool texts at the token 2");
    *out = t->pooling == CLIPNN_POOL_EOS ? t->eos_id : r->end_id == t->vocab_size - 1 ? r->end_id : 2;
    return CLIP_OK;
}

static void put_tower(FILE *f, const char *name, int width, int heads, int layers, int mlp, clipk_act act, float eps,
                      int embed_dim)
{
    fprintf(f, "  \"%s\": {\n    \"model_type\": \"clip_%.*s_model\",\n", name, (int)strcspn(name, "_"), name);
    fprintf(
        f,
        "    \"hidden_size\": %d,\n    \"intermediate_size\": %d,\n    \"num_attention_heads\": %d,\n    \"num_hidden_layers\": %d,\n",
        width, mlp, heads, layers);
    fprintf(f, "    \"hidden_act\": \"%s\",\n    \"layer_norm_eps\": ", act == CLIPK_QUICKGELU ? "quick_gelu" : "gelu");
    put_float(f, (double)eps);
    fprintf(f, ",\n    \"projection_dim\": %d,\n", embed_dim);
}

static clip_status put_huggingface(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    const clipmdl_vision_config *v = &c->vision;
    const clipmdl_text_config *t = &c->text;
    int end = 2;
    if (v->tower == &clipmdl_resnet)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL, "transformers' CLIP has no ResNet");
    if (!v->ln_pre)
        return clipb_fail(err, CLIP_EUNSUPPORTED, NULL,
                          "transformers' CLIP has a layer norm before the image Transformer, this model has none");
    TRY(end_token(t, r, &end, err));
    fprintf(f, "{\n  \"architectures\": [\"CLIPModel\"],\n  \"model_type\": \"clip\",\n  \"projection_dim\": %d,\n",
            c->embed_dim);
    put_tower(f, "vision_config", v->width, v->heads, v->layers, v->mlp, v->act, v->eps, c->embed_dim);
    fprintf(f, "    \"image_size\": %d,\n    \"patch_size\": %d\n  },\n", v->image_size, v->patch_size);
    put_tower(f, "text_config", t->width, t->heads, t->layers, t->mlp, t->act, t->eps, c->embed_dim);
    fprintf(f, "    \"max_position_embeddings\": %d,\n    \"vocab_size\": %d,\n", t->context_length, t->vocab_size);
    if (r->start_id >= 0)
        fprintf(f, "    \"bos_token_id\": %d,\n", r->start_id);
    fprintf(f, "    \"eos_token_id\": %d\n  }\n}\n", end);
    return CLIP_OK;
}

static clip_status put_preprocessor(FILE *f, const clipmdl_config *c, const clipmdl_recipe *r, clip_error *err)
{
    (void)err;
    const int size = c->vision.image_size;
    const bool squash = strcmp(r->resize_mode, "squash") == 0;
    fputs(
        "{\n  \"image_processor_type\": \"CLIPImageProcessor\",\n  \"processor_class\": \"CLIPProcessor\",\n  \"do_convert_rgb\": true,\n  \"do_resize\": true,\n",
        f);
    if (squash)
        fprintf(f, "  \"size\": {\"height\": %d, \"width\": %d},\n", size, size);
    else
        fprintf(f, "  \"size\": {\"shortest_edge\": %d},\n", size);
    fprintf(f, "  \"resample\": %d,\n", strcmp(r->interpolation, "bilinear") == 0 ? 2 : 3);
    fprintf(f, "  \"do_center_crop\": %s,\n  \"crop_size\": {\"height\": %d, \"width\": %d},\n",
            squash ? "false" : "true", size, size);
    fputs("  \"do_rescale\": true,\n  \"rescale_factor\": 0.00392156862745098,\n  \"do_normalize\": true,\n", f);
    if (r->background >= 0)
        fprintf(f, "  \"background\": \"#%06x\",\n", (unsigned)r->background);
    put_triple(f, "  \"image_mean\": ", r->mean, ",\n");
    put_triple(f, "  \"image_std\": ", r->std, "\n}\n");
    return CLIP_OK;
}

static clip_status save_config(const char *dir, const char *name, const clipmdl_config *c, const clipmdl_recipe *r,
                               clip_error *err,
                               clip_status (*put)(FILE *, const clipmdl_config *, const clipmdl_recipe *, clip_error *))
{
    clipb_output o;
    char *path = clipb_path_join(dir, name);
    clip_status s = path ? clipb_output_open(&o, path, err) : clipb_fail(err, CLIP_ENOMEM, dir, "out of memory");
    if (s == CLIP_OK) {
        const locale_t before = uselocale(clipb_plain());
        s = put(o.f, c, r, err);
        uselocale(before);
        s = clipb_output_close(&o, s, err);
    }
    free(path);
    return s;
}

clip_status clipmdl_save_config(const char *dir, clipmdl_scheme scheme, const clipmdl_config *c,
                                const clipmdl_recipe *r, clip_error *err)
{
    if (scheme == CLIPMDL_OPENCLIP)
        return save_config(dir, "open_clip_config.json", c, r, err, put_openclip);
    TRY(save_config(dir, "config.json", c, r, err, put_huggingface));
    return save_config(dir, "preprocessor_config.json", c, r, err, put_preprocessor);
}
