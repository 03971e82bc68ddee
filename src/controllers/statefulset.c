// Stateful sets: pods with names that stay, made and taken away one after the other, each with its
// claims.
#include "controllers/statefulset.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"

// -- pods -----------------------------------------------------------------------------------------

int64_t kn_ss_ordinal(const struct kn_obj *set, const struct kn_obj *pod)
{
    int64_t n = -1;
    struct kn_sv rest = kn_sv_from(pod->name, set->name.len);
    if (!kn_sv_starts(pod->name, set->name) || rest.len < 2 || rest.ptr[0] != '-')
        return -1;
    struct kn_status s = kn_num_parse(kn_sv_from(rest, 1), 0, INT32_MAX, &n);
    bool ok = kn_ok(s);
    kn_status_done(&s);
    return ok ? n : -1;
}

bool kn_ss_has_revision(const struct kn_obj *pod, const struct kn_obj *revision)
{
    return kn_sv_eq(kn_obj_label(pod, KN_SV(KN_SS_HASH)), revision->name);
}

bool kn_ss_available(struct kn_ss_work *w, const struct kn_obj *pod)
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

static bool has_ended(const struct kn_obj *pod)
{
    struct kn_sv phase = KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_phase);
    return kn_sv_is(phase, "Failed") || kn_sv_is(phase, "Succeeded");
}

static bool healthy(struct kn_ss_work *w, const struct kn_obj *pod)
{
    return !pod->deleting && kn_ss_available(w, pod);
}

static const struct kn_obj *sorting_for; // of the controller's one thread

static int by_ordinal(const void *a, const void *b)
{
    int64_t x = kn_ss_ordinal(sorting_for, *(const struct kn_obj *const *)a);
    int64_t y = kn_ss_ordinal(sorting_for, *(const struct kn_obj *const *)b);
    return x < y ? -1 : x > y;
}

static void arrange(struct kn_ss_work *w)
{
    w->places = kn_calloc((size_t)w->replicas + 1, sizeof *w->places);
    for (size_t i = 0; i < w->pods.len; i++) {
        int64_t n = kn_ss_ordinal(w->set, w->pods.ptr[i]);
        if (n >= w->start && n < w->start + w->replicas)
            w->places[n - w->start] = w->pods.ptr[i];
        else if (n >= 0)
            KN_VEC_PUSH(&w->condemned, w->pods.ptr[i]);
    }
    sorting_for = w->set;
    if (w->condemned.len)
        qsort(w->condemned.ptr, w->condemned.len, sizeof w->condemned.ptr[0], by_ordinal);
}

// -- one step -------------------------------------------------------------------------------------
// Each returns with *wait when what comes after it must wait for the cluster to answer.

static struct kn_status fill(struct kn_ss_work *w, bool *wait)
{
    for (int64_t i = 0; i < w->replicas; i++) {
        const struct kn_obj *pod = w->places[i];
        bool acted = true;
        if (!pod)
            KN_TRY(kn_ss_create(w, w->start + i));
        else if (has_ended(pod) && !pod->deleting)
            KN_TRY(kn_ss_delete(w, pod));
        else
            acted = false;
        if (w->ordered && (acted || !healthy(w, pod))) {
            *wait = true;
            return KN_STATUS_OK;
        }
    }
    return KN_STATUS_OK;
}

static struct kn_status shrink(struct kn_ss_work *w, bool *wait)
{
    for (size_t i = w->condemned.len; i-- > 0;) {
        const struct kn_obj *pod = w->condemned.ptr[i];
        *wait = w->ordered;
        if (!pod->deleting)
            KN_TRY(kn_ss_delete(w, pod));
        if (w->ordered)
            return KN_STATUS_OK; // the next when this one is gone
    }
    return KN_STATUS_OK;
}

// From the highest ordinal down to the partition, one at a time.
static struct kn_status roll(struct kn_ss_work *w)
{
    const struct kn_json *strategy = KN_JSON_AT(w->set->root, KN_K_spec, KN_K_updateStrategy);
    if (kn_sv_is(kn_json_str(kn_json_get(strategy, KN_K_type)), "OnDelete"))
        return KN_STATUS_OK;
    for (int64_t i = w->replicas; i-- > 0 && w->start + i >= w->start + w->partition;) {
        const struct kn_obj *pod = w->places[i];
        if (pod && !pod->deleting && !kn_ss_has_revision(pod, w->history.current))
            return kn_ss_delete(w, pod);
        if (!pod || !healthy(w, pod))
            return KN_STATUS_OK;
    }
    return KN_STATUS_OK;
}

// -- revisions and status -------------------------------------------------------------------------

static void find_current(struct kn_ss_work *w)
{
    struct kn_sv name = KN_JSON_STR_AT(w->set->root, KN_K_status, KN_K_currentRevision);
    w->current = w->history.current;
    for (size_t i = 0; i < w->history.revisions.len; i++)
        if (kn_sv_eq(w->history.revisions.ptr[i]->name, name))
            w->current = w->history.revisions.ptr[i];
}

struct counts {
    int64_t replicas, ready, available, current, updated;
};

static void count(struct kn_ss_work *w, const struct kn_obj *pod, struct counts *n)
{
    n->replicas++;
    n->ready += kn_pod_ready(pod);
    n->available += kn_ss_available(w, pod);
    n->current += !pod->deleting && kn_ss_has_revision(pod, w->current);
    n->updated += !pod->deleting && kn_ss_has_revision(pod, w->history.current);
}

static struct kn_status write_status(struct kn_ss_work *w)
{
    struct counts n = {0};
    for (size_t i = 0; i < w->pods.len; i++)
        if (kn_ss_ordinal(w->set, w->pods.ptr[i]) >= 0)
            count(w, w->pods.ptr[i], &n);
    // the roll is over: what was new is what is
    if (n.updated == n.replicas && n.ready == n.replicas && n.replicas == w->replicas &&
        w->partition == 0) {
        w->current = w->history.current;
        n.current = n.updated;
    }
    const struct {
        enum kn_atom key;
        int64_t n;
        bool always;
    } all[] = {{KN_K_observedGeneration, w->set->generation, false},
               {KN_K_replicas, n.replicas, true},
               {KN_K_readyReplicas, n.ready, false},
               {KN_K_currentReplicas, n.current, false},
               {KN_K_updatedReplicas, n.updated, false},
               {KN_K_availableReplicas, n.available, true}};
    struct kn_arena *a = w->arena;
    struct kn_json *o = kn_json_copy_shallow_text(a, w->set->root);
    struct kn_json *status = kn_json_ensure_object(a, o, KN_K_status);
    for (size_t i = 0; i < KN_ARRAY_LEN(all); i++)
        if (all[i].n || all[i].always)
            kn_json_set_int(a, status, all[i].key, all[i].n);
        else
            kn_json_remove(status, all[i].key);
    kn_json_set_str(a, status, KN_K_currentRevision, w->current->name);
    kn_json_set_str(a, status, KN_K_updateRevision, w->history.current->name);
    if (!kn_json_get(status, KN_K_collisionCount))
        kn_json_set_int(a, status, KN_K_collisionCount, 0);
    if (kn_json_equal(status, kn_json_get(w->set->root, KN_K_status)))
        return KN_STATUS_OK;
    if (kn_arena_failed(a))
        return kn_arena_error(a, "a stateful set");
    return kn_client_update(w->c->env->client, kn_apps("statefulsets"), w->set->ns, w->set->name,
                            "status", o, NULL);
}

static bool is_live(void *arg, const struct kn_obj *revision)
{
    struct kn_ss_work *w = arg;
    if (revision == w->current)
        return true;
    for (size_t i = 0; i < w->pods.len; i++)
        if (kn_ss_has_revision(w->pods.ptr[i], revision))
            return true;
    return false;
}

// -- the controller -------------------------------------------------------------------------------

static void read_wish(struct kn_ss_work *w)
{
    const struct kn_json *spec = kn_json_get(w->set->root, KN_K_spec);
    w->replicas = kn_json_int(kn_json_get(spec, KN_K_replicas), 1);
    w->start = kn_json_int(KN_JSON_AT(spec, KN_K_ordinals, KN_K_start), 0);
    w->partition =
        kn_json_int(KN_JSON_AT(spec, KN_K_updateStrategy, KN_K_rollingUpdate, KN_K_partition), 0);
    w->min_ready = kn_json_int(kn_json_get(spec, KN_K_minReadySeconds), 0);
    w->ordered = !kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_podManagementPolicy)), "Parallel");
}

static struct kn_status step(struct kn_ss_work *w)
{
    bool wait = false;
    KN_TRY(fill(w, &wait));
    if (!wait)
        KN_TRY(shrink(w, &wait));
    return wait ? KN_STATUS_OK : roll(w);
}

static struct kn_status sync_set(struct kn_ss_work *w)
{
    const struct kn_json *spec = kn_json_get(w->set->root, KN_K_spec);
    KN_TRY(kn_label_selector_of(w->arena, kn_json_get(spec, KN_K_selector), &w->selector));
    if (w->set->deleting || kn_selector_is_empty(w->selector))
        return KN_STATUS_OK;
    read_wish(w);
    KN_TRY(
        kn_claim_pods(w->c->env, w->c->pods, w->c->pods_by_owner, w->set, w->selector, &w->pods));
    w->history = (struct kn_history){.env = w->c->env, .arena = w->arena, .owner = w->set};
    KN_TRY(kn_history_sync(&w->history, w->c->revisions, w->c->revisions_by_owner,
                           KN_JSON_AT(spec, KN_K_template, KN_K_metadata, KN_K_labels),
                           "controller.kubernetes.io/hash"));
    find_current(w);
    arrange(w);
    struct kn_status s = step(w);
    struct kn_status t = write_status(w);
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
    struct kn_ss_work w = {.c = arg};
    struct kn_sv ns, name;
    kn_key_split(key, &ns, &name);
    w.set = kn_cache_get(w.c->sets, ns, name);
    if (!w.set)
        return KN_STATUS_OK;
    w.arena = kn_arena_new(16384, 64u << 20);
    struct kn_status s = sync_set(&w);
    *ret_after = w.after;
    free(w.places);
    KN_VEC_DONE(&w.condemned);
    kn_objs_done(&w.pods);
    kn_history_done(&w.history);
    kn_obj_unref(w.set);
    kn_arena_free(w.arena);
    return s;
}

static void add_owner(struct kn_statefulsets *c, const struct kn_obj *o)
{
    const struct kn_json *ref = o ? kn_obj_controller(o) : NULL;
    if (ref && kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "StatefulSet"))
        kn_controller_add_obj(c->controller, o->ns, kn_json_str(kn_json_get(ref, KN_K_name)));
}

static bool add_set(void *arg, const struct kn_obj *set)
{
    struct kn_statefulsets *c = arg;
    kn_controller_add_obj(c->controller, set->ns, set->name);
    return true;
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *pod,
                   const struct kn_obj *old)
{
    struct kn_statefulsets *c = arg;
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

struct kn_status kn_statefulset_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct kn_statefulsets c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_apps("statefulsets"), &c.sets));
    KN_TRY(kn_env_cache(env, kn_apps("controllerrevisions"), &c.revisions));
    KN_TRY(kn_env_cache(env, kn_core("pods"), &c.pods));
    KN_TRY(kn_env_cache(env, kn_core("persistentvolumeclaims"), &c.claims));
    c.pods_by_owner = kn_cache_add_index(c.pods, kn_index_controller_uid);
    c.revisions_by_owner = kn_cache_add_index(c.revisions, kn_index_controller_uid);
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "statefulset", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.pods, on_pod, &c, false);
    kn_env_subscribe(env, c.revisions, on_revision, &c, false);
    kn_env_subscribe(env, c.sets, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}
