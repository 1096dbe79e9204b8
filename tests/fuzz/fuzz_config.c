/* fuzz_config.c: any bytes as the JSON of a checkpoint, read by every family. */
#include "engine/engine.h"
#include "memory_file.h"
#include "model/family/huggingface.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = memory_file(data, size);
    clipmdl_recipe recipe = clipeng_recipe_default();
    clip_error err;
    int n;
    const clipmdl_family *const *families = clipmdl_families(&n);
    for (int i = 0; i < n; i++) {
        clipmdl_config config;
        clipmdl_config_read(families[i], path, &config, NULL, NULL, &err);
    }
    clipmdl_openclip_recipe(path, &recipe, &err);
    const clipmdl_reader r = {.err = &err};
    bool found;
    clipmdl_huggingface_pictures(&r, &clipmdl_clip_processor, path, NULL, 64, &recipe, &found);
    clipmdl_huggingface_pictures(&r, &clipmdl_siglip_processor, path, "image_processor", 64, &recipe, &found);
    return 0;
}
