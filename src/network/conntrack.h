// The kernel's table of connections, as far as it must be helped: a UDP "connection" stays with
// the endpoint that it began with for as long as packets come, even when the endpoint has gone.
#pragma once
#include "base/status.h"
#include "base/vec.h"

struct kn_udp_place {
    uint32_t ip; // machine's order
    uint16_t port;
};
struct kn_udp_places {
    struct kn_udp_place *ptr;
    size_t len, cap;
};

// Forgets the UDP connections that were sent to one of `gone` (endpoints), and those that were
// addressed to one of `fresh` (services) and went to no endpoint, because there was none.
// Costs a walk over the table. Any thread.
struct kn_status kn_conntrack_forget(const struct kn_udp_places *gone,
                                     const struct kn_udp_places *fresh);
