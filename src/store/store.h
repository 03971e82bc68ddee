// The revisioned key-value contract: what an API server needs of its storage, and no more.
//
// One 64-bit revision counts the writes of the whole store; each write that succeeds gets the next
// one. A write names the revision of the key that it expects. Every change is delivered once, in
// the order of revisions, to the observer, before its writer is told: who has been answered sees
// what he wrote. History is kept back to a compacted revision; reads and replays older than that
// fail with KN_EXPIRED.
//
// Implementations: memory.h (tests), lmdb.h (one machine). One suite holds for all of them
// (tests/suites/store_suite.c). All functions may be called from any thread unless said otherwise;
// reads never wait for writes.
#pragma once
#include "base/arena.h"
#include "base/list.h"
#include "base/status.h"

#define KN_STORE_KEY_MAX 480 // bytes of a key
#define KN_STORE_ANY (-1)    // expected revision: whatever is there

struct kn_kv {
    struct kn_sv key, value;
    int64_t create_rev, mod_rev;
};

enum kn_change { KN_CHANGE_PUT, KN_CHANGE_DELETE };

// One write. The caller owns it and keeps it, and the bytes it points to, until `done` is called.
struct kn_write {
    struct kn_list link; // the store's while the write is under way
    enum kn_change change;
    struct kn_sv key, value;
    int64_t expected; // mod_rev that the key must have; 0: it must not exist; KN_STORE_ANY
    // Called in the store's writer thread when the write is durable and observed, or has failed.
    // It must be quick, and may free the write.
    void (*done)(struct kn_write *w);
    void *arg;
    // Results. KN_CONFLICT: `rev` is the key's present revision (0: it does not exist).
    struct kn_status status;
    int64_t rev;
    void *result; // for the observer to leave something for the writer
};

struct kn_store_event {
    enum kn_change change;
    int64_t rev;
    struct kn_sv key, value; // value: of a deletion, what was deleted
    int64_t prev_rev;        // mod_rev before; 0: the key is new
    struct kn_sv prev_value; // before; empty if the key is new
    struct kn_write *write;  // the write that did it, if it was made through this store; or NULL
};

struct kn_store;

struct kn_store_ops {
    void (*close)(struct kn_store *s);
    struct kn_status (*get)(struct kn_store *s, struct kn_sv key, struct kn_arena *a,
                            struct kn_kv *ret);
    struct kn_status (*range)(struct kn_store *s, struct kn_sv from, struct kn_sv to, int64_t rev,
                              size_t limit, bool (*visit)(void *arg, const struct kn_kv *kv),
                              void *arg, int64_t *ret_rev, bool *ret_more);
    void (*submit)(struct kn_store *s, struct kn_write *w);
    struct kn_status (*observe)(struct kn_store *s,
                                void (*observer)(void *arg, const struct kn_store_event *e),
                                void *arg);
    struct kn_status (*replay)(struct kn_store *s, struct kn_sv from, struct kn_sv to,
                               int64_t after,
                               bool (*visit)(void *arg, const struct kn_store_event *e), void *arg);
    struct kn_status (*compact)(struct kn_store *s, int64_t rev);
    void (*revisions)(struct kn_store *s, int64_t *ret_now, int64_t *ret_compacted);
};

// First member of every implementation.
struct kn_store {
    const struct kn_store_ops *ops;
};

// Waits for what is under way. NULL is allowed.
void kn_store_close(struct kn_store *s);

// One key, copied into the arena. KN_NOT_FOUND.
struct kn_status kn_store_get(struct kn_store *s, struct kn_sv key, struct kn_arena *a,
                              struct kn_kv *ret);

// The keys from <= key < to (to empty: no end) in order, as they were at `rev` (0: now), at most
// `limit` (0: all). The views given to visit are good during the call only; visit stops by
// returning false. ret_rev: the revision that was read; ret_more: keys were left because of limit
// or of visit. KN_EXPIRED: rev is compacted; KN_INVALID: rev is in the future.
struct kn_status kn_store_range(struct kn_store *s, struct kn_sv from, struct kn_sv to, int64_t rev,
                                size_t limit, bool (*visit)(void *arg, const struct kn_kv *kv),
                                void *arg, int64_t *ret_rev, bool *ret_more);

// Hands a write to the writer thread. All writes that wait become one transaction and one flush.
void kn_store_submit(struct kn_store *s, struct kn_write *w);
// The same, and waits. w->done is not used. Returns w->status (moved out).
struct kn_status kn_store_write(struct kn_store *s, struct kn_write *w);

// Sets the one observer, once, before the first write. It is called in the writer thread for every
// change in order, and must be quick. The event's views are good during the call only.
struct kn_status kn_store_observe(struct kn_store *s,
                                  void (*observer)(void *arg, const struct kn_store_event *e),
                                  void *arg);

// Visits the changes of from <= key < to with revisions > after, in order, until visit returns
// false. KN_EXPIRED if some of them are compacted.
struct kn_status kn_store_replay(struct kn_store *s, struct kn_sv from, struct kn_sv to,
                                 int64_t after,
                                 bool (*visit)(void *arg, const struct kn_store_event *e),
                                 void *arg);

// Forgets the history at and before rev: reads at a revision < rev then fail.
struct kn_status kn_store_compact(struct kn_store *s, int64_t rev);
void kn_store_revisions(struct kn_store *s, int64_t *ret_now, int64_t *ret_compacted);
// The end of the range of all keys that begin with `prefix` (its successor), in the arena.
struct kn_sv kn_store_prefix_end(struct kn_arena *a, struct kn_sv prefix);
