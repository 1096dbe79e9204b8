/* server.h: a server on loopback that answers as the Hugging Face hub does. Files below a folder
 * are one repository, ORG/NAME, at one commit. Files larger than SERVER_LARGE are kept "elsewhere":
 * the hub redirects to another port, as it does to another host.
 *
 * A test changes the members below `what it does` between requests, and reads those below `what it
 * has seen`. */
#ifndef SERVER_H
#define SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SERVER_LARGE = 100000 };
#define SERVER_COMMIT "0123456789abcdef0123456789abcdef01234567"

typedef struct server {
    int hub, store;      /* ports */
    char endpoint[64];   /* "http://127.0.0.1:PORT" */
    const char *folder;

    /* what it does */
    const char *repo;            /* "org/name" */
    const char *moved_from;      /* a repository that redirects to it; NULL: none */
    const char *commit, *etag;   /* instead of the true ones; NULL: the true ones */
    const char *error;           /* X-Error-Code of every answer; NULL: none */
    int error_code;
    _Atomic int busy;            /* answers of 503 before it works */
    _Atomic long cut_after;      /* bytes of a large file, then the connection breaks; -1: all */
    _Atomic int cuts;            /* how often that happens */
    _Atomic long kill_after;     /* bytes of a large file, then `victim` gets SIGKILL; -1: never */
    _Atomic pid_t victim;
    _Atomic bool no_ranges, refuse_ranges, wrong_bytes, says_too_much, shifted;
    _Atomic int stalls;          /* how often it stops in mid-file for 3 seconds */
    _Atomic long bytes_a_ms;     /* 0: as fast as it can */

    /* what it has seen */
    _Atomic long sent;           /* bytes of large files */
    _Atomic int requests;
    _Atomic bool token_at_hub, token_elsewhere;
    char token[128];             /* the last Authorization */
} server;

/* server_start(): serve `folder`. The threads run until the process ends. */
void server_start(server *s, const char *folder);

/* server_etag(): the ETag that the hub has for a file: SHA-256 of a large one, git's SHA-1 of a
 * small one. */
void server_etag(const char *path, char out[65]);

#endif
