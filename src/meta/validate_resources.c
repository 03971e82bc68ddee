// What containers ask for and may use: names of resources and their quantities.
#include "meta/validate_impl.h"

#include "codec/quantity.h"

static bool is_native(struct kn_sv name)
{
    return kn_sv_find(name, '/') < 0 || kn_sv_search(name, KN_SV("kubernetes.io/")) >= 0;
}

static bool is_huge_page(struct kn_sv name)
{
    return kn_sv_starts(name, KN_SV("hugepages-"));
}

static bool is_extended(struct kn_arena *a, struct kn_sv name)
{
    if (is_native(name) || kn_sv_starts(name, KN_SV("requests.")))
        return false;
    // the name must still be one with the prefix that quotas give it
    struct kn_sv in_quota = kn_arena_printf(a, "requests.%.*s", KN_SV_ARG(name));
    return kn_name_qualified_problem(a, in_quota).len == 0;
}

static bool is_standard(struct kn_sv name)
{
    static const char *const names[] = {"cpu",
                                        "memory",
                                        "ephemeral-storage",
                                        "requests.cpu",
                                        "requests.memory",
                                        "requests.ephemeral-storage",
                                        "limits.cpu",
                                        "limits.memory",
                                        "limits.ephemeral-storage",
                                        "pods",
                                        "resourcequotas",
                                        "services",
                                        "replicationcontrollers",
                                        "secrets",
                                        "persistentvolumeclaims",
                                        "configmaps",
                                        "services.nodeports",
                                        "services.loadbalancers",
                                        "requests.storage",
                                        "storage",
                                        NULL};
    return kn_check_is_one_of(name, names) || is_huge_page(name) ||
           kn_sv_starts(name, KN_SV("requests.hugepages-"));
}

bool kn_check_resource_name(struct kn_problems *p, const struct kn_path *path, struct kn_sv name)
{
    static const char *const of_containers[] = {"cpu", "memory", "ephemeral-storage", NULL};
    bool bare = kn_sv_find(name, '/') < 0;
    if (!kn_check_text(p, path, name, kn_name_qualified_problem))
        return false;
    size_t before = p->len;
    if (bare && !is_standard(name))
        kn_check_invalid_text(p, path, name, "must be a standard resource type or fully qualified");
    if (bare && !kn_check_is_one_of(name, of_containers) && !is_huge_page(name))
        kn_check_invalid_text(p, path, name, "must be a standard resource for containers");
    else if (!is_native(name) && !is_extended(p->arena, name))
        kn_check_invalid_text(p, path, name, "doesn't follow extended resource name standard");
    return p->len == before;
}

static struct kn_quantity quantity_of(const struct kn_json *v)
{
    struct kn_quantity q = {0};
    KN_IGNORE(kn_quantity_parse(kn_json_str(v), &q)); // decoding has refused what is none
    return q;
}

static bool counts_things(struct kn_arena *a, struct kn_sv name)
{
    static const char *const counts[] = {"pods",
                                         "resourcequotas",
                                         "services",
                                         "secrets",
                                         "configmaps",
                                         "replicationcontrollers",
                                         "persistentvolumeclaims",
                                         "services.nodeports",
                                         "services.loadbalancers",
                                         NULL};
    return kn_check_is_one_of(name, counts) || is_extended(a, name);
}

void kn_check_quantity(struct kn_problems *p, const struct kn_path *path, struct kn_sv name,
                       const struct kn_json *v)
{
    struct kn_quantity q = quantity_of(v);
    if (q.nano < 0)
        kn_check_invalid_text(p, path, kn_json_str(v), "must be greater than or equal to 0");
    if (q.nano % 1000000000 != 0 && counts_things(p->arena, name))
        kn_check_invalid_text(p, path, kn_json_str(v), "must be an integer");
}

static bool may_overcommit(struct kn_sv name)
{
    return is_native(name) && !is_huge_page(name);
}

// A request against the limit of the same resource.
static void check_pair(struct kn_problems *p, const struct kn_path *path, struct kn_sv name,
                       const struct kn_json *request, const struct kn_json *limit)
{
    const struct kn_path *requests = SUB(path, requests);
    if (!limit) {
        if (!may_overcommit(name))
            kn_check_required(p, SUB(path, limits),
                              "Limit must be set for non overcommitable resources");
        return;
    }
    int order = kn_quantity_cmp(quantity_of(request), quantity_of(limit));
    if (order != 0 && !may_overcommit(name))
        kn_check_invalid_text(p, requests, kn_json_str(request),
                              "must be equal to %.*s limit of %.*s", KN_SV_ARG(name),
                              KN_SV_ARG(kn_json_str(limit)));
    else if (order > 0)
        kn_check_invalid_text(p, requests, kn_json_str(request),
                              "must be less than or equal to %.*s limit of %.*s", KN_SV_ARG(name),
                              KN_SV_ARG(kn_json_str(limit)));
}

static bool asks_for(const struct kn_json *limits, const struct kn_json *requests, bool huge)
{
    const struct kn_json *sets[] = {limits, requests}, *v;
    for (size_t i = 0; i < 2; i++)
        KN_JSON_EACH(v, sets[i])
        {
            struct kn_sv name = kn_json_key(v);
            if (huge ? is_huge_page(name) : kn_sv_is(name, "cpu") || kn_sv_is(name, "memory"))
                return true;
        }
    return false;
}

static void check_claims(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *claims, const struct kn_json *pod_claims)
{
    const struct kn_json *claim, *of_pod;
    struct kn_names names = {0};
    int64_t i = 0;
    KN_JSON_EACH(claim, claims)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv name = TEXT(claim, name);
        if (!kn_check_present(p, at, name, ""))
            continue;
        if (!kn_names_add(p, &names, name))
            kn_check_duplicate(p, at, name);
        bool found = false;
        KN_JSON_EACH(of_pod, pod_claims)
        {
            found = found || kn_sv_eq(TEXT(of_pod, name), name);
        }
        if (!found)
            kn_check_not_found(p, at, name, "must be one of the names in pod.spec.resourceClaims");
    }
}

void kn_check_requirements(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *requirements, const struct kn_json *pod_claims)
{
    const struct kn_json *limits = GET(requirements, limits),
                         *requests = GET(requirements, requests), *v;
    struct kn_names limit_of = kn_names_of_map(p, limits);
    KN_JSON_EACH(v, limits)
    {
        const struct kn_path *at = KN_PATH_KEY(SUB(path, limits), kn_json_key(v));
        kn_check_resource_name(p, at, kn_json_key(v));
        kn_check_quantity(p, at, kn_json_key(v), v);
    }
    KN_JSON_EACH(v, requests)
    {
        struct kn_sv name = kn_json_key(v);
        const struct kn_path *at = KN_PATH_KEY(SUB(path, requests), name);
        kn_check_resource_name(p, at, name);
        kn_check_quantity(p, at, name, v);
        check_pair(p, path, name, v, kn_names_get(&limit_of, name));
    }
    if (asks_for(limits, requests, true) && !asks_for(limits, requests, false))
        kn_check_forbidden(p, path, "HugePages require cpu or memory");
    check_claims(p, SUB(path, claims), GET(requirements, claims), pod_claims);
}
