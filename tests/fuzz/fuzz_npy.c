/* fuzz_npy.c: any bytes as a matrix written by NumPy. */
#include <stdlib.h>

#include "index/npy.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clipidx_npy a;
    clip_error err;
    if (clipidx_npy_open(memory_file(data, size), &a, &err) < 0)
        return 0;
    float *row = malloc((size_t)a.columns * sizeof *row);
    for (int64_t i = 0; row && i < a.rows; i += a.rows > 64 ? a.rows / 64 : 1)
        clipidx_npy_row(&a, clipk_set_find(NULL), i, row);
    if (row && a.rows > 0)
        clipidx_npy_row(&a, clipk_set_find(NULL), a.rows - 1, row);
    free(row);
    clipidx_npy_close(&a);
    return 0;
}
