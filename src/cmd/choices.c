#include "cmd/choices.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "meta/names.h"
#include "network/ip4.h"

// The tenth address of the services' range is the cluster DNS'.
#define DNS_AT 10

bool kn_choices_any(const struct kn_choices *c)
{
    return c->node_name || c->pod_cidr || c->service_cidr || c->port != KN_CHOICE_NONE;
}

static struct kn_status take_port(struct kn_site *s, int64_t port)
{
    if (port < 1 || port > 65535)
        return kn_error(KN_BAD_REQUEST, "--port %lld is no port: 1 to 65535", (long long)port);
    if (port == s->kubelet_port)
        return kn_error(KN_BAD_REQUEST,
                        "--port %lld is the port of this machine's node: choose another",
                        (long long)port);
    s->port = port;
    return KN_STATUS_OK;
}

static struct kn_status take_name(struct kn_site *s, const char *name)
{
    struct kn_arena *a = kn_arena_new(0, 64u << 10);
    struct kn_status st = KN_STATUS_OK;
    if (kn_name_dns_subdomain_problem(a, kn_sv_c(name)).len)
        st = kn_error(KN_BAD_REQUEST,
                      "--node-name \"%s\" is no name for a node: lower case letters, digits, "
                      "\"-\" and \".\", a letter or digit first and last, at most 253",
                      name);
    else
        snprintf(s->node_name, sizeof s->node_name, "%s", name);
    kn_arena_free(a);
    return st;
}

static struct kn_status take_range(const char *flag, const char *text, const char *like,
                                   unsigned most_bits, char out[48], struct kn_net4 *ret)
{
    struct kn_status st = kn_net4_parse(kn_sv_c(text), ret);
    bool good = kn_ok(st) && ret->bits >= 8 && ret->bits <= most_bits;
    kn_status_done(&st);
    if (!good)
        return kn_error(KN_BAD_REQUEST,
                        "--%s %s is no range of addresses: write the first of them and a length "
                        "of 8 to %u, such as %s",
                        flag, text, most_bits, like);
    if (text != out)
        snprintf(out, 48, "%s", text);
    return KN_STATUS_OK;
}

static bool overlap(struct kn_net4 a, struct kn_net4 b)
{
    return kn_net4_has(a, b.base) || kn_net4_has(b, a.base);
}

// A range that the machine talks to already would cut it off from there.
static struct kn_status check_machine(const char *flag, const char *text, struct kn_net4 range)
{
    struct ifaddrs *list, *i;
    struct kn_status st = KN_STATUS_OK;
    if (getifaddrs(&list) < 0)
        return kn_error_errno(errno, "list this machine's addresses");
    for (i = list; i && kn_ok(st); i = i->ifa_next) {
        if (!i->ifa_addr || !i->ifa_netmask || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in a, m;
        memcpy(&a, i->ifa_addr, sizeof a);
        memcpy(&m, i->ifa_netmask, sizeof m);
        uint32_t mask = ntohl(m.sin_addr.s_addr);
        struct kn_net4 own = {ntohl(a.sin_addr.s_addr) & mask, (unsigned)__builtin_popcount(mask)};
        char shown[KN_IP4_TEXT];
        kn_ip4_format(own.base, shown);
        if (overlap(own, range))
            st = kn_error(KN_BAD_REQUEST,
                          "the range %s overlaps the network %s/%u of this machine's interface %s: "
                          "choose another with --%s",
                          text, shown, own.bits, i->ifa_name, flag);
    }
    freeifaddrs(list);
    return st;
}

struct kn_status kn_choices_apply(const struct kn_choices *c, struct kn_site *s)
{
    struct kn_net4 pods, services;
    if (c->port != KN_CHOICE_NONE)
        KN_TRY(take_port(s, c->port));
    if (c->node_name)
        KN_TRY(take_name(s, c->node_name));
    KN_TRY(take_range("pod-cidr", c->pod_cidr ? c->pod_cidr : s->pod_cidr, "10.244.0.0/24", 29,
                      s->pod_cidr, &pods));
    KN_TRY(take_range("service-cidr", c->service_cidr ? c->service_cidr : s->service_cidr,
                      "10.96.0.0/16", 28, s->service_cidr, &services));
    if (overlap(pods, services))
        return kn_error(KN_BAD_REQUEST,
                        "the pods' range %s and the services' range %s overlap: choose others with "
                        "--pod-cidr and --service-cidr",
                        s->pod_cidr, s->service_cidr);
    KN_TRY(check_machine("pod-cidr", s->pod_cidr, pods));
    KN_TRY(check_machine("service-cidr", s->service_cidr, services));
    kn_ip4_format(services.base + DNS_AT, s->cluster_dns);
    return KN_STATUS_OK;
}
