// Package weir runs Weir's own broker as a cluster's engine. Each cluster keeps
// a copy of the binary that it was made with, so that a new build changes no
// cluster.
//
// It starts no broker and speaks no Kafka protocol.
package weir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Engine is Weir.
type Engine struct {
	// Binary is what new clusters are made with; empty means this program.
	Binary string
	// Dir is the folder of engines; each cluster has one below it.
	Dir string
}

// installation is one cluster's copy.
type installation struct{ binary string }

// Name is the engine's name in a cluster.
func (*Engine) Name() string { return spec.EngineWeir }

// Capabilities is all that there is.
func (*Engine) Capabilities() engine.Capabilities { return engine.Capabilities{Secured: true} }

// Versions are none but this program's own.
func (e *Engine) Versions() ([]string, error) {
	if e.Binary == "" {
		return nil, nil
	}
	if _, err := exec.LookPath(e.Binary); err != nil {
		return nil, fmt.Errorf("engine weir: %w: name the weir binary", err)
	}
	return nil, nil
}

// Prepare copies the binary for a cluster that has no copy yet.
func (e *Engine) Prepare(ctx context.Context, c *spec.Cluster, progress io.Writer) (engine.Installation, error) {
	pinned := filepath.Join(e.Dir, "weir-"+c.ID, "weir")
	if _, err := os.Stat(pinned); err == nil {
		return &installation{pinned}, nil
	}
	source := e.Binary
	if source == "" {
		var err error
		if source, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("engine weir: %w", err)
		}
	}
	fmt.Fprintf(progress, "keeping a copy of the broker for cluster %s\n", c.Name)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := copyProgram(source, pinned); err != nil {
		return nil, fmt.Errorf("engine weir: copy %s: %w", source, err)
	}
	return &installation{pinned}, nil
}

// copyProgram copies as a whole or not at all.
func copyProgram(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), "copying-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o700), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// Properties are the settings of a node: secured as on Apache Kafka, or in
// plain text on the loopback address.
func (*installation) Properties(c *spec.Cluster, b spec.Broker, m engine.Materials) (map[string]string, error) {
	settings := engine.Plain
	if c.Secured {
		settings = engine.Secured
	}
	p := settings(c, b, m)
	p["weir.metrics.listeners"] = engine.Address(b.MetricsPort)
	return p, nil
}

// Files are the settings alone.
func (i *installation) Files(c *spec.Cluster, b spec.Broker, m engine.Materials) (map[string][]byte, error) {
	props, err := i.Properties(c, b, m)
	return map[string][]byte{engine.PropertiesFile: engine.FormatProperties(props)}, err
}

// Format writes the broker's settings and formats its storage.
func (i *installation) Format(ctx context.Context, c *spec.Cluster, b spec.Broker, m engine.Materials) error {
	if err := engine.WriteFiles(i, c, b, m); err != nil {
		return fmt.Errorf("broker %d: %w", b.ID, err)
	}
	done, err := engine.Formatted(m.Layout.Data(b.ID), c.KafkaClusterID, b.ID)
	if err != nil || done {
		return err
	}
	args := []string{"format", "--cluster-id", c.KafkaClusterID, "--config", m.Layout.Properties(b.ID)}
	if c.Secured {
		args = append(args, engine.ScramArguments(m)...)
	}
	argsFile := filepath.Join(m.Layout.Broker(b.ID), ".format-arguments")
	if err := certs.WritePrivate(argsFile, []byte(strings.Join(args, "\n")+"\n")); err != nil {
		return fmt.Errorf("broker %d: %w", b.ID, err)
	}
	defer os.Remove(argsFile)
	out, err := exec.CommandContext(ctx, i.binary, "kafka-storage", "@"+argsFile).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format the storage of broker %d: %w: %s", b.ID, err, engine.LastLines(string(out), 5))
	}
	return nil
}

// Command is the cluster's own copy of the broker.
func (i *installation) Command(_ *spec.Cluster, b spec.Broker, m engine.Materials) (engine.Command, error) {
	dir := m.Layout.Broker(b.ID)
	return engine.Command{
		Path: i.binary,
		Args: []string{"kafka-server-start", m.Layout.Properties(b.ID)},
		Env:  []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LOG_DIR=" + m.Layout.Logs(b.ID), fmt.Sprintf("GOMEMLIMIT=%d", b.MemoryBytes)},
		Dir:  dir,
	}, nil
}
