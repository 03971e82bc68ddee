#!/usr/bin/env python3
"""Writes a first schema/resources.txt from what upstream's server says in aggregated discovery, with
rows for the versions that it does not serve by default. Run by hand; the result is edited.

    derive_resources.py discovery.json SCHEMA_FOLDER > resources.txt"""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import types_file as tf  # noqa: E402

ALL = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
SERVED = {("", "v1"), ("apps", "v1"), ("rbac.authorization.k8s.io", "v1"),
          ("authentication.k8s.io", "v1"), ("authorization.k8s.io", "v1"),
          ("discovery.k8s.io", "v1"), ("coordination.k8s.io", "v1"), ("events.k8s.io", "v1")}
OLD_SERVED = {("extensions", "v1beta1", "Deployment"), ("apps", "v1beta1", "Deployment"),
              ("apps", "v1beta2", "Deployment")}
CLUSTER = {"PodSecurityPolicy", "StorageVersion", "ClusterTrustBundle", "ImageReview", "APIService"}
NOT_STORED = {"Binding", "Eviction", "DeploymentRollback", "ImageReview", "AdmissionReview"}
SELECT = {
    "Pod": "spec.nodeName,spec.restartPolicy,spec.schedulerName,spec.serviceAccountName,"
           "spec.hostNetwork,status.phase,status.podIP,status.nominatedNodeName",
    "core/Event": "involvedObject.kind,involvedObject.namespace,involvedObject.name,involvedObject.uid,"
                  "involvedObject.apiVersion,involvedObject.resourceVersion,involvedObject.fieldPath,"
                  "reason,reportingComponent,source,type",
    "events/Event": "regarding.kind,regarding.namespace,regarding.name,regarding.uid,"
                    "regarding.apiVersion,regarding.resourceVersion,regarding.fieldPath,"
                    "reason,reportingController,type",
    "Namespace": "status.phase", "Node": "spec.unschedulable", "Secret": "type",
    "ReplicationController": "status.replicas", "ReplicaSet": "status.replicas",
    "Service": "spec.clusterIP,spec.type", "Job": "status.successful",
    "CertificateSigningRequest": "spec.signerName", "ResourceSlice": "spec.nodeName,spec.driver",
}


def sub_text(s, group, version, kind):
    k = s["responseKind"]
    verbs = ",".join(s["verbs"])
    if s["subresource"] == "status" and verbs == "get,patch,update":
        return "sub=status"
    name = k["kind"]
    if k["group"] or k["version"]:
        name = f"{k['group']}/{k['version']}/{name}"
    return f"sub={s['subresource']}={name}:{verbs}"


def row(r, group, version, tag, hub=None):
    kind, marks = r["responseKind"]["kind"], []
    verbs = r["verbs"]
    if r.get("shortNames"):
        marks.append("short=" + ",".join(r["shortNames"]))
    if r.get("categories"):
        marks.append("cat=" + ",".join(r["categories"]))
    marks += [sub_text(s, group, version, kind) for s in r.get("subresources", [])]
    select = SELECT.get(f"{tag}/{kind}") or (SELECT.get(kind) if kind != "Event" else None)
    if select:
        marks.append("select=" + select)
    if hub:
        marks.append("hub=" + hub)
    if verbs == ["create"] or kind in NOT_STORED:
        marks.append("virtual")
    if (group, version) in SERVED or (group, version, kind) in OLD_SERVED:
        marks.append("served")
    return [r["resource"], r["singularResource"], kind,
            "ns" if r["scope"] == "Namespaced" else "cluster",
            "all" if verbs == ALL else ",".join(verbs)] + [" ".join(marks)]


def plural(kind):
    k = kind.lower()
    if k.endswith("y"):
        return k[:-1] + "ies"
    return k + ("es" if k.endswith(("s", "x")) else "s")


def main(discovery, folder):
    d = json.load(open(discovery))
    packages = {(p.group, p.version): p for p in
                (tf.read_types(f) for f in sorted(glob.glob(os.path.join(folder, "*.types"))))}
    groups, known = [], {}
    for part in ("api", "apis"):
        for g in d[part]:
            name = g["metadata"].get("name", "")
            groups.append((name, [(v["version"], v["resources"]) for v in g["versions"]]))
            for v in g["versions"]:
                for r in v["resources"]:
                    known.setdefault((name, r["responseKind"]["kind"]), (v["version"], r))
    have = {(g, v) for g, vs in groups for v, _ in vs}
    deploy = known[("apps", "Deployment")][1]
    for (group, version), p in sorted(packages.items(), key=lambda x: (x[0][0], x[0][1]), reverse=True):
        if (group, version) in have or group in ("meta.k8s.io", "apidiscovery.k8s.io",
                                                 "admission.k8s.io", "imagepolicy.k8s.io"):
            continue
        rows = []
        for t in p.types.values():
            if t.sort != "kind" or (t.name + "List" not in p.types and t.name not in NOT_STORED
                                    and (group, t.name) not in known):
                continue
            hub = None
            where = {"extensions": "networking.k8s.io" if t.name in ("Ingress", "NetworkPolicy")
                     else "apps"}.get(group, group)
            if (where, t.name) in known:
                v, r = known[(where, t.name)]
                r = json.loads(json.dumps(r))
                hub = f"{where}/{v}" if "create" in r["verbs"] and len(r["verbs"]) > 2 else None
            else:
                r = {"resource": plural(t.name), "singularResource": t.name.lower(),
                     "responseKind": {"group": "", "version": "", "kind": t.name}, "verbs": ALL,
                     "scope": "Cluster" if t.name in CLUSTER else "Namespaced",
                     "subresources": [{"subresource": "status", "responseKind": {
                         "group": "", "version": "", "kind": t.name}, "verbs": ["get", "patch", "update"]}]
                     if any(f.name == "status" for f in t.fields) else []}
            for s in r.get("subresources", []):
                if s["subresource"] == "scale" and "Scale" in p.types:
                    s["responseKind"] = {"group": "", "version": "", "kind": "Scale"}
            if t.name in NOT_STORED or t.name == "Scale":
                continue
            rows.append((r, hub))
        entry = next((g for g in groups if g[0] == group), None)
        if not entry:
            entry = (group, [])
            groups.append(entry)
        entry[1].append((version, rows))
    del deploy
    for group, versions in groups:
        for version, rows in versions:
            p = packages[(group, version)]
            print(f"\ngroup {group or '-'} {version}")
            lines = []
            for r in rows:
                r, hub = r if isinstance(r, tuple) else (r, None)
                lines.append(row(r, group, version, p.short.split(".")[0], hub))
            lines.sort()
            widths = [max(len(x[i]) for x in lines) for i in range(5)] if lines else []
            for x in lines:
                print("    " + " ".join(f"{c:<{w}}" for c, w in zip(x, widths)) + " " + x[5])


if __name__ == "__main__":
    main(*sys.argv[1:])
