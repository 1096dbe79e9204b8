/* json.h: cJSON with messages that name the file and the key. Strings it returns live as long as
 * the tree. */
#ifndef CLIPB_JSON_H
#define CLIPB_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/status.h"

/* clipb_json_read(): parse a whole file; cJSON_Delete() the tree. CLIP_EIO, CLIP_EFORMAT,
 * CLIP_ELIMIT, CLIP_ENOMEM (cJSON itself running out of memory cannot be told from a fault in the
 * text). */
clip_status clipb_json_read(const char *path, size_t limit, cJSON **out, clip_error *err);

/* clipb_json_read_named(): the same of a path that a person has given: clipb_read_named(). */
clip_status clipb_json_read_named(const char *path, size_t limit, cJSON **out, clip_error *err);

/* clipb_json_parse(): the same from memory; `name` is for messages. */
clip_status clipb_json_parse(const char *text, size_t size, const char *name, cJSON **out, clip_error *err);

/* clipb_json_print(): as text, on indented lines or on one; cJSON_free() it. NULL: out of
 * memory. */
char *clipb_json_print(const cJSON *v, bool indented);

/* Getters: an absent or null key leaves *out as it is (the default); a value of another type, or
 * out of [lo, hi], is CLIP_EFORMAT. */
clip_status clipb_json_int(const cJSON *o, const char *key, int lo, int hi, int *out, const char *file,
                           clip_error *err);
clip_status clipb_json_float(const cJSON *o, const char *key, float *out, const char *file, clip_error *err);
clip_status clipb_json_bool(const cJSON *o, const char *key, bool *out, const char *file, clip_error *err);
clip_status clipb_json_string(const cJSON *o, const char *key, const char **out, const char *file, clip_error *err);

#endif
