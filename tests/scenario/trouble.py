#!/usr/bin/env python3
"""A disk that fills up, certificates that expired while the machine was off, a store that is killed while it is
written, two supervisors for one cluster."""
import json
import os
import signal
import ssl
import subprocess
import threading
import urllib.request

import machine
from machine import check, same, step

PKI = "pki"


def api(m):
    """A caller of the API with the administrator's certificate: method, path, body -> (status, json)."""
    context = ssl.create_default_context(cafile=f"{m.data}/{PKI}/ca.crt")
    context.load_cert_chain(f"{m.data}/{PKI}/admin.crt", f"{m.data}/{PKI}/admin.key")

    def call(method, path, body=None, timeout=20):
        request = urllib.request.Request(f"https://127.0.0.1:{m.port}{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else None,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, context=context, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read() or b"{}")
    return call


def config_map(name, text="x"):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}}


MAPS = "/api/v1/namespaces/default/configmaps"


def killed_while_written(m):
    call, told, stop = api(m), [], threading.Event()
    lock = threading.Lock()

    def writer(number):
        for i in range(100000):
            if stop.is_set():
                return
            name = f"w{number}-{i}"
            try:
                if call("POST", MAPS, config_map(name))[0] == 201:
                    with lock:
                        told.append(name)
            except (OSError, ValueError):
                select_again()  # the server is dead: the next try waits in its socket

    def select_again():
        stop.wait(0.05)

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for round_ in range(5):
        have = len(told)
        m.until("writes are acknowledged", lambda h=have: len(told) > h + 20, 20)
        os.kill(m.pid("server"), signal.SIGKILL)
    have = len(told)
    m.until("writes are acknowledged again", lambda: len(told) > have + 20, 20)
    stop.set()
    for t in threads:
        t.join()
    there = {o["metadata"]["name"] for o in call("GET", MAPS)[1]["items"]}
    same([n for n in told if n not in there], [], "acknowledged writes that are lost")
    call("DELETE", MAPS)
    step(f"5 SIGKILLs under load lost none of {len(told)} acknowledged writes")


def two_supervisors(m):
    second = m.run(machine.KNARR, "supervise", "--data", m.data, code=1)
    check("runs already" in second.err + second.out, "a second supervisor says why it does not start:", second)
    check("running already" in m.knarr("up").out, "a second up")
    said = m.knarr("up", "--port", "7999", code="fail").err
    check("there is a cluster already" in said, "up with other flags:", said)
    step("a second supervisor and a second up are refused or harmless")


def killed_while_pulling(m):
    """An agent that is in the middle of a name's resolution outlives its supervisor by a moment."""
    m.kubectl("run", "noimg", "--image=nosuch")
    m.until("the pull has begun", lambda: "Pulling" in m.kubectl("get", "events").out)
    os.kill(m.pid("supervisor"), 9)
    m.knarr("up")
    m.wait("node/machine", "condition=Ready")
    m.kubectl("delete", "pod", "noimg", "--grace-period=0", "--force", code=None)
    step("a supervisor that is killed during a pull is followed by the next at once")


def serial(m, name):
    return m.run("openssl", "x509", "-noout", "-serial", "-enddate", "-in", f"{m.data}/{name}.crt").out


def renewed_while_running(m):
    """A server that gets a new client certificate shows it to nodes: the old one is taken away first."""
    m.kubectl("run", "before", "--image=busybox", "--restart=Never", "--command", "--", "echo", "alive")
    m.until("a pod's log comes", lambda: m.kubectl("logs", "before").out == "alive\n")
    old = serial(m, "server/kubelet-client"), serial(m, "pki/node-server")
    for name in ("server/kubelet-client", "pki/node-server"):
        os.unlink(f"{m.data}/{name}.crt")
    os.kill(m.pid("supervisor"), signal.SIGHUP)
    m.until("new certificates lie there", lambda: all(
        os.path.exists(f"{m.data}/{name}.crt") for name in ("server/kubelet-client", "pki/node-server")))
    check(old != (serial(m, "server/kubelet-client"), serial(m, "pki/node-server")), "they are others")
    m.until("the server says that it has them", lambda: "loaded again" in open(f"{m.data}/log/server.log").read())
    check("load the server's certificates again" not in open(f"{m.data}/log/server.log").read(), "without an error")
    check(m.kubectl("logs", "before").out == "alive\n", "a pod's log comes over renewed certificates")
    step("certificates are renewed while the cluster runs")


def expired(m):
    """Leaf certificates that ended long ago, as after a year in a drawer."""
    m.knarr("down")
    for name in ("pki/admin", "pki/node", "pki/node-server", "server/server", "server/kubelet-client"):
        path = f"{m.data}/{name}"
        owner = os.stat(path + ".crt")
        subject = m.run("openssl", "x509", "-noout", "-subject", "-nameopt", "compat", "-in", path + ".crt")
        m.run("openssl", "req", "-new", "-key", path + ".key", "-out", "/run/old.csr", "-subj",
              subject.out.strip().removeprefix("subject="))
        m.run("openssl", "ca", "-batch", "-config", "/run/ca.cnf", "-in", "/run/old.csr", "-out", path + ".crt",
              "-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-notext")
        os.chown(path + ".crt", owner.st_uid, owner.st_gid)
        check("2021" in serial(m, name), "the certificate is old now:", serial(m, name))
    m.up()
    m.until("the node is ready", lambda: m.wait("node/machine", "condition=Ready", 10))
    for name in ("pki/admin", "pki/node", "pki/node-server", "server/server", "server/kubelet-client"):
        check("2021" not in serial(m, name), f"{name} was renewed:", serial(m, name))
    m.knarr("status")
    m.kubectl("run", "after", "--image=busybox", "--restart=Never", "--command", "--", "echo", "alive")
    m.until("a pod's log comes over renewed certificates",
            lambda: m.kubectl("logs", "after").out == "alive\n")
    step("a cluster whose certificates had all expired came up with new ones")


def ca_config(m):
    os.makedirs("/run/ca", exist_ok=True)
    open("/run/ca/index", "w").close()
    with open("/run/ca.cnf", "w") as f:
        f.write(f"""[ca]
default_ca = c
[c]
database = /run/ca/index
new_certs_dir = /run/ca
rand_serial = yes
certificate = {m.data}/pki/ca.crt
private_key = {m.data}/pki/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = supplied
""")


def full_disk(m):
    call = api(m)
    same(call("POST", MAPS, config_map("before"))[0], 201, "a write before")
    where = f"{m.data}"
    filler = os.path.join(where, "filler")
    with open(filler, "wb") as f:
        try:
            while True:
                f.write(b"\0" * 65536)
                f.flush()
        except OSError:
            pass
    refused = None
    for i in range(3000):
        code, answer = call("POST", MAPS, config_map(f"big{i}", "x" * 60000))
        if code != 201:
            refused = (code, answer)
            break
    check(refused, "a full disk refuses writes")
    code, answer = refused
    check(answer.get("kind") == "Status" and code in (500, 503, 507), "how it refuses:", refused)
    check("disk" in answer["message"] or "space" in answer["message"], "the refusal names the disk:", answer)
    for _ in range(20):
        same(call("GET", MAPS + "/before")[0], 200, "reads on a full disk")
    same(call("GET", "/readyz/ping" if False else "/api/v1/nodes")[0], 200, "lists on a full disk")
    os.unlink(filler)
    m.until("writes work when there is room", lambda: call("POST", MAPS, config_map("after"))[0] in (201, 409), 20)
    same(call("GET", MAPS + "/before")[0], 200, "what was there before")
    os.kill(m.pid("server"), signal.SIGKILL)
    m.until("the server is back", lambda: m.kubectl("get", "--raw", "/readyz").out == "ok", 20)
    same(call("GET", MAPS + "/after")[0], 200, "what was written afterwards")
    step(f"a full disk: writes are refused ({code}: {answer['message'][:80]}), reads go on, and it heals")


def too_many_streams(m):
    """Followers of logs beyond what the node takes are told so; when others close there is room again."""
    import socket
    context = ssl.create_default_context(cafile=f"{m.data}/{PKI}/ca.crt")
    context.check_hostname = False
    context.load_cert_chain(f"{m.data}/server/kubelet-client.crt", f"{m.data}/server/kubelet-client.key")
    m.kubectl("run", "talker", "--image=busybox", "--restart=Never", "--", "sleep", "1000")
    m.wait("pod/talker", "condition=Ready")
    port = m.get("node", "machine")["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    streams = []

    def follow():
        s = context.wrap_socket(socket.create_connection(("192.0.2.10", port), timeout=20))
        s.sendall(b"GET /containerLogs/default/talker/talker?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        streams.append(s)
        return int(s.recv(4096).split()[1])

    answers = [follow() for _ in range(101)]
    same((answers.count(200), answers[-1]), (100, 429), "followers that were taken, and the last answer")
    refused = m.kubectl("logs", "-f", "talker", code="fail")
    check("100 streams of logs, exec, attach and port-forward open" in refused.err, refused)
    for s in streams:
        s.close()
    m.until("there is room again", lambda: m.kubectl("logs", "talker", code=None).code == 0)
    m.kubectl("delete", "pod", "talker", "--grace-period=0", "--force", code=None)
    step("the 101st stream of logs is refused, and there is room again when others close")


def run(m):
    # A small disk from the beginning: the cluster's folder is a file system of 256 MB.
    os.makedirs(m.data)
    m.run("mount", "-t", "tmpfs", "-o", "size=600m", "disk", m.data)
    m.up()
    two_supervisors(m)
    killed_while_pulling(m)
    too_many_streams(m)
    killed_while_written(m)
    full_disk(m)
    renewed_while_running(m)
    ca_config(m)
    expired(m)
    m.knarr("reset", code=None)


if __name__ == "__main__":
    machine.main(run, needs=["openssl"], images=("busybox",))
