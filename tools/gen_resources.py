#!/usr/bin/env python3
"""Writes the rows of src/meta/resources.h from schema/resources.txt and schema/printers.txt, and the
list of the functions that cells name.

    gen_resources.py TABLES_C CELLS_H RESOURCES PRINTERS TYPES..."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import types_file as tf  # noqa: E402

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def sv(s):
    return 'KN_SV("%s")' % s.replace("\\", "\\\\").replace('"', '\\"')


def verbs(text, where):
    if text == "all":
        return " | ".join("KN_VERB_" + v.upper() for v in VERBS)
    for v in text.split(","):
        if v not in VERBS:
            sys.exit(f"{where}: {v} is no verb")
    return " | ".join("KN_VERB_" + v.upper() for v in text.split(","))


class Row:
    def __init__(self, group, version, words, where):
        self.group, self.version, self.where = group, version, where
        self.plural, self.singular, self.kind, scope, self.verbs = words[:5]
        self.namespaced = {"ns": True, "cluster": False}[scope]
        self.short, self.cat, self.subs, self.select, self.hub = [], [], [], [], None
        self.virtual = self.served = False
        self.deprecated = ""
        for m in words[5:]:
            word, _, value = m.partition("=")
            if word == "short":
                self.short = value.split(",")
            elif word == "cat":
                self.cat = value.split(",")
            elif word == "select":
                self.select = value.split(",")
            elif word == "sub":
                self.subs.append(value)
            elif word == "hub":
                self.hub = value
            elif word == "deprecated":
                self.deprecated = value
            elif m in ("virtual", "served"):
                setattr(self, m, True)
            else:
                sys.exit(f"{where}: {m} is no mark")


def read_rows(path):
    rows, gv = [], None
    for n, line in enumerate(open(path), 1):
        text = line.rstrip()
        if not text or text.startswith("#"):
            continue
        words = text.split()
        if words[0] == "group" and not text.startswith(" "):
            gv = ("" if words[1] == "-" else words[1], words[2])
        else:
            rows.append(Row(*gv, words, f"{path}:{n}"))
    return rows


def read_printers(path):
    out, kinds = {}, []
    for n, line in enumerate(open(path), 1):
        text = line.rstrip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith(" "):
            kinds = text.split()
            for k in kinds:
                if k in out:
                    sys.exit(f"{path}:{n}: {k} occurs twice")
                out[k] = []
            continue
        words = tf.split_words(text)
        for m in words[3:]:
            if m not in ("wide", "name", "number"):
                sys.exit(f"{path}:{n}: {m} is no mark")
        for k in kinds:
            out[k].append((words[0], words[1], words[2], words[3:]))
    return out


def deprecation(r):
    """Upstream's sentence, as a C literal."""
    if not r.deprecated:
        return "NULL"
    since, _, instead = r.deprecated.partition(":")
    since, _, until = since.partition("/")
    version = f"{r.group}/{r.version}" if r.group else r.version
    text = f"{version} {r.kind} is deprecated in {since}+"
    if until:
        text += f", unavailable in {until}+"
    if instead:
        text += f"; use {instead.replace('+', ' ')}"
    return f'"{text}"'


class Writer:
    def __init__(self, f, types):
        self.f, self.types, self.n = f, types, 0

    def array(self, kind, items):
        """A static array of it; returns its name, or NULL."""
        if not items:
            return "NULL"
        self.n += 1
        name = f"a{self.n}"
        self.f.write(f"static const {kind} {name}[] = {{\n")
        for i in items:
            self.f.write(f"    {i},\n")
        self.f.write("};\n")
        return name

    def type_of(self, group, version, kind):
        full = self.types.get((group, version, kind))
        return f"&kn_schema_builtin.types[KN_T_{full}]" if full else "NULL"

    def sub(self, text, r):
        name, _, rest = text.partition("=")
        if not rest:
            rest = f"{r.kind}:get,patch,update"
        kind, _, vs = rest.partition(":")
        group, version = "", ""
        if "/" in kind:
            group, version, kind = kind.split("/")
        t = self.type_of(group if version else r.group, version or r.version, kind)
        if t == "NULL":
            sys.exit(f"{r.where}: there is no type {kind} for {name}")
        return (f"{{{sv(name)}, {sv(group)}, {sv(version)}, {sv(kind)}, {t}, "
                f"{verbs(vs, r.where)}}}")


def main(table, cells, resources, printers, *paths):
    types, tags = {}, {}
    for p in map(tf.read_types, paths):
        tag = p.short.split(".")[0]
        tags[(p.group, p.version)] = tag
        for t in p.types.values():
            types[(p.group, p.version, t.name)] = re.sub(r"[^A-Za-z0-9]", "_", t.full)
    rows, columns = read_rows(resources), read_printers(printers)
    index = {(r.group, r.version, r.plural): i for i, r in enumerate(rows)}
    known = {f"{tags[(r.group, r.version)]}.{r.kind}" for r in rows}
    for k in columns:
        if k not in known:
            sys.exit(f"{printers}: no resource has the kind {k}")
    with open(table, "w") as f:
        f.write('// Generated by tools/gen_resources.py.\n#include "meta/resources_table.h"\n'
                '#include "meta/schema_tables.h"\n\n')
        w = Writer(f, types)
        lines = []
        seen = {}
        for r in rows:
            tag = tags[(r.group, r.version)]
            cols = columns.get(f"{tag}.{r.kind}", [])
            key = f"{tag}.{r.kind}"
            if key not in seen:
                seen[key] = w.array("struct kn_column", [
                    f"{{{sv(c[0])}, {sv(c[1])}, {sv('name' if 'name' in c[3] else '')}, "
                    f"{1 if 'wide' in c[3] else 0}, {str('number' in c[3]).lower()}, {sv(c[2])}, "
                    f"KN_SV(\"\")}}" for c in cols])
            hub = (r.group, r.version)
            if r.hub:
                g, _, v = r.hub.rpartition("/")
                hub = (g, v)
            if (*hub, r.plural) not in index:
                sys.exit(f"{r.where}: there is no {r.plural} in {r.hub}")
            t = w.type_of(r.group, r.version, r.kind)
            if t == "NULL":
                sys.exit(f"{r.where}: there is no type {r.kind}")
            arrays = [w.array("struct kn_sv", [f'{{"{s}", {len(s)}}}' for s in r.short]),
                      w.array("struct kn_sv", [f'{{"{s}", {len(s)}}}' for s in r.cat]),
                      w.array("struct kn_subresource", [w.sub(s, r) for s in r.subs]), seen[key],
                      w.array("struct kn_sv", [f'{{"{s}", {len(s)}}}' for s in r.select])]
            lines.append(
                f"    {{{sv(r.group)}, {sv(r.version)}, {sv(r.plural)}, {sv(r.singular)}, {sv(r.kind)},\n"
                f"     {t}, &kn_resources_builtin[{index[(*hub, r.plural)]}],\n"
                f"     {verbs(r.verbs, r.where)},\n"
                f"     {str(r.namespaced).lower()}, {str(r.served).lower()}, {str(r.virtual).lower()}, "
                f"{', '.join(arrays)},\n"
                f"     {len(r.short)}, {len(r.cat)}, {len(r.subs)}, {len(cols)}, {len(r.select)},\n"
                f"     {deprecation(r)}}},\n")
        f.write("\nconst struct kn_resource kn_resources_builtin[] = {\n" + "".join(lines) +
                f"}};\nconst size_t kn_resources_builtin_count = {len(rows)};\n")
    names = sorted({c[2] for cs in columns.values() for c in cs if not c[2].startswith(".")})
    with open(cells, "w") as f:
        f.write("// Generated by tools/gen_resources.py: the functions that cells name.\n#pragma once\n\n"
                "#define KN_PRINT_CELLS(X)")
        for n in names:
            f.write(f" \\\n    X({n})")
        f.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
