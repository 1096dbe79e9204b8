/* The public functions on image-text pairs and lists of pictures. The bodies are in src/data. */
#include "data/data.h"

clip_pairs_options clip_pairs_options_default(void) { return clipdat_pairs_options_default(); }

clip_status clip_pairs_open(const char *spec, const clip_pairs_options *opt, clip_pairs **out, clip_error *err)
{
    *out = NULL;
    if (!spec)
        return clipb_fail(err, CLIP_EINVAL, NULL, "the source of the pairs is missing");
    return clipdat_pairs_open(spec, opt, out, err);
}

clip_status clip_pairs_next(clip_pairs *p, clip_pair *out, clip_error *err) { return clipdat_pairs_next(p, out, err); }

void clip_pairs_get_passed(const clip_pairs *p, clip_passed *out) { clipdat_pairs_get_passed(p, out); }

void clip_pairs_close(clip_pairs *p) { clipdat_pairs_close(p); }

clip_status clip_list_pictures(const char *path, clip_warn_fn warn, void *warn_user, clip_passed *passed,
                               int64_t *faults, char ***out, size_t *n, clip_error *err)
{
    *out = NULL;
    *n = 0;
    if (!path)
        return clipb_fail(err, CLIP_EINVAL, NULL, "the path of a picture or folder is missing");
    return clipdat_list_pictures(path, warn, warn_user, passed, faults, out, n, err);
}

void clip_list_free(char **list, size_t n) { clipdat_list_free(list, n); }

bool clip_is_picture_name(const char *name) { return clipdat_is_picture_name(name); }
