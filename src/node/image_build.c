#include "node/image_build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/num.h"
#include "base/process.h"
#include "base/vec.h"
#include "node/image_build_impl.h"
#include "node/image_ref.h"
#include "node/image_store_impl.h"

#define RECIPE_MAX 65536
#define WORDS_MAX 64

static struct kn_status invalid(const struct build *b, const char *what)
{
    return kn_error(KN_INVALID, "%s/recipe, line %d: %s", b->o->folder, b->line, what);
}

struct kn_status kn_build_path(const struct build *b, struct kn_sv path, char out[PATH_MAX])
{
    if (path.len == 0 || path.ptr[0] != '/' || kn_sv_search(path, KN_SV("/../")) >= 0 ||
        kn_sv_ends(path, KN_SV("/..")) ||
        snprintf(out, PATH_MAX, "%s%.*s", b->root, KN_SV_ARG(path)) >= PATH_MAX)
        return kn_error(KN_INVALID, "%s/recipe, line %d: \"%.*s\" is no path from the root",
                        b->o->folder, b->line, KN_SV_ARG(path));
    return KN_STATUS_OK;
}

static struct kn_status make_parent(const char *path)
{
    char up[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(up, sizeof up, "%.*s", (int)(slash - path), path);
    return kn_dir_make(up, 0755);
}

static struct kn_status parse_mode(const struct build *b, struct kn_sv text, uint32_t *ret)
{
    struct kn_status s = kn_num_parse_octal(text, 07777, ret);
    if (kn_ok(s))
        return s;
    kn_status_done(&s);
    return invalid(b, "an octal mode was expected");
}

static struct kn_status copy_file(const char *from, const char *to, mode_t mode)
{
    struct kn_buf bytes = KN_BUF(256u << 20);
    struct kn_status s = make_parent(to);
    if (kn_ok(s))
        s = kn_file_read(from, (256u << 20) - 8192, &bytes);
    if (kn_ok(s))
        s = kn_file_write(to, kn_buf_sv(&bytes), mode, false);
    kn_buf_done(&bytes);
    return s;
}

// -- instructions ----------------------------------------------------------------------------

typedef struct kn_status step(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest);

static step do_tag, do_package, do_remove, do_folder, do_file, do_copy, do_link, do_owner, do_text,
    do_applets, do_config;

static struct kn_status do_tag(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    (void)n;
    (void)rest;
    b->tag = w[1];
    return KN_STATUS_OK;
}

static struct kn_status do_package(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    (void)rest;
    return kn_build_packages(b, w + 1, n - 1);
}

static struct kn_status do_remove(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char path[PATH_MAX];
    (void)rest;
    for (size_t i = 1; i < n; i++) {
        KN_TRY(kn_build_path(b, w[i], path));
        KN_TRY(kn_dir_remove(path));
    }
    return KN_STATUS_OK;
}

static struct kn_status do_folder(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char path[PATH_MAX];
    uint32_t mode;
    (void)rest;
    KN_TRY(parse_mode(b, w[1], &mode));
    for (size_t i = 2; i < n; i++) {
        KN_TRY(kn_build_path(b, w[i], path));
        KN_TRY(kn_dir_make(path, 0755));
        if (chmod(path, mode) < 0)
            return kn_error_errno(errno, "change the mode of %s", path);
    }
    return KN_STATUS_OK;
}

static struct kn_status do_file(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char path[PATH_MAX], from[PATH_MAX];
    uint32_t mode;
    (void)n;
    (void)rest;
    KN_TRY(parse_mode(b, w[1], &mode));
    KN_TRY(kn_build_path(b, w[3], path));
    snprintf(from, sizeof from, "%s/%.*s", b->o->folder, KN_SV_ARG(w[2]));
    return copy_file(from, path, mode);
}

static struct kn_status do_copy(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat st;
    (void)n;
    (void)rest;
    KN_TRY(kn_build_path(b, w[1], from));
    KN_TRY(kn_build_path(b, w[2], to));
    if (stat(from, &st) < 0)
        return kn_error_errno(errno, "copy %.*s", KN_SV_ARG(w[1]));
    return copy_file(from, to, st.st_mode & 07777);
}

static struct kn_status do_link(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char path[PATH_MAX], target[PATH_MAX];
    (void)n;
    (void)rest;
    KN_TRY(kn_build_path(b, w[2], path));
    snprintf(target, sizeof target, "%.*s", KN_SV_ARG(w[1]));
    KN_TRY(make_parent(path));
    unlink(path);
    return symlink(target, path) < 0 ? kn_error_errno(errno, "link %s", path) : KN_STATUS_OK;
}

static struct kn_status do_owner(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char path[PATH_MAX];
    struct kn_sv gid_text = w[1];
    struct kn_sv uid_text = kn_sv_cut(&gid_text, ':');
    int64_t uid, gid;
    (void)rest;
    KN_TRY(kn_wrap(kn_num_parse(uid_text, 0, UINT32_MAX, &uid), "line %d: the user", b->line));
    KN_TRY(kn_wrap(kn_num_parse(gid_text, 0, UINT32_MAX, &gid), "line %d: the group", b->line));
    for (size_t i = 2; i < n; i++) {
        KN_TRY(kn_build_path(b, w[i], path));
        if (lchown(path, (uid_t)uid, (gid_t)gid) < 0)
            return kn_error_errno(errno, "change the owner of %s", path);
    }
    return KN_STATUS_OK;
}

// The text is everything after the path, its inner spaces included.
static struct kn_status do_text(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char path[PATH_MAX];
    (void)n;
    KN_TRY(kn_build_path(b, w[1], path));
    KN_TRY(make_parent(path));
    struct kn_sv line = kn_sv_trim(kn_sv_from(rest, w[1].len));
    KN_CLEANUP(kn_cleanup_fd) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    KN_TRY(kn_fd_write_all(fd, line));
    return kn_fd_write_all(fd, KN_SV("\n"));
}

static struct kn_status do_applets(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    char program[PATH_MAX], dir[PATH_MAX], path[PATH_MAX], target[PATH_MAX];
    struct kn_buf names = KN_BUF(65536);
    (void)n;
    (void)rest;
    KN_TRY(kn_build_path(b, w[1], program));
    KN_TRY(kn_build_path(b, w[2], dir));
    KN_TRY(kn_dir_make(dir, 0755));
    const char *const argv[] = {program, "--list", NULL};
    struct kn_status s = kn_process_run(argv, KN_SV_NULL, &names, kn_mono() + 10 * KN_SECOND);
    struct kn_sv list = kn_buf_sv(&names);
    snprintf(target, sizeof target, "%.*s", KN_SV_ARG(w[1]));
    while (kn_ok(s) && list.len) {
        struct kn_sv name = kn_sv_trim(kn_sv_cut(&list, '\n'));
        if (!name.len || kn_sv_find(name, '/') >= 0)
            continue;
        snprintf(path, sizeof path, "%s/%.*s", dir, KN_SV_ARG(name));
        if (symlink(target, path) < 0 && errno != EEXIST)
            s = kn_error_errno(errno, "link %s", path);
    }
    kn_buf_done(&names);
    return s;
}

static struct kn_status json_list(struct build *b, struct kn_sv text, const struct kn_json **ret)
{
    struct kn_json *list;
    struct kn_status s = kn_json_parse(b->a, text, NULL, &list);
    bool good = kn_ok(s) && kn_json_is_array(list);
    kn_status_done(&s);
    *ret = list;
    return good ? KN_STATUS_OK : invalid(b, "a JSON array of strings was expected");
}

static struct kn_status do_config(struct build *b, struct kn_sv *w, size_t n, struct kn_sv rest)
{
    const struct kn_json *list;
    (void)n;
    if (kn_sv_is(w[0], "entrypoint") || kn_sv_is(w[0], "cmd")) {
        KN_TRY(json_list(b, rest, &list));
        kn_json_set(b->a, b->config, kn_sv_is(w[0], "cmd") ? KN_K_Cmd : KN_K_Entrypoint,
                    kn_json_copy(b->a, list));
    } else if (kn_sv_is(w[0], "env")) {
        kn_json_append(kn_json_ensure_array(b->a, b->config, KN_K_Env),
                       kn_json_new_str(b->a, rest));
    } else if (kn_sv_is(w[0], "expose")) {
        kn_json_set_sv(b->a, kn_json_ensure_object(b->a, b->config, KN_K_ExposedPorts), rest,
                       kn_json_new_object(b->a));
    } else if (kn_sv_is(w[0], "user")) {
        kn_json_set_str(b->a, b->config, KN_K_User, rest);
    } else if (kn_sv_is(w[0], "workdir")) {
        kn_json_set_str(b->a, b->config, KN_K_WorkingDir, rest);
    } else {
        kn_json_set_str(b->a, b->config, KN_K_StopSignal, rest);
    }
    return KN_STATUS_OK;
}

static const struct {
    const char *name;
    step *run;
    size_t least, most; // words, the instruction included; most 0: any number
} steps[] = {
    {"tag", do_tag, 2, 2},           {"package", do_package, 2, 0}, {"remove", do_remove, 2, 0},
    {"folder", do_folder, 3, 0},     {"file", do_file, 4, 4},       {"copy", do_copy, 3, 3},
    {"link", do_link, 3, 3},         {"owner", do_owner, 3, 0},     {"text", do_text, 3, 0},
    {"applets", do_applets, 3, 3},   {"entrypoint", do_config, 2, 0}, {"cmd", do_config, 2, 0},
    {"env", do_config, 2, 0},        {"expose", do_config, 2, 2},   {"user", do_config, 2, 2},
    {"workdir", do_config, 2, 2},    {"stopsignal", do_config, 2, 2},
};

static struct kn_status run_line(struct build *b, struct kn_sv line)
{
    struct kn_sv words[WORDS_MAX];
    size_t n = 0;
    line = kn_sv_trim(line);
    if (!line.len || line.ptr[0] == '#')
        return KN_STATUS_OK;
    struct kn_sv left = line;
    while (left.len && n < WORDS_MAX) {
        words[n++] = kn_sv_cut(&left, ' ');
        left = kn_sv_trim(left);
    }
    struct kn_sv rest = kn_sv_trim(kn_sv_from(line, words[0].len));
    for (size_t i = 0; i < KN_ARRAY_LEN(steps); i++)
        if (kn_sv_is(words[0], steps[i].name)) {
            if (n < steps[i].least || (steps[i].most && n > steps[i].most) || left.len)
                return invalid(b, "wrong number of words");
            return steps[i].run(b, words, n, rest);
        }
    return kn_error(KN_INVALID, "%s/recipe, line %d: \"%.*s\" is no instruction", b->o->folder,
                    b->line, KN_SV_ARG(words[0]));
}

// -- the image -------------------------------------------------------------------------------

static struct kn_status finish(struct build *b, struct kn_sv *ret_manifest)
{
    struct kn_sv layer, config_digest;
    int64_t size;
    KN_TRY(kn_build_layer(b, &layer, &size));
    struct kn_buf text = KN_BUF(1u << 20);
    kn_buf_addf(&text,
                "{\"created\":\"1970-01-01T00:00:00Z\",\"architecture\":\"%s\",\"os\":\"linux\","
                "\"config\":",
                kn_image_architecture());
    kn_json_encode(&text, b->config);
    kn_buf_addf(&text, ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%.*s\"]}}",
                KN_SV_ARG(layer));
    size_t config_size = text.len;
    struct kn_status s = kn_images_write_blob(b->s, kn_buf_sv(&text), b->a, &config_digest);
    kn_buf_clear(&text);
    if (kn_ok(s)) {
        kn_buf_addf(&text,
                    "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"config\":{"
                    "\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"%.*s\",\"size\":%zu},"
                    "\"layers\":[{\"mediaType\":\"" MEDIA_OCI_TAR
                    "\",\"digest\":\"%.*s\",\"size\":%lld}]}",
                    KN_SV_ARG(config_digest), config_size, KN_SV_ARG(layer), (long long)size);
        s = kn_images_write_blob(b->s, kn_buf_sv(&text), b->a, ret_manifest);
    }
    kn_buf_done(&text);
    return s;
}

static struct kn_status run_recipe(struct build *b, struct kn_sv *ret_manifest)
{
    char path[PATH_MAX];
    struct kn_buf text = KN_BUF(RECIPE_MAX + 4097);
    snprintf(path, sizeof path, "%s/recipe", b->o->folder);
    struct kn_status s = kn_file_read(path, RECIPE_MAX, &text);
    if (s.code == KN_NOT_FOUND) {
        kn_status_done(&s);
        s = kn_error(KN_NOT_FOUND,
                     "there is no file %s: a recipe says of what an image is built, as "
                     "those in the folder images/ of knarr's source do",
                     path);
    }
    struct kn_sv rest = kn_arena_dup(b->a, kn_buf_sv(&text));
    kn_buf_done(&text);
    while (kn_ok(s) && rest.len) {
        b->line++;
        s = run_line(b, kn_sv_cut(&rest, '\n'));
    }
    if (kn_ok(s) && !b->o->name.len && !b->tag.len)
        s = kn_error(KN_INVALID, "%s has no line \"tag NAME\": give a name with -t", path);
    return kn_ok(s) ? finish(b, ret_manifest) : s;
}

struct kn_status kn_image_build(struct kn_images *s, const struct kn_image_build *o,
                                struct kn_arena *a, struct kn_sv *ret_name)
{
    char root[PATH_MAX];
    struct kn_sv manifest, lower;
    struct kn_image image;
    snprintf(root, sizeof root, "%s/tmp/build.XXXXXX", kn_images_dir(s));
    if (!mkdtemp(root) || chmod(root, 0755) < 0)
        return kn_error_errno(errno, "make a folder in %s/tmp", kn_images_dir(s));
    struct build b = {.s = s, .o = o, .a = a, .root = root, .config = kn_json_new_object(a)};
    kn_images_hold(s);
    struct kn_status st = run_recipe(&b, &manifest);
    struct kn_sv name = o->name.len ? o->name : b.tag;
    if (kn_ok(st))
        st = kn_images_name(s, name, manifest, true);
    if (kn_ok(st))
        st = kn_images_get(s, name, a, &image);
    if (kn_ok(st))
        st = kn_images_unpack(s, &image, a, &lower);
    kn_images_unhold(s);
    KN_IGNORE(kn_dir_remove(root));
    if (kn_ok(st) && ret_name)
        *ret_name = image.name;
    return kn_wrap(st, "build the image in %s", o->folder);
}
