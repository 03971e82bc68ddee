// Addresses and ports of services: what is free is a bitmap, made from the services that are there
// at start and kept by every write that goes through this server. IPv4. Any thread.
#pragma once
#include "base/status.h"
#include "codec/json.h"

struct kn_alloc;

// cidr: "10.96.0.0/16", /8 to /30. KN_INVALID for another text.
struct kn_status kn_alloc_new(struct kn_sv cidr, struct kn_alloc **ret);
void kn_alloc_free(struct kn_alloc *a);

// A free address, as text (16 bytes); the lower 1/16 of the range (at most 256) is kept for those
// who ask for a certain one. KN_INVALID when the range is full.
struct kn_status kn_alloc_ip(struct kn_alloc *a, char out[16]);
// This one. KN_INVALID with upstream's sentence: not in the range, or taken already.
struct kn_status kn_alloc_take_ip(struct kn_alloc *a, struct kn_sv ip);
void kn_alloc_drop_ip(struct kn_alloc *a, struct kn_sv ip); // no-op if it is not in the range
// Node ports, 30000 to 32767.
struct kn_status kn_alloc_port(struct kn_alloc *a, int *ret);
struct kn_status kn_alloc_take_port(struct kn_alloc *a, int64_t port);
void kn_alloc_drop_port(struct kn_alloc *a, int64_t port);
// The first address of the range: that of the kubernetes service.
void kn_alloc_first_ip(const struct kn_alloc *a, char out[16]);
