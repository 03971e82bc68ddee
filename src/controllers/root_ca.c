// Every namespace has the config map kube-root-ca.crt, with which pods verify the API server.
#include "controllers/common.h"

#define NAME "kube-root-ca.crt"

struct ctx {
    struct kn_env *env;
    struct kn_cache *namespaces, *maps;
    struct kn_controller *controller;
};

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    (void)ret_after;
    struct ctx *c = arg;
    const struct kn_obj *ns = kn_cache_get(c->namespaces, KN_SV_NULL, key);
    bool wanted = ns && !ns->deleting;
    kn_obj_unref(ns);
    if (!wanted)
        return KN_STATUS_OK;
    const struct kn_obj *map = kn_cache_get(c->maps, key, KN_SV(NAME));
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_json *o = map ? kn_json_copy_shallow_text(a, map->root) : kn_json_new_object(a);
    struct kn_status s = KN_STATUS_OK;
    if (map && kn_sv_eq(kn_json_str(kn_json_get_sv(kn_json_get(o, KN_K_data), KN_SV("ca.crt"))),
                        c->env->ca_pem))
        goto done;
    kn_json_set_str(a, kn_json_ensure_object(a, o, KN_K_metadata), KN_K_name, KN_SV(NAME));
    kn_annotate(a, o, "kubernetes.io/description",
                KN_SV("The certificate of the cluster's authority: verifies the API server at its "
                      "in-cluster address."));
    struct kn_json *data = kn_json_set(a, o, KN_K_data, kn_json_new_object(a));
    kn_json_set_sv(a, data, KN_SV("ca.crt"), kn_json_new_str(a, c->env->ca_pem));
    if (map)
        s = kn_client_update(c->env->client, kn_core("configmaps"), key, KN_SV(NAME), NULL, o,
                             NULL);
    else
        s = kn_client_create(c->env->client, kn_core("configmaps"), key, KN_SV_NULL, NULL, o, NULL);
    if (s.code == KN_ALREADY_EXISTS)
        kn_status_done(&s);
done:
    kn_obj_unref(map);
    kn_arena_free(a);
    return s;
}

static void on_map(void *arg, enum kn_event_type type, const struct kn_obj *o,
                   const struct kn_obj *old)
{
    (void)type;
    (void)old;
    struct ctx *c = arg;
    if (kn_sv_is(o->name, NAME))
        kn_controller_add(c->controller, o->ns);
}

struct kn_status kn_root_ca_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_core("namespaces"), &c.namespaces));
    KN_TRY(kn_env_cache(env, kn_core("configmaps"), &c.maps));
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "root-ca", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.maps, on_map, &c, false);
    kn_env_subscribe(env, c.namespaces, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}
