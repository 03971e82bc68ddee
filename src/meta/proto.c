// Encoding: trees to protobuf. Decoding is in proto_decode.c.
#include "meta/proto.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/protobuf.h"

static struct kn_status put_message(struct kn_buf *out, const struct kn_type *type,
                                    const struct kn_json *obj);

static struct kn_status bad(const struct kn_type *parent, const struct kn_field *f)
{
    struct kn_sv name = kn_field_name(parent, f);
    return kn_error(KN_INTERNAL, "%.*s.%.*s does not match its type",
                    KN_SV_ARG(kn_type_name(parent)), KN_SV_ARG(name));
}

static void put_raw(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    size_t at = kn_pb_begin(out, number);
    if (v) {
        size_t raw = kn_pb_begin(out, 1);
        kn_json_encode(out, v);
        kn_pb_end(out, raw);
    }
    kn_pb_end(out, at);
}

static struct kn_status put_bytes(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    size_t at = kn_pb_begin(out, number);
    KN_TRY(kn_base64_decode(out, kn_json_str(v), KN_BASE64_STD));
    kn_pb_end(out, at);
    return KN_STATUS_OK;
}

static struct kn_status put_time(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    size_t at = kn_pb_begin(out, number);
    if (kn_json_str(v).len) {
        struct kn_time t;
        KN_TRY(kn_time_parse(kn_json_str(v), &t));
        int64_t seconds = t.ns / KN_SECOND, nanos = t.ns % KN_SECOND;
        if (nanos < 0) {
            nanos += KN_SECOND;
            seconds--;
        }
        kn_pb_put_varint(out, 1, (uint64_t)seconds);
        kn_pb_put_varint(out, 2, (uint64_t)nanos);
    }
    kn_pb_end(out, at);
    return KN_STATUS_OK;
}

static void put_int_or_string(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    size_t at = kn_pb_begin(out, number);
    kn_pb_put_varint(out, 1, kn_json_is_string(v));
    kn_pb_put_varint(out, 2, (uint64_t)kn_json_int(v, 0));
    kn_pb_put_bytes(out, 3, kn_json_str(v));
    kn_pb_end(out, at);
}

static void put_strings(struct kn_buf *out, uint32_t number, const struct kn_json *list)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, list)
        kn_pb_put_bytes(out, number, kn_json_str(c));
}

static struct kn_status put_nested(struct kn_buf *out, uint32_t number, const struct kn_type *type,
                                   const struct kn_json *v)
{
    size_t at = kn_pb_begin(out, number);
    KN_TRY(put_message(out, type, v));
    kn_pb_end(out, at);
    return KN_STATUS_OK;
}

static struct kn_status put_union(struct kn_buf *out, uint32_t number, const struct kn_type *parent,
                                  const struct kn_field *f, const struct kn_json *v)
{
    const struct kn_type *props = kn_field_type(parent, f);
    const struct kn_json *c;
    size_t at = kn_pb_begin(out, number);
    if (f->kind == KN_KIND_SCHEMA_OR_BOOL) {
        kn_pb_put_varint(out, 1, kn_json_is_object(v) || kn_json_bool(v, false));
        if (kn_json_is_object(v))
            KN_TRY(put_nested(out, 2, props, v));
    } else if (kn_json_is_object(v)) {
        KN_TRY(put_nested(out, 1, props, v));
    } else if (f->kind == KN_KIND_SCHEMA_OR_STRINGS) {
        put_strings(out, 2, v);
    } else {
        KN_JSON_EACH (c, v)
            KN_TRY(put_nested(out, 2, props, c));
    }
    kn_pb_end(out, at);
    return KN_STATUS_OK;
}

// A value, or the zero of it (v == NULL).
static struct kn_status put_value(struct kn_buf *out, uint32_t number, const struct kn_type *parent,
                                  const struct kn_field *f, const struct kn_json *v)
{
    enum kn_json_type t = kn_json_type(v);
    double d = 0;
    size_t at;
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_STRING:
        if (v && t != KN_JSON_STRING)
            return bad(parent, f);
        kn_pb_put_bytes(out, number, kn_json_str(v));
        return KN_STATUS_OK;
    case KN_KIND_BOOL:
        if (v && t != KN_JSON_BOOL)
            return bad(parent, f);
        kn_pb_put_varint(out, number, kn_json_bool(v, false));
        return KN_STATUS_OK;
    case KN_KIND_INT32:
    case KN_KIND_INT64:
        if (v && t != KN_JSON_INT)
            return bad(parent, f);
        kn_pb_put_varint(out, number, (uint64_t)kn_json_int(v, 0));
        return KN_STATUS_OK;
    case KN_KIND_DOUBLE:
        if (v && !kn_json_double(v, &d))
            return bad(parent, f);
        kn_pb_put_double(out, number, d);
        return KN_STATUS_OK;
    case KN_KIND_BYTES:
        return v ? put_bytes(out, number, v) : KN_STATUS_OK;
    case KN_KIND_OBJECT:
        if (!(f->flags & KN_FIELD_BARE_LIST))
            return v && t != KN_JSON_OBJECT ? bad(parent, f)
                                            : put_nested(out, number, kn_field_type(parent, f), v);
        at = kn_pb_begin(out, number);
        put_strings(out, 1, v);
        kn_pb_end(out, at);
        return KN_STATUS_OK;
    case KN_KIND_QUANTITY:
        at = kn_pb_begin(out, number);
        kn_pb_put_bytes(out, 1, v ? kn_json_str(v) : KN_SV("0"));
        kn_pb_end(out, at);
        return KN_STATUS_OK;
    case KN_KIND_TIME:
    case KN_KIND_MICROTIME:
        return put_time(out, number, v);
    case KN_KIND_DURATION:
        return kn_error(KN_NOT_SUPPORTED, "durations in protobuf");
    case KN_KIND_INT_OR_STRING:
        put_int_or_string(out, number, v);
        return KN_STATUS_OK;
    case KN_KIND_RAW:
        put_raw(out, number, v);
        return KN_STATUS_OK;
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return put_union(out, number, parent, f, v);
    }
    return KN_STATUS_OK;
}

static int by_key(const void *a, const void *b)
{
    return kn_sv_cmp(kn_json_key(*(const struct kn_json *const *)a),
                     kn_json_key(*(const struct kn_json *const *)b));
}

static struct kn_status put_map(struct kn_buf *out, const struct kn_type *parent,
                                const struct kn_field *f, const struct kn_json *v)
{
    size_t n = kn_json_len(v), i = 0;
    const struct kn_json **sorted KN_CLEANUP(kn_cleanup_free) = malloc((n + 1) * sizeof *sorted);
    const struct kn_json *c;
    if (!sorted)
        return kn_error(KN_NO_MEMORY, "no memory for a map of %zu members", n);
    KN_JSON_EACH (c, v)
        sorted[i++] = c;
    qsort(sorted, n, sizeof *sorted, by_key);
    for (i = 0; i < n; i++) {
        size_t at = kn_pb_begin(out, f->number);
        kn_pb_put_bytes(out, 1, kn_json_key(sorted[i]));
        KN_TRY(put_value(out, 2, parent, f, sorted[i]));
        kn_pb_end(out, at);
    }
    return KN_STATUS_OK;
}

static struct kn_status put_field(struct kn_buf *out, const struct kn_type *type,
                                  const struct kn_field *f, const struct kn_json *obj)
{
    const struct kn_json *c, *v = kn_json_get(obj, (enum kn_atom)f->name);
    if (f->number == 0)
        return KN_STATUS_OK;
    if (f->flags & KN_FIELD_INLINE)
        return put_nested(out, f->number, kn_field_type(type, f), obj);
    if (kn_json_is_null(v))
        v = NULL;
    if (f->shape == KN_SHAPE_SINGLE) {
        bool optional = f->flags & (KN_FIELD_POINTER | KN_FIELD_BARE_LIST);
        return !v && optional ? KN_STATUS_OK : put_value(out, f->number, type, f, v);
    }
    if (v && kn_json_is_array(v) != (f->shape == KN_SHAPE_LIST))
        return bad(type, f);
    if (f->shape == KN_SHAPE_MAP)
        return put_map(out, type, f, v);
    KN_JSON_EACH (c, v)
        KN_TRY(put_value(out, f->number, type, f, c));
    return KN_STATUS_OK;
}

static struct kn_status put_message(struct kn_buf *out, const struct kn_type *type,
                                    const struct kn_json *obj)
{
    for (size_t i = 0; i < type->field_count; i++)
        KN_TRY(put_field(out, type, kn_type_wire_field(type, i), obj));
    return KN_STATUS_OK;
}

struct kn_status kn_proto_encode_message(struct kn_buf *out, const struct kn_type *type,
                                         const struct kn_json *obj)
{
    KN_TRY(put_message(out, type, obj));
    return kn_buf_status(out, "the object as protobuf");
}

// The envelope around what `raw` appends is written by these two.
static size_t open_envelope(struct kn_buf *out, struct kn_sv api_version, struct kn_sv kind)
{
    kn_buf_add(out, KN_SV("k8s\0"));
    size_t meta = kn_pb_begin(out, 1);
    kn_pb_put_bytes(out, 1, api_version);
    kn_pb_put_bytes(out, 2, kind);
    kn_pb_end(out, meta);
    return kn_pb_begin(out, 2);
}

static void close_envelope(struct kn_buf *out, size_t raw)
{
    kn_pb_end(out, raw);
    kn_pb_put_bytes(out, 3, KN_SV_NULL);
    kn_pb_put_bytes(out, 4, KN_SV_NULL);
}

struct kn_status kn_proto_encode(struct kn_buf *out, const struct kn_type *type,
                                 const struct kn_json *obj)
{
    char own[256];
    struct kn_sv group = kn_type_group(type), version = kn_type_version(type);
    snprintf(own, sizeof own, "%.*s%s%.*s", KN_SV_ARG(group), group.len ? "/" : "",
             KN_SV_ARG(version));
    const struct kn_json *api = kn_json_get(obj, KN_K_apiVersion),
                         *kind = kn_json_get(obj, KN_K_kind);
    size_t raw = open_envelope(out, api ? kn_json_str(api) : kn_sv_c(own),
                               kind ? kn_json_str(kind) : kn_type_name(type));
    KN_TRY(put_message(out, type, obj));
    close_envelope(out, raw);
    return kn_buf_status(out, "the object as protobuf");
}

struct kn_status kn_proto_watch_frame(struct kn_buf *out, struct kn_sv event_type,
                                      struct kn_sv object)
{
    kn_buf_add(out, kn_sv("\0\0\0\0", 4));
    size_t start = out->len;
    kn_pb_put_bytes(out, 1, event_type); // a bare message: streams have no envelope of their own
    size_t extension = kn_pb_begin(out, 2);
    kn_pb_put_bytes(out, 1, object);
    kn_pb_end(out, extension);
    KN_TRY(kn_buf_status(out, "the watch event"));
    size_t len = out->len - start;
    for (int i = 0; i < 4; i++)
        out->ptr[start - 4 + (size_t)i] = (char)(len >> (24 - 8 * i) & 255);
    return KN_STATUS_OK;
}
