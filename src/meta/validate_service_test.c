#include "meta/validate_testing.h"

#define SPEC(members) "{'spec':{" members "}}"
#define META "'metadata':{'name':'a','namespace':'b'},"

static const char service[] = "{'apiVersion':'v1','kind':'Service'," META
                              "'spec':{'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1'],"
                              "'ipFamilies':['IPv4'],'ports':[{'port':80}]}}";

KTEST(checks_services)
{
    static const struct validate_sample samples[] = {
        {"{}", ""},
        {"{'metadata':{'name':'9a'}}", ""},
        {SPEC("'ports':[]"), "spec.ports: Required value"},
        {SPEC("'ports':[{'port':0}]"), // defaulting copies the port to targetPort
         "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, "
         "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive"},
        {SPEC("'ports':[{'port':80},{'port':81}]"),
         "spec.ports[0].name: Required value, spec.ports[1].name: Required value"},
        {SPEC("'ports':[{'port':80,'name':'a'},{'port':81,'name':'a'}]"),
         "spec.ports[1].name: Duplicate value: \"a\""},
        {SPEC("'ports':[{'port':80,'name':'a'},{'port':80,'name':'b'}]"),
         "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,"
         "\"Port\":80,\"TargetPort\":0,\"NodePort\":0}"},
        {SPEC("'ports':[{'port':80,'name':'a'},{'port':80,'name':'b','protocol':'UDP'}]"), ""},
        {SPEC("'type':'NodePort','ports':[{'port':80,'name':'a','nodePort':30000},{'port':81,'name'"
              ":'b','nodePort':30000}]"),
         "spec.ports[1].nodePort: Duplicate value: 30000"},
        {SPEC("'ports':[{'port':80,'nodePort':30000}]"),
         "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
        {SPEC("'ports':[{'port':80,'targetPort':'a_b'}]"),
         "spec.ports[0].targetPort: Invalid value: \"a_b\": must contain only alpha-numeric "
         "characters (a-z, "
         "0-9), and hyphens (-)"},
        {SPEC("'type':'Magic'"),
         "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", "
         "\"ExternalName\", \"LoadBalancer\", \"NodePort\""},
        {SPEC("'clusterIP':'None','clusterIPs':['None'],'ports':[]"), ""},
        {SPEC("'clusterIP':'None','clusterIPs':['None'],'type':'NodePort'"),
         "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort "
         "services"},
        {SPEC("'type':'LoadBalancer','loadBalancerSourceRanges':[' 10.0.0.0/8','10.0.0.0/8x']"),
         "spec.LoadBalancerSourceRanges[1]: Invalid value: \"10.0.0.0/8x\": must be a valid CIDR "
         "value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"},
        {SPEC("'ipFamilyPolicy':''"),
         "spec.ipFamilyPolicy: Unsupported value: \"\": supported values: \"PreferDualStack\", "
         "\"RequireDualStack\", \"SingleStack\""},
        {SPEC("'clusterIP':'10.0.0.2'"),
         "spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: first value must match `clusterIP`"},
        {SPEC("'clusterIP':'x','clusterIPs':['x']"),
         "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
         "2001:db8::ffff)"},
        {SPEC("'type':'ExternalName','clusterIP':null,'clusterIPs':null,'ipFamilies':null"),
         "spec.externalName: Required value"},
        {SPEC("'type':'ExternalName','externalName':'example.com.','clusterIP':null,'clusterIPs':"
              "null,'ipFamilies':null"),
         ""},
        {SPEC("'sessionAffinity':'Cookie'"), "spec.sessionAffinity: Unsupported value: \"Cookie\": "
                                             "supported values: \"ClientIP\", \"None\""},
        {SPEC("'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':"
              "0}}"),
         "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater "
         "than 0 and "
         "less than 86400"},
        {SPEC(
             "'externalIPs':['127.0.0.1']"), // reachable: defaulting fills the traffic policy
         "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range "
         "(127.0.0.0/8, "
         "::1/128)"},
        {SPEC("'externalTrafficPolicy':'Local'"),
         "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for "
         "externally-accessible "
         "services"},
        {SPEC("'internalTrafficPolicy':'Near'"),
         "spec.internalTrafficPolicy: Unsupported value: \"Near\": supported values: \"Cluster\", "
         "\"Local\""},
        {SPEC("'loadBalancerClass':'a/b'"),
         "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"},
    };
    VALIDATE_CREATE("v1", "Service", service, samples);
}

KTEST(keeps_the_address_of_a_service)
{
    static const struct validate_sample samples[] = {
        {SPEC("'ports':[{'port':81}]"), ""},
        {SPEC("'clusterIP':'10.0.0.2','clusterIPs':['10.0.0.2']"),
         "spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"},
        {SPEC("'clusterIP':null,'clusterIPs':null"),
         "spec.clusterIPs[0]: Invalid value: null: primary clusterIP can not be unset"},
        {SPEC("'type':'ExternalName','externalName':'a.b','clusterIP':null,'clusterIPs':null,'"
              "ipFamilies':null"),
         ""},
    };
    VALIDATE_UPDATE("v1", "Service", service, samples);
}

KTEST(checks_endpoints_and_slices)
{
    static const struct validate_sample endpoints[] = {
        {"{}", ""},
        {"{'subsets':[{}]}",
         "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"},
        {"{'subsets':[{'addresses':[{'ip':'x'}]}]}",
         "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. "
         "10.9.8.7 or "
         "2001:db8::ffff), subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP "
         "address"},
        {"{'subsets':[{'addresses':[{'ip':'169.254.1.1'}]}]}",
         "subsets[0].addresses[0].ip: Invalid value: \"169.254.1.1\": may not be in the link-local "
         "range "
         "(169.254.0.0/16, fe80::/10)"},
        {"{'subsets':[{'addresses':[{'ip':'1.1.1.1'}],'ports':[{'port':0}]}]}",
         "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"},
    };
    VALIDATE_CREATE("v1", "Endpoints",
                    "{'apiVersion':'v1','kind':'Endpoints'," META
                    "'subsets':[{'addresses':[{'ip':'1.1.1.1'}],'ports':[{'port':1}]}]}",
                    endpoints);
    static const struct validate_sample slices[] = {
        {"{}", ""},
        {"{'addressType':null}", "addressType: Required value"},
        {"{'addressType':'X'}",
         "addressType: Unsupported value: \"X\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""},
        {"{'endpoints':[{}]}",
         "endpoints[0].addresses: Required value: must contain at least 1 address"},
        {"{'endpoints':[{'addresses':['::2']}]}",
         "endpoints[0].addresses: Invalid value: \"::2\": must be an IPv4 address"},
        {"{'ports':[{'port':1},{'port':2}]}", "ports[1].name: Duplicate value: \"\""},
    };
    static const char slice[] = "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice'," META
                                "'addressType':'IPv4','endpoints':[{'addresses':['1.1.1.1']}]}";
    static const struct validate_sample slice_updates[] = {
        {"{'addressType':'FQDN'}", "addressType: Invalid value: \"FQDN\": field is immutable"}};
    VALIDATE_CREATE("discovery.k8s.io/v1", "EndpointSlice", slice, slices);
    VALIDATE_UPDATE("discovery.k8s.io/v1", "EndpointSlice", slice, slice_updates);
}

#define GROUP "rbac.authorization.k8s.io"
#define BINDING(kind)                                                                              \
    "{'apiVersion':'" GROUP "/v1','kind':'" kind "','metadata':{'name':'a','namespace':'b'},"      \
    "'roleRef':{'apiGroup':'" GROUP "','kind':'ClusterRole','name':'r'},"                          \
    "'subjects':[{'kind':'User','apiGroup':'" GROUP "','name':'u'}]}"

KTEST(checks_roles_and_bindings)
{
    static const struct validate_sample roles[] = {
        {"{}", ""},
        {"{'rules':[{'apiGroups':[''],'resources':['pods']}]}",
         "rules[0].verbs: Required value: verbs must contain at least one value"},
        {"{'rules':[{'verbs':['get'],'resources':['pods']}]}",
         "rules[0].apiGroups: Required value: resource rules must supply at least one api group"},
        {"{'rules':[{'verbs':['get'],'apiGroups':['']}]}",
         "rules[0].resources: Required value: resource rules must supply at least one resource"},
        {"{'rules':[{'verbs':['get'],'nonResourceURLs':['/x']}]}",
         "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to "
         "non-resource "
         "URLs"},
    };
    VALIDATE_CREATE(GROUP "/v1", "Role",
                    "{'apiVersion':'" GROUP "/v1','kind':'Role'," META
                    "'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods']}]}",
                    roles);
    static const struct validate_sample bindings[] = {
        {"{}", ""},
        {"{'roleRef':{'name':null}}", "roleRef.name: Required value"},
        {"{'roleRef':{'kind':'Clown'}}",
         "roleRef.kind: Unsupported value: \"Clown\": supported values: \"Role\", \"ClusterRole\""},
        {"{'roleRef':{'apiGroup':'x'}}",
         "roleRef.apiGroup: Unsupported value: \"x\": supported values: "
         "\"rbac.authorization.k8s.io\""},
        {"{'subjects':[{'kind':'Dog','name':'d'}]}",
         "subjects[0].kind: Unsupported value: \"Dog\": supported values: \"ServiceAccount\", "
         "\"User\", "
         "\"Group\""},
        {"{'subjects':[{'kind':'User'}]}", "subjects[0].name: Required value"},
        {"{'subjects':[{'kind':'ServiceAccount','name':'d'}]}", ""},
    };
    VALIDATE_CREATE(GROUP "/v1", "RoleBinding", BINDING("RoleBinding"), bindings);
    static const struct validate_sample updates[] = {
        {"{'subjects':null}", ""},
        {"{'roleRef':{'name':'q'}}",
         "roleRef: Invalid value: "
         "{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\","
         "\"name\":\"q\"}: field is immutable"},
    };
    VALIDATE_UPDATE(GROUP "/v1", "RoleBinding", BINDING("RoleBinding"), updates);
    static const struct validate_sample cluster[] = {
        {"{'metadata':{'namespace':null}}", ""},
        {"{'metadata':{'namespace':null},'subjects':[{'kind':'ServiceAccount','name':'d'}]}",
         "subjects[0].namespace: Required value"},
        {"{'metadata':{'namespace':null},'roleRef':{'kind':'Role'}}",
         "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""},
    };
    VALIDATE_CREATE(GROUP "/v1", "ClusterRoleBinding", BINDING("ClusterRoleBinding"), cluster);
    static const struct validate_sample leases[] = {
        {"{}", ""},
        {"{'spec':{'leaseDurationSeconds':0}}",
         "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"},
    };
    VALIDATE_CREATE("coordination.k8s.io/v1", "Lease",
                    "{'apiVersion':'coordination.k8s.io/v1','kind':'Lease'," META "'spec':{}}",
                    leases);
}

KTEST_MAIN(KTEST_CASE(checks_services), KTEST_CASE(keeps_the_address_of_a_service),
           KTEST_CASE(checks_endpoints_and_slices), KTEST_CASE(checks_roles_and_bindings))
