#include "client/controller.h"

#include "base/thread.h"
#include "lib/ktest.h"

#define DEADLINE (kn_mono() + 10 * KN_SECOND)

// A reconcile that notes its keys, can be held at a gate, and fails as often as it is told.
struct probe {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kn_buf keys;
    int calls, failures, inside, most_inside;
    int64_t after; // asked for once
    bool gate;     // closed: calls wait
};

static void probe_init(struct probe *p)
{
    *p = (struct probe){.keys = KN_BUF(1 << 16)};
    pthread_mutex_init(&p->lock, NULL);
    kn_cond_init(&p->changed);
}

static struct kn_status note(void *ctx, struct kn_sv key, int64_t *ret_after)
{
    struct probe *p = ctx;
    struct kn_status s = KN_STATUS_OK;
    pthread_mutex_lock(&p->lock);
    p->calls++;
    if (++p->inside > p->most_inside)
        p->most_inside = p->inside;
    kn_buf_addf(&p->keys, "%.*s ", KN_SV_ARG(key));
    pthread_cond_broadcast(&p->changed);
    while (p->gate)
        kn_cond_wait(&p->changed, &p->lock, KN_FOREVER);
    p->inside--;
    *ret_after = p->after;
    p->after = 0;
    if (p->failures > 0) {
        p->failures--;
        s = kn_error(KN_CONFLICT, "as told");
    }
    pthread_mutex_unlock(&p->lock);
    return s;
}

static void wait_calls(struct probe *p, int calls)
{
    int64_t deadline = DEADLINE;
    pthread_mutex_lock(&p->lock);
    while (p->calls < calls && kn_cond_wait(&p->changed, &p->lock, deadline))
        ;
    int got = p->calls;
    pthread_mutex_unlock(&p->lock);
    ktest_true(got >= calls);
}

static void set_gate(struct probe *p, bool closed)
{
    KN_LOCKED(&p->lock)
    {
        p->gate = closed;
        pthread_cond_broadcast(&p->changed);
    }
}

static struct kn_controller *start(struct probe *p, unsigned workers)
{
    probe_init(p);
    struct kn_controller *c = kn_controller_new(&(struct kn_controller_spec){
        .name = "test", .reconcile = note, .ctx = p, .workers = workers});
    return c;
}

static void end(struct kn_controller *c, struct probe *p)
{
    set_gate(p, false);
    kn_controller_stop(c);
    kn_controller_free(c);
    kn_buf_done(&p->keys);
}

KTEST(a_key_that_waits_is_there_once_and_order_is_kept)
{
    struct probe p;
    struct kn_controller *c = start(&p, 1);
    const char *keys[] = {"a", "b", "a", "c", "b", "a"};
    for (size_t i = 0; i < KN_ARRAY_LEN(keys); i++)
        kn_controller_add(c, kn_sv_c(keys[i]));
    struct kn_controller_stats st;
    kn_controller_get_stats(c, &st);
    ktest_eq_int(st.waiting, 3);
    ktest_eq_int(st.added, 6);
    ktest_ok(kn_controller_start(c));
    wait_calls(&p, 3);
    kn_controller_stop(c);
    ktest_eq_str(kn_buf_cstr(&p.keys), "a b c ");
    end(c, &p);
}

KTEST(a_key_that_is_worked_on_comes_once_more_and_never_twice_at_once)
{
    struct probe p;
    struct kn_controller *c = start(&p, 4);
    p.gate = true;
    ktest_ok(kn_controller_start(c));
    kn_controller_add(c, KN_SV("a"));
    wait_calls(&p, 1);
    for (int i = 0; i < 5; i++)
        kn_controller_add(c, KN_SV("a"));
    struct kn_controller_stats st;
    kn_controller_get_stats(c, &st);
    ktest_eq_int(st.waiting, 0);
    set_gate(&p, false);
    wait_calls(&p, 2);
    kn_controller_stop(c);
    ktest_eq_int(p.calls, 2);
    ktest_eq_int(p.most_inside, 1);
    end(c, &p);
}

KTEST(several_workers_work_on_different_keys)
{
    struct probe p;
    struct kn_controller *c = start(&p, 3);
    p.gate = true;
    ktest_ok(kn_controller_start(c));
    kn_controller_add(c, KN_SV("a"));
    kn_controller_add(c, KN_SV("b"));
    kn_controller_add(c, KN_SV("c"));
    wait_calls(&p, 3);
    set_gate(&p, false);
    kn_controller_stop(c);
    ktest_eq_int(p.most_inside, 3);
    end(c, &p);
}

KTEST(what_fails_is_tried_again_until_it_succeeds)
{
    struct probe p;
    struct kn_controller *c = start(&p, 1);
    p.failures = 3;
    int64_t begun = kn_mono();
    ktest_ok(kn_controller_start(c));
    kn_controller_add(c, KN_SV("a"));
    wait_calls(&p, 4);
    ktest_true(kn_mono() - begun >= (5 + 10 + 20) * KN_MILLI); // it waits between tries
    kn_controller_stop(c);
    struct kn_controller_stats st;
    kn_controller_get_stats(c, &st);
    ktest_eq_int(st.failed, 3);
    ktest_eq_int(st.done, 1);
    ktest_eq_int(st.delayed, 0);
    end(c, &p);
}

KTEST(delayed_keys_come_in_the_order_of_their_times)
{
    struct probe p;
    struct kn_controller *c = start(&p, 1);
    kn_controller_add_after(c, KN_SV("late"), 30 * KN_MILLI);
    kn_controller_add_after(c, KN_SV("never"), 3600 * KN_SECOND);
    kn_controller_add_after(c, KN_SV("early"), 10 * KN_MILLI);
    kn_controller_add_after(c, KN_SV("middle"), 20 * KN_MILLI);
    kn_controller_add_after(c, KN_SV("early"), 3600 * KN_SECOND); // the earlier time counts
    kn_controller_add_after(c, KN_SV("now"), 0);
    ktest_ok(kn_controller_start(c));
    wait_calls(&p, 4);
    kn_controller_stop(c);
    ktest_eq_str(kn_buf_cstr(&p.keys), "now early middle late ");
    end(c, &p);
}

KTEST(a_reconcile_that_asks_for_it_comes_again)
{
    struct probe p;
    struct kn_controller *c = start(&p, 1);
    p.after = 5 * KN_MILLI;
    ktest_ok(kn_controller_start(c));
    kn_controller_add(c, KN_SV("a"));
    wait_calls(&p, 2);
    kn_controller_stop(c);
    ktest_eq_int(p.calls, 2);
    end(c, &p);
}

KTEST(many_delayed_keys_keep_their_heap_in_order)
{
    struct probe p;
    struct kn_controller *c = start(&p, 1);
    char key[16];
    for (int i = 0; i < 200; i++) { // 7 and 200 have no common divisor: a permutation
        int place = i * 7 % 200;
        snprintf(key, sizeof key, "%03d", place);
        kn_controller_add_after(c, kn_sv_c(key), (1 + place) * KN_MILLI / 20 + KN_MILLI);
    }
    ktest_ok(kn_controller_start(c));
    wait_calls(&p, 200);
    kn_controller_stop(c);
    // which ones were due together is up to the clock; each came once
    ktest_eq_int(p.calls, 200);
    ktest_eq_int(p.keys.len, 200 * 4);
    end(c, &p);
}

// Thirteen failures would make others wait for twenty seconds.
KTEST(conflicts_leave_no_long_wait_behind)
{
    struct probe p;
    struct kn_controller *c = start(&p, 1);
    p.failures = 13;
    ktest_ok(kn_controller_start(c));
    for (int i = 0; i < 12; i++) { // each is brought by an event, at once
        kn_controller_add(c, KN_SV("a"));
        wait_calls(&p, i + 1);
    }
    wait_calls(&p, 14); // two by themselves: the patience of the wait is shorter than 2^12 * 5 ms
    kn_controller_stop(c);
    struct kn_controller_stats st;
    kn_controller_get_stats(c, &st);
    ktest_eq_int(st.done, 1);
    end(c, &p);
}

KTEST(adding_a_failed_key_does_not_lose_it)
{
    struct probe p;
    struct kn_controller *c = start(&p, 1);
    p.failures = 1;
    ktest_ok(kn_controller_start(c));
    kn_controller_add(c, KN_SV("a"));
    wait_calls(&p, 1);
    kn_controller_add(c, KN_SV("a"));
    wait_calls(&p, 2);
    kn_controller_stop(c);
    end(c, &p);
}

KTEST_MAIN(KTEST_CASE(a_key_that_waits_is_there_once_and_order_is_kept),
           KTEST_CASE(a_key_that_is_worked_on_comes_once_more_and_never_twice_at_once),
           KTEST_CASE(several_workers_work_on_different_keys),
           KTEST_CASE(what_fails_is_tried_again_until_it_succeeds),
           KTEST_CASE(delayed_keys_come_in_the_order_of_their_times),
           KTEST_CASE(a_reconcile_that_asks_for_it_comes_again),
           KTEST_CASE(many_delayed_keys_keep_their_heap_in_order),
           KTEST_CASE(conflicts_leave_no_long_wait_behind),
           KTEST_CASE(adding_a_failed_key_does_not_lose_it))
