#include "wire/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/thread.h"
#include "base/vec.h"

#define EVENTS 128

static _Thread_local struct kn_loop *current; // the loop that this thread runs

struct kn_loop {
    int epoll;
    struct kn_loop_fd wake; // eventfd
    int64_t now;
    // the turn's events; a descriptor that is removed is taken out of what is still to come
    struct epoll_event events[EVENTS];
    int event_at, event_count;
    KN_VEC(struct kn_timer *) timers; // a heap by `at`
    struct kn_list hooks;
    struct kn_list local;             // tasks posted by the loop's own thread
    uint8_t *scratch[2]; // lent to whoever runs in this turn; made when first asked for
    pthread_t thread;                 // of kn_loop_start
    bool running, own_thread;
    // shared: any thread
    pthread_mutex_t lock;
    struct kn_list posted;
    bool woken; // the eventfd has been written since the list was last taken
    bool stop;
};

static void woken(struct kn_loop_fd *w, uint32_t events)
{
    (void)events;
    uint64_t n;
    (void)!read(w->fd, &n, sizeof n);
}

static void wake(struct kn_loop *l)
{
    uint64_t one = 1;
    (void)!write(l->wake.fd, &one, sizeof one);
}

struct kn_status kn_loop_new(struct kn_loop **ret)
{
    struct kn_loop *l = KN_NEW(struct kn_loop);
    pthread_mutex_init(&l->lock, NULL);
    kn_list_init(&l->posted);
    kn_list_init(&l->local);
    kn_list_init(&l->hooks);
    l->now = kn_mono();
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = (struct kn_loop_fd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = EPOLLIN,
                                  .ready = woken};
    struct kn_status s = KN_STATUS_OK;
    if (l->epoll < 0 || l->wake.fd < 0)
        s = kn_error_errno(errno, "make an event loop");
    else
        s = kn_loop_fd_add(l, &l->wake);
    if (!kn_ok(s)) {
        kn_loop_free(l);
        return s;
    }
    *ret = l;
    return s;
}

static void move_all(struct kn_list *from, struct kn_list *to)
{
    if (kn_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    kn_list_init(from);
}

static void run_list(struct kn_list *tasks)
{
    struct kn_list mine;
    kn_list_init(&mine);
    move_all(tasks, &mine);
    struct kn_task *t;
    while ((t = KN_LIST_FIRST(&mine, struct kn_task, link))) {
        kn_list_remove(&t->link);
        t->run(t);
    }
}

static void run_posted(struct kn_loop *l)
{
    struct kn_list mine;
    kn_list_init(&mine);
    pthread_mutex_lock(&l->lock);
    move_all(&l->posted, &mine);
    l->woken = false;
    pthread_mutex_unlock(&l->lock);
    run_list(&mine);
    // tasks often post one more (a write posts a flush): a few rounds save a turn
    for (int i = 0; i < 8 && !kn_list_empty(&l->local); i++)
        run_list(&l->local);
}

static bool idle(const struct kn_loop *l)
{
    return kn_list_empty(&l->local);
}

void kn_loop_free(struct kn_loop *l)
{
    if (!l)
        return;
    kn_assert(!l->running);
    struct kn_loop *outer = current;
    current = l;
    l->now = kn_mono();
    // a task may post another, a hook may make one
    for (int i = 0; i < 1000000; i++) {
        run_posted(l);
        struct kn_loop_hook *h = KN_LIST_FIRST(&l->hooks, struct kn_loop_hook, link);
        if (h)
            h->end(h);
        else if (idle(l) && kn_list_empty(&l->posted))
            break;
    }
    current = outer;
    if (l->wake.fd >= 0)
        close(l->wake.fd);
    if (l->epoll >= 0)
        close(l->epoll);
    KN_VEC_DONE(&l->timers);
    free(l->scratch[0]);
    free(l->scratch[1]);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

bool kn_loop_is_mine(const struct kn_loop *l)
{
    return current == l;
}

uint8_t *kn_loop_scratch(struct kn_loop *l, int which)
{
    if (!l->scratch[which])
        l->scratch[which] = kn_alloc(KN_LOOP_SCRATCH);
    return l->scratch[which];
}

int64_t kn_loop_now(const struct kn_loop *l)
{
    return l->now;
}

static void run_timers(struct kn_loop *l)
{
    // Those that are set by a callback for a time that has passed wait for the next turn: `now`
    // does not move here, and a timer set "now" is after it by one.
    while (l->timers.len && l->timers.ptr[0]->at <= l->now) {
        struct kn_timer *t = l->timers.ptr[0];
        kn_timer_cancel(l, t);
        t->fire(t);
    }
}

static int wait_ms(const struct kn_loop *l)
{
    if (!idle(l))
        return 0;
    if (!l->timers.len)
        return -1;
    int64_t left = l->timers.ptr[0]->at - kn_mono();
    if (left <= 0)
        return 0;
    left = (left + KN_MILLI - 1) / KN_MILLI; // never early: a turn for nothing costs more
    return left > 60000 ? 60000 : (int)left;
}

static bool should_stop(struct kn_loop *l)
{
    return __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE);
}

void kn_loop_run(struct kn_loop *l)
{
    kn_assert(!l->running && !current);
    l->running = true;
    current = l;
    while (!should_stop(l)) {
        int n = epoll_wait(l->epoll, l->events, EVENTS, wait_ms(l));
        kn_assert(n >= 0 || errno == EINTR);
        l->now = kn_mono();
        l->event_count = n > 0 ? n : 0;
        for (l->event_at = 0; l->event_at < l->event_count; l->event_at++) {
            struct epoll_event *e = &l->events[l->event_at];
            struct kn_loop_fd *w = e->data.ptr;
            if (w)
                w->ready(w, e->events);
        }
        l->event_count = 0;
        run_posted(l);
        run_timers(l);
        for (int i = 0; i < 8 && !idle(l); i++)
            run_list(&l->local);
    }
    current = NULL;
    l->running = false;
    __atomic_store_n(&l->stop, false, __ATOMIC_RELEASE);
}

void kn_loop_stop(struct kn_loop *l)
{
    __atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
    wake(l);
}

static void *loop_thread(void *arg)
{
    kn_loop_run(arg);
    return NULL;
}

struct kn_status kn_loop_start(const char *name, size_t stack, struct kn_loop **ret)
{
    struct kn_loop *l = NULL;
    KN_TRY(kn_loop_new(&l));
    l->own_thread = true;
    struct kn_status s = kn_thread_start(&l->thread, name, stack, loop_thread, l);
    if (!kn_ok(s)) {
        kn_loop_free(l);
        return s;
    }
    *ret = l;
    return s;
}

void kn_loop_join(struct kn_loop *l)
{
    if (!l)
        return;
    kn_assert(l->own_thread);
    kn_loop_stop(l);
    kn_thread_join(l->thread);
    kn_loop_free(l);
}

// ---- descriptors ----

struct kn_status kn_loop_fd_add(struct kn_loop *l, struct kn_loop_fd *w)
{
    struct epoll_event e = {.events = w->events, .data.ptr = w};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &e) < 0)
        return kn_error_errno(errno, "watch the descriptor %d", w->fd);
    return KN_STATUS_OK;
}

void kn_loop_fd_set(struct kn_loop *l, struct kn_loop_fd *w, uint32_t events)
{
    if (w->events == events)
        return;
    w->events = events;
    struct epoll_event e = {.events = events, .data.ptr = w};
    kn_assert(epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e) == 0);
}

void kn_loop_fd_remove(struct kn_loop *l, struct kn_loop_fd *w)
{
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    for (int i = l->event_at; i < l->event_count; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

// ---- timers: a binary heap ----

static void place(struct kn_loop *l, struct kn_timer *t, size_t i)
{
    l->timers.ptr[i] = t;
    t->index = i + 1;
}

static void sift_up(struct kn_loop *l, struct kn_timer *t, size_t i)
{
    while (i > 0 && l->timers.ptr[(i - 1) / 2]->at > t->at) {
        place(l, l->timers.ptr[(i - 1) / 2], i);
        i = (i - 1) / 2;
    }
    place(l, t, i);
}

static void sift_down(struct kn_loop *l, struct kn_timer *t, size_t i)
{
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= l->timers.len)
            break;
        if (c + 1 < l->timers.len && l->timers.ptr[c + 1]->at < l->timers.ptr[c]->at)
            c++;
        if (l->timers.ptr[c]->at >= t->at)
            break;
        place(l, l->timers.ptr[c], i);
        i = c;
    }
    place(l, t, i);
}

void kn_timer_set(struct kn_loop *l, struct kn_timer *t, int64_t at)
{
    if (at <= l->now)
        at = l->now + 1;
    if (t->index) {
        size_t i = t->index - 1;
        bool later = at > t->at;
        t->at = at;
        if (later)
            sift_down(l, t, i);
        else
            sift_up(l, t, i);
        return;
    }
    t->at = at;
    KN_VEC_PUSH(&l->timers, t);
    sift_up(l, t, l->timers.len - 1);
}

void kn_timer_cancel(struct kn_loop *l, struct kn_timer *t)
{
    if (!t->index)
        return;
    size_t i = t->index - 1;
    t->index = 0;
    struct kn_timer *last = l->timers.ptr[--l->timers.len];
    if (last == t)
        return;
    if (i > 0 && l->timers.ptr[(i - 1) / 2]->at > last->at)
        sift_up(l, last, i);
    else
        sift_down(l, last, i);
}

// ---- messages ----

void kn_loop_post(struct kn_loop *l, struct kn_task *t)
{
    if (kn_loop_is_mine(l)) {
        kn_list_append(&l->local, &t->link);
        return;
    }
    pthread_mutex_lock(&l->lock);
    kn_list_append(&l->posted, &t->link);
    bool first = !l->woken;
    l->woken = true;
    pthread_mutex_unlock(&l->lock);
    if (first)
        wake(l);
}

void kn_loop_hook_add(struct kn_loop *l, struct kn_loop_hook *h)
{
    kn_list_append(&l->hooks, &h->link);
}
