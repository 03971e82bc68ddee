#!/usr/bin/env bash
# run_tests.sh [all|lint|tsan]: the whole of `make test`, or of `make lint`, or of `make tsan`.
# all:  checkers, then the unit, suite and fuzz-replay levels in an ordinary build and in one under
#       ASan and UBSan, and scenarios in the ordinary build; clang reads every file too.
# lint: the checkers, clang, clang-tidy and cppcheck (minutes).
# tsan: the unit and suite levels under TSan.
# Prints what it ran; ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0 skips=$(mktemp)
trap 'rm -f "$skips"' EXIT
count() { # count NAME COMMAND...: one check
  local name=$1; shift
  if "$@"; then passed=$((passed + 1)); echo "ok   $name"; else failed=$((failed + 1)); echo "FAIL $name"; fi; }
suite() { # suite FOLDER MESON-OPTIONS...: builds all there
  local dir=$1; shift
  [ -e "$dir/build.ninja" ] || meson setup "$dir" "$@" || { failed=$((failed + 1)); return 1; }
  ninja -C "$dir" || { failed=$((failed + 1)); echo "FAIL build of $dir"; return 1; }; }
run_suite() { # run_suite FOLDER MESON-OPTIONS...: runs what is built and counts
  local dir=$1 result; shift
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@"
  result=$(python3 tools/count_tests.py "$dir/meson-logs/testlog.json" "$skips") || { failed=$((failed + 1)); return; }
  read -r ok bad <<<"$result"
  passed=$((passed + ok)) failed=$((failed + bad)); }
checkers() { # those that need no build, and those that need what a build generates
  count "layers: no include points up or sideways" python3 tools/check_layers.py
  count "banned calls are absent" python3 tools/check_banned.py
  count "lines, files and functions are short" python3 tools/check_shape.py
  count "every folder says what it is" python3 tools/check_readmes.py
  count "links in documents lead somewhere" python3 tools/check_links.py
  suite build || return
  count "headers: guarded, explained, and each compiles alone" python3 tools/check_headers.py build
  count "clang has no warning" python3 tools/check_clang.py build; }

case ${1:-all} in
all)
  checkers
  run_suite build
  run_suite build --suite scenario
  suite build-asan -Db_sanitize=address,undefined -Db_lundef=false && run_suite build-asan ;;
lint)
  checkers
  count "clang-tidy has no warning" python3 tools/check_tidy.py build
  count "cppcheck has no warning" tools/check_cppcheck.sh ;;
tsan)
  suite build-tsan -Db_sanitize=thread -Db_lundef=false -Dbench=false &&
    run_suite build-tsan --suite unit --suite suite --timeout-multiplier 4 ;;
*) echo "run_tests.sh: there is no level $1: all, lint, tsan" >&2; exit 2 ;;
esac
if [ -s "$skips" ]; then
  echo "skipped: $(wc -l <"$skips") cases ($(sort "$skips" | uniq -c | awk '{n=$1; $1=""; printf "%s%d:%s", s, n, $0; s="; "}'))"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
