// The pods' addresses: one out of the node's network for each pod, and the host ports that it
// asked for. Each lease is a small file, <dir>/<uid>, written before the address is used, so that
// an agent that starts again knows what is taken. Addresses go round, so that one that was given
// back is not handed out again at once. Any thread.
#pragma once
#include "base/buf.h"
#include "network/ip4.h"

struct kn_host_port {
    uint32_t host_ip;   // 0: every address of the node
    uint16_t host_port; // machine's order
    uint16_t pod_port;
    uint8_t protocol;   // IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP
};
#define KN_HOST_PORTS_MAX 64 // of one pod

struct kn_lease {
    uint32_t ip;
    char uid[64];
    char pod[324]; // "ns/name"
    struct kn_host_port ports[KN_HOST_PORTS_MAX];
    size_t ports_len;
};

struct kn_leases;

// Makes the folder and reads what is there; a file that cannot be read as a lease is removed, with
// a line in the log. The network's first address, and its last where it has more than two, are
// never given out. Leases outside the network (it has changed) stay.
struct kn_status kn_leases_open(const char *dir, struct kn_net4 net, struct kn_leases **ret);
void kn_leases_close(struct kn_leases *l); // the files stay

// A copy. False if the pod has none.
bool kn_leases_get(struct kn_leases *l, struct kn_sv uid, struct kn_lease *ret);
// lease: uid, pod and ports are given, and ip where the pod has that address already (0: choose
// one). An existing lease of the uid keeps its address. KN_CONFLICT when another pod has the
// address or one of the host ports; KN_NO_SPACE when every address is taken.
struct kn_status kn_leases_take(struct kn_leases *l, struct kn_lease *lease);
struct kn_status kn_leases_drop(struct kn_leases *l, struct kn_sv uid); // fine if there is none
// In no order, under the lock: visit must not call back. False from visit ends it.
void kn_leases_each(struct kn_leases *l, bool (*visit)(void *arg, const struct kn_lease *lease),
                    void *arg);
size_t kn_leases_len(struct kn_leases *l);
// Free addresses are those of the network that no lease has.
size_t kn_leases_room(struct kn_leases *l);
