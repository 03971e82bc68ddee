#include "base/sv.h"

#include "lib/ktest.h"

KTEST(cuts_at_separators_and_sees_empty_parts)
{
    struct kn_sv rest = KN_SV("a,,b,");
    const char *want[] = {"a", "", "b", ""};
    size_t n = 0;
    do {
        ktest_true(n < 4);
        ktest_eq_sv(kn_sv_cut(&rest, ','), want[n]);
        n++;
    } while (rest.ptr);
    ktest_eq_int(n, 4);
}

KTEST(compares_and_searches)
{
    ktest_true(kn_sv_cmp(KN_SV("a"), KN_SV("ab")) < 0 && kn_sv_cmp(KN_SV("b"), KN_SV("ab")) > 0);
    ktest_true(kn_sv_ieq(KN_SV("Content-Type"), KN_SV("content-type")));
    ktest_true(!kn_sv_ieq(KN_SV("a["), KN_SV("A{")));
    ktest_eq_int(kn_sv_find(KN_SV("a/b/c"), '/'), 1);
    ktest_eq_int(kn_sv_rfind(KN_SV("a/b/c"), '/'), 3);
    ktest_eq_int(kn_sv_search(KN_SV("abcabd"), KN_SV("abd")), 3);
    ktest_eq_int(kn_sv_search(KN_SV_NULL, KN_SV("x")), -1);
    ktest_eq_sv(kn_sv_trim(KN_SV(" \t x y\r\n")), "x y");
    ktest_true(kn_sv_starts(KN_SV("abc"), KN_SV("ab")) && kn_sv_ends(KN_SV("abc"), KN_SV("bc")));
    ktest_true(!kn_sv_starts(KN_SV("a"), KN_SV("ab")));
    ktest_eq_sv(kn_sv_from(KN_SV("abc"), 9), "");
}

KTEST_MAIN(KTEST_CASE(cuts_at_separators_and_sees_empty_parts), KTEST_CASE(compares_and_searches))
