/* fuzz_safetensors.c: any bytes as a safetensors file. A file that opens must be readable to its
 * last byte, and its shapes must be inferred or refused. */
#include "memory_file.h"
#include "model/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned char read_all; /* so that the compiler keeps the reading */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clipmdl_store s;
    clip_error err;
    if (clipmdl_store_open(memory_file(data, size), &s, &err) < 0)
        return 0;
    unsigned char sum = 0;
    for (size_t i = 0; i < s.n; i++)
        for (size_t b = 0; b < s.tensor[i].bytes; b++)
            sum ^= s.tensor[i].data[b];
    read_all = sum;
    clipmdl_found found[CLIPMDL_MAX_FOUND];
    clipmdl_config config;
    const int n = clipmdl_find(&s, NULL, found);
    for (int i = 0; i < n; i++)
        clipmdl_config_from_shapes(&s, &found[i], &config, &err);
    clipmdl_store_close(&s);
    return 0;
}
