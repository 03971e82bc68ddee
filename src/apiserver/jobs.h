// Work that blocks (requests that write, reads of the past), for threads that may. As many of them
// as there is work under way, between a few and a maximum: writes that wait together share one
// flush of the disk, so that many under way are many a second. Threads that have found nothing to
// do for a while end.
#pragma once
#include "base/list.h"
#include "base/status.h"

struct kn_job {
    struct kn_list link;
    void (*run)(struct kn_job *job); // in one of the threads; may free it
};

struct kn_jobs;

// max 0: 64. The first thread starts at once, so that failure is seen here.
struct kn_status kn_jobs_new(unsigned max, struct kn_jobs **ret);
// Any thread; the job is the pool's until it runs. False: the pool is closed, the job stays the
// caller's.
bool kn_jobs_put(struct kn_jobs *j, struct kn_job *job);
void kn_jobs_close(struct kn_jobs *j); // runs what is there, joins the threads. NULL is allowed
void kn_jobs_free(struct kn_jobs *j);  // closed. NULL is allowed
