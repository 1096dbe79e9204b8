#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

clip_status clipb_block_reserve(clipb_block *b, size_t bytes)
{
    if (bytes <= b->capacity)
        return CLIP_OK;
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : CLIPB_ALIGN;
    if (bytes > SIZE_MAX - align)
        return CLIP_ENOMEM;
    bytes = (bytes + align - 1) / align * align;
    clipb_block_free(b);
    b->base = aligned_alloc(align, bytes);
    if (!b->base)
        return CLIP_ENOMEM;
    b->capacity = bytes;
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE)
        madvise(b->base, bytes, MADV_HUGEPAGE); /* fewer TLB misses; a refusal costs only speed */
#endif
    return CLIP_OK;
}

void clipb_block_zero(clipb_block *b)
{
#ifdef __linux__
    /* Returned pages come back as zeros. The call fails for locked memory. */
    if (b->capacity >= HUGE_PAGE && madvise(b->base, b->capacity, MADV_DONTNEED) == 0)
        return;
#endif
    if (b->capacity > 0)
        memset(b->base, 0, b->capacity);
}

void clipb_block_free(clipb_block *b)
{
    free(b->base);
    *b = (clipb_block){0};
}

void *clipb_arena_alloc(clipb_arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2 - a->used) {
        a->peak = a->used = SIZE_MAX / 2; /* too large: the reservation will fail */
        return NULL;
    }
    size_t at = a->used;
    a->used = (at + bytes + CLIPB_ALIGN - 1) / CLIPB_ALIGN * CLIPB_ALIGN;
    if (a->used > a->peak)
        a->peak = a->used;
    if (!a->base)
        return NULL;
    assert(a->used <= a->capacity);
    return a->base + at;
}
