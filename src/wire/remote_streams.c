// Exec and attach as a kubelet serves them. Two carriers, SPDY streams and WebSocket channels,
// below one object.
#include "wire/remote_streams.h"

#include "base/buf.h"
#include "wire/spdy.h"
#include "wire/websocket.h"

#define READY_TIME (30 * KN_SECOND) // for a client to open all its streams
#define RESIZE_MAX 4096             // bytes of one size message
#define PENDING_MAX (256u << 10)    // what a base64 client may wait for

struct kn_remote {
    struct kn_loop *loop;
    const struct kn_remote_events *ev;
    void *arg;
    struct kn_remote_want want;
    int version; // of the channel protocol: 1 (no name) to 5
    struct kn_timer timer;
    struct kn_task begin;
    bool began_set, ready, dead;
    struct kn_buf resize;
    // SPDY
    struct kn_spdy *spdy;
    struct kn_spdy_stream *streams[KN_CHANNELS];
    // WebSocket
    struct kn_ws *ws;
    bool base64;
};

static void free_remote(struct kn_remote *r)
{
    kn_timer_cancel(r->loop, &r->timer);
    if (r->began_set)
        kn_list_remove(&r->begin.link);
    kn_buf_done(&r->resize);
    free(r);
}

static void gone(struct kn_remote *r)
{
    const struct kn_remote_events *ev = r->ev;
    void *arg = r->arg;
    free_remote(r);
    ev->on_close(arg);
}

// {"Width":80,"Height":24}, as the client's encoder writes it; a stream may hold several.
static bool number_after(struct kn_sv text, const char *name, unsigned *ret)
{
    ptrdiff_t at = kn_sv_search(text, kn_sv_c(name));
    if (at < 0)
        return false;
    struct kn_sv rest = kn_sv_trim(kn_sv_from(text, (size_t)at + strlen(name)));
    unsigned v = 0;
    size_t i = 0;
    if (rest.len && rest.ptr[0] == ':')
        rest = kn_sv_trim(kn_sv_from(rest, 1));
    for (; i < rest.len && i < 5 && rest.ptr[i] >= '0' && rest.ptr[i] <= '9'; i++)
        v = v * 10 + (unsigned)(rest.ptr[i] - '0');
    *ret = v;
    return i > 0 && v <= UINT16_MAX;
}

static void on_resize(struct kn_remote *r, struct kn_sv bytes)
{
    kn_buf_add(&r->resize, bytes);
    for (;;) {
        ptrdiff_t end = kn_sv_find(kn_buf_sv(&r->resize), '}');
        if (end < 0)
            break;
        struct kn_sv one = kn_sv_first(kn_buf_sv(&r->resize), (size_t)end);
        unsigned w, h;
        bool good = number_after(one, "\"Width\"", &w) && number_after(one, "\"Height\"", &h);
        kn_buf_drop(&r->resize, (size_t)end + 1);
        if (good && r->ev->on_resize)
            r->ev->on_resize(r->arg, w, h);
    }
    if (r->resize.failed)
        kn_buf_clear(&r->resize);
}

static void become_ready(struct kn_remote *r)
{
    if (r->ready)
        return;
    r->ready = true;
    kn_timer_cancel(r->loop, &r->timer);
    r->ev->on_ready(r->arg);
}

static void begin_task(struct kn_task *t)
{
    struct kn_remote *r = KN_CONTAINER_OF(t, struct kn_remote, begin);
    r->began_set = false;
    become_ready(r);
}

// ---- SPDY ----

static int channel_of(struct kn_sv type)
{
    static const char *const names[] = {"stdin", "stdout", "stderr", "error", "resize"};
    for (int i = 0; i < KN_CHANNELS; i++)
        if (kn_sv_is(type, names[i]))
            return i;
    return -1;
}

static bool complete(const struct kn_remote *r)
{
    return r->streams[KN_ERROR] && (!r->want.in || r->streams[KN_STDIN]) &&
           (!r->want.out || r->streams[KN_STDOUT]) &&
           (!r->want.err || r->want.tty || r->streams[KN_STDERR]) &&
           (!r->want.tty || r->version < 3 || r->streams[KN_RESIZE]);
}

static void spdy_stream(void *arg, struct kn_spdy_stream *st, const struct kn_http_header *headers,
                        size_t headers_len)
{
    struct kn_remote *r = arg;
    int channel = -1;
    for (size_t i = 0; i < headers_len; i++)
        if (kn_sv_ieq(headers[i].name, KN_SV("streamtype")))
            channel = channel_of(headers[i].value);
    if (channel < 0 || r->streams[channel]) {
        kn_spdy_reset(st, 3);
        return;
    }
    r->streams[channel] = st;
    kn_spdy_set_data(st, (void *)(intptr_t)(channel + 1));
    kn_spdy_reply(st, NULL, 0);
    if (complete(r))
        become_ready(r);
}

static int channel_at(const struct kn_spdy_stream *st)
{
    return (int)(intptr_t)kn_spdy_data(st) - 1;
}

static void spdy_data(void *arg, struct kn_spdy_stream *st, struct kn_sv bytes)
{
    struct kn_remote *r = arg;
    int channel = channel_at(st);
    if (channel == KN_STDIN && r->ready)
        r->ev->on_stdin(r->arg, bytes);
    else if (channel == KN_RESIZE)
        on_resize(r, bytes);
}

static void spdy_end(void *arg, struct kn_spdy_stream *st)
{
    struct kn_remote *r = arg;
    if (channel_at(st) == KN_STDIN)
        r->ev->on_stdin_end(r->arg);
}

static void spdy_gone(void *arg, struct kn_spdy_stream *st, bool reset)
{
    struct kn_remote *r = arg;
    int channel = channel_at(st);
    if (channel < 0)
        return;
    r->streams[channel] = NULL;
    if (reset && channel == KN_STDIN)
        r->ev->on_stdin_end(r->arg);
}

static void spdy_drain(void *arg)
{
    struct kn_remote *r = arg;
    if (r->ready && r->ev->on_drain)
        r->ev->on_drain(r->arg);
}

static void spdy_close(void *arg, const struct kn_status *why)
{
    (void)why;
    gone(arg);
}

static const struct kn_spdy_events spdy_events = {
    .on_stream = spdy_stream, .on_data = spdy_data, .on_end = spdy_end, .on_gone = spdy_gone,
    .on_drain = spdy_drain, .on_close = spdy_close};

// The best protocol that the client offers in X-Stream-Protocol-Version; 0: none in common.
static int offered_spdy(const struct kn_http_req *q)
{
    static const char *const names[] = {"channel.k8s.io", "v2.channel.k8s.io", "v3.channel.k8s.io",
                                        "v4.channel.k8s.io", "v5.channel.k8s.io"};
    if (!kn_http_header(q, "X-Stream-Protocol-Version").ptr)
        return 1;
    for (int v = 5; v >= 1; v--)
        if (kn_http_header_has(q, "X-Stream-Protocol-Version", names[v - 1]))
            return v;
    return 0;
}

static struct kn_status accept_spdy(struct kn_http_req *q, struct kn_remote *r)
{
    static const char *const names[] = {"channel.k8s.io", "v2.channel.k8s.io", "v3.channel.k8s.io",
                                        "v4.channel.k8s.io", "v5.channel.k8s.io"};
    r->version = offered_spdy(q);
    if (!r->version)
        return kn_error(KN_FORBIDDEN, "unable to upgrade: no X-Stream-Protocol-Version that is "
                                      "offered is known (v5 to v2.channel.k8s.io, channel.k8s.io)");
    struct kn_http_header headers[] = {
        {KN_SV("Upgrade"), KN_SV("SPDY/3.1")},
        {KN_SV("X-Stream-Protocol-Version"), kn_sv_c(names[r->version - 1])}};
    struct kn_stream *stream = NULL;
    bool named = kn_http_header(q, "X-Stream-Protocol-Version").ptr != NULL;
    KN_TRY(kn_http_upgrade(q, headers, named ? 2 : 1, &stream));
    r->spdy = kn_spdy_new(stream, &spdy_events, r);
    return KN_STATUS_OK;
}

// ---- WebSocket ----

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void ws_bytes(struct kn_remote *r, int channel, struct kn_sv bytes)
{
    if (channel == KN_STDIN && r->want.in && bytes.len)
        r->ev->on_stdin(r->arg, bytes);
    else if (channel == KN_RESIZE)
        on_resize(r, bytes);
}

static void ws_message(void *arg, bool binary, struct kn_sv m)
{
    struct kn_remote *r = arg;
    (void)binary;
    if (!m.len)
        return;
    int channel = (uint8_t)m.ptr[0];
    struct kn_sv bytes = kn_sv_from(m, 1);
    if (r->base64) {
        struct kn_buf plain = KN_BUF(KN_WS_MAX_MESSAGE);
        uint32_t bits = 0;
        int have = 0;
        for (size_t i = 0; i < bytes.len; i++) {
            int v = base64_value(bytes.ptr[i]);
            if (v < 0)
                break;
            bits = bits << 6 | (uint32_t)v;
            have += 6;
            if (have >= 8) {
                have -= 8;
                kn_buf_add_byte(&plain, (char)(bits >> have));
            }
        }
        ws_bytes(r, channel - '0', kn_buf_sv(&plain));
        kn_buf_done(&plain);
        return;
    }
    if (r->version == 5 && channel == 255) { // close of one channel
        if (bytes.len == 1 && bytes.ptr[0] == KN_STDIN)
            r->ev->on_stdin_end(r->arg);
        return;
    }
    ws_bytes(r, channel, bytes);
}

static void ws_drain(void *arg)
{
    spdy_drain(arg);
}

static void ws_close(void *arg, unsigned code, struct kn_sv reason)
{
    (void)code, (void)reason;
    gone(arg);
}

static const struct kn_ws_events ws_events = {
    .on_message = ws_message, .on_drain = ws_drain, .on_close = ws_close};

static struct kn_status accept_ws(struct kn_http_req *q, struct kn_remote *r)
{
    static const struct {
        const char *name;
        int version;
        bool base64;
    } rows[] = {{"v5.channel.k8s.io", 5, false},        {"v4.channel.k8s.io", 4, false},
                {"v4.base64.channel.k8s.io", 4, true},  {"channel.k8s.io", 1, false},
                {"base64.channel.k8s.io", 1, true}};
    const char *name = NULL;
    for (size_t i = 0; i < KN_ARRAY_LEN(rows) && !name; i++)
        if (kn_ws_offers(q, rows[i].name)) {
            name = rows[i].name;
            r->version = rows[i].version;
            r->base64 = rows[i].base64;
        }
    if (!name && kn_http_header(q, "Sec-WebSocket-Protocol").ptr)
        return kn_error(KN_FORBIDDEN, "unable to upgrade: no WebSocket protocol that is offered is "
                                      "known (v5, v4.channel.k8s.io, channel.k8s.io, base64)");
    r->version = name ? r->version : 1;
    KN_TRY(kn_ws_accept(q, name, &ws_events, r, &r->ws));
    r->began_set = true; // all channels are there at once
    r->begin.run = begin_task;
    kn_loop_post(r->loop, &r->begin);
    return KN_STATUS_OK;
}

static bool ws_send(struct kn_remote *r, int channel, struct kn_sv bytes)
{
    char head = (char)(r->base64 ? channel + '0' : channel);
    struct kn_sv parts[2] = {kn_sv(&head, 1), bytes};
    if (!r->base64)
        return kn_ws_send(r->ws, true, parts, 2);
    char *text = kn_alloc(4 * ((bytes.len + 2) / 3) + 1);
    kn_crypto_base64((const uint8_t *)bytes.ptr, bytes.len, text);
    parts[1] = kn_sv_c(text);
    bool sent = kn_ws_send(r->ws, false, parts, 2);
    free(text);
    return sent;
}

// ---- both ----

static void too_slow(struct kn_timer *t)
{
    struct kn_remote *r = KN_CONTAINER_OF(t, struct kn_remote, timer);
    if (r->spdy)
        kn_spdy_close(r->spdy);
    gone(r);
}

bool kn_remote_wanted(const struct kn_http_req *q)
{
    return kn_ws_wanted(q) || (kn_http_header_has(q, "Connection", "upgrade") &&
                               kn_http_header_has(q, "Upgrade", "SPDY/3.1"));
}

struct kn_status kn_remote_accept(struct kn_http_req *q, const struct kn_remote_want *want,
                                  const struct kn_remote_events *ev, void *arg,
                                  struct kn_remote **ret)
{
    if (!kn_remote_wanted(q))
        return kn_error(KN_BAD_REQUEST, "Upgrade request required");
    struct kn_remote *r = KN_NEW(struct kn_remote);
    r->loop = kn_http_loop(q);
    r->want = *want;
    r->ev = ev;
    r->arg = arg;
    r->resize = KN_BUF(RESIZE_MAX);
    r->timer.fire = too_slow;
    struct kn_status s = kn_ws_wanted(q) ? accept_ws(q, r) : accept_spdy(q, r);
    if (!kn_ok(s)) {
        free_remote(r);
        return s;
    }
    kn_timer_set(r->loop, &r->timer, kn_loop_now(r->loop) + READY_TIME);
    *ret = r;
    return s;
}

bool kn_remote_write(struct kn_remote *r, enum kn_channel channel, struct kn_sv bytes)
{
    if (r->ws)
        return ws_send(r, (int)channel, bytes);
    return r->streams[channel] && kn_spdy_write(r->streams[channel], bytes);
}

size_t kn_remote_pending(const struct kn_remote *r)
{
    if (r->ws)
        return kn_ws_pending(r->ws);
    size_t n = 0;
    for (int i = 0; i < KN_CHANNELS; i++)
        if (r->streams[i]) {
            size_t one = kn_spdy_pending(r->streams[i]);
            n = one > n ? one : n;
        }
    return n;
}

void kn_remote_pause_stdin(struct kn_remote *r, bool paused)
{
    if (r->ws)
        kn_ws_pause(r->ws, paused);
    else if (r->streams[KN_STDIN])
        kn_spdy_pause(r->streams[KN_STDIN], paused);
}

struct kn_loop *kn_remote_loop(const struct kn_remote *r)
{
    return r->loop;
}

static void add_json(struct kn_buf *b, struct kn_sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            kn_buf_addf(b, "\\%c", c);
        else if (c < 0x20)
            kn_buf_addf(b, "\\u%04x", c);
        else
            kn_buf_add_byte(b, (char)c);
    }
}

// What the error channel says (metav1.Status; before version 4 words alone).
static void exit_text(const struct kn_remote *r, const struct kn_remote_exit *e, struct kn_buf *b)
{
    bool failed = e->code || e->message.len;
    if (r->version < 4) {
        if (e->message.len)
            kn_buf_add(b, e->message);
        else if (e->code)
            kn_buf_addf(b, "command terminated with exit code %d", e->code);
        return;
    }
    if (!failed) {
        kn_buf_addc(b, "{\"metadata\":{},\"status\":\"Success\"}");
        return;
    }
    kn_buf_addc(b, "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"");
    if (e->message.len) {
        add_json(b, e->message);
        kn_buf_addc(b, "\",\"reason\":\"InternalError\",\"code\":500}");
        return;
    }
    kn_buf_addf(b,
                "command terminated with non-zero exit code: exit status %d\",\"reason\":"
                "\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":"
                "\"%d\"}]}}",
                e->code, e->code);
}

void kn_remote_finish(struct kn_remote *r, const struct kn_remote_exit *e)
{
    struct kn_buf b = KN_BUF(64u << 10);
    exit_text(r, e, &b);
    if (r->ws) {
        if (b.len)
            ws_send(r, KN_ERROR, kn_buf_sv(&b));
        kn_ws_close(r->ws, 1000, KN_SV_NULL);
    } else {
        if (b.len && r->streams[KN_ERROR])
            kn_spdy_write(r->streams[KN_ERROR], kn_buf_sv(&b));
        kn_spdy_finish(r->spdy);
    }
    kn_buf_done(&b);
    free_remote(r);
}
