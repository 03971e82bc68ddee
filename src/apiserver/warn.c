// Warnings about what is accepted and stored, but does not do yet what it says: kinds that nothing
// enforces, and fields of pods that nodes do not honour. Whoever applies a manifest reads them at
// once, rather than finding out. A row goes when its field works.
#include "apiserver/internal.h"

static const struct {
    const char *group, *plural, *words;
} kinds[] = {
    {"", "limitranges", "a LimitRange is stored but not enforced yet"},
    {"", "persistentvolumeclaims",
     "a PersistentVolumeClaim is stored but not bound yet: pods that use "
     "it do not start"},
    {"", "replicationcontrollers",
     "a ReplicationController is stored but makes no pods yet: use a "
     "Deployment"},
    {"", "resourcequotas", "a ResourceQuota is stored but not enforced yet"},
};

// -- when a value counts --------------------------------------------------------------------------

typedef bool counts(const struct kn_json *v, const struct kn_json *parent);

static bool is_set(const struct kn_json *v, const struct kn_json *parent __attribute__((unused)))
{
    return !kn_json_is_null(v) && (kn_json_type(v) < KN_JSON_STRING || kn_json_len(v) > 0);
}

static bool is_there(const struct kn_json *v, const struct kn_json *parent __attribute__((unused)))
{
    return !kn_json_is_null(v);
}

static bool is_false(const struct kn_json *v, const struct kn_json *parent __attribute__((unused)))
{
    return !kn_json_bool(v, true);
}

static bool is_true(const struct kn_json *v, const struct kn_json *parent __attribute__((unused)))
{
    return kn_json_bool(v, false);
}

static bool is_https(const struct kn_json *v, const struct kn_json *parent __attribute__((unused)))
{
    return kn_sv_is(kn_json_str(v), "HTTPS");
}

static bool is_confined(const struct kn_json *v,
                        const struct kn_json *parent __attribute__((unused)))
{
    return kn_json_len(v) && !kn_sv_ieq(kn_json_str(v), KN_SV("unconfined"));
}

static bool is_local(const struct kn_json *v, const struct kn_json *parent __attribute__((unused)))
{
    return kn_sv_is(kn_json_str(v), "Localhost");
}

static bool is_no_sidecar(const struct kn_json *v,
                          const struct kn_json *parent __attribute__((unused)))
{
    return kn_json_len(v) && !kn_sv_is(kn_json_str(v), "Always");
}

static bool is_unknown_volume(const struct kn_json *v,
                              const struct kn_json *parent __attribute__((unused)))
{
    static const enum kn_atom known[] = {KN_K_emptyDir, KN_K_hostPath,    KN_K_configMap,
                                         KN_K_secret,   KN_K_downwardAPI, KN_K_projected};
    for (size_t i = 0; i < KN_ARRAY_LEN(known); i++)
        if (v->key == known[i])
            return false;
    return kn_json_is_object(v);
}

// -- fields of a pod ------------------------------------------------------------------------------

// From the pod's spec (or, with a leading '/', from the pod or template): "[]" goes into each
// element, "x*" into each member that begins so, "{c}" and "{probe}" stand for several names.
#define HTTPS "HTTPS in probes and hooks is not supported yet: it fails"
#define GRPC "gRPC probes are not supported yet: they fail"
#define APPARMOR "AppArmor profiles are not applied yet: the pod does not start"
#define SELINUX "SELinux options are not applied yet"

static const struct {
    const char *path;
    counts *when;
    const char *words;
} fields[] = {
    {"hostUsers", is_false, "user namespaces are not supported yet: the pod does not start"},
    {"shareProcessNamespace", is_true, "not supported yet: the pod does not start"},
    {"hostnameOverride", is_set, "not supported yet: the pod keeps its usual host name"},
    {"runtimeClassName", is_set, "runtime classes are not supported yet: the pod does not start"},
    {"resourceClaims", is_set, "resource claims are not supported yet: no device is given"},
    {"resources", is_set,
     "resources of the whole pod are not applied yet: those of containers are"},
    {"securityContext.appArmorProfile.type", is_confined, APPARMOR},
    {"securityContext.seLinuxOptions", is_set, SELINUX},
    {"securityContext.seccompProfile.type", is_local,
     "profiles of the node's own are not supported yet: "
     "the pod does not start"},
    {"{c}[].securityContext.appArmorProfile.type", is_confined, APPARMOR},
    {"{c}[].securityContext.seLinuxOptions", is_set, SELINUX},
    {"{c}[].securityContext.seccompProfile.type", is_local,
     "profiles of the node's own are not supported "
     "yet: the container does not start"},
    {"/metadata.annotations.container.apparmor.security.beta.kubernetes.io/*", is_confined,
     APPARMOR},
    {"containers[].restartPolicy", is_set,
     "restart policies of single containers are not supported yet: "
     "the pod's counts"},
    {"initContainers[].restartPolicy", is_no_sidecar, "only \"Always\" is supported yet"},
    {"{c}[].restartPolicyRules", is_set, "not supported yet: the pod's restart policy counts"},
    {"{c}[].resources.limits.ephemeral-storage", is_set, "not enforced yet"},
    {"{c}[].resources.limits.hugepages-*", is_set, "huge pages are not supported yet"},
    {"{c}[].env[].valueFrom.fileKeyRef", is_there,
     "not supported yet: the container does not start"},
    {"{c}[].{probe}.httpGet.scheme", is_https, HTTPS},
    {"{c}[].{probe}.grpc", is_there, GRPC},
    {"{c}[].lifecycle.postStart.httpGet.scheme", is_https, HTTPS},
    {"{c}[].lifecycle.preStop.httpGet.scheme", is_https, HTTPS},
    {"volumes[].projected.sources[].clusterTrustBundle", is_there,
     "not supported yet: the pod does not "
     "start"},
    {"volumes[].projected.sources[].podCertificate", is_there,
     "not supported yet: the pod does not start"},
    {"volumes[].*", is_unknown_volume,
     "volumes of this kind are not supported yet: the pod does not "
     "start"},
};

struct walk {
    struct kn_request *r;
    counts *when;
    const char *words;
};

static void visit(struct walk *w, const struct kn_json *v, const struct kn_json *parent,
                  struct kn_sv rest, const struct kn_path *at);

// All members that one step names.
static void step(struct walk *w, const struct kn_json *v, struct kn_sv name, struct kn_sv rest,
                 const struct kn_path *at)
{
    const struct kn_json *m;
    bool prefix = kn_sv_ends(name, KN_SV("*"));
    struct kn_sv begin = prefix ? kn_sv_first(name, name.len - 1) : name;
    if (!prefix) {
        m = kn_json_get_sv(v, name);
        if (m)
            visit(w, m, v, rest, KN_PATH_SV(at, name));
        return;
    }
    KN_JSON_EACH (m, v)
        if (kn_json_is_object(v) && kn_sv_starts(kn_json_key(m), begin))
            visit(w, m, v, rest, KN_PATH_SV(at, kn_json_key(m)));
}

static void visit(struct walk *w, const struct kn_json *v, const struct kn_json *parent,
                  struct kn_sv rest, const struct kn_path *at)
{
    static const char *const containers[] = {"containers", "initContainers", "ephemeralContainers"};
    static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"};
    if (rest.len == 0) {
        if (w->when(v, parent))
            kn_answer_warn(w->r, "%.*s: %s", KN_SV_ARG(kn_path_text(w->r->arena, at)), w->words);
        return;
    }
    if (kn_sv_starts(rest, KN_SV("[]"))) {
        const struct kn_json *item;
        int64_t i = 0;
        rest = kn_sv_from(rest, 2 + (rest.len > 2)); // and the dot
        KN_JSON_EACH (item, v) {
            visit(w, item, v, rest, KN_PATH_AT(at, i));
            i++;
        }
        return;
    }
    size_t end = 0; // of this step
    bool key = kn_sv_starts(rest, KN_SV("container.apparmor")); // a name with dots
    while (end < rest.len && (key || (rest.ptr[end] != '.' && rest.ptr[end] != '[')))
        end++;
    struct kn_sv name = kn_sv_first(rest, end);
    rest = kn_sv_from(rest, end + (end < rest.len && rest.ptr[end] == '.'));
    const char *const *several = kn_sv_is(name, "{c}")       ? containers
                                 : kn_sv_is(name, "{probe}") ? probes
                                                             : NULL;
    for (size_t i = 0; several && i < 3; i++)
        step(w, v, kn_sv_c(several[i]), rest, at);
    if (!several)
        step(w, v, name, rest, at);
}

static void warn_pod(struct kn_request *r, const struct kn_json *pod, const struct kn_path *at)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(fields); i++) {
        struct walk w = {r, fields[i].when, fields[i].words};
        struct kn_sv path = kn_sv_c(fields[i].path);
        if (path.ptr[0] == '/')
            visit(&w, pod, NULL, kn_sv_from(path, 1), at);
        else
            visit(&w, kn_json_get(pod, KN_K_spec), pod, path, KN_PATH(at, "spec"));
    }
}

void kn_warn_unfulfilled(struct kn_request *r, const struct kn_json *obj)
{
    static const char *const with_template[] = {"daemonsets", "deployments", "replicasets",
                                                "replicationcontrollers", "statefulsets"};
    const struct kn_resource *hub = r->resource->hub;
    if (!r->http || r->subresource.len)
        return; // nobody reads it
    for (size_t i = 0; i < KN_ARRAY_LEN(kinds); i++)
        if (kn_sv_is(hub->plural, kinds[i].plural) && kn_sv_is(hub->group, kinds[i].group))
            kn_answer_warn(r, "%s", kinds[i].words);
    if (kn_sv_is(hub->plural, "services") &&
        kn_json_len(KN_JSON_AT(obj, KN_K_spec, KN_K_externalIPs)))
        kn_answer_warn(r, "spec.externalIPs is deprecated and may no longer be implemented in some "
                          "clusters"); // upstream's words
    if (kn_sv_is(hub->plural, "pods"))
        warn_pod(r, obj, NULL);
    if (kn_sv_is(hub->plural, "podtemplates"))
        warn_pod(r, kn_json_get(obj, KN_K_template), KN_PATH(NULL, "template"));
    for (size_t i = 0; i < KN_ARRAY_LEN(with_template); i++)
        if (kn_sv_is(hub->plural, with_template[i]))
            warn_pod(r, KN_JSON_AT(obj, KN_K_spec, KN_K_template),
                     KN_PATH(KN_PATH(NULL, "spec"), "template"));
}
