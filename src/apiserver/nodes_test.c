// What a node agent may not do, as upstream's admission plugin NodeRestriction has it.
#include "apiserver/testing.h"

#define MERGE "application/merge-patch+json"
#define PODS "/api/v1/namespaces/default/pods"

static struct kn_http_client *node;
static char uid[64];

// As the node n1, which is there, beside n2. The caller frees the client.
static void begin(void)
{
    static const char *const bodies[] = {
        "{\"metadata\":{\"name\":\"n1\",\"labels\":{\"kubernetes.io/hostname\":\"n1\",\"my\":\"own\"}}}",
        "{\"metadata\":{\"name\":\"n2\"}}"};
    node = at_client("system:node:n1", "system:nodes");
    for (size_t i = 0; i < KN_ARRAY_LEN(bodies); i++) {
        struct at_reply r = at_ask(i ? at_admin : node, "POST", "/api/v1/nodes", "application/json",
                                   NULL, bodies[i]);
        ktest_true(r.status == 201 || r.status == 409);
        kn_arena_free(r.arena);
    }
    struct at_reply r = at_ask(at_admin, "POST", "/api/v1/namespaces/default/serviceaccounts",
                               "application/json", NULL, "{\"metadata\":{\"name\":\"default\"}}");
    kn_arena_free(r.arena); // 201, or 409 the second time
    r = at_ask(at_admin, "GET", "/api/v1/nodes/n1", "", NULL, NULL);
    struct kn_sv text = KN_JSON_STR_AT(r.body, KN_K_metadata, KN_K_uid);
    snprintf(uid, sizeof uid, "%.*s", KN_SV_ARG(text));
    kn_arena_free(r.arena);
}

#define MIRROR "\"annotations\":{\"kubernetes.io/config.mirror\":\"x\"}"
#define OWNER                                                                                      \
    "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\",\"controller\":true,\"uid\":\"%s\"}]"

KTEST(a_node_creates_only_mirror_pods_that_name_nothing)
{
    begin();
    static const struct {
        const char *meta, *spec, *part; // NULL: it is created
    } samples[] = {
        {"\"labels\":{}", "\"nodeName\":\"n1\"",
         "pod does not have \\\"kubernetes.io/config.mirror\\\" annotation, node \\\"n1\\\" can only create "
         "mirror pods"},
        {MIRROR, "\"nodeName\":\"n2\"",
         "node \\\"n1\\\" can only create pods with spec.nodeName set to itself"},
        {MIRROR, "\"nodeName\":\"n1\"",
         "can only create pods with an owner reference set to itself"},
        {MIRROR
         ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n2\",\"uid\":\"%s\"}]",
         "\"nodeName\":\"n1\"", "can only create pods with an owner reference set to itself"},
        {MIRROR
         ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\",\"uid\":\"%s\"}]",
         "\"nodeName\":\"n1\"",
         "can only create pods with a controller owner reference set to itself"},
        {MIRROR
         ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\",\"uid\":\"%s\","
         "\"controller\":true,\"blockOwnerDeletion\":true}]",
         "\"nodeName\":\"n1\"",
         "node \\\"n1\\\" must not set blockOwnerDeletion on an owner reference"},
        {MIRROR
         ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n1\",\"uid\":\"1\","
         "\"controller\":true}]",
         "\"nodeName\":\"n1\"", "node n1 UID mismatch: expected 1 got "},
        {MIRROR "," OWNER, "\"nodeName\":\"n1\",\"serviceAccountName\":\"default\"",
         "a mirror pod may not reference service accounts"},
        {MIRROR "," OWNER, "\"nodeName\":\"n1\",\"imagePullSecrets\":[{\"name\":\"s\"}]",
         "a mirror pod may not reference secrets"},
        {MIRROR "," OWNER,
         "\"nodeName\":\"n1\",\"volumes\":[{\"name\":\"v\",\"projected\":{\"sources\":[{"
         "\"serviceAccountToken\":{\"path\":\"t\"}}]}}]",
         "a mirror pod may not use service account token volume projections"},
        {MIRROR "," OWNER,
         "\"nodeName\":\"n1\",\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"c\"}}]",
         "node \\\"n1\\\" can not create pods that reference configmaps"},
        {MIRROR "," OWNER,
         "\"nodeName\":\"n1\",\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{"
         "\"claimName\":\"c\"}}]",
         "node \\\"n1\\\" can not create pods that reference persistentvolumeclaims"},
        {MIRROR "," OWNER, "\"nodeName\":\"n1\"", NULL},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        char format[2048], body[2048];
        snprintf(format, sizeof format,
                 "{\"metadata\":{\"name\":\"m\",%s},\"spec\":{\"containers\":[{\"name\":"
                 "\"c\",\"image\":\"i\"}],%s}}",
                 samples[i].meta, samples[i].spec);
        struct kn_sv rest = kn_sv_c(format);
        int64_t at = kn_sv_search(rest, KN_SV("%s"));
        if (at < 0)
            snprintf(body, sizeof body, "%s", format);
        else
            snprintf(body, sizeof body, "%.*s%s%s", (int)at, format, uid, format + at + 2);
        at_expect(node, "POST", PODS, body, samples[i].part ? 403 : 201, samples[i].part);
    }
    kn_http_client_free(node);
}

static void bound_pod(const char *name, const char *to)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"nodeName\":"
             "\"%s\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
             name, to);
    at_expect(at_admin, "POST", PODS, body, 201, NULL);
}

KTEST(a_node_touches_only_its_own_pods)
{
    begin();
    bound_pod("mine", "n1");
    bound_pod("other", "n2");
    static const char status[] = "{\"status\":{\"message\":\"x\"}}";
    at_expect_type(
        node, "PATCH", PODS "/other/status", MERGE, status, 403,
        "node \\\"n1\\\" can only update pod status for pods with spec.nodeName set to itself");
    at_expect_type(node, "PATCH", PODS "/mine/status", MERGE, status, 200, "\"message\":\"x\"");
    at_expect_type(node, "PATCH", PODS "/mine/status", MERGE,
                   "{\"metadata\":{\"labels\":{\"a\":\"c\"}}}", 403,
                   "node \\\"n1\\\" cannot update labels through pod status");
    at_expect(node, "DELETE", PODS "/other", NULL, 403,
              "node \\\"n1\\\" can only delete pods with spec.nodeName set to itself");
    at_expect(node, "DELETE", PODS "/mine?gracePeriodSeconds=0", NULL, 200, NULL);
    at_expect(at_admin, "DELETE", PODS "/other?gracePeriodSeconds=0", NULL, 200, NULL);
    kn_http_client_free(node);
}

KTEST(a_node_steers_no_pods_to_itself)
{
    begin();
    static const char self[] = "/api/v1/nodes/n1";
    at_expect_type(node, "PATCH", "/api/v1/nodes/n2", MERGE,
                   "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 403,
                   "node \\\"n1\\\" is not allowed to modify node \\\"n2\\\"");
    at_expect_type(node, "PATCH", self, MERGE, "{\"spec\":{\"taints\":null}}", 403,
                   "node \\\"n1\\\" is not allowed to modify taints");
    at_expect_type(node, "PATCH", self, MERGE,
                   "{\"metadata\":{\"labels\":{\"node-role.kubernetes.io/control-plane\":\"\","
                   "\"x.node-restriction.kubernetes.io/y\":\"1\"}}}",
                   403,
                   "is not allowed to modify labels: node-role.kubernetes.io/control-plane, "
                   "x.node-restriction.kubernetes.io/y");
    at_expect_type(
        node, "PATCH", self, MERGE,
        "{\"metadata\":{\"labels\":{\"my\":null,\"topology.kubernetes.io/zone\":\"z\",\"example.com/a\":"
        "\"b\",\"x.node.kubernetes.io/y\":\"1\"}}}",
        200, NULL);
    at_expect_type(node, "PATCH", "/api/v1/nodes/n1/status", MERGE,
                   "{\"status\":{\"capacity\":{\"cpu\":\"1\"}}}", 200, NULL);
    struct kn_http_client *third = at_client("system:node:n3", "system:nodes");
    at_expect(
        third, "POST", "/api/v1/nodes",
        "{\"metadata\":{\"name\":\"n3\",\"labels\":{\"node-role.kubernetes.io/x\":\"\"}}}", 403,
        "node \\\"n3\\\" is not allowed to set the following labels: node-role.kubernetes.io/x");
    kn_http_client_free(third);
    kn_http_client_free(node);
}

KTEST(a_node_gets_tokens_of_its_pods_alone)
{
    begin();
    static const char path[] = "/api/v1/namespaces/default/serviceaccounts/default/token";
    char body[512];
    bound_pod("runs", "n1");
    bound_pod("elsewhere", "n2");
    at_expect(node, "POST", path, "{\"spec\":{\"audiences\":[]}}", 403,
              "node requested token not bound to a pod");
    snprintf(body, sizeof body,
             "{\"spec\":{\"audiences\":[],\"boundObjectRef\":{\"apiVersion\":\"v1\",\"kind\":"
             "\"Node\",\"name\":\"n1\",\"uid\":\"%s\"}}}",
             uid);
    at_expect(node, "POST", path, body, 403, "node requested token not bound to a pod");
    static const char *const pods[] = {"runs", "elsewhere"};
    for (size_t i = 0; i < KN_ARRAY_LEN(pods); i++) {
        char pod[128];
        snprintf(pod, sizeof pod, PODS "/%s", pods[i]);
        struct at_reply r = at_ask(at_admin, "GET", pod, "", NULL, NULL);
        struct kn_sv id = KN_JSON_STR_AT(r.body, KN_K_metadata, KN_K_uid);
        static const char format[] =
            "{\"spec\":{\"audiences\":[],\"boundObjectRef\":{\"apiVersion\":\"v1\","
            "\"kind\":\"Pod\",\"name\":\"%s\",\"uid\":\"%.*s\"}}}";
        snprintf(body, sizeof body, format, pods[i], 0, "");
        at_expect(node, "POST", path, body, 403,
                  "node requested token with a pod binding without a uid");
        snprintf(body, sizeof body, format, pods[i], 1, "1");
        at_expect(node, "POST", path, body, 403, "does not match the UID in record");
        snprintf(body, sizeof body, format, pods[i], KN_SV_ARG(id));
        at_expect(node, "POST", path, body, i ? 403 : 201,
                  i ? "node requested token bound to a pod scheduled on a different node"
                    : "\"token\"");
        kn_arena_free(r.arena);
    }
    kn_http_client_free(node);
}

AT_MAIN(KTEST_CASE(a_node_creates_only_mirror_pods_that_name_nothing),
        KTEST_CASE(a_node_touches_only_its_own_pods), KTEST_CASE(a_node_steers_no_pods_to_itself),
        KTEST_CASE(a_node_gets_tokens_of_its_pods_alone))
