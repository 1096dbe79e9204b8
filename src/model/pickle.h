/* pickle.h: a pickle as data. Nothing in it is run: where Python would import and call something, a
 * value says what would be called, and with what.
 *
 * A pickle is a program for a machine with a stack and a memo of values. Its operations are those
 * of protocols 2 to 5; protocols 0 and 1, which are text, are refused.
 * Format: Python's pickletools.py. */
#ifndef CLIPMDL_PICKLE_H
#define CLIPMDL_PICKLE_H

#include "base/status.h"

#include <stdbool.h>

typedef enum clipmdl_kind {
    CLIPMDL_NONE,
    CLIPMDL_BOOL,
    CLIPMDL_INT,
    CLIPMDL_LONG, /* a whole number of more than 64 bits */
    CLIPMDL_FLOAT,
    CLIPMDL_TEXT,
    CLIPMDL_BYTES,
    CLIPMDL_TUPLE,
    CLIPMDL_LIST,
    CLIPMDL_SET,
    CLIPMDL_DICT,
    CLIPMDL_GLOBAL,     /* a name in a module: what Python would import */
    CLIPMDL_CALL,       /* the result of a call, or an object of a class; its items are set like a dict's */
    CLIPMDL_PERSISTENT, /* something that is outside of the pickle */
} clipmdl_kind;

/* Values are named by their places in clipmdl_pickle.value. */
typedef struct clipmdl_value {
    clipmdl_kind kind;
    uint32_t first, last; /* cells of its items; a dict's are key and value in turn; 0: none */
    union {
        int64_t number; /* BOOL, INT */
        struct {
            const char *p; /* in the pickle, without a 0 at its end */
            size_t length;
        } text; /* TEXT, BYTES, LONG */
        struct {
            uint32_t module, name;
        } global;
        struct {
            uint32_t made_by, with; /* what is called, and its arguments */
            uint32_t state;         /* given to the object afterwards; 0, which is None: nothing */
        } call;
        uint32_t id; /* PERSISTENT */
    };
} clipmdl_value;

typedef struct clipmdl_cell {
    uint32_t value, next; /* next: 0 at the end */
} clipmdl_cell;

typedef struct clipmdl_pickle {
    clipmdl_value *value;
    clipmdl_cell *cell;
    size_t n, capacity, cells, cell_capacity;
    uint32_t root;
    size_t bytes; /* of the pickle */
} clipmdl_pickle;

/* clipmdl_pickle_read(): read one pickle, which may be followed by other bytes. Time and memory are
 * bounded by its size. Values may be their own items.
 * data  in   must stay as long as the result
 * out   out  clipmdl_pickle_free() it; empty on error
 * Errors: CLIP_EFORMAT, CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status clipmdl_pickle_read(const unsigned char *data, size_t size, const char *file, clipmdl_pickle *out,
                                clip_error *err);
void clipmdl_pickle_free(clipmdl_pickle *p);

/* clipmdl_is_text(): is it this text, or the name of this global?
 * clipmdl_is_global(): is it `name` of `module`? */
bool clipmdl_is_text(const clipmdl_value *v, const char *text);
bool clipmdl_is_global(const clipmdl_pickle *p, const clipmdl_value *v, const char *module, const char *name);

/* clipmdl_items(): the items of a tuple, a list or a dict.
 * item    out  places of the first `most` items
 * @return: how many items there are; `most` + 1 if more */
int clipmdl_items(const clipmdl_pickle *p, const clipmdl_value *v, int most, uint32_t *item);

#endif
