/* A list without a lock. It only grows at its front, and its entries are reused. A signal handler
 * may walk along it at any moment. After a fork no lock can stay held by a missing thread. */
#include "base/mapped.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    struct entry *next;
    atomic_bool taken;
    _Atomic uintptr_t at; /* 0: nothing is mapped */
    size_t bytes;
    size_t capacity;      /* of path */
    char path[];
} entry;

static entry *_Atomic first;

/* An entry that is free and long enough, or NULL. */
static entry *reuse(size_t length)
{
    for (entry *e = atomic_load(&first); e; e = e->next) {
        bool is_free = false;
        if (e->capacity >= length && atomic_compare_exchange_strong(&e->taken, &is_free, true))
            return e;
    }
    return NULL;
}

bool clipb_mapped_add(const void *at, size_t bytes, const char *path)
{
    const size_t length = strlen(path) + 1;
    entry *e = reuse(length);
    if (!e) {
        if (!(e = calloc(1, sizeof *e + length)))
            return false;
        e->capacity = length;
        atomic_init(&e->taken, true);
        e->next = atomic_load(&first);
        while (!atomic_compare_exchange_weak(&first, &e->next, e)) {
        }
    }
    memcpy(e->path, path, length);
    e->bytes = bytes;
    atomic_store(&e->at, (uintptr_t)at);
    return true;
}

void clipb_mapped_remove(const void *at)
{
    for (entry *e = atomic_load(&first); e; e = e->next)
        if (atomic_load(&e->at) == (uintptr_t)at) {
            atomic_store(&e->at, 0);
            atomic_store(&e->taken, false);
            return;
        }
}

const char *clipb_mapped_file(const void *address)
{
    for (const entry *e = atomic_load(&first); e; e = e->next) {
        const uintptr_t at = atomic_load(&e->at);
        if (at && (uintptr_t)address >= at && (uintptr_t)address - at < e->bytes)
            return e->path;
    }
    return NULL;
}
