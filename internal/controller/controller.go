package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// Quorum is what the controller needs of the metadata quorum.
type Quorum interface {
	Propose(epoch int32, records []mr.Versioned) (last int64, err error)
	NextOffset() int64
	// Reserve keeps others from proposing between NextOffset and Propose.
	Reserve() (release func())
	Status() quorum.Status
	Voters
}

// Controller is one node's controller. It is the quorum's Listener: while this node leads, requests are decided here;
// else they are answered with NOT_CONTROLLER. Its exported methods are safe for concurrent use.
//
// Two goroutines touch it: the loop, which owns the fields below "the loop's", and the quorum's apply worker, which
// owns the loader and publishes. The state is an image that is ahead of the published one by what was proposed
// and is not committed yet; when leadership is lost it is dropped, so nothing has to be undone.
type Controller struct {
	cfg    Config
	log    *slog.Logger
	loader *image.Loader
	q      Quorum

	mu     sync.Mutex
	events []func()
	wake   chan struct{}
	stop   <-chan struct{}

	// The loop's.
	active       bool
	epoch        int32
	state        *image.Image
	index        *stateIndex // of state
	proposed     int64       // offset of the last record proposed
	applied      int64       // offset of the last record committed and published
	waiting      []waiter
	brokers      map[int32]*liveBroker
	timer        *time.Timer
	balanceTimer *time.Timer
	secrets      tokenSecrets
	ended        []endedBroker
	ready        chan struct{} // closed when this node leads for the first time
	once         sync.Once

	activeNow atomic.Bool // active, for those who only ask
}

// waiter is an answer that leaves when an offset is published.
type waiter struct {
	offset int64
	done   func(error)
}

// New returns a controller that is not connected yet: give it to quorum.Open as its Listener and then call Start.
func New(cfg Config) *Controller {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.OnImage == nil {
		cfg.OnImage = func(*image.Image, *image.Delta) {}
	}
	c := &Controller{cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1), ready: make(chan struct{}), applied: -1, state: image.Empty()}
	c.loader = image.NewLoader(cfg.OnImage, func(err error) {
		c.log.Warn("metadata: a record is kept though it is not understood", "error", err)
	})
	return c
}

// Start publishes what was loaded and runs the loop in g. Call it before the quorum's Start.
func (c *Controller) Start(g *lifecycle.Group, q Quorum) {
	c.q = q
	c.stop = g.Context().Done()
	c.loader.Release()
	g.Go("controller", c.run)
}

// Image is the last published image.
func (c *Controller) Image() *image.Image { return c.loader.Image() }

// Active reports whether this node is the active controller. Safe for concurrent use.
func (c *Controller) Active() bool { return c.activeNow.Load() }

// WaitActive waits until this node is the active controller for the first time.
func (c *Controller) WaitActive(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the controller: %w", ctx.Err())
	}
}

// Handle answers a request. The answer comes after what it changed is committed and published. Errors wrap a
// wire.Code: NOT_CONTROLLER when this node does not lead, REQUEST_TIMED_OUT when ctx ended first (what was asked
// for may still happen), UNSUPPORTED_VERSION for an API that is not the controller's.
func (c *Controller) Handle(ctx context.Context, rc RequestContext, req kmsg.Request) (kmsg.Response, error) {
	type answer struct {
		resp kmsg.Response
		err  error
	}
	ch := make(chan answer, 1)
	c.Submit(rc, req, func(resp kmsg.Response, err error) { ch <- answer{resp, err} })
	select {
	case a := <-ch:
		return a.resp, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", wire.RequestTimedOut, ctx.Err())
	case <-c.stop:
		return nil, wire.NotController
	}
}

// Submit is Handle without waiting: done is called once, from a goroutine of the controller or the quorum, and must
// be quick. After the controller has stopped it may never be called.
func (c *Controller) Submit(rc RequestContext, req kmsg.Request, done func(kmsg.Response, error)) {
	if changesVoters(req.Key()) {
		if !c.postIf(maxQueued, func() { c.changeVoters(req, done) }) {
			done(nil, refuse(wire.RequestTimedOut, "The controller does not keep up."))
		}
		return
	}
	h := handlerOf(req.Key())
	if h == nil {
		done(nil, wire.UnsupportedVersion)
		return
	}
	if r, ok := req.(*kmsg.UpdateFeaturesRequest); ok && raisesKRaft(r) {
		h = nil
	}
	if !c.postIf(maxQueued, func() {
		if h == nil {
			c.upgradeKRaft(rc, req.(*kmsg.UpdateFeaturesRequest), done)
			return
		}
		c.decide(h, rc, req, done)
	}) {
		done(nil, refuse(wire.RequestTimedOut, "The controller does not keep up."))
	}
}

// Serves reports whether Handle takes the API.
func Serves(key int16) bool { return handlerOf(key) != nil || changesVoters(key) }

// post queues what the loop must do.
func (c *Controller) post(f func()) { c.postIf(1<<31-1, f) }

// postIf queues something unless that many things wait already.
func (c *Controller) postIf(limit int, f func()) bool {
	c.mu.Lock()
	if len(c.events) >= limit {
		c.mu.Unlock()
		return false
	}
	c.events = append(c.events, f)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return true
}

func (c *Controller) run(ctx context.Context) {
	c.timer = time.NewTimer(time.Hour)
	defer c.timer.Stop()
	c.balanceTimer = time.NewTimer(time.Hour)
	defer c.balanceTimer.Stop()
	sweep := time.NewTimer(c.settings().Millis("delegation.token.expiry.check.interval.ms"))
	defer sweep.Stop()
	unclean := time.NewTimer(c.uncleanInterval())
	defer unclean.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.timer.C:
			c.decided(c.fenceStale)
		case <-c.balanceTimer.C:
			c.decided(c.balance)
		case <-sweep.C:
			c.decided(func() { sweep.Reset(c.sweepTokens()) })
		case <-unclean.C:
			c.decided(c.electUnclean)
			unclean.Reset(c.uncleanInterval())
		case <-c.wake:
		}
		c.mu.Lock()
		events := c.events
		c.events = nil
		c.mu.Unlock()
		for _, f := range events {
			c.decided(f)
		}
	}
}

// decided runs something that may rest on the offset of the next record.
func (c *Controller) decided(f func()) {
	release := c.q.Reserve()
	defer release()
	f()
}

// decision is what a handler makes of a request: an answer and the records that make it true, which go into the log
// as one batch or, if split is allowed, in several.
type decision struct {
	answer  kmsg.Response
	records []mr.Versioned
	// canSplit says that the records need not be applied all at once.
	canSplit bool
}

// maxUncommitted bounds the records that were proposed and are not committed: when the disk does not take them, because
// it is full or slow, requests are refused rather than collected.
const maxUncommitted = 200000

// maxQueued bounds the requests that wait for the loop.
const maxQueued = 20000

// maxBatchRecords is how many records one batch of the metadata log has at most, as in Kafka.
const maxBatchRecords = 10000

// elsewhere is the refusal of a controller that is not the active one.
func (c *Controller) elsewhere() error {
	if id := c.q.Status().LeaderID; id >= 0 && id != c.cfg.NodeID {
		return refuse(wire.NotController, "The active controller appears to be node %d.", id)
	}
	return wire.NotController
}

// decide runs in the loop.
func (c *Controller) decide(h handlerFunc, rc RequestContext, req kmsg.Request, done func(kmsg.Response, error)) {
	if !c.active {
		done(nil, c.elsewhere())
		return
	}
	if c.proposed-c.applied > maxUncommitted {
		done(nil, refuse(wire.RequestTimedOut, "The metadata log does not keep up."))
		return
	}
	d, err := h(c, rc, req)
	if err != nil {
		c.settle(func(lost error) { done(nil, firstError(lost, err)) })
		return
	}
	if err := c.propose(d.records, d.canSplit); err != nil {
		done(nil, err)
		return
	}
	c.settle(func(lost error) {
		if lost != nil {
			done(nil, lost)
			return
		}
		done(d.answer, nil)
	})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// settle calls done when everything that was proposed so far is published: also an answer without records may rest on
// what others proposed.
func (c *Controller) settle(done func(lost error)) {
	if c.applied >= c.proposed {
		done(nil)
		return
	}
	c.waiting = append(c.waiting, waiter{c.proposed, done})
}

// propose puts records into the log and into the state.
func (c *Controller) propose(records []mr.Versioned, canSplit bool) error {
	if len(records) == 0 {
		return nil
	}
	for canSplit && len(records) > maxBatchRecords {
		if err := c.propose(records[:maxBatchRecords], false); err != nil {
			return err
		}
		records = records[maxBatchRecords:]
	}
	edit := c.state.Edit()
	for _, r := range records {
		if err := edit.Replay(r); err != nil {
			c.log.Error("controller: refused its own decision", "error", err)
			return fmt.Errorf("%w: %w", wire.UnknownServerError, err)
		}
	}
	last, err := c.q.Propose(c.epoch, records)
	if err != nil {
		if errors.Is(err, quorum.ErrNotLeader) {
			return wire.NotController
		}
		return fmt.Errorf("%w: %w", wire.UnknownServerError, err)
	}
	c.proposed = last
	state, delta := edit.Finish(image.Provenance{Offset: last, Epoch: c.epoch, Timestamp: c.cfg.Now().UnixMilli()})
	c.state = state
	c.index.follow(delta)
	return nil
}

// The quorum's Listener.

// LoadSnapshot implements quorum.Listener.
func (c *Controller) LoadSnapshot(s *quorum.Snapshot) error {
	at := image.Provenance{Offset: s.ID.EndOffset - 1, Epoch: s.ID.Epoch, Timestamp: s.Timestamp}
	return c.loader.LoadSnapshot(at, s.KRaftVersion, s.Records())
}

// Commit implements quorum.Listener: it publishes, then lets the answers go that waited.
func (c *Controller) Commit(batches []record.Batch) error {
	if err := c.loader.Commit(batches); err != nil {
		return err
	}
	last := batches[len(batches)-1].LastOffset()
	c.post(func() { c.published(last) })
	return nil
}

func (c *Controller) published(last int64) {
	c.applied = max(c.applied, last)
	n := 0
	for n < len(c.waiting) && c.waiting[n].offset <= c.applied {
		c.waiting[n].done(nil)
		n++
	}
	c.waiting = append(c.waiting[:0], c.waiting[n:]...)
	if img := c.loader.Image(); c.active && img.Offset() >= c.proposed {
		c.state = img // says the same; the memory of what made it twice can go
	}
}

// Leader implements quorum.Listener.
func (c *Controller) Leader(epoch int32, next int64) {
	img, inTx := c.loader.Settled()
	c.post(func() { c.lead(epoch, next, img, inTx) })
}

// Resigned implements quorum.Listener.
func (c *Controller) Resigned(epoch, leader int32) { c.post(func() { c.resign(leader) }) }

// SnapshotSource implements quorum.Listener.
func (c *Controller) SnapshotSource() quorum.SnapshotSource {
	img := c.loader.Pending()
	if img == nil {
		return nil
	}
	return img.Snapshot()
}

func (c *Controller) resign(leader int32) {
	if !c.active {
		return
	}
	c.log.Info("controller: not active any more", "epoch", c.epoch, "leader", leader)
	c.active = false
	c.activeNow.Store(false)
	c.brokers, c.ended, c.index = nil, nil, nil
	c.state = image.Empty() // a term begins with what is committed then
	for _, w := range c.waiting {
		w.done(wire.NotController)
	}
	c.waiting = nil
}

// newID makes a random id whose text form does not begin with a dash and that is not a reserved one.
func newID() image.UUID {
	for {
		var id image.UUID
		if _, err := rand.Read(id[:]); err != nil {
			panic(err) // crypto/rand does not fail on the systems we run on
		}
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if mr.FormatUUID(id)[0] != '-' {
			return id
		}
	}
}

func (c *Controller) settings() *config.Set { return c.cfg.Settings() }
