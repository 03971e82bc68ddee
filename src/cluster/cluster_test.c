#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
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
    struct kn_kubeconfig k = {"knarr", "https://127.0.0.1:6443", KN_SV("ca"), KN_SV("cert"), KN_SV("key")};
    ktest_ok(kn_kubeconfig_add(path, &k));
    ktest_true(file_has(path, "\"current-context\": \"knarr\""));
    ktest_ok(kn_kubeconfig_remove(path, "knarr"));
    ktest_true(!kn_file_exists(path)); // there was nothing else in it

    ktest_ok(kn_file_write(path, KN_SV("apiVersion: v1\nkind: Config\ncurrent-context: other\n"
                                       "clusters:\n- name: other\n  cluster: {server: 'https://x'}\n"
                                       "users: []\ncontexts: []\n"), 0600, false));
    ktest_ok(kn_kubeconfig_add(path, &k));
    ktest_ok(kn_kubeconfig_add(path, &k)); // not twice
    ktest_true(file_has(path, "https://x") && file_has(path, "https://127.0.0.1:6443"));
    ktest_ok(kn_kubeconfig_remove(path, "knarr"));
    ktest_true(file_has(path, "https://x") && !file_has(path, "knarr"));
    ktest_ok(kn_file_write(path, KN_SV("- a list\n"), 0600, false));
    ktest_fails(kn_kubeconfig_add(path, &k), SYNTAX, "no kubeconfig");
    ktest_true(file_has(path, "a list"));
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
        KTEST_CASE(a_context_comes_and_goes_and_others_stay),
    };
    return cmocka_run_group_tests_name("cluster", all, set_up, tear_down);
}
