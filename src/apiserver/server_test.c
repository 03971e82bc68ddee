// The whole server through its front door: HTTPS on loopback, certificates, and a store.
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/ktest.h"
#include "lib/test_api.h"
#include "codec/json.h"

static struct test_api api;
static struct kn_http_client *admin;

static int set_up(void **state)
{
    (void)state;
    struct kn_status s = test_api_start(NULL, &api);
    if (kn_ok(s))
        s = test_api_client(&api, "admin", "system:masters", &admin);
    if (!kn_ok(s))
        print_error("%s\n", kn_status_text(&s));
    return kn_ok(s) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    kn_http_client_free(admin);
    test_api_stop(&api);
    return 0;
}

struct reply {
    struct kn_arena *arena;
    int status;
    struct kn_json *body;
    struct kn_http_client_resp resp;
};

static struct reply ask(struct kn_http_client *c, const char *method, const char *path,
                        const char *type, const char *body)
{
    struct reply r = {.arena = kn_arena_new(0, 64u << 20)};
    struct kn_http_header headers[] = {{KN_SV("Content-Type"), kn_sv_c(type)},
                                       {KN_SV("Accept"), KN_SV("application/json")}};
    struct kn_http_client_req req = {.method = method,
                                     .url = kn_sv_c(path),
                                     .headers = headers,
                                     .headers_len = 2,
                                     .body = kn_sv_c(body),
                                     .deadline = kn_mono() + 20 * KN_SECOND};
    ktest_ok(kn_http_call(c, &req, 32u << 20, r.arena, &r.resp));
    r.status = r.resp.status;
    KN_IGNORE(kn_json_parse(r.arena, r.resp.body, NULL, &r.body));
    return r;
}

static void expect(struct kn_http_client *c, const char *method, const char *path, const char *body,
                   int status, const char *part)
{
    struct reply r = ask(c, method, path, "application/json", body);
    if (r.status != status || (part && kn_sv_search(r.resp.body, kn_sv_c(part)) < 0)) {
        print_error("%s %s: %d, wanted %d with %s: %.*s\n", method, path, r.status, status,
                    part ? part : "", KN_SV_ARG(r.resp.body));
        fail();
    }
    kn_arena_free(r.arena);
}

#define CM "/api/v1/namespaces/default/configmaps"

KTEST(creates_reads_changes_and_deletes)
{
    expect(admin, "POST", CM, "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}", 201,
           "\"k\":\"v\"");
    expect(admin, "POST", CM, "{\"metadata\":{\"name\":\"a\"}}", 409, "AlreadyExists");
    expect(admin, "GET", CM "/a", NULL, 200, "\"uid\"");
    expect(admin, "GET", CM "/b", NULL, 404, "configmaps \\\"b\\\" not found");
    expect(admin, "PUT", CM "/a", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"w\"}}", 200,
           "\"k\":\"w\"");
    expect(admin, "PUT", CM "/a",
           "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"},\"data\":{}}", 409,
           "Conflict");
    struct reply r = ask(admin, "PATCH", CM "/a", "application/merge-patch+json",
                         "{\"data\":{\"k\":null,\"n\":\"1\"}}");
    ktest_eq_int(r.status, 200);
    ktest_true(kn_sv_search(r.resp.body, KN_SV("\"data\":{\"n\":\"1\"}")) >= 0);
    kn_arena_free(r.arena);
    expect(admin, "GET", CM, NULL, 200, "\"kind\":\"ConfigMapList\"");
    expect(admin, "DELETE", CM "/a", NULL, 200, "\"Success\"");
    expect(admin, "GET", CM "/a", NULL, 404, "NotFound");
}

KTEST(refuses_in_upstreams_words)
{
    expect(admin, "POST", CM, "{", 400, "BadRequest");
    expect(admin, "POST", CM "?fieldValidation=Strict",
           "{\"metadata\":{\"name\":\"s\"},\"spce\":1}", 400, "unknown field \\\"spce\\\"");
    expect(admin, "POST", CM, "{\"metadata\":{\"name\":\"s\"},\"data\":[]}", 400,
           "cannot unmarshal");
    expect(admin, "POST", CM, "{\"metadata\":{\"name\":\"s\",\"namespace\":\"other\"}}", 400,
           "does not match the namespace");
    expect(admin, "POST", "/api/v1/namespaces/none/configmaps", "{\"metadata\":{\"name\":\"s\"}}",
           404, "namespaces \\\"none\\\" not found");
    expect(admin, "GET", "/api/v1/nonsense", NULL, 404, "could not find the requested resource");
    expect(admin, "PATCH", CM, "{}", 405, "MethodNotAllowed");
    expect(admin, "GET", CM "?labelSelector=a+in", NULL, 400, "unable to parse requirement");
    expect(admin, "GET", CM "?fieldSelector=spec.x=y", NULL, 400, "is not a known field selector");
}

KTEST(asks_who_and_whether_he_may)
{
    struct kn_http_client *nobody, *user;
    ktest_ok(test_api_client(&api, NULL, NULL, &nobody));
    ktest_ok(test_api_client(&api, "jane", NULL, &user));
    expect(nobody, "GET", "/healthz", NULL, 200, "ok");
    expect(nobody, "GET", "/version", NULL, 200, "\"minor\": \"37\"");
    static const char unauthorized[] =
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
        "\"status\":\"Failure\",\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\","
        "\"code\":401}";
    expect(nobody, "GET", CM, NULL, 401, unauthorized);
    expect(nobody, "POST", CM, "{}", 401, unauthorized);
    expect(nobody, "GET", "/api", NULL, 401, unauthorized);
    expect(nobody, "GET", "/no/such/path", NULL, 401, unauthorized);
    expect(nobody, "GET", "/apis/no.such/v1/things", NULL, 401, unauthorized);
    expect(user, "GET", "/api", NULL, 200, "APIVersions");
    expect(
        user, "GET", CM "/x", NULL, 403,
        "configmaps \\\"x\\\" is forbidden: User \\\"jane\\\" cannot get resource "
        "\\\"configmaps\\\" in "
        "API group \\\"\\\" in the namespace \\\"default\\\"");
    expect(
        admin, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
        "{\"metadata\":{\"name\":\"reader\"},\"rules\":[{\"apiGroups\":[\"\"],"
        "\"resources\":[\"configmaps\"],"
        "\"verbs\":[\"get\"]}]}",
        201, NULL);
    expect(
        admin, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        "{\"metadata\":{\"name\":\"jane\"},\"roleRef\":{"
        "\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
        "\"Role\",\"name\":\"reader\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"jane\","
        "\"apiGroup\":"
        "\"rbac.authorization.k8s.io\"}]}",
        201, NULL);
    expect(user, "GET", CM "/x", NULL, 404, "NotFound");
    expect(user, "GET", CM, NULL, 403, "cannot list");
    kn_http_client_free(nobody);
    kn_http_client_free(user);
}

// GET with one or two more headers.
static void expect_as(struct kn_http_client *c, const char *path, const char *name,
                      const char *value, const char *name2, const char *value2, int status,
                      const char *part)
{
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_http_header headers[] = {{kn_sv_c(name), kn_sv_c(value)},
                                       {kn_sv_c(name2), kn_sv_c(value2)}};
    struct kn_http_client_req req = {.method = "GET",
                                     .url = kn_sv_c(path),
                                     .headers = headers,
                                     .headers_len = name2[0] ? 2 : 1,
                                     .deadline = kn_mono() + 10 * KN_SECOND};
    struct kn_http_client_resp resp;
    ktest_ok(kn_http_call(c, &req, 1u << 20, a, &resp));
    if (resp.status != status || kn_sv_search(resp.body, kn_sv_c(part)) < 0)
        print_error("%s as %s: %d, wanted %d with %s: %.*s\n", path, value, resp.status, status,
                    part, KN_SV_ARG(resp.body));
    ktest_eq_int(resp.status, status);
    ktest_true(kn_sv_search(resp.body, kn_sv_c(part)) >= 0);
    kn_arena_free(a);
}

KTEST(acts_as_somebody_else_only_with_the_right_to)
{
    struct kn_http_client *user;
    ktest_ok(test_api_client(&api, "mallory", NULL, &user));
    expect_as(admin, CM, "Impersonate-User", "eve", "", "", 403, "User \\\"eve\\\" cannot list");
    expect_as(admin, CM, "impersonate-user", "eve", "Impersonate-Group", "system:masters", 200,
              "ConfigMapList");
    expect_as(admin, CM, "Impersonate-User", "system:serviceaccount:default:robot", "", "", 403,
              "User \\\"system:serviceaccount:default:robot\\\" cannot list");
    expect_as(admin, "/api", "Impersonate-User", "system:serviceaccount:default:robot", "", "", 200,
              "APIVersions");
    expect_as(admin, "/api", "Impersonate-User", "system:anonymous", "", "", 403,
              "cannot get path");
    expect_as(admin, CM, "Impersonate-Group", "system:masters", "", "", 400,
              "without impersonating a user");
    expect_as(admin, CM, "Impersonate-Extra-Scopes", "x", "", "", 400,
              "without impersonating a user");
    expect_as(
        user, CM, "Impersonate-User", "eve", "", "", 403,
        "users \\\"eve\\\" is forbidden: User \\\"mallory\\\" cannot impersonate resource "
        "\\\"users\\\"");
    expect_as(
        user, CM, "Impersonate-User", "system:serviceaccount:default:robot", "", "", 403,
        "cannot impersonate resource \\\"serviceaccounts\\\" in API group \\\"\\\" in the "
        "namespace \\\"default\\\"");
    kn_http_client_free(user);
}

KTEST(begins_with_what_a_cluster_needs)
{
    expect(admin, "GET", "/api/v1/namespaces/kube-system", NULL, 200, "\"phase\":\"Active\"");
    expect(admin, "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin", NULL, 200,
           NULL);
    expect(admin, "GET", "/api/v1/namespaces/default/services/kubernetes", NULL, 200, "10.96.0.1");
    expect(admin, "GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
           NULL, 200, "192.0.2.1");
    expect(admin, "GET", "/readyz", NULL, 200, "ok");
}

static bool has(const char *path, const char *part)
{
    struct reply r = ask(admin, "GET", path, "", NULL);
    bool found = r.status == 200 && kn_sv_search(r.resp.body, kn_sv_c(part)) >= 0;
    kn_arena_free(r.arena);
    return found;
}

static void merge(const char *path, const char *patch)
{
    struct reply r = ask(admin, "PATCH", path, "application/merge-patch+json", patch);
    ktest_eq_int(r.status, 200);
    kn_arena_free(r.arena);
}

KTEST(the_service_of_the_server_is_put_right_when_it_is_changed)
{
    static const char service[] = "/api/v1/namespaces/default/services/kubernetes";
    static const char *const paths[] = {
        "/api/v1/namespaces/default/endpoints/kubernetes",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"};
    for (size_t i = 0; i < KN_ARRAY_LEN(paths); i++) {
        expect(admin, "DELETE", paths[i], NULL, 200, NULL);
        ktest_until(has(paths[i], "192.0.2.1"));
    }
    merge(paths[0],
          "{\"subsets\":[{\"addresses\":[{\"ip\":\"192.0.2.66\"}],\"ports\":[{\"port\":1}]}]}");
    ktest_until(has(paths[0], "192.0.2.1\""));
    merge(
        service,
        "{\"metadata\":{\"annotations\":{\"mine\":\"stays\"}},\"spec\":{\"selector\":{\"a\":\"b\"},"
        "\"ports\":[{\"name\":\"https\",\"port\":444}]}}");
    ktest_until(has(service, "\"port\":443"));
    ktest_true(has(service, "\"mine\":\"stays\"") && !has(service, "selector"));
    expect(admin, "DELETE", service, NULL, 200, NULL);
    ktest_until(has(service, "\"clusterIP\":\"10.96.0.1\""));
    // what contradicts the type that it must have
    merge(service, "{\"spec\":{\"type\":\"NodePort\",\"externalTrafficPolicy\":\"Local\"}}");
    ktest_until(has(service, "\"type\":\"ClusterIP\"") && !has(service, "externalTrafficPolicy"));
    ktest_until(has(service, "\"clusterIP\":\"10.96.0.1\""));
}

KTEST(a_service_changes_its_type_without_more_words)
{
    static const char path[] = "/api/v1/namespaces/default/services/turned";
    static const char *const types[] = {"NodePort",  "ClusterIP", "LoadBalancer",
                                        "ClusterIP", "NodePort",  "ClusterIP"};
    char body[512];
    expect(admin, "POST", "/api/v1/namespaces/default/services",
           "{\"metadata\":{\"name\":\"turned\"},\"spec\":{\"ports\":[{\"port\":80}]}}", 201, NULL);
    for (size_t i = 0; i < KN_ARRAY_LEN(types); i++) {
        snprintf(body, sizeof body, "{\"spec\":{\"type\":\"%s\"}}", types[i]);
        struct reply r = ask(admin, "PATCH", path, "application/merge-patch+json", body);
        ktest_eq_int(r.status, 200);
        kn_arena_free(r.arena);
        ktest_true(has(path, "nodePort\":") == (strcmp(types[i], "ClusterIP") != 0));
    }
    struct reply r = ask(admin, "PATCH", path, "application/merge-patch+json",
                         "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"example.com\"}}");
    ktest_eq_int(r.status, 200);
    kn_arena_free(r.arena);
    ktest_true(!has(path, "clusterIP"));
    expect(admin, "DELETE", path, NULL, 200, NULL);
}

KTEST(health_is_told_check_by_check)
{
    static const struct {
        const char *path;
        int status;
        const char *part;
    } samples[] = {
        {"/healthz", 200, "ok"},
        {"/readyz?verbose", 200,
         "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok\n"
         "[+]poststarthook/bootstrap ok\n[+]shutdown ok\nreadyz check passed\n"},
        {"/livez?verbose=1&exclude=etcd", 200, "[+]etcd excluded: ok\n"},
        {"/livez?verbose=1&exclude=moon&exclude=log", 200,
         "warn: some health checks cannot be excluded: no matches for \"moon\"\n"},
        {"/readyz/etcd", 200, "ok"},
        {"/readyz/poststarthook/bootstrap", 200, "ok"},
        {"/livez/informer-sync", 404, "NotFound"},
        {"/readyz/moon", 404, "NotFound"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++)
        expect(admin, "GET", samples[i].path, NULL, samples[i].status, samples[i].part);
}

static struct kn_status fails(void *arg __attribute__((unused)))
{
    return kn_error(KN_UNAVAILABLE, "it sleeps");
}

static struct kn_status runs(void *arg __attribute__((unused)))
{
    return KN_STATUS_OK;
}

KTEST(components_say_how_they_are)
{
    static const char path[] = "/api/v1/componentstatuses";
    expect(admin, "GET", "/api/v1/componentstatuses/etcd-0", NULL, 200,
           "\"conditions\":[{\"type\":\"Healthy\",\"status\":\"True\",\"message\":\"ok\"}]");
    expect(admin, "GET", "/api/v1/componentstatuses/scheduler", NULL, 200,
           "does not run in this process");
    kn_apiserver_add_component(api.server, &(struct kn_component){"scheduler", fails, NULL});
    kn_apiserver_add_component(api.server,
                               &(struct kn_component){"controller-manager", runs, NULL});
    expect(admin, "GET", path, NULL, 200, "\"status\":\"False\",\"message\":\"it sleeps\"");
    expect(admin, "GET", path, NULL, 200, "\"kind\":\"ComponentStatusList\"");
    kn_apiserver_remove_component(api.server, "scheduler");
    kn_apiserver_add_component(api.server, &(struct kn_component){"scheduler", runs, NULL});
    struct reply r = ask(admin, "GET", path, "", NULL);
    ktest_true(kn_sv_search(r.resp.body, KN_SV("False")) < 0);
    ktest_eq_int(kn_json_len(kn_json_get(r.body, KN_K_items)), 3);
    ktest_eq_sv(kn_http_client_resp_get(&r.resp, "Warning"),
                "299 - \"v1 ComponentStatus is deprecated in v1.19+\"");
    kn_arena_free(r.arena);
    expect(admin, "GET", "/api/v1/componentstatuses/moon", NULL, 404,
           "componentstatuses \\\"moon\\\" not found");
    expect(admin, "DELETE", "/api/v1/componentstatuses/etcd-0", NULL, 405, NULL);
    expect(admin, "POST", path, "{}", 405, NULL);
}

KTEST(pages_a_list_as_it_was_at_its_first_page)
{
    char body[128], path[256];
    for (int i = 0; i < 5; i++) {
        snprintf(body, sizeof body,
                 "{\"metadata\":{\"name\":\"page-%d\",\"labels\":{\"p\":\"1\"}}}", i);
        expect(admin, "POST", CM, body, 201, NULL);
    }
    struct reply r = ask(admin, "GET", CM "?labelSelector=p=1&limit=2", "", NULL);
    ktest_eq_int(kn_json_len(kn_json_get(r.body, KN_K_items)), 2);
    struct kn_sv token = KN_JSON_STR_AT(r.body, KN_K_metadata, KN_K_continue);
    ktest_true(token.len > 0);
    expect(admin, "DELETE", CM "/page-4", NULL, 200, NULL); // after the first page
    snprintf(path, sizeof path, CM "?labelSelector=p=1&limit=10&continue=%.*s", KN_SV_ARG(token));
    struct reply rest = ask(admin, "GET", path, "", NULL);
    ktest_eq_int(kn_json_len(kn_json_get(rest.body, KN_K_items)), 3); // page-4 is still seen
    kn_arena_free(r.arena);
    kn_arena_free(rest.arena);
}

// Reads one line of a watch.
static void read_event(struct kn_body *b, struct kn_buf *line)
{
    kn_buf_clear(line);
    char c;
    for (;;) {
        size_t n = 0;
        ktest_ok(kn_http_read(b, &c, 1, kn_mono() + 10 * KN_SECOND, &n));
        ktest_eq_int(n, 1);
        if (c == '\n')
            return;
        kn_buf_add_byte(line, c);
    }
}

KTEST(a_watch_tells_every_change_in_order)
{
    struct reply now = ask(admin, "GET", CM, "", NULL);
    struct kn_sv rev = KN_JSON_STR_AT(now.body, KN_K_metadata, KN_K_resourceVersion);
    char path[256];
    snprintf(path, sizeof path, CM "?watch=1&labelSelector=w=1&resourceVersion=%.*s",
             KN_SV_ARG(rev));
    struct kn_http_client_req req = {.method = "GET", .url = kn_sv_c(path)};
    struct kn_http_client_resp head;
    struct kn_body *b;
    ktest_ok(kn_http_open(admin, &req, now.arena, &head, &b));
    ktest_eq_int(head.status, 200);
    expect(admin, "POST", CM, "{\"metadata\":{\"name\":\"w\",\"labels\":{\"w\":\"1\"}}}", 201,
           NULL);
    expect(admin, "PUT", CM "/w",
           "{\"metadata\":{\"name\":\"w\",\"labels\":{\"w\":\"1\"}},\"data\":{\"x\":\"1\"}}", 200,
           NULL);
    expect(admin, "PUT", CM "/w", "{\"metadata\":{\"name\":\"w\"}}", 200,
           NULL); // no longer selected
    expect(admin, "DELETE", CM "/w", NULL, 200, NULL);
    expect(admin, "POST", CM, "{\"metadata\":{\"name\":\"w\",\"labels\":{\"w\":\"1\"}}}", 201,
           NULL);
    static const char *const want[] = {"ADDED", "MODIFIED", "DELETED", "ADDED"};
    struct kn_buf line = KN_BUF(1 << 16);
    for (size_t i = 0; i < KN_ARRAY_LEN(want); i++) {
        read_event(b, &line);
        struct kn_json *e;
        ktest_ok(kn_json_parse(now.arena, kn_arena_dup(now.arena, kn_buf_sv(&line)), NULL, &e));
        ktest_eq_sv(kn_json_str(kn_json_get(e, KN_K_type)), want[i]);
        ktest_eq_sv(KN_JSON_STR_AT(e, KN_K_object, KN_K_metadata, KN_K_name), "w");
    }
    kn_http_close(b);
    kn_buf_done(&line);
    kn_arena_free(now.arena);
}

KTEST(an_old_deployment_is_stored_in_the_new_form)
{
    expect(
        admin, "POST", "/apis/extensions/v1beta1/namespaces/default/deployments",
        "{\"apiVersion\":\"extensions/v1beta1\",\"kind\":\"Deployment\",\"metadata\":{"
        "\"name\":\"old\"},\"spec\":"
        "{\"replicas\":3,\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{"
        "\"containers\":[{"
        "\"name\":\"c\",\"image\":\"nginx\"}]}}}}",
        201, "\"apiVersion\":\"extensions/v1beta1\"");
    expect(admin, "GET", "/apis/apps/v1/namespaces/default/deployments/old", NULL, 200,
           "\"selector\":{\"matchLabels\":{\"app\":\"x\"}}");
    struct reply r = ask(admin, "PATCH", "/apis/apps/v1/namespaces/default/deployments/old/scale",
                         "application/merge-patch+json", "{\"spec\":{\"replicas\":6}}");
    ktest_eq_int(r.status, 200);
    ktest_eq_int(kn_json_int(KN_JSON_AT(r.body, KN_K_spec, KN_K_replicas), 0), 6);
    kn_arena_free(r.arena);
    expect(admin, "GET", "/apis/apps/v1/namespaces/default/deployments/old", NULL, 200,
           "\"replicas\":6");
}

KTEST(services_get_addresses_and_ports_once)
{
    static const char body[] =
        "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"port\":80,"
        "\"nodePort\":31001}],\"selector\":{\"a\":\"b\"}}}";
    char text[512];
    snprintf(text, sizeof text, body, "one");
    expect(admin, "POST", "/api/v1/namespaces/default/services", text, 201,
           "\"clusterIP\":\"10.96.");
    snprintf(text, sizeof text, body, "two");
    expect(
        admin, "POST", "/api/v1/namespaces/default/services", text, 422,
        "Service \\\"two\\\" is invalid: spec.ports[0].nodePort: Invalid value: 31001: provided "
        "port is already allocated");
    expect(admin, "DELETE", "/api/v1/namespaces/default/services/one", NULL, 200, NULL);
    expect(admin, "POST", "/api/v1/namespaces/default/services", text, 201, "31001");
}

KTEST(services_keep_their_address_and_take_no_other)
{
    static const char body[] =
        "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"clusterIP\":\"%s\",\"ports\":[{\"port\":80}]}"
        "}";
    static const char path[] = "/api/v1/namespaces/default/services";
    char text[512], change[] = "{\"spec\":{\"clusterIP\":\"10.96.0.77\"}}";
    snprintf(text, sizeof text, body, "taken", "10.96.0.77");
    expect(admin, "POST", path, text, 201, NULL);
    snprintf(text, sizeof text, body, "other", "");
    expect(admin, "POST", path, text, 201, NULL);
    struct reply r = ask(admin, "PATCH", "/api/v1/namespaces/default/services/other",
                         "application/merge-patch+json", change);
    ktest_eq_int(r.status, 422);
    ktest_eq_sv(kn_json_str(kn_json_get(r.body, KN_K_message)),
                "Service \"other\" is invalid: spec.clusterIPs[0]: Invalid value: "
                "[\"10.96.0.77\"]: may not change once set");
    kn_arena_free(r.arena);
    // the refused change has not given the address of the first service to others
    snprintf(text, sizeof text, body, "third", "10.96.0.77");
    expect(admin, "POST", path, text, 422, "provided IP is already allocated");
}

// Refused before an address is taken: what is refused gives none back that others have.
KTEST(addresses_that_contradict_each_other_are_refused)
{
    static const struct {
        const char *spec, *problem;
    } rows[] = {
        {"\"clusterIPs\":[\"None\"]", "must be empty when `clusterIP` is not specified"},
        {"\"clusterIP\":\"None\",\"clusterIPs\":[\"x\"]", "first value must match `clusterIP`"},
        {"\"clusterIP\":\"None\",\"clusterIPs\":[\"None\",\"None\"]",
         "'None' must be the first and only value"},
        {"\"clusterIPs\":[\"10.96.0.78\"]", "must be empty when `clusterIP` is not specified"},
    };
    static const char path[] = "/api/v1/namespaces/default/services";
    static const char body[] =
        "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s,\"ports\":[{\"port\":80}]}}";
    char text[512];
    snprintf(text, sizeof text, body, "holder", "\"clusterIP\":\"10.96.0.78\"");
    expect(admin, "POST", path, text, 201, NULL);
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof text, body, "torn", rows[i].spec);
        expect(admin, "POST", path, text, 422, rows[i].problem);
    }
    snprintf(text, sizeof text, body, "second", "\"clusterIP\":\"10.96.0.78\"");
    expect(admin, "POST", path, text, 422, "provided IP is already allocated");
}

KTEST(a_pod_that_loses_its_tolerations_gets_the_usual_ones_back)
{
    static const char path[] = "/api/v1/namespaces/default/pods";
    expect(admin, "POST", "/api/v1/namespaces/default/serviceaccounts",
           "{\"metadata\":{\"name\":\"tolerant\"}}", 201, NULL);
    static const char pod[] =
        "{\"metadata\":{\"name\":\"tolerant\"},\"spec\":{%s\"serviceAccountName\":"
        "\"tolerant\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}";
    char text[512];
    snprintf(text, sizeof text, pod, "\"preemptionPolicy\":\"Never\",");
    expect(admin, "POST", path, text, 403,
           "the string value of PreemptionPolicy (Never) must not be");
    snprintf(text, sizeof text, pod, "");
    expect(admin, "POST", path, text, 201, NULL);
    struct reply r = ask(admin, "PATCH", "/api/v1/namespaces/default/pods/tolerant",
                         "application/merge-patch+json", "{\"spec\":{\"tolerations\":null}}");
    ktest_eq_int(r.status, 200);
    ktest_eq_int(kn_json_len(KN_JSON_AT(r.body, KN_K_spec, KN_K_tolerations)), 2);
    kn_arena_free(r.arena);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        KTEST_CASE(creates_reads_changes_and_deletes),
        KTEST_CASE(refuses_in_upstreams_words),
        KTEST_CASE(asks_who_and_whether_he_may),
        KTEST_CASE(acts_as_somebody_else_only_with_the_right_to),
        KTEST_CASE(begins_with_what_a_cluster_needs),
        KTEST_CASE(the_service_of_the_server_is_put_right_when_it_is_changed),
        KTEST_CASE(a_service_changes_its_type_without_more_words),
        KTEST_CASE(health_is_told_check_by_check),
        KTEST_CASE(components_say_how_they_are),
        KTEST_CASE(pages_a_list_as_it_was_at_its_first_page),
        KTEST_CASE(a_watch_tells_every_change_in_order),
        KTEST_CASE(an_old_deployment_is_stored_in_the_new_form),
        KTEST_CASE(services_get_addresses_and_ports_once),
        KTEST_CASE(services_keep_their_address_and_take_no_other),
        KTEST_CASE(addresses_that_contradict_each_other_are_refused),
        KTEST_CASE(a_pod_that_loses_its_tolerations_gets_the_usual_ones_back),
    };
    return cmocka_run_group_tests_name("apiserver", all, set_up, tear_down);
}
