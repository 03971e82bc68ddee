#include "node/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/map.h"
#include "codec/base64.h"
#include "codec/quantity.h"
#include "node/container_spec.h"

#define FILES_MAX 1024

struct making {
    const struct kn_node *n;
    const struct kn_sandbox *s;
    const struct kn_obj *pod;
    struct kn_arena *a;
    struct kn_payload_file *files;
    size_t len;
};

static struct kn_status add_file(struct making *m, struct kn_sv path, struct kn_sv content,
                                 int64_t mode)
{
    for (size_t i = 0; i < m->len; i++)
        if (kn_sv_eq(m->files[i].path, path)) {
            m->files[i] = (struct kn_payload_file){path, content, (uint32_t)mode};
            return KN_STATUS_OK;
        }
    if (m->len == FILES_MAX)
        return kn_error(KN_TOO_LARGE, "a volume holds more than %d files", FILES_MAX);
    m->files[m->len++] = (struct kn_payload_file){path, content, (uint32_t)mode};
    return KN_STATUS_OK;
}

static struct kn_status decode(struct making *m, struct kn_sv text, struct kn_sv *ret)
{
    struct kn_buf out = KN_BUF(2u << 20);
    struct kn_status s = kn_base64_decode(&out, text, KN_BASE64_STD);
    if (kn_ok(s))
        *ret = kn_arena_dup(m->a, kn_buf_sv(&out));
    kn_buf_done(&out);
    return s;
}

static struct kn_status add_value(struct making *m, const struct kn_json *v, bool encoded,
                                  struct kn_sv path, int64_t mode)
{
    struct kn_sv value = kn_arena_dup(m->a, kn_json_str(v));
    if (encoded)
        KN_TRY(decode(m, value, &value));
    return add_file(m, kn_arena_dup(m->a, path), value, mode);
}

// The keys of a config map or secret, all or those that are named.
static struct kn_status add_object(struct making *m, const struct kn_json *source,
                                   struct kn_sv name, enum kn_node_kind kind, int64_t mode)
{
    bool optional = kn_json_bool(kn_json_get(source, KN_K_optional), false),
         secret = kind == KN_NODE_SECRET;
    KN_CLEANUP(kn_obj_cleanup) const struct kn_obj *o = NULL;
    struct kn_status s = m->n->api.get(m->n->api.arg, kind, m->pod->ns, name, &o);
    if (s.code == KN_NOT_FOUND && optional) {
        kn_status_done(&s);
        return KN_STATUS_OK;
    }
    KN_TRY(s);
    const struct kn_json *data = kn_json_get(o->root, KN_K_data),
                         *binary = kn_json_get(o->root, KN_K_binaryData);
    const struct kn_json *items = kn_json_get(source, KN_K_items), *v;
    if (!items) {
        KN_JSON_EACH(v, data)
            KN_TRY(add_value(m, v, secret, kn_json_key(v), mode));
        KN_JSON_EACH(v, binary)
            KN_TRY(add_value(m, v, true, kn_json_key(v), mode));
        return KN_STATUS_OK;
    }
    const struct kn_json *i;
    KN_JSON_EACH(i, items) {
        struct kn_sv key = kn_json_str(kn_json_get(i, KN_K_key));
        bool encoded = secret;
        v = kn_json_get_sv(data, key);
        if (!v && (v = kn_json_get_sv(binary, key)))
            encoded = true;
        if (!v && optional)
            continue;
        if (!v)
            return kn_error(KN_NOT_FOUND, "references non-existent %s key: %.*s",
                            secret ? "secret" : "config", KN_SV_ARG(key));
        KN_TRY(add_value(m, v, encoded, kn_json_str(kn_json_get(i, KN_K_path)),
                         kn_json_int(kn_json_get(i, KN_K_mode), mode)));
    }
    return KN_STATUS_OK;
}

static struct kn_status add_downward(struct making *m, const struct kn_json *source, int64_t mode)
{
    const struct kn_json *i;
    KN_JSON_EACH(i, kn_json_get(source, KN_K_items)) {
        const struct kn_json *field = kn_json_get(i, KN_K_fieldRef),
                             *resource = kn_json_get(i, KN_K_resourceFieldRef);
        struct kn_sv value = KN_SV("");
        if (field)
            KN_TRY(kn_pod_field(m->n, m->s, m->pod, kn_json_str(kn_json_get(field, KN_K_fieldPath)),
                                m->a, &value));
        else if (resource)
            KN_TRY(kn_pod_resource_field(m->n, m->pod, NULL, resource, m->a, &value));
        KN_TRY(add_file(m, kn_json_str(kn_json_get(i, KN_K_path)), value,
                        kn_json_int(kn_json_get(i, KN_K_mode), mode)));
    }
    return KN_STATUS_OK;
}

static struct kn_status add_projected(struct making *m, const struct kn_json *source, int64_t mode)
{
    const struct kn_json *p, *v;
    KN_JSON_EACH(p, kn_json_get(source, KN_K_sources)) {
        if ((v = kn_json_get(p, KN_K_configMap))) {
            KN_TRY(
                add_object(m, v, kn_json_str(kn_json_get(v, KN_K_name)), KN_NODE_CONFIG_MAP, mode));
        } else if ((v = kn_json_get(p, KN_K_secret))) {
            KN_TRY(add_object(m, v, kn_json_str(kn_json_get(v, KN_K_name)), KN_NODE_SECRET, mode));
        } else if ((v = kn_json_get(p, KN_K_downwardAPI))) {
            KN_TRY(add_downward(m, v, mode));
        } else if ((v = kn_json_get(p, KN_K_serviceAccountToken))) {
            struct kn_sv token;
            if (!m->n->api.token)
                return kn_error(KN_NOT_SUPPORTED,
                                "serviceAccountToken: this agent cannot ask for tokens");
            KN_TRY(m->n->api.token(
                m->n->api.arg, m->pod, kn_json_str(kn_json_get(v, KN_K_audience)),
                kn_json_int(kn_json_get(v, KN_K_expirationSeconds), 3600), m->a, &token));
            // As upstream: others may read it only when the mode says so.
            KN_TRY(add_file(m, kn_json_str(kn_json_get(v, KN_K_path)), token, mode));
        } else {
            return kn_error(KN_NOT_SUPPORTED,
                            "a projected source of the kind %.*s is not supported",
                            KN_SV_ARG(kn_json_key(kn_json_first(p))));
        }
    }
    return KN_STATUS_OK;
}

// -- kinds -----------------------------------------------------------------------------------

static int64_t fs_group(const struct kn_obj *pod)
{
    return kn_json_int(KN_JSON_AT(pod->root, KN_K_spec, KN_K_securityContext, KN_K_fsGroup), -1);
}

static void volume_path(const struct kn_sandbox *s, const struct kn_json *volume,
                        struct kn_arena *a, struct kn_sv *ret)
{
    struct kn_sv name = kn_json_str(kn_json_get(volume, KN_K_name));
    const struct kn_json *host = kn_json_get(volume, KN_K_hostPath),
                         *empty = kn_json_get(volume, KN_K_emptyDir);
    if (host)
        *ret = kn_arena_dup(a, kn_json_str(kn_json_get(host, KN_K_path)));
    else if (empty && !kn_sv_is(kn_json_str(kn_json_get(empty, KN_K_medium)), "Memory"))
        *ret = kn_arena_printf(a, "%s/volumes/%.*s", s->data, KN_SV_ARG(name));
    else
        *ret = kn_arena_printf(a, "%s/volumes/%.*s", s->run, KN_SV_ARG(name));
}

static struct kn_status make_empty(struct making *m, const struct kn_json *source, const char *path)
{
    struct stat st, up;
    char parent[PATH_MAX], options[64] = "mode=0777";
    int64_t gid = fs_group(m->pod);
    bool memory = kn_sv_is(kn_json_str(kn_json_get(source, KN_K_medium)), "Memory");
    bool there = stat(path, &st) == 0;
    KN_TRY(kn_dir_make(path, 0755));
    snprintf(parent, sizeof parent, "%s/..", path);
    if (memory && stat(path, &st) == 0 && stat(parent, &up) == 0 && st.st_dev == up.st_dev) {
        int64_t limit = kn_quantity_value_of(kn_json_str(kn_json_get(source, KN_K_sizeLimit)));
        if (limit > 0)
            snprintf(options, sizeof options, "mode=0777,size=%lld", (long long)limit);
        if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
            return kn_error_errno(errno, "mount a tmpfs on %s", path);
        there = false;
    }
    if (!there && ((gid >= 0 && chown(path, (uid_t)-1, (gid_t)gid) < 0) ||
                   chmod(path, gid >= 0 ? 02777 : 0777) < 0))
        return kn_error_errno(errno, "set the mode of %s", path);
    return KN_STATUS_OK;
}

static struct kn_status check_host_path(const struct kn_json *source, const char *path)
{
    static const struct {
        const char *type;
        mode_t kind;
        const char *words;
    } kinds[] = {{"Directory", S_IFDIR, "directory"}, {"File", S_IFREG, "file"},
                 {"Socket", S_IFSOCK, "socket file"}, {"CharDevice", S_IFCHR, "character device"},
                 {"BlockDevice", S_IFBLK, "block device"}};
    struct kn_sv type = kn_json_str(kn_json_get(source, KN_K_type));
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (!there && kn_sv_is(type, "DirectoryOrCreate"))
        return kn_dir_make(path, 0755);
    if (!there && kn_sv_is(type, "FileOrCreate")) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            return kn_error_errno(errno, "create %s", path);
        close(fd);
        return KN_STATUS_OK;
    }
    if (!there && !type.len) // as it has always been: made when it is missing
        return kn_dir_make(path, 0755);
    for (size_t i = 0; i < KN_ARRAY_LEN(kinds); i++)
        if (kn_sv_is(type, kinds[i].type) && (!there || (st.st_mode & S_IFMT) != kinds[i].kind))
            return kn_error(KN_NOT_FOUND, "hostPath type check failed: %s is not a %s", path,
                            kinds[i].words);
    return KN_STATUS_OK;
}

static struct kn_status make_one(struct making *m, const struct kn_json *volume)
{
    struct kn_sv path;
    const struct kn_json *v;
    volume_path(m->s, volume, m->a, &path);
    if (kn_arena_failed(m->a))
        return kn_arena_error(m->a, "a volume");
    m->len = 0;
    if ((v = kn_json_get(volume, KN_K_emptyDir)))
        return make_empty(m, v, path.ptr);
    if ((v = kn_json_get(volume, KN_K_hostPath)))
        return check_host_path(v, path.ptr);
    if ((v = kn_json_get(volume, KN_K_configMap)))
        KN_TRY(add_object(m, v, kn_json_str(kn_json_get(v, KN_K_name)), KN_NODE_CONFIG_MAP,
                          kn_json_int(kn_json_get(v, KN_K_defaultMode), 0644)));
    else if ((v = kn_json_get(volume, KN_K_secret)))
        KN_TRY(add_object(m, v, kn_json_str(kn_json_get(v, KN_K_secretName)), KN_NODE_SECRET,
                          kn_json_int(kn_json_get(v, KN_K_defaultMode), 0644)));
    else if ((v = kn_json_get(volume, KN_K_downwardAPI)))
        KN_TRY(add_downward(m, v, kn_json_int(kn_json_get(v, KN_K_defaultMode), 0644)));
    else if ((v = kn_json_get(volume, KN_K_projected)))
        KN_TRY(add_projected(m, v, kn_json_int(kn_json_get(v, KN_K_defaultMode), 0644)));
    else {
        KN_JSON_EACH(v, volume)
            if (kn_json_is_object(v))
                return kn_error(KN_NOT_SUPPORTED, "volumes of the kind %.*s are not supported yet",
                                KN_SV_ARG(kn_json_key(v)));
        return make_empty(m, NULL, path.ptr);
    }
    return kn_payload_write(path.ptr, m->files, m->len, fs_group(m->pod));
}

struct kn_status kn_volumes_make(const struct kn_node *n, const struct kn_sandbox *s,
                                 const struct kn_obj *pod)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 32u << 20);
    struct making m = {.n = n, .s = s, .pod = pod, .a = a};
    const struct kn_json *list = KN_JSON_AT(pod->root, KN_K_spec, KN_K_volumes), *v;
    if (!list)
        return KN_STATUS_OK;
    m.files = kn_calloc(FILES_MAX, sizeof *m.files);
    struct kn_status st = KN_STATUS_OK;
    KN_JSON_EACH(v, list) {
        st = kn_wrap(make_one(&m, v), "MountVolume.SetUp failed for volume \"%.*s\"",
                     KN_SV_ARG(kn_json_str(kn_json_get(v, KN_K_name))));
        if (!kn_ok(st))
            break;
    }
    free(m.files);
    return st;
}

// -- limits ----------------------------------------------------------------------------------

#define DEPTH_MAX 200 // each level has a descriptor; what lies deeper counts as beyond every limit
#define ENTRY_COST 4096 // of a name, whatever is behind it: empty files fill a disk, too

// Bytes that a folder and what is below it take on its file system; stops beyond the limit. Takes
// fd. The pod's processes change it meanwhile, so that no path is looked up twice.
static int64_t usage_below(int fd, dev_t device, int64_t limit, int depth)
{
    int64_t sum = 0;
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return 0;
    }
    for (struct dirent *e; sum <= limit && (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
            continue;
        // a file with several names is counted once, spread over them
        int64_t bytes = (int64_t)st.st_blocks * 512;
        bytes /= S_ISDIR(st.st_mode) ? 1 : (int64_t)st.st_nlink;
        sum += bytes > ENTRY_COST ? bytes : ENTRY_COST;
        if (S_ISDIR(st.st_mode) && depth == DEPTH_MAX)
            sum = limit + 1;
        int below =
            S_ISDIR(st.st_mode) && depth < DEPTH_MAX
                ? openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                : -1;
        if (below >= 0)
            sum += usage_below(below, device, limit - sum, depth + 1);
    }
    closedir(d);
    return sum;
}

// 0: none.
static int64_t disk_limit(const struct kn_json *volume)
{
    const struct kn_json *empty = kn_json_get(volume, KN_K_emptyDir);
    bool memory = kn_sv_is(kn_json_str(kn_json_get(empty, KN_K_medium)), "Memory");
    return memory ? 0 : kn_quantity_value_of(kn_json_str(kn_json_get(empty, KN_K_sizeLimit)));
}

bool kn_volumes_over(const struct kn_sandbox *s, const struct kn_obj *pod, char *message,
                     size_t size)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, KN_JSON_AT(pod->root, KN_K_spec, KN_K_volumes)) {
        int64_t limit = disk_limit(v);
        struct kn_sv name = kn_json_str(kn_json_get(v, KN_K_name));
        char path[PATH_MAX];
        struct stat st;
        snprintf(path, sizeof path, "%s/volumes/%.*s", s->data, KN_SV_ARG(name));
        int fd = limit > 0 ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        int64_t used = fstat(fd, &st) == 0 ? usage_below(fd, st.st_dev, limit, 0) : (close(fd), 0);
        if (used <= limit)
            continue;
        snprintf(message, size, "Usage of EmptyDir volume \"%.*s\" exceeds the limit \"%.*s\".",
                 KN_SV_ARG(name), KN_SV_ARG(KN_JSON_STR_AT(v, KN_K_emptyDir, KN_K_sizeLimit)));
        return true;
    }
    return false;
}

bool kn_volumes_live(const struct kn_obj *pod)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, KN_JSON_AT(pod->root, KN_K_spec, KN_K_volumes))
        if (kn_json_get(v, KN_K_configMap) || kn_json_get(v, KN_K_secret) ||
            kn_json_get(v, KN_K_projected) || kn_json_get(v, KN_K_downwardAPI) || disk_limit(v) > 0)
            return true;
    return false;
}

// -- mounts ----------------------------------------------------------------------------------

// A path inside a volume that the pod's own processes may change meanwhile: the kernel resolves it
// inside, and what it found is pinned by a bind mount before anybody can change it again.
static struct kn_status sub_path(const struct kn_sandbox *s, const char *volume, struct kn_sv sub,
                                 struct kn_arena *a, struct kn_sv *ret)
{
    char inside[PATH_MAX], self[64], target[PATH_MAX];
    uint64_t hash = kn_hash(sub.ptr, sub.len) ^ kn_hash(volume, strlen(volume));
    struct stat st;
    snprintf(inside, sizeof inside, "%.*s", KN_SV_ARG(sub));
    KN_CLEANUP(kn_cleanup_fd) int root = open(volume, O_PATH | O_CLOEXEC);
    int fd = root < 0 ? -1 : kn_open_below(root, inside, O_PATH, RESOLVE_BENEATH);
    if (fd < 0 && root >= 0 && errno == ENOENT)
        fd = kn_dir_open_below(root, inside, 0750, RESOLVE_BENEATH);
    if (fd < 0)
        return kn_error_errno(errno, "failed to prepare subPath \"%s\"", inside);
    snprintf(target, sizeof target, "%s/subpaths/%016llx", s->run, (unsigned long long)hash);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    struct kn_status result = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? kn_dir_make(target, 0755)
                                                                         : KN_STATUS_OK;
    if (kn_ok(result) && !S_ISDIR(st.st_mode)) {
        char up[PATH_MAX];
        snprintf(up, sizeof up, "%s/subpaths", s->run);
        result = kn_dir_make(up, 0755);
        int made = open(target, O_CREAT | O_RDONLY | O_CLOEXEC, 0644);
        if (made >= 0)
            close(made);
    }
    umount2(target, MNT_DETACH); // of the container before
    if (kn_ok(result) && mount(self, target, NULL, MS_BIND | MS_REC, NULL) < 0)
        result = kn_error_errno(errno, "bind the subPath \"%s\"", inside);
    close(fd);
    *ret = kn_arena_dup(a, kn_sv_c(target));
    return result;
}

struct kn_status kn_volume_mounts(const struct kn_node *n, const struct kn_sandbox *s,
                                  const struct kn_obj *pod, const struct kn_json *container,
                                  struct kn_sv (*env_lookup)(void *arg, struct kn_sv name),
                                  void *arg, struct kn_arena *a, struct kn_oci_mount **ret,
                                  size_t *ret_len)
{
    const struct kn_json *list = kn_json_get(container, KN_K_volumeMounts), *m, *v;
    struct kn_oci_mount *out = kn_arena_calloc(a, kn_json_len(list) + 1, sizeof *out);
    size_t len = 0;
    (void)n;
    KN_JSON_EACH(m, out ? list : NULL) {
        struct kn_sv name = kn_json_str(kn_json_get(m, KN_K_name)), path = KN_SV_NULL;
        KN_JSON_EACH(v, KN_JSON_AT(pod->root, KN_K_spec, KN_K_volumes))
            if (kn_sv_eq(kn_json_str(kn_json_get(v, KN_K_name)), name))
                volume_path(s, v, a, &path);
        if (!path.len)
            return kn_error(KN_NOT_FOUND, "the volume \"%.*s\" is not in the pod", KN_SV_ARG(name));
        struct kn_sv sub = kn_json_str(kn_json_get(m, KN_K_subPath));
        struct kn_sv expression = kn_json_str(kn_json_get(m, KN_K_subPathExpr));
        if (expression.len)
            sub = kn_expand(a, expression, env_lookup, arg);
        if (sub.len)
            KN_TRY(sub_path(s, path.ptr, sub, a, &path));
        struct kn_sv propagation = kn_json_str(kn_json_get(m, KN_K_mountPropagation));
        struct kn_sv below = kn_json_str(kn_json_get(m, KN_K_recursiveReadOnly));
        out[len++] = (struct kn_oci_mount){
            .source = path.ptr,
            .target = kn_arena_dup(a, kn_json_str(kn_json_get(m, KN_K_mountPath))).ptr,
            .read_only = kn_json_bool(kn_json_get(m, KN_K_readOnly), false),
            .read_only_below = kn_sv_is(below, "Enabled") || kn_sv_is(below, "IfPossible"),
            .propagation = kn_sv_is(propagation, "HostToContainer") ? KN_OCI_SLAVE
                           : kn_sv_is(propagation, "Bidirectional") ? KN_OCI_SHARED
                                                                    : KN_OCI_PRIVATE};
    }
    *ret = out;
    *ret_len = len;
    return kn_arena_failed(a) ? kn_arena_error(a, "the mounts of a container") : KN_STATUS_OK;
}
