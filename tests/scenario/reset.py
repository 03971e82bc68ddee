#!/usr/bin/env python3
"""A cluster with pods, services and a volume comes and goes: the machine is as it was."""
import os

import machine
from machine import check, same, step

MANIFEST = os.path.join(machine.ROOT, "examples/nginx.yml")


def run(m):
    before = m.footprint()
    m.up()
    m.kubectl("create", "-f", MANIFEST)
    m.running("app=web", 3)
    step("three pods run; now all of it is taken away")
    out = m.knarr("reset").out
    same([l for l in m.footprint() if l not in before], [], "left behind by the reset")
    same([l for l in before if l not in m.footprint()], [], "taken by the reset although it was not ours")
    check("context" in out, "reset says what it does:", out)
    same(m.knarr("status", code=3).out.splitlines()[0],
         f"There is no cluster in {m.data}; `knarr up` makes one.", "status after a reset")
    same(m.knarr("reset").out.strip(), f"There is no cluster in {m.data}.", "a second reset")
    check("knarr" not in open(m.kubeconfig).read() if os.path.exists(m.kubeconfig) else True,
          "the context is gone")
    step("and a new cluster comes where the old one was")
    m.up()
    same(m.get("pods", "-A")["items"], [], "pods in a new cluster")
    m.knarr("reset")
    same(m.footprint(), before, "footprint after the second reset")


if __name__ == "__main__":
    machine.main(run)
