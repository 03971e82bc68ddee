#include "node/log_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"

#define ROTATED_MAX 64
#define LINE_MAX_BYTES (1u << 20)

struct reader {
    const struct kn_log_options *o;
    bool (*write)(void *arg, struct kn_sv text);
    void *arg;
    struct kn_buf rest; // an unfinished line of the file
    int64_t skip;       // lines that come before the wanted tail
    int64_t left;       // bytes that may still be written; -1: any number
    bool inside;        // the last record did not end its line
    bool ended;
};

static bool put(struct reader *r, struct kn_sv text)
{
    if (r->left >= 0 && (int64_t)text.len > r->left)
        text.len = (size_t)r->left;
    if (r->left >= 0)
        r->left -= (int64_t)text.len;
    if (text.len && !r->write(r->arg, text))
        r->ended = true;
    if (r->left == 0)
        r->ended = true;
    return !r->ended;
}

// "TIME STREAM F|P text"
static void record(struct reader *r, struct kn_sv line)
{
    struct kn_sv text = line;
    struct kn_sv when = kn_sv_cut(&text, ' '), stream = kn_sv_cut(&text, ' '),
                 tag = kn_sv_cut(&text, ' ');
    bool whole = tag.len && tag.ptr[0] == 'F', was_inside = r->inside;
    r->inside = !whole;
    if (r->skip > 0) {
        r->skip -= whole;
        return;
    }
    if ((r->o->skip_out && kn_sv_is(stream, "stdout")) ||
        (r->o->skip_err && kn_sv_is(stream, "stderr")))
        return;
    if (r->o->since.ns) {
        struct kn_time t;
        struct kn_status s = kn_time_parse(when, &t);
        bool old = kn_ok(s) && t.ns < r->o->since.ns;
        kn_status_done(&s);
        if (old)
            return;
    }
    if (r->o->timestamps && !was_inside && (!put(r, when) || !put(r, KN_SV(" "))))
        return;
    if (put(r, text) && whole)
        put(r, KN_SV("\n"));
}

static struct kn_status read_on(struct reader *r, int fd)
{
    char *chunk = kn_alloc(65536);
    ssize_t n = 0;
    while (!r->ended && (n = read(fd, chunk, 65536)) > 0) {
        struct kn_sv rest = kn_sv(chunk, (size_t)n);
        while (rest.len && !r->ended) {
            ptrdiff_t nl = kn_sv_find(rest, '\n');
            kn_buf_add(&r->rest, kn_sv_first(rest, nl < 0 ? rest.len : (size_t)nl));
            if (nl < 0)
                break;
            record(r, kn_buf_sv(&r->rest));
            kn_buf_clear(&r->rest);
            rest = kn_sv_from(rest, (size_t)nl + 1);
        }
    }
    int err = errno;
    free(chunk);
    return n < 0 ? kn_error_errno(err, "read the log") : KN_STATUS_OK;
}

static void file_name(const char *path, int number, char out[PATH_MAX])
{
    if (number)
        snprintf(out, PATH_MAX, "%s.%d", path, number);
    else
        snprintf(out, PATH_MAX, "%s", path);
}

static int64_t count_lines(const char *path)
{
    char *chunk = kn_alloc(65536);
    int64_t lines = 0;
    char before = '\n';
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    // A record with the tag P does not end a line; the tag lies after the second space.
    int spaces = 0;
    char tag = 'F';
    for (ssize_t n; fd >= 0 && (n = read(fd, chunk, 65536)) > 0;)
        for (ssize_t i = 0; i < n; i++) {
            char c = chunk[i];
            if (c == '\n') {
                lines += tag == 'F';
                spaces = 0;
            } else if (c == ' ' && spaces < 3) {
                spaces++;
            } else if (spaces == 2 && before == ' ') {
                tag = c;
            }
            before = c;
        }
    free(chunk);
    return lines;
}

static struct kn_status follow(struct reader *r, const char *path, int *fd)
{
    char bundle[PATH_MAX];
    KN_CLEANUP(kn_cleanup_fd) int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify < 0)
        return kn_error_errno(errno, "watch the log");
    snprintf(bundle, sizeof bundle, "%s", r->o->exit_file ? r->o->exit_file : path);
    char *slash = strrchr(bundle, '/');
    if (slash)
        *slash = '\0';
    int watch = inotify_add_watch(notify, path, IN_MODIFY | IN_MOVE_SELF);
    if (r->o->exit_file && inotify_add_watch(notify, bundle, IN_MOVED_TO | IN_DELETE_SELF) < 0)
        return read_on(r, *fd); // the container is gone
    while (!r->ended) {
        // Looked at before the read, so that nothing that was written before the end is missed.
        bool over = r->o->exit_file && kn_file_exists(r->o->exit_file);
        struct stat now, mine;
        KN_TRY(read_on(r, *fd));
        if (stat(path, &now) == 0 && fstat(*fd, &mine) == 0 && now.st_ino != mine.st_ino) {
            int next = open(path, O_RDONLY | O_CLOEXEC); // rotated
            if (next >= 0) {
                close(*fd);
                *fd = next;
                inotify_rm_watch(notify, watch);
                watch = inotify_add_watch(notify, path, IN_MODIFY | IN_MOVE_SELF);
                continue;
            }
        }
        if (over || r->ended)
            return KN_STATUS_OK;
        char events[4096];
        struct pollfd p[2] = {{notify, POLLIN, 0}, {r->o->wake_fd, POLLIN, 0}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return kn_error_errno(errno, "watch the log");
        if (p[1].revents)
            return KN_STATUS_OK;
        while (read(notify, events, sizeof events) > 0)
            ;
    }
    return KN_STATUS_OK;
}

struct kn_status kn_log_read(const char *path, const struct kn_log_options *o,
                             bool (*write)(void *arg, struct kn_sv text), void *arg)
{
    struct reader r = {
        .o = o, .write = write, .arg = arg, .rest = KN_BUF(LINE_MAX_BYTES), .left = o->limit_bytes};
    char name[PATH_MAX];
    int oldest = 0;
    struct kn_status s = KN_STATUS_OK;
    if (o->limit_bytes == 0)
        return s;
    while (oldest < ROTATED_MAX && (file_name(path, oldest + 1, name), kn_file_exists(name)))
        oldest++;
    if (o->tail >= 0) {
        // Only as many files as the tail needs, counted from the newest.
        int64_t lines = 0;
        int need = 0;
        for (;; need++) {
            file_name(path, need, name);
            lines += count_lines(name);
            if (lines >= o->tail || need == oldest)
                break;
        }
        oldest = need;
        r.skip = lines > o->tail ? lines - o->tail : 0;
    }
    for (int i = oldest; i >= 0 && kn_ok(s) && !r.ended; i--) {
        file_name(path, i, name);
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && i == 0)
            s = kn_error_errno(errno, "open the log");
        if (fd < 0)
            continue;
        s = i == 0 && o->follow ? follow(&r, path, &fd) : read_on(&r, fd);
        close(fd);
    }
    kn_buf_done(&r.rest);
    return s;
}
