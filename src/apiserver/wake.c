// Waking the watchers of a resource: the store's writer thread posts, each loop thread tells its
// own.
//
// With many watchers, telling them costs far more than the write that caused it: one record and one
// system call for each. So a thread that has told its watchers does other work for as long as that
// took before it tells them again; the changes of that time leave together, and one change after a
// quiet time goes out at once.
#include "apiserver/internal.h"

#define QUICK (KN_SECOND / 5000)    // telling that takes less is not worth a pause
#define PAUSE_MAX (KN_SECOND / 50)

struct kn_wake {
    struct kn_task task;
    struct kn_task told; // runs behind the writing that the telling has queued
    struct kn_timer later;
    struct kn_rest *rest;
    int thread;
    _Atomic bool posted;
    _Atomic int watchers;
    // of the loop's thread
    bool measuring;
    int64_t begun, pause_until; // kn_mono
};

static struct kn_loop *loop_of(const struct kn_wake *w)
{
    return kn_http_server_loop(w->rest->server->http, w->thread);
}

static void tell_now(struct kn_wake *w)
{
    w->posted = false; // before the events are looked at: none is missed
    int64_t begun = kn_mono();
    kn_watch_pump_all(w->rest, w->thread);
    if (w->measuring)
        return;
    w->measuring = true;
    w->begun = begun;
    kn_loop_post(loop_of(w), &w->told);
}

static void told(struct kn_task *t)
{
    struct kn_wake *w = KN_CONTAINER_OF(t, struct kn_wake, told);
    int64_t now = kn_mono(), took = now - w->begun;
    w->measuring = false;
    w->pause_until = took < QUICK ? 0 : now + (took < PAUSE_MAX ? took : PAUSE_MAX);
}

static void on_later(struct kn_timer *t)
{
    tell_now(KN_CONTAINER_OF(t, struct kn_wake, later));
}

static void on_wake(struct kn_task *t)
{
    struct kn_wake *w = KN_CONTAINER_OF(t, struct kn_wake, task);
    if (w->pause_until && kn_mono() < w->pause_until)
        kn_timer_set(loop_of(w), &w->later, w->pause_until); // still counts as posted
    else
        tell_now(w);
}

void kn_wake_watchers(struct kn_rest *rest)
{
    for (int i = 0; rest->wakes && i < kn_http_server_threads(rest->server->http); i++) {
        struct kn_wake *w = &rest->wakes[i];
        if (w->watchers > 0 && !w->posted) {
            w->posted = true;
            kn_loop_post(loop_of(w), &w->task);
        }
    }
}

void kn_rest_open_watchers(struct kn_apiserver *s)
{
    int threads = kn_http_server_threads(s->http);
    for (size_t i = 0; i < s->rest_count; i++) {
        struct kn_rest *rest = s->rests[i];
        struct kn_wake *wakes = kn_calloc((size_t)threads, sizeof *wakes);
        rest->watchers = kn_calloc((size_t)threads, sizeof *rest->watchers);
        for (int t = 0; t < threads; t++) {
            kn_list_init(&rest->watchers[t]);
            wakes[t] = (struct kn_wake){.task.run = on_wake,
                                        .told.run = told,
                                        .later.fire = on_later,
                                        .rest = rest,
                                        .thread = t};
        }
        __atomic_store_n(&rest->wakes, wakes, __ATOMIC_RELEASE);
    }
}

void kn_rest_count_watcher(struct kn_rest *rest, int thread, int change)
{
    rest->wakes[thread].watchers += change;
}
