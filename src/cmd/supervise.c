// `knarr supervise`: keeps the server and the agent alive, hands the server its listening socket
// (so that no connection is refused while it restarts), and renews certificates in time. One
// thread.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/site.h"
#include "cmd/verbs.h"

#define PROGRESS_FD 3 // from `up`: lines that say what is ready
#define CHECK_EVERY (6 * 3600 * KN_SECOND)
#define CALM (10 * KN_SECOND) // a process that lived so long is started again at once
#define BACKOFF_FIRST (100 * KN_MILLI)
#define BACKOFF_LAST (30 * KN_SECOND)
#define STOP_PATIENCE (10 * KN_SECOND)
#define LOG_MAX (10 << 20)

struct child {
    const char *verb;
    pid_t pid;
    int64_t started, start_at, backoff; // start_at: when to start it (again); 0: it runs
    int ready; // the end of the pipe on which it says that it is ready; -1
    bool was_ready;
};

struct supervisor {
    struct kn_site site;
    char program[KN_SITE_PATH];
    int listen_fd, lock_fd, progress_fd;
    struct child children[2];
    int64_t check_at;
    bool paused; // a reset is under way: nothing is started again
};

static void progress(struct supervisor *s, const char *line)
{
    if (s->progress_fd < 0)
        return;
    if (write(s->progress_fd, line, strlen(line)) < 0) {
        close(s->progress_fd);
        s->progress_fd = -1;
    }
}

// Tells systemd, if it is the one who started us.
static void notify_systemd(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, len) < 0)
            kn_warn("systemd could not be told: %s", strerror(errno));
        close(fd);
    }
}

static struct kn_status open_socket(struct supervisor *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->site.port)};
    int one = 1;
    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0)
        return kn_error_errno(errno, "make a socket");
    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->listen_fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(s->listen_fd, 1024) < 0)
        return kn_error_errno(errno,
                              "listen on port %d: another program may have it (`ss -ltnp` shows "
                              "which), or choose one with `knarr up --port`",
                              (int)s->site.port);
    return KN_STATUS_OK;
}

static int open_log(struct supervisor *s, const char *verb)
{
    char path[KN_SITE_PATH], old[KN_SITE_PATH + 8], name[64];
    snprintf(name, sizeof name, "log/%s.log", verb);
    kn_site_data(&s->site, name, path);
    snprintf(old, sizeof old, "%s.1", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd >= 0 && lseek(fd, 0, SEEK_END) > LOG_MAX && rename(path, old) == 0) {
        close(fd);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    }
    return fd;
}

static void write_pid(struct supervisor *s, const char *name, pid_t pid)
{
    char path[KN_SITE_PATH], file[64], text[24];
    snprintf(file, sizeof file, "%s.pid", name);
    int n = snprintf(text, sizeof text, "%d\n", (int)pid);
    KN_IGNORE(
        kn_file_write(kn_site_run(&s->site, file, path), kn_sv(text, (size_t)n), 0644, false));
}

static struct kn_status start_child(struct supervisor *s, struct child *c)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return kn_error_errno(errno, "make a pipe");
    const char *const argv[] = {s->program, c->verb, "--data", s->site.data, NULL};
    const int keep[] = {s->listen_fd, pipe_fds[1]};
    bool server = strcmp(c->verb, "server") == 0;
    int log = open_log(s, c->verb);
    struct kn_spawn spawn = {.argv = argv,
                             .in = -1,
                             .out = log,
                             .err = log,
                             .keep = server ? keep : keep + 1,
                             .keep_len = server ? 2 : 1};
    struct kn_status st = kn_process_spawn(&spawn, &c->pid);
    if (log >= 0)
        close(log);
    close(pipe_fds[1]);
    if (!kn_ok(st)) {
        close(pipe_fds[0]);
        return st;
    }
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    c->ready = pipe_fds[0];
    c->started = kn_mono();
    c->start_at = 0;
    write_pid(s, c->verb, c->pid);
    return KN_STATUS_OK;
}

static void try_start(struct supervisor *s, struct child *c)
{
    if (kn_log_status(KN_LOG_ERROR, start_child(s, c), "start the %s", c->verb))
        return;
    c->start_at = kn_mono() + BACKOFF_LAST;
}

static void check_ready(struct supervisor *s, struct child *c)
{
    char byte;
    if (c->ready < 0)
        return;
    ssize_t n = read(c->ready, &byte, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(c->ready);
    c->ready = -1;
    if (n == 1) {
        char line[64];
        c->was_ready = true;
        snprintf(line, sizeof line, "ready %s\n", c->verb);
        progress(s, line);
        if (s->children[0].was_ready && s->children[1].was_ready)
            notify_systemd("READY=1");
    }
}

static void child_ended(struct supervisor *s, struct child *c, int status)
{
    int64_t now = kn_mono();
    bool calm = now - c->started > CALM;
    c->pid = 0;
    if (c->ready >= 0)
        close(c->ready);
    c->ready = -1;
    c->backoff = calm ? 0 : c->backoff ? c->backoff * 2 : BACKOFF_FIRST;
    if (c->backoff > BACKOFF_LAST)
        c->backoff = BACKOFF_LAST;
    c->start_at = now + c->backoff;
    kn_warn("the %s ended (%s %d); it is started again in %lld ms", c->verb,
            WIFSIGNALED(status) ? "signal" : "exit code",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
            (long long)(c->backoff / KN_MILLI));
    char line[128];
    snprintf(line, sizeof line, "ended %s\n", c->verb);
    progress(s, line);
}

static void reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < 2; i++)
            if (s->children[i].pid == pid)
                child_ended(s, &s->children[i], status);
}

static void check_certificates(struct supervisor *s)
{
    int renewed = 0;
    s->check_at = kn_mono() + CHECK_EVERY;
    if (kn_log_status(KN_LOG_ERROR, kn_site_pki(&s->site, &renewed), "renew certificates") &&
        renewed) {
        kn_info("%d certificates were renewed", renewed);
        for (int i = 0; i < 2; i++)
            if (s->children[i].pid)
                kill(s->children[i].pid, SIGHUP);
    }
}

static void stop_child(struct supervisor *s, struct child *c)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (c->pid)
        kill(c->pid, SIGTERM);
    for (int64_t deadline = kn_mono() + STOP_PATIENCE; c->pid;) {
        struct timespec wait = {0, 50 * KN_MILLI};
        if (kn_mono() > deadline)
            kill(c->pid, SIGKILL);
        sigtimedwait(&set, NULL, &wait); // SIGCHLD ends it early
        reap(s);
    }
}

// The agent first: what it has to say still has a server.
static void stop_children(struct supervisor *s)
{
    stop_child(s, &s->children[1]);
    stop_child(s, &s->children[0]);
}

static void loop(struct supervisor *s, const sigset_t *signals)
{
    for (;;) {
        int64_t now = kn_mono(), next = s->check_at;
        for (int i = 0; i < 2; i++) {
            struct child *c = &s->children[i];
            if (!c->pid && !s->paused && c->start_at <= now)
                try_start(s, c);
            if (!c->pid && !s->paused && c->start_at < next)
                next = c->start_at;
            check_ready(s, c);
        }
        if (now >= s->check_at)
            check_certificates(s);
        // A pipe becomes readable without a signal of its own: SIGIO is asked for.
        for (int i = 0; i < 2; i++)
            if (s->children[i].ready >= 0) {
                fcntl(s->children[i].ready, F_SETOWN, getpid());
                fcntl(s->children[i].ready, F_SETFL, O_NONBLOCK | O_ASYNC);
                check_ready(s, &s->children[i]); // it may have come before
            }
        int64_t wait = next - kn_mono();
        if (wait < 0)
            wait = 0;
        struct timespec t = {wait / KN_SECOND, wait % KN_SECOND};
        int sig = sigtimedwait(signals, NULL, &t);
        if (sig == SIGTERM || sig == SIGINT)
            return;
        if (sig == SIGUSR1) { // a reset: we stay, to reap what it ends
            s->paused = true;
            stop_children(s);
        }
        if (sig == SIGHUP)
            s->check_at = 0;
        reap(s);
    }
}

static struct kn_status take_lock(struct supervisor *s)
{
    char path[KN_SITE_PATH];
    s->lock_fd = open(kn_site_run(&s->site, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return kn_error_errno(errno, "open %s", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return kn_error(KN_CONFLICT,
                        "knarr runs already on this machine (process %d); `knarr status` "
                        "shows how it is",
                        (int)kn_site_process(&s->site, "supervisor"));
    return KN_STATUS_OK;
}

static struct kn_status prepare(struct supervisor *s, const char *data)
{
    KN_TRY(kn_site_load(&s->site, data));
    char path[KN_SITE_PATH];
    KN_TRY(kn_dir_make(s->site.run, 0755));
    KN_TRY(kn_dir_make(kn_site_data(&s->site, "log", path), 0750));
    KN_TRY(take_lock(s));
    ssize_t n = readlink("/proc/self/exe", s->program, sizeof s->program - 1);
    if (n < 0)
        return kn_error_errno(errno, "find this program");
    s->program[n] = '\0';
    // The machine may have another address than when it was last on.
    kn_site_own_address(s->site.host_ip);
    int renewed;
    KN_TRY(kn_site_pki(&s->site, &renewed));
    s->check_at = kn_mono() + CHECK_EVERY;
    KN_TRY(open_socket(s));
    write_pid(s, "supervisor", getpid());
    return KN_STATUS_OK;
}

int kn_verb_supervise(int argc, char **argv)
{
    const char *data = KN_SITE_DATA;
    bool help, has_progress = false;
    const struct kn_option options[] = {
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER", "the cluster's data"},
        {"progress", 0, KN_OPTION_SWITCH, &has_progress, NULL, "descriptor 3 wants to hear"},
    };
    struct kn_status st = kn_options_parse_args(options, 2, &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "supervise");
    prctl(PR_SET_NAME, "knarr");
    kn_log_init("supervisor", KN_LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    const int all[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGIO, SIGUSR1};
    // Shims whose agent has died become ours, and are reaped at once.
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (size_t i = 0; i < KN_ARRAY_LEN(all); i++)
        sigaddset(&signals, all[i]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    struct supervisor *s = KN_NEW(struct supervisor);
    s->progress_fd = has_progress ? PROGRESS_FD : -1;
    if (has_progress)
        fcntl(PROGRESS_FD, F_SETFD, FD_CLOEXEC);
    s->children[0] = (struct child){.verb = "server", .ready = -1};
    s->children[1] = (struct child){.verb = "agent", .ready = -1};
    st = prepare(s, data);
    if (!kn_ok(st)) {
        char line[1024];
        snprintf(line, sizeof line, "failed %s\n", kn_status_text(&st));
        progress(s, line);
        kn_log_status(KN_LOG_ERROR, st, "start");
        free(s);
        return 1;
    }
    loop(s, &signals);
    notify_systemd("STOPPING=1");
    stop_children(s);
    static const char *const pids[] = {"supervisor.pid", "server.pid", "agent.pid"};
    char path[KN_SITE_PATH];
    for (size_t i = 0; i < 3; i++)
        unlink(kn_site_run(&s->site, pids[i], path));
    free(s);
    return 0;
}
