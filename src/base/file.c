#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/secret.h"

struct kn_status kn_file_read(const char *path, size_t max, struct kn_buf *out)
{
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    size_t total = 0;
    for (;;) {
        size_t room = out->max - out->len;
        char beyond; // where the first byte that is too much goes
        if (room && !kn_buf_room(out, room < 4096 ? room : 4096))
            return kn_wrap(kn_buf_status(out, "the file"), "read %s", path);
        ssize_t n = room ? read(fd, out->ptr + out->len,
                                out->cap - out->len - 1 < room ? out->cap - out->len - 1 : room)
                         : read(fd, &beyond, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kn_error_errno(errno, "read %s", path);
        if (n == 0)
            break;
        total += (size_t)n;
        if (room == 0 || total > max)
            return kn_error(KN_TOO_LARGE, "read %s: it is larger than %zu bytes", path,
                            room == 0 ? out->max : max);
        out->len += (size_t)n;
    }
    if (!out->ptr)
        return KN_STATUS_OK;
    out->ptr[out->len] = '\0';
    return KN_STATUS_OK;
}

struct kn_status kn_file_read_secret(const char *path, size_t max, struct kn_secret **ret)
{
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return kn_error_errno(errno, "open %s", path);
    if (!S_ISREG(st.st_mode) || (size_t)st.st_size > max)
        return kn_error(KN_TOO_LARGE, "read %s: it is no file of at most %zu bytes", path, max);
    size_t len = (size_t)st.st_size;
    KN_CLEANUP(kn_secret_cleanup) struct kn_secret *s = kn_secret_new(len);
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, kn_secret_bytes(s) + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kn_error_errno(errno, "read %s", path);
        if (n == 0)
            return kn_error(KN_UNAVAILABLE, "read %s: it became shorter meanwhile", path);
        at += (size_t)n;
    }
    *ret = s;
    s = NULL;
    return KN_STATUS_OK;
}

struct kn_status kn_fd_write_all(int fd, struct kn_sv bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kn_error_errno(errno, "write");
        bytes = kn_sv_from(bytes, (size_t)n);
    }
    return KN_STATUS_OK;
}

static void sync_folder_of(const char *path)
{
    ptrdiff_t slash = kn_sv_rfind(kn_sv_c(path), '/');
    KN_CLEANUP(kn_cleanup_free)
    char *dir = slash < 0    ? kn_sv_dup(KN_SV("."))
                : slash == 0 ? kn_sv_dup(KN_SV("/"))
                             : kn_sv_dup(kn_sv(path, (size_t)slash));
    KN_CLEANUP(kn_cleanup_fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
}

struct kn_status kn_file_write(const char *path, struct kn_sv bytes, mode_t mode, bool durable)
{
    KN_CLEANUP(kn_cleanup_free) char *tmp = NULL;
    if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
        abort();
    KN_CLEANUP(kn_cleanup_fd) int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "create %s", tmp);
    struct kn_status s = kn_fd_write_all(fd, bytes);
    if (kn_ok(s) && (fchmod(fd, mode) < 0 || (durable && fsync(fd) < 0) || rename(tmp, path) < 0))
        s = kn_error_errno(errno, "write");
    if (!kn_ok(s)) {
        unlink(tmp);
        return kn_wrap(s, "%s", path);
    }
    if (durable)
        sync_folder_of(path);
    return KN_STATUS_OK;
}

bool kn_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

struct kn_status kn_dir_make(const char *path, mode_t mode)
{
    KN_CLEANUP(kn_cleanup_free) char *p = kn_sv_dup(kn_sv_c(path));
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        char c = *s;
        *s = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return kn_error_errno(errno, "make the folder %s", p);
        *s = c;
        if (c == '\0')
            return KN_STATUS_OK;
    }
}

// -- below a folder ----------------------------------------------------------------------------

int kn_open_below(int root, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
}

int kn_dir_open_below(int root, const char *path, mode_t mode, uint64_t resolve)
{
    char upto[PATH_MAX];
    int above = kn_open_below(root, path, O_PATH | O_DIRECTORY, resolve);
    if (above >= 0 || errno != ENOENT || strlen(path) >= sizeof upto)
        return above;
    above = kn_open_below(root, "", O_PATH | O_DIRECTORY, resolve);
    for (const char *from = path; above >= 0;) {
        size_t len = strcspn(from, "/");
        snprintf(upto, sizeof upto, "%.*s", (int)(from - path + (ptrdiff_t)len), path);
        int fd = kn_open_below(root, upto, O_PATH | O_DIRECTORY, resolve);
        if (fd < 0 && errno == ENOENT &&
            (mkdirat(above, upto + (from - path), mode) == 0 || errno == EEXIST))
            fd = kn_open_below(root, upto, O_PATH | O_DIRECTORY, resolve);
        int err = errno;
        close(above);
        errno = err;
        above = fd;
        if (!from[len])
            break;
        from += len + 1;
    }
    return above;
}

// -- removing a tree ---------------------------------------------------------------------------
//
// Trees may be as deep as somebody wanted them, so neither the stack nor the descriptors may grow
// with them: what lies deeper than DEPTH_MAX is moved up into the top folder and removed from
// there.

#define DEPTH_MAX 32

struct removal {
    const char *path; // for messages
    int top;
    dev_t dev;
    unsigned serial, moved;
};

static struct kn_status move_up(struct removal *r, int at, const char *name)
{
    char fresh[32];
    do
        snprintf(fresh, sizeof fresh, ".removed-%u", r->serial++);
    while (renameat2(at, name, r->top, fresh, RENAME_NOREPLACE) < 0 && errno == EEXIST);
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return kn_error(KN_CONFLICT, "remove %s in %s: it cannot be moved away", name, r->path);
    r->moved++;
    return KN_STATUS_OK;
}

static struct kn_status remove_at(struct removal *r, int at, const char *name, unsigned depth);

static struct kn_status remove_entries(struct removal *r, DIR *dir, unsigned depth)
{
    struct kn_status s = KN_STATUS_OK;
    for (struct dirent *e; kn_ok(s) && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            s = remove_at(r, dirfd(dir), e->d_name, depth);
    return s;
}

// Opens a folder of the tree. NULL and an error, also if something is mounted there.
static DIR *open_folder(struct removal *r, int at, const char *name, struct kn_status *ret)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    DIR *dir = NULL;
    if (fd < 0 || fstat(fd, &st) < 0)
        *ret = kn_error_errno(errno, "open %s in %s", name, r->path);
    else if (r->dev && st.st_dev != r->dev)
        *ret = kn_error(KN_CONFLICT, "remove %s in %s: something is mounted there", name, r->path);
    else if (!(dir = fdopendir(fd)))
        *ret = kn_error_errno(errno, "read the folder %s in %s", name, r->path);
    else
        r->dev = st.st_dev;
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

static struct kn_status remove_folder(struct removal *r, int at, const char *name)
{
    if (unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return kn_error_errno(errno, "remove the folder %s in %s", name, r->path);
    return KN_STATUS_OK;
}

static struct kn_status remove_at(struct removal *r, int at, const char *name, unsigned depth)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return KN_STATUS_OK;
    if (errno != EISDIR && errno != EPERM)
        return kn_error_errno(errno, "remove %s in %s", name, r->path);
    if (depth == DEPTH_MAX)
        return unlinkat(at, name, AT_REMOVEDIR) == 0 ? KN_STATUS_OK : move_up(r, at, name);
    struct kn_status s = KN_STATUS_OK;
    DIR *dir = open_folder(r, at, name, &s);
    if (!dir)
        return s;
    s = remove_entries(r, dir, depth + 1);
    closedir(dir);
    return kn_ok(s) ? remove_folder(r, at, name) : s;
}

struct kn_status kn_dir_remove(const char *path)
{
    struct removal r = {.path = path};
    struct kn_status s = KN_STATUS_OK;
    if (unlink(path) == 0 || errno == ENOENT)
        return s;
    if (errno != EISDIR && errno != EPERM)
        return kn_error_errno(errno, "remove %s", path);
    DIR *dir = open_folder(&r, AT_FDCWD, path, &s);
    if (!dir)
        return s;
    r.top = dirfd(dir);
    do {
        r.moved = 0;
        rewinddir(dir);
        s = remove_entries(&r, dir, 1);
    } while (kn_ok(s) && r.moved);
    closedir(dir);
    return kn_ok(s) ? remove_folder(&r, AT_FDCWD, path) : s;
}
