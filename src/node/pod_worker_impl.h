// The inside of a pod worker: pod_worker.c (the loop), pod_start.c (one container), pod_status.c.
#pragma once
#include "base/thread.h"
#include "node/container_spec.h"
#include "node/pod_sandbox.h"
#include "node/pod_worker.h"

enum slot_state { SLOT_NEW, SLOT_RUNNING, SLOT_ENDED };

// One container of the spec, through all its restarts. The worker's thread alone.
struct slot {
    const struct kn_json *spec; // in the current pod object
    char name[64];
    bool init, sidecar;
    enum slot_state state;
    char id[72], bundle[256], image_id[80], image[512];
    int restarts;
    struct shim_container info, last; // of this run, and of the one before it
    char last_id[72];
    bool has_last;
    char message[4096], last_message[1024]; // of a termination
    char reason[48], why[1024]; // why it waits
    int64_t next_start, backoff;
    bool ready, started;
    struct {
        int64_t at; // when it is asked next; 0: there is none
        int good, bad;
    } probes[3]; // startup, liveness, readiness
};

struct kn_pod_worker {
    const struct kn_node *n;
    void (*done)(void *arg, struct kn_pod_worker *w);
    void *arg;
    pthread_t thread;
    int wake; // eventfd
    pthread_mutex_t lock; // pod's replacement and the flags below; and slots, for readers outside
    const struct kn_obj *next; // a newer pod; NULL
    bool gone, stop;
    // the thread's own
    const struct kn_obj *pod;
    struct kn_sandbox sandbox;
    struct slot *slots; // init containers first
    size_t slots_len;
    bool failed_init, terminating, sandbox_ready, volumes_ready, removed;
    char pod_reason[64], pod_message[512];
    int64_t retry_at, retry_after, kill_at, refresh_at;
    struct kn_time start_time;
    char *sent; // the status that was written last
    struct kn_arena *conditions_arena;
    struct {
        char status;
        char since[KN_TIME_TEXT];
    } conditions[5];
};

// pod_start.c
struct kn_status kn_slot_start(struct kn_pod_worker *w, struct slot *s);
void kn_slot_ended(struct kn_pod_worker *w, struct slot *s, const struct shim_container *info);
void kn_slot_recover(struct kn_pod_worker *w); // what runs or ran under the pod's shim
// There is no sandbox: the machine was off. What the status says of containers is all that is known;
// what ran has ended, and nobody saw how. Init containers run again.
void kn_slot_remember(struct kn_pod_worker *w);
void kn_slot_forget(struct kn_pod_worker *w, struct slot *s); // takes the files of an ended run away
void kn_worker_event(struct kn_pod_worker *w, const struct slot *s, const char *type,
                     const char *reason, const char *format, ...) __attribute__((format(printf, 5, 6)));
// pod_probe.c
// Asks the probes that are due; the time of the next one. A container whose liveness or startup
// probe has failed is killed.
int64_t kn_slot_probe(struct kn_pod_worker *w, struct slot *s);
void kn_slot_probes_begin(struct slot *s); // the container has just started
// Runs a lifecycle handler or a probe's action: OK, or why not.
struct kn_status kn_slot_action(struct kn_pod_worker *w, struct slot *s, const struct kn_json *action,
                                int64_t deadline);

// pod_status.c
struct kn_status kn_worker_report(struct kn_pod_worker *w);
bool kn_slot_restarts(const struct kn_pod_worker *w, const struct slot *s);
