#!/usr/bin/env python3
"""Fails when a file under src/ includes a header of a floor above, or of a neighbour on its floor.
The floors are those of ARCHITECTURE.md."""
import pathlib
import re
import sys

FLOOR = {"base": 0, "codec": 1, "wire": 1, "store": 2, "meta": 2, "client": 3, "apiserver": 4,
         "controllers": 4, "scheduler": 4, "node": 4, "network": 4, "cluster": 4, "apps": 4, "cmd": 5}
# Third-party headers have one home each.
HOMES = {r"openssl/": ("src/base/crypto", "src/wire/tls"), r"lmdb\.h": ("src/store/lmdb.c",),
         r"nghttp2/": ("src/wire/",), r"yaml\.h": ("src/codec/yaml",), r"zstd\.h": ("src/codec/",),
         r"zlib\.h": ("src/codec/", "src/wire/"), r"seccomp\.h": ("src/cmd/sandbox.c",),
         r"linux/(netfilter|rtnetlink|veth|netlink)": ("src/network/", "src/wire/netlink")}
bad = []
for path in sorted(pathlib.Path("src").rglob("*.[ch]")):
    room = path.parts[1]
    for number, line in enumerate(path.open(), 1):
        if m := re.match(r'#include "([a-z]+)/', line):
            other = m.group(1)
            if other in FLOOR and other != room and FLOOR[other] >= FLOOR[room]:
                bad.append(f"{path}:{number}: {room} (floor {FLOOR[room]}) includes {other} (floor {FLOOR[other]})")
        if m := re.match(r"#include <([^>]+)>", line):
            for pattern, homes in HOMES.items():
                if re.match(pattern, m.group(1)) and not str(path).startswith(homes):
                    bad.append(f"{path}:{number}: <{m.group(1)}> belongs to {', '.join(homes)}")
print("\n".join(bad), end="\n" if bad else "")
sys.exit(bool(bad))
