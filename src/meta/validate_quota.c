// ResourceQuota and LimitRange.
#include "meta/validate_impl.h"

#include "codec/quantity.h"

static const char *const counted[] = {"cpu",
                                      "memory",
                                      "ephemeral-storage",
                                      "requests.cpu",
                                      "requests.memory",
                                      "requests.storage",
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
                                      NULL};

static bool is_huge(struct kn_sv name)
{
    return kn_sv_starts(name, KN_SV("hugepages-")) ||
           kn_sv_starts(name, KN_SV("requests.hugepages-"));
}

// -- ResourceQuota ----------------------------------------------------------------------------

static void check_hard(struct kn_problems *p, const struct kn_path *path, const struct kn_json *map)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, map)
    {
        struct kn_sv name = kn_json_key(m);
        const struct kn_path *at = KN_PATH_KEY(path, name);
        if (kn_check_text(p, at, name, kn_name_qualified_problem) && kn_sv_find(name, '/') < 0 &&
            !kn_check_is_one_of(name, counted) && !is_huge(name)) {
            if (!kn_sv_is(name, "storage"))
                kn_check_invalid_text(p, at, name,
                                      "must be a standard resource type or fully qualified");
            kn_check_invalid_text(p, at, name, "must be a standard resource for quota");
        }
        kn_check_quantity(p, at, name, m);
    }
}

static bool has_scope(const struct kn_json *list, const char *scope)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        if (kn_sv_is(kn_json_str(v), scope))
            return true;
    }
    return false;
}

static void check_scopes(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *spec)
{
    static const char *const scopes[] = {"Terminating",
                                         "NotTerminating",
                                         "BestEffort",
                                         "NotBestEffort",
                                         "PriorityClass",
                                         "CrossNamespacePodAffinity",
                                         "VolumeAttributesClass",
                                         NULL};
    const struct kn_json *list = GET(spec, scopes), *v, *m;
    if (!kn_check_count(p, path, list, KN_PAIRS_MAX))
        return;
    KN_JSON_EACH(v, list)
    {
        if (!kn_check_is_one_of(kn_json_str(v), scopes))
            kn_check_invalid(p, path, list, "unsupported scope");
        KN_JSON_EACH(m, GET(spec, hard))
        {
            // only pods are best effort: nothing else can be counted of them
            if (kn_sv_is(kn_json_str(v), "BestEffort") &&
                kn_check_is_one_of(kn_json_key(m), counted) && !kn_sv_is(kn_json_key(m), "pods"))
                kn_check_invalid(p, path, list, "unsupported scope applied to resource");
        }
    }
    if (has_scope(list, "BestEffort") && has_scope(list, "NotBestEffort"))
        kn_check_invalid(p, path, list, "conflicting scopes");
    if (has_scope(list, "Terminating") && has_scope(list, "NotTerminating"))
        kn_check_invalid(p, path, list, "conflicting scopes");
}

static void check_scope_selector(struct kn_problems *p, const struct kn_path *path,
                                 const struct kn_json *selector)
{
    static const char *const some[] = {"In", "NotIn", NULL}, *const none[] = {"Exists",
                                                                              "DoesNotExist", NULL};
    const struct kn_json *e;
    KN_JSON_EACH(e, GET(selector, matchExpressions))
    {
        struct kn_sv op = TEXT(e, operator);
        const struct kn_json *values = GET(e, values);
        if (kn_check_is_one_of(op, some)) {
            if (!kn_json_len(values))
                kn_check_required(
                    p, SUB(path, values),
                    "must be at least one value when `operator` is 'In' or 'NotIn' for "
                    "scope selector");
        } else if (kn_check_is_one_of(op, none)) {
            if (kn_json_len(values))
                kn_check_invalid(
                    p, SUB(path, values), values,
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for "
                    "scope selector");
        } else {
            kn_check_invalid_text(p, SUB(path, operator), op, "not a valid selector operator");
        }
    }
}

static bool same_set(const struct kn_json *a, const struct kn_json *b)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, a)
    {
        struct kn_sv text = kn_json_str(v);
        const struct kn_json *w;
        bool found = false;
        KN_JSON_EACH(w, b)
        {
            found = found || kn_sv_eq(kn_json_str(w), text);
        }
        if (!found)
            return false;
    }
    return true;
}

void kn_check_resource_quota(struct kn_problems *p, const struct kn_json *obj,
                             const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec"), *status = KN_PATH(NULL, "status");
    const struct kn_json *spec = GET(obj, spec), *was = GET(GET(old, spec), scopes);
    check_hard(p, SUB(status, hard), GET(GET(obj, status), hard));
    check_hard(p, SUB(status, used), GET(GET(obj, status), used));
    if (sub.len)
        return;
    check_hard(p, SUB(path, hard), GET(spec, hard));
    check_scopes(p, SUB(path, scopes), spec);
    check_scope_selector(p, SUB(SUB(path, scopeSelector), matchExpressions),
                         GET(spec, scopeSelector));
    if (kn_json_len(GET(spec, scopes)) > KN_PAIRS_MAX || !old)
        return;
    if (!same_set(GET(spec, scopes), was) || !same_set(was, GET(spec, scopes)))
        kn_check_invalid(p, SUB(path, scopes), GET(spec, scopes), "field is immutable");
}

// -- LimitRange -------------------------------------------------------------------------------

static int compare(const struct kn_json *a, const struct kn_json *b)
{
    struct kn_quantity x = {0}, y = {0};
    KN_IGNORE(kn_quantity_parse(kn_json_str(a), &x)); // decoding has refused what is none
    KN_IGNORE(kn_quantity_parse(kn_json_str(b), &y));
    return kn_quantity_cmp(x, y);
}

// Pairs of which the first may not be greater than the second, and where it is said.
static const struct {
    enum kn_atom low, high, where;
    const char *low_word, *high_word;
    bool shows_low; // which of the two the message shows as the value
} orders[] = {
    {KN_K_min, KN_K_max, KN_K_min, "min", "max", true},
    {KN_K_min, KN_K_defaultRequest, KN_K_defaultRequest, "min", "default request", false},
    {KN_K_defaultRequest, KN_K_max, KN_K_defaultRequest, "default request", "max", true},
    {KN_K_defaultRequest, KN_K_default, KN_K_defaultRequest, "default request", "default limit",
     true},
    {KN_K_min, KN_K_default, KN_K_default, "min", "default", true},
    {KN_K_default, KN_K_max, KN_K_default, "default", "max", false},
};

static void check_order(struct kn_problems *p, const struct kn_path *at,
                        const struct kn_json *limit, size_t i)
{
    struct kn_names highs = kn_names_of_map(p, kn_json_get(limit, orders[i].high));
    const struct kn_json *low;
    KN_JSON_EACH(low, kn_json_get(limit, orders[i].low))
    {
        const struct kn_json *high = kn_names_get(&highs, kn_json_key(low));
        const struct kn_path *where =
            KN_PATH_KEY(KN_PATH_SV(at, kn_atom_name(orders[i].where)), kn_json_key(low));
        if (high && compare(low, high) > 0)
            kn_check_invalid(p, where, orders[i].shows_low ? low : high,
                             "%s value %.*s is greater than %s value %.*s", orders[i].low_word,
                             KN_SV_ARG(kn_json_str(low)), orders[i].high_word,
                             KN_SV_ARG(kn_json_str(high)));
    }
}

static void check_limit_names(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_json *map, bool of_containers)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, map)
    {
        struct kn_sv name = kn_json_key(m);
        const struct kn_path *at = KN_PATH_KEY(path, name);
        if (of_containers)
            kn_check_resource_name(p, at, name);
        else if (kn_check_text(p, at, name, kn_name_qualified_problem) &&
                 kn_sv_find(name, '/') < 0 && !kn_check_is_one_of(name, counted) &&
                 !is_huge(name) && !kn_sv_is(name, "storage"))
            kn_check_invalid_text(p, at, name,
                                  "must be a standard resource type or fully qualified");
    }
}

static void check_limit(struct kn_problems *p, const struct kn_path *at,
                        const struct kn_json *limit)
{
    static const char *const types[] = {"Pod", "Container", "PersistentVolumeClaim", NULL};
    static const enum kn_atom maps[] = {KN_K_max, KN_K_min, KN_K_default, KN_K_defaultRequest,
                                        KN_K_maxLimitRequestRatio};
    struct kn_sv type = TEXT(limit, type);
    bool pod = kn_sv_is(type, "Pod");
    if (kn_check_text(p, SUB(at, type), type, kn_name_qualified_problem) &&
        kn_sv_find(type, '/') < 0 && !kn_check_is_one_of(type, types))
        kn_check_invalid_text(p, SUB(at, type), type,
                              "must be a standard limit type or fully qualified");
    if (pod && kn_json_len(GET(limit, default)))
        kn_check_forbidden(p, SUB(at, default), "may not be specified when `type` is 'Pod'");
    if (pod && kn_json_len(GET(limit, defaultRequest)))
        kn_check_forbidden(p, SUB(at, defaultRequest), "may not be specified when `type` is 'Pod'");
    for (size_t i = 0; i < KN_ARRAY_LEN(maps); i++)
        if (!pod || (maps[i] != KN_K_default && maps[i] != KN_K_defaultRequest))
            check_limit_names(p, KN_PATH_SV(at, kn_atom_name(maps[i])), kn_json_get(limit, maps[i]),
                              pod || kn_sv_is(type, "Container"));
    if (kn_sv_is(type, "PersistentVolumeClaim") && !GET(GET(limit, min), storage) &&
        !GET(GET(limit, max), storage))
        kn_check_required(
            p, SUB(at, limits),
            "either minimum or maximum storage value is required, but neither was provided");
    for (size_t i = 0; i < KN_ARRAY_LEN(orders); i++)
        if (!pod || i == 0)
            check_order(p, at, limit, i);
}

void kn_check_limit_range(struct kn_problems *p, const struct kn_json *obj,
                          const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(KN_PATH(NULL, "spec"), "limits");
    struct kn_names types = {0};
    const struct kn_json *limit;
    int64_t i = 0;
    (void)old;
    (void)sub;
    KN_JSON_EACH(limit, GET(GET(obj, spec), limits))
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        check_limit(p, at, limit);
        if (!kn_names_add(p, &types, TEXT(limit, type)))
            kn_check_duplicate(p, SUB(at, type), TEXT(limit, type));
    }
}
