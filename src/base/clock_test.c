#include "base/clock.h"

#include "lib/ktest.h"

KTEST(reads_and_writes_times)
{
    static const struct {
        const char *in, *out; // out: NULL, it is refused
    } cases[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z"},
        {"2026-11-24T07:42:52Z", "2026-11-24T07:42:52.000000000Z"},
        {"2024-02-29T23:59:59.123456789123Z", "2024-02-29T23:59:59.123456789Z"},
        {"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000000Z"},
        {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000000Z"},
        {"2023-02-29T00:00:00Z", NULL},
        {"2026-13-01T00:00:00Z", NULL},
        {"2026-04-31T00:00:00Z", NULL},
        {"2026-01-01T24:00:00Z", NULL},
        {"2026-01-01 00:00:00Z", NULL},
        {"2026-01-01T00:00:00", NULL},
        {"2026-01-01T00:00:00.Z", NULL},
        {"2026-01-01T00:00:00+25:00", NULL},
        {"9999-12-31T23:59:59Z", NULL}, // beyond what nanoseconds reach
        {"", NULL},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_time t;
        struct kn_status s = kn_time_parse(kn_sv_c(cases[i].in), &t);
        ktest_eq_int(kn_ok(s), cases[i].out != NULL);
        kn_status_done(&s);
        char text[KN_TIME_TEXT];
        if (cases[i].out) {
            kn_time_format(t, KN_TIME_NANOS, text);
            ktest_eq_str(text, cases[i].out);
        }
    }
}

KTEST(no_number_of_seconds_is_too_large)
{
    static const struct {
        int64_t ns, seconds, want;
    } cases[] = {
        {5, 3, 3 * KN_SECOND + 5},          {5, -3, 5 - 3 * KN_SECOND},
        {1, INT64_MAX, KN_FOREVER},         {1, INT64_MAX / KN_SECOND, KN_FOREVER - 854775806},
        {KN_SECOND, INT64_MAX / KN_SECOND, KN_FOREVER}, {1, INT64_MIN, INT64_MIN + 1},
        {-1, INT64_MIN, INT64_MIN},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        ktest_eq_int(kn_later(cases[i].ns, cases[i].seconds), cases[i].want);
    ktest_eq_int(kn_seconds(INT64_MAX), KN_FOREVER);
    ktest_eq_int(kn_seconds(INT64_MIN), INT64_MIN);
}

KTEST(cuts_decimals_as_asked)
{
    struct kn_time t;
    char text[KN_TIME_TEXT];
    ktest_ok(kn_time_parse(KN_SV("2026-11-24T07:42:52.987654321Z"), &t));
    kn_time_format(t, KN_TIME_SECONDS, text);
    ktest_eq_str(text, "2026-11-24T07:42:52Z");
    kn_time_format(t, KN_TIME_MICROS, text);
    ktest_eq_str(text, "2026-11-24T07:42:52.987654Z");
}

KTEST_MAIN(KTEST_CASE(reads_and_writes_times), KTEST_CASE(cuts_decimals_as_asked),
           KTEST_CASE(no_number_of_seconds_is_too_large))
