/* cli.h: what the files of the command `clip` share.
 *
 * A command is one file with a cli_command in it, and one row in the table of main.c. The
 * cli_command holds everything that --help prints and getopt_long needs. Its run() reads the
 * options, opens a session and does the work:
 *
 *     static int run(cli_args *a)
 *     {
 *         cli_session s;
 *         for (int id; (id = cli_next(a)) != 0;)
 *             switch (id) {
 *             case 'k': DO(cli_number(a, 1, 100, &k)); break;
 *             default: return a->code;
 *             }
 *         DO(cli_open(a, CLIP_TOWER_BOTH, 0, &s));
 *         ...
 *     }
 *
 * A function that returns int returns 0, or an exit code after it has printed a message on stderr,
 * unless its comment says otherwise. DO() passes the exit code on. Results go to stdout, everything
 * else goes to stderr. */
#ifndef CLI_H
#define CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "clip.h"

enum { CLI_PATH = 4096 + 64 }; /* bytes of a default path */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

#define CLI_MOST_TEXT 65536 /* bytes of a label, of a template, of a template filled with a label */
#define CLI_TEMPLATE "{}"   /* the default of --templates: labels are used as typed */

/* Returns at once, so use it only while nothing is owned. Otherwise `goto done`. */
#define DO(expr)                 \
    do {                         \
        int do_code = (expr);    \
        if (do_code != CLI_DONE) \
            return do_code;      \
    } while (0)

#define CLI_PRINTF(at, first) __attribute__((format(printf, at, first)))

/* ---- Commands and their arguments (main.c, args.c) ------------------------------------------- */

typedef struct cli_args cli_args;

/* One option: a row of the help and of getopt_long's tables. In a row with the id CLI_HEADING,
 * `help` is a heading above the rows that follow; name and value are NULL. */
typedef struct cli_option {
    int id;            /* a letter, a number >= CLI_LONG, or CLI_HEADING; 0 ends the table */
    const char *name;  /* the long form */
    const char *value; /* the name of its value in the help; NULL: takes no value */
    const char *help;  /* lines separated by \n */
} cli_option;

enum { CLI_LONG = 256, CLI_HEADING = -2 };

typedef struct cli_command {
    const char *name, *operands, *summary;
    const char *help;     /* paragraphs below the usage line; at most 100 columns */
    const char *examples; /* lines */
    const cli_option *options;
    int (*run)(cli_args *a);
    const struct cli_command *const *kinds; /* instead of run: subcommands, NULL at the end */
    bool encodes_nothing; /* then it takes neither --precision nor --image-size */
    bool opens_no_model;  /* then it does not take --model, --threads and --pull either */
    bool reads_pictures;  /* then it takes --background and --max-pixels */
    bool reads_texts;     /* then it takes --language */
} cli_command;

extern const cli_command cli_models, cli_pull, cli_info, cli_embed, cli_classify, cli_explain, cli_eval, cli_train,
    cli_convert, cli_bench, cli_index, cli_search, cli_match, cli_probe, cli_vqa;

/* What a command's run() gets. The middle part holds the options that every command takes. */
struct cli_args {
    const cli_command *command;
    const cli_option *options; /* the command's; run() may replace it before the first cli_next() */
    char title[64];            /* "clip eval retrieval" */
    int argc;
    char **argv;

    const char *model;     /* path of the checkpoint */
    bool model_named;      /* by --model or $CLIP_MODEL; false: the model that ships */
    bool pull;             /* fetch the model if it is not on this machine */
    int threads;           /* 0: all */
    const char *precision; /* NULL: the library's default */
    int image_size;        /* 0: the model's, or that of the index */
    const char *language;  /* of texts; NULL: the tokenizer's */
    int background;        /* of pictures: 0xRRGGBB or -1 */
    bool background_set;   /* --background was given; false: the model decides */
    int max_pixels;        /* 0: the library's default */
    bool json;

    const char *value; /* of the option that cli_next() has just returned */
    const char *name;  /* its long form */
    char **operand;    /* [operands], valid once cli_next() has returned 0 */
    int operands;
    int code;          /* the exit code, valid once cli_next() has returned -1 */

    char model_room[CLI_PATH], index_room[CLI_PATH]; /* storage for default paths */
};

/* cli_image_options(): how to read pictures.
 * o        in   the options of the model or of the index
 * @return: o, with the options of the command line put in. */
clip_image_options cli_image_options(const cli_args *a, clip_image_options o);
/* cli_background_words(): "#ffffff" or "drop", as --background takes it. */
const char *cli_background_words(int background, char out[16]);

/* cli_next(): read the next option.
 * @return: its id; 0: all are read; -1: stop with a->code (help or an error was printed). */
int cli_next(cli_args *a);

/* cli_number(): the value of the current option as a whole number in [lo, hi]. */
int cli_number(const cli_args *a, int lo, int hi, int *out);

/* cli_decimal(): the value of the current option as a decimal number in [lo, hi]. */
int cli_decimal(const cli_args *a, double lo, double hi, double *out);

/* cli_no_folder(): CLI_USAGE if `path` is "-", which means a stream. cli_next() checks every option
 * whose value is called DIR in this way. */
int cli_no_folder(const cli_args *a, const char *what, const char *path);

/* cli_usage(): print a message, the usage line and a pointer to --help.
 * @return: CLI_USAGE. */
int cli_usage(const cli_args *a, const char *format, ...) CLI_PRINTF(2, 3);

void cli_print_help(const cli_args *a);

/* cli_nearest(): the name that `word` was most likely meant to be.
 * names  in   [n]
 * @return: one of the names; NULL: none is near. */
const char *cli_nearest(const char *word, const char *const *names, int n);

/* ---- Messages (message.c) -------------------------------------------------------------------- */

/* cli_fail(): print "clip: ..." on stderr, one line, escaped as by cli_print_plain().
 * @return: CLI_FAILED. */
int cli_fail(const char *format, ...) CLI_PRINTF(1, 2);
/* cli_say(): print "clip: ", `kind` and the message. cli_fail() and cli_warn() call it. */
void cli_say(const char *kind, const char *format, va_list ap) CLI_PRINTF(2, 0);
int cli_no_memory(void);
void cli_warn(const char *format, ...) CLI_PRINTF(1, 2);

/* cli_status(): 0 for CLIP_OK. Otherwise cli_fail() with `what` and the message of the status. */
int cli_status(clip_status s, const char *what);

/* cli_print_plain(): print text from outside so that it cannot control the terminal. '?' replaces
 * each character that clip_text_shown() refuses. */
void cli_print_plain(FILE *f, const char *text);

/* A progress line on stderr: done/total, rate, time left. It appears only on a terminal, and only
 * after the first second. There is one such line at a time. total 0: unknown. */
void cli_progress_start(const char *unit, long total);
void cli_progress_step(long n);
void cli_progress_end(void);
void cli_progress_hide(void); /* wipe the line before something else is written to the terminal */

/* cli_progress_show(): a progress line with the command's own text. It appears only on a terminal.
 * Calls that come too fast for the eye are dropped. */
void cli_progress_show(const char *text);
bool cli_terminal(void); /* stderr is a terminal that can show a progress line */

double cli_now(void); /* seconds, monotonic */

/* cli_time(): "1:02:03" or "2:03". */
const char *cli_time(double seconds, char out[24]);

/* ---- Being told to stop (signals.c) ---------------------------------------------------------- */

/* cli_catch_signals(): from now on the first SIGINT or SIGTERM only makes cli_interrupted() true. A
 * second one ends the program. A signal that is ignored stays ignored. */
void cli_catch_signals(void);
/* cli_release_signals(): undo cli_catch_signals(). */
void cli_release_signals(void);
bool cli_interrupted(void);

/* cli_catch_cut_files(): handle a mapped file that another program cuts short. A message names the
 * file, unfinished outputs are removed, and the exit code is CLI_FAILED. */
void cli_catch_cut_files(void);

/* ---- Where results go (out.c) ---------------------------------------------------------------- */

/* stdout, or a file that appears under its name only when it is complete. */
typedef struct cli_out {
    FILE *f;
    const char *name;       /* for messages */
    char *path, *temporary; /* NULL: stdout, or something that cannot be replaced (pipe, device) */
} cli_out;

/* cli_out_open(): open the file that a person named. NULL, "-" and paths that lead to stdout, like
 * /dev/stdout, mean stdout. A symbolic link is followed, and the file behind it is replaced. A pipe
 * or a device is written to directly. */
int cli_out_open(cli_out *o, const char *path);
/* cli_out_open_own(): open a file of ours in a folder of ours. A link with its name is replaced. */
int cli_out_open_own(cli_out *o, const char *path);
/* cli_own_open(): open() and fdopen() for a file of ours. A link or a pipe in its place is an
 * error.
 * out  out  NULL: the file does not exist */
int cli_own_open(const char *path, int flags, const char *mode, FILE **out);
/* cli_is_stdout(): whether this path leads to stdout. */
bool cli_is_stdout(const char *path);
/* cli_not_stdout(): CLI_USAGE if this option's path leads to stdout, where results are printed. */
int cli_not_stdout(const cli_args *a, const char *option, const char *path);
/* cli_only_file(): CLI_USAGE if the path leads to a stream, a device or a folder. For paths that
 * the library writes. */
int cli_only_file(const cli_args *a, const char *option, const char *path);
/* cli_out_check(): an error if something so far could not be written. */
int cli_out_check(cli_out *o);
/* cli_out_pause(): flush all results, because whoever writes the input may wait for them. */
int cli_out_pause(void);
/* cli_out_close(): flush, check, and move the file to its name. */
int cli_out_close(cli_out *o);
/* cli_npy_header(), cli_npy_head(): the header of a NumPy file of float32 with n (1 to 3)
 * dimensions. Its length is the same for every shape. */
enum { CLI_NPY_HEAD = 128 };
void cli_npy_header(FILE *f, const long long *shape, int n);
void cli_npy_head(const long long *shape, int n, char out[CLI_NPY_HEAD]);
/* cli_make_folders(): make the folders above `path`, accessible to their owner only. Errors are
 * left to whoever uses the path. */
void cli_make_folders(char *path);
/* cli_out_abandon(): remove every unfinished file. Safe in a signal handler. */
void cli_out_abandon(void);
/* cli_out_discard(): remove the unfinished file. Does nothing after a close, or on zeros. */
void cli_out_discard(cli_out *o);

/* ---- JSON (json.c) --------------------------------------------------------------------------- */

/* Writes compact JSON. `key` is NULL inside arrays and at the top level. Bytes that are not UTF-8
 * become U+FFFD. */
typedef struct cli_json {
    FILE *f;
    bool comma; /* the next value needs a comma before it */
} cli_json;

void cli_json_open(cli_json *j, const char *key, char bracket); /* '{' or '[' */
void cli_json_close(cli_json *j, char bracket);                 /* '}' or ']' */
void cli_json_string(cli_json *j, const char *key, const char *text);
/* cli_json_path(): a path that is not UTF-8 also gets its bytes in base64, under KEY_bytes. */
void cli_json_path(cli_json *j, const char *key, const char *path);
void cli_json_int(cli_json *j, const char *key, long long value);
/* cli_json_number(): 9 digits, which preserve every float; null if not finite. */
void cli_json_number(cli_json *j, const char *key, double value);
void cli_json_floats(cli_json *j, const char *key, const float *value, int n);
void cli_json_raw(cli_json *j, const char *key, const char *json); /* `json` is a JSON value */
void cli_json_line(cli_json *j); /* end the line, at the top level */

/* ---- Lists (lists.c) ------------------------------------------------------------------------- */

typedef struct cli_list {
    char **item;
    size_t n, capacity;
} cli_list;

int cli_list_add(cli_list *l, const char *text);
void cli_list_free(cli_list *l);

/* An item of a list that is sorted by text. */
typedef struct cli_name {
    const char *text;
    size_t at;
} cli_name;

/* cli_list_sort(): sort a list by text. Equal items keep their order.
 * out  out  [l->n]; free() it before the list */
int cli_list_sort(const cli_list *l, cli_name **out);
/* cli_list_find(): the position of `text` in the list; -1: not found. */
int32_t cli_list_find(const cli_name *sorted, size_t n, const char *text);

/* Lines of a file, one at a time. A caller that answers lines in batches asks cli_lines_ready()
 * before it adds a line. Where the input pauses, it answers the batch that it has. */
typedef struct cli_lines {
    bool open;
    int fd;
    const char *name;
    int delimiter; /* '\n' or 0 */
    char *buffer;  /* [capacity]; data ends at `to`, the next line starts at `from` */
    size_t capacity, from, seen, to; /* no delimiter between `from` and `seen` */
    bool ended;    /* the input has ended */
    int fault;     /* the errno that ended it; 0: none */
    long number;   /* of the line just read, from 1 */
} cli_lines;

/* cli_lines_open(): "-" is standard input, which only one list can have. */
int cli_lines_open(cli_lines *l, const char *path, int delimiter);
/* cli_lines_ready(): whether cli_lines_next() can return without waiting for more input. */
bool cli_lines_ready(cli_lines *l);
/* cli_lines_next(): read a line. Where lines end in newlines, a carriage return before the newline
 * and a byte order mark at the beginning of the file are dropped. Flushes results before it waits.
 * line  out  NULL: the end; valid until the next call of cli_lines_next() or cli_lines_ready() */
int cli_lines_next(cli_lines *l, char **line);
void cli_lines_close(cli_lines *l); /* may be called again, and on zeros */

/* cli_take_input(): claim standard input. An error if it is claimed already. */
int cli_take_input(void);

/* cli_labels_read(): read labels. Blanks around labels and repeated labels are dropped. An error if
 * there is no label, or one is longer than CLI_MOST_TEXT.
 * arg  in   "a,b,c", or a file with one label a line ("-": standard input) */
int cli_labels_read(const cli_args *a, const char *arg, cli_list *out);

/* cli_thresholds_split(): split labels like "a cat<TAB>0.31" into label and threshold, a cosine.
 * out  out  [n]; NaN: the label has none; the caller free()s it, also after an error */
int cli_thresholds_split(cli_list *labels, float **out);
/* cli_thresholds_complete(): fill in missing thresholds.
 * rest  in   for labels without a threshold; NaN: a missing threshold is an error */
int cli_thresholds_complete(const cli_list *labels, float *threshold, float rest);

/* cli_templates_read(): read templates.
 * arg  in   a template with {} in it, or a file with one a line; NULL: the default */
int cli_templates_read(const cli_args *a, const char *arg, cli_list *out);

/* ---- The model (session.c) ------------------------------------------------------------------- */

/* What an encoder is asked for. */
typedef enum cli_kind { CLI_EMBEDDING, CLI_STATES, CLI_POOLED, CLI_PROJECTED, CLI_LOOK } cli_kind;

typedef struct cli_session {
    clip_model *model;
    clip_context *ctx;
    clip_model_info info;
    char name[256];             /* the last part of the model's path */
    clip_image_options image;   /* how pictures are read: the model's way, or as options say */
    int D;
    cli_kind kind;              /* of rows from cli_each_picture(); default: embeddings */
    clip_hidden_options hidden; /* for CLI_STATES */
    size_t row;                 /* numbers in a row; default: D */
} cli_session;

/* cli_load(): read the model from a->model: a path, or FILE:PREFIX where a file holds several
 * encoders. Warnings go to stderr.
 * few  in  CLIP_TOWER_*: towers that will see few inputs or none, so that their weights stay in the
 *          file */
int cli_load(const cli_args *a, int towers, int few, cli_session *s);
/* cli_open(): cli_load(), then make a workspace. An error if the model cannot embed with these
 * towers. */
int cli_open(const cli_args *a, int towers, int few, cli_session *s);
/* cli_open_encoders(): cli_open() for a model that may lack a projection. */
int cli_open_encoders(const cli_args *a, int towers, int few, cli_session *s);
void cli_close(cli_session *s); /* may be called on zeros */

/* cli_few_texts(): CLIP_TOWER_TEXT if n texts are few, else 0. */
int cli_few_texts(size_t n);

/* cli_encoded(): cli_status() for a function that used this context. Its message comes from
 * clip_context_message(), which says more. */
int cli_encoded(const clip_context *ctx, clip_status s, const char *what);

/* cli_precision_note(): the text that follows the instruction set; "" for the default precision. */
const char *cli_precision_note(const clip_model_info *i, char out[32]);

/* cli_encode_labels(): embed labels, with a progress line. The vectors of many texts are cached on
 * disk for the next time.
 * out  out  [L, D]; the caller free()s it */
int cli_encode_labels(cli_session *s, const cli_list *labels, const cli_list *templates, float **out);

/* cli_label_cache_path(): the cache file of these labels and templates (label_cache.c).
 * @return: a path that the caller free()s; NULL: no folder for it, or out of memory. */
char *cli_label_cache_path(cli_session *s, const cli_list *labels, const cli_list *templates);
/* cli_label_cache_read(): read x [L, D]. false: the file is missing or damaged. */
bool cli_label_cache_read(const char *path, float *x, size_t L, size_t D);
/* cli_label_cache_write(): write x [L, D]. Errors are ignored. */
void cli_label_cache_write(const char *path, const float *x, size_t L, size_t D);

/* cli_check_texts(): an error for texts or labels that give no tokens ("", " "). */
int cli_check_texts(const cli_session *s, const cli_list *texts);

/* cli_hidden(): write the output that s->kind asks for to `out`. For kinds other than
 * CLI_EMBEDDING. */
clip_hidden cli_hidden(const cli_session *s, float *out);

/* cli_cosine(): the cosine of two vectors of any length, -1 .. 1. */
float cli_cosine(const float *a, const float *b, int D);

/* cli_encode_texts(): texts [n] to out [n, D]. */
int cli_encode_texts(cli_session *s, char *const *texts, size_t n, float *out);

/* ---- Models by name (pull.c) ----------------------------------------------------------------- */

/* cli_fetch(): clip_pull() with a progress line. Ctrl-C stops it; what has come is kept.
 * path  out  the model's folder; free() it. NULL on error
 * last  out  how far it has come; may be NULL */
int cli_fetch(const char *name, bool if_missing, char **path, clip_pull_progress *last);
/* cli_fetch_if_asked(): with --pull, fetch this model if it is not on this machine. */
int cli_fetch_if_asked(const cli_args *a, const char *name);
/* cli_bytes(): "605 MB". */
const char *cli_bytes(int64_t bytes, char out[32]);

/* ---- The index (index_common.c) -------------------------------------------------------------- */

/* cli_index_path(): where the index is: --index, $CLIP_INDEX, $XDG_DATA_HOME/clip/index or
 * ~/.local/share/clip/index, in this order.
 * set  in   the value of --index, or NULL
 * @return: a path that lives as long as `a`; NULL after a message. */
const char *cli_index_path(cli_args *a, const char *set);

typedef enum cli_index_mode { CLI_INDEX_READ, CLI_INDEX_WRITE, CLI_INDEX_MAKE } cli_index_mode;

/* cli_index_model(): set a->model to the model that last wrote the index. Does nothing if the
 * person has named a model, or the index's model no longer exists. */
void cli_index_model(cli_args *a, const clip_index_info *info);

/* cli_index_open(): open the index. Messages about errors give advice.
 * s     in   the model that the index has to match; NULL: any
 * mode  in   CLI_INDEX_MAKE: make the index and the folders above it if they do not exist */
int cli_index_open(const cli_args *a, const char *path, const cli_session *s, cli_index_mode mode, clip_index **out);
/* cli_index_make(): CLI_INDEX_MAKE for vectors of this dimension whose model is unknown. */
int cli_index_make(const cli_args *a, const char *path, int dim, clip_index **out);

/* cli_index_export(), cli_index_import(): `clip index --export DIR` and `--import DIR`
 * (index_exchange.c). */
int cli_index_export(const cli_args *a, const char *path, const char *dir);
int cli_index_import(const cli_args *a, const char *path, const char *dir);

/* ---- Pictures (pictures.c, source.c, thumbnail.c) -------------------------------------------- */

enum { CLI_BATCH = 32 }; /* pictures decoded in parallel and encoded together */

typedef struct cli_picture {
    char *path;           /* a file, or the name of the bytes */
    void *bytes;          /* NULL: read the file */
    size_t size;
    clip_image thumbnail; /* if the batch asks for thumbnails */
    bool named;           /* a pipe or a device that the person named; else only files are read */
    int row;              /* of the embeddings; -1: broken, see `error` */
    clip_error error;
} cli_picture;

typedef struct cli_batch {
    cli_picture picture[CLI_BATCH]; /* path and bytes: from malloc(), owned by the batch */
    int n, sound;                   /* pictures; pictures with a row */
    int thumbnail_side;             /* 0: no thumbnails */
    float *pixels, *embedding;      /* embedding [sound, row] */
} cli_batch;

/* cli_batch_new(): a batch for this model; NULL after "out of memory". */
cli_batch *cli_batch_new(const cli_session *s);
/* cli_batch_encode(): decode, preprocess and embed the pictures. A broken picture is not an
 * error. */
int cli_batch_encode(cli_session *s, cli_batch *b);
void cli_batch_clear(cli_batch *b);
void cli_batch_free(cli_batch *b);

/* Pictures by name: operands, folders, and a list that is read as needed. */
typedef struct cli_source {
    cli_list files, pipes; /* pipes: the files that are neither regular files nor folders */
    size_t at;
    cli_lines list;
    long given;         /* pictures so far */
    long failed;        /* broken pictures and unreadable folders, all reported */
    clip_passed passed; /* files in folders that were skipped */
} cli_source;

/* cli_source_open(): the command's operands are the source ("-": a list on standard input).
 * files_from  in   the value of --files-from, or NULL */
int cli_source_open(const cli_args *a, const char *files_from, int delimiter, cli_source *out);
void cli_source_close(cli_source *s);

/* cli_few_pictures(): CLIP_TOWER_IMAGE if the source is known to have few, else 0. */
int cli_few_pictures(const cli_source *s);

/* cli_passed_text(): "12 files passed over: 9 not pictures (.txt 5, .xmp 4), 2 hidden, 1 excluded";
 * "" if there are none (passed.c). */
const char *cli_passed_text(const clip_passed *p, char out[1024]);
/* cli_passed_say(): print that on stderr, unless all of them are files that usually lie beside
 * pictures. */
void cli_passed_say(const clip_passed *p);
/* cli_passed_json(): the same in JSON, under "passed_over". */
void cli_passed_json(cli_json *j, const clip_passed *p);

/* Called for every picture in order. row is NULL for a broken one, which has been reported. */
typedef int (*cli_picture_fn)(void *user, cli_picture *p, const float *row);

/* cli_each_picture(): embed the whole source, batch by batch. An empty source is an error.
 * quiet  in   no progress line, because the results themselves show the progress */
int cli_each_picture(cli_session *s, cli_source *source, int thumbnail_side, bool quiet, cli_picture_fn each,
                     void *user);

/* cli_thumbnail(): reduce `img` to fit `side` x `side`. It is never enlarged. free(out->rgb). */
clip_status cli_thumbnail(const clip_image *img, int side, clip_image *out);
/* cli_encode_png(): the caller free()s *png. */
int cli_encode_png(const clip_image *img, uint8_t **png, size_t *size);
void cli_write_base64(FILE *f, const uint8_t *s, size_t n);
/* cli_write_data_uri(): "data:image/png;base64,..." */
int cli_write_data_uri(FILE *f, const clip_image *img);

/* ---- Pictures in a terminal (terminal.c) ----------------------------------------------------- */

typedef enum cli_graphics {
    CLI_GRAPHICS_NONE,
    CLI_GRAPHICS_KITTY,
    CLI_GRAPHICS_ITERM,
    CLI_GRAPHICS_SIXEL
} cli_graphics;

/* cli_graphics_find(): the graphics protocol of the terminal behind stdout. CLI_GRAPHICS_NONE if
 * stdout is not a terminal. May query the terminal, for at most 0.3 s. */
cli_graphics cli_graphics_find(void);
/* cli_terminal_cells(): the terminal's width in characters and the size of a character in pixels.
 * Guessed if the terminal does not tell. */
void cli_terminal_cells(int *columns, int *cell_width, int *cell_height);
/* cli_show(): draw a picture, pixel by pixel, with its upper left corner at the cursor. The
 * position of the cursor afterwards is unspecified. */
int cli_show(FILE *f, cli_graphics graphics, const clip_image *img);

/* ---- Pages (html.c) -------------------------------------------------------------------------- */

/* cli_html_head(): begin a page, up to and into <style>. Writes the styles that all pages share:
 * colours (variables, light and dark), type, cards, .pic. */
void cli_html_head(FILE *f, const char *title);
/* cli_html_text(): escape text, also for attributes. U+FFFD replaces what clip_text_shown()
 * refuses. The page isolates the text direction of elements below <main>. Text beside other text in
 * one element goes between <bdi> and </bdi>. */
void cli_html_text(FILE *f, const char *text);
/* cli_html_thumbnail(): a rule for the style sheet: elements of class p`number` show this
 * picture. */
int cli_html_thumbnail(FILE *f, long number, const clip_image *thumbnail);
const char *cli_base_name(const char *path);

/* ---- The page of `classify --html` (page.c) -------------------------------------------------- */

typedef struct cli_hit {
    int label;
    float probability, cosine;
} cli_hit;

typedef struct cli_page cli_page;

/* cli_page_open(): start a page.
 * labels   in   kept by the page
 * several  in   a picture may have several labels; false: labels are alternatives
 * out      out  NULL on error */
int cli_page_open(const char *path, const cli_session *s, const cli_list *labels, bool several, cli_page **out);
/* cli_page_picture(): add a picture.
 * hit     in   [n] its best labels
 * cosine  in   [labels] */
int cli_page_picture(cli_page *p, const cli_picture *picture, const cli_hit *hit, int n, const float *cosine);
int cli_page_close(cli_page *p); /* write it out */
void cli_page_free(cli_page *p); /* accepts NULL; discards a page that was not closed */

#endif
