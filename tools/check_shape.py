#!/usr/bin/env python3
"""Fails when a line of C is longer than 100 columns, a file than 800 lines, a function than 60."""
import pathlib
import re
import sys

COLUMNS, FILE, FUNCTION = 100, 800, 60
# Whose lines are longer on purpose: why.
WIDER = {
    "src/apiserver/nodes_test.c": "manifests in JSON, which are read as one line each",
    "src/apiserver/streams_test.c": "queries, which are read as one line each",
    "src/node/pod_worker_test.c": "manifests in JSON, which are read as one line each",
    "src/node/service_env_test.c": "environments, a variable a line",
}
# Longer on purpose, by (file, function): why.
LONGER = {
    ("src/cmd/up.c", "kn_verb_up"): "the order in which a cluster starts, read from top to bottom",
    ("src/wire/client1.c", "read_head"): "one state machine over the lines of a head",
    ("src/meta/patch_strategic_test.c", "merges_lists_of_a_pod_by_their_keys"): "a table of cases",
    ("src/meta/validate_core_test.c", "checks_volumes_and_claims"): "a table of cases",
    ("src/meta/validate_pod_test.c", "checks_the_rest_of_a_pod"): "a table of cases",
    ("src/meta/validate_service_test.c", "checks_services"): "a table of cases",
    ("src/network/service_view_test.c", "a_service_becomes_the_elements_that_it_needs"):
        "a table of cases",
}

bad, used = [], set()
for path in sorted(p for top in ("src", "tests", "bench") for p in pathlib.Path(top).rglob("*.[ch]")):
    lines = path.read_text().splitlines()
    if len(lines) > FILE:
        bad.append(f"{path}: {len(lines)} lines: split it")
    name, begin = "", 0
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and str(path) not in WIDER:
            bad.append(f"{path}:{number}: {len(line)} columns")
        if m := re.match(r"(?:KTEST|SUITE)\((\w+)\)|[A-Za-z].*?\b(\w+)\((?!.*;$)", line):
            name = m.group(1) or m.group(2)
        if line == "{":
            begin = number
        elif line.startswith("}") and begin:
            if number - begin - 1 > FUNCTION and (str(path), name) not in LONGER:
                bad.append(f"{path}:{begin}: {name} has {number - begin - 1} lines: split it")
            elif number - begin - 1 > FUNCTION:
                used.add((str(path), name))
            begin = 0
bad += [f"{path}: {name} is short enough: take it off the list" for path, name in LONGER.keys() - used]
print("\n".join(bad), end="\n" if bad else "")
sys.exit(bool(bad))
