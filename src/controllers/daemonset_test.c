// Daemon sets: a pod on every node that they may run on, and their updates. The tests stand in for
// the scheduler and the agent.
#include "controllers/testing.h"

static void node(const char *name, const char *labels, const char *taints)
{
    ct_make(kn_core("nodes"), "",
            "{\"metadata\":{\"name\":\"%s\",\"labels\":{%s}},\"spec\":{\"taints\":[%s]}}", name,
            labels, taints);
    ct_patch(kn_core("nodes"), "", name, "status",
             "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
}

static void daemonset(const char *ns, const char *more, const char *spec)
{
    ct_make(kn_apps("daemonsets"), ns,
            "{\"metadata\":{\"name\":\"d\"},\"spec\":{%s\"selector\":{\"matchLabels\":{\"app\":"
            "\"d\"}},\"template\":{"
            "\"metadata\":{\"labels\":{\"app\":\"d\"}},\"spec\":{%s\"containers\":[{\"name\":\"c\","
            "\"image\":\"v1\"}]}}}}",
            more, spec);
}

static void end(const char *ns)
{
    ct_delete(kn_apps("daemonsets"), ns, "d", NULL);
    ktest_until(ct_count(kn_core("pods"), ns, "") == 0);
    struct kn_obj_list l;
    ktest_ok(kn_client_list(ct_admin, kn_core("nodes"), NULL, &l));
    for (size_t i = 0; i < l.len; i++)
        ktest_ok(kn_client_delete(ct_admin, kn_core("nodes"), KN_SV_NULL, l.items[i]->name,
                                  KN_DELETE_DEFAULT));
    kn_obj_list_done(&l);
}

static int64_t of(const char *ns, enum kn_atom what)
{
    return ct_observed(kn_apps("daemonsets"), ns, "d")
               ? ct_status(kn_apps("daemonsets"), ns, "d", what)
               : -1;
}

KTEST(every_node_that_it_may_run_on_has_one_pod)
{
    ct_namespace("ds-nodes");
    node("a", "\"disk\":\"ssd\"", "");
    node("b", "\"disk\":\"hdd\"", "");
    node("c", "\"disk\":\"ssd\"", "{\"key\":\"own\",\"effect\":\"NoSchedule\"}");
    daemonset("ds-nodes", "", "\"nodeSelector\":{\"disk\":\"ssd\"},");
    ktest_until(of("ds-nodes", KN_K_desiredNumberScheduled) == 1);
    ktest_until(ct_count(kn_core("pods"), "ds-nodes", "app=d") == 1);
    ct_patch(kn_core("nodes"), "", "b", NULL, "{\"metadata\":{\"labels\":{\"disk\":\"ssd\"}}}");
    ktest_until(ct_count(kn_core("pods"), "ds-nodes", "app=d") == 2);
    ct_run_pods("ds-nodes");
    ktest_until(of("ds-nodes", KN_K_numberAvailable) == 2);
    ct_patch(kn_core("nodes"), "", "a", NULL, "{\"metadata\":{\"labels\":{\"disk\":null}}}");
    ktest_until(ct_count(kn_core("pods"), "ds-nodes", "app=d") == 1);
    node("d", "\"disk\":\"ssd\"", "");
    ktest_until(ct_count(kn_core("pods"), "ds-nodes", "app=d") == 2);
    ktest_until(of("ds-nodes", KN_K_currentNumberScheduled) == 2);
    ct_patch(kn_core("nodes"), "", "d", NULL,
             "{\"spec\":{\"unschedulable\":true}}"); // it stands that
    ktest_until(
        kn_json_len(KN_JSON_AT(ct_get(kn_core("nodes"), "", "d"), KN_K_spec, KN_K_taints)) == 1);
    ktest_eq_int(ct_count(kn_core("pods"), "ds-nodes", "app=d"), 2);
    end("ds-nodes");
}

static bool updated(const char *ns, int64_t n)
{
    ct_run_pods(ns);
    return of(ns, KN_K_updatedNumberScheduled) == n && of(ns, KN_K_numberAvailable) == n;
}

KTEST(a_new_template_replaces_one_pod_after_the_other)
{
    ct_namespace("ds-roll");
    node("a", "", "");
    node("b", "", "");
    node("c", "", "");
    daemonset("ds-roll", "", "");
    ktest_until(updated("ds-roll", 3));
    ct_patch(kn_apps("daemonsets"), "ds-roll", "d", NULL,
             "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"v2\"}]"
             "}}}}");
    ktest_until(of("ds-roll", KN_K_updatedNumberScheduled) ==
                1); // the first is not ready: the others wait
    ktest_until(of("ds-roll", KN_K_numberAvailable) == 2);
    ktest_until(updated("ds-roll", 3));
    ktest_until(ct_count(kn_apps("controllerrevisions"), "ds-roll", "app=d") == 2);
    ct_patch(kn_apps("daemonsets"), "ds-roll", "d", NULL, // as kubectl rollout undo does
             "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"v1\"}]"
             "}}}}");
    ktest_until(updated("ds-roll", 3));
    ktest_until(ct_count(kn_apps("controllerrevisions"), "ds-roll", "app=d") == 2);
    end("ds-roll");
}

KTEST(with_surge_the_new_pod_comes_before_the_old_one_goes)
{
    ct_namespace("ds-surge");
    node("a", "", "");
    daemonset("ds-surge",
              "\"updateStrategy\":{\"rollingUpdate\":{\"maxSurge\":1,\"maxUnavailable\":0}},", "");
    ktest_until(updated("ds-surge", 1));
    ct_patch(kn_apps("daemonsets"), "ds-surge", "d", NULL,
             "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"v2\"}]"
             "}}}}");
    ktest_until(ct_count(kn_core("pods"), "ds-surge", "app=d") == 2);
    ktest_until(of("ds-surge", KN_K_numberAvailable) == 1);
    ct_run_pods("ds-surge");
    ktest_until(ct_count(kn_core("pods"), "ds-surge", "app=d") == 1);
    end("ds-surge");
}

KTEST(on_delete_leaves_old_pods_alone)
{
    ct_namespace("ds-manual");
    node("a", "", "");
    daemonset("ds-manual", "\"updateStrategy\":{\"type\":\"OnDelete\"},", "");
    ktest_until(updated("ds-manual", 1));
    ct_patch(kn_apps("daemonsets"), "ds-manual", "d", NULL,
             "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"v2\"}]"
             "}}}}");
    ktest_until(of("ds-manual", KN_K_updatedNumberScheduled) == 0);
    ktest_until(of("ds-manual", KN_K_numberAvailable) == 1);
    struct kn_obj_list l;
    ktest_ok(kn_client_list(ct_admin, kn_core("pods"),
                            &(struct kn_list_options){.ns = KN_SV("ds-manual")}, &l));
    ktest_ok(kn_client_delete(ct_admin, kn_core("pods"), l.items[0]->ns, l.items[0]->name,
                              KN_DELETE_DEFAULT));
    kn_obj_list_done(&l);
    ktest_until(updated("ds-manual", 1));
    end("ds-manual");
}

CT_MAIN(KTEST_CASE(every_node_that_it_may_run_on_has_one_pod),
        KTEST_CASE(a_new_template_replaces_one_pod_after_the_other),
        KTEST_CASE(with_surge_the_new_pod_comes_before_the_old_one_goes),
        KTEST_CASE(on_delete_leaves_old_pods_alone))
