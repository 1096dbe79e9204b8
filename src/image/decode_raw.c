/* decode_raw.c: the picture in a camera's raw file that the camera made itself: the largest JPEG in
 * the file, turned as the file says.
 *
 * Makers put it in different places, behind offsets in their own notes, but always as a whole JPEG
 * file. So the bytes are searched for a start marker, followed by a chain of segments up to the
 * first scan. A JPEG does not count if the directories call it sensor data or one of several
 * pieces. If there is none of a usable size, LibRaw develops the sensor data (raw_develop.c). */
#include <string.h>

#include "image/decode.h"

/* The least shorter side of a preview that stands for the picture. Thumbnails have about 160 x 120
 * pixels. */
enum { LEAST = 300 };

/* ---- Directories: as in TIFF, with the marks of several makers ---- */

typedef struct tiff {
    const unsigned char *data;
    size_t size;
    bool little, wide; /* wide: BigTIFF */
} tiff;

enum { MOST_PARTS = 32 };

/* What one directory describes. */
typedef struct part {
    uint64_t photometric, compression, pieces;
    uint64_t from, to; /* where its pieces lie */
    bool dng;          /* has a tag that only raw files have */
} part;

static uint64_t integer(const tiff *t, const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[t->little ? bytes - 1 - i : i];
    return v;
}

static bool open_tiff(const clipimg_input *in, tiff *t)
{
    static const char marks[][4] = {{'I', 'I', '*', 0}, {'M', 'M', 0, '*'}, {'I', 'I', '+', 0}, {'M', 'M', 0, '+'},
                                    "IIRO", "IIRS", "MMOR", {'I', 'I', 'U', 0}}; /* Olympus, Panasonic */
    for (size_t i = 0; i < sizeof marks / sizeof *marks && in->size >= 16; i++)
        if (memcmp(in->data, marks[i], 4) == 0) {
            *t = (tiff){in->data, in->size, marks[i][0] == 'I', i == 2 || i == 3};
            return true;
        }
    return false;
}

/* The values of entry e: their number, their size in bytes and their place. NULL if they lie beyond
 * the file or are not whole numbers. */
static const unsigned char *entry_values(const tiff *t, const unsigned char *e, uint64_t *n, int *bytes)
{
    const int at = t->wide ? 12 : 8, room = t->wide ? 8 : 4;
    const uint64_t type = integer(t, e + 2, 2);
    *n = integer(t, e + 4, at - 4);
    static const int sizes[] = {[1] = 1, [3] = 2, [4] = 4, [7] = 1, [13] = 4, [16] = 8, [18] = 8}; /* BYTE, SHORT, .. */
    *bytes = type < sizeof sizes / sizeof *sizes ? sizes[type] : 0;
    if (!*bytes || *n < 1 || *n > t->size / (unsigned)*bytes)
        return NULL;
    if (*n * (unsigned)*bytes <= (unsigned)room)
        return e + at;
    const uint64_t where = integer(t, e + at, room);
    return where <= t->size - *n * (unsigned)*bytes ? t->data + where : NULL;
}

/* Directories that have not been read yet. */
typedef struct todo {
    uint64_t at[MOST_PARTS];
    int n;
} todo;

static void add_directory(todo *d, uint64_t at)
{
    if (at && d->n < MOST_PARTS)
        d->at[d->n++] = at;
}

static void note_pieces(const tiff *t, const unsigned char *v, uint64_t n, int bytes, part *p)
{
    p->pieces = n;
    p->from = UINT64_MAX;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t at = integer(t, v + i * (unsigned)bytes, bytes);
        p->from = at < p->from ? at : p->from;
        p->to = at > p->to ? at : p->to;
    }
}

static void read_entry(const tiff *t, const unsigned char *e, part *p, todo *d)
{
    enum { COMPRESSION = 259, PHOTOMETRIC = 262, STRIPS = 273, TILES = 324, SUB_DIRECTORIES = 330 };
    enum { DNG_VERSION = 50706, PRIVATE_DATA = 50740 };
    uint64_t n;
    int bytes;
    const unsigned char *v = entry_values(t, e, &n, &bytes);
    if (!v)
        return;
    switch (integer(t, e, 2)) {
    case COMPRESSION: p->compression = integer(t, v, bytes); break;
    case PHOTOMETRIC: p->photometric = integer(t, v, bytes); break;
    case STRIPS:
    case TILES: note_pieces(t, v, n, bytes, p); break;
    case SUB_DIRECTORIES:
        for (uint64_t i = 0; i < n && i < MOST_PARTS; i++)
            add_directory(d, integer(t, v + i * (unsigned)bytes, bytes));
        break;
    case DNG_VERSION:
    case PRIVATE_DATA: p->dng = true; break;
    default: break;
    }
}

/* Reads directory 0, the ones that follow it, and the ones below them into out [MOST_PARTS].
 * Returns their number; 0 if the first is damaged. */
static int read_parts(const tiff *t, part *out)
{
    const int head = t->wide ? 8 : 2, entry = t->wide ? 20 : 12, link = t->wide ? 8 : 4;
    todo d = {0};
    int n = 0;
    add_directory(&d, integer(t, t->data + (t->wide ? 8 : 4), link));
    for (; n < d.n; n++) {
        out[n] = (part){0};
        if (d.at[n] > t->size - (unsigned)head) {
            if (n == 0)
                return 0;
            continue;
        }
        const unsigned char *p = t->data + d.at[n];
        const uint64_t entries = integer(t, p, head), fit = (t->size - d.at[n] - (unsigned)head) / (unsigned)entry;
        p += head;
        uint64_t i = 0;
        for (; i < entries && i < fit; i++, p += entry)
            read_entry(t, p, &out[n], &d);
        if (i == entries && (size_t)(t->data + t->size - p) >= (size_t)link)
            add_directory(&d, integer(t, p, link));
        else if (n == 0)
            return 0;
    }
    return n;
}

/* Whether a directory describes a color filter array or linear raw data. */
static bool is_sensor(const part *p) { return p->photometric == 32803 || p->photometric == 34892; }

/* ---- Is it a raw file? ---- */

static bool starts(const clipimg_input *in, size_t at, const char *mark)
{
    const size_t n = strlen(mark);
    return in->size >= at + n && memcmp(in->data + at, mark, n) == 0;
}

/* Most raw files have no mark at the beginning: they are TIFFs that hold sensor data. */
static bool holds_sensor_data(const tiff *t)
{
    /* Compressions of Sony, Epson, Samsung, Nikon, Kodak, and Pentax. */
    static const uint16_t makers[] = {32767, 32769, 32770, 32772, 34713, 65000, 65535};
    part p[MOST_PARTS];
    const int n = read_parts(t, p);
    for (int i = 0; i < n; i++) {
        if (p[i].dng || is_sensor(&p[i]))
            return true;
        for (size_t k = 0; k < sizeof makers / sizeof *makers; k++)
            if (p[i].compression == makers[k])
                return true;
    }
    return false;
}

/* Canon's CRW, Sigma, Minolta: they have no directories, so only LibRaw knows the orientation. */
static bool is_old(const clipimg_input *in)
{
    return starts(in, 6, "HEAPCCDR") || starts(in, 0, "FOVb") || (starts(in, 1, "MRM") && !in->data[0]);
}

bool clipimg_is_raw(const clipimg_input *in)
{
    tiff t;
    if (starts(in, 0, "FUJIFILMCCD-RAW") || (starts(in, 4, "ftyp") && starts(in, 8, "crx ")))
        return true;
    if (is_old(in))
        return true;
    if (!open_tiff(in, &t))
        return false;
    if (in->data[2] == 'R' || in->data[2] == 'U' || in->data[3] == 'R') /* Olympus, Panasonic */
        return true;
    if (starts(in, 8, "CR") || starts(in, 8, "IIII") || starts(in, 8, "MMMM")) /* Canon, Phase One */
        return true;
    return holds_sensor_data(&t);
}

/* ---- The preview ---- */

typedef struct preview {
    const unsigned char *at;
    int width, height;
    bool oriented; /* has an orientation of its own */
} preview;

static bool says_orientation(const unsigned char *s, size_t n)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    if (n >= 6 && memcmp(s, "Exif\0", 6) == 0)
        return clipimg_exif_orientation(s, n) != 0;
    return n > sizeof xmp && memcmp(s, xmp, sizeof xmp) == 0 &&
           clipimg_xmp_orientation((const char *)s + sizeof xmp, n - sizeof xmp) != 0;
}

/* Whether p is a JPEG of 8 bits that is not lossless. Its segments must lead to the first scan. */
static bool is_preview(const unsigned char *p, size_t n, preview *out)
{
    enum { MOST_SEGMENTS = 256, APP1 = 0xE1, SOS = 0xDA };
    *out = (preview){.at = p};
    size_t at = 2;
    for (int i = 0; i < MOST_SEGMENTS && n - at >= 4; i++) {
        const unsigned char *s = p + at;
        const size_t length = clipimg_be16(s + 2);
        if (s[0] != 0xFF || length < 2 || length > n - at - 2)
            return false;
        if (s[1] == SOS)
            return out->width > 0 && out->height > 0;
        if (s[1] >= 0xC0 && s[1] <= 0xC2) {
            if (length < 8 || s[4] != 8)
                return false;
            out->height = clipimg_be16(s + 5);
            out->width = clipimg_be16(s + 7);
        } else if (s[1] < 0xC4 || (s[1] > 0xC4 && s[1] < 0xDA && s[1] != 0xCC)) {
            return false; /* lossless, a second start, or the end */
        } else if (s[1] == APP1 && says_orientation(s + 4, length - 2)) {
            out->oriented = true;
        }
        at += s[1] == 0xFF ? 1 : 2 + length;
    }
    return false;
}

/* Whether a JPEG at this place is sensor data or only a piece of a picture. */
static bool is_piece(const part *p, int n, uint64_t at)
{
    for (int i = 0; i < n; i++)
        if ((is_sensor(&p[i]) || p[i].pieces > 1) && at >= p[i].from && at <= p[i].to)
            return true;
    return false;
}

static bool find_preview(const clipimg_input *in, const part *p, int n, preview *best)
{
    const unsigned char *at = in->data, *end = at + in->size;
    *best = (preview){0};
    while ((at = memmem(at, (size_t)(end - at), "\xff\xd8\xff", 3))) {
        preview one;
        if (is_preview(at, (size_t)(end - at), &one) && !is_piece(p, n, (uint64_t)(at - in->data)) &&
            (int64_t)one.width * one.height > (int64_t)best->width * best->height)
            *best = one;
        at += 2;
    }
    return best->at != NULL;
}

/* The orientation. Canon's CR3 keeps its first directory in a box. Other files have it in directory
 * 0 or in the preview. */
static int orientation_of(const clipimg_input *in)
{
    const unsigned char *box = starts(in, 8, "crx ") ? memmem(in->data, in->size, "CMT1", 4) : NULL;
    const unsigned char *from = box ? box + 4 : in->data;
    const int found = clipimg_exif_orientation(from, in->size - (size_t)(from - in->data));
    return found ? found : 1;
}

static clip_status read_preview(const clipimg_input *in, const preview *p, clip_image *out, int *orientation)
{
    int ignored = 1;
    clipimg_input jpeg = *in;
    jpeg.data = p->at;
    jpeg.size = in->size - (size_t)(p->at - in->data);
    clipimg_note_taken(in, in->data, in->size);
    TRY(clipimg_read_jpeg(&jpeg, out, &ignored)); /* the reader turns it by its own EXIF */
    if (!p->oriented)
        *orientation = orientation_of(in);
    return CLIP_OK;
}

#ifndef HAVE_RAW
clip_status clipimg_develop_raw(const clipimg_input *in, clip_image *out)
{
    (void)out;
    return clipb_fail(in->err, CLIP_EUNSUPPORTED, in->name, "this build has no LibRaw to develop the sensor data");
}
#endif

clip_status clipimg_read_raw(const clipimg_input *in, clip_image *out, int *orientation)
{
    part parts[MOST_PARTS];
    preview p = {0};
    tiff t;
    const bool directories = open_tiff(in, &t);
    const int n = directories ? read_parts(&t, parts) : 0;
    if (directories && n == 0)
        return clipb_fail(in->err, CLIP_EFORMAT, in->name, "RAW: the file is truncated");
    if (!is_old(in) && find_preview(in, parts, n, &p) && p.width >= LEAST && p.height >= LEAST)
        return read_preview(in, &p, out, orientation);
    clip_error why = {0};
    clipimg_input sensor = *in;
    sensor.err = &why;
    sensor.name = NULL;
    const clip_status s = clipimg_develop_raw(&sensor, out);
    if (s == CLIP_OK)
        return s;
    if (p.at)
        return clipb_fail(in->err, s, in->name, "RAW: the largest preview in it has only %d x %d pixels; %s", p.width,
                          p.height, why.message);
    return clipb_fail(in->err, s, in->name, "RAW: no preview in it; %s", why.message);
}
