/* The wire format of protocol buffers: a message is a row of fields, each a key (number << 3 |
 * type) and a value. Integers are varints, 7 bits a byte, the lowest first. */
#include "text/spm.h"

#include <math.h>
#include <string.h>

#include "text/unicode.h"

enum { VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 5 };

typedef struct field {
    uint32_t number;
    int type;
    uint64_t value;         /* of a varint, or of four bytes */
    const unsigned char *p; /* of bytes */
    size_t n;
} field;

static bool read_varint(const unsigned char **at, const unsigned char *end, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (*at == end)
            return false;
        const unsigned char c = *(*at)++;
        *out |= (uint64_t)(c & 0x7F) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

/* The field at *at, which moves behind it; false: it is damaged. */
static bool read_field(const unsigned char **at, const unsigned char *end, field *f)
{
    uint64_t key;
    if (!read_varint(at, end, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
        return false;
    *f = (field){.number = (uint32_t)(key >> 3), .type = (int)(key & 7)};
    const size_t left = (size_t)(end - *at);
    switch (f->type) {
    case VARINT: return read_varint(at, end, &f->value);
    case EIGHT_BYTES: f->n = 8; break;
    case FOUR_BYTES: f->n = 4; break;
    case BYTES: {
        uint64_t n;
        if (!read_varint(at, end, &n) || n > (uint64_t)(end - *at))
            return false;
        f->n = (size_t)n;
        break;
    }
    default: return false;
    }
    if (f->type != BYTES && left < f->n)
        return false;
    f->p = *at;
    *at += f->n;
    if (f->type == FOUR_BYTES)
        f->value = f->p[0] | (uint32_t)f->p[1] << 8 | (uint32_t)f->p[2] << 16 | (uint32_t)f->p[3] << 24;
    return true;
}

static clip_status damaged(const cliptok_spm *s, const unsigned char *at)
{
    return clipb_fail(s->err, CLIP_EFORMAT, s->file, "not a SentencePiece model, or damaged (byte %zu)",
                      (size_t)(at - s->begin));
}

static clip_status read_trainer(cliptok_spm *s, const field *of)
{
    field f;
    for (const unsigned char *at = of->p, *end = at + of->n; at < end;) {
        if (!read_field(&at, end, &f))
            return damaged(s, at);
        if (f.type != VARINT)
            continue;
        switch (f.number) {
        case 3: s->model_type = f.value < 16 ? (int)f.value : 0; break;
        case 24: s->whitespace_is_suffix = f.value != 0; break;
        case 35: s->byte_fallback = f.value != 0; break;
        case 40: s->unknown_id = f.value < INT32_MAX ? (int)f.value : -1; break;
        default: break;
        }
    }
    return CLIP_OK;
}

static clip_status read_normalizer(cliptok_spm *s, const field *of)
{
    field f;
    for (const unsigned char *at = of->p, *end = at + of->n; at < end;) {
        if (!read_field(&at, end, &f))
            return damaged(s, at);
        if (f.number == 2 && f.type == BYTES) {
            s->charsmap = f.p;
            s->charsmap_size = f.n;
        }
        if (f.type != VARINT)
            continue;
        switch (f.number) {
        case 3: s->add_dummy_prefix = f.value != 0; break;
        case 4: s->remove_extra_whitespaces = f.value != 0; break;
        case 5: s->escape_whitespaces = f.value != 0; break;
        default: break;
        }
    }
    return CLIP_OK;
}

clip_status cliptok_spm_begin(cliptok_spm *s, const void *data, size_t size, const char *file, clip_error *err)
{
    enum { PIECES = 1, TRAINER, NORMALIZER };
    *s = (cliptok_spm){.begin = data,
                       .at = data,
                       .file = file,
                       .err = err,
                       .model_type = CLIPTOK_SPM_UNIGRAM,
                       .add_dummy_prefix = true,
                       .remove_extra_whitespaces = true,
                       .escape_whitespaces = true};
    if (size == 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "not a SentencePiece model: it has no pieces");
    s->end = s->begin + size;
    field f;
    for (const unsigned char *at = s->begin; at < s->end;) {
        if (!read_field(&at, s->end, &f))
            return damaged(s, at);
        if (f.type != BYTES)
            continue;
        s->pieces += f.number == PIECES;
        if (f.number == TRAINER)
            TRY(read_trainer(s, &f));
        if (f.number == NORMALIZER)
            TRY(read_normalizer(s, &f));
    }
    if (s->pieces == 0)
        return clipb_fail(err, CLIP_EFORMAT, file, "not a SentencePiece model: it has no pieces");
    if (s->model_type != CLIPTOK_SPM_UNIGRAM && s->model_type != CLIPTOK_SPM_BPE)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "a SentencePiece model of words or characters");
    if (s->whitespace_is_suffix)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "a SentencePiece model with \"treat_whitespace_as_suffix\"");
    return CLIP_OK;
}

static clip_status read_piece(cliptok_spm *s, const field *of, cliptok_spm_piece *piece)
{
    field f;
    *piece = (cliptok_spm_piece){.text = "", .type = CLIPTOK_SPM_NORMAL};
    for (const unsigned char *at = of->p, *end = at + of->n; at < end;) {
        if (!read_field(&at, end, &f))
            return damaged(s, at);
        if (f.number == 1 && f.type == BYTES) {
            piece->text = (const char *)f.p;
            piece->n = f.n;
        } else if (f.number == 2 && f.type == FOUR_BYTES) {
            const uint32_t bits = (uint32_t)f.value;
            memcpy(&piece->score, &bits, sizeof bits);
        } else if (f.number == 3 && f.type == VARINT)
            piece->type = f.value >= CLIPTOK_SPM_NORMAL && f.value <= CLIPTOK_SPM_BYTE ? (int)f.value : 0;
    }
    const size_t n = piece->n;
    if (n == 0 || !isfinite(piece->score) || piece->type == 0 ||
        cliptok_utf8_error((const unsigned char *)piece->text, n) < n)
        return clipb_fail(s->err, CLIP_EFORMAT, s->file, "piece %d is damaged", s->number);
    return CLIP_OK;
}

int cliptok_spm_next(cliptok_spm *s, cliptok_spm_piece *piece)
{
    field f;
    while (s->at < s->end) {
        if (!read_field(&s->at, s->end, &f))
            return damaged(s, s->at);
        if (f.number == 1 && f.type == BYTES) {
            TRY(read_piece(s, &f, piece));
            s->number++;
            return 1;
        }
    }
    return 0;
}
