#!/usr/bin/env bash
# The whole of `make test`: checkers, then the unit, suite and fuzz-replay levels in an ordinary
# build and in one under ASan and UBSan, and scenarios in the ordinary build. Prints what it ran;
# ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0
count() { # count NAME COMMAND...: one check
  local name=$1; shift
  if "$@"; then passed=$((passed + 1)); echo "ok   $name"; else failed=$((failed + 1)); echo "FAIL $name"; fi; }
suite() { # suite FOLDER MESON-OPTIONS...: builds and runs all meson tests there
  local dir=$1; shift
  [ -e "$dir/build.ninja" ] || meson setup "$dir" "$@" || { failed=$((failed + 1)); return; }
  ninja -C "$dir" || { failed=$((failed + 1)); echo "FAIL build of $dir"; return; }
  run_suite "$dir"; }
run_suite() { # run_suite FOLDER MESON-OPTIONS...: runs what is built and counts
  local dir=$1 result; shift
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@"
  result=$(python3 tools/count_tests.py "$dir/meson-logs/testlog.json") || { failed=$((failed + 1)); return; }
  read -r ok bad <<<"$result"
  passed=$((passed + ok)) failed=$((failed + bad)); }

count "layers: no include points up or sideways" python3 tools/check_layers.py
count "headers: guarded and self-contained" python3 tools/check_headers.py
count "banned calls are absent" python3 tools/check_banned.py
count "links in documents lead somewhere" python3 tools/check_links.py
suite build
run_suite build --suite scenario
suite build-asan -Db_sanitize=address,undefined -Db_lundef=false
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
