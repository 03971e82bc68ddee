// A real API server for tests: on loopback, in this process, with certificates of its own and a
// store in memory (or a folder).
#pragma once
#include "apiserver/apiserver.h"
#include "client/remote.h"
#include "store/store.h"
#include "wire/client.h"

struct test_api {
    struct kn_store *store;
    struct kn_apiserver *server;
    struct kn_key *ca_key, *key, *token_key;
    struct kn_cert *ca, *cert;
    struct kn_certs cas, chain;
    uint16_t port;
    char base[64]; // "https://127.0.0.1:port"
    bool http1_only; // of the clients that are made from now on
};

// folder: of an LMDB store; NULL: memory.
struct kn_status test_api_start(const char *folder, struct test_api *ret);
// Only the server ends; another takes its port, its certificates and its store.
void test_api_stop_server(struct test_api *t);
struct kn_status test_api_start_server(struct test_api *t);
void test_api_stop(struct test_api *t);
// An HTTP client with a certificate for this user (and one group, may be NULL); user NULL: none.
struct kn_status test_api_client(struct test_api *t, const char *user, const char *group,
                                 struct kn_http_client **ret);
// The same, behind the contract of client/client.h.
struct kn_status test_api_remote(struct test_api *t, const char *user, const char *group,
                                 struct kn_client **ret);
// Writes ca.pem, admin.pem, admin.key (system:masters) and a kubeconfig into the folder.
struct kn_status test_api_kubeconfig(struct test_api *t, const char *folder);
