// Reading a container's log back: rotated files in order, the last lines, since a time, followed as
// it grows (by inotify). Blocks: for a thread of the caller's own.
#pragma once
#include "base/clock.h"
#include "base/status.h"

struct kn_log_options {
    bool follow, timestamps;
    int64_t tail;        // lines; -1: all
    int64_t limit_bytes; // -1: no limit
    struct kn_time since; // ns 0: from the start
    bool skip_out, skip_err;
    const char *exit_file; // following ends when this file exists
    int wake_fd;           // following ends when it is readable; -1: none
};

// write: takes the text; false ends the reading. path: the current file; rotated ones are .1, .2...
struct kn_status kn_log_read(const char *path, const struct kn_log_options *o,
                             bool (*write)(void *arg, struct kn_sv text), void *arg);
