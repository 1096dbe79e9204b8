/* A fitted head: freed, described, and the directory that it is kept in. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "heads/artefact.h"
#include "heads/heads.h"
#include "heads/vqa.h"

#define MOST_JSON ((size_t)1 << 28)

void cliphd_vqa_free(clip_vqa *h)
{
    if (!h)
        return;
    for (int i = 0; h->answer && i < h->net.A; i++)
        free(h->answer[i]);
    free(h->answer);
    cliphd_head_free(&h->net);
    cliphd_head_free(&h->blind);
    free(h);
}

void cliphd_vqa_get_info(const clip_vqa *h, clip_vqa_info *out)
{
    *out =
        (clip_vqa_info){h->net.A, h->net.H, h->net.see.T, h->fit.trained, h->fit.held_back, h->fit.epoch, h->fit.score};
}

/* ---- The directory --------------------------------------------------------------------------- */

bool cliphd_vqa_exists(const clip_model *m, const char *dir)
{
    char *path = NULL;
    const bool is = cliphd_artefact_path(m, dir, "vqa.json", &path, NULL) == CLIP_OK && clipb_is_file(path);
    free(path);
    return is;
}

static clip_status add_words(const clip_vqa *h, cJSON *j)
{
    bool good =
        cJSON_AddNumberToObject(j, "embed_dim", h->net.see.D) && cJSON_AddNumberToObject(j, "tokens", h->net.see.T) &&
        cJSON_AddNumberToObject(j, "hidden", h->net.H) && cJSON_AddNumberToObject(j, "trained", h->fit.trained) &&
        cJSON_AddNumberToObject(j, "held_back", h->fit.held_back) &&
        cJSON_AddNumberToObject(j, "epoch", h->fit.epoch) && cJSON_AddNumberToObject(j, "accuracy", h->fit.score);
    cJSON *answers = cJSON_AddArrayToObject(j, "answers");
    for (int i = 0; i < h->net.A && good && answers; i++)
        good = cJSON_AddItemToArray(answers, cJSON_CreateString(h->answer[i]));
    return good && answers ? CLIP_OK : CLIP_ENOMEM;
}

clip_status cliphd_vqa_save(const clip_model *m, const clip_vqa *h, const char *dir, clip_error *err)
{
    clipmdl_arrays numbers = {0};
    cJSON *words;
    TRY(cliphd_words_new(m, &words, err));
    if (dir)
        mkdir(dir, 0777); /* a failure shows at the first file */
    clip_status s = add_words(h, words);
    if (s == CLIP_OK)
        s = clipmdl_arrays_add(&numbers, &h->net.params, h->net.w, "", &clipmdl_openclip, CLIPK_F32);
    if (s == CLIP_OK)
        s = clipmdl_arrays_add(&numbers, &h->blind.params, h->blind.w, "blind.", &clipmdl_openclip, CLIPK_F32);
    if (s == CLIP_ENOMEM)
        clipb_nomem(err, dir);
    if (s == CLIP_OK)
        s = cliphd_artefact_write(m, dir, "vqa", &numbers, words, err);
    clipmdl_arrays_free(&numbers);
    cJSON_Delete(words);
    return s;
}

static clip_status read_answers(clip_vqa *h, const cJSON *j, const char *path, int *A, clip_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, "answers"), *one;
    const int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (n < 2 || n > CLIPHD_MOST_ANSWERS)
        return clipb_fail(err, CLIP_EFORMAT, path, "'answers' is no list of 2 to %d texts", CLIPHD_MOST_ANSWERS);
    h->answer = calloc((size_t)n, sizeof *h->answer);
    if (!h->answer)
        return CLIP_ENOMEM;
    *A = n;
    h->net.A = 0;
    cJSON_ArrayForEach(one, list) {
        if (!cJSON_IsString(one))
            return clipb_fail(err, CLIP_EFORMAT, path, "'answers' has something in it that is no text");
        if (!(h->answer[h->net.A] = strdup(one->valuestring)))
            return CLIP_ENOMEM;
        h->net.A++;
    }
    return CLIP_OK;
}

/* Everything vqa.json says, checked. */
static clip_status read_words(const clip_model *m, clip_vqa *h, const cJSON *j, const char *path, int *T, int *H,
                              clip_error *err)
{
    int D = 0, A = 0;
    float accuracy = 0;
    TRY(clipb_json_int(j, "embed_dim", 1, 1 << 20, &D, path, err));
    TRY(clipb_json_int(j, "tokens", 0, 1 << 20, T, path, err));
    TRY(clipb_json_int(j, "hidden", 1, 65536, H, path, err));
    TRY(clipb_json_int(j, "trained", 0, INT32_MAX, &h->fit.trained, path, err));
    TRY(clipb_json_int(j, "held_back", 0, INT32_MAX, &h->fit.held_back, path, err));
    TRY(clipb_json_int(j, "epoch", 0, INT32_MAX, &h->fit.epoch, path, err));
    TRY(clipb_json_float(j, "accuracy", &accuracy, path, err));
    h->fit.score = (double)accuracy;
    if (D != m->config.embed_dim)
        return clipb_fail(err, CLIP_EFORMAT, path, "\"embed_dim\" is %d, of these weights it is %d", D,
                          m->config.embed_dim);
    if (*T != 0 && *T != cliphd_vqa_sees(m).T)
        return clipb_fail(err, CLIP_EMISMATCH, path, "looks at %d tokens of a picture, of which this model has %d", *T,
                          cliphd_vqa_sees(m).T);
    if (*H < 1)
        return clipb_fail(err, CLIP_EFORMAT, path, "'hidden' is missing");
    return read_answers(h, j, path, &A, err);
}

static clip_status read_network(const clip_model *m, clip_vqa *h, const clipmdl_store *store, int T, int H,
                                clip_error *err)
{
    const clipk_ctx k = {.set = m->set};
    const int A = h->net.A;
    cliphd_look see = cliphd_vqa_sees(m);
    see.T = T;
    clip_status s = cliphd_head_layout(&h->net, see, H, A, false);
    h->net.A = A;
    TRY(s);
    TRY(cliphd_head_layout(&h->blind, see, H, A, true));
    TRY(clipmdl_params_read(&h->net.params, store, &clipmdl_openclip, "", h->net.w, err));
    TRY(clipmdl_params_read(&h->blind.params, store, &clipmdl_openclip, "blind.", h->blind.w, err));
    TRY(cliphd_head_pack(&k, &h->net));
    return cliphd_head_pack(&k, &h->blind);
}

static clip_status read_head(const clip_model *m, clip_vqa *h, const cliphd_artefact *a, clip_error *err)
{
    int T = 0, H = 0;
    TRY(read_words(m, h, a->words, a->path, &T, &H, err));
    return read_network(m, h, &a->store, T, H, err);
}

clip_status cliphd_vqa_load(const clip_model *m, const char *dir, clip_vqa **out, clip_error *err)
{
    cliphd_artefact a;
    *out = NULL;
    clip_vqa *h = calloc(1, sizeof *h);
    if (!h)
        return clipb_nomem(err, dir);
    clip_status s = cliphd_artefact_open(m, dir, "vqa", MOST_JSON, &a, err);
    if (s == CLIP_OK)
        s = read_head(m, h, &a, err);
    cliphd_artefact_close(&a);
    if (s < 0) {
        cliphd_vqa_free(h);
        return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
    }
    *out = h;
    return CLIP_OK;
}
