#include "node/image_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/mem.h"

struct unpack {
    int root;
    const struct kn_unpack_options *o;
    uint64_t left;
    int parent; // of the entry before this one: entries of a folder come together
    char parent_path[PATH_MAX];
    char chunk[65536];
};

static int open_inside(int root, const char *path, uint64_t flags)
{
    return kn_open_below(root, path, flags, RESOLVE_IN_ROOT);
}

// The folder of a path, made where it is missing.
static struct kn_status open_folder(struct unpack *u, const char *path, int *ret)
{
    if (u->parent >= 0 && strcmp(path, u->parent_path) == 0) {
        *ret = u->parent;
        return KN_STATUS_OK;
    }
    if (u->parent >= 0)
        close(u->parent);
    u->parent = kn_dir_open_below(u->root, path, 0755, RESOLVE_IN_ROOT);
    if (u->parent < 0)
        return kn_error_errno(errno, "make or open the folder %s", path);
    snprintf(u->parent_path, sizeof u->parent_path, "%s", path);
    *ret = u->parent;
    return KN_STATUS_OK;
}

// "./a//b/" becomes "a/b"; false for what names the root itself, or climbs by "..".
static bool clean_path(struct kn_sv path, char out[PATH_MAX])
{
    size_t len = 0;
    struct kn_sv rest = path;
    do {
        struct kn_sv part = kn_sv_cut(&rest, '/');
        if (part.len == 0 || kn_sv_is(part, "."))
            continue;
        if (kn_sv_is(part, "..") || len + part.len + 2 > PATH_MAX || part.len > NAME_MAX)
            return false;
        if (len)
            out[len++] = '/';
        memcpy(out + len, part.ptr, part.len);
        len += part.len;
    } while (rest.ptr);
    out[len] = '\0';
    return len > 0;
}

static void remove_old(int dir, const char *name, bool keep_folder)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (keep_folder && S_ISDIR(st.st_mode)))
        return;
    if (unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0 && errno == ENOTEMPTY) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
        KN_IGNORE(kn_dir_remove(path));
    }
}

static struct kn_status copy_content(struct unpack *u, struct kn_tar *t, int fd, uint64_t size)
{
    if (size > u->left)
        return kn_error(KN_TOO_LARGE, "the files of the archive are larger than allowed");
    u->left -= size;
    for (;;) {
        size_t n;
        KN_TRY(kn_tar_read(t, u->chunk, sizeof u->chunk, &n));
        if (n == 0)
            return KN_STATUS_OK;
        KN_TRY(kn_fd_write_all(fd, kn_sv(u->chunk, n)));
    }
}

static struct kn_status make_file(struct unpack *u, struct kn_tar *t, const struct kn_tar_entry *e,
                                  int dir, const char *name)
{
    KN_CLEANUP(kn_cleanup_fd)
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return kn_error_errno(errno, "create");
    return copy_content(u, t, fd, e->size);
}

static struct kn_status make_hard_link(struct unpack *u, const struct kn_tar_entry *e, int dir,
                                       const char *name)
{
    char target[PATH_MAX], self[64];
    if (!clean_path(e->link, target))
        return kn_error(KN_INVALID, "link to \"%.*s\": the name leads out of the archive",
                        KN_SV_ARG(e->link));
    KN_CLEANUP(kn_cleanup_fd) int fd = open_inside(u->root, target, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return kn_error_errno(errno, "link to %s", target);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) < 0)
        return kn_error_errno(errno, "link to %s", target);
    return KN_STATUS_OK;
}

static struct kn_status make_node(struct unpack *u, const struct kn_tar_entry *e, int dir,
                                  const char *name)
{
    mode_t kind = e->type == KN_TAR_CHAR ? S_IFCHR : e->type == KN_TAR_BLOCK ? S_IFBLK : S_IFIFO;
    if (u->o->plain_owner && kind != S_IFIFO)
        return kn_error(KN_INVALID, "device nodes do not belong into this archive");
    if (mknodat(dir, name, kind | 0600, makedev(e->major, e->minor)) < 0)
        return kn_error_errno(errno, "make the device node");
    return KN_STATUS_OK;
}

static struct kn_status set_attributes(struct unpack *u, const struct kn_tar_entry *e, int dir,
                                       const char *name)
{
    char self[PATH_MAX];
    bool link = e->type == KN_TAR_SYMLINK;
    if (!u->o->plain_owner && fchownat(dir, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return kn_error_errno(errno, "set the owner");
    // After the owner: chown takes set-id bits and capabilities away.
    if (!link && fchmodat(dir, name, e->mode, 0) < 0)
        return kn_error_errno(errno, "set the mode");
    snprintf(self, sizeof self, "/proc/self/fd/%d/%s", dir, name);
    for (size_t i = 0; i < e->xattrs_len && !u->o->plain_owner; i++) {
        char key[XATTR_NAME_MAX + 1];
        struct kn_sv n = e->xattrs[i].name;
        // The overlay's own attributes would let a layer point at files of the machine.
        if (kn_sv_starts(n, KN_SV("trusted.")) || n.len > XATTR_NAME_MAX)
            continue;
        snprintf(key, sizeof key, "%.*s", KN_SV_ARG(n));
        if (lsetxattr(self, key, e->xattrs[i].value.ptr, e->xattrs[i].value.len, 0) < 0 &&
            errno != ENOTSUP && errno != EPERM)
            return kn_error_errno(errno, "set the attribute %s", key);
    }
    struct timespec times[2] = {{0, UTIME_OMIT},
                                {e->mtime_ns / 1000000000, e->mtime_ns % 1000000000}};
    if (times[1].tv_nsec >= 0)
        utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
    return KN_STATUS_OK;
}

// ".wh.NAME": NAME of a layer below is gone. ".wh..wh..opq": so is everything in the folder.
static struct kn_status make_whiteout(int dir, const char *name)
{
    char self[64];
    if (strcmp(name, ".wh..wh..opq") == 0) {
        snprintf(self, sizeof self, "/proc/self/fd/%d", dir);
        if (setxattr(self, "trusted.overlay.opaque", "y", 1, 0) < 0)
            return kn_error_errno(errno, "make the folder opaque");
        return KN_STATUS_OK;
    }
    if (strncmp(name, ".wh..wh.", 8) == 0)
        return KN_STATUS_OK; // bookkeeping of aufs
    const char *victim = name + 4;
    if (!*victim || strcmp(victim, ".") == 0 || strcmp(victim, "..") == 0)
        return kn_error(KN_INVALID, "the whiteout names nothing");
    remove_old(dir, victim, false);
    if (mknodat(dir, victim, S_IFCHR, makedev(0, 0)) < 0)
        return kn_error_errno(errno, "make the whiteout");
    return KN_STATUS_OK;
}

static struct kn_status unpack_one(struct unpack *u, struct kn_tar *t, const struct kn_tar_entry *e)
{
    char path[PATH_MAX];
    int dir;
    if (!clean_path(e->path, path)) {
        struct kn_sv p = kn_sv_trim(e->path);
        bool root =
            e->type == KN_TAR_DIR && (kn_sv_is(p, "./") || kn_sv_is(p, "/") || kn_sv_is(p, "."));
        return root ? set_attributes(u, e, u->root, ".")
                    : kn_error(KN_INVALID, "the name leads out of the archive");
    }
    char *slash = strrchr(path, '/');
    char *name = slash ? slash + 1 : path;
    if (slash)
        *slash = '\0';
    KN_TRY(open_folder(u, slash ? path : "", &dir));
    if (u->o->whiteouts && strncmp(name, ".wh.", 4) == 0)
        return make_whiteout(dir, name);
    struct stat st;
    if (u->o->keep_links && e->type == KN_TAR_DIR && fstatat(dir, name, &st, 0) == 0 &&
        S_ISDIR(st.st_mode))
        return KN_STATUS_OK;
    remove_old(dir, name, e->type == KN_TAR_DIR);
    switch (e->type) {
    case KN_TAR_FILE:
        KN_TRY(make_file(u, t, e, dir, name));
        break;
    case KN_TAR_DIR:
        if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
            return kn_error_errno(errno, "make the folder");
        break;
    case KN_TAR_SYMLINK: {
        char target[PATH_MAX];
        if ((size_t)snprintf(target, sizeof target, "%.*s", KN_SV_ARG(e->link)) >= sizeof target ||
            symlinkat(target, dir, name) < 0)
            return kn_error_errno(errno, "make the link");
        break;
    }
    case KN_TAR_HARD_LINK:
        return make_hard_link(u, e, dir, name);
    case KN_TAR_CHAR:
    case KN_TAR_BLOCK:
    case KN_TAR_FIFO:
        KN_TRY(make_node(u, e, dir, name));
        break;
    case KN_TAR_END:
        break;
    }
    return set_attributes(u, e, dir, name);
}

struct kn_status kn_unpack(struct kn_source source, int dir_fd, const struct kn_unpack_options *o)
{
    struct unpack *u = KN_NEW(struct unpack);
    struct kn_tar *t = kn_tar_new(source);
    const struct kn_tar_entry *e;
    struct kn_status s;
    u->root = dir_fd;
    u->o = o;
    u->parent = -1;
    u->left = o->max_bytes ? o->max_bytes : UINT64_C(64) << 30;
    while (kn_ok(s = kn_tar_next(t, &e)) && e->type != KN_TAR_END) {
        s = unpack_one(u, t, e);
        if (!kn_ok(s)) {
            s = kn_wrap(s, "unpack \"%.*s\"", KN_SV_ARG(e->path));
            break;
        }
    }
    if (u->parent >= 0)
        close(u->parent);
    kn_tar_free(t);
    free(u);
    return s;
}
