#!/usr/bin/env python3
"""embed.py FILE OUT.c NAME HEADER: writes a C file with the bytes of FILE as the array NAME."""
import sys

source, out, name, header = sys.argv[1:]
data = open(source, "rb").read()
with open(out, "w") as f:
    f.write(f'#include "{header}"\n\nconst unsigned char {name}[] = {{\n')
    for i in range(0, len(data), 20):
        f.write(",".join(map(str, data[i:i + 20])) + ",\n")
    f.write(f"}};\nconst size_t {name}_len = sizeof {name};\n")
