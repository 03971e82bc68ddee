// What the network's tests stand on: a "machine" of their own, that is a network and a mount
// namespace which end with the process, further namespaces in it, and servers and clients that
// speak between them. Only linked into tests. Nothing of it is seen outside.
#pragma once
#include "base/buf.h"

// False, with a line that says why, where namespaces cannot be made. Once a process is enough;
// again is fine. From then on the process's main thread lives in the lab's "machine", with lo up.
bool kn_lab_begin(void);
const char *kn_lab_dir(void); // a tmpfs of its own

struct kn_lab_ns {
    int fd;
    char path[64];
};
void kn_lab_ns_make(struct kn_lab_ns *ns, const char *name);
void kn_lab_ns_drop(struct kn_lab_ns *ns); // the kernel takes it down in its own time

// Runs a shell-less command in the namespace (NULL: the machine); its failure fails the test.
void kn_lab_run(const struct kn_lab_ns *ns, const char *const *argv);
#define KN_LAB_RUN(ns, ...) kn_lab_run(ns, (const char *const[]){__VA_ARGS__, NULL})

// A server in a namespace that answers everybody with "<name> <the caller's address>": TCP on
// connect, UDP on every datagram. It is a thread that ends in kn_lab_server_stop.
struct kn_lab_server;
struct kn_lab_server *kn_lab_serve(const struct kn_lab_ns *ns, const char *name, bool udp,
                                   const char *ip, uint16_t port);
void kn_lab_server_stop(struct kn_lab_server *s);

// Asks from a namespace (NULL: the machine); waits at most ten seconds. The answer's text, or
// "refused", "unreachable", "timeout".
const char *kn_lab_ask(const struct kn_lab_ns *ns, bool udp, const char *ip, uint16_t port,
                       char out[128]);
// Whether nobody answers a TCP connection within half a second.
bool kn_lab_is_silent(const struct kn_lab_ns *ns, const char *ip, uint16_t port);
// A socket made in the namespace.
int kn_lab_socket(const struct kn_lab_ns *ns, int type);
