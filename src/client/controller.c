#include "client/controller.h"

#include "base/log.h"
#include "base/map.h"
#include "base/thread.h"

#define MAX_WORKERS 16
#define BACKOFF_FIRST (5 * KN_MILLI)
#define BACKOFF_MAX (1000 * KN_SECOND)
#define BACKOFF_CONFLICT (80 * KN_MILLI)

// A key that the queue knows: it waits, is worked on, is delayed, or has failed. Otherwise it is
// forgotten. Everything under the controller's lock.
struct entry {
    struct kn_list link; // in `ready` while it waits
    size_t heap;         // 1-based place among the delayed; 0: not delayed
    int64_t at;          // when it is due
    unsigned failures;   // in a row
    bool waiting, active, again;
    bool retry; // it is delayed because it failed: success makes that void
    size_t len;
    char key[];
};

struct kn_controller {
    struct kn_controller_spec spec;
    pthread_mutex_t lock; // leaf
    pthread_cond_t more;
    struct kn_map entries;
    struct kn_list ready;
    struct entry **heap; // [0] is due first
    size_t heap_len, heap_cap;
    size_t waiting;
    uint64_t added, done, failed;
    bool stopping;
    pthread_t threads[MAX_WORKERS];
    unsigned started;
};

// -- the heap of delayed keys ---------------------------------------------------------------------

static void heap_place(struct kn_controller *c, size_t i, struct entry *e)
{
    c->heap[i] = e;
    e->heap = i + 1;
}

static void heap_up(struct kn_controller *c, size_t i, struct entry *e)
{
    for (; i > 0 && c->heap[(i - 1) / 2]->at > e->at; i = (i - 1) / 2)
        heap_place(c, i, c->heap[(i - 1) / 2]);
    heap_place(c, i, e);
}

static void heap_down(struct kn_controller *c, size_t i, struct entry *e)
{
    for (size_t child; (child = 2 * i + 1) < c->heap_len; i = child) {
        if (child + 1 < c->heap_len && c->heap[child + 1]->at < c->heap[child]->at)
            child++;
        if (c->heap[child]->at >= e->at)
            break;
        heap_place(c, i, c->heap[child]);
    }
    heap_place(c, i, e);
}

static void heap_remove(struct kn_controller *c, struct entry *e)
{
    size_t i = e->heap - 1;
    struct entry *last = c->heap[--c->heap_len];
    e->heap = 0;
    if (last == e)
        return;
    if (i > 0 && c->heap[(i - 1) / 2]->at > last->at)
        heap_up(c, i, last);
    else
        heap_down(c, i, last);
}

static void heap_add(struct kn_controller *c, struct entry *e)
{
    if (c->heap_len == c->heap_cap) {
        c->heap_cap = c->heap_cap ? c->heap_cap * 2 : 16;
        c->heap = kn_realloc(c->heap, c->heap_cap, sizeof *c->heap);
    }
    heap_up(c, c->heap_len++, e);
}

// -- entries --------------------------------------------------------------------------------------

static struct entry *entry_of(struct kn_controller *c, struct kn_sv key)
{
    struct entry *e = kn_map_get(&c->entries, key);
    if (!e) {
        e = kn_calloc(1, sizeof *e + key.len + 1);
        e->len = key.len;
        memcpy(e->key, key.ptr, key.len);
        kn_list_init(&e->link);
        kn_map_put(&c->entries, kn_sv(e->key, e->len), e);
    }
    return e;
}

static void forget_if_idle(struct kn_controller *c, struct entry *e)
{
    if (e->waiting || e->active || e->heap)
        return;
    kn_map_take(&c->entries, kn_sv(e->key, e->len));
    free(e);
}

static void make_ready(struct kn_controller *c, struct entry *e)
{
    if (e->active) {
        e->again = true;
    } else if (!e->waiting) {
        e->waiting = true;
        c->waiting++;
        kn_list_append(&c->ready, &e->link);
        pthread_cond_signal(&c->more);
    }
}

static void delay(struct kn_controller *c, struct entry *e, int64_t at, bool retry)
{
    if (e->heap && e->at <= at)
        return; // it comes earlier anyway
    if (e->heap)
        heap_remove(c, e);
    e->at = at;
    e->retry = retry;
    heap_add(c, e);
    if (e->heap == 1)
        pthread_cond_signal(&c->more); // whoever waits for the first one waits too long now
}

// -- workers --------------------------------------------------------------------------------------

static struct entry *take_locked(struct kn_controller *c)
{
    for (;;) {
        int64_t now = c->heap_len ? kn_mono() : 0;
        while (c->heap_len && c->heap[0]->at <= now) {
            struct entry *due = c->heap[0];
            heap_remove(c, due);
            make_ready(c, due);
        }
        if (c->stopping)
            return NULL;
        struct entry *e = KN_LIST_FIRST(&c->ready, struct entry, link);
        if (e) {
            kn_list_remove(&e->link);
            e->waiting = false;
            e->active = true;
            c->waiting--;
            return e;
        }
        kn_cond_wait(&c->more, &c->lock, c->heap_len ? c->heap[0]->at : KN_FOREVER);
    }
}

// A conflict says that somebody else was faster, and nothing of the cluster's health. Where two are
// at work, many may follow each other at once, and the last of them must not leave a long wait
// behind.
static int64_t backoff(unsigned failures, enum kn_code code)
{
    int64_t d = BACKOFF_FIRST, most = code == KN_CONFLICT ? BACKOFF_CONFLICT : BACKOFF_MAX;
    for (unsigned i = 1; i < failures && d < most; i++)
        d *= 2;
    return d < most ? d : most;
}

static void finish_locked(struct kn_controller *c, struct entry *e, enum kn_code code,
                          int64_t after)
{
    e->active = false;
    if (code == KN_OK) {
        c->done++;
        e->failures = 0;
        if (e->heap && e->retry)
            heap_remove(c, e);
        if (after > 0)
            delay(c, e, kn_mono() + after, false);
    } else {
        c->failed++;
        e->failures++;
        delay(c, e, kn_mono() + backoff(e->failures, code), true);
    }
    if (e->again) {
        e->again = false;
        make_ready(c, e);
    }
    forget_if_idle(c, e);
}

static void *work(void *arg)
{
    struct kn_controller *c = arg;
    pthread_mutex_lock(&c->lock);
    for (struct entry *e; (e = take_locked(c));) {
        pthread_mutex_unlock(&c->lock);
        int64_t after = 0;
        struct kn_status s = c->spec.reconcile(c->spec.ctx, kn_sv(e->key, e->len), &after);
        enum kn_code code = s.code;
        // a conflict or an object that went away is how competing writers meet: tried again, not
        // news
        bool news = s.code != KN_CONFLICT && s.code != KN_NOT_FOUND && s.code != KN_ALREADY_EXISTS;
        kn_log_status(news ? KN_LOG_WARN : KN_LOG_DEBUG, s, "%s: %s", c->spec.name, e->key);
        pthread_mutex_lock(&c->lock);
        finish_locked(c, e, code, after);
    }
    pthread_cond_broadcast(&c->more);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

// -- the contract ---------------------------------------------------------------------------------

struct kn_controller *kn_controller_new(const struct kn_controller_spec *spec)
{
    struct kn_controller *c = KN_NEW(struct kn_controller);
    c->spec = *spec;
    if (c->spec.workers == 0)
        c->spec.workers = 1;
    kn_assert(c->spec.workers <= MAX_WORKERS);
    pthread_mutex_init(&c->lock, NULL);
    kn_cond_init(&c->more);
    kn_list_init(&c->ready);
    return c;
}

struct kn_status kn_controller_start(struct kn_controller *c)
{
    for (; c->started < c->spec.workers; c->started++)
        KN_TRY(kn_thread_start(&c->threads[c->started], c->spec.name, 0, work, c));
    return KN_STATUS_OK;
}

void kn_controller_stop(struct kn_controller *c)
{
    KN_LOCKED(&c->lock)
    {
        c->stopping = true;
        pthread_cond_broadcast(&c->more);
    }
    for (; c->started > 0; c->started--)
        kn_thread_join(c->threads[c->started - 1]);
}

void kn_controller_free(struct kn_controller *c)
{
    if (!c)
        return;
    kn_assert(c->started == 0);
    size_t it = 0;
    for (struct entry *e; (e = kn_map_next(&c->entries, &it, NULL));)
        free(e);
    kn_map_done(&c->entries);
    free(c->heap);
    pthread_cond_destroy(&c->more);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void kn_controller_add(struct kn_controller *c, struct kn_sv key)
{
    KN_LOCKED(&c->lock)
    {
        c->added++;
        make_ready(c, entry_of(c, key));
    }
}

void kn_controller_add_after(struct kn_controller *c, struct kn_sv key, int64_t after_ns)
{
    if (after_ns <= 0) {
        kn_controller_add(c, key);
        return;
    }
    int64_t at = kn_mono() + after_ns;
    KN_LOCKED(&c->lock)
    {
        c->added++;
        delay(c, entry_of(c, key), at, false);
    }
}

void kn_controller_on_object(void *controller, enum kn_event_type type, const struct kn_obj *obj,
                             const struct kn_obj *old)
{
    (void)old;
    if (type == KN_EVENT_BOOKMARK)
        return;
    char key[KN_OBJ_KEY_TEXT];
    kn_obj_key_text(obj, key);
    kn_controller_add(controller, kn_sv_c(key));
}

void kn_controller_get_stats(struct kn_controller *c, struct kn_controller_stats *ret)
{
    KN_LOCKED(&c->lock)
    *ret = (struct kn_controller_stats){.added = c->added,
                                        .done = c->done,
                                        .failed = c->failed,
                                        .waiting = c->waiting,
                                        .delayed = c->heap_len};
}
