// Deployment, ReplicaSet, StatefulSet, DaemonSet, ControllerRevision, ReplicationController.
#include "meta/validate_impl.h"

#include "base/num.h"
#include "meta/selector.h"

// -- selectors and templates ------------------------------------------------------------------

// word: what upstream calls the kind in its sentence. False: it is no selector.
static bool check_selector(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *s, const char *word)
{
    if (!s) {
        kn_check_required(p, path, "");
        return true;
    }
    size_t before = p->len;
    kn_check_label_selector(p, path, s);
    bool valid = p->len == before;
    if (!kn_json_len(GET(s, matchLabels)) && !kn_json_len(GET(s, matchExpressions)))
        kn_check_invalid(p, path, s, "empty selector is invalid for %s", word);
    return valid;
}

// No selector selects nothing, an empty one everything.
static void check_selects_template(struct kn_problems *p, const struct kn_path *path,
                                   const struct kn_json *s, const struct kn_json *labels)
{
    struct kn_selector *selector = NULL;
    struct kn_status status = kn_label_selector_of(p->arena, s, &selector);
    bool parsed = kn_ok(status); // what is wrong with it has been said
    kn_status_done(&status);
    if (!parsed ||
        (s && (kn_selector_is_empty(selector) || kn_selector_matches_labels(selector, labels))))
        return;
    struct kn_sv shown = labels ? kn_check_show(p, labels) : KN_SV("null");
    kn_problem_add(p, KN_PROBLEM_INVALID, path, shown, "%s",
                   "`selector` does not match template `labels`");
}

// kind: as the sentence about activeDeadlineSeconds names it.
static void check_template(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *pod_template, const struct kn_json *claims,
                           const char *kind)
{
    static const char *const always[] = {"Always", NULL};
    const struct kn_json *spec = GET(pod_template, spec);
    kn_check_pod_template(p, path, pod_template, claims);
    if (TEXT(spec, restartPolicy).len)
        kn_check_one_of(p, SUB(SUB(path, spec), restartPolicy), TEXT(spec, restartPolicy), always);
    if (GET(spec, activeDeadlineSeconds))
        kn_problem_add(p, KN_PROBLEM_FORBIDDEN, SUB(SUB(path, spec), activeDeadlineSeconds),
                       KN_SV_NULL, "activeDeadlineSeconds in %s is not Supported", kind);
}

static void check_selected(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *spec)
{
    check_selects_template(p, SUB(SUB(SUB(path, template), metadata), labels), GET(spec, selector),
                           GET(GET(GET(spec, template), metadata), labels));
}

static void say_no_selector(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *spec)
{
    kn_check_invalid(p, SUB(path, selector), GET(spec, selector), "invalid label selector");
}

static void check_selector_kept(struct kn_problems *p, const struct kn_path *path,
                                const struct kn_json *spec, const struct kn_json *old)
{
    if (old)
        kn_check_immutable(p, SUB(path, selector), GET(spec, selector), GET(old, selector));
}

// -- numbers or percentages -------------------------------------------------------------------

// False: the text is no percentage.
static bool percentage(struct kn_sv text, int64_t *ret)
{
    *ret = 0;
    if (!kn_sv_ends(text, KN_SV("%")) || text.len < 2)
        return false;
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    struct kn_status s = kn_num_parse(kn_sv_first(text, text.len - 1), 0, INT32_MAX, ret);
    if (!kn_ok(s))
        *ret = INT32_MAX;
    kn_status_done(&s);
    return true;
}

static int64_t amount(const struct kn_json *v)
{
    int64_t n;
    return kn_json_is_string(v) && percentage(kn_json_str(v), &n) ? n : kn_json_int(v, 0);
}

static void check_amount(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v)
{
    int64_t n;
    if (!kn_json_is_string(v))
        kn_check_not_negative(p, path, v);
    else if (!percentage(kn_json_str(v), &n))
        kn_check_invalid(
            p, path, v,
            "a valid percent string must be a numeric string followed by an ending '%%' "
            "(e.g. '1%%',  or '93%%', regex used for validation is '[0-9]+%%')");
}

static void check_at_most_all(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_json *v)
{
    int64_t n;
    if (kn_json_is_string(v) && percentage(kn_json_str(v), &n) && n > 100)
        kn_check_invalid(p, path, v, "must not be greater than 100%%");
}

// -- status -----------------------------------------------------------------------------------

static const enum kn_atom counts[] = {KN_K_replicas,
                                      KN_K_fullyLabeledReplicas,
                                      KN_K_readyReplicas,
                                      KN_K_availableReplicas,
                                      KN_K_updatedReplicas,
                                      KN_K_currentReplicas,
                                      KN_K_unavailableReplicas,
                                      KN_K_terminatingReplicas,
                                      KN_K_observedGeneration,
                                      KN_K_collisionCount,
                                      KN_K_currentNumberScheduled,
                                      KN_K_numberMisscheduled,
                                      KN_K_desiredNumberScheduled,
                                      KN_K_numberReady,
                                      KN_K_updatedNumberScheduled,
                                      KN_K_numberAvailable,
                                      KN_K_numberUnavailable};

// Counts are not negative, and parts are not greater than the whole.
static void check_counts(struct kn_problems *p, const struct kn_json *status,
                         const struct kn_json *old, const char *ready_name)
{
    static const enum kn_atom parts[] = {KN_K_fullyLabeledReplicas, KN_K_updatedReplicas,
                                         KN_K_currentReplicas, KN_K_readyReplicas,
                                         KN_K_availableReplicas};
    const struct kn_path *path = KN_PATH(NULL, "status");
    int64_t whole = NUMBER(status, replicas), ready = NUMBER(status, readyReplicas),
            available = NUMBER(status, availableReplicas);
    for (size_t i = 0; i < KN_ARRAY_LEN(counts); i++)
        kn_check_not_negative(p, KN_PATH_SV(path, kn_atom_name(counts[i])),
                              kn_json_get(status, counts[i]));
    for (size_t i = 0; i < KN_ARRAY_LEN(parts); i++) {
        int64_t n = kn_json_int(kn_json_get(status, parts[i]), 0);
        if (n > whole)
            kn_check_invalid_int(p, KN_PATH_SV(path, kn_atom_name(parts[i])), n,
                                 "cannot be greater than status.replicas");
    }
    if (available > ready)
        kn_check_invalid_int(p, SUB(path, availableReplicas), available,
                             "cannot be greater than %s", ready_name);
    if (NUMBER(status, collisionCount) < NUMBER(old, collisionCount))
        kn_check_invalid_int(p, SUB(path, collisionCount), NUMBER(status, collisionCount),
                             "cannot be decremented");
}

// -- Deployment -------------------------------------------------------------------------------

static void check_rolling_deployment(struct kn_problems *p, const struct kn_path *path,
                                     const struct kn_json *v)
{
    const struct kn_json *surge = GET(v, maxSurge), *unavailable = GET(v, maxUnavailable);
    check_amount(p, SUB(path, maxUnavailable), unavailable);
    check_amount(p, SUB(path, maxSurge), surge);
    if (amount(surge) == 0 && amount(unavailable) == 0)
        kn_check_invalid(p, SUB(path, maxUnavailable), unavailable,
                         "may not be 0 when `maxSurge` is 0");
    check_at_most_all(p, SUB(path, maxUnavailable), unavailable);
}

static void check_deployment_strategy(struct kn_problems *p, const struct kn_path *path,
                                      const struct kn_json *v)
{
    struct kn_sv type = TEXT(v, type);
    const struct kn_json *rolling = GET(v, rollingUpdate);
    if (kn_sv_is(type, "Recreate")) {
        if (rolling)
            kn_check_forbidden(p, SUB(path, rollingUpdate),
                               "may not be specified when strategy `type` is 'Recreate'");
    } else if (kn_sv_is(type, "RollingUpdate")) {
        if (rolling)
            check_rolling_deployment(p, SUB(path, rollingUpdate), rolling);
        else
            kn_check_required(p, SUB(path, rollingUpdate),
                              "this should be defaulted and never be nil");
    } else {
        kn_problem_add(p, KN_PROBLEM_NOT_SUPPORTED, path, kn_check_show(p, v), "%s",
                       "supported values: \"Recreate\", \"RollingUpdate\"");
    }
}

void kn_check_deployment(struct kn_problems *p, const struct kn_json *obj,
                         const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec), *deadline = GET(spec, progressDeadlineSeconds);
    if (kn_sv_is(sub, "status")) {
        check_counts(p, GET(obj, status), GET(old, status), "readyReplicas");
        return;
    }
    kn_check_not_negative(p, SUB(path, replicas), GET(spec, replicas));
    if (check_selector(p, SUB(path, selector), GET(spec, selector), "deployment"))
        check_selected(p, path, spec);
    else
        say_no_selector(p, path, spec);
    check_template(p, SUB(path, template), GET(spec, template), NULL, "ReplicaSet");
    check_deployment_strategy(p, SUB(path, strategy), GET(spec, strategy));
    kn_check_not_negative(p, SUB(path, minReadySeconds), GET(spec, minReadySeconds));
    kn_check_not_negative(p, SUB(path, revisionHistoryLimit), GET(spec, revisionHistoryLimit));
    kn_check_not_negative(p, SUB(path, progressDeadlineSeconds), deadline);
    if (deadline && kn_json_int(deadline, 0) <= NUMBER(spec, minReadySeconds))
        kn_check_invalid(p, SUB(path, progressDeadlineSeconds), deadline,
                         "must be greater than minReadySeconds");
    check_selector_kept(p, path, spec, GET(old, spec));
}

// -- ReplicaSet and ReplicationController -----------------------------------------------------

void kn_check_replica_set(struct kn_problems *p, const struct kn_json *obj,
                          const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec);
    if (kn_sv_is(sub, "status")) {
        check_counts(p, GET(obj, status), NULL, "readyReplicas");
        return;
    }
    kn_check_not_negative(p, SUB(path, replicas), GET(spec, replicas));
    kn_check_not_negative(p, SUB(path, minReadySeconds), GET(spec, minReadySeconds));
    if (check_selector(p, SUB(path, selector), GET(spec, selector), "deployment"))
        check_selected(p, path, spec);
    else
        say_no_selector(p, path, spec);
    check_template(p, SUB(path, template), GET(spec, template), NULL, "ReplicaSet");
    check_selector_kept(p, path, spec, GET(old, spec));
}

void kn_check_replication_controller(struct kn_problems *p, const struct kn_json *obj,
                                     const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec),
                         *labels = GET(GET(GET(spec, template), metadata), labels);
    const struct kn_json *m, *selector = GET(spec, selector);
    (void)old;
    if (kn_sv_is(sub, "status")) {
        check_counts(p, GET(obj, status), NULL, "readyReplicas");
        return;
    }
    kn_check_not_negative(p, SUB(path, minReadySeconds), GET(spec, minReadySeconds));
    if (!kn_json_len(selector))
        kn_check_required(p, SUB(path, selector), "");
    kn_check_not_negative(p, SUB(path, replicas), GET(spec, replicas));
    if (!GET(spec, template)) {
        kn_check_required(p, SUB(path, template), "");
        return;
    }
    struct kn_names has = kn_names_of_map(p, labels);
    bool matches = true;
    KN_JSON_EACH(m, selector)
    {
        const struct kn_json *label = kn_names_get(&has, kn_json_key(m));
        matches = matches && label && kn_json_equal(m, label);
    }
    if (!matches)
        kn_check_invalid(p, SUB(SUB(SUB(path, template), metadata), labels), labels,
                         "`selector` does not match template `labels`");
    check_template(p, SUB(path, template), GET(spec, template), NULL, "ReplicationController");
}

// -- StatefulSet ------------------------------------------------------------------------------

static void check_rolling_set(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_json *v)
{
    const struct kn_json *unavailable = GET(v, maxUnavailable);
    kn_check_not_negative(p, SUB(path, partition), GET(v, partition));
    if (!unavailable)
        return;
    check_amount(p, SUB(path, maxUnavailable), unavailable);
    if (amount(unavailable) == 0)
        kn_check_invalid(p, SUB(path, maxUnavailable), unavailable, "cannot be 0");
    check_at_most_all(p, SUB(path, maxUnavailable), unavailable);
}

static void check_set_strategy(struct kn_problems *p, const struct kn_path *path,
                               const struct kn_json *v)
{
    struct kn_sv type = TEXT(v, type);
    const struct kn_json *rolling = GET(v, rollingUpdate);
    if (!type.len)
        kn_check_required(p, path, "");
    else if (kn_sv_is(type, "RollingUpdate"))
        check_rolling_set(p, SUB(path, rollingUpdate), rolling);
    else if (!kn_sv_is(type, "OnDelete"))
        kn_check_invalid(p, path, v, "must be 'RollingUpdate' or 'OnDelete'");
    else if (rolling)
        kn_check_invalid(p, SUB(path, rollingUpdate), rolling,
                         "only allowed for updateStrategy 'RollingUpdate'");
}

static void check_retention(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *v)
{
    static const char *const policies[] = {"Retain", "Delete", NULL};
    if (!v)
        return;
    kn_check_one_of(p, SUB(path, whenDeleted), TEXT(v, whenDeleted), policies);
    kn_check_one_of(p, SUB(path, whenScaled), TEXT(v, whenScaled), policies);
}

static void check_set_kept(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *spec, const struct kn_json *old)
{
    static const enum kn_atom kept[] = {KN_K_selector, KN_K_volumeClaimTemplates, KN_K_serviceName,
                                        KN_K_podManagementPolicy};
    for (size_t i = 0; old && i < KN_ARRAY_LEN(kept); i++)
        kn_check_immutable(p, KN_PATH_SV(path, kn_atom_name(kept[i])), kn_json_get(spec, kept[i]),
                           kn_json_get(old, kept[i]));
}

void kn_check_stateful_set(struct kn_problems *p, const struct kn_json *obj,
                           const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec), *claim;
    int64_t i = 0;
    struct kn_sv policy = TEXT(spec, podManagementPolicy);
    if (kn_sv_is(sub, "status")) {
        check_counts(p, GET(obj, status), GET(old, status), "status.readyReplicas");
        return;
    }
    if (kn_check_present(p, SUB(path, podManagementPolicy), policy, "") &&
        !kn_sv_is(policy, "OrderedReady") && !kn_sv_is(policy, "Parallel"))
        kn_check_invalid_text(p, SUB(path, podManagementPolicy), policy,
                              "must be 'OrderedReady' or 'Parallel'");
    check_set_strategy(p, SUB(path, updateStrategy), GET(spec, updateStrategy));
    check_retention(p, SUB(path, persistentVolumeClaimRetentionPolicy),
                    GET(spec, persistentVolumeClaimRetentionPolicy));
    KN_JSON_EACH(claim, GET(spec, volumeClaimTemplates))
    {
        kn_check_claim_spec(p, SUB(KN_PATH_AT(SUB(path, volumeClaimTemplates), i), spec),
                            GET(claim, spec));
        i++;
    }
    kn_check_not_negative(p, SUB(path, replicas), GET(spec, replicas));
    kn_check_not_negative(p, SUB(path, minReadySeconds), GET(spec, minReadySeconds));
    kn_check_not_negative(p, KN_PATH(path, "ordinals.start"), GET(GET(spec, ordinals), start));
    if (TEXT(spec, serviceName).len)
        kn_check_text(p, SUB(path, serviceName), TEXT(spec, serviceName),
                      kn_name_dns_label_problem);
    if (check_selector(p, SUB(path, selector), GET(spec, selector), "statefulset"))
        check_selected(p, path, spec);
    else
        say_no_selector(p, path, spec);
    check_template(p, SUB(path, template), GET(spec, template), GET(spec, volumeClaimTemplates),
                   "StatefulSet");
    check_set_kept(p, path, spec, GET(old, spec));
}

// -- DaemonSet --------------------------------------------------------------------------------

static void check_daemon_strategy(struct kn_problems *p, const struct kn_path *path,
                                  const struct kn_json *v)
{
    struct kn_sv type = TEXT(v, type);
    const struct kn_json *rolling = GET(v, rollingUpdate);
    const struct kn_json *surge = GET(rolling, maxSurge),
                         *unavailable = GET(rolling, maxUnavailable);
    const struct kn_path *at = SUB(path, rollingUpdate);
    if (kn_sv_is(type, "OnDelete"))
        return;
    if (!kn_sv_is(type, "RollingUpdate")) {
        kn_problem_add(p, KN_PROBLEM_NOT_SUPPORTED, path, kn_check_show(p, v), "%s",
                       "supported values: \"RollingUpdate\", \"OnDelete\"");
        return;
    }
    if (!rolling) {
        kn_check_required(p, at, "");
        return;
    }
    check_amount(p, SUB(at, maxUnavailable), unavailable);
    check_amount(p, SUB(at, maxSurge), surge);
    check_at_most_all(p, SUB(at, maxUnavailable), unavailable);
    check_at_most_all(p, SUB(at, maxSurge), surge);
    if (amount(unavailable) != 0 && amount(surge) != 0)
        kn_check_invalid(p, SUB(at, maxSurge), surge,
                         "may not be set when maxUnavailable is non-zero");
    else if (amount(unavailable) == 0 && amount(surge) == 0)
        kn_check_required(p, SUB(at, maxUnavailable), "cannot be 0 when maxSurge is 0");
}

void kn_check_daemon_set(struct kn_problems *p, const struct kn_json *obj,
                         const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec);
    if (kn_sv_is(sub, "status")) {
        check_counts(p, GET(obj, status), GET(old, status), "readyReplicas");
        return;
    }
    check_selector_kept(p, path, spec, GET(old, spec));
    // an absent selector is told of by the labels, which it does not select
    if (!GET(spec, selector) ||
        check_selector(p, SUB(path, selector), GET(spec, selector), "daemonset"))
        check_selected(p, path, spec);
    check_template(p, SUB(path, template), GET(spec, template), NULL, "DaemonSet");
    kn_check_not_negative(p, SUB(path, minReadySeconds), GET(spec, minReadySeconds));
    check_daemon_strategy(p, SUB(path, updateStrategy), GET(spec, updateStrategy));
    kn_check_not_negative(p, SUB(path, revisionHistoryLimit), GET(spec, revisionHistoryLimit));
}

// -- ControllerRevision -----------------------------------------------------------------------

void kn_check_controller_revision(struct kn_problems *p, const struct kn_json *obj,
                                  const struct kn_json *old, struct kn_sv sub)
{
    (void)sub;
    const struct kn_json *data = GET(obj, data);
    const struct kn_path *path = KN_PATH(NULL, "data");
    kn_check_not_negative(p, KN_PATH(NULL, "revision"), GET(obj, revision));
    if (old)
        kn_check_immutable(p, path, data, GET(old, data));
    else if (kn_json_is_null(data))
        kn_check_required(p, path, "data is mandatory");
    else if (!kn_json_is_object(data))
        kn_check_required(p, path, "data must be a valid JSON object");
}

void kn_check_pod_template_object(struct kn_problems *p, const struct kn_json *obj,
                                  const struct kn_json *old, struct kn_sv sub)
{
    (void)old;
    (void)sub;
    kn_check_pod_template(p, KN_PATH(NULL, "template"), GET(obj, template), NULL);
}
