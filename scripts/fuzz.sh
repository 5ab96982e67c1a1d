#!/usr/bin/env bash
# fuzz.sh   runs every fuzz target of the module for FUZZTIME (default 10s).
# A finding is left in the package's testdata/fuzz: commit it with the fix.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
time=${FUZZTIME:-10s} targets=0 failed=0
while read -r dir name; do
  targets=$((targets + 1))
  echo "== $dir $name ($time)"
  ${GO:-go} test "$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -parallel 2 || { failed=$((failed + 1)); echo "FAIL $dir $name"; }
done < <(grep -rEl --include='*_test.go' '^func Fuzz' . | sort | while read -r f; do
  sed -nE "s|^func (Fuzz[A-Za-z0-9_]+)\(.*|$(dirname "$f") \1|p" "$f"
done)
echo "$((targets - failed)) passed, $failed failed"
[ $failed = 0 ] && [ $targets -gt 0 ]
