// Reading and building. Parsing is in json_parse.c, writing in json_write.c.
#include "codec/json_impl.h"

#include <math.h>
#include <stdlib.h>

// -- reading ---------------------------------------------------------------------------------

const char *kn_json_type_name(enum kn_json_type t)
{
    static const char *const names[] = {"null",   "bool",  "number", "number",
                                        "string", "array", "object"};
    return names[t];
}

bool kn_json_double(const struct kn_json *v, double *ret)
{
    if (kn_json_type(v) == KN_JSON_INT) {
        *ret = (double)v->u.i;
        return true;
    }
    if (kn_json_type(v) != KN_JSON_NUMBER)
        return false;
    char *text = kn_sv_dup(kn_json_str(v));
    *ret = strtod(text, NULL);
    free(text);
    return isfinite(*ret);
}

struct kn_sv kn_json_key(const struct kn_json *m)
{
    if (m->key == KN_K_TEXT)
        return KN_CONTAINER_OF((uintptr_t)m, const struct kn_json_text_key, value)->name;
    return kn_atom_name((enum kn_atom)m->key);
}

struct kn_json *kn_json_get(const struct kn_json *v, enum kn_atom key)
{
    if (!kn_json_is_object(v) || !v->u.last)
        return NULL;
    struct kn_json *m = v->u.last->next;
    for (uint32_t n = v->tag >> 4; n; n--, m = m->next)
        if (m->key == (uint32_t)key)
            return m;
    return NULL;
}

struct kn_json *kn_json_get_sv(const struct kn_json *v, struct kn_sv name)
{
    if (!kn_json_is_object(v))
        return NULL;
    uint32_t atom = kn_atom_find(name);
    return kn_json_find(v, atom == KN_K_NONE ? KN_K_TEXT : atom, name);
}

struct kn_json *kn_json_item(const struct kn_json *array, uint32_t index)
{
    if (!kn_json_is_array(array) || index >= kn_json_len(array))
        return NULL;
    struct kn_json *v = array->u.last->next;
    while (index--)
        v = v->next;
    return v;
}

struct kn_json *kn_json_at(const struct kn_json *v, const enum kn_atom *path, size_t len)
{
    struct kn_json *m = NULL;
    for (size_t i = 0; i < len; i++) {
        m = kn_json_get(v, path[i]);
        if (!m)
            return NULL;
        v = m;
    }
    return m;
}

bool kn_json_equal(const struct kn_json *a, const struct kn_json *b)
{
    if (kn_json_type(a) != kn_json_type(b) || kn_json_len(a) != kn_json_len(b))
        return false;
    if (!a || !b)
        return true;
    const struct kn_json *x, *y;
    switch (kn_json_type(a)) {
    case KN_JSON_NULL:
        return true;
    case KN_JSON_BOOL:
    case KN_JSON_INT:
        return a->u.i == b->u.i;
    case KN_JSON_NUMBER:
    case KN_JSON_STRING:
        return kn_sv_eq(kn_json_str(a), kn_json_str(b));
    case KN_JSON_ARRAY:
        for (x = kn_json_first(a), y = kn_json_first(b); x;
             x = kn_json_next(a, x), y = kn_json_next(b, y))
            if (!kn_json_equal(x, y))
                return false;
        return true;
    case KN_JSON_OBJECT:
        for (x = kn_json_first(a), y = kn_json_first(b); x;
             x = kn_json_next(a, x), y = kn_json_next(b, y)) {
            struct kn_sv name = kn_json_key(x);
            // usually in the same order
            bool same = x->key == y->key && (x->key != KN_K_TEXT || kn_sv_eq(name, kn_json_key(y)));
            const struct kn_json *other = same ? y : kn_json_find(b, x->key, name);
            if (!other || !kn_json_equal(x, other))
                return false;
        }
        return true;
    }
    return false;
}

// -- building --------------------------------------------------------------------------------

static struct kn_json *new_value(struct kn_arena *a, enum kn_json_type t, size_t len)
{
    if (len > KN_JSON_MAX_LEN)
        return NULL;
    struct kn_json *v = kn_arena_alloc(a, sizeof *v);
    if (v)
        *v = (struct kn_json){.key = KN_K_NONE, .tag = kn_json_tag(t, len)};
    return v;
}

struct kn_json *kn_json_new_null(struct kn_arena *a)
{
    return new_value(a, KN_JSON_NULL, 0);
}

struct kn_json *kn_json_new_bool(struct kn_arena *a, bool b)
{
    struct kn_json *v = new_value(a, KN_JSON_BOOL, 0);
    if (v)
        v->u.i = b;
    return v;
}

struct kn_json *kn_json_new_int(struct kn_arena *a, int64_t i)
{
    struct kn_json *v = new_value(a, KN_JSON_INT, 0);
    if (v)
        v->u.i = i;
    return v;
}

static struct kn_json *new_text(struct kn_arena *a, enum kn_json_type t, struct kn_sv text)
{
    struct kn_json *v = new_value(a, t, text.len);
    if (v)
        v->u.str = text.len ? text.ptr : "";
    return v;
}

struct kn_json *kn_json_new_number(struct kn_arena *a, struct kn_sv text)
{
    return new_text(a, KN_JSON_NUMBER, text);
}

struct kn_json *kn_json_new_str(struct kn_arena *a, struct kn_sv text)
{
    return new_text(a, KN_JSON_STRING, text);
}

struct kn_json *kn_json_new_array(struct kn_arena *a)
{
    return new_value(a, KN_JSON_ARRAY, 0);
}

struct kn_json *kn_json_new_object(struct kn_arena *a)
{
    return new_value(a, KN_JSON_OBJECT, 0);
}

void kn_json_assign(struct kn_json *to, struct kn_json *from)
{
    if (!to || !from)
        return;
    to->tag = from->tag;
    to->u = from->u;
}

// `atom` is KN_K_TEXT for a name that is no atom; the name is then copied if it is new.
static struct kn_json *set_member(struct kn_arena *a, struct kn_json *object, uint32_t atom,
                                  struct kn_sv name, struct kn_json *value)
{
    if (!object || !value)
        return NULL;
    kn_assert(kn_json_is_object(object));
    struct kn_json *m = kn_json_find(object, atom, name);
    if (!m) {
        if (atom == KN_K_TEXT)
            name = kn_arena_dup(a, name);
        // A loose value becomes the member itself; pointers to it stay good.
        bool loose = atom != KN_K_TEXT && value->key == KN_K_NONE && !value->next;
        m = loose ? value : kn_json_new_member(a, atom, name);
        if (!m)
            return NULL;
        m->key = atom;
        kn_json_link(object, m);
    }
    if (m != value)
        kn_json_assign(m, value);
    return m;
}

struct kn_json *kn_json_set(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                            struct kn_json *value)
{
    return set_member(a, object, key, KN_SV_NULL, value);
}

struct kn_json *kn_json_set_sv(struct kn_arena *a, struct kn_json *object, struct kn_sv name,
                               struct kn_json *value)
{
    uint32_t atom = kn_atom_find(name);
    return set_member(a, object, atom == KN_K_NONE ? KN_K_TEXT : atom, name, value);
}

struct kn_json *kn_json_append(struct kn_json *array, struct kn_json *value)
{
    if (!array || !value)
        return NULL;
    kn_assert(kn_json_is_array(array) && !value->next);
    value->key = KN_K_NONE;
    kn_json_link(array, value);
    return value;
}

struct kn_json *kn_json_prepend(struct kn_json *array, struct kn_json *value)
{
    struct kn_json *last = array ? array->u.last : NULL;
    value = kn_json_append(array, value);
    if (value && last)
        array->u.last = last; // the ring is right already: after the last comes the new one
    return value;
}

struct kn_json *kn_json_insert(struct kn_json *array, uint32_t index, struct kn_json *value)
{
    uint32_t len = kn_json_len(array);
    if (index == 0 || index >= len)
        return index >= len ? kn_json_append(array, value) : kn_json_prepend(array, value);
    struct kn_json *before = kn_json_item(array, index - 1), *last = array->u.last;
    value = kn_json_append(array, value);
    if (!value)
        return NULL;
    last->next = value->next; // out of the end again, and into its place
    value->next = before->next;
    before->next = value;
    array->u.last = last;
    return value;
}

struct kn_json *kn_json_set_str(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                struct kn_sv text)
{
    return kn_json_set(a, object, key, kn_json_new_str(a, text));
}

struct kn_json *kn_json_set_int(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                int64_t i)
{
    return kn_json_set(a, object, key, kn_json_new_int(a, i));
}

struct kn_json *kn_json_set_bool(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                 bool b)
{
    return kn_json_set(a, object, key, kn_json_new_bool(a, b));
}

struct kn_json *kn_json_ensure_object(struct kn_arena *a, struct kn_json *object, enum kn_atom key)
{
    struct kn_json *m = kn_json_get(object, key);
    return kn_json_is_object(m) ? m : kn_json_set(a, object, key, kn_json_new_object(a));
}

struct kn_json *kn_json_ensure_array(struct kn_arena *a, struct kn_json *object, enum kn_atom key)
{
    struct kn_json *m = kn_json_get(object, key);
    return kn_json_is_array(m) ? m : kn_json_set(a, object, key, kn_json_new_array(a));
}

bool kn_json_remove_child(struct kn_json *parent, struct kn_json *child)
{
    if (!child || !parent || !parent->u.last)
        return false;
    struct kn_json *before = parent->u.last;
    for (uint32_t n = kn_json_len(parent); n; n--, before = before->next) {
        if (before->next != child)
            continue;
        if (before == child)
            parent->u.last = NULL;
        else if (parent->u.last == child)
            parent->u.last = before;
        before->next = child->next;
        child->next = NULL;
        parent->tag -= 16;
        return true;
    }
    return false;
}

bool kn_json_remove(struct kn_json *object, enum kn_atom key)
{
    return kn_json_remove_child(object, kn_json_get(object, key));
}

bool kn_json_remove_sv(struct kn_json *object, struct kn_sv name)
{
    return kn_json_remove_child(object, kn_json_get_sv(object, name));
}

void kn_json_clear(struct kn_json *container)
{
    if (!container)
        return;
    container->u.last = NULL;
    container->tag &= 15;
}

bool kn_json_rename(struct kn_json *object, enum kn_atom from, enum kn_atom to)
{
    struct kn_json *m = kn_json_get(object, from);
    if (!m)
        return false;
    m->key = to;
    return true;
}

static struct kn_json *copy_into(struct kn_arena *a, struct kn_json *to, const struct kn_json *v,
                                 bool text)
{
    if (!to)
        return NULL;
    to->tag = v->tag;
    switch (kn_json_type(v)) {
    case KN_JSON_NUMBER:
    case KN_JSON_STRING:
        to->u.str = text ? kn_arena_dup(a, kn_json_str(v)).ptr : v->u.str;
        return to->u.str ? to : NULL;
    case KN_JSON_ARRAY:
    case KN_JSON_OBJECT: {
        to->tag &= 15;
        to->u.last = NULL;
        const struct kn_json *c;
        KN_JSON_EACH(c, v)
        {
            struct kn_sv name = kn_json_key(c);
            if (text && c->key == KN_K_TEXT)
                name = kn_arena_dup(a, name);
            struct kn_json *m = kn_json_new_member(a, c->key, name);
            if (!copy_into(a, m, c, text))
                return NULL;
            kn_json_link(to, m);
        }
        return to;
    }
    case KN_JSON_NULL:
    case KN_JSON_BOOL:
    case KN_JSON_INT:
        to->u = v->u;
        return to;
    }
    return to;
}

struct kn_json *kn_json_copy(struct kn_arena *a, const struct kn_json *v)
{
    return v ? copy_into(a, new_value(a, KN_JSON_NULL, 0), v, true) : NULL;
}

struct kn_json *kn_json_copy_shallow_text(struct kn_arena *a, const struct kn_json *v)
{
    return v ? copy_into(a, new_value(a, KN_JSON_NULL, 0), v, false) : NULL;
}
