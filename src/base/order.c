#include "base/order.h"

#include <stdint.h>
#include <string.h>

int clipb_order_f32(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int clipb_order_f64(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int clipb_order_i32(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

int clipb_order_strings(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
