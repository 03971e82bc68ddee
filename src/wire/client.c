// The client: origins, connections, and which call goes where.
#include "wire/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/num.h"
#include "wire/client_conn.h"

#define CALL_ARENA (1u << 20)

// ---- URLs ----

struct url {
    bool tls, is_unix;
    struct kn_sv host, target;
    uint16_t port;
    struct kn_sv origin; // the text up to the target
};

// *text begins with scheme://; leaves the target behind the authority.
static struct kn_status parse_url(struct kn_sv text, struct url *ret)
{
    struct url u = {0};
    struct kn_sv rest = text;
    int64_t port = 80;
    if (kn_sv_starts(text, KN_SV("unix:"))) {
        ptrdiff_t colon = kn_sv_find(kn_sv_from(text, 5), ':'); // unix:/run/x.sock:/path
        u.is_unix = true;
        u.origin = colon < 0 ? text : kn_sv_first(text, (size_t)colon + 5);
        u.target = colon < 0 ? KN_SV("/") : kn_sv_from(text, (size_t)colon + 6);
        u.host = KN_SV("localhost");
        *ret = u;
        return KN_STATUS_OK;
    }
    if (kn_sv_starts(text, KN_SV("https://"))) {
        u.tls = true;
        port = 443;
        rest = kn_sv_from(text, 8);
    } else if (kn_sv_starts(text, KN_SV("http://"))) {
        rest = kn_sv_from(text, 7);
    } else {
        return kn_error(KN_INVALID,
                        "the URL \"%.*s\" does not begin with https://, http:// or unix:",
                        KN_SV_ARG(kn_sv_first(text, 100)));
    }
    size_t end = 0;
    while (end < rest.len && !strchr("/?", rest.ptr[end]))
        end++;
    struct kn_sv authority = kn_sv_first(rest, end);
    u.target = kn_sv_from(rest, end);
    u.origin = kn_sv_first(text, (size_t)(u.target.ptr - text.ptr));
    u.host = authority;
    struct kn_sv port_text = {0};
    ptrdiff_t colon = kn_sv_rfind(authority, ':');
    if (authority.len && authority.ptr[0] == '[') {
        ptrdiff_t close = kn_sv_find(authority, ']');
        if (close < 0)
            return kn_error(KN_INVALID, "the URL's address has no \"]\"");
        u.host = kn_sv(authority.ptr + 1, (size_t)close - 1);
        port_text = kn_sv_from(authority, (size_t)close + 1);
        if (port_text.len)
            port_text = kn_sv_from(port_text, 1);
    } else if (colon >= 0) {
        u.host = kn_sv_first(authority, (size_t)colon);
        port_text = kn_sv_from(authority, (size_t)colon + 1);
    }
    if (port_text.len)
        KN_TRY(kn_wrap(kn_num_parse(port_text, 1, 65535, &port), "the URL's port"));
    if (!u.host.len || u.host.len > 253 || kn_sv_find(u.host, '@') >= 0)
        return kn_error(KN_INVALID, "the URL has no usable host");
    u.port = (uint16_t)port;
    *ret = u;
    return KN_STATUS_OK;
}

static struct kn_status whole_url(const struct kn_http_client *c, struct kn_sv url, struct url *ret)
{
    if (url.len && url.ptr[0] != '/')
        return parse_url(url, ret);
    if (!c->base)
        return kn_error(KN_INVALID, "the request's URL is a path, and the client has no base");
    KN_TRY(parse_url(kn_sv_c(c->base), ret));
    ret->target = url;
    return KN_STATUS_OK;
}

static bool add_numeric(struct kn_sv host, uint16_t port, struct client_address *out)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    if (kn_sv_is(host, "localhost"))
        memcpy(text, "127.0.0.1", 10);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->a;
    memset(&out->a, 0, sizeof out->a);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out->len = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out->len = sizeof *v6;
    return true;
}

// Without waiting: *ret_len is 0 when it would take DNS.
static struct kn_status address_of(const struct url *u, struct client_address *out, size_t *ret_len)
{
    *ret_len = 0;
    if (u->is_unix) {
        struct sockaddr_un *a = (struct sockaddr_un *)&out->a;
        struct kn_sv path = kn_sv_from(u->origin, 5);
        memset(&out->a, 0, sizeof out->a);
        if (path.len >= sizeof a->sun_path)
            return kn_error(KN_INVALID, "the path of the unix socket is too long");
        a->sun_family = AF_UNIX;
        memcpy(a->sun_path, path.ptr, path.len);
        out->len = sizeof *a;
        *ret_len = 1;
    } else if (add_numeric(u->host, u->port, out)) {
        *ret_len = 1;
    }
    return KN_STATUS_OK;
}

struct kn_status kn_client_resolve(struct kn_http_client *c, struct kn_sv url,
                                   struct client_address out[CLIENT_ADDRESSES], size_t *ret_len)
{
    struct url u;
    KN_TRY(whole_url(c, url, &u));
    KN_TRY(address_of(&u, out, ret_len));
    if (*ret_len)
        return KN_STATUS_OK;
    char host[256], port[8];
    memcpy(host, u.host.ptr, u.host.len);
    host[u.host.len] = '\0';
    snprintf(port, sizeof port, "%u", u.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int r = getaddrinfo(host, port, &hints, &list);
    if (r != 0)
        return kn_error(KN_UNAVAILABLE, "look up %s: %s", host, gai_strerror(r));
    for (struct addrinfo *i = list; i && *ret_len < CLIENT_ADDRESSES; i = i->ai_next) {
        memcpy(&out[*ret_len].a, i->ai_addr, i->ai_addrlen);
        out[(*ret_len)++].len = i->ai_addrlen;
    }
    freeaddrinfo(list);
    return KN_STATUS_OK;
}

// ---- connections ----

static void pump_later(struct client_origin *o)
{
    if (o->pump_set)
        return;
    o->pump_set = true;
    kn_loop_post(o->client->loop, &o->pump);
}

static void free_conn(struct kn_task *t)
{
    struct client_conn *c = KN_CONTAINER_OF(t, struct client_conn, free_task);
    if (c->protocol)
        c->protocol->free(c);
    kn_buf_done(&c->in);
    kn_arena_free(c->head);
    free(c);
}

static void conn_dead(struct client_conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    c->stream = NULL;
    struct client_origin *o = c->origin;
    kn_list_remove(&c->link);
    if (!c->only) {
        o->conns_len--;
        if (!c->protocol)
            o->connecting--;
    }
    kn_timer_cancel(o->client->loop, &c->timer);
    if (c->resume_set)
        kn_list_remove(&c->resume.link);
    kn_loop_post(o->client->loop, &c->free_task);
}

void kn_client_conn_close(struct client_conn *c)
{
    if (c->dead)
        return;
    struct kn_stream *s = c->stream;
    conn_dead(c);
    if (s)
        kn_stream_close(s);
}

static void open_conn(struct client_origin *o, struct kn_call *only, size_t address);

// A call on a kept connection that the server had closed meanwhile: once more, on a fresh one.
static bool may_retry(const struct client_conn *c, const struct kn_call *call)
{
    return c->used && !call->retried && !call->answered && !c->only;
}

void kn_client_conn_fail(struct client_conn *c, struct kn_status status)
{
    struct client_origin *o = c->origin;
    bool connecting = !c->protocol;
    struct kn_call *only = c->only;
    size_t next = c->address + 1;
    struct kn_list calls;
    kn_list_init(&calls);
    struct kn_call *call;
    while ((call = KN_LIST_FIRST(&c->calls, struct kn_call, link))) {
        kn_list_remove(&call->link);
        kn_list_append(&calls, &call->link);
    }
    kn_client_conn_close(c);
    if (connecting && next < o->addresses_len && !(only && only->connected_fd)) {
        if (only) {
            kn_list_remove(&only->link);
            kn_list_append(&o->waiting, &only->link);
            only->conn = NULL;
        }
        open_conn(o, only, next);
        kn_status_done(&status);
        return;
    }
    if (connecting && !only) { // nobody can get there: everybody who waits hears why
        while ((call = KN_LIST_FIRST(&o->waiting, struct kn_call, link))) {
            kn_list_remove(&call->link);
            kn_list_append(&calls, &call->link);
        }
    }
    while ((call = KN_LIST_FIRST(&calls, struct kn_call, link))) {
        kn_list_remove(&call->link);
        if (!connecting && may_retry(c, call)) {
            call->retried = true;
            call->conn = NULL;
            call->body_at = 0;
            kn_list_append(&o->waiting, &call->link);
        } else {
            call->conn = NULL;
            kn_client_call_end(call, kn_status_copy(&status));
        }
    }
    kn_status_done(&status);
    pump_later(o);
}

static void on_read(void *arg, struct kn_sv bytes)
{
    struct client_conn *c = arg;
    if (c->protocol)
        c->protocol->read(c, bytes);
}

static void on_drain(void *arg)
{
    struct client_conn *c = arg;
    if (c->protocol)
        c->protocol->drained(c);
}

static void on_close(void *arg, const struct kn_status *why)
{
    struct client_conn *c = arg;
    c->stream = NULL; // it frees itself
    if (kn_ok(*why) && c->protocol && c->protocol->closed(c)) {
        kn_client_conn_close(c);
        return;
    }
    struct kn_status s = kn_ok(*why) ? kn_error(KN_CLOSED, "the server closed the connection")
                                     : kn_status_copy(why);
    if (!c->protocol)
        s.code = s.code == KN_UNAUTHORIZED ? KN_UNAUTHORIZED : KN_UNAVAILABLE;
    kn_client_conn_fail(c, kn_wrap(s, "%s", c->origin->key));
}

static const struct kn_stream_events events = {
    .on_read = on_read, .on_drain = on_drain, .on_close = on_close};

static void give(struct client_conn *c, struct kn_call *call)
{
    kn_timer_cancel(c->origin->client->loop, &c->timer);
    kn_list_remove(&call->link);
    kn_list_append(&c->calls, &call->link);
    call->conn = c;
    c->protocol->start(c, call);
    c->used = true;
}

static void on_ready(void *arg)
{
    struct client_conn *c = arg;
    struct client_origin *o = c->origin;
    const struct kn_tls *tls = kn_transport_tls(c->stream);
    bool h2 =
        tls ? kn_tls_is_h2(tls) : o->client->config.http2_plain && !(c->only && c->only->upgrade);
    if (!c->only) {
        o->connecting--;
        o->known_h2 = h2;
    }
    c->protocol = h2 ? &kn_client_h2 : &kn_client_h1;
    kn_timer_cancel(o->client->loop, &c->timer);
    if (c->only) {
        struct kn_call *call = c->only;
        c->used = true; // no retry
        give(c, call);
        return;
    }
    kn_client_conn_idle(c);
}

static void conn_timer(struct kn_timer *t)
{
    struct client_conn *c = KN_CONTAINER_OF(t, struct client_conn, timer);
    if (c->protocol)
        kn_client_conn_close(c); // idle
    else
        kn_client_conn_fail(c, kn_error(KN_UNAVAILABLE, "connect to %s: no answer in time",
                                        c->origin->key));
}

void kn_client_conn_idle(struct client_conn *c)
{
    if (c->dead)
        return;
    struct kn_http_client *client = c->origin->client;
    bool old = c->generation != __atomic_load_n(&client->generation, __ATOMIC_RELAXED);
    if (kn_list_empty(&c->calls) && (c->closing || c->only || old)) {
        kn_client_conn_close(c);
    } else if (kn_list_empty(&c->calls)) {
        kn_timer_set(client->loop, &c->timer,
                     kn_loop_now(client->loop) + client->config.idle_timeout);
    }
    pump_later(c->origin);
}

// only: the call that this connection is for, or NULL.
static void open_conn(struct client_origin *o, struct kn_call *only, size_t address)
{
    struct kn_http_client *client = o->client;
    struct kn_stream *s = NULL;
    struct kn_sv host = client->server_name ? kn_sv_c(client->server_name) : kn_sv_c(o->host);
    struct kn_tls_ctx *tls = o->tls ? client->tls : NULL;
    struct kn_status st;
    struct client_conn *c = KN_NEW(struct client_conn);
    kn_list_init(&c->calls);
    c->origin = o;
    c->only = only;
    c->address = address;
    c->generation = __atomic_load_n(&client->generation, __ATOMIC_RELAXED);
    c->timer.fire = conn_timer;
    c->free_task.run = free_conn;
    c->in = KN_BUF(client->config.max_header + 4 * KN_LOOP_SCRATCH);
    kn_list_append(&o->conns, &c->link);
    if (!only) {
        o->conns_len++;
        o->connecting++;
    } else {
        kn_list_remove(&only->link);
        kn_list_append(&c->calls, &only->link);
        only->conn = c;
    }
    if (only && only->connected_fd > 0)
        st = kn_transport_client(client->loop, only->connected_fd, tls, host, on_ready, &s);
    else
        st = kn_transport_connect(client->loop, (struct sockaddr *)&o->addresses[address].a,
                                  o->addresses[address].len, tls, host, on_ready, &s);
    if (!kn_ok(st)) {
        kn_client_conn_fail(c, kn_wrap(st, "%s", o->key));
        return;
    }
    c->stream = s;
    if (only && only->upgrade)
        kn_transport_only_http1(s);
    kn_stream_set_events(s, &events, c);
    kn_timer_set(client->loop, &c->timer,
                 kn_loop_now(client->loop) + client->config.connect_timeout);
}

static struct client_conn *free_conn_for(struct client_origin *o)
{
    struct client_conn *c;
    unsigned now = __atomic_load_n(&o->client->generation, __ATOMIC_RELAXED);
    KN_LIST_EACH(&o->conns, c, struct client_conn, link)
    {
        if (c->protocol && !c->only && !c->closing && c->generation == now && c->protocol->room(c))
            return c;
    }
    return NULL;
}

static bool may_open(const struct client_origin *o)
{
    size_t max = o->client->config.max_connections;
    if (o->known_h2 || o->tls)
        if (o->connecting) // it may become HTTP/2, which is enough for all
            return false;
    return o->conns_len < (max ? max : o->known_h2 ? 4 : 64);
}

static void pump(struct kn_task *t)
{
    struct client_origin *o = KN_CONTAINER_OF(t, struct client_origin, pump);
    o->pump_set = false;
    size_t waiting = 0;
    struct kn_call *call;
    KN_LIST_EACH(&o->waiting, call, struct kn_call, link)
    {
        if (call->upgrade || call->connected_fd > 0) {
            open_conn(o, call, 0);
            pump_later(o); // the list may have changed under us
            return;
        }
        struct client_conn *c = free_conn_for(o);
        if (c) {
            give(c, call);
            pump_later(o);
            return;
        }
        if (!may_open(o) || o->connecting >= 8)
            break;
        if (o->connecting > waiting++)
            continue; // one is on its way for this call
        open_conn(o, NULL, 0);
        if (!o->connecting) // it failed at once, and so did everybody who waited
            break;
    }
}

// ---- calls ----

void kn_client_call_end(struct kn_call *call, struct kn_status status)
{
    kn_list_remove(&call->link);
    kn_timer_cancel(call->client->loop, &call->timer);
    if (call->ev)
        call->ev->on_end(call->arg, &status);
    kn_status_done(&status);
    kn_status_done(&call->failure);
    if (call->body.release)
        call->body.release(call->body.arg);
    kn_buf_done(&call->held);
    kn_arena_free(call->arena);
}

void kn_call_cancel(struct kn_call *call)
{
    call->ev = NULL;
    struct client_conn *c = call->conn;
    if (c && c->protocol)
        c->protocol->cancel(c, call); // ends it
    else {
        kn_client_call_end(call, KN_STATUS_OK);
        if (c) // connecting for it alone
            kn_client_conn_close(c);
    }
}

void kn_call_pause(struct kn_call *call, bool paused)
{
    if (call->paused == paused)
        return;
    call->paused = paused;
    if (call->conn && call->conn->protocol)
        call->conn->protocol->pause(call->conn, call, paused);
}

static void call_timer(struct kn_timer *t)
{
    struct kn_call *call = KN_CONTAINER_OF(t, struct kn_call, timer);
    const struct kn_call_events *ev = call->ev;
    void *arg = call->arg;
    struct kn_status s = kn_error(KN_TIMEOUT, "%s %.*s: no answer in time", call->origin->key,
                                  KN_SV_ARG(kn_sv_first(call->target, 200)));
    kn_call_cancel(call);
    if (ev)
        ev->on_end(arg, &s);
    kn_status_done(&s);
}

static struct client_origin *origin_of(struct kn_http_client *c, const struct url *u)
{
    struct client_origin *o;
    KN_LIST_EACH(&c->origins, o, struct client_origin, link)
    {
        if (kn_sv_eq(kn_sv_c(o->key), u->origin))
            return o;
    }
    o = KN_NEW(struct client_origin);
    o->client = c;
    o->key = kn_sv_dup(u->origin);
    o->host = kn_sv_dup(u->host);
    o->tls = u->tls;
    o->is_unix = u->is_unix;
    o->is_base = c->base && kn_sv_starts(kn_sv_c(c->base), u->origin);
    kn_list_init(&o->conns);
    kn_list_init(&o->waiting);
    o->pump.run = pump;
    kn_list_append(&c->origins, &o->link);
    return o;
}

static struct kn_status copy_request(struct kn_call *call, const struct kn_http_client_req *req,
                                     const struct url *u)
{
    struct kn_arena *a = call->arena;
    call->method = kn_arena_dup(a, kn_sv_c(req->method));
    struct kn_sv target = u->target;
    ptrdiff_t hash = kn_sv_find(target, '#');
    if (hash >= 0)
        target = kn_sv_first(target, (size_t)hash);
    call->target = target.len && target.ptr[0] == '/'
                       ? kn_arena_dup(a, target)
                       : kn_arena_printf(a, "/%.*s", KN_SV_ARG(target));
    struct kn_sv shown =
        kn_sv_find(u->host, ':') >= 0 ? kn_arena_printf(a, "[%.*s]", KN_SV_ARG(u->host)) : u->host;
    bool usual = u->is_unix || u->port == (u->tls ? 443 : 80);
    call->authority = usual ? kn_arena_dup(a, shown)
                            : kn_arena_printf(a, "%.*s:%u", KN_SV_ARG(shown), u->port);
    call->headers = kn_arena_calloc(a, req->headers_len + 1, sizeof *call->headers);
    for (size_t i = 0; call->headers && i < req->headers_len; i++) {
        const struct kn_http_header *h = &req->headers[i];
        if (!kn_http_token_ok(h->name) || !kn_http_value_ok(h->value))
            return kn_error(KN_INVALID, "the header \"%.*s\" is malformed", KN_SV_ARG(h->name));
        call->headers[call->headers_len++] =
            (struct kn_http_header){kn_arena_dup(a, h->name), kn_arena_dup(a, h->value)};
    }
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= 0x20 || target.ptr[i] == 0x7f)
            return kn_error(KN_INVALID, "the URL has a space or a control character");
    if (!kn_http_token_ok(call->method))
        return kn_error(KN_INVALID, "the method is malformed");
    return kn_arena_failed(a) ? kn_arena_error(a, "a request") : KN_STATUS_OK;
}

struct kn_status kn_client_start(struct kn_http_client *c, const struct kn_http_client_req *req,
                                 const struct client_address *addresses, size_t len,
                                 const struct kn_call_events *ev, void *arg, struct kn_call **ret)
{
    kn_assert(kn_loop_is_mine(c->loop));
    struct kn_piece body = {req->body, req->body_release, req->body_arg};
    struct url u;
    struct kn_status s = whole_url(c, req->url, &u);
    struct kn_call *call = NULL;
    if (kn_ok(s)) {
        struct kn_arena *a = kn_arena_new(2048, CALL_ARENA);
        call = KN_ARENA_NEW(a, struct kn_call);
        call->arena = a;
        s = copy_request(call, req, &u);
    }
    struct client_origin *o = kn_ok(s) ? origin_of(c, &u) : NULL;
    if (o && len) {
        memcpy(o->addresses, addresses, len * sizeof *addresses);
        o->addresses_len = len;
    } else if (o && !o->addresses_len) {
        s = address_of(&u, o->addresses, &o->addresses_len);
        if (kn_ok(s) && !o->addresses_len && req->connected_fd <= 0)
            s = kn_error(KN_INVALID, "\"%s\" is no numeric address, and a loop cannot wait for DNS",
                         o->host);
    }
    if (!kn_ok(s)) {
        if (body.release)
            body.release(body.arg);
        if (req->connected_fd > 0)
            close(req->connected_fd);
        if (call)
            kn_arena_free(call->arena);
        return s;
    }
    if (body.bytes.len && !body.release) {
        char *copy = kn_alloc(body.bytes.len);
        memcpy(copy, body.bytes.ptr, body.bytes.len);
        body = (struct kn_piece){kn_sv(copy, body.bytes.len), free, copy};
    }
    call->client = c;
    call->origin = o;
    call->body = body;
    call->has_body = body.bytes.len || kn_sv_is(call->method, "POST") ||
                     kn_sv_is(call->method, "PUT") || kn_sv_is(call->method, "PATCH");
    call->upgrade = req->upgrade;
    call->connected_fd = req->connected_fd;
    call->ev = ev;
    call->arg = arg;
    call->held = KN_BUF(64u << 20);
    call->timer.fire = call_timer;
    kn_list_append(&o->waiting, &call->link);
    if (req->deadline && req->deadline != KN_FOREVER)
        kn_timer_set(c->loop, &call->timer, req->deadline);
    pump_later(o);
    *ret = call;
    return KN_STATUS_OK;
}

struct kn_status kn_call_start(struct kn_http_client *c, const struct kn_http_client_req *req,
                               const struct kn_call_events *ev, void *arg, struct kn_call **ret)
{
    return kn_client_start(c, req, NULL, 0, ev, arg, ret);
}

struct kn_sv kn_client_bearer(struct kn_call *call)
{
    struct kn_http_client *c = call->client;
    struct kn_sv v = KN_SV_NULL;
    if (!call->origin->is_base)
        return v;
    pthread_mutex_lock(&c->lock);
    if (c->token)
        v = kn_arena_printf(call->arena, "Bearer %.*s", KN_SV_ARG(kn_secret_reveal(c->token)));
    pthread_mutex_unlock(&c->lock);
    return v;
}

struct kn_sv kn_http_client_head_get(const struct kn_http_client_head *h, const char *name)
{
    for (size_t i = 0; i < h->headers_len; i++)
        if (kn_sv_ieq(h->headers[i].name, kn_sv_c(name)))
            return h->headers[i].value;
    return KN_SV_NULL;
}

// ---- the client ----

static char *dup_c(const char *s)
{
    return s ? kn_sv_dup(kn_sv_c(s)) : NULL;
}

struct kn_status kn_http_client_new(const struct kn_http_client_config *config,
                                    struct kn_http_client **ret)
{
    struct kn_http_client *c = KN_NEW(struct kn_http_client);
    struct kn_status s = KN_STATUS_OK;
    c->config = *config;
    c->base = dup_c(config->base);
    c->server_name = dup_c(config->server_name);
    c->user_agent = dup_c(config->user_agent ? config->user_agent : "knarr/" KN_VERSION);
    c->config.max_header = config->max_header ? config->max_header : 64u << 10;
    c->config.connect_timeout = config->connect_timeout ? config->connect_timeout : 10 * KN_SECOND;
    c->config.idle_timeout = config->idle_timeout ? config->idle_timeout : 60 * KN_SECOND;
    kn_list_init(&c->origins);
    pthread_mutex_init(&c->lock, NULL);
    if (config->token)
        c->token = kn_secret_from(kn_secret_reveal(config->token));
    if (config->tls)
        c->tls = kn_tls_ctx_ref(config->tls);
    else
        s = kn_tls_client_new(&(struct kn_tls_client_options){.system_cas = true}, &c->tls);
    struct url u;
    if (kn_ok(s) && c->base)
        s = parse_url(kn_sv_c(c->base), &u);
    c->loop = config->loop;
    if (kn_ok(s) && !c->loop) {
        s = kn_loop_start("http-client", 0, &c->loop);
        c->own_loop = kn_ok(s);
    }
    if (!kn_ok(s)) {
        c->loop = NULL;
        kn_http_client_free(c);
        return s;
    }
    *ret = c;
    return s;
}

static void cancel_all(struct kn_list *calls)
{
    struct kn_call *call;
    while ((call = KN_LIST_FIRST(calls, struct kn_call, link)))
        kn_client_call_end(call, kn_error(KN_CANCELLED, "the HTTP client ends"));
}

// In the loop's thread, or when the loop does not run any more.
static void free_origins(struct kn_http_client *c)
{
    struct client_origin *o;
    while ((o = KN_LIST_FIRST(&c->origins, struct client_origin, link))) {
        kn_list_remove(&o->link);
        struct client_conn *conn;
        while ((conn = KN_LIST_FIRST(&o->conns, struct client_conn, link))) {
            cancel_all(&conn->calls);
            kn_client_conn_close(conn);
        }
        cancel_all(&o->waiting);
        if (o->pump_set)
            kn_list_remove(&o->pump.link);
        free(o->key);
        free(o->host);
        free(o);
    }
}

struct stop {
    struct kn_task task;
    struct kn_http_client *client;
};

static void stop_task(struct kn_task *t)
{
    free_origins(KN_CONTAINER_OF(t, struct stop, task)->client);
}

void kn_http_client_free(struct kn_http_client *c)
{
    if (!c)
        return;
    if (c->own_loop) {
        struct stop stop = {.task = {.run = stop_task}, .client = c};
        kn_loop_post(c->loop, &stop.task);
        kn_loop_join(c->loop); // runs what was posted
    } else if (c->loop) {
        free_origins(c);
    }
    kn_tls_ctx_free(c->tls);
    kn_secret_free(c->token);
    pthread_mutex_destroy(&c->lock);
    free(c->base);
    free(c->server_name);
    free(c->user_agent);
    free(c);
}

void kn_http_client_set_token(struct kn_http_client *c, const struct kn_secret *token)
{
    struct kn_secret *fresh = token ? kn_secret_from(kn_secret_reveal(token)) : NULL;
    pthread_mutex_lock(&c->lock);
    struct kn_secret *old = c->token;
    c->token = fresh;
    pthread_mutex_unlock(&c->lock);
    kn_secret_free(old);
}

void kn_http_client_renew(struct kn_http_client *c)
{
    __atomic_add_fetch(&c->generation, 1, __ATOMIC_RELAXED);
}

struct kn_loop *kn_http_client_loop(const struct kn_http_client *c)
{
    return c->loop;
}
