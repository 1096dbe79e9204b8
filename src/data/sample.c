/* sample.c: a sample with growing buffers. Also the names and lists that the room's other files
 * share. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/plain.h"
#include "data/data.h"

clip_status clipdat_bytes_reserve(clipdat_bytes *b, size_t n)
{
    return clipb_grow((void **)&b->p, &b->capacity, n + 1, 1);
}

clip_status clipdat_bytes_add(clipdat_bytes *b, const char *p, size_t n)
{
    TRY(clipdat_bytes_reserve(b, b->n + n));
    memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
    return CLIP_OK;
}

void clipdat_sample_clear(clipdat_sample *s)
{
    s->key.n = s->picture.n = 0;
    clipdat_sample_no_captions(s);
}

void clipdat_sample_free(clipdat_sample *s)
{
    free(s->key.p);
    free(s->picture.p);
    free(s->text.p);
    free(s->caption);
    *s = (clipdat_sample){0};
}

void clipdat_sample_no_captions(clipdat_sample *s)
{
    s->text.n = 0;
    s->captions = 0;
}

static bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == 0; }

clip_status clipdat_sample_caption(clipdat_sample *s, const char *text, size_t size)
{
    while (size > 0 && blank(text[size - 1]))
        size--;
    while (size > 0 && blank(*text))
        text++, size--;
    if (size == 0)
        return CLIP_OK;
    const size_t at = s->text.n;
    TRY(clipdat_bytes_add(&s->text, text, size));
    s->text.n++; /* count its 0 */
    for (char *p = s->text.p + at; (p = memchr(p, 0, (size_t)(s->text.p + at + size - p)));)
        *p = ' ';
    s->captions++;
    return CLIP_OK;
}

clip_status clipdat_sample_picture(clipdat_sample *s, const char *path, bool unread, clip_error *err)
{
    unsigned char *data;
    size_t size;
    s->key.n = 0;
    TRY(clipdat_bytes_add(&s->key, path, strlen(path)));
    if (unread)
        return CLIP_OK;
    clip_status status = clipb_read_file(path, CLIPDAT_MAX_PICTURE, &data, &size, err);
    if (status == CLIP_ENOMEM) /* of this file alone; the next may fit */
        return clipb_fail(err, CLIP_EIO, path, "out of memory to read it");
    TRY(status);
    free(s->picture.p);
    s->picture = (clipdat_bytes){(char *)data, size, size + 1};
    return CLIP_OK;
}

clip_status clipdat_sample_finish(clipdat_sample *s, bool unread, clip_error *err)
{
    if (s->picture.n == 0 && !unread)
        return clipb_fail(err, CLIP_EFORMAT, s->key.p, "the picture is empty");
    if (s->captions == 0)
        return clipb_fail(err, CLIP_EFORMAT, s->key.p, "has no caption");
    TRY(clipb_grow((void **)&s->caption, &s->caption_capacity, (size_t)s->captions, sizeof *s->caption));
    const char *p = s->text.p;
    for (int i = 0; i < s->captions; i++, p += strlen(p) + 1)
        s->caption[i] = p;
    return CLIP_OK;
}

int clipdat_picture_rank(const char *ext)
{
    static const char *const extensions[] = {"jpg",  "png",  "jpeg", "webp", "jfif", "gif", "bmp",   "tif",   "tiff",
                                             "heic", "heif", "avif", "pnm",  "ppm",  "pgm", "pbm",   "pam",   "jpe",
                                             "jif",  "mpo",  "hif",  "dib",  "apng", "heics", "avifs"};
    for (int i = 0; i < (int)(sizeof extensions / sizeof *extensions); i++)
        if (strcasecmp_l(ext, extensions[i], clipb_plain()) == 0)
            return i;
    return -1;
}

bool clipdat_is_picture_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && clipdat_picture_rank(dot + 1) >= 0;
}

void clipdat_list_free(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}
