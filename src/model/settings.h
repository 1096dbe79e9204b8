/* settings.h: checks that every setting of a configuration is understood. A table for each object
 * names the settings that are known, and the values that this engine supports. One message names
 * every fault, before any value is used. The families have the tables (model/family/). */
#ifndef CLIPMDL_SETTINGS_H
#define CLIPMDL_SETTINGS_H

#include "base/json.h"

/* The allowed settings of an object. null counts as the default, unless null_counts. */
typedef struct clipmdl_settings {
    const char *known; /* names: checked where they are read, or without effect on results */
    const char *off;   /* names: must be false, 0 or empty */
    const struct clipmdl_choice *one_of;
    const struct clipmdl_settings_part *parts; /* objects */
    bool open;                                 /* other settings belong to other programs */
    bool lenient;                              /* an unknown setting is never a fault */
    bool null_counts;                          /* null is a value: one_of lists "null" if it is supported */
} clipmdl_settings;

typedef struct clipmdl_choice {
    const char *key, *values; /* supported values, separated by blanks */
} clipmdl_choice;

typedef struct clipmdl_settings_part {
    const char *key;
    const clipmdl_settings *settings;
} clipmdl_settings_part;

/* clipmdl_settings_check(): check the settings in `o`.
 * whose   in  the program that the settings are for, named in messages
 * strict  in  an unknown setting is a fault; otherwise one warning names all unknown settings
 * warn    in  may be NULL
 * Errors: CLIP_EUNSUPPORTED (names every setting at fault, with its value). */
clip_status clipmdl_settings_check(const clipmdl_settings *t, const cJSON *o, const char *whose, bool strict,
                                   const char *file, clip_warn_fn warn, void *warn_user, clip_error *err);

#endif
