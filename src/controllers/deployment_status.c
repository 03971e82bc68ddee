// What a deployment says of itself: counts, Available, Progressing with its deadline.
#include "base/clock.h"
#include "controllers/deployment.h"

struct counts {
    int64_t replicas, updated, ready, available;
};

static struct counts count(const struct kn_rollout *r)
{
    struct counts n = {0};
    for (size_t i = 0; i < r->sets.len; i++) {
        const struct kn_obj *set = r->sets.ptr[i];
        n.replicas += kn_set_status(set, KN_K_replicas);
        n.ready += kn_set_status(set, KN_K_readyReplicas);
        n.available += kn_set_status(set, KN_K_availableReplicas);
        if (set == r->newest)
            n.updated = kn_set_status(set, KN_K_replicas);
    }
    return n;
}

bool kn_is_complete(const struct kn_rollout *r)
{
    struct counts n = count(r);
    return n.updated == r->replicas && n.replicas == r->replicas && n.available == r->replicas;
}

static void put(struct kn_arena *a, struct kn_json *status, enum kn_atom key, int64_t n)
{
    if (n)
        kn_json_set_int(a, status, key, n);
    else
        kn_json_remove(status, key);
}

static void set_available(struct kn_rollout *r, struct kn_json *conditions, const struct counts *n)
{
    bool enough = n->available >= r->replicas - r->unavailable;
    kn_condition_set(r->arena, conditions, "Available", enough ? "True" : "False",
                     enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                     enough ? KN_SV("Deployment has minimum availability.")
                            : KN_SV("Deployment does not have minimum availability."), true);
}

static bool has_progressed(const struct kn_json *before, const struct counts *n)
{
    int64_t replicas = kn_json_int(kn_json_get(before, KN_K_replicas), 0);
    int64_t updated = kn_json_int(kn_json_get(before, KN_K_updatedReplicas), 0);
    return n->updated > updated || n->replicas - n->updated < replicas - updated ||
           n->ready > kn_json_int(kn_json_get(before, KN_K_readyReplicas), 0) ||
           n->available > kn_json_int(kn_json_get(before, KN_K_availableReplicas), 0);
}

static int64_t updated_at(const struct kn_json *condition)
{
    struct kn_time t = {0};
    struct kn_sv text = kn_json_str(kn_json_get(condition, KN_K_lastUpdateTime));
    if (text.len)
        KN_IGNORE(kn_time_parse(text, &t));
    return t.ns;
}

static void set_progressing(struct kn_rollout *r, struct kn_json *conditions,
                            const struct kn_json *before, const struct counts *n)
{
    struct kn_arena *a = r->arena;
    const struct kn_json *spec = kn_json_get(r->d->root, KN_K_spec);
    int64_t deadline = kn_json_int(kn_json_get(spec, KN_K_progressDeadlineSeconds), 600);
    const struct kn_json *c = kn_condition(conditions, "Progressing");
    struct kn_sv reason = kn_json_str(kn_json_get(c, KN_K_reason));
    if (deadline == INT32_MAX) // the old groups' default: no deadline, no condition
        return;
    struct kn_sv set = r->newest ? r->newest->name : KN_SV("");
    if (kn_json_bool(kn_json_get(spec, KN_K_paused), false)) {
        kn_condition_set(a, conditions, "Progressing", "Unknown", "DeploymentPaused",
                         KN_SV("Deployment is paused"), true);
        return;
    }
    if (kn_is_complete(r) && r->newest) {
        kn_condition_set(a, conditions, "Progressing", "True", "NewReplicaSetAvailable",
                         kn_arena_printf(a, "ReplicaSet \"%.*s\" has successfully progressed.",
                                         KN_SV_ARG(set)), true);
        return;
    }
    if (r->created_new || kn_sv_is(reason, "DeploymentPaused") || !c) {
        kn_condition_set(
            a, conditions, "Progressing", "True",
            r->created_new ? "NewReplicaSetCreated"
            : c            ? "DeploymentResumed"
                           : "FoundNewReplicaSet",
            r->created_new ? kn_arena_printf(a, "Created new replica set \"%.*s\"", KN_SV_ARG(set))
            : c            ? KN_SV("Deployment is resumed")
                           : kn_arena_printf(a, "Found new replica set \"%.*s\"", KN_SV_ARG(set)),
            true);
        c = kn_condition(conditions, "Progressing");
    } else if (has_progressed(before, n) || kn_sv_is(reason, "NewReplicaSetAvailable")) {
        struct kn_json *w = (struct kn_json *)(uintptr_t)c;
        kn_condition_set(a, conditions, "Progressing", "True", "ReplicaSetUpdated",
                         kn_arena_printf(a, "ReplicaSet \"%.*s\" is progressing.", KN_SV_ARG(set)),
                         true);
        kn_json_set_str(a, w, KN_K_lastUpdateTime, kn_now_text(a)); // the deadline begins anew
    }
    int64_t left = updated_at(c) + deadline * KN_SECOND - kn_now().ns;
    if (left <= 0 && !kn_sv_is(reason, "ProgressDeadlineExceeded"))
        kn_condition_set(a, conditions, "Progressing", "False", "ProgressDeadlineExceeded",
                         kn_arena_printf(a, "ReplicaSet \"%.*s\" has timed out progressing.",
                                         KN_SV_ARG(set)), true);
    else if (left > 0)
        r->after = left;
}

static void copy_failure(struct kn_rollout *r, struct kn_json *conditions)
{
    const struct kn_json *failure = NULL;
    for (size_t i = 0; i < r->sets.len && !failure; i++)
        failure = kn_condition(KN_JSON_AT(r->sets.ptr[i]->root, KN_K_status, KN_K_conditions),
                               "ReplicaFailure");
    if (failure)
        kn_condition_set(r->arena, conditions, "ReplicaFailure", "True",
                         kn_arena_dup(r->arena, kn_json_str(kn_json_get(failure, KN_K_reason))).ptr,
                         kn_json_str(kn_json_get(failure, KN_K_message)), true);
    else
        kn_json_remove_child(
            conditions, (struct kn_json *)(uintptr_t)kn_condition(conditions, "ReplicaFailure"));
}

// The deployment carries the revision of its new set; kubectl rollout reads it there.
static struct kn_status write_revision(struct kn_rollout *r)
{
    struct kn_sv now = kn_meta_text(r->d->root, KN_K_annotations, KN_REVISION);
    struct kn_sv set =
        r->newest ? kn_meta_text(r->newest->root, KN_K_annotations, KN_REVISION) : KN_SV_NULL;
    if (r->d->deleting || set.len == 0 || kn_sv_eq(now, set))
        return KN_STATUS_OK;
    struct kn_json *o = kn_json_copy(r->arena, r->d->root);
    kn_annotate(r->arena, o, KN_REVISION, kn_arena_dup(r->arena, set));
    const struct kn_obj *fresh = NULL;
    KN_TRY(kn_client_update(r->c->env->client, kn_apps("deployments"), r->d->ns, r->d->name, NULL,
                            o, &fresh));
    kn_obj_unref(r->d);
    r->d = fresh;
    return KN_STATUS_OK;
}

struct kn_status kn_rollout_status(struct kn_rollout *r)
{
    KN_TRY(write_revision(r));
    struct kn_arena *a = r->arena;
    struct counts n = count(r);
    const struct kn_json *before = kn_json_get(r->d->root, KN_K_status);
    struct kn_json *o = kn_json_copy_shallow_text(a, r->d->root);
    struct kn_json *status = kn_json_ensure_object(a, o, KN_K_status);
    put(a, status, KN_K_observedGeneration, r->d->generation);
    put(a, status, KN_K_replicas, n.replicas);
    put(a, status, KN_K_updatedReplicas, n.updated);
    put(a, status, KN_K_readyReplicas, n.ready);
    put(a, status, KN_K_availableReplicas, n.available);
    int64_t missing = r->replicas > n.replicas ? r->replicas : n.replicas;
    put(a, status, KN_K_unavailableReplicas, missing - n.available > 0 ? missing - n.available : 0);
    struct kn_json *conditions = kn_json_ensure_array(a, status, KN_K_conditions);
    set_available(r, conditions, &n);
    set_progressing(r, conditions, before, &n);
    copy_failure(r, conditions);
    if (kn_json_equal(status, before))
        return KN_STATUS_OK;
    return kn_client_update(r->c->env->client, kn_apps("deployments"), r->d->ns, r->d->name,
                            "status", o, NULL);
}
