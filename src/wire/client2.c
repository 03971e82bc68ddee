// HTTP/2 connections of the client, over nghttp2.
#include <nghttp2/nghttp2.h>

#include "wire/client_conn.h"

#define OUT_HIGH (256u << 10)
#define STREAM_WINDOW (1 << 20)
#define WINDOW (16 << 20)

struct h2_client {
    struct client_conn *conn;
    nghttp2_session *ng;
    struct kn_task flush;
    bool flush_set;
};

static void set_flush(struct h2_client *h)
{
    if (h->flush_set || h->conn->dead)
        return;
    h->flush_set = true;
    kn_loop_post(h->conn->origin->client->loop, &h->flush);
}

static void flush(struct h2_client *h)
{
    struct client_conn *c = h->conn;
    uint8_t *buf = kn_loop_scratch(c->origin->client->loop, 1);
    size_t len = 0;
    while (kn_stream_pending(c->stream) < OUT_HIGH) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->ng, &p);
        if (n < 0) {
            kn_client_conn_fail(c, kn_error(KN_CLOSED, "HTTP/2: %s", nghttp2_strerror((int)n)));
            return;
        }
        if (n == 0)
            break;
        if (len + (size_t)n > KN_LOOP_SCRATCH) {
            kn_transport_write_now(c->stream, kn_sv((char *)buf, len));
            len = 0;
        }
        memcpy(buf + len, p, (size_t)n);
        len += (size_t)n;
    }
    if (len)
        kn_transport_write_now(c->stream, kn_sv((char *)buf, len));
    if (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng))
        kn_client_conn_fail(c, kn_error(KN_CLOSED, "%s ended the HTTP/2 session", c->origin->key));
}

static void flush_task(struct kn_task *t)
{
    struct h2_client *h = KN_CONTAINER_OF(t, struct h2_client, flush);
    h->flush_set = false;
    if (!h->conn->dead)
        flush(h);
}

static struct kn_call *call_of(nghttp2_session *ng, int32_t id)
{
    return nghttp2_session_get_stream_user_data(ng, id);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    (void)arg;
    struct kn_call *call = call_of(ng, f->hd.stream_id);
    if (call) {
        call->got_len = call->got_bytes = 0;
        call->status = 0;
    }
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)flags, (void)arg;
    struct kn_call *call = call_of(ng, f->hd.stream_id);
    if (!call)
        return 0;
    call->got_bytes += name_len + value_len + 32;
    if (call->got_bytes > call->client->config.max_header) {
        if (kn_ok(call->failure))
            call->failure = kn_error(KN_TOO_LARGE, "the answer's head is too large");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct kn_sv n = kn_arena_dup(call->arena, kn_sv((const char *)name, name_len));
    struct kn_sv v = kn_arena_dup(call->arena, kn_sv((const char *)value, value_len));
    if (kn_sv_is(n, ":status")) {
        for (size_t i = 0; i < v.len && i < 3; i++)
            call->status = call->status * 10 + (v.ptr[i] - '0');
        return 0;
    }
    if (call->got_len == call->got_cap) {
        size_t cap = call->got_cap ? 2 * call->got_cap : 16;
        struct kn_http_header *more = kn_arena_calloc(call->arena, cap, sizeof *more);
        if (!more)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        if (call->got_len)
            memcpy(more, call->got, call->got_len * sizeof *more);
        call->got = more;
        call->got_cap = cap;
    }
    call->got[call->got_len++] = (struct kn_http_header){n, v};
    return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_client *h = arg;
    if (f->hd.type == NGHTTP2_GOAWAY)
        h->conn->closing = true;
    struct kn_call *call = f->hd.stream_id ? call_of(ng, f->hd.stream_id) : NULL;
    if (f->hd.type != NGHTTP2_HEADERS || !call || !call->ev)
        return 0;
    struct kn_http_client_head head = {call->status, call->got, call->got_len};
    if (call->head_done) {
        if (call->ev->on_trailers)
            call->ev->on_trailers(call->arg, &head);
    } else if (call->status >= 200) {
        call->head_done = call->answered = true;
        call->ev->on_head(call->arg, &head);
    }
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *arg)
{
    (void)flags, (void)arg;
    struct kn_call *call = call_of(ng, id);
    if (!call || !call->ev) {
        nghttp2_session_consume(ng, id, len);
        return 0;
    }
    struct kn_sv bytes = kn_sv((const char *)data, len);
    if (call->paused || call->held.len) {
        kn_buf_add(&call->held, bytes); // bounded by the stream's window
        return 0;
    }
    nghttp2_session_consume(ng, id, len);
    call->ev->on_data(call->arg, bytes);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_client *h = arg;
    struct kn_call *call = call_of(ng, id);
    if (!call)
        return 0;
    nghttp2_session_set_stream_user_data(ng, id, NULL);
    call->stream_id = 0;
    struct kn_status s = KN_STATUS_OK;
    if (!kn_ok(call->failure)) {
        s = call->failure;
        call->failure = KN_STATUS_OK;
    } else if (code != NGHTTP2_NO_ERROR || !call->head_done) {
        s = kn_error(KN_CLOSED, "%s broke the answer off: %s", call->origin->key,
                     nghttp2_http2_strerror(code));
    }
    if (code == NGHTTP2_REFUSED_STREAM && !call->retried) { // it was not begun: safe to repeat
        kn_status_done(&s);
        call->retried = true;
        call->conn = NULL;
        call->body_at = 0;
        kn_list_remove(&call->link);
        kn_list_append(&call->origin->waiting, &call->link);
    } else if (call->held.len && call->ev && kn_ok(s)) {
        call->failure = KN_STATUS_OK; // ends when the reader goes on
    } else {
        kn_client_call_end(call, s);
    }
    kn_client_conn_idle(h->conn);
    return 0;
}

static bool h2_room(const struct client_conn *c)
{
    if (!c->h2)
        return true;
    size_t n = 0;
    for (const struct kn_list *l = c->calls.next; l != &c->calls; l = l->next)
        n++;
    return n < nghttp2_session_get_remote_settings(c->h2->ng,
                                                   NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) &&
           n < 200 && nghttp2_session_check_request_allowed(c->h2->ng);
}

static void begin(struct client_conn *c)
{
    struct h2_client *h = KN_NEW(struct h2_client);
    h->conn = c;
    h->flush.run = flush_task;
    c->h2 = h;
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    kn_assert(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    kn_assert(nghttp2_session_client_new2(&h->ng, cb, h, opt) == 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
    };
    nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, KN_ARRAY_LEN(settings));
    nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, WINDOW);
}

static ssize_t on_source(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    (void)source, (void)arg;
    struct kn_call *call = call_of(ng, id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = call->body.bytes.len - call->body_at, n = left < max ? left : max;
    if (n)
        memcpy(buf, call->body.bytes.ptr + call->body_at, n);
    call->body_at += n;
    if (n == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv nv_of(struct kn_sv name, struct kn_sv value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr,
                        (uint8_t *)(uintptr_t)(value.ptr ? value.ptr : ""), name.len, value.len,
                        NGHTTP2_NV_FLAG_NONE};
}

static void h2_start(struct client_conn *c, struct kn_call *call)
{
    if (!c->h2)
        begin(c);
    struct h2_client *h = c->h2;
    nghttp2_nv *nv = kn_arena_calloc(call->arena, call->headers_len + 7, sizeof *nv);
    kn_assert(nv);
    size_t n = 0;
    char length[24];
    nv[n++] = nv_of(KN_SV(":method"), call->method);
    nv[n++] = nv_of(KN_SV(":scheme"), call->origin->tls ? KN_SV("https") : KN_SV("http"));
    nv[n++] = nv_of(KN_SV(":authority"), call->authority);
    nv[n++] = nv_of(KN_SV(":path"), call->target);
    nv[n++] = nv_of(KN_SV("user-agent"), kn_sv_c(call->client->user_agent));
    struct kn_sv bearer = kn_client_bearer(call);
    if (bearer.ptr) {
        nv[n] = nv_of(KN_SV("authorization"), bearer);
        nv[n++].flags = NGHTTP2_NV_FLAG_NO_INDEX;
    }
    if (call->has_body) {
        snprintf(length, sizeof length, "%zu", call->body.bytes.len);
        nv[n++] = nv_of(KN_SV("content-length"), kn_sv_c(length));
    }
    for (size_t i = 0; i < call->headers_len; i++) {
        struct kn_sv name = kn_arena_dup(call->arena, call->headers[i].name);
        char *p = (char *)(uintptr_t)name.ptr;
        for (size_t j = 0; j < name.len; j++)
            p[j] = p[j] >= 'A' && p[j] <= 'Z' ? (char)(p[j] + 32) : p[j];
        if (!kn_sv_is(name, "connection") && !kn_sv_is(name, "host"))
            nv[n++] = nv_of(name, call->headers[i].value);
    }
    nghttp2_data_provider source = {.read_callback = on_source};
    int32_t id = nghttp2_submit_request(h->ng, NULL, nv, n, call->has_body ? &source : NULL, call);
    call->stream_id = id > 0 ? id : 0;
    if (id < 0)
        kn_client_call_end(call, kn_error(KN_INTERNAL, "HTTP/2: %s", nghttp2_strerror(id)));
    set_flush(h);
}

static void h2_read(struct client_conn *c, struct kn_sv bytes)
{
    if (!c->h2)
        begin(c);
    ssize_t n = nghttp2_session_mem_recv(c->h2->ng, (const uint8_t *)bytes.ptr, bytes.len);
    if (c->dead)
        return;
    if (n < 0)
        kn_client_conn_fail(c, kn_error(KN_CLOSED, "%s: HTTP/2: %s", c->origin->key,
                                        nghttp2_strerror((int)n)));
    else
        set_flush(c->h2);
}

static void h2_cancel(struct client_conn *c, struct kn_call *call)
{
    if (call->stream_id) {
        nghttp2_session_set_stream_user_data(c->h2->ng, call->stream_id, NULL);
        nghttp2_submit_rst_stream(c->h2->ng, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
        if (call->held.len)
            nghttp2_session_consume_connection(c->h2->ng, call->held.len);
        set_flush(c->h2);
    }
    kn_client_call_end(call, KN_STATUS_OK);
    kn_client_conn_idle(c);
}

static void h2_pause(struct client_conn *c, struct kn_call *call, bool paused)
{
    if (paused || !call->held.len)
        return;
    struct kn_buf b = call->held;
    call->held = KN_BUF(b.max);
    int32_t id = call->stream_id;
    if (id)
        nghttp2_session_consume(c->h2->ng, id, b.len);
    else
        nghttp2_session_consume_connection(c->h2->ng, b.len);
    set_flush(c->h2);
    call->ev->on_data(call->arg, kn_buf_sv(&b));
    kn_buf_done(&b);
    // the stream was closed while its last bytes waited here
    if (!id) {
        kn_client_call_end(call, KN_STATUS_OK);
        kn_client_conn_idle(c);
    }
}

static void h2_drained(struct client_conn *c)
{
    if (c->h2)
        flush(c->h2);
}

static bool h2_closed(struct client_conn *c)
{
    return kn_list_empty(&c->calls);
}

static void h2_free(struct client_conn *c)
{
    if (!c->h2)
        return;
    if (c->h2->flush_set)
        kn_list_remove(&c->h2->flush.link);
    nghttp2_session_del(c->h2->ng);
    free(c->h2);
    c->h2 = NULL;
}

const struct client_protocol kn_client_h2 = {
    .room = h2_room, .start = h2_start, .read = h2_read, .cancel = h2_cancel, .pause = h2_pause,
    .drained = h2_drained, .closed = h2_closed, .free = h2_free};
