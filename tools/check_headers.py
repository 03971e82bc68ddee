#!/usr/bin/env python3
"""Fails when a header is not `#pragma once` or does not begin with a comment that says what it is."""
import pathlib
import sys

bad = []
for path in sorted(pathlib.Path("src").rglob("*.h")):
    text = path.read_text()
    if "#pragma once" not in text:
        bad.append(f"{path}: no #pragma once")
    if not text.startswith("//"):
        bad.append(f"{path}: begins without a comment on its purpose")
print("\n".join(bad), end="\n" if bad else "")
sys.exit(bool(bad))
