// The scheduler against a real API server: nodes and pods are made as others make them, and what
// it writes is read back.
#include "scheduler/scheduler.h"

#include "base/log.h"
#include "lib/ktest.h"
#include "lib/test_api.h"

static struct test_api api;
static struct kn_client *admin, *own;
static struct kn_arena *arena;
static struct kn_cache *pods, *events;

#define NS KN_SV("default")

static const struct kn_resource *core(const char *plural)
{
    return kn_resource_find(KN_SV(""), KN_SV("v1"), kn_sv_c(plural));
}

static void make(const char *plural, struct kn_sv ns, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void make(const char *plural, struct kn_sv ns, const char *format, ...)
{
    struct kn_buf text = KN_BUF(1 << 16);
    va_list args;
    va_start(args, format);
    kn_buf_vaddf(&text, format, args);
    va_end(args);
    struct kn_json *v;
    ktest_ok(kn_json_parse(arena, kn_arena_dup(arena, kn_buf_sv(&text)), NULL, &v));
    kn_buf_done(&text);
    ktest_ok(kn_client_create(admin, core(plural), ns, KN_SV_NULL, NULL, v, NULL));
}

// more: further members of metadata and spec, each with a leading comma, or "".
static void node(const char *name, const char *labels, const char *spec, const char *cpu)
{
    make("nodes", KN_SV_NULL,
         "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"kubernetes.io/"
         "hostname\":\"%s\"%s}},\"spec\":{%s},"
         "\"status\":{\"allocatable\":{\"cpu\":\"%s\",\"memory\":\"8Gi\",\"pods\":\"110\"}}}",
         name, name, labels, spec, cpu);
    // what admission puts on a new node is taken away when it is ready
    struct kn_sv p =
        kn_arena_printf(arena, "{\"spec\":{\"taints\":[%s]}}",
                        strstr(spec, "taints") ? "{\"key\":\"k\",\"value\":\"v\",\"effect\":"
                                                 "\"NoSchedule\"}"
                                               : "");
    ktest_ok(kn_client_patch(admin, core("nodes"), KN_SV_NULL, kn_sv_c(name), NULL, KN_PATCH_MERGE,
                             p, NULL));
}

static void pod(const char *name, const char *labels, const char *spec, const char *cpu)
{
    make("pods", NS,
         "{\"metadata\":{\"name\":\"%s\",\"labels\":{%s}},\"spec\":{%s\"containers\":[{\"name\":"
         "\"c\","
         "\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"%s\"}}}]}}",
         name, labels, spec, cpu);
}

static struct kn_sv node_of(const char *name)
{
    const struct kn_obj *o = kn_cache_get(pods, NS, kn_sv_c(name));
    struct kn_sv r =
        o ? kn_arena_dup(arena, KN_JSON_STR_AT(o->root, KN_K_spec, KN_K_nodeName)) : KN_SV_NULL;
    kn_obj_unref(o);
    return r;
}

static struct kn_sv why_not(const char *name)
{
    const struct kn_obj *o = kn_cache_get(pods, NS, kn_sv_c(name));
    const struct kn_json *c;
    struct kn_sv r = KN_SV_NULL;
    KN_JSON_EACH(c, o ? KN_JSON_AT(o->root, KN_K_status, KN_K_conditions) : NULL)
    if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_type)), "PodScheduled") &&
        kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), "False"))
        r = kn_arena_dup(arena, kn_json_str(kn_json_get(c, KN_K_message)));
    kn_obj_unref(o);
    return r;
}

static bool find_event(void *arg, const struct kn_obj *o)
{
    const char **want = arg; // involved name, reason, message
    if (kn_sv_is(KN_JSON_STR_AT(o->root, KN_K_involvedObject, KN_K_name), want[0]) &&
        kn_sv_is(kn_json_str(kn_json_get(o->root, KN_K_reason)), want[1]) &&
        kn_sv_is(kn_json_str(kn_json_get(o->root, KN_K_message)), want[2]))
        want[0] = NULL;
    return want[0] != NULL;
}

static bool has_event(const char *name, const char *reason, const char *message)
{
    const char *want[] = {name, reason, message};
    kn_cache_list(events, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, find_event, want);
    return want[0] == NULL;
}

static void remove_all(const char *plural, struct kn_sv ns)
{
    struct kn_obj_list l;
    ktest_ok(kn_client_list(admin, core(plural), &(struct kn_list_options){.ns = ns}, &l));
    for (size_t i = 0; i < l.len; i++)
        ktest_ok(kn_client_delete(admin, core(plural), l.items[i]->ns, l.items[i]->name,
                                  &(struct kn_delete_options){.grace_seconds = 0}));
    kn_obj_list_done(&l);
}

static struct kn_scheduler *begin(void)
{
    struct kn_scheduler *s;
    ktest_ok(kn_scheduler_start(&(struct kn_scheduler_config){.client = own, .binders = 4}, &s));
    return s;
}

static void end(struct kn_scheduler *s)
{
    kn_scheduler_stop(s);
    remove_all("pods", NS);
    remove_all("nodes", KN_SV_NULL);
}

KTEST(binds_a_pod_and_says_so)
{
    struct kn_scheduler *s = begin();
    node("n1", "", "", "4");
    pod("p", "", "", "1");
    ktest_until(node_of("p").len);
    ktest_eq_sv(node_of("p"), "n1");
    ktest_until(has_event("p", "Scheduled", "Successfully assigned default/p to n1"));
    end(s);
}

KTEST(leaves_pods_of_other_schedulers_alone)
{
    struct kn_scheduler *s = begin();
    node("n1", "", "", "4");
    pod("other", "", "\"schedulerName\":\"other\",", "1");
    pod("p", "", "", "1");
    ktest_until(node_of("p").len);
    ktest_eq_int(node_of("other").len, 0);
    end(s);
}

KTEST(says_why_nothing_fits_in_the_words_of_upstream)
{
    static const struct {
        const char *name, *spec, *cpu, *message;
    } cases[] = {
        {"cpu-now", "", "3",
         "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated "
         "taint(s), 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 1 No "
         "preemption "
         "victims found for incoming pod, 2 Preemption is not helpful for scheduling."},
        {"cpu-never", "", "5",
         "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated "
         "taint(s), 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 "
         "Preemption is "
         "not helpful for scheduling."},
        {"selector", "\"nodeSelector\":{\"disk\":\"ssd\"},", "0",
         "0/3 nodes are available: 1 node(s) "
         "didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s), 1 node(s) "
         "were "
         "unschedulable. preemption: 0/3 nodes are available: 3 Preemption is not helpful for "
         "scheduling."},
        {"claim", "\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"x\"}}],",
         "0",
         "0/3 nodes are available: persistentvolumeclaim \"x\" not found. preemption: 0/3 nodes "
         "are "
         "available: 3 Preemption is not helpful for scheduling."},
    };
    struct kn_scheduler *s = begin();
    pod("no-nodes", "", "", "0");
    ktest_until(kn_sv_is(why_not("no-nodes"), "no nodes available to schedule pods"));
    node("plain", "", "", "4");
    ktest_until(node_of("no-nodes").len);
    pod("first", "", "", "2");
    ktest_until(node_of("first").len);
    node("tainted", "", "\"taints\":[{\"key\":\"k\",\"effect\":\"NoSchedule\"}]", "4");
    node("cordoned", "", "\"unschedulable\":true", "4");
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        pod(cases[i].name, "", cases[i].spec, cases[i].cpu);
        ktest_until(why_not(cases[i].name).len);
        ktest_eq_sv(why_not(cases[i].name), cases[i].message);
        ktest_until(has_event(cases[i].name, "FailedScheduling", cases[i].message));
    }
    end(s);
}

KTEST(goes_where_only_one_node_will_do)
{
    static const struct {
        const char *name, *spec;
    } cases[] = {
        {"by-selector", "\"nodeSelector\":{\"disk\":\"ssd\"},"},
        {"by-affinity",
         "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
         "\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"size\",\"operator\":\"Gt\","
         "\"values\":["
         "\"5\"]}]}]}}},"},
        {"by-preference",
         "\"affinity\":{\"nodeAffinity\":{\"preferredDuringSchedulingIgnoredDuringExecution"
         "\":[{\"weight\":100,\"preference\":{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":"
         "\"Exists"
         "\"}]}}]}},"},
        {"by-field",
         "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"
         "\"nodeSelectorTerms\":[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\","
         "\"values"
         "\":[\"special\"]}]}]}}},"},
    };
    struct kn_scheduler *s = begin();
    node("a", "", "", "64");
    node("special", ",\"disk\":\"ssd\",\"size\":\"7\"", "", "64");
    node("z", "", "", "64");
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        pod(cases[i].name, "", cases[i].spec, "0");
        ktest_until(node_of(cases[i].name).len);
        ktest_eq_sv(node_of(cases[i].name), "special");
    }
    end(s);
}

KTEST(a_waiting_pod_goes_on_when_something_becomes_free)
{
    struct kn_scheduler *s = begin();
    node("n1", "", "", "4");
    pod("big", "", "", "3");
    ktest_until(node_of("big").len);
    pod("next", "", "", "3");
    ktest_until(why_not("next").len);
    ktest_ok(kn_client_delete(admin, core("pods"), NS, KN_SV("big"),
                              &(struct kn_delete_options){.grace_seconds = 0}));
    ktest_until(node_of("next").len);
    end(s);
}

KTEST(a_gated_pod_waits_for_its_gate)
{
    struct kn_scheduler *s = begin();
    node("n1", "", "", "4");
    pod("gated", "", "\"schedulingGates\":[{\"name\":\"example.com/g\"}],", "0");
    ktest_until(
        kn_sv_is(why_not("gated"), "Scheduling is blocked due to non-empty scheduling gates"));
    pod("free", "", "", "0");
    ktest_until(node_of("free").len);
    ktest_eq_int(node_of("gated").len, 0);
    ktest_ok(kn_client_patch(admin, core("pods"), NS, KN_SV("gated"), NULL, KN_PATCH_MERGE,
                             KN_SV("{\"spec\":{\"schedulingGates\":null}}"), NULL));
    ktest_until(node_of("gated").len);
    end(s);
}

#define FAR                                                                                        \
    "\"affinity\":{\"podAntiAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{"     \
    "\"labelSelector\":{\"matchLabels\":{\"app\":\"x\"}},\"topologyKey\":\"kubernetes.io/"         \
    "hostname\"}]}},"
#define NEAR                                                                                       \
    "\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{"         \
    "\"labelSelector\":{\"matchLabels\":{\"app\":\"x\"}},\"topologyKey\":\"kubernetes.io/"         \
    "hostname\"}]}},"

KTEST(keeps_pods_apart_and_together)
{
    struct kn_scheduler *s = begin();
    node("a", "", "", "8");
    node("b", "", "", "8");
    pod("x1", "\"app\":\"x\"", FAR, "0");
    pod("x2", "\"app\":\"x\"", FAR, "0");
    pod("x3", "\"app\":\"x\"", FAR, "0");
    ktest_until((node_of("x1").len > 0) + (node_of("x2").len > 0) + (node_of("x3").len > 0) == 2);
    ktest_until(why_not("x1").len || why_not("x2").len || why_not("x3").len);
    pod("plain", "\"app\":\"x\"", "", "0"); // says nothing itself, and others want no x beside them
    ktest_until(why_not("plain").len);
    ktest_eq_sv(
        why_not("plain"),
        "0/2 nodes are available: 2 node(s) didn't satisfy existing pods "
        "anti-affinity rules. preemption: 0/2 nodes are available: 2 No preemption victims found "
        "for incoming pod.");
    node("c", "", "",
         "8"); // room for one of the two that wait, and then for those who want to be near
    ktest_until(node_of("x1").len && node_of("x2").len && node_of("x3").len);
    pod("near", "\"app\":\"y\"", NEAR, "0");
    ktest_until(node_of("near").len);
    end(s);
}

KTEST(spreads_over_zones_as_it_is_told)
{
    struct kn_scheduler *s = begin();
    node("a1", ",\"zone\":\"a\"", "", "64");
    node("a2", ",\"zone\":\"a\"", "", "64");
    node("b1", ",\"zone\":\"b\"", "", "64");
    for (int i = 0; i < 6; i++)
        pod(kn_arena_printf(arena, "s%d", i).ptr, "\"app\":\"s\"",
            "\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"zone\","
            "\"whenUnsatisfiable\":"
            "\"DoNotSchedule\",\"labelSelector\":{\"matchLabels\":{\"app\":\"s\"}}}],",
            "0");
    int b = 0;
    for (int i = 0; i < 6; i++) {
        const char *name = kn_arena_printf(arena, "s%d", i).ptr;
        ktest_until(node_of(name).len);
        b += kn_sv_is(node_of(name), "b1");
    }
    ktest_eq_int(b, 3);
    end(s);
}

KTEST(host_ports_are_taken_once)
{
    struct kn_scheduler *s = begin();
    node("a", "", "", "8");
    for (int i = 0; i < 2; i++)
        make("pods", NS,
             "{\"metadata\":{\"name\":\"h%d\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
             "\"i\",\"ports\":[{\"containerPort\":80,\"hostPort\":8080}]}]}}",
             i);
    ktest_until(why_not("h0").len || why_not("h1").len);
    ktest_eq_sv(
        why_not("h0").len ? why_not("h0") : why_not("h1"),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
    end(s);
}

KTEST(many_pods_fill_many_nodes_evenly)
{
    struct kn_scheduler *s = begin();
    for (int i = 0; i < 20; i++)
        node(kn_arena_printf(arena, "n%02d", i).ptr, "", "", "10");
    for (int i = 0; i < 200; i++)
        pod(kn_arena_printf(arena, "m%03d", i).ptr, "", "", "1");
    int on[20] = {0};
    for (int i = 0; i < 200; i++) {
        const char *name = kn_arena_printf(arena, "m%03d", i).ptr;
        ktest_until(node_of(name).len);
        struct kn_sv n = node_of(name);
        on[(n.ptr[1] - '0') * 10 + n.ptr[2] - '0']++;
    }
    for (int i = 0; i < 20; i++)
        ktest_eq_int(on[i], 10);
    end(s);
}

KTEST(goes_where_its_image_is)
{
    struct kn_scheduler *s = begin();
    node("a", "", "", "8");
    node("b", "", "", "8");
    node("c", "", "", "8");
    ktest_ok(
        kn_client_patch(admin, core("nodes"), KN_SV_NULL, KN_SV("b"), "status", KN_PATCH_MERGE,
                        KN_SV("{\"status\":{\"images\":[{\"names\":[\"other:1\"],\"sizeBytes\":"
                              "900000000},{\"names\":[\"reg/i:latest\"],\"sizeBytes\":"
                              "800000000}]}}"),
                        NULL));
    for (int i = 0; i < 2; i++)
        make(
            "pods", NS,
            "{\"metadata\":{\"name\":\"im%d\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
            "\"%s\"}]}}",
            i, i ? "other:1" : "reg/i");
    for (int i = 0; i < 2; i++) {
        ktest_until(node_of(i ? "im1" : "im0").len);
        ktest_eq_sv(node_of(i ? "im1" : "im0"), "b");
    }
    end(s);
}

KTEST(a_new_scheduler_knows_what_is_taken)
{
    struct kn_scheduler *s = begin();
    node("n1", "", "", "4");
    pod("p", "", "", "3");
    ktest_until(node_of("p").len);
    kn_scheduler_stop(s);
    pod("q", "", "", "3");
    s = begin();
    ktest_until(why_not("q").len);
    end(s);
}

int main(void)
{
    kn_log_init("test", KN_LOG_ERROR);
    arena = kn_arena_new(1 << 16, (size_t)256 << 20);
    static const char *const masters[] = {"system:masters", NULL};
    struct kn_status s = test_api_start(NULL, &api);
    if (kn_ok(s))
        s = kn_apiserver_local(api.server, "admin", masters, &admin);
    if (kn_ok(s))
        s = kn_apiserver_local(api.server, "system:kube-scheduler", NULL, &own);
    if (kn_ok(s))
        s = kn_client_cache(admin, core("pods"), NULL, kn_mono() + KTEST_PATIENCE, &pods);
    if (kn_ok(s))
        s = kn_client_cache(admin, core("events"), NULL, kn_mono() + KTEST_PATIENCE, &events);
    if (!kn_ok(s)) {
        fprintf(stderr, "%s\n", kn_status_text(&s));
        return 1;
    }
    make("serviceaccounts", NS,
         "{\"metadata\":{\"name\":\"default\"},\"automountServiceAccountToken\":false}");
    const struct CMUnitTest tests[] = {
        KTEST_CASE(binds_a_pod_and_says_so),
        KTEST_CASE(leaves_pods_of_other_schedulers_alone),
        KTEST_CASE(says_why_nothing_fits_in_the_words_of_upstream),
        KTEST_CASE(goes_where_only_one_node_will_do),
        KTEST_CASE(a_waiting_pod_goes_on_when_something_becomes_free),
        KTEST_CASE(a_gated_pod_waits_for_its_gate),
        KTEST_CASE(keeps_pods_apart_and_together),
        KTEST_CASE(spreads_over_zones_as_it_is_told),
        KTEST_CASE(host_ports_are_taken_once),
        KTEST_CASE(many_pods_fill_many_nodes_evenly),
        KTEST_CASE(goes_where_its_image_is),
        KTEST_CASE(a_new_scheduler_knows_what_is_taken),
    };
    int failed = cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
    kn_client_close(own);
    kn_client_close(admin);
    test_api_stop(&api);
    kn_arena_free(arena);
    return failed;
}
