#include "codec/dns.h"

#include "lib/ktest.h"

static struct kn_buf out = {.max = 1u << 20};

static struct kn_sv query(const char *name, uint16_t type, bool edns)
{
    static struct kn_buf q = {.max = 4096};
    kn_buf_clear(&q);
    q.len = 0;
    kn_dns_query(&q, 0x1234, kn_sv_c(name), type, edns);
    return kn_buf_sv(&q);
}

KTEST(a_query_comes_back_as_it_was_written)
{
    static const struct {
        const char *name;
        uint16_t type;
        bool edns;
    } cases[] = {{"kubernetes.default.svc.cluster.local", KN_DNS_A, false},
                 {"_https._tcp.kubernetes.default.svc.cluster.local", KN_DNS_SRV, true},
                 {"1.0.96.10.in-addr.arpa", KN_DNS_PTR, true},
                 {"", KN_DNS_NS, false},
                 {"a\\046b\\000.c", KN_DNS_A, false}};
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_dns_msg m;
        ktest_ok(kn_dns_parse(query(cases[i].name, cases[i].type, cases[i].edns), &m));
        ktest_eq_str(m.name, cases[i].name);
        ktest_eq_int(m.type, cases[i].type);
        ktest_eq_int(m.id, 0x1234);
        ktest_eq_int(m.edns, cases[i].edns);
        ktest_eq_int(m.udp_size, cases[i].edns ? 1232 : 512);
        ktest_eq_int(m.flags & KN_DNS_QR, 0);
    }
}

KTEST(a_response_has_its_records_and_compresses_names)
{
    struct kn_sv q = query("Web.Default.svc.cluster.local", KN_DNS_SRV, true);
    struct kn_dns_msg m, r;
    struct kn_dns_writer w;
    struct kn_dns_rr rr;
    char name[KN_DNS_TEXT];
    ktest_ok(kn_dns_parse(q, &m));
    ktest_eq_str(m.name, "web.default.svc.cluster.local");
    out.len = 0;
    kn_dns_begin(&w, &out, q, &m, 1232);
    kn_dns_put_srv(&w, 1, kn_sv_c(m.name), 5, 0, 100, 80, KN_SV("a.web.default.svc.cluster.local"));
    kn_dns_put_name(&w, 1, KN_SV("alias.cluster.local"), KN_DNS_CNAME, 5,
                    KN_SV("web.default.svc.cluster.local"));
    kn_dns_put_soa(&w, 2, KN_SV("cluster.local"), 30,
                   &(struct kn_dns_soa){KN_SV("ns.dns.cluster.local"),
                                        KN_SV("hostmaster.cluster.local"), 1, 2, 3, 4, 7});
    kn_dns_put(&w, 3, KN_SV("a.web.default.svc.cluster.local"), KN_DNS_A, 5,
               KN_SV("\x0a\xf4\x00\x01"));
    kn_dns_end(&w, KN_DNS_NOERROR, KN_DNS_AA);

    struct kn_sv bytes = kn_buf_sv(&out);
    ktest_true(bytes.len < 220); // uncompressed it is 330
    ktest_ok(kn_dns_parse(bytes, &r));
    ktest_eq_int(r.flags, KN_DNS_QR | KN_DNS_AA | KN_DNS_RD);
    ktest_true(memcmp(bytes.ptr + 13, "Web", 3) == 0); // as it was asked
    ktest_true(r.edns);
    size_t at = 0;
    ktest_true(kn_dns_next(bytes, &r, &at, &rr));
    ktest_eq_int(rr.type, KN_DNS_SRV);
    size_t target = rr.data_at + 6;
    ktest_true(kn_dns_name(bytes, &target, name));
    ktest_eq_str(name, "a.web.default.svc.cluster.local");
    ktest_true(kn_dns_next(bytes, &r, &at, &rr));
    target = rr.data_at;
    ktest_true(kn_dns_name(bytes, &target, name));
    ktest_eq_str(rr.name, "alias.cluster.local");
    ktest_eq_str(name, "web.default.svc.cluster.local");
    ktest_eq_int(rr.data.len, 2);
    ktest_true(kn_dns_next(bytes, &r, &at, &rr));
    ktest_eq_int(rr.section, 2);
    ktest_true(kn_dns_next(bytes, &r, &at, &rr));
    ktest_eq_int(rr.section, 3);
    ktest_eq_str(rr.name, "a.web.default.svc.cluster.local");
    ktest_true(kn_dns_next(bytes, &r, &at, &rr) && rr.type == KN_DNS_OPT);
    ktest_true(!kn_dns_next(bytes, &r, &at, &rr));
}

KTEST(what_does_not_fit_is_left_out_and_said)
{
    for (int edns = 0; edns < 2; edns++) {
        struct kn_sv q = query("web.default.svc.cluster.local", KN_DNS_A, edns);
        struct kn_dns_msg m, r;
        struct kn_dns_writer w;
        ktest_ok(kn_dns_parse(q, &m));
        out.len = 0;
        kn_dns_begin(&w, &out, q, &m, 512);
        for (int i = 0; i < 100; i++)
            kn_dns_put(&w, 1, kn_sv_c(m.name), KN_DNS_A, 5, KN_SV("\x0a\xf4\x00\x01"));
        kn_dns_end(&w, KN_DNS_NOERROR, KN_DNS_AA);
        ktest_true(out.len <= 512 && out.len > 480);
        ktest_ok(kn_dns_parse(kn_buf_sv(&out), &r));
        ktest_true(r.flags & KN_DNS_TC);
        ktest_eq_int(r.edns, edns);
        ktest_true(r.counts[1] > 20);
    }
}

KTEST(ages_and_lifetimes_are_those_of_the_records)
{
    struct kn_sv q = query("a.example", KN_DNS_A, true);
    struct kn_dns_msg m, r;
    struct kn_dns_writer w;
    struct kn_dns_rr rr;
    ktest_ok(kn_dns_parse(q, &m));
    out.len = 0;
    kn_dns_begin(&w, &out, q, &m, 1232);
    kn_dns_put(&w, 1, KN_SV("a.example"), KN_DNS_A, 300, KN_SV("\1\2\3\4"));
    kn_dns_put(&w, 1, KN_SV("a.example"), KN_DNS_A, 20, KN_SV("\1\2\3\5"));
    kn_dns_end(&w, KN_DNS_NOERROR, 0);
    ktest_ok(kn_dns_parse(kn_buf_sv(&out), &r));
    ktest_eq_int(kn_dns_ttl(kn_buf_sv(&out), &r), 20);
    kn_dns_age(out.ptr, out.len, &r, 30);
    size_t at = 0;
    ktest_true(kn_dns_next(kn_buf_sv(&out), &r, &at, &rr));
    ktest_eq_int(rr.ttl, 270);
    ktest_true(kn_dns_next(kn_buf_sv(&out), &r, &at, &rr));
    ktest_eq_int(rr.ttl, 0);

    out.len = 0;
    kn_dns_begin(&w, &out, q, &m, 1232);
    kn_dns_put_soa(&w, 2, KN_SV("example"), 60,
                   &(struct kn_dns_soa){KN_SV("ns.example"), KN_SV("x.example"), 1, 2, 3, 4, 15});
    kn_dns_end(&w, KN_DNS_NXDOMAIN, 0);
    ktest_ok(kn_dns_parse(kn_buf_sv(&out), &r));
    ktest_eq_int(r.rcode, KN_DNS_NXDOMAIN);
    ktest_eq_int(kn_dns_ttl(kn_buf_sv(&out), &r), 15);
}

KTEST(malformed_messages_are_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
#define CASE(text) {text, sizeof text - 1}
        CASE("\0\1\1\0\0\1"),
        CASE("\0\1\1\0\0\2\0\0\0\0\0\0\0\0\1\0\1\0\0\1\0\1"),                // two questions
        CASE("\0\1\1\0\0\1\0\0\0\0\0\0\300\014\0\1\0\1"),                    // points at itself
        CASE("\0\1\1\0\0\1\0\0\0\0\0\0\1a\300\014\0\1\0\1"),                 // and in a circle
        CASE("\0\1\1\0\0\1\0\0\0\0\0\0\100a\0\0\1\0\1"),                     // label type 01
        CASE("\0\1\1\0\0\1\0\0\0\0\0\0\5ab\0\0\1"),                          // label too long
        CASE("\0\1\1\0\0\1\0\1\0\0\0\0\0\0\1\0\1\0\0\1\0\1\0\0\0\5\0\7abc"), // record too long
        CASE("\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1junk"),
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_dns_msg m;
        struct kn_status s = kn_dns_parse(kn_sv(cases[i].bytes, cases[i].len), &m);
        if (kn_ok(s))
            print_error("case %zu\n", i);
        ktest_fails(s, SYNTAX, NULL);
    }
}

KTEST_MAIN(KTEST_CASE(a_query_comes_back_as_it_was_written),
           KTEST_CASE(a_response_has_its_records_and_compresses_names),
           KTEST_CASE(what_does_not_fit_is_left_out_and_said),
           KTEST_CASE(ages_and_lifetimes_are_those_of_the_records),
           KTEST_CASE(malformed_messages_are_refused))
