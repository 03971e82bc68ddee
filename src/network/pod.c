#include "network/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netinet/in.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/vec.h"
#include "network/rtnl.h"
#include "network/sysctl.h"

#define GATEWAY 0xa9fe0101u // 169.254.1.1
#define MESSAGE_MAX 8192
#define DEFAULT_MTU 1500
#define LINK_PATIENCE (10 * KN_SECOND)

static const uint8_t gateway_mac[6] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee};

struct kn_pod_nets {
    char *dir; // <run_dir>/network
    struct kn_leases *leases;
    struct kn_pod_sink sink;
    uint32_t mtu;
};

// -- names -----------------------------------------------------------------------------------

void kn_pod_link_name(struct kn_sv uid, char out[IFNAMSIZ])
{
    uint8_t hash[KN_SHA256_LEN];
    kn_sha256(uid, hash);
    memcpy(out, "kn", 2);
    kn_hex(hash, 6, out + 2);
}

// Locally administered, and the same for every setup of the same pod.
static void pod_mac(struct kn_sv uid, uint8_t mac[6])
{
    uint8_t hash[KN_SHA256_LEN];
    kn_sha256(uid, hash);
    memcpy(mac, hash + 6, 6);
    mac[0] = 0x02;
}

static bool is_pod_link(const struct kn_link *l)
{
    return l->is_veth && strlen(l->name) == 14 && memcmp(l->name, "kn", 2) == 0 &&
           strspn(l->name + 2, "0123456789abcdef") == 12;
}

// -- one pod: the kernel's side --------------------------------------------------------------

struct job {
    const struct kn_pod_nets *n;
    struct kn_lease lease;
    struct kn_nl here, there; // sockets in the machine's and in the pod's namespace
    int netns;
    char link[IFNAMSIZ];
    uint8_t mac[6];
};

static struct kn_status open_job(struct job *j, const struct kn_pod_net *pod)
{
    kn_pod_link_name(pod->uid, j->link);
    pod_mac(pod->uid, j->mac);
    j->netns = open(pod->netns, O_RDONLY | O_CLOEXEC);
    if (j->netns < 0)
        return kn_error_errno(errno, "open the pod's network namespace %s", pod->netns);
    KN_TRY(kn_nl_open(NETLINK_ROUTE, -1, &j->here));
    return kn_nl_open(NETLINK_ROUTE, j->netns, &j->there);
}

static void close_job(struct job *j)
{
    kn_nl_close(&j->here);
    kn_nl_close(&j->there);
    if (j->netns >= 0)
        close(j->netns);
}

static struct kn_status make_veth(struct job *j)
{
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    struct ifinfomsg i = {0}; // brought up after the pod's end, which can then be waited for alone
    struct ifinfomsg peer = {0}; // the kernel refuses IFF_UP here
    kn_nl_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
    kn_nl_put_str(&m, IFLA_IFNAME, kn_sv_c(j->link));
    kn_nl_put(&m, IFLA_ADDRESS, gateway_mac, sizeof gateway_mac);
    kn_nl_put_u32(&m, IFLA_MTU, j->n->mtu);
    size_t info = kn_nl_nest(&m, IFLA_LINKINFO);
    kn_nl_put_str(&m, IFLA_INFO_KIND, KN_SV("veth"));
    size_t data = kn_nl_nest(&m, IFLA_INFO_DATA);
    size_t nest = kn_nl_nest(&m, VETH_INFO_PEER);
    kn_buf_add(&m.buf, kn_sv((const char *)&peer, sizeof peer));
    kn_nl_put_str(&m, IFLA_IFNAME, KN_SV("eth0"));
    kn_nl_put(&m, IFLA_ADDRESS, j->mac, sizeof j->mac);
    kn_nl_put_u32(&m, IFLA_MTU, j->n->mtu);
    kn_nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)j->netns);
    kn_nl_nest_end(&m, nest);
    kn_nl_nest_end(&m, data);
    kn_nl_nest_end(&m, info);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_send(&j->here, &m, "make the pod's interface");
    kn_nl_msg_done(&m);
    return s;
}

// Both ends as they should be, or made anew. A pod that got a new namespace may still have the old
// one's interface, because the kernel takes namespaces down in its own time.
static struct kn_status ensure_veth(struct job *j, struct kn_link *host, struct kn_link *eth0)
{
    struct kn_status h = kn_link_get(&j->here, j->link, host);
    struct kn_status p = kn_link_get(&j->there, "eth0", eth0);
    bool has_host = kn_ok(h), has_pod = kn_ok(p);
    if ((!has_host && h.code != KN_NOT_FOUND) || (!has_pod && p.code != KN_NOT_FOUND)) {
        bool first = !has_host && h.code != KN_NOT_FOUND;
        kn_status_done(first ? &p : &h);
        return first ? h : p;
    }
    kn_status_done(&h);
    kn_status_done(&p);
    if (has_host && has_pod && host->peer == eth0->index && eth0->peer == host->index)
        return KN_STATUS_OK;
    if (has_host)
        KN_TRY(kn_link_remove(&j->here, host->index));
    if (has_pod && (!has_host || eth0->peer != host->index))
        KN_TRY(kn_link_remove(&j->there, eth0->index));
    KN_TRY(make_veth(j));
    KN_TRY(kn_link_get(&j->here, j->link, host));
    return kn_link_get(&j->there, "eth0", eth0);
}

static struct kn_status furnish_pod(struct job *j, const struct kn_link *eth0)
{
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    kn_rtnl_link_up(&m, 1); // lo
    kn_rtnl_link_up(&m, eth0->index);
    kn_rtnl_addr(&m, true, eth0->index, j->lease.ip, 32, RT_SCOPE_UNIVERSE);
    kn_rtnl_neighbour(&m, eth0->index, GATEWAY, gateway_mac);
    kn_rtnl_route(&m, true, &(struct kn_route){.to = GATEWAY, .bits = 32, .index = eth0->index});
    kn_rtnl_route(&m, true, &(struct kn_route){.gateway = GATEWAY, .index = eth0->index});
    struct kn_status s = kn_nl_send(&j->there, &m, "give the pod its address and routes");
    kn_nl_msg_done(&m);
    return s;
}

static struct kn_status furnish_host(struct job *j, const struct kn_link *host)
{
    static const struct {
        const char *name, *value;
    } settings[] = {
        {"rp_filter", "1"},       // a pod speaks from its own address only
        {"route_localnet", "1"},  // answers to what was masqueraded from 127.0.0.1 come in here
        {"accept_redirects", "0"},
        {"send_redirects", "0"},
    };
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    char name[128];
    kn_rtnl_link_up(&m, host->index);
    kn_rtnl_neighbour(&m, host->index, j->lease.ip, j->mac);
    kn_rtnl_route(&m, true,
                  &(struct kn_route){.to = j->lease.ip, .bits = 32, .index = host->index});
    struct kn_status s = kn_nl_send(&j->here, &m, "route the pod's address");
    kn_nl_msg_done(&m);
    for (size_t i = 0; kn_ok(s) && i < KN_ARRAY_LEN(settings); i++) {
        snprintf(name, sizeof name, "net/ipv4/conf/%s/%s", j->link, settings[i].name);
        s = kn_sysctl_set(NULL, name, settings[i].value);
    }
    return s;
}

// -- one pod: what it asks for ---------------------------------------------------------------

static struct kn_status add_port(struct kn_lease *lease, const struct kn_json *port)
{
    int64_t host = kn_json_int(kn_json_get(port, KN_K_hostPort), 0);
    int64_t pod = kn_json_int(kn_json_get(port, KN_K_containerPort), 0);
    struct kn_sv protocol = kn_json_str(kn_json_get(port, KN_K_protocol));
    struct kn_sv ip = kn_json_str(kn_json_get(port, KN_K_hostIP));
    if (host <= 0)
        return KN_STATUS_OK;
    struct kn_host_port p = {
        .host_port = (uint16_t)host, .pod_port = (uint16_t)pod, .protocol = IPPROTO_TCP};
    if (kn_sv_is(protocol, "UDP"))
        p.protocol = IPPROTO_UDP;
    else if (kn_sv_is(protocol, "SCTP"))
        p.protocol = IPPROTO_SCTP;
    if (host > 65535 || pod < 1 || pod > 65535 || (ip.len && !kn_ip4_parse(ip, &p.host_ip)))
        return kn_error(KN_INVALID, "host port %lld on \"%.*s\" cannot be opened", (long long)host,
                        KN_SV_ARG(ip));
    if (lease->ports_len == KN_HOST_PORTS_MAX)
        return kn_error(KN_TOO_LARGE, "more than %d host ports", KN_HOST_PORTS_MAX);
    lease->ports[lease->ports_len++] = p;
    return KN_STATUS_OK;
}

static struct kn_status describe(const struct kn_pod_nets *n, const struct kn_pod_net *pod,
                                 struct kn_lease *lease)
{
    static const enum kn_atom lists[] = {KN_K_initContainers, KN_K_containers};
    const struct kn_json *container, *port;
    memset(lease, 0, sizeof *lease);
    if (pod->uid.len == 0 || pod->uid.len >= sizeof lease->uid)
        return kn_error(KN_INVALID, "\"%.*s\" cannot be a pod's uid", KN_SV_ARG(pod->uid));
    snprintf(lease->uid, sizeof lease->uid, "%.*s", KN_SV_ARG(pod->uid));
    snprintf(lease->pod, sizeof lease->pod, "%.*s/%.*s", KN_SV_ARG(pod->ns), KN_SV_ARG(pod->name));
    for (size_t i = 0; i < KN_ARRAY_LEN(lists); i++)
        KN_JSON_EACH(container, kn_json_get(pod->spec, lists[i]))
            KN_JSON_EACH(port, kn_json_get(container, KN_K_ports))
                KN_TRY(add_port(lease, port));
    if (lease->ports_len && !n->sink.set)
        return kn_error(KN_NOT_SUPPORTED, "this network opens no host ports");
    return KN_STATUS_OK;
}

// -- leases whose pods are gone --------------------------------------------------------------

struct sweep {
    struct kn_nl *nl;
    KN_VEC(char *) gone;
};

static bool find_gone(void *arg, const struct kn_lease *lease)
{
    struct sweep *w = arg;
    char name[IFNAMSIZ];
    struct kn_link link;
    kn_pod_link_name(kn_sv_c(lease->uid), name);
    struct kn_status s = kn_link_get(w->nl, name, &link);
    if (s.code == KN_NOT_FOUND)
        KN_VEC_PUSH(&w->gone, kn_sv_dup(kn_sv_c(lease->uid)));
    kn_status_done(&s);
    return true;
}

static struct kn_status drop_gone(struct kn_pod_nets *n, struct kn_nl *nl)
{
    struct sweep w = {.nl = nl};
    struct kn_status s = KN_STATUS_OK;
    kn_leases_each(n->leases, find_gone, &w);
    for (size_t i = 0; i < w.gone.len; i++) {
        if (kn_ok(s))
            s = kn_leases_drop(n->leases, kn_sv_c(w.gone.ptr[i]));
        free(w.gone.ptr[i]);
    }
    KN_VEC_DONE(&w.gone);
    return s;
}

// -- the contract ----------------------------------------------------------------------------

static struct kn_status open_with(struct kn_pod_nets *n, const struct kn_pod_nets_config *config,
                                  struct kn_nl *nl)
{
    char path[PATH_MAX];
    struct kn_link link;
    struct kn_status s = kn_link_default(nl, &link);
    n->mtu = kn_ok(s) && link.mtu ? link.mtu : DEFAULT_MTU;
    if (!kn_ok(s) && s.code != KN_NOT_FOUND)
        return s;
    kn_status_done(&s);
    snprintf(path, sizeof path, "%s/sysctl", n->dir);
    KN_TRY(kn_sysctl_set(path, "net/ipv4/ip_forward", "1"));
    snprintf(path, sizeof path, "%s/pods", n->dir);
    KN_TRY(kn_leases_open(path, config->net, &n->leases));
    KN_TRY(drop_gone(n, nl));
    return n->sink.keep ? n->sink.keep(n->sink.arg, n->leases) : KN_STATUS_OK;
}

struct kn_status kn_pod_nets_open(const struct kn_pod_nets_config *config, struct kn_pod_nets **ret)
{
    struct kn_nl nl;
    KN_TRY(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    struct kn_pod_nets *n = KN_NEW(struct kn_pod_nets);
    n->sink = config->sink;
    if (asprintf(&n->dir, "%s/network", config->run_dir) < 0)
        abort();
    struct kn_status s = open_with(n, config, &nl);
    kn_nl_close(&nl);
    if (kn_ok(s))
        *ret = n;
    else
        kn_pod_nets_close(n);
    return kn_wrap(s, "open the network of pods");
}

void kn_pod_nets_close(struct kn_pod_nets *n)
{
    if (!n)
        return;
    kn_leases_close(n->leases);
    free(n->dir);
    free(n);
}

// keep: an address that the pod's eth0 has already is its own.
static struct kn_status ensure(struct kn_pod_nets *n, const struct kn_pod_net *pod, bool keep,
                               struct job *j)
{
    struct kn_link host, eth0;
    unsigned bits;
    KN_TRY(describe(n, pod, &j->lease));
    KN_TRY(open_job(j, pod));
    if (keep) {
        struct kn_status s = kn_link_get(&j->there, "eth0", &eth0);
        if (kn_ok(s))
            s = kn_addr_of(&j->there, eth0.index, &j->lease.ip, &bits);
        if (!kn_ok(s) && s.code != KN_NOT_FOUND)
            return s;
        kn_status_done(&s);
    }
    KN_TRY(kn_leases_take(n->leases, &j->lease));
    KN_TRY(ensure_veth(j, &host, &eth0));
    KN_TRY(furnish_pod(j, &eth0));
    KN_TRY(furnish_host(j, &host));
    KN_TRY(kn_link_wait(j->netns, "eth0", kn_mono() + LINK_PATIENCE));
    return n->sink.set ? n->sink.set(n->sink.arg, &j->lease) : KN_STATUS_OK;
}

static struct kn_status set_up(struct kn_pod_nets *n, const struct kn_pod_net *pod, bool keep,
                               struct kn_arena *a, struct kn_sv *ret_ip)
{
    char ip[KN_IP4_TEXT];
    struct job *j = KN_NEW(struct job);
    j->n = n;
    j->netns = j->here.fd = j->there.fd = -1;
    struct kn_status s = ensure(n, pod, keep, j);
    kn_ip4_format(j->lease.ip, ip);
    close_job(j);
    free(j);
    KN_TRY(kn_wrap(s, "network of pod %.*s/%.*s", KN_SV_ARG(pod->ns), KN_SV_ARG(pod->name)));
    *ret_ip = kn_arena_dup(a, kn_sv_c(ip));
    return ret_ip->ptr ? KN_STATUS_OK : kn_arena_error(a, "a pod's address");
}

struct kn_status kn_pod_nets_setup(struct kn_pod_nets *n, const struct kn_pod_net *pod,
                                   struct kn_arena *a, struct kn_sv *ret_ip)
{
    return set_up(n, pod, false, a, ret_ip);
}

struct kn_status kn_pod_nets_restore(struct kn_pod_nets *n, const struct kn_pod_net *pod,
                                     struct kn_arena *a, struct kn_sv *ret_ip)
{
    return set_up(n, pod, true, a, ret_ip);
}

static struct kn_status remove_route(uint32_t ip, const char *name)
{
    struct kn_nl nl;
    struct kn_link link;
    KN_TRY(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    struct kn_status s = kn_link_get(&nl, name, &link);
    if (kn_ok(s)) {
        struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
        kn_rtnl_route(&m, false, &(struct kn_route){.to = ip, .bits = 32, .index = link.index});
        s = kn_nl_send(&nl, &m, "remove the pod's route");
        kn_nl_msg_done(&m);
    }
    kn_nl_close(&nl);
    if (s.code == KN_NOT_FOUND) // the interface or the route has gone
        kn_status_done(&s);
    return s;
}

struct kn_status kn_pod_nets_teardown(struct kn_pod_nets *n, const struct kn_pod_net *pod)
{
    struct kn_lease lease;
    char link[IFNAMSIZ];
    if (!kn_leases_get(n->leases, pod->uid, &lease))
        return KN_STATUS_OK;
    struct kn_status s = n->sink.drop ? n->sink.drop(n->sink.arg, &lease) : KN_STATUS_OK;
    kn_pod_link_name(pod->uid, link);
    if (kn_ok(s))
        s = remove_route(lease.ip, link);
    if (kn_ok(s))
        s = kn_leases_drop(n->leases, pod->uid);
    return kn_wrap(s, "network of pod %.*s/%.*s", KN_SV_ARG(pod->ns), KN_SV_ARG(pod->name));
}

struct kn_leases *kn_pod_nets_leases(struct kn_pod_nets *n)
{
    return n->leases;
}

uint32_t kn_pod_nets_mtu(const struct kn_pod_nets *n)
{
    return n->mtu;
}

// -- reset -----------------------------------------------------------------------------------

struct link_list {
    KN_VEC(int) index;
};

static struct kn_status note_link(void *arg, const struct kn_link *link)
{
    struct link_list *list = arg;
    if (is_pod_link(link))
        KN_VEC_PUSH(&list->index, link->index);
    return KN_STATUS_OK;
}

struct kn_status kn_pod_nets_reset(const char *run_dir)
{
    char path[PATH_MAX];
    struct kn_nl nl;
    struct link_list list = {0};
    KN_TRY(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    struct kn_status s = kn_link_each(&nl, note_link, &list);
    for (size_t i = 0; kn_ok(s) && i < list.index.len; i++)
        s = kn_link_remove(&nl, list.index.ptr[i]);
    KN_VEC_DONE(&list.index);
    if (kn_ok(s))
        s = kn_rtnl_routes_remove(&nl);
    kn_nl_close(&nl);
    snprintf(path, sizeof path, "%s/network/sysctl", run_dir);
    if (kn_ok(s))
        s = kn_sysctl_restore(path);
    snprintf(path, sizeof path, "%s/network", run_dir);
    if (kn_ok(s))
        s = kn_dir_remove(path);
    return kn_wrap(s, "reset the network of pods");
}
