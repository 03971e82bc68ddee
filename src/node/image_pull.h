// Images from registries (OCI distribution specification, with Docker's media types and token
// authentication), into the image store. Blobs come in parallel, within a bound that all pulls
// share; a download that was broken off goes on where it stopped, also after a restart. Nothing is
// named before all of it is here and has the digests that were asked for.
//
// Mirrors and what is particular to a registry come from a file in the format that k3s and RKE2 use
// (registries.yaml):
//
//     mirrors:
//       docker.io:                            # or "*": every registry without an entry
//         endpoint: ["http://10.0.0.5:5000"]  # tried in order, before the registry itself
//     configs:
//       "10.0.0.5:5000":                      # by host of the endpoint
//         auth: {username: u, password: p}    # or auth: (base64), or identity_token:
//         tls: {ca_file: /x/ca.pem, insecure_skip_verify: false}
//
// A registry on a loopback address is asked over plain HTTP, every other one over HTTPS, unless an
// endpoint says otherwise. Credentials go to the host that they are for and to its token service,
// never to where a redirect leads.
#pragma once
#include "node/node.h"

struct kn_puller;

struct kn_puller_config {
    struct kn_images *images; // outlives the puller
    const char *registries;   // path, copied; read again at every pull; NULL or no such file: none
    int max_downloads;        // blobs at once, of all pulls together; 0: 6
};
struct kn_status kn_puller_new(const struct kn_puller_config *config, struct kn_puller **ret);
// No pull may be in progress. NULL is allowed.
void kn_puller_free(struct kn_puller *p);

// Credentials as Kubernetes' secrets hold them, decoded from base64.
struct kn_pull_secret {
    struct kn_sv json;
    bool legacy; // .dockercfg: the registries lie at the top; else .dockerconfigjson: below "auths"
};

// Blocks; any thread. Each secret that fits the registry is tried, then the file's, then none.
// Errors as containerd words them, since people search for them: KN_NOT_FOUND, KN_FORBIDDEN,
// KN_TOO_MANY, KN_UNAVAILABLE, KN_INVALID (a digest that does not match, a malformed manifest),
// KN_NOT_SUPPORTED, KN_NO_SPACE.
// cancel: breaks it off (KN_CANCELLED); may be NULL. A blob that comes more slowly than 32 KiB a
// second is given up after a while (KN_TIMEOUT); what came of it is kept.
struct kn_status kn_pull(struct kn_puller *p, struct kn_sv image,
                         const struct kn_pull_secret *secrets, size_t secrets_len,
                         struct kn_cancel *cancel);

// With the secrets that spec.imagePullSecrets of the pod names; those that are not there or are
// none are passed over with an event, as the kubelet does.
struct kn_status kn_pull_for_pod(struct kn_puller *p, const struct kn_node_api *api,
                                 const struct kn_obj *pod, struct kn_sv image,
                                 struct kn_cancel *cancel);
