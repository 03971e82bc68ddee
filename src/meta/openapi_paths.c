// The paths of the OpenAPI documents: every operation on every resource.
#include "base/mem.h"
#include "meta/openapi_write.h"
#include "meta/types.h"

struct operation {
    const char *method, *action, *word; // "patch", "patch", "patch" (of the operationId)
    const struct kn_type *body, *answer;
    bool patch;
};

static void gvk(struct kn_buf *out, struct kn_sv group, struct kn_sv version, struct kn_sv kind)
{
    kn_buf_addf(
        out,
        "\"x-kubernetes-group-version-kind\":{\"group\":\"%.*s\",\"kind\":\"%.*s\",\"version\":"
        "\"%.*s\"}",
        KN_SV_ARG(group), KN_SV_ARG(kind), KN_SV_ARG(version));
}

static void query(struct kn_openapi *o, const char *name, bool *any)
{
    kn_buf_addf(o->out, "%s{\"name\":\"%s\",\"in\":\"query\",%s}", *any ? "," : "", name,
                o->v3 ? "\"schema\":{\"type\":\"string\"}"
                      : "\"type\":\"string\",\"uniqueItems\":true");
    *any = true;
}

static void parameters(struct kn_openapi *o, const struct operation *op)
{
    bool any = false;
    kn_buf_addc(o->out, ",\"parameters\":[");
    if (op->body && !o->v3) {
        kn_buf_addf(o->out, "{\"name\":\"body\",\"in\":\"body\",\"required\":%s,\"schema\":{",
                    op->body == kn_type_at(KN_T_meta_v1_DeleteOptions) ? "false" : "true");
        if (op->patch)
            kn_buf_addf(o->out, "\"$ref\":\"%sio.k8s.apimachinery.pkg.apis.meta.v1.Patch\"",
                        o->ref);
        else
            kn_openapi_ref(o, op->body);
        kn_buf_addc(o->out, "}}");
        any = true;
    }
    bool write = strcmp(op->method, "get") != 0, delete = strcmp(op->method, "delete") == 0;
    if (write)
        query(o, "dryRun", &any);
    if (write && !delete) {
        query(o, "fieldManager", &any);
        query(o, "fieldValidation", &any);
    }
    kn_buf_addc(o->out, "]");
}

static void content(struct kn_openapi *o, const struct kn_type *t, bool patch)
{
    kn_buf_addf(o->out, "\"content\":{\"%s\":{\"schema\":{", patch ? "application/merge-patch+json"
                                                                      : "application/json");
    if (patch)
        kn_buf_addf(o->out, "\"$ref\":\"%sio.k8s.apimachinery.pkg.apis.meta.v1.Patch\"", o->ref);
    else
        kn_openapi_ref(o, t);
    kn_buf_addc(o->out, "}}}");
}

static void write_operation(struct kn_openapi *o, const struct kn_resource *r,
                            const struct operation *op, const char *suffix,
                            const struct kn_type *kind)
{
    struct kn_buf *out = o->out;
    kn_buf_addf(out, "\"%s\":{\"operationId\":\"%s%.*s%.*s%s%.*s%s\"", op->method, op->word,
                KN_SV_ARG(r->group), KN_SV_ARG(r->version), r->namespaced ? "Namespaced" : "",
                KN_SV_ARG(r->kind), suffix);
    if (!o->v3)
        kn_buf_addf(out, ",\"consumes\":[\"%s\"],\"produces\":[\"application/json\"]",
                    op->patch
                        ? "application/json-patch+json\",\"application/merge-patch+json\",\""
                          "application/strategic-merge-patch+json\",\"application/apply-patch+yaml"
                        : "*/*");
    parameters(o, op);
    if (op->body && o->v3) {
        kn_buf_addc(out, ",\"requestBody\":{");
        content(o, op->body, op->patch);
        kn_buf_addc(out, "}");
    }
    kn_buf_addc(out, ",\"responses\":{\"200\":{\"description\":\"OK\"");
    if (op->answer) {
        kn_buf_addc(out, ",");
        if (o->v3) {
            content(o, op->answer, false);
        } else {
            kn_buf_addc(out, "\"schema\":{");
            kn_openapi_ref(o, op->answer);
            kn_buf_addc(out, "}");
        }
    }
    kn_buf_addf(out, "}},\"x-kubernetes-action\":\"%s\",", op->action);
    if (kind && kind != r->type && !kn_sv_is(kn_type_group(kind), "meta.k8s.io"))
        gvk(out, kn_type_group(kind), kn_type_version(kind), kn_type_name(kind));
    else
        gvk(out, r->group, r->version, r->kind);
    kn_buf_addc(out, "}");
}

// One path with the operations of these verbs.
static void write_path(struct kn_openapi *o, const struct kn_resource *r, const char *path,
                       uint32_t verbs, bool item, bool namespaced, const char *suffix,
                       const struct kn_type *kind, bool *any)
{
    char list_name[256];
    snprintf(list_name, sizeof list_name, "%.*sList", KN_SV_ARG(r->kind));
    const struct kn_type *list = kn_type_find(r->group, r->version, kn_sv_c(list_name));
    const struct kn_type *status = kn_type_at(KN_T_meta_v1_Status);
    const struct kn_type *delete = kn_type_at(KN_T_meta_v1_DeleteOptions);
    const struct {
        uint32_t verb;
        bool item;
        struct operation op;
    } all[] = {
        {KN_VERB_GET, true, {"get", "get", "read", NULL, kind, false}},
        {KN_VERB_LIST, false, {"get", "list", "list", NULL, list, false}},
        {KN_VERB_CREATE, item, {"post", "post", "create", kind, kind, false}},
        {KN_VERB_UPDATE, true, {"put", "put", "replace", kind, kind, false}},
        {KN_VERB_PATCH, true, {"patch", "patch", "patch", kind, kind, true}},
        {KN_VERB_DELETE, true, {"delete", "delete", "delete", delete, status, false}},
        {KN_VERB_DELETECOLLECTION, false,
         {"delete", "deletecollection", "deletecollection", delete, status, false}},
    };
    bool some = false;
    for (size_t i = 0; i < KN_ARRAY_LEN(all); i++) {
        if (!(verbs & all[i].verb) || all[i].item != item)
            continue;
        if (!some)
            kn_buf_addf(o->out, "%s\"%s\":{", *any ? "," : "", path);
        else
            kn_buf_addc(o->out, ",");
        some = *any = true;
        write_operation(o, r, &all[i].op, suffix, kind);
    }
    if (!some)
        return;
    kn_buf_addc(o->out, ",\"parameters\":[");
    const char *type =
        o->v3 ? "\"schema\":{\"type\":\"string\"}" : "\"type\":\"string\",\"uniqueItems\":true";
    if (item)
        kn_buf_addf(o->out, "{\"name\":\"name\",\"in\":\"path\",\"required\":true,%s}", type);
    if (namespaced)
        kn_buf_addf(o->out, "%s{\"name\":\"namespace\",\"in\":\"path\",\"required\":true,%s}",
                    item ? "," : "", type);
    kn_buf_addc(o->out, "]}");
}

void kn_openapi_paths(struct kn_openapi *o, const struct kn_resource *r, bool *any)
{
    char gv[128], base[400], path[700];
    if (!r->type)
        return;
    struct kn_sv version = kn_resource_api_version(r, gv);
    const char *root = r->group.len ? "apis" : "api";
    snprintf(base, sizeof base, "/%s/%.*s%s/%.*s", root, KN_SV_ARG(version),
             r->namespaced ? "/namespaces/{namespace}" : "", KN_SV_ARG(r->plural));
    write_path(o, r, base, r->verbs, false, r->namespaced, "", r->type, any);
    snprintf(path, sizeof path, "%s/{name}", base);
    write_path(o, r, path, r->verbs & ~(uint32_t)KN_VERB_CREATE, true, r->namespaced, "", r->type,
               any);
    for (size_t i = 0; i < r->subresource_count; i++) {
        const struct kn_subresource *s = &r->subresources[i];
        char suffix[64];
        snprintf(suffix, sizeof suffix, "_%.*s", KN_SV_ARG(s->name));
        snprintf(path, sizeof path, "%s/{name}/%.*s", base, KN_SV_ARG(s->name));
        write_path(o, r, path, s->verbs, true, r->namespaced, suffix, s->type, any);
    }
    if (!r->namespaced || !(r->verbs & KN_VERB_LIST))
        return;
    snprintf(path, sizeof path, "/%s/%.*s/%.*s", root, KN_SV_ARG(version), KN_SV_ARG(r->plural));
    write_path(o, r, path, KN_VERB_LIST, false, false, "ForAllNamespaces", r->type, any);
}
