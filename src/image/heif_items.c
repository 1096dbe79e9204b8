/* heif_items.c: what lies in a HEIC or AVIF file, and which of it is needed.
 *
 * A HEIF file is a tree of boxes (32-bit size, four letters, contents). The box "meta" lists items:
 * pictures, their tiles, thumbnails, EXIF. Each of its boxes says one thing of all items:
 *
 *     pitm  the primary picture
 *     iinf  an "infe" for each item: id and type
 *     iloc  where an item's bytes lie
 *     iprp  ipco: a list of properties; ipma: which items have which
 *     iref  dimg: is made of; thmb: is a thumbnail of; auxl: e.g. alpha of; cdsc: describes
 *
 * libheif reads every item when a file is opened, and fails on a fault in any of them. It follows
 * references without a bound. It also applies properties in the order of the list, although the
 * size of a picture always means the size before it is turned. So this pass works on a copy of the
 * file. It hides every item that is not needed ("infe" becomes "free"), moves the properties that
 * turn or crop to the end, and refuses a file that would take too long. */
#include "image/heif_items.h"

#include <stdlib.h>
#include <string.h>

enum { IDS = 1 << 16, PROPERTIES = 1 << 15, MAX_DEPTH = 8, MAX_DECODED_ITEMS = 4096, MAX_NOTE_BYTES = 16 << 20 };

#define FOURCC(s) ((uint32_t)(s)[0] << 24 | (uint32_t)(s)[1] << 16 | (uint32_t)(s)[2] << 8 | (uint32_t)(s)[3])

/* A part of the file. `bad` is set by a read beyond its end. */
typedef struct part {
    unsigned char *data;
    size_t head, at, end; /* head: where the box begins whose contents this is */
    bool bad;
} part;

typedef struct item {
    size_t infe;        /* where the letters of its infe are */
    size_t made_of;     /* where the list of its parts is */
    size_t properties;  /* where its list in ipma is */
    bool wide;          /* properties have 16 bits */
    size_t data, first; /* where its data begin, and the length of the first piece */
    size_t bytes;       /* length of all pieces */
    bool placed, sound; /* sound: the data lie in the file */
    uint32_t type, width, height;
    clipimg_size coded;                             /* size of its coded data, by the properties */
    uint16_t thumbnail_of, auxiliary_of, describes; /* 0: nothing */
    bool turned, alpha, needed, on_path;
} item;

typedef struct table {
    const clipimg_input *in;
    unsigned char *data; /* the copy */
    part idat, references;
    uint64_t primary;
    unsigned last; /* the largest id */
    bool wide_ids; /* ids in iref have 32 bits */
    size_t properties, decoded;
    uint64_t pixels, canvases; /* pixels to decode, and pixels to put together */
    struct property {
        size_t at, bytes;
        uint32_t type;
    } property[PROPERTIES]; /* [0] means none */
    item item[IDS];
} table;

static clip_status damaged(const table *t, const char *what)
{
    return clipb_fail(t->in->err, CLIP_EFORMAT, t->in->name, "HEIF: %s", what);
}

/* ---- boxes ---- */

static uint64_t read_number(part *p, unsigned bytes)
{
    uint64_t v = 0;
    if (p->end - p->at < bytes) {
        p->bad = true;
        p->at = p->end;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p->data[p->at++];
    return v;
}

/* Finds the next box of `p`. false if there is none. A box that reaches beyond `p` is cut off, as
 * in a truncated file. */
static bool next_box(part *p, uint32_t *type, part *body)
{
    const size_t start = p->at;
    if (p->end - start < 8)
        return false;
    uint64_t size = read_number(p, 4);
    *type = (uint32_t)read_number(p, 4);
    if (size == 1)
        size = read_number(p, 8);
    if (*type == FOURCC("uuid"))
        read_number(p, 16);
    if (size == 0 || size > p->end - start)
        size = p->end - start;
    if (p->bad || size < p->at - start)
        return false;
    *body = (part){p->data, start, p->at, start + (size_t)size, false};
    p->at = start + (size_t)size;
    return true;
}

/* Finds the first box of this type in p. */
static bool find_box(part p, const char *type, part *body)
{
    for (uint32_t t; next_box(&p, &t, body);)
        if (t == FOURCC(type))
            return true;
    return false;
}

static item *item_of(table *t, uint64_t id) { return id > 0 && id < IDS && t->item[id].infe ? &t->item[id] : NULL; }

/* ---- reading the table ---- */

static void hide(const table *t, size_t infe) { memcpy(t->data + infe, "free", 4); }

static bool read_infos(table *t, part p)
{
    part body;
    const uint64_t version = read_number(&p, 4) >> 24;
    read_number(&p, version == 0 ? 2 : 4);
    for (uint32_t type; next_box(&p, &type, &body);) {
        if (type != FOURCC("infe"))
            continue;
        const size_t letters = body.head + 4;
        const uint64_t v = read_number(&body, 4) >> 24, id = v >= 2 ? read_number(&body, v == 2 ? 2 : 4) : 0;
        read_number(&body, 2);
        const uint32_t kind = (uint32_t)read_number(&body, 4);
        if (body.bad || id < 1 || id >= IDS || t->item[id].infe)
            hide(t, letters);
        else {
            t->item[id] = (item){.infe = letters, .type = kind};
            t->last = id > t->last ? (unsigned)id : t->last;
        }
    }
    return !p.bad;
}

static bool read_extents(table *t, part *p, unsigned method, uint64_t base, const unsigned *sizes, item *i)
{
    enum { MOST = 32 }; /* libheif's */
    const uint64_t n = read_number(p, 2);
    const size_t from = method == 1 ? t->idat.at : 0, end = method == 1 ? t->idat.end : t->in->size;
    i->sound = method <= 1 && n <= MOST;
    for (uint64_t k = 0; k < n && !p->bad; k++) {
        read_number(p, sizes[3]);
        const uint64_t offset = read_number(p, sizes[0]), length = read_number(p, sizes[1]);
        if (base > end - from || offset > end - from - base || length > end - from - base - offset) {
            i->sound = false;
            continue;
        }
        if (k == 0) {
            i->data = from + (size_t)(base + offset);
            i->first = (size_t)length;
        }
        i->bytes += (size_t)length;
    }
    return !p->bad;
}

static bool read_places(table *t, part p)
{
    const uint64_t version = read_number(&p, 4) >> 24, nibbles = read_number(&p, 2);
    const unsigned sizes[4] = {nibbles >> 12 & 15, nibbles >> 8 & 15, nibbles >> 4 & 15,
                               version == 1 || version == 2 ? nibbles & 15 : 0};
    if (sizes[0] > 8 || sizes[1] > 8 || sizes[2] > 8 || sizes[3] > 8)
        return false;
    const uint64_t n = read_number(&p, version < 2 ? 2 : 4);
    for (uint64_t k = 0; k < n && !p.bad; k++) {
        item other = {0}, *i = item_of(t, read_number(&p, version < 2 ? 2 : 4));
        if (!i || i->placed)
            i = &other;
        i->placed = true;
        const unsigned method = version == 1 || version == 2 ? read_number(&p, 2) & 15 : 0;
        read_number(&p, 2);
        const uint64_t base = read_number(&p, sizes[2]);
        if (!read_extents(t, &p, method, base, sizes, i))
            return false;
    }
    return !p.bad;
}

static bool turns(uint32_t type) { return type == FOURCC("irot") || type == FOURCC("imir") || type == FOURCC("clap"); }

static void note_property(const table *t, item *i, unsigned index)
{
    static const char *const alpha[] = {"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", "urn:mpeg:hevc:2015:auxid:1",
                                        "urn:mpeg:avc:2015:auxid:1"};
    const uint32_t type = t->property[index].type;
    const size_t bytes = t->property[index].bytes;
    const unsigned char *p = t->data + t->property[index].at;
    if (type == FOURCC("ispe") && bytes >= 12) {
        i->width = clipimg_be32(p + 4);
        i->height = clipimg_be32(p + 8);
    } else if (type == FOURCC("hvcC"))
        i->coded = clipimg_hevc_config_size(p, bytes);
    else if (type == FOURCC("av1C") && bytes > 4)
        i->coded = clipimg_av1_size(p + 4, bytes - 4);
    else if (type == FOURCC("irot") || type == FOURCC("imir"))
        i->turned = true;
    else if (type == FOURCC("auxC"))
        for (size_t k = 0; k < 3; k++)
            if (bytes >= 5 + strlen(alpha[k]) && memcmp(p + 4, alpha[k], strlen(alpha[k]) + 1) == 0)
                i->alpha = true;
}

/* Sorts one item's list in ipma: properties that turn or crop go to the end and keep their
 * order. */
static bool read_item_properties(table *t, part *p, uint64_t id, bool wide)
{
    const unsigned bytes = wide ? 2 : 1, mask = wide ? 0x7FFF : 0x7F, n = (unsigned)read_number(p, 1);
    const size_t list = p->at;
    unsigned value[255], sorted[255], k = 0;
    item *i = item_of(t, id);
    for (unsigned j = 0; j < n; j++)
        value[j] = (unsigned)read_number(p, bytes);
    if (p->bad)
        return false;
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned j = 0; j < n; j++)
            if (turns(t->property[value[j] & mask].type) == (pass == 1))
                sorted[k++] = value[j];
    for (unsigned j = 0; j < n; j++) {
        unsigned char *to = t->data + list + j * bytes;
        if (bytes == 2)
            *to++ = (unsigned char)(sorted[j] >> 8);
        *to = (unsigned char)sorted[j];
        if (i && !i->properties)
            note_property(t, i, sorted[j] & mask);
    }
    if (i && !i->properties) {
        i->properties = list - 1;
        i->wide = wide;
    }
    return true;
}

static bool read_properties(table *t, part p)
{
    part box, body;
    if (!find_box(p, "ipco", &box))
        return false;
    for (uint32_t type; t->properties + 1 < PROPERTIES && next_box(&box, &type, &body);)
        t->property[++t->properties] = (struct property){body.at, body.end - body.at, type};
    for (uint32_t type; next_box(&p, &type, &body);) {
        if (type != FOURCC("ipma"))
            continue;
        const uint64_t head = read_number(&body, 4), n = read_number(&body, 4);
        for (uint64_t k = 0; k < n && !body.bad && body.at < body.end; k++)
            if (!read_item_properties(t, &body, read_number(&body, head >> 24 ? 4 : 2), head & 1))
                return false;
    }
    return true;
}

/* A box with anything but the list it announces is refused: libheif would read it differently. */
static bool read_references(table *t)
{
    part p = t->references, box;
    if (!p.data)
        return true;
    t->wide_ids = read_number(&p, 4) >> 24;
    const unsigned bytes = t->wide_ids ? 4 : 2;
    for (uint32_t type; next_box(&p, &type, &box);) {
        item *i = item_of(t, read_number(&box, bytes));
        const size_t list = box.at;
        const uint64_t n = read_number(&box, 2), first = n ? read_number(&box, bytes) : 0;
        if (box.bad || (n > 1 && box.end - box.at != (n - 1) * bytes) || (n <= 1 && box.end != box.at))
            return false;
        const uint16_t to = n == 1 && first < IDS ? (uint16_t)first : 0;
        if (i && type == FOURCC("dimg") && !i->made_of)
            i->made_of = list;
        else if (i && type == FOURCC("thmb"))
            i->thumbnail_of = to;
        else if (i && type == FOURCC("auxl"))
            i->auxiliary_of = to;
        else if (i && type == FOURCC("cdsc"))
            i->describes = to;
    }
    return !p.bad;
}

static clip_status read_table(table *t)
{
    part file = {.data = t->data, .end = t->in->size}, meta = {0}, body, infos, places, properties, primary;
    for (uint32_t type; next_box(&file, &type, &body);)
        if (type == FOURCC("meta"))
            meta = body;
    if (!meta.data)
        return damaged(t, "no table of contents ('meta')");
    read_number(&meta, 4);
    if (!find_box(meta, "pitm", &primary) || !find_box(meta, "iinf", &infos) || !find_box(meta, "iloc", &places) ||
        !find_box(meta, "iprp", &properties))
        return damaged(t, "the table of contents ('meta') is cut short");
    if (!find_box(meta, "idat", &t->idat))
        t->idat = (part){0};
    if (!find_box(meta, "iref", &t->references))
        t->references = (part){0};
    t->primary = read_number(&primary, read_number(&primary, 4) >> 24 ? 4 : 2);
    if (!read_infos(t, infos) || !read_places(t, places) || !read_properties(t, properties) || !read_references(t))
        return damaged(t, "the table of contents ('meta') is damaged");
    return item_of(t, t->primary) ? CLIP_OK : damaged(t, "no primary picture");
}

/* ---- what is needed ---- */

static bool is_coded(uint32_t type)
{
    return type == FOURCC("hvc1") || type == FOURCC("av01") || type == FOURCC("vvc1");
}

static bool is_derived(uint32_t type)
{
    return type == FOURCC("grid") || type == FOURCC("iovl") || type == FOURCC("iden");
}

static int printable(uint32_t c) { return (c & 255) >= ' ' && (c & 255) < 127 ? (int)(c & 255) : '?'; }

/* Checks the own size of a grid or an overlay. libheif makes a picture of that size, whatever the
 * properties say. */
static clip_status check_canvas(table *t, const item *i)
{
    const unsigned char *p = t->data + i->data;
    const size_t at = i->type == FOURCC("grid") ? 4 : 10, bytes = i->first > 1 && p[1] & 1 ? 4 : 2;
    if (i->type == FOURCC("iden"))
        return CLIP_OK;
    if (!i->sound || i->first < at + 2 * bytes)
        return damaged(t, "the data of a tiled picture are damaged");
    const uint64_t w = bytes == 4 ? clipimg_be32(p + at) : clipimg_be16(p + at);
    const uint64_t h = bytes == 4 ? clipimg_be32(p + at + 4) : clipimg_be16(p + at + 2);
    TRY(clipimg_allow(t->in, w, h));
    t->canvases += w * h;
    return CLIP_OK;
}

/* Checks that coded data are not much larger than the declared size. Decoders round up to whole
 * blocks. */
static clip_status check_coded(table *t, item *i)
{
    enum { FILLING = 1 << 20 };
    const unsigned char *p = t->data + i->data;
    const clipimg_size size = !i->sound                   ? (clipimg_size){0}
                              : i->type == FOURCC("av01") ? clipimg_av1_size(p, i->first)
                                                          : clipimg_hevc_data_size(p, i->first);
    const uint64_t said = (uint64_t)i->width * i->height, found = (uint64_t)size.width * size.height;
    const uint64_t most =
        found > (uint64_t)i->coded.width * i->coded.height ? found : (uint64_t)i->coded.width * i->coded.height;
    if (most > 2 * said + FILLING)
        return damaged(t, "the coded picture is far larger than its declared size");
    t->pixels += most > said ? most : said;
    return CLIP_OK;
}

static clip_status mark_item(table *t, uint64_t id, int depth);

static clip_status mark_parts(table *t, const item *i, int depth)
{
    part p = {.data = t->data, .at = i->made_of, .end = t->in->size};
    const uint64_t n = i->made_of ? read_number(&p, 2) : 0;
    TRY(check_canvas(t, i));
    for (uint64_t k = 0; k < n; k++)
        TRY(mark_item(t, read_number(&p, t->wide_ids ? 4 : 2), depth + 1));
    return CLIP_OK;
}

/* Marks an item and everything that it is made of, and adds up the work. */
static clip_status mark_item(table *t, uint64_t id, int depth)
{
    item *i = item_of(t, id);
    const uint64_t most = t->in->max_pixels < INT64_MAX / 4 ? 2 * (uint64_t)t->in->max_pixels + (1 << 26) : INT64_MAX;
    if (!i)
        return damaged(t, "a part of the picture is missing");
    if (i->on_path || depth > MAX_DEPTH)
        return damaged(t, "a picture contains itself");
    if (!is_coded(i->type) && !is_derived(i->type))
        return clipb_fail(t->in->err, CLIP_EUNSUPPORTED, t->in->name,
                          "HEIF: pictures of the type '%c%c%c%c' are not supported", printable(i->type >> 24),
                          printable(i->type >> 16), printable(i->type >> 8), printable(i->type));
    if (i->width || i->height)
        TRY(clipimg_allow(t->in, i->width, i->height));
    i->needed = i->on_path = true;
    clip_status s = is_derived(i->type) ? mark_parts(t, i, depth) : check_coded(t, i);
    i->on_path = false;
    if (s == CLIP_OK && (++t->decoded > MAX_DECODED_ITEMS || t->pixels > most || t->canvases > most))
        return clipb_fail(t->in->err, CLIP_ELIMIT, t->in->name, "HEIF: the picture has too many parts");
    return s;
}

/* The next property of a kind in an item's list; NULL at the end. */
static const struct property *next_property(const table *t, const item *i, part *list, unsigned *left,
                                            bool (*kind)(uint32_t))
{
    while ((*left)-- > 0) {
        const struct property *p = &t->property[read_number(list, i->wide ? 2 : 1) & (i->wide ? 0x7FFF : 0x7F)];
        if (kind(p->type))
            return p;
    }
    *left = 0;
    return NULL;
}

/* Whether a and b have the same properties of a kind, in the same order. */
static bool same_properties(const table *t, const item *a, const item *b, bool (*kind)(uint32_t))
{
    if (!a->properties || !b->properties)
        return false;
    part of_a = {.data = t->data, .at = a->properties, .end = t->in->size}, of_b = of_a;
    of_b.at = b->properties;
    unsigned left_a = (unsigned)read_number(&of_a, 1), left_b = (unsigned)read_number(&of_b, 1);
    for (;;) {
        const struct property *p = next_property(t, a, &of_a, &left_a, kind),
                              *q = next_property(t, b, &of_b, &left_b, kind);
        if (!p || !q)
            return p == q;
        if (p != q &&
            (p->type != q->type || p->bytes != q->bytes || memcmp(t->data + p->at, t->data + q->at, p->bytes) != 0))
            return false;
    }
}

static bool is_crop(uint32_t type) { return type == FOURCC("clap"); }
static bool is_turn(uint32_t type) { return type == FOURCC("irot") || type == FOURCC("imir"); }

/* A thumbnail must be turned and cropped like its picture to show the same. */
static bool good_thumbnail(const table *t, const item *i)
{
    const item *of = &t->item[t->primary];
    return i->thumbnail_of == t->primary && i->sound && is_coded(i->type) &&
           (uint64_t)i->width * i->height <= (uint64_t)of->width * of->height && same_properties(t, i, of, is_turn) &&
           same_properties(t, i, of, is_crop);
}

static bool good_note(const table *t, const item *i)
{
    return i->describes == t->primary && i->sound && i->bytes <= MAX_NOTE_BYTES &&
           (i->type == FOURCC("Exif") || i->type == FOURCC("mime"));
}

static clip_status mark_needed(table *t, unsigned keep)
{
    TRY(mark_item(t, t->primary, 0));
    for (unsigned id = 1; id <= t->last; id++) {
        item *i = item_of(t, id);
        if (!i || i->needed)
            continue;
        if ((keep & HEIF_THUMBNAILS && good_thumbnail(t, i) && check_coded(t, i) == CLIP_OK) ||
            (keep & HEIF_NOTES && good_note(t, i)))
            i->needed = true;
        else if (i->alpha && item_of(t, i->auxiliary_of) && t->item[i->auxiliary_of].needed &&
                 (keep & HEIF_ALPHA || i->auxiliary_of != t->primary))
            TRY(mark_item(t, id, 1));
    }
    return CLIP_OK;
}

/* Hides references from and to hidden items. The parts of a picture have been checked before. */
static void hide_references(table *t)
{
    part p = t->references, box;
    read_number(&p, 4);
    for (uint32_t type; next_box(&p, &type, &box);) {
        const unsigned bytes = t->wide_ids ? 4 : 2;
        const item *from = item_of(t, read_number(&box, bytes));
        const uint64_t n = read_number(&box, 2);
        const item *to = n == 1 ? item_of(t, read_number(&box, bytes)) : NULL;
        const bool kept =
            from && from->needed && to && to->needed && !(type == FOURCC("thmb") && from == &t->item[t->primary]);
        if (type != FOURCC("dimg") && !kept)
            hide(t, box.head + 4);
    }
}

/* Chooses tiles from the beginning, the middle and the end of a grid. Tiles are hidden pictures;
 * the chosen ones become visible, so that libheif decodes them on their own. */
static void choose_samples(table *t, clipimg_heif_plan *plan)
{
    const item *i = &t->item[t->primary];
    part p = {.data = t->data, .at = i->made_of, .end = t->in->size};
    const unsigned char *grid = t->data + i->data;
    const unsigned n = i->made_of ? (unsigned)read_number(&p, 2) : 0, bytes = t->wide_ids ? 4 : 2;
    if (i->type != FOURCC("grid") || n != (grid[2] + 1u) * (grid[3] + 1u))
        return;
    const bool wide = grid[1] & 1;
    plan->width = wide ? clipimg_be32(grid + 4) : clipimg_be16(grid + 4);
    plan->height = wide ? clipimg_be32(grid + 8) : clipimg_be16(grid + 6);
    for (int k = 0; k < HEIF_SAMPLES; k++) {
        const unsigned at = (n - 1) * (1 + 2 * (unsigned)k) / (2 * HEIF_SAMPLES), columns = grid[3] + 1u;
        part q = {.data = t->data, .at = p.at + (size_t)at * bytes, .end = t->in->size};
        const uint64_t id = read_number(&q, bytes);
        t->data[t->item[id].infe + 7] &= 0xFE;
        plan->sample[k].id = (uint16_t)id;
        plan->sample[k].column = at % columns;
        plan->sample[k].row = at / columns;
    }
    plan->samples = HEIF_SAMPLES;
}

clip_status clipimg_heif_trim(const clipimg_input *in, unsigned keep, clipimg_heif_plan *plan)
{
    table *t = calloc(1, sizeof *t);
    *plan = (clipimg_heif_plan){.copy = malloc(in->size)};
    if (!t || !plan->copy) {
        free(t);
        return clipb_nomem(in->err, in->name);
    }
    memcpy(plan->copy, in->data, in->size);
    t->in = in;
    t->data = plan->copy;
    clip_status s = read_table(t);
    if (s == CLIP_OK)
        s = mark_needed(t, keep);
    for (unsigned id = 1; s == CLIP_OK && id <= t->last; id++)
        if (t->item[id].infe && !t->item[id].needed)
            hide(t, t->item[id].infe);
    if (s == CLIP_OK) {
        hide_references(t);
        plan->turned = t->item[t->primary].turned;
        if (keep & HEIF_THUMBNAILS)
            choose_samples(t, plan);
    }
    free(t);
    return s;
}
