// The frame of a controller: a queue of keys, and an idempotent reconcile(key) on plain threads.
//
// A key is text (usually "ns/name"); the queue holds each key once. A key that is being worked on
// and is added again is worked on once more afterwards, never by two threads at once. A reconcile
// that fails is tried again after 5 ms, doubling up to 1000 s (by key, until it succeeds; up to 80
// ms when it fails with KN_CONFLICT); one that asks for it (ret_after) comes again after that time.
#pragma once
#include "base/clock.h"
#include "client/client.h"

struct kn_controller;

struct kn_controller_spec {
    const char *name; // at most 15 bytes: the threads' name
    // Reads caches, writes through the client with preconditions, does nothing the second time.
    // *ret_after is 0; set to nanoseconds to be called again later.
    struct kn_status (*reconcile)(void *ctx, struct kn_sv key, int64_t *ret_after);
    void *ctx;
    unsigned workers; // 0: 1
};

struct kn_controller *kn_controller_new(const struct kn_controller_spec *spec);
struct kn_status kn_controller_start(struct kn_controller *c);
void kn_controller_stop(struct kn_controller *c); // waits for what is being worked on
void kn_controller_free(struct kn_controller *c);

// Any thread. Cheap enough for cache handlers.
void kn_controller_add(struct kn_controller *c, struct kn_sv key);
void kn_controller_add_after(struct kn_controller *c, struct kn_sv key, int64_t after_ns);
// A kn_cache_handler (arg: the controller) that adds the object's own key.
void kn_controller_on_object(void *controller, enum kn_event_type type, const struct kn_obj *obj,
                             const struct kn_obj *old);

struct kn_controller_stats {
    uint64_t added, done, failed;
    size_t waiting, delayed;
};
void kn_controller_get_stats(struct kn_controller *c, struct kn_controller_stats *ret);
