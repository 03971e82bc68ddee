// One action of a probe or a lifecycle hook, under way: a command in the container, an HTTP
// request, a TCP connection, or a pause. Nothing here blocks: the pod's thread polls the
// descriptors of all its actions together. The thread of the worker alone.
#pragma once
#include <poll.h>

#include "base/clock.h"
#include "base/status.h"
#include "codec/json.h"

struct kn_pod_worker;
struct slot;
struct kn_action;

// Begins it in the slot's container. handler: a probe, or a LifecycleHandler; not kept.
// deadline: KN_FOREVER allowed. Whatever already fails here is the action's outcome.
struct kn_status kn_action_start(struct kn_pod_worker *w, struct slot *s,
                                 const struct kn_json *handler, int64_t deadline,
                                 struct kn_action **ret);
// Goes on. True: it is over, and *ret is its outcome (KN_TIMEOUT: it took too long).
bool kn_action_step(struct kn_action *a, struct kn_status *ret);
// When it wants a step even though nothing came; KN_FOREVER.
int64_t kn_action_next(const struct kn_action *a);
#define KN_ACTION_FDS 2
// What it waits for; unused entries have fd -1.
void kn_action_poll(const struct kn_action *a, struct pollfd fds[KN_ACTION_FDS]);
// Ends what is under way: a command is killed, a connection closed. NULL is allowed.
void kn_action_free(struct kn_action *a);
