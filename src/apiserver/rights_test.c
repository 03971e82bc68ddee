// Who may do what: nobody gives away more than he has.
#include "apiserver/testing.h"
#include "base/num.h"
#include "codec/base64.h"

#define RBAC "/apis/rbac.authorization.k8s.io/v1/"
#define MERGE "application/merge-patch+json"

// Lets a user do everything with cluster roles, except what "escalate" and "bind" say.
static struct kn_http_client *role_editor(const char *name)
{
    char body[1024];
    struct at_reply r = at_ask(
        at_admin, "PUT", RBAC "clusterroles/role-editor", "", NULL,
        "{\"metadata\":{\"name\":\"role-editor\"},\"rules\":[{"
        "\"apiGroups\":[\"rbac.authorization.k8s.io\"],"
        "\"resources\":[\"clusterroles\"],\"verbs\":[\"get\",\"create\",\"update\",\"patch\"]}]}");
    kn_arena_free(r.arena);
    snprintf(
        body, sizeof body,
        "{\"metadata\":{\"name\":\"%s\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\","
        "\"kind\":"
        "\"ClusterRole\",\"name\":\"role-editor\"},\"subjects\":[{\"kind\":\"User\","
        "\"name\":\"%s\",\"apiGroup\":"
        "\"rbac.authorization.k8s.io\"}]}",
        name, name);
    at_expect(at_admin, "POST", RBAC "clusterrolebindings", body, 201, NULL);
    return at_client(name, NULL);
}

KTEST(an_aggregation_rule_needs_every_right)
{
    static const char all[] = "\"aggregationRule\":{\"clusterRoleSelectors\":[{}]}";
    static const char needs[] = "must have cluster-admin privileges to use the aggregationRule";
    char body[512];
    struct kn_http_client *editor = role_editor("gatherer");
    at_expect(
        at_admin, "POST", RBAC "clusterroles",
        "{\"metadata\":{\"name\":\"gathered\"},\"aggregationRule\":{\"clusterRoleSelectors\":[{"
        "\"matchLabels\":{\"some\":\"label\"}}]},\"rules\":[]}",
        201, NULL);
    snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"mine\"},%s,\"rules\":[]}", all);
    at_expect(editor, "POST", RBAC "clusterroles", body, 403, needs);
    snprintf(body, sizeof body, "{%s}", all);
    at_expect_type(editor, "PATCH", RBAC "clusterroles/gathered", MERGE, body, 403, needs);
    at_expect_type(editor, "PATCH", RBAC "clusterroles/gathered", MERGE,
                   "{\"aggregationRule\":null}", 403, needs);
    // what gives nobody a right is free
    at_expect_type(editor, "PATCH", RBAC "clusterroles/gathered", MERGE,
                   "{\"metadata\":{\"finalizers\":[\"example.com/x\"]}}", 200, NULL);
    at_expect_type(at_admin, "PATCH", RBAC "clusterroles/gathered", MERGE, body, 200, NULL);
    kn_http_client_free(editor);
}

KTEST(a_label_that_gives_rights_away_needs_them)
{
    struct kn_http_client *editor = role_editor("labeller");
    at_expect_type(
        editor, "PATCH", RBAC "clusterroles/cluster-admin", MERGE,
        "{\"metadata\":{\"labels\":{\"rbac.authorization.k8s.io/aggregate-to-view\":\"true\"}}}",
        403, "is attempting to grant RBAC permissions not currently held");
    kn_http_client_free(editor);
}

KTEST(a_put_that_creates_needs_the_right_to_create)
{
    static const char role[] = RBAC "namespaces/default/roles/updater";
    static const char service[] = "/api/v1/namespaces/default/services/by-put";
    static const char body[] =
        "{\"metadata\":{\"name\":\"by-put\"},\"spec\":{\"ports\":[{\"port\":80}]}}";
    struct kn_http_client *user = at_client("updater", NULL);
    at_expect(
        at_admin, "PUT", role,
        "{\"metadata\":{\"name\":\"updater\"},\"rules\":[{\"apiGroups\":[\"\"],"
        "\"resources\":[\"services\"],"
        "\"verbs\":[\"update\"]}]}",
        201, NULL);
    at_expect(
        at_admin, "POST", RBAC "namespaces/default/rolebindings",
        "{\"metadata\":{\"name\":\"updater\"},\"roleRef\":{"
        "\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
        "\"Role\",\"name\":\"updater\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"updater\","
        "\"apiGroup\":"
        "\"rbac.authorization.k8s.io\"}]}",
        201, NULL);
    at_expect(user, "PUT", service, body, 403, "cannot create resource \\\"services\\\"");
    at_expect(at_admin, "GET", service, NULL, 404, NULL);
    at_expect_type(
        at_admin, "PATCH", role, MERGE,
        "{\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"services\"],\"verbs\":[\"update\","
        "\"create\"]}]}",
        200, NULL);
    at_expect(user, "PUT", service, body, 201, NULL);
    kn_http_client_free(user);
}

// A continue token is the client's to write. One that points before the namespace must open
// nothing.
KTEST(a_continue_token_does_not_lead_out_of_the_namespace)
{
    static const char *const tokens[] = {"%lld\n\n!", "%lld\ndefault\n!",
                                         "%lld\nfenced\n../default/!",
                                         "%lld\nfenced/../default\n!"};
    at_expect(at_admin, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"fenced\"}}", 201,
              NULL);
    at_expect(at_admin, "POST", "/api/v1/namespaces/default/secrets",
              "{\"metadata\":{\"name\":\"victim\"},\"stringData\":{\"k\":\"v\"}}", 201, NULL);
    at_expect(at_admin, "POST", RBAC "namespaces/fenced/roles",
              "{\"metadata\":{\"name\":\"reader\"},\"rules\":[{\"apiGroups\":[\"\"],\"resources\":["
              "\"secrets\"],\"verbs\":[\"list\",\"deletecollection\"]}]}", 201, NULL);
    at_expect(at_admin, "POST", RBAC "namespaces/fenced/rolebindings",
              "{\"metadata\":{\"name\":\"reader\"},\"roleRef\":{\"apiGroup\":"
              "\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"reader\"},\"subjects\":[{"
              "\"kind\":\"User\",\"name\":\"fenced\",\"apiGroup\":\"rbac.authorization.k8s.io\"}]}",
              201, NULL);
    struct at_reply r =
        at_ask(at_admin, "GET", "/api/v1/namespaces/default/secrets", "", NULL, NULL);
    int64_t rev = 0;
    ktest_ok(kn_num_parse(KN_JSON_STR_AT(r.body, KN_K_metadata, KN_K_resourceVersion), 1, INT64_MAX,
                          &rev));
    kn_arena_free(r.arena);
    // another change of a secret: what the tokens name is the past
    at_expect(at_admin, "POST", "/api/v1/namespaces/fenced/secrets",
              "{\"metadata\":{\"name\":\"own\"}}", 201, NULL);
    struct kn_http_client *user = at_client("fenced", NULL);
    for (size_t i = 0; i < KN_ARRAY_LEN(tokens); i++) {
        struct kn_buf plain = KN_BUF(256), path = KN_BUF(1024);
        char text[64];
        snprintf(text, sizeof text, "%lld", (long long)rev);
        kn_buf_addc(&plain, text);
        kn_buf_addc(&plain, tokens[i] + 4); // behind the number's format
        kn_buf_addc(&path, "/api/v1/namespaces/fenced/secrets?continue=");
        kn_base64_encode(&path, kn_buf_sv(&plain), KN_BASE64_URL);
        at_expect(user, "GET", kn_buf_cstr(&path), NULL, 400, "continue key is not valid");
        at_expect(user, "DELETE", kn_buf_cstr(&path), NULL, 400, "continue key is not valid");
        kn_buf_done(&plain);
        kn_buf_done(&path);
    }
    at_expect(at_admin, "GET", "/api/v1/namespaces/default/secrets/victim", NULL, 200, NULL);
    kn_http_client_free(user);
}

AT_MAIN(KTEST_CASE(a_continue_token_does_not_lead_out_of_the_namespace),
        KTEST_CASE(a_put_that_creates_needs_the_right_to_create),
        KTEST_CASE(an_aggregation_rule_needs_every_right),
        KTEST_CASE(a_label_that_gives_rights_away_needs_them))
