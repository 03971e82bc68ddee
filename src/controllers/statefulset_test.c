// Stateful sets: order, names, claims, updates.
#include "controllers/testing.h"

static void set(const char *ns, const char *more)
{
    ct_make(kn_apps("statefulsets"), ns,
            "{\"metadata\":{\"name\":\"s\"},\"spec\":{%s\"serviceName\":\"svc\",\"selector\":{"
            "\"matchLabels\":{\"app\":"
            "\"s\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"s\"}},\"spec\":{"
            "\"containers\":[{\"name\":\"c\","
            "\"image\":\"v1\"}]}}}}",
            more);
}

static int64_t of(const char *ns, enum kn_atom what)
{
    return ct_observed(kn_apps("statefulsets"), ns, "s")
               ? ct_status(kn_apps("statefulsets"), ns, "s", what)
               : -1;
}

static size_t pods(const char *ns)
{
    return ct_count(kn_core("pods"), ns, "app=s");
}

static struct kn_sv image(const char *ns, const char *pod)
{
    return kn_json_str(kn_json_get(
        kn_json_first(KN_JSON_AT(ct_get(kn_core("pods"), ns, pod), KN_K_spec, KN_K_containers)),
        KN_K_image));
}

static bool done(const char *ns, int64_t n)
{
    ct_run_pods(ns);
    return of(ns, KN_K_availableReplicas) == n && of(ns, KN_K_updatedReplicas) == n &&
           of(ns, KN_K_replicas) == n;
}

static void set_image(const char *ns, const char *name)
{
    ct_patch(kn_apps("statefulsets"), ns, "s", NULL,
             kn_arena_printf(
                 ct_arena,
                 "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
                 "\"%s\"}]}}}}",
                 name)
                 .ptr);
}

KTEST(pods_come_and_go_one_after_the_other)
{
    ct_namespace("ss-order");
    set("ss-order", "\"replicas\":3,");
    for (size_t n = 1; n <= 3; n++) {
        ktest_until(pods("ss-order") == n);
        ktest_until(of("ss-order", KN_K_replicas) == (int64_t)n);
        ktest_eq_int(pods("ss-order"), n); // the next waits for this one
        ct_run_pods("ss-order");
    }
    ktest_until(done("ss-order", 3));
    const struct kn_json *pod = ct_get(kn_core("pods"), "ss-order", "s-1");
    ktest_eq_sv(KN_JSON_STR_AT(pod, KN_K_spec, KN_K_hostname), "s-1");
    ktest_eq_sv(KN_JSON_STR_AT(pod, KN_K_spec, KN_K_subdomain), "svc");
    ktest_eq_sv(kn_meta_text(pod, KN_K_labels, "statefulset.kubernetes.io/pod-name"), "s-1");
    ktest_eq_sv(kn_meta_text(pod, KN_K_labels, "apps.kubernetes.io/pod-index"), "1");
    ct_delete(kn_core("pods"), "ss-order", "s-1", NULL); // comes back under its name
    ktest_until(ct_get(kn_core("pods"), "ss-order", "s-1"));
    ktest_until(done("ss-order", 3));
    ct_patch(kn_apps("statefulsets"), "ss-order", "s", NULL, "{\"spec\":{\"replicas\":1}}");
    ktest_until(pods("ss-order") == 1);
    ktest_true(ct_get(kn_core("pods"), "ss-order", "s-0"));
}

KTEST(in_parallel_they_do_not_wait)
{
    ct_namespace("ss-parallel");
    set("ss-parallel",
        "\"replicas\":4,\"podManagementPolicy\":\"Parallel\",\"ordinals\":{\"start\":5},");
    ktest_until(pods("ss-parallel") == 4);
    ktest_true(ct_get(kn_core("pods"), "ss-parallel", "s-5"));
    ktest_true(ct_get(kn_core("pods"), "ss-parallel", "s-8"));
}

KTEST(each_pod_has_claims_of_its_own_that_stay)
{
    ct_namespace("ss-claims");
    set("ss-claims", "\"replicas\":1,\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"data\"},"
                     "\"spec\":{\"accessModes\":["
                     "\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}],");
    ktest_until(pods("ss-claims") == 1);
    ktest_true(ct_get(kn_core("persistentvolumeclaims"), "ss-claims", "data-s-0"));
    const struct kn_json *volumes = KN_JSON_AT(ct_get(kn_core("pods"), "ss-claims", "s-0"),
                                               KN_K_spec, KN_K_volumes),
                         *v;
    bool mounted = false;
    KN_JSON_EACH(v, volumes)
    mounted = mounted ||
              kn_sv_is(KN_JSON_STR_AT(v, KN_K_persistentVolumeClaim, KN_K_claimName), "data-s-0");
    ktest_true(mounted);
    ct_patch(kn_apps("statefulsets"), "ss-claims", "s", NULL, "{\"spec\":{\"replicas\":0}}");
    ktest_until(pods("ss-claims") == 0);
    ktest_true(ct_get(kn_core("persistentvolumeclaims"), "ss-claims", "data-s-0"));
}

KTEST(a_new_template_rolls_from_the_last_to_the_first)
{
    ct_namespace("ss-roll");
    set("ss-roll", "\"replicas\":3,");
    ktest_until(done("ss-roll", 3));
    set_image("ss-roll", "v2");
    ktest_until(kn_sv_is(image("ss-roll", "s-2"), "v2"));
    ktest_eq_sv(image("ss-roll", "s-1"), "v1"); // s-2 is not ready
    ktest_until(done("ss-roll", 3));
    ktest_eq_sv(image("ss-roll", "s-0"), "v2");
    const struct kn_resource *r = kn_apps("statefulsets");
    ktest_until(
        kn_sv_eq(KN_JSON_STR_AT(ct_get(r, "ss-roll", "s"), KN_K_status, KN_K_currentRevision),
                 KN_JSON_STR_AT(ct_get(r, "ss-roll", "s"), KN_K_status, KN_K_updateRevision)));
}

KTEST(a_partition_holds_the_roll_and_old_pods_come_back_old)
{
    ct_namespace("ss-part");
    set("ss-part", "\"replicas\":3,\"updateStrategy\":{\"rollingUpdate\":{\"partition\":2}},");
    ktest_until(done("ss-part", 3));
    set_image("ss-part", "v2");
    ktest_until(kn_sv_is(image("ss-part", "s-2"), "v2"));
    ct_run_pods("ss-part");
    ktest_until(of("ss-part", KN_K_readyReplicas) == 3);
    struct kn_sv before =
        KN_JSON_STR_AT(ct_get(kn_core("pods"), "ss-part", "s-1"), KN_K_metadata, KN_K_uid);
    ct_delete(kn_core("pods"), "ss-part", "s-1", NULL);
    ktest_until(ct_get(kn_core("pods"), "ss-part", "s-1") &&
                !kn_sv_eq(KN_JSON_STR_AT(ct_get(kn_core("pods"), "ss-part", "s-1"), KN_K_metadata,
                                         KN_K_uid),
                          before));
    ktest_eq_sv(image("ss-part", "s-1"), "v1");
    ct_patch(kn_apps("statefulsets"), "ss-part", "s", NULL,
             "{\"spec\":{\"updateStrategy\":{\"rollingUpdate\":{\"partition\":0}}}}");
    ktest_until(done("ss-part", 3));
    ktest_eq_sv(image("ss-part", "s-0"), "v2");
}

CT_MAIN(KTEST_CASE(pods_come_and_go_one_after_the_other), KTEST_CASE(in_parallel_they_do_not_wait),
        KTEST_CASE(each_pod_has_claims_of_its_own_that_stay),
        KTEST_CASE(a_new_template_rolls_from_the_last_to_the_first),
        KTEST_CASE(a_partition_holds_the_roll_and_old_pods_come_back_old))
