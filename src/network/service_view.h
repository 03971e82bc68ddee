// What one Service and its EndpointSlices ask of the packet filter: from API objects to the
// elements of the maps of service_frame. Pure.
#pragma once
#include "meta/obj.h"
#include "network/conntrack.h"
#include "network/nft.h"

// Gives the number (below KN_SERVICE_NUMBERS) of a service's port: the same one for the same name
// and protocol as long as the service lives. vip: an element with the key under which an earlier
// process may have programmed it (set, key), for adoption.
typedef uint32_t kn_service_number(void *ctx, struct kn_sv port_key, const struct kn_nft_elem *vip);

struct kn_service_input {
    const struct kn_obj *service;
    const struct kn_obj *const *slices; // of this service
    size_t slices_len;
    struct kn_sv node; // our name: whose endpoints are local
    uint32_t answered; // an address whose port 53 this node answers itself: never refused; or 0
    kn_service_number *number;
    void *ctx;
};

// Appends the elements that the service needs, sorted, each key once. A service that is none of
// ours (headless, ExternalName, another proxy's) needs nothing. Addresses that no honest object has
// (loopback, link-local, multicast) are left out.
void kn_service_elems(const struct kn_service_input *in, struct kn_nft_elems *ret);

// Appends where elements send UDP to, and from which addresses and ports.
void kn_service_udp(const struct kn_nft_elems *elems, struct kn_udp_places *endpoints,
                    struct kn_udp_places *vips);

// What a pod of this node needs (struct kn_lease): sorted, each key once.
struct kn_lease;
void kn_pod_elems(const struct kn_lease *lease, struct kn_nft_elems *ret);

// An element with the key (address), protocol, port; data empty. ip 0 for sets without an address.
struct kn_nft_elem kn_service_place(enum kn_nft_set set, uint32_t ip, uint8_t protocol,
                                    uint16_t port);
void kn_nft_elem_set_target(struct kn_nft_elem *e, uint32_t ip, uint16_t port);
