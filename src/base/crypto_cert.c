// X.509 certificates and signing requests.
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/crypto.h"
#include "base/crypto_ssl.h"

struct kn_cert {
    X509 *x;
    struct kn_arena *arena; // of info
    struct kn_cert_info info;
    int refs; // atomic
};

struct kn_csr {
    X509_REQ *r;
    struct kn_arena *arena;
    struct kn_cert_info info;
};

static void bio_free(BIO **b)
{
    BIO_free(*b);
}
static void x509_free(X509 **x)
{
    X509_free(*x);
}
static void req_free(X509_REQ **r)
{
    X509_REQ_free(*r);
}
static void names_free(GENERAL_NAMES **g)
{
    GENERAL_NAMES_free(*g);
}

// ---- reading ----

static struct kn_sv dup_string(struct kn_arena *a, const ASN1_STRING *s)
{
    uint8_t *utf8 = NULL;
    int n = s ? ASN1_STRING_to_UTF8(&utf8, s) : -1;
    if (n < 0)
        return KN_SV("");
    struct kn_sv v = kn_arena_dup(a, kn_sv((char *)utf8, (size_t)n));
    OPENSSL_free(utf8);
    return v;
}

static struct kn_sv name_part(struct kn_arena *a, const X509_NAME *name, int nid)
{
    int i = X509_NAME_get_index_by_NID(name, nid, -1);
    return i < 0 ? KN_SV("")
                 : dup_string(a, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
}

static void read_subject(struct kn_arena *a, const X509_NAME *name, struct kn_cert_info *info)
{
    info->cn = name_part(a, name, NID_commonName);
    int entries = X509_NAME_entry_count(name);
    struct kn_sv *orgs = kn_arena_calloc(a, (size_t)entries + 1, sizeof *orgs);
    int at = -1;
    while (orgs && (at = X509_NAME_get_index_by_NID(name, NID_organizationName, at)) >= 0)
        orgs[info->orgs_len++] =
            dup_string(a, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    info->orgs = orgs;
}

static struct kn_sv ip_text(struct kn_arena *a, const ASN1_STRING *s)
{
    char text[INET6_ADDRSTRLEN] = "";
    int n = ASN1_STRING_length(s);
    if (n == 4 || n == 16)
        inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text, sizeof text);
    return kn_arena_dup(a, kn_sv_c(text));
}

static void read_names(struct kn_arena *a, const GENERAL_NAMES *names, struct kn_cert_info *info)
{
    int n = names ? sk_GENERAL_NAME_num(names) : 0;
    if (n <= 0)
        return;
    struct kn_sv *all = kn_arena_calloc(a, 3 * (size_t)n, sizeof *all);
    if (!all)
        return;
    struct kn_sv *dns = all, *ips = all + n, *uris = all + 2 * n;
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_DNS)
            dns[info->dns_len++] = dup_string(a, g->d.dNSName);
        else if (g->type == GEN_IPADD)
            ips[info->ips_len++] = ip_text(a, g->d.iPAddress);
        else if (g->type == GEN_URI)
            uris[info->uris_len++] = dup_string(a, g->d.uniformResourceIdentifier);
    }
    info->dns = dns;
    info->ips = ips;
    info->uris = uris;
}

static struct kn_time time_of(const ASN1_TIME *t)
{
    struct tm tm = {0};
    if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
        return (struct kn_time){0};
    int64_t s = timegm(&tm);
    // years beyond 2262 do not fit
    if (s > INT64_MAX / KN_SECOND)
        return (struct kn_time){INT64_MAX};
    if (s < INT64_MIN / KN_SECOND)
        return (struct kn_time){INT64_MIN};
    return (struct kn_time){s * KN_SECOND};
}

static unsigned usage_of(X509 *x)
{
    unsigned usage = 0;
    uint32_t ext = X509_get_extended_key_usage(x); // UINT32_MAX when there is no such extension
    if (ext & XKU_SSL_SERVER)
        usage |= KN_CERT_SERVER;
    if (ext & XKU_SSL_CLIENT)
        usage |= KN_CERT_CLIENT;
    if (X509_check_ca(x) >= 1)
        usage |= KN_CERT_CA;
    return usage;
}

static struct kn_sv serial_text(struct kn_arena *a, X509 *x)
{
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    int len = n ? BN_num_bytes(n) : 0;
    uint8_t raw[64];
    char hex[2 * sizeof raw + 1] = "";
    if (n && len <= (int)sizeof raw) {
        BN_bn2bin(n, raw);
        kn_hex(raw, (size_t)len, hex);
    }
    BN_free(n);
    return kn_arena_dup(a, kn_sv_c(hex));
}

#define CERT_LIMIT (256u << 10)

// Takes one reference of x's.
static struct kn_status wrap_x509(X509 *x, struct kn_cert **ret)
{
    struct kn_cert *c = KN_NEW(struct kn_cert);
    c->x = x;
    c->refs = 1;
    struct kn_arena *a = c->arena = kn_arena_new(512, CERT_LIMIT);
    read_subject(a, X509_get_subject_name(x), &c->info);
    KN_CLEANUP(names_free)
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    read_names(a, names, &c->info);
    c->info.usage = usage_of(x);
    c->info.not_before = time_of(X509_get0_notBefore(x));
    c->info.not_after = time_of(X509_get0_notAfter(x));
    c->info.serial = serial_text(a, x);
    c->info.issuer_cn = name_part(a, X509_get_issuer_name(x), NID_commonName);
    unsigned n = 0;
    ERR_clear_error();
    if (X509_digest(x, EVP_sha256(), c->info.sha256, &n) != 1 || kn_arena_failed(a)) {
        struct kn_status s = kn_arena_failed(a) ? kn_arena_error(a, "a certificate's names")
                                                : kn_ssl_error(KN_SYNTAX, "hash a certificate");
        kn_cert_free(c);
        return s;
    }
    *ret = c;
    return KN_STATUS_OK;
}

struct kn_status kn_cert_from_x509(void *x509, struct kn_cert **ret)
{
    X509_up_ref(x509);
    return wrap_x509(x509, ret);
}

void *kn_cert_x509(const struct kn_cert *c)
{
    return c->x;
}

struct kn_cert *kn_cert_ref(const struct kn_cert *c)
{
    // the count is not part of what is immutable
    struct kn_cert *m = (struct kn_cert *)(uintptr_t)c;
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void kn_cert_free(struct kn_cert *c)
{
    if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    X509_free(c->x);
    kn_arena_free(c->arena);
    free(c);
}

const struct kn_cert_info *kn_cert_info(const struct kn_cert *c)
{
    return &c->info;
}

struct kn_key *kn_cert_key(const struct kn_cert *c)
{
    EVP_PKEY *p = X509_get_pubkey(c->x);
    ERR_clear_error();
    return p ? kn_key_from_pkey(p, false) : NULL;
}

struct kn_status kn_cert_pem(const struct kn_cert *c, struct kn_buf *out)
{
    KN_CLEANUP(bio_free) BIO *b = BIO_new(BIO_s_mem());
    if (!b || PEM_write_bio_X509(b, c->x) != 1)
        return kn_ssl_error(KN_INTERNAL, "write a certificate");
    return kn_bio_take(b, out, "a certificate");
}

struct kn_status kn_cert_der(const struct kn_cert *c, struct kn_buf *out)
{
    uint8_t *der = NULL;
    int n = i2d_X509(c->x, &der);
    if (n < 0)
        return kn_ssl_error(KN_INTERNAL, "write a certificate");
    kn_buf_add(out, kn_sv((const char *)der, (size_t)n));
    OPENSSL_free(der);
    return kn_buf_status(out, "a certificate");
}

void kn_certs_add(struct kn_certs *list, const struct kn_cert *c)
{
    if (list->len == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 4;
        list->ptr = kn_realloc(list->ptr, list->cap, sizeof *list->ptr);
    }
    list->ptr[list->len++] = kn_cert_ref(c);
}

void kn_certs_done(struct kn_certs *list)
{
    for (size_t i = 0; i < list->len; i++)
        kn_cert_free(list->ptr[i]);
    free(list->ptr);
    *list = (struct kn_certs){0};
}

#define CERTS_MAX 1000

struct kn_status kn_certs_parse_pem(struct kn_sv pem, struct kn_certs *ret)
{
    if (pem.len > (4u << 20))
        return kn_error(KN_TOO_LARGE, "parse certificates: %zu bytes of PEM", pem.len);
    if (!pem.len)
        return kn_error(KN_SYNTAX, "parse certificates: the text is empty");
    KN_CLEANUP(bio_free) BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    struct kn_certs list = {0};
    struct kn_status s = KN_STATUS_OK;
    while (kn_ok(s)) {
        X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
        if (!x)
            break;
        struct kn_cert *c = NULL;
        s = list.len < CERTS_MAX ? wrap_x509(x, &c)
                                 : (X509_free(x), kn_error(KN_TOO_LARGE, "parse certificates: more "
                                                                         "than %d", CERTS_MAX));
        if (c) {
            kn_certs_add(&list, c);
            kn_cert_free(c);
        }
    }
    unsigned long e = ERR_peek_last_error();
    if (kn_ok(s) && e && ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
        s = kn_ssl_error(KN_SYNTAX, "parse certificates");
    ERR_clear_error();
    if (kn_ok(s) && !list.len)
        s = kn_error(KN_SYNTAX, "parse certificates: there is none in the PEM text");
    if (!kn_ok(s)) {
        kn_certs_done(&list);
        return s;
    }
    *ret = list;
    return s;
}

struct kn_status kn_cert_parse_der(struct kn_sv der, struct kn_cert **ret)
{
    const uint8_t *p = (const uint8_t *)der.ptr;
    X509 *x = der.len <= (1u << 20) ? d2i_X509(NULL, &p, (long)der.len) : NULL;
    if (!x)
        return kn_ssl_error(KN_SYNTAX, "parse a certificate");
    return wrap_x509(x, ret);
}

// ---- making ----

static bool set_time(ASN1_TIME *t, struct kn_time when)
{
    int64_t s = when.ns / KN_SECOND;
    return ASN1_TIME_set(t, (time_t)s) != NULL;
}

static struct kn_status add_name(X509_NAME *name, int nid, struct kn_sv text)
{
    if (text.len > 64 || X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8,
                                                    (const uint8_t *)text.ptr, (int)text.len, -1,
                                                    0) != 1)
        return kn_ssl_error(KN_INVALID, "write a certificate's subject: a name that is empty, "
                                        "longer than 64 bytes or no UTF-8");
    return KN_STATUS_OK;
}

static struct kn_status write_subject(X509_NAME *name, const struct kn_cert_info *subject)
{
    for (size_t i = 0; i < subject->orgs_len; i++)
        KN_TRY(add_name(name, NID_organizationName, subject->orgs[i]));
    if (subject->cn.len)
        KN_TRY(add_name(name, NID_commonName, subject->cn));
    return KN_STATUS_OK;
}

static void push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    kn_assert(g && value);
    GENERAL_NAME_set0_value(g, type, value);
    sk_GENERAL_NAME_push(names, g);
}

static void push_text(GENERAL_NAMES *names, int type, struct kn_sv text)
{
    ASN1_STRING *s = ASN1_IA5STRING_new();
    kn_assert(s && ASN1_STRING_set(s, text.ptr, (int)text.len) == 1);
    push_name(names, type, s);
}

static struct kn_status push_ip(GENERAL_NAMES *names, struct kn_sv text)
{
    char c[INET6_ADDRSTRLEN] = "";
    uint8_t raw[16];
    int n = 0;
    if (text.len < sizeof c) {
        memcpy(c, text.ptr, text.len);
        n = inet_pton(AF_INET, c, raw) == 1 ? 4 : inet_pton(AF_INET6, c, raw) == 1 ? 16 : 0;
    }
    if (!n)
        return kn_error(KN_INVALID, "write a certificate: \"%.*s\" is no address", KN_SV_ARG(text));
    ASN1_STRING *s = ASN1_OCTET_STRING_new();
    kn_assert(s && ASN1_STRING_set(s, raw, n) == 1);
    push_name(names, GEN_IPADD, s);
    return KN_STATUS_OK;
}

// *ret stays NULL when there are no names.
static struct kn_status make_names(const struct kn_cert_info *subject, GENERAL_NAMES **ret)
{
    if (!subject->dns_len && !subject->ips_len && !subject->uris_len)
        return KN_STATUS_OK;
    *ret = GENERAL_NAMES_new();
    for (size_t i = 0; i < subject->dns_len; i++)
        push_text(*ret, GEN_DNS, subject->dns[i]);
    for (size_t i = 0; i < subject->ips_len; i++)
        KN_TRY(push_ip(*ret, subject->ips[i]));
    for (size_t i = 0; i < subject->uris_len; i++)
        push_text(*ret, GEN_URI, subject->uris[i]);
    return KN_STATUS_OK;
}

static bool add_ext(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool add_extensions(X509 *x, X509 *issuer, const struct kn_cert_info *subject, bool ca)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    unsigned both = KN_CERT_SERVER | KN_CERT_CLIENT;
    const char *ext = (subject->usage & both) == both        ? "serverAuth,clientAuth"
                      : (subject->usage & KN_CERT_SERVER)    ? "serverAuth"
                      : (subject->usage & KN_CERT_CLIENT)    ? "clientAuth"
                                                             : NULL;
    return add_ext(x, &ctx, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
           add_ext(x, &ctx, NID_key_usage,
                   ca ? "critical,digitalSignature,keyCertSign,cRLSign,keyEncipherment"
                      : "critical,digitalSignature,keyEncipherment") &&
           add_ext(x, &ctx, NID_subject_key_identifier, "hash") &&
           (ca || add_ext(x, &ctx, NID_authority_key_identifier, "keyid:always")) &&
           (ca || !ext || add_ext(x, &ctx, NID_ext_key_usage, ext));
}

static bool set_serial(X509 *x)
{
    uint8_t raw[16];
    kn_random(raw, sizeof raw);
    raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40); // positive, and always 16 bytes
    BIGNUM *n = BN_bin2bn(raw, sizeof raw, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

static struct kn_status make_cert(const struct kn_cert *issuer, struct kn_key *issuer_key,
                                  struct kn_key *key, const struct kn_cert_info *subject,
                                  struct kn_cert **ret)
{
    bool ca = !issuer || (subject->usage & KN_CERT_CA);
    struct kn_time end = subject->not_after;
    if (issuer && issuer->info.not_after.ns < end.ns)
        end = issuer->info.not_after;
    KN_CLEANUP(x509_free) X509 *x = X509_new();
    kn_assert(x && X509_set_version(x, X509_VERSION_3) == 1);
    if (!set_serial(x) || !set_time(X509_getm_notBefore(x), subject->not_before) ||
        !set_time(X509_getm_notAfter(x), end) || X509_set_pubkey(x, key->pkey) != 1)
        return kn_ssl_error(KN_INTERNAL, "make a certificate");
    KN_TRY(write_subject(X509_get_subject_name(x), subject));
    X509 *from = issuer ? issuer->x : x;
    if (X509_set_issuer_name(x, X509_get_subject_name(from)) != 1 ||
        !add_extensions(x, from, subject, ca))
        return kn_ssl_error(KN_INTERNAL, "make a certificate");
    KN_CLEANUP(names_free) GENERAL_NAMES *names = NULL;
    KN_TRY(make_names(subject, &names));
    if (names && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
        return kn_ssl_error(KN_INTERNAL, "write a certificate's names");
    if (X509_sign(x, issuer_key->pkey, EVP_sha256()) <= 0)
        return kn_ssl_error(KN_INTERNAL, "sign a certificate");
    // Through DER once: the result is exactly what a reader will see.
    uint8_t *der = NULL;
    int n = i2d_X509(x, &der);
    if (n < 0)
        return kn_ssl_error(KN_INTERNAL, "write a certificate");
    struct kn_status s = kn_cert_parse_der(kn_sv((char *)der, (size_t)n), ret);
    OPENSSL_free(der);
    return s;
}

struct kn_status kn_cert_make_ca(struct kn_key *key, const struct kn_cert_info *subject,
                                 struct kn_cert **ret)
{
    if (!key->is_private)
        return kn_error(KN_INVALID, "make an authority: needs its private key");
    return make_cert(NULL, key, key, subject, ret);
}

struct kn_status kn_cert_issue(const struct kn_cert *ca, struct kn_key *ca_key, struct kn_key *key,
                               const struct kn_cert_info *subject, struct kn_cert **ret)
{
    if (!ca_key->is_private || X509_check_private_key(ca->x, ca_key->pkey) != 1) {
        ERR_clear_error();
        return kn_error(KN_INVALID, "issue a certificate: the key is not the authority's");
    }
    return make_cert(ca, ca_key, key, subject, ret);
}

// ---- checking ----

static void push_all(STACK_OF(X509) * stack, const struct kn_certs *list)
{
    for (size_t i = 0; list && i < list->len; i++)
        sk_X509_push(stack, list->ptr[i]->x);
}

struct kn_status kn_cert_verify(const struct kn_cert *leaf, const struct kn_certs *between,
                                const struct kn_certs *roots, enum kn_cert_usage usage,
                                struct kn_time when)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *middle = sk_X509_new_null();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    kn_assert(store && middle && ctx);
    for (size_t i = 0; i < roots->len; i++)
        X509_STORE_add_cert(store, roots->ptr[i]->x);
    push_all(middle, between);
    kn_assert(X509_STORE_CTX_init(ctx, store, leaf->x, middle) == 1);
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_purpose(p, usage == KN_CERT_SERVER ? X509_PURPOSE_SSL_SERVER
                                                             : X509_PURPOSE_SSL_CLIENT);
    X509_VERIFY_PARAM_set_time(p, (time_t)(when.ns / KN_SECOND));
    X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN);
    bool ok = X509_verify_cert(ctx) == 1;
    const char *why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
    X509_STORE_CTX_free(ctx);
    sk_X509_free(middle);
    X509_STORE_free(store);
    ERR_clear_error();
    if (ok)
        return KN_STATUS_OK;
    return kn_error(KN_UNAUTHORIZED, "verify the certificate of \"%.*s\": %s",
                    KN_SV_ARG(leaf->info.cn), why);
}

bool kn_cert_matches(const struct kn_cert *c, struct kn_sv host)
{
    char ip[INET6_ADDRSTRLEN] = "";
    uint8_t raw[16];
    if (host.len && host.len < sizeof ip) {
        memcpy(ip, host.ptr, host.len);
        if (inet_pton(AF_INET, ip, raw) == 1 || inet_pton(AF_INET6, ip, raw) == 1)
            return X509_check_ip_asc(c->x, ip, 0) == 1;
    }
    return host.len && X509_check_host(c->x, host.ptr, host.len, 0, NULL) == 1;
}

// ---- signing requests ----

struct kn_status kn_csr_parse_pem(struct kn_sv pem, struct kn_csr **ret)
{
    if (!pem.len || pem.len > (1u << 20))
        return kn_error(KN_SYNTAX, "parse a certificate request: %zu bytes of PEM", pem.len);
    KN_CLEANUP(bio_free) BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    KN_CLEANUP(req_free) X509_REQ *r = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
    if (!r)
        return kn_ssl_error(KN_SYNTAX, "parse a certificate request");
    EVP_PKEY *p = X509_REQ_get0_pubkey(r);
    if (!p || X509_REQ_verify(r, p) != 1)
        return kn_ssl_error(KN_INVALID, "parse a certificate request: its signature");
    struct kn_csr *csr = KN_NEW(struct kn_csr);
    csr->arena = kn_arena_new(512, CERT_LIMIT);
    read_subject(csr->arena, X509_REQ_get_subject_name(r), &csr->info);
    STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(r);
    KN_CLEANUP(names_free)
    GENERAL_NAMES *names = exts ? X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL) : NULL;
    read_names(csr->arena, names, &csr->info);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    csr->r = r;
    r = NULL;
    ERR_clear_error();
    if (kn_arena_failed(csr->arena)) {
        struct kn_status s = kn_arena_error(csr->arena, "a certificate request's names");
        kn_csr_free(csr);
        return s;
    }
    *ret = csr;
    return KN_STATUS_OK;
}

void kn_csr_free(struct kn_csr *r)
{
    if (!r)
        return;
    X509_REQ_free(r->r);
    kn_arena_free(r->arena);
    free(r);
}

const struct kn_cert_info *kn_csr_info(const struct kn_csr *r)
{
    return &r->info;
}

struct kn_key *kn_csr_key(const struct kn_csr *r)
{
    return kn_key_from_pkey(X509_REQ_get_pubkey(r->r), false);
}

struct kn_status kn_csr_make(struct kn_key *key, const struct kn_cert_info *subject,
                             struct kn_buf *out)
{
    if (!key->is_private)
        return kn_error(KN_INVALID, "make a certificate request: needs the private key");
    KN_CLEANUP(req_free) X509_REQ *r = X509_REQ_new();
    kn_assert(r && X509_REQ_set_version(r, 0) == 1);
    if (X509_REQ_set_pubkey(r, key->pkey) != 1)
        return kn_ssl_error(KN_INTERNAL, "make a certificate request");
    KN_TRY(write_subject(X509_REQ_get_subject_name(r), subject));
    KN_CLEANUP(names_free) GENERAL_NAMES *names = NULL;
    KN_TRY(make_names(subject, &names));
    if (names) {
        STACK_OF(X509_EXTENSION) *exts = NULL;
        bool ok = X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
                  X509_REQ_add_extensions(r, exts) == 1;
        sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
        if (!ok)
            return kn_ssl_error(KN_INTERNAL, "make a certificate request");
    }
    if (X509_REQ_sign(r, key->pkey, EVP_sha256()) <= 0)
        return kn_ssl_error(KN_INTERNAL, "sign a certificate request");
    KN_CLEANUP(bio_free) BIO *b = BIO_new(BIO_s_mem());
    if (!b || PEM_write_bio_X509_REQ(b, r) != 1)
        return kn_ssl_error(KN_INTERNAL, "write a certificate request");
    return kn_bio_take(b, out, "a certificate request");
}
