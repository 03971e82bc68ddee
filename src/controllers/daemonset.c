// One pod of a daemon set on every node that it may run on. The scheduler binds them, each to the
// node that it is meant for.
#include "controllers/daemonset.h"

#include "base/clock.h"
#include "base/map.h"
#include "meta/node_match.h"

#define FAILED_PATIENCE (10 * KN_SECOND) // a pod that failed is replaced no faster than this

// -- nodes ----------------------------------------------------------------------------------------

static const struct {
    const char *key, *effect;
    bool host_network;
} stood[] = { // by every pod of a daemon set
    {"node.kubernetes.io/not-ready", "NoExecute", false},
    {"node.kubernetes.io/unreachable", "NoExecute", false},
    {"node.kubernetes.io/disk-pressure", "NoSchedule", false},
    {"node.kubernetes.io/memory-pressure", "NoSchedule", false},
    {"node.kubernetes.io/pid-pressure", "NoSchedule", false},
    {"node.kubernetes.io/unschedulable", "NoSchedule", false},
    {"node.kubernetes.io/network-unavailable", "NoSchedule", true},
};

static void add_tolerations(struct kn_arena *a, struct kn_json *spec)
{
    struct kn_json *list = kn_json_ensure_array(a, spec, KN_K_tolerations);
    bool host_network = kn_json_bool(kn_json_get(spec, KN_K_hostNetwork), false);
    for (size_t i = 0; i < KN_ARRAY_LEN(stood); i++) {
        if (stood[i].host_network && !host_network)
            continue;
        struct kn_json *t = kn_json_append(list, kn_json_new_object(a));
        kn_json_set_str(a, t, KN_K_key, kn_sv_c(stood[i].key));
        kn_json_set_str(a, t, KN_K_operator, KN_SV("Exists"));
        kn_json_set_str(a, t, KN_K_effect, kn_sv_c(stood[i].effect));
    }
}

// spec: of the template, with the tolerations above.
static void judge(struct kn_ds_node *n, const struct kn_json *spec)
{
    struct kn_sv name = kn_json_str(kn_json_get(spec, KN_K_nodeName));
    const struct kn_json *tolerations = kn_json_get(spec, KN_K_tolerations), *t;
    const struct kn_json *taints = KN_JSON_AT(n->node->root, KN_K_spec, KN_K_taints);
    n->wanted = n->kept =
        (name.len == 0 || kn_sv_eq(name, n->node->name)) && kn_node_matches(n->node, spec);
    KN_JSON_EACH(t, taints)
    {
        struct kn_sv effect = kn_json_str(kn_json_get(t, KN_K_effect));
        if (kn_sv_is(effect, "PreferNoSchedule") || kn_node_tolerated(tolerations, t))
            continue;
        n->wanted = false;
        n->kept = n->kept && !kn_sv_is(effect, "NoExecute");
    }
}

// The node that a pod is on, or that its affinity names.
static struct kn_sv target_of(const struct kn_obj *pod)
{
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec), *t, *f;
    struct kn_sv name = kn_json_str(kn_json_get(spec, KN_K_nodeName));
    if (name.len)
        return name;
    const struct kn_json *terms =
        KN_JSON_AT(spec, KN_K_affinity, KN_K_nodeAffinity,
                   KN_K_requiredDuringSchedulingIgnoredDuringExecution, KN_K_nodeSelectorTerms);
    KN_JSON_EACH(t, terms)
    KN_JSON_EACH(f, kn_json_get(t, KN_K_matchFields))
    if (kn_sv_is(kn_json_str(kn_json_get(f, KN_K_key)), "metadata.name"))
        return kn_json_str(kn_json_first(kn_json_get(f, KN_K_values)));
    return KN_SV_NULL;
}

static bool take_node(void *arg, const struct kn_obj *node)
{
    struct kn_ds_work *w = arg;
    KN_VEC_PUSH(&w->nodes, (struct kn_ds_node){.node = kn_obj_ref(node)});
    return true;
}

static void find_nodes(struct kn_ds_work *w)
{
    struct kn_json *spec = kn_json_copy_shallow_text(
        w->arena, KN_JSON_AT(w->set->root, KN_K_spec, KN_K_template, KN_K_spec));
    add_tolerations(w->arena, spec);
    kn_cache_list(w->c->nodes, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, take_node, w);
    struct kn_map by_name;
    kn_map_init(&by_name);
    for (size_t i = 0; i < w->nodes.len; i++) {
        judge(&w->nodes.ptr[i], spec);
        kn_map_put(&by_name, w->nodes.ptr[i].node->name, &w->nodes.ptr[i]);
    }
    for (size_t i = 0; i < w->pods.len; i++) {
        const struct kn_obj *pod = w->pods.ptr[i];
        struct kn_ds_node *n = kn_map_get(&by_name, target_of(pod));
        if (n && !pod->deleting)
            KN_VEC_PUSH(&n->pods, kn_obj_ref(pod));
        else if (!n && !pod->deleting) // its node is gone
            KN_VEC_PUSH(&w->remove, kn_obj_ref(pod));
    }
    kn_map_done(&by_name);
}

// -- what to do -----------------------------------------------------------------------------------

bool kn_ds_is_old(const struct kn_ds_work *w, const struct kn_obj *pod)
{
    return !kn_sv_eq(kn_obj_label(pod, KN_SV(KN_DS_HASH)), w->hash);
}

bool kn_ds_available(struct kn_ds_work *w, const struct kn_obj *pod)
{
    int64_t since = kn_pod_ready_since(pod);
    if (!since)
        return false;
    int64_t left = since + w->min_ready * KN_SECOND - kn_now().ns;
    if (w->min_ready == 0 || left <= 0)
        return true;
    if (w->after == 0 || left < w->after)
        w->after = left;
    return false;
}

static void remove_pod(struct kn_ds_work *w, const struct kn_obj *pod)
{
    KN_VEC_PUSH(&w->remove, kn_obj_ref(pod));
}

static bool has_ended(const struct kn_obj *pod)
{
    struct kn_sv phase = KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_phase);
    return kn_sv_is(phase, "Failed") || kn_sv_is(phase, "Succeeded");
}

static void replace_ended(struct kn_ds_work *w, const struct kn_obj *pod)
{
    struct kn_time made = {0};
    kn_obj_created(pod, &made);
    int64_t left = made.ns + FAILED_PATIENCE - kn_now().ns;
    if (left > 0) {
        if (w->after == 0 || left < w->after)
            w->after = left;
        return;
    }
    kn_event(w->c->env->recorder, w->set, "Warning", "FailedDaemonPod",
             "Found failed daemon pod %.*s/%.*s on node %.*s, will try to kill it",
             KN_SV_ARG(pod->ns), KN_SV_ARG(pod->name), KN_SV_ARG(target_of(pod)));
    remove_pod(w, pod);
}

// Of several pods of one template the oldest stays.
static void keep_one(struct kn_ds_work *w, struct kn_ds_node *n, bool old)
{
    const struct kn_obj *first = NULL;
    for (size_t i = 0; i < n->pods.len; i++) {
        const struct kn_obj *pod = n->pods.ptr[i];
        struct kn_time a = {0}, b = {0};
        if (kn_ds_is_old(w, pod) != old || has_ended(pod))
            continue;
        kn_obj_created(pod, &a);
        if (first)
            kn_obj_created(first, &b);
        if (!first || a.ns < b.ns) {
            if (first)
                remove_pod(w, first);
            first = pod;
        } else {
            remove_pod(w, pod);
        }
    }
}

static void plan(struct kn_ds_work *w)
{
    for (size_t i = 0; i < w->nodes.len; i++) {
        struct kn_ds_node *n = &w->nodes.ptr[i];
        for (size_t k = 0; k < n->pods.len; k++)
            if (!n->kept)
                remove_pod(w, n->pods.ptr[k]);
            else if (has_ended(n->pods.ptr[k]))
                replace_ended(w, n->pods.ptr[k]);
        if (n->wanted && n->pods.len == 0)
            KN_VEC_PUSH(&w->create_on, n->node);
        if (n->kept && n->pods.len > 1) {
            keep_one(w, n, true);
            keep_one(w, n, false);
        }
    }
    kn_ds_plan_update(w);
}

// -- doing it -------------------------------------------------------------------------------------

static struct kn_json *pod_for(struct kn_ds_work *w, struct kn_arena *a, const struct kn_obj *node)
{
    struct kn_json *pod =
        kn_pod_of_template(a, KN_JSON_AT(w->set->root, KN_K_spec, KN_K_template), w->set);
    struct kn_json *m = kn_json_get(pod, KN_K_metadata), *spec = kn_json_get(pod, KN_K_spec);
    kn_json_set_str(a, m, KN_K_generateName, kn_arena_printf(a, "%.*s-", KN_SV_ARG(w->set->name)));
    struct kn_json *labels = kn_json_ensure_object(a, m, KN_K_labels);
    kn_json_set_sv(a, labels, KN_SV(KN_DS_HASH), kn_json_new_str(a, w->hash));
    kn_json_set_sv(a, labels, KN_SV("pod-template-generation"),
                   kn_json_new_str(a, kn_arena_printf(a, "%lld", (long long)w->set->generation)));
    add_tolerations(a, spec);
    struct kn_json *affinity = kn_json_ensure_object(a, spec, KN_K_affinity);
    struct kn_json *na = kn_json_ensure_object(a, affinity, KN_K_nodeAffinity);
    struct kn_json *required = kn_json_set(
        a, na, KN_K_requiredDuringSchedulingIgnoredDuringExecution, kn_json_new_object(a));
    struct kn_json *term = kn_json_append(kn_json_ensure_array(a, required, KN_K_nodeSelectorTerms),
                                          kn_json_new_object(a));
    struct kn_json *f =
        kn_json_append(kn_json_ensure_array(a, term, KN_K_matchFields), kn_json_new_object(a));
    kn_json_set_str(a, f, KN_K_key, KN_SV("metadata.name"));
    kn_json_set_str(a, f, KN_K_operator, KN_SV("In"));
    kn_json_append(kn_json_ensure_array(a, f, KN_K_values), kn_json_new_str(a, node->name));
    return pod;
}

static struct kn_status create_one(void *ctx, size_t i)
{
    struct kn_ds_work *w = ctx;
    struct kn_env *env = w->c->env;
    struct kn_arena *a = kn_arena_new(8192, 64u << 20);
    const struct kn_obj *made = NULL;
    struct kn_status s = kn_client_create(env->client, kn_core("pods"), w->set->ns, KN_SV_NULL,
                                          NULL, pod_for(w, a, w->create_on.ptr[i]), &made);
    if (kn_ok(s))
        kn_event(env->recorder, w->set, "Normal", "SuccessfulCreate", "Created pod: %.*s",
                 KN_SV_ARG(made->name));
    else
        kn_event(env->recorder, w->set, "Warning", "FailedCreate", "Error creating: %s",
                 kn_status_text(&s));
    kn_obj_unref(made);
    kn_arena_free(a);
    return s;
}

static struct kn_status delete_one(void *ctx, size_t i)
{
    struct kn_ds_work *w = ctx;
    const struct kn_obj *pod = w->remove.ptr[i];
    struct kn_delete_options o = {.uid = pod->uid, .grace_seconds = -1};
    struct kn_status s =
        kn_client_delete(w->c->env->client, kn_core("pods"), pod->ns, pod->name, &o);
    if (kn_ok(s))
        kn_event(w->c->env->recorder, w->set, "Normal", "SuccessfulDelete", "Deleted pod: %.*s",
                 KN_SV_ARG(pod->name));
    else if (s.code == KN_NOT_FOUND || s.code == KN_CONFLICT)
        kn_status_done(&s);
    return s;
}

static struct kn_status carry_out(struct kn_ds_work *w)
{
    size_t called;
    struct kn_status s =
        kn_fan_slow_start(w->c->env->fan, w->create_on.len, create_one, w, &called);
    struct kn_status t = kn_fan_slow_start(w->c->env->fan, w->remove.len, delete_one, w, &called);
    if (kn_ok(s))
        return t;
    kn_status_done(&t);
    return s;
}

// A revision that some pod still has is kept.
static bool is_live(void *arg, const struct kn_obj *revision)
{
    struct kn_ds_work *w = arg;
    for (size_t i = 0; i < w->pods.len; i++)
        if (kn_sv_eq(kn_obj_label(w->pods.ptr[i], KN_SV(KN_DS_HASH)),
                     kn_obj_label(revision, KN_SV(KN_DS_HASH))))
            return true;
    return false;
}

static struct kn_status sync_set(struct kn_ds_work *w)
{
    const struct kn_json *spec = kn_json_get(w->set->root, KN_K_spec);
    KN_TRY(kn_label_selector_of(w->arena, kn_json_get(spec, KN_K_selector), &w->selector));
    if (w->set->deleting || kn_selector_is_empty(w->selector))
        return KN_STATUS_OK;
    w->min_ready = kn_json_int(kn_json_get(spec, KN_K_minReadySeconds), 0);
    KN_TRY(
        kn_claim_pods(w->c->env, w->c->pods, w->c->pods_by_owner, w->set, w->selector, &w->pods));
    w->history = (struct kn_history){.env = w->c->env, .arena = w->arena, .owner = w->set};
    KN_TRY(kn_history_sync(&w->history, w->c->revisions, w->c->revisions_by_owner,
                           KN_JSON_AT(spec, KN_K_template, KN_K_metadata, KN_K_labels),
                           KN_DS_HASH));
    w->hash = kn_obj_label(w->history.current, KN_SV(KN_DS_HASH));
    find_nodes(w);
    plan(w);
    struct kn_status s = carry_out(w);
    struct kn_status t = kn_ds_write_status(w);
    if (kn_ok(t))
        t = kn_history_trim(
            &w->history, kn_json_int(kn_json_get(spec, KN_K_revisionHistoryLimit), 10), is_live, w);
    if (kn_ok(s))
        return t;
    kn_status_done(&t);
    return s;
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    struct kn_ds_work w = {.c = arg};
    struct kn_sv ns, name;
    kn_key_split(key, &ns, &name);
    w.set = kn_cache_get(w.c->sets, ns, name);
    if (!w.set)
        return KN_STATUS_OK;
    w.arena = kn_arena_new(16384, 64u << 20);
    struct kn_status s = sync_set(&w);
    *ret_after = w.after;
    for (size_t i = 0; i < w.nodes.len; i++) {
        kn_objs_done(&w.nodes.ptr[i].pods);
        kn_obj_unref(w.nodes.ptr[i].node);
    }
    KN_VEC_DONE(&w.nodes);
    KN_VEC_DONE(&w.create_on);
    kn_objs_done(&w.remove);
    kn_objs_done(&w.pods);
    kn_history_done(&w.history);
    kn_obj_unref(w.set);
    kn_arena_free(w.arena);
    return s;
}

// -- events ---------------------------------------------------------------------------------------

static void add_owner(struct kn_daemonsets *c, const struct kn_obj *o)
{
    const struct kn_json *ref = o ? kn_obj_controller(o) : NULL;
    if (ref && kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "DaemonSet"))
        kn_controller_add_obj(c->controller, o->ns, kn_json_str(kn_json_get(ref, KN_K_name)));
}

static bool add_set(void *arg, const struct kn_obj *set)
{
    struct kn_daemonsets *c = arg;
    kn_controller_add_obj(c->controller, set->ns, set->name);
    return true;
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *pod,
                   const struct kn_obj *old)
{
    struct kn_daemonsets *c = arg;
    add_owner(c, pod);
    add_owner(c, old);
    bool orphan = type != KN_EVENT_DELETED && !kn_obj_controller(pod) &&
                  (!old || kn_obj_controller(old) || !kn_json_equal(old->labels, pod->labels));
    if (orphan)
        kn_cache_list(c->sets, pod->ns, KN_SV_NULL, KN_SV_NULL, add_set, c);
}

static void on_revision(void *arg, enum kn_event_type type, const struct kn_obj *r,
                        const struct kn_obj *old)
{
    (void)old;
    if (type == KN_EVENT_DELETED)
        add_owner(arg, r);
}

static void on_node(void *arg, enum kn_event_type type, const struct kn_obj *node,
                    const struct kn_obj *old)
{
    struct kn_daemonsets *c = arg;
    if (type == KN_EVENT_MODIFIED && kn_json_equal(node->labels, old->labels) &&
        kn_json_equal(kn_json_get(node->root, KN_K_spec), kn_json_get(old->root, KN_K_spec)))
        return; // its status says nothing to us: taints do
    kn_cache_list(c->sets, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, add_set, c);
}

struct kn_status kn_daemonset_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct kn_daemonsets c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_apps("daemonsets"), &c.sets));
    KN_TRY(kn_env_cache(env, kn_apps("controllerrevisions"), &c.revisions));
    KN_TRY(kn_env_cache(env, kn_core("pods"), &c.pods));
    KN_TRY(kn_env_cache(env, kn_core("nodes"), &c.nodes));
    c.pods_by_owner = kn_cache_add_index(c.pods, kn_index_controller_uid);
    c.revisions_by_owner = kn_cache_add_index(c.revisions, kn_index_controller_uid);
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "daemonset", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.pods, on_pod, &c, false);
    kn_env_subscribe(env, c.nodes, on_node, &c, false);
    kn_env_subscribe(env, c.revisions, on_revision, &c, false);
    kn_env_subscribe(env, c.sets, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}
