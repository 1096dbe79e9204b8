/* A build without libcurl does not fetch. */
#include "hub/hub.h"

const char *cliphub_fetcher(void) { return NULL; }

clip_status cliphub_pull(const char *text, const clip_pull_options *opt, char **path, clip_error *err)
{
    *path = NULL;
    if (opt && opt->if_missing)
        TRY(cliphub_find_whole(text, path, err));
    if (*path)
        return CLIP_OK;
    return clipb_fail(err, CLIP_EUNSUPPORTED, text,
                      "cannot be fetched: this build has no libcurl (install it with its development files, and build "
                      "again)");
}
