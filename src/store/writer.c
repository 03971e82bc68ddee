#include "store/writer.h"

#include "base/log.h"

#define BATCH_MAX 512
#define BATCH_BYTES (64u << 20)

static size_t take_batch(struct kn_store_writer *w, struct kn_write **writes)
{
    size_t len = 0;
    while (len < BATCH_MAX && !kn_list_empty(&w->waiting)) {
        struct kn_list *l = w->waiting.next;
        kn_list_remove(l);
        writes[len++] = KN_CONTAINER_OF(l, struct kn_write, link);
    }
    return len;
}

static void run_batch(struct kn_store_writer *w, struct kn_write **writes, size_t len)
{
    struct kn_arena *arena = kn_arena_new(4096, BATCH_BYTES);
    struct kn_store_event *events = kn_calloc(len, sizeof *events);
    struct kn_store_batch batch = {writes, events, len, arena};
    w->apply(w->store, &batch);
    for (size_t i = 0; i < len; i++)
        if (events[i].rev && w->observer)
            w->observer(w->observer_arg, &events[i]);
    for (size_t i = 0; i < len; i++)
        writes[i]->done(writes[i]);
    free(events);
    kn_arena_free(arena);
}

static void *run(void *arg)
{
    struct kn_store_writer *w = arg;
    struct kn_write **writes = kn_calloc(BATCH_MAX, sizeof(struct kn_write *));
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (kn_list_empty(&w->waiting) && !w->stop && !w->compact_to) {
            w->busy = false;
            pthread_cond_broadcast(&w->idle);
            kn_cond_wait(&w->more, &w->lock, KN_FOREVER);
        }
        w->busy = true;
        size_t len = take_batch(w, writes);
        int64_t compact_to = w->compact_to;
        if (len == 0 && (w->stop || !compact_to))
            break;
        pthread_mutex_unlock(&w->lock);
        if (len)
            run_batch(w, writes, len);
        bool more = compact_to && w->compact(w->store, compact_to);
        pthread_mutex_lock(&w->lock);
        if (compact_to && !more && w->compact_to == compact_to)
            w->compact_to = 0;
    }
    pthread_mutex_unlock(&w->lock);
    free(writes);
    return NULL;
}

struct kn_status kn_store_writer_start(struct kn_store_writer *w, struct kn_store *s,
                                       void (*apply)(struct kn_store *, struct kn_store_batch *),
                                       bool (*compact)(struct kn_store *, int64_t))
{
    *w = (struct kn_store_writer){.store = s, .apply = apply, .compact = compact};
    pthread_mutex_init(&w->lock, NULL);
    kn_cond_init(&w->more);
    kn_cond_init(&w->idle);
    kn_list_init(&w->waiting);
    return kn_thread_start(&w->thread, "store", 512u << 10, run, w);
}

void kn_store_writer_submit(struct kn_store_writer *w, struct kn_write *write)
{
    write->status = KN_STATUS_OK;
    write->rev = 0;
    write->result = NULL;
    pthread_mutex_lock(&w->lock);
    kn_assert(!w->stop);
    kn_list_append(&w->waiting, &write->link);
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void kn_store_writer_compact(struct kn_store_writer *w, int64_t rev)
{
    pthread_mutex_lock(&w->lock);
    if (rev > w->compact_to)
        w->compact_to = rev;
    pthread_cond_signal(&w->more);
    // Waits, so that who compacts knows that the history is gone.
    while (w->compact_to && !w->stop)
        kn_cond_wait(&w->idle, &w->lock, kn_mono() + KN_SECOND);
    pthread_mutex_unlock(&w->lock);
}

void kn_store_writer_stop(struct kn_store_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->more);
    pthread_cond_broadcast(&w->idle);
    pthread_mutex_unlock(&w->lock);
    kn_thread_join(w->thread);
    pthread_cond_destroy(&w->more);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->lock);
}
