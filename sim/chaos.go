package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// chaos makes faults until ctx ends. What it may do keeps to what the promise allows: fewer than min.insync.replicas (2)
// replicas lose data, or may have lost it as the controller sees it, before they are in sync again.
type chaos struct {
	c      *cluster
	rng    *rand.Rand
	admin  *client
	topics []string
	made   int
	churn  []string
}

func (x *chaos) run(ctx context.Context) {
	x.admin = x.c.newClient("admin")
	defer x.admin.close()
	for wait(ctx, time.Duration(100+x.rng.IntN(2500))*time.Millisecond) {
		x.fault(ctx)
	}
}

func (x *chaos) any() *machine { return x.c.nodes[x.rng.IntN(len(x.c.nodes))] }

// slow is a machine with a slow disk, nil if there is none.
func (x *chaos) slow() (found *machine) {
	for _, m := range x.c.nodes {
		m.disk.set(func() {
			if m.disk.slow > 0 && m.broker() {
				found = m
			}
		})
	}
	return found
}

// later undoes a fault after a while.
func (x *chaos) later(ctx context.Context, most time.Duration, undo func()) {
	d := time.Duration(x.rng.Int64N(int64(most)))
	x.c.wait.Go(func() {
		if wait(ctx, d) {
			undo()
		}
	})
}

func (x *chaos) note(format string, args ...any) { x.c.trace.note("FAULT "+format, args...) }

func (x *chaos) fault(ctx context.Context) {
	m := x.any()
	switch k := x.rng.IntN(100); {
	case k < 14:
		x.kill(ctx, m)
	case k < 26:
		if slow := x.slow(); slow != nil && x.rng.IntN(2) == 0 {
			m = slow // it has much that is not synced
		}
		x.powerCut(ctx, m)
	case k < 33:
		x.stop(ctx, m)
	case k < 47:
		x.part(ctx)
	case k < 52:
		from, to := x.any().host, x.any().host
		d := time.Duration(1+x.rng.IntN(300)) * time.Millisecond
		x.note("slow way from %v to %v: %v", from.ip, to.ip, d)
		x.c.net.set(func() { x.c.net.slow[[2]*host{from, to}] = d })
		x.later(ctx, 10*time.Second, func() { x.c.net.set(func() { delete(x.c.net.slow, [2]*host{from, to}) }) })
	case k < 58:
		x.freeze(ctx, m)
	case k < 64:
		d := time.Duration(1+x.rng.IntN(2000)) * time.Millisecond
		x.note("slow disk of node %d: up to %v", m.id, d)
		m.disk.set(func() { m.disk.slow = d })
		x.later(ctx, 8*time.Second, func() { m.disk.set(func() { m.disk.slow = 0 }) })
	case k < 68:
		x.fillDisk(ctx, m)
	case k < 72:
		x.failDir(ctx, m)
	case k < 75:
		x.wipe(ctx, m)
	case k < 86:
		x.reassign(ctx)
	case k < 89:
		x.elect(ctx)
	case k < 95:
		x.churnTopics(ctx)
	case k < 97:
		x.loosen(ctx)
	case k < 99:
		x.setClock(ctx, m)
	default:
		x.killAll(ctx)
	}
	if x.c.voting == votersUpgraded {
		x.upgrade(ctx)
		if x.c.upgraded && x.rng.IntN(3) == 0 {
			x.wipe(ctx, x.any()) // its settings say that it votes
		}
	}
	if x.c.voting == votersChanged && x.rng.IntN(4) == 0 {
		x.changeVoters(ctx)
	}
}

// mayLose reports whether the promise bears that this machine loses data now. Topics whose records are synced before they
// are acknowledged lose none by lack of power.
func (x *chaos) mayLose(m *machine) bool {
	for _, o := range x.c.nodes {
		o.mu.Lock()
		bad := o != m && (o.unclean || o.lossy)
		o.mu.Unlock()
		if bad {
			return false
		}
	}
	return true
}

// mayDie reports whether the promise bears that this machine's process ends unclean now.
func (x *chaos) mayDie(m *machine) bool {
	for _, o := range x.c.nodes {
		o.mu.Lock()
		bad := o != m && o.lossy
		o.mu.Unlock()
		if bad {
			return false
		}
	}
	return true
}

func (x *chaos) back(ctx context.Context, m *machine, most time.Duration) {
	x.later(ctx, most, func() {
		x.note("node %d is started", m.id)
		m.run()
	})
}

// keeps reports whether a process that is killed now has lost nothing, and its broker will know: its machine keeps what it had
// written.
func (m *machine) keeps() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process != nil && !m.process.over && m.process.n != nil && !m.leaving && !m.unclean
}

// kill ends a process as kill -9 does.
func (x *chaos) kill(ctx context.Context, m *machine) {
	if !m.keeps() && !x.mayDie(m) {
		return
	}
	x.note("kill node %d", m.id)
	m.kill(false)
	x.back(ctx, m, 8*time.Second)
}

// killAll ends all processes at the same moment, as many as there are that keep everything. At times one of the machines loses
// its power in that moment: the others must know that they have lost nothing, and that one that it may have.
func (x *chaos) killAll(ctx context.Context) {
	x.note("kill all nodes")
	if m := x.any(); x.rng.IntN(3) > 0 {
		x.powerCut(ctx, m)
	}
	for _, m := range x.c.nodes {
		if m.keeps() {
			m.kill(false)
			x.back(ctx, m, 5*time.Second)
		}
	}
}

func (x *chaos) powerCut(ctx context.Context, m *machine) {
	if x.c.fsync && !x.mayDie(m) || !x.c.fsync && !x.mayLose(m) {
		return
	}
	x.note("power cut of node %d", m.id)
	x.c.durable(m, func() { m.kill(true) })
	if !x.c.fsync {
		m.mu.Lock()
		m.lossy = m.unclean // one that was stopped cleanly has synced all
		m.mu.Unlock()
	}
	x.back(ctx, m, 8*time.Second)
}

func (x *chaos) stop(ctx context.Context, m *machine) {
	if !m.serving() {
		return
	}
	x.note("stop node %d", m.id)
	x.c.wait.Go(func() {
		err := m.shutDown()
		x.note("node %d has stopped: %v", m.id, err)
		if wait(ctx, time.Second) {
			m.run()
		}
	})
}

// part cuts ways: one, those of one machine, or those between two halves.
func (x *chaos) part(ctx context.Context) {
	var ways [][2]*host
	a := x.any()
	switch x.rng.IntN(4) {
	case 0:
		ways = append(ways, [2]*host{a.host, x.any().host})
		x.note("cut the way from node %d to %v", a.id, ways[0][1].ip)
	case 1, 2:
		in, out := x.rng.IntN(3) > 0, x.rng.IntN(3) > 0
		for _, o := range x.c.nodes {
			if o != a && out {
				ways = append(ways, [2]*host{a.host, o.host})
			}
			if o != a && in {
				ways = append(ways, [2]*host{o.host, a.host})
			}
		}
		x.note("cut node %d off, in %v, out %v", a.id, in, out)
	default:
		side := map[*machine]bool{}
		for _, m := range x.c.nodes {
			side[m] = x.rng.IntN(2) == 0
		}
		for _, m := range x.c.nodes {
			for _, o := range x.c.nodes {
				if side[m] != side[o] {
					ways = append(ways, [2]*host{m.host, o.host})
				}
			}
		}
		x.note("part the cluster: %d ways", len(ways))
	}
	x.c.net.set(func() {
		for _, w := range ways {
			x.c.net.cut[w] = true
		}
	})
	x.later(ctx, 10*time.Second, func() {
		x.note("%d ways are mended", len(ways))
		x.c.net.set(func() {
			for _, w := range ways {
				delete(x.c.net.cut, w)
			}
		})
	})
}

// freeze stops a process as SIGSTOP does: it neither sends nor receives, and its disk does nothing.
func (x *chaos) freeze(ctx context.Context, m *machine) {
	x.note("freeze node %d", m.id)
	gate := make(chan struct{})
	m.disk.set(func() {
		m.disk.thaw()
		m.disk.frozen = gate
	})
	l := m.host.life
	x.c.net.set(func() { m.host.frozen = true })
	x.later(ctx, 15*time.Second, func() {
		x.note("thaw node %d", m.id)
		m.disk.set(func() {
			if m.disk.frozen == gate {
				m.disk.thaw()
			}
		})
		x.c.net.set(func() {
			if m.host.life == l {
				m.host.frozen = false
			}
		})
	})
}

// fillDisk leaves a disk without room for a while. Who leads from it gives its directory up, and may end with that.
func (x *chaos) fillDisk(ctx context.Context, m *machine) {
	if !x.mayDie(m) {
		return
	}
	x.note("full disk of node %d", m.id)
	m.mu.Lock()
	m.unclean = true
	m.mu.Unlock()
	m.disk.set(func() { m.disk.full, m.disk.filled = true, true })
	x.later(ctx, 6*time.Second, func() { x.note("disk of node %d has room", m.id); m.disk.set(func() { m.disk.full = false }) })
}

func (x *chaos) failDir(ctx context.Context, m *machine) {
	dir := []string{"/a", "/b"}[x.rng.IntN(2)]
	if !x.mayLose(m) { // the one with the metadata ends the process, and who led from one that failed is not the last known leader
		return
	}
	x.note("directory %s of node %d fails", dir, m.id)
	m.mu.Lock()
	m.unclean = true // it may end its process at any time
	m.mu.Unlock()
	m.disk.set(func() { m.disk.bad = dir })
	x.later(ctx, 10*time.Second, func() {
		if x.mayDie(m) {
			x.note("node %d is killed and started with its directory mended", m.id)
			m.kill(false)
			m.run()
		}
	})
}

// wipe takes a machine's disk away and gives it an empty, formatted one.
func (x *chaos) wipe(ctx context.Context, m *machine) {
	for _, o := range x.c.nodes {
		if !o.serving() {
			return
		}
	}
	if !x.mayLose(m) || m.controller() && x.c.voting == votersChanged || !x.c.votersWell(ctx, x.admin) {
		return
	}
	x.note("wipe node %d", m.id)
	m.kill(true)
	m.mu.Lock()
	m.lossy = true
	m.mu.Unlock()
	m.disk.wipe()
	if err := m.format(false); err != nil {
		x.c.fail("format", "%v", err)
	}
	x.back(ctx, m, 8*time.Second)
}

func (x *chaos) brokers() []int32 {
	var ids []int32
	for _, m := range x.c.nodes {
		if m.broker() {
			ids = append(ids, int32(m.id))
		}
	}
	return ids
}

func (x *chaos) ask(ctx context.Context, req kmsg.Request) kmsg.Response {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	resp, err := x.admin.ask(ctx, -1, req)
	if err != nil {
		x.note("%s: %v", wire.APIName(req.Key()), err)
		return nil
	}
	return resp
}

func (x *chaos) reassign(ctx context.Context) {
	topic, index := x.topics[x.rng.IntN(len(x.topics))], int32(x.rng.IntN(2))
	ids := x.brokers()
	var replicas []int32
	for _, i := range x.rng.Perm(len(ids))[:3] {
		replicas = append(replicas, ids[i])
	}
	x.reassignTo(ctx, topic, index, replicas)
	if x.rng.IntN(4) == 0 && wait(ctx, time.Duration(x.rng.Int64N(int64(3*time.Millisecond)))) {
		x.reassignTo(ctx, topic, index, nil)
	}
}

// reassignTo moves a partition to other replicas; nil cancels that.
func (x *chaos) reassignTo(ctx context.Context, topic string, index int32, replicas []int32) {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 3000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = index, replicas
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	if resp, ok := x.ask(ctx, req).(*kmsg.AlterPartitionAssignmentsResponse); ok {
		code := wire.Code(resp.ErrorCode)
		if len(resp.Topics) > 0 && len(resp.Topics[0].Partitions) > 0 {
			code = wire.Code(resp.Topics[0].Partitions[0].ErrorCode)
		}
		x.note("reassign %s-%d to %v: %s", topic, p.Partition, p.Replicas, code.Name())
	}
}

func (x *chaos) elect(ctx context.Context) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = 3000
	req.Topics = nil
	x.ask(ctx, req)
	x.note("preferred leaders are elected")
}

func createTopic(name string, partitions int32, configs ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 5000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 3
	for i := 0; i+1 < len(configs); i += 2 {
		e := kmsg.NewCreateTopicsRequestTopicConfig()
		e.Name, e.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, e)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// survey clears what is held against machines that have come back and are in sync with all that they copy, by their own
// account, which is not older than their registration.
func (c *cluster) survey(ctx context.Context) {
	cl := c.newClient("survey")
	defer cl.close()
	for wait(ctx, 300*time.Millisecond) {
		for _, m := range c.nodes {
			m.mu.Lock()
			p := m.process
			look := (m.unclean || m.lossy) && p != nil && !p.over && p.n != nil
			m.mu.Unlock()
			m.disk.set(func() { look = look && m.disk.bad == "" && !m.disk.full })
			if !look || m.disk.freshVoter() {
				continue
			}
			if m.broker() {
				if ok, _ := cl.inSync(ctx, m); !ok {
					continue
				}
			}
			m.mu.Lock()
			if m.process == p && !p.over {
				m.unclean, m.lossy = false, false
				c.trace.note("node %d is in sync", m.id)
			}
			m.mu.Unlock()
		}
	}
}

// freshVoter reports whether the disk is that of a voter that has lost its log and not caught up yet.
func (d *disk) freshVoter() bool {
	_, err := d.memory().Stat(metadataFolder + "/weir/fresh")
	return err == nil
}

// inSync reports whether a machine is in sync with all that it copies, as it says itself; the second result says whether all
// partitions have a leader and all their replicas in sync.
func (cl *client) inSync(ctx context.Context, m *machine) (own, all bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	resp, err := cl.peer(m.address(brokerPort)).Do(ctx, req)
	if err != nil {
		return false, false
	}
	own, all = true, true
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		for _, p := range t.Partitions {
			cl.c.led(t.TopicID, p.Partition, p.LeaderEpoch, p.Leader)
			has := func(list []int32) bool {
				for _, id := range list {
					if id == int32(m.id) {
						return true
					}
				}
				return false
			}
			if has(p.Replicas) && !has(p.ISR) {
				own = false
			}
			if p.Leader < 0 || len(p.ISR) != len(p.Replicas) {
				all = false
			}
		}
	}
	return own, all
}
