/* http.h: requests to the hub, with libcurl. The token goes to the hub's own origin (scheme, host
 * and port) and to nobody else. */
#ifndef CLIPHUB_HTTP_H
#define CLIPHUB_HTTP_H

#include "base/status.h"

/* What the headers of an answer say. A missing text is "", a missing number is -1. */
typedef struct cliphub_reply {
    long code;                      /* of the last answer of a chain of redirects */
    char commit[64];                /* X-Repo-Commit */
    char etag[160], linked_etag[160];
    int64_t length, linked_size;    /* Content-Length, X-Linked-Size */
    int64_t from;                   /* Content-Range: the first byte that is sent */
    char error[64], message[256];   /* X-Error-Code, X-Error-Message */
    char location[4096];
} cliphub_reply;

typedef enum cliphub_outcome {
    CLIPHUB_ANSWERED, /* whatever the code is */
    CLIPHUB_BROKEN,   /* no connection, or it broke: it may help to try again */
    CLIPHUB_REFUSED,  /* an answer that cannot be used, or `sink` said stop */
    CLIPHUB_STOPPED,  /* `tick` said stop */
    CLIPHUB_NOMEM
} cliphub_outcome;

typedef struct cliphub_http_options {
    const char *endpoint; /* "https://HOST[:PORT][/PATH]" */
    const char *token;    /* NULL: none */
    long timeout;         /* seconds without data */
    bool (*tick)(void *user); /* called often; false: stop */
    void *user;
} cliphub_http_options;

typedef struct cliphub_http cliphub_http;

/* cliphub_http_open(): o->endpoint and o->token must live as long as the handle.
 * Errors: CLIP_EINVAL (the endpoint is not an http or https address; the token has characters that
 * a header cannot have), CLIP_ENOMEM. */
clip_status cliphub_http_open(const cliphub_http_options *o, cliphub_http **out, clip_error *err);
void cliphub_http_close(cliphub_http *h);

/* cliphub_http_head(): ask for a file's headers. Redirects within the hub's origin are followed; a
 * redirect that leaves it is the answer.
 * path  in   behind the endpoint, escaped */
cliphub_outcome cliphub_http_head(cliphub_http *h, const char *path, cliphub_reply *reply);

/* cliphub_http_get(): ask for a file's bytes from `from` on. All redirects are followed.
 * sink  in   called with the bytes of an answer 200 or 206; false: stop */
typedef bool (*cliphub_sink)(void *user, const cliphub_reply *reply, const void *bytes, size_t n);
cliphub_outcome cliphub_http_get(cliphub_http *h, const char *path, int64_t from, cliphub_sink sink, void *user,
                                 cliphub_reply *reply);

/* cliphub_http_why(): the fault behind the last outcome that was not an answer.
 * cliphub_http_reached(): whether the hub has answered anything. */
const char *cliphub_http_why(const cliphub_http *h);
bool cliphub_http_reached(const cliphub_http *h);

/* cliphub_http_escape(): text for an address; '/' stays if `slashes`. @return: false: too long. */
bool cliphub_http_escape(const char *text, bool slashes, char *out, size_t size);

#endif
