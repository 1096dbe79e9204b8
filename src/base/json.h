/* json.h: cJSON with error messages that name the file and the key. Returned strings live as
 * long as the tree. */
#ifndef CLIPB_JSON_H
#define CLIPB_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/status.h"

/* clipb_json_read(): parse a whole file. cJSON_Delete() the tree.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_ELIMIT, CLIP_ENOMEM. If cJSON itself has no memory, the
 * error is CLIP_EFORMAT, because cJSON does not tell the two apart. */
clip_status clipb_json_read(const char *path, size_t limit, cJSON **out, clip_error *err);

/* clipb_json_read_named(): the same for a path that the user gave, see clipb_read_named(). */
clip_status clipb_json_read_named(const char *path, size_t limit, cJSON **out, clip_error *err);

/* clipb_json_parse(): the same from memory; `name` is for messages. */
clip_status clipb_json_parse(const char *text, size_t size, const char *name, cJSON **out, clip_error *err);

/* clipb_json_print(): the tree as text, indented or on one line.
 * @return: cJSON_free() it; NULL: out of memory. */
char *clipb_json_print(const cJSON *v, bool indented);

/* clipb_json_find(): the value of a key; NULL if it is missing or null. */
const cJSON *clipb_json_find(const cJSON *o, const char *key);

/* Getters. If the key is absent or null, *out keeps its value, which is the default.
 * Errors: CLIP_EFORMAT (another type, or outside [lo, hi]). */
clip_status clipb_json_int(const cJSON *o, const char *key, int lo, int hi, int *out, const char *file,
                           clip_error *err);
clip_status clipb_json_float(const cJSON *o, const char *key, float *out, const char *file, clip_error *err);
clip_status clipb_json_bool(const cJSON *o, const char *key, bool *out, const char *file, clip_error *err);
clip_status clipb_json_string(const cJSON *o, const char *key, const char **out, const char *file, clip_error *err);

#endif
