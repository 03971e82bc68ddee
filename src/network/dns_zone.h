// What the cluster's zone says: names of services, endpoints and pods, answered from the caches
// (Kubernetes DNS-Based Service Discovery, version 1.1.0).
// The functions only read; one thread at a time (a counter turns the order of answers).
#pragma once
#include "client/cache.h"
#include "codec/dns.h"
#include "network/ip4.h"

#define KN_DNS_TTL 5 // seconds: of every record of the zone

struct kn_dns_zone {
    struct kn_sv domain;                // "cluster.local", lower case
    uint32_t address;                   // of the name server: ns.dns.<domain>
    struct kn_net4 pods, services;      // reverse names in these are ours alone
    struct kn_cache *service_cache, *slice_cache;
    struct kn_cache *pod_cache; // NULL: <a-b-c-d>.<ns>.pod is a.b.c.d, without a look at pods
    unsigned service_by_ip, slice_by_service, slice_by_ip, pod_by_ip; // set by kn_dns_zone_init
    unsigned turn;
};
void kn_dns_zone_init(struct kn_dns_zone *z);

enum kn_dns_outcome {
    KN_DNS_ANSWERED, // the response is complete (kn_dns_end was called)
    KN_DNS_ELSEWHERE, // no name of ours: nothing was written
    KN_DNS_CHASE,    // an alias was written, whose target is not ours: the caller adds what it can
                     // and calls kn_dns_end (NOERROR, AA)
};
// Answers the question of w->query, after kn_dns_begin. ret_target: of KN_DNS_CHASE.
enum kn_dns_outcome kn_dns_zone_answer(struct kn_dns_zone *z, struct kn_dns_writer *w,
                                       char ret_target[KN_DNS_TEXT]);
