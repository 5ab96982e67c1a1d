package coordinator

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// Defaults for a Config.
const (
	DefaultCommitTimeout   = 5 * time.Second // offsets.commit.timeout.ms
	DefaultLoadBufferBytes = 5 << 20         // offsets.load.buffer.size
	DefaultMaxBatchBytes   = 1<<20 + 12      // max.message.bytes
	maxConcurrentLoads     = 4
)

// Config is what a Runtime needs.
type Config struct {
	Topic      string // e.g. __consumer_offsets
	Partitions Partitions
	Group      *lifecycle.Group // owner of the goroutines
	Logger     *slog.Logger

	CommitTimeout   time.Duration // how long an answer waits for its records
	LoadBufferBytes int           // how much is read at once while a shard is loaded
	MaxBatchBytes   int           // largest batch, if the Partition does not know it
	Codec           record.Codec  // compression of the batches
	BaseSequence    int32         // of batches, where Apache Kafka's coordinators differ
	// CommittedOnly keeps a shard loading until all that it has read is committed. For a state that is acted on outside of its
	// log: what is above the high watermark may be lost with this leader, and the next one decides otherwise.
	CommittedOnly bool

	// Now tells the time of day, for timestamps and expiry; nil: time.Now. Timers go by the monotonic clock.
	Now func() time.Time
}

func (c *Config) fillDefaults() {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.CommitTimeout <= 0 {
		c.CommitTimeout = DefaultCommitTimeout
	}
	if c.LoadBufferBytes <= 0 {
		c.LoadBufferBytes = DefaultLoadBufferBytes
	}
	if c.MaxBatchBytes <= 0 {
		c.MaxBatchBytes = DefaultMaxBatchBytes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// runtimeCore is what shards know of their runtime, whatever its machines are.
type runtimeCore struct {
	name, topic   string
	group         *lifecycle.Group
	commitTimeout time.Duration
	loadBuffer    int
	maxBatch      int
	codec         record.Codec
	baseSequence  int32
	now           func() time.Time
	loadSlots     chan struct{}
}

// Runtime holds the shards of one coordinator, whose state is of type M. Safe for concurrent use.
type Runtime[M Machine] struct {
	core       runtimeCore
	cfg        Config
	newMachine func(*Shard) M
	loads      loadTimes

	mu     sync.Mutex // held while shards is replaced
	shards atomic.Pointer[map[int32]*Shard]
}

// NewRuntime makes a runtime without shards. newMachine makes the empty state of one.
func NewRuntime[M Machine](cfg Config, newMachine func(*Shard) M) *Runtime[M] {
	cfg.fillDefaults()
	r := &Runtime[M]{
		cfg: cfg,
		core: runtimeCore{
			name: "coordinator " + cfg.Topic, topic: cfg.Topic, group: cfg.Group, commitTimeout: cfg.CommitTimeout,
			loadBuffer: cfg.LoadBufferBytes, maxBatch: cfg.MaxBatchBytes, codec: cfg.Codec,
			baseSequence: cfg.BaseSequence, now: cfg.Now, loadSlots: make(chan struct{}, maxConcurrentLoads),
		},
		newMachine: newMachine,
	}
	r.shards.Store(&map[int32]*Shard{})
	return r
}

// Elected tells that this broker leads partition p in that epoch. The shard is loaded in the background, unless it
// is there already: then only its epoch rises. It never waits, so it may be called by a metadata publisher.
func (r *Runtime[M]) Elected(p, epoch int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.shards.Load()
	if sh := old[p]; sh != nil && sh.raiseEpoch(epoch) {
		return
	}
	sh := &Shard{
		rt: &r.core, p: p, epoch: epoch,
		log: r.cfg.Logger.With("partition", fmt.Sprintf("%s-%d", r.cfg.Topic, p)),
	}
	next := maps.Clone(old)
	next[p] = sh
	r.shards.Store(&next)
	r.load(sh)
}

// raiseEpoch reports whether the shard goes on in that epoch. A failed one does not: it is loaded anew.
func (sh *Shard) raiseEpoch(epoch int32) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if epoch < sh.epoch {
		return true
	}
	if sh.phase == failed {
		return epoch == sh.epoch
	}
	sh.epoch = epoch
	return sh.phase != closed
}

// Resigned tells that this broker no longer leads partition p, as of that epoch; -1 means whatever the epoch is. The
// shard is dropped and who waits for it gets NOT_COORDINATOR. It never waits.
func (r *Runtime[M]) Resigned(p, epoch int32) {
	r.drop(p, epoch, wire.NotCoordinator)
}

func (r *Runtime[M]) drop(p, epoch int32, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.shards.Load()
	sh := old[p]
	if sh == nil || !sh.close(epoch, err) {
		return
	}
	next := maps.Clone(old)
	delete(next, p)
	r.shards.Store(&next)
}

// close ends the shard, unless epoch is older than its own.
func (sh *Shard) close(epoch int32, err error) bool {
	sh.mu.Lock()
	if epoch >= 0 && epoch < sh.epoch {
		sh.mu.Unlock()
		return false
	}
	was := sh.phase
	sh.phase = closed
	sh.mu.Unlock()
	if was == active {
		sh.post(event{run: func() { sh.end(err) }})
	}
	return true
}

// Close drops all shards; who waits gets COORDINATOR_NOT_AVAILABLE. The owner of the goroutines is stopped after it.
func (r *Runtime[M]) Close() {
	for _, p := range r.Shards() {
		r.drop(p, -1, wire.CoordinatorNotAvailable)
	}
}

// Run runs op in the loop of partition p's shard. If the shard is not there, or not there any more when op's turn
// comes, fail is called instead, from any goroutine: COORDINATOR_LOAD_IN_PROGRESS or NOT_COORDINATOR. Run never
// waits.
func (r *Runtime[M]) Run(p int32, op func(tx *Tx, m M), fail func(err error)) {
	sh := (*r.shards.Load())[p]
	if sh == nil {
		fail(wire.NotCoordinator)
		return
	}
	sh.run(func(tx *Tx) { op(tx, sh.machine.(M)) }, fail)
}

// Shards lists the partitions that have a shard, in order, in whatever phase.
func (r *Runtime[M]) Shards() []int32 {
	return slices.Sorted(maps.Keys(*r.shards.Load()))
}
