#!/usr/bin/env bash
# kafka-run-class.sh CLASS [ARG...]
# Reads JAVA_HOME, KAFKA_HEAP_OPTS, KAFKA_JVM_PERFORMANCE_OPTS, KAFKA_OPTS,
# KAFKA_GC_OPTS, KAFKA_LOG_OPTS and LOG_DIR, as the official script does.
base=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
if [ -z "${KAFKA_LOG_OPTS:-}" ]; then
  if [ -e "$base/config/tools-log4j2.properties" ]; then
    KAFKA_LOG_OPTS="-Dlog4j2.configurationFile=$base/config/tools-log4j2.properties"
  else
    KAFKA_LOG_OPTS="-Dlog4j.configuration=file:$base/config/tools-log4j.properties"
  fi
fi
: "${KAFKA_HEAP_OPTS:=-Xmx256M}"
# The options of the official script.
: "${KAFKA_JVM_PERFORMANCE_OPTS=-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -XX:MaxInlineLevel=15 -Djava.awt.headless=true}"
# Unquoted on purpose: these variables hold several options each.
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS ${KAFKA_GC_OPTS:-} \
  ${LOG_DIR:+-Dkafka.logs.dir="$LOG_DIR"} $KAFKA_LOG_OPTS -cp "$base/libs/*" ${KAFKA_OPTS:-} "$@"
