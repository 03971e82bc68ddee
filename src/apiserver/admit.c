// Admission: what the platform adds to an object, and what it refuses. Each plugin is a row; names
// and effects are upstream's.
#include "apiserver/internal.h"

static bool is(const struct kn_request *r, const char *group, const char *plural)
{
    const struct kn_resource *hub = r->resource->hub;
    return kn_sv_is(hub->plural, plural) && kn_sv_is(hub->group, group);
}

static struct kn_status forbid(struct kn_request *r, struct kn_sv name, const char *why)
{
    const struct kn_resource *hub = r->resource->hub;
    struct kn_status s = kn_error(KN_FORBIDDEN, "%.*s \"%.*s\" is forbidden: %s",
                                  KN_SV_ARG(kn_qualified_resource(r->arena, r)), KN_SV_ARG(name),
                                  why);
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(64 << 10);
    kn_buf_addc(&b, "{\"name\":");
    kn_json_encode_str(&b, name);
    if (hub->group.len) {
        kn_buf_addc(&b, ",\"group\":");
        kn_json_encode_str(&b, hub->group);
    }
    kn_buf_addc(&b, ",\"kind\":");
    kn_json_encode_str(&b, hub->plural);
    kn_buf_addc(&b, "}");
    return b.failed ? s : kn_status_with_details(s, kn_buf_sv(&b));
}

// -- NamespaceLifecycle ---------------------------------------------------------------------------

static struct kn_status namespace_lifecycle(struct kn_request *r, const struct kn_json *obj)
{
    if (!r->resource->namespaced)
        return KN_STATUS_OK;
    const struct kn_obj *ns =
        kn_cache_get(kn_core_cache(r->server, "namespaces"), KN_SV_NULL, r->ns);
    if (!ns)
        return kn_status_with_details(
            kn_error(KN_NOT_FOUND, "namespaces \"%.*s\" not found", KN_SV_ARG(r->ns)),
            kn_arena_printf(r->arena, "{\"name\":\"%.*s\",\"kind\":\"namespaces\"}",
                            KN_SV_ARG(r->ns)));
    bool deleting = ns->deleting;
    kn_obj_unref(ns);
    if (!deleting)
        return KN_STATUS_OK;
    struct kn_sv name = KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    return forbid(r, name,
                  kn_arena_printf(r->arena,
                                  "unable to create new content in namespace %.*s "
                                  "because it is being terminated",
                                  KN_SV_ARG(r->ns))
                      .ptr);
}

// -- ServiceAccount -------------------------------------------------------------------------------

#define TOKEN_PATH "/var/run/secrets/kubernetes.io/serviceaccount"

static struct kn_json *source(struct kn_arena *a, struct kn_json *sources, enum kn_atom kind)
{
    struct kn_json *s = kn_json_append(sources, kn_json_new_object(a));
    return kn_json_ensure_object(a, s, kind);
}

static void token_volume(struct kn_arena *a, struct kn_json *volumes, struct kn_sv name)
{
    struct kn_json *v = kn_json_append(volumes, kn_json_new_object(a));
    kn_json_set_str(a, v, KN_K_name, name);
    struct kn_json *p = kn_json_ensure_object(a, v, KN_K_projected);
    struct kn_json *sources = kn_json_ensure_array(a, p, KN_K_sources);
    struct kn_json *token = source(a, sources, KN_K_serviceAccountToken);
    kn_json_set_int(a, token, KN_K_expirationSeconds, 3607);
    kn_json_set_str(a, token, KN_K_path, KN_SV("token"));
    struct kn_json *ca = source(a, sources, KN_K_configMap);
    kn_json_set_str(a, ca, KN_K_name, KN_SV("kube-root-ca.crt"));
    struct kn_json *item = kn_json_append(kn_json_ensure_array(a, ca, KN_K_items),
                                          kn_json_new_object(a));
    kn_json_set_str(a, item, KN_K_key, KN_SV("ca.crt"));
    kn_json_set_str(a, item, KN_K_path, KN_SV("ca.crt"));
    struct kn_json *down = source(a, sources, KN_K_downwardAPI);
    item = kn_json_append(kn_json_ensure_array(a, down, KN_K_items), kn_json_new_object(a));
    kn_json_set_str(a, item, KN_K_path, KN_SV("namespace"));
    struct kn_json *ref = kn_json_ensure_object(a, item, KN_K_fieldRef);
    kn_json_set_str(a, ref, KN_K_apiVersion, KN_SV("v1"));
    kn_json_set_str(a, ref, KN_K_fieldPath, KN_SV("metadata.namespace"));
    kn_json_set_int(a, p, KN_K_defaultMode, 420);
}

static bool mount_token(struct kn_arena *a, struct kn_json *containers, struct kn_sv volume)
{
    bool any = false;
    struct kn_json *c, *m;
    KN_JSON_EACH(c, containers)
    {
        struct kn_json *mounts = kn_json_ensure_array(a, c, KN_K_volumeMounts);
        bool has = false;
        KN_JSON_EACH(m, mounts)
        has = has || kn_sv_is(kn_json_str(kn_json_get(m, KN_K_mountPath)), TOKEN_PATH);
        if (has)
            continue;
        struct kn_json *mount = kn_json_append(mounts, kn_json_new_object(a));
        kn_json_set_str(a, mount, KN_K_name, volume);
        kn_json_set_bool(a, mount, KN_K_readOnly, true);
        kn_json_set_str(a, mount, KN_K_mountPath, KN_SV(TOKEN_PATH));
        any = true;
    }
    return any;
}

static struct kn_sv volume_name(struct kn_arena *a)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    uint8_t random[5];
    kn_random(random, sizeof random);
    char tail[6] = {0};
    for (int i = 0; i < 5; i++)
        tail[i] = letters[random[i] % (sizeof letters - 1)];
    return kn_arena_printf(a, "kube-api-access-%s", tail);
}

static struct kn_status service_account(struct kn_request *r, struct kn_json *obj)
{
    struct kn_arena *a = r->arena;
    if (kn_is_mirror_pod(obj)) // runs already: nothing is added to it
        return kn_admit_mirror_pod(r, obj);
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    struct kn_sv name = kn_json_str(kn_json_get(spec, KN_K_serviceAccountName));
    if (name.len == 0) {
        name = KN_SV("default");
        kn_json_set_str(a, spec, KN_K_serviceAccountName, name);
    }
    kn_json_set_str(a, spec, KN_K_serviceAccount, name);
    const struct kn_obj *account =
        kn_cache_get(kn_core_cache(r->server, "serviceaccounts"), r->ns, name);
    if (!account)
        return forbid(r, KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name),
                      kn_arena_printf(a,
                                      "error looking up service account %.*s/%.*s: serviceaccount "
                                      "\"%.*s\" not found",
                                      KN_SV_ARG(r->ns), KN_SV_ARG(name), KN_SV_ARG(name))
                          .ptr);
    const struct kn_json *secrets = kn_json_get(account->root, KN_K_imagePullSecrets);
    if (kn_json_len(secrets) && kn_json_len(kn_json_get(spec, KN_K_imagePullSecrets)) == 0)
        kn_json_set(a, spec, KN_K_imagePullSecrets, kn_json_copy(a, secrets));
    const struct kn_json *own = kn_json_get(spec, KN_K_automountServiceAccountToken);
    bool mount = kn_json_bool(
        own ? own : kn_json_get(account->root, KN_K_automountServiceAccountToken), true);
    kn_obj_unref(account);
    if (!mount)
        return KN_STATUS_OK;
    struct kn_sv volume = volume_name(a);
    bool any = mount_token(a, kn_json_get(spec, KN_K_containers), volume);
    any = mount_token(a, kn_json_get(spec, KN_K_initContainers), volume) || any;
    if (any)
        token_volume(a, kn_json_ensure_array(a, spec, KN_K_volumes), volume);
    return KN_STATUS_OK;
}

// -- Priority, DefaultTolerationSeconds, TaintNodesByCondition ------------------------------------

static struct kn_status priority(struct kn_request *r, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    struct kn_sv class = kn_json_str(kn_json_get(spec, KN_K_priorityClassName));
    int64_t value = 0;
    if (kn_sv_is(class, "system-cluster-critical"))
        value = 2000000000;
    else if (kn_sv_is(class, "system-node-critical"))
        value = 2000001000;
    else if (class.len)
        return forbid(r, KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name),
                      kn_arena_printf(r->arena, "no PriorityClass with name %.*s was found",
                                      KN_SV_ARG(class)).ptr);
    const struct kn_json *given = kn_json_get(spec, KN_K_priority);
    if (given && kn_json_int(given, 0) != value)
        return forbid(
            r, KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name),
            kn_arena_printf(r->arena,
                            "the integer value of priority (%lld) must not be "
                            "provided in pod spec; priority admission controller computed "
                            "%lld from the given PriorityClass name",
                            (long long)kn_json_int(given, 0), (long long)value)
                .ptr);
    kn_json_set_int(r->arena, spec, KN_K_priority, value);
    const struct kn_json *policy = kn_json_get(spec, KN_K_preemptionPolicy);
    if (policy && !kn_sv_is(kn_json_str(policy), "PreemptLowerPriority"))
        return forbid(r, KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name),
                      kn_arena_printf(r->arena, "the string value of PreemptionPolicy (%.*s) must "
                                      "not be provided in pod spec; priority admission controller "
                                      "computed PreemptLowerPriority from the given PriorityClass "
                                      "name", KN_SV_ARG(kn_json_str(policy))).ptr);
    if (!policy)
        kn_json_set_str(r->arena, spec, KN_K_preemptionPolicy, KN_SV("PreemptLowerPriority"));
    return KN_STATUS_OK;
}

static void tolerate(struct kn_arena *a, struct kn_json *list, const char *key)
{
    struct kn_json *t;
    KN_JSON_EACH(t, list)
    {
        struct kn_sv k = kn_json_str(kn_json_get(t, KN_K_key));
        struct kn_sv effect = kn_json_str(kn_json_get(t, KN_K_effect));
        if ((kn_sv_is(k, key) || k.len == 0) && (effect.len == 0 || kn_sv_is(effect, "NoExecute")))
            return;
    }
    t = kn_json_append(list, kn_json_new_object(a));
    kn_json_set_str(a, t, KN_K_key, kn_sv_c(key));
    kn_json_set_str(a, t, KN_K_operator, KN_SV("Exists"));
    kn_json_set_str(a, t, KN_K_effect, KN_SV("NoExecute"));
    kn_json_set_int(a, t, KN_K_tolerationSeconds, 300);
}

static void default_tolerations(struct kn_request *r, struct kn_json *obj)
{
    struct kn_json *list =
        kn_json_ensure_array(r->arena, kn_json_get(obj, KN_K_spec), KN_K_tolerations);
    tolerate(r->arena, list, "node.kubernetes.io/not-ready");
    tolerate(r->arena, list, "node.kubernetes.io/unreachable");
}

static void taint_new_node(struct kn_request *r, struct kn_json *obj)
{
    struct kn_arena *a = r->arena;
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    struct kn_json *taints = kn_json_ensure_array(a, spec, KN_K_taints), *t;
    KN_JSON_EACH(t, taints)
    if (kn_sv_is(kn_json_str(kn_json_get(t, KN_K_key)), "node.kubernetes.io/not-ready"))
        return;
    t = kn_json_append(taints, kn_json_new_object(a));
    kn_json_set_str(a, t, KN_K_key, KN_SV("node.kubernetes.io/not-ready"));
    kn_json_set_str(a, t, KN_K_effect, KN_SV("NoSchedule"));
}

struct kn_status kn_admit_mutate(struct kn_request *r, struct kn_json *obj,
                                 const struct kn_obj *old)
{
    if (old) {
        if (is(r, "", "pods") && r->subresource.len == 0)
            default_tolerations(r, obj);
        return KN_STATUS_OK;
    }
    KN_TRY(namespace_lifecycle(r, obj));
    if (is(r, "", "pods") && r->subresource.len == 0) {
        KN_TRY(service_account(r, obj));
        KN_TRY(priority(r, obj));
        default_tolerations(r, obj);
    } else if (is(r, "", "nodes")) {
        taint_new_node(r, obj);
    }
    return KN_STATUS_OK;
}

// -- what is refused ------------------------------------------------------------------------------

static struct kn_status protect_namespaces(struct kn_request *r, const struct kn_obj *old)
{
    static const char *const kept[] = {"default", "kube-system", "kube-public"};
    for (size_t i = 0; i < KN_ARRAY_LEN(kept); i++)
        if (kn_sv_is(old->name, kept[i]))
            return forbid(r, old->name, "this namespace may not be deleted");
    return KN_STATUS_OK;
}

// Does the change only let the object go, or tell who owns it? Everything else of a role or a
// binding counts: its labels decide which other roles take up its rules.
static bool only_ends(const struct kn_json *obj, const struct kn_obj *old)
{
    static const enum kn_atom free_of_rights[] = {KN_K_finalizers, KN_K_ownerReferences,
                                                  KN_K_resourceVersion, KN_K_managedFields};
    struct kn_arena *a = kn_arena_new(4096, 64u << 20);
    struct kn_json *now = kn_json_copy_shallow_text(a, obj);
    struct kn_json *before = kn_json_copy_shallow_text(a, old->root);
    for (size_t i = 0; i < KN_ARRAY_LEN(free_of_rights); i++) {
        kn_json_remove(kn_json_get(now, KN_K_metadata), free_of_rights[i]);
        kn_json_remove(kn_json_get(before, KN_K_metadata), free_of_rights[i]);
    }
    bool same = !kn_arena_failed(a) && kn_json_equal(now, before);
    kn_arena_free(a);
    return same;
}

struct kn_status kn_admit_validate(struct kn_request *r, const struct kn_json *obj,
                                   const struct kn_obj *old)
{
    KN_TRY(kn_node_restriction(r, obj, old));
    if (!obj) // a deletion
        return is(r, "", "namespaces") && old ? protect_namespaces(r, old) : KN_STATUS_OK;
    bool rules = kn_sv_is(r->resource->hub->group, "rbac.authorization.k8s.io");
    if (rules && !(old && only_ends(obj, old)))
        return kn_rbac_may_grant(r, obj, old);
    return KN_STATUS_OK;
}
