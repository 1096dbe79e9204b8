/* Requests to the hub, with libcurl. Redirects are followed here and not by libcurl, so that each
 * request is made with the headers that its host may see. */
#include "hub/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_REDIRECTS = 10 };

struct cliphub_http {
    CURL *easy;
    CURLU *hub; /* the endpoint */
    cliphub_http_options o;
    struct curl_slist *plain, *signed_in; /* headers without and with the token */
    cliphub_reply *reply; /* of the request under way */
    cliphub_sink sink;
    void *sink_user;
    bool reached, sink_stopped, stopped;
    char why[CURL_ERROR_SIZE + 64];
};

/* ---- libcurl --------------------------------------------------------------------------------- */

/* Loaded when something is fetched: with all that it needs, it would make every start of a program
 * some milliseconds longer. */
#define LIBRARY "libcurl.so.4"
#define FUNCTIONS(X)                                                                                                  \
    X(global_init) X(easy_init) X(easy_setopt) X(easy_perform) X(easy_cleanup) X(easy_strerror) X(slist_append)       \
    X(slist_free_all) X(url) X(url_cleanup) X(url_dup) X(url_get) X(url_set) X(free)

static struct {
#define X(name) __typeof__(curl_##name) *name;
    FUNCTIONS(X)
#undef X
} curl;

static bool loaded;

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    loaded = library;
#define X(name)                                                                                                       \
    curl.name = loaded ? (__typeof__(curl_##name) *)(uintptr_t)dlsym(library, "curl_" #name) : NULL;                  \
    loaded = curl.name;
    FUNCTIONS(X)
#undef X
    loaded = loaded && curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* ---- Headers --------------------------------------------------------------------------------- */

static void take_text(char *out, size_t size, const char *value, size_t n)
{
    snprintf(out, size, "%.*s", (int)(n < size ? n : 0), value); /* a cut value would be another one */
}

static int64_t read_number(const char *value)
{
    char *end;
    const long long n = strtoll(value, &end, 10);
    return end == value || n < 0 ? -1 : n;
}

static void reset(cliphub_reply *r)
{
    char commit[sizeof r->commit];
    memcpy(commit, r->commit, sizeof commit); /* a redirect before this answer may have said it */
    *r = (cliphub_reply){.length = -1, .linked_size = -1, .from = -1};
    memcpy(r->commit, commit, sizeof commit);
}

static void take_header(cliphub_reply *r, const char *name, size_t name_bytes, const char *value, size_t n)
{
    const struct {
        const char *name;
        char *out;
        size_t size;
    } texts[] = {
        {"x-repo-commit", r->commit, sizeof r->commit},  {"etag", r->etag, sizeof r->etag},
        {"x-linked-etag", r->linked_etag, sizeof r->linked_etag}, {"x-error-code", r->error, sizeof r->error},
        {"x-error-message", r->message, sizeof r->message}, {"location", r->location, sizeof r->location},
    };
#define IS(text) (name_bytes == strlen(text) && strncasecmp(name, text, name_bytes) == 0)
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (IS(texts[i].name))
            take_text(texts[i].out, texts[i].size, value, n);
    char number[64];
    take_text(number, sizeof number, value, n);
    if (IS("content-length"))
        r->length = read_number(number);
    else if (IS("x-linked-size"))
        r->linked_size = read_number(number);
    else if (IS("content-range") && strncasecmp(number, "bytes ", 6) == 0)
        r->from = read_number(number + 6);
#undef IS
}

static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    cliphub_http *h = user;
    const size_t n = size * count;
    if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
        const char *space = memchr(line, ' ', n);
        reset(h->reply);
        h->reply->code = space ? strtol(space + 1, NULL, 10) : 0;
        h->reached = true;
        return n;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon)
        return n;
    const char *value = colon + 1, *end = line + n;
    while (value < end && isspace((unsigned char)*value))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    take_header(h->reply, line, (size_t)(colon - line), value, (size_t)(end - value));
    return n;
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    cliphub_http *h = user;
    const size_t n = size * count;
    if (!h->sink || (h->reply->code != 200 && h->reply->code != 206))
        return n;
    if (h->sink(h->sink_user, h->reply, bytes, n))
        return n;
    h->sink_stopped = true;
    return n == 0; /* another number than n ends the transfer */
}

static int on_progress(void *user, curl_off_t all, curl_off_t now, curl_off_t up_all, curl_off_t up)
{
    cliphub_http *h = user;
    (void)all, (void)now, (void)up_all, (void)up;
    h->stopped |= !h->o.tick(h->o.user);
    return h->stopped;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static bool is_same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *x = NULL, *y = NULL;
    const bool same = curl.url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                      curl.url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(x, y) == 0;
    curl.free(x);
    curl.free(y);
    return same;
}

static bool is_hub(const cliphub_http *h, CURLU *url)
{
    return is_same_part(h->hub, url, CURLUPART_SCHEME) && is_same_part(h->hub, url, CURLUPART_HOST) &&
           is_same_part(h->hub, url, CURLUPART_PORT);
}

static bool has_scheme(CURLU *url, const char *wanted)
{
    char *scheme = NULL;
    const bool is = curl.url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && strcasecmp(scheme, wanted) == 0;
    curl.free(scheme);
    return is;
}

bool cliphub_http_escape(const char *text, bool slashes, char *out, size_t size)
{
    size_t n = 0;
    for (; *text; text++) {
        if (n + 4 > size)
            return false;
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text) || (slashes && *text == '/'))
            out[n++] = *text;
        else
            n += (size_t)snprintf(out + n, 4, "%%%02X", (unsigned char)*text);
    }
    out[n] = 0;
    return true;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl.slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer;
}

/* The headers of a request are two lists: for the hub, and for the servers that it points to. */
static clip_status make_headers(cliphub_http *h, clip_error *err)
{
    char line[1024];
    const char *token = h->o.token ? h->o.token : "";
    for (const char *p = token; *p; p++)
        if (!isgraph((unsigned char)*p) || strlen(token) > sizeof line - 32)
            return clipb_fail(err, CLIP_EINVAL, "HF_TOKEN", "is not a token: it has blanks or control characters in "
                                                            "it, or is too long");
    snprintf(line, sizeof line, "Authorization: Bearer %s", token);
    const char *identity = "Accept-Encoding: identity";
    const bool made = add_header(&h->plain, identity) && add_header(&h->signed_in, identity) &&
                      (!*token || add_header(&h->signed_in, line));
    memset(line, 0, sizeof line);
    return made ? CLIP_OK : clipb_nomem(err, NULL);
}

static void set_up(cliphub_http *h)
{
    CURL *c = h->easy;
    curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(c, CURLOPT_USERAGENT, "clip/" CLIP_VERSION_STRING);
    curl.easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl.easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* a proxy does not get the token */
    curl.easy_setopt(c, CURLOPT_CONNECTTIMEOUT, h->o.timeout);
    curl.easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl.easy_setopt(c, CURLOPT_LOW_SPEED_TIME, h->o.timeout);
    curl.easy_setopt(c, CURLOPT_ERRORBUFFER, h->why);
    curl.easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl.easy_setopt(c, CURLOPT_HEADERDATA, h);
    curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl.easy_setopt(c, CURLOPT_WRITEDATA, h);
    curl.easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl.easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl.easy_setopt(c, CURLOPT_XFERINFODATA, h);
}

clip_status cliphub_http_open(const cliphub_http_options *o, cliphub_http **out, clip_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    *out = NULL;
    pthread_once(&once, load);
    if (!loaded)
        return clipb_fail(err, CLIP_EUNSUPPORTED, LIBRARY, "cannot be loaded: without it nothing is fetched");
    cliphub_http *h = calloc(1, sizeof *h);
    if (!h)
        return clipb_nomem(err, NULL);
    h->o = *o;
    h->easy = curl.easy_init();
    h->hub = curl.url();
    clip_status s = h->easy && h->hub ? CLIP_OK : clipb_nomem(err, NULL);
    if (s == CLIP_OK && (curl.url_set(h->hub, CURLUPART_URL, o->endpoint, 0) != CURLUE_OK ||
                         (!has_scheme(h->hub, "https") && !has_scheme(h->hub, "http"))))
        s = clipb_fail(err, CLIP_EINVAL, "HF_ENDPOINT", "'%s' is not an http or https address", o->endpoint);
    if (s == CLIP_OK)
        s = make_headers(h, err);
    if (s < 0) {
        cliphub_http_close(h);
        return s;
    }
    set_up(h);
    *out = h;
    return CLIP_OK;
}

void cliphub_http_close(cliphub_http *h)
{
    if (!h)
        return;
    curl.easy_cleanup(h->easy);
    curl.url_cleanup(h->hub);
    curl.slist_free_all(h->plain);
    curl.slist_free_all(h->signed_in);
    free(h);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static cliphub_outcome outcome_of(cliphub_http *h, CURLcode code)
{
    if (code == CURLE_OK)
        return CLIPHUB_ANSWERED;
    if (code == CURLE_OUT_OF_MEMORY)
        return CLIPHUB_NOMEM;
    if (h->stopped)
        return CLIPHUB_STOPPED;
    if (h->sink_stopped)
        return CLIPHUB_REFUSED;
    if (!*h->why)
        snprintf(h->why, sizeof h->why, "%s", curl.easy_strerror(code));
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_UNSUPPORTED_PROTOCOL ? CLIPHUB_REFUSED
                                                                                       : CLIPHUB_BROKEN;
}

/* One request to one address. */
static cliphub_outcome ask_once(cliphub_http *h, CURLU *url)
{
    *h->why = 0;
    curl.easy_setopt(h->easy, CURLOPT_CURLU, url);
    curl.easy_setopt(h->easy, CURLOPT_HTTPHEADER, is_hub(h, url) ? h->signed_in : h->plain);
    reset(h->reply);
    return outcome_of(h, curl.easy_perform(h->easy));
}

/* Whether the answer is a redirect to follow. *url becomes its target. */
static bool follow(cliphub_http *h, CURLU *url, bool only_hub, cliphub_outcome *outcome)
{
    const long code = h->reply->code;
    if ((code != 301 && code != 302 && code != 303 && code != 307 && code != 308) || !*h->reply->location)
        return false;
    const bool safe = has_scheme(url, "https");
    CURLU *next = curl.url_dup(url);
    bool followed = false;
    if (!next)
        *outcome = CLIPHUB_NOMEM;
    else if (curl.url_set(next, CURLUPART_URL, h->reply->location, 0) != CURLUE_OK ||
             !(has_scheme(next, "https") || (!safe && has_scheme(next, "http")))) {
        snprintf(h->why, sizeof h->why, "it redirects to an address that is not allowed");
        *outcome = CLIPHUB_REFUSED;
    } else if (!only_hub || is_hub(h, next)) {
        followed = curl.url_set(url, CURLUPART_URL, h->reply->location, 0) == CURLUE_OK;
        *outcome = followed ? *outcome : CLIPHUB_NOMEM;
    }
    curl.url_cleanup(next);
    return followed;
}

static cliphub_outcome ask(cliphub_http *h, const char *path, bool only_hub, cliphub_reply *reply)
{
    char whole[2048];
    const size_t n = strlen(h->o.endpoint);
    CURLU *url = curl.url();
    cliphub_outcome outcome = CLIPHUB_NOMEM;
    *reply = (cliphub_reply){0};
    h->reply = reply;
    h->sink_stopped = h->stopped = false;
    snprintf(whole, sizeof whole, "%.*s/%s", (int)(h->o.endpoint[n - 1] == '/' ? n - 1 : n), h->o.endpoint, path);
    if (url && curl.url_set(url, CURLUPART_URL, whole, 0) == CURLUE_OK) {
        int hops = 0;
        do {
            outcome = ask_once(h, url);
        } while (outcome == CLIPHUB_ANSWERED && follow(h, url, only_hub, &outcome) && ++hops <= MOST_REDIRECTS);
        if (hops > MOST_REDIRECTS) {
            snprintf(h->why, sizeof h->why, "it redirects without end");
            outcome = CLIPHUB_REFUSED;
        }
    }
    curl.easy_setopt(h->easy, CURLOPT_CURLU, NULL);
    curl.url_cleanup(url);
    return outcome;
}

cliphub_outcome cliphub_http_head(cliphub_http *h, const char *path, cliphub_reply *reply)
{
    h->sink = NULL;
    curl.easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
    curl.easy_setopt(h->easy, CURLOPT_RANGE, NULL);
    return ask(h, path, true, reply);
}

cliphub_outcome cliphub_http_get(cliphub_http *h, const char *path, int64_t from, cliphub_sink sink, void *user,
                                 cliphub_reply *reply)
{
    char range[32];
    snprintf(range, sizeof range, "%lld-", (long long)from);
    h->sink = sink;
    h->sink_user = user;
    curl.easy_setopt(h->easy, CURLOPT_NOBODY, 0L);
    curl.easy_setopt(h->easy, CURLOPT_HTTPGET, 1L);
    curl.easy_setopt(h->easy, CURLOPT_RANGE, from > 0 ? range : NULL);
    return ask(h, path, false, reply);
}

const char *cliphub_http_why(const cliphub_http *h) { return h->why; }

bool cliphub_http_reached(const cliphub_http *h) { return h->reached; }
