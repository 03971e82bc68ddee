// The log of changes, and the past as "the present with the log undone": shared by the stores.
#pragma once
#include "base/buf.h"
#include "base/tree.h"
#include "store/store.h"

// One change as it lies in a log.
struct kn_log_entry {
    enum kn_change change;
    int64_t rev;
    int64_t create_rev;      // of the key at and before the change (0 before: it is new)
    int64_t prev_rev;        // 0: the key did not exist
    struct kn_sv key, value; // value: after a put; empty after a deletion
    struct kn_sv prev_value; // before, if it existed
};

void kn_log_encode(struct kn_buf *out, const struct kn_log_entry *e); // without rev
bool kn_log_decode(struct kn_sv bytes, int64_t rev, struct kn_log_entry *ret); // views into bytes
struct kn_store_event kn_log_event(const struct kn_log_entry *e);

// What was different at a past revision: keys in order, each with the value it had (or none).
struct kn_undo {
    struct kn_arena *arena;
    struct kn_tree keys;
};
struct kn_undo_item {
    struct kn_kv kv;
    bool existed;
};
void kn_undo_init(struct kn_undo *u, struct kn_arena *arena);
void kn_undo_done(struct kn_undo *u);
// Feed the entries with revisions above the wanted one, oldest first. False: the arena is full.
bool kn_undo_add(struct kn_undo *u, const struct kn_log_entry *e);
// The first item at or after the key, or NULL.
const struct kn_undo_item *kn_undo_from(const struct kn_undo *u, struct kn_sv key);

static inline bool kn_key_in(struct kn_sv key, struct kn_sv from, struct kn_sv to)
{
    return kn_sv_cmp(key, from) >= 0 && (to.len == 0 || kn_sv_cmp(key, to) < 0);
}
