// HTTP/2 connections of the server, over nghttp2. Frames of one turn of the loop leave together.
#include <nghttp2/nghttp2.h>

#include "base/log.h"
#include "wire/http_server.h"

#define OUT_HIGH (256u << 10)     // bytes in the transport above which no frames are made
#define BODIES_MAX (32u << 20)    // bytes of unfinished request bodies of one connection
#define WINDOW (1 << 20)          // of the connection, for what clients send
#define STREAM_WINDOW (256 << 10) // of one stream

struct h2_session {
    struct http_conn *conn;
    nghttp2_session *ng;
    struct kn_task flush;
    bool flush_set;
    struct kn_list drained; // requests whose output has gone out and who want to know
    size_t bodies;          // bytes in requests that are still being read
};

static void set_flush(struct h2_session *h)
{
    if (h->flush_set || h->conn->dead)
        return;
    h->flush_set = true;
    kn_loop_post(h->conn->worker->loop, &h->flush);
}

static void set_deadline(struct http_conn *c)
{
    const struct kn_http_config *cfg = &c->worker->server->config;
    bool idle = kn_list_empty(&c->requests);
    kn_http_deadline(c, kn_loop_now(c->worker->loop) +
                            (idle ? cfg->idle_timeout : cfg->header_timeout));
}

static void tell_drained(struct h2_session *h)
{
    struct kn_http_req *r;
    while (!h->conn->dead && (r = KN_LIST_FIRST(&h->drained, struct kn_http_req, drain_link))) {
        kn_list_remove(&r->drain_link);
        if (r->on_drain && !r->pending)
            r->on_drain(r, r->on_drain_arg);
    }
}

// Makes frames while the transport takes them.
static void flush(struct h2_session *h)
{
    struct http_conn *c = h->conn;
    uint8_t *buf = kn_loop_scratch(c->worker->loop, 1);
    size_t len = 0;
    while (kn_stream_pending(c->stream) < OUT_HIGH) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->ng, &p);
        if (n < 0) {
            kn_http_conn_close(c, false);
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
    if (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng)) {
        kn_http_conn_close(c, true);
        return;
    }
    tell_drained(h);
}

static void flush_task(struct kn_task *t)
{
    struct h2_session *h = KN_CONTAINER_OF(t, struct h2_session, flush);
    h->flush_set = false;
    if (!h->conn->dead)
        flush(h);
}

// ---- what comes in ----

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_session *h = arg;
    if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct kn_http_req *r = kn_http_req_new(h->conn, KN_HTTP_2);
    r->stream_id = f->hd.stream_id;
    nghttp2_session_set_stream_user_data(ng, f->hd.stream_id, r);
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct h2_session *h = arg;
    (void)flags;
    struct kn_http_req *r = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
    if (!r || f->headers.cat != NGHTTP2_HCAT_REQUEST || r->refuse)
        return 0;
    r->headers_bytes += name_len + value_len + 32; // RFC 9113 section 6.5.2
    if (r->headers_bytes > h->conn->worker->server->config.max_header) {
        r->refuse = 431;
        return 0;
    }
    struct kn_sv n = kn_arena_dup(r->arena, kn_sv((const char *)name, name_len));
    struct kn_sv v = kn_arena_dup(r->arena, kn_sv((const char *)value, value_len));
    if (!n.ptr) {
        r->refuse = 431;
    } else if (n.len && n.ptr[0] == ':') {
        if (kn_sv_is(n, ":method"))
            r->method = v;
        else if (kn_sv_is(n, ":path"))
            kn_http_req_target(r, v);
        else if (kn_sv_is(n, ":authority"))
            r->host = v;
    } else {
        if (!r->host.ptr && kn_sv_is(n, "host"))
            r->host = v;
        if (!kn_http_req_add(r, n, v))
            r->refuse = 431;
    }
    return 0;
}

static void answer_refused(struct kn_http_req *r)
{
    kn_http_let_go(r);
    r->state = HTTP_OWNED;
    r->worker->unended++;
    const struct kn_http_header headers[] = {
        {KN_SV("Content-Type"), KN_SV("text/plain; charset=utf-8")},
        {KN_SV("Retry-After"), KN_SV("1")}};
    struct kn_piece text = {kn_sv_c(kn_http_phrase(r->refuse)), NULL, NULL};
    kn_http_respond(r, &(struct kn_http_response){.status = r->refuse,
                                                  .headers = headers,
                                                  .headers_len = r->refuse == 503 ? 2 : 1,
                                                  .pieces = &text,
                                                  .pieces_len = 1});
}

static void complete(struct h2_session *h, struct kn_http_req *r)
{
    if (r->state != HTTP_READING)
        return;
    h->bodies -= r->body.len;
    if (!r->refuse && (!r->method.len || !r->path.len || r->path.ptr[0] != '/'))
        r->refuse = 400;
    if (h->conn->refuse)
        r->refuse = 503;
    if (r->refuse)
        answer_refused(r);
    else
        kn_http_req_dispatch(r);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct h2_session *h = arg;
    if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
        return 0;
    struct kn_http_req *r = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
    if (!r)
        return 0;
    if (f->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        complete(h, r);
    } else if (r->state == HTTP_READING && !kn_http_hold_req(r)) {
        h->bodies -= r->body.len;
        r->refuse = 503;
        answer_refused(r);
    } else if (f->hd.type == NGHTTP2_HEADERS && r->state == HTTP_READING &&
               kn_http_header_has(r, "expect", "100-continue")) {
        const nghttp2_nv nv = {(uint8_t *)":status", (uint8_t *)"100", 7, 3, NGHTTP2_NV_FLAG_NONE};
        nghttp2_submit_headers(ng, NGHTTP2_FLAG_NONE, f->hd.stream_id, NULL, &nv, 1, NULL);
    }
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *arg)
{
    struct h2_session *h = arg;
    (void)flags;
    struct kn_http_req *r = nghttp2_session_get_stream_user_data(ng, id);
    if (!r || r->state != HTTP_READING)
        return 0;
    size_t before = r->body.len;
    kn_buf_add(&r->body, kn_sv((const char *)data, len));
    h->bodies += r->body.len - before;
    bool held = kn_http_hold_req(r);
    if (r->body.failed || h->bodies > BODIES_MAX || !held) {
        h->bodies -= r->body.len;
        r->refuse = r->body.failed ? 413 : 503;
        answer_refused(r);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_session *h = arg;
    (void)code;
    struct kn_http_req *r = nghttp2_session_get_stream_user_data(ng, id);
    if (!r)
        return 0;
    nghttp2_session_set_stream_user_data(ng, id, NULL);
    if (r->state == HTTP_READING)
        h->bodies -= r->body.len;
    kn_http_req_orphan(r);
    return 0;
}

// An answer that ended before the request did: tell the client to stop sending.
static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    (void)arg;
    if ((f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) &&
        (f->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        nghttp2_session_get_stream_remote_close(ng, f->hd.stream_id) == 0)
        nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static void h2_start(struct http_conn *c)
{
    struct h2_session *h = KN_NEW(struct h2_session);
    h->conn = c;
    h->flush.run = flush_task;
    kn_list_init(&h->drained);
    c->h2 = h;
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    kn_assert(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_option_set_no_closed_streams(opt, 1);
    kn_assert(nghttp2_session_server_new2(&h->ng, cb, h, opt) == 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    const struct kn_http_config *cfg = &c->worker->server->config;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, cfg->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)cfg->max_header},
    };
    nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, KN_ARRAY_LEN(settings));
    nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, WINDOW);
}

static void h2_read(struct http_conn *c, struct kn_sv bytes)
{
    if (!c->h2)
        h2_start(c);
    struct h2_session *h = c->h2;
    bool was_idle = kn_list_empty(&c->requests);
    if (bytes.len) {
        ssize_t n = nghttp2_session_mem_recv(h->ng, (const uint8_t *)bytes.ptr, bytes.len);
        if (c->dead)
            return;
        if (n < 0) {
            // what nghttp2 has to say about it (GOAWAY) goes out first
            nghttp2_session_terminate_session(h->ng, NGHTTP2_PROTOCOL_ERROR);
            flush(h);
            kn_http_conn_close(c, true);
            return;
        }
    }
    set_flush(h);
    if (c->refuse && bytes.len)
        nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(h->ng),
                              NGHTTP2_ENHANCE_YOUR_CALM, NULL, 0);
    if (was_idle || kn_list_empty(&c->requests))
        set_deadline(c);
}

static void h2_drained(struct http_conn *c)
{
    if (c->h2)
        flush(c->h2);
}

static void h2_expired(struct http_conn *c)
{
    struct h2_session *h = c->h2;
    const struct kn_http_config *cfg = &c->worker->server->config;
    if (!h || kn_list_empty(&c->requests)) {
        if (h)
            nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR);
        if (h)
            flush(h);
        kn_http_conn_close(c, true);
        return;
    }
    // requests whose body stopped coming: a whole body has the time of a head and a second for
    // each 64 KiB
    int64_t now = kn_loop_now(c->worker->loop);
    struct kn_http_req *r;
    KN_LIST_EACH(&c->requests, r, struct kn_http_req, link)
    {
        if (r->state == HTTP_READING && now > kn_http_body_deadline(r))
            nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, r->stream_id, NGHTTP2_CANCEL);
    }
    set_flush(h);
    kn_http_deadline(c, now + cfg->header_timeout);
}

static void h2_shut(struct http_conn *c)
{
    struct h2_session *h = c->h2;
    nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->ng),
                          NGHTTP2_NO_ERROR, NULL, 0);
    set_flush(h);
}

static void h2_free(struct http_conn *c)
{
    if (!c->h2)
        return;
    if (c->h2->flush_set)
        kn_list_remove(&c->h2->flush.link);
    nghttp2_session_del(c->h2->ng);
    free(c->h2);
    c->h2 = NULL;
}

// ---- answers ----

static void sent_piece(struct kn_http_req *r, struct http_piece *p)
{
    r->out = p->next;
    if (!r->out)
        r->out_last = NULL;
    if (p->piece.release)
        p->piece.release(p->piece.arg);
    free(p);
}

static ssize_t on_source(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    (void)ng, (void)id;
    struct h2_session *h = arg;
    struct kn_http_req *r = source->ptr;
    size_t n = 0;
    while (r->out && n < max) {
        struct http_piece *p = r->out;
        size_t left = p->piece.bytes.len - p->at;
        size_t take = left < max - n ? left : max - n;
        memcpy(buf + n, p->piece.bytes.ptr + p->at, take);
        n += take;
        p->at += take;
        if (take == left)
            sent_piece(r, p);
    }
    r->pending -= n;
    if (!r->out && r->out_end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)n;
    }
    if (!r->out && r->on_drain && n) {
        kn_list_remove(&r->drain_link);
        kn_list_append(&h->drained, &r->drain_link);
    }
    if (!n) {
        r->out_waits = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

static nghttp2_nv nv_of(struct kn_sv name, struct kn_sv value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr,
                        (uint8_t *)(uintptr_t)(value.ptr ? value.ptr : ""), name.len, value.len,
                        NGHTTP2_NV_FLAG_NONE};
}

static struct kn_sv lower(struct kn_arena *a, struct kn_sv name)
{
    char *p = kn_arena_bytes(a, name.len);
    if (!p)
        return KN_SV_NULL;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        p[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return kn_sv(p, name.len);
}

static void h2_begin(struct kn_http_req *r, int status, const struct kn_http_header *headers,
                     size_t headers_len, int64_t length)
{
    struct h2_session *h = r->conn->h2;
    nghttp2_nv *nv = kn_arena_calloc(r->arena, headers_len + 3, sizeof *nv);
    char code[12], text[24];
    snprintf(code, sizeof code, "%d", status);
    size_t n = 0;
    if (nv) {
        nv[n++] = nv_of(KN_SV(":status"), kn_sv_c(code));
        nv[n++] = nv_of(KN_SV("date"), kn_http_date(r->worker));
        if (length >= 0 && status != 204) {
            snprintf(text, sizeof text, "%lld", (long long)length);
            nv[n++] = nv_of(KN_SV("content-length"), kn_sv_c(text));
        }
    }
    for (size_t i = 0; nv && i < headers_len; i++) {
        struct kn_sv name = lower(r->arena, headers[i].name);
        if (name.ptr && kn_http_token_ok(name) && kn_http_value_ok(headers[i].value))
            nv[n++] = nv_of(name, headers[i].value);
    }
    if (status == 204 || status == 304)
        r->head_only = true;
    nghttp2_data_provider source = {.source.ptr = r, .read_callback = on_source};
    bool body = !r->head_only && length != 0;
    if (!nv || nghttp2_submit_response(h->ng, r->stream_id, nv, n, body ? &source : NULL) != 0)
        nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, r->stream_id, NGHTTP2_INTERNAL_ERROR);
    set_flush(h);
}

static void queue(struct kn_http_req *r, struct http_piece *p)
{
    p->next = NULL;
    p->at = 0;
    if (r->out_last)
        r->out_last->next = p;
    else
        r->out = p;
    r->out_last = p;
    r->pending += p->piece.bytes.len;
    if (r->out_waits) {
        r->out_waits = false;
        nghttp2_session_resume_data(r->conn->h2->ng, r->stream_id);
    }
    set_flush(r->conn->h2);
}

static void h2_push(struct kn_http_req *r, struct kn_piece piece)
{
    struct http_piece *p = kn_alloc(sizeof *p);
    p->piece = piece;
    queue(r, p);
}

static void h2_copy(struct kn_http_req *r, struct kn_sv bytes)
{
    struct http_piece *p = kn_alloc(sizeof *p + bytes.len); // the bytes lie behind it
    memcpy(p + 1, bytes.ptr, bytes.len);
    p->piece = (struct kn_piece){.bytes = kn_sv((char *)(p + 1), bytes.len)};
    queue(r, p);
}

// The stream's close frees the request.
static void h2_end(struct kn_http_req *r)
{
    r->out_end = true;
    if (r->out_waits) {
        r->out_waits = false;
        nghttp2_session_resume_data(r->conn->h2->ng, r->stream_id);
    }
    set_flush(r->conn->h2);
}

static void h2_abort(struct kn_http_req *r)
{
    nghttp2_submit_rst_stream(r->conn->h2->ng, NGHTTP2_FLAG_NONE, r->stream_id,
                              NGHTTP2_INTERNAL_ERROR);
    set_flush(r->conn->h2);
}

const struct http_protocol kn_http_h2 = {.read = h2_read,
                                         .drained = h2_drained,
                                         .expired = h2_expired,
                                         .shut = h2_shut,
                                         .free = h2_free,
                                         .begin = h2_begin,
                                         .push = h2_push,
                                         .copy = h2_copy,
                                         .end = h2_end,
                                         .abort = h2_abort};
