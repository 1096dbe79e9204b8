/* What a run needs to go on, beside its weights. */
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
    clip_status s = clipmdl_arrays_add(&a, &t->net.params, t->optimizer.m, FIRST, CLIPMDL_OPENCLIP, CLIPK_F32);
    if (s == CLIP_OK)
        s = clipmdl_arrays_add(&a, &t->net.params, t->optimizer.v, SECOND, CLIPMDL_OPENCLIP, CLIPK_F32);
    if (s == CLIP_OK)
        s = clipmdl_arrays_write(&a, path, err);
    clipmdl_arrays_free(&a);
    return s;
}

static clip_status write_state(const cliptrn_trainer *t, const char *path, const char *settings, clip_error *err)
{
    clipb_output o;
    TRY(clipb_output_open(&o, path, err));
    fprintf(o.f, "{\"step\": %lld, \"epoch\": %lld, \"sample\": %lld, \"settings\": %s}\n", (long long)t->optimizer.step, (long long)t->next.epoch,
            (long long)t->next.sample, settings);
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

/* A count that JSON holds exactly. */
static clip_status count_of(const cJSON *o, const char *key, int64_t *out, const char *file, clip_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    const double x = cJSON_IsNumber(v) ? v->valuedouble : -1;
    if (!(x >= 0 && x < 0x1p53 && x == floor(x)))
        return clipb_fail(err, CLIP_EFORMAT, file, "\"%s\" is not a count", key);
    *out = (int64_t)x;
    return CLIP_OK;
}

static clip_status read_state(const cJSON *o, int64_t *step, cliptrn_position *next, char **settings, const char *file, clip_error *err)
{
    TRY(count_of(o, "step", step, file, err));
    TRY(count_of(o, "epoch", &next->epoch, file, err));
    TRY(count_of(o, "sample", &next->sample, file, err));
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(o, "settings");
    if (!cJSON_IsObject(s))
        return clipb_fail(err, CLIP_EFORMAT, file, "has no settings");
    *settings = cJSON_PrintUnformatted(s);
    return *settings ? CLIP_OK : CLIP_ENOMEM;
}

clip_status cliptrn_state_read(const char *dir, int64_t *step, cliptrn_position *next, char **settings, clip_error *err)
{
    cJSON *tree = NULL;
    char *path = clipb_path_join(dir, STATE);
    *settings = NULL;
    clip_status s = path ? clipb_json_read(path, MOST_STATE, &tree, err) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = read_state(tree, step, next, settings, path, err);
    cJSON_Delete(tree);
    free(path);
    return s;
}

clip_status cliptrn_moments_read(cliptrn_trainer *t, const char *dir, clip_error *err)
{
    clipmdl_store store = {0};
    char *path = clipb_path_join(dir, MOMENTS);
    clip_status s = path ? clipmdl_store_open(path, &store, err) : CLIP_ENOMEM;
    if (s == CLIP_OK) {
        s = clipmdl_params_read(&t->net.params, &store, CLIPMDL_OPENCLIP, FIRST, t->optimizer.m, err);
        if (s == CLIP_OK)
            s = clipmdl_params_read(&t->net.params, &store, CLIPMDL_OPENCLIP, SECOND, t->optimizer.v, err);
        clipmdl_store_close(&store);
    }
    free(path);
    return s;
}
