#!/usr/bin/env bash
# check.sh STAGE...   stages: test nowait sim web walk oracle lint conform e2e bench all
# Runs them in turn, goes on after a failure, and ends with the sum of what the
# test runners counted. What cannot run here is listed as SKIPPED; under CI=true
# that fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export GOFLAGS=${GOFLAGS:--buildvcs=false -trimpath} GO=${GO:-go}
mkdir -p bin
counts=$(mktemp "${TMPDIR:-/tmp}/weir-check.XXXXXX")
trap 'rm -f "$counts"' EXIT
failed=0

say() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

# sum NAME COMMAND...: a go test -json run, counted under NAME.
sum() {
  local name=$1
  shift
  "$@" 2>&1 | bin/testsum -o "$counts" -name "$name" || failed=1
}

stage_test() {
  say "unit tests, race detector on"
  sum test "$GO" test -race -short -json -timeout 12m "${apart[@]}" ./...
}

# The seeded simulations: SEEDS of one partition, SEEDS/40 of a quorum of each kind, SEEDS/200 of whole clusters, SEEDS/10 power
# cuts of a log. Whole clusters play beside the others, in a process of their own, and use one processor: so do the others.
seeds=${SEEDS:-20000}
stage_sim() {
  say "simulations: $seeds partitions, $((seeds / 40)) quorums of each kind, $((seeds / 200)) whole clusters"
  (WEIR_SIM_SEEDS=$((seeds / 200)) sum clusters "$GO" test -count=1 -json -timeout 60m -run '^TestCluster$' ./sim; exit $failed) &
  WEIR_MODEL_SEEDS=$seeds WEIR_SIM_SEEDS=$((seeds / 40)) sum cores "$GO" test -p 1 -count=1 -json -timeout 60m \
    -run '^(TestModel|TestSimulation|TestDynamicSimulation)$' ./internal/partition ./internal/quorum
  sum crashes "$GO" test -count=1 -json -timeout 60m -run '^TestCrash$' ./internal/log -crashes $((seeds / 10))
  wait $! || failed=1
}

# What make test cannot see: the race detector gets the ordinary system calls (internal/nowait).
stage_nowait() {
  say "unit tests of the calls that do not wait, race detector off"
  sum nowait "$GO" test -short -json -timeout 5m ./internal/nowait ./internal/vfs ./internal/server ./internal/security/tlsconf
}

stage_lint() {
  say "lint"
  (cd tools && GOFLAGS= "$GO" build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint) &&
    [ -z "$(gofmt -l $(git ls-files '*.go') | tee /dev/stderr)" ] &&
    bin/golangci-lint run --timeout 10m ./... || { failed=1; echo "lint: FAIL"; }
}

# The unit tests that want a real Apache Kafka or the built binary. make check
# runs them here and not among the others; make test counts them as skipped.
beside='ApacheKafkaReads|KafkaReadsOur|FromApacheKafka|AgainstKafka|DumpLogDamaged|^TestCluster$'
apart=()
# These play 168 command lines on a real Apache Kafka; the unit tests hold Weir's tools to recordings of the same.
recorded='^Test(ACLs|DelegationTokens)AgainstKafka$'
stage_oracle() {
  say "unit tests beside an Apache Kafka"
  local dist
  dist=$("$GO" run ./internal/kafkadist/cmd/kafka-dist) || { failed=1; return; }
  make --no-print-directory build || { failed=1; return; }
  WEIR_KAFKA_DIST=$dist WEIR_KAFKA=$dist WEIR_BIN=$PWD/bin/weir sum oracle "$GO" test -p 2 -count=1 -json -timeout 15m \
    -run "$beside" -skip "$recorded" ./internal/log ./internal/record ./internal/controller ./internal/coordinator/group/assign ./internal/node/format ./internal/cli ./internal/controlplane/observe ./internal/controlplane/engine/apachekafka ./internal/controlplane/watch
}

stage_web() {
  say "dashboard: lint, types, client, units"
  make --no-print-directory build || { failed=1; return; }
  sum web scripts/web.sh check
}

# Not part of all: it takes ten minutes and a browser.
stage_walk() {
  say "dashboard: a walk by clicks in Chromium, in both languages"
  scripts/need.sh walk
  make --no-print-directory build || { failed=1; return; }
  sum walk scripts/web.sh walk
}

stage_conform() {
  say "conformance: the same scenarios against Weir and Apache Kafka"
  make --no-print-directory build || { failed=1; return; }
  sum conform "$GO" test -tags conform -count=1 -parallel 4 -json -timeout 30m ./conformance/...
}

stage_e2e() {
  say "end to end: make up, the pages of the README, crashes"
  make --no-print-directory build || { failed=1; return; }
  sum e2e "$GO" test -tags e2e -count=1 -json -timeout 25m ./e2e/...
}

stage_bench() {
  say "bench, quick: both sides, broad limits"
  make --no-print-directory build || { failed=1; return; }
  sum bench "$GO" test -tags bench -count=1 -json -timeout 10m ./bench/...
}

[ $# -gt 0 ] || set -- all
if [ "$*" = all ]; then
  apart=(-skip "$beside")
  set -- need test nowait lint sim+web oracle e2e conform bench
fi
"$GO" build -o bin/testsum ./internal/tidy/testsum || exit 1
ran=0
for stage in "$@"; do
  case $stage in
    need) scripts/need.sh ;;
    sim+web) # the simulations leave one processor free for most of their time
      (failed=0; stage_web; exit $failed) > bin/web.log 2>&1 &
      web=$!
      stage_sim
      wait $web || failed=1
      cat bin/web.log
      ran=1
      ;;
    test | nowait | sim | web | walk | oracle | conform | e2e | bench) "stage_$stage"; ran=1 ;;
    lint) stage_lint ;;
    *) sed -n '2,5p' "$0" >&2; exit 2 ;;
  esac
done
[ $failed = 0 ] || echo "FAILED: see above"
[ $ran = 1 ] || exit $failed
say "sum"
bin/testsum -total "$counts" || failed=1
exit $failed
