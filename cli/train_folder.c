/* The folder of a run:
 *
 *     OUT/run.json        how the run was started; with this file a folder becomes a run
 *     OUT/checkpoint/     the last saved model, always complete, with all that resuming needs
 *     OUT/metrics.jsonl   a line a step, a line a validation; flushed before each checkpoint
 *     OUT/report.html     the page of the run
 *     OUT/epoch_N/        checkpoints that are kept
 *
 * After a kill metrics.jsonl reaches to the checkpoint's step or beyond it. What is beyond is cut
 * off, because the resumed run writes the same lines again. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "train.h"

enum { MOST_RUN_JSON = 1 << 22 };

static int fail_errno(const char *path) { return cli_fail("%s: %s", path, strerror(errno)); }

/* ---- Claiming the folder --------------------------------------------------------------------- */

static int names(train_folder *f, const char *path)
{
    *f = (train_folder){.path = strdup(path)};
    if (!f->path)
        return cli_no_memory();
    for (size_t n = strlen(f->path); n > 1 && f->path[n - 1] == '/';)
        f->path[--n] = 0;
    if (asprintf(&f->run, "%s/run.json", f->path) < 0 || asprintf(&f->metrics, "%s/metrics.jsonl", f->path) < 0 ||
        asprintf(&f->report, "%s/report.html", f->path) < 0 || asprintf(&f->checkpoint, "%s/checkpoint", f->path) < 0)
        return cli_no_memory();
    return CLI_DONE;
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0; /* also true for a broken symbolic link */
}

/* Make the folder, and the folders above it that do not exist. */
static int make(train_folder *f)
{
    for (char *at = f->path + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        int failed = mkdir(f->path, 0777) < 0 && errno != EEXIST ? fail_errno(f->path) : CLI_DONE;
        *at = '/';
        DO(failed);
    }
    f->made = mkdir(f->path, 0777) == 0;
    return f->made || errno == EEXIST ? CLI_DONE : fail_errno(f->path);
}

/* Lock the folder, because two programs in it would overwrite each other's files. On a file system
 * without locks, people have to take care. */
static int lock(train_folder *f)
{
    f->lock = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->lock < 0)
        return fail_errno(f->path);
    f->locked = true;
    if (flock(f->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return cli_fail("%s: another 'clip train' is using it", f->path);
    return CLI_DONE;
}

/* Remove unfinished files of a killed run. */
static void sweep(const train_folder *f)
{
    static const char *const begun[] = {"run.json.", "report.html."};
    DIR *d = opendir(f->path);
    for (const struct dirent *e; d && (e = readdir(d));)
        for (int i = 0; i < 2; i++) {
            const size_t n = strlen(begun[i]);
            if (strncmp(e->d_name, begun[i], n) == 0 && strlen(e->d_name) == n + 6)
                unlinkat(dirfd(d), e->d_name, 0);
        }
    if (d)
        closedir(d);
}

int train_folder_new(const char *path, train_folder *f)
{
    DO(names(f, path));
    DO(make(f));
    DO(lock(f));
    sweep(f);
    if (is_there(f->run))
        return cli_fail("%s: holds a run already; 'clip train --resume %s' continues it", f->path, f->path);
    const char *const ours[] = {f->checkpoint, f->metrics, f->report};
    for (int i = 0; i < 3; i++)
        if (is_there(ours[i]))
            return cli_fail("%s: exists, and a run would replace it", ours[i]);
    return CLI_DONE;
}

void train_folder_close(train_folder *f)
{
    if (f->log)
        fclose(f->log);
    if (f->made && !is_there(f->run))
        rmdir(f->path); /* nothing was written in it */
    if (f->locked)
        close(f->lock);
    free(f->path);
    free(f->run);
    free(f->metrics);
    free(f->report);
    free(f->checkpoint);
    free(f->val_data);
    free(f->settings);
    free(f->history.step);
    free(f->history.score);
    *f = (train_folder){0};
}

/* ---- run.json -------------------------------------------------------------------------------- */

/* Make each path of "a::b" absolute, because the run may be resumed from another folder. */
static int absolute(const char *spec, char **out)
{
    char here[PATH_MAX];
    size_t size = 0;
    FILE *f = getcwd(here, sizeof here) ? open_memstream(out, &size) : NULL;
    if (!f)
        return fail_errno(spec);
    for (const char *p = spec, *next; p; p = next) {
        const char *end = strstr(p, "::");
        next = end ? end + 2 : NULL;
        fprintf(f, "%s%s%.*s", *p == '/' ? "" : here, *p == '/' ? "" : "/", next ? (int)(next - p) : (int)strlen(p), p);
    }
    return fclose(f) == 0 ? CLI_DONE : cli_no_memory();
}

static int write_run(const train_folder *f)
{
    cli_out o;
    DO(cli_out_open_own(&o, f->run));
    cli_json j = {.f = o.f};
    cli_json_open(&j, NULL, '{');
    cli_json_string(&j, "clip", clip_version());
    cli_json_string(&j, "val-data", f->val_data);
    cli_json_int(&j, "save-every", f->save_every);
    cli_json_int(&j, "save-frequency", f->save_frequency);
    cli_json_raw(&j, "settings", f->settings);
    cli_json_close(&j, '}');
    cli_json_line(&j);
    return cli_out_close(&o);
}

int train_folder_begin(train_folder *f, const train_options *o, const char *settings)
{
    f->save_every = o->save_every;
    f->save_frequency = o->save_frequency;
    if (o->val_data)
        DO(absolute(o->val_data, &f->val_data));
    if (!(f->settings = strdup(settings)))
        return cli_no_memory();
    DO(write_run(f));
    return cli_own_open(f->metrics, O_WRONLY | O_CREAT | O_TRUNC, "wb", &f->log);
}

static int read_text(const char *path, char **out)
{
    FILE *f;
    DO(cli_own_open(path, O_RDONLY, "rb", &f));
    if (!f)
        return cli_fail("%s: %s", path, strerror(ENOENT));
    char *text = calloc(1, MOST_RUN_JSON);
    int code = text ? CLI_DONE : cli_no_memory();
    if (text && fread(text, 1, MOST_RUN_JSON - 1, f) == MOST_RUN_JSON - 1)
        code = cli_fail("%s: too long", path);
    if (code == CLI_DONE && ferror(f))
        code = fail_errno(path);
    fclose(f);
    *out = text;
    return code;
}

static int small(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble <= 1e9 ? (int)v->valuedouble : 0;
}

static int understand(train_folder *f, const cJSON *run)
{
    const cJSON *settings = cJSON_GetObjectItemCaseSensitive(run, "settings"),
                *data = cJSON_GetObjectItemCaseSensitive(run, "val-data");
    if (!cJSON_IsObject(settings))
        return cli_fail("%s: not the record of a run", f->run);
    f->save_every = small(run, "save-every");
    f->save_frequency = small(run, "save-frequency");
    f->val_data = cJSON_IsString(data) ? strdup(data->valuestring) : NULL;
    f->settings = cJSON_Print(settings);
    return f->settings && (f->val_data || !cJSON_IsString(data)) ? CLI_DONE : cli_no_memory();
}

int train_folder_find(const char *path, train_folder *f)
{
    char *text = NULL;
    DO(names(f, path));
    if (!is_there(f->run))
        return cli_fail("%s: not the folder of a run (run.json is missing)", f->path);
    DO(lock(f));
    sweep(f);
    int code = read_text(f->run, &text);
    if (code == CLI_DONE) {
        cJSON *run = cJSON_Parse(text);
        code = understand(f, run);
        cJSON_Delete(run);
    }
    free(text);
    return code;
}

/* ---- Settings -------------------------------------------------------------------------------- */

/* As text for clip_train_options_set(). NULL: out of memory. */
static char *as_text(const cJSON *v) { return cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v); }

int train_folder_set(const train_folder *f, clip_train_options *o)
{
    cJSON *tree = cJSON_Parse(f->settings);
    int code = tree ? CLI_DONE : cli_no_memory();
    for (const cJSON *v = tree ? tree->child : NULL; v && code == CLI_DONE; v = v->next) {
        clip_error err;
        char *text = as_text(v);
        if (!text)
            code = cli_no_memory();
        else if (strcmp(v->string, "threads") != 0 && strcmp(v->string, "workers") != 0 &&
                 clip_train_options_set(o, v->string, text, &err) < 0)
            code = cli_fail("%s: %s", f->run, err.message);
        free(text);
    }
    cJSON_Delete(tree);
    return code;
}

int train_setting(const char *settings, const char *name, char **out)
{
    const clip_train_option *o;
    cJSON *tree = cJSON_Parse(settings);
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(tree, name);
    bool any = v;
    *out = v ? as_text(v) : NULL;
    for (int i = 0; !v && (o = clip_train_option_at(i)); i++)
        if (strcmp(o->name, name) == 0 && o->standard) {
            any = true;
            *out = strdup(o->standard);
        }
    cJSON_Delete(tree);
    return tree && (*out || !any) ? CLI_DONE : cli_no_memory();
}

/* A checkpoint is written before the first step. Without one nothing can be lost. */
bool train_folder_has_checkpoint(const train_folder *f)
{
    struct stat st;
    return is_there(f->checkpoint) || (stat(f->metrics, &st) == 0 && st.st_size > 0);
}

/* ---- Writing metrics.jsonl ------------------------------------------------------------------- */

static int room(void **list, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return CLI_DONE;
    const size_t more = *capacity ? 2 * *capacity : 256;
    void *p = realloc(*list, more * size);
    if (!p)
        return cli_no_memory();
    *list = p;
    *capacity = more;
    return CLI_DONE;
}

static int keep_step(train_history *h, const train_step *s)
{
    DO(room((void **)&h->step, h->steps, &h->steps_capacity, sizeof *s));
    h->step[h->steps++] = *s;
    return CLI_DONE;
}

static int keep_score(train_history *h, const train_score *s)
{
    DO(room((void **)&h->score, h->scores, &h->scores_capacity, sizeof *s));
    h->score[h->scores++] = *s;
    return CLI_DONE;
}

/* Write each line at once, so that watchers see it and disk errors are found. */
static int line_end(train_folder *f, cli_json *j)
{
    cli_json_close(j, '}');
    cli_json_line(j);
    errno = 0;
    return fflush(f->log) != 0 || ferror(f->log) ? fail_errno(f->metrics) : CLI_DONE;
}

int train_folder_add_step(train_folder *f, const train_step *s, int batch_size)
{
    cli_json j = {.f = f->log};
    DO(keep_step(&f->history, s));
    cli_json_open(&j, NULL, '{');
    cli_json_int(&j, "step", s->step);
    cli_json_int(&j, "epoch", s->epoch);
    cli_json_number(&j, "train/loss", s->loss);
    cli_json_number(&j, "train/lr", s->lr);
    cli_json_number(&j, "train/scale", s->scale);
    cli_json_number(&j, "train/grad_norm", s->grad_norm);
    cli_json_number(&j, "train/samples_per_second", s->batch_time > 0 ? batch_size / s->batch_time : 0);
    cli_json_number(&j, "train/batch_time", s->batch_time);
    cli_json_number(&j, "train/data_time", s->data_time);
    cli_json_number(&j, "time", s->time);
    return line_end(f, &j);
}

/* OpenCLIP's names (get_clip_metrics). */
static const struct {
    const char *name;
    size_t of; /* offset in clip_rank_metrics */
} ranks[] = {
    {"mean_rank", offsetof(clip_rank_metrics, mean_rank)}, {"median_rank", offsetof(clip_rank_metrics, median_rank)},
    {"R@1", offsetof(clip_rank_metrics, r1)},              {"R@5", offsetof(clip_rank_metrics, r5)},
    {"R@10", offsetof(clip_rank_metrics, r10)},
};
enum { RANKS = sizeof ranks / sizeof *ranks };

static void rank_name(char out[64], const char *direction, int i)
{
    snprintf(out, 64, "val/%s_%s", direction, ranks[i].name);
}

static void put_ranks(cli_json *j, const char *direction, const clip_rank_metrics *m)
{
    char name[64];
    for (int i = 0; i < RANKS; i++) {
        rank_name(name, direction, i);
        cli_json_number(j, name, *(const double *)((const char *)m + ranks[i].of));
    }
}

int train_folder_add_score(train_folder *f, const train_score *s)
{
    cli_json j = {.f = f->log};
    DO(keep_score(&f->history, s));
    cli_json_open(&j, NULL, '{');
    cli_json_int(&j, "step", s->step);
    cli_json_int(&j, "epoch", s->epoch);
    put_ranks(&j, "image_to_text", &s->image_to_text);
    put_ranks(&j, "text_to_image", &s->text_to_image);
    cli_json_number(&j, "val/clip_val_loss", s->loss);
    cli_json_int(&j, "val/num_samples", s->samples);
    cli_json_number(&j, "time", s->time);
    return line_end(f, &j);
}

int train_folder_sync(train_folder *f)
{
    return fdatasync(fileno(f->log)) < 0 && errno != EINVAL && errno != ENOSYS ? fail_errno(f->metrics) : CLI_DONE;
}

/* ---- Reading metrics.jsonl ------------------------------------------------------------------- */

static double number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(v) ? v->valuedouble : (double)NAN;
}

static int64_t whole(const cJSON *o, const char *key)
{
    const double v = number(o, key);
    return v >= 0 && v < 1e15 ? (int64_t)v : 0;
}

static void get_ranks(const cJSON *o, const char *direction, clip_rank_metrics *m)
{
    char name[64];
    for (int i = 0; i < RANKS; i++) {
        rank_name(name, direction, i);
        *(double *)((char *)m + ranks[i].of) = number(o, name);
    }
}

static int recall(train_history *h, const cJSON *o)
{
    if (cJSON_GetObjectItemCaseSensitive(o, "train/loss")) {
        const train_step s = {
            .step = whole(o, "step"), .epoch = whole(o, "epoch"),
            .loss = number(o, "train/loss"), .lr = number(o, "train/lr"), .scale = number(o, "train/scale"),
            .grad_norm = number(o, "train/grad_norm"), .batch_time = number(o, "train/batch_time"),
            .data_time = number(o, "train/data_time"), .time = number(o, "time"),
        };
        return keep_step(h, &s);
    }
    train_score s = {.step = whole(o, "step"), .epoch = whole(o, "epoch"), .samples = whole(o, "val/num_samples"),
                     .loss = number(o, "val/clip_val_loss"), .time = number(o, "time")};
    get_ranks(o, "image_to_text", &s.image_to_text);
    get_ranks(o, "text_to_image", &s.text_to_image);
    return keep_score(h, &s);
}

/* Read all lines up to `step`. *end is where they end. An incomplete line of a killed run does not
 * count. */
static int recall_all(train_folder *f, FILE *in, int64_t step, off_t *end)
{
    char *line = NULL;
    size_t capacity = 0;
    int code = CLI_DONE;
    *end = 0;
    for (ssize_t n; code == CLI_DONE && (n = getline(&line, &capacity, in)) > 0 && line[n - 1] == '\n'; *end += n) {
        cJSON *o = cJSON_Parse(line);
        const double at = number(o, "step");
        const bool kept = at <= (double)step;
        if (kept)
            code = recall(&f->history, o);
        cJSON_Delete(o);
        if (!kept)
            break;
    }
    free(line);
    return code;
}

int train_folder_continue(train_folder *f, int64_t step)
{
    off_t end = 0;
    FILE *in;
    DO(cli_own_open(f->metrics, O_RDONLY, "rb", &in));
    if (in) {
        int code = recall_all(f, in, step, &end);
        fclose(in);
        DO(code);
    }
    const train_history *h = &f->history;
    if ((h->steps ? h->step[h->steps - 1].step : 0) != step)
        cli_warn("%s: ends before step %lld of the checkpoint", f->metrics, (long long)step);
    DO(cli_own_open(f->metrics, O_WRONLY | O_CREAT | O_APPEND, "ab", &f->log));
    return ftruncate(fileno(f->log), end) < 0 ? fail_errno(f->metrics) : CLI_DONE;
}
