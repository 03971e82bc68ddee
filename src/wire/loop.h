// An event loop over epoll: descriptors, timers, and messages from other threads. One thread runs
// it; every function is for that thread alone (before kn_loop_run: for the thread that will run
// it), except kn_loop_post, kn_loop_stop and kn_loop_is_mine. A callback never blocks.
// The small structs below are embedded in their owners: the loop never allocates for them.
#pragma once
#include "base/clock.h"
#include "base/list.h"
#include "base/status.h"

struct kn_loop;

struct kn_status kn_loop_new(struct kn_loop **ret);
// Not while it runs. Posted tasks that have not run are run now, so that what they own is freed.
void kn_loop_free(struct kn_loop *l);
void kn_loop_run(struct kn_loop *l);  // until kn_loop_stop
void kn_loop_stop(struct kn_loop *l); // any thread: ends kn_loop_run after the current callback
bool kn_loop_is_mine(const struct kn_loop *l); // any thread: is the caller the one that runs it?
// Monotonic time, read once per turn of the loop.
int64_t kn_loop_now(const struct kn_loop *l);

// Makes a loop and a thread of this name that runs it; kn_loop_join stops it, waits for the thread
// and frees the loop. stack: as kn_thread_start.
struct kn_status kn_loop_start(const char *name, size_t stack, struct kn_loop **ret);
void kn_loop_join(struct kn_loop *l);

// ---- descriptors ----

// ready() is called with what epoll reports (EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP);
// level-triggered. It may remove or free any descriptor, its own too.
struct kn_loop_fd {
    int fd;
    uint32_t events;
    void (*ready)(struct kn_loop_fd *w, uint32_t events);
};
// w: fd, events and ready are set by the caller. The descriptor stays the caller's.
struct kn_status kn_loop_fd_add(struct kn_loop *l, struct kn_loop_fd *w);
void kn_loop_fd_set(struct kn_loop *l, struct kn_loop_fd *w, uint32_t events); // no-op if the same
void kn_loop_fd_remove(struct kn_loop *l, struct kn_loop_fd *w); // before close(fd)

// ---- timers ----

struct kn_timer {
    int64_t at;   // kn_mono
    size_t index; // 1-based place in the heap; 0: not set
    void (*fire)(struct kn_timer *t);
};
// Fires once at `at`, also when that has passed already (in the next turn). Moves a set timer.
void kn_timer_set(struct kn_loop *l, struct kn_timer *t, int64_t at);
void kn_timer_cancel(struct kn_loop *l, struct kn_timer *t); // a timer that is not set: no-op

// ---- messages ----

struct kn_task {
    struct kn_list link;
    void (*run)(struct kn_task *t); // in the loop's thread; may free t
};
// Any thread. Tasks of one thread run in the order in which they were posted. A task must not be
// posted twice before it has run. From the loop's own thread: runs at the end of the turn.
void kn_loop_post(struct kn_loop *l, struct kn_task *t);

// ---- what lives in a loop until its end ----

// end() is called by kn_loop_free for those that are still there; it removes and frees its owner.
struct kn_loop_hook {
    struct kn_list link;
    void (*end)(struct kn_loop_hook *h);
};
void kn_loop_hook_add(struct kn_loop *l, struct kn_loop_hook *h);
static inline void kn_loop_hook_remove(struct kn_loop_hook *h)
{
    kn_list_remove(&h->link);
}

// One of two buffers (0: what is read, 1: what is written) of KN_LOOP_SCRATCH bytes that whoever
// runs in this turn may use until it returns or calls back.
#define KN_LOOP_SCRATCH (64u << 10)
uint8_t *kn_loop_scratch(struct kn_loop *l, int which);
