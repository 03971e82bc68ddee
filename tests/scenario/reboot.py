#!/usr/bin/env python3
"""The machine loses power: every process, mount and cgroup is gone, the disk is not. `up` brings all back."""
import os
import signal

import machine
from machine import check, same, step

MANIFEST = os.path.join(machine.ROOT, "examples/nginx.yml")


def lose_power(m):
    """Everything but this scenario dies at once, and what lives in memory goes."""
    mine = {1, os.getpid()}
    for _ in range(3):  # what the first round's dying started
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            if pid not in mine:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        m.until("every process ends", lambda: not [p for p in map(int, filter(str.isdigit, os.listdir("/proc")))
                                                   if p not in mine])
    m.run("sh", "-c", "grep -o '/run/[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l", code=None)
    m.run("rm", "-rf", m.run_dir)
    m.run("nft", "flush", "ruleset")
    for line in m.run("ip", "-o", "link").out.splitlines():
        name = line.split(": ")[1].split("@")[0]
        if name not in ("lo", "eth0", "cable"):
            m.run("ip", "link", "del", name, code=None)
    for top, folders, _ in os.walk(machine.CGROUPS, topdown=False):
        if "/knarr" in top:
            try:
                os.rmdir(top)
            except OSError:
                pass


def run(m):
    m.up()
    m.kubectl("create", "-f", MANIFEST)
    m.kubectl("run", "once", "--image=busybox", "--restart=Never", "--command", "--", "sh", "-c", "echo done")
    m.running("app=web", 3)
    m.until("the one-time pod ends", lambda: m.get("pod", "once")["status"]["phase"] == "Succeeded")
    m.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    before = {p["metadata"]["name"]: p["metadata"]["uid"] for p in m.get("pods", "-l", "app=web")["items"]}

    lose_power(m)
    step("everything is dead; up")
    m.up()
    m.until("the pods run again, and were restarted once", lambda: [
        (c["ready"], c["restartCount"]) for p in m.get("pods", "-l", "app=web")["items"]
        for c in p["status"]["containerStatuses"]] == [(True, 1)] * 3, 20)
    pods = m.get("pods", "-l", "app=web")["items"]
    same({p["metadata"]["name"]: p["metadata"]["uid"] for p in pods}, before, "the pods are the same objects")
    for p in pods:
        status = p["status"]["containerStatuses"][0]
        check("lastState" in status and "terminated" in status["lastState"],
              "the last state of a restarted container says that it ended:", status)
    m.until("nginx answers", lambda: "nginx" in m.http("http://127.0.0.1:31001/"))
    same(m.get("configmap", "kept")["data"], {"a": "b"}, "what was written before")
    once = m.get("pod", "once")["status"]
    same((once["phase"], once["containerStatuses"][0]["restartCount"]), ("Succeeded", 0),
         "a pod that had ended is not run again")
    same(m.kubectl("exec", pods[0]["metadata"]["name"], "--", "cat", "/etc/hostname").out.strip(),
         pods[0]["metadata"]["name"], "exec after the boot")
    m.knarr("reset")


if __name__ == "__main__":
    machine.main(run, needs=["curl"])
