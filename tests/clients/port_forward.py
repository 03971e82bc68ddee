#!/usr/bin/env python3
"""kubectl port-forward: what is asked of the local port, the pod answers.

    tests/clients/port_forward.py            with Debian's kubectl 1.20 (SPDY)
    tests/clients/port_forward.py current    with $KUBECTL_CURRENT, over WebSocket and over SPDY
"""
import os
import re
import select
import socket
import subprocess
import threading

import tour
from tour import pod, step
from machine import Failed, check, same  # noqa: E402  (found by tour)

PATIENCE = 20
SERVER = ["sh", "-c", "mkdir /www; cd /www; echo hello > a; head -c 20000000 /dev/zero > big; "
                      "nc -ll -p 7 -e cat & exec httpd -f -p 80 -h /www"]


class Forward:
    """kubectl port-forward that runs; `port` is the local one, `said` what it wrote to stderr."""

    def __init__(self, p, pod_name, port, env=None):
        self.said, self.ended = "", threading.Event()
        self.child = subprocess.Popen([p.m.kubectl_path, "-n", p.ns, "port-forward", pod_name, f":{port}"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env=dict(p.m.env, **(env or {})))
        ready, _, _ = select.select([self.child.stdout], [], [], PATIENCE)
        line = self.child.stdout.readline() if ready else ""
        found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> ", line)
        if not found:
            self.child.kill()
            raise Failed(f"kubectl port-forward said {line!r} {self.child.stderr.read()!r}")
        self.port, self.news = int(found[1]), threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stderr:
            with self.news:
                self.said += line
                self.news.notify_all()
        self.ended.set()

    def wait_said(self, pattern):
        with self.news:
            if not self.news.wait_for(lambda: re.search(pattern, self.said), PATIENCE):
                raise Failed(f"wanted /{pattern}/, kubectl said {self.said!r}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def transports(p):
    """Each way in which this kubectl can stream, as an environment."""
    if not p.new:
        return [{}]
    return [{"KUBECTL_PORT_FORWARD_WEBSOCKETS": v} for v in ("true", "false")]


def page(port, path):
    r = subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE), f"http://127.0.0.1:{port}/{path}"],
                       capture_output=True)
    same((r.returncode, r.stderr), (0, b""), path)
    return r.stdout


def read_all(s):
    got = b""
    while more := s.recv(65536):
        got += more
    return got


def server(p, extra=""):
    p("create", "-f", "-", stdin=pod("p", SERVER, extra))
    p.m.wait("pod/p", "condition=Ready", 30, "-n", p.ns)
    p.until("the servers", lambda: p("exec", "p", "--", "sh", "-c", "wget -qO- 127.0.0.1/a && nc -w 1 127.0.0.1 7 </dev/null",
                                     code=None).code == 0)


@step
def pages(p):
    """curl through the forwarded port: small and large pages, one after another and at once"""
    server(p)
    for env in transports(p):
        with Forward(p, "p", 80, env) as f:
            for _ in range(5):
                same(page(f.port, "a"), b"hello\n", "the page")
            sizes = []
            threads = [threading.Thread(target=lambda: sizes.append(len(page(f.port, "big")))) for _ in range(3)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            same(sizes, [20000000] * 3, "three large pages at once")
            same(f.said, "", "standard error of kubectl")


@step
def both_ways(p):
    """two connections at once do not mix, and what goes in comes out, also more than fits anywhere"""
    server(p)
    for env in transports(p):
        with Forward(p, "p", 7, env) as f:
            one, two = f.connect(), f.connect()
            for i in range(20):
                one.sendall(b"one%d\n" % i)
                two.sendall(b"two%d\n" % i)
                same(one.makefile().readline(), f"one{i}\n", "the first connection")
                same(two.makefile().readline(), f"two{i}\n", "the second connection")
            two.close()
            sent = os.urandom(1 << 20) * 12
            writer = threading.Thread(target=one.sendall, args=(sent,))
            writer.start()
            got = b""
            while len(got) < len(sent) and (more := one.recv(1 << 20)):
                got += more
            writer.join()
            check(got == sent, f"{len(sent)} bytes went in, {len(got)} came out, the same: {got == sent}")
            one.close()
            same(f.said, "", "standard error of kubectl")


@step
def nobody_listens(p):
    """a port where nobody listens is told in upstream's words; an older kubectl goes on with others"""
    server(p)
    uid = p.field("pod/p", "{.metadata.uid}")
    for env in transports(p):
        with Forward(p, "p", 81, env) as f:
            with f.connect() as s:
                try:
                    same(read_all(s), b"", "what a refused connection yields")
                except ConnectionResetError:
                    pass
            f.wait_said(rf'error forwarding port 81 to pod {uid}, uid : failed to connect to localhost:81 '
                        rf'inside namespace \\?"{uid}\\?", IPv4: dial tcp4 127.0.0.1:81: connect: connection refused '
                        r'IPv6 dial tcp6 \[::1\]:81: connect: ')
            if not p.new:
                f.connect().close()


@step
def deleted_meanwhile(p):
    """the pod is deleted: its connections end, and new ones are refused with words"""
    for env in transports(p):
        p("delete", "pod", "p", "--ignore-not-found", "--now")
        server(p)
        with Forward(p, "p", 7, env) as f, f.connect() as s:
            s.sendall(b"x\n")
            same(s.recv(2), b"x\n", "before")
            p("delete", "pod", "p", "--now")
            try:
                same(read_all(s), b"", "after the pod's end")
            except ConnectionResetError:
                pass
            with f.connect() as late:
                try:
                    same(read_all(late), b"", "a connection after the pod's end")
                except ConnectionResetError:
                    pass
            f.wait_said("error forwarding port 7 to pod|lost connection to pod")


@step
def networks(p):
    """a server that only ::1 reaches, and a pod in the node's network that is gone"""
    p("create", "-f", "-", stdin=pod("p", ["sh", "-c", "test -s /proc/net/if_inet6 && exec "
                                              "httpd -f -p [::1]:80 -h /etc; exec sleep 1000"]))
    p.m.wait("pod/p", "condition=Ready", 30, "-n", p.ns)
    env = transports(p)[0]
    if p("exec", "p", "--", "test", "-s", "/proc/net/if_inet6", code=None).code == 0:
        with Forward(p, "p", 80, env) as f:
            check(b"root:" in page(f.port, "passwd"), "over ::1")
    p("create", "-f", "-", stdin=pod("h", ["nc", "-ll", "-p", "7007", "-e", "cat"], "  hostNetwork: true"))
    p.m.wait("pod/h", "condition=Ready", 30, "-n", p.ns)
    p.until("the server", lambda: p("exec", "h", "--", "sh", "-c", "nc -w 1 127.0.0.1 7007 </dev/null",
                                    code=None).code == 0)
    with Forward(p, "h", 7007, env) as f:
        with f.connect() as s:
            s.sendall(b"x\n")
            same(s.recv(2), b"x\n", "in the node's network")
        p("delete", "pod", "h", "--now")
        with f.connect() as late:
            try:
                same(read_all(late), b"", "a connection after the pod's end")
            except ConnectionResetError:
                pass
        f.wait_said("the pod is gone|lost connection to pod")


@step
def who_may(p):
    """without the right to create pods/portforward nobody is let through; a pod that is not there"""
    server(p)
    account = f"system:serviceaccount:{p.ns}:default"
    p("create", "role", "look", "--verb=get", "--resource=pods,pods/portforward")
    p("create", "rolebinding", "look", "--role=look", f"--serviceaccount={p.ns}:default")
    for env in transports(p):
        r = p("port-forward", "p", ":80", "--as", account, code=None, env=dict(p.m.env, **env))
        check(r.code != 0 and "cannot create resource \"pods/portforward\"" in r.err, r)
    p.refused("port-forward", "none", ":80", because='pods "none" not found')


tour.main(tour.walk)
