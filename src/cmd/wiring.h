// The network part, fitted to what the node asks for. Nobody else sees both.
#pragma once
#include "cmd/site.h"
#include "client/client.h"
#include "node/pod_network.h"

struct kn_wiring;

// Pods' network, services and DNS of this node. client: of the agent.
struct kn_status kn_wiring_open(const struct kn_site *s, struct kn_client *client,
                                struct kn_wiring **ret);
struct kn_pod_network *kn_wiring_pod_network(struct kn_wiring *w); // borrowed
struct kn_cache *kn_wiring_service_cache(struct kn_wiring *w);     // borrowed
void kn_wiring_close(struct kn_wiring *w); // what is in the kernel stays
// Leaves nothing of the network.
struct kn_status kn_wiring_reset_network(const struct kn_site *s);
