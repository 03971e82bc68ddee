// TLS 1.2 and 1.3 over OpenSSL: contexts whose certificate and authorities can be replaced at run
// time, and non-blocking connections on a socket. No session cache and no tickets: every
// connection verifies its peer anew, and idle connections give their record buffers back.
#pragma once
#include "base/crypto.h"

// ---- contexts: any thread ----

struct kn_tls_ctx; // counted
struct kn_tls_ctx *kn_tls_ctx_ref(struct kn_tls_ctx *c);
void kn_tls_ctx_free(struct kn_tls_ctx *c); // drops one reference; NULL is allowed

// Server: ALPN h2 and http/1.1. A client certificate is asked for when there are client_cas, and is
// optional; one that does not verify against them counts as none (kn_tls_peer_problem says why), so
// that the application can answer 401 in words.
struct kn_status kn_tls_server_new(struct kn_tls_ctx **ret);
// Client: ALPN as chosen; verifies the server against the authorities and its name, unless
// insecure.
struct kn_tls_client_options {
    bool insecure;    // no verification at all
    bool system_cas;  // besides kn_tls_set_cas: the machine's own bundle
    bool http1_only;  // ALPN without h2
};
struct kn_status kn_tls_client_new(const struct kn_tls_client_options *o, struct kn_tls_ctx **ret);

// Replace at run time; connections that exist are not touched, new ones use the new values.
// chain: leaf first. The key must be the leaf's, or KN_INVALID. Both are referenced, not copied.
struct kn_status kn_tls_set_identity(struct kn_tls_ctx *c, const struct kn_certs *chain,
                                     struct kn_key *key);
// The authorities that peers are verified against (server: of client certificates).
struct kn_status kn_tls_set_cas(struct kn_tls_ctx *c, const struct kn_certs *cas);

// ---- connections: one thread at a time ----

struct kn_tls;
enum kn_io { KN_IO_OK, KN_IO_WANT_READ, KN_IO_WANT_WRITE, KN_IO_EOF, KN_IO_FAILED };

// On a connected non-blocking socket, which stays the caller's. host: the name or address (as text)
// that the server must prove, also sent as SNI if it is a name; empty on servers.
struct kn_status kn_tls_new(struct kn_tls_ctx *c, int fd, struct kn_sv host, struct kn_tls **ret);
void kn_tls_free(struct kn_tls *t); // NULL is allowed
void kn_tls_only_http1(struct kn_tls *t); // client, before the handshake: do not offer h2
enum kn_io kn_tls_handshake(struct kn_tls *t); // OK: done
enum kn_io kn_tls_read(struct kn_tls *t, void *out, size_t max, size_t *ret_n);
enum kn_io kn_tls_write(struct kn_tls *t, const void *bytes, size_t n, size_t *ret_n);
enum kn_io kn_tls_shutdown(struct kn_tls *t); // sends close_notify; does not wait for the peer's
// Bytes that were decrypted and not read yet: epoll does not know of them.
size_t kn_tls_buffered(const struct kn_tls *t);
// Why the last call returned KN_IO_FAILED, in words.
struct kn_status kn_tls_error(const struct kn_tls *t);
bool kn_tls_is_h2(const struct kn_tls *t); // ALPN chose h2
// The peer's certificate if it verified, else NULL; borrowed, lives as long as the connection.
const struct kn_cert *kn_tls_peer(const struct kn_tls *t);
// Why a certificate that the client presented was not accepted; "" if none was presented or it was.
const char *kn_tls_peer_problem(const struct kn_tls *t);
