#include "store/memory.h"

#include "base/vec.h"
#include "store/history.h"
#include "store/writer.h"

struct entry {
    struct kn_kv kv; // key and value are one heap block each
};

struct memory_store {
    struct kn_store base;
    pthread_mutex_t lock; // of everything below; leaf
    struct kn_tree kv;
    KN_VEC(struct kn_log_entry) log; // owns its texts
    int64_t now, compacted;
    struct kn_store_writer writer;
};

static int compare(const void *key, const void *e)
{
    return kn_sv_cmp(*(const struct kn_sv *)key, ((const struct entry *)e)->kv.key);
}

static const void *key_of(const void *e)
{
    return &((const struct entry *)e)->kv.key;
}

static struct kn_sv copy_text(struct kn_sv v)
{
    return kn_sv(kn_sv_dup(v), v.len);
}

static void drop(struct kn_sv v)
{
    free((void *)(uintptr_t)v.ptr);
}

static void entry_free(struct entry *e)
{
    drop(e->kv.key);
    drop(e->kv.value);
    free(e);
}

static void log_free(struct kn_log_entry *e)
{
    drop(e->key);
    drop(e->value);
    drop(e->prev_value);
}

static void do_write(struct memory_store *s, struct kn_store_batch *b, size_t i)
{
    struct kn_write *w = b->writes[i];
    struct entry *old = kn_tree_get(&s->kv, &w->key);
    int64_t mod = old ? old->kv.mod_rev : 0;
    if ((w->expected != KN_STORE_ANY && w->expected != mod) ||
        (w->change == KN_CHANGE_DELETE && !old)) {
        w->rev = mod;
        w->status = kn_error(KN_CONFLICT, "the key %.*s is at revision %lld, not at %lld",
                             KN_SV_ARG(w->key), (long long)mod, (long long)w->expected);
        return;
    }
    int64_t rev = ++s->now;
    struct kn_log_entry e = {.change = w->change,
                             .rev = rev,
                             .create_rev = old ? old->kv.create_rev : rev,
                             .prev_rev = mod,
                             .key = copy_text(w->key),
                             .value = copy_text(w->change == KN_CHANGE_PUT ? w->value : KN_SV_NULL),
                             .prev_value = copy_text(old ? old->kv.value : KN_SV_NULL)};
    KN_VEC_PUSH(&s->log, e);
    if (w->change == KN_CHANGE_PUT) {
        struct entry *n = KN_NEW(struct entry);
        n->kv = (struct kn_kv){copy_text(w->key), copy_text(w->value), e.create_rev, rev};
        kn_tree_put(&s->kv, n);
    } else {
        kn_tree_take(&s->kv, &w->key);
    }
    if (old)
        entry_free(old);
    b->events[i] = kn_log_event(&e);
    b->events[i].key = kn_arena_dup(b->arena, b->events[i].key);
    b->events[i].value = kn_arena_dup(b->arena, b->events[i].value);
    b->events[i].prev_value = kn_arena_dup(b->arena, b->events[i].prev_value);
    b->events[i].write = w;
    w->rev = rev;
}

static void apply(struct kn_store *base, struct kn_store_batch *b)
{
    struct memory_store *s = (struct memory_store *)base;
    KN_LOCKED(&s->lock)
    for (size_t i = 0; i < b->len; i++)
        do_write(s, b, i);
}

static bool compact_all(struct kn_store *base, int64_t rev)
{
    struct memory_store *s = (struct memory_store *)base;
    KN_LOCKED(&s->lock)
    {
        size_t keep = 0;
        for (size_t i = 0; i < s->log.len; i++) {
            if (s->log.ptr[i].rev <= rev)
                log_free(&s->log.ptr[i]);
            else
                s->log.ptr[keep++] = s->log.ptr[i];
        }
        s->log.len = keep;
        if (rev > s->compacted)
            s->compacted = rev;
    }
    return false;
}

static struct kn_status get(struct kn_store *base, struct kn_sv key, struct kn_arena *a,
                            struct kn_kv *ret)
{
    struct memory_store *s = (struct memory_store *)base;
    struct kn_status status = kn_error(KN_NOT_FOUND, "read: not found");
    KN_LOCKED(&s->lock)
    {
        struct entry *e = kn_tree_get(&s->kv, &key);
        if (e) {
            kn_status_done(&status);
            *ret = e->kv;
            ret->key = kn_arena_dup(a, ret->key);
            ret->value = kn_arena_dup(a, ret->value);
            if (kn_arena_failed(a))
                status = kn_arena_error(a, "the value");
        }
    }
    return status;
}

struct walk {
    struct kn_sv to;
    struct kn_arena *arena;
    struct kn_kv *kvs;
    size_t len;
};

static int collect(void *element, void *arg)
{
    struct walk *w = arg;
    const struct kn_kv *kv = &((struct entry *)element)->kv;
    if (w->to.len && kn_sv_cmp(kv->key, w->to) >= 0)
        return 0;
    w->kvs[w->len++] =
        (struct kn_kv){kn_arena_dup(w->arena, kv->key), kn_arena_dup(w->arena, kv->value),
                       kv->create_rev, kv->mod_rev};
    return 1;
}

// Takes everything of the range, as it was at rev, out from under the lock.
static struct kn_status snapshot(struct memory_store *s, struct kn_sv from, int64_t rev,
                                 struct walk *w, struct kn_undo *undo)
{
    if (rev > s->now)
        return kn_error(KN_INVALID, "revision %lld is in the future (now is %lld)", (long long)rev,
                        (long long)s->now);
    if (rev && rev < s->compacted)
        return kn_error(KN_EXPIRED, "revision %lld has been compacted (the oldest is %lld)",
                        (long long)rev, (long long)s->compacted);
    w->kvs = kn_calloc(s->kv.len + 1, sizeof *w->kvs);
    kn_tree_walk(&s->kv, &from, collect, w);
    for (size_t i = 0; rev && i < s->log.len; i++)
        if (s->log.ptr[i].rev > rev && kn_key_in(s->log.ptr[i].key, from, w->to))
            kn_undo_add(undo, &s->log.ptr[i]);
    return KN_STATUS_OK;
}

static bool give(const struct kn_kv *kv, size_t limit, size_t *seen,
                 bool (*visit)(void *, const struct kn_kv *), void *arg, bool *more)
{
    if ((limit && *seen == limit) || ((*seen)++, !visit(arg, kv))) {
        *more = true;
        return false;
    }
    return true;
}

static struct kn_status range(struct kn_store *base, struct kn_sv from, struct kn_sv to,
                              int64_t rev, size_t limit,
                              bool (*visit)(void *, const struct kn_kv *), void *arg,
                              int64_t *ret_rev, bool *ret_more)
{
    struct memory_store *s = (struct memory_store *)base;
    struct kn_arena *arena = kn_arena_new(0, SIZE_MAX);
    struct walk w = {.to = to, .arena = arena};
    struct kn_undo undo;
    kn_undo_init(&undo, arena);
    struct kn_status status = KN_STATUS_OK;
    *ret_more = false;
    KN_LOCKED(&s->lock)
    {
        *ret_rev = rev ? rev : s->now;
        status = snapshot(s, from, rev, &w, &undo);
    }
    size_t i = 0, seen = 0;
    const struct kn_undo_item *u = kn_ok(status) ? kn_undo_from(&undo, from) : NULL;
    bool go_on = kn_ok(status);
    while (go_on && (i < w.len || u)) {
        int side = i == w.len ? 1 : !u ? -1 : kn_sv_cmp(w.kvs[i].key, u->kv.key);
        if (side < 0)
            go_on = give(&w.kvs[i], limit, &seen, visit, arg, ret_more);
        else if (u->existed)
            go_on = give(&u->kv, limit, &seen, visit, arg, ret_more);
        if (side >= 0) {
            struct kn_sv next = kn_arena_dup(arena, u->kv.key);
            u = kn_undo_from(&undo, kn_sv(next.ptr, next.len + 1));
        }
        if (side <= 0)
            i++;
    }
    free(w.kvs);
    kn_undo_done(&undo);
    kn_arena_free(arena);
    return status;
}

static struct kn_status replay(struct kn_store *base, struct kn_sv from, struct kn_sv to,
                               int64_t after, bool (*visit)(void *, const struct kn_store_event *),
                               void *arg)
{
    struct memory_store *s = (struct memory_store *)base;
    struct kn_status status = KN_STATUS_OK;
    KN_LOCKED(&s->lock)
    {
        if (after < s->compacted)
            status = kn_error(KN_EXPIRED, "revision %lld has been compacted", (long long)after);
        for (size_t i = 0; kn_ok(status) && i < s->log.len; i++) {
            struct kn_store_event e = kn_log_event(&s->log.ptr[i]);
            if (e.rev > after && kn_key_in(e.key, from, to) && !visit(arg, &e))
                break;
        }
    }
    return status;
}

static void revisions(struct kn_store *base, int64_t *ret_now, int64_t *ret_compacted)
{
    struct memory_store *s = (struct memory_store *)base;
    KN_LOCKED(&s->lock)
    {
        *ret_now = s->now;
        *ret_compacted = s->compacted;
    }
}

static void submit(struct kn_store *base, struct kn_write *w)
{
    kn_store_writer_submit(&((struct memory_store *)base)->writer, w);
}

static struct kn_status observe(struct kn_store *base,
                                void (*observer)(void *, const struct kn_store_event *), void *arg)
{
    struct memory_store *s = (struct memory_store *)base;
    s->writer.observer_arg = arg;
    s->writer.observer = observer;
    return KN_STATUS_OK;
}

static struct kn_status compact(struct kn_store *base, int64_t rev)
{
    struct memory_store *s = (struct memory_store *)base;
    int64_t now, compacted;
    revisions(base, &now, &compacted);
    if (rev > now)
        return kn_error(KN_INVALID, "revision %lld is in the future", (long long)rev);
    kn_store_writer_compact(&s->writer, rev);
    return KN_STATUS_OK;
}

static int free_visit(void *element, void *arg __attribute__((unused)))
{
    entry_free(element);
    return 1;
}

static void close_store(struct kn_store *base)
{
    struct memory_store *s = (struct memory_store *)base;
    kn_store_writer_stop(&s->writer);
    kn_tree_walk(&s->kv, NULL, free_visit, NULL);
    kn_tree_done(&s->kv);
    for (size_t i = 0; i < s->log.len; i++)
        log_free(&s->log.ptr[i]);
    KN_VEC_DONE(&s->log);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct kn_store_ops ops = {close_store, get,    range,   submit,
                                        observe,     replay, compact, revisions};

struct kn_status kn_store_memory_open(struct kn_store **ret)
{
    struct memory_store *s = KN_NEW(struct memory_store);
    s->base.ops = &ops;
    pthread_mutex_init(&s->lock, NULL);
    kn_tree_init(&s->kv, compare, key_of);
    struct kn_status status = kn_store_writer_start(&s->writer, &s->base, apply, compact_all);
    if (!kn_ok(status)) {
        free(s);
        return status;
    }
    *ret = &s->base;
    return KN_STATUS_OK;
}
