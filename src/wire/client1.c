// HTTP/1.1 connections of the client: one call at a time.
#include "wire/client_conn.h"

enum { HEAD, LENGTH, CHUNKED, UNTIL_CLOSE };

static struct kn_call *current(const struct client_conn *c)
{
    return KN_LIST_FIRST(&c->calls, struct kn_call, link);
}

static bool h1_room(const struct client_conn *c)
{
    return kn_list_empty(&c->calls);
}

static void add_header(struct kn_buf *b, const char *name, struct kn_sv value)
{
    kn_buf_addc(b, name);
    kn_buf_addc(b, ": ");
    kn_buf_add(b, value);
    kn_buf_addc(b, "\r\n");
}

static void nothing(void *arg)
{
    (void)arg;
}

static void h1_start(struct client_conn *c, struct kn_call *call)
{
    struct kn_buf b = KN_BUF(1u << 20);
    kn_buf_add(&b, call->method);
    kn_buf_addc(&b, " ");
    kn_buf_add(&b, call->target);
    kn_buf_addc(&b, " HTTP/1.1\r\n");
    add_header(&b, "Host", call->authority);
    add_header(&b, "User-Agent", kn_sv_c(call->client->user_agent));
    struct kn_sv bearer = kn_client_bearer(call);
    if (bearer.ptr)
        add_header(&b, "Authorization", bearer);
    for (size_t i = 0; i < call->headers_len; i++) {
        kn_buf_add(&b, call->headers[i].name);
        kn_buf_addc(&b, ": ");
        kn_buf_add(&b, call->headers[i].value);
        kn_buf_addc(&b, "\r\n");
    }
    if (call->has_body)
        kn_buf_addf(&b, "Content-Length: %zu\r\n", call->body.bytes.len);
    kn_buf_addc(&b, "\r\n");
    kn_stream_write(c->stream, kn_buf_sv(&b));
    kn_wipe(b.ptr, b.len); // a token may be in it
    kn_buf_done(&b);
    // the call keeps the body until its end, and cancelling it closes the connection first
    if (call->body.bytes.len)
        kn_stream_write_piece(c->stream, (struct kn_piece){call->body.bytes, nothing, NULL});
    c->state = HEAD;
    c->scanned = 0;
    if (call->paused)
        kn_stream_pause(c->stream, true);
}

static void broken(struct client_conn *c, struct kn_status s)
{
    kn_client_conn_fail(c, kn_wrap(s, "%s", c->origin->key));
}

// The answer is complete.
static void finish(struct client_conn *c)
{
    struct kn_call *call = current(c);
    bool keep = c->keep && !kn_stream_pending(c->stream);
    c->state = HEAD;
    c->scanned = 0;
    if (!keep)
        c->closing = true;
    // a body that is still in the output queue must not outlive the call
    if (!keep)
        kn_client_conn_close(c);
    kn_client_call_end(call, KN_STATUS_OK);
    kn_client_conn_idle(c);
}

// True when the connection goes on reading.
static bool read_head(struct client_conn *c, struct kn_sv *in)
{
    struct kn_call *call = current(c);
    size_t max = call->client->config.max_header;
    size_t end = kn_h1_head_end(*in, &c->scanned);
    if (end > max || (!end && in->len > max)) {
        broken(c, kn_error(KN_TOO_LARGE, "the answer's head is larger than %zu bytes", max));
        return false;
    }
    if (!end)
        return false;
    c->scanned = 0;
    kn_arena_free(c->head);
    c->head = kn_arena_new(2048, 1u << 20);
    struct kn_h1_head h;
    struct kn_sv text = kn_arena_dup(c->head, kn_sv_first(*in, end));
    *in = kn_sv_from(*in, end);
    struct kn_status s = kn_h1_parse_response(text, c->head, &h);
    if (!kn_ok(s)) {
        broken(c, s);
        return false;
    }
    if (h.status < 200 && h.status != 101)
        return true; // 100, 103: the answer follows
    call->answered = true;
    struct kn_http_client_head head = {h.status, h.headers, h.headers_len};
    if (h.status == 101) {
        if (!call->upgrade || !call->ev || !call->ev->on_upgrade) {
            broken(c, kn_error(KN_CLOSED, "the server changed the protocol unasked"));
            return false;
        }
        struct kn_stream *stream = c->stream;
        struct kn_arena *kept = c->head;
        c->stream = NULL;
        c->head = NULL;
        kn_transport_unread(stream, *in);
        kn_stream_pause(stream, false);
        call->ev->on_upgrade(call->arg, &head, stream);
        kn_arena_free(kept);
        kn_client_conn_close(c);
        call->ev = NULL;
        kn_client_call_end(call, KN_STATUS_OK);
        return false;
    }
    c->keep = !h.close && (h.minor == 1 || h.keep_alive) && !c->only;
    bool empty = kn_sv_is(call->method, "HEAD") || h.status == 204 || h.status == 304;
    c->left = h.content_length;
    c->chunk = (struct kn_h1_chunked){0};
    c->state = h.chunked ? CHUNKED : h.content_length >= 0 ? LENGTH : UNTIL_CLOSE;
    if (c->state == UNTIL_CLOSE && !empty)
        c->keep = false;
    if (empty) {
        c->state = LENGTH;
        c->left = 0;
    }
    if (call->ev)
        call->ev->on_head(call->arg, &head);
    if (c->dead || current(c) != call)
        return false;
    if (c->state == LENGTH && !c->left) {
        finish(c);
        return false;
    }
    return true;
}

// One step; false when there is nothing more to do now.
static bool step(struct client_conn *c, struct kn_sv *in)
{
    struct kn_call *call = current(c);
    struct kn_sv data = *in;
    bool end = false;
    if (c->state == HEAD)
        return read_head(c, in);
    if (call->paused)
        return false;
    if (c->state == CHUNKED) {
        enum kn_h1_chunk got = kn_h1_chunked_next(&c->chunk, in, &data);
        if (got == KN_H1_BAD) {
            broken(c, kn_error(KN_CLOSED, "the answer's chunks are malformed"));
            return false;
        }
        if (got == KN_H1_END) {
            finish(c);
            return false;
        }
        if (got != KN_H1_DATA)
            return false;
    } else {
        if (c->state == LENGTH) {
            data = kn_sv_first(*in, (uint64_t)c->left < in->len ? (size_t)c->left : in->len);
            c->left -= (int64_t)data.len;
            end = !c->left;
        }
        *in = kn_sv_from(*in, data.len);
    }
    call->ev->on_data(call->arg, data);
    if (c->dead || current(c) != call)
        return false;
    if (end)
        finish(c);
    return !end;
}

static void process(struct client_conn *c, struct kn_sv fresh)
{
    if (c->in_parser)
        return;
    bool kept = c->in.len > 0;
    if (kept)
        kn_buf_add(&c->in, fresh);
    struct kn_sv all = kept ? kn_buf_sv(&c->in) : fresh, rest = all;
    c->in_parser = true;
    while (!c->dead && rest.len && current(c) && step(c, &rest))
        ;
    c->in_parser = false;
    if (c->dead)
        return;
    if (kept)
        kn_buf_drop(&c->in, all.len - rest.len);
    else
        kn_buf_add(&c->in, rest);
    if (rest.len && !current(c)) { // words that nobody asked for
        kn_client_conn_close(c);
        return;
    }
    if (c->in.failed)
        broken(c, kn_error(KN_TOO_LARGE, "the answer is larger than the reader takes"));
    else if (!c->in.len)
        kn_buf_done(&c->in);
}

static void h1_read(struct client_conn *c, struct kn_sv bytes)
{
    process(c, bytes);
}

static void h1_cancel(struct client_conn *c, struct kn_call *call)
{
    kn_list_remove(&call->link);
    kn_client_conn_close(c); // HTTP/1.1 has no other way
    kn_client_call_end(call, KN_STATUS_OK);
}

static void resume_task(struct kn_task *t)
{
    struct client_conn *c = KN_CONTAINER_OF(t, struct client_conn, resume);
    c->resume_set = false;
    process(c, KN_SV_NULL);
}

static void h1_pause(struct client_conn *c, struct kn_call *call, bool paused)
{
    (void)call;
    if (c->dead || !c->stream)
        return;
    kn_stream_pause(c->stream, paused);
    if (!paused && c->in.len && !c->resume_set) {
        c->resume.run = resume_task;
        c->resume_set = true;
        kn_loop_post(c->origin->client->loop, &c->resume);
    }
}

static void h1_drained(struct client_conn *c)
{
    (void)c;
}

static bool h1_closed(struct client_conn *c)
{
    struct kn_call *call = current(c);
    if (!call)
        return true;
    if (c->state != UNTIL_CLOSE || c->in.len)
        return false;
    kn_client_call_end(call, KN_STATUS_OK);
    return true;
}

static void h1_free(struct client_conn *c)
{
    (void)c;
}

const struct client_protocol kn_client_h1 = {
    .room = h1_room, .start = h1_start, .read = h1_read, .cancel = h1_cancel, .pause = h1_pause,
    .drained = h1_drained, .closed = h1_closed, .free = h1_free};
