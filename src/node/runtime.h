// The OCI runtime: which arguments start a container or a process in one, and what is asked of it
// beside that. Starting happens in the pod's shim (shim_client.h), so that the shim is the parent.
// Immutable after it was made: any thread.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

struct kn_runtime;

#define KN_RUNTIME_ARGS 24
// Arguments of a command of the runtime; the texts live in the arena that was given.
struct kn_runtime_args {
    const char *argv[KN_RUNTIME_ARGS];
    size_t argc;
};

struct kn_runtime_exec {
    const char *id, *exec_id;
    const char *folder; // for process.json, pid, tty and log, all named <exec_id>.*
    bool tty;
};

struct kn_runtime_ops {
    const char *name; // "crun": also the scheme of container ids
    // Creates and starts the container of a bundle, detached, with the files of shim_protocol.h.
    void (*start)(const struct kn_runtime *r, const char *id, const char *bundle, bool tty,
                  struct kn_arena *a, struct kn_runtime_args *ret);
    void (*exec)(const struct kn_runtime *r, const struct kn_runtime_exec *e, struct kn_arena *a,
                 struct kn_runtime_args *ret);
    // Forgets a container that has ended, or ends it first (force). A container that is not known
    // is fine.
    struct kn_status (*remove)(const struct kn_runtime *r, const char *id, bool force);
    // "running", "stopped", "created", "paused"; KN_NOT_FOUND.
    struct kn_status (*state)(const struct kn_runtime *r, const char *id, struct kn_arena *a,
                              struct kn_sv *ret);
    // The sentence for a person out of the runtime's log.
    struct kn_sv (*explain)(struct kn_sv log);
};

struct kn_runtime {
    const struct kn_runtime_ops *ops;
    char *program, *root, *version;
};

// crun; `root` is the folder for its state (absolute, on a tmpfs). KN_NOT_FOUND if it is not
// installed.
struct kn_status kn_runtime_crun(const char *root, struct kn_runtime **ret);
void kn_runtime_free(struct kn_runtime *r);
