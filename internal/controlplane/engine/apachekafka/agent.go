package apachekafka

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/weir-stream/weir/internal/controlplane/engine"
)

// The JMX exporter and the plugin that fetches it, both pinned.
const (
	agentVersion = "1.0.1"
	agentCopy    = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
)

// ensureAgent returns the path of the exporter's jar, fetching it once.
func ensureAgent(ctx context.Context, cache string, progress io.Writer) (string, error) {
	name := "jmx_prometheus_javaagent-" + agentVersion + ".jar"
	jar := filepath.Join(cache, name)
	if _, err := os.Stat(jar); err == nil {
		return jar, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("metrics need the JMX exporter: install Maven, or put %s into %s", name, cache)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("jmx exporter: %w", err)
	}
	tmp, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return "", fmt.Errorf("jmx exporter: %w", err)
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(progress, "fetching the JMX exporter %s with Maven\n", agentVersion)
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", agentCopy,
		"-Dartifact=io.prometheus.jmx:jmx_prometheus_javaagent:"+agentVersion, "-DoutputDirectory="+tmp)
	mvn.Dir = tmp
	if out, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch the JMX exporter: mvn: %w: %s", err, engine.LastLines(string(out), 5))
	}
	if err := os.Rename(filepath.Join(tmp, name), jar); err != nil {
		return "", fmt.Errorf("jmx exporter: %w", err)
	}
	return jar, nil
}

// exporter makes the names that Strimzi's rules make and Kafka's dashboards
// know. It names the beans that panels and dashboards ask for one by one: each
// request of Kafka's eighty has eight histograms, and to read them all takes
// the broker five times as long. Clauses run from the special to the
// general, for the first that fits wins. Idle shares are those of the last minute: the mean since the
// start, which is what others take, hardly moves in a broker of some age.
const exporter = `lowercaseOutputName: true
includeObjectNames:
- "kafka.server:type=BrokerTopicMetrics,*"
- "kafka.server:type=ReplicaManager,*"
- "kafka.server:type=KafkaServer,*"
- "kafka.server:type=KafkaRequestHandlerPool,*"
- "kafka.server:type=DelayedOperationPurgatory,*"
- "kafka.server:type=socket-server-metrics,listener=*,networkProcessor=*"
- "kafka.server:type=raft-metrics"
- "kafka.controller:type=KafkaController,*"
- "kafka.controller:type=ControllerStats,*"
- "kafka.coordinator.group:type=GroupMetadataManager,*"
- "kafka.network:type=RequestMetrics,name=RequestsPerSec,*"
- "kafka.network:type=RequestMetrics,name=ErrorsPerSec,*"
- "kafka.network:type=RequestMetrics,request=Produce,*"
- "kafka.network:type=RequestMetrics,request=FetchConsumer,*"
- "kafka.network:type=RequestMetrics,request=FetchFollower,*"
- "kafka.network:type=RequestMetrics,name=TotalTimeMs,request=Metadata"
- "kafka.network:type=RequestMetrics,name=TotalTimeMs,request=OffsetCommit"
- "kafka.network:type=RequestChannel,name=RequestQueueSize"
- "kafka.network:type=RequestChannel,name=ResponseQueueSize"
- "kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent"
- "kafka.log:type=Log,name=Size,*"
- "kafka.log:type=Log,name=LogStartOffset,*"
- "kafka.log:type=Log,name=LogEndOffset,*"
- "kafka.log:type=LogManager,*"
- "kafka.cluster:type=Partition,*"
rules:
- pattern: kafka.(\w+)<type=(.+), name=(.+)Percent\w*><>OneMinuteRate
  name: kafka_$1_$2_$3_percent
  type: GAUGE
- pattern: kafka.network<type=SocketServer, name=NetworkProcessorAvgIdlePercent><>Value
  name: kafka_network_socketserver_networkprocessoravgidle_percent
  type: GAUGE
- pattern: kafka.(\w+)<type=(.+), name=(.+)PerSec\w*, (.+)=(.+), (.+)=(.+)><>Count
  name: kafka_$1_$2_$3_total
  type: COUNTER
  labels: {"$4": "$5", "$6": "$7"}
- pattern: kafka.(\w+)<type=(.+), name=(.+)PerSec\w*, (.+)=(.+)><>Count
  name: kafka_$1_$2_$3_total
  type: COUNTER
  labels: {"$4": "$5"}
- pattern: kafka.(\w+)<type=(.+), name=(.+)PerSec\w*><>Count
  name: kafka_$1_$2_$3_total
  type: COUNTER
- pattern: kafka.(\w+)<type=(.+), name=(.+Ms), (.+)=(.+)><>Count
  name: kafka_$1_$2_$3_count
  type: UNTYPED
  labels: {"$4": "$5"}
- pattern: kafka.(\w+)<type=(.+), name=(.+), (.+)=(.+)><>(\d+)thPercentile
  name: kafka_$1_$2_$3
  type: GAUGE
  labels: {"$4": "$5", "quantile": "0.$6"}
- pattern: kafka.(\w+)<type=(.+), name=(.+), (.+)=(.+), (.+)=(.+)><>Value
  name: kafka_$1_$2_$3
  type: GAUGE
  labels: {"$4": "$5", "$6": "$7"}
- pattern: kafka.(\w+)<type=(.+), name=(.+), (.+)=(.+)><>Value
  name: kafka_$1_$2_$3
  type: GAUGE
  labels: {"$4": "$5"}
- pattern: kafka.(coordinator.group|\w+)<type=(.+), name=(.+)><>Value
  name: kafka_$1_$2_$3
  type: GAUGE
- pattern: kafka.server<type=raft-metrics><>(current-leader|current-vote|current-epoch|high-watermark|log-end-offset|append-records-rate|fetch-records-rate|commit-latency-avg|election-latency-max)
  name: kafka_server_raftmetrics_$1
  type: GAUGE
- pattern: kafka.server<type=socket-server-metrics, listener=(.+), networkProcessor=(.+)><>(connection-count|connection-creation-rate|connection-close-rate)
  name: kafka_server_socket_server_metrics_$3
  type: GAUGE
  labels: {"listener": "$1", "networkProcessor": "$2"}
`

// logging keeps at most 60 MB of the broker's own log.
const logging = `status = error
appender.file.type = RollingFile
appender.file.name = FILE
appender.file.fileName = ${sys:kafka.logs.dir}/server.log
appender.file.filePattern = ${sys:kafka.logs.dir}/server.%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d] %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 5
rootLogger.level = info
rootLogger.appenderRef.file.ref = FILE
`
