#include "cluster/kubeconfig.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/yaml.h"

#define FILE_MAX ((size_t)16 << 20)

static struct kn_sv base64(struct kn_arena *a, struct kn_sv bytes)
{
    struct kn_buf text = KN_BUF(FILE_MAX);
    kn_base64_encode(&text, bytes, KN_BASE64_STD);
    struct kn_sv copy = kn_arena_dup(a, kn_buf_sv(&text));
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    kn_buf_done(&text);
    return copy;
}

static struct kn_json *find_named(const struct kn_json *list, struct kn_sv name)
{
    struct kn_json *e;
    KN_JSON_EACH(e, list)
    if (kn_sv_eq(kn_json_str(kn_json_get(e, KN_K_name)), name))
        return e;
    return NULL;
}

// The entry of that name in a list, emptied; its inner object is returned.
static struct kn_json *entry(struct kn_arena *a, struct kn_json *config, enum kn_atom list_key,
                             struct kn_sv name, enum kn_atom inner)
{
    struct kn_json *list = kn_json_ensure_array(a, config, list_key);
    struct kn_json *e = find_named(list, name);
    if (e)
        kn_json_clear(e);
    else
        e = kn_json_append(list, kn_json_new_object(a));
    kn_json_set_str(a, e, KN_K_name, name);
    return kn_json_ensure_object(a, e, inner);
}

static void put(struct kn_arena *a, struct kn_json *config, const struct kn_kubeconfig *k)
{
    struct kn_sv name = kn_sv_c(k->name);
    struct kn_json *cluster = entry(a, config, KN_K_clusters, name, KN_K_cluster);
    kn_json_set_str(a, cluster, KN_K_server, kn_sv_c(k->server));
    kn_json_set_str(a, cluster, KN_K_certificate_authority_data, base64(a, k->ca_pem));
    struct kn_json *user = entry(a, config, KN_K_users, name, KN_K_user);
    kn_json_set_str(a, user, KN_K_client_certificate_data, base64(a, k->cert_pem));
    kn_json_set_str(a, user, KN_K_client_key_data, base64(a, k->key_pem));
    struct kn_json *context = entry(a, config, KN_K_contexts, name, KN_K_context);
    kn_json_set_str(a, context, KN_K_cluster, name);
    kn_json_set_str(a, context, KN_K_user, name);
    kn_json_set_str(a, config, KN_K_current_context, name);
}

static struct kn_json *new_config(struct kn_arena *a)
{
    struct kn_json *c = kn_json_new_object(a);
    kn_json_set_str(a, c, KN_K_apiVersion, KN_SV("v1"));
    kn_json_set_str(a, c, KN_K_kind, KN_SV("Config"));
    return c;
}

struct kn_status kn_kubeconfig_print(const struct kn_kubeconfig *k, struct kn_buf *out)
{
    struct kn_arena *a = kn_arena_new(0, FILE_MAX);
    struct kn_json *c = new_config(a);
    put(a, c, k);
    kn_json_encode_pretty(out, c, 2);
    kn_buf_add_byte(out, '\n');
    kn_arena_free(a);
    return kn_buf_status(out, "the kubeconfig");
}

// *ret is NULL when there is no file, or an empty one.
static struct kn_status load(struct kn_arena *a, const char *path, struct kn_json **ret)
{
    struct kn_buf text = KN_BUF(FILE_MAX);
    *ret = NULL;
    struct kn_status s = kn_file_read(path, FILE_MAX, &text);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    else if (kn_ok(s) && kn_sv_trim(kn_buf_sv(&text)).len)
        s = kn_wrap(kn_yaml_parse(a, kn_buf_sv(&text), ret), "%s", path);
    kn_buf_done(&text);
    if (kn_ok(s) && *ret && !kn_json_is_object(*ret))
        s = kn_error(KN_SYNTAX, "%s is no kubeconfig", path);
    return s;
}

// Who the file belongs to: as it is, or for a new one as the folder around it, whose owner is the
// person whose kubeconfig this is even where root writes it. The world may not read it: it holds
// keys.
static void owner_of(const char *path, struct stat *st)
{
    char folder[PATH_MAX];
    if (stat(path, st) == 0)
        return;
    ptrdiff_t slash = kn_sv_rfind(kn_sv_c(path), '/');
    snprintf(folder, sizeof folder, "%.*s", slash > 0 ? (int)slash : 1,
             slash > 0 ? path
             : slash   ? "."
                       : "/");
    if (stat(folder, st) < 0)
        *st = (struct stat){.st_uid = geteuid(), .st_gid = getegid()};
    st->st_mode = 0600;
}

static struct kn_status write_as_owner(const char *path, struct kn_sv text)
{
    struct stat st;
    char real[PATH_MAX];
    // a link stays one: what it points at is written
    if (realpath(path, real))
        path = real;
    owner_of(path, &st);
    KN_TRY(kn_file_write(path, text, st.st_mode & 0770, true));
    if (geteuid() == 0 && chown(path, st.st_uid, st.st_gid) < 0)
        return kn_error_errno(errno, "give %s back to its owner", path);
    return KN_STATUS_OK;
}

static struct kn_status save(const char *path, const struct kn_json *config)
{
    struct kn_buf text = KN_BUF(FILE_MAX);
    kn_json_encode_pretty(&text, config, 2);
    kn_buf_add_byte(&text, '\n');
    struct kn_status s = kn_buf_status(&text, "the kubeconfig");
    if (kn_ok(s))
        s = write_as_owner(path, kn_buf_sv(&text));
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    kn_buf_done(&text);
    return s;
}

static struct kn_status make_folder_of(const char *path)
{
    ptrdiff_t slash = kn_sv_rfind(kn_sv_c(path), '/');
    if (slash <= 0)
        return KN_STATUS_OK;
    char *folder = kn_sv_dup(kn_sv(path, (size_t)slash));
    struct stat st;
    bool missing = stat(folder, &st) < 0;
    struct kn_status s = kn_dir_make(folder, 0750);
    if (kn_ok(s) && missing && geteuid() == 0) {
        // the folder around it is the person's
        ptrdiff_t up = kn_sv_rfind(kn_sv(path, (size_t)slash), '/');
        char *home = up > 0 ? kn_sv_dup(kn_sv(path, (size_t)up)) : NULL;
        if (home && stat(home, &st) == 0 && chown(folder, st.st_uid, st.st_gid) < 0)
            s = kn_error_errno(errno, "give %s to its owner", folder);
        free(home);
    }
    free(folder);
    return s;
}

struct kn_status kn_kubeconfig_add(const char *path, const struct kn_kubeconfig *k)
{
    struct kn_arena *a = kn_arena_new(0, FILE_MAX * 2);
    struct kn_json *config;
    struct kn_status s = load(a, path, &config);
    if (kn_ok(s) && !config)
        config = new_config(a);
    if (kn_ok(s)) {
        put(a, config, k);
        s = make_folder_of(path);
    }
    if (kn_ok(s))
        s = kn_arena_failed(a) ? kn_arena_error(a, "the kubeconfig") : save(path, config);
    kn_arena_free(a);
    return s;
}

struct kn_status kn_kubeconfig_remove(const char *path, const char *name)
{
    static const enum kn_atom lists[] = {KN_K_clusters, KN_K_users, KN_K_contexts};
    struct kn_arena *a = kn_arena_new(0, FILE_MAX * 2);
    struct kn_json *config;
    struct kn_status s = load(a, path, &config);
    bool found = false;
    uint32_t left = 0;
    for (size_t i = 0; kn_ok(s) && config && i < KN_ARRAY_LEN(lists); i++) {
        struct kn_json *list = kn_json_get(config, lists[i]);
        found = kn_json_remove_child(list, find_named(list, kn_sv_c(name))) || found;
        left += kn_json_len(list);
    }
    if (kn_ok(s) && found) {
        if (kn_sv_is(kn_json_str(kn_json_get(config, KN_K_current_context)), name))
            kn_json_set_str(a, config, KN_K_current_context, KN_SV(""));
        struct stat st;
        if (left || (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)))
            s = save(path, config);
        else
            unlink(path);
    }
    kn_arena_free(a);
    return s;
}
