/* Batches of pictures on their way to embeddings. The cores decode one picture each and keep only what the model reads of it,
 * so a batch of huge photos needs the room of a few; then all of them work on the encoder. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

cli_batch *cli_batch_new(const cli_session *s)
{
    const size_t each = 3 * (size_t)s->info.image_size * (size_t)s->info.image_size;
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

/* From file or bytes to what the encoder reads. On failure p->error says why. */
static clip_status prepare(const cli_session *s, cli_picture *p, int thumbnail_side, float *pixels)
{
    clip_image img;
    clip_status status = p->bytes ? clip_image_decode(p->bytes, p->size, p->path, &s->image, &img, &p->error)
                                  : clip_image_read(p->path, &s->image, &img, &p->error);
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
    const size_t each = 3 * (size_t)j->s->info.image_size * (size_t)j->s->info.image_size;
    j->status[i] = prepare(j->s, &j->b->picture[i], j->b->thumbnail_side, j->b->pixels + (size_t)i * each);
}

int cli_batch_encode(cli_session *s, cli_batch *b)
{
    const size_t each = 3 * (size_t)s->info.image_size * (size_t)s->info.image_size;
    prepare_job j = {.s = s, .b = b};
    const clip_status *status = j.status;
    clip_parallel(s->ctx, b->n, prepare_one, &j);
    b->sound = 0;
    for (int i = 0; i < b->n; i++) {
        if (status[i] == CLIP_ENOMEM)
            return cli_fail("%s", b->picture[i].error.message);
        b->picture[i].row = status[i] == CLIP_OK ? b->sound++ : -1;
        if (b->picture[i].row >= 0 && b->picture[i].row != i)
            memmove(b->pixels + (size_t)b->picture[i].row * each, b->pixels + (size_t)i * each, each * sizeof(float));
    }
    if (b->sound == 0)
        return CLI_DONE;
    if (s->kind == CLI_LOOK)
        return cli_status(clip_look_pixels(s->ctx, b->pixels, b->sound, b->embedding), "pictures");
    const clip_hidden hidden = cli_hidden(s, b->embedding);
    return cli_status(s->kind == CLI_EMBEDDING ? clip_encode_pixels(s->ctx, b->pixels, b->sound, b->embedding)
                                               : clip_hidden_pixels(s->ctx, b->pixels, b->sound, &s->hidden, &hidden), "pictures");
}

/* Fill the batch from the source; what cannot be listed has been reported. */
static int fill(cli_source *source, cli_batch *b)
{
    while (b->n < CLI_BATCH) {
        char *path = NULL;
        if (source->at < source->files.n)
            path = source->files.item[source->at++];
        else if (source->list.f)
            DO(cli_lines_next(&source->list, &path));
        if (!path)
            break;
        if (!*path) /* a blank line */
            continue;
        cli_picture *p = &b->picture[b->n];
        *p = (cli_picture){.path = strdup(path), .row = -1};
        if (!p->path)
            return cli_no_memory();
        b->n++;
    }
    source->given += b->n;
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

int cli_each_picture(cli_session *s, cli_source *source, int thumbnail_side, bool quiet, cli_picture_fn each, void *user)
{
    cli_batch *b = cli_batch_new(s);
    if (!b)
        return CLI_FAILED;
    int code, n;
    b->thumbnail_side = thumbnail_side;
    if (!quiet)
        cli_progress_start("pictures", source->list.f ? 0 : (long)source->files.n);
    do {
        cli_batch_clear(b);
        code = fill(source, b);
        n = b->n;
        if (code == CLI_DONE && n > 0)
            code = cli_batch_encode(s, b);
        if (code == CLI_DONE)
            code = hand_out(s, source, b, each, user);
        if (n > 0 && !quiet)
            cli_progress_step(n);
    } while (code == CLI_DONE && n == CLI_BATCH);
    cli_progress_end();
    cli_batch_free(b);
    if (code == CLI_DONE && source->given == 0)
        return source->failed > 0 ? CLI_FAILED : cli_fail("%s: the list is empty", source->list.name);
    return code;
}
