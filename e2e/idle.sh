#!/usr/bin/env bash
# idle.sh [ENGINE]   plays the service's table against a service that does nothing,
# in a work tree of its own, and fails if a scene passes. ENGINE is weir (the
# default; about six minutes) or apache-kafka. WEIR_IDLE_LOG keeps the log there.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
home=$PWD engine=${1:-weir}
dir=$(mktemp -d)
log=${WEIR_IDLE_LOG:-$dir/log}
trap 'cd /; git -C "$home" worktree remove --force "$dir/weir"; rm -rf "$dir"' EXIT
git worktree add --detach "$dir/weir" HEAD > /dev/null || exit 1
cd "$dir/weir" && git apply e2e/idle.patch && go build -o bin/weir ./cmd/weir || exit 1
WEIR_E2E_IDLE=1 WEIR_E2E_FULL=1 go test -tags e2e -count=1 -timeout 40m ./e2e -run "^TestService\$/^$engine\$" -v > "$log" 2>&1
grep -E '^ *--- |_test.go:' "$log" | grep -v FIGURE
passed=$(grep -cE '^        --- PASS' "$log")
failed=$(grep -cE '^        --- FAIL' "$log")
echo "scenes that fail: $failed, that pass: $passed"
[ "$passed" = 0 ] && [ "$failed" = "$(($(grep -cE '^[[:space:]]+\{".*\(\*house\)' e2e/service_table_test.go) + 1))" ]
