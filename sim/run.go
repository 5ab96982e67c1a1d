package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

const (
	registerTopic = "registers"
	registerCount = 2
	loadTopic     = "load"
	loadCount     = 3
	// wellWithin is how long a cluster may take to be healthy after the last fault.
	wellWithin = 90 * time.Second
)

// outcome is what is left to look at after a simulation.
type outcome struct {
	broken  []string
	trace   []string
	regs    *registers
	logged  [registerCount]map[string]bool
	acked   int
	reached map[string]int
	took    time.Duration // virtual
}

// shape chooses the cluster.
func (c *cluster) shape() {
	r := c.rng
	all := [][]string{
		{"broker,controller", "broker,controller", "broker,controller"},
		{"broker,controller", "broker,controller", "broker,controller", "broker"},
		{"broker,controller", "broker,controller", "broker,controller", "broker"},
		{"controller", "controller", "controller", "broker", "broker", "broker"},
	}
	if c.voting = voting(r.IntN(4) % 3); c.voting != votersStatic {
		all = [][]string{
			{"broker,controller", "broker,controller", "broker,controller"},
			{"broker,controller", "broker,controller", "broker,controller", "controller"},
			{"broker,controller", "broker,controller", "broker,controller", "broker,controller"},
			{"controller", "controller", "controller", "broker", "broker", "broker,controller"},
		}
	}
	if other := rand.New(rand.NewPCG(c.seed, 3)); c.voting == votersStatic && other.IntN(2) == 0 {
		c.voting, c.upgradeAfter = votersUpgraded, time.Duration(other.Int64N(int64(15*time.Second)))
	}
	roles := all[r.IntN(len(all))]
	c.fsync = r.IntN(3) == 0
	session, between := 3000+r.IntN(3)*3000, 2000+r.IntN(3)*20000
	if r.IntN(3) == 0 { // who comes late goes on from a snapshot
		between = 1500
		c.extra = append(c.extra, "metadata.log.segment.ms=1000", "metadata.max.retention.bytes=6000")
	}
	c.extra = append(c.extra,
		"offsets.topic.num.partitions=2", "offsets.topic.replication.factor=3", "group.initial.rebalance.delay.ms=100", "min.insync.replicas=2", "default.replication.factor=3",
		fmt.Sprint("broker.session.timeout.ms=", session), fmt.Sprint("broker.heartbeat.interval.ms=", session/5),
		fmt.Sprint("replica.lag.time.max.ms=", 1000+r.IntN(3)*3000), fmt.Sprint("num.replica.fetchers=", 1+r.IntN(2)),
		fmt.Sprint("metadata.log.max.record.bytes.between.snapshots=", between),
		fmt.Sprint("controller.quorum.election.timeout.ms=", 500+r.IntN(2)*500),
		"replica.socket.timeout.ms=5000", "controller.quorum.request.timeout.ms=2000",
		fmt.Sprint("log.flush.offset.checkpoint.interval.ms=", 500+r.IntN(3)*2000), fmt.Sprint("replica.high.watermark.checkpoint.interval.ms=", 300+r.IntN(3)*2000),
	)
	c.extra = append(c.extra, c.transactionSettings()...)
	if c.fsync {
		c.extra = append(c.extra, "weir.durability=fsync")
	}
	c.trace.note("seed %d: %v, transaction.version %d, %v", c.seed, roles, c.txnVersion, c.extra)
	c.add(roles...)
}

// simulate runs one seed; it is called inside the bubble.
func (c *cluster) simulate(faults time.Duration) *outcome {
	out := &outcome{regs: &registers{topic: registerTopic, ops: make([][]porcupine.Operation, registerCount)}}
	begin := time.Now()
	c.shape()
	for _, m := range c.nodes {
		m.run()
	}
	x := &chaos{c: c, rng: rand.New(rand.NewPCG(c.seed, 2)), topics: []string{registerTopic, loadTopic, offsetsTopic, looseTopic, ledgerTopic, resultTopic, stateTopic}}
	load, stopLoad := context.WithCancel(c.ctx)
	whole, giveUp := context.WithCancel(c.ctx)
	if !c.prepare() {
		c.fail("L", "a new cluster does not get to work")
	} else {
		reading, stopReading := context.WithCancel(whole)
		wrote, read := c.load(load, reading, whole, out)
		c.wait.Go(func() { c.survey(whole) })
		watched := make(chan struct{})
		c.wait.Go(func() { defer close(watched); c.watch(whole) })
		// The faults.
		during, over := context.WithTimeout(c.ctx, faults)
		x.run(during)
		over()
		c.heal()
		c.awaitHealth(out)
		stopLoad()
		c.awaitLoad(wrote)
		c.awaitChain()
		stopReading()
		if !c.isBroken() {
			c.awaitReaders(read)
		}
		if c.isBroken() {
			giveUp() // who still asks would ask for ever
		}
		<-read
		if !c.isBroken() {
			c.awaitRest()
		}
		c.trace.note("the load has ended")
		if !c.isBroken() {
			c.readAll(out)
		}
		giveUp()
		<-watched
		if !c.isBroken() {
			c.compareMetadata()
		}
	}
	stopLoad()
	giveUp()
	c.finish(out)
	out.took = time.Since(begin)
	out.broken, out.trace, out.acked, out.reached = c.broken, c.trace.tail(traceLines), c.history.acked, c.reached
	return out
}

// prepare waits for the cluster to come up and makes the topics.
func (c *cluster) prepare() bool {
	cl := c.newClient("prepare")
	defer cl.close()
	for i := range 600 {
		if !c.pause(100 * time.Millisecond) {
			return false
		}
		ok := true
		for _, m := range c.nodes {
			ok = ok && m.serving()
		}
		if !ok {
			continue
		}
		for _, topic := range []*kmsg.CreateTopicsRequest{
			createTopic(registerTopic, registerCount, "min.insync.replicas", "2"), createTopic(loadTopic, loadCount, "min.insync.replicas", "2"),
			createTopic(ledgerTopic, ledgerCount, c.segments()...), createTopic(resultTopic, resultCount, c.segments()...),
			createTopic(looseTopic, looseCount, "min.insync.replicas", "1", "unclean.leader.election.enable", "true"),
		} {
			ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
			resp, err := cl.ask(ctx, -1, topic)
			cancel()
			if err != nil {
				ok = false
				continue
			}
			code := wire.Code(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
			ok = ok && (code == wire.None || code == wire.TopicAlreadyExists)
			if i > 590 {
				c.trace.note("create %s: %v", topic.Topics[0].Topic, code)
			}
		}
		if ok {
			c.mention(cl)
			return true
		}
	}
	return false
}

// mention has kinds of records in the metadata that nothing here needs but snapshots must have. Whether it is done nobody asks.
func (c *cluster) mention(cl *client) {
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	quotas := kmsg.NewPtrAlterClientQuotasRequest()
	e, name := kmsg.NewAlterClientQuotasRequestEntry(), "nobody"
	e.Entity = append(e.Entity, kmsg.AlterClientQuotasRequestEntryEntity{Type: "user", Name: &name})
	e.Ops = append(e.Ops, kmsg.AlterClientQuotasRequestEntryOp{Key: "consumer_byte_rate", Value: 1 << 20})
	quotas.Entries = append(quotas.Entries, e)
	users := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = name, 1, 4096, []byte("salt"), make([]byte, 32)
	users.Upsertions = append(users.Upsertions, u)
	for _, req := range []kmsg.Request{quotas, users} {
		if _, err := cl.ask(ctx, -1, req); err != nil {
			c.trace.note("%T: %v", req, err)
		}
	}
}

// load starts the clients. The channels are closed when those that write have ended, and when the one that reads has.
func (c *cluster) load(ctx, reading, flush context.Context, out *outcome) (done, read <-chan struct{}) {
	c.consumed = &consumed{seen: map[string]bool{}, committed: map[int32]int64{}, unsure: map[int32][]int64{}}
	var begun []func()
	for i := range 2 * registerCount {
		begun = append(begun, func() {
			c.registerClient(ctx, out.regs, int32(i%registerCount), i, rand.New(rand.NewPCG(c.seed, uint64(200+i))))
		})
	}
	for i := range int32(loadCount) {
		begun = append(begun, func() { c.idempotentProducer(ctx, flush, loadTopic, i, rand.New(rand.NewPCG(c.seed, uint64(300+i)))) })
	}
	begun = append(begun, func() { c.looseProducer(ctx, rand.New(rand.NewPCG(c.seed, 500))) })
	for i := range plainProducers {
		begun = append(begun, func() {
			c.producers(ctx, flush, fmt.Sprint("txn-", i), rand.New(rand.NewPCG(c.seed, uint64(600+i))), func(p *transactor) func() bool { return p.plain(ctx, flush) })
		})
	}
	begun = append(begun, func() { c.fleeting(ctx, rand.New(rand.NewPCG(c.seed, 620))) })
	readers := []func(){
		func() {
			c.groupConsumer(reading, loadTopic, loadCount, "group", c.consumed, rand.New(rand.NewPCG(c.seed, 400)))
		},
		func() { c.stableReader(reading, rand.New(rand.NewPCG(c.seed, 401))) },
		func() {
			c.producers(reading, flush, chainID, rand.New(rand.NewPCG(c.seed, 610)), func(p *transactor) func() bool { return p.chain(reading, flush) })
		},
	}
	begun, writers := append(begun, readers...), len(begun)
	wrote, all := make(chan struct{}), make(chan struct{})
	var writing, rest sync.WaitGroup
	for i, f := range begun {
		if i < writers {
			writing.Go(f)
		} else {
			rest.Go(f)
		}
	}
	c.wait.Go(func() { writing.Wait(); close(wrote) })
	c.wait.Go(func() { rest.Wait(); close(all) })
	return wrote, all
}

// heal ends all faults.
func (c *cluster) heal() {
	c.trace.note("HEAL")
	c.net.set(func() {
		clear(c.net.cut)
		clear(c.net.slow)
		for _, m := range c.nodes {
			m.host.frozen = false
		}
	})
	var again []*machine // their directories stay offline until they are started again
	for _, m := range c.nodes {
		m.skew.Store(0)
		m.disk.set(func() {
			if m.disk.bad != "" || m.disk.filled { // who leads from a full disk gives the directory up
				again = append(again, m)
			}
			m.disk.bad, m.disk.slow, m.disk.full = "", 0, false
			m.disk.thaw()
		})
		m.run()
	}
	for _, m := range again {
		// Not killed: after what its disk said its process leaves no mark that it has lost nothing, and others may have lost something.
		for i := 0; !m.serving() && i < 200; i++ {
			m.run()
			c.pause(100 * time.Millisecond)
		}
		if m.serving() {
			_ = m.shutDown()
		} else {
			m.kill(false)
		}
		m.run()
	}
}

// awaitHealth waits until every node serves, every partition has its leader and all replicas in sync.
func (c *cluster) awaitHealth(out *outcome) {
	cl := c.newClient("health")
	defer cl.close()
	begin := time.Now()
	tight := true
	for time.Since(begin) < wellWithin {
		ok := true
		if tight { // the loose topic may have lost all that was in sync, while nobody else may lead it
			tight = !c.allowUnclean(cl)
		}
		for _, m := range c.nodes {
			m.run() // who was being stopped when the faults ended
			if !m.serving() {
				ok = false
			} else if m.broker() {
				_, all := cl.inSync(c.ctx, m)
				ok = ok && all
			}
		}
		if ok && c.votersWell(c.ctx, cl) {
			c.trace.note("healthy %v after the last fault", time.Since(begin))
			return
		}
		c.pause(300 * time.Millisecond)
	}
	for _, m := range c.nodes {
		if m.broker() {
			own, all := cl.inSync(c.ctx, m)
			c.trace.note("node %d: serving %v, in sync %v, all in sync %v", m.id, m.serving(), own, all)
		}
	}
	c.fail("L Healthy", "the cluster is not healthy %v after the last fault", wellWithin)
}

// awaitLoad waits until all that was sent is answered and the group has read all.
func (c *cluster) awaitLoad(done <-chan struct{}) {
	t := time.NewTimer(60 * time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		c.fail("L EveryProduceSucceeds", "clients are still waiting a minute after the cluster was well")
		return
	}
	missing := ""
	for range 200 {
		missing = ""
		n := 0
		c.history.mu.Lock()
		c.mu.Lock()
		for v, w := range c.history.writes {
			if w.acked && w.topic == loadTopic && !c.consumed.seen[v] {
				missing = v
				n++
			}
		}
		c.mu.Unlock()
		c.history.mu.Unlock()
		if n == 0 {
			return
		}
		c.pause(300 * time.Millisecond)
	}
	c.fail("C2 AtLeastOnce", "the group has not read %q a minute after the cluster was well", missing)
}

// awaitReaders waits until those who read, and the chain, have ended what they were at.
func (c *cluster) awaitReaders(read <-chan struct{}) {
	t := time.NewTimer(60 * time.Second)
	defer t.Stop()
	select {
	case <-read:
	case <-t.C:
		c.fail("T4 NoHangingTransaction", "the chain has not ended its last transaction a minute after it was to")
	}
}

// finish ends everything.
func (c *cluster) finish(*outcome) {
	c.end()
}
