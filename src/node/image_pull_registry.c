// One registry: where it is, how it wants to be asked, and asking it.
#include "base/file.h"
#include "base/thread.h"
#include "codec/base64.h"
#include "codec/yaml.h"
#include "node/image_pull_impl.h"
#include "wire/tls.h"

#define HEAD_TIMEOUT (30 * KN_SECOND)
#define READ_TIMEOUT (60 * KN_SECOND) // without a single byte
#define REDIRECTS_MAX 5
#define CHALLENGES_MAX (2 * CREDENTIALS_MAX + 2)
#define CONFIG_MAX (1u << 20)
#define TOKEN_MAX (1u << 20)
#define ERROR_MAX (64u << 10)

// -- endpoints --------------------------------------------------------------------------------

static bool is_loopback(struct kn_sv registry)
{
    struct kn_sv host = registry;
    ptrdiff_t colon = kn_sv_rfind(registry, ':');
    if (colon > 0 && !kn_sv_ends(registry, KN_SV("]")))
        host = kn_sv_first(registry, (size_t)colon);
    return kn_sv_is(host, "localhost") || kn_sv_starts(host, KN_SV("127.")) ||
           kn_sv_is(host, "[::1]");
}

static struct kn_sv default_endpoint(struct kn_sv registry, struct kn_arena *a)
{
    if (kn_sv_is(registry, "docker.io"))
        return KN_SV("https://registry-1.docker.io");
    return kn_arena_printf(a, "%s://%.*s", is_loopback(registry) ? "http" : "https",
                           KN_SV_ARG(registry));
}

static void add_endpoint(struct endpoints *e, struct kn_sv base, struct kn_arena *a)
{
    if (kn_sv_search(base, KN_SV("://")) < 0)
        base = kn_arena_printf(a, "https://%.*s", KN_SV_ARG(base));
    while (kn_sv_ends(base, KN_SV("/")))
        base.len--;
    if (kn_sv_ends(base, KN_SV("/v2")))
        base.len -= 3;
    for (size_t i = 0; i < e->len; i++)
        if (kn_sv_eq(e->base[i], base))
            return;
    if (e->len < ENDPOINTS_MAX)
        e->base[e->len++] = base;
}

static struct kn_status read_config(const char *file, struct kn_arena *a, struct kn_json **ret)
{
    struct kn_buf text = KN_BUF(CONFIG_MAX);
    *ret = NULL;
    struct kn_status s = file ? kn_file_read(file, CONFIG_MAX, &text) : KN_STATUS_OK;
    if (s.code == KN_NOT_FOUND) {
        kn_status_done(&s);
        return s;
    }
    if (kn_ok(s) && kn_sv_trim(kn_buf_sv(&text)).len)
        s = kn_wrap(kn_yaml_parse(a, kn_arena_dup(a, kn_buf_sv(&text)), ret), "%s", file);
    kn_buf_done(&text);
    return s;
}

struct kn_status kn_endpoints_find(const char *file, const struct kn_image_ref *ref,
                                   struct kn_arena *a, struct endpoints *ret)
{
    struct kn_json *config, *v;
    *ret = (struct endpoints){0};
    KN_TRY(read_config(file, a, &config));
    const struct kn_json *mirrors = kn_json_get_sv(config, KN_SV("mirrors"));
    const struct kn_json *mirror = kn_json_get_sv(mirrors, ref->registry);
    if (!mirror)
        mirror = kn_json_get_sv(mirrors, KN_SV("*"));
    KN_JSON_EACH(v, kn_json_get_sv(mirror, KN_SV("endpoint")))
    {
        add_endpoint(ret, kn_json_str(v), a);
    }
    if (ret->len == ENDPOINTS_MAX)
        ret->len--; // the registry itself is always asked
    add_endpoint(ret, default_endpoint(ref->registry, a), a);
    ret->configs = kn_json_get_sv(config, KN_SV("configs"));
    return KN_STATUS_OK;
}

// "https://host:port/x" -> "host:port"
static struct kn_sv host_of(struct kn_sv url)
{
    ptrdiff_t at = kn_sv_search(url, KN_SV("://"));
    struct kn_sv rest = at < 0 ? url : kn_sv_from(url, (size_t)at + 3);
    return kn_sv_cut(&rest, '/');
}

// -- opening ----------------------------------------------------------------------------------

static struct kn_status load_ca(struct kn_tls_ctx *tls, struct kn_sv file, struct kn_arena *a)
{
    struct kn_buf text = KN_BUF(CONFIG_MAX);
    struct kn_certs cas = {0};
    struct kn_status s = kn_file_read(kn_arena_dup(a, file).ptr, CONFIG_MAX, &text);
    if (kn_ok(s))
        s = kn_certs_parse_pem(kn_buf_sv(&text), &cas);
    if (kn_ok(s))
        s = kn_tls_set_cas(tls, &cas);
    kn_certs_done(&cas);
    kn_buf_done(&text);
    return kn_wrap(s, "the authority in %.*s", KN_SV_ARG(file));
}

static struct kn_status open_tls(const struct kn_json *config, struct kn_arena *a,
                                 struct kn_tls_ctx **ret)
{
    const struct kn_json *tls = kn_json_get_sv(config, KN_SV("tls"));
    struct kn_sv file = kn_json_str(kn_json_get_sv(tls, KN_SV("ca_file")));
    struct kn_tls_client_options o = {
        .insecure = kn_json_bool(kn_json_get_sv(tls, KN_SV("insecure_skip_verify")), false),
        .system_cas = true};
    KN_TRY(kn_tls_client_new(&o, ret));
    return file.len ? load_ca(*ret, file, a) : KN_STATUS_OK;
}

struct kn_status kn_registry_open(const struct endpoints *e, size_t index,
                                  const struct kn_image_ref *ref,
                                  const struct kn_pull_secret *secrets, size_t secrets_len,
                                  struct kn_cancel *cancel, struct kn_arena *a,
                                  struct registry *ret)
{
    *ret = (struct registry){
        .cancel = cancel, .base = e->base[index], .repository = ref->repository};
    pthread_mutex_init(&ret->lock, NULL);
    struct kn_sv host = host_of(ret->base);
    const struct kn_json *config = kn_json_get_sv(e->configs, host);
    struct kn_status s = KN_STATUS_OK;
    for (size_t i = 0; i < secrets_len && kn_ok(s); i++)
        s = kn_credentials_add(&ret->credentials, &secrets[i], host, ref->repository, a);
    const struct kn_json *auth = kn_json_get_sv(config, KN_SV("auth"));
    if (kn_ok(s) && auth)
        s = kn_credentials_add_entry(&ret->credentials, auth, 0, a);
    if (kn_ok(s) && kn_sv_starts(ret->base, KN_SV("https://")))
        s = open_tls(config, a, &ret->tls);
    struct kn_http_client_config http = {.tls = ret->tls};
    if (kn_ok(s))
        s = kn_http_client_new(&http, &ret->http);
    if (!kn_ok(s))
        kn_registry_close(ret);
    return s;
}

void kn_registry_close(struct registry *r)
{
    if (r->http)
        kn_http_client_free(r->http);
    kn_tls_ctx_free(r->tls);
    kn_credentials_done(&r->credentials);
    kn_secret_free(r->authorization);
    pthread_mutex_destroy(&r->lock);
}

// -- one request ------------------------------------------------------------------------------

// What breaks a request off.
struct breaker {
    struct kn_cancel *cancel;
    struct kn_cancel_hook hook;
};

static void abort_body(void *body)
{
    kn_http_abort(body);
}

static void request_begun(void *arg, struct kn_body *body)
{
    struct breaker *b = arg;
    if (body)
        kn_cancel_add(b->cancel, &b->hook, abort_body, body);
    else
        kn_cancel_remove(b->cancel, &b->hook);
}

// The answer to one GET, as it comes. authorization may be NULL.
static struct kn_status ask(struct registry *r, struct kn_sv url, const char *accept, int64_t from,
                            struct kn_secret *authorization, struct kn_arena *a,
                            struct kn_http_client_resp *ret, struct kn_body **ret_body)
{
    struct kn_http_header headers[3];
    size_t n = 0;
    char range[48];
    if (accept)
        headers[n++] = (struct kn_http_header){KN_SV("Accept"), kn_sv_c(accept)};
    if (authorization)
        headers[n++] =
            (struct kn_http_header){KN_SV("Authorization"), kn_secret_reveal(authorization)};
    if (from > 0) {
        snprintf(range, sizeof range, "bytes=%lld-", (long long)from);
        headers[n++] = (struct kn_http_header){KN_SV("Range"), kn_sv_c(range)};
    }
    struct breaker breaker = {.cancel = r->cancel};
    struct kn_http_client_req req = {.method = "GET",
                                     .url = url,
                                     .on_begun = request_begun,
                                     .begun_arg = &breaker,
                                     .headers = headers,
                                     .headers_len = n,
                                     .deadline = kn_mono() + HEAD_TIMEOUT};
    return kn_wrap(kn_http_open(r->http, &req, a, ret, ret_body),
                   "failed to do request: Get \"%.*s\"", KN_SV_ARG(kn_sv_first(url, 300)));
}

struct kn_status kn_registry_read(struct registry *r, struct kn_body *body, size_t max,
                                  struct kn_buf *out)
{
    char chunk[16384];
    size_t n = 0;
    int64_t deadline = kn_mono() + READ_TIMEOUT;
    struct breaker b = {.cancel = r->cancel};
    struct kn_status s = KN_STATUS_OK;
    request_begun(&b, body);
    do {
        s = kn_http_read(body, chunk, sizeof chunk, deadline, &n);
        if (kn_ok(s) && out->len + n > max)
            s = kn_error(KN_TOO_LARGE, "the answer is larger than %zu bytes", max);
        else if (kn_ok(s))
            kn_buf_add(out, kn_sv(chunk, n));
    } while (kn_ok(s) && n);
    request_begun(&b, NULL);
    return s;
}

// -- tokens -----------------------------------------------------------------------------------

static struct kn_secret *with_prefix(const char *prefix, struct kn_sv text)
{
    size_t len = strlen(prefix);
    struct kn_secret *s = kn_secret_new(len + text.len);
    memcpy(kn_secret_bytes(s), prefix, len);
    if (text.len)
        memcpy(kn_secret_bytes(s) + len, text.ptr, text.len);
    return s;
}

static struct kn_secret *basic_header(const struct kn_secret *pair)
{
    struct kn_sv text = kn_secret_reveal(pair);
    struct kn_buf b = KN_BUF(2 * text.len + 16);
    kn_base64_encode(&b, text, KN_BASE64_STD);
    struct kn_secret *s = with_prefix("Basic ", kn_buf_sv(&b));
    if (b.ptr)
        kn_wipe(b.ptr, b.len);
    kn_buf_done(&b);
    return s;
}

static void add_parameter(struct kn_buf *out, const char *name, struct kn_sv value)
{
    if (!value.len)
        return;
    kn_buf_addf(out, "%s%s=", out->len ? "&" : "", name);
    kn_url_encode(out, value, false);
}

// Scope that the registry did not name: what pulling needs.
static struct kn_sv scope_of(struct registry *r, const struct challenge *c, struct kn_arena *a)
{
    return c->scope.len ? c->scope
                        : kn_arena_printf(a, "repository:%.*s:pull", KN_SV_ARG(r->repository));
}

static struct kn_status token_from(struct kn_buf *text, int status, struct kn_arena *a,
                                   struct kn_secret **ret)
{
    struct kn_json *v = NULL;
    if (status == 401 || status == 403)
        return kn_error(KN_FORBIDDEN, "failed to fetch oauth token: unexpected status: %d %s",
                        status, kn_http_phrase(status));
    if (status != 200)
        return kn_error(KN_UNAVAILABLE, "failed to fetch oauth token: unexpected status: %d %s",
                        status, kn_http_phrase(status));
    KN_TRY(kn_wrap(kn_json_parse(a, kn_buf_sv(text), NULL, &v), "failed to fetch oauth token"));
    struct kn_sv token = kn_json_str(kn_json_get_sv(v, KN_SV("token")));
    if (!token.len)
        token = kn_json_str(kn_json_get_sv(v, KN_SV("access_token")));
    if (!token.len)
        return kn_error(KN_FORBIDDEN, "failed to fetch oauth token: the answer has no token");
    *ret = with_prefix("Bearer ", token);
    return KN_STATUS_OK;
}

// Asks the token service (distribution specification's token authentication; OAuth2 for identity
// tokens). c: NULL: anonymously.
static struct kn_status fetch_token(struct registry *r, const struct challenge *ch,
                                    const struct credential *c, struct kn_arena *a,
                                    struct kn_secret **ret)
{
    struct kn_buf form = KN_BUF(64u << 10), url = KN_BUF(64u << 10), text = KN_BUF(TOKEN_MAX);
    struct kn_http_header headers[2];
    struct kn_secret *basic = c && c->basic ? basic_header(c->basic) : NULL;
    struct breaker breaker = {.cancel = r->cancel};
    struct kn_http_client_req req = {.method = "GET",
                                     .headers = headers,
                                     .on_begun = request_begun,
                                     .begun_arg = &breaker,
                                     .deadline = kn_mono() + HEAD_TIMEOUT};
    struct kn_http_client_resp resp = {0};
    struct kn_status s = KN_STATUS_OK;
    bool secret = c && (c->basic || c->identity);
    if (secret && kn_sv_starts(ch->realm, KN_SV("http://")) &&
        !kn_sv_starts(r->base, KN_SV("http://")))
        s = kn_error(KN_FORBIDDEN, "the token service %.*s would see the password in plain text",
                     KN_SV_ARG(ch->realm));
    add_parameter(&form, "service", ch->service);
    add_parameter(&form, "scope", scope_of(r, ch, a));
    kn_buf_add(&url, ch->realm);
    if (c && c->identity) {
        add_parameter(&form, "grant_type", KN_SV("refresh_token"));
        add_parameter(&form, "client_id", KN_SV("knarr"));
        add_parameter(&form, "refresh_token", kn_secret_reveal(c->identity));
        req.method = "POST";
        req.body = kn_buf_sv(&form);
        headers[req.headers_len++] = (struct kn_http_header){
            KN_SV("Content-Type"), KN_SV("application/x-www-form-urlencoded")};
    } else {
        kn_buf_addf(&url, "%c%s", kn_sv_find(ch->realm, '?') < 0 ? '?' : '&', kn_buf_cstr(&form));
        if (basic)
            headers[req.headers_len++] =
                (struct kn_http_header){KN_SV("Authorization"), kn_secret_reveal(basic)};
    }
    req.url = kn_buf_sv(&url);
    if (kn_ok(s))
        s = kn_wrap(kn_http_call(r->http, &req, TOKEN_MAX, a, &resp),
                    "failed to fetch oauth token");
    if (kn_ok(s)) {
        kn_buf_add(&text, resp.body);
        s = token_from(&text, resp.status, a, ret);
    }
    if (form.ptr)
        kn_wipe(form.ptr, form.len);
    kn_secret_free(basic);
    kn_buf_done(&form);
    kn_buf_done(&url);
    kn_buf_done(&text);
    return s;
}

// -- challenges -------------------------------------------------------------------------------

// The value of the header for one credential (NULL: anonymous). *ret stays NULL where it is of no
// use.
static struct kn_status value_for(struct registry *r, const struct challenge *ch,
                                  const struct credential *c, struct kn_arena *a,
                                  struct kn_secret **ret)
{
    if (c && c->bearer)
        *ret = with_prefix("Bearer ", kn_secret_reveal(c->bearer));
    else if (ch->bearer)
        return fetch_token(r, ch, c, a, ret);
    else if (c && c->basic)
        *ret = basic_header(c->basic);
    return KN_STATUS_OK;
}

// Finds what to say after a 401 that came to an answer of `generation`. *ret_more: ask again.
static struct kn_status authorize_locked(struct registry *r, struct kn_sv header,
                                         unsigned generation, struct kn_arena *a, bool *ret_more)
{
    struct challenge ch;
    struct kn_secret *value = NULL;
    *ret_more = r->generation != generation; // another thread has done it
    if (*ret_more)
        return KN_STATUS_OK;
    if (!kn_challenge_parse(header, a, &ch))
        return KN_STATUS_OK;
    if (r->generation > 0 && !r->works)
        r->credential++; // the one in use was not good enough
    r->works = false;
    struct kn_status s = KN_STATUS_OK;
    for (; r->credential <= r->credentials.len; r->credential++) {
        bool anonymous = r->credential == r->credentials.len;
        kn_status_done(&s);
        s = value_for(r, &ch, anonymous ? NULL : &r->credentials.list[r->credential], a, &value);
        if (value || (!kn_ok(s) && s.code != KN_FORBIDDEN))
            break;
    }
    if (!value)
        return s;
    kn_secret_free(r->authorization);
    r->authorization = value;
    r->generation++;
    *ret_more = true;
    return s;
}

static struct kn_secret *copy_of(const struct kn_secret *s)
{
    return s ? kn_secret_from(kn_secret_reveal(s)) : NULL;
}

static struct kn_sv resolve(struct kn_sv url, struct kn_sv location, struct kn_arena *a)
{
    if (kn_sv_search(location, KN_SV("://")) > 0)
        return location;
    ptrdiff_t scheme = kn_sv_search(url, KN_SV("://"));
    struct kn_sv host = host_of(url);
    return kn_arena_printf(a, "%.*s%.*s%s%.*s", KN_SV_ARG(kn_sv_first(url, (size_t)scheme + 3)),
                           KN_SV_ARG(host), kn_sv_starts(location, KN_SV("/")) ? "" : "/",
                           KN_SV_ARG(location));
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// One GET with the authorization that is known now, redirects followed. Where a redirect leads to
// another host, the authorization stays behind.
static struct kn_status get_once(struct registry *r, struct kn_sv url, const char *accept,
                                 int64_t from, struct kn_secret *authorization, struct kn_arena *a,
                                 struct kn_http_client_resp *ret, struct kn_body **ret_body)
{
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        bool own = kn_sv_eq(host_of(url), host_of(r->base));
        KN_TRY(ask(r, url, accept, from, own ? authorization : NULL, a, ret, ret_body));
        struct kn_sv location = kn_http_client_resp_get(ret, "Location");
        if (!is_redirect(ret->status) || !location.len)
            return KN_STATUS_OK;
        kn_http_close(*ret_body);
        *ret_body = NULL;
        url = resolve(url, location, a);
        if (kn_sv_starts(r->base, KN_SV("https://")) && !kn_sv_starts(url, KN_SV("https://")))
            return kn_error(KN_FORBIDDEN, "the registry leads from HTTPS to %.*s", KN_SV_ARG(url));
    }
    return kn_error(KN_UNAVAILABLE, "stopped after %d redirects", REDIRECTS_MAX);
}

struct kn_status kn_registry_get(struct registry *r, const char *what, const char *accept,
                                 int64_t from, struct kn_arena *a, struct kn_http_client_resp *ret,
                                 struct kn_body **ret_body)
{
    struct kn_sv url =
        kn_arena_printf(a, "%.*s/v2/%.*s/%s", KN_SV_ARG(r->base), KN_SV_ARG(r->repository), what);
    for (int i = 0; i < CHALLENGES_MAX; i++) {
        KN_CLEANUP(kn_secret_cleanup) struct kn_secret *authorization = NULL;
        unsigned generation = 0;
        bool more = false;
        KN_LOCKED(&r->lock)
        {
            authorization = copy_of(r->authorization);
            generation = r->generation;
        }
        KN_TRY(get_once(r, url, accept, from, authorization, a, ret, ret_body));
        struct kn_status s = KN_STATUS_OK;
        KN_LOCKED(&r->lock)
        {
            if (ret->status != 401)
                r->works = r->works || r->generation == generation;
            else
                s = authorize_locked(r, kn_http_client_resp_get(ret, "WWW-Authenticate"),
                                     generation, a, &more);
        }
        if (kn_ok(s) && !more)
            return KN_STATUS_OK;
        kn_http_close(*ret_body);
        *ret_body = NULL;
        KN_TRY(s);
    }
    return kn_error(KN_FORBIDDEN, "the registry went on asking for credentials");
}

// -- refusals ---------------------------------------------------------------------------------

// "CODE: message" of the first error that the registry names, or empty.
static struct kn_sv server_message(struct registry *r, struct kn_body *body, struct kn_arena *a)
{
    struct kn_buf text = KN_BUF(ERROR_MAX + 1);
    struct kn_json *v = NULL;
    struct kn_status s = kn_registry_read(r, body, ERROR_MAX, &text);
    if (kn_ok(s))
        s = kn_json_parse(a, kn_arena_dup(a, kn_buf_sv(&text)), NULL, &v);
    kn_status_done(&s); // whatever came: the status says what matters
    kn_buf_done(&text);
    const struct kn_json *error = kn_json_first(kn_json_get_sv(v, KN_SV("errors")));
    struct kn_sv message = kn_json_str(kn_json_get_sv(error, KN_SV("message")));
    struct kn_sv code = kn_json_str(kn_json_get_sv(error, KN_SV("code")));
    return code.len ? kn_arena_printf(a, "%.*s: %.*s", KN_SV_ARG(code), KN_SV_ARG(message))
                    : message;
}

struct kn_status kn_registry_refusal(struct registry *r, const char *what,
                                     const struct kn_http_client_resp *head, struct kn_body *body)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_sv message = server_message(r, body, a);
    if (head->status == 404)
        return kn_error(KN_NOT_FOUND, "%.*s/%.*s: not found", KN_SV_ARG(host_of(r->base)),
                        KN_SV_ARG(r->repository));
    if (head->status == 401 || head->status == 403)
        return kn_error(
            KN_FORBIDDEN,
            "pull access denied, repository does not exist or may require authorization: "
            "server message: %.*s",
            KN_SV_ARG(message.len ? message : KN_SV("authorization failed")));
    return kn_error(head->status == 429 ? KN_TOO_MANY : KN_UNAVAILABLE,
                    "unexpected status from GET request to %.*s/v2/%.*s/%s: %d %s%s%.*s",
                    KN_SV_ARG(r->base), KN_SV_ARG(r->repository), what, head->status,
                    kn_http_phrase(head->status), message.len ? ": server message: " : "",
                    KN_SV_ARG(message));
}
