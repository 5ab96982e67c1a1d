package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/observe"
	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/lifecycle"
)

// machine is the world: folders and processes on this machine, and clusters
// by the Kafka protocol. Safe for concurrent use.
type machine struct {
	dir     string
	local   *provider.Local
	engines []engine.Engine

	// mu guards the map; nothing is waited for under it.
	mu    sync.Mutex
	sites map[string]*site
}

// site is what is open for one cluster.
type site struct {
	// lock is held while the installation or the client is opened.
	lock    lifecycle.IOLock
	install engine.Installation
	client  *admin.Client

	// looking is held over an observation, which takes seconds when nobody
	// answers: what starts brokers must not wait for it.
	looking  lifecycle.IOLock
	observer *observe.Observer
}

func newMachine(dir string, local *provider.Local, engines []engine.Engine) *machine {
	return &machine{dir: dir, local: local, engines: engines, sites: map[string]*site{}}
}

func (m *machine) layout(c *spec.Cluster) engine.Layout {
	return engine.Layout{Dir: filepath.Join(m.dir, "clusters", c.Name)}
}

func (s *Service) layout(c *spec.Cluster) engine.Layout {
	return engine.Layout{Dir: filepath.Join(s.o.Dir, "clusters", c.Name)}
}

func (m *machine) site(id string) *site {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.sites[id]
	if t == nil {
		t = &site{lock: lifecycle.NewIOLock(), looking: lifecycle.NewIOLock()}
		m.sites[id] = t
	}
	return t
}

// Forget ends a cluster's connections.
func (m *machine) Forget(id string) {
	m.mu.Lock()
	t := m.sites[id]
	delete(m.sites, id)
	m.mu.Unlock()
	if t == nil {
		return
	}
	t.looking.Lock()
	if t.observer != nil {
		t.observer.Close()
	}
	t.observer = nil
	t.looking.Unlock()
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.client != nil {
		t.client.Close()
	}
	t.client = nil
}

// installation of a cluster's engine, found once.
func (m *machine) installation(ctx context.Context, c *spec.Cluster, out io.Writer) (engine.Installation, error) {
	t := m.site(c.ID)
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.install != nil {
		return t.install, nil
	}
	i := slices.IndexFunc(m.engines, func(e engine.Engine) bool { return e.Name() == c.Engine })
	if i < 0 {
		return nil, fmt.Errorf("this version does not know the engine %q", c.Engine)
	}
	install, err := m.engines[i].Prepare(ctx, c, out)
	if err == nil {
		t.install = install
	}
	return install, err
}

// lines passes what is written on, line by line.
type lines struct {
	say  func(string)
	rest string
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest += string(p)
	for {
		line, rest, found := strings.Cut(l.rest, "\n")
		if !found {
			return len(p), nil
		}
		if l.rest = rest; strings.TrimSpace(line) != "" {
			l.say(line)
		}
	}
}

// Prepare gets the engine, the certificates and the administrator's access ready.
func (m *machine) Prepare(ctx context.Context, c spec.Cluster, say func(string)) error {
	if _, err := m.installation(ctx, &c, &lines{say: say}); err != nil {
		return err
	}
	layout := m.layout(&c)
	if c.Secured && !c.Served {
		if _, err := certs.Open(layout.Certs(), c.Name, time.Now()); err != nil {
			return err
		}
	}
	access, err := m.access(&c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(layout.Dir, 0o700); err != nil {
		return err
	}
	if had, err := os.ReadFile(layout.ClientProperties()); err == nil && !bytes.Equal(had, access.Properties()) {
		m.Forget(c.ID) // what is open goes to addresses that may be another's
	}
	return certs.WritePrivate(layout.ClientProperties(), access.Properties())
}

// access is the administrator's way into a cluster.
func (m *machine) access(c *spec.Cluster) (admin.Access, error) {
	a := admin.Access{Bootstrap: engine.Bootstrap(c)}
	if !c.Secured {
		return a, nil
	}
	dir := m.layout(c).Certs()
	authority, err := m.authority(c)
	if err != nil {
		return a, err
	}
	secrets, err := certs.OpenSecrets(dir)
	if err != nil {
		return a, err
	}
	a.CAFile, a.User, a.Password = authority.Path(), certs.AdminUser, secrets.AdminPassword
	return a, nil
}

// authority is the one that a cluster has. Only the first Prepare makes one: a
// new one would lock out every client, and a cluster whose files go away must
// not get them back.
func (m *machine) authority(c *spec.Cluster) (*certs.Authority, error) {
	l := m.layout(c)
	if _, err := os.Stat(l.CA()); err != nil {
		return nil, fmt.Errorf("the certificates of %s are gone: put %s back from a copy (%w)", c.Name, l.Certs(), err)
	}
	return certs.Open(l.Certs(), c.Name, time.Now())
}

// materials are the files and secrets of one broker; a certificate near its
// end is made anew.
func (m *machine) materials(c *spec.Cluster, b spec.Broker) (engine.Materials, error) {
	out := engine.Materials{Layout: m.layout(c)}
	if !c.Secured {
		return out, nil
	}
	dir := out.Layout.Certs()
	authority, err := m.authority(c)
	if err != nil {
		return out, err
	}
	if out.Cert, err = authority.Issue(certs.Node{Name: engine.NodeName(b.ID)}, time.Now()); err != nil {
		return out, err
	}
	out.Secrets, err = certs.OpenSecrets(dir)
	return out, err
}

// leastFree is what the disk must have free before a broker is made or started.
const leastFree = 256 << 20

// Provision writes a broker's settings and formats its storage.
func (m *machine) Provision(ctx context.Context, c spec.Cluster, b spec.Broker) error {
	if err := m.roomFor(b); err != nil {
		return err
	}
	if !m.Runs(c, b.ID) {
		if err := m.PortsFree(b); err != nil {
			return err
		}
	}
	install, err := m.installation(ctx, &c, io.Discard)
	if err != nil {
		return err
	}
	files, err := m.materials(&c, b)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(files.Layout.Broker(b.ID), 0o700); err != nil {
		return fmt.Errorf("broker %d: %w", b.ID, err)
	}
	return install.Format(ctx, &c, b, files)
}

func (m *machine) roomFor(b spec.Broker) error {
	if free := provider.Resources(m.dir).DiskFreeBytes; free > 0 && free < leastFree {
		return fmt.Errorf("broker %d: the disk of %s has %s free, less than the least, %s: free some", b.ID, m.dir, plan.Size(free), plan.Size(leastFree))
	}
	return nil
}

// PortsFree says which port of a broker another process holds.
func (m *machine) PortsFree(b spec.Broker) error {
	for _, p := range b.Ports() {
		if p.Port == 0 {
			continue
		}
		if err := provider.Free(p.Port); err != nil {
			return fmt.Errorf("broker %d needs it as %s: %w", b.ID, p.Field, err)
		}
	}
	return nil
}

// aside is where the data of a replaced broker goes.
func aside(l engine.Layout, broker int32) string { return l.Data(broker) + ".replaced" }

// Wipe sets a broker's data aside; what was set aside before is removed, so
// that a broker that is replaced again and again fills no disk.
func (m *machine) Wipe(_ context.Context, c spec.Cluster, broker int32) error {
	if m.Runs(c, broker) {
		return fmt.Errorf("broker %d runs: its data is not touched", broker)
	}
	l := m.layout(&c)
	if _, err := os.Stat(l.Data(broker)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(aside(l, broker)); err != nil {
		return err
	}
	return os.Rename(l.Data(broker), aside(l, broker))
}

// Remove removes the files of a broker, or of the cluster for broker 0.
func (m *machine) Remove(_ context.Context, c spec.Cluster, broker int32) error {
	l := m.layout(&c)
	for _, b := range c.Brokers {
		if (broker == 0 || b.ID == broker) && m.Runs(c, b.ID) {
			return fmt.Errorf("broker %d runs: its files are not removed", b.ID)
		}
	}
	if broker != 0 {
		return os.RemoveAll(l.Broker(broker))
	}
	m.Forget(c.ID)
	if c.Name == "" {
		return nil
	}
	err := os.RemoveAll(l.Dir)
	if c.Engine == spec.EngineWeir {
		err = errors.Join(err, os.RemoveAll(filepath.Join(m.dir, "engines", "weir-"+c.ID)))
	}
	return err
}

// Runs says whether a broker's process is alive.
func (m *machine) Runs(c spec.Cluster, broker int32) bool {
	_, err := m.local.Find(m.layout(&c).PID(broker))
	return err == nil
}

// Start starts a broker unless it runs.
func (m *machine) Start(ctx context.Context, c spec.Cluster, b spec.Broker) error {
	if m.Runs(c, b.ID) {
		return nil
	}
	if err := errors.Join(m.roomFor(b), m.PortsFree(b)); err != nil {
		return err
	}
	install, err := m.installation(ctx, &c, io.Discard)
	if err != nil {
		return err
	}
	files, err := m.materials(&c, b)
	if err != nil {
		return err
	}
	cmd, err := install.Command(&c, b, files)
	if err != nil {
		return err
	}
	l := files.Layout
	_, err = m.local.Start(ctx, provider.Process{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir, LogFile: l.Output(b.ID), PIDFile: l.PID(b.ID)})
	return err
}

// stopGrace is how long a broker may take to end in order.
const stopGrace = 40 * time.Second

// Stop ends a broker in order, and by force if it does not end.
func (m *machine) Stop(ctx context.Context, c spec.Cluster, broker int32) error {
	_, err := m.local.Stop(ctx, m.layout(&c).PID(broker), stopGrace)
	return err
}

// Kill ends a broker at once.
func (m *machine) Kill(ctx context.Context, c spec.Cluster, broker int32) error {
	return m.local.Kill(ctx, m.layout(&c).PID(broker))
}

// Observe looks at a cluster once, now.
func (m *machine) Observe(ctx context.Context, c spec.Cluster) (spec.Observation, error) {
	t := m.site(c.ID)
	t.looking.Lock()
	defer t.looking.Unlock()
	if t.observer == nil {
		access, err := m.access(&c)
		if err == nil {
			t.observer, err = observe.New(m.layout(&c), m.local, access, observe.DefaultTimeouts)
		}
		if err != nil {
			return spec.Observation{At: time.Now(), Why: err.Error()}, nil
		}
	}
	return t.observer.Observe(ctx, &c, time.Now()), ctx.Err()
}

// admin is a client of a cluster.
func (m *machine) admin(c *spec.Cluster) (*admin.Client, error) {
	t := m.site(c.ID)
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.client != nil {
		return t.client, nil
	}
	access, err := m.access(c)
	if err == nil {
		t.client, err = admin.Open(access)
	}
	return t.client, err
}

// callTime bounds one call to a cluster.
const callTime = 30 * time.Second

// Reassign begins or cancels moves under a limit; with none of both it lifts
// every limit.
func (m *machine) Reassign(ctx context.Context, c spec.Cluster, moves []spec.Move, throttle int64) error {
	cl, err := m.admin(&c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if len(moves) == 0 && throttle == 0 {
		return cl.Unthrottle(ctx, c.BrokerIDs())
	}
	if throttle > 0 {
		var topics []string
		for _, mv := range moves {
			topics = append(topics, mv.Topic)
		}
		slices.Sort(topics)
		up, err := servingOf(ctx, cl, c.BrokerIDs())
		if err != nil {
			return err
		}
		if err := cl.Throttle(ctx, throttle, up, slices.Compact(topics)); err != nil {
			return err
		}
	}
	asked := make([]admin.Assignment, 0, len(moves))
	for _, mv := range moves {
		asked = append(asked, admin.Assignment{Topic: mv.Topic, Partition: mv.Partition, Replicas: mv.To})
	}
	return cl.Reassign(ctx, asked...)
}

// servingOf are those of the brokers that can be told something.
func servingOf(ctx context.Context, cl *admin.Client, ids []int32) (up []int32, err error) {
	nodes, err := cl.Nodes(ctx)
	for _, n := range nodes {
		if !n.Fenced && slices.Contains(ids, n.ID) {
			up = append(up, n.ID)
		}
	}
	return up, err
}

// ElectLeaders gives partitions to their first replicas.
func (m *machine) ElectLeaders(ctx context.Context, c spec.Cluster) error {
	cl, err := m.admin(&c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return cl.ElectPreferred(ctx)
}

// Unregister makes the controllers forget a broker.
func (m *machine) Unregister(ctx context.Context, c spec.Cluster, broker int32) error {
	cl, err := m.admin(&c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return cl.Unregister(ctx, broker)
}
