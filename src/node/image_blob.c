// Blobs of the image store: writing, resuming, checking, reading.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/file.h"
#include "node/image_ref.h"
#include "node/image_store_impl.h"

struct kn_blob {
    struct kn_images *images;
    int fd;
    int64_t size;
    struct kn_sha256 *hash;
    char path[PATH_MAX];
};

void kn_images_blob_path(struct kn_images *s, struct kn_sv digest, char *out, size_t size)
{
    snprintf(out, size, "%s/blobs/sha256/%.*s", s->dir, (int)(digest.len > 7 ? digest.len - 7 : 0),
             digest.ptr + (digest.len > 7 ? 7 : 0));
}

bool kn_images_has_blob(struct kn_images *s, struct kn_sv digest)
{
    char path[PATH_MAX];
    kn_images_blob_path(s, digest, path, sizeof path);
    return kn_digest_is_valid(digest) && kn_file_exists(path);
}

struct kn_status kn_blob_new(struct kn_images *s, struct kn_blob **ret)
{
    struct kn_blob *b = KN_NEW(struct kn_blob);
    b->images = s;
    snprintf(b->path, sizeof b->path, "%s/tmp/blob.XXXXXX", s->dir);
    b->fd = mkostemp(b->path, O_CLOEXEC);
    if (b->fd < 0) {
        int err = errno;
        free(b);
        return kn_error_errno(err, "create a file in %s/tmp", s->dir);
    }
    b->hash = kn_sha256_new();
    *ret = b;
    return KN_STATUS_OK;
}

struct kn_status kn_blob_resume(struct kn_images *s, struct kn_sv digest, struct kn_blob **ret,
                                int64_t *ret_have)
{
    struct kn_blob *b = KN_NEW(struct kn_blob);
    b->images = s;
    snprintf(b->path, sizeof b->path, "%s/resume/%.*s", s->dir, KN_SV_ARG(kn_sv_from(digest, 7)));
    b->fd = open(b->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (b->fd < 0) {
        struct kn_status st = kn_error_errno(errno, "create %s", b->path);
        free(b);
        return st;
    }
    b->hash = kn_sha256_new();
    char chunk[65536];
    for (ssize_t n; (n = read(b->fd, chunk, sizeof chunk)) > 0; b->size += n)
        kn_sha256_add(b->hash, kn_sv(chunk, (size_t)n));
    *ret_have = b->size;
    *ret = b;
    return KN_STATUS_OK;
}

struct kn_status kn_blob_add(struct kn_blob *b, struct kn_sv bytes)
{
    KN_TRY(kn_wrap(kn_fd_write_all(b->fd, bytes), "%s", b->path));
    kn_sha256_add(b->hash, bytes);
    b->size += (int64_t)bytes.len;
    return KN_STATUS_OK;
}

struct kn_status kn_blob_restart(struct kn_blob *b)
{
    if (ftruncate(b->fd, 0) < 0 || lseek(b->fd, 0, SEEK_SET) < 0)
        return kn_error_errno(errno, "empty %s", b->path);
    kn_sha256_free(b->hash);
    b->hash = kn_sha256_new();
    b->size = 0;
    return KN_STATUS_OK;
}

void kn_blob_free(struct kn_blob *b, bool keep)
{
    if (!b)
        return;
    if (!keep)
        unlink(b->path);
    close(b->fd);
    kn_sha256_free(b->hash);
    free(b);
}

struct kn_status kn_blob_commit(struct kn_blob *b, struct kn_sv expected, struct kn_arena *a,
                                struct kn_sv *ret_digest, int64_t *ret_size)
{
    uint8_t sum[KN_SHA256_LEN];
    char digest[80] = "sha256:", path[PATH_MAX];
    kn_sha256_take(b->hash, sum);
    b->hash = NULL;
    kn_hex(sum, sizeof sum, digest + 7);
    struct kn_status st = KN_STATUS_OK;
    if (expected.len && !kn_sv_is(expected, digest))
        st = kn_error(KN_INVALID, "digest mismatch: expected %.*s, got %s", KN_SV_ARG(expected),
                      digest);
    kn_images_blob_path(b->images, kn_sv_c(digest), path, sizeof path);
    if (kn_ok(st) && (fchmod(b->fd, 0644) < 0 || fsync(b->fd) < 0 || rename(b->path, path) < 0))
        st = kn_error_errno(errno, "store the blob %s", digest);
    if (kn_ok(st) && ret_digest)
        *ret_digest = kn_arena_dup(a, kn_sv_c(digest));
    if (kn_ok(st) && ret_size)
        *ret_size = b->size;
    kn_blob_free(b, kn_ok(st));
    return st;
}

struct kn_status kn_images_write_blob(struct kn_images *s, struct kn_sv bytes, struct kn_arena *a,
                                      struct kn_sv *ret_digest)
{
    struct kn_blob *b;
    KN_TRY(kn_blob_new(s, &b));
    struct kn_status st = kn_blob_add(b, bytes);
    if (!kn_ok(st)) {
        kn_blob_free(b, false);
        return st;
    }
    return kn_blob_commit(b, KN_SV_NULL, a, ret_digest, NULL);
}

struct kn_status kn_images_read_blob(struct kn_images *s, struct kn_sv digest, size_t max,
                                     struct kn_arena *a, struct kn_sv *ret)
{
    char path[PATH_MAX], hex[2 * KN_SHA256_LEN + 1];
    uint8_t sum[KN_SHA256_LEN];
    if (!kn_digest_is_valid(digest))
        return kn_error(KN_INVALID, "\"%.*s\" is no digest", KN_SV_ARG(digest));
    kn_images_blob_path(s, digest, path, sizeof path);
    struct kn_buf text = KN_BUF(max + 4097);
    struct kn_status st = kn_file_read(path, max, &text);
    if (kn_ok(st)) {
        kn_sha256(kn_buf_sv(&text), sum);
        kn_hex(sum, sizeof sum, hex);
        if (!kn_sv_is(kn_sv_from(digest, 7), hex))
            st = kn_error(KN_INVALID, "the file %s is damaged: its digest is sha256:%s", path, hex);
    }
    if (kn_ok(st)) {
        *ret = kn_arena_dup(a, kn_buf_sv(&text));
        if (kn_arena_failed(a))
            st = kn_arena_error(a, "a blob");
    }
    kn_buf_done(&text);
    return st;
}

struct kn_status kn_images_each_manifest(struct kn_images *s, struct kn_arena *a,
                                         bool (*in_use)(void *arg, struct kn_sv id), void *arg,
                                         struct kn_map *blobs, struct kn_map *layers,
                                         void (*keep)(struct kn_map *blobs, struct kn_map *layers,
                                                      const struct kn_image *i))
{
    char path[PATH_MAX], digest[80];
    struct stat st;
    snprintf(path, sizeof path, "%s/blobs/sha256", s->dir);
    DIR *dir = in_use ? opendir(path) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(path, sizeof path, "%s/blobs/sha256/%s", s->dir, e->d_name);
        snprintf(digest, sizeof digest, "sha256:%s", e->d_name);
        if (!kn_digest_is_valid(kn_sv_c(digest)) || stat(path, &st) < 0 || st.st_size > 65536)
            continue;
        struct kn_image image = {0};
        struct kn_status decoded = kn_image_decode(s, kn_sv_c(digest), a, &image);
        if (kn_ok(decoded) && in_use(arg, image.id))
            keep(blobs, layers, &image);
        kn_status_done(&decoded); // most blobs are no manifests
    }
    if (dir)
        closedir(dir);
    return KN_STATUS_OK;
}

const char *kn_image_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
#error "which name do image indexes use for this machine?"
#endif
}

struct kn_status kn_image_choose_platform(const struct kn_json *index, struct kn_sv *ret_digest)
{
    struct kn_buf seen = KN_BUF(512);
    const struct kn_json *m;
    KN_JSON_EACH(m, kn_json_get(index, KN_K_manifests)) {
        const struct kn_json *p = kn_json_get(m, KN_K_platform);
        struct kn_sv os = kn_json_str(kn_json_get(p, KN_K_os));
        struct kn_sv arch = kn_json_str(kn_json_get(p, KN_K_architecture));
        if (!p || (kn_sv_is(os, "linux") && kn_sv_is(arch, kn_image_architecture()))) {
            *ret_digest = kn_json_str(kn_json_get(m, KN_K_digest));
            kn_buf_done(&seen);
            return KN_STATUS_OK;
        }
        kn_buf_addf(&seen, "%s%.*s/%.*s", seen.len ? ", " : "", KN_SV_ARG(os), KN_SV_ARG(arch));
    }
    struct kn_status st = kn_error(KN_NOT_FOUND,
                                   "no match for platform linux/%s in manifest (there are: %s)",
                                   kn_image_architecture(), kn_buf_cstr(&seen));
    kn_buf_done(&seen);
    return st;
}
