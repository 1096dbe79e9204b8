/* mapped.h: which file is mapped at an address. Reading a mapped page of a file that has been cut
 * short raises SIGBUS. The program's signal handler then asks for the file of that page. */
#ifndef CLIPB_MAPPED_H
#define CLIPB_MAPPED_H

#include <stdbool.h>
#include <stddef.h>

#include "clip.h"

/* clipb_mapped_file(): clip_mapped_file() of clip.h. Safe in a signal handler. */
const char *clipb_mapped_file(const void *address);

/* clipb_mapped_add(): `bytes` at `at` are now a mapping of the file `path`.
 * @return: false: out of memory.
 * clipb_mapped_remove(): the mapping at `at` ends. */
bool clipb_mapped_add(const void *at, size_t bytes, const char *path);
void clipb_mapped_remove(const void *at);

#endif
