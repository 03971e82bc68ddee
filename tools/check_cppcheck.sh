#!/usr/bin/env bash
# cppcheck over what is shipped. Macros that it cannot know are given empty.
cd "$(dirname "$0")/.."
find src -name '*.c' ! -name '*_test.c' ! -name '*_fuzz.c' ! -name testing.c |
  cppcheck -q -j"$(nproc)" --std=c11 -DKN_NODISCARD= '-DKN_TYPES_WITH_DEFAULTS(X)=' \
    --enable=warning,performance,portability --suppressions-list=tools/cppcheck.txt \
    -I src --error-exitcode=1 --file-list=-
