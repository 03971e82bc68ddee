#include "meta/discovery.h"

#include "codec/json.h"

typedef const struct kn_resource *const *rows;

// -- groups and versions, each once, in the order of the rows --------------------------------

static bool first_of_group(rows r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (kn_sv_eq(r[k]->group, r[i]->group))
            return false;
    return true;
}

static bool first_of_version(rows r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (kn_sv_eq(r[k]->group, r[i]->group) && kn_sv_eq(r[k]->version, r[i]->version))
            return false;
    return true;
}

static bool same_version(const struct kn_resource *a, struct kn_sv group, struct kn_sv version)
{
    return kn_sv_eq(a->group, group) && kn_sv_eq(a->version, version);
}

// -- pieces of JSON --------------------------------------------------------------------------

// Names of members and values here are plain words: nothing to escape but what clients gave to
// custom resources, which goes through kn_json_encode_str.
static void member(struct kn_buf *out, const char *name, struct kn_sv value)
{
    kn_buf_addf(out, "\"%s\":", name);
    kn_json_encode_str(out, value);
}

static void strings(struct kn_buf *out, const char *name, const struct kn_sv *list, size_t count)
{
    kn_buf_addf(out, "\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i)
            kn_buf_add_byte(out, ',');
        kn_json_encode_str(out, list[i]);
    }
    kn_buf_add_byte(out, ']');
}

static void verb_list(struct kn_buf *out, uint32_t verbs)
{
    bool any = false;
    kn_buf_addc(out, "\"verbs\":[");
    for (uint32_t v = 1; v <= KN_VERB_WATCH; v <<= 1) {
        if (!(verbs & v))
            continue;
        kn_buf_addf(out, "%s\"%s\"", any ? "," : "", kn_verb_name((enum kn_verb)v));
        any = true;
    }
    kn_buf_addc(out, "]");
}

static void group_version(struct kn_buf *out, const struct kn_resource *r)
{
    char text[128];
    kn_buf_addc(out, "{");
    member(out, "groupVersion", kn_resource_api_version(r, text));
    kn_buf_addc(out, ",");
    member(out, "version", r->version);
    kn_buf_addc(out, "}");
}

// -- legacy ----------------------------------------------------------------------------------

void kn_discovery_core(struct kn_buf *out, struct kn_sv server_address)
{
    kn_buf_addc(out,
                "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[{"
                "\"clientCIDR\":\"0.0.0.0/0\",");
    member(out, "serverAddress", server_address);
    kn_buf_addc(out, "}]}\n");
}

static void one_group(struct kn_buf *out, rows r, size_t count, size_t first, bool whole)
{
    kn_buf_addc(out, whole ? "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\"," : "{");
    member(out, "name", r[first]->group);
    kn_buf_addc(out, ",\"versions\":[");
    for (size_t i = first; i < count; i++) {
        if (!kn_sv_eq(r[i]->group, r[first]->group) || !first_of_version(r, i))
            continue;
        if (i != first)
            kn_buf_add_byte(out, ',');
        group_version(out, r[i]);
    }
    kn_buf_addc(out, "],\"preferredVersion\":");
    group_version(out, r[first]);
    kn_buf_addc(out, "}");
}

struct kn_status kn_discovery_groups(struct kn_buf *out, rows r, size_t count)
{
    bool any = false;
    kn_buf_addc(out, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
    for (size_t i = 0; i < count; i++) {
        if (r[i]->group.len == 0 || !first_of_group(r, i))
            continue;
        if (any)
            kn_buf_add_byte(out, ',');
        one_group(out, r, count, i, false);
        any = true;
    }
    kn_buf_addc(out, "]}\n");
    return kn_buf_status(out, "the list of API groups");
}

struct kn_status kn_discovery_group(struct kn_buf *out, struct kn_sv group, rows r, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!kn_sv_eq(r[i]->group, group))
            continue;
        one_group(out, r, count, i, true);
        kn_buf_addc(out, "\n");
        return kn_buf_status(out, "the API group");
    }
    return kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
}

static void legacy_resource(struct kn_buf *out, const struct kn_resource *r)
{
    kn_buf_addc(out, "{");
    member(out, "name", r->plural);
    kn_buf_addc(out, ",");
    member(out, "singularName", r->singular);
    kn_buf_addf(out, ",\"namespaced\":%s,", r->namespaced ? "true" : "false");
    member(out, "kind", r->kind);
    kn_buf_addc(out, ",");
    verb_list(out, r->verbs);
    if (r->short_name_count) {
        kn_buf_addc(out, ",");
        strings(out, "shortNames", r->short_names, r->short_name_count);
    }
    if (r->category_count) {
        kn_buf_addc(out, ",");
        strings(out, "categories", r->categories, r->category_count);
    }
    kn_buf_addc(out, "}");
}

static void legacy_subresource(struct kn_buf *out, const struct kn_resource *r,
                               const struct kn_subresource *s)
{
    kn_buf_addf(out, ",{\"name\":\"%.*s/%.*s\",\"singularName\":\"\",\"namespaced\":%s,",
                KN_SV_ARG(r->plural), KN_SV_ARG(s->name), r->namespaced ? "true" : "false");
    if (s->version.len) {
        member(out, "group", s->group);
        kn_buf_addc(out, ",");
        member(out, "version", s->version);
        kn_buf_addc(out, ",");
    }
    member(out, "kind", s->kind);
    kn_buf_addc(out, ",");
    verb_list(out, s->verbs);
    kn_buf_addc(out, "}");
}

struct kn_status kn_discovery_resources(struct kn_buf *out, struct kn_sv group,
                                        struct kn_sv version, rows r, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (!same_version(r[i], group, version))
            continue;
        if (!any) {
            char text[128];
            kn_buf_addc(out, "{\"kind\":\"APIResourceList\",");
            if (group.len)
                kn_buf_addc(out, "\"apiVersion\":\"v1\",");
            member(out, "groupVersion", kn_resource_api_version(r[i], text));
            kn_buf_addc(out, ",\"resources\":[");
        } else {
            kn_buf_add_byte(out, ',');
        }
        any = true;
        legacy_resource(out, r[i]);
        for (size_t k = 0; k < r[i]->subresource_count; k++)
            legacy_subresource(out, r[i], &r[i]->subresources[k]);
    }
    if (!any)
        return kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
    kn_buf_addc(out, "]}\n");
    return kn_buf_status(out, "the list of API resources");
}

// -- aggregated ------------------------------------------------------------------------------

static void response_kind(struct kn_buf *out, struct kn_sv group, struct kn_sv version,
                          struct kn_sv kind)
{
    kn_buf_addc(out, "\"responseKind\":{");
    member(out, "group", group);
    kn_buf_addc(out, ",");
    member(out, "version", version);
    kn_buf_addc(out, ",");
    member(out, "kind", kind);
    kn_buf_addc(out, "}");
}

static void aggregated_resource(struct kn_buf *out, const struct kn_resource *r)
{
    kn_buf_addc(out, "{");
    member(out, "resource", r->plural);
    kn_buf_addc(out, ",");
    response_kind(out, r->group, r->version, r->kind);
    kn_buf_addf(out, ",\"scope\":\"%s\",", r->namespaced ? "Namespaced" : "Cluster");
    member(out, "singularResource", r->singular);
    kn_buf_addc(out, ",");
    verb_list(out, r->verbs);
    if (r->short_name_count) {
        kn_buf_addc(out, ",");
        strings(out, "shortNames", r->short_names, r->short_name_count);
    }
    if (r->category_count) {
        kn_buf_addc(out, ",");
        strings(out, "categories", r->categories, r->category_count);
    }
    for (size_t i = 0; i < r->subresource_count; i++) {
        const struct kn_subresource *s = &r->subresources[i];
        kn_buf_addc(out, i ? ",{" : ",\"subresources\":[{");
        member(out, "subresource", s->name);
        kn_buf_addc(out, ",");
        response_kind(out, s->version.len ? s->group : r->group,
                      s->version.len ? s->version : r->version, s->kind);
        kn_buf_addc(out, ",");
        verb_list(out, s->verbs);
        kn_buf_addc(out, "}");
    }
    kn_buf_addc(out, r->subresource_count ? "]}" : "}");
}

static void aggregated_version(struct kn_buf *out, rows r, size_t count, size_t first)
{
    bool any = false;
    kn_buf_addc(out, "{");
    member(out, "version", r[first]->version);
    kn_buf_addc(out, ",\"resources\":[");
    for (size_t i = first; i < count; i++) {
        if (!same_version(r[i], r[first]->group, r[first]->version))
            continue;
        if (any)
            kn_buf_add_byte(out, ',');
        aggregated_resource(out, r[i]);
        any = true;
    }
    kn_buf_addc(out, "],\"freshness\":\"Current\"}");
}

static void aggregated_group(struct kn_buf *out, rows r, size_t count, size_t first)
{
    kn_buf_addc(out, "{\"metadata\":{");
    if (r[first]->group.len) {
        member(out, "name", r[first]->group);
        kn_buf_addc(out, ",");
    }
    kn_buf_addc(out, "\"creationTimestamp\":null},\"versions\":[");
    for (size_t i = first; i < count; i++) {
        if (!kn_sv_eq(r[i]->group, r[first]->group) || !first_of_version(r, i))
            continue;
        if (i != first)
            kn_buf_add_byte(out, ',');
        aggregated_version(out, r, count, i);
    }
    kn_buf_addc(out, "]}");
}

struct kn_status kn_discovery_aggregated(struct kn_buf *out, struct kn_sv version, bool core,
                                         rows r, size_t count)
{
    bool any = false;
    kn_buf_addf(out,
                "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/%.*s\","
                "\"metadata\":{},\"items\":[",
                KN_SV_ARG(version));
    for (size_t i = 0; i < count; i++) {
        if ((r[i]->group.len == 0) != core || !first_of_group(r, i))
            continue;
        if (any)
            kn_buf_add_byte(out, ',');
        aggregated_group(out, r, count, i);
        any = true;
    }
    kn_buf_addc(out, "]}\n");
    return kn_buf_status(out, "the discovery document");
}
