// The two ends of a build: Debian packages into a folder, and the folder into a layer.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/process.h"
#include "node/image_build_impl.h"
#include "node/image_unpack.h"

#define DOWNLOAD_DEADLINE (600 * KN_SECOND)

static void say(const struct build *b, const char *sentence)
{
    if (b->o->progress)
        b->o->progress(b->o->arg, sentence);
}

static struct kn_status read_pipe(void *arg, void *out, size_t max, size_t *ret_n)
{
    for (;;) {
        ssize_t n = read(*(int *)arg, out, max);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kn_error_errno(errno, "read from dpkg-deb");
        *ret_n = (size_t)n;
        return KN_STATUS_OK;
    }
}

static struct kn_status unpack_package(const struct build *b, const char *deb)
{
    int pipes[2], code;
    pid_t pid;
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return kn_error_errno(errno, "make a pipe");
    const char *const argv[] = {"dpkg-deb", "--fsys-tarfile", deb, NULL};
    struct kn_spawn spawn = {.argv = argv, .in = -1, .out = pipes[1], .err = -1};
    struct kn_status s = kn_process_spawn(&spawn, &pid);
    close(pipes[1]);
    if (!kn_ok(s)) {
        close(pipes[0]);
        return s;
    }
    KN_CLEANUP(kn_cleanup_fd) int root = open(b->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s = kn_unpack((struct kn_source){read_pipe, &pipes[0]}, root,
                  &(struct kn_unpack_options){.keep_links = true});
    char dump[4096];
    while (kn_ok(s) && read(pipes[0], dump, sizeof dump) > 0)
        ; // what follows the archive's end
    close(pipes[0]);
    struct kn_status waited = kn_process_wait(pid, &code);
    if (kn_ok(s) && kn_ok(waited) && code != 0)
        s = kn_error(KN_IO, "dpkg-deb failed with exit code %d", code);
    kn_status_done(&waited);
    return kn_wrap(s, "unpack %s", deb);
}

// apt's answer for an empty machine: the packages and everything that they depend on. Lines are
// 'URI' FILE SIZE HASH.
static struct kn_status unpack_listed(const struct build *b, struct kn_sv uris)
{
    int count = 0;
    while (uris.len) {
        char deb[PATH_MAX];
        struct kn_sv line = kn_sv_cut(&uris, '\n');
        if (!line.len || line.ptr[0] != '\'')
            continue;
        (void)kn_sv_cut(&line, ' ');
        struct kn_sv file = kn_sv_cut(&line, ' ');
        snprintf(deb, sizeof deb, "%s/archives/%.*s", b->o->cache, KN_SV_ARG(file));
        KN_TRY(unpack_package(b, deb));
        count++;
    }
    return count ? KN_STATUS_OK : kn_error(KN_NOT_FOUND, "apt-get names no package");
}

// Debian's merged /usr: the links that its base-files would make before anything is unpacked.
static struct kn_status prepare_root(const struct build *b)
{
    static const char *const merged[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
    for (size_t i = 0; i < KN_ARRAY_LEN(merged); i++) {
        char real[PATH_MAX], link[PATH_MAX], target[32];
        snprintf(real, sizeof real, "%s/usr/%s", b->root, merged[i]);
        snprintf(link, sizeof link, "%s/%s", b->root, merged[i]);
        snprintf(target, sizeof target, "usr/%s", merged[i]);
        KN_TRY(kn_dir_make(real, 0755));
        if (symlink(target, link) < 0 && errno != EEXIST)
            return kn_error_errno(errno, "link %s", link);
    }
    return KN_STATUS_OK;
}

struct kn_status kn_build_packages(struct build *b, const struct kn_sv *names, size_t len)
{
    const char *argv[96];
    char cache[PATH_MAX], partial[PATH_MAX];
    size_t n = 0;
    snprintf(partial, sizeof partial, "%s/archives/partial", b->o->cache);
    KN_TRY(kn_dir_make(partial, 0755));
    KN_TRY(prepare_root(b));
    snprintf(cache, sizeof cache, "Dir::Cache=%s", b->o->cache);
    const char *const fixed[] = {"apt-get",
                                 "-y",
                                 "-q",
                                 "-o",
                                 "Dir::State::status=/dev/null",
                                 "-o",
                                 cache,
                                 "-o",
                                 "APT::Install-Recommends=false",
                                 "-o",
                                 "Debug::NoLocking=true",
                                 "-o",
                                 "APT::Sandbox::User=root",
                                 "-o",
                                 "APT::Get::AllowUnauthenticated=false"};
    for (size_t i = 0; i < KN_ARRAY_LEN(fixed); i++)
        argv[n++] = fixed[i];
    size_t mode = n++;
    argv[n++] = "install";
    for (size_t i = 0; i < len && n < KN_ARRAY_LEN(argv) - 1; i++)
        argv[n++] = kn_arena_dup(b->a, names[i]).ptr;
    argv[n] = NULL;
    struct kn_buf uris = KN_BUF(1u << 20);
    say(b, "resolving and downloading packages");
    argv[mode] = "--download-only";
    struct kn_status s = kn_process_run(argv, KN_SV_NULL, NULL, kn_mono() + DOWNLOAD_DEADLINE);
    // What is in the cache already is not listed: an empty one is named for the question.
    snprintf(cache, sizeof cache, "Dir::Cache=%s/none", b->o->cache);
    argv[mode] = "--print-uris";
    if (kn_ok(s))
        s = kn_process_run(argv, KN_SV_NULL, &uris, kn_mono() + DOWNLOAD_DEADLINE);
    else
        s = kn_wrap(s, "download Debian packages (is there a mirror in /etc/apt, and has \"apt-get "
                       "update\" been run?)");
    say(b, "unpacking packages");
    if (kn_ok(s))
        s = unpack_listed(b, kn_buf_sv(&uris));
    kn_buf_done(&uris);
    return s;
}

// -- the layer -------------------------------------------------------------------------------

struct packer {
    struct kn_blob *blob;
    struct kn_buf head;
    char chunk[65536];
};

static struct kn_status pack_content(struct packer *p, int dir, const char *name, uint64_t size)
{
    KN_CLEANUP(kn_cleanup_fd) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", name);
    uint64_t left = size;
    while (left) {
        ssize_t n = read(fd, p->chunk, left < sizeof p->chunk ? (size_t)left : sizeof p->chunk);
        if (n <= 0)
            return kn_error(KN_IO, "read %s: it has become shorter", name);
        KN_TRY(kn_blob_add(p->blob, kn_sv(p->chunk, (size_t)n)));
        left -= (uint64_t)n;
    }
    memset(p->chunk, 0, 512);
    return kn_blob_add(p->blob, kn_sv(p->chunk, kn_tar_padding(size)));
}

static struct kn_status pack_folder(struct packer *p, int parent, const char *name,
                                    const char *path);

static struct kn_status pack_one(struct packer *p, int dir, const char *name, const char *path)
{
    struct stat st;
    char link[PATH_MAX];
    struct kn_tar_entry e = {.path = kn_sv_c(path)};
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return kn_error_errno(errno, "look at %s", path);
    e.mode = st.st_mode & 07777;
    e.uid = st.st_uid;
    e.gid = st.st_gid;
    switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
        e.type = KN_TAR_DIR;
        break;
    case S_IFREG:
        e.type = KN_TAR_FILE;
        e.size = (uint64_t)st.st_size;
        break;
    case S_IFLNK: {
        ssize_t n = readlinkat(dir, name, link, sizeof link);
        if (n < 0)
            return kn_error_errno(errno, "read the link %s", path);
        e.type = KN_TAR_SYMLINK;
        e.link = kn_sv(link, (size_t)n);
        e.mode = 0777;
        break;
    }
    default:
        return KN_STATUS_OK; // devices and sockets are made by who runs the image
    }
    // Times would make two builds differ.
    kn_buf_clear(&p->head);
    kn_tar_write_header(&p->head, &e);
    KN_TRY(kn_buf_status(&p->head, "a header"));
    KN_TRY(kn_blob_add(p->blob, kn_buf_sv(&p->head)));
    if (e.type == KN_TAR_FILE)
        return pack_content(p, dir, name, e.size);
    return e.type == KN_TAR_DIR ? pack_folder(p, dir, name, path) : KN_STATUS_OK;
}

static struct kn_status pack_folder(struct packer *p, int parent, const char *name,
                                    const char *path)
{
    struct dirent **list;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    int n = scandirat(fd, ".", &list, NULL, alphasort);
    struct kn_status s = n < 0 ? kn_error_errno(errno, "read the folder %s", path) : KN_STATUS_OK;
    for (int i = 0; i < n; i++) {
        const char *child = list[i]->d_name;
        char *full = NULL;
        if (kn_ok(s) && strcmp(child, ".") != 0 && strcmp(child, "..") != 0) {
            if (asprintf(&full, "%s%s%s", path, *path ? "/" : "", child) < 0)
                abort();
            s = pack_one(p, fd, child, full);
            free(full);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    close(fd);
    return s;
}

struct kn_status kn_build_layer(struct build *b, struct kn_sv *ret_digest, int64_t *ret_size)
{
    struct packer *p = KN_NEW(struct packer);
    kn_buf_init(&p->head, 1u << 20);
    say(b, "writing the layer");
    struct kn_status s = kn_blob_new(b->s, &p->blob);
    if (kn_ok(s)) {
        s = pack_folder(p, AT_FDCWD, b->root, "");
        memset(p->chunk, 0, KN_TAR_TRAILER);
        if (kn_ok(s))
            s = kn_blob_add(p->blob, kn_sv(p->chunk, KN_TAR_TRAILER));
        if (kn_ok(s))
            s = kn_blob_commit(p->blob, KN_SV_NULL, b->a, ret_digest, ret_size);
        else
            kn_blob_free(p->blob, false);
    }
    kn_buf_done(&p->head);
    free(p);
    return s;
}
