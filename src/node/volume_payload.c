#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/file.h"
#include "node/volume.h"

static bool path_is_safe(struct kn_sv path)
{
    struct kn_sv rest = path;
    if (!path.len || path.len > 4000 || path.ptr[0] == '/' || kn_sv_starts(path, KN_SV("..")))
        return false;
    do {
        struct kn_sv part = kn_sv_cut(&rest, '/');
        if (!part.len || kn_sv_is(part, "..") || kn_sv_is(part, "."))
            return false;
    } while (rest.ptr);
    return true;
}

// The folder's name follows from what is in it, so that nothing is written when nothing changed.
static void name_of(const struct kn_payload_file *files, size_t len, int64_t gid, char out[40])
{
    uint8_t sum[KN_SHA256_LEN];
    char hex[2 * KN_SHA256_LEN + 1], number[64];
    struct kn_sha256 *h = kn_sha256_new();
    for (size_t i = 0; i < len; i++) {
        int n = snprintf(number, sizeof number, "%zu %zu %o %lld\n", files[i].path.len,
                         files[i].content.len, (unsigned)files[i].mode, (long long)gid);
        kn_sha256_add(h, kn_sv(number, (size_t)n));
        kn_sha256_add(h, files[i].path);
        kn_sha256_add(h, files[i].content);
    }
    kn_sha256_take(h, sum);
    kn_hex(sum, sizeof sum, hex);
    snprintf(out, 40, "..%.24s", hex);
}

static struct kn_status write_one(const char *folder, const struct kn_payload_file *f, int64_t gid)
{
    char path[PATH_MAX];
    if (!path_is_safe(f->path) ||
        snprintf(path, sizeof path, "%s/%.*s", folder, KN_SV_ARG(f->path)) >= PATH_MAX)
        return kn_error(KN_INVALID, "invalid path \"%.*s\"", KN_SV_ARG(f->path));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    KN_TRY(kn_dir_make(path, 0755));
    *slash = '/';
    KN_CLEANUP(kn_cleanup_fd)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return kn_error_errno(errno, "create %s", path);
    KN_TRY(kn_fd_write_all(fd, f->content));
    uint32_t mode = gid >= 0 ? f->mode | 040 : f->mode;
    if ((gid >= 0 && fchown(fd, (uid_t)-1, (gid_t)gid) < 0) || fchmod(fd, mode) < 0)
        return kn_error_errno(errno, "set the mode of %s", path);
    return KN_STATUS_OK;
}

static struct kn_status link_atomically(const char *target, const char *path)
{
    char tmp[PATH_MAX];
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    unlink(tmp);
    if (symlink(target, tmp) < 0 || rename(tmp, path) < 0)
        return kn_error_errno(errno, "link %s", path);
    return KN_STATUS_OK;
}

// Links for new names, and none for those that are gone.
static struct kn_status link_names(const char *folder, const char *data)
{
    char path[PATH_MAX], target[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, data);
    DIR *d = opendir(path);
    struct kn_status s = d ? KN_STATUS_OK : kn_error_errno(errno, "read %s", path);
    for (struct dirent *e; d && kn_ok(s) && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        snprintf(target, sizeof target, "..data/%s", e->d_name);
        if (symlink(target, path) < 0 && errno != EEXIST)
            s = kn_error_errno(errno, "link %s", path);
    }
    if (d)
        closedir(d);
    d = opendir(folder);
    for (struct dirent *e; d && kn_ok(s) && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (strncmp(e->d_name, "..", 2) == 0) {
            if (e->d_name[2] && strcmp(e->d_name, "..data") != 0 && strcmp(e->d_name, data) != 0)
                s = kn_dir_remove(path);
        } else if (strcmp(e->d_name, ".") != 0) {
            snprintf(target, sizeof target, "%s/%s/%s", folder, data, e->d_name);
            if (!kn_file_exists(target))
                unlink(path);
        }
    }
    if (d)
        closedir(d);
    return s;
}

struct kn_status kn_payload_write(const char *folder, const struct kn_payload_file *files,
                                  size_t len, int64_t gid)
{
    char name[40], path[PATH_MAX], data[PATH_MAX], now[64] = "";
    name_of(files, len, gid, name);
    snprintf(data, sizeof data, "%s/..data", folder);
    ssize_t n = readlink(data, now, sizeof now - 1);
    if (n > 0 && strcmp(now, name) == 0)
        return KN_STATUS_OK;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    KN_TRY(kn_dir_make(folder, 0755));
    KN_TRY(kn_dir_remove(path)); // of an agent that died here
    KN_TRY(kn_dir_make(path, 0755));
    for (size_t i = 0; i < len; i++)
        KN_TRY(write_one(path, &files[i], gid));
    KN_TRY(link_atomically(name, data));
    return link_names(folder, name);
}
