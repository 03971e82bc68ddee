"""A small valid object of every resource that upstream serves by default, and richer ones of the kinds
that people write. Keys are group/resource; metadata.name is added."""

POD = {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}
LABELLED = {"metadata": {"labels": {"app": "x"}}, **POD}
SELECTOR = {"matchLabels": {"app": "x"}}
JOB = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}

SMALL = {
    "/configmaps": {"data": {"k": "v"}},
    "/endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "/events": {"involvedObject": {"kind": "Pod", "namespace": "NAMESPACE", "name": "p"}, "reason": "Why", "message": "m", "type": "Normal"},
    "/limitranges": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}]}},
    "/namespaces": {},
    "/nodes": {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}},
    "/persistentvolumeclaims": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    "/persistentvolumes": {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/x"}}},
    "/pods": POD,
    "/podtemplates": {"template": LABELLED},
    "/replicationcontrollers": {"spec": {"selector": {"app": "x"}, "template": LABELLED}},
    "/resourcequotas": {"spec": {"hard": {"pods": "10"}}},
    "/secrets": {"type": "Opaque", "data": {"k": "dg=="}},
    "/serviceaccounts": {},
    "/services": {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}},
    "apiregistration.k8s.io/apiservices": {"spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
                                                    "service": {"namespace": "default", "name": "x"}, "insecureSkipTLSVerify": True}},
    "apps/controllerrevisions": {"revision": 1, "data": {"a": "b"}},
    "apps/daemonsets": {"spec": {"selector": SELECTOR, "template": LABELLED}},
    "apps/deployments": {"spec": {"selector": SELECTOR, "template": LABELLED}},
    "apps/replicasets": {"spec": {"selector": SELECTOR, "template": LABELLED}},
    "apps/statefulsets": {"spec": {"serviceName": "x", "selector": SELECTOR, "template": LABELLED,
                                   "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                                                              "resources": {"requests": {"storage": "1Gi"}}}}]}},
    "events.k8s.io/events": {"eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "x.io/y", "reportingInstance": "z", "action": "Do",
                             "reason": "Why", "regarding": {"kind": "Pod", "namespace": "NAMESPACE", "name": "p"}, "type": "Normal"},
    "autoscaling/horizontalpodautoscalers": {"spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}},
    "batch/cronjobs": {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}},
    "batch/jobs": {"spec": JOB},
    "networking.k8s.io/ingressclasses": {"spec": {"controller": "example.com/x"}},
    "networking.k8s.io/ingresses": {"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}},
    "networking.k8s.io/networkpolicies": {"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": SELECTOR}], "ports": [{"port": 80}]}]}},
    "networking.k8s.io/servicecidrs": {"spec": {"cidrs": ["10.250.0.0/24"]}},
    "networking.k8s.io/ipaddresses": {"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "x"}}},
    "policy/poddisruptionbudgets": {"spec": {"minAvailable": 1, "selector": SELECTOR}},
    "rbac.authorization.k8s.io/clusterrolebindings": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                                                      "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "u"}]},
    "rbac.authorization.k8s.io/clusterroles": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "rbac.authorization.k8s.io/rolebindings": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                                               "subjects": [{"kind": "ServiceAccount", "name": "u", "namespace": "NAMESPACE"}]},
    "rbac.authorization.k8s.io/roles": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "storage.k8s.io/csidrivers": {"spec": {"attachRequired": False}},
    "storage.k8s.io/csinodes": {"spec": {"drivers": [{"name": "d.example.com", "nodeID": "n"}]}},
    "storage.k8s.io/csistoragecapacities": {"storageClassName": "sc", "capacity": "1Gi"},
    "storage.k8s.io/storageclasses": {"provisioner": "example.com/p"},
    "storage.k8s.io/volumeattachments": {"spec": {"attacher": "a.example.com", "nodeName": "n", "source": {"persistentVolumeName": "pv"}}},
    "storage.k8s.io/volumeattributesclasses": {"driverName": "d.example.com", "parameters": {"a": "b"}},
    "admissionregistration.k8s.io/mutatingwebhookconfigurations": {"webhooks": []},
    "admissionregistration.k8s.io/validatingwebhookconfigurations": {"webhooks": []},
    "admissionregistration.k8s.io/validatingadmissionpolicies": {"spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}]},
        "validations": [{"expression": "true"}]}},
    "admissionregistration.k8s.io/validatingadmissionpolicybindings": {"spec": {"policyName": "p", "validationActions": ["Deny"]}},
    "admissionregistration.k8s.io/mutatingadmissionpolicies": {"spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}]},
        "reinvocationPolicy": "Never", "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}]}},
    "admissionregistration.k8s.io/mutatingadmissionpolicybindings": {"spec": {"policyName": "p"}},
    "apiextensions.k8s.io/customresourcedefinitions": {"spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "NAME", "kind": "Thing"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}},
    "scheduling.k8s.io/priorityclasses": {"value": 10},
    "coordination.k8s.io/leases": {"spec": {"holderIdentity": "h", "leaseDurationSeconds": 10}},
    "node.k8s.io/runtimeclasses": {"handler": "h"},
    "discovery.k8s.io/endpointslices": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]},
    "resource.k8s.io/deviceclasses": {"spec": {}},
    "resource.k8s.io/resourceclaims": {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c.example.com"}}]}}},
    "resource.k8s.io/resourceclaimtemplates": {"spec": {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c.example.com"}}]}}}},
    "resource.k8s.io/resourceslices": {"spec": {"driver": "d.example.com", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}},
    "resource.k8s.io/devicetaintrules": {"spec": {"deviceSelector": {"driver": "d.example.com"}, "taint": {"key": "k", "effect": "NoSchedule"}}},
    "flowcontrol.apiserver.k8s.io/flowschemas": {"spec": {"priorityLevelConfiguration": {"name": "exempt"}}},
    "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations": {"spec": {"type": "Exempt"}},
    "certificates.k8s.io/clustertrustbundles": {"spec": {"trustBundle": ""}},
}

# Names that must look like something else than the default.
NAMES = {
    "apiregistration.k8s.io/apiservices": "v1.example.com",
    "apiextensions.k8s.io/customresourcedefinitions": "things{n}.example.com",
    "networking.k8s.io/ipaddresses": "10.250.1.{n}",
    "storage.k8s.io/csidrivers": "d{n}.example.com",
}

RICH = {
    "/pods": [{
        "metadata": {"labels": {"app": "x"}, "annotations": {"a": "b"}},
        "spec": {
            "restartPolicy": "OnFailure", "serviceAccountName": "default", "terminationGracePeriodSeconds": 5, "activeDeadlineSeconds": 100, "nodeSelector": {"k": "v"},
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["h"]}], "dnsConfig": {"nameservers": ["10.0.0.2"], "options": [{"name": "n", "value": "1"}]},
            "securityContext": {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 5, "sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]},
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]}},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"labelSelector": SELECTOR, "topologyKey": "kubernetes.io/hostname"}}]}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": SELECTOR}],
            "initContainers": [{"name": "i", "image": "busybox:1.36", "command": ["true"]}],
            "containers": [{
                "name": "c", "image": "nginx:1.2", "imagePullPolicy": "IfNotPresent", "command": ["a"], "args": ["b"], "workingDir": "/w",
                "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
                "env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
                        {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
                "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
                "volumeMounts": [{"name": "e", "mountPath": "/e", "subPath": "s"}, {"name": "h", "mountPath": "/h", "readOnly": True}],
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3},
                "readinessProbe": {"tcpSocket": {"port": 80}}, "startupProbe": {"exec": {"command": ["true"]}},
                "lifecycle": {"preStop": {"exec": {"command": ["true"]}}, "postStart": {"httpGet": {"port": 80}}},
                "securityContext": {"privileged": False, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
            "volumes": [{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}, {"name": "h", "hostPath": {"path": "/tmp", "type": "Directory"}},
                        {"name": "c", "configMap": {"name": "cm", "items": [{"key": "k", "path": "p", "mode": 256}]}},
                        {"name": "s", "secret": {"secretName": "s", "defaultMode": 256}},
                        {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"downwardAPI": {
                            "items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}},
                        {"name": "v", "persistentVolumeClaim": {"claimName": "pvc"}}]}}],
    "/services": [
        {"spec": {"type": "NodePort", "selector": {"a": "b"}, "sessionAffinity": "ClientIP", "externalTrafficPolicy": "Local",
                  "ports": [{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 53, "protocol": "UDP"}]}},
        {"spec": {"clusterIP": "None", "selector": {"a": "b"}, "publishNotReadyAddresses": True, "ports": [{"port": 80}]}},
        {"spec": {"type": "ExternalName", "externalName": "example.com"}},
        {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"], "externalIPs": ["192.0.2.7"], "ports": [{"port": 80}]}}],
    "apps/deployments": [{"spec": {"replicas": 2, "minReadySeconds": 1, "progressDeadlineSeconds": 60, "revisionHistoryLimit": 2, "paused": True,
                                   "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}},
                                   "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x"]}]}, "template": LABELLED}}],
    "apps/daemonsets": [{"spec": {"selector": SELECTOR, "template": LABELLED, "updateStrategy": {"type": "OnDelete"}}}],
    "batch/jobs": [{"spec": {**JOB, "parallelism": 2, "completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1, "ttlSecondsAfterFinished": 5,
                             "activeDeadlineSeconds": 9, "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [
                                 {"type": "DisruptionTarget", "status": "True"}]}]}}}],
    "batch/cronjobs": [{"spec": {"schedule": "@daily", "timeZone": "Etc/UTC", "concurrencyPolicy": "Forbid", "suspend": True,
                                 "startingDeadlineSeconds": 5, "successfulJobsHistoryLimit": 1, "jobTemplate": {"spec": JOB}}}],
    "networking.k8s.io/ingresses": [{"spec": {"ingressClassName": "c", "tls": [{"hosts": ["a.example.com"], "secretName": "s"}], "rules": [
        {"host": "a.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"name": "http"}}}}]}}]}}],
    "networking.k8s.io/networkpolicies": [{"spec": {"podSelector": SELECTOR, "policyTypes": ["Ingress", "Egress"], "egress": [
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"protocol": "UDP", "port": 53, "endPort": 60}]}]}}],
    "autoscaling/horizontalpodautoscalers": [],
    "rbac.authorization.k8s.io/clusterroles": [{"rules": [{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}, {
        "apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["x"], "verbs": ["*"]}]}],
    "/persistentvolumes": [{"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "sc", "mountOptions": ["ro"],
                                     "nfs": {"server": "s", "path": "/p"}, "persistentVolumeReclaimPolicy": "Delete", "nodeAffinity": {"required": {
                                         "nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]}}}}],
    "admissionregistration.k8s.io/validatingwebhookconfigurations": [{"webhooks": [{
        "name": "a.example.com", "clientConfig": {"url": "https://192.0.2.9/x"}, "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "failurePolicy": "Ignore", "rules": [{"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}]}]}],
}
