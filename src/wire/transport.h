// A socket, with or without TLS, as a kn_stream: the one implementation below HTTP and below what
// upgrades hand over. Inside wire/ only. The loop's thread alone.
//
// Writes are queued and leave at the end of the loop's turn, so that what belongs together shares
// a TLS record. An idle transport holds no buffers.
#pragma once
#include <sys/socket.h>

#include "wire/stream.h"
#include "wire/tls.h"

struct kn_transport;

// on_ready comes once, when bytes can flow (connected, handshake done); before it nothing is read.
// Takes fd, on failure too. tls: NULL for plain. host: see kn_tls_new; empty on a server.
// A stream event set (kn_stream_set_events) must be there before the loop turns.
struct kn_status kn_transport_accepted(struct kn_loop *l, int fd, struct kn_tls_ctx *tls,
                                       void (*on_ready)(void *arg), struct kn_stream **ret);
struct kn_status kn_transport_connect(struct kn_loop *l, const struct sockaddr *address,
                                      socklen_t len, struct kn_tls_ctx *tls, struct kn_sv host,
                                      void (*on_ready)(void *arg), struct kn_stream **ret);
// The same on a socket that is connected already.
struct kn_status kn_transport_client(struct kn_loop *l, int fd, struct kn_tls_ctx *tls,
                                     struct kn_sv host, void (*on_ready)(void *arg),
                                     struct kn_stream **ret);
const struct kn_tls *kn_transport_tls(const struct kn_stream *s); // NULL if plain
int kn_transport_fd(const struct kn_stream *s);
// So many bytes may wait beyond KN_STREAM_MAX: for an answer of known length that is queued at
// once.
void kn_transport_allow(struct kn_stream *s, size_t len);
// Writes at once what the socket takes, and queues a copy of the rest.
bool kn_transport_write_now(struct kn_stream *s, struct kn_sv bytes);
// Bytes that were read too far (behind a head with an upgrade): they come first, in the next turn.
void kn_transport_unread(struct kn_stream *s, struct kn_sv bytes);
// Bytes in and out since the transport began.
uint64_t kn_transport_bytes_in(const struct kn_stream *s);
uint64_t kn_transport_bytes_out(const struct kn_stream *s);
// Called when the transport is really gone, also after kn_stream_finish.
void kn_transport_on_gone(struct kn_stream *s, void (*cb)(void *arg), void *arg);
// Before the handshake of a client: do not offer HTTP/2.
void kn_transport_only_http1(struct kn_stream *s);
