// Questions that are asked by creating an object: who is this token, may he do that, who am I.
#include "apiserver/internal.h"

static struct kn_json *list_of(struct kn_arena *a, const struct kn_sv *texts, size_t len)
{
    struct kn_json *list = kn_json_new_array(a);
    for (size_t i = 0; i < len; i++)
        kn_json_append(list, kn_json_new_str(a, texts[i]));
    return list;
}

static void user_json(struct kn_arena *a, struct kn_json *into, const struct kn_user *u)
{
    kn_json_set_str(a, into, KN_K_username, u->name);
    if (u->uid.len)
        kn_json_set_str(a, into, KN_K_uid, u->uid);
    kn_json_set(a, into, KN_K_groups, list_of(a, u->groups, u->group_count));
    if (kn_json_len(u->extra))
        kn_json_set(a, into, KN_K_extra, kn_json_copy(a, u->extra));
}

static struct kn_status texts_of(struct kn_arena *a, const struct kn_json *list,
                                 const struct kn_sv **ret, size_t *ret_len)
{
    struct kn_sv *texts = kn_arena_calloc(a, kn_json_len(list) + 1, sizeof *texts);
    if (!texts)
        return kn_arena_error(a, "the review");
    const struct kn_json *v;
    *ret_len = 0;
    KN_JSON_EACH(v, list)
    texts[(*ret_len)++] = kn_json_str(v);
    *ret = texts;
    return KN_STATUS_OK;
}

// -- authentication.k8s.io ------------------------------------------------------------------------

static struct kn_status token_review(struct kn_request *r, struct kn_json *body)
{
    struct kn_arena *a = r->arena;
    struct kn_json *status = kn_json_set(a, body, KN_K_status, kn_json_new_object(a));
    const struct kn_sv *audiences;
    size_t count;
    KN_TRY(texts_of(a, KN_JSON_AT(body, KN_K_spec, KN_K_audiences), &audiences, &count));
    struct kn_sv token = KN_JSON_STR_AT(body, KN_K_spec, KN_K_token);
    const struct kn_user *user;
    struct kn_token_claims claims;
    struct kn_status s = kn_token_check(r->server, a, token, audiences, count, &user, &claims);
    if (!kn_ok(s)) {
        kn_json_set_bool(a, status, KN_K_authenticated, false);
        kn_json_set_str(a, status, KN_K_error, kn_arena_dup(a, kn_sv_c(kn_status_text(&s))));
        kn_status_done(&s);
        return KN_STATUS_OK;
    }
    kn_json_set_bool(a, status, KN_K_authenticated, true);
    user_json(a, kn_json_ensure_object(a, status, KN_K_user), user);
    struct kn_json *shared = kn_json_ensure_array(a, status, KN_K_audiences);
    for (size_t i = 0; i < claims.audience_count; i++)
        for (size_t j = 0; j < count; j++)
            if (kn_sv_eq(claims.audiences[i], audiences[j]))
                kn_json_append(shared, kn_json_new_str(a, audiences[j]));
    if (count == 0)
        kn_json_append(shared, kn_json_new_str(a, kn_sv_c(r->server->config.token_issuer)));
    return KN_STATUS_OK;
}

// -- authorization.k8s.io -------------------------------------------------------------------------

static struct kn_status reviewed_user(struct kn_request *r, const struct kn_json *spec,
                                      const struct kn_user **ret)
{
    struct kn_user *u = KN_ARENA_NEW(r->arena, struct kn_user);
    if (!u)
        return kn_arena_error(r->arena, "the review");
    u->name = kn_json_str(kn_json_get(spec, KN_K_user));
    u->uid = kn_json_str(kn_json_get(spec, KN_K_uid));
    KN_TRY(texts_of(r->arena, kn_json_get(spec, KN_K_groups), &u->groups, &u->group_count));
    if (u->name.len == 0 && u->group_count == 0)
        return kn_error(KN_INVALID,
                        "%.*s \"\" is invalid: spec.user: Invalid value: \"\": at least "
                        "one of user or group must be specified",
                        KN_SV_ARG(r->resource->kind));
    *ret = u;
    return KN_STATUS_OK;
}

static struct kn_status access_review(struct kn_request *r, struct kn_json *body, bool self)
{
    struct kn_arena *a = r->arena;
    const struct kn_json *spec = kn_json_get(body, KN_K_spec);
    const struct kn_json *res = kn_json_get(spec, KN_K_resourceAttributes);
    const struct kn_json *other = kn_json_get(spec, KN_K_nonResourceAttributes);
    if (!kn_json_is_object(res) == !kn_json_is_object(other))
        return kn_error(KN_INVALID, "%.*s \"\" is invalid: spec.resourceAttributes: Invalid value: "
                                    "null: exactly one of nonResourceAttributes or "
                                    "resourceAttributes must be specified",
                        KN_SV_ARG(r->resource->kind));
    struct kn_attributes q = {.user = r->user, .is_resource = kn_json_is_object(res)};
    if (!self)
        KN_TRY(reviewed_user(r, spec, &q.user));
    const struct kn_json *from = q.is_resource ? res : other;
    q.verb = kn_arena_dup(a, kn_json_str(kn_json_get(from, KN_K_verb))).ptr;
    if (!q.verb)
        return kn_arena_error(a, "the review");
    q.path = kn_json_str(kn_json_get(from, KN_K_path));
    q.ns = kn_json_str(kn_json_get(from, KN_K_namespace));
    q.group = kn_json_str(kn_json_get(from, KN_K_group));
    q.version = kn_json_str(kn_json_get(from, KN_K_version));
    q.resource = kn_json_str(kn_json_get(from, KN_K_resource));
    q.subresource = kn_json_str(kn_json_get(from, KN_K_subresource));
    q.name = kn_json_str(kn_json_get(from, KN_K_name));
    struct kn_json *status = kn_json_set(a, body, KN_K_status, kn_json_new_object(a));
    struct kn_status s = kn_authorize(r->server, a, &q);
    kn_json_set_bool(a, status, KN_K_allowed, kn_ok(s));
    kn_status_done(&s);
    return KN_STATUS_OK;
}

static struct kn_status rules_review(struct kn_request *r, struct kn_json *body)
{
    struct kn_arena *a = r->arena;
    struct kn_sv ns = KN_JSON_STR_AT(body, KN_K_spec, KN_K_namespace);
    if (ns.len == 0)
        return kn_error(KN_BAD_REQUEST, "no namespace on request");
    struct kn_json *status = kn_json_set(a, body, KN_K_status, kn_json_new_object(a));
    kn_rbac_rules(r->server, a, r->user, ns, kn_json_ensure_array(a, status, KN_K_resourceRules),
                  kn_json_ensure_array(a, status, KN_K_nonResourceRules));
    kn_json_set_bool(a, status, KN_K_incomplete, false);
    return KN_STATUS_OK;
}

static struct kn_status review(struct kn_request *r)
{
    struct kn_json *body;
    KN_TRY(kn_body_decode(r, r->resource->type, &body));
    r->answer->tree = body;
    r->answer->code = 201;
    struct kn_sv kind = r->resource->kind;
    if (kn_sv_is(kind, "TokenReview"))
        return token_review(r, body);
    if (kn_sv_is(kind, "SubjectAccessReview"))
        return access_review(r, body, false);
    if (kn_sv_is(kind, "LocalSubjectAccessReview")) {
        const struct kn_json *res = KN_JSON_AT(body, KN_K_spec, KN_K_resourceAttributes);
        if (!kn_sv_eq(kn_json_str(kn_json_get(res, KN_K_namespace)), r->ns))
            return kn_error(KN_BAD_REQUEST,
                            "spec.resourceAttributes.namespace must match namespace");
        return access_review(r, body, false);
    }
    if (kn_sv_is(kind, "SelfSubjectAccessReview"))
        return access_review(r, body, true);
    if (kn_sv_is(kind, "SelfSubjectRulesReview"))
        return rules_review(r, body);
    if (kn_sv_is(kind, "SelfSubjectReview")) {
        struct kn_json *status =
            kn_json_set(r->arena, body, KN_K_status, kn_json_new_object(r->arena));
        user_json(r->arena, kn_json_ensure_object(r->arena, status, KN_K_userInfo), r->user);
        return KN_STATUS_OK;
    }
    return kn_error(KN_NOT_SUPPORTED, "%.*s is not supported by this server yet", KN_SV_ARG(kind));
}

void kn_reviews_create(struct kn_request *r)
{
    r->answer->error = review(r);
}
