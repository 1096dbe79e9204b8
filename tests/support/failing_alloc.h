/* failing_alloc.h: make the n-th allocation of the code under test fail.
 *
 *     for (long n = 1;; n++) {
 *         fail_alloc_at(n);
 *         clip_status s = thing(&out);
 *         if (!fail_alloc_stop())          the n-th was never reached: every allocation has been tried
 *             break;
 *         assert_int_equal(s, CLIP_ENOMEM);
 *     }
 *
 * Link with failing_alloc_dep: the linker's --wrap reroutes malloc, calloc, realloc, aligned_alloc, strdup and strndup of our
 * objects; libraries we call keep theirs. LeakSanitizer then says what was forgotten on the way out. */
#ifndef FAILING_ALLOC_H
#define FAILING_ALLOC_H

#include <stdbool.h>

void fail_alloc_at(long n);  /* the n-th from now fails, and only that one */
bool fail_alloc_stop(void);  /* back to normal; did it fail? */

#endif
