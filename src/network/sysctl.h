// Kernel settings below /proc/sys, of the calling thread's network namespace. What is changed for
// good is remembered in a folder with its former value, so that a reset can put it back.
// Any thread; no two threads with the same name at a time.
#pragma once
#include "base/status.h"

// name: the path below /proc/sys ("net/ipv4/ip_forward"). dir: where the former value is kept
// (<dir>/<name with / as :>), or NULL when nobody wants it back. A value that is right already is
// left alone, and nothing is remembered.
struct kn_status kn_sysctl_set(const char *dir, const char *name, const char *value);
// Puts back everything that is remembered in the folder and forgets it. A setting that has gone
// (its interface has) is fine, and so is a missing folder.
struct kn_status kn_sysctl_restore(const char *dir);
