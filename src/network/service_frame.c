#include "network/service_frame.h"

#include "base/crypto.h"

#define FRAME_MAX (64u << 10)

// clang-format off
static const char maps[] =
    "  map vip { type ipv4_addr . inet_proto . inet_service : mark; }\n"
    "  map vip_ext { type ipv4_addr . inet_proto . inet_service : mark; }\n"
    "  map port { type inet_proto . inet_service : mark; }\n"
    "  map port_ext { type inet_proto . inet_service : mark; }\n"
    "  map balance { type mark : verdict; }\n"
    "  map ep { typeof meta mark . numgen random mod 2 : ip daddr . th dport; }\n"
    "  map ep_sticky { type mark . mark : ipv4_addr . inet_service; }\n"
    "  map pick { typeof meta mark . numgen random mod 2 : meta mark; }\n"
    "  map sticky { type ipv4_addr . mark : mark; flags dynamic,timeout; timeout 3h; "
    "size 65535; }\n"
    "  map hostport { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    "  map hostport_ip { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    "  set refused { type ipv4_addr . inet_proto . inet_service; }\n"
    "  set refused_port { type inet_proto . inet_service; }\n"
    "  set hairpin { type ipv4_addr . ipv4_addr; }\n"
    "  set guarded { type ipv4_addr . inet_proto . inet_service; }\n"
    "  set allowed { type ipv4_addr . inet_proto . inet_service . ipv4_addr; flags interval; }\n";

// %1$s: the pods' network, %2$s: the services'.
// A new connection is looked up by address or, where it is addressed to this machine, by port; its
// mark becomes the id of the service, and the id says how an endpoint is chosen. Callers from
// outside the pods' network are asked for in the _ext maps first: there is what
// externalTrafficPolicy Local changes for them.
static const char chains[] =
    "  chain refuse {\n"
    "    meta l4proto tcp reject with tcp reset\n" // ICMP is lost when it meets connect()
    "    reject\n"
    "  }\n"
    "  chain choose {\n"
    "    meta mark vmap @balance\n"
    "  }\n"
    "  chain lookup {\n"
    "    meta mark set ip daddr . meta l4proto . th dport map @vip goto choose\n"
    "    fib daddr type != local return\n"
    "    meta mark set meta l4proto . th dport map @port goto choose\n"
    "    meta l4proto { tcp, udp, sctp } dnat ip to ip daddr . meta l4proto . th dport "
    "map @hostport_ip\n"
    "    meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @hostport\n"
    "  }\n"
    "  chain lookup_ext {\n"
    "    meta mark set ip daddr . meta l4proto . th dport map @vip_ext goto choose\n"
    "    fib daddr type local meta mark set meta l4proto . th dport map @port_ext goto choose\n"
    "  }\n"
    "  chain pre {\n"
    "    type nat hook prerouting priority dstnat; policy accept;\n"
    "    ip saddr != %1$s jump lookup_ext\n"
    "    jump lookup\n"
    "  }\n"
    "  chain out {\n"
    "    type nat hook output priority -100; policy accept;\n"
    "    jump lookup\n"
    "  }\n"
    // route_localnet opens 127.0.0.0/8 to the network; this closes it again.
    "  chain guard {\n"
    "    type filter hook prerouting priority -110; policy accept;\n"
    "    iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n"
    "    ip daddr . meta l4proto . th dport @guarded "
    "ip daddr . meta l4proto . th dport . ip saddr != @allowed drop\n"
    "  }\n"
    // Who masquerades: a pod that reaches itself through a service; a caller of an external view
    // always, since the endpoint may lie on another machine and must answer through this one; a
    // caller of the cluster's view from outside the pods' network; a pod that speaks to the world.
    "  chain post_service {\n"
    "    meta mark and 0x00200000 != 0 ct mark set 0\n"
    "    oifname \"lo\" meta mark set 0 accept\n"
    "    ip saddr . ip daddr @hairpin meta mark set 0 masquerade fully-random\n"
    "    meta mark and 0x00c00000 == 0x00400000 meta mark set 0 masquerade fully-random\n"
    "    meta mark and 0x00c00000 == 0x00800000 meta mark set 0 accept\n"
    "    ip saddr != %1$s meta mark set 0 masquerade fully-random\n"
    "    meta mark set 0 accept\n"
    "  }\n"
    "  chain post {\n"
    "    type nat hook postrouting priority srcnat; policy accept;\n"
    "    meta mark and 0xff000000 == 0x6b000000 goto post_service\n"
    "    ct status dnat ip saddr 127.0.0.0/8 masquerade fully-random\n"
    "    ct status dnat ip saddr . ip daddr @hairpin masquerade fully-random\n"
    "    ip saddr %1$s ip daddr != %1$s oifname != \"lo\" masquerade fully-random\n"
    "  }\n"
    // What was not translated: services without endpoints, and addresses that are no service's.
    "  chain refuse_new {\n"
    "    ip daddr . meta l4proto . th dport @refused goto refuse\n"
    "    meta l4proto . th dport @refused_port fib daddr type local goto refuse\n"
    "    ip daddr %2$s fib daddr type != local goto refuse\n"
    "  }\n"
    "  chain input {\n"
    "    type filter hook input priority filter; policy accept;\n"
    "    ct state new jump refuse_new\n"
    "  }\n"
    "  chain forward {\n"
    "    type filter hook forward priority filter; policy accept;\n"
    "    ct state new jump refuse_new\n"
    "  }\n"
    "  chain output {\n"
    "    type filter hook output priority filter; policy accept;\n"
    "    ct state new jump refuse_new\n"
    "  }\n";
// clang-format on

static void add_body(struct kn_buf *out, struct kn_net4 pods, struct kn_net4 services)
{
    char ip[KN_IP4_TEXT], a[32], b[32];
    kn_ip4_format(pods.base, ip);
    snprintf(a, sizeof a, "%s/%u", ip, pods.bits);
    kn_ip4_format(services.base, ip);
    snprintf(b, sizeof b, "%s/%u", ip, services.bits);
    kn_buf_addc(out, maps);
    kn_buf_addf(out, chains, a, b);
}

void kn_service_frame_mark(struct kn_net4 pods, struct kn_net4 services,
                           char out[KN_NFT_CHAIN_TEXT])
{
    struct kn_buf body = KN_BUF(FRAME_MAX);
    uint8_t hash[KN_SHA256_LEN];
    add_body(&body, pods, services);
    kn_sha256(kn_buf_sv(&body), hash);
    kn_buf_done(&body);
    memcpy(out, "frame_", 6);
    kn_hex(hash, 8, out + 6);
}

void kn_service_frame(struct kn_buf *out, struct kn_net4 pods, struct kn_net4 services)
{
    char mark[KN_NFT_CHAIN_TEXT];
    kn_service_frame_mark(pods, services, mark);
    // the first line makes sure that there is something to delete
    kn_buf_addc(out, "table ip " KN_NFT_TABLE "\ndelete table ip " KN_NFT_TABLE
                     "\ntable ip " KN_NFT_TABLE " {\n");
    kn_buf_addf(out, "  chain %s {\n  }\n", mark);
    add_body(out, pods, services);
    kn_buf_addc(out, "}\n");
}
