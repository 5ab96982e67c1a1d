package txn

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// StateTopic is the internal topic that transactional ids live in.
const StateTopic = "__transaction_state"

// Config is what the broker's settings say of transactions. Zero fields mean Kafka's defaults.
type Config struct {
	MaxTimeout      time.Duration // transaction.max.timeout.ms
	IDExpiration    time.Duration // transactional.id.expiration.ms
	AbortInterval   time.Duration // transaction.abort.timed.out.transaction.cleanup.interval.ms
	RemoveInterval  time.Duration // transaction.remove.expired.transaction.cleanup.interval.ms
	LoadBufferBytes int           // transaction.state.log.load.buffer.size
	MaxBatchBytes   int           // message.max.bytes
	RequestTimeout  time.Duration // request.timeout.ms: how long a marker may take to be committed
	RetryBackoff    time.Duration // add.partitions.to.txn.retry.backoff.ms
	RetryMax        time.Duration // add.partitions.to.txn.retry.backoff.max.ms
}

// ConfigFrom reads the broker's settings. None of them changes while the broker runs.
func ConfigFrom(s *config.Set) Config {
	c := Config{
		MaxTimeout: s.Millis("transaction.max.timeout.ms"), IDExpiration: s.Millis("transactional.id.expiration.ms"),
		AbortInterval:   s.Millis("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
		RemoveInterval:  s.Millis("transaction.remove.expired.transaction.cleanup.interval.ms"),
		LoadBufferBytes: s.Int("transaction.state.log.load.buffer.size"),
		MaxBatchBytes:   s.Int("message.max.bytes"), RequestTimeout: s.Millis("request.timeout.ms"),
		RetryBackoff: s.Millis("add.partitions.to.txn.retry.backoff.ms"), RetryMax: s.Millis("add.partitions.to.txn.retry.backoff.max.ms"),
	}
	c.fillDefaults()
	return c
}

func (c *Config) fillDefaults() {
	set(&c.MaxTimeout, 15*time.Minute)
	set(&c.IDExpiration, 7*24*time.Hour)
	set(&c.AbortInterval, 10*time.Second)
	set(&c.RemoveInterval, time.Hour)
	set(&c.LoadBufferBytes, 5<<20)
	set(&c.MaxBatchBytes, coordinator.DefaultMaxBatchBytes)
	set(&c.RequestTimeout, 30*time.Second)
	set(&c.RetryBackoff, 20*time.Millisecond)
	set(&c.RetryMax, 100*time.Millisecond)
}

func set[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Cluster is what the coordinator has to know of the cluster, and how it reaches the brokers of it.
type Cluster interface {
	// Leader is the broker that leads a partition: -1 if there is none now; exists is false for a partition that is not
	// there (any more).
	Leader(tp log.TopicPartition) (broker int32, exists bool)
	// Ask sends a request to a broker, this one included, and waits for its answer.
	Ask(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error)
	// Version is the level of the feature transaction.version that is finalized.
	Version() int8
}

// Deps is what a Coordinator needs of its broker.
type Deps struct {
	// Partitions finds the partitions of __transaction_state that this broker leads.
	Partitions coordinator.Partitions
	// PartitionCount is the number of partitions of __transaction_state, or what it will have once it is made.
	PartitionCount func() int32
	Cluster        Cluster
	// NewProducerID gives an id that no other producer has. Its errors wrap the wire.Code that clients are told.
	NewProducerID func(ctx context.Context) (int64, error)
	// Group owns the goroutines; it is stopped after Close.
	Group  *lifecycle.Group
	Logger *slog.Logger
	// Now tells the time of day; nil: time.Now.
	Now func() time.Time
}

// Coordinator is all of a broker's shards of transactional ids. Safe for concurrent use.
type Coordinator struct {
	cfg     Config
	deps    Deps
	rt      *coordinator.Runtime[*machine]
	markers *markers
	stats   struct{ unknown, retries, pending atomic.Int64 }
}

// Stats counts the work that waits.
type Stats struct {
	UnknownDestination int64 // markers of partitions without a leader
	LogAppendRetries   int64 // ends of transactions whose record waits for the log
	PendingMarkers     int64 // transactions with markers that are not written
}

// New makes a coordinator without shards.
func New(cfg Config, deps Deps) *Coordinator {
	cfg.fillDefaults()
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	c := &Coordinator{cfg: cfg, deps: deps}
	c.markers = newMarkers(c)
	c.rt = coordinator.NewRuntime(coordinator.Config{
		Topic: StateTopic, Partitions: deps.Partitions, Group: deps.Group, Logger: deps.Logger,
		LoadBufferBytes: cfg.LoadBufferBytes, MaxBatchBytes: cfg.MaxBatchBytes, BaseSequence: -1, CommittedOnly: true, Now: deps.Now,
	}, func(sh *coordinator.Shard) *machine { return newMachine(c, sh) })
	return c
}

// Elected tells that this broker leads partition p of __transaction_state in that epoch. It does not wait.
func (c *Coordinator) Elected(p, epoch int32) { c.rt.Elected(p, epoch) }

// Resigned tells that this broker no longer leads partition p, as of that epoch; -1 means whatever the epoch is. It
// does not wait.
func (c *Coordinator) Resigned(p, epoch int32) { c.rt.Resigned(p, epoch) }

// Close gives up all transactional ids; who waits gets COORDINATOR_NOT_AVAILABLE.
func (c *Coordinator) Close() { c.rt.Close() }

// Stats returns the counters.
func (c *Coordinator) Stats() Stats {
	return Stats{c.stats.unknown.Load(), c.stats.retries.Load(), c.stats.pending.Load()}
}

// LoadTimes is how long partitions took to load within the last 30 seconds: the longest and the mean.
func (c *Coordinator) LoadTimes() (longest, mean time.Duration) { return c.rt.LoadTimes() }

// PartitionFor is the partition of __transaction_state that the transactional id belongs to: as in Kafka.
func (c *Coordinator) PartitionFor(id string) int32 {
	return coordinator.PartitionFor(id, c.deps.PartitionCount())
}

func (c *Coordinator) run(id string, op func(*coordinator.Tx, *machine), fail func(error)) {
	c.rt.Run(c.PartitionFor(id), op, fail)
}

// maxIDBytes bounds the transactional id, whose length is an int16 in the log.
const maxIDBytes = 1<<15 - 1

// InitProducer handles an InitProducerId with a transactional id: the id gets a producer id and a raised epoch, which fences
// whoever had it before and aborts what is open. expected is what the producer had until now, nil if it has none.
func (c *Coordinator) InitProducer(id string, timeoutMs int32, expected *Producer, reply func(wire.Code, Producer)) {
	fail := func(code wire.Code) { reply(code, Producer{noProducerID, noProducerEpoch}) }
	switch {
	case id == "" || len(id) > maxIDBytes:
		fail(wire.InvalidRequest)
		return
	case timeoutMs <= 0 || int64(timeoutMs) > c.cfg.MaxTimeout.Milliseconds():
		fail(wire.InvalidTransactionTimeout)
		return
	}
	c.withID(strings.Clone(id), func(tx *coordinator.Tx, m *machine, id string, newID int64, again func()) {
		m.initProducer(tx, id, timeoutMs, expected, newID, again, reply)
	}, fail)
}

// EndTransaction handles an EndTxn. bump says that the client takes the raised epoch from the answer (transactions V2).
func (c *Coordinator) EndTransaction(id string, p Producer, commit, bump bool, reply func(wire.Code, Producer)) {
	fail := func(code wire.Code) { reply(code, Producer{noProducerID, noProducerEpoch}) }
	if id == "" {
		fail(wire.InvalidRequest)
		return
	}
	c.withID(strings.Clone(id), func(tx *coordinator.Tx, m *machine, id string, newID int64, again func()) {
		m.endTransaction(tx, id, p, commit, bump, newID, again, reply)
	}, fail)
}

// withID runs an operation that may find that it needs a new producer id: it calls again then, has changed nothing, and is
// run once more with one.
func (c *Coordinator) withID(id string, op func(tx *coordinator.Tx, m *machine, id string, newID int64, again func()), fail func(wire.Code)) {
	failed := func(err error) { fail(errorCode(err)) }
	c.run(id, func(tx *coordinator.Tx, m *machine) {
		op(tx, m, id, -1, func() {
			started := c.deps.Group.Go("producer id", func(ctx context.Context) {
				newID, err := c.deps.NewProducerID(ctx)
				if err != nil {
					fail(wire.CodeOf(err))
					return
				}
				c.run(id, func(tx *coordinator.Tx, m *machine) { op(tx, m, id, newID, nil) }, failed)
			})
			if !started {
				fail(wire.CoordinatorNotAvailable)
			}
		})
	}, failed)
}

// AddPartitions handles an AddPartitionsToTxn or AddOffsetsToTxn for one transactional id. version is the transaction.version
// that whoever asks goes by.
func (c *Coordinator) AddPartitions(id string, p Producer, parts []log.TopicPartition, version int8, reply func(wire.Code)) {
	if id == "" {
		reply(wire.InvalidRequest)
		return
	}
	own := make([]log.TopicPartition, len(parts))
	for i, tp := range parts {
		own[i] = log.TopicPartition{Topic: strings.Clone(tp.Topic), Partition: tp.Partition}
	}
	id = strings.Clone(id)
	c.run(id, func(tx *coordinator.Tx, m *machine) { m.addPartitions(tx, id, p, own, version, reply) },
		func(err error) { reply(errorCode(err)) })
}

// Verify tells for each partition whether it is in the producer's transaction (KIP-890).
func (c *Coordinator) Verify(id string, p Producer, parts []log.TopicPartition, reply func([]wire.Code)) {
	all := func(code wire.Code) {
		out := make([]wire.Code, len(parts))
		for i := range out {
			out[i] = code
		}
		reply(out)
	}
	if id == "" {
		all(wire.InvalidRequest)
		return
	}
	c.run(id, func(_ *coordinator.Tx, m *machine) {
		t := m.txns[id]
		if t == nil {
			all(wire.InvalidProducerIdMapping)
			return
		}
		if code := t.verify(p); code != wire.None {
			all(code)
			return
		}
		out := make([]wire.Code, len(parts))
		for i, tp := range parts {
			if _, ok := t.v.partitions[tp]; !ok {
				out[i] = wire.TransactionAbortable
			}
		}
		reply(out)
	}, func(err error) { all(errorCode(err)) })
}
