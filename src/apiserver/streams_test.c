// Logs and streams of pods: what is checked before an agent is asked, and what it is asked then.
// The agent here is a server that says what it was asked.
#include "apiserver/testing.h"
#include "wire/http.h"

#define PODS "/api/v1/namespaces/default/pods/"
#define UPGRADE                                                                                    \
    "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: "      \
    "dGhlIHNhbXBsZSBub25jZQ=="

static struct kn_http_server *agent;
static struct kn_http_client *admin; // HTTP/1.1: only that can be upgraded

static void say_what(struct kn_http_req *r, void *arg __attribute__((unused)))
{
    struct kn_buf text = KN_BUF(64u << 10);
    kn_buf_addf(&text, "asked %.*s?%.*s.", KN_SV_ARG(kn_http_path(r)), KN_SV_ARG(kn_http_query(r)));
    bool upgrade = kn_http_header(r, "Upgrade").len > 0; // streams are refused, with the same words
    kn_http_respond_text(r, upgrade ? 400 : 200, "text/plain", kn_buf_sv(&text));
    kn_buf_done(&text);
}

static void start_agent(void)
{
    struct kn_http_config c = {.handle = say_what, .name = "agent"};
    struct kn_tls_ctx *tls;
    uint16_t port;
    ktest_ok(kn_tls_server_new(&tls));
    ktest_ok(kn_tls_set_identity(tls, &at_api.chain, at_api.key));
    ktest_ok(kn_http_server_new(&c, &agent));
    ktest_ok(kn_http_listen_tcp(agent, "127.0.0.1", 0, tls, &port));
    ktest_ok(kn_http_server_start(agent));
    kn_tls_ctx_free(tls);
    at_api.http1_only = true;
    admin = at_client("admin", "system:masters");
    char body[512];
    snprintf(
        body, sizeof body,
        "{\"metadata\":{\"name\":\"n\"},\"status\":{\"addresses\":[{\"type\":\"InternalIP\","
        "\"address\":\"127.0.0.1\"}],\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":%u}}}}",
        port);
    at_expect(at_admin, "POST", "/api/v1/nodes", body, 201, NULL);
    at_expect(at_admin, "POST", "/api/v1/namespaces/default/serviceaccounts",
              "{\"metadata\":{\"name\":\"default\"}}", 201, NULL);
}

static void make_pod(const char *name, const char *annotation, const char *containers)
{
    char body[1024];
    snprintf(body, sizeof body,
             "{\"metadata\":{\"name\":\"%s\",\"annotations\":{\"kubectl.kubernetes.io/"
             "default-container\":\"%s\"}},\"spec\":{\"nodeName\":\"n\",%s}}",
             name, annotation, containers);
    at_expect(at_admin, "POST", "/api/v1/namespaces/default/pods", body, 201, NULL);
}

#define TWO "\"containers\":[{\"name\":\"a\",\"image\":\"i\"},{\"name\":\"b\",\"image\":\"i\"}]"

KTEST(asks_the_agent_for_a_container_that_the_pod_has)
{
    static const struct {
        const char *path;
        int status;
        const char *part;
    } samples[] = {
        {"one/log", 200, "asked /containerLogs/default/one/a?."},
        {"one/log?container=i", 200, "asked /containerLogs/default/one/i?."},
        {"one/log?container=a%3Fx", 400, "container a?x is not valid for pod one"},
        {"two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"},
        {"initial/log", 400, "choose one of: [a b] or one of the init containers: [i j]"},
        {"annotated/log", 200, "asked /containerLogs/default/annotated/b?."},
        {"injected/log", 400, "a container name must be specified for pod injected"},
        {"none/log", 404, "pods \\\"none\\\" not found"},
        {"one/log?follow=1&previous=&timestamps=no&tailLines=5&limitBytes=1&junk=%26x&sinceSeconds=9",
         200,
         "asked /containerLogs/default/one/a?follow=true&previous=true&timestamps=true&tailLines=5&"
         "limitBytes=1&sinceSeconds=9."},
        {"one/log?sinceTime=2026-01-01T00:00:00%2B01:00&follow=FALSE", 200,
         "asked /containerLogs/default/one/a?sinceTime=2026-01-01T00%3A00%3A00%2B01%3A00."},
    };
    start_agent();
    make_pod("one", "",
             "\"initContainers\":[{\"name\":\"i\",\"image\":\"i\"}],"
             "\"containers\":[{\"name\":\"a\",\"image\":\"i\"}]");
    make_pod("two", "", TWO);
    make_pod(
        "initial", "",
        "\"initContainers\":[{\"name\":\"i\",\"image\":\"i\"},{\"name\":\"j\",\"image\":\"i\"}]," TWO);
    make_pod("annotated", "b", TWO);
    make_pod("injected", "b?command=id&x=", TWO);
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        char path[512];
        snprintf(path, sizeof path, PODS "%s", samples[i].path);
        at_expect(at_admin, "GET", path, NULL, samples[i].status, samples[i].part);
    }
    at_expect_with(
        admin,
        PODS "annotated/exec?command=sh&command=-c&command=a%20%26+b&stdout=1&"
             "uid=0",
        UPGRADE, 400,
        "asked /exec/default/annotated/b?stdout=true\\u0026command=sh\\u0026command=-c\\u0026"
        "command=a%20%26%20b.");
    at_expect_with(admin, PODS "one/attach?stdin=true&tty=1", UPGRADE, 400,
                   "asked /attach/default/one/a?stdin=true\\u0026tty=true.");
    at_expect(at_admin, "GET", PODS "one/exec?command=sh", NULL, 400, "Upgrade request required");
    at_expect_with(admin, PODS "two/portforward?ports=80&junk=1&ports=81,65535", UPGRADE, 400,
                   "asked /portForward/default/two?port=80,81,65535.");
    at_expect_with(admin, PODS "two/portforward", UPGRADE, 400, "asked /portForward/default/two?.");
}

KTEST(refuses_options_of_logs_in_upstreams_words)
{
    static const struct {
        const char *query;
        int status;
        const char *part;
    } samples[] = {
        {"tailLines=abc", 400,
         "\"message\":\"strconv.ParseInt: parsing \\\"abc\\\": invalid syntax\""},
        {"limitBytes=", 400, "strconv.ParseInt: parsing \\\"\\\": invalid syntax"},
        {"sinceSeconds=99999999999999999999", 400,
         "strconv.ParseInt: parsing \\\"99999999999999999999\\\": value out of range"},
        {"sinceTime=abc", 400,
         "parsing time \\\"abc\\\" as \\\"2006-01-02T15:04:05Z07:00\\\": cannot parse"},
        {"tailLines=-1", 422,
         "PodLogOptions \\\"one\\\" is invalid: tailLines: Invalid value: -1: must be "
         "greater than or equal to 0"},
        {"limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"},
        {"sinceSeconds=0", 422, "sinceSeconds: Invalid value: 0: must be greater than 0"},
        {"sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", 422,
         "at most one of `sinceTime` or `sinceSeconds` may be specified"},
        {"sinceSeconds=9223372036854775807", 200, "sinceSeconds=9223372036854775807"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        char path[512];
        snprintf(path, sizeof path, PODS "one/log?%s", samples[i].query);
        at_expect(at_admin, "GET", path, NULL, samples[i].status, samples[i].part);
    }
}

KTEST(refuses_ports_in_upstreams_words)
{
    static const struct {
        const char *ports, *part;
    } samples[] = {
        {"ports=abc", "cannot convert to []int32: strconv.ParseUint: parsing \\\"abc\\\": invalid syntax"},
        {"ports=80,", "parsing \\\"\\\": invalid syntax"},
        {"ports=", "parsing \\\"\\\": invalid syntax"},
        {"ports=80&ports=65536", "parsing \\\"65536\\\": value out of range"},
        {"ports=-1", "parsing \\\"-1\\\": invalid syntax"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        char path[256];
        snprintf(path, sizeof path, PODS "one/portforward?%s", samples[i].ports);
        at_expect_with(admin, path, UPGRADE, 400, samples[i].part);
    }
}

KTEST(other_methods_are_not_allowed)
{
    static const char *const subs[] = {"log", "exec", "attach", "portforward"};
    static const char *const methods[] = {"PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < KN_ARRAY_LEN(subs); i++)
        for (size_t m = 0; m < KN_ARRAY_LEN(methods); m++) {
            char path[128];
            snprintf(path, sizeof path, PODS "one/%s", subs[i]);
            at_expect(at_admin, methods[m], path, NULL, 405, "MethodNotAllowed");
        }
    at_expect(at_admin, "POST", PODS "one/log", NULL, 405, "MethodNotAllowed");
}

KTEST(a_websocket_needs_the_right_to_create)
{
    static const char role[] = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    struct kn_http_client *user = at_client("watcher", NULL);
    at_expect(
        at_admin, "POST", role,
        "{\"metadata\":{\"name\":\"looks\"},\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"pods/exec\"],"
        "\"verbs\":[\"get\"]}]}",
        201, NULL);
    at_expect(
        at_admin, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        "{\"metadata\":{\"name\":\"looks\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
        "\"Role\",\"name\":\"looks\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"watcher\",\"apiGroup\":"
        "\"rbac.authorization.k8s.io\"}]}",
        201, NULL);
    at_expect_with(user, PODS "one/exec?command=sh&stdout=1", UPGRADE, 403,
                   "cannot create resource \\\"pods/exec\\\" in API group");
    at_expect_with(user, PODS "none/exec?command=sh&stdout=1", UPGRADE, 403,
                   "cannot create resource");
    at_expect_type(
        at_admin, "PATCH", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/looks",
        "application/merge-patch+json",
        "{\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"pods/exec\"],\"verbs\":[\"get\",\"create\"]}]}",
        200, NULL);
    at_expect_with(user, PODS "one/exec?command=sh&stdout=1", UPGRADE, 400,
                   "asked /exec/default/one/a?");
    kn_http_client_free(user);
    kn_http_client_free(admin);
    kn_http_server_free(agent);
}

AT_MAIN(KTEST_CASE(asks_the_agent_for_a_container_that_the_pod_has),
        KTEST_CASE(refuses_options_of_logs_in_upstreams_words),
        KTEST_CASE(refuses_ports_in_upstreams_words), KTEST_CASE(other_methods_are_not_allowed),
        KTEST_CASE(a_websocket_needs_the_right_to_create))
