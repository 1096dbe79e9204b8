/* What a model is known by: XXH3-128 of its weights' files and of the settings that change what it
 * makes of them. Reading a gigabyte to find that out takes long, so there is also a stamp of
 * inodes, sizes, times and the settings, by which one can look up the hash. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
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

/* What one file of weights may be used with, and gives other embeddings: which encoder of the file,
 * the configuration, and how pictures are prepared. The background is the caller's choice, and an
 * index keeps it itself. */
static XXH128_hash_t fold_settings(XXH128_hash_t h, const clip_model *m)
{
    char words[CLIPMDL_WORDS + 512];
    const clipimg_recipe *r = &m->recipe;
    int n = clipmdl_config_words(&m->config, words);
    n += snprintf(words + n, sizeof words - (size_t)n, "%s ", m->prefix);
    const int own[] = {(int)r->mode, (int)r->filter, (int)r->flavour, r->size, r->patch, r->most};
    const float statistics[] = {r->mean[0], r->mean[1], r->mean[2], r->std[0], r->std[1], r->std[2]};
    if (!(m->config.towers & CLIP_TOWER_IMAGE))
        return fold(h, XXH3_128bits(words, (size_t)n), 1);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        n += snprintf(words + n, sizeof words - (size_t)n, "%d ", own[i]);
    for (size_t i = 0; i < sizeof statistics / sizeof *statistics; i++) {
        uint32_t bits;
        memcpy(&bits, &statistics[i], sizeof bits);
        n += snprintf(words + n, sizeof words - (size_t)n, "%08" PRIx32 " ", bits);
    }
    n += snprintf(words + n, sizeof words - (size_t)n, "%d %d %d", r->fill_color[0], r->fill_color[1],
                  r->fill_color[2]);
    return fold(h, XXH3_128bits(words, (size_t)n), 1);
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
    hexadecimal(fold_settings(h, m), hex);
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
    hexadecimal(fold_settings(h, m), out);
    return CLIP_OK;
}

void clipeng_weights_hash(const clip_model *m, char out[33]) { clipeng_weights_identify(m, out, NULL); }
