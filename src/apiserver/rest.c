// Stored resources: keys, bytes, caches, recent events. The store's writer thread is the only one
// that changes caches and rings, so both have the store's order.
#include "apiserver/internal.h"
#include "meta/obj.h"

// Encrypted values begin with this, which no place for a splice (4 bytes, small) can be.
static const char encrypted_magic[4] = {(char)0xff, 'K', 'E', '1'};

static bool is_secret(const struct kn_rest *rest)
{
    return kn_sv_is(rest->resource->plural, "secrets") && rest->resource->group.len == 0;
}

struct kn_sv kn_rest_key(struct kn_arena *a, const struct kn_rest *rest, struct kn_sv ns,
                         struct kn_sv name)
{
    if (ns.len)
        return kn_arena_printf(a, "%s%.*s/%.*s", rest->prefix, KN_SV_ARG(ns), KN_SV_ARG(name));
    return kn_arena_printf(a, "%s%.*s", rest->prefix, KN_SV_ARG(name));
}

static const uint8_t *key_of(const struct kn_rest *rest)
{
    const struct kn_secret *s = rest->server->encryption_key;
    return s ? (const uint8_t *)kn_secret_reveal(s).ptr : NULL;
}

static struct kn_status encrypt(struct kn_rest *rest, struct kn_sv key, struct kn_buf *value)
{
    const uint8_t *secret = key_of(rest);
    size_t head = sizeof encrypted_magic + KN_GCM_NONCE;
    size_t total = head + value->len + KN_GCM_TAG;
    char *out = kn_alloc(total);
    memcpy(out, encrypted_magic, sizeof encrypted_magic);
    uint8_t *nonce = (uint8_t *)out + sizeof encrypted_magic;
    kn_random(nonce, KN_GCM_NONCE);
    // the key is bound in, so that a value cannot be moved to another place of the store
    struct kn_status s =
        kn_gcm_seal(secret, nonce, key, kn_buf_sv(value), (uint8_t *)out + head);
    if (kn_ok(s)) {
        explicit_bzero(value->ptr, value->len);
        kn_buf_clear(value);
        kn_buf_add(value, kn_sv(out, total));
        s = kn_buf_status(value, "the object");
    }
    free(out);
    return s;
}

struct kn_status kn_rest_decode(struct kn_rest *rest, struct kn_sv key, struct kn_sv value,
                                int64_t rev, const struct kn_obj **ret)
{
    size_t head = sizeof encrypted_magic + KN_GCM_NONCE;
    if (value.len < head + KN_GCM_TAG || memcmp(value.ptr, encrypted_magic, 4) != 0)
        return kn_obj_from_stored(value, rev, ret);
    const uint8_t *secret = key_of(rest);
    if (!secret)
        return kn_error(KN_INTERNAL, "%.*s is encrypted, and there is no key", KN_SV_ARG(key));
    size_t len = value.len - head - KN_GCM_TAG;
    uint8_t *plain = kn_alloc(len);
    struct kn_status s = kn_gcm_open(secret, (const uint8_t *)value.ptr + sizeof encrypted_magic,
                                     key, kn_sv_from(value, head), plain);
    if (kn_ok(s))
        s = kn_obj_from_stored(kn_sv((char *)plain, len), rev, ret);
    explicit_bzero(plain, len);
    free(plain);
    return kn_wrap(s, "read %.*s", KN_SV_ARG(key));
}

// -- writing --------------------------------------------------------------------------------------

static struct kn_status write_through(struct kn_rest *rest, struct kn_write *w,
                                      const struct kn_obj **ret, int64_t *ret_rev)
{
    struct kn_status s = kn_store_write(rest->server->config.store, w);
    if (ret_rev)
        *ret_rev = w->rev;
    if (kn_ok(s) && ret)
        *ret = w->result;
    else
        kn_obj_unref(w->result);
    return s;
}

struct kn_status kn_rest_put(struct kn_rest *rest, struct kn_sv ns, struct kn_sv name,
                             struct kn_json *root, int64_t expected, const struct kn_obj **ret,
                             int64_t *ret_rev)
{
    struct kn_arena *a = kn_arena_new(512, 4096);
    struct kn_sv key = kn_rest_key(a, rest, ns, name);
    struct kn_buf value = KN_BUF(KN_OBJ_MAX + 4096);
    struct kn_status s = kn_obj_encode_stored(root, &value);
    if (kn_ok(s) && is_secret(rest) && key_of(rest))
        s = encrypt(rest, key, &value);
    if (kn_ok(s)) {
        struct kn_write w = {
            .change = KN_CHANGE_PUT, .key = key, .value = kn_buf_sv(&value), .expected = expected};
        s = write_through(rest, &w, ret, ret_rev);
    }
    kn_buf_done(&value);
    kn_arena_free(a);
    return s;
}

struct kn_status kn_rest_delete(struct kn_rest *rest, struct kn_sv ns, struct kn_sv name,
                                int64_t expected, const struct kn_obj **ret, int64_t *ret_rev)
{
    struct kn_arena *a = kn_arena_new(512, 4096);
    struct kn_write w = {.change = KN_CHANGE_DELETE,
                         .key = kn_rest_key(a, rest, ns, name),
                         .expected = expected};
    struct kn_status s = write_through(rest, &w, ret, ret_rev);
    kn_arena_free(a);
    return s;
}

// -- what the store tells ------------------------------------------------------------------------

// "/registry/<group>/<plural>/..." to its rest.
static struct kn_rest *rest_of_key(struct kn_apiserver *s, struct kn_sv key)
{
    struct kn_sv rest = kn_sv_from(key, sizeof "/registry/" - 1);
    ptrdiff_t a = kn_sv_find(rest, '/');
    ptrdiff_t b = a < 0 ? -1 : kn_sv_find(kn_sv_from(rest, (size_t)a + 1), '/');
    if (!kn_sv_starts(key, KN_SV("/registry/")) || b < 0)
        return NULL;
    return kn_map_get(&s->rest_by_prefix, kn_sv_first(rest, (size_t)(a + 1 + b)));
}

static void ring_put(struct kn_rest *rest, enum kn_event_type type, const struct kn_obj *obj,
                     const struct kn_obj *old)
{
    KN_LOCKED(&rest->ring_lock)
    {
        struct kn_ring_event *e = &rest->ring[rest->ring_next % KN_RING];
        if (rest->ring_next >= KN_RING)
            rest->ring_floor = e->rev;
        kn_obj_unref(e->obj);
        kn_obj_unref(e->old);
        *e = (struct kn_ring_event){obj->rev, type, kn_obj_ref(obj), old ? kn_obj_ref(old) : NULL};
        rest->ring_next++;
    }
    kn_wake_watchers(rest);
}

static void observe(void *arg, const struct kn_store_event *e)
{
    struct kn_apiserver *s = arg;
    struct kn_rest *rest = rest_of_key(s, e->key);
    if (!rest)
        return;
    const struct kn_obj *obj = NULL;
    if (!kn_log_status(KN_LOG_ERROR, kn_rest_decode(rest, e->key, e->value, e->rev, &obj),
                       "a change of %.*s is lost to watchers", KN_SV_ARG(e->key)))
        return;
    const struct kn_obj *old = kn_cache_get(rest->cache, obj->ns, obj->name);
    if (e->change == KN_CHANGE_DELETE) {
        ring_put(rest, KN_EVENT_DELETED, obj, old);
        kn_cache_remove(rest->cache, obj);
    } else {
        // The cache first: who has been woken finds it there.
        kn_cache_put(rest->cache, obj);
        ring_put(rest, old ? KN_EVENT_MODIFIED : KN_EVENT_ADDED, obj, old);
    }
    kn_obj_unref(old);
    if (e->write)
        e->write->result = (void *)(uintptr_t)obj; // the writer's reference
    else
        kn_obj_unref(obj);
}

// -- opening -------------------------------------------------------------------------------------

struct kn_rest *kn_rest_find(struct kn_apiserver *s, const struct kn_resource *hub)
{
    char group[256];
    struct kn_sv prefix = kn_resource_prefix(hub, group);
    struct kn_sv key = kn_sv_from(prefix, sizeof "/registry/" - 1);
    return kn_map_get(&s->rest_by_prefix, kn_sv_first(key, key.len - 1));
}

struct kn_rest *kn_rest_at(struct kn_apiserver *s, size_t index)
{
    return index < s->rest_count ? s->rests[index] : NULL;
}

static void open_one(struct kn_apiserver *s, const struct kn_resource *r)
{
    struct kn_rest *rest = KN_NEW(struct kn_rest);
    rest->server = s;
    rest->resource = r;
    struct kn_sv prefix = kn_resource_prefix(r, rest->prefix);
    rest->prefix_len = prefix.len;
    rest->cache = kn_cache_new();
    pthread_mutex_init(&rest->ring_lock, NULL);
    struct kn_sv key = kn_sv_from(prefix, sizeof "/registry/" - 1);
    kn_map_put(&s->rest_by_prefix, kn_sv_first(key, key.len - 1), rest);
    s->rests[s->rest_count++] = rest;
}

struct loader {
    struct kn_apiserver *server;
    struct kn_status status;
};

static bool load_one(void *arg, const struct kn_kv *kv)
{
    struct loader *l = arg;
    struct kn_rest *rest = rest_of_key(l->server, kv->key);
    if (!rest)
        return true; // a resource that is not served (any more)
    const struct kn_obj *obj;
    l->status = kn_rest_decode(rest, kv->key, kv->value, kv->mod_rev, &obj);
    if (!kn_ok(l->status))
        return false;
    kn_cache_put(rest->cache, obj);
    kn_obj_unref(obj);
    return true;
}

struct kn_status kn_rest_open(struct kn_apiserver *s)
{
    size_t count = 0;
    while (kn_resource_at(count))
        count++;
    s->rests = kn_calloc(count, sizeof *s->rests);
    s->served = kn_calloc(count, sizeof *s->served);
    for (size_t i = 0; i < count; i++) {
        const struct kn_resource *r = kn_resource_at(i);
        if (!r->served)
            continue;
        s->served[s->served_count++] = r;
        if (r->hub == r && !r->no_store)
            open_one(s, r);
    }
    KN_TRY(kn_store_observe(s->config.store, observe, s));
    struct loader l = {s, KN_STATUS_OK};
    int64_t rev;
    bool more;
    KN_TRY(kn_store_range(s->config.store, KN_SV("/registry/"), KN_SV("/registry0"), 0, 0, load_one,
                          &l, &rev, &more));
    KN_TRY(l.status);
    for (size_t i = 0; i < s->rest_count; i++) {
        kn_cache_set_rev(s->rests[i]->cache, rev);
        s->rests[i]->ring_floor = rev;
    }
    return KN_STATUS_OK;
}

void kn_rest_close(struct kn_apiserver *s)
{
    for (size_t i = 0; i < s->rest_count; i++) {
        struct kn_rest *rest = s->rests[i];
        for (int e = 0; e < KN_RING; e++) {
            kn_obj_unref(rest->ring[e].obj);
            kn_obj_unref(rest->ring[e].old);
        }
        kn_cache_free(rest->cache);
        pthread_mutex_destroy(&rest->ring_lock);
        free(rest->watchers);
        free(rest->wakes);
        free(rest);
    }
    kn_map_done(&s->rest_by_prefix);
    free(s->rests);
    free(s->served);
}
