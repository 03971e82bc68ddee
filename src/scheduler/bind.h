// What the scheduler writes, by threads that wait for the API: bindings, and why a pod fits
// nowhere.
#pragma once
#include "base/thread.h"
#include "client/client.h"

struct kn_binder;

// failed: the pod could not be bound and is to be tried again; called in one of the threads. A pod
// that is gone or bound by somebody else has not failed.
struct kn_status kn_binder_start(struct kn_client *client, const char *component, unsigned threads,
                                 void (*failed)(void *arg, const struct kn_obj *pod), void *arg,
                                 struct kn_binder **ret);
void kn_binder_stop(struct kn_binder *b); // writes what waits, then frees; NULL is allowed

// Both are quick, and take a reference.
void kn_binder_bind(struct kn_binder *b, const struct kn_obj *pod, struct kn_sv node);
// The condition PodScheduled=False with this reason, unless the pod says so already; `event`: with
// a FailedScheduling event too.
void kn_binder_unschedulable(struct kn_binder *b, const struct kn_obj *pod, const char *reason,
                             struct kn_sv message, bool event);
