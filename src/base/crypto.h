// Cryptographic primitives, private keys and X.509 certificates, over OpenSSL's libcrypto.
// Everything here is a pure function or an immutable, atomically counted object: any thread.
// OpenSSL's headers are included by crypto*.c (and wire/tls.c) alone.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/status.h"

// ---- random bytes and hashes ----

// Never fails: the process aborts when the machine has no randomness.
void kn_random(void *out, size_t len);

#define KN_SHA256_LEN 32
#define KN_SHA1_LEN 20
void kn_sha256(struct kn_sv data, uint8_t out[KN_SHA256_LEN]);
void kn_sha1(struct kn_sv data, uint8_t out[KN_SHA1_LEN]); // only where a standard demands it
void kn_hmac_sha256(struct kn_sv key, struct kn_sv data, uint8_t out[KN_SHA256_LEN]);

struct kn_sha256; // one thread at a time
struct kn_sha256 *kn_sha256_new(void);
void kn_sha256_add(struct kn_sha256 *h, struct kn_sv data);
void kn_sha256_take(struct kn_sha256 *h, uint8_t out[KN_SHA256_LEN]); // frees h
void kn_sha256_free(struct kn_sha256 *h);                             // gives up; NULL is allowed

// Lower-case hex of n bytes and a NUL: out holds 2 * n + 1 bytes.
void kn_hex(const uint8_t *bytes, size_t n, char *out);
// Standard base64 with padding and a NUL: out holds 4 * ((n + 2) / 3) + 1 bytes. For protocol
// handshakes; the codec floor has the general one.
void kn_crypto_base64(const uint8_t *bytes, size_t n, char *out);

// Constant time for equal lengths.
bool kn_ct_eq(struct kn_sv a, struct kn_sv b);

// ---- AES-256-GCM ----

#define KN_GCM_KEY 32
#define KN_GCM_NONCE 12
#define KN_GCM_TAG 16
// out holds plain.len + KN_GCM_TAG bytes: the ciphertext, then the tag. A nonce must never be used
// twice with one key.
struct kn_status kn_gcm_seal(const uint8_t key[KN_GCM_KEY], const uint8_t nonce[KN_GCM_NONCE],
                             struct kn_sv aad, struct kn_sv plain, uint8_t *out);
// sealed: ciphertext and tag; out holds sealed.len - KN_GCM_TAG bytes. KN_INVALID when the key, the
// nonce, the additional data or the bytes are not those of the seal; out is wiped then.
struct kn_status kn_gcm_open(const uint8_t key[KN_GCM_KEY], const uint8_t nonce[KN_GCM_NONCE],
                             struct kn_sv aad, struct kn_sv sealed, uint8_t *out);

// ---- keys ----

enum kn_key_type { KN_KEY_EC_P256, KN_KEY_RSA, KN_KEY_OTHER };

struct kn_key; // private, or public only; immutable, counted
struct kn_status kn_key_generate(enum kn_key_type type, struct kn_key **ret); // RSA: 2048 bits
struct kn_key *kn_key_ref(struct kn_key *k);
void kn_key_free(struct kn_key *k); // drops one reference; NULL is allowed
static inline void kn_key_cleanup(struct kn_key **k)
{
    kn_key_free(*k);
}
enum kn_key_type kn_key_type(const struct kn_key *k);
bool kn_key_is_private(const struct kn_key *k);

// A private key (PKCS#8, SEC1 or PKCS#1, not encrypted), a public key, or the public key of a
// certificate: the first PEM block of such a kind in the text. KN_SYNTAX if there is none.
struct kn_status kn_key_parse_pem(struct kn_sv pem, struct kn_key **ret);
// Appends PKCS#8 PEM. The buffer is the caller's to wipe. KN_INVALID on a public key.
struct kn_status kn_key_private_pem(const struct kn_key *k, struct kn_buf *out);
// Appends SubjectPublicKeyInfo as PEM, or as DER (its SHA-256 is what Kubernetes takes as key id).
struct kn_status kn_key_public_pem(const struct kn_key *k, struct kn_buf *out);
struct kn_status kn_key_public_der(const struct kn_key *k, struct kn_buf *out);
bool kn_key_same_public(const struct kn_key *a, const struct kn_key *b);

// The public numbers of RFC 7518 section 6, big endian. EC: x and y, 32 bytes each. RSA: n and e.
struct kn_jwk {
    enum kn_key_type type;
    uint8_t a[1024]; // x or n
    uint8_t b[64];   // y or e
    size_t a_len, b_len;
};
struct kn_status kn_key_get_jwk(const struct kn_key *k, struct kn_jwk *ret);
struct kn_status kn_key_from_jwk(const struct kn_jwk *jwk, struct kn_key **ret);

// JOSE signatures (RFC 7518): ES256 as raw r||s (64 bytes) for P-256, RS256 (PKCS#1 v1.5) for RSA;
// the key's type decides. Appends to *out. KN_NOT_SUPPORTED for other keys.
struct kn_status kn_key_sign(const struct kn_key *k, struct kn_sv data, struct kn_buf *out);
// KN_UNAUTHORIZED when the signature is not this key's.
struct kn_status kn_key_verify(const struct kn_key *k, struct kn_sv data, struct kn_sv signature);

// ---- certificates ----

enum kn_cert_usage { KN_CERT_SERVER = 1, KN_CERT_CLIENT = 2, KN_CERT_CA = 4 };

// What a certificate says about its subject; the same words to make one and to read one.
struct kn_cert_info {
    struct kn_sv cn;
    const struct kn_sv *orgs; // O, in order
    size_t orgs_len;
    const struct kn_sv *dns; // subject alternative names
    size_t dns_len;
    const struct kn_sv *ips; // as text
    size_t ips_len;
    const struct kn_sv *uris;
    size_t uris_len;
    unsigned usage; // enum kn_cert_usage, or-ed
    struct kn_time not_before, not_after;
    // only when read
    struct kn_sv serial; // lower-case hex
    struct kn_sv issuer_cn;
    uint8_t sha256[KN_SHA256_LEN]; // of the DER: the fingerprint
};

struct kn_cert; // immutable, counted
struct kn_cert *kn_cert_ref(const struct kn_cert *c);
void kn_cert_free(struct kn_cert *c); // drops one reference; NULL is allowed
static inline void kn_cert_cleanup(struct kn_cert **c)
{
    kn_cert_free(*c);
}
// Borrowed, lives as long as the certificate.
const struct kn_cert_info *kn_cert_info(const struct kn_cert *c);
struct kn_key *kn_cert_key(const struct kn_cert *c); // a new reference to its public key
struct kn_status kn_cert_pem(const struct kn_cert *c, struct kn_buf *out); // appends
struct kn_status kn_cert_der(const struct kn_cert *c, struct kn_buf *out); // appends

// Growing list of certificates; owns a reference to each.
struct kn_certs {
    struct kn_cert **ptr;
    size_t len, cap;
};
void kn_certs_add(struct kn_certs *list, const struct kn_cert *c); // takes a reference of its own
void kn_certs_done(struct kn_certs *list);

// Every CERTIFICATE block of the text, in order (a bundle, or a chain, leaf first). KN_SYNTAX if
// one is malformed or there is none. At most 1,000.
struct kn_status kn_certs_parse_pem(struct kn_sv pem, struct kn_certs *ret);
struct kn_status kn_cert_parse_der(struct kn_sv der, struct kn_cert **ret);

// A self-signed authority. usage is taken as KN_CERT_CA.
struct kn_status kn_cert_make_ca(struct kn_key *key, const struct kn_cert_info *subject,
                                 struct kn_cert **ret);
// A certificate for the public part of `key`, signed by the authority. A random 128 bit serial.
// not_after is cut to the authority's own. KN_INVALID for an address that is none, or a name that
// is longer than X.509 allows (64 bytes for CN and O).
struct kn_status kn_cert_issue(const struct kn_cert *ca, struct kn_key *ca_key, struct kn_key *key,
                               const struct kn_cert_info *subject, struct kn_cert **ret);
// Chain of trust from `leaf` over `between` (NULL: none) to one of `roots`, at time `when`, for one
// usage (KN_CERT_SERVER or KN_CERT_CLIENT). KN_UNAUTHORIZED with the reason if there is none.
struct kn_status kn_cert_verify(const struct kn_cert *leaf, const struct kn_certs *between,
                                const struct kn_certs *roots, enum kn_cert_usage usage,
                                struct kn_time when);
// Whether the certificate is valid for this DNS name or address (as text), RFC 6125.
bool kn_cert_matches(const struct kn_cert *c, struct kn_sv host);

// ---- certificate signing requests (PKCS#10) ----

struct kn_csr; // immutable, owned
// The PEM block CERTIFICATE REQUEST. KN_SYNTAX if malformed, KN_INVALID if its own signature does
// not verify.
struct kn_status kn_csr_parse_pem(struct kn_sv pem, struct kn_csr **ret);
void kn_csr_free(struct kn_csr *r);
const struct kn_cert_info *kn_csr_info(const struct kn_csr *r); // cn, orgs, dns, ips, uris
struct kn_key *kn_csr_key(const struct kn_csr *r);              // a new reference, public
// Appends PEM of a request for `subject` (cn, orgs, dns, ips), signed by the private key.
struct kn_status kn_csr_make(struct kn_key *key, const struct kn_cert_info *subject,
                             struct kn_buf *out);

// ---- for wire/tls.c only: OpenSSL's own objects, borrowed ----

void *kn_key_pkey(const struct kn_key *k);                                // EVP_PKEY *
void *kn_cert_x509(const struct kn_cert *c);                              // X509 *
struct kn_status kn_cert_from_x509(void *x509, struct kn_cert **ret);     // takes a reference
