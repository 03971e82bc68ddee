// What a node may write (upstream's admission plugin NodeRestriction, KEP-279 and KEP-2314). Its
// authorizer looks at what pods bound to the node name; so a node that could bind any pod to itself
// could read every secret. It may create mirror pods that name nothing, change its own Node but not
// what steers pods to it, and ask for tokens of pods that it runs.
#include "apiserver/internal.h"

#define MIRROR "kubernetes.io/config.mirror"

bool kn_is_mirror_pod(const struct kn_json *pod)
{
    return kn_json_get_sv(KN_JSON_AT(pod, KN_K_metadata, KN_K_annotations), KN_SV(MIRROR)) != NULL;
}

struct kn_sv kn_node_of_user(const struct kn_user *u)
{
    static const char prefix[] = "system:node:";
    if (!kn_sv_starts(u->name, kn_sv_c(prefix)) || !kn_user_in(u, "system:nodes"))
        return KN_SV_NULL;
    return kn_sv_from(u->name, sizeof prefix - 1);
}

static bool is(const struct kn_request *r, const char *plural)
{
    const struct kn_resource *hub = r->resource->hub;
    return kn_sv_is(hub->plural, plural) && hub->group.len == 0;
}

__attribute__((format(printf, 3, 4))) static struct kn_status refuse(const struct kn_request *r,
                                                                     struct kn_sv name,
                                                                     const char *format, ...)
{
    struct kn_buf why = KN_BUF(8192);
    va_list args;
    va_start(args, format);
    kn_buf_vaddf(&why, format, args);
    va_end(args);
    struct kn_status s = kn_error(KN_FORBIDDEN, "%.*s \"%.*s\" is forbidden: %.*s",
                                  KN_SV_ARG(kn_qualified_resource(r->arena, r)), KN_SV_ARG(name),
                                  KN_SV_ARG(kn_buf_sv(&why)));
    kn_buf_done(&why);
    return s;
}

// -- what a pod names -----------------------------------------------------------------------------

enum named { NO_OBJECT, SECRET, CONFIG_MAP, CLAIM, TRUST_BUNDLE, TOKEN };

static enum named named_by(const struct kn_json *member)
{
    static const struct {
        enum kn_atom key;
        enum named kind;
    } holders[] = {{KN_K_secret, SECRET},
                   {KN_K_secretRef, SECRET},
                   {KN_K_secretKeyRef, SECRET},
                   {KN_K_nodePublishSecretRef, SECRET},
                   {KN_K_imagePullSecrets, SECRET},
                   {KN_K_configMap, CONFIG_MAP},
                   {KN_K_configMapRef, CONFIG_MAP},
                   {KN_K_configMapKeyRef, CONFIG_MAP},
                   {KN_K_persistentVolumeClaim, CLAIM},
                   {KN_K_ephemeral, CLAIM},
                   {KN_K_clusterTrustBundle, TRUST_BUNDLE},
                   {KN_K_serviceAccountToken, TOKEN}};
    for (size_t i = 0; i < KN_ARRAY_LEN(holders); i++)
        if (member->key == holders[i].key && kn_json_first(member))
            return holders[i].kind; // no value of a map of texts, such as nodeSelector
    return kn_sv_is(kn_json_key(member), "secretName") ? SECRET : NO_OBJECT; // azureFile
}

// Does a value of this kind occur anywhere below? The body's depth is bounded by the parser.
static bool names_any(const struct kn_json *v, enum named kind)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, v)
        if (named_by(c) == kind || names_any(c, kind))
            return true;
    return false;
}

struct kn_status kn_admit_mirror_pod(struct kn_request *r, const struct kn_json *obj)
{
    struct kn_sv name = KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    const struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    if (KN_JSON_STR_AT(spec, KN_K_serviceAccountName).len)
        return refuse(r, name, "a mirror pod may not reference service accounts");
    if (names_any(spec, SECRET))
        return refuse(r, name, "a mirror pod may not reference secrets");
    if (names_any(spec, TOKEN))
        return refuse(r, name, "a mirror pod may not use service account token volume projections");
    return KN_STATUS_OK;
}

// -- pods -----------------------------------------------------------------------------------------

static struct kn_status owned_by_node(struct kn_request *r, const struct kn_json *obj,
                                      struct kn_sv node)
{
    struct kn_sv name = KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    const struct kn_json *owners = KN_JSON_AT(obj, KN_K_metadata, KN_K_ownerReferences);
    const struct kn_json *o = kn_json_first(owners);
    if (kn_json_len(owners) > 1)
        return refuse(r, name,
                      "node \"%.*s\" can only create pods with a single owner reference set "
                      "to itself",
                      KN_SV_ARG(node));
    if (!o || !kn_sv_is(kn_json_str(kn_json_get(o, KN_K_apiVersion)), "v1") ||
        !kn_sv_is(kn_json_str(kn_json_get(o, KN_K_kind)), "Node") ||
        !kn_sv_eq(kn_json_str(kn_json_get(o, KN_K_name)), node))
        return refuse(r, name,
                      "node \"%.*s\" can only create pods with an owner reference set to "
                      "itself",
                      KN_SV_ARG(node));
    if (!kn_json_bool(kn_json_get(o, KN_K_controller), false))
        return refuse(r, name,
                      "node \"%.*s\" can only create pods with a controller owner reference "
                      "set to itself",
                      KN_SV_ARG(node));
    if (kn_json_bool(kn_json_get(o, KN_K_blockOwnerDeletion), false))
        return refuse(r, name,
                      "node \"%.*s\" must not set blockOwnerDeletion on an owner reference",
                      KN_SV_ARG(node));
    struct kn_sv uid = kn_json_str(kn_json_get(o, KN_K_uid));
    KN_CLEANUP(kn_obj_cleanup)
    const struct kn_obj *self = kn_cache_get(kn_core_cache(r->server, "nodes"), KN_SV_NULL, node);
    if (!self)
        return kn_error(KN_NOT_FOUND, "node \"%.*s\" not found", KN_SV_ARG(node));
    if (!kn_sv_eq(uid, self->uid))
        return refuse(r, name, "node %.*s UID mismatch: expected %.*s got %.*s", KN_SV_ARG(node),
                      KN_SV_ARG(uid), KN_SV_ARG(self->uid));
    return KN_STATUS_OK;
}

static struct kn_status create_pod(struct kn_request *r, const struct kn_json *obj,
                                   struct kn_sv node)
{
    static const struct {
        enum named kind;
        const char *what;
    } refused[] = {{SECRET, "secrets"},
                   {CONFIG_MAP, "configmaps"},
                   {TRUST_BUNDLE, "clustertrustbundles"},
                   {CLAIM, "persistentvolumeclaims"}};
    struct kn_sv name = KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    const struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    if (!kn_is_mirror_pod(obj))
        return refuse(r, name,
                      "pod does not have \"" MIRROR "\" annotation, node \"%.*s\" can only "
                      "create mirror pods",
                      KN_SV_ARG(node));
    if (!kn_sv_eq(KN_JSON_STR_AT(spec, KN_K_nodeName), node))
        return refuse(r, name,
                      "node \"%.*s\" can only create pods with spec.nodeName set to itself",
                      KN_SV_ARG(node));
    KN_TRY(owned_by_node(r, obj, node));
    if (KN_JSON_STR_AT(spec, KN_K_serviceAccountName).len)
        return refuse(r, name, "node \"%.*s\" can not create pods that reference a service account",
                      KN_SV_ARG(node));
    for (size_t i = 0; i < KN_ARRAY_LEN(refused); i++)
        if (names_any(spec, refused[i].kind))
            return refuse(r, name, "node \"%.*s\" can not create pods that reference %s",
                          KN_SV_ARG(node), refused[i].what);
    if (kn_json_len(kn_json_get(spec, KN_K_resourceClaims)))
        return refuse(r, name, "node \"%.*s\" can not create pods that reference resourceclaims",
                      KN_SV_ARG(node));
    return KN_STATUS_OK;
}

static struct kn_status change_pod(struct kn_request *r, const struct kn_json *obj,
                                   const struct kn_obj *old, struct kn_sv node)
{
    bool own = kn_sv_eq(KN_JSON_STR_AT(old->root, KN_K_spec, KN_K_nodeName), node);
    if (!obj)
        return own ? KN_STATUS_OK
                   : refuse(r, old->name,
                            "node \"%.*s\" can only delete pods with spec.nodeName set "
                            "to itself",
                            KN_SV_ARG(node));
    if (!own)
        return refuse(r, old->name,
                      "node \"%.*s\" can only update pod status for pods with "
                      "spec.nodeName set to itself",
                      KN_SV_ARG(node));
    if (r->subresource.len == 0)
        return refuse(r, old->name,
                      "unexpected operation \"UPDATE\", node \"%.*s\" can only create "
                      "and delete mirror pods",
                      KN_SV_ARG(node));
    if (!kn_json_equal(KN_JSON_AT(obj, KN_K_metadata, KN_K_labels), old->labels) &&
        (kn_json_len(KN_JSON_AT(obj, KN_K_metadata, KN_K_labels)) || kn_json_len(old->labels)))
        return refuse(r, old->name, "node \"%.*s\" cannot update labels through pod status",
                      KN_SV_ARG(node));
    if (!kn_json_equal(KN_JSON_AT(obj, KN_K_status, KN_K_resourceClaimStatuses),
                       KN_JSON_AT(old->root, KN_K_status, KN_K_resourceClaimStatuses)))
        return refuse(r, old->name, "node \"%.*s\" cannot update resource claim statues",
                      KN_SV_ARG(node));
    return KN_STATUS_OK;
}

// -- nodes ----------------------------------------------------------------------------------------

// Is it this domain, or one below it?
static bool in_domain(struct kn_sv domain, const char *of)
{
    struct kn_sv end = kn_sv_c(of);
    return kn_sv_eq(domain, end) || (domain.len > end.len && kn_sv_ends(domain, end) &&
                                     domain.ptr[domain.len - end.len - 1] == '.');
}

static bool is_label_of_agents(struct kn_sv label, struct kn_sv domain)
{
    static const char *const labels[] = {"kubernetes.io/hostname",
                                         "kubernetes.io/os",
                                         "kubernetes.io/arch",
                                         "beta.kubernetes.io/os",
                                         "beta.kubernetes.io/arch",
                                         "beta.kubernetes.io/instance-type",
                                         "node.kubernetes.io/instance-type",
                                         "topology.kubernetes.io/zone",
                                         "topology.kubernetes.io/region",
                                         "failure-domain.beta.kubernetes.io/zone",
                                         "failure-domain.beta.kubernetes.io/region"};
    for (size_t i = 0; i < KN_ARRAY_LEN(labels); i++)
        if (kn_sv_is(label, labels[i]))
            return true;
    return in_domain(domain, "kubelet.kubernetes.io") || in_domain(domain, "node.kubernetes.io");
}

static bool is_forbidden_label(struct kn_sv label)
{
    struct kn_sv rest = label, domain = kn_sv_cut(&rest, '/');
    if (!rest.ptr)
        return false;
    if (in_domain(domain, "node-restriction.kubernetes.io"))
        return true;
    return (in_domain(domain, "kubernetes.io") || in_domain(domain, "k8s.io")) &&
           !is_label_of_agents(label, domain);
}

// The labels of `a` that `b` has not, or not so.
static void list_forbidden(const struct kn_json *a, const struct kn_json *b, bool missing_only,
                           struct kn_buf *out)
{
    const struct kn_json *l;
    KN_JSON_EACH (l, a) {
        const struct kn_json *other = kn_json_get_sv(b, kn_json_key(l));
        bool differs = !other || (!missing_only && !kn_json_equal(l, other));
        if (differs && is_forbidden_label(kn_json_key(l)))
            kn_buf_addf(out, "%s%.*s", out->len ? ", " : "", KN_SV_ARG(kn_json_key(l)));
    }
}

static struct kn_status forbidden_labels(struct kn_request *r, const struct kn_json *obj,
                                         const struct kn_obj *old, struct kn_sv node)
{
    const struct kn_json *now = KN_JSON_AT(obj, KN_K_metadata, KN_K_labels);
    const struct kn_json *before = old ? old->labels : NULL;
    struct kn_buf list = KN_BUF(4096);
    list_forbidden(now, before, false, &list);
    list_forbidden(before, now, true, &list);
    struct kn_status s = KN_STATUS_OK;
    if (list.len && old)
        s = refuse(r, node, "is not allowed to modify labels: %.*s", KN_SV_ARG(kn_buf_sv(&list)));
    else if (list.len)
        s = refuse(r, node, "node \"%.*s\" is not allowed to set the following labels: %.*s",
                   KN_SV_ARG(node), KN_SV_ARG(kn_buf_sv(&list)));
    kn_buf_done(&list);
    return s;
}

static struct kn_status change_node(struct kn_request *r, const struct kn_json *obj,
                                    const struct kn_obj *old, struct kn_sv node)
{
    struct kn_sv name = old ? old->name : KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    if (!kn_sv_eq(name, node))
        return refuse(r, name, "node \"%.*s\" is not allowed to modify node \"%.*s\"",
                      KN_SV_ARG(node), KN_SV_ARG(name));
    if (!obj)
        return KN_STATUS_OK;
    const struct kn_json *source = KN_JSON_AT(obj, KN_K_spec, KN_K_configSource);
    if (source && !old)
        return refuse(r, name,
                      "node \"%.*s\" is not allowed to create pods with a non-nil "
                      "configSource",
                      KN_SV_ARG(node));
    if (source && !kn_json_equal(source, KN_JSON_AT(old->root, KN_K_spec, KN_K_configSource)))
        return refuse(r, name,
                      "node \"%.*s\" is not allowed to update configSource to a new non-nil "
                      "configSource",
                      KN_SV_ARG(node));
    const struct kn_json *taints = KN_JSON_AT(obj, KN_K_spec, KN_K_taints);
    const struct kn_json *had = old ? KN_JSON_AT(old->root, KN_K_spec, KN_K_taints) : NULL;
    if (old && (kn_json_len(taints) || kn_json_len(had)) && !kn_json_equal(taints, had))
        return refuse(r, name, "node \"%.*s\" is not allowed to modify taints", KN_SV_ARG(node));
    return forbidden_labels(r, obj, old, node);
}

// -- leases, tokens -------------------------------------------------------------------------------

static struct kn_status change_lease(struct kn_request *r, const struct kn_json *obj,
                                     const struct kn_obj *old, struct kn_sv node)
{
    struct kn_sv name = old ? old->name : KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    if (!kn_sv_is(r->ns, "kube-node-lease"))
        return refuse(r, name,
                      "can only access leases in the \"kube-node-lease\" system namespace");
    if (!kn_sv_eq(name, node))
        return refuse(r, name,
                      "can only access node lease with the same name as the requesting node");
    return KN_STATUS_OK;
}

struct kn_status kn_node_admit_token(struct kn_request *r, const struct kn_json *ref)
{
    struct kn_sv node = kn_node_of_user(r->user);
    if (!node.len)
        return KN_STATUS_OK;
    struct kn_sv name = kn_json_str(kn_json_get(ref, KN_K_name));
    struct kn_sv uid = kn_json_str(kn_json_get(ref, KN_K_uid));
    if (!kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_apiVersion)), "v1") ||
        !kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "Pod") || name.len == 0)
        return refuse(r, r->name, "node requested token not bound to a pod");
    if (uid.len == 0)
        return refuse(r, r->name, "node requested token with a pod binding without a uid");
    KN_CLEANUP(kn_obj_cleanup)
    const struct kn_obj *pod = kn_cache_get(kn_core_cache(r->server, "pods"), r->ns, name);
    if (!pod)
        return kn_error(KN_NOT_FOUND, "pod \"%.*s\" not found", KN_SV_ARG(name));
    if (!kn_sv_eq(uid, pod->uid))
        return refuse(r, r->name,
                      "the UID in the bound object reference (%.*s) does not match the "
                      "UID in record. The object might have been deleted and then "
                      "recreated",
                      KN_SV_ARG(uid));
    if (!kn_sv_eq(KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName), node))
        return refuse(r, r->name,
                      "node requested token bound to a pod scheduled on a different node");
    return KN_STATUS_OK;
}

struct kn_status kn_node_restriction(struct kn_request *r, const struct kn_json *obj,
                                     const struct kn_obj *old)
{
    struct kn_sv node = kn_node_of_user(r->user);
    if (!node.len)
        return KN_STATUS_OK;
    if (is(r, "nodes"))
        return change_node(r, obj, old, node);
    if (is(r, "pods"))
        return old ? change_pod(r, obj, old, node) : create_pod(r, obj, node);
    if (kn_sv_is(r->resource->hub->plural, "leases"))
        return change_lease(r, obj, old, node);
    return KN_STATUS_OK;
}
