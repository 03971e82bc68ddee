#!/usr/bin/env python3
"""Fails when a folder of the repository has no README.md, or one of more than a page."""
import pathlib
import sys

PAGE = 90  # lines
# Folders of saved inputs and of single recipes and decisions are explained by the folder above.
ABOVE = ("tests/corpus/", "images/", "examples/")

tops = [p for p in pathlib.Path(".").iterdir() if p.is_dir() and not p.name.startswith(("build", "."))]
folders = {str(p) for top in tops for p in (top, *top.rglob("*"))
           if p.is_dir() and p.name not in ("__pycache__", "node_modules")}
bad = []
for folder in sorted(folders):
    readme = pathlib.Path(folder) / "README.md"
    if folder.startswith(ABOVE):
        continue
    if not readme.exists():
        bad.append(f"{folder}: no README.md")
    elif len(readme.read_text().splitlines()) > PAGE:
        bad.append(f"{readme}: more than a page ({PAGE} lines)")
print("\n".join(bad), end="\n" if bad else "")
sys.exit(bool(bad))
