/* arena.h: one aligned block of memory, handed out from the front.
 *
 * A layout is one function that runs twice. On an arena without memory it measures. On an arena
 * with memory it places.
 *
 *     clipb_arena a = {0};                     measuring: every pointer handed out is NULL
 *     layout(&a, cfg, N, &acts);
 *     TRY(clipb_block_reserve(&block, a.peak));
 *     a = clipb_arena_on(&block);              placing
 *     layout(&a, cfg, N, &acts);
 *
 * Pieces start at multiples of 64 bytes and are not zeroed. With mark and reset, pieces that live
 * at different times share memory. Reserve the peak. */
#ifndef CLIPB_ARENA_H
#define CLIPB_ARENA_H

#include "base/status.h"

#define CLIPB_ALIGN 64

/* Owned memory. It only grows. */
typedef struct clipb_block {
    unsigned char *base;
    size_t capacity;
} clipb_block;

/* clipb_block_reserve(): hold at least `bytes`, aligned to CLIPB_ALIGN, or to huge pages where the
 * block is large. The content is lost if the block grows.
 * Errors: CLIP_ENOMEM. */
clip_status clipb_block_reserve(clipb_block *b, size_t bytes);
void clipb_block_free(clipb_block *b);

/* clipb_block_zero(): set all of it to 0. In a large block, pages that are never written to take no
 * memory afterwards. */
void clipb_block_zero(clipb_block *b);

/* A position in a block. It is a plain value and needs no free. */
typedef struct clipb_arena {
    unsigned char *base; /* NULL: measuring */
    size_t capacity, used, peak;
} clipb_arena;

static inline clipb_arena clipb_arena_on(const clipb_block *b) { return (clipb_arena){b->base, b->capacity, 0, 0}; }

/* clipb_arena_alloc(): `count` elements of `size` bytes. NULL while measuring. It asserts that no
 * more is asked for than was measured. */
void *clipb_arena_alloc(clipb_arena *a, size_t count, size_t size);
#define CLIPB_NEW(arena, type, count) ((type *)clipb_arena_alloc((arena), (size_t)(count), sizeof(type)))

static inline size_t clipb_arena_mark(const clipb_arena *a) { return a->used; }
static inline void clipb_arena_reset(clipb_arena *a, size_t mark) { a->used = mark; }

#endif
