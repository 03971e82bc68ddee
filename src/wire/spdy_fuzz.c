// A SPDY session that a stranger talks to: frames, header blocks, flow control.
#include "wire/spdy.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void on_stream(void *arg, struct kn_spdy_stream *st, const struct kn_http_header *h,
                      size_t len)
{
    (void)arg, (void)h;
    if (len > 4)
        kn_spdy_reset(st, 1);
    else
        kn_spdy_reply(st, NULL, 0);
}
static void on_data(void *arg, struct kn_spdy_stream *st, struct kn_sv bytes)
{
    (void)arg;
    kn_spdy_write(st, bytes);
}
static void on_end(void *arg, struct kn_spdy_stream *st)
{
    (void)arg;
    kn_spdy_end(st);
}
static void on_gone(void *arg, struct kn_spdy_stream *st, bool reset)
{
    (void)arg, (void)st, (void)reset;
}
static void on_close(void *arg, const struct kn_status *why)
{
    (void)arg, (void)why;
    closed = true;
}
static const struct kn_spdy_events events = {.on_stream = on_stream, .on_data = on_data,
                                             .on_end = on_end, .on_gone = on_gone,
                                             .on_close = on_close};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kn_loop *loop;
    if (!loop)
        KN_IGNORE(kn_loop_new(&loop));
    struct kn_stream stream = {.ops = &sink, .loop = loop};
    closed = false;
    struct kn_spdy *s = kn_spdy_new(&stream, &events, NULL);
    size_t half = size / 2; // in two reads, so that frames are cut
    stream.ev->on_read(stream.arg, kn_sv((const char *)data, half));
    if (!closed)
        stream.ev->on_read(stream.arg, kn_sv((const char *)data + half, size - half));
    if (!closed)
        kn_spdy_close(s);
    return 0;
}
