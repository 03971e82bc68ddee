// The cluster's name server on this node: UDP and TCP on the cluster DNS address, which is put on
// the machine's lo (scope host, /32). So every node answers its own pods itself, without a
// translation and without a pod; a Service of that address with endpoints (a user's own CoreDNS)
// takes precedence, because services are translated before the machine looks at its addresses.
//
// Names of the cluster come from the caches (dns_zone.h), others from the node's resolvers
// (dns_forward.h; SERVFAIL at once where there are none). One thread.
#pragma once
#include "client/cache.h"
#include "network/ip4.h"

struct kn_dns;

struct kn_dns_config {
    struct kn_sv domain;           // "cluster.local"
    uint32_t address;              // the cluster DNS address
    uint16_t port;                 // 53
    struct kn_net4 pods, services; // of the cluster
    struct kn_cache *service_cache, *slice_cache; // filled; they outlive kn_dns_stop
    struct kn_cache *pod_cache;    // of all pods, or NULL: names of pods are then not checked
    const char *resolv_conf;       // of the node
};

// KN_CONFLICT when the port is taken.
struct kn_status kn_dns_start(const struct kn_dns_config *config, struct kn_dns **ret);
void kn_dns_stop(struct kn_dns *d); // the address stays, so that an agent that restarts finds it
// Takes the address away. Fine if it is not there.
struct kn_status kn_dns_reset(uint32_t address);
