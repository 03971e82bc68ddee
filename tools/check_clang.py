#!/usr/bin/env python3
"""check_clang.py [BUILD]: fails when clang, given the flags of the build, warns of any C file."""
import pathlib
import sys

import compile_db

# What gcc alone knows.
GCC_ONLY = {"-fstack-clash-protection", "-Wno-maybe-uninitialized"}
table = {}
for flags, files in compile_db.commands(sys.argv[1] if len(sys.argv) > 1 else "build").items():
    table.setdefault(tuple(f for f in flags if f not in GCC_ONLY), []).extend(files)
# The shim is built by a command of its own (src/node/meson.build).
shim = ("-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")
table.setdefault(shim, []).extend(map(str, sorted(pathlib.Path("src/node/shim").glob("*.c"))))
compile_db.run_all([["clang", *flags, "-fsyntax-only", "-Wno-unknown-warning-option", *files]
                    for flags, files in compile_db.chunks(table, 8)])
