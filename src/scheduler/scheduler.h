// The scheduler: gives every pod that has no node the best node that it fits on. One in a process.
//
// Everything it decides with lives in one thread: nodes with what is requested of them and the pods
// that wait, kept from the events of two caches. Binding and what is written about pods that fit
// nowhere is done by a few threads that only wait for the API.
#pragma once
#include "client/client.h"

struct kn_scheduler;

struct kn_scheduler_config {
    struct kn_client *client; // acts as system:kube-scheduler; outlives the scheduler
    const char *name;         // spec.schedulerName of the pods it takes; NULL: default-scheduler
    int64_t deadline;         // kn_mono until which the caches must be filled; 0: 30 s from now
    unsigned binders;         // threads that write; 0: 8
};

struct kn_status kn_scheduler_start(const struct kn_scheduler_config *config,
                                    struct kn_scheduler **ret);
// Waits for what is being written. NULL is allowed.
void kn_scheduler_stop(struct kn_scheduler *s);

struct kn_scheduler_stats {
    uint64_t scheduled, unschedulable, bind_failures; // attempts
    size_t nodes, active, backing_off, waiting;       // waiting: for an event that may help
};
void kn_scheduler_get_stats(struct kn_scheduler *s, struct kn_scheduler_stats *ret); // any thread
