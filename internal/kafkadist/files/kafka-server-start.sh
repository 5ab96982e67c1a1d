#!/usr/bin/env bash
# kafka-server-start.sh server.properties [--override key=value]...
# Runs a broker in the foreground; it logs to $LOG_DIR/server.log.
base=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
export LOG_DIR=${LOG_DIR:-$base/logs}
mkdir -p "$LOG_DIR"
export KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}
if [ -e "$base/config/log4j2.properties" ]; then
  export KAFKA_LOG_OPTS=${KAFKA_LOG_OPTS:--Dlog4j2.configurationFile=$base/config/log4j2.properties}
else
  export KAFKA_LOG_OPTS=${KAFKA_LOG_OPTS:--Dlog4j.configuration=file:$base/config/log4j.properties}
fi
exec "$base/bin/kafka-run-class.sh" kafka.Kafka "$@"
