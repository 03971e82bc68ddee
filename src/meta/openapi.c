#include "meta/openapi.h"

#include "base/mem.h"
#include "codec/json.h"
#include "meta/openapi_write.h"
#include "meta/types.h"

void kn_openapi_str(struct kn_buf *out, struct kn_sv text)
{
    kn_json_encode_str(out, text);
}

void kn_openapi_want(struct kn_openapi *o, const struct kn_type *t)
{
    if (t && t == kn_type_at(t->self))
        o->wanted[t->self / 8] |= (uint8_t)(1 << t->self % 8);
}

void kn_openapi_ref(struct kn_openapi *o, const struct kn_type *t)
{
    kn_openapi_want(o, t);
    kn_buf_addf(o->out, "\"$ref\":\"%s%.*s.%.*s\"", o->ref, KN_SV_ARG(kn_type_package(t)),
                KN_SV_ARG(kn_type_name(t)));
}

// -- the schema of one value -----------------------------------------------------------------

#define QUANTITY "io.k8s.apimachinery.pkg.api.resource.Quantity"
#define INT_OR_STRING "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
#define TIME "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
#define MICRO_TIME "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"

static const char fixed_schemas[] =
    "\"" QUANTITY "\":{\"description\":\"An amount, such as 500m, 2 or 1Gi.\",\"type\":\"string\"},"
    "\"" INT_OR_STRING "\":{\"description\":\"A number or a text.\",\"type\":\"string\",\"format\":"
    "\"int-or-string\"},"
    "\"" TIME
    "\":{\"description\":\"A time, RFC 3339.\",\"type\":\"string\",\"format\":\"date-time\"},"
    "\"" MICRO_TIME
    "\":{\"description\":\"A time with microseconds, RFC 3339.\",\"type\":\"string\","
    "\"format\":\"date-time\"},"
    "\"io.k8s.apimachinery.pkg.apis.meta.v1.Patch\":{\"description\":\"What is to "
    "change.\",\"type\":"
    "\"object\"}";

static const char *fixed_ref(const struct kn_field *f)
{
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_QUANTITY:
        return QUANTITY;
    case KN_KIND_INT_OR_STRING:
        return INT_OR_STRING;
    case KN_KIND_TIME:
        return TIME;
    case KN_KIND_MICROTIME:
        return MICRO_TIME;
    case KN_KIND_STRING:
    case KN_KIND_BOOL:
    case KN_KIND_INT32:
    case KN_KIND_INT64:
    case KN_KIND_DOUBLE:
    case KN_KIND_BYTES:
    case KN_KIND_OBJECT:
    case KN_KIND_DURATION:
    case KN_KIND_RAW:
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return NULL;
    }
    return NULL;
}

static const char *plain_schema(const struct kn_type *parent, const struct kn_field *f)
{
    switch ((enum kn_kind)f->kind) {
    case KN_KIND_STRING:
    case KN_KIND_DURATION:
        return "\"type\":\"string\"";
    case KN_KIND_BOOL:
        return "\"type\":\"boolean\"";
    case KN_KIND_INT32:
        return "\"type\":\"integer\",\"format\":\"int32\"";
    case KN_KIND_INT64:
        return "\"type\":\"integer\",\"format\":\"int64\"";
    case KN_KIND_DOUBLE:
        return "\"type\":\"number\",\"format\":\"double\"";
    case KN_KIND_BYTES:
        return "\"type\":\"string\",\"format\":\"byte\"";
    case KN_KIND_RAW:
        return kn_sv_is(kn_type_group(parent), "apiextensions.k8s.io") ? "" : "\"type\":\"object\"";
    case KN_KIND_OBJECT: // a bare list
        return "\"type\":\"array\",\"items\":{\"type\":\"string\"}";
    case KN_KIND_QUANTITY:
    case KN_KIND_TIME:
    case KN_KIND_MICROTIME:
    case KN_KIND_INT_OR_STRING:
    case KN_KIND_SCHEMA_OR_ARRAY:
    case KN_KIND_SCHEMA_OR_BOOL:
    case KN_KIND_SCHEMA_OR_STRINGS:
        return ""; // anything
    }
    return "";
}

static void enum_values(struct kn_buf *out, const struct kn_type *parent, const struct kn_field *f)
{
    struct kn_sv value;
    for (size_t i = 0; kn_field_enum(parent, f, i, &value); i++) {
        kn_buf_addc(out, i ? "," : ",\"enum\":[");
        kn_openapi_str(out, value);
    }
    if (kn_field_enum(parent, f, 0, &value))
        kn_buf_addc(out, "]");
}

// Members of the schema of an element, without braces. alone: nothing else stands beside them.
static void element(struct kn_openapi *o, const struct kn_type *parent, const struct kn_field *f,
                    bool alone)
{
    const char *fixed = fixed_ref(f);
    bool object = f->kind == KN_KIND_OBJECT && !(f->flags & KN_FIELD_BARE_LIST);
    bool wrap = (fixed || object) && o->v3 && !alone; // version 3 ignores what is beside a $ref
    if (wrap)
        kn_buf_addc(o->out, "\"allOf\":[{");
    if (fixed)
        kn_buf_addf(o->out, "\"$ref\":\"%s%s\"", o->ref, fixed);
    else if (object)
        kn_openapi_ref(o, kn_field_type(parent, f));
    else
        kn_buf_addc(o->out, plain_schema(parent, f));
    if (f->kind == KN_KIND_STRING)
        enum_values(o->out, parent, f);
    if (wrap)
        kn_buf_addc(o->out, "}]");
}

static void patch_marks(struct kn_buf *out, const struct kn_type *parent, const struct kn_field *f)
{
    bool merge = f->flags & KN_FIELD_MERGE, retain = f->flags & KN_FIELD_RETAIN_KEYS;
    enum kn_atom key = kn_field_merge_key(parent, f);
    if (merge || retain)
        kn_buf_addf(out, ",\"x-kubernetes-patch-strategy\":\"%s%s%s\"", merge ? "merge" : "",
                    merge && retain ? "," : "", retain ? "retainKeys" : "");
    if (key != KN_K_NONE)
        kn_buf_addf(out, ",\"x-kubernetes-patch-merge-key\":\"%.*s\"",
                    KN_SV_ARG(kn_atom_name(key)));
    const char *list = f->flags & KN_FIELD_LIST_ATOMIC ? "atomic"
                       : f->flags & KN_FIELD_LIST_SET  ? "set"
                       : f->flags & KN_FIELD_LIST_MAP  ? "map"
                                                       : NULL;
    if (list)
        kn_buf_addf(out, ",\"x-kubernetes-list-type\":\"%s\"", list);
    size_t n;
    const uint16_t *keys = kn_field_list_keys(parent, f, &n);
    for (size_t i = 0; i < n; i++) {
        struct kn_sv name = kn_atom_name((enum kn_atom)keys[i]);
        kn_buf_addf(out, "%s\"%.*s\"", i ? "," : ",\"x-kubernetes-list-map-keys\":[",
                    KN_SV_ARG(name));
    }
    if (n)
        kn_buf_addc(out, "]");
    if (f->flags & KN_FIELD_ATOMIC)
        kn_buf_addc(out, ",\"x-kubernetes-map-type\":\"atomic\"");
}

static void property(struct kn_openapi *o, const struct kn_type *t, const struct kn_field *f)
{
    struct kn_buf *out = o->out;
    kn_openapi_str(out, kn_field_name(t, f));
    kn_buf_addc(out, ":{\"description\":");
    kn_openapi_str(out, kn_field_doc(t, f));
    size_t before = out->len;
    kn_buf_addc(out, ",");
    size_t after = out->len;
    if (f->shape == KN_SHAPE_SINGLE) {
        element(o, t, f, false);
    } else {
        kn_buf_addc(out, f->shape == KN_SHAPE_LIST
                             ? "\"type\":\"array\",\"items\":{"
                             : "\"type\":\"object\",\"additionalProperties\":{");
        element(o, t, f, true);
        kn_buf_addc(out, "}");
    }
    if (out->len == after && !out->failed) { // anything: no comma
        out->len = before;
        out->ptr[before] = '\0';
    }
    patch_marks(out, t, f);
    kn_buf_addc(out, "}");
}

// -- the schema of a type --------------------------------------------------------------------

static void type_gvk(struct kn_openapi *o, const struct kn_type *t)
{
    if (!(t->flags & KN_TYPE_KIND))
        return;
    bool meta = kn_sv_is(kn_type_group(t), "meta.k8s.io");
    kn_buf_addf(
        o->out,
        ",\"x-kubernetes-group-version-kind\":[{\"group\":\"%.*s\",\"kind\":\"%.*s\",\"version\":"
        "\"%.*s\"}]",
        KN_SV_ARG(meta ? KN_SV("") : kn_type_group(t)), KN_SV_ARG(kn_type_name(t)),
        KN_SV_ARG(kn_type_version(t)));
}

static void type_schema(struct kn_openapi *o, const struct kn_type *t)
{
    bool any = false;
    kn_buf_addf(o->out, "\"%.*s.%.*s\":{\"description\":", KN_SV_ARG(kn_type_package(t)),
                KN_SV_ARG(kn_type_name(t)));
    kn_openapi_str(o->out, kn_type_doc(t));
    kn_buf_addc(o->out, ",\"type\":\"object\"");
    for (size_t i = 0; i < t->member_count; i++) {
        const struct kn_field *f = kn_type_member(t, i);
        if (!(f->flags & KN_FIELD_REQUIRED))
            continue;
        kn_buf_addc(o->out, any ? "," : ",\"required\":[");
        kn_openapi_str(o->out, kn_field_name(t, f));
        any = true;
    }
    kn_buf_addc(o->out, any ? "]" : "");
    for (size_t i = 0; i < t->member_count; i++) {
        kn_buf_addc(o->out, i ? "," : ",\"properties\":{");
        property(o, t, kn_type_member(t, i));
    }
    kn_buf_addc(o->out, t->member_count ? "}" : "");
    if (t->flags & KN_TYPE_ATOMIC)
        kn_buf_addc(o->out, ",\"x-kubernetes-map-type\":\"atomic\"");
    type_gvk(o, t);
    kn_buf_addc(o->out, "}");
}

// Until no type that is written refers to one that is not.
static void schemas(struct kn_openapi *o)
{
    uint8_t done[KN_T_COUNT / 8 + 1] = {0};
    bool more = true;
    kn_buf_addc(o->out, fixed_schemas);
    while (more) {
        more = false;
        for (size_t i = 0; i < KN_T_COUNT; i++) {
            uint8_t bit = (uint8_t)(1 << i % 8);
            if (!(o->wanted[i / 8] & bit) || (done[i / 8] & bit))
                continue;
            done[i / 8] |= bit;
            more = true;
            kn_buf_addc(o->out, ",");
            type_schema(o, kn_type_at(i));
        }
    }
}

static void want_resource(struct kn_openapi *o, const struct kn_resource *r)
{
    char list[256];
    if (!r->type)
        return; // a custom resource without a type in the tables
    snprintf(list, sizeof list, "%.*sList", KN_SV_ARG(r->kind));
    kn_openapi_want(o, r->type);
    if (r->verbs & KN_VERB_LIST)
        kn_openapi_want(o, kn_type_find(r->group, r->version, kn_sv_c(list)));
    for (size_t i = 0; i < r->subresource_count; i++)
        kn_openapi_want(o, r->subresources[i].type);
}

// -- documents -------------------------------------------------------------------------------

static void document(struct kn_openapi *o, struct kn_sv group, struct kn_sv version,
                     const struct kn_resource *const *resources, size_t count)
{
    bool any = false;
    kn_openapi_want(o, kn_type_at(KN_T_meta_v1_DeleteOptions));
    kn_openapi_want(o, kn_type_at(KN_T_meta_v1_Status));
    kn_openapi_want(o, kn_type_at(KN_T_meta_v1_WatchEvent));
    kn_buf_addc(o->out, o->v3 ? "{\"openapi\":\"3.0.0\"," : "{\"swagger\":\"2.0\",");
    kn_buf_addc(o->out, "\"info\":{\"title\":\"Kubernetes\",\"version\":\"v1.37.2\"},\"paths\":{");
    for (size_t i = 0; i < count; i++) {
        const struct kn_resource *r = resources[i];
        if (o->v3 && !(kn_sv_eq(r->group, group) && kn_sv_eq(r->version, version)))
            continue;
        want_resource(o, r);
        kn_openapi_paths(o, r, &any);
    }
    kn_buf_addc(o->out, o->v3 ? "},\"components\":{\"schemas\":{" : "},\"definitions\":{");
    schemas(o);
    kn_buf_addc(o->out, o->v3 ? "}}}\n" : "}}\n");
}

struct kn_status kn_openapi_v2(struct kn_buf *out, const struct kn_resource *const *resources,
                               size_t count)
{
    uint8_t wanted[KN_T_COUNT / 8 + 1] = {0};
    struct kn_openapi o = {out, false, wanted, "#/definitions/"};
    document(&o, KN_SV(""), KN_SV(""), resources, count);
    return kn_buf_status(out, "the OpenAPI document");
}

struct kn_status kn_openapi_v3(struct kn_buf *out, struct kn_sv group, struct kn_sv version,
                               const struct kn_resource *const *resources, size_t count)
{
    uint8_t wanted[KN_T_COUNT / 8 + 1] = {0};
    struct kn_openapi o = {out, true, wanted, "#/components/schemas/"};
    bool known = false;
    for (size_t i = 0; i < count; i++)
        known |= kn_sv_eq(resources[i]->group, group) && kn_sv_eq(resources[i]->version, version);
    if (!known)
        return kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
    document(&o, group, version, resources, count);
    return kn_buf_status(out, "the OpenAPI document");
}

static uint64_t fingerprint(struct kn_sv text)
{
    uint64_t h = 14695981039346656037u; // FNV-1a: the same in every process
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211u;
    return h;
}

struct kn_status kn_openapi_v3_index(struct kn_buf *out,
                                     const struct kn_resource *const *resources, size_t count)
{
    bool any = false;
    kn_buf_addc(out, "{\"paths\":{");
    for (size_t i = 0; i < count; i++) {
        const struct kn_resource *r = resources[i];
        bool seen = false;
        char text[128];
        for (size_t k = 0; k < i; k++)
            seen |= kn_sv_eq(resources[k]->group, r->group) &&
                    kn_sv_eq(resources[k]->version, r->version);
        if (seen)
            continue;
        struct kn_buf doc KN_CLEANUP(kn_buf_done) = KN_BUF(16u << 20);
        KN_TRY(kn_openapi_v3(&doc, r->group, r->version, resources, count));
        struct kn_sv gv = kn_resource_api_version(r, text);
        const char *root = r->group.len ? "apis" : "api";
        kn_buf_addf(out,
                    "%s\"%s/%.*s\":{\"serverRelativeURL\":\"/openapi/v3/%s/%.*s?hash=%016llX\"}",
                    any ? "," : "", root, KN_SV_ARG(gv), root, KN_SV_ARG(gv),
                    (unsigned long long)fingerprint(kn_buf_sv(&doc)));
        any = true;
    }
    kn_buf_addc(out, "}}\n");
    return kn_buf_status(out, "the index of OpenAPI documents");
}
