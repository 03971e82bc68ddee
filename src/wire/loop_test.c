#include "wire/loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/thread.h"
#include "lib/ktest.h"

static char order[16];

struct tick {
    struct kn_timer timer;
    char name;
    struct kn_loop *loop;
};

static void fire(struct kn_timer *t)
{
    struct tick *k = KN_CONTAINER_OF(t, struct tick, timer);
    size_t n = strlen(order);
    order[n] = k->name;
    if (k->name == 'd')
        kn_loop_stop(k->loop);
}

KTEST(timers_fire_in_the_order_of_their_deadlines)
{
    struct kn_loop *l = NULL;
    ktest_ok(kn_loop_new(&l));
    struct tick ticks[] = {{{.fire = fire}, 'd', l}, {{.fire = fire}, 'b', l},
                           {{.fire = fire}, 'x', l}, {{.fire = fire}, 'a', l},
                           {{.fire = fire}, 'c', l}};
    static const int at[] = {5, 2, 3, 1, 9};
    int64_t now = kn_mono();
    for (int i = 0; i < 5; i++)
        kn_timer_set(l, &ticks[i].timer, now + at[i] * KN_MILLI);
    kn_timer_set(l, &ticks[4].timer, now + 4 * KN_MILLI); // moved
    kn_timer_cancel(l, &ticks[2].timer);
    memset(order, 0, sizeof order);
    kn_loop_run(l);
    ktest_eq_str(order, "abcd");
    kn_loop_free(l);
}

struct count {
    struct kn_task task;
    int *n;
};

static void add(struct kn_task *t)
{
    struct count *c = KN_CONTAINER_OF(t, struct count, task);
    ++*c->n;
    free(c);
}

KTEST(every_posted_task_runs_even_when_the_loop_ends)
{
    struct kn_loop *l = NULL;
    int n = 0;
    ktest_ok(kn_loop_start("loop-test", 0, &l));
    for (int i = 0; i < 1000; i++) {
        struct count *c = KN_NEW(struct count);
        *c = (struct count){.task.run = add, .n = &n};
        kn_loop_post(l, &c->task);
    }
    kn_loop_join(l);
    ktest_eq_int(n, 1000);
}

static struct kn_loop_fd watches[2];
static struct kn_loop *fd_loop;
static int calls;

static void ready(struct kn_loop_fd *w, uint32_t events)
{
    (void)events;
    calls++;
    kn_loop_fd_remove(fd_loop, &watches[w == &watches[0]]); // the other one
    kn_loop_stop(fd_loop);
}

KTEST(a_descriptor_that_was_removed_in_the_same_turn_is_not_called)
{
    int a[2], b[2];
    ktest_eq_int(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    ktest_eq_int(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    ktest_eq_int(write(a[1], "x", 1), 1);
    ktest_eq_int(write(b[1], "x", 1), 1);
    ktest_ok(kn_loop_new(&fd_loop));
    watches[0] = (struct kn_loop_fd){a[0], EPOLLIN, ready};
    watches[1] = (struct kn_loop_fd){b[0], EPOLLIN, ready};
    ktest_ok(kn_loop_fd_add(fd_loop, &watches[0]));
    ktest_ok(kn_loop_fd_add(fd_loop, &watches[1]));
    kn_loop_run(fd_loop);
    ktest_eq_int(calls, 1);
    kn_loop_free(fd_loop);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

KTEST_MAIN(KTEST_CASE(timers_fire_in_the_order_of_their_deadlines),
           KTEST_CASE(every_posted_task_runs_even_when_the_loop_ends),
           KTEST_CASE(a_descriptor_that_was_removed_in_the_same_turn_is_not_called))
