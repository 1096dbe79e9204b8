/* Classes made of words: templates filled with a label, and the mean of their embeddings. */
#include <stdlib.h>
#include <string.h>

#include "tasks/tasks.h"

clip_status cliptsk_fill_template(const char *text, const char *label, char **out)
{
    const size_t n = strlen(label);
    size_t size = strlen(text) + 1, times = 0;
    *out = NULL;
    for (const char *p = text; (p = strstr(p, "{}")); p += 2)
        times++;
    if (times == 0)
        return CLIP_EINVAL;
    size_t added;
    if (__builtin_mul_overflow(times, n, &added) || __builtin_add_overflow(size, added, &size))
        return CLIP_ELIMIT;
    if (size - 2 * times > CLIPTSK_MOST_TEXT + 1)
        return CLIP_ELIMIT;
    char *to = malloc(size);
    if (!to)
        return CLIP_ENOMEM;
    *out = to;
    for (const char *hole; (hole = strstr(text, "{}")); text = hole + 2) {
        memcpy(to, text, (size_t)(hole - text));
        to += hole - text;
        memcpy(to, label, n);
        to += n;
    }
    strcpy(to, text);
    return CLIP_OK;
}

void cliptsk_class_add(float *sum, const float *unit, int D)
{
    for (int d = 0; d < D; d++)
        sum[d] += unit[d];
}

void cliptsk_class_embedding(const clipk_ctx *k, float *sum, int T, int D)
{
    for (int d = 0; d < D; d++)
        sum[d] /= (float)T;
    clipk_l2norm(k, sum, NULL, 1, D);
}
