// Nodes: taints that say in what condition a node is, nodes that are not heard of any more, and
// pods that do not tolerate it.
#include "base/clock.h"
#include "base/num.h"
#include "controllers/common.h"

#define GRACE (40 * KN_SECOND) // without a renewed lease, before a node counts as lost

struct ctx {
    struct kn_env *env;
    struct kn_cache *nodes, *pods, *leases;
    unsigned by_node;
    struct kn_controller *controller;
};

struct work {
    struct ctx *c;
    struct kn_arena *arena;
    const struct kn_obj *node;
    int64_t now, after; // wall nanoseconds
};

static void come_back(struct work *w, int64_t after)
{
    if (after < KN_MILLI)
        after = KN_MILLI;
    if (w->after == 0 || after < w->after)
        w->after = after;
}

static int64_t time_of(struct kn_sv text)
{
    struct kn_time t = {0};
    if (text.len)
        KN_IGNORE(kn_time_parse(text, &t));
    return t.ns;
}

// -- heartbeats -----------------------------------------------------------------------------------

static int64_t last_heard(struct work *w)
{
    const struct kn_obj *lease =
        kn_cache_get(w->c->leases, KN_SV("kube-node-lease"), w->node->name);
    int64_t heard = lease ? time_of(KN_JSON_STR_AT(lease->root, KN_K_spec, KN_K_renewTime)) : 0;
    kn_obj_unref(lease);
    const struct kn_json *c;
    KN_JSON_EACH(c, KN_JSON_AT(w->node->root, KN_K_status, KN_K_conditions))
    {
        int64_t t = time_of(kn_json_str(kn_json_get(c, KN_K_lastHeartbeatTime)));
        heard = t > heard ? t : heard;
    }
    int64_t made = time_of(kn_json_str(kn_json_get(w->node->metadata, KN_K_creationTimestamp)));
    return made > heard ? made : heard;
}

// Every condition of a lost node is unknown.
static struct kn_status mark_lost(struct work *w)
{
    struct kn_arena *a = w->arena;
    struct kn_json *o = kn_json_copy(a, w->node->root);
    struct kn_json *conditions =
        kn_json_ensure_array(a, kn_json_ensure_object(a, o, KN_K_status), KN_K_conditions), *c;
    bool changed = false;
    if (!kn_condition(conditions, "Ready"))
        kn_json_set_str(a, kn_json_append(conditions, kn_json_new_object(a)), KN_K_type,
                        KN_SV("Ready"));
    KN_JSON_EACH(c, conditions)
    {
        if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), "Unknown"))
            continue;
        changed = true;
        kn_json_set_str(a, c, KN_K_status, KN_SV("Unknown"));
        kn_json_set_str(a, c, KN_K_reason, KN_SV("NodeStatusUnknown"));
        kn_json_set_str(a, c, KN_K_message, KN_SV("Kubelet stopped posting node status."));
        kn_json_set_str(a, c, KN_K_lastTransitionTime, kn_now_text(a));
    }
    if (!changed)
        return KN_STATUS_OK;
    const struct kn_obj *fresh = NULL;
    KN_TRY(kn_client_update(w->c->env->client, kn_core("nodes"), KN_SV_NULL, w->node->name,
                            "status", o, &fresh));
    kn_event(w->c->env->recorder, w->node, "Normal", "NodeNotReady", "Node %.*s status is now: "
             "NodeNotReady", KN_SV_ARG(w->node->name));
    kn_obj_unref(w->node);
    w->node = fresh;
    return KN_STATUS_OK;
}

// -- taints ---------------------------------------------------------------------------------------

struct taint {
    const char *key, *effect;
    bool on;
};

static const char *ready_status(const struct kn_obj *node)
{
    const struct kn_json *c =
        kn_condition(KN_JSON_AT(node->root, KN_K_status, KN_K_conditions), "Ready");
    struct kn_sv s = kn_json_str(kn_json_get(c, KN_K_status));
    return kn_sv_is(s, "True") ? "True" : kn_sv_is(s, "Unknown") ? "Unknown" : "False";
}

static bool is_true(const struct kn_obj *node, const char *type)
{
    const struct kn_json *c =
        kn_condition(KN_JSON_AT(node->root, KN_K_status, KN_K_conditions), type);
    return kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), "True");
}

static struct kn_json *find_taint(const struct kn_json *list, const struct taint *t)
{
    struct kn_json *e;
    KN_JSON_EACH(e, list)
    if (kn_sv_is(kn_json_str(kn_json_get(e, KN_K_key)), t->key) &&
        kn_sv_is(kn_json_str(kn_json_get(e, KN_K_effect)), t->effect))
        return e;
    return NULL;
}

static struct kn_status write_taints(struct work *w)
{
    const char *ready = ready_status(w->node);
    bool not_ready = strcmp(ready, "False") == 0, unknown = strcmp(ready, "Unknown") == 0;
    const struct taint taints[] = {
        {"node.kubernetes.io/not-ready", "NoSchedule", not_ready},
        {"node.kubernetes.io/not-ready", "NoExecute", not_ready},
        {"node.kubernetes.io/unreachable", "NoSchedule", unknown},
        {"node.kubernetes.io/unreachable", "NoExecute", unknown},
        {"node.kubernetes.io/unschedulable", "NoSchedule",
         kn_json_bool(KN_JSON_AT(w->node->root, KN_K_spec, KN_K_unschedulable), false)},
        {"node.kubernetes.io/memory-pressure", "NoSchedule", is_true(w->node, "MemoryPressure")},
        {"node.kubernetes.io/disk-pressure", "NoSchedule", is_true(w->node, "DiskPressure")},
        {"node.kubernetes.io/pid-pressure", "NoSchedule", is_true(w->node, "PIDPressure")},
        {"node.kubernetes.io/network-unavailable", "NoSchedule",
         is_true(w->node, "NetworkUnavailable")},
    };
    struct kn_arena *a = w->arena;
    struct kn_json *o = kn_json_copy(a, w->node->root);
    struct kn_json *spec = kn_json_ensure_object(a, o, KN_K_spec);
    struct kn_json *list = kn_json_ensure_array(a, spec, KN_K_taints);
    bool changed = false;
    for (size_t i = 0; i < KN_ARRAY_LEN(taints); i++) {
        struct kn_json *there = find_taint(list, &taints[i]);
        if ((there != NULL) == taints[i].on)
            continue;
        changed = true;
        if (there) {
            kn_json_remove_child(list, there);
            continue;
        }
        struct kn_json *t = kn_json_append(list, kn_json_new_object(a));
        kn_json_set_str(a, t, KN_K_key, kn_sv_c(taints[i].key));
        kn_json_set_str(a, t, KN_K_effect, kn_sv_c(taints[i].effect));
        kn_json_set_str(a, t, KN_K_timeAdded, kn_now_text(a));
    }
    if (!changed)
        return KN_STATUS_OK;
    if (kn_json_len(list) == 0)
        kn_json_remove(spec, KN_K_taints);
    const struct kn_obj *fresh = NULL;
    KN_TRY(kn_client_update(w->c->env->client, kn_core("nodes"), KN_SV_NULL, w->node->name, NULL, o,
                            &fresh));
    kn_obj_unref(w->node);
    w->node = fresh;
    return KN_STATUS_OK;
}

// -- pods -----------------------------------------------------------------------------------------

// How long (ns) a pod stands a taint: KN_FOREVER, 0 or in between.
static int64_t stands(const struct kn_obj *pod, const struct kn_json *taint)
{
    int64_t longest = 0;
    const struct kn_json *t;
    KN_JSON_EACH(t, KN_JSON_AT(pod->root, KN_K_spec, KN_K_tolerations))
    {
        struct kn_sv key = kn_json_str(kn_json_get(t, KN_K_key));
        struct kn_sv effect = kn_json_str(kn_json_get(t, KN_K_effect));
        bool exists = kn_sv_is(kn_json_str(kn_json_get(t, KN_K_operator)), "Exists");
        if ((key.len && !kn_sv_eq(key, kn_json_str(kn_json_get(taint, KN_K_key)))) ||
            (key.len == 0 && !exists) || (effect.len && !kn_sv_is(effect, "NoExecute")) ||
            (!exists && !kn_sv_eq(kn_json_str(kn_json_get(t, KN_K_value)),
                                  kn_json_str(kn_json_get(taint, KN_K_value)))))
            continue;
        const struct kn_json *seconds = kn_json_get(t, KN_K_tolerationSeconds);
        if (!seconds)
            return KN_FOREVER;
        int64_t s = kn_json_int(seconds, 0);
        s = s < 0 ? 0 : s > 1000000000 ? 1000000000 : s;
        longest = s * KN_SECOND > longest ? s * KN_SECOND : longest;
    }
    return longest;
}

static struct kn_status evict(struct work *w, const struct kn_obj *pod)
{
    kn_event(w->c->env->recorder, pod, "Normal", "TaintManagerEviction",
             "Marking for deletion Pod %.*s/%.*s", KN_SV_ARG(pod->ns), KN_SV_ARG(pod->name));
    struct kn_delete_options o = {.uid = pod->uid, .grace_seconds = -1};
    struct kn_status s =
        kn_client_delete(w->c->env->client, kn_core("pods"), pod->ns, pod->name, &o);
    if (s.code == KN_NOT_FOUND || s.code == KN_CONFLICT)
        kn_status_done(&s);
    return s;
}

static struct kn_status evict_pods(struct work *w)
{
    const struct kn_json *taints = KN_JSON_AT(w->node->root, KN_K_spec, KN_K_taints), *t;
    kn_objs pods = {0};
    struct kn_status s = KN_STATUS_OK;
    bool any = false;
    KN_JSON_EACH(t, taints)
    any = any || kn_sv_is(kn_json_str(kn_json_get(t, KN_K_effect)), "NoExecute");
    if (!any)
        return s;
    kn_cache_by_index(w->c->pods, w->c->by_node, w->node->name, kn_objs_collect, &pods);
    for (size_t i = 0; i < pods.len && kn_ok(s); i++) {
        int64_t due = KN_FOREVER;
        KN_JSON_EACH(t, taints)
        {
            if (!kn_sv_is(kn_json_str(kn_json_get(t, KN_K_effect)), "NoExecute"))
                continue;
            int64_t since = time_of(kn_json_str(kn_json_get(t, KN_K_timeAdded)));
            int64_t n = stands(pods.ptr[i], t);
            if (n != KN_FOREVER && (since ? since : w->now) + n < due)
                due = (since ? since : w->now) + n;
        }
        if (!kn_pod_active(pods.ptr[i]) || due == KN_FOREVER)
            continue;
        if (due <= w->now)
            s = evict(w, pods.ptr[i]);
        else
            come_back(w, due - w->now);
    }
    kn_objs_done(&pods);
    return s;
}

// Pods of a lost node are not ready: services leave them out.
static struct kn_status unready_pods(struct work *w)
{
    kn_objs pods = {0};
    struct kn_status s = KN_STATUS_OK;
    kn_cache_by_index(w->c->pods, w->c->by_node, w->node->name, kn_objs_collect, &pods);
    for (size_t i = 0; i < pods.len && kn_ok(s); i++) {
        if (!kn_pod_ready(pods.ptr[i]))
            continue;
        struct kn_json *o = kn_json_copy(w->arena, pods.ptr[i]->root);
        struct kn_json *conditions = KN_JSON_AT(o, KN_K_status, KN_K_conditions);
        struct kn_json *ready = (struct kn_json *)(uintptr_t)kn_condition(conditions, "Ready");
        kn_json_set_str(w->arena, ready, KN_K_status, KN_SV("False"));
        kn_json_set_str(w->arena, ready, KN_K_lastTransitionTime, kn_now_text(w->arena));
        s = kn_client_update(w->c->env->client, kn_core("pods"), pods.ptr[i]->ns, pods.ptr[i]->name,
                             "status", o, NULL);
        if (s.code == KN_NOT_FOUND)
            kn_status_done(&s);
    }
    kn_objs_done(&pods);
    return s;
}

static struct kn_status sync_node(struct work *w)
{
    int64_t left = last_heard(w) + GRACE - w->now;
    if (left <= 0) {
        KN_TRY(mark_lost(w));
        KN_TRY(unready_pods(w));
    } else {
        come_back(w, left);
    }
    KN_TRY(write_taints(w));
    return evict_pods(w);
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    struct work w = {.c = arg, .now = kn_now().ns};
    w.node = kn_cache_get(w.c->nodes, KN_SV_NULL, key);
    if (!w.node)
        return KN_STATUS_OK;
    w.arena = kn_arena_new(16384, 64u << 20);
    struct kn_status s = sync_node(&w);
    *ret_after = w.after;
    kn_obj_unref(w.node);
    kn_arena_free(w.arena);
    return s;
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *pod,
                   const struct kn_obj *old)
{
    struct ctx *c = arg;
    struct kn_sv node = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName);
    bool bound = node.len && (!old || KN_JSON_STR_AT(old->root, KN_K_spec, KN_K_nodeName).len == 0);
    if (bound && type != KN_EVENT_DELETED) // it may not stand a taint that is there
        kn_controller_add(c->controller, node);
}

// A lost node that renews its lease is heard of again; the others need no look every ten seconds.
static void on_lease(void *arg, enum kn_event_type type, const struct kn_obj *lease,
                     const struct kn_obj *old)
{
    (void)old;
    struct ctx *c = arg;
    if (type == KN_EVENT_DELETED || !kn_sv_is(lease->ns, "kube-node-lease"))
        return;
    const struct kn_obj *node = kn_cache_get(c->nodes, KN_SV_NULL, lease->name);
    if (node && strcmp(ready_status(node), "Unknown") == 0)
        kn_controller_add(c->controller, lease->name);
    kn_obj_unref(node);
}

struct kn_status kn_node_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_core("nodes"), &c.nodes));
    KN_TRY(kn_env_cache(env, kn_core("pods"), &c.pods));
    KN_TRY(kn_env_cache(env, kn_of("coordination.k8s.io", "leases"), &c.leases));
    c.by_node = kn_cache_add_index(c.pods, kn_index_node_name);
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "node", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.pods, on_pod, &c, false);
    kn_env_subscribe(env, c.leases, on_lease, &c, false);
    kn_env_subscribe(env, c.nodes, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}
