// What the halves of the JSON module share: how members and containers are laid out.
#pragma once
#include "codec/json.h"

// A member whose name is no atom is preceded by this.
struct kn_json_text_key {
    struct kn_sv name;
    struct kn_json value;
};
_Static_assert(offsetof(struct kn_json_text_key, value) == 16,
               "the name lies right before the value");
_Static_assert(sizeof(struct kn_json) == 24 || sizeof(void *) != 8, "a value is 24 bytes");

static inline uint32_t kn_json_tag(enum kn_json_type t, size_t len)
{
    return (uint32_t)t | (uint32_t)len << 4;
}

static inline struct kn_sv *kn_json_text_name(struct kn_json *v)
{
    return &KN_CONTAINER_OF(v, struct kn_json_text_key, value)->name;
}

static inline void kn_json_link(struct kn_json *container, struct kn_json *v)
{
    struct kn_json *last = container->u.last;
    v->next = last ? last->next : v;
    if (last)
        last->next = v;
    container->u.last = v;
    container->tag += 16;
}

// An object with many members remembers their names in a table, so that looking for duplicates

static inline struct kn_json *kn_json_find(const struct kn_json *object, uint32_t atom,
                                           struct kn_sv name)
{
    struct kn_json *m;
    KN_JSON_EACH(m, object)
    if (m->key == atom && (atom != KN_K_TEXT || kn_sv_eq(*kn_json_text_name(m), name)))
        return m;
    return NULL;
}

// `name` must live as long as the arena. NULL when the arena is full.
static inline struct kn_json *kn_json_new_member(struct kn_arena *a, uint32_t atom,
                                                 struct kn_sv name)
{
    struct kn_json *v;
    if (atom != KN_K_TEXT) {
        v = kn_arena_alloc(a, sizeof *v);
    } else {
        struct kn_json_text_key *t = kn_arena_alloc(a, sizeof *t);
        if (t)
            t->name = name;
        v = t ? &t->value : NULL;
    }
    if (v)
        v->key = atom;
    return v;
}
