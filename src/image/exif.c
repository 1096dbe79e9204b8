/* exif.c: the orientation and the date that a camera noted.
 *
 * An EXIF block is a TIFF file without a picture: a header with the byte order and the place of a
 * directory. A directory is a count and entries of 12 bytes (tag, type, count, value or its place).
 * Directory 0 has the orientation and points to the camera's directory, which has the date:
 *
 *     II*\0 at -> [ 274 Orientation
 *                 | 34665 Exif -> [ 36867 DateTimeOriginal "2023:05:17 14:03:21"
 *                                 | 36881 OffsetTimeOriginal "+02:00" ] ] */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "image/decode.h"

enum {
    ORIENTATION = 274,
    EXIF_DIRECTORY = 34665,
    DATE_TAKEN = 36867,
    DATE_DIGITIZED = 36868,
    OFFSET_TAKEN = 36881,
    OFFSET_DIGITIZED = 36882
};
enum {
    BYTE = 1,
    ASCII,
    SHORT,
    LONG,
    RATIONAL,
    SBYTE,
    UNDEFINED,
    SSHORT,
    SLONG,
    SRATIONAL,
    FLOAT,
    DOUBLE,
    IFD,
    LONG8 = 16,
    TYPES
};

static const uint8_t bytes_of[TYPES] = {
    [BYTE] = 1,   [ASCII] = 1, [SHORT] = 2,     [LONG] = 4,  [RATIONAL] = 8, [SBYTE] = 1, [UNDEFINED] = 1,
    [SSHORT] = 2, [SLONG] = 4, [SRATIONAL] = 8, [FLOAT] = 4, [DOUBLE] = 8,   [IFD] = 4,   [LONG8] = 8};

typedef struct block {
    const unsigned char *data;
    size_t size;
    bool little;
} block;

static uint32_t u16(const block *b, const unsigned char *p) { return b->little ? clipimg_le16(p) : clipimg_be16(p); }
static uint32_t u32(const block *b, const unsigned char *p) { return b->little ? clipimg_le32(p) : clipimg_be32(p); }

static uint64_t u64(const block *b, const unsigned char *p)
{
    const uint64_t first = u32(b, p), second = u32(b, p + 4);
    return b->little ? second << 32 | first : first << 32 | second;
}

/* Some writers have the '*' in the wrong order. */
static bool is_tiff(const unsigned char *b)
{
    return (b[0] == 'I' || b[0] == 'M') && b[2] + b[3] == '*' && !(b[2] && b[3]);
}

/* The marks of raw files. */
static bool is_raw(const unsigned char *b)
{
    static const char marks[][4] = {"IIRO", "IIRS", "MMOR", {'I', 'I', 'U', 0}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (memcmp(b, marks[i], 4) == 0)
            return true;
    return false;
}

/* Reads the header. false if this is not EXIF. */
static bool open_block(const unsigned char *exif, size_t size, block *b)
{
    for (int i = 0; i < 2 && size >= 6 && memcmp(exif, "Exif\0", 6) == 0; i++) { /* some writers put it twice */
        exif += 6;
        size -= 6;
    }
    if (size < 8 || exif[0] != exif[1] || !(is_tiff(exif) || is_raw(exif)))
        return false;
    *b = (block){exif, size, exif[0] == 'I'};
    return true;
}

/* One entry of a directory. Its value lies inside the block. */
typedef struct entry {
    uint32_t type, count;
    const unsigned char *value;
} entry;

/* Finds the first sound entry with this tag in the directory at `at`. false if there is none. */
static bool find_entry(const block *b, size_t at, uint32_t tag, entry *out)
{
    if (at > b->size - 2)
        return false;
    const size_t entries = u16(b, b->data + at), fit = (b->size - at - 2) / 12;
    const unsigned char *e = b->data + at + 2;
    for (size_t i = 0; i < entries && i < fit; i++, e += 12) {
        const uint32_t type = u16(b, e + 2), count = u32(b, e + 4);
        const uint64_t bytes = type < TYPES ? (uint64_t)bytes_of[type] * count : 0;
        if (u16(b, e) != tag || bytes == 0)
            continue;
        const size_t from = bytes <= 4 ? (size_t)(e + 8 - b->data) : u32(b, e + 8);
        if (from > b->size || b->size - from < bytes)
            continue;
        *out = (entry){type, count, b->data + from};
        return true;
    }
    return false;
}

/* The entry's first number, whatever its type. NAN for a text. */
static double entry_number(const block *b, const entry *e)
{
    const uint32_t a = bytes_of[e->type] >= 4 ? u32(b, e->value) : 0,
                   z = bytes_of[e->type] == 8 ? u32(b, e->value + 4) : 0;
    const uint64_t both = bytes_of[e->type] == 8 ? u64(b, e->value) : 0;
    float f;
    double d;
    switch (e->type) {
    case SBYTE: return (int8_t)e->value[0];
    case SHORT: return u16(b, e->value);
    case SSHORT: return (int16_t)u16(b, e->value);
    case LONG:
    case IFD: return a;
    case SLONG: return (int32_t)a;
    case RATIONAL: return (double)a / z;
    case SRATIONAL: return (double)(int32_t)a / (int32_t)z;
    case FLOAT: memcpy(&f, &a, sizeof f); return f;
    case DOUBLE: memcpy(&d, &both, sizeof d); return d;
    case LONG8: return (double)both;
    default: return NAN;
    }
}

/* Copies the first `least` characters of a text. false if it is shorter or missing. */
static bool read_text(const block *b, size_t at, uint32_t tag, size_t least, char *out)
{
    entry e;
    if (!find_entry(b, at, tag, &e) || e.type != ASCII || e.count < least || e.count > 64)
        return false;
    memcpy(out, e.value, least);
    out[least] = 0;
    return true;
}

int clipimg_exif_orientation(const unsigned char *exif, size_t size)
{
    block b;
    entry e;
    if (!open_block(exif, size, &b) || !find_entry(&b, u32(&b, b.data + 4), ORIENTATION, &e))
        return 0;
    const double value = e.type == BYTE && e.count == 1 ? e.value[0] : entry_number(&b, &e);
    return value >= 1 && value <= 8 && value == (int)value ? (int)value : 1;
}

/* ---- The date ---- */

/* A number of two or four digits; -1 if there are other characters. */
static int read_digits(const char *p, int n)
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
    *out = (struct tm){.tm_year = read_digits(s, 4),
                       .tm_mon = read_digits(s + 5, 2),
                       .tm_mday = read_digits(s + 8, 2),
                       .tm_hour = read_digits(s + 11, 2),
                       .tm_min = read_digits(s + 14, 2),
                       .tm_sec = read_digits(s + 17, 2),
                       .tm_isdst = -1};
    if (out->tm_year < 1800 || out->tm_mon < 1 || out->tm_mon > 12 || out->tm_mday < 1 || out->tm_mday > 31 ||
        out->tm_hour < 0 || out->tm_hour > 23 || out->tm_min < 0 || out->tm_min > 59 || out->tm_sec < 0 ||
        out->tm_sec > 60)
        return false;
    out->tm_year -= 1900;
    out->tm_mon--;
    return true;
}

/* "+02:00" in seconds. */
static bool parse_offset(const char *s, int64_t *out)
{
    const int hours = read_digits(s + 1, 2), minutes = read_digits(s + 4, 2);
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
    entry e;
    if (!find_entry(&b, u32(&b, b.data + 4), EXIF_DIRECTORY, &e))
        return 0;
    const double place = entry_number(&b, &e);
    if (!(place >= 0 && place < (double)b.size))
        return 0;
    const size_t at = (size_t)place;
    const bool taken = read_text(&b, at, DATE_TAKEN, DATE, date) && parse_date(date, &t);
    if (!taken && !(read_text(&b, at, DATE_DIGITIZED, DATE, date) && parse_date(date, &t)))
        return 0;
    if (read_text(&b, at, taken ? OFFSET_TAKEN : OFFSET_DIGITIZED, OFFSET, offset) && parse_offset(offset, &east))
        return (int64_t)timegm(&t) - east;
    const time_t local = mktime(&t);
    return local == (time_t)-1 ? 0 : (int64_t)local;
}
