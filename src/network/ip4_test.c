#include "network/ip4.h"

#include "lib/ktest.h"

KTEST(addresses_are_four_plain_numbers)
{
    static const struct {
        const char *text;
        uint32_t ip;
        bool good;
    } cases[] = {
        {"10.96.0.1", 0x0a600001, true},
        {"0.0.0.0", 0, true},
        {"255.255.255.255", UINT32_MAX, true},
        {"10.96.0", 0, false},
        {"10.96.0.256", 0, false},
        {"10.96.0.01", 0, false},
        {"10.96.0.1 ", 0, false},
        {"10.96..1", 0, false},
        {"", 0, false},
        {"10.96.0.1.2", 0, false},
        {"0x0a.1.1.1", 0, false},
        {"1.2.3.4444", 0, false},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        uint32_t ip = 0;
        char text[KN_IP4_TEXT];
        ktest_eq_int(kn_ip4_parse(kn_sv_c(cases[i].text), &ip), cases[i].good);
        if (!cases[i].good)
            continue;
        ktest_eq_int(ip, cases[i].ip);
        kn_ip4_format(ip, text);
        ktest_eq_str(text, cases[i].text);
    }
}

KTEST(networks_have_no_bits_beyond_their_prefix)
{
    struct kn_net4 n;
    ktest_ok(kn_net4_parse(KN_SV("10.244.1.0/24"), &n));
    ktest_true(kn_net4_has(n, 0x0af40180) && !kn_net4_has(n, 0x0af40200));
    ktest_ok(kn_net4_parse(KN_SV("0.0.0.0/0"), &n));
    ktest_true(kn_net4_has(n, UINT32_MAX));
    ktest_fails(kn_net4_parse(KN_SV("10.244.1.1/24"), &n), INVALID, "beyond its prefix");
    ktest_fails(kn_net4_parse(KN_SV("10.244.1.0"), &n), INVALID, "is no IPv4 network");
    ktest_fails(kn_net4_parse(KN_SV("10.244.1.0/33"), &n), INVALID, "is no IPv4 network");
}

KTEST_MAIN(KTEST_CASE(addresses_are_four_plain_numbers),
           KTEST_CASE(networks_have_no_bits_beyond_their_prefix))
