// Which nodes a pod may go to, by what it says of their names, labels and taints.
#include "base/num.h"
#include "scheduler/sched_impl.h"

static bool number(struct kn_sv text, int64_t *ret)
{
    struct kn_status s = kn_num_parse(text, INT64_MIN, INT64_MAX, ret);
    bool ok = kn_ok(s);
    kn_status_done(&s);
    return ok;
}

static bool expression_holds(const struct kn_json *e, bool present, struct kn_sv value)
{
    struct kn_sv op = kn_json_str(kn_json_get(e, KN_K_operator));
    const struct kn_json *values = kn_json_get(e, KN_K_values), *v;
    bool in = false;
    KN_JSON_EACH(v, values)
    in = in || kn_sv_eq(kn_json_str(v), value);
    if (kn_sv_is(op, "In"))
        return present && in;
    if (kn_sv_is(op, "NotIn"))
        return !present || !in;
    if (kn_sv_is(op, "Exists"))
        return present;
    if (kn_sv_is(op, "DoesNotExist"))
        return !present;
    int64_t have, want;
    if (!present || !number(value, &have) || !number(kn_json_str(kn_json_first(values)), &want))
        return false;
    return kn_sv_is(op, "Gt") ? have > want : kn_sv_is(op, "Lt") && have < want;
}

// A term without expressions matches nothing.
bool kn_sched_node_term_matches(const struct kn_sched_node *n, const struct kn_json *term)
{
    const struct kn_json *labels = kn_json_get(term, KN_K_matchExpressions);
    const struct kn_json *fields = kn_json_get(term, KN_K_matchFields), *e;
    if (kn_json_len(labels) == 0 && kn_json_len(fields) == 0)
        return false;
    KN_JSON_EACH(e, labels)
    {
        struct kn_sv key = kn_json_str(kn_json_get(e, KN_K_key));
        if (!expression_holds(e, kn_sched_has_label(n, key), kn_sched_label(n, key)))
            return false;
    }
    KN_JSON_EACH(e, fields) // the only field is metadata.name
    if (!expression_holds(e, true, n->obj->name))
        return false;
    return true;
}

bool kn_sched_node_matches(const struct kn_sched_node *n, const struct kn_obj *pod)
{
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec), *m, *t;
    KN_JSON_EACH(m, kn_json_get(spec, KN_K_nodeSelector))
    if (!kn_sched_has_label(n, kn_json_key(m)) ||
        !kn_sv_eq(kn_sched_label(n, kn_json_key(m)), kn_json_str(m)))
        return false;
    const struct kn_json *required = KN_JSON_AT(spec, KN_K_affinity, KN_K_nodeAffinity,
                                                KN_K_requiredDuringSchedulingIgnoredDuringExecution);
    if (!required)
        return true;
    KN_JSON_EACH(t, kn_json_get(required, KN_K_nodeSelectorTerms))
    if (kn_sched_node_term_matches(n, t))
        return true;
    return false;
}

static bool toleration_fits(const struct kn_json *tol, const struct kn_json *taint)
{
    struct kn_sv effect = kn_json_str(kn_json_get(tol, KN_K_effect));
    struct kn_sv key = kn_json_str(kn_json_get(tol, KN_K_key));
    struct kn_sv op = kn_json_str(kn_json_get(tol, KN_K_operator));
    struct kn_sv have = kn_json_str(kn_json_get(taint, KN_K_value));
    struct kn_sv value = kn_json_str(kn_json_get(tol, KN_K_value));
    if (effect.len && !kn_sv_eq(effect, kn_json_str(kn_json_get(taint, KN_K_effect))))
        return false;
    if (key.len && !kn_sv_eq(key, kn_json_str(kn_json_get(taint, KN_K_key))))
        return false;
    if (kn_sv_is(op, "Exists"))
        return true;
    int64_t a, b;
    if (kn_sv_is(op, "Gt") || kn_sv_is(op, "Lt"))
        return number(have, &a) && number(value, &b) && (kn_sv_is(op, "Gt") ? a > b : a < b);
    return kn_sv_eq(value, have);
}

bool kn_sched_tolerates(const struct kn_obj *pod, const struct kn_json *taint)
{
    const struct kn_json *t;
    KN_JSON_EACH(t, KN_JSON_AT(pod->root, KN_K_spec, KN_K_tolerations))
    if (toleration_fits(t, taint))
        return true;
    return false;
}
