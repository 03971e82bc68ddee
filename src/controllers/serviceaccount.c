// Every namespace has a service account named default.
#include "controllers/common.h"

struct ctx {
    struct kn_env *env;
    struct kn_cache *namespaces, *accounts;
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
    const struct kn_obj *account = kn_cache_get(c->accounts, key, KN_SV("default"));
    kn_obj_unref(account);
    if (account)
        return KN_STATUS_OK;
    struct kn_arena *a = kn_arena_new(0, 64u << 10);
    struct kn_json *o = kn_json_new_object(a);
    kn_json_set_str(a, kn_json_ensure_object(a, o, KN_K_metadata), KN_K_name, KN_SV("default"));
    struct kn_status s = kn_client_create(c->env->client, kn_core("serviceaccounts"), key,
                                          KN_SV_NULL, NULL, o, NULL);
    kn_arena_free(a);
    if (s.code == KN_ALREADY_EXISTS)
        kn_status_done(&s);
    return s;
}

static void on_account(void *arg, enum kn_event_type type, const struct kn_obj *o,
                       const struct kn_obj *old)
{
    (void)old;
    struct ctx *c = arg;
    if (type == KN_EVENT_DELETED)
        kn_controller_add(c->controller, o->ns);
}

struct kn_status kn_serviceaccount_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_core("namespaces"), &c.namespaces));
    KN_TRY(kn_env_cache(env, kn_core("serviceaccounts"), &c.accounts));
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "serviceaccount", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.accounts, on_account, &c, false);
    kn_env_subscribe(env, c.namespaces, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}
