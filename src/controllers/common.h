// What controllers share. Not for other folders.
#pragma once
#include "base/vec.h"
#include "client/client.h"
#include "client/controller.h"
#include "client/events.h"
#include "client/fan.h"
#include "codec/json.h"
#include "meta/selector.h"

struct kn_subscription {
    struct kn_cache *cache;
    kn_cache_handler *handler;
    void *arg;
};

// What every controller gets.
struct kn_env {
    struct kn_client *client; // with the rights of the controller's own service account
    struct kn_client *second; // of a second account, for a controller that writes as two; or NULL
    struct kn_client *reader; // fills caches: may read everything
    struct kn_recorder *recorder;
    struct kn_fan *fan; // for many writes at once; shared
    struct kn_sv ca_pem;
    int64_t deadline; // for filling caches
    KN_VEC(struct kn_subscription) subscriptions; // ended by controllers.c
};

// Each: makes its controller, subscribes to its caches, and starts. The controller is stopped and
// freed by controllers.c before the client is closed.
struct kn_status kn_serviceaccount_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_root_ca_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_replicaset_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_deployment_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_endpoints_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_node_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_namespace_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_garbage_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_pod_gc_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_clusterrole_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_event_ttl_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_daemonset_start(struct kn_env *env, struct kn_controller **ret);
struct kn_status kn_statefulset_start(struct kn_env *env, struct kn_controller **ret);

const struct kn_resource *kn_core(const char *plural);             // core/v1
const struct kn_resource *kn_apps(const char *plural);             // apps/v1
const struct kn_resource *kn_of(const char *group, const char *plural); // version v1

struct kn_status kn_env_cache(struct kn_env *env, const struct kn_resource *r,
                              struct kn_cache **ret);

// kn_cache_subscribe, until the controllers are stopped.
void kn_env_subscribe(struct kn_env *env, struct kn_cache *cache, kn_cache_handler *handler,
                      void *arg, bool replay);

// "ns/name" or "name".
void kn_key_split(struct kn_sv key, struct kn_sv *ret_ns, struct kn_sv *ret_name);
void kn_controller_add_obj(struct kn_controller *c, struct kn_sv ns, struct kn_sv name);

// References, growing.
typedef KN_VEC(const struct kn_obj *) kn_objs;
void kn_objs_done(kn_objs *v);
bool kn_objs_collect(void *objs, const struct kn_obj *o); // a visit function

// An index function: the uid of the controller reference, or, where there is none, kn_index_nobody
// of the namespace: whom a controller may adopt is found without looking at all.
void kn_index_controller_uid(const struct kn_obj *o, kn_index_emit *emit, void *ctx);
struct kn_sv kn_index_nobody(struct kn_sv ns, char out[KN_OBJ_KEY_TEXT]);
// Another: the node of a pod.
void kn_index_node_name(const struct kn_obj *pod, kn_index_emit *emit, void *ctx);
// An owner reference with controller and blockOwnerDeletion, appended to metadata.ownerReferences.
void kn_own(struct kn_arena *a, struct kn_json *metadata, const struct kn_obj *owner);
bool kn_owned_by(const struct kn_obj *o, const struct kn_obj *owner);

// A condition of a list by type; made if it is missing. Times and the change of status are kept
// right: lastTransitionTime changes only with the status. Returns whether anything changed.
const struct kn_json *kn_condition(const struct kn_json *conditions, const char *type);
bool kn_condition_set(struct kn_arena *a, struct kn_json *conditions, const char *type,
                      const char *status, const char *reason, struct kn_sv message,
                      bool update_time);
struct kn_sv kn_now_text(struct kn_arena *a);

// -- pods --
bool kn_pod_ready(const struct kn_obj *pod);
// Since when (ns since 1970); 0 if it is not ready.
int64_t kn_pod_ready_since(const struct kn_obj *pod);
bool kn_pod_active(const struct kn_obj *pod); // neither ended nor being deleted

// metadata.<what>[name] of a tree as text.
struct kn_sv kn_meta_text(const struct kn_json *root, enum kn_atom map, const char *name);
void kn_annotate(struct kn_arena *a, struct kn_json *root, const char *name, struct kn_sv value);
