/* failing_alloc.h: makes the n-th allocation of the code under test fail.
 *
 *     for (long n = 1;; n++) {
 *         fail_alloc_at(n);
 *         clip_status s = thing(&out);
 *         if (!fail_alloc_stop())    allocation n was not reached: all have been tried
 *             break;
 *         assert_int_equal(s, CLIP_ENOMEM);
 *     }
 *
 * Link with failing_alloc_dep: the linker's --wrap reroutes malloc, calloc, realloc, aligned_alloc,
 * strdup and strndup of our objects, not of libraries. LeakSanitizer finds memory that an error
 * path forgets. */
#ifndef FAILING_ALLOC_H
#define FAILING_ALLOC_H

#include <stdbool.h>

void fail_alloc_at(long n);  /* the n-th from now fails, and no other */
bool fail_alloc_stop(void);  /* back to normal; returns whether it failed */

#endif
