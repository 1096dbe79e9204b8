/* exif.c: what a camera noted: how it was held, and when the picture was taken.
 *
 * An EXIF block is a TIFF file without a picture: a header with the byte order and the place of a directory; a directory is a count and
 * entries of 12 bytes (tag, type, count, value or its place). Directory 0 has the orientation and points to the camera's own, with the date:
 *
 *     II*\0 at -> [ 274 Orientation | 34665 Exif -> [ 36867 DateTimeOriginal "2023:05:17 14:03:21" | 36881 OffsetTimeOriginal "+02:00" ] ] */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "image/decode.h"

enum { ORIENTATION = 274, EXIF_DIRECTORY = 34665, DATE_TAKEN = 36867, DATE_DIGITIZED = 36868, OFFSET_TAKEN = 36881, OFFSET_DIGITIZED = 36882 };
enum { ASCII = 2, SHORT = 3, LONG = 4 };

typedef struct block {
    const unsigned char *data;
    size_t size;
    bool little;
} block;

static uint32_t u16(const block *b, const unsigned char *p) { return b->little ? clipimg_le16(p) : clipimg_be16(p); }
static uint32_t u32(const block *b, const unsigned char *p) { return b->little ? clipimg_le32(p) : clipimg_be32(p); }

/* The header; false: this is no EXIF. */
static bool open_block(const unsigned char *exif, size_t size, block *b)
{
    for (int i = 0; i < 2 && size >= 6 && memcmp(exif, "Exif\0", 6) == 0; i++) { /* some writers put it twice */
        exif += 6;
        size -= 6;
    }
    static const char marks[][4] = {{'I', 'I', '*', 0}, {'M', 'M', 0, '*'}, "IIRO", "IIRS", "MMOR", {'I', 'I', 'U', 0}}; /* and those of raw files */
    size_t i = 0;
    while (i < sizeof marks / sizeof *marks && (size < 8 || memcmp(exif, marks[i], 4) != 0))
        i++;
    if (i == sizeof marks / sizeof *marks)
        return false;
    *b = (block){exif, size, exif[0] == 'I'};
    return true;
}

/* The first entry of the directory at `at` with this tag, one of the types of `types` (a bit each) and a count in [1, most]; NULL: none. */
static const unsigned char *find(const block *b, size_t at, uint32_t tag, unsigned types, uint32_t most)
{
    if (at > b->size - 2)
        return NULL;
    const size_t entries = u16(b, b->data + at), fit = (b->size - at - 2) / 12;
    const unsigned char *e = b->data + at + 2;
    for (size_t i = 0; i < entries && i < fit; i++, e += 12) {
        const uint32_t type = u16(b, e + 2), count = u32(b, e + 4);
        if (u16(b, e) == tag && type < 32 && (types >> type & 1) && count >= 1 && count <= most)
            return e;
    }
    return NULL;
}

static uint32_t number(const block *b, const unsigned char *e) { return u16(b, e + 2) == SHORT ? u16(b, e + 8) : u32(b, e + 8); }

/* A text of at least `least` characters; what is behind them is cut off. */
static bool text(const block *b, size_t at, uint32_t tag, size_t least, char *out)
{
    const unsigned char *e = find(b, at, tag, 1u << ASCII, 64);
    if (!e || u32(b, e + 4) < least)
        return false;
    const size_t from = u32(b, e + 4) <= 4 ? (size_t)(e + 8 - b->data) : u32(b, e + 8);
    if (from > b->size || b->size - from < least)
        return false;
    memcpy(out, b->data + from, least);
    out[least] = 0;
    return true;
}

int clipimg_exif_orientation(const unsigned char *exif, size_t size)
{
    block b;
    if (!open_block(exif, size, &b))
        return 0;
    const unsigned char *e = find(&b, u32(&b, b.data + 4), ORIENTATION, 1u << SHORT | 1u << LONG, 1);
    const uint32_t value = e ? number(&b, e) : 0;
    return value >= 1 && value <= 8 ? (int)value : 0;
}

/* ---- The date -------------------------------------------------------------------------------------------------- */

/* Two digits, or four; -1: they are none. */
static int digits(const char *p, int n)
{
    int v = 0;
    for (; n > 0; n--, p++) {
        if (*p < '0' || *p > '9')
            return -1;
        v = 10 * v + *p - '0';
    }
    return v;
}

/* "2023:05:17 14:03:21". Cameras whose clock was never set write zeros or blanks. */
static bool parse_date(const char *s, struct tm *out)
{
    *out = (struct tm){.tm_year = digits(s, 4), .tm_mon = digits(s + 5, 2), .tm_mday = digits(s + 8, 2), .tm_hour = digits(s + 11, 2),
                       .tm_min = digits(s + 14, 2), .tm_sec = digits(s + 17, 2), .tm_isdst = -1};
    if (out->tm_year < 1800 || out->tm_mon < 1 || out->tm_mon > 12 || out->tm_mday < 1 || out->tm_mday > 31 || out->tm_hour < 0 ||
        out->tm_hour > 23 || out->tm_min < 0 || out->tm_min > 59 || out->tm_sec < 0 || out->tm_sec > 60)
        return false;
    out->tm_year -= 1900;
    out->tm_mon--;
    return true;
}

/* "+02:00" in seconds. */
static bool parse_offset(const char *s, int64_t *out)
{
    const int hours = digits(s + 1, 2), minutes = digits(s + 4, 2);
    if ((*s != '+' && *s != '-') || hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
        return false;
    *out = (*s == '-' ? -60 : 60) * (60 * hours + minutes);
    return true;
}

int64_t clipimg_exif_taken(const unsigned char *exif, size_t size)
{
    enum { DATE = 19, OFFSET = 6 };
    char date[DATE + 1], offset[OFFSET + 1];
    struct tm t;
    int64_t east;
    block b;
    if (!open_block(exif, size, &b))
        return 0;
    const unsigned char *e = find(&b, u32(&b, b.data + 4), EXIF_DIRECTORY, 1u << LONG, 1);
    if (!e)
        return 0;
    const size_t at = number(&b, e);
    const bool taken = text(&b, at, DATE_TAKEN, DATE, date) && parse_date(date, &t);
    if (!taken && !(text(&b, at, DATE_DIGITIZED, DATE, date) && parse_date(date, &t)))
        return 0;
    if (text(&b, at, taken ? OFFSET_TAKEN : OFFSET_DIGITIZED, OFFSET, offset) && parse_offset(offset, &east))
        return (int64_t)timegm(&t) - east;
    const time_t local = mktime(&t);
    return local == (time_t)-1 ? 0 : (int64_t)local;
}
