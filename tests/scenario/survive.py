#!/usr/bin/env python3
"""knarr dies in every way that it can; pods, services and watches notice nothing."""
import json
import os
import signal

import machine
from machine import check, same, step

MANIFEST = os.path.join(machine.ROOT, "examples/nginx.yml")
PAGE = "http://127.0.0.1:31001/"
BACK = 15.0  # seconds in which a killed part has to be back


def ready(m):
    m.until("the API server answers", lambda: m.kubectl("get", "--raw", "/readyz").out == "ok", BACK)
    m.until("the node is Ready", lambda: m.wait("node/machine", "condition=Ready", 5), BACK)


def kill(m, *names):
    old = {name: m.pid(name) for name in names}
    for pid in old.values():
        os.kill(pid, signal.SIGKILL)
    check("nginx" in m.http(PAGE), "the service answers while knarr is dead")
    return old


def died_and_back(m, *names):
    old = kill(m, *names)
    for name in names:
        m.until(f"another {name}", lambda n=name: m.pid(n) != old[n] and os.path.exists(f"/proc/{m.pid(n)}"), BACK)
    ready(m)
    m.running("app=web", 3)


def run(m):
    m.up()
    m.kubectl("create", "-f", MANIFEST)
    m.running("app=web", 3)
    m.until("nginx answers", lambda: "nginx" in m.http(PAGE))
    was = m.processes("nginx")
    restarts = {p["metadata"]["uid"]: 0 for p in m.get("pods", "-l", "app=web")["items"]}

    def undisturbed(after):
        same(m.processes("nginx"), was, f"the containers after {after}")
        same({p["metadata"]["uid"]: p["status"]["containerStatuses"][0]["restartCount"]
              for p in m.get("pods", "-l", "app=web")["items"]}, restarts, f"restart counts after {after}")
        check("nginx" in m.http(PAGE), "the service answers after", after)

    for names in (("server",), ("agent",), ("server", "agent")):
        died_and_back(m, *names)
        undisturbed("SIGKILL of " + " and ".join(names))
        step("SIGKILL of " + " and ".join(names) + ": nobody noticed")

    # The supervisor's children end with it; `up` finds everything again.
    old = kill(m, "supervisor")
    for name in ("server", "agent"):
        m.until(f"the {name} ends with its supervisor", lambda n=name: not m.processes("knarr-" + n), BACK)
    check("nginx" in m.http(PAGE), "the service answers without any knarr")
    same(m.processes("nginx"), was, "the containers without any knarr")
    m.up()
    check(m.pid("supervisor") != old["supervisor"], "a new supervisor")
    ready(m)
    undisturbed("SIGKILL of the supervisor and `up`")
    step("SIGKILL of the supervisor, then up: nobody noticed")

    # A connection that was there before goes on with what it had not seen.
    m.kubectl("create", "configmap", "before")
    version = m.get("configmaps", "before")["metadata"]["resourceVersion"]
    died_and_back(m, "server")
    m.kubectl("create", "configmap", "after")
    url = f"/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=2&resourceVersion={version}"
    seen = [json.loads(l)["object"]["metadata"]["name"]
            for l in m.kubectl("get", "--raw", url).out.splitlines() if '"ADDED"' in l]
    same(seen, ["after"], "a watch from a version before the server's death")
    step("a watch resumes over the death of the server")

    m.knarr("down")
    same([n for n in m.names() if n in ("knarr", "knarr-server", "knarr-agent")], [], "processes after down")
    same(m.processes("nginx"), was, "the containers after down")
    check("nginx" in m.http(PAGE), "the service answers after down")
    same(m.knarr("status", code=1).code, 1, "status after down")
    m.up()
    ready(m)
    undisturbed("down and up")
    check("running already" in m.knarr("up").out, "a second up says so")
    undisturbed("a second up")
    step("down keeps the pods, up finds them, a second up is harmless")

    # One more proof that it is alive: it can still be changed.
    m.kubectl("scale", "deployment", "web", "--replicas=4")
    m.running("app=web", 4)
    m.knarr("reset")


if __name__ == "__main__":
    machine.main(run, needs=["curl"])
