#!/usr/bin/env python3
"""Writes the tables of src/meta/schema.h from schema/*.types and schema/docs.txt.

    gen_schema.py TYPES_HEADER TABLES_C DOCS TYPES...

Deterministic: the same input gives the same bytes."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import types_file as tf  # noqa: E402


def atom(name):
    return "KN_K_" + re.sub(r"[^A-Za-z0-9]", "_", name) if name else "KN_K_NONE"


def c_string(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Text:
    """One blob of NUL-terminated strings, each once; offset 0 is the empty string."""

    def __init__(self):
        self.parts, self.at, self.size = [""], {"": 0}, 1

    def add(self, s):
        if s not in self.at:
            self.at[s] = self.size
            self.parts.append(s)
            self.size += len(s.encode()) + 1
        return self.at[s]


class Tables:
    def __init__(self, packages, docs):
        self.packages, self.docs, self.used = packages, docs, set()
        self.text, self.doc_index, self.doc_offsets = Text(), {"": 0}, [0]
        self.extras, self.extra_rows = {(0, 0, 0, 0, 0, 0, 0): 0}, [(0, 0, 0, 0, 0, 0, 0)]
        self.lists, self.list_rows = {}, []
        self.types = [t for p in packages for _, t in sorted(p.types.items())]
        self.index = {t.full: i for i, t in enumerate(self.types)}
        self.by_short = {p.short: p for p in packages}
        self.field_rows = ["{KN_K_apiVersion, 0, 0, KN_KIND_STRING, 0, 0, 0, %d}" % self.doc("TypeMeta", "apiVersion", ""),
                           "{KN_K_kind, 0, 0, KN_KIND_STRING, 0, 0, 0, %d}" % self.doc("TypeMeta", "kind", "")]
        self.member_rows, self.type_rows = [], []

    def doc(self, type_name, field, package):
        base = f"{type_name}.{field}" if field else type_name
        for key in (f"{package}.{base}", base):
            if key in self.docs:
                self.used.add(key)
                s = self.docs[key]
                if s not in self.doc_index:
                    self.doc_index[s] = len(self.doc_offsets)
                    self.doc_offsets.append(self.text.add(s))
                return self.doc_index[s]
        return 0

    def run(self, items):
        """Where a run of 16-bit values (atoms, or text offsets made by `enum`) lies in the pool."""
        key = tuple(items)
        if not key:
            return 0
        if key not in self.lists:
            self.lists[key] = len(self.list_rows)
            self.list_rows.extend(key)
        return self.lists[key]

    def look_up(self, t, f):
        """(kind, type index, scalar name, enum values, is bare)"""
        if f.kind in tf.BASE:
            target = 0
            if f.kind.startswith("schema_or_"):
                target = self.index[f"{t.package.short}.JSONSchemaProps"]
            return tf.BASE[f.kind], target, "", [], False
        where, _, name = f.kind.rpartition(".")
        p = self.by_short.get(where) if where else t.package
        if p and name in p.types:
            target = p.types[name]
            return "OBJECT", self.index[target.full], "", [], target.sort == "bare"
        if p and name in p.scalars:
            return "STRING", 0, name, p.scalars[name], False
        sys.exit(f"{f.where}: there is no type {f.kind}")

    def extra(self, t, f, scalar, values):
        keys = f.list_keys()
        # a value list is a run of offsets into the text, each in two 16-bit halves
        halves = [h for v in values for h in (self.text.add(v) & 0xFFFF, self.text.add(v) >> 16)]
        row = (self.text.add(scalar), self.text.add(f.values.get("default", "")),
               self.run(halves), len(values), self.run([atom(k) for k in keys]), len(keys),
               atom(f.values.get("merge", "")) if f.values.get("merge") else 0)
        if row not in self.extras:
            self.extras[row] = len(self.extra_rows)
            self.extra_rows.append(row)
        return self.extras[row]

    def flags(self, f, bare):
        out = ["KN_FIELD_" + m.upper() for m in ("required", "always", "omitzero", "merge", "atomic",
                                                 "immutable", "replace") if m in f.marks]
        if "retainkeys" in f.marks:
            out.append("KN_FIELD_RETAIN_KEYS")
        if f.pointer:
            out.append("KN_FIELD_POINTER")
        if not f.name:
            out.append("KN_FIELD_INLINE")
        kind = f.values.get("list", "").split("(")[0]
        if kind:
            out.append(f"KN_FIELD_LIST_{kind.upper()}")
        if bare:
            out.append("KN_FIELD_BARE_LIST")
        return " | ".join(out) or "0"

    def build_fields(self):
        self.first_field = {}
        self.field_index = {}
        for t in self.types:
            self.first_field[t.full] = len(self.field_rows)
            for f in t.fields:
                kind, target, scalar, values, bare = self.look_up(t, f)
                self.field_index[id(f)] = len(self.field_rows)
                self.field_rows.append(
                    "{%s, %d, %d, KN_KIND_%s, KN_SHAPE_%s, %s, %d, %d}" %
                    (atom(f.name), f.number, target, kind, tf.SHAPES[f.shape], self.flags(f, bare),
                     self.extra(t, f, scalar, values), self.doc(t.name, f.name, t.package.short)
                     if f.name else 0))

    def members(self, t):
        out = []
        for f in t.fields:
            if f.name:
                out.append((f.name, self.field_index[id(f)]))
            else:
                out += self.members(self.types[self.look_up(t, f)[1]])
        return out

    def defaulted(self):
        """Types with defaults in them or below them."""
        known = {t.full for t in self.types
                 if "defaults" in t.marks or any("default" in f.values for f in t.fields)
                 or (t.package.short.split(".")[0] != "resource"  # amounts there are exact
                     and any(f.kind == "quantity" and f.shape == "{}" for f in t.fields))}
        while True:
            more = {t.full for t in self.types if t.full not in known and any(
                self.look_up(t, f)[0] == "OBJECT" and self.types[self.look_up(t, f)[1]].full in known
                for f in t.fields)}
            if not more:
                return known
            known |= more

    def build_types(self):
        defaulted = self.defaulted()
        for i, t in enumerate(self.types):
            members = self.members(t)
            if t.sort in ("kind", "list"):
                members += [("apiVersion", 0), ("kind", 1)]
            members.sort()
            names = [m[0] for m in members]
            if len(set(names)) != len(names):
                sys.exit(f"{t.full}: a member occurs twice: {names}")
            flags = {"kind": ["KN_TYPE_KIND"], "list": ["KN_TYPE_KIND", "KN_TYPE_LIST"],
                     "bare": ["KN_TYPE_BARE"], "type": []}[t.sort][:]
            if "atomic" in t.marks:
                flags.append("KN_TYPE_ATOMIC")
            if t.full in defaulted:
                flags.append("KN_TYPE_DEFAULTED")
            self.type_rows.append("{%d, %d, %d, %d, %d, %d, %d, %s, %d}" % (
                self.text.add(t.name), i, self.packages.index(t.package), self.first_field[t.full],
                len(t.fields), len(self.member_rows), len(members), " | ".join(flags) or "0",
                self.doc(t.name, "", t.package.short)))
            self.member_rows += [m[1] for m in members]


def ident(t):
    return re.sub(r"[^A-Za-z0-9]", "_", t.full)


def write_header(path, tables):
    with open(path, "w") as f:
        f.write("// Generated by tools/gen_schema.py: the numbers of the built-in types, for tables that are\n"
                "// indexed by type. kn_type_at(KN_T_core_v1_Pod) is the type.\n#pragma once\n\n"
                "enum kn_type_id {\n")
        for t in tables.types:
            f.write(f"    KN_T_{ident(t)},\n")
        f.write("    KN_T_COUNT\n};\n\n// Types whose defaults are functions (marked \"defaults\").\n"
                "#define KN_TYPES_WITH_DEFAULTS(X)")
        for t in tables.types:
            if "defaults" in t.marks:
                f.write(f" \\\n    X({ident(t)})")
        f.write("\n")


def write_rows(f, head, rows, per_line=1):
    f.write(head + " = {\n")
    for i in range(0, len(rows), per_line):
        f.write("    " + ", ".join(str(r) for r in rows[i:i + per_line]) + ",\n")
    f.write("};\n\n")


def write_tables(path, tables):
    with open(path, "w") as f:
        f.write('// Generated by tools/gen_schema.py.\n#include "meta/schema_tables.h"\n\n')
        write_rows(f, "static const struct kn_field fields[]", tables.field_rows)
        write_rows(f, "static const uint16_t members[]", tables.member_rows, 16)
        write_rows(f, "static const uint16_t lists[]", tables.list_rows or [0], 8)
        write_rows(f, "static const uint32_t docs[]", tables.doc_offsets, 16)
        write_rows(f, "static const struct kn_extra extras[]",
                   ["{%s}" % ", ".join(str(x) for x in r) for r in tables.extra_rows])
        first, rows = 0, []
        for p in tables.packages:
            rows.append("{%d, %d, %d, %d, %d, %d}" % (
                tables.text.add(p.name), tables.text.add(p.short.split(".")[0]),
                tables.text.add(p.group), tables.text.add(p.version), first, len(p.types)))
            first += len(p.types)
        write_rows(f, "static const struct kn_package packages[]", rows)
        f.write("static const char text[] =\n")
        for part in tables.text.parts:
            f.write(f"    {c_string(part)} \"\\0\"\n")
        f.write("    ;\n\nconst struct kn_schema_builtin kn_schema_builtin = {\n"
                "    .head = {fields, members, lists, docs, extras, packages, text, %d, %d},\n"
                "    .types = {\n" % (len(tables.types), len(tables.packages)))
        for row in tables.type_rows:
            f.write(f"        {row},\n")
        f.write("    },\n};\n")


def main(header, table, docs, *paths):
    packages = sorted((tf.read_types(p) for p in paths), key=lambda p: p.short)
    tables = Tables(packages, tf.read_docs(docs))
    tables.build_fields()
    tables.build_types()
    unused = sorted(set(tables.docs) - tables.used)
    if unused:
        sys.exit(f"{docs}: no such type or field: {', '.join(unused[:20])}")
    write_header(header, tables)
    write_tables(table, tables)


if __name__ == "__main__":
    main(*sys.argv[1:])
