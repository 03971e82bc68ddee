// Other programs: started without a shell, with exactly the descriptors and the environment that
// are named. Any thread.
#pragma once
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"

struct kn_spawn {
    const char *const *argv; // NULL-terminated; argv[0] is a path, or a name that is looked for in
                             // /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    const char *const *env;  // NULL: only PATH
    const char *cwd;         // NULL: unchanged
    int in, out, err;        // descriptors for 0, 1, 2; -1: /dev/null
    const int *keep;         // further descriptors, to be 3, 4, ... in the child
    size_t keep_len;
    bool new_session;        // setsid
    int exec_fd;             // > 0: run this open file instead of looking for argv[0]
};

// The pid is the caller's to wait for.
struct kn_status kn_process_spawn(const struct kn_spawn *spawn, pid_t *ret);
// Waits for it. ret_code: the exit code, or 128 + the signal.
struct kn_status kn_process_wait(pid_t pid, int *ret_code);
// Runs a program to its end: `input` to its standard input, its output appended to *out and *err
// (NULL: dropped). It is killed at `deadline`. A non-zero exit is an error that quotes what it
// wrote to standard error.
struct kn_status kn_process_run(const char *const *argv, struct kn_sv input, struct kn_buf *out,
                                int64_t deadline);
