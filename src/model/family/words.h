/* words.h: common functions for reading and writing the families' files. */
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

/* clipmdl_json_is(): is the setting this string? */
bool clipmdl_json_is(const cJSON *o, const char *key, const char *value);

/* clipmdl_json_object(): an object that must be there. */
clip_status clipmdl_json_object(const clipmdl_reader *r, const cJSON *o, const char *key, const cJSON **out);

/* clipmdl_json_triple(): three numbers from lo to hi, or one number for all three. */
clip_status clipmdl_json_triple(const cJSON *o, const char *key, double lo, double hi, double out[3], const char *file,
                                clip_error *err);

/* clipmdl_json_statistics(): the mean and the deviation of pictures, under these keys. */
clip_status clipmdl_json_statistics(const cJSON *o, const char *mean, const char *std, clipmdl_recipe *r,
                                    const char *file, clip_error *err);

/* clipmdl_json_background(): "background", a key of clip.c in every layout. */
clip_status clipmdl_json_background(const cJSON *o, clipmdl_recipe *r, const char *file, clip_error *err);

/* ---- Names ----------------------------------------------------------------------------------- */

/* How names begin in the code and in a file. */
typedef struct clipmdl_rename {
    const char *ours, *theirs;
    const struct clipmdl_rename *inside; /* of a list of layers: renames what follows "N."; NULL: nothing */
} clipmdl_rename;

/* clipmdl_rename_by(): `name` by the first rule whose beginning fits; without one it stays. The
 * rules end with {0}. */
void clipmdl_rename_by(const clipmdl_rename *rules, const char *name, char *out, size_t size);

/* ---- Writing --------------------------------------------------------------------------------- */

void clipmdl_put_float(FILE *f, double v); /* the fewest digits that read back as the same float */
void clipmdl_put_triple(FILE *f, const char *before, const float v[3], const char *after);

/* clipmdl_is_plain_vit(), clipmdl_is_plain_text(): does the tower make the choices of OpenAI's
 * CLIP, which every layout can express? They are a pooled class token, and causal texts pooled at
 * their end. */
bool clipmdl_is_plain_vit(const clipmdl_vision_config *v);
bool clipmdl_is_plain_text(const clipmdl_text_config *t);

/* clipmdl_put_file(): write dir/name with `put`. The file appears only when it is complete.
 * Errors: CLIP_EIO, CLIP_ENOMEM, and the errors of put. */
clip_status clipmdl_put_file(const char *dir, const char *name, const clipmdl_config *c, const clipmdl_recipe *r,
                             clip_error *err,
                             clip_status (*put)(FILE *, const clipmdl_config *, const clipmdl_recipe *, clip_error *));

#endif
