// Threads and what goes between them: messages. A thread here is a plain blocking one with a small
// stack and a name that `ps -L` shows.
#pragma once
#include <pthread.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/status.h"

// Starts a thread with all signals blocked. stack: bytes, 0 for 256 KiB. name: at most 15 bytes.
struct kn_status kn_thread_start(pthread_t *ret, const char *name, size_t stack,
                                 void *(*run)(void *), void *arg);
void kn_thread_join(pthread_t t);

// A condition variable on the monotonic clock.
void kn_cond_init(pthread_cond_t *c);
// Waits until signalled or `deadline` (kn_mono time, KN_FOREVER allowed). False when it passed.
bool kn_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline);

#define KN_LOCKED(mutex)                                                                           \
    for (pthread_mutex_t *kn_m_ = (pthread_mutex_lock(mutex), (mutex)); kn_m_;                     \
         pthread_mutex_unlock(kn_m_), kn_m_ = NULL)

// A queue of messages: many senders, one or more takers. Messages are the caller's structs with a
// kn_list in them; ownership moves with them.
struct kn_queue {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct kn_list items;
    _Atomic size_t len; // changed under the lock; may be read without it, as a hint
    _Atomic bool closed;
};

void kn_queue_init(struct kn_queue *q);
void kn_queue_done(struct kn_queue *q); // must be empty
// False if the queue is closed: the message is still the caller's.
bool kn_queue_put(struct kn_queue *q, struct kn_list *message);
// NULL when the deadline passed, or when the queue is closed and empty.
struct kn_list *kn_queue_take(struct kn_queue *q, int64_t deadline);
void kn_queue_close(struct kn_queue *q);
