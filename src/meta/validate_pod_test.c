#include "meta/validate_testing.h"

static const char pod[] = "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a','namespace':'b'},"
                          "'spec':{'containers':[{'name':'c','image':'i'}]}}";

// A pod whose only container has these members too.
#define C(members) "{'spec':{'containers':[{'name':'c','image':'i'," members "}]}}"
#define SPEC(members) "{'spec':{" members "}}"
#define LABEL                                                                                      \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define C0 "spec.containers[0]"

KTEST(checks_containers)
{
    static const struct validate_sample samples[] = {
        {"{}", ""},
        {SPEC("'containers':null"), "spec.containers: Required value"},
        {SPEC("'containers':[{}]"),
         "spec.containers[0].name: Required value, spec.containers[0].image: Required value"},
        {SPEC("'containers':[{'name':'C_','image':'i'}]"),
         C0 ".name: Invalid value: \"C_\": " LABEL},
        {SPEC("'containers':[{'name':'c','image':'i'},{'name':'c','image':'i'}]"),
         "spec.containers[1].name: Duplicate value: \"c\""},
        {SPEC("'initContainers':[{'name':'c','image':'i'}]"),
         "spec.initContainers[0].name: Duplicate value: \"c\""},
        {SPEC("'containers':[{'name':'c','image':' i'}]"),
         C0 ".image: Invalid value: \" i\": must not have leading or trailing whitespace"},
        {C("'imagePullPolicy':'Often'"),
         C0 ".imagePullPolicy: Unsupported value: \"Often\": supported "
            "values: \"Always\", \"IfNotPresent\", \"Never\""},
        {C("'terminationMessagePolicy':'Mail'"),
         C0 ".terminationMessagePolicy: Unsupported value: \"Mail\": supported values: \"File\", "
            "\"FallbackToLogsOnError\""},
        {SPEC("'ephemeralContainers':[{'name':'e','image':'i'}]"),
         "spec.ephemeralContainers: Forbidden: cannot be set on create"},
        {SPEC("'initContainers':[{'name':'n','image':'i','livenessProbe':{'exec':{'command':['x']}}"
              "}]"),
         "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers "
         "without "
         "restartPolicy=Always"},
        {SPEC("'initContainers':[{'name':'n','image':'i','restartPolicy':'Always','livenessProbe':{"
              "'exec':{'command':['x']}}}]"),
         ""},
    };
    VALIDATE_CREATE("v1", "Pod", pod, samples);
}

KTEST(checks_ports)
{
    static const struct validate_sample samples[] = {
        {C("'ports':[{'containerPort':80,'name':'http'},{'containerPort':80,'protocol':'UDP'}]"),
         ""},
        {C("'ports':[{}]"), C0 ".ports[0].containerPort: Required value"},
        {C("'ports':[{'containerPort':70000}]"), C0
         ".ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
        {C("'ports':[{'containerPort':1,'protocol':'tcp'}]"),
         C0 ".ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", "
            "\"UDP\""},
        {C("'ports':[{'containerPort':1,'name':'a_b'}]"),
         C0 ".ports[0].name: Invalid value: \"a_b\": must contain only alpha-numeric characters "
            "(a-z, 0-9), "
            "and hyphens (-)"},
        {C("'ports':[{'containerPort':1,'name':'a'},{'containerPort':2,'name':'a'}]"),
         C0 ".ports[1].name: Duplicate value: \"a\""},
        {C("'ports':[{'containerPort':1,'hostPort':9},{'containerPort':2,'hostPort':9}]"),
         C0 ".ports[1].hostPort: Duplicate value: \"TCP//9\""},
        {SPEC("'hostNetwork':true,'containers':[{'name':'c','image':'i','ports':[{'containerPort':"
              "1,'hostPort':2}]}]"),
         C0 ".ports[0].hostPort: Invalid value: 2: must match `containerPort` when `hostNetwork` "
            "is true"},
    };
    VALIDATE_CREATE("v1", "Pod", pod, samples);
}

KTEST(checks_the_environment)
{
    static const struct validate_sample samples[] = {
        {C("'env':[{'name':'A','value':'1'},{'name':'A','value':'2'}]"), ""},
        {C("'env':[{'value':'1'}]"), C0 ".env[0].name: Required value"},
        {C("'env':[{'name':'a=b'}]"),
         C0 ".env[0].name: Invalid value: \"a=b\": a valid environment "
            "variable name must consist only of printable ASCII characters "
            "other than '='"},
        {C("'env':[{'name':'A','valueFrom':{}}]"),
         C0 ".env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, "
            "`resourceFieldRef`, "
            "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"},
        {C("'env':[{'name':'A','value':'x','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}"
           "]"),
         C0
         ".env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"},
        {C("'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'spec.dnsPolicy'}}}]"),
         C0 ".env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.dnsPolicy\": error "
            "converting "
            "fieldPath: field label not supported: spec.dnsPolicy"},
        {C("'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.annotations'}}}]"), C0
         ".env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.annotations\": "
         "supported "
         "values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", "
         "\"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", "
         "\"status.podIPs\""},
        {C("'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'s'}}}]"),
         C0 ".env[0].valueFrom.secretKeyRef.key: Required value"},
        {C("'env':[{'name':'A','valueFrom':{'resourceFieldRef':{'resource':'limits.disk'}}}]"),
         C0 ".env[0].valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.disk\": "
            "supported "
            "values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", "
            "\"requests.cpu\", "
            "\"requests.ephemeral-storage\", \"requests.memory\""},
        {C("'envFrom':[{}]"),
         C0 ".envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"},
        {C("'envFrom':[{'configMapRef':{'name':'m'}}]"), ""},
    };
    VALIDATE_CREATE("v1", "Pod", pod, samples);
}

KTEST(checks_volumes_and_mounts)
{
    static const struct validate_sample samples[] = {
        {SPEC("'volumes':[{'name':'v','emptyDir':{}}],'containers':[{'name':'c','image':'i',"
              "'volumeMounts':[{'name':'v','mountPath':'/x'}]}]"),
         ""},
        // a volume without a source is an emptyDir: defaulting says so
        {SPEC("'volumes':[{'name':'v'}]"), ""},
        {SPEC("'volumes':[{'emptyDir':{}}]"), "spec.volumes[0].name: Required value"},
        {SPEC("'volumes':[{'name':'v','emptyDir':{},'hostPath':{'path':'/'}}]"),
         "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"},
        {SPEC("'volumes':[{'name':'v','emptyDir':{}},{'name':'v','emptyDir':{}}]"),
         "spec.volumes[1].name: Duplicate value: \"v\""},
        {SPEC("'volumes':[{'name':'v','hostPath':{'path':'/a/../b'}}]"),
         "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"},
        {SPEC("'volumes':[{'name':'v','secret':{}}]"),
         "spec.volumes[0].secret.secretName: Required value"},
        {SPEC(
             "'volumes':[{'name':'v','configMap':{'name':'m','items':[{'key':'k','path':'/a'}]}}]"),
         "spec.volumes[0].configMap.items[0].path: Invalid value: \"/a\": must be a relative path"},
        {SPEC("'volumes':[{'name':'v','configMap':{'name':'m','defaultMode':1000}}]"),
         "spec.volumes[0].configMap.defaultMode: Invalid value: 1000: must be a number between 0 "
         "and 0777 "
         "(octal), both inclusive"},
        {C("'volumeMounts':[{'name':'v','mountPath':'/x'}]"),
         C0 ".volumeMounts[0].name: Not found: \"v\""},
        {SPEC("'volumes':[{'name':'v','emptyDir':{}}],'containers':[{'name':'c','image':'i','"
              "volumeMounts':"
              "[{'name':'v','mountPath':'/x'},{'name':'v','mountPath':'/x'}]}]"),
         C0 ".volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique"},
        {SPEC("'volumes':[{'name':'v','emptyDir':{}}],'containers':[{'name':'c','image':'i','"
              "volumeMounts':"
              "[{'name':'v','mountPath':'/x','mountPropagation':'Bidirectional'}]}]"),
         C0 ".volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is "
            "available only "
            "to privileged containers"},
        {SPEC("'serviceAccountName':'s','volumes':[{'name':'v','projected':{'sources':[{'"
              "serviceAccountToken':"
              "{'path':'t','expirationSeconds':5}}]}}]"),
         "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid "
         "value: 5: may "
         "not specify a duration less than 10 minutes"},
    };
    VALIDATE_CREATE("v1", "Pod", pod, samples);
}

KTEST(checks_resources)
{
    static const struct validate_sample samples[] = {
        {C("'resources':{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'500m'}}"), ""},
        {C("'resources':{'limits':{'cpu':'1'},'requests':{'cpu':'2'}}"), C0
         ".resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"},
        {C("'resources':{'limits':{'cpu':'-1'}}"),
         C0 ".resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0, " C0
            ".resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"},
        {C("'resources':{'requests':{'disk':'1'}}"),
         C0 ".resources.requests[disk]: Invalid value: \"disk\": must be a standard resource type "
            "or fully "
            "qualified, " C0 ".resources.requests[disk]: Invalid value: \"disk\": must be a "
                             "standard resource for containers"},
        {C("'resources':{'limits':{'example.com/gpu':'1'},'requests':{'example.com/gpu':'1'}}"),
         ""},
        {C("'resources':{'requests':{'example.com/gpu':'1'}}"), C0
         ".resources.limits: Required value: Limit must be set for non overcommitable resources"},
        {C("'resources':{'limits':{'example.com/gpu':'1500m'},'requests':{'example.com/"
           "gpu':'1500m'}}"),
         C0 ".resources.limits[example.com/gpu]: Invalid value: \"1500m\": must be an integer, " C0
            ".resources.requests[example.com/gpu]: Invalid value: \"1500m\": must be an integer"},
    };
    VALIDATE_CREATE("v1", "Pod", pod, samples);
}

KTEST(checks_probes_and_hooks)
{
    static const struct validate_sample samples[] = {
        {C("'livenessProbe':{'httpGet':{'port':80}}"), ""},
        {C("'livenessProbe':{}"), C0 ".livenessProbe: Required value: must specify a handler type"},
        {C("'livenessProbe':{'httpGet':{'port':0}}"), C0
         ".livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"},
        {C("'livenessProbe':{'httpGet':{'port':80,'scheme':'FTP'}}"),
         C0 ".livenessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: "
            "\"HTTP\", \"HTTPS\""},
        {C("'livenessProbe':{'httpGet':{'port':80},'exec':{'command':['x']}}"),
         C0 ".livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type"},
        {C("'livenessProbe':{'tcpSocket':{'port':80},'successThreshold':2}"),
         C0 ".livenessProbe.successThreshold: Invalid value: 2: must be 1"},
        {C("'readinessProbe':{'tcpSocket':{'port':80},'successThreshold':2}"), ""},
        {C("'readinessProbe':{'exec':{}}"), C0 ".readinessProbe.exec.command: Required value"},
        {C("'startupProbe':{'exec':{'command':['x']},'periodSeconds':-1}"),
         C0 ".startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"},
        {C("'lifecycle':{'preStop':{'sleep':{'seconds':40}}}"),
         C0 ".lifecycle.preStop.sleep: Invalid value: 40: must be non-negative and less than "
            "terminationGracePeriodSeconds (30)"},
    };
    VALIDATE_CREATE("v1", "Pod", pod, samples);
}

KTEST(checks_the_rest_of_a_pod)
{
    static const struct validate_sample samples[] = {
        {SPEC("'restartPolicy':'Sometimes'"),
         "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
         "\"OnFailure\", "
         "\"Never\""},
        {SPEC("'dnsPolicy':'None'"),
         "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"},
        {SPEC("'dnsPolicy':'None','dnsConfig':{'nameservers':['1.2.3.4']}"), ""},
        {SPEC("'dnsConfig':{'nameservers':['x']}"),
         "spec.dnsConfig.nameservers[0]: Invalid value: \"x\": must be a valid IP address, (e.g. "
         "10.9.8.7 or "
         "2001:db8::ffff)"},
        {SPEC("'nodeName':'A'"),
         "spec.nodeName: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of "
         "lower case "
         "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
         "character (e.g. "
         "'example.com', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
        {SPEC("'activeDeadlineSeconds':0"), "spec.activeDeadlineSeconds: Invalid value: 0: must be "
                                            "between 1 and 2147483647, inclusive"},
        {SPEC("'terminationGracePeriodSeconds':-1"), ""}, // defaulting makes it 1
        {SPEC("'tolerations':[{'operator':'Exists'},{'key':'k','operator':'Equal','value':'v','"
              "effect':'NoSchedule'}]"),
         ""},
        {SPEC("'tolerations':[{'operator':'Equal'}]"),
         "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when "
         "`key` is empty, "
         "which means \"match all values and all keys\""},
        {SPEC("'tolerations':[{'key':'k','operator':'Near'}]"),
         "spec.tolerations[0].operator: Unsupported value: \"Near\": supported values: \"Equal\", "
         "\"Exists\""},
        {SPEC("'tolerations':[{'key':'k','tolerationSeconds':1}]"),
         "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when "
         "`tolerationSeconds` is set"},
        {SPEC("'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'"
              "nodeSelectorTerms':[]}}}"),
         "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
         "nodeSelectorTerms: "
         "Required value: must have at least one node selector term"},
        {SPEC("'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':"
              "[{'labelSelector':{'matchLabels':{'a':'b'}},'topologyKey':'kubernetes.io/"
              "hostname'}]}}"),
         ""},
        {SPEC("'topologySpreadConstraints':[{'maxSkew':0,'topologyKey':'z','whenUnsatisfiable':'"
              "DoNotSchedule',"
              "'labelSelector':{}}]"),
         "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"},
        {SPEC("'securityContext':{'runAsUser':-1}"),
         "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, "
         "inclusive"},
        {SPEC("'securityContext':{'sysctls':[{'name':'a..b','value':'1'}]}"),
         "spec.securityContext.sysctls[0].name: Invalid value: \"a..b\": must have at most 253 "
         "characters and "
         "match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"},
        {SPEC("'hostUsers':false,'hostNetwork':true"),
         "spec.hostNetwork: Forbidden: when `hostUsers` is false"},
        {SPEC("'preemptionPolicy':'Maybe'"), "spec.preemptionPolicy: Unsupported value: \"Maybe\": "
                                             "supported values: \"PreemptLowerPriority\", "
                                             "\"Never\""},
        {C("'securityContext':{'privileged':true,'allowPrivilegeEscalation':false}"),
         C0 ".securityContext: Invalid value: "
            "{\"privileged\":true,\"allowPrivilegeEscalation\":false}: cannot "
            "set `allowPrivilegeEscalation` to false and `privileged` to true"},
        {C("'securityContext':{'seccompProfile':{'type':'Localhost'}}"),
         C0 ".securityContext.seccompProfile.localhostProfile: Required value: must be set when "
            "seccomp type "
            "is Localhost"},
    };
    VALIDATE_CREATE("v1", "Pod", pod, samples);
}

#define FIXED                                                                                      \
    "spec: Forbidden: pod updates may not change fields other than "                               \
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"      \
    "`spec.tolerations` (only additions to existing tolerations),"                                 \
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

KTEST(lets_an_update_change_little)
{
    static const struct validate_sample samples[] = {
        {"{'metadata':{'labels':{'x':'y'}}}", ""},
        {SPEC("'containers':[{'name':'c','image':'j'}]"), ""},
        {SPEC("'containers':[{'name':'c','image':'i'},{'name':'d','image':'i'}]"),
         "spec.containers: Forbidden: pod updates may not add or remove containers"},
        {SPEC("'containers':[{'name':'c','imagePullPolicy':'Always'}]"),
         C0 ".image: Required value"},
        {SPEC("'activeDeadlineSeconds':50"), ""},
        {SPEC("'tolerations':[{'key':'k','operator':'Exists'}]"), ""},
        {SPEC("'nodeName':'n'"), FIXED "\n- nodeName: null\n+ nodeName: \"n\""},
        {SPEC("'restartPolicy':'Never'"),
         FIXED "\n- restartPolicy: \"Always\"\n+ restartPolicy: \"Never\""},
        {SPEC("'schedulingGates':[{'name':'g'}]"),
         "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new "
         "scheduling gate 'g'"},
    };
    VALIDATE_UPDATE("v1", "Pod", pod, samples);
    static const struct validate_sample of_tolerations[] = {
        {SPEC("'tolerations':[{'key':'k','operator':'Exists','effect':'NoExecute','"
              "tolerationSeconds':9}]"),
         ""},
        {SPEC("'tolerations':[]"),
         "spec.tolerations: Forbidden: existing toleration can not be modified "
         "except its tolerationSeconds"},
        {SPEC("'activeDeadlineSeconds':60"), "spec.activeDeadlineSeconds: Invalid value: 60: must "
                                             "be less than or equal to previous value"},
        {SPEC("'activeDeadlineSeconds':null"),
         "spec.activeDeadlineSeconds: Invalid value: null: must not "
         "update from a positive integer to nil value"},
    };
    VALIDATE_UPDATE(
        "v1", "Pod",
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a','namespace':'b'},"
        "'spec':{'activeDeadlineSeconds':50,'tolerations':[{'key':'k','operator':'Exists',"
        "'effect':'NoExecute','tolerationSeconds':8}],'containers':[{'name':'c','image':'i'}]}}",
        of_tolerations);
}

// As many elements as a request can hold: nothing may grow with their square.
KTEST(copes_with_long_lists)
{
    static const struct {
        const char *head, *element, *tail, *want; // # in an element: its number
    } samples[] = {
        {"{'spec':{'containers':[{'name':'c','image':'i','ports':[",
         "{'containerPort':#,'name':'p#'}", "]}]}}", ""},
        {"{'spec':{'volumes':[{'name':'v','emptyDir':{}}],'containers':[{'name':'c','image':'i','"
         "volumeMounts':[",
         "{'name':'v','mountPath':'/#'}", "]}]}}", ""},
        {"{'spec':{'tolerations':[", "{'key':'k#','value':'v#'}", "]}}",
         "spec.tolerations: Too many: 50000: must have at most 1000 items"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        struct kn_buf text = KN_BUF(8 << 20);
        kn_buf_addc(&text, samples[i].head);
        for (int k = 1; k <= 50000; k++) {
            kn_buf_addc(&text, k > 1 ? "," : "");
            for (const char *c = samples[i].element; *c; c++) {
                if (*c == '#')
                    kn_buf_add_i64(&text, k);
                else
                    kn_buf_add_byte(&text, *c);
            }
        }
        kn_buf_addc(&text, samples[i].tail);
        const struct validate_sample sample = {kn_buf_cstr(&text), samples[i].want};
        validate_run("v1", "Pod", pod, &sample, 1, false);
        kn_buf_done(&text);
    }
}

KTEST(tells_the_first_of_very_many_problems)
{
    struct kn_buf text = KN_BUF(8 << 20);
    kn_buf_addc(&text, "{'spec':{'containers':[{'name':'c','image':'i','env':[{}");
    for (int k = 0; k < 50000; k++)
        kn_buf_addc(&text, ",{}");
    kn_buf_addc(&text, "]}]}}");
    struct kn_buf want = KN_BUF(1 << 20);
    for (int k = 0; k < KN_PROBLEMS_MAX; k++)
        kn_buf_addf(&want, "%sspec.containers[0].env[%d].name: Required value", k ? ", " : "", k);
    const struct validate_sample sample = {kn_buf_cstr(&text), kn_buf_cstr(&want)};
    validate_run("v1", "Pod", pod, &sample, 1, false);
    kn_buf_done(&text);
    kn_buf_done(&want);
}

KTEST(a_mirror_pod_stays_one_and_no_other_becomes_one)
{
#define MIRROR "'annotations':{'kubernetes.io/config.mirror':'x'}"
#define AT "metadata.annotations[kubernetes.io/config.mirror]: "
    static const struct validate_sample created[] = {
        {"{'metadata':{" MIRROR "}}",
         AT "Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set"},
        {"{'metadata':{" MIRROR "},'spec':{'nodeName':'n'}}", ""},
    };
    static const char mirror[] =
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a','namespace':'b'," MIRROR
        "},'spec':{'nodeName':'n','containers':[{'name':'c','image':'i'}]}}";
    static const char bound[] =
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a','namespace':'b'},"
        "'spec':{'nodeName':'n','containers':[{'name':'c','image':'i'}]}}";
    static const struct validate_sample changed[] = {
        {"{'metadata':{'annotations':{'a':'b'}}}", ""},
        {"{'metadata':{'annotations':null}}",
         AT "Forbidden: may not remove or update mirror pod annotation"},
        {"{'metadata':{'annotations':{'kubernetes.io/config.mirror':'y'}}}",
         AT "Forbidden: may not remove or update mirror pod annotation"},
    };
    static const struct validate_sample added[] = {
        {"{'metadata':{" MIRROR "}}", AT "Forbidden: may not add mirror pod annotation"}};
    validate_run("v1", "Pod", pod, created, KN_ARRAY_LEN(created), false);
    validate_run("v1", "Pod", mirror, changed, KN_ARRAY_LEN(changed), true);
    validate_run("v1", "Pod", bound, added, KN_ARRAY_LEN(added), true);
}

KTEST_MAIN(KTEST_CASE(a_mirror_pod_stays_one_and_no_other_becomes_one),
           KTEST_CASE(copes_with_long_lists), KTEST_CASE(tells_the_first_of_very_many_problems),
           KTEST_CASE(checks_containers), KTEST_CASE(checks_ports),
           KTEST_CASE(checks_the_environment), KTEST_CASE(checks_volumes_and_mounts),
           KTEST_CASE(checks_resources), KTEST_CASE(checks_probes_and_hooks),
           KTEST_CASE(checks_the_rest_of_a_pod), KTEST_CASE(lets_an_update_change_little))
