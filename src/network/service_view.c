#include "network/service_view.h"

#include <netinet/in.h>

#include "network/ip4.h"
#include "network/lease.h"
#include "network/service_frame.h"
#include "network/slice.h"

#define DEFAULT_STICKY 10800 // seconds

struct place {
    uint32_t ip;
    uint16_t port;
};

struct places {
    struct place *ptr;
    size_t len, cap;
};

// The endpoints of one port of the service.
struct choice {
    struct places all, local;
};

struct address {
    uint32_t ip;
    bool external; // from outside the cluster: externalIPs, a load balancer's
    bool balancer;
};

struct work {
    const struct kn_service_input *in;
    struct kn_nft_elems *out;
    KN_VEC(struct address) addresses;
    bool sticky, local_inside, local_outside, guarded;
    uint32_t timeout;
};

// -- elements --------------------------------------------------------------------------------

struct kn_nft_elem kn_service_place(enum kn_nft_set set, uint32_t ip, uint8_t protocol,
                                    uint16_t port)
{
    struct kn_nft_elem e = {.set = (uint8_t)set};
    uint32_t be_ip = htonl(ip);
    uint16_t be_port = htons(port);
    size_t at = 0;
    if (set != KN_NFT_PORT && set != KN_NFT_PORT_EXT && set != KN_NFT_REFUSED_PORT &&
        set != KN_NFT_HOSTPORT) {
        memcpy(e.key, &be_ip, 4);
        at = 4;
    }
    e.key[at] = protocol;
    memcpy(e.key + at + 4, &be_port, 2);
    return e;
}

void kn_nft_elem_set_target(struct kn_nft_elem *e, uint32_t ip, uint16_t port)
{
    uint32_t be_ip = htonl(ip);
    uint16_t be_port = htons(port);
    memcpy(e->data, &be_ip, 4);
    memcpy(e->data + 4, &be_port, 2);
}

static void add(struct work *w, struct kn_nft_elem e)
{
    KN_VEC_PUSH(w->out, e);
}

static void add_pair(struct work *w, enum kn_nft_set set, uint32_t a, uint32_t b,
                     const struct place *target, uint32_t number)
{
    struct kn_nft_elem e = {.set = (uint8_t)set};
    memcpy(e.key, &a, 4);
    memcpy(e.key + 4, &b, 4);
    if (target)
        kn_nft_elem_set_target(&e, target->ip, target->port);
    else
        memcpy(e.data, &number, 4);
    add(w, e);
}

// A view of a port: how its endpoints are chosen, and these. No endpoints: dropped.
static void add_view(struct work *w, uint32_t id, const struct places *eps)
{
    struct kn_nft_elem e = {.set = KN_NFT_BALANCE};
    struct kn_nft_way way = {(uint32_t)eps->len, eps->len && w->sticky ? w->timeout : 0};
    memcpy(e.key, &id, 4);
    memcpy(e.data, &way, sizeof way);
    add(w, e);
    for (size_t i = 0; i < eps->len; i++) {
        if (!w->sticky) {
            add_pair(w, KN_NFT_EP, id, (uint32_t)i, &eps->ptr[i], 0);
            continue;
        }
        // an endpoint's number is its address: it stays the same when others come and go
        add_pair(w, KN_NFT_PICK, id, (uint32_t)i, NULL, eps->ptr[i].ip);
        add_pair(w, KN_NFT_EP_STICKY, id, eps->ptr[i].ip, &eps->ptr[i], 0);
    }
}

static void add_way_in(struct work *w, enum kn_nft_set set, uint32_t ip, uint8_t protocol,
                       uint16_t port, uint32_t id)
{
    struct kn_nft_elem e = kn_service_place(set, ip, protocol, port);
    memcpy(e.data, &id, 4);
    add(w, e);
}

// -- endpoints -------------------------------------------------------------------------------

static bool honest(uint32_t ip)
{
    unsigned first = ip >> 24;
    return first != 0 && first != 127 && first < 224 && ip >> 16 != 0xa9fe;
}

static uint8_t protocol_of(const struct kn_json *port)
{
    struct kn_sv p = kn_json_str(kn_json_get(port, KN_K_protocol));
    return kn_sv_is(p, "UDP") ? IPPROTO_UDP : kn_sv_is(p, "SCTP") ? IPPROTO_SCTP : IPPROTO_TCP;
}

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->ip != y->ip ? (x->ip < y->ip ? -1 : 1) : x->port < y->port ? -1 : x->port > y->port;
}

static void tidy(struct work *w, struct places *p)
{
    size_t n = 0;
    if (p->len)
        qsort(p->ptr, p->len, sizeof *p->ptr, by_place);
    for (size_t i = 0; i < p->len; i++) {
        bool known = n && (by_place(&p->ptr[n - 1], &p->ptr[i]) == 0 ||
                           (w->sticky && p->ptr[n - 1].ip == p->ptr[i].ip));
        if (!known)
            p->ptr[n++] = p->ptr[i];
    }
    p->len = n;
}

enum pass { READY, ENDING }; // ready ones; else those that still serve while they end

static bool takes_part(const struct kn_json *endpoint, enum pass pass)
{
    if (pass == READY)
        return kn_endpoint_ready(endpoint);
    const struct kn_json *c = kn_json_get(endpoint, KN_K_conditions);
    return kn_json_bool(kn_json_get(c, KN_K_serving), false) &&
           kn_json_bool(kn_json_get(c, KN_K_terminating), false);
}

static void add_endpoint(struct work *w, const struct kn_json *e, uint16_t port, enum pass pass,
                         struct choice *c)
{
    uint32_t ip;
    if (!takes_part(e, pass) ||
        !kn_ip4_parse(kn_json_str(kn_json_first(kn_json_get(e, KN_K_addresses))), &ip) ||
        !honest(ip))
        return;
    struct place p = {ip, port};
    KN_VEC_PUSH(&c->all, p);
    if (kn_sv_eq(kn_json_str(kn_json_get(e, KN_K_nodeName)), w->in->node))
        KN_VEC_PUSH(&c->local, p);
}

static void collect(struct work *w, const struct kn_json *port, enum pass pass, struct choice *c)
{
    struct kn_sv name = kn_json_str(kn_json_get(port, KN_K_name));
    const struct kn_json *p, *e;
    c->all.len = c->local.len = 0;
    for (size_t i = 0; i < w->in->slices_len; i++) {
        const struct kn_json *slice = w->in->slices[i]->root;
        if (!kn_sv_is(kn_json_str(kn_json_get(slice, KN_K_addressType)), "IPv4"))
            continue;
        KN_JSON_EACH(p, kn_json_get(slice, KN_K_ports)) {
            int64_t number = kn_json_int(kn_json_get(p, KN_K_port), 0);
            if (!kn_sv_eq(kn_json_str(kn_json_get(p, KN_K_name)), name) ||
                protocol_of(p) != protocol_of(port) || number < 1 || number > 65535)
                continue;
            KN_JSON_EACH(e, kn_json_get(slice, KN_K_endpoints))
                add_endpoint(w, e, (uint16_t)number, pass, c);
        }
    }
    tidy(w, &c->all);
    tidy(w, &c->local);
}

// Each of the two lists falls back by itself: a node whose last endpoint is ending still serves it.
static void choose(struct work *w, const struct kn_json *port, struct choice *c)
{
    struct choice ending = {0};
    collect(w, port, READY, c);
    if (c->all.len && c->local.len)
        return;
    collect(w, port, ENDING, &ending);
    if (!c->all.len) {
        struct places swap = c->all;
        c->all = ending.all;
        ending.all = swap;
    }
    if (!c->local.len) {
        struct places swap = c->local;
        c->local = ending.local;
        ending.local = swap;
    }
    KN_VEC_DONE(&ending.all);
    KN_VEC_DONE(&ending.local);
}

// -- one port --------------------------------------------------------------------------------

static void add_guard(struct work *w, uint32_t ip, uint8_t protocol, uint16_t port)
{
    const struct kn_json *r, *other;
    const struct kn_json *ranges =
        KN_JSON_AT(w->in->service->root, KN_K_spec, KN_K_loadBalancerSourceRanges);
    add(w, kn_service_place(KN_NFT_GUARDED, ip, protocol, port));
    KN_JSON_EACH(r, ranges) {
        struct kn_net4 net, wider;
        struct kn_status s = kn_net4_parse(kn_sv_trim(kn_json_str(r)), &net);
        bool good = kn_ok(s), covered = false;
        kn_status_done(&s);
        // ranges of one set must not overlap: of two networks one holds the other or they are apart
        KN_JSON_EACH(other, ranges) {
            s = kn_net4_parse(kn_sv_trim(kn_json_str(other)), &wider);
            covered = covered ||
                      (good && kn_ok(s) && wider.bits < net.bits && kn_net4_has(wider, net.base));
            kn_status_done(&s);
        }
        if (!good || covered)
            continue;
        struct kn_nft_elem e = kn_service_place(KN_NFT_ALLOWED, ip, protocol, port);
        uint32_t first = htonl(net.base), last = htonl(net.base | ~kn_net4_mask(net.bits));
        memcpy(e.key + 12, &first, 4);
        memcpy(e.data, &last, 4);
        add(w, e);
    }
}

struct ids {
    uint32_t cluster, external, local;
};

static struct ids number(struct work *w, const struct kn_json *port, uint8_t protocol,
                         uint16_t number_of_port)
{
    char key[128];
    int len = snprintf(key, sizeof key, "%u %.*s", protocol,
                       KN_SV_ARG(kn_json_str(kn_json_get(port, KN_K_name))));
    struct kn_nft_elem vip = {0};
    if (w->addresses.len)
        vip = kn_service_place(KN_NFT_VIP, w->addresses.ptr[0].ip, protocol, number_of_port);
    uint32_t n = w->in->number(
        w->in->ctx, kn_sv(key, (size_t)len < sizeof key ? (size_t)len : sizeof key - 1), &vip);
    return (struct ids){kn_service_id(KN_VIEW_CLUSTER, w->sticky, n),
                        kn_service_id(KN_VIEW_EXTERNAL, w->sticky, n),
                        kn_service_id(KN_VIEW_LOCAL, w->sticky, n)};
}

// The service's addresses. Inside callers of an external address with externalTrafficPolicy Local
// get every endpoint; outside callers get those of this node, or nothing.
static void add_addresses(struct work *w, uint8_t protocol, uint16_t port, bool any,
                          const struct ids *ids)
{
    for (size_t i = 0; i < w->addresses.len; i++) {
        const struct address *a = &w->addresses.ptr[i];
        if (!any && port == 53 && a->ip == w->in->answered)
            continue;
        if (!any) {
            add(w, kn_service_place(KN_NFT_REFUSED, a->ip, protocol, port));
            continue;
        }
        bool inside = !a->external || (w->local_outside && !w->local_inside);
        add_way_in(w, KN_NFT_VIP, a->ip, protocol, port, inside ? ids->cluster : ids->external);
        if (a->external && w->local_outside)
            add_way_in(w, KN_NFT_VIP_EXT, a->ip, protocol, port, ids->local);
        if (a->balancer && w->guarded)
            add_guard(w, a->ip, protocol, port);
    }
}

static void add_port(struct work *w, const struct kn_json *spec_port)
{
    int64_t port = kn_json_int(kn_json_get(spec_port, KN_K_port), 0);
    int64_t node_port = kn_json_int(kn_json_get(spec_port, KN_K_nodePort), 0);
    uint8_t protocol = protocol_of(spec_port);
    struct choice c = {0};
    if (port < 1 || port > 65535 || node_port < 0 || node_port > 65535)
        return;
    bool external = node_port != 0;
    for (size_t i = 0; i < w->addresses.len; i++)
        external = external || w->addresses.ptr[i].external;
    choose(w, spec_port, &c);
    struct ids ids = number(w, spec_port, protocol, (uint16_t)port);
    bool any = c.all.len != 0;
    if (any) {
        add_view(w, ids.cluster, w->local_inside ? &c.local : &c.all);
        if (external)
            add_view(w, ids.external, &c.all);
        if (external && w->local_outside)
            add_view(w, ids.local, &c.local);
    }
    add_addresses(w, protocol, (uint16_t)port, any, &ids);
    if (node_port && !any)
        add(w, kn_service_place(KN_NFT_REFUSED_PORT, 0, protocol, (uint16_t)node_port));
    if (node_port && any)
        add_way_in(w, KN_NFT_PORT, 0, protocol, (uint16_t)node_port, ids.external);
    if (node_port && any && w->local_outside)
        add_way_in(w, KN_NFT_PORT_EXT, 0, protocol, (uint16_t)node_port, ids.local);
    KN_VEC_DONE(&c.all);
    KN_VEC_DONE(&c.local);
}

// Each timeout is a chain, so there is a bound on how many there can be: they are rounded up, by a
// sixth at most.
static uint32_t round_timeout(int64_t seconds)
{
    if (seconds < 1 || seconds > 86400)
        return DEFAULT_STICKY;
    int64_t step = seconds <= 60 ? 1 : seconds <= 600 ? 10 : seconds <= 3600 ? 60 : 600;
    return (uint32_t)((seconds + step - 1) / step * step);
}

// -- the service -----------------------------------------------------------------------------

static void add_address(struct work *w, struct kn_sv text, bool external, bool balancer)
{
    struct address a = {.external = external, .balancer = balancer};
    if (!kn_ip4_parse(text, &a.ip) || !honest(a.ip))
        return;
    for (size_t i = 0; i < w->addresses.len; i++)
        if (w->addresses.ptr[i].ip == a.ip)
            return;
    KN_VEC_PUSH(&w->addresses, a);
}

static void collect_addresses(struct work *w, const struct kn_json *root)
{
    const struct kn_json *spec = kn_json_get(root, KN_K_spec), *each;
    add_address(w, kn_json_str(kn_json_get(spec, KN_K_clusterIP)), false, false);
    KN_JSON_EACH(each, kn_json_get(spec, KN_K_clusterIPs))
        add_address(w, kn_json_str(each), false, false);
    KN_JSON_EACH(each, kn_json_get(spec, KN_K_externalIPs))
        add_address(w, kn_json_str(each), true, false);
    KN_JSON_EACH(each, KN_JSON_AT(root, KN_K_status, KN_K_loadBalancer, KN_K_ingress))
        if (!kn_sv_is(kn_json_str(kn_json_get(each, KN_K_ipMode)), "Proxy"))
            add_address(w, kn_json_str(kn_json_get(each, KN_K_ip)), true, true);
}

static bool is_ours(const struct kn_obj *service)
{
    const struct kn_json *spec = kn_json_get(service->root, KN_K_spec);
    return !kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_type)), "ExternalName") &&
           !kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_clusterIP)), "None") &&
           kn_obj_label(service, KN_SV("service.kubernetes.io/service-proxy-name")).len == 0;
}

static void unique(struct kn_nft_elems *e)
{
    size_t n = 0;
    kn_nft_elems_sort(e);
    for (size_t i = 0; i < e->len; i++)
        if (!n || kn_nft_elem_cmp(&e->ptr[n - 1], &e->ptr[i]) != 0)
            e->ptr[n++] = e->ptr[i];
    e->len = n;
}

void kn_service_elems(const struct kn_service_input *in, struct kn_nft_elems *ret)
{
    const struct kn_json *spec = kn_json_get(in->service->root, KN_K_spec), *port;
    struct work w = {.in = in, .out = ret};
    if (!is_ours(in->service))
        return;
    collect_addresses(&w, in->service->root);
    w.sticky = kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_sessionAffinity)), "ClientIP");
    int64_t timeout = kn_json_int(
        KN_JSON_AT(spec, KN_K_sessionAffinityConfig, KN_K_clientIP, KN_K_timeoutSeconds),
        DEFAULT_STICKY);
    w.timeout = round_timeout(timeout);
    w.local_inside = kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_internalTrafficPolicy)), "Local");
    w.local_outside = kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_externalTrafficPolicy)), "Local");
    w.guarded = kn_json_len(kn_json_get(spec, KN_K_loadBalancerSourceRanges)) > 0;
    KN_JSON_EACH(port, kn_json_get(spec, KN_K_ports))
        add_port(&w, port);
    unique(ret);
    KN_VEC_DONE(&w.addresses);
}

// -- UDP -------------------------------------------------------------------------------------

static struct kn_udp_place place_at(const uint8_t *ip, const uint8_t *port)
{
    struct kn_udp_place p;
    memcpy(&p.ip, ip, 4);
    memcpy(&p.port, port, 2);
    return (struct kn_udp_place){ntohl(p.ip), ntohs(p.port)};
}

static bool sends_udp(const struct kn_nft_elems *elems, const uint8_t id[4])
{
    for (size_t i = 0; i < elems->len; i++) {
        const struct kn_nft_elem *e = &elems->ptr[i];
        bool by_address = e->set == KN_NFT_VIP || e->set == KN_NFT_VIP_EXT;
        bool by_port = e->set == KN_NFT_PORT || e->set == KN_NFT_PORT_EXT;
        if ((by_address || by_port) && e->key[by_address ? 4 : 0] == IPPROTO_UDP &&
            memcmp(e->data, id, 4) == 0)
            return true;
    }
    return false;
}

void kn_service_udp(const struct kn_nft_elems *elems, struct kn_udp_places *endpoints,
                    struct kn_udp_places *vips)
{
    const uint8_t *last = NULL; // the id that was asked about last
    bool udp = false;
    for (size_t i = 0; i < elems->len; i++) {
        const struct kn_nft_elem *e = &elems->ptr[i];
        if (e->set == KN_NFT_EP || e->set == KN_NFT_EP_STICKY) {
            if (!last || memcmp(last, e->key, 4) != 0)
                udp = sends_udp(elems, e->key);
            last = e->key;
            if (udp)
                KN_VEC_PUSH(endpoints, place_at(e->data, e->data + 4));
        } else if ((e->set == KN_NFT_HOSTPORT && e->key[0] == IPPROTO_UDP) ||
                   (e->set == KN_NFT_HOSTPORT_IP && e->key[4] == IPPROTO_UDP)) {
            KN_VEC_PUSH(endpoints, place_at(e->data, e->data + 4));
        } else if (e->set == KN_NFT_VIP && e->key[4] == IPPROTO_UDP) {
            KN_VEC_PUSH(vips, place_at(e->key, e->key + 8));
        }
    }
}

// -- pods ------------------------------------------------------------------------------------

void kn_pod_elems(const struct kn_lease *lease, struct kn_nft_elems *ret)
{
    struct kn_nft_elem self = {.set = KN_NFT_HAIRPIN};
    uint32_t ip = htonl(lease->ip);
    memcpy(self.key, &ip, 4);
    memcpy(self.key + 4, &ip, 4);
    KN_VEC_PUSH(ret, self);
    for (size_t i = 0; i < lease->ports_len; i++) {
        const struct kn_host_port *p = &lease->ports[i];
        struct kn_nft_elem e = kn_service_place(p->host_ip ? KN_NFT_HOSTPORT_IP : KN_NFT_HOSTPORT,
                                                p->host_ip, p->protocol, p->host_port);
        kn_nft_elem_set_target(&e, lease->ip, p->pod_port);
        KN_VEC_PUSH(ret, e);
    }
    unique(ret);
}
