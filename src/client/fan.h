// Many calls at once: each waits for the API, and the server answers writes that wait together with
// one flush. A fan is a handful of threads that are started when they are first needed. Any thread
// may use it, several at a time.
#pragma once
#include "base/status.h"

struct kn_fan;

struct kn_fan *kn_fan_new(unsigned threads); // at most 32, beside those of the callers
void kn_fan_free(struct kn_fan *f);          // nobody is in it any more; NULL is allowed

// Calls call(ctx, i) for every i below count, several at once, the caller's thread among them;
// returns when all have returned. f NULL: one after the other.
void kn_fan_run(struct kn_fan *f, size_t count, void (*call)(void *ctx, size_t i), void *ctx);

// The same in batches, 4 and then twice as many each time, until one call of a batch has failed:
// what cannot work is not tried a thousand times. *ret_done: how many were called. The first
// failure.
struct kn_status kn_fan_slow_start(struct kn_fan *f, size_t count,
                                   struct kn_status (*call)(void *ctx, size_t i), void *ctx,
                                   size_t *ret_done);
