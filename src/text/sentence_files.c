/* Loading tokenizers of SentencePiece's kind. Files alone do not say what a text becomes:
 * transformers 5 builds the pipeline from the class that tokenizer_config.json names. Without a
 * class that is known here, tokenizer.json is followed as it stands. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/rules.h"
#include "text/sentence.h"
#include "text/settings.h"

enum { MAX_ADDED = 20000, FILE_LIMIT = 128 << 20 };

/* Which token begins or ends a text. */
typedef enum whence { NOTHING, THE_BOS, THE_EOS, THE_LANGUAGE, FROM_FILE } whence;

/* A class of transformers. */
typedef struct family {
    const char *class, *file; /* "tokenizer_class"; its model file */
    cliptok_kind_of_model kind;
    const char *own[CLIPTOK_ROLES];
    whence start, end;
    int32_t unknown; /* id; -1: that of the file */
    bool byte_fallback, split_white, signs, collapse, replace, lower;
    bool fairseq;     /* in a model file, ids are shifted: <s> <pad> </s> <unk>, then pieces 3 and on */
    bool mask, extra; /* behind the pieces of a model file come <mask>; <extra_id_N> */
    bool mask_strips; /* <mask> is looked for in normalized text, and takes the spaces before it */
} family;

#define BERT_LIKE                                                                                                      \
    {                                                                                                                  \
        "<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"                                                       \
    }
#define GEMMA_LIKE                                                                                                     \
    {                                                                                                                  \
        "<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>"                                                       \
    }

static const family families[] = {
    {.class = "T5Tokenizer",
     .file = "spiece.model",
     .kind = CLIPTOK_MODEL_UNIGRAM,
     .own = {NULL, "</s>", "<unk>", NULL, "<pad>"},
     .end = THE_EOS,
     .unknown = 2,
     .split_white = true,
     .signs = true,
     .extra = true},
    {.class = "XLMRobertaTokenizer",
     .file = "sentencepiece.bpe.model",
     .kind = CLIPTOK_MODEL_UNIGRAM,
     .own = BERT_LIKE,
     .start = THE_BOS,
     .end = THE_EOS,
     .unknown = 3,
     .split_white = true,
     .signs = true,
     .fairseq = true,
     .mask = true},
    {.class = "NllbTokenizer",
     .file = "sentencepiece.bpe.model",
     .kind = CLIPTOK_MODEL_MERGES,
     .own = BERT_LIKE,
     .start = THE_LANGUAGE,
     .end = THE_EOS,
     .unknown = -1,
     .signs = true,
     .collapse = true,
     .fairseq = true,
     .mask_strips = true},
    {.class = "GemmaTokenizer",
     .file = "tokenizer.model",
     .kind = CLIPTOK_MODEL_MERGES,
     .own = GEMMA_LIKE,
     .start = FROM_FILE,
     .end = FROM_FILE,
     .unknown = -1,
     .byte_fallback = true,
     .replace = true},
    {.class = "Siglip2Tokenizer",
     .file = "tokenizer.model",
     .kind = CLIPTOK_MODEL_MERGES,
     .own = GEMMA_LIKE,
     .start = FROM_FILE,
     .end = FROM_FILE,
     .unknown = -1,
     .byte_fallback = true,
     .replace = true,
     .lower = true},
};
enum { FAMILIES = sizeof families / sizeof *families };

/* tokenizer.json as it stands; SentencePiece itself. */
static const family any = {.start = FROM_FILE, .end = FROM_FILE, .unknown = -1};
static const family siglip = {.class = "SiglipTokenizer",
                              .kind = CLIPTOK_MODEL_UNIGRAM,
                              .end = THE_EOS,
                              .unknown = -1,
                              .own = {NULL, "</s>", "<unk>", NULL, "</s>"}};

/* ---- The pipeline ---------------------------------------------------------------------------- */

static clip_status add_step(cliptok_sentence *t, cliptok_step_kind kind, const char *from, const char *to,
                            const char *dir, clip_error *err)
{
    cliptok_step step = {.kind = kind};
    snprintf(step.from, sizeof step.from, "%s", from);
    snprintf(step.to, sizeof step.to, "%s", to);
    return cliptok_pipeline_add(&t->pipeline, step, dir, err);
}

/* The pipeline of a class; the charsmap is there already. */
static clip_status build_pipeline(cliptok_sentence *t, const family *f, const char *dir, clip_error *err)
{
    cliptok_pipeline *p = &t->pipeline;
    if (f->lower || t->base.rules->lower)
        TRY(add_step(t, CLIPTOK_STEP_LOWER, "", "", dir, err));
    if (p->charsmap.data && !f->replace)
        TRY(add_step(t, CLIPTOK_STEP_CHARSMAP, "", "", dir, err));
    if (p->charsmap.data && f->collapse)
        TRY(add_step(t, CLIPTOK_STEP_COLLAPSE, "", " ", dir, err));
    if (f->replace)
        TRY(add_step(t, CLIPTOK_STEP_REPLACE, " ", CLIPTOK_SPACE_SIGN, dir, err));
    p->split_white = f->split_white;
    p->signs = p->split_signs = f->signs;
    p->prepend = CLIPTOK_PREPEND_ALWAYS;
    return CLIP_OK;
}

static clip_status read_pipeline(cliptok_sentence *t, const char *path, clip_error *err)
{
    TRY(cliptok_pipeline_read(&t->pipeline, t->v.normalizer, t->v.pre_tokenizer, path, err));
    cliptok_pipeline *p = &t->pipeline;
    if (!t->base.rules->lower || (p->steps > 0 && p->step[0].kind == CLIPTOK_STEP_LOWER))
        return CLIP_OK;
    TRY(add_step(t, CLIPTOK_STEP_LOWER, "", "", path, err));
    const cliptok_step lower = p->step[p->steps - 1];
    memmove(p->step + 1, p->step, (size_t)(p->steps - 1) * sizeof *p->step);
    p->step[0] = lower;
    return CLIP_OK;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

/* Start and end as tokenizer.json has them, or as "add_bos_token" and "add_eos_token" say. */
static clip_status read_ends(cliptok_sentence *t, const cliptok_settings *s, const int32_t role[CLIPTOK_ROLES],
                             const char *dir, clip_error *err)
{
    bool bos = false, eos = false;
    const cJSON *c = s->config;
    if (c && (cJSON_HasObjectItem(c, "add_bos_token") || cJSON_HasObjectItem(c, "add_eos_token"))) {
        TRY(clipb_json_bool(c, "add_bos_token", &bos, dir, err));
        TRY(clipb_json_bool(c, "add_eos_token", &eos, dir, err));
        t->base.start = bos ? role[CLIPTOK_BOS] : -1;
        t->base.end = eos ? role[CLIPTOK_EOS] : -1;
        return CLIP_OK;
    }
    return cJSON_IsObject(t->v.post_processor) ? cliptok_settings_ends(t->v.post_processor, &t->added, &t->v.pieces,
                                                                       &t->base.start, &t->base.end, dir, err)
                                               : CLIP_OK;
}

static clip_status find_ends(cliptok_sentence *t, const family *f, const cliptok_settings *s,
                             const int32_t role[CLIPTOK_ROLES], const char *dir, clip_error *err)
{
    const char *language = "eng_Latn";
    if (f->start == FROM_FILE)
        TRY(read_ends(t, s, role, dir, err));
    if (f->start == THE_BOS)
        t->base.start = role[CLIPTOK_BOS];
    if (f->end == THE_EOS)
        t->base.end = role[CLIPTOK_EOS];
    if (f->start == THE_LANGUAGE) {
        bool legacy = false;
        if (s->config) {
            TRY(clipb_json_string(s->config, "src_lang", &language, dir, err));
            TRY(clipb_json_bool(s->config, "legacy_behaviour", &legacy, dir, err));
        }
        if (legacy)
            return clipb_fail(err, CLIP_EUNSUPPORTED, dir,
                              "\"legacy_behaviour\" is true, so the language would stand behind a text");
        t->base.start = cliptok_settings_find(&t->added, &t->v.pieces, language);
        if (t->base.start < 0)
            return clipb_fail(err, CLIP_EFORMAT, dir, "no token '%s' for the language of a text", language);
        snprintf(t->base.language, sizeof t->base.language, "%s", language);
    }
    t->base.pad = role[CLIPTOK_PAD] >= 0 ? role[CLIPTOK_PAD] : t->base.end >= 0 ? t->base.end : 0;
    return CLIP_OK;
}

/* ---- Model files ----------------------------------------------------------------------------- */

static clip_status add_extra_ids(cliptok_sentence *t, const cliptok_settings *s, const char *dir, clip_error *err)
{
    int extra = 100;
    if (s->config)
        TRY(clipb_json_int(s->config, "extra_ids", 0, 10000, &extra, dir, err));
    for (int i = extra; i-- > 0;) {
        char text[32];
        const int n = snprintf(text, sizeof text, "<extra_id_%d>", i);
        const int32_t id = (int32_t)t->v.pieces.n;
        TRY(cliptok_vocabulary_add(&t->v, text, (size_t)n, id, 0, dir, err));
        TRY(cliptok_added_put(&t->added, text, (size_t)n, (cliptok_added){.id = id}));
    }
    return CLIP_OK;
}

static clip_status read_pieces(cliptok_sentence *t, const family *f, cliptok_spm *m, const char *path, clip_error *err)
{
    static const char *const first[] = {"<s>", "<pad>", "</s>", "<unk>"};
    cliptok_spm_piece p;
    int more;
    int32_t id = 0;
    for (int i = 0; f->fairseq && i < 4; i++)
        TRY(cliptok_vocabulary_add(&t->v, first[i], strlen(first[i]), id++, 0, path, err));
    while ((more = cliptok_spm_next(m, &p)) > 0) {
        const bool shifted = f->fairseq && m->number <= 3;
        if (shifted)
            continue;
        const bool used = !t->itself || p.type == CLIPTOK_SPM_NORMAL;
        if (t->itself && p.type == CLIPTOK_SPM_USER_DEFINED)
            return clipb_fail(err, CLIP_EUNSUPPORTED, path, "user-defined piece '%.*s'", (int)p.n, p.text);
        if (t->itself && p.type == CLIPTOK_SPM_NORMAL && p.score - 10 < t->unigram.unknown)
            t->unigram.unknown = p.score - 10;
        TRY(cliptok_vocabulary_add(&t->v, p.text, p.n, id, used ? p.score : -HUGE_VAL, path, err));
        const bool added = !t->itself && (p.type == CLIPTOK_SPM_CONTROL || p.type == CLIPTOK_SPM_USER_DEFINED);
        if (added && t->added.n == MAX_ADDED)
            return clipb_fail(err, CLIP_ELIMIT, path, "more than %d control and user-defined pieces", MAX_ADDED);
        if (added)
            TRY(cliptok_added_put(&t->added, p.text, p.n, (cliptok_added){.id = id}));
        id++;
    }
    if (more < 0)
        return (clip_status)more;
    return f->mask ? cliptok_vocabulary_add(&t->v, "<mask>", 6, id, 0, path, err) : CLIP_OK;
}

static clip_status read_model_file(cliptok_sentence *t, const family **f, const cliptok_settings *s, const char *name,
                                   const char *path, const clipb_map *map, clip_error *err)
{
    cliptok_spm m;
    TRY(cliptok_spm_begin(&m, map->data, map->size, path, err));
    const cliptok_kind_of_model kind = m.model_type == CLIPTOK_SPM_BPE ? CLIPTOK_MODEL_MERGES : CLIPTOK_MODEL_UNIGRAM;
    for (int i = 0; *f == &any && i < FAMILIES; i++) /* no class is named */
        if (strcmp(families[i].file, name) == 0 && families[i].kind == kind)
            *f = &families[i];
    if (*f == &any || (*f)->kind != kind)
        return clipb_fail(err, CLIP_EUNSUPPORTED, path, "a model of this kind for \"%s\"",
                          (*f)->class ? (*f)->class : name);
    t->v.kind = kind;
    t->v.unknown = (*f)->unknown >= 0 ? (*f)->unknown : m.unknown_id;
    t->v.byte_fallback = t->itself ? m.byte_fallback : (*f)->byte_fallback;
    t->v.fuse_unknown = true;
    t->add_dummy_prefix = m.add_dummy_prefix;
    t->remove_extra_whitespaces = m.remove_extra_whitespaces;
    t->escape_whitespaces = m.escape_whitespaces;
    TRY(cliptok_pieces_init(&t->v.pieces, (size_t)m.pieces + 512));
    TRY(cliptok_merges_init(&t->v.merges, 0));
    TRY(read_pieces(t, *f, &m, path, err));
    if ((*f)->extra)
        TRY(add_extra_ids(t, s, path, err));
    TRY(cliptok_charsmap_set(&t->pipeline.charsmap, m.charsmap, m.charsmap_size, path, err));
    TRY(cliptok_pieces_finish(&t->v.pieces));
    return kind == CLIPTOK_MODEL_MERGES ? cliptok_vocabulary_merge_all(&t->v, path, err) : CLIP_OK;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static clip_status prepare_model(cliptok_sentence *t, const char *dir, clip_error *err)
{
    const cliptok_pieces *p = &t->v.pieces;
    for (int c = 0; c < 256; c++) {
        char text[8];
        t->byte[c] = cliptok_pieces_find(p, text, (size_t)snprintf(text, sizeof text, "<0x%02X>", c));
    }
    t->v.merges.one_by_one = true;
    t->v.merges.in_order = false;
    for (size_t id = 0; id < p->n && !t->crosses; id++) {
        const unsigned char *text = NULL;
        const size_t n = cliptok_pieces_text(p, (int32_t)id, &text);
        bool other = false;
        for (size_t i = 0; i < n && !t->crosses; i++) {
            const bool sign = n - i >= 3 && memcmp(text + i, CLIPTOK_SPACE_SIGN, 3) == 0;
            t->crosses = sign && other;
            other = other || !sign;
            i += sign ? 2 : 0;
        }
    }
    t->crosses = t->crosses || cliptok_pieces_find(p, CLIPTOK_SPACE_SIGN, 3) < 0;
    if (t->v.kind != CLIPTOK_MODEL_UNIGRAM)
        return CLIP_OK;
    if (t->v.unknown < 0 || (size_t)t->v.unknown >= p->n)
        return clipb_fail(err, CLIP_EFORMAT, dir, "no id for unknown characters");
    double least = t->itself ? t->unigram.unknown + 10 : HUGE_VAL;
    for (size_t id = 0; id < p->n && !t->itself; id++)
        least = t->v.score[id] < least ? t->v.score[id] : least;
    t->unigram = (cliptok_unigram){.pieces = p,
                                   .score = t->v.score,
                                   .unknown = least - 10,
                                   .unknown_id = t->v.unknown,
                                   .byte = t->v.byte_fallback ? t->byte : NULL,
                                   .single = t->itself};
    return CLIP_OK;
}

static clip_status normalize_added(cliptok_sentence *t)
{
    for (size_t i = 0; i < t->added.n; i++) {
        cliptok_added *a = &t->added.token[i];
        cliptok_bytes text = {0}, spare = {0};
        if (!a->normalized)
            continue;
        clip_status s = cliptok_bytes_put(&text, a->text, a->n);
        if (s == CLIP_OK)
            s = cliptok_pipeline_normalize(&t->pipeline, &text, &spare);
        free(spare.p);
        if (s < 0 || !text.p) {
            free(text.p);
            TRY(s);
            continue;
        }
        free(a->text);
        a->text = (char *)text.p;
        a->n = text.n;
    }
    cliptok_added_index(&t->added);
    return CLIP_OK;
}

/* SentencePiece's own tokens before a part, which are taken off again: those of the unknown token,
 * written out. */
static clip_status count_before(cliptok_sentence *t, const int32_t role[CLIPTOK_ROLES])
{
    int32_t ids[sizeof t->before + 8];
    cliptok_ids out = {ids, 0, sizeof ids / sizeof *ids};
    const unsigned char *text = NULL;
    const size_t n = cliptok_pieces_text(&t->v.pieces, role[CLIPTOK_UNK], &text);
    if (n == 0 || n >= sizeof t->before)
        return CLIP_OK;
    memcpy(t->before, text, n);
    TRY(cliptok_sentence_before(t, &out));
    t->before_ids = out.n;
    return CLIP_OK;
}

static clip_status finish(cliptok_sentence *t, const family *f, const cliptok_settings *s, const char *dir,
                          clip_error *err)
{
    int32_t role[CLIPTOK_ROLES];
    cliptok_added_list more;
    clip_status status = cliptok_settings_tokens(s, &t->v, f->class ? f->own : NULL, &more, role, dir, err);
    for (size_t i = 0; status == CLIP_OK && i < more.n; i++)
        status = cliptok_added_put(&t->added, more.token[i].text, more.token[i].n, more.token[i]);
    t->base.vocab_size = more.vocab_size;
    for (size_t i = 0; i < t->added.n && f->mask_strips; i++)
        if (t->added.token[i].id == role[CLIPTOK_MASK])
            t->added.token[i].normalized = t->added.token[i].strips_left = true;
    cliptok_added_free(&more);
    TRY(status);
    if (f->class && t->v.kind == CLIPTOK_MODEL_MERGES) {
        t->v.unknown = role[CLIPTOK_UNK] < (int32_t)t->v.pieces.n ? role[CLIPTOK_UNK] : -1;
        if (t->v.unknown < 0 && !t->v.byte_fallback)
            return clipb_fail(err, CLIP_EFORMAT, dir, "no token for unknown characters");
    }
    TRY(prepare_model(t, dir, err));
    TRY(normalize_added(t));
    TRY(find_ends(t, f, s, role, dir, err));
    t->keeps_end = t->itself;
    return t->itself ? count_before(t, role) : CLIP_OK;
}

static clip_status load_json(cliptok_sentence *t, const char *dir, const char *path, const family *f,
                             const cliptok_settings *s, clip_error *err)
{
    TRY(cliptok_vocabulary_read_json(&t->v, path, err));
    if (f->kind == t->v.kind) {
        t->v.unknown = f->unknown >= 0 ? f->unknown : t->v.unknown;
        t->v.byte_fallback = f->byte_fallback;
        t->v.fuse_unknown = true;
        TRY(cliptok_pipeline_charsmap(&t->pipeline, t->v.normalizer, path, err));
        TRY(build_pipeline(t, f, path, err));
        return finish(t, f, s, dir, err);
    }
    TRY(read_pipeline(t, path, err));
    return finish(t, &any, s, dir, err);
}

static clip_status load_model_file(cliptok_sentence *t, const char *dir, const char *name, const char *path,
                                   const family *f, const cliptok_settings *s, clip_error *err)
{
    clipb_map map;
    TRY(clipb_map_open(path, &map, err));
    clip_status status = map.size > FILE_LIMIT ? clipb_fail(err, CLIP_ELIMIT, path, "more than %d bytes", FILE_LIMIT)
                                               : read_model_file(t, &f, s, name, path, &map, err);
    clipb_map_close(&map);
    TRY(status);
    if (!t->itself)
        TRY(build_pipeline(t, f, path, err));
    return finish(t, f, s, dir, err);
}

static const family *family_of(const cliptok_sentence *t, const cliptok_settings *s)
{
    for (int i = 0; !t->itself && i < FAMILIES; i++)
        if (strcmp(families[i].class, s->class) == 0)
            return &families[i];
    return t->itself ? &siglip : &any;
}

/* Load from one file, if it is of this kind. */
static clip_status load_from(cliptok_sentence *t, const char *dir, const char *name, const char *path,
                             const cliptok_settings *s, const char **found, clip_error *err)
{
    const bool json = strcmp(name, "tokenizer.json") == 0;
    cliptok_kind_of_model kind = CLIPTOK_MODEL_UNIGRAM;
    if (json)
        TRY(cliptok_tokenizer_json_kind(path, &kind, err));
    if (kind != CLIPTOK_MODEL_UNIGRAM && kind != CLIPTOK_MODEL_MERGES)
        return CLIP_OK;
    *found = name;
    t->itself = !json && t->base.rules->sentence_piece;
    const family *f = family_of(t, s);
    return json ? load_json(t, dir, path, f, s, err) : load_model_file(t, dir, name, path, f, s, err);
}

clip_status cliptok_sentence_load(cliptok_sentence *t, const char *dir, const char **found, clip_error *err)
{
    /* SentencePiece itself reads no tokenizer.json, but where there is no model file, it has to
     * do. */
    static const char *const names[] = {"tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
                                        "tokenizer.json"};
    enum { NAMES = sizeof names / sizeof *names };
    char *path[NAMES];
    bool any_file = false;
    cliptok_settings s = {0};
    clip_status status = CLIP_OK;
    *found = NULL;
    for (int i = 0; i < NAMES; i++) {
        path[i] = clipb_path_join(dir, names[i]);
        any_file = any_file || (path[i] && clipb_is_file(path[i]));
        status = path[i] ? status : CLIP_ENOMEM;
    }
    if (status == CLIP_OK && any_file)
        status = cliptok_settings_load(&s, dir, err);
    if (t->base.rules->by_class && strcmp(s.class, siglip.class) == 0)
        t->base.rules = &cliptok_siglip;
    for (int i = t->base.rules->sentence_piece; i < NAMES && status == CLIP_OK && !*found; i++)
        if (clipb_is_file(path[i]))
            status = load_from(t, dir, names[i], path[i], &s, found, err);
    for (int i = 0; i < NAMES; i++)
        free(path[i]);
    cliptok_settings_free(&s);
    return status;
}

void cliptok_sentence_release(cliptok_sentence *t)
{
    cliptok_vocabulary_free(&t->v);
    cliptok_added_free(&t->added);
    cliptok_pipeline_free(&t->pipeline);
}
