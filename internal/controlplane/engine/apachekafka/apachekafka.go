// Package apachekafka runs Apache Kafka as a cluster's engine: combined nodes
// for those that vote, plain brokers beyond them, secured from the first
// start. The distribution comes from Maven through kafkadist, or is a folder
// that the user has; metrics come from the JMX exporter's agent.
//
// It starts no broker and speaks no Kafka protocol.
package apachekafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/kafkadist"
)

// Engine is Apache Kafka.
type Engine struct {
	// Cache is where distributions and the agent are kept; empty means the
	// user's cache folder.
	Cache string
	// Weir is the program whose kafka-storage formats in place of Apache
	// Kafka's, which is a JVM of its own; empty means to use that.
	Weir string
}

// installation is one version with what it needs to run.
type installation struct {
	dist  string
	java  string
	agent string
	weir  string // may be empty
	// classes is the JVM's archive of them; may be empty.
	classes string
}

// Name is the engine's name in a cluster.
func (*Engine) Name() string { return spec.EngineApacheKafka }

// Capabilities says that all is there.
func (*Engine) Capabilities() engine.Capabilities { return engine.Capabilities{Secured: true} }

// Versions are those that were assembled before. Without Maven no other one
// can be had, and without Java none.
func (e *Engine) Versions() ([]string, error) {
	cache, err := e.cache()
	if err != nil {
		return nil, err
	}
	have := kafkadist.Assembled(filepath.Join(cache, "kafka"))
	if _, err := findJava(); err != nil {
		return have, err
	}
	if _, err := exec.LookPath("mvn"); err != nil && len(have) == 0 {
		return have, errors.New("apache kafka is got by Maven, and there is no mvn on the PATH: install Maven, or name the folder of a distribution that you have")
	}
	return have, nil
}

func (e *Engine) cache() (string, error) {
	if e.Cache != "" {
		return e.Cache, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("apache kafka: %w", err)
	}
	return filepath.Join(dir, "weir"), nil
}

// Prepare finds Java, the distribution and the agent, and gets what is missing.
func (e *Engine) Prepare(ctx context.Context, c *spec.Cluster, progress io.Writer) (engine.Installation, error) {
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	cache, err := e.cache()
	if err != nil {
		return nil, err
	}
	dist := c.DistDir
	if dist != "" {
		err = checkDist(dist, c.EngineVersion)
	} else {
		dist, err = assemble(ctx, filepath.Join(cache, "kafka"), c.EngineVersion, progress)
	}
	if err != nil {
		return nil, err
	}
	agent, err := ensureAgent(ctx, filepath.Join(cache, "jmx-exporter"), progress)
	if err != nil {
		return nil, err
	}
	i := &installation{dist: dist, java: java, agent: agent, weir: e.Weir}
	i.classes = i.ensureArchive(ctx, filepath.Join(cache, "classes"), c.EngineVersion, progress)
	return i, ctx.Err()
}

func findJava() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java := filepath.Join(home, "bin", "java")
		if _, err := exec.LookPath(java); err != nil {
			return "", fmt.Errorf("apache kafka needs Java 17 or later, but JAVA_HOME=%s has no bin/java: correct it or unset it", home)
		}
		return java, nil
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("apache kafka needs Java 17 or later, and there is no java on the PATH: install a JDK or JRE, or set JAVA_HOME")
	}
	return java, nil
}

func assemble(ctx context.Context, cache, version string, progress io.Writer) (string, error) {
	d, err := kafkadist.EnsureIn(ctx, cache, version, progress)
	switch {
	case errors.Is(err, kafkadist.ErrMissing):
		return "", fmt.Errorf("%w: install Maven, or name the folder of a distribution that you have", err)
	case err != nil:
		return "", fmt.Errorf("%w: choose a published version, or name the folder of a distribution that you have", err)
	}
	return d.Dir, nil
}

// checkDist says whether a folder is a distribution of the version.
func checkDist(dir, version string) error {
	jars, err := filepath.Glob(filepath.Join(dir, "libs", "kafka_2.*-*.jar"))
	if err != nil || len(jars) == 0 {
		return fmt.Errorf("%s is no Apache Kafka: it has no libs/kafka_2.*.jar; name the folder that holds bin and libs", dir)
	}
	name := strings.TrimSuffix(filepath.Base(jars[0]), ".jar")
	if _, got, _ := strings.Cut(name, "-"); got != version {
		return fmt.Errorf("%s holds Apache Kafka %s, but the cluster wants %s: name another folder or that version", dir, got, version)
	}
	return nil
}

// Properties are the settings of a node of a secured cluster.
func (i *installation) Properties(c *spec.Cluster, b spec.Broker, m engine.Materials) (map[string]string, error) {
	if !c.Secured {
		return nil, fmt.Errorf("cluster %s: engine %s runs secured clusters only", c.Name, spec.EngineApacheKafka)
	}
	p := engine.Secured(c, b, m)
	const buffer = "log.cleaner.dedupe.buffer.size"
	if heap := heapMiB(b.MemoryBytes) << 20; p[buffer] == "" && heap < 8*cleanerBuffer {
		p[buffer] = strconv.FormatInt(heap/8, 10)
	}
	return p, nil
}

// Files are the settings, and how to log and to show metrics.
func (i *installation) Files(c *spec.Cluster, b spec.Broker, m engine.Materials) (map[string][]byte, error) {
	props, err := i.Properties(c, b, m)
	return map[string][]byte{
		engine.PropertiesFile: engine.FormatProperties(props),
		"log4j2.properties":   []byte(logging),
		"jmx-exporter.yaml":   []byte(exporter),
	}, err
}

// Command is the JVM itself, without a script before it.
func (i *installation) Command(c *spec.Cluster, b spec.Broker, m engine.Materials) (engine.Command, error) {
	dir := m.Layout.Broker(b.ID)
	heap := fmt.Sprintf("%dm", heapMiB(b.MemoryBytes))
	args := tuning(b.MemoryBytes)
	if i.classes != "" {
		args = append(args, "-Xshare:auto", "-XX:SharedArchiveFile="+i.classes)
	}
	return engine.Command{
		Path: i.java,
		Args: append(args,
			"-Xmx"+heap, "-Xms"+heap, "-Djava.awt.headless=true", "-XX:+ExitOnOutOfMemoryError",
			"-Dkafka.logs.dir="+m.Layout.Logs(b.ID),
			"-Dlog4j2.configurationFile="+filepath.Join(dir, "log4j2.properties"),
			fmt.Sprintf("-javaagent:%s=%s:%s", i.agent, engine.Address(b.MetricsPort), filepath.Join(dir, "jmx-exporter.yaml")),
			"-cp", filepath.Join(i.dist, "libs", "*"), "kafka.Kafka", m.Layout.Properties(b.ID)),
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"},
		Dir: dir,
	}, nil
}

// cleanerBuffer is what the log cleaner takes from the heap at the start,
// however small that is: a broker with little memory would end by it.
const cleanerBuffer = 128 << 20

// smallMemory is the most that a broker for trying things out has.
const smallMemory = 1 << 30

// tuning of the JVM. A small broker starts with little more than half the CPU
// time without the second compiler and the collector's threads, which pay off
// under load only.
func tuning(memory int64) []string {
	if memory <= smallMemory {
		return []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	}
	return []string{"-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"}
}

// heapMiB is half of a broker's memory; the rest is for the JVM's own needs
// and the page cache.
func heapMiB(memory int64) int64 { return max(192, memory>>21) }
