#!/usr/bin/env bash
# need.sh [walk]   installs what `make check`, or the walk in a browser, wants and
# this machine lacks, where it may: Debian's packages as root. What stays missing
# is skipped later by name.
set -u
want=()
command -v java > /dev/null || want+=(default-jre-headless)
command -v mvn > /dev/null || want+=(maven)
command -v ip > /dev/null && command -v tc > /dev/null || want+=(iproute2)
command -v kcat > /dev/null || want+=(kcat)
command -v node > /dev/null || want+=(nodejs)
command -v npm > /dev/null || want+=(npm)
if [ "${1:-}" = walk ]; then
  command -v "${CHROMIUM_PATH:-chromium}" > /dev/null || want+=(chromium)
  fc-list :lang=ko 2> /dev/null | grep -q . || want+=(fontconfig fonts-nanum)
fi
python3 -c 'import venv, ensurepip' 2> /dev/null || want+=(python3-venv)
if [ ${#want[@]} -eq 0 ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "missing, and this is not root on Debian: ${want[*]}"
  exit 0
fi
echo "installing ${want[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
{ apt-get update -q && apt-get install -q -y --no-install-recommends "${want[@]}"; } > "$log" 2>&1 || tail -5 "$log"
rm -f "$log"
