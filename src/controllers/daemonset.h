// What the files of the daemon set controller share.
#pragma once
#include "controllers/history.h"

#define KN_DS_HASH "controller-revision-hash"

struct kn_daemonsets {
    struct kn_env *env;
    struct kn_cache *sets, *pods, *nodes, *revisions;
    unsigned pods_by_owner, revisions_by_owner;
    struct kn_controller *controller;
};

// A node with the set's pods on it, or meant for it. Old: of another template.
struct kn_ds_node {
    const struct kn_obj *node; // a reference
    bool wanted;               // the set should have a pod here
    bool kept;                 // pods that are here may stay
    kn_objs pods;              // that live
};

struct kn_ds_work {
    struct kn_daemonsets *c;
    struct kn_arena *arena;
    const struct kn_obj *set;
    struct kn_selector *selector;
    kn_objs pods;
    struct kn_history history;
    struct kn_sv hash; // of the present template
    KN_VEC(struct kn_ds_node) nodes;
    KN_VEC(const struct kn_obj *) create_on; // nodes; borrowed
    kn_objs remove;
    int64_t min_ready, after;
    struct kn_status status; // first failure to make or delete a pod
};

bool kn_ds_available(struct kn_ds_work *w, const struct kn_obj *pod);
bool kn_ds_is_old(const struct kn_ds_work *w, const struct kn_obj *pod);
// daemonset_update.c: adds to create_on and remove what the update strategy allows.
void kn_ds_plan_update(struct kn_ds_work *w);
struct kn_status kn_ds_write_status(struct kn_ds_work *w);
