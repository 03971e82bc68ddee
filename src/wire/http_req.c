// Requests: what handlers see, and how they answer; the protocol below does the framing.
#include <time.h>

#include "base/log.h"
#include "wire/http_server.h"

struct kn_http_req *kn_http_req_new(struct http_conn *c, enum kn_http_version version)
{
    struct kn_arena *a = kn_arena_new(2048, c->worker->server->config.arena_limit);
    struct kn_http_req *r = KN_ARENA_NEW(a, struct kn_http_req);
    kn_assert(r);
    r->arena = a;
    r->worker = c->worker;
    r->conn = c;
    r->version = version;
    r->peer = c->peer;
    if (r->peer.cert)
        kn_cert_ref(r->peer.cert);
    r->peer.address = kn_arena_dup(a, c->peer.address);
    r->body = KN_BUF(c->worker->server->config.max_body);
    r->received = kn_loop_now(c->worker->loop);
    kn_list_append(&c->requests, &r->link);
    kn_list_init(&r->drain_link);
    return r;
}

static void drop_output(struct kn_http_req *r)
{
    while (r->out) {
        struct http_piece *p = r->out;
        r->out = p->next;
        if (p->piece.release)
            p->piece.release(p->piece.arg);
        free(p);
    }
    r->out_last = NULL;
    r->pending = 0;
}

void kn_http_req_free(struct kn_http_req *r)
{
    kn_list_remove(&r->link);
    kn_list_remove(&r->drain_link);
    drop_output(r);
    kn_buf_done(&r->body);
    kn_cert_free((struct kn_cert *)(uintptr_t)r->peer.cert);
    kn_arena_free(r->arena);
}

bool kn_http_req_add(struct kn_http_req *r, struct kn_sv name, struct kn_sv value)
{
    if (r->headers_len == r->headers_cap) {
        size_t cap = r->headers_cap ? 2 * r->headers_cap : 16;
        struct kn_http_header *more = kn_arena_calloc(r->arena, cap, sizeof *more);
        if (!more || cap > 4 * KN_H1_HEADERS)
            return false;
        if (r->headers_len)
            memcpy(more, r->headers, r->headers_len * sizeof *more);
        r->headers = more;
        r->headers_cap = cap;
    }
    r->headers[r->headers_len++] = (struct kn_http_header){name, value};
    return true;
}

void kn_http_req_target(struct kn_http_req *r, struct kn_sv target)
{
    r->path = kn_sv_cut(&target, '?');
    r->query = target.ptr ? target : KN_SV("");
}

void kn_http_req_dispatch(struct kn_http_req *r)
{
    struct http_worker *w = r->worker;
    kn_http_let_go(r);
    r->state = HTTP_OWNED;
    r->head_only = kn_sv_is(r->method, "HEAD");
    w->unended++;
    kn_http_count(&w->counts.requests, 1);
    w->server->config.handle(r, w->server->config.arg);
}

void kn_http_req_orphan(struct kn_http_req *r)
{
    kn_http_let_go(r);
    if (r->state == HTTP_READING || r->state == HTTP_ENDED) {
        kn_http_req_free(r);
        return;
    }
    kn_list_remove(&r->link);
    kn_list_remove(&r->drain_link);
    kn_list_append(&r->worker->orphans, &r->link);
    drop_output(r);
    r->conn = NULL;
    if (r->on_close) {
        void (*cb)(struct kn_http_req *, void *) = r->on_close;
        r->on_close = NULL;
        cb(r, r->on_close_arg);
    }
}

// The owner has ended it. True if the connection is there and has to send the rest.
static bool ended(struct kn_http_req *r)
{
    kn_assert(r->state == HTTP_OWNED || r->state == HTTP_STREAMING);
    r->state = HTTP_ENDED;
    r->on_close = NULL;
    r->on_drain = NULL;
    struct http_worker *w = r->worker;
    w->unended--;
    if (r->conn)
        return true;
    kn_http_req_free(r);
    kn_http_worker_check(w);
    return false;
}

// ---- answers ----

static void release_all(const struct kn_piece *pieces, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (pieces[i].release)
            pieces[i].release(pieces[i].arg);
}

void kn_http_respond(struct kn_http_req *r, const struct kn_http_response *p)
{
    kn_assert(kn_loop_is_mine(r->worker->loop) && r->state == HTTP_OWNED);
    if (!r->conn) {
        release_all(p->pieces, p->pieces_len);
        (void)ended(r);
        return;
    }
    const struct http_protocol *protocol = r->conn->protocol;
    size_t length = 0;
    for (size_t i = 0; i < p->pieces_len; i++)
        length += p->pieces[i].bytes.len;
    protocol->begin(r, p->status, p->headers, p->headers_len, (int64_t)length);
    r->state = HTTP_STREAMING;
    kn_http_stream_write(r, p->pieces, p->pieces_len);
    if (ended(r))
        protocol->end(r);
}

struct answer {
    struct kn_task task;
    struct kn_http_req *req;
    struct kn_http_response response;
};

static void answer_task(struct kn_task *t)
{
    struct answer *a = KN_CONTAINER_OF(t, struct answer, task);
    kn_http_respond(a->req, &a->response);
    free(a);
}

void kn_http_respond_from(struct kn_http_req *r, const struct kn_http_response *p)
{
    size_t text = 0;
    for (size_t i = 0; i < p->headers_len; i++)
        text += p->headers[i].name.len + p->headers[i].value.len;
    size_t headers_size = p->headers_len * sizeof(struct kn_http_header);
    size_t pieces_size = p->pieces_len * sizeof(struct kn_piece);
    struct answer *a = kn_calloc(1, sizeof *a + headers_size + pieces_size + text);
    struct kn_http_header *headers = (struct kn_http_header *)(a + 1);
    struct kn_piece *pieces = (struct kn_piece *)((char *)headers + headers_size);
    char *at = (char *)pieces + pieces_size;
    for (size_t i = 0; i < p->headers_len; i++) {
        const struct kn_sv from[2] = {p->headers[i].name, p->headers[i].value};
        struct kn_sv to[2];
        for (int j = 0; j < 2; j++) {
            to[j] = kn_sv(at, from[j].len);
            if (from[j].len)
                memcpy(at, from[j].ptr, from[j].len);
            at += from[j].len;
        }
        headers[i] = (struct kn_http_header){to[0], to[1]};
    }
    if (pieces_size)
        memcpy(pieces, p->pieces, pieces_size);
    a->req = r;
    a->response = (struct kn_http_response){p->status, headers, p->headers_len, pieces,
                                            p->pieces_len};
    a->task.run = answer_task;
    kn_loop_post(r->worker->loop, &a->task);
}

static struct kn_piece copied(struct kn_sv bytes)
{
    if (!bytes.len)
        return (struct kn_piece){0};
    char *copy = kn_alloc(bytes.len);
    memcpy(copy, bytes.ptr, bytes.len);
    return (struct kn_piece){kn_sv(copy, bytes.len), free, copy};
}

void kn_http_respond_text(struct kn_http_req *r, int status, const char *type, struct kn_sv body)
{
    struct kn_http_header h = {KN_SV("Content-Type"), kn_sv_c(type)};
    struct kn_piece piece = copied(body);
    kn_http_respond(r, &(struct kn_http_response){.status = status, .headers = &h,
                                                  .headers_len = type ? 1 : 0, .pieces = &piece,
                                                  .pieces_len = body.len ? 1 : 0});
}

void kn_http_stream_begin(struct kn_http_req *r, int status, const struct kn_http_header *headers,
                          size_t headers_len,
                          void (*on_drain)(struct kn_http_req *r, void *arg), void *arg)
{
    kn_assert(kn_loop_is_mine(r->worker->loop) && r->state == HTTP_OWNED);
    r->state = HTTP_STREAMING;
    r->on_drain = on_drain;
    r->on_drain_arg = arg;
    if (r->conn)
        r->conn->protocol->begin(r, status, headers, headers_len, -1);
}

void kn_http_stream_write(struct kn_http_req *r, const struct kn_piece *pieces, size_t len)
{
    kn_assert(r->state == HTTP_STREAMING);
    for (size_t i = 0; i < len; i++) {
        if (r->conn && !r->head_only && pieces[i].bytes.len)
            r->conn->protocol->push(r, pieces[i]);
        else
            release_all(&pieces[i], 1);
    }
}

void kn_http_stream_copy(struct kn_http_req *r, struct kn_sv bytes)
{
    kn_assert(r->state == HTTP_STREAMING);
    if (r->conn && !r->head_only && bytes.len)
        r->conn->protocol->copy(r, bytes);
}

size_t kn_http_stream_pending(const struct kn_http_req *r)
{
    if (!r->conn || !r->conn->stream)
        return 0;
    return r->pending + kn_stream_pending(r->conn->stream);
}

void kn_http_stream_end(struct kn_http_req *r)
{
    kn_assert(r->state == HTTP_STREAMING);
    const struct http_protocol *protocol = r->conn ? r->conn->protocol : NULL;
    if (ended(r))
        protocol->end(r);
}

void kn_http_stream_abort(struct kn_http_req *r)
{
    kn_assert(r->state == HTTP_STREAMING);
    const struct http_protocol *protocol = r->conn ? r->conn->protocol : NULL;
    if (ended(r))
        protocol->abort(r);
}

// ---- what handlers see ----

struct kn_sv kn_http_method(const struct kn_http_req *r)
{
    return r->method;
}
struct kn_sv kn_http_path(const struct kn_http_req *r)
{
    return r->path;
}
struct kn_sv kn_http_query(const struct kn_http_req *r)
{
    return r->query;
}
struct kn_sv kn_http_body(const struct kn_http_req *r)
{
    return kn_buf_sv(&r->body);
}
struct kn_sv kn_http_host(const struct kn_http_req *r)
{
    return r->host;
}

struct kn_sv kn_http_header(const struct kn_http_req *r, const char *name)
{
    struct kn_sv n = kn_sv_c(name);
    for (size_t i = 0; i < r->headers_len; i++)
        if (r->headers[i].name.len == n.len && kn_sv_ieq(r->headers[i].name, n))
            return r->headers[i].value;
    return KN_SV_NULL;
}

bool kn_http_header_at(const struct kn_http_req *r, size_t i, struct kn_http_header *ret)
{
    if (i >= r->headers_len)
        return false;
    *ret = r->headers[i];
    return true;
}

bool kn_http_header_has(const struct kn_http_req *r, const char *name, const char *token)
{
    for (size_t i = 0; i < r->headers_len; i++)
        if (kn_sv_ieq(r->headers[i].name, kn_sv_c(name)) &&
            kn_http_list_has(r->headers[i].value, kn_sv_c(token)))
            return true;
    return false;
}

const struct kn_http_peer *kn_http_peer(const struct kn_http_req *r)
{
    return &r->peer;
}
enum kn_http_version kn_http_version(const struct kn_http_req *r)
{
    return r->version;
}
struct kn_arena *kn_http_arena(struct kn_http_req *r)
{
    return r->arena;
}
struct kn_loop *kn_http_loop(const struct kn_http_req *r)
{
    return r->worker->loop;
}
int kn_http_thread(const struct kn_http_req *r)
{
    return r->worker->index;
}
int64_t kn_http_received(const struct kn_http_req *r)
{
    return r->received;
}
bool kn_http_gone(const struct kn_http_req *r)
{
    return !r->conn;
}

void kn_http_on_close(struct kn_http_req *r, void (*cb)(struct kn_http_req *r, void *arg),
                      void *arg)
{
    r->on_close = cb;
    r->on_close_arg = arg;
}

struct kn_sv kn_http_date(struct http_worker *w)
{
    int64_t s = kn_now().ns / KN_SECOND;
    if (s != w->date_at) {
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = (time_t)s;
        struct tm tm;
        gmtime_r(&t, &tm);
        snprintf(w->date, sizeof w->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                 days + 3 * (tm.tm_wday % 7), tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12),
                 (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
        w->date_at = s;
    }
    return kn_sv_c(w->date);
}
