#include "codec/quantity.h"

#include "base/mem.h"
#include "lib/ktest.h"

KTEST(formats_as_upstream_does)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"0", "0"},         {"1000m", "1"},       {"0.5", "500m"},     {"1.5", "1500m"},
        {"100m", "100m"},   {"1", "1"},           {"1000", "1k"},      {"1024", "1024"},
        {"1Ki", "1Ki"},     {"1024Ki", "1Mi"},    {"1.5Gi", "1536Mi"}, {"0.5Ki", "512"},
        {"1e3", "1e3"},     {"1000e0", "1e3"},    {"12e6", "12e6"},    {"1E", "1E"},
        {"-1", "-1"},       {"-500m", "-500m"},   {"0.0001", "100u"},  {"1n", "1n"},
        {"0.1n", "1n"},     {"-0.1n", "-1n"},     {"00100", "100"},    {"1.", "1"},
        {".5", "500m"},     {"128Mi", "128Mi"},   {"1.5Ei", "1536Pi"}, {"2000000", "2M"},
        {"100Ei", "9223372036854775807"},         {"1500000000", "1500M"}, {"0.5Mi", "512Ki"},
        {"123456789m", "123456789m"},             {"0.1Ki", "102400m"}, {"1e-3", "1e-3"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_quantity q;
        char out[KN_QUANTITY_TEXT];
        ktest_ok(kn_quantity_parse(kn_sv_c(cases[i].in), &q));
        size_t n = kn_quantity_format(q, out);
        ktest_eq_int(n, strlen(out));
        ktest_eq_str(out, cases[i].out);
        // leading zeros are kept when nothing else needs a change
        if (kn_quantity_is_canonical(kn_sv_c(cases[i].in)) && cases[i].in[0] != '0')
            ktest_eq_str(cases[i].in, cases[i].out);
    }
}

KTEST(refuses_what_is_no_quantity)
{
    static const char *const cases[] = {"",
                                        "a",
                                        "1.2.3",
                                        "1x",
                                        "1 ",
                                        " 1",
                                        "1kk",
                                        "1mi",
                                        "1e",
                                        "--1",
                                        "1e1.5",
                                        "1Kii",
                                        "999999999999999999999999999999999999999"};
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_quantity q;
        ktest_fails(kn_quantity_parse(kn_sv_c(cases[i]), &q), INVALID, NULL);
    }
}

KTEST(rounds_values_up)
{
    ktest_eq_int(kn_quantity_value_of(KN_SV("1500m")), 2);
    ktest_eq_int(kn_quantity_value_of(KN_SV("-1500m")), -2);
    ktest_eq_int(kn_quantity_milli_of(KN_SV("0.0001")), 1);
    ktest_eq_int(kn_quantity_milli_of(KN_SV("2")), 2000);
    ktest_eq_int(kn_quantity_value_of(KN_SV("1Gi")), 1 << 30);
    ktest_eq_int(kn_quantity_value_of(KN_SV("1000E")), INT64_MAX);
    ktest_eq_int(kn_quantity_value_of(KN_SV("not one")), 0);
}

KTEST(adds_subtracts_and_compares)
{
    struct kn_quantity a, b;
    char out[KN_QUANTITY_TEXT];
    ktest_ok(kn_quantity_parse(KN_SV("1Gi"), &a));
    ktest_ok(kn_quantity_parse(KN_SV("512Mi"), &b));
    kn_quantity_format(kn_quantity_add(a, b), out);
    ktest_eq_str(out, "1536Mi");
    kn_quantity_format(kn_quantity_sub(b, a), out);
    ktest_eq_str(out, "-512Mi");
    ktest_true(kn_quantity_cmp(a, b) > 0 && kn_quantity_cmp(b, a) < 0 &&
               kn_quantity_cmp(a, a) == 0);
}

KTEST(canonical_text_is_known_without_work)
{
    ktest_true(kn_quantity_is_canonical(KN_SV("100m")));
    ktest_true(kn_quantity_is_canonical(KN_SV("5")));
    ktest_true(!kn_quantity_is_canonical(KN_SV("1000m")));
    ktest_true(!kn_quantity_is_canonical(KN_SV("0.5")));
    ktest_true(!kn_quantity_is_canonical(KN_SV("1024Ki")));
}

KTEST_MAIN(KTEST_CASE(formats_as_upstream_does), KTEST_CASE(refuses_what_is_no_quantity),
           KTEST_CASE(rounds_values_up), KTEST_CASE(adds_subtracts_and_compares),
           KTEST_CASE(canonical_text_is_known_without_work))
