// Conversion between a served version and the stored one (the hub). Each pair is a row of a table
// with two functions. In place, in the tree's arena; one thread.
#pragma once
#include "base/arena.h"
#include "codec/json.h"
#include "meta/resources.h"

// Whether the resource's form differs from its hub's in more than apiVersion.
bool kn_convert_needed(const struct kn_resource *r);
// From the version of `r` to that of kn_resource_hub(r), apiVersion included. The object must have
// been decoded and defaulted in its own version.
struct kn_status kn_convert_to_hub(struct kn_arena *a, const struct kn_resource *r,
                                   struct kn_json *obj);
// And back, for a response.
struct kn_status kn_convert_from_hub(struct kn_arena *a, const struct kn_resource *r,
                                     struct kn_json *obj);
