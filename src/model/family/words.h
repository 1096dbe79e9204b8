/* words.h: what the readers and writers of the families' files share. */
#ifndef CLIPMDL_WORDS_H
#define CLIPMDL_WORDS_H

#include <stdio.h>

#include "base/json.h"
#include "model/family/family.h"

#define CLIPMDL_MOST_LAYERS 1000
#define CLIPMDL_MOST_VOCABULARY (1 << 24)

/* ---- Reading. Each getter leaves *out where the setting is missing or null. CLIP_EFORMAT. ---- */

/* clipmdl_json_size(): a whole number, 1 .. CLIPMDL_MOST_SIDE. */
clip_status clipmdl_json_size(const clipmdl_reader *r, const cJSON *o, const char *key, int *out);

/* clipmdl_json_is(): the setting is this string. */
bool clipmdl_json_is(const cJSON *o, const char *key, const char *value);

/* clipmdl_json_object(): an object that must be there. */
clip_status clipmdl_json_object(const clipmdl_reader *r, const cJSON *o, const char *key, const cJSON **out);

/* clipmdl_json_triple(): three numbers, or one for all, from lo to hi. */
clip_status clipmdl_json_triple(const cJSON *o, const char *key, double lo, double hi, double out[3], const char *file,
                                clip_error *err);

/* clipmdl_json_statistics(): the mean and the deviation of pictures, under these keys. */
clip_status clipmdl_json_statistics(const cJSON *o, const char *mean, const char *std, clipmdl_recipe *r,
                                    const char *file, clip_error *err);

/* clipmdl_json_background(): "background", our own key in every layout. */
clip_status clipmdl_json_background(const cJSON *o, clipmdl_recipe *r, const char *file, clip_error *err);

/* ---- Writing --------------------------------------------------------------------------------- */

void clipmdl_put_float(FILE *f, double v); /* the shortest digits that are read as this float again */
void clipmdl_put_triple(FILE *f, const char *before, const float v[3], const char *after);

/* clipmdl_is_plain_vit(), clipmdl_is_plain_text(): the tower makes the choices of OpenAI's CLIP,
 * for which every layout has words: a class token that is pooled; causal texts pooled at their
 * end. */
bool clipmdl_is_plain_vit(const clipmdl_vision_config *v);
bool clipmdl_is_plain_text(const clipmdl_text_config *t);

/* clipmdl_put_file(): dir/name, as `put` writes it; it appears when it is whole. CLIP_EIO,
 * CLIP_ENOMEM, and whatever put refuses. */
clip_status clipmdl_put_file(const char *dir, const char *name, const clipmdl_config *c, const clipmdl_recipe *r,
                             clip_error *err,
                             clip_status (*put)(FILE *, const clipmdl_config *, const clipmdl_recipe *, clip_error *));

#endif
