#include "network/conntrack.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "wire/netlink.h"

struct search {
    const struct kn_udp_places *gone, *fresh;
    KN_VEC(struct kn_buf) found; // original tuples, as the attributes that name them
};

static bool ends(struct kn_sv tuple, uint16_t ip_type, uint16_t port_type, struct kn_udp_place *ret)
{
    struct kn_sv ip = kn_nl_attr_get(kn_nl_attr_get(tuple, CTA_TUPLE_IP), ip_type);
    struct kn_sv proto = kn_nl_attr_get(tuple, CTA_TUPLE_PROTO);
    struct kn_sv number = kn_nl_attr_get(proto, CTA_PROTO_NUM),
                 port = kn_nl_attr_get(proto, port_type);
    if (ip.len != 4 || port.len != 2 || number.len != 1 || (uint8_t)number.ptr[0] != IPPROTO_UDP)
        return false;
    memcpy(&ret->ip, ip.ptr, 4);
    memcpy(&ret->port, port.ptr, 2);
    ret->ip = ntohl(ret->ip);
    ret->port = ntohs(ret->port);
    return true;
}

static bool same(struct kn_udp_place a, struct kn_udp_place b)
{
    return a.ip == b.ip && a.port == b.port;
}

static bool has(const struct kn_udp_places *list, struct kn_udp_place p)
{
    for (size_t i = 0; i < list->len; i++)
        if (same(list->ptr[i], p))
            return true;
    return false;
}

static struct kn_status see(void *arg, uint16_t type, struct kn_sv payload)
{
    struct search *w = arg;
    struct kn_sv attrs = kn_sv_from(payload, NLMSG_ALIGN(sizeof(struct nfgenmsg)));
    struct kn_sv orig = kn_nl_attr_get(attrs, CTA_TUPLE_ORIG),
                 reply = kn_nl_attr_get(attrs, CTA_TUPLE_REPLY);
    struct kn_udp_place to, from;
    if ((type & 0xff) != IPCTNL_MSG_CT_NEW || !ends(orig, CTA_IP_V4_DST, CTA_PROTO_DST_PORT, &to) ||
        !ends(reply, CTA_IP_V4_SRC, CTA_PROTO_SRC_PORT, &from))
        return KN_STATUS_OK;
    bool sent_there = !same(to, from) && has(w->gone, from);
    bool sent_nowhere = same(to, from) && has(w->fresh, to);
    if (sent_there || sent_nowhere) {
        struct kn_buf copy = KN_BUF(1024);
        kn_buf_add(&copy, orig);
        KN_VEC_PUSH(&w->found, copy);
    }
    return KN_STATUS_OK;
}

static struct kn_status forget_one(struct kn_nl *nl, struct kn_sv tuple)
{
    struct kn_nl_msg m = KN_NL_MSG(4096);
    struct nfgenmsg g = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};
    kn_nl_begin(&m, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &g, sizeof g);
    kn_nl_put(&m, CTA_TUPLE_ORIG | NLA_F_NESTED, tuple.ptr, tuple.len);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_send(nl, &m, "forget a connection");
    kn_nl_msg_done(&m);
    if (s.code == KN_NOT_FOUND) // it ended by itself
        kn_status_done(&s);
    return s;
}

struct kn_status kn_conntrack_forget(const struct kn_udp_places *gone,
                                     const struct kn_udp_places *fresh)
{
    struct kn_nl nl;
    struct search w = {gone, fresh, {0}};
    struct nfgenmsg g = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};
    if (!gone->len && !fresh->len)
        return KN_STATUS_OK;
    KN_TRY(kn_nl_open(NETLINK_NETFILTER, -1, &nl));
    struct kn_nl_msg m = KN_NL_MSG(4096);
    kn_nl_begin(&m, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &g, sizeof g);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_dump(&nl, &m, "list connections", see, &w);
    kn_nl_msg_done(&m);
    for (size_t i = 0; i < w.found.len; i++) {
        if (kn_ok(s))
            s = forget_one(&nl, kn_buf_sv(&w.found.ptr[i]));
        kn_buf_done(&w.found.ptr[i]);
    }
    KN_VEC_DONE(&w.found);
    kn_nl_close(&nl);
    return s;
}
