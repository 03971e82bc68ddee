// The node's HTTPS endpoint, as the API server uses it: /containerLogs, /exec, /attach,
// /portForward, /healthz. Only a client that proves, by its certificate, to be the API server is
// answered.
#pragma once
#include "node/agent.h"
#include "wire/http.h"

struct kn_kubelet_server;

struct kn_kubelet_config {
    struct kn_agent *agent;
    const char *address; // numeric
    uint16_t port;       // 0: any
    struct kn_tls_ctx *tls;
    const char *client_cn; // the API server's client certificate ("kube-apiserver-kubelet-client")
};
struct kn_status kn_kubelet_server_start(const struct kn_kubelet_config *config,
                                         struct kn_kubelet_server **ret, uint16_t *ret_port);
void kn_kubelet_server_stop(struct kn_kubelet_server *s);
