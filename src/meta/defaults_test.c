#include "meta/defaults.h"

#include "base/mem.h"
#include "lib/ktest.h"
#include "meta/decode.h"

#define ARENA(name) struct kn_arena *name KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20)

// Texts are written with ' for ".
static struct kn_sv quoted(struct kn_arena *a, const char *text)
{
    struct kn_sv v = kn_arena_dup(a, kn_sv_c(text));
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] == '\'')
            ((char *)(uintptr_t)v.ptr)[i] = '"';
    return v;
}

// What is at `member` of the object after decoding and defaulting (twice: nothing may change).
static void at(const char *api_version, const char *kind, const char *member, const char *in,
               const char *out)
{
    ARENA(a);
    struct kn_json *v, *want, *part;
    const struct kn_type *t = kn_type_find_api(kn_sv_c(api_version), kn_sv_c(kind));
    ktest_true(t != NULL);
    ktest_ok(kn_decode_body(a, t, quoted(a, in), KN_FIELDS_STRICT, NULL, &v));
    ktest_ok(kn_default(a, t, v));
    struct kn_json *once = kn_json_copy(a, v);
    ktest_ok(kn_default(a, t, v));
    ktest_true(kn_json_equal(once, v));
    ktest_ok(kn_json_parse(a, quoted(a, out), NULL, &want));
    part = v;
    for (struct kn_sv rest = kn_sv_c(member); rest.len;)
        part = kn_json_get_sv(part, kn_sv_cut(&rest, '.'));
    if (kn_json_equal(part, want))
        return;
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1 << 20);
    if (part)
        kn_json_encode(&b, part);
    print_error("%s %s\ngot  %s\nwant %.*s\n", kind, member, kn_buf_cstr(&b),
                KN_SV_ARG(quoted(a, out)));
    ktest_true(false);
}

#define POD_REST                                                                                   \
    "'dnsPolicy':'ClusterFirst','restartPolicy':'Always','securityContext':{},"                    \
    "'terminationGracePeriodSeconds':30,'schedulerName':'default-scheduler'"
#define CONTAINER_REST                                                                             \
    "'terminationMessagePath':'/dev/termination-log','terminationMessagePolicy':'File'"

KTEST(a_pod_gets_all_its_defaults)
{
    at("v1", "Pod", "spec",
       "{'spec':{'serviceAccount':'x','containers':[{'name':'a','image':'nginx','ports':[{'"
       "containerPort':"
       "80}],'resources':{'limits':{'cpu':'1'},'requests':{'memory':'1Mi'}},'livenessProbe':{'"
       "httpGet':"
       "{'port':80}}}],'volumes':[{'name':'v'},{'name':'s','secret':{'secretName':'s'}},{'name':'h'"
       ","
       "'hostPath':{'path':'/x'}}]}}",
       "{" POD_REST
       ",'enableServiceLinks':true,'serviceAccount':'x','serviceAccountName':'x','containers':"
       "[{'name':'a','image':'nginx','ports':[{'containerPort':80,'protocol':'TCP'}],'resources':{'"
       "limits':"
       "{'cpu':'1'},'requests':{'memory':'1Mi','cpu':'1'}},'livenessProbe':{'httpGet':{'path':'/"
       "','port':80,"
       "'scheme':'HTTP'},'timeoutSeconds':1,'periodSeconds':10,'successThreshold':1,'"
       "failureThreshold':3},"
       "'imagePullPolicy':'Always'," CONTAINER_REST
       "}],'volumes':[{'name':'v','emptyDir':{}},{'name':'s',"
       "'secret':{'secretName':'s','defaultMode':420}},{'name':'h','hostPath':{'path':'/"
       "x','type':''}}]}");
}

KTEST(the_pull_policy_follows_the_tag)
{
    static const struct {
        const char *image, *policy;
    } cases[] = {
        {"nginx", "Always"},
        {"nginx:latest", "Always"},
        {"nginx:1.7.9", "IfNotPresent"},
        {"localhost:5000/nginx", "Always"},
        {"localhost:5000/nginx:1", "IfNotPresent"},
        {"nginx@sha256:abc", "IfNotPresent"},
        {"nginx:latest@sha256:abc", "Always"},
        {"", "IfNotPresent"},
        {"Nginx", "IfNotPresent"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        ARENA(a);
        struct kn_sv in = kn_arena_printf(a, "{'spec':{'containers':[{'name':'a','image':'%s'}]}}",
                                          cases[i].image);
        struct kn_json *v;
        const struct kn_type *t = kn_type_find_api(KN_SV("v1"), KN_SV("Pod"));
        ktest_ok(kn_decode_body(a, t, quoted(a, in.ptr), KN_FIELDS_STRICT, NULL, &v));
        ktest_ok(kn_default(a, t, v));
        const struct kn_json *c = kn_json_item(KN_JSON_AT(v, KN_K_spec, KN_K_containers), 0);
        ktest_eq_sv(kn_json_str(kn_json_get(c, KN_K_imagePullPolicy)), cases[i].policy);
    }
}

KTEST(a_template_gets_pod_defaults_but_no_requests)
{
    at("apps/v1", "Deployment", "spec",
       "{'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'spec':{'containers':[{'name':'a'"
       ",'image':"
       "'x:1','resources':{'limits':{'cpu':'0.0001'}}}]}}}}",
       "{'replicas':1,'revisionHistoryLimit':10,'progressDeadlineSeconds':600,'strategy':{'type':"
       "'RollingUpdate','rollingUpdate':{'maxUnavailable':'25%','maxSurge':'25%'}},'selector':{'"
       "matchLabels':"
       "{'a':'b'}},'template':{'metadata':{},'spec':{" POD_REST
       ",'containers':[{'name':'a','image':'x:1',"
       "'resources':{'limits':{'cpu':'1m'}},'imagePullPolicy':'IfNotPresent'," CONTAINER_REST
       "}]}}}");
    at("apps/v1", "Deployment", "spec.strategy",
       "{'spec':{'selector':null,'strategy':{'type':'Recreate'},'template':{}}}",
       "{'type':'Recreate'}");
}

KTEST(old_deployments_have_their_own_defaults)
{
    const char *in =
        "{'spec':{'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[]}}}}";
    at("extensions/v1beta1", "Deployment", "spec.selector", in, "{'matchLabels':{'a':'b'}}");
    at("extensions/v1beta1", "Deployment", "metadata.labels", in, "{'a':'b'}");
    at("extensions/v1beta1", "Deployment", "spec.revisionHistoryLimit", in, "2147483647");
    at("extensions/v1beta1", "Deployment", "spec.strategy.rollingUpdate", in,
       "{'maxSurge':1,'maxUnavailable':1}");
    at("apps/v1beta1", "Deployment", "spec.selector", in, "{'matchLabels':{'a':'b'}}");
    at("apps/v1beta1", "Deployment", "spec.revisionHistoryLimit", in, "2");
    at("apps/v1beta2", "Deployment", "spec.revisionHistoryLimit", in, "10");
    at("apps/v1beta2", "Deployment", "metadata", in, "{}");
}

KTEST(services_get_types_ports_and_policies)
{
    at("v1", "Service", "spec", "{'spec':{'ports':[{'port':80}]}}",
       "{'type':'ClusterIP','sessionAffinity':'None','internalTrafficPolicy':'Cluster','ports':[{'"
       "port':80,"
       "'targetPort':80,'protocol':'TCP'}]}");
    at("v1", "Service", "spec",
       "{'spec':{'type':'NodePort','sessionAffinity':'ClientIP','ports':[{'port':1,'targetPort':'"
       "web'}]}}",
       "{'type':'NodePort','sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':"
       "{'timeoutSeconds':10800}},'internalTrafficPolicy':'Cluster','externalTrafficPolicy':'"
       "Cluster',"
       "'ports':[{'port':1,'targetPort':'web','protocol':'TCP'}]}");
    at("v1", "Service", "spec", "{'spec':{'type':'ExternalName','externalName':'a.b'}}",
       "{'type':'ExternalName','externalName':'a.b','sessionAffinity':'None'}");
}

KTEST(other_kinds_get_theirs)
{
    at("v1", "Namespace", "metadata.labels", "{'metadata':{'name':'x'}}",
       "{'kubernetes.io/metadata.name':'x'}");
    at("v1", "Namespace", "status", "{'metadata':{'name':'x'}}", "{'phase':'Active'}");
    at("v1", "Secret", "type", "{}", "'Opaque'");
    at("v1", "PersistentVolumeClaim", "spec", "{'spec':{}}",
       "{'resources':{},'volumeMode':'Filesystem'}");
    at("rbac.authorization.k8s.io/v1", "RoleBinding", "subjects",
       "{'roleRef':{'kind':'Role','name':'x'},'subjects':[{'kind':'User','name':'u'},{'kind':"
       "'ServiceAccount','name':'s'}]}",
       "[{'kind':'User','name':'u','apiGroup':'rbac.authorization.k8s.io'},{'kind':'ServiceAccount'"
       ",'name':"
       "'s'}]");
    at("rbac.authorization.k8s.io/v1", "RoleBinding", "roleRef.apiGroup",
       "{'roleRef':{'name':'x'}}", "'rbac.authorization.k8s.io'");
    at("discovery.k8s.io/v1", "EndpointSlice", "ports",
       "{'addressType':'IPv4','ports':[{'port':80}]}", "[{'name':'','protocol':'TCP','port':80}]");
    at("apps/v1", "StatefulSet", "spec.updateStrategy", "{}",
       "{'type':'RollingUpdate','rollingUpdate':{'partition':0,'maxUnavailable':1}}");
    at("apps/v1", "DaemonSet", "spec.updateStrategy", "{}",
       "{'type':'RollingUpdate','rollingUpdate':{'maxUnavailable':1,'maxSurge':0}}");
    at("batch/v1", "Job", "spec.completions", "{}", "1");
    at("batch/v1", "Job", "spec.backoffLimit", "{'spec':{'parallelism':2}}", "6");
    at("v1", "Node", "status.allocatable", "{'status':{'capacity':{'cpu':'2'}}}", "{'cpu':'2'}");
    at("v1", "LimitRange", "spec.limits",
       "{'spec':{'limits':[{'type':'Container','max':{'cpu':'2'}}]}}",
       "[{'type':'Container','max':{'cpu':'2'},'default':{'cpu':'2'},'defaultRequest':{'cpu':'2'}}"
       "]");
}

KTEST_MAIN(KTEST_CASE(a_pod_gets_all_its_defaults), KTEST_CASE(the_pull_policy_follows_the_tag),
           KTEST_CASE(a_template_gets_pod_defaults_but_no_requests),
           KTEST_CASE(old_deployments_have_their_own_defaults),
           KTEST_CASE(services_get_types_ports_and_policies), KTEST_CASE(other_kinds_get_theirs))
