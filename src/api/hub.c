/* The public functions on models by name. The bodies are in src/hub. */
#include "hub/hub.h"

const clip_known_model *clip_known_models(int *n) { return cliphub_known(n); }

const clip_recommended_model *clip_recommended_models(int *n) { return cliphub_recommended(n); }

clip_status clip_cached_models(clip_cached_fn each, void *user, int *others, clip_error *err)
{
    return cliphub_cached(each, user, others, err);
}

clip_pull_options clip_pull_options_default(void) { return (clip_pull_options){0}; }

clip_status clip_pull(const char *name, const clip_pull_options *opt, char **path, clip_error *err)
{
    return cliphub_pull(name, opt, path, err);
}
