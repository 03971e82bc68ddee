// Validation of API objects, everything that is wrong collected: what the tables say (required,
// enumerated values, list keys), and a function for each kind. The object is in the hub version,
// decoded and defaulted. One thread.
#pragma once
#include "meta/problems.h"
#include "meta/resources.h"

// A create has old == NULL. subresource: NULL, "status", "scale", "binding", "resize"...
// Metadata is validated too (names by the kind's rules, labels, annotations, owner references,
// finalizers), and on updates what may not change: uid, creationTimestamp, immutable fields.
void kn_validate(const struct kn_resource *hub, const char *subresource, const struct kn_json *obj,
                 const struct kn_json *old, struct kn_problems *p);
