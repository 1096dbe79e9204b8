/* fixture.h: a folder for a test's files, a writer of tars, and a stream of pairs as text. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/data.h"
#include "own_dir.h"

/* Makes a new folder for the next test. */
static inline int fresh_dir(void **state)
{
    return remove_dir(state) || make_dir(state);
}

static inline void put(const char *name, const void *data, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s", in_dir(name));
    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(path, 0755);
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static inline void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

/* ---- Tars ---- */

typedef struct tar_file {
    unsigned char bytes[1 << 17];
    size_t n;
} tar_file;

/* The checksum of a header, whose own field counts as spaces. */
static inline void tar_sum(unsigned char *h)
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
}

/* A member as in ustar; type '0' is a file. */
static inline void tar_add(tar_file *t, const char *name, char type, const void *data, size_t size)
{
    unsigned char *h = t->bytes + t->n;
    assert_true(t->n + 1024 + size < sizeof t->bytes && strlen(name) <= 100);
    memset(h, 0, 512 + (size + 511) / 512 * 512);
    memcpy(h, name, strlen(name));
    memcpy(h + 100, "0000644\0" "0000000\0" "0000000\0", 24);
    snprintf((char *)h + 124, 12, "%011o", (unsigned)size);
    memcpy(h + 136, "14524770000", 12);
    h[156] = (unsigned char)type;
    memcpy(h + 257, "ustar\0" "00", 8);
    tar_sum(h);
    if (size > 0)
        memcpy(h + 512, data, size);
    t->n += 512 + (size + 511) / 512 * 512;
}

static inline void tar_text(tar_file *t, const char *name, const char *text)
{
    tar_add(t, name, '0', text, strlen(text));
}

static inline void tar_end(tar_file *t)
{
    memset(t->bytes + t->n, 0, 1024);
    t->n += 1024;
}

/* ---- A stream as text ---- */

static char told[1 << 16];

static inline void tell(const char *text)
{
    size_t at = strlen(told), d = strlen(dir);
    for (const char *p = text; *p && at + 1 < sizeof told;) {
        if (strncmp(p, dir, d) == 0 && p[d] == '/')
            p += d + 1;
        else
            told[at++] = *p++;
    }
    told[at] = 0;
}

/* A clip_warn_fn. */
static inline void hear(void *user, const char *message)
{
    (void)user;
    tell("fault: ");
    tell(message);
    tell("\n");
}

/* Everything that `spec` gives: a line "KEY=PICTURE: CAPTION|CAPTION" for a pair, "CODE MESSAGE"
 * for an error. The folder's name is left out. */
static inline const char *all_of(const char *spec, const clip_pairs_options *opt)
{
    clip_pairs *p;
    clip_pair pair;
    clip_error err;
    char line[4096];
    *told = 0;
    clip_status s = clipdat_pairs_open(spec, opt, &p, &err);
    if (s < 0) {
        assert_null(p);
        assert_int_equal(s, err.code);
        snprintf(line, sizeof line, "open: %s %s\n", clipb_status_name(s) + 5, err.message);
        tell(line);
        return told;
    }
    for (int i = 0; i < 10000; i++) {
        s = clipdat_pairs_next(p, &pair, &err);
        if (s == CLIP_OK && !pair.key) {
            assert_int_equal(clipdat_pairs_next(p, &pair, &err), CLIP_OK); /* the end stays */
            assert_null(pair.key);
            clipdat_pairs_close(p);
            return told;
        }
        if (s < 0) {
            assert_null(pair.key);
            assert_int_equal(s, err.code);
            snprintf(line, sizeof line, "%s %s\n", clipb_status_name(s) + 5, err.message);
        } else {
            assert_true(pair.n_captions >= 1 && pair.size > 0);
            int n = snprintf(line, sizeof line, "%s=%.*s:", pair.key, (int)pair.size, (const char *)pair.bytes);
            for (int c = 0; c < pair.n_captions; c++)
                n += snprintf(line + n, sizeof line - (size_t)n, "%c%s", c ? '|' : ' ', pair.captions[c]);
            snprintf(line + n, sizeof line - (size_t)n, "\n");
        }
        tell(line);
    }
    fail_msg("the stream never ends");
    return told;
}

#endif
