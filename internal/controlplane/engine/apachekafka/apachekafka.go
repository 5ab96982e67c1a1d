// Package apachekafka runs Apache Kafka as a cluster's engine: combined nodes
// for those that vote, plain brokers beyond them, secured from the first
// start. The distribution comes from Maven through kafkadist, or is a folder
// that the user has; metrics come from the JMX exporter's agent.
//
// It starts no broker and speaks no Kafka protocol.
package apachekafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/kafkadist"
)

// Engine is Apache Kafka.
type Engine struct {
	// Cache is where distributions and the agent are kept; empty means the
	// user's cache folder.
	Cache string
}

// installation is one version with what it needs to run.
type installation struct {
	dist  string
	java  string
	agent string
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
	return &installation{dist: dist, java: java, agent: agent}, nil
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

// Format writes the broker's files and formats its storage, with the service's
// accounts in it from the first start.
func (i *installation) Format(ctx context.Context, c *spec.Cluster, b spec.Broker, m engine.Materials) error {
	if err := engine.WriteFiles(i, c, b, m); err != nil {
		return fmt.Errorf("broker %d: %w", b.ID, err)
	}
	done, err := engine.Formatted(m.Layout.Data(b.ID), c.KafkaClusterID, b.ID)
	if err != nil || done {
		return err
	}
	// The same for every node of a cluster but for two lines: the tool, a JVM
	// of its own, is asked once.
	template, err := os.ReadFile(templateFile(m))
	if err == nil {
		return formatAs(template, c, b, m)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("broker %d: %w", b.ID, err)
	}
	if err := i.runFormat(ctx, c, b, m); err != nil {
		return err
	}
	made, err := os.ReadFile(filepath.Join(m.Layout.Data(b.ID), bootstrapFile))
	if err == nil {
		err = certs.WritePrivate(templateFile(m), made)
	}
	if err != nil {
		return fmt.Errorf("format the storage of broker %d: %w", b.ID, err)
	}
	return nil
}

// bootstrapFile holds the first records of a cluster's metadata: features, and
// the service's accounts.
const bootstrapFile = "bootstrap.checkpoint"

func templateFile(m engine.Materials) string { return filepath.Join(m.Layout.Certs(), bootstrapFile) }

// formatAs writes what the tool would. What is written last says that the
// storage is formatted.
func formatAs(template []byte, c *spec.Cluster, b spec.Broker, m engine.Materials) error {
	data := m.Layout.Data(b.ID)
	err := os.MkdirAll(data, 0o755)
	if err == nil {
		err = certs.WritePrivate(filepath.Join(data, bootstrapFile), template)
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	if err == nil {
		err = certs.WritePrivate(filepath.Join(data, "meta.properties"), engine.FormatProperties(map[string]string{
			"version": "1", "cluster.id": c.KafkaClusterID, "node.id": strconv.Itoa(int(b.ID)), "directory.id": base64.RawURLEncoding.EncodeToString(id[:])}))
	}
	if err != nil {
		return fmt.Errorf("format the storage of broker %d: %w", b.ID, err)
	}
	return nil
}

func (i *installation) runFormat(ctx context.Context, c *spec.Cluster, b spec.Broker, m engine.Materials) error {
	argsFile := filepath.Join(m.Layout.Broker(b.ID), ".format-arguments")
	if err := certs.WritePrivate(argsFile, formatArguments(i, c, b, m)); err != nil {
		return fmt.Errorf("broker %d: %w", b.ID, err)
	}
	defer os.Remove(argsFile)
	// Passwords go through a file: arguments of a process are for all to see.
	out, err := exec.CommandContext(ctx, i.java, "@"+argsFile).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format the storage of broker %d: %w: %s", b.ID, err, engine.LastLines(string(out), 5))
	}
	return nil
}

// formatArguments is the content of an argument file of java: one quoted
// argument a line, in which a backslash escapes.
func formatArguments(i *installation, c *spec.Cluster, b spec.Broker, m engine.Materials) []byte {
	args := []string{"-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(i.dist, "libs", "*"), "kafka.tools.StorageTool",
		"format", "--ignore-formatted", "--cluster-id", c.KafkaClusterID, "--config", m.Layout.Properties(b.ID)}
	args = append(args, engine.ScramArguments(m)...)
	var text strings.Builder
	for _, a := range args {
		fmt.Fprintf(&text, "\"%s\"\n", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a))
	}
	return []byte(text.String())
}

// Properties are the settings of a node of a secured cluster.
func (i *installation) Properties(c *spec.Cluster, b spec.Broker, m engine.Materials) (map[string]string, error) {
	if !c.Secured {
		return nil, fmt.Errorf("cluster %s: engine %s runs secured clusters only", c.Name, spec.EngineApacheKafka)
	}
	return engine.Secured(c, b, m), nil
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
	return engine.Command{
		Path: i.java,
		Args: append(tuning(b.MemoryBytes),
			"-Xmx"+heap, "-Xms"+heap, "-Djava.awt.headless=true", "-XX:+ExitOnOutOfMemoryError",
			"-Dkafka.logs.dir="+m.Layout.Logs(b.ID),
			"-Dlog4j2.configurationFile="+filepath.Join(dir, "log4j2.properties"),
			fmt.Sprintf("-javaagent:%s=%s:%s", i.agent, engine.Address(b.MetricsPort), filepath.Join(dir, "jmx-exporter.yaml")),
			"-cp", filepath.Join(i.dist, "libs", "*"), "kafka.Kafka", m.Layout.Properties(b.ID)),
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"},
		Dir: dir,
	}, nil
}

// smallMemory is the most that a broker for trying things out has.
const smallMemory = 1 << 30

// tuning of the JVM. A small broker starts with little more than half the CPU
// time without the second compiler and the collector's threads, which pay off
// under load only.
func tuning(memory int64) []string {
	if memory <= smallMemory {
		return []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}
	}
	return []string{"-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"}
}

// heapMiB is half of a broker's memory; the rest is for the JVM's own needs
// and the page cache.
func heapMiB(memory int64) int64 { return max(192, memory>>21) }
