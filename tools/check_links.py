#!/usr/bin/env python3
"""Fails when a relative link in a Markdown file leads nowhere."""
import pathlib
import re
import sys

bad = []
for path in sorted(pathlib.Path(".").rglob("*.md")):
    if path.parts[0].startswith(("build", ".")):
        continue
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target and not (path.parent / target).exists():
            bad.append(f"{path}: {target}")
print("\n".join(bad), end="\n" if bad else "")
sys.exit(bool(bad))
