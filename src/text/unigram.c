/* The best path through all pieces of a text. */
#include "text/unigram.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"

/* The best way to the place of this index. */
struct cliptok_node {
    double score;
    int32_t id, length; /* the last piece on the way; length 0: there is no way yet */
};

static inline void offer(struct cliptok_node *to, double score, bool single, int32_t id, size_t length)
{
    if (single)
        score = (double)(float)score;
    if (to->length == 0 || score > to->score)
        *to = (struct cliptok_node){score, id, (int32_t)length};
}

static size_t length_of_character(const unsigned char *p, size_t room)
{
    size_t n = 1;
    while (n < room && (p[n] & 0xC0) == 0x80)
        n++;
    return n;
}

static void find_ways(const cliptok_unigram *u, struct cliptok_node *node, const unsigned char *text, size_t n)
{
    for (size_t i = 0, next; i < n; i = next) {
        cliptok_prefix f;
        int32_t id;
        bool known = false;
        next = i + length_of_character(text + i, n - i);
        cliptok_prefix_begin(&f, u->pieces, text + i, text + n);
        while ((id = cliptok_prefix_next(&f)) >= 0) {
            if (u->score[id] == -HUGE_VAL) /* not for use */
                continue;
            offer(&node[i + f.n], node[i].score + u->score[id], u->single, id, f.n);
            known = known || i + f.n == next;
        }
        if (!known)
            offer(&node[next], node[i].score + u->unknown, u->single, -1, next - i);
    }
}

static void put_unknown(const cliptok_unigram *u, const unsigned char *p, size_t n, cliptok_ids *out)
{
    size_t known = 0;
    while (u->byte && known < n && u->byte[p[known]] >= 0)
        known++;
    if (known < n)
        cliptok_put_id(out, u->unknown_id);
    for (size_t i = 0; known == n && i < n; i++)
        cliptok_put_id(out, u->byte[p[i]]);
}

/* Put the ids of the path that ends at node[n]. It is known from its end; its beginnings are noted
 * in the nodes on the way back. */
static void put_path(const cliptok_unigram *u, struct cliptok_node *node, const unsigned char *text, size_t n,
                     cliptok_ids *out)
{
    int32_t length = 0;
    for (size_t at = n; at > 0;) { /* from here on node[at].length is that of the piece that begins at `at` */
        const int32_t before = node[at].length;
        node[at].length = length;
        length = before;
        at -= (size_t)before;
    }
    for (size_t at = 0; at < n && !cliptok_full(out);) {
        size_t end = at + (size_t)length;
        const int32_t id = node[end].id;
        length = node[end].length;
        while (id < 0 && end < n && node[end + (size_t)length].id < 0) { /* unknown characters in a row */
            end += (size_t)length;
            length = node[end].length;
        }
        if (id >= 0)
            cliptok_put_id(out, id);
        else
            put_unknown(u, text + at, end - at, out);
        at = end;
    }
}

clip_status cliptok_unigram_encode(const cliptok_unigram *u, cliptok_lattice *l, const unsigned char *text, size_t n,
                                   cliptok_ids *out)
{
    if (n > INT32_MAX / 2)
        return CLIP_ENOMEM;
    TRY(clipb_grow((void **)&l->node, &l->capacity, n + 1, sizeof *l->node));
    for (size_t i = 0; i <= n; i++)
        l->node[i] = (struct cliptok_node){0};
    l->node[0].score = l->score;
    find_ways(u, l->node, text, n);
    if (u->single)
        l->score = l->node[n].score;
    put_path(u, l->node, text, n, out);
    return CLIP_OK;
}
