package apachekafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

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
	// The same for every node of a cluster but for two lines: made once.
	template, err := os.ReadFile(templateFile(m))
	if errors.Is(err, os.ErrNotExist) {
		if template, err = i.bootstrap(ctx, c, m); err == nil {
			err = certs.WritePrivate(templateFile(m), template)
		}
	}
	if err != nil {
		return fmt.Errorf("format the storage of broker %d: %w", b.ID, err)
	}
	return formatAs(template, c, b, m)
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

// bootstrap makes the first records of a cluster's metadata by formatting a
// folder that is thrown away: with Weir's own tool where that writes what the
// version of Apache Kafka would, or else with the JVM of that.
func (i *installation) bootstrap(ctx context.Context, c *spec.Cluster, m engine.Materials) ([]byte, error) {
	dir, err := os.MkdirTemp(m.Layout.Certs(), "formatting-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	data, props, args := filepath.Join(dir, "data"), filepath.Join(dir, engine.PropertiesFile), filepath.Join(dir, "arguments")
	if err := certs.WritePrivate(props, engine.FormatProperties(plainNode(data))); err != nil {
		return nil, err
	}
	format := append([]string{"format", "--cluster-id", c.KafkaClusterID, "--config", props}, engine.ScramArguments(m)...)
	// Passwords go through a file: arguments of a process are for all to see.
	cmd, file, text := exec.CommandContext(ctx, i.java, "@"+args), filepath.Join(data, bootstrapFile), i.javaArguments(format)
	if i.weir != "" && weirFormats(c.EngineVersion) {
		cmd, file = exec.CommandContext(ctx, i.weir, "kafka-storage", "@"+args), filepath.Join(data, metadataFolder, firstSnapshot)
		text = []byte(strings.Join(format, "\n") + "\n")
	}
	if err := certs.WritePrivate(args, text); err != nil {
		return nil, err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, engine.LastLines(string(out), 5))
	}
	return os.ReadFile(file)
}

// Where Weir's kafka-storage puts the first records, as Apache Kafka 4.4 does.
const (
	metadataFolder = "__cluster_metadata-0"
	firstSnapshot  = "00000000000000000000-0000000000.checkpoint"
)

// weirFormats says whether Weir's tool gives a new cluster the feature levels
// that this version's own tool would.
func weirFormats(version string) bool { return version == "4.3" || strings.HasPrefix(version, "4.3.") }

// plainNode are the settings of a node that never starts.
func plainNode(data string) map[string]string {
	return map[string]string{
		"node.id": "1", "process.roles": "broker,controller", "log.dirs": data,
		"listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093", "controller.listener.names": "CONTROLLER",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT", "controller.quorum.voters": "1@127.0.0.1:9093",
	}
}

// javaArguments is the content of an argument file of java: one quoted
// argument a line, in which a backslash escapes.
func (i *installation) javaArguments(tool []string) []byte {
	args := append([]string{"-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(i.dist, "libs", "*"), "kafka.tools.StorageTool"}, tool...)
	var text strings.Builder
	for _, a := range args {
		fmt.Fprintf(&text, "\"%s\"\n", strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a))
	}
	return []byte(text.String())
}
