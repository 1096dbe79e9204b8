/* From what a person types to a repository. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "hub/hub.h"

static const clip_known_model known[] = {
#include "hub/known.inc"
    /* M-CLIP's text encoders, which Immich offers under these names beside OpenCLIP's */
    {"LABSE-Vit-L-14", "M-CLIP/LABSE-Vit-L-14", NULL, 0},
    {"XLM-Roberta-Large-Vit-B-16Plus", "M-CLIP/XLM-Roberta-Large-Vit-B-16Plus", NULL, 0},
    {"XLM-Roberta-Large-Vit-B-32", "M-CLIP/XLM-Roberta-Large-Vit-B-32", NULL, 0},
    {"XLM-Roberta-Large-Vit-L-14", "M-CLIP/XLM-Roberta-Large-Vit-L-14", NULL, 0},
};
enum { KNOWN = sizeof known / sizeof *known };

/* docs/models.md says why these. */
static const clip_recommended_model recommended[] = {
    {"photographs", "ViT-L-14/datacomp_xl_s13b_b90k"},
    {"many languages", "ViT-B-16-SigLIP2/webli"},
    {"a small machine", "ViT-B-32/datacomp_xl_s13b_b90k"},
};

const clip_known_model *cliphub_known(int *n)
{
    *n = KNOWN;
    return known;
}

const clip_recommended_model *cliphub_recommended(int *n)
{
    *n = (int)(sizeof recommended / sizeof *recommended);
    return recommended;
}

/* ---- OpenCLIP's and Immich's names ----------------------------------------------------------- */

/* Immich writes some names with '-' for '_', and others with other capitals. */
static int folded(char c) { return c == '_' ? '-' : tolower((unsigned char)c); }

static bool is_same(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    if (a_bytes != b_bytes)
        return false;
    for (size_t i = 0; i < a_bytes; i++)
        if (folded(a[i]) != folded(b[i]))
            return false;
    return true;
}

/* The two parts of a name: "ViT-B-32" and "openai". A name without a tag has tag NULL. */
typedef struct parts {
    const char *arch, *tag;
    size_t arch_bytes;
} parts;

static parts split(const char *text)
{
    const char *slash = strchr(text, '/'), *two = strstr(text, "__");
    if (slash)
        return (parts){text, slash + 1, (size_t)(slash - text)};
    if (two)
        return (parts){text, two + 2, (size_t)(two - text)};
    return (parts){text, NULL, strlen(text)};
}

static bool has_tag(const parts *p, const char *tag)
{
    return p->tag && tag ? is_same(p->tag, strlen(p->tag), tag, strlen(tag)) : p->tag == tag;
}

/* The row of a name. *tags: the tags of its architecture, for a message. */
static const clip_known_model *look_up(const char *text, char *tags, size_t size)
{
    const parts wanted = split(text);
    size_t n = 0;
    *tags = 0;
    for (int i = 0; i < KNOWN; i++) {
        const parts p = split(known[i].name);
        if (!is_same(wanted.arch, wanted.arch_bytes, p.arch, p.arch_bytes))
            continue;
        if (has_tag(&wanted, p.tag))
            return &known[i];
        if (p.tag && n < size)
            n += (size_t)snprintf(tags + n, size - n, "%s%s", n > 0 ? ", " : "", p.tag);
    }
    return NULL;
}

/* ---- The hub's names ------------------------------------------------------------------------- */

static bool is_word(const char *s, size_t n)
{
    if (n == 0 || n > 96 || *s == '.' || *s == '-' || s[n - 1] == '.' || s[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.')
            return false;
        if (i > 0 && s[i] == s[i - 1] && (s[i] == '-' || s[i] == '.')) /* as the hub: no "--", no ".." */
            return false;
    }
    return true;
}

static bool is_revision(const char *s)
{
    if (strlen(s) >= CLIPHUB_REVISION)
        return false;
    for (size_t n; *s; s += n + (s[n] == '/')) {
        n = strcspn(s, "/");
        if (n == 0 || *s == '.' || (s[n] == '/' && !s[n + 1]))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!isalnum((unsigned char)s[i]) && !strchr("-_.+", s[i]))
                return false;
    }
    return true;
}

/* ORG/NAME[@REVISION] */
static bool read_repo(const char *text, cliphub_name *out)
{
    const char *slash = strchr(text, '/'), *at = strchr(text, '@');
    const size_t bytes = at ? (size_t)(at - text) : strlen(text);
    if (!slash || (at && slash > at) || bytes >= CLIPHUB_REPO || (at && !at[1]))
        return false;
    const size_t org = (size_t)(slash - text);
    if (!is_word(text, org) || !is_word(slash + 1, bytes - org - 1) || !is_revision(at ? at + 1 : "main"))
        return false;
    *out = (cliphub_name){0};
    memcpy(out->repo, text, bytes);
    snprintf(out->revision, sizeof out->revision, "%s", at ? at + 1 : "main");
    return true;
}

/* A file or folder that does not exist is not taken for a repository. */
static bool is_file_name(const char *text)
{
    static const char *const endings[] = {".safetensors", ".json", ".bin",  ".pt",   ".pth",  ".ckpt",
                                          ".onnx",        ".gguf", ".npz",  ".pkl",  ".h5",   ".xml"};
    const char *dot = strrchr(text, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(dot, endings[i]) == 0)
            return true;
    return false;
}

clip_status cliphub_name_read(const char *text, cliphub_name *out, bool *found, clip_error *err)
{
    static const char hub[] = "hf-hub:";
    char tags[700];
    *found = true;
    if (strncmp(text, hub, strlen(hub)) == 0)
        return read_repo(text + strlen(hub), out)
                   ? CLIP_OK
                   : clipb_fail(err, CLIP_EINVAL, text, "is not hf-hub:ORG/NAME or hf-hub:ORG/NAME@REVISION");
    const clip_known_model *row = look_up(text, tags, sizeof tags);
    if (row) {
        *out = (cliphub_name){.known = row, .revision = "main"};
        snprintf(out->repo, sizeof out->repo, "%s", row->repository);
        return CLIP_OK;
    }
    if (*tags) {
        const parts p = split(text);
        return clipb_fail(err, CLIP_EINVAL, text, "%s%.*s/TAG, with one of these tags: %s",
                          p.tag ? "there are no such weights; the names are " : "which weights? The names are ",
                          (int)p.arch_bytes, p.arch, tags);
    }
    *found = !is_file_name(text) && read_repo(text, out);
    return CLIP_OK;
}
