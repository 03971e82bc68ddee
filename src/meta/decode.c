#include "meta/decode.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/quantity.h"

// Where we are, for the sentences only: built on the stack, read when something is wrong.
struct place {
    const struct place *up;
    struct kn_sv name; // empty: an element of a list
    int64_t index;     // -1: a member of an object; in a list or map: which
};

struct decoder {
    struct kn_arena *arena;
    struct kn_decode_report *report;
};

// What becomes of a value that was looked at.
enum fate { KEEP, DROP };

static struct kn_status decode_object(struct decoder *d, const struct kn_type *type,
                                      struct kn_json *v, const struct place *at);

// -- sentences -------------------------------------------------------------------------------

// Go's sentences name members only, without indexes and keys.
static void add_place(struct kn_buf *out, const struct place *at, bool indexes)
{
    if (!at)
        return;
    add_place(out, at->up, indexes);
    if (!indexes && at->index >= 0)
        return;
    if (at->name.len) {
        kn_buf_addf(out, "%s%.*s", out->len ? "." : "", KN_SV_ARG(at->name));
    } else {
        kn_buf_addf(out, "[%lld]", (long long)at->index);
    }
}

static void add_note(struct kn_decode_report *r, const char *what, struct kn_sv path)
{
    if (!r || r->len >= KN_DECODE_NOTES)
        return;
    struct kn_decode_note *note = KN_ARENA_NEW(r->arena, struct kn_decode_note);
    if (!note)
        return;
    note->text = kn_arena_printf(r->arena, "%s field \"%.*s\"", what, KN_SV_ARG(path));
    if (r->last)
        r->last->next = note;
    else
        r->first = note;
    r->last = note;
    r->len++;
}

static void note_unknown(struct decoder *d, const struct place *at)
{
    struct kn_buf path KN_CLEANUP(kn_buf_done) = KN_BUF(8192);
    add_place(&path, at, true);
    add_note(d->report, "unknown", kn_buf_sv(&path));
}

void kn_decode_report_init(struct kn_decode_report *r, struct kn_arena *arena)
{
    *r = (struct kn_decode_report){.arena = arena};
}

void kn_decode_duplicate(void *report, struct kn_sv path)
{
    add_note(report, "duplicate", path);
}

struct kn_status kn_decode_strict(const struct kn_decode_report *r)
{
    if (!r->first)
        return KN_STATUS_OK;
    struct kn_buf text KN_CLEANUP(kn_buf_done) = KN_BUF(1u << 20);
    for (const struct kn_decode_note *n = r->first; n; n = n->next)
        kn_buf_addf(&text, "%s%.*s", text.len ? ", " : "", KN_SV_ARG(n->text));
    return kn_error(KN_BAD_REQUEST, "strict decoding error: %s", kn_buf_cstr(&text));
}

struct kn_status kn_field_validation_parse(struct kn_sv text, enum kn_field_validation *ret)
{
    if (text.len == 0 || kn_sv_is(text, "Warn"))
        *ret = KN_FIELDS_WARN;
    else if (kn_sv_is(text, "Strict"))
        *ret = KN_FIELDS_STRICT;
    else if (kn_sv_is(text, "Ignore"))
        *ret = KN_FIELDS_IGNORE;
    else
        return kn_error(
            KN_BAD_REQUEST,
            "fieldValidation: Unsupported value: \"%.*s\": supported values: \"Ignore\", "
            "\"Strict\", \"Warn\"",
            KN_SV_ARG(text));
    return KN_STATUS_OK;
}

// The name that Go has for the type of a field, or of its elements.
static void add_go_type(struct kn_buf *out, const struct kn_type *parent, const struct kn_field *f,
                        bool element)
{
    if (!element && f->shape == KN_SHAPE_LIST)
        kn_buf_addc(out, "[]");
    if (!element && f->shape == KN_SHAPE_MAP)
        kn_buf_addc(out, "map[string]");
    const struct kn_type *t = kn_field_type(parent, f);
    struct kn_sv scalar = kn_field_type_name(parent, f);
    static const char *const names[] = {
        [KN_KIND_STRING] = "string", [KN_KIND_BOOL] = "bool",     [KN_KIND_INT32] = "int32",
        [KN_KIND_INT64] = "int64",   [KN_KIND_DOUBLE] = "float64", [KN_KIND_BYTES] = "[]uint8",
    };
    if (t)
        kn_buf_addf(out, "%.*s.%.*s", KN_SV_ARG(kn_type_version(t)), KN_SV_ARG(kn_type_name(t)));
    else if (scalar.len)
        kn_buf_addf(out, "%.*s.%.*s", KN_SV_ARG(kn_type_version(parent)), KN_SV_ARG(scalar));
    else
        kn_buf_addc(out,
                    f->kind < KN_ARRAY_LEN(names) && names[f->kind] ? names[f->kind] : "string");
}

static struct kn_status wrong_type(const struct kn_type *parent, const struct kn_field *f,
                                   bool element, const struct kn_json *v, const struct place *at)
{
    struct kn_buf path KN_CLEANUP(kn_buf_done) = KN_BUF(8192);
    struct kn_buf want KN_CLEANUP(kn_buf_done) = KN_BUF(1024);
    struct kn_buf got KN_CLEANUP(kn_buf_done) = KN_BUF(1024);
    add_place(&path, at, false);
    add_go_type(&want, parent, f, element);
    enum kn_json_type t = kn_json_type(v);
    bool number = t == KN_JSON_INT || t == KN_JSON_NUMBER;
    kn_buf_addc(&got, number ? "number" : kn_json_type_name(t));
    bool to_int = f->kind == KN_KIND_INT32 || f->kind == KN_KIND_INT64;
    if (number && to_int && (element || f->shape == KN_SHAPE_SINGLE)) {
        kn_buf_addc(&got, " ");
        kn_json_encode(&got, v);
    }
    return kn_error(
        KN_BAD_REQUEST, "json: cannot unmarshal %s into Go struct field %.*s.%s of type %s",
        kn_buf_cstr(&got), KN_SV_ARG(kn_type_name(parent)), kn_buf_cstr(&path), kn_buf_cstr(&want));
}

static struct kn_status not_go(const struct kn_json *v, const char *type)
{
    enum kn_json_type t = kn_json_type(v);
    bool number = t == KN_JSON_INT || t == KN_JSON_NUMBER;
    return kn_error(KN_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type %s",
                    number ? "number" : kn_json_type_name(t), type);
}

// -- values that have a form of their own ----------------------------------------------------

static void set_text(struct decoder *d, struct kn_json *v, struct kn_sv text)
{
    struct kn_json *s = kn_json_new_str(d->arena, kn_arena_dup(d->arena, text));
    if (s)
        kn_json_assign(v, s);
}

static struct kn_status decode_quantity(struct decoder *d, struct kn_json *v)
{
    char number[32];
    struct kn_sv text = kn_json_str(v);
    if (kn_json_type(v) == KN_JSON_INT) {
        snprintf(number, sizeof number, "%lld", (long long)kn_json_int(v, 0));
        text = kn_sv_c(number);
    }
    if (kn_json_is_string(v) && kn_quantity_is_canonical(text))
        return KN_STATUS_OK;
    struct kn_quantity q;
    struct kn_status s = kn_quantity_parse(text, &q);
    if (!kn_ok(s)) {
        struct kn_status bad = kn_error(KN_BAD_REQUEST, "%s", kn_status_text(&s));
        kn_status_done(&s);
        return bad;
    }
    char out[KN_QUANTITY_TEXT];
    size_t n = kn_quantity_format(q, out);
    if (!kn_json_is_string(v) || !kn_sv_eq(text, kn_sv(out, n)))
        set_text(d, v, kn_sv(out, n));
    return KN_STATUS_OK;
}

static struct kn_status decode_time(struct decoder *d, struct kn_json *v, bool micro)
{
    if (!kn_json_is_string(v))
        return not_go(v, "string");
    struct kn_sv text = kn_json_str(v);
    struct kn_time t;
    struct kn_status s = kn_time_parse(text, &t);
    if (!kn_ok(s)) {
        kn_status_done(&s);
        return kn_error(
            KN_BAD_REQUEST,
            "parsing time \"%.*s\" as \"2006-01-02T15:04:05%sZ07:00\": cannot parse \"%.*s\" "
            "as \"2006\"",
            KN_SV_ARG(text), micro ? ".000000" : "", KN_SV_ARG(text));
    }
    char out[KN_TIME_TEXT];
    kn_time_format(t, micro ? KN_TIME_MICROS : KN_TIME_SECONDS, out);
    if (!kn_sv_is(text, out))
        set_text(d, v, kn_sv_c(out));
    return KN_STATUS_OK;
}

static struct kn_status decode_bytes(struct decoder *d, struct kn_json *v)
{
    struct kn_sv text = kn_json_str(v);
    size_t len;
    struct kn_status s = kn_base64_check(text, &len);
    if (!kn_ok(s)) {
        struct kn_status bad = kn_error(KN_BAD_REQUEST, "%s", kn_status_text(&s));
        kn_status_done(&s);
        return bad;
    }
    if (text.len == (len + 2) / 3 * 4)
        return KN_STATUS_OK;
    struct kn_buf out KN_CLEANUP(kn_buf_done) = KN_BUF(text.len + 4); // had line ends
    struct kn_buf again KN_CLEANUP(kn_buf_done) = KN_BUF(text.len + 4);
    KN_TRY(kn_base64_decode(&out, text, KN_BASE64_STD));
    kn_base64_encode(&again, kn_buf_sv(&out), KN_BASE64_STD);
    set_text(d, v, kn_buf_sv(&again));
    return KN_STATUS_OK;
}

// JSONSchemaProps, or a list of them, a bool, a list of strings.
static struct kn_status decode_union(struct decoder *d, const struct kn_type *parent,
                                     const struct kn_field *f, struct kn_json *v,
                                     const struct place *at)
{
    const struct kn_type *props = kn_field_type(parent, f);
    if (kn_json_is_object(v))
        return decode_object(d, props, v, at);
    if (f->kind == KN_KIND_SCHEMA_OR_BOOL && kn_json_type(v) == KN_JSON_BOOL)
        return KN_STATUS_OK;
    if (f->kind == KN_KIND_SCHEMA_OR_BOOL || !kn_json_is_array(v))
        return wrong_type(parent, f, true, v, at);
    struct kn_json *item;
    KN_JSON_EACH (item, v) {
        if (f->kind == KN_KIND_SCHEMA_OR_STRINGS) {
            if (!kn_json_is_string(item))
                return wrong_type(parent, f, true, item, at);
        } else if (!kn_json_is_object(item)) {
            return wrong_type(parent, f, true, item, at);
        } else {
            KN_TRY(decode_object(d, props, item, at));
        }
    }
    return KN_STATUS_OK;
}

static bool has_json_type(const struct kn_field *f, const struct kn_json *v)
{
    enum kn_json_type t = kn_json_type(v);
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_STRING:
    case KN_KIND_BYTES:
    case KN_KIND_DURATION:
        return t == KN_JSON_STRING;
    case KN_KIND_BOOL:
        return t == KN_JSON_BOOL;
    case KN_KIND_INT32:
        return t == KN_JSON_INT && v->u.i >= INT32_MIN && v->u.i <= INT32_MAX;
    case KN_KIND_INT64:
        return t == KN_JSON_INT;
    case KN_KIND_DOUBLE:
        return t == KN_JSON_INT || t == KN_JSON_NUMBER;
    case KN_KIND_OBJECT:
        return f->flags & KN_FIELD_BARE_LIST ? t == KN_JSON_ARRAY : t == KN_JSON_OBJECT;
    case KN_KIND_QUANTITY:
    case KN_KIND_TIME:
    case KN_KIND_MICROTIME:
    case KN_KIND_INT_OR_STRING:
    case KN_KIND_RAW:
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return true; // each looks for itself
    }
    return false;
}

// A value that is not null: one, or an element of a list or map.
static struct kn_status decode_one(struct decoder *d, const struct kn_type *parent,
                                   const struct kn_field *f, struct kn_json *v,
                                   const struct place *at)
{
    if (!has_json_type(f, v))
        return wrong_type(parent, f, true, v, at);
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_OBJECT: {
        if (!(f->flags & KN_FIELD_BARE_LIST))
            return decode_object(d, kn_field_type(parent, f), v, at);
        struct kn_json *item;
        KN_JSON_EACH (item, v)
            if (!kn_json_is_string(item))
                return wrong_type(parent, f, true, item, at);
        return KN_STATUS_OK;
    }
    case KN_KIND_BYTES:
        return decode_bytes(d, v);
    case KN_KIND_QUANTITY:
        return decode_quantity(d, v);
    case KN_KIND_TIME:
    case KN_KIND_MICROTIME:
        return decode_time(d, v, f->kind == KN_KIND_MICROTIME);
    case KN_KIND_INT_OR_STRING:
        if (kn_json_is_string(v))
            return KN_STATUS_OK;
        if (kn_json_type(v) != KN_JSON_INT || v->u.i < INT32_MIN || v->u.i > INT32_MAX)
            return not_go(v, "int32");
        return KN_STATUS_OK;
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return decode_union(d, parent, f, v, at);
    case KN_KIND_STRING:
    case KN_KIND_BOOL:
    case KN_KIND_INT32:
    case KN_KIND_INT64:
    case KN_KIND_DOUBLE:
    case KN_KIND_DURATION:
    case KN_KIND_RAW:
        return KN_STATUS_OK;
    }
    return KN_STATUS_OK;
}

// The zero value of an element: what Go makes of a null in a list or map.
static struct kn_json *zero_of(struct decoder *d, const struct kn_field *f)
{
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_STRING:
    case KN_KIND_BYTES:
        return kn_json_new_str(d->arena, KN_SV(""));
    case KN_KIND_DURATION:
        return kn_json_new_str(d->arena, KN_SV("0s"));
    case KN_KIND_BOOL:
        return kn_json_new_bool(d->arena, false);
    case KN_KIND_INT32:
    case KN_KIND_INT64:
    case KN_KIND_DOUBLE:
    case KN_KIND_INT_OR_STRING:
        return kn_json_new_int(d->arena, 0);
    case KN_KIND_QUANTITY:
        return kn_json_new_str(d->arena, KN_SV("0"));
    case KN_KIND_OBJECT:
        return f->flags & KN_FIELD_BARE_LIST ? kn_json_new_array(d->arena)
                                             : kn_json_new_object(d->arena);
    case KN_KIND_TIME:
    case KN_KIND_MICROTIME:
        return kn_json_new_null(d->arena);
    case KN_KIND_RAW:
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return NULL; // null stays null
    }
    return NULL;
}

static bool is_zero(const struct kn_field *f, const struct kn_json *v)
{
    if (f->shape != KN_SHAPE_SINGLE)
        return kn_json_len(v) == 0;
    switch (kn_json_type(v)) {
    case KN_JSON_STRING:
        return kn_json_len(v) == 0 && f->kind != KN_KIND_INT_OR_STRING;
    case KN_JSON_BOOL:
        return v->u.i == 0;
    case KN_JSON_INT:
        return v->u.i == 0 && f->kind != KN_KIND_INT_OR_STRING;
    case KN_JSON_NULL:
        return true;
    case KN_JSON_ARRAY:
        return (f->flags & KN_FIELD_BARE_LIST) && kn_json_len(v) == 0;
    case KN_JSON_OBJECT:
        return (f->flags & KN_FIELD_OMITZERO) && kn_json_len(v) == 0;
    case KN_JSON_NUMBER:
        return false;
    }
    return false;
}

static struct kn_status decode_elements(struct decoder *d, const struct kn_type *parent,
                                        const struct kn_field *f, struct kn_json *v,
                                        const struct place *at)
{
    struct kn_json *item;
    int64_t index = 0;
    KN_JSON_EACH (item, v) {
        struct place here = {at, f->shape == KN_SHAPE_MAP ? kn_json_key(item) : KN_SV_NULL,
                             index++};
        if (kn_json_is_null(item)) {
            struct kn_json *zero = zero_of(d, f);
            if (!zero || kn_json_is_null(zero))
                continue;
            kn_json_assign(item, zero);
        }
        KN_TRY(decode_one(d, parent, f, item, &here));
    }
    return KN_STATUS_OK;
}

static struct kn_status decode_member(struct decoder *d, const struct kn_type *parent,
                                      const struct kn_field *f, struct kn_json *v,
                                      const struct place *at, enum fate *fate)
{
    *fate = KEEP;
    if (kn_json_is_null(v)) {
        *fate = DROP;
        return KN_STATUS_OK;
    }
    if (f->shape == KN_SHAPE_SINGLE) {
        KN_TRY(decode_one(d, parent, f, v, at));
    } else {
        bool right = f->shape == KN_SHAPE_LIST ? kn_json_is_array(v) : kn_json_is_object(v);
        if (!right)
            return wrong_type(parent, f, false, v, at);
        KN_TRY(decode_elements(d, parent, f, v, at));
    }
    bool optional = !(f->flags & (KN_FIELD_POINTER | KN_FIELD_ALWAYS)) && f->kind != KN_KIND_RAW;
    if (f->shape != KN_SHAPE_SINGLE)
        optional = !(f->flags & KN_FIELD_ALWAYS);
    if (optional && is_zero(f, v))
        *fate = DROP;
    return KN_STATUS_OK;
}

// -- objects ---------------------------------------------------------------------------------

// Members that Go writes whether they were given or not.
static void complete(struct decoder *d, const struct kn_type *type, struct kn_json *v)
{
    for (size_t i = 0; i < type->member_count; i++) {
        const struct kn_field *f = kn_type_member(type, i);
        bool is_struct = f->kind == KN_KIND_OBJECT || f->kind == KN_KIND_QUANTITY ||
                         f->kind == KN_KIND_INT_OR_STRING || f->kind == KN_KIND_TIME ||
                         f->kind == KN_KIND_MICROTIME;
        bool wanted = f->shape == KN_SHAPE_SINGLE && f->number != 0 &&
                      !(f->flags & (KN_FIELD_POINTER | KN_FIELD_OMITZERO | KN_FIELD_BARE_LIST)) &&
                      (is_struct || (f->flags & KN_FIELD_ALWAYS));
        if (!wanted || kn_json_get(v, (enum kn_atom)f->name))
            continue;
        struct kn_json *zero = zero_of(d, f);
        if (!zero)
            continue;
        zero = kn_json_set(d->arena, v, (enum kn_atom)f->name, zero);
        if (zero && f->kind == KN_KIND_OBJECT)
            complete(d, kn_field_type(type, f), zero);
    }
}

static struct kn_status decode_object(struct decoder *d, const struct kn_type *type,
                                      struct kn_json *v, const struct place *at)
{
    struct kn_json *m = kn_json_first(v), *next;
    for (; m; m = next) {
        next = kn_json_next(v, m);
        struct place here = {at, kn_json_key(m), -1};
        const struct kn_field *f =
            m->key > KN_K_TEXT ? kn_type_field(type, (enum kn_atom)m->key) : NULL;
        enum fate fate = KEEP;
        if (f) {
            KN_TRY(decode_member(d, type, f, m, &here, &fate));
        } else if (!(type->flags & KN_TYPE_OPEN)) {
            note_unknown(d, &here);
            fate = DROP;
        }
        if (fate == DROP)
            kn_json_remove_child(v, m);
    }
    complete(d, type, v);
    return KN_STATUS_OK;
}

struct kn_status kn_decode(struct kn_arena *a, const struct kn_type *type, struct kn_json *v,
                           struct kn_decode_report *report)
{
    struct decoder d = {a, report};
    if (!kn_json_is_object(v)) {
        char name[256];
        snprintf(name, sizeof name, "%.*s.%.*s", KN_SV_ARG(kn_type_version(type)),
                 KN_SV_ARG(kn_type_name(type)));
        return not_go(v, name);
    }
    KN_TRY(decode_object(&d, type, v, NULL));
    return kn_arena_failed(a) ? kn_arena_error(a, "the object") : KN_STATUS_OK;
}

// -- whole bodies ----------------------------------------------------------------------------

static struct kn_sv api_version_of(struct kn_arena *a, const struct kn_type *type)
{
    struct kn_sv group = kn_type_group(type), version = kn_type_version(type);
    if (group.len == 0)
        return version;
    return kn_arena_printf(a, "%.*s/%.*s", KN_SV_ARG(group), KN_SV_ARG(version));
}

// apiVersion and kind: filled in where absent, refused where they are another type's.
static struct kn_status check_kind(struct kn_arena *a, const struct kn_type *type,
                                   struct kn_json *v)
{
    struct kn_sv want = api_version_of(a, type), name = kn_type_name(type);
    struct kn_sv version = kn_json_str(kn_json_get(v, KN_K_apiVersion));
    struct kn_sv kind = kn_json_str(kn_json_get(v, KN_K_kind));
    if (kind.len && !kn_sv_eq(kind, name)) {
        struct kn_sv given = version.len ? version : want;
        ptrdiff_t slash = kn_sv_find(given, '/');
        struct kn_sv short_version = slash < 0 ? given : kn_sv_from(given, (size_t)slash + 1);
        bool known = kn_type_find_api(given, kind) != NULL;
        return kn_error(
            KN_BAD_REQUEST,
            known ? "%.*s in version \"%.*s\" cannot be handled as a %.*s: unknown conversion"
                  : "%.*s in version \"%.*s\" cannot be handled as a %.*s: no such kind is "
                    "registered for that version",
            KN_SV_ARG(kind), KN_SV_ARG(short_version), KN_SV_ARG(name));
    }
    if (version.len && !kn_sv_eq(version, want))
        return kn_error(
            KN_BAD_REQUEST,
            "the API version in the data (%.*s) does not match the expected API version "
            "(%.*s)",
            KN_SV_ARG(version), KN_SV_ARG(want));
    if (!kind.len)
        kn_json_set_str(a, v, KN_K_kind, name);
    if (!version.len)
        kn_json_set_str(a, v, KN_K_apiVersion, want);
    return KN_STATUS_OK;
}

struct kn_status kn_decode_body(struct kn_arena *a, const struct kn_type *type, struct kn_sv text,
                                enum kn_field_validation mode, struct kn_decode_report *report,
                                struct kn_json **ret)
{
    struct kn_decode_report own;
    kn_decode_report_init(&own, a);
    struct kn_decode_report *r = mode == KN_FIELDS_IGNORE ? NULL : report ? report : &own;
    struct kn_json_options options = {.duplicate = r ? kn_decode_duplicate : NULL, .arg = r};
    struct kn_json *v;
    struct kn_sv name = kn_type_name(type), version = kn_type_version(type);
    struct kn_status s = kn_json_parse(a, text, &options, &v);
    if (!kn_ok(s))
        return kn_wrap(s,
                       "the object provided is unrecognized (must be of type %.*s): couldn't get "
                       "version/kind; json parse error",
                       KN_SV_ARG(name));
    if (kn_json_is_object(v))
        KN_TRY(check_kind(a, type, v));
    s = kn_decode(a, type, v, r);
    if (kn_ok(s) && mode == KN_FIELDS_STRICT)
        s = kn_decode_strict(r);
    if (!kn_ok(s))
        return s.code != KN_BAD_REQUEST
                   ? s
                   : kn_wrap(s, "%.*s in version \"%.*s\" cannot be handled as a %.*s",
                             KN_SV_ARG(name), KN_SV_ARG(version), KN_SV_ARG(name));
    *ret = v;
    return kn_arena_failed(a) ? kn_arena_error(a, "the object") : KN_STATUS_OK;
}
