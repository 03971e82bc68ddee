#include "wire/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "base/thread.h"

// A change makes a new SSL_CTX, and connections that begin later use that one.
struct kn_tls_ctx {
    pthread_mutex_t lock; // of everything below
    SSL_CTX *ssl;
    struct kn_certs chain, cas;
    struct kn_key *key;
    bool server;
    struct kn_tls_client_options client;
    int refs; // atomic
};

struct kn_tls {
    SSL *ssl;
    const char *error; // static text, or NULL: take it from `code`
    unsigned long code;
    const char *peer_problem; // static text of OpenSSL's
    struct kn_cert *peer;
    bool server, done;
};

static struct kn_status ssl_error(const char *what)
{
    unsigned long e = ERR_get_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return kn_error(KN_INTERNAL, "%s: %s", what, reason ? reason : "refused by OpenSSL");
}

static int choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                       unsigned in_len, void *arg)
{
    (void)ssl, (void)arg;
    static const uint8_t ours[] = "\x02h2\x08http/1.1";
    uint8_t *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; // an unknown protocol: we answer HTTP/1.1
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// A client's certificate that does not verify is noted and counts as none.
static int verify_client(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct kn_tls *t = SSL_get_app_data(ssl);
    if (!ok && !t->peer_problem)
        t->peer_problem = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    return 1;
}

static void set_basics(SSL_CTX *c)
{
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c, 0);
    SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_read_ahead(c, 1); // one read(2) a record and not two
}

static struct kn_status set_identity(const struct kn_tls_ctx *t, SSL_CTX *c)
{
    if (!t->chain.len)
        return KN_STATUS_OK;
    if (SSL_CTX_use_certificate(c, kn_cert_x509(t->chain.ptr[0])) != 1 ||
        SSL_CTX_use_PrivateKey(c, kn_key_pkey(t->key)) != 1)
        return ssl_error("use a certificate and its key");
    for (size_t i = 1; i < t->chain.len; i++)
        if (SSL_CTX_add1_chain_cert(c, kn_cert_x509(t->chain.ptr[i])) != 1)
            return ssl_error("use a certificate chain");
    return KN_STATUS_OK;
}

static struct kn_status build(const struct kn_tls_ctx *t, SSL_CTX **ret)
{
    SSL_CTX *c = SSL_CTX_new(t->server ? TLS_server_method() : TLS_client_method());
    if (!c)
        return ssl_error("make a TLS context");
    set_basics(c);
    struct kn_status s = set_identity(t, c);
    X509_STORE *store = SSL_CTX_get_cert_store(c);
    for (size_t i = 0; i < t->cas.len; i++) {
        X509_STORE_add_cert(store, kn_cert_x509(t->cas.ptr[i]));
        if (t->server)
            SSL_CTX_add_client_CA(c, kn_cert_x509(t->cas.ptr[i]));
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (t->server) {
        // a client that just goes is no event; a server that does may have cut an answer short
        SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
        SSL_CTX_set_alpn_select_cb(c, choose_alpn, NULL);
        if (t->cas.len)
            SSL_CTX_set_verify(c, SSL_VERIFY_PEER, verify_client);
    } else {
        static const uint8_t both[] = "\x02h2\x08http/1.1", one[] = "\x08http/1.1";
        SSL_CTX_set_alpn_protos(c, t->client.http1_only ? one : both,
                                t->client.http1_only ? sizeof one - 1 : sizeof both - 1);
        SSL_CTX_set_verify(c, t->client.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
        if (t->client.system_cas && SSL_CTX_set_default_verify_paths(c) != 1 && kn_ok(s))
            s = ssl_error("read the machine's certificate authorities");
    }
    ERR_clear_error();
    if (!kn_ok(s)) {
        SSL_CTX_free(c);
        return s;
    }
    *ret = c;
    return s;
}

// Builds from the (locked) parts and swaps.
static struct kn_status rebuild(struct kn_tls_ctx *c)
{
    SSL_CTX *fresh = NULL;
    KN_TRY(build(c, &fresh));
    SSL_CTX_free(c->ssl);
    c->ssl = fresh;
    return KN_STATUS_OK;
}

static struct kn_status ctx_new(bool server, const struct kn_tls_client_options *o,
                                struct kn_tls_ctx **ret)
{
    struct kn_tls_ctx *c = KN_NEW(struct kn_tls_ctx);
    pthread_mutex_init(&c->lock, NULL);
    c->refs = 1;
    c->server = server;
    if (o)
        c->client = *o;
    struct kn_status s = rebuild(c);
    if (!kn_ok(s)) {
        kn_tls_ctx_free(c);
        return s;
    }
    *ret = c;
    return s;
}

struct kn_status kn_tls_server_new(struct kn_tls_ctx **ret)
{
    return ctx_new(true, NULL, ret);
}

struct kn_status kn_tls_client_new(const struct kn_tls_client_options *o, struct kn_tls_ctx **ret)
{
    return ctx_new(false, o, ret);
}

struct kn_tls_ctx *kn_tls_ctx_ref(struct kn_tls_ctx *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void kn_tls_ctx_free(struct kn_tls_ctx *c)
{
    if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    SSL_CTX_free(c->ssl);
    kn_certs_done(&c->chain);
    kn_certs_done(&c->cas);
    kn_key_free(c->key);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct kn_certs copy_certs(const struct kn_certs *from)
{
    struct kn_certs to = {0};
    for (size_t i = 0; from && i < from->len; i++)
        kn_certs_add(&to, from->ptr[i]);
    return to;
}

struct kn_status kn_tls_set_identity(struct kn_tls_ctx *c, const struct kn_certs *chain,
                                     struct kn_key *key)
{
    if (!chain->len || !kn_key_is_private(key))
        return kn_error(KN_INVALID, "use a certificate: needs a certificate and its private key");
    struct kn_key *public = kn_cert_key(chain->ptr[0]);
    bool same = public && kn_key_same_public(public, key);
    kn_key_free(public);
    if (!same)
        return kn_error(KN_INVALID, "use the certificate of \"%.*s\": the key belongs to another",
                        KN_SV_ARG(kn_cert_info(chain->ptr[0])->cn));
    struct kn_certs fresh = copy_certs(chain);
    pthread_mutex_lock(&c->lock);
    struct kn_certs old = c->chain;
    struct kn_key *old_key = c->key;
    c->chain = fresh;
    c->key = kn_key_ref(key);
    struct kn_status s = rebuild(c);
    if (!kn_ok(s)) { // what was there goes on
        kn_certs_done(&c->chain);
        kn_key_free(c->key);
        c->chain = old;
        c->key = old_key;
        old = (struct kn_certs){0};
        old_key = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    kn_certs_done(&old);
    kn_key_free(old_key);
    return s;
}

struct kn_status kn_tls_set_cas(struct kn_tls_ctx *c, const struct kn_certs *cas)
{
    struct kn_certs fresh = copy_certs(cas);
    pthread_mutex_lock(&c->lock);
    struct kn_certs old = c->cas;
    c->cas = fresh;
    struct kn_status s = rebuild(c);
    if (!kn_ok(s)) {
        kn_certs_done(&c->cas);
        c->cas = old;
        old = (struct kn_certs){0};
    }
    pthread_mutex_unlock(&c->lock);
    kn_certs_done(&old);
    return s;
}

// ---- connections ----

static bool set_server_name(SSL *ssl, struct kn_sv host)
{
    char name[256];
    uint8_t raw[16];
    if (host.len >= sizeof name)
        return false;
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    if (inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct kn_status kn_tls_new(struct kn_tls_ctx *c, int fd, struct kn_sv host, struct kn_tls **ret)
{
    struct kn_tls *t = KN_NEW(struct kn_tls);
    t->server = c->server;
    pthread_mutex_lock(&c->lock);
    t->ssl = SSL_new(c->ssl);
    pthread_mutex_unlock(&c->lock);
    if (!t->ssl || SSL_set_fd(t->ssl, fd) != 1 ||
        (!c->server && host.len && !set_server_name(t->ssl, host))) {
        kn_tls_free(t);
        return ssl_error("begin TLS");
    }
    if (c->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    SSL_set_app_data(t->ssl, t);
    *ret = t;
    return KN_STATUS_OK;
}

void kn_tls_free(struct kn_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    kn_cert_free(t->peer);
    free(t);
}

static enum kn_io outcome(struct kn_tls *t, int r)
{
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return KN_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return KN_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return KN_IO_EOF;
    case SSL_ERROR_SYSCALL:
        t->error = "the peer broke the connection off";
        ERR_clear_error();
        return KN_IO_FAILED;
    default:
        t->code = ERR_get_error();
        ERR_clear_error();
        return KN_IO_FAILED;
    }
}

enum kn_io kn_tls_handshake(struct kn_tls *t)
{
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r != 1)
        return outcome(t, r);
    if (t->done)
        return KN_IO_OK;
    t->done = true;
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    bool verified = !t->peer_problem && SSL_get_verify_result(t->ssl) == X509_V_OK;
    if (peer && verified) {
        struct kn_status s = kn_cert_from_x509(peer, &t->peer);
        if (!kn_ok(s))
            t->peer_problem = "the certificate cannot be read";
        kn_status_done(&s);
    }
    return KN_IO_OK;
}

enum kn_io kn_tls_read(struct kn_tls *t, void *out, size_t max, size_t *ret_n)
{
    *ret_n = 0;
    ERR_clear_error();
    int r = SSL_read_ex(t->ssl, out, max, ret_n);
    return r == 1 ? KN_IO_OK : outcome(t, r);
}

enum kn_io kn_tls_write(struct kn_tls *t, const void *bytes, size_t n, size_t *ret_n)
{
    *ret_n = 0;
    ERR_clear_error();
    int r = SSL_write_ex(t->ssl, bytes, n, ret_n);
    return r == 1 ? KN_IO_OK : outcome(t, r);
}

enum kn_io kn_tls_shutdown(struct kn_tls *t)
{
    if (!t->done)
        return KN_IO_OK;
    ERR_clear_error();
    int r = SSL_shutdown(t->ssl);
    return r >= 0 ? KN_IO_OK : outcome(t, r);
}

size_t kn_tls_buffered(const struct kn_tls *t)
{
    return SSL_has_pending(t->ssl) ? (size_t)SSL_pending(t->ssl) + 1 : 0;
}

struct kn_status kn_tls_error(const struct kn_tls *t)
{
    long verify = t->server ? X509_V_OK : SSL_get_verify_result(t->ssl);
    if (!t->done && verify != X509_V_OK)
        return kn_error(KN_UNAUTHORIZED, "TLS: the server's certificate: %s",
                        X509_verify_cert_error_string(verify));
    const char *reason = t->error ? t->error : ERR_reason_error_string(t->code);
    return kn_error(KN_CLOSED, "TLS: %s", reason ? reason : "failed");
}

bool kn_tls_is_h2(const struct kn_tls *t)
{
    const uint8_t *p;
    unsigned n;
    SSL_get0_alpn_selected(t->ssl, &p, &n);
    return n == 2 && memcmp(p, "h2", 2) == 0;
}

const struct kn_cert *kn_tls_peer(const struct kn_tls *t)
{
    return t->peer;
}

const char *kn_tls_peer_problem(const struct kn_tls *t)
{
    return t->peer_problem ? t->peer_problem : "";
}

void kn_tls_only_http1(struct kn_tls *t)
{
    static const uint8_t one[] = "\x08http/1.1";
    SSL_set_alpn_protos(t->ssl, one, sizeof one - 1);
}
