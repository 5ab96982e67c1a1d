package replica

import (
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
)

// closest is the replica in the consumer's rack that it had better read from (KIP-392, RackAwareReplicaSelector), -1 if it
// is well served here: an in-sync follower that has what is asked for, of several the one that is furthest. A consumer
// whose rack this broker shares stays.
func (m *Manager) closest(s *FetchSpec, by *Reader, role *partition.Role, l *log.Log) int32 {
	if by.Rack == "" || by.follows() || !role.Leads() || !m.settings().RackAwareSelector || m.rack(m.nodeID) == by.Rack {
		return -1
	}
	r := s.Replica
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leader == nil {
		return -1
	}
	best, end := int32(-1), int64(-1)
	for _, f := range r.leader.Followers() {
		if _, active := m.alive(f.ID); !active || !f.InSync(role) || m.rack(f.ID) != by.Rack || s.Offset < f.LogStartOffset || s.Offset > f.LogEndOffset {
			continue
		}
		if f.LogEndOffset > end {
			best, end = f.ID, f.LogEndOffset
		}
	}
	return best
}
