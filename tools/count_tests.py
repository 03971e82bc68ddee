#!/usr/bin/env python3
"""count_tests.py LOG [SKIPS]: prints how many tests of a meson testlog.json passed and failed. A
skipped test is neither. To SKIPS is added a line with the reason for every case that was skipped."""
import json
import re
import sys

ok = bad = 0
reasons = []
for line in open(sys.argv[1]):
    test = json.loads(line)
    result = test["result"]
    ok += result in ("OK", "EXPECTEDFAIL")
    bad += result not in ("OK", "EXPECTEDFAIL", "SKIP")
    # ktest_skip() and tests/scenario/machine.py write these; cmocka's stdout is often kept apart.
    text = test.get("stdout", "") + test.get("stderr", "")
    found = re.findall(r"^skipped \w+: (.*)$|^SKIPPED: (.*)$", text, re.M)
    reasons += [a or b for a, b in found] or ["no reason given"] * (result == "SKIP")
if len(sys.argv) > 2:
    with open(sys.argv[2], "a") as f:
        f.writelines(r + "\n" for r in reasons)
print(ok, bad)
