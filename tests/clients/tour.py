"""What the tours share: steps that are counted, each with a namespace of its own."""
import os
import re
import sys
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenario"))
import machine  # noqa: E402  pylint: disable=wrong-import-position

STEPS = []


def step(function):
    """A step of the tour: called with a Place. Its docstring says what holds."""
    STEPS.append(function)
    return function


class Place:
    """A namespace of the cluster, and kubectl in it."""

    def __init__(self, m, name):
        self.m, self.ns = m, name
        m.kubectl("create", "namespace", name)
        m.until(f"the service account of {name}", lambda: m.kubectl(
            "get", "serviceaccount", "default", "-n", name, code=None).code == 0, 10)
        self.new = machine.kubectl_version(m.kubectl_path) >= (1, 27)

    def __call__(self, *argv, code=0, **kw):
        return self.m.kubectl("-n", self.ns, *argv, code=code, **kw)

    def out(self, *argv, **kw):
        return self(*argv, **kw).out.strip()

    def says(self, want, *argv, **kw):
        """What comes on standard output is exactly this, or matches this compiled pattern."""
        r = self(*argv, **kw)
        got = r.out.strip()
        if isinstance(want, re.Pattern):
            machine.check(want.search(got), f"wanted /{want.pattern}/, got: {r}")
        else:
            machine.same(got, want, " ".join(r.argv))
        return r

    def refused(self, *argv, because, code=1, **kw):
        """It fails, and standard error has all of these sentences."""
        r = self(*argv, code=None, **kw)
        machine.same(r.code, code, f"exit code of {r}")
        for want in [because] if isinstance(because, str) else because:
            machine.check(want in r.err + r.out, f"wanted “{want}” in: {r}")
        return r

    def json(self, *argv):
        import json
        return json.loads(self("get", *argv, "-o", "json").out)

    def field(self, what, path):
        return self.out("get", what, "-o", f"jsonpath={path}")

    def until(self, what, ask, patience=30):
        return self.m.until(what, ask, patience)

    def ready(self, name, patience=60):
        self("rollout", "status", "deployment/" + name, f"--timeout={patience}s", timeout=patience + 10)

    def file(self, name, text):
        path = os.path.join(self.m.folder, f"{self.ns}-{name}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path


def deployment(name="web", replicas=2, image="nginx", extra=""):
    return f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: {image}
        ports: [{{name: page, containerPort: 80}}]
{extra}"""


def pod(name, command, extra="", image="busybox", more=""):
    words = ", ".join('"' + w.replace("\\", "\\\\").replace('"', '\\"') + '"' for w in command)
    return f"""apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  terminationGracePeriodSeconds: 1
{extra}
  containers:
  - name: c
    image: {image}
    command: [{words}]
{more}"""


def explain(m, ns):
    """What there is in the namespace of a step that failed."""
    for argv in (("get", "pods", "-o", "wide"), ("get", "events", "-o", "custom-columns=O:.involvedObject.name,R:.reason,M:.message")):
        out = m.kubectl("-n", ns, *argv, "--no-headers", code=None).out
        print("    | " + out.strip()[-3000:].replace("\n", "\n    | "), flush=True)


def walk(m):
    """Every step in order; a failed one does not keep the next from being taken."""
    m.up()
    only = os.environ.get("TOUR_ONLY")
    bad = []
    for n, function in enumerate(STEPS):
        if only and function.__name__ not in only.split(","):
            continue
        why = None
        try:
            function(Place(m, function.__name__.replace("_", "-")[:50]))
        except machine.Skip as skip:
            print(f"skip {n + 1:3} {function.__doc__.splitlines()[0]}: {skip}", flush=True)
            continue
        except machine.Failed as failed:
            why = str(failed)
        except Exception:  # pylint: disable=broad-except
            why = traceback.format_exc()
        if why:
            bad.append(function.__name__)
            print(f"FAIL {n + 1:3} {function.__doc__.splitlines()[0]} ({function.__name__})\n    " + why.replace("\n", "\n    "),
                  flush=True)
            explain(m, function.__name__.replace("_", "-"))
        else:
            print(f"ok   {n + 1:3} {function.__doc__.splitlines()[0]}", flush=True)
        m.kubectl("delete", "namespace", function.__name__.replace("_", "-"), "--wait=false", code=None)
    m.knarr("reset")
    if bad:
        raise machine.Failed(f"{len(bad)} of {len(STEPS)} steps: {', '.join(bad)}")
    print(f"{len(STEPS)} steps")


def main(run):
    """One cluster, one walk. Argument "current": with the newest kubectl that this machine has."""
    if "current" in sys.argv[1:]:
        import shutil
        path = os.environ.get("KUBECTL_CURRENT") or shutil.which("kubectl")
        if not path or machine.kubectl_version(path) < (1, 27):
            print("SKIPPED: there is no current kubectl; KUBECTL_CURRENT names one (1.27 or newer)")
            sys.exit(machine.SKIPPED)
        os.environ["KUBECTL"] = path
    machine.main(run, needs=["curl", "openssl"])
