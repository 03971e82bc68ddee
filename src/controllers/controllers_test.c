// All controllers against a real API server.
#include "controllers/testing.h"

static bool all_ready(const char *ns, const char *name, int64_t n)
{
    ct_run_pods(ns);
    return ct_observed(kn_apps("deployments"), ns, name) &&
           ct_status(kn_apps("deployments"), ns, name, KN_K_availableReplicas) == n &&
           ct_status(kn_apps("deployments"), ns, name, KN_K_updatedReplicas) == n &&
           ct_status(kn_apps("deployments"), ns, name, KN_K_replicas) == n;
}

#define DEPLOYMENT                                                                                 \
    "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":3,\"selector\":{\"matchLabels\":{"    \
    "\"app\":\"web\"}},"                                                                           \
    "\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{"        \
    "\"name\":\"c\",\"image\":"                                                                    \
    "\"one\",\"ports\":[{\"name\":\"http\",\"containerPort\":80}]}]}}}}"

// -- what every namespace has ---------------------------------------------------------------------

KTEST(a_namespace_gets_an_account_and_the_root_certificate)
{
    ct_namespace("fresh");
    ktest_until(ct_get(kn_core("configmaps"), "fresh", "kube-root-ca.crt"));
    ktest_eq_sv(
        kn_json_str(kn_json_get_sv(
            kn_json_get(ct_get(kn_core("configmaps"), "fresh", "kube-root-ca.crt"), KN_K_data),
            KN_SV("ca.crt"))),
        "the authority");
    ct_delete(kn_core("serviceaccounts"), "fresh", "default", NULL);
    ct_delete(kn_core("configmaps"), "fresh", "kube-root-ca.crt", NULL);
    ktest_until(ct_get(kn_core("serviceaccounts"), "fresh", "default"));
    ktest_until(ct_get(kn_core("configmaps"), "fresh", "kube-root-ca.crt"));
}

KTEST(the_roles_of_users_are_put_together)
{
    const struct kn_resource *r = kn_of("rbac.authorization.k8s.io", "clusterroles");
    ktest_until(kn_json_len(kn_json_get(ct_get(r, "", "view"), KN_K_rules)) > 0);
    ktest_until(kn_json_len(kn_json_get(ct_get(r, "", "admin"), KN_K_rules)) >
                kn_json_len(kn_json_get(ct_get(r, "", "view"), KN_K_rules)));
    uint32_t before = kn_json_len(kn_json_get(ct_get(r, "", "view"), KN_K_rules));
    ct_make(r, "",
            "{\"metadata\":{\"name\":\"more\",\"labels\":{\"rbac.authorization.k8s.io/"
            "aggregate-to-view\":"
            "\"true\"}},\"rules\":[{\"apiGroups\":[\"example.com\"],\"resources\":[\"things\"],"
            "\"verbs\":[\"get\"]}]}");
    ktest_until(kn_json_len(kn_json_get(ct_get(r, "", "view"), KN_K_rules)) == before + 1);
    ct_delete(r, "", "more", NULL);
    ktest_until(kn_json_len(kn_json_get(ct_get(r, "", "view"), KN_K_rules)) == before);
}

// -- deployments ----------------------------------------------------------------------------------

KTEST(a_deployment_becomes_pods_and_follows_its_template)
{
    ct_namespace("deploy");
    ct_make(kn_apps("deployments"), "deploy", DEPLOYMENT);
    ktest_until(ct_count(kn_core("pods"), "deploy", "app=web") == 3);
    ktest_until(all_ready("deploy", "web", 3));
    ct_patch(kn_apps("deployments"), "deploy", "web", NULL, "{\"spec\":{\"replicas\":5}}");
    ktest_until(all_ready("deploy", "web", 5));
    ct_patch(kn_apps("deployments"), "deploy", "web", NULL,
          "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"turn\":\"2\"}}}}}");
    ktest_until(ct_count(kn_apps("replicasets"), "deploy", "") == 2);
    ktest_until(all_ready("deploy", "web", 5));
    ktest_until(kn_sv_is(kn_meta_text(ct_get(kn_apps("deployments"), "deploy", "web"),
                                      KN_K_annotations, "deployment.kubernetes.io/revision"),
                         "2"));
    ct_patch(kn_apps("deployments"), "deploy", "web", NULL, "{\"spec\":{\"replicas\":0}}");
    ktest_until(ct_count(kn_core("pods"), "deploy", "app=web") == 0);
}

KTEST(a_service_has_the_endpoints_of_its_pods)
{
    ct_namespace("svc");
    ct_make(kn_core("services"), "svc",
            "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"selector\":{\"app\":\"web\"},"
            "\"ports\":[{\"port\":80,\"targetPort\":\"http\"}]}}");
    ct_make(kn_apps("deployments"), "svc", DEPLOYMENT);
    ktest_until(ct_count(kn_core("pods"), "svc", "app=web") == 3);
    ct_bind_pods("svc", "n0");
    ct_run_pods("svc");
    ktest_until(
        kn_json_len(kn_json_get(
            kn_json_first(kn_json_get(ct_get(kn_core("endpoints"), "svc", "web"), KN_K_subsets)),
            KN_K_addresses)) == 3);
    ktest_until(ct_count(kn_of("discovery.k8s.io", "endpointslices"), "svc",
                         "kubernetes.io/service-name=web") == 1);
    ct_delete(kn_core("services"), "svc", "web", NULL);
    ktest_until(!ct_get(kn_core("endpoints"), "svc", "web"));
    ktest_until(ct_count(kn_of("discovery.k8s.io", "endpointslices"), "svc", "") == 0);
}

// -- garbage --------------------------------------------------------------------------------------

KTEST(what_a_deployment_owns_goes_with_it)
{
    static const char *const ways[] = {NULL, "Background", "Foreground"};
    ct_namespace("cascade");
    for (size_t i = 0; i < KN_ARRAY_LEN(ways); i++) {
        ct_make(kn_apps("deployments"), "cascade", DEPLOYMENT);
        ktest_until(ct_count(kn_core("pods"), "cascade", "app=web") == 3);
        ct_delete(kn_apps("deployments"), "cascade", "web", ways[i]);
        ktest_until(ct_count(kn_core("pods"), "cascade", "app=web") == 0);
        ktest_until(ct_count(kn_apps("replicasets"), "cascade", "") == 0);
        ktest_until(!ct_get(kn_apps("deployments"), "cascade", "web"));
    }
}

KTEST(orphans_stay_and_lose_their_owner)
{
    ct_namespace("orphan");
    ct_make(kn_apps("deployments"), "orphan", DEPLOYMENT);
    ktest_until(ct_count(kn_core("pods"), "orphan", "app=web") == 3);
    ct_delete(kn_apps("deployments"), "orphan", "web", "Orphan");
    ktest_until(!ct_get(kn_apps("deployments"), "orphan", "web"));
    struct kn_obj_list l;
    ktest_ok(kn_client_list(ct_admin, kn_apps("replicasets"),
                            &(struct kn_list_options){.ns = KN_SV("orphan")}, &l));
    ktest_eq_int(l.len, 1);
    ktest_eq_int(kn_json_len(kn_json_get(l.items[0]->metadata, KN_K_ownerReferences)), 0);
    kn_obj_list_done(&l);
    ktest_eq_int(ct_count(kn_core("pods"), "orphan", "app=web"), 3);
    ct_make(kn_apps("deployments"), "orphan", DEPLOYMENT); // takes them in again
    ktest_until(ct_status(kn_apps("deployments"), "orphan", "web", KN_K_replicas) == 3);
    ktest_eq_int(ct_count(kn_apps("replicasets"), "orphan", ""), 1);
}

KTEST(an_object_lives_as_long_as_one_of_its_owners)
{
    ct_namespace("owners");
    for (int i = 0; i < 2; i++)
        ct_make(kn_core("configmaps"), "owners", "{\"metadata\":{\"name\":\"owner%d\"}}", i);
    struct kn_sv uid[2];
    for (int i = 0; i < 2; i++)
        uid[i] = KN_JSON_STR_AT(ct_get(kn_core("configmaps"), "owners", i ? "owner1" : "owner0"),
                                KN_K_metadata, KN_K_uid);
    ct_make(kn_core("secrets"), "owners",
            "{\"metadata\":{\"name\":\"s\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":"
            "\"ConfigMap\",\"name\":"
            "\"owner0\",\"uid\":\"%.*s\"},{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":"
            "\"owner1\",\"uid\":"
            "\"%.*s\"}]}}",
            KN_SV_ARG(uid[0]), KN_SV_ARG(uid[1]));
    ct_delete(kn_core("configmaps"), "owners", "owner0", NULL);
    ktest_until(kn_json_len(KN_JSON_AT(ct_get(kn_core("secrets"), "owners", "s"), KN_K_metadata,
                                       KN_K_ownerReferences)) == 1);
    ct_delete(kn_core("configmaps"), "owners", "owner1", NULL);
    ktest_until(!ct_get(kn_core("secrets"), "owners", "s"));
    // one whose owner never was (another uid) goes too; one of an unknown kind stays
    ct_make(kn_core("secrets"), "owners",
            "{\"metadata\":{\"name\":\"u\",\"ownerReferences\":[{\"apiVersion\":"
            "\"example.com/v1\",\"kind\":\"Thing\",\"name\":\"t\",\"uid\":\"x\"}]}}");
    ct_make(kn_core("secrets"), "owners",
            "{\"metadata\":{\"name\":\"d\",\"ownerReferences\":[{\"apiVersion\":\"v1\","
            "\"kind\":\"ConfigMap\",\"name\":\"kube-root-ca.crt\",\"uid\":\"x\"}]}}");
    ktest_until(!ct_get(kn_core("secrets"), "owners", "d"));
    ktest_true(ct_get(kn_core("secrets"), "owners", "u"));
}

// -- namespaces -----------------------------------------------------------------------------------

KTEST(a_deleted_namespace_is_emptied_first)
{
    ct_namespace("full");
    ct_make(kn_apps("deployments"), "full", DEPLOYMENT);
    ct_make(kn_core("secrets"), "full", "{\"metadata\":{\"name\":\"s\"}}");
    ct_make(kn_core("configmaps"), "full",
            "{\"metadata\":{\"name\":\"held\",\"finalizers\":[\"example.com/hold\"]}}");
    ktest_until(ct_count(kn_core("pods"), "full", "") == 3);
    ct_delete(kn_core("namespaces"), "", "full", NULL);
    ktest_until(!ct_get(kn_core("secrets"), "full", "s"));
    const struct kn_json *ns = ct_get(kn_core("namespaces"), "", "full");
    ktest_eq_sv(KN_JSON_STR_AT(ns, KN_K_status, KN_K_phase), "Terminating");
    ktest_until(
        (ns = kn_condition(
             KN_JSON_AT(ct_get(kn_core("namespaces"), "", "full"), KN_K_status, KN_K_conditions),
             "NamespaceFinalizersRemaining")) &&
        kn_sv_is(kn_json_str(kn_json_get(ns, KN_K_message)),
                 "Some content in the namespace has finalizers remaining: example.com/hold in 1 "
                 "resource instances"));
    ct_patch(kn_core("configmaps"), "full", "held", NULL, "{\"metadata\":{\"finalizers\":null}}");
    ktest_until(!ct_get(kn_core("namespaces"), "", "full"));
    ktest_eq_int(ct_count(kn_core("pods"), "full", ""), 0);
    ktest_eq_int(ct_count(kn_apps("deployments"), "full", ""), 0);
}

// -- nodes ----------------------------------------------------------------------------------------

KTEST(a_node_that_is_ready_loses_its_taints_and_one_that_is_silent_gets_others)
{
    ct_make(kn_core("nodes"), "", "{\"metadata\":{\"name\":\"n1\"}}");
    ct_patch(kn_core("nodes"), "", "n1", "status",
          "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    ktest_until(
        kn_json_len(KN_JSON_AT(ct_get(kn_core("nodes"), "", "n1"), KN_K_spec, KN_K_taints)) == 0);
    ct_patch(kn_core("nodes"), "", "n1", "status",
          "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
    ktest_until(
        kn_json_len(KN_JSON_AT(ct_get(kn_core("nodes"), "", "n1"), KN_K_spec, KN_K_taints)) == 2);
    ct_delete(kn_core("nodes"), "", "n1", NULL);
}

CT_MAIN(KTEST_CASE(a_namespace_gets_an_account_and_the_root_certificate),
        KTEST_CASE(the_roles_of_users_are_put_together),
        KTEST_CASE(a_deployment_becomes_pods_and_follows_its_template),
        KTEST_CASE(a_service_has_the_endpoints_of_its_pods),
        KTEST_CASE(what_a_deployment_owns_goes_with_it),
        KTEST_CASE(orphans_stay_and_lose_their_owner),
        KTEST_CASE(an_object_lives_as_long_as_one_of_its_owners),
        KTEST_CASE(a_deleted_namespace_is_emptied_first),
        KTEST_CASE(a_node_that_is_ready_loses_its_taints_and_one_that_is_silent_gets_others))
