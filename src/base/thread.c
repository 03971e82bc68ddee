#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

struct kn_status kn_thread_start(pthread_t *ret, const char *name, size_t stack,
                                 void *(*run)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack ? stack : 256u << 10);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = pthread_create(ret, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (err)
        return kn_error_errno(err, "start the thread %s", name);
    pthread_setname_np(*ret, name);
    return KN_STATUS_OK;
}

void kn_thread_join(pthread_t t)
{
    pthread_join(t, NULL);
}

void kn_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

bool kn_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline)
{
    if (deadline == KN_FOREVER) {
        pthread_cond_wait(c, m);
        return true;
    }
    if (deadline < 0)
        deadline = 0;
    struct timespec t = {deadline / KN_SECOND, deadline % KN_SECOND};
    return pthread_cond_timedwait(c, m, &t) != ETIMEDOUT;
}

void kn_queue_init(struct kn_queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    kn_cond_init(&q->more);
    kn_list_init(&q->items);
    q->len = 0;
    q->closed = false;
}

void kn_queue_done(struct kn_queue *q)
{
    kn_assert(kn_list_empty(&q->items));
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
}

bool kn_queue_put(struct kn_queue *q, struct kn_list *message)
{
    pthread_mutex_lock(&q->lock);
    bool open = !q->closed;
    if (open) {
        kn_list_append(&q->items, message);
        q->len++;
        pthread_cond_signal(&q->more);
    }
    pthread_mutex_unlock(&q->lock);
    return open;
}

struct kn_list *kn_queue_take(struct kn_queue *q, int64_t deadline)
{
    struct kn_list *m = NULL;
    pthread_mutex_lock(&q->lock);
    while (kn_list_empty(&q->items) && !q->closed)
        if (!kn_cond_wait(&q->more, &q->lock, deadline))
            break;
    if (!kn_list_empty(&q->items)) {
        m = q->items.next;
        kn_list_remove(m);
        q->len--;
    }
    pthread_mutex_unlock(&q->lock);
    return m;
}

void kn_queue_close(struct kn_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
}
