package node

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/telemetry"
)

// groupsAtScrape is how long a scrape waits for the coordinators to list their groups.
const groupsAtScrape = 2 * time.Second

// brokerState is what kafka.server:type=KafkaServer,name=BrokerState says.
type brokerState int32

const (
	stateStarting brokerState = 1
	stateRunning  brokerState = 3
	stateLeaving  brokerState = 6
)

var (
	errStarting = errors.New("the node is starting")
	errLeaving  = errors.New("the node is stopping")
)

// state is the present state, as far as the node itself can tell.
func (n *Node) state() brokerState {
	switch {
	case n.leaving.Load():
		return stateLeaving
	case n.serving.Load():
		return stateRunning
	}
	return stateStarting
}

// ready says why the node does not serve clients now, nil if it does.
func (n *Node) ready() error {
	switch n.state() {
	case stateRunning:
		return nil
	case stateLeaving:
		return errLeaving
	}
	return errStarting
}

// serveMetrics opens weir.metrics.listeners. They answer from the start on, /readyz with 503 until clients can be
// served.
func (n *Node) serveMetrics() error {
	endpoints, err := n.opts.Metrics.Listen(n.config.Load().List("weir.metrics.listeners"), telemetry.Health{Ready: n.ready})
	if err != nil {
		return err
	}
	for _, e := range endpoints {
		n.watch.Go("metrics", func(ctx context.Context) { e.Serve(ctx, n.room("metrics")) })
	}
	return nil
}

// register declares everything that is served of this node. It is called once, before the listeners are open.
func (n *Node) register() {
	r := n.opts.Metrics
	r.GaugeFunc(telemetry.BrokerState, func() float64 { return float64(n.state()) })
	r.GaugeFunc(telemetry.Fact{Name: "weir_build_info", Kind: telemetry.Plain, Help: "1; the label says which build this is."},
		func() float64 { return 1 }, "version", n.opts.Version, "go", runtime.Version())
	n.registerSecurity(r)
	n.registerDisks(r)
	n.registerController(r)
	n.registerRaft(r)
	n.registerProcess(r)
	r.Source(n.emitQuotas)
	r.Source(n.emitAcceptRates)
	if n.isBroker() {
		n.registerGroups(r)
		n.registerTransactions(r)
		r.Counter(telemetry.ISRShrinks)
		r.Counter(telemetry.ISRExpands)
		r.Source(n.emitReplicas)
		r.Partitions(n.replicaCount, n.eachPartition)
	}
	r.Cluster(telemetry.ClusterSource{
		Brokers: n.clusterBrokers, Partitions: n.clusterPartitions, Count: func() int { return n.image.Load().PartitionCount() },
	})
}

func (n *Node) registerDisks(r *telemetry.Registry) {
	r.GaugeFunc(telemetry.OfflineLogDirs, func() float64 {
		offline := 0
		for _, d := range n.logs.Dirs() {
			if !d.Online {
				offline++
			}
		}
		return float64(offline)
	})
	total := telemetry.Fact{Name: "weir_log_dir_total_bytes", Kind: telemetry.Plain, Help: "Size of the volume of a log directory."}
	usable := telemetry.Fact{Name: "weir_log_dir_usable_bytes", Kind: telemetry.Plain, Help: "Bytes that are free on the volume of a log directory."}
	r.Source(func(emit telemetry.Emit) {
		for _, d := range n.logs.Dirs() {
			offline := 0.0
			if !d.Online {
				offline = 1
			}
			l := telemetry.Labels{"logDirectory", d.Path}
			emit(telemetry.LogDirOffline, l, offline)
			if d.TotalBytes >= 0 {
				emit(total, l, float64(d.TotalBytes))
				emit(usable, l, float64(d.UsableBytes))
			}
		}
	})
}

// emitReplicas counts the replicas by what they are.
func (n *Node) emitReplicas(emit telemetry.Emit) {
	var all, leaders, under, underMin, atMin, offline, reassigning int
	img := n.image.Load()
	n.replicas.Each(func(r *replica.Replica) bool {
		all++
		if r.Log() == nil {
			offline++
		}
		role := r.Role()
		if !role.Leads() {
			return true
		}
		leaders++
		if role.UnderReplicated() {
			under++
		}
		switch least := r.MinInSync(); {
		case len(role.ISR) < least:
			underMin++
		case len(role.ISR) == least:
			atMin++
		}
		if p := img.Partition(r.Topic, r.Index); p != nil && len(p.Adding)+len(p.Removing) > 0 {
			reassigning++
		}
		return true
	})
	for _, g := range []struct {
		fact telemetry.Fact
		n    int
	}{{telemetry.PartitionCount, all}, {telemetry.LeaderCount, leaders}, {telemetry.UnderReplicated, under}, {telemetry.UnderMinISR, underMin},
		{telemetry.AtMinISR, atMin}, {telemetry.OfflineReplicaCount, offline}, {telemetry.ReassigningPartition, reassigning}} {
		emit(g.fact, nil, float64(g.n))
	}
}

func (n *Node) replicaCount() int {
	count := 0
	n.replicas.Each(func(*replica.Replica) bool {
		count++
		return true
	})
	return count
}

func (n *Node) eachPartition(yield func(telemetry.PartitionState) bool) {
	n.replicas.Each(func(r *replica.Replica) bool {
		l := r.Log()
		if l == nil {
			return true
		}
		role := r.Role()
		return yield(telemetry.PartitionState{
			Topic: r.Topic, Partition: r.Index, SizeBytes: l.SizeBytes(), LogStartOffset: l.LogStartOffset(), LogEnd: l.LogEndOffset(),
			Segments: l.NumSegments(), Leader: role.Leads(), Replicas: len(role.Replicas), ISR: len(role.ISR), MinISR: r.MinInSync(),
		})
	})
}

func (n *Node) clusterBrokers() []telemetry.BrokerInfo {
	var out []telemetry.BrokerInfo
	inter := n.config.Load().Node().InterBroker
	for b := range n.image.Load().Brokers() {
		info := telemetry.BrokerInfo{ID: b.ID}
		for _, e := range b.Endpoints {
			if e.Name == inter || info.Address == "" {
				info.Address = net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
			}
		}
		out = append(out, info)
	}
	return out
}

func (n *Node) clusterPartitions(yield func(telemetry.ClusterPartition) bool) {
	for t := range n.image.Load().Topics() {
		for i := range t.Partitions {
			p := t.Partitions[i]
			c := telemetry.ClusterPartition{Topic: t.Name, Partition: int32(i), Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR, HighWatermark: -1, Start: -1}
			if p.Leader == n.id {
				c.Start, c.HighWatermark = n.offsets(t.Name, int32(i))
			}
			if !yield(c) {
				return
			}
		}
	}
}

// offsets are the log start and high watermark of a partition that this broker leads, -1 if it does not.
func (n *Node) offsets(topic string, partition int32) (start, hw int64) {
	r, _, _ := n.replicas.Find(topic, [16]byte{}, partition, false)
	if r == nil || !r.Role().Leads() || r.Log() == nil {
		return -1, -1
	}
	return r.Log().LogStartOffset(), r.Log().HighWatermark()
}

// registerController serves what the active controller says of the cluster.
func (n *Node) registerController(r *telemetry.Registry) {
	r.Counter(telemetry.UncleanElections)
	r.Source(func(emit telemetry.Emit) {
		img := n.image.Load()
		active := 0.0
		if n.quorum.Status().LeaderID == n.id {
			active = 1
		}
		emit(telemetry.ActiveController, nil, active)
		var offline, imbalance, brokers, fenced float64
		for t := range img.Topics() {
			for i := range t.Partitions {
				p := t.Partitions[i]
				if p.Leader < 0 {
					offline++
				}
				if len(p.Replicas) > 0 && p.Leader != p.Replicas[0] {
					imbalance++
				}
			}
		}
		for b := range img.Brokers() {
			if b.Fenced {
				fenced++
			} else {
				brokers++
			}
		}
		emit(telemetry.OfflinePartitions, nil, offline)
		emit(telemetry.PreferredImbalance, nil, imbalance)
		emit(telemetry.GlobalTopics, nil, float64(img.TopicCount()))
		emit(telemetry.GlobalPartitions, nil, float64(img.PartitionCount()))
		emit(telemetry.ActiveBrokers, nil, brokers)
		emit(telemetry.FencedBrokers, nil, fenced)
		emit(telemetry.MetadataErrors, nil, 0)
		emit(telemetry.LastAppliedOffset, nil, float64(img.Offset()))
		emit(telemetry.LastCommitted, nil, float64(n.quorum.Status().HighWatermark-1))
		emit(telemetry.LastAppliedLag, nil, lagMs(img, active == 1))
	})
}

// lagMs is the age of the last metadata record that was applied; 0 where records are made.
func lagMs(img *image.Image, active bool) float64 {
	at := img.Provenance().Timestamp
	if active || at <= 0 {
		return 0
	}
	return float64(max(time.Now().UnixMilli()-at, 0))
}

func (n *Node) registerRaft(r *telemetry.Registry) {
	r.RaftStates(func() string {
		switch s := n.quorum.Status(); {
		case s.LeaderID == n.id:
			return "leader"
		case s.LeaderID >= 0:
			return "follower"
		}
		return "unattached"
	})
	r.GaugeFunc(telemetry.RaftLeader, func() float64 { return float64(n.quorum.Status().LeaderID) })
	r.GaugeFunc(telemetry.RaftVote, func() float64 { return float64(n.quorum.Status().LeaderID) })
	r.GaugeFunc(telemetry.RaftEpoch, func() float64 { return float64(n.quorum.Status().LeaderEpoch) })
	r.GaugeFunc(telemetry.RaftHighWatermark, func() float64 { return float64(n.quorum.Status().HighWatermark) })
	appended := &rateMeter{read: func() float64 { return float64(n.quorum.Status().LogEndOffset) }}
	r.GaugeFunc(telemetry.RaftAppendRate, appended.perSecond)
	r.GaugeFunc(telemetry.RaftFetchRate, func() float64 { return 0 }) // nothing is fetched from another voter
	r.GaugeFunc(telemetry.RaftLogEnd, func() float64 { return float64(n.quorum.Status().LogEndOffset) })
}

// Groups by protocol, and consumer groups by state.
var (
	groupCount = telemetry.Fact{Domain: "kafka.server", Type: "group-coordinator-metrics", Name: "group-count", Kind: telemetry.ClientMetric,
		Help: "Groups coordinated here, by protocol."}
	consumerGroupCount = telemetry.Fact{Domain: "kafka.server", Type: "group-coordinator-metrics", Name: "consumer-group-count", Kind: telemetry.ClientMetric,
		Help: "Consumer groups (KIP-848) coordinated here, by state."}
)

// registerGroups serves the groups coordinated here and their lag.
func (n *Node) registerGroups(r *telemetry.Registry) {
	states := map[string]telemetry.Fact{"Stable": telemetry.GroupsStable, "Empty": telemetry.GroupsEmpty, "Dead": telemetry.GroupsDead,
		"PreparingRebalance": telemetry.GroupsPreparing, "CompletingRebalance": telemetry.GroupsCompleting}
	r.Source(func(emit telemetry.Emit) {
		ctx, cancel := context.WithTimeout(context.Background(), groupsAtScrape)
		defer cancel()
		count, kinds, offsets := map[string]map[string]int{"classic": {}, "consumer": {}}, map[string]int{"classic": 0, "consumer": 0}, 0
		var lag telemetry.Lag
		total := 0
		for g := range n.groups.Groups(ctx) {
			total++
			kinds[g.Type]++
			if c := count[g.Type]; c != nil {
				c[g.State]++
			}
			lag.Members(g.Group, g.Members)
			for _, t := range g.Offsets {
				for _, p := range t.Partitions {
					offsets++
					_, hw := n.offsets(t.Name, p.Partition)
					lag.Commit(telemetry.GroupCommit{Group: g.Group, Topic: t.Name, Partition: p.Partition, Offset: p.Offset, HighWatermark: hw})
				}
			}
		}
		emit(telemetry.Groups, nil, float64(total))
		emit(telemetry.GroupOffsets, nil, float64(offsets))
		for state, fact := range states {
			emit(fact, nil, float64(count["classic"][state]))
		}
		for kind, n := range kinds {
			emit(groupCount, telemetry.Labels{"protocol", kind}, float64(n))
		}
		for _, state := range []string{"Empty", "Assigning", "Reconciling", "Stable", "Dead"} {
			emit(consumerGroupCount, telemetry.Labels{"state", strings.ToLower(state)}, float64(count["consumer"][state]))
		}
		lag.Emit(emit)
	})
	for name, read := range map[string]func() int64{
		"offset-commit-count":             func() int64 { return n.groups.Stats().OffsetCommits },
		"offset-expiration-count":         func() int64 { return n.groups.Stats().OffsetExpirations },
		"offset-deletion-count":           func() int64 { return n.groups.Stats().OffsetDeletions },
		"group-completed-rebalance-count": func() int64 { return n.groups.Stats().CompletedRebalances },
		"consumer-group-rebalance-count":  func() int64 { return n.groups.Stats().ConsumerRebalances },
	} {
		r.GaugeFunc(telemetry.Fact{Domain: "kafka.server", Type: "group-coordinator-metrics", Name: name, Kind: telemetry.ClientMetric,
			Help: "Of the group coordinator."}, func() float64 { return float64(read()) })
	}
	registerLoadTimes(r, "group-coordinator-metrics", n.groups.LoadTimes)
}

// registerTransactions serves what waits in the coordinators of transactions, and who was refused.
func (n *Node) registerTransactions(r *telemetry.Registry) {
	gauge := func(domain, kind, name, help string, read func() int64) {
		r.GaugeFunc(telemetry.Fact{Domain: domain, Type: kind, Name: name, Help: help}, func() float64 { return float64(read()) })
	}
	const coordinator, sender = "kafka.coordinator.transaction", "TransactionMarkerChannelManager"
	gauge(coordinator, sender, "UnknownDestinationQueueSize", "Markers of partitions that have no leader now.", func() int64 { return n.txns.Stats().UnknownDestination })
	gauge(coordinator, sender, "LogAppendRetryQueueSize", "Ends of transactions that wait for the log.", func() int64 { return n.txns.Stats().LogAppendRetries })
	registerLoadTimes(r, "transaction-coordinator-metrics", n.txns.LoadTimes)
}

// registerLoadTimes serves how long the partitions of a coordinator's topic took to load.
func registerLoadTimes(r *telemetry.Registry, kind string, read func() (longest, mean time.Duration)) {
	fact := func(name, help string) telemetry.Fact {
		return telemetry.Fact{Domain: "kafka.server", Type: kind, Name: name, Kind: telemetry.ClientMetric, Help: help}
	}
	r.GaugeFunc(fact("partition-load-time-max", "Milliseconds that the slowest partition took to load, of those of the last 30 seconds."), func() float64 {
		longest, _ := read()
		return float64(longest) / float64(time.Millisecond)
	})
	r.GaugeFunc(fact("partition-load-time-avg", "Milliseconds that partitions took to load, of those of the last 30 seconds."), func() float64 {
		_, mean := read()
		return float64(mean) / float64(time.Millisecond)
	})
}

// flags is what the node knows of itself for health and metrics.
type flags struct {
	serving, leaving atomic.Bool
}
