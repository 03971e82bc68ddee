#include "client/fan.h"

#include "base/thread.h"

#define MAX_THREADS 32
#define FIRST_BATCH 4

struct job { // on its caller's stack
    struct kn_list link;
    void (*call)(void *ctx, size_t i);
    void *ctx;
    size_t next, count, running;
};

struct kn_fan {
    pthread_mutex_t lock; // leaf
    pthread_cond_t more;  // a job has come, or the end
    pthread_cond_t done;  // a job is over
    struct kn_list jobs;  // that have calls left
    unsigned max, started, idle;
    bool closed;
    pthread_t threads[MAX_THREADS];
};

struct kn_fan *kn_fan_new(unsigned threads)
{
    struct kn_fan *f = KN_NEW(struct kn_fan);
    pthread_mutex_init(&f->lock, NULL);
    kn_cond_init(&f->more);
    kn_cond_init(&f->done);
    kn_list_init(&f->jobs);
    f->max = threads < MAX_THREADS ? threads : MAX_THREADS;
    return f;
}

void kn_fan_free(struct kn_fan *f)
{
    if (!f)
        return;
    KN_LOCKED(&f->lock)
    {
        f->closed = true;
        pthread_cond_broadcast(&f->more);
    }
    for (unsigned i = 0; i < f->started; i++)
        kn_thread_join(f->threads[i]);
    pthread_cond_destroy(&f->more);
    pthread_cond_destroy(&f->done);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

// Runs one call of the job; the lock is held before and after.
static void run_one(struct kn_fan *f, struct job *j)
{
    size_t i = j->next++;
    if (j->next == j->count)
        kn_list_remove(&j->link);
    j->running++;
    pthread_mutex_unlock(&f->lock);
    j->call(j->ctx, i);
    pthread_mutex_lock(&f->lock);
    if (--j->running == 0 && j->next == j->count)
        pthread_cond_broadcast(&f->done);
}

static void *work(void *arg)
{
    struct kn_fan *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->closed) {
        struct job *j = KN_LIST_FIRST(&f->jobs, struct job, link);
        if (j) {
            run_one(f, j);
            continue;
        }
        f->idle++;
        kn_cond_wait(&f->more, &f->lock, KN_FOREVER);
        f->idle--;
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

// As many threads as there are calls for, as far as they may be had; without them the caller does
// it.
static void wake(struct kn_fan *f, size_t wanted)
{
    for (size_t i = 0; i < wanted && i < f->idle; i++)
        pthread_cond_signal(&f->more);
    for (size_t i = f->idle; i < wanted && f->started < f->max; i++) {
        struct kn_status s = kn_thread_start(&f->threads[f->started], "fan", 0, work, f);
        bool ok = kn_ok(s);
        kn_status_done(&s);
        if (!ok)
            return;
        f->started++;
    }
}

void kn_fan_run(struct kn_fan *f, size_t count, void (*call)(void *ctx, size_t i), void *ctx)
{
    if (!f || count <= 1) {
        for (size_t i = 0; i < count; i++)
            call(ctx, i);
        return;
    }
    struct job j = {.call = call, .ctx = ctx, .count = count};
    pthread_mutex_lock(&f->lock);
    kn_list_append(&f->jobs, &j.link);
    wake(f, count - 1);
    while (j.next < j.count)
        run_one(f, &j);
    while (j.running > 0)
        kn_cond_wait(&f->done, &f->lock, KN_FOREVER);
    pthread_mutex_unlock(&f->lock);
}

struct slow {
    struct kn_status (*call)(void *ctx, size_t i);
    void *ctx;
    size_t from;
    pthread_mutex_t lock;
    struct kn_status failure;
};

static void call_slow(void *ctx, size_t i)
{
    struct slow *s = ctx;
    struct kn_status st = s->call(s->ctx, s->from + i);
    if (kn_ok(st))
        return;
    KN_LOCKED(&s->lock)
    {
        if (kn_ok(s->failure)) {
            s->failure = st;
            st = KN_STATUS_OK;
        }
    }
    kn_status_done(&st);
}

struct kn_status kn_fan_slow_start(struct kn_fan *f, size_t count,
                                   struct kn_status (*call)(void *ctx, size_t i), void *ctx,
                                   size_t *ret_done)
{
    struct slow s = {.call = call, .ctx = ctx};
    pthread_mutex_init(&s.lock, NULL);
    for (size_t batch = FIRST_BATCH; s.from < count && kn_ok(s.failure); batch *= 2) {
        size_t n = count - s.from < batch ? count - s.from : batch;
        kn_fan_run(f, n, call_slow, &s);
        s.from += n;
    }
    pthread_mutex_destroy(&s.lock);
    *ret_done = s.from;
    return s.failure;
}
