/* Reading vocabularies, a section for each kind of file. */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "text/scanner.h"
#include "text/unicode.h"

enum {
    FILE_LIMIT = 64 << 20,           /* bytes; CLIP's tokenizer.json has 2 to 4 MB */
    SIMPLE_MERGES = 49152 - 256 - 2, /* SimpleTokenizer reads 48,894, whatever the file has */
    LINE_LIMIT = 4096,
    BYTES_A_TOKEN = 16,              /* about so many in a file, for guessing the number of tokens */
};

/* ---- vocab.json ------------------------------------------------------------------------------ */

/* {"token": id, ...} */
static clip_status read_ids(cliptok_scanner *s, cliptok_bpe *b)
{
    cliptok_string token;
    int more;
    TRY(cliptok_scan_open(s, '{'));
    while ((more = cliptok_scan_key(s, &token)) > 0) {
        int32_t id;
        TRY(cliptok_scan_integer(s, CLIPTOK_MAX_TOKENS - 1, &id));
        TRY(cliptok_bpe_add(b, token.p, token.n, id, s->file, s->err));
    }
    return (clip_status)more;
}

static clip_status read_vocab_json(const char *path, cliptok_bpe *b, clip_error *err)
{
    unsigned char *data;
    size_t n;
    TRY(clipb_read_file(path, FILE_LIMIT, &data, &n, err));
    cliptok_scanner s;
    clip_status status = cliptok_scan_begin(&s, (const char *)data, n, path, err);
    if (status == CLIP_OK)
        status = cliptok_bpe_init(b, n / BYTES_A_TOKEN, n / BYTES_A_TOKEN);
    if (status == CLIP_OK)
        status = read_ids(&s, b);
    if (status == CLIP_OK && cliptok_scan_peek(&s))
        status = cliptok_scan_fail(&s, "something follows the object");
    cliptok_scan_end(&s);
    free(data);
    return status;
}

/* ---- merges.txt ------------------------------------------------------------------------------ */

/* The two parts of "left right"; false: the line has not two. */
static bool split_merge(const char *line, size_t n, cliptok_string part[2])
{
    int parts = 0;
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            i++;
        if (i > from) {
            if (parts == 2)
                return false;
            part[parts++] = (cliptok_string){line + from, i - from};
        }
        i++;
    }
    return parts == 2;
}

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

static clip_status check_merge_line(const char *line, size_t n, cliptok_string part[2], size_t number, const char *path,
                                    clip_error *err)
{
    if (cliptok_utf8_error((const unsigned char *)line, n) < n)
        return clipb_fail(err, CLIP_EFORMAT, path, "line %zu is not UTF-8", number);
    if (!split_merge(line, n, part))
        return clipb_fail(err, CLIP_EFORMAT, path, "line %zu: two tokens with a blank between them are expected",
                          number);
    return CLIP_OK;
}

static clip_status read_merges_txt(const char *path, cliptok_bpe *b, clip_error *err)
{
    unsigned char *data;
    size_t n;
    TRY(clipb_read_file(path, FILE_LIMIT, &data, &n, err));
    const char *p = (const char *)data, *end = p + n;
    clip_status s = CLIP_OK;
    for (size_t number = 1; s == CLIP_OK && p < end; number++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((eol ? eol : end) - p);
        cliptok_string part[2];
        bool comment = number == 1 && len >= 8 && memcmp(p, "#version", 8) == 0;
        bool last_blank = is_blank(p, len) && (!eol || eol + 1 == end); /* some editors leave one */
        if (!comment && !last_blank) {
            s = check_merge_line(p, len, part, number, path, err);
            if (s == CLIP_OK)
                s = cliptok_bpe_merge(b, part[0].p, part[0].n, part[1].p, part[1].n, -1, path, err);
        }
        p = eol ? eol + 1 : end;
    }
    free(data);
    return s;
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static clip_status read_merge_list(cliptok_scanner *s, cliptok_bpe *b)
{
    int more;
    TRY(cliptok_scan_open(s, '['));
    while ((more = cliptok_scan_item(s)) > 0) {
        cliptok_string part[2], line;
        if (cliptok_scan_peek(s) == '[') { /* ["a", "b"]; older files: "a b" */
            TRY(cliptok_scan_open(s, '['));
            for (int i = 0; i < 2; i++) {
                int item = cliptok_scan_item(s);
                if (item <= 0)
                    return item < 0 ? (clip_status)item : cliptok_scan_fail(s, "a merge of fewer than two tokens");
                TRY(cliptok_scan_string(s, &part[i]));
            }
            int item = cliptok_scan_item(s);
            if (item != 0)
                return item < 0 ? (clip_status)item : cliptok_scan_fail(s, "a merge of more than two tokens");
        } else {
            TRY(cliptok_scan_string(s, &line));
            if (!split_merge(line.p, line.n, part))
                return cliptok_scan_fail(s, "a merge: two tokens with a blank between them are expected");
        }
        TRY(cliptok_bpe_merge(b, part[0].p, part[0].n, part[1].p, part[1].n, -1, s->file, s->err));
    }
    return (clip_status)more;
}

/* Read a string that must be `expected`. Null and, if `optional`, "" are accepted as well. */
static clip_status expect(cliptok_scanner *s, const char *key, const char *expected, bool optional)
{
    cliptok_string v = {"", 0};
    if (cliptok_scan_peek(s) == '"')
        TRY(cliptok_scan_string(s, &v));
    else
        TRY(cliptok_scan_skip(s));
    if (cliptok_string_is(v, expected) || (optional && v.n == 0))
        return CLIP_OK;
    return clipb_fail(s->err, CLIP_EUNSUPPORTED, s->file, "\"%s\" is not \"%s\" as in CLIP's tokenizers", key,
                      expected);
}

/* Merges need the whole vocabulary. Where they come first, they are read last. */
static clip_status read_model(cliptok_scanner *s, cliptok_bpe *b)
{
    cliptok_string key;
    const char *merges = NULL;
    bool vocab = false, suffix = false, merged = false;
    int more;
    TRY(cliptok_scan_open(s, '{'));
    while ((more = cliptok_scan_key(s, &key)) > 0) {
        if (cliptok_string_is(key, "type"))
            TRY(expect(s, "type", "BPE", true));
        else if (cliptok_string_is(key, "continuing_subword_prefix"))
            TRY(expect(s, "continuing_subword_prefix", "", true));
        else if (cliptok_string_is(key, "end_of_word_suffix")) {
            TRY(expect(s, "end_of_word_suffix", "</w>", false));
            suffix = true;
        } else if (cliptok_string_is(key, "vocab") && !vocab) {
            if (cliptok_scan_peek(s) == '[')
                return clipb_fail(s->err, CLIP_EUNSUPPORTED, s->file, "\"vocab\" is not that of a byte-pair encoding");
            TRY(read_ids(s, b));
            vocab = true;
        } else if (cliptok_string_is(key, "merges") && !merged && vocab) {
            TRY(read_merge_list(s, b));
            merged = true;
        } else {
            cliptok_scan_peek(s);
            if (cliptok_string_is(key, "merges"))
                merges = s->at;
            TRY(cliptok_scan_skip(s));
        }
    }
    if (more < 0)
        return (clip_status)more;
    if (!suffix)
        return clipb_fail(s->err, CLIP_EUNSUPPORTED, s->file, "no \"end_of_word_suffix\": not a tokenizer of CLIP's");
    if (!vocab || (!merged && !merges))
        return cliptok_scan_fail(s, vocab ? "no \"merges\"" : "no \"vocab\"");
    if (!merged) {
        const char *end = s->at;
        s->at = merges;
        TRY(read_merge_list(s, b));
        s->at = end;
        s->first = false;
    }
    return CLIP_OK;
}

static clip_status read_document(cliptok_scanner *s, cliptok_bpe *b, cJSON **added)
{
    cliptok_string key;
    bool model = false;
    int more;
    TRY(cliptok_scan_open(s, '{'));
    while ((more = cliptok_scan_key(s, &key)) > 0) {
        if (cliptok_string_is(key, "model") && !model) {
            TRY(read_model(s, b));
            model = true;
            continue;
        }
        cliptok_scan_peek(s);
        const char *from = s->at;
        TRY(cliptok_scan_skip(s));
        if (cliptok_string_is(key, "added_tokens") && !*added)
            TRY(clipb_json_parse(from, (size_t)(s->at - from), s->file, added, s->err));
    }
    if (more < 0)
        return (clip_status)more;
    return model ? CLIP_OK : cliptok_scan_fail(s, "no \"model\"");
}

static clip_status read_tokenizer_json(const char *path, cliptok_bpe *b, cJSON **added, clip_error *err)
{
    unsigned char *data;
    size_t n;
    TRY(clipb_read_file(path, FILE_LIMIT, &data, &n, err));
    cliptok_scanner s;
    clip_status status = cliptok_scan_begin(&s, (const char *)data, n, path, err);
    if (status == CLIP_OK)
        status = cliptok_bpe_init(b, n / (3 * BYTES_A_TOKEN), n / (3 * BYTES_A_TOKEN));
    if (status == CLIP_OK)
        status = read_document(&s, b, added);
    cliptok_scan_end(&s);
    free(data);
    return status;
}

/* ---- bpe_simple_vocab_16e6.txt.gz ------------------------------------------------------------ */

void cliptok_byte_order(unsigned char byte[256])
{
    int n = 0;
    for (int printable = 1; printable >= 0; printable--)
        for (int c = 0; c < 256; c++)
            if (((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c != 0xAD)) == printable)
                byte[n++] = (unsigned char)c;
}

clip_status cliptok_add_bytes(cliptok_bpe *b)
{
    unsigned char byte[256];
    cliptok_byte_order(byte);
    for (int id = 0; id < 512; id++)
        TRY(cliptok_bpe_add_byte(b, byte[id % 256], id >= 256, id));
    return CLIP_OK;
}

/* Lines as they come out of the decompressor, a piece at a time. Python splits at newlines, so that
 * the rest behind the last newline is a line as well. Even an empty one takes an id, for a token ""
 * that no word becomes. */
typedef struct lines {
    char text[LINE_LIMIT];
    size_t n, number;
    int32_t next_id;
} lines;

static clip_status end_line(lines *l, cliptok_bpe *b, const char *path, clip_error *err)
{
    cliptok_string part[2];
    l->number++;
    if (l->number > 1 && !is_blank(l->text, l->n)) {
        TRY(check_merge_line(l->text, l->n, part, l->number, path, err));
        TRY(cliptok_bpe_merge(b, part[0].p, part[0].n, part[1].p, part[1].n, l->next_id, path, err));
    }
    l->next_id += l->number > 1;
    l->n = 0;
    return CLIP_OK;
}

static clip_status add_lines(lines *l, const char *p, size_t n, cliptok_bpe *b, const char *path, clip_error *err)
{
    const char *end = p + n;
    while (p < end && l->number <= SIMPLE_MERGES) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t k = (size_t)((eol ? eol : end) - p);
        if (k > LINE_LIMIT - l->n)
            return clipb_fail(err, CLIP_EFORMAT, path, "line %zu is longer than %d bytes", l->number + 1, LINE_LIMIT);
        memcpy(l->text + l->n, p, k);
        l->n += k;
        p += k;
        if (eol) {
            TRY(end_line(l, b, path, err));
            p++;
        }
    }
    return CLIP_OK;
}

/* A gzip file may be several in a row. The unpacked text is never held as a whole, nor unpacked
 * further than needed. */
static clip_status inflate_lines(z_stream *z, lines *l, cliptok_bpe *b, const char *path, clip_error *err)
{
    char piece[1 << 15];
    int got = Z_OK;
    size_t total = 0;
    while (l->number <= SIMPLE_MERGES) {
        z->next_out = (unsigned char *)piece;
        z->avail_out = sizeof piece;
        got = inflate(z, Z_NO_FLUSH);
        if (got == Z_MEM_ERROR)
            return CLIP_ENOMEM;
        if (got != Z_OK && got != Z_STREAM_END)
            return clipb_fail(err, CLIP_EFORMAT, path, "damaged, or no gzip file: %s",
                              z->msg ? z->msg : "it ends too early");
        size_t n = sizeof piece - z->avail_out;
        total += n;
        if (total > FILE_LIMIT)
            return clipb_fail(err, CLIP_ELIMIT, path, "unpacks to more than %d bytes", FILE_LIMIT);
        TRY(add_lines(l, piece, n, b, path, err));
        if (got == Z_STREAM_END && (z->avail_in == 0 || inflateReset(z) != Z_OK))
            break;
    }
    return l->number <= SIMPLE_MERGES ? end_line(l, b, path, err) : CLIP_OK;
}

static clip_status read_simple_vocab(const char *path, cliptok_bpe *b, clip_error *err)
{
    unsigned char *data;
    size_t n;
    TRY(clipb_read_file(path, FILE_LIMIT, &data, &n, err));
    lines *l = calloc(1, sizeof *l);
    z_stream z = {.next_in = data, .avail_in = (unsigned)n};
    clip_status s = l ? cliptok_bpe_init(b, SIMPLE_MERGES + 514, SIMPLE_MERGES) : CLIP_ENOMEM;
    if (s == CLIP_OK)
        s = cliptok_add_bytes(b);
    if (s == CLIP_OK && inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) /* 16: with gzip's header and checksum */
        s = CLIP_ENOMEM;
    if (s == CLIP_OK) {
        l->next_id = 512;
        s = inflate_lines(&z, l, b, path, err);
        inflateEnd(&z);
    }
    if (s == CLIP_OK)
        s = cliptok_bpe_add(b, CLIPTOK_START, strlen(CLIPTOK_START), l->next_id, path, err);
    if (s == CLIP_OK)
        s = cliptok_bpe_add(b, CLIPTOK_END, strlen(CLIPTOK_END), l->next_id + 1, path, err);
    free(l);
    free(data);
    return s;
}

/* ---- Which one ------------------------------------------------------------------------------- */

enum { TOKENIZER_JSON, VOCAB_JSON, MERGES_TXT, SIMPLE_VOCAB, FILES };

static clip_status read_first(char *const path[FILES], cliptok_bpe *b, const char **found, cJSON **added,
                              clip_error *err)
{
    bool vocab = clipb_is_file(path[VOCAB_JSON]), merges = clipb_is_file(path[MERGES_TXT]);
    if (clipb_is_file(path[TOKENIZER_JSON])) {
        *found = "tokenizer.json";
        return read_tokenizer_json(path[TOKENIZER_JSON], b, added, err);
    }
    if (vocab && merges) {
        *found = "vocab.json + merges.txt";
        TRY(read_vocab_json(path[VOCAB_JSON], b, err));
        return read_merges_txt(path[MERGES_TXT], b, err);
    }
    if (clipb_is_file(path[SIMPLE_VOCAB])) {
        *found = "bpe_simple_vocab_16e6.txt.gz";
        return read_simple_vocab(path[SIMPLE_VOCAB], b, err);
    }
    if (vocab || merges)
        return clipb_fail(err, CLIP_EIO, path[vocab ? MERGES_TXT : VOCAB_JSON], "missing; it belongs to the %s there",
                          vocab ? "vocab.json" : "merges.txt");
    return CLIP_OK;
}

clip_status cliptok_read_vocab(const char *dir, cliptok_bpe *b, const char **found, cJSON **added, clip_error *err)
{
    static const char *const name[FILES] = {"tokenizer.json", "vocab.json", "merges.txt",
                                            "bpe_simple_vocab_16e6.txt.gz"};
    char *path[FILES];
    clip_status s = CLIP_OK;
    *found = NULL;
    *added = NULL;
    for (int i = 0; i < FILES; i++) {
        path[i] = clipb_path_join(dir, name[i]);
        if (!path[i])
            s = CLIP_ENOMEM;
    }
    if (s == CLIP_OK)
        s = read_first(path, b, found, added, err);
    for (int i = 0; i < FILES; i++)
        free(path[i]);
    return s;
}
