#include "cmd/site.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"
#include "codec/json.h"

const char *kn_site_data(const struct kn_site *s, const char *below, char out[KN_SITE_PATH])
{
    snprintf(out, KN_SITE_PATH, "%s/%s", s->data, below);
    return out;
}

const char *kn_site_run(const struct kn_site *s, const char *below, char out[KN_SITE_PATH])
{
    snprintf(out, KN_SITE_PATH, "%s/%s", s->run, below);
    return out;
}

static bool first_interface(char out[48])
{
    struct ifaddrs *list, *i;
    bool found = false;
    if (getifaddrs(&list) < 0)
        return false;
    for (i = list; i && !found; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && !(i->ifa_flags & IFF_LOOPBACK) &&
            i->ifa_flags & IFF_UP) {
            struct sockaddr_in a;
            memcpy(&a, i->ifa_addr, sizeof a);
            found = inet_ntop(AF_INET, &a.sin_addr, out, 48) != NULL;
        }
    freeifaddrs(list);
    return found;
}

void kn_site_own_address(char out[48])
{
    // Connecting a datagram socket sends nothing; it makes the kernel choose the source address.
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)}, own;
    socklen_t len = sizeof own;
    inet_pton(AF_INET, "203.0.113.1", &to.sin_addr); // documentation range: nobody's
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
                 getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
                 inet_ntop(AF_INET, &own.sin_addr, out, 48);
    if (fd >= 0)
        close(fd);
    if (!found && !first_interface(out))
        snprintf(out, 48, "127.0.0.1");
}

// A host name as a node may be called: lower case, RFC 1123.
static void node_name(char out[256])
{
    struct utsname u;
    size_t n = 0;
    uname(&u);
    for (const char *c = u.nodename; *c && n < 253; c++) {
        char l = (char)tolower((unsigned char)*c);
        bool good = (l >= 'a' && l <= 'z') || (l >= '0' && l <= '9') || l == '.' || l == '-';
        if (good && (n || (l != '.' && l != '-')))
            out[n++] = l;
    }
    while (n && (out[n - 1] == '.' || out[n - 1] == '-'))
        n--;
    out[n] = '\0';
    if (n == 0)
        snprintf(out, 256, "node");
}

struct kn_status kn_site_init(struct kn_site *s, const char *data, const char *run)
{
    *s = (struct kn_site){.port = 6443, .kubelet_port = 10250};
    if (data[0] != '/' || run[0] != '/' || strlen(data) >= sizeof s->data || strlen(run) > 60)
        return kn_error(KN_BAD_REQUEST,
                        "the data and run folders must be absolute paths, and the run "
                        "folder at most 60 characters long (sockets lie below it)");
    snprintf(s->data, sizeof s->data, "%s", data);
    snprintf(s->run, sizeof s->run, "%s", run);
    node_name(s->node_name);
    kn_site_own_address(s->host_ip);
    snprintf(s->service_cidr, sizeof s->service_cidr, "10.96.0.0/16");
    snprintf(s->pod_cidr, sizeof s->pod_cidr, "10.244.0.0/24");
    snprintf(s->cluster_dns, sizeof s->cluster_dns, "10.96.0.10");
    snprintf(s->domain, sizeof s->domain, "cluster.local");
    return KN_STATUS_OK;
}

static void put(struct kn_arena *a, struct kn_json *o, const char *name, const char *value)
{
    kn_json_set_sv(a, o, kn_sv_c(name), kn_json_new_str(a, kn_sv_c(value)));
}

struct kn_status kn_site_save(const struct kn_site *s)
{
    struct kn_arena *a = kn_arena_new(0, 64u << 10);
    struct kn_json *o = kn_json_new_object(a);
    put(a, o, "runFolder", s->run);
    put(a, o, "nodeName", s->node_name);
    put(a, o, "serviceCIDR", s->service_cidr);
    put(a, o, "podCIDR", s->pod_cidr);
    put(a, o, "clusterDNS", s->cluster_dns);
    put(a, o, "clusterDomain", s->domain);
    kn_json_set_sv(a, o, KN_SV("port"), kn_json_new_int(a, s->port));
    kn_json_set_sv(a, o, KN_SV("kubeletPort"), kn_json_new_int(a, s->kubelet_port));
    kn_json_set_sv(a, o, KN_SV("uid"), kn_json_new_int(a, s->uid));
    kn_json_set_sv(a, o, KN_SV("gid"), kn_json_new_int(a, s->gid));
    struct kn_buf text = KN_BUF(64u << 10);
    kn_json_encode_pretty(&text, o, 2);
    kn_buf_add_byte(&text, '\n');
    char path[KN_SITE_PATH];
    struct kn_status st =
        kn_file_write(kn_site_data(s, "site.json", path), kn_buf_sv(&text), 0644, true);
    kn_buf_done(&text);
    kn_arena_free(a);
    return st;
}

static void take(const struct kn_json *o, const char *name, char *out, size_t size)
{
    struct kn_sv v = kn_json_str(kn_json_get_sv(o, kn_sv_c(name)));
    if (v.len && v.len < size)
        snprintf(out, size, "%.*s", KN_SV_ARG(v));
}

struct kn_status kn_site_load(struct kn_site *s, const char *data)
{
    KN_TRY(kn_site_init(s, data, KN_SITE_RUN));
    char path[KN_SITE_PATH];
    struct kn_buf text = KN_BUF(64u << 10);
    struct kn_arena *a = kn_arena_new(0, 256u << 10);
    struct kn_json *o = NULL;
    struct kn_status st = kn_file_read(kn_site_data(s, "site.json", path), 64u << 10, &text);
    if (kn_ok(st))
        st = kn_wrap(kn_json_parse(a, kn_buf_sv(&text), NULL, &o), "%s", path);
    if (kn_ok(st)) {
        take(o, "runFolder", s->run, sizeof s->run);
        take(o, "nodeName", s->node_name, sizeof s->node_name);
        take(o, "serviceCIDR", s->service_cidr, sizeof s->service_cidr);
        take(o, "podCIDR", s->pod_cidr, sizeof s->pod_cidr);
        take(o, "clusterDNS", s->cluster_dns, sizeof s->cluster_dns);
        take(o, "clusterDomain", s->domain, sizeof s->domain);
        s->port = kn_json_int(kn_json_get_sv(o, KN_SV("port")), s->port);
        s->kubelet_port = kn_json_int(kn_json_get_sv(o, KN_SV("kubeletPort")), s->kubelet_port);
        s->uid = (uid_t)kn_json_int(kn_json_get_sv(o, KN_SV("uid")), 0);
        s->gid = (gid_t)kn_json_int(kn_json_get_sv(o, KN_SV("gid")), 0);
    }
    kn_arena_free(a);
    kn_buf_done(&text);
    return st;
}

// The first address of the service range is the kubernetes service's.
static void first_service_ip(const struct kn_site *s, char out[48])
{
    struct in_addr a;
    snprintf(out, 48, "%.*s", (int)strcspn(s->service_cidr, "/"), s->service_cidr);
    if (inet_pton(AF_INET, out, &a) == 1) {
        a.s_addr = htonl(ntohl(a.s_addr) + 1);
        inet_ntop(AF_INET, &a, out, 48);
    }
}

struct kn_status kn_site_pki(const struct kn_site *s, int *ret_renewed)
{
    char root[KN_SITE_PATH], server[KN_SITE_PATH], service_ip[48];
    first_service_ip(s, service_ip);
    const struct kn_sv addresses[] = {kn_sv_c(s->host_ip)};
    struct kn_pki p = {.root_folder = kn_site_data(s, "pki", root),
                       .server_folder = kn_site_data(s, "server", server),
                       .uid = s->uid,
                       .gid = s->gid,
                       .node_name = s->node_name,
                       .addresses = addresses,
                       .address_count = 1,
                       .service_ip = service_ip,
                       .domain = s->domain};
    return kn_pki_ensure(&p, ret_renewed);
}

pid_t kn_site_process(const struct kn_site *s, const char *name)
{
    char path[KN_SITE_PATH], file[64];
    snprintf(file, sizeof file, "%s.pid", name);
    struct kn_buf text = KN_BUF(64);
    int64_t pid = 0;
    struct kn_status st = kn_file_read(kn_site_run(s, file, path), 64, &text);
    if (kn_ok(st))
        st = kn_num_parse(kn_sv_trim(kn_buf_sv(&text)), 1, INT32_MAX, &pid);
    kn_status_done(&st);
    kn_buf_done(&text);
    if (pid == 0 || (kill((pid_t)pid, 0) < 0 && errno == ESRCH))
        return 0;
    // A number may have been given to somebody else since: look at what it runs.
    struct kn_buf comm = KN_BUF(64);
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    st = kn_file_read(path, 64, &comm);
    bool ours = kn_ok(st) && kn_sv_starts(kn_buf_sv(&comm), KN_SV("knarr"));
    kn_status_done(&st);
    kn_buf_done(&comm);
    return ours ? (pid_t)pid : 0;
}
