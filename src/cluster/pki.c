#include "cluster/pki.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define YEAR (365 * 86400 * KN_SECOND)
#define CA_YEARS 10
#define FILE_MAX ((size_t)1 << 20)
#define NAMES_MAX 32

// -- files ----------------------------------------------------------------------------------------

static void path_of(char out[4096], const char *folder, const char *name, const char *ending)
{
    snprintf(out, 4096, "%s/%s%s", folder, name, ending);
}

static struct kn_status read_file(const char *folder, const char *name, const char *ending,
                                  struct kn_buf *out)
{
    char path[4096];
    path_of(path, folder, name, ending);
    return kn_file_read(path, FILE_MAX, out);
}

static struct kn_status set_owner(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return kn_error_errno(errno, "look at %s", path);
    if (geteuid() == 0 && (st.st_uid != uid || st.st_gid != gid) && chown(path, uid, gid) < 0)
        return kn_error_errno(errno, "give %s to the server's user", path);
    if ((st.st_mode & 07777) != mode && chmod(path, mode) < 0)
        return kn_error_errno(errno, "set the mode of %s", path);
    return KN_STATUS_OK;
}

static struct kn_status write_file(const char *folder, const char *name, const char *ending,
                                   struct kn_sv bytes, mode_t mode, uid_t uid, gid_t gid)
{
    char path[4096];
    path_of(path, folder, name, ending);
    KN_TRY(kn_file_write(path, bytes, mode, true));
    return set_owner(path, mode, uid, gid);
}

// What is there may have been written by somebody who was killed before it had its owner.
static struct kn_status check_file(const char *folder, const char *name, const char *ending,
                                   mode_t mode, uid_t uid, gid_t gid)
{
    char path[4096];
    path_of(path, folder, name, ending);
    return set_owner(path, mode, uid, gid);
}

struct kn_status kn_pki_load_key(const char *folder, const char *name, struct kn_key **ret)
{
    char path[4096];
    KN_CLEANUP(kn_secret_cleanup) struct kn_secret *text = NULL;
    path_of(path, folder, name, ".key");
    KN_TRY(kn_file_read_secret(path, FILE_MAX, &text));
    return kn_wrap(kn_key_parse_pem(kn_secret_reveal(text), ret), "%s", path);
}

struct kn_status kn_pki_load_certs(const char *folder, const char *name, struct kn_certs *ret)
{
    struct kn_buf text = KN_BUF(FILE_MAX);
    struct kn_status s = read_file(folder, name, ".crt", &text);
    if (kn_ok(s))
        s = kn_wrap(kn_certs_parse_pem(kn_buf_sv(&text), ret), "%s/%s.crt", folder, name);
    kn_buf_done(&text);
    return s;
}

struct kn_status kn_identity_load(const char *folder, const char *name, struct kn_identity *ret)
{
    *ret = (struct kn_identity){0};
    KN_TRY(kn_pki_load_certs(folder, name, &ret->chain));
    struct kn_status s = kn_pki_load_key(folder, name, &ret->key);
    if (!kn_ok(s))
        kn_certs_done(&ret->chain);
    return s;
}

void kn_identity_done(struct kn_identity *i)
{
    kn_certs_done(&i->chain);
    kn_key_free(i->key);
    i->key = NULL;
}

static struct kn_status save_key(const char *folder, const char *name, const struct kn_key *key,
                                 uid_t uid, gid_t gid)
{
    struct kn_buf text = KN_BUF(FILE_MAX);
    struct kn_status s = kn_key_private_pem(key, &text);
    if (kn_ok(s))
        s = write_file(folder, name, ".key", kn_buf_sv(&text), 0600, uid, gid);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    kn_buf_done(&text);
    return s;
}

static struct kn_status save_cert(const char *folder, const char *name, const struct kn_cert *cert,
                                  uid_t uid, gid_t gid)
{
    struct kn_buf text = KN_BUF(FILE_MAX);
    struct kn_status s = kn_cert_pem(cert, &text);
    if (kn_ok(s))
        s = write_file(folder, name, ".crt", kn_buf_sv(&text), 0644, uid, gid);
    kn_buf_done(&text);
    return s;
}

// -- the authority --------------------------------------------------------------------------------

struct authority {
    struct kn_cert *cert;
    struct kn_key *key;
};

static struct kn_time now_of(const struct kn_pki *p)
{
    return p->now.ns ? p->now : kn_now();
}

static bool is_pair(const struct kn_cert *cert, const struct kn_key *key)
{
    struct kn_key *own = kn_cert_key(cert);
    bool same = own && kn_key_same_public(own, key);
    kn_key_free(own);
    return same;
}

static struct kn_status make_authority(const struct kn_pki *p, struct authority *a)
{
    struct kn_time now = now_of(p);
    struct kn_cert_info info = {.cn = KN_SV("knarr"),
                                .usage = KN_CERT_CA,
                                .not_before = {now.ns - 3600 * KN_SECOND},
                                .not_after = {now.ns + CA_YEARS * YEAR}};
    if (!a->key)
        KN_TRY(kn_key_generate(KN_KEY_EC_P256, &a->key));
    KN_TRY(kn_cert_make_ca(a->key, &info, &a->cert));
    KN_TRY(save_key(p->root_folder, "ca", a->key, 0, 0));
    return save_cert(p->root_folder, "ca", a->cert, 0, 0);
}

static bool is_missing(struct kn_status *s)
{
    bool missing = s->code == KN_NOT_FOUND;
    if (missing)
        kn_status_done(s);
    return missing;
}

// The files are never silently replaced by another authority. The key is written before the
// certificate, so a key alone is what a kill leaves behind; a certificate alone is a loss.
static struct kn_status open_authority(const struct kn_pki *p, struct authority *a)
{
    struct kn_certs certs = {0};
    struct kn_status s = kn_pki_load_certs(p->root_folder, "ca", &certs);
    bool has_cert = !is_missing(&s);
    KN_TRY(s);
    s = kn_pki_load_key(p->root_folder, "ca", &a->key);
    if (has_cert) {
        a->cert = kn_cert_ref(certs.ptr[0]);
        kn_certs_done(&certs);
    }
    bool has_key = !is_missing(&s);
    KN_TRY(s);
    if (has_cert && !has_key)
        return kn_error(KN_CONFLICT,
                        "%s/ca.crt is there and its key, ca.key, is not: put the key back, or "
                        "reset the cluster",
                        p->root_folder);
    if (has_cert && !is_pair(a->cert, a->key))
        return kn_error(KN_CONFLICT,
                        "%s/ca.key is not the key of ca.crt: put the right one back, or reset "
                        "the cluster",
                        p->root_folder);
    if (has_cert && kn_cert_info(a->cert)->not_after.ns - now_of(p).ns > CA_YEARS * YEAR / 3) {
        KN_TRY(check_file(p->root_folder, "ca", ".key", 0600, 0, 0));
        return check_file(p->root_folder, "ca", ".crt", 0644, 0, 0);
    }
    kn_cert_free(a->cert);
    a->cert = NULL;
    return make_authority(p, a);
}

// -- leaves ---------------------------------------------------------------------------------------

struct leaf {
    const char *folder, *name;
    struct kn_cert_info info;
    uid_t uid;
    gid_t gid;
};

static bool has_all(const struct kn_sv *have, size_t n, const struct kn_sv *want, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        bool found = false;
        for (size_t j = 0; j < n && !found; j++)
            found = kn_sv_eq(have[j], want[i]);
        if (!found)
            return false;
    }
    return true;
}

static bool is_good(const struct kn_identity *now, const struct leaf *l, const struct authority *a,
                    struct kn_time when)
{
    const struct kn_cert *cert = now->chain.ptr[0];
    const struct kn_cert_info *i = kn_cert_info(cert);
    struct kn_certs roots = {0};
    kn_certs_add(&roots, a->cert);
    enum kn_cert_usage usage = l->info.usage & KN_CERT_SERVER ? KN_CERT_SERVER : KN_CERT_CLIENT;
    struct kn_status s = kn_cert_verify(cert, NULL, &roots, usage, when);
    bool verified = kn_ok(s);
    kn_status_done(&s);
    kn_certs_done(&roots);
    return verified && is_pair(cert, now->key) && kn_sv_eq(i->cn, l->info.cn) &&
           has_all(i->orgs, i->orgs_len, l->info.orgs, l->info.orgs_len) &&
           has_all(i->dns, i->dns_len, l->info.dns, l->info.dns_len) &&
           has_all(i->ips, i->ips_len, l->info.ips, l->info.ips_len) &&
           i->not_after.ns - when.ns > YEAR / 3;
}

static struct kn_status ensure_leaf(struct leaf *l, const struct authority *a, struct kn_time when,
                                    int *renewed)
{
    struct kn_identity now;
    struct kn_status s = kn_identity_load(l->folder, l->name, &now);
    if (kn_ok(s)) {
        bool good = is_good(&now, l, a, when);
        kn_identity_done(&now);
        if (good) {
            KN_TRY(check_file(l->folder, l->name, ".key", 0600, l->uid, l->gid));
            return check_file(l->folder, l->name, ".crt", 0644, l->uid, l->gid);
        }
    }
    kn_status_done(&s); // missing, damaged or due: made anew
    KN_CLEANUP(kn_key_cleanup) struct kn_key *key = NULL;
    KN_CLEANUP(kn_cert_cleanup) struct kn_cert *cert = NULL;
    l->info.not_before.ns = when.ns - 3600 * KN_SECOND;
    l->info.not_after.ns = when.ns + YEAR;
    KN_TRY(kn_key_generate(KN_KEY_EC_P256, &key));
    KN_TRY(kn_wrap(kn_cert_issue(a->cert, a->key, key, &l->info, &cert), "%s", l->name));
    KN_TRY(save_key(l->folder, l->name, key, l->uid, l->gid));
    KN_TRY(save_cert(l->folder, l->name, cert, l->uid, l->gid));
    ++*renewed;
    return KN_STATUS_OK;
}

static struct kn_status server_leaf(const struct kn_pki *p, const struct authority *a, int *renewed)
{
    char svc_domain[300];
    snprintf(svc_domain, sizeof svc_domain, "kubernetes.default.svc.%s", p->domain);
    const struct kn_sv dns[] = {KN_SV("kubernetes"),         KN_SV("kubernetes.default"),
                                KN_SV("kubernetes.default.svc"), kn_sv_c(svc_domain),
                                KN_SV("localhost"),          kn_sv_c(p->node_name)};
    struct kn_sv ips[NAMES_MAX] = {KN_SV("127.0.0.1"), kn_sv_c(p->service_ip)};
    size_t n = 2;
    for (size_t i = 0; i < p->address_count && n < NAMES_MAX; i++)
        ips[n++] = p->addresses[i];
    struct leaf l = {p->server_folder, "server",
                     {.cn = KN_SV("kube-apiserver"), .dns = dns, .dns_len = KN_ARRAY_LEN(dns),
                      .ips = ips, .ips_len = n, .usage = KN_CERT_SERVER},
                     p->uid, p->gid};
    KN_TRY(ensure_leaf(&l, a, now_of(p), renewed));
    const struct kn_sv node_dns[] = {kn_sv_c(p->node_name), KN_SV("localhost")};
    struct leaf node = {p->root_folder, "node-server",
                        {.cn = kn_sv_c(p->node_name), .dns = node_dns, .dns_len = 2, .ips = ips,
                         .ips_len = n, .usage = KN_CERT_SERVER},
                        0, 0};
    return ensure_leaf(&node, a, now_of(p), renewed);
}

static struct kn_status client_leaves(const struct kn_pki *p, const struct authority *a,
                                      int *renewed)
{
    char node_cn[300];
    snprintf(node_cn, sizeof node_cn, "system:node:%s", p->node_name);
    const struct kn_sv masters = KN_SV("system:masters"), nodes = KN_SV("system:nodes");
    struct leaf leaves[] = {
        {p->root_folder,
         "admin",
         {.cn = KN_SV("kubernetes-admin"),
          .orgs = &masters,
          .orgs_len = 1,
          .usage = KN_CERT_CLIENT},
         0,
         0},
        {p->root_folder,
         "node",
         {.cn = kn_sv_c(node_cn), .orgs = &nodes, .orgs_len = 1, .usage = KN_CERT_CLIENT},
         0,
         0},
        {p->root_folder,
         "network",
         {.cn = KN_SV("system:knarr-network"), .usage = KN_CERT_CLIENT},
         0,
         0},
        {p->server_folder,
         "kubelet-client",
         {.cn = KN_SV("kube-apiserver-kubelet-client"), .usage = KN_CERT_CLIENT},
         p->uid,
         p->gid},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(leaves); i++)
        KN_TRY(ensure_leaf(&leaves[i], a, now_of(p), renewed));
    return KN_STATUS_OK;
}

// -- the rest -------------------------------------------------------------------------------------

static struct kn_status ensure_keys(const struct kn_pki *p)
{
    KN_CLEANUP(kn_key_cleanup) struct kn_key *key = NULL;
    struct kn_status s = kn_pki_load_key(p->server_folder, "token", &key);
    if (is_missing(&s)) {
        KN_TRY(kn_key_generate(KN_KEY_EC_P256, &key));
        s = save_key(p->server_folder, "token", key, p->uid, p->gid);
    }
    KN_TRY(s);
    KN_TRY(check_file(p->server_folder, "token", ".key", 0600, p->uid, p->gid));
    struct kn_buf secret = KN_BUF(64);
    s = read_file(p->server_folder, "encryption", ".key", &secret);
    if (is_missing(&s)) {
        uint8_t fresh[KN_GCM_KEY];
        kn_random(fresh, sizeof fresh);
        s = write_file(p->server_folder, "encryption", ".key",
                       kn_sv((const char *)fresh, sizeof fresh), 0600, p->uid, p->gid);
        explicit_bzero(fresh, sizeof fresh);
    } else if (kn_ok(s) && secret.len != KN_GCM_KEY) {
        s = kn_error(KN_INVALID,
                     "%s/encryption.key has %zu bytes and must have %d: without the right "
                     "key the stored secrets cannot be read",
                     p->server_folder, secret.len, KN_GCM_KEY);
    }
    if (secret.ptr)
        explicit_bzero(secret.ptr, secret.len);
    kn_buf_done(&secret);
    KN_TRY(s);
    return check_file(p->server_folder, "encryption", ".key", 0600, p->uid, p->gid);
}

static struct kn_status ensure_all(const struct kn_pki *p, struct authority *a, int *renewed)
{
    KN_TRY(open_authority(p, a));
    KN_TRY(save_cert(p->server_folder, "ca", a->cert, p->uid, p->gid));
    KN_TRY(server_leaf(p, a, renewed));
    KN_TRY(client_leaves(p, a, renewed));
    return ensure_keys(p);
}

struct kn_status kn_pki_ensure(const struct kn_pki *p, int *ret_renewed)
{
    *ret_renewed = 0;
    KN_TRY(kn_dir_make(p->root_folder, 0700));
    KN_TRY(kn_dir_make(p->server_folder, 0700));
    if (geteuid() == 0 && chown(p->server_folder, p->uid, p->gid) < 0)
        return kn_error_errno(errno, "give %s to the server's user", p->server_folder);
    struct authority a = {0};
    struct kn_status s = ensure_all(p, &a, ret_renewed);
    kn_cert_free(a.cert);
    kn_key_free(a.key);
    return kn_wrap(s, "the cluster's certificates");
}
