#include "network/service.h"

#include <netinet/in.h>

#include "lib/ktest.h"
#include "network/nft.h"
#include "network/rtnl.h"
#include "network/testing.h"

#define PATIENCE (20 * KN_SECOND)

static char run_dir[64];
static struct kn_cache *services, *slices;

static void put(struct kn_cache *c, const char *text)
{
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(kn_sv_c(text), &o));
    kn_cache_put(c, o);
    kn_obj_unref(o);
}

static void take_out(struct kn_cache *c, const char *name)
{
    const struct kn_obj *o = kn_cache_get(c, KN_SV("default"), kn_sv_c(name));
    ktest_true(o != NULL);
    kn_cache_remove(c, o);
    kn_obj_unref(o);
}

// spec: the members of spec, without braces.
static void put_service(const char *name, const char *spec)
{
    char text[2048];
    snprintf(
        text, sizeof text,
        "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\",\"uid\":\"%s\"},\"spec\":{%s}}",
        name, name, spec);
    put(services, text);
}

// endpoints: "ip@node ip@node!", the mark for one that is not ready.
static void put_slice(const char *name, const char *protocol, int port, const char *endpoints)
{
    struct kn_buf b = KN_BUF(1u << 20);
    kn_buf_addf(
        &b,
        "{\"metadata\":{\"name\":\"%s-1\",\"namespace\":\"default\",\"uid\":\"%s-1\",\"labels\":{"
        "\"kubernetes.io/"
        "service-name\":\"%s\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"\","
        "\"protocol\":\"%s\",\"port\":%d}],\"endpoints\":[",
        name, name, name, protocol, port);
    struct kn_sv rest = kn_sv_c(endpoints);
    for (bool first = true; rest.len; first = false) {
        struct kn_sv node = kn_sv_cut(&rest, ' '), ip = kn_sv_cut(&node, '@');
        bool ready = !kn_sv_ends(node, KN_SV("!"));
        kn_buf_addf(
            &b, "%s{\"addresses\":[\"%.*s\"],\"nodeName\":\"%.*s\",\"conditions\":{\"ready\":%s}}",
            first ? "" : ",", KN_SV_ARG(ip), (int)(node.len - !ready), node.ptr,
            ready ? "true" : "false");
    }
    kn_buf_addc(&b, "]}");
    put(slices, kn_buf_cstr(&b));
    kn_buf_done(&b);
}

// -- the lab: a machine with two pods, and a client outside ----------------------------------

struct lab {
    struct kn_lab_ns a, b, outside;
    struct kn_pod_nets *nets;
    struct kn_services *s;
    struct kn_arena *arena;
    struct kn_lab_server *servers[4];
};

static void start(struct lab *l)
{
    ktest_ok(kn_services_start(&(struct kn_services_config){.run_dir = run_dir,
                                                            .node = KN_SV("me"),
                                                            .node_ip = 0xc0a83201,
                                                            .dns = 0x0a60000a,
                                                            .pods = {0x0af40000, 16},
                                                            .services = {0x0a600000, 12},
                                                            .service_cache = services,
                                                            .slice_cache = slices},
                               &l->s));
    ktest_ok(kn_pod_nets_open(&(struct kn_pod_nets_config){.run_dir = run_dir,
                                                           .net = {0x0af40000, 24},
                                                           .sink = kn_services_pod_sink(l->s)},
                              &l->nets));
    ktest_ok(kn_services_wait(l->s, kn_mono() + PATIENCE));
}

static void stop(struct lab *l)
{
    kn_pod_nets_close(l->nets);
    kn_services_stop(l->s);
}

static void add_pod(struct lab *l, const struct kn_lab_ns *ns, const char *uid,
                    const struct kn_json *spec)
{
    struct kn_sv ip;
    ktest_ok(kn_pod_nets_setup(l->nets,
                               &(struct kn_pod_net){.netns = ns->path,
                                                    .ns = KN_SV("default"),
                                                    .name = kn_sv_c(uid),
                                                    .uid = kn_sv_c(uid),
                                                    .spec = spec},
                               l->arena, &ip));
}

static bool begin(struct lab *l)
{
    if (!kn_lab_begin())
        return false;
    memset(l, 0, sizeof *l);
    snprintf(run_dir, sizeof run_dir, "%s/run", kn_lab_dir());
    services = kn_cache_new();
    slices = kn_cache_new();
    l->arena = kn_arena_new(0, 1u << 20);
    kn_lab_ns_make(&l->a, "a");
    kn_lab_ns_make(&l->b, "b");
    kn_lab_ns_make(&l->outside, "outside");
    KN_LAB_RUN(NULL, "ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns",
               "/mnt/outside");
    KN_LAB_RUN(NULL, "ip", "addr", "add", "192.168.50.1/24", "dev", "uplink");
    KN_LAB_RUN(NULL, "ip", "link", "set", "uplink", "up");
    KN_LAB_RUN(NULL, "ip", "route", "add", "default", "via", "192.168.50.9");
    KN_LAB_RUN(&l->outside, "ip", "link", "set", "lo", "up");
    KN_LAB_RUN(&l->outside, "ip", "addr", "add", "192.168.50.9/24", "dev", "eth0");
    KN_LAB_RUN(&l->outside, "ip", "link", "set", "eth0", "up");
    ktest_ok(kn_link_wait(-1, "uplink", kn_mono() + PATIENCE));
    ktest_ok(kn_link_wait(l->outside.fd, "eth0", kn_mono() + PATIENCE));
    // the fabric knows where load balancer addresses are, and nothing of pods
    KN_LAB_RUN(&l->outside, "ip", "route", "add", "203.0.113.0/24", "via", "192.168.50.1");
    start(l);
    add_pod(l, &l->a, "a", NULL); // 10.244.0.1
    add_pod(l, &l->b, "b", NULL); // 10.244.0.2
    l->servers[0] = kn_lab_serve(&l->a, "a", false, "0.0.0.0", 8080);
    l->servers[1] = kn_lab_serve(&l->b, "b", false, "0.0.0.0", 8080);
    l->servers[2] = kn_lab_serve(&l->a, "a", true, "0.0.0.0", 5300);
    l->servers[3] = kn_lab_serve(&l->b, "b", true, "0.0.0.0", 5300);
    return true;
}

static void finish(struct lab *l)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(l->servers); i++)
        kn_lab_server_stop(l->servers[i]);
    stop(l);
    ktest_ok(kn_services_reset());
    ktest_ok(kn_services_reset());
    ktest_ok(kn_pod_nets_reset(run_dir));
    KN_LAB_RUN(NULL, "ip", "link", "del", "uplink");
    kn_lab_ns_drop(&l->a);
    kn_lab_ns_drop(&l->b);
    kn_lab_ns_drop(&l->outside);
    kn_cache_free(services);
    kn_cache_free(slices);
    kn_arena_free(l->arena);
}

static void settle(struct lab *l)
{
    ktest_ok(kn_services_wait(l->s, kn_mono() + PATIENCE));
}

// Who answers out of so many connections: "a", "b", "ab", or the first failure.
static const char *who(const struct kn_lab_ns *ns, const char *ip, uint16_t port, int times)
{
    static char out[128];
    bool a = false, b = false;
    for (int i = 0; i < times; i++) {
        kn_lab_ask(ns, false, ip, port, out);
        if (strncmp(out, "a ", 2) != 0 && strncmp(out, "b ", 2) != 0)
            return out;
        a = a || out[0] == 'a';
        b = b || out[0] == 'b';
    }
    return a && b ? "ab" : a ? "a" : "b";
}

#define WEB                                                                                        \
    "\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"port\":80,\"nodePort\":31001}]"
#define BOTH "10.244.0.1@me 10.244.0.2@me"

KTEST(a_service_answers_pods_the_node_and_the_world)
{
    struct lab l;
    char out[128];
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("web", WEB);
    put_slice("web", "TCP", 8080, BOTH);
    settle(&l);
    ktest_eq_str(who(&l.a, "10.96.0.7", 80, 40), "ab"); // one half is hairpin
    ktest_eq_str(who(NULL, "10.96.0.7", 80, 40), "ab");
    ktest_eq_str(who(&l.outside, "192.168.50.1", 31001, 40), "ab");
    ktest_eq_str(who(NULL, "192.168.50.1", 31001, 40), "ab");
    ktest_eq_str(who(NULL, "127.0.0.1", 31001, 40), "ab");
    ktest_eq_str(who(&l.b, "192.168.50.1", 31001, 40), "ab");
    // a pod is seen as itself through a ClusterIP, and reaches the world as the node
    put_slice("web", "TCP", 8080, "10.244.0.2@me");
    settle(&l);
    ktest_eq_str(kn_lab_ask(&l.a, false, "10.96.0.7", 80, out), "b 10.244.0.1");
    struct kn_lab_server *far = kn_lab_serve(&l.outside, "far", false, "0.0.0.0", 80);
    ktest_eq_str(kn_lab_ask(&l.a, false, "192.168.50.9", 80, out), "far 192.168.50.1");
    kn_lab_server_stop(far);
    // nobody outside reaches 127.0.0.1, although the interfaces would let it in
    KN_LAB_RUN(&l.outside, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo");
    KN_LAB_RUN(&l.outside, "ip", "route", "add", "127.0.0.1", "via", "192.168.50.1");
    struct kn_lab_server *own = kn_lab_serve(NULL, "own", false, "127.0.0.1", 9000);
    ktest_eq_str(kn_lab_ask(NULL, false, "127.0.0.1", 9000, out), "own 127.0.0.1");
    ktest_true(kn_lab_is_silent(&l.outside, "127.0.0.1", 9000));
    kn_lab_server_stop(own);
    finish(&l);
}

KTEST(without_endpoints_it_is_refused_at_once_and_so_is_an_unknown_address)
{
    struct lab l;
    char out[128];
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("web", WEB);
    settle(&l);
    ktest_eq_str(kn_lab_ask(&l.a, false, "10.96.0.7", 80, out), "refused");
    ktest_eq_str(kn_lab_ask(NULL, false, "10.96.0.7", 80, out), "refused");
    ktest_eq_str(kn_lab_ask(&l.outside, false, "192.168.50.1", 31001, out), "refused");
    ktest_eq_str(kn_lab_ask(NULL, false, "127.0.0.1", 31001, out), "refused");
    ktest_eq_str(kn_lab_ask(&l.a, false, "10.96.0.8", 80, out), "refused");
    put_slice("web", "TCP", 8080, "10.244.0.1@me! 10.244.0.2@me");
    settle(&l);
    ktest_eq_str(who(&l.a, "10.96.0.7", 80, 10), "b"); // the other is not ready
    take_out(services, "web");
    settle(&l);
    ktest_eq_str(kn_lab_ask(&l.a, false, "10.96.0.7", 80, out), "refused");
    struct kn_services_stats stats;
    kn_services_get_stats(l.s, &stats);
    ktest_eq_int(stats.services, 0);
    ktest_eq_int(stats.elements, 2); // the pods themselves
    finish(&l);
}

KTEST(a_restart_touches_nothing_and_finds_what_changed_meanwhile)
{
    struct lab l;
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("web", WEB);
    put_slice("web", "TCP", 8080, "10.244.0.1@me");
    put_service("old", "\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"port\":80}]");
    put_slice("old", "TCP", 8080, BOTH);
    settle(&l);
    stop(&l);
    ktest_eq_str(who(&l.outside, "192.168.50.1", 31001, 5), "a"); // nobody needs us
    start(&l);
    struct kn_services_stats stats;
    kn_services_get_stats(l.s, &stats);
    ktest_eq_int(stats.changes, 0);
    stop(&l);
    take_out(services, "old");
    put_slice("web", "TCP", 8080, "10.244.0.2@me");
    start(&l);
    kn_services_get_stats(l.s, &stats);
    ktest_eq_str(who(&l.a, "10.96.0.7", 80, 10), "b");
    ktest_eq_str(who(&l.a, "10.96.0.9", 80, 1), "refused");
    ktest_eq_int(stats.services, 1);
    finish(&l);
}

KTEST(a_table_that_somebody_flushed_is_written_again)
{
    struct lab l;
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("web", WEB);
    put_slice("web", "TCP", 8080, "10.244.0.1@me");
    settle(&l);
    KN_LAB_RUN(NULL, "nft", "flush", "ruleset");
    put_slice("web", "TCP", 8080,
              "10.244.0.2@me"); // the change is refused, and everything read anew
    settle(&l);
    ktest_eq_str(who(&l.outside, "192.168.50.1", 31001, 10), "b");
    ktest_eq_str(who(&l.b, "10.96.0.7", 80, 10), "b"); // hairpin came back too
    finish(&l);
}

KTEST(callers_stay_with_their_endpoint_if_the_service_says_so)
{
    struct lab l;
    char first[128], out[128];
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("web",
                WEB ",\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{"
                    "\"timeoutSeconds\":60}}");
    put_slice("web", "TCP", 8080, BOTH);
    settle(&l);
    kn_lab_ask(&l.outside, false, "192.168.50.1", 31001, first);
    for (int i = 0; i < 20; i++)
        ktest_eq_str(kn_lab_ask(&l.outside, false, "192.168.50.1", 31001, out), first);
    // its endpoint goes: another one answers, and stays when the first comes back
    bool was_a = first[0] == 'a';
    put_slice("web", "TCP", 8080, was_a ? "10.244.0.2@me" : "10.244.0.1@me");
    settle(&l);
    ktest_eq_str(who(&l.outside, "192.168.50.1", 31001, 10), was_a ? "b" : "a");
    put_slice("web", "TCP", 8080, BOTH);
    settle(&l);
    ktest_eq_str(who(&l.outside, "192.168.50.1", 31001, 20), was_a ? "b" : "a");
    finish(&l);
}

KTEST(traffic_policies_keep_to_this_node)
{
    struct lab l;
    char out[128];
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("web", WEB ",\"externalTrafficPolicy\":\"Local\"");
    put_slice("web", "TCP", 8080, "10.244.0.1@me 10.244.0.2@other");
    settle(&l);
    ktest_eq_str(who(&l.outside, "192.168.50.1", 31001, 20), "a");
    ktest_eq_str(kn_lab_ask(&l.outside, false, "192.168.50.1", 31001, out),
                 "a 192.168.50.9");                           // its own address
    ktest_eq_str(who(&l.a, "192.168.50.1", 31001, 40), "ab"); // pods see all
    put_slice("web", "TCP", 8080, "10.244.0.2@other");
    settle(&l);
    ktest_true(kn_lab_is_silent(&l.outside, "192.168.50.1", 31001)); // dropped
    put_service("web", WEB ",\"internalTrafficPolicy\":\"Local\"");
    put_slice("web", "TCP", 8080, "10.244.0.1@other 10.244.0.2@me");
    settle(&l);
    ktest_eq_str(who(&l.a, "10.96.0.7", 80, 20), "b");
    ktest_eq_str(who(&l.outside, "192.168.50.1", 31001, 40), "ab");
    finish(&l);
}

KTEST(external_and_load_balancer_addresses_answer_with_source_ranges)
{
    struct lab l;
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    static const char text[] = "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\",\"uid\":"
                               "\"web\"},\"spec\":{\"type\":\"LoadBalancer\","
                               "\"clusterIP\":\"10.96.0.7\",\"externalIPs\":[\"203.0.113.5\"],"
                               "\"loadBalancerSourceRanges\":[%s],"
                               "\"ports\":[{\"port\":80}]},\"status\":{\"loadBalancer\":{"
                               "\"ingress\":[{\"ip\":\"203.0.113.6\"}]}}}";
    char object[1024];
    snprintf(object, sizeof object, text, "\"10.0.0.0/8\",\"10.1.0.0/16\"");
    put(services, object);
    put_slice("web", "TCP", 8080, BOTH);
    settle(&l);
    ktest_eq_str(who(&l.outside, "203.0.113.5", 80, 20), "ab");
    ktest_true(kn_lab_is_silent(&l.outside, "203.0.113.6", 80));
    snprintf(object, sizeof object, text, "\"192.168.50.0/24\"");
    put(services, object);
    settle(&l);
    ktest_eq_str(who(&l.outside, "203.0.113.6", 80, 20), "ab");
    snprintf(object, sizeof object, text, "\"192.168.50.0/24\",\"0.0.0.0/0\",\"nonsense\"");
    put(services, object);
    settle(&l);
    ktest_eq_str(who(&l.outside, "203.0.113.6", 80, 20), "ab");
    // another service that asks for the same address waits for it
    put_service(
        "thief",
        "\"clusterIP\":\"10.96.0.8\",\"externalIPs\":[\"203.0.113.5\"],\"ports\":[{\"port\":80}]");
    put_slice("thief", "TCP", 8080, "10.244.0.2@me");
    settle(&l);
    ktest_eq_str(who(&l.outside, "203.0.113.5", 80, 20), "ab");
    take_out(services, "web");
    settle(&l);
    ktest_eq_str(who(&l.outside, "203.0.113.5", 80, 10), "b");
    finish(&l);
}

KTEST(udp_leaves_an_endpoint_that_has_gone)
{
    struct lab l;
    char out[128];
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("dns",
                "\"clusterIP\":\"10.96.0.10\",\"ports\":[{\"port\":53,\"protocol\":\"UDP\"}]");
    put_slice("dns", "UDP", 5300, "10.244.0.1@me");
    settle(&l);
    // one socket, hence one connection for the kernel
    int fd = kn_lab_socket(&l.b, SOCK_DGRAM);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x0a60000a)};
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (int turn = 0; turn < 2; turn++) {
        ktest_eq_int(sendto(fd, "?", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
        memset(out, 0, sizeof out);
        ktest_true(recv(fd, out, sizeof out - 1, 0) > 0);
        ktest_eq_str(out, turn ? "b 192.168.50.1" : "a 10.244.0.2");
        put_slice("dns", "UDP", 5300, "10.244.0.2@me"); // the second is a hairpin
        settle(&l);
    }
    close(fd);
    finish(&l);
}

KTEST(an_endpoint_may_be_the_node_itself)
{
    struct lab l;
    char out[128];
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    struct kn_lab_server *s = kn_lab_serve(NULL, "node", false, "192.168.50.1", 6443);
    put_service("kubernetes",
                "\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.1\",\"ports\":[{\"port\":443,"
                "\"nodePort\":31002}]");
    put_slice("kubernetes", "TCP", 6443, "192.168.50.1@me");
    settle(&l);
    ktest_eq_str(kn_lab_ask(&l.a, false, "10.96.0.1", 443, out), "node 10.244.0.1");
    ktest_eq_str(kn_lab_ask(NULL, false, "10.96.0.1", 443, out), "node 192.168.50.1");
    ktest_eq_str(kn_lab_ask(&l.outside, false, "192.168.50.1", 31002, out), "node 192.168.50.9");
    ktest_eq_str(kn_lab_ask(NULL, false, "127.0.0.1", 31002, out), "node 127.0.0.1");
    ktest_eq_str(kn_lab_ask(&l.b, false, "192.168.50.1", 31002, out), "node 10.244.0.2");
    // no default route: the node still finds services
    KN_LAB_RUN(NULL, "ip", "route", "del", "default");
    ktest_eq_str(kn_lab_ask(NULL, false, "10.96.0.1", 443, out), "node 192.168.50.1");
    kn_lab_server_stop(s);
    finish(&l);
}

KTEST(the_name_server_of_this_node_is_reached_although_its_service_has_no_endpoints)
{
    struct lab l;
    char out[128];
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    put_service("kube-dns",
                "\"clusterIP\":\"10.96.0.10\",\"ports\":[{\"port\":53,\"protocol\":\"UDP\"},"
                "{\"name\":\"metrics\",\"port\":9153}]");
    KN_LAB_RUN(NULL, "ip", "addr", "add", "10.96.0.10/32", "dev", "lo", "scope", "host");
    struct kn_lab_server *s = kn_lab_serve(NULL, "dns", true, "10.96.0.10", 53);
    settle(&l);
    ktest_eq_str(kn_lab_ask(&l.a, true, "10.96.0.10", 53, out), "dns 10.244.0.1");
    ktest_eq_str(kn_lab_ask(NULL, true, "10.96.0.10", 53, out), "dns 10.96.0.10");
    ktest_eq_str(kn_lab_ask(&l.a, false, "10.96.0.10", 9153, out), "refused");
    put_slice("kube-dns", "UDP", 5300, "10.244.0.2@me"); // a user's own takes precedence
    settle(&l);
    ktest_eq_str(kn_lab_ask(&l.a, true, "10.96.0.10", 53, out), "b 10.244.0.1");
    kn_lab_server_stop(s);
    KN_LAB_RUN(NULL, "ip", "addr", "del", "10.96.0.10/32", "dev", "lo");
    finish(&l);
}

KTEST(host_ports_of_pods_are_open_on_every_address_of_the_node)
{
    struct lab l;
    char out[128];
    struct kn_json *spec;
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    ktest_ok(kn_json_parse(
        l.arena,
        KN_SV("{\"containers\":[{\"ports\":[{\"containerPort\":8080,\"hostPort\":8000},"
              "{\"containerPort\":8080,\"hostPort\":8001,\"hostIP\":\"127.0.0.1\"}]}]}"),
        NULL, &spec));
    add_pod(&l, &l.a, "a", spec);
    ktest_eq_str(kn_lab_ask(&l.outside, false, "192.168.50.1", 8000, out), "a 192.168.50.9");
    ktest_eq_str(who(NULL, "127.0.0.1", 8000, 2), "a");
    ktest_eq_str(who(&l.a, "192.168.50.1", 8000, 2), "a"); // itself
    ktest_eq_str(who(NULL, "127.0.0.1", 8001, 2), "a");
    ktest_eq_str(kn_lab_ask(&l.outside, false, "192.168.50.1", 8001, out), "refused");
    stop(&l);
    ktest_eq_str(who(NULL, "127.0.0.1", 8000, 2), "a");
    start(&l);
    ktest_eq_str(who(NULL, "127.0.0.1", 8000, 2), "a");
    ktest_ok(
        kn_pod_nets_teardown(l.nets, &(struct kn_pod_net){.uid = KN_SV("a"), .name = KN_SV("a")}));
    ktest_eq_str(kn_lab_ask(&l.outside, false, "192.168.50.1", 8000, out), "refused");
    finish(&l);
}

KTEST(a_thousand_services_and_many_endpoints_are_two_transactions)
{
    struct lab l;
    if (!begin(&l))
        ktest_skip("needs root, to make a network of its own");
    char name[32], spec[256];
    struct kn_buf many = KN_BUF(65536);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "s%d", i);
        snprintf(spec, sizeof spec, "\"clusterIP\":\"10.97.%d.%d\",\"ports\":[{\"port\":80}]",
                 i / 250, i % 250 + 1);
        put_service(name, spec);
        put_slice(name, "TCP", 8080, BOTH);
    }
    for (int i = 0; i < 300; i++)
        kn_buf_addf(&many, "%s10.244.%d.%d@other", i ? " " : "", i / 200 + 1, i % 200 + 1);
    put_slice("s0", "TCP", 8080, kn_buf_cstr(&many));
    kn_buf_done(&many);
    settle(&l);
    ktest_eq_str(who(&l.a, "10.97.3.250", 80, 20), "ab");
    stop(&l);
    start(&l);
    struct kn_services_stats stats;
    kn_services_get_stats(l.s, &stats);
    ktest_eq_int(stats.services, 1000);
    ktest_eq_int(stats.changes, 0);
    finish(&l);
}

KTEST_MAIN(
    KTEST_CASE(a_service_answers_pods_the_node_and_the_world),
    KTEST_CASE(without_endpoints_it_is_refused_at_once_and_so_is_an_unknown_address),
    KTEST_CASE(a_restart_touches_nothing_and_finds_what_changed_meanwhile),
    KTEST_CASE(a_table_that_somebody_flushed_is_written_again),
    KTEST_CASE(callers_stay_with_their_endpoint_if_the_service_says_so),
    KTEST_CASE(traffic_policies_keep_to_this_node),
    KTEST_CASE(external_and_load_balancer_addresses_answer_with_source_ranges),
    KTEST_CASE(udp_leaves_an_endpoint_that_has_gone),
    KTEST_CASE(an_endpoint_may_be_the_node_itself),
    KTEST_CASE(the_name_server_of_this_node_is_reached_although_its_service_has_no_endpoints),
    KTEST_CASE(host_ports_of_pods_are_open_on_every_address_of_the_node),
    KTEST_CASE(a_thousand_services_and_many_endpoints_are_two_transactions))
