#!/usr/bin/env python3
"""Everything that a person does with kubectl, step by step, against a real cluster.

    tests/clients/kubectl_tour.py            with Debian's kubectl 1.20
    tests/clients/kubectl_tour.py current    with $KUBECTL_CURRENT, or a newer one on the PATH
    TOUR_ONLY=patches,rollouts ...           these steps alone
"""
import json
import os
import re
import subprocess

import tour
from tour import deployment, machine, pod, step
from machine import check, same  # noqa: E402  (found by tour)

MANIFEST = os.path.join(machine.ROOT, "examples/nginx.yml")
rx = re.compile


@step
def the_example(p):
    """create -f of the example: pods, a service that answers, everything deleted again"""
    p.says("deployment.extensions/web created\nservice/web created", "create", "-f", MANIFEST)
    p.ready("web")
    p.until("the page", lambda: "nginx" in p.m.http("http://127.0.0.1:31001/"))
    p.refused("create", "-f", MANIFEST, because=[
        'deployments.extensions "web" already exists',
        'Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 31001: provided port is already allocated'])
    p.until("three endpoints", lambda: len(p.json("endpoints", "web")["subsets"][0]["addresses"]) == 3)
    p.says(rx(r'deployment\.extensions "web" deleted[\s\S]*service "web" deleted'), "delete", "-f", MANIFEST)
    p.until("nothing left", lambda: p.out("get", "pods,rs,deploy,svc,ep", "-o", "name") == "")
    p.refused("delete", "-f", MANIFEST, because='deployments.extensions "web" not found')


@step
def reading(p):
    """get in all its forms"""
    p("create", "-f", "-", stdin=deployment())
    p.ready("web")
    p.says(rx(r"^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +2/2 +2 +2 +\d+s$"), "get", "deployments")
    p.says(rx(r"^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR\nweb .* c +nginx +app=web$"),
           "get", "deploy", "web", "-o", "wide")
    p.says(rx(r"^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n"
              r"web-\w+-\w+ +1/1 +Running +0 +\d+s +10\.244\.\d+\.\d+ +machine +<none> +<none>"), "get", "pods", "-o", "wide")
    p.says(rx(r"^NAME +DESIRED +CURRENT +READY +AGE\nweb-\w+ +2 +2 +2 +\d+s$"), "get", "rs")
    p.says(rx(r"^pod/web-\w+-\w+\npod/web-\w+-\w+$"), "get", "pods", "-o", "name")
    p.says("web", "get", "deploy", "-o", "jsonpath={.items[*].metadata.name}")
    p.says("Deployment apps/v1 2", "get", "deploy", "web", "-o", "jsonpath={.kind} {.apiVersion} {.spec.replicas}")
    p.says("web:nginx", "get", "deploy", "web", "-o",
           "go-template={{.metadata.name}}:{{(index .spec.template.spec.containers 0).image}}")
    p.says(rx(r"^N +I\nweb +nginx$"), "get", "deploy", "-o",
           "custom-columns=N:.metadata.name,I:.spec.template.spec.containers[0].image")
    p.says(rx(r"(?m)^apiVersion: apps/v1\nkind: Deployment\nmetadata:\n"), "get", "deploy", "web", "-o", "yaml")
    same(p.json("deploy", "web")["spec"]["replicas"], 2, "replicas in JSON")
    same(p.json("deploy")["kind"], "List", "kind of a list")
    p.says(rx(r"^NAME +READY .* LABELS\nweb-.*app=web,pod-template-hash="), "get", "pods", "--show-labels")
    p.says(rx(r"^NAME +READY .* APP\nweb-.*web\n"), "get", "pods", "-L", "app")
    p.says(rx(r"^web-\w+-\w+ +1/1"), "get", "pods", "--no-headers")
    same(len(p.out("get", "pods", "-l", "app=web,pod-template-hash", "-o", "name").split()), 2, "by label")
    same(len(p.out("get", "pods", "-l", "app in (web,x),app!=y", "-o", "name").split()), 2, "by set")
    same(p.out("get", "pods", "-l", "!app", "-o", "name"), "", "by absence")
    same(len(p.out("get", "pods", "--field-selector", "status.phase=Running,spec.nodeName=machine", "-o", "name").split()), 2,
         "by field")
    names = p.out("get", "pods", "--sort-by", ".metadata.name", "-o", "name").split()
    same(names, sorted(names), "sorted")
    p.says(rx(r"pod/web[\s\S]*deployment.apps/web[\s\S]*replicaset.apps/web"), "get", "all")
    same(len([l for l in p.out("get", "pods", "-A", "-l", "app=web", "--no-headers").splitlines() if l.startswith(p.ns + " ")]), 2,
         "in all namespaces")
    p.says(rx(r"^machine +Ready"), "get", "nodes", "--no-headers")
    p.says(rx(r"^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP .*\nmachine +Ready .* v1\.37\.2 +192\.0\.2\.10 .*Debian GNU/Linux.* crun://"),
           "get", "nodes", "-o", "wide")
    r = p("get", "pods", "-n", "empty", code=0)
    check("No resources found in empty namespace." in r.err, "nothing found:", r)
    p.refused("get", "pod", "absent", because='Error from server (NotFound): pods "absent" not found')
    p.refused("get", "nonsense", because='error: the server doesn\'t have a resource type "nonsense"')
    p.refused("get", "pods", "--field-selector", "spec.nonsense=1",
              because='field label not supported: spec.nonsense')
    p.refused("get", "pods", "-l", "a=b=c", because="unable to parse requirement: found '=', expected: ',' or 'end of string'")
    same(p.out("get", "deploy,rs", "-o", "name").split()[0], "deployment.apps/web", "two kinds at once")
    same(p.out("get", "pod", "absent", "--ignore-not-found"), "", "ignore-not-found")
    chunked = p.out("get", "pods", "--chunk-size=1", "-o", "name").split()
    same(sorted(chunked), sorted(names), "in chunks")


@step
def watching(p):
    """get -w shows every change, in order"""
    p("create", "configmap", "first")
    w = subprocess.Popen([p.m.kubectl_path, "-n", p.ns, "get", "configmaps", "-w", "--output-watch-events", "--no-headers",
                          "--field-selector", "metadata.name!=kube-root-ca.crt"],
                         stdout=subprocess.PIPE, text=True, env=p.m.env)
    try:
        same(w.stdout.readline().split()[:2], ["ADDED", "first"], "what was there")
        p("create", "configmap", "second", "--from-literal=a=1")
        same(w.stdout.readline().split()[:3], ["ADDED", "second", "1"], "created")
        p("patch", "configmap", "second", "-p", '{"data":{"b":"2"}}')
        same(w.stdout.readline().split()[:3], ["MODIFIED", "second", "2"], "changed")
        p("delete", "configmap", "second")
        same(w.stdout.readline().split()[:2], ["DELETED", "second"], "deleted")
    finally:
        w.kill()
        w.wait()
    p.refused("get", "pods", "-w", "--request-timeout=1s", code=0, because="")


@step
def describing(p):
    """describe tells the story of each object"""
    p("create", "-f", "-", stdin=deployment(replicas=1))
    p("expose", "deployment", "web", "--port=80")
    p.ready("web")
    name = p.field("pods", "{.items[0].metadata.name}")
    text = p.out("describe", "pod", name)
    for want in (r"Name: +" + name, r"Status: +Running", r"Controlled By: +ReplicaSet/web-", r"Container ID: +crun://[0-9a-f]{64}",
                 r"Image ID: +.*sha256", r"Ready +True", r"QoS Class: +BestEffort", r"Node-Selectors: +<none>",
                 r"Scheduled .* Successfully assigned " + p.ns + "/" + name + " to machine", r"Pulled .* already present on machine",
                 r"Created +.*[Cc]reated container", r"Started +.*Started container c", r"kube-api-access-"):
        check(re.search(want, text), f"describe pod has /{want}/:", text)
    text = p.out("describe", "deployment", "web")
    for want in (r"Replicas: +1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable", r"StrategyType: +RollingUpdate",
                 r"RollingUpdateStrategy: +25% max unavailable, 25% max surge", r"Available +True +MinimumReplicasAvailable",
                 r"Progressing +True +NewReplicaSetAvailable", r"NewReplicaSet: +web-\w+ \(1/1 replicas created\)",
                 r"ScalingReplicaSet .*Scaled up replica set web-\w+ (to 1|from 0 to 1)"):
        check(re.search(want, text), f"describe deployment has /{want}/:", text)
    text = p.out("describe", "rs")
    check(re.search(r"Pods Status: +1 Running / 0 Waiting / 0 Succeeded / 0 Failed", text), "describe rs:", text)
    check(re.search(r"SuccessfulCreate .*Created pod: web-", text), "describe rs has its event:", text)
    text = p.out("describe", "service", "web")
    check(re.search(r"Endpoints: +10\.244\.", text) and "TargetPort" in text, "describe service:", text)
    text = p.out("describe", "node", "machine")
    for want in (r"Ready +True .*KubeletReady", r"Container Runtime Version: +crun://", r"Operating System: +linux",
                 p.ns + " +" + name, r"Allocated resources", r"MemoryPressure +False"):
        check(re.search(want, text), f"describe node has /{want}/:", text)
    text = p.out("describe", "namespace", p.ns)
    check("Status:       Active" in text, "describe namespace:", text)
    p("create", "secret", "generic", "s", "--from-literal=word=hidden")
    text = p.out("describe", "secret", "s")
    check("word:  6 bytes" in text and "hidden" not in text, "describe secret shows sizes, not words:", text)
    text = p.out("describe", "serviceaccount", "default")
    check("Name:                default" in text, "describe serviceaccount:", text)
    text = p.out("describe", "clusterrole", "view")
    check("pods" in text and "[get list watch]" in text, "describe clusterrole:", text[:500])
    p.refused("describe", "pod", "absent", because='pods "absent" not found')


@step
def rollouts(p):
    """rollout status, history, undo, restart, pause, resume"""
    p("create", "-f", "-", stdin=deployment(replicas=2, image="busybox", extra='        command: ["sleep", "1000"]\n'))
    p.ready("web")
    p.says('deployment "web" successfully rolled out', "rollout", "status", "deploy/web")
    p.says("deployment.apps/web image updated", "set", "image", "deployment/web", "c=docker.io/library/busybox")
    p("annotate", "deployment/web", "kubernetes.io/change-cause=other name")
    p.ready("web")
    p.says(rx(r"REVISION +CHANGE-CAUSE\n1 +<none>\n2 +other name"), "rollout", "history", "deploy/web")
    p.says(rx(r"Image:\s+docker.io/library/busybox"), "rollout", "history", "deploy/web", "--revision=2")
    p.refused("rollout", "history", "deploy/web", "--revision=9", because="unable to find the specified revision")
    p.says(rx(r"^deployment.apps/web rolled back"), "rollout", "undo", "deploy/web")
    p.ready("web")
    same(p.field("deploy/web", "{.spec.template.spec.containers[0].image}"), "busybox", "image after undo")
    p.says(rx(r"REVISION +CHANGE-CAUSE\n2 +other name\n3 +"), "rollout", "history", "deploy/web")
    p.says(rx(r"^deployment.apps/web rolled back"), "rollout", "undo", "deploy/web", "--to-revision=2")
    p.ready("web")
    p.refused("rollout", "undo", "deploy/web", "--to-revision=99", because="unable to find specified revision 99 in history")
    p.says("deployment.apps/web restarted", "rollout", "restart", "deploy/web")
    p.ready("web")
    check(p.field("deploy/web", "{.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}"), "restartedAt")
    p.says("deployment.apps/web paused", "rollout", "pause", "deploy/web")
    p.refused("rollout", "pause", "deploy/web", because="already paused")
    before = p.field("rs", "{.items[*].metadata.name}")
    p("set", "env", "deployment/web", "COLOUR=blue")
    p.until("the controller has seen it", lambda: p.field("deploy/web", "{.status.observedGeneration}")
            == p.field("deploy/web", "{.metadata.generation}"))
    same(p.field("rs", "{.items[*].metadata.name}"), before, "replica sets while paused")
    p.refused("rollout", "undo", "deploy/web", because="paused")
    p.says("deployment.apps/web resumed", "rollout", "resume", "deploy/web")
    p.ready("web")
    check(p.field("rs", "{.items[*].metadata.name}") != before, "a new replica set after resume")
    # One that cannot succeed is told by the deadline of its progress.
    p("patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":2,"minReadySeconds":0}}')
    p("set", "image", "deployment/web", "c=no.such.registry.invalid/absent")
    p.refused("rollout", "status", "deploy/web", "--timeout=30s",
              because='deployment "web" exceeded its progress deadline')
    p("rollout", "undo", "deploy/web")
    p.ready("web")
    p("patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":600}}')
    # Recreate: never two generations at once.
    p("patch", "deployment", "web", "--type=json",
      "-p", '[{"op":"replace","path":"/spec/strategy","value":{"type":"Recreate"}}]')
    p("rollout", "restart", "deploy/web")
    p.ready("web")
    same(p.field("deploy/web", "{.spec.strategy}"), '{"type":"Recreate"}', "the strategy")


@step
def setting(p):
    """set image, env, resources, serviceaccount, selector"""
    p("create", "-f", "-", stdin=deployment(replicas=1, image="busybox", extra='        command: ["sleep", "1000"]\n'))
    p.says("deployment.apps/web env updated", "set", "env", "deployment/web", "A=1", "B=two words")
    p.says(rx(r"A=1\nB=two words"), "set", "env", "deployment/web", "--list")
    p.says("deployment.apps/web env updated", "set", "env", "deployment/web", "A-")
    same(p.field("deploy/web", "{.spec.template.spec.containers[0].env[*].name}"), "B", "env after a removal")
    p("create", "configmap", "settings", "--from-literal=COLOUR=green")
    p.says("deployment.apps/web env updated", "set", "env", "deployment/web", "--from=configmap/settings")
    p.says("deployment.apps/web resource requirements updated", "set", "resources", "deployment/web", "--requests=cpu=10m,memory=16Mi",
           "--limits=memory=64Mi")
    p.ready("web")
    name = p.out("get", "pods", "-o", "jsonpath={.items[?(@.spec.containers[0].resources.limits.memory=='64Mi')].metadata.name}")
    same(p.out("exec", name, "--", "sh", "-c", "echo $B $COLOUR"), "two words green", "environment of the container")
    same(p.field("pod/" + name, "{.status.qosClass}"), "Burstable", "QoS class")
    p("create", "serviceaccount", "robot")
    p.says("deployment.apps/web serviceaccount updated", "set", "serviceaccount", "deployment/web", "robot")
    p.refused("set", "image", "deployment/web", "absent=busybox", because='unable to find container named "absent"')


@step
def scaling(p):
    """scale, with conditions"""
    p("create", "-f", "-", stdin=deployment(replicas=1))
    p.says("deployment.apps/web scaled", "scale", "deployment", "web", "--replicas=3")
    p.ready("web")
    p.says("deployment.apps/web scaled", "scale", "--current-replicas=3", "--replicas=1", "deployment/web")
    p.refused("scale", "--current-replicas=3", "--replicas=2", "deployment/web", because="Expected replicas to be 3, was 1")
    p.until("one pod", lambda: len(p.json("pods")["items"]) == 1)
    p.says("deployment.apps/web scaled", "scale", "deploy/web", "--replicas=0")
    p.until("no pod", lambda: len(p.json("pods")["items"]) == 0)
    p.refused("scale", "deployment", "absent", "--replicas=1", because='"absent" not found')
    p.refused("scale", "deployment", "web", "--replicas=-2", because="")
    same(p.m.kubectl("get", "--raw", f"/apis/apps/v1/namespaces/{p.ns}/deployments/web/scale").code, 0, "the scale itself")


@step
def exposing(p):
    """expose makes services of every type"""
    p("create", "-f", "-", stdin=deployment(replicas=1))
    p.ready("web")
    p.says("service/web exposed", "expose", "deployment", "web", "--port=80", "--target-port=page")
    ip = p.field("svc/web", "{.spec.clusterIP}")
    check(ip.startswith("10.96."), "an address from the range:", ip)
    p.until("nginx by the service's address", lambda: "nginx" in p.m.http(f"http://{ip}/"))
    p.says("service/outside exposed", "expose", "deployment", "web", "--name=outside", "--type=NodePort", "--port=80")
    port = p.field("svc/outside", "{.spec.ports[0].nodePort}")
    check(30000 <= int(port) <= 32767, "a node port from the range:", port)
    for host in ("127.0.0.1", "192.0.2.10"):
        p.until(f"nginx at {host}:{port}", lambda h=host: "nginx" in p.m.http(f"http://{h}:{port}/"))
    p.says("service/headless exposed", "expose", "deployment", "web", "--name=headless", "--cluster-ip=None", "--port=80")
    same(p.field("svc/headless", "{.spec.clusterIP}"), "None", "a headless service")
    p.says(rx(r"^service/by-name created"), "create", "service", "externalname", "by-name", "--external-name=example.com")
    p.says(rx(r"web +ClusterIP +10\.96\.\d+\.\d+ +<none> +80/TCP"), "get", "services")
    p.refused("expose", "deployment", "web", "--port=80", because='services "web" already exists')
    p.says(rx(r"^NAME +ENDPOINTS +AGE\n[\s\S]*10\.244\.\d+\.\d+:80"), "get", "endpoints")
    p.says(rx(r"ADDRESSTYPE +PORTS +ENDPOINTS +AGE\n[\s\S]*IPv4 +80 +10\.244"), "get", "endpointslices")
    p("delete", "svc", "outside")
    p.until("the node port is closed", lambda: p.m.run("curl", "-s", "-m", "1", f"http://127.0.0.1:{port}/", code=None).code != 0)


@step
def labels_and_annotations(p):
    """label and annotate: set, refuse, overwrite, remove"""
    p("create", "configmap", "c")
    p.says("configmap/c labeled", "label", "configmap", "c", "colour=red", "size=big")
    p.refused("label", "configmap", "c", "colour=blue", because="already has a value (red), and --overwrite is false")
    p.says("configmap/c labeled", "label", "configmap", "c", "colour=blue", "--overwrite")
    p.says(rx("^configmap/c (un)?labeled"), "label", "configmap", "c", "size-")
    same(p.field("cm/c", "{.metadata.labels}"), '{"colour":"blue"}', "labels")
    p.says("configmap/c annotated", "annotate", "configmap", "c", "note=a long, long text: with = and ü")
    same(p.field("cm/c", "{.metadata.annotations.note}"), "a long, long text: with = and ü", "annotation")
    p.says("configmap/c annotated", "annotate", "configmap", "c", "note-")
    p.says("configmap/c labeled", "label", "configmap", "-l", "colour=blue", "all=yes")
    p.refused("label", "configmap", "c", "Bad Key=x", because="")
    r = p.refused("patch", "cm", "c", "-p", '{"metadata":{"labels":{"bad key":"x"}}}', because=[
        'ConfigMap "c" is invalid: metadata.labels: Invalid value: "bad key"'])
    check("name part must consist of alphanumeric characters" in r.err, "the rule:", r)


@step
def editing(p):
    """edit through an editor: a change, no change, a mistake"""
    p("create", "configmap", "c", "--from-literal=a=old")
    def env(script):
        return dict(p.m.env, KUBE_EDITOR=f"sed -i {script}")
    p.says("configmap/c edited", "edit", "configmap", "c", env=env("s/old/new/"))
    same(p.field("cm/c", "{.data.a}"), "new", "what was edited")
    r = p("edit", "configmap", "c", env=dict(p.m.env, KUBE_EDITOR="true"))
    check("no changes made" in r.out + r.err, "an edit without change:", r)
    r = p("edit", "configmap", "c", code=None, env=env("'s/^  name: c/  name: d/'"))
    check(r.code != 0, "a name cannot be edited:", r)


@step
def applying(p):
    """apply: created, unchanged, changed, and what is left out goes"""
    first = p.file("a.yml", deployment(replicas=1, image="busybox", extra='        command: ["sleep", "1000"]\n        env: [{name: A, value: a}, {name: B, value: b}]\n'))
    p.says("deployment.apps/web created", "apply", "-f", first)
    p.says("deployment.apps/web unchanged", "apply", "-f", first)
    p("scale", "deploy/web", "--replicas=2")
    second = p.file("b.yml", deployment(replicas=1, image="busybox", extra='        command: ["sleep", "1000"]\n        env: [{name: B, value: bb}]\n').replace("  replicas: 1\n", ""))
    p.says("deployment.apps/web configured", "apply", "-f", second)
    same(p.field("deploy/web", "{.spec.template.spec.containers[0].env}"), '[{"name":"B","value":"bb"}]', "env: one pruned, one changed")
    # `replicas` was left out: the field was ours, so it is taken out, and the default comes back.
    same(p.field("deploy/web", "{.spec.replicas}"), "1", "a pruned field gets its default")
    check(p.field("deploy/web", "{.metadata.annotations.kubectl\\.kubernetes\\.io/last-applied-configuration}"), "last-applied")
    p.says(rx(r"name: B"), "apply", "view-last-applied", "deploy/web")
    third = p.file("c.yml", deployment(replicas=1, image="busybox", extra='        command: ["sleep", "2000"]\n'))
    r = p("diff", "-f", third, code=1)
    check("-        - \"1000\"" in r.out and "+        - \"2000\"" in r.out, "diff shows what would change:", r)
    p("diff", "-f", second, code=0)
    p.says(rx(r"^deployment.apps/web (configured|created) \(server dry run\)"), "apply", "-f", third, "--dry-run=server")
    p.says(rx(r"\(dry run\)"), "apply", "-f", third, "--dry-run=client")
    same(p.field("deploy/web", "{.spec.template.spec.containers[0].command[1]}"), "1000", "nothing changed by dry runs")
    # A folder, and pruning of what is no longer in it.
    folder = os.path.join(p.m.folder, "folder")
    os.makedirs(folder, exist_ok=True)
    for name in ("one", "two"):
        with open(os.path.join(folder, name + ".yml"), "w", encoding="utf-8") as f:
            f.write(f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels: {{set: s}}\ndata: {{a: b}}\n")
    p.says("configmap/one created\nconfigmap/two created", "apply", "-f", folder)
    os.unlink(os.path.join(folder, "two.yml"))
    prune = ["--prune", "-l", "set=s", "--prune-allowlist=core/v1/ConfigMap" if p.new else "--prune-whitelist=core/v1/ConfigMap"]
    p.says("configmap/one unchanged\nconfigmap/two pruned", "apply", "-f", folder, *prune)
    # Somebody else's field stays.
    p("patch", "cm", "one", "-p", '{"data":{"theirs":"x"}}')
    p("apply", "-f", folder)
    same(p.json("cm", "one")["data"], {"a": "b", "theirs": "x"}, "a field that was never ours")


@step
def replacing(p):
    """replace: with and without a revision, by force"""
    p("create", "configmap", "c", "--from-literal=a=1")
    old = p.out("get", "cm", "c", "-o", "yaml")
    p.says("configmap/c replaced", "replace", "-f", "-", stdin=old.replace('a: "1"', 'a: "2"'))
    p.refused("replace", "-f", "-", stdin=old.replace('a: "1"', 'a: "3"'), because=[
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again',
        "(Conflict)"])
    plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {z: z}\n"
    p.says("configmap/c replaced", "replace", "-f", "-", stdin=plain)
    same(p.json("cm", "c")["data"], {"z": "z"}, "what was replaced")
    uid = p.field("cm/c", "{.metadata.uid}")
    p.says(rx('configmap/c replaced'), "replace", "--force", "-f", p.file("c.yml", plain))
    check(p.field("cm/c", "{.metadata.uid}") != uid, "a replacement by force is another object")
    p.refused("replace", "-f", "-", stdin=plain.replace("name: c", "name: absent"), because='configmaps "absent" not found')


@step
def patches(p):
    """patch: strategic, merge, JSON; of a status; without a change"""
    p("create", "-f", "-", stdin=deployment(replicas=0))
    p.says("deployment.apps/web patched", "patch", "deployment", "web", "-p",
           '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]},{"name":"d","image":"busybox"}]}}}}')
    same(p.field("deploy/web", "{.spec.template.spec.containers[*].name}").split(), sorted(p.field("deploy/web", "{.spec.template.spec.containers[*].name}").split(), reverse=p.field("deploy/web", "{.spec.template.spec.containers[0].name}") == "d"),
         "containers are merged by name")
    same(p.field("deploy/web", "{.spec.template.spec.containers[?(@.name=='c')].image}"), "nginx", "what the patch did not name stays")
    p("patch", "deployment", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"d","$patch":"delete"}]}}}}')
    same(p.field("deploy/web", "{.spec.template.spec.containers[*].name}"), "c", "$patch: delete")
    p.says("deployment.apps/web patched", "patch", "deployment", "web", "--type=merge", "-p",
           '{"metadata":{"labels":{"x":"y","app":null}}}')
    same(p.field("deploy/web", "{.metadata.labels}"), '{"x":"y"}', "a merge patch takes away what is null")
    p.says("deployment.apps/web patched", "patch", "deployment", "web", "--type=json", "-p",
           '[{"op":"test","path":"/spec/replicas","value":0},{"op":"add","path":"/metadata/labels/z","value":"1"},'
           '{"op":"remove","path":"/metadata/labels/x"}]')
    same(p.field("deploy/web", "{.metadata.labels}"), '{"z":"1"}', "a JSON patch")
    p.says("deployment.apps/web patched (no change)", "patch", "deployment", "web", "-p", '{"spec":{"replicas":0}}')
    p.refused("patch", "deployment", "web", "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":7}]',
              because="")
    p.refused("patch", "deployment", "web", "--type=json", "-p", '[{"op":"remove","path":"/spec/absent"}]', because="")
    p.refused("patch", "deployment", "web", "-p", '{"spec":{"replicas":"many"}}', because="")
    p.refused("patch", "deployment", "web", "-p", '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}', because="field is immutable")
    p.refused("patch", "deployment", "web", "-p", '{"spec":', because="")
    p.refused("patch", "deployment", "web", "-p", '{"spec":{"replicas":-1}}', because=[
        'The Deployment "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'])


@step
def deleting(p):
    """delete with its three cascades, by selector, in a hurry, and a namespace with all in it"""
    ways = {"background": "background", "foreground": "foreground", "orphan": "orphan"}
    for way in ways:
        p("create", "-f", "-", stdin=deployment(name=way, replicas=1))
        p.ready(way)
        p.says(rx(f'^deployment.apps "{way}" deleted'), "delete", "deployment", way, f"--cascade={way}")
        if way == "orphan":
            p.until("orphans without an owner", lambda: "ownerReferences" not in p.json("rs", "-l", "app=orphan")["items"][0]["metadata"])
            same(len(p.json("pods", "-l", "app=orphan")["items"]), 1, "pods after an orphaning delete")
            p("delete", "rs", "-l", "app=orphan")
        p.until(f"nothing left of {way}", lambda w=way: p.out("get", "rs,pods", "-l", f"app={w}", "-o", "name") == "")
    # Foreground: the owner stays until what it owns has gone.
    p("create", "-f", "-", stdin=deployment(name="slow", replicas=1, image="busybox", extra="        command: [sh, -c, \"trap '' TERM; sleep 1000\"]\n").replace(
        "PeriodSeconds: 1", "PeriodSeconds: 3"))
    p.ready("slow")
    p("delete", "deployment", "slow", "--cascade=foreground", "--wait=false")
    got = p.json("deployment", "slow")["metadata"]
    same(got.get("finalizers"), ["foregroundDeletion"], "finalizers of an owner in foreground deletion")
    check(got.get("deletionTimestamp"), "it is being deleted")
    p("wait", "--for=delete", "deployment/slow", "--timeout=30s")
    same(p.out("get", "pods", "-l", "app=slow", "-o", "name"), "", "pods when the owner has gone")
    for name in "abc":
        p("create", "configmap", name)
        p("label", "configmap", name, "kind=x")
    p.says(rx(r'configmap "a" deleted[\s\S]*configmap "b" deleted[\s\S]*configmap "c" deleted'), "delete", "configmap", "-l", "kind=x")
    p.refused("delete", "configmap", "a", because='configmaps "a" not found')
    same(p.out("delete", "configmap", "a", "--ignore-not-found"), "", "ignore-not-found")
    p("create", "-f", "-", stdin=pod("stubborn", ["sh", "-c", "trap '' TERM; sleep 1000"]).replace("Seconds: 1", "Seconds: 600"))
    p.m.wait("pod/stubborn", "condition=Ready", 30, "-n", p.ns)
    r = p("delete", "pod", "stubborn", "--grace-period=0", "--force")
    check("Immediate deletion does not wait" in r.err, "the warning:", r)
    p.until("the stubborn one is gone", lambda: p.out("get", "pods", "-o", "name") == "")
    p("create", "namespace", "doomed")
    p.until("its service account", lambda: p.m.kubectl("get", "sa", "default", "-n", "doomed", code=None).code == 0)
    p.m.kubectl("-n", "doomed", "create", "-f", "-", stdin=deployment())
    p.says(rx(r'^namespace "doomed" deleted'), "delete", "namespace", "doomed", "--timeout=60s")
    p.refused("get", "namespace", "doomed", because='namespaces "doomed" not found')
    same(p.out("get", "pods", "-A", "--field-selector", "metadata.namespace=doomed", "-o", "name"), "", "pods of a deleted namespace")


@step
def explaining(p):
    """explain, api-resources, api-versions, version, cluster-info, component statuses, whoami"""
    p.says(rx(r"(?s)KIND: +Pod\nVERSION: +v1.*DESCRIPTION:.*FIELDS:.*spec"), "explain", "pods")
    p.says(rx(r"(?s)containers.*(\[\]Object|\[\]Container).*-required-"), "explain", "pods.spec")
    p.says(rx(r"(?s)KIND: +Deployment.*FIELD: *replicas"), "explain", "deployments.spec.replicas")
    p.refused("explain", "pods.spec.nonsense", because='field "nonsense" does not exist')
    p.refused("explain", "nonsense", because='the server doesn\'t have a resource type "nonsense"')
    check(len(p.out("explain", "deployments", "--recursive").splitlines()) > 300, "the whole tree")
    p.says(rx(r"(?m)^pods +po +v1 +true +Pod$"), "api-resources") if p.new else p.says(rx(r"(?m)^pods +po +v1 +true +Pod$"), "api-resources")
    p.says(rx(r"(?m)^deployments.apps$"), "api-resources", "-o", "name")
    p.says(rx(r"(?m)^namespaces +ns +v1 +false +Namespace +\[?create"), "api-resources", "-o", "wide", "--namespaced=false") if not p.new else \
        p.says(rx(r"(?m)^namespaces +ns +v1 +false +Namespace +create,"), "api-resources", "-o", "wide", "--namespaced=false")
    check("deployments" in p.out("api-resources", "--api-group=apps", "-o", "name"), "one group's resources")
    check("configmaps" not in p.out("api-resources", "--verbs=bind", "-o", "name"), "by verb")
    same(set(p.out("api-versions").split()) >= {"v1", "apps/v1", "rbac.authorization.k8s.io/v1", "discovery.k8s.io/v1",
                                               "coordination.k8s.io/v1", "events.k8s.io/v1", "authentication.k8s.io/v1",
                                               "authorization.k8s.io/v1", "extensions/v1beta1"}, True, "api-versions")
    same(json.loads(p.out("version", "-o", "json"))["serverVersion"]["gitVersion"].split("+")[0], "v1.37.2", "the server's version")
    p.says(rx(r"is running at .*https://127\.0\.0\.1:7443"), "cluster-info")
    p.says(rx(r"(?s)controller-manager +Healthy +ok.*etcd-0 +Healthy +ok.*scheduler +Healthy +ok"), "get", "cs")
    p.says(rx(r"(?s)\[\+\]etcd ok\n.*readyz check passed"), "get", "--raw", "/readyz?verbose")
    if p.new:
        p.says(rx(r"(?s)Username +kubernetes-admin\nGroups +\[system:masters system:authenticated\]"), "auth", "whoami")
    p.says("knarr", "config", "current-context")


@step
def waiting(p):
    """wait: for conditions, for JSON paths, for deletion, and in vain"""
    p("create", "-f", "-", stdin=deployment(replicas=1))
    p.says("deployment.apps/web condition met", "wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    p.says(rx("^pod/web-.* condition met$"), "wait", "--for=condition=Ready", "pods", "-l", "app=web", "--timeout=30s")
    p.refused("wait", "--for=condition=Ready=false", "pods", "-l", "app=web", "--timeout=1s", because="timed out waiting for the condition")
    if p.new:
        p.says("deployment.apps/web condition met", "wait", "--for=jsonpath={.status.readyReplicas}=1", "deployment/web", "--timeout=30s")
    p("delete", "deployment", "web", "--cascade=foreground", "--wait=false")
    r = p("wait", "--for=delete", "deployment/web", "--timeout=30s", code=None)
    check(r.code == 0 or "no matching resources found" in r.err, "wait for a deletion (an old kubectl calls what has gone an error):", r)
    p.refused("wait", "--for=condition=Ready", "pod/absent", "--timeout=1s", because='pods "absent" not found')


@step
def events(p):
    """events are told, in order and by object"""
    p("create", "-f", "-", stdin=pod("one", ["true"], extra="  restartPolicy: Never"))
    p.until("its end", lambda: p.field("pod/one", "{.status.phase}") == "Succeeded")
    p.says(rx(r"(?s)LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n.*Normal +Scheduled +pod/one +Successfully assigned"), "get", "events")
    reasons = p.out("get", "events", "--field-selector", "involvedObject.name=one", "-o", "jsonpath={.items[*].reason}").split()
    same(set(reasons), {"Scheduled", "Pulled", "Created", "Started"}, "its events")
    if p.new:
        p.says(rx(r"(?s)TYPE +REASON.*Normal +Scheduled"), "events", "--for", "pod/one")
    p("create", "-f", "-", stdin=pod("two", ["true"], extra="  nodeSelector: {disk: golden}"))
    p.until("why it is not scheduled", lambda: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector"
            in p.out("get", "events", "--field-selector", "involvedObject.name=two,reason=FailedScheduling", "-o", "jsonpath={.items[*].message}"))
    same(p.field("pod/two", "{.status.conditions[?(@.type=='PodScheduled')].reason}"), "Unschedulable", "the condition")
    p.says(rx(r"two +0/1 +Pending +0"), "get", "pods")


@step
def logs(p):
    """logs: whole, tail, since, previous, followed, by label, with prefixes and timestamps"""
    p("create", "-f", "-", stdin=pod("talker", ["sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done; echo err >&2; touch /tmp/x; sleep 1000"]))
    p.m.wait("pod/talker", "condition=Ready", 30, "-n", p.ns)
    p.until("all lines", lambda: p.out("logs", "talker") == "line 1\nline 2\nline 3\nline 4\nline 5\nerr")
    p.says("line 5\nerr", "logs", "talker", "--tail=2")
    p.says(rx(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 1\n"), "logs", "talker", "--timestamps")
    p.says(rx("line 5"), "logs", "talker", "--since=1h")
    p.says("", "logs", "talker", "--since-time=2199-01-01T00:00:00Z")
    p.says("line", "logs", "talker", "--limit-bytes=4")
    p.says(rx(r"line 1"), "logs", "-l", "app=talker")
    p.says(rx(r"(?m)^\[pod/talker/c\] line 5$"), "logs", "-l", "app=talker", "--prefix")
    p.refused("logs", "talker", "--previous", because='previous terminated container "c" in pod "talker" not found')
    p.refused("logs", "talker", "-c", "absent", because="container absent is not valid for pod talker")
    p.refused("logs", "absent", because='pods "absent" not found')
    p("create", "-f", "-", stdin=pod("clock", ["sh", "-c", "i=0; while [ $i -lt 20 ]; do echo tick $i; i=$((i+1)); sleep 0.1; done"], extra="  restartPolicy: Never"))
    p.m.until("it begins", lambda: p.field("pod/clock", "{.status.phase}") in ("Running", "Succeeded"))
    same(p.out("logs", "-f", "clock").splitlines()[-1], "tick 19", "a followed log ends with the container")
    p("create", "-f", "-", stdin=pod("loop", ["sh", "-c", "echo run; exit 3"]))
    p.until("a second run", lambda: int(p.field("pod/loop", "{.status.containerStatuses[0].restartCount}") or 0) >= 1)
    p.says("run", "logs", "loop", "--previous")
    p.until("the back-off is shown", lambda: "CrashLoopBackOff" in p.out("get", "pods"))
    p("create", "-f", "-", stdin=deployment(replicas=1))
    p.ready("web")
    p("logs", "deployment/web")


@step
def inside(p):
    """exec, attach, cp"""
    p("create", "-f", "-", stdin=pod("box", ["sh", "-c", "while read line; do echo heard $line; done; sleep 1000"], more="    stdin: true\n"))
    p.m.wait("pod/box", "condition=Ready", 30, "-n", p.ns)
    p.says("box", "exec", "box", "--", "cat", "/etc/hostname")
    p.says("from stdin", "exec", "-i", "box", "--", "cat", stdin="from stdin\n")
    r = p("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    same((r.out, r.err.splitlines()[0]), ("out\n", "err"), "both streams of exec")
    check("command terminated with exit code 7" in r.err, "the exit code is told:", r)
    p.refused("exec", "box", "--", "no-such-program", because="no-such-program", code=p("exec", "box", "--", "no-such-program", code="fail").code)
    p.refused("exec", "box", "-c", "absent", "--", "true", because="container absent is not valid for pod box")
    big = "x" * 1000000
    same(len(p("exec", "-i", "box", "--", "cat", stdin=big).out), len(big), "a megabyte through and back")
    p.says("Linux", "exec", "box", "--", "uname")
    a = subprocess.Popen([p.m.kubectl_path, "-n", p.ns, "attach", "-i", "box"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, env=p.m.env)
    try:
        a.stdin.write("hello\n")
        a.stdin.flush()
        same(a.stdout.readline(), "heard hello\n", "what comes back through attach")
    finally:
        a.kill()
        a.communicate()
    p.until("it is in the log too", lambda: "heard hello" in p.out("logs", "box"))
    source = p.file("source.txt", "copied text\n")
    p("create", "-f", "-", stdin=pod("copy", ["sleep", "1000"]))
    p.m.wait("pod/copy", "condition=Ready", 30, "-n", p.ns)
    p("cp", source, "copy:/tmp/there.txt")
    p.says("copied text", "exec", "copy", "--", "cat", "/tmp/there.txt")
    back = source + ".back"
    p("cp", "copy:/tmp/there.txt", back)
    same(open(back, encoding="utf-8").read(), "copied text\n", "the copy that came back")


@step
def running(p):
    """run: once with its output and exit code, detached, interactively"""
    p.says(rx(r"^hello\n?(pod \"once\" deleted.*)?$"), "run", "once", "-i", "--rm", "--restart=Never", "--image=busybox", "--", "echo", "hello")
    p.refused("get", "pod", "once", because='pods "once" not found')
    r = p("run", "bad", "-i", "--rm", "--restart=Never", "--image=busybox", "--", "sh", "-c", "exit 5", code=None)
    same(r.code, 5, f"the exit code comes through: {r}")
    p.says(rx(r"^typed\n?"), "run", "cat", "-i", "--rm", "--restart=Never", "--image=busybox", "--", "head", "-n", "1", stdin="typed\n")
    p.says("pod/stays created", "run", "stays", "--image=nginx", "--port=80", "--labels=a=b", "--env=X=y")
    p.m.wait("pod/stays", "condition=Ready", 30, "-n", p.ns)
    same(p.field("pod/stays", "{.metadata.labels}{.spec.containers[0].env[0].value}"), '{"a":"b"}y', "what run wrote")
    p.says(rx(r"(?m)^kind: Pod$"), "run", "dry", "--image=nginx", "--dry-run=client", "-o", "yaml")
    p.says("pod/dry created (server dry run)", "run", "dry", "--image=nginx", "--dry-run=server")
    p.refused("get", "pod", "dry", because="not found")
    p.says("deployment.apps/made created", "create", "deployment", "made", "--image=nginx")


@step
def rights(p):
    """auth can-i, roles, and what a service account may do"""
    p.says("yes", "auth", "can-i", "create", "pods")
    p.says("yes", "auth", "can-i", "*", "*", "--all-namespaces")
    robot = f"--as=system:serviceaccount:{p.ns}:robot"
    p("create", "serviceaccount", "robot")
    p.says(rx("^no"), "auth", "can-i", "list", "secrets", robot, code=1)
    p.says("role.rbac.authorization.k8s.io/reader created", "create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    p.says("rolebinding.rbac.authorization.k8s.io/robot created", "create", "rolebinding", "robot", "--role=reader", f"--serviceaccount={p.ns}:robot")
    p.until("the binding counts", lambda: p("auth", "can-i", "list", "configmaps", robot, code=None).out.strip() == "yes")
    p.says(rx(r"configmaps +\[\] +\[\] +\[get list\]"), "auth", "can-i", "--list", robot)
    p("get", "configmaps", robot)
    p.refused("get", "secrets", robot, because=[
        f'Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount:{p.ns}:robot" cannot list resource "secrets" in API group "" in the namespace "{p.ns}"'])
    p.refused("delete", "configmap", "kube-root-ca.crt", robot, because='cannot delete resource "configmaps" in API group ""')
    # Nobody gives away what he does not have.
    p.says("rolebinding.rbac.authorization.k8s.io/edit created", "create", "rolebinding", "edit", "--clusterrole=edit", f"--serviceaccount={p.ns}:robot")
    p.refused("create", "role", "more", "--verb=*", "--resource=roles", robot, because="forbidden")
    p.says(rx("created"), "create", "clusterrole", "tour-nodes", "--verb=get", "--resource=nodes")
    p.says(rx("created"), "create", "clusterrolebinding", "tour-nodes", "--clusterrole=tour-nodes", f"--serviceaccount={p.ns}:robot")
    p.until("a cluster's role counts", lambda: p("get", "node", "machine", robot, code=None).code == 0)
    if not p.new:
        raise machine.Skip("create token needs a newer kubectl; the rest of it holds")
    token = p.out("create", "token", "robot", "--duration=1h")
    same(len(token.split(".")), 3, "a token has three parts")
    ca = os.path.join(p.m.data, "pki/ca.crt")
    got = p.m.run("curl", "-s", "--cacert", ca, "-H", f"Authorization: Bearer {token}",
                  f"https://127.0.0.1:{p.m.port}/api/v1/namespaces/{p.ns}/configmaps").out
    same(json.loads(got)["kind"], "ConfigMapList", "the token is good for what its account may")


@step
def nodes(p):
    """cordon, uncordon, drain, taint"""
    p("create", "-f", "-", stdin=deployment(replicas=1))
    p.ready("web")
    p.says("node/machine cordoned", "cordon", "machine")
    p.says("node/machine already cordoned", "cordon", "machine")
    p.says(rx(r"machine +Ready,SchedulingDisabled"), "get", "nodes")
    p("run", "waits", "--image=busybox", "--", "sleep", "1000")
    p.until("it is unschedulable", lambda: "1 node(s) were unschedulable" in p.field(
        "pod/waits", "{.status.conditions[?(@.type=='PodScheduled')].message}"))
    p.says("node/machine uncordoned", "uncordon", "machine")
    p.m.wait("pod/waits", "condition=Ready", 30, "-n", p.ns)
    p.refused("drain", "machine", "--ignore-daemonsets", f"--pod-selector=run=waits", because="cannot delete Pods")
    r = p("drain", "machine", "--ignore-daemonsets", "--force", "--grace-period=1", "--pod-selector=run=waits", "--timeout=60s")
    check(re.search("pod/waits (deleted|evicted)", r.out) and "node/machine" in r.out, "drain:", r)
    p("uncordon", "machine")
    p.says("node/machine tainted", "taint", "nodes", "machine", "job=test:NoSchedule")
    p("run", "tainted", "--image=busybox", "--", "sleep", "1000")
    p.until("the taint keeps it away", lambda: "1 node(s) had untolerated taint" in p.field(
        "pod/tainted", "{.status.conditions[?(@.type=='PodScheduled')].message}"))
    p.refused("taint", "nodes", "machine", "job=test:NoSchedule", because="already has job taint(s) with same effect(s)")
    p.says(rx("^node/machine (un)?tainted"), "taint", "nodes", "machine", "job-")
    p.m.wait("pod/tainted", "condition=Ready", 30, "-n", p.ns)
    p.refused("top", "nodes", because="Metrics API not available")
    p.refused("cordon", "absent", because='nodes "absent" not found')


@step
def volumes_and_environment(p):
    """what a container sees: volumes of all kinds, environment, limits, probes, its own identity"""
    p("create", "configmap", "conf", "--from-literal=key=value", "--from-literal=other=thing")
    p("create", "secret", "generic", "sec", "--from-literal=word=hush")
    p("create", "-f", "-", stdin="""apiVersion: v1
kind: Pod
metadata: {name: all, labels: {a: b}, annotations: {note: hello}}
spec:
  terminationGracePeriodSeconds: 1
  hostname: named
  volumes:
  - {name: conf, configMap: {name: conf, items: [{key: key, path: deep/file}]}}
  - {name: sec, secret: {secretName: sec, defaultMode: 0400}}
  - {name: empty, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: host, hostPath: {path: /etc, type: Directory}}
  - name: down
    downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: cpu, resourceFieldRef: {containerName: c, resource: limits.cpu, divisor: 1m}}]}
  - name: both
    projected: {sources: [{configMap: {name: conf}}, {secret: {name: sec}}, {serviceAccountToken: {path: token, audience: other}}]}
  initContainers:
  - {name: i, image: busybox, command: [sh, -c, "echo made by init >/e/init"], volumeMounts: [{name: empty, mountPath: /e}]}
  containers:
  - name: c
    image: busybox
    command: [sleep, "1000"]
    workingDir: /tmp
    env:
    - {name: PLAIN, value: "$(NODE)-x"}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: REF, valueFrom: {configMapKeyRef: {name: conf, key: key}}}
    - {name: SEC, valueFrom: {secretKeyRef: {name: sec, key: word}}}
    - {name: MAYBE, valueFrom: {configMapKeyRef: {name: none, key: key, optional: true}}}
    - {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: SUM, value: "$(NODE)+$(REF)"}
    envFrom: [{prefix: P_, configMapRef: {name: conf}}]
    resources: {limits: {cpu: 500m, memory: 32Mi}}
    readinessProbe: {exec: {command: [test, -e, /e/init]}, periodSeconds: 1}
    livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
    volumeMounts:
    - {name: conf, mountPath: /c}
    - {name: conf, mountPath: /single, subPath: deep/file}
    - {name: sec, mountPath: /s, readOnly: true}
    - {name: empty, mountPath: /e}
    - {name: host, mountPath: /h, readOnly: true}
    - {name: down, mountPath: /d}
    - {name: both, mountPath: /b}
""")
    p.m.wait("pod/all", "condition=Ready", 30, "-n", p.ns)
    def sh(script):
        return p.out("exec", "all", "--", "sh", "-c", script)
    same(sh("cat /c/deep/file; echo; cat /single; echo; ls /c; cat /s/word; echo; stat -L -c %a /s/word"), "value\nvalue\ndeep\nhush\n400", "files of config and secret")
    same(sh("cat /e/init; hostname; pwd; grep -c localhost /h/hosts"), "made by init\nnamed\n/tmp\n1", "what init left, hostname, folder, host path")
    same(sh("cat /d/labels; echo; cat /d/cpu; echo; ls /b"), 'a="b"\n500\nkey\nother\ntoken\nword', "downward and projected files")
    same(sh("echo $PLAIN $NODE $REF $SEC $MAYBE $MEM $SUM $P_key $P_other"), "$(NODE)-x machine value hush 33554432 machine+value value thing", "environment")
    same(sh("echo $IP"), p.field("pod/all", "{.status.podIP}"), "its own address")
    same(sh("touch /s/x 2>/dev/null; touch /h/x 2>/dev/null; echo $?"), "1", "what is read-only")
    same(sh("cat /var/run/secrets/kubernetes.io/serviceaccount/namespace"), p.ns, "the token's folder")
    check("10.96.0.1" in sh("env | grep KUBERNETES_SERVICE_HOST"), "the API's address in the environment")
    check(sh("cat /etc/resolv.conf").startswith(f"search {p.ns}.svc.cluster.local svc.cluster.local cluster.local") and "nameserver 10.96.0.10" in sh("cat /etc/resolv.conf"), "resolv.conf:", sh("cat /etc/resolv.conf"))
    # Memory beyond the limit.
    p("create", "-f", "-", stdin=pod("hungry", ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=10"], extra="  restartPolicy: Never",
                                      more="    resources: {limits: {memory: 16Mi}}\n"))
    p.until("it is killed", lambda: p.field("pod/hungry", "{.status.containerStatuses[0].state.terminated.reason}") == "OOMKilled")
    same(p.field("pod/hungry", "{.status.containerStatuses[0].state.terminated.exitCode}"), "137", "its exit code")
    # A liveness probe that fails restarts.
    p("create", "-f", "-", stdin=pod("sick", ["sh", "-c", "sleep 1000"], more="    livenessProbe: {exec: {command: [\"false\"]}, periodSeconds: 1, failureThreshold: 1}\n"))
    p.until("it is restarted", lambda: int(p.field("pod/sick", "{.status.containerStatuses[0].restartCount}") or 0) >= 1)
    check("Unhealthy" in p.out("get", "events", "--field-selector", "involvedObject.name=sick", "-o", "jsonpath={.items[*].reason}"), "the probe's event")


if __name__ == "__main__":
    tour.main(tour.walk)
