#include "meta/validate_testing.h"

#define META "'metadata':{'name':'a','namespace':'b'}"
#define BASE(kind, members) "{'apiVersion':'v1','kind':'" kind "'," META "," members "}"
#define CLUSTER(kind, members)                                                                     \
    "{'apiVersion':'v1','kind':'" kind "','metadata':{'name':'a'}," members "}"
#define SPEC(members) "{'spec':{" members "}}"
#define KEY                                                                                        \
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "           \
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
#define PLACED "field is immutable, except for updating from beta label to GA"
#define FIXED "field is immutable when `immutable` is set"

KTEST(checks_config_maps_and_secrets)
{
    static const struct validate_sample maps[] = {
        {"{}", ""},
        {"{'data':{'a b':'1'}}", "data[a b]: Invalid value: \"a b\": " KEY},
        {"{'data':{'..':'1'}}", "data[..]: Invalid value: \"..\": must not be '..'"},
        {"{'binaryData':{'k':'MQ=='}}",
         "data[k]: Invalid value: \"k\": duplicate of key present in binaryData"},
    };
    VALIDATE_CREATE("v1", "ConfigMap", BASE("ConfigMap", "'data':{'k':'v'}"), maps);
    static const struct validate_sample fixed[] = {
        {"{'metadata':{'labels':{'a':'b'}}}", ""},
        {"{'data':{'k':'w'}}", "data: Forbidden: " FIXED},
        {"{'immutable':false}", "immutable: Forbidden: " FIXED},
    };
    VALIDATE_UPDATE("v1", "ConfigMap", BASE("ConfigMap", "'immutable':true,'data':{'k':'v'}"),
                    fixed);
    VALIDATE_UPDATE(
        "v1", "Secret", BASE("Secret", "'immutable':true,'data':{'k':'MQ=='}"),
        ((struct validate_sample[]){{"{'data':{'k':'Mg=='}}", "data: Forbidden: " FIXED},
                                    {"{'immutable':null}", "immutable: Forbidden: " FIXED}}));
    static const struct validate_sample secrets[] = {
        {"{}", ""},
        {"{'type':'kubernetes.io/tls'}",
         "data[tls.crt]: Required value, data[tls.key]: Required value"},
        {"{'type':'kubernetes.io/dockerconfigjson'}", "data[.dockerconfigjson]: Required value"},
        {"{'type':'kubernetes.io/basic-auth'}",
         "data[username]: Required value, data[password]: Required value"},
        {"{'type':'kubernetes.io/ssh-auth'}", "data[ssh-privatekey]: Required value"},
        {"{'type':'kubernetes.io/service-account-token'}",
         "metadata.annotations[kubernetes.io/service-account.name]: Required value"},
        {"{'type':'example.com/mine'}", ""},
    };
    VALIDATE_CREATE("v1", "Secret", BASE("Secret", "'data':{'k':'MQ=='}"), secrets);
    static const struct validate_sample types[] = {
        {"{'type':'other'}", "type: Invalid value: \"other\": field is immutable"}};
    VALIDATE_UPDATE("v1", "Secret", BASE("Secret", "'data':{}"), types);
}

KTEST(limits_the_size_of_data)
{
    struct kn_buf text = KN_BUF(4 << 20);
    kn_buf_addc(&text, "{'data':{'k':'");
    for (size_t i = 0; i < (1 << 20); i++)
        kn_buf_add_byte(&text, 'x');
    size_t at = text.len;
    kn_buf_addc(&text, "'}}");
    const struct validate_sample fits[] = {{kn_buf_cstr(&text), ""}};
    VALIDATE_CREATE("v1", "ConfigMap", BASE("ConfigMap", "'data':{}"), fits);
    text.len = at;
    kn_buf_addc(&text, "x'}}");
    const struct validate_sample large[] = {
        {kn_buf_cstr(&text), ": Too long: may not be more than 1048576 bytes"}};
    VALIDATE_CREATE("v1", "ConfigMap", BASE("ConfigMap", "'data':{}"), large);
    kn_buf_done(&text);
}

KTEST(checks_namespaces_and_nodes)
{
    static const struct validate_sample namespaces[] = {
        {"{}", ""},
        {SPEC("'finalizers':['odd']"),
         "spec.finalizers: Invalid value: \"odd\": name is neither a standard "
         "finalizer name nor is it fully qualified"},
    };
    VALIDATE_CREATE("v1", "Namespace", CLUSTER("Namespace", "'spec':{'finalizers':['kubernetes']}"),
                    namespaces);
    static const struct validate_sample nodes[] = {
        {"{}", ""},
        {SPEC("'taints':[{'key':'k'}]"), "metadata.taints[0].effect: Required value"},
        {SPEC("'taints':[{'key':'k','effect':'Run'}]"),
         "metadata.taints[0].effect: Unsupported value: \"Run\": supported values: \"NoSchedule\", "
         "\"PreferNoSchedule\", \"NoExecute\""},
        {SPEC("'taints':[{'key':'k','effect':'NoExecute'},{'key':'k','effect':'NoExecute'}]"),
         "metadata.taints[1]: Duplicate value: {\"key\":\"k\",\"effect\":\"NoExecute\"}: taints "
         "must be unique "
         "by key and effect pair"},
        {SPEC("'podCIDRs':['10.0.0.0']"), "spec.podCIDRs[0]: Invalid value: \"10.0.0.0\": must be "
                                          "a valid CIDR value, (e.g. 10.9.8.0/24 or "
                                          "2001:db8::/64)"},
        {"{'status':{'capacity':{'cpu':'-1'}}}",
         "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0, "
         "status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0"},
    };
    static const char node[] =
        CLUSTER("Node", "'spec':{'podCIDR':'10.0.0.0/24','podCIDRs':['10.0.0.0/24'],"
                        "'providerID':'p'}");
    VALIDATE_CREATE("v1", "Node", node, nodes);
    static const struct validate_sample updates[] = {
        {SPEC("'unschedulable':true"), ""},
        {SPEC("'podCIDRs':['10.1.0.0/24']"),
         "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"},
        {SPEC("'providerID':'q'"),
         "spec.providerID: Invalid value: null: field cannot be modified once set"},
        {"{'status':{'addresses':[{'type':'Hostname','address':'h'},{'type':'Hostname','address':'"
         "h'}]}}",
         "status.addresses[1]: Duplicate value: {\"type\":\"Hostname\",\"address\":\"h\"}"},
    };
    VALIDATE_UPDATE("v1", "Node", node, updates);
}

KTEST(checks_events)
{
    static const struct validate_sample samples[] = {
        {"{}", ""},
        {"{'metadata':{'name':'Odd_Name.1'}}", ""},
        {"{'involvedObject':{'namespace':'c'}}",
         "involvedObject.namespace: Invalid value: \"c\": does not match event.namespace"},
        {"{'involvedObject':{'namespace':null}}",
         "involvedObject.namespace: Invalid value: \"\": does not match event.namespace"},
        {"{'eventTime':'2020-01-01T00:00:00.000000Z','reportingComponent':'c','reportingInstance':'"
         "i','action':'a'}",
         "reason: Required value"},
    };
    VALIDATE_CREATE("v1", "Event", BASE("Event", "'involvedObject':{'namespace':'b','name':'p'}"),
                    samples);
}

KTEST(checks_quotas_and_limits)
{
    static const struct validate_sample quotas[] = {
        {"{}", ""},
        {SPEC("'hard':{'disk':'1'}"),
         "spec.hard[disk]: Invalid value: \"disk\": must be a standard resource type or fully "
         "qualified, "
         "spec.hard[disk]: Invalid value: \"disk\": must be a standard resource for quota"},
        {SPEC("'hard':{'pods':'1500m'}"),
         "spec.hard[pods]: Invalid value: \"1500m\": must be an integer"},
        {SPEC("'scopes':['BestEffort','NotBestEffort']"),
         "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"},
    };
    VALIDATE_CREATE("v1", "ResourceQuota", BASE("ResourceQuota", "'spec':{'hard':{'pods':'3'}}"),
                    quotas);
    static const struct validate_sample scopes[] = {
        {SPEC("'hard':{'pods':'4'}"), ""},
        {SPEC("'scopes':['BestEffort']"),
         "spec.scopes: Invalid value: [\"BestEffort\"]: field is immutable"},
    };
    VALIDATE_UPDATE("v1", "ResourceQuota", BASE("ResourceQuota", "'spec':{'hard':{'pods':'3'}}"),
                    scopes);
    static const struct validate_sample limits[] = {
        {"{}", ""},
        {SPEC("'limits':[{'type':'Container','min':{'cpu':'2'},'max':{'cpu':'1'}}]"),
         "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1, "
         "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than "
         "default "
         "request value 1, spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is "
         "greater than "
         "default value 1"},
        {SPEC("'limits':[{'type':'Pod','default':{'cpu':'1'}}]"),
         "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"},
        {SPEC("'limits':[{'type':'Pod'},{'type':'Pod'}]"),
         "spec.limits[1].type: Duplicate value: \"Pod\""},
    };
    VALIDATE_CREATE("v1", "LimitRange",
                    BASE("LimitRange", "'spec':{'limits':[{'type':'Container'}]}"), limits);
}

KTEST(checks_volumes_and_claims)
{
    static const char claim[] =
        BASE("PersistentVolumeClaim", "'spec':{'accessModes':['ReadWriteOnce'],"
                                      "'resources':{'requests':{'storage':'2Gi'}}}");
    static const struct validate_sample claims[] = {
        {"{}", ""},
        {SPEC("'accessModes':null"),
         "spec.accessModes: Required value: at least 1 access mode is required"},
        {SPEC("'accessModes':['Any']"), "spec.accessModes: Unsupported value: \"Any\": supported "
                                        "values: \"ReadOnlyMany\", \"ReadWriteMany\", "
                                        "\"ReadWriteOnce\", \"ReadWriteOncePod\""},
        {SPEC("'resources':null"), "spec.resources[storage]: Required value"},
        {SPEC("'resources':{'requests':{'storage':'0'}}"),
         "spec.resources[storage]: Invalid value: \"0\": must be greater than zero"},
        {SPEC("'volumeMode':'Tape'"), "spec.volumeMode: Unsupported value: \"Tape\": supported "
                                      "values: \"Block\", \"Filesystem\""},
    };
    VALIDATE_CREATE("v1", "PersistentVolumeClaim", claim, claims);
    static const struct validate_sample claim_updates[] = {
        {SPEC("'volumeName':'v'"), ""},
        {SPEC("'accessModes':['ReadWriteMany']"),
         "spec: Forbidden: spec is immutable after creation except resources.requests and "
         "volumeAttributesClassName for bound claims"},
    };
    VALIDATE_UPDATE("v1", "PersistentVolumeClaim", claim, claim_updates);
    static const char volume[] =
        CLUSTER("PersistentVolume", "'spec':{'accessModes':['ReadWriteOnce'],"
                                    "'capacity':{'storage':'1Gi'},'hostPath':{'path':'/x'}}");
    static const struct validate_sample volumes[] = {
        {"{}", ""},
        {SPEC("'hostPath':null"), "spec: Required value: must specify a volume type"},
        {SPEC("'nfs':{'server':'s','path':'/'}"),
         "spec.nfs: Forbidden: may not specify more than 1 volume type"},
        {SPEC("'capacity':null"),
         "spec.capacity: Required value, spec.capacity: Unsupported value: null: "
         "supported values: \"storage\""},
        {SPEC("'hostPath':null,'nfs':{}"),
         "spec.nfs.server: Required value, spec.nfs.path: Required value, spec.nfs.path: Invalid "
         "value: \"\": must be an absolute path"},
        {SPEC("'hostPath':null,'nfs':{'server':'s','path':'x'}"),
         "spec.nfs.path: Invalid value: \"x\": must be an absolute path"},
    };
    VALIDATE_CREATE("v1", "PersistentVolume", volume, volumes);
    static const struct validate_sample volume_updates[] = {
        {SPEC("'hostPath':{'path':'/y'}"),
         "spec.persistentvolumesource: Forbidden: "
         "spec.persistentvolumesource is immutable after creation"}};
    VALIDATE_UPDATE("v1", "PersistentVolume", volume, volume_updates);
    static const char placed[] =
        CLUSTER("PersistentVolume",
                "'spec':{'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'},"
                "'hostPath':{'path':'/x'},'nodeAffinity':{'required':{'nodeSelectorTerms':["
                "{'matchExpressions':[{'key':'k','operator':'In','values':['v']}]}]}}}");
    static const struct validate_sample moves[] = {
        {SPEC("'nodeAffinity':null"), "nodeAffinity: Invalid value: null: " PLACED},
        {SPEC("'nodeAffinity':{'required':{'nodeSelectorTerms':[{'matchExpressions':["
              "{'key':'x','operator':'Exists'}]}]}}"),
         "nodeAffinity: Invalid value: {\"Required\":{\"NodeSelectorTerms\":[{"
         "\"MatchExpressions\":[{\"Key\":\"x\",\"Operator\":\"Exists\",\"Values\":null}],"
         "\"MatchFields\":null}]}}: " PLACED},
    };
    VALIDATE_UPDATE("v1", "PersistentVolume", placed, moves);
}

KTEST_MAIN(KTEST_CASE(checks_config_maps_and_secrets), KTEST_CASE(limits_the_size_of_data),
           KTEST_CASE(checks_namespaces_and_nodes), KTEST_CASE(checks_events),
           KTEST_CASE(checks_quotas_and_limits), KTEST_CASE(checks_volumes_and_claims))
