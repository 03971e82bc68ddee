// A raw, full-duplex byte stream in a loop: what an HTTP upgrade hands over, what WebSocket, SPDY
// and port forwarding stand on. Everything is for the loop's thread alone. Nothing blocks.
//
// Life: the stream belongs to whoever set its events. It ends in one of two ways:
//   - the owner calls kn_stream_close: no callback comes any more, the stream is freed;
//   - the peer closes or fails, or both directions have ended in order: on_close is called exactly
//     once, after which the stream is freed.
#pragma once
#include "base/status.h"
#include "base/sv.h"
#include "wire/loop.h"

// One piece of outgoing bytes that is not copied: release(arg), if not NULL, is called exactly once
// in the loop's thread when the bytes are no longer needed (sent, or the connection is gone).
struct kn_piece {
    struct kn_sv bytes;
    void (*release)(void *arg);
    void *arg;
};

struct kn_stream;

struct kn_stream_events {
    // Bytes that came in; a view for the length of the call. All of them are consumed: to slow the
    // peer down, kn_stream_pause.
    void (*on_read)(void *arg, struct kn_sv bytes);
    // The peer has finished sending (half close). NULL: taken as on_close.
    void (*on_eof)(void *arg);
    // Everything written has been handed to the kernel, after kn_stream_pending had been > 0.
    void (*on_drain)(void *arg);
    // The end. `why` is borrowed: OK when the peer closed in order.
    void (*on_close)(void *arg, const struct kn_status *why);
};

// Must be called by whoever receives a stream before it returns to the loop. `ev` is borrowed for
// the life of the stream (make it static const).
void kn_stream_set_events(struct kn_stream *s, const struct kn_stream_events *ev, void *arg);
struct kn_loop *kn_stream_loop(const struct kn_stream *s);

// Queues bytes. The queue has no limit of its own below KN_STREAM_MAX: whoever writes looks at
// kn_stream_pending, stops above a mark of its own, and goes on at on_drain. After the stream was
// shut down the bytes are dropped and false is returned; beyond KN_STREAM_MAX too, and then the
// connection breaks off: on_close follows in the next turn.
#define KN_STREAM_MAX (64u << 20)
bool kn_stream_write(struct kn_stream *s, struct kn_sv bytes); // copies what is not sent at once
bool kn_stream_write_piece(struct kn_stream *s, struct kn_piece piece); // takes the piece
size_t kn_stream_pending(const struct kn_stream *s);
void kn_stream_pause(struct kn_stream *s, bool paused); // stops and resumes on_read
// Half close: no more writes; what is queued is sent first. Reading goes on.
void kn_stream_shutdown(struct kn_stream *s);
void kn_stream_close(struct kn_stream *s); // at once; what is queued is dropped. NULL is allowed
// Sends what is queued, then closes, without further callbacks; gives up after 10 seconds.
void kn_stream_finish(struct kn_stream *s);

// A stream on a connected socket (takes fd).
struct kn_status kn_stream_from_fd(struct kn_loop *l, int fd, struct kn_stream **ret);

// For modules that offer a stream of their own (a tunnel): embed struct kn_stream first.
struct kn_stream_ops {
    bool (*write)(struct kn_stream *s, struct kn_piece piece);
    size_t (*pending)(const struct kn_stream *s);
    void (*pause)(struct kn_stream *s, bool paused);
    void (*shutdown)(struct kn_stream *s);
    void (*close)(struct kn_stream *s, bool flush);
};
struct kn_stream {
    const struct kn_stream_ops *ops;
    struct kn_loop *loop;
    const struct kn_stream_events *ev;
    void *arg;
};
