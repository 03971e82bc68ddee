// exec and attach: between the streams of a remote client (the loop's thread) and a process of the
// pod (a thread of its own).
#pragma once
#include "node/agent.h"
#include "wire/remote_streams.h"

// Streams of one server that are open, logs, exec, attach and sessions of port-forward together.
// Each has a thread, so that there is an end to them, below the 128 inotify instances that a kernel
// gives a user: followers of logs have one each.
#define KN_KUBELET_STREAMS 100
struct kn_kubelet_streams {
    int open;        // atomic, as the next
    int connections; // of all sessions of port-forward
};
// KN_TOO_MANY beyond the bound; else it is counted until kn_kubelet_stream_closed.
struct kn_status kn_kubelet_stream_opened(struct kn_kubelet_streams *s);
void kn_kubelet_stream_closed(struct kn_kubelet_streams *s);

// Takes the request and answers it. The loop's thread.
void kn_kubelet_stream(struct kn_http_req *r, const struct kn_node *n,
                       const struct kn_pod_container *c, bool attach,
                       struct kn_kubelet_streams *streams);
