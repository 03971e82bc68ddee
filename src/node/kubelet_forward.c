#include "node/kubelet_forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

#define CONNECT_DEADLINE (30 * KN_SECOND)
#define LINGER (10 * KN_SECOND)
#define TO_POD_MAX (8u << 20)    // a session that is paused still delivers what it has read
#define TO_POD_PAUSE (256u << 10)
#define TO_CLIENT_PAUSE (1u << 20)

struct session {
    struct kn_forward *forward;
    struct kn_sandbox pod;
    struct kn_kubelet_streams *streams;
    struct kn_loop *loop;
    int links;
};

// One connection. It may outlive its client, and the session, by the bytes that the pod has yet to
// take.
struct link {
    struct kn_loop_fd watch; // fd is -1 when there is no socket
    struct kn_timer timer;   // of connecting, and of what outlives the client
    struct kn_loop_hook hook;
    struct kn_loop *loop;
    struct kn_kubelet_streams *streams;
    struct session *session;      // NULL, as the next, once the client is gone
    struct kn_forward_conn *conn;
    uint16_t port;
    struct kn_buf out; // for the pod
    char refused[64];  // why 127.0.0.1 did not do: ::1 is being tried
    bool watched, connecting, hooked;
    bool read_over, read_paused; // of the pod's side
    bool in_over, shut;          // the client has finished; the pod was told
};

static const char *pod_id(const struct session *s)
{
    const char *slash = strrchr(s->pod.run, '/');
    return slash ? slash + 1 : s->pod.run;
}

// -- the socket -----------------------------------------------------------------------------------

// A socket belongs to the network namespace in which it was made, whoever uses it later.
static struct kn_status open_socket(const struct kn_sandbox *pod, int family, int *ret)
{
    int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/net", pod->run);
    if (!kn_file_exists(pod->run)) // of a pod in the host's network too: nothing goes on after it
        return kn_error(KN_NOT_FOUND, "the pod is gone");
    if (pod->host_network) {
        *ret = socket(family, type, 0);
        return *ret < 0 ? kn_error_errno(errno, "make a socket") : KN_STATUS_OK;
    }
    KN_CLEANUP(kn_cleanup_fd) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return kn_error_errno(errno, "remember the network namespace");
    KN_CLEANUP(kn_cleanup_fd) int netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) < 0)
        return kn_error_errno(errno, "enter the pod's network namespace");
    *ret = socket(family, type, 0);
    int err = errno;
    // a thread that cannot return must not go on in the wrong namespace
    kn_assert(setns(home, CLONE_NEWNET) == 0);
    return *ret < 0 ? kn_error_errno(err, "make a socket") : KN_STATUS_OK;
}

static void unwatch(struct link *l)
{
    if (l->watched)
        kn_loop_fd_remove(l->loop, &l->watch);
    l->watched = false;
}

static void close_socket(struct link *l)
{
    unwatch(l);
    if (l->watch.fd >= 0)
        close(l->watch.fd);
    l->watch.fd = -1;
    kn_timer_cancel(l->loop, &l->timer);
}

static void free_link(struct link *l)
{
    close_socket(l);
    if (l->hooked)
        kn_loop_hook_remove(&l->hook);
    __atomic_sub_fetch(&l->streams->connections, 1, __ATOMIC_RELAXED);
    kn_buf_done(&l->out);
    free(l);
}

static void end_with_loop(struct kn_loop_hook *h)
{
    free_link(KN_CONTAINER_OF(h, struct link, hook));
}

// Over in both directions. message: for the error stream, may be empty. l may be gone after it.
static void finish(struct link *l, struct kn_sv message)
{
    close_socket(l);
    kn_buf_done(&l->out);
    if (l->conn)
        kn_forward_end(l->conn, message);
    else
        free_link(l);
}

static void fail(struct link *l, const char *why)
{
    struct kn_buf text = KN_BUF(4096);
    kn_buf_addf(&text, "error forwarding port %u to pod %s, uid : %s", l->port,
                pod_id(l->session), why);
    finish(l, kn_buf_sv(&text));
    kn_buf_done(&text);
}

// What is of interest. Nothing: the socket is not watched at all, since an end that is told again
// and again while nobody takes what came before it would keep the loop awake.
static void update(struct link *l)
{
    uint32_t events = 0;
    if (l->watch.fd < 0)
        return;
    if (!l->connecting && !l->read_over && !l->read_paused)
        events |= EPOLLIN;
    if (l->connecting || l->out.len)
        events |= EPOLLOUT;
    if (!events) {
        unwatch(l);
    } else if (l->watched) {
        kn_loop_fd_set(l->loop, &l->watch, events);
    } else {
        l->watch.events = events;
        struct kn_status s = kn_loop_fd_add(l->loop, &l->watch);
        l->watched = kn_ok(s);
        kn_status_done(&s);
    }
}

// -- bytes ----------------------------------------------------------------------------------------

// False when the connection is over; l may be gone then.
static bool flush(struct link *l)
{
    size_t at = 0;
    while (!l->connecting && at < l->out.len) {
        ssize_t n = send(l->watch.fd, l->out.ptr + at, l->out.len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            finish(l, KN_SV_NULL); // the pod has closed: as upstream, that is no error
            return false;
        }
        if (n < 0)
            break;
        at += (size_t)n;
    }
    kn_buf_drop(&l->out, at);
    if (l->conn && l->out.len < TO_POD_PAUSE)
        kn_forward_pause(l->conn, false);
    if (l->out.len || l->connecting)
        return true;
    if (!l->conn) { // this was all that it still lived for
        free_link(l);
        return false;
    }
    if (l->in_over && !l->shut) {
        l->shut = true;
        shutdown(l->watch.fd, SHUT_WR);
    }
    return true;
}

// False when the connection is over; l may be gone then.
static bool read_pod(struct link *l)
{
    char bytes[32768];
    ssize_t n = recv(l->watch.fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n < 0) {
        finish(l, KN_SV_NULL);
        return false;
    }
    if (n == 0) { // the client may go on sending
        l->read_over = true;
        update(l);
        if (!l->conn)
            return true;
        kn_forward_end(l->conn, KN_SV_NULL);
        return false;
    }
    if (l->conn) {
        kn_forward_write(l->conn, kn_sv(bytes, (size_t)n));
        l->read_paused = kn_forward_pending(l->conn) > TO_CLIENT_PAUSE;
    }
    return true;
}

// -- connecting -----------------------------------------------------------------------------------

static const char *words_of(int err)
{
    return err == ECONNREFUSED ? "connect: connection refused"
           : err == ETIMEDOUT  ? "i/o timeout"
                               : strerror(err);
}

static void connect_failed(struct link *l, int err);

// 0, or errno. The connection may still be under way.
static int dial(struct link *l, int family)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(l->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(l->port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool is_four = family == AF_INET;
    int fd = l->watch.fd, one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    l->connecting = true;
    if (connect(fd, is_four ? (void *)&four : (void *)&six, is_four ? sizeof four : sizeof six) <
            0 &&
        errno != EINPROGRESS)
        return errno;
    return 0;
}

static void try_family(struct link *l, int family)
{
    struct kn_status s = open_socket(&l->session->pod, family, &l->watch.fd);
    if (!kn_ok(s)) {
        l->watch.fd = -1;
        fail(l, kn_status_text(&s));
        kn_status_done(&s);
        return;
    }
    kn_timer_set(l->loop, &l->timer, kn_loop_now(l->loop) + CONNECT_DEADLINE);
    int err = dial(l, family);
    if (err)
        connect_failed(l, err);
    else
        update(l);
}

static void connect_failed(struct link *l, int err)
{
    close_socket(l);
    if (!l->refused[0]) {
        snprintf(l->refused, sizeof l->refused, "%s", words_of(err));
        try_family(l, AF_INET6);
        return;
    }
    char text[512];
    snprintf(text, sizeof text,
             "failed to connect to localhost:%u inside namespace \"%s\", IPv4: dial tcp4 "
             "127.0.0.1:%u: %s IPv6 dial tcp6 [::1]:%u: %s ",
             l->port, pod_id(l->session), l->port, l->refused, l->port, words_of(err));
    fail(l, text);
}

static void timed_out(struct kn_timer *t)
{
    struct link *l = KN_CONTAINER_OF(t, struct link, timer);
    if (l->conn)
        connect_failed(l, ETIMEDOUT);
    else
        free_link(l);
}

static void ready(struct kn_loop_fd *w, uint32_t events)
{
    struct link *l = KN_CONTAINER_OF(w, struct link, watch);
    if (l->connecting) {
        int err = 0;
        socklen_t len = sizeof err;
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (err) {
            connect_failed(l, err);
            return;
        }
        l->connecting = false;
        if (l->conn)
            kn_timer_cancel(l->loop, &l->timer);
        events = EPOLLOUT;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !l->read_over && !l->read_paused &&
        !read_pod(l))
        return;
    if (flush(l))
        update(l);
}

// -- the client -----------------------------------------------------------------------------------

static void on_open(void *arg, struct kn_forward_conn *c, uint16_t port, void **ret_data)
{
    struct session *s = arg;
    struct link *l = KN_NEW(struct link);
    *l = (struct link){.watch = {.fd = -1, .ready = ready}, .timer.fire = timed_out,
                       .hook.end = end_with_loop, .loop = s->loop, .streams = s->streams,
                       .session = s, .conn = c, .port = port, .out = KN_BUF(TO_POD_MAX)};
    int all = __atomic_add_fetch(&s->streams->connections, 1, __ATOMIC_RELAXED);
    *ret_data = l;
    if (++s->links > KN_FORWARD_SESSION || all > KN_FORWARD_NODE)
        fail(l, s->links > KN_FORWARD_SESSION ? "this client has too many connections open"
                                              : "this node forwards too many connections");
    else
        try_family(l, AF_INET);
}

static void on_data(void *data, struct kn_forward_conn *c, struct kn_sv bytes)
{
    struct link *l = data;
    if (l->watch.fd < 0) // it is over, and the client was told
        return;
    kn_buf_add(&l->out, bytes);
    if (l->out.failed) {
        finish(l, KN_SV_NULL);
        return;
    }
    if (!flush(l))
        return;
    kn_forward_pause(c, l->out.len >= TO_POD_PAUSE);
    update(l);
}

static void on_end(void *data, struct kn_forward_conn *c)
{
    struct link *l = data;
    (void)c;
    l->in_over = true;
    if (l->watch.fd >= 0 && flush(l))
        update(l);
}

static void on_drain(void *data, struct kn_forward_conn *c)
{
    struct link *l = data;
    if (!l->read_paused || kn_forward_pending(c) > TO_CLIENT_PAUSE / 2)
        return;
    l->read_paused = false;
    update(l);
}

static void on_gone(void *data, struct kn_forward_conn *c)
{
    struct link *l = data;
    (void)c;
    l->session->links--;
    l->session = NULL;
    l->conn = NULL;
    if (!l->in_over || !l->out.len || l->connecting || l->watch.fd < 0) {
        free_link(l);
        return;
    }
    l->read_over = true;
    l->hooked = true;
    kn_loop_hook_add(l->loop, &l->hook);
    kn_timer_set(l->loop, &l->timer, kn_loop_now(l->loop) + LINGER);
    update(l);
}

static void on_close(void *arg)
{
    struct session *s = arg;
    kn_kubelet_stream_closed(s->streams);
    free(s);
}

static const struct kn_forward_events events = {on_open,  on_data, on_end,
                                                on_drain, on_gone, on_close};

void kn_kubelet_forward(struct kn_http_req *r, const struct kn_sandbox *pod,
                        struct kn_kubelet_streams *streams)
{
    struct session *s = KN_NEW(struct session);
    *s = (struct session){.pod = *pod, .streams = streams, .loop = kn_http_loop(r)};
    struct kn_status st = kn_kubelet_stream_opened(streams);
    bool counted = kn_ok(st);
    if (kn_ok(st))
        st = kn_forward_accept(r, &events, s, &s->forward);
    if (kn_ok(st))
        return;
    if (counted)
        kn_kubelet_stream_closed(streams);
    free(s);
    kn_http_respond_text(r, kn_code_http(st.code), "text/plain; charset=utf-8",
                         kn_sv_c(kn_status_text(&st)));
    kn_status_done(&st);
}
