#!/usr/bin/env python3
"""check_headers.py [BUILD]: fails when a header is not `#pragma once`, does not begin with a comment
that says what it is, or does not compile alone with the flags of the build (warnings are errors)."""
import pathlib
import sys
import tempfile

import compile_db

build = sys.argv[1] if len(sys.argv) > 1 else "build"
headers = sorted(p for top in ("src", "tests") for p in pathlib.Path(top).rglob("*.h"))
bad = []
for path in headers:
    text = path.read_text()
    if "#pragma once" not in text:
        bad.append(f"{path}: no #pragma once")
    if not text.startswith("//"):
        bad.append(f"{path}: begins without a comment on its purpose")
print("\n".join(bad), end="\n" if bad else "")
if bad:
    sys.exit(1)
# The executable sees every folder; its flags are those of all.
flags = next(iter(compile_db.commands(build, lambda p: p == "src/cmd/main.c")))
with tempfile.TemporaryDirectory() as folder:
    sources = []
    for i, path in enumerate(headers):
        source = pathlib.Path(folder) / f"{i}_{path.stem}.c"
        # A prototype keeps a header of macros alone from being an empty translation unit.
        source.write_text(f'#include "{path.resolve()}"\nextern int kn_alone;\n')
        sources.append(str(source))
    compile_db.run_all([["gcc", *f, "-I.", "-I./tests", "-fsyntax-only", *files]
                        for f, files in compile_db.chunks({flags: sources}, 16)])
