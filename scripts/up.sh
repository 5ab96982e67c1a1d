#!/usr/bin/env bash
# up.sh up|down|logs   one broker in the background on 127.0.0.1, for make broker.
# Data, log, port and process id live under WEIR_DATA (default ./data). Only
# the process named in its pid file, and only if it is a weir, is ever stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
weir=$PWD/bin/weir
dir=${WEIR_DATA:-data}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
pidfile=$dir/weir.pid portfile=$dir/weir.port log=$dir/weir.log props=$dir/server.properties

# The process id of a live broker that this script started, or nothing.
running() {
  local pid
  [ -s "$pidfile" ] || return 0
  pid=$(cat "$pidfile")
  case $(ps -p "$pid" -o command= 2> /dev/null) in
    *weir*kafka-server-start*) echo "$pid" ;;
  esac
}

taken() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# The first free port from $1 that is not $2.
free_port() {
  local p=$1
  while taken "$p" || [ "$p" = "${2:-}" ]; do p=$((p + 1)); done
  echo "$p"
}

# Nobody listening is asked first: the tool would try for its whole time-out.
answers() { taken "$1" && "$weir" kafka-topics --bootstrap-server "127.0.0.1:$1" --list > /dev/null 2>&1; }

tell() {
  cat << TEXT
Weir is running: 127.0.0.1:$1 (process $2)
  data   $dir
  log    $log

  bin/weir kafka-topics --bootstrap-server 127.0.0.1:$1 --create --topic hello
  bin/weir kafka-console-producer --bootstrap-server 127.0.0.1:$1 --topic hello
  bin/weir kafka-console-consumer --bootstrap-server 127.0.0.1:$1 --topic hello --from-beginning

make broker-logs follows its log, make broker-down stops it.
TEXT
}

up() {
  local pid port controller
  pid=$(running)
  if [ -n "$pid" ]; then
    tell "$(cat "$portfile")" "$pid"
    return
  fi
  # The port of last time if it is free, so that clients find it again.
  port=$(cat "$portfile" 2> /dev/null || echo 9092)
  port=$(free_port "$port")
  controller=$(free_port $((port + 1)) "$port")
  echo "$port" > "$portfile"
  cat > "$props" << PROPS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$dir/kafka
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
PROPS
  [ ! -f "$dir/extra.properties" ] || cat "$dir/extra.properties" >> "$props"
  nohup "$weir" kafka-server-start "$props" >> "$log" 2>&1 < /dev/null &
  pid=$!
  echo "$pid" > "$pidfile"
  for _ in $(seq 600); do
    if [ -z "$(running)" ]; then break; fi
    if answers "$port"; then
      tell "$port" "$pid"
      return
    fi
    sleep 0.1
  done
  echo "it does not answer; the end of $log:" >&2
  tail -20 "$log" >&2
  down
  return 1
}

down() {
  local pid
  pid=$(running)
  if [ -n "$pid" ]; then
    kill -TERM "$pid"
    for _ in $(seq 300); do
      if ! kill -0 "$pid" 2> /dev/null; then break; fi
      sleep 0.1
    done
    if kill -0 "$pid" 2> /dev/null; then
      echo "process $pid did not end within 30 s of SIGTERM: killed" >&2
      kill -KILL "$pid"
    fi
  fi
  rm -f "$pidfile"
}

case ${1:-} in
  up | down) "$1" ;;
  logs) touch "$log"; exec tail -n 50 -F "$log" ;;
  *) sed -n '2,4p' "$0" >&2; exit 2 ;;
esac
