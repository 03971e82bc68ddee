// What the files of the deployment controller share.
#pragma once
#include "controllers/common.h"

#define KN_REVISION "deployment.kubernetes.io/revision"
#define KN_HISTORY "deployment.kubernetes.io/revision-history"
#define KN_DESIRED "deployment.kubernetes.io/desired-replicas"
#define KN_MAX "deployment.kubernetes.io/max-replicas"
#define KN_HASH "pod-template-hash"

struct kn_deployments {
    struct kn_env *env;
    struct kn_cache *deployments, *sets, *pods;
    unsigned sets_by_owner, pods_by_owner;
    struct kn_controller *controller;
};

struct kn_rollout {
    struct kn_deployments *c;
    struct kn_arena *arena;
    const struct kn_obj *d;
    struct kn_selector *selector;
    kn_objs sets;                // all that it owns, oldest first
    const struct kn_obj *newest; // of the present template; borrowed from sets, or NULL
    int64_t replicas, surge, unavailable; // wanted; limits in pods
    bool created_new;
    int64_t after;
};

int64_t kn_set_wanted(const struct kn_obj *set);
int64_t kn_set_status(const struct kn_obj *set, enum kn_atom what);
bool kn_is_complete(const struct kn_rollout *r);
// deployment_roll.c: makes the new set, moves replicas.
struct kn_status kn_rollout_new_set(struct kn_rollout *r, bool create);
struct kn_status kn_rollout_scale_only(struct kn_rollout *r);
struct kn_status kn_rollout_rolling(struct kn_rollout *r);
struct kn_status kn_rollout_recreate(struct kn_rollout *r);
struct kn_status kn_rollout_clean_up(struct kn_rollout *r);
// deployment_status.c
struct kn_status kn_rollout_status(struct kn_rollout *r);
