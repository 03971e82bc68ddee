"""Reads schema/*.types and schema/docs.txt (format: schema/README.md)."""
import re
import sys

SHAPES = {"": "SINGLE", "[]": "LIST", "{}": "MAP"}
BASE = {
    "string": "STRING", "bool": "BOOL", "int32": "INT32", "int64": "INT64", "double": "DOUBLE",
    "bytes": "BYTES", "quantity": "QUANTITY", "time": "TIME", "microtime": "MICROTIME",
    "duration": "DURATION", "intorstring": "INT_OR_STRING", "raw": "RAW",
    "schema_or_array": "SCHEMA_OR_ARRAY", "schema_or_bool": "SCHEMA_OR_BOOL",
    "schema_or_strings": "SCHEMA_OR_STRINGS",
}
MARKS = {"required", "always", "omitzero", "retainkeys", "replace", "merge", "atomic", "immutable"}
VALUED = {"merge", "list", "default", "min", "max", "maxitems", "maxlength", "maxbytes", "format",
          "gate"}


class Field:
    def __init__(self, number, name, kind, marks, where):
        self.number, self.name, self.where = number, name, where
        m = re.fullmatch(r"(\*?)(\[\]|\{\}|)([\w.]+)", kind)
        if not m:
            sys.exit(f"{where}: {kind} is no type")
        self.pointer, self.shape, self.kind = bool(m[1]), m[2], m[3]
        self.marks, self.values = set(), {}
        for mark in marks:
            word, eq, value = mark.partition("=")
            if eq and word in VALUED:
                self.values[word] = value
                if word == "merge":
                    self.marks.add("merge")
            elif not eq and word in MARKS:
                self.marks.add(word)
            else:
                sys.exit(f"{where}: {mark} is no mark")

    def list_keys(self):
        m = re.fullmatch(r"map\((.*)\)", self.values.get("list", ""))
        return m[1].split(",") if m else []


class Type:
    def __init__(self, package, name, sort, marks):
        self.package, self.name, self.sort, self.marks, self.fields = package, name, sort, marks, []

    @property
    def full(self):
        return f"{self.package.short}.{self.name}"


class Package:
    def __init__(self):
        self.name = self.short = self.group = self.version = ""
        self.types, self.scalars = {}, {}


def read_types(path):
    p, current = Package(), None
    for n, line in enumerate(open(path), 1):
        where = f"{path}:{n}"
        text = line.rstrip()
        if not text or text.startswith("#"):
            continue
        words = split_words(text)
        if text.startswith(" "):
            if current is None or len(words) < 3:
                sys.exit(f"{where}: a field needs a number, a name and a type, below a type")
            current.fields.append(Field(int(words[0]), "" if words[1] == "-" else words[1], words[2],
                                        words[3:], where))
            continue
        current = None
        if words[0] == "package":
            p.name = words[1]
            p.short = ".".join(words[1].split(".")[-2:])
        elif words[0] in ("group", "version"):
            setattr(p, words[0], "" if words[1] == "-" else words[1])
        elif words[0] in ("kind", "type"):
            current = p.types[words[1]] = Type(p, words[1], words[0], words[2:])
        elif words[0] == "list":
            t = p.types[words[1]] = Type(p, words[1], "list", [])
            t.fields = [Field(1, "metadata", "meta.v1.ListMeta", [], where),
                        Field(2, "items", "[]" + words[2], ["required", "always"], where)]
        elif words[0] == "bare":
            t = p.types[words[1]] = Type(p, words[1], "bare", [])
            t.fields = [Field(1, "items", "[]string", [], where)]
        elif words[0] == "scalar":
            p.scalars[words[1]] = words[2:]
        else:
            sys.exit(f"{where}: {words[0]} is no word that starts a line")
    return p


def split_words(text):
    words = []
    for m in re.finditer(r'(?:[^\s"{}]|"(?:[^"\\]|\\.)*"|\{[^\s]*)+|"(?:[^"\\]|\\.)*"', text):
        w = m[0]
        words.append(w[1:-1] if w.startswith('"') and w.endswith('"') else w)
    return words


def field_names(paths):
    names = set()
    for path in paths:
        for t in read_types(path).types.values():
            for f in t.fields:
                if f.name:
                    names.add(f.name)
                if f.values.get("merge"):
                    names.add(f.values["merge"])
                names.update(f.list_keys())
    return names


def read_docs(path):
    docs = {}
    for n, line in enumerate(open(path), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key, _, sentence = text.partition(" ")
        if not sentence:
            sys.exit(f"{path}:{n}: no sentence")
        if key in docs:
            sys.exit(f"{path}:{n}: {key} is described twice")
        docs[key] = sentence.strip()
    return docs
