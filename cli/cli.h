/* cli.h: what the files of the command `clip` share.
 *
 * A command is one file with a cli_command in it, and one row in the table of main.c. The row says everything that --help
 * prints and getopt_long needs; its run() reads the options, opens a session and does the work:
 *
 *     static int run(cli_args *a)
 *     {
 *         cli_session s;
 *         for (int id; (id = cli_next(a)) != 0;)
 *             switch (id) {
 *             case 'k': DO(cli_number(a, 1, 100, &k)); break;
 *             default: return a->code;
 *             }
 *         DO(cli_open(a, CLIP_TOWER_BOTH, &s));
 *         ...
 *     }
 *
 * Functions that return int give 0, or an exit code after having told the person on stderr: DO() passes it on. Results go
 * to stdout, everything else to stderr. */
#ifndef CLI_H
#define CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "clip.h"

enum { CLI_PATH = 4096 + 64 }; /* bytes of a default path */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

#define CLI_MOST_TEXT 65536 /* bytes of a label, of a template, and of a template that a label has been put into */
#define CLI_TEMPLATE "{}" /* what labels are put into if --templates says nothing: they are read as they were typed */

/* Only where nothing is owned; else `goto done`. */
#define DO(expr)                 \
    do {                         \
        int do_code = (expr);    \
        if (do_code != CLI_DONE) \
            return do_code;      \
    } while (0)

#define CLI_PRINTF(at, first) __attribute__((format(printf, at, first)))

/* ---- Commands and their arguments (main.c, args.c) ------------------------------------------------------- */

typedef struct cli_args cli_args;

/* One option: a row of the help and of getopt_long's tables. */
typedef struct cli_option {
    int id;            /* the letter of its short form, a number from CLI_LONG on, or CLI_HEADING; 0 ends the table */
    const char *name;  /* the long form */
    const char *value; /* what the help calls its value; NULL: takes none */
    const char *help;  /* lines separated by \n */
} cli_option;

enum { CLI_LONG = 256, CLI_HEADING = -2 }; /* a heading is no option: `help` stands over the rows that follow, name and value are NULL */

typedef struct cli_command {
    const char *name, *operands, *summary;
    const char *help;     /* paragraphs below the usage line; at most 100 columns */
    const char *examples; /* lines */
    const cli_option *options;
    int (*run)(cli_args *a);
    const struct cli_command *const *kinds; /* instead of run: a table of further commands, ended by NULL */
    bool encodes_nothing; /* so it has no --precision */
    bool reads_pictures;  /* so it has --background and --max-pixels */
} cli_command;

extern const cli_command cli_info, cli_embed, cli_classify, cli_explain, cli_eval, cli_train, cli_convert, cli_bench,
    cli_index, cli_search, cli_match, cli_probe, cli_vqa;

/* The options that every command takes have been read into the middle part. */
struct cli_args {
    const cli_command *command;
    const cli_option *options; /* the command's; run() may put a table of its own making here before the first cli_next() */
    char title[64];            /* "clip eval retrieval" */
    int argc;
    char **argv;

    const char *model; /* where the checkpoint is */
    bool model_named;  /* by --model or $CLIP_MODEL; else it is the one that ships */
    int threads;       /* 0: all */
    const char *precision; /* NULL: the library's default */
    int background;    /* of pictures, 0xRRGGBB or -1, */
    bool background_set; /* if it was given; else the model's counts */
    int max_pixels;    /* 0: the library's default */
    bool json;

    const char *value; /* of the option that cli_next() has just returned */
    const char *name;  /* its long form */
    char **operand;    /* [operands], once cli_next() has returned 0 */
    int operands;
    int code;          /* what to exit with, once cli_next() has returned -1 */

    char model_room[CLI_PATH], index_room[CLI_PATH]; /* where paths that nobody has typed are kept */
};

/* cli_image_options(): what pictures are read with: `o`, which comes from the model or from an index, but for what the person
 * has said otherwise. */
clip_image_options cli_image_options(const cli_args *a, clip_image_options o);
/* cli_background_words(): "#ffffff" or "drop", as --background takes it. */
const char *cli_background_words(int background, char out[16]);

/* cli_next(): the next option's id; 0: all read; -1: stop with a->code (help was printed, or a fault reported). */
int cli_next(cli_args *a);

/* cli_number(): the value of the current option as a whole number in [lo, hi]. */
int cli_number(const cli_args *a, int lo, int hi, int *out);

/* cli_decimal(): the same with a fraction. */
int cli_decimal(const cli_args *a, double lo, double hi, double *out);

/* cli_no_folder(): CLI_USAGE where `path` is "-", which means a stream. cli_next() asks this of every
 * option whose value is called DIR. */
int cli_no_folder(const cli_args *a, const char *what, const char *path);

/* cli_usage(): a message, the usage line and where to find help. Returns CLI_USAGE. */
int cli_usage(const cli_args *a, const char *format, ...) CLI_PRINTF(2, 3);

void cli_print_help(const cli_args *a);

/* cli_nearest(): the one of `names` [n] that `word` is most likely meant to be; NULL: none is near. */
const char *cli_nearest(const char *word, const char *const *names, int n);

/* ---- Messages (message.c) -------------------------------------------------------------------------------- */

/* cli_fail(): "clip: ..." on stderr, one line as cli_print_plain() prints it. Returns
 * CLI_FAILED. */
int cli_fail(const char *format, ...) CLI_PRINTF(1, 2);
void cli_say(const char *kind, const char *format, va_list ap) CLI_PRINTF(2, 0); /* what cli_fail() prints, after "clip: " and `kind` */
int cli_no_memory(void);
void cli_warn(const char *format, ...) CLI_PRINTF(1, 2);

/* cli_status(): 0 for CLIP_OK, else cli_fail() with `what` and the status's own sentence. */
int cli_status(clip_status s, const char *what);

/* cli_print_plain(): a name from outside, so that it cannot write on a terminal what it likes: '?'
 * stands for each character that clip_text_shown() refuses. */
void cli_print_plain(FILE *f, const char *text);

/* A line on stderr while something takes long: done/total, rate, time left. Only on a terminal, and only after the first second.
 * total 0: unknown. One at a time. */
void cli_progress_start(const char *unit, long total);
void cli_progress_step(long n);
void cli_progress_end(void);
void cli_progress_hide(void); /* wipe the line because something else is about to be written to the terminal */

void cli_progress_show(const char *text); /* a line of the command's own instead, as often as the eye follows; on a terminal only */
bool cli_terminal(void);                  /* is there one to show it on? */

double cli_now(void); /* seconds, monotonic */

/* cli_time(): "1:02:03" or "2:03". */
const char *cli_time(double seconds, char out[24]);

/* ---- Being told to stop (signals.c) ---------------------------------------------------------------------- */

/* cli_catch_signals(): from now on the first SIGINT or SIGTERM only makes cli_interrupted() true; a second one ends the program. Where the
 * signal is ignored it stays ignored. */
void cli_catch_signals(void);
bool cli_interrupted(void);

/* cli_catch_cut_files(): where a file that is read through a mapping is cut short by another
 * program, a message names it, what was begun is removed, and the exit code is CLI_FAILED. */
void cli_catch_cut_files(void);

/* ---- Where results go (out.c) ---------------------------------------------------------------------------- */

/* stdout, or a file that appears under its name only when it is complete. */
typedef struct cli_out {
    FILE *f;
    const char *name;                /* for messages */
    char *path, *temporary;          /* NULL: stdout, or something that cannot be replaced (a pipe, a device) */
} cli_out;

/* cli_out_open(): a file that a person names. path NULL, "-" and what leads there, as /dev/stdout
 * does: stdout. A symbolic link is followed: the file behind it is replaced. A pipe or a device is
 * written to.
 * cli_out_open_own(): a file of ours in a folder of ours. A link of its name is replaced. */
int cli_out_open(cli_out *o, const char *path);
int cli_out_open_own(cli_out *o, const char *path);
/* cli_own_open(): open() and fdopen() of a file of ours. A link or a pipe in its place is a failure.
 * *out is NULL where it is not there. */
int cli_own_open(const char *path, int flags, const char *mode, FILE **out);
/* cli_is_stdout(): does this name lead to stdout? cli_not_stdout(): CLI_USAGE where the value of this
 * option does, because results are printed there. */
bool cli_is_stdout(const char *path);
int cli_not_stdout(const cli_args *a, const char *option, const char *path);
/* cli_only_file(): CLI_USAGE where the library is to write a file and the name leads to a stream, a
 * device or a folder. */
int cli_only_file(const cli_args *a, const char *option, const char *path);
/* cli_out_check(): has everything so far been written? */
int cli_out_check(cli_out *o);
/* cli_out_pause(): all results so far leave the buffers, for whoever waits for them before writing
 * more input. */
int cli_out_pause(void);
/* cli_out_close(): flush, check, put in place. */
int cli_out_close(cli_out *o);
/* cli_npy_header(), cli_npy_head(): what stands before the numbers of a float32 array of NumPy's with n (1 to 3) dimensions; as long whatever the shape. */
enum { CLI_NPY_HEAD = 128 };
void cli_npy_header(FILE *f, const long long *shape, int n);
void cli_npy_head(const long long *shape, int n, char out[CLI_NPY_HEAD]);
/* cli_make_folders(): what leads to `path`, for its owner alone; what cannot be made shows when it is used. */
void cli_make_folders(char *path);
/* cli_out_abandon(): every file that was begun leaves again, at a moment when nothing else is safe:
 * in a signal's handler. */
void cli_out_abandon(void);
/* cli_out_discard(): as if it had never been; nothing after a close, or on zeros. */
void cli_out_discard(cli_out *o);

/* ---- JSON (json.c) --------------------------------------------------------------------------------------- */

/* Writes compact JSON. `key` is NULL inside arrays and at the top. Text that is not UTF-8 gets U+FFFD. */
typedef struct cli_json {
    FILE *f;
    bool comma; /* the next value needs one before it */
} cli_json;

void cli_json_open(cli_json *j, const char *key, char bracket); /* '{' or '[' */
void cli_json_close(cli_json *j, char bracket);                 /* '}' or ']' */
void cli_json_string(cli_json *j, const char *key, const char *text);
void cli_json_path(cli_json *j, const char *key, const char *path); /* and, where it is not UTF-8, its bytes in base64 as KEY_bytes */
void cli_json_int(cli_json *j, const char *key, long long value);
void cli_json_number(cli_json *j, const char *key, double value); /* 9 digits: every float comes back; not finite: null */
void cli_json_floats(cli_json *j, const char *key, const float *value, int n);
void cli_json_raw(cli_json *j, const char *key, const char *json); /* a value that is JSON already */
void cli_json_line(cli_json *j); /* end of a line at the top */

/* ---- Lists (lists.c) ------------------------------------------------------------------------------------- */

typedef struct cli_list {
    char **item;
    size_t n, capacity;
} cli_list;

int cli_list_add(cli_list *l, const char *text);
void cli_list_free(cli_list *l);

/* A list by the texts of its items. cli_list_sort(): [n], equal ones in the order of the list; free() it before the list. cli_list_find(): where
 * `text` is in the list; -1: nowhere. */
typedef struct cli_name {
    const char *text;
    size_t at;
} cli_name;

int cli_list_sort(const cli_list *l, cli_name **out);
int32_t cli_list_find(const cli_name *sorted, size_t n, const char *text);

/* Lines of a file, one at a time. Whoever answers them in batches asks cli_lines_ready() before the
 * next line joins a batch: where input pauses, what is there is answered. */
typedef struct cli_lines {
    bool open;
    int fd;
    const char *name;
    int delimiter; /* '\n' or 0 */
    char *buffer;  /* [capacity]; data up to `to`, the next line from `from`; no delimiter between `from` and `seen` */
    size_t capacity, from, seen, to;
    bool ended;    /* no more comes */
    int fault;     /* the errno that ended it; 0: none */
    long number;   /* of the line just read, from 1 */
} cli_lines;

/* cli_lines_open(): "-" is standard input, which only one list can have. */
int cli_lines_open(cli_lines *l, const char *path, int delimiter);
/* cli_lines_ready(): cli_lines_next() has an answer without waiting for whoever writes the
 * input. */
bool cli_lines_ready(cli_lines *l);
/* cli_lines_next(): *line is NULL at the end; it lives until the next call of either. Of lines that
 * end in newlines, a carriage return in front of it and a byte order mark before the first are left
 * out. Before it waits, what has been written so far is sent on its way. */
int cli_lines_next(cli_lines *l, char **line);
void cli_lines_close(cli_lines *l); /* may be called again, and on zeros */

/* cli_take_input(): standard input is the caller's from now on; a failure where somebody has it
 * already. */
int cli_take_input(void);

/* cli_labels_read(): "a,b,c", or the name of a file with one a line ("-": standard input). Blanks around labels and repeats
 * are dropped. At least one; none is longer than CLI_MOST_TEXT. */
int cli_labels_read(const cli_args *a, const char *arg, cli_list *out);

/* cli_thresholds_split(): labels "a cat<TAB>0.31" become the label and its threshold, a cosine; NaN where there is none. *out [n] is the caller's to free(),
 * also on failure. cli_thresholds_complete(): `rest` for those that have none; if that is NaN too, a failure. */
int cli_thresholds_split(cli_list *labels, float **out);
int cli_thresholds_complete(const cli_list *labels, float *threshold, float rest);

/* cli_templates_read(): one template with {} in it, or the name of a file with one a line; arg NULL: the default. */
int cli_templates_read(const cli_args *a, const char *arg, cli_list *out);

/* ---- The model (session.c) ------------------------------------------------------------------------------- */

/* What an encoder is asked for. */
typedef enum cli_kind { CLI_EMBEDDING, CLI_STATES, CLI_POOLED, CLI_PROJECTED, CLI_LOOK } cli_kind;

typedef struct cli_session {
    clip_model *model;
    clip_context *ctx;
    clip_model_info info;
    char name[256];             /* the last part of the model's path */
    clip_image_options image;   /* what pictures are read with: as the model asks, or as the person has said */
    int D;
    cli_kind kind;              /* of the rows that cli_each_picture() makes; embeddings, unless the command says something else */
    clip_hidden_options hidden; /* of CLI_STATES */
    size_t row;                 /* numbers a row; D, unless .. */
} cli_session;

/* cli_load(): read a->model, a path, or FILE:PREFIX where a file holds several encoders; warnings go to stderr. cli_open(): also make a
 * workspace, and see that what embeddings by these towers need is there; cli_open_encoders() does not ask for a projection.
 * cli_close() takes zeros. */
int cli_load(const cli_args *a, int towers, cli_session *s);
int cli_open(const cli_args *a, int towers, cli_session *s);
int cli_open_encoders(const cli_args *a, int towers, cli_session *s);

/* cli_encoded(): cli_status() of a function that was given the session's context, which knows more
 * (clip_context_message()). */
int cli_encoded(const clip_context *ctx, clip_status s, const char *what);
void cli_close(cli_session *s);

/* cli_precision_note(): what stands behind its instruction set, where that is not f32. */
const char *cli_precision_note(const clip_model_info *i);

/* cli_encode_labels(): [L, D], with a progress line; many texts only once, then they come from where the last time has left them. *out is the caller's to
 * free(). */
int cli_encode_labels(cli_session *s, const cli_list *labels, const cli_list *templates, float **out);

/* What is left for the next time (label_cache.c). cli_label_cache_path(): its file; NULL: no place for it, or no memory; else the caller's to free().
 * cli_label_cache_read(): x [L, D]; false: not there, or not what was written. cli_label_cache_write(): does so where that is possible. */
char *cli_label_cache_path(cli_session *s, const cli_list *labels, const cli_list *templates);
bool cli_label_cache_read(const char *path, float *x, size_t L, size_t D);
void cli_label_cache_write(const char *path, const float *x, size_t L, size_t D);

/* cli_check_texts(): texts or labels that a person gave; one that the tokenizer makes nothing of ("", " ") is a slip. */
int cli_check_texts(const cli_session *s, const cli_list *texts);

/* cli_hidden(): where what the session's kind asks for goes, if that is no embedding. */
clip_hidden cli_hidden(const cli_session *s, float *out);

/* cli_cosine(): of two vectors of any length, -1 .. 1. */
float cli_cosine(const float *a, const float *b, int D);

/* cli_encode_texts(): texts [n] to out [n, D]. */
int cli_encode_texts(cli_session *s, char *const *texts, size_t n, float *out);

/* ---- The index (index_common.c) -------------------------------------------------------------------------- */

/* cli_index_path(): where it is: what --index says (`set`, or NULL), else $CLIP_INDEX, else $XDG_DATA_HOME/clip/index, else
 * ~/.local/share/clip/index. Lives as long as `a`; NULL after a message. */
const char *cli_index_path(cli_args *a, const char *set);

typedef enum cli_index_mode { CLI_INDEX_READ, CLI_INDEX_WRITE, CLI_INDEX_MAKE } cli_index_mode;

/* cli_index_model(): a->model becomes the one that the index was last written with, unless the person has named one or it is no longer there. */
void cli_index_model(cli_args *a, const clip_index_info *info);

/* cli_index_open(): open it; what does not go comes with advice.
 * s     in   the model it has to be of; NULL: any
 * mode  in   CLI_INDEX_MAKE: also make it, and the directories above, where there is none */
int cli_index_open(const cli_args *a, const char *path, const cli_session *s, cli_index_mode mode, clip_index **out);
/* cli_index_make(): the same for writing, where vectors of this dimension come whose model is not known. */
int cli_index_make(const cli_args *a, const char *path, int dim, clip_index **out);

/* cli_index_export(), cli_index_import(): `clip index --export DIR` and `--import DIR` (index_exchange.c). */
int cli_index_export(const cli_args *a, const char *path, const char *dir);
int cli_index_import(const cli_args *a, const char *path, const char *dir);

/* ---- Pictures (pictures.c, source.c, thumbnail.c) -------------------------------------------------------- */

enum { CLI_BATCH = 32 }; /* pictures that are decoded side by side and encoded at once */

typedef struct cli_picture {
    char *path;           /* a file, or the name of the bytes */
    void *bytes;          /* NULL: read the file */
    size_t size;
    clip_image thumbnail; /* where the batch asks for them */
    bool named;           /* a pipe or a device that the person has named; else only files are read */
    int row;              /* of the embeddings; -1: broken, `error` says how */
    clip_error error;
} cli_picture;

typedef struct cli_batch {
    cli_picture picture[CLI_BATCH]; /* path and bytes are the batch's and come from malloc() */
    int n, sound;                   /* in it; with an embedding */
    int thumbnail_side;             /* 0: none wanted */
    float *pixels, *embedding;      /* [sound, row]: mostly embeddings */
} cli_batch;

/* cli_batch_new(): a batch for this model; NULL after "out of memory". */
cli_batch *cli_batch_new(const cli_session *s);
/* cli_batch_encode(): decode, preprocess and embed what is in it. A broken picture is not a failure. */
int cli_batch_encode(cli_session *s, cli_batch *b);
void cli_batch_clear(cli_batch *b);
void cli_batch_free(cli_batch *b);

/* Pictures by name: arguments, folders, and a list that is read as it is needed. */
typedef struct cli_source {
    cli_list files, pipes; /* pipes: operands that are neither files nor folders; they are among the files */
    size_t at;
    cli_lines list;
    long given;   /* so far */
    long failed;  /* that were reported: folders that cannot be read, broken pictures */
    clip_passed passed; /* files in folders that were passed over */
} cli_source;

/* cli_source_open(): operands of the command ("-": a list on standard input) and the value of --files-from (or NULL). */
int cli_source_open(const cli_args *a, const char *files_from, int delimiter, cli_source *out);
void cli_source_close(cli_source *s);

/* cli_passed_text(): "12 files passed over: 9 not pictures (.txt 5, .xmp 4), 2 hidden, 1 excluded";
 * "" where there are none. cli_passed_say(): that on stderr, unless all of them are such as lie
 * beside pictures everywhere. cli_passed_json(): the same for programs, under "passed_over"
 * (passed.c). */
const char *cli_passed_text(const clip_passed *p, char out[1024]);
void cli_passed_say(const clip_passed *p);
void cli_passed_json(cli_json *j, const clip_passed *p);

/* Called for every picture in order, with its row, NULL for a broken one, which has been reported. */
typedef int (*cli_picture_fn)(void *user, cli_picture *p, const float *row);

/* cli_each_picture(): embed all of the source, batch by batch.
 * quiet  in   no progress line (the results themselves show it)
 * Nothing in the source at all is a failure. */
int cli_each_picture(cli_session *s, cli_source *source, int thumbnail_side, bool quiet, cli_picture_fn each,
                     void *user);

/* cli_thumbnail(): `img` reduced to fit `side` x `side`, never enlarged; free(out->rgb). */
clip_status cli_thumbnail(const clip_image *img, int side, clip_image *out);
/* cli_encode_png(): *png is the caller's to free(). */
int cli_encode_png(const clip_image *img, uint8_t **png, size_t *size);
void cli_write_base64(FILE *f, const uint8_t *s, size_t n);
/* cli_write_data_uri(): "data:image/png;base64,..." */
int cli_write_data_uri(FILE *f, const clip_image *img);

/* ---- Pictures in a terminal (terminal.c) ----------------------------------------------------------------- */

typedef enum cli_graphics {
    CLI_GRAPHICS_NONE,
    CLI_GRAPHICS_KITTY,
    CLI_GRAPHICS_ITERM,
    CLI_GRAPHICS_SIXEL
} cli_graphics;

/* cli_graphics_find(): what the terminal behind stdout shows; none where there is no terminal. May ask it, for at most 0.3 s. */
cli_graphics cli_graphics_find(void);
/* cli_terminal_cells(): its width in characters, and the size of one in pixels, guessed where it does not say. */
void cli_terminal_cells(int *columns, int *cell_width, int *cell_height);
/* cli_show(): a picture, pixel by pixel, its upper left corner at the cursor; where the cursor is afterwards is not said. */
int cli_show(FILE *f, cli_graphics graphics, const clip_image *img);

/* ---- Pages (html.c) -------------------------------------------------------------------------------------- */

/* cli_html_head(): up to and into <style>, with what all pages have in common: colours (variables, light and dark), type, cards, .pic. */
void cli_html_head(FILE *f, const char *title);
/* cli_html_text(): escaped, also for attributes; U+FFFD stands for what clip_text_shown() refuses.
 * Elements below <main> are isolated from each other's direction of text; a text beside others in
 * one element goes between <bdi> and </bdi>. */
void cli_html_text(FILE *f, const char *text);
/* cli_html_thumbnail(): in the style sheet: elements of class p`number` show this picture. */
int cli_html_thumbnail(FILE *f, long number, const clip_image *thumbnail);
const char *cli_base_name(const char *path);

/* ---- The page of `classify --html` (page.c) -------------------------------------------------------------- */

typedef struct cli_hit {
    int label;
    float probability, cosine;
} cli_hit;

typedef struct cli_page cli_page;

/* cli_page_open(): start a page. It holds on to `labels`, of which a picture may have several, or which are alternatives. *out NULL on failure. */
int cli_page_open(const char *path, const cli_session *s, const cli_list *labels, bool several, cli_page **out);
/* cli_page_picture(): a picture, its best labels [n], and its cosines with all of them. */
int cli_page_picture(cli_page *p, const cli_picture *picture, const cli_hit *hit, int n, const float *cosine);
int cli_page_close(cli_page *p); /* write it out */
void cli_page_free(cli_page *p); /* takes NULL; discards what was not closed */

#endif
