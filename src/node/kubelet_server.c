#include "node/kubelet_server.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>

#include "base/num.h"
#include "base/thread.h"
#include "node/kubelet_forward.h"
#include "node/log_reader.h"
#include "node/shim/shim_protocol.h"

#define PENDING_MAX (1u << 20)

struct kn_kubelet_server {
    struct kn_kubelet_config c;
    char client_cn[128];
    struct kn_http_server *http;
    struct kn_kubelet_streams streams;
};

// -- logs: a thread reads, the loop sends ------------------------------------------------------

struct log_job {
    struct kn_kubelet_streams *streams;
    struct kn_http_req *req; // the loop's thread alone
    struct kn_loop *loop;
    struct kn_log_options o;
    char path[PATH_MAX], exit_file[512];
    int wake;
    pthread_mutex_t lock;
    pthread_cond_t drained;
    size_t pending; // bytes posted and not yet sent
    bool gone;
};

struct log_chunk {
    struct kn_task task;
    struct log_job *job;
    char *bytes;
    size_t len;
    bool last;
};

static void job_free(struct log_job *j)
{
    kn_kubelet_stream_closed(j->streams);
    close(j->wake);
    pthread_cond_destroy(&j->drained);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

static void on_drain(struct kn_http_req *r, void *arg)
{
    struct log_job *j = arg;
    KN_LOCKED(&j->lock) {
        j->pending = kn_http_stream_pending(r);
        pthread_cond_signal(&j->drained);
    }
}

static void on_gone(struct kn_http_req *r, void *arg)
{
    struct log_job *j = arg;
    (void)r;
    KN_LOCKED(&j->lock) {
        j->gone = true;
        pthread_cond_signal(&j->drained);
    }
    eventfd_write(j->wake, 1);
}

static void send_chunk(struct kn_task *t)
{
    struct log_chunk *c = KN_CONTAINER_OF(t, struct log_chunk, task);
    struct log_job *j = c->job;
    if (c->len)
        kn_http_stream_copy(j->req, kn_sv(c->bytes, c->len));
    if (c->last) {
        kn_http_on_close(j->req, NULL, NULL);
        kn_http_stream_end(j->req);
        job_free(j);
    } else {
        KN_LOCKED(&j->lock) {
            j->pending = kn_http_stream_pending(j->req);
            pthread_cond_signal(&j->drained);
        }
    }
    free(c->bytes);
    free(c);
}

static void post_chunk(struct log_job *j, struct kn_sv text, bool last)
{
    struct log_chunk *c = KN_NEW(struct log_chunk);
    c->job = j;
    c->bytes = text.len ? kn_sv_dup(text) : NULL;
    c->len = text.len;
    c->last = last;
    c->task.run = send_chunk;
    kn_loop_post(j->loop, &c->task);
}

static bool log_write(void *arg, struct kn_sv text)
{
    struct log_job *j = arg;
    bool gone = false;
    pthread_mutex_lock(&j->lock);
    while (j->pending > PENDING_MAX && !j->gone)
        kn_cond_wait(&j->drained, &j->lock, KN_FOREVER);
    gone = j->gone;
    j->pending += text.len;
    pthread_mutex_unlock(&j->lock);
    if (!gone)
        post_chunk(j, text, false);
    return !gone;
}

static void *log_run(void *arg)
{
    struct log_job *j = arg;
    struct kn_status s = kn_log_read(j->path, &j->o, log_write, j);
    pthread_detach(pthread_self());
    if (!kn_ok(s))
        log_write(j, kn_sv_c(kn_status_text(&s)));
    kn_status_done(&s);
    post_chunk(j, KN_SV_NULL, true); // frees j
    return NULL;
}

static void fail(struct kn_http_req *r, struct kn_status s)
{
    kn_http_respond_text(r, kn_code_http(s.code), "text/plain; charset=utf-8",
                         kn_sv_c(kn_status_text(&s)));
    kn_status_done(&s);
}

static int64_t number(struct kn_http_req *r, const char *name, int64_t otherwise)
{
    struct kn_sv text = kn_query_get(kn_http_arena(r), kn_http_query(r), name);
    int64_t n = otherwise;
    if (text.len)
        KN_IGNORE(kn_num_parse(text, 0, INT64_MAX, &n));
    return n;
}

static bool flag(struct kn_http_req *r, const char *name)
{
    struct kn_sv text = kn_query_get(kn_http_arena(r), kn_http_query(r), name);
    return kn_sv_is(text, "true") || kn_sv_is(text, "1");
}

static void serve_logs(struct kn_kubelet_server *s, struct kn_http_req *r, struct kn_sv pod,
                       const struct kn_pod_container *c)
{
    struct kn_status opened = kn_kubelet_stream_opened(&s->streams);
    if (!kn_ok(opened)) {
        fail(r, opened);
        return;
    }
    struct log_job *j = KN_NEW(struct log_job);
    struct kn_sv since = kn_query_get(kn_http_arena(r), kn_http_query(r), "sinceTime");
    int64_t seconds = number(r, "sinceSeconds", 0);
    bool previous = flag(r, "previous");
    int run = previous ? c->restarts - 1 : c->restarts;
    j->streams = &s->streams;
    j->req = r;
    j->loop = kn_http_loop(r);
    j->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&j->lock, NULL);
    kn_cond_init(&j->drained);
    snprintf(j->path, sizeof j->path, "%s/%d.log", c->log, run);
    snprintf(j->exit_file, sizeof j->exit_file, "%s/" SHIM_EXIT_FILE, c->bundle);
    j->o = (struct kn_log_options){.follow = flag(r, "follow") && !previous,
                                   .timestamps = flag(r, "timestamps"),
                                   .tail = number(r, "tailLines", -1),
                                   .limit_bytes = number(r, "limitBytes", -1),
                                   .exit_file = j->exit_file,
                                   .wake_fd = j->wake};
    if (since.len)
        KN_IGNORE(kn_time_parse(since, &j->o.since));
    else if (seconds > 0)
        j->o.since.ns = kn_later(kn_now().ns, -seconds);
    if (run < 0 || access(j->path, R_OK) < 0) {
        job_free(j);
        fail(r, previous
                    ? kn_error(KN_BAD_REQUEST,
                               "previous terminated container \"%s\" in pod \"%.*s\" not found",
                               c->name, KN_SV_ARG(pod))
                    : kn_error(KN_BAD_REQUEST,
                               "container \"%s\" in pod \"%.*s\" is waiting to start: %s", c->name,
                               KN_SV_ARG(pod), c->reason));
        return;
    }
    static const struct kn_http_header type = {{"Content-Type", 12}, {"text/plain", 10}};
    kn_http_stream_begin(r, 200, &type, 1, on_drain, j);
    kn_http_on_close(r, on_gone, j);
    pthread_t t;
    struct kn_status st = kn_thread_start(&t, "logs", 0, log_run, j);
    if (!kn_ok(st)) {
        kn_status_done(&st);
        kn_http_on_close(r, NULL, NULL);
        kn_http_stream_abort(r);
        job_free(j);
    }
}

// -- routes ----------------------------------------------------------------------------------

static bool is_api_server(const struct kn_kubelet_server *s, const struct kn_http_req *r)
{
    const struct kn_http_peer *p = kn_http_peer(r);
    return p->cert && kn_sv_is(kn_cert_info(p->cert)->cn, s->client_cn);
}

// /VERB/NAMESPACE/POD/CONTAINER, or /VERB/NAMESPACE/POD/UID/CONTAINER
static void serve_container(struct kn_kubelet_server *s, struct kn_http_req *r, struct kn_sv verb,
                            struct kn_sv rest)
{
    struct kn_sv part[4];
    size_t n = 0;
    while (rest.ptr && n < 4) {
        struct kn_sv raw = kn_sv_cut(&rest, '/');
        struct kn_status st = kn_url_decode(kn_http_arena(r), raw, false, &part[n]);
        if (!kn_ok(st)) {
            fail(r, st);
            return;
        }
        n++;
    }
    struct kn_pod_container c;
    if (n < 3) {
        fail(r, kn_error(KN_NOT_FOUND, "404 page not found"));
        return;
    }
    struct kn_status st = kn_agent_container(s->c.agent, part[0], part[1], part[n - 1], &c);
    if (kn_ok(st) && kn_sv_is(verb, "containerLogs")) {
        serve_logs(s, r, part[1], &c);
        return;
    }
    // Whoever attaches to a container that waits for input, and ended a moment ago, has its output
    // replayed: for a command that is over at once, that is what its user came for.
    bool replay = kn_sv_is(verb, "attach") && c.stdin_open;
    if (kn_ok(st) && !c.running && !replay)
        st = kn_error(KN_NOT_FOUND, "container not found (\"%.*s\")", KN_SV_ARG(part[n - 1]));
    if (!kn_ok(st))
        fail(r, st);
    else
        kn_kubelet_stream(r, kn_agent_node(s->c.agent), &c, kn_sv_is(verb, "attach"), &s->streams);
}

// /portForward/NAMESPACE/POD, or /portForward/NAMESPACE/POD/UID
static void serve_forward(struct kn_kubelet_server *s, struct kn_http_req *r, struct kn_sv rest)
{
    struct kn_sv ns, pod;
    struct kn_sandbox sandbox;
    struct kn_status st = kn_url_decode(kn_http_arena(r), kn_sv_cut(&rest, '/'), false, &ns);
    if (kn_ok(st))
        st = kn_url_decode(kn_http_arena(r), kn_sv_cut(&rest, '/'), false, &pod);
    if (kn_ok(st))
        st = kn_agent_sandbox(s->c.agent, ns, pod, &sandbox);
    if (!kn_ok(st))
        fail(r, st);
    else
        kn_kubelet_forward(r, &sandbox, &s->streams);
}

static void handle(struct kn_http_req *r, void *arg)
{
    struct kn_kubelet_server *s = arg;
    struct kn_sv rest = kn_sv_from(kn_http_path(r), 1);
    if (!is_api_server(s, r)) {
        bool known = kn_http_peer(r)->cert != NULL;
        fail(r, known ? kn_error(KN_FORBIDDEN, "Forbidden")
                      : kn_error(KN_UNAUTHORIZED, "Unauthorized"));
        return;
    }
    struct kn_sv verb = kn_sv_cut(&rest, '/');
    if (kn_sv_is(verb, "healthz"))
        kn_http_respond_text(r, 200, "text/plain; charset=utf-8", KN_SV("ok"));
    else if (kn_sv_is(verb, "containerLogs") || kn_sv_is(verb, "exec") || kn_sv_is(verb, "attach"))
        serve_container(s, r, verb, rest);
    else if (kn_sv_is(verb, "portForward"))
        serve_forward(s, r, rest);
    else if (kn_sv_is(verb, "run") || kn_sv_is(verb, "stats") || kn_sv_is(verb, "pods"))
        fail(r, kn_error(KN_NOT_SUPPORTED, "/%.*s is not supported by this node yet",
                         KN_SV_ARG(verb)));
    else
        fail(r, kn_error(KN_NOT_FOUND, "404 page not found"));
}

struct kn_status kn_kubelet_server_start(const struct kn_kubelet_config *config,
                                         struct kn_kubelet_server **ret, uint16_t *ret_port)
{
    struct kn_kubelet_server *s = KN_NEW(struct kn_kubelet_server);
    s->c = *config;
    snprintf(s->client_cn, sizeof s->client_cn, "%s", config->client_cn);
    struct kn_http_config http = {.handle = handle, .arg = s, .name = "kubelet"};
    struct kn_status st = kn_http_server_new(&http, &s->http);
    if (kn_ok(st))
        st = kn_http_listen_tcp(s->http, config->address, config->port, config->tls, ret_port);
    if (kn_ok(st))
        st = kn_http_server_start(s->http);
    if (!kn_ok(st)) {
        kn_kubelet_server_stop(s);
        return kn_wrap(st, "start the node's endpoint");
    }
    *ret = s;
    return st;
}

void kn_kubelet_server_stop(struct kn_kubelet_server *s)
{
    kn_http_server_free(s->http);
    free(s);
}
