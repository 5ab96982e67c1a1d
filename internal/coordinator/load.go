package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// errSuperseded ends the loading of a shard that was closed meanwhile.
var errSuperseded = errors.New("shard was closed while it was loaded")

// load fills a new shard from its partition in the background.
func (r *Runtime[M]) load(sh *Shard) {
	asked := time.Now()
	r.core.group.Go(r.core.name+" load", func(ctx context.Context) {
		machine := r.newMachine(sh)
		part, end, err := r.read(ctx, sh, machine)
		if err == nil && r.cfg.CommittedOnly {
			err = sh.awaitCommitted(ctx, part, end)
		}
		switch {
		case errors.Is(err, errSuperseded) || ctx.Err() != nil:
		case err != nil:
			sh.fail(err)
		default:
			r.loads.add(time.Since(asked))
			sh.post(event{run: func() { sh.activate(machine, part) }})
		}
	})
}

// read fills the machine when it is the shard's turn, and returns the end of what it has read.
func (r *Runtime[M]) read(ctx context.Context, sh *Shard, m Machine) (Partition, int64, error) {
	select {
	case r.core.loadSlots <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, errSuperseded
	}
	defer func() { <-r.core.loadSlots }()
	start := time.Now()
	part, end, records, err := sh.fill(ctx, r.cfg.Partitions, m)
	if err == nil {
		sh.log.Debug("coordinator's state loaded", "records", records, "took", time.Since(start))
	}
	return part, end, err
}

// commitPoll is how often a shard that was loaded looks whether all of it is committed.
const commitPoll = 10 * time.Millisecond

// awaitCommitted returns when the log is committed up to an offset: what lies above may be lost with this leader.
func (sh *Shard) awaitCommitted(ctx context.Context, part Partition, end int64) error {
	if part.HighWatermark() >= end {
		return nil
	}
	t := time.NewTicker(commitPoll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return errSuperseded
		}
		if sh.isClosed() {
			return errSuperseded
		}
		if part.HighWatermark() >= end {
			return nil
		}
	}
}

// fill replays the partition into the machine, in pieces of bounded size.
func (sh *Shard) fill(ctx context.Context, parts Partitions, m Machine) (part Partition, end int64, records int, err error) {
	if part, _, err = parts.Partition(sh.rt.topic, sh.p); err != nil {
		return nil, 0, 0, err
	}
	for offset := part.StartOffset(); ; {
		if ctx.Err() != nil || sh.isClosed() {
			return nil, 0, records, errSuperseded
		}
		piece, err := part.ReadFrom(offset, sh.rt.loadBuffer)
		if err != nil {
			return nil, 0, records, fmt.Errorf("read %s-%d at offset %d: %w", sh.rt.topic, sh.p, offset, err)
		}
		if len(piece) == 0 {
			return part, offset, records, nil
		}
		next, n, err := replayBatches(m, piece, offset)
		records += n
		if err != nil {
			return nil, 0, records, fmt.Errorf("load %s-%d: %w", sh.rt.topic, sh.p, err)
		}
		if next <= offset {
			return nil, 0, records, fmt.Errorf("load %s-%d: no progress at offset %d: %w", sh.rt.topic, sh.p, offset,
				wire.CorruptMessage)
		}
		offset = next
	}
}

func (sh *Shard) isClosed() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.phase == closed
}

// fail marks a shard that could not be loaded. It stays so until the next election, as in Apache Kafka.
func (sh *Shard) fail(err error) {
	sh.log.Error("coordinator's state cannot be loaded; its groups are not served here", "error", err)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.phase == loading {
		sh.phase = failed
	}
}

// activate opens a loaded shard for operations, in its loop.
func (sh *Shard) activate(m Machine, part Partition) {
	sh.machine, sh.part = m, part
	sh.limiter, _ = part.(BatchLimiter)
	sh.mu.Lock()
	if sh.phase != loading {
		sh.mu.Unlock()
		sh.ended = true
		return
	}
	sh.phase = active
	sh.mu.Unlock()
	sh.runTx(m.Loaded)
}
