/* zip.h: where the members of a zip archive lie in a mapped file. Nothing is unpacked: torch.save()
 * stores what it writes.
 *
 *     "PK" 3 4 local header, name, extra, bytes      for each member
 *     "PK" 1 2 sizes, place of the local header      for each member: the directory
 *     "PK" 6 6, "PK" 6 7                             only in a large archive (zip64)
 *     "PK" 5 6 size and place of the directory       the end, and a comment
 *
 * Format: PKWARE's APPNOTE.TXT. */
#ifndef CLIPMDL_ZIP_H
#define CLIPMDL_ZIP_H

#include "base/file.h"

typedef struct clipmdl_member {
    const char *name; /* [length], in the mapping */
    size_t length;
    const unsigned char *data;
    size_t size;
    bool stored; /* false: compressed or encrypted, and data is not the member's bytes */
} clipmdl_member;

/* clipmdl_zip_read(): the members of the archive, ascending by name. Every one lies in the file.
 * out  out  [*n]; free() it, also NULL
 * Errors: CLIP_EFORMAT (cut short; a member outside of the file, or there twice), CLIP_ENOMEM. */
clip_status clipmdl_zip_read(const clipb_map *map, const char *file, clipmdl_member **out, size_t *n, clip_error *err);

/* clipmdl_member_order(): compares two members by their names, for qsort().
 * clipmdl_zip_find(): the member of this name [length] among those in order, or NULL. */
int clipmdl_member_order(const void *a, const void *b);
const clipmdl_member *clipmdl_zip_find(const clipmdl_member *member, size_t n, const char *name, size_t length);

#endif
