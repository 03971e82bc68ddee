#include "node/pod_action.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/num.h"
#include "node/exec_process.h"
#include "node/image_ref.h"
#include "node/pod_worker_impl.h"

enum action_kind { ACTION_COMMAND, ACTION_PAUSE, ACTION_CONNECT, ACTION_HTTP };

struct kn_action {
    enum action_kind kind;
    int64_t deadline, until; // until: of a pause
    // a command
    struct kn_shim *shim; // a connection of its own: closing it ends the command
    const struct kn_runtime_ops *ops;
    char id[40], bundle[256];
    // a connection
    bool connected;
    char where[256]; // for messages
    struct kn_buf out; // what is still to be sent
    // what came: the first of it is kept, and all of it is taken, so that nobody ever waits
    int fd; // -1: it has ended
    char text[1024];
    size_t len;
};

// -- commands --------------------------------------------------------------------------------

static void remove_exec_files(const struct kn_action *a)
{
    static const char *const suffixes[] = {"json", "pid", "log", "tty"};
    char path[PATH_MAX];
    for (size_t i = 0; i < KN_ARRAY_LEN(suffixes); i++) {
        snprintf(path, sizeof path, "%s/%s.%s", a->bundle, a->id, suffixes[i]);
        unlink(path);
    }
}

// A command that writes without end must not keep the pod's loop: so much in a step, the rest in
// the next.
#define STEPS 16

static void drain(struct kn_action *o)
{
    char rest[4096];
    for (int i = 0; o->fd >= 0 && i < STEPS; i++) {
        size_t room = sizeof o->text - 1 - o->len;
        ssize_t n = read(o->fd, room ? o->text + o->len : rest, room ? room : sizeof rest);
        if (n > 0 && room)
            o->len += (size_t)n;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            close(o->fd);
            o->fd = -1;
        }
    }
}

static struct kn_status start_command(struct kn_pod_worker *w, struct slot *s,
                                      const struct kn_json *command, struct kn_action *o)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(8192, 16u << 20);
    KN_CLEANUP(kn_cleanup_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    uint8_t random[8];
    struct kn_runtime_args args;
    int out[2];
    uint32_t tag;
    kn_random(random, sizeof random);
    kn_hex(random, sizeof random, o->id);
    snprintf(o->bundle, sizeof o->bundle, "%s", s->bundle);
    o->ops = w->n->runtime->ops;
    struct kn_json *process;
    KN_TRY(kn_exec_process_read(s->bundle, command, false, a, &process));
    KN_TRY(kn_exec_process_write(s->bundle, o->id, process));
    KN_TRY(kn_shim_connect(w->sandbox.run, &o->shim));
    if (pipe2(out, O_CLOEXEC) < 0)
        return kn_error_errno(errno, "make a pipe");
    struct kn_runtime_exec e = {.id = s->id, .exec_id = o->id, .folder = s->bundle};
    w->n->runtime->ops->exec(w->n->runtime, &e, a, &args);
    struct kn_shim_exec r = {.exec_id = o->id,
                             .folder = s->bundle,
                             .in = null,
                             .out = out[1],
                             .err = out[1],
                             .args = &args};
    struct kn_status st = kn_shim_exec_begin(o->shim, &r, &tag);
    close(out[1]);
    o->fd = out[0];
    fcntl(o->fd, F_SETFL, O_NONBLOCK); // our end alone
    return st;
}

static bool step_command(struct kn_action *o, struct kn_status *ret)
{
    struct kn_shim_news news;
    drain(o);
    for (;;) {
        struct kn_status st = kn_shim_next(o->shim, kn_mono() - 1, &news);
        if (st.code == KN_TIMEOUT) {
            kn_status_done(&st);
            return false;
        }
        if (!kn_ok(st))
            *ret = st;
        else if (news.op == SHIM_STARTED)
            continue;
        else if (news.op == SHIM_FAILED)
            *ret = kn_error(KN_IO, "%.*s", KN_SV_ARG(o->ops->explain(kn_sv_c(news.sentence))));
        else {
            drain(o);
            *ret = news.container.code == 0
                       ? KN_STATUS_OK
                       : kn_error(KN_IO, "%s", o->len ? o->text : "command failed");
        }
        return true;
    }
}

// -- network ---------------------------------------------------------------------------------

static struct kn_status port_of(const struct slot *s, const struct kn_json *port, uint16_t *ret)
{
    const struct kn_json *p;
    struct kn_sv name = kn_json_str(port);
    int64_t n = kn_json_int(port, 0);
    if (name.len) {
        KN_JSON_EACH(p, kn_json_get(s->spec, KN_K_ports))
            if (kn_sv_eq(kn_json_str(kn_json_get(p, KN_K_name)), name))
                n = kn_json_int(kn_json_get(p, KN_K_containerPort), 0);
        if (n == 0)
            KN_TRY(kn_num_parse(name, 1, 65535, &n));
    }
    if (n < 1 || n > 65535)
        return kn_error(KN_INVALID, "invalid port number: %lld", (long long)n);
    *ret = (uint16_t)n;
    return KN_STATUS_OK;
}

static struct kn_status dial_error(const struct kn_action *a, int err)
{
    return kn_error(KN_UNAVAILABLE, "dial tcp %s: %s", a->where,
                    err == ETIMEDOUT      ? "i/o timeout"
                    : err == ECONNREFUSED ? "connect: connection refused"
                                          : strerror(err));
}

static struct kn_status dial(struct kn_action *a, const char *host, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    snprintf(a->where, sizeof a->where, "%s:%u", host, port);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return kn_error(KN_INVALID, "\"%s\" is no IPv4 address", host);
    a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (a->fd < 0)
        return kn_error_errno(errno, "make a socket");
    if (connect(a->fd, (void *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        return dial_error(a, errno);
    return KN_STATUS_OK;
}

static void http_request(struct kn_action *a, const struct kn_json *get)
{
    const struct kn_json *h;
    struct kn_sv path = kn_json_str(kn_json_get(get, KN_K_path));
    bool has_host = false;
    kn_buf_addf(&a->out, "GET %s%.*s HTTP/1.1\r\n", path.len && path.ptr[0] == '/' ? "" : "/",
                KN_SV_ARG(path));
    KN_JSON_EACH(h, kn_json_get(get, KN_K_httpHeaders)) {
        struct kn_sv name = kn_json_str(kn_json_get(h, KN_K_name));
        has_host = has_host || kn_sv_ieq(name, KN_SV("Host"));
        kn_buf_addf(&a->out, "%.*s: %.*s\r\n", KN_SV_ARG(name),
                    KN_SV_ARG(kn_json_str(kn_json_get(h, KN_K_value))));
    }
    if (!has_host)
        kn_buf_addf(&a->out, "Host: %s\r\n", a->where);
    kn_buf_addc(&a->out, "User-Agent: kube-probe/1.37\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    size_t n = strlen(a->where);
    snprintf(a->where + n, sizeof a->where - n, "%s%.*s", path.len && path.ptr[0] == '/' ? "" : "/",
             KN_SV_ARG(path));
}

static struct kn_status http_verdict(const struct kn_action *a)
{
    int64_t code = 0;
    struct kn_sv line = kn_sv(a->text, a->len);
    (void)kn_sv_cut(&line, ' ');
    KN_TRY(kn_wrap(kn_num_parse(kn_sv_first(line, 3), 100, 999, &code), "malformed HTTP response"));
    if (code < 200 || code >= 400)
        return kn_error(KN_IO, "HTTP probe failed with statuscode: %lld", (long long)code);
    return KN_STATUS_OK;
}

static bool is_connected(struct kn_action *a, struct kn_status *ret)
{
    int err = 0;
    socklen_t len = sizeof err;
    struct pollfd p = {a->fd, POLLOUT, 0};
    if (a->connected)
        return true;
    if (poll(&p, 1, 0) <= 0)
        return false;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
        err = errno;
    if (err)
        *ret = dial_error(a, err);
    a->connected = !err;
    return a->connected;
}

static bool step_http(struct kn_action *a, struct kn_status *ret)
{
    while (a->out.len) {
        ssize_t n = send(a->fd, a->out.ptr, a->out.len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n < 0) {
            *ret = kn_error_errno(errno, "Get \"http://%s\"", a->where);
            return true;
        }
        kn_buf_drop(&a->out, (size_t)n);
    }
    while (a->len < sizeof a->text - 1 && !memchr(a->text, '\n', a->len)) {
        ssize_t n = read(a->fd, a->text + a->len, sizeof a->text - 1 - a->len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n <= 0) {
            *ret = kn_error(KN_CLOSED, "Get \"http://%s\": %s", a->where,
                            n < 0 ? strerror(errno) : "EOF");
            return true;
        }
        a->len += (size_t)n;
    }
    *ret = http_verdict(a);
    return true;
}

static struct kn_status start_network(struct kn_pod_worker *w, struct slot *s,
                                      const struct kn_json *get, const struct kn_json *tcp,
                                      struct kn_action *a)
{
    const struct kn_json *v = get ? get : tcp;
    char host[128];
    uint16_t port;
    struct kn_sv given = kn_json_str(kn_json_get(v, KN_K_host));
    a->kind = get ? ACTION_HTTP : ACTION_CONNECT;
    snprintf(host, sizeof host, "%.*s", KN_SV_ARG(given.len ? given : kn_sv_c(w->sandbox.ip)));
    if (get && kn_sv_is(kn_json_str(kn_json_get(get, KN_K_scheme)), "HTTPS"))
        return kn_error(KN_NOT_SUPPORTED, "HTTPS in probes and hooks is not supported yet");
    KN_TRY(port_of(s, kn_json_get(v, KN_K_port), &port));
    KN_TRY(dial(a, host, port));
    if (get)
        http_request(a, get);
    return KN_STATUS_OK;
}

// -- all of them -----------------------------------------------------------------------------

struct kn_status kn_action_start(struct kn_pod_worker *w, struct slot *s,
                                 const struct kn_json *handler, int64_t deadline,
                                 struct kn_action **ret)
{
    const struct kn_json *command = kn_json_get(handler, KN_K_exec),
                         *pause = kn_json_get(handler, KN_K_sleep);
    const struct kn_json *get = kn_json_get(handler, KN_K_httpGet),
                         *tcp = kn_json_get(handler, KN_K_tcpSocket);
    struct kn_action *a = KN_NEW(struct kn_action);
    struct kn_status st = KN_STATUS_OK;
    a->fd = -1;
    a->deadline = deadline;
    kn_buf_init(&a->out, 65536);
    if (command) {
        a->kind = ACTION_COMMAND;
        st = start_command(w, s, kn_json_get(command, KN_K_command), a);
    } else if (pause) {
        a->kind = ACTION_PAUSE;
        a->until = kn_later(kn_mono(), kn_json_int(kn_json_get(pause, KN_K_seconds), 0));
    } else if (get || tcp) {
        st = start_network(w, s, get, tcp, a);
    } else {
        st = kn_error(KN_NOT_SUPPORTED, "this kind of handler (grpc) is not supported yet");
    }
    if (!kn_ok(st)) {
        kn_action_free(a);
        return st;
    }
    *ret = a;
    return st;
}

static struct kn_status too_late(const struct kn_action *a)
{
    if (a->kind == ACTION_COMMAND)
        return kn_error(KN_TIMEOUT, "command timed out");
    if (a->kind == ACTION_PAUSE)
        return kn_error(KN_TIMEOUT, "the pause was cut short");
    if (!a->connected)
        return kn_error(KN_TIMEOUT, "dial tcp %s: i/o timeout", a->where);
    return kn_error(KN_TIMEOUT, "Get \"http://%s\": context deadline exceeded", a->where);
}

bool kn_action_step(struct kn_action *a, struct kn_status *ret)
{
    bool over = false;
    *ret = KN_STATUS_OK;
    if (a->kind == ACTION_COMMAND)
        over = step_command(a, ret);
    else if (a->kind == ACTION_PAUSE)
        over = a->until <= kn_mono();
    else if (!is_connected(a, ret))
        over = !kn_ok(*ret);
    else
        over = a->kind == ACTION_CONNECT || step_http(a, ret);
    if (over || a->deadline > kn_mono())
        return over;
    *ret = too_late(a);
    return true;
}

int64_t kn_action_next(const struct kn_action *a)
{
    return a->kind == ACTION_PAUSE && a->until < a->deadline ? a->until : a->deadline;
}

void kn_action_poll(const struct kn_action *a, struct pollfd fds[KN_ACTION_FDS])
{
    bool sends =
        (a->kind == ACTION_HTTP || a->kind == ACTION_CONNECT) && (!a->connected || a->out.len);
    fds[0] = (struct pollfd){a->fd, sends ? POLLOUT : POLLIN, 0};
    fds[1] = (struct pollfd){a->shim ? kn_shim_fd(a->shim) : -1, POLLIN, 0};
}

void kn_action_free(struct kn_action *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    kn_shim_free(a->shim);
    if (a->id[0])
        remove_exec_files(a);
    kn_buf_done(&a->out);
    free(a);
}
