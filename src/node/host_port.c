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

static int64_t hex(struct kn_sv text)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.len && i < 8 && isxdigit((unsigned char)text.ptr[i]); i++) {
        int c = tolower((unsigned char)text.ptr[i]);
        n = n * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return n;
}

static struct kn_sv next_word(struct kn_sv *line)
{
    while (line->len && line->ptr[0] == ' ')
        *line = kn_sv_from(*line, 1);
    return kn_sv_cut(line, ' ');
}

// One line: "sl: local:port remote:port state queues timers retransmits uid timeout inode ...".
// The inode of its socket if it is bound to the port in this state, else 0.
static int64_t inode_in(struct kn_sv line, int64_t port, int64_t state)
{
    struct kn_sv words[10], number;
    int64_t inode = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(words); i++)
        words[i] = next_word(&line);
    number = words[1];
    kn_sv_cut(&number, ':');
    if (hex(number) != port || hex(words[3]) != state)
        return 0;
    return kn_ok_done(kn_num_parse(words[9], 0, INT64_MAX, &inode)) ? inode : 0;
}

// The inode of a socket in one of the kernel's tables that is bound to the port; 0: there is none.
static int64_t bound_in(const char *table, int64_t port)
{
    int64_t state = strstr(table, "udp") ? UDP_BOUND : LISTENS, found = 0;
    struct kn_buf text = KN_BUF(TABLE_MAX);
    KN_IGNORE(kn_file_read(table, TABLE_MAX, &text));
    struct kn_sv rest = kn_buf_sv(&text);
    kn_sv_cut(&rest, '\n'); // the heads of the columns
    while (!found && rest.len)
        found = inode_in(kn_sv_cut(&rest, '\n'), port, state);
    kn_buf_done(&text);
    return found;
}

static bool has_socket(const char *pid, int64_t inode)
{
    char path[PATH_MAX], want[64], link[64];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    snprintf(want, sizeof want, "socket:[%lld]", (long long)inode);
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
    uint64_t inode =
        bound_in(udp ? "/proc/thread-self/net/udp" : "/proc/thread-self/net/tcp", host);
    if (!inode)
        inode = bound_in(udp ? "/proc/thread-self/net/udp6" : "/proc/thread-self/net/tcp6", host);
    if (!inode)
        return;
    holder(inode, who, sizeof who);
    kn_worker_event(
        w, NULL, "Warning", "HostPortConflict",
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
