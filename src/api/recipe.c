/* How a checkpoint wants its pictures. */
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "base/json.h"
#include "model/settings.h"

#define MAX_CONFIG ((size_t)16 << 20)

clipimg_recipe clip_recipe_default(int size)
{
    return (clipimg_recipe){
        .size = size,
        .mode = CLIPIMG_SHORTEST,
        .filter = CLIPIMG_BICUBIC,
        .flavour = CLIPIMG_OPENCLIP,
        .background = -1,
        .mean = {0.48145466f, 0.4578275f, 0.40821073f}, /* OpenAI's, openai/CLIP clip.py */
        .std = {0.26862954f, 0.26130258f, 0.27577711f},
    };
}

/* Three numbers, or one for all. */
static clip_status triple(const cJSON *o, const char *key, double lo, double hi, double out[3], const char *file,
                          clip_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key), *e;
    if (!v || cJSON_IsNull(v))
        return CLIP_OK;
    int n = 0;
    if (cJSON_IsNumber(v)) {
        out[0] = out[1] = out[2] = v->valuedouble;
        n = 3;
    } else if (cJSON_IsArray(v)) {
        cJSON_ArrayForEach(e, v)
        {
            if (n < 3 && cJSON_IsNumber(e))
                out[n] = e->valuedouble;
            n = n < 3 && cJSON_IsNumber(e) ? n + 1 : 4;
        }
    }
    bool fits = n == 3;
    for (int i = 0; i < 3 && fits; i++)
        fits = out[i] >= lo && out[i] <= hi;
    return fits ? CLIP_OK
                : clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" must be three numbers from %g to %g", key, lo, hi);
}

static clip_status statistics(const cJSON *o, const char *mean, const char *std, clipimg_recipe *r, const char *file,
                              clip_error *err)
{
    double m[3], s[3];
    for (int i = 0; i < 3; i++) {
        m[i] = r->mean[i];
        s[i] = r->std[i];
    }
    TRY(triple(o, mean, -1e3, 1e3, m, file, err));
    TRY(triple(o, std, 1e-6, 1e3, s, file, err));
    for (int i = 0; i < 3; i++) {
        r->mean[i] = (float)m[i];
        r->std[i] = (float)s[i];
    }
    return CLIP_OK;
}

/* "background": "#rrggbb", our own key in both layouts; the peers pass over it and drop transparency. */
static clip_status background(const cJSON *o, clipimg_recipe *r, const char *file, clip_error *err)
{
    const char *text = "drop";
    TRY(clipb_json_string(o, "background", &text, file, err));
    if (clip_background_parse(text, &r->background) < 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "\"background\": \"%.40s\" is none of #rrggbb, white, black, drop",
                          text);
    return CLIP_OK;
}

static clip_status openclip(const cJSON *root, clipimg_recipe *r, const char *file, clip_error *err)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, "preprocess_cfg");
    const char *filter = "bicubic", *mode = "shortest";
    double fill[3] = {0};
    if (!o || cJSON_IsNull(o))
        return CLIP_OK;
    if (!cJSON_IsObject(o))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"preprocess_cfg\" must be an object");
    TRY(statistics(o, "mean", "std", r, file, err));
    TRY(background(o, r, file, err));
    TRY(clipb_json_string(o, "interpolation", &filter, file, err));
    TRY(clipb_json_string(o, "resize_mode", &mode, file, err));
    TRY(triple(o, "fill_color", 0, 255, fill, file, err));
    for (int i = 0; i < 3; i++)
        r->fill_color[i] = (uint8_t)fill[i];
    r->filter = strcmp(filter, "bilinear") == 0 ? CLIPIMG_BILINEAR : CLIPIMG_BICUBIC;
    r->mode = strcmp(mode, "longest") == 0  ? CLIPIMG_LONGEST
              : strcmp(mode, "squash") == 0 ? CLIPIMG_SQUASH
                                            : CLIPIMG_SHORTEST;
    return CLIP_OK;
}

static clip_status side(const cJSON *v, const char *key, int *out, const char *file, clip_error *err)
{
    double d = cJSON_IsNumber(v) ? v->valuedouble : 0;
    if (!(d >= 1 && d <= 65536))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" has no usable side", key);
    *out = (int)d;
    return CLIP_OK;
}

/* "size": 224, {"shortest_edge": 224} or {"height": 224, "width": 224}; "crop_size" likewise. *edge: only one side was given. */
static clip_status size_of(const cJSON *o, const char *key, int *out, bool *edge, const char *file, clip_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    *edge = true;
    if (!v || cJSON_IsNull(v))
        return CLIP_OK;
    if (cJSON_IsNumber(v))
        return side(v, key, out, file, err);
    const cJSON *shortest = cJSON_GetObjectItemCaseSensitive(v, "shortest_edge");
    if (shortest)
        return side(shortest, key, out, file, err);
    int h = 0, w = 0;
    TRY(side(cJSON_GetObjectItemCaseSensitive(v, "height"), key, &h, file, err));
    TRY(side(cJSON_GetObjectItemCaseSensitive(v, "width"), key, &w, file, err));
    if (h != w)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "\"%s\" is not a square", key);
    *out = h;
    *edge = false;
    return CLIP_OK;
}

static clip_status huggingface(const clip_recipe_reader *reader, const cJSON *o, const char *file)
{
    clipimg_recipe *r = reader->out;
    clip_error *err = reader->err;
    int resample = 3, size = r->size, crop = r->size;
    bool edge, ignored, do_center_crop = true;
    float rescale = 1.0f / 255;
    TRY(clipmdl_settings_preprocessor(o, file, reader->warn, reader->warn_user, err));
    TRY(statistics(o, "image_mean", "image_std", r, file, err));
    TRY(background(o, r, file, err));
    TRY(clipb_json_int(o, "resample", 2, 3, &resample, file, err));
    TRY(clipb_json_bool(o, "do_center_crop", &do_center_crop, file, err));
    TRY(clipb_json_float(o, "rescale_factor", &rescale, file, err));
    TRY(size_of(o, "size", &size, &edge, file, err));
    TRY(size_of(o, "crop_size", &crop, &ignored, file, err));
    if (!(fabsf(rescale * 255 - 1) < 1e-4f))
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "\"rescale_factor\" is %g: only 1/255 is supported",
                          (double)rescale);
    if (edge && !do_center_crop)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file,
                          "\"do_center_crop\" is false, so pictures would not be squares");
    if (do_center_crop && crop != size)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "\"size\" %d and \"crop_size\" %d differ", size, crop);
    r->filter = resample == 2 ? CLIPIMG_BILINEAR : CLIPIMG_BICUBIC;
    r->mode = edge ? CLIPIMG_SHORTEST : CLIPIMG_SQUASH;
    r->flavour = CLIPIMG_HUGGINGFACE;
    if (size != r->size)
        return clipb_fail(err, CLIP_EMISMATCH, file, "prepares pictures of %d pixels for an encoder of %d", size,
                          r->size);
    return CLIP_OK;
}

clip_status clip_recipe_openclip(const char *path, clipimg_recipe *out, clip_error *err)
{
    cJSON *root;
    TRY(clipb_json_read(path, MAX_CONFIG, &root, err));
    clip_status s = clipmdl_settings_openclip(root, path, err);
    if (s == CLIP_OK)
        s = openclip(root, out, path, err);
    cJSON_Delete(root);
    return s;
}

/* key: the object of the file that says it; NULL: the whole. */
static clip_status read_processor(const clip_recipe_reader *r, const char *path, const char *key, bool *found)
{
    cJSON *root;
    if (!path || *found)
        return CLIP_OK;
    TRY(clipb_json_read(path, MAX_CONFIG, &root, r->err));
    const cJSON *o = key ? cJSON_GetObjectItemCaseSensitive(root, key) : root;
    *found = !key || (o && !cJSON_IsNull(o));
    clip_status s = !*found             ? CLIP_OK
                    : cJSON_IsObject(o) ? huggingface(r, o, path)
                                        : clipb_fail(r->err, CLIP_EFORMAT, path, "has no settings of pictures");
    cJSON_Delete(root);
    return s;
}

clip_status clip_recipe_huggingface(const clip_recipe_reader *r, const char *processor, const char *preprocessor,
                                    bool *found)
{
    *found = false;
    TRY(read_processor(r, processor, "image_processor", found));
    return read_processor(r, preprocessor, NULL, found);
}

clipmdl_recipe clip_recipe_words(const clipimg_recipe *r, const cliptok *tokenizer, bool logit_bias)
{
    static const char *const modes[] = {
        [CLIPIMG_SHORTEST] = "shortest", [CLIPIMG_LONGEST] = "longest", [CLIPIMG_SQUASH] = "squash"};
    clipmdl_recipe w = {.interpolation = r->filter == CLIPIMG_BICUBIC ? "bicubic" : "bilinear",
                        .resize_mode = modes[r->mode],
                        .background = r->background,
                        .logit_bias = logit_bias,
                        .own_tokenizer = tokenizer && cliptok_follows(tokenizer) == CLIPTOK_HUGGINGFACE &&
                                         cliptok_vocab_size(tokenizer) != CLIP_VOCABULARY,
                        .start_id = tokenizer ? cliptok_start_id(tokenizer) : -1,
                        .end_id = tokenizer ? cliptok_end_id(tokenizer) : -1};
    for (int i = 0; i < 3; i++) {
        w.mean[i] = r->mean[i];
        w.std[i] = r->std[i];
        w.fill_color[i] = r->fill_color[i];
    }
    return w;
}
