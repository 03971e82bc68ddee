// HTTP server: HTTP/1.1 and HTTP/2 over TLS, plain TCP or unix sockets. N threads, each with a loop
// of its own, all accept from the same listening sockets. RFC 9110, 9112, 9113.
//
// A handler runs in the loop's thread once the head and the whole (bounded) body of a request are
// there; it must not block. It answers at once or later, from any thread:
//
//   THE RULE: every request is ended exactly once, by kn_http_respond, kn_http_respond_from,
//   kn_http_stream_end, kn_http_stream_abort or kn_http_upgrade. Until then the request, its views
//   and its arena are valid, even when the peer has gone meanwhile (on_close tells; answering a
//   request whose peer is gone is harmless). After that the pointer is dead.
//
// Everything about a request is for its loop's thread (kn_http_loop), except kn_http_respond_from.
// Other threads read the request only while its owner waits for them.
#pragma once
#include "base/arena.h"
#include "wire/loop.h"
#include "wire/stream.h"
#include "wire/tls.h"

struct kn_http_server;
struct kn_http_req;

struct kn_http_header {
    struct kn_sv name, value;
};

// ---- server ----

struct kn_http_config {
    void (*handle)(struct kn_http_req *req, void *arg);
    void *arg;
    const char *name;       // of its threads, at most 11 bytes ("http"); a number is added
    int threads;            // 0: one
    size_t max_header;      // bytes of a request's head; 0: 64 KiB; beyond: 431
    size_t max_body;        // 0: 3 MiB; beyond: 413
    size_t max_unfinished;  // bytes of all requests that are not whole yet; 0: 64 MiB; beyond: 503.
                            // Peers with a verified certificate have as much again, for them alone
    size_t max_connections; // 0: 10,000; beyond: 503 in HTTP/1.1 words, then closed
    uint32_t max_streams;   // of one HTTP/2 connection; 0: 250
    size_t arena_limit;     // of one request, without its body; 0: 64 MiB
    int64_t idle_timeout;   // ns without a request on an open connection; 0: 180 s
    int64_t header_timeout; // ns for handshake and head, and for a body from its head on, which has
                            // a second more for each 64 KiB that have come; 0: 30 s
};

// Copies config. Nothing runs yet.
struct kn_status kn_http_server_new(const struct kn_http_config *config,
                                    struct kn_http_server **ret);
// Listening sockets; before kn_http_server_start. tls: NULL for plain; a reference is taken.
// address: numeric ("127.0.0.1", "::", "0.0.0.0"). port 0: any; ret_port may be NULL.
struct kn_status kn_http_listen_tcp(struct kn_http_server *s, const char *address, uint16_t port,
                                    struct kn_tls_ctx *tls, uint16_t *ret_port);
// Replaces a socket that is there. mode: of the socket file.
struct kn_status kn_http_listen_unix(struct kn_http_server *s, const char *path, unsigned mode);
// A socket that listens already (handed in by a supervisor); takes fd.
struct kn_status kn_http_listen_fd(struct kn_http_server *s, int fd, struct kn_tls_ctx *tls);
struct kn_status kn_http_server_start(struct kn_http_server *s); // starts the threads
// Stops accepting; sends GOAWAY and Connection: close; waits for requests in flight until
// `deadline`, then drops connections (on_close) and waits for the owners to end their requests.
// Not from a loop's thread. After it the server can only be freed.
void kn_http_server_drain(struct kn_http_server *s, int64_t deadline);
void kn_http_server_free(struct kn_http_server *s); // drains with no patience if not done; NULL ok
int kn_http_server_threads(const struct kn_http_server *s);
struct kn_loop *kn_http_server_loop(struct kn_http_server *s, int thread);

struct kn_http_counts {
    uint64_t connections, accepted, refused, requests, bytes_in, bytes_out;
};
void kn_http_server_counts(struct kn_http_server *s, struct kn_http_counts *ret); // any thread

// ---- a request ----

enum kn_http_version { KN_HTTP_1_0, KN_HTTP_1_1, KN_HTTP_2 };

// Who is at the other end. Views live as long as the request.
struct kn_http_peer {
    struct kn_sv address;        // numeric, without port; "" on a unix socket
    uint16_t port;
    bool tls;
    bool unix_socket;
    unsigned uid;                // of the process at the other end of a unix socket
    const struct kn_cert *cert;  // verified client certificate, or NULL
    const char *cert_problem;    // why one that was presented is not in `cert`; "" otherwise
};

struct kn_sv kn_http_method(const struct kn_http_req *r);
struct kn_sv kn_http_path(const struct kn_http_req *r);  // raw: percent-encoded, begins with '/'
struct kn_sv kn_http_query(const struct kn_http_req *r); // raw, without '?'; may be empty
struct kn_sv kn_http_body(const struct kn_http_req *r);
struct kn_sv kn_http_host(const struct kn_http_req *r);  // Host or :authority
// The first header of this name, without regard to case; ptr is NULL if there is none.
struct kn_sv kn_http_header(const struct kn_http_req *r, const char *name);
// All of them: for (size_t i = 0; kn_http_header_at(r, i, &h); i++). Names as they came.
bool kn_http_header_at(const struct kn_http_req *r, size_t i, struct kn_http_header *ret);
// Whether a comma-separated header (all lines of that name) has this token, without regard to case.
bool kn_http_header_has(const struct kn_http_req *r, const char *name, const char *token);
const struct kn_http_peer *kn_http_peer(const struct kn_http_req *r);
enum kn_http_version kn_http_version(const struct kn_http_req *r);
struct kn_arena *kn_http_arena(struct kn_http_req *r);
struct kn_loop *kn_http_loop(const struct kn_http_req *r);
int kn_http_thread(const struct kn_http_req *r); // index of the loop, 0 .. threads - 1
int64_t kn_http_received(const struct kn_http_req *r); // kn_mono when its head was complete
bool kn_http_gone(const struct kn_http_req *r); // the peer went away: nobody will read an answer
// cb runs once in the loop's thread if the peer goes away before the request has ended. One a
// request; NULL takes it back. It may end the request.
void kn_http_on_close(struct kn_http_req *r, void (*cb)(struct kn_http_req *r, void *arg),
                      void *arg);

// ---- answers ----

// Status, headers and the whole body. Content-Length, Date and the framing are the server's: do not
// give them (Content-Type is yours). Headers are copied; pieces are taken (their release is called
// even when nothing is sent). The body of an answer to HEAD is counted and not sent.
struct kn_http_response {
    int status;
    const struct kn_http_header *headers;
    size_t headers_len;
    const struct kn_piece *pieces;
    size_t pieces_len;
};
void kn_http_respond(struct kn_http_req *r, const struct kn_http_response *response);
// The same from any thread: copies the struct, the headers and the list of pieces, and posts.
void kn_http_respond_from(struct kn_http_req *r, const struct kn_http_response *response);
// A body that is copied; type may be NULL when the body is empty.
void kn_http_respond_text(struct kn_http_req *r, int status, const char *type, struct kn_sv body);

// A body that comes bit by bit (a watch, a log). After begin: write, write, ..., end.
// on_drain: all that was written has gone to the kernel, after pending had been > 0.
void kn_http_stream_begin(struct kn_http_req *r, int status, const struct kn_http_header *headers,
                          size_t headers_len,
                          void (*on_drain)(struct kn_http_req *r, void *arg), void *arg);
// Takes the pieces. Small writes of one turn of the loop leave together.
void kn_http_stream_write(struct kn_http_req *r, const struct kn_piece *pieces, size_t len);
void kn_http_stream_copy(struct kn_http_req *r, struct kn_sv bytes); // the same, copied
size_t kn_http_stream_pending(const struct kn_http_req *r); // bytes written and not yet sent
void kn_http_stream_end(struct kn_http_req *r);             // ends the body and the request
void kn_http_stream_abort(struct kn_http_req *r); // the client sees a broken body; ends the request

// Answers 101 with these headers ("Upgrade: ..." among them; "Connection: Upgrade" is added) and
// hands over the connection. Ends the request when it succeeds. KN_NOT_SUPPORTED on HTTP/2,
// KN_CLOSED when the peer is gone: the request then still wants its answer.
struct kn_status kn_http_upgrade(struct kn_http_req *r, const struct kn_http_header *headers,
                                 size_t headers_len, struct kn_stream **ret);

// ---- helpers: any thread ----

// Whether the client takes gzip (Accept-Encoding, RFC 9110 section 12.5.3).
bool kn_http_accepts_gzip(const struct kn_http_req *r);
// Appends the gzip form at level 1. KN_TOO_LARGE by out's own maximum.
struct kn_status kn_gzip(struct kn_sv bytes, struct kn_buf *out);
// Percent-decodes into the arena; plus: '+' is a space (queries). KN_BAD_REQUEST on a bad escape
// or a NUL.
struct kn_status kn_url_decode(struct kn_arena *a, struct kn_sv text, bool plus, struct kn_sv *ret);
// The next name=value of a raw query; false at its end. Both are still encoded.
bool kn_query_next(struct kn_sv *rest, struct kn_sv *ret_name, struct kn_sv *ret_value);
// The decoded first value of a parameter, in the arena; ptr is NULL if it is absent or malformed.
struct kn_sv kn_query_get(struct kn_arena *a, struct kn_sv query, const char *name);
// Appends text with everything but unreserved characters percent-encoded; '/' stays if `path`.
void kn_url_encode(struct kn_buf *out, struct kn_sv text, bool path);
// The phrase for a status code ("Not Found"), never NULL.
const char *kn_http_phrase(int status);
