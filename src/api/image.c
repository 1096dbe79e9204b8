/* The public functions on pictures. The bodies are in src/image. clip_preprocess() is in encode.c:
 * it needs a model. */
#include "base/color.h"
#include "image/image.h"

clip_image_options clip_image_options_default(void) { return clipimg_options_default(); }

clip_status clip_background_parse(const char *text, int *background)
{
    return clipb_background_parse(text, background);
}

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
