/* artefact.h: the files of a head. A head is kept as words, NAME.json, and, where it has learned
 * any, as numbers, NAME.safetensors. The words name the weights that the head was fitted on, so
 * that no other model takes it, and the hash of the numbers' file, so that no half of an older head
 * is taken for it. */
#ifndef CLIPHD_ARTEFACT_H
#define CLIPHD_ARTEFACT_H

#include "base/json.h"
#include "model/save.h"
#include "model/store.h"

/* cliphd_artefact_path(): DIR/FILE, malloc'ed.
 * dir  in  NULL: beside the model's weights
 * Errors: CLIP_ENOMEM. */
clip_status cliphd_artefact_path(const clip_model *m, const char *dir, const char *file, char **out,
                                 clip_error *err);

/* cliphd_words_new(): a JSON object that names the weights of `m`; cJSON_Delete() it.
 * Errors: CLIP_EIO (the weights' files have been written to since they were loaded),
 * CLIP_ENOMEM. */
clip_status cliphd_words_new(const clip_model *m, cJSON **out, clip_error *err);

/* cliphd_words_write(): the file appears when it is whole.
 * Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status cliphd_words_write(const cJSON *words, const char *path, clip_error *err);

/* cliphd_words_check(): the words are an object, and of a head that was fitted on the weights of
 * `m`.
 * Errors: CLIP_EFORMAT, CLIP_EMISMATCH (other weights), CLIP_EIO. */
clip_status cliphd_words_check(const clip_model *m, const cJSON *words, const char *path, clip_error *err);

/* cliphd_artefact_write(): both files of a head into a directory, the numbers first.
 * name   in  without extension: "probe"
 * words  in  gets the hash of the numbers' file
 * Errors: CLIP_EIO, CLIP_ENOMEM. */
clip_status cliphd_artefact_write(const clip_model *m, const char *dir, const char *name, clipmdl_arrays *numbers,
                                  cJSON *words, clip_error *err);

/* A head's files, opened. */
typedef struct cliphd_artefact {
    char *path;          /* of the words, for messages */
    cJSON *words;
    clipmdl_store store; /* the numbers */
} cliphd_artefact;

/* cliphd_artefact_open(): open and check both files. Close it in any case.
 * most  in  bytes that the words may have
 * Errors: those of cliphd_words_check(); CLIP_EMISMATCH where the two files are not of one head;
 * CLIP_ELIMIT. */
clip_status cliphd_artefact_open(const clip_model *m, const char *dir, const char *name, size_t most,
                                 cliphd_artefact *out, clip_error *err);
void cliphd_artefact_close(cliphd_artefact *a);

#endif
