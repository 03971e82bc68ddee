// What the files of the API server share. Not for other folders: those see apiserver.h and local.h.
#pragma once
#include "apiserver/apiserver.h"
#include "apiserver/jobs.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/map.h"
#include "base/secret.h"
#include "base/thread.h"
#include "base/vec.h"
#include "client/cache.h"
#include "meta/decode.h"
#include "meta/problems.h"
#include "meta/resources.h"
#include "meta/selector.h"
#include "wire/client.h"
#include "wire/http.h"

// -- who asks -------------------------------------------------------------------------------------

struct kn_user {
    struct kn_sv name, uid;
    const struct kn_sv *groups;
    size_t group_count;
    const struct kn_json *extra; // map of lists, or NULL
};
bool kn_user_in(const struct kn_user *u, const char *group);

// -- a request ------------------------------------------------------------------------------------

enum kn_action {
    KN_ACT_GET,
    KN_ACT_LIST,
    KN_ACT_WATCH,
    KN_ACT_CREATE,
    KN_ACT_UPDATE,
    KN_ACT_PATCH,
    KN_ACT_DELETE,
    KN_ACT_DELETECOLLECTION,
    KN_ACT_CONNECT, // streams: exec, attach, proxy; log
    KN_ACT_OTHER,   // paths that are no resources: the HTTP method in lower case
};

enum kn_media { KN_MEDIA_JSON, KN_MEDIA_YAML, KN_MEDIA_PROTOBUF };
enum kn_as { KN_AS_OBJECT, KN_AS_TABLE, KN_AS_METADATA };

// Query parameters of reads and writes, decoded.
struct kn_options {
    struct kn_sv label_selector, field_selector, continue_token;
    struct kn_sv resource_version, version_match;
    struct kn_sv field_manager, propagation;
    int64_t limit, timeout_seconds;
    bool bookmarks, send_initial, has_send_initial, dry_run, force, pretty;
    enum kn_field_validation validation;
    struct kn_sv table_include;
    // deletions: query or DeleteOptions
    int64_t grace_seconds; // -1: not given
    int orphan_dependents; // -1: not given
    struct kn_sv precondition_uid, precondition_rev;
};

struct kn_rest;

struct kn_request {
    struct kn_apiserver *server;
    struct kn_arena *arena;
    struct kn_http_req *http; // NULL: a call from inside the process
    const struct kn_user *user;

    enum kn_action action;
    const char *verb; // as authorization names it: "get", "list", ..., "post"
    struct kn_sv method, path, query;
    struct kn_sv group, version, plural, subresource, ns, name;
    struct kn_sv subpath; // behind pods/x/proxy/
    const struct kn_resource *resource; // as asked for; NULL for other paths
    const struct kn_subresource *sub;
    struct kn_rest *rest; // of the hub
    struct kn_options options;

    struct kn_sv body, content_type;
    const struct kn_json *body_tree; // in-process calls give a tree in place of text

    // how to answer
    enum kn_media media;
    enum kn_as as;
    struct kn_sv as_version; // of Table and PartialObjectMetadata
    bool as_list;            // PartialObjectMetadataList was asked for

    struct kn_answer *answer;
};

// What a request led to; rendered by answer.c, or taken by the local client.
struct kn_answer {
    int code;                  // 200, 201, 202
    struct kn_status error;    // not OK: everything below is empty
    const struct kn_obj *obj;  // a reference, in the hub's version
    struct kn_json *tree;      // in the request's arena
    KN_VEC(const struct kn_obj *) list; // references, in the hub's version
    bool is_list;
    int64_t rev;               // of the list
    struct kn_sv continue_token;
    int64_t remaining;         // -1: unknown
    struct kn_sv text;         // ready bytes
    const char *text_type;
    const char *warnings[16];
    size_t warning_count;
    int64_t retry_after;       // seconds; 0: none
};
void kn_answer_init(struct kn_answer *a);
void kn_answer_done(struct kn_answer *a);
void kn_answer_warn(struct kn_request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// route.c: fills in everything from method, path and query. KN_NOT_FOUND for paths of unknown
// resources.
struct kn_status kn_route(struct kn_request *r);
// options.c: fills in r->options, and what they change of the action.
struct kn_status kn_options_parse(struct kn_request *r);
// Whether those of a list or a watch go together. KN_INVALID.
struct kn_status kn_options_check(struct kn_request *r);
// resourceVersion as a number, 0 if there is none. KN_BAD_REQUEST.
struct kn_status kn_options_rev(const struct kn_request *r, int64_t *ret);

// answer.c: what the Accept header wants. KN_NOT_ACCEPTABLE.
struct kn_status kn_answer_negotiate(struct kn_request *r, struct kn_sv accept);
// A tree in the form that was negotiated.
struct kn_status kn_answer_encode_tree(struct kn_request *r, const struct kn_json *tree,
                                       struct kn_buf *out);
// answer.c: sends the answer over HTTP and ends the HTTP request. Any thread.
void kn_answer_send(struct kn_request *r);
// The metav1.Status object of an error.
struct kn_json *kn_status_object(struct kn_arena *a, const struct kn_status *s);
// Converts a sealed object to the version that was asked for (text of the object, or a new tree).
struct kn_status kn_answer_tree(struct kn_request *r, const struct kn_obj *o, struct kn_json **ret);

// -- storage --------------------------------------------------------------------------------------

struct kn_ring_event {
    int64_t rev;
    enum kn_event_type type;
    const struct kn_obj *obj, *old; // references; old NULL for ADDED
};

#define KN_RING 256

struct kn_watcher;

// One stored resource: its cache, its recent events, its watchers.
struct kn_rest {
    struct kn_apiserver *server;
    const struct kn_resource *resource; // the hub
    char prefix[256];                   // of its keys, with the last slash
    size_t prefix_len;
    struct kn_cache *cache;
    pthread_mutex_t ring_lock; // leaf
    struct kn_ring_event ring[KN_RING];
    uint64_t ring_next;    // number of events ever put in
    int64_t ring_floor;    // events with rev > floor are in the ring
    struct kn_list *watchers; // one list for each loop thread, of that thread
    struct kn_wake *wakes;    // one for each loop thread
};

struct kn_rest *kn_rest_find(struct kn_apiserver *s, const struct kn_resource *hub);
struct kn_rest *kn_rest_at(struct kn_apiserver *s, size_t index); // NULL beyond the last
// Opens all resources and loads what is stored.
struct kn_status kn_rest_open(struct kn_apiserver *s);
// When the HTTP server exists and before it starts.
void kn_rest_open_watchers(struct kn_apiserver *s);
void kn_rest_count_watcher(struct kn_rest *rest, int thread, int change);
// wake.c: its watchers have something to look at. Any thread, after the ring has it.
void kn_wake_watchers(struct kn_rest *rest);
void kn_rest_close(struct kn_apiserver *s);
// Key of an object: in the arena.
struct kn_sv kn_rest_key(struct kn_arena *a, const struct kn_rest *rest, struct kn_sv ns,
                         struct kn_sv name);
// Writes `root` (resourceVersion is removed from it). expected: 0 for a create. *ret: a reference
// to the object as written. KN_CONFLICT: *ret_rev is the present revision (0: not there).
struct kn_status kn_rest_put(struct kn_rest *rest, struct kn_sv ns, struct kn_sv name,
                             struct kn_json *root, int64_t expected, const struct kn_obj **ret,
                             int64_t *ret_rev);
struct kn_status kn_rest_delete(struct kn_rest *rest, struct kn_sv ns, struct kn_sv name,
                                int64_t expected, const struct kn_obj **ret, int64_t *ret_rev);
// Stored bytes to objects and back: decrypts where needed.
struct kn_status kn_rest_decode(struct kn_rest *rest, struct kn_sv key, struct kn_sv value,
                                int64_t rev, const struct kn_obj **ret);

// -- the life of a request ------------------------------------------------------------------------

struct kn_status kn_authenticate(struct kn_apiserver *s, struct kn_http_req *http,
                                 struct kn_arena *a, const struct kn_user **ret);
// impersonate.c: replaces the user by whom the Impersonate-* headers name. KN_FORBIDDEN if he may
// not.
struct kn_status kn_impersonate(struct kn_apiserver *s, struct kn_http_req *http,
                                struct kn_arena *a, const struct kn_user **user);
// One question to the authorizers.
struct kn_attributes {
    const struct kn_user *user;
    const char *verb;
    bool is_resource;
    struct kn_sv ns, group, version, resource, subresource, name, path;
};
// KN_FORBIDDEN with upstream's sentence.
struct kn_status kn_authorize(struct kn_apiserver *s, struct kn_arena *a,
                              const struct kn_attributes *q);
bool kn_rbac_role_allows(const struct kn_json *role, const struct kn_attributes *q);
bool kn_rbac_allows(struct kn_apiserver *s, struct kn_arena *a, const struct kn_attributes *q);
// The rules that apply to a user in a namespace, as SelfSubjectRulesReview lists them.
void kn_rbac_rules(struct kn_apiserver *s, struct kn_arena *a, const struct kn_user *user,
                   struct kn_sv ns, struct kn_json *resource_rules, struct kn_json *other_rules);
// May the user grant what a role or a binding grants (escalation check)? old: NULL on create.
// KN_FORBIDDEN naming what he lacks.
struct kn_status kn_rbac_may_grant(struct kn_request *r, const struct kn_json *obj,
                                   const struct kn_obj *old);
// KN_CODE OK: allowed; KN_FORBIDDEN with the reason; KN_NOT_FOUND: no opinion.
struct kn_status kn_node_authorize(struct kn_apiserver *s, const struct kn_attributes *q);

// May the user do this verb to what is asked for? KN_FORBIDDEN.
struct kn_status kn_request_authorize(struct kn_request *r, const char *verb);
// Dispatch: runs a resource request (not watch, not connect) and fills r->answer. Blocks on writes.
void kn_request_run(struct kn_request *r);

void kn_read_get(struct kn_request *r);
void kn_read_list(struct kn_request *r);
void kn_write_create(struct kn_request *r);
void kn_write_update(struct kn_request *r);
void kn_write_patch(struct kn_request *r);
// Applies the patch of the request's content type to a tree of this type.
struct kn_status kn_write_apply_patch(struct kn_request *r, const struct kn_type *type,
                                      struct kn_json *target, const struct kn_json *patch);
void kn_write_delete(struct kn_request *r);
void kn_write_delete_collection(struct kn_request *r);
// scale subresource: reads and writes.
void kn_scale(struct kn_request *r);
// Kinds that are answered and not stored, and subresources that act: tokens, reviews, bindings,
// evictions, finalize. True if it was one of them.
bool kn_special(struct kn_request *r);
void kn_tokens_create(struct kn_request *r);
void kn_reviews_create(struct kn_request *r);

// Admission: changes (mutate) or refuses an object that is to be written. old: NULL on create.
struct kn_status kn_admit_mutate(struct kn_request *r, struct kn_json *obj,
                                 const struct kn_obj *old);
struct kn_status kn_admit_validate(struct kn_request *r, const struct kn_json *obj,
                                   const struct kn_obj *old);
// node_restriction.c: the part of it that looks at what nodes write. KN_FORBIDDEN in upstream's
// words.
struct kn_status kn_node_restriction(struct kn_request *r, const struct kn_json *obj,
                                     const struct kn_obj *old);
// May the node that asks have a token bound to this object (ref: boundObjectRef or NULL)?
struct kn_status kn_node_admit_token(struct kn_request *r, const struct kn_json *ref);
// A pod that stands for one which a node runs by itself: it names no service account and no secret.
bool kn_is_mirror_pod(const struct kn_json *pod);
struct kn_status kn_admit_mirror_pod(struct kn_request *r, const struct kn_json *obj);
// The node's name if the user is one, else the empty view.
struct kn_sv kn_node_of_user(const struct kn_user *u);
// warn.c: tells the client what of the object (in hub form) does not do yet what it says.
void kn_warn_unfulfilled(struct kn_request *r, const struct kn_json *obj);
// What the kind does with an object before it is validated: drops status, counts generation,
// allocates addresses and ports. undo: gives back what was allocated when the write then fails.
struct kn_status kn_prepare_create(struct kn_request *r, struct kn_json *obj);
struct kn_status kn_prepare_update(struct kn_request *r, struct kn_json *obj,
                                   const struct kn_obj *old);
void kn_prepare_undo(struct kn_request *r, const struct kn_json *obj, const struct kn_obj *old);
// Makes the allocators from the services that are there.
struct kn_status kn_prepare_open(struct kn_apiserver *s);
void kn_prepare_service_changed(void *server, enum kn_event_type type, const struct kn_obj *obj,
                                const struct kn_obj *old);

// Reading the body: text or tree, in the version that was asked for, to a decoded tree.
struct kn_status kn_body_decode(struct kn_request *r, const struct kn_type *type,
                                struct kn_json **ret);
// A JSON/YAML/protobuf body without a type: for patches and options.
struct kn_status kn_body_tree(struct kn_request *r, struct kn_json **ret);

// A random UUID (version 4) as text.
void kn_uuid(char out[37]);
// The cache of a core/v1 resource.
struct kn_cache *kn_core_cache(struct kn_apiserver *s, const char *plural);

// Errors as the API words them.
struct kn_status kn_not_found(const struct kn_request *r, struct kn_sv name);
struct kn_status kn_already_exists(const struct kn_request *r, struct kn_sv name);
struct kn_status kn_conflict(const struct kn_request *r, struct kn_sv name);
// Takes s; the details of Status that name an object. Empty members are left out.
struct kn_status kn_with_details(struct kn_status s, struct kn_sv group, struct kn_sv kind,
                                 struct kn_sv name);
struct kn_status kn_not_allowed(const struct kn_request *r); // 405
struct kn_sv kn_qualified_resource(struct kn_arena *a, const struct kn_request *r);

// watch.c: takes over the HTTP request. Loop thread.
void kn_watch_start(struct kn_request *r);
void kn_watch_pump_all(struct kn_rest *rest, int thread);
void kn_watch_end_all(struct kn_apiserver *s, int thread); // the server stops; in that thread
// connect.c: takes over the HTTP request. Loop thread.
void kn_connect_start(struct kn_request *r);
// connect_target.c: the URL at the agent of the pod's node for what is asked. Fails in upstream's
// words for options that are wrong, a pod that is not there, a container that it has not.
struct kn_status kn_connect_target(struct kn_request *r, struct kn_sv *ret_url);
void kn_connect_end_all(struct kn_apiserver *s, int thread);
// other.c: health, version, discovery, OpenAPI, metrics. Loop thread. Fills the answer.
void kn_other_run(struct kn_request *r);
bool kn_other_is_slow(const struct kn_request *r); // rather in a worker

struct kn_status kn_bootstrap(struct kn_apiserver *s);
// health.c: /healthz, /livez, /readyz and what is below them; componentstatuses.
void kn_health(struct kn_request *r);
void kn_components(struct kn_request *r);
// own_service.c: the service `kubernetes`, made now and kept from then on.
struct kn_status kn_own_service_start(struct kn_apiserver *s);
void kn_own_service_stop(struct kn_apiserver *s); // does nothing if it did not start

// Tokens of service accounts (JWT).
struct kn_token_claims {
    struct kn_sv ns, account, account_uid, pod, pod_uid, node, node_uid, secret, id;
    const struct kn_sv *audiences;
    size_t audience_count;
    int64_t issued, expires; // seconds since 1970
};
struct kn_status kn_token_issue(struct kn_apiserver *s, struct kn_arena *a,
                                const struct kn_token_claims *c, struct kn_sv *ret);
// KN_UNAUTHORIZED with the reason. audiences: acceptable ones; empty: the server's own.
struct kn_status kn_token_check(struct kn_apiserver *s, struct kn_arena *a, struct kn_sv token,
                                const struct kn_sv *audiences, size_t audience_count,
                                const struct kn_user **ret, struct kn_token_claims *ret_claims);

// -- the server -----------------------------------------------------------------------------------

struct kn_alloc;

struct kn_apiserver {
    struct kn_apiserver_config config;
    struct kn_http_server *http;
    struct kn_tls_ctx *tls;
    uint16_t port; // that it chose, or 0
    struct kn_tls_ctx *kubelet_tls; // towards node agents
    struct kn_http_client *kubelets[8]; // one for each loop thread, of that thread
    struct kn_rest **rests;
    size_t rest_count;
    const struct kn_resource **served;
    size_t served_count;
    struct kn_map rest_by_prefix; // "<group>/<plural>" as in keys
    struct kn_jobs *jobs;
    struct kn_alloc *alloc; // service addresses and node ports
    struct kn_own_service *own_service;
    struct kn_key *token_key;  // private
    struct kn_secret *encryption_key; // of secrets at rest, or NULL
    char token_key_id[64];
    _Atomic bool ready, stopping;
    pthread_mutex_t health_lock; // of the next three; components are asked under it
    struct kn_component components[4];
    size_t component_count;
    int64_t behind_rev, behind_since; // a revision that the caches have to reach, and since when
    int64_t started; // kn_mono
    _Atomic uint64_t requests, errors;
};
