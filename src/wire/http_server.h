// What the files of the HTTP server share: workers, connections, requests. Inside wire/ only.
//
// A connection is freed at the end of the turn in which it died, so that code below a callback can
// look at `dead`. A request is freed when its owner has ended it AND its connection needs it no
// more (HTTP/2 sends later) or is gone.
#pragma once
#include <netinet/in.h>

#include "base/arena.h"
#include "base/thread.h"
#include "base/vec.h"
#include "wire/http.h"
#include "wire/http1.h"
#include "wire/transport.h"

struct http_conn;

struct http_listener {
    struct kn_loop_fd watch; // of one worker; all workers watch the same descriptor
    struct http_worker *worker;
    struct kn_tls_ctx *tls; // referenced by the server
    bool unix_socket;
};

struct http_worker {
    struct kn_http_server *server;
    struct kn_loop *loop;
    int index;
    struct http_listener *listeners;
    bool accepting;
    struct kn_list conns;
    size_t conn_count;
    size_t lingering;       // transports that still send last words
    struct kn_list orphans; // requests whose peer is gone and whose owner has not ended them
    size_t unended;         // requests that owners have
    char date[40];
    int64_t date_at;        // the second that `date` is of
    struct kn_timer retry;  // of accepting, after EMFILE
    struct kn_task begin, drain, kill;
    bool draining, quiet;   // quiet: told the server that nothing is left
    struct kn_http_counts counts; // written here, read by anybody: relaxed atomics
};

struct http_socket {
    int fd;
    struct kn_tls_ctx *tls;
    bool unix_socket;
};

struct kn_http_server {
    struct kn_http_config config;
    char name[12];
    KN_VEC(struct http_socket) sockets;
    struct http_worker *workers;
    bool started, drained;
    size_t connections; // atomic, of all workers
    size_t unfinished[2]; // atomic: bytes of requests that are not whole; [1]: of known peers
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int quiet_workers; // under lock
};

enum http_state { HTTP_READING, HTTP_OWNED, HTTP_STREAMING, HTTP_ENDED };

struct http_piece {
    struct http_piece *next;
    struct kn_piece piece;
    size_t at;
};

struct kn_http_req {
    struct kn_list link; // in its connection, or the worker's orphans
    struct kn_arena *arena;
    struct http_worker *worker;
    struct http_conn *conn; // NULL: the peer is gone
    enum http_state state;
    enum kn_http_version version;
    struct kn_sv method, path, query, host;
    struct kn_http_header *headers;
    size_t headers_len, headers_cap, headers_bytes;
    struct kn_buf body;
    struct kn_http_peer peer;
    int64_t received;
    size_t held; // bytes that the budget knows of
    void (*on_close)(struct kn_http_req *r, void *arg);
    void *on_close_arg;
    void (*on_drain)(struct kn_http_req *r, void *arg);
    void *on_drain_arg;
    bool head_only;  // HEAD
    bool chunked;    // HTTP/1.1: the answer's framing
    bool close_after;
    int refuse;      // answer with this status before anybody sees it (0: no)
    // HTTP/2
    int32_t stream_id;
    struct http_piece *out, *out_last;
    size_t pending;
    bool out_end, out_waits;  // out_waits: nghttp2 waits for kn_resume
    struct kn_list drain_link; // in the connection's `drained`
};

struct http_protocol {
    void (*read)(struct http_conn *c, struct kn_sv bytes);
    void (*drained)(struct http_conn *c); // the transport has sent everything
    void (*expired)(struct http_conn *c); // the deadline has passed
    void (*shut)(struct http_conn *c);    // finish what is under way, then close
    void (*free)(struct http_conn *c);
    // Answers. length: of the body, -1: comes bit by bit.
    void (*begin)(struct kn_http_req *r, int status, const struct kn_http_header *headers,
                  size_t headers_len, int64_t length);
    // Bytes of the body, never none and never behind a head that has no body.
    void (*push)(struct kn_http_req *r, struct kn_piece piece); // takes it
    void (*copy)(struct kn_http_req *r, struct kn_sv bytes);
    void (*end)(struct kn_http_req *r);
    void (*abort)(struct kn_http_req *r);
};
extern const struct http_protocol kn_http_h1, kn_http_h2;

enum h1_state { H1_HEAD, H1_LENGTH, H1_CHUNKED, H1_BUSY };

struct h2_session; // http2.c

struct http_conn {
    struct kn_list link;
    struct http_worker *worker;
    struct kn_stream *stream; // NULL when dead or handed over
    const struct http_protocol *protocol;
    struct kn_list requests;
    struct kn_timer timer;
    int64_t deadline; // KN_FOREVER: none; the timer may fire earlier
    struct kn_http_peer peer;
    char address[INET6_ADDRSTRLEN];
    struct kn_task free_task;
    bool dead, refuse, draining;
    // HTTP/1.1
    struct kn_buf in;
    size_t held; // of `in`, bytes that the budget knows of
    size_t scanned;
    enum h1_state state;
    bool in_parser, resume_set;
    struct kn_sv *parsing; // what the parser has not consumed, while it runs
    struct kn_http_req *current;
    int64_t body_left;
    struct kn_h1_chunked chunk;
    struct kn_task resume;
    // HTTP/2
    struct h2_session *h2;
};

// http.c
void kn_http_conn_dead(struct http_conn *c); // forgets the stream, orphans the requests
void kn_http_conn_close(struct http_conn *c, bool flush);
void kn_http_deadline(struct http_conn *c, int64_t at);
void kn_http_count(uint64_t *counter, uint64_t n);
void kn_http_worker_check(struct http_worker *w); // after a connection or a request has gone

// http_budget.c: tells what the connection's unparsed bytes, or a request that is being read, take
// now. False: all of them take more than they may; it is to be refused. Let go when a request is
// whole or has gone.
bool kn_http_hold_conn(struct http_conn *c);
bool kn_http_hold_req(struct kn_http_req *r);
void kn_http_let_go(struct kn_http_req *r);
// The time until which a body that has come so far has to be whole.
int64_t kn_http_body_deadline(const struct kn_http_req *r);

// http_req.c
struct kn_http_req *kn_http_req_new(struct http_conn *c,
                                    enum kn_http_version version);                  // NULL never
bool kn_http_req_add(struct kn_http_req *r, struct kn_sv name, struct kn_sv value); // views kept
void kn_http_req_target(struct kn_http_req *r, struct kn_sv target);
void kn_http_req_dispatch(struct kn_http_req *r); // all of it is there
void kn_http_req_orphan(struct kn_http_req *r);   // the peer is gone
void kn_http_req_free(struct kn_http_req *r);
struct kn_sv kn_http_date(struct http_worker *w);
