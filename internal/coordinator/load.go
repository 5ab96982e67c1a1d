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
		select {
		case r.core.loadSlots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		defer func() { <-r.core.loadSlots }()
		start := time.Now()
		machine := r.newMachine(sh)
		part, records, err := sh.fill(ctx, r.cfg.Partitions, machine)
		switch {
		case errors.Is(err, errSuperseded) || ctx.Err() != nil:
		case err != nil:
			sh.fail(err)
		default:
			r.loads.add(time.Since(asked))
			sh.log.Debug("coordinator's state loaded", "records", records, "took", time.Since(start))
			sh.post(event{run: func() { sh.activate(machine, part) }})
		}
	})
}

// fill replays the partition into the machine, in pieces of bounded size.
func (sh *Shard) fill(ctx context.Context, parts Partitions, m Machine) (Partition, int, error) {
	part, _, err := parts.Partition(sh.rt.topic, sh.p)
	if err != nil {
		return nil, 0, err
	}
	records := 0
	for offset := part.StartOffset(); ; {
		if ctx.Err() != nil || sh.isClosed() {
			return nil, records, errSuperseded
		}
		piece, err := part.ReadFrom(offset, sh.rt.loadBuffer)
		if err != nil {
			return nil, records, fmt.Errorf("read %s-%d at offset %d: %w", sh.rt.topic, sh.p, offset, err)
		}
		if len(piece) == 0 {
			return part, records, nil
		}
		next, n, err := replayBatches(m, piece, offset)
		records += n
		if err != nil {
			return nil, records, fmt.Errorf("load %s-%d: %w", sh.rt.topic, sh.p, err)
		}
		if next <= offset {
			return nil, records, fmt.Errorf("load %s-%d: no progress at offset %d: %w", sh.rt.topic, sh.p, offset,
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
