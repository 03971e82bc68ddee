// Pods that nobody cleans up: bound to a node that is gone, or ended long ago and too many.
#include <stdlib.h>

#include "controllers/common.h"

#define QUARANTINE (40 * KN_SECOND) // a node that is made anew within it keeps its pods
#define ENDED_MAX 12500

struct ctx {
    struct kn_env *env;
    struct kn_cache *nodes, *pods;
    unsigned by_node;
    _Atomic int64_t ended;
    struct kn_controller *controller;
};

static bool has_ended(const struct kn_obj *pod)
{
    struct kn_sv phase = pod ? KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_phase) : KN_SV_NULL;
    return kn_sv_is(phase, "Succeeded") || kn_sv_is(phase, "Failed");
}

static bool node_is_there(struct ctx *c, struct kn_sv name)
{
    const struct kn_obj *o = kn_cache_get(c->nodes, KN_SV_NULL, name);
    kn_obj_unref(o);
    return o != NULL;
}

static struct kn_status force_delete(struct ctx *c, const struct kn_obj *pod)
{
    struct kn_delete_options o = {.uid = pod->uid, .grace_seconds = 0};
    struct kn_status s = kn_client_delete(c->env->client, kn_core("pods"), pod->ns, pod->name, &o);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

// Says so in its status first: who watches the pod should know that it did not end by itself.
static struct kn_status mark_failed(struct ctx *c, const struct kn_obj *pod)
{
    char now[KN_TIME_TEXT], patch[1024];
    kn_time_format(kn_now(), KN_TIME_SECONDS, now);
    snprintf(patch, sizeof patch,
             "{\"status\":{\"phase\":\"Failed\",\"conditions\":[{\"type\":\"DisruptionTarget\","
             "\"status\":"
             "\"True\",\"reason\":\"DeletionByPodGC\",\"message\":\"PodGC: node no longer exists\","
             "\"lastTransitionTime\":\"%s\"}]}}",
             now);
    struct kn_status s = kn_client_patch(c->env->client, kn_core("pods"), pod->ns, pod->name,
                                         "status", KN_PATCH_STRATEGIC, kn_sv_c(patch), NULL);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

static struct kn_status orphaned(struct ctx *c, const struct kn_obj *pod, struct kn_sv node)
{
    if (node_is_there(c, node))
        return KN_STATUS_OK;
    const struct kn_obj *live = NULL; // a cache may be behind
    struct kn_status s = kn_client_get(c->env->client, kn_core("nodes"), KN_SV_NULL, node, &live);
    kn_obj_unref(live);
    if (s.code != KN_NOT_FOUND)
        return s;
    kn_status_done(&s);
    if (!has_ended(pod))
        KN_TRY(mark_failed(c, pod));
    return force_delete(c, pod);
}

// -- too many that have ended ---------------------------------------------------------------------

static bool take_ended(void *arg, const struct kn_obj *pod)
{
    if (has_ended(pod))
        kn_objs_collect(arg, pod);
    return true;
}

static int older(const void *a, const void *b)
{
    const struct kn_obj *x = *(const struct kn_obj *const *)a,
                        *y = *(const struct kn_obj *const *)b;
    return kn_sv_cmp(kn_json_str(kn_json_get(x->metadata, KN_K_creationTimestamp)),
                     kn_json_str(kn_json_get(y->metadata, KN_K_creationTimestamp)));
}

static struct kn_status thin_out(struct ctx *c)
{
    kn_objs ended = {0};
    struct kn_status s = KN_STATUS_OK;
    kn_cache_list(c->pods, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, take_ended, &ended);
    c->ended = (int64_t)ended.len;
    if (ended.len > ENDED_MAX) {
        qsort(ended.ptr, ended.len, sizeof *ended.ptr, older);
        for (size_t i = 0; i < ended.len - ENDED_MAX && kn_ok(s); i++)
            s = force_delete(c, ended.ptr[i]);
    }
    kn_objs_done(&ended);
    return s;
}

// -- keys: "ns/name" of a pod whose node is missing, or "ended" -----------------------------------

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    (void)ret_after;
    struct ctx *c = arg;
    struct kn_sv ns, name;
    kn_key_split(key, &ns, &name);
    if (ns.len == 0)
        return thin_out(c);
    const struct kn_obj *pod = kn_cache_get(c->pods, ns, name);
    struct kn_sv node = pod ? KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName) : KN_SV_NULL;
    struct kn_status s = node.len ? orphaned(c, pod, node) : KN_STATUS_OK;
    kn_obj_unref(pod);
    return s;
}

static bool add_later(void *arg, const struct kn_obj *pod)
{
    struct ctx *c = arg;
    char key[KN_OBJ_KEY_TEXT];
    kn_obj_key_text(pod, key);
    kn_controller_add_after(c->controller, kn_sv_c(key), QUARANTINE);
    return true;
}

static void on_node(void *arg, enum kn_event_type type, const struct kn_obj *o,
                    const struct kn_obj *old)
{
    (void)old;
    struct ctx *c = arg;
    if (type == KN_EVENT_DELETED)
        kn_cache_by_index(c->pods, c->by_node, o->name, add_later, c);
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *o,
                   const struct kn_obj *old)
{
    struct ctx *c = arg;
    struct kn_sv node = KN_JSON_STR_AT(o->root, KN_K_spec, KN_K_nodeName);
    if (type == KN_EVENT_ADDED && node.len && !node_is_there(c, node))
        add_later(c, o);
    if (type != KN_EVENT_DELETED && has_ended(o) && !has_ended(old) && ++c->ended > ENDED_MAX)
        kn_controller_add(c->controller, KN_SV("ended"));
}

struct kn_status kn_pod_gc_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_core("nodes"), &c.nodes));
    KN_TRY(kn_env_cache(env, kn_core("pods"), &c.pods));
    c.by_node = kn_cache_add_index(c.pods, kn_index_node_name);
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "pod-gc", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.nodes, on_node, &c, false);
    kn_env_subscribe(env, c.pods, on_pod, &c, true);
    return kn_controller_start(c.controller);
}
