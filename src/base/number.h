/* number.h: the smaller and the larger of two numbers, and division that rounds up; by type. */
#ifndef CLIPB_NUMBER_H
#define CLIPB_NUMBER_H

#include <stddef.h>
#include <stdint.h>

static inline int clipb_min(int a, int b) { return a < b ? a : b; }
static inline int clipb_max(int a, int b) { return a > b ? a : b; }
static inline int64_t clipb_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline size_t clipb_max_size(size_t a, size_t b) { return a > b ? a : b; }

/* clipb_ceil_div(): the least integer that is at least a / b. clipb_round_up(): the least multiple
 * of b that is at least a. a >= 0, b > 0 */
static inline int clipb_ceil_div(int a, int b) { return (a + b - 1) / b; }
static inline int64_t clipb_ceil_div64(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int clipb_round_up(int a, int b) { return clipb_ceil_div(a, b) * b; }
static inline size_t clipb_round_up_size(size_t a, size_t b) { return (a + b - 1) / b * b; }

/* clipb_raise(): *a = max(*a, b). For sizes of workspaces. */
static inline void clipb_raise(size_t *a, size_t b) { *a = clipb_max_size(*a, b); }

#endif
