// The keys and certificates of a cluster, as files. One authority signs everything; its key stays
// with root. What the server reads lies in a folder of its own, owned by the server's user.
//
//   <root_folder>/ca.crt, ca.key          the authority, ten years
//   <root_folder>/admin.crt, admin.key    O=system:masters
//   <root_folder>/node.crt, node.key      the agent: CN=system:node:<name>, O=system:nodes
//   <root_folder>/network.crt, ...        services and DNS of a node: CN=system:knarr-network
//   <root_folder>/node-server.crt, ...    what the agent serves with
//   <server_folder>/ca.crt, server.crt, server.key, kubelet-client.crt, kubelet-client.key,
//   <server_folder>/token.key (signs service account tokens), encryption.key (32 bytes)
//
// Leaves live a year and the authority ten. They are renewed when less than a third of that is
// left, and leaves also when the names they must carry have changed; so nothing ends under a
// running cluster, and a cluster that was off for years starts again. The authority keeps its key,
// so that what it has signed, and who trusts it, goes on. A kill at any instruction is mended by
// the next kn_pki_ensure: a key without its certificate, a file that is not yet its owner's.
#pragma once
#include <sys/types.h>

#include "base/crypto.h"

struct kn_pki {
    const char *root_folder, *server_folder;
    uid_t uid; // of the server
    gid_t gid;
    const char *node_name;
    const struct kn_sv *addresses; // of this machine, as text; 127.0.0.1 is added
    size_t address_count;
    const char *service_ip; // of the kubernetes service
    const char *domain;     // "cluster.local"
    struct kn_time now;     // 0: the machine's clock (tests choose)
};

// Makes what is missing and renews what is due. ret_renewed: how many certificates are new; who
// serves with them has to load them again. KN_CONFLICT when the authority's certificate is there
// and its key is not, or is another one: a new authority would be a new cluster. Root.
struct kn_status kn_pki_ensure(const struct kn_pki *p, int *ret_renewed);

// A certificate with its key, from <folder>/<name>.crt and .key.
struct kn_identity {
    struct kn_certs chain;
    struct kn_key *key;
};
struct kn_status kn_identity_load(const char *folder, const char *name, struct kn_identity *ret);
void kn_identity_done(struct kn_identity *i);
struct kn_status kn_pki_load_certs(const char *folder, const char *name, struct kn_certs *ret);
struct kn_status kn_pki_load_key(const char *folder, const char *name, struct kn_key **ret);
