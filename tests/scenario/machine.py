"""A machine to break: knarr in network, mount, process and cgroup namespaces of its own.

A scenario is a program that calls `machine.main(run)`. Outside it builds what is missing, starts
itself again inside new namespaces and takes everything away at the end, whatever happened; inside,
`run(m)` gets a Machine. /run, /etc and /sys/fs/cgroup are private there, so that the user, the
sockets, the rules and the pods of the real machine are neither seen nor touched.

Nothing here sleeps: waiting is reading from something that speaks (a watch, a log, a process's
end) or asking again until a named deadline.
"""
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77  # how meson is told that a test did not run
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("KNARR_BUILD", os.path.join(ROOT, "build"))
KNARR = os.environ.get("KNARR", os.path.join(BUILD, "src/cmd/knarr"))
CACHE = os.path.join(BUILD, "scenario-cache")  # images and clients, made once
SCRATCH = os.path.join(BUILD, "scenario")
IMAGES = ("busybox", "nginx")
CGROUPS = "/sys/fs/cgroup"
CGROUP_PREFIX = "knarr-scenario-"
PATIENCE = 60.0  # seconds: the longest that anything here may take unless it says otherwise


class Failed(Exception):
    """Something is not as it should be."""


class Skip(Exception):
    """This machine lacks what the scenario needs."""


# -- outside: what is needed, the namespaces, the clean-up ----------------------------------------


def need(*programs):
    if os.geteuid() != 0:
        raise Skip("needs root")
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"needs {program}")
    if not os.path.exists(KNARR):
        raise Skip(f"needs {KNARR}: ninja -C {BUILD}")


@contextlib.contextmanager
def _cache_lock():
    import fcntl
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def image_layout(name):
    """The OCI layout of images/<name>, built when it is not there or older than its recipe."""
    data = os.path.join(CACHE, "images", name)
    layout, done = os.path.join(data, "node/images"), os.path.join(data, "done")
    recipe = os.path.join(ROOT, "images", name, "recipe")
    with _cache_lock():
        if not os.path.exists(done) or os.path.getmtime(done) < os.path.getmtime(recipe):
            shutil.rmtree(data, ignore_errors=True)
            os.makedirs(data)
            subprocess.run([KNARR, "image", "build", os.path.dirname(recipe), "--data", data],
                           check=True, stdout=sys.stderr)
            open(done, "w").close()
    return layout


def kubectl_version(path):
    out = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, text=True)
    try:
        v = json.loads(out.stdout)["clientVersion"]
        return int(v["major"]), int(v["minor"].rstrip("+"))
    except (ValueError, KeyError):
        return 0, 0


def debian_kubectl():
    """Debian's kubectl 1.20. Where another one is installed its package is unpacked, not installed."""
    installed = shutil.which("kubectl")
    if installed and kubectl_version(installed) == (1, 20):
        return installed
    folder = os.path.join(CACHE, "kubectl")
    path = os.path.join(folder, "usr/bin/kubectl")
    with _cache_lock():
        if not os.path.exists(path):
            os.makedirs(folder, exist_ok=True)
            got = subprocess.run(["apt-get", "download", "kubernetes-client"], cwd=folder,
                                 capture_output=True, text=True)
            debs = [f for f in os.listdir(folder) if f.endswith(".deb")]
            if got.returncode != 0 or not debs:
                raise Skip(f"needs Debian's kubernetes-client: {got.stderr.strip()}")
            subprocess.run(["dpkg-deb", "-x", debs[0], "."], cwd=folder, check=True)
    return path


def _controllers():
    """(folder of a hierarchy, type, options) of this machine's control groups."""
    found = []
    for line in open("/proc/self/mountinfo"):
        before, after = line.split(" - ")
        where, (kind, _, options) = before.split()[4], after.split()[:3]
        if not where.startswith(CGROUPS):
            continue
        if kind == "cgroup":
            words = [o for o in options.split(",") if o not in ("rw", "ro", "favordynmods")]
            found.append((where, kind, ",".join(words)))
        elif kind == "cgroup2":
            found.append((where, kind, ""))
    return found


def _cgroup_remove(name):
    for where, _, _ in _controllers():
        top = os.path.join(where, name)
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass


def _cgroup_sweep():
    """What a scenario left that was itself killed without mercy."""
    for where, _, _ in _controllers():
        for name in os.listdir(where):
            if name.startswith(CGROUP_PREFIX) and not os.path.exists("/proc/" + name[len(CGROUP_PREFIX):]):
                _cgroup_remove(name)


def _cgroup_enter(name):
    for where, _, _ in _controllers():
        top = os.path.join(where, name)
        os.makedirs(top, exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # v1: empty until somebody fills them
            path, above = os.path.join(top, file), os.path.join(where, file)
            if os.path.exists(path) and not open(path).read().strip():
                with open(path, "w") as f:
                    f.write(open(above).read())
        with open(os.path.join(top, "cgroup.procs"), "w") as f:
            f.write("0")


def _cgroup_mounts():
    """Inside the cgroup namespace: hierarchies that begin at our own group."""
    mounts = _controllers()
    if any(where == CGROUPS and kind == "cgroup2" for where, kind, _ in mounts):
        _sh("mount", "-t", "cgroup2", "cgroup2", CGROUPS)
        return
    links = {n: os.readlink(os.path.join(CGROUPS, n)) for n in os.listdir(CGROUPS)
             if os.path.islink(os.path.join(CGROUPS, n))}
    _sh("mount", "-t", "tmpfs", "-o", "mode=755", "cgroup", CGROUPS)
    for where, kind, options in mounts:
        os.makedirs(where, exist_ok=True)
        _sh("mount", "-t", kind, *(["-o", options] if options else []), kind, where)
    for name, to in links.items():
        os.symlink(to, os.path.join(CGROUPS, name))


def _sh(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main(run, needs=(), images=IMAGES):
    """The whole of a scenario. Does not return."""
    if os.environ.get("KNARR_MACHINE"):
        sys.exit(_first_process(run))
    try:
        need("crun", "nft", "ip", "unshare", *needs)
        layouts = {name: image_layout(name) for name in images}
        kubectl = os.environ.get("KUBECTL") or debian_kubectl()
    except Skip as why:
        print(f"SKIPPED: {why}")
        sys.exit(SKIPPED)
    os.makedirs(SCRATCH, exist_ok=True)
    _cgroup_sweep()
    folder = tempfile.mkdtemp(prefix=os.path.basename(sys.argv[0]).split(".")[0] + ".", dir=SCRATCH)
    group = f"{CGROUP_PREFIX}{os.getpid()}"
    env = dict(os.environ, KNARR_MACHINE=folder, KNARR_LAYOUTS=json.dumps(layouts), KUBECTL=kubectl)

    def enter():
        _die_with_parent()
        _cgroup_enter(group)

    child = subprocess.Popen(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--cgroup",
                              "--uts", "--ipc", "--propagation", "private", sys.executable, *sys.argv],
                             env=env, preexec_fn=enter, stdin=subprocess.DEVNULL)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda *_: child.kill())
    code = child.wait()
    _cgroup_remove(group)
    if code == 0 or not os.environ.get("KNARR_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept: {folder}")
    sys.exit(code)


# -- inside ---------------------------------------------------------------------------------------


def _furnish(folder):
    _sh("mount", "-t", "proc", "proc", "/proc")
    _sh("mount", "-t", "sysfs", "sysfs", "/sys")
    _cgroup_mounts()
    _sh("mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run")
    os.makedirs("/run/etc/upper")
    os.makedirs("/run/etc/work")
    _sh("mount", "-t", "overlay", "-o", "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work",
        "etc", "/etc")
    subprocess.run(["userdel", "knarr"], capture_output=True)  # of a cluster outside: only here
    os.makedirs("/run/netns")
    _sh("hostname", "machine")
    _sh("ip", "link", "set", "lo", "up")
    _sh("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "cable")
    _sh("ip", "link", "set", "cable", "up")
    _sh("ip", "address", "add", "192.0.2.10/24", "dev", "eth0")
    _sh("ip", "link", "set", "eth0", "up")
    _sh("ip", "route", "add", "default", "via", "192.0.2.1")
    with open("/etc/hosts", "w") as f:
        f.write("127.0.0.1 localhost\n192.0.2.10 machine\n")
    os.makedirs(os.path.join(folder, "home"), exist_ok=True)


def _first_process(run):
    """Process 1: furnishes, runs the scenario in a child, reaps what is orphaned. With it all ends."""
    folder = os.environ["KNARR_MACHINE"]
    try:
        _furnish(folder)
    except Failed as why:
        print(f"FAILED: furnishing the machine: {why}")
        return 1
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _scenario(run, folder)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status) & 0xFF


def _scenario(run, folder):
    m = Machine(folder, json.loads(os.environ["KNARR_LAYOUTS"]), os.environ["KUBECTL"])
    begun = time.monotonic()
    try:
        run(m)
    except Skip as why:
        print(f"SKIPPED: {why}")
        return SKIPPED
    except Exception as why:  # pylint: disable=broad-except
        import traceback
        if not isinstance(why, Failed):
            traceback.print_exc(file=sys.stdout)
        print(f"FAILED after {time.monotonic() - begun:.1f} s: {why}")
        m.explain()
        return 1
    print(f"all of it holds ({time.monotonic() - begun:.1f} s)")
    return 0


class Result:
    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def __str__(self):
        text = f"{' '.join(self.argv)}: exit code {self.code}"
        for name, what in (("stdout", self.out), ("stderr", self.err)):
            if what.strip():
                text += f"\n    {name}: " + what.strip()[-2000:].replace("\n", "\n    ")
        return text


class Machine:
    """What a scenario does with its machine."""

    def __init__(self, folder, layouts, kubectl):
        self.folder, self.layouts, self.kubectl_path = folder, layouts, kubectl
        self.data = os.path.join(folder, "data")
        self.run_dir = "/run/knarr-scenario"
        self.kubeconfig = os.path.join(folder, "home/config")
        self.port = 7443
        self.env = dict(os.environ, HOME=os.path.join(folder, "home"), KUBECONFIG=self.kubeconfig)

    # -- programs

    def run(self, *argv, code=0, stdin=None, timeout=PATIENCE, env=None):
        """Runs a program. code: what it has to end with; None takes any, "fail" any but 0."""
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout,
                                  env=env or self.env, errors="replace",
                                  **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))
        except subprocess.TimeoutExpired as late:
            out = (late.stdout or b"").decode(errors="replace")
            raise Failed(f"{' '.join(argv)}: still running after {timeout} s; said: {out[-1000:]}") from None
        r = Result(argv, done.returncode, done.stdout, done.stderr)
        if (code == "fail" and r.code == 0) or (isinstance(code, int) and r.code != code):
            raise Failed(f"wanted exit code {code}: {r}")
        return r

    def knarr(self, verb, *argv, **kw):
        extra = ["--data", self.data]
        if verb == "up":
            extra += ["--run", self.run_dir, "--kubeconfig", self.kubeconfig]
            if not os.path.exists(os.path.join(self.data, "site.json")):
                extra += ["--port", str(self.port)]
        if verb == "reset":
            extra += ["--yes", "--kubeconfig", self.kubeconfig]
        return self.run(KNARR, verb, *argv, *extra, **kw)

    def kubectl(self, *argv, **kw):
        return self.run(self.kubectl_path, *argv, **kw)

    def get(self, *argv):
        return json.loads(self.kubectl("get", *argv, "-o", "json").out)

    def up(self):
        for name, layout in self.layouts.items():
            have = self.knarr("image", "list").out
            if f"/{name}:latest" not in have:
                self.knarr("image", "import", layout, "-t", name)
        return self.knarr("up")

    def pid(self, name):
        with open(os.path.join(self.run_dir, name + ".pid")) as f:
            return int(f.read())

    # -- waiting

    def until(self, what, ask, patience=PATIENCE, every=0.05):
        """Asks until the answer is true, and returns it. For what nobody tells us by an event."""
        end = time.monotonic() + patience
        last = None
        while True:
            try:
                answer = ask()
                if answer:
                    return answer
                last = answer
            except Failed as why:
                last = why
            if time.monotonic() > end:
                raise Failed(f"not within {patience} s: {what} (last: {last})")
            select.select([], [], [], every)

    def wait(self, what, condition, patience=PATIENCE, *more):
        """kubectl wait: by a watch."""
        return self.kubectl("wait", what, "--for", condition, f"--timeout={int(patience)}s", *more,
                            timeout=patience + 10)

    def phases(self, selector):
        return [p["status"].get("phase") for p in self.get("pods", "-l", selector)["items"]
                if not p["metadata"].get("deletionTimestamp")]

    def running(self, selector, count, patience=PATIENCE):
        self.until(f"{count} pods {selector} running",
                   lambda: self.phases(selector) == ["Running"] * count, patience)

    # -- looking

    def processes(self, comm):
        """{pid: start time} of every process called so on this machine."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                text = open(f"/proc/{pid}/stat").read()
            except OSError:
                continue
            name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
            if name == comm and rest[0] != "Z":
                found[int(pid)] = rest[19]
        return found

    def names(self):
        return sorted({open(f"/proc/{p}/comm").read().strip() for p in filter(str.isdigit, os.listdir("/proc"))
                       if os.path.exists(f"/proc/{p}/comm")})

    def footprint(self):
        """What a cluster could leave on a machine, as text."""
        mine = {os.getpid(), 1}
        lines = []
        for argv in (("ip", "-o", "link"), ("ip", "-4", "route"), ("ip", "rule"), ("ip", "netns", "list"),
                     ("nft", "list", "ruleset")):
            words = self.run(*argv, code=None).out.splitlines()
            if argv[-1] == "link":  # its name: the state of a link settles in its own time
                words = [w.split(":")[1].strip() for w in words]
            lines += [f"{argv[0]} {argv[-1]}: {w}" for w in sorted(words)]
        for line in open("/proc/self/mountinfo"):
            lines.append("mount " + line.split()[4])
        for top, folders, _ in os.walk(CGROUPS):
            lines += [f"cgroup {os.path.join(top, f)}" for f in folders if "knarr" in f or "kubepods" in f]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) not in mine:
                try:
                    lines.append("process " + open(f"/proc/{pid}/comm").read().strip())
                except OSError:
                    pass
        for path in (self.data, self.run_dir, "/run/crun"):
            lines.append(f"folder {path} {os.path.exists(path)}")
        lines += ["user " + line.split(":")[0] for line in open("/etc/passwd")]
        return sorted(lines)

    def http(self, url, code=0, timeout=2):
        return self.run("curl", "-sS", "-f", "-m", str(timeout), url, code=code).out

    def explain(self):
        """After a failure: what the parts said last."""
        for name in ("supervisor", "server", "agent"):
            path = os.path.join(self.data, "log", name + ".log")
            if os.path.exists(path):
                lines = open(path, errors="replace").read().splitlines()[-15:]
                print(f"-- the end of {name}.log\n    " + "\n    ".join(lines))


def check(condition, *words):
    if not condition:
        raise Failed(" ".join(str(w) for w in words))


def same(got, wanted, what):
    if got != wanted:
        raise Failed(f"{what}: got {got!r}, wanted {wanted!r}")


def step(text):
    print(f"  {text}", flush=True)
