// Pods on the network: each has eth0 with an address of its own (a /32), and the machine is its
// router. The other end of eth0 is a veth of the machine without an address; the pod's gateway is
// 169.254.1.1, which nobody has and nobody is asked for: the neighbours of both ends are written
// down for good, so no ARP is ever spoken and no bridge is needed.
//
// State: the leases (network/lease.h) below <run_dir>/network, and what the kernel has. Everything
// is idempotent and repairs what is missing, so that an agent that was killed anywhere goes on.
// The functions block for a millisecond or two; any thread, one pod at a time by one thread.
#pragma once
#include <net/if.h>

#include "base/arena.h"
#include "codec/json.h"
#include "network/lease.h"

struct kn_pod_nets;

// Who is told about the pods of this node: the services, which open their host ports.
struct kn_pod_sink {
    void *arg;
    // A pod is here, with these host ports and no others. Called before its setup returns.
    struct kn_status (*set)(void *arg, const struct kn_lease *lease);
    // It is gone. Fine if it was never there.
    struct kn_status (*drop)(void *arg, const struct kn_lease *lease);
    // These are all; what is left of others goes. Called once, when the leases have been read.
    struct kn_status (*keep)(void *arg, struct kn_leases *leases);
};

struct kn_pod_nets_config {
    const char *run_dir;           // absolute; <run_dir>/network is ours
    struct kn_net4 net;            // of this node's pods
    struct kn_pod_sink sink;       // set NULL: nobody; pods with host ports are refused
};

struct kn_pod_net {
    const char *netns;          // path of the pinned namespace, made by the caller
    struct kn_sv ns, name, uid; // of the pod
    const struct kn_json *spec; // pod.spec: ports with hostPort are looked for; may be NULL
};

// Reads the leases, switches forwarding on (net.ipv4.ip_forward; the former value is kept for the
// reset), and drops leases whose interface is gone: their pods ended while nobody looked.
struct kn_status kn_pod_nets_open(const struct kn_pod_nets_config *config,
                                  struct kn_pod_nets **ret);
void kn_pod_nets_close(struct kn_pod_nets *n); // the pods stay as they are

// ret_ip: the address as text, in the arena. KN_CONFLICT: a host port is taken; KN_NO_SPACE: no
// address is free; KN_NOT_FOUND: there is no such namespace.
struct kn_status kn_pod_nets_setup(struct kn_pod_nets *n, const struct kn_pod_net *pod,
                                   struct kn_arena *a, struct kn_sv *ret_ip);
// The pod ran before this process did: the address that its eth0 has is taken as its own, even if
// the lease was lost; anything that is missing is made.
struct kn_status kn_pod_nets_restore(struct kn_pod_nets *n, const struct kn_pod_net *pod,
                                     struct kn_arena *a, struct kn_sv *ret_ip);
// Tells the sink, takes its route away and gives the address back. The interface goes with
// the namespace, which the caller drops: the kernel does that in the background.
struct kn_status kn_pod_nets_teardown(struct kn_pod_nets *n, const struct kn_pod_net *pod);

struct kn_leases *kn_pod_nets_leases(struct kn_pod_nets *n); // borrowed
uint32_t kn_pod_nets_mtu(const struct kn_pod_nets *n);

// The machine's end of a pod's eth0: "kn" and twelve hex digits of the uid's hash.
void kn_pod_link_name(struct kn_sv uid, char out[IFNAMSIZ]);

// Leaves nothing: interfaces, routes, settings, files. The caller has ended the pods and dropped
// their namespaces; interfaces that are still there are removed. Nobody has it open.
struct kn_status kn_pod_nets_reset(const char *run_dir);
