// The writer thread that every store has: it takes all writes that wait, hands them to the
// implementation as one batch, then tells the observer and the writers, in order.
#pragma once
#include "base/thread.h"
#include "store/store.h"

struct kn_store_writer;

struct kn_store_batch {
    struct kn_write **writes;
    struct kn_store_event *events; // events[i] for writes[i]; .rev == 0: it failed, no event
    size_t len;
    struct kn_arena *arena; // for what the events point to
};

struct kn_store_writer {
    pthread_mutex_t lock; // of everything below; leaf
    pthread_cond_t more, idle;
    struct kn_list waiting;
    bool stop, busy;
    int64_t compact_to; // asked for, 0 if none
    pthread_t thread;
    struct kn_store *store;
    // Does all writes of the batch in one transaction. For each, sets either w->status or w->rev
    // and the event. Called in the writer thread.
    void (*apply)(struct kn_store *s, struct kn_store_batch *b);
    // Forgets a piece of the history up to rev; returns true when there is more to do.
    bool (*compact)(struct kn_store *s, int64_t rev);
    void (*observer)(void *arg, const struct kn_store_event *e);
    void *observer_arg;
};

struct kn_status kn_store_writer_start(struct kn_store_writer *w, struct kn_store *s,
                                       void (*apply)(struct kn_store *, struct kn_store_batch *),
                                       bool (*compact)(struct kn_store *, int64_t));
void kn_store_writer_submit(struct kn_store_writer *w, struct kn_write *write);
void kn_store_writer_compact(struct kn_store_writer *w, int64_t rev);
// Finishes what waits, then joins the thread.
void kn_store_writer_stop(struct kn_store_writer *w);
