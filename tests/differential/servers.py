"""The two servers that are asked the same: upstream's kube-apiserver on an etcd, and knarr's API server
alone. Neither has controllers. Both live in a folder of their own and end with it."""
import http.client
import json
import os
import socket
import ssl
import subprocess
import time

try:
    import yaml
except ImportError:
    yaml = None  # answers in YAML are compared as text then

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Skip(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(what, check, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return
        time.sleep(0.1)
    raise RuntimeError(f"{what}: not within {seconds} s")


class Server:
    """One connection, kept. `ask` gives (status, headers, body as JSON or text)."""

    def __init__(self, port, context, headers):
        self.port, self.context, self.headers, self.connection = port, context, headers, None

    def ask(self, method, path, body=None, headers=None, user=None):
        h = dict(self.headers)
        if user:
            h["Impersonate-User"] = user
        h.update(headers or {})
        data = None
        if body is not None:
            data = body if isinstance(body, (bytes, str)) else json.dumps(body)
            h.setdefault("Content-Type", "application/json")
        for attempt in range(2):
            try:
                if not self.connection:
                    self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=60)
                self.connection.request(method, path, data, h)
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (ConnectionError, http.client.HTTPException, OSError):
                self.connection = None
                if attempt:
                    raise
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = text.decode("utf-8", "replace")
            if yaml and answer.headers.get("Content-Type", "").startswith("application/yaml"):
                parsed = yaml.safe_load(parsed)
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, parsed


def upstream(folder):
    """(server, stop)"""
    built = subprocess.run([os.path.join(ROOT, "tests/upstream/build.sh"), "kube-apiserver"], stdout=subprocess.PIPE, text=True)
    if built.returncode:
        raise Skip("upstream's kube-apiserver cannot be built here")
    folder = os.path.join(folder, "upstream")
    os.makedirs(folder)
    client, peer, port = free_port(), free_port(), free_port()
    log = open(os.path.join(folder, "log"), "wb")
    etcd = subprocess.Popen(["etcd", "--data-dir", folder + "/etcd", "--listen-client-urls", f"http://127.0.0.1:{client}",
                             "--advertise-client-urls", f"http://127.0.0.1:{client}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                             "--log-level", "error"], stdout=log, stderr=log)
    subprocess.run(["openssl", "genrsa", "-out", folder + "/sa.key", "2048"], check=True, stderr=subprocess.DEVNULL)
    with open(folder + "/tokens.csv", "w") as f:
        f.write("tok,admin,1,system:masters\n")
    api = subprocess.Popen([built.stdout.strip() + "/kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}",
                            f"--service-account-key-file={folder}/sa.key", f"--service-account-signing-key-file={folder}/sa.key",
                            "--service-account-issuer=https://kubernetes.default.svc.cluster.local", f"--cert-dir={folder}/certs",
                            f"--secure-port={port}", "--bind-address=127.0.0.1", f"--token-auth-file={folder}/tokens.csv",
                            "--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged",
                            "--advertise-address=192.0.2.1"], stdout=log, stderr=log)

    def stop():
        for p in (api, etcd):
            p.terminate()
        for p in (api, etcd):
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        log.close()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = Server(port, context, {"Authorization": "Bearer tok"})

    def ready():
        if api.poll() is not None:
            raise RuntimeError(f"kube-apiserver has ended; see {folder}/log")
        try:
            return server.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False
    try:
        wait("upstream is ready", ready)
    except BaseException:
        stop()
        raise
    return server, stop


def knarr(folder, build):
    """(server, stop)"""
    program = os.path.join(build, "src/apiserver/api_main")
    if not os.path.exists(program):
        raise Skip(f"needs {program}: ninja -C {build}")
    folder = os.path.join(folder, "knarr")
    os.makedirs(folder)
    log = open(os.path.join(folder, "log"), "wb")
    process = subprocess.Popen([program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    base = process.stdout.readline().strip()
    if not base:
        raise RuntimeError(f"knarr's API server did not start; see {folder}/log")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder + "/admin.pem", folder + "/admin.key")

    def stop():
        process.stdin.close()
        code = process.wait(30)
        log.close()
        if code:
            raise RuntimeError(f"knarr's API server ended with {code}; see {folder}/log")
    return Server(int(base.rsplit(":", 1)[1]), context, {}), stop

