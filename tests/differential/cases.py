"""Cases made from what upstream answers to a good object: for each field, what goes wrong with it."""
import copy
import json

LONG = "x" * 300


def clean(obj, kind, api_version):
    """An answer as a manifest."""
    o = copy.deepcopy(obj)
    o.pop("status", None)
    o["kind"], o["apiVersion"] = kind, api_version
    for k in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink"):
        o["metadata"].pop(k, None)
    if kind == "Service":
        for k in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
            if o["spec"].get(k) != "None" and o["spec"].get(k) != ["None"]:
                o["spec"].pop(k, None)
        for p in o["spec"].get("ports") or []:
            p.pop("nodePort", None)
    return o


def paths(value, at=()):
    """Every place below, containers before what is in them."""
    if at:
        yield at
    if isinstance(value, dict):
        for k in value:
            yield from paths(value[k], at + (k,))
    elif isinstance(value, list):
        for i in range(min(len(value), 2)):
            yield from paths(value[i], at + (i,))


def get(obj, path):
    for p in path:
        obj = obj[p]
    return obj


def changed(obj, path, value):
    o = copy.deepcopy(obj)
    get(o, path[:-1])[path[-1]] = value
    return o


def without(obj, path):
    o = copy.deepcopy(obj)
    del get(o, path[:-1])[path[-1]]
    return o


def text(path):
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)


def skip(path):
    return path[0] in ("kind", "apiVersion", "status") or path[:2] == ("metadata", "name") or path[:2] == ("metadata", "namespace")


def wrong_types(value):
    if isinstance(value, bool):
        return ["yes", 1]
    if isinstance(value, int):
        return ["many", 1.5]
    if isinstance(value, str):
        return [17, {"a": "b"}]
    if isinstance(value, list):
        return [{"a": "b"}, "x"]
    return ["x", ["y"]]


def wrong_values(value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [0, -1, 65536, 2 ** 31, 2 ** 40]
    if isinstance(value, str):
        return ["", "Not_A Name!", LONG, "../x", "other-value"]
    if isinstance(value, list):
        return [[]] + ([value + value] if value else [])
    return [{}]


def mutations(base):
    """(kind of case, what, object) to create."""
    for path in paths(base):
        if skip(path):
            continue
        value = get(base, path)
        for i, wrong in enumerate(wrong_types(value)):
            yield "type", f"{text(path)} = {json.dumps(wrong)}", changed(base, path, wrong)
        if not isinstance(path[-1], int):
            yield "absent", text(path), without(base, path)
            yield "null", text(path), changed(base, path, None)
        for wrong in wrong_values(value):
            shown = json.dumps(wrong)
            yield "value", f"{text(path)} = {shown[:60]}", changed(base, path, wrong)
        if isinstance(value, dict):
            yield "unknown", f"{text(path)}.bogusField", changed(base, path + ("bogusField",), 1)


def changes(base):
    """(what, object) to put in the place of base: immutable fields, what may be dropped."""
    for path in paths(base):
        if skip(path):
            continue
        value = get(base, path)
        if isinstance(value, (dict, list)):
            if not isinstance(path[-1], int):
                yield f"{text(path)} dropped", without(base, path)
            continue
        other = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}x"
        yield f"{text(path)} = {json.dumps(other)[:60]}", changed(base, path, other)


MERGE, STRATEGIC, JSON_PATCH = "application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json"
PATCHES = [
    (MERGE, {"metadata": {"labels": {"patched": "yes"}}}),
    (MERGE, {"metadata": {"labels": None}}),
    (MERGE, {"metadata": {"name": "other"}}),
    (MERGE, {"metadata": {"annotations": {"a": 1}}}),
    (MERGE, {"bogus": 1}),
    (MERGE, "nonsense"),
    (MERGE, [1]),
    (STRATEGIC, {"metadata": {"finalizers": ["example.com/a", "example.com/a"]}}),
    (STRATEGIC, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}),
    (STRATEGIC, {"metadata": {"labels": {"$patch": "replace", "only": "this"}}}),
    (STRATEGIC, {"$patch": "bogus"}),
    (JSON_PATCH, [{"op": "add", "path": "/metadata/labels", "value": {"j": "p"}}]),
    (JSON_PATCH, [{"op": "test", "path": "/metadata/name", "value": "no"}]),
    (JSON_PATCH, [{"op": "remove", "path": "/nothing/here"}]),
    (JSON_PATCH, [{"op": "fly", "path": "/metadata"}]),
    (JSON_PATCH, {"op": "add"}),
    ("text/plain", {}),
]

LISTS = ["", "?limit=1", "?limit=-1", "?limit=x", "?labelSelector=a%3Db", "?labelSelector=a%20in%20(", "?labelSelector=!!a", "?fieldSelector=metadata.name%3Dx",
         "?fieldSelector=spec.bogus%3Dx", "?fieldSelector=metadata.name", "?resourceVersion=0", "?resourceVersion=x", "?resourceVersion=-1",
         "?resourceVersionMatch=Exact", "?resourceVersion=0&resourceVersionMatch=Exact", "?resourceVersion=1&resourceVersionMatch=Bogus", "?continue=bogus",
         "?continue=bogus&resourceVersion=5", "?timeoutSeconds=x", "?watch=maybe&timeoutSeconds=1", "?sendInitialEvents=true", "?watch=1&sendInitialEvents=true",
         "?watch=1&resourceVersionMatch=NotOlderThan&timeoutSeconds=1", "?pretty=true"]

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
ACCEPTS = [TABLE, PARTIAL, PARTIAL_LIST, "application/xml", "application/json;as=Bogus;v=v1;g=meta.k8s.io", "application/yaml", "*/*",
           "application/vnd.kubernetes.protobuf, application/json;q=0.5"]
