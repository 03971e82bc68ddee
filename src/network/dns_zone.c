#include "network/dns_zone.h"

#include <arpa/inet.h>

#include "base/vec.h"
#include "network/slice.h"

#define ALIASES_MAX 8
#define MANY 4096 // endpoints of one name that are looked at

struct work {
    struct kn_dns_zone *z;
    struct kn_dns_writer *w;
    uint16_t type;
};

// What was found about a name.
enum found { NOTHING, NAME, RECORDS }; // no such name; no record of this type; some

// -- indexes ---------------------------------------------------------------------------------

static void service_ips(const struct kn_obj *o, kn_index_emit *emit, void *ctx)
{
    const struct kn_json *spec = kn_json_get(o->root, KN_K_spec), *ip;
    struct kn_sv first = kn_json_str(kn_json_get(spec, KN_K_clusterIP));
    emit(ctx, first);
    KN_JSON_EACH(ip, kn_json_get(spec, KN_K_clusterIPs))
        if (!kn_sv_eq(kn_json_str(ip), first))
            emit(ctx, kn_json_str(ip));
}

static void slice_ips(const struct kn_obj *o, kn_index_emit *emit, void *ctx)
{
    const struct kn_json *e, *ip;
    KN_JSON_EACH(e, kn_json_get(o->root, KN_K_endpoints))
        KN_JSON_EACH(ip, kn_json_get(e, KN_K_addresses))
            emit(ctx, kn_json_str(ip));
}

static void pod_ips(const struct kn_obj *o, kn_index_emit *emit, void *ctx)
{
    struct kn_sv ip = KN_JSON_STR_AT(o->root, KN_K_status, KN_K_podIP);
    if (ip.len)
        emit(ctx, ip);
}

void kn_dns_zone_init(struct kn_dns_zone *z)
{
    z->service_by_ip = kn_cache_add_index(z->service_cache, service_ips);
    z->slice_by_service = kn_cache_add_index(z->slice_cache, kn_slice_by_service);
    z->slice_by_ip = kn_cache_add_index(z->slice_cache, slice_ips);
    if (z->pod_cache)
        z->pod_by_ip = kn_cache_add_index(z->pod_cache, pod_ips);
}

// -- records ---------------------------------------------------------------------------------

static bool asks_for(const struct work *k, uint16_t type)
{
    // RFC 8482: ANY is answered with a part
    return k->type == type || (k->type == KN_DNS_ANY && type == KN_DNS_A);
}

static bool put_address(struct work *k, unsigned section, struct kn_sv name, struct kn_sv ip)
{
    char text[64];
    uint8_t bytes[16];
    bool six = kn_sv_find(ip, ':') >= 0;
    uint16_t type = six ? KN_DNS_AAAA : KN_DNS_A;
    snprintf(text, sizeof text, "%.*s", KN_SV_ARG(ip));
    if ((section == 1 && !asks_for(k, type)) ||
        inet_pton(six ? AF_INET6 : AF_INET, text, bytes) != 1)
        return false;
    kn_dns_put(k->w, section, name, type, KN_DNS_TTL, kn_sv((const char *)bytes, six ? 16 : 4));
    return true;
}

static void put_soa(struct work *k, unsigned section)
{
    char server[KN_DNS_TEXT], mail[KN_DNS_TEXT];
    snprintf(server, sizeof server, "ns.dns.%.*s", KN_SV_ARG(k->z->domain));
    snprintf(mail, sizeof mail, "hostmaster.%.*s", KN_SV_ARG(k->z->domain));
    int64_t serial = kn_cache_rev(k->z->service_cache) + kn_cache_rev(k->z->slice_cache);
    kn_dns_put_soa(k->w, section, k->z->domain, KN_DNS_TTL,
                   &(struct kn_dns_soa){kn_sv_c(server), kn_sv_c(mail), (uint32_t)serial, 7200,
                                        1800, 86400, KN_DNS_TTL});
}

// -- services --------------------------------------------------------------------------------

static bool is_headless(const struct kn_obj *service)
{
    return kn_sv_is(KN_JSON_STR_AT(service->root, KN_K_spec, KN_K_clusterIP), "None");
}

static void service_name(const struct kn_dns_zone *z, const struct kn_obj *service,
                         char out[KN_DNS_TEXT])
{
    snprintf(out, KN_DNS_TEXT, "%.*s.%.*s.svc.%.*s", KN_SV_ARG(service->name),
             KN_SV_ARG(service->ns), KN_SV_ARG(z->domain));
}

// Its host name, or its address with dashes.
static void endpoint_label(const struct kn_json *e, struct kn_sv ip, char out[256])
{
    struct kn_sv host = kn_json_str(kn_json_get(e, KN_K_hostname));
    snprintf(out, 256, "%.*s", KN_SV_ARG(host.len ? host : ip));
    for (char *p = out; !host.len && *p; p++)
        if (*p == '.' || *p == ':')
            *p = '-';
}

struct endpoint {
    struct kn_sv ip;
    const struct kn_json *json, *slice;
};

struct endpoints {
    struct kn_slices slices; // keep the views alive
    KN_VEC(struct endpoint) list;
};

// Ready endpoints of a service, an address once.
static void find_endpoints(struct work *k, const struct kn_obj *service, struct endpoints *ret)
{
    memset(ret, 0, sizeof *ret);
    kn_slices_of(k->z->slice_cache, k->z->slice_by_service, service->ns, service->name,
                 &ret->slices);
    for (size_t i = 0; i < ret->slices.len; i++) {
        const struct kn_json *root = ret->slices.ptr[i]->root, *e;
        KN_JSON_EACH(e, kn_json_get(root, KN_K_endpoints)) {
            struct kn_sv ip = kn_json_str(kn_json_first(kn_json_get(e, KN_K_addresses)));
            if (kn_endpoint_ready(e) && ip.len && ret->list.len < MANY)
                KN_VEC_PUSH(&ret->list, (struct endpoint){ip, e, root});
        }
    }
}

static void endpoints_done(struct endpoints *e)
{
    kn_slices_done(&e->slices);
    KN_VEC_DONE(&e->list);
}

static bool seen_before(const struct endpoints *e, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (kn_sv_eq(e->list.ptr[k].ip, e->list.ptr[i].ip))
            return true;
    return false;
}

// The addresses of a headless service, or of those of its endpoints that have this label.
static enum found headless(struct work *k, const struct kn_obj *service, struct kn_sv name,
                           struct kn_sv label)
{
    struct endpoints all;
    enum found found = label.ptr ? NOTHING : NAME;
    find_endpoints(k, service, &all);
    size_t n = all.list.len, first = n ? k->z->turn++ % n : 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = (first + i) % n;
        char own[256];
        endpoint_label(all.list.ptr[at].json, all.list.ptr[at].ip, own);
        if ((label.ptr && !kn_sv_is(label, own)) || (n <= 256 && seen_before(&all, at)))
            continue;
        if (found == NOTHING)
            found = NAME;
        if (put_address(k, 1, name, all.list.ptr[at].ip))
            found = RECORDS;
    }
    endpoints_done(&all);
    return found;
}

static bool matches_port(const struct kn_json *port, struct kn_sv name, struct kn_sv protocol)
{
    struct kn_sv p = kn_json_str(kn_json_get(port, KN_K_protocol));
    return (!name.ptr || kn_sv_ieq(kn_json_str(kn_json_get(port, KN_K_name)), name)) &&
           (!protocol.ptr || kn_sv_ieq(p.len ? p : KN_SV("TCP"), protocol));
}

static enum found srv_headless(struct work *k, const struct kn_obj *service, struct kn_sv name,
                               struct kn_sv port_name, struct kn_sv protocol)
{
    struct endpoints all;
    enum found found = NOTHING;
    find_endpoints(k, service, &all);
    for (size_t i = 0; i < all.list.len; i++) {
        const struct endpoint *e = &all.list.ptr[i];
        char label[256], target[KN_DNS_TEXT], base[KN_DNS_TEXT];
        const struct kn_json *p;
        endpoint_label(e->json, e->ip, label);
        service_name(k->z, service, base);
        snprintf(target, sizeof target, "%s.%.700s", label, base);
        KN_JSON_EACH(p, kn_json_get(e->slice, KN_K_ports)) {
            if (!matches_port(p, port_name, protocol))
                continue;
            found = found == NOTHING ? NAME : found;
            if (k->type != KN_DNS_SRV)
                continue;
            found = RECORDS;
            kn_dns_put_srv(k->w, 1, name, KN_DNS_TTL, 0, 100,
                           (uint16_t)kn_json_int(kn_json_get(p, KN_K_port), 0), kn_sv_c(target));
        }
    }
    for (size_t i = 0; found == RECORDS && i < all.list.len; i++) {
        char label[256], target[KN_DNS_TEXT], base[KN_DNS_TEXT];
        endpoint_label(all.list.ptr[i].json, all.list.ptr[i].ip, label);
        service_name(k->z, service, base);
        snprintf(target, sizeof target, "%s.%.700s", label, base);
        put_address(k, 3, kn_sv_c(target), all.list.ptr[i].ip);
    }
    endpoints_done(&all);
    return found;
}

// port_name and protocol: ptr NULL means any.
static enum found srv(struct work *k, const struct kn_obj *service, struct kn_sv name,
                      struct kn_sv port_name, struct kn_sv protocol)
{
    const struct kn_json *spec = kn_json_get(service->root, KN_K_spec), *p;
    char target[KN_DNS_TEXT];
    enum found found = NOTHING;
    if (is_headless(service))
        return srv_headless(k, service, name, port_name, protocol);
    service_name(k->z, service, target);
    KN_JSON_EACH(p, kn_json_get(spec, KN_K_ports)) {
        if (!matches_port(p, port_name, protocol))
            continue;
        found = found == NOTHING ? NAME : found;
        if (k->type != KN_DNS_SRV)
            continue;
        found = RECORDS;
        kn_dns_put_srv(k->w, 1, name, KN_DNS_TTL, 0, 100,
                       (uint16_t)kn_json_int(kn_json_get(p, KN_K_port), 0), kn_sv_c(target));
    }
    if (found == RECORDS)
        put_address(k, 3, kn_sv_c(target), kn_json_str(kn_json_get(spec, KN_K_clusterIP)));
    return found;
}

static bool has_protocol(const struct kn_obj *service, struct kn_sv protocol)
{
    const struct kn_json *p;
    KN_JSON_EACH(p, KN_JSON_AT(service->root, KN_K_spec, KN_K_ports))
        if (matches_port(p, KN_SV_NULL, protocol))
            return true;
    return false;
}

static enum found cluster_ips(struct work *k, const struct kn_obj *service, struct kn_sv name)
{
    const struct kn_json *spec = kn_json_get(service->root, KN_K_spec), *ip;
    struct kn_sv first = kn_json_str(kn_json_get(spec, KN_K_clusterIP));
    enum found found = put_address(k, 1, name, first) ? RECORDS : NAME;
    KN_JSON_EACH(ip, kn_json_get(spec, KN_K_clusterIPs))
        if (!kn_sv_eq(kn_json_str(ip), first) && put_address(k, 1, name, kn_json_str(ip)))
            found = RECORDS;
    return found;
}

static bool note(void *arg, const struct kn_obj *o)
{
    (void)o;
    *(bool *)arg = true;
    return false;
}

static enum found namespace(struct work *k, struct kn_sv ns)
{
    bool any = false;
    kn_cache_list(k->z->service_cache, ns, KN_SV_NULL, KN_SV_NULL, note, &any);
    return any ? NAME : NOTHING;
}

// The labels before "svc": labels[0] is the leftmost.
static enum found in_services(struct work *k, const struct kn_sv *labels, size_t len,
                              struct kn_sv name, char alias[KN_DNS_TEXT])
{
    if (len == 0)
        return NAME;
    if (len == 1)
        return namespace(k, labels[0]);
    if (len > 4)
        return NOTHING;
    const struct kn_obj *service =
        kn_cache_get(k->z->service_cache, labels[len - 1], labels[len - 2]);
    enum found found = NOTHING;
    if (!service)
        return NOTHING;
    const struct kn_json *spec = kn_json_get(service->root, KN_K_spec);
    struct kn_sv external = kn_json_str(kn_json_get(spec, KN_K_externalName));
    bool is_alias = kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_type)), "ExternalName");
    if (is_alias && len == 2 && external.len && external.len < KN_DNS_TEXT) {
        found = RECORDS;
        snprintf(alias, KN_DNS_TEXT, "%.*s", KN_SV_ARG(external));
    } else if (is_alias) {
        found = len == 2 ? NAME : NOTHING;
    } else if (len == 2 && k->type == KN_DNS_SRV) {
        found = srv(k, service, name, KN_SV_NULL, KN_SV_NULL);
        found = found == NOTHING ? NAME : found;
    } else if (len == 2) {
        found = is_headless(service) ? headless(k, service, name, KN_SV_NULL)
                                     : cluster_ips(k, service, name);
    } else if (len == 3 && labels[0].ptr[0] == '_') {
        found = has_protocol(service, kn_sv_from(labels[0], 1)) ? NAME : NOTHING;
    } else if (len == 3) {
        found = is_headless(service) ? headless(k, service, name, labels[0]) : NOTHING;
    } else if (labels[0].ptr[0] == '_' && labels[1].ptr[0] == '_') {
        found = srv(k, service, name, kn_sv_from(labels[0], 1), kn_sv_from(labels[1], 1));
    }
    kn_obj_unref(service);
    return found;
}

// -- pods ------------------------------------------------------------------------------------

struct pod_search {
    struct kn_sv ns;
    bool found;
};

static bool is_in_namespace(void *arg, const struct kn_obj *pod)
{
    struct pod_search *w = arg;
    w->found = w->found || kn_sv_eq(pod->ns, w->ns);
    return !w->found;
}

static enum found in_pods(struct work *k, const struct kn_sv *labels, size_t len, struct kn_sv name)
{
    char ip[KN_IP4_TEXT + 1];
    uint32_t number;
    if (len == 0)
        return NAME;
    if (len == 1)
        return namespace(k, labels[0]);
    if (len > 2 || labels[0].len >= sizeof ip)
        return NOTHING;
    snprintf(ip, sizeof ip, "%.*s", KN_SV_ARG(labels[0]));
    for (char *p = ip; *p; p++)
        if (*p == '-')
            *p = '.';
    if (!kn_ip4_parse(kn_sv_c(ip), &number))
        return NOTHING;
    struct pod_search search = {labels[1], !k->z->pod_cache};
    if (k->z->pod_cache)
        kn_cache_by_index(k->z->pod_cache, k->z->pod_by_ip, kn_sv_c(ip), is_in_namespace, &search);
    if (!search.found)
        return NOTHING;
    return put_address(k, 1, name, kn_sv_c(ip)) ? RECORDS : NAME;
}

// -- reverse ---------------------------------------------------------------------------------

struct reverse {
    struct work *k;
    struct kn_sv name, ip;
    bool found;
};

static bool reverse_service(void *arg, const struct kn_obj *service)
{
    struct reverse *r = arg;
    char target[KN_DNS_TEXT];
    service_name(r->k->z, service, target);
    if (r->k->type == KN_DNS_PTR || r->k->type == KN_DNS_ANY)
        kn_dns_put_name(r->k->w, 1, r->name, KN_DNS_PTR, KN_DNS_TTL, kn_sv_c(target));
    r->found = true;
    return true;
}

struct slice_search {
    struct kn_slices list;
};

static bool keep_slice(void *arg, const struct kn_obj *slice)
{
    struct slice_search *w = arg;
    KN_VEC_PUSH(&w->list, kn_obj_ref(slice));
    return true;
}

static void reverse_slice(struct reverse *r, const struct kn_obj *slice)
{
    const struct kn_obj *service =
        kn_cache_get(r->k->z->service_cache, slice->ns, kn_slice_service(slice));
    const struct kn_json *e;
    KN_JSON_EACH (e, service && is_headless(service) ? kn_json_get(slice->root, KN_K_endpoints)
                                                     : NULL) {
        char label[256], base[KN_DNS_TEXT], target[KN_DNS_TEXT];
        if (!kn_sv_eq(kn_json_str(kn_json_first(kn_json_get(e, KN_K_addresses))), r->ip))
            continue;
        endpoint_label(e, r->ip, label);
        service_name(r->k->z, service, base);
        snprintf(target, sizeof target, "%s.%.700s", label, base);
        if (r->k->type == KN_DNS_PTR || r->k->type == KN_DNS_ANY)
            kn_dns_put_name(r->k->w, 1, r->name, KN_DNS_PTR, KN_DNS_TTL, kn_sv_c(target));
        r->found = true;
    }
    kn_obj_unref(service);
}

// "4.3.2.1.in-addr.arpa". False if it is no name of this kind, or none that we know anything of.
static bool reverse(struct work *k, struct kn_sv name, enum found *ret)
{
    uint32_t reversed;
    char ip[KN_IP4_TEXT];
    struct slice_search slices = {{0}};
    if (!kn_sv_ends(name, KN_SV(".in-addr.arpa")) ||
        !kn_ip4_parse(kn_sv_first(name, name.len - strlen(".in-addr.arpa")), &reversed))
        return false;
    uint32_t address = __builtin_bswap32(reversed);
    kn_ip4_format(address, ip);
    struct reverse r = {k, name, kn_sv_c(ip), false};
    kn_cache_by_index(k->z->service_cache, k->z->service_by_ip, r.ip, reverse_service, &r);
    kn_cache_by_index(k->z->slice_cache, k->z->slice_by_ip, r.ip, keep_slice, &slices);
    for (size_t i = 0; i < slices.list.len; i++)
        reverse_slice(&r, slices.list.ptr[i]);
    kn_slices_done(&slices.list);
    bool ours = (k->z->pods.bits && kn_net4_has(k->z->pods, address)) ||
                (k->z->services.bits && kn_net4_has(k->z->services, address));
    *ret = k->w->counts[1] ? RECORDS : r.found ? NAME : NOTHING;
    return r.found || ours;
}

// -- the zone --------------------------------------------------------------------------------

static enum found apex(struct work *k, struct kn_sv name)
{
    char server[KN_DNS_TEXT];
    if (k->type == KN_DNS_SOA) {
        put_soa(k, 1);
        return RECORDS;
    }
    if (k->type != KN_DNS_NS)
        return NAME;
    snprintf(server, sizeof server, "ns.dns.%.*s", KN_SV_ARG(k->z->domain));
    kn_dns_put_name(k->w, 1, name, KN_DNS_NS, KN_DNS_TTL, kn_sv_c(server));
    return RECORDS;
}

static enum found own_server(struct work *k, struct kn_sv name)
{
    char ip[KN_IP4_TEXT];
    kn_ip4_format(k->z->address, ip);
    return put_address(k, 1, name, kn_sv_c(ip)) ? RECORDS : NAME;
}

// name ends with the domain. alias: set if it is one, else left empty.
static enum found in_zone(struct work *k, struct kn_sv name, char alias[KN_DNS_TEXT])
{
    struct kn_sv labels[8], rest = kn_sv_first(name, name.len - k->z->domain.len);
    size_t len = 0;
    if (rest.len == 0)
        return apex(k, name);
    rest.len--; // the dot
    for (;;) {
        if (len == KN_ARRAY_LEN(labels))
            return NOTHING;
        labels[len++] = kn_sv_cut(&rest, '.');
        if (!labels[len - 1].len)
            return NOTHING;
        if (!rest.ptr)
            break;
    }
    struct kn_sv last = labels[len - 1];
    if (kn_sv_is(last, "svc"))
        return in_services(k, labels, len - 1, name, alias);
    if (kn_sv_is(last, "pod"))
        return in_pods(k, labels, len - 1, name);
    if (kn_sv_is(last, "dns"))
        return len == 1                                ? NAME
               : len == 2 && kn_sv_is(labels[0], "ns") ? own_server(k, name)
                                                       : NOTHING;
    if (len == 1 && kn_sv_is(last, "dns-version")) {
        if (k->type != KN_DNS_TXT)
            return NAME;
        kn_dns_put(k->w, 1, name, KN_DNS_TXT, KN_DNS_TTL, KN_SV("1.1.0"));
        return RECORDS;
    }
    return NOTHING;
}

static bool is_in_zone(const struct kn_dns_zone *z, struct kn_sv name)
{
    return kn_sv_eq(name, z->domain) ||
           (kn_sv_ends(name, z->domain) && name.ptr[name.len - z->domain.len - 1] == '.');
}

static enum kn_dns_outcome finish(struct work *k, enum found found)
{
    if (found != RECORDS)
        put_soa(k, 2);
    kn_dns_end(k->w, found == NOTHING ? KN_DNS_NXDOMAIN : KN_DNS_NOERROR, KN_DNS_AA | KN_DNS_RA);
    return KN_DNS_ANSWERED;
}

enum kn_dns_outcome kn_dns_zone_answer(struct kn_dns_zone *z, struct kn_dns_writer *w,
                                       char ret_target[KN_DNS_TEXT])
{
    struct work k = {z, w, w->query->type};
    char name[KN_DNS_TEXT];
    enum found found;
    snprintf(name, sizeof name, "%s", w->query->name);
    for (unsigned i = 0; i < ALIASES_MAX; i++) {
        struct kn_sv view = kn_sv_c(name);
        ret_target[0] = '\0';
        if (!is_in_zone(z, view)) {
            if (i)
                break;
            return reverse(&k, view, &found) ? finish(&k, found) : KN_DNS_ELSEWHERE;
        }
        found = in_zone(&k, view, ret_target);
        if (!ret_target[0])
            return finish(&k, i ? RECORDS : found);
        kn_dns_put_name(w, 1, view, KN_DNS_CNAME, KN_DNS_TTL, kn_sv_c(ret_target));
        if (k.type == KN_DNS_CNAME)
            return finish(&k, RECORDS);
        size_t len = strlen(ret_target);
        if (len && ret_target[len - 1] == '.')
            ret_target[len - 1] = '\0';
        snprintf(name, sizeof name, "%s", ret_target);
    }
    snprintf(ret_target, KN_DNS_TEXT, "%s", name);
    return KN_DNS_CHASE;
}
