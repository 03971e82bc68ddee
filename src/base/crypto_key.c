// Private and public keys, and JOSE signatures with them.
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/crypto.h"
#include "base/crypto_ssl.h"

static void bio_free(BIO **b)
{
    BIO_free(*b);
}
static void bn_free(BIGNUM **b)
{
    BN_free(*b);
}
static void md_free(EVP_MD_CTX **m)
{
    EVP_MD_CTX_free(*m);
}

struct kn_key *kn_key_from_pkey(EVP_PKEY *pkey, bool is_private)
{
    struct kn_key *k = KN_NEW(struct kn_key);
    *k = (struct kn_key){.pkey = pkey, .refs = 1, .is_private = is_private};
    return k;
}

struct kn_status kn_key_generate(enum kn_key_type type, struct kn_key **ret)
{
    EVP_PKEY *p = NULL;
    if (type == KN_KEY_EC_P256)
        p = EVP_EC_gen("P-256");
    else if (type == KN_KEY_RSA)
        p = EVP_RSA_gen(2048);
    else
        return kn_error(KN_NOT_SUPPORTED, "make a key: only EC P-256 and RSA keys can be made");
    if (!p)
        return kn_ssl_error(KN_INTERNAL, "make a key");
    *ret = kn_key_from_pkey(p, true);
    return KN_STATUS_OK;
}

struct kn_key *kn_key_ref(struct kn_key *k)
{
    __atomic_add_fetch(&k->refs, 1, __ATOMIC_RELAXED);
    return k;
}

void kn_key_free(struct kn_key *k)
{
    if (!k || __atomic_sub_fetch(&k->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

enum kn_key_type kn_key_type(const struct kn_key *k)
{
    if (EVP_PKEY_is_a(k->pkey, "RSA"))
        return KN_KEY_RSA;
    char group[32] = "";
    if (EVP_PKEY_is_a(k->pkey, "EC") &&
        EVP_PKEY_get_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                       NULL) == 1 &&
        (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0))
        return KN_KEY_EC_P256;
    return KN_KEY_OTHER;
}

bool kn_key_is_private(const struct kn_key *k)
{
    return k->is_private;
}

// Encrypted keys are refused: nobody is asked for a pass phrase.
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

struct kn_status kn_key_parse_pem(struct kn_sv pem, struct kn_key **ret)
{
    if (pem.len > (1u << 20))
        return kn_error(KN_TOO_LARGE, "parse a key: %zu bytes of PEM", pem.len);
    if (!pem.len)
        return kn_error(KN_SYNTAX, "parse a key: the text is empty");
    {
        KN_CLEANUP(bio_free) BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
        EVP_PKEY *p = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
        if (p) {
            *ret = kn_key_from_pkey(p, true);
            return KN_STATUS_OK;
        }
    }
    ERR_clear_error();
    {
        KN_CLEANUP(bio_free) BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
        EVP_PKEY *p = PEM_read_bio_PUBKEY(b, NULL, no_passphrase, NULL);
        if (p) {
            *ret = kn_key_from_pkey(p, false);
            return KN_STATUS_OK;
        }
    }
    ERR_clear_error();
    KN_CLEANUP(bio_free) BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL);
    EVP_PKEY *p = x ? X509_get_pubkey(x) : NULL;
    X509_free(x);
    ERR_clear_error();
    if (!p)
        return kn_error(KN_SYNTAX, "parse a key: no readable, unencrypted key in the PEM text");
    *ret = kn_key_from_pkey(p, false);
    return KN_STATUS_OK;
}

struct kn_status kn_key_private_pem(const struct kn_key *k, struct kn_buf *out)
{
    if (!k->is_private)
        return kn_error(KN_INVALID, "write a private key: there is only the public one");
    KN_CLEANUP(bio_free) BIO *b = BIO_new(BIO_s_secmem());
    if (!b || PEM_write_bio_PKCS8PrivateKey(b, k->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        return kn_ssl_error(KN_INTERNAL, "write a private key");
    return kn_bio_take(b, out, "a private key");
}

struct kn_status kn_key_public_pem(const struct kn_key *k, struct kn_buf *out)
{
    KN_CLEANUP(bio_free) BIO *b = BIO_new(BIO_s_mem());
    if (!b || PEM_write_bio_PUBKEY(b, k->pkey) != 1)
        return kn_ssl_error(KN_INTERNAL, "write a public key");
    return kn_bio_take(b, out, "a public key");
}

struct kn_status kn_key_public_der(const struct kn_key *k, struct kn_buf *out)
{
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(k->pkey, &der);
    if (n < 0)
        return kn_ssl_error(KN_INTERNAL, "write a public key");
    kn_buf_add(out, kn_sv((const char *)der, (size_t)n));
    OPENSSL_free(der);
    return kn_buf_status(out, "a public key");
}

bool kn_key_same_public(const struct kn_key *a, const struct kn_key *b)
{
    return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

static bool get_number(const struct kn_key *k, const char *name, int width, uint8_t *out,
                       size_t max, size_t *ret_len)
{
    KN_CLEANUP(bn_free) BIGNUM *n = NULL;
    if (EVP_PKEY_get_bn_param(k->pkey, name, &n) != 1)
        return false;
    int len = width ? width : BN_num_bytes(n);
    if ((size_t)len > max || BN_bn2binpad(n, out, len) != len)
        return false;
    *ret_len = (size_t)len;
    return true;
}

struct kn_status kn_key_get_jwk(const struct kn_key *k, struct kn_jwk *ret)
{
    struct kn_jwk j = {.type = kn_key_type(k)};
    bool ok = false;
    if (j.type == KN_KEY_EC_P256)
        ok = get_number(k, OSSL_PKEY_PARAM_EC_PUB_X, 32, j.a, sizeof j.a, &j.a_len) &&
             get_number(k, OSSL_PKEY_PARAM_EC_PUB_Y, 32, j.b, sizeof j.b, &j.b_len);
    else if (j.type == KN_KEY_RSA)
        ok = get_number(k, OSSL_PKEY_PARAM_RSA_N, 0, j.a, sizeof j.a, &j.a_len) &&
             get_number(k, OSSL_PKEY_PARAM_RSA_E, 0, j.b, sizeof j.b, &j.b_len);
    if (!ok)
        return kn_error(KN_NOT_SUPPORTED,
                        "write a key as JWK: only EC P-256 and RSA are supported");
    *ret = j;
    return KN_STATUS_OK;
}

struct kn_status kn_key_from_jwk(const struct kn_jwk *j, struct kn_key **ret)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(j->a, (int)j->a_len, NULL), *e = BN_bin2bn(j->b, (int)j->b_len, NULL);
    uint8_t point[65] = {4};
    const char *type = NULL;
    kn_assert(bld && n && e);
    if (j->type == KN_KEY_EC_P256 && j->a_len == 32 && j->b_len == 32) {
        type = "EC";
        memcpy(point + 1, j->a, 32);
        memcpy(point + 33, j->b, 32);
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point);
    } else if (j->type == KN_KEY_RSA && BN_num_bits(n) >= 1024 && BN_num_bits(e) <= 64) {
        type = "RSA";
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n);
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e);
    }
    EVP_PKEY *p = NULL;
    if (type) {
        OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        if (!c || EVP_PKEY_fromdata_init(c) != 1 ||
            EVP_PKEY_fromdata(c, &p, EVP_PKEY_PUBLIC_KEY, params) != 1)
            p = NULL;
        EVP_PKEY_CTX_free(c);
        OSSL_PARAM_free(params);
    }
    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);
    if (!p)
        return kn_ssl_error(KN_INVALID, "read a key from JWK: no valid P-256 or RSA key");
    *ret = kn_key_from_pkey(p, false);
    return KN_STATUS_OK;
}

// DER ECDSA-Sig to r||s of 32 bytes each, and back.
static bool ecdsa_to_raw(const uint8_t *der, size_t len, uint8_t raw[64])
{
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool ok = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32) == 32 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32) == 32;
    ECDSA_SIG_free(s);
    return ok;
}

static int ecdsa_from_raw(const uint8_t raw[64], uint8_t **ret_der)
{
    ECDSA_SIG *s = ECDSA_SIG_new();
    kn_assert(s && ECDSA_SIG_set0(s, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL)) == 1);
    *ret_der = NULL;
    int n = i2d_ECDSA_SIG(s, ret_der);
    ECDSA_SIG_free(s);
    return n;
}

struct kn_status kn_key_sign(const struct kn_key *k, struct kn_sv data, struct kn_buf *out)
{
    enum kn_key_type type = kn_key_type(k);
    if (type == KN_KEY_OTHER || !k->is_private)
        return kn_error(KN_NOT_SUPPORTED, "sign: needs a private key, EC P-256 or RSA");
    KN_CLEANUP(md_free) EVP_MD_CTX *m = EVP_MD_CTX_new();
    uint8_t sig[1024], raw[64];
    size_t len = sizeof sig;
    if (!m || EVP_DigestSignInit(m, NULL, EVP_sha256(), NULL, k->pkey) != 1 ||
        EVP_DigestSign(m, sig, &len, (const uint8_t *)data.ptr, data.len) != 1)
        return kn_ssl_error(KN_INTERNAL, "sign");
    if (type == KN_KEY_RSA) {
        kn_buf_add(out, kn_sv((const char *)sig, len));
    } else {
        if (!ecdsa_to_raw(sig, len, raw))
            return kn_ssl_error(KN_INTERNAL, "sign");
        kn_buf_add(out, kn_sv((const char *)raw, sizeof raw));
    }
    return kn_buf_status(out, "a signature");
}

struct kn_status kn_key_verify(const struct kn_key *k, struct kn_sv data, struct kn_sv signature)
{
    enum kn_key_type type = kn_key_type(k);
    if (type == KN_KEY_OTHER)
        return kn_error(KN_NOT_SUPPORTED, "verify a signature: needs an EC P-256 or RSA key");
    uint8_t *der = NULL;
    const uint8_t *sig = (const uint8_t *)signature.ptr;
    size_t len = signature.len;
    if (type == KN_KEY_EC_P256) {
        if (len != 64)
            return kn_error(KN_UNAUTHORIZED, "verify a signature: it has a wrong length");
        len = (size_t)ecdsa_from_raw(sig, &der);
        sig = der;
    }
    KN_CLEANUP(md_free) EVP_MD_CTX *m = EVP_MD_CTX_new();
    bool ok = m && len && EVP_DigestVerifyInit(m, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
              EVP_DigestVerify(m, sig, len, (const uint8_t *)data.ptr, data.len) == 1;
    OPENSSL_free(der);
    ERR_clear_error();
    return ok ? KN_STATUS_OK
              : kn_error(KN_UNAUTHORIZED, "verify a signature: it was not made with this key");
}

void *kn_key_pkey(const struct kn_key *k)
{
    return k->pkey;
}
