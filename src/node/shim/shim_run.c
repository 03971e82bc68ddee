// Starting processes through the OCI runtime and seeing them end. The runtime is told to detach:
// when it exits, the container's first process becomes a child of the shim, which is a subreaper.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim.h"

#define ARGS_MAX 64

// A container may end before its runtime does; its end is kept until the runtime has named it.
static struct orphan {
    pid_t pid;
    int status;
    int64_t at;
} orphans[64];
static unsigned orphan_at;

struct shim_proc *shim_find(struct shim *s, const char *id)
{
    for (struct shim_proc *p = s->procs; p; p = p->next)
        if (strcmp(p->info.id, id) == 0)
            return p;
    return NULL;
}

void shim_proc_free(struct shim *s, struct shim_proc *p)
{
    for (struct shim_proc **at = &s->procs; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    shim_io_drain(p);
    shim_io_close(p);
    free(p->bundle);
    free(p->oom_file);
    free(p);
}

static struct shim_proc *proc_new(enum shim_kind kind, const char *id, const char *bundle)
{
    struct shim_proc *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->kind = kind;
    snprintf(p->info.id, sizeof p->info.id, "%s", id);
    p->bundle = strdup(bundle);
    p->console = p->tty = p->in = p->out[0] = p->out[1] = p->log.fd = -1;
    return p;
}

// The next text of a packet, or NULL.
static const char *next_text(const char **text, size_t *len)
{
    const char *start = *text;
    const char *end = memchr(start, '\0', *len);
    if (!end)
        return NULL;
    *len -= (size_t)(end - start) + 1;
    *text = end + 1;
    return start;
}

static bool take_args(const char **text, size_t *len, uint32_t argc, const char **argv)
{
    if (argc == 0 || argc >= ARGS_MAX)
        return false;
    for (uint32_t i = 0; i < argc; i++)
        if (!(argv[i] = next_text(text, len)))
            return false;
    argv[argc] = NULL;
    return true;
}

static void file_name(const struct shim_proc *p, const char *container_name, const char *suffix,
                      char *to, size_t size)
{
    if (p->kind == SHIM_IS_CONTAINER)
        snprintf(to, size, "%s/%s", p->bundle, container_name);
    else
        snprintf(to, size, "%s/%s.%s", p->bundle, p->info.id, suffix);
}

static int console_listen(const struct shim_proc *p)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char path[4096];
    file_name(p, SHIM_TTY_SOCKET, "tty", path, sizeof path);
    if (strlen(path) >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path) + 1);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (bind(fd, (void *)&a, sizeof a) < 0 || listen(fd, 1) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static pid_t spawn(const char *const *argv, const int fds[3])
{
    static char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                "XDG_RUNTIME_DIR=/run", NULL};
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    sigset_t none, ignored;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&acts);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&acts, fds[i], i);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    sigemptyset(&ignored); // what the shim ignores, a container must not
    sigaddset(&ignored, SIGPIPE);
    sigaddset(&ignored, SIGHUP);
    posix_spawnattr_setsigdefault(&attr, &ignored);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int err = posix_spawnp(&pid, argv[0], &acts, &attr, (char *const *)(uintptr_t)argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&acts);
    if (err) {
        errno = err;
        return -1;
    }
    return pid;
}

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

// Makes the three descriptors that the container gets (give) and keeps our ends in p.
static bool container_fds(struct shim_proc *p, int give[3])
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool good = null >= 0;
    give[0] = give[1] = give[2] = null;
    if (good && (p->flags & SHIM_TTY)) {
        p->console = console_listen(p);
        return p->console >= 0;
    }
    if (good && (p->flags & SHIM_STDIN)) {
        good = pipe2(in, O_CLOEXEC) == 0;
        give[0] = in[0];
        p->in = in[1];
    }
    good = good && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0;
    give[1] = out[1];
    give[2] = err[1];
    p->out[0] = out[0];
    p->out[1] = err[0];
    int ours[3] = {p->in, p->out[0], p->out[1]};
    for (int i = 0; i < 3; i++)
        if (ours[i] >= 0)
            fcntl(ours[i], F_SETFL, O_NONBLOCK);
    if (give[0] != null && null >= 0)
        close(null);
    return good;
}

static void launch(struct shim *s, struct shim_conn *c, struct shim_proc *p,
                   const char *const *argv, int fds[3])
{
    char sentence[512];
    p->runtime = spawn(argv, fds);
    if (p->runtime < 0) {
        snprintf(sentence, sizeof sentence, "start %s: %s", argv[0], strerror(errno));
        shim_fail(c, p->tag, sentence);
        shim_proc_free(s, p);
        return;
    }
    p->asked = c;
    p->next = s->procs;
    s->procs = p;
}

void shim_start(struct shim *s, struct shim_conn *c, uint32_t tag, const struct shim_start *req,
                const char *text, size_t len)
{
    const char *argv[ARGS_MAX];
    const char *id = next_text(&text, &len);
    const char *bundle = id ? next_text(&text, &len) : NULL;
    const char *log = bundle ? next_text(&text, &len) : NULL;
    const char *oom = log ? next_text(&text, &len) : NULL;
    if (!oom || !take_args(&text, &len, req->argc, argv) || strlen(id) >= SHIM_ID_SIZE) {
        shim_fail(c, tag, "the start request is malformed");
        return;
    }
    if (shim_find(s, id)) {
        shim_fail(c, tag, "a container with this id was started before");
        return;
    }
    struct shim_proc *p = proc_new(SHIM_IS_CONTAINER, id, bundle);
    if (!p) {
        shim_fail(c, tag, "the shim has no memory left");
        return;
    }
    p->flags = req->flags;
    p->tag = tag;
    p->oom_file = strdup(oom);
    p->keep_backlog = (req->flags & SHIM_STDIN) != 0;
    shim_log_open(&p->log, log, req->log_max, req->log_files);
    int give[3];
    if (container_fds(p, give)) {
        launch(s, c, p, argv, give);
    } else {
        shim_fail(c, tag, "the container's standard streams cannot be made");
        shim_proc_free(s, p);
    }
    close_all(give, give[1] == give[0] ? 1 : 3);
}

void shim_exec(struct shim *s, struct shim_conn *c, uint32_t tag, const struct shim_exec *req,
               const char *text, size_t len, const int *fds, size_t fds_len)
{
    const char *argv[ARGS_MAX];
    const char *id = next_text(&text, &len);
    const char *folder = id ? next_text(&text, &len) : NULL;
    bool tty = (req->flags & SHIM_TTY) != 0;
    if (!folder || !take_args(&text, &len, req->argc, argv) || strlen(id) >= SHIM_ID_SIZE ||
        fds_len != (tty ? 0u : 3u)) {
        shim_fail(c, tag, "the exec request is malformed");
        return;
    }
    struct shim_proc *p = proc_new(SHIM_IS_EXEC, id, folder);
    if (!p) {
        shim_fail(c, tag, "the shim has no memory left");
        return;
    }
    p->flags = req->flags;
    p->tag = tag;
    int give[3] = {-1, -1, -1};
    int null = -1;
    if (tty) {
        p->console = console_listen(p);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        give[0] = give[1] = give[2] = null;
    } else {
        memcpy(give, fds, sizeof give);
    }
    if (tty && p->console < 0) {
        shim_fail(c, tag, "the terminal's socket cannot be made");
        shim_proc_free(s, p);
    } else {
        launch(s, c, p, argv, give);
    }
    if (null >= 0)
        close(null);
}

// The runtime has connected to hand over the terminal's master.
void shim_take_console(struct shim *s, struct shim_proc *p)
{
    (void)s;
    int conn = accept4(p->console, NULL, NULL, SOCK_CLOEXEC);
    if (conn < 0)
        return;
    char byte[256];
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {byte, sizeof byte};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(conn, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *h = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
        memcpy(&p->tty, CMSG_DATA(h), sizeof p->tty);
        fcntl(p->tty, F_SETFL, fcntl(p->tty, F_GETFL) | O_NONBLOCK);
    }
    close(conn);
    close(p->console);
    p->console = -1;
    char path[4096];
    file_name(p, SHIM_TTY_SOCKET, "tty", path, sizeof path);
    unlink(path);
}

static ssize_t read_small(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, to, size - 1);
    close(fd);
    to[n > 0 ? n : 0] = '\0';
    return n;
}

static bool was_oom_killed(const struct shim_proc *p)
{
    char text[1024];
    if (!p->oom_file || !*p->oom_file || read_small(p->oom_file, text, sizeof text) <= 0)
        return false;
    const char *at = strstr(text, "oom_kill ");
    return at && strtol(at + 9, NULL, 10) > 0;
}

static void write_exit_file(const struct shim_proc *p)
{
    char path[4096], tmp[4100], line[160];
    snprintf(path, sizeof path, "%s/" SHIM_EXIT_FILE, p->bundle);
    snprintf(tmp, sizeof tmp, "%s.new", path);
    int n = snprintf(line, sizeof line, "%d %d %u %lld %lld\n", p->info.code, p->info.signal,
                     p->info.oom, (long long)p->info.started, (long long)p->info.finished);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool good = write(fd, line, (size_t)n) == n;
    close(fd);
    if (good)
        rename(tmp, path);
}

static void ended(struct shim *s, struct shim_proc *p, int status, int64_t at)
{
    p->info.ended = 1;
    p->info.pid = 0;
    p->info.finished = at;
    if (p->info.started > at) // it ended before the runtime had returned
        p->info.started = at;
    p->info.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    p->info.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (p->kind == SHIM_IS_CONTAINER) {
        p->info.oom = was_oom_killed(p);
        shim_io_drain(p);
        write_exit_file(p); // before anybody can see the end
        shim_io_release(p);
        shim_exited(s, p);
    } else {
        if (p->asked)
            shim_answer(p->asked, SHIM_EXITED, p->tag, &p->info, sizeof p->info, -1);
        shim_proc_free(s, p);
    }
}

static void runtime_failed(struct shim *s, struct shim_proc *p)
{
    char path[4096], text[2048];
    file_name(p, SHIM_RUNTIME_LOG, "log", path, sizeof path);
    if (read_small(path, text, sizeof text) <= 0)
        snprintf(text, sizeof text, "the runtime ended with status %d and no message",
                 p->runtime_status);
    if (p->asked)
        shim_fail(p->asked, p->tag, text);
    shim_proc_free(s, p);
}

static void runtime_ended(struct shim *s, struct shim_proc *p, int status)
{
    char path[4096], text[32];
    p->runtime = 0;
    p->runtime_status = status;
    if (p->console >= 0)
        shim_take_console(s, p);
    file_name(p, SHIM_PID_FILE, "pid", path, sizeof path);
    if (status != 0 || read_small(path, text, sizeof text) <= 0) {
        runtime_failed(s, p);
        return;
    }
    p->info.pid = (int32_t)strtol(text, NULL, 10);
    p->info.started = shim_now();
    p->started = true;
    int pass = p->kind == SHIM_IS_EXEC ? p->tty : -1;
    if (p->asked)
        shim_answer(p->asked, SHIM_STARTED, p->tag, &p->info, sizeof p->info, pass);
    if (p->kind == SHIM_IS_EXEC && p->tty >= 0) {
        close(p->tty); // it is the asker's now
        p->tty = -1;
    }
    for (unsigned i = 0; i < 64; i++)
        if (orphans[i].pid == p->info.pid) {
            orphans[i].pid = 0;
            ended(s, p, orphans[i].status, orphans[i].at);
            return;
        }
}

void shim_reap(struct shim *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct shim_proc *p = s->procs;
        while (p && p->runtime != pid && p->info.pid != pid)
            p = p->next;
        if (p && p->runtime == pid)
            runtime_ended(s, p, status);
        else if (p)
            ended(s, p, status, shim_now());
        else
            orphans[orphan_at++ % 64] = (struct orphan){pid, status, shim_now()};
    }
}
