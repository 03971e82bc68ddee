#include "network/rtnl.h"

#include <linux/rtnetlink.h>
#include <poll.h>

#define MESSAGE_MAX 4096
#define IF_OPER_UNKNOWN 0 // of linux/if.h, which does not go together with net/if.h
#define IF_OPER_UP 6

static uint32_t be(uint32_t v)
{
    return __builtin_bswap32(v);
}

// -- links -----------------------------------------------------------------------------------

struct link_visit {
    struct kn_status (*each)(void *arg, const struct kn_link *link);
    void *arg;
};

static struct kn_status see_link(void *arg, uint16_t type, struct kn_sv payload)
{
    struct link_visit *v = arg;
    struct ifinfomsg i;
    if (type != RTM_NEWLINK || payload.len < sizeof i)
        return KN_STATUS_OK;
    memcpy(&i, payload.ptr, sizeof i);
    struct kn_sv attrs = kn_sv_from(payload, NLMSG_ALIGN(sizeof i));
    struct kn_link l = {.index = i.ifi_index};
    struct kn_sv mac = kn_nl_attr_get(attrs, IFLA_ADDRESS);
    if (mac.len == sizeof l.mac)
        memcpy(l.mac, mac.ptr, sizeof l.mac);
    l.mtu = kn_nl_attr_u32(kn_nl_attr_get(attrs, IFLA_MTU));
    l.peer = (int)kn_nl_attr_u32(kn_nl_attr_get(attrs, IFLA_LINK));
    snprintf(l.name, sizeof l.name, "%.*s",
             KN_SV_ARG(kn_nl_attr_str(kn_nl_attr_get(attrs, IFLA_IFNAME))));
    struct kn_sv state = kn_nl_attr_get(attrs, IFLA_OPERSTATE);
    l.ready = state.len == 1 && (state.ptr[0] == IF_OPER_UP ||
                                 (state.ptr[0] == IF_OPER_UNKNOWN && (i.ifi_flags & IFF_UP)));
    struct kn_sv info = kn_nl_attr_get(attrs, IFLA_LINKINFO);
    l.is_veth = kn_sv_is(kn_nl_attr_str(kn_nl_attr_get(info, IFLA_INFO_KIND)), "veth");
    return v->each(v->arg, &l);
}

static struct kn_status keep_link(void *arg, const struct kn_link *link)
{
    *(struct kn_link *)arg = *link;
    return KN_STATUS_OK;
}

static struct kn_status ask_link(struct kn_nl *nl, int index, const char *name, struct kn_link *ret)
{
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    struct ifinfomsg i = {.ifi_index = index};
    struct link_visit v = {keep_link, ret};
    kn_nl_begin(&m, RTM_GETLINK, 0, &i, sizeof i);
    if (name)
        kn_nl_put_str(&m, IFLA_IFNAME, kn_sv_c(name));
    kn_nl_end(&m);
    memset(ret, 0, sizeof *ret);
    struct kn_status s = kn_nl_dump(nl, &m, "look at a link", see_link, &v);
    kn_nl_msg_done(&m);
    return name ? kn_wrap(s, "%s", name) : s;
}

struct kn_status kn_link_get(struct kn_nl *nl, const char *name, struct kn_link *ret)
{
    return ask_link(nl, 0, name, ret);
}

struct kn_status kn_link_get_at(struct kn_nl *nl, int index, struct kn_link *ret)
{
    return ask_link(nl, index, NULL, ret);
}

struct kn_status kn_link_each(struct kn_nl *nl,
                              struct kn_status (*each)(void *arg, const struct kn_link *link),
                              void *arg)
{
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    struct ifinfomsg i = {0};
    struct link_visit v = {each, arg};
    kn_nl_begin(&m, RTM_GETLINK, NLM_F_DUMP, &i, sizeof i);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_dump(nl, &m, "list the links", see_link, &v);
    kn_nl_msg_done(&m);
    return s;
}

static void ignore(void *arg, uint16_t type, struct kn_sv payload)
{
    (void)arg, (void)type, (void)payload;
}

static struct kn_status wait_on(struct kn_nl *ask, struct kn_nl *news, const char *name,
                                int64_t deadline)
{
    struct kn_link link;
    // subscribed first, so that nothing happens between a look and a wait unseen
    KN_TRY(kn_nl_subscribe(news, RTNLGRP_LINK));
    for (;;) {
        KN_TRY(kn_link_get(ask, name, &link));
        int64_t left = deadline - kn_mono();
        if (link.ready)
            return KN_STATUS_OK;
        if (left <= 0)
            return kn_error(KN_TIMEOUT, "the link %s is not ready", name);
        struct pollfd p = {.fd = news->fd, .events = POLLIN};
        (void)poll(&p, 1, (int)(left / KN_MILLI) + 1);
        KN_IGNORE(kn_nl_receive(news, ignore, NULL)); // lost news: the link is looked at anyway
    }
}

struct kn_status kn_link_wait(int netns, const char *name, int64_t deadline)
{
    struct kn_nl ask, news;
    KN_TRY(kn_nl_open(NETLINK_ROUTE, netns, &ask));
    struct kn_status s = kn_nl_open(NETLINK_ROUTE, netns, &news);
    if (kn_ok(s)) {
        s = wait_on(&ask, &news, name, deadline);
        kn_nl_close(&news);
    }
    kn_nl_close(&ask);
    return s;
}

struct kn_status kn_link_remove(struct kn_nl *nl, int index)
{
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    struct ifinfomsg i = {.ifi_index = index};
    kn_nl_begin(&m, RTM_DELLINK, 0, &i, sizeof i);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_send(nl, &m, "remove a link");
    kn_nl_msg_done(&m);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

struct best_route {
    int index;
    uint32_t metric;
};

static struct kn_status see_route(void *arg, uint16_t type, struct kn_sv payload)
{
    struct best_route *best = arg;
    struct rtmsg r;
    if (type != RTM_NEWROUTE || payload.len < sizeof r)
        return KN_STATUS_OK;
    memcpy(&r, payload.ptr, sizeof r);
    struct kn_sv attrs = kn_sv_from(payload, NLMSG_ALIGN(sizeof r));
    uint32_t metric = kn_nl_attr_u32(kn_nl_attr_get(attrs, RTA_PRIORITY));
    int index = (int)kn_nl_attr_u32(kn_nl_attr_get(attrs, RTA_OIF));
    struct kn_sv hops = kn_nl_attr_get(attrs, RTA_MULTIPATH);
    struct rtnexthop hop;
    if (!index && hops.len >= sizeof hop) {
        memcpy(&hop, hops.ptr, sizeof hop);
        index = hop.rtnh_ifindex;
    }
    if (r.rtm_dst_len == 0 && r.rtm_table == RT_TABLE_MAIN && r.rtm_type == RTN_UNICAST && index &&
        (!best->index || metric < best->metric))
        *best = (struct best_route){index, metric};
    return KN_STATUS_OK;
}

struct kn_status kn_link_default(struct kn_nl *nl, struct kn_link *ret)
{
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    struct rtmsg r = {.rtm_family = AF_INET};
    struct best_route best = {0};
    kn_nl_begin(&m, RTM_GETROUTE, NLM_F_DUMP, &r, sizeof r);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_dump(nl, &m, "list the routes", see_route, &best);
    kn_nl_msg_done(&m);
    KN_TRY(s);
    if (!best.index)
        return kn_error(KN_NOT_FOUND, "this machine has no default route");
    return kn_link_get_at(nl, best.index, ret);
}

// -- addresses -------------------------------------------------------------------------------

struct addr_search {
    int index;
    uint32_t ip;
    unsigned bits;
    bool found;
};

static struct kn_status see_addr(void *arg, uint16_t type, struct kn_sv payload)
{
    struct addr_search *want = arg;
    struct ifaddrmsg a;
    uint32_t ip;
    if (type != RTM_NEWADDR || payload.len < sizeof a)
        return KN_STATUS_OK;
    memcpy(&a, payload.ptr, sizeof a);
    struct kn_sv local = kn_nl_attr_get(kn_sv_from(payload, NLMSG_ALIGN(sizeof a)), IFA_LOCAL);
    if (want->found || (int)a.ifa_index != want->index || a.ifa_scope != RT_SCOPE_UNIVERSE ||
        local.len != sizeof ip)
        return KN_STATUS_OK;
    memcpy(&ip, local.ptr, sizeof ip);
    want->ip = be(ip);
    want->bits = a.ifa_prefixlen;
    want->found = true;
    return KN_STATUS_OK;
}

struct kn_status kn_addr_of(struct kn_nl *nl, int index, uint32_t *ret_ip, unsigned *ret_bits)
{
    struct kn_nl_msg m = KN_NL_MSG(MESSAGE_MAX);
    struct ifaddrmsg a = {.ifa_family = AF_INET};
    struct addr_search want = {.index = index};
    kn_nl_begin(&m, RTM_GETADDR, NLM_F_DUMP, &a, sizeof a);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_dump(nl, &m, "list the addresses", see_addr, &want);
    kn_nl_msg_done(&m);
    KN_TRY(s);
    if (!want.found)
        return kn_error(KN_NOT_FOUND, "link number %d has no IPv4 address", index);
    *ret_ip = want.ip;
    *ret_bits = want.bits;
    return KN_STATUS_OK;
}

void kn_rtnl_link_up(struct kn_nl_msg *m, int index)
{
    struct ifinfomsg i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    kn_nl_begin(m, RTM_NEWLINK, 0, &i, sizeof i);
    kn_nl_end(m);
}

void kn_rtnl_addr(struct kn_nl_msg *m, bool add, int index, uint32_t ip, unsigned bits,
                  uint8_t scope)
{
    struct ifaddrmsg a = {.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)bits, .ifa_scope = scope,
                          .ifa_index = (uint32_t)index};
    kn_nl_begin(m, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &a,
                sizeof a);
    kn_nl_put_be32(m, IFA_LOCAL, ip);
    kn_nl_put_be32(m, IFA_ADDRESS, ip);
    kn_nl_end(m);
}

void kn_rtnl_neighbour(struct kn_nl_msg *m, int index, uint32_t ip, const uint8_t mac[6])
{
    struct ndmsg n = {.ndm_family = AF_INET, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
    kn_nl_begin(m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &n, sizeof n);
    kn_nl_put_be32(m, NDA_DST, ip);
    kn_nl_put(m, NDA_LLADDR, mac, 6);
    kn_nl_end(m);
}

void kn_rtnl_route(struct kn_nl_msg *m, bool add, const struct kn_route *r)
{
    struct rtmsg h = {.rtm_family = AF_INET,
                      .rtm_dst_len = (uint8_t)r->bits,
                      .rtm_table = RT_TABLE_MAIN,
                      .rtm_protocol = KN_ROUTE_PROTOCOL,
                      .rtm_type = RTN_UNICAST,
                      .rtm_scope = r->gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK};
    kn_nl_begin(m, add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &h,
                sizeof h);
    if (r->bits)
        kn_nl_put_be32(m, RTA_DST, r->to);
    if (r->gateway)
        kn_nl_put_be32(m, RTA_GATEWAY, r->gateway);
    if (r->source)
        kn_nl_put_be32(m, RTA_PREFSRC, r->source);
    kn_nl_put_u32(m, RTA_OIF, (uint32_t)r->index);
    kn_nl_end(m);
}

// Collects requests to remove what a dump of routes shows to be ours.
static struct kn_status see_ours(void *arg, uint16_t type, struct kn_sv payload)
{
    struct kn_nl_msg *m = arg;
    struct rtmsg r;
    if (type != RTM_NEWROUTE || payload.len < sizeof r)
        return KN_STATUS_OK;
    memcpy(&r, payload.ptr, sizeof r);
    if (r.rtm_protocol != KN_ROUTE_PROTOCOL || r.rtm_table != RT_TABLE_MAIN)
        return KN_STATUS_OK;
    struct kn_sv attrs = kn_sv_from(payload, NLMSG_ALIGN(sizeof r));
    static const uint16_t keep[] = {RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PRIORITY};
    kn_nl_begin(m, RTM_DELROUTE, 0, &r, sizeof r);
    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++) {
        struct kn_sv data = kn_nl_attr_get(attrs, keep[i]);
        if (data.ptr)
            kn_nl_put(m, keep[i], data.ptr, data.len);
    }
    kn_nl_end(m);
    return KN_STATUS_OK;
}

struct kn_status kn_rtnl_routes_remove(struct kn_nl *nl)
{
    struct kn_nl_msg ask = KN_NL_MSG(MESSAGE_MAX), m = KN_NL_MSG(4u << 20);
    struct rtmsg r = {.rtm_family = AF_INET};
    kn_nl_begin(&ask, RTM_GETROUTE, NLM_F_DUMP, &r, sizeof r);
    kn_nl_end(&ask);
    struct kn_status s = kn_nl_dump(nl, &ask, "list the routes", see_ours, &m);
    if (kn_ok(s) && m.count)
        s = kn_nl_send(nl, &m, "remove our routes");
    kn_nl_msg_done(&ask);
    kn_nl_msg_done(&m);
    if (s.code == KN_NOT_FOUND) // one went with its link meanwhile
        kn_status_done(&s);
    return s;
}
