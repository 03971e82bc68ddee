// A client of port-forward that says what it likes, in any order, and an owner that answers in any
// order: pairs of streams, their headers, their ends. The input is a script, a byte an action; the
// frames below are well formed (spdy_fuzz.c has those that are not).
#include <zlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/remote_streams.h"
#include "wire/spdy_dict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNS 8

static struct kn_forward_conn *conns[CONNS];
static size_t opened, gone;
static bool closed;

static bool sink_write(struct kn_stream *s, struct kn_piece p)
{
    (void)s;
    if (p.release)
        p.release(p.arg);
    return true;
}
static size_t sink_pending(const struct kn_stream *s)
{
    (void)s;
    return 0;
}
static void sink_pause(struct kn_stream *s, bool paused)
{
    (void)s, (void)paused;
}
static void sink_shutdown(struct kn_stream *s)
{
    (void)s;
}
static void sink_close(struct kn_stream *s, bool flush)
{
    (void)s, (void)flush;
}
static const struct kn_stream_ops sink = {.write = sink_write, .pending = sink_pending,
                                          .pause = sink_pause, .shutdown = sink_shutdown,
                                          .close = sink_close};

static void on_open(void *arg, struct kn_forward_conn *c, uint16_t port, void **ret_data)
{
    (void)arg;
    kn_assert(port != 0);
    *ret_data = NULL;
    opened++;
    for (size_t i = 0; i < CONNS; i++)
        if (!conns[i]) {
            conns[i] = c;
            *ret_data = &conns[i];
            return;
        }
    kn_forward_end(c, KN_SV("too many"));
}
static void on_data(void *d, struct kn_forward_conn *c, struct kn_sv bytes)
{
    kn_assert(!d || *(struct kn_forward_conn **)d == c);
    kn_forward_write(c, bytes);
}
static void on_end(void *d, struct kn_forward_conn *c)
{
    kn_assert(!d || *(struct kn_forward_conn **)d == c);
}
static void on_drain(void *d, struct kn_forward_conn *c)
{
    (void)d, (void)c;
}
static void on_gone(void *d, struct kn_forward_conn *c)
{
    (void)c;
    gone++;
    if (d)
        *(struct kn_forward_conn **)d = NULL;
}
static void on_close(void *arg)
{
    (void)arg;
    closed = true;
}
static const struct kn_forward_events events = {on_open,  on_data, on_end,
                                                on_drain, on_gone, on_close};

static void put32(struct kn_buf *b, uint32_t v)
{
    char p[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    kn_buf_add(b, kn_sv(p, 4));
}
static void put_text(struct kn_buf *b, struct kn_sv text)
{
    put32(b, (uint32_t)text.len);
    kn_buf_add(b, text);
}

// One stream: its kind, the connection's id and the port.
static void syn_stream(struct kn_stream *s, z_stream *z, uint32_t id, uint8_t what,
                       struct kn_sv port)
{
    static const char *const kinds[] = {"error", "data", "", "other"};
    static uint8_t packed[4096];
    char request = (char)('0' + (what >> 2) % CONNS);
    struct kn_buf plain = KN_BUF(4096), frame = KN_BUF(8192);
    put32(&plain, 3);
    put_text(&plain, KN_SV("streamtype"));
    put_text(&plain, kn_sv_c(kinds[what & 3]));
    put_text(&plain, KN_SV("requestid"));
    put_text(&plain, kn_sv(&request, 1));
    put_text(&plain, KN_SV("port"));
    put_text(&plain, port);
    z->next_in = (uint8_t *)plain.ptr;
    z->avail_in = (uInt)plain.len;
    z->next_out = packed;
    z->avail_out = sizeof packed;
    (void)deflate(z, Z_SYNC_FLUSH);
    size_t n = sizeof packed - z->avail_out;
    put32(&frame, 0x80030001);
    put32(&frame, (what & 0x40 ? 1u << 24 : 0) | (uint32_t)(n + 10));
    put32(&frame, id);
    put32(&frame, 0);
    kn_buf_add(&frame, KN_SV("\0\0"));
    kn_buf_add(&frame, kn_sv((char *)packed, n));
    s->ev->on_read(s->arg, kn_buf_sv(&frame));
    kn_buf_done(&plain);
    kn_buf_done(&frame);
}

static void frame(struct kn_stream *s, uint32_t a, uint32_t b, struct kn_sv body)
{
    struct kn_buf f = KN_BUF(1024);
    put32(&f, a);
    put32(&f, b | (uint32_t)body.len);
    kn_buf_add(&f, body);
    s->ev->on_read(s->arg, kn_buf_sv(&f));
    kn_buf_done(&f);
}

static void owner(uint8_t what, bool end)
{
    struct kn_forward_conn *c = conns[what % CONNS];
    if (!c)
        return;
    if (end)
        kn_forward_end(c, what & 0x40 ? KN_SV("refused") : KN_SV_NULL);
    else
        kn_forward_pause(c, what & 0x40);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kn_loop *loop;
    if (!loop)
        KN_IGNORE(kn_loop_new(&loop));
    struct kn_stream stream = {.ops = &sink, .loop = loop};
    z_stream z = {0};
    kn_assert(deflateInit(&z, 1) == Z_OK &&
              deflateSetDictionary(&z, kn_spdy_dictionary, KN_SPDY_DICTIONARY) == Z_OK);
    memset(conns, 0, sizeof conns);
    opened = gone = 0;
    closed = false;
    struct kn_forward *f = kn_forward_new(&stream, &events, NULL);
    uint32_t last = (uint32_t)-1;
    for (size_t i = 0; i + 1 < size && !closed; i += 2) {
        uint8_t what = data[i + 1];
        struct kn_sv rest = kn_sv((const char *)data + i + 2, size - i - 2);
        uint32_t id = 2u * (what & 0x1f) + 1;
        char rst[8] = {0, 0, 0, (char)id, 0, 0, 0, 5};
        if (data[i] == 's')
            syn_stream(&stream, &z, last += 2, what, KN_SV("80"));
        else if (data[i] == 'p') // the port in the input's own words
            syn_stream(&stream, &z, last += 2, what, kn_sv_first(rest, 6));
        else if (data[i] == 'd')
            frame(&stream, id, what & 0x40 ? 1u << 24 : 0, kn_sv_first(rest, what >> 5));
        else if (data[i] == 'r')
            frame(&stream, 0x80030003, 0, kn_sv(rst, 8));
        else
            owner(what, data[i] == 'e');
    }
    if (!closed && size % 2) {
        struct kn_status why = KN_STATUS_OK;
        stream.ev->on_close(stream.arg, &why);
        kn_assert(opened == gone); // each is told of once
    } else if (!closed) {
        kn_forward_close(f);
    }
    deflateEnd(&z);
    return 0;
}
