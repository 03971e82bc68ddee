// How work that blocks in one thread is broken off by another: whoever waits in it leaves a hook
// that wakes it. Any thread.
#pragma once
#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"

struct kn_cancel {
    pthread_mutex_t lock; // above those that hooks take
    struct kn_list hooks;
    bool on; // atomic
};

// One who waits. Lies with the waiter, and is removed before it goes.
struct kn_cancel_hook {
    struct kn_list link;
    void (*wake)(void *arg);
    void *arg;
};

void kn_cancel_init(struct kn_cancel *c);
void kn_cancel_done(struct kn_cancel *c);
// Calls all hooks, once.
void kn_cancel_set(struct kn_cancel *c);
// Called at once where it is cancelled already. c may be NULL: never cancelled.
void kn_cancel_add(struct kn_cancel *c, struct kn_cancel_hook *h, void (*wake)(void *arg),
                   void *arg);
// Returns when the hook is not running and will not run.
void kn_cancel_remove(struct kn_cancel *c, struct kn_cancel_hook *h);
bool kn_cancel_is(struct kn_cancel *c); // takes no lock; c may be NULL
