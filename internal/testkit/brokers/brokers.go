// Package brokers starts a single broker, Weir or Apache Kafka, as a process of
// its own on loopback ports, measures and stops it, so that the two can be
// compared. It speaks no more of the protocol than it needs to see that the
// broker answers.
package brokers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// Config says which broker to run and where.
type Config struct {
	// Binary is the weir to run. Empty: Apache Kafka from Dist.
	Binary string
	Dist   *kafkadist.Dist
	// Dir gets the settings, the logs and, under data, the log directory.
	Dir string
	// Props are put over the settings that a single node needs.
	Props map[string]string
	// Env is added to the process's environment.
	Env []string
	// Port is the first port to try; see FreePort.
	Port int
	// Extra are listeners besides the first: name to security protocol, which is empty where Props have the map.
	Extra map[string]string
	// Heap is the JVM's memory, such as 512M. Empty: Kafka's own default of 1G.
	Heap string
	// Listener is the name of the listener for clients. Empty: PLAINTEXT. Another name, or another protocol for it, comes with
	// listener.security.protocol.map in Props, and with Ask.
	Listener string
	// Ask, if there is one, finds out whether the node answers, once; nil asks for metadata in plain text.
	Ask func(ctx context.Context, b *Broker) error
	// Host is the address that the listeners are bound to and advertised with. Empty: 127.0.0.1.
	Host string
	// Within is a command that the process is run by, which must become the process, such as nsenter.
	Within []string
	// Format are further arguments of kafka-storage format. A single Weir formats itself without any.
	Format []string
	// Each, if there is one, changes what is particular to one of StartNodes' nodes, whose number it is told, before its
	// settings are written.
	Each func(node int, b *Broker) error
}

// Broker is a running broker. It is not safe for concurrent use.
type Broker struct {
	Config
	Addr       string // host:port
	Controller int    // port of the controller's listener
	// At has host:port of the extra listeners by name.
	At     map[string]string
	Ready  time.Duration
	cmd    *exec.Cmd
	exited chan struct{}
	// lastPort is the highest of the node's ports.
	lastPort int
}

// Name is "weir" or "apache".
func (b *Broker) Name() string {
	if b.Binary != "" {
		return "weir"
	}
	return "apache"
}

// DataDir is the broker's log directory.
func (b *Broker) DataDir() string { return filepath.Join(b.Dir, "data") }

// PropsFile is the server.properties that the broker was started with.
func (b *Broker) PropsFile() string { return filepath.Join(b.Dir, "server.properties") }

// PID is the process id of the broker itself.
func (b *Broker) PID() int { return b.cmd.Process.Pid }

// FreePort returns the first port from start on at which nobody listens.
func FreePort(start int) (int, error) {
	for p := start; p < start+200; p++ {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
		if err != nil {
			continue
		}
		return p, l.Close()
	}
	return 0, fmt.Errorf("no free port from %d to %d", start, start+199)
}

// Start formats the directory if it is empty, runs the broker and waits until
// it answers. Ready is the time from the start of the process.
func Start(ctx context.Context, c Config) (*Broker, error) {
	b := &Broker{Config: c}
	if err := b.prepare(); err != nil {
		return nil, err
	}
	if b.Binary == "" || b.brokerOnly() || b.Format != nil { // a single Weir formats itself
		if err := b.format(ctx); err != nil {
			return nil, err
		}
	}
	return b, b.Run(ctx)
}

// prepare chooses ports and writes the settings.
func (b *Broker) prepare() error {
	if b.Port == 0 {
		b.Port = 20800
	}
	if err := b.choosePorts(); err != nil {
		return err
	}
	return b.writeProps()
}

func (b *Broker) writeProps() error {
	props := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          "1",
		"controller.quorum.voters":                         fmt.Sprintf("1@%s:%d", b.host(), b.Controller),
		"listeners":                                        fmt.Sprintf("%s://%s,CONTROLLER://%s:%d", b.listener(), b.Addr, b.host(), b.Controller),
		"advertised.listeners":                             b.listener() + "://" + b.Addr,
		"controller.listener.names":                        "CONTROLLER",
		"listener.security.protocol.map":                   "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                                         b.DataDir(),
		"offsets.topic.replication.factor":                 "1",
		"transaction.state.log.replication.factor":         "1",
		"transaction.state.log.min.isr":                    "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr":            "1",
		"group.initial.rebalance.delay.ms":                 "0",
		"offsets.topic.num.partitions":                     "4",
	}
	switch b.roles() {
	case "broker":
		props["listeners"] = b.listener() + "://" + b.Addr
	case "controller":
		props["listeners"], props["advertised.listeners"] = fmt.Sprintf("CONTROLLER://%s:%d", b.host(), b.Controller), ""
	}
	for name, protocol := range b.Extra {
		props["listeners"] += "," + name + "://" + b.At[name]
		props["advertised.listeners"] += "," + name + "://" + b.At[name]
		if protocol != "" {
			props["listener.security.protocol.map"] += "," + name + ":" + protocol
		}
	}
	maps.Copy(props, b.Props)
	var out bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(props)) {
		if props[key] == "" {
			continue // Props take a setting away
		}
		fmt.Fprintf(&out, "%s=%s\n", key, props[key])
	}
	return os.WriteFile(b.PropsFile(), out.Bytes(), 0o644)
}

// Reconfigure changes settings, for the next Run.
func (b *Broker) Reconfigure(changes map[string]string) error {
	b.Props = maps.Clone(b.Props)
	maps.Copy(b.Props, changes)
	return b.writeProps()
}

// Wipe takes all that the node has on its disks, which stay, and formats them anew. The node must not run.
func (b *Broker) Wipe(ctx context.Context, disks ...string) error {
	for _, disk := range disks {
		entries, err := os.ReadDir(disk)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(disk, e.Name())); err != nil {
				return err
			}
		}
	}
	return b.format(ctx)
}

// format gives an empty directory a cluster id, as Kafka 4 wants it.
func (b *Broker) format(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(b.DataDir(), "meta.properties")); err == nil {
		return nil
	}
	args := append([]string{"format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", b.PropsFile()}, b.Format...)
	cmd := exec.CommandContext(ctx, b.Binary, append([]string{"kafka-storage"}, args...)...)
	if b.Binary == "" {
		cmd = b.Dist.Command(ctx, "kafka-storage", args...)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("kafka-storage format: %w: %s", err, out)
	}
	return nil
}

// Run starts the process on the directory that is there, after Start and Stop
// or Kill, and waits until it answers.
func (b *Broker) Run(ctx context.Context) error {
	if b.Binary != "" {
		b.cmd = b.command(b.Binary, "kafka-server-start", b.PropsFile())
	} else {
		b.cmd = b.command(b.Dist.Bin("kafka-server-start"), b.PropsFile())
		if b.Heap != "" {
			b.cmd.Env = append(b.cmd.Env, "KAFKA_HEAP_OPTS=-Xmx"+b.Heap+" -Xms"+b.Heap)
		}
	}
	logs := filepath.Join(b.Dir, "logs")
	b.cmd.Env = append(append(os.Environ(), "LOG_DIR="+logs), append(b.cmd.Env, b.Env...)...)
	out, err := os.OpenFile(b.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close() // the process has its own
	b.cmd.Stdout, b.cmd.Stderr = out, out
	begin := time.Now()
	started := make(chan error, 1)
	b.exited = make(chan struct{})
	go startAndWait(b.cmd, started, b.exited)
	if err := <-started; err != nil {
		b.exited = nil
		return err
	}
	if err := b.waitReady(ctx); err != nil {
		b.Kill()
		return err
	}
	b.Ready = time.Since(begin)
	return nil
}

// command is a command line within what the broker is to run in.
func (b *Broker) command(args ...string) *exec.Cmd {
	args = slices.Concat(b.Within, args)
	return exec.Command(args[0], args[1:]...)
}

// roles are the node's process.roles, empty for both.
func (b *Broker) roles() string { return b.Props["process.roles"] }

// brokerOnly reports whether the node is to be a broker of other nodes' controllers, which Props then name.
func (b *Broker) brokerOnly() bool { return b.roles() == "broker" }

func (b *Broker) listener() string {
	if b.Listener == "" {
		return "PLAINTEXT"
	}
	return b.Listener
}

func (b *Broker) host() string {
	if b.Host == "" {
		return "127.0.0.1"
	}
	return b.Host
}

// LogFile is what the process prints.
func (b *Broker) LogFile() string { return filepath.Join(b.Dir, "logs", "server.out") }

// waitReady polls until a Metadata answer names a broker and a controller.
func (b *Broker) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last error
	ask := b.Ask
	if ask == nil {
		ask = AskPlain
	}
	for {
		if last = ask(ctx, b); last == nil {
			return nil
		}
		select {
		case <-b.exited:
			return fmt.Errorf("%s ended before it was ready: %s\n%s", b.Name(), b.cmd.ProcessState, b.LogTail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", b.Name(), last, b.LogTail(20))
		case <-tick.C:
		}
	}
}

// AskPlain finds out once, in plain text, whether a broker answers.
func AskPlain(_ context.Context, b *Broker) error {
	c, err := kwire.Dial(b.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 9, []kmsg.MetadataRequestTopic{}
	resp, err := c.Request(req)
	if err != nil {
		return err
	}
	if m := resp.(*kmsg.MetadataResponse); len(m.Brokers) == 0 || m.ControllerID < 0 {
		return errors.New("no broker is registered yet")
	}
	return nil
}

// LogTail returns the last lines of what the process printed.
func (b *Broker) LogTail(n int) string {
	text, err := os.ReadFile(b.LogFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Stop sends SIGTERM and waits for the end.
func (b *Broker) Stop() error {
	if !b.Running() {
		return nil
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	select {
	case <-b.exited:
		return nil
	case <-deadline.C:
		b.Kill()
		return fmt.Errorf("%s did not end within a minute of SIGTERM\n%s", b.Name(), b.LogTail(20))
	}
}

// Kill sends SIGKILL and waits for the end.
func (b *Broker) Kill() {
	if !b.Running() {
		return
	}
	_ = b.cmd.Process.Kill()
	<-b.exited
}

// Running says whether the process lives.
func (b *Broker) Running() bool {
	if b.cmd == nil || b.exited == nil {
		return false
	}
	select {
	case <-b.exited:
		return false
	default:
		return true
	}
}
