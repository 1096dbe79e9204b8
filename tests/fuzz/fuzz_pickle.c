/* fuzz_pickle.c: any bytes as a file of torch.save(), or behind a first byte of 1 as the pickle in
 * one. A file that opens must be readable to its last byte. */
#include <stdlib.h>

#include "../model/zip_file.h"
#include "memory_file.h"
#include "model/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned char read_all; /* so that the compiler keeps the reading */

static void open_file(const uint8_t *data, size_t size)
{
    clipmdl_store s;
    clip_error err;
    if (clipmdl_store_open(memory_file(data, size), &s, &err) < 0)
        return;
    unsigned char sum = 0;
    for (size_t i = 0; i < s.n; i++)
        for (size_t b = 0; b < s.tensor[i].bytes; b++)
            sum ^= s.tensor[i].data[b];
    read_all = sum;
    clipmdl_store_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const float numbers[24];
    if (size == 0 || *data != 1) {
        open_file(data, size);
        return 0;
    }
    uint8_t *file = malloc(size + 1024);
    if (!file)
        abort();
    open_file(file, zip_of(file, (const entry[]){{.name = "a/data.pkl", .data = data + 1, .size = size - 1},
                                                 {.name = "a/data/0", .data = numbers, .size = sizeof numbers}}, 2,
                           false));
    free(file);
    return 0;
}
