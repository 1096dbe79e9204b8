/* train.h: what the files of `clip train` share.
 *
 *     train.c            the command: a run, from its beginning or its last checkpoint
 *     train_options.c    the command line: settings of the library and options of the command
 *     train_folder.c     the files of a run: writing them, and reading them back
 *     train_validate.c   measures the last checkpoint on other pairs, as `clip eval retrieval` does
 *     report.c, chart.c  the page that shows the run */
#ifndef TRAIN_H
#define TRAIN_H

#include "eval.h"

/* ---- The command line (train_options.c) ------------------------------------------------------ */

typedef struct train_options {
    clip_train_options *settings; /* of the library */
    const char *output, *resume;  /* exactly one is set */
    const char *val_data;         /* NULL: none */
    int save_every;               /* steps; 0: epochs only */
    int save_frequency;           /* keep a checkpoint every so many epochs; 0: none */
} train_options;

/* train_options_read(): read the whole command line.
 * out   out  free it with train_options_free(), also after an error
 * stop  out  return the code that this function returned, as after cli_next() */
int train_options_read(cli_args *a, train_options *out, bool *stop);
void train_options_free(train_options *o);

/* ---- The folder (train_folder.c) ------------------------------------------------------------- */

/* The two kinds of lines in metrics.jsonl. Equal runs have equal lines, except for the times. */
typedef struct train_step {
    int64_t step, epoch;
    double loss, lr, scale, grad_norm;
    double batch_time, data_time, time; /* seconds: step, waiting for data, run so far */
} train_step;

typedef struct train_score {
    int64_t step, epoch, samples;
    clip_rank_metrics image_to_text, text_to_image;
    double loss;
    double time;
} train_score;

typedef struct train_history {
    train_step *step;
    train_score *score;
    size_t steps, scores, steps_capacity, scores_capacity;
} train_history;

typedef struct train_folder {
    char *path; /* OUT */
    char *run, *metrics, *report, *checkpoint; /* paths in it */
    char *val_data;                 /* an option of the command, from run.json */
    int save_every, save_frequency; /* the same */
    char *settings;                 /* the library's, a JSON object */
    int lock;                       /* of the folder */
    bool locked, made;              /* the lock is held; this process made the folder */
    FILE *log;                      /* metrics.jsonl */
    train_history history;
} train_folder;

/* train_folder_new(): claim OUT for a new run. Free it with train_folder_close(), also after an
 * error. */
int train_folder_new(const char *path, train_folder *out);
/* train_folder_find(): open the folder of an earlier run. Free it with train_folder_close(), also
 * after an error. */
int train_folder_find(const char *path, train_folder *out);
void train_folder_close(train_folder *f);

/* train_folder_begin(): write run.json with these settings, and start metrics.jsonl. */
int train_folder_begin(train_folder *f, const train_options *o, const char *settings);
/* train_folder_continue(): go on at `step`. Lines of metrics.jsonl beyond this step are cut off. */
int train_folder_continue(train_folder *f, int64_t step);

/* train_folder_set(): copy the settings of run.json into `o`. For a run that ended before its first
 * checkpoint. */
int train_folder_set(const train_folder *f, clip_train_options *o);
bool train_folder_has_checkpoint(const train_folder *f);

/* train_folder_add_step(), train_folder_add_score(): add a line to the history and to
 * metrics.jsonl. */
int train_folder_add_step(train_folder *f, const train_step *s, int batch_size);
int train_folder_add_score(train_folder *f, const train_score *s);
/* train_folder_sync(): flush metrics.jsonl to the disk, so that no checkpoint is ahead of it. */
int train_folder_sync(train_folder *f);

/* train_setting(): a setting in the JSON object `settings`, or its default, as text.
 * out  out  NULL: it has no value; the caller free()s it */
int train_setting(const char *settings, const char *name, char **out);

/* ---- Validation (train_validate.c) ----------------------------------------------------------- */

enum { TRAIN_TOP = 5, TRAIN_MATRIX = 32, TRAIN_PICTURES = 12, TRAIN_WORDS = 9 };

/* A picture or a caption, and its best matches. */
typedef struct train_ranking {
    int32_t query, rank; /* rank: of the right match, from 0 */
    int n;
    int32_t hit[TRAIN_TOP];
    float cosine[TRAIN_TOP];
} train_ranking;

typedef struct train_validation {
    train_score score;
    eval_data data;
    eval_retrieved found;
    /* for the report */
    int M;                                /* pairs: picture matrix[i], its first caption */
    int32_t matrix[TRAIN_MATRIX];
    float cosine[TRAIN_MATRIX * TRAIN_MATRIX];
    int pictures, words;
    train_ranking picture[TRAIN_PICTURES], word[TRAIN_WORDS];
    size_t thumbnails;
    int32_t *shown;                       /* [thumbnails] pictures in the report, ascending */
    clip_image *thumbnail;                /* [thumbnails] their thumbnails */
} train_validation;

/* train_validation_try(): an error if `spec` cannot be opened. Found before the first epoch, not
 * after it. */
int train_validation_try(const char *settings, const char *spec);

/* train_validate(): measure the folder's checkpoint on the data `spec`.
 * batch  in   pairs in a batch of OpenCLIP's validation loss
 * out    out  free it with train_validation_free(), also after an error */
int train_validate(const cli_args *a, const train_folder *f, const char *spec, int batch, train_validation *out);
void train_validation_free(train_validation *v);

/* train_thumbnail(): the position of a picture's thumbnail in v->thumbnail; -1: it has none. */
long train_thumbnail(const train_validation *v, int32_t picture);

/* ---- The report (report.c, chart.c) ---------------------------------------------------------- */

/* train_report(): write report.html. v NULL: without validation. */
int train_report(const train_folder *f, const clip_train_info *info, const char *state, const train_validation *v);

/* A curve over the steps of the run. */
typedef struct chart_line {
    const char *name, *color; /* a CSS colour */
    const double *x, *y;
    size_t n;
    bool dots;  /* few points, each a measurement */
    bool smooth; /* many noisy points: drawn faint, under a running mean */
} chart_line;

typedef struct chart {
    const char *title;
    const chart_line *line;
    int lines;
    double x_end;
    bool log, percent, from_zero; /* the y axis */
} chart;

void chart_write(FILE *f, const chart *c);

#endif
