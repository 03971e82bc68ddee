// The inside of pulling: image_pull.c (what an image is made of), image_pull_registry.c (one
// registry: requests, challenges, redirects), image_pull_auth.c (credentials, challenges as text).
#pragma once
#include <pthread.h>

#include "base/secret.h"
#include "node/image_pull.h"
#include "node/image_ref.h"
#include "wire/client.h"

// -- credentials and challenges (image_pull_auth.c): pure, any thread -------------------------

#define CREDENTIALS_MAX 16

struct credential {
    struct kn_secret *basic;    // "user:password"; NULL: none
    struct kn_secret *bearer;   // sent as it is
    struct kn_secret *identity; // to be changed for a token at the token service
    size_t strength;            // length of the key that matched: the longest are tried first
};

struct credentials {
    struct credential list[CREDENTIALS_MAX];
    size_t len;
};
void kn_credentials_done(struct credentials *c);
// Those of a secret that are for the host (as in URLs, with its port) and the repository. A secret
// that cannot be read is KN_INVALID.
struct kn_status kn_credentials_add(struct credentials *c, const struct kn_pull_secret *secret,
                                    struct kn_sv host, struct kn_sv repository, struct kn_arena *a);
// From one entry {username, password, auth, identitytoken or identity_token, registrytoken}.
struct kn_status kn_credentials_add_entry(struct credentials *c, const struct kn_json *entry,
                                          size_t strength, struct kn_arena *a);

// What a registry asks for (RFC 9110 section 11.6.1). Views of the header, quotes undone.
struct challenge {
    bool bearer, basic;
    struct kn_sv realm, service, scope;
};
// The first challenge of a kind that is known; false if there is none.
bool kn_challenge_parse(struct kn_sv header, struct kn_arena *a, struct challenge *ret);

// -- one registry (image_pull_registry.c) -----------------------------------------------------

struct registry {
    struct kn_cancel *cancel; // of the pull that asks; may be NULL
    struct kn_http_client *http;
    struct kn_tls_ctx *tls;
    struct kn_sv base;       // "https://registry-1.docker.io"
    struct kn_sv repository; // "library/nginx"
    struct credentials credentials;
    pthread_mutex_t lock;            // of what follows
    struct kn_secret *authorization; // the header's value; NULL: none so far
    unsigned generation;             // counts changes of it
    size_t credential; // the one that is in use; credentials.len: none, asked anonymously
    bool works;        // an answer that was no 401 has come with it
};

// Endpoints of an image, in the order in which they are to be asked.
#define ENDPOINTS_MAX 8
struct endpoints {
    struct kn_sv base[ENDPOINTS_MAX];
    size_t len;
    const struct kn_json *configs; // of the file; NULL: none
};
struct kn_status kn_endpoints_find(const char *file, const struct kn_image_ref *ref,
                                   struct kn_arena *a, struct endpoints *ret);

// Texts of the endpoint and the reference must live as long as the registry.
struct kn_status kn_registry_open(const struct endpoints *e, size_t index,
                                  const struct kn_image_ref *ref,
                                  const struct kn_pull_secret *secrets, size_t secrets_len,
                                  struct kn_cancel *cancel, struct kn_arena *a,
                                  struct registry *ret);
void kn_registry_close(struct registry *r);

// GET of /v2/<repository>/<what>, challenges answered, redirects followed. Any status is success;
// the body is to be closed. from: > 0 asks for the bytes from there on. accept: NULL: anything.
struct kn_status kn_registry_get(struct registry *r, const char *what, const char *accept,
                                 int64_t from, struct kn_arena *a, struct kn_http_client_resp *ret,
                                 struct kn_body **ret_body);
// Reads a body to its end. KN_TOO_LARGE.
struct kn_status kn_registry_read(struct registry *r, struct kn_body *body, size_t max,
                                  struct kn_buf *out);
// The error that an answer means. Reads the body; what: of the request, for the message.
struct kn_status kn_registry_refusal(struct registry *r, const char *what,
                                     const struct kn_http_client_resp *head, struct kn_body *body);
