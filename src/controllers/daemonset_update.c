// Daemon sets: replacing pods of an old template, and the status.
#include "controllers/daemonset.h"

#include "base/num.h"

static int64_t share(const struct kn_json *v, int64_t n, int64_t otherwise)
{
    struct kn_sv text = kn_json_str(v);
    int64_t percent = 0;
    if (!v)
        return otherwise;
    if (kn_json_type(v) == KN_JSON_INT)
        return kn_json_int(v, 0);
    if (text.len && text.ptr[text.len - 1] == '%')
        KN_IGNORE(kn_num_parse(kn_sv_first(text, text.len - 1), 0, 1000000, &percent));
    return (n * percent + 99) / 100; // up
}

struct on_node {
    const struct kn_obj *old, *fresh; // living pods; borrowed
    bool old_available, fresh_available;
};

static struct on_node look(struct kn_ds_work *w, const struct kn_ds_node *n)
{
    struct on_node r = {0};
    for (size_t i = 0; i < n->pods.len; i++) {
        const struct kn_obj *pod = n->pods.ptr[i];
        if (!kn_pod_active(pod))
            continue;
        bool available = kn_ds_available(w, pod);
        if (kn_ds_is_old(w, pod)) {
            r.old = pod;
            r.old_available = r.old_available || available;
        } else {
            r.fresh = pod;
            r.fresh_available = r.fresh_available || available;
        }
    }
    return r;
}

static void remove_old(struct kn_ds_work *w, const struct on_node *n)
{
    KN_VEC_PUSH(&w->remove, kn_obj_ref(n->old));
}

// Old pods go first, at most so many nodes without a pod that is available at a time.
static void replace(struct kn_ds_work *w, int64_t max_unavailable)
{
    int64_t unavailable = 0;
    for (size_t i = 0; i < w->nodes.len; i++) {
        struct on_node n = look(w, &w->nodes.ptr[i]);
        if (!w->nodes.ptr[i].wanted)
            continue;
        if (!n.old_available && !n.fresh_available)
            unavailable++;
    }
    for (size_t i = 0; i < w->nodes.len; i++) {
        struct on_node n = look(w, &w->nodes.ptr[i]);
        if (!w->nodes.ptr[i].wanted || !n.old)
            continue;
        if (n.fresh_available || !n.old_available) {
            remove_old(w, &n); // nobody misses it
        } else if (unavailable < max_unavailable) {
            unavailable++;
            remove_old(w, &n);
        }
    }
}

// New pods come first, beside at most so many old ones.
static void surge(struct kn_ds_work *w, int64_t max_surge)
{
    int64_t surging = 0;
    for (size_t i = 0; i < w->nodes.len; i++) {
        struct on_node n = look(w, &w->nodes.ptr[i]);
        surging += n.old && n.fresh;
    }
    for (size_t i = 0; i < w->nodes.len; i++) {
        struct on_node n = look(w, &w->nodes.ptr[i]);
        if (!w->nodes.ptr[i].wanted || !n.old)
            continue;
        if (n.fresh_available || (!n.fresh && !n.old_available)) {
            remove_old(w, &n);
        } else if (!n.fresh && surging < max_surge) {
            surging++;
            KN_VEC_PUSH(&w->create_on, w->nodes.ptr[i].node);
        }
    }
}

void kn_ds_plan_update(struct kn_ds_work *w)
{
    const struct kn_json *strategy = KN_JSON_AT(w->set->root, KN_K_spec, KN_K_updateStrategy);
    const struct kn_json *rolling = kn_json_get(strategy, KN_K_rollingUpdate);
    int64_t wanted = 0;
    if (kn_sv_is(kn_json_str(kn_json_get(strategy, KN_K_type)), "OnDelete"))
        return;
    for (size_t i = 0; i < w->nodes.len; i++)
        wanted += w->nodes.ptr[i].wanted;
    int64_t max_surge = share(kn_json_get(rolling, KN_K_maxSurge), wanted, 0);
    int64_t max_unavailable = share(kn_json_get(rolling, KN_K_maxUnavailable), wanted, 1);
    if (max_surge > 0)
        surge(w, max_surge);
    else
        replace(w, max_unavailable > 0 ? max_unavailable : 1);
}

// -- status ---------------------------------------------------------------------------------------

struct kn_status kn_ds_write_status(struct kn_ds_work *w)
{
    int64_t desired = 0, current = 0, misscheduled = 0, ready = 0, available = 0, updated = 0;
    for (size_t i = 0; i < w->nodes.len; i++) {
        const struct kn_ds_node *n = &w->nodes.ptr[i];
        bool any = false, any_ready = false, any_available = false, any_updated = false;
        for (size_t k = 0; k < n->pods.len; k++) {
            const struct kn_obj *pod = n->pods.ptr[k];
            any = true;
            any_ready = any_ready || kn_pod_ready(pod);
            any_available = any_available || kn_ds_available(w, pod);
            any_updated = any_updated || !kn_ds_is_old(w, pod);
        }
        desired += n->wanted;
        current += n->wanted && any;
        misscheduled += !n->wanted && any;
        ready += n->wanted && any_ready;
        available += n->wanted && any_available;
        updated += n->wanted && any_updated;
    }
    const struct {
        enum kn_atom key;
        int64_t n;
        bool always;
    } counts[] = {{KN_K_currentNumberScheduled, current, true},
                  {KN_K_numberMisscheduled, misscheduled, true},
                  {KN_K_desiredNumberScheduled, desired, true},
                  {KN_K_numberReady, ready, true},
                  {KN_K_observedGeneration, w->set->generation, false},
                  {KN_K_updatedNumberScheduled, updated, false},
                  {KN_K_numberAvailable, available, false},
                  {KN_K_numberUnavailable, desired - available, false}};
    struct kn_arena *a = w->arena;
    struct kn_json *o = kn_json_copy_shallow_text(a, w->set->root);
    struct kn_json *status = kn_json_ensure_object(a, o, KN_K_status);
    for (size_t i = 0; i < KN_ARRAY_LEN(counts); i++)
        if (counts[i].n || counts[i].always)
            kn_json_set_int(a, status, counts[i].key, counts[i].n);
        else
            kn_json_remove(status, counts[i].key);
    if (kn_json_equal(status, kn_json_get(w->set->root, KN_K_status)))
        return KN_STATUS_OK;
    if (kn_arena_failed(a))
        return kn_arena_error(a, "a daemon set");
    return kn_client_update(w->c->env->client, kn_apps("daemonsets"), w->set->ns, w->set->name,
                            "status", o, NULL);
}
