// The client contract: how every part of the platform reads and writes API objects. Two
// implementations stand behind it: a function call into an API server in the same process
// (apiserver/local.h), and HTTPS (client/remote.h). Controllers cannot tell which they have.
//
// Calls block; do not make them in a loop thread. Any other thread may make them.
#pragma once
#include "base/clock.h"
#include "client/cache.h"
#include "meta/resources.h"

struct kn_client;

struct kn_delete_options {
    struct kn_sv uid;            // precondition, or empty
    int64_t rev;                 // precondition, or 0
    int64_t grace_seconds;       // -1: the object's own
    const char *propagation; // "Background", "Foreground", "Orphan"; NULL: the resource's default
};
#define KN_DELETE_DEFAULT (&(struct kn_delete_options){.grace_seconds = -1})

enum kn_patch_type { KN_PATCH_JSON, KN_PATCH_MERGE, KN_PATCH_STRATEGIC, KN_PATCH_APPLY };

struct kn_list_options {
    struct kn_sv ns;                           // ptr NULL: all namespaces
    struct kn_sv label_selector, field_selector; // as text; empty: all
};

struct kn_obj_list {
    const struct kn_obj **items; // each a reference
    size_t len;
    int64_t rev;
};
void kn_obj_list_done(struct kn_obj_list *l);

struct kn_client_ops {
    void (*close)(struct kn_client *c);
    struct kn_status (*get)(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                            struct kn_sv name, const struct kn_obj **ret);
    struct kn_status (*list)(struct kn_client *c, const struct kn_resource *r,
                             const struct kn_list_options *o, struct kn_obj_list *ret);
    struct kn_status (*create)(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                               struct kn_sv name, const char *subresource,
                               const struct kn_json *body, const struct kn_obj **ret);
    struct kn_status (*update)(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                               struct kn_sv name, const char *subresource,
                               const struct kn_json *body, const struct kn_obj **ret);
    struct kn_status (*patch)(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                              struct kn_sv name, const char *subresource, enum kn_patch_type type,
                              struct kn_sv patch, const struct kn_obj **ret);
    struct kn_status (*remove)(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                               struct kn_sv name, const struct kn_delete_options *o);
    struct kn_status (*cache)(struct kn_client *c, const struct kn_resource *r,
                              const struct kn_list_options *o, int64_t deadline,
                              struct kn_cache **ret);
};

// First member of every implementation.
struct kn_client {
    const struct kn_client_ops *ops;
};

void kn_client_close(struct kn_client *c);

// In all of these: ns is empty for cluster-scoped resources; subresource may be NULL; ret may be
// NULL when the answer is not wanted, and otherwise receives a new reference. Errors carry the
// code of the API's Status (KN_NOT_FOUND, KN_CONFLICT, KN_ALREADY_EXISTS, ...).
struct kn_status kn_client_get(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                               struct kn_sv name, const struct kn_obj **ret);
struct kn_status kn_client_list(struct kn_client *c, const struct kn_resource *r,
                                const struct kn_list_options *o, struct kn_obj_list *ret);
// name is needed for subresources only (pods/binding, pods/eviction, serviceaccounts/token).
struct kn_status kn_client_create(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                  struct kn_sv name, const char *subresource,
                                  const struct kn_json *body, const struct kn_obj **ret);
// The body's metadata.resourceVersion is the precondition, as in the API.
struct kn_status kn_client_update(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                  struct kn_sv name, const char *subresource,
                                  const struct kn_json *body, const struct kn_obj **ret);
struct kn_status kn_client_patch(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                 struct kn_sv name, const char *subresource,
                                 enum kn_patch_type type, struct kn_sv patch,
                                 const struct kn_obj **ret);
struct kn_status kn_client_delete(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                  struct kn_sv name, const struct kn_delete_options *o);

// A cache of the resource that follows the server: the informer. In process it is the server's own
// watch cache (o must then be NULL or select everything); remotely it is filled by list and watch,
// which go on through lost connections until the client is closed. Returns when it is filled once,
// or with KN_TIMEOUT. The cache belongs to the client. What this client creates and changes is in
// it when the call returns; what it deletes goes with the event.
struct kn_status kn_client_cache(struct kn_client *c, const struct kn_resource *r,
                                 const struct kn_list_options *o, int64_t deadline,
                                 struct kn_cache **ret);
