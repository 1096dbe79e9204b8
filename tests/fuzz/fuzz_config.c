/* Any bytes as the JSON that describes a checkpoint. */
#include "api/api.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = memory_file(data, size);
    clipmdl_config config;
    clipimg_recipe recipe = clip_recipe_default(64);
    clip_error err;
    clipmdl_config_openclip(path, &config, &err);
    clipmdl_config_huggingface(path, &config, NULL, NULL, &err);
    clip_recipe_openclip(path, &recipe, &err);
    const clip_recipe_reader r = {.out = &recipe, .err = &err};
    bool found;
    clip_recipe_huggingface(&r, path, path, &found);
    return 0;
}
