/* png_notes.c: the orientation and the date from the chunks of a PNG.
 *
 * EXIF lies in an eXIf chunk. Before there was one, ImageMagick wrote the text "Raw profile type
 * exif": "\nexif\n    1234\n" and the bytes in hexadecimal, over many lines. XMP is the text
 * "XML:com.adobe.xmp". A text is a tEXt, zTXt or iTXt chunk. As in Pillow, EXIF in a text counts
 * only without an eXIf chunk, XMP only if EXIF has no orientation, and the last of several chunks
 * counts.
 *
 * libpng would unpack every text of a file. Here only these two are unpacked, up to a limit. */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "image/decode.h"

enum { MAX_TEXT = 2 << 20 };

typedef struct bytes {
    const unsigned char *data;
    size_t size;
} bytes;

static bool split_at_zero(bytes *from, bytes *head)
{
    const unsigned char *end = from->size ? memchr(from->data, 0, from->size) : NULL;
    if (!end)
        return false;
    *head = (bytes){from->data, (size_t)(end - from->data)};
    from->size -= head->size + 1;
    from->data = end + 1;
    return true;
}

static bool is_word(bytes b, const char *word) { return b.size == strlen(word) && memcmp(b.data, word, b.size) == 0; }

/* Finds the text of a chunk with this keyword. false if it is another chunk. */
static bool find_text(bytes type, bytes chunk, const char *keyword, bytes *text, bool *packed)
{
    bytes key, skipped;
    if ((!is_word(type, "tEXt") && !is_word(type, "zTXt") && !is_word(type, "iTXt")) || !split_at_zero(&chunk, &key) ||
        !is_word(key, keyword))
        return false;
    /* the method, and before it in iTXt whether there is one */
    size_t flags = is_word(type, "tEXt") ? 0 : is_word(type, "zTXt") ? 1 : 2;
    if (chunk.size < flags)
        return false;
    *packed = flags == 1 || (flags == 2 && chunk.data[0] == 1);
    chunk.data += flags;
    chunk.size -= flags;
    if (flags == 2 &&
        (!split_at_zero(&chunk, &skipped) || !split_at_zero(&chunk, &skipped))) /* language, translated keyword */
        return false;
    *text = chunk;
    return true;
}

/* Copies the text, unpacked; free() the copy. */
static clip_status copy_text(bytes text, bool packed, unsigned char **copy, size_t *size)
{
    *size = 0;
    *copy = malloc(packed ? MAX_TEXT : text.size + 1);
    if (!*copy)
        return CLIP_ENOMEM;
    if (!packed) {
        memcpy(*copy, text.data, text.size);
        *size = text.size;
        return CLIP_OK;
    }
    z_stream z = {.next_in = (Bytef *)(uintptr_t)text.data,
                  .avail_in = (uInt)text.size,
                  .next_out = *copy,
                  .avail_out = MAX_TEXT};
    if (inflateInit(&z) != Z_OK)
        return CLIP_ENOMEM;
    const int code = inflate(&z, Z_SYNC_FLUSH);
    *size = MAX_TEXT - z.avail_out;
    inflateEnd(&z);
    return code == Z_MEM_ERROR ? CLIP_ENOMEM : CLIP_OK;
}

/* Converts the hexadecimal digits from the third line on to bytes, in place. */
static size_t unpack_profile(unsigned char *text, size_t size)
{
    size_t n = 0;
    int nibbles = 0, value = 0, lines = 0;
    for (size_t i = 0; i < size; i++) {
        static const char digits[] = "0123456789abcdef";
        lines += text[i] == '\n';
        const char *d = lines < 3 ? NULL : memchr(digits, text[i] | 0x20, 16);
        if (!d)
            continue;
        value = value << 4 | (int)(d - digits);
        if (++nibbles == 2) {
            text[n++] = (unsigned char)value;
            nibbles = value = 0;
        }
    }
    return n;
}

typedef struct note {
    bytes text;
    bool packed;
} note;

static void read_chunks(const clipimg_input *in, bytes *exif, note *profile, note *xmp)
{
    for (size_t at = 8, n; at + 12 <= in->size && (n = clipimg_be32(in->data + at)) <= in->size - at - 12;
         at += 12 + n) {
        const bytes type = {in->data + at + 4, 4}, chunk = {in->data + at + 8, n};
        note found;
        const bool raw = is_word(type, "eXIf"),
                   text = find_text(type, chunk, "Raw profile type exif", &found.text, &found.packed);
        const bool any = raw || text || find_text(type, chunk, "XML:com.adobe.xmp", &found.text, &found.packed);
        if (is_word(type, "IEND"))
            return;
        if (!any || crc32(0, type.data, (uInt)n + 4) != clipimg_be32(chunk.data + n))
            continue;
        if (raw)
            *exif = chunk;
        else
            *(text ? profile : xmp) = found;
    }
}

clip_status clipimg_read_png_notes(const clipimg_input *in, int *orientation)
{
    bytes exif = {0};
    note profile = {0}, xmp = {0};
    unsigned char *copy = NULL;
    size_t size = 0;
    clip_status s = CLIP_OK;
    int o = 0;
    read_chunks(in, &exif, &profile, &xmp);
    if (!exif.data && profile.text.data) {
        s = copy_text(profile.text, profile.packed, &copy, &size);
        exif = (bytes){copy, s == CLIP_OK ? unpack_profile(copy, size) : 0};
    }
    if (exif.data) {
        clipimg_note_taken(in, exif.data, exif.size);
        o = clipimg_exif_orientation(exif.data, exif.size);
    }
    free(copy);
    copy = NULL;
    if (s == CLIP_OK && !o && xmp.text.data && (s = copy_text(xmp.text, xmp.packed, &copy, &size)) == CLIP_OK)
        o = clipimg_xmp_orientation((const char *)copy, size);
    free(copy);
    if (o)
        *orientation = o;
    return s == CLIP_OK ? s : clipb_nomem(in->err, in->name);
}
