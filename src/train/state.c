/* state.c: the state of a training run on disk, besides its weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/save.h"
#include "train/trainer.h"

#define MOMENTS "optimizer.safetensors"
#define STATE "trainer.json"
#define FIRST "exp_avg."
#define SECOND "exp_avg_sq."
#define MOST_STATE ((size_t)1 << 20)

static clip_status write_moments(const cliptrn_trainer *t, const char *path, clip_error *err)
{
    clipmdl_arrays a = {0};
    clip_status s = clipmdl_arrays_add(&a, &t->net.params, t->optimizer.m, FIRST, &clipmdl_openclip, CLIPK_F32);
    if (s == CLIP_OK)
        s = clipmdl_arrays_add(&a, &t->net.params, t->optimizer.v, SECOND, &clipmdl_openclip, CLIPK_F32);
    if (s == CLIP_OK)
        s = clipmdl_arrays_write(&a, path, err);
    clipmdl_arrays_free(&a);
    return s;
}

static clip_status write_state(const cliptrn_trainer *t, const char *path, const char *settings, clip_error *err)
{
    clipb_output o;
    TRY(clipb_output_open(&o, path, err));
    fprintf(o.f, "{\"step\": %lld, \"epoch\": %lld, \"sample\": %lld, \"data\": \"%016llx\", \"settings\": %s}\n",
            (long long)t->optimizer.step, (long long)t->next.epoch, (long long)t->next.sample,
            (unsigned long long)cliptrn_stream_fingerprint(t->stream), settings);
    return clipb_output_close(&o, CLIP_OK, err);
}

clip_status cliptrn_state_write(const cliptrn_trainer *t, const char *dir, const char *settings, clip_error *err)
{
    char *moments = clipb_path_join(dir, MOMENTS), *state = clipb_path_join(dir, STATE);
    clip_status s = moments && state ? write_moments(t, moments, err) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = write_state(t, state, settings, err);
    free(moments);
    free(state);
    return s;
}

/* A whole number, 0 or more, that JSON holds exactly. */
static clip_status count_of(const cJSON *o, const char *key, int64_t *out, const char *file, clip_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    const double x = cJSON_IsNumber(v) ? v->valuedouble : -1;
    if (!(x >= 0 && x < 0x1p53 && x == floor(x)))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" is not a count", key);
    *out = (int64_t)x;
    return CLIP_OK;
}

static clip_status read_state(const cJSON *o, cliptrn_state *out, const char *file, clip_error *err)
{
    TRY(count_of(o, "step", &out->step, file, err));
    TRY(count_of(o, "epoch", &out->next.epoch, file, err));
    TRY(count_of(o, "sample", &out->next.sample, file, err));
    const char *data = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "data"));
    char *end = NULL;
    out->data = data ? strtoull(data, &end, 16) : 0;
    if (!end || end == data || *end)
        return clipb_fail(err, CLIP_EFORMAT, file, "has no fingerprint of the data");
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(o, "settings");
    if (!cJSON_IsObject(s))
        return clipb_fail(err, CLIP_EFORMAT, file, "has no settings");
    out->settings = clipb_json_print(s, false);
    return out->settings ? CLIP_OK : CLIP_ENOMEM;
}

bool cliptrn_state_is_in(const char *dir)
{
    char *path = clipb_path_join(dir, STATE);
    const bool there = path && clipb_is_file(path);
    free(path);
    return there;
}

clip_status cliptrn_state_read(const char *dir, cliptrn_state *out, clip_error *err)
{
    cJSON *tree = NULL;
    char *path = clipb_path_join(dir, STATE);
    *out = (cliptrn_state){0};
    clip_status s = path ? clipb_json_read(path, MOST_STATE, &tree, err) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = read_state(tree, out, path, err);
    cJSON_Delete(tree);
    free(path);
    return s;
}

static clip_status read_moments(cliptrn_trainer *t, const char *dir, clip_error *err)
{
    clipmdl_store store = {0};
    char *path = clipb_path_join(dir, MOMENTS);
    clip_status s = path ? clipmdl_store_open(path, &store, err) : CLIP_ENOMEM;
    if (s == CLIP_OK) {
        s = clipmdl_params_read(&t->net.params, &store, &clipmdl_openclip, FIRST, t->optimizer.m, err);
        if (s == CLIP_OK)
            s = clipmdl_params_read(&t->net.params, &store, &clipmdl_openclip, SECOND, t->optimizer.v, err);
        clipmdl_store_close(&store);
    }
    free(path);
    return s;
}

clip_status cliptrn_state_apply(const cliptrn_state *s, cliptrn_trainer *t, const char *dir, clip_error *err)
{
    if (s->data != cliptrn_stream_fingerprint(t->stream))
        return clipb_fail(
            err, CLIP_EMISMATCH, dir,
            "the data have changed since: other pictures, captions, or another order. A new run from this checkpoint "
            "(pretrained) can train on them");
    TRY(read_moments(t, dir, err));
    t->optimizer.step = s->step;
    return CLIP_OK;
}
