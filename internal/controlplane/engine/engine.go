// Package engine says what the service needs of a Kafka that it runs: to get
// it, to write a broker's settings, to format its storage and to start it.
// Everything else goes through the Kafka protocol and is the same for all
// engines. Each engine is a package below this one.
//
// It starts no broker itself: Command only says what to start.
package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Capabilities is what an engine can do today.
type Capabilities struct {
	// Secured: TLS, SCRAM and ACLs, all of them. Without it a cluster listens
	// in plain text on the loopback address only.
	Secured bool `json:"secured"`
	// MaxBrokers is 0 for no limit of the engine's.
	MaxBrokers int `json:"maxBrokers"`
}

// Engine gets installations of one kind of Kafka.
type Engine interface {
	Name() string
	Capabilities() Capabilities
	// Versions are those that can be had without the network; the error says
	// what is missing on this machine, and what to do.
	Versions() ([]string, error)
	// Prepare finds or gets what the cluster's version needs; progress is for
	// people. Repeating it is cheap. Its errors say what to do.
	Prepare(ctx context.Context, c *spec.Cluster, progress io.Writer) (Installation, error)
}

// Installation is one version of an engine, ready to run. It is immutable and
// safe for concurrent use.
type Installation interface {
	// Properties are the settings of one broker. Pure.
	Properties(c *spec.Cluster, b spec.Broker, m Materials) (map[string]string, error)
	// Files are what lies in the broker's folder besides its data, by name,
	// server.properties among them. Pure.
	Files(c *spec.Cluster, b spec.Broker, m Materials) (map[string][]byte, error)
	// Format writes the broker's files and formats its storage; storage that is
	// formatted for this cluster and broker already is left as it is.
	Format(ctx context.Context, c *spec.Cluster, b spec.Broker, m Materials) error
	// Command is the process of a formatted broker.
	Command(c *spec.Cluster, b spec.Broker, m Materials) (Command, error)
}

// PropertiesFile is the name of a broker's settings in its folder.
const PropertiesFile = "server.properties"

// WriteFiles writes a broker's files, readable for their owner only.
func WriteFiles(i Installation, c *spec.Cluster, b spec.Broker, m Materials) error {
	files, err := i.Files(c, b, m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.Layout.Logs(b.ID), 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := certs.WritePrivate(filepath.Join(m.Layout.Broker(b.ID), name), text); err != nil {
			return err
		}
	}
	return nil
}

// Command is a process to start. Its first process is the broker itself, so
// that its id is the one to signal and to measure.
type Command struct {
	Path string
	Args []string
	Env  []string // KEY=value, instead of the service's own environment
	Dir  string
}

// Materials are the files and secrets of one broker. Certificates and secrets
// are unused where the cluster is not secured.
type Materials struct {
	Layout  Layout
	Cert    certs.Issued
	Secrets certs.Secrets
}

// Layout names the files of one cluster.
type Layout struct{ Dir string }

// Certs is the folder of certificates and secrets.
func (l Layout) Certs() string { return filepath.Join(l.Dir, "certs") }

// CA is the certificate of the cluster's authority.
func (l Layout) CA() string { return filepath.Join(l.Certs(), certs.CAFile) }

// Users is the folder of the credentials of the cluster's users.
func (l Layout) Users() string { return filepath.Join(l.Dir, "users") }

// ClientProperties is the administrator's way to the cluster.
func (l Layout) ClientProperties() string { return filepath.Join(l.Dir, "client.properties") }

// Broker is the folder of one broker.
func (l Layout) Broker(id int32) string { return filepath.Join(l.Dir, fmt.Sprintf("broker-%d", id)) }

// Properties is a broker's server.properties.
func (l Layout) Properties(id int32) string { return filepath.Join(l.Broker(id), PropertiesFile) }

// Data is a broker's log directory.
func (l Layout) Data(id int32) string { return filepath.Join(l.Broker(id), "data") }

// Logs is the folder of a broker's own log files.
func (l Layout) Logs(id int32) string { return filepath.Join(l.Broker(id), "logs") }

// Output is the file that takes what a broker's process prints.
func (l Layout) Output(id int32) string { return filepath.Join(l.Logs(id), "output.log") }

// PID is the file that names a broker's process.
func (l Layout) PID(id int32) string { return filepath.Join(l.Broker(id), "pid.json") }

// NodeName is the name on a broker's certificate.
func NodeName(id int32) string { return fmt.Sprintf("broker-%d", id) }

// Address is a port on the loopback address, the only one that is used.
func Address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// MetricsURL is where a broker shows its metrics in Prometheus' text form.
func MetricsURL(b spec.Broker) string { return "http://" + Address(b.MetricsPort) + "/metrics" }

// Bootstrap lists the addresses for clients.
func Bootstrap(c *spec.Cluster) []string {
	var out []string
	for _, b := range c.Brokers {
		out = append(out, Address(b.ClientPort))
	}
	return out
}

// FormatProperties renders settings in order, so that equal settings give
// equal files. No value that the service writes needs more than backslashes
// escaped: values of several lines are refused before.
func FormatProperties(settings map[string]string) []byte {
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s=%s\n", k, strings.ReplaceAll(settings[k], `\`, `\\`))
	}
	return b.Bytes()
}
