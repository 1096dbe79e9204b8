/* settings.h: is every setting of a configuration understood? A table for each object names the
 * settings that are known, and the values that this engine supports. Whatever is at fault is named
 * in one message, before any value is used. */
#ifndef CLIPMDL_SETTINGS_H
#define CLIPMDL_SETTINGS_H

#include "base/json.h"

/* clipmdl_settings_openclip(): a whole open_clip_config.json. An unknown setting is at fault, as
 * for OpenCLIP itself.
 * Errors: CLIP_EUNSUPPORTED (every setting at fault is named with its value). */
clip_status clipmdl_settings_openclip(const cJSON *root, const char *file, clip_error *err);

/* clipmdl_settings_huggingface(): a whole config.json of transformers' CLIP.
 * clipmdl_settings_preprocessor(): an image processor's settings.
 * transformers ignores settings that it does not know; these are named by one warning.
 * warn  in  may be NULL
 * Errors: CLIP_EUNSUPPORTED (as above). */
clip_status clipmdl_settings_huggingface(const cJSON *root, const char *file, clip_warn_fn warn, void *warn_user,
                                         clip_error *err);
clip_status clipmdl_settings_preprocessor(const cJSON *o, const char *file, clip_warn_fn warn, void *warn_user,
                                          clip_error *err);

#endif
