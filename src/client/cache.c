#include "client/cache.h"

#include "base/map.h"
#include "base/thread.h"
#include "base/tree.h"
#include "base/vec.h"

struct key {
    struct kn_sv ns, name;
};

// Objects of one index value: a bag; removal looks the object up by pointer.
struct bag {
    char *value;
    KN_VEC(const struct kn_obj *) objs;
};

struct index {
    void (*values)(const struct kn_obj *obj, kn_index_emit *emit, void *ctx);
    struct kn_map bags;
};

struct subscriber {
    kn_cache_handler *handler;
    void *arg;
};

#define MAX_INDEXES 6

struct kn_cache {
    pthread_rwlock_t lock; // of the tree and the indexes
    pthread_mutex_t write; // held by the writer around a change and its announcement
    struct kn_tree objs;
    int64_t rev;
    struct index indexes[MAX_INDEXES];
    unsigned index_count;
    KN_VEC(struct subscriber) subscribers; // under `write`
};

static int compare(const void *k, const void *element)
{
    const struct key *key = k;
    const struct kn_obj *o = element;
    int c = kn_sv_cmp(key->ns, o->ns);
    return c ? c : kn_sv_cmp(key->name, o->name);
}

static const void *key_of(const void *element)
{
    // kept by the tree for the length of one insertion only
    static _Thread_local struct key key;
    const struct kn_obj *o = element;
    key = (struct key){o->ns, o->name};
    return &key;
}

struct kn_cache *kn_cache_new(void)
{
    struct kn_cache *c = KN_NEW(struct kn_cache);
    pthread_rwlock_init(&c->lock, NULL);
    pthread_mutex_init(&c->write, NULL);
    kn_tree_init(&c->objs, compare, key_of);
    return c;
}

static int unref_visit(void *element, void *arg __attribute__((unused)))
{
    kn_obj_unref(element);
    return 1;
}

void kn_cache_free(struct kn_cache *c)
{
    if (!c)
        return;
    kn_tree_walk(&c->objs, NULL, unref_visit, NULL);
    kn_tree_done(&c->objs);
    for (unsigned i = 0; i < c->index_count; i++) {
        size_t it = 0;
        for (struct bag *b; (b = kn_map_next(&c->indexes[i].bags, &it, NULL));) {
            KN_VEC_DONE(&b->objs);
            free(b->value);
            free(b);
        }
        kn_map_done(&c->indexes[i].bags);
    }
    KN_VEC_DONE(&c->subscribers);
    pthread_rwlock_destroy(&c->lock);
    pthread_mutex_destroy(&c->write);
    free(c);
}

// -- indexes -----------------------------------------------------------------------------------

struct emit_ctx {
    struct index *index;
    const struct kn_obj *obj;
};

static void emit_add(void *ctx, struct kn_sv value)
{
    struct emit_ctx *e = ctx;
    struct bag *b = kn_map_get(&e->index->bags, value);
    if (!b) {
        b = KN_NEW(struct bag);
        b->value = kn_sv_dup(value);
        kn_map_put(&e->index->bags, kn_sv(b->value, value.len), b);
    }
    KN_VEC_PUSH(&b->objs, e->obj);
}

static void emit_remove(void *ctx, struct kn_sv value)
{
    struct emit_ctx *e = ctx;
    struct bag *b = kn_map_get(&e->index->bags, value);
    for (size_t i = 0; b && i < b->objs.len; i++)
        if (b->objs.ptr[i] == e->obj) {
            KN_VEC_SWAP_OUT(&b->objs, i);
            break;
        }
    if (b && b->objs.len == 0) {
        kn_map_take(&e->index->bags, value);
        KN_VEC_DONE(&b->objs);
        free(b->value);
        free(b);
    }
}

static void index_obj(struct kn_cache *c, const struct kn_obj *o, kn_index_emit *emit)
{
    for (unsigned i = 0; i < c->index_count; i++) {
        struct emit_ctx ctx = {&c->indexes[i], o};
        c->indexes[i].values(o, emit, &ctx);
    }
}

static int index_one(void *element, void *arg)
{
    struct emit_ctx ctx = {arg, element};
    ctx.index->values(element, emit_add, &ctx);
    return 1;
}

typedef void index_values(const struct kn_obj *, kn_index_emit *, void *);

static unsigned index_of(const struct kn_cache *c, index_values *values)
{
    unsigned n = 0;
    while (n < c->index_count && c->indexes[n].values != values)
        n++;
    return n;
}

unsigned kn_cache_add_index(struct kn_cache *c, index_values *values)
{
    pthread_rwlock_rdlock(&c->lock);
    unsigned n = index_of(c, values);
    bool there = n < c->index_count;
    pthread_rwlock_unlock(&c->lock);
    if (there)
        return n;
    pthread_rwlock_wrlock(&c->lock);
    n = index_of(c, values);
    if (n == c->index_count) {
        kn_assert(c->index_count < MAX_INDEXES);
        c->indexes[c->index_count++].values = values;
        kn_tree_walk(&c->objs, NULL, index_one, &c->indexes[n]);
    }
    pthread_rwlock_unlock(&c->lock);
    return n;
}

void kn_cache_by_index(struct kn_cache *c, unsigned index, struct kn_sv value,
                       bool (*visit)(void *, const struct kn_obj *), void *arg)
{
    pthread_rwlock_rdlock(&c->lock);
    const struct bag *b = kn_map_get(&c->indexes[index].bags, value);
    for (size_t i = 0; b && i < b->objs.len; i++)
        if (!visit(arg, b->objs.ptr[i]))
            break;
    pthread_rwlock_unlock(&c->lock);
}

// -- the writer ----------------------------------------------------------------------------------

static void announce(struct kn_cache *c, enum kn_event_type type, const struct kn_obj *obj,
                     const struct kn_obj *old)
{
    for (size_t i = 0; i < c->subscribers.len; i++)
        c->subscribers.ptr[i].handler(c->subscribers.ptr[i].arg, type, obj, old);
}

// Read without the lock too.
static void raise_rev(struct kn_cache *c, int64_t rev)
{
    if (rev > c->rev)
        __atomic_store_n(&c->rev, rev, __ATOMIC_RELEASE);
}

// Both: the caller holds `write`.
static void put_locked(struct kn_cache *c, const struct kn_obj *obj)
{
    kn_obj_ref(obj);
    pthread_rwlock_wrlock(&c->lock);
    const struct kn_obj *old = kn_tree_put(&c->objs, (void *)(uintptr_t)obj);
    if (old)
        index_obj(c, old, emit_remove);
    index_obj(c, obj, emit_add);
    raise_rev(c, obj->rev);
    pthread_rwlock_unlock(&c->lock);
    announce(c, old ? KN_EVENT_MODIFIED : KN_EVENT_ADDED, obj, old);
    kn_obj_unref(old);
}

static void remove_locked(struct kn_cache *c, const struct kn_obj *last)
{
    struct key key = {last->ns, last->name};
    pthread_rwlock_wrlock(&c->lock);
    const struct kn_obj *old = kn_tree_take(&c->objs, &key);
    if (old)
        index_obj(c, old, emit_remove);
    raise_rev(c, last->rev);
    pthread_rwlock_unlock(&c->lock);
    if (old)
        announce(c, KN_EVENT_DELETED, last, old);
    kn_obj_unref(old);
}

void kn_cache_put(struct kn_cache *c, const struct kn_obj *obj)
{
    KN_LOCKED(&c->write)
    put_locked(c, obj);
}

void kn_cache_remove(struct kn_cache *c, const struct kn_obj *last)
{
    KN_LOCKED(&c->write)
    remove_locked(c, last);
}

void kn_cache_set_rev(struct kn_cache *c, int64_t rev)
{
    KN_LOCKED(&c->write)
    {
        pthread_rwlock_wrlock(&c->lock);
        raise_rev(c, rev);
        pthread_rwlock_unlock(&c->lock);
    }
}

typedef KN_VEC(const struct kn_obj *) obj_vec;

static int collect(void *element, void *arg)
{
    obj_vec *v = arg;
    KN_VEC_PUSH(v, kn_obj_ref(element));
    return 1;
}

void kn_cache_replace(struct kn_cache *c, const struct kn_obj *const *objs, size_t len, int64_t rev)
{
    obj_vec before = {0};
    KN_LOCKED(&c->write)
    {
        kn_tree_walk(&c->objs, NULL, collect, &before); // only the writer changes the tree
        struct kn_tree fresh;
        kn_tree_init(&fresh, compare, key_of);
        for (size_t i = 0; i < len; i++)
            kn_tree_put(&fresh, (void *)(uintptr_t)objs[i]);
        for (size_t i = 0; i < before.len; i++) {
            struct key key = {before.ptr[i]->ns, before.ptr[i]->name};
            if (!kn_tree_get(&fresh, &key))
                remove_locked(c, before.ptr[i]);
        }
        kn_tree_done(&fresh);
        for (size_t i = 0; i < len; i++) {
            struct key key = {objs[i]->ns, objs[i]->name};
            const struct kn_obj *old = kn_tree_get(&c->objs, &key);
            if (!old || old->rev != objs[i]->rev || !kn_sv_eq(old->uid, objs[i]->uid))
                put_locked(c, objs[i]);
        }
        pthread_rwlock_wrlock(&c->lock);
        __atomic_store_n(&c->rev, rev, __ATOMIC_RELEASE); // of another history: it may be lower
        pthread_rwlock_unlock(&c->lock);
    }
    for (size_t i = 0; i < before.len; i++)
        kn_obj_unref(before.ptr[i]);
    KN_VEC_DONE(&before);
}

// -- readers -------------------------------------------------------------------------------------

int64_t kn_cache_rev(const struct kn_cache *c)
{
    return __atomic_load_n(&c->rev, __ATOMIC_ACQUIRE);
}

size_t kn_cache_len(const struct kn_cache *c)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)(uintptr_t)&c->lock;
    pthread_rwlock_rdlock(lock);
    size_t len = c->objs.len;
    pthread_rwlock_unlock(lock);
    return len;
}

const struct kn_obj *kn_cache_get(struct kn_cache *c, struct kn_sv ns, struct kn_sv name)
{
    struct key key = {ns, name};
    pthread_rwlock_rdlock(&c->lock);
    const struct kn_obj *o = kn_tree_get(&c->objs, &key);
    if (o)
        kn_obj_ref(o);
    pthread_rwlock_unlock(&c->lock);
    return o;
}

struct list_walk {
    struct kn_sv ns, after_ns, after_name;
    bool (*visit)(void *arg, const struct kn_obj *obj);
    void *arg;
};

static int list_visit(void *element, void *arg)
{
    struct list_walk *w = arg;
    const struct kn_obj *o = element;
    if (w->ns.ptr && !kn_sv_eq(o->ns, w->ns))
        return kn_sv_cmp(o->ns, w->ns) < 0;
    if (w->after_name.len && kn_sv_eq(o->ns, w->after_ns) && kn_sv_eq(o->name, w->after_name))
        return 1;
    return w->visit(w->arg, o);
}

int64_t kn_cache_list(struct kn_cache *c, struct kn_sv ns, struct kn_sv after_ns,
                      struct kn_sv after_name, bool (*visit)(void *, const struct kn_obj *),
                      void *arg)
{
    struct list_walk w = {ns, after_ns, after_name, visit, arg};
    struct key from = {after_name.len ? after_ns : ns, after_name};
    pthread_rwlock_rdlock(&c->lock);
    kn_tree_walk(&c->objs, &from, list_visit, &w);
    int64_t rev = c->rev;
    pthread_rwlock_unlock(&c->lock);
    return rev;
}

// -- subscribers ---------------------------------------------------------------------------------

static int replay_visit(void *element, void *arg)
{
    const struct subscriber *s = arg;
    s->handler(s->arg, KN_EVENT_ADDED, element, NULL);
    return 1;
}

void kn_cache_subscribe(struct kn_cache *c, kn_cache_handler *handler, void *arg, bool replay)
{
    struct subscriber s = {handler, arg};
    KN_LOCKED(&c->write)
    {
        KN_VEC_PUSH(&c->subscribers, s);
        if (replay)
            kn_tree_walk(&c->objs, NULL, replay_visit, &s);
    }
}

void kn_cache_unsubscribe(struct kn_cache *c, kn_cache_handler *handler, void *arg)
{
    KN_LOCKED(&c->write)
    for (size_t i = 0; i < c->subscribers.len; i++)
        if (c->subscribers.ptr[i].handler == handler && c->subscribers.ptr[i].arg == arg) {
            // order is kept: subscribers are told in the order in which they came
            c->subscribers.len--;
            memmove(&c->subscribers.ptr[i], &c->subscribers.ptr[i + 1],
                    (c->subscribers.len - i) * sizeof c->subscribers.ptr[0]);
            break;
        }
}
