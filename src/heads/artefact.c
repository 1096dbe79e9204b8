/* The files of a head: writing both, and refusing what does not belong together. */
#include "heads/artefact.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/engine.h"

clip_status cliphd_artefact_path(const clip_model *m, const char *dir, const char *file, char **out, clip_error *err)
{
    char *beside = dir ? NULL : clipb_path_dir(m->store.file);
    *out = dir || beside ? clipb_path_join(dir ? dir : beside, file) : NULL;
    free(beside);
    return *out ? CLIP_OK : clipb_nomem(err, dir);
}

/* Paths of both files. On error both are NULL. */
static clip_status path_both(const clip_model *m, const char *dir, const char *name, char **words, char **numbers,
                             clip_error *err)
{
    char file[64];
    *numbers = NULL;
    snprintf(file, sizeof file, "%s.json", name);
    TRY(cliphd_artefact_path(m, dir, file, words, err));
    snprintf(file, sizeof file, "%s.safetensors", name);
    const clip_status s = cliphd_artefact_path(m, dir, file, numbers, err);
    if (s < 0) {
        free(*words);
        *words = NULL;
    }
    return s;
}

/* XXH3-128 of a file, in hexadecimal. */
static clip_status hash_file(const char *path, char out[33], clip_error *err)
{
    clipb_map map;
    TRY(clipb_map_open(path, &map, err));
    const XXH128_hash_t h = XXH3_128bits(map.data, map.size);
    clipb_map_close(&map);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    return CLIP_OK;
}

/* ---- Words ---- */

/* Of pictures, where it is not the checkpoint's own: so that a person learns what to ask for. */
static bool add_size(const clip_model *m, cJSON *words)
{
    const clipmdl_vision_config *v = &m->config.vision;
    return v->image_size == clipmdl_stored_size(v) || cJSON_AddNumberToObject(words, "image_size", v->image_size);
}

clip_status cliphd_words_new(const clip_model *m, cJSON **out, clip_error *err)
{
    char weights[33];
    *out = NULL;
    TRY(clipeng_weights_identify(m, weights, err));
    cJSON *words = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(words, "weights", weights) || !add_size(m, words)) {
        cJSON_Delete(words);
        return clipb_nomem(err, NULL);
    }
    *out = words;
    return CLIP_OK;
}

clip_status cliphd_words_write(const cJSON *words, const char *path, clip_error *err)
{
    clipb_output o;
    char *text = clipb_json_print(words, true);
    if (!text)
        return clipb_nomem(err, path);
    clip_status s = clipb_output_open(&o, path, err);
    if (s == CLIP_OK) {
        fprintf(o.f, "%s\n", text);
        s = clipb_output_close(&o, CLIP_OK, err);
    }
    cJSON_free(text);
    return s;
}

clip_status cliphd_words_check(const clip_model *m, const cJSON *words, const char *path, clip_error *err)
{
    const char *weights = "";
    char own[33];
    if (!cJSON_IsObject(words))
        return clipb_fail(err, CLIP_EFORMAT, path, "is not a JSON object");
    TRY(clipb_json_string(words, "weights", &weights, path, err));
    int size = clipmdl_stored_size(&m->config.vision);
    TRY(clipb_json_int(words, "image_size", 1, CLIPMDL_MOST_SIDE, &size, path, err));
    TRY(clipeng_weights_identify(m, own, err));
    if (strcmp(weights, own) != 0 && size != m->config.vision.image_size && (m->config.towers & CLIP_TOWER_IMAGE))
        return clipb_fail(err, CLIP_EMISMATCH, path,
                          "was fitted with pictures of %d pixels, and %s has pictures of %d: fit again, or load the "
                          "model with that size (image_size)", size, m->path, m->config.vision.image_size);
    if (strcmp(weights, own) != 0)
        return clipb_fail(err, CLIP_EMISMATCH, path,
                          "was fitted on other weights or settings (%.8s) than those of %s (%.8s): fit again", weights,
                          m->path, own);
    return CLIP_OK;
}

/* ---- Both files ---- */

clip_status cliphd_artefact_write(const clip_model *m, const char *dir, const char *name, clipmdl_arrays *numbers,
                                  cJSON *words, clip_error *err)
{
    char *words_path, *numbers_path, hash[33];
    TRY(path_both(m, dir, name, &words_path, &numbers_path, err));
    clip_status s = clipmdl_arrays_write(numbers, numbers_path, err);
    if (s == CLIP_OK)
        s = hash_file(numbers_path, hash, err);
    if (s == CLIP_OK && !cJSON_AddStringToObject(words, "network", hash))
        s = clipb_nomem(err, words_path);
    if (s == CLIP_OK)
        s = cliphd_words_write(words, words_path, err);
    free(words_path);
    free(numbers_path);
    return s;
}

/* A probe of an earlier version has no hash. */
static clip_status check_hash(const cJSON *words, const char *path, const char *numbers_path, clip_error *err)
{
    const char *noted = "";
    char hash[33];
    TRY(clipb_json_string(words, "network", &noted, path, err));
    TRY(hash_file(numbers_path, hash, err));
    if (*noted && strcmp(noted, hash) != 0)
        return clipb_fail(err, CLIP_EMISMATCH, path, "does not belong to %s: fit again", numbers_path);
    return CLIP_OK;
}

clip_status cliphd_artefact_open(const clip_model *m, const char *dir, const char *name, size_t most,
                                 cliphd_artefact *out, clip_error *err)
{
    char *numbers_path;
    *out = (cliphd_artefact){0};
    TRY(path_both(m, dir, name, &out->path, &numbers_path, err));
    clip_status s = clipb_json_read(out->path, most, &out->words, err);
    if (s == CLIP_OK)
        s = cliphd_words_check(m, out->words, out->path, err);
    if (s == CLIP_OK)
        s = check_hash(out->words, out->path, numbers_path, err);
    if (s == CLIP_OK)
        s = clipmdl_store_open(numbers_path, &out->store, err);
    free(numbers_path);
    return s;
}

void cliphd_artefact_close(cliphd_artefact *a)
{
    clipmdl_store_close(&a->store);
    cJSON_Delete(a->words);
    free(a->path);
    *a = (cliphd_artefact){0};
}
