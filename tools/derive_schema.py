#!/usr/bin/env python3
"""Writes schema/<package>.types from facts about upstream's types. Run by hand when the API level
changes, never by the build; the result is edited and reviewed like any other source.

    derive_schema.py go-fields.txt swagger.json OUTPUT_FOLDER

go-fields.txt comes from tools/go_fields.go; swagger.json is what /openapi/v2 answers. Only shapes
are taken: names, numbers, types and marks. No sentence is copied."""
import collections
import json
import os
import re
import sys

SPECIAL = {
    "meta.v1.Time": "time", "meta.v1.MicroTime": "microtime", "meta.v1.Duration": "duration",
    "intstr.IntOrString": "intorstring", "resource.Quantity": "quantity",
    "runtime.RawExtension": "raw", "meta.v1.FieldsV1": "raw", "apiextensions.v1.JSON": "raw",
    "runtime.Object": "raw",
    "apiextensions.v1beta1.JSON": "raw",
}
for _v in ("v1", "v1beta1"):
    for _n, _k in (("Array", "array"), ("Bool", "bool"), ("StringArray", "strings")):
        SPECIAL[f"apiextensions.{_v}.JSONSchemaPropsOr{_n}"] = f"schema_or_{_k}"
BASIC = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "int": "int64",
         "float64": "double", "byte": "byte", "interface{}": "raw", "uint16": "int32"}
SKIP = {"meta.v1.TypeMeta", "meta.v1.InternalEvent", "meta.v1.Timestamp", "meta.v1.ApplyOptions",
        "meta.v1.List", "meta.v1.ObjectMetaAccessor"}
# how Go files call the packages that they import, where it is not the package's own name
ALIASES = {"metav1": "meta.v1", "corev1": "core.v1", "v1": "core.v1", "apiv1": "core.v1",
           "authenticationv1": "authentication.v1", "rbacv1": "rbac.v1", "core": "core.v1"}


def short(package):
    return ".".join(package.split(".")[-2:]).replace("pkg.", "")


class Package:
    def __init__(self, name):
        self.name, self.short, self.group = "io.k8s." + name[7:], short(name), None
        self.structs, self.scalars, self.kinds = {}, {}, []
        self.consts = collections.defaultdict(list)
        self.const_names = {}


def read_facts(path):
    packages, current, fields = {}, None, None
    for line in open(path):
        line = line.rstrip("\n")
        if line.startswith("package "):
            current = Package(line.split()[1])
            packages[current.short] = current
        elif line.startswith("    "):
            name, gotype, tag, *marks = line[4:].split("\t")
            fields.append((name, gotype, tag, marks))
        else:
            words = line.strip().split("\t")
            what, rest = words[0].split(" ", 1)
            if what == "struct":
                fields = []
                current.structs[rest] = (fields, words[1:])
            elif what == "scalar":
                name, under = rest.split(" ", 1)
                current.scalars[name] = (under, words[1:])
            elif what == "const":
                kind, name, value = rest.split(" ", 2)
                if value.startswith('"'):
                    current.consts[kind].append(json.loads(value))
                    current.const_names[name] = json.loads(value)
            elif what == "group" and current.group is None:
                current.group = json.loads(rest)
    return packages


class Deriver:
    def __init__(self, packages, swagger):
        self.packages, self.swagger = packages, swagger
        self.notes = []

    def resolve(self, package, name):
        """Package and name that a Go identifier means inside a package."""
        if "." not in name:
            return package.short, name
        alias, name = name.split(".", 1)
        if alias == "v1" and name not in self.packages["core.v1"].structs \
                and name not in self.packages["core.v1"].scalars:
            group = package.short.split(".")[0]
            for guess in ("meta.v1", group + ".v1"):
                p = self.packages.get(guess)
                if p and (name in p.structs or name in p.scalars):
                    return guess, name
        if alias == "v1" and package.short.split(".")[0] in ("admissionregistration",):
            return "admissionregistration.v1", name
        if alias in ALIASES:
            return ALIASES[alias], name
        m = re.fullmatch(r"([a-z]+?)(v\d+(?:(?:alpha|beta)\d+)?)", alias)
        if m and f"{m[1]}.{m[2]}" in self.packages:
            return f"{m[1]}.{m[2]}", name
        return alias, name

    def gotype(self, package, text):
        """(pointer, prefix, type) where prefix is "", "[]" or "{}"."""
        pointer = text.startswith("*")
        text = text.lstrip("*")
        if text in ("[]byte",):
            return pointer, "", "bytes"
        if text.startswith("[]"):
            _, inner, t = self.gotype(package, text[2:])
            assert inner == "", text
            return pointer, "[]", t
        m = re.fullmatch(r"map\[([^\]]+)\](.*)", text)
        if m:
            _, inner, t = self.gotype(package, m[2])
            assert inner == "", text
            return pointer, "{}", t
        if text in BASIC:
            return pointer, "", BASIC[text]
        where, name = self.resolve(package, text)
        full = f"{where}.{name}"
        if full in SPECIAL:
            return pointer, "", SPECIAL[full]
        p = self.packages.get(where)
        if p and name in p.structs:
            return pointer, "", name if p is package else full
        if p and name in p.scalars:
            under, marks = p.scalars[name]
            if under == "string" or self.scalar_base(p, name) == "string":
                return pointer, "", name if p is package else full
            if under == "[]string" and any("protobuf.nullable" in m for m in marks):
                return pointer, "", name if p is package else full
            inner_p, inner, t = self.gotype(p, under)
            if "." not in t and (t in p.structs or t in p.scalars) and p is not package:
                t = f"{p.short}.{t}"
            return pointer or inner_p, inner, t
        if where in ("types", "apimachinerytypes", "schema"):
            return pointer, "", "string"
        raise SystemExit(f"{package.short}: what is {text}?")

    def scalar_base(self, package, name):
        under = package.scalars[name][0]
        for _ in range(5):
            if under in BASIC:
                return BASIC[under]
            where, inner = self.resolve(package, under)
            p = self.packages.get(where)
            if not p or inner not in p.scalars:
                return None
            under, package = p.scalars[inner][0], p
        return None

    def default(self, package, text):
        m = re.fullmatch(r"ref\((?:.*\.)?(\w+)\)", text)
        if m:
            for p in self.packages.values():
                if m[1] in p.const_names:
                    return json.dumps(p.const_names[m[1]])
        return json.dumps(json.loads(text), separators=(",", ":"))

    def marks(self, package, tag, marks, shape, swag_required, name):
        out = []
        js = re.search(r'json:"([^"]*)"', tag)
        options = js[1].split(",")[1:] if js else []
        plain = [re.sub(r'^\+k8s:(?:alpha|beta)\(since: "[\d.]+"\)=', "", m) for m in marks]
        optional = "+optional" in plain or "+k8s:optional" in plain or "omitempty" in options
        required = swag_required if swag_required is not None else not optional
        if required:
            out.append("required")
        if "omitempty" not in options:
            out.append("always")
        if "omitzero" in options:
            out.append("omitzero")
        strategy = re.search(r'patchStrategy:"([^"]*)"', tag)
        key = re.search(r'patchMergeKey:"([^"]*)"', tag)
        for s in strategy[1].split(",") if strategy else []:
            out.append(f"merge={key[1]}" if s == "merge" and key else
                       "retainkeys" if s == "retainKeys" else s)
        kinds = [m.split("=")[1] for m in plain if re.match(r"\+(k8s:)?listType=", m)]
        keys = [m.split("=")[1] for m in plain if re.match(r"\+(k8s:)?listMapKey=", m)]
        if kinds and kinds[0] == "map":
            out.append("list=map(" + ",".join(dict.fromkeys(keys)) + ")")
        elif kinds:
            out.append("list=" + kinds[0])
        if "+structType=atomic" in plain or "+mapType=atomic" in plain:
            out.append("atomic")
        if "+k8s:immutable" in marks:
            out.append("immutable")
        for m in plain:
            for word, ours in (("+k8s:minimum=", "min="), ("+k8s:maximum=", "max="),
                               ("+k8s:maxItems=", "maxitems="), ("+k8s:maxLength=", "maxlength="),
                               ("+k8s:maxBytes=", "maxbytes="), ("+k8s:format=", "format="),
                               ("+featureGate=", "gate=")):
                if m.startswith(word) and not any(o.startswith(ours) for o in out):
                    out.append(ours + m[len(word):].strip('"').replace(" ", ""))
            if m.startswith("+default="):
                out.append("default=" + self.default(package, m[len("+default="):]))
        return out

    def field(self, package, owner, name, gotype, tag, marks):
        js = re.search(r'json:"([^"]*)"', tag)
        pb = re.search(r'protobuf:"([^"]*)"', tag)
        number = 0
        if pb and pb[1] != "-":
            number = int(pb[1].split(",")[1])
        jsname = js[1].split(",")[0] if js else ""
        if jsname == "-" or (not js and not pb):
            return None
        pointer, prefix, t = self.gotype(package, gotype)
        if name == "-" and not jsname:
            assert not pointer
            return [number, "-", t, []]
        definition = self.swagger.get(f"{package.name}.{owner}")
        required = None
        if definition is not None and jsname in definition.get("properties", {}):
            required = jsname in definition.get("required", [])
        out = self.marks(package, tag, marks, prefix, required, jsname)
        return [number, jsname, ("*" if pointer else "") + prefix + t, out]

    def is_kind(self, fields):
        return any(n == "-" and t.split(".")[-1] == "TypeMeta" for n, t, _, _ in fields)

    def type_lines(self, package, name):
        fields, marks = package.structs[name]
        kind = self.is_kind(fields)
        rows = []
        for n, t, tag, m in fields:
            if n == "-" and t.split(".")[-1] == "TypeMeta":
                continue
            row = self.field(package, name, n, t, tag, m)
            if row:
                rows.append(row)
        plain = [(r[0], r[1], r[2]) for r in rows]
        if kind and len(rows) == 2 and plain[0] == (1, "metadata", "meta.v1.ListMeta") \
                and plain[1][:2] == (2, "items") and rows[1][3] in (["required", "always"],):
            return [f"list {name} {rows[1][2][2:]}"]
        head = ("kind " if kind else "type ") + name
        if "+structType=atomic" in marks or "+mapType=atomic" in marks:
            head += " atomic"
        lines = [head]
        width = max([len(r[1]) for r in rows] or [0])
        twidth = max([len(r[2]) for r in rows if r[3]] or [0])
        for r in sorted(rows, key=lambda r: (r[0] == 0, r[0])):
            line = f"    {r[0]:>2} {r[1]:<{width}} {r[2]:<{twidth}} {' '.join(r[3])}"
            lines.append(line.rstrip())
        return lines

    def package_text(self, package):
        group = "" if package.group in (None, "") else package.group
        if package.short == "meta.v1":
            group = "meta.k8s.io"
        out = ["# The format: schema/README.md.", f"package {package.name}",
               f"group {group or '-'}", f"version {package.short.split('.')[1]}", ""]
        kinds, types = [], []
        for name in sorted(package.structs):
            full = f"{package.short}.{name}"
            if full in SPECIAL or full in SKIP or not name[0].isupper():
                continue
            fields = package.structs[name][0]
            if not any("json:" in f[2] or "protobuf:" in f[2] for f in fields) and fields:
                continue
            (kinds if self.is_kind(fields) else types).append(name)
        for name in kinds + types:
            lines = self.type_lines(package, name)
            out += lines + [""]
        scalars = []
        for name in sorted(package.scalars):
            under, marks = package.scalars[name]
            if under == "[]string" and any("protobuf.nullable" in m for m in marks):
                scalars.append(f"bare {name}")
                continue
            if self.scalar_base(package, name) != "string" or "interface" in under:
                continue
            values = []
            if "+enum" in marks or "+k8s:enum" in marks:
                p, n = package, name
                for _ in range(4):
                    values = sorted(set(p.consts.get(n, [])))
                    if values or p.scalars[n][0] == "string":
                        break
                    where, n = self.resolve(p, p.scalars[n][0])
                    p = self.packages[where]
            quoted = " ".join(v if v and re.fullmatch(r"[^\s\"]+", v) else json.dumps(v) for v in values)
            scalars.append(f"scalar {name} {quoted}".rstrip())
        out += scalars
        while out[-1] == "":
            out.pop()
        return "\n".join(out) + "\n"


def main(facts, swagger, folder):
    packages = read_facts(facts)
    d = Deriver(packages, json.load(open(swagger))["definitions"])
    for p in packages.values():
        if p.short in ("runtime", "pkg.runtime", "util.intstr", "meta.v1beta1") or "intstr" in p.short or "runtime" in p.short:
            continue
        text = d.package_text(p)
        with open(os.path.join(folder, p.short.replace(".", "_") + ".types"), "w") as f:
            f.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
