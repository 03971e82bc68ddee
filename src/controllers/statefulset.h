// What the files of the stateful set controller share.
#pragma once
#include "controllers/history.h"

#define KN_SS_HASH "controller-revision-hash" // on pods: the name of their revision

struct kn_statefulsets {
    struct kn_env *env;
    struct kn_cache *sets, *pods, *revisions, *claims;
    unsigned pods_by_owner, revisions_by_owner;
    struct kn_controller *controller;
};

struct kn_ss_work {
    struct kn_statefulsets *c;
    struct kn_arena *arena;
    const struct kn_obj *set;
    struct kn_selector *selector;
    kn_objs pods; // claimed
    struct kn_history history;
    const struct kn_obj *current; // revision of pods that are not to be updated yet; borrowed
    int64_t start, replicas, partition, min_ready, after;
    bool ordered; // one after the other; otherwise all at once
    const struct kn_obj **places; // by ordinal - start: a pod, borrowed from `pods`, or NULL
    KN_VEC(const struct kn_obj *) condemned; // beyond the wanted ordinals, highest last; borrowed
};

// -1: its name is not one of the set's.
int64_t kn_ss_ordinal(const struct kn_obj *set, const struct kn_obj *pod);
bool kn_ss_available(struct kn_ss_work *w, const struct kn_obj *pod);
bool kn_ss_has_revision(const struct kn_obj *pod, const struct kn_obj *revision);
// statefulset_pod.c: the pod and its claims.
struct kn_status kn_ss_create(struct kn_ss_work *w, int64_t ordinal);
struct kn_status kn_ss_delete(struct kn_ss_work *w, const struct kn_obj *pod);
