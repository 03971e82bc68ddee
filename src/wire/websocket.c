#include "wire/websocket.h"

#include "base/crypto.h"

enum { CONTINUE = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

#define HEAD_MAX 14
#define PINGS_MAX (1u << 20) // bytes of answers that wait, above which a peer that pings is cut off

struct kn_ws {
    struct kn_stream *stream;
    const struct kn_ws_events *ev;
    void *arg;
    bool client, dead, paused;
    unsigned depth;
    uint8_t opcode; // of the message that is being put together; 0: none
    struct kn_buf in, message;
    struct kn_task resume;
    bool resume_set;
};

enum kn_ws_parse kn_ws_parse_head(struct kn_sv b, struct kn_ws_frame *ret)
{
    if (b.len < 2)
        return KN_WS_MORE;
    const uint8_t *p = (const uint8_t *)b.ptr;
    struct kn_ws_frame f = {.fin = p[0] & 0x80, .opcode = p[0] & 15, .masked = p[1] & 0x80,
                            .length = p[1] & 127, .head = 2};
    bool control = f.opcode >= 8;
    if ((p[0] & 0x70) || (f.opcode > BINARY && !control) || f.opcode > PONG ||
        (control && (!f.fin || f.length > 125)))
        return KN_WS_BAD;
    size_t more = f.length == 126 ? 2 : f.length == 127 ? 8 : 0;
    if (b.len < 2 + more + (f.masked ? 4 : 0))
        return KN_WS_MORE;
    if (more) {
        f.length = 0;
        for (size_t i = 0; i < more; i++)
            f.length = f.length << 8 | p[2 + i];
        if (f.length < (more == 2 ? 126 : 65536) || f.length >> 63)
            return KN_WS_BAD; // not the shortest form
    }
    f.head += more;
    if (f.masked) {
        memcpy(f.mask, p + f.head, 4);
        f.head += 4;
    }
    *ret = f;
    return KN_WS_FRAME;
}

// ---- the end ----

static void free_ws(struct kn_ws *ws)
{
    if (ws->resume_set)
        kn_list_remove(&ws->resume.link);
    kn_buf_done(&ws->in);
    kn_buf_done(&ws->message);
    free(ws);
}

static void leave(struct kn_ws *ws)
{
    if (--ws->depth == 0 && ws->dead)
        free_ws(ws);
}

static void over(struct kn_ws *ws, unsigned code, struct kn_sv reason)
{
    if (ws->dead)
        return;
    ws->dead = true;
    ws->depth++;
    ws->ev->on_close(ws->arg, code, reason);
    leave(ws);
}

// ---- frames that go out ----

static bool send_frame(struct kn_ws *ws, uint8_t opcode, const struct kn_sv *parts, size_t count)
{
    uint8_t head[HEAD_MAX];
    size_t len = 0, n = 2;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    head[0] = (uint8_t)(0x80 | opcode);
    head[1] = ws->client ? 0x80 : 0;
    size_t more = len < 126 ? 0 : len < 65536 ? 2 : 8;
    head[1] = (uint8_t)(head[1] | (more == 0 ? len : more == 2 ? 126 : 127));
    for (size_t i = 0; i < more; i++)
        head[n++] = (uint8_t)(len >> 8 * (more - 1 - i));
    char *all = kn_alloc(n + 4 + len);
    uint8_t mask[4] = {0};
    if (ws->client) {
        kn_random(mask, 4);
        memcpy(head + n, mask, 4);
        n += 4;
    }
    memcpy(all, head, n);
    size_t at = n;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len)
            memcpy(all + at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    if (ws->client)
        for (size_t i = 0; i < len; i++)
            all[n + i] = (char)((uint8_t)all[n + i] ^ mask[i & 3]);
    return kn_stream_write_piece(ws->stream, (struct kn_piece){kn_sv(all, at), free, all});
}

static void send_close(struct kn_ws *ws, unsigned code, struct kn_sv reason)
{
    char c[2] = {(char)(code >> 8), (char)code};
    struct kn_sv parts[2] = {kn_sv(c, 2), kn_sv_first(reason, 120)};
    send_frame(ws, CLOSE, parts, 2);
}

// We refuse what came.
static void refuse(struct kn_ws *ws, unsigned code)
{
    send_close(ws, code, KN_SV_NULL);
    struct kn_stream *s = ws->stream;
    over(ws, code, KN_SV_NULL);
    kn_stream_finish(s);
}

bool kn_ws_send(struct kn_ws *ws, bool binary, const struct kn_sv *parts, size_t len)
{
    return !ws->dead && send_frame(ws, binary ? BINARY : TEXT, parts, len);
}

size_t kn_ws_pending(const struct kn_ws *ws)
{
    return ws->dead ? 0 : kn_stream_pending(ws->stream);
}

void kn_ws_close(struct kn_ws *ws, unsigned code, struct kn_sv reason)
{
    if (ws->dead)
        return;
    send_close(ws, code, reason);
    ws->depth++;
    ws->dead = true;
    kn_stream_finish(ws->stream);
    leave(ws);
}

// ---- frames that come in ----

static void on_control(struct kn_ws *ws, uint8_t opcode, struct kn_sv p)
{
    if (opcode == PING) {
        if (kn_stream_pending(ws->stream) > PINGS_MAX)
            refuse(ws, 1008);
        else
            send_frame(ws, PONG, &p, 1);
    } else if (opcode == CLOSE) {
        unsigned code = p.len >= 2 ? (unsigned)(uint8_t)p.ptr[0] << 8 | (uint8_t)p.ptr[1] : 1005;
        send_close(ws, code == 1005 ? 1000 : code, KN_SV_NULL);
        struct kn_stream *s = ws->stream;
        over(ws, code, kn_sv_from(p, 2));
        kn_stream_finish(s);
    }
}

// A whole frame, unmasked. The object may be dead after it.
static void on_frame(struct kn_ws *ws, const struct kn_ws_frame *f, struct kn_sv p)
{
    if (f->opcode >= CLOSE) {
        on_control(ws, f->opcode, p);
        return;
    }
    if ((f->opcode == CONTINUE) != (ws->opcode != 0)) {
        refuse(ws, 1002);
        return;
    }
    if (f->opcode && f->fin) { // the usual case: one frame, no copy
        ws->ev->on_message(ws->arg, f->opcode == BINARY, p);
        return;
    }
    if (f->opcode)
        ws->opcode = f->opcode;
    kn_buf_add(&ws->message, p);
    if (ws->message.failed) {
        refuse(ws, 1009);
        return;
    }
    if (!f->fin)
        return;
    struct kn_buf whole = ws->message;
    bool binary = ws->opcode == BINARY;
    ws->message = KN_BUF(KN_WS_MAX_MESSAGE);
    ws->opcode = 0;
    ws->ev->on_message(ws->arg, binary, kn_buf_sv(&whole));
    kn_buf_done(&whole);
}

static void process(struct kn_ws *ws)
{
    ws->depth++;
    size_t at = 0;
    while (!ws->dead && !ws->paused) {
        struct kn_ws_frame f;
        struct kn_sv rest = kn_sv_from(kn_buf_sv(&ws->in), at);
        enum kn_ws_parse r = rest.len ? kn_ws_parse_head(rest, &f) : KN_WS_MORE;
        if (r == KN_WS_MORE)
            break;
        // RFC 6455 section 5.1: clients mask, servers do not
        if (r == KN_WS_BAD || f.masked == ws->client) {
            refuse(ws, 1002);
            break;
        }
        if (f.length > KN_WS_MAX_MESSAGE) {
            refuse(ws, 1009);
            break;
        }
        if (rest.len < f.head + f.length)
            break;
        char *p = ws->in.ptr + at + f.head;
        for (size_t i = 0; f.masked && i < f.length; i++)
            p[i] = (char)((uint8_t)p[i] ^ f.mask[i & 3]);
        at += f.head + (size_t)f.length;
        on_frame(ws, &f, kn_sv(p, (size_t)f.length));
    }
    if (!ws->dead && at) {
        kn_buf_drop(&ws->in, at);
        if (!ws->in.len)
            kn_buf_done(&ws->in);
    }
    leave(ws);
}

static void resume_task(struct kn_task *t)
{
    struct kn_ws *ws = KN_CONTAINER_OF(t, struct kn_ws, resume);
    ws->resume_set = false;
    process(ws);
}

void kn_ws_pause(struct kn_ws *ws, bool paused)
{
    if (ws->dead || ws->paused == paused)
        return;
    ws->paused = paused;
    kn_stream_pause(ws->stream, paused);
    if (!paused && ws->in.len && !ws->resume_set) {
        ws->resume_set = true;
        kn_loop_post(kn_stream_loop(ws->stream), &ws->resume);
    }
}

static void stream_read(void *arg, struct kn_sv bytes)
{
    struct kn_ws *ws = arg;
    kn_buf_add(&ws->in, bytes);
    process(ws);
}

static void stream_drain(void *arg)
{
    struct kn_ws *ws = arg;
    if (ws->ev->on_drain)
        ws->ev->on_drain(ws->arg);
}

static void stream_close(void *arg, const struct kn_status *why)
{
    (void)why;
    over(arg, 1006, KN_SV_NULL);
}

static const struct kn_stream_events stream_events = {
    .on_read = stream_read, .on_drain = stream_drain, .on_close = stream_close};

static struct kn_ws *make(struct kn_stream *s, bool client, const struct kn_ws_events *ev,
                          void *arg)
{
    struct kn_ws *ws = KN_NEW(struct kn_ws);
    ws->stream = s;
    ws->client = client;
    ws->ev = ev;
    ws->arg = arg;
    ws->resume.run = resume_task;
    ws->in = KN_BUF(KN_WS_MAX_MESSAGE + 4 * KN_LOOP_SCRATCH);
    ws->message = KN_BUF(KN_WS_MAX_MESSAGE);
    kn_stream_set_events(s, &stream_events, ws);
    return ws;
}

// ---- handshakes ----

static void accept_key(struct kn_sv key, char out[32])
{
    struct kn_buf b = KN_BUF(256);
    uint8_t digest[KN_SHA1_LEN];
    kn_buf_add(&b, key);
    kn_buf_addc(&b, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); // RFC 6455 section 1.3
    kn_sha1(kn_buf_sv(&b), digest);
    kn_buf_done(&b);
    kn_crypto_base64(digest, sizeof digest, out);
}

bool kn_ws_wanted(const struct kn_http_req *r)
{
    return kn_sv_is(kn_http_method(r), "GET") && kn_http_header_has(r, "Connection", "upgrade") &&
           kn_http_header_has(r, "Upgrade", "websocket") &&
           kn_sv_is(kn_http_header(r, "Sec-WebSocket-Version"), "13") &&
           kn_http_header(r, "Sec-WebSocket-Key").len == 24;
}

bool kn_ws_offers(const struct kn_http_req *r, const char *protocol)
{
    return kn_http_header_has(r, "Sec-WebSocket-Protocol", protocol);
}

struct kn_status kn_ws_accept(struct kn_http_req *r, const char *protocol,
                              const struct kn_ws_events *ev, void *arg, struct kn_ws **ret)
{
    if (!kn_ws_wanted(r))
        return kn_error(KN_BAD_REQUEST, "not a WebSocket handshake of version 13");
    char key[32];
    accept_key(kn_http_header(r, "Sec-WebSocket-Key"), key);
    struct kn_http_header headers[] = {{KN_SV("Upgrade"), KN_SV("websocket")},
                                       {KN_SV("Sec-WebSocket-Accept"), kn_sv_c(key)},
                                       {KN_SV("Sec-WebSocket-Protocol"), kn_sv_c(protocol)}};
    struct kn_stream *s = NULL;
    KN_TRY(kn_http_upgrade(r, headers, protocol ? 3 : 2, &s));
    *ret = make(s, false, ev, arg);
    return KN_STATUS_OK;
}

size_t kn_ws_client_headers(struct kn_arena *a, const char *protocols,
                            struct kn_http_header out[KN_WS_HEADERS], struct kn_sv *ret_key)
{
    uint8_t raw[16];
    char key[32];
    kn_random(raw, sizeof raw);
    kn_crypto_base64(raw, sizeof raw, key);
    *ret_key = kn_arena_dup(a, kn_sv_c(key));
    size_t n = 0;
    out[n++] = (struct kn_http_header){KN_SV("Connection"), KN_SV("Upgrade")};
    out[n++] = (struct kn_http_header){KN_SV("Upgrade"), KN_SV("websocket")};
    out[n++] = (struct kn_http_header){KN_SV("Sec-WebSocket-Version"), KN_SV("13")};
    out[n++] = (struct kn_http_header){KN_SV("Sec-WebSocket-Key"), *ret_key};
    if (protocols)
        out[n++] = (struct kn_http_header){KN_SV("Sec-WebSocket-Protocol"), kn_sv_c(protocols)};
    return n;
}

struct kn_status kn_ws_client_check(struct kn_sv key, const struct kn_http_client_head *head)
{
    char want[32];
    accept_key(key, want);
    if (head->status != 101 ||
        !kn_sv_is(kn_http_client_head_get(head, "Sec-WebSocket-Accept"), want))
        return kn_error(KN_CLOSED, "the server's WebSocket handshake is wrong");
    return KN_STATUS_OK;
}

struct kn_ws *kn_ws_client_new(struct kn_stream *stream, const struct kn_ws_events *ev, void *arg)
{
    return make(stream, true, ev, arg);
}
