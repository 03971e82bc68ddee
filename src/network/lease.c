#include "network/lease.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "base/thread.h"

#define FILE_MAX 8192

struct kn_leases {
    char *dir;
    struct kn_net4 net;
    uint32_t first, last, next; // usable addresses; where the search goes on
    pthread_mutex_t lock;       // leaf: nothing else is locked under it
    struct kn_map by_uid;       // struct kn_lease, owned; the keys lie in them
    struct kn_map by_ip;        // the same; key: the 4 bytes of .ip
};

// -- files -----------------------------------------------------------------------------------

static const char *protocol_name(uint8_t p)
{
    return p == IPPROTO_UDP ? "udp" : p == IPPROTO_SCTP ? "sctp" : "tcp";
}

static struct kn_status write_file(const struct kn_leases *l, const struct kn_lease *lease)
{
    char path[PATH_MAX], ip[KN_IP4_TEXT];
    struct kn_buf b = KN_BUF(FILE_MAX);
    kn_ip4_format(lease->ip, ip);
    kn_buf_addf(&b, "ip %s\npod %s\n", ip, lease->pod);
    for (size_t i = 0; i < lease->ports_len; i++) {
        const struct kn_host_port *p = &lease->ports[i];
        kn_ip4_format(p->host_ip, ip);
        kn_buf_addf(&b, "port %s %u %u %s\n", protocol_name(p->protocol), p->host_port, p->pod_port,
                    ip);
    }
    snprintf(path, sizeof path, "%s/%s", l->dir, lease->uid);
    struct kn_status s = kn_buf_status(&b, "a lease");
    if (kn_ok(s))
        s = kn_file_write(path, kn_buf_sv(&b), 0644, false);
    kn_buf_done(&b);
    return s;
}

static bool read_port(struct kn_sv text, struct kn_host_port *ret)
{
    struct kn_sv rest = text, name = kn_sv_cut(&rest, ' ');
    int64_t host = 0, pod = 0;
    struct kn_status a = kn_num_parse(kn_sv_cut(&rest, ' '), 1, 65535, &host);
    struct kn_status b = kn_num_parse(kn_sv_cut(&rest, ' '), 1, 65535, &pod);
    bool good = kn_ok(a) && kn_ok(b) && kn_ip4_parse(rest, &ret->host_ip);
    kn_status_done(&a);
    kn_status_done(&b);
    ret->host_port = (uint16_t)host;
    ret->pod_port = (uint16_t)pod;
    ret->protocol = kn_sv_is(name, "udp")    ? IPPROTO_UDP
                    : kn_sv_is(name, "sctp") ? IPPROTO_SCTP
                                             : IPPROTO_TCP;
    return good;
}

static bool read_lease(struct kn_sv text, struct kn_lease *lease)
{
    while (text.len) {
        struct kn_sv line = kn_sv_cut(&text, '\n'), word = kn_sv_cut(&line, ' ');
        if (kn_sv_is(word, "ip") && !kn_ip4_parse(line, &lease->ip))
            return false;
        if (kn_sv_is(word, "pod"))
            snprintf(lease->pod, sizeof lease->pod, "%.*s", KN_SV_ARG(line));
        if (kn_sv_is(word, "port") && (lease->ports_len == KN_HOST_PORTS_MAX ||
                                       !read_port(line, &lease->ports[lease->ports_len++])))
            return false;
    }
    return lease->ip != 0;
}

// -- the tables ------------------------------------------------------------------------------

static struct kn_sv ip_key(const uint32_t *ip)
{
    return kn_sv((const char *)ip, sizeof *ip);
}

static void insert(struct kn_leases *l, struct kn_lease *lease)
{
    kn_map_put(&l->by_uid, kn_sv_c(lease->uid), lease);
    kn_map_put(&l->by_ip, ip_key(&lease->ip), lease);
}

static struct kn_status load_one(struct kn_leases *l, const char *uid)
{
    char path[PATH_MAX];
    struct kn_buf b = KN_BUF(3 * FILE_MAX);
    struct kn_lease *lease = KN_NEW(struct kn_lease);
    snprintf(path, sizeof path, "%s/%s", l->dir, uid);
    snprintf(lease->uid, sizeof lease->uid, "%s", uid);
    struct kn_status s = kn_file_read(path, FILE_MAX, &b);
    // an unfinished temporary file of kn_file_write has a dot, a uid has none
    if (kn_ok(s) &&
        (strchr(uid, '.') || strlen(uid) >= sizeof lease->uid ||
         !read_lease(kn_buf_sv(&b), lease) || kn_map_get(&l->by_ip, ip_key(&lease->ip)))) {
        kn_warn("%s is no lease of an address, or one of an address that is taken: removed", path);
        unlink(path);
        free(lease);
    } else if (kn_ok(s)) {
        insert(l, lease);
    } else {
        free(lease);
    }
    kn_buf_done(&b);
    return s;
}

static struct kn_status load(struct kn_leases *l)
{
    DIR *d = opendir(l->dir);
    if (!d)
        return kn_error_errno(errno, "open the folder %s", l->dir);
    struct kn_status s = KN_STATUS_OK;
    for (struct dirent *e; kn_ok(s) && (e = readdir(d));)
        if (e->d_name[0] != '.')
            s = load_one(l, e->d_name);
    closedir(d);
    return s;
}

struct kn_status kn_leases_open(const char *dir, struct kn_net4 net, struct kn_leases **ret)
{
    if (net.bits > 30)
        return kn_error(KN_INVALID,
                        "a node's network of pods needs a prefix of at most 30 bits, not %u",
                        net.bits);
    KN_TRY(kn_dir_make(dir, 0755));
    struct kn_leases *l = KN_NEW(struct kn_leases);
    l->dir = kn_sv_dup(kn_sv_c(dir));
    l->net = net;
    l->first = net.base + 1;
    l->last = (net.base | ~kn_net4_mask(net.bits)) - 1;
    pthread_mutex_init(&l->lock, NULL);
    kn_map_init(&l->by_uid);
    kn_map_init(&l->by_ip);
    struct kn_status s = load(l);
    if (!kn_ok(s)) {
        kn_leases_close(l);
        return s;
    }
    l->next = l->first;
    const struct kn_lease *lease;
    for (size_t it = 0; (lease = kn_map_next(&l->by_uid, &it, NULL));)
        if (lease->ip >= l->next && lease->ip <= l->last)
            l->next = lease->ip + 1;
    *ret = l;
    return KN_STATUS_OK;
}

void kn_leases_close(struct kn_leases *l)
{
    if (!l)
        return;
    void *lease;
    for (size_t it = 0; (lease = kn_map_next(&l->by_uid, &it, NULL));)
        free(lease);
    kn_map_done(&l->by_uid);
    kn_map_done(&l->by_ip);
    pthread_mutex_destroy(&l->lock);
    free(l->dir);
    free(l);
}

bool kn_leases_get(struct kn_leases *l, struct kn_sv uid, struct kn_lease *ret)
{
    const struct kn_lease *found = NULL;
    KN_LOCKED(&l->lock) {
        found = kn_map_get(&l->by_uid, uid);
        if (found)
            *ret = *found;
    }
    return found != NULL;
}

static bool same_port(const struct kn_host_port *a, const struct kn_host_port *b)
{
    return a->protocol == b->protocol && a->host_port == b->host_port &&
           (a->host_ip == b->host_ip || a->host_ip == 0 || b->host_ip == 0);
}

static struct kn_status check_ports(const struct kn_leases *l, const struct kn_lease *want)
{
    const struct kn_lease *other;
    for (size_t it = 0; want->ports_len && (other = kn_map_next(&l->by_uid, &it, NULL));) {
        if (strcmp(other->uid, want->uid) == 0)
            continue;
        for (size_t i = 0; i < want->ports_len; i++)
            for (size_t k = 0; k < other->ports_len; k++)
                if (same_port(&want->ports[i], &other->ports[k]))
                    return kn_error(KN_CONFLICT, "host port %u/%s is taken by pod %s",
                                    want->ports[i].host_port,
                                    protocol_name(want->ports[i].protocol), other->pod);
    }
    return KN_STATUS_OK;
}

static struct kn_status choose(struct kn_leases *l, uint32_t *ret)
{
    for (uint32_t tried = 0; tried <= l->last - l->first; tried++) {
        uint32_t ip = l->next > l->last ? l->first : l->next;
        l->next = ip + 1;
        if (!kn_map_get(&l->by_ip, ip_key(&ip))) {
            *ret = ip;
            return KN_STATUS_OK;
        }
    }
    return kn_error(KN_NO_SPACE, "no free address: all %u of this node's network are taken by pods",
                    l->last - l->first + 1);
}

static struct kn_status take_locked(struct kn_leases *l, struct kn_lease *lease)
{
    struct kn_lease *old = kn_map_get(&l->by_uid, kn_sv_c(lease->uid));
    if (old)
        lease->ip = old->ip;
    KN_TRY(check_ports(l, lease));
    if (!lease->ip)
        KN_TRY(choose(l, &lease->ip));
    const struct kn_lease *other = kn_map_get(&l->by_ip, ip_key(&lease->ip));
    if (other && other != old)
        return kn_error(KN_CONFLICT, "the address of pod %s is taken by pod %s", lease->pod,
                        other->pod);
    if (old && memcmp(old, lease, sizeof *old) == 0)
        return KN_STATUS_OK;
    KN_TRY(write_file(l, lease));
    if (!old) {
        struct kn_lease *copy = kn_alloc(sizeof *copy);
        *copy = *lease;
        insert(l, copy);
    } else {
        *old = *lease;
    }
    return KN_STATUS_OK;
}

struct kn_status kn_leases_take(struct kn_leases *l, struct kn_lease *lease)
{
    struct kn_status s = KN_STATUS_OK;
    if (!lease->uid[0] || strchr(lease->uid, '/') || strchr(lease->uid, '.'))
        return kn_error(KN_INVALID, "\"%s\" cannot be a pod's uid", lease->uid);
    KN_LOCKED(&l->lock)
        s = take_locked(l, lease);
    return s;
}

struct kn_status kn_leases_drop(struct kn_leases *l, struct kn_sv uid)
{
    struct kn_status s = KN_STATUS_OK;
    KN_LOCKED(&l->lock) {
        struct kn_lease *lease = kn_map_get(&l->by_uid, uid);
        if (lease) {
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%s/%s", l->dir, lease->uid);
            if (unlink(path) < 0 && errno != ENOENT) {
                s = kn_error_errno(errno, "give back the address of pod %s: remove %s", lease->pod,
                                   path);
            } else {
                kn_map_take(&l->by_uid, kn_sv_c(lease->uid));
                kn_map_take(&l->by_ip, ip_key(&lease->ip));
                free(lease);
            }
        }
    }
    return s;
}

void kn_leases_each(struct kn_leases *l, bool (*visit)(void *arg, const struct kn_lease *lease),
                    void *arg)
{
    KN_LOCKED(&l->lock) {
        const struct kn_lease *lease;
        for (size_t it = 0; (lease = kn_map_next(&l->by_uid, &it, NULL)) && visit(arg, lease);)
            ;
    }
}

size_t kn_leases_len(struct kn_leases *l)
{
    size_t len = 0;
    KN_LOCKED(&l->lock)
        len = l->by_uid.len;
    return len;
}

size_t kn_leases_room(struct kn_leases *l)
{
    size_t taken = 0;
    KN_LOCKED(&l->lock) {
        const struct kn_lease *lease;
        for (size_t it = 0; (lease = kn_map_next(&l->by_uid, &it, NULL));)
            taken += lease->ip >= l->first && lease->ip <= l->last;
    }
    return l->last - l->first + 1 - taken;
}
