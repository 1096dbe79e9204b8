/* Vocabularies out of tokenizer.json. */
#include "text/vocabulary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/scanner.h"
#include "text/unicode.h"

enum {
    FILE_LIMIT = 128 << 20, /* bytes; the largest known tokenizer.json has 61 MB */
    TEXT_LIMIT = 1 << 24,   /* bytes of a vocab.txt */
    SMALL_LIMIT = 8 << 20,  /* bytes of a part that becomes a tree: "normalizer" has up to 400 KB */
    WORD_LIMIT = 100,       /* WordPiece's longest word where the file does not say it */
};

void cliptok_vocabulary_free(cliptok_vocabulary *v)
{
    cliptok_pieces_free(&v->pieces);
    cliptok_merges_free(&v->merges);
    free(v->score);
    cJSON_Delete(v->normalizer);
    cJSON_Delete(v->pre_tokenizer);
    cJSON_Delete(v->post_processor);
    cJSON_Delete(v->added_tokens);
    *v = (cliptok_vocabulary){0};
}

clip_status cliptok_vocabulary_add(cliptok_vocabulary *v, const char *text, size_t n, int32_t id, double score,
                                   const char *file, clip_error *err)
{
    TRY(cliptok_pieces_add(&v->pieces, text, n, id, file, err));
    if (v->kind != CLIPTOK_MODEL_UNIGRAM)
        return CLIP_OK;
    if (v->score_capacity < v->pieces.n) {
        const size_t before = v->score_capacity;
        TRY(clipb_grow((void **)&v->score, &v->score_capacity, v->pieces.n, sizeof *v->score));
        for (size_t i = before; i < v->score_capacity; i++)
            v->score[i] = -HUGE_VAL;
    }
    v->score[id] = score;
    return CLIP_OK;
}

clip_status cliptok_vocabulary_merge_all(cliptok_vocabulary *v, const char *file, clip_error *err)
{
    for (size_t id = 0; id < v->pieces.n; id++) {
        const unsigned char *text = NULL;
        const size_t n = cliptok_pieces_text(&v->pieces, (int32_t)id, &text);
        cliptok_prefix f;
        int32_t left;
        if (n == 0)
            continue;
        cliptok_prefix_begin(&f, &v->pieces, text, text + n);
        while ((left = cliptok_prefix_next(&f)) >= 0 && f.n < n) {
            const int32_t right = cliptok_pieces_find(&v->pieces, text + f.n, n - f.n);
            const char *fault = NULL;
            const clip_status s =
                right < 0 ? CLIP_OK : cliptok_merges_add(&v->merges, left, right, (int32_t)id, &fault);
            if (s == CLIP_EFORMAT)
                return clipb_fail(err, s, file, "the merge that makes token %zu %s", id, fault);
            TRY(s);
        }
    }
    return CLIP_OK;
}

/* ---- "model" --------------------------------------------------------------------------------- */

/* A position in the file that is read once the rest is known. */
typedef struct model {
    cliptok_vocabulary *v;
    cliptok_scanner *s;
    const char *merges;
    bool has_vocab, has_merges, has_prefix;
    char unknown[64]; /* "unk_token" */
    int32_t unknown_id;
} model;

/* {"piece": id, ...} */
static clip_status read_map(model *m)
{
    cliptok_string key;
    int more;
    TRY(cliptok_scan_open(m->s, '{'));
    while ((more = cliptok_scan_key(m->s, &key)) > 0) {
        int32_t id;
        TRY(cliptok_scan_integer(m->s, CLIPTOK_MAX_PIECES - 1, &id));
        TRY(cliptok_vocabulary_add(m->v, key.p, key.n, id, 0, m->s->file, m->s->err));
    }
    return (clip_status)more;
}

/* [["piece", score], ...] */
static clip_status read_scores(model *m)
{
    int more;
    int32_t id = 0;
    TRY(cliptok_scan_open(m->s, '['));
    while ((more = cliptok_scan_item(m->s)) > 0) {
        cliptok_string piece;
        double score;
        TRY(cliptok_scan_open(m->s, '['));
        int item = cliptok_scan_item(m->s);
        if (item > 0)
            TRY(cliptok_scan_string(m->s, &piece));
        if (item > 0 && (item = cliptok_scan_item(m->s)) > 0)
            TRY(cliptok_scan_number(m->s, &score));
        if (item < 0)
            return (clip_status)item;
        const int end = item > 0 ? cliptok_scan_item(m->s) : 1;
        if (end != 0)
            return end < 0 ? (clip_status)end : cliptok_scan_fail(m->s, "a piece and its score should be here");
        TRY(cliptok_vocabulary_add(m->v, piece.p, piece.n, id++, score, m->s->file, m->s->err));
    }
    return (clip_status)more;
}

static clip_status read_parts(cliptok_scanner *s, cliptok_string part[2])
{
    if (cliptok_scan_peek(s) == '[') { /* ["a", "b"] */
        TRY(cliptok_scan_open(s, '['));
        for (int i = 0; i < 2; i++) {
            const int item = cliptok_scan_item(s);
            if (item <= 0)
                return item < 0 ? (clip_status)item : cliptok_scan_fail(s, "a merge of fewer than two tokens");
            TRY(cliptok_scan_string(s, &part[i]));
        }
        const int item = cliptok_scan_item(s);
        return item < 0   ? (clip_status)item
               : item > 0 ? cliptok_scan_fail(s, "a merge of more than two tokens")
                          : CLIP_OK;
    }
    TRY(cliptok_scan_string(s, &part[0])); /* "a b" */
    const char *blank = memchr(part[0].p, ' ', part[0].n), *end = part[0].p + part[0].n;
    if (!blank || memchr(blank + 1, ' ', (size_t)(end - blank - 1)))
        return cliptok_scan_fail(s, "a merge is not two tokens and a blank between them");
    part[1] = (cliptok_string){blank + 1, (size_t)(end - blank - 1)};
    part[0].n = (size_t)(blank - part[0].p);
    return CLIP_OK;
}

/* The piece of this text. In most files merges are sorted by their results, so the last result and
 * the id behind it are tried first. */
static int32_t find_near(const cliptok_pieces *pieces, const char *text, size_t n, int32_t last)
{
    for (int32_t id = last; id <= last + 1; id++) {
        const unsigned char *guess = NULL;
        if (cliptok_pieces_text(pieces, id, &guess) == n && n > 0 && memcmp(guess, text, n) == 0)
            return id;
    }
    return cliptok_pieces_find(pieces, text, n);
}

static clip_status read_merges(model *m)
{
    cliptok_scanner *s = m->s;
    int32_t last = -1;
    const cliptok_pieces *pieces = &m->v->pieces;
    char joint[2 * CLIPTOK_MAX_PIECE];
    int more;
    TRY(cliptok_scan_open(s, '['));
    while ((more = cliptok_scan_item(s)) > 0) {
        cliptok_string part[2];
        const char *fault = NULL;
        TRY(read_parts(s, part));
        const int32_t left = cliptok_pieces_find(pieces, part[0].p, part[0].n);
        const int32_t right = cliptok_pieces_find(pieces, part[1].p, part[1].n);
        if (left < 0 || right < 0)
            return cliptok_scan_fail(s, "a merge of what is not in the vocabulary");
        memcpy(joint, part[0].p, part[0].n);
        memcpy(joint + part[0].n, part[1].p, part[1].n);
        const int32_t result = last = find_near(pieces, joint, part[0].n + part[1].n, last);
        if (result < 0)
            return cliptok_scan_fail(s, "a merge whose result is not in the vocabulary");
        const clip_status status = cliptok_merges_add(&m->v->merges, left, right, result, &fault);
        if (status == CLIP_EFORMAT)
            return clipb_fail(s->err, status, s->file, "merge %zu %s", m->v->merges.n + 1, fault);
        TRY(status);
    }
    return (clip_status)more;
}

static clip_status unsupported(model *m, const char *what)
{
    return clipb_fail(m->s->err, CLIP_EUNSUPPORTED, m->s->file, "a model with \"%s\"", what);
}

static clip_status copy_string(model *m, char *out, size_t room)
{
    cliptok_string v = {"", 0};
    if (cliptok_scan_peek(m->s) != '"')
        return cliptok_scan_skip(m->s);
    TRY(cliptok_scan_string(m->s, &v));
    if (v.n >= room)
        return cliptok_scan_fail(m->s, "a string that is too long");
    memcpy(out, v.p, v.n);
    out[v.n] = 0;
    return CLIP_OK;
}

/* A setting that must be false, null, "" or 0. */
static clip_status must_be_off(model *m, const char *key)
{
    const char c = cliptok_scan_peek(m->s);
    const char *from = m->s->at;
    TRY(cliptok_scan_skip(m->s));
    const size_t n = (size_t)(m->s->at - from);
    const bool off =
        c == 'f' || c == 'n' || (c == '"' && n == 2) || (c == '0' && (n == 1 || (n == 3 && from[2] == '0')));
    return off ? CLIP_OK : unsupported(m, key);
}

static clip_status read_setting(model *m, cliptok_string key)
{
    cliptok_scanner *s = m->s;
    static const char *const off[] = {"dropout", "end_of_word_suffix", "ignore_merges"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (cliptok_string_is(key, off[i]))
            return must_be_off(m, off[i]);
    if (cliptok_string_is(key, "byte_fallback"))
        return cliptok_scan_bool(s, &m->v->byte_fallback);
    if (cliptok_string_is(key, "fuse_unk"))
        return cliptok_scan_bool(s, &m->v->fuse_unknown);
    if (cliptok_string_is(key, "unk_token"))
        return copy_string(m, m->unknown, sizeof m->unknown);
    if (cliptok_string_is(key, "unk_id") && cliptok_scan_peek(s) != 'n')
        return cliptok_scan_integer(s, CLIPTOK_MAX_PIECES - 1, &m->unknown_id);
    if (cliptok_string_is(key, "max_input_chars_per_word"))
        return cliptok_scan_integer(s, 1 << 20, &m->v->longest_word);
    if (cliptok_string_is(key, "continuing_subword_prefix"))
        return m->v->kind == CLIPTOK_MODEL_WORD_PIECE ? copy_string(m, m->v->prefix, sizeof m->v->prefix)
                                                      : must_be_off(m, "continuing_subword_prefix");
    return cliptok_scan_skip(s);
}

static clip_status read_model(cliptok_vocabulary *v, cliptok_scanner *s)
{
    model m = {.v = v, .s = s, .unknown_id = -1};
    cliptok_string key;
    int more;
    TRY(cliptok_scan_open(s, '{'));
    while ((more = cliptok_scan_key(s, &key)) > 0) {
        if (cliptok_string_is(key, "vocab") && !m.has_vocab) {
            m.has_vocab = true;
            TRY(v->kind == CLIPTOK_MODEL_UNIGRAM ? read_scores(&m) : read_map(&m));
        } else if (cliptok_string_is(key, "merges") && !m.has_merges && v->kind == CLIPTOK_MODEL_MERGES) {
            cliptok_scan_peek(s);
            m.has_merges = true;
            m.merges = m.has_vocab ? NULL : s->at; /* merges need the whole vocabulary */
            TRY(m.has_vocab ? read_merges(&m) : cliptok_scan_skip(s));
        } else
            TRY(read_setting(&m, key));
    }
    if (more < 0)
        return (clip_status)more;
    if (!m.has_vocab || (v->kind == CLIPTOK_MODEL_MERGES && !m.has_merges))
        return cliptok_scan_fail(s, m.has_vocab ? "no \"merges\"" : "no \"vocab\"");
    if (m.merges) {
        const char *end = s->at;
        s->at = s->dropped = m.merges;
        TRY(read_merges(&m));
        s->at = s->dropped = end;
        s->first = false;
    }
    v->unknown =
        v->kind == CLIPTOK_MODEL_UNIGRAM ? m.unknown_id : cliptok_pieces_find(&v->pieces, m.unknown, strlen(m.unknown));
    return v->unknown < (int32_t)v->pieces.n ? CLIP_OK : cliptok_scan_fail(s, "\"unk_id\" is not in the vocabulary");
}

/* ---- The document ---------------------------------------------------------------------------- */

static clip_status read_part(cliptok_scanner *s, cJSON **out)
{
    cliptok_scan_peek(s);
    const char *from = s->at;
    TRY(cliptok_scan_skip(s));
    const size_t n = (size_t)(s->at - from);
    if (*out || (n == 4 && memcmp(from, "null", 4) == 0))
        return CLIP_OK;
    if (n > SMALL_LIMIT)
        return clipb_fail(s->err, CLIP_ELIMIT, s->file, "a part other than \"model\" has more than %d bytes",
                          SMALL_LIMIT);
    return clipb_json_parse(from, n, s->file, out, s->err);
}

static clip_status read_document(cliptok_vocabulary *v, cliptok_scanner *s)
{
    cliptok_string key;
    bool has_model = false;
    int more;
    TRY(cliptok_scan_open(s, '{'));
    while ((more = cliptok_scan_key(s, &key)) > 0) {
        if (cliptok_string_is(key, "model") && !has_model) {
            has_model = true;
            TRY(read_model(v, s));
            continue;
        }
        cJSON **part = cliptok_string_is(key, "normalizer")       ? &v->normalizer
                       : cliptok_string_is(key, "pre_tokenizer")  ? &v->pre_tokenizer
                       : cliptok_string_is(key, "post_processor") ? &v->post_processor
                       : cliptok_string_is(key, "added_tokens")   ? &v->added_tokens
                                                                  : NULL;
        TRY(part ? read_part(s, part) : cliptok_scan_skip(s));
    }
    if (more < 0)
        return (clip_status)more;
    return has_model ? CLIP_OK : cliptok_scan_fail(s, "no \"model\"");
}

static clip_status open_file(const char *path, clipb_map *map, clip_error *err)
{
    TRY(clipb_map_open(path, map, err));
    if (map->size > 0 && map->size <= FILE_LIMIT)
        return CLIP_OK;
    const bool empty = map->size == 0;
    clipb_map_close(map);
    return empty ? clipb_fail(err, CLIP_EFORMAT, path, "an object should be here: the file is empty")
                 : clipb_fail(err, CLIP_ELIMIT, path, "more than %d bytes", FILE_LIMIT);
}

clip_status cliptok_vocabulary_read_json(cliptok_vocabulary *v, const char *path, clip_error *err)
{
    enum { BYTES_A_PIECE = 64 }; /* about so many in a file, for guessing the number of pieces */
    clipb_map map;
    cliptok_scanner s = {0};
    *v = (cliptok_vocabulary){.unknown = -1, .prefix = "##", .longest_word = WORD_LIMIT};
    TRY(cliptok_tokenizer_json_kind(path, &v->kind, err));
    TRY(open_file(path, &map, err));
    clip_status status = cliptok_scan_mapped(&s, &map, path, err);
    if (status == CLIP_OK)
        status = cliptok_pieces_init(&v->pieces, map.size / BYTES_A_PIECE);
    if (status == CLIP_OK)
        status = cliptok_merges_init(&v->merges, v->kind == CLIPTOK_MODEL_MERGES ? map.size / BYTES_A_PIECE : 0);
    if (status == CLIP_OK)
        status = read_document(v, &s);
    if (status == CLIP_OK)
        status = cliptok_pieces_finish(&v->pieces);
    cliptok_scan_end(&s);
    clipb_map_close(&map);
    return status;
}

/* ---- Its kind -------------------------------------------------------------------------------- */

static clip_status find_kind(cliptok_scanner *s, cliptok_kind_of_model *out)
{
    cliptok_string key, v;
    bool merges = false, list = false, vocab = false;
    int more;
    TRY(cliptok_scan_open(s, '{'));
    while ((more = cliptok_scan_key(s, &key)) > 0 && *out == CLIPTOK_MODEL_NONE) {
        const char c = cliptok_scan_peek(s);
        if (cliptok_string_is(key, "type") && c == '"') {
            TRY(cliptok_scan_string(s, &v));
            *out = cliptok_string_is(v, "Unigram")     ? CLIPTOK_MODEL_UNIGRAM
                   : cliptok_string_is(v, "WordPiece") ? CLIPTOK_MODEL_WORD_PIECE
                                                       : CLIPTOK_MODEL_NONE;
            continue;
        }
        if (cliptok_string_is(key, "end_of_word_suffix") && c == '"') {
            TRY(cliptok_scan_string(s, &v));
            *out = v.n > 0 ? CLIPTOK_MODEL_CLIP : CLIPTOK_MODEL_NONE;
            continue;
        }
        merges = merges || cliptok_string_is(key, "merges");
        vocab = vocab || cliptok_string_is(key, "vocab");
        list = list || (cliptok_string_is(key, "vocab") && c == '[');
        TRY(cliptok_scan_skip(s));
    }
    if (more < 0)
        return (clip_status)more;
    if (*out == CLIPTOK_MODEL_NONE && vocab)
        *out = list ? CLIPTOK_MODEL_UNIGRAM : merges ? CLIPTOK_MODEL_MERGES : CLIPTOK_MODEL_WORD_PIECE;
    return CLIP_OK;
}

static bool contains(const char *from, const char *end, const char *word)
{
    const size_t n = strlen(word);
    for (; (size_t)(end - from) >= n; from++)
        if (memcmp(from, word, n) == 0)
            return true;
    return false;
}

clip_status cliptok_tokenizer_json_kind(const char *path, cliptok_kind_of_model *out, clip_error *err)
{
    clipb_map map;
    cliptok_string key;
    bool bytes = false, has_model = false;
    int more = 0;
    *out = CLIPTOK_MODEL_NONE;
    TRY(open_file(path, &map, err));
    const char *text = (const char *)map.data;
    cliptok_scanner s = {.begin = text,
                         .at = text,
                         .end = text + map.size,
                         .file = path,
                         .err = err,
                         .first = true,
                         .map = &map,
                         .dropped = text};
    clip_status status = cliptok_scan_open(&s, '{');
    while (status == CLIP_OK && (more = cliptok_scan_key(&s, &key)) > 0) {
        if (cliptok_string_is(key, "model")) {
            has_model = true;
            status = find_kind(&s, out);
            break;
        }
        const bool splits = cliptok_string_is(key, "pre_tokenizer");
        cliptok_scan_peek(&s);
        const char *from = s.at;
        status = cliptok_scan_skip(&s);
        bytes = bytes || (status == CLIP_OK && splits && contains(from, s.at, "\"ByteLevel\""));
    }
    if (status == CLIP_OK && more < 0)
        status = (clip_status)more;
    if (status == CLIP_OK && !has_model)
        status = cliptok_scan_fail(&s, "no \"model\"");
    if (*out == CLIPTOK_MODEL_MERGES && bytes)
        *out = CLIPTOK_MODEL_BYTES;
    cliptok_scan_end(&s);
    clipb_map_close(&map);
    return status;
}

/* ---- vocab.txt ------------------------------------------------------------------------------- */

clip_status cliptok_vocabulary_read_text(cliptok_vocabulary *v, const char *path, clip_error *err)
{
    unsigned char *data;
    size_t n;
    *v = (cliptok_vocabulary){.kind = CLIPTOK_MODEL_WORD_PIECE, .prefix = "##", .longest_word = WORD_LIMIT};
    TRY(clipb_read_file(path, TEXT_LIMIT, &data, &n, err));
    clip_status s = cliptok_pieces_init(&v->pieces, n / 8);
    const char *p = (const char *)data, *end = p + n;
    if (s == CLIP_OK && cliptok_utf8_error(data, n) < n)
        s = clipb_fail(err, CLIP_EFORMAT, path, "not UTF-8 (byte %zu)", cliptok_utf8_error(data, n));
    for (int32_t id = 0; s == CLIP_OK && p < end; id++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p)), *to = eol ? eol : end;
        size_t length = (size_t)(to - p);
        length -= length > 0 && p[length - 1] == '\r'; /* Python's universal newlines */
        s = cliptok_pieces_add(&v->pieces, p, length, id, path, err);
        p = eol ? eol + 1 : end;
    }
    if (s == CLIP_OK)
        s = cliptok_pieces_finish(&v->pieces);
    v->unknown = s == CLIP_OK ? cliptok_pieces_find(&v->pieces, "[UNK]", 5) : -1;
    free(data);
    return s;
}
