// EndpointSlices, as services and names both look at them. Pure.
#pragma once
#include "client/cache.h"

// The name of the slice's service (label kubernetes.io/service-name); empty if it has none.
struct kn_sv kn_slice_service(const struct kn_obj *slice);
// An index for kn_cache_add_index: slices by "namespace/service".
void kn_slice_by_service(const struct kn_obj *slice, kn_index_emit *emit, void *ctx);
// Whether an endpoint of a slice is ready (a missing condition counts as yes).
bool kn_endpoint_ready(const struct kn_json *endpoint);

// The slices of one service, each a reference: freed by kn_slices_done.
struct kn_slices {
    const struct kn_obj **ptr;
    size_t len, cap;
};
void kn_slices_of(struct kn_cache *c, unsigned by_service, struct kn_sv ns, struct kn_sv service,
                  struct kn_slices *ret);
void kn_slices_done(struct kn_slices *s);
