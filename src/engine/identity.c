/* What a model's weights are known by: XXH3-128 of their files, and of the pictures' size if it is
 * not the checkpoint's own. Reading a gigabyte to find that out takes long, so there is also a
 * stamp of inodes, sizes and times, by which one can look up the hash. */
#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#include "engine/engine.h"

static void hexadecimal(XXH128_hash_t h, char out[33])
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
}

/* One file is known by its own hash, several by that of their hashes, one folded in after the
 * other. */
static XXH128_hash_t fold(XXH128_hash_t so_far, XXH128_hash_t next, size_t i)
{
    const XXH128_hash_t both[2] = {so_far, next};
    return i == 0 ? next : XXH3_128bits(both, sizeof both);
}

/* Pictures of another size than the checkpoint's have other embeddings. */
static XXH128_hash_t fold_size(XXH128_hash_t h, const clip_model *m)
{
    const clipmdl_vision_config *v = &m->config.vision;
    const XXH128_hash_t size = {.low64 = (uint64_t)v->image_size};
    return v->image_size == clipmdl_stored_size(v) ? h : fold(h, size, 1);
}

/* What of the files can be told without reading them. */
void clipeng_weights_stamp(const clip_model *m, char out[48])
{
    XXH128_hash_t h = {0};
    char hex[33];
    for (size_t i = 0; i < m->store.shards; i++) {
        const clipb_map *map = &m->store.map[i];
        const uint64_t facts[] = {map->inode, map->size, (uint64_t)map->mtime};
        h = fold(h, XXH3_128bits(facts, sizeof facts), i);
    }
    hexadecimal(fold_size(h, m), hex);
    snprintf(out, 48, "weights %s", hex);
}

clip_status clipeng_weights_identify(const clip_model *m, char out[33], clip_error *err)
{
    XXH128_hash_t h = {0};
    out[0] = 0;
    TRY(clipmdl_store_check(&m->store, err));
    for (size_t i = 0; i < m->store.shards; i++) {
        h = fold(h, XXH3_128bits(m->store.map[i].data, m->store.map[i].size), i);
        clipb_map_drop(&m->store.map[i], m->store.map[i].data, m->store.map[i].size);
    }
    TRY(clipmdl_store_check(&m->store, err));
    hexadecimal(fold_size(h, m), out);
    return CLIP_OK;
}

void clipeng_weights_hash(const clip_model *m, char out[33]) { clipeng_weights_identify(m, out, NULL); }
