// The unit test frame: cmocka with the words of this house.
//
//     KTEST(refuses_a_port_out_of_range) { ... ktest_eq_int(a, b); }
//     KTEST_MAIN(KTEST_CASE(refuses_a_port_out_of_range), ...)
//
// Names are sentences. Tests are table-driven where there is more than one case, go through the
// module's header, and never sleep: ktest_until waits for a condition with a named deadline.
#pragma once
// cmocka wants these four before it, in this order
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"

#define KTEST(name) static void name(void **ktest_state_ __attribute__((unused)))
#define KTEST_CASE(name) cmocka_unit_test(name)
#define KTEST_MAIN(...)                                                                            \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest ktest_all_[] = {__VA_ARGS__};                                      \
        return cmocka_run_group_tests_name(__FILE__, ktest_all_, NULL, NULL);                      \
    }

// Ends the case as neither passed nor failed. The reason says what it needs; tools/count_tests.py
// finds the line in the program's output and counts the reasons.
#define ktest_skip(reason)                                                                         \
    do {                                                                                           \
        ktest_skipped++;                                                                           \
        print_message("skipped %s: %s\n", __func__, (reason));                                     \
        _skip(__FILE__, __LINE__);                                                                 \
    } while (0)
#undef skip
#define skip() ktest_skip("needs root and what the test names")

// Cases of this file that were skipped.
static size_t ktest_skipped;

// What main returns: 1 if any case failed, 77 if all were skipped (meson's word for it), 0.
static inline int ktest_exit(int failed, size_t cases)
{
    return failed ? 1 : cases && ktest_skipped == cases ? 77 : 0;
}

// Every main returns this, those that call cmocka by its own name too.
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests_name(name, tests, set_up, tear_down)                                \
    ktest_exit(_cmocka_run_group_tests(name, tests, KN_ARRAY_LEN(tests), set_up, tear_down),       \
               KN_ARRAY_LEN(tests))

#define ktest_true(cond) assert_true(cond)
#define ktest_eq_int(a, b) assert_int_equal((intmax_t)(a), (intmax_t)(b))
#define ktest_eq_str(a, b) assert_string_equal(a, b)
#define ktest_eq_sv(view, literal) ktest_eq_sv_at((view), kn_sv_c(literal), __FILE__, __LINE__)
// The status is OK (its text is printed otherwise); the status is ended.
#define ktest_ok(expr) ktest_ok_at((expr), __FILE__, __LINE__)
// It failed with this code, and its text contains `part` (NULL: any). The status is ended.
#define ktest_fails(expr, want, part) ktest_fails_at((expr), KN_##want, (part), __FILE__, __LINE__)

// Waits until cond is true, looking at it again every millisecond; fails after 10 seconds. For what
// tells nobody when it changes: where there is a condition variable or a deadline, wait for that.
#define KTEST_PATIENCE (10 * KN_SECOND)
#define ktest_until(cond)                                                                          \
    do {                                                                                           \
        int64_t ktest_end_ = kn_mono() + KTEST_PATIENCE;                                           \
        while (!(cond) && kn_mono() < ktest_end_)                                                  \
            usleep(1000);                                                                          \
        assert_true(cond);                                                                         \
    } while (0)

static inline void ktest_eq_sv_at(struct kn_sv got, struct kn_sv want, const char *file, int line)
{
    if (kn_sv_eq(got, want))
        return;
    print_error("got  \"%.*s\"\nwant \"%.*s\"\n", KN_SV_ARG(got), KN_SV_ARG(want));
    _fail(file, line);
}

static inline void ktest_ok_at(struct kn_status s, const char *file, int line)
{
    if (kn_ok(s))
        return;
    print_error("failed: %s\n", kn_status_text(&s));
    kn_status_done(&s);
    _fail(file, line);
}

static inline void ktest_fails_at(struct kn_status s, enum kn_code want, const char *part,
                                  const char *file, int line)
{
    bool right = s.code == want && (!part || strstr(kn_status_text(&s), part));
    if (!right)
        print_error("got code %d (%s): %s\nwant code %d with \"%s\"\n", (int)s.code,
                    kn_code_reason(s.code), kn_status_text(&s), (int)want, part ? part : "");
    kn_status_done(&s);
    if (!right)
        _fail(file, line);
}
