// The inside of the shim: one thread, one poll loop. shim.c holds the loop and the protocol,
// shim_run.c starts and reaps, shim_io.c moves bytes, shim_log.c writes the CRI log.
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shim_protocol.h"

struct shim_log {
    int fd; // -1: none
    char *path;
    uint64_t size, max;
    uint32_t files;
    bool partial[2]; // the last record of the stream did not end a line
};

// Bytes that a descriptor would not take yet.
struct shim_pending {
    char *ptr;
    size_t len;
};

struct shim_client {
    struct shim_client *next;
    int in, out[2]; // -1: not asked for, or ended
    struct shim_pending wait[2];
};

enum shim_kind { SHIM_IS_CONTAINER, SHIM_IS_EXEC };

struct shim_proc {
    struct shim_proc *next;
    enum shim_kind kind;
    uint32_t flags, tag;
    struct shim_conn *asked; // who waits for the start (and for the end of an exec); may be NULL
    char *bundle, *oom_file;
    struct shim_container info;
    pid_t runtime;      // the runtime while it has not ended
    int runtime_status; // of the runtime, once it has ended
    bool started;
    int console;        // listening socket; -1
    int tty;            // -1
    int in;             // container's standard input; -1
    int out[2];         // container's output and error; -1
    struct shim_pending to_in;
    struct shim_log log;
    struct shim_client *clients;
    struct shim_pending backlog[2]; // of containers with stdin, until the first client comes
    bool keep_backlog;
};

struct shim_conn {
    struct shim_conn *next;
    int fd;
    bool subscribed, dead;
};

struct shim {
    int listen_fd, signal_fd;
    struct shim_conn *conns;
    struct shim_proc *procs;
    bool quit;
};

// shim.c
void shim_answer(struct shim_conn *c, uint32_t op, uint32_t tag, const void *body, size_t len,
                 int fd);
void shim_fail(struct shim_conn *c, uint32_t tag, const char *sentence);
void shim_exited(struct shim *s, struct shim_proc *p);
int64_t shim_now(void);

// shim_run.c
void shim_start(struct shim *s, struct shim_conn *c, uint32_t tag, const struct shim_start *req,
                const char *text, size_t len);
void shim_exec(struct shim *s, struct shim_conn *c, uint32_t tag, const struct shim_exec *req,
               const char *text, size_t len, const int *fds, size_t fds_len);
void shim_reap(struct shim *s);
void shim_take_console(struct shim *s, struct shim_proc *p);
void shim_proc_free(struct shim *s, struct shim_proc *p);
struct shim_proc *shim_find(struct shim *s, const char *id);

// shim_io.c
bool shim_attach(struct shim_proc *p, uint32_t streams, const int *fds, size_t fds_len);
size_t shim_io_poll(struct shim_proc *p, struct pollfd *fds);
void shim_io_ready(struct shim_proc *p, const struct pollfd *fds);
void shim_io_drain(struct shim_proc *p);
void shim_io_release(struct shim_proc *p); // clients see the end, once their output has gone out
void shim_io_close(struct shim_proc *p);
#define SHIM_POLL_PER_PROC 4 // and 3 for each client

// shim_log.c
void shim_log_open(struct shim_log *l, const char *path, uint64_t max, uint32_t files);
void shim_log_write(struct shim_log *l, int stream, const char *bytes, size_t len);
void shim_log_end(struct shim_log *l);
