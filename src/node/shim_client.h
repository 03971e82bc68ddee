// The agent's end of a shim: starting one for a pod, finding it again, and asking it to do things.
// A connection belongs to one thread at a time; a pod may have several.
#pragma once
#include "base/clock.h"
#include "base/list.h"
#include "base/status.h"
#include "node/runtime.h"
#include "node/shim/shim_protocol.h"

struct kn_shim;

// Writes the shim's program (part of this executable) into the folder, under a name that changes
// with its content, so that a new agent never writes over a program that runs.
struct kn_status kn_shim_install(const char *folder, char *ret_path, size_t size);
// Starts the shim of a pod; its socket lies in `folder`. It listens when the function returns.
struct kn_status kn_shim_spawn(const char *program, const char *folder);
// KN_NOT_FOUND if no shim listens there (it was never started, or died).
struct kn_status kn_shim_connect(const char *folder, struct kn_shim **ret);
void kn_shim_free(struct kn_shim *s); // NULL is allowed
static inline void kn_shim_cleanup(struct kn_shim **s)
{
    kn_shim_free(*s);
}
int kn_shim_fd(const struct kn_shim *s); // readable when kn_shim_next may have something

struct kn_shim_start {
    const char *id, *bundle, *log, *oom_file;
    uint64_t log_max;   // 0: 10 MiB
    uint32_t log_files; // 0: 5
    uint32_t flags;     // SHIM_TTY, SHIM_STDIN, SHIM_STDIN_ONCE
    const struct kn_runtime_args *args;
};
// Returns when the container runs. KN_IO with the runtime's sentence when it does not start.
struct kn_status kn_shim_start(struct kn_shim *s, const struct kn_shim_start *r, int64_t deadline,
                               struct shim_container *ret);

struct kn_shim_exec {
    const char *exec_id, *folder;
    uint32_t flags; // SHIM_TTY
    int in, out, err; // the process's own; borrowed. Not with SHIM_TTY
    const struct kn_runtime_args *args;
};
// Returns when the process runs. With SHIM_TTY *ret_tty is the terminal's master, the caller's.
// Its end comes from kn_shim_next of this connection. ret_tag names it there.
struct kn_status kn_shim_exec(struct kn_shim *s, const struct kn_shim_exec *r, int64_t deadline,
                              int *ret_tty, uint32_t *ret_tag);

// The same without waiting: SHIM_STARTED or SHIM_FAILED come from kn_shim_next.
struct kn_status kn_shim_exec_begin(struct kn_shim *s, const struct kn_shim_exec *r,
                                    uint32_t *ret_tag);

// Takes the descriptors (of streams that are not -1), also when it fails.
struct kn_status kn_shim_attach(struct kn_shim *s, const char *id, int in, int out, int err);
struct kn_status kn_shim_resize(struct kn_shim *s, const char *id, unsigned columns, unsigned rows);
struct kn_status kn_shim_signal(struct kn_shim *s, const char *id, int signo);
struct kn_status kn_shim_forget(struct kn_shim *s, const char *id);
struct kn_status kn_shim_subscribe(struct kn_shim *s);
struct kn_status kn_shim_quit(struct kn_shim *s);
// Calls visit for every container that the shim knows.
struct kn_status kn_shim_list(struct kn_shim *s,
                              void (*visit)(void *arg, const struct shim_container *c), void *arg);

// What was told and not asked for: an exit (SHIM_EXITED; tag 0 for containers), or the outcome of
// kn_shim_exec_begin (SHIM_STARTED, SHIM_FAILED). KN_TIMEOUT: nothing until `deadline`. KN_CLOSED:
// the shim is gone.
struct kn_shim_news {
    uint32_t op, tag;
    struct shim_container container; // not with SHIM_FAILED
    char sentence[1024];             // with SHIM_FAILED
};
struct kn_status kn_shim_next(struct kn_shim *s, int64_t deadline, struct kn_shim_news *ret);

// What SHIM_EXIT_FILE of a bundle says. KN_NOT_FOUND if the container has not ended.
struct kn_status kn_shim_read_exit(const char *bundle, struct shim_container *ret);
