/* pipeline.h: what tokenizer.json calls the normalizer and the pre-tokenizer, for tokenizers that
 * write a space as U+2581 (SentencePiece's kind). */
#ifndef CLIPTOK_PIPELINE_H
#define CLIPTOK_PIPELINE_H

#include "base/json.h"
#include "text/charsmap.h"

#define CLIPTOK_SPACE_SIGN "\xE2\x96\x81" /* U+2581, 3 bytes */

/* A step of the normalizer. */
typedef enum cliptok_step_kind {
    CLIPTOK_STEP_CHARSMAP,
    CLIPTOK_STEP_LOWER,
    CLIPTOK_STEP_NFC,
    CLIPTOK_STEP_REPLACE,  /* `from` becomes `to` */
    CLIPTOK_STEP_COLLAPSE, /* two spaces or more become `to` */
    CLIPTOK_STEP_STRIP,    /* white space goes: at the left, the right */
    CLIPTOK_STEP_PREPEND,  /* `to` comes before a text that is not empty */
} cliptok_step_kind;

typedef struct cliptok_step {
    cliptok_step_kind kind;
    char from[16], to[16];
    bool left, right;
} cliptok_step;

/* Where a space sign is put before a text: never; before each part between added tokens; before the
 * first part, if the text begins with it. */
typedef enum cliptok_prepend { CLIPTOK_PREPEND_NEVER, CLIPTOK_PREPEND_ALWAYS, CLIPTOK_PREPEND_FIRST } cliptok_prepend;

enum { CLIPTOK_MAX_STEPS = 16 };

typedef struct cliptok_pipeline {
    cliptok_step step[CLIPTOK_MAX_STEPS];
    int steps;
    cliptok_charsmap charsmap;
    bool split_white; /* white space ends a word and goes (WhitespaceSplit) */
    bool signs;       /* spaces become signs (Metaspace), before words and within */
    cliptok_prepend prepend;
    bool split_signs; /* each sign begins a word */
} cliptok_pipeline;

/* cliptok_pipeline_add(): append a step.
 * Errors: CLIP_EUNSUPPORTED (too many). */
clip_status cliptok_pipeline_add(cliptok_pipeline *p, cliptok_step step, const char *file, clip_error *err);

/* cliptok_pipeline_read(): the pipeline of these parts of a tokenizer.json; either may be NULL.
 * p  out  free with cliptok_pipeline_free(), also after an error
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED (names the step that is not known), CLIP_ENOMEM.
 * cliptok_pipeline_charsmap(): only the charsmap, wherever it stands. */
clip_status cliptok_pipeline_read(cliptok_pipeline *p, const cJSON *normalizer, const cJSON *pre_tokenizer,
                                  const char *file, clip_error *err);
clip_status cliptok_pipeline_charsmap(cliptok_pipeline *p, const cJSON *normalizer, const char *file, clip_error *err);
void cliptok_pipeline_free(cliptok_pipeline *p);

/* cliptok_pipeline_normalize(): a text that is UTF-8, after all steps. It is *text or in `spare`.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_pipeline_normalize(const cliptok_pipeline *p, cliptok_bytes *text, cliptok_bytes *spare);

#endif
