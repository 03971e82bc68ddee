// The protobuf form of an OpenAPI version 2 document (openapi.v2.Document of gnostic): a
// translation of the JSON that kn_openapi_v2 wrote. Only what that document uses is known here.
#include "base/mem.h"
#include "codec/json.h"
#include "codec/protobuf.h"
#include "meta/openapi.h"

// Message and field numbers are gnostic's OpenAPIv2.proto.

static void text(struct kn_buf *out, uint32_t number, const struct kn_json *object,
                 const char *name)
{
    struct kn_sv v = kn_json_str(kn_json_get_sv(object, kn_sv_c(name)));
    if (v.len)
        kn_pb_put_bytes(out, number, v);
}

static void texts(struct kn_buf *out, uint32_t number, const struct kn_json *list)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, list)
        kn_pb_put_bytes(out, number, kn_json_str(c));
}

static void any_value(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    struct kn_buf yaml KN_CLEANUP(kn_buf_done) = KN_BUF(1u << 20);
    kn_json_encode(&yaml, v); // JSON is YAML
    size_t at = kn_pb_begin(out, number);
    kn_pb_put_bytes(out, 2, kn_buf_sv(&yaml));
    kn_pb_end(out, at);
}

static void extensions(struct kn_buf *out, uint32_t number, const struct kn_json *object)
{
    const struct kn_json *m;
    KN_JSON_EACH (m, object) {
        if (!kn_sv_starts(kn_json_key(m), KN_SV("x-")))
            continue;
        size_t at = kn_pb_begin(out, number);
        kn_pb_put_bytes(out, 1, kn_json_key(m));
        any_value(out, 2, m);
        kn_pb_end(out, at);
    }
}

static void schema(struct kn_buf *out, uint32_t number, const struct kn_json *v);

static void named_schemas(struct kn_buf *out, uint32_t number, const struct kn_json *object)
{
    const struct kn_json *m;
    size_t all = kn_pb_begin(out, number);
    KN_JSON_EACH (m, object) {
        size_t at = kn_pb_begin(out, 1);
        kn_pb_put_bytes(out, 1, kn_json_key(m));
        schema(out, 2, m);
        kn_pb_end(out, at);
    }
    kn_pb_end(out, all);
}

static void schema(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    const struct kn_json *c;
    size_t at = kn_pb_begin(out, number), in;
    text(out, 1, v, "$ref");
    text(out, 2, v, "format");
    text(out, 4, v, "description");
    texts(out, 19, kn_json_get(v, KN_K_required));
    KN_JSON_EACH (c, kn_json_get(v, KN_K_enum))
        any_value(out, 20, c);
    if ((c = kn_json_get(v, KN_K_additionalProperties)) != NULL) {
        in = kn_pb_begin(out, 21);
        schema(out, 1, c);
        kn_pb_end(out, in);
    }
    if ((c = kn_json_get(v, KN_K_type)) != NULL) {
        in = kn_pb_begin(out, 22);
        kn_pb_put_bytes(out, 1, kn_json_str(c));
        kn_pb_end(out, in);
    }
    if ((c = kn_json_get(v, KN_K_items)) != NULL) {
        in = kn_pb_begin(out, 23);
        schema(out, 1, c);
        kn_pb_end(out, in);
    }
    if ((c = kn_json_get(v, KN_K_properties)) != NULL)
        named_schemas(out, 25, c);
    extensions(out, 31, v);
    kn_pb_end(out, at);
}

static void parameter(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    struct kn_sv in = kn_json_str(kn_json_get(v, KN_K_in));
    bool required = kn_json_bool(kn_json_get(v, KN_K_required), false);
    size_t item = kn_pb_begin(out, number), param = kn_pb_begin(out, 1), sub;
    if (kn_sv_is(in, "body")) {
        sub = kn_pb_begin(out, 1);
        text(out, 2, v, "name");
        text(out, 3, v, "in");
        if (required)
            kn_pb_put_varint(out, 4, 1);
        schema(out, 5, kn_json_get(v, KN_K_schema));
        kn_pb_end(out, sub);
    } else {
        bool path = kn_sv_is(in, "path");
        size_t other = kn_pb_begin(out, 2);
        sub = kn_pb_begin(out, path ? 4 : 3);
        if (required)
            kn_pb_put_varint(out, 1, 1);
        text(out, 2, v, "in");
        text(out, 4, v, "name");
        text(out, path ? 5 : 6, v, "type");
        kn_pb_end(out, sub);
        kn_pb_end(out, other);
    }
    kn_pb_end(out, param);
    kn_pb_end(out, item);
}

static void responses(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    const struct kn_json *r, *s;
    size_t all = kn_pb_begin(out, number);
    KN_JSON_EACH (r, v) {
        size_t named = kn_pb_begin(out, 1);
        kn_pb_put_bytes(out, 1, kn_json_key(r));
        size_t value = kn_pb_begin(out, 2), response = kn_pb_begin(out, 1);
        text(out, 1, r, "description");
        if ((s = kn_json_get(r, KN_K_schema)) != NULL) {
            size_t item = kn_pb_begin(out, 2);
            schema(out, 1, s);
            kn_pb_end(out, item);
        }
        kn_pb_end(out, response);
        kn_pb_end(out, value);
        kn_pb_end(out, named);
    }
    kn_pb_end(out, all);
}

static void operation(struct kn_buf *out, uint32_t number, const struct kn_json *v)
{
    const struct kn_json *p;
    size_t at = kn_pb_begin(out, number);
    text(out, 5, v, "operationId");
    texts(out, 6, kn_json_get(v, KN_K_produces));
    texts(out, 7, kn_json_get(v, KN_K_consumes));
    KN_JSON_EACH (p, kn_json_get(v, KN_K_parameters))
        parameter(out, 8, p);
    responses(out, 9, kn_json_get(v, KN_K_responses));
    extensions(out, 13, v);
    kn_pb_end(out, at);
}

static void path(struct kn_buf *out, const struct kn_json *v)
{
    static const struct {
        const char *method;
        uint32_t number;
    } methods[] = {{"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}};
    const struct kn_json *p, *op;
    size_t named = kn_pb_begin(out, 2);
    kn_pb_put_bytes(out, 1, kn_json_key(v));
    size_t item = kn_pb_begin(out, 2);
    for (size_t i = 0; i < KN_ARRAY_LEN(methods); i++)
        if ((op = kn_json_get_sv(v, kn_sv_c(methods[i].method))) != NULL)
            operation(out, methods[i].number, op);
    KN_JSON_EACH (p, kn_json_get(v, KN_K_parameters))
        parameter(out, 9, p);
    kn_pb_end(out, item);
    kn_pb_end(out, named);
}

struct kn_status kn_openapi_v2_proto(struct kn_buf *out, struct kn_sv v2_json)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(1 << 16, 256u << 20);
    struct kn_json *doc;
    KN_TRY(kn_wrap(kn_json_parse(a, v2_json, NULL, &doc), "the OpenAPI document"));
    text(out, 1, doc, "swagger");
    const struct kn_json *info = kn_json_get(doc, KN_K_info), *m;
    size_t at = kn_pb_begin(out, 2);
    text(out, 1, info, "title");
    text(out, 2, info, "version");
    kn_pb_end(out, at);
    at = kn_pb_begin(out, 8);
    KN_JSON_EACH (m, kn_json_get(doc, KN_K_paths))
        path(out, m);
    kn_pb_end(out, at);
    named_schemas(out, 9, kn_json_get(doc, KN_K_definitions));
    return kn_buf_status(out, "the OpenAPI document as protobuf");
}
