// Deployments and replica sets: what their users rely on.
#include "controllers/testing.h"

static void deployment(const char *ns, const char *more)
{
    ct_make(kn_apps("deployments"), ns,
            "{\"metadata\":{\"name\":\"web\"},\"spec\":{%s\"selector\":{\"matchLabels\":{\"app\":"
            "\"web\"}},"
            "\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{"
            "\"name\":\"c\","
            "\"image\":\"v1\"}]}}}}",
            more);
}

static void set_image(const char *ns, const char *image)
{
    ct_patch(kn_apps("deployments"), ns, "web", NULL,
             kn_arena_printf(ct_arena,
                             "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\","
                             "\"image\":\"%s\"}]}}}}",
                             image)
                 .ptr);
}

static bool done(const char *ns, int64_t n)
{
    ct_run_pods(ns);
    const struct kn_resource *r = kn_apps("deployments");
    return ct_observed(r, ns, "web") && ct_status(r, ns, "web", KN_K_availableReplicas) == n &&
           ct_status(r, ns, "web", KN_K_updatedReplicas) == n &&
           ct_status(r, ns, "web", KN_K_replicas) == n;
}

static struct kn_sv condition(const char *ns, const char *type, enum kn_atom what)
{
    const struct kn_json *d = ct_get(kn_apps("deployments"), ns, "web");
    return kn_json_str(
        kn_json_get(kn_condition(KN_JSON_AT(d, KN_K_status, KN_K_conditions), type), what));
}

static struct kn_sv revision(const char *ns)
{
    return kn_meta_text(ct_get(kn_apps("deployments"), ns, "web"), KN_K_annotations,
                        "deployment.kubernetes.io/revision");
}

// Looks at all pods of a namespace at each change of one.
struct limits {
    const char *ns;
    struct kn_cache *pods;
    int64_t most, least_ready; // allowed
    int64_t seen_most, seen_least;
    bool armed, mixed; // both images at once
    int64_t now, ready;
    int old, fresh;
};

static bool count_pod(void *arg, const struct kn_obj *pod)
{
    struct limits *l = arg;
    if (!kn_pod_active(pod))
        return true;
    l->now++;
    l->ready += kn_pod_ready(pod);
    const struct kn_json *c = kn_json_first(KN_JSON_AT(pod->root, KN_K_spec, KN_K_containers));
    *(kn_sv_is(kn_json_str(kn_json_get(c, KN_K_image)), "v1") ? &l->old : &l->fresh) += 1;
    return true;
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *pod,
                   const struct kn_obj *old)
{
    struct limits *l = arg;
    (void)type;
    (void)old;
    if (!l->armed || !kn_sv_is(pod->ns, l->ns))
        return;
    l->now = l->ready = l->old = l->fresh = 0;
    kn_cache_list(l->pods, pod->ns, KN_SV_NULL, KN_SV_NULL, count_pod, l);
    l->seen_most = l->now > l->seen_most ? l->now : l->seen_most;
    l->seen_least = l->ready < l->seen_least ? l->ready : l->seen_least;
    l->mixed = l->mixed || (l->old && l->fresh);
}

static void watch_limits(struct limits *l, const char *ns)
{
    *l = (struct limits){.ns = ns, .seen_least = INT64_MAX};
    ktest_ok(
        kn_client_cache(ct_admin, kn_core("pods"), NULL, kn_mono() + KTEST_PATIENCE, &l->pods));
    kn_cache_subscribe(l->pods, on_pod, l, false);
}

KTEST(a_roll_keeps_to_its_limits)
{
    static const struct {
        const char *ns, *strategy;
        int64_t most, least;
    } cases[] = {
        {"roll-default", "\"replicas\":4,", 5, 3},
        {"roll-surge",
         "\"replicas\":3,\"strategy\":{\"rollingUpdate\":{\"maxSurge\":2,\"maxUnavailable\":0}},",
         5, 3},
        {"roll-in-place",
         "\"replicas\":5,\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":2}},",
         5, 3},
        {"roll-percent",
         "\"replicas\":10,\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"30%\",\"maxUnavailable\":"
         "\"10%\"}},",
         13, 9},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct limits l;
        ct_namespace(cases[i].ns);
        deployment(cases[i].ns, cases[i].strategy);
        int64_t n = kn_json_int(KN_JSON_AT(ct_get(kn_apps("deployments"), cases[i].ns, "web"),
                                           KN_K_spec, KN_K_replicas),
                                0);
        ktest_until(done(cases[i].ns, n));
        watch_limits(&l, cases[i].ns);
        l.armed = true;
        set_image(cases[i].ns, "v2");
        ktest_until(done(cases[i].ns, n));
        kn_cache_unsubscribe(l.pods, on_pod, &l);
        ktest_true(l.mixed);
        ktest_true(l.seen_most <= cases[i].most);
        ktest_true(l.seen_least >= cases[i].least);
        ktest_until(kn_sv_is(revision(cases[i].ns), "2"));
        ktest_until(
            kn_sv_is(condition(cases[i].ns, "Progressing", KN_K_reason), "NewReplicaSetAvailable"));
        ktest_until(kn_sv_is(condition(cases[i].ns, "Available", KN_K_status), "True"));
    }
}

KTEST(recreate_ends_the_old_before_it_begins_the_new)
{
    struct limits l;
    ct_namespace("recreate");
    deployment("recreate", "\"replicas\":3,\"strategy\":{\"type\":\"Recreate\"},");
    ktest_until(done("recreate", 3));
    watch_limits(&l, "recreate");
    l.armed = true;
    set_image("recreate", "v2");
    ktest_until(done("recreate", 3));
    kn_cache_unsubscribe(l.pods, on_pod, &l);
    ktest_true(!l.mixed);
    ktest_eq_int(l.seen_most, 3);
}

KTEST(a_paused_deployment_does_not_roll_and_scales)
{
    ct_namespace("paused");
    deployment("paused", "\"replicas\":2,");
    ktest_until(done("paused", 2));
    ct_patch(kn_apps("deployments"), "paused", "web", NULL, "{\"spec\":{\"paused\":true}}");
    ktest_until(kn_sv_is(condition("paused", "Progressing", KN_K_reason), "DeploymentPaused"));
    set_image("paused", "v2");
    ct_patch(kn_apps("deployments"), "paused", "web", NULL, "{\"spec\":{\"replicas\":4}}");
    ktest_until(ct_count(kn_core("pods"), "paused", "app=web") == 4);
    ktest_eq_int(ct_count(kn_apps("replicasets"), "paused", ""), 1);
    ct_patch(kn_apps("deployments"), "paused", "web", NULL, "{\"spec\":{\"paused\":false}}");
    ktest_until(done("paused", 4));
    ktest_eq_int(ct_count(kn_apps("replicasets"), "paused", ""), 2);
}

// The sum stays as it is, and still every set must learn of it, or the deployment would believe for
// ever that it is being scaled.
KTEST(a_roll_goes_on_after_a_change_that_moves_no_pod)
{
    ct_namespace("moved");
    deployment(
        "moved",
        "\"replicas\":4,\"strategy\":{\"rollingUpdate\":{\"maxSurge\":1,\"maxUnavailable\":1}},");
    ktest_until(done("moved", 4));
    set_image("moved", "v2");
    ktest_until(ct_status(kn_apps("deployments"), "moved", "web", KN_K_updatedReplicas) ==
                2); // not ready
    ct_patch(kn_apps("deployments"), "moved", "web", NULL,
             "{\"spec\":{\"replicas\":3,\"strategy\":{\"rollingUpdate\":{\"maxSurge\":2}}}}");
    ktest_until(done("moved", 3));
}

// kubectl rollout undo writes the template of an old set into the deployment.
KTEST(an_old_template_gets_its_old_set_and_the_next_revision)
{
    ct_namespace("undo");
    deployment("undo", "\"replicas\":1,");
    ktest_until(done("undo", 1));
    set_image("undo", "v2");
    ktest_until(done("undo", 1));
    set_image("undo", "v1");
    ktest_until(done("undo", 1));
    ktest_until(kn_sv_is(revision("undo"), "3"));
    struct kn_obj_list l;
    ktest_ok(kn_client_list(ct_admin, kn_apps("replicasets"),
                            &(struct kn_list_options){.ns = KN_SV("undo")}, &l));
    ktest_eq_int(l.len, 2);
    int found = 0;
    for (size_t i = 0; i < l.len; i++) {
        struct kn_sv now =
            kn_obj_annotation(l.items[i], KN_SV("deployment.kubernetes.io/revision"));
        struct kn_sv before =
            kn_obj_annotation(l.items[i], KN_SV("deployment.kubernetes.io/revision-history"));
        found += kn_sv_is(now, "3") && kn_sv_is(before, "1");
        found += kn_sv_is(now, "2") && before.len == 0;
    }
    ktest_eq_int(found, 2);
    kn_obj_list_done(&l);
}

KTEST(keeps_as_much_history_as_it_is_told)
{
    static const char *const images[] = {"v2", "v3", "v4"};
    ct_namespace("history");
    deployment("history", "\"replicas\":1,\"revisionHistoryLimit\":1,");
    ktest_until(done("history", 1));
    for (size_t i = 0; i < KN_ARRAY_LEN(images); i++) {
        set_image("history", images[i]);
        ktest_until(done("history", 1));
    }
    ktest_until(ct_count(kn_apps("replicasets"), "history", "") == 2);
    ktest_until(kn_sv_is(revision("history"), "4"));
}

KTEST(a_roll_that_does_not_progress_says_so_after_its_deadline)
{
    ct_namespace("stuck");
    deployment("stuck", "\"replicas\":1,\"progressDeadlineSeconds\":1,\"minReadySeconds\":0,");
    ktest_until(
        kn_sv_is(condition("stuck", "Progressing", KN_K_reason), "ProgressDeadlineExceeded"));
    ktest_eq_sv(condition("stuck", "Progressing", KN_K_status), "False");
    ktest_until(kn_sv_is(condition("stuck", "Available", KN_K_status), "False"));
    ktest_until(done("stuck", 1)); // late, but it comes
    ktest_until(kn_sv_is(condition("stuck", "Progressing", KN_K_reason), "NewReplicaSetAvailable"));
}

KTEST(a_pod_that_cannot_be_made_is_told)
{
    ct_namespace("refused");
    ct_make(kn_apps("deployments"), "refused",
            "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":"
            "\"web\"}},"
            "\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{"
            "\"serviceAccountName\":\"nobody\","
            "\"containers\":[{\"name\":\"c\",\"image\":\"v1\"}]}}}}");
    ktest_until(kn_sv_is(condition("refused", "ReplicaFailure", KN_K_reason), "FailedCreate"));
    ct_make(kn_core("serviceaccounts"), "refused", "{\"metadata\":{\"name\":\"nobody\"}}");
    ktest_until(ct_count(kn_core("pods"), "refused", "app=web") == 1);
    ktest_until(condition("refused", "ReplicaFailure", KN_K_reason).len == 0);
}

// -- replica sets ---------------------------------------------------------------------------------

static void set(const char *ns, int replicas)
{
    ct_make(kn_apps("replicasets"), ns,
            "{\"metadata\":{\"name\":\"rs\"},\"spec\":{\"replicas\":%d,\"selector\":{"
            "\"matchLabels\":{\"app\":\"rs\"}},"
            "\"template\":{\"metadata\":{\"labels\":{\"app\":\"rs\"}},\"spec\":{\"containers\":[{"
            "\"name\":\"c\","
            "\"image\":\"i\"}]}}}}",
            replicas);
}

static void pod(const char *ns, const char *name)
{
    ct_make(kn_core("pods"), ns,
            "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"rs\"}},\"spec\":{\"containers\":["
            "{\"name\":\"c\","
            "\"image\":\"i\"}]}}",
            name);
}

static uint32_t owners(const char *ns, const char *name)
{
    return kn_json_len(
        KN_JSON_AT(ct_get(kn_core("pods"), ns, name), KN_K_metadata, KN_K_ownerReferences));
}

KTEST(a_set_adopts_what_matches_and_releases_what_does_not)
{
    ct_namespace("adopt");
    pod("adopt", "mine");
    ct_settle(kn_core("pods"), "adopt", "mine");
    set("adopt", 1);
    ktest_until(owners("adopt", "mine") == 1);
    ktest_until(ct_status(kn_apps("replicasets"), "adopt", "rs", KN_K_replicas) == 1);
    ktest_eq_int(ct_count(kn_core("pods"), "adopt", ""), 1);
    ct_patch(kn_core("pods"), "adopt", "mine", NULL,
             "{\"metadata\":{\"labels\":{\"app\":\"other\"}}}");
    ktest_until(owners("adopt", "mine") == 0);
    ktest_until(ct_count(kn_core("pods"), "adopt", "app=rs") == 1);
}

KTEST(a_set_gives_up_the_least_useful_pods)
{
    ct_namespace("rank");
    set("rank", 2);
    ktest_until(ct_count(kn_core("pods"), "rank", "app=rs") == 2);
    ct_run_pods("rank");
    ct_patch(kn_apps("replicasets"), "rank", "rs", NULL, "{\"spec\":{\"replicas\":5}}");
    ktest_until(ct_count(kn_core("pods"), "rank", "app=rs") == 5);
    ct_patch(kn_apps("replicasets"), "rank", "rs", NULL, "{\"spec\":{\"replicas\":2}}");
    ktest_until(ct_count(kn_core("pods"), "rank", "app=rs") == 2);
    ktest_until(ct_status(kn_apps("replicasets"), "rank", "rs", KN_K_readyReplicas) == 2);
}

KTEST(a_pod_counts_as_available_after_its_time)
{
    ct_namespace("patient");
    ct_make(kn_apps("replicasets"), "patient",
            "{\"metadata\":{\"name\":\"rs\"},\"spec\":{\"replicas\":1,\"minReadySeconds\":1,"
            "\"selector\":{"
            "\"matchLabels\":{\"app\":\"rs\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":"
            "\"rs\"}},\"spec\":{"
            "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}");
    ktest_until(ct_count(kn_core("pods"), "patient", "app=rs") == 1);
    struct kn_obj_list l;
    ktest_ok(kn_client_list(ct_admin, kn_core("pods"),
                            &(struct kn_list_options){.ns = KN_SV("patient")}, &l));
    char now[KN_TIME_TEXT];
    kn_time_format((struct kn_time){kn_now().ns + KN_SECOND}, KN_TIME_SECONDS, now);
    ct_patch(kn_core("pods"), "patient",
             l.items[0]->name.ptr ? kn_arena_dup(ct_arena, l.items[0]->name).ptr : "", "status",
             kn_arena_printf(ct_arena,
                             "{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":"
                             "\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"%s\"}]}}",
                             now)
                 .ptr);
    kn_obj_list_done(&l);
    ktest_until(ct_status(kn_apps("replicasets"), "patient", "rs", KN_K_readyReplicas) == 1);
    ktest_eq_int(ct_status(kn_apps("replicasets"), "patient", "rs", KN_K_availableReplicas), 0);
    ktest_until(ct_status(kn_apps("replicasets"), "patient", "rs", KN_K_availableReplicas) == 1);
}

CT_MAIN(KTEST_CASE(a_roll_keeps_to_its_limits),
        KTEST_CASE(recreate_ends_the_old_before_it_begins_the_new),
        KTEST_CASE(a_paused_deployment_does_not_roll_and_scales),
        KTEST_CASE(a_roll_goes_on_after_a_change_that_moves_no_pod),
        KTEST_CASE(an_old_template_gets_its_old_set_and_the_next_revision),
        KTEST_CASE(keeps_as_much_history_as_it_is_told),
        KTEST_CASE(a_roll_that_does_not_progress_says_so_after_its_deadline),
        KTEST_CASE(a_pod_that_cannot_be_made_is_told),
        KTEST_CASE(a_set_adopts_what_matches_and_releases_what_does_not),
        KTEST_CASE(a_set_gives_up_the_least_useful_pods),
        KTEST_CASE(a_pod_counts_as_available_after_its_time))
