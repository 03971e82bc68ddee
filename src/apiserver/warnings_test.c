// What is accepted but does not do yet what it says is named in Warning headers.
#include "apiserver/testing.h"

#define NS "/api/v1/namespaces/default/"

// The Warning headers of an answer, joined.
static void expect_warnings(const char *method, const char *path, const char *type,
                            const char *body, int status, size_t count, const char *const *parts)
{
    struct at_reply r = at_ask(at_admin, method, path, type, NULL, body);
    size_t n = 0, found = 0;
    for (size_t i = 0; i < r.resp.headers_len; i++) {
        if (!kn_sv_ieq(r.resp.headers[i].name, KN_SV("Warning")))
            continue;
        struct kn_sv v = r.resp.headers[i].value;
        ktest_true(kn_sv_starts(v, KN_SV("299 - \"")));
        n++;
        size_t before = found;
        for (size_t p = 0; p < count; p++)
            found += kn_sv_search(v, kn_sv_c(parts[p])) >= 0;
        if (found == before)
            print_error("unexpected: %.*s\n", KN_SV_ARG(v));
    }
    if (r.status != status || n != count || found != count)
        print_error("%s %s: %d with %zu warnings: %.*s\n", method, path, r.status, n,
                    KN_SV_ARG(kn_sv_first(r.resp.body, 500)));
    ktest_true(r.status == status && n == count && found == count);
    kn_arena_free(r.arena);
}

KTEST(kinds_that_nothing_enforces_say_so)
{
    static const char *const quota[] = {"a ResourceQuota is stored but not enforced yet"};
    static const char *const limits[] = {"a LimitRange is stored but not enforced yet"};
    expect_warnings("POST", NS "resourcequotas", "application/json",
                    "{\"metadata\":{\"name\":\"q\"},\"spec\":{\"hard\":{\"pods\":\"1\"}}}", 201, 1,
                    quota);
    expect_warnings("PATCH", NS "resourcequotas/q", "application/merge-patch+json",
                    "{\"spec\":{\"hard\":{\"pods\":\"2\"}}}", 200, 1, quota);
    expect_warnings("POST", NS "limitranges", "application/json",
                    "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"limits\":[]}}", 201, 1, limits);
    expect_warnings("POST", NS "configmaps", "application/json", "{\"metadata\":{\"name\":\"c\"}}",
                    201, 0, NULL);
}

static void expect_pod(const char *meta, const char *spec, const char *container, const char *part)
{
    static int number;
    char pod[2048], deployment[4096], want[512];
    const char *parts[] = {want};
    snprintf(want, sizeof want, "\"%s", part ? part : "");
    number++;
    at_expect(at_admin, "GET", NS "serviceaccounts/default", NULL, 200, NULL);
    snprintf(
        pod, sizeof pod,
        "{\"metadata\":{\"name\":\"p%d\"%s,\"labels\":{\"a\":\"b\"}},\"spec\":{%s\"containers\":[{"
        "\"name\":\"c\",\"image\":\"i\"%s}]}}",
        number, meta, spec, container);
    expect_warnings("POST", NS "pods", "application/json", pod, 201, part != NULL, parts);
    snprintf(deployment, sizeof deployment,
             "{\"metadata\":{\"name\":\"d%d\"},\"spec\":{\"selector\":{\"matchLabels\":{"
             "\"a\":\"b\"}},\"template\":%s}}",
             number, pod);
    snprintf(want, sizeof want, "\"spec.template.%s", part ? part : "");
    expect_warnings("POST", "/apis/apps/v1/namespaces/default/deployments", "application/json",
                    deployment, 201, part != NULL, parts);
}

KTEST(fields_of_pods_that_nodes_do_not_honour_are_named)
{
    static const struct {
        const char *meta, *spec, *container, *part; // NULL: no warning
    } samples[] = {
        {"", "\"hostUsers\":true,", ",\"readinessProbe\":{\"httpGet\":{\"port\":1}}", NULL},
        {"", "\"hostUsers\":false,", "", "spec.hostUsers: user namespaces are not supported yet"},
        {"", "\"runtimeClassName\":\"x\",", "", "spec.runtimeClassName: "},
        {"", "\"securityContext\":{\"seLinuxOptions\":{\"level\":\"s0\"}},", "",
         "spec.securityContext.seLinuxOptions: "},
        {"", "\"securityContext\":{\"appArmorProfile\":{\"type\":\"Unconfined\"}},", "", NULL},
        {"", "", ",\"securityContext\":{\"appArmorProfile\":{\"type\":\"RuntimeDefault\"}}",
         "spec.containers[0].securityContext.appArmorProfile.type: AppArmor"},
        {"", "", ",\"livenessProbe\":{\"grpc\":{\"port\":1}}",
         "spec.containers[0].livenessProbe.grpc: "},
        {"", "", ",\"startupProbe\":{\"httpGet\":{\"port\":1,\"scheme\":\"HTTPS\"}}",
         "spec.containers[0].startupProbe.httpGet.scheme: HTTPS"},
        {"", "", ",\"lifecycle\":{\"preStop\":{\"httpGet\":{\"port\":1,\"scheme\":\"HTTPS\"}}}",
         "spec.containers[0].lifecycle.preStop.httpGet.scheme: HTTPS"},
        {"", "", ",\"resources\":{\"limits\":{\"ephemeral-storage\":\"1Gi\"}}",
         "spec.containers[0].resources.limits.ephemeral-storage: not enforced yet"},
        {"", "", ",\"resources\":{\"limits\":{\"hugepages-2Mi\":\"4Mi\",\"cpu\":\"1\"}}",
         "spec.containers[0].resources.limits.hugepages-2Mi: "},
        {"", "\"initContainers\":[{\"name\":\"i\",\"image\":\"i\",\"restartPolicy\":\"Always\"}],",
         "", NULL},
        {"", "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{\"sizeLimit\":\"1Gi\"}}],", "", NULL},
        {"",
         "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{\"sizeLimit\":\"1Gi\",\"medium\":\"Memory\"}}"
         "],",
         "", NULL},
        {"", "\"volumes\":[{\"name\":\"v\",\"nfs\":{\"server\":\"s\",\"path\":\"/\"}}],", "",
         "spec.volumes[0].nfs: volumes of this kind are not supported yet"},
        {"", "\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"c\"}}],", "",
         "spec.volumes[0].persistentVolumeClaim: "},
        {",\"annotations\":{\"container.apparmor.security.beta.kubernetes.io/c\":\"unconfined\"}",
         "", "", NULL},
    };
    struct at_reply r = at_ask(at_admin, "POST", NS "serviceaccounts", "application/json", NULL,
                               "{\"metadata\":{\"name\":\"default\"}}");
    kn_arena_free(r.arena);
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++)
        expect_pod(samples[i].meta, samples[i].spec, samples[i].container, samples[i].part);
}

AT_MAIN(KTEST_CASE(kinds_that_nothing_enforces_say_so),
        KTEST_CASE(fields_of_pods_that_nodes_do_not_honour_are_named))
