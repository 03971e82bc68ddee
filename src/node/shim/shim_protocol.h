// What the agent and a pod's shim say to each other, over a SOCK_SEQPACKET socket named
// SHIM_SOCKET in the pod's run folder. One packet is one message: a head, a fixed part that
// belongs to the operation, then text. Both ends run on one machine; numbers are in its order.
// Descriptors travel beside the packet (SCM_RIGHTS) in the order that the operation names.
//
// A request carries a tag; its answers carry the same one. Several connections may be open at a
// time (the pod's worker, and one for each exec or attach); exits are told to those that have
// subscribed. What happened while nobody listened is in SHIM_EXIT_FILE of the container's bundle,
// and in the answer to SHIM_LIST.
//
// The shim is compiled against another libc than the agent: nothing but C and <stdint.h> here.
#pragma once
#include <stdint.h>

#define SHIM_VERSION 1
#define SHIM_SOCKET "shim.sock"
// Files in a bundle folder.
#define SHIM_PID_FILE "pid"         // written by the runtime
#define SHIM_TTY_SOCKET "tty.sock"  // where the runtime sends the terminal
#define SHIM_RUNTIME_LOG "runtime.log"
#define SHIM_EXIT_FILE "exit"       // "code signal oom started finished\n", times in ns since 1970

#define SHIM_PACKET_MAX 65536
#define SHIM_FDS_MAX 3
#define SHIM_ID_SIZE 72

enum shim_op {
    // requests
    SHIM_HELLO = 1, // -> SHIM_OK, body: uint32_t version
    SHIM_SUBSCRIBE, // -> SHIM_OK, then SHIM_EXITED whenever a container ends
    SHIM_START,     // struct shim_start, text -> SHIM_STARTED or SHIM_FAILED
    SHIM_EXEC,      // struct shim_exec, text, fds -> SHIM_STARTED (tty: one fd) or SHIM_FAILED,
                    // later SHIM_EXITED with the same tag, on this connection only
    SHIM_ATTACH,    // struct shim_attach, text, fds -> SHIM_OK or SHIM_FAILED
    SHIM_RESIZE,    // struct shim_resize, text: id -> SHIM_OK or SHIM_FAILED
    SHIM_SIGNAL,    // struct shim_signal, text: id -> SHIM_OK or SHIM_FAILED
    SHIM_LIST,      // -> SHIM_CONTAINER for each, then SHIM_OK
    SHIM_FORGET,    // text: id of a container that has ended -> SHIM_OK or SHIM_FAILED
    SHIM_QUIT,      // -> SHIM_OK and the end of the shim; SHIM_FAILED while something runs
    // answers
    SHIM_OK = 64,
    SHIM_FAILED,    // text: a sentence
    SHIM_STARTED,   // struct shim_container
    SHIM_EXITED,    // struct shim_container
    SHIM_CONTAINER, // struct shim_container
};

struct shim_head {
    uint32_t op, tag;
};

enum { SHIM_TTY = 1, SHIM_STDIN = 2, SHIM_STDIN_ONCE = 4 };

// Text: id, bundle, log file ("": no log), file with a line "oom_kill N" ("": none), then `argc`
// arguments of the runtime. Every text ends with a NUL.
struct shim_start {
    uint64_t log_max;   // bytes; a larger log is rotated to .1, .2, ...
    uint32_t log_files; // how many files are kept, the current one included
    uint32_t flags;
    uint32_t argc;
    uint32_t pad;
};

// Text: an id for this exec, the folder for its pid file, tty socket and runtime log, then `argc`
// arguments of the runtime. The files in the folder are named <id>.pid, <id>.tty, <id>.log.
// Descriptors unless SHIM_TTY: standard input, output and error of the process.
struct shim_exec {
    uint32_t flags, argc;
};

enum { SHIM_ATTACH_IN = 1, SHIM_ATTACH_OUT = 2, SHIM_ATTACH_ERR = 4 };

// Text: id. Descriptors: one for each bit of `streams`, lowest bit first.
struct shim_attach {
    uint32_t streams, pad;
};

struct shim_resize {
    uint16_t columns, rows;
    uint32_t pad;
};

struct shim_signal {
    int32_t signal;
    uint32_t pad;
};

struct shim_container {
    char id[SHIM_ID_SIZE];
    int32_t pid;  // 0 when it has ended
    int32_t code; // exit code, or 128 + signal
    int32_t signal;
    uint32_t ended, oom, pad;
    int64_t started, finished; // nanoseconds since 1970
};
