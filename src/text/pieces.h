/* pieces.h: a vocabulary of pieces of text, each with an id: found by its bytes, or by its id. For
 * vocabularies of up to a million pieces, so the tables are compact and there is no trie to build:
 * all pieces that begin at some place of a text are found by trying the lengths that occur there,
 * in one hash table.
 *
 * Filled once, then read by any number of threads. */
#ifndef CLIPTOK_PIECES_H
#define CLIPTOK_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    CLIPTOK_MAX_PIECES = 1 << 20, /* ids are below this */
    CLIPTOK_MAX_PIECE = 1024,     /* bytes in a piece */
};

typedef struct cliptok_pieces {
    uint32_t *place;     /* [n]: where the record of a piece with this id begins in `pool`; 0: there is none */
    size_t n, capacity;  /* largest id + 1 */
    unsigned char *pool; /* for each piece its length, 2 bytes, and its bytes */
    size_t n_pool, pool_capacity;
    uint32_t *slot; /* hash table of pieces: [slots], a power of two, at most half full (pieces.c) */
    size_t slots, used;
    uint64_t *lengths; /* [buckets]: bit k: a piece whose first bytes fall into this bucket has k bytes */
    size_t buckets, longest;
} cliptok_pieces;

/* cliptok_pieces_init(): make room for about this many. Free with cliptok_pieces_free(), also after
 * an error.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_pieces_init(cliptok_pieces *p, size_t pieces);
void cliptok_pieces_free(cliptok_pieces *p);

/* cliptok_pieces_add(): give `id` to these bytes. Where several ids have the same bytes, the last
 * one is found.
 * Errors: CLIP_EFORMAT (too long, empty, or the id is taken), CLIP_ELIMIT, CLIP_ENOMEM. */
clip_status cliptok_pieces_add(cliptok_pieces *p, const char *text, size_t n, int32_t id, const char *file,
                               clip_error *err);

/* cliptok_pieces_finish(): call this when all pieces are there.
 * Errors: CLIP_ENOMEM. */
clip_status cliptok_pieces_finish(cliptok_pieces *p);

/* cliptok_pieces_find(): the id of these bytes.
 * @return: -1: there is none */
int32_t cliptok_pieces_find(const cliptok_pieces *p, const void *text, size_t n);

/* cliptok_pieces_text(): the bytes of this id. They are valid until the next piece is added.
 * @return: how many; 0: there is no such piece */
size_t cliptok_pieces_text(const cliptok_pieces *p, int32_t id, const unsigned char **text);

/* cliptok_prefix: the pieces that begin at one place of a text, from the shortest to the longest.
 *     cliptok_prefix_begin(&f, p, at, end);
 *     while ((id = cliptok_prefix_next(&f)) >= 0) ... f.n bytes ... */
typedef struct cliptok_prefix {
    const cliptok_pieces *pieces;
    const unsigned char *at;
    size_t n, room;
    uint64_t hash, lengths;
} cliptok_prefix;

void cliptok_prefix_begin(cliptok_prefix *f, const cliptok_pieces *p, const unsigned char *at,
                          const unsigned char *end);
int32_t cliptok_prefix_next(cliptok_prefix *f);

#endif
