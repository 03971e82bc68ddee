#include "controllers/common.h"

const struct kn_resource *kn_of(const char *group, const char *plural)
{
    return kn_resource_find(kn_sv_c(group), KN_SV("v1"), kn_sv_c(plural));
}

const struct kn_resource *kn_core(const char *plural)
{
    return kn_of("", plural);
}

const struct kn_resource *kn_apps(const char *plural)
{
    return kn_of("apps", plural);
}

struct kn_status kn_env_cache(struct kn_env *env, const struct kn_resource *r,
                              struct kn_cache **ret)
{
    return kn_wrap(kn_client_cache(env->reader, r, NULL, env->deadline, ret), "%.*s",
                   KN_SV_ARG(r->plural));
}

void kn_env_subscribe(struct kn_env *env, struct kn_cache *cache, kn_cache_handler *handler,
                      void *arg, bool replay)
{
    KN_VEC_PUSH(&env->subscriptions, (struct kn_subscription){cache, handler, arg});
    kn_cache_subscribe(cache, handler, arg, replay);
}

void kn_key_split(struct kn_sv key, struct kn_sv *ret_ns, struct kn_sv *ret_name)
{
    ptrdiff_t slash = kn_sv_find(key, '/');
    *ret_ns = slash < 0 ? KN_SV_NULL : kn_sv_first(key, (size_t)slash);
    *ret_name = slash < 0 ? key : kn_sv_from(key, (size_t)slash + 1);
}

void kn_controller_add_obj(struct kn_controller *c, struct kn_sv ns, struct kn_sv name)
{
    char key[KN_OBJ_KEY_TEXT];
    int n = ns.len ? snprintf(key, sizeof key, "%.*s/%.*s", KN_SV_ARG(ns), KN_SV_ARG(name))
                   : snprintf(key, sizeof key, "%.*s", KN_SV_ARG(name));
    if (n > 0 && (size_t)n < sizeof key)
        kn_controller_add(c, kn_sv(key, (size_t)n));
}

void kn_objs_done(kn_objs *v)
{
    for (size_t i = 0; i < v->len; i++)
        kn_obj_unref(v->ptr[i]);
    KN_VEC_DONE(v);
}

bool kn_objs_collect(void *objs, const struct kn_obj *o)
{
    kn_objs *v = objs;
    KN_VEC_PUSH(v, kn_obj_ref(o));
    return true;
}

void kn_index_controller_uid(const struct kn_obj *o, kn_index_emit *emit, void *ctx)
{
    struct kn_sv uid = kn_json_str(kn_json_get(kn_obj_controller(o), KN_K_uid));
    char nobody[KN_OBJ_KEY_TEXT];
    if (uid.len)
        emit(ctx, uid);
    else
        emit(ctx, kn_index_nobody(o->ns, nobody));
}

struct kn_sv kn_index_nobody(struct kn_sv ns, char out[KN_OBJ_KEY_TEXT])
{
    int n = snprintf(out, KN_OBJ_KEY_TEXT, "nobody in %.*s", KN_SV_ARG(ns));
    return kn_sv(out, (size_t)n);
}

void kn_index_node_name(const struct kn_obj *pod, kn_index_emit *emit, void *ctx)
{
    struct kn_sv node = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName);
    if (node.len)
        emit(ctx, node);
}

void kn_own(struct kn_arena *a, struct kn_json *metadata, const struct kn_obj *owner)
{
    struct kn_json *list = kn_json_ensure_array(a, metadata, KN_K_ownerReferences);
    struct kn_json *ref = kn_json_append(list, kn_json_new_object(a));
    kn_json_set_str(a, ref, KN_K_apiVersion, owner->api_version);
    kn_json_set_str(a, ref, KN_K_kind, owner->kind);
    kn_json_set_str(a, ref, KN_K_name, owner->name);
    kn_json_set_str(a, ref, KN_K_uid, owner->uid);
    kn_json_set_bool(a, ref, KN_K_controller, true);
    kn_json_set_bool(a, ref, KN_K_blockOwnerDeletion, true);
}

bool kn_owned_by(const struct kn_obj *o, const struct kn_obj *owner)
{
    return kn_sv_eq(kn_json_str(kn_json_get(kn_obj_controller(o), KN_K_uid)), owner->uid);
}

const struct kn_json *kn_condition(const struct kn_json *conditions, const char *type)
{
    const struct kn_json *c;
    KN_JSON_EACH(c, conditions)
    if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_type)), type))
        return c;
    return NULL;
}

struct kn_sv kn_now_text(struct kn_arena *a)
{
    char text[KN_TIME_TEXT];
    kn_time_format(kn_now(), KN_TIME_SECONDS, text);
    return kn_arena_dup(a, kn_sv_c(text));
}

bool kn_condition_set(struct kn_arena *a, struct kn_json *conditions, const char *type,
                      const char *status, const char *reason, struct kn_sv message,
                      bool update_time)
{
    struct kn_json *c = (struct kn_json *)(uintptr_t)kn_condition(conditions, type);
    bool turned = !c || !kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), status);
    if (!turned && kn_sv_is(kn_json_str(kn_json_get(c, KN_K_reason)), reason) &&
        kn_sv_eq(kn_json_str(kn_json_get(c, KN_K_message)), message))
        return false;
    if (!c)
        c = kn_json_append(conditions, kn_json_new_object(a));
    kn_json_set_str(a, c, KN_K_type, kn_sv_c(type));
    kn_json_set_str(a, c, KN_K_status, kn_sv_c(status));
    kn_json_set_str(a, c, KN_K_reason, kn_sv_c(reason));
    kn_json_set_str(a, c, KN_K_message, message);
    if (update_time)
        kn_json_set_str(a, c, KN_K_lastUpdateTime, kn_now_text(a));
    if (turned)
        kn_json_set_str(a, c, KN_K_lastTransitionTime, kn_now_text(a));
    return true;
}

int64_t kn_pod_ready_since(const struct kn_obj *pod)
{
    const struct kn_json *c =
        kn_condition(KN_JSON_AT(pod->root, KN_K_status, KN_K_conditions), "Ready");
    struct kn_time t = {1};
    if (!kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), "True"))
        return 0;
    KN_IGNORE(kn_time_parse(kn_json_str(kn_json_get(c, KN_K_lastTransitionTime)), &t));
    return t.ns;
}

bool kn_pod_ready(const struct kn_obj *pod)
{
    return kn_pod_ready_since(pod) != 0;
}

bool kn_pod_active(const struct kn_obj *pod)
{
    struct kn_sv phase = KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_phase);
    return !pod->deleting && !kn_sv_is(phase, "Succeeded") && !kn_sv_is(phase, "Failed");
}

struct kn_sv kn_meta_text(const struct kn_json *root, enum kn_atom map, const char *name)
{
    return kn_json_str(kn_json_get_sv(KN_JSON_AT(root, KN_K_metadata, map), kn_sv_c(name)));
}

void kn_annotate(struct kn_arena *a, struct kn_json *root, const char *name, struct kn_sv value)
{
    struct kn_json *m = kn_json_ensure_object(a, root, KN_K_metadata);
    kn_json_set_sv(a, kn_json_ensure_object(a, m, KN_K_annotations), kn_sv_c(name),
                   kn_json_new_str(a, value));
}
