// What a node agent may do (upstream's node authorizer): the rules of the role system:node, but of
// secrets, config maps and tokens only those that a pod bound to the node names, and of leases only
// its own.
#include "apiserver/internal.h"

static void nodes_of_pod(const struct kn_obj *pod, kn_index_emit *emit, void *ctx)
{
    struct kn_sv node = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName);
    if (node.len)
        emit(ctx, node);
}

static struct kn_cache *pods(struct kn_apiserver *s)
{
    return kn_rest_find(s, kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("pods")))->cache;
}

struct look {
    struct kn_sv ns, name;
    bool secret;  // or a config map
    bool account; // or a service account
    bool found;
};

// Does the value of a member that names a secret (config map) occur anywhere below?
static bool names_it(const struct kn_json *v, const struct look *l)
{
    const struct kn_json *c;
    KN_JSON_EACH(c, v)
    {
        bool holder = l->secret ? c->key == KN_K_secret || c->key == KN_K_secretRef ||
                                      c->key == KN_K_secretKeyRef || c->key == KN_K_imagePullSecrets
                                : c->key == KN_K_configMap || c->key == KN_K_configMapRef ||
                                      c->key == KN_K_configMapKeyRef;
        if (holder && kn_json_is_object(c) &&
            (kn_sv_eq(kn_json_str(kn_json_get(c, KN_K_name)), l->name) ||
             kn_sv_eq(kn_json_str(kn_json_get(c, KN_K_secretName)), l->name)))
            return true;
        const struct kn_json *item;
        if (holder && kn_json_is_array(c))
            KN_JSON_EACH(item, c)
            if (kn_sv_eq(kn_json_str(kn_json_get(item, KN_K_name)), l->name))
                return true;
        if (names_it(c, l))
            return true;
    }
    return false;
}

static bool look_at(void *arg, const struct kn_obj *pod)
{
    struct look *l = arg;
    if (!kn_sv_eq(pod->ns, l->ns))
        return true;
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    if (l->account)
        l->found = kn_sv_eq(KN_JSON_STR_AT(spec, KN_K_serviceAccountName), l->name);
    else
        l->found = names_it(spec, l);
    return !l->found;
}

static bool is_named(struct kn_apiserver *s, struct kn_sv node, struct look *l)
{
    struct kn_cache *cache = pods(s);
    kn_cache_by_index(cache, kn_cache_add_index(cache, nodes_of_pod), node, look_at, l);
    return l->found;
}

static struct kn_status no(const struct kn_attributes *q, const char *why)
{
    return kn_error(KN_FORBIDDEN, "%.*s \"%.*s\" is forbidden: User \"%.*s\" cannot %s it: %s",
                    KN_SV_ARG(q->resource), KN_SV_ARG(q->name), KN_SV_ARG(q->user->name), q->verb,
                    why);
}

static bool verb_in(const struct kn_attributes *q, const char *a, const char *b, const char *c)
{
    return strcmp(q->verb, a) == 0 || strcmp(q->verb, b) == 0 || strcmp(q->verb, c) == 0;
}

struct kn_status kn_node_authorize(struct kn_apiserver *s, const struct kn_attributes *q)
{
    struct kn_sv node = kn_node_of_user(q->user);
    if (!node.len)
        return kn_error(KN_NOT_FOUND, "no node");
    bool core = q->is_resource && q->group.len == 0;
    struct look l = {.ns = q->ns, .name = q->name};
    if (core && (kn_sv_is(q->resource, "secrets") || kn_sv_is(q->resource, "configmaps"))) {
        l.secret = kn_sv_is(q->resource, "secrets");
        if (!verb_in(q, "get", "list", "watch") || q->name.len == 0)
            return no(q, "a node can only read individual resources of this type");
        return is_named(s, node, &l) ? KN_STATUS_OK
                                     : no(q, "no pod that is bound to the node names it");
    }
    if (core && kn_sv_is(q->resource, "serviceaccounts")) {
        l.account = true;
        if (strcmp(q->verb, "create") != 0 || !kn_sv_is(q->subresource, "token"))
            return no(q, "a node can only request tokens");
        return is_named(s, node, &l) ? KN_STATUS_OK
                                     : no(q, "no pod that is bound to the node runs as it");
    }
    if (q->is_resource && kn_sv_is(q->group, "coordination.k8s.io") &&
        kn_sv_is(q->resource, "leases")) {
        if (!kn_sv_is(q->ns, "kube-node-lease"))
            return no(q, "a node can only access leases in the namespace kube-node-lease");
        if (strcmp(q->verb, "create") != 0 && !kn_sv_eq(q->name, node))
            return no(q, "a node can only access its own lease");
        return KN_STATUS_OK;
    }
    const struct kn_resource *roles =
        kn_resource_find(KN_SV("rbac.authorization.k8s.io"), KN_SV("v1"), KN_SV("clusterroles"));
    const struct kn_obj *role =
        kn_cache_get(kn_rest_find(s, roles)->cache, KN_SV_NULL, KN_SV("system:node"));
    bool allowed = role && kn_rbac_role_allows(role->root, q);
    kn_obj_unref(role);
    return allowed ? KN_STATUS_OK : kn_error(KN_NOT_FOUND, "no opinion");
}
