// `knarr server`: the API server, the controllers and the scheduler, without privileges.
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "apiserver/apiserver.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "cluster/pki.h"
#include "cmd/options.h"
#include "cmd/parts.h"
#include "cmd/sandbox.h"
#include "cmd/say.h"
#include "cmd/site.h"
#include "cmd/verbs.h"
#include "store/lmdb.h"

#define FIRST_FD 3 // listening sockets, then the descriptor that wants to know when we are ready
// History is for watchers and pages that lag: five minutes of it, but under a storm of writes no
// more than so many revisions, or the disk would fill with what nobody reads.
#define KEEP_HISTORY (300 * KN_SECOND)
#define KEEP_REVISIONS 10000
#define TICK (5 * KN_SECOND)
#define SAMPLES (KEEP_HISTORY / TICK)

struct server {
    struct kn_site site;
    char folder[KN_SITE_PATH]; // <data>/server
    struct kn_store *store;
    struct kn_identity identity, kubelet;
    struct kn_certs cas;
    struct kn_key *token_key;
    struct kn_secret *encryption;
    struct kn_apiserver *api;
    struct kn_parts *parts;
};

static struct kn_status load_keys(struct server *s)
{
    char path[KN_SITE_PATH];
    KN_TRY(kn_identity_load(s->folder, "server", &s->identity));
    KN_TRY(kn_identity_load(s->folder, "kubelet-client", &s->kubelet));
    KN_TRY(kn_pki_load_certs(s->folder, "ca", &s->cas));
    KN_TRY(kn_pki_load_key(s->folder, "token", &s->token_key));
    snprintf(path, sizeof path, "%.3900s/encryption.key", s->folder);
    KN_TRY(kn_file_read_secret(path, KN_GCM_KEY, &s->encryption));
    if (kn_secret_reveal(s->encryption).len != KN_GCM_KEY)
        return kn_error(KN_INVALID, "%s does not have %d bytes", path, KN_GCM_KEY);
    return KN_STATUS_OK;
}

static struct kn_status start(struct server *s, int listen_fd)
{
    char path[KN_SITE_PATH];
    snprintf(path, sizeof path, "%.3900s/store", s->folder);
    KN_TRY(load_keys(s));
    KN_TRY(kn_store_lmdb_open(path, &s->store));
    struct kn_apiserver_config c = {.store = s->store,
                                    .listen_fds = &listen_fd,
                                    .listen_fd_count = 1,
                                    .server_chain = &s->identity.chain,
                                    .server_key = s->identity.key,
                                    .client_cas = &s->cas,
                                    .kubelet_chain = &s->kubelet.chain,
                                    .kubelet_key = s->kubelet.key,
                                    .token_key = s->token_key,
                                    .service_cidr = s->site.service_cidr,
                                    .advertise_address = s->site.host_ip,
                                    .advertise_port = (uint16_t)s->site.port,
                                    .encryption_key =
                                        (const uint8_t *)kn_secret_reveal(s->encryption).ptr};
    KN_TRY(kn_apiserver_start(&c, &s->api));
    kn_secret_free(s->encryption); // the server has its own copy
    s->encryption = NULL;
    struct kn_buf ca = KN_BUF(64u << 10);
    struct kn_status st = kn_cert_pem(s->cas.ptr[0], &ca);
    if (kn_ok(st))
        st = kn_parts_start(s->api, &s->site, kn_buf_sv(&ca), &s->parts);
    kn_buf_done(&ca);
    return st;
}

static void stop(struct server *s)
{
    kn_parts_stop(s->parts);
    kn_apiserver_stop(s->api);
    kn_store_close(s->store);
}

static struct kn_status load_again(struct server *s, const char *name,
                                   struct kn_status (*set)(struct kn_apiserver *,
                                                           const struct kn_certs *,
                                                           struct kn_key *))
{
    struct kn_identity fresh;
    KN_TRY(kn_identity_load(s->folder, name, &fresh));
    struct kn_status st = set(s->api, &fresh.chain, fresh.key);
    kn_identity_done(&fresh);
    return st;
}

static void reload(struct server *s)
{
    struct kn_status st = load_again(s, "server", kn_apiserver_set_identity);
    if (kn_ok(st))
        st = load_again(s, "kubelet-client", kn_apiserver_set_kubelet_identity);
    if (kn_log_status(KN_LOG_ERROR, st, "load the server's certificates again"))
        kn_info("the server's certificates were loaded again");
}

// One sample of the newest revision a tick; what was the newest KEEP_HISTORY ago may be forgotten.
struct history {
    int64_t samples[SAMPLES];
    uint64_t ticks;
};

static void forget(struct server *s, struct history *h)
{
    int64_t now, compacted;
    kn_store_revisions(s->store, &now, &compacted);
    int64_t to = h->ticks >= SAMPLES ? h->samples[h->ticks % SAMPLES] : 0;
    h->samples[h->ticks++ % SAMPLES] = now;
    if (now - KEEP_REVISIONS > to)
        to = now - KEEP_REVISIONS;
    if (to > compacted)
        kn_log_status(KN_LOG_WARN, kn_store_compact(s->store, to), "compact the store");
    if (h->ticks % SAMPLES == 0)
        malloc_trim(0);
}

// Until told to end.
static void serve(struct server *s, const sigset_t *signals)
{
    struct history h = {.ticks = 0};
    for (int64_t next = kn_mono() + TICK;;) {
        int64_t left = next - kn_mono();
        struct timespec wait = {left > 0 ? left / KN_SECOND : 0, left > 0 ? left % KN_SECOND : 0};
        int sig = sigtimedwait(signals, NULL, &wait);
        if (sig == SIGTERM || sig == SIGINT)
            return;
        if (sig == SIGHUP)
            reload(s);
        if (kn_mono() >= next) {
            forget(s, &h);
            next = kn_mono() + TICK;
        }
    }
}

int kn_verb_server(int argc, char **argv)
{
    const char *data = KN_SITE_DATA;
    bool verbose = false, help;
    const struct kn_option options[] = {
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER", "the cluster's data"},
        {"verbose", 'v', KN_OPTION_SWITCH, &verbose, NULL, "log more"},
    };
    struct kn_status st = kn_options_parse_args(options, 2, &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "server");
    prctl(PR_SET_NAME, "knarr-server");
    kn_log_init("server", verbose ? KN_LOG_DEBUG : KN_LOG_INFO);
    mallopt(M_ARENA_MAX, 2); // threads are many and small: their arenas would cost more than locks
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    struct server *s = KN_NEW(struct server);
    char root[KN_SITE_PATH];
    st = kn_site_load(&s->site, data);
    if (kn_ok(st)) {
        kn_site_data(&s->site, "server", s->folder);
        st = kn_sandbox_enter(s->site.uid, s->site.gid, s->folder,
                              kn_site_run(&s->site, "root", root));
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); // dropped by the change of user, so set here
    if (kn_ok(st))
        st = start(s, FIRST_FD);
    if (kn_ok(st)) {
        if (write(FIRST_FD + 1, "r", 1) == 1) // nobody may be listening
            kn_info("ready");
        close(FIRST_FD + 1);
        serve(s, &signals);
    }
    int code = kn_log_status(KN_LOG_ERROR, st, "start") ? 0 : 1;
    stop(s);
    free(s);
    return code;
}
