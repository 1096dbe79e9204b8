/* stop_listing.c: stop_listing INDEX MODEL FOLDER: an update of an index that is stopped as soon as
 * it reports that it is listing. */
#include <stdio.h>

#include "clip.h"

static bool stop(void *user, const clip_update_report *now)
{
    *(int64_t *)user = now->listed;
    return now->listed == 0;
}

int main(int argc, char **argv)
{
    clip_index_options o = clip_index_options_default();
    clip_update_options u = clip_update_options_default();
    clip_model *m = NULL;
    clip_context *c = NULL;
    clip_index *x = NULL;
    clip_update_report r;
    clip_error err;
    int64_t listed = 0;
    if (argc != 4 || clip_model_load(argv[2], NULL, &m, &err) < 0 || clip_context_new(m, 1, &c) < 0)
        return 2;
    o.write = true;
    o.model = m;
    u.progress = stop;
    u.progress_user = &listed;
    const bool done = clip_index_open(argv[1], &o, &x, &err) == CLIP_OK &&
                      clip_index_update(x, c, (const char *const *)&argv[3], 1, &u, &r, &err) == CLIP_OK &&
                      clip_index_close(x, &err) == CLIP_OK;
    if (done)
        printf("stopped after %lld names: %lld pictures seen, %lld removed\n", (long long)listed, (long long)r.seen,
               (long long)r.removed);
    else
        fprintf(stderr, "%s\n", err.message);
    clip_context_free(c);
    clip_model_free(m);
    return done ? 0 : 1;
}
