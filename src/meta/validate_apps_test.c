#include "meta/validate_testing.h"

#define META "'metadata':{'name':'a','namespace':'b'},"
#define TEMPLATE                                                                                   \
    "'template':{'metadata':{'labels':{'x':'y'}},'spec':{'containers':[{'name':'c','image':'i'}]}" \
    "}"
#define BASE(kind)                                                                                 \
    "{'apiVersion':'apps/v1','kind':'" kind "'," META                                              \
    "'spec':{'selector':{'matchLabels':{'x':'y'}}," TEMPLATE "}}"
#define SPEC(members) "{'spec':{" members "}}"
#define MISMATCH                                                                                   \
    "spec.template.metadata.labels: Invalid value: {\"x\":\"y\"}: `selector` does not match "      \
    "template `labels`"
#define PERCENT                                                                                    \
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "   \
    "'93%', regex used for validation is '[0-9]+%')"

KTEST(checks_deployments)
{
    static const struct validate_sample samples[] = {
        {"{}", ""},
        {SPEC("'selector':null"), "spec.selector: Required value, " MISMATCH},
        {SPEC("'selector':{'matchExpressions':[{'key':'x','operator':'Like'}]}"),
         "spec.selector.matchExpressions[0].operator: Invalid value: \"Like\": not a valid "
         "selector operator, spec.selector: Invalid value: {\"matchLabels\":{\"x\":\"y\"},"
         "\"matchExpressions\":[{\"key\":\"x\",\"operator\":\"Like\"}]}: invalid label selector"},
        {SPEC("'selector':{'matchLabels':null}"),
         "spec.selector: Invalid value: {}: empty selector is invalid for deployment"},
        {SPEC("'selector':{'matchLabels':{'x':'z'}}"), MISMATCH},
        {SPEC("'replicas':-1"),
         "spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
        {SPEC("'template':{'spec':{'restartPolicy':'Never'}}"),
         "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
         "\"Always\""},
        {SPEC("'template':{'spec':{'activeDeadlineSeconds':3}}"),
         "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet "
         "is not "
         "Supported"},
        {SPEC("'template':{'spec':{'containers':[{'name':'c'}]}}"),
         "spec.template.spec.containers[0].image: Required value"},
        {SPEC("'strategy':{'type':'Blue'}"),
         "spec.strategy: Unsupported value: {\"type\":\"Blue\"}: supported values: \"Recreate\", "
         "\"RollingUpdate\""},
        {SPEC("'strategy':{'type':'Recreate','rollingUpdate':{'maxSurge':1}}"),
         "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
         "'Recreate'"},
        {SPEC("'strategy':{'rollingUpdate':{'maxSurge':0,'maxUnavailable':'0%'}}"),
         "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when "
         "`maxSurge` is 0"},
        {SPEC("'strategy':{'rollingUpdate':{'maxSurge':'x','maxUnavailable':1}}"),
         "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": " PERCENT},
        {SPEC("'strategy':{'rollingUpdate':{'maxUnavailable':'101%'}}"),
         "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater "
         "than 100%"},
        {SPEC("'progressDeadlineSeconds':5,'minReadySeconds':5"),
         "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"},
        {SPEC("'revisionHistoryLimit':-1"),
         "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"},
    };
    VALIDATE_CREATE("apps/v1", "Deployment", BASE("Deployment"), samples);
}

KTEST(keeps_selectors)
{
    static const struct validate_sample samples[] = {
        {SPEC("'replicas':3"), ""},
        {SPEC("'selector':{'matchLabels':{'z':'z'}},'template':{'metadata':{'labels':{'z':'z'}}}"),
         "spec.selector: Invalid value: {\"matchLabels\":{\"x\":\"y\",\"z\":\"z\"}}: field is "
         "immutable"},
    };
    VALIDATE_UPDATE("apps/v1", "Deployment", BASE("Deployment"), samples);
    VALIDATE_UPDATE("apps/v1", "ReplicaSet", BASE("ReplicaSet"), samples);
    VALIDATE_UPDATE("apps/v1", "StatefulSet", BASE("StatefulSet"), samples);
}

KTEST(checks_the_other_kinds_that_hold_templates)
{
    static const struct validate_sample sets[] = {
        {"{}", ""},
        {SPEC("'selector':{'matchLabels':{'x':'z'}}"), MISMATCH},
        {SPEC("'podManagementPolicy':'Any'"),
         "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'"},
        {SPEC("'updateStrategy':{'type':'OnDelete','rollingUpdate':{'partition':1}}"),
         "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for "
         "updateStrategy 'RollingUpdate'"},
        {SPEC("'volumeClaimTemplates':[{'metadata':{'name':'d'},'spec':{'accessModes':['"
              "ReadWriteOnce'],"
              "'resources':{'requests':{'storage':'1Gi'}}}}],'template':{'spec':{'containers':[{'"
              "name':'c',"
              "'image':'i','volumeMounts':[{'name':'d','mountPath':'/d'}]}]}}"),
         ""},
        {"{'metadata':{'name':'a.b'}}",
         "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label must consist of lower "
         "case "
         "alphanumeric characters or '-', and must start and end with an alphanumeric character "
         "(e.g. "
         "'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"},
    };
    VALIDATE_CREATE("apps/v1", "StatefulSet", BASE("StatefulSet"), sets);
    static const struct validate_sample daemons[] = {
        {"{}", ""},
        {SPEC("'selector':{'matchLabels':{'x':'z'}}"), MISMATCH},
        {SPEC("'updateStrategy':{'rollingUpdate':{'maxSurge':1,'maxUnavailable':1}}"),
         "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when "
         "maxUnavailable "
         "is non-zero"},
        {SPEC("'updateStrategy':{'rollingUpdate':{'maxUnavailable':0}}"),
         "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when "
         "maxSurge is 0"},
    };
    VALIDATE_CREATE("apps/v1", "DaemonSet", BASE("DaemonSet"), daemons);
    static const struct validate_sample controllers[] = {
        {"{}", ""},
        {SPEC("'selector':{'x':'z'}"), MISMATCH},
        {SPEC("'template':null"), "spec.selector: Required value, spec.template: Required value"},
    };
    VALIDATE_CREATE("v1", "ReplicationController",
                    "{'apiVersion':'v1','kind':'ReplicationController'," META "'spec':{" TEMPLATE
                    "}}",
                    controllers);
    static const struct validate_sample revisions[] = {
        {"{}", ""},
        {"{'data':null}", "data: Required value: data is mandatory"},
        {"{'revision':-1}", "revision: Invalid value: -1: must be greater than or equal to 0"},
    };
    VALIDATE_CREATE("apps/v1", "ControllerRevision",
                    "{'apiVersion':'apps/v1','kind':'ControllerRevision'," META
                    "'data':{},'revision':1}",
                    revisions);
}

KTEST_MAIN(KTEST_CASE(checks_deployments), KTEST_CASE(keeps_selectors),
           KTEST_CASE(checks_the_other_kinds_that_hold_templates))
