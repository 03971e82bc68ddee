// port-forward: between the streams of a remote client and connections to the pod's own 127.0.0.1
// (or ::1). All of it in the loop's thread of the request.
#pragma once
#include "node/kubelet_stream.h"
#include "node/pod_sandbox.h"

// Connections of one client, and of all together: each has a descriptor.
#define KN_FORWARD_SESSION 200
#define KN_FORWARD_NODE 1000

// Takes the request and answers it. The session counts as a stream of the node; pod is copied.
void kn_kubelet_forward(struct kn_http_req *r, const struct kn_sandbox *pod,
                        struct kn_kubelet_streams *streams);
