// Paths that are no resources: version, discovery, OpenAPI, keys of the token issuer, metrics.
#include "apiserver/internal.h"
#include "codec/base64.h"
#include "meta/discovery.h"
#include "meta/openapi.h"

#define DOC_MAX ((size_t)16 << 20)

enum doc { DOC_V2, DOC_V2_PROTO, DOC_V3_INDEX };

static void answer_text(struct kn_request *r, const char *type, struct kn_buf *text)
{
    r->answer->text = kn_arena_dup(r->arena, kn_buf_sv(text));
    r->answer->text_type = type;
    if (!r->answer->text.ptr)
        r->answer->error = kn_arena_error(r->arena, "the document");
    kn_buf_done(text);
}

static struct kn_status not_found(void)
{
    return kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
}

// -- version, metrics -----------------------------------------------------------------------------

static void version(struct kn_request *r)
{
    struct kn_buf text = KN_BUF(2048);
    kn_buf_addf(&text,
                "{\n  \"major\": \"1\",\n  \"minor\": \"37\",\n  \"gitVersion\": \"%s\",\n"
                "  \"gitCommit\": \"\",\n  \"gitTreeState\": \"clean\",\n  \"buildDate\": "
                "\"1970-01-01T00:00:00Z\",\n  \"goVersion\": \"none: knarr is C\",\n"
                "  \"compiler\": \"%s\",\n  \"platform\": \"linux/amd64\"\n}\n",
                r->server->config.version, __VERSION__);
    answer_text(r, "application/json", &text);
}

static void metrics(struct kn_request *r)
{
    struct kn_apiserver *s = r->server;
    struct kn_buf text = KN_BUF(1u << 20);
    struct kn_http_counts c;
    kn_http_server_counts(s->http, &c);
    kn_buf_addf(
        &text,
        "# TYPE knarr_http_connections gauge\nknarr_http_connections %llu\n"
        "# TYPE knarr_http_requests_total counter\nknarr_http_requests_total %llu\n"
        "# TYPE knarr_http_received_bytes_total counter\nknarr_http_received_bytes_total %llu\n"
        "# TYPE knarr_http_sent_bytes_total counter\nknarr_http_sent_bytes_total %llu\n"
        "# TYPE knarr_http_server_errors_total counter\nknarr_http_server_errors_total %llu\n"
        "# TYPE apiserver_storage_objects gauge\n",
        (unsigned long long)c.connections, (unsigned long long)c.requests,
        (unsigned long long)c.bytes_in, (unsigned long long)c.bytes_out,
        (unsigned long long)s->errors);
    for (size_t i = 0; i < s->rest_count; i++) {
        const struct kn_resource *res = s->rests[i]->resource;
        kn_buf_addf(&text, "apiserver_storage_objects{resource=\"%.*s%s%.*s\"} %zu\n",
                    KN_SV_ARG(res->plural), res->group.len ? "." : "", KN_SV_ARG(res->group),
                    kn_cache_len(s->rests[i]->cache));
    }
    answer_text(r, "text/plain; version=0.0.4; charset=utf-8", &text);
}

static void root(struct kn_request *r)
{
    struct kn_buf text = KN_BUF(64u << 10);
    kn_buf_addc(&text, "{\"paths\":[\"/api\",\"/api/v1\",\"/apis\"");
    struct kn_apiserver *s = r->server;
    for (size_t i = 0; i < s->served_count; i++) {
        const struct kn_resource *res = s->served[i], *before = i ? s->served[i - 1] : NULL;
        if (res->group.len == 0 || (before && kn_sv_eq(res->group, before->group) &&
                                    kn_sv_eq(res->version, before->version)))
            continue;
        if (!before || !kn_sv_eq(res->group, before->group))
            kn_buf_addf(&text, ",\"/apis/%.*s\"", KN_SV_ARG(res->group));
        kn_buf_addf(&text, ",\"/apis/%.*s/%.*s\"", KN_SV_ARG(res->group), KN_SV_ARG(res->version));
    }
    kn_buf_addc(&text, ",\"/healthz\",\"/livez\",\"/metrics\",\"/openapi/v2\",\"/openapi/v3\","
                       "\"/openid/v1/jwks\",\"/readyz\",\"/version\"]}");
    answer_text(r, "application/json", &text);
}

// -- discovery ------------------------------------------------------------------------------------

static void aggregated(struct kn_request *r, bool core, bool beta)
{
    struct kn_buf text = KN_BUF(DOC_MAX);
    struct kn_apiserver *s = r->server;
    r->answer->error = kn_discovery_aggregated(&text, beta ? KN_SV("v2beta1") : KN_SV("v2"), core,
                                               s->served, s->served_count);
    answer_text(r,
                beta ? "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
                     : "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                &text);
}

// The first of the forms that the client names and we have decides.
static bool wants_aggregated(struct kn_request *r, bool *beta)
{
    struct kn_sv rest = r->http ? kn_http_header(r->http, "Accept") : KN_SV_NULL;
    while (rest.ptr) {
        struct kn_sv range = kn_sv_trim(kn_sv_cut(&rest, ','));
        if (kn_sv_search(range, KN_SV("as=APIGroupDiscoveryList")) < 0) {
            if (kn_sv_starts(range, KN_SV("application/json")))
                return false;
            continue;
        }
        if (!kn_sv_starts(range, KN_SV("application/json")))
            continue;
        *beta = kn_sv_search(range, KN_SV("v=v2beta1")) >= 0;
        return true;
    }
    return false;
}

static void discovery(struct kn_request *r)
{
    struct kn_apiserver *s = r->server;
    struct kn_sv rest = kn_sv_from(r->path, 1), first = kn_sv_cut(&rest, '/');
    bool core = kn_sv_is(first, "api"), beta = false;
    struct kn_sv group = KN_SV(""), version = KN_SV_NULL;
    if (!core && rest.ptr)
        group = kn_sv_cut(&rest, '/');
    if (rest.ptr)
        version = kn_sv_cut(&rest, '/');
    bool top = group.len == 0 && version.len == 0;
    if (top && wants_aggregated(r, &beta)) {
        aggregated(r, core, beta);
        return;
    }
    struct kn_buf text = KN_BUF(DOC_MAX);
    struct kn_status st = KN_STATUS_OK;
    if (core && top) {
        char address[300];
        snprintf(address, sizeof address, "%s:%u", s->config.advertise_address,
                 s->config.advertise_port);
        kn_discovery_core(&text, kn_sv_c(address));
    } else if (top) {
        st = kn_discovery_groups(&text, s->served, s->served_count);
    } else if (version.len == 0) {
        st = kn_discovery_group(&text, group, s->served, s->served_count);
    } else {
        st = kn_discovery_resources(&text, group, version, s->served, s->served_count);
    }
    if (st.code == KN_NOT_FOUND) {
        kn_status_done(&st);
        st = not_found();
    }
    r->answer->error = st;
    answer_text(r, "application/json", &text);
}

// -- OpenAPI --------------------------------------------------------------------------------------

static struct kn_status build(struct kn_apiserver *s, enum doc d, struct kn_buf *out)
{
    if (d == DOC_V3_INDEX)
        return kn_openapi_v3_index(out, s->served, s->served_count);
    if (d == DOC_V2)
        return kn_openapi_v2(out, s->served, s->served_count);
    struct kn_buf json = KN_BUF(DOC_MAX);
    struct kn_status st = kn_openapi_v2(&json, s->served, s->served_count);
    if (kn_ok(st))
        st = kn_openapi_v2_proto(out, kn_buf_sv(&json));
    kn_buf_done(&json);
    return st;
}

// Version 2 is asked for by old clients only, so its bytes are not kept.
static void openapi(struct kn_request *r)
{
    struct kn_buf text = KN_BUF(DOC_MAX);
    struct kn_apiserver *s = r->server;
    struct kn_sv accept = r->http ? kn_http_header(r->http, "Accept") : KN_SV_NULL;
    const char *type = "application/json";
    struct kn_status st;
    if (kn_sv_is(r->path, "/openapi/v2")) {
        bool proto = kn_sv_search(accept, KN_SV("proto-openapi.spec.v2")) >= 0;
        st = build(s, proto ? DOC_V2_PROTO : DOC_V2, &text);
        if (proto) // Go's mime package refuses the form with '@'
            type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    } else if (kn_sv_is(r->path, "/openapi/v3")) {
        st = build(s, DOC_V3_INDEX, &text);
    } else {
        struct kn_sv rest = kn_sv_from(r->path, sizeof "/openapi/v3/" - 1);
        struct kn_sv first = kn_sv_cut(&rest, '/');
        struct kn_sv group = kn_sv_is(first, "apis") ? kn_sv_cut(&rest, '/') : KN_SV("");
        st = rest.len ? kn_openapi_v3(&text, group, rest, s->served, s->served_count) : not_found();
    }
    r->answer->error = st;
    answer_text(r, type, &text);
}

// -- the issuer of tokens -------------------------------------------------------------------------

static void openid_configuration(struct kn_request *r)
{
    struct kn_buf text = KN_BUF(4096);
    const struct kn_apiserver_config *c = &r->server->config;
    kn_buf_addf(
        &text,
        "{\"issuer\":\"%s\",\"jwks_uri\":\"https://%s:%u/openid/v1/jwks\","
        "\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"],"
        "\"id_token_signing_alg_values_supported\":[\"%s\"]}",
        c->token_issuer, c->advertise_address, c->advertise_port,
        kn_key_type(r->server->token_key) == KN_KEY_RSA ? "RS256" : "ES256");
    answer_text(r, "application/json", &text);
}

static void add_number(struct kn_buf *out, const char *name, const uint8_t *bytes, size_t len)
{
    kn_buf_addf(out, ",\"%s\":\"", name);
    kn_base64_encode(out, kn_sv((const char *)bytes, len), KN_BASE64_URL);
    kn_buf_addc(out, "\"");
}

static void jwks(struct kn_request *r)
{
    struct kn_buf text = KN_BUF(8192);
    struct kn_jwk k;
    struct kn_status st = kn_key_get_jwk(r->server->token_key, &k);
    if (kn_ok(st)) {
        bool rsa = k.type == KN_KEY_RSA;
        kn_buf_addf(&text,
                    "{\"keys\":[{\"use\":\"sig\",\"kty\":\"%s\",\"kid\":\"%s\",\"alg\":\"%s\"",
                    rsa ? "RSA" : "EC", r->server->token_key_id, rsa ? "RS256" : "ES256");
        if (!rsa)
            kn_buf_addc(&text, ",\"crv\":\"P-256\"");
        add_number(&text, rsa ? "n" : "x", k.a, k.a_len);
        add_number(&text, rsa ? "e" : "y", k.b, k.b_len);
        kn_buf_addc(&text, "}]}");
    }
    r->answer->error = st;
    answer_text(r, "application/jwk-set+json", &text);
}

// -- dispatch -------------------------------------------------------------------------------------

static const struct {
    const char *path;
    bool below; // and everything below it
    void (*run)(struct kn_request *r);
} paths[] = {
    {"/healthz", true, kn_health},
    {"/livez", true, kn_health},
    {"/readyz", true, kn_health},
    {"/version", false, version},
    {"/metrics", false, metrics},
    {"/openapi/v2", false, openapi},
    {"/openapi/v3", true, openapi},
    {"/.well-known/openid-configuration", false, openid_configuration},
    {"/openid/v1/jwks", false, jwks},
    {"/api", true, discovery},
    {"/apis", true, discovery},
    {"/", false, root},
};

bool kn_other_is_slow(const struct kn_request *r)
{
    return kn_sv_starts(r->path, KN_SV("/openapi/"));
}

void kn_other_run(struct kn_request *r)
{
    if (!kn_sv_is(r->method, "GET") && !kn_sv_is(r->method, "HEAD")) {
        r->answer->error = kn_error(KN_METHOD_NOT_ALLOWED, "%.*s can only be read",
                                    KN_SV_ARG(r->path));
        return;
    }
    while (r->path.len > 1 && r->path.ptr[r->path.len - 1] == '/')
        r->path.len--;
    for (size_t i = 0; i < KN_ARRAY_LEN(paths); i++) {
        struct kn_sv p = kn_sv_c(paths[i].path);
        bool below = paths[i].below && kn_sv_starts(r->path, p) && r->path.len > p.len &&
                     r->path.ptr[p.len] == '/';
        if (kn_sv_eq(r->path, p) || below) {
            paths[i].run(r);
            return;
        }
    }
    r->answer->error = not_found();
}
