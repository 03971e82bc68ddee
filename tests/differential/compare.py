"""What two answers have in common when what must differ is taken out, and what they do not."""
import fnmatch
import os
import re

DROPPED = {"managedFields", "selfLink"}
FORMED = {"uid": "UID", "resourceVersion": "REV", "creationTimestamp": "TIME", "deletionTimestamp": "TIME", "continue": "TOKEN",
          "firstTimestamp": "TIME", "lastTimestamp": "TIME"}
TEXT = [(re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UID"),
        (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
        (re.compile(r"\b10\.96\.\d+\.\d+\b"), "CLUSTERIP"),
        (re.compile(r"resourceVersion=\d+"), "resourceVersion=REV"),
        (re.compile(r"kube-api-access-[a-z0-9]{5}"), "kube-api-access-X"),
        # what follows is a diff: of upstream's internal types there, of the API's fields here
        (re.compile(r"(may not change fields other than|is immutable after creation)([^\n]*)\n.*", re.S), r"\1\2")]


def normal(value, key="", path=()):
    if isinstance(value, dict):
        return {k: normal(v, k, path + (k,)) for k, v in value.items() if k not in DROPPED}
    if isinstance(value, list):
        return [normal(v, key, path) for v in value]
    if key in FORMED and value:
        return FORMED[key]
    if key in ("nodePort", "healthCheckNodePort") and value:
        return "PORT"
    if key == "cells" and isinstance(value, str):
        if re.fullmatch(r"(\d+[dhms])+|<unknown>", value):
            return "AGE"
        value = re.sub(r"\b3\d{4}/", "PORT/", value)
    if isinstance(value, str):
        for pattern, word in TEXT:
            value = pattern.sub(word, value)
    return value


def is_status(body):
    return isinstance(body, dict) and body.get("kind") == "Status" and "status" in body


def causes(status):
    found = (status.get("details") or {}).get("causes") or []
    return sorted((c.get("field", ""), c.get("reason", ""), c.get("message", "")) for c in found)


def words(text):
    return sorted(re.split(r"[\[\], ]+", text))


def deep(ours, theirs, path, out):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for k in sorted(set(ours) | set(theirs)):
            if k not in theirs:
                out.append((f"{path}.{k}", ours[k], "(absent)"))
            elif k not in ours:
                out.append((f"{path}.{k}", "(absent)", theirs[k]))
            else:
                deep(ours[k], theirs[k], f"{path}.{k}", out)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            deep(a, b, f"{path}[{i}]", out)
    elif ours != theirs or type(ours) is not type(theirs):
        out.append((path, ours, theirs))


def differences(ours, theirs):
    """[(where, ours, theirs)] of two answers (status, headers, body)."""
    out = []
    if ours[0] != theirs[0]:
        out.append(("code", f"{ours[0]} {brief(ours[2])}", f"{theirs[0]} {brief(theirs[2])}"))
        return out
    a, b = normal(ours[2]), normal(theirs[2])
    if is_status(a) and is_status(b):
        if causes(a) != causes(b):
            out.append(("causes", causes(a), causes(b)))
        if a.get("message") != b.get("message") and words(a.get("message", "")) != words(b.get("message", "")):
            out.append(("message", a.get("message"), b.get("message")))
        if a.get("reason") != b.get("reason"):
            out.append(("reason", a.get("reason"), b.get("reason")))
        for s in (a, b):
            for k in ("message", "reason"):
                s.pop(k, None)
            if isinstance(s.get("details"), dict):
                s["details"].pop("causes", None)
    deep(a, b, "", out)
    for name in ("content-type", "warning", "allow"):
        if ours[1].get(name) != theirs[1].get(name):
            out.append((f"header {name}", ours[1].get(name), theirs[1].get(name)))
    return out


def brief(body):
    return str(body.get("message") if is_status(body) else "")[:300]


class Accepted:
    """accepted.txt: lines `resource-glob case-glob where-glob: reason`; `#` begins a comment."""

    def __init__(self, path):
        self.rules = []
        with open(path) if os.path.exists(path) else open(os.devnull) as f:
            for line in f:
                line = line.split("#")[0].strip() if line.startswith("#") else line.strip()
                if line:
                    head, reason = line.split(": ", 1)
                    resource, case, where = head.split(None, 2)
                    self.rules.append((resource, case, where, reason))
        self.used = [0] * len(self.rules)

    def reason(self, resource, case, where):
        for i, (r, c, w, reason) in enumerate(self.rules):
            if fnmatch.fnmatch(resource, r) and fnmatch.fnmatch(case, c) and fnmatch.fnmatchcase(where, w):
                self.used[i] += 1
                return reason
        return None
