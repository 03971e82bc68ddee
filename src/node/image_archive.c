// Images in and out of the store as files: OCI layouts and archives of them, docker-archives.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "codec/inflate.h"
#include "node/image_ref.h"
#include "node/image_store_impl.h"
#include "node/image_unpack.h"

#define COPY_CHUNK 65536

struct import {
    struct kn_images *s;
    const char *dir; // the layout, or the unpacked archive
    struct kn_sv name;
    struct kn_arena *a;
    struct kn_sv named; // result
};

static struct kn_status read_fd(void *arg, void *out, size_t max, size_t *ret_n)
{
    for (;;) {
        ssize_t n = read(*(int *)arg, out, max);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kn_error_errno(errno, "read");
        *ret_n = (size_t)n;
        return KN_STATUS_OK;
    }
}

// A file of the archive. Its name comes from the archive's own index: it must stay inside.
static struct kn_status file_inside(const struct import *in, struct kn_sv name, char out[PATH_MAX])
{
    if (name.len == 0 || name.ptr[0] == '/' || kn_sv_search(name, KN_SV("..")) >= 0 ||
        snprintf(out, PATH_MAX, "%s/%.*s", in->dir, KN_SV_ARG(name)) >= PATH_MAX)
        return kn_error(KN_INVALID, "the archive names the file \"%.*s\"", KN_SV_ARG(name));
    return KN_STATUS_OK;
}

static struct kn_status copy_in(struct import *in, const char *path, struct kn_sv expected,
                                struct kn_sv *ret_digest, int64_t *ret_size)
{
    if (expected.len && kn_images_has_blob(in->s, expected))
        return KN_STATUS_OK;
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    struct kn_blob *b;
    char *chunk = kn_alloc(COPY_CHUNK);
    struct kn_status st = kn_blob_new(in->s, &b);
    bool made = kn_ok(st);
    for (size_t n = 1; kn_ok(st) && n;) {
        st = read_fd(&fd, chunk, COPY_CHUNK, &n);
        if (kn_ok(st))
            st = kn_blob_add(b, kn_sv(chunk, n));
    }
    free(chunk);
    if (!kn_ok(st)) {
        if (made)
            kn_blob_free(b, false);
        return st;
    }
    return kn_blob_commit(b, expected, in->a, ret_digest, ret_size);
}

static struct kn_status copy_blob(struct import *in, struct kn_sv digest)
{
    char path[PATH_MAX];
    if (!kn_digest_is_valid(digest))
        return kn_error(KN_INVALID, "\"%.*s\" is no digest", KN_SV_ARG(digest));
    snprintf(path, sizeof path, "%s/blobs/sha256/%.*s", in->dir, KN_SV_ARG(kn_sv_from(digest, 7)));
    return copy_in(in, path, digest, NULL, NULL);
}

static struct kn_status parse_file(struct import *in, const char *path, struct kn_json **ret)
{
    struct kn_buf text = KN_BUF(MANIFEST_MAX + 4097);
    struct kn_status st = kn_file_read(path, MANIFEST_MAX, &text);
    if (kn_ok(st)) {
        struct kn_sv kept = kn_arena_dup(in->a, kn_buf_sv(&text));
        st = kn_wrap(kn_json_parse(in->a, kept, NULL, ret), "%s", path);
    }
    kn_buf_done(&text);
    return st;
}

// -- OCI layout ------------------------------------------------------------------------------

static struct kn_status copy_image(struct import *in, struct kn_sv digest,
                                   struct kn_sv *ret_manifest)
{
    struct kn_json *manifest;
    struct kn_sv text;
    for (int depth = 0;; depth++) {
        KN_TRY(copy_blob(in, digest));
        KN_TRY(kn_images_read_blob(in->s, digest, MANIFEST_MAX, in->a, &text));
        KN_TRY(kn_json_parse(in->a, text, NULL, &manifest));
        if (!kn_json_get(manifest, KN_K_manifests))
            break;
        if (depth == 4)
            return kn_error(KN_INVALID, "image indexes lie too deep in one another");
        KN_TRY(kn_image_choose_platform(manifest, &digest));
    }
    KN_TRY(copy_blob(in, KN_JSON_STR_AT(manifest, KN_K_config, KN_K_digest)));
    const struct kn_json *l;
    KN_JSON_EACH(l, kn_json_get(manifest, KN_K_layers))
        KN_TRY(copy_blob(in, kn_json_str(kn_json_get(l, KN_K_digest))));
    *ret_manifest = digest;
    return KN_STATUS_OK;
}

static struct kn_sv own_name(const struct kn_json *descriptor)
{
    const struct kn_json *notes = kn_json_get(descriptor, KN_K_annotations);
    struct kn_sv name = kn_json_str(kn_json_get_sv(notes, KN_SV("io.containerd.image.name")));
    if (!name.len)
        name = kn_json_str(kn_json_get_sv(notes, KN_SV("org.opencontainers.image.ref.name")));
    return name;
}

static struct kn_status import_layout(struct import *in)
{
    char path[PATH_MAX];
    struct kn_json *index;
    snprintf(path, sizeof path, "%s/index.json", in->dir);
    KN_TRY(parse_file(in, path, &index));
    const struct kn_json *all = kn_json_get(index, KN_K_manifests);
    if (kn_json_len(all) == 0)
        return kn_error(KN_INVALID, "the layout holds no image");
    if (in->name.len && kn_json_len(all) > 1)
        return kn_error(KN_INVALID, "the layout holds %u images: one name does not fit",
                        kn_json_len(all));
    const struct kn_json *m;
    KN_JSON_EACH(m, all) {
        struct kn_sv manifest, name = in->name.len ? in->name : own_name(m);
        // A bare tag says nothing about what the image is.
        if (!name.len || (kn_sv_find(name, '/') < 0 && kn_sv_find(name, ':') < 0 &&
                          kn_sv_is(name, "latest")))
            return kn_error(KN_INVALID, "the image in the layout has no name: give it one with -t");
        KN_TRY(copy_image(in, kn_json_str(kn_json_get(m, KN_K_digest)), &manifest));
        KN_TRY(kn_images_name(in->s, name, manifest, true));
        in->named = name;
    }
    return KN_STATUS_OK;
}

// -- docker-archive --------------------------------------------------------------------------

static const char *layer_media_type(const char *path)
{
    unsigned char magic[4] = {0};
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, magic, sizeof magic) < 4)
        return MEDIA_OCI_TAR;
    if (magic[0] == 0x1f && magic[1] == 0x8b)
        return MEDIA_OCI_TAR_GZIP;
    return memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0 ? MEDIA_OCI_TAR_ZSTD : MEDIA_OCI_TAR;
}

static struct kn_status import_docker_one(struct import *in, const struct kn_json *entry)
{
    char path[PATH_MAX], real[PATH_MAX];
    struct kn_sv digest, manifest;
    int64_t size = 0;
    struct kn_buf out = KN_BUF(MANIFEST_MAX);
    KN_TRY(file_inside(in, kn_json_str(kn_json_get_sv(entry, KN_SV("Config"))), path));
    KN_TRY(copy_in(in, path, KN_SV_NULL, &digest, &size));
    kn_buf_addf(&out,
                "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"config\":{"
                "\"mediaType\":\"" MEDIA_OCI_CONFIG
                "\",\"digest\":\"%.*s\",\"size\":%lld},\"layers\":[",
                KN_SV_ARG(digest), (long long)size);
    const struct kn_json *l;
    bool first = true;
    struct kn_status st = KN_STATUS_OK;
    KN_JSON_EACH(l, kn_json_get_sv(entry, KN_SV("Layers"))) {
        st = file_inside(in, kn_json_str(l), path);
        // Old archives link layers that occur twice; the link must stay in the archive.
        if (kn_ok(st) && (!realpath(path, real) ||
                          !kn_sv_starts(kn_sv_c(real), kn_sv_c(in->dir))))
            st = kn_error(KN_INVALID, "the layer \"%.*s\" is not in the archive",
                          KN_SV_ARG(kn_json_str(l)));
        if (kn_ok(st))
            st = copy_in(in, real, KN_SV_NULL, &digest, &size);
        if (!kn_ok(st))
            break;
        kn_buf_addf(&out, "%s{\"mediaType\":\"%s\",\"digest\":\"%.*s\",\"size\":%lld}",
                    first ? "" : ",", layer_media_type(real), KN_SV_ARG(digest), (long long)size);
        first = false;
    }
    kn_buf_addc(&out, "]}");
    if (kn_ok(st))
        st = kn_buf_status(&out, "the manifest");
    if (kn_ok(st))
        st = kn_images_write_blob(in->s, kn_buf_sv(&out), in->a, &manifest);
    kn_buf_done(&out);
    KN_TRY(st);
    const struct kn_json *tags = kn_json_get_sv(entry, KN_SV("RepoTags"));
    if (!in->name.len && kn_json_len(tags) == 0)
        return kn_error(KN_INVALID, "the image in the archive has no name: give it one with -t");
    if (in->name.len) {
        in->named = in->name;
        return kn_images_name(in->s, in->name, manifest, true);
    }
    const struct kn_json *t;
    KN_JSON_EACH(t, tags) {
        in->named = kn_json_str(t);
        KN_TRY(kn_images_name(in->s, in->named, manifest, true));
    }
    return KN_STATUS_OK;
}

static struct kn_status import_folder(struct import *in)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/index.json", in->dir);
    if (kn_file_exists(path))
        return import_layout(in);
    snprintf(path, sizeof path, "%s/manifest.json", in->dir);
    if (!kn_file_exists(path))
        return kn_error(KN_INVALID, "it is neither an OCI layout (index.json) nor a docker-archive "
                                    "(manifest.json)");
    struct kn_json *list;
    KN_TRY(parse_file(in, path, &list));
    const struct kn_json *e;
    KN_JSON_EACH(e, list)
        KN_TRY(import_docker_one(in, e));
    return in->named.len ? KN_STATUS_OK : kn_error(KN_INVALID, "the archive holds no image");
}

static struct kn_status import_archive(struct import *in, const char *path)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/tmp/import.XXXXXX", in->s->dir);
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    if (!mkdtemp(dir))
        return kn_error_errno(errno, "make a folder in %s/tmp", in->s->dir);
    char *real = realpath(dir, NULL);
    KN_CLEANUP(kn_cleanup_fd) int to = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct kn_inflate *z = kn_inflate_new((struct kn_source){read_fd, &fd});
    struct kn_status st = kn_unpack((struct kn_source){kn_inflate_read, z}, to,
                                    &(struct kn_unpack_options){.plain_owner = true});
    kn_inflate_free(z);
    in->dir = real ? real : dir;
    if (kn_ok(st))
        st = import_folder(in);
    KN_IGNORE(kn_dir_remove(dir));
    free(real);
    return st;
}

struct kn_status kn_images_import(struct kn_images *s, const char *path, struct kn_sv name,
                                  struct kn_arena *a, struct kn_sv *ret_name)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return kn_error_errno(errno, "import %s", path);
    struct import in = {.s = s, .dir = path, .name = name, .a = a};
    kn_images_hold(s);
    struct kn_status result = S_ISDIR(st.st_mode) ? import_folder(&in) : import_archive(&in, path);
    struct kn_image image;
    struct kn_sv lower;
    // Now, and not when the first pod waits for it.
    if (kn_ok(result))
        result = kn_images_get(s, in.named, a, &image);
    if (kn_ok(result))
        result = kn_images_unpack(s, &image, a, &lower);
    kn_images_unhold(s);
    if (kn_ok(result) && ret_name)
        *ret_name = image.name;
    return kn_wrap(result, "import %s", path);
}

// -- export ----------------------------------------------------------------------------------

static struct kn_status put_entry(int fd, const char *path, enum kn_tar_type type, uint64_t size)
{
    struct kn_buf head = KN_BUF(65536);
    struct kn_tar_entry e = {.type = type, .path = kn_sv_c(path), .size = size,
                             .mode = type == KN_TAR_DIR ? 0755 : 0644};
    kn_tar_write_header(&head, &e);
    struct kn_status st = kn_fd_write_all(fd, kn_buf_sv(&head));
    kn_buf_done(&head);
    return st;
}

static struct kn_status put_zeros(int fd, size_t n)
{
    static const char zeros[KN_TAR_TRAILER];
    return kn_fd_write_all(fd, kn_sv(zeros, n));
}

static struct kn_status put_text(int fd, const char *path, struct kn_sv text)
{
    KN_TRY(put_entry(fd, path, KN_TAR_FILE, text.len));
    KN_TRY(kn_fd_write_all(fd, text));
    return put_zeros(fd, kn_tar_padding(text.len));
}

static struct kn_status put_blob(struct kn_images *s, int fd, struct kn_sv digest)
{
    char path[PATH_MAX], name[128];
    struct stat st;
    kn_images_blob_path(s, digest, path, sizeof path);
    KN_CLEANUP(kn_cleanup_fd) int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0)
        return kn_error_errno(errno, "open %s", path);
    snprintf(name, sizeof name, "blobs/sha256/%.*s", KN_SV_ARG(kn_sv_from(digest, 7)));
    KN_TRY(put_entry(fd, name, KN_TAR_FILE, (uint64_t)st.st_size));
    char *chunk = kn_alloc(COPY_CHUNK);
    struct kn_status result = KN_STATUS_OK;
    for (size_t n = 1; kn_ok(result) && n;) {
        result = read_fd(&from, chunk, COPY_CHUNK, &n);
        if (kn_ok(result))
            result = kn_fd_write_all(fd, kn_sv(chunk, n));
    }
    free(chunk);
    KN_TRY(result);
    return put_zeros(fd, kn_tar_padding((uint64_t)st.st_size));
}

struct kn_status kn_images_export(struct kn_images *s, struct kn_sv name, int fd)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 64u << 20);
    struct kn_image image;
    struct stat st;
    char path[PATH_MAX];
    KN_TRY(kn_images_get(s, name, a, &image));
    kn_images_blob_path(s, image.digest, path, sizeof path);
    int64_t size = stat(path, &st) == 0 ? st.st_size : 0;
    struct kn_sv index = kn_arena_printf(
        a,
        "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX
        "\",\"manifests\":[{\"mediaType\":\"" MEDIA_OCI_MANIFEST
        "\",\"digest\":\"%.*s\",\"size\":%lld,\"annotations\":{"
        "\"io.containerd.image.name\":\"%.*s\","
        "\"org.opencontainers.image.ref.name\":\"%.*s\"}}]}",
        KN_SV_ARG(image.digest), (long long)size, KN_SV_ARG(image.name), KN_SV_ARG(image.name));
    KN_TRY(put_text(fd, "oci-layout", KN_SV("{\"imageLayoutVersion\":\"1.0.0\"}")));
    KN_TRY(put_text(fd, "index.json", index));
    KN_TRY(put_entry(fd, "blobs/", KN_TAR_DIR, 0));
    KN_TRY(put_entry(fd, "blobs/sha256/", KN_TAR_DIR, 0));
    KN_TRY(put_blob(s, fd, image.digest));
    KN_TRY(put_blob(s, fd, image.id));
    for (size_t i = 0; i < image.layers_len; i++) {
        bool twice = false; // a layer may occur again: the archive needs it once
        for (size_t j = 0; j < i; j++)
            twice = twice || kn_sv_eq(image.layers[i].digest, image.layers[j].digest);
        if (!twice)
            KN_TRY(put_blob(s, fd, image.layers[i].digest));
    }
    return put_zeros(fd, KN_TAR_TRAILER);
}
