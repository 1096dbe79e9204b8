/* Whether a file is the one that its ETag names. */
#include <dlfcn.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/store.h"

enum { PIECE = 1 << 20 };

/* Loaded when it is needed, as libcurl is. */
#define TEXT_OF(x) #x
#define NAME_OF(version) "libcrypto.so." TEXT_OF(version)
#define LIBRARY NAME_OF(OPENSSL_SHLIB_VERSION)
#define FUNCTIONS(X)                                                                                                  \
    X(update, EVP_DigestUpdate) X(init, EVP_DigestInit_ex) X(final, EVP_DigestFinal_ex) X(sha256, EVP_sha256)         \
    X(sha1, EVP_sha1) X(ctx_new, EVP_MD_CTX_new) X(ctx_free, EVP_MD_CTX_free)

static struct {
#define X(name, function) __typeof__(function) *name;
    FUNCTIONS(X)
#undef X
} crypto;

static bool loaded;

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    loaded = library;
#define X(name, function)                                                                                             \
    crypto.name = loaded ? (__typeof__(function) *)(uintptr_t)dlsym(library, #function) : NULL;                       \
    loaded = crypto.name;
    FUNCTIONS(X)
#undef X
}

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
        else if (crypto.update(ctx, piece, (size_t)n) != 1)
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
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct stat st;
    char head[40], text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    bool stopped = false;
    *same = true;
    if ((digits != 40 && digits != 64) || strspn(etag, "0123456789abcdef") != digits)
        return CLIP_OK;
    pthread_once(&once, load);
    if (!loaded)
        return clipb_fail(err, CLIP_EUNSUPPORTED, LIBRARY, "cannot be loaded: without it no hash is checked");
    if (fstat(fd, &st) < 0)
        return clipb_fail(err, CLIP_EIO, path, "%s", strerror(errno));
    EVP_MD_CTX *ctx = crypto.ctx_new();
    clip_status s = ctx && crypto.init(ctx, digits == 64 ? crypto.sha256() : crypto.sha1(), NULL) == 1
                        ? CLIP_OK : clipb_nomem(err, path);
    if (s == CLIP_OK && digits == 40) { /* git hashes "blob SIZE", a 0, and the bytes */
        const int n = snprintf(head, sizeof head, "blob %lld", (long long)st.st_size);
        s = crypto.update(ctx, head, (size_t)n + 1) == 1 ? CLIP_OK : clipb_nomem(err, path);
    }
    if (s == CLIP_OK)
        s = hash_file(fd, path, ctx, tick, user, &stopped, err);
    if (s == CLIP_OK && crypto.final(ctx, digest, &size) != 1)
        s = clipb_nomem(err, path);
    for (unsigned i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    *same = s == CLIP_OK && !stopped && strcmp(text, etag) == 0;
    crypto.ctx_free(ctx);
    return s;
}
