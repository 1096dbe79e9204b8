/* mapped.h: which files are mapped where. Reading a page of a file that has been cut short raises
 * SIGBUS; a program's handler asks clipb_mapped_file() of clip.h whose page it was. */
#ifndef CLIPB_MAPPED_H
#define CLIPB_MAPPED_H

#include <stdbool.h>
#include <stddef.h>

#include "clip.h"

/* clipb_mapped_file(): clip_mapped_file() of clip.h. It may be called in a handler of signals. */
const char *clipb_mapped_file(const void *address);

/* clipb_mapped_add(): `bytes` at `at` are the file `path` from now on; false: out of memory.
 * clipb_mapped_remove(): no longer. */
bool clipb_mapped_add(const void *at, size_t bytes, const char *path);
void clipb_mapped_remove(const void *at);

#endif
