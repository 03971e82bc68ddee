// Which nodes a pod may go to by what it says of their names, labels and taints: upstream's rules,
// on the JSON of validated objects. For whoever decides about nodes: scheduler, daemon sets. Any
// thread.
#pragma once
#include "meta/obj.h"

// A node selector term {matchExpressions, matchFields}; one without any matches nothing.
bool kn_node_term_matches(const struct kn_obj *node, const struct kn_json *term);
// nodeSelector and required node affinity of a pod's spec.
bool kn_node_matches(const struct kn_obj *node, const struct kn_json *pod_spec);
// Whether one of the tolerations (a list, or NULL) stands the taint.
bool kn_node_tolerated(const struct kn_json *tolerations, const struct kn_json *taint);
