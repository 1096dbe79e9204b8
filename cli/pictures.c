/* Batches of pictures on their way to embeddings. Each core decodes one picture at a time and keeps
 * only what the model reads of it, so a batch of huge photos needs the memory of a few. Then all
 * cores work on the encoder. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

cli_batch *cli_batch_new(const cli_session *s)
{
    const size_t each = s->info.picture_floats;
    cli_batch *b = calloc(1, sizeof *b);
    if (b) {
        b->pixels = malloc(CLI_BATCH * each * sizeof(float));
        b->embedding = malloc(CLI_BATCH * s->row * sizeof(float));
    }
    if (!b || !b->pixels || !b->embedding) {
        cli_batch_free(b);
        cli_no_memory();
        return NULL;
    }
    return b;
}

void cli_batch_clear(cli_batch *b)
{
    for (int i = 0; i < b->n; i++) {
        free(b->picture[i].path);
        free(b->picture[i].bytes);
        free(b->picture[i].thumbnail.rgb);
        b->picture[i] = (cli_picture){0};
    }
    b->n = b->sound = 0;
}

void cli_batch_free(cli_batch *b)
{
    if (!b)
        return;
    cli_batch_clear(b);
    free(b->pixels);
    free(b->embedding);
    free(b);
}

/* Turn a file or bytes into the encoder's input. On error p->error says why. Running out of memory
 * counts as an error of this picture. */
static clip_status prepare(const cli_session *s, cli_picture *p, int thumbnail_side, float *pixels)
{
    clip_image_options o = s->image;
    clip_image img;
    o.pipes = p->named;
    clip_status status = p->bytes ? clip_image_decode(p->bytes, p->size, p->path, &o, &img, &p->error)
                                  : clip_image_read(p->path, &o, &img, &p->error);
    if (status < 0)
        return status;
    status = clip_preprocess(s->model, &img, pixels);
    if (status == CLIP_OK && thumbnail_side > 0)
        status = cli_thumbnail(&img, thumbnail_side, &p->thumbnail);
    clip_image_free(&img);
    if (status < 0) {
        p->error.code = status;
        snprintf(p->error.message, sizeof p->error.message, "%s: %s", p->path, clip_status_message(status));
    }
    return status;
}

typedef struct prepare_job {
    const cli_session *s;
    cli_batch *b;
    clip_status status[CLI_BATCH];
} prepare_job;

static void prepare_one(void *user, int64_t i)
{
    prepare_job *j = user;
    const size_t each = j->s->info.picture_floats;
    j->status[i] = prepare(j->s, &j->b->picture[i], j->b->thumbnail_side, j->b->pixels + (size_t)i * each);
}

static clip_status encode(cli_session *s, const float *pixels, int n, float *out)
{
    const clip_hidden hidden = cli_hidden(s, out);
    return s->kind == CLI_LOOK        ? clip_look_pixels(s->ctx, pixels, n, out)
           : s->kind == CLI_EMBEDDING ? clip_encode_pixels(s->ctx, pixels, n, out)
                                      : clip_hidden_pixels(s->ctx, pixels, n, &s->hidden, &hidden);
}

/* Name the picture that makes the batch fail: the one that also fails alone. */
static int tell_failure(cli_session *s, cli_batch *b, clip_status status)
{
    const size_t each = s->info.picture_floats;
    for (int i = 0; status == CLIP_ENOTFINITE && i < b->n; i++)
        if (b->picture[i].row >= 0)
            DO(cli_encoded(s->ctx, encode(s, b->pixels + (size_t)b->picture[i].row * each, 1, b->embedding),
                           b->picture[i].path));
    return cli_encoded(s->ctx, status, "pictures");
}

int cli_batch_encode(cli_session *s, cli_batch *b)
{
    const size_t each = s->info.picture_floats;
    prepare_job j = {.s = s, .b = b};
    const clip_status *status = j.status;
    clip_parallel(s->ctx, b->n, prepare_one, &j);
    b->sound = 0;
    for (int i = 0; i < b->n; i++) {
        b->picture[i].row = status[i] == CLIP_OK ? b->sound++ : -1;
        if (b->picture[i].row >= 0 && b->picture[i].row != i)
            memmove(b->pixels + (size_t)b->picture[i].row * each, b->pixels + (size_t)i * each, each * sizeof(float));
    }
    if (b->sound == 0)
        return CLI_DONE;
    const clip_status encoded = encode(s, b->pixels, b->sound, b->embedding);
    return encoded == CLIP_OK ? CLI_DONE : tell_failure(s, b, encoded);
}

static bool is_named(const cli_source *source, const char *path)
{
    for (size_t i = 0; i < source->pipes.n; i++)
        if (strcmp(source->pipes.item[i], path) == 0)
            return true;
    return false;
}

/* Fill the batch from the source. Once something is in it, do not wait for more. Folders that could
 * not be listed have been reported. *more: the source has not ended. */
static int fill(cli_source *source, cli_batch *b, bool *more)
{
    *more = true;
    while (b->n < CLI_BATCH) {
        char *path = NULL;
        bool named = false;
        if (source->at < source->files.n)
            named = is_named(source, path = source->files.item[source->at++]);
        else if (source->list.open && b->n > 0 && !cli_lines_ready(&source->list))
            break;
        else if (source->list.open)
            DO(cli_lines_next(&source->list, &path));
        if (!path) {
            *more = false;
            break;
        }
        if (!*path) /* a blank line */
            continue;
        cli_picture *p = &b->picture[b->n];
        *p = (cli_picture){.path = strdup(path), .named = named, .row = -1};
        if (!p->path)
            return cli_no_memory();
        b->n++;
        source->given++;
    }
    return CLI_DONE;
}

static int hand_out(cli_session *s, cli_source *source, cli_batch *b, cli_picture_fn each, void *user)
{
    for (int i = 0; i < b->n; i++) {
        cli_picture *p = &b->picture[i];
        if (p->row < 0) {
            cli_fail("%s", p->error.message);
            source->failed++;
        }
        DO(each(user, p, p->row < 0 ? NULL : b->embedding + (size_t)p->row * s->row));
    }
    return CLI_DONE;
}

int cli_each_picture(cli_session *s, cli_source *source, int thumbnail_side, bool quiet, cli_picture_fn each,
                     void *user)
{
    cli_batch *b = cli_batch_new(s);
    if (!b)
        return CLI_FAILED;
    int code = CLI_DONE;
    bool more = true;
    b->thumbnail_side = thumbnail_side;
    if (!quiet)
        cli_progress_start("pictures", source->list.open ? 0 : (long)source->files.n);
    while (more && code == CLI_DONE) {
        cli_batch_clear(b);
        const int list = fill(source, b, &more); /* a list's error is reported after its pictures */
        if (b->n > 0)
            code = cli_batch_encode(s, b);
        if (code == CLI_DONE)
            code = hand_out(s, source, b, each, user);
        if (b->n > 0 && !quiet)
            cli_progress_step(b->n);
        if (code == CLI_DONE)
            code = list;
    }
    cli_progress_end();
    cli_batch_free(b);
    if (code == CLI_DONE && source->given == 0)
        return source->failed > 0 ? CLI_FAILED : cli_fail("%s: the list is empty", source->list.name);
    return code;
}
