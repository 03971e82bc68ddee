// Subresources that act and kinds that are answered but not stored.
#include "apiserver/internal.h"

static bool is_pod_sub(const struct kn_request *r, const char *sub)
{
    return r->group.len == 0 && kn_sv_is(r->plural, "pods") && kn_sv_is(r->subresource, sub);
}

static void answer_success(struct kn_request *r, int code)
{
    struct kn_status ok = KN_STATUS_OK;
    r->answer->tree = kn_status_object(r->arena, &ok);
    r->answer->code = code;
}

// A change of one object by this server itself: read, edit, write, again when somebody was faster.
static struct kn_status edit(struct kn_request *r, struct kn_rest *rest, struct kn_sv ns,
                             struct kn_sv name,
                             struct kn_status (*change)(struct kn_request *r, struct kn_json *obj,
                                                        const struct kn_obj *old, void *arg),
                             void *arg, const struct kn_obj **ret)
{
    struct kn_status s = KN_STATUS_OK;
    for (int i = 0; i < 8; i++) {
        kn_status_done(&s);
        const struct kn_obj *old = kn_cache_get(rest->cache, ns, name);
        if (!old)
            return kn_not_found(r, name);
        struct kn_json *obj = kn_json_copy(r->arena, old->root);
        s = obj ? change(r, obj, old, arg) : kn_arena_error(r->arena, "the object");
        const struct kn_json *m = kn_json_get(obj, KN_K_metadata);
        bool gone = kn_sv_is(old->kind, "Namespace") && old->deleting &&
                    kn_json_len(KN_JSON_AT(obj, KN_K_spec, KN_K_finalizers)) == 0 &&
                    kn_json_len(kn_json_get(m, KN_K_finalizers)) == 0;
        if (kn_ok(s) && r->options.dry_run)
            s = kn_obj_seal(obj, ret);
        else if (kn_ok(s) && gone)
            s = kn_rest_delete(rest, ns, name, old->rev, ret, NULL);
        else if (kn_ok(s))
            s = kn_rest_put(rest, ns, name, obj, old->rev, ret, NULL);
        kn_obj_unref(old);
        if (s.code != KN_CONFLICT || kn_status_details(&s).len)
            return s;
    }
    kn_status_done(&s);
    return kn_conflict(r, name);
}

// -- pods/binding ---------------------------------------------------------------------------------

static struct kn_status bind_pod(struct kn_request *r, struct kn_json *pod,
                                 const struct kn_obj *old, void *arg)
{
    struct kn_arena *a = r->arena;
    const struct kn_json *binding = arg, *m;
    struct kn_sv node = KN_JSON_STR_AT(binding, KN_K_target, KN_K_name);
    struct kn_sv uid = KN_JSON_STR_AT(binding, KN_K_metadata, KN_K_uid);
    struct kn_sv there = KN_JSON_STR_AT(pod, KN_K_spec, KN_K_nodeName);
    const char *why = NULL;
    if (uid.len && !kn_sv_eq(uid, old->uid))
        why = "the pod has been deleted and made again";
    else if (old->deleting)
        why = kn_arena_printf(a, "pod %.*s is being deleted, cannot be assigned to a host",
                              KN_SV_ARG(old->name)).ptr;
    else if (there.len)
        why = kn_arena_printf(a, "pod %.*s is already assigned to node \"%.*s\"",
                              KN_SV_ARG(old->name), KN_SV_ARG(there)).ptr;
    if (why)
        return kn_status_with_details(
            kn_error(KN_CONFLICT, "Operation cannot be fulfilled on pods/binding \"%.*s\": %s",
                     KN_SV_ARG(old->name), why),
            KN_SV("{\"kind\":\"pods/binding\"}"));
    kn_json_set_str(a, kn_json_ensure_object(a, pod, KN_K_spec), KN_K_nodeName, node);
    struct kn_json *meta = kn_json_get(pod, KN_K_metadata);
    const struct kn_json *annotations = KN_JSON_AT(binding, KN_K_metadata, KN_K_annotations);
    KN_JSON_EACH(m, annotations)
    kn_json_set_sv(a, kn_json_ensure_object(a, meta, KN_K_annotations), kn_json_key(m),
                   kn_json_copy_shallow_text(a, m));
    struct kn_json *status = kn_json_ensure_object(a, pod, KN_K_status), *c, *found = NULL;
    struct kn_json *conditions = kn_json_ensure_array(a, status, KN_K_conditions);
    KN_JSON_EACH(c, conditions)
    if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_type)), "PodScheduled"))
        found = c;
    if (found)
        kn_json_clear(found);
    else
        found = kn_json_append(conditions, kn_json_new_object(a));
    char now[KN_TIME_TEXT];
    kn_time_format(kn_now(), KN_TIME_SECONDS, now);
    kn_json_set_str(a, found, KN_K_type, KN_SV("PodScheduled"));
    kn_json_set_str(a, found, KN_K_status, KN_SV("True"));
    kn_json_set(a, found, KN_K_lastProbeTime, kn_json_new_null(a));
    kn_json_set_str(a, found, KN_K_lastTransitionTime, kn_arena_dup(a, kn_sv_c(now)));
    return KN_STATUS_OK;
}

static struct kn_status create_binding(struct kn_request *r)
{
    const struct kn_type *type = kn_type_find(KN_SV(""), KN_SV("v1"), KN_SV("Binding"));
    struct kn_json *binding;
    KN_TRY(kn_body_decode(r, type, &binding));
    struct kn_sv name = r->name.len ? r->name : KN_JSON_STR_AT(binding, KN_K_metadata, KN_K_name);
    if (KN_JSON_STR_AT(binding, KN_K_target, KN_K_name).len == 0)
        return kn_error(KN_INVALID, "Binding \"%.*s\" is invalid: target.name: Required value",
                        KN_SV_ARG(name));
    struct kn_rest *pods =
        kn_rest_find(r->server, kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("pods")));
    const struct kn_obj *pod = NULL;
    struct kn_status s = edit(r, pods, r->ns, name, bind_pod, binding, &pod);
    kn_obj_unref(pod);
    if (kn_ok(s))
        answer_success(r, 201);
    return s;
}

// -- pods/eviction: no disruption budgets are served yet, so nothing stands against it ------------

static struct kn_status create_eviction(struct kn_request *r)
{
    struct kn_json *body;
    KN_TRY(kn_body_decode(r, r->sub->type, &body));
    const struct kn_json *o = kn_json_get(body, KN_K_deleteOptions);
    struct kn_request delete = *r;
    delete.body = KN_SV_NULL;
    delete.body_tree = NULL;
    delete.subresource = KN_SV_NULL;
    delete.sub = NULL;
    delete.options.grace_seconds = kn_json_int(kn_json_get(o, KN_K_gracePeriodSeconds), -1);
    delete.options.propagation = kn_json_str(kn_json_get(o, KN_K_propagationPolicy));
    delete.options.precondition_uid = KN_JSON_STR_AT(o, KN_K_preconditions, KN_K_uid);
    delete.options.dry_run = delete.options.dry_run || kn_json_len(kn_json_get(o, KN_K_dryRun)) > 0;
    kn_write_delete(&delete);
    struct kn_status s = r->answer->error;
    r->answer->error = KN_STATUS_OK;
    kn_obj_unref(r->answer->obj);
    r->answer->obj = NULL;
    if (kn_ok(s))
        answer_success(r, 201);
    return s;
}

// -- namespaces/finalize --------------------------------------------------------------------------

static struct kn_status set_finalizers(struct kn_request *r, struct kn_json *obj,
                                       const struct kn_obj *old, void *arg)
{
    const struct kn_json *body = arg;
    struct kn_sv rev = KN_JSON_STR_AT(body, KN_K_metadata, KN_K_resourceVersion);
    char now[24];
    snprintf(now, sizeof now, "%lld", (long long)old->rev);
    if (rev.len && !kn_sv_is(rev, now))
        return kn_conflict(r, r->name);
    const struct kn_json *f = KN_JSON_AT(body, KN_K_spec, KN_K_finalizers);
    struct kn_json *spec = kn_json_ensure_object(r->arena, obj, KN_K_spec);
    if (kn_json_len(f))
        kn_json_set(r->arena, spec, KN_K_finalizers, kn_json_copy_shallow_text(r->arena, f));
    else
        kn_json_remove(spec, KN_K_finalizers);
    return KN_STATUS_OK;
}

static struct kn_status finalize(struct kn_request *r)
{
    struct kn_json *body;
    KN_TRY(kn_body_decode(r, r->resource->type, &body));
    return edit(r, r->rest, KN_SV_NULL, r->name, set_finalizers, body, &r->answer->obj);
}

// -- dispatch -------------------------------------------------------------------------------------

bool kn_special(struct kn_request *r)
{
    if (kn_sv_is(r->subresource, "scale")) {
        kn_scale(r);
        return true;
    }
    if (kn_sv_is(r->plural, "serviceaccounts") && kn_sv_is(r->subresource, "token")) {
        if (r->action == KN_ACT_CREATE)
            kn_tokens_create(r);
        else
            r->answer->error = kn_not_allowed(r);
        return true;
    }
    bool binding = is_pod_sub(r, "binding") ||
                   (r->group.len == 0 && kn_sv_is(r->plural, "bindings"));
    if (binding || is_pod_sub(r, "eviction")) {
        r->answer->error = r->action != KN_ACT_CREATE ? kn_not_allowed(r)
                           : binding                  ? create_binding(r)
                                                      : create_eviction(r);
        return true;
    }
    if (is_pod_sub(r, "ephemeralcontainers") || is_pod_sub(r, "resize")) {
        r->answer->error = kn_error(KN_NOT_SUPPORTED,
                                    "pods/%.*s is not supported by this server yet: delete the pod "
                                    "and create it with the containers and resources wanted",
                                    KN_SV_ARG(r->subresource));
        return true;
    }
    if (r->group.len == 0 && kn_sv_is(r->plural, "namespaces") &&
        kn_sv_is(r->subresource, "finalize")) {
        r->answer->error = r->action == KN_ACT_UPDATE ? finalize(r) : kn_not_allowed(r);
        return true;
    }
    if (r->resource->no_store || !r->rest) {
        if (kn_sv_is(r->resource->plural, "componentstatuses"))
            kn_components(r);
        else if (r->action == KN_ACT_CREATE)
            kn_reviews_create(r);
        else
            r->answer->error = kn_not_allowed(r);
        return true;
    }
    return false;
}
