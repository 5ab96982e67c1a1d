package node

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-stream/weir/internal/vfs"
)

// fillable gives each member a disk for its metadata that can be full.
func (k *cluster) fillable() []*atomic.Bool {
	full := make([]*atomic.Bool, len(k.members))
	for i, m := range k.members {
		full[i] = new(atomic.Bool)
		m.hook = func(op vfs.Op) error {
			if full[i].Load() && op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, "/meta/") {
				return syscall.ENOSPC
			}
			return nil
		}
	}
	return full
}

// ends waits until a node says that it cannot go on, and why.
func (m *member) ends() error {
	m.k.t.Helper()
	select {
	case err := <-m.n.Failed():
		return err
	case <-time.After(clusterDeadline):
		m.k.t.Fatalf("node %d goes on", m.id)
		return nil
	}
}

// TestFullMetadataDisk: a node whose metadata has no room left, on a disk of its own, does not go on with metadata that is out
// of date: it ends and says why, whatever its roles are, and the others lead what it led. One whose disk is full for a
// moment goes on, and so does one that has nothing to store.
func TestFullMetadataDisk(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller", "broker,controller", "broker,controller", "broker"}, "metadata.log.dir=/meta", "broker.session.timeout.ms=1500")
	full := k.fillable()
	k.start(k.members...)
	c := k.client()
	adm := kadm.NewClient(c)
	k.create(c, "t", 8, 3)
	for round, pick := range []func() *member{k.active, func() *member { return k.members[3] }, func() *member {
		for _, m := range k.members[:3] {
			if m != k.active() {
				return m
			}
		}
		return nil
	}} {
		m := pick()
		full[m.id-1].Store(true)
		k.eventually("a topic is made", func() bool { // the active controller gives its office up first
			_, err := adm.CreateTopic(k.ctx(), 4, 3, nil, fmt.Sprint("made-", round))
			return err == nil || strings.Contains(err.Error(), "EXISTS")
		})
		if err := m.ends(); !strings.Contains(err.Error(), "no space for the metadata in /meta") {
			t.Errorf("node %d ends: %v", m.id, err)
		}
		if err := m.n.Stop(); err != nil && !vfs.IsNoSpace(err) {
			t.Errorf("node %d stops: %v", m.id, err)
		}
		m.n = nil
		k.produce(c, "t", 20)
		k.produce(c, fmt.Sprint("made-", round), 20)
		full[m.id-1].Store(false)
		k.start(m)
		k.untilInSync(fmt.Sprint("made-", round), 3)
	}
	k.produce(c, "t", 10)
	for i := range full {
		full[i].Store(true)
	}
	k.produce(c, "t", 10) // nobody goes on without the others, and records do not need the metadata
	for i := range full {
		full[i].Store(false)
	}
	k.create(c, "after", 1, 3)
	for _, m := range k.members {
		select {
		case err := <-m.n.Failed():
			t.Errorf("node %d: %v", m.id, err)
		default:
		}
	}
}
