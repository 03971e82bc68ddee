// Probes and lifecycle handlers: a command in the container, an HTTP request, a TCP connection, or
// a pause. They run in the pod's own thread, each under its deadline.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/num.h"
#include "node/container_env.h"
#include "node/image_ref.h"
#include "node/pod_worker_impl.h"

enum { STARTUP, LIVENESS, READINESS };

static const enum kn_atom probe_keys[] = {KN_K_startupProbe, KN_K_livenessProbe, KN_K_readinessProbe};
static const char *const probe_names[] = {"Startup", "Liveness", "Readiness"};

// -- commands --------------------------------------------------------------------------------

static struct kn_status write_process(struct kn_pod_worker *w, struct slot *s, const struct kn_json *command,
                                      const char *exec_id, struct kn_arena *a)
{
    char path[PATH_MAX];
    struct kn_image image;
    struct kn_oci oci;
    const struct kn_json *v;
    KN_TRY(kn_images_get(w->n->images, kn_json_str(kn_json_get(s->spec, KN_K_image)), a, &image));
    snprintf(path, sizeof path, "%s/rootfs", s->bundle);
    struct kn_container_spec c = {.node = w->n, .sandbox = &w->sandbox, .pod = w->pod, .container = s->spec,
                                  .image = &image, .rootfs = path, .cgroup = w->sandbox.cgroup,
                                  .termination_log = ""};
    KN_TRY(kn_container_spec(&c, a, &oci));
    struct kn_sv *args = kn_arena_calloc(a, kn_json_len(command) + 1, sizeof *args);
    size_t n = 0;
    KN_JSON_EACH(v, args ? command : NULL)
        args[n++] = kn_json_str(v);
    oci.args = args;
    oci.args_len = n;
    oci.terminal = false;
    struct kn_buf out = KN_BUF(1u << 20);
    kn_oci_write_process(&oci, &out);
    snprintf(path, sizeof path, "%s/%s.json", s->bundle, exec_id);
    struct kn_status st = kn_file_write(path, kn_buf_sv(&out), 0600, false);
    kn_buf_done(&out);
    return st;
}

static void remove_exec_files(const struct slot *s, const char *exec_id)
{
    static const char *const suffixes[] = {"json", "pid", "log", "tty"};
    char path[PATH_MAX];
    for (size_t i = 0; i < KN_ARRAY_LEN(suffixes); i++) {
        snprintf(path, sizeof path, "%s/%s.%s", s->bundle, exec_id, suffixes[i]);
        unlink(path);
    }
}

// What a command writes: the first of it is kept, and all of it is taken, so that it never waits.
struct output {
    int fd; // -1: it has ended
    char text[1024];
    size_t len;
};

static void drain(struct output *o)
{
    char rest[4096];
    while (o->fd >= 0) {
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

static struct kn_status wait_command(struct kn_shim *shim, struct output *o, int64_t deadline,
                                     struct kn_shim_news *news)
{
    for (;;) {
        drain(o);
        struct kn_status st = kn_shim_next(shim, kn_mono() - 1, news);
        int64_t left = deadline - kn_mono();
        if (st.code != KN_TIMEOUT || left <= 0) {
            drain(o);
            return st;
        }
        kn_status_done(&st);
        struct pollfd p[2] = {{kn_shim_fd(shim), POLLIN, 0}, {o->fd, POLLIN, 0}};
        struct timespec t = {left / KN_SECOND, left % KN_SECOND};
        ppoll(p, 2, &t, NULL);
    }
}

static struct kn_status run_command(struct kn_pod_worker *w, struct slot *s, const struct kn_json *command,
                                    int64_t deadline)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(8192, 16u << 20);
    KN_CLEANUP(kn_shim_cleanup) struct kn_shim *shim = NULL;
    KN_CLEANUP(kn_cleanup_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    char id[40];
    uint8_t random[8];
    struct kn_runtime_args args;
    struct kn_shim_news news;
    int out[2];
    uint32_t tag;
    kn_random(random, sizeof random);
    kn_hex(random, sizeof random, id);
    KN_TRY(write_process(w, s, command, id, a));
    // A connection of its own: closing it ends a command that takes too long.
    struct kn_status st = kn_shim_connect(w->sandbox.run, &shim);
    if (kn_ok(st) && pipe2(out, O_CLOEXEC) < 0)
        st = kn_error_errno(errno, "make a pipe");
    if (!kn_ok(st)) {
        remove_exec_files(s, id);
        return st;
    }
    struct kn_runtime_exec e = {.id = s->id, .exec_id = id, .folder = s->bundle};
    w->n->runtime->ops->exec(w->n->runtime, &e, a, &args);
    struct kn_shim_exec r = {.exec_id = id, .folder = s->bundle, .in = null, .out = out[1], .err = out[1], .args = &args};
    st = kn_shim_exec(shim, &r, deadline, NULL, &tag);
    close(out[1]);
    struct output o = {.fd = out[0]};
    fcntl(o.fd, F_SETFL, O_NONBLOCK); // our end alone
    if (kn_ok(st))
        st = wait_command(shim, &o, deadline, &news);
    if (o.fd >= 0)
        close(o.fd);
    remove_exec_files(s, id);
    if (st.code == KN_TIMEOUT) {
        kn_status_done(&st);
        return kn_error(KN_TIMEOUT, "command timed out");
    }
    if (kn_ok(st) && news.container.code != 0)
        st = kn_error(KN_IO, "%s", o.len ? o.text : "command failed");
    return st;
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

static bool wait_fd(int fd, short events, int64_t deadline)
{
    int64_t left = (deadline - kn_mono()) / KN_MILLI;
    struct pollfd p = {fd, events, 0};
    return left > 0 && poll(&p, 1, (int)left + 1) > 0;
}

static struct kn_status dial(const char *host, uint16_t port, int64_t deadline, int *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int err = 0;
    socklen_t len = sizeof err;
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return kn_error(KN_INVALID, "\"%s\" is no IPv4 address", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return kn_error_errno(errno, "make a socket");
    if (connect(fd, (void *)&a, sizeof a) < 0)
        err = errno;
    if (err == EINPROGRESS)
        err = !wait_fd(fd, POLLOUT, deadline)                           ? ETIMEDOUT
              : getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno
                                                                     : err;
    if (err) {
        close(fd);
        return kn_error(KN_UNAVAILABLE, "dial tcp %s:%u: %s", host, port,
                        err == ETIMEDOUT ? "i/o timeout" : err == ECONNREFUSED ? "connect: connection refused" : strerror(err));
    }
    *ret = fd;
    return KN_STATUS_OK;
}

static struct kn_status http_get(const char *host, uint16_t port, const struct kn_json *get, int64_t deadline)
{
    char answer[1024];
    size_t len = 0;
    int64_t code = 0;
    const struct kn_json *h;
    struct kn_buf out = KN_BUF(65536);
    struct kn_sv path = kn_json_str(kn_json_get(get, KN_K_path));
    bool has_host = false;
    if (kn_sv_is(kn_json_str(kn_json_get(get, KN_K_scheme)), "HTTPS"))
        return kn_error(KN_NOT_SUPPORTED, "HTTPS in probes and hooks is not supported yet");
    KN_CLEANUP(kn_cleanup_fd) int fd = -1;
    KN_TRY(dial(host, port, deadline, &fd));
    kn_buf_addf(&out, "GET %s%.*s HTTP/1.1\r\n", path.len && path.ptr[0] == '/' ? "" : "/", KN_SV_ARG(path));
    KN_JSON_EACH(h, kn_json_get(get, KN_K_httpHeaders)) {
        struct kn_sv name = kn_json_str(kn_json_get(h, KN_K_name));
        has_host = has_host || kn_sv_ieq(name, KN_SV("Host"));
        kn_buf_addf(&out, "%.*s: %.*s\r\n", KN_SV_ARG(name), KN_SV_ARG(kn_json_str(kn_json_get(h, KN_K_value))));
    }
    if (!has_host)
        kn_buf_addf(&out, "Host: %s:%u\r\n", host, port);
    kn_buf_addc(&out, "User-Agent: kube-probe/1.37\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    ssize_t sent = send(fd, out.ptr, out.len, MSG_NOSIGNAL);
    kn_buf_done(&out);
    while (sent > 0 && len < sizeof answer - 1 && !memchr(answer, '\n', len)) {
        ssize_t n = wait_fd(fd, POLLIN, deadline) ? read(fd, answer + len, sizeof answer - 1 - len) : 0;
        if (n <= 0)
            return kn_error(KN_TIMEOUT, "Get \"http://%s:%u%.*s\": context deadline exceeded", host, port, KN_SV_ARG(path));
        len += (size_t)n;
    }
    struct kn_sv line = kn_sv(answer, len);
    (void)kn_sv_cut(&line, ' ');
    KN_TRY(kn_wrap(kn_num_parse(kn_sv_first(line, 3), 100, 999, &code), "malformed HTTP response"));
    if (code < 200 || code >= 400)
        return kn_error(KN_IO, "HTTP probe failed with statuscode: %lld", (long long)code);
    return KN_STATUS_OK;
}

struct kn_status kn_slot_action(struct kn_pod_worker *w, struct slot *s, const struct kn_json *action,
                                int64_t deadline)
{
    const struct kn_json *v;
    char host[128];
    uint16_t port;
    if ((v = kn_json_get(action, KN_K_exec)))
        return run_command(w, s, kn_json_get(v, KN_K_command), deadline);
    if ((v = kn_json_get(action, KN_K_sleep))) {
        int64_t until = kn_later(kn_mono(), kn_json_int(kn_json_get(v, KN_K_seconds), 0));
        wait_fd(-1, 0, until < deadline ? until : deadline);
        return KN_STATUS_OK;
    }
    bool http = (v = kn_json_get(action, KN_K_httpGet)) != NULL;
    if (!http && !(v = kn_json_get(action, KN_K_tcpSocket)))
        return kn_error(KN_NOT_SUPPORTED, "this kind of handler (grpc) is not supported yet");
    struct kn_sv given = kn_json_str(kn_json_get(v, KN_K_host));
    snprintf(host, sizeof host, "%.*s", KN_SV_ARG(given.len ? given : kn_sv_c(w->sandbox.ip)));
    KN_TRY(port_of(s, kn_json_get(v, KN_K_port), &port));
    if (http)
        return http_get(host, port, v, deadline);
    KN_CLEANUP(kn_cleanup_fd) int fd = -1;
    return dial(host, port, deadline, &fd);
}

// -- probes ----------------------------------------------------------------------------------

void kn_slot_probes_begin(struct slot *s)
{
    for (int i = 0; i < 3; i++) {
        const struct kn_json *p = kn_json_get(s->spec, probe_keys[i]);
        int64_t delay = kn_json_int(kn_json_get(p, KN_K_initialDelaySeconds), 0);
        s->probes[i].at = p ? kn_later(kn_mono(), delay) : 0;
        s->probes[i].good = s->probes[i].bad = 0;
    }
    s->started = s->probes[STARTUP].at == 0;
    s->ready = s->started && s->probes[READINESS].at == 0;
}

static void verdict(struct kn_pod_worker *w, struct slot *s, int i, const struct kn_json *p, bool good)
{
    int need_bad = (int)kn_json_int(kn_json_get(p, KN_K_failureThreshold), 3);
    int need_good = (int)kn_json_int(kn_json_get(p, KN_K_successThreshold), 1);
    s->probes[i].good = good ? s->probes[i].good + 1 : 0;
    s->probes[i].bad = good ? 0 : s->probes[i].bad + 1;
    if (i == READINESS) {
        if (s->probes[i].good >= need_good)
            s->ready = true;
        else if (s->probes[i].bad >= need_bad)
            s->ready = false;
        return;
    }
    if (i == STARTUP && s->probes[i].good >= need_good) {
        s->started = true;
        s->probes[i].at = 0;
        s->ready = s->probes[READINESS].at == 0;
    }
    if (s->probes[i].bad == need_bad) {
        kn_worker_event(w, s, "Normal", "Killing", "Container %s failed %s probe, will be restarted", s->name,
                        i == STARTUP ? "startup" : "liveness");
        KN_IGNORE(kn_shim_signal(w->sandbox.shim, s->id, SIGTERM));
        // The rest of the grace period is kept by whoever waits for the end.
        s->probes[i].at = 0;
        s->ready = false;
        int64_t grace = kn_json_int(KN_JSON_AT(w->pod->root, KN_K_spec, KN_K_terminationGracePeriodSeconds), 30);
        s->next_start = kn_later(kn_mono(), kn_json_int(kn_json_get(p, KN_K_terminationGracePeriodSeconds), grace));
    }
}

int64_t kn_slot_probe(struct kn_pod_worker *w, struct slot *s)
{
    int64_t next = KN_FOREVER;
    for (int i = 0; i < 3 && s->state == SLOT_RUNNING; i++) {
        const struct kn_json *p = kn_json_get(s->spec, probe_keys[i]);
        if (!p || s->probes[i].at == 0 || (i != STARTUP && !s->started))
            continue;
        if (s->probes[i].at <= kn_mono()) {
            int64_t timeout = kn_json_int(kn_json_get(p, KN_K_timeoutSeconds), 1);
            struct kn_status st = kn_slot_action(w, s, p, kn_later(kn_mono(), timeout));
            s->probes[i].at = kn_later(kn_mono(), kn_json_int(kn_json_get(p, KN_K_periodSeconds), 10));
            if (!kn_ok(st))
                kn_worker_event(w, s, "Warning", "Unhealthy", "%s probe failed: %s", probe_names[i], kn_status_text(&st));
            verdict(w, s, i, p, kn_ok(st));
            kn_status_done(&st);
        }
        if (s->probes[i].at && s->probes[i].at < next)
            next = s->probes[i].at;
    }
    return next;
}
