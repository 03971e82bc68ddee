#include "wire/spdy.h"

#include <zlib.h>

#include "base/buf.h"
#include "wire/spdy_dict.h"

// Frame types of SPDY/3.1 (draft 3.1 section 2.6).
enum { SYN_STREAM = 1, SYN_REPLY, RST_STREAM, SETTINGS, PING = 6, GOAWAY, HEADERS, WINDOW_UPDATE };
enum { FLAG_FIN = 1 };
enum { RST_PROTOCOL = 1, RST_REFUSED = 3, RST_FLOW = 7 };

#define WINDOW 65536      // initial, of a stream and of the session
#define FRAME_MAX (1u << 20)
#define CHUNK 16384u      // of our DATA frames
#define SETTING_WINDOW 7
#define LINGER (2 * KN_SECOND)

struct kn_spdy_stream {
    struct kn_list link;
    struct kn_spdy *session;
    uint32_t id;
    void *data;
    struct kn_buf out;     // waits for window
    int64_t send_window;
    uint32_t unacked;      // received and not given back
    bool in_done, out_done, out_fin /* FIN goes after `out` */, paused;
};

struct kn_spdy {
    struct kn_stream *stream;
    struct kn_loop *loop;
    const struct kn_spdy_events *ev;
    void *arg;
    struct kn_list streams;
    size_t streams_len;
    struct kn_buf in;
    z_stream inflate, deflate;
    bool inflate_on, deflate_on;
    int64_t send_window, initial_window;
    bool windows; // the peer gives windows: clients of Kubernetes never do, and expect no limit
    uint32_t unacked, last_id;
    unsigned depth;
    bool dead;
    struct kn_timer timer;
    bool lingers; // all has been said: the client is to close
};

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static uint32_t get32(const char *p)
{
    const uint8_t *u = (const uint8_t *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

// ---- the end ----

static void free_stream(struct kn_spdy_stream *st)
{
    kn_list_remove(&st->link);
    st->session->streams_len--;
    kn_buf_done(&st->out);
    free(st);
}

static void free_session(struct kn_spdy *s)
{
    struct kn_spdy_stream *st;
    while ((st = KN_LIST_FIRST(&s->streams, struct kn_spdy_stream, link)))
        free_stream(st);
    kn_timer_cancel(s->loop, &s->timer);
    if (s->inflate_on)
        inflateEnd(&s->inflate);
    if (s->deflate_on)
        deflateEnd(&s->deflate);
    kn_buf_done(&s->in);
    free(s);
}

static void finish_timer(struct kn_timer *t)
{
    kn_spdy_close(KN_CONTAINER_OF(t, struct kn_spdy, timer));
}

static void leave(struct kn_spdy *s)
{
    if (--s->depth == 0 && s->dead)
        free_session(s);
}

// Tells the owner and gives up. status: borrowed.
static void session_over(struct kn_spdy *s, const struct kn_status *why)
{
    if (s->dead)
        return;
    s->dead = true;
    s->depth++;
    s->stream = NULL;
    s->ev->on_close(s->arg, why);
    leave(s);
}

// ---- frames that go out ----

static void control(struct kn_spdy *s, uint16_t type, uint8_t flags, const void *body, size_t len)
{
    if (s->dead || !s->stream)
        return;
    uint8_t head[8] = {0x80, 3, (uint8_t)(type >> 8), (uint8_t)type, flags, (uint8_t)(len >> 16),
                       (uint8_t)(len >> 8), (uint8_t)len};
    kn_stream_write(s->stream, kn_sv((char *)head, sizeof head));
    kn_stream_write(s->stream, kn_sv(body, len));
}

static void pair(struct kn_spdy *s, uint16_t type, uint32_t a, uint32_t b)
{
    uint8_t body[8];
    put32(body, a);
    put32(body + 4, b);
    control(s, type, 0, body, sizeof body);
}

static void protocol_error(struct kn_spdy *s, const char *why)
{
    pair(s, GOAWAY, s->last_id, 1);
    struct kn_stream *stream = s->stream;
    struct kn_status st = kn_error(KN_CLOSED, "SPDY: %s", why);
    session_over(s, &st);
    kn_status_done(&st);
    if (stream)
        kn_stream_finish(stream);
}

// The stream is over in both directions. True if it is gone.
static bool maybe_gone(struct kn_spdy_stream *st)
{
    if (!st->in_done || !st->out_done)
        return false;
    struct kn_spdy *s = st->session;
    s->ev->on_gone(s->arg, st, false);
    free_stream(st);
    return true;
}

// Sends what the windows allow. True if the stream is gone.
static bool push(struct kn_spdy_stream *st)
{
    struct kn_spdy *s = st->session;
    size_t at = 0;
    while (st->out.len > at && s->stream) {
        size_t n = st->out.len - at;
        if (n > CHUNK)
            n = CHUNK;
        if (s->windows && (st->send_window <= 0 || s->send_window <= 0))
            break;
        if (s->windows && (int64_t)n > st->send_window)
            n = (size_t)st->send_window;
        if (s->windows && (int64_t)n > s->send_window)
            n = (size_t)s->send_window;
        uint8_t head[8];
        put32(head, st->id);
        put32(head + 4, (uint32_t)n);
        kn_stream_write(s->stream, kn_sv((char *)head, sizeof head));
        kn_stream_write(s->stream, kn_sv(st->out.ptr + at, n));
        at += n;
        st->send_window -= (int64_t)n;
        s->send_window -= (int64_t)n;
    }
    kn_buf_drop(&st->out, at);
    if (!st->out.len)
        kn_buf_done(&st->out);
    if (st->out_fin && !st->out.len && !st->out_done) {
        uint8_t head[8];
        put32(head, st->id);
        put32(head + 4, (uint32_t)FLAG_FIN << 24);
        if (s->stream)
            kn_stream_write(s->stream, kn_sv((char *)head, sizeof head));
        st->out_done = true;
        return maybe_gone(st);
    }
    return false;
}

// Appends the compressed block.
static void put_headers(struct kn_spdy *s, struct kn_buf *out, const struct kn_http_header *headers,
                        size_t len)
{
    struct kn_buf plain = KN_BUF(KN_SPDY_MAX_HEADERS);
    uint8_t n[4];
    put32(n, (uint32_t)len);
    kn_buf_add(&plain, kn_sv((char *)n, 4));
    for (size_t i = 0; i < len; i++) {
        put32(n, (uint32_t)headers[i].name.len);
        kn_buf_add(&plain, kn_sv((char *)n, 4));
        size_t at = plain.len;
        kn_buf_add(&plain, headers[i].name);
        for (; at < plain.len; at++)
            if (plain.ptr[at] >= 'A' && plain.ptr[at] <= 'Z')
                plain.ptr[at] = (char)(plain.ptr[at] + 32);
        put32(n, (uint32_t)headers[i].value.len);
        kn_buf_add(&plain, kn_sv((char *)n, 4));
        kn_buf_add(&plain, headers[i].value);
    }
    if (!s->deflate_on) {
        s->deflate_on = deflateInit(&s->deflate, 1) == Z_OK &&
                        deflateSetDictionary(&s->deflate, kn_spdy_dictionary,
                                             KN_SPDY_DICTIONARY) == Z_OK;
        kn_assert(s->deflate_on);
    }
    s->deflate.next_in = (uint8_t *)plain.ptr;
    s->deflate.avail_in = (uInt)plain.len;
    do {
        kn_assert(kn_buf_room(out, 4096));
        s->deflate.next_out = (uint8_t *)out->ptr + out->len;
        s->deflate.avail_out = 4096;
        (void)deflate(&s->deflate, Z_SYNC_FLUSH);
        out->len += 4096 - s->deflate.avail_out;
    } while (s->deflate.avail_out == 0);
    kn_buf_done(&plain);
}

void kn_spdy_reply(struct kn_spdy_stream *st, const struct kn_http_header *headers, size_t len)
{
    struct kn_buf b = KN_BUF(4 * KN_SPDY_MAX_HEADERS);
    uint8_t id[4];
    put32(id, st->id);
    kn_buf_add(&b, kn_sv((char *)id, 4));
    put_headers(st->session, &b, headers, len);
    control(st->session, SYN_REPLY, 0, b.ptr, b.len);
    kn_buf_done(&b);
}

bool kn_spdy_write(struct kn_spdy_stream *st, struct kn_sv bytes)
{
    if (st->out_fin || st->session->dead)
        return false;
    kn_buf_add(&st->out, bytes);
    bool fits = !st->out.failed;
    st->out.failed = false;
    (void)push(st); // cannot end it: no FIN is due
    return fits;
}

void kn_spdy_end(struct kn_spdy_stream *st)
{
    if (st->out_fin)
        return;
    st->out_fin = true;
    (void)push(st);
}

void kn_spdy_reset(struct kn_spdy_stream *st, uint32_t status)
{
    pair(st->session, RST_STREAM, st->id, status);
    free_stream(st);
}

size_t kn_spdy_pending(const struct kn_spdy_stream *st)
{
    return st->out.len + (st->session->stream ? kn_stream_pending(st->session->stream) : 0);
}

static void give_window(struct kn_spdy_stream *st)
{
    if (st->paused || st->unacked < WINDOW / 2 || st->in_done)
        return;
    pair(st->session, WINDOW_UPDATE, st->id, st->unacked);
    st->unacked = 0;
}

void kn_spdy_pause(struct kn_spdy_stream *st, bool paused)
{
    st->paused = paused;
    give_window(st);
}

void kn_spdy_pause_all(struct kn_spdy *s, bool paused)
{
    if (s->stream)
        kn_stream_pause(s->stream, paused);
}

void kn_spdy_set_data(struct kn_spdy_stream *st, void *data)
{
    st->data = data;
}
void *kn_spdy_data(const struct kn_spdy_stream *st)
{
    return st->data;
}
uint32_t kn_spdy_id(const struct kn_spdy_stream *st)
{
    return st->id;
}

// ---- frames that come in ----

static struct kn_spdy_stream *find(struct kn_spdy *s, uint32_t id)
{
    struct kn_spdy_stream *st;
    KN_LIST_EACH(&s->streams, st, struct kn_spdy_stream, link)
    {
        if (st->id == id)
            return st;
    }
    return NULL;
}

// Every header block goes through the decompressor, or the next one cannot be read.
static bool inflate_headers(struct kn_spdy *s, struct kn_sv block, struct kn_buf *out)
{
    if (!s->inflate_on) {
        if (inflateInit(&s->inflate) != Z_OK)
            return false;
        s->inflate_on = true;
    }
    s->inflate.next_in = (uint8_t *)(uintptr_t)block.ptr;
    s->inflate.avail_in = (uInt)block.len;
    for (;;) {
        if (!kn_buf_room(out, 4096))
            return false;
        s->inflate.next_out = (uint8_t *)out->ptr + out->len;
        s->inflate.avail_out = 4096;
        int r = inflate(&s->inflate, Z_SYNC_FLUSH);
        out->len += 4096 - s->inflate.avail_out;
        if (r == Z_NEED_DICT) {
            if (inflateSetDictionary(&s->inflate, kn_spdy_dictionary, KN_SPDY_DICTIONARY) != Z_OK)
                return false;
            continue;
        }
        if (r != Z_OK && r != Z_BUF_ERROR)
            return false;
        if (s->inflate.avail_out)
            return s->inflate.avail_in == 0;
    }
}

static bool take_text(struct kn_sv *rest, struct kn_sv *ret)
{
    if (rest->len < 4)
        return false;
    size_t n = get32(rest->ptr);
    *rest = kn_sv_from(*rest, 4);
    if (n > rest->len)
        return false;
    *ret = kn_sv_first(*rest, n);
    *rest = kn_sv_from(*rest, n);
    return true;
}

#define HEADERS_MAX 64

static bool parse_block(struct kn_sv rest, struct kn_http_header out[HEADERS_MAX], size_t *ret_len)
{
    if (rest.len < 4)
        return false;
    size_t n = get32(rest.ptr);
    rest = kn_sv_from(rest, 4);
    if (n > HEADERS_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!take_text(&rest, &out[i].name) || !take_text(&rest, &out[i].value))
            return false;
    *ret_len = n;
    return true;
}

static void on_syn_stream(struct kn_spdy *s, uint8_t flags, struct kn_sv p)
{
    struct kn_buf plain = KN_BUF(KN_SPDY_MAX_HEADERS + 4096);
    struct kn_http_header headers[HEADERS_MAX];
    size_t n = 0;
    if (p.len < 10) {
        protocol_error(s, "a short SYN_STREAM");
        return;
    }
    uint32_t id = get32(p.ptr) & 0x7fffffff;
    bool good = inflate_headers(s, kn_sv_from(p, 10), &plain) &&
                parse_block(kn_buf_sv(&plain), headers, &n) && id % 2 == 1 && id > s->last_id;
    if (!good) {
        kn_buf_done(&plain);
        protocol_error(s, "a malformed SYN_STREAM");
        return;
    }
    s->last_id = id;
    if (s->streams_len >= KN_SPDY_MAX_STREAMS) {
        pair(s, RST_STREAM, id, RST_REFUSED);
        kn_buf_done(&plain);
        return;
    }
    struct kn_spdy_stream *st = KN_NEW(struct kn_spdy_stream);
    st->session = s;
    st->id = id;
    st->out = KN_BUF(KN_STREAM_MAX);
    st->send_window = s->initial_window;
    st->in_done = flags & FLAG_FIN;
    kn_list_append(&s->streams, &st->link);
    s->streams_len++;
    s->ev->on_stream(s->arg, st, headers, n);
    kn_buf_done(&plain);
}

static void on_settings(struct kn_spdy *s, struct kn_sv p)
{
    p = kn_sv_from(p, 4);
    for (; p.len >= 8; p = kn_sv_from(p, 8)) {
        uint32_t v = get32(p.ptr + 4);
        if ((get32(p.ptr) & 0xffffff) != SETTING_WINDOW || v > INT32_MAX)
            continue;
        struct kn_spdy_stream *st;
        KN_LIST_EACH(&s->streams, st, struct kn_spdy_stream, link)
        {
            st->send_window += (int64_t)v - s->initial_window;
        }
        s->initial_window = v;
    }
}

static void push_all(struct kn_spdy *s)
{
    struct kn_spdy_stream *st;
    KN_LIST_EACH(&s->streams, st, struct kn_spdy_stream, link)
    {
        (void)push(st);
        if (s->dead)
            return;
    }
}

static void on_window(struct kn_spdy *s, struct kn_sv p)
{
    if (p.len < 8)
        return;
    s->windows = true;
    uint32_t id = get32(p.ptr) & 0x7fffffff, n = get32(p.ptr + 4) & 0x7fffffff;
    if (!id) {
        s->send_window += n;
        push_all(s);
        return;
    }
    struct kn_spdy_stream *st = find(s, id);
    if (!st)
        return;
    st->send_window += n;
    bool waited = st->out.len > 0;
    if (!push(st) && !s->dead && waited && !st->out.len && s->ev->on_drain)
        s->ev->on_drain(s->arg);
}

static void on_control(struct kn_spdy *s, uint16_t type, uint8_t flags, struct kn_sv p)
{
    struct kn_buf scratch = KN_BUF(KN_SPDY_MAX_HEADERS + 4096);
    struct kn_spdy_stream *st = p.len >= 4 ? find(s, get32(p.ptr) & 0x7fffffff) : NULL;
    switch (type) {
    case SYN_STREAM:
        on_syn_stream(s, flags, p);
        break;
    case RST_STREAM:
        if (st) {
            s->ev->on_gone(s->arg, st, true);
            if (!s->dead)
                free_stream(st);
        }
        break;
    case SETTINGS:
        on_settings(s, p);
        break;
    case PING:
        if (p.len >= 4 && get32(p.ptr) % 2 == 1)
            control(s, PING, 0, p.ptr, 4);
        break;
    case SYN_REPLY:
    case HEADERS:
        if (p.len < 4 || !inflate_headers(s, kn_sv_from(p, 4), &scratch))
            protocol_error(s, "a malformed header block");
        break;
    case WINDOW_UPDATE:
        on_window(s, p);
        break;
    default: // GOAWAY: the client opens no more streams; others: ignored as the draft says
        break;
    }
    kn_buf_done(&scratch);
}

static void on_data(struct kn_spdy *s, uint32_t id, uint8_t flags, struct kn_sv p)
{
    s->unacked += (uint32_t)p.len;
    if (s->unacked >= WINDOW / 2) {
        pair(s, WINDOW_UPDATE, 0, s->unacked);
        s->unacked = 0;
    }
    struct kn_spdy_stream *st = find(s, id);
    if (!st)
        return;
    if (st->in_done) {
        pair(s, RST_STREAM, id, RST_PROTOCOL);
        return;
    }
    st->unacked += (uint32_t)p.len;
    if (p.len)
        s->ev->on_data(s->arg, st, p);
    if (s->dead || !(st = find(s, id)))
        return;
    if (flags & FLAG_FIN) {
        st->in_done = true;
        s->ev->on_end(s->arg, st);
        if (!s->dead && (st = find(s, id)))
            (void)maybe_gone(st);
        return;
    }
    give_window(st);
}

static void stream_read(void *arg, struct kn_sv bytes)
{
    struct kn_spdy *s = arg;
    s->depth++;
    kn_buf_add(&s->in, bytes);
    if (s->in.failed) // a message of a tunnel that is larger than any frame
        protocol_error(s, "more at once than two frames");
    size_t at = 0;
    while (!s->dead && s->in.len - at >= 8) {
        const char *h = s->in.ptr + at;
        size_t len = get32(h + 4) & 0xffffff;
        if (len > FRAME_MAX) {
            protocol_error(s, "a frame larger than 1 MiB");
            break;
        }
        if (s->in.len - at < 8 + len)
            break;
        struct kn_sv p = kn_sv(h + 8, len);
        uint8_t flags = (uint8_t)h[4];
        at += 8 + len;
        if (!((uint8_t)h[0] & 0x80))
            on_data(s, get32(h), flags, p);
        else if ((get32(h) >> 16 & 0x7fff) != 3)
            protocol_error(s, "the version is not 3");
        else
            on_control(s, (uint16_t)get32(h), flags, p);
    }
    if (!s->dead) {
        kn_buf_drop(&s->in, at);
        if (!s->in.len)
            kn_buf_done(&s->in);
    }
    leave(s);
}

static void stream_drain(void *arg)
{
    struct kn_spdy *s = arg;
    if (s->ev->on_drain)
        s->ev->on_drain(s->arg);
}

static void stream_close(void *arg, const struct kn_status *why)
{
    session_over(arg, why);
}

static const struct kn_stream_events stream_events = {
    .on_read = stream_read, .on_drain = stream_drain, .on_close = stream_close};

struct kn_spdy *kn_spdy_new(struct kn_stream *stream, const struct kn_spdy_events *ev, void *arg)
{
    struct kn_spdy *s = KN_NEW(struct kn_spdy);
    s->stream = stream;
    s->loop = kn_stream_loop(stream);
    s->timer.fire = finish_timer;
    s->ev = ev;
    s->arg = arg;
    s->in = KN_BUF(2 * FRAME_MAX + KN_LOOP_SCRATCH);
    s->send_window = s->initial_window = WINDOW;
    kn_list_init(&s->streams);
    kn_stream_set_events(stream, &stream_events, s);
    return s;
}

void kn_spdy_close(struct kn_spdy *s)
{
    if (s->dead)
        return;
    pair(s, GOAWAY, s->last_id, 0);
    struct kn_stream *stream = s->stream;
    s->depth++;
    s->dead = true;
    s->stream = NULL;
    if (stream)
        kn_stream_finish(stream);
    leave(s);
}

// ---- finishing: the session's own events, which wait for the streams to empty ----

static void quiet_stream(void *arg, struct kn_spdy_stream *st, const struct kn_http_header *headers,
                         size_t len)
{
    (void)arg, (void)headers, (void)len;
    kn_spdy_reset(st, RST_REFUSED);
}
static void quiet_data(void *arg, struct kn_spdy_stream *st, struct kn_sv bytes)
{
    (void)arg, (void)st, (void)bytes;
}
static void quiet_end(void *arg, struct kn_spdy_stream *st)
{
    (void)arg, (void)st;
}
static void quiet_gone(void *arg, struct kn_spdy_stream *st, bool reset)
{
    (void)arg, (void)st, (void)reset;
}
static void quiet_drain(void *arg)
{
    struct kn_spdy *s = arg;
    if (s->lingers)
        return;
    for (struct kn_list *l = s->streams.next; l != &s->streams; l = l->next)
        if (!KN_CONTAINER_OF(l, struct kn_spdy_stream, link)->out_done)
            return;
    // The client sees the ends of its streams and closes: what it still sends meanwhile must not
    // meet a closed connection.
    s->lingers = true;
    kn_timer_set(s->loop, &s->timer, kn_loop_now(s->loop) + LINGER);
}
static void quiet_close(void *arg, const struct kn_status *why)
{
    (void)arg, (void)why;
}
static const struct kn_spdy_events quiet = {
    .on_stream = quiet_stream, .on_data = quiet_data, .on_end = quiet_end, .on_gone = quiet_gone,
    .on_drain = quiet_drain, .on_close = quiet_close};

void kn_spdy_finish(struct kn_spdy *s)
{
    if (s->dead)
        return;
    s->ev = &quiet;
    s->arg = s;
    struct kn_spdy_stream *st;
    KN_LIST_EACH(&s->streams, st, struct kn_spdy_stream, link)
    {
        kn_spdy_end(st);
    }
    kn_timer_set(s->loop, &s->timer, kn_loop_now(s->loop) + 10 * KN_SECOND);
    if (!kn_stream_pending(s->stream))
        quiet_drain(s);
}
