// Roles and bindings; leases.
#include "meta/validate_impl.h"

#define GROUP "rbac.authorization.k8s.io"

static void check_rule(struct kn_problems *p, const struct kn_path *at, const struct kn_json *rule,
                       bool namespaced)
{
    const struct kn_json *urls = GET(rule, nonResourceURLs);
    bool resources = kn_json_len(GET(rule, resources)) > 0,
         groups = kn_json_len(GET(rule, apiGroups)) > 0;
    if (!kn_json_len(GET(rule, verbs)))
        kn_check_required(p, SUB(at, verbs), "verbs must contain at least one value");
    if (kn_json_len(urls)) {
        if (namespaced)
            kn_check_invalid(p, SUB(at, nonResourceURLs), urls,
                             "namespaced rules cannot apply to non-resource URLs");
        if (groups || resources || kn_json_len(GET(rule, resourceNames)))
            kn_check_invalid(p, SUB(at, nonResourceURLs), urls,
                             "rules cannot apply to both regular resources and non-resource URLs");
        return;
    }
    if (!groups)
        kn_check_required(p, SUB(at, apiGroups),
                          "resource rules must supply at least one api group");
    if (!resources)
        kn_check_required(p, SUB(at, resources),
                          "resource rules must supply at least one resource");
}

static void check_rules(struct kn_problems *p, const struct kn_json *obj, bool namespaced)
{
    const struct kn_json *rule;
    int64_t i = 0;
    KN_JSON_EACH(rule, GET(obj, rules))
    {
        check_rule(p, KN_PATH_AT(KN_PATH(NULL, "rules"), i++), rule, namespaced);
    }
}

void kn_check_role(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                   struct kn_sv sub)
{
    (void)old;
    (void)sub;
    check_rules(p, obj, true);
}

void kn_check_cluster_role(struct kn_problems *p, const struct kn_json *obj,
                           const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_json *aggregation = GET(obj, aggregationRule), *selector;
    const struct kn_path *path = SUB(KN_PATH(NULL, "aggregationRule"), clusterRoleSelectors);
    int64_t i = 0;
    (void)old;
    (void)sub;
    check_rules(p, obj, false);
    if (aggregation && !kn_json_len(GET(aggregation, clusterRoleSelectors)))
        kn_check_required(
            p, path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    KN_JSON_EACH(selector, GET(aggregation, clusterRoleSelectors))
    {
        kn_check_label_selector(p, KN_PATH_AT(path, i++), selector);
    }
}

// -- bindings ---------------------------------------------------------------------------------

static void check_subject(struct kn_problems *p, const struct kn_path *at, const struct kn_json *s,
                          bool namespaced)
{
    static const char *const none[] = {"", NULL}, *const rbac[] = {GROUP, NULL};
    static const char *const kinds[] = {"ServiceAccount", "User", "Group", NULL};
    struct kn_sv name = TEXT(s, name), kind = TEXT(s, kind), group = TEXT(s, apiGroup);
    kn_check_present(p, SUB(at, name), name, "");
    if (!kn_check_one_of(p, SUB(at, kind), kind, kinds))
        return;
    if (!kn_sv_is(kind, "ServiceAccount")) {
        kn_check_one_of(p, SUB(at, apiGroup), group, rbac);
        return;
    }
    if (name.len)
        kn_check_text(p, SUB(at, name), name, kn_name_dns_subdomain_problem);
    kn_check_one_of(p, SUB(at, apiGroup), group, none);
    if (!namespaced)
        kn_check_present(p, SUB(at, namespace), TEXT(s, namespace), "");
}

static void check_binding(struct kn_problems *p, const struct kn_json *obj,
                          const struct kn_json *old, const char *const *kinds, bool namespaced)
{
    static const char *const rbac[] = {GROUP, NULL};
    const struct kn_path *path = KN_PATH(NULL, "roleRef");
    const struct kn_json *ref = GET(obj, roleRef), *subject;
    struct kn_sv name = TEXT(ref, name);
    int64_t i = 0;
    kn_check_one_of(p, SUB(path, apiGroup), TEXT(ref, apiGroup), rbac);
    kn_check_one_of(p, SUB(path, kind), TEXT(ref, kind), kinds);
    if (kn_check_present(p, SUB(path, name), name, ""))
        kn_check_text(p, SUB(path, name), name, kn_name_path_segment_problem);
    KN_JSON_EACH(subject, GET(obj, subjects))
    {
        check_subject(p, KN_PATH_AT(KN_PATH(NULL, "subjects"), i++), subject, namespaced);
    }
    if (old)
        kn_check_immutable(p, path, ref, GET(old, roleRef));
}

void kn_check_role_binding(struct kn_problems *p, const struct kn_json *obj,
                           const struct kn_json *old, struct kn_sv sub)
{
    static const char *const kinds[] = {"Role", "ClusterRole", NULL};
    (void)sub;
    check_binding(p, obj, old, kinds, true);
}

void kn_check_cluster_role_binding(struct kn_problems *p, const struct kn_json *obj,
                                   const struct kn_json *old, struct kn_sv sub)
{
    static const char *const kinds[] = {"ClusterRole", NULL};
    (void)sub;
    check_binding(p, obj, old, kinds, false);
}

// -- leases -----------------------------------------------------------------------------------

void kn_check_lease(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                    struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec), *duration = GET(spec, leaseDurationSeconds);
    (void)old;
    (void)sub;
    if (duration && kn_json_int(duration, 0) <= 0)
        kn_check_invalid(p, SUB(path, leaseDurationSeconds), duration, "must be greater than 0");
    kn_check_not_negative(p, SUB(path, leaseTransitions), GET(spec, leaseTransitions));
    if (TEXT(spec, preferredHolder).len && !TEXT(spec, strategy).len)
        kn_check_forbidden(p, SUB(path, preferredHolder),
                           "may only be specified if `strategy` is defined");
}
