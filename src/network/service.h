// Services on this node: ClusterIP, NodePort (on 127.0.0.1 too), external and load balancer
// addresses, session affinity, traffic policies, hairpin, and the host ports of pods, in nftables.
//
// A thread follows the caches of Services and EndpointSlices and keeps the elements of the table
// "knarr" (service_frame.h) as they ask: what a service needs is computed as a whole, compared with
// what it has, and the difference is one transaction. The table outlives the process: one that
// starts again adopts it without touching what is right. If somebody else removes the table, it is
// written again within half a minute.
#pragma once
#include "base/clock.h"
#include "client/cache.h"
#include "network/pod.h"

struct kn_services;

struct kn_services_config {
    const char *run_dir;          // <run_dir>/network/sysctl remembers changed settings
    struct kn_sv node;            // name of this node: whose endpoints are local
    uint32_t node_ip; // source of the node's own calls to services, if the machine has it; or 0
    uint32_t dns;                 // where this node answers for names (network/dns.h); 0: nowhere
    struct kn_net4 pods;          // of the whole cluster
    struct kn_net4 services;      // of the services' addresses
    struct kn_cache *service_cache, *slice_cache; // filled; they outlive kn_services_stop
};

// KN_NOT_FOUND if nft is not installed. When it returns, the table is there; the services of the
// caches follow (kn_services_wait).
struct kn_status kn_services_start(const struct kn_services_config *config,
                                   struct kn_services **ret);
void kn_services_stop(struct kn_services *s); // the rules stay
// Until everything that the caches held at the call is in the kernel. KN_TIMEOUT. Any thread.
struct kn_status kn_services_wait(struct kn_services *s, int64_t deadline);

// The pods of this node: their host ports, and that they may reach themselves through a service.
// Give it to kn_pod_nets_open; the functions block until the kernel has it.
struct kn_pod_sink kn_services_pod_sink(struct kn_services *s);

struct kn_services_stats {
    size_t services, elements;
    uint64_t commits, changes, failures;
};
void kn_services_get_stats(struct kn_services *s, struct kn_services_stats *ret);

// Removes the table and the route. Nobody has it started. (Settings: kn_pod_nets_reset.)
struct kn_status kn_services_reset(void);
