#include "meta/node_match.h"

#include "base/num.h"

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

bool kn_node_term_matches(const struct kn_obj *node, const struct kn_json *term)
{
    const struct kn_json *labels = kn_json_get(term, KN_K_matchExpressions);
    const struct kn_json *fields = kn_json_get(term, KN_K_matchFields), *e;
    if (kn_json_len(labels) == 0 && kn_json_len(fields) == 0)
        return false;
    KN_JSON_EACH(e, labels)
    {
        const struct kn_json *v =
            kn_json_get_sv(node->labels, kn_json_str(kn_json_get(e, KN_K_key)));
        if (!expression_holds(e, v != NULL, kn_json_str(v)))
            return false;
    }
    KN_JSON_EACH(e, fields) // the only field is metadata.name
    if (!expression_holds(e, true, node->name))
        return false;
    return true;
}

bool kn_node_matches(const struct kn_obj *node, const struct kn_json *spec)
{
    const struct kn_json *selector = kn_json_get(spec, KN_K_nodeSelector), *m, *t;
    KN_JSON_EACH(m, selector)
    {
        const struct kn_json *v = kn_json_get_sv(node->labels, kn_json_key(m));
        if (!v || !kn_sv_eq(kn_json_str(v), kn_json_str(m)))
            return false;
    }
    const struct kn_json *required =
        KN_JSON_AT(spec, KN_K_affinity, KN_K_nodeAffinity,
                   KN_K_requiredDuringSchedulingIgnoredDuringExecution);
    if (!required)
        return true;
    const struct kn_json *terms = kn_json_get(required, KN_K_nodeSelectorTerms);
    KN_JSON_EACH(t, terms)
    if (kn_node_term_matches(node, t))
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

bool kn_node_tolerated(const struct kn_json *tolerations, const struct kn_json *taint)
{
    const struct kn_json *t;
    KN_JSON_EACH(t, tolerations)
    if (toleration_fits(t, taint))
        return true;
    return false;
}
