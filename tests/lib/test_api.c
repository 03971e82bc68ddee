#include "lib/test_api.h"

#include "base/file.h"
#include "base/mem.h"
#include "store/lmdb.h"
#include "store/memory.h"

static struct kn_cert_info about(const char *cn, const struct kn_sv *orgs, size_t n, unsigned usage)
{
    static const struct kn_sv dns[] = {{"localhost", 9}, {"kubernetes", 10}};
    static const struct kn_sv ips[] = {{"127.0.0.1", 9}};
    struct kn_time now = kn_now();
    return (struct kn_cert_info){.cn = kn_sv_c(cn),
                                 .orgs = orgs,
                                 .orgs_len = n,
                                 .dns = dns,
                                 .dns_len = usage == KN_CERT_SERVER ? 2 : 0,
                                 .ips = ips,
                                 .ips_len = usage == KN_CERT_SERVER ? 1 : 0,
                                 .usage = usage,
                                 .not_before = {now.ns - 60 * KN_SECOND},
                                 .not_after = {now.ns + 86400 * KN_SECOND}};
}

static struct kn_status start_server(struct test_api *t, uint16_t port)
{
    struct kn_apiserver_config c = {.store = t->store,
                                    .bind_address = "127.0.0.1",
                                    .port = port,
                                    .server_chain = &t->chain,
                                    .server_key = t->key,
                                    .client_cas = &t->cas,
                                    .token_key = t->token_key,
                                    .advertise_address = "192.0.2.1",
                                    .workers = 4};
    KN_TRY(kn_apiserver_start(&c, &t->server));
    t->port = kn_apiserver_port(t->server);
    snprintf(t->base, sizeof t->base, "https://127.0.0.1:%u", t->port);
    return KN_STATUS_OK;
}

struct kn_status test_api_start(const char *folder, struct test_api *t)
{
    *t = (struct test_api){0};
    KN_TRY(folder ? kn_store_lmdb_open(folder, &t->store) : kn_store_memory_open(&t->store));
    KN_TRY(kn_key_generate(KN_KEY_EC_P256, &t->ca_key));
    KN_TRY(kn_key_generate(KN_KEY_EC_P256, &t->key));
    KN_TRY(kn_key_generate(KN_KEY_EC_P256, &t->token_key));
    struct kn_cert_info ca = about("test ca", NULL, 0, KN_CERT_CA);
    KN_TRY(kn_cert_make_ca(t->ca_key, &ca, &t->ca));
    struct kn_cert_info info = about("kube-apiserver", NULL, 0, KN_CERT_SERVER);
    KN_TRY(kn_cert_issue(t->ca, t->ca_key, t->key, &info, &t->cert));
    kn_certs_add(&t->cas, t->ca);
    kn_certs_add(&t->chain, t->cert);
    return start_server(t, 0);
}

void test_api_stop_server(struct test_api *t)
{
    kn_apiserver_stop(t->server);
    t->server = NULL;
}

struct kn_status test_api_start_server(struct test_api *t)
{
    return start_server(t, t->port);
}

void test_api_stop(struct test_api *t)
{
    kn_apiserver_stop(t->server);
    kn_store_close(t->store);
    kn_certs_done(&t->cas);
    kn_certs_done(&t->chain);
    kn_cert_free(t->ca);
    kn_cert_free(t->cert);
    kn_key_free(t->ca_key);
    kn_key_free(t->key);
    kn_key_free(t->token_key);
}

static struct kn_status issue(struct test_api *t, const char *user, const char *group,
                              struct kn_key **ret_key, struct kn_cert **ret)
{
    struct kn_sv org = kn_sv_c(group);
    struct kn_cert_info info = about(user, &org, group ? 1 : 0, KN_CERT_CLIENT);
    KN_TRY(kn_key_generate(KN_KEY_EC_P256, ret_key));
    return kn_cert_issue(t->ca, t->ca_key, *ret_key, &info, ret);
}

static struct kn_status make_tls(struct test_api *t, const char *user, const char *group,
                                 struct kn_tls_ctx **ret)
{
    struct kn_tls_ctx *tls;
    KN_TRY(kn_tls_client_new(&(struct kn_tls_client_options){.http1_only = t->http1_only}, &tls));
    KN_TRY(kn_tls_set_cas(tls, &t->cas));
    if (user) {
        KN_CLEANUP(kn_key_cleanup) struct kn_key *key = NULL;
        KN_CLEANUP(kn_cert_cleanup) struct kn_cert *cert = NULL;
        KN_TRY(issue(t, user, group, &key, &cert));
        struct kn_certs chain = {0};
        kn_certs_add(&chain, cert);
        KN_TRY(kn_tls_set_identity(tls, &chain, key));
        kn_certs_done(&chain);
    }
    *ret = tls;
    return KN_STATUS_OK;
}

struct kn_status test_api_client(struct test_api *t, const char *user, const char *group,
                                 struct kn_http_client **ret)
{
    struct kn_tls_ctx *tls;
    KN_TRY(make_tls(t, user, group, &tls));
    struct kn_http_client_config c = {.base = t->base, .tls = tls};
    struct kn_status s = kn_http_client_new(&c, ret);
    kn_tls_ctx_free(tls);
    return s;
}

struct kn_status test_api_remote(struct test_api *t, const char *user, const char *group,
                                 struct kn_client **ret)
{
    struct kn_tls_ctx *tls;
    KN_TRY(make_tls(t, user, group, &tls));
    struct kn_remote_config c = {.base = t->base, .tls = tls};
    struct kn_status s = kn_remote_open(&c, ret);
    kn_tls_ctx_free(tls);
    return s;
}

static struct kn_status save(const char *folder, const char *name, struct kn_buf *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    struct kn_status s = kn_file_write(path, kn_buf_sv(text), 0600, false);
    kn_buf_done(text);
    return s;
}

struct kn_status test_api_kubeconfig(struct test_api *t, const char *folder)
{
    KN_CLEANUP(kn_key_cleanup) struct kn_key *key = NULL;
    KN_CLEANUP(kn_cert_cleanup) struct kn_cert *cert = NULL;
    struct kn_buf text = KN_BUF(1 << 16);
    KN_TRY(issue(t, "admin", "system:masters", &key, &cert));
    KN_TRY(kn_cert_pem(t->ca, &text));
    KN_TRY(save(folder, "ca.pem", &text));
    KN_TRY(kn_cert_pem(cert, &text));
    KN_TRY(save(folder, "admin.pem", &text));
    KN_TRY(kn_key_private_pem(key, &text));
    KN_TRY(save(folder, "admin.key", &text));
    kn_buf_addf(&text,
                "apiVersion: v1\nkind: Config\ncurrent-context: t\n"
                "clusters: [{name: t, cluster: {server: '%s', certificate-authority: %s/ca.pem}}]\n"
                "users: [{name: t, user: {client-certificate: %s/admin.pem, client-key: "
                "%s/admin.key}}]\ncontexts: [{name: t, context: {cluster: t, user: t}}]\n",
                t->base, folder, folder, folder);
    return save(folder, "kubeconfig", &text);
}
