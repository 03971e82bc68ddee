// The kernel's links, addresses, routes and neighbours, as far as this part needs them, over
// wire/netlink. IPv4, addresses in the machine's order. A socket belongs to one thread at a time.
#pragma once
#include <net/if.h>

#include "base/clock.h"
#include "wire/netlink.h"

// Marks the routes that are ours (rtm_protocol), so that a reset finds them.
#define KN_ROUTE_PROTOCOL 75

struct kn_link {
    int index, peer; // peer: the index of a veth's other end, in its own namespace; 0: none
    uint32_t mtu;
    uint8_t mac[6];
    bool is_veth;
    bool ready; // packets are sent: see kn_link_wait
    char name[IFNAMSIZ];
};

// KN_NOT_FOUND when there is no link of this name.
struct kn_status kn_link_get(struct kn_nl *nl, const char *name, struct kn_link *ret);
struct kn_status kn_link_get_at(struct kn_nl *nl, int index, struct kn_link *ret);
struct kn_status kn_link_each(struct kn_nl *nl,
                              struct kn_status (*each)(void *arg, const struct kn_link *link),
                              void *arg);
// A link that was just brought up drops what is sent for as long as the kernel takes to notice its
// carrier (in the background: a millisecond, more under load). Waits for that; netns -1: our own.
// KN_TIMEOUT.
struct kn_status kn_link_wait(int netns, const char *name, int64_t deadline);
// Waits for the kernel to take it down, tens of milliseconds. A missing link is fine.
struct kn_status kn_link_remove(struct kn_nl *nl, int index);
// The link of the default route with the smallest metric. KN_NOT_FOUND: there is none.
struct kn_status kn_link_default(struct kn_nl *nl, struct kn_link *ret);

// A link's first address of global scope, with its prefix. KN_NOT_FOUND: it has none.
struct kn_status kn_addr_of(struct kn_nl *nl, int index, uint32_t *ret_ip, unsigned *ret_bits);

// Each of these appends one message (the caller sends them, many in a row).
void kn_rtnl_link_up(struct kn_nl_msg *m, int index);
void kn_rtnl_addr(struct kn_nl_msg *m, bool add, int index, uint32_t ip, unsigned bits,
                  uint8_t scope);
void kn_rtnl_neighbour(struct kn_nl_msg *m, int index, uint32_t ip, const uint8_t mac[6]);
struct kn_route {
    uint32_t to;
    unsigned bits;
    uint32_t gateway; // 0: on the link
    uint32_t source;  // preferred, 0: the kernel's choice
    int index;        // of the link
};
void kn_rtnl_route(struct kn_nl_msg *m, bool add, const struct kn_route *r); // replaces
// Removes every route with our protocol number.
struct kn_status kn_rtnl_routes_remove(struct kn_nl *nl);
