// Defaults of core/v1 that depend on something.
#include "meta/defaults_code.h"
#include "meta/types.h"

KN_TYPES_WITH_DEFAULTS(KN_DEFAULT_DECLARE)

// -- pods ------------------------------------------------------------------------------------

static void requests_from_limits(struct kn_arena *a, struct kn_json *containers)
{
    struct kn_json *c;
    KN_JSON_EACH (c, containers) {
        struct kn_json *resources = kn_json_get(c, KN_K_resources);
        const struct kn_json *limits = kn_json_get(resources, KN_K_limits);
        if (kn_json_len(limits))
            kn_default_missing(a, kn_json_ensure_object(a, resources, KN_K_requests), limits);
    }
}

static void host_ports(struct kn_arena *a, struct kn_json *containers)
{
    struct kn_json *c, *port;
    KN_JSON_EACH (c, containers)
        KN_JSON_EACH (port, kn_json_get(c, KN_K_ports))
            kn_default_int(a, port, KN_K_hostPort,
                           kn_json_int(kn_json_get(port, KN_K_containerPort), 0));
}

void kn_default_core_v1_Pod(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    if (!spec)
        return;
    if (kn_json_int(kn_json_get(spec, KN_K_terminationGracePeriodSeconds), 0) < 0)
        kn_json_set_int(a, spec, KN_K_terminationGracePeriodSeconds, 1);
    struct kn_json *containers = kn_json_get(spec, KN_K_containers);
    struct kn_json *init = kn_json_get(spec, KN_K_initContainers);
    requests_from_limits(a, containers);
    requests_from_limits(a, init);
    kn_default_bool(a, spec, KN_K_enableServiceLinks, true);
    if (kn_json_bool(kn_json_get(spec, KN_K_hostNetwork), false)) {
        host_ports(a, containers);
        host_ports(a, init);
    }
}

void kn_default_core_v1_PodSpec(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_sv name = kn_json_str(kn_json_get(obj, KN_K_serviceAccountName));
    if (name.len == 0)
        name = kn_json_str(kn_json_get(obj, KN_K_serviceAccount));
    if (name.len == 0)
        return;
    kn_json_set_str(a, obj, KN_K_serviceAccountName, name);
    kn_json_set_str(a, obj, KN_K_serviceAccount, name); // the old name of the field, kept the same
}

void kn_default_core_v1_PodStatus(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_sv ip = kn_json_str(kn_json_get(obj, KN_K_podIP));
    struct kn_json *ips = kn_json_get(obj, KN_K_podIPs);
    struct kn_sv first = kn_json_str(kn_json_get(kn_json_item(ips, 0), KN_K_ip));
    if (ip.len == 0 && first.len) {
        kn_json_set_str(a, obj, KN_K_podIP, first);
    } else if (ip.len && !kn_sv_eq(ip, first)) {
        ips = kn_json_ensure_array(a, obj, KN_K_podIPs);
        kn_json_clear(ips);
        struct kn_json *item = kn_json_append(ips, kn_json_new_object(a));
        kn_json_set_str(a, item, KN_K_ip, ip);
    }
}

// Whether an image reference means the tag "latest", said or unsaid.
static bool is_latest(struct kn_sv image)
{
    ptrdiff_t at = kn_sv_find(image, '@');
    struct kn_sv name = at < 0 ? image : kn_sv_first(image, (size_t)at);
    ptrdiff_t slash = kn_sv_rfind(name, '/'), colon = kn_sv_rfind(name, ':');
    struct kn_sv tag = KN_SV_NULL;
    if (colon > slash) {
        tag = kn_sv_from(name, (size_t)colon + 1);
        name = kn_sv_first(name, (size_t)colon);
    }
    if (name.len == 0)
        return false;
    for (size_t i = slash < 0 ? 0 : (size_t)slash; i < name.len; i++)
        if ((name.ptr[i] >= 'A' && name.ptr[i] <= 'Z') || name.ptr[i] <= ' ')
            return false; // no valid reference: upstream finds no tag in it
    return colon > slash ? kn_sv_is(tag, "latest") : at < 0;
}

static void pull_policy(struct kn_arena *a, struct kn_json *obj, enum kn_atom key,
                        struct kn_sv image)
{
    kn_default_str(a, obj, key, is_latest(image) ? "Always" : "IfNotPresent");
}

void kn_default_core_v1_Container(struct kn_arena *a, struct kn_json *obj)
{
    pull_policy(a, obj, KN_K_imagePullPolicy, kn_json_str(kn_json_get(obj, KN_K_image)));
}

void kn_default_core_v1_EphemeralContainer(struct kn_arena *a, struct kn_json *obj)
{
    kn_default_core_v1_Container(a, obj);
}

void kn_default_core_v1_Volume(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *m;
    KN_JSON_EACH (m, obj)
        if (m->key != KN_K_name)
            return;
    kn_json_ensure_object(a, obj, KN_K_emptyDir);
}

void kn_default_core_v1_ImageVolumeSource(struct kn_arena *a, struct kn_json *obj)
{
    pull_policy(a, obj, KN_K_pullPolicy, kn_json_str(kn_json_get(obj, KN_K_reference)));
}

void kn_default_core_v1_ReplicationController(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    const struct kn_json *labels = KN_JSON_AT(spec, KN_K_template, KN_K_metadata, KN_K_labels);
    if (labels && kn_json_len(kn_json_get(spec, KN_K_selector)) == 0)
        kn_json_set(a, spec, KN_K_selector, kn_json_copy(a, labels));
    kn_default_labels_from_template(a, obj, false);
}

// -- services --------------------------------------------------------------------------------

static void session_affinity(struct kn_arena *a, struct kn_json *spec)
{
    kn_default_str(a, spec, KN_K_sessionAffinity, "None");
    if (kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_sessionAffinity)), "None")) {
        kn_json_remove(spec, KN_K_sessionAffinityConfig);
        return;
    }
    if (!kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_sessionAffinity)), "ClientIP") ||
        KN_JSON_AT(spec, KN_K_sessionAffinityConfig, KN_K_clientIP, KN_K_timeoutSeconds))
        return;
    struct kn_json *config = kn_json_ensure_object(a, spec, KN_K_sessionAffinityConfig);
    struct kn_json *client = kn_json_ensure_object(a, config, KN_K_clientIP);
    kn_json_set_int(a, client, KN_K_timeoutSeconds, 10800);
}

static void service_ports(struct kn_arena *a, struct kn_json *ports)
{
    struct kn_json *port;
    KN_JSON_EACH (port, ports) {
        const struct kn_json *target = kn_json_get(port, KN_K_targetPort);
        bool set =
            kn_json_is_string(target) ? kn_json_len(target) > 0 : kn_json_int(target, 0) != 0;
        if (!set)
            kn_json_set_int(a, port, KN_K_targetPort,
                            kn_json_int(kn_json_get(port, KN_K_port), 0));
    }
}

void kn_default_core_v1_Service(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec), *ingress;
    session_affinity(a, spec);
    kn_default_str(a, spec, KN_K_type, "ClusterIP");
    service_ports(a, kn_json_get(spec, KN_K_ports));
    struct kn_sv type = kn_json_str(kn_json_get(spec, KN_K_type));
    bool balancer = kn_sv_is(type, "LoadBalancer"), node = kn_sv_is(type, "NodePort");
    bool cluster = kn_sv_is(type, "ClusterIP");
    if (balancer || node || (cluster && kn_json_len(kn_json_get(spec, KN_K_externalIPs))))
        kn_default_str(a, spec, KN_K_externalTrafficPolicy, "Cluster");
    if (balancer || node || cluster)
        kn_default_str(a, spec, KN_K_internalTrafficPolicy, "Cluster");
    if (!balancer)
        return;
    kn_default_bool(a, spec, KN_K_allocateLoadBalancerNodePorts, true);
    KN_JSON_EACH (ingress, KN_JSON_AT(obj, KN_K_status, KN_K_loadBalancer, KN_K_ingress))
        if (kn_json_str(kn_json_get(ingress, KN_K_ip)).len)
            kn_default_str(a, ingress, KN_K_ipMode, "VIP");
}

// -- the rest --------------------------------------------------------------------------------

void kn_default_core_v1_PersistentVolume(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    kn_default_str(a, spec, KN_K_persistentVolumeReclaimPolicy, "Retain");
    kn_default_str(a, spec, KN_K_volumeMode, "Filesystem");
}

void kn_default_core_v1_Namespace(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *metadata = kn_json_get(obj, KN_K_metadata);
    struct kn_sv name = kn_json_str(kn_json_get(metadata, KN_K_name));
    if (name.len)
        kn_json_set_sv(a, kn_json_ensure_object(a, metadata, KN_K_labels),
                       KN_SV("kubernetes.io/metadata.name"), kn_json_new_str(a, name));
}

void kn_default_core_v1_NodeStatus(struct kn_arena *a, struct kn_json *obj)
{
    const struct kn_json *capacity = kn_json_get(obj, KN_K_capacity);
    if (capacity && !kn_json_get(obj, KN_K_allocatable))
        kn_json_set(a, obj, KN_K_allocatable, kn_json_copy(a, capacity));
}

void kn_default_core_v1_LimitRangeItem(struct kn_arena *a, struct kn_json *obj)
{
    if (!kn_sv_is(kn_json_str(kn_json_get(obj, KN_K_type)), "Container"))
        return;
    struct kn_json *limits = kn_json_ensure_object(a, obj, KN_K_default);
    struct kn_json *requests = kn_json_ensure_object(a, obj, KN_K_defaultRequest);
    kn_default_missing(a, limits, kn_json_get(obj, KN_K_max));
    kn_default_missing(a, requests, limits);
    kn_default_missing(a, requests, kn_json_get(obj, KN_K_min));
    if (kn_json_len(limits) == 0)
        kn_json_remove(obj, KN_K_default);
    if (kn_json_len(requests) == 0)
        kn_json_remove(obj, KN_K_defaultRequest);
}
