/* fixture.h: directories with tokenizer files, made by the tests themselves. */
#ifndef TEXT_FIXTURE_H
#define TEXT_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "text/tokenizer.h"

#define DIR_MAX 64

static inline void fixture_new(char dir[DIR_MAX])
{
    snprintf(dir, DIR_MAX, "/tmp/clip-text-XXXXXX");
    if (!mkdtemp(dir))
        abort();
}

static inline void fixture_path(const char *dir, const char *name, char path[2 * DIR_MAX])
{
    snprintf(path, 2 * DIR_MAX, "%.60s/%.60s", dir, name);
}

static inline void fixture_write(const char *dir, const char *name, const void *bytes, size_t n)
{
    char path[2 * DIR_MAX];
    fixture_path(dir, name, path);
    unlink(path); /* overwriting would make some file systems wait for the disk */
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        abort();
}

static inline void fixture_text(const char *dir, const char *name, const char *text)
{
    fixture_write(dir, name, text, strlen(text));
}

static inline void fixture_gzip(const char *dir, const char *name, const void *bytes, size_t n)
{
    char path[2 * DIR_MAX];
    fixture_path(dir, name, path);
    gzFile f = gzopen(path, "wb");
    if (!f || gzwrite(f, bytes, (unsigned)n) != (int)n || gzclose(f) != Z_OK)
        abort();
}

/* A whole file with a 0 behind it. */
static inline char *fixture_read(const char *dir, const char *name, size_t *n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        abort();
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    if (!p || fread(p, 1, *n, f) != *n)
        abort();
    fclose(f);
    p[*n] = 0;
    return p;
}

static inline void fixture_remove(const char *dir)
{
    static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt", "bpe_simple_vocab_16e6.txt.gz",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json", "added_tokens.json",
                                        "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[2 * DIR_MAX];
        fixture_path(dir, names[i], path);
        unlink(path);
    }
    rmdir(dir);
}

/* GPT-2's character for a byte, as JSON writes it. */
static inline int fixture_byte(int byte, char *out)
{
    int other = byte <= 0x20 ? byte : byte >= 0x7F && byte <= 0xA0 ? byte - 0x7F + 0x21 : byte == 0xAD ? 0x43 : -1;
    if (other >= 0)
        return sprintf(out, "\\u%04x", 0x100 + other);
    return sprintf(out, byte == '"' || byte == '\\' ? "\\%c" : byte < 0x80 ? "%c" : "\\u%04x", byte);
}

/* {"!": 0, ...}: the 512 byte tokens, then "left right" of each merge joined, then the two
 * specials; malloc'ed. */
static inline char *fixture_vocab(const char *const *merges, size_t n)
{
    char *out = malloc(512 * 24 + n * 128 + 128), *p = out;
    int id = 0;
    *p++ = '{';
    for (int last = 0; last < 2; last++)
        for (int byte = 0; byte < 256; byte++) {
            *p++ = '"';
            p += fixture_byte(byte, p);
            p += sprintf(p, "%s\": %d, ", last ? "</w>" : "", id++);
        }
    for (size_t i = 0; i < n; i++) {
        const char *blank = strchr(merges[i], ' ');
        p += sprintf(p, "\"%.*s%s\": %d, ", (int)(blank - merges[i]), merges[i], blank + 1, id++);
    }
    sprintf(p, "\"<|startoftext|>\": %d, \"<|endoftext|>\": %d}", id, id + 1);
    return out;
}

/* A directory with vocab.json and merges.txt of these merges. */
static inline void fixture_small(char dir[DIR_MAX], const char *const *merges, size_t n)
{
    char *vocab = fixture_vocab(merges, n), *lines = calloc(n + 1, 128);
    strcpy(lines, "#version: 0.2\n");
    for (size_t i = 0; i < n; i++)
        strcat(strcat(lines, merges[i]), "\n");
    fixture_new(dir);
    fixture_text(dir, "vocab.json", vocab);
    fixture_text(dir, "merges.txt", lines);
    free(vocab);
    free(lines);
}

/* "left right" lines as a JSON list of strings, or of pairs. */
static inline char *fixture_merge_list(const char *lines, int pairs)
{
    char *out = malloc(4 * strlen(lines) + 16), *p = out;
    int first = 1;
    *p++ = '[';
    for (const char *line = lines; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, "\n");
        if (strncmp(line, "#version", 8) == 0)
            continue;
        p += sprintf(p, pairs ? "%s[\"" : "%s\"", first ? "" : ", ");
        for (size_t i = 0; i < n; i++) {
            if (line[i] == ' ' && pairs)
                p += sprintf(p, "\", \"");
            else {
                if (line[i] == '"' || line[i] == '\\')
                    *p++ = '\\';
                *p++ = line[i];
            }
        }
        p += sprintf(p, pairs ? "\"]" : "\"");
        first = 0;
    }
    strcpy(p, "]");
    return out;
}

/* A tokenizer.json of these parts; malloc'ed. */
static inline char *fixture_tokenizer_json(const char *vocab, const char *merge_list, const char *added,
                                           int merges_first)
{
    size_t n = strlen(vocab) + strlen(merge_list) + strlen(added) + 512;
    char *out = malloc(n);
    snprintf(out, n,
             "{\"version\": \"1.0\", \"truncation\": null, \"added_tokens\": %s,\n"
             " \"normalizer\": {\"type\": \"Sequence\", \"x\": [1, -2.5e3, true, {}]},\n"
             " \"model\": {\"type\": \"BPE\", \"dropout\": null, \"continuing_subword_prefix\": \"\",\n"
             "  \"end_of_word_suffix\": \"</w>\",\n"
             "  \"%s\": %s,\n  \"%s\": %s}}",
             added, merges_first ? "merges" : "vocab", merges_first ? merge_list : vocab,
             merges_first ? "vocab" : "merges", merges_first ? vocab : merge_list);
    return out;
}

#endif
