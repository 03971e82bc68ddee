#include "node/kubelet_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/thread.h"
#include "node/exec_process.h"
#include "node/log_reader.h"
#include "node/shim_client.h"

#define STDIN_MAX (256u << 10)
#define PENDING_MAX (1u << 20)
#define START_DEADLINE (30 * KN_SECOND)
// How long a terminal's first size is waited for: clients that know it send it at once.
#define SIZE_DEADLINE (300 * KN_MILLI)
// kubectl attach sends two, to have the screen drawn anew.
#define SIZES_OF_ATTACH 2

// The loop's thread and the process's share it under the lock; the thread frees it in the loop.
struct session {
    const struct kn_node *n;
    struct kn_pod_container c;
    struct kn_remote_want want;
    bool attach;
    struct kn_kubelet_streams *streams; // it is counted there
    struct kn_remote *remote; // the loop's alone; NULL once the client is gone
    struct kn_loop *loop;
    char **argv;
    int wake;
    pthread_mutex_t lock;
    pthread_cond_t drained; // and a size, or the client's going
    // under the lock
    struct kn_buf in;
    bool in_ended, gone, resized;
    unsigned width, height, sizes; // sizes: how many have come
    size_t pending;
    // the thread's own
    int to_in, from[2], tty;
};

struct chunk {
    struct kn_task task;
    struct session *s;
    enum kn_channel channel;
    char *bytes;
    size_t len;
    bool last;
    int code;
    char *message;
};

struct kn_status kn_kubelet_stream_opened(struct kn_kubelet_streams *s)
{
    if (__atomic_add_fetch(&s->open, 1, __ATOMIC_RELAXED) <= KN_KUBELET_STREAMS)
        return KN_STATUS_OK;
    kn_kubelet_stream_closed(s);
    return kn_error(
        KN_TOO_MANY,
        "this node has %d streams of logs, exec, attach and port-forward open, and takes no more: "
        "close some, or "
        "try again later",
        KN_KUBELET_STREAMS);
}

void kn_kubelet_stream_closed(struct kn_kubelet_streams *s)
{
    __atomic_sub_fetch(&s->open, 1, __ATOMIC_RELAXED);
}

static void session_free(struct session *s)
{
    if (s->streams)
        kn_kubelet_stream_closed(s->streams);
    int fds[] = {s->wake, s->to_in, s->from[0], s->from[1], s->tty};
    for (size_t i = 0; i < KN_ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (size_t i = 0; s->argv && s->argv[i]; i++)
        free(s->argv[i]);
    free(s->argv);
    kn_buf_done(&s->in);
    pthread_cond_destroy(&s->drained);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void run_chunk(struct kn_task *t)
{
    struct chunk *c = KN_CONTAINER_OF(t, struct chunk, task);
    struct session *s = c->s;
    if (s->remote && c->len)
        kn_remote_write(s->remote, c->channel, kn_sv(c->bytes, c->len));
    if (c->last) {
        if (s->remote)
            kn_remote_finish(s->remote, &(struct kn_remote_exit){c->code, kn_sv_c(c->message)});
        session_free(s);
    } else {
        KN_LOCKED(&s->lock) {
            s->pending = s->remote ? kn_remote_pending(s->remote) : 0;
            pthread_cond_signal(&s->drained);
            if (s->remote)
                kn_remote_pause_stdin(s->remote, s->in.len > STDIN_MAX / 2);
        }
    }
    free(c->bytes);
    free(c->message);
    free(c);
}

static void post(struct session *s, struct chunk c)
{
    struct chunk *copy = KN_NEW(struct chunk);
    *copy = c;
    copy->s = s;
    copy->task.run = run_chunk;
    kn_loop_post(s->loop, &copy->task);
}

static bool forward(struct session *s, enum kn_channel channel, int fd)
{
    char bytes[16384];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    pthread_mutex_lock(&s->lock);
    while (s->pending > PENDING_MAX && !s->gone)
        kn_cond_wait(&s->drained, &s->lock, KN_FOREVER);
    s->pending += (size_t)n;
    pthread_mutex_unlock(&s->lock);
    post(s, (struct chunk){
                .channel = channel, .bytes = kn_sv_dup(kn_sv(bytes, (size_t)n)), .len = (size_t)n});
    return true;
}

// Of a terminal: waits for as many sizes as its client sends at first.
static void wait_sizes(struct session *s, unsigned sizes, int64_t deadline)
{
    pthread_mutex_lock(&s->lock);
    bool in_time = s->want.tty;
    while (in_time && s->sizes < sizes && !s->gone)
        in_time = kn_cond_wait(&s->drained, &s->lock, deadline);
    pthread_mutex_unlock(&s->lock);
}

// -- the process -----------------------------------------------------------------------------

static void put_size(struct session *s, struct kn_arena *a, struct kn_json *process)
{
    struct kn_json *size = kn_json_new_object(a);
    unsigned width = 0, height = 0;
    KN_LOCKED(&s->lock) {
        width = s->width;
        height = s->height;
    }
    if (!width && !height)
        return;
    kn_json_set_sv(a, size, KN_SV("width"), kn_json_new_int(a, width));
    kn_json_set_sv(a, size, KN_SV("height"), kn_json_new_int(a, height));
    kn_json_set_sv(a, process, KN_SV("consoleSize"), size);
}

static struct kn_status process_file(struct session *s, const char *exec_id, struct kn_arena *a)
{
    struct kn_json *process, *args = kn_json_new_array(a);
    for (size_t i = 0; s->argv[i]; i++)
        kn_json_append(args, kn_json_new_str(a, kn_sv_c(s->argv[i])));
    KN_TRY(kn_exec_process_read(s->c.bundle, args, s->want.tty, a, &process));
    if (s->want.tty)
        put_size(s, a, process);
    return kn_exec_process_write(s->c.bundle, exec_id, process);
}

static void both_ends(int fds[2], int *ours, int *theirs, bool we_write)
{
    *ours = fds[we_write ? 1 : 0];
    *theirs = fds[we_write ? 0 : 1];
    fcntl(*ours, F_SETFL, O_NONBLOCK);
}

static struct kn_status make_pipes(struct session *s, int theirs[3])
{
    int p[2];
    const bool wanted[3] = {s->want.in, s->want.out, s->want.err && !s->want.tty};
    int *ours[3] = {&s->to_in, &s->from[0], &s->from[1]};
    for (int i = 0; i < 3; i++) {
        if (!wanted[i])
            continue;
        if (pipe2(p, O_CLOEXEC) < 0)
            return kn_error_errno(errno, "make a pipe");
        both_ends(p, ours[i], &theirs[i], i == 0);
    }
    return KN_STATUS_OK;
}

static struct kn_status start_exec(struct session *s, struct kn_shim *shim, const char *id,
                                   int theirs[3], struct kn_arena *a)
{
    uint32_t tag;
    struct kn_runtime_args args;
    struct kn_runtime_exec e = {
        .id = s->c.id, .exec_id = id, .folder = s->c.bundle, .tty = s->want.tty};
    KN_CLEANUP(kn_cleanup_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    KN_TRY(process_file(s, id, a));
    if (!s->want.tty)
        KN_TRY(make_pipes(s, theirs));
    s->n->runtime->ops->exec(s->n->runtime, &e, a, &args);
    struct kn_shim_exec r = {.exec_id = id,
                             .folder = s->c.bundle,
                             .flags = s->want.tty ? SHIM_TTY : 0,
                             .in = theirs[0] < 0 ? null : theirs[0],
                             .out = theirs[1] < 0 ? null : theirs[1],
                             .err = theirs[2] < 0 ? null : theirs[2],
                             .args = &args};
    struct kn_status st = kn_shim_exec(shim, &r, kn_mono() + START_DEADLINE, &s->tty, &tag);
    if (st.code == KN_IO) {
        struct kn_sv words = s->n->runtime->ops->explain(kn_sv_c(kn_status_text(&st)));
        struct kn_status told = kn_error(KN_IO, "%.*s", KN_SV_ARG(words));
        kn_status_done(&st);
        return told;
    }
    if (kn_ok(st) && s->tty >= 0)
        fcntl(s->tty, F_SETFL, O_RDWR | O_NONBLOCK);
    return st;
}

static struct kn_status start_attach(struct session *s, struct kn_shim *shim, int theirs[3])
{
    KN_TRY(make_pipes(s, theirs));
    int in = theirs[0], out = theirs[1], err = theirs[2];
    theirs[0] = theirs[1] = theirs[2] = -1; // taken
    return kn_shim_attach(shim, s->c.id, in, out, err);
}

// Bytes and sizes that came from the client. False when its input has ended and was passed on.
static void take_input(struct session *s, struct kn_shim *shim)
{
    int *to = s->tty >= 0 ? &s->tty : &s->to_in;
    KN_LOCKED(&s->lock) {
        while (*to >= 0 && s->in.len) {
            ssize_t n = write(*to, s->in.ptr, s->in.len);
            if (n < 0 && errno != EINTR && errno != EAGAIN)
                kn_buf_clear(&s->in); // nobody reads any more
            if (n <= 0)
                break;
            kn_buf_drop(&s->in, (size_t)n);
        }
        if (s->in_ended && !s->in.len && s->to_in >= 0) {
            close(s->to_in);
            s->to_in = -1;
        }
        if (s->resized && s->tty >= 0) {
            struct winsize w = {.ws_col = (unsigned short)s->width,
                                .ws_row = (unsigned short)s->height};
            ioctl(s->tty, TIOCSWINSZ, &w);
        } else if (s->resized && s->attach) {
            KN_IGNORE(kn_shim_resize(shim, s->c.id, s->width, s->height));
        }
        s->resized = false;
    }
}

static int pump(struct session *s, struct kn_shim *shim)
{
    int code = 0;
    bool ended = s->attach, gone = false;
    if (s->tty >= 0)
        s->from[0] = dup(s->tty);
    while (!gone && (!ended || s->from[0] >= 0 || s->from[1] >= 0)) {
        take_input(s, shim);
        bool waits = false;
        KN_LOCKED(&s->lock) {
            gone = s->gone;
            waits = s->in.len > 0;
        }
        struct pollfd p[5] = {{s->wake, POLLIN, 0},
                              {s->from[0], POLLIN, 0},
                              {s->from[1], POLLIN, 0},
                              {ended ? -1 : kn_shim_fd(shim), POLLIN, 0},
                              {waits ? (s->tty >= 0 ? s->tty : s->to_in) : -1, POLLOUT, 0}};
        // After the end only what is in the pipes is of interest: a child may hold them open.
        int n = gone ? 0 : poll(p, 5, ended && !s->attach ? 100 : -1);
        if (n == 0 && ended && !s->attach)
            break;
        if (p[0].revents) {
            eventfd_t count;
            eventfd_read(s->wake, &count);
        }
        for (int i = 0; i < 2; i++)
            if (p[1 + i].revents && !forward(s, i ? KN_STDERR : KN_STDOUT, s->from[i])) {
                close(s->from[i]);
                s->from[i] = -1;
            }
        if (p[3].revents) {
            struct kn_shim_news news = {0};
            struct kn_status st = kn_shim_next(shim, kn_mono(), &news);
            ended = st.code != KN_TIMEOUT;
            code = kn_ok(st) ? news.container.code : 137;
            kn_status_done(&st);
        }
    }
    return code;
}

// -- a container that has ended --------------------------------------------------------------

struct replay {
    struct session *s;
    enum kn_channel channel;
};

static bool replay_text(void *arg, struct kn_sv text)
{
    struct replay *r = arg;
    post(r->s, (struct chunk){.channel = r->channel, .bytes = kn_sv_dup(text), .len = text.len});
    return true;
}

static struct kn_status replay_log(struct session *s)
{
    struct kn_log_options o = {
        .tail = -1, .limit_bytes = PENDING_MAX, .wake_fd = -1, .skip_err = true};
    struct replay out = {s, KN_STDOUT}, err = {s, KN_STDERR};
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d.log", s->c.log, s->c.restarts);
    KN_TRY(kn_log_read(path, &o, replay_text, &out));
    o.skip_err = false;
    o.skip_out = true;
    return kn_log_read(path, &o, replay_text, &err);
}

static void *session_run(void *arg)
{
    struct session *s = arg;
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 16u << 20);
    static const char *const suffixes[] = {"json", "pid", "log", "tty"};
    int theirs[3] = {-1, -1, -1}, code = 0;
    uint8_t random[8];
    char id[20], path[PATH_MAX];
    struct kn_shim *shim = NULL;
    pthread_detach(pthread_self());
    kn_random(random, sizeof random);
    kn_hex(random, sizeof random, id);
    int64_t sizes_until = kn_mono() + SIZE_DEADLINE;
    bool over = s->attach && !s->c.running;
    struct kn_status st = over ? KN_STATUS_OK : kn_shim_connect(s->c.run, &shim);
    if (!s->attach)
        wait_sizes(s, 1, sizes_until);
    if (kn_ok(st) && !over)
        st = s->attach ? start_attach(s, shim, theirs) : start_exec(s, shim, id, theirs, a);
    if (s->attach && s->c.stdin_open && (st.code == KN_NOT_FOUND || st.code == KN_IO)) {
        kn_status_done(&st); // it has ended since the request was read
        st = KN_STATUS_OK;
        over = true;
    }
    if (over)
        st = replay_log(s);
    for (int i = 0; i < 3; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (kn_ok(st) && !over)
        code = pump(s, shim);
    for (size_t i = 0; i < KN_ARRAY_LEN(suffixes); i++) {
        snprintf(path, sizeof path, "%s/%s.%s", s->c.bundle, id, suffixes[i]);
        unlink(path);
    }
    kn_shim_free(shim); // ends a process whose client has gone
    if (s->attach) // what a client has yet to say should find somebody who listens
        wait_sizes(s, SIZES_OF_ATTACH, sizes_until);
    post(s, (struct chunk){.last = true, .code = code, .message = strdup(kn_status_text(&st))});
    kn_status_done(&st);
    return NULL;
}

// -- the client ------------------------------------------------------------------------------

static void on_ready(void *arg)
{
    struct session *s = arg;
    pthread_t t;
    struct kn_status st = kn_thread_start(&t, "stream", 0, session_run, s);
    if (!kn_ok(st))
        post(s, (struct chunk){.last = true, .code = 1, .message = strdup(kn_status_text(&st))});
    kn_status_done(&st);
}

static void on_stdin(void *arg, struct kn_sv bytes)
{
    struct session *s = arg;
    KN_LOCKED(&s->lock) {
        kn_buf_add(&s->in, bytes);
        if (s->in.len > STDIN_MAX / 2)
            kn_remote_pause_stdin(s->remote, true);
    }
    eventfd_write(s->wake, 1);
}

static void on_stdin_end(void *arg)
{
    struct session *s = arg;
    KN_LOCKED(&s->lock)
        s->in_ended = true;
    eventfd_write(s->wake, 1);
}

static void on_resize(void *arg, unsigned width, unsigned height)
{
    struct session *s = arg;
    KN_LOCKED(&s->lock) {
        s->resized = true;
        s->width = width;
        s->height = height;
        s->sizes++;
        pthread_cond_signal(&s->drained);
    }
    eventfd_write(s->wake, 1);
}

static void on_drain(void *arg)
{
    struct session *s = arg;
    KN_LOCKED(&s->lock) {
        s->pending = 0;
        pthread_cond_signal(&s->drained);
    }
}

static void on_close(void *arg)
{
    struct session *s = arg;
    s->remote = NULL;
    KN_LOCKED(&s->lock) {
        s->gone = true;
        pthread_cond_signal(&s->drained);
    }
    eventfd_write(s->wake, 1);
}

static const struct kn_remote_events events = {on_ready,  on_stdin, on_stdin_end,
                                               on_resize, on_drain, on_close};

static bool flag(struct kn_http_req *r, const char *name, const char *other)
{
    struct kn_sv v = kn_query_get(kn_http_arena(r), kn_http_query(r), name);
    if (!v.len)
        v = kn_query_get(kn_http_arena(r), kn_http_query(r), other);
    return kn_sv_is(v, "true") || kn_sv_is(v, "1");
}

static void take_command(struct kn_http_req *r, struct session *s)
{
    struct kn_sv rest = kn_http_query(r), name, value, plain;
    size_t n = 0;
    s->argv = kn_calloc(kn_http_query(r).len + 2, sizeof *s->argv);
    while (kn_query_next(&rest, &name, &value)) {
        struct kn_status st = kn_sv_is(name, "command")
                                  ? kn_url_decode(kn_http_arena(r), value, true, &plain)
                                  : kn_error(KN_NOT_FOUND, "another parameter");
        if (kn_ok(st))
            s->argv[n++] = kn_sv_dup(plain);
        kn_status_done(&st);
    }
}

void kn_kubelet_stream(struct kn_http_req *r, const struct kn_node *n,
                       const struct kn_pod_container *c, bool attach,
                       struct kn_kubelet_streams *streams)
{
    struct session *s = KN_NEW(struct session);
    s->n = n;
    s->c = *c;
    s->attach = attach;
    s->loop = kn_http_loop(r);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->to_in = s->from[0] = s->from[1] = s->tty = -1;
    kn_buf_init(&s->in, 16u << 20);
    pthread_mutex_init(&s->lock, NULL);
    kn_cond_init(&s->drained);
    s->want = (struct kn_remote_want){.in = flag(r, "input", "stdin"),
                                      .out = flag(r, "output", "stdout"),
                                      .err = flag(r, "error", "stderr"),
                                      .tty = flag(r, "tty", "tty")};
    take_command(r, s);
    struct kn_status st =
        !attach && !s->argv[0] ? kn_error(KN_BAD_REQUEST, "you must specify at least 1 command")
        : kn_remote_wanted(r)  ? kn_kubelet_stream_opened(streams)
                               : kn_error(KN_BAD_REQUEST, "Upgrade request required");
    if (kn_ok(st)) {
        s->streams = streams;
        st = kn_remote_accept(r, &s->want, &events, s, &s->remote);
    }
    if (kn_ok(st))
        return;
    session_free(s);
    kn_http_respond_text(r, kn_code_http(st.code), "text/plain; charset=utf-8",
                         kn_sv_c(kn_status_text(&st)));
    kn_status_done(&st);
}
