#include "node/shim_client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/num.h"
#include "base/process.h"
#include "node/shim_blob.h"

#define ANSWER_DEADLINE (10 * KN_SECOND)

struct news {
    struct kn_list link;
    struct kn_shim_news news;
};

struct kn_shim {
    int fd;
    uint32_t last_tag;
    struct kn_list waiting; // struct news
    char packet[SHIM_PACKET_MAX];
};

struct answer {
    struct shim_head head;
    size_t len; // of the body, at packet + sizeof head
    int fd;     // that came with it; -1
};

// -- finding and starting --------------------------------------------------------------------

struct kn_status kn_shim_install(const char *folder, char *ret_path, size_t size)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < kn_shim_blob_len; i++)
        hash = (hash ^ kn_shim_blob[i]) * 1099511628211u;
    if ((size_t)snprintf(ret_path, size, "%s/knarr-shim-%016llx", folder,
                         (unsigned long long)hash) >= size)
        return kn_error(KN_INVALID, "the folder %s has a name that is too long", folder);
    struct stat st;
    if (stat(ret_path, &st) == 0 && (size_t)st.st_size == kn_shim_blob_len)
        return KN_STATUS_OK;
    KN_TRY(kn_dir_make(folder, 0711));
    return kn_file_write(ret_path, kn_sv((const char *)kn_shim_blob, kn_shim_blob_len), 0755,
                         false);
}

struct kn_status kn_shim_spawn(const char *program, const char *folder)
{
    const char *const argv[] = {program, folder, NULL};
    struct kn_spawn spawn = {.argv = argv, .in = -1, .out = -1, .err = -1};
    pid_t pid;
    int code;
    KN_TRY(kn_process_spawn(&spawn, &pid));
    KN_TRY(kn_process_wait(pid, &code));
    if (code != 0)
        return kn_error(KN_IO, "the shim in %s did not start (exit code %d)", folder, code);
    return KN_STATUS_OK;
}

struct kn_status kn_shim_connect(const char *folder, struct kn_shim **ret)
{
    // The folder's own name may be longer than a socket's address can be.
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    KN_CLEANUP(kn_cleanup_fd) int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return kn_error_errno(errno, "open %s", folder);
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/" SHIM_SOCKET, dir);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return kn_error_errno(errno, "make a socket");
    if (connect(fd, (void *)&a, sizeof a) < 0) {
        int err = errno;
        close(fd);
        if (err == ENOENT || err == ECONNREFUSED)
            return kn_error(KN_NOT_FOUND, "no shim listens in %s", folder);
        return kn_error_errno(err, "connect to the shim in %s", folder);
    }
    struct kn_shim *s = KN_NEW(struct kn_shim);
    s->fd = fd;
    kn_list_init(&s->waiting);
    *ret = s;
    return KN_STATUS_OK;
}

void kn_shim_free(struct kn_shim *s)
{
    if (!s)
        return;
    struct news *n;
    KN_LIST_EACH(&s->waiting, n, struct news, link)
        free(n);
    close(s->fd);
    free(s);
}

int kn_shim_fd(const struct kn_shim *s)
{
    return s->fd;
}

// -- packets ---------------------------------------------------------------------------------

static struct kn_status send_packet(struct kn_shim *s, uint32_t op, uint32_t tag, const void *body,
                                    size_t body_len, struct kn_sv text, const int *fds,
                                    size_t fds_len)
{
    struct shim_head head = {op, tag};
    struct iovec iov[3] = {{&head, sizeof head},
                           {(void *)(uintptr_t)body, body_len},
                           {(void *)(uintptr_t)text.ptr, text.len}};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * SHIM_FDS_MAX)];
    } control;
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 3};
    if (sizeof head + body_len + text.len > SHIM_PACKET_MAX)
        return kn_error(KN_TOO_LARGE, "the request to the shim is larger than %d bytes",
                        SHIM_PACKET_MAX);
    if (fds_len) {
        memset(&control, 0, sizeof control);
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * fds_len);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int) * fds_len);
        memcpy(CMSG_DATA(h), fds, sizeof(int) * fds_len);
    }
    while (sendmsg(s->fd, &m, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return kn_error(KN_CLOSED, "the shim is gone: %s", strerror(errno));
    return KN_STATUS_OK;
}

static struct kn_status receive_packet(struct kn_shim *s, int64_t deadline, struct answer *ret)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {s->packet, sizeof s->packet - 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof control};
    for (;;) {
        int64_t left = deadline == KN_FOREVER ? -1 : deadline - kn_mono();
        int wait_ms =
            left < 0 ? (deadline == KN_FOREVER ? -1 : 0) : (int)((left + KN_MILLI - 1) / KN_MILLI);
        struct pollfd p = {s->fd, POLLIN, 0};
        int n = poll(&p, 1, wait_ms);
        if (n == 0)
            return kn_error(KN_TIMEOUT, "the shim did not answer in time");
        if (n > 0)
            break;
        if (errno != EINTR)
            return kn_error_errno(errno, "wait for the shim");
    }
    ssize_t n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
    if (n < (ssize_t)sizeof ret->head)
        return kn_error(KN_CLOSED, "the shim is gone");
    s->packet[n] = '\0';
    memcpy(&ret->head, s->packet, sizeof ret->head);
    ret->len = (size_t)n - sizeof ret->head;
    ret->fd = -1;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
        memcpy(&ret->fd, CMSG_DATA(h), sizeof ret->fd);
    return KN_STATUS_OK;
}

static void to_news(const struct kn_shim *s, const struct answer *a, struct kn_shim_news *n)
{
    memset(n, 0, sizeof *n);
    n->op = a->head.op;
    n->tag = a->head.tag;
    const char *body = s->packet + sizeof a->head;
    if (a->head.op == SHIM_FAILED)
        snprintf(n->sentence, sizeof n->sentence, "%s", body);
    else if (a->len >= sizeof n->container)
        memcpy(&n->container, body, sizeof n->container);
}

// Waits for what answers `tag`; news that come meanwhile are kept.
static struct kn_status wait_for(struct kn_shim *s, uint32_t tag, int64_t deadline,
                                 struct answer *ret)
{
    for (;;) {
        KN_TRY(receive_packet(s, deadline, ret));
        if (ret->head.tag == tag)
            break;
        struct news *n = KN_NEW(struct news);
        to_news(s, ret, &n->news);
        if (ret->fd >= 0)
            close(ret->fd);
        kn_list_append(&s->waiting, &n->link);
    }
    if (ret->head.op == SHIM_FAILED)
        return kn_error(KN_IO, "%s", s->packet + sizeof ret->head);
    return KN_STATUS_OK;
}

static struct kn_status ask(struct kn_shim *s, uint32_t op, const void *body, size_t body_len,
                            const char *id)
{
    struct answer a;
    uint32_t tag = ++s->last_tag;
    KN_TRY(send_packet(s, op, tag, body, body_len, id ? kn_sv(id, strlen(id) + 1) : KN_SV_NULL,
                       NULL, 0));
    KN_TRY(wait_for(s, tag, kn_mono() + ANSWER_DEADLINE, &a));
    if (a.fd >= 0)
        close(a.fd);
    return KN_STATUS_OK;
}

// -- requests --------------------------------------------------------------------------------

static void add_text(struct kn_buf *b, const char *text)
{
    kn_buf_add(b, kn_sv(text ? text : "", strlen(text ? text : "") + 1));
}

static void add_args(struct kn_buf *b, const struct kn_runtime_args *args)
{
    for (size_t i = 0; i < args->argc; i++)
        add_text(b, args->argv[i]);
}

struct kn_status kn_shim_start(struct kn_shim *s, const struct kn_shim_start *r, int64_t deadline,
                               struct shim_container *ret)
{
    struct kn_buf text = KN_BUF(SHIM_PACKET_MAX);
    struct shim_start body = {.log_max = r->log_max, .log_files = r->log_files, .flags = r->flags,
                              .argc = (uint32_t)r->args->argc};
    struct answer a;
    uint32_t tag = ++s->last_tag;
    add_text(&text, r->id);
    add_text(&text, r->bundle);
    add_text(&text, r->log);
    add_text(&text, r->oom_file);
    add_args(&text, r->args);
    struct kn_status st = kn_buf_status(&text, "a request to the shim");
    if (kn_ok(st))
        st = send_packet(s, SHIM_START, tag, &body, sizeof body, kn_buf_sv(&text), NULL, 0);
    kn_buf_done(&text);
    if (kn_ok(st))
        st = wait_for(s, tag, deadline, &a);
    if (kn_ok(st))
        memcpy(ret, s->packet + sizeof a.head, sizeof *ret);
    return st;
}

struct kn_status kn_shim_exec_begin(struct kn_shim *s, const struct kn_shim_exec *r,
                                    uint32_t *ret_tag)
{
    struct kn_buf text = KN_BUF(SHIM_PACKET_MAX);
    struct shim_exec body = {.flags = r->flags, .argc = (uint32_t)r->args->argc};
    const int fds[3] = {r->in, r->out, r->err};
    uint32_t tag = ++s->last_tag;
    add_text(&text, r->exec_id);
    add_text(&text, r->folder);
    add_args(&text, r->args);
    struct kn_status st = kn_buf_status(&text, "a request to the shim");
    if (kn_ok(st))
        st = send_packet(s, SHIM_EXEC, tag, &body, sizeof body, kn_buf_sv(&text), fds,
                         r->flags & SHIM_TTY ? 0 : 3);
    kn_buf_done(&text);
    *ret_tag = tag;
    return st;
}

struct kn_status kn_shim_exec(struct kn_shim *s, const struct kn_shim_exec *r, int64_t deadline,
                              int *ret_tty, uint32_t *ret_tag)
{
    struct answer a;
    KN_TRY(kn_shim_exec_begin(s, r, ret_tag));
    KN_TRY(wait_for(s, *ret_tag, deadline, &a));
    if (r->flags & SHIM_TTY) {
        if (a.fd < 0)
            return kn_error(KN_IO, "the runtime handed no terminal over");
        *ret_tty = a.fd;
    } else if (a.fd >= 0) {
        close(a.fd);
    }
    return KN_STATUS_OK;
}

struct kn_status kn_shim_attach(struct kn_shim *s, const char *id, int in, int out, int err)
{
    const int given[3] = {in, out, err};
    int fds[3];
    size_t n = 0;
    struct shim_attach body = {0};
    struct answer a;
    uint32_t tag = ++s->last_tag;
    for (unsigned i = 0; i < 3; i++)
        if (given[i] >= 0) {
            body.streams |= 1u << i;
            fds[n++] = given[i];
        }
    struct kn_status st = send_packet(s, SHIM_ATTACH, tag, &body, sizeof body,
                                      kn_sv(id, strlen(id) + 1), fds, n);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    return kn_ok(st) ? wait_for(s, tag, kn_mono() + ANSWER_DEADLINE, &a) : st;
}

struct kn_status kn_shim_resize(struct kn_shim *s, const char *id, unsigned columns, unsigned rows)
{
    struct shim_resize r = {.columns = (uint16_t)columns, .rows = (uint16_t)rows};
    return ask(s, SHIM_RESIZE, &r, sizeof r, id);
}

struct kn_status kn_shim_signal(struct kn_shim *s, const char *id, int signo)
{
    struct shim_signal r = {.signal = signo};
    return ask(s, SHIM_SIGNAL, &r, sizeof r, id);
}

struct kn_status kn_shim_forget(struct kn_shim *s, const char *id)
{
    return ask(s, SHIM_FORGET, NULL, 0, id);
}

struct kn_status kn_shim_subscribe(struct kn_shim *s)
{
    return ask(s, SHIM_SUBSCRIBE, NULL, 0, NULL);
}

struct kn_status kn_shim_quit(struct kn_shim *s)
{
    return ask(s, SHIM_QUIT, NULL, 0, NULL);
}

struct kn_status kn_shim_list(struct kn_shim *s,
                              void (*visit)(void *arg, const struct shim_container *c), void *arg)
{
    struct answer a;
    uint32_t tag = ++s->last_tag;
    KN_TRY(send_packet(s, SHIM_LIST, tag, NULL, 0, KN_SV_NULL, NULL, 0));
    for (;;) {
        KN_TRY(wait_for(s, tag, kn_mono() + ANSWER_DEADLINE, &a));
        if (a.head.op != SHIM_CONTAINER)
            return KN_STATUS_OK;
        struct kn_shim_news n;
        to_news(s, &a, &n);
        visit(arg, &n.container);
    }
}

struct kn_status kn_shim_next(struct kn_shim *s, int64_t deadline, struct kn_shim_news *ret)
{
    struct news *n = KN_LIST_FIRST(&s->waiting, struct news, link);
    if (n) {
        *ret = n->news;
        kn_list_remove(&n->link);
        free(n);
        return KN_STATUS_OK;
    }
    struct answer a;
    KN_TRY(receive_packet(s, deadline, &a));
    to_news(s, &a, ret);
    if (a.fd >= 0)
        close(a.fd);
    return KN_STATUS_OK;
}

struct kn_status kn_shim_read_exit(const char *bundle, struct shim_container *ret)
{
    char path[PATH_MAX];
    struct kn_buf text = KN_BUF(4096 + 512);
    int64_t n[5];
    snprintf(path, sizeof path, "%s/" SHIM_EXIT_FILE, bundle);
    struct kn_status s = kn_file_read(path, 512, &text);
    struct kn_sv rest = kn_sv_trim(kn_buf_sv(&text));
    for (size_t i = 0; i < KN_ARRAY_LEN(n) && kn_ok(s); i++)
        s = kn_wrap(kn_num_parse(kn_sv_cut(&rest, ' '), INT64_MIN, INT64_MAX, &n[i]), "%s", path);
    kn_buf_done(&text);
    KN_TRY(s);
    *ret = (struct shim_container){.code = (int32_t)n[0], .signal = (int32_t)n[1], .ended = 1,
                                   .oom = (uint32_t)n[2], .started = n[3], .finished = n[4]};
    return KN_STATUS_OK;
}
