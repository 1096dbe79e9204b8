/* The public functions on training. The bodies are in src/engine. */
#include "engine/engine.h"

clip_status clip_train_options_new(clip_train_options **out) { return clipeng_train_options_new(out); }

void clip_train_options_free(clip_train_options *o) { clipeng_train_options_free(o); }

clip_status clip_train_options_set(clip_train_options *o, const char *name, const char *value, clip_error *err)
{
    return clipeng_train_options_set(o, name, value, err);
}

const char *clip_train_options_get(const clip_train_options *o, const char *name)
{
    return clipeng_train_options_get(o, name);
}

clip_status clip_train_options_read(clip_train_options *o, const char *path, clip_error *err)
{
    return clipeng_train_options_read(o, path, err);
}

const clip_train_option *clip_train_option_at(int i) { return clipeng_train_option_at(i); }

clip_status clip_trainer_new(const clip_train_options *o, clip_warn_fn warn, void *warn_user, clip_trainer **out,
                             clip_error *err)
{
    return clipeng_trainer_new(o, NULL, warn, warn_user, out, err);
}

clip_status clip_trainer_resume(const char *dir, const clip_train_options *o, clip_warn_fn warn, void *warn_user,
                                clip_trainer **out, clip_error *err)
{
    return clipeng_trainer_resume(dir, o, NULL, warn, warn_user, out, err);
}

void clip_trainer_free(clip_trainer *t) { clipeng_trainer_free(t); }

void clip_trainer_get_info(const clip_trainer *t, clip_train_info *out) { clipeng_trainer_get_info(t, out); }

clip_status clip_trainer_step(clip_trainer *t, clip_train_step *out, clip_error *err)
{
    return clipeng_trainer_step(t, out, err);
}

clip_status clip_trainer_save(clip_trainer *t, const char *dir, clip_error *err)
{
    return clipeng_trainer_save(t, dir, err);
}
