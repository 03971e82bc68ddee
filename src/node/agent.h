// The node agent: registers the node, keeps its lease and status fresh, and gives every pod that is
// bound to it a worker. Everything it knows of the API comes through the client it is given.
#pragma once
#include "client/client.h"
#include "node/node.h"
#include "node/pod_sandbox.h"
#include "node/pod_worker.h"

struct kn_agent;

struct kn_agent_config {
    struct kn_client *client;
    const char *node_name;
    const char *run_dir, *data_dir, *log_dir; // kn_space_enter(run_dir) comes before
    const char *host_ip;                      // of this machine, as text
    const char *cluster_dns, *cluster_domain; // NULL: none, "cluster.local"
    uint16_t kubelet_port;                    // announced as the node's endpoint; 0: none
    struct kn_cache *services;                // for containers' environment; NULL: none is told
    struct kn_pod_network *network;           // NULL: pods have loopback alone
    int max_pods;                             // 0: 110
    const char *registries; // file of image_pull.h: mirrors, credentials; NULL: none
    // Brings an image in, in place of asking registries; NULL: they are asked.
    struct kn_status (*pull)(void *arg, const struct kn_obj *pod, struct kn_sv image);
    void *pull_arg;
};

// Blocks until the node is registered and its pods are known. The config's texts must live as long
// as the agent.
struct kn_status kn_agent_start(const struct kn_agent_config *config, struct kn_agent **ret);
// Stops; the pods go on, and the next agent finds them.
void kn_agent_stop(struct kn_agent *a);
const struct kn_node *kn_agent_node(const struct kn_agent *a);

// What exec, attach and logs of a pod need. KN_NOT_FOUND if it is not here.
struct kn_status kn_agent_container(struct kn_agent *a, struct kn_sv ns, struct kn_sv pod,
                                    struct kn_sv container, struct kn_pod_container *ret);
// Where the pod is, for port-forward; without its shim. KN_NOT_FOUND if it is not here.
struct kn_status kn_agent_sandbox(struct kn_agent *a, struct kn_sv ns, struct kn_sv pod,
                                  struct kn_sandbox *ret);

// For `reset`: ends every pod that an agent with this run folder has left and takes its cgroups
// away. Inside the space (kn_space_join); kn_space_remove comes after, outside.
struct kn_status kn_agent_clean(const char *run_dir, const char *data_dir);
