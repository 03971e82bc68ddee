// What the node asks of the network: a pod's interfaces and addresses in a network namespace that
// the node has made and pinned. Implemented by the network part and wired by cmd/; the functions
// block and may be called by many threads at a time.
#pragma once
#include "base/arena.h"
#include "base/status.h"

struct kn_pod_net_request {
    const char *netns;             // path of the pinned namespace
    struct kn_sv ns, name, uid;    // of the pod
    const struct kn_json *spec;    // pod.spec (ports with hostPort)
};

struct kn_pod_network {
    void *arg;
    // Idempotent. ret_ip: the pod's address as text, in the arena.
    struct kn_status (*setup)(void *arg, const struct kn_pod_net_request *r, struct kn_arena *a,
                              struct kn_sv *ret_ip);
    // The pod ran before this process did: take its address as used. Same result as setup's.
    struct kn_status (*restore)(void *arg, const struct kn_pod_net_request *r, struct kn_arena *a,
                                struct kn_sv *ret_ip);
    // Gives the address back. The namespace is removed by the node afterwards. Idempotent.
    struct kn_status (*teardown)(void *arg, const struct kn_pod_net_request *r);
};
