/* settings.h: is every setting of a configuration understood? A table for each object names the
 * settings that are known, and the values that this engine supports. Every fault is named in one
 * message, before any value is used. The tables are the families' (model/family/). */
#ifndef CLIPMDL_SETTINGS_H
#define CLIPMDL_SETTINGS_H

#include "base/json.h"

/* What an object may hold. null is every setting's default, or stands for it, but for
 * null_counts. */
typedef struct clipmdl_settings {
    const char *known; /* names: their readers check them, or they change nothing that is computed here */
    const char *off;   /* names: must be false, 0 or empty */
    const struct clipmdl_choice *one_of;
    const struct clipmdl_settings_part *parts; /* objects */
    bool open;                                 /* settings beside these are somebody else's */
    bool lenient;                              /* an unknown one is never a fault */
    bool null_counts;                          /* null is a value: one_of lists "null" where it is supported */
} clipmdl_settings;

typedef struct clipmdl_choice {
    const char *key, *values; /* the values that are supported, separated by blanks */
} clipmdl_choice;

typedef struct clipmdl_settings_part {
    const char *key;
    const clipmdl_settings *settings;
} clipmdl_settings_part;

/* clipmdl_settings_check(): the settings in `o`.
 * whose   in  the program that would read them, for the messages
 * strict  in  an unknown setting is a fault; else one warning names all that are unknown
 * warn    in  may be NULL
 * Errors: CLIP_EUNSUPPORTED (every setting at fault is named with its value). */
clip_status clipmdl_settings_check(const clipmdl_settings *t, const cJSON *o, const char *whose, bool strict,
                                   const char *file, clip_warn_fn warn, void *warn_user, clip_error *err);

#endif
