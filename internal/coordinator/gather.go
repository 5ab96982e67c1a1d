package coordinator

import "sync"

// Gather calls back once all parts of a request that goes to several shards are done. Safe for concurrent use.
type Gather struct {
	mu   sync.Mutex
	left int
	then func()
}

// NewGather waits for n parts and for its maker: each calls Done once, and the last of them runs then.
func NewGather(n int, then func()) *Gather { return &Gather{left: n + 1, then: then} }

// Done ends one part.
func (g *Gather) Done() {
	g.mu.Lock()
	g.left--
	last := g.left == 0
	g.mu.Unlock()
	if last {
		g.then()
	}
}
