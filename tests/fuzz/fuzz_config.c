/* fuzz_config.c: any bytes as the JSON of a checkpoint, read by every family and by every image
 * processor; what can be read is given another size of pictures. */
#include <stdlib.h>

#include "engine/engine.h"
#include "memory_file.h"
#include "model/family/huggingface.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void change(clipmdl_config *config, const clipmdl_family *const *families, int n)
{
    clip_error err;
    char words[CLIPMDL_WORDS];
    if (clipmdl_config_words(config, words) >= CLIPMDL_WORDS)
        abort();
    for (int i = 0; i < n && config->towers == CLIP_TOWER_BOTH; i++)
        if (families[i]->writes)
            families[i]->writes(config);
    clipmdl_config_resize(config, 96, "fuzz", &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = memory_file(data, size);
    clipmdl_recipe recipe = clipeng_recipe_default();
    clip_error err;
    int n;
    const clipmdl_family *const *families = clipmdl_families(&n);
    for (int i = 0; i < n; i++) {
        clipmdl_config config;
        if (clipmdl_config_read(families[i], path, &config, NULL, NULL, &err) == CLIP_OK)
            change(&config, families, n);
    }
    clipmdl_openclip_recipe(path, &recipe, &err);
    const clipmdl_reader r = {.err = &err};
    bool found;
    static const clipmdl_processor *const processors[] = {&clipmdl_clip_processor, &clipmdl_siglip_processor,
                                                          &clipmdl_chinese_clip_processor, &clipmdl_naflex_processor};
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        clipmdl_huggingface_pictures(&r, processors[i], path, NULL, 64, &recipe, &found);
        clipmdl_huggingface_pictures(&r, processors[i], path, "image_processor", 64, &recipe, &found);
    }
    return 0;
}
