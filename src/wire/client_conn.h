// What the files of the HTTP client share. Inside wire/ only. Everything belongs to the thread of
// the client's loop, except where a comment says otherwise.
#pragma once
#include <pthread.h>
#include <sys/socket.h>

#include "wire/client.h"
#include "wire/http1.h"
#include "wire/transport.h"

#define CLIENT_ADDRESSES 4

struct client_address {
    struct sockaddr_storage a;
    socklen_t len;
};

struct client_conn;

struct client_origin {
    struct kn_list link;
    struct kn_http_client *client;
    char *key;  // "https://host:port"
    char *host; // what the server must prove
    bool tls, is_unix, is_base;
    bool known_h2; // a connection has chosen it
    struct client_address addresses[CLIENT_ADDRESSES];
    size_t addresses_len;
    struct kn_list conns, waiting;
    size_t conns_len, connecting;
    struct kn_task pump;
    bool pump_set;
};

struct kn_http_client {
    struct kn_loop *loop;
    bool own_loop, freed;
    struct kn_http_client_config config;
    char *base, *server_name, *user_agent;
    struct kn_tls_ctx *tls;
    struct kn_list origins;
    pthread_mutex_t lock; // of the token
    struct kn_secret *token;
    unsigned generation; // atomic: connections of an older one take no new requests
};

// What a call asks for, parsed; text in its arena.
struct kn_call {
    struct kn_list link; // the origin's waiting, or the connection's calls
    struct kn_http_client *client;
    struct client_origin *origin;
    struct client_conn *conn; // NULL: waiting
    struct kn_arena *arena;
    struct kn_sv method, target, authority;
    struct kn_http_header *headers; // lower-case names are not needed by HTTP/1.1, and made for h2
    size_t headers_len;
    struct kn_piece body;
    size_t body_at;
    bool has_body, upgrade, retried, paused, answered;
    int connected_fd;
    const struct kn_call_events *ev;
    void *arg;
    struct kn_timer timer;
    // HTTP/2
    int32_t stream_id;
    int status;
    struct kn_http_header *got;
    size_t got_len, got_cap, got_bytes;
    bool head_done;
    struct kn_buf held; // came while paused
    struct kn_status failure;
};

struct client_protocol {
    bool (*room)(const struct client_conn *c); // takes one more call now
    void (*start)(struct client_conn *c, struct kn_call *call);
    void (*read)(struct client_conn *c, struct kn_sv bytes);
    void (*cancel)(struct client_conn *c, struct kn_call *call);
    void (*pause)(struct client_conn *c, struct kn_call *call, bool paused);
    void (*drained)(struct client_conn *c);
    // The peer closed. True: that ends the current answer in order.
    bool (*closed)(struct client_conn *c);
    void (*free)(struct client_conn *c);
};
extern const struct client_protocol kn_client_h1, kn_client_h2;

struct h2_client;

struct client_conn {
    struct kn_list link;
    struct client_origin *origin;
    struct kn_stream *stream;
    const struct client_protocol *protocol; // NULL: connecting
    struct kn_list calls;
    struct kn_timer timer; // of connecting, then of being idle
    struct kn_task free_task, resume;
    bool dead, resume_set, used, closing; // closing: takes no more calls
    unsigned generation;
    size_t address; // index of the one that is being tried
    struct kn_call *only; // an upgrade, or a given socket: nobody else's connection
    // HTTP/1.1
    struct kn_buf in;
    size_t scanned;
    int state;
    int64_t left;
    struct kn_h1_chunked chunk;
    bool keep, in_parser;
    struct kn_arena *head; // of the answer's head, while it is reported
    // HTTP/2
    struct h2_client *h2;
};

// Ends a call: callback, then free. Takes status.
void kn_client_call_end(struct kn_call *call, struct kn_status status);
void kn_client_conn_idle(struct client_conn *c);  // a call has gone; look for the next
void kn_client_conn_close(struct client_conn *c); // dead at once; its calls must be gone
// Fails (or retries) the calls and closes. Takes status.
void kn_client_conn_fail(struct client_conn *c, struct kn_status status);
struct kn_sv kn_client_bearer(struct kn_call *call); // "Bearer ...", in the call's arena, or empty
// Blocking functions: resolves the URL's host. Any thread.
struct kn_status kn_client_resolve(struct kn_http_client *c, struct kn_sv url,
                                   struct client_address out[CLIENT_ADDRESSES], size_t *ret_len);
// kn_call_start with addresses (len 0: as kn_call_start).
struct kn_status kn_client_start(struct kn_http_client *c, const struct kn_http_client_req *req,
                                 const struct client_address *addresses, size_t len,
                                 const struct kn_call_events *ev, void *arg, struct kn_call **ret);
