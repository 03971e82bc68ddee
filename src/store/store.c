#include "store/store.h"

#include "base/thread.h"

void kn_store_close(struct kn_store *s)
{
    if (s)
        s->ops->close(s);
}

struct kn_status kn_store_get(struct kn_store *s, struct kn_sv key, struct kn_arena *a,
                              struct kn_kv *ret)
{
    return s->ops->get(s, key, a, ret);
}

struct kn_status kn_store_range(struct kn_store *s, struct kn_sv from, struct kn_sv to, int64_t rev,
                                size_t limit, bool (*visit)(void *, const struct kn_kv *),
                                void *arg, int64_t *ret_rev, bool *ret_more)
{
    int64_t at;
    bool more;
    return s->ops->range(s, from, to, rev, limit, visit, arg, ret_rev ? ret_rev : &at,
                         ret_more ? ret_more : &more);
}

static struct kn_status check(const struct kn_write *w)
{
    if (w->key.len == 0 || w->key.len > KN_STORE_KEY_MAX)
        return kn_error(KN_INVALID, "a key has 1 to %d bytes, this one has %zu", KN_STORE_KEY_MAX,
                        w->key.len);
    return KN_STATUS_OK;
}

void kn_store_submit(struct kn_store *s, struct kn_write *w)
{
    struct kn_status bad = check(w);
    if (!kn_ok(bad)) {
        w->status = bad;
        w->rev = 0;
        w->done(w);
        return;
    }
    s->ops->submit(s, w);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

static void wake(struct kn_write *w)
{
    struct waiter *waiter = w->arg;
    pthread_mutex_lock(&waiter->lock);
    waiter->done = true;
    pthread_cond_signal(&waiter->cond);
    pthread_mutex_unlock(&waiter->lock);
}

struct kn_status kn_store_write(struct kn_store *s, struct kn_write *w)
{
    KN_TRY(check(w));
    struct waiter waiter = {.done = false};
    pthread_mutex_init(&waiter.lock, NULL);
    kn_cond_init(&waiter.cond);
    w->done = wake;
    w->arg = &waiter;
    s->ops->submit(s, w);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.done)
        kn_cond_wait(&waiter.cond, &waiter.lock, KN_FOREVER);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.cond);
    pthread_mutex_destroy(&waiter.lock);
    struct kn_status status = w->status;
    w->status = KN_STATUS_OK;
    return status;
}

struct kn_status kn_store_observe(struct kn_store *s,
                                  void (*observer)(void *, const struct kn_store_event *),
                                  void *arg)
{
    return s->ops->observe(s, observer, arg);
}

struct kn_status kn_store_replay(struct kn_store *s, struct kn_sv from, struct kn_sv to,
                                 int64_t after,
                                 bool (*visit)(void *, const struct kn_store_event *), void *arg)
{
    return s->ops->replay(s, from, to, after, visit, arg);
}

struct kn_status kn_store_compact(struct kn_store *s, int64_t rev)
{
    return s->ops->compact(s, rev);
}

void kn_store_revisions(struct kn_store *s, int64_t *ret_now, int64_t *ret_compacted)
{
    int64_t now, compacted;
    s->ops->revisions(s, ret_now ? ret_now : &now, ret_compacted ? ret_compacted : &compacted);
}

struct kn_sv kn_store_prefix_end(struct kn_arena *a, struct kn_sv prefix)
{
    size_t n = prefix.len;
    while (n && (unsigned char)prefix.ptr[n - 1] == 0xff)
        n--;
    if (n == 0)
        return KN_SV_NULL; // no end
    struct kn_sv end = kn_arena_dup(a, kn_sv_first(prefix, n));
    if (end.ptr)
        ((char *)(uintptr_t)end.ptr)[n - 1]++;
    return end;
}
