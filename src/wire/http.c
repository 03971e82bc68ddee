// The HTTP server: listening, workers, connections, draining.
#include "wire/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "wire/http_server.h"

#define ACCEPTS 8              // connections taken in one turn, so that other workers get theirs
#define REFUSED_AT_ONCE 64     // connections beyond the maximum that still get an answer in words
#define RETRY (KN_SECOND / 10) // when there are no descriptors left

void kn_http_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED); // one writer
}

// ---- connections ----

static void free_conn(struct kn_task *t)
{
    struct http_conn *c = KN_CONTAINER_OF(t, struct http_conn, free_task);
    struct http_worker *w = c->worker;
    if (c->protocol)
        c->protocol->free(c);
    kn_buf_done(&c->in);
    kn_cert_free((struct kn_cert *)(uintptr_t)c->peer.cert);
    free(c);
    kn_http_worker_check(w);
}

void kn_http_conn_dead(struct http_conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    if (c->stream) {
        kn_http_count(&c->worker->counts.bytes_in, kn_transport_bytes_in(c->stream));
        kn_http_count(&c->worker->counts.bytes_out, kn_transport_bytes_out(c->stream));
    }
    c->stream = NULL;
    c->current = NULL;
    kn_http_hold_conn(c);
    struct http_worker *w = c->worker;
    kn_timer_cancel(w->loop, &c->timer);
    if (c->resume_set)
        kn_list_remove(&c->resume.link);
    kn_list_remove(&c->link);
    w->conn_count--;
    __atomic_sub_fetch(&w->server->connections, 1, __ATOMIC_RELAXED);
    kn_http_count(&w->counts.connections, (uint64_t)-1);
    struct kn_http_req *r;
    while ((r = KN_LIST_FIRST(&c->requests, struct kn_http_req, link)))
        kn_http_req_orphan(r);
    kn_loop_post(w->loop, &c->free_task);
}

static void lingered(void *arg)
{
    struct http_worker *w = arg;
    w->lingering--;
    kn_http_worker_check(w);
}

void kn_http_conn_close(struct http_conn *c, bool flush)
{
    if (c->dead)
        return;
    struct kn_stream *s = c->stream;
    kn_http_conn_dead(c);
    if (!s)
        return;
    if (!flush) {
        kn_stream_close(s);
        return;
    }
    c->worker->lingering++;
    kn_transport_on_gone(s, lingered, c->worker);
    kn_stream_finish(s);
}

static void conn_timer(struct kn_timer *t)
{
    struct http_conn *c = KN_CONTAINER_OF(t, struct http_conn, timer);
    if (c->deadline == KN_FOREVER)
        return;
    if (kn_loop_now(c->worker->loop) < c->deadline)
        kn_timer_set(c->worker->loop, t, c->deadline);
    else if (c->protocol)
        c->protocol->expired(c);
    else
        kn_http_conn_close(c, false); // the handshake took too long
}

// A timer that is set earlier stays: when it fires it looks at the deadline. So a busy connection
// does not move it with each request.
void kn_http_deadline(struct http_conn *c, int64_t at)
{
    c->deadline = at;
    if (at != KN_FOREVER && (!c->timer.index || c->timer.at > at))
        kn_timer_set(c->worker->loop, &c->timer, at);
}

static void conn_read(void *arg, struct kn_sv bytes)
{
    struct http_conn *c = arg;
    c->protocol->read(c, bytes);
}

static void conn_drain(void *arg)
{
    struct http_conn *c = arg;
    if (c->protocol)
        c->protocol->drained(c);
}

static void conn_close(void *arg, const struct kn_status *why)
{
    (void)why; // a peer that goes is no event
    kn_http_conn_dead(arg);
}

static const struct kn_stream_events conn_events = {
    .on_read = conn_read, .on_drain = conn_drain, .on_close = conn_close};

static void conn_ready(void *arg)
{
    struct http_conn *c = arg;
    const struct kn_tls *tls = kn_transport_tls(c->stream);
    c->peer.cert_problem = "";
    if (tls) {
        c->peer.tls = true;
        c->peer.cert = kn_tls_peer(tls) ? kn_cert_ref(kn_tls_peer(tls)) : NULL;
        c->peer.cert_problem = kn_tls_peer_problem(tls);
    }
    c->protocol = tls && kn_tls_is_h2(tls) ? &kn_http_h2 : &kn_http_h1;
    kn_http_deadline(c, kn_loop_now(c->worker->loop) + c->worker->server->config.header_timeout);
    if (c->protocol == &kn_http_h2)
        c->protocol->read(c, KN_SV_NULL); // our settings go first
    else
        c->in = KN_BUF(c->worker->server->config.max_header + 4 * KN_LOOP_SCRATCH);
}

static void set_peer(struct http_conn *c, const struct sockaddr_storage *from, int fd)
{
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)from;
        if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr))
            inet_ntop(AF_INET, &a->sin6_addr.s6_addr[12], c->address, sizeof c->address);
        else
            inet_ntop(AF_INET6, &a->sin6_addr, c->address, sizeof c->address);
        c->peer.port = ntohs(a->sin6_port);
    } else if (from->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)from;
        inet_ntop(AF_INET, &a->sin_addr, c->address, sizeof c->address);
        c->peer.port = ntohs(a->sin_port);
    } else {
        struct ucred cred = {0};
        socklen_t len = sizeof cred;
        c->peer.unix_socket = true;
        c->peer.uid = UINT32_MAX;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
            c->peer.uid = cred.uid;
    }
    c->peer.address = kn_sv_c(c->address);
}

// Takes fd.
static void add_conn(struct http_listener *l, int fd, const struct sockaddr_storage *from)
{
    struct http_worker *w = l->worker;
    struct kn_http_server *s = w->server;
    size_t now = __atomic_add_fetch(&s->connections, 1, __ATOMIC_RELAXED);
    kn_http_count(&w->counts.accepted, 1);
    struct kn_stream *stream = NULL;
    bool refuse = now > s->config.max_connections;
    if (refuse)
        kn_http_count(&w->counts.refused, 1);
    if (now > s->config.max_connections + REFUSED_AT_ONCE) {
        __atomic_sub_fetch(&s->connections, 1, __ATOMIC_RELAXED);
        close(fd);
        return;
    }
    struct http_conn *c = KN_NEW(struct http_conn);
    set_peer(c, from, fd);
    struct kn_status st = kn_transport_accepted(w->loop, fd, l->tls, conn_ready, &stream);
    if (!kn_log_status(KN_LOG_WARN, st, "accept a connection")) {
        __atomic_sub_fetch(&s->connections, 1, __ATOMIC_RELAXED);
        free(c);
        return;
    }
    c->worker = w;
    c->stream = stream;
    c->refuse = refuse;
    c->timer.fire = conn_timer;
    c->free_task.run = free_conn;
    kn_list_init(&c->requests);
    kn_list_append(&w->conns, &c->link);
    w->conn_count++;
    kn_http_count(&w->counts.connections, 1);
    kn_stream_set_events(stream, &conn_events, c);
    kn_http_deadline(c, kn_loop_now(w->loop) + s->config.header_timeout);
}

// ---- accepting ----

static void accepting(struct http_worker *w, bool on)
{
    if (w->accepting == on)
        return;
    w->accepting = on;
    for (size_t i = 0; i < w->server->sockets.len; i++) {
        struct http_listener *l = &w->listeners[i];
        if (!on)
            kn_loop_fd_remove(w->loop, &l->watch);
        else
            kn_log_status(KN_LOG_ERROR, kn_loop_fd_add(w->loop, &l->watch), "listen");
    }
}

static void retry_accept(struct kn_timer *t)
{
    struct http_worker *w = KN_CONTAINER_OF(t, struct http_worker, retry);
    if (!w->draining)
        accepting(w, true);
}

static void accept_some(struct kn_loop_fd *watch, uint32_t events)
{
    (void)events;
    struct http_listener *l = KN_CONTAINER_OF(watch, struct http_listener, watch);
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof from;
        int fd = accept4(watch->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            add_conn(l, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            kn_warn("http: cannot accept connections: %s", strerror(errno));
            accepting(l->worker, false);
            kn_timer_set(l->worker->loop, &l->worker->retry, kn_loop_now(l->worker->loop) + RETRY);
        }
        return;
    }
}

// ---- the server ----

struct kn_status kn_http_server_new(const struct kn_http_config *config,
                                    struct kn_http_server **ret)
{
    struct kn_http_server *s = KN_NEW(struct kn_http_server);
    struct kn_http_config *c = &s->config;
    *c = *config;
    kn_assert(c->handle);
    snprintf(s->name, sizeof s->name, "%s", c->name ? c->name : "http");
    c->threads = c->threads > 0 ? c->threads : 1;
    c->max_header = c->max_header ? c->max_header : 64u << 10;
    c->max_body = c->max_body ? c->max_body : 3u << 20;
    c->max_unfinished = c->max_unfinished ? c->max_unfinished : 64u << 20;
    c->max_connections = c->max_connections ? c->max_connections : 10000;
    c->max_streams = c->max_streams ? c->max_streams : 250;
    c->arena_limit = c->arena_limit ? c->arena_limit : 64u << 20;
    c->idle_timeout = c->idle_timeout ? c->idle_timeout : 180 * KN_SECOND;
    c->header_timeout = c->header_timeout ? c->header_timeout : 30 * KN_SECOND;
    pthread_mutex_init(&s->lock, NULL);
    kn_cond_init(&s->changed);
    *ret = s;
    return KN_STATUS_OK;
}

// Takes fd.
static void add_socket(struct kn_http_server *s, int fd, struct kn_tls_ctx *tls, bool unix_socket)
{
    kn_assert(!s->started);
    KN_VEC_PUSH(&s->sockets, (struct http_socket){fd, tls ? kn_tls_ctx_ref(tls) : NULL,
                                                  unix_socket});
}

static bool numeric(const char *address, uint16_t port, struct sockaddr_storage *ret,
                    socklen_t *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *ret_len = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *ret_len = sizeof *v6;
    return true;
}

struct kn_status kn_http_listen_tcp(struct kn_http_server *s, const char *address, uint16_t port,
                                    struct kn_tls_ctx *tls, uint16_t *ret_port)
{
    struct sockaddr_storage a;
    socklen_t len;
    if (!numeric(address, port, &a, &len))
        return kn_error(KN_INVALID, "listen on \"%s\": no numeric address", address);
    KN_CLEANUP(kn_cleanup_fd) int fd =
        socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return kn_error_errno(errno, "listen on %s port %u", address, port);
    if (ret_port)
        *ret_port = ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                                 : ((struct sockaddr_in6 *)&a)->sin6_port);
    add_socket(s, fd, tls, false);
    fd = -1;
    return KN_STATUS_OK;
}

struct kn_status kn_http_listen_unix(struct kn_http_server *s, const char *path, unsigned mode)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return kn_error(KN_INVALID, "listen on %s: the path is longer than %zu bytes", path,
                        sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path));
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    KN_CLEANUP(kn_cleanup_fd)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // the socket is not connectable before listen(), so that the mode is there first
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || chmod(path, mode) < 0 ||
        listen(fd, 4096) < 0)
        return kn_error_errno(errno, "listen on %s", path);
    add_socket(s, fd, NULL, true);
    fd = -1;
    return KN_STATUS_OK;
}

struct kn_status kn_http_listen_fd(struct kn_http_server *s, int fd, struct kn_tls_ctx *tls)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    struct sockaddr_storage a;
    socklen_t a_len = sizeof a;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &a_len) < 0)
        return kn_error_errno(errno, "listen on the descriptor %d", fd);
    if (!listening)
        return kn_error(KN_INVALID, "listen on the descriptor %d: it is no listening socket", fd);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return kn_error_errno(errno, "listen on the descriptor %d", fd);
    add_socket(s, fd, tls, a.ss_family == AF_UNIX);
    return KN_STATUS_OK;
}

static void begin_task(struct kn_task *t)
{
    accepting(KN_CONTAINER_OF(t, struct http_worker, begin), true);
}

static void tell_quiet(struct http_worker *w)
{
    if (w->quiet)
        return;
    w->quiet = true;
    struct kn_http_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    s->quiet_workers++;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void kn_http_worker_check(struct http_worker *w)
{
    if (w->draining && !w->conn_count && !w->lingering && !w->unended &&
        kn_list_empty(&w->orphans))
        tell_quiet(w);
}

static void drain_task(struct kn_task *t)
{
    struct http_worker *w = KN_CONTAINER_OF(t, struct http_worker, drain);
    kn_timer_cancel(w->loop, &w->retry);
    accepting(w, false);
    w->draining = true;
    struct http_conn *c;
    KN_LIST_EACH(&w->conns, c, struct http_conn, link)
    {
        c->draining = true;
        if (c->protocol)
            c->protocol->shut(c);
        else
            kn_http_conn_close(c, false);
    }
    kn_http_worker_check(w);
}

static void kill_task(struct kn_task *t)
{
    struct http_worker *w = KN_CONTAINER_OF(t, struct http_worker, kill);
    struct http_conn *c;
    while ((c = KN_LIST_FIRST(&w->conns, struct http_conn, link)))
        kn_http_conn_close(c, false);
    kn_http_worker_check(w);
}

static struct kn_status start_worker(struct kn_http_server *s, int i)
{
    struct http_worker *w = &s->workers[i];
    w->server = s;
    w->index = i;
    w->date_at = -1;
    kn_list_init(&w->conns);
    kn_list_init(&w->orphans);
    w->retry.fire = retry_accept;
    w->begin.run = begin_task;
    w->drain.run = drain_task;
    w->kill.run = kill_task;
    w->listeners = kn_calloc(s->sockets.len + 1, sizeof *w->listeners);
    for (size_t j = 0; j < s->sockets.len; j++)
        w->listeners[j] = (struct http_listener){
            .watch = {.fd = s->sockets.ptr[j].fd, .events = EPOLLIN | EPOLLEXCLUSIVE,
                      .ready = accept_some},
            .worker = w, .tls = s->sockets.ptr[j].tls,
            .unix_socket = s->sockets.ptr[j].unix_socket};
    char name[16];
    snprintf(name, sizeof name, "%s%d", s->name, i % 1000);
    return kn_loop_start(name, 0, &w->loop);
}

struct kn_status kn_http_server_start(struct kn_http_server *s)
{
    kn_assert(!s->started);
    s->started = true;
    s->workers = kn_calloc((size_t)s->config.threads, sizeof *s->workers);
    for (int i = 0; i < s->config.threads; i++)
        KN_TRY(start_worker(s, i));
    for (int i = 0; i < s->config.threads; i++)
        kn_loop_post(s->workers[i].loop, &s->workers[i].begin);
    return KN_STATUS_OK;
}

// False when `deadline` passed.
static bool wait_quiet(struct kn_http_server *s, int workers, int64_t deadline)
{
    bool in_time = true;
    pthread_mutex_lock(&s->lock);
    while (s->quiet_workers < workers && in_time)
        in_time = kn_cond_wait(&s->changed, &s->lock, deadline);
    bool quiet = s->quiet_workers >= workers;
    pthread_mutex_unlock(&s->lock);
    return quiet;
}

void kn_http_server_drain(struct kn_http_server *s, int64_t deadline)
{
    if (!s->started || s->drained)
        return;
    s->drained = true;
    int running = 0;
    for (int i = 0; i < s->config.threads && s->workers[i].loop; i++, running++)
        kn_loop_post(s->workers[i].loop, &s->workers[i].drain);
    if (wait_quiet(s, running, deadline))
        return;
    for (int i = 0; i < running; i++)
        kn_loop_post(s->workers[i].loop, &s->workers[i].kill);
    (void)wait_quiet(s, running, KN_FOREVER);
}

void kn_http_server_free(struct kn_http_server *s)
{
    if (!s)
        return;
    kn_http_server_drain(s, 0);
    for (int i = 0; s->workers && i < s->config.threads; i++) {
        kn_loop_join(s->workers[i].loop);
        free(s->workers[i].listeners);
    }
    free(s->workers);
    for (size_t i = 0; i < s->sockets.len; i++) {
        close(s->sockets.ptr[i].fd);
        kn_tls_ctx_free(s->sockets.ptr[i].tls);
    }
    KN_VEC_DONE(&s->sockets);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s);
}

int kn_http_server_threads(const struct kn_http_server *s)
{
    return s->config.threads;
}

struct kn_loop *kn_http_server_loop(struct kn_http_server *s, int thread)
{
    return s->workers[thread].loop;
}

void kn_http_server_counts(struct kn_http_server *s, struct kn_http_counts *ret)
{
    *ret = (struct kn_http_counts){0};
    for (int i = 0; s->workers && i < s->config.threads; i++) {
        struct kn_http_counts *c = &s->workers[i].counts;
        ret->connections += __atomic_load_n(&c->connections, __ATOMIC_RELAXED);
        ret->accepted += __atomic_load_n(&c->accepted, __ATOMIC_RELAXED);
        ret->refused += __atomic_load_n(&c->refused, __ATOMIC_RELAXED);
        ret->requests += __atomic_load_n(&c->requests, __ATOMIC_RELAXED);
        ret->bytes_in += __atomic_load_n(&c->bytes_in, __ATOMIC_RELAXED);
        ret->bytes_out += __atomic_load_n(&c->bytes_out, __ATOMIC_RELAXED);
    }
}
