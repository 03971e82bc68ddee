#include "apiserver/jobs.h"

#include "base/thread.h"

#define STACK (512u << 10)
#define FEW 2u
#define DEFAULT_MAX 64u
#define IDLE_TIME (20 * KN_SECOND)

struct worker {
    struct kn_jobs *pool;
    pthread_t thread;
    bool running; // it has not ended
    bool started; // it wants to be joined
};

struct kn_jobs {
    pthread_mutex_t lock; // leaf
    pthread_cond_t more;
    struct kn_list waiting;
    size_t waiting_len;
    unsigned max, running, idle;
    bool closed;
    struct worker workers[];
};

// With the lock held: the next job, or NULL when the thread shall end.
static struct kn_job *take(struct kn_jobs *j)
{
    int64_t end = kn_mono() + IDLE_TIME;
    while (kn_list_empty(&j->waiting)) {
        if (j->closed)
            return NULL;
        j->idle++;
        bool woken = kn_cond_wait(&j->more, &j->lock, j->running > FEW ? end : KN_FOREVER);
        j->idle--;
        if (!woken && kn_list_empty(&j->waiting) && j->running > FEW)
            return NULL;
    }
    struct kn_job *job = KN_LIST_FIRST(&j->waiting, struct kn_job, link);
    kn_list_remove(&job->link);
    j->waiting_len--;
    return job;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct kn_jobs *j = w->pool;
    pthread_mutex_lock(&j->lock);
    for (struct kn_job *job; (job = take(j));) {
        pthread_mutex_unlock(&j->lock);
        job->run(job);
        pthread_mutex_lock(&j->lock);
    }
    w->running = false;
    j->running--;
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

// With the lock held. Without another thread those that are there do the work.
static struct kn_status start_one(struct kn_jobs *j)
{
    struct worker *w = j->workers;
    while (w->running)
        w++; // running < max: there is one
    if (w->started)
        kn_thread_join(w->thread); // it has let go of the lock for the last time
    w->started = false;
    char name[16];
    snprintf(name, sizeof name, "job-%u", (unsigned)(w - j->workers));
    w->pool = j;
    KN_TRY(kn_thread_start(&w->thread, name, STACK, work, w));
    w->started = w->running = true;
    j->running++;
    return KN_STATUS_OK;
}

struct kn_status kn_jobs_new(unsigned max, struct kn_jobs **ret)
{
    max = max ? max : DEFAULT_MAX;
    struct kn_jobs *j = kn_calloc(1, sizeof *j + max * sizeof j->workers[0]);
    pthread_mutex_init(&j->lock, NULL);
    kn_cond_init(&j->more);
    kn_list_init(&j->waiting);
    j->max = max;
    pthread_mutex_lock(&j->lock);
    struct kn_status s = start_one(j);
    pthread_mutex_unlock(&j->lock);
    if (!kn_ok(s)) {
        kn_jobs_free(j);
        return s;
    }
    *ret = j;
    return s;
}

bool kn_jobs_put(struct kn_jobs *j, struct kn_job *job)
{
    bool taken = false;
    KN_LOCKED(&j->lock)
    {
        taken = !j->closed;
        if (taken) {
            kn_list_append(&j->waiting, &job->link);
            j->waiting_len++;
            if (j->waiting_len > j->idle && j->running < j->max) {
                struct kn_status s = start_one(j);
                kn_status_done(&s);
            }
            pthread_cond_signal(&j->more);
        }
    }
    return taken;
}

void kn_jobs_close(struct kn_jobs *j)
{
    if (!j)
        return;
    KN_LOCKED(&j->lock)
    {
        j->closed = true;
        pthread_cond_broadcast(&j->more);
    }
    for (unsigned i = 0; i < j->max; i++) {
        if (j->workers[i].started)
            kn_thread_join(j->workers[i].thread);
        j->workers[i].started = false;
    }
}

void kn_jobs_free(struct kn_jobs *j)
{
    if (!j)
        return;
    pthread_cond_destroy(&j->more);
    pthread_mutex_destroy(&j->lock);
    free(j);
}
