// HTTP client: HTTP/1.1 and HTTP/2 over TLS, plain TCP or unix sockets, with connections that are
// kept and shared. A client lives in ONE loop. Two ways to use it:
//   - asynchronously, from its loop's thread: kn_call_start and callbacks;
//   - blocking, from any other thread: kn_http_call, and kn_http_open/_read/_close for a body that
//     comes bit by bit.
// Redirects are not followed, cookies are not kept, bodies are not decompressed: the caller sees
// what the server said.
#pragma once
#include "base/arena.h"
#include "wire/http.h"

struct kn_http_client;
struct kn_body;

struct kn_http_client_config {
    struct kn_loop *loop;    // NULL: the client starts a thread with a loop of its own
    const char *base;        // "https://host:port", "http://host", "unix:/run/x.sock"; NULL: every
                             // request names a whole URL
    struct kn_tls_ctx *tls;  // for https; referenced. NULL: the machine's own authorities
    const char *server_name; // that the server must prove, in place of the URL's host; NULL: that
    const char *user_agent;  // NULL: "knarr/<version>"
    const struct kn_secret *token; // bearer token, copied; sent to `base` alone; NULL: none
    size_t max_connections;  // to one origin; 0: 4 for HTTP/2, 64 for HTTP/1.1
    size_t max_header;       // of an answer's head; 0: 64 KiB
    int64_t connect_timeout; // ns for connect and handshake; 0: 10 s
    int64_t idle_timeout;    // ns until an unused connection is closed; 0: 60 s
    bool http2_plain;        // http:// and unix: speak HTTP/2 without TLS (prior knowledge)
};
struct kn_status kn_http_client_new(const struct kn_http_client_config *config,
                                    struct kn_http_client **ret);
// Cancels what is under way (its callbacks see KN_CANCELLED). From its loop's thread, or, when the
// loop is its own, from any other thread. No blocking call may be in progress.
void kn_http_client_free(struct kn_http_client *c);
// Replaces the bearer token; any thread. Certificates: kn_tls_set_identity on the context, followed
// by kn_http_client_renew, after which new requests use new connections.
void kn_http_client_set_token(struct kn_http_client *c, const struct kn_secret *token);
void kn_http_client_renew(struct kn_http_client *c); // any thread
struct kn_loop *kn_http_client_loop(const struct kn_http_client *c);

struct kn_http_client_req {
    const char *method;                   // "GET"
    struct kn_sv url;                     // whole, or a path (with query) below `base`
    const struct kn_http_header *headers; // Host, Content-Length and framing are the client's
    size_t headers_len;
    struct kn_sv body;                    // copied, unless body_release is set
    void (*body_release)(void *arg);      // the body is taken, and released by this
    void *body_arg;
    int64_t deadline;                     // kn_mono, of the whole exchange; 0 or KN_FOREVER: none
    bool upgrade;                         // expects 101 and a raw stream; HTTP/1.1 on a connection
                                          // of its own; give Connection and Upgrade headers
    int connected_fd;                     // > 0: use this socket and no pool; taken
    // Blocking calls alone, in the caller's thread: the exchange that kn_http_abort may break off
    // from another thread now, and NULL before the call returns (also where it fails).
    void (*on_begun)(void *arg, struct kn_body *b);
    void *begun_arg;
};

// ---- asynchronous: the loop's thread ----

struct kn_call;

// The head of an answer. Views live until the callback returns.
struct kn_http_client_head {
    int status;
    const struct kn_http_header *headers;
    size_t headers_len;
};
struct kn_sv kn_http_client_head_get(const struct kn_http_client_head *h,
                                     const char *name); // ptr NULL: none

struct kn_call_events {
    void (*on_head)(void *arg,
                    const struct kn_http_client_head *head); // final answers only, not 1xx
    void (*on_data)(void *arg, struct kn_sv bytes);
    // Trailers, if there were any (gRPC); NULL: not wanted.
    void (*on_trailers)(void *arg, const struct kn_http_client_head *trailers);
    // After a 101: the stream is the callee's, on_end does not come. NULL unless `upgrade`.
    void (*on_upgrade)(void *arg, const struct kn_http_client_head *head, struct kn_stream *stream);
    // Exactly once, unless cancelled or upgraded. OK: the whole answer came. KN_TIMEOUT: deadline;
    // KN_UNAVAILABLE: could not connect; KN_CLOSED: broken off. Borrowed. The call is dead after
    // it.
    void (*on_end)(void *arg, const struct kn_status *status);
};
// Host names must be numeric addresses, "localhost", or unix (the loop cannot wait for DNS), or
// have been resolved by a blocking call before; KN_INVALID otherwise. Nothing is called back before
// it returns.
struct kn_status kn_call_start(struct kn_http_client *c, const struct kn_http_client_req *req,
                               const struct kn_call_events *ev, void *arg, struct kn_call **ret);
void kn_call_cancel(struct kn_call *call); // no callback comes any more
// Stops and resumes on_data (backpressure reaches the server).
void kn_call_pause(struct kn_call *call, bool paused);

// ---- blocking: any thread but the loop's ----

// A whole answer. Everything is in the arena.
struct kn_http_client_resp {
    int status;
    struct kn_http_header *headers;
    size_t headers_len;
    struct kn_sv body;
};
struct kn_sv kn_http_client_resp_get(const struct kn_http_client_resp *r, const char *name);
// Any status code is success here: the exchange took place. KN_TOO_LARGE: body beyond `limit`.
struct kn_status kn_http_call(struct kn_http_client *c, const struct kn_http_client_req *req,
                              size_t limit, struct kn_arena *a, struct kn_http_client_resp *ret);

// An answer whose body is read bit by bit. Returns when its head is there (deadline: for that).
struct kn_body;
struct kn_status kn_http_open(struct kn_http_client *c, const struct kn_http_client_req *req,
                              struct kn_arena *a, struct kn_http_client_resp *ret_head,
                              struct kn_body **ret);
// Waits until there are bytes; at most `max` of them into out. *ret_n 0: the body has ended.
// KN_TIMEOUT: nothing came until `deadline` (read on). KN_CANCELLED: aborted. KN_CLOSED: broken
// off.
struct kn_status kn_http_read(struct kn_body *b, void *out, size_t max, int64_t deadline,
                              size_t *ret_n);
void kn_http_abort(struct kn_body *b); // any thread: reads fail from now on with KN_CANCELLED
void kn_http_close(struct kn_body *b); // by the reader, at the end; NULL is allowed
