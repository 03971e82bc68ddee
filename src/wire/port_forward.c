// Port-forward as a kubelet serves it: SPDY streams in pairs (error, data), on a connection of its
// own or tunnelled in the binary messages of a WebSocket (KEP-4006).
#include "base/num.h"
#include "wire/remote_streams.h"
#include "wire/spdy.h"
#include "wire/websocket.h"

#define PROTOCOL "portforward.k8s.io"
#define TUNNEL "SPDY/3.1+portforward.k8s.io"

struct kn_forward_conn {
    struct kn_list link;
    struct kn_forward *forward;
    struct kn_spdy_stream *error, *data;
    char *id; // requestID
    uint16_t port;
    void *arg; // the owner's
    bool open;   // on_open was called
    bool paused; // counted in the session
};

struct kn_forward {
    struct kn_spdy *spdy;
    const struct kn_forward_events *ev;
    void *arg;
    struct kn_list conns;
    size_t paused; // connections that wait for their owner
};

// ---- a stream in WebSocket messages ----

struct tunnel {
    struct kn_stream stream; // first
    struct kn_ws *ws;
    bool dead;
};

static bool tunnel_write(struct kn_stream *s, struct kn_piece piece)
{
    struct tunnel *t = (struct tunnel *)s;
    bool sent = t->ws && kn_ws_send(t->ws, true, &piece.bytes, 1);
    if (piece.release)
        piece.release(piece.arg);
    return sent;
}

static size_t tunnel_pending(const struct kn_stream *s)
{
    const struct tunnel *t = (const struct tunnel *)s;
    return t->ws ? kn_ws_pending(t->ws) : 0;
}

static void tunnel_pause(struct kn_stream *s, bool paused)
{
    struct tunnel *t = (struct tunnel *)s;
    if (t->ws)
        kn_ws_pause(t->ws, paused);
}

static void tunnel_shutdown(struct kn_stream *s)
{
    (void)s; // a WebSocket has no half close; SPDY does not ask for one
}

static void tunnel_close(struct kn_stream *s, bool flush)
{
    struct tunnel *t = (struct tunnel *)s;
    (void)flush; // the close frame goes behind what is queued
    if (t->ws)
        kn_ws_close(t->ws, 1000, KN_SV_NULL);
    free(t);
}

static const struct kn_stream_ops tunnel_ops = {.write = tunnel_write,
                                                .pending = tunnel_pending,
                                                .pause = tunnel_pause,
                                                .shutdown = tunnel_shutdown,
                                                .close = tunnel_close};

static void tunnel_message(void *arg, bool binary, struct kn_sv payload)
{
    struct tunnel *t = arg;
    (void)binary;
    t->stream.ev->on_read(t->stream.arg, payload);
}

static void tunnel_drain(void *arg)
{
    struct tunnel *t = arg;
    if (t->stream.ev->on_drain)
        t->stream.ev->on_drain(t->stream.arg);
}

static void tunnel_over(void *arg, unsigned code, struct kn_sv reason)
{
    struct tunnel *t = arg;
    (void)reason;
    t->ws = NULL;
    struct kn_status why = code == 1000 || code == 1005
                               ? KN_STATUS_OK
                               : kn_error(KN_CLOSED, "the WebSocket was closed with %u", code);
    t->stream.ev->on_close(t->stream.arg, &why);
    kn_status_done(&why);
    free(t);
}

static const struct kn_ws_events tunnel_events = {
    .on_message = tunnel_message, .on_drain = tunnel_drain, .on_close = tunnel_over};

// ---- connections ----

// Clients of Kubernetes mind no windows: who sends more than one connection takes waits with all.
static void set_paused(struct kn_forward_conn *c, bool paused)
{
    struct kn_forward *f = c->forward;
    if (c->paused == paused)
        return;
    c->paused = paused;
    f->paused += paused ? 1 : (size_t)-1;
    if (f->spdy)
        kn_spdy_pause_all(f->spdy, f->paused > 0);
}

static void free_conn(struct kn_forward_conn *c)
{
    set_paused(c, false);
    kn_list_remove(&c->link);
    free(c->id);
    free(c);
}

// Both streams are over.
static void maybe_gone(struct kn_forward_conn *c)
{
    if (c->data || c->error)
        return;
    struct kn_forward *f = c->forward;
    if (c->open)
        f->ev->on_gone(c->arg, c);
    free_conn(c);
}

static struct kn_forward_conn *conn_for(struct kn_forward *f, struct kn_sv id, uint16_t port)
{
    struct kn_forward_conn *c;
    KN_LIST_EACH(&f->conns, c, struct kn_forward_conn, link)
    {
        if (c->port == port && kn_sv_is(id, c->id))
            return c;
    }
    c = KN_NEW(struct kn_forward_conn);
    c->forward = f;
    c->id = kn_sv_dup(id);
    c->port = port;
    kn_list_append(&f->conns, &c->link);
    return c;
}

static void on_stream(void *arg, struct kn_spdy_stream *st, const struct kn_http_header *headers,
                      size_t headers_len)
{
    struct kn_forward *f = arg;
    struct kn_sv type = KN_SV(""), id = KN_SV(""), port_text = KN_SV("");
    for (size_t i = 0; i < headers_len; i++) {
        if (kn_sv_ieq(headers[i].name, KN_SV("streamtype")))
            type = headers[i].value;
        else if (kn_sv_ieq(headers[i].name, KN_SV("requestid")))
            id = headers[i].value;
        else if (kn_sv_ieq(headers[i].name, KN_SV("port")))
            port_text = headers[i].value;
    }
    int64_t port = 0;
    struct kn_status s = kn_num_parse(port_text, 1, 65535, &port);
    bool data = kn_sv_is(type, "data"), good = kn_ok(s) && (data || kn_sv_is(type, "error"));
    kn_status_done(&s);
    struct kn_forward_conn *c = good ? conn_for(f, id, (uint16_t)port) : NULL;
    if (!c || (data ? c->open : c->error != NULL)) { // one of each in the life of a connection
        kn_spdy_reset(st, 3);
        return;
    }
    kn_spdy_set_data(st, c);
    *(data ? &c->data : &c->error) = st;
    kn_spdy_reply(st, NULL, 0);
    if (data) {
        c->open = true;
        f->ev->on_open(f->arg, c, (uint16_t)port, &c->arg);
    }
}

static void on_data(void *arg, struct kn_spdy_stream *st, struct kn_sv bytes)
{
    struct kn_forward *f = arg;
    struct kn_forward_conn *c = kn_spdy_data(st);
    if (c && c->data == st)
        f->ev->on_data(c->arg, c, bytes);
}

static void on_end(void *arg, struct kn_spdy_stream *st)
{
    struct kn_forward *f = arg;
    struct kn_forward_conn *c = kn_spdy_data(st);
    if (c && c->data == st)
        f->ev->on_end(c->arg, c);
}

static void on_stream_gone(void *arg, struct kn_spdy_stream *st, bool reset)
{
    (void)arg, (void)reset;
    struct kn_forward_conn *c = kn_spdy_data(st);
    if (!c)
        return;
    if (c->data == st) {
        c->data = NULL;
        if (c->error) { // the connection is over with its data
            struct kn_spdy_stream *error = c->error;
            c->error = NULL;
            kn_spdy_set_data(error, NULL);
            kn_spdy_end(error);
        }
    } else if (c->error == st) {
        c->error = NULL;
    }
    maybe_gone(c);
}

static void on_drain(void *arg)
{
    struct kn_forward *f = arg;
    struct kn_forward_conn *c;
    KN_LIST_EACH(&f->conns, c, struct kn_forward_conn, link)
    {
        if (c->data && f->ev->on_drain)
            f->ev->on_drain(c->arg, c);
    }
}

static void drop_conns(struct kn_forward *f, bool tell)
{
    struct kn_forward_conn *c;
    while ((c = KN_LIST_FIRST(&f->conns, struct kn_forward_conn, link))) {
        c->data = c->error = NULL;
        if (c->open && tell)
            f->ev->on_gone(c->arg, c);
        free_conn(c);
    }
}

static void on_session_close(void *arg, const struct kn_status *why)
{
    struct kn_forward *f = arg;
    (void)why;
    f->spdy = NULL;
    drop_conns(f, true);
    f->ev->on_close(f->arg);
    free(f);
}

static const struct kn_spdy_events spdy_events = {
    .on_stream = on_stream, .on_data = on_data, .on_end = on_end, .on_gone = on_stream_gone,
    .on_drain = on_drain, .on_close = on_session_close};

// ---- the session ----

bool kn_forward_wanted(const struct kn_http_req *r)
{
    return kn_ws_wanted(r) || (kn_http_header_has(r, "Connection", "upgrade") &&
                               kn_http_header_has(r, "Upgrade", "SPDY/3.1"));
}

static struct kn_status accept_tunnel(struct kn_http_req *r, struct kn_stream **ret)
{
    if (!kn_ws_offers(r, TUNNEL))
        return kn_error(KN_FORBIDDEN, "unable to upgrade: port-forward over WebSocket needs the "
                                      "protocol " TUNNEL);
    struct tunnel *t = KN_NEW(struct tunnel);
    t->stream.ops = &tunnel_ops;
    t->stream.loop = kn_http_loop(r);
    struct kn_status s = kn_ws_accept(r, TUNNEL, &tunnel_events, t, &t->ws);
    if (!kn_ok(s)) {
        free(t);
        return s;
    }
    *ret = &t->stream;
    return s;
}

static struct kn_status accept_spdy(struct kn_http_req *r, struct kn_stream **ret)
{
    struct kn_http_header headers[] = {{KN_SV("Upgrade"), KN_SV("SPDY/3.1")},
                                       {KN_SV("X-Stream-Protocol-Version"), KN_SV(PROTOCOL)}};
    if (!kn_http_header_has(r, "X-Stream-Protocol-Version", PROTOCOL))
        return kn_error(KN_FORBIDDEN, "unable to upgrade: port-forward needs the "
                                      "X-Stream-Protocol-Version " PROTOCOL);
    return kn_http_upgrade(r, headers, 2, ret);
}

struct kn_status kn_forward_accept(struct kn_http_req *r, const struct kn_forward_events *ev,
                                   void *arg, struct kn_forward **ret)
{
    if (!kn_forward_wanted(r))
        return kn_error(KN_BAD_REQUEST, "Upgrade request required");
    struct kn_stream *stream = NULL;
    KN_TRY(kn_ws_wanted(r) ? accept_tunnel(r, &stream) : accept_spdy(r, &stream));
    *ret = kn_forward_new(stream, ev, arg);
    return KN_STATUS_OK;
}

struct kn_forward *kn_forward_new(struct kn_stream *stream, const struct kn_forward_events *ev,
                                  void *arg)
{
    struct kn_forward *f = KN_NEW(struct kn_forward);
    f->ev = ev;
    f->arg = arg;
    kn_list_init(&f->conns);
    f->spdy = kn_spdy_new(stream, &spdy_events, f);
    return f;
}

void kn_forward_close(struct kn_forward *f)
{
    struct kn_spdy *spdy = f->spdy;
    f->spdy = NULL;
    kn_spdy_close(spdy);
    drop_conns(f, false);
    free(f);
}

bool kn_forward_write(struct kn_forward_conn *c, struct kn_sv bytes)
{
    return c->data && kn_spdy_write(c->data, bytes);
}

size_t kn_forward_pending(const struct kn_forward_conn *c)
{
    return c->data ? kn_spdy_pending(c->data) : 0;
}

void kn_forward_pause(struct kn_forward_conn *c, bool paused)
{
    set_paused(c, paused && c->data);
}

void kn_forward_end(struct kn_forward_conn *c, struct kn_sv message)
{
    // ending a stream may make the connection go: nothing of it is touched after the last one
    struct kn_spdy_stream *data = c->data, *error = c->error;
    if (error && message.len)
        kn_spdy_write(error, message);
    if (error && data) {
        kn_spdy_end(error);
        kn_spdy_end(data);
    } else if (error || data) {
        kn_spdy_end(error ? error : data);
    }
}
