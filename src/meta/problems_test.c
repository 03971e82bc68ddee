#include "meta/problems.h"

#include "base/mem.h"
#include "lib/ktest.h"

#define ARENA(name) struct kn_arena *name KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20)

KTEST(nothing_wrong_is_no_error)
{
    ARENA(a);
    struct kn_problems p;
    kn_problems_init(&p, a);
    ktest_ok(kn_problems_status(&p, KN_SV(""), KN_SV("Pod"), KN_SV("x")));
}

KTEST(one_problem_reads_as_upstream_writes_it)
{
    ARENA(a);
    struct kn_problems p;
    kn_problems_init(&p, a);
    const struct kn_path *path =
        KN_PATH(KN_PATH_AT(KN_PATH(KN_PATH(NULL, "spec"), "containers"), 0), "image");
    kn_problem_add(&p, KN_PROBLEM_REQUIRED, path, KN_SV_NULL, "%s", "");
    struct kn_status s = kn_problems_status(&p, KN_SV(""), KN_SV("Pod"), KN_SV("x"));
    ktest_eq_int(s.code, KN_INVALID);
    ktest_eq_str(kn_status_text(&s),
                 "Pod \"x\" is invalid: spec.containers[0].image: Required value");
    ktest_eq_sv(kn_status_details(&s),
                "{\"name\":\"x\",\"kind\":\"Pod\",\"causes\":[{\"reason\":\"FieldValueRequired\","
                "\"message\":\"Required value\",\"field\":\"spec.containers[0].image\"}]}");
    kn_status_done(&s);
}

KTEST(several_problems_stand_in_brackets_and_once_each)
{
    ARENA(a);
    struct kn_problems p;
    kn_problems_init(&p, a);
    const struct kn_path *spec = KN_PATH(NULL, "spec");
    for (int i = 0; i < 2; i++)
        kn_problem_add(&p, KN_PROBLEM_INVALID, KN_PATH(spec, "replicas"), KN_SV("-1"),
                       "must be greater than or equal to %d", 0);
    kn_problem_add(&p, KN_PROBLEM_DUPLICATE, KN_PATH_KEY(KN_PATH(spec, "data"), KN_SV("a")),
                   kn_problem_quote(a, KN_SV("b\"\n")), "%s", "");
    struct kn_status s = kn_problems_status(&p, KN_SV("apps"), KN_SV("Deployment"), KN_SV("x"));
    ktest_eq_str(
        kn_status_text(&s),
        "Deployment.apps \"x\" is invalid: [spec.replicas: Invalid value: -1: must be greater "
        "than or equal to 0, spec.data[a]: Duplicate value: \"b\\\"\\n\"]");
    kn_status_done(&s);
}

KTEST(quotes_as_go_does)
{
    ARENA(a);
    ktest_eq_sv(kn_problem_quote(a, KN_SV("a\tb\\c\x01")), "\"a\\tb\\\\c\\x01\"");
    ktest_eq_sv(kn_problem_quote(a, KN_SV("\xff")), "\"\\xff\"");
    ktest_eq_sv(kn_problem_quote(a, KN_SV("\xc3\xa4")), "\"\xc3\xa4\"");
}

KTEST_MAIN(KTEST_CASE(nothing_wrong_is_no_error),
           KTEST_CASE(one_problem_reads_as_upstream_writes_it),
           KTEST_CASE(several_problems_stand_in_brackets_and_once_each),
           KTEST_CASE(quotes_as_go_does))
