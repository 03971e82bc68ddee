#!/usr/bin/env python3
"""Writes codec/atoms.h and codec/atoms.c from schema/atoms.txt: one number for every member name
that a schema knows, and a perfect-enough hash table from text to number."""
import re
import sys


def ident(name):
    return "KN_K_" + re.sub(r"[^A-Za-z0-9]", "_", name)


def fnv(name, seed):
    h = seed
    for b in name.encode():
        h = ((h ^ b) * 16777619) & 0xFFFFFFFF
    return h ^ (h >> 15)


def main(source, header, table):
    names = sorted({line.strip() for line in open(source) if line.strip()})
    idents = {}
    for n in names:
        if ident(n) in idents:
            sys.exit(f"{source}: {n} and {idents[ident(n)]} become the same identifier")
        idents[ident(n)] = n
    size = 1
    while size < len(names) * 4:
        size *= 2
    best = None
    for seed in range(2166136261, 2166136261 + 200):
        slots, worst = [0] * size, 0
        for i, n in enumerate(names, 2):
            at, probes = fnv(n, seed) & (size - 1), 1
            while slots[at]:
                at, probes = (at + 1) & (size - 1), probes + 1
            slots[at] = i
            worst = max(worst, probes)
        if best is None or worst < best[0]:
            best = (worst, seed, slots)
    _, seed, slots = best
    with open(header, "w") as f:
        f.write("// Generated from schema/atoms.txt by tools/gen_atoms.py.\n#pragma once\n"
                '#include "base/sv.h"\n\nenum kn_atom {\n    KN_K_NONE,\n    KN_K_TEXT,\n')
        for n in names:
            f.write(f"    {ident(n)},\n")
        f.write("    KN_ATOM_COUNT\n};\n\n"
                "// KN_K_NONE if the name is no atom.\nenum kn_atom kn_atom_find(struct kn_sv name);\n"
                "// The empty view for KN_K_NONE and KN_K_TEXT.\nstruct kn_sv kn_atom_name(enum kn_atom atom);\n")
    with open(table, "w") as f:
        f.write('// Generated from schema/atoms.txt by tools/gen_atoms.py.\n#include "codec/atoms.h"\n\n'
                "static const struct kn_sv names[KN_ATOM_COUNT] = {\n")
        for n in names:
            f.write(f'    [{ident(n)}] = {{"{n}", {len(n.encode())}}},\n')
        f.write("};\n\nstatic const uint16_t slots[%d] = {\n" % size)
        for i in range(0, size, 16):
            f.write("    " + ", ".join(str(s) for s in slots[i:i + 16]) + ",\n")
        f.write("""};

enum kn_atom kn_atom_find(struct kn_sv name)
{
    uint32_t h = %uu;
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (unsigned char)name.ptr[i]) * 16777619u;
    h ^= h >> 15;
    for (uint32_t at = h & %du; slots[at]; at = (at + 1) & %du)
        if (kn_sv_eq(names[slots[at]], name))
            return (enum kn_atom)slots[at];
    return KN_K_NONE;
}

struct kn_sv kn_atom_name(enum kn_atom atom)
{
    return names[atom];
}
""".replace("%u", str(seed)).replace("%d", str(size - 1)))


if __name__ == "__main__":
    main(*sys.argv[1:])
