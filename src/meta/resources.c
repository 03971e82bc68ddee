#include "meta/resources.h"

#include <stdio.h>

#include "meta/resources_table.h"

const char *kn_verb_name(enum kn_verb verb)
{
    switch (verb) {
    case KN_VERB_CREATE:
        return "create";
    case KN_VERB_DELETE:
        return "delete";
    case KN_VERB_DELETECOLLECTION:
        return "deletecollection";
    case KN_VERB_GET:
        return "get";
    case KN_VERB_LIST:
        return "list";
    case KN_VERB_PATCH:
        return "patch";
    case KN_VERB_UPDATE:
        return "update";
    case KN_VERB_WATCH:
        return "watch";
    }
    return "";
}

const struct kn_resource *kn_resource_at(size_t index)
{
    return index < kn_resources_builtin_count ? &kn_resources_builtin[index] : NULL;
}

const struct kn_resource *kn_resource_find(struct kn_sv group, struct kn_sv version,
                                           struct kn_sv plural)
{
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)) != NULL; i++)
        if (kn_sv_eq(r->plural, plural) && kn_sv_eq(r->group, group) &&
            kn_sv_eq(r->version, version))
            return r;
    return NULL;
}

const struct kn_resource *kn_resource_find_kind(struct kn_sv group, struct kn_sv version,
                                                struct kn_sv kind)
{
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)) != NULL; i++)
        if (kn_sv_eq(r->kind, kind) && kn_sv_eq(r->group, group) && kn_sv_eq(r->version, version))
            return r;
    return NULL;
}

const struct kn_resource *kn_resource_find_api(struct kn_sv api_version, struct kn_sv kind)
{
    ptrdiff_t slash = kn_sv_find(api_version, '/');
    if (slash < 0)
        return kn_resource_find_kind(KN_SV(""), api_version, kind);
    return kn_resource_find_kind(kn_sv_first(api_version, (size_t)slash),
                                 kn_sv_from(api_version, (size_t)slash + 1), kind);
}

const struct kn_subresource *kn_resource_sub(const struct kn_resource *r, struct kn_sv name)
{
    for (size_t i = 0; i < r->subresource_count; i++)
        if (kn_sv_eq(r->subresources[i].name, name))
            return &r->subresources[i];
    return NULL;
}

struct kn_sv kn_resource_api_version(const struct kn_resource *r, char out[128])
{
    snprintf(out, 128, "%.*s%s%.*s", KN_SV_ARG(r->group), r->group.len ? "/" : "",
             KN_SV_ARG(r->version));
    return kn_sv_c(out);
}

struct kn_sv kn_resource_prefix(const struct kn_resource *r, char out[256])
{
    struct kn_sv group = r->hub->group.len ? r->hub->group : KN_SV("core");
    snprintf(out, 256, "/registry/%.*s/%.*s/", KN_SV_ARG(group), KN_SV_ARG(r->hub->plural));
    return kn_sv_c(out);
}
