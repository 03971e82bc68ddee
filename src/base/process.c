#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char search_path[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static void find_program(const char *name, char *path, size_t size)
{
    if (strchr(name, '/')) {
        snprintf(path, size, "%s", name);
        return;
    }
    struct kn_sv rest = kn_sv_c(search_path + 5);
    do {
        struct kn_sv dir = kn_sv_cut(&rest, ':');
        snprintf(path, size, "%.*s/%s", KN_SV_ARG(dir), name);
        if (access(path, X_OK) == 0)
            return;
    } while (rest.ptr);
    snprintf(path, size, "%s", name);
}

struct kn_status kn_process_spawn(const struct kn_spawn *spawn, pid_t *ret)
{
    static const char *const default_env[] = {search_path, NULL};
    char path[4096];
    if (spawn->exec_fd > 0)
        snprintf(path, sizeof path, "/proc/self/fd/%d", spawn->exec_fd);
    else
        find_program(spawn->argv[0], path, sizeof path);

    posix_spawn_file_actions_t acts;
    posix_spawn_file_actions_init(&acts);
    const int given[3] = {spawn->in, spawn->out, spawn->err};
    // Everything is first moved out of the way of the numbers that it is moved to.
    int moved[3 + 16];
    size_t count = 0;
    struct kn_status s = KN_STATUS_OK;
    kn_assert(spawn->keep_len <= 16);
    for (size_t i = 0; i < 3 + spawn->keep_len && kn_ok(s); i++) {
        int fd = i < 3 ? given[i] : spawn->keep[i - 3];
        moved[count] = fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC)
                              : fcntl(fd, F_DUPFD_CLOEXEC, 3 + 16 + 1);
        if (moved[count] < 0)
            s = kn_error_errno(errno, "prepare the descriptors of %s", spawn->argv[0]);
        else
            count++;
    }
    for (size_t i = 0; i < count; i++)
        posix_spawn_file_actions_adddup2(&acts, moved[i], (int)i);
    // What we were started with may be open without close-on-exec: it is not for others.
    if (spawn->exec_fd <= 0)
        posix_spawn_file_actions_addclosefrom_np(&acts, (int)(3 + spawn->keep_len));
    if (spawn->cwd)
        posix_spawn_file_actions_addchdir_np(&acts, spawn->cwd);

    posix_spawnattr_t attr;
    posix_spawnattr_init(&attr);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (spawn->new_session)
        flags |= POSIX_SPAWN_SETSID;
    posix_spawnattr_setflags(&attr, flags);

    if (kn_ok(s)) {
        const char *const *env = spawn->env ? spawn->env : default_env;
        int err = posix_spawn(ret, path, &acts, &attr, (char *const *)(uintptr_t)spawn->argv,
                              (char *const *)(uintptr_t)env);
        if (err)
            s = kn_error_errno(err, "run %s", spawn->argv[0]);
    }
    for (size_t i = 0; i < count; i++)
        close(moved[i]);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&acts);
    return s;
}

struct kn_status kn_process_wait(pid_t pid, int *ret_code)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return kn_error_errno(errno, "wait for process %d", (int)pid);
    *ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return KN_STATUS_OK;
}

struct talk {
    int in, out, err; // our ends; -1 when closed
    struct kn_sv input;
    struct kn_buf *result;
    struct kn_buf errors;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void read_end(int *fd, struct kn_buf *to)
{
    char chunk[8192];
    ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n > 0) {
        if (to)
            kn_buf_add(to, kn_sv(chunk, (size_t)n));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        close_end(fd);
    }
}

// False when the deadline passed.
static bool converse(struct talk *t, int64_t deadline)
{
    while (t->out >= 0 || t->err >= 0) {
        if (t->in >= 0 && t->input.len == 0)
            close_end(&t->in);
        struct pollfd fds[3] = {{t->in, POLLOUT, 0}, {t->out, POLLIN, 0}, {t->err, POLLIN, 0}};
        int wait_ms = -1;
        if (deadline != KN_FOREVER) {
            int64_t left = deadline - kn_mono();
            if (left <= 0)
                return false;
            wait_ms = (int)(left / KN_MILLI) + 1;
        }
        if (poll(fds, 3, wait_ms) < 0 && errno != EINTR)
            return true;
        if (fds[0].revents) {
            ssize_t n = write(t->in, t->input.ptr, t->input.len);
            if (n >= 0)
                t->input = kn_sv_from(t->input, (size_t)n);
            else if (errno != EINTR && errno != EAGAIN)
                close_end(&t->in);
        }
        if (fds[1].revents)
            read_end(&t->out, t->result);
        if (fds[2].revents)
            read_end(&t->err, &t->errors);
    }
    return true;
}

struct kn_status kn_process_run(const char *const *argv, struct kn_sv input, struct kn_buf *out,
                                int64_t deadline)
{
    int in[2] = {-1, -1}, result[2] = {-1, -1}, errors[2] = {-1, -1};
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(result, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0) {
        int err = errno;
        for (int i = 0; i < 2; i++) {
            close_end(&in[i]);
            close_end(&result[i]);
            close_end(&errors[i]);
        }
        return kn_error_errno(err, "make pipes for %s", argv[0]);
    }
    struct kn_spawn spawn = {.argv = argv, .in = in[0], .out = result[1], .err = errors[1]};
    pid_t pid;
    struct kn_status s = kn_process_spawn(&spawn, &pid);
    close(in[0]);
    close(result[1]);
    close(errors[1]);
    struct talk t = {in[1], result[0], errors[0], input, out, KN_BUF(4096)};
    if (kn_ok(s)) {
        fcntl(in[1], F_SETFL, O_NONBLOCK);
        bool in_time = converse(&t, deadline);
        if (!in_time)
            kill(pid, SIGKILL);
        int code;
        s = kn_process_wait(pid, &code);
        if (kn_ok(s) && !in_time)
            s = kn_error(KN_TIMEOUT, "%s did not end in time and was killed", argv[0]);
        else if (kn_ok(s) && code != 0)
            s = kn_error(KN_IO, "%s failed with exit code %d: %.*s", argv[0], code,
                         KN_SV_ARG(kn_sv_trim(kn_buf_sv(&t.errors))));
    }
    close_end(&t.in);
    close_end(&t.out);
    close_end(&t.err);
    kn_buf_done(&t.errors);
    return s;
}
