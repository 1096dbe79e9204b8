/* clip_trainer: from settings to a training, and to a checkpoint. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/color.h"
#include "engine/engine.h"
#include "engine/train_options.h"
#include "base/json.h"
#include "data/data.h"
#include "text/learn.h"
#include "text/write.h"
#include "train/trainer.h"

struct clip_trainer {
    cliptrn_trainer t;
    pid_t process;       /* that made it */
    clip_model *source;  /* the checkpoint it starts from, or goes on with; NULL: from scratch */
    cliptok *own;        /* a tokenizer that is not the source's */
    const cliptok *tokenizer;
    clipeng_tokenizer_files tokenizer_files;
    clipmdl_config config;
    const clipmdl_family *family; /* in whose layout it is saved */
    clipimg_recipe recipe;
    clipimg_augment augment;
    char *settings;
};

/* The parts from which a trainer is built. */
typedef struct builder {
    clip_trainer *out;
    const clip_train_options *o;
    const clipb_peers *peers;
    clip_warn_fn warn;
    void *user;
    clip_error *err;
} builder;

static void warn(const builder *b, const char *message)
{
    if (b->warn && clipb_peers_rank(b->peers) == 0)
        b->warn(b->user, message);
}

static clip_status wrong(const builder *b, const char *message)
{
    return clipb_fail(b->err, CLIP_EINVAL, NULL, "%s", message);
}

static const char *text(const builder *b, int id) { return clipeng_train_text(b->o, id); }

/* ---- The tokenizer --------------------------------------------------------------------------- */

static clip_pairs_options pairs_options(const builder *b)
{
    const char *separator = text(b, CLIP_TRAIN_CSV_SEPARATOR);
    const char c = !separator ? 0 : strcmp(separator, "\\t") == 0 ? '\t' : *separator;
    return (clip_pairs_options){text(b, CLIP_TRAIN_CSV_IMG_KEY), text(b, CLIP_TRAIN_CSV_CAPTION_KEY), c};
}

static clip_status count_words(const builder *b, cliptok_learner *l)
{
    const clip_pairs_options opt = pairs_options(b);
    clip_pairs *pairs;
    clip_pair p;
    TRY(clipdat_pairs_open(text(b, CLIP_TRAIN_TRAIN_DATA), &opt, &pairs, b->err));
    clip_status s = CLIP_OK;
    do {
        s = clipdat_pairs_next(pairs, &p, b->err); /* the stream reports broken ones */
        for (int i = 0; s == CLIP_OK && i < p.n_captions; i++)
            s = cliptok_learner_add(l, p.captions[i], strlen(p.captions[i]));
    } while (s != CLIP_ENOMEM && (s < 0 || p.key));
    clipdat_pairs_close(pairs);
    return s == CLIP_ENOMEM ? s : CLIP_OK;
}

/* Without blanks between words, a large enough vocabulary learns phrases instead of words. */
static void warn_of_phrases(const builder *b, cliptok_learner_stats stats)
{
    char line[320];
    if (stats.by_heart * 20 < stats.texts || stats.by_heart == 0)
        return;
    snprintf(
        line, sizeof line,
        "%lld of %lld captions have no blanks and became one token each, learned by heart: "
        "words that stand in them will find nothing; put blanks between words, or choose a smaller "
        "vocabulary (tokenizer-vocab)",
        (long long)stats.by_heart, (long long)stats.texts);
    warn(b, line);
}

/* Write the files of a vocabulary learned from the captions into the directory. */
static clip_status learn(const builder *b, const char *dir)
{
    cliptok_learner *l = NULL;
    cliptok_bpe bpe = {0};
    const int wanted = (int)clipeng_train_int(b->o, CLIP_TRAIN_TOKENIZER_VOCAB);
    clip_status s = cliptok_learner_new(&l);
    if (s == CLIP_OK)
        s = count_words(b, l);
    if (s == CLIP_OK)
        s = cliptok_learner_finish(l, wanted, &bpe);
    if (s == CLIP_OK && (int)bpe.n_tokens < wanted) {
        char line[128];
        snprintf(line, sizeof line,
                 "the captions give a vocabulary of %d: no pair of tokens that may be joined occurs twice any more",
                 (int)bpe.n_tokens);
        warn(b, line);
    }
    if (s == CLIP_OK)
        warn_of_phrases(b, cliptok_learner_count(l));
    if (s == CLIP_OK)
        s = cliptok_write_vocab(&bpe, dir, b->err);
    cliptok_bpe_free(&bpe);
    cliptok_learner_free(l);
    return s;
}

/* A directory to learn into. It is removed afterwards. */
static clip_status learn_tokenizer(const builder *b)
{
    const char *tmp = getenv("TMPDIR");
    char dir[512];
    snprintf(dir, sizeof dir, "%s/clip-tokenizer-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return clipb_fail(b->err, CLIP_EIO, dir, "cannot be made");
    clip_status s = learn(b, dir);
    if (s == CLIP_OK)
        s = cliptok_load(dir, &cliptok_huggingface, &b->out->own, b->err);
    if (s == CLIP_OK)
        s = clipeng_tokenizer_files_read(dir, &b->out->tokenizer_files, b->err);
    static const char *const written[] = {"vocab.json", "merges.txt"};
    for (int i = 0; i < 2; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", dir, written[i]);
        unlink(path);
    }
    rmdir(dir);
    return s;
}

/* Load the tokenizer of a directory, by the rules that a reader of the saved checkpoint, which has
 * OpenCLIP's layout, will follow. */
static clip_status load_tokenizer(const builder *b, const char *dir)
{
    const clipmdl_text_config *texts = &b->out->config.text;
    const cliptok_rules *rules = &cliptok_huggingface;
    cliptok *t = NULL;
    if (texts->tokenizer) /* the configuration says whose rules, and is saved with them */
        TRY(clipeng_rules_choose(&clipmdl_openclip, texts, texts->vocab_size, false, &rules, b->err));
    char *bpe = clipb_path_join(dir, "bpe_simple_vocab_16e6.txt.gz");
    if (!bpe)
        return CLIP_ENOMEM;
    const bool has_bpe = clipb_is_file(bpe);
    free(bpe);
    TRY(cliptok_load(dir, rules, &t, b->err));
    if (t && !texts->tokenizer && (has_bpe || cliptok_vocab_size(t) == CLIPMDL_OPENAI_VOCABULARY)) {
        cliptok_free(t);
        TRY(cliptok_load(dir, &cliptok_openclip, &t, b->err));
    }
    if (!t)
        return clipb_fail(b->err, CLIP_EIO, dir, "holds no tokenizer");
    b->out->own = t;
    b->out->tokenizer = t;
    return clipeng_tokenizer_files_read(dir, &b->out->tokenizer_files, b->err);
}

/* ---- What is trained ------------------------------------------------------------------------- */

/* The model that a configuration describes, of any family, and how it wants its pictures. */
static clip_status read_model(const builder *b, const char *path)
{
    clip_trainer *t = b->out;
    const clipmdl_family *f;
    const clipmdl_reader r = {.file = path, .warn = b->warn, .warn_user = b->user, .err = b->err};
    clipmdl_recipe words = clipeng_recipe_default();
    bool found;
    TRY(clipmdl_family_of_config(path, &f, b->err));
    if (f->standard)
        f->standard(&words);
    TRY(clipmdl_config_read(f, path, &t->config, b->warn, b->user, b->err));
    if (f == &clipmdl_openclip) {
        TRY(clipmdl_openclip_recipe(path, &words, b->err));
    } else {
        const char *slash = strrchr(path, '/');
        char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
        const clip_status s =
            dir ? f->read_recipe(&r, dir, t->config.vision.image_size, &words, &found) : CLIP_ENOMEM;
        free(dir);
        TRY(s);
    }
    const int size = (int)clipeng_train_int(b->o, CLIP_TRAIN_FORCE_IMAGE_SIZE);
    if (size)
        TRY(clipmdl_config_resize(&t->config, size, path, b->err));
    t->config.vision.stored_size = 0; /* there are no weights yet */
    t->recipe = clipeng_recipe_of_words(&words, t->config.vision.image_size);
    return CLIP_OK;
}

static clip_status from_scratch(const builder *b)
{
    clip_trainer *t = b->out;
    const char *model = text(b, CLIP_TRAIN_MODEL), *tokenizer = text(b, CLIP_TRAIN_TOKENIZER);
    const bool learns = text(b, CLIP_TRAIN_TOKENIZER_VOCAB) != NULL;
    if (!model)
        return wrong(b, "say what to train: a new model (model), or a checkpoint (pretrained)");
    if (!tokenizer == !learns)
        return wrong(
            b,
            "a new model needs a tokenizer: learned from the captions (tokenizer-vocab), or another one's (tokenizer)");
    TRY(read_model(b, model));
    if (learns)
        t->config.text.tokenizer = NULL; /* a vocabulary of our own follows transformers */
    TRY(tokenizer ? load_tokenizer(b, tokenizer) : learn_tokenizer(b));
    t->tokenizer = t->own;
    t->config.text.vocab_size = cliptok_vocab_size(t->own);
    t->config.text.eos_id = cliptok_end_id(t->own);
    return CLIP_OK;
}

static clip_status from_checkpoint(const builder *b, const char *dir)
{
    clip_trainer *t = b->out;
    clip_load_options load = clipeng_load_options_default();
    load.warn = b->warn;
    load.warn_user = b->user;
    load.image_size = (int)clipeng_train_int(b->o, CLIP_TRAIN_FORCE_IMAGE_SIZE);
    TRY(clipeng_model_open(dir, &load, &t->source, b->err));
    t->config = t->source->config;
    t->recipe = t->source->recipe;
    clipeng_files files;
    TRY(clipeng_files_find(dir, &files, b->err));
    clip_status s = load_tokenizer(b, files.dir);
    clipeng_files_free(&files);
    return s;
}

/* The background of the settings wins over that of the configuration or the checkpoint, and is
 * saved with the model. */
static void set_background(const builder *b)
{
    const char *color = text(b, CLIP_TRAIN_BACKGROUND);
    if (color)
        clipb_background_parse(color, &b->out->recipe.background); /* was checked when it was set */
}

static clip_status read_augment(const builder *b)
{
    const char *cfg = text(b, CLIP_TRAIN_AUG_CFG);
    cJSON *o;
    b->out->augment = clipimg_augment_default();
    if (!cfg)
        return CLIP_OK;
    TRY(clipb_json_parse(cfg, strlen(cfg), "aug-cfg", &o, b->err));
    clip_status s = clipimg_augment_json(o, &b->out->augment, "aug-cfg", b->err);
    cJSON_Delete(o);
    return s;
}

/* "amp_bf16", OpenCLIP's name, is training with the products of "bf16". */
static clip_status find_format(const builder *b, const clipk_format **out)
{
    const char *name = text(b, CLIP_TRAIN_PRECISION), *amp = "amp_";
    const size_t n = strlen(amp);
    return clipeng_precision_find(strncmp(name, amp, n) == 0 ? name + n : name, clipk_set_find(NULL), out, b->err);
}

static cliptrn_net_options net_options(const builder *b)
{
    return (cliptrn_net_options){
        .loss = strcmp(text(b, CLIP_TRAIN_LOSS), "siglip") == 0 ? CLIPTRN_SIGLIP : CLIPTRN_INFONCE,
        .lock_image = clipeng_train_flag(b->o, CLIP_TRAIN_LOCK_IMAGE),
        .lock_text = clipeng_train_flag(b->o, CLIP_TRAIN_LOCK_TEXT),
        .image_unlocked = (int)clipeng_train_int(b->o, CLIP_TRAIN_LOCK_IMAGE_UNLOCKED_GROUPS),
        .text_unlocked = (int)clipeng_train_int(b->o, CLIP_TRAIN_LOCK_TEXT_UNLOCKED_LAYERS),
        .freeze_bn = clipeng_train_flag(b->o, CLIP_TRAIN_LOCK_IMAGE_FREEZE_BN_STATS),
        .patch_dropout = clipeng_train_real(b->o, CLIP_TRAIN_FORCE_PATCH_DROPOUT),
        .chunk = clipeng_train_int(b->o, CLIP_TRAIN_CHUNK) < clipeng_train_int(b->o, CLIP_TRAIN_BATCH_SIZE)
                     ? (int)clipeng_train_int(b->o, CLIP_TRAIN_CHUNK)
                     : 0,
        .seed = (uint64_t)clipeng_train_int(b->o, CLIP_TRAIN_SEED),
        .peers = b->peers,
    };
}

static cliptrn_optimizer_options optimizer_options(const builder *b)
{
    const clipmdl_tower_kind *kind = b->out->config.vision.tower;
    const char *schedule = text(b, CLIP_TRAIN_LR_SCHEDULER);
    cliptrn_optimizer_options o = {
        .lr = clipeng_train_real(b->o, CLIP_TRAIN_LR),
        .beta1 = text(b, CLIP_TRAIN_BETA1) ? clipeng_train_real(b->o, CLIP_TRAIN_BETA1) : 0.9,
        .beta2 = text(b, CLIP_TRAIN_BETA2) ? clipeng_train_real(b->o, CLIP_TRAIN_BETA2) : kind->beta2,
        .eps = text(b, CLIP_TRAIN_EPS) ? clipeng_train_real(b->o, CLIP_TRAIN_EPS) : kind->eps,
        .weight_decay = clipeng_train_real(b->o, CLIP_TRAIN_WD),
        .grad_clip_norm = clipeng_train_real(b->o, CLIP_TRAIN_GRAD_CLIP_NORM),
        .schedule = strcmp(schedule, "cosine") == 0  ? CLIPTRN_COSINE
                    : strcmp(schedule, "const") == 0 ? CLIPTRN_CONST
                                                     : CLIPTRN_CONST_COOLDOWN,
        .warmup = text(b, CLIP_TRAIN_WARMUP) ? clipeng_train_int(b->o, CLIP_TRAIN_WARMUP) : -1,
        .cooldown = -clipeng_train_int(b->o, CLIP_TRAIN_EPOCHS_COOLDOWN),
        .steps = -clipeng_train_int(b->o, CLIP_TRAIN_EPOCHS),
    };
    return o;
}

static cliptrn_stream_options stream_options(const builder *b, const clip_pairs_options *pairs)
{
    const clip_trainer *t = b->out;
    return (cliptrn_stream_options){
        .spec = text(b, CLIP_TRAIN_TRAIN_DATA),
        .pairs = pairs,
        .recipe = &t->recipe,
        .augment = &t->augment,
        .tokenizer = t->tokenizer,
        .context_length = t->config.text.context_length,
        .batch = (int)clipeng_train_int(b->o, CLIP_TRAIN_BATCH_SIZE),
        .peers = b->peers,
        .workers = (int)clipeng_train_int(b->o, CLIP_TRAIN_WORKERS),
        .seed = (uint64_t)clipeng_train_int(b->o, CLIP_TRAIN_SEED),
        .max_pixels = clipeng_train_int(b->o, CLIP_TRAIN_MAX_PIXELS),
        .warn = b->warn,
        .warn_user = b->user,
    };
}

/* Warn of settings that are allowed, but hardly meant. */
static void warn_of_settings(const builder *b)
{
    const cliptrn_trainer *t = &b->out->t;
    const cliptrn_optimizer_options *o = &t->optimizer.opt;
    char line[256];
    if (text(b, CLIP_TRAIN_PRETRAINED) && o->lr > 1e-4 && !t->net.opt.lock_image && !t->net.opt.lock_text) {
        snprintf(
            line, sizeof line,
            "a learning rate of %g is for training from scratch: it wrecks a pre-trained model; "
            "1e-5 is usual for fine-tuning",
            o->lr);
        warn(b, line);
    }
    const cliptrn_net_options *n = &t->net.opt;
    if ((n->lock_image || n->lock_text) && !text(b, CLIP_TRAIN_PRETRAINED))
        warn(b, "a tower that is locked from scratch stays as it was drawn: locks are for checkpoints (pretrained)");
    if ((n->image_unlocked && !n->lock_image) || (n->text_unlocked && !n->lock_text))
        warn(b, "unlocked groups are without effect where the tower is not locked");
    if (b->out->config.vision.patch_dropout > 0 && clipeng_train_real(b->o, CLIP_TRAIN_FORCE_PATCH_DROPOUT) == 0)
        warn(b, "the configuration's patch_dropout is without effect: every patch is seen, unless force-patch-dropout "
                "says otherwise");
    if (o->schedule == CLIPTRN_CONST_COOLDOWN && o->warmup + o->cooldown > o->steps)
        warn(b, "warm-up and cool-down together are longer than the run: the learning rate never gets where it should");
    if (o->warmup >= o->steps) {
        snprintf(
            line, sizeof line,
            "the warm-up of %lld steps is as long as the run of %lld: the learning rate never gets where it should",
            (long long)o->warmup, (long long)o->steps);
        warn(b, line);
    }
}

/* ---- clip.h ---------------------------------------------------------------------------------- */

/* resume: the directory of a checkpoint to go on from, and its state; NULL: a new training. */
static clip_status build(const builder *b, const char *resume, const cliptrn_state *state)
{
    clip_trainer *t = b->out;
    const char *source = resume ? resume : text(b, CLIP_TRAIN_PRETRAINED);
    const clipk_format *format;
    if (!text(b, CLIP_TRAIN_TRAIN_DATA))
        return wrong(b, "say what to train on (train-data)");
    TRY(find_format(b, &format));
    if (!resume && source &&
        (text(b, CLIP_TRAIN_MODEL) || text(b, CLIP_TRAIN_TOKENIZER) || text(b, CLIP_TRAIN_TOKENIZER_VOCAB)))
        return wrong(
            b,
            "a checkpoint (pretrained) brings its own model and tokenizer: "
            "model, tokenizer and tokenizer-vocab are for new ones");
    TRY(source ? from_checkpoint(b, source) : from_scratch(b));
    if (resume && t->config.vision.stored_size)
        return wrong(b, "a run that goes on keeps its size of pictures (force-image-size)");
    /* A SigLIP of transformers' stays one: its layout says how its texts are read. */
    const clipmdl_family *own = source && t->config.text.custom ? t->source->family : NULL;
    t->family = own && own->writes && own->writes(&t->config) ? own : clipmdl_family_to_write(&t->config);
    if (!t->family)
        return clipb_fail(b->err, CLIP_EUNSUPPORTED, NULL,
                          "there is no layout to save such a model in (%s, %s), so it cannot be trained",
                          t->config.vision.tower->name, t->config.text.tower->name);
    if (t->family->no_logit_bias && net_options(b).loss == CLIPTRN_SIGLIP)
        return clipb_fail(b->err, CLIP_EUNSUPPORTED, NULL,
                          "the loss siglip learns a bias, for which the layout of %s has no place", t->family->name);
    if (source && t->family == &clipmdl_openclip)
        t->recipe.flavour = CLIPIMG_OPENCLIP; /* as whoever reads what is saved will prepare pictures */
    set_background(b);
    TRY(read_augment(b));
    const clip_pairs_options pairs = pairs_options(b);
    cliptrn_net_options net = net_options(b);
    const cliptrn_optimizer_options optimizer = optimizer_options(b);
    cliptrn_stream_options stream = stream_options(b, &pairs);
    net.format = format;
    if (resume)
        stream.start = state->next;
    TRY(cliptrn_net_init(&t->t.net, &t->config, &net, (int)clipeng_train_int(b->o, CLIP_TRAIN_THREADS), b->err));
    if (source) {
        TRY(clipmdl_params_read(&t->t.net.params, &t->source->store, t->source->family, t->source->prefix, t->t.net.w,
                                b->err));
        TRY(clipmdl_store_check(&t->source->store, b->err));
    }
    clipeng_model_free(t->source); /* everything that is needed has been copied */
    t->source = NULL;
    t->t.share_ends = text(b, CLIP_TRAIN_TOKENIZER_VOCAB) != NULL;
    TRY(cliptrn_trainer_init(&t->t, &stream, &optimizer, b->err));
    if (resume)
        TRY(cliptrn_state_apply(state, &t->t, resume, b->err));
    t->settings = clipeng_train_options_json(b->o);
    if (!t->settings)
        return CLIP_ENOMEM;
    if (!resume)
        warn_of_settings(b);
    return CLIP_OK;
}

static clip_status create(builder *b, const char *resume, const cliptrn_state *state, clip_trainer **out)
{
    b->out = calloc(1, sizeof *b->out);
    if (b->out)
        b->out->process = getpid();
    clip_status s = b->out ? build(b, resume, state) : CLIP_ENOMEM;
    if (s == CLIP_ENOMEM)
        clipb_nomem(b->err, NULL);
    if (s < 0)
        clipeng_trainer_free(b->out);
    else
        *out = b->out;
    return s;
}

clip_status clipeng_trainer_new(const clip_train_options *o, const clipb_peers *peers, clip_warn_fn warn_fn,
                                void *user, clip_trainer **out, clip_error *err)
{
    builder b = {.o = o, .peers = peers, .warn = warn_fn, .user = user, .err = err};
    *out = NULL;
    return o ? create(&b, NULL, NULL, out) : clipb_fail(err, CLIP_EINVAL, NULL, "no settings of a training");
}

/* The settings of a run, with the settings of `now` that do not change its result. */
static clip_status settings_of(clip_train_options *all, const char *json, const char *dir,
                               const clip_train_options *now, clip_error *err)
{
    TRY(clipeng_train_options_parse(all, json, dir, err));
    for (int i = 0; now && i < CLIP_TRAIN_OPTION_COUNT; i++) {
        const char *name = clipeng_train_option_at(i)->name;
        if (!now->value[i])
            continue;
        if (i != CLIP_TRAIN_THREADS && i != CLIP_TRAIN_WORKERS)
            return clipb_fail(err, CLIP_EINVAL, NULL,
                              "%s cannot change: a run goes on with the settings that it was begun with", name);
        TRY(clipeng_train_options_set(all, name, now->value[i], err));
    }
    return CLIP_OK;
}

clip_status clipeng_trainer_resume(const char *dir, const clip_train_options *o, const clipb_peers *peers,
                                   clip_warn_fn warn_fn, void *user, clip_trainer **out, clip_error *err)
{
    cliptrn_state state = {0};
    clip_train_options *all = NULL;
    *out = NULL;
    clip_status s = dir ? clipb_dir_settle(dir, err) : clipb_fail(err, CLIP_EINVAL, NULL, "no directory of a training");
    if (s == CLIP_OK)
        s = cliptrn_state_read(dir, &state, err);
    if (s == CLIP_OK)
        s = clipeng_train_options_new(&all);
    if (s == CLIP_OK)
        s = settings_of(all, state.settings, dir, o, err);
    if (s == CLIP_OK) {
        builder b = {.o = all, .peers = peers, .warn = warn_fn, .user = user, .err = err};
        s = create(&b, dir, &state, out);
    }
    clipeng_train_options_free(all);
    free(state.settings);
    return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
}

void clipeng_trainer_free(clip_trainer *t)
{
    if (!t)
        return;
    cliptrn_trainer_free(&t->t);
    clipeng_model_free(t->source);
    cliptok_free(t->own);
    clipeng_tokenizer_files_free(&t->tokenizer_files);
    free(t->settings);
    free(t);
}

void clipeng_trainer_get_info(const clip_trainer *t, clip_train_info *out)
{
    const cliptrn_optimizer *o = &t->t.optimizer;
    *out = (clip_train_info){.pairs = cliptrn_stream_count(t->t.stream),
                             .steps_per_epoch = t->t.per_epoch,
                             .steps = t->t.steps,
                             .step = o->step,
                             .epochs = (int)(t->t.steps / t->t.per_epoch),
                             .batch_size = t->t.batch,
                             .lr = o->opt.lr,
                             .weight_decay = o->opt.weight_decay,
                             .settings = t->settings};
    out->passed = *cliptrn_stream_passed(t->t.stream);
    out->logit_scale = expf(*cliptrn_net_number(&t->t.net, t->t.net.w, "logit_scale"));
    for (size_t i = 0; i < t->t.net.params.n; i++) {
        const clipmdl_param *p = &t->t.net.params.param[i];
        out->parameters += p->flags & CLIPMDL_BUFFER_PARAM ? 0 : (int64_t)p->count;
        out->trained_parameters += t->t.net.trains[i] ? (int64_t)p->count : 0;
    }
}

/* The threads that read data stay with the process that made the trainer. */
static clip_status check_process(const clip_trainer *t, clip_error *err)
{
    if (getpid() == t->process)
        return CLIP_OK;
    return clipb_fail(err, CLIP_EINVAL, NULL, "a forked process cannot go on with its parent's training");
}

clip_status clipeng_trainer_step(clip_trainer *t, clip_train_step *out, clip_error *err)
{
    TRY(check_process(t, err));
    return cliptrn_trainer_step(&t->t, out, err);
}

static clip_status write_checkpoint(const clip_trainer *t, const char *dir, clip_error *err)
{
    const cliptrn_net *n = &t->t.net;
    const clipmdl_recipe recipe = clipeng_recipe_words(&t->recipe, t->tokenizer);
    char *weights = clipb_path_join(dir, t->family->weights_file);
    clip_status s =
        weights ? clipmdl_save_weights(weights, &n->params, n->w, CLIPK_F32, t->family, err) : CLIP_ENOMEM;
    free(weights);
    TRY(s);
    TRY(t->family->save(dir, &n->config, &recipe, err));
    TRY(clipeng_tokenizer_files_write(&t->tokenizer_files, dir, err));
    if (recipe.own_tokenizer)
        TRY(clipeng_tokenizer_files_complete(dir, t->tokenizer, t->config.text.context_length, err));
    return cliptrn_state_write(&t->t, dir, t->settings, err);
}

clip_status clipeng_trainer_save(clip_trainer *t, const char *dir, clip_error *err)
{
    char *tmp;
    TRY(check_process(t, err));
    if (clipb_peers_rank(t->t.peers) > 0) /* all ranks have the same weights; the first one saves them */
        return CLIP_OK;
    if (!cliptrn_state_is_in(dir))
        TRY(clipb_dir_check_empty(dir, err)); /* nobody's files are replaced */
    TRY(clipb_dir_new(dir, &tmp, err));
    clip_status s = clipb_dir_replace(tmp, dir, write_checkpoint(t, tmp, err), err);
    free(tmp);
    return s == CLIP_ENOMEM ? clipb_nomem(err, dir) : s;
}
