// Tokens of service accounts: JSON Web Tokens (RFC 7519), signed with the cluster's key.
#include <string.h>

#include "apiserver/internal.h"
#include "base/num.h"
#include "codec/base64.h"

#define TOKEN_MAX 16384
#define DEFAULT_SECONDS 3600
#define MIN_SECONDS 600
#define MAX_SECONDS INT64_C(4294967296)
#define WARN_AFTER 3607

static void add_base64(struct kn_buf *out, struct kn_sv bytes)
{
    kn_base64_encode(out, bytes, KN_BASE64_URL);
}

static struct kn_json *named(struct kn_arena *a, struct kn_json *into, enum kn_atom key,
                             struct kn_sv name, struct kn_sv uid)
{
    struct kn_json *o = kn_json_ensure_object(a, into, key);
    kn_json_set_str(a, o, KN_K_name, name);
    kn_json_set_str(a, o, KN_K_uid, uid);
    return o;
}

static struct kn_json *claims_json(struct kn_apiserver *s, struct kn_arena *a,
                                   const struct kn_token_claims *c)
{
    struct kn_json *o = kn_json_new_object(a);
    struct kn_json *aud = kn_json_ensure_array(a, o, KN_K_aud);
    for (size_t i = 0; i < c->audience_count; i++)
        kn_json_append(aud, kn_json_new_str(a, c->audiences[i]));
    kn_json_set_int(a, o, KN_K_exp, c->expires);
    kn_json_set_int(a, o, KN_K_iat, c->issued);
    kn_json_set_str(a, o, KN_K_iss, kn_sv_c(s->config.token_issuer));
    kn_json_set_str(a, o, KN_K_jti, c->id);
    struct kn_json *k = kn_json_ensure_object(a, o, KN_K_kubernetes_io);
    kn_json_set_str(a, k, KN_K_namespace, c->ns);
    if (c->node.len)
        named(a, k, KN_K_node, c->node, c->node_uid);
    if (c->pod.len)
        named(a, k, KN_K_pod, c->pod, c->pod_uid);
    named(a, k, KN_K_serviceaccount, c->account, c->account_uid);
    kn_json_set_int(a, o, KN_K_nbf, c->issued);
    kn_json_set_str(a, o, KN_K_sub,
                    kn_arena_printf(a, "system:serviceaccount:%.*s:%.*s", KN_SV_ARG(c->ns),
                                    KN_SV_ARG(c->account)));
    return o;
}

struct kn_status kn_token_issue(struct kn_apiserver *s, struct kn_arena *a,
                                const struct kn_token_claims *c, struct kn_sv *ret)
{
    struct kn_buf out = KN_BUF(TOKEN_MAX), part = KN_BUF(TOKEN_MAX);
    const char *alg = kn_key_type(s->token_key) == KN_KEY_RSA ? "RS256" : "ES256";
    kn_buf_addf(&part, "{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, s->token_key_id);
    add_base64(&out, kn_buf_sv(&part));
    kn_buf_clear(&part);
    kn_json_encode(&part, claims_json(s, a, c));
    kn_buf_add_byte(&out, '.');
    add_base64(&out, kn_buf_sv(&part));
    kn_buf_clear(&part);
    struct kn_status status = kn_key_sign(s->token_key, kn_buf_sv(&out), &part);
    if (kn_ok(status)) {
        kn_buf_add_byte(&out, '.');
        add_base64(&out, kn_buf_sv(&part));
        status = kn_buf_status(&out, "the token");
    }
    if (kn_ok(status))
        *ret = kn_arena_dup(a, kn_buf_sv(&out));
    kn_buf_done(&out);
    kn_buf_done(&part);
    return status;
}

// -- checking -------------------------------------------------------------------------------------

// Signatures that were checked lately: a signature check costs far more than everything else here.
#define CHECKED 1024
static struct {
    uint8_t hash[KN_SHA256_LEN];
    int64_t expires;
} checked[CHECKED];
static pthread_mutex_t checked_lock = PTHREAD_MUTEX_INITIALIZER; // leaf

static bool was_checked(const uint8_t *hash, int64_t now)
{
    bool yes = false;
    size_t i = (size_t)(hash[0] | hash[1] << 8) % CHECKED;
    KN_LOCKED(&checked_lock)
    yes = memcmp(checked[i].hash, hash, KN_SHA256_LEN) == 0 && checked[i].expires > now;
    return yes;
}

static void remember(const uint8_t *hash, int64_t expires)
{
    size_t i = (size_t)(hash[0] | hash[1] << 8) % CHECKED;
    KN_LOCKED(&checked_lock)
    {
        memcpy(checked[i].hash, hash, KN_SHA256_LEN);
        checked[i].expires = expires;
    }
}

static struct kn_status unauthorized(const char *why)
{
    return kn_error(KN_UNAUTHORIZED, "the token is not valid: %s", why);
}

static struct kn_status verify(struct kn_apiserver *s, struct kn_sv token, struct kn_sv payload,
                               struct kn_sv signature)
{
    struct kn_buf raw = KN_BUF(TOKEN_MAX);
    struct kn_status status = kn_base64_decode(&raw, signature, KN_BASE64_URL);
    if (kn_ok(status)) {
        struct kn_sv signed_part =
            kn_sv(token.ptr, (size_t)(payload.ptr + payload.len - token.ptr));
        status = kn_key_verify(s->token_key, signed_part, kn_buf_sv(&raw));
    }
    kn_buf_done(&raw);
    return status;
}

static struct kn_status read_claims(struct kn_arena *a, const struct kn_json *o,
                                    struct kn_token_claims *c)
{
    const struct kn_json *k = kn_json_get(o, KN_K_kubernetes_io);
    c->ns = KN_JSON_STR_AT(k, KN_K_namespace);
    c->account = KN_JSON_STR_AT(k, KN_K_serviceaccount, KN_K_name);
    c->account_uid = KN_JSON_STR_AT(k, KN_K_serviceaccount, KN_K_uid);
    c->pod = KN_JSON_STR_AT(k, KN_K_pod, KN_K_name);
    c->pod_uid = KN_JSON_STR_AT(k, KN_K_pod, KN_K_uid);
    c->node = KN_JSON_STR_AT(k, KN_K_node, KN_K_name);
    c->node_uid = KN_JSON_STR_AT(k, KN_K_node, KN_K_uid);
    c->id = kn_json_str(kn_json_get(o, KN_K_jti));
    c->issued = kn_json_int(kn_json_get(o, KN_K_iat), 0);
    c->expires = kn_json_int(kn_json_get(o, KN_K_exp), 0);
    const struct kn_json *aud = kn_json_get(o, KN_K_aud), *v;
    struct kn_sv *list = kn_arena_calloc(a, kn_json_len(aud) + 1, sizeof *list);
    if (!list)
        return kn_arena_error(a, "the token");
    KN_JSON_EACH(v, aud)
    list[c->audience_count++] = kn_json_str(v);
    c->audiences = list;
    return KN_STATUS_OK;
}

static bool is_live(struct kn_apiserver *s, const char *plural, struct kn_sv ns, struct kn_sv name,
                    struct kn_sv uid)
{
    const struct kn_resource *r = kn_resource_find(KN_SV(""), KN_SV("v1"), kn_sv_c(plural));
    struct kn_rest *rest = kn_rest_find(s, r);
    const struct kn_obj *o = kn_cache_get(rest->cache, ns, name);
    bool yes = o && kn_sv_eq(o->uid, uid);
    kn_obj_unref(o);
    return yes;
}

static bool shares(const struct kn_sv *a, size_t an, const struct kn_sv *b, size_t bn)
{
    for (size_t i = 0; i < an; i++)
        for (size_t j = 0; j < bn; j++)
            if (kn_sv_eq(a[i], b[j]))
                return true;
    return false;
}

static void add_extra(struct kn_arena *a, struct kn_json *extra, const char *name,
                      struct kn_sv value)
{
    if (value.len == 0)
        return;
    struct kn_json *list = kn_json_set_sv(a, extra, kn_sv_c(name), kn_json_new_array(a));
    kn_json_append(list, kn_json_new_str(a, value));
}

static struct kn_status user_of(struct kn_arena *a, const struct kn_token_claims *c,
                                const struct kn_user **ret)
{
    struct kn_user *u = KN_ARENA_NEW(a, struct kn_user);
    struct kn_sv *groups = kn_arena_calloc(a, 3, sizeof *groups);
    if (!u || !groups)
        return kn_arena_error(a, "the token");
    groups[0] = KN_SV("system:serviceaccounts");
    groups[1] = kn_arena_printf(a, "system:serviceaccounts:%.*s", KN_SV_ARG(c->ns));
    groups[2] = KN_SV("system:authenticated");
    struct kn_json *extra = kn_json_new_object(a);
    add_extra(a, extra, "authentication.kubernetes.io/credential-id",
              kn_arena_printf(a, "JTI=%.*s", KN_SV_ARG(c->id)));
    add_extra(a, extra, "authentication.kubernetes.io/node-name", c->node);
    add_extra(a, extra, "authentication.kubernetes.io/node-uid", c->node_uid);
    add_extra(a, extra, "authentication.kubernetes.io/pod-name", c->pod);
    add_extra(a, extra, "authentication.kubernetes.io/pod-uid", c->pod_uid);
    *u = (struct kn_user){.name = kn_arena_printf(a, "system:serviceaccount:%.*s:%.*s",
                                                  KN_SV_ARG(c->ns), KN_SV_ARG(c->account)),
                          .uid = c->account_uid,
                          .groups = groups,
                          .group_count = 3,
                          .extra = extra};
    *ret = u;
    return KN_STATUS_OK;
}

struct kn_status kn_token_check(struct kn_apiserver *s, struct kn_arena *a, struct kn_sv token,
                                const struct kn_sv *audiences, size_t audience_count,
                                const struct kn_user **ret, struct kn_token_claims *ret_claims)
{
    struct kn_sv rest = token, head = kn_sv_cut(&rest, '.'), payload = kn_sv_cut(&rest, '.');
    if (token.len > TOKEN_MAX || head.len == 0 || payload.len == 0 || !rest.ptr || rest.len == 0)
        return unauthorized("it is no JSON Web Token");
    struct kn_buf text = KN_BUF(TOKEN_MAX);
    struct kn_status status = kn_base64_decode(&text, payload, KN_BASE64_URL);
    struct kn_sv own = kn_arena_dup(a, kn_buf_sv(&text));
    kn_buf_done(&text);
    KN_TRY(status);
    struct kn_json *o;
    KN_TRY(kn_json_parse(a, own, NULL, &o));
    struct kn_token_claims c = {0};
    KN_TRY(read_claims(a, o, &c));
    int64_t now = kn_now().ns / KN_SECOND;
    if (!kn_sv_is(kn_json_str(kn_json_get(o, KN_K_iss)), s->config.token_issuer))
        return unauthorized("another issuer made it");
    if (c.expires <= now)
        return unauthorized("it has expired");
    if (kn_json_int(kn_json_get(o, KN_K_nbf), 0) > now + 60)
        return unauthorized("it is not valid yet");
    uint8_t hash[KN_SHA256_LEN];
    kn_sha256(token, hash);
    if (!was_checked(hash, now)) {
        KN_TRY(verify(s, token, payload, rest));
        remember(hash, c.expires);
    }
    struct kn_sv own_audience = kn_sv_c(s->config.token_issuer);
    if (audience_count == 0) {
        audiences = &own_audience;
        audience_count = 1;
    }
    if (!shares(c.audiences, c.audience_count, audiences, audience_count))
        return unauthorized("it is meant for another audience");
    if (!is_live(s, "serviceaccounts", c.ns, c.account, c.account_uid))
        return unauthorized("its service account is gone");
    if (c.pod.len && !is_live(s, "pods", c.ns, c.pod, c.pod_uid))
        return unauthorized("its pod is gone");
    if (ret_claims)
        *ret_claims = c;
    return user_of(a, &c, ret);
}

// -- serviceaccounts/token ------------------------------------------------------------------------

static struct kn_status bind_to_pod(struct kn_request *r, const struct kn_json *ref,
                                    struct kn_token_claims *c)
{
    struct kn_sv kind = kn_json_str(kn_json_get(ref, KN_K_kind));
    c->pod = kn_json_str(kn_json_get(ref, KN_K_name));
    c->pod_uid = kn_json_str(kn_json_get(ref, KN_K_uid));
    if (!kn_sv_is(kind, "Pod"))
        return kn_error(KN_INVALID, "spec.boundObjectRef.kind: Unsupported value: \"%.*s\": tokens "
                                    "are bound to a Pod or to nothing here", KN_SV_ARG(kind));
    const struct kn_resource *pods = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("pods"));
    const struct kn_obj *pod = kn_cache_get(kn_rest_find(r->server, pods)->cache, r->ns, c->pod);
    if (!pod)
        return kn_error(KN_NOT_FOUND, "pods \"%.*s\" not found", KN_SV_ARG(c->pod));
    struct kn_status s = KN_STATUS_OK;
    struct kn_sv account = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_serviceAccountName);
    if (c->pod_uid.len && !kn_sv_eq(c->pod_uid, pod->uid))
        s = kn_error(KN_CONFLICT, "the UID in the bound object reference (%.*s) does not match the "
                                  "UID in record. The object might have been deleted and then "
                                  "recreated", KN_SV_ARG(c->pod_uid));
    else if (!kn_sv_eq(account, c->account))
        s = kn_error(KN_BAD_REQUEST, "cannot bind token for serviceaccount \"%.*s\" to pod running "
                                     "with different serviceaccount name.", KN_SV_ARG(c->account));
    c->pod_uid = kn_arena_dup(r->arena, pod->uid);
    c->node = kn_arena_dup(r->arena, KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName));
    kn_obj_unref(pod);
    return s;
}

static struct kn_status create_token(struct kn_request *r)
{
    struct kn_arena *a = r->arena;
    struct kn_json *body;
    KN_TRY(kn_body_decode(r, r->sub->type, &body));
    const struct kn_obj *account = kn_cache_get(r->rest->cache, r->ns, r->name);
    if (!account)
        return kn_not_found(r, r->name);
    char id[37];
    kn_uuid(id);
    struct kn_token_claims c = {.ns = r->ns,
                                .account = r->name,
                                .account_uid = kn_arena_dup(a, account->uid),
                                .id = kn_arena_dup(a, kn_sv_c(id)),
                                .issued = kn_now().ns / KN_SECOND};
    kn_obj_unref(account);
    const struct kn_json *spec = kn_json_get(body, KN_K_spec);
    int64_t seconds = kn_json_int(kn_json_get(spec, KN_K_expirationSeconds), DEFAULT_SECONDS);
    if (seconds < MIN_SECONDS || seconds > MAX_SECONDS)
        return kn_error(KN_INVALID,
                        "spec.expirationSeconds: Invalid value: %lld: may not specify a "
                        "duration less than 10 minutes or larger than 2^32 seconds",
                        (long long)seconds);
    c.expires = c.issued + seconds;
    const struct kn_json *wanted = kn_json_get(spec, KN_K_audiences), *v;
    struct kn_sv *list = kn_arena_calloc(a, kn_json_len(wanted) + 1, sizeof *list);
    if (!list)
        return kn_arena_error(a, "the token");
    KN_JSON_EACH(v, wanted)
    list[c.audience_count++] = kn_json_str(v);
    if (c.audience_count == 0)
        list[c.audience_count++] = kn_sv_c(r->server->config.token_issuer);
    c.audiences = list;
    const struct kn_json *ref = kn_json_get(spec, KN_K_boundObjectRef);
    KN_TRY(kn_node_admit_token(r, ref));
    if (kn_json_is_object(ref))
        KN_TRY(bind_to_pod(r, ref, &c));
    struct kn_sv token;
    KN_TRY(kn_token_issue(r->server, a, &c, &token));
    struct kn_json *status = kn_json_ensure_object(a, body, KN_K_status);
    char when[KN_TIME_TEXT];
    kn_time_format((struct kn_time){kn_seconds(c.expires)}, KN_TIME_SECONDS, when);
    kn_json_set_str(a, status, KN_K_token, token);
    kn_json_set_str(a, status, KN_K_expirationTimestamp, kn_arena_dup(a, kn_sv_c(when)));
    struct kn_json *m = kn_json_ensure_object(a, body, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_name, r->name);
    kn_json_set_str(a, m, KN_K_namespace, r->ns);
    r->answer->tree = body;
    r->answer->code = 201;
    return KN_STATUS_OK;
}

void kn_tokens_create(struct kn_request *r)
{
    r->answer->error = create_token(r);
}
