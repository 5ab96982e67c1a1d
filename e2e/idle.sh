#!/usr/bin/env bash
# idle.sh   plays the service's table against a service that does nothing, in a
# work tree of its own, and fails if a scene passes. Takes about ten minutes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/weir"; rm -rf "$dir"' EXIT
git worktree add --detach "$dir/weir" HEAD > /dev/null || exit 1
cd "$dir/weir" && git apply e2e/idle.patch && go build -o bin/weir ./cmd/weir || exit 1
WEIR_E2E_IDLE=1 WEIR_E2E_FULL=1 go test -tags e2e -count=1 -timeout 40m ./e2e -run 'TestService/apache-kafka' -v > "$dir/log" 2>&1
grep -E '^ *--- |_test.go:' "$dir/log" | grep -v FIGURE
passed=$(grep -cE '^        --- PASS' "$dir/log")
failed=$(grep -cE '^        --- FAIL' "$dir/log")
echo "scenes that fail: $failed, that pass: $passed"
[ "$passed" = 0 ] && [ "$failed" = "$(($(grep -cE '^[[:space:]]+\{".*\(\*house\)' e2e/service_table_test.go) + 1))" ]
