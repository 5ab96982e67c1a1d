package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/node"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/telemetry"
)

const (
	brokerPort     = 9092
	controllerPort = 9093
	clusterID      = "simulated-cluster"
)

// cluster is what one seed makes. Its methods are called from inside the bubble.
type cluster struct {
	t       testing.TB
	seed    uint64
	rng     *rand.Rand
	net     *network
	trace   *trace
	history *history
	nodes   []*machine
	extra   []string // settings of all nodes
	fsync   bool     // weir.durability=fsync
	voting  voting
	// upgradeAfter is when the quorum is to become a dynamic one, upgradeAsked when somebody asked last; upgraded: it has become one.
	upgradeAfter time.Duration
	upgradeAsked time.Time
	upgraded     bool
	began        time.Time
	ctx          context.Context
	stop         context.CancelFunc
	wait         sync.WaitGroup // processes that end, and who runs them
	clients      int
	consumed     *consumed
	meta         *metaLog
	txns         *txnHistory
	txnVersion   int16         // transaction.version at first
	txnNow       atomic.Int32  // transaction.version as clients know it
	txnRaise     time.Duration // when it becomes the newest; 0: it stays
	jumped       atomic.Bool   // a clock has

	mu       sync.Mutex
	broken   []string
	reached  map[string]int // states by their labels
	promised [][16]byte     // topics that were said to be made
}

// machine is one node's computer.
type machine struct {
	c     *cluster
	id    int
	roles string
	host  *host
	disk  *disk
	dirs  string
	skew  atomic.Int64 // seconds by which its clock is wrong

	mu      sync.Mutex
	wanted  bool // somebody wants its process to run
	leaving bool // the process is being stopped cleanly; another begins after it only
	process *process
	unclean bool // ended as one that may have lost data, and is not known to be in sync everywhere since
	lossy   bool // what is more, it lost data
	dirty   bool // its process was killed, and what that had not synced is in the memory of the machine
}

// process is one run of a node.
type process struct {
	m      *machine
	life   *life
	mount  *mount
	cancel context.CancelFunc
	n      *node.Node // nil until it has started
	over   bool
	gone   atomic.Bool // as over; for those who do not hold the lock
	ends   atomic.Bool
}

// stop ends the node once; who comes second does not wait.
func (p *process) stop() (err error) {
	if p.ends.CompareAndSwap(false, true) {
		err = p.n.Stop()
	}
	return err
}

func newCluster(t testing.TB, seed uint64) *cluster {
	rng := rand.New(rand.NewPCG(seed, 0x5e1f))
	c := &cluster{t: t, seed: seed, rng: rng, trace: newTrace(), history: newHistory(), began: time.Now(), reached: map[string]int{}}
	c.meta, c.txns = newMetaLog(c), newTxnHistory()
	r := rand.New(rand.NewPCG(seed, 4))
	c.txnVersion = []int16{2, 2, 2, 1, 0}[r.IntN(5)]
	if c.txnNow.Store(int32(c.txnVersion)); c.txnVersion < 2 && r.IntN(2) == 0 {
		c.txnRaise = time.Duration(1 + r.Int64N(int64(20*time.Second)))
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.net = newNetwork(rand.New(rand.NewPCG(seed, 1)))
	return c
}

// fail notes that an invariant does not hold, by its name.
func (c *cluster) fail(name, format string, args ...any) {
	text := name + ": " + fmt.Sprintf(format, args...)
	c.trace.note("BROKEN %s", text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.broken) < 20 {
		c.broken = append(c.broken, text)
	}
}

func (c *cluster) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.broken) > 0
}

// add makes machines with the roles given and formats their disks.
func (c *cluster) add(roles ...string) {
	var voters, addresses []string
	for i, r := range roles {
		m := &machine{c: c, id: i + 1, roles: r, host: c.net.host(net.IPv4(10, 0, 0, byte(i+1))), dirs: "/a,/b"}
		m.disk = newDisk(rand.New(rand.NewPCG(c.seed, uint64(100+i))), m.now)
		c.nodes = append(c.nodes, m)
		if strings.Contains(r, "controller") {
			addresses = append(addresses, m.address(controllerPort))
			voters = append(voters, fmt.Sprintf("%d@%s", m.id, m.address(controllerPort)))
		}
	}
	if c.voting.named() {
		c.extra = append(c.extra, "controller.quorum.voters="+strings.Join(voters, ","), fmt.Sprint("controller.quorum.auto.join.enable=", c.voting == votersUpgraded))
	} else {
		c.extra = append(c.extra, "controller.quorum.bootstrap.servers="+strings.Join(addresses, ","), fmt.Sprint("controller.quorum.auto.join.enable=", c.voting == votersJoin))
	}
	// With little at a time a broker that has lost its disk sees each state that there ever was.
	c.extra = append(c.extra, fmt.Sprint("controller.quorum.fetch.max.bytes=", []int{1, 2000, 1 << 20}[c.seed%3]))
	for _, m := range c.nodes {
		if err := m.format(true); err != nil {
			c.t.Fatalf("format: %v", err)
		}
	}
}

func (m *machine) address(port int) string {
	return net.JoinHostPort(m.host.ip.String(), fmt.Sprint(port))
}

func (m *machine) broker() bool     { return strings.Contains(m.roles, "broker") }
func (m *machine) controller() bool { return strings.Contains(m.roles, "controller") }

func (m *machine) settings() (*config.Set, error) {
	var listeners []string
	if m.broker() {
		listeners = append(listeners, "PLAINTEXT://"+m.address(brokerPort))
	}
	if m.controller() {
		listeners = append(listeners, "CONTROLLER://"+m.address(controllerPort))
	}
	lines := append([]string{
		fmt.Sprint("node.id=", m.id), "process.roles=" + m.roles, "controller.listener.names=CONTROLLER",
		"listeners=" + strings.Join(listeners, ","), "log.dirs=" + m.dirs,
	}, m.c.extra...)
	set, _, err := config.Load(nil, lines)
	return set, err
}

// format formats the disk as kafka-storage does; a voter of a dynamic quorum is one of its first voters only the first time.
func (m *machine) format(first bool) error {
	set, err := m.settings()
	if err != nil {
		return err
	}
	r := format.Request{Node: set.Node(), ClusterID: clusterID, Out: new(strings.Builder), Now: m.now(), Features: map[string]int16{image.FeatureTransaction: m.c.txnVersion}}
	if !m.c.voting.named() && m.controller() {
		r.InitialControllers = m.c.initial()
		if !first || !slices.ContainsFunc(r.InitialControllers, func(v format.Voter) bool { return v.ID == int32(m.id) }) {
			r.InitialControllers, r.NoInitialControllers = nil, true
		}
	}
	return format.Format(m.disk.begin(), r)
}

// run starts the machine's process and, as a supervisor does, starts it again when it has ended by itself.
func (m *machine) run() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wanted {
		return
	}
	m.wanted = true
	if !m.leaving {
		m.launch()
	}
}

// launch starts a process; m.mu is held.
func (m *machine) launch() {
	c := m.c
	ctx, cancel := context.WithCancel(c.ctx)
	p := &process{m: m, life: m.host.begin(), mount: m.disk.begin(), cancel: cancel}
	m.process, m.dirty = p, false
	c.trace.note("node %d: starts", m.id)
	c.wait.Go(func() { p.run(ctx) })
}

func (p *process) run(ctx context.Context) {
	m := p.m
	defer p.cancel()
	set, err := m.settings()
	if err != nil {
		m.c.fail("settings", "%v", err)
		return
	}
	n, err := node.Start(ctx, node.Options{Config: set, FS: p.mount, Net: p.life, Now: m.now, Logs: telemetry.NewLogs(traceWriter{m.c, m.id, p}, traceLevel, false)})
	m.mu.Lock()
	if err != nil {
		m.c.trace.note("node %d: start failed: %v", m.id, err)
		m.ended(p)
		m.mu.Unlock()
		return
	}
	p.n = n
	over := p.over
	m.mu.Unlock()
	if over {
		_ = p.stop() // it was killed while it started
		return
	}
	m.c.trace.note("node %d: serves", m.id)
	select {
	case <-ctx.Done():
	case err := <-n.Failed():
		m.c.trace.note("node %d: cannot go on: %v", m.id, err)
		m.c.reach("a process that ended by itself")
		if errors.Is(err, quorum.ErrReplaced) {
			m.c.reach("a voter that was replaced")
		}
		_ = p.stop() // as node.Run does
		m.mu.Lock()
		m.ended(p)
		m.mu.Unlock()
	}
}

// ended notes that a process has ended by itself; m.mu is held. It comes again after a while.
func (m *machine) ended(p *process) {
	if p.over {
		return
	}
	p.over = true
	p.gone.Store(true)
	m.unclean = true
	m.host.end(false)
	m.disk.end()
	m.c.wait.Go(func() {
		if m.c.pause(time.Second) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.wanted && m.process == p && !m.leaving { // else who stops it starts the next one
				m.launch()
			}
		}
	})
}

// pause waits, unless the simulation ends first.
func (c *cluster) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// kill ends the process as kill -9 does; with power, the machine too, and what it had not synced.
func (m *machine) kill(power bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.process
	m.wanted, m.leaving = false, false
	if p == nil || p.over {
		if power {
			m.unclean = m.unclean || m.dirty
			m.host.end(true)
			m.disk.cut()
		}
		return
	}
	p.over, m.dirty = true, true
	spoilt := false // after a fault of its disk it leaves no mark that it has lost nothing
	m.disk.set(func() { spoilt = m.disk.bad != "" || m.disk.filled })
	m.unclean = m.unclean || power || spoilt || p.n == nil // while it starts, it may be registered and not know it
	p.gone.Store(true)
	m.host.end(power)
	if power {
		m.disk.cut()
	} else {
		m.disk.end()
	}
	n := p.n
	p.cancel()
	if n != nil {
		m.c.wait.Go(func() { _ = p.stop() }) // its goroutines end; it has neither disk nor network
	}
}

// shutDown stops the process cleanly, and waits until it has ended.
func (m *machine) shutDown() error {
	m.mu.Lock()
	p := m.process
	m.wanted = false
	if p == nil || p.over || p.n == nil || m.leaving {
		m.mu.Unlock()
		return errors.New("not running")
	}
	m.leaving = true
	m.mu.Unlock()
	err := p.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.over {
		if m.process == p && m.leaving { // it ended by itself
			m.leaving = false
			if m.wanted {
				m.launch()
			}
		}
		return errors.New("killed meanwhile")
	}
	p.over, m.leaving = true, false
	p.gone.Store(true)
	p.cancel()
	m.host.end(false)
	m.disk.end()
	if m.wanted {
		m.launch()
	}
	return err
}

// serving reports whether the process is started whole.
func (m *machine) serving() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process != nil && !m.process.over && m.process.n != nil && !m.leaving
}

// end stops everything; the bubble may end after it.
func (c *cluster) end() {
	for _, m := range c.nodes {
		m.kill(false)
	}
	c.stop()
	for _, h := range c.net.hosts {
		h.end(false)
	}
	c.wait.Wait()
}

var traceLevel = slog.LevelInfo
