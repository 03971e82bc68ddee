// The RuntimeDefault seccomp profile: a list of what is allowed, everything else fails with EPERM
// (clone3 with ENOSYS, so that C libraries fall back to clone, whose flags can be looked at).
#pragma once
#include "base/buf.h"

// caps: what the container holds; some system calls come with a capability.
void kn_seccomp_default_write(uint64_t caps, struct kn_buf *out);
