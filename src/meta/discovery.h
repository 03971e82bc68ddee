// Discovery documents, from resource rows (the served built-in ones and custom ones, in any order).
// Group order and preferred versions are upstream's. JSON, appended to `out`. Any thread.
#pragma once
#include "base/buf.h"
#include "meta/resources.h"

// APIVersions at /api.
void kn_discovery_core(struct kn_buf *out, struct kn_sv server_address);
// APIGroupList at /apis.
struct kn_status kn_discovery_groups(struct kn_buf *out, const struct kn_resource *const *resources,
                                     size_t count);
// APIGroup at /apis/<group>; KN_NOT_FOUND if no row has it.
struct kn_status kn_discovery_group(struct kn_buf *out, struct kn_sv group,
                                    const struct kn_resource *const *resources, size_t count);
// APIResourceList at /api/v1 and /apis/<group>/<version>; KN_NOT_FOUND if no row has it.
struct kn_status kn_discovery_resources(struct kn_buf *out, struct kn_sv group,
                                        struct kn_sv version,
                                        const struct kn_resource *const *resources, size_t count);
// APIGroupDiscoveryList (apidiscovery.k8s.io, version "v2" or "v2beta1"): `core` for /api, else
// /apis.
struct kn_status kn_discovery_aggregated(struct kn_buf *out, struct kn_sv version, bool core,
                                         const struct kn_resource *const *resources, size_t count);
