#include "server.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 16384

static _Noreturn void fail(const char *what)
{
    perror(what);
    abort();
}

static char *read_whole(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, f) != *size)
        fail(path);
    fclose(f);
    return bytes;
}

void server_etag(const char *path, char out[65])
{
    size_t size;
    char *bytes = read_whole(path, &size), head[64];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!bytes)
        fail(path);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, size > SERVER_LARGE ? EVP_sha256() : EVP_sha1(), NULL);
    if (size <= SERVER_LARGE)
        EVP_DigestUpdate(ctx, head, (size_t)sprintf(head, "blob %zu", size) + 1);
    EVP_DigestUpdate(ctx, bytes, size);
    EVP_DigestFinal_ex(ctx, digest, &n);
    for (unsigned i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", digest[i]);
    EVP_MD_CTX_free(ctx);
    free(bytes);
}

/* ---- One connection -------------------------------------------------------------------------- */

typedef struct connection {
    server *s;
    int fd;
    bool at_hub;
} connection;

typedef struct request {
    bool head;
    char path[1024];
    long from;     /* of Range; 0: none */
    bool has_range;
} request;

static bool put(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static bool read_request(const connection *c, request *r)
{
    char text[8192], *line;
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof text && (got = recv(c->fd, text + n, sizeof text - 1 - n, 0)) > 0) {
        n += (size_t)got;
        text[n] = 0;
        if (strstr(text, "\r\n\r\n"))
            break;
    }
    text[n] = 0;
    *r = (request){.head = strncmp(text, "HEAD ", 5) == 0};
    if (sscanf(text, "%*s %1023s", r->path) != 1)
        return false;
    if ((line = strcasestr(text, "\nRange: bytes="))) {
        r->from = strtol(line + 14, NULL, 10);
        r->has_range = true;
    }
    if ((line = strcasestr(text, "\nAuthorization: "))) {
        sscanf(line + 16, "%127[^\r]", c->s->token);
        *(c->at_hub ? &c->s->token_at_hub : &c->s->token_elsewhere) = true;
    }
    c->s->requests++;
    return true;
}

static void answer(const connection *c, int code, const char *headers)
{
    char text[4096];
    put(c->fd, text, (size_t)snprintf(text, sizeof text, "HTTP/1.1 %d Because\r\nConnection: close\r\n%s\r\n", code,
                                      headers));
}

/* The bytes of a large file, with all that can happen to them. */
static void send_large(const connection *c, const char *bytes, size_t n)
{
    server *s = c->s;
    long may = s->cut_after;
    const bool cut = may >= 0 && s->cuts > 0;
    if (cut)
        s->cuts--;
    char piece[PIECE];
    for (size_t at = 0; at < n;) {
        size_t some = n - at < PIECE ? n - at : PIECE;
        if (cut && (long)(at + some) > may)
            some = (size_t)may - at;
        memcpy(piece, bytes + at, some);
        if (s->wrong_bytes)
            piece[some / 2] ^= 1;
        if (!put(c->fd, piece, some))
            return;
        at += some;
        const long sent = atomic_fetch_add(&s->sent, (long)some) + (long)some;
        if (s->kill_after >= 0 && sent >= s->kill_after && s->victim) {
            kill(s->victim, SIGKILL);
            s->victim = 0;
        }
        if (cut && (long)at >= may)
            return;
        if (s->stalls > 0 && at > n / 2) {
            s->stalls--;
            pause_ms(3000);
        }
        if (s->bytes_a_ms > 0)
            pause_ms(PIECE / s->bytes_a_ms);
    }
}

static void send_file(const connection *c, const request *r, const char *bytes, size_t size, const char *headers,
                      bool large)
{
    server *s = c->s;
    char all[2048];
    long from = r->has_range && !s->no_ranges ? r->from : 0;
    if (r->has_range && (s->refuse_ranges || from >= (long)size) && !s->no_ranges) {
        snprintf(all, sizeof all, "%sContent-Range: bytes */%zu\r\nContent-Length: 0\r\n", headers, size);
        answer(c, 416, all);
        return;
    }
    if (s->shifted && from > 0)
        from = from > 10 ? from - 10 : 1;
    const size_t extra = large && s->says_too_much ? 10 : 0;
    int n = snprintf(all, sizeof all, "%sContent-Length: %zu\r\nAccept-Ranges: bytes\r\n", headers,
                     size - (size_t)from + extra);
    if (from > 0)
        snprintf(all + n, sizeof all - (size_t)n, "Content-Range: bytes %ld-%zu/%zu\r\n", from, size - 1, size);
    answer(c, from > 0 ? 206 : 200, all);
    if (r->head)
        return;
    if (large)
        send_large(c, bytes + from, size - (size_t)from);
    else
        put(c->fd, bytes + from, size - (size_t)from);
    if (extra)
        put(c->fd, "0123456789", extra);
}

static void refuse(const connection *c, int code, const char *error)
{
    char headers[256];
    snprintf(headers, sizeof headers, "X-Error-Code: %s\r\nX-Error-Message: %s\r\nX-Repo-Commit: %s\r\n"
                                      "Content-Length: 0\r\n",
             error, error, c->s->commit ? c->s->commit : SERVER_COMMIT);
    answer(c, code, headers);
}

/* /ORG/NAME/resolve/REVISION/FILE, on the hub */
static void serve_hub(const connection *c, const request *r)
{
    server *s = c->s;
    char path[2048], headers[1024], etag[65], moved[1200];
    const char *resolve = strstr(r->path, "/resolve/"), *file = resolve ? strchr(resolve + 9, '/') : NULL;
    const size_t repo = strlen(s->repo);
    size_t size;
    if (s->busy > 0) {
        s->busy--;
        answer(c, 503, "Content-Length: 0\r\n");
        return;
    }
    if (s->error) {
        refuse(c, s->error_code, s->error);
        return;
    }
    if (s->moved_from && resolve && strncmp(r->path + 1, s->moved_from, strlen(s->moved_from)) == 0) {
        snprintf(moved, sizeof moved, "Location: /%s%s\r\nContent-Length: 0\r\n", s->repo, resolve);
        answer(c, 307, moved);
        return;
    }
    if (!file || strncmp(r->path + 1, s->repo, repo) != 0 || r->path + 1 + repo != resolve) {
        refuse(c, 401, "RepoNotFound");
        return;
    }
    if (strncmp(resolve + 9, "main/", 5) != 0 && strncmp(resolve + 9, SERVER_COMMIT "/", 41) != 0) {
        refuse(c, 404, "RevisionNotFound");
        return;
    }
    snprintf(path, sizeof path, "%s%s", s->folder, file);
    char *bytes = read_whole(path, &size);
    if (!bytes) {
        refuse(c, 404, "EntryNotFound");
        return;
    }
    server_etag(path, etag);
    const char *commit = s->commit ? s->commit : SERVER_COMMIT, *tag = s->etag ? s->etag : etag;
    if (size > SERVER_LARGE) {
        snprintf(headers, sizeof headers, "X-Repo-Commit: %s\r\nX-Linked-Etag: \"%s\"\r\nX-Linked-Size: %zu\r\n"
                 "ETag: \"of the redirect\"\r\nLocation: http://127.0.0.1:%d%s\r\nContent-Length: 0\r\n",
                 commit, tag, size, s->store, file);
        answer(c, 302, headers);
    } else {
        snprintf(headers, sizeof headers, "X-Repo-Commit: %s\r\nETag: W/\"%s\"\r\n", commit, tag);
        send_file(c, r, bytes, size, headers, false);
    }
    free(bytes);
}

static void serve_store(const connection *c, const request *r)
{
    char path[2048];
    size_t size;
    snprintf(path, sizeof path, "%s%s", c->s->folder, r->path);
    char *bytes = read_whole(path, &size);
    if (bytes)
        send_file(c, r, bytes, size, "ETag: \"of the store\"\r\n", true);
    free(bytes);
}

static void *serve(void *user)
{
    connection *c = user;
    request r;
    if (read_request(c, &r))
        (c->at_hub ? serve_hub : serve_store)(c, &r);
    shutdown(c->fd, SHUT_WR);
    close(c->fd);
    free(c);
    return NULL;
}

/* ---- Listening ------------------------------------------------------------------------------- */

typedef struct listener {
    server *s;
    int fd;
    bool at_hub;
} listener;

static void *listen_on(void *user)
{
    const listener *l = user;
    for (;;) {
        connection *c = malloc(sizeof *c);
        pthread_t thread;
        *c = (connection){l->s, accept4(l->fd, NULL, NULL, SOCK_CLOEXEC), l->at_hub};
        if (c->fd < 0 || pthread_create(&thread, NULL, serve, c) != 0)
            fail("accept");
        pthread_detach(thread);
    }
    return NULL;
}

static int open_port(server *s, bool at_hub)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    static listener kept[8];
    static int n;
    listener *l = &kept[n++];
    pthread_t thread;
    *l = (listener){s, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), at_hub};
    if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(l->fd, 64) < 0 ||
        getsockname(l->fd, (struct sockaddr *)&a, &size) < 0 || pthread_create(&thread, NULL, listen_on, l) != 0)
        fail("a port");
    pthread_detach(thread);
    return ntohs(a.sin_port);
}

void server_start(server *s, const char *folder)
{
    *s = (server){.folder = folder, .repo = "org/name", .cut_after = -1, .kill_after = -1};
    s->hub = open_port(s, true);
    s->store = open_port(s, false);
    snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%d", s->hub);
}
