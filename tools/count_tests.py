#!/usr/bin/env python3
"""Prints how many tests of a meson testlog.json passed and failed. A skipped test is neither."""
import json
import sys

ok = bad = 0
for line in open(sys.argv[1]):
    result = json.loads(line)["result"]
    ok += result in ("OK", "EXPECTEDFAIL")
    bad += result not in ("OK", "EXPECTEDFAIL", "SKIP")
print(ok, bad)
