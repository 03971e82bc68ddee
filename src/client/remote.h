// The client contract over HTTPS: from another process, another machine, or a pod. Works with every
// Kubernetes API server. Its caches are informers: a list, then a watch that goes on through lost
// connections; each has a thread of its own.
//
// Rank of its lock: leaf. Any thread may call, except the loop's own.
#pragma once
#include "base/secret.h"
#include "client/client.h"
#include "wire/client.h"

struct kn_remote_config {
    const char *base;      // "https://host:port", or unix:/path; copied
    struct kn_tls_ctx *tls; // authorities and client certificate; referenced; NULL: the machine's
    const struct kn_secret *token; // bearer token, copied; NULL: none
    const char *user_agent;        // NULL: "knarr/<version>"
    int64_t timeout;               // ns for one request; 0: 30 s
};

// Does not connect yet.
struct kn_status kn_remote_open(const struct kn_remote_config *config, struct kn_client **ret);
// What is written through `c` shows at once in the caches of `reader`, another client made here,
// which must outlive it: for parts that read with one account and write with another.
void kn_remote_share(struct kn_client *c, struct kn_client *reader);
// For what the contract does not have: logs, exec, health. Lives as long as the client.
struct kn_http_client *kn_remote_http(struct kn_client *c);
void kn_remote_set_token(struct kn_client *c, const struct kn_secret *token);
// After kn_tls_set_identity on the context: new requests use new connections.
void kn_remote_renew(struct kn_client *c);
