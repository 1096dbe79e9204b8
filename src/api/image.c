/* The public functions on pictures that need no model. The bodies are in src/image. */
#include "image/image.h"

clip_image_options clip_image_options_default(void) { return clipimg_options_default(); }

clip_status clip_image_read(const char *path, const clip_image_options *opt, clip_image *out, clip_error *err)
{
    *out = (clip_image){0};
    if (!path)
        return clipb_fail(err, CLIP_EINVAL, NULL, "the path of a picture is missing");
    return clipimg_read(path, opt, out, err);
}

clip_status clip_image_decode(const void *bytes, size_t size, const char *name, const clip_image_options *opt,
                              clip_image *out, clip_error *err)
{
    return clipimg_decode(bytes, size, name, opt, NULL, out, err);
}

void clip_image_free(clip_image *img) { clipimg_free(img); }
