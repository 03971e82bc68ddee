// What the node's tests stand on: a root folder of their own, a private mount namespace, a busybox
// image built by hand. Only linked into tests. Everything is taken away again, also when a test
// fails (kn_testing_end runs at exit).
#pragma once
#include "node/cgroup.h"
#include "node/image_store.h"
#include "node/runtime.h"

struct kn_testing {
    char run[64], data[64];
    struct kn_cgroups *cgroups;
    struct kn_runtime *runtime;
    struct kn_images *images;
    struct kn_arena *arena;
    char shim[128]; // the installed program
};

// False, with a line that says why, when containers cannot be run here (no root, no crun).
bool kn_testing_begin(struct kn_testing *t);
// Kills the shims of this test program, as nobody should.
void kn_testing_kill_shims(void);
// Builds the image "busybox" from the machine's own busybox. False if there is none.
bool kn_testing_busybox(struct kn_testing *t);
