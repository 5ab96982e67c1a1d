#!/usr/bin/env bash
# web.sh build|check|walk   the dashboard's pages, from web/ into internal/dashboard.
# build does nothing when they are newer than their sources; without Node.js, or
# when its packages cannot be had, it says so and the build goes on without.
# check prints what lint, types, the generated client and the tests came to, as
# go test -json does; walk clicks through the dashboard in a real Chromium,
# against a real service with real clusters.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
out=internal/dashboard/site/dist/index.html

without() {
  echo "the dashboard's pages are left out: $1"
  rm -rf internal/dashboard/site/dist
  exit 0
}

node_ok() { command -v npm > /dev/null && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2> /dev/null; }

# The mark is younger than the lock file when the packages are those it names.
deps() {
  local mark=web/node_modules/.weir-installed
  [ "$mark" -nt web/package-lock.json ] && return 0
  (cd web && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error) && touch "$mark"
}

build() {
  if [ -f "$out" ] && [ -z "$(find web -path web/node_modules -prune -o -path web/e2e -prune -o -path web/test-results -prune -o -type f -newer "$out" -print -quit)" ]; then return; fi
  node_ok || without "they need Node.js 20.19 or later, with npm"
  deps || without "npm could not install what they need"
  (cd web && npx --no-install vite build --logLevel warn) || { echo "the dashboard does not build" >&2; exit 1; }
}

# event ACTION TEST [TEXT]: one line as go test -json has them.
event() { node -e 'const [Action, Test, Output] = process.argv.slice(1); console.log(JSON.stringify({ Action, Package: "web", Test, ...(Output && { Output }) }))' "$@"; }

# as_test NAME COMMAND...: a command that counts as a test.
as_test() {
  local name=$1 text
  shift
  event run "$name"
  if text=$(cd web && "$@" 2>&1); then event pass "$name"; return; fi
  event output "$name" "$text"
  event fail "$name"
}

check() {
  if ! node_ok; then
    skipped dashboard "Node.js 20.19 or later is missing"
    return
  fi
  deps || { event fail "npm ci"; exit 1; }
  as_test lint npx --no-install biome ci .
  as_test types npx --no-install tsc -p tsconfig.json
  as_test "generated client" npm run --silent api:check
  (cd web && npx --no-install vitest run --reporter=./reporters/gotest.ts)
}

# skipped TEST WHY: a line for what cannot run, without Node.js.
skipped() {
  printf '{"Action":"%s","Package":"web","Test":"%s"%s}\n' run "$1" '' output "$1" ",\"Output\":\"$2\\n\"" skip "$1" ''
}

walk() {
  local chromium
  node_ok || { skipped walk "Node.js 20.19 or later is missing"; return; }
  chromium=$(command -v "${CHROMIUM_PATH:-chromium}" || command -v chromium-browser || command -v google-chrome) ||
    { skipped walk "there is no Chromium: install it, or name one with CHROMIUM_PATH"; return; }
  deps || { event fail "npm ci"; exit 1; }
  (cd web && CHROMIUM_PATH=$chromium npx --no-install playwright test --reporter=./reporters/gotest.ts)
}

case ${1:-} in
  build | check | walk) "$1" ;;
  *) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
