#include "base/crypto.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/crypto_ssl.h"

struct kn_status kn_ssl_error(enum kn_code code, const char *what)
{
    unsigned long e = ERR_get_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return kn_error(code, "%s: %s", what, reason ? reason : "refused by OpenSSL");
}

struct kn_status kn_bio_take(BIO *bio, struct kn_buf *out, const char *what)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    kn_buf_add(out, kn_sv(p, (size_t)n));
    return kn_buf_status(out, what);
}

void kn_random(void *out, size_t len)
{
    kn_assert(len <= INT_MAX && RAND_bytes(out, (int)len) == 1);
}

void kn_sha256(struct kn_sv data, uint8_t out[KN_SHA256_LEN])
{
    SHA256((const uint8_t *)data.ptr, data.len, out);
}

void kn_sha1(struct kn_sv data, uint8_t out[KN_SHA1_LEN])
{
    SHA1((const uint8_t *)data.ptr, data.len, out);
}

void kn_hmac_sha256(struct kn_sv key, struct kn_sv data, uint8_t out[KN_SHA256_LEN])
{
    kn_assert(key.len <= INT_MAX);
    unsigned n = 0;
    // a NULL key means "the previous one" to HMAC
    const void *k = key.len ? key.ptr : "";
    kn_assert(HMAC(EVP_sha256(), k, (int)key.len, (const uint8_t *)data.ptr, data.len, out, &n) &&
              n == KN_SHA256_LEN);
}

struct kn_sha256 {
    EVP_MD_CTX *md;
};

struct kn_sha256 *kn_sha256_new(void)
{
    struct kn_sha256 *h = KN_NEW(struct kn_sha256);
    h->md = EVP_MD_CTX_new();
    kn_assert(h->md && EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) == 1);
    return h;
}

void kn_sha256_add(struct kn_sha256 *h, struct kn_sv data)
{
    kn_assert(EVP_DigestUpdate(h->md, data.ptr, data.len) == 1);
}

void kn_sha256_take(struct kn_sha256 *h, uint8_t out[KN_SHA256_LEN])
{
    kn_assert(EVP_DigestFinal_ex(h->md, out, NULL) == 1);
    kn_sha256_free(h);
}

void kn_sha256_free(struct kn_sha256 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->md);
    free(h);
}

void kn_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

void kn_crypto_base64(const uint8_t *bytes, size_t n, char *out)
{
    kn_assert(n <= INT_MAX / 2);
    EVP_EncodeBlock((uint8_t *)out, bytes, (int)n);
}

bool kn_ct_eq(struct kn_sv a, struct kn_sv b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void cipher_free(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c);
}

struct kn_status kn_gcm_seal(const uint8_t key[KN_GCM_KEY], const uint8_t nonce[KN_GCM_NONCE],
                             struct kn_sv aad, struct kn_sv plain, uint8_t *out)
{
    if (plain.len > INT_MAX - KN_GCM_TAG || aad.len > INT_MAX)
        return kn_error(KN_TOO_LARGE, "seal %zu bytes: more than 2 GiB", plain.len);
    KN_CLEANUP(cipher_free) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              (!aad.len ||
               EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)aad.ptr, (int)aad.len) == 1);
    n = 0;
    ok = ok &&
         (!plain.len ||
          EVP_EncryptUpdate(c, out, &n, (const uint8_t *)plain.ptr, (int)plain.len) == 1) &&
         EVP_EncryptFinal_ex(c, out + n, &last) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, KN_GCM_TAG, out + plain.len) == 1;
    return ok ? KN_STATUS_OK : kn_ssl_error(KN_INTERNAL, "seal with AES-256-GCM");
}

struct kn_status kn_gcm_open(const uint8_t key[KN_GCM_KEY], const uint8_t nonce[KN_GCM_NONCE],
                             struct kn_sv aad, struct kn_sv sealed, uint8_t *out)
{
    if (sealed.len < KN_GCM_TAG)
        return kn_error(KN_INVALID, "open sealed bytes: %zu are too few", sealed.len);
    if (sealed.len > INT_MAX || aad.len > INT_MAX)
        return kn_error(KN_TOO_LARGE, "open %zu sealed bytes: more than 2 GiB", sealed.len);
    size_t len = sealed.len - KN_GCM_TAG;
    uint8_t tag[KN_GCM_TAG];
    memcpy(tag, sealed.ptr + len, sizeof tag);
    KN_CLEANUP(cipher_free) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
              (!aad.len ||
               EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)aad.ptr, (int)aad.len) == 1);
    n = 0;
    ok = ok &&
         (!len || EVP_DecryptUpdate(c, out, &n, (const uint8_t *)sealed.ptr, (int)len) == 1) &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, KN_GCM_TAG, tag) == 1 &&
         EVP_DecryptFinal_ex(c, out + n, &last) == 1;
    if (ok)
        return KN_STATUS_OK;
    kn_wipe(out, len);
    ERR_clear_error();
    return kn_error(KN_INVALID, "open sealed bytes: they do not belong to this key and place, or "
                                "were changed");
}
