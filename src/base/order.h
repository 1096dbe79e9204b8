/* order.h: orders for qsort() and bsearch(), ascending. A struct that begins with the number is
 * ordered by it. */
#ifndef CLIPB_ORDER_H
#define CLIPB_ORDER_H

int clipb_order_f32(const void *a, const void *b); /* no NaN among them */
int clipb_order_f64(const void *a, const void *b);
int clipb_order_i32(const void *a, const void *b);
int clipb_order_strings(const void *a, const void *b); /* elements are pointers to strings; by bytes */

#endif
