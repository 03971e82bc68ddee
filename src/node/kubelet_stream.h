// exec and attach: between the streams of a remote client (the loop's thread) and a process of the
// pod (a thread of its own).
#pragma once
#include "node/agent.h"
#include "wire/remote_streams.h"

// Takes the request and answers it. The loop's thread.
void kn_kubelet_stream(struct kn_http_req *r, const struct kn_node *n, const struct kn_pod_container *c,
                       bool attach);
