// Services, and the addresses and ports of Endpoints and EndpointSlices.
#include "meta/validate_impl.h"

#include <arpa/inet.h>

static const char *const protocols[] = {"SCTP", "TCP", "UDP", NULL};

// -- addresses --------------------------------------------------------------------------------

static bool parse_v4(struct kn_sv text, uint32_t *ret)
{
    struct in_addr v4;
    char copy[INET_ADDRSTRLEN];
    snprintf(copy, sizeof copy, "%.*s", KN_SV_ARG(text));
    bool ok = inet_pton(AF_INET, copy, &v4) == 1;
    *ret = ok ? ntohl(v4.s_addr) : 0;
    return ok;
}

// Addresses that no endpoint can have, although they are addresses.
static void check_endpoint_ip(struct kn_problems *p, const struct kn_path *path, struct kn_sv text)
{
    struct in6_addr v6 = {0};
    uint32_t v4;
    char copy[INET6_ADDRSTRLEN];
    snprintf(copy, sizeof copy, "%.*s", KN_SV_ARG(text));
    bool is4 = parse_v4(text, &v4);
    if (!is4 && inet_pton(AF_INET6, copy, &v6) != 1) {
        kn_check_invalid_text(p, path, text, "must be a valid IP address");
        return;
    }
    if (is4 ? v4 == 0 : IN6_IS_ADDR_UNSPECIFIED(&v6))
        kn_check_invalid_text(p, path, text, "may not be unspecified (%.*s)", KN_SV_ARG(text));
    if (is4 ? v4 >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&v6))
        kn_check_invalid_text(p, path, text,
                              "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    if (is4 ? v4 >> 16 == 0xa9fe : IN6_IS_ADDR_LINKLOCAL(&v6))
        kn_check_invalid_text(p, path, text,
                              "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    if (is4 ? v4 >> 8 == 0xe00000 : IN6_IS_ADDR_MC_LINKLOCAL(&v6))
        kn_check_invalid_text(
            p, path, text,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

static void check_protocol(struct kn_problems *p, const struct kn_path *path, struct kn_sv protocol)
{
    if (kn_check_present(p, path, protocol, ""))
        kn_check_one_of(p, path, protocol, protocols);
}

static void check_app_protocol(struct kn_problems *p, const struct kn_path *at,
                               const struct kn_json *port)
{
    if (GET(port, appProtocol))
        kn_check_text(p, SUB(at, appProtocol), TEXT(port, appProtocol), kn_name_qualified_problem);
}

// -- ports of a service -----------------------------------------------------------------------

static bool is_headless(const struct kn_json *spec)
{
    const struct kn_json *list = GET(spec, clusterIPs);
    return kn_json_len(list) == 1 && kn_sv_is(kn_json_str(kn_json_first(list)), "None");
}

static void check_port(struct kn_problems *p, const struct kn_path *at, const struct kn_json *port,
                       bool named, struct kn_names *names)
{
    struct kn_sv name = TEXT(port, name);
    if (named && !name.len) {
        kn_check_required(p, SUB(at, name), "");
    } else if (name.len) {
        kn_check_text(p, SUB(at, name), name, kn_name_dns_label_problem);
        if (!kn_names_add(p, names, name))
            kn_check_duplicate(p, SUB(at, name), name);
    }
    kn_check_port(p, SUB(at, port), NUMBER(port, port));
    check_protocol(p, SUB(at, protocol), TEXT(port, protocol));
    kn_check_port_number_or_name(p, SUB(at, targetPort), GET(port, targetPort));
    check_app_protocol(p, at, port);
}

static void check_ports_differ(struct kn_problems *p, const struct kn_path *path,
                               const struct kn_json *ports)
{
    struct kn_names node_ports = {0}, numbers = {0};
    const struct kn_json *port;
    int64_t i = 0;
    KN_JSON_EACH(port, ports)
    {
        long long n = NUMBER(port, nodePort);
        struct kn_sv key =
            kn_arena_printf(p->arena, "%.*s/%lld", KN_SV_ARG(TEXT(port, protocol)), n);
        if (n && !kn_names_add(p, &node_ports, key))
            kn_problem_add(p, KN_PROBLEM_DUPLICATE, SUB(KN_PATH_AT(path, i), nodePort),
                           kn_arena_printf(p->arena, "%lld", n), "%s", "");
        i++;
    }
    i = 0;
    KN_JSON_EACH(port, ports)
    {
        struct kn_sv protocol = TEXT(port, protocol);
        long long n = NUMBER(port, port);
        struct kn_sv key = kn_arena_printf(p->arena, "%.*s/%lld", KN_SV_ARG(protocol), n);
        if (!kn_names_add(p, &numbers, key)) // the value as upstream shows it
            kn_problem_add(
                p, KN_PROBLEM_DUPLICATE, KN_PATH_AT(path, i),
                kn_arena_printf(p->arena,
                                "{\"Name\":\"\",\"Protocol\":\"%.*s\",\"AppProtocol\":null,"
                                "\"Port\":%lld,\"TargetPort\":0,\"NodePort\":0}",
                                KN_SV_ARG(protocol), n),
                "%s", "");
        i++;
    }
}

static void check_ports(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *spec)
{
    const struct kn_json *ports = GET(spec, ports), *port;
    struct kn_names names = {0};
    int64_t i = 0;
    KN_JSON_EACH(port, ports)
    {
        check_port(p, KN_PATH_AT(SUB(path, ports), i++), port, kn_json_len(ports) > 1, &names);
    }
}

static void forbid_node_ports(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_json *spec)
{
    const struct kn_json *port;
    int64_t i = 0;
    KN_JSON_EACH(port, GET(spec, ports))
    {
        if (NUMBER(port, nodePort))
            kn_check_forbidden(p, SUB(KN_PATH_AT(SUB(path, ports), i), nodePort),
                               "may not be used when `type` is 'ClusterIP'");
        i++;
    }
}

// -- types of services ------------------------------------------------------------------------

static void check_external_name(struct kn_problems *p, const struct kn_path *path,
                                const struct kn_json *spec)
{
    struct kn_sv name = TEXT(spec, externalName);
    if (kn_json_len(GET(spec, clusterIPs)) || TEXT(spec, clusterIP).len)
        kn_check_forbidden(p, SUB(path, clusterIPs), "may not be set for ExternalName services");
    if (kn_json_len(GET(spec, ipFamilies)))
        kn_check_forbidden(p, SUB(path, ipFamilies), "may not be set for ExternalName services");
    if (GET(spec, ipFamilyPolicy))
        kn_check_forbidden(p, SUB(path, ipFamilyPolicy),
                           "may not be set for ExternalName services");
    if (kn_sv_ends(name, KN_SV(".")))
        name.len--;
    if (kn_check_present(p, SUB(path, externalName), name, ""))
        kn_check_text(p, SUB(path, externalName), name, kn_name_dns_subdomain_problem);
}

static void check_type(struct kn_problems *p, const struct kn_path *path,
                       const struct kn_json *spec)
{
    struct kn_sv type = TEXT(spec, type);
    bool balancer = kn_sv_is(type, "LoadBalancer"), external = kn_sv_is(type, "ExternalName");
    if (!kn_json_len(GET(spec, ports)) && !is_headless(spec) && !external)
        kn_check_required(p, SUB(path, ports), "");
    if ((balancer || kn_sv_is(type, "NodePort")) && is_headless(spec))
        kn_check_invalid_text(p, KN_PATH_AT(SUB(path, clusterIPs), 0), KN_SV("None"),
                              "may not be set to 'None' for %.*s services", KN_SV_ARG(type));
    if (external)
        check_external_name(p, path, spec);
}

static void check_affinity(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *spec)
{
    static const char *const kinds[] = {"ClientIP", "None", NULL};
    struct kn_sv kind = TEXT(spec, sessionAffinity);
    const struct kn_json *config = GET(spec, sessionAffinityConfig);
    const struct kn_json *client = GET(config, clientIP), *timeout = GET(client, timeoutSeconds);
    const struct kn_path *at = SUB(path, sessionAffinityConfig);
    int64_t seconds = kn_json_int(timeout, 1);
    static const char when[] = "when session affinity type is ClientIP";
    if (!kn_check_present(p, SUB(path, sessionAffinity), kind, "") ||
        !kn_check_one_of(p, SUB(path, sessionAffinity), kind, kinds))
        return;
    if (kn_sv_is(kind, "None")) {
        if (config)
            kn_check_forbidden(p, at, "must not be set when session affinity is None");
    } else if (!config) {
        kn_check_required(p, at, when);
    } else if (!client) {
        kn_check_required(p, SUB(at, clientIP), when);
    } else if (!timeout) {
        kn_check_required(p, SUB(SUB(at, clientIP), timeoutSeconds), when);
    } else if (seconds <= 0 || seconds > 86400) {
        kn_check_invalid_int(p, SUB(SUB(at, clientIP), timeoutSeconds), seconds,
                             "must be greater than 0 and less than 86400");
    }
}

// -- addresses of a service -------------------------------------------------------------------

static void check_families(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *spec)
{
    static const char *const families[] = {"IPv4", "IPv6", NULL};
    static const char *const policies[] = {"PreferDualStack", "RequireDualStack", "SingleStack",
                                           NULL};
    struct kn_names seen = {0};
    const struct kn_json *f;
    int64_t i = 0;
    KN_JSON_EACH(f, GET(spec, ipFamilies))
    {
        const struct kn_path *at = KN_PATH_AT(SUB(path, ipFamilies), i++);
        kn_check_one_of(p, at, kn_json_str(f), families);
        if (!kn_names_add(p, &seen, kn_json_str(f)))
            kn_check_duplicate(p, at, kn_json_str(f));
    }
    if (GET(spec, ipFamilyPolicy))
        kn_check_one_of(p, SUB(path, ipFamilyPolicy), TEXT(spec, ipFamilyPolicy), policies);
}

static void check_cluster_ip_list(struct kn_problems *p, const struct kn_path *path,
                                  const struct kn_json *list, const struct kn_json *families)
{
    const struct kn_json *ip, *family = kn_json_first(families);
    bool v6 = false, v6_before = false;
    int64_t i = 0;
    KN_JSON_EACH(ip, list)
    {
        struct kn_sv text = kn_json_str(ip);
        const struct kn_path *at = KN_PATH_AT(path, i);
        if (i == 0 && kn_sv_is(text, "None")) {
            if (kn_json_len(list) > 1)
                kn_check_invalid(p, path, list, "'None' must be the first and only value");
            return;
        }
        if (!kn_check_is_ip(text, &v6)) {
            kn_check_ip(p, at, text);
            return;
        }
        if (family && v6 != kn_sv_is(kn_json_str(family), "IPv6"))
            kn_check_invalid_text(p, at, text,
                                  "expected an %.*s value as indicated by `ipFamilies[%lld]`",
                                  KN_SV_ARG(kn_json_str(family)), (long long)i);
        if (i == 1 && v6 == v6_before)
            kn_check_invalid(p, path, list, "may specify no more than one IP for each IP family");
        v6_before = v6;
        family = family ? kn_json_next(families, family) : NULL;
        i++;
    }
    if (kn_json_len(list) > 2)
        kn_check_invalid(p, path, list, "may only hold up to 2 values");
}

static void check_cluster_ips(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_json *spec)
{
    const struct kn_json *list = GET(spec, clusterIPs);
    struct kn_sv ip = TEXT(spec, clusterIP);
    const struct kn_path *at = SUB(path, clusterIPs);
    if (kn_sv_is(TEXT(spec, type), "ExternalName"))
        return;
    if (ip.len && !kn_json_len(list))
        kn_check_required(p, at, "");
    else if (ip.len && !kn_sv_eq(kn_json_str(kn_json_first(list)), ip))
        kn_check_invalid(p, at, list, "first value must match `clusterIP`");
    else if (!ip.len && kn_json_len(list))
        kn_check_invalid(p, at, list, "must be empty when `clusterIP` is not specified");
    check_families(p, path, spec);
    check_cluster_ip_list(p, at, list, GET(spec, ipFamilies));
}

static void check_external_ips(struct kn_problems *p, const struct kn_path *path,
                               const struct kn_json *list)
{
    const struct kn_json *ip;
    bool v6;
    int64_t i = 0;
    KN_JSON_EACH(ip, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        if (kn_check_is_ip(kn_json_str(ip), &v6))
            check_endpoint_ip(p, at, kn_json_str(ip));
        else
            kn_check_ip(p, at, kn_json_str(ip));
    }
}

// -- load balancers and traffic ---------------------------------------------------------------

static void check_balancer(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *spec)
{
    static const char only[] = "may only be used when `type` is 'LoadBalancer'";
    bool balancer = kn_sv_is(TEXT(spec, type), "LoadBalancer");
    if (!balancer && kn_json_len(GET(spec, loadBalancerSourceRanges)))
        kn_check_forbidden(p, KN_PATH(path, "LoadBalancerSourceRanges"), only);
    const struct kn_json *range;
    int64_t i = 0;
    KN_JSON_EACH(range, GET(spec, loadBalancerSourceRanges))
    {
        kn_check_cidr(p, KN_PATH_AT(KN_PATH(path, "LoadBalancerSourceRanges"), i++),
                      kn_sv_trim(kn_json_str(range)));
    }
    if (!balancer && GET(spec, allocateLoadBalancerNodePorts))
        kn_check_forbidden(p, SUB(path, allocateLoadBalancerNodePorts), only);
    if (!balancer && GET(spec, loadBalancerClass))
        kn_check_forbidden(p, SUB(path, loadBalancerClass), only);
    else if (GET(spec, loadBalancerClass))
        kn_check_text(p, SUB(path, loadBalancerClass), TEXT(spec, loadBalancerClass),
                      kn_name_qualified_problem);
}

static void check_traffic(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *spec)
{
    static const char *const policies[] = {"Cluster", "Local", NULL};
    static const char *const ways[] = {"PreferClose", "PreferSameZone", "PreferSameNode", NULL};
    struct kn_sv type = TEXT(spec, type), outside = TEXT(spec, externalTrafficPolicy);
    bool balancer = kn_sv_is(type, "LoadBalancer");
    bool reachable = balancer || kn_sv_is(type, "NodePort") ||
                     (kn_sv_is(type, "ClusterIP") && kn_json_len(GET(spec, externalIPs)));
    if (!reachable && outside.len)
        kn_check_invalid_text(p, SUB(path, externalTrafficPolicy), outside,
                              "may only be set for externally-accessible services");
    else if (reachable && kn_check_present(p, SUB(path, externalTrafficPolicy), outside, ""))
        kn_check_one_of(p, SUB(path, externalTrafficPolicy), outside, policies);
    if (NUMBER(spec, healthCheckNodePort) && !(balancer && kn_sv_is(outside, "Local")))
        kn_check_invalid_int(p, SUB(path, healthCheckNodePort), NUMBER(spec, healthCheckNodePort),
                             "may only be set when `type` is 'LoadBalancer' and "
                             "`externalTrafficPolicy` is 'Local'");
    if (GET(spec, internalTrafficPolicy))
        kn_check_one_of(p, SUB(path, internalTrafficPolicy), TEXT(spec, internalTrafficPolicy),
                        policies);
    else if (balancer || kn_sv_is(type, "NodePort") || kn_sv_is(type, "ClusterIP"))
        kn_check_required(p, SUB(path, internalTrafficPolicy), "");
    if (GET(spec, trafficDistribution))
        kn_check_one_of(p, SUB(path, trafficDistribution), TEXT(spec, trafficDistribution), ways);
}

// -- updates ----------------------------------------------------------------------------------

// The first address of a service stays while the service has one.
static void check_ip_kept(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *spec, const struct kn_json *old)
{
    const struct kn_json *now = GET(spec, clusterIPs), *was = GET(old, clusterIPs);
    const struct kn_path *at = KN_PATH_AT(SUB(path, clusterIPs), 0);
    bool external =
        kn_sv_is(TEXT(spec, type), "ExternalName") || kn_sv_is(TEXT(old, type), "ExternalName");
    if (external || !kn_json_len(was))
        return;
    if (!kn_json_len(now))
        kn_check_invalid(p, at, now, "primary clusterIP can not be unset");
    else if (!kn_json_equal(kn_json_first(now), kn_json_first(was)))
        kn_check_invalid(p, at, now, "may not change once set");
}

static void check_service_update(struct kn_problems *p, const struct kn_path *path,
                                 const struct kn_json *spec, const struct kn_json *old)
{
    bool balancer =
        kn_sv_is(TEXT(spec, type), "LoadBalancer") && kn_sv_is(TEXT(old, type), "LoadBalancer");
    check_ip_kept(p, path, spec, old);
    if (balancer && !kn_check_same(GET(spec, loadBalancerClass), GET(old, loadBalancerClass)))
        kn_check_invalid(p, SUB(path, loadBalancerClass), GET(spec, loadBalancerClass),
                         "may not change once set");
    if (balancer && NUMBER(old, healthCheckNodePort) && NUMBER(spec, healthCheckNodePort) &&
        NUMBER(old, healthCheckNodePort) != NUMBER(spec, healthCheckNodePort))
        kn_check_forbidden(p, SUB(path, healthCheckNodePort), "field is immutable");
}

void kn_check_service(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                      struct kn_sv sub)
{
    static const char *const types[] = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort",
                                        NULL};
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec);
    struct kn_sv type = TEXT(spec, type);
    if (sub.len)
        return;
    if (old)
        check_service_update(p, path, spec, GET(old, spec));
    check_type(p, path, spec);
    check_ports(p, path, spec);
    kn_check_labels(p, SUB(path, selector), GET(spec, selector));
    check_affinity(p, path, spec);
    check_cluster_ips(p, path, spec);
    check_external_ips(p, SUB(path, externalIPs), GET(spec, externalIPs));
    if (kn_check_present(p, SUB(path, type), type, ""))
        kn_check_one_of(p, SUB(path, type), type, types);
    if (kn_sv_is(type, "ClusterIP"))
        forbid_node_ports(p, path, spec);
    check_ports_differ(p, SUB(path, ports), GET(spec, ports));
    check_balancer(p, path, spec);
    check_traffic(p, path, spec);
}

// -- Endpoints --------------------------------------------------------------------------------

static void check_addresses(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *list)
{
    const struct kn_json *a;
    bool v6;
    int64_t i = 0;
    KN_JSON_EACH(a, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv ip = TEXT(a, ip);
        if (!kn_check_is_ip(ip, &v6))
            kn_check_ip(p, SUB(at, ip), ip);
        if (TEXT(a, hostname).len)
            kn_check_text(p, SUB(at, hostname), TEXT(a, hostname), kn_name_dns_label_problem);
        if (GET(a, nodeName))
            kn_check_text(p, SUB(at, nodeName), TEXT(a, nodeName), kn_name_dns_subdomain_problem);
        check_endpoint_ip(p, SUB(at, ip), ip);
    }
}

static void check_subset(struct kn_problems *p, const struct kn_path *at,
                         const struct kn_json *subset)
{
    const struct kn_json *port, *ports = GET(subset, ports);
    int64_t i = 0;
    if (!kn_json_len(GET(subset, addresses)) && !kn_json_len(GET(subset, notReadyAddresses)))
        kn_check_required(p, at, "must specify `addresses` or `notReadyAddresses`");
    check_addresses(p, SUB(at, addresses), GET(subset, addresses));
    check_addresses(p, SUB(at, notReadyAddresses), GET(subset, notReadyAddresses));
    KN_JSON_EACH(port, ports)
    {
        const struct kn_path *path = KN_PATH_AT(SUB(at, ports), i++);
        struct kn_sv name = TEXT(port, name);
        if (name.len)
            kn_check_text(p, SUB(path, name), name, kn_name_dns_label_problem);
        else if (kn_json_len(ports) > 1)
            kn_check_required(p, SUB(path, name), "");
        kn_check_port(p, SUB(path, port), NUMBER(port, port));
        check_protocol(p, SUB(path, protocol), TEXT(port, protocol));
        check_app_protocol(p, path, port);
    }
}

void kn_check_endpoints(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                        struct kn_sv sub)
{
    const struct kn_json *subset;
    int64_t i = 0;
    (void)sub;
    if (old && kn_check_same(GET(obj, subsets), GET(old, subsets)))
        return;
    KN_JSON_EACH(subset, GET(obj, subsets))
    {
        check_subset(p, KN_PATH_AT(KN_PATH(NULL, "subsets"), i++), subset);
    }
}

// -- EndpointSlice ----------------------------------------------------------------------------

#define ENDPOINTS_MAX 1000
#define ADDRESSES_MAX 100
#define PORTS_MAX 20000

static void check_slice_address(struct kn_problems *p, const struct kn_path *path, int64_t i,
                                struct kn_sv text, struct kn_sv type)
{
    const struct kn_path *at = KN_PATH_AT(path, i);
    bool v6 = false, wants6 = kn_sv_is(type, "IPv6");
    if (kn_sv_is(type, "FQDN")) {
        kn_check_text(p, at, text, kn_name_dns_subdomain_problem);
    } else if (!kn_check_is_ip(text, &v6)) {
        kn_check_ip(p, at, text);
    } else {
        if (v6 != wants6)
            kn_check_invalid_text(p, path, text, "must be an %s address", wants6 ? "IPv6" : "IPv4");
        check_endpoint_ip(p, at, text);
    }
}

static void check_endpoint(struct kn_problems *p, const struct kn_path *at, const struct kn_json *e,
                           struct kn_sv type)
{
    const struct kn_json *list = GET(e, addresses), *a;
    int64_t i = 0;
    if (!kn_json_len(list))
        kn_check_required(p, SUB(at, addresses), "must contain at least 1 address");
    else if (kn_json_len(list) > ADDRESSES_MAX)
        kn_check_too_many(p, SUB(at, addresses), kn_json_len(list), ADDRESSES_MAX);
    KN_JSON_EACH(a, list)
    {
        check_slice_address(p, SUB(at, addresses), i++, kn_json_str(a), type);
    }
    if (GET(e, nodeName))
        kn_check_text(p, SUB(at, nodeName), TEXT(e, nodeName), kn_name_dns_subdomain_problem);
    kn_check_labels(p, SUB(at, deprecatedTopology), GET(e, deprecatedTopology));
    if (GET(e, hostname))
        kn_check_text(p, SUB(at, hostname), TEXT(e, hostname), kn_name_dns_label_problem);
}

static void check_slice_ports(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_json *list)
{
    struct kn_names names = {0};
    const struct kn_json *port;
    int64_t i = 0;
    if (kn_json_len(list) > PORTS_MAX) {
        kn_check_too_many(p, path, kn_json_len(list), PORTS_MAX);
        return;
    }
    KN_JSON_EACH(port, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv name = TEXT(port, name);
        if (name.len)
            kn_check_text(p, SUB(at, name), name, kn_name_dns_label_problem);
        if (!kn_names_add(p, &names, name))
            kn_check_duplicate(p, SUB(at, name), name);
        check_protocol(p, SUB(at, protocol), TEXT(port, protocol));
        check_app_protocol(p, at, port);
    }
}

void kn_check_endpoint_slice(struct kn_problems *p, const struct kn_json *obj,
                             const struct kn_json *old, struct kn_sv sub)
{
    static const char *const types[] = {"FQDN", "IPv4", "IPv6", NULL};
    const struct kn_json *list = GET(obj, endpoints), *e;
    struct kn_sv type = TEXT(obj, addressType);
    int64_t i = 0;
    (void)sub;
    if (kn_check_present(p, KN_PATH(NULL, "addressType"), type, ""))
        kn_check_one_of(p, KN_PATH(NULL, "addressType"), type, types);
    check_slice_ports(p, KN_PATH(NULL, "ports"), GET(obj, ports));
    if (kn_json_len(list) > ENDPOINTS_MAX)
        kn_check_too_many(p, KN_PATH(NULL, "endpoints"), kn_json_len(list), ENDPOINTS_MAX);
    else if (!old || !kn_check_same(list, GET(old, endpoints)))
        KN_JSON_EACH(e, list)
        {
            check_endpoint(p, KN_PATH_AT(KN_PATH(NULL, "endpoints"), i++), e, type);
        }
    if (old)
        kn_check_immutable(p, KN_PATH(NULL, "addressType"), GET(obj, addressType),
                           GET(old, addressType));
}
