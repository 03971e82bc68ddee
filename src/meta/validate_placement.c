// Where a pod may run: node selectors, affinity, tolerations, spread, gates.
#include "meta/validate_impl.h"

// -- selectors of nodes -----------------------------------------------------------------------

static void check_requirement(struct kn_problems *p, const struct kn_path *at,
                              const struct kn_json *r, bool check_values)
{
    struct kn_sv op = TEXT(r, operator);
    const struct kn_json *values = GET(r, values), *v;
    const struct kn_path *values_path = SUB(at, values);
    static const char *const some[] = {"In", "NotIn", NULL},
                             *const none[] = {"Exists", "DoesNotExist", NULL},
                             *const one[] = {"Gt", "Lt", NULL};
    if (kn_check_is_one_of(op, some)) {
        if (!kn_json_len(values))
            kn_check_required(p, values_path,
                              "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (kn_check_is_one_of(op, none)) {
        if (kn_json_len(values))
            kn_check_forbidden(
                p, values_path,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (kn_check_is_one_of(op, one)) {
        if (kn_json_len(values) != 1)
            kn_check_required(p, values_path,
                              "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else {
        kn_check_invalid_text(p, SUB(at, operator), op, "not a valid selector operator");
    }
    kn_check_text(p, SUB(at, key), TEXT(r, key), kn_name_qualified_problem);
    int64_t i = 0;
    if (check_values)
        KN_JSON_EACH(v, values)
        {
            kn_check_text(p, KN_PATH_AT(values_path, i++), kn_json_str(v),
                          kn_name_label_value_problem);
        }
}

static void check_field(struct kn_problems *p, const struct kn_path *at, const struct kn_json *r)
{
    static const char *const operators[] = {"In", "NotIn", NULL};
    struct kn_sv op = TEXT(r, operator), key = TEXT(r, key);
    const struct kn_json *v;
    int64_t i = 0;
    if (!kn_check_is_one_of(op, operators))
        kn_check_invalid_text(p, SUB(at, operator), op, "not a valid selector operator");
    else if (kn_json_len(GET(r, values)) != 1)
        kn_check_required(
            p, SUB(at, values),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field "
            "selector");
    if (!kn_sv_is(key, "metadata.name")) {
        kn_check_invalid_text(p, SUB(at, key), key, "not a valid field selector key");
        return;
    }
    KN_JSON_EACH(v, GET(r, values))
    {
        kn_check_text(p, KN_PATH_AT(SUB(at, values), i++), kn_json_str(v),
                      kn_name_dns_subdomain_problem);
    }
}

static void check_term(struct kn_problems *p, const struct kn_path *path,
                       const struct kn_json *term, bool check_values)
{
    const struct kn_json *r;
    int64_t i = 0;
    KN_JSON_EACH(r, GET(term, matchExpressions))
    {
        check_requirement(p, KN_PATH_AT(SUB(path, matchExpressions), i++), r, check_values);
    }
    i = 0;
    KN_JSON_EACH(r, GET(term, matchFields))
    {
        check_field(p, KN_PATH_AT(SUB(path, matchFields), i++), r);
    }
}

void kn_check_node_selector(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *selector)
{
    const struct kn_json *term, *terms = GET(selector, nodeSelectorTerms);
    int64_t i = 0;
    if (!kn_json_len(terms))
        kn_check_required(p, SUB(path, nodeSelectorTerms),
                          "must have at least one node selector term");
    KN_JSON_EACH(term, terms)
    {
        check_term(p, KN_PATH_AT(SUB(path, nodeSelectorTerms), i++), term, true);
    }
}

// -- affinity ---------------------------------------------------------------------------------

static void check_weight(struct kn_problems *p, const struct kn_path *at, const struct kn_json *v)
{
    int64_t weight = NUMBER(v, weight);
    if (weight <= 0 || weight > 100)
        kn_check_invalid_int(p, SUB(at, weight), weight, "must be in the range 1-100");
}

static void check_node_affinity(struct kn_problems *p, const struct kn_path *path,
                                const struct kn_json *v)
{
    const struct kn_json *required = GET(v, requiredDuringSchedulingIgnoredDuringExecution), *term;
    int64_t i = 0;
    if (required)
        kn_check_node_selector(p, SUB(path, requiredDuringSchedulingIgnoredDuringExecution),
                               required);
    KN_JSON_EACH(term, GET(v, preferredDuringSchedulingIgnoredDuringExecution))
    {
        const struct kn_path *at =
            KN_PATH_AT(SUB(path, preferredDuringSchedulingIgnoredDuringExecution), i++);
        check_weight(p, at, term);
        check_term(p, SUB(at, preference), GET(term, preference), false);
    }
}

static void check_label_keys(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *keys, const struct kn_json *selector)
{
    const struct kn_json *key;
    int64_t i = 0;
    if (kn_json_len(keys) && !selector) {
        kn_check_forbidden(p, path, "must not be specified when labelSelector is not set");
        return;
    }
    KN_JSON_EACH(key, keys)
    {
        kn_check_text(p, KN_PATH_AT(path, i++), kn_json_str(key), kn_name_qualified_problem);
    }
}

static bool lists(const struct kn_json *list, struct kn_sv text)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        if (kn_sv_eq(kn_json_str(v), text))
            return true;
    }
    return false;
}

static void check_pod_term(struct kn_problems *p, const struct kn_path *at,
                           const struct kn_json *term)
{
    const struct kn_json *selector = GET(term, labelSelector), *v;
    struct kn_sv topology = TEXT(term, topologyKey);
    kn_check_label_selector(p, SUB(at, labelSelector), selector);
    kn_check_label_selector(p, SUB(at, namespaceSelector), GET(term, namespaceSelector));
    KN_JSON_EACH(v, GET(term, namespaces))
    {
        kn_check_text(p, SUB(at, namespace), kn_json_str(v), kn_name_dns_label_problem);
    }
    check_label_keys(p, SUB(at, matchLabelKeys), GET(term, matchLabelKeys), selector);
    check_label_keys(p, SUB(at, mismatchLabelKeys), GET(term, mismatchLabelKeys), selector);
    int64_t i = 0;
    if (!kn_check_count(p, SUB(at, matchLabelKeys), GET(term, matchLabelKeys), KN_PAIRS_MAX) ||
        !kn_check_count(p, SUB(at, mismatchLabelKeys), GET(term, mismatchLabelKeys), KN_PAIRS_MAX))
        return;
    KN_JSON_EACH(v, GET(term, matchLabelKeys))
    {
        if (lists(GET(term, mismatchLabelKeys), kn_json_str(v)))
            kn_check_invalid(p, KN_PATH_AT(SUB(at, matchLabelKeys), i), v,
                             "exists in both matchLabelKeys and mismatchLabelKeys");
        i++;
    }
    kn_check_present(p, SUB(at, topologyKey), topology, "can not be empty");
    kn_check_text(p, SUB(at, topologyKey), topology, kn_name_qualified_problem);
}

static void check_pod_affinity(struct kn_problems *p, const struct kn_path *path,
                               const struct kn_json *v)
{
    const struct kn_json *term;
    int64_t i = 0;
    KN_JSON_EACH(term, GET(v, requiredDuringSchedulingIgnoredDuringExecution))
    {
        check_pod_term(
            p, KN_PATH_AT(SUB(path, requiredDuringSchedulingIgnoredDuringExecution), i++), term);
    }
    i = 0;
    KN_JSON_EACH(term, GET(v, preferredDuringSchedulingIgnoredDuringExecution))
    {
        const struct kn_path *at =
            KN_PATH_AT(SUB(path, preferredDuringSchedulingIgnoredDuringExecution), i++);
        check_weight(p, at, term);
        check_pod_term(p, SUB(at, podAffinityTerm), GET(term, podAffinityTerm));
    }
}

// -- taints -----------------------------------------------------------------------------------

void kn_check_taint_effect(struct kn_problems *p, const struct kn_path *path, struct kn_sv effect)
{
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    kn_check_one_of(p, path, effect, effects);
}

static void check_toleration(struct kn_problems *p, const struct kn_path *at,
                             const struct kn_json *t)
{
    static const char *const operators[] = {"Equal", "Exists", NULL};
    struct kn_sv key = TEXT(t, key), op = TEXT(t, operator), value = TEXT(t, value),
                 effect = TEXT(t, effect);
    if (key.len)
        kn_check_text(p, SUB(at, key), key, kn_name_qualified_problem);
    if (!key.len && !kn_sv_is(op, "Exists"))
        kn_check_invalid_text(
            p, SUB(at, operator), op,
            "operator must be Exists when `key` is empty, which means \"match all "
            "values and all keys\"");
    if (GET(t, tolerationSeconds) && !kn_sv_is(effect, "NoExecute"))
        kn_check_invalid_text(p, SUB(at, effect), effect,
                              "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (!op.len || kn_sv_is(op, "Equal")) {
        struct kn_sv sentence = kn_name_label_value_problem(p->arena, value);
        if (sentence.len)
            kn_check_invalid_text(p, SUB(at, operator), value, "%.*s", KN_SV_ARG(sentence));
    } else if (kn_sv_is(op, "Exists")) {
        if (value.len)
            kn_check_invalid_text(p, SUB(at, operator), value,
                                  "value must be empty when `operator` is 'Exists'");
    } else {
        kn_check_unsupported(p, SUB(at, operator), op, operators);
    }
    if (effect.len)
        kn_check_taint_effect(p, SUB(at, effect), effect);
}

void kn_check_tolerations(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *list)
{
    const struct kn_json *t;
    int64_t i = 0;
    if (!kn_check_count(p, path, list, KN_PAIRS_MAX))
        return;
    KN_JSON_EACH(t, list)
    {
        check_toleration(p, KN_PATH_AT(path, i++), t);
    }
}

// -- spread -----------------------------------------------------------------------------------

static void check_positive(struct kn_problems *p, const struct kn_path *path, int64_t n)
{
    if (n <= 0)
        kn_check_invalid_int(p, path, n, "must be greater than zero");
}

static void check_spread_one(struct kn_problems *p, const struct kn_path *at,
                             const struct kn_json *c)
{
    static const char *const actions[] = {"DoNotSchedule", "ScheduleAnyway", NULL};
    static const char *const policies[] = {"Honor", "Ignore", NULL};
    struct kn_sv action = TEXT(c, whenUnsatisfiable);
    const struct kn_json *domains = GET(c, minDomains);
    check_positive(p, SUB(at, maxSkew), NUMBER(c, maxSkew));
    kn_check_present(p, SUB(at, topologyKey), TEXT(c, topologyKey), "can not be empty");
    kn_check_one_of(p, SUB(at, whenUnsatisfiable), action, actions);
    if (domains) {
        check_positive(p, SUB(at, minDomains), kn_json_int(domains, 0));
        if (!kn_sv_is(action, "DoNotSchedule"))
            kn_check_invalid(p, SUB(at, minDomains), domains,
                             "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %.*s",
                             KN_SV_ARG(action));
    }
    if (GET(c, nodeAffinityPolicy))
        kn_check_one_of(p, SUB(at, nodeAffinityPolicy), TEXT(c, nodeAffinityPolicy), policies);
    if (GET(c, nodeTaintsPolicy))
        kn_check_one_of(p, SUB(at, nodeTaintsPolicy), TEXT(c, nodeTaintsPolicy), policies);
    check_label_keys(p, SUB(at, matchLabelKeys), GET(c, matchLabelKeys), GET(c, labelSelector));
    kn_check_label_selector(p, SUB(at, labelSelector), GET(c, labelSelector));
}

static void check_spread(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *list)
{
    const struct kn_json *c, *later;
    int64_t i = 0;
    if (!kn_check_count(p, path, list, KN_PAIRS_MAX))
        return;
    KN_JSON_EACH(c, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        check_spread_one(p, at, c);
        for (later = kn_json_next(list, c); later; later = kn_json_next(list, later)) {
            if (!kn_sv_eq(TEXT(later, topologyKey), TEXT(c, topologyKey)) ||
                !kn_sv_eq(TEXT(later, whenUnsatisfiable), TEXT(c, whenUnsatisfiable)))
                continue;
            kn_check_duplicate(p, KN_PATH(at, "{topologyKey, whenUnsatisfiable}"),
                               kn_arena_printf(p->arena, "{%.*s, %.*s}",
                                               KN_SV_ARG(TEXT(c, topologyKey)),
                                               KN_SV_ARG(TEXT(c, whenUnsatisfiable))));
            break;
        }
    }
}

static void check_gates(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *list)
{
    struct kn_names names = {0};
    const struct kn_json *gate;
    int64_t i = 0;
    if (!kn_check_count(p, path, list, KN_PAIRS_MAX))
        return;
    KN_JSON_EACH(gate, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        kn_check_text(p, at, TEXT(gate, name), kn_name_qualified_problem);
        if (!kn_names_add(p, &names, TEXT(gate, name)))
            kn_check_duplicate(p, at, TEXT(gate, name));
    }
}

void kn_check_placement(struct kn_problems *p, const struct kn_path *spec_path,
                        const struct kn_pod_check *pod)
{
    const struct kn_json *affinity = GET(pod->spec, affinity);
    const struct kn_path *path = SUB(spec_path, affinity);
    kn_check_labels(p, SUB(spec_path, nodeSelector), GET(pod->spec, nodeSelector));
    check_node_affinity(p, SUB(path, nodeAffinity), GET(affinity, nodeAffinity));
    check_pod_affinity(p, SUB(path, podAffinity), GET(affinity, podAffinity));
    check_pod_affinity(p, SUB(path, podAntiAffinity), GET(affinity, podAntiAffinity));
    check_gates(p, SUB(spec_path, schedulingGates), GET(pod->spec, schedulingGates));
    check_spread(p, SUB(spec_path, topologySpreadConstraints),
                 GET(pod->spec, topologySpreadConstraints));
    kn_check_tolerations(p, SUB(spec_path, tolerations), GET(pod->spec, tolerations));
}
