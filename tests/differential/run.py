#!/usr/bin/env python3
"""Asks upstream's API server and knarr's the same and says where the answers differ.

    make differential                       everything; the summary is a table by resource and kind of case
    run.py [-v] [GROUP/RESOURCE...]         some resources ("/pods", "apps/*"); -v prints every difference
    run.py --case value                     one kind of case
    run.py -o FILE                          every difference as JSON lines

A difference is explained by a line of accepted.txt. The exit code is 1 if there is one that is not."""
import argparse
import collections
import fnmatch
import json
import os
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cases  # noqa: E402
import compare  # noqa: E402
import samples  # noqa: E402
import servers  # noqa: E402


class Run:
    def __init__(self, ours, theirs, options):
        self.ours, self.theirs, self.options = ours, theirs, options
        self.accepted = compare.Accepted(os.path.join(HERE, "accepted.txt"))
        self.asked = collections.Counter()
        self.found = collections.Counter()     # (resource, case)
        self.explained = collections.Counter()
        self.out = open(options.output, "w") if options.output else None
        self.number = 0

    def pair(self, resource, case, what, method, path, body=None, headers=None, user=None, judge=True):
        """Asks both; judges unless told not to. Returns both answers."""
        filled = [self.fill(s, body) for s in (self.ours, self.theirs)]
        a = self.ours.ask(method, path, filled[0], headers, user)
        b = self.theirs.ask(method, path, filled[1], headers, user)
        if judge:
            self.judge(resource, case, what, a, b)
        return a, b

    @staticmethod
    def fill(server, body):
        """A body with the place of the object's present revision filled in."""
        if isinstance(body, dict) and "PATH" in body:
            body = json.loads(json.dumps(body))
            status, _, now = server.ask("GET", body.pop("PATH"))
            body["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"] if status == 200 else "1"
            mine = re.search(r"kube-api-access-[a-z0-9]{5}", json.dumps(now)) # a name by chance
            if mine:
                body = json.loads(re.sub(r"kube-api-access-[a-z0-9]{5}\b", mine[0], json.dumps(body)))
        return body

    def judge(self, resource, case, what, a, b):
        if self.options.case and not fnmatch.fnmatch(case, self.options.case):
            return
        self.asked[resource, case] += 1
        unexplained = 0
        for where, mine, other in compare.differences(a, b):
            reason = self.accepted.reason(resource, case, where)
            record = {"resource": resource, "case": case, "what": what, "where": where, "knarr": mine, "upstream": other}
            if reason:
                self.explained[resource, case] += 1
                continue
            unexplained += 1
            if self.out:
                self.out.write(json.dumps(record) + "\n")
            if self.options.verbose:
                print(f"{resource} {case} {what}: {where}\n    knarr    {mine}\n    upstream {other}")
        if unexplained:
            self.found[resource, case] += 1

    def wanted(self, *kinds):
        return not self.options.case or any(fnmatch.fnmatch(k, self.options.case) for k in kinds)

    # -- one resource --

    def resource(self, group, version, r):
        self.key = f"{group}/{r['resource']}"
        self.label = f"{group + '/' if group else ''}{version}/{r['resource']}"
        self.kind = r["responseKind"]["kind"]
        self.api_version = f"{group}/{version}" if group else version
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        self.ns = None
        if r["scope"] == "Namespaced":
            self.ns = "diff-" + r["resource"]
            for s in (self.ours, self.theirs):
                s.ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.ns}})
                # no controller makes it
                s.ask("POST", f"/api/v1/namespaces/{self.ns}/serviceaccounts", {"metadata": {"name": "default"}})
            root += f"/namespaces/{self.ns}"
        self.path = f"{root}/{r['resource']}"
        self.verbs = r["verbs"]
        small = samples.SMALL.get(self.key)
        if small is None:
            print(f"{self.label}: no sample", file=sys.stderr)
            return
        if "list" in self.verbs:
            self.lists()
        if "create" not in self.verbs or "delete" not in self.verbs:
            return
        for i, sample in enumerate([small] + samples.RICH.get(self.key, [])):
            self.sample(sample, "small" if i == 0 else f"rich {i}")

    def named(self, body):
        self.number += 1
        name = samples.NAMES.get(self.key, "d-{n}").replace("{n}", str(self.number))
        o = json.loads(json.dumps(body).replace("NAMESPACE", self.ns or "").replace('"NAME"', f'"{name.split(".")[0]}"'))
        o.setdefault("apiVersion", self.api_version)
        o.setdefault("kind", self.kind)
        if isinstance(o.setdefault("metadata", {}), dict):
            o["metadata"]["name"] = name
            if self.ns:
                o["metadata"]["namespace"] = self.ns
        return o, name

    def drop(self, name):
        for s in (self.ours, self.theirs):
            path = f"{self.path}/{name}?gracePeriodSeconds=0&propagationPolicy=Background"
            status, _, body = s.ask("DELETE", path)
            if status == 200 and isinstance(body, dict) and body.get("metadata", {}).get("finalizers"):
                s.ask("PATCH", f"{self.path}/{name}", {"metadata": {"finalizers": None}}, {"Content-Type": cases.MERGE})

    def create(self, case, what, body, query=""):
        o, name = self.named(body)
        a, b = self.pair(self.label, case, what, "POST", self.path + query, o)
        if a[0] < 300 or b[0] < 300:
            self.drop(name)
        return a, b

    def sample(self, sample, title):
        o, name = self.named(sample)
        a, b = self.pair(self.label, "create", title, "POST", self.path, o)
        if b[0] != 201:
            print(f"{self.label}: upstream refuses the {title} sample: {compare.brief(b[2])}", file=sys.stderr)
            return
        base = cases.clean(b[2], self.kind, self.api_version)
        if a[0] == 201:
            one = f"{self.path}/{name}"
            self.pair(self.label, "get", title, "GET", one)
            for accept in cases.ACCEPTS if self.wanted("accept") else []:
                self.accept(one, title, accept)
            self.pair(self.label, "create", f"{title}: again", "POST", self.path, o)
            if title == "small":
                self.forbidden(one)
            self.updates(base, one, name)
            self.patches(one)
            if "status" in self.subresources:
                self.pair(self.label, "status", title, "GET", one + "/status")
        a, b = self.pair(self.label, "delete", title, "DELETE", f"{self.path}/{name}?gracePeriodSeconds=0")
        self.drop(name)
        self.pair(self.label, "get", f"{title}: gone", "GET", f"{self.path}/{name}")
        for case, what, body in cases.mutations(base):
            if not self.wanted(case):
                continue
            query = ""
            if case == "unknown":
                for mode in ("Strict", "Warn", "Ignore"):
                    self.create(case, f"{what} {mode}", body, f"?fieldValidation={mode}")
                continue
            self.create(case, what, body, query)

    def accept(self, one, title, accept):
        a, b = self.pair(self.label, "accept", "", "GET", one, None, {"Accept": accept}, judge=False)
        if "protobuf" in accept:
            return
        self.judge(self.label, "accept", f"{title}: {accept}", a, b)
        if accept != cases.PARTIAL:
            self.pair(self.label, "accept", f"{title} list: {accept}", "GET", self.path, None, {"Accept": accept})

    def lists(self):
        for query in cases.LISTS if self.wanted("list") else []:
            a, b = self.pair(self.label, "list", query, "GET", self.path + query, judge=False)
            if "watch=" in query and a[0] == b[0] == 200: # what comes first is a matter of chance
                a, b = (200, a[1], ""), (200, b[1], "")
            self.judge(self.label, "list", query, a, b)

    def forbidden(self, one):
        for method, path, body in (("GET", one, None), ("GET", self.path, None), ("POST", self.path, {}), ("PUT", one, {}), ("DELETE", one, None),
                                   ("DELETE", self.path, None), ("GET", self.path + "?watch=1", None), ("GET", one + "/status", None)):
            self.pair(self.label, "forbidden", f"{method} {path}", method, path, body, user="nobody")
        self.pair(self.label, "method", "POST one", "POST", one, {})
        self.pair(self.label, "method", "PATCH all", "PATCH", self.path, {}, {"Content-Type": cases.MERGE})

    def updates(self, base, one, name):
        if "update" not in self.verbs or not self.wanted("update"):
            return

        def put(what, o, judge=True):
            o = json.loads(json.dumps(o))
            if not isinstance(o.get("metadata"), dict):
                return None, None # the name would be missing: another question
            o["metadata"].update(name=name, resourceVersion="PRESENT")
            o["PATH"] = one
            return self.pair(self.label, "update", what, "PUT", one, o, judge=judge)
        put("unchanged", base)
        for what, o in cases.changes(base):
            a, b = put(what, o)
            if a and (a[0] == 200 or b[0] == 200):
                put("", base, judge=False)
        self.pair(self.label, "update", "stale", "PUT", one, {**base, "metadata": {**base["metadata"], "name": name, "resourceVersion": "1"}})
        self.pair(self.label, "update", "other name", "PUT", one, {**base, "metadata": {**base["metadata"], "name": "other"}})

    def patches(self, one):
        if "patch" not in self.verbs or not self.wanted("patch"):
            return
        for media, patch in cases.PATCHES:
            self.pair(self.label, "patch", f"{media} {json.dumps(patch)}", "PATCH", one, patch if isinstance(patch, str) else json.dumps(patch),
                      {"Content-Type": media})
        self.pair(self.label, "patch", "", "PATCH", one, {"metadata": {"finalizers": None}}, {"Content-Type": cases.MERGE}, judge=False)

    # -- all of it --

    def all(self):
        accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
        groups = []
        for path in ("/api", "/apis"):
            groups += self.theirs.ask("GET", path, headers=accept)[2]["items"]
        served = {(g, v, r) for g, v, r in self.served(accept)}
        for g in groups:
            group = g["metadata"].get("name", "")
            for v in g["versions"]:
                for r in v["resources"]:
                    key = f"{group}/{r['resource']}"
                    if self.options.resource and not any(fnmatch.fnmatch(key, p) for p in self.options.resource):
                        continue
                    if (group, v["version"], r["resource"]) not in served:
                        self.found[f"{group}/{v['version']}/{r['resource']}", "not served"] += 1
                        continue
                    self.subresources = {s["subresource"] for s in r.get("subresources", [])}
                    self.resource(group, v["version"], r)
        if not self.options.resource:
            self.paths()

    def served(self, accept):
        for path in ("/api", "/apis"):
            for g in self.ours.ask("GET", path, headers=accept)[2]["items"]:
                for v in g["versions"]:
                    for r in v["resources"]:
                        yield g["metadata"].get("name", ""), v["version"], r["resource"]

    def paths(self):
        for path in ("/", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/rbac.authorization.k8s.io/v1", "/apis/bogus", "/apis/apps/v9", "/bogus",
                     "/api/v1/bogus", "/api/v1/namespaces/x/bogus/y", "/healthz", "/livez", "/readyz", "/healthz/bogus", "/api/v1/namespaces/none/pods/none",
                     "/api/v1/namespaces/kube-system", "/.well-known/openid-configuration", "/openid/v1/jwks"):
            self.pair("paths", "path", path, "GET", path)
            self.pair("paths", "path", f"{path} as nobody", "GET", path, user="nobody")

    def summary(self):
        rows = sorted(set(self.asked) | set(self.found))
        by = collections.defaultdict(list)
        for resource, case in rows:
            if self.found[resource, case]:
                by[resource].append(f"{case} {self.found[resource, case]}" + (f"/{self.asked[resource, case]}" if self.asked[resource, case] else ""))
        width = max([len(r) for r in by] + [8])
        for resource, parts in sorted(by.items()):
            print(f"{resource:{width}}  {', '.join(parts)}")
        asked, found, explained = sum(self.asked.values()), sum(self.found.values()), sum(self.explained.values())
        print(f"{asked} questions, {found} answers differ without an explanation, {explained} differences are explained in accepted.txt")
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("resource", nargs="*")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-o", "--output")
    parser.add_argument("--case")
    parser.add_argument("--build", default=os.environ.get("KNARR_BUILD", os.path.join(servers.ROOT, "build")))
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="differential.")
    stops = []
    try:
        ours, stop = servers.knarr(folder, options.build)
        stops.append(stop)
        theirs, stop = servers.upstream(folder)
        stops.append(stop)
        run = Run(ours, theirs, options)
        run.all()
        return 1 if run.summary() else 0
    except servers.Skip as e:
        print(f"skipped: {e}")
        return 77
    finally:
        for stop in stops:
            stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
