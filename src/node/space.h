// The agent's own place on the machine: a private mount namespace that outlives it.
//
// Everything that the agent mounts (root filesystems, volumes, pinned network namespaces) lies in
// one mount namespace, pinned by <run>/ns/mnt in the machine's own. An agent that starts again
// enters it and finds all mounts; a reset takes the pin away, and with the last process the whole
// namespace goes, leaving nothing. Mounts of the machine come in, none goes out.
//
// In it <run>/node is a tmpfs for state that must not survive the machine's boot, and on a machine
// with hybrid cgroups /sys/fs/cgroup shows the v1 hierarchies alone, because OCI runtimes refuse
// the mixture.
#pragma once
#include "base/status.h"

struct kn_space_config {
    const char *run_dir;  // absolute, short: sockets lie below it
    bool in_private;      // the caller has made a private mount namespace: furnish that (tests)
    bool slow_cgroups;    // do not mount favordynmods (see below)
};

// Before the first thread: a mount namespace can only be entered by a process with one.
// Moving processes between v1 cgroups waits about 10 ms for an RCU grace period unless some
// hierarchy was ever mounted with favordynmods; that is a property of the whole kernel, makes fork
// and exit a little slower, and is done here unless slow_cgroups.
struct kn_status kn_space_enter(const struct kn_space_config *config);
// Takes the pin away. The processes in it must have been ended before. Fine if there is none.
// From the machine's own namespace.
struct kn_status kn_space_remove(const char *run_dir);
// Enters an existing space (to clean up); KN_NOT_FOUND if there is none.
struct kn_status kn_space_join(const char *run_dir);
