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

// exporter makes the names that Kafka's dashboards know: kafka_server_...
const exporter = `lowercaseOutputName: true
includeObjectNames: ["kafka.server:*", "kafka.controller:*", "kafka.network:*", "kafka.log:*", "kafka.cluster:*", "java.lang:*"]
excludeObjectNames: ["kafka.server:type=app-info,*"]
rules:
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
- pattern: kafka.(\w+)<type=(.+), name=(.+), (.+)=(.+)><>(\d+)thPercentile
  name: kafka_$1_$2_$3
  type: GAUGE
  labels: {"$4": "$5", "quantile": "0.$6"}
- pattern: kafka.(\w+)<type=(.+), name=(.+), (.+)=(.+), (.+)=(.+)><>Value
  name: kafka_$1_$2_$3
  labels: {"$4": "$5", "$6": "$7"}
- pattern: kafka.(\w+)<type=(.+), name=(.+), (.+)=(.+)><>Value
  name: kafka_$1_$2_$3
  labels: {"$4": "$5"}
- pattern: kafka.(\w+)<type=(.+), name=(.+)><>Value
  name: kafka_$1_$2_$3
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
