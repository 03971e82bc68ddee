#include "cmd/admin.h"

#define BODY_MAX ((size_t)64 << 20)

struct kn_status kn_admin_open(const struct kn_site *s, struct kn_http_client **ret)
{
    char folder[KN_SITE_PATH], base[64];
    kn_site_data(s, "pki", folder);
    struct kn_identity admin;
    struct kn_certs cas = {0};
    struct kn_tls_ctx *tls = NULL;
    KN_TRY(kn_identity_load(folder, "admin", &admin));
    struct kn_status st = kn_pki_load_certs(folder, "ca", &cas);
    if (kn_ok(st))
        st = kn_tls_client_new(&(struct kn_tls_client_options){0}, &tls);
    if (kn_ok(st))
        st = kn_tls_set_cas(tls, &cas);
    if (kn_ok(st))
        st = kn_tls_set_identity(tls, &admin.chain, admin.key);
    snprintf(base, sizeof base, "https://127.0.0.1:%d", (int)s->port);
    struct kn_http_client_config c = {.base = base, .tls = tls, .connect_timeout = 3 * KN_SECOND};
    if (kn_ok(st))
        st = kn_http_client_new(&c, ret);
    kn_tls_ctx_free(tls);
    kn_certs_done(&cas);
    kn_identity_done(&admin);
    return st;
}

struct kn_status kn_admin_get(struct kn_http_client *c, const char *path, int64_t deadline,
                              struct kn_arena *a, struct kn_json **ret)
{
    struct kn_http_header accept = {KN_SV("Accept"), KN_SV("application/json")};
    struct kn_http_client_req req = {.method = "GET",
                                     .url = kn_sv_c(path),
                                     .headers = &accept,
                                     .headers_len = 1,
                                     .deadline = deadline};
    struct kn_http_client_resp resp;
    KN_TRY(kn_http_call(c, &req, BODY_MAX, a, &resp));
    if (resp.status >= 400) {
        struct kn_json *o = NULL;
        KN_IGNORE(kn_json_parse(a, resp.body, NULL, &o));
        struct kn_sv why = kn_json_str(kn_json_get(o, KN_K_message));
        return kn_error(kn_code_from_wire(resp.status, kn_json_str(kn_json_get(o, KN_K_reason))),
                        "%.*s", KN_SV_ARG(why.len ? why : kn_sv_first(resp.body, 200)));
    }
    return kn_json_parse(a, resp.body, NULL, ret);
}

bool kn_admin_node_ready(const struct kn_json *node, struct kn_sv *ret_why)
{
    const struct kn_json *list = KN_JSON_AT(node, KN_K_status, KN_K_conditions), *c;
    KN_JSON_EACH(c, list)
    if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_type)), "Ready")) {
        if (ret_why)
            *ret_why = kn_json_str(kn_json_get(c, KN_K_message));
        return kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), "True");
    }
    if (ret_why)
        *ret_why = KN_SV("the node has not said anything yet");
    return false;
}

// Reads events, one JSON text a line, until the node is ready.
static struct kn_status read_events(struct kn_body *b, int64_t deadline, struct kn_buf *line)
{
    for (;;) {
        char chunk[4096];
        size_t n = 0;
        KN_TRY(kn_http_read(b, chunk, sizeof chunk, deadline, &n));
        if (n == 0)
            return kn_error(KN_CLOSED, "the watch of the node ended");
        for (size_t i = 0; i < n; i++) {
            if (chunk[i] != '\n') {
                kn_buf_add_byte(line, chunk[i]);
                continue;
            }
            struct kn_arena *a = kn_arena_new(0, 4u << 20);
            struct kn_json *e = NULL;
            struct kn_status st = kn_json_parse(a, kn_buf_sv(line), NULL, &e);
            bool ready = kn_ok(st) && kn_admin_node_ready(kn_json_get(e, KN_K_object), NULL);
            kn_arena_free(a);
            kn_buf_clear(line);
            KN_TRY(st);
            if (ready)
                return KN_STATUS_OK;
        }
    }
}

struct kn_status kn_admin_wait_node(struct kn_http_client *c, const char *node, int64_t deadline)
{
    char path[512];
    snprintf(path, sizeof path, "/api/v1/nodes?watch=true&fieldSelector=metadata.name%%3D%s", node);
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_http_client_req req = {.method = "GET", .url = kn_sv_c(path)};
    struct kn_http_client_resp head;
    struct kn_body *b = NULL;
    struct kn_status st = kn_http_open(c, &req, a, &head, &b);
    struct kn_buf line = KN_BUF(4u << 20);
    if (kn_ok(st))
        st = head.status == 200
                 ? read_events(b, deadline, &line)
                 : kn_error(KN_UNAVAILABLE, "the watch of the node was answered with %d",
                            head.status);
    kn_http_close(b);
    kn_buf_done(&line);
    kn_arena_free(a);
    return st;
}
