// A pull for a pod, in a thread of its own: the pod's thread goes on with what else there is to do.
#pragma once
#include "node/node.h"

struct kn_pod_pull;

// wake: an eventfd that is told when the pull is over.
struct kn_status kn_pod_pull_start(const struct kn_node *n, const struct kn_obj *pod,
                                   struct kn_sv image, int wake, struct kn_pod_pull **ret);
bool kn_pod_pull_over(const struct kn_pod_pull *p);
void kn_pod_pull_cancel(struct kn_pod_pull *p); // NULL is allowed
// Waits until it is over, and gives it up: its outcome. *ret_ns: how long it took; NULL is allowed.
struct kn_status kn_pod_pull_end(struct kn_pod_pull *p, int64_t *ret_ns);
