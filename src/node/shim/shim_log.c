// The CRI log: "<RFC 3339, nanoseconds> stdout|stderr F|P text". What does not end with a line
// feed is written at once as a partial record, so that nothing waits in memory.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

static char out[40960];

void shim_log_open(struct shim_log *l, const char *path, uint64_t max, uint32_t files)
{
    l->fd = -1;
    l->path = NULL;
    if (!*path)
        return;
    l->path = strdup(path);
    l->max = max ? max : 10u << 20;
    l->files = files ? files : 5;
    l->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    off_t end = l->fd >= 0 ? lseek(l->fd, 0, SEEK_END) : 0;
    l->size = end > 0 ? (uint64_t)end : 0;
}

static void rotate(struct shim_log *l)
{
    char from[4096], to[4096];
    for (uint32_t i = l->files - 1; i > 0; i--) {
        snprintf(to, sizeof to, "%s.%u", l->path, (unsigned)i);
        if (i > 1)
            snprintf(from, sizeof from, "%s.%u", l->path, (unsigned)i - 1);
        else
            snprintf(from, sizeof from, "%s", l->path);
        rename(from, to);
    }
    int fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return; // better a log that is too large than none
    close(l->fd);
    l->fd = fd;
    l->size = 0;
}

static void put(struct shim_log *l, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(l->fd, out + at, len - at);
        if (n <= 0)
            break; // a full disk loses log lines, never the container
        at += (size_t)n;
    }
    l->size += len;
}

static size_t stamp(char *to)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    return (size_t)snprintf(to, 40, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", tm.tm_year + 1900,
                            tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                            now.tv_nsec);
}

void shim_log_write(struct shim_log *l, int stream, const char *bytes, size_t len)
{
    if (l->fd < 0 || len == 0)
        return;
    char prefix[64];
    size_t head = stamp(prefix);
    head += (size_t)snprintf(prefix + head, 16, " std%s ", stream ? "err" : "out");
    size_t used = 0;
    while (len) {
        const char *nl = memchr(bytes, '\n', len);
        size_t n = nl ? (size_t)(nl - bytes) : len;
        if (n > 16384) {
            n = 16384;
            nl = NULL;
        }
        if (used + head + n + 3 > sizeof out) {
            put(l, used);
            used = 0;
        }
        if (l->size + used > 0 && l->size + used + n > l->max && !l->partial[stream]) {
            put(l, used);
            used = 0;
            rotate(l);
        }
        memcpy(out + used, prefix, head);
        used += head;
        out[used++] = nl ? 'F' : 'P';
        out[used++] = ' ';
        memcpy(out + used, bytes, n);
        used += n;
        out[used++] = '\n';
        l->partial[stream] = !nl;
        n += nl ? 1 : 0;
        bytes += n;
        len -= n;
    }
    put(l, used);
}

void shim_log_end(struct shim_log *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    free(l->path);
    l->path = NULL;
}
