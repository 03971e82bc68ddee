// Pods and templates of pods; what an update of a pod may change.
#include "meta/validate_impl.h"

// -- DNS and hosts ----------------------------------------------------------------------------

static struct kn_sv search_problem(struct kn_arena *a, struct kn_sv text)
{
    // as a subdomain, with underscores
    char *out = kn_arena_bytes(a, text.len);
    for (size_t i = 0; out && i < text.len; i++)
        out[i] = text.ptr[i] == '_' ? 'a' : text.ptr[i];
    if (kn_name_dns_subdomain_problem(a, kn_sv(out, out ? text.len : 0)).len == 0)
        return KN_SV_NULL;
    if (text.len > 253)
        return KN_SV("must be no more than 253 characters");
    return KN_SV(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
        "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
        "'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
}

static void check_searches(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *list)
{
    const struct kn_json *v;
    size_t size = 0;
    int64_t i = 0;
    KN_JSON_EACH(v, list)
    {
        size += kn_json_len(v) + (i++ > 0);
    }
    if (kn_json_len(list) > 32)
        kn_check_invalid(p, path, list, "must not have more than 32 search paths");
    if (size > 2048)
        kn_check_invalid(
            p, path, list,
            "must not have more than 2048 characters (including spaces) in the search list");
    i = 0;
    KN_JSON_EACH(v, list)
    {
        struct kn_sv text = kn_json_str(v);
        const struct kn_path *at = KN_PATH_AT(path, i++);
        if (kn_sv_is(text, "."))
            continue;
        if (kn_sv_ends(text, KN_SV(".")))
            text.len--;
        kn_check_text(p, at, text, search_problem);
    }
}

static void check_dns(struct kn_problems *p, const struct kn_path *spec_path,
                      const struct kn_json *spec)
{
    static const char *const policies[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default",
                                           "None", NULL};
    const struct kn_json *config = GET(spec, dnsConfig), *v;
    const struct kn_path *path = SUB(spec_path, dnsConfig);
    struct kn_sv policy = TEXT(spec, dnsPolicy);
    if (kn_check_present(p, SUB(spec_path, dnsPolicy), policy, ""))
        kn_check_one_of(p, SUB(spec_path, dnsPolicy), policy, policies);
    if (kn_sv_is(policy, "None") && !config) {
        kn_check_required(p, path, "must provide `dnsConfig` when `dnsPolicy` is None");
    } else if (kn_sv_is(policy, "None") && !kn_json_len(GET(config, nameservers))) {
        kn_check_required(p, SUB(path, nameservers),
                          "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
    if (kn_json_len(GET(config, nameservers)) > 3)
        kn_check_invalid(p, SUB(path, nameservers), GET(config, nameservers),
                         "must not have more than 3 nameservers");
    int64_t i = 0;
    KN_JSON_EACH(v, GET(config, nameservers))
    {
        kn_check_ip(p, KN_PATH_AT(SUB(path, nameservers), i++), kn_json_str(v));
    }
    check_searches(p, SUB(path, searches), GET(config, searches));
    i = 0;
    KN_JSON_EACH(v, GET(config, options))
    {
        kn_check_present(p, KN_PATH_AT(SUB(path, options), i), TEXT(v, name), "must not be empty");
        i++;
    }
}

static void check_host_aliases(struct kn_problems *p, const struct kn_path *path,
                               const struct kn_json *list)
{
    const struct kn_json *alias, *name;
    int64_t i = 0;
    KN_JSON_EACH(alias, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        int64_t j = 0;
        kn_check_ip(p, SUB(at, ip), TEXT(alias, ip));
        KN_JSON_EACH(name, GET(alias, hostnames))
        {
            kn_check_text(p, KN_PATH_AT(SUB(at, hostnames), j++), kn_json_str(name),
                          kn_name_dns_subdomain_problem);
        }
    }
}

static void check_host_users(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *spec)
{
    if (FLAG(spec, shareProcessNamespace) && FLAG(spec, hostPID))
        kn_check_invalid(p, SUB(path, shareProcessNamespace), GET(spec, shareProcessNamespace),
                         "ShareProcessNamespace and HostPID cannot both be enabled");
    if (kn_json_bool(GET(spec, hostUsers), true))
        return;
    if (FLAG(spec, hostNetwork))
        kn_check_forbidden(p, SUB(path, hostNetwork), "when `hostUsers` is false");
    if (FLAG(spec, hostPID))
        kn_check_forbidden(p, KN_PATH(path, "HostPID"), "when `hostUsers` is false");
    if (FLAG(spec, hostIPC))
        kn_check_forbidden(p, KN_PATH(path, "HostIPC"), "when `hostUsers` is false");
}

// -- names ------------------------------------------------------------------------------------

static void check_optional(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                           kn_name_rule *rule)
{
    if (text.len)
        kn_check_text(p, path, text, rule);
}

static void check_names(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *spec)
{
    static const char *const preemption[] = {"PreemptLowerPriority", "Never", NULL};
    static const char *const systems[] = {"linux", "windows", NULL};
    struct kn_sv account = TEXT(spec, serviceAccountName), old = TEXT(spec, serviceAccount);
    const struct kn_json *gate;
    int64_t i = 0;
    KN_JSON_EACH(gate, GET(spec, readinessGates))
    {
        kn_check_text(p, SUB(KN_PATH_AT(SUB(path, readinessGates), i), conditionType),
                      TEXT(gate, conditionType), kn_name_qualified_problem);
        i++;
    }
    check_optional(p, SUB(path, serviceAccountName), account, kn_name_dns_subdomain_problem);
    if (old.len && !kn_sv_eq(old, account))
        kn_check_invalid_text(p, KN_PATH(path, "deprecatedServiceAccount"), old,
                              "must be the same as serviceAccountName: \"%.*s\"",
                              KN_SV_ARG(account));
    check_optional(p, SUB(path, nodeName), TEXT(spec, nodeName), kn_name_dns_subdomain_problem);
    kn_check_range(p, SUB(path, activeDeadlineSeconds), GET(spec, activeDeadlineSeconds), 1,
                   INT32_MAX);
    check_optional(p, SUB(path, hostname), TEXT(spec, hostname), kn_name_dns_label_problem);
    check_optional(p, SUB(path, subdomain), TEXT(spec, subdomain), kn_name_dns_label_problem);
    check_host_aliases(p, SUB(path, hostAliases), GET(spec, hostAliases));
    check_optional(p, SUB(path, priorityClassName), TEXT(spec, priorityClassName),
                   kn_name_dns_subdomain_problem);
    if (GET(spec, runtimeClassName))
        kn_check_text(p, SUB(path, runtimeClassName), TEXT(spec, runtimeClassName),
                      kn_name_dns_subdomain_problem);
    if (GET(spec, preemptionPolicy))
        kn_check_one_of(p, SUB(path, preemptionPolicy), TEXT(spec, preemptionPolicy), preemption);
    if (GET(spec, os) &&
        kn_check_present(p, SUB(SUB(path, os), name), TEXT(GET(spec, os), name), ""))
        kn_check_one_of(p, SUB(SUB(path, os), name), TEXT(GET(spec, os), name), systems);
}

// -- spec -------------------------------------------------------------------------------------

void kn_check_pod_spec(struct kn_problems *p, const struct kn_path *path, struct kn_pod_check *pod)
{
    static const char *const restarts[] = {"Always", "OnFailure", "Never", NULL};
    const struct kn_json *spec = pod->spec, *v;
    struct kn_sv restart = TEXT(spec, restartPolicy);
    if (!GET(spec, terminationGracePeriodSeconds))
        kn_check_required(p, SUB(path, terminationGracePeriodSeconds), "");
    kn_check_volumes(p, SUB(path, volumes), pod);
    kn_check_containers(p, path, pod);
    if (kn_check_present(p, SUB(path, restartPolicy), restart, ""))
        kn_check_one_of(p, SUB(path, restartPolicy), restart, restarts);
    kn_check_pod_security(p, path, spec);
    check_dns(p, path, spec);
    kn_check_placement(p, path, pod);
    check_host_users(p, path, spec);
    check_names(p, path, spec);
    KN_JSON_EACH(v, GET(spec, overhead))
    {
        const struct kn_path *at = KN_PATH_KEY(SUB(path, overhead), kn_json_key(v));
        kn_check_resource_name(p, at, kn_json_key(v));
        kn_check_quantity(p, at, kn_json_key(v), v);
    }
}

void kn_check_pod_template(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *pod_template,
                           const struct kn_json *claim_templates)
{
    const struct kn_json *meta = GET(pod_template, metadata);
    struct kn_pod_check pod = {.spec = GET(pod_template, spec), .templates = claim_templates};
    kn_check_labels(p, SUB(path, labels), GET(meta, labels));
    kn_check_annotations(p, SUB(path, annotations), GET(meta, annotations));
    kn_check_pod_spec(p, SUB(path, spec), &pod);
    if (kn_json_len(GET(pod.spec, ephemeralContainers)))
        kn_check_forbidden(p, SUB(SUB(path, spec), ephemeralContainers),
                           "ephemeral containers not allowed in pod template");
}

static void check_whole(struct kn_problems *p, const struct kn_json *obj)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    struct kn_pod_check pod = {.spec = GET(obj, spec), .meta = GET(obj, metadata)};
    kn_check_pod_spec(p, path, &pod);
    kn_check_not_negative(p, SUB(path, terminationGracePeriodSeconds),
                          GET(pod.spec, terminationGracePeriodSeconds));
    kn_check_image_spaces(p, SUB(path, containers), GET(pod.spec, containers));
    kn_check_image_spaces(p, SUB(path, initContainers), GET(pod.spec, initContainers));
}

// -- updates ----------------------------------------------------------------------------------

static void check_deadline(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *v, const struct kn_json *old)
{
    if (!v && old)
        kn_check_invalid(p, path, v, "must not update from a positive integer to nil value");
    else if (v && old && kn_json_int(v, 0) > kn_json_int(old, 0))
        kn_check_invalid(p, path, v, "must be less than or equal to previous value");
}

// The same toleration, whatever its tolerationSeconds.
static bool same_toleration(const struct kn_json *a, const struct kn_json *b)
{
    static const enum kn_atom members[] = {KN_K_key, KN_K_operator, KN_K_value, KN_K_effect};
    for (size_t i = 0; i < KN_ARRAY_LEN(members); i++)
        if (!kn_check_same(kn_json_get(a, members[i]), kn_json_get(b, members[i])))
            return false;
    return true;
}

static void check_tolerations_only_added(struct kn_problems *p, const struct kn_path *path,
                                         const struct kn_json *list, const struct kn_json *old)
{
    const struct kn_json *was, *is;
    if (kn_json_len(list) > KN_PAIRS_MAX) // has been said
        return;
    KN_JSON_EACH(was, old)
    {
        bool found = false;
        KN_JSON_EACH(is, list)
        {
            found = found || same_toleration(was, is);
        }
        if (!found) {
            kn_check_forbidden(
                p, path, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
}

static void check_gates_only_removed(struct kn_problems *p, const struct kn_path *path,
                                     const struct kn_json *list, const struct kn_json *old)
{
    const struct kn_json *was, *is;
    int64_t i = 0;
    if (kn_json_len(list) > KN_PAIRS_MAX) // has been said
        return;
    KN_JSON_EACH(is, list)
    {
        bool found = false;
        KN_JSON_EACH(was, old)
        {
            found = found || kn_sv_eq(TEXT(was, name), TEXT(is, name));
        }
        if (!found)
            kn_problem_add(p, KN_PROBLEM_FORBIDDEN, SUB(KN_PATH_AT(path, i), name), KN_SV_NULL,
                           "only deletion is allowed, but found new scheduling gate '%.*s'",
                           KN_SV_ARG(TEXT(is, name)));
        i++;
    }
}

// Every member of a but its image is the same in b.
static bool covered_but_image(const struct kn_json *a, const struct kn_json *b)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, a)
    {
        struct kn_sv name = kn_json_key(m);
        if (!kn_sv_is(name, "image") && !kn_check_same(m, kn_json_get_sv(b, name)))
            return false;
    }
    return true;
}

// Lists of containers are equal but for their images.
static bool same_but_images(const struct kn_json *list, const struct kn_json *old)
{
    const struct kn_json *a = kn_json_first(list), *b = kn_json_first(old);
    for (; a && b; a = kn_json_next(list, a), b = kn_json_next(old, b))
        if (!covered_but_image(a, b) || !covered_but_image(b, a))
            return false;
    return !a && !b;
}

// While a pod is gated, its node selector and affinity may be made narrower: a scheduler has not
// looked at it yet. Here: what was asked for is still asked for.
static bool only_adds_labels(const struct kn_json *is, const struct kn_json *was)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, was)
    {
        if (!kn_json_equal(m, kn_json_get_sv(is, kn_json_key(m))))
            return false;
    }
    return true;
}

static bool may_differ(const struct kn_json *spec, const struct kn_json *old, struct kn_sv name)
{
    static const char *const free_members[] = {"activeDeadlineSeconds", "tolerations",
                                               "schedulingGates", NULL};
    const struct kn_json *is = kn_json_get_sv(spec, name), *was = kn_json_get_sv(old, name);
    bool gated = kn_json_len(GET(old, schedulingGates)) > 0;
    if (kn_check_is_one_of(name, free_members) || kn_check_same(is, was))
        return true;
    if (kn_sv_is(name, "containers") || kn_sv_is(name, "initContainers"))
        return same_but_images(is, was);
    if (kn_sv_is(name, "terminationGracePeriodSeconds"))
        return kn_json_int(was, 0) < 0 && kn_json_int(is, 0) == 1;
    if (gated && kn_sv_is(name, "nodeSelector"))
        return only_adds_labels(is, was);
    if (gated && kn_sv_is(name, "affinity"))
        return kn_check_same(GET(is, podAffinity), GET(was, podAffinity)) &&
               kn_check_same(GET(is, podAntiAffinity), GET(was, podAntiAffinity)) &&
               !GET(was, nodeAffinity);
    return false;
}

static void add_difference(struct kn_buf *b, struct kn_problems *p, const struct kn_json *spec,
                           const struct kn_json *old, struct kn_sv name)
{
    if (may_differ(spec, old, name))
        return;
    struct kn_sv was = kn_check_show(p, kn_json_get_sv(old, name));
    struct kn_sv is = kn_check_show(p, kn_json_get_sv(spec, name));
    kn_buf_addf(b, "\n- %.*s: %.*s\n+ %.*s: %.*s", KN_SV_ARG(name), KN_SV_ARG(was), KN_SV_ARG(name),
                KN_SV_ARG(is));
}

static void check_spec_fixed(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *spec, const struct kn_json *old)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(256 << 10);
    const struct kn_json *m;
    KN_JSON_EACH(m, spec)
    {
        add_difference(&b, p, spec, old, kn_json_key(m));
    }
    KN_JSON_EACH(m, old)
    {
        if (!kn_json_get_sv(spec, kn_json_key(m)))
            add_difference(&b, p, spec, old, kn_json_key(m));
    }
    if (b.len)
        kn_problem_add(p, KN_PROBLEM_FORBIDDEN, path, KN_SV_NULL,
                       "pod updates may not change fields other than `spec.containers[*].image`,"
                       "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
                       "`spec.tolerations` (only additions to existing tolerations),"
                       "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
                       "previously negative)%s",
                       kn_buf_cstr(&b));
}

// A pod that a node runs by itself stays one, and no other becomes one.
#define MIRROR KN_SV("kubernetes.io/config.mirror")

static const struct kn_json *mirror_of(const struct kn_json *pod)
{
    return kn_json_get_sv(GET(GET(pod, metadata), annotations), MIRROR);
}

static void check_mirror(struct kn_problems *p, const struct kn_json *obj,
                         const struct kn_json *before)
{
    const struct kn_path *path =
        KN_PATH_KEY(KN_PATH(KN_PATH(NULL, "metadata"), "annotations"), MIRROR);
    const struct kn_json *is = mirror_of(obj), *was = mirror_of(before);
    if (is && TEXT(GET(obj, spec), nodeName).len == 0)
        kn_check_invalid_text(p, path, kn_json_str(is),
                              "must set spec.nodeName if mirror pod annotation is set");
    if (before && was && !(is && kn_json_equal(is, was)))
        kn_check_forbidden(p, path, "may not remove or update mirror pod annotation");
    else if (before && is && !was)
        kn_check_forbidden(p, path, "may not add mirror pod annotation");
}

static void check_update(struct kn_problems *p, const struct kn_json *obj,
                         const struct kn_json *before)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec), *old = GET(before, spec);
    static const enum kn_atom lists[] = {KN_K_containers, KN_K_initContainers};
    check_whole(p, obj);
    check_mirror(p, obj, before);
    for (size_t i = 0; i < 2; i++) {
        if (kn_json_len(kn_json_get(spec, lists[i])) == kn_json_len(kn_json_get(old, lists[i])))
            continue;
        kn_check_forbidden(p, KN_PATH_SV(path, kn_atom_name(lists[i])),
                           "pod updates may not add or remove containers");
        return;
    }
    check_deadline(p, SUB(path, activeDeadlineSeconds), GET(spec, activeDeadlineSeconds),
                   GET(old, activeDeadlineSeconds));
    check_tolerations_only_added(p, SUB(path, tolerations), GET(spec, tolerations),
                                 GET(old, tolerations));
    check_gates_only_removed(p, SUB(path, schedulingGates), GET(spec, schedulingGates),
                             GET(old, schedulingGates));
    check_spec_fixed(p, path, spec, old);
}

static void check_status(struct kn_problems *p, const struct kn_json *obj,
                         const struct kn_json *before)
{
    const struct kn_path *path = KN_PATH(NULL, "status");
    const struct kn_json *status = GET(obj, status), *v;
    struct kn_sv ip = TEXT(status, podIP), first = TEXT(kn_json_first(GET(status, podIPs)), ip);
    int64_t i = 0;
    if (!kn_sv_eq(TEXT(GET(obj, spec), nodeName), TEXT(GET(before, spec), nodeName)))
        kn_check_forbidden(p, SUB(path, nodeName), "may not be changed directly");
    if (GET(GET(before, status), qosClass))
        kn_check_immutable(p, SUB(path, qosClass), GET(status, qosClass),
                           GET(GET(before, status), qosClass));
    KN_JSON_EACH(v, GET(status, podIPs))
    {
        kn_check_ip(p, KN_PATH_AT(SUB(path, podIPs), i++), TEXT(v, ip));
    }
    if ((ip.len > 0) != (first.len > 0))
        kn_check_invalid(p, SUB(path, podIPs), GET(status, podIPs),
                         "podIP and podIPs must either both be set or both be unset");
    else if (!kn_sv_eq(ip, first))
        kn_check_invalid_text(p, SUB(KN_PATH_AT(SUB(path, podIPs), 0), ip), first,
                              "must be equal to `podIP`");
}

static void check_create(struct kn_problems *p, const struct kn_json *obj)
{
    const struct kn_json *spec = GET(obj, spec);
    const struct kn_path *path = KN_PATH(NULL, "spec");
    check_whole(p, obj);
    check_mirror(p, obj, NULL);
    if (kn_json_len(GET(spec, ephemeralContainers)))
        kn_check_forbidden(p, SUB(path, ephemeralContainers), "cannot be set on create");
    if (TEXT(spec, nodeName).len && kn_json_len(GET(spec, schedulingGates)))
        kn_check_forbidden(p, SUB(path, nodeName),
                           "cannot be set until all schedulingGates have been cleared");
}

void kn_check_pod(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                  struct kn_sv sub)
{
    if (!old)
        check_create(p, obj);
    else if (kn_sv_is(sub, "status"))
        check_status(p, obj, old);
    else if (sub.len == 0)
        check_update(p, obj, old);
    else if (kn_sv_is(sub, "ephemeralcontainers") || kn_sv_is(sub, "resize"))
        check_whole(p, obj);
}
