/* arena.h: one aligned block of memory, handed out from the front.
 *
 * A layout is one function run twice: on an arena without memory it measures, on one with memory it
 * places.
 *
 *     clipb_arena a = {0};                     measuring: every pointer handed out is NULL
 *     layout(&a, cfg, N, &acts);
 *     TRY(clipb_block_reserve(&block, a.peak));
 *     a = clipb_arena_on(&block);              placing
 *     layout(&a, cfg, N, &acts);
 *
 * Pieces start at multiples of 64 bytes and are not zeroed. Within a layout, mark and reset let
 * pieces that live at different times share room: the peak is what has to be reserved. */
#ifndef CLIPB_ARENA_H
#define CLIPB_ARENA_H

#include "base/status.h"

#define CLIPB_ALIGN 64

/* Memory: owned, and only ever grown. */
typedef struct clipb_block {
    unsigned char *base;
    size_t capacity;
} clipb_block;

/* clipb_block_reserve(): at least `bytes`, aligned to CLIPB_ALIGN (large ones to huge pages). What
 * it held is lost if it grows. CLIP_ENOMEM. */
clip_status clipb_block_reserve(clipb_block *b, size_t bytes);
void clipb_block_free(clipb_block *b);

/* clipb_block_zero(): all of it becomes 0. Of a large one, pages that are never written to take no
 * memory then. */
void clipb_block_zero(clipb_block *b);

/* A place in it. A plain value: nothing to free. */
typedef struct clipb_arena {
    unsigned char *base; /* NULL: measuring */
    size_t capacity, used, peak;
} clipb_arena;

static inline clipb_arena clipb_arena_on(const clipb_block *b) { return (clipb_arena){b->base, b->capacity, 0, 0}; }

/* clipb_arena_alloc(): `count` pieces of `size` bytes; NULL while measuring. Asking for more than
 * was measured is an assert. */
void *clipb_arena_alloc(clipb_arena *a, size_t count, size_t size);
#define CLIPB_NEW(arena, type, count) ((type *)clipb_arena_alloc((arena), (size_t)(count), sizeof(type)))

static inline size_t clipb_arena_mark(const clipb_arena *a) { return a->used; }
static inline void clipb_arena_reset(clipb_arena *a, size_t mark) { a->used = mark; }

#endif
