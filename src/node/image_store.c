#include "node/image_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/vec.h"
#include "codec/inflate.h"
#include "node/image_ref.h"
#include "node/image_store_impl.h"
#include "node/image_unpack.h"

#define INDEX_MAX (16u << 20)
#define ANNOTATION_NAME "org.opencontainers.image.ref.name"
#define ANNOTATION_LOCAL "io.knarr.image.local"

// -- the index -------------------------------------------------------------------------------

static struct kn_status index_path(const struct kn_images *s, char out[PATH_MAX])
{
    if (snprintf(out, PATH_MAX, "%s/index.json", s->dir) >= PATH_MAX)
        return kn_error(KN_INVALID, "the folder %s has a name that is too long", s->dir);
    return KN_STATUS_OK;
}

// KN_CONFLICT with LOCK_NB: somebody has it. Closing the descriptor gives it back.
static struct kn_status lock_file(const struct kn_images *s, const char *name, int how, int *ret_fd)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", s->dir, name) >= PATH_MAX)
        return kn_error(KN_INVALID, "the folder %s has a name that is too long", s->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), n;
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    while ((n = flock(fd, how)) < 0 && errno == EINTR)
        ;
    if (n < 0) {
        int err = errno;
        close(fd);
        return err == EWOULDBLOCK ? kn_error(KN_CONFLICT, "%s is locked by another process", path)
                                  : kn_error_errno(err, "lock %s", path);
    }
    *ret_fd = fd;
    return KN_STATUS_OK;
}

static void forget_names(struct kn_images *s)
{
    for (size_t i = 0; i < s->names.len; i++)
        free(s->names.ptr[i].name);
    s->names.len = 0;
}

static void add_name(struct kn_images *s, struct kn_sv name, struct kn_sv digest, int64_t size,
                     bool local)
{
    struct image_name n = {.name = kn_sv_dup(name), .local = local, .size = size};
    snprintf(n.digest, sizeof n.digest, "%.*s", KN_SV_ARG(digest));
    size_t at = 0;
    while (at < s->names.len && strcmp(s->names.ptr[at].name, n.name) < 0)
        at++;
    if (at < s->names.len && strcmp(s->names.ptr[at].name, n.name) == 0) {
        free(s->names.ptr[at].name);
        s->names.ptr[at] = n;
        return;
    }
    KN_VEC_PUSH(&s->names, n);
    memmove(s->names.ptr + at + 1, s->names.ptr + at, (s->names.len - 1 - at) * sizeof n);
    s->names.ptr[at] = n;
}

// Reads the index file unless it is the one that was read last: another process may have changed
// it. Called with the lock held.
static struct kn_status read_index(struct kn_images *s)
{
    char path[PATH_MAX];
    struct stat now;
    KN_TRY(index_path(s, path));
    if (stat(path, &now) < 0) {
        forget_names(s);
        return errno == ENOENT ? KN_STATUS_OK : kn_error_errno(errno, "open %s", path);
    }
    if (now.st_ino == s->seen.st_ino && now.st_size == s->seen.st_size &&
        now.st_mtim.tv_sec == s->seen.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == s->seen.st_mtim.tv_nsec)
        return KN_STATUS_OK;
    struct kn_buf text = KN_BUF(INDEX_MAX);
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 64u << 20);
    struct kn_json *root = NULL;
    struct kn_status st = kn_file_read(path, INDEX_MAX, &text);
    if (kn_ok(st))
        st = kn_wrap(kn_json_parse(a, kn_buf_sv(&text), NULL, &root), "%s", path);
    if (kn_ok(st)) {
        forget_names(s);
        s->seen = now;
    }
    const struct kn_json *m;
    KN_JSON_EACH(m, kn_json_get(root, KN_K_manifests)) {
        const struct kn_json *notes = kn_json_get(m, KN_K_annotations);
        struct kn_sv name = kn_json_str(kn_json_get_sv(notes, KN_SV(ANNOTATION_NAME)));
        struct kn_sv digest = kn_json_str(kn_json_get(m, KN_K_digest));
        if (name.len && kn_digest_is_valid(digest))
            add_name(s, name, digest, kn_json_int(kn_json_get(m, KN_K_size), 0),
                     kn_json_get_sv(notes, KN_SV(ANNOTATION_LOCAL)) != NULL);
    }
    kn_buf_done(&text);
    return st;
}

// Called with the lock held.
static struct kn_status write_index(struct kn_images *s)
{
    char path[PATH_MAX];
    struct kn_buf out = KN_BUF(INDEX_MAX);
    KN_TRY(index_path(s, path));
    kn_buf_addc(&out, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[");
    for (size_t i = 0; i < s->names.len; i++) {
        const struct image_name *n = &s->names.ptr[i];
        kn_buf_addf(&out,
                    "%s{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%lld,"
                    "\"annotations\":{\"" ANNOTATION_NAME "\":",
                    i ? "," : "", n->digest, (long long)n->size);
        kn_json_encode_str(&out, kn_sv_c(n->name));
        kn_buf_addc(&out, n->local ? ",\"" ANNOTATION_LOCAL "\":\"true\"}}" : "}}");
    }
    kn_buf_addc(&out, "]}");
    struct kn_status st = kn_buf_status(&out, "the image index");
    if (kn_ok(st))
        st = kn_file_write(path, kn_buf_sv(&out), 0644, true);
    kn_buf_done(&out);
    return st;
}

// Several processes have the store open: the agent, and `knarr image`. A file lock makes reading
// the index, changing it and writing it one step; taken inside `lock`, since it is the process'
// own.
static struct kn_status begin_change(struct kn_images *s, int *ret_fd)
{
    KN_TRY(lock_file(s, "lock", LOCK_EX, ret_fd));
    return read_index(s);
}

// -- life ------------------------------------------------------------------------------------

// What is in tmp/ belongs to a process that is gone, if nobody else has the store open.
static struct kn_status clear_tmp(struct kn_images *s)
{
    char path[PATH_MAX];
    struct kn_status st = lock_file(s, "open.lock", LOCK_EX | LOCK_NB, &s->open_fd);
    if (st.code == KN_CONFLICT) {
        kn_status_done(&st);
        return lock_file(s, "open.lock", LOCK_SH, &s->open_fd);
    }
    KN_TRY(st);
    snprintf(path, sizeof path, "%s/tmp", s->dir);
    st = kn_dir_remove(path);
    if (kn_ok(st))
        st = kn_dir_make(path, 0711);
    if (flock(s->open_fd, LOCK_SH) < 0 && kn_ok(st))
        st = kn_error_errno(errno, "lock the images in %s", s->dir);
    return st;
}

struct kn_status kn_images_open(const char *dir, struct kn_images **ret)
{
    static const char *const folders[] = {"blobs/sha256", "layers", "tmp", "resume"};
    char path[PATH_MAX];
    struct kn_images *s = KN_NEW(struct kn_images);
    s->dir = kn_sv_dup(kn_sv_c(dir));
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->unpack_lock, NULL);
    pthread_mutex_init(&s->hold_lock, NULL);
    s->open_fd = s->hold_fd = -1;
    struct kn_status st = KN_STATUS_OK;
    for (size_t i = 0; i < KN_ARRAY_LEN(folders) && kn_ok(st); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
        st = kn_dir_make(path, 0711);
    }
    if (kn_ok(st))
        st = clear_tmp(s);
    snprintf(path, sizeof path, "%s/oci-layout", dir);
    if (kn_ok(st) && !kn_file_exists(path))
        st = kn_file_write(path, KN_SV("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, false);
    if (kn_ok(st))
        st = read_index(s);
    if (!kn_ok(st)) {
        kn_images_close(s);
        return kn_wrap(st, "open the images in %s", dir);
    }
    *ret = s;
    return KN_STATUS_OK;
}

void kn_images_close(struct kn_images *s)
{
    if (!s)
        return;
    forget_names(s);
    KN_VEC_DONE(&s->names);
    if (s->open_fd >= 0)
        close(s->open_fd);
    if (s->hold_fd >= 0)
        close(s->hold_fd);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->unpack_lock);
    pthread_mutex_destroy(&s->hold_lock);
    free(s->dir);
    free(s);
}

const char *kn_images_dir(const struct kn_images *s)
{
    return s->dir;
}

// The first hold of this process is also seen by the others.
void kn_images_hold(struct kn_images *s)
{
    KN_LOCKED(&s->hold_lock)
        if (s->holds++ == 0)
            kn_log_status(KN_LOG_WARN, lock_file(s, "hold.lock", LOCK_SH, &s->hold_fd),
                          "hold the images");
}

void kn_images_unhold(struct kn_images *s)
{
    KN_LOCKED(&s->hold_lock)
        if (--s->holds == 0 && s->hold_fd >= 0) {
            close(s->hold_fd);
            s->hold_fd = -1;
        }
}

// -- reading ---------------------------------------------------------------------------------

static struct kn_status read_json_blob(struct kn_images *s, struct kn_sv digest, struct kn_arena *a,
                                       struct kn_json **ret)
{
    struct kn_sv text;
    KN_TRY(kn_images_read_blob(s, digest, MANIFEST_MAX, a, &text));
    return kn_wrap(kn_json_parse(a, text, NULL, ret), "the blob %.*s", KN_SV_ARG(digest));
}

struct kn_status kn_image_decode(struct kn_images *s, struct kn_sv digest, struct kn_arena *a,
                                 struct kn_image *ret)
{
    struct kn_json *manifest, *config;
    KN_TRY(read_json_blob(s, digest, a, &manifest));
    const struct kn_json *layers = kn_json_get(manifest, KN_K_layers);
    const struct kn_json *config_desc = kn_json_get(manifest, KN_K_config);
    ret->digest = kn_arena_dup(a, digest);
    ret->id = kn_json_str(kn_json_get(config_desc, KN_K_digest));
    KN_TRY(read_json_blob(s, ret->id, a, &config));
    const struct kn_json *ids = KN_JSON_AT(config, KN_K_rootfs, KN_K_diff_ids);
    ret->config = kn_json_get(config, KN_K_config);
    ret->layers_len = kn_json_len(layers);
    if (!kn_json_is_array(layers) || kn_json_len(ids) != ret->layers_len)
        return kn_error(KN_INVALID, "the image %.*s has %u layers and %u diff ids",
                        KN_SV_ARG(digest), kn_json_len(layers), kn_json_len(ids));
    struct kn_image_layer *list = kn_arena_calloc(a, ret->layers_len + 1, sizeof *list);
    if (!list)
        return kn_arena_error(a, "an image");
    ret->layers = list;
    ret->size = kn_json_int(kn_json_get(config_desc, KN_K_size), 0);
    const struct kn_json *l = kn_json_first(layers), *id = kn_json_first(ids);
    for (size_t i = 0; i < ret->layers_len; i++) {
        list[i].digest = kn_json_str(kn_json_get(l, KN_K_digest));
        list[i].media_type = kn_json_str(kn_json_get(l, KN_K_mediaType));
        list[i].size = kn_json_int(kn_json_get(l, KN_K_size), 0);
        list[i].diff_id = kn_json_str(id);
        ret->size += list[i].size;
        if (!kn_digest_is_valid(list[i].digest) || !kn_digest_is_valid(list[i].diff_id))
            return kn_error(KN_INVALID, "the image %.*s has a malformed digest", KN_SV_ARG(digest));
        l = kn_json_next(layers, l);
        id = kn_json_next(ids, id);
    }
    return KN_STATUS_OK;
}

static bool find_name(struct kn_images *s, struct kn_sv name, struct image_name *ret)
{
    bool found = false;
    KN_LOCKED(&s->lock) {
        kn_log_status(KN_LOG_WARN, read_index(s), "read the image index");
        for (size_t i = 0; i < s->names.len && !found; i++)
            if (kn_sv_is(name, s->names.ptr[i].name)) {
                *ret = s->names.ptr[i];
                ret->name = NULL;
                found = true;
            }
    }
    return found;
}

struct kn_status kn_images_get(struct kn_images *s, struct kn_sv name, struct kn_arena *a,
                               struct kn_image *ret)
{
    struct kn_image_ref ref;
    struct image_name found;
    KN_TRY(kn_image_ref_parse(name, a, &ref));
    bool known = find_name(s, ref.name, &found);
    if (!known)
        return kn_error(KN_NOT_FOUND, "there is no image %.*s on this machine",
                        KN_SV_ARG(ref.name));
    *ret = (struct kn_image){.name = ref.name, .local = found.local};
    return kn_wrap(kn_image_decode(s, kn_sv_c(found.digest), a, ret), "the image %.*s",
                   KN_SV_ARG(ref.name));
}

struct kn_status kn_images_list(struct kn_images *s, struct kn_arena *a, struct kn_image **ret,
                                size_t *ret_len)
{
    struct kn_image *list = NULL;
    size_t len = 0;
    KN_LOCKED(&s->lock) {
        kn_log_status(KN_LOG_WARN, read_index(s), "read the image index");
        list = kn_arena_calloc(a, s->names.len + 1, sizeof *list);
        for (size_t i = 0; list && i < s->names.len; i++) {
            list[len].name = kn_arena_dup(a, kn_sv_c(s->names.ptr[i].name));
            list[len].digest = kn_arena_dup(a, kn_sv_c(s->names.ptr[i].digest));
            list[len++].local = s->names.ptr[i].local;
        }
    }
    if (!list || kn_arena_failed(a))
        return kn_arena_error(a, "the list of images");
    for (size_t i = 0; i < len; i++) {
        struct kn_status st = kn_image_decode(s, list[i].digest, a, &list[i]);
        kn_status_done(&st); // a damaged image is listed with what is known of it
    }
    *ret = list;
    *ret_len = len;
    return KN_STATUS_OK;
}

// -- changing --------------------------------------------------------------------------------

struct kn_status kn_images_name(struct kn_images *s, struct kn_sv name, struct kn_sv digest,
                                bool local)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 64u << 20);
    struct kn_image_ref ref;
    struct kn_image image = {0};
    char path[PATH_MAX];
    struct stat st;
    KN_TRY(kn_image_ref_parse(name, a, &ref));
    KN_TRY(kn_image_decode(s, digest, a, &image));
    for (size_t i = 0; i < image.layers_len; i++)
        if (!kn_images_has_blob(s, image.layers[i].digest))
            return kn_error(KN_NOT_FOUND, "the layer %.*s is missing",
                            KN_SV_ARG(image.layers[i].digest));
    kn_images_blob_path(s, digest, path, sizeof path);
    int64_t size = stat(path, &st) == 0 ? st.st_size : 0;
    struct kn_status result = KN_STATUS_OK;
    KN_LOCKED(&s->lock) {
        KN_CLEANUP(kn_cleanup_fd) int fd = -1;
        result = begin_change(s, &fd);
        if (kn_ok(result)) {
            add_name(s, ref.name, digest, size, local);
            result = write_index(s);
        }
    }
    return result;
}

struct kn_status kn_images_remove(struct kn_images *s, struct kn_sv name)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_image_ref ref;
    KN_TRY(kn_image_ref_parse(name, a, &ref));
    bool found = false;
    struct kn_status result = KN_STATUS_OK;
    KN_LOCKED(&s->lock) {
        KN_CLEANUP(kn_cleanup_fd) int fd = -1;
        result = begin_change(s, &fd);
        for (size_t i = 0; kn_ok(result) && i < s->names.len && !found; i++)
            if (kn_sv_is(ref.name, s->names.ptr[i].name)) {
                found = true;
                free(s->names.ptr[i].name);
                s->names.len--;
                memmove(s->names.ptr + i, s->names.ptr + i + 1,
                        (s->names.len - i) * sizeof *s->names.ptr);
                result = write_index(s);
            }
    }
    if (kn_ok(result) && !found)
        return kn_error(KN_NOT_FOUND, "there is no image %.*s on this machine",
                        KN_SV_ARG(ref.name));
    return result;
}

// -- layers ----------------------------------------------------------------------------------

static struct kn_status read_file_source(void *arg, void *out, size_t max, size_t *ret_n)
{
    for (;;) {
        ssize_t n = read(*(int *)arg, out, max);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kn_error_errno(errno, "read a blob");
        *ret_n = (size_t)n;
        return KN_STATUS_OK;
    }
}

struct counted {
    struct kn_inflate *from;
    struct kn_sha256 *hash;
};

static struct kn_status read_counted(void *arg, void *out, size_t max, size_t *ret_n)
{
    struct counted *c = arg;
    KN_TRY(kn_inflate_read(c->from, out, max, ret_n));
    kn_sha256_add(c->hash, kn_sv(out, *ret_n));
    return KN_STATUS_OK;
}

static struct kn_status drain(struct counted *c)
{
    char dump[16384];
    for (size_t n = 1; n;)
        KN_TRY(read_counted(c, dump, sizeof dump, &n));
    return KN_STATUS_OK;
}

static struct kn_status unpack_blob(struct kn_images *s, const struct kn_image_layer *l,
                                    const char *dir)
{
    char path[PATH_MAX];
    kn_images_blob_path(s, l->digest, path, sizeof path);
    KN_CLEANUP(kn_cleanup_fd) int blob = open(path, O_RDONLY | O_CLOEXEC);
    if (blob < 0)
        return kn_error_errno(errno, "open %s", path);
    KN_CLEANUP(kn_cleanup_fd) int to = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0)
        return kn_error_errno(errno, "open %s", dir);
    struct counted c = {kn_inflate_new((struct kn_source){read_file_source, &blob}),
                        kn_sha256_new()};
    struct kn_status st = kn_unpack((struct kn_source){read_counted, &c}, to,
                                    &(struct kn_unpack_options){.whiteouts = true});
    if (kn_ok(st))
        st = drain(&c); // what follows the archive's end counts for the digest
    kn_inflate_free(c.from);
    uint8_t sum[KN_SHA256_LEN];
    char hex[2 * KN_SHA256_LEN + 1];
    kn_sha256_take(c.hash, sum);
    kn_hex(sum, sizeof sum, hex);
    if (kn_ok(st) && !kn_sv_is(kn_sv_from(l->diff_id, 7), hex))
        st = kn_error(KN_INVALID,
                      "the layer's content is not what the image says: diff id sha256:%s", hex);
    return st;
}

static void layer_dir(const struct kn_images *s, struct kn_sv diff_id, char *out, size_t size)
{
    snprintf(out, size, "%s/layers/%.*s", s->dir, 32, diff_id.ptr + 7);
}

static struct kn_status unpack_layer(struct kn_images *s, const struct kn_image_layer *l)
{
    char final[PATH_MAX], tmp[PATH_MAX];
    layer_dir(s, l->diff_id, final, sizeof final);
    if (kn_file_exists(final))
        return KN_STATUS_OK;
    snprintf(tmp, sizeof tmp, "%s/tmp/%.*s.%d", s->dir, 32, l->diff_id.ptr + 7, (int)getpid());
    KN_TRY(kn_dir_remove(tmp));
    KN_TRY(kn_dir_make(tmp, 0755));
    struct kn_status st = unpack_blob(s, l, tmp);
    if (kn_ok(st) && rename(tmp, final) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        st = kn_error_errno(errno, "rename %s", tmp);
    if (!kn_ok(st))
        KN_IGNORE(kn_dir_remove(tmp));
    return st;
}

struct kn_status kn_images_unpack(struct kn_images *s, const struct kn_image *image,
                                  struct kn_arena *a, struct kn_sv *ret_lower)
{
    struct kn_buf lower = KN_BUF(4096);
    struct kn_status st = KN_STATUS_OK;
    // One at a time: two images often share layers, and the disk is one anyway.
    KN_LOCKED(&s->unpack_lock)
        for (size_t i = image->layers_len; i-- > 0 && kn_ok(st);) {
            char dir[PATH_MAX];
            st = kn_wrap(unpack_layer(s, &image->layers[i]), "layer %zu of %zu", i + 1,
                         image->layers_len);
            layer_dir(s, image->layers[i].diff_id, dir, sizeof dir);
            if (lower.len)
                kn_buf_add_byte(&lower, ':');
            kn_buf_addc(&lower, dir);
        }
    if (kn_ok(st))
        st = kn_buf_status(&lower, "the list of layers of an overlay mount");
    if (kn_ok(st)) {
        *ret_lower = kn_arena_dup(a, kn_buf_sv(&lower));
        if (kn_arena_failed(a))
            st = kn_arena_error(a, "the layers of an image");
    }
    kn_buf_done(&lower);
    return st;
}

// -- collecting ------------------------------------------------------------------------------

static void keep(struct kn_map *map, struct kn_sv digest)
{
    if (kn_digest_is_valid(digest))
        kn_map_put(map, kn_sv_from(digest, 7), map);
}

static void keep_image(struct kn_map *blobs, struct kn_map *layers, const struct kn_image *i)
{
    keep(blobs, i->digest);
    keep(blobs, i->id);
    for (size_t l = 0; l < i->layers_len; l++) {
        keep(blobs, i->layers[l].digest);
        kn_map_put(layers, kn_sv(i->layers[l].diff_id.ptr + 7, 32), layers);
    }
}

static int64_t sweep(const struct kn_images *s, const char *folder, const struct kn_map *kept,
                     bool (*removable)(void *arg, const char *path), void *arg)
{
    char path[PATH_MAX];
    struct stat st;
    int64_t freed = 0;
    snprintf(path, sizeof path, "%s/%s", s->dir, folder);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || kn_map_get(kept, kn_sv_c(e->d_name)))
            continue;
        snprintf(path, sizeof path, "%s/%s/%s", s->dir, folder, e->d_name);
        if (lstat(path, &st) < 0 || (removable && !removable(arg, path)))
            continue;
        if (S_ISREG(st.st_mode))
            freed += st.st_size;
        KN_IGNORE(kn_dir_remove(path));
    }
    if (dir)
        closedir(dir);
    return freed;
}

struct kn_status kn_images_collect(struct kn_images *s,
                                   bool (*in_use)(void *arg, struct kn_sv id), void *arg,
                                   int64_t *ret_freed)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 256u << 20);
    KN_CLEANUP(kn_cleanup_fd) int fd = -1;
    struct kn_map blobs, layers;
    struct kn_image *list;
    size_t len;
    int64_t freed = 0;
    // From here on nothing comes in, in any process, until this is done.
    struct kn_status st = lock_file(s, "hold.lock", LOCK_EX | LOCK_NB, &fd);
    if (st.code == KN_CONFLICT) {
        kn_status_done(&st);
        return kn_error(KN_CONFLICT, "an image is coming in: collect later");
    }
    KN_TRY(st);
    KN_TRY(kn_images_list(s, a, &list, &len));
    kn_map_init(&blobs);
    kn_map_init(&layers);
    for (size_t i = 0; i < len; i++)
        keep_image(&blobs, &layers, &list[i]);
    // Containers stand on images whose names may be gone: their manifests are still there.
    st = kn_images_each_manifest(s, a, in_use, arg, &blobs, &layers, keep_image);
    if (kn_ok(st))
        KN_LOCKED(&s->unpack_lock) {
            freed = sweep(s, "blobs/sha256", &blobs, NULL, NULL);
            sweep(s, "layers", &layers, NULL, NULL);
        }
    kn_map_done(&blobs);
    kn_map_done(&layers);
    if (ret_freed)
        *ret_freed = freed;
    return st;
}
