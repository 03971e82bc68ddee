#include "node/pod_sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "codec/quantity.h"

static int64_t quantity_at(const struct kn_json *resources, enum kn_atom kind, const char *name)
{
    return kn_quantity_milli_of(
        kn_json_str(kn_json_get_sv(kn_json_get(resources, kind), kn_sv_c(name))));
}

enum kn_qos kn_pod_qos(const struct kn_json *spec)
{
    static const enum kn_atom lists[] = {KN_K_containers, KN_K_initContainers};
    static const char *const names[] = {"cpu", "memory"};
    bool any = false, all = true;
    for (size_t i = 0; i < KN_ARRAY_LEN(lists); i++) {
        const struct kn_json *c;
        KN_JSON_EACH(c, kn_json_get(spec, lists[i])) {
            const struct kn_json *r = kn_json_get(c, KN_K_resources);
            for (size_t k = 0; k < KN_ARRAY_LEN(names); k++) {
                int64_t limit = quantity_at(r, KN_K_limits, names[k]);
                int64_t request = quantity_at(r, KN_K_requests, names[k]);
                any = any || limit || request;
                all = all && limit && (!request || request == limit);
            }
        }
    }
    return !any ? KN_QOS_BEST_EFFORT : all ? KN_QOS_GUARANTEED : KN_QOS_BURSTABLE;
}

const char *kn_qos_name(enum kn_qos q)
{
    static const char *const names[] = {"Guaranteed", "Burstable", "BestEffort"};
    return names[q];
}

void kn_sandbox_init(struct kn_sandbox *s, const struct kn_node *n, const struct kn_obj *pod)
{
    static const char *const classes[] = {"", "burstable/", "besteffort/"};
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    memset(s, 0, sizeof *s);
    snprintf(s->run, sizeof s->run, "%s/node/pods/%.*s", n->run_dir, KN_SV_ARG(pod->uid));
    snprintf(s->data, sizeof s->data, "%s/pods/%.*s", n->data_dir, KN_SV_ARG(pod->uid));
    snprintf(s->cgroup, sizeof s->cgroup, KN_CGROUP_ROOT "/kubepods/%spod%.*s",
             classes[kn_pod_qos(spec)], KN_SV_ARG(pod->uid));
    snprintf(s->log, sizeof s->log, "%s/%.*s_%.*s_%.*s", n->log_dir, KN_SV_ARG(pod->ns),
             KN_SV_ARG(pod->name), KN_SV_ARG(pod->uid));
    s->host_network = kn_json_bool(kn_json_get(spec, KN_K_hostNetwork), false);
}

bool kn_sandbox_exists(const struct kn_sandbox *s)
{
    return kn_file_exists(s->run);
}

// -- namespaces ------------------------------------------------------------------------------

struct pin_job {
    const struct kn_sandbox *s;
    char hostname[65];
    struct kn_status result;
};

static struct kn_status pin(const struct kn_sandbox *s, const char *kind)
{
    char from[64], to[256];
    snprintf(from, sizeof from, "/proc/thread-self/ns/%s", kind);
    snprintf(to, sizeof to, "%s/%s", s->run, kind);
    int fd = open(to, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return kn_error_errno(errno, "make %s", to);
    close(fd);
    return mount(from, to, NULL, MS_BIND, NULL) < 0 ? kn_error_errno(errno, "pin %s", to)
                                                    : KN_STATUS_OK;
}

// A thread of its own: it leaves the machine's namespaces and never comes back.
static void *make_namespaces(void *arg)
{
    struct pin_job *j = arg;
    int flags = CLONE_NEWIPC | (j->s->host_network ? 0 : CLONE_NEWNET | CLONE_NEWUTS);
    if (unshare(flags) < 0) {
        j->result = kn_error_errno(errno, "make the pod's namespaces");
        return NULL;
    }
    if (!j->s->host_network && sethostname(j->hostname, strlen(j->hostname)) < 0)
        j->result = kn_error_errno(errno, "set the pod's host name");
    if (kn_ok(j->result))
        j->result = pin(j->s, "ipc");
    if (kn_ok(j->result) && !j->s->host_network)
        j->result = pin(j->s, "uts");
    if (kn_ok(j->result) && !j->s->host_network)
        j->result = pin(j->s, "net");
    return NULL;
}

static bool is_pinned(const struct kn_sandbox *s, const char *kind)
{
    char path[256];
    struct statfs st;
    snprintf(path, sizeof path, "%s/%s", s->run, kind);
    return statfs(path, &st) == 0 && st.f_type == 0x6e736673;
}

static void pod_hostname(const struct kn_obj *pod, char out[65])
{
    struct kn_sv h = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_hostname);
    snprintf(out, 65, "%.*s", KN_SV_ARG(kn_sv_first(h.len ? h : pod->name, 63)));
}

// What the kernel is told: the host name, or all of its name in the cluster.
static struct kn_status kernel_hostname(const struct kn_node *n, const struct kn_obj *pod,
                                        char out[65])
{
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    struct kn_sv subdomain = kn_json_str(kn_json_get(spec, KN_K_subdomain));
    char host[65], all[512];
    pod_hostname(pod, host);
    snprintf(all, sizeof all, "%s", host);
    if (kn_json_bool(kn_json_get(spec, KN_K_setHostnameAsFQDN), false) && subdomain.len)
        snprintf(all, sizeof all, "%s.%.*s.%.*s.svc.%.*s", host, KN_SV_ARG(subdomain),
                 KN_SV_ARG(pod->ns), KN_SV_ARG(n->cluster_domain));
    if (strlen(all) > 64)
        return kn_error(
            KN_INVALID,
            "Failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long "
            "(64 characters is the max, %zu characters requested)",
            all, strlen(all));
    snprintf(out, 65, "%.64s", all);
    return KN_STATUS_OK;
}

static struct kn_status namespaces(struct kn_sandbox *s, const struct kn_node *n,
                                   const struct kn_obj *pod)
{
    pthread_t t;
    struct pin_job j = {.s = s};
    if (is_pinned(s, "ipc") && (s->host_network || is_pinned(s, "net")))
        return KN_STATUS_OK;
    KN_TRY(kernel_hostname(n, pod, j.hostname));
    KN_TRY(kn_thread_start(&t, "namespaces", 0, make_namespaces, &j));
    kn_thread_join(t);
    return j.result;
}

// -- files -----------------------------------------------------------------------------------

static struct kn_status put(const struct kn_sandbox *s, const char *name, struct kn_buf *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", s->run, name);
    struct kn_status st = kn_buf_status(text, name);
    if (kn_ok(st))
        st = kn_file_write(path, kn_buf_sv(text), 0644, false);
    kn_buf_done(text);
    return st;
}

static struct kn_status write_hosts(const struct kn_sandbox *s, const struct kn_node *n,
                                    const struct kn_obj *pod)
{
    struct kn_buf b = KN_BUF(1u << 20);
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    struct kn_sv subdomain = kn_json_str(kn_json_get(spec, KN_K_subdomain));
    char host[65];
    pod_hostname(pod, host);
    if (s->host_network) {
        KN_IGNORE(kn_file_read("/etc/hosts", 512u << 10, &b));
    } else {
        kn_buf_addc(
            &b,
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
            "ip6-loopback\n"
            "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\n"
            "fe00::2\tip6-allrouters\n");
        if (subdomain.len)
            kn_buf_addf(&b, "%s\t%s.%.*s.%.*s.svc.%.*s\t%s\n", s->ip, host, KN_SV_ARG(subdomain),
                        KN_SV_ARG(pod->ns), KN_SV_ARG(n->cluster_domain), host);
        else
            kn_buf_addf(&b, "%s\t%s\n", s->ip, host);
    }
    const struct kn_json *alias, *name;
    KN_JSON_EACH(alias, kn_json_get(spec, KN_K_hostAliases)) {
        kn_buf_addf(&b, "%.*s", KN_SV_ARG(kn_json_str(kn_json_get(alias, KN_K_ip))));
        KN_JSON_EACH(name, kn_json_get(alias, KN_K_hostnames))
            kn_buf_addf(&b, "\t%.*s", KN_SV_ARG(kn_json_str(name)));
        kn_buf_add_byte(&b, '\n');
    }
    return put(s, "hosts", &b);
}

static struct kn_status write_resolv(const struct kn_sandbox *s, const struct kn_node *n,
                                     const struct kn_obj *pod)
{
    struct kn_buf b = KN_BUF(65536);
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    const struct kn_json *extra = kn_json_get(spec, KN_K_dnsConfig), *e;
    struct kn_sv policy = kn_json_str(kn_json_get(spec, KN_K_dnsPolicy));
    bool cluster = kn_sv_is(policy, "ClusterFirstWithHostNet") ||
                   (!s->host_network && (policy.len == 0 || kn_sv_is(policy, "ClusterFirst")));
    bool options = false;
    if (cluster && n->cluster_dns.len) {
        kn_buf_addf(&b, "search %.*s.svc.%.*s svc.%.*s %.*s", KN_SV_ARG(pod->ns),
                    KN_SV_ARG(n->cluster_domain), KN_SV_ARG(n->cluster_domain),
                    KN_SV_ARG(n->cluster_domain));
        KN_JSON_EACH(e, kn_json_get(extra, KN_K_searches))
            kn_buf_addf(&b, " %.*s", KN_SV_ARG(kn_json_str(e)));
        kn_buf_addf(&b, "\nnameserver %.*s\n", KN_SV_ARG(n->cluster_dns));
    } else if (!kn_sv_is(policy, "None")) {
        KN_IGNORE(kn_file_read("/etc/resolv.conf", 32768, &b));
    } else {
        KN_JSON_EACH(e, kn_json_get(extra, KN_K_searches))
            kn_buf_addf(&b, "%s%.*s",
                        e == kn_json_first(kn_json_get(extra, KN_K_searches)) ? "search " : " ",
                        KN_SV_ARG(kn_json_str(e)));
        kn_buf_add_byte(&b, '\n');
    }
    KN_JSON_EACH(e, kn_json_get(extra, KN_K_nameservers))
        kn_buf_addf(&b, "nameserver %.*s\n", KN_SV_ARG(kn_json_str(e)));
    if (cluster) {
        kn_buf_addc(&b, "options ndots:5");
        options = true;
    }
    KN_JSON_EACH(e, kn_json_get(extra, KN_K_options)) {
        struct kn_sv value = kn_json_str(kn_json_get(e, KN_K_value));
        kn_buf_addf(&b, "%s%.*s%s%.*s", options ? " " : "options ",
                    KN_SV_ARG(kn_json_str(kn_json_get(e, KN_K_name))), value.len ? ":" : "",
                    KN_SV_ARG(value));
        options = true;
    }
    if (options)
        kn_buf_add_byte(&b, '\n');
    return put(s, "resolv.conf", &b);
}

static struct kn_status write_files(const struct kn_sandbox *s, const struct kn_node *n,
                                    const struct kn_obj *pod)
{
    struct kn_buf b = KN_BUF(256);
    char host[65];
    KN_TRY(kernel_hostname(n, pod, host));
    if (s->host_network)
        gethostname(host, sizeof host);
    kn_buf_addf(&b, "%s\n", host);
    KN_TRY(put(s, "hostname", &b));
    KN_TRY(write_hosts(s, n, pod));
    return write_resolv(s, n, pod);
}

// -- life ------------------------------------------------------------------------------------

static struct kn_pod_net_request request_of(const struct kn_obj *pod, const char *netns)
{
    return (struct kn_pod_net_request){.netns = netns,
                                       .ns = pod->ns,
                                       .name = pod->name,
                                       .uid = pod->uid,
                                       .spec = kn_json_get(pod->root, KN_K_spec)};
}

static struct kn_status connect_network(struct kn_sandbox *s, const struct kn_node *n,
                                        const struct kn_obj *pod, bool fresh)
{
    char path[256];
    struct kn_sv ip;
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 65536);
    if (s->host_network) {
        snprintf(s->ip, sizeof s->ip, "%.*s", KN_SV_ARG(n->host_ip));
        return KN_STATUS_OK;
    }
    if (s->ip[0])
        return KN_STATUS_OK;
    if (!n->network) // no network part: loopback alone
        return KN_STATUS_OK;
    snprintf(path, sizeof path, "%s/net", s->run);
    struct kn_pod_net_request r = request_of(pod, path);
    KN_TRY(kn_wrap(fresh ? n->network->setup(n->network->arg, &r, a, &ip)
                         : n->network->restore(n->network->arg, &r, a, &ip),
                   "set up the pod's network"));
    snprintf(s->ip, sizeof s->ip, "%.*s", KN_SV_ARG(ip));
    return KN_STATUS_OK;
}

static struct kn_status connect_shim(struct kn_sandbox *s, const struct kn_node *n)
{
    if (s->shim)
        return KN_STATUS_OK;
    struct kn_status st = kn_shim_connect(s->run, &s->shim);
    if (st.code == KN_NOT_FOUND) {
        kn_status_done(&st);
        KN_TRY(kn_shim_spawn(n->shim, s->run));
        st = kn_shim_connect(s->run, &s->shim);
    }
    KN_TRY(st);
    return kn_shim_subscribe(s->shim);
}

struct kn_status kn_sandbox_make(struct kn_sandbox *s, const struct kn_node *n,
                                 const struct kn_obj *pod)
{
    bool fresh = !is_pinned(s, "ipc");
    KN_TRY(kn_dir_make(s->run, 0700));
    KN_TRY(kn_dir_make(s->data, 0711));
    KN_TRY(kn_dir_make(s->log, 0755));
    KN_TRY(namespaces(s, n, pod));
    KN_TRY(connect_network(s, n, pod, fresh));
    if (fresh) {
        KN_TRY(write_files(s, n, pod));
        KN_TRY(kn_cgroup_make(n->cgroups, s->cgroup, &(struct kn_cgroup_limits){0}));
    }
    return connect_shim(s, n);
}

static void unmount_below(const char *folder, int depth)
{
    DIR *d = depth > 6 ? NULL : opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[PATH_MAX];
        struct stat in, up;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (lstat(path, &in) < 0 || lstat(folder, &up) < 0)
            continue;
        if (in.st_dev != up.st_dev)
            umount2(path, MNT_DETACH);
        else if (S_ISDIR(in.st_mode))
            unmount_below(path, depth + 1);
    }
    if (d)
        closedir(d);
}

struct kn_status kn_sandbox_remove(struct kn_sandbox *s, const struct kn_node *n,
                                   const struct kn_obj *pod)
{
    char path[256];
    snprintf(path, sizeof path, "%s/net", s->run);
    struct kn_pod_net_request r = request_of(pod, path);
    kn_cgroup_kill(n->cgroups, s->cgroup);
    if (n->network && !s->host_network)
        KN_TRY(n->network->teardown(n->network->arg, &r));
    struct kn_status quit = s->shim ? kn_shim_quit(s->shim) : KN_STATUS_OK;
    kn_status_done(&quit); // it ends with its last container, or was gone before
    kn_shim_free(s->shim);
    s->shim = NULL;
    static const char *const pins[] = {"net", "uts", "ipc"};
    for (size_t i = 0; i < KN_ARRAY_LEN(pins); i++) {
        snprintf(path, sizeof path, "%s/%s", s->run, pins[i]);
        umount2(path, MNT_DETACH);
    }
    unmount_below(s->run, 0);
    unmount_below(s->data, 0);
    KN_TRY(kn_cgroup_remove(n->cgroups, s->cgroup));
    KN_TRY(kn_dir_remove(s->data));
    return kn_dir_remove(s->run);
}
