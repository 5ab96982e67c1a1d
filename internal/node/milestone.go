package node

import (
	"context"
	"sync"
)

// milestone is how far this node acts on the metadata. Safe for concurrent use; its zero value stands at offset 0.
type milestone struct {
	mu     sync.Mutex
	offset int64
	passed chan struct{} // closed at the next step; nil: nobody waits
}

// reach says that the node acts on everything up to an offset.
func (m *milestone) reach(offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offset = offset
	if m.passed != nil {
		close(m.passed)
		m.passed = nil
	}
}

// wait returns when an offset is reached or ctx has ended.
func (m *milestone) wait(ctx context.Context, offset int64) {
	for {
		m.mu.Lock()
		if m.offset >= offset {
			m.mu.Unlock()
			return
		}
		if m.passed == nil {
			m.passed = make(chan struct{})
		}
		passed := m.passed
		m.mu.Unlock()
		select {
		case <-passed:
		case <-ctx.Done():
			return
		}
	}
}
