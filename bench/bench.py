#!/usr/bin/env python3
"""The budgets of the design, measured: one cluster on a machine of namespaces, one table at the end.

    make bench                                # builds what is needed; about three minutes
    bench/bench.py [-o FILE] [MEASURE...]     # these alone; -o also writes the table as Markdown
    bench/bench.py --list

Nothing here fails when a budget is missed: it is said. Figures depend on the machine and on what else it
does, so the load before and after is printed, and a peer that runs here is measured in the same run.
"""
import http.client
import json
import os
import platform
import re
import ssl
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests/scenario"))
import machine  # noqa: E402
from machine import Failed, Skip  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")
ROWS = []
MEASURES = []


def measure(function):
    MEASURES.append(function)
    return function


def row(what, value, budget="", peer="", met=None):
    ROWS.append((what, value, budget, {True: "yes", False: "no", None: ""}[met], peer))
    print(f"  {what}: {value}" + (f"  (budget {budget}{'' if met is None else ', met' if met else ', MISSED'})" if budget else "")
          + (f"  [{peer}]" if peer else ""), flush=True)


def quantile(values, q):
    values = sorted(values)
    return values[max(0, min(len(values) - 1, round(q * len(values) + 0.5) - 1))]


# -- processes ------------------------------------------------------------------------------------


def cpu(*pids):
    """Seconds of CPU that these processes have used."""
    used = 0
    for pid in pids:
        text = open(f"/proc/{pid}/stat").read()
        words = text[text.rindex(")") + 2:].split()
        used += int(words[11]) + int(words[12])
    return used / TICK


def rss(pid):
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * PAGE


def anonymous(pid):
    """Bytes of its own: without pages of files, which the kernel may drop (the store is mapped)."""
    return int(re.search(r"RssAnon:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) * 1024


def platform_pids(m):
    return [m.pid(n) for n in ("supervisor", "server", "agent")]


# -- a client -------------------------------------------------------------------------------------


class Api:
    def __init__(self, m):
        self.m = m
        self.context = ssl.create_default_context(cafile=f"{m.data}/pki/ca.crt")
        self.context.load_cert_chain(f"{m.data}/pki/admin.crt", f"{m.data}/pki/admin.key")
        self.connection = self.connect()

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.m.port, context=self.context, timeout=120)

    def call(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None,
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {data[:300]}")
        return data

    def watch_lines(self, path):
        connection = self.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        while True:
            line = answer.readline()
            if not line:
                return
            yield line


def certified(m):
    """The environment in which h2load has the administrator's certificate (it has no flag for one)."""
    preload = os.path.join(machine.BUILD, "bench/libh2load_cert.so")
    if not os.path.exists(preload):
        raise Skip(f"needs {preload}")
    return dict(m.env, LD_PRELOAD=preload, BENCH_CERT=f"{m.data}/pki/admin.crt", BENCH_KEY=f"{m.data}/pki/admin.key")


def h2load(m, path, *argv, seconds=5, clients=8, streams=10):
    out = m.run("h2load", "-D", str(seconds), "-c", str(clients), "-m", str(streams), "-t", "1", *argv,
                f"https://127.0.0.1:{m.port}{path}", env=certified(m), timeout=seconds + 60).out
    done = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if not done or int(done[2]) == 0:
        raise Failed("h2load: " + out[-800:])
    bad = int(done[1]) - int(done[2])
    if bad:
        raise Failed(f"h2load: {bad} of {done[1]} requests were refused: {out[-800:]}")
    return int(done[2])


# -- the measures ---------------------------------------------------------------------------------


@measure
def start(m):
    """from `knarr up` to node Ready, all that is needed on the warm disk"""
    def once():
        begun = time.monotonic()
        m.knarr("up")
        return time.monotonic() - begun
    first = once()
    again = []
    for _ in range(5):
        m.knarr("down")
        again.append(once())
    row("start to Ready, a cluster that is there, median of 5", f"{quantile(again, 0.5):.2f} s", "0.5 s", "upstream 3.6-5.3 s (elsewhere)",
        quantile(again, 0.5) <= 0.5)
    row("start to Ready, a new cluster (keys and certificates made)", f"{first:.2f} s")


@measure
def size(m):
    """the executable"""
    out = os.path.join(m.folder, "stripped")
    m.run("strip", "-o", out, machine.KNARR)
    megabytes = os.path.getsize(out) / 1e6
    row("executable, stripped", f"{megabytes:.1f} MB", "10 MB", "kube-apiserver 119 MB", megabytes <= 10)


@measure
def idle(m):
    """memory and CPU of all processes, nothing asked of them"""
    pids = platform_pids(m)
    time_of_window = 20
    before, begun = cpu(*pids), time.monotonic()
    threading.Event().wait(time_of_window)  # the thing measured is time that passes
    used = (cpu(*pids) - before) / (time.monotonic() - begun) * 100
    memory = {n: rss(m.pid(n)) / 1e6 for n in ("supervisor", "server", "agent")}
    row("RSS idle, all processes", f"{sum(memory.values()):.1f} MB (server {memory['server']:.1f}, agent {memory['agent']:.1f}, supervisor {memory['supervisor']:.1f})",
        "40 MB", "upstream 637 MB (elsewhere)", sum(memory.values()) <= 40)
    row("RSS idle, agent alone", f"{memory['agent']:.1f} MB", "15 MB", "", memory["agent"] <= 15)
    row("CPU idle, all processes", f"{used:.2f} % of a core", "", "upstream 3.1 % (elsewhere)")


def pod_body(name):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"bench": "pods"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "busybox", "command": ["sleep", "1000000"]}]}}


class Running:
    """Notes when a watch first shows each pod Running."""

    def __init__(self, api):
        self.at, self.news = {}, threading.Condition()
        lines = api.watch_lines("/api/v1/namespaces/default/pods?watch=true&labelSelector=bench%3Dpods")
        threading.Thread(target=self.follow, args=(lines,), daemon=True).start()

    def follow(self, lines):
        for line in lines:
            now, pod = time.monotonic(), json.loads(line)["object"]
            if pod.get("status", {}).get("phase") == "Running":
                with self.news:
                    self.at.setdefault(pod["metadata"]["name"], now)
                    self.news.notify_all()

    def wait(self, names):
        with self.news:
            if not self.news.wait_for(lambda: all(n in self.at for n in names), 60):
                raise Failed(f"not Running within 60 s: {[n for n in names if n not in self.at][:3]}")


def remove_pods(m, api):
    api.call("DELETE", "/api/v1/namespaces/default/pods?labelSelector=bench%3Dpods")
    m.until("the pods are gone", lambda: not json.loads(api.call("GET", "/api/v1/namespaces/default/pods"))["items"])


@measure
def pods(m):
    """pod create to Running: 100 one after another, 30 at once"""
    api = Api(m)
    running, took = Running(api), []
    for i in range(100):
        begun = time.monotonic()
        api.call("POST", "/api/v1/namespaces/default/pods", pod_body(f"s{i}"))
        running.wait([f"s{i}"])
        took.append((running.at[f"s{i}"] - begun) * 1000)
    p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    row("pod create to Running, 100 in sequence, p50 / p99", f"{p50:.0f} / {p99:.0f} ms", "40 / 100 ms", "upstream 512 / 770 ms (elsewhere)", p50 <= 40 and p99 <= 100)
    pids = platform_pids(m)
    row("RSS with 100 pods, all processes without shims", f"{sum(map(rss, pids)) / 1e6:.1f} MB")
    remove_pods(m, api)
    names = [f"b{i}" for i in range(30)]
    begun = time.monotonic()
    for name in names:
        api.call("POST", "/api/v1/namespaces/default/pods", pod_body(name))
    running.wait(names)
    rate = 30 / (max(running.at[n] for n in names) - begun)
    row("30 pods at once", f"{rate:.0f} pods/s", "60 pods/s", "upstream 6.7 pods/s (elsewhere)", rate >= 60)
    remove_pods(m, api)


@measure
def reads(m):
    """GET of one object over TLS and HTTP/2 with a client certificate"""
    api = Api(m)
    api.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "one"}, "data": {"text": "x" * 1000}})
    server = m.pid("server")
    before, begun = cpu(server), time.monotonic()
    done = h2load(m, "/api/v1/namespaces/default/configmaps/one")
    used, wall = cpu(server) - before, time.monotonic() - begun
    row("GET of one object, per core of the server", f"{done / used:,.0f}/s", "100,000/s", "kube-apiserver 2,350/s (elsewhere)", done / used >= 100000)
    row("GET of one object, wall, with h2load on the same machine", f"{done / wall:,.0f}/s")
    api.call("DELETE", "/api/v1/namespaces/default/configmaps/one")


@measure
def writes(m):
    """durable writes, beside Debian's etcd on the same disk with the same number of clients"""
    clients = 16
    body = os.path.join(m.folder, "write.json")
    with open(body, "w") as f:
        json.dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "w-"}, "data": {"k": "v" * 900}}, f)
    Api(m).call("POST", "/api/v1/namespaces", {"metadata": {"name": "writes"}})
    begun = time.monotonic()
    done = h2load(m, "/api/v1/namespaces/writes/configmaps", "-d", body, "-H", "content-type: application/json", seconds=5, clients=clients, streams=4)
    ours = done / (time.monotonic() - begun)
    theirs = etcd_writes(m, clients)
    row("durable creates of 1 kB through the API, 16 clients x 4", f"{ours:,.0f}/s", "etcd's" if theirs else "", f"etcd's own Put (gRPC): {theirs:,.0f}/s; ratio {ours / theirs:.2f}" if theirs else "etcd is not here",
        ours >= theirs if theirs else None)


def etcd_writes(m, clients):
    """Puts of a kilobyte by gRPC: a 5-byte frame around PutRequest{key, value}."""
    import shutil
    if not shutil.which("etcd"):
        return 0
    data = os.path.join(m.folder, "etcd")
    etcd = subprocess.Popen(["etcd", "--data-dir", data, "--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls",
                             "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "error"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        m.until("etcd answers", lambda: '"health":"true"' in m.run("curl", "-s", "http://127.0.0.1:2379/health", code=None).out)
        message = b"\x0a\x05bench" + b"\x12\xe8\x07" + b"v" * 1000
        frame = os.path.join(m.folder, "put.bin")
        with open(frame, "wb") as f:
            f.write(b"\0" + len(message).to_bytes(4, "big") + message)
        begun = time.monotonic()
        m.run("h2load", "-D", "5", "-c", str(clients), "-m", "4", "-t", "1", "-d", frame, "-H", "content-type: application/grpc", "-H", "te: trailers",
              "http://127.0.0.1:2379/etcdserverpb.KV/Put", timeout=60)
        wall = time.monotonic() - begun
        status = m.run("curl", "-s", "http://127.0.0.1:2379/v3/kv/range", "-d", '{"key":"YmVuY2g="}').out
        return int(json.loads(status)["header"]["revision"]) / wall  # every Put is one revision
    finally:
        etcd.terminate()
        etcd.wait()


def fill(m, namespace, count):
    """Small config maps by generateName, quickly."""
    api = Api(m)
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    body = os.path.join(m.folder, "body.json")
    with open(body, "w") as f:
        json.dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "small-", "labels": {"a": "b"}}, "data": {"k": "v" * 100}}, f)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    how = ("-n", str(count), "-c", "8", "-m", "32", "-t", "1", "-d", body, "-H", "content-type: application/json")
    out = m.run("h2load", *how, f"https://127.0.0.1:{m.port}{path}", env=certified(m), timeout=300).out
    if f"{count} succeeded" not in out:
        raise Failed("h2load: " + out[-600:])
    return path


@measure
def lists(m):
    """LIST of 4,000 and 100,000 small objects; memory of an object"""
    server = m.pid("server")
    for count in (4000, 100000):
        memory = anonymous(server)
        path = fill(m, f"list-{count}", count)
        grown = anonymous(server) - memory
        took, used, out = [], [], os.path.join(m.folder, "list.json")
        for _ in range(3):
            before, begun = cpu(server), time.monotonic()
            m.run("curl", "-sf", "--cacert", f"{m.data}/pki/ca.crt", "--cert", f"{m.data}/pki/admin.crt", "--key", f"{m.data}/pki/admin.key",
                  "-o", out, f"https://127.0.0.1:{m.port}{path}")
            took.append(time.monotonic() - begun)
            used.append(cpu(server) - before)
        length = os.path.getsize(out)
        if count == 4000:
            row(f"LIST of 4,000 small objects ({length / 1e6:.1f} MB), wall / CPU of the server", f"{min(took) * 1000:.0f} / {min(used) * 1000:.0f} ms",
                "", "kube-apiserver 75 ms of CPU (elsewhere)")
            continue
        row(f"LIST of 100,000 small objects ({length / 1e6:.1f} MB), wall / CPU of the server", f"{min(took) * 1000:.0f} / {min(used) * 1000:.0f} ms",
            "167 / 200 ms (a third of 300,000)", "", min(took) <= 0.167 and min(used) <= 0.2)
        size = length / count
        row(f"memory of one small object (anonymous; its text has {size:.0f} bytes)", f"{grown / count:,.0f} bytes", f"{2 * size:,.0f} bytes (2 x)",
            "upstream 5-7 x", grown / count <= 2 * size)


@measure
def watches(m):
    """watch fan-out: CPU of the server for one event to one more watcher"""
    import selectors
    import socket
    watchers, updates = 1000, 100
    api, server = Api(m), m.pid("server")
    path = "/api/v1/namespaces/default/configmaps"
    name = json.loads(api.call("POST", path, {"metadata": {"name": "told"}, "data": {"n": "0"}}))["metadata"]["name"]

    def update():
        before = cpu(server)
        for i in range(updates):
            api.connection.request("PATCH", f"{path}/{name}", json.dumps({"data": {"n": str(i)}}), {"Content-Type": "application/merge-patch+json"})
            api.connection.getresponse().read()
        return before
    before = update()
    alone = cpu(server) - before
    version = json.loads(api.call("GET", path))["metadata"]["resourceVersion"]
    memory = rss(server)
    sockets, waiting = [], selectors.DefaultSelector()
    for _ in range(watchers):
        s = api.context.wrap_socket(socket.create_connection(("127.0.0.1", m.port)), server_hostname="127.0.0.1")
        s.sendall(f"GET {path}?watch=true&resourceVersion={version} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sockets.append(s)
    for s in sockets:
        s.recv(65536)  # the head
        s.setblocking(False)
        waiting.register(s, selectors.EVENT_READ)
    memory = rss(server) - memory
    got, wanted, last = 0, watchers * updates, time.monotonic()

    def read():
        nonlocal got, last
        while got < wanted and time.monotonic() - last < 20:
            for key, _ in waiting.select(1):
                try:
                    while True:
                        data = key.fileobj.recv(65536)
                        got += data.count(b'"type":"MODIFIED"')
                        last = time.monotonic()
                        if not data:
                            waiting.unregister(key.fileobj)
                            break
                except (ssl.SSLWantReadError, BlockingIOError):
                    pass
    reader = threading.Thread(target=read)
    reader.start()
    before = update()
    reader.join()
    used = cpu(server) - before - alone
    if got < wanted:
        raise Failed(f"{got} of {wanted} events came")
    row(f"one watch event to one more of {watchers:,} watchers, CPU of the server", f"{used / wanted * 1e6:.1f} us", "5 us", "upstream 36 us (elsewhere)", used / wanted * 1e6 <= 5)
    row("memory of one watcher (a TLS connection of its own)", f"{memory / watchers / 1e3:.0f} kB")
    for s in sockets:
        s.close()
    api.call("DELETE", f"{path}/{name}")


@measure
def parse(m):
    """JSON, beside jansson and json-c"""
    folder, speeds = os.path.join(machine.BUILD, "bench"), {}
    for name in ("json_bench", "json_bench_jansson", "json_bench_json-c"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            words = m.run(path).out.split()
            speeds[words[2]] = float(words[3])
    ours = speeds.pop("knarr", 0)
    if not ours:
        raise Skip(f"there is no {folder}/json_bench")
    row("JSON parse, a list of 2,000 pods", f"{ours:.0f} MB/s", "300 MB/s", "; ".join(f"{k} {v:.0f} MB/s, ratio {ours / v:.1f}" for k, v in speeds.items()), ours >= 300)


# -- the table ------------------------------------------------------------------------------------


def load():
    return open("/proc/loadavg").read().split()[0]


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def run(m):
    args = sys.argv[1:]
    out = args[args.index("-o") + 1] if "-o" in args else None
    wanted = [a for a in args if a not in ("-o", out)]
    head = f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs ({cpu_name()}), Linux {platform.release()}; load before {load()}"
    for name, layout in m.layouts.items():
        m.knarr("image", "import", layout, "-t", name)
    for function in MEASURES:
        if wanted and function.__name__ not in wanted and function is not start:
            continue
        print(f"{function.__name__}: {function.__doc__}", flush=True)
        try:
            function(m)
        except (Failed, Skip, OSError) as why:
            row(function.__doc__.splitlines()[0], "not measured: " + " ".join(str(why).split())[:200])
    m.knarr("reset")
    head += f", after {load()}"
    widths = [max(len(r[i]) for r in ROWS + [("what", "measured", "budget", "met", "peer")]) for i in range(5)]
    lines = ["| " + " | ".join(w.ljust(n) for w, n in zip(r, widths)) + " |"
             for r in [("what", "measured", "budget", "met", "peer")] + [tuple("-" * n for n in widths)] + ROWS]
    print("\n" + head + "\n\n" + "\n".join(lines))
    if out:
        with open(out, "w") as f:
            f.write(head + "\n\n" + "\n".join("| " + " | ".join(r) + " |" for r in
                    [("what", "measured", "budget", "met", "peer"), ("---",) * 5] + ROWS) + "\n")


if __name__ == "__main__":
    if "--list" in sys.argv:
        for f in MEASURES:
            print(f"{f.__name__:10} {f.__doc__}")
        sys.exit(0)
    machine.main(run, needs=["h2load", "curl", "strip"], images=("busybox",))
