/* train.h: what the files of `clip train` share.
 *
 *     train.c            the command: a run from its beginning or its last checkpoint to its end
 *     train_options.c    the command line: the library's settings and a few of the command's own
 *     train_folder.c     what a run leaves on the disk, and how it is found again
 *     train_validate.c   the model of the last checkpoint on other pairs, by the code of `clip eval retrieval`
 *     report.c, chart.c  a page of all that */
#ifndef TRAIN_H
#define TRAIN_H

#include "eval.h"

/* ---- The command line (train_options.c) ------------------------------------------------------------------ */

typedef struct train_options {
    clip_train_options *settings; /* of the library */
    const char *output, *resume;  /* one of them */
    const char *val_data;         /* NULL: none */
    int save_every;               /* steps; 0: epochs only */
    int save_frequency;           /* epochs whose checkpoint stays; 0: none */
} train_options;

/* train_options_read(): the whole command line. Like cli_next() it may say "stop": *stop, with the code to return. Free what is in *out also
 * after a failure. */
int train_options_read(cli_args *a, train_options *out, bool *stop);
void train_options_free(train_options *o);

/* ---- The folder (train_folder.c) ------------------------------------------------------------------------- */

/* The two kinds of lines of metrics.jsonl. Equal runs have equal ones but for the times. */
typedef struct train_step {
    int64_t step, epoch;
    double loss, lr, scale, grad_norm;
    double batch_time, data_time, time; /* seconds: the step, waiting for data in it, since the run began */
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
    char *path, *run, *metrics, *report, *checkpoint; /* OUT, and run.json, metrics.jsonl, report.html, checkpoint in it */
    char *val_data;                 /* what run.json remembers of the command's own options */
    int save_every, save_frequency;
    char *settings;                 /* the library's, a JSON object */
    int lock;                       /* of the folder */
    bool locked, made;              /* held; the folder is new */
    FILE *log;                      /* metrics.jsonl */
    train_history history;
} train_folder;

/* train_folder_new(): claim OUT for a new run. train_folder_find(): read what a run left there. Free either with train_folder_close(), also
 * after a failure. */
int train_folder_new(const char *path, train_folder *out);
int train_folder_find(const char *path, train_folder *out);
void train_folder_close(train_folder *f);

/* train_folder_begin(): the run has these settings: write run.json, start metrics.jsonl. train_folder_continue(): it is at `step`: what
 * metrics.jsonl says beyond is cut off. */
int train_folder_begin(train_folder *f, const train_options *o, const char *settings);
int train_folder_continue(train_folder *f, int64_t step);

/* train_folder_set(): the settings of run.json into `o`, for a run that was ended before its first checkpoint. */
int train_folder_set(const train_folder *f, clip_train_options *o);
bool train_folder_has_checkpoint(const train_folder *f);

/* Into history and metrics.jsonl. train_folder_sync(): to the disk, so that no checkpoint is ahead of it. */
int train_folder_add_step(train_folder *f, const train_step *s, int batch_size);
int train_folder_add_score(train_folder *f, const train_score *s);
int train_folder_sync(train_folder *f);

/* train_setting(): a setting of the JSON object `settings`, or its default, as text; NULL: it has none. Free() it. */
int train_setting(const char *settings, const char *name, char **out);

/* ---- Validation (train_validate.c) ----------------------------------------------------------------------- */

enum { TRAIN_TOP = 5, TRAIN_MATRIX = 32, TRAIN_PICTURES = 12, TRAIN_WORDS = 9 };

/* One picture or caption and what ranks first for it. */
typedef struct train_ranking {
    int32_t query, rank; /* of the right one, from 0 */
    int n;
    int32_t hit[TRAIN_TOP];
    float cosine[TRAIN_TOP];
} train_ranking;

typedef struct train_validation {
    train_score score;
    eval_data data;
    eval_retrieved found;
    /* for the report */
    int M;                                /* pairs of the matrix: picture matrix[i] with its first caption */
    int32_t matrix[TRAIN_MATRIX];
    float cosine[TRAIN_MATRIX * TRAIN_MATRIX];
    int pictures, words;
    train_ranking picture[TRAIN_PICTURES], word[TRAIN_WORDS];
    size_t thumbnails;
    int32_t *shown;                       /* [thumbnails] ascending: the pictures that the report shows, */
    clip_image *thumbnail;                /* [thumbnails] small */
} train_validation;

/* train_validation_try(): can `spec` be opened? Better known before the first epoch than after it. */
int train_validation_try(const char *settings, const char *spec);

/* train_validate(): embed `spec` with the checkpoint in the folder. batch: OpenCLIP's validation loss is one of batches. Free with
 * train_validation_free(), also after a failure. */
int train_validate(const cli_args *a, const train_folder *f, const char *spec, int batch, train_validation *out);
void train_validation_free(train_validation *v);

/* train_thumbnail(): the place of a picture's in v->thumbnail; -1: not there. */
long train_thumbnail(const train_validation *v, int32_t picture);

/* ---- The report (report.c, chart.c) ---------------------------------------------------------------------- */

/* train_report(): write report.html. v NULL: without validation. */
int train_report(const train_folder *f, const clip_train_info *info, const char *state, const train_validation *v);

/* A curve over the steps of the run. */
typedef struct chart_line {
    const char *name, *color; /* a CSS colour */
    const double *x, *y;
    size_t n;
    bool dots;  /* few points that are measurements of their own */
    bool smooth; /* many noisy ones: they are drawn faint, and a running mean over them */
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
