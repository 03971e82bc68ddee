// Leader lease: of several processes that could do the same work, one does it. They compete for one
// Lease object (coordination.k8s.io/v1) in the manner that every Kubernetes client knows, so that
// ours and others' processes may compete for the same lease.
//
// A lease that was not renewed for its duration, as seen by the own clock since the last change
// that was observed, may be taken. The clocks of machines are not compared.
#pragma once
#include "client/client.h"

struct kn_leader;

struct kn_leader_spec {
    struct kn_client *client;
    const char *ns, *name; // of the Lease object
    const char *identity;  // of this candidate; unique among them
    int64_t duration;      // ns that others must wait; 0: 15 s (whole seconds go into the object)
    int64_t renew_within;  // ns after which a holder that cannot renew gives up; 0: 10 s
    int64_t retry;         // ns between attempts; 0: 2 s
    // Both are called in the lease's thread; started must return (start threads, do not work
    // there). lost: the work must have stopped when it returns. It is called at stop too, if it was
    // held.
    void (*started)(void *arg);
    void (*lost)(void *arg);
    void *arg;
};

// Copies the spec. Competes until it is stopped, again after a loss.
struct kn_status kn_leader_start(const struct kn_leader_spec *spec, struct kn_leader **ret);
// Gives the lease up, so that another can take it at once, and frees. NULL is allowed.
void kn_leader_stop(struct kn_leader *l);
bool kn_leader_is_held(const struct kn_leader *l); // any thread
