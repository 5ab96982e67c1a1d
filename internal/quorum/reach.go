package quorum

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// leaderlessFor is how long no leader is known before that is said aloud.
const leaderlessFor = 5 * time.Second

// contacts is what came of the last try at each address, for a person who wonders why a node does not get ready. Safe for
// concurrent use.
type contacts struct {
	mu   sync.Mutex
	last map[string]error
}

// note keeps the outcome of a request to an address; nil: it was answered.
func (c *contacts) note(address string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[string]error{}
	}
	c.last[address] = err
}

// String is a line about each address, sorted.
func (c *contacts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for _, address := range slices.Sorted(maps.Keys(c.last)) {
		lines = append(lines, address+" "+contactText(c.last[address]))
	}
	if lines == nil {
		return "nobody was asked yet"
	}
	return strings.Join(lines, "; ")
}

// contactText says in a few words what an address answered.
func contactText(err error) string {
	switch wire.CodeOf(err) {
	case wire.None:
		return "answers"
	case wire.InconsistentClusterId:
		return "belongs to another cluster (cluster.id in meta.properties)"
	case wire.UnknownTopicId, wire.UnknownTopicOrPartition:
		return "is no controller: it may be the address of a broker"
	case wire.ClusterAuthorizationFailed:
		return "does not take this node for one of the cluster (CLUSTER_ACTION is not allowed)"
	}
	if errors.Is(err, errNoLeader) {
		return "knows no leader"
	}
	return "fails: " + err.Error()
}

// watchLeader says aloud that no leader is known for long, with what each address answers, and when one is known again.
func (n *network) watchLeader(g *lifecycle.Group) {
	g.Go("quorum-watch", func(ctx context.Context) {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		since, told := time.Now(), time.Time{}
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			now := time.Now()
			switch {
			case n.q.leader.Load() >= 0:
				if !told.IsZero() {
					n.q.log.Info("metadata quorum: a leader is known again", "leader", n.q.leader.Load())
				}
				since, told = now, time.Time{}
			case now.Sub(since) >= leaderlessFor && now.Sub(told) >= tellEvery:
				told = now
				n.q.log.Warn("metadata quorum: no leader is known, so nothing can be changed; see controller.quorum.voters and controller.quorum.bootstrap.servers",
					"seconds", int(now.Sub(since).Seconds()), "controllers", n.contacts.String())
			}
		}
	})
}
