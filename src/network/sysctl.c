#include "network/sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "base/file.h"

#define VALUE_MAX 256
#define READ_ROOM (16u << 10) // kn_file_read wants some to spare

static struct kn_status put(const char *name, struct kn_sv value)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    return kn_wrap(kn_fd_write_all(fd, value), "write %.*s to %s", KN_SV_ARG(value), path);
}

static struct kn_status remember(const char *dir, const char *name, struct kn_sv value)
{
    char path[PATH_MAX];
    size_t at = (size_t)snprintf(path, sizeof path, "%s/", dir);
    snprintf(path + at, sizeof path - at, "%s", name);
    for (char *p = path + at; *p; p++)
        if (*p == '/')
            *p = ':';
    if (kn_file_exists(path))
        return KN_STATUS_OK;
    KN_TRY(kn_dir_make(dir, 0755));
    return kn_file_write(path, value, 0644, false);
}

struct kn_status kn_sysctl_set(const char *dir, const char *name, const char *value)
{
    char path[PATH_MAX];
    struct kn_buf old = KN_BUF(READ_ROOM);
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    struct kn_status s = kn_file_read(path, VALUE_MAX, &old);
    struct kn_sv was = kn_sv_trim(kn_buf_sv(&old));
    if (kn_ok(s) && !kn_sv_is(was, value)) {
        if (dir)
            s = remember(dir, name, was);
        if (kn_ok(s))
            s = put(name, kn_sv_c(value));
    }
    kn_buf_done(&old);
    return s;
}

static struct kn_status restore_one(const char *dir, const char *file)
{
    char path[PATH_MAX], name[NAME_MAX + 1];
    struct kn_buf value = KN_BUF(READ_ROOM);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    snprintf(name, sizeof name, "%s", file);
    for (char *p = name; *p; p++)
        if (*p == ':')
            *p = '/';
    struct kn_status s = kn_file_read(path, VALUE_MAX, &value);
    if (kn_ok(s))
        s = put(name, kn_buf_sv(&value));
    kn_buf_done(&value);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    if (kn_ok(s))
        unlink(path);
    return s;
}

struct kn_status kn_sysctl_restore(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? KN_STATUS_OK : kn_error_errno(errno, "open the folder %s", dir);
    struct kn_status s = KN_STATUS_OK;
    for (struct dirent *e; kn_ok(s) && (e = readdir(d));)
        if (e->d_name[0] != '.')
            s = restore_one(dir, e->d_name);
    closedir(d);
    return s;
}
