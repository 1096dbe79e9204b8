/* fuzz_tar.c: any bytes as a tar of image-text pairs. The stream must end, and its samples must be
 * readable to their last byte. */
#include "data/data.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned char seen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clipdat_source *source;
    clipdat_sample sample = {0};
    clip_error err;
    if (clipdat_tar_open(memory_file(data, size), &source, &err) < 0)
        return 0;
    while (!source->over) {
        if (source->next(source, &sample, &err) < 0 || source->over)
            continue;
        for (size_t i = 0; i < sample.picture.n; i++)
            seen = (unsigned char)sample.picture.p[i];
        for (int c = 0; c < sample.captions; c++)
            for (const char *p = sample.caption[c]; *p; p++)
                seen = (unsigned char)*p;
    }
    source->close(source);
    clipdat_sample_free(&sample);
    return 0;
}
