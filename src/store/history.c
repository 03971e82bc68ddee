#include "store/history.h"

struct head {
    int64_t create_rev, prev_rev;
    uint32_t key_len, value_len, prev_len;
    uint32_t change;
};

void kn_log_encode(struct kn_buf *out, const struct kn_log_entry *e)
{
    struct head h = {e->create_rev,           e->prev_rev,
                     (uint32_t)e->key.len,    (uint32_t)e->value.len,
                     (uint32_t)e->prev_value.len, (uint32_t)e->change};
    kn_buf_add(out, kn_sv((const char *)&h, sizeof h));
    kn_buf_add(out, e->key);
    kn_buf_add(out, e->value);
    kn_buf_add(out, e->prev_value);
}

bool kn_log_decode(struct kn_sv bytes, int64_t rev, struct kn_log_entry *ret)
{
    struct head h;
    if (bytes.len < sizeof h)
        return false;
    memcpy(&h, bytes.ptr, sizeof h);
    size_t want = sizeof h + (size_t)h.key_len + h.value_len + h.prev_len;
    if (bytes.len != want || h.change > KN_CHANGE_DELETE)
        return false;
    const char *p = bytes.ptr + sizeof h;
    *ret = (struct kn_log_entry){.change = (enum kn_change)h.change,
                                 .rev = rev,
                                 .create_rev = h.create_rev,
                                 .prev_rev = h.prev_rev,
                                 .key = kn_sv(p, h.key_len),
                                 .value = kn_sv(p + h.key_len, h.value_len),
                                 .prev_value = kn_sv(p + h.key_len + h.value_len, h.prev_len)};
    return true;
}

struct kn_store_event kn_log_event(const struct kn_log_entry *e)
{
    return (struct kn_store_event){.change = e->change,
                                   .rev = e->rev,
                                   .key = e->key,
                                   .value = e->change == KN_CHANGE_PUT ? e->value : e->prev_value,
                                   .prev_rev = e->prev_rev,
                                   .prev_value = e->prev_value};
}

static int compare(const void *key, const void *item)
{
    return kn_sv_cmp(*(const struct kn_sv *)key, ((const struct kn_undo_item *)item)->kv.key);
}

static const void *key_of(const void *item)
{
    return &((const struct kn_undo_item *)item)->kv.key;
}

void kn_undo_init(struct kn_undo *u, struct kn_arena *arena)
{
    u->arena = arena;
    kn_tree_init(&u->keys, compare, key_of);
}

void kn_undo_done(struct kn_undo *u)
{
    kn_tree_done(&u->keys);
}

bool kn_undo_add(struct kn_undo *u, const struct kn_log_entry *e)
{
    if (kn_tree_get(&u->keys, &e->key))
        return true; // an older change said already what was there
    struct kn_undo_item *item = KN_ARENA_NEW(u->arena, struct kn_undo_item);
    if (!item)
        return false;
    item->existed = e->prev_rev != 0;
    item->kv = (struct kn_kv){kn_arena_dup(u->arena, e->key), kn_arena_dup(u->arena, e->prev_value),
                              e->create_rev, e->prev_rev};
    if (kn_arena_failed(u->arena))
        return false;
    kn_tree_put(&u->keys, item);
    return true;
}

const struct kn_undo_item *kn_undo_from(const struct kn_undo *u, struct kn_sv key)
{
    return kn_tree_first(&u->keys, &key);
}
