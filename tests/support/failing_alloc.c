/* failing_alloc.c: the wrapped allocators; see failing_alloc.h. */
#include "failing_alloc.h"

#include <stddef.h>
#include <stdatomic.h>

static atomic_long left; /* 0: off */
static atomic_bool failed;

void fail_alloc_at(long n)
{
    failed = false;
    left = n;
}

bool fail_alloc_stop(void)
{
    left = 0;
    return failed;
}

static bool fails(void)
{
    long n = left;
    while (n > 0 && !atomic_compare_exchange_weak(&left, &n, n - 1))
        ;
    if (n != 1)
        return false;
    failed = true;
    return true;
}

#define WRAP(type, name, params, args)       \
    type __real_##name params;               \
    type __wrap_##name params;               \
    type __wrap_##name params                \
    {                                        \
        return fails() ? NULL : __real_##name args; \
    }

WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t m), (n, m))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, aligned_alloc, (size_t a, size_t n), (a, n))
WRAP(char *, strdup, (const char *s), (s))
WRAP(char *, strndup, (const char *s, size_t n), (s, n))
