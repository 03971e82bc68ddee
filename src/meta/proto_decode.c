// Decoding: protobuf to trees. What comes out goes through kn_decode, so that it has the same form
// as the same object sent as JSON.
#include "base/clock.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/protobuf.h"
#include "meta/decode.h"
#include "meta/proto.h"

#define DEPTH_MAX 64 // messages in messages

struct reader {
    struct kn_arena *arena;
    unsigned depth;
};

static struct kn_status take_message(struct reader *r, const struct kn_type *type,
                                     struct kn_sv bytes, struct kn_json *obj);

static struct kn_status malformed(const struct kn_type *type)
{
    return kn_error(KN_BAD_REQUEST, "the bytes are no protobuf message of type %.*s",
                    KN_SV_ARG(kn_type_name(type)));
}

static struct kn_json *text(struct reader *r, struct kn_sv bytes)
{
    return kn_json_new_str(r->arena, kn_arena_dup(r->arena, bytes));
}

// The first (up to three) fields of a small message.
struct small {
    uint64_t number[4];
    struct kn_sv bytes[4];
    bool has[4];
};

static bool take_small(struct kn_sv rest, struct small *ret)
{
    struct kn_pb_field f;
    bool bad = false;
    *ret = (struct small){.has = {false}};
    while (kn_pb_next(&rest, &f, &bad)) {
        if (f.number > 3)
            continue;
        ret->number[f.number] = f.value;
        ret->bytes[f.number] = f.bytes;
        ret->has[f.number] = true;
    }
    return !bad;
}

static struct kn_json *take_time(struct reader *r, const struct small *s, bool micro)
{
    char out[KN_TIME_TEXT];
    int64_t seconds = (int64_t)s->number[1], limit = INT64_MAX / KN_SECOND - 1;
    if ((!s->has[1] && !s->has[2]) || seconds > limit || seconds < -limit)
        return kn_json_new_null(r->arena);
    struct kn_time t = {seconds * KN_SECOND + (int64_t)(s->number[2] % (uint64_t)KN_SECOND)};
    kn_time_format(t, micro ? KN_TIME_MICROS : KN_TIME_SECONDS, out);
    return text(r, kn_sv_c(out));
}

static struct kn_status take_raw(struct reader *r, struct kn_sv bytes, struct kn_json **ret)
{
    if (bytes.len == 0) {
        *ret = kn_json_new_null(r->arena);
        return KN_STATUS_OK;
    }
    return kn_json_parse(r->arena, kn_arena_dup(r->arena, bytes), NULL, ret);
}

static struct kn_status take_strings(struct reader *r, const struct kn_type *type,
                                     struct kn_sv bytes, uint32_t number, struct kn_json **ret)
{
    struct kn_pb_field f;
    bool bad = false;
    *ret = kn_json_new_array(r->arena);
    while (kn_pb_next(&bytes, &f, &bad))
        if (f.number == number)
            kn_json_append(*ret, text(r, f.bytes));
    return bad ? malformed(type) : KN_STATUS_OK;
}

static struct kn_status take_nested(struct reader *r, const struct kn_type *type,
                                    struct kn_sv bytes, struct kn_json **ret)
{
    *ret = kn_json_new_object(r->arena);
    return take_message(r, type, bytes, *ret);
}

static struct kn_status take_union(struct reader *r, const struct kn_type *props,
                                   const struct kn_field *f, struct kn_sv bytes,
                                   struct kn_json **ret)
{
    struct small s;
    if (!take_small(bytes, &s))
        return malformed(props);
    if (f->kind == KN_KIND_SCHEMA_OR_BOOL) {
        if (s.has[2])
            return take_nested(r, props, s.bytes[2], ret);
        *ret = kn_json_new_bool(r->arena, s.number[1] != 0);
        return KN_STATUS_OK;
    }
    if (s.has[1])
        return take_nested(r, props, s.bytes[1], ret);
    if (f->kind == KN_KIND_SCHEMA_OR_STRINGS)
        return take_strings(r, props, bytes, 2, ret);
    struct kn_pb_field item;
    struct kn_json *v;
    bool bad = false;
    *ret = kn_json_new_array(r->arena);
    while (kn_pb_next(&bytes, &item, &bad)) {
        if (item.number != 2)
            continue;
        KN_TRY(take_nested(r, props, item.bytes, &v));
        kn_json_append(*ret, v);
    }
    return bad ? malformed(props) : KN_STATUS_OK;
}

static enum kn_pb_wire wire_of(const struct kn_field *f)
{
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_BOOL:
    case KN_KIND_INT32:
    case KN_KIND_INT64:
        return KN_PB_VARINT;
    case KN_KIND_DOUBLE:
        return KN_PB_FIXED64;
    case KN_KIND_STRING:
    case KN_KIND_BYTES:
    case KN_KIND_OBJECT:
    case KN_KIND_QUANTITY:
    case KN_KIND_TIME:
    case KN_KIND_MICROTIME:
    case KN_KIND_DURATION:
    case KN_KIND_INT_OR_STRING:
    case KN_KIND_RAW:
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return KN_PB_BYTES;
    }
    return KN_PB_BYTES;
}

static struct kn_json *take_double(struct reader *r, uint64_t bits)
{
    double d = kn_pb_double(bits);
    if (d > -1e15 && d < 1e15 && (double)(int64_t)d == d)
        return kn_json_new_int(r->arena, (int64_t)d);
    if (!(d - d == 0))
        return kn_json_new_null(r->arena); // JSON has no infinity
    return kn_json_new_number(r->arena, kn_arena_printf(r->arena, "%.17g", d));
}

static struct kn_status take_bytes(struct reader *r, struct kn_sv bytes, struct kn_json **ret)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(bytes.len * 2 + 8);
    kn_base64_encode(&b, bytes, KN_BASE64_STD);
    *ret = text(r, kn_buf_sv(&b));
    return KN_STATUS_OK;
}

static struct kn_status take_value(struct reader *r, const struct kn_type *parent,
                                   const struct kn_field *f, const struct kn_pb_field *in,
                                   struct kn_json **ret)
{
    struct small s = {.has = {false}};
    if (in->wire != wire_of(f))
        return malformed(parent);
    bool small = f->kind == KN_KIND_QUANTITY || f->kind == KN_KIND_TIME ||
                 f->kind == KN_KIND_MICROTIME || f->kind == KN_KIND_INT_OR_STRING ||
                 f->kind == KN_KIND_RAW;
    if (small && !take_small(in->bytes, &s))
        return malformed(parent);
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_STRING:
        *ret = text(r, in->bytes);
        return KN_STATUS_OK;
    case KN_KIND_BOOL:
        *ret = kn_json_new_bool(r->arena, in->value != 0);
        return KN_STATUS_OK;
    case KN_KIND_INT32:
        *ret = kn_json_new_int(r->arena, (int32_t)in->value);
        return KN_STATUS_OK;
    case KN_KIND_INT64:
        *ret = kn_json_new_int(r->arena, (int64_t)in->value);
        return KN_STATUS_OK;
    case KN_KIND_DOUBLE:
        *ret = take_double(r, in->value);
        return KN_STATUS_OK;
    case KN_KIND_BYTES:
        return take_bytes(r, in->bytes, ret);
    case KN_KIND_OBJECT:
        if (f->flags & KN_FIELD_BARE_LIST)
            return take_strings(r, parent, in->bytes, 1, ret);
        return take_nested(r, kn_field_type(parent, f), in->bytes, ret);
    case KN_KIND_QUANTITY:
        *ret = text(r, s.bytes[1].len ? s.bytes[1] : KN_SV("0"));
        return KN_STATUS_OK;
    case KN_KIND_TIME:
    case KN_KIND_MICROTIME:
        *ret = take_time(r, &s, f->kind == KN_KIND_MICROTIME);
        return KN_STATUS_OK;
    case KN_KIND_DURATION:
        return kn_error(KN_NOT_SUPPORTED, "durations in protobuf");
    case KN_KIND_INT_OR_STRING:
        *ret = s.number[1] == 1 ? text(r, s.bytes[3])
                                : kn_json_new_int(r->arena, (int32_t)s.number[2]);
        return KN_STATUS_OK;
    case KN_KIND_RAW:
        return take_raw(r, s.bytes[1], ret);
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return take_union(r, kn_field_type(parent, f), f, in->bytes, ret);
    }
    return malformed(parent);
}

// One entry of a map: {1: key, 2: value}.
static struct kn_status take_entry(struct reader *r, const struct kn_type *type,
                                   const struct kn_field *f, struct kn_sv bytes,
                                   struct kn_json *obj)
{
    struct kn_pb_field in, value = {.number = 2, .wire = wire_of(f)};
    struct kn_sv key = KN_SV_NULL;
    struct kn_json *v;
    bool bad = false;
    while (kn_pb_next(&bytes, &in, &bad)) {
        if (in.number == 1)
            key = in.bytes;
        else if (in.number == 2)
            value = in;
    }
    if (bad)
        return malformed(type);
    KN_TRY(take_value(r, type, f, &value, &v));
    struct kn_json *map = kn_json_ensure_object(r->arena, obj, (enum kn_atom)f->name);
    kn_json_set_sv(r->arena, map, kn_arena_dup(r->arena, key), v);
    return KN_STATUS_OK;
}

static struct kn_status take_field(struct reader *r, const struct kn_type *type,
                                   const struct kn_pb_field *in, struct kn_json *obj)
{
    const struct kn_field *f = kn_type_wire_find(type, in->number);
    struct kn_json *v;
    if (!f)
        return KN_STATUS_OK; // of a later version
    if (f->flags & KN_FIELD_INLINE)
        return in->wire == KN_PB_BYTES ? take_message(r, kn_field_type(type, f), in->bytes, obj)
                                       : malformed(type);
    if (f->shape == KN_SHAPE_MAP)
        return in->wire == KN_PB_BYTES ? take_entry(r, type, f, in->bytes, obj) : malformed(type);
    KN_TRY(take_value(r, type, f, in, &v));
    if (f->shape == KN_SHAPE_LIST)
        kn_json_append(kn_json_ensure_array(r->arena, obj, (enum kn_atom)f->name), v);
    else
        kn_json_set(r->arena, obj, (enum kn_atom)f->name, v);
    return KN_STATUS_OK;
}

static struct kn_status take_message(struct reader *r, const struct kn_type *type,
                                     struct kn_sv bytes, struct kn_json *obj)
{
    struct kn_pb_field in;
    bool bad = false;
    if (++r->depth > DEPTH_MAX)
        return kn_error(KN_BAD_REQUEST, "the message is nested more than %d levels deep",
                        DEPTH_MAX);
    while (kn_pb_next(&bytes, &in, &bad) && !kn_arena_failed(r->arena))
        KN_TRY(take_field(r, type, &in, obj));
    r->depth--;
    return bad ? malformed(type) : KN_STATUS_OK;
}

static struct kn_status finish(struct kn_arena *a, const struct kn_type *type, struct kn_json *v,
                               struct kn_json **ret)
{
    if (kn_arena_failed(a))
        return kn_arena_error(a, "the object");
    KN_TRY(kn_decode(a, type, v, NULL));
    *ret = v;
    return KN_STATUS_OK;
}

struct kn_status kn_proto_decode_message(struct kn_arena *a, const struct kn_type *type,
                                         struct kn_sv bytes, struct kn_json **ret)
{
    struct reader r = {a, 0};
    struct kn_json *v = kn_json_new_object(a);
    KN_TRY(take_message(&r, type, bytes, v));
    return finish(a, type, v, ret);
}

struct kn_status kn_proto_open(struct kn_sv bytes, struct kn_proto_envelope *ret)
{
    struct kn_pb_field f;
    bool bad = false;
    *ret = (struct kn_proto_envelope){.raw = KN_SV_NULL};
    if (!kn_sv_starts(bytes, KN_SV("k8s\0")))
        return kn_error(KN_BAD_REQUEST, "the body has not the prefix of Kubernetes' protobuf");
    bytes = kn_sv_from(bytes, 4);
    while (kn_pb_next(&bytes, &f, &bad)) {
        struct small s;
        if (f.number == 1 && take_small(f.bytes, &s)) {
            ret->api_version = s.bytes[1];
            ret->kind = s.bytes[2];
        } else if (f.number == 2) {
            ret->raw = f.bytes;
        } else if (f.number == 4) {
            ret->content_type = f.bytes;
        }
    }
    return bad ? kn_error(KN_BAD_REQUEST, "the envelope is no protobuf message") : KN_STATUS_OK;
}

struct kn_status kn_proto_decode(struct kn_arena *a, const struct kn_type *type, struct kn_sv bytes,
                                 struct kn_json **ret)
{
    struct kn_proto_envelope e;
    struct reader r = {a, 0};
    KN_TRY(kn_proto_open(bytes, &e));
    struct kn_json *v = kn_json_new_object(a);
    if (e.api_version.len)
        kn_json_set(a, v, KN_K_apiVersion, text(&r, e.api_version));
    if (e.kind.len)
        kn_json_set(a, v, KN_K_kind, text(&r, e.kind));
    KN_TRY(take_message(&r, type, e.raw, v));
    return finish(a, type, v, ret);
}
