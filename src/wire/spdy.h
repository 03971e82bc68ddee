// SPDY/3.1, server side, over a kn_stream: what kubectl speaks for exec, attach and port-forward.
// Header blocks are zlib with the standard dictionary; both directions have flow control.
// The loop's thread alone.
#pragma once
#include "wire/http.h"
#include "wire/stream.h"

struct kn_spdy;
struct kn_spdy_stream;

struct kn_spdy_events {
    // The client opened a stream; answer with kn_spdy_reply or kn_spdy_reset. Headers are views for
    // the length of the call.
    void (*on_stream)(void *arg, struct kn_spdy_stream *st, const struct kn_http_header *headers,
                      size_t headers_len);
    void (*on_data)(void *arg, struct kn_spdy_stream *st, struct kn_sv bytes);
    void (*on_end)(void *arg, struct kn_spdy_stream *st); // the client has finished sending
    // The client reset the stream, or both sides have ended it: it is gone after this call.
    void (*on_gone)(void *arg, struct kn_spdy_stream *st, bool reset);
    void (*on_drain)(void *arg); // the session's output has gone out; may be NULL
    // The session ended; its streams are gone without further calls. Exactly once, unless
    // kn_spdy_close was called.
    void (*on_close)(void *arg, const struct kn_status *why);
};

#define KN_SPDY_MAX_STREAMS 1000
#define KN_SPDY_MAX_HEADERS (64u << 10)

// Takes the stream. ev is borrowed for the life of the session.
struct kn_spdy *kn_spdy_new(struct kn_stream *stream, const struct kn_spdy_events *ev, void *arg);
void kn_spdy_close(struct kn_spdy *s); // GOAWAY, flush, gone; no callback comes any more
// Ends all streams after what is queued; the client closes, or is closed 2 seconds after it. No
// callback comes any more. Gives up what the client has not taken within 10 seconds.
void kn_spdy_finish(struct kn_spdy *s);

// The caller's own pointer on a stream.
void kn_spdy_set_data(struct kn_spdy_stream *st, void *data);
void *kn_spdy_data(const struct kn_spdy_stream *st);
uint32_t kn_spdy_id(const struct kn_spdy_stream *st);

void kn_spdy_reply(struct kn_spdy_stream *st, const struct kn_http_header *headers, size_t len);
// Copies; sends as the peer's window allows. False when more than KN_STREAM_MAX wait.
bool kn_spdy_write(struct kn_spdy_stream *st, struct kn_sv bytes);
void kn_spdy_end(struct kn_spdy_stream *st); // after what is queued
void kn_spdy_reset(struct kn_spdy_stream *st, uint32_t status); // the stream is gone, no callback
size_t kn_spdy_pending(const struct kn_spdy_stream *st); // queued here and in the session
// Stops giving the peer window for this stream, and resumes.
void kn_spdy_pause(struct kn_spdy_stream *st, bool paused);
// Stops reading from the peer at all, and resumes: what slows down a client that minds no windows.
void kn_spdy_pause_all(struct kn_spdy *s, bool paused);
