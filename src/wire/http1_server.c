// HTTP/1.1 connections of the server: one request at a time; what a client sends ahead waits.
#include "base/log.h"
#include "wire/http_server.h"

#define AHEAD (64u << 10) // bytes of later requests that are kept while one is being handled

static void resume_later(struct http_conn *c)
{
    if (c->resume_set || c->dead)
        return;
    c->resume_set = true;
    kn_loop_post(c->worker->loop, &c->resume);
}

// Answers without a handler, in plain words, and closes.
static void refuse(struct http_conn *c, int status, const char *why)
{
    struct kn_buf b = KN_BUF(4096);
    kn_buf_addf(&b,
                "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
                "%sContent-Length: %zu\r\n\r\n%s\n",
                status, kn_http_phrase(status), status == 503 ? "Retry-After: 1\r\n" : "",
                strlen(why) + 1, why);
    kn_stream_write(c->stream, kn_buf_sv(&b));
    kn_buf_done(&b);
    kn_http_conn_close(c, true);
}

static void refuse_status(struct http_conn *c, struct kn_status s)
{
    int http = s.code == KN_TOO_LARGE ? 431 : kn_code_http(s.code);
    if (s.code == KN_NOT_SUPPORTED)
        http = 505;
    refuse(c, http, kn_status_text(&s));
    kn_status_done(&s);
}

static void set_deadline(struct http_conn *c)
{
    const struct kn_http_config *cfg = &c->worker->server->config;
    int64_t now = kn_loop_now(c->worker->loop);
    if (c->state == H1_BUSY)
        kn_http_deadline(c, KN_FOREVER);
    else if (c->state == H1_HEAD && !c->in.len)
        kn_http_deadline(c, now + cfg->idle_timeout);
    else if (c->state == H1_HEAD && c->deadline - now <= cfg->header_timeout)
        return; // the same head goes on: its time does not begin anew
    else if (c->state != H1_HEAD)
        kn_http_deadline(c, kn_http_body_deadline(c->current));
    else
        kn_http_deadline(c, now + cfg->header_timeout);
}

// The request that c->current is: its head is complete. False: refused, the connection is dead.
static bool begin_request(struct http_conn *c, struct kn_sv head)
{
    struct kn_http_req *r = kn_http_req_new(c, KN_HTTP_1_1);
    c->current = r;
    struct kn_h1_head h;
    struct kn_sv kept = kn_arena_dup(r->arena, head);
    struct kn_status s = kept.ptr ? kn_h1_parse_request(kept, r->arena, &h)
                                  : kn_arena_error(r->arena, "the head");
    if (!kn_ok(s)) {
        refuse_status(c, s);
        return false;
    }
    r->version = h.minor ? KN_HTTP_1_1 : KN_HTTP_1_0;
    r->method = h.method;
    r->host = h.host;
    r->headers = h.headers;
    r->headers_len = h.headers_len;
    r->headers_bytes = head.len;
    kn_http_req_target(r, h.target);
    r->close_after = h.close || (h.minor == 0 && !h.keep_alive) || c->draining;
    if (kn_sv_is(h.method, "CONNECT")) {
        refuse(c, 405, "CONNECT is not offered here");
        return false;
    }
    if (h.content_length > (int64_t)c->worker->server->config.max_body) {
        refuse(c, 413, "the request's body is too large");
        return false;
    }
    c->body_left = h.content_length > 0 ? h.content_length : 0;
    c->state = h.chunked ? H1_CHUNKED : c->body_left ? H1_LENGTH : H1_BUSY;
    c->chunk = (struct kn_h1_chunked){0};
    if (h.expect_continue && h.minor && c->state != H1_BUSY)
        kn_stream_write(c->stream, KN_SV("HTTP/1.1 100 Continue\r\n\r\n"));
    return true;
}

static bool body_chunked(struct http_conn *c, struct kn_sv *in)
{
    for (;;) {
        struct kn_sv data = {0};
        switch (kn_h1_chunked_next(&c->chunk, in, &data)) {
        case KN_H1_MORE:
            return true;
        case KN_H1_DATA:
            kn_buf_add(&c->current->body, data);
            if (!c->current->body.failed)
                break;
            refuse(c, 413, "the request's body is too large");
            return false;
        case KN_H1_END:
            c->state = H1_BUSY;
            return true;
        case KN_H1_BAD:
        default:
            refuse(c, 400, "malformed chunked body");
            return false;
        }
    }
}

static void body_length(struct http_conn *c, struct kn_sv *in)
{
    struct kn_sv part =
        kn_sv_first(*in, (uint64_t)c->body_left < in->len ? (size_t)c->body_left : in->len);
    kn_buf_add(&c->current->body, part);
    *in = kn_sv_from(*in, part.len);
    c->body_left -= (int64_t)part.len;
    if (!c->body_left)
        c->state = H1_BUSY;
}

// Takes complete requests from the front of *in until one is being handled, or more bytes are
// needed. False when the connection has died.
static bool consume(struct http_conn *c, struct kn_sv *in)
{
    while (c->state != H1_BUSY) {
        if (c->state == H1_HEAD) {
            while (in->len >= 2 && !c->scanned && memcmp(in->ptr, "\r\n", 2) == 0)
                *in = kn_sv_from(*in, 2); // RFC 9112 section 2.2: before a request line
            size_t end = kn_h1_head_end(*in, &c->scanned);
            if (end > c->worker->server->config.max_header ||
                (!end && in->len > c->worker->server->config.max_header)) {
                refuse(c, 431, "the request's head is too large");
                return false;
            }
            if (!end)
                return true;
            c->scanned = 0;
            struct kn_sv head = kn_sv_first(*in, end);
            if (!begin_request(c, head))
                return false;
            *in = kn_sv_from(*in, end);
        } else if (!in->len) {
            return true;
        } else if (c->state == H1_LENGTH) {
            body_length(c, in);
        } else if (!body_chunked(c, in)) {
            return false;
        }
        if (c->state == H1_BUSY) {
            kn_http_deadline(c, KN_FOREVER);
            kn_http_req_dispatch(c->current);
            if (c->dead)
                return false;
        }
    }
    return true;
}

static void process(struct http_conn *c, struct kn_sv fresh)
{
    if (c->in_parser)
        return;
    c->in_parser = true;
    bool kept = c->in.len > 0;
    if (kept)
        kn_buf_add(&c->in, fresh);
    struct kn_sv all = kept ? kn_buf_sv(&c->in) : fresh, rest = all;
    c->parsing = &rest;
    bool alive = consume(c, &rest);
    c->parsing = NULL;
    c->in_parser = false;
    if (!alive)
        return;
    if (kept)
        kn_buf_drop(&c->in, all.len - rest.len);
    else
        kn_buf_add(&c->in, rest);
    if (c->in.failed) {
        kn_http_conn_close(c, false);
        return;
    }
    bool held = kn_http_hold_conn(c);
    if (c->state == H1_LENGTH || c->state == H1_CHUNKED)
        held = kn_http_hold_req(c->current) && held;
    if (!held && c->state != H1_BUSY) {
        refuse(c, 503, "too many requests are unfinished");
        return;
    }
    if (!c->in.len)
        kn_buf_done(&c->in); // an idle connection holds nothing
    kn_stream_pause(c->stream, c->state == H1_BUSY && c->in.len > AHEAD);
    set_deadline(c);
}

static void resume_task(struct kn_task *t)
{
    struct http_conn *c = KN_CONTAINER_OF(t, struct http_conn, resume);
    c->resume_set = false;
    process(c, KN_SV_NULL);
}

static void h1_read(struct http_conn *c, struct kn_sv bytes)
{
    c->resume.run = resume_task;
    if (c->refuse) {
        refuse(c, 503, "too many connections are open");
        return;
    }
    process(c, bytes);
}

static void h1_drained(struct http_conn *c)
{
    struct kn_http_req *r = c->current;
    if (r && r->on_drain)
        r->on_drain(r, r->on_drain_arg);
}

static void h1_expired(struct http_conn *c)
{
    if (c->state == H1_HEAD && !c->in.len)
        kn_http_conn_close(c, true);
    else
        refuse(c, 408, "the request did not come in time");
}

static void h1_shut(struct http_conn *c)
{
    if (c->state == H1_HEAD && !c->in.len)
        kn_http_conn_close(c, true);
    else if (c->current)
        c->current->close_after = true;
}

static void h1_free(struct http_conn *c)
{
    (void)c;
}

// ---- answers ----

static bool no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static void h1_begin(struct kn_http_req *r, int status, const struct kn_http_header *headers,
                     size_t headers_len, int64_t length)
{
    struct kn_buf b = KN_BUF(1u << 20);
    r->close_after |= r->conn->draining;
    bool old = r->version == KN_HTTP_1_0;
    kn_buf_addf(&b, "HTTP/1.1 %d %s\r\nDate: ", status, kn_http_phrase(status));
    kn_buf_add(&b, kn_http_date(r->worker));
    kn_buf_addc(&b, "\r\n");
    for (size_t i = 0; i < headers_len; i++) {
        // a header that would break the framing is a programming error of ours, or an injection
        if (!kn_http_token_ok(headers[i].name) || !kn_http_value_ok(headers[i].value))
            continue;
        kn_buf_add(&b, headers[i].name);
        kn_buf_addc(&b, ": ");
        kn_buf_add(&b, headers[i].value);
        kn_buf_addc(&b, "\r\n");
    }
    if (length >= 0 && status >= 200 && status != 204) {
        kn_buf_addc(&b, "Content-Length: ");
        kn_buf_add_i64(&b, length);
        kn_buf_addc(&b, "\r\n");
    } else if (length < 0 && !old && !no_body(status)) {
        kn_buf_addc(&b, "Transfer-Encoding: chunked\r\n");
        r->chunked = true;
    } else if (length < 0) {
        r->close_after = true; // its end is the connection's end
    }
    if (r->close_after)
        kn_buf_addc(&b, "Connection: close\r\n");
    else if (old)
        kn_buf_addc(&b, "Connection: keep-alive\r\n");
    kn_buf_addc(&b, "\r\n");
    if (no_body(status))
        r->head_only = true;
    kn_transport_allow(r->conn->stream, // the body that is pushed next, whatever waits already
                       length > 0 ? kn_stream_pending(r->conn->stream) + (size_t)length : 0);
    kn_stream_write(r->conn->stream, kn_buf_sv(&b));
    kn_buf_done(&b);
}

static void begin_chunk(struct kn_http_req *r, size_t len)
{
    char size[24];
    if (r->chunked)
        kn_stream_write(r->conn->stream,
                        kn_sv(size, (size_t)snprintf(size, sizeof size, "%zx\r\n", len)));
}

static void end_chunk(struct kn_http_req *r)
{
    if (r->chunked)
        kn_stream_write(r->conn->stream, KN_SV("\r\n"));
}

static void h1_push(struct kn_http_req *r, struct kn_piece piece)
{
    begin_chunk(r, piece.bytes.len);
    kn_stream_write_piece(r->conn->stream, piece);
    end_chunk(r);
}

static void h1_copy(struct kn_http_req *r, struct kn_sv bytes)
{
    begin_chunk(r, bytes.len);
    kn_stream_write(r->conn->stream, bytes);
    end_chunk(r);
}

static void h1_end(struct kn_http_req *r)
{
    struct http_conn *c = r->conn;
    if (r->chunked && !r->head_only)
        kn_stream_write(c->stream, KN_SV("0\r\n\r\n"));
    bool close = r->close_after;
    c->current = NULL;
    kn_http_req_free(r);
    if (close) {
        kn_http_conn_close(c, true);
        return;
    }
    c->state = H1_HEAD;
    c->scanned = 0;
    // consume() goes on by itself when the handler answered at once
    if (!c->in_parser) {
        if (c->in.len)
            resume_later(c);
        else
            set_deadline(c);
    }
}

static void h1_abort(struct kn_http_req *r)
{
    struct http_conn *c = r->conn;
    c->current = NULL;
    kn_http_req_free(r);
    kn_http_conn_close(c, false);
}

const struct http_protocol kn_http_h1 = {.read = h1_read,
                                         .drained = h1_drained,
                                         .expired = h1_expired,
                                         .shut = h1_shut,
                                         .free = h1_free,
                                         .begin = h1_begin,
                                         .push = h1_push,
                                         .copy = h1_copy,
                                         .end = h1_end,
                                         .abort = h1_abort};

// ---- upgrade ----

struct kn_status kn_http_upgrade(struct kn_http_req *r, const struct kn_http_header *headers,
                                 size_t headers_len, struct kn_stream **ret)
{
    kn_assert(r->state == HTTP_OWNED);
    struct http_conn *c = r->conn;
    if (!c)
        return kn_error(KN_CLOSED, "upgrade the connection: the peer is gone");
    if (r->version != KN_HTTP_1_1)
        return kn_error(KN_NOT_SUPPORTED, "upgrade the connection: only HTTP/1.1 can");
    struct kn_buf b = KN_BUF(64u << 10);
    kn_buf_addc(&b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n");
    for (size_t i = 0; i < headers_len; i++) {
        if (!kn_http_token_ok(headers[i].name) || !kn_http_value_ok(headers[i].value))
            continue;
        kn_buf_add(&b, headers[i].name);
        kn_buf_addc(&b, ": ");
        kn_buf_add(&b, headers[i].value);
        kn_buf_addc(&b, "\r\n");
    }
    kn_buf_addc(&b, "\r\n");
    struct kn_stream *s = c->stream;
    kn_stream_write(s, kn_buf_sv(&b));
    kn_buf_done(&b);
    kn_stream_pause(s, false);
    // what the client sent ahead
    kn_transport_unread(s, c->parsing ? *c->parsing : kn_buf_sv(&c->in));
    c->stream = NULL;
    r->state = HTTP_ENDED;
    r->worker->unended--;
    c->current = NULL;
    kn_http_req_free(r);
    kn_http_conn_dead(c);
    *ret = s;
    return KN_STATUS_OK;
}
