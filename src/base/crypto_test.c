#include "base/crypto.h"

#include "lib/ktest.h"

KTEST(hashes_as_the_standards_say)
{
    static const struct {
        const char *text, *sha256;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        uint8_t d[32];
        char hex[65];
        kn_sha256(kn_sv_c(rows[i].text), d);
        kn_hex(d, 32, hex);
        ktest_eq_str(hex, rows[i].sha256);
        struct kn_sha256 *h = kn_sha256_new();
        for (const char *p = rows[i].text; *p; p++)
            kn_sha256_add(h, kn_sv(p, 1));
        kn_sha256_take(h, d);
        kn_hex(d, 32, hex);
        ktest_eq_str(hex, rows[i].sha256);
    }
    uint8_t d[32];
    char hex[65];
    kn_hmac_sha256(KN_SV("Jefe"), KN_SV("what do ya want for nothing?"), d); // RFC 4231 case 2
    kn_hex(d, 32, hex);
    ktest_eq_str(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    // RFC 6455 section 1.3
    kn_sha1(KN_SV("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"), d);
    char b64[32];
    kn_crypto_base64(d, KN_SHA1_LEN, b64);
    ktest_eq_str(b64, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

KTEST(a_seal_opens_only_with_its_key_nonce_data_and_bytes)
{
    uint8_t key[32] = {1}, nonce[12] = {2}, sealed[5 + 16], plain[5];
    ktest_ok(kn_gcm_seal(key, nonce, KN_SV("aad"), KN_SV("hello"), sealed));
    struct kn_sv s = kn_sv((char *)sealed, sizeof sealed);
    ktest_ok(kn_gcm_open(key, nonce, KN_SV("aad"), s, plain));
    ktest_eq_sv(kn_sv((char *)plain, 5), "hello");
    ktest_fails(kn_gcm_open(key, nonce, KN_SV("add"), s, plain), INVALID, "key and place");
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        ktest_fails(kn_gcm_open(key, nonce, KN_SV("aad"), s, plain), INVALID, NULL);
        sealed[i] ^= 1;
    }
    key[31] ^= 1;
    ktest_fails(kn_gcm_open(key, nonce, KN_SV("aad"), s, plain), INVALID, NULL);
    ktest_fails(kn_gcm_open(key, nonce, KN_SV(""), KN_SV("short"), plain), INVALID, "too few");
    ktest_ok(kn_gcm_seal(key, nonce, KN_SV(""), KN_SV(""), sealed));
    ktest_ok(kn_gcm_open(key, nonce, KN_SV(""), kn_sv((char *)sealed, 16), plain));
}

KTEST(keys_survive_pem_and_jwk_and_sign)
{
    for (int type = KN_KEY_EC_P256; type <= KN_KEY_RSA; type++) {
        KN_CLEANUP(kn_key_cleanup) struct kn_key *k = NULL, *again = NULL, *pub = NULL, *jwk = NULL;
        ktest_ok(kn_key_generate((enum kn_key_type)type, &k));
        ktest_eq_int(kn_key_type(k), type);
        KN_CLEANUP(kn_buf_done) struct kn_buf pem = KN_BUF(8192), sig = KN_BUF(1024),
                                              text = KN_BUF(8192);
        ktest_ok(kn_key_private_pem(k, &pem));
        ktest_ok(kn_key_parse_pem(kn_buf_sv(&pem), &again));
        ktest_true(kn_key_is_private(again) && kn_key_same_public(k, again));
        ktest_ok(kn_key_public_pem(k, &text));
        ktest_ok(kn_key_parse_pem(kn_buf_sv(&text), &pub));
        ktest_true(!kn_key_is_private(pub) && kn_key_same_public(k, pub));
        ktest_fails(kn_key_private_pem(pub, &pem), INVALID, "public");
        struct kn_jwk j;
        ktest_ok(kn_key_get_jwk(k, &j));
        ktest_eq_int(j.a_len, type == KN_KEY_RSA ? 256 : 32);
        ktest_ok(kn_key_from_jwk(&j, &jwk));
        ktest_ok(kn_key_sign(again, KN_SV("payload"), &sig));
        ktest_eq_int(sig.len, type == KN_KEY_RSA ? 256 : 64);
        ktest_ok(kn_key_verify(jwk, KN_SV("payload"), kn_buf_sv(&sig)));
        ktest_fails(kn_key_verify(pub, KN_SV("payloae"), kn_buf_sv(&sig)), UNAUTHORIZED, NULL);
        ktest_fails(kn_key_verify(pub, KN_SV("payload"), KN_SV("x")), UNAUTHORIZED, NULL);
        ktest_fails(kn_key_sign(pub, KN_SV("payload"), &sig), NOT_SUPPORTED, NULL);
    }
    struct kn_key *none;
    ktest_fails(kn_key_parse_pem(KN_SV("hello"), &none), SYNTAX, "no readable");
    struct kn_jwk bad = {.type = KN_KEY_EC_P256, .a_len = 32, .b_len = 32};
    ktest_fails(kn_key_from_jwk(&bad, &none), INVALID, NULL);
}

static struct kn_time at(int64_t days)
{
    return (struct kn_time){kn_now().ns / KN_SECOND * KN_SECOND + days * 86400 * KN_SECOND};
}

static void make_ca(const char *cn, struct kn_key **key, struct kn_cert **ca)
{
    struct kn_cert_info info = {.cn = kn_sv_c(cn), .not_before = at(-1), .not_after = at(100)};
    ktest_ok(kn_key_generate(KN_KEY_EC_P256, key));
    ktest_ok(kn_cert_make_ca(*key, &info, ca));
}

KTEST(issues_certificates_that_verify_for_their_purpose_and_time_only)
{
    KN_CLEANUP(kn_key_cleanup) struct kn_key *ca_key = NULL, *other_key = NULL, *key = NULL;
    KN_CLEANUP(kn_cert_cleanup) struct kn_cert *ca = NULL, *other = NULL, *leaf = NULL;
    make_ca("knarr-ca", &ca_key, &ca);
    make_ca("knarr-ca", &other_key, &other);
    ktest_ok(kn_key_generate(KN_KEY_EC_P256, &key));
    struct kn_sv orgs[] = {KN_SV("system:masters"), KN_SV("system:nodes")};
    struct kn_sv dns[] = {KN_SV("node-1"), KN_SV("*.example.org")};
    struct kn_sv ips[] = {KN_SV("10.0.0.1"), KN_SV("fd00::1")};
    struct kn_cert_info want = {.cn = KN_SV("system:node:n1"),
                                .orgs = orgs,
                                .orgs_len = 2,
                                .dns = dns,
                                .dns_len = 2,
                                .ips = ips,
                                .ips_len = 2,
                                .usage = KN_CERT_CLIENT,
                                .not_before = at(-1),
                                .not_after = at(200)};
    ktest_ok(kn_cert_issue(ca, ca_key, key, &want, &leaf));
    const struct kn_cert_info *got = kn_cert_info(leaf);
    ktest_eq_sv(got->cn, "system:node:n1");
    ktest_eq_int(got->orgs_len, 2);
    ktest_eq_sv(got->orgs[1], "system:nodes");
    ktest_eq_sv(got->dns[0], "node-1");
    ktest_eq_sv(got->ips[0], "10.0.0.1");
    ktest_eq_sv(got->ips[1], "fd00::1");
    ktest_eq_sv(got->issuer_cn, "knarr-ca");
    ktest_eq_int(got->usage, KN_CERT_CLIENT);
    ktest_eq_int(got->not_before.ns, want.not_before.ns);
    ktest_eq_int(got->not_after.ns, kn_cert_info(ca)->not_after.ns); // cut to the authority's
    ktest_eq_int(got->serial.len, 32);
    ktest_true(kn_cert_info(ca)->usage & KN_CERT_CA);

    struct kn_certs roots = {0}, wrong = {0};
    kn_certs_add(&roots, ca);
    kn_certs_add(&wrong, other);
    ktest_ok(kn_cert_verify(leaf, NULL, &roots, KN_CERT_CLIENT, kn_now()));
    ktest_fails(kn_cert_verify(leaf, NULL, &roots, KN_CERT_SERVER, kn_now()), UNAUTHORIZED,
                "purpose");
    ktest_fails(kn_cert_verify(leaf, NULL, &roots, KN_CERT_CLIENT, at(101)), UNAUTHORIZED,
                "expired");
    ktest_fails(kn_cert_verify(leaf, NULL, &wrong, KN_CERT_CLIENT, kn_now()), UNAUTHORIZED, NULL);
    ktest_true(kn_cert_matches(leaf, KN_SV("node-1")) && kn_cert_matches(leaf, KN_SV("10.0.0.1")));
    ktest_true(kn_cert_matches(leaf, KN_SV("a.example.org")));
    ktest_true(!kn_cert_matches(leaf, KN_SV("node-2")) &&
               !kn_cert_matches(leaf, KN_SV("10.0.0.2")));
    ktest_true(!kn_cert_matches(leaf, KN_SV("")));
    kn_certs_done(&wrong);
    kn_certs_done(&roots);

    struct kn_cert *none;
    ktest_fails(kn_cert_issue(ca, other_key, key, &want, &none), INVALID, "authority");
    want.ips = dns;
    ktest_fails(kn_cert_issue(ca, ca_key, key, &want, &none), INVALID, "no address");
}

KTEST(bundles_keep_their_order_and_refuse_rubbish)
{
    KN_CLEANUP(kn_key_cleanup) struct kn_key *k1 = NULL, *k2 = NULL;
    KN_CLEANUP(kn_cert_cleanup) struct kn_cert *a = NULL, *b = NULL;
    make_ca("one", &k1, &a);
    make_ca("two", &k2, &b);
    KN_CLEANUP(kn_buf_done) struct kn_buf pem = KN_BUF(8192);
    ktest_ok(kn_cert_pem(a, &pem));
    kn_buf_addc(&pem, "# a comment\n");
    ktest_ok(kn_cert_pem(b, &pem));
    struct kn_certs list = {0};
    ktest_ok(kn_certs_parse_pem(kn_buf_sv(&pem), &list));
    ktest_eq_int(list.len, 2);
    ktest_eq_sv(kn_cert_info(list.ptr[1])->cn, "two");
    kn_certs_done(&list);
    ktest_fails(kn_certs_parse_pem(KN_SV("nothing"), &list), SYNTAX, "none");
    ktest_fails(kn_certs_parse_pem(KN_SV("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                         "-----END CERTIFICATE-----\n"),
                                   &list),
                SYNTAX, NULL);
}

KTEST(a_signing_request_carries_subject_and_names)
{
    KN_CLEANUP(kn_key_cleanup) struct kn_key *key = NULL, *got = NULL;
    ktest_ok(kn_key_generate(KN_KEY_EC_P256, &key));
    struct kn_sv org = KN_SV("dev"), dns = KN_SV("host");
    struct kn_cert_info info = {.cn = KN_SV("jane"), .orgs = &org, .orgs_len = 1, .dns = &dns,
                                .dns_len = 1};
    KN_CLEANUP(kn_buf_done) struct kn_buf pem = KN_BUF(8192);
    ktest_ok(kn_csr_make(key, &info, &pem));
    struct kn_csr *r = NULL;
    ktest_ok(kn_csr_parse_pem(kn_buf_sv(&pem), &r));
    ktest_eq_sv(kn_csr_info(r)->cn, "jane");
    ktest_eq_sv(kn_csr_info(r)->orgs[0], "dev");
    ktest_eq_sv(kn_csr_info(r)->dns[0], "host");
    got = kn_csr_key(r);
    ktest_true(kn_key_same_public(key, got));
    kn_csr_free(r);
    ktest_fails(kn_csr_parse_pem(KN_SV("x"), &r), SYNTAX, NULL);
}

KTEST(secrets_are_compared_and_revealed)
{
    KN_CLEANUP(kn_secret_cleanup) struct kn_secret *s = kn_secret_from(KN_SV("token"));
    ktest_true(kn_secret_eq(s, KN_SV("token")) && !kn_secret_eq(s, KN_SV("tokem")) &&
               !kn_secret_eq(s, KN_SV("toke")));
    ktest_eq_str(kn_secret_reveal(s).ptr, "token");
}

KTEST_MAIN(KTEST_CASE(hashes_as_the_standards_say),
           KTEST_CASE(a_seal_opens_only_with_its_key_nonce_data_and_bytes),
           KTEST_CASE(keys_survive_pem_and_jwk_and_sign),
           KTEST_CASE(issues_certificates_that_verify_for_their_purpose_and_time_only),
           KTEST_CASE(bundles_keep_their_order_and_refuse_rubbish),
           KTEST_CASE(a_signing_request_carries_subject_and_names),
           KTEST_CASE(secrets_are_compared_and_revealed))
