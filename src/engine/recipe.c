/* How pictures are prepared: from the words of configurations (model/family/family.h) to the struct
 * that does it, and back. */
#include <math.h>
#include <string.h>

#include "engine/engine.h"

clipmdl_recipe clipeng_recipe_default(void)
{
    return (clipmdl_recipe){
        .interpolation = "bicubic",
        .resize_mode = "shortest",
        .rounding = "openclip",
        .background = -1,
        .mean = {0.48145466f, 0.4578275f, 0.40821073f}, /* OpenAI's, openai/CLIP clip.py */
        .std = {0.26862954f, 0.26130258f, 0.27577711f},
        .start_id = -1,
        .end_id = -1,
    };
}

/* Each value of an enum has the word at its place. */
static const char *const modes[] = {
    [CLIPIMG_SHORTEST] = "shortest", [CLIPIMG_LONGEST] = "longest", [CLIPIMG_SQUASH] = "squash",
    [CLIPIMG_CORNER] = "corner", [CLIPIMG_NAFLEX] = "naflex"};
static const char *const filters[] = {[CLIPIMG_BILINEAR] = "bilinear", [CLIPIMG_BICUBIC] = "bicubic"};
static const char *const flavours[] = {[CLIPIMG_OPENCLIP] = "openclip", [CLIPIMG_HUGGINGFACE] = "huggingface"};

/* The place of a word that is in the list. */
static int place_of(const char *word, const char *const *list)
{
    int i = 0;
    while (strcmp(list[i], word) != 0)
        i++;
    return i;
}

clipimg_recipe clipeng_recipe_of_words(const clipmdl_recipe *w, int size)
{
    clipimg_recipe r = {.size = w->max_patches ? w->patch_size * (int)sqrt(w->max_patches) : size,
                        .mode = (clipimg_mode)place_of(w->resize_mode, modes),
                        .filter = (clipimg_filter)place_of(w->interpolation, filters),
                        .flavour = (clipimg_flavour)place_of(w->rounding, flavours),
                        .patch = w->patch_size,
                        .most = w->max_patches,
                        .background = w->background};
    memcpy(r.mean, w->mean, sizeof r.mean);
    memcpy(r.std, w->std, sizeof r.std);
    memcpy(r.fill_color, w->fill_color, sizeof r.fill_color);
    return r;
}

clipmdl_recipe clipeng_recipe_words(const clipimg_recipe *r, const cliptok *tokenizer)
{
    clipmdl_recipe w = {.interpolation = filters[r->filter],
                        .resize_mode = modes[r->mode],
                        .rounding = flavours[r->flavour],
                        .patch_size = r->patch,
                        .max_patches = r->most,
                        .background = r->background,
                        .own_tokenizer = clipeng_rules_need_files(tokenizer),
                        .start_id = tokenizer ? cliptok_start_id(tokenizer) : -1,
                        .end_id = tokenizer ? cliptok_end_id(tokenizer) : -1};
    memcpy(w.mean, r->mean, sizeof w.mean);
    memcpy(w.std, r->std, sizeof w.std);
    memcpy(w.fill_color, r->fill_color, sizeof w.fill_color);
    return w;
}
