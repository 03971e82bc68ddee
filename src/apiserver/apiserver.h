// The API server: everything between a socket and the store. One in a process.
#pragma once
#include "base/crypto.h"
#include "base/status.h"
#include "client/client.h"
#include "store/store.h"

struct kn_apiserver;

struct kn_apiserver_config {
    struct kn_store *store; // the caller's; outlives the server
    const int *listen_fds;  // sockets that listen already; taken
    size_t listen_fd_count;
    const char *bind_address; // used when there are no listen_fds; NULL: 0.0.0.0
    uint16_t port;            // with bind_address; 0: any
    const struct kn_certs *server_chain; // leaf first; referenced
    struct kn_key *server_key;
    const struct kn_certs *client_cas; // of client certificates and of node agents
    const struct kn_certs *kubelet_chain; // the server's own client certificate to node agents
    struct kn_key *kubelet_key;
    struct kn_key *token_key;      // signs service account tokens
    const char *token_issuer;      // "https://kubernetes.default.svc.cluster.local"
    const char *service_cidr;      // "10.96.0.0/16"
    const char *advertise_address; // of the kubernetes service's endpoints
    uint16_t advertise_port;
    int threads;         // HTTP threads; 0: as many as processors, at most 4
    int workers;         // threads at most for writes; 0: 64
    const uint8_t *encryption_key; // 32 bytes, copied: secrets at rest; NULL: not encrypted
    const char *version; // "v1.37.2+knarr..." NULL: the built-in one
};

// Loads what is stored, writes what a new cluster needs, and starts answering. Everything that the
// config points to is copied or referenced, except the store.
struct kn_status kn_apiserver_start(const struct kn_apiserver_config *config,
                                    struct kn_apiserver **ret);
uint16_t kn_apiserver_port(const struct kn_apiserver *s);
// Replaces the serving certificate at run time.
struct kn_status kn_apiserver_set_identity(struct kn_apiserver *s, const struct kn_certs *chain,
                                           struct kn_key *key);
// The same for the certificate that it shows to node agents; connections made from then on have it.
struct kn_status kn_apiserver_set_kubelet_identity(struct kn_apiserver *s,
                                                   const struct kn_certs *chain,
                                                   struct kn_key *key);
// Refuses new requests, finishes those under way (watches are ended), frees everything.
void kn_apiserver_stop(struct kn_apiserver *s);

// What runs beside the server in this process and is told of by `kubectl get componentstatuses`.
struct kn_component {
    const char *name; // "scheduler", "controller-manager"
    struct kn_status (*check)(void *arg); // quick; any thread, until it is removed
    void *arg;
};
void kn_apiserver_add_component(struct kn_apiserver *s, const struct kn_component *c);
void kn_apiserver_remove_component(struct kn_apiserver *s, const char *name); // if it is there

// A client in this process: no socket, no copy. It acts as `user` (a controller's service account:
// "system:serviceaccount:kube-system:deployment-controller") with `groups`, through the same
// authorization as everybody. Close it before the server stops.
struct kn_status kn_apiserver_local(struct kn_apiserver *s, const char *user,
                                    const char *const *groups, struct kn_client **ret);
