/* clip index: make and update an index of pictures, and show its contents. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

enum { INDEX = CLI_LONG, CAPTIONS, FULL_DECODE, EXCLUDE, COMMIT_EVERY, STATS, REMOVE, VERIFY, REPAIR, EXPORT, IMPORT };

static const cli_option options[] = {
    {INDEX, "index", "DIR", "where the index is (default: $CLIP_INDEX, else ~/.local/share/clip/index)"},
    {CAPTIONS, "captions", NULL, "also index the lines of NAME.txt beside the pictures, so that pictures find texts"},
    {EXCLUDE, "exclude", "PATTERN",
     "skip files and folders whose name matches PATTERN ('*.png', 'drafts'); with a slash in\n"
     "it, it matches paths below the FOLDER; may be given several times"},
    {FULL_DECODE, "full-decode", NULL,
     "decode every JPEG in full. Without it a large one is reduced while it is decoded, to no less\n"
     "than twice what the model looks at; cosines with the full one are above 0.9999"},
    {COMMIT_EVERY, "commit-every", "S", "seconds of work that a power cut or kill may lose (default: 5)"},
    {STATS, "stats", NULL, "print what is in the index, and change nothing"},
    {REMOVE, "remove", NULL,
     "remove the operands from the index, and no longer refresh them; what lies below another\n"
     "folder that is refreshed comes back, unless an --exclude of that folder matches it"},
    {VERIFY, "verify", NULL, "read the whole index and compare it with its checksums"},
    {REPAIR, "repair", NULL,
     "the same, and remove items whose vectors are damaged: 'clip index' embeds them again"},
    {EXPORT, "export", "DIR", "write all embeddings to DIR in clip-retrieval's layout: .npy and metadata"},
    {IMPORT, "import", "DIR", "read embeddings in that layout"},
    {0},
};

typedef struct job {
    const char *path; /* of the index */
    const char *dir;  /* of --export and --import */
    clip_update_options opt;
    cli_list exclude;
    int mode;         /* STATS, REMOVE, VERIFY, REPAIR, EXPORT, IMPORT; 0: update */
    cli_session session;
    clip_index *index;
} job;

/* ---- Formatting numbers ---------------------------------------------------------------------- */

/* 1204 as "1,204". */
static const char *grouped(long long n, char out[32])
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%lld", n);
    char *p = out;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            *p++ = ',';
        *p++ = digits[i];
    }
    *p = 0;
    return out;
}

static void print_size(double bytes)
{
    static const char *const unit[] = {"B", "KB", "MB", "GB", "TB"};
    int u = 0;
    for (; bytes >= 1000 && u < 4; u++)
        bytes /= 1000;
    printf(u ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
}

/* ---- Progress -------------------------------------------------------------------------------- */

static bool progress(void *user, const clip_update_report *r)
{
    char line[160], seen[32], done[32], left[24];
    const double rate = r->seconds > 0 ? (double)r->embedded / r->seconds : 0;
    (void)user;
    if (r->seconds > 1 && r->listed > 0) {
        snprintf(line, sizeof line, "looking: %s files", grouped(r->listed, seen));
        cli_progress_show(line);
    } else if (r->seconds > 1) {
        int n =
            snprintf(line, sizeof line, "%s pictures, %s embedded", grouped(r->seen, seen), grouped(r->embedded, done));
        if (r->embedded > 0)
            n += snprintf(line + n, sizeof line - (size_t)n, rate < 10 ? ", %.1f/s" : ", %.0f/s", rate);
        if (r->embedded > 0 && r->todo > 0)
            snprintf(line + n, sizeof line - (size_t)n, ", %s left", cli_time((double)r->todo / rate, left));
        cli_progress_show(line);
    }
    return !cli_interrupted();
}

static void warn(void *user, const char *message)
{
    (void)user;
    cli_warn("%s", message);
}

/* ---- Reports --------------------------------------------------------------------------------- */

static void report_json(const job *j, const clip_update_report *r)
{
    clip_index_info info;
    clip_index_get_info(j->index, &info);
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "index", j->path);
    cli_json_int(&o, "pictures", info.pictures);
    cli_json_int(&o, "texts", info.texts);
    cli_json_int(&o, "seen", r->seen);
    cli_json_int(&o, "embedded", r->embedded);
    cli_json_int(&o, "embedded_texts", r->texts);
    cli_json_int(&o, "moved", r->moved);
    cli_json_int(&o, "copied", r->copied);
    cli_json_int(&o, "removed", r->removed);
    cli_json_int(&o, "kept", r->kept);
    cli_json_int(&o, "unreadable", r->broken);
    cli_passed_json(&o, &r->passed);
    cli_json_number(&o, "seconds", r->seconds);
    cli_json_number(&o, "waited", r->waited);
    cli_json_close(&o, '}');
    cli_json_line(&o);
}

/* ", 13 new", or nothing if the number is zero. */
static void part(long long n, const char *what, bool *first)
{
    char number[32];
    if (n == 0)
        return;
    printf("%s%s %s", *first ? ": " : ", ", grouped(n, number), what);
    *first = false;
}

static void report_words(const clip_update_report *r)
{
    char number[32], passed[1024];
    bool first = true;
    printf("%s picture%s", grouped(r->seen, number), r->seen == 1 ? "" : "s");
    part(r->embedded, "new", &first);
    part(r->moved, "moved", &first);
    part(r->copied, "copied", &first);
    part(r->removed, "gone", &first);
    part(r->kept, "gone and kept", &first);
    part(r->broken, "unreadable", &first);
    part(r->texts, r->texts == 1 ? "new caption" : "new captions", &first);
    if (first)
        printf(": nothing new");
    if (r->embedded > 0 && r->seconds > 0)
        printf("; %.1f pictures/s", (double)r->embedded / r->seconds);
    if (r->passed.n > 0)
        printf("; %s", cli_passed_text(&r->passed, passed));
    printf("\n");
}

/* ---- Modes ----------------------------------------------------------------------------------- */

static bool ends(const char *s, const char *end)
{
    const size_t n = strlen(s), e = strlen(end);
    return n >= e && strcmp(s + n - e, end) == 0;
}

/* Whether one of these operands may have captions. */
static bool brings_captions(char *const *paths, int n)
{
    static const char *const endings[] = {".tar", ".tar.gz", ".tgz", ".tsv", ".csv"};
    for (int i = 0; i < n; i++)
        for (size_t e = 0; e < sizeof endings / sizeof *endings; e++)
            if (ends(paths[i], endings[e]))
                return true;
    return false;
}

/* Read from the index, before any model is loaded, which model it belongs to and whether its
 * sources have captions. Opening it for writing repairs a damaged index. If folders are given, the
 * index need not exist yet. Other errors are reported when it is opened with the model. */
static int ask_index(cli_args *a, const job *j, bool *captions)
{
    clip_index_options o = clip_index_options_default();
    clip_index *index;
    clip_index_info info;
    clip_error err;
    char **source;
    size_t n;
    o.write = true;
    o.warn = warn;
    if (a->operands == 0)
        DO(cli_index_open(a, j->path, NULL, CLI_INDEX_WRITE, &index));
    else if (clip_index_open(j->path, &o, &index, NULL) < 0)
        return CLI_DONE;
    clip_index_get_info(index, &info);
    cli_index_model(a, &info);
    clip_status s = clip_index_sources(index, &source, &n, captions, &err);
    clip_index_close(index, NULL);
    if (s < 0)
        return cli_fail("%s", err.message);
    clip_list_free(source, n);
    return CLI_DONE;
}

static int towers_wanted(cli_args *a, const job *j, int *towers)
{
    bool captions = false;
    DO(ask_index(a, j, &captions));
    if (a->operands > 0)
        captions = j->opt.captions || brings_captions(a->operand, a->operands);
    *towers = CLIP_TOWER_IMAGE | (captions ? CLIP_TOWER_TEXT : 0);
    return CLI_DONE;
}

static int update(cli_args *a, job *j)
{
    clip_update_report report;
    clip_error err;
    int towers = CLIP_TOWER_IMAGE;
    if (a->operands == 0 && (j->opt.captions || j->exclude.n > 0 || a->language))
        return cli_usage(a, "--captions, --exclude and --language go with folders, and none is named");
    DO(towers_wanted(a, j, &towers));
    DO(cli_open(a, towers, 0, &j->session));
    DO(cli_index_open(a, j->path, &j->session, a->operands ? CLI_INDEX_MAKE : CLI_INDEX_WRITE, &j->index));
    cli_catch_signals();
    const clip_image_options image = cli_image_options(a, clip_index_image_options(j->index, j->session.model));
    j->opt.image = &image;
    j->opt.exclude = (const char *const *)j->exclude.item;
    j->opt.n_exclude = (int)j->exclude.n;
    j->opt.progress = progress;
    j->opt.warn = warn;
    clip_status s = clip_index_update(j->index, j->session.ctx, (const char *const *)a->operand, a->operands, &j->opt,
                                      &report, &err);
    cli_progress_end();
    if (report.kept > 0)
        cli_warn("where pictures are kept, a disk or share may be missing; if they really are gone, "
                 "'clip index --remove FOLDER' forgets them");
    if (a->json)
        report_json(j, &report);
    else if (s == CLIP_OK && !cli_interrupted())
        report_words(&report);
    if (s < 0 && report.embedded > 0)
        return cli_fail("%s. The index has everything up to here; the same command continues.",
                        err.message);
    if (s < 0)
        return cli_fail("%s", err.message);
    if (cli_interrupted()) {
        cli_fail("interrupted with %lld pictures embedded; the same command continues from here",
                 (long long)report.embedded);
        return CLI_INTERRUPTED;
    }
    return report.broken > 0 ? CLI_FAILED : CLI_DONE;
}

static int stats_json(const clip_index_info *i, const char *background, char *const *source, size_t n)
{
    cli_json o = {.f = stdout};
    cli_json_open(&o, NULL, '{');
    cli_json_string(&o, "index", i->path);
    cli_json_string(&o, "model", i->model_name);
    cli_json_string(&o, "model_id", i->model_id);
    cli_json_string(&o, "model_path", i->model_path);
    if (i->image_size > 0)
        cli_json_int(&o, "image_size", i->image_size);
    cli_json_int(&o, "embed_dim", i->dim);
    cli_json_int(&o, "pictures", i->pictures);
    cli_json_int(&o, "texts", i->texts);
    cli_json_int(&o, "rows", i->rows);
    cli_json_int(&o, "bytes", i->bytes);
    cli_json_int(&o, "updated", i->updated);
    cli_json_string(&o, "background", background);
    cli_json_open(&o, "sources", '[');
    for (size_t k = 0; k < n; k++)
        cli_json_string(&o, NULL, source[k]);
    cli_json_close(&o, ']');
    cli_json_close(&o, '}');
    cli_json_line(&o);
    return CLI_DONE;
}

static int stats_words(const clip_index_info *i, const char *background, char *const *source, size_t n)
{
    char number[32], when[64] = "never", id[9];
    const time_t t = (time_t)i->updated;
    struct tm local;
    printf("index     ");
    cli_print_plain(stdout, i->path);
    printf("\nmodel     ");
    cli_print_plain(stdout, *i->model_name ? i->model_name : "unknown");
    snprintf(id, sizeof id, "%.8s", i->model_id);
    printf("  (%d dimensions%s", i->dim, *id ? ", weights " : "");
    cli_print_plain(stdout, id);
    if (i->image_size > 0)
        printf(", pictures of %d x %d", i->image_size, i->image_size);
    printf(")\n");
    printf("pictures  %s\n", grouped(i->pictures, number));
    printf("captions  %s\n", grouped(i->texts, number));
    printf("size      ");
    print_size((double)i->bytes);
    if (i->updated && localtime_r(&t, &local))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    printf("\nupdated   %s\nalpha     %s%s\n", when, *background == '#' ? "laid on " : "",
           *background == '#' ? background : "dropped");
    for (size_t k = 0; k < n; k++) {
        printf("%-10s", k ? "" : "sources");
        cli_print_plain(stdout, source[k]);
        printf("\n");
    }
    return CLI_DONE;
}

static int stats(cli_args *a, job *j)
{
    clip_index_info info;
    clip_error err;
    char **source, background[16];
    size_t n;
    DO(cli_index_open(a, j->path, NULL, CLI_INDEX_READ, &j->index));
    clip_index_get_info(j->index, &info);
    if (clip_index_sources(j->index, &source, &n, NULL, &err) < 0)
        return cli_fail("%s", err.message);
    const int code = (a->json ? stats_json : stats_words)(
        &info, cli_background_words(clip_index_image_options(j->index, NULL).background, background), source, n);
    clip_list_free(source, n);
    return code;
}

static int forget(cli_args *a, job *j)
{
    clip_error err;
    int64_t removed;
    char number[32];
    if (a->operands == 0)
        return cli_usage(a, "--remove: folders or pictures are missing");
    DO(cli_index_open(a, j->path, NULL, CLI_INDEX_WRITE, &j->index));
    if (clip_index_forget(j->index, (const char *const *)a->operand, a->operands, &removed, &err) < 0)
        return cli_fail("%s", err.message);
    if (a->json)
        printf("{\"removed\": %lld}\n", (long long)removed);
    else
        printf("%s picture%s removed from the index\n", grouped(removed, number), removed == 1 ? "" : "s");
    return CLI_DONE;
}

/* Read everything once more, to find what could not be repaired. */
static int check_repaired(job *j, int64_t faults)
{
    clip_error err;
    int64_t left;
    if (clip_index_verify(j->index, NULL, NULL, &left, &err) < 0)
        return cli_fail("%s", err.message);
    if (left > 0)
        return cli_fail("%s: damaged: %lld, and %lld of them cannot be repaired: delete the index and make it again",
                        j->path, (long long)faults, (long long)left);
    cli_warn(
        "%s: damaged: %lld; codes are repaired, items with wrong vectors are removed: 'clip index' embeds them again",
        j->path, (long long)faults);
    return CLI_DONE;
}

static int verify(cli_args *a, job *j)
{
    clip_error err;
    int64_t faults;
    clip_index_info info;
    char number[32];
    DO(cli_index_open(a, j->path, NULL, j->mode == REPAIR ? CLI_INDEX_WRITE : CLI_INDEX_READ, &j->index));
    if (clip_index_verify(j->index, warn, NULL, &faults, &err) < 0 ||
        (j->mode == REPAIR && clip_index_commit(j->index, &err) < 0))
        return cli_fail("%s", err.message);
    clip_index_get_info(j->index, &info);
    if (a->json)
        printf("{\"items\": %lld, \"faults\": %lld}\n", (long long)info.items, (long long)faults);
    else if (faults == 0)
        printf("%s items: all are intact\n", grouped(info.items, number));
    if (faults > 0 && j->mode == REPAIR)
        return check_repaired(j, faults);
    if (faults > 0)
        return cli_fail("%s: damaged: %lld; 'clip index --repair' removes them, 'clip index' then embeds them again",
                        j->path, (long long)faults);
    return CLI_DONE;
}

static int change_index(cli_args *a, job *j)
{
    j->path = cli_index_path(a, j->path);
    if (!j->path)
        return CLI_FAILED;
    if (j->mode && j->mode != REMOVE && a->operands > 0)
        return cli_usage(a, "--stats, --verify, --repair, --export and --import take no folders");
    if (j->mode && j->mode != IMPORT && a->language)
        return cli_usage(a, "--language: there is no text to encode");
    switch (j->mode) {
    case STATS: return stats(a, j);
    case REMOVE: return forget(a, j);
    case VERIFY:
    case REPAIR: return verify(a, j);
    case EXPORT: return cli_index_export(a, j->path, j->dir);
    case IMPORT: return cli_index_import(a, j->path, j->dir);
    default: return update(a, j);
    }
}

static int set_mode(cli_args *a, job *j, int mode)
{
    if (j->mode && j->mode != mode)
        return cli_usage(a, "--%s: give only one of --stats, --remove, --verify, --repair, --export and --import",
                         a->name);
    j->mode = mode;
    j->dir = a->value;
    return CLI_DONE;
}

/* "drafts/" means "drafts". */
static int add_pattern(const cli_args *a, job *j)
{
    DO(cli_list_add(&j->exclude, a->value));
    char *p = j->exclude.item[j->exclude.n - 1];
    for (size_t n = strlen(p); n > 1 && p[n - 1] == '/';)
        p[--n] = 0;
    return CLI_DONE;
}

static int parse(cli_args *a, job *j)
{
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case INDEX: j->path = a->value; break;
        case CAPTIONS: j->opt.captions = true; break;
        case FULL_DECODE: j->opt.full_decode = true; break;
        case COMMIT_EVERY: DO(cli_decimal(a, 0, 1e6, &j->opt.commit_every)); break;
        case EXCLUDE: DO(add_pattern(a, j)); break;
        case STATS:
        case REMOVE:
        case VERIFY:
        case REPAIR:
        case EXPORT:
        case IMPORT: DO(set_mode(a, j, id)); break;
        default: return a->code;
        }
    return change_index(a, j);
}

static int run(cli_args *a)
{
    job j = {.opt = clip_update_options_default()};
    clip_error err;
    int code = parse(a, &j);
    if (code == CLI_FAILED)
        clip_index_discard(j.index);
    else if (clip_index_close(j.index, &err) < 0 && code == CLI_DONE)
        code = cli_fail("%s", err.message);
    cli_close(&j.session);
    cli_list_free(&j.exclude);
    return code;
}

const cli_command cli_index = {
    .name = "index",
    .operands = "[OPTIONS] [FOLDER|PICTURE|PAIRS]...",
    .summary = "pictures to search: an index of folders, made or refreshed",
    .help =
        "Embeds every picture below the folders into an index that 'clip search' reads. Run again, it\n"
        "embeds only what is new or changed. Moved files are recognised by their bytes, deleted files leave\n"
        "the index. Without operands it refreshes everything that the index was ever given. After an\n"
        "interruption, or even a kill, the next run continues.\n"
        "\n"
        "PAIRS are tables (.tsv, .csv) and WebDataset tars as 'clip train' reads them; their captions are\n"
        "indexed as well. A file's contents tell whether it is a picture, whatever its name. Other files\n"
        "and hidden ones are passed over and counted. Symbolic links are followed. Pictures and folders\n"
        "that cannot be read are reported, counted and skipped; the exit code is then 1. While an index is\n"
        "written it can be searched.\n"
        "\n"
        "Items of a folder stay while the folder cannot be read, or is empty: a disk may be missing.\n"
        "\n"
        "An index belongs to the model that made it, and remembers it. The model that ships with clip knows\n"
        "emoji and clip art: for photographs, name a model that knows them when the index is made.",
    .examples = "clip index -m ViT-B-32 ~/Pictures\n"
                "clip index\n"
                "clip index --captions --exclude '*.png' --index holidays.index holidays/\n"
                "clip index 'pairs-{000..009}.tar'\n"
                "clip index --stats\n"
                "clip index --remove ~/Pictures/old",
    .options = options,
    .reads_pictures = true,
    .reads_texts = true,
    .run = run,
};
