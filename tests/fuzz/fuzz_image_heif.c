/* fuzz_image_heif.c: HEIC and AVIF. */
#include "fuzz_image.h"

/* libheif and its decoders leak some bytes on damaged streams; our own leaks are still found */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void) { return "leak:libdav1d.so\nleak:libheif.so\nleak:libde265.so\n"; }

static void prepare(unsigned char *data, size_t size)
{
    put(data, size, 4, "ftyp", 4);
    put(data, size, 8, size > 8 && data[8] == 'h' ? "heic" : "avif", 4);
}
