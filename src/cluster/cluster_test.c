#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "cluster/kubeconfig.h"
#include "cluster/pki.h"
#include "lib/ktest.h"

static char folder[] = "/tmp/knarr-pki-XXXXXX";
static char root_folder[64], server_folder[64];

static struct kn_pki config(const struct kn_sv *addresses, size_t n)
{
    return (struct kn_pki){.root_folder = root_folder,
                           .server_folder = server_folder,
                           .uid = getuid(),
                           .gid = getgid(),
                           .node_name = "n1",
                           .addresses = addresses,
                           .address_count = n,
                           .service_ip = "10.96.0.1",
                           .domain = "cluster.local"};
}

KTEST(certificates_are_made_once_and_again_when_their_names_change)
{
    const struct kn_sv addresses[] = {KN_SV("192.0.2.7"), KN_SV("192.0.2.8")};
    struct kn_pki p = config(addresses, 1);
    int renewed;
    ktest_ok(kn_pki_ensure(&p, &renewed));
    ktest_eq_int(renewed, 6);
    ktest_ok(kn_pki_ensure(&p, &renewed));
    ktest_eq_int(renewed, 0);
    struct kn_identity server;
    ktest_ok(kn_identity_load(server_folder, "server", &server));
    ktest_true(kn_cert_matches(server.chain.ptr[0], KN_SV("192.0.2.7")));
    ktest_true(kn_cert_matches(server.chain.ptr[0], KN_SV("10.96.0.1")));
    ktest_true(kn_cert_matches(server.chain.ptr[0], KN_SV("kubernetes.default.svc.cluster.local")));
    ktest_true(!kn_cert_matches(server.chain.ptr[0], KN_SV("192.0.2.8")));
    kn_identity_done(&server);
    p = config(addresses, 2); // the machine has a new address
    ktest_ok(kn_pki_ensure(&p, &renewed));
    ktest_eq_int(renewed, 2);
    struct kn_certs roots = {0};
    ktest_ok(kn_pki_load_certs(server_folder, "ca", &roots));
    ktest_ok(kn_identity_load(server_folder, "server", &server));
    ktest_ok(kn_cert_verify(server.chain.ptr[0], NULL, &roots, KN_CERT_SERVER, kn_now()));
    ktest_true(kn_cert_matches(server.chain.ptr[0], KN_SV("192.0.2.8")));
    kn_identity_done(&server);
    kn_certs_done(&roots);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/ca.key", root_folder);
    ktest_eq_int(stat(path, &st), 0);
    ktest_eq_int(st.st_mode & 0777, 0600);
}

KTEST(a_damaged_certificate_is_made_anew_and_a_damaged_key_is_said)
{
    struct kn_pki p = config(NULL, 0);
    int renewed;
    ktest_ok(kn_pki_ensure(&p, &renewed));
    char path[128];
    snprintf(path, sizeof path, "%s/admin.crt", root_folder);
    ktest_ok(kn_file_write(path, KN_SV("nonsense"), 0600, false));
    ktest_ok(kn_pki_ensure(&p, &renewed));
    ktest_true(renewed >= 1);
    snprintf(path, sizeof path, "%s/encryption.key", server_folder);
    ktest_ok(kn_file_write(path, KN_SV("short"), 0600, false));
    ktest_fails(kn_pki_ensure(&p, &renewed), INVALID, "encryption.key has 5 bytes");
}

static void path_to(char out[128], const char *dir, const char *file)
{
    snprintf(out, 128, "%s/%s", dir, file);
}

KTEST(a_kill_between_two_files_is_mended)
{
    struct kn_pki p = config(NULL, 0);
    int renewed;
    struct stat st;
    char path[128], other[128];
    ktest_ok(kn_dir_remove(root_folder));
    ktest_ok(kn_dir_remove(server_folder));
    ktest_ok(kn_pki_ensure(&p, &renewed));
    // the key of a renewal, and not yet its certificate
    struct kn_buf key = KN_BUF(1 << 20);
    path_to(path, root_folder, "node.key");
    path_to(other, root_folder, "admin.key");
    ktest_ok(kn_file_read(other, 1 << 16, &key));
    ktest_ok(kn_file_write(path, kn_buf_sv(&key), 0600, false));
    kn_buf_done(&key);
    path_to(path, server_folder, "server.key");
    ktest_eq_int(chmod(path, 0644), 0);
    ktest_ok(kn_pki_ensure(&p, &renewed));
    ktest_eq_int(renewed, 1);
    ktest_true(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    struct kn_identity node;
    ktest_ok(kn_identity_load(root_folder, "node", &node));
    struct kn_key *own = kn_cert_key(node.chain.ptr[0]);
    ktest_true(kn_key_same_public(own, node.key));
    kn_key_free(own);
    kn_identity_done(&node);
    // the authority's key alone: its certificate is made, and all that was signed holds
    path_to(path, root_folder, "ca.crt");
    ktest_eq_int(unlink(path), 0);
    ktest_ok(kn_pki_ensure(&p, &renewed));
    ktest_eq_int(renewed, 0);
    // its certificate alone is a loss, and nothing is overwritten
    path_to(path, root_folder, "ca.key");
    ktest_eq_int(unlink(path), 0);
    ktest_fails(kn_pki_ensure(&p, &renewed), CONFLICT, "ca.key, is not");
    path_to(other, root_folder, "admin.key");
    ktest_eq_int(link(other, path), 0);
    ktest_fails(kn_pki_ensure(&p, &renewed), CONFLICT, "ca.key is not the key of ca.crt");
    ktest_ok(kn_dir_remove(root_folder));
    ktest_ok(kn_dir_remove(server_folder));
}

KTEST(nothing_ends_and_a_cluster_that_slept_for_years_wakes_up)
{
    static const struct {
        int days; // after the start
        int renewed;
    } cases[] = {{200, 0},           {250, 6},           {300, 0},
                 {500, 6},           {500 + 366 * 5, 6}, {500 + 366 * 20, 6},
                 {501 + 366 * 20, 0}};
    struct kn_pki p = config(NULL, 0);
    int renewed;
    struct kn_time start = kn_now();
    ktest_ok(kn_pki_ensure(&p, &renewed));
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_identity server;
        struct kn_certs roots = {0};
        p.now.ns = start.ns + cases[i].days * 86400 * KN_SECOND;
        ktest_ok(kn_pki_ensure(&p, &renewed));
        if (renewed != cases[i].renewed)
            print_error("after %d days\n", cases[i].days);
        ktest_eq_int(renewed, cases[i].renewed);
        ktest_ok(kn_pki_load_certs(server_folder, "ca", &roots));
        ktest_ok(kn_identity_load(server_folder, "server", &server));
        ktest_ok(kn_cert_verify(server.chain.ptr[0], NULL, &roots, KN_CERT_SERVER, p.now));
        kn_identity_done(&server);
        kn_certs_done(&roots);
    }
    ktest_ok(kn_dir_remove(root_folder));
    ktest_ok(kn_dir_remove(server_folder));
}

static bool openssl_says(const char *const *argv, const char *part)
{
    struct kn_buf out = KN_BUF(1 << 20);
    struct kn_status s = kn_process_run(argv, KN_SV_NULL, &out, kn_mono() + 20 * KN_SECOND);
    bool says = kn_ok(s) && strstr(kn_buf_cstr(&out), part);
    if (!says)
        print_error("openssl %s: \"%s\" not in:\n%s%s", argv[1], part, kn_buf_cstr(&out),
                    kn_status_text(&s));
    kn_status_done(&s);
    kn_buf_done(&out);
    return says;
}

KTEST(openssl_agrees_with_every_certificate)
{
    static const struct {
        const char *dir, *file, *purpose, *subject;
    } cases[] = {
        {server_folder, "server.crt", "sslserver", "subject=CN = kube-apiserver"},
        {server_folder, "kubelet-client.crt", "sslclient",
         "subject=CN = kube-apiserver-kubelet-client"},
        {root_folder, "admin.crt", "sslclient",
         "subject=O = system:masters, CN = kubernetes-admin"},
        {root_folder, "node.crt", "sslclient", "subject=O = system:nodes, CN = system:node:n1"},
        {root_folder, "node-server.crt", "sslserver", "subject=CN = n1"}};
    const struct kn_sv addresses[] = {KN_SV("192.0.2.7")};
    struct kn_pki p = config(addresses, 1);
    int renewed;
    char ca[128], path[128];
    ktest_ok(kn_pki_ensure(&p, &renewed));
    path_to(ca, root_folder, "ca.crt");
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        path_to(path, cases[i].dir, cases[i].file);
        const char *const verify[] = {
            "openssl", "verify", "-x509_strict", "-purpose", cases[i].purpose,
            "-CAfile", ca,       path,           NULL};
        const char *const subject[] = {"openssl", "x509", "-noout", "-subject", "-in", path, NULL};
        ktest_true(openssl_says(verify, ": OK"));
        ktest_true(openssl_says(subject, cases[i].subject));
    }
    path_to(path, server_folder, "server.crt");
    const char *const names[] = {"openssl",        "x509", "-noout", "-ext",
                                 "subjectAltName", "-in",  path,     NULL};
    ktest_true(openssl_says(names,
                            "DNS:kubernetes, DNS:kubernetes.default, DNS:kubernetes.default.svc, "
                            "DNS:kubernetes.default.svc.cluster.local, DNS:localhost, DNS:n1, "
                            "IP Address:127.0.0.1, IP Address:10.96.0.1, IP Address:192.0.2.7"));
    const char *const authority[] = {"openssl",          "x509", "-noout", "-ext",
                                     "basicConstraints", "-in",  ca,       NULL};
    ktest_true(openssl_says(authority, "CA:TRUE"));
}

static bool file_has(const char *path, const char *part)
{
    struct kn_buf text = KN_BUF(1 << 20);
    struct kn_status s = kn_file_read(path, 1 << 20, &text);
    bool has = kn_ok(s) && strstr(kn_buf_cstr(&text), part);
    kn_status_done(&s);
    kn_buf_done(&text);
    return has;
}

KTEST(a_context_comes_and_goes_and_others_stay)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kube/config", folder);
    struct kn_kubeconfig k = {"knarr", "https://127.0.0.1:6443", KN_SV("ca"), KN_SV("cert"),
                              KN_SV("key")};
    ktest_ok(kn_kubeconfig_add(path, &k));
    ktest_true(file_has(path, "\"current-context\": \"knarr\""));
    ktest_ok(kn_kubeconfig_remove(path, "knarr"));
    ktest_true(!kn_file_exists(path)); // there was nothing else in it

    ktest_ok(kn_file_write(path,
                           KN_SV("apiVersion: v1\nkind: Config\ncurrent-context: other\n"
                                 "clusters:\n- name: other\n  cluster: {server: 'https://x'}\n"
                                 "users: []\ncontexts: []\n"),
                           0600, false));
    ktest_ok(kn_kubeconfig_add(path, &k));
    ktest_ok(kn_kubeconfig_add(path, &k)); // not twice
    ktest_true(file_has(path, "https://x") && file_has(path, "https://127.0.0.1:6443"));
    ktest_ok(kn_kubeconfig_remove(path, "knarr"));
    ktest_true(file_has(path, "https://x") && !file_has(path, "knarr"));
    ktest_ok(kn_file_write(path, KN_SV("- a list\n"), 0600, false));
    ktest_fails(kn_kubeconfig_add(path, &k), SYNTAX, "no kubeconfig");
    ktest_true(file_has(path, "a list"));
}

KTEST(the_file_stays_its_owners_and_a_link_stays_a_link)
{
    char path[256], target[256], dir[128];
    struct stat st;
    struct kn_kubeconfig k = {"knarr", "https://127.0.0.1:6443", KN_SV("ca"), KN_SV("cert"),
                              KN_SV("key")};
    snprintf(dir, sizeof dir, "%s/home", folder);
    ktest_eq_int(mkdir(dir, 0700), 0);
    snprintf(path, sizeof path, "%s/config", dir);
    snprintf(target, sizeof target, "%s/real", dir);
    ktest_ok(kn_file_write(
        target, KN_SV("apiVersion: v1\nkind: Config\nclusters:\n- name: other\n"), 0640, false));
    ktest_eq_int(symlink("real", path), 0);
    if (getuid() == 0)
        ktest_eq_int(chown(target, 12345, 12346), 0);
    ktest_ok(kn_kubeconfig_add(path, &k));
    ktest_true(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
    ktest_true(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    if (getuid() == 0)
        ktest_true(st.st_uid == 12345 && st.st_gid == 12346);
    ktest_true(file_has(target, "knarr") && file_has(target, "other"));
    ktest_ok(kn_kubeconfig_remove(path, "knarr"));
    ktest_true(!file_has(target, "knarr") && file_has(target, "other"));
    // where there is none, it becomes that of the folder's owner
    ktest_eq_int(unlink(path) || unlink(target), 0);
    if (getuid() == 0)
        ktest_eq_int(chown(dir, 12345, 12346), 0);
    ktest_ok(kn_kubeconfig_add(path, &k));
    ktest_true(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    if (getuid() == 0)
        ktest_true(st.st_uid == 12345 && st.st_gid == 12346);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(root_folder, sizeof root_folder, "%s/pki", folder);
    snprintf(server_folder, sizeof server_folder, "%s/server", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    KN_IGNORE(kn_dir_remove(folder));
    return 0;
}

int main(void)
{
    const struct CMUnitTest all[] = {
        KTEST_CASE(certificates_are_made_once_and_again_when_their_names_change),
        KTEST_CASE(a_damaged_certificate_is_made_anew_and_a_damaged_key_is_said),
        KTEST_CASE(a_kill_between_two_files_is_mended),
        KTEST_CASE(nothing_ends_and_a_cluster_that_slept_for_years_wakes_up),
        KTEST_CASE(openssl_agrees_with_every_certificate),
        KTEST_CASE(a_context_comes_and_goes_and_others_stay),
        KTEST_CASE(the_file_stays_its_owners_and_a_link_stays_a_link),
    };
    return cmocka_run_group_tests_name("cluster", all, set_up, tear_down);
}
