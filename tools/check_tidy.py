#!/usr/bin/env python3
"""check_tidy.py [BUILD]: clang-tidy, with the checks of .clang-tidy, over what is shipped."""
import sys

import compile_db

build = sys.argv[1] if len(sys.argv) > 1 else "build"
table = compile_db.commands(
    build, lambda p: p.startswith("src/") and not p.endswith(("_test.c", "_fuzz.c", "testing.c")))
compile_db.run_all([["clang-tidy", "--quiet", *files, "--", *flags, "-Wno-unknown-warning-option"]
                    for flags, files in compile_db.chunks(table, 8)])
