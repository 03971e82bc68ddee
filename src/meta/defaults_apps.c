// Defaults that depend on something, of all groups but core.
#include "meta/defaults_code.h"
#include "meta/types.h"

KN_TYPES_WITH_DEFAULTS(KN_DEFAULT_DECLARE)

static bool type_is(const struct kn_json *obj, const char *text)
{
    return kn_sv_is(kn_json_str(kn_json_get(obj, KN_K_type)), text);
}

// -- rolling updates -------------------------------------------------------------------------

static void set_share(struct kn_arena *a, struct kn_json *rolling, enum kn_atom key, int number)
{
    if (kn_json_get(rolling, key))
        return;
    if (number < 0)
        kn_json_set_str(a, rolling, key, KN_SV("25%"));
    else
        kn_json_set_int(a, rolling, key, number);
}

// number < 0: a quarter.
static void rolling_update(struct kn_arena *a, struct kn_json *strategy, int unavailable, int surge)
{
    struct kn_json *rolling = kn_json_ensure_object(a, strategy, KN_K_rollingUpdate);
    set_share(a, rolling, KN_K_maxUnavailable, unavailable);
    set_share(a, rolling, KN_K_maxSurge, surge);
}

void kn_default_apps_v1_DeploymentStrategy(struct kn_arena *a, struct kn_json *obj)
{
    if (type_is(obj, "RollingUpdate"))
        rolling_update(a, obj, -1, -1);
}

void kn_default_apps_v1beta1_DeploymentStrategy(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_apps_v1_DeploymentStrategy(a, obj);
}

void kn_default_apps_v1beta2_DeploymentStrategy(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_apps_v1_DeploymentStrategy(a, obj);
}

void kn_default_extensions_v1beta1_DeploymentStrategy(struct kn_arena *a, struct kn_json *obj)
{
    if (type_is(obj, "RollingUpdate") || kn_json_get(obj, KN_K_rollingUpdate))
        rolling_update(a, obj, 1, 1);
}

void kn_default_apps_v1_DaemonSetUpdateStrategy(struct kn_arena *a, struct kn_json *obj)
{
    if (type_is(obj, "RollingUpdate"))
        rolling_update(a, obj, 1, 0);
}

void kn_default_apps_v1beta2_DaemonSetUpdateStrategy(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_apps_v1_DaemonSetUpdateStrategy(a, obj);
}

void kn_default_extensions_v1beta1_DaemonSetUpdateStrategy(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_apps_v1_DaemonSetUpdateStrategy(a, obj);
}

void kn_default_apps_v1beta1_StatefulSetUpdateStrategy(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *rolling = kn_json_get(obj, KN_K_rollingUpdate);
    if (!type_is(obj, "RollingUpdate") || !rolling)
        return;
    kn_default_int(a, rolling, KN_K_partition, 0);
    kn_default_int(a, rolling, KN_K_maxUnavailable, 1);
}

void kn_default_apps_v1_StatefulSetUpdateStrategy(struct kn_arena *a, struct kn_json *obj)
{
    if (!kn_json_get(obj, KN_K_type)) {
        kn_json_set_str(a, obj, KN_K_type, KN_SV("RollingUpdate"));
        kn_json_ensure_object(a, obj, KN_K_rollingUpdate);
    }
    kn_default_apps_v1beta1_StatefulSetUpdateStrategy(a, obj);
}

// A claim template is an object of its own, and says so.
void kn_default_apps_v1_StatefulSetSpec(struct kn_arena *a, struct kn_json *obj)
{
    for (struct kn_json *claim = kn_json_first(kn_json_get(obj, KN_K_volumeClaimTemplates)); claim;
         claim = kn_json_next(kn_json_get(obj, KN_K_volumeClaimTemplates), claim)) {
        kn_json_set_str(a, claim, KN_K_kind, KN_SV("PersistentVolumeClaim"));
        kn_json_set_str(a, claim, KN_K_apiVersion, KN_SV("v1"));
    }
}

void kn_default_apps_v1beta2_StatefulSetUpdateStrategy(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_apps_v1_StatefulSetUpdateStrategy(a, obj);
}

// -- old workloads ---------------------------------------------------------------------------

void kn_default_apps_v1beta1_Deployment(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_labels_from_template(a, obj, true);
}

void kn_default_apps_v1beta1_StatefulSet(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_labels_from_template(a, obj, true);
}

void kn_default_extensions_v1beta1_Deployment(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_labels_from_template(a, obj, true);
}

void kn_default_extensions_v1beta1_DaemonSet(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_labels_from_template(a, obj, true);
}

void kn_default_extensions_v1beta1_ReplicaSet(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_labels_from_template(a, obj, true);
}

// -- batch -----------------------------------------------------------------------------------

void kn_default_batch_v1_Job(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    if (!kn_json_get(spec, KN_K_completions) && !kn_json_get(spec, KN_K_parallelism))
        kn_json_set_int(a, spec, KN_K_completions, 1);
    kn_default_int(a, spec, KN_K_parallelism, 1);
    kn_default_int(a, spec, KN_K_backoffLimit,
                   kn_json_get(spec, KN_K_backoffLimitPerIndex) ? INT32_MAX : 6);
    kn_default_labels_from_template(a, obj, false);
    kn_default_str(a, spec, KN_K_completionMode, "NonIndexed");
    kn_default_bool(a, spec, KN_K_suspend, false);
    kn_default_str(a, spec, KN_K_podReplacementPolicy,
                   kn_json_get(spec, KN_K_podFailurePolicy) ? "Failed" : "TerminatingOrFailed");
    kn_default_bool(a, spec, KN_K_manualSelector, false);
}

// -- others ----------------------------------------------------------------------------------

void kn_default_rbac_v1_Subject(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_sv kind = kn_json_str(kn_json_get(obj, KN_K_kind));
    if (kn_sv_is(kind, "User") || kn_sv_is(kind, "Group"))
        kn_default_str(a, obj, KN_K_apiGroup, "rbac.authorization.k8s.io");
}

void kn_default_rbac_v1beta1_Subject(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_rbac_v1_Subject(a, obj);
}

void kn_default_networking_v1_NetworkPolicySpec(struct kn_arena *a, struct kn_json *obj)
{
    if (kn_json_len(kn_json_get(obj, KN_K_policyTypes)))
        return;
    struct kn_json *types = kn_json_ensure_array(a, obj, KN_K_policyTypes);
    kn_json_append(types, kn_json_new_str(a, KN_SV("Ingress")));
    if (kn_json_len(kn_json_get(obj, KN_K_egress)))
        kn_json_append(types, kn_json_new_str(a, KN_SV("Egress")));
}

void kn_default_extensions_v1beta1_NetworkPolicySpec(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_networking_v1_NetworkPolicySpec(a, obj);
}

// A constant as a tree, or NULL when the arena is full.
static struct kn_json *constant(struct kn_arena *a, struct kn_sv text)
{
    struct kn_json *v = NULL;
    struct kn_status s = kn_json_parse(a, text, NULL, &v);
    bool good = kn_ok(s);
    kn_status_done(&s);
    return good ? v : NULL;
}

void kn_default_autoscaling_v2_HorizontalPodAutoscalerSpec(struct kn_arena *a, struct kn_json *obj)
{
    if (kn_json_len(kn_json_get(obj, KN_K_metrics)) == 0)
        kn_json_set(
            a, obj, KN_K_metrics,
            constant(a, KN_SV("[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":"
                              "{\"type\":\"Utilization\",\"averageUtilization\":80}}}]")));
}

void kn_default_autoscaling_v2_HorizontalPodAutoscalerBehavior(struct kn_arena *a,
                                                               struct kn_json *obj)
{
    const struct kn_json *up = constant(
        a,
        KN_SV("{\"stabilizationWindowSeconds\":0,\"selectPolicy\":\"Max\",\"policies\":[{\"type\":"
              "\"Pods\",\"value\":4,\"periodSeconds\":15},{\"type\":\"Percent\",\"value\":100,"
              "\"periodSeconds\":15}]}"));
    const struct kn_json *down = constant(
        a, KN_SV("{\"selectPolicy\":\"Max\",\"policies\":[{\"type\":\"Percent\",\"value\":100,"
                 "\"periodSeconds\":15}]}"));
    kn_default_missing(a, kn_json_ensure_object(a, obj, KN_K_scaleUp), up);
    kn_default_missing(a, kn_json_ensure_object(a, obj, KN_K_scaleDown), down);
}

void kn_default_apiextensions_v1_CustomResourceDefinition(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    struct kn_json *names = kn_json_ensure_object(a, spec, KN_K_names), *version;
    struct kn_sv kind = kn_json_str(kn_json_get(names, KN_K_kind));
    if (kind.len && !kn_json_get(names, KN_K_singular)) {
        char *lower = kn_arena_bytes(a, kind.len);
        for (size_t i = 0; lower && i < kind.len; i++)
            lower[i] =
                (char)(kind.ptr[i] >= 'A' && kind.ptr[i] <= 'Z' ? kind.ptr[i] | 32 : kind.ptr[i]);
        kn_json_set_str(a, names, KN_K_singular, kn_sv(lower, lower ? kind.len : 0));
    }
    if (kind.len && !kn_json_get(names, KN_K_listKind))
        kn_json_set_str(a, names, KN_K_listKind, kn_arena_printf(a, "%.*sList", KN_SV_ARG(kind)));
    struct kn_json *conversion = kn_json_ensure_object(a, spec, KN_K_conversion);
    kn_default_str(a, conversion, KN_K_strategy, "None");
    struct kn_json *status = kn_json_ensure_object(a, obj, KN_K_status);
    if (kn_json_len(kn_json_get(status, KN_K_storedVersions)))
        return;
    KN_JSON_EACH (version, kn_json_get(spec, KN_K_versions)) {
        if (!kn_json_bool(kn_json_get(version, KN_K_storage), false))
            continue;
        kn_json_append(kn_json_ensure_array(a, status, KN_K_storedVersions),
                       kn_json_new_str(a, kn_json_str(kn_json_get(version, KN_K_name))));
        return;
    }
}
