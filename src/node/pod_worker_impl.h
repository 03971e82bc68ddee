// The inside of a pod worker: pod_worker.c (the loop), pod_start.c (one container), pod_status.c.
#pragma once
#include "base/thread.h"
#include "node/container_spec.h"
#include "node/pod_action.h"
#include "node/pod_pull.h"
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
    struct kn_pod_pull *pull;   // of its image, under way; NULL
    struct kn_action *asked[3]; // of the probes, those that are under way
    struct kn_action *hook;     // postStart, or preStop when it is being stopped; NULL
    bool starting;              // its postStart hook has not ended
    struct {
        bool on;
        bool forced; // without any grace
        bool killed; // SIGKILL was sent
        int64_t kill_at;
    } stop;
};
#define SLOT_ACTIONS 4

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
    struct pollfd *polled; // room for the descriptors of all slots
    bool failed_init, failed, terminating, forced, sandbox_ready, volumes_ready, removed;
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
// Goes on with a start: while it waits for its image, slot.pull is set, and it is to be called
// again when the pull is over.
struct kn_status kn_slot_start(struct kn_pod_worker *w, struct slot *s);
void kn_slot_ended(struct kn_pod_worker *w, struct slot *s, const struct shim_container *info);
void kn_slot_recover(struct kn_pod_worker *w); // what runs or ran under the pod's shim
// There is no sandbox: the machine was off. What the status says of containers is all that is
// known; what ran has ended, and nobody saw how. Init containers run again.
void kn_slot_remember(struct kn_pod_worker *w);
void kn_slot_forget(struct kn_pod_worker *w,
                    struct slot *s); // takes the files of an ended run away
void kn_worker_event(struct kn_pod_worker *w, const struct slot *s, const char *type,
                     const char *reason, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
// pod_probe.c
// Goes on with the probes of a running container: when to come again. One whose liveness or startup
// probe has failed is stopped.
int64_t kn_slot_probe(struct kn_pod_worker *w, struct slot *s);
void kn_slot_probes_begin(struct slot *s); // the container has just started

// pod_hook.c
int64_t kn_worker_grace(const struct kn_pod_worker *w); // seconds that the pod's end may take
void kn_slot_post_start(struct kn_pod_worker *w, struct slot *s);
// Stops a running container: preStop hook, stop signal, after `grace` seconds SIGKILL. Told again
// it may only become quicker. why: for the event.
void kn_slot_stop(struct kn_pod_worker *w, struct slot *s, int64_t grace, const char *why);
int64_t kn_slot_hooks(struct kn_pod_worker *w, struct slot *s); // goes on: when to come again
void kn_slot_cancel(
    struct slot *s); // it has ended, or the agent ends: nothing is under way any more

// pod_worker.c
// Ends the pod for good: its containers are stopped, none starts again.
void kn_worker_fail(struct kn_pod_worker *w, const char *reason, const char *message);

// pod_limits.c
// What of the spec this node cannot do: KN_NOT_SUPPORTED with the field's name.
struct kn_status kn_pod_supported(const struct kn_obj *pod);
// Ends a pod that may not run here, or has run for its activeDeadlineSeconds: when to look again.
int64_t kn_pod_limits(struct kn_pod_worker *w);

// host_port.c
// Tells of host ports of the pod that a process of the machine holds already.
void kn_pod_host_ports(struct kn_pod_worker *w);

// pod_status.c
struct kn_status kn_worker_report(struct kn_pod_worker *w);
bool kn_slot_restarts(const struct kn_pod_worker *w, const struct slot *s);
