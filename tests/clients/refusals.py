#!/usr/bin/env python3
"""Everything that is refused, and in which words: by kubectl and by bare HTTP.

    tests/clients/refusals.py        TOUR_ONLY=... as in kubectl_tour.py
"""
import json
import os
import ssl
import urllib.error
import urllib.request

import tour
from tour import deployment, machine, pod, step
from machine import check, same  # noqa: E402  (found by tour)

STRICT = "?fieldValidation=Strict"


class Http:
    """Bare requests: as the administrator, as nobody, or with a token."""

    def __init__(self, p, who="admin", token=None):
        self.p, self.token = p, token
        self.context = ssl.create_default_context(cafile=f"{p.m.data}/pki/ca.crt")
        if who == "admin":
            self.context.load_cert_chain(f"{p.m.data}/pki/admin.crt", f"{p.m.data}/pki/admin.key")

    def __call__(self, method, path, body=None, kind="application/json", accept="application/json"):
        path = path.replace("NS", f"/api/v1/namespaces/{self.p.ns}")
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else \
            json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"https://127.0.0.1:{self.p.m.port}{path}", method=method, data=data,
                                         headers={"Content-Type": kind, "Accept": accept})
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=20) as answer:
                text = answer.read()
                return answer.status, json.loads(text.splitlines()[0] if "watch=true" in path and text else text or b"{}")
        except urllib.error.HTTPError as e:
            text = e.read()
            try:
                return e.code, json.loads(text)
            except ValueError:
                return e.code, {"text": text.decode(errors="replace")}

    def refused(self, code, reason, because, method, path, *body, **kw):
        got, answer = self(method, path, *body, **kw)
        machine.same((got, answer.get("reason", "")), (code, reason), f"{method} {path}: {answer}")
        same((answer["kind"], answer["status"], answer["code"]), ("Status", "Failure", code), f"the Status: {answer}")
        for part in [because] if isinstance(because, str) else because:
            check(part in answer["message"], f"wanted “{part}” in: {answer['message']}")
        return answer


def cm(name="c", **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


@step
def malformed(p):
    """malformed JSON, YAML and protobuf; wrong types; unknown and duplicate fields"""
    http = Http(p)
    http.refused(400, "BadRequest", "", "POST", "NS/configmaps", '{"kind":')
    http.refused(400, "BadRequest", "", "POST", "NS/configmaps", "a: [", kind="application/yaml")
    http.refused(400, "BadRequest", "", "POST", "NS/configmaps", b"k8s\0garbage", kind="application/vnd.kubernetes.protobuf")
    http.refused(400, "BadRequest", "", "POST", "NS/configmaps", b"\xff\xfe\x00", kind="application/vnd.kubernetes.protobuf")
    http.refused(415, "UnsupportedMediaType", "", "POST", "NS/configmaps", "x", kind="text/plain")
    http.refused(406, "NotAcceptable", "", "GET", "NS/configmaps", accept="image/png")
    http.refused(400, "BadRequest", "cannot unmarshal", "POST", "NS/configmaps", cm(data=["x"]))
    http.refused(400, "BadRequest", "", "POST", "NS/configmaps", cm(kind="Secret"))
    http.refused(400, "BadRequest", 'unknown field "spce"', "POST", "NS/configmaps" + STRICT, cm(spce=1))
    http.refused(400, "BadRequest", 'duplicate field "data.a"', "POST", "NS/configmaps" + STRICT,
                 '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"},"data":{"a":"1","a":"2"}}')
    same(http("POST", "NS/configmaps?fieldValidation=Warn", cm("warned", spce=1))[0], 201, "an unknown field with a warning")
    http.refused(422, "Invalid", 'dryRun: Unsupported value: "maybe": supported values: "All"', "POST", "NS/configmaps?dryRun=maybe", cm())
    http.refused(400, "BadRequest", "does not match the namespace", "POST", "NS/configmaps",
                 {**cm(), "metadata": {"name": "c", "namespace": "other"}})
    p("create", "configmap", "c")
    http.refused(400, "BadRequest", "does not match the name on the URL", "PUT", "NS/configmaps/c", cm("d"))
    http.refused(415, "UnsupportedMediaType", "", "PATCH", "NS/configmaps/c", "{}", kind="application/nonsense")
    http.refused(400, "BadRequest", "", "PATCH", "NS/configmaps/c", "{", kind="application/merge-patch+json")
    http.refused(400, "BadRequest", "", "PATCH", "NS/configmaps/c", '{"op":"add"}', kind="application/json-patch+json")
    deep = "[" * 20000
    code, answer = http("POST", "NS/configmaps", deep)
    check(code in (400, 413), "a body that is nested without end:", code, answer)
    p.refused("create", "-f", "-", stdin="kind: Pod\napiVersion: v1\n  x: y", because="error")
    p.refused("create", "-f", "-", stdin="kind: Nonsense\napiVersion: v1\nmetadata: {name: x}\n", because='no matches for kind "Nonsense" in version "v1"')
    p.refused("create", "-f", "-", stdin=deployment().replace("replicas: 2", "replicas: two"), because="replicas")
    p.refused("create", "-f", "-", stdin=deployment().replace("replicas: 2", "replicsa: 2"), because="replicsa")
    p.refused("create", "-f", "/no/such/file.yml", because="does not exist")


@step
def invalid(p):
    """names, labels, ports, quantities, selectors, immutable fields, list keys: the field and the rule are named"""
    http = Http(p)
    web = json.loads(p.out("create", "-f", "-", "--dry-run=client", "-o", "json", stdin=deployment()))

    def bad(change, *because, kind=web, path=None, code=422, reason="Invalid"):
        import copy
        o = copy.deepcopy(kind)
        change(o)
        http.refused(code, reason, list(because), "POST", path or f"/apis/apps/v1/namespaces/{p.ns}/deployments", o)

    def spec(o):
        return o["spec"]["template"]["spec"]

    def c(o):
        return spec(o)["containers"][0]
    bad(lambda o: o["metadata"].update(name="Bad_Name"), 'Deployment.apps "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters')
    bad(lambda o: o["metadata"].update(name=""), "name or generateName is required")
    bad(lambda o: o["metadata"].update(labels={"a b": "c"}), 'metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters')
    bad(lambda o: o["metadata"].update(labels={"a": "c d"}), 'metadata.labels: Invalid value: "c d": a valid label must be an empty string or consist of alphanumeric characters')
    bad(lambda o: o["spec"].update(replicas=-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0")
    bad(lambda o: o["spec"].update(selector={"matchLabels": {"app": "other"}}), "spec.template.metadata.labels: Invalid value", "`selector` does not match template `labels`")
    bad(lambda o: o["spec"].pop("selector"), "spec.selector: Required value")
    bad(lambda o: o["spec"].update(selector={"matchExpressions": [{"key": "app", "operator": "Near", "values": ["x"]}]}), 'spec.selector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator')
    bad(lambda o: spec(o).update(containers=[]), "spec.template.spec.containers: Required value")
    bad(lambda o: c(o).update(image=""), "spec.template.spec.containers[0].image: Required value")
    bad(lambda o: c(o).pop("name"), "spec.template.spec.containers[0].name: Required value")
    bad(lambda o: spec(o)["containers"].append(dict(c(o))), 'spec.template.spec.containers[1].name: Duplicate value: "c"')
    bad(lambda o: c(o).update(ports=[{"containerPort": 70000}]), "containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive")
    bad(lambda o: c(o).update(ports=[{"containerPort": 80, "name": "much-too-long-a-name"}]), "must be no more than 15 characters")
    bad(lambda o: c(o).update(imagePullPolicy="Sometimes"), 'imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"')
    bad(lambda o: c(o).update(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}), 'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1')
    bad(lambda o: c(o).update(resources={"limits": {"memory": "lots"}}), "quantities must match the regular expression", code=400, reason="BadRequest")
    bad(lambda o: c(o).update(volumeMounts=[{"name": "absent", "mountPath": "/x"}]), 'volumeMounts[0].name: Not found: "absent"')
    bad(lambda o: c(o).update(env=[{"name": "A=B", "value": "x"}]), "env[0].name: Invalid value")
    bad(lambda o: spec(o).update(restartPolicy="Never"), 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"')
    bad(lambda o: spec(o).update(dnsPolicy="Nowhere"), "dnsPolicy: Unsupported value")
    bad(lambda o: o["spec"].update(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}), "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'")
    bad(lambda o: o["spec"].update(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}), "may not be 0 when `maxSurge` is 0")
    # Several problems are told at once.
    def two(o):
        o["spec"]["replicas"] = -1
        c(o)["image"] = ""
    bad(two, "[spec.replicas: Invalid value: -1", ", spec.template.spec.containers[0].image: Required value]")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}
    path = f"/api/v1/namespaces/{p.ns}/services"
    bad(lambda o: o["spec"].update(ports=[]), "spec.ports: Required value", kind=service, path=path)
    bad(lambda o: o["spec"]["ports"].append({"port": 81}), "spec.ports[0].name: Required value", kind=service, path=path)
    bad(lambda o: o["spec"].update(type="Magic"), 'spec.type: Unsupported value: "Magic"', kind=service, path=path)
    bad(lambda o: o["spec"].update(type="NodePort", ports=[{"port": 80, "nodePort": 80}]), "provided port is not in the valid range. The range of valid ports is 30000-32767", kind=service, path=path)
    bad(lambda o: o["spec"].update(clusterIP="1.2.3.4"), "not in the valid range", kind=service, path=path)
    bad(lambda o: o["metadata"].update(name="Bad_Name"), 'Service "Bad_Name" is invalid: metadata.name: Invalid value', kind=service, path=path)
    big = cm("big", data={"x": "y" * (1 << 20)}, binaryData={"b": "AAAA" * 10})
    code, answer = http("POST", f"/api/v1/namespaces/{p.ns}/configmaps", big)
    check(code == 422 and "Too long" in answer["message"], "a config map beyond 1 MiB:", code, answer.get("message"))
    p("create", "-f", "-", stdin=deployment(replicas=0))
    p.refused("patch", "deploy", "web", "-p", '{"spec":{"selector":{"matchLabels":{"x":"y"}},"template":{"metadata":{"labels":{"x":"y"}}}}}', because="field is immutable")
    p("create", "-f", "-", stdin=pod("one", ["sleep", "1000"]))
    p.refused("patch", "pod", "one", "-p", '{"spec":{"containers":[{"name":"c","command":["x"]}]}}', because="Forbidden: pod updates may not change fields other than")
    p("create", "configmap", "frozen", "--from-literal=a=b")
    p("patch", "configmap", "frozen", "-p", '{"immutable":true}')
    p.refused("patch", "configmap", "frozen", "-p", '{"data":{"a":"c"}}', because="data: Forbidden: field is immutable when `immutable` is set")


@step
def absent_or_there(p):
    """404 and 409, with the revision and without"""
    http = Http(p)
    http.refused(404, "NotFound", 'configmaps "absent" not found', "GET", "NS/configmaps/absent")
    http.refused(404, "NotFound", "the server could not find the requested resource", "GET", "NS/nonsense")
    http.refused(404, "NotFound", "the server could not find the requested resource", "GET", "/apis/none.example.com/v1/things")
    http.refused(404, "NotFound", 'namespaces "absent" not found', "POST", "/api/v1/namespaces/absent/configmaps", cm())
    p("create", "configmap", "c")
    http.refused(409, "AlreadyExists", 'configmaps "c" already exists', "POST", "NS/configmaps", cm())
    http.refused(409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again",
                 "PUT", "NS/configmaps/c", {**cm(), "metadata": {"name": "c", "resourceVersion": "1"}})
    http.refused(409, "Conflict", "the UID in the precondition (nobody) does not match the UID in record (", "DELETE", "NS/configmaps/c",
                 {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "nobody"}})
    answer = http.refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", "POST", "NS/configmaps/c", cm())
    check(answer["metadata"] == {}, "metadata of a Status:", answer)
    code, answer = http("GET", "NS/configmaps?limit=1&continue=nonsense")
    check(code in (400, 410), "a continue token that is none:", code, answer)
    code, answer = http("GET", "NS/configmaps?resourceVersion=999999999&resourceVersionMatch=Exact")
    check(code in (400, 410, 504), "a revision that is not there yet:", code, answer)
    http.refused(400, "BadRequest", "", "GET", "NS/configmaps?limit=many")
    # A namespace that is going takes nothing new.
    p("create", "namespace", "going")
    p("patch", "namespace", "going", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/wait"]}}')
    p("delete", "namespace", "going", "--wait=false")
    http.refused(403, "Forbidden", "because it is being terminated", "POST", "/api/v1/namespaces/going/configmaps", cm())
    p("patch", "namespace", "going", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


@step
def strangers(p):
    """401 and 403, saying who and what"""
    nobody, wrong = Http(p, who=None), Http(p, who=None, token="wrong")
    nobody.refused(401, "Unauthorized", "Unauthorized", "GET", "NS/pods")
    nobody.refused(401, "Unauthorized", "Unauthorized", "GET", "/apis")
    wrong.refused(401, "Unauthorized", "Unauthorized", "GET", "NS/pods")
    same(nobody("GET", "/version")[0], 200, "the version is for everybody")
    p.refused("get", "pods", "--as=jane", because='pods is forbidden: User "jane" cannot list resource "pods"')
    p.refused("get", "nodes", "--as=jane", because='nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope')
    p.refused("exec", "x", "--as=jane", "--", "true", because="cannot")
    p("create", "serviceaccount", "robot")
    p("create", "role", "maker", "--verb=create", "--resource=roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io")
    p("create", "rolebinding", "maker", "--role=maker", f"--serviceaccount={p.ns}:robot")
    robot = f"--as=system:serviceaccount:{p.ns}:robot"
    p.refused("create", "role", "more", "--verb=get", "--resource=secrets", robot, because="is attempting to grant RBAC permissions not currently held")
    p.refused("create", "rolebinding", "up", "--clusterrole=cluster-admin", f"--serviceaccount={p.ns}:robot", robot,
              because="is attempting to grant RBAC permissions not currently held")
    # A node may speak for itself alone.
    p.refused("get", "secrets", "--as=system:node:machine", "--as-group=system:nodes", because="forbidden")


@step
def pods_that_cannot_run(p):
    """an image that is not there, a command that is not there, a port in use, an absent secret, an absent node"""
    p("create", "-f", "-", stdin=pod("no-image", ["true"], image="no.such.registry.invalid/app:1"))
    p.until("ErrImagePull, then ImagePullBackOff", lambda: p.field("pod/no-image", "{.status.containerStatuses[0].state.waiting.reason}") in ("ErrImagePull", "ImagePullBackOff"))
    p.until("ImagePullBackOff", lambda: p.field("pod/no-image", "{.status.containerStatuses[0].state.waiting.reason}") == "ImagePullBackOff")
    text = p.field("pod/no-image", "{.status.containerStatuses[0].state.waiting.message}")
    check("no.such.registry.invalid/app:1" in text, "the message names the image:", text)
    check("Failed" in p.out("get", "events", "--field-selector", "involvedObject.name=no-image", "-o", "jsonpath={.items[*].reason}").split(), "its event")
    p("create", "-f", "-", stdin=pod("bad-name", ["true"], image="Bad/NAME"))
    p.until("InvalidImageName", lambda: p.field("pod/bad-name", "{.status.containerStatuses[0].state.waiting.reason}") == "InvalidImageName")
    p("create", "-f", "-", stdin=pod("never", ["true"], image="absent", more="    imagePullPolicy: Never\n"))
    p.until("ErrImageNeverPull", lambda: p.field("pod/never", "{.status.containerStatuses[0].state.waiting.reason}") == "ErrImageNeverPull")
    p("create", "-f", "-", stdin=pod("no-command", ["no-such-program"]))
    p.until("CreateContainerError", lambda: "Create" in p.field("pod/no-command", "{.status.containerStatuses[0].state.waiting.reason}")
            or p.field("pod/no-command", "{.status.containerStatuses[0].state.waiting.reason}") in ("RunContainerError", "CrashLoopBackOff"))
    check("no-such-program" in p.field("pod/no-command", "{.status.containerStatuses[0].state.waiting.message}"), "the runtime's sentence:",
          p.field("pod/no-command", "{.status.containerStatuses[0].state.waiting}"))
    p("create", "-f", "-", stdin=pod("no-secret", ["true"], more="    env: [{name: A, valueFrom: {secretKeyRef: {name: absent, key: k}}}]\n"))
    p.until("CreateContainerConfigError", lambda: p.field("pod/no-secret", "{.status.containerStatuses[0].state.waiting.reason}") == "CreateContainerConfigError")
    same(p.field("pod/no-secret", "{.status.containerStatuses[0].state.waiting.message}"), 'secret "absent" not found', "its message")
    p("create", "-f", "-", stdin=pod("no-volume", ["true"], extra="  volumes: [{name: v, configMap: {name: absent}}]", more="    volumeMounts: [{name: v, mountPath: /v}]\n"))
    p.until("FailedMount", lambda: 'configmap "absent" not found' in p.out("get", "events", "--field-selector", "involvedObject.name=no-volume,reason=FailedMount", "-o", "jsonpath={.items[*].message}"))
    port = "    ports: [{containerPort: 80, hostPort: 8099}]\n"
    p("create", "-f", "-", stdin=pod("first", ["sleep", "1000"], more=port))
    p.m.wait("pod/first", "condition=Ready", 30, "-n", p.ns)
    p("create", "-f", "-", stdin=pod("second", ["sleep", "1000"], more=port))
    p.until("the port is taken", lambda: "1 node(s) didn't have free ports for the requested pod ports" in p.field("pod/second", "{.status.conditions[?(@.type=='PodScheduled')].message}"))
    p("create", "-f", "-", stdin=pod("big", ["true"], more="    resources: {requests: {cpu: 1000, memory: 1000Gi}}\n"))
    p.until("too big", lambda: "1 Insufficient cpu, 1 Insufficient memory" in p.field("pod/big", "{.status.conditions[?(@.type=='PodScheduled')].message}"))
    p("create", "-f", "-", stdin=pod("crash", ["sh", "-c", "echo last words >/dev/termination-log; exit 3"]))
    p.until("its end is told", lambda: p.field("pod/crash", "{.status.containerStatuses[0].lastState.terminated.exitCode}") == "3")
    same(p.field("pod/crash", "{.status.containerStatuses[0].lastState.terminated.message}").strip(), "last words", "its last words")


@step
def too_much(p):
    """bodies, watches and requests without end: the server stays"""
    http = Http(p)
    pid = p.m.pid("server")
    code, answer = http("POST", "NS/configmaps", b"{" + b" " * (8 << 20))
    check(code in (400, 413), "a body of 8 MB:", code, answer)
    import socket
    for words in (b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100, b""):
        with socket.create_connection(("127.0.0.1", p.m.port), 5) as s:
            s.sendall(words)
    context = http.context
    for words in (b"GET /api HTTP/1.1\r\n" + b"X: " + b"y" * 200000 + b"\r\n\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                  b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"):
        with socket.create_connection(("127.0.0.1", p.m.port), 5) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
            try:
                s.sendall(words)
                got = s.recv(100)
                check(got == b"" or got.startswith(b"HTTP/1.1 4"), "nonsense is answered with 4xx or a closed connection:", got)
            except OSError:
                pass
    for path in ("/api/v1/namespaces/%00/pods", "/../../etc/passwd", "/api/v1/pods?labelSelector=%ff%fe",
                 "/api/v1/pods?fieldSelector===", "/api/v1/pods?watch=true&resourceVersion=-1", "/api/v1/pods?timeoutSeconds=x&watch=true"):
        code, answer = http("GET", path)
        check(400 <= code < 500, f"GET {path}:", code, answer)
    code, answer = http("GET", "/api/v1/configmaps?watch=true&resourceVersion=1&timeoutSeconds=1")
    same(p.m.pid("server"), pid, "the server is the same process")
    same(p.m.kubectl("get", "--raw", "/readyz").out, "ok", "and it is ready")


@step
def words_of_the_command(p):
    """mistakes in knarr's own command line"""
    m = p.m
    def said(*argv, code=2):
        r = m.run(machine.KNARR, *argv, code=code)
        return r.err + r.out
    check("unknown" in said("fly").lower() or "fly" in said("fly"), "an unknown verb is named:", said("fly"))
    check("--prot" in said("up", "--prot", "1") and "--port" in said("up", "--prot", "1"), "a misspelt flag gets the nearest one:", said("up", "--prot", "1"))
    check("--port" in said("up", "--port", "many"), "a number that is none:", said("up", "--port", "many"))
    check("absolute" in said("up", "--data", "relative"), "a relative folder:", said("up", "--data", "relative"))
    check("import, build, list, remove" in said("image", "eat"), "an unknown image verb:", said("image", "eat"))
    check("no such file" in said("image", "import", "/no/such", "--data", m.data, code=1).lower(), "a file that is not there")
    check("absent" in said("image", "remove", "absent", "--data", m.data, code=1), "an image that is not there")
    for verb in ("up", "down", "reset", "status", "image", "kubeconfig"):
        check("knarr " + verb in m.run(machine.KNARR, verb, "--help").out, f"help of {verb}")
    status = json.loads(m.knarr("status", "-o", "json").out)
    check(status["healthy"], "status as JSON:", status)
    r = m.run("setpriv", "--reuid=65534", "--clear-groups", machine.KNARR, "up", code=None)
    check(r.code == 1 and "root" in r.err, "up without root:", r)


if __name__ == "__main__":
    tour.main(tour.walk)
