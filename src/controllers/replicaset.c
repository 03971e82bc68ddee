// As many pods as a replica set says: adopts and releases by its selector, makes what is missing in
// batches that double, deletes what is too much beginning with the least useful, and counts.
#include <stdlib.h>

#include "base/clock.h"
#include "controllers/common.h"

#define BURST 500

struct ctx {
    struct kn_env *env;
    struct kn_cache *sets, *pods;
    unsigned by_owner;
    struct kn_controller *controller;
};

struct work {
    struct ctx *c;
    struct kn_arena *arena;
    const struct kn_obj *set;
    struct kn_selector *selector;
    kn_objs pods; // active, owned
    struct kn_status status; // first failure to make or delete a pod
    int64_t after;
};

// -- whose pods -----------------------------------------------------------------------------------

static struct kn_status patch_owner(struct work *w, const struct kn_obj *pod, bool adopt)
{
    struct kn_buf patch = KN_BUF(4096);
    if (adopt)
        kn_buf_addf(&patch,
                    "{\"metadata\":{\"uid\":\"%.*s\",\"ownerReferences\":[{\"apiVersion\":\"apps/"
                    "v1\",\"kind\":"
                    "\"ReplicaSet\",\"name\":\"%.*s\",\"uid\":\"%.*s\",\"controller\":true,"
                    "\"blockOwnerDeletion\":true}]}}",
                    KN_SV_ARG(pod->uid), KN_SV_ARG(w->set->name), KN_SV_ARG(w->set->uid));
    else
        kn_buf_addf(
            &patch,
            "{\"metadata\":{\"uid\":\"%.*s\",\"ownerReferences\":[{\"$patch\":\"delete\",\"uid\":"
            "\"%.*s\"}]}}",
            KN_SV_ARG(pod->uid), KN_SV_ARG(w->set->uid));
    struct kn_status s = kn_client_patch(w->c->env->client, kn_core("pods"), pod->ns, pod->name,
                                         NULL, KN_PATCH_STRATEGIC, kn_buf_sv(&patch), NULL);
    kn_buf_done(&patch);
    if (s.code == KN_NOT_FOUND) // gone meanwhile
        kn_status_done(&s);
    return s;
}

static bool take_orphan(void *arg, const struct kn_obj *pod)
{
    struct work *w = arg;
    if (kn_pod_active(pod) &&
        kn_selector_matches_labels(w->selector, pod->labels))
        KN_VEC_PUSH(&w->pods, kn_obj_ref(pod));
    return true;
}

static bool take_owned(void *arg, const struct kn_obj *pod)
{
    struct work *w = arg;
    if (kn_pod_active(pod))
        KN_VEC_PUSH(&w->pods, kn_obj_ref(pod));
    return true;
}

static struct kn_status claim(struct work *w)
{
    kn_cache_by_index(w->c->pods, w->c->by_owner, w->set->uid, take_owned, w);
    size_t owned = w->pods.len;
    char nobody[KN_OBJ_KEY_TEXT];
    if (!w->set->deleting)
        kn_cache_by_index(w->c->pods, w->c->by_owner, kn_index_nobody(w->set->ns, nobody),
                          take_orphan, w);
    for (size_t i = owned; i < w->pods.len; i++)
        KN_TRY(patch_owner(w, w->pods.ptr[i], true));
    for (size_t i = 0; i < w->pods.len; i++) {
        const struct kn_obj *pod = w->pods.ptr[i];
        if (kn_selector_matches_labels(w->selector, pod->labels))
            continue;
        KN_TRY(patch_owner(w, pod, false));
        kn_obj_unref(pod);
        KN_VEC_SWAP_OUT(&w->pods, i);
        i--;
    }
    return KN_STATUS_OK;
}

// -- more -----------------------------------------------------------------------------------------

static struct kn_json *new_pod(struct work *w)
{
    struct kn_arena *a = w->arena;
    const struct kn_json *template = KN_JSON_AT(w->set->root, KN_K_spec, KN_K_template);
    struct kn_json *pod = kn_json_new_object(a);
    struct kn_json *m = kn_json_ensure_object(a, pod, KN_K_metadata);
    static const enum kn_atom kept[] = {KN_K_labels, KN_K_annotations, KN_K_finalizers};
    for (size_t i = 0; i < KN_ARRAY_LEN(kept); i++) {
        const struct kn_json *v = KN_JSON_AT(template, KN_K_metadata, kept[i]);
        if (v)
            kn_json_set(a, m, kept[i], kn_json_copy_shallow_text(a, v));
    }
    kn_json_set_str(a, m, KN_K_generateName, kn_arena_printf(a, "%.*s-", KN_SV_ARG(w->set->name)));
    kn_own(a, m, w->set);
    kn_json_set(a, pod, KN_K_spec, kn_json_copy_shallow_text(a, kn_json_get(template, KN_K_spec)));
    return pod;
}

struct creation {
    struct work *w;
    const struct kn_json *pod;
    const struct kn_obj **made; // by index; NULL where it failed
};

static struct kn_status create_pod(void *ctx, size_t i)
{
    struct creation *c = ctx;
    struct kn_env *env = c->w->c->env;
    struct kn_status s = kn_client_create(env->client, kn_core("pods"), c->w->set->ns, KN_SV_NULL,
                                          NULL, c->pod, &c->made[i]);
    if (kn_ok(s))
        kn_event(env->recorder, c->w->set, "Normal", "SuccessfulCreate", "Created pod: %.*s",
                 KN_SV_ARG(c->made[i]->name));
    return s;
}

static void create_pods(struct work *w, int64_t count)
{
    struct creation c = {
        .w = w, .pod = new_pod(w), .made = kn_calloc((size_t)count, sizeof *c.made)};
    size_t called;
    w->status = kn_fan_slow_start(w->c->env->fan, (size_t)count, create_pod, &c, &called);
    for (size_t i = 0; i < called; i++)
        if (c.made[i])
            KN_VEC_PUSH(&w->pods, c.made[i]);
    free(c.made);
    if (!kn_ok(w->status))
        kn_event(w->c->env->recorder, w->set, "Warning", "FailedCreate", "Error creating: %s",
                 kn_status_text(&w->status));
}

// -- fewer ----------------------------------------------------------------------------------------

static int phase_rank(const struct kn_obj *pod)
{
    struct kn_sv phase = KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_phase);
    return kn_sv_is(phase, "Pending") || phase.len == 0 ? 0 : kn_sv_is(phase, "Unknown") ? 1 : 2;
}

static int64_t restarts(const struct kn_obj *pod)
{
    int64_t most = 0;
    const struct kn_json *list = KN_JSON_AT(pod->root, KN_K_status, KN_K_containerStatuses), *c;
    KN_JSON_EACH(c, list)
    {
        int64_t n = kn_json_int(kn_json_get(c, KN_K_restartCount), 0);
        most = n > most ? n : most;
    }
    return most;
}

static int64_t created(const struct kn_obj *pod)
{
    struct kn_time t = {0};
    kn_obj_created(pod, &t);
    return t.ns;
}

#define FIRST_BY(x, y)                                                                             \
    do {                                                                                           \
        if ((x) != (y))                                                                            \
            return (x) < (y) ? -1 : 1;                                                             \
    } while (0)

// Which of two pods is the better one to delete.
static int by_uselessness(const void *a, const void *b)
{
    const struct kn_obj *p = *(const struct kn_obj *const *)a,
                        *q = *(const struct kn_obj *const *)b;
    bool pn = KN_JSON_STR_AT(p->root, KN_K_spec, KN_K_nodeName).len > 0;
    bool qn = KN_JSON_STR_AT(q->root, KN_K_spec, KN_K_nodeName).len > 0;
    FIRST_BY(pn, qn);
    FIRST_BY(phase_rank(p), phase_rank(q));
    int64_t pr = kn_pod_ready_since(p), qr = kn_pod_ready_since(q);
    FIRST_BY(pr != 0, qr != 0);
    FIRST_BY(qr, pr); // the one that is ready for a shorter time
    FIRST_BY(restarts(q), restarts(p));
    FIRST_BY(created(q), created(p)); // the newer one
    return kn_sv_cmp(p->name, q->name);
}

static struct kn_status delete_pod(void *ctx, size_t i)
{
    struct work *w = ctx;
    const struct kn_obj *pod = w->pods.ptr[i];
    struct kn_delete_options o = {.uid = pod->uid, .grace_seconds = -1};
    struct kn_status s =
        kn_client_delete(w->c->env->client, kn_core("pods"), pod->ns, pod->name, &o);
    if (kn_ok(s))
        kn_event(w->c->env->recorder, w->set, "Normal", "SuccessfulDelete", "Deleted pod: %.*s",
                 KN_SV_ARG(pod->name));
    else if (s.code == KN_NOT_FOUND || s.code == KN_CONFLICT)
        kn_status_done(&s); // gone already
    return s;
}

static void delete_pods(struct work *w, int64_t count)
{
    size_t called;
    qsort(w->pods.ptr, w->pods.len, sizeof w->pods.ptr[0], by_uselessness);
    w->status = kn_fan_slow_start(w->c->env->fan, (size_t)count, delete_pod, w, &called);
    if (!kn_ok(w->status)) {
        kn_event(w->c->env->recorder, w->set, "Warning", "FailedDelete", "Error deleting: %s",
                 kn_status_text(&w->status));
        return; // how many are left the cache will tell
    }
    for (int64_t i = 0; i < count; i++)
        kn_obj_unref(w->pods.ptr[i]);
    w->pods.len -= (size_t)count;
    memmove(w->pods.ptr, w->pods.ptr + count, w->pods.len * sizeof w->pods.ptr[0]);
}

// -- status ---------------------------------------------------------------------------------------

static struct kn_status write_status(struct work *w)
{
    struct kn_arena *a = w->arena;
    struct kn_json *o = kn_json_copy_shallow_text(a, w->set->root);
    struct kn_json *status = kn_json_ensure_object(a, o, KN_K_status);
    struct kn_selector *full;
    int64_t ready = 0, available = 0, labeled = 0, now = kn_now().ns;
    int64_t min_ready = kn_json_int(KN_JSON_AT(w->set->root, KN_K_spec, KN_K_minReadySeconds), 0);
    const struct kn_json *labels =
        KN_JSON_AT(w->set->root, KN_K_spec, KN_K_template, KN_K_metadata, KN_K_labels);
    KN_TRY(kn_label_selector_of_map(a, labels, &full));
    for (size_t i = 0; i < w->pods.len; i++) {
        int64_t since = kn_pod_ready_since(w->pods.ptr[i]);
        labeled += kn_selector_matches_labels(full, w->pods.ptr[i]->labels);
        if (!since)
            continue;
        ready++;
        int64_t left = since + min_ready * KN_SECOND - now;
        if (min_ready == 0 || left <= 0)
            available++;
        else if (w->after == 0 || left < w->after)
            w->after = left;
    }
    kn_json_set_int(a, status, KN_K_replicas, (int64_t)w->pods.len);
    const struct {
        enum kn_atom key;
        int64_t n;
    } counts[] = {{KN_K_fullyLabeledReplicas, labeled},
                  {KN_K_readyReplicas, ready},
                  {KN_K_availableReplicas, available},
                  {KN_K_observedGeneration, w->set->generation}};
    for (size_t i = 0; i < KN_ARRAY_LEN(counts); i++) {
        if (counts[i].n)
            kn_json_set_int(a, status, counts[i].key, counts[i].n);
        else
            kn_json_remove(status, counts[i].key);
    }
    struct kn_json *conditions = kn_json_ensure_array(a, status, KN_K_conditions);
    if (!kn_ok(w->status))
        kn_condition_set(a, conditions, "ReplicaFailure", "True", "FailedCreate",
                         kn_arena_dup(a, kn_sv_c(kn_status_text(&w->status))), false);
    else
        kn_json_remove_child(
            conditions, (struct kn_json *)(uintptr_t)kn_condition(conditions, "ReplicaFailure"));
    if (kn_json_len(conditions) == 0)
        kn_json_remove(status, KN_K_conditions);
    if (kn_json_equal(status, kn_json_get(w->set->root, KN_K_status)))
        return KN_STATUS_OK;
    return kn_client_update(w->c->env->client, kn_apps("replicasets"), w->set->ns, w->set->name,
                            "status", o, NULL);
}

static struct kn_status sync_set(struct work *w)
{
    KN_TRY(kn_label_selector_of(w->arena, KN_JSON_AT(w->set->root, KN_K_spec, KN_K_selector),
                                &w->selector));
    KN_TRY(claim(w));
    int64_t wanted = kn_json_int(KN_JSON_AT(w->set->root, KN_K_spec, KN_K_replicas), 1);
    int64_t diff = wanted - (int64_t)w->pods.len;
    if (!w->set->deleting && diff > 0)
        create_pods(w, diff < BURST ? diff : BURST);
    else if (!w->set->deleting && diff < 0)
        delete_pods(w, -diff < BURST ? -diff : BURST);
    struct kn_status s = write_status(w);
    if (!kn_ok(w->status)) {
        kn_status_done(&s);
        s = w->status;
        w->status = KN_STATUS_OK;
    }
    return s;
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    struct work w = {.c = arg};
    struct kn_sv ns, name;
    kn_key_split(key, &ns, &name);
    w.set = kn_cache_get(w.c->sets, ns, name);
    if (!w.set)
        return KN_STATUS_OK;
    w.arena = kn_arena_new(8192, 64u << 20);
    struct kn_status s = sync_set(&w);
    *ret_after = w.after;
    kn_objs_done(&w.pods);
    kn_obj_unref(w.set);
    kn_arena_free(w.arena);
    if (s.code == KN_CONFLICT || s.code == KN_NOT_FOUND) // the cache will tell, and we come again
        s.code = KN_CONFLICT;
    return s;
}

// -- events ---------------------------------------------------------------------------------------

static void add_owner(struct ctx *c, const struct kn_obj *pod)
{
    const struct kn_json *ref = pod ? kn_obj_controller(pod) : NULL;
    if (ref && kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "ReplicaSet"))
        kn_controller_add_obj(c->controller, pod->ns, kn_json_str(kn_json_get(ref, KN_K_name)));
}

struct orphan {
    struct ctx *c;
    const struct kn_obj *pod;
};

static bool add_if_selected(void *arg, const struct kn_obj *set)
{
    struct orphan *o = arg;
    struct kn_arena *a = kn_arena_new(1024, 64u << 10);
    struct kn_selector *s;
    struct kn_status st =
        kn_label_selector_of(a, KN_JSON_AT(set->root, KN_K_spec, KN_K_selector), &s);
    if (kn_ok(st) && kn_selector_matches_labels(s, o->pod->labels))
        kn_controller_add_obj(o->c->controller, set->ns, set->name);
    kn_status_done(&st);
    kn_arena_free(a);
    return true;
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *pod,
                   const struct kn_obj *old)
{
    struct ctx *c = arg;
    add_owner(c, pod);
    add_owner(c, old);
    if (type != KN_EVENT_DELETED && !kn_obj_controller(pod)) {
        struct orphan o = {c, pod};
        kn_cache_list(c->sets, pod->ns, KN_SV_NULL, KN_SV_NULL, add_if_selected, &o);
    }
}

struct kn_status kn_replicaset_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_apps("replicasets"), &c.sets));
    KN_TRY(kn_env_cache(env, kn_core("pods"), &c.pods));
    c.by_owner = kn_cache_add_index(c.pods, kn_index_controller_uid);
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "replicaset", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.pods, on_pod, &c, false);
    kn_env_subscribe(env, c.sets, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}
