// What the node agent's modules share: where things lie, what the machine can do, and the little
// that they need of the API. Made once by whoever runs the agent, then immutable: any thread.
#pragma once
#include "meta/obj.h"
#include "node/cancel.h"
#include "node/cgroup.h"
#include "node/image_store.h"
#include "node/pod_network.h"
#include "node/runtime.h"

enum kn_node_kind { KN_NODE_CONFIG_MAP, KN_NODE_SECRET };

// What the agent asks of the API. Functions block and may be called by any thread.
struct kn_node_api {
    void *arg;
    struct kn_status (*get)(void *arg, enum kn_node_kind kind, struct kn_sv ns, struct kn_sv name,
                            const struct kn_obj **ret);
    // A token of the pod's service account (TokenRequest), as text in the arena.
    struct kn_status (*token)(void *arg, const struct kn_obj *pod, struct kn_sv audience,
                              int64_t seconds, struct kn_arena *a, struct kn_sv *ret);
    // Writes pods/status; a pod that is gone is fine.
    struct kn_status (*put_status)(void *arg, const struct kn_obj *pod,
                                   const struct kn_json *status);
    // Removes the API object of a pod that has ended (grace period 0, uid as the precondition).
    struct kn_status (*finish)(void *arg, const struct kn_obj *pod);
    // Never blocks. path: "spec.containers{nginx}", or empty.
    void (*event)(void *arg, const struct kn_obj *pod, struct kn_sv path, const char *type,
                  const char *reason, const char *message);
    // Environment of the services that the pod sees (without links: of the API alone): calls add
    // for each variable. May be NULL.
    void (*services)(void *arg, struct kn_sv ns, bool links,
                     void (*add)(void *ctx, struct kn_sv name, struct kn_sv value), void *ctx);
    // Brings an image in (ErrImagePull when it fails). Blocks until then, or until it is cancelled
    // (KN_CANCELLED). NULL: nothing can be pulled.
    struct kn_status (*pull)(void *arg, const struct kn_obj *pod, struct kn_sv image,
                             struct kn_cancel *cancel);
};

struct kn_node {
    const char *name;     // of the Node object
    const char *run_dir;  // <run_dir>/node is a tmpfs
    const char *data_dir; // <data_dir>/pods, <data_dir>/images
    const char *log_dir;  // "/var/log/pods"
    struct kn_sv host_ip, cluster_dns, cluster_domain;
    const char *shim;     // the installed program
    int64_t memory_capacity;
    bool can_lower_oom;   // CAP_SYS_RESOURCE
    struct kn_cgroups *cgroups;
    struct kn_runtime *runtime;
    struct kn_images *images;
    struct kn_pod_network *network;
    struct kn_node_api api;
};

enum kn_qos { KN_QOS_GUARANTEED, KN_QOS_BURSTABLE, KN_QOS_BEST_EFFORT };
enum kn_qos kn_pod_qos(const struct kn_json *pod_spec);
const char *kn_qos_name(enum kn_qos q); // "Guaranteed", ...
