// The frame itself: what a program of tests returns.
#include "lib/ktest.h"

KTEST(a_program_whose_cases_were_all_skipped_says_so)
{
    size_t saved = ktest_skipped;
    ktest_skipped = 3;
    int all = ktest_exit(0, 3), some = ktest_exit(0, 4), failed = ktest_exit(2, 3);
    ktest_skipped = 0;
    int none = ktest_exit(0, 0), many = ktest_exit(77, 80);
    ktest_skipped = saved;
    ktest_eq_int(all, 77);
    ktest_eq_int(some, 0);
    ktest_eq_int(failed, 1);
    ktest_eq_int(none, 0);
    ktest_eq_int(many, 1); // not 77, however many failed
}

KTEST_MAIN(KTEST_CASE(a_program_whose_cases_were_all_skipped_says_so))
