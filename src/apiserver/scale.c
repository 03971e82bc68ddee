// The scale subresource: how many, of what can be counted. Its form is autoscaling/v1 Scale; the
// old groups' is their own, with a selector that is a map.
#include "apiserver/internal.h"

static void add_expression(struct kn_buf *out, const struct kn_json *e)
{
    struct kn_sv op = kn_json_str(kn_json_get(e, KN_K_operator));
    struct kn_sv key = kn_json_str(kn_json_get(e, KN_K_key));
    if (kn_sv_is(op, "DoesNotExist"))
        kn_buf_add_byte(out, '!');
    kn_buf_add(out, key);
    if (!kn_sv_is(op, "In") && !kn_sv_is(op, "NotIn"))
        return;
    kn_buf_addc(out, kn_sv_is(op, "In") ? " in (" : " notin (");
    const struct kn_json *values = kn_json_get(e, KN_K_values), *v, *first = kn_json_first(values);
    KN_JSON_EACH(v, values)
    {
        if (v != first)
            kn_buf_add_byte(out, ',');
        kn_buf_add(out, kn_json_str(v));
    }
    kn_buf_add_byte(out, ')');
}

// A selector as the text that lists pods with it.
static struct kn_sv selector_text(struct kn_arena *a, const struct kn_json *selector)
{
    struct kn_buf out = KN_BUF(64u << 10);
    const struct kn_json *labels = kn_json_get(selector, KN_K_matchLabels), *m;
    if (!labels && !kn_json_get(selector, KN_K_matchExpressions))
        labels = selector; // a replication controller's is a plain map
    KN_JSON_EACH(m, labels)
    {
        if (out.len)
            kn_buf_add_byte(&out, ',');
        kn_buf_add(&out, kn_json_key(m));
        kn_buf_add_byte(&out, '=');
        kn_buf_add(&out, kn_json_str(m));
    }
    KN_JSON_EACH(m, kn_json_get(selector, KN_K_matchExpressions))
    {
        if (out.len)
            kn_buf_add_byte(&out, ',');
        add_expression(&out, m);
    }
    struct kn_sv text = kn_arena_dup(a, kn_buf_sv(&out));
    kn_buf_done(&out);
    return text;
}

static bool is_old(const struct kn_request *r)
{
    return kn_sv_is(r->sub->version, "v1beta1") || kn_sv_is(r->sub->version, "v1beta2");
}

static struct kn_json *scale_of(struct kn_request *r, const struct kn_obj *o)
{
    struct kn_arena *a = r->arena;
    struct kn_json *s = kn_json_new_object(a);
    kn_json_set_str(a, s, KN_K_kind, KN_SV("Scale"));
    struct kn_sv group = r->sub->group.len ? r->sub->group : r->resource->group;
    struct kn_sv version = r->sub->version.len ? r->sub->version : r->resource->version;
    kn_json_set_str(a, s, KN_K_apiVersion,
                    kn_arena_printf(a, "%.*s/%.*s", KN_SV_ARG(group), KN_SV_ARG(version)));
    struct kn_json *m = kn_json_ensure_object(a, s, KN_K_metadata);
    static const enum kn_atom kept[] = {KN_K_name, KN_K_namespace, KN_K_uid, KN_K_resourceVersion,
                                        KN_K_creationTimestamp};
    for (size_t i = 0; i < KN_ARRAY_LEN(kept); i++)
        if (kn_json_get(o->metadata, kept[i]))
            kn_json_set(a, m, kept[i], kn_json_copy(a, kn_json_get(o->metadata, kept[i])));
    kn_json_set_int(a, kn_json_ensure_object(a, s, KN_K_spec), KN_K_replicas,
                    kn_json_int(KN_JSON_AT(o->root, KN_K_spec, KN_K_replicas), 0));
    struct kn_json *status = kn_json_ensure_object(a, s, KN_K_status);
    kn_json_set_int(a, status, KN_K_replicas,
                    kn_json_int(KN_JSON_AT(o->root, KN_K_status, KN_K_replicas), 0));
    const struct kn_json *selector = KN_JSON_AT(o->root, KN_K_spec, KN_K_selector);
    struct kn_sv text = selector_text(a, selector);
    if (is_old(r)) {
        const struct kn_json *labels = kn_json_get(selector, KN_K_matchLabels);
        if (labels)
            kn_json_set(a, status, KN_K_selector, kn_json_copy(a, labels));
        kn_json_set_str(a, status, KN_K_targetSelector, text);
    } else if (text.len) {
        kn_json_set_str(a, status, KN_K_selector, text);
    }
    return s;
}

// Writes the number by a patch of the object itself, so that everything that holds for it holds
// here.
static struct kn_status write_scale(struct kn_request *r, const struct kn_json *scale,
                                    const struct kn_obj *old)
{
    const struct kn_json *wanted = KN_JSON_AT(scale, KN_K_spec, KN_K_replicas);
    int64_t n = kn_json_int(wanted, 0);
    struct kn_sv rev = KN_JSON_STR_AT(scale, KN_K_metadata, KN_K_resourceVersion);
    if (n < 0)
        return kn_error(KN_INVALID, "Scale.%.*s \"%.*s\" is invalid: spec.replicas: Invalid value: "
                                    "%lld: must be greater than or equal to 0",
                        KN_SV_ARG(r->sub->group), KN_SV_ARG(r->name), (long long)n);
    struct kn_request patch = *r;
    patch.subresource = KN_SV_NULL;
    patch.sub = NULL;
    patch.body_tree = NULL;
    patch.content_type = KN_SV("application/merge-patch+json");
    patch.body = rev.len
                     ? kn_arena_printf(r->arena,
                                       "{\"metadata\":{\"resourceVersion\":\"%.*s\"},"
                                       "\"spec\":{\"replicas\":%lld}}",
                                       KN_SV_ARG(rev), (long long)n)
                     : kn_arena_printf(r->arena, "{\"spec\":{\"replicas\":%lld}}", (long long)n);
    (void)old;
    kn_write_patch(&patch);
    struct kn_status s = r->answer->error;
    r->answer->error = KN_STATUS_OK;
    return s;
}

static struct kn_status patched(struct kn_request *r, const struct kn_obj *old,
                                struct kn_json **ret)
{
    struct kn_json *patch;
    KN_TRY(kn_body_tree(r, &patch));
    *ret = scale_of(r, old);
    bool given = kn_json_get(kn_json_get(patch, KN_K_metadata), KN_K_resourceVersion) != NULL;
    if (!given) // the present one is no precondition of a patch
        kn_json_remove(kn_json_get(*ret, KN_K_metadata), KN_K_resourceVersion);
    return kn_write_apply_patch(r, r->sub->type, *ret, patch);
}

static struct kn_status scale(struct kn_request *r)
{
    struct kn_sv ns = r->resource->namespaced ? r->ns : KN_SV_NULL;
    const struct kn_obj *old = kn_cache_get(r->rest->cache, ns, r->name);
    if (!old)
        return kn_not_found(r, r->name);
    struct kn_status s = KN_STATUS_OK;
    struct kn_json *body = NULL;
    if (r->action == KN_ACT_UPDATE)
        s = kn_body_decode(r, r->sub->type, &body);
    else if (r->action == KN_ACT_PATCH)
        s = patched(r, old, &body);
    else if (r->action != KN_ACT_GET)
        s = kn_error(KN_METHOD_NOT_ALLOWED, "a scale can be read, updated and patched");
    if (kn_ok(s) && body)
        s = write_scale(r, body, old);
    if (kn_ok(s)) {
        r->answer->tree = scale_of(r, r->answer->obj ? r->answer->obj : old);
        // the tree copies what it needs
        kn_obj_unref(r->answer->obj);
        r->answer->obj = NULL;
    }
    kn_obj_unref(old);
    return s;
}

void kn_scale(struct kn_request *r)
{
    r->answer->error = scale(r);
}
