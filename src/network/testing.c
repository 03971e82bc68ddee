#include "network/testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/process.h"
#include "base/thread.h"
#include "network/rtnl.h"

#define PATIENCE 10000 // ms
#define SILENCE 500    // ms

static bool begun;
static int home = -1;

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
    abort();
}

static void check_status(struct kn_status s)
{
    if (kn_ok(s))
        return;
    fprintf(stderr, "lab: %s\n", kn_status_text(&s));
    abort();
}

bool kn_lab_begin(void)
{
    if (begun)
        return true;
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        fprintf(stderr, "skipped: network namespaces cannot be made here (%s); run as root\n",
                strerror(errno));
        return false;
    }
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "make mounts private");
    check(mount("lab", kn_lab_dir(), "tmpfs", 0, "size=16m") == 0, "mount a tmpfs");
    home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    check(home >= 0, "open the namespace");
    struct kn_nl nl;
    struct kn_nl_msg m = KN_NL_MSG(4096);
    check_status(kn_nl_open(0, -1, &nl));
    kn_rtnl_link_up(&m, 1);
    check_status(kn_nl_send(&nl, &m, "lo up"));
    kn_nl_msg_done(&m);
    kn_nl_close(&nl);
    begun = true;
    return true;
}

const char *kn_lab_dir(void)
{
    return "/mnt"; // covered by the tmpfs in the lab's mount namespace alone
}

static void enter(int fd)
{
    check(setns(fd, CLONE_NEWNET) == 0, "enter a namespace");
}

void kn_lab_ns_make(struct kn_lab_ns *ns, const char *name)
{
    snprintf(ns->path, sizeof ns->path, "%s/%s", kn_lab_dir(), name);
    int fd = open(ns->path, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    check(fd >= 0, ns->path);
    close(fd);
    check(unshare(CLONE_NEWNET) == 0, "make a namespace");
    check(mount("/proc/self/ns/net", ns->path, NULL, MS_BIND, NULL) == 0, "pin a namespace");
    enter(home);
    ns->fd = open(ns->path, O_RDONLY | O_CLOEXEC);
    check(ns->fd >= 0, ns->path);
}

void kn_lab_ns_drop(struct kn_lab_ns *ns)
{
    close(ns->fd);
    check(umount2(ns->path, MNT_DETACH) == 0, "unpin a namespace");
    unlink(ns->path);
}

void kn_lab_run(const struct kn_lab_ns *ns, const char *const *argv)
{
    if (ns)
        enter(ns->fd);
    struct kn_status s = kn_process_run(argv, KN_SV_NULL, NULL, kn_mono() + 10 * KN_SECOND);
    if (ns)
        enter(home);
    check_status(s);
}

int kn_lab_socket(const struct kn_lab_ns *ns, int type)
{
    if (ns)
        enter(ns->fd);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (ns)
        enter(home);
    check(fd >= 0, "make a socket");
    return fd;
}

static struct sockaddr_in address(const char *ip, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    check(inet_pton(AF_INET, ip, &a.sin_addr) == 1, ip);
    return a;
}

// -- servers ---------------------------------------------------------------------------------

struct kn_lab_server {
    pthread_t thread;
    int fd, stop;
    bool udp;
    char name[32];
};

static void answer(struct kn_lab_server *s)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    char ip[INET_ADDRSTRLEN], text[128], in[512];
    int fd = s->udp ? s->fd : accept4(s->fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
    if (fd < 0 || (s->udp && recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&peer, &len) < 0))
        return;
    int n = snprintf(text, sizeof text, "%s %s", s->name,
                     inet_ntop(AF_INET, &peer.sin_addr, ip, sizeof ip));
    if (s->udp)
        (void)!sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&peer, len);
    else
        (void)!write(fd, text, (size_t)n);
    if (!s->udp)
        close(fd);
}

static void *serve(void *arg)
{
    struct kn_lab_server *s = arg;
    for (;;) {
        struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = s->stop, .events = POLLIN}};
        check(poll(p, 2, -1) > 0, "wait for a client");
        if (p[1].revents)
            return NULL;
        answer(s);
    }
}

struct kn_lab_server *kn_lab_serve(const struct kn_lab_ns *ns, const char *name, bool udp,
                                   const char *ip, uint16_t port)
{
    struct kn_lab_server *s = KN_NEW(struct kn_lab_server);
    struct sockaddr_in a = address(ip, port);
    int one = 1;
    snprintf(s->name, sizeof s->name, "%s", name);
    s->udp = udp;
    s->fd = kn_lab_socket(ns, udp ? SOCK_DGRAM : SOCK_STREAM);
    s->stop = eventfd(0, EFD_CLOEXEC);
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    check(bind(s->fd, (struct sockaddr *)&a, sizeof a) == 0, "bind a server");
    check(udp || listen(s->fd, 64) == 0, "listen");
    check_status(kn_thread_start(&s->thread, "lab-server", 0, serve, s));
    return s;
}

void kn_lab_server_stop(struct kn_lab_server *s)
{
    uint64_t one = 1;
    (void)!write(s->stop, &one, sizeof one);
    kn_thread_join(s->thread);
    close(s->fd);
    close(s->stop);
    free(s);
}

// -- clients ---------------------------------------------------------------------------------

static const char *words_of(int err)
{
    return err == ECONNREFUSED || err == ECONNRESET ? "refused"
           : err == EHOSTUNREACH || err == ENETUNREACH || err == EACCES || err == EPERM
               ? "unreachable"
               : "timeout";
}

static int talk(int fd, bool udp, const struct sockaddr_in *to, int patience, char out[128])
{
    struct pollfd p = {.fd = fd, .events = udp ? POLLIN : POLLOUT};
    size_t len = 0;
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS)
        return errno;
    if (udp && send(fd, "?", 1, 0) < 0)
        return errno;
    for (;;) {
        if (poll(&p, 1, patience) <= 0)
            return ETIMEDOUT;
        int err = 0;
        socklen_t size = sizeof err;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
        if (err)
            return err;
        if (p.events == POLLOUT) {
            p.events = POLLIN;
            continue;
        }
        ssize_t n = recv(fd, out + len, 127 - len, 0);
        if (n < 0)
            return errno;
        len += (size_t)n;
        out[len] = '\0';
        if (udp || n == 0)
            return 0;
    }
}

static int ask(const struct kn_lab_ns *ns, bool udp, const char *ip, uint16_t port, int patience,
               char out[128])
{
    struct sockaddr_in to = address(ip, port);
    int fd = kn_lab_socket(ns, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK);
    int err = talk(fd, udp, &to, patience, out);
    close(fd);
    return err;
}

const char *kn_lab_ask(const struct kn_lab_ns *ns, bool udp, const char *ip, uint16_t port,
                       char out[128])
{
    int err = ask(ns, udp, ip, port, PATIENCE, out);
    if (err)
        snprintf(out, 128, "%s", words_of(err));
    return out;
}

bool kn_lab_is_silent(const struct kn_lab_ns *ns, const char *ip, uint16_t port)
{
    char out[128];
    int err = ask(ns, false, ip, port, SILENCE, out);
    return err && strcmp(words_of(err), "refused") != 0;
}
