package uplink

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

const (
	// allocationPatience bounds how long a client waits for a block of producer ids; then it is to come again.
	allocationPatience = 3 * time.Second
	// allocationPause is how long nobody asks the controller after it gave no block.
	allocationPause = 50 * time.Millisecond
)

// ProducerIDs hands out producer ids from blocks that the controller gives to the broker (KIP-730). What is left of a
// block when the process ends is lost, which is meant: no id is ever given twice. Safe for concurrent use.
type ProducerIDs struct {
	b *Broker

	mu         sync.Mutex
	next, last int64
	asking     *allocation // the block that is under way, or the last one that did not come
}

// allocation is one question to the controller, which all wait for who need an id.
type allocation struct {
	done  chan struct{}
	err   error     // once done
	ended time.Time // once done
}

// NewProducerIDs returns a source without a block; the first id asks for one.
func NewProducerIDs(b *Broker) *ProducerIDs { return &ProducerIDs{b: b} }

// Next returns an id that no producer of the cluster had before. Its error wraps COORDINATOR_LOAD_IN_PROGRESS, whatever the
// controller said: all clients come again on that, and none of them knows what a broker epoch is.
func (p *ProducerIDs) Next(ctx context.Context) (int64, error) {
	for {
		p.mu.Lock()
		if p.next < p.last {
			id := p.next
			p.next++
			p.mu.Unlock()
			return id, nil
		}
		a, mine := p.asking, false
		if a == nil || a.over() && time.Since(a.ended) >= allocationPause {
			a, mine = &allocation{done: make(chan struct{})}, true
			p.asking = a
		}
		p.mu.Unlock()
		if mine {
			p.allocate(ctx, a)
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return -1, fmt.Errorf("%w: no producer id: %w", wire.CoordinatorLoadInProgress, ctx.Err())
		}
		if a.err != nil {
			return -1, fmt.Errorf("%w: no producer id: %w", wire.CoordinatorLoadInProgress, a.err)
		}
	}
}

func (a *allocation) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// allocate asks the controller for a block.
func (p *ProducerIDs) allocate(ctx context.Context, a *allocation) {
	ctx, cancel := context.WithTimeout(ctx, allocationPatience)
	defer cancel()
	first, count, err := p.block(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
	case first < p.last || count <= 0 || first > math.MaxInt64-count:
		err = fmt.Errorf("the controller gave %d producer ids from %d on, after ids up to %d", count, first, p.last)
	default:
		p.next, p.last, p.asking = first, first+count, nil
	}
	if err != nil {
		p.b.cfg.Log.Warn("the controller gave no producer ids; clients have to come again", "err", err)
	}
	a.err, a.ended = err, time.Now()
	close(a.done)
}

func (p *ProducerIDs) block(ctx context.Context) (first, count int64, err error) {
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID, req.BrokerEpoch = p.b.cfg.BrokerID, p.b.Epoch()
	resp, err := p.b.ask(ctx, req)
	if err != nil {
		return 0, 0, fmt.Errorf("allocate producer ids: %w", err)
	}
	r := resp.(*kmsg.AllocateProducerIDsResponse)
	if code := wire.Code(r.ErrorCode); code != wire.None {
		return 0, 0, fmt.Errorf("allocate producer ids: %w", code)
	}
	return r.ProducerIDStart, int64(r.ProducerIDLen), nil
}
