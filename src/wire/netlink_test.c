#include "wire/netlink.h"

#include <linux/rtnetlink.h>

#include "lib/ktest.h"

KTEST(attributes_nest_and_come_back)
{
    struct kn_nl_msg m = KN_NL_MSG(4096);
    struct rtgenmsg g = {0};
    kn_nl_begin(&m, RTM_GETLINK, 0, &g, sizeof g);
    size_t nest = kn_nl_nest(&m, 7);
    kn_nl_put_u32(&m, 1, 42);
    kn_nl_put_str(&m, 2, KN_SV("eth0"));
    kn_nl_nest_end(&m, nest);
    kn_nl_put_be16(&m, 8, 0x0102);
    kn_nl_end(&m);
    struct kn_sv attrs = kn_sv_from(kn_buf_sv(&m.buf), NLMSG_HDRLEN + NLMSG_ALIGN(sizeof g));
    struct kn_sv inner = kn_nl_attr_get(attrs, 7);
    ktest_eq_int(kn_nl_attr_u32(kn_nl_attr_get(inner, 1)), 42);
    ktest_eq_sv(kn_nl_attr_str(kn_nl_attr_get(inner, 2)), "eth0");
    ktest_true(kn_sv_eq(kn_nl_attr_get(attrs, 8), KN_SV("\x01\x02")));
    ktest_true(kn_nl_attr_get(attrs, 9).ptr == NULL);
    kn_nl_msg_done(&m);
}

KTEST(what_does_not_fit_is_refused_when_it_is_sent)
{
    struct kn_nl nl = {-1};
    ktest_ok(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    struct kn_nl_msg m = KN_NL_MSG(64);
    struct ifinfomsg i = {0};
    kn_nl_begin(&m, RTM_GETLINK, 0, &i, sizeof i);
    char big[128] = {0};
    kn_nl_put(&m, 1, big, sizeof big);
    kn_nl_end(&m);
    ktest_fails(kn_nl_send(&nl, &m, "list links"), TOO_LARGE, "list links");
    kn_nl_msg_done(&m);
    kn_nl_close(&nl);
}

static struct kn_status see(void *arg, uint16_t type, struct kn_sv payload)
{
    if (type != RTM_NEWLINK)
        return kn_error(KN_INTERNAL, "type %u", type);
    struct kn_sv attrs = kn_sv_from(payload, NLMSG_ALIGN(sizeof(struct ifinfomsg)));
    if (kn_sv_is(kn_nl_attr_str(kn_nl_attr_get(attrs, IFLA_IFNAME)), "lo"))
        *(bool *)arg = true;
    return KN_STATUS_OK;
}

KTEST(a_dump_of_links_has_the_loopback_and_a_missing_link_is_not_found)
{
    struct kn_nl nl = {-1};
    ktest_ok(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    struct kn_nl_msg m = KN_NL_MSG(4096);
    struct ifinfomsg i = {0};
    bool lo = false;
    kn_nl_begin(&m, RTM_GETLINK, NLM_F_DUMP, &i, sizeof i);
    kn_nl_end(&m);
    ktest_ok(kn_nl_dump(&nl, &m, "list links", see, &lo));
    ktest_true(lo);
    kn_nl_msg_done(&m);
    kn_nl_begin(&m, RTM_GETLINK, 0, &i, sizeof i);
    kn_nl_put_str(&m, IFLA_IFNAME, KN_SV("no-such-link0"));
    kn_nl_end(&m);
    ktest_fails(kn_nl_dump(&nl, &m, "get a link", see, &lo), NOT_FOUND, "get a link: message 0");
    kn_nl_msg_done(&m);
    kn_nl_close(&nl);
}

KTEST_MAIN(KTEST_CASE(attributes_nest_and_come_back),
           KTEST_CASE(what_does_not_fit_is_refused_when_it_is_sent),
           KTEST_CASE(a_dump_of_links_has_the_loopback_and_a_missing_link_is_not_found))
