/* Whether a file is the one that its ETag names. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/store.h"

enum { PIECE = 1 << 20 };

static clip_status hash_file(int fd, const char *path, EVP_MD_CTX *ctx, bool (*tick)(void *user), void *user,
                             bool *stopped, clip_error *err)
{
    unsigned char *piece = malloc(PIECE);
    clip_status s = piece ? CLIP_OK : clipb_nomem(err, path);
    off_t at = 0;
    for (ssize_t n = 1; s == CLIP_OK && !*stopped && n > 0; at += n) {
        do
            n = pread(fd, piece, PIECE, at);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            s = clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
        else if (EVP_DigestUpdate(ctx, piece, (size_t)n) != 1)
            s = clipb_nomem(err, path);
        *stopped = !tick(user);
    }
    free(piece);
    return s;
}

clip_status cliphub_check_hash(int fd, const char *path, const char *etag, bool (*tick)(void *user), void *user,
                               bool *same, clip_error *err)
{
    const size_t digits = strlen(etag);
    struct stat st;
    char head[40], text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    bool stopped = false;
    *same = true;
    if ((digits != 40 && digits != 64) || strspn(etag, "0123456789abcdef") != digits)
        return CLIP_OK;
    if (fstat(fd, &st) < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    clip_status s = ctx && EVP_DigestInit_ex(ctx, digits == 64 ? EVP_sha256() : EVP_sha1(), NULL) == 1
                        ? CLIP_OK : clipb_nomem(err, path);
    if (s == CLIP_OK && digits == 40) { /* git hashes "blob SIZE", a 0, and the bytes */
        const int n = snprintf(head, sizeof head, "blob %lld", (long long)st.st_size);
        s = EVP_DigestUpdate(ctx, head, (size_t)n + 1) == 1 ? CLIP_OK : clipb_nomem(err, path);
    }
    if (s == CLIP_OK)
        s = hash_file(fd, path, ctx, tick, user, &stopped, err);
    if (s == CLIP_OK && EVP_DigestFinal_ex(ctx, digest, &size) != 1)
        s = clipb_nomem(err, path);
    for (unsigned i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    *same = s == CLIP_OK && !stopped && strcmp(text, etag) == 0;
    EVP_MD_CTX_free(ctx);
    return s;
}
