/* clip train: train a CLIP model, from scratch or from a checkpoint. This file runs the steps,
 * checkpoints and validations, and ends the run. A checkpoint is written after the lines of
 * metrics.jsonl up to its step, and before its validation. So after any interruption --resume finds
 * everything, and does what is missing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

#define SAY_EVERY 10.0 /* seconds between two lines without a terminal */

typedef struct run {
    const cli_args *a;
    train_options o;
    train_folder f;
    clip_trainer *trainer;
    clip_train_info info;
    train_validation validation;
    bool validated;             /* this process has a validation */
    int64_t step, saved;        /* steps taken; steps in the checkpoint */
    int64_t first, broken;      /* first step of this process; samples skipped since */
    double start, before;       /* now() at step `first`; seconds the run took before */
    double said;
} run;

static void warn(void *user, const char *message)
{
    (void)user;
    cli_warn("%s", message);
}

/* ---- Beginning ------------------------------------------------------------------------------- */

static int save(run *r)
{
    clip_error err;
    DO(train_folder_sync(&r->f));
    if (clip_trainer_save(r->trainer, r->f.checkpoint, &err) < 0)
        return cli_fail("%s", err.message);
    r->saved = r->step;
    return CLI_DONE;
}

static int new_trainer(run *r)
{
    clip_error err;
    if (clip_trainer_new(r->o.settings, warn, NULL, &r->trainer, &err) < 0)
        return cli_fail("%s", err.message);
    clip_trainer_get_info(r->trainer, &r->info);
    return CLI_DONE;
}

static int begin(run *r)
{
    DO(train_folder_new(r->o.output, &r->f));
    DO(new_trainer(r));
    if (r->o.val_data)
        DO(train_validation_try(r->info.settings, r->o.val_data));
    DO(train_folder_begin(&r->f, &r->o, r->info.settings));
    return save(r);
}

static int go_on(run *r)
{
    clip_error err;
    DO(train_folder_find(r->o.resume, &r->f));
    if (!train_folder_has_checkpoint(&r->f)) { /* the run ended before its first step */
        DO(train_folder_set(&r->f, r->o.settings));
        DO(new_trainer(r));
        DO(train_folder_continue(&r->f, 0));
        return save(r);
    }
    if (clip_trainer_resume(r->f.checkpoint, r->o.settings, warn, NULL, &r->trainer, &err) < 0)
        return cli_fail("%s", err.message);
    clip_trainer_get_info(r->trainer, &r->info);
    r->step = r->saved = r->info.step;
    DO(train_folder_continue(&r->f, r->step));
    /* If no step is left, this removes what a killed save left beside the checkpoint. */
    return r->step == r->info.steps ? save(r) : CLI_DONE;
}

/* ---- Progress -------------------------------------------------------------------------------- */

static double elapsed(const run *r) { return r->before + (cli_now() - r->start); }

static void say_begin(const run *r)
{
    const clip_train_info *i = &r->info;
    cli_progress_hide();
    fprintf(stderr, "%lld pairs, %d epochs of %lld steps, batches of %d; %.2f million parameters", (long long)i->pairs,
            i->epochs, (long long)i->steps_per_epoch, i->batch_size, 1e-6 * (double)i->parameters);
    if (i->trained_parameters < i->parameters)
        fprintf(stderr, ", %.2f of them trained", 1e-6 * (double)i->trained_parameters);
    fprintf(stderr, "\n");
    cli_passed_say(&i->passed);
    if (r->step > 0)
        fprintf(stderr, "continuing after step %lld of %lld\n", (long long)r->step, (long long)i->steps);
}

/* Averages over the last `n` steps, because a single step is noisy. */
static void say_step(run *r, const clip_train_step *s)
{
    const train_history *h = &r->f.history;
    const size_t n = h->steps - (size_t)r->first < 20 ? h->steps - (size_t)r->first : 20;
    double loss = 0, seconds = 0, waited = 0;
    char text[256], left[24];
    for (size_t i = h->steps - n; i < h->steps; i++) {
        loss += h->step[i].loss / (double)n;
        seconds += h->step[i].batch_time;
        waited += h->step[i].data_time;
    }
    const double now = cli_now(),
                 rest = (now - r->start) / (double)(s->step - r->first) * (double)(r->info.steps - s->step);
    snprintf(text, sizeof text,
             "epoch %lld/%d  step %lld/%lld  loss %.4f  scale %.2f  %.0f pairs/s  waiting %.0f%%  %s left",
             (long long)s->epoch, r->info.epochs, (long long)s->step, (long long)r->info.steps, loss,
             (double)s->logit_scale, seconds > 0 ? (double)n * r->info.batch_size / seconds : 0,
             seconds > 0 ? 100 * waited / seconds : 0, cli_time(rest, left));
    if (cli_terminal()) {
        cli_progress_show(text);
    } else if (r->said == 0 || now - r->said >= SAY_EVERY || s->step == r->info.steps) {
        fprintf(stderr, "%s  lr %.3g\n", text, s->lr);
        r->said = now;
    }
}

static void say_score(const run *r, const train_score *s)
{
    cli_progress_hide();
    fprintf(
        stderr,
        "epoch %lld/%d  validation: loss %.4f  image to text R@1 %.2f%% R@5 %.2f%%  text to image R@1 %.2f%% "
        "R@5 %.2f%%\n",
        (long long)s->epoch, r->info.epochs, s->loss, 100 * s->image_to_text.r1, 100 * s->image_to_text.r5,
        100 * s->text_to_image.r1, 100 * s->text_to_image.r5);
}

/* ---- Steps, validations ---------------------------------------------------------------------- */

/* Write the page. A page without pictures never replaces one that has them. */
static int report(const run *r, const char *state)
{
    if (r->f.val_data && !r->validated && r->f.history.scores > 0)
        return CLI_DONE;
    return train_report(&r->f, &r->info, state, r->validated ? &r->validation : NULL);
}

static bool epoch_ends(const run *r) { return r->step > 0 && r->step % r->info.steps_per_epoch == 0; }

/* Validate and report after an epoch. If this was interrupted before, the score may be in the
 * metrics already while the page is missing. */
static int end_epoch(run *r)
{
    const train_history *h = &r->f.history;
    if (r->f.val_data) {
        train_validation_free(&r->validation);
        r->validated = false;
        DO(train_validate(r->a, &r->f, r->f.val_data, r->info.batch_size, &r->validation));
        train_score *s = &r->validation.score;
        s->step = r->step;
        s->epoch = r->step / r->info.steps_per_epoch;
        s->time = elapsed(r);
        r->validated = true;
        if (h->scores == 0 || h->score[h->scores - 1].step != r->step)
            DO(train_folder_add_score(&r->f, s));
        say_score(r, s);
    }
    return report(r, r->step == r->info.steps ? "Finished" : "Under way");
}

static int save_epoch(run *r)
{
    const int64_t epoch = r->step / r->info.steps_per_epoch;
    if (!epoch_ends(r) || r->f.save_frequency == 0 || epoch % r->f.save_frequency != 0)
        return CLI_DONE;
    char *dir;
    clip_error err;
    if (asprintf(&dir, "%s/epoch_%lld", r->f.path, (long long)epoch) < 0)
        return cli_no_memory();
    int code = clip_trainer_save(r->trainer, dir, &err) < 0 ? cli_fail("%s", err.message) : CLI_DONE;
    free(dir);
    return code;
}

static int take_step(run *r)
{
    clip_train_step s;
    clip_error err;
    clip_status status = clip_trainer_step(r->trainer, &s, &err);
    if (status < 0) {
        cli_fail("%s", err.message);
        report(r, status == CLIP_EDIVERGED ? "Diverged" : "Failed");
        return CLI_FAILED;
    }
    r->step = s.step;
    r->broken = s.broken;
    const train_step line = {.step = s.step,
                             .epoch = s.epoch,
                             .loss = s.loss,
                             .lr = s.lr,
                             .scale = (double)s.logit_scale,
                             .grad_norm = s.grad_norm,
                             .batch_time = s.seconds,
                             .data_time = s.waited,
                             .time = elapsed(r)};
    DO(train_folder_add_step(&r->f, &line, r->info.batch_size));
    say_step(r, &s);
    return CLI_DONE;
}

static bool save_due(const run *r)
{
    return epoch_ends(r) || r->step == r->info.steps || (r->f.save_every > 0 && r->step % r->f.save_every == 0) ||
           cli_interrupted();
}

static int steps(run *r)
{
    if (epoch_ends(r))
        DO(end_epoch(r));
    while (r->step < r->info.steps) {
        if (cli_interrupted()) {
            if (r->saved != r->step)
                DO(save(r));
            return CLI_INTERRUPTED;
        }
        DO(take_step(r));
        if (!save_due(r))
            continue;
        DO(save_epoch(r));
        DO(save(r));
        if (epoch_ends(r))
            DO(end_epoch(r));
    }
    return CLI_DONE;
}

/* ---- The end --------------------------------------------------------------------------------- */

static void sum(const run *r, double *seconds, double *waited)
{
    const train_history *h = &r->f.history;
    *seconds = *waited = 0;
    for (size_t i = 0; i < h->steps; i++) {
        *seconds += h->step[i].batch_time;
        *waited += h->step[i].data_time;
    }
}

static void print_people(const run *r)
{
    const train_history *h = &r->f.history;
    double seconds, waited;
    char time[24];
    sum(r, &seconds, &waited);
    printf("%lld steps in %s, of which %.1f%% waiting for data", (long long)r->step, cli_time(elapsed(r), time),
           seconds > 0 ? 100 * waited / seconds : 0);
    if (r->broken > 0)
        printf("; %lld broken samples skipped", (long long)r->broken);
    printf("\n");
    if (h->scores > 0) {
        const train_score *s = &h->score[h->scores - 1];
        printf("image to text R@1 %.2f%%, text to image R@1 %.2f%%, of %lld pictures\n", 100 * s->image_to_text.r1,
               100 * s->text_to_image.r1, (long long)s->samples);
    }
    printf("model:  ");
    cli_print_plain(stdout, r->f.checkpoint);
    printf("\nreport: ");
    cli_print_plain(stdout, r->f.report);
    printf("\nnext:   clip classify -m ");
    cli_print_plain(stdout, r->f.checkpoint);
    printf(" --labels 'a cat,a dog' PICTURE...\n");
}

static void print_json(const run *r)
{
    const train_history *h = &r->f.history;
    double seconds, waited;
    cli_json j = {.f = stdout};
    sum(r, &seconds, &waited);
    cli_json_open(&j, NULL, '{');
    cli_json_int(&j, "steps", r->step);
    cli_json_int(&j, "epochs", r->info.epochs);
    cli_json_number(&j, "seconds", elapsed(r));
    cli_json_number(&j, "waiting", seconds > 0 ? waited / seconds : 0);
    cli_json_int(&j, "broken", r->broken);
    cli_passed_json(&j, &r->info.passed);
    if (h->steps > 0)
        cli_json_number(&j, "loss", h->step[h->steps - 1].loss);
    if (h->scores > 0) {
        cli_json_number(&j, "image_to_text_R@1", h->score[h->scores - 1].image_to_text.r1);
        cli_json_number(&j, "text_to_image_R@1", h->score[h->scores - 1].text_to_image.r1);
    }
    cli_json_string(&j, "model", r->f.checkpoint);
    cli_json_string(&j, "report", r->f.report);
    cli_json_close(&j, '}');
    cli_json_line(&j);
}

/* Tell how to continue. Nothing is lost. */
static int say_stop(const run *r, int code)
{
    if (code == CLI_INTERRUPTED) {
        report(r, "Interrupted");
        cli_fail("interrupted; 'clip train --resume %s' continues after step %lld of %lld", r->f.path,
                 (long long)r->saved, (long long)r->info.steps);
    } else if (r->trainer && r->f.log) {
        cli_fail("%s is complete, from step %lld; 'clip train --resume %s' continues from it", r->f.checkpoint,
                 (long long)r->saved, r->f.path);
    }
    return code;
}

static int train_model(run *r)
{
    DO(r->o.resume ? go_on(r) : begin(r));
    const train_history *h = &r->f.history;
    r->first = r->step;
    r->before = h->steps ? h->step[h->steps - 1].time : 0;
    r->start = cli_now();
    say_begin(r);
    cli_catch_signals();
    int code = steps(r);
    cli_progress_end();
    if (code != CLI_DONE)
        return say_stop(r, code);
    (r->a->json ? print_json : print_people)(r);
    return CLI_DONE;
}

/* --pull is for --pretrained. */
static int fetch(const cli_args *a, const train_options *o)
{
    const char *pretrained = o->resume ? NULL : clip_train_options_get(o->settings, "pretrained");
    if (a->pull && !pretrained)
        return cli_usage(a, "--pull: there is no --pretrained to fetch");
    return pretrained ? cli_fetch_if_asked(a, pretrained) : CLI_DONE;
}

static int run_train(cli_args *a)
{
    run r = {.a = a};
    bool stop;
    int code = train_options_read(a, &r.o, &stop);
    if (code == CLI_DONE && !stop)
        code = fetch(a, &r.o);
    if (code == CLI_DONE && !stop)
        code = train_model(&r);
    train_validation_free(&r.validation);
    clip_trainer_free(r.trainer);
    train_folder_close(&r.f);
    train_options_free(&r.o);
    return code;
}

const cli_command cli_train = {
    .name = "train",
    .operands = "--train-data SPEC --output DIR [OPTIONS]",
    .summary = "a model of your own, from image-text pairs",
    .help =
        "Trains both encoders on pictures with captions (see 'clip eval --help' for what SPEC can be), from\n"
        "scratch (--model) or from a checkpoint (--pretrained). Options have OpenCLIP's names.\n"
        "\n"
        "DIR/checkpoint is the last saved model, complete at any moment, an OpenCLIP checkpoint that every\n"
        "command takes as -m. DIR/metrics.jsonl has a line a step and a line a validation; DIR/report.html\n"
        "is a page of them.\n"
        "\n"
        "Ctrl-C finishes the step and saves (exit code 130); a second one ends at once. --resume continues\n"
        "after that or after a crash, exactly as if there had been no interruption. A broken sample is\n"
        "reported, counted and skipped.",
    .examples = "clip train --train-data 'pairs-{000..009}.tar' --model small.json --tokenizer-vocab 4096 \\\n"
                "    --batch-size 256 --epochs 30 --val-data val.tsv --output runs/first\n"
                "clip train --resume runs/first\n"
                "clip train --pretrained ViT-B-32 --lock-image --lr 1e-4 --train-data birds/ --output runs/birds",
    .encodes_nothing = true,
    .run = run_train,
};
