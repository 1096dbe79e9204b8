/* config.c: reads a configuration by its family's rules, and checks that its sizes fit each
 * other. */
#include "model/config.h"

#include <string.h>

#include "base/json.h"
#include "model/family/family.h"
#include "model/tower.h"

#define MOST_CONFIG ((size_t)16 << 20)
#define MOST_PICTURE 8192 /* pixels along a side */

clip_status clipmdl_config_check(const clipmdl_config *c, const char *file, clip_error *err)
{
    if (c->towers & CLIP_TOWER_TEXT)
        TRY(c->text.tower->check(c, file, err));
    if (!(c->towers & CLIP_TOWER_IMAGE))
        return CLIP_OK;
    if (c->vision.image_size > MOST_PICTURE)
        return clipb_fail(err, CLIP_EFORMAT, file, "pictures of %d pixels a side are more than the %d supported",
                          c->vision.image_size, MOST_PICTURE);
    return c->vision.tower->check(c, file, err);
}

clip_status clipmdl_config_read(const clipmdl_family *f, const char *path, clipmdl_config *out, clip_warn_fn warn,
                                void *warn_user, clip_error *err)
{
    const clipmdl_reader r = {path, warn, warn_user, err};
    cJSON *root;
    *out = (clipmdl_config){0};
    TRY(clipb_json_read(path, MOST_CONFIG, &root, err));
    clip_status s = f->read_config(&r, root, out);
    cJSON_Delete(root);
    return s < 0 ? s : clipmdl_config_check(out, path, err);
}

clip_status clipmdl_config_resize(clipmdl_config *c, int image_size, const char *file, clip_error *err)
{
    clipmdl_vision_config *v = &c->vision;
    clip_error why = {0};
    if (!(c->towers & CLIP_TOWER_IMAGE))
        return clipb_fail(err, CLIP_EINVAL, file, "has no image encoder, so there is no size of pictures to change");
    v->stored_size = clipmdl_stored_size(v);
    v->image_size = image_size;
    if (image_size < 1 || clipmdl_config_check(c, NULL, &why) < 0)
        return clipb_fail(err, CLIP_EINVAL, file, "pictures of %d pixels do not fit this %s: %s", image_size,
                          v->tower->name, image_size < 1 ? "there is no such size" : why.message);
    return CLIP_OK;
}

clip_status clipmdl_config_type(const char *path, char out[64], clip_error *err)
{
    cJSON *root;
    TRY(clipb_json_read(path, MOST_CONFIG, &root, err));
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(root, "model_type");
    snprintf(out, 64, "%s", cJSON_IsString(type) ? type->valuestring : "");
    cJSON_Delete(root);
    return CLIP_OK;
}
