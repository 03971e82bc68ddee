// One pod on this node: a thread that makes what the pod's spec says true, step by step, and tells
// what is. It waits for messages, for news of the shim, and for deadlines; nothing is polled.
//
// A worker that starts finds what a former agent left: containers that run are never touched.
#pragma once
#include "node/node.h"

struct kn_pod_worker;

// Takes a reference to the pod. done is called once, in the worker's thread, when the pod has ended
// here and its API object is gone or is being removed; the worker may then be joined.
struct kn_status kn_pod_worker_start(const struct kn_node *n, const struct kn_obj *pod,
                                     void (*done)(void *arg, struct kn_pod_worker *w), void *arg,
                                     struct kn_pod_worker **ret);
// Any thread. A newer version of the pod's object.
void kn_pod_worker_update(struct kn_pod_worker *w, const struct kn_obj *pod);
// Any thread. The API object is gone: end at once.
void kn_pod_worker_gone(struct kn_pod_worker *w);
// Ends the thread, not the pod (the agent stops), waits for it, and frees the worker.
void kn_pod_worker_stop(struct kn_pod_worker *w);

// Any thread: what exec, attach and logs need to know of a container. KN_NOT_FOUND without it.
struct kn_pod_container {
    char name[64], id[72], run[128], bundle[256], log[640];
    char reason[48]; // why it waits
    bool running, tty, stdin_open;
    int restarts;
};
struct kn_status kn_pod_worker_container(struct kn_pod_worker *w, struct kn_sv name,
                                         struct kn_pod_container *ret);
const struct kn_obj *kn_pod_worker_pod(struct kn_pod_worker *w); // a new reference
