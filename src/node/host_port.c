// Host ports that a process of the machine holds already: the mapping of a pod comes before it for
// what arrives from elsewhere, which whoever finds one of the two unreachable should be told.
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"
#include "node/pod_worker_impl.h"

#define TABLE_MAX (8u << 20)
#define LISTENS 0x0A
#define UDP_BOUND 0x07

// The inode of a socket in one of the kernel's tables that is bound to the port; 0: there is none.
static uint64_t bound_in(const char *table, int64_t port)
{
    bool udp = strstr(table, "udp") != NULL;
    struct kn_buf text = KN_BUF(TABLE_MAX);
    uint64_t found = 0;
    KN_IGNORE(kn_file_read(table, TABLE_MAX, &text));
    const char *line = kn_buf_cstr(&text);
    while (!found && (line = strchr(line, '\n'))) {
        unsigned local, state;
        unsigned long long inode;
        line++;
        // sl local:port remote:port state queues timers retransmits uid timeout inode
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %llu",
                   &local, &state, &inode) == 3 &&
            local == port && state == (udp ? UDP_BOUND : LISTENS))
            found = inode;
    }
    kn_buf_done(&text);
    return found;
}

static bool has_socket(const char *pid, uint64_t inode)
{
    char path[PATH_MAX], want[64], link[64];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    snprintf(want, sizeof want, "socket:[%llu]", (unsigned long long)inode);
    DIR *d = opendir(path);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        found = strcmp(link, want) == 0;
    }
    if (d)
        closedir(d);
    return found;
}

// " by NAME (PID)", or nothing: the process may be of another pid namespace.
static void holder(uint64_t inode, char *out, size_t size)
{
    out[0] = '\0';
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && !out[0] && (e = readdir(d));) {
        char path[PATH_MAX];
        struct kn_buf name = KN_BUF(256);
        if (!isdigit((unsigned char)e->d_name[0]) || !has_socket(e->d_name, inode))
            continue;
        snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
        KN_IGNORE(kn_file_read(path, 200, &name));
        struct kn_sv word = kn_sv_trim(kn_buf_sv(&name));
        snprintf(out, size, " by %.*s (%s)", KN_SV_ARG(word), e->d_name);
        kn_buf_done(&name);
    }
    if (d)
        closedir(d);
}

static void check(struct kn_pod_worker *w, const struct kn_json *port)
{
    int64_t host = kn_json_int(kn_json_get(port, KN_K_hostPort), 0);
    struct kn_sv protocol = kn_json_str(kn_json_get(port, KN_K_protocol));
    bool udp = kn_sv_is(protocol, "UDP");
    char who[64];
    if (host <= 0 || kn_sv_is(protocol, "SCTP"))
        return;
    uint64_t inode = bound_in(udp ? "/proc/thread-self/net/udp" : "/proc/thread-self/net/tcp", host);
    if (!inode)
        inode = bound_in(udp ? "/proc/thread-self/net/udp6" : "/proc/thread-self/net/tcp6", host);
    if (!inode)
        return;
    holder(inode, who, sizeof who);
    kn_worker_event(w, NULL, "Warning", "HostPortConflict",
                    "the node's port %lld/%s is in use%s: what comes from elsewhere goes to the pod",
                    (long long)host, udp ? "UDP" : "TCP", who);
}

void kn_pod_host_ports(struct kn_pod_worker *w)
{
    static const enum kn_atom lists[] = {KN_K_initContainers, KN_K_containers};
    const struct kn_json *c, *port;
    if (w->sandbox.host_network) // its own processes bind them
        return;
    for (size_t i = 0; i < KN_ARRAY_LEN(lists); i++)
        KN_JSON_EACH (c, KN_JSON_AT(w->pod->root, KN_K_spec, lists[i]))
            KN_JSON_EACH (port, kn_json_get(c, KN_K_ports))
                check(w, port);
}
