/* What features keep in a context, by key. There are few of them, so a list will do. */
#include <stdlib.h>

#include "engine/engine.h"

struct clipeng_slot {
    clipeng_slot *next;
    const void *key;
    void *value;
    void (*free_value)(void *value);
};

void *clipeng_slot_get(const clip_context *c, const void *key)
{
    for (const clipeng_slot *s = c->slots; s; s = s->next)
        if (s->key == key)
            return s->value;
    return NULL;
}

clip_status clipeng_slot_fill(clip_context *c, const void *key, void *value, void (*free_value)(void *value))
{
    clipeng_slot *s = malloc(sizeof *s);
    if (!s) {
        free_value(value);
        return CLIP_ENOMEM;
    }
    *s = (clipeng_slot){.next = c->slots, .key = key, .value = value, .free_value = free_value};
    c->slots = s;
    return CLIP_OK;
}

void clipeng_slots_free(clip_context *c)
{
    for (clipeng_slot *s = c->slots, *next; s; s = next) {
        next = s->next;
        s->free_value(s->value);
        free(s);
    }
    c->slots = NULL;
}
