/* settings.c: checks the settings of a configuration against the tables of known settings. */
#include "model/settings.h"

#include <stdio.h>
#include <string.h>

typedef struct list {
    char text[640];
    int n, left_out;
} list;

typedef struct check {
    list faults, unknown;
    bool strict; /* an unknown setting is a fault */
} check;

static void add(list *l, const char *line)
{
    const size_t used = strlen(l->text), room = sizeof l->text - used;
    if (strlen(line) + 3 > room)
        l->left_out++;
    else
        snprintf(l->text + used, room, "%s%s", l->n > 0 ? ", " : "", line);
    l->n++;
}

static void finish(list *l)
{
    const size_t used = strlen(l->text);
    if (l->left_out > 0)
        snprintf(l->text + used, sizeof l->text - used, " +%d", l->left_out);
}

/* Is `word` in `words`, which are separated by blanks? */
static bool is_one_of(const char *words, const char *word)
{
    const size_t n = strlen(word);
    if (n == 0 || strchr(word, ' '))
        return false;
    for (const char *w = words; (w = strstr(w, word)); w += n)
        if ((w == words || w[-1] == ' ') && (w[n] == ' ' || w[n] == 0))
            return true;
    return false;
}

/* A value as the tables write it; "" for false, 0 or empty. */
static const char *token(const cJSON *v, char room[32])
{
    if (cJSON_IsNull(v) || cJSON_IsTrue(v))
        return cJSON_IsNull(v) ? "null" : "true";
    if (cJSON_IsString(v))
        return v->valuestring;
    if (cJSON_IsNumber(v) && v->valuedouble != 0) {
        snprintf(room, 32, "%g", v->valuedouble);
        return room;
    }
    return (cJSON_IsObject(v) || cJSON_IsArray(v)) && v->child ? "{..}" : "";
}

static const clipmdl_settings *find_part(const clipmdl_settings *t, const char *key)
{
    const clipmdl_settings_part *p = t->parts;
    while (p && p->key && strcmp(p->key, key) != 0)
        p++;
    return p && p->key ? p->settings : NULL;
}

static const char *find_values(const clipmdl_settings *t, const char *key)
{
    const clipmdl_choice *c = t->one_of;
    while (c && c->key && strcmp(c->key, key) != 0)
        c++;
    return c && c->key ? c->values : NULL;
}

/* JSON does not define which of two equal keys counts. Called only for known settings, so that the
 * check stays linear. */
static bool comes_again(const cJSON *v)
{
    const cJSON *later = v->next;
    while (later && strcmp(later->string, v->string) != 0)
        later = later->next;
    return later != NULL;
}

static void name_fault(check *c, const char *path, const cJSON *v)
{
    char line[176], room[32];
    const char *is = cJSON_IsFalse(v) ? "false" : cJSON_IsNumber(v) && v->valuedouble == 0 ? "0" : token(v, room);
    const char *quote = cJSON_IsString(v) ? "\"" : "";
    snprintf(line, sizeof line, "%s is %s%.48s%s", path, quote, is, quote);
    add(&c->faults, line);
}

static void check_object(check *c, const clipmdl_settings *t, const cJSON *o, const char *path);

static void check_setting(check *c, const clipmdl_settings *t, const cJSON *v, const char *path)
{
    char line[144], room[32];
    const char *values = find_values(t, v->string);
    const clipmdl_settings *inner = find_part(t, v->string);
    const bool off = t->off && is_one_of(t->off, v->string),
               known = off || values || inner || (t->known && is_one_of(t->known, v->string));
    if (!known && t->open)
        return;
    if (known && comes_again(v)) {
        snprintf(line, sizeof line, "%s is set twice", path);
        add(&c->faults, line);
    } else if (inner && cJSON_IsObject(v)) {
        check_object(c, inner, v, path);
    } else if ((values && (!cJSON_IsNull(v) || t->null_counts) && !is_one_of(values, token(v, room))) ||
               (off && !cJSON_IsNull(v) && *token(v, room))) {
        name_fault(c, path, v);
    } else if (!known && c->strict && !t->lenient) {
        snprintf(line, sizeof line, "%s is unknown", path);
        add(&c->faults, line);
    } else if (!known && !cJSON_IsNull(v)) {
        add(&c->unknown, path);
    }
}

static void check_object(check *c, const clipmdl_settings *t, const cJSON *o, const char *path)
{
    const cJSON *v;
    cJSON_ArrayForEach(v, o)
    {
        char at[112];
        snprintf(at, sizeof at, "%.48s%s%.60s", path, *path ? "." : "", v->string);
        check_setting(c, t, v, at);
    }
}

static clip_status judge(check *c, const char *whose, const char *file, clip_warn_fn warn, void *warn_user,
                         clip_error *err)
{
    finish(&c->faults);
    finish(&c->unknown);
    if (c->faults.n > 0)
        return clipb_fail(err, CLIP_EUNSUPPORTED, file, "%s not supported: %s",
                          c->faults.n > 1 ? "settings that are" : "a setting that is", c->faults.text);
    if (c->unknown.n > 0 && warn) {
        char line[1024];
        snprintf(line, sizeof line, "%.200s: %s does not know %s: ignored, as it does", file, whose, c->unknown.text);
        warn(warn_user, line);
    }
    return CLIP_OK;
}

clip_status clipmdl_settings_check(const clipmdl_settings *t, const cJSON *o, const char *whose, bool strict,
                                   const char *file, clip_warn_fn warn, void *warn_user, clip_error *err)
{
    check c = {.strict = strict};
    check_object(&c, t, o, "");
    return judge(&c, whose, file, warn, warn_user, err);
}
