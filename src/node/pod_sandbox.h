// The part of a pod that its containers share: namespaces for network, IPC and names, pinned by
// files; the files for names and addresses; the cgroup; the shim. No process is needed for it.
#pragma once
#include "node/node.h"
#include "node/shim_client.h"

struct kn_sandbox {
    char run[128];     // <run_dir>/node/pods/<uid>: namespaces, sockets, bundles
    char data[256];    // <data_dir>/pods/<uid>: volumes and writable layers
    char cgroup[256];  // below the root of the hierarchies
    char log[512];     // folder of the pod's logs
    char ip[64];       // "" until it is known
    bool host_network;
    struct kn_shim *shim; // subscribed
};

void kn_sandbox_init(struct kn_sandbox *s, const struct kn_node *n, const struct kn_obj *pod);
bool kn_sandbox_exists(const struct kn_sandbox *s);
// Idempotent: makes what is missing, and finds what a former agent made.
struct kn_status kn_sandbox_make(struct kn_sandbox *s, const struct kn_node *n,
                                 const struct kn_obj *pod);
// Ends every process of the pod and takes everything away but the logs. Idempotent.
struct kn_status kn_sandbox_remove(struct kn_sandbox *s, const struct kn_node *n,
                                   const struct kn_obj *pod);
