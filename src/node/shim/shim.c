// knarr-shim FOLDER: the parent of a pod's containers. It starts them through the OCI runtime,
// keeps their logs, sees them end, and lives on when the agent does not.
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char packet[SHIM_PACKET_MAX];

int64_t shim_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// A peer that does not take its packets is cut off: it asks for everything when it comes back.
void shim_answer(struct shim_conn *c, uint32_t op, uint32_t tag, const void *body, size_t len,
                 int fd)
{
    struct shim_head head = {op, tag};
    struct iovec iov[2] = {{&head, sizeof head}, {(void *)(uintptr_t)body, len}};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &fd, sizeof fd);
    }
    if (!c->dead && sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        c->dead = true;
}

void shim_fail(struct shim_conn *c, uint32_t tag, const char *sentence)
{
    shim_answer(c, SHIM_FAILED, tag, sentence, strlen(sentence) + 1, -1);
}

void shim_exited(struct shim *s, struct shim_proc *p)
{
    for (struct shim_conn *c = s->conns; c; c = c->next)
        if (c->subscribed)
            shim_answer(c, SHIM_EXITED, 0, &p->info, sizeof p->info, -1);
}

static void list(struct shim *s, struct shim_conn *c, uint32_t tag)
{
    for (struct shim_proc *p = s->procs; p; p = p->next)
        if (p->kind == SHIM_IS_CONTAINER && p->started)
            shim_answer(c, SHIM_CONTAINER, tag, &p->info, sizeof p->info, -1);
    shim_answer(c, SHIM_OK, tag, NULL, 0, -1);
}

static void resize(struct shim_conn *c, uint32_t tag, struct shim_proc *p,
                   const struct shim_resize *r)
{
    struct winsize w = {.ws_col = r->columns, .ws_row = r->rows};
    if (!p || p->tty < 0 || ioctl(p->tty, TIOCSWINSZ, &w) < 0)
        shim_fail(c, tag, "there is no terminal to resize");
    else
        shim_answer(c, SHIM_OK, tag, NULL, 0, -1);
}

static void send_signal(struct shim_conn *c, uint32_t tag, struct shim_proc *p, int signo)
{
    // The process is our child and not yet reaped, so its number cannot mean another one.
    if (!p || p->info.pid <= 0)
        shim_fail(c, tag, "the container is not running");
    else if (kill(p->info.pid, signo) < 0)
        shim_fail(c, tag, strerror(errno));
    else
        shim_answer(c, SHIM_OK, tag, NULL, 0, -1);
}

static void forget(struct shim *s, struct shim_conn *c, uint32_t tag, struct shim_proc *p)
{
    if (!p || !p->info.ended) {
        shim_fail(c, tag, p ? "the container is running" : "there is no such container");
        return;
    }
    shim_proc_free(s, p);
    shim_answer(c, SHIM_OK, tag, NULL, 0, -1);
}

static bool is_busy(const struct shim *s)
{
    for (const struct shim_proc *p = s->procs; p; p = p->next)
        if (p->runtime || p->info.pid)
            return true;
    return false;
}

// Whoever asks has ended the containers, but the news of it may still be on its way here.
static void quit(struct shim *s, struct shim_conn *c, uint32_t tag)
{
    s->quit = true;
    unlink(SHIM_SOCKET);
    shim_answer(c, SHIM_OK, tag, NULL, 0, -1);
}

static size_t body_size(uint32_t op)
{
    static const unsigned char size[] = {
        [SHIM_START] = sizeof(struct shim_start),   [SHIM_EXEC] = sizeof(struct shim_exec),
        [SHIM_ATTACH] = sizeof(struct shim_attach), [SHIM_RESIZE] = sizeof(struct shim_resize),
        [SHIM_SIGNAL] = sizeof(struct shim_signal), [SHIM_QUIT] = 0,
    };
    return op < sizeof size ? size[op] : 0;
}

static void attach(struct shim_conn *c, uint32_t tag, struct shim_proc *p,
                   const struct shim_attach *req, int *fds, size_t *fds_len)
{
    if (!p || p->info.ended) {
        shim_fail(c, tag, "the container is not running");
    } else if (!shim_attach(p, req->streams & 7, fds, *fds_len)) {
        shim_fail(c, tag, "the attach request is malformed");
    } else {
        *fds_len = 0; // they are the client's now
        shim_answer(c, SHIM_OK, tag, NULL, 0, -1);
    }
}

static void handle(struct shim *s, struct shim_conn *c, size_t len, int *fds, size_t *fds_len)
{
    struct shim_head head;
    union {
        struct shim_start start;
        struct shim_exec exec;
        struct shim_attach attach;
        struct shim_resize resize;
        struct shim_signal signal;
    } body;
    if (len < sizeof head) {
        c->dead = true;
        return;
    }
    memcpy(&head, packet, sizeof head);
    size_t size = body_size(head.op);
    if (len < sizeof head + size) {
        shim_fail(c, head.tag, "the request is too short");
        return;
    }
    memcpy(&body, packet + sizeof head, size);
    const char *text = packet + sizeof head + size;
    size_t text_len = len - sizeof head - size;
    bool named = text_len && text[text_len - 1] == '\0';
    struct shim_proc *p = named ? shim_find(s, text) : NULL;
    static const uint32_t version = SHIM_VERSION;
    switch (head.op) {
    case SHIM_HELLO:
        shim_answer(c, SHIM_OK, head.tag, &version, sizeof version, -1);
        break;
    case SHIM_SUBSCRIBE:
        c->subscribed = true;
        shim_answer(c, SHIM_OK, head.tag, NULL, 0, -1);
        break;
    case SHIM_START:
        shim_start(s, c, head.tag, &body.start, text, text_len);
        break;
    case SHIM_EXEC:
        shim_exec(s, c, head.tag, &body.exec, text, text_len, fds, *fds_len);
        break;
    case SHIM_ATTACH:
        attach(c, head.tag, p, &body.attach, fds, fds_len);
        break;
    case SHIM_RESIZE:
        resize(c, head.tag, p, &body.resize);
        break;
    case SHIM_SIGNAL:
        send_signal(c, head.tag, p, body.signal.signal);
        break;
    case SHIM_LIST:
        list(s, c, head.tag);
        break;
    case SHIM_FORGET:
        forget(s, c, head.tag, p);
        break;
    case SHIM_QUIT:
        quit(s, c, head.tag);
        break;
    default:
        shim_fail(c, head.tag, "the shim does not know this operation");
        break;
    }
}

static void receive(struct shim *s, struct shim_conn *c)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * SHIM_FDS_MAX)];
    } control;
    struct iovec iov = {packet, sizeof packet};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        c->dead = true;
        return;
    }
    int fds[SHIM_FDS_MAX];
    size_t fds_len = 0;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
        fds_len = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(h), fds_len * sizeof(int));
    }
    handle(s, c, (size_t)n, fds, &fds_len);
    for (size_t i = 0; i < fds_len; i++)
        close(fds[i]);
}

static void drop_dead(struct shim *s)
{
    for (struct shim_conn **at = &s->conns; *at;) {
        struct shim_conn *c = *at;
        if (!c->dead) {
            at = &c->next;
            continue;
        }
        for (struct shim_proc *p = s->procs; p; p = p->next)
            if (p->asked == c) {
                p->asked = NULL;
                // An exec whose asker is gone has nobody to read it.
                if (p->kind == SHIM_IS_EXEC && p->info.pid > 0)
                    kill(p->info.pid, SIGKILL);
            }
        *at = c->next;
        close(c->fd);
        free(c);
    }
}

static void accept_one(struct shim *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct shim_conn *c = fd >= 0 ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        if (fd >= 0)
            close(fd);
        return;
    }
    c->fd = fd;
    c->next = s->conns;
    s->conns = c;
}

static size_t count(const struct shim *s)
{
    size_t n = 2;
    for (const struct shim_conn *c = s->conns; c; c = c->next)
        n++;
    for (const struct shim_proc *p = s->procs; p; p = p->next) {
        n += SHIM_POLL_PER_PROC;
        for (const struct shim_client *c = p->clients; c; c = c->next)
            n += 3;
    }
    return n;
}

static void turn(struct shim *s)
{
    static struct pollfd *fds;
    static size_t cap;
    size_t need = count(s);
    if (need > cap) {
        struct pollfd *more = realloc(fds, need * 2 * sizeof *fds);
        if (!more)
            return;
        fds = more;
        cap = need * 2;
    }
    fds[0] = (struct pollfd){s->signal_fd, POLLIN, 0};
    fds[1] = (struct pollfd){s->listen_fd, POLLIN, 0};
    size_t n = 2;
    for (struct shim_conn *c = s->conns; c; c = c->next)
        fds[n++] = (struct pollfd){c->fd, POLLIN, 0};
    size_t io = n;
    for (struct shim_proc *p = s->procs; p; p = p->next)
        n += shim_io_poll(p, fds + n);
    if (poll(fds, (nfds_t)n, -1) < 0)
        return;
    // Bytes first, in the order that was filled in; only then what changes the lists.
    for (struct shim_proc *p = s->procs; p; p = p->next) {
        size_t clients = 0;
        for (struct shim_client *c = p->clients; c; c = c->next)
            clients++;
        if (fds[io].revents && p->console >= 0)
            shim_take_console(s, p);
        shim_io_ready(p, fds + io);
        io += SHIM_POLL_PER_PROC + 3 * clients;
    }
    n = 2;
    for (struct shim_conn *c = s->conns; c; c = c->next)
        if (fds[n++].revents)
            receive(s, c);
    if (fds[0].revents) {
        struct signalfd_siginfo info;
        while (read(s->signal_fd, &info, sizeof info) > 0)
            ;
        shim_reap(s);
    }
    drop_dead(s);
    if (fds[1].revents)
        accept_one(s);
}

static int start_listening(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = SHIM_SOCKET};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(SHIM_SOCKET);
    if (fd < 0 || bind(fd, (void *)&a, sizeof a) < 0 || chmod(SHIM_SOCKET, 0600) < 0 ||
        listen(fd, 16) < 0)
        return -1;
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1]) < 0)
        return 2;
    umask(0);
    struct shim s = {.listen_fd = start_listening(), .signal_fd = -1};
    if (s.listen_fd < 0)
        return 3;
    // The socket listens before the parent ends: whoever waited for it may connect.
    pid_t pid = fork();
    if (pid != 0)
        return pid < 0 ? 4 : 0;
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_SETMASK, &set, NULL);
    s.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s.signal_fd < 0)
        return 5;
    while (!s.quit || is_busy(&s))
        turn(&s);
    return 0;
}
