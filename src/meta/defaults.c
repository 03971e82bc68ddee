#include "meta/defaults.h"

#include "base/mem.h"
#include "codec/quantity.h"
#include "meta/defaults_code.h"
#include "meta/types.h"

KN_TYPES_WITH_DEFAULTS(KN_DEFAULT_DECLARE)

enum { // which function a type has
    FN_NONE,
#define X(type) FN_##type,
    KN_TYPES_WITH_DEFAULTS(X)
#undef X
};

static const uint8_t function_of[KN_T_COUNT] = {
#define X(type) [KN_T_##type] = FN_##type,
    KN_TYPES_WITH_DEFAULTS(X)
#undef X
};

static kn_default_fn *const functions[] = {
    NULL,
#define X(type) kn_default_##type,
    KN_TYPES_WITH_DEFAULTS(X)
#undef X
};
_Static_assert(KN_ARRAY_LEN(functions) < 256, "function_of holds bytes");

// Decoding fills in the zero of members that are always written: that is not set.
static bool is_set(const struct kn_field *f, const struct kn_json *v)
{
    bool may_be_zero = f->shape == KN_SHAPE_SINGLE && (f->flags & KN_FIELD_POINTER);
    if (!v || may_be_zero)
        return v != NULL;
    switch (kn_json_type(v)) {
    case KN_JSON_NULL:
        return false;
    case KN_JSON_BOOL:
    case KN_JSON_INT:
        return v->u.i != 0;
    case KN_JSON_STRING:
    case KN_JSON_ARRAY:
        return kn_json_len(v) > 0;
    case KN_JSON_NUMBER:
    case KN_JSON_OBJECT:
        return true;
    }
    return true;
}

static void set_constants(struct kn_arena *a, const struct kn_type *type, struct kn_json *obj)
{
    for (size_t i = 0; i < type->member_count; i++) {
        const struct kn_field *f = kn_type_member(type, i);
        struct kn_sv text = f->extra ? kn_field_default(type, f) : KN_SV_NULL;
        if (text.len == 0 || is_set(f, kn_json_get(obj, (enum kn_atom)f->name)))
            continue;
        struct kn_json *value;
        struct kn_status s = kn_json_parse(a, text, NULL, &value);
        if (kn_ok(s)) // it fails only when the arena is full, which the end looks at
            kn_json_set(a, obj, (enum kn_atom)f->name, value);
        kn_status_done(&s);
    }
}

// Amounts of resources are kept to a thousandth, rounded up.
static void round_quantities(struct kn_arena *a, struct kn_json *map)
{
    struct kn_json *m;
    KN_JSON_EACH (m, map) {
        struct kn_sv text = kn_json_str(m);
        char last = text.len ? text.ptr[text.len - 1] : '0';
        if (last != 'u' && last != 'n')
            continue;
        char out[KN_QUANTITY_TEXT];
        struct kn_quantity q =
            kn_quantity_of_milli(kn_quantity_milli_of(text), KN_QUANTITY_DECIMAL_SI);
        struct kn_json *v =
            kn_json_new_str(a, kn_arena_dup(a, kn_sv(out, kn_quantity_format(q, out))));
        if (v)
            kn_json_assign(m, v);
    }
}

static void walk(struct kn_arena *a, const struct kn_type *type, struct kn_json *obj)
{
    if (!(type->flags & KN_TYPE_DEFAULTED) || !kn_json_is_object(obj))
        return;
    set_constants(a, type, obj);
    bool builtin = type == kn_type_at(type->self);
    if (builtin && function_of[type->self])
        functions[function_of[type->self]](a, obj);
    struct kn_json *m, *item;
    KN_JSON_EACH (m, obj) {
        const struct kn_field *f =
            m->key > KN_K_TEXT ? kn_type_field(type, (enum kn_atom)m->key) : NULL;
        if (!f)
            continue;
        if (f->kind == KN_KIND_QUANTITY && f->shape == KN_SHAPE_MAP)
            round_quantities(a, m);
        if (f->kind != KN_KIND_OBJECT)
            continue;
        const struct kn_type *t = kn_field_type(type, f);
        if (f->shape == KN_SHAPE_SINGLE) {
            walk(a, t, m);
        } else if (t->flags & KN_TYPE_DEFAULTED) {
            KN_JSON_EACH (item, m)
                walk(a, t, item);
        }
    }
}

struct kn_status kn_default(struct kn_arena *a, const struct kn_type *type, struct kn_json *obj)
{
    walk(a, type, obj);
    return kn_arena_failed(a) ? kn_arena_error(a, "the object with its defaults") : KN_STATUS_OK;
}

// -- for the functions -----------------------------------------------------------------------

void kn_default_str(struct kn_arena *a, struct kn_json *obj, enum kn_atom key, const char *text)
{
    if (!kn_json_get(obj, key))
        kn_json_set_str(a, obj, key, kn_sv_c(text));
}

void kn_default_int(struct kn_arena *a, struct kn_json *obj, enum kn_atom key, int64_t i)
{
    if (!kn_json_get(obj, key))
        kn_json_set_int(a, obj, key, i);
}

void kn_default_bool(struct kn_arena *a, struct kn_json *obj, enum kn_atom key, bool b)
{
    if (!kn_json_get(obj, key))
        kn_json_set_bool(a, obj, key, b);
}

void kn_default_missing(struct kn_arena *a, struct kn_json *to, const struct kn_json *from)
{
    struct kn_json *m;
    KN_JSON_EACH (m, from)
        if (!kn_json_get_sv(to, kn_json_key(m)))
            kn_json_set_sv(a, to, kn_json_key(m), kn_json_copy(a, m));
}

void kn_default_labels_from_template(struct kn_arena *a, struct kn_json *obj, bool selector)
{
    struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    struct kn_json *labels = KN_JSON_AT(spec, KN_K_template, KN_K_metadata, KN_K_labels);
    if (!labels)
        return;
    if (selector && !kn_json_get(spec, KN_K_selector)) {
        struct kn_json *s = kn_json_ensure_object(a, spec, KN_K_selector);
        kn_json_set(a, s, KN_K_matchLabels, kn_json_copy(a, labels));
    }
    struct kn_json *metadata = kn_json_ensure_object(a, obj, KN_K_metadata);
    if (kn_json_len(kn_json_get(metadata, KN_K_labels)) == 0)
        kn_json_set(a, metadata, KN_K_labels, kn_json_copy(a, labels));
}
