// The deployment controller: whose replica sets, what is wanted, and which way to go.
#include "controllers/deployment.h"

#include <stdlib.h>

#include "base/num.h"

int64_t kn_set_wanted(const struct kn_obj *set)
{
    return kn_json_int(KN_JSON_AT(set->root, KN_K_spec, KN_K_replicas), 1);
}

int64_t kn_set_status(const struct kn_obj *set, enum kn_atom what)
{
    return kn_json_int(KN_JSON_AT(set->root, KN_K_status, what), 0);
}

// -- whose sets -----------------------------------------------------------------------------------

static struct kn_status adopt(struct kn_rollout *r, const struct kn_obj *set)
{
    struct kn_buf patch = KN_BUF(4096);
    kn_buf_addf(
        &patch,
        "{\"metadata\":{\"uid\":\"%.*s\",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":"
        "\"Deployment\",\"name\":\"%.*s\",\"uid\":\"%.*s\",\"controller\":true,"
        "\"blockOwnerDeletion\":"
        "true}]}}",
        KN_SV_ARG(set->uid), KN_SV_ARG(r->d->name), KN_SV_ARG(r->d->uid));
    struct kn_status s =
        kn_client_patch(r->c->env->client, kn_apps("replicasets"), set->ns, set->name, NULL,
                        KN_PATCH_STRATEGIC, kn_buf_sv(&patch), NULL);
    kn_buf_done(&patch);
    return s;
}

struct orphans {
    struct kn_rollout *r;
    kn_objs found;
};

static bool take_orphan(void *arg, const struct kn_obj *set)
{
    struct orphans *o = arg;
    if (!set->deleting &&
        kn_selector_matches_labels(o->r->selector, set->labels))
        KN_VEC_PUSH(&o->found, kn_obj_ref(set));
    return true;
}

static int by_age(const void *a, const void *b)
{
    const struct kn_obj *x = *(const struct kn_obj *const *)a,
                        *y = *(const struct kn_obj *const *)b;
    struct kn_time tx = {0}, ty = {0};
    kn_obj_created(x, &tx);
    kn_obj_created(y, &ty);
    if (tx.ns != ty.ns)
        return tx.ns < ty.ns ? -1 : 1;
    return kn_sv_cmp(x->name, y->name);
}

static struct kn_status find_sets(struct kn_rollout *r)
{
    kn_cache_by_index(r->c->sets, r->c->sets_by_owner, r->d->uid, kn_objs_collect, &r->sets);
    struct orphans o = {.r = r};
    char nobody[KN_OBJ_KEY_TEXT];
    if (!r->d->deleting)
        kn_cache_by_index(r->c->sets, r->c->sets_by_owner, kn_index_nobody(r->d->ns, nobody),
                          take_orphan, &o);
    struct kn_status s = KN_STATUS_OK;
    for (size_t i = 0; i < o.found.len && kn_ok(s); i++)
        s = adopt(r, o.found.ptr[i]);
    for (size_t i = 0; i < o.found.len && kn_ok(s); i++)
        KN_VEC_PUSH(&r->sets, kn_obj_ref(o.found.ptr[i]));
    kn_objs_done(&o.found);
    if (r->sets.len)
        qsort(r->sets.ptr, r->sets.len, sizeof r->sets.ptr[0], by_age);
    return s;
}

// -- what is wanted -------------------------------------------------------------------------------

// "25%" of n, rounded up or down; or a number.
static int64_t share(const struct kn_json *v, int64_t n, bool up)
{
    struct kn_sv text = kn_json_str(v);
    if (kn_json_type(v) == KN_JSON_INT)
        return kn_json_int(v, 0);
    int64_t percent = 0;
    if (text.len && text.ptr[text.len - 1] == '%')
        KN_IGNORE(kn_num_parse(kn_sv_first(text, text.len - 1), 0, 1000000, &percent));
    return (n * percent + (up ? 99 : 0)) / 100;
}

static void read_wish(struct kn_rollout *r)
{
    const struct kn_json *spec = kn_json_get(r->d->root, KN_K_spec);
    const struct kn_json *rolling = KN_JSON_AT(spec, KN_K_strategy, KN_K_rollingUpdate);
    r->replicas = kn_json_int(kn_json_get(spec, KN_K_replicas), 1);
    if (kn_sv_is(KN_JSON_STR_AT(spec, KN_K_strategy, KN_K_type), "Recreate")) {
        r->surge = 0;
        r->unavailable = r->replicas;
        return;
    }
    r->surge = share(kn_json_get(rolling, KN_K_maxSurge), r->replicas, true);
    r->unavailable = share(kn_json_get(rolling, KN_K_maxUnavailable), r->replicas, false);
    if (r->surge == 0 && r->unavailable == 0)
        r->unavailable = 1; // otherwise nothing could ever move
    if (r->unavailable > r->replicas)
        r->unavailable = r->replicas;
}

// Did somebody change the number of replicas since the sets were last told?
static bool is_scaling(const struct kn_rollout *r)
{
    for (size_t i = 0; i < r->sets.len; i++) {
        struct kn_sv text = kn_meta_text(r->sets.ptr[i]->root, KN_K_annotations, KN_DESIRED);
        int64_t n;
        if (kn_set_wanted(r->sets.ptr[i]) == 0 || text.len == 0)
            continue;
        struct kn_status s = kn_num_parse(text, 0, INT32_MAX, &n);
        bool other = kn_ok(s) && n != r->replicas;
        kn_status_done(&s);
        if (other)
            return true;
    }
    return false;
}

static struct kn_status sync_deployment(struct kn_rollout *r)
{
    const struct kn_json *spec = kn_json_get(r->d->root, KN_K_spec);
    KN_TRY(kn_label_selector_of(r->arena, kn_json_get(spec, KN_K_selector), &r->selector));
    if (kn_selector_is_empty(r->selector))
        return KN_STATUS_OK; // selects every pod: refused by validation, so of an older cluster
    KN_TRY(find_sets(r));
    read_wish(r);
    bool paused = kn_json_bool(kn_json_get(spec, KN_K_paused), false);
    struct kn_status s;
    if (r->d->deleting) {
        s = kn_rollout_new_set(r, false);
    } else if (paused || is_scaling(r)) {
        s = kn_rollout_new_set(r, false);
        if (kn_ok(s))
            s = kn_rollout_scale_only(r);
    } else if (kn_sv_is(KN_JSON_STR_AT(spec, KN_K_strategy, KN_K_type), "Recreate")) {
        s = kn_rollout_recreate(r);
    } else {
        s = kn_rollout_rolling(r);
    }
    if (kn_ok(s) && !r->d->deleting && kn_is_complete(r))
        s = kn_rollout_clean_up(r);
    struct kn_status t = kn_rollout_status(r);
    if (kn_ok(s))
        return t;
    kn_status_done(&t);
    return s;
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    struct kn_rollout r = {.c = arg};
    struct kn_sv ns, name;
    kn_key_split(key, &ns, &name);
    r.d = kn_cache_get(r.c->deployments, ns, name);
    if (!r.d)
        return KN_STATUS_OK;
    r.arena = kn_arena_new(16384, 64u << 20);
    struct kn_status s = sync_deployment(&r);
    *ret_after = r.after;
    kn_objs_done(&r.sets);
    kn_obj_unref(r.d);
    kn_arena_free(r.arena);
    return s;
}

// -- events ---------------------------------------------------------------------------------------

static void add_owner(struct kn_deployments *c, const struct kn_obj *set)
{
    const struct kn_json *ref = set ? kn_obj_controller(set) : NULL;
    if (ref && kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "Deployment"))
        kn_controller_add_obj(c->controller, set->ns, kn_json_str(kn_json_get(ref, KN_K_name)));
}

static void on_set(void *arg, enum kn_event_type type, const struct kn_obj *set,
                   const struct kn_obj *old)
{
    (void)type;
    add_owner(arg, set);
    add_owner(arg, old);
}

// A strategy of Recreate waits for the last old pod to be gone.
static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *pod,
                   const struct kn_obj *old)
{
    (void)old;
    struct kn_deployments *c = arg;
    const struct kn_json *ref = kn_obj_controller(pod);
    if (type != KN_EVENT_DELETED || !ref ||
        !kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "ReplicaSet"))
        return;
    const struct kn_obj *set =
        kn_cache_get(c->sets, pod->ns, kn_json_str(kn_json_get(ref, KN_K_name)));
    add_owner(c, set);
    kn_obj_unref(set);
}

struct kn_status kn_deployment_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct kn_deployments c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_apps("deployments"), &c.deployments));
    KN_TRY(kn_env_cache(env, kn_apps("replicasets"), &c.sets));
    KN_TRY(kn_env_cache(env, kn_core("pods"), &c.pods));
    c.sets_by_owner = kn_cache_add_index(c.sets, kn_index_controller_uid);
    c.pods_by_owner = kn_cache_add_index(c.pods, kn_index_controller_uid);
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "deployment", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.sets, on_set, &c, false);
    kn_env_subscribe(env, c.pods, on_pod, &c, false);
    kn_env_subscribe(env, c.deployments, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}
