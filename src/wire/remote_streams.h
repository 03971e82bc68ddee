// The streams of exec, attach and port-forward, as a kubelet serves them (KEP-4006, and the older
// protocols): ONE interface over
//   WebSocket  v5.channel.k8s.io, v4.channel.k8s.io, channel.k8s.io, v4.base64.channel.k8s.io,
//              base64.channel.k8s.io
//   SPDY/3.1   v5, v4, v3, v2.channel.k8s.io and channel.k8s.io (X-Stream-Protocol-Version)
// The loop's thread of the request, alone.
#pragma once
#include "wire/http.h"
#include "wire/stream.h"

enum kn_channel { KN_STDIN, KN_STDOUT, KN_STDERR, KN_ERROR, KN_RESIZE, KN_CHANNELS };

struct kn_remote_want {
    bool in, out, err; // which streams the caller asked for (query parameters)
    bool tty;          // resize is then expected, stderr is not
};

struct kn_remote;

struct kn_remote_events {
    // All streams that were asked for are there: start the process now. May be called before
    // kn_remote_accept returns.
    void (*on_ready)(void *arg);
    void (*on_stdin)(void *arg, struct kn_sv bytes);
    void (*on_stdin_end)(void *arg);
    void (*on_resize)(void *arg, unsigned width, unsigned height);
    void (*on_drain)(void *arg); // all that was written has gone out
    // The client went away. Exactly once, unless kn_remote_finish was called; gone after it.
    void (*on_close)(void *arg);
};

// How the process ended.
struct kn_remote_exit {
    int code;             // exit code; 0 with an empty message: success
    struct kn_sv
        message; // not empty: it could not be run, or failed in another way, in these words
};

// Whether the request asks for an upgrade that this module knows (else: answer 400 yourself).
bool kn_remote_wanted(const struct kn_http_req *r);
// Negotiates, upgrades, and ends the request. On failure (KN_BAD_REQUEST, KN_FORBIDDEN: no common
// protocol) the request still wants its answer. ev is borrowed for the life of the object.
struct kn_status kn_remote_accept(struct kn_http_req *r, const struct kn_remote_want *want,
                                  const struct kn_remote_events *ev, void *arg,
                                  struct kn_remote **ret);
// KN_STDOUT or KN_STDERR. Copies. False when the connection takes no more.
bool kn_remote_write(struct kn_remote *r, enum kn_channel channel, struct kn_sv bytes);
size_t kn_remote_pending(const struct kn_remote *r);
void kn_remote_pause_stdin(struct kn_remote *r, bool paused);
struct kn_loop *kn_remote_loop(const struct kn_remote *r);
// Sends how it ended on the error channel (a metav1.Status from v4 on, plain text before), closes
// the streams in order and gives the object up: no callback comes any more.
void kn_remote_finish(struct kn_remote *r, const struct kn_remote_exit *exit);

// ---- port-forward ----
// SPDY/3.1 (portforward.k8s.io) and SPDY tunnelled in WebSocket (SPDY/3.1+portforward.k8s.io).

struct kn_forward;      // one session with one client
struct kn_forward_conn; // one forwarded connection in it

struct kn_forward_events {
    // The client wants a connection to this port of the pod. Set *ret_data to your own pointer.
    void (*on_open)(void *arg, struct kn_forward_conn *c, uint16_t port, void **ret_data);
    void (*on_data)(void *data, struct kn_forward_conn *c, struct kn_sv bytes);
    void (*on_end)(void *data, struct kn_forward_conn *c);   // the client has finished sending
    void (*on_drain)(void *data, struct kn_forward_conn *c);
    void (*on_gone)(void *data, struct kn_forward_conn *c);  // the connection is gone after this
    void (*on_close)(void *arg); // the session is over, after on_gone of all its connections
};
bool kn_forward_wanted(const struct kn_http_req *r);
struct kn_status kn_forward_accept(struct kn_http_req *r, const struct kn_forward_events *ev,
                                   void *arg, struct kn_forward **ret);
// Takes a stream over which the client speaks SPDY already.
struct kn_forward *kn_forward_new(struct kn_stream *stream, const struct kn_forward_events *ev,
                                  void *arg);
void kn_forward_close(struct kn_forward *f); // no callback comes any more
bool kn_forward_write(struct kn_forward_conn *c, struct kn_sv bytes);
size_t kn_forward_pending(const struct kn_forward_conn *c);
// Stops what comes from the client, of all its connections, and resumes.
void kn_forward_pause(struct kn_forward_conn *c, bool paused);
// Ends our direction. A message that is not empty goes to the connection's error stream first.
void kn_forward_end(struct kn_forward_conn *c, struct kn_sv message);
