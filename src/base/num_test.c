#include "base/num.h"

#include "lib/ktest.h"

KTEST(reads_whole_numbers_and_nothing_else)
{
    static const struct {
        const char *in;
        int64_t out;
        bool good;
    } cases[] = {
        {"0", 0, true},          {"-5", -5, true},        {"9223372036854775807", INT64_MAX, true},
        {"-9223372036854775808", INT64_MIN, true},        {"9223372036854775808", 0, false},
        {"", 0, false},          {"-", 0, false},         {"+1", 0, false},
        {" 1", 0, false},        {"1 ", 0, false},        {"1.0", 0, false},
        {"0x10", 0, false},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        int64_t n = 0;
        struct kn_status s = kn_num_parse(kn_sv_c(cases[i].in), INT64_MIN, INT64_MAX, &n);
        ktest_eq_int(kn_ok(s), cases[i].good);
        ktest_eq_int(n, cases[i].out);
        kn_status_done(&s);
    }
}

KTEST(names_the_range_that_a_number_is_outside_of)
{
    int64_t n;
    ktest_fails(kn_num_parse(KN_SV("70000"), 1, 65535, &n), BAD_REQUEST,
                "70000 is not between 1 and 65535");
    uint32_t mode;
    ktest_ok(kn_num_parse_octal(KN_SV("0644"), 0777, &mode));
    ktest_eq_int(mode, 0644);
    ktest_fails(kn_num_parse_octal(KN_SV("0888"), 0777, &mode), BAD_REQUEST, "octal");
    ktest_fails(kn_num_parse_octal(KN_SV("1777"), 0777, &mode), BAD_REQUEST, "octal");
}

KTEST_MAIN(KTEST_CASE(reads_whole_numbers_and_nothing_else),
           KTEST_CASE(names_the_range_that_a_number_is_outside_of))
