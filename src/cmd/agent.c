// `knarr agent`: the node. Root, since it makes namespaces, mounts and rules; to the server it is a
// node like any other: HTTPS, a certificate of its own, the node authorizer's limits.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "client/remote.h"
#include "cluster/pki.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/site.h"
#include "cmd/verbs.h"
#include "cmd/wiring.h"
#include "node/agent.h"
#include "node/kubelet_server.h"
#include "node/space.h"

#define READY_FD 3
#define TICK (600 * KN_SECOND)
#define STOP_PATIENCE_SECONDS 1

struct agent {
    struct kn_site site;
    char pki[KN_SITE_PATH], node_data[KN_SITE_PATH], log[KN_SITE_PATH], registries[KN_SITE_PATH];
    struct kn_identity client_identity, network_identity, server_identity;
    struct kn_certs cas;
    struct kn_tls_ctx *client_tls, *network_tls, *server_tls;
    struct kn_client *client,
        *network_client; // a node may not read services' endpoints: others may
    struct kn_wiring *wiring;
    struct kn_agent *agent;
    struct kn_kubelet_server *kubelet;
};

static struct kn_status client_context(struct agent *a, struct kn_identity *i,
                                       struct kn_tls_ctx **ret)
{
    KN_TRY(kn_tls_client_new(&(struct kn_tls_client_options){0}, ret));
    KN_TRY(kn_tls_set_cas(*ret, &a->cas));
    return kn_tls_set_identity(*ret, &i->chain, i->key);
}

static struct kn_status load_identities(struct agent *a)
{
    KN_TRY(kn_identity_load(a->pki, "node", &a->client_identity));
    KN_TRY(kn_identity_load(a->pki, "node-server", &a->server_identity));
    KN_TRY(kn_pki_load_certs(a->pki, "ca", &a->cas));
    KN_TRY(kn_identity_load(a->pki, "network", &a->network_identity));
    KN_TRY(client_context(a, &a->client_identity, &a->client_tls));
    KN_TRY(client_context(a, &a->network_identity, &a->network_tls));
    KN_TRY(kn_tls_server_new(&a->server_tls));
    KN_TRY(kn_tls_set_cas(a->server_tls, &a->cas));
    return kn_tls_set_identity(a->server_tls, &a->server_identity.chain, a->server_identity.key);
}

static struct kn_status start(struct agent *a)
{
    char base[64];
    KN_TRY(load_identities(a));
    snprintf(base, sizeof base, "https://127.0.0.1:%d", (int)a->site.port);
    struct kn_remote_config remote = {.base = base, .tls = a->client_tls};
    KN_TRY(kn_remote_open(&remote, &a->client));
    remote.tls = a->network_tls;
    KN_TRY(kn_remote_open(&remote, &a->network_client));
    KN_TRY(kn_wiring_open(&a->site, a->network_client, &a->wiring));
    struct kn_agent_config config = {.client = a->client,
                                     .node_name = a->site.node_name,
                                     .run_dir = a->site.run,
                                     .data_dir = a->node_data,
                                     .log_dir = a->log,
                                     .registries = a->registries,
                                     .host_ip = a->site.host_ip,
                                     .cluster_dns = a->site.cluster_dns,
                                     .cluster_domain = a->site.domain,
                                     .kubelet_port = (uint16_t)a->site.kubelet_port,
                                     .services = kn_wiring_service_cache(a->wiring),
                                     .network = kn_wiring_pod_network(a->wiring)};
    KN_TRY(kn_agent_start(&config, &a->agent));
    struct kn_kubelet_config kubelet = {.agent = a->agent,
                                        .address = "0.0.0.0",
                                        .port = (uint16_t)a->site.kubelet_port,
                                        .tls = a->server_tls,
                                        .client_cn = "kube-apiserver-kubelet-client"};
    return kn_kubelet_server_start(&kubelet, &a->kubelet, NULL);
}

// Whatever a thread is waiting for, an end is an end: an agent may be killed at any time, and the
// next one finds everything as it is.
static void end_now(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

static void stop(struct agent *a)
{
    signal(SIGALRM, end_now);
    alarm(STOP_PATIENCE_SECONDS);
    if (a->kubelet)
        kn_kubelet_server_stop(a->kubelet);
    if (a->agent)
        kn_agent_stop(a->agent);
    kn_wiring_close(a->wiring);
    kn_client_close(a->network_client);
    kn_client_close(a->client);
}

static struct kn_status load_again(struct agent *a, const char *name, struct kn_tls_ctx *tls)
{
    struct kn_identity fresh;
    KN_TRY(kn_identity_load(a->pki, name, &fresh));
    struct kn_status st = kn_tls_set_identity(tls, &fresh.chain, fresh.key);
    kn_identity_done(&fresh);
    return st;
}

static void reload(struct agent *a)
{
    struct kn_status st = load_again(a, "node-server", a->server_tls);
    if (kn_ok(st))
        st = load_again(a, "node", a->client_tls);
    if (kn_ok(st))
        st = load_again(a, "network", a->network_tls);
    kn_remote_renew(a->client);
    kn_remote_renew(a->network_client);
    if (kn_log_status(KN_LOG_ERROR, st, "load the node's certificates again"))
        kn_info("the node's certificates were loaded again");
}

// One agent at a time: one whose supervisor was killed may still be ending, and holds addresses and
// ports. It is waited for; the lock goes with its process.
static struct kn_status be_alone(const struct kn_site *site)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/agent.lock", site->run);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return KN_STATUS_OK;
    kn_info("a former agent is still ending");
    int err;
    while ((err = flock(fd, LOCK_EX) < 0 ? errno : 0) == EINTR)
        ;
    return err ? kn_error_errno(err, "lock %s", path) : KN_STATUS_OK;
}

int kn_verb_agent(int argc, char **argv)
{
    const char *data = KN_SITE_DATA;
    bool verbose = false, help;
    const struct kn_option options[] = {
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER", "the cluster's data"},
        {"verbose", 'v', KN_OPTION_SWITCH, &verbose, NULL, "log more"},
    };
    struct kn_status st = kn_options_parse_args(options, 2, &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "agent");
    prctl(PR_SET_NAME, "knarr-agent");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    kn_log_init("agent", verbose ? KN_LOG_DEBUG : KN_LOG_INFO);
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct agent *a = KN_NEW(struct agent);
    st = kn_site_load(&a->site, data);
    if (kn_ok(st)) {
        kn_site_data(&a->site, "pki", a->pki);
        kn_site_data(&a->site, "node", a->node_data);
        kn_site_data(&a->site, "pod-logs", a->log);
        kn_site_data(&a->site, "registries.yaml", a->registries);
        st = be_alone(&a->site);
    }
    if (kn_ok(st)) {
        // before the first thread: a process with threads cannot enter a mount namespace
        st = kn_space_enter(&(struct kn_space_config){.run_dir = a->site.run});
    }
    if (kn_ok(st))
        st = start(a);
    if (kn_ok(st)) {
        if (write(READY_FD, "r", 1) == 1)
            kn_info("ready");
        close(READY_FD);
        for (int sig = 0; sig != SIGTERM && sig != SIGINT;) {
            struct timespec tick = {TICK / KN_SECOND, 0};
            sig = sigtimedwait(&signals, NULL, &tick);
            if (sig == SIGHUP)
                reload(a);
            else if (sig < 0)
                malloc_trim(0);
        }
    }
    int code = kn_log_status(KN_LOG_ERROR, st, "start") ? 0 : 1;
    stop(a);
    free(a);
    return code;
}
