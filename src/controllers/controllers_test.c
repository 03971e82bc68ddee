// All controllers against a real API server. Nobody runs the pods here: the tests stand in for the node
// agent and write the status that it would write.
#include "controllers/controllers.h"

#include "base/log.h"
#include "controllers/common.h"
#include "lib/ktest.h"
#include "lib/test_api.h"

static struct test_api api;
static struct kn_client *admin;
static struct kn_arena *arena;

static struct kn_json *parse(struct kn_sv text)
{
    struct kn_json *v;
    ktest_ok(kn_json_parse(arena, text, NULL, &v));
    return v;
}

static void make(const struct kn_resource *r, const char *ns, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void make(const struct kn_resource *r, const char *ns, const char *format, ...)
{
    struct kn_buf text = KN_BUF(1 << 16);
    va_list args;
    va_start(args, format);
    kn_buf_vaddf(&text, format, args);
    va_end(args);
    ktest_ok(kn_client_create(admin, r, kn_sv_c(ns), KN_SV_NULL, NULL,
                              parse(kn_arena_dup(arena, kn_buf_sv(&text))), NULL));
    kn_buf_done(&text);
}

// A copy in the test's arena; NULL if it is not there.
static const struct kn_json *get(const struct kn_resource *r, const char *ns, const char *name)
{
    const struct kn_obj *o = NULL;
    struct kn_status s = kn_client_get(admin, r, kn_sv_c(ns), kn_sv_c(name), &o);
    const struct kn_json *v = kn_ok(s) ? kn_json_copy(arena, o->root) : NULL;
    kn_status_done(&s);
    kn_obj_unref(o);
    return v;
}

static size_t count(const struct kn_resource *r, const char *ns, const char *selector)
{
    struct kn_obj_list l;
    ktest_ok(kn_client_list(admin, r,
                            &(struct kn_list_options){.ns = kn_sv_c(ns), .label_selector = kn_sv_c(selector)},
                            &l));
    size_t n = l.len;
    kn_obj_list_done(&l);
    return n;
}

static void patch(const struct kn_resource *r, const char *ns, const char *name, const char *sub, const char *text)
{
    ktest_ok(kn_client_patch(admin, r, kn_sv_c(ns), kn_sv_c(name), sub, KN_PATCH_MERGE, kn_sv_c(text), NULL));
}

static void delete(const struct kn_resource *r, const char *ns, const char *name, const char *how)
{
    ktest_ok(kn_client_delete(admin, r, kn_sv_c(ns), kn_sv_c(name),
                              &(struct kn_delete_options){.grace_seconds = -1, .propagation = how}));
}

static void make_namespace(const char *name)
{
    make(kn_core("namespaces"), "", "{\"metadata\":{\"name\":\"%s\"}}", name);
    ktest_until(get(kn_core("serviceaccounts"), name, "default"));
}

// What the agent says of a pod that runs and is ready.
static void run_pods(const char *ns)
{
    struct kn_obj_list l;
    static int address;
    ktest_ok(kn_client_list(admin, kn_core("pods"), &(struct kn_list_options){.ns = kn_sv_c(ns)}, &l));
    for (size_t i = 0; i < l.len; i++) {
        if (kn_pod_ready(l.items[i]) || l.items[i]->deleting)
            continue;
        struct kn_sv text = kn_arena_printf(
            arena, "{\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.%d\",\"podIPs\":[{\"ip\":\"10.0.0.%d\"}],"
                   "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":"
                   "\"2026-01-01T00:00:00Z\"}]}}", address % 250 + 1, address % 250 + 1);
        address++;
        struct kn_status s = kn_client_patch(admin, kn_core("pods"), l.items[i]->ns, l.items[i]->name, "status",
                                             KN_PATCH_MERGE, text, NULL);
        ktest_true(kn_ok(s) || s.code == KN_NOT_FOUND); // a roll may take it away meanwhile
        kn_status_done(&s);
    }
    kn_obj_list_done(&l);
}

static void bind_pods(const char *ns, const char *node)
{
    struct kn_obj_list l;
    ktest_ok(kn_client_list(admin, kn_core("pods"), &(struct kn_list_options){.ns = kn_sv_c(ns)}, &l));
    struct kn_sv binding = kn_arena_printf(arena, "{\"target\":{\"kind\":\"Node\",\"name\":\"%s\"}}", node);
    for (size_t i = 0; i < l.len; i++)
        ktest_ok(kn_client_create(admin, kn_core("pods"), l.items[i]->ns, l.items[i]->name, "binding",
                                  parse(binding), NULL));
    kn_obj_list_done(&l);
}

static int64_t status_of(const struct kn_resource *r, const char *ns, const char *name, enum kn_atom what)
{
    return kn_json_int(KN_JSON_AT(get(r, ns, name), KN_K_status, what), 0);
}

static bool all_ready(const char *ns, const char *name, int64_t n)
{
    run_pods(ns);
    const struct kn_json *d = get(kn_apps("deployments"), ns, name);
    return kn_json_int(KN_JSON_AT(d, KN_K_metadata, KN_K_generation), 0) ==
               kn_json_int(KN_JSON_AT(d, KN_K_status, KN_K_observedGeneration), 0) &&
           status_of(kn_apps("deployments"), ns, name, KN_K_availableReplicas) == n &&
           status_of(kn_apps("deployments"), ns, name, KN_K_updatedReplicas) == n &&
           status_of(kn_apps("deployments"), ns, name, KN_K_replicas) == n;
}

#define DEPLOYMENT                                                                                 \
    "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":3,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},"      \
    "\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"  \
    "\"one\",\"ports\":[{\"name\":\"http\",\"containerPort\":80}]}]}}}}"

// -- what every namespace has ----------------------------------------------------------------------

KTEST(a_namespace_gets_an_account_and_the_root_certificate)
{
    make_namespace("fresh");
    ktest_until(get(kn_core("configmaps"), "fresh", "kube-root-ca.crt"));
    ktest_eq_sv(kn_json_str(kn_json_get_sv(
                    kn_json_get(get(kn_core("configmaps"), "fresh", "kube-root-ca.crt"), KN_K_data),
                    KN_SV("ca.crt"))),
                "the authority");
    delete(kn_core("serviceaccounts"), "fresh", "default", NULL);
    delete(kn_core("configmaps"), "fresh", "kube-root-ca.crt", NULL);
    ktest_until(get(kn_core("serviceaccounts"), "fresh", "default"));
    ktest_until(get(kn_core("configmaps"), "fresh", "kube-root-ca.crt"));
}

KTEST(the_roles_of_users_are_put_together)
{
    const struct kn_resource *r = kn_of("rbac.authorization.k8s.io", "clusterroles");
    ktest_until(kn_json_len(kn_json_get(get(r, "", "view"), KN_K_rules)) > 0);
    ktest_until(kn_json_len(kn_json_get(get(r, "", "admin"), KN_K_rules)) >
                kn_json_len(kn_json_get(get(r, "", "view"), KN_K_rules)));
    uint32_t before = kn_json_len(kn_json_get(get(r, "", "view"), KN_K_rules));
    make(r, "", "{\"metadata\":{\"name\":\"more\",\"labels\":{\"rbac.authorization.k8s.io/aggregate-to-view\":"
         "\"true\"}},\"rules\":[{\"apiGroups\":[\"example.com\"],\"resources\":[\"things\"],\"verbs\":[\"get\"]}]}");
    ktest_until(kn_json_len(kn_json_get(get(r, "", "view"), KN_K_rules)) == before + 1);
    delete(r, "", "more", NULL);
    ktest_until(kn_json_len(kn_json_get(get(r, "", "view"), KN_K_rules)) == before);
}

// -- deployments -----------------------------------------------------------------------------------

KTEST(a_deployment_becomes_pods_and_follows_its_template)
{
    make_namespace("deploy");
    make(kn_apps("deployments"), "deploy", DEPLOYMENT);
    ktest_until(count(kn_core("pods"), "deploy", "app=web") == 3);
    ktest_until(all_ready("deploy", "web", 3));
    patch(kn_apps("deployments"), "deploy", "web", NULL, "{\"spec\":{\"replicas\":5}}");
    ktest_until(all_ready("deploy", "web", 5));
    patch(kn_apps("deployments"), "deploy", "web", NULL,
          "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"turn\":\"2\"}}}}}");
    ktest_until(count(kn_apps("replicasets"), "deploy", "") == 2);
    ktest_until(all_ready("deploy", "web", 5));
    ktest_eq_sv(kn_meta_text(get(kn_apps("deployments"), "deploy", "web"), KN_K_annotations,
                             "deployment.kubernetes.io/revision"), "2");
    patch(kn_apps("deployments"), "deploy", "web", NULL, "{\"spec\":{\"replicas\":0}}");
    ktest_until(count(kn_core("pods"), "deploy", "app=web") == 0);
}

KTEST(a_service_has_the_endpoints_of_its_pods)
{
    make_namespace("svc");
    make(kn_core("services"), "svc", "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"selector\":{\"app\":\"web\"},"
         "\"ports\":[{\"port\":80,\"targetPort\":\"http\"}]}}");
    make(kn_apps("deployments"), "svc", DEPLOYMENT);
    ktest_until(count(kn_core("pods"), "svc", "app=web") == 3);
    bind_pods("svc", "n0");
    run_pods("svc");
    ktest_until(kn_json_len(kn_json_get(kn_json_first(kn_json_get(get(kn_core("endpoints"), "svc", "web"),
                                                                  KN_K_subsets)), KN_K_addresses)) == 3);
    ktest_until(count(kn_of("discovery.k8s.io", "endpointslices"), "svc", "kubernetes.io/service-name=web") == 1);
    delete(kn_core("services"), "svc", "web", NULL);
    ktest_until(!get(kn_core("endpoints"), "svc", "web"));
    ktest_until(count(kn_of("discovery.k8s.io", "endpointslices"), "svc", "") == 0);
}

// -- garbage ---------------------------------------------------------------------------------------

KTEST(what_a_deployment_owns_goes_with_it)
{
    static const char *const ways[] = {NULL, "Background", "Foreground"};
    make_namespace("cascade");
    for (size_t i = 0; i < KN_ARRAY_LEN(ways); i++) {
        make(kn_apps("deployments"), "cascade", DEPLOYMENT);
        ktest_until(count(kn_core("pods"), "cascade", "app=web") == 3);
        delete(kn_apps("deployments"), "cascade", "web", ways[i]);
        ktest_until(count(kn_core("pods"), "cascade", "app=web") == 0);
        ktest_until(count(kn_apps("replicasets"), "cascade", "") == 0);
        ktest_until(!get(kn_apps("deployments"), "cascade", "web"));
    }
}

KTEST(orphans_stay_and_lose_their_owner)
{
    make_namespace("orphan");
    make(kn_apps("deployments"), "orphan", DEPLOYMENT);
    ktest_until(count(kn_core("pods"), "orphan", "app=web") == 3);
    delete(kn_apps("deployments"), "orphan", "web", "Orphan");
    ktest_until(!get(kn_apps("deployments"), "orphan", "web"));
    struct kn_obj_list l;
    ktest_ok(kn_client_list(admin, kn_apps("replicasets"), &(struct kn_list_options){.ns = KN_SV("orphan")}, &l));
    ktest_eq_int(l.len, 1);
    ktest_eq_int(kn_json_len(kn_json_get(l.items[0]->metadata, KN_K_ownerReferences)), 0);
    kn_obj_list_done(&l);
    ktest_eq_int(count(kn_core("pods"), "orphan", "app=web"), 3);
    make(kn_apps("deployments"), "orphan", DEPLOYMENT); // takes them in again
    ktest_until(status_of(kn_apps("deployments"), "orphan", "web", KN_K_replicas) == 3);
    ktest_eq_int(count(kn_apps("replicasets"), "orphan", ""), 1);
}

KTEST(an_object_lives_as_long_as_one_of_its_owners)
{
    make_namespace("owners");
    for (int i = 0; i < 2; i++)
        make(kn_core("configmaps"), "owners", "{\"metadata\":{\"name\":\"owner%d\"}}", i);
    struct kn_sv uid[2];
    for (int i = 0; i < 2; i++)
        uid[i] = KN_JSON_STR_AT(get(kn_core("configmaps"), "owners", i ? "owner1" : "owner0"), KN_K_metadata,
                                KN_K_uid);
    make(kn_core("secrets"), "owners",
         "{\"metadata\":{\"name\":\"s\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":"
         "\"owner0\",\"uid\":\"%.*s\"},{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"owner1\",\"uid\":"
         "\"%.*s\"}]}}", KN_SV_ARG(uid[0]), KN_SV_ARG(uid[1]));
    delete(kn_core("configmaps"), "owners", "owner0", NULL);
    ktest_until(kn_json_len(KN_JSON_AT(get(kn_core("secrets"), "owners", "s"), KN_K_metadata,
                                       KN_K_ownerReferences)) == 1);
    delete(kn_core("configmaps"), "owners", "owner1", NULL);
    ktest_until(!get(kn_core("secrets"), "owners", "s"));
    // one whose owner never was (another uid) goes too; one of an unknown kind stays
    make(kn_core("secrets"), "owners", "{\"metadata\":{\"name\":\"u\",\"ownerReferences\":[{\"apiVersion\":"
         "\"example.com/v1\",\"kind\":\"Thing\",\"name\":\"t\",\"uid\":\"x\"}]}}");
    make(kn_core("secrets"), "owners", "{\"metadata\":{\"name\":\"d\",\"ownerReferences\":[{\"apiVersion\":\"v1\","
         "\"kind\":\"ConfigMap\",\"name\":\"kube-root-ca.crt\",\"uid\":\"x\"}]}}");
    ktest_until(!get(kn_core("secrets"), "owners", "d"));
    ktest_true(get(kn_core("secrets"), "owners", "u"));
}

// -- namespaces ------------------------------------------------------------------------------------

KTEST(a_deleted_namespace_is_emptied_first)
{
    make_namespace("full");
    make(kn_apps("deployments"), "full", DEPLOYMENT);
    make(kn_core("secrets"), "full", "{\"metadata\":{\"name\":\"s\"}}");
    make(kn_core("configmaps"), "full", "{\"metadata\":{\"name\":\"held\",\"finalizers\":[\"example.com/hold\"]}}");
    ktest_until(count(kn_core("pods"), "full", "") == 3);
    delete(kn_core("namespaces"), "", "full", NULL);
    ktest_until(!get(kn_core("secrets"), "full", "s"));
    const struct kn_json *ns = get(kn_core("namespaces"), "", "full");
    ktest_eq_sv(KN_JSON_STR_AT(ns, KN_K_status, KN_K_phase), "Terminating");
    ktest_until((ns = kn_condition(KN_JSON_AT(get(kn_core("namespaces"), "", "full"), KN_K_status,
                                              KN_K_conditions), "NamespaceFinalizersRemaining")) &&
                kn_sv_is(kn_json_str(kn_json_get(ns, KN_K_message)),
                         "Some content in the namespace has finalizers remaining: example.com/hold in 1 "
                         "resource instances"));
    patch(kn_core("configmaps"), "full", "held", NULL, "{\"metadata\":{\"finalizers\":null}}");
    ktest_until(!get(kn_core("namespaces"), "", "full"));
    ktest_eq_int(count(kn_core("pods"), "full", ""), 0);
    ktest_eq_int(count(kn_apps("deployments"), "full", ""), 0);
}

// -- nodes -----------------------------------------------------------------------------------------

KTEST(a_node_that_is_ready_loses_its_taints_and_one_that_is_silent_gets_others)
{
    make(kn_core("nodes"), "", "{\"metadata\":{\"name\":\"n1\"}}");
    patch(kn_core("nodes"), "", "n1", "status",
          "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    ktest_until(kn_json_len(KN_JSON_AT(get(kn_core("nodes"), "", "n1"), KN_K_spec, KN_K_taints)) == 0);
    patch(kn_core("nodes"), "", "n1", "status",
          "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
    ktest_until(kn_json_len(KN_JSON_AT(get(kn_core("nodes"), "", "n1"), KN_K_spec, KN_K_taints)) == 2);
    delete(kn_core("nodes"), "", "n1", NULL);
}

static struct kn_status open_client(void *arg, const char *account, struct kn_client **ret)
{
    static const char *const groups[] = {"system:serviceaccounts", "system:serviceaccounts:kube-system", NULL};
    char user[256];
    (void)arg;
    snprintf(user, sizeof user, "system:serviceaccount:kube-system:%s", account ? account : "");
    return kn_apiserver_local(api.server, account ? user : "system:kube-controller-manager",
                              account ? groups : groups + 2, ret);
}

int main(void)
{
    kn_log_init("test", KN_LOG_ERROR);
    arena = kn_arena_new(1 << 16, (size_t)1 << 30);
    static const char *const masters[] = {"system:masters", NULL};
    struct kn_controllers *controllers = NULL;
    struct kn_controllers_config config = {.open = open_client, .ca_pem = KN_SV("the authority")};
    struct kn_status s = test_api_start(NULL, &api);
    if (kn_ok(s))
        s = kn_apiserver_local(api.server, "admin", masters, &admin);
    if (kn_ok(s))
        s = kn_controllers_start(&config, &controllers);
    if (!kn_ok(s)) {
        fprintf(stderr, "%s\n", kn_status_text(&s));
        return 1;
    }
    const struct CMUnitTest tests[] = {
        KTEST_CASE(a_namespace_gets_an_account_and_the_root_certificate),
        KTEST_CASE(the_roles_of_users_are_put_together),
        KTEST_CASE(a_deployment_becomes_pods_and_follows_its_template),
        KTEST_CASE(a_service_has_the_endpoints_of_its_pods),
        KTEST_CASE(what_a_deployment_owns_goes_with_it),
        KTEST_CASE(orphans_stay_and_lose_their_owner),
        KTEST_CASE(an_object_lives_as_long_as_one_of_its_owners),
        KTEST_CASE(a_deleted_namespace_is_emptied_first),
        KTEST_CASE(a_node_that_is_ready_loses_its_taints_and_one_that_is_silent_gets_others),
    };
    int failed = cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
    kn_controllers_stop(controllers);
    kn_client_close(admin);
    test_api_stop(&api);
    kn_arena_free(arena);
    return failed;
}
