/* fuzz_table.c: any bytes as a table, read with each separator; then as a table of image-text pairs
 * without their pictures. */
#include <string.h>

#include "data/csv.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t seen;

static void read_rows(const char *path, char separator)
{
    clipdat_csv csv;
    clip_error err;
    if (clipdat_csv_open(&csv, path, &err) < 0)
        return;
    csv.separator = separator;
    do {
        clip_status s = clipdat_csv_row(&csv, &err);
        if (s == CLIP_OK && csv.n == 0)
            break;
        for (size_t i = 0; i < csv.n; i++)
            seen = strlen(clipdat_csv_field(&csv, i));
    } while (!csv.over);
    clipdat_csv_close(&csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const clip_pairs_options opt = clipdat_pairs_options_default();
    const char *path = memory_file(data, size);
    clipdat_source *source;
    clipdat_sample sample = {0};
    clip_error err;
    read_rows(path, ',');
    read_rows(path, '\t');
    if (clipdat_table_open(path, &opt, &source, &err) == CLIP_OK) {
        while (!source->over)
            source->next(source, &sample, &err);
        source->close(source);
    }
    clipdat_sample_free(&sample);
    return 0;
}
