// The cage of the process that reads the network: another user, no capabilities, no new privileges,
// a file tree that holds its data folder and little else, and a list of system calls without exec,
// mount, ptrace and their like. Before the first thread; it cannot be undone.
#pragma once
#include <sys/types.h>

#include "base/status.h"

// data: the one folder that stays visible and writable, under its own path. root: an empty folder
// (made if it is missing) over which the new tree is mounted.
struct kn_status kn_sandbox_enter(uid_t uid, gid_t gid, const char *data, const char *root);
