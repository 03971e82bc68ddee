#include "client/fan.h"

#include "base/thread.h"
#include "lib/ktest.h"

struct probe {
    _Atomic int called[300];
    _Atomic int inside, most;
    _Atomic int gate; // calls wait until so many are inside
    int fail_at;
};

static void call(void *ctx, size_t i)
{
    struct probe *p = ctx;
    int now = ++p->inside;
    for (int most = p->most;
         now > most && !__atomic_compare_exchange_n((int *)&p->most, &most, now, false,
                                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);)
        ;
    p->called[i]++;
    int64_t end = kn_mono() + KTEST_PATIENCE;
    while (p->most < p->gate && kn_mono() < end)
        sched_yield();
    p->inside--;
}

static struct kn_status call_or_fail(void *ctx, size_t i)
{
    struct probe *p = ctx;
    p->called[i]++;
    return (int)i == p->fail_at ? kn_error(KN_FORBIDDEN, "as told") : KN_STATUS_OK;
}

KTEST(calls_everything_once_and_several_at_a_time)
{
    struct kn_fan *f = kn_fan_new(7);
    for (int round = 0; round < 3; round++) {
        struct probe p = {.gate = 4};
        kn_fan_run(f, 300, call, &p);
        for (size_t i = 0; i < 300; i++)
            ktest_eq_int(p.called[i], 1);
        ktest_true(p.most >= 4 && p.most <= 8);
    }
    kn_fan_free(f);
}

KTEST(works_without_threads_and_without_calls)
{
    struct probe p = {0};
    kn_fan_run(NULL, 5, call, &p);
    struct kn_fan *none = kn_fan_new(0);
    kn_fan_run(none, 5, call, &p);
    kn_fan_run(none, 0, call, &p);
    for (size_t i = 0; i < 5; i++)
        ktest_eq_int(p.called[i], 2);
    ktest_eq_int(p.most, 1);
    kn_fan_free(none);
}

static void *run_100(void *arg)
{
    void **a = arg;
    kn_fan_run(a[0], 100, call, a[1]);
    return NULL;
}

KTEST(several_callers_share_it)
{
    struct kn_fan *f = kn_fan_new(3);
    struct probe p[4] = {0};
    void *args[4][2];
    pthread_t t[4];
    for (int i = 0; i < 4; i++) {
        args[i][0] = f;
        args[i][1] = &p[i];
        ktest_ok(kn_thread_start(&t[i], "caller", 0, run_100, args[i]));
    }
    for (int i = 0; i < 4; i++)
        kn_thread_join(t[i]);
    for (int i = 0; i < 4; i++)
        for (size_t k = 0; k < 100; k++)
            ktest_eq_int(p[i].called[k], 1);
    kn_fan_free(f);
}

KTEST(a_slow_start_ends_with_the_batch_that_failed)
{
    static const struct {
        size_t count;
        int fail_at;
        size_t done;
    } cases[] = {{3, -1, 3},   {300, -1, 300}, {300, 0, 4},   {300, 3, 4},
                 {300, 4, 12}, {300, 11, 12},  {300, 12, 28}, {0, -1, 0}};
    struct kn_fan *f = kn_fan_new(4);
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct probe p = {.fail_at = cases[i].fail_at};
        size_t done = 0;
        struct kn_status s = kn_fan_slow_start(f, cases[i].count, call_or_fail, &p, &done);
        ktest_eq_int(kn_ok(s), cases[i].fail_at < 0);
        kn_status_done(&s);
        ktest_eq_int(done, cases[i].done);
        for (size_t k = 0; k < 300; k++)
            ktest_eq_int(p.called[k], k < done);
    }
    kn_fan_free(f);
}

KTEST_MAIN(KTEST_CASE(calls_everything_once_and_several_at_a_time),
           KTEST_CASE(works_without_threads_and_without_calls),
           KTEST_CASE(several_callers_share_it),
           KTEST_CASE(a_slow_start_ends_with_the_batch_that_failed))
