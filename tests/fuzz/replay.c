/* replay.c: runs a fuzz target over kept inputs without libFuzzer: `fuzz_x DIRECTORY...`. Fails if
 * a directory holds no input. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    uint8_t *data = NULL;
    size_t size = 0, got;
    do {
        data = realloc(data, size + 65536);
        if (!data)
            exit(1);
        got = fread(data + size, 1, 65536, f);
        size += got;
    } while (got > 0);
    fclose(f);
    data = realloc(data, size ? size : 1); /* exact, so that ASan sees reads beyond it */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        int here = 0;
        for (struct dirent *e; d && (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            here += replay(path);
        }
        if (d)
            closedir(d);
        if (here == 0) {
            fprintf(stderr, "%s: no inputs\n", argv[i]);
            return 1;
        }
        total += here;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
