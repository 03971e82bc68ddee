#include "network/pod.h"

#include <fcntl.h>
#include <netinet/in.h>

#include "base/file.h"
#include "lib/ktest.h"
#include "network/rtnl.h"
#include "network/sysctl.h"
#include "network/testing.h"

// -- leases: no network needed ---------------------------------------------------------------

static char folder[64];

static const char *fresh_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/kn-lease-XXXXXX");
    ktest_true(mkdtemp(folder) != NULL);
    return folder;
}

static struct kn_lease lease_of(const char *uid)
{
    struct kn_lease l;
    memset(&l, 0, sizeof l);
    snprintf(l.uid, sizeof l.uid, "%s", uid);
    snprintf(l.pod, sizeof l.pod, "default/%s", uid);
    return l;
}

KTEST(addresses_go_round_and_survive_a_restart)
{
    const char *dir = fresh_folder();
    struct kn_net4 net = {0x0af40000, 29}; // .1 to .6
    struct kn_leases *l;
    ktest_ok(kn_leases_open(dir, net, &l));
    char uid[8];
    for (unsigned i = 1; i <= 6; i++) {
        snprintf(uid, sizeof uid, "p%u", i);
        struct kn_lease lease = lease_of(uid);
        ktest_ok(kn_leases_take(l, &lease));
        ktest_eq_int(lease.ip, 0x0af40000 + i);
    }
    struct kn_lease more = lease_of("p7"), same = lease_of("p3");
    ktest_fails(kn_leases_take(l, &more), NO_SPACE, "no free address: all 6");
    ktest_ok(kn_leases_take(l, &same)); // the second time changes nothing
    ktest_eq_int(same.ip, 0x0af40003);
    ktest_ok(kn_leases_drop(l, KN_SV("p2")));
    ktest_ok(kn_leases_drop(l, KN_SV("p2")));
    kn_leases_close(l);

    ktest_ok(kn_leases_open(dir, net, &l));
    ktest_eq_int(kn_leases_len(l), 5);
    ktest_eq_int(kn_leases_room(l), 1);
    ktest_ok(kn_leases_take(l, &more));
    ktest_eq_int(more.ip, 0x0af40002);
    struct kn_lease back;
    ktest_true(kn_leases_get(l, KN_SV("p6"), &back));
    ktest_eq_str(back.pod, "default/p6");
    kn_leases_close(l);
    ktest_ok(kn_dir_remove(dir));
}

KTEST(a_host_port_has_one_pod_and_comes_back_from_the_file)
{
    const char *dir = fresh_folder();
    struct kn_net4 net = {0x0af40000, 24};
    struct kn_leases *l;
    ktest_ok(kn_leases_open(dir, net, &l));
    struct kn_lease a = lease_of("a"), b = lease_of("b"), back;
    a.ports[0] = (struct kn_host_port){.host_port = 8080, .pod_port = 80, .protocol = IPPROTO_TCP};
    a.ports_len = 1;
    b.ports[0] = (struct kn_host_port){.host_ip = 0x7f000001, .host_port = 8080, .pod_port = 80,
                                       .protocol = IPPROTO_TCP};
    b.ports_len = 1;
    ktest_ok(kn_leases_take(l, &a));
    ktest_fails(kn_leases_take(l, &b), CONFLICT, "host port 8080/tcp is taken by pod default/a");
    b.ports[0].protocol = IPPROTO_UDP;
    ktest_ok(kn_leases_take(l, &b));
    kn_leases_close(l);
    ktest_ok(kn_leases_open(dir, net, &l));
    ktest_true(kn_leases_get(l, KN_SV("b"), &back));
    ktest_eq_int(back.ports_len, 1);
    ktest_true(memcmp(&back.ports[0], &b.ports[0], sizeof b.ports[0]) == 0);
    kn_leases_close(l);
    ktest_ok(kn_dir_remove(dir));
}

KTEST(what_is_no_lease_is_thrown_away_and_strange_uids_are_refused)
{
    const char *dir = fresh_folder();
    struct kn_leases *l;
    char path[128];
    snprintf(path, sizeof path, "%s/broken", dir);
    ktest_ok(kn_file_write(path, KN_SV("ip 10.244.0.300\n"), 0644, false));
    ktest_ok(kn_leases_open(dir, (struct kn_net4){0x0af40000, 24}, &l));
    ktest_eq_int(kn_leases_len(l), 0);
    ktest_true(!kn_file_exists(path));
    struct kn_lease evil = lease_of("../../etc/passwd");
    ktest_fails(kn_leases_take(l, &evil), INVALID, "cannot be a pod's uid");
    kn_leases_close(l);
    ktest_ok(kn_dir_remove(dir));
}

// -- pods in namespaces ----------------------------------------------------------------------

static char run_dir[64];

static struct kn_pod_nets *open_nets(struct kn_pod_sink sink)
{
    struct kn_pod_nets *n;
    snprintf(run_dir, sizeof run_dir, "%s/run", kn_lab_dir());
    ktest_ok(kn_pod_nets_open(
        &(struct kn_pod_nets_config){.run_dir = run_dir, .net = {0x0af40000, 24}, .sink = sink},
        &n));
    return n;
}

static struct kn_pod_net pod_of(const struct kn_lab_ns *ns, const char *uid)
{
    return (struct kn_pod_net){
        .netns = ns->path, .ns = KN_SV("default"), .name = KN_SV("pod"), .uid = kn_sv_c(uid)};
}

static int links_of_pods(void)
{
    int n = 0;
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *i = all; i && i->if_index; i++)
        n += strncmp(i->if_name, "kn", 2) == 0;
    if_freenameindex(all);
    return n;
}

static bool forwarding(void)
{
    struct kn_buf b = KN_BUF(16384);
    ktest_ok(kn_file_read("/proc/sys/net/ipv4/ip_forward", 16, &b));
    bool on = b.ptr[0] == '1';
    kn_buf_done(&b);
    return on;
}

KTEST(pods_reach_one_another_and_the_machine_and_a_reset_leaves_nothing)
{
    if (!kn_lab_begin())
        ktest_skip("needs root, to make a network of its own");
    struct kn_lab_ns a, b;
    struct kn_arena *arena = kn_arena_new(0, 4096);
    struct kn_sv ip_a, ip_b;
    char out[128];
    ktest_ok(
        kn_sysctl_set(NULL, "net/ipv4/ip_forward", "0")); // a namespace begins as the machine is
    kn_lab_ns_make(&a, "a");
    kn_lab_ns_make(&b, "b");
    struct kn_pod_nets *n = open_nets((struct kn_pod_sink){0});
    struct kn_pod_net pa = pod_of(&a, "uid-a"), pb = pod_of(&b, "uid-b");
    ktest_ok(kn_pod_nets_setup(n, &pa, arena, &ip_a));
    ktest_ok(kn_pod_nets_setup(n, &pb, arena, &ip_b));
    ktest_eq_sv(ip_a, "10.244.0.1");
    ktest_eq_sv(ip_b, "10.244.0.2");
    struct kn_lab_server *s = kn_lab_serve(&b, "b", false, "0.0.0.0", 80);
    ktest_eq_str(kn_lab_ask(&a, false, "10.244.0.2", 80, out), "b 10.244.0.1");
    ktest_eq_str(kn_lab_ask(&b, false, "127.0.0.1", 80, out), "b 127.0.0.1"); // lo is up
    ktest_eq_str(kn_lab_ask(&a, false, "10.244.0.2", 81, out), "refused");
    ktest_true(forwarding());

    // the second time finds everything
    ktest_ok(kn_pod_nets_setup(n, &pa, arena, &ip_a));
    ktest_eq_sv(ip_a, "10.244.0.1");
    ktest_eq_int(links_of_pods(), 2);
    ktest_ok(kn_pod_nets_teardown(n, &pa));
    ktest_ok(kn_pod_nets_teardown(n, &pa));
    ktest_eq_int(kn_leases_len(kn_pod_nets_leases(n)), 1);
    kn_pod_nets_close(n);
    kn_lab_server_stop(s);
    ktest_ok(kn_pod_nets_reset(run_dir));
    ktest_ok(kn_pod_nets_reset(run_dir));
    ktest_eq_int(links_of_pods(), 0);
    ktest_true(!forwarding());
    ktest_true(!kn_file_exists(run_dir) || rmdir(run_dir) == 0);
    kn_lab_ns_drop(&a);
    kn_lab_ns_drop(&b);
    kn_arena_free(arena);
}

KTEST(a_restarted_agent_finds_its_pods_even_without_their_files)
{
    if (!kn_lab_begin())
        ktest_skip("needs root, to make a network of its own");
    struct kn_lab_ns a, b;
    struct kn_arena *arena = kn_arena_new(0, 4096);
    struct kn_sv ip;
    char path[128];
    kn_lab_ns_make(&a, "a");
    kn_lab_ns_make(&b, "b");
    struct kn_pod_nets *n = open_nets((struct kn_pod_sink){0});
    struct kn_pod_net pa = pod_of(&a, "uid-a"), pb = pod_of(&b, "uid-b");
    ktest_ok(kn_pod_nets_setup(n, &pa, arena, &ip));
    ktest_ok(kn_pod_nets_setup(n, &pb, arena, &ip));
    kn_pod_nets_close(n);
    snprintf(path, sizeof path, "%s/network/pods/uid-b", run_dir);
    ktest_true(unlink(path) == 0);

    n = open_nets((struct kn_pod_sink){0});
    ktest_ok(kn_pod_nets_restore(n, &pb, arena, &ip));
    ktest_eq_sv(ip, "10.244.0.2");
    ktest_ok(kn_pod_nets_restore(n, &pa, arena, &ip));
    ktest_eq_sv(ip, "10.244.0.1");
    kn_pod_nets_close(n);

    // a pod whose interface is gone has no lease any more
    kn_lab_ns_drop(&a);
    char name[IFNAMSIZ];
    kn_pod_link_name(KN_SV("uid-a"), name);
    struct kn_nl nl;
    struct kn_link link;
    ktest_ok(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    if (kn_ok(kn_link_get(&nl, name, &link)))
        ktest_ok(kn_link_remove(&nl, link.index));
    kn_nl_close(&nl);
    n = open_nets((struct kn_pod_sink){0});
    ktest_eq_int(kn_leases_len(kn_pod_nets_leases(n)), 1);
    kn_pod_nets_close(n);
    ktest_ok(kn_pod_nets_reset(run_dir));
    kn_lab_ns_drop(&b);
    kn_arena_free(arena);
}

KTEST(a_new_namespace_of_the_same_pod_takes_the_interface_over)
{
    if (!kn_lab_begin())
        ktest_skip("needs root, to make a network of its own");
    struct kn_lab_ns a, b;
    struct kn_arena *arena = kn_arena_new(0, 4096);
    struct kn_sv ip;
    char out[128];
    kn_lab_ns_make(&a, "a");
    kn_lab_ns_make(&b, "b");
    struct kn_pod_nets *n = open_nets((struct kn_pod_sink){0});
    struct kn_pod_net first = pod_of(&a, "uid-a"), second = pod_of(&b, "uid-a"),
                      other = pod_of(&a, "uid-c");
    ktest_ok(kn_pod_nets_setup(n, &first, arena, &ip));
    ktest_ok(kn_pod_nets_setup(n, &second, arena, &ip));
    ktest_eq_sv(ip, "10.244.0.1");
    ktest_ok(kn_pod_nets_setup(n, &other, arena, &ip)); // the old namespace has no eth0 any more
    struct kn_lab_server *s = kn_lab_serve(&b, "b", false, "0.0.0.0", 80);
    ktest_eq_str(kn_lab_ask(&a, false, "10.244.0.1", 80, out), "b 10.244.0.2");
    kn_lab_server_stop(s);
    kn_pod_nets_close(n);
    ktest_ok(kn_pod_nets_reset(run_dir));
    kn_lab_ns_drop(&a);
    kn_lab_ns_drop(&b);
    kn_arena_free(arena);
}

static struct kn_status note_ports(void *arg, const struct kn_lease *lease)
{
    kn_buf_addf(arg, "%s:%zu ", lease->uid, lease->ports_len);
    return KN_STATUS_OK;
}

static struct kn_status note_drop(void *arg, const struct kn_lease *lease)
{
    kn_buf_addf(arg, "%s:gone ", lease->uid);
    return KN_STATUS_OK;
}

static struct kn_status note_keep(void *arg, struct kn_leases *leases)
{
    kn_buf_addf(arg, "keep:%zu ", kn_leases_len(leases));
    return KN_STATUS_OK;
}

KTEST(host_ports_are_handed_to_the_sink_and_refused_without_one)
{
    if (!kn_lab_begin())
        ktest_skip("needs root, to make a network of its own");
    struct kn_lab_ns a;
    struct kn_arena *arena = kn_arena_new(0, 1u << 20);
    struct kn_json *spec;
    struct kn_sv ip;
    struct kn_buf seen = KN_BUF(1024);
    ktest_ok(
        kn_json_parse(arena,
                      KN_SV("{\"containers\":[{\"ports\":[{\"containerPort\":80,\"hostPort\":8080},"
                            "{\"containerPort\":81}]}]}"),
                      NULL, &spec));
    kn_lab_ns_make(&a, "a");
    struct kn_pod_nets *n = open_nets((struct kn_pod_sink){0});
    struct kn_pod_net pod = pod_of(&a, "uid-a");
    pod.spec = spec;
    ktest_fails(kn_pod_nets_setup(n, &pod, arena, &ip), NOT_SUPPORTED,
                "pod default/pod: this network opens no host");
    kn_pod_nets_close(n);
    n = open_nets((struct kn_pod_sink){&seen, note_ports, note_drop, note_keep});
    ktest_ok(kn_pod_nets_setup(n, &pod, arena, &ip));
    ktest_ok(kn_pod_nets_teardown(n, &pod));
    ktest_eq_str(kn_buf_cstr(&seen), "keep:0 uid-a:1 uid-a:gone ");
    pod.netns = "/nowhere";
    ktest_fails(kn_pod_nets_setup(n, &pod, arena, &ip), NOT_FOUND, "/nowhere");
    kn_pod_nets_close(n);
    ktest_ok(kn_pod_nets_reset(run_dir));
    kn_lab_ns_drop(&a);
    kn_buf_done(&seen);
    kn_arena_free(arena);
}

KTEST_MAIN(KTEST_CASE(addresses_go_round_and_survive_a_restart),
           KTEST_CASE(a_host_port_has_one_pod_and_comes_back_from_the_file),
           KTEST_CASE(what_is_no_lease_is_thrown_away_and_strange_uids_are_refused),
           KTEST_CASE(pods_reach_one_another_and_the_machine_and_a_reset_leaves_nothing),
           KTEST_CASE(a_restarted_agent_finds_its_pods_even_without_their_files),
           KTEST_CASE(a_new_namespace_of_the_same_pod_takes_the_interface_over),
           KTEST_CASE(host_ports_are_handed_to_the_sink_and_refused_without_one))
