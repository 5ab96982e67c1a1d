package sim

import (
	"slices"
	"sync"
	"time"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
)

// metaLog is the metadata log of a cluster: what stands in that of any node, with the state after it. What any node has was
// committed. Who uses it holds mu.
type metaLog struct {
	c       *cluster
	mu      sync.Mutex
	now     *metadata
	batches []record.Batch
	at      map[int64]int // by base offset, which of batches
	read    map[*machine]*metaReader
	names   map[string]int    // how often a topic of that name was made
	made    map[[16]byte]bool // topics that were there
	broken  bool              // it cannot be read on
	deposed []deposed         // coordinators of transactions
}

func newMetaLog(c *cluster) *metaLog {
	return &metaLog{c: c, now: newMetadata(), at: map[int64]int{}, read: map[*machine]*metaReader{}, names: map[string]int{}, made: map[[16]byte]bool{}}
}

// leastInSync is min.insync.replicas of all topics but the loose one.
const leastInSync = 2

// add takes a batch that a node has: the next one, or one that is known.
func (l *metaLog) add(node int, b record.Batch) {
	c := l.c
	if i, ok := l.at[b.BaseOffset()]; ok {
		if string(l.batches[i]) != string(b) {
			c.fail("M MetadataLogMatching", "node %d has another batch at offset %d than others: of epoch %d, theirs of %d", node, b.BaseOffset(), b.LeaderEpoch(), l.batches[i].LeaderEpoch())
		}
		return
	}
	if b.BaseOffset() > l.now.end {
		c.trace.note("the metadata log of node %d goes on at %d, what was read ends at %d: it is followed no more", node, b.BaseOffset(), l.now.end)
		l.broken = true // what lies between was removed before it was read
		return
	}
	if b.BaseOffset() < l.now.end {
		c.fail("M MetadataLogMatching", "node %d has a batch at offset %d, inside what others have: they end at %d", node, b.BaseOffset(), l.now.end)
		l.broken = true
		return
	}
	if b.LeaderEpoch() < l.now.epoch {
		c.fail("M EpochsRise", "the batch at offset %d has epoch %d after %d", b.BaseOffset(), b.LeaderEpoch(), l.now.epoch)
	}
	if b.LeaderEpoch() > l.now.epoch && l.now.epoch > 0 {
		c.reach("a controller took over")
	}
	l.at[b.BaseOffset()] = len(l.batches)
	l.batches = append(l.batches, b)
	before := len(l.now.topics)
	if err := l.now.apply(b, l.changed); err != nil {
		c.fail("M ValidMetadata", "%v", err)
		l.broken = true
		return
	}
	l.noteTopics(b, before)
	if l.now.saved == nil {
		l.check(b)
	}
}

// check looks at the whole after a batch.
func (l *metaLog) check(b record.Batch) {
	for id, p := range l.now.parts {
		name := place{l.now.topics[id.topic], id.index, b.LastOffset()}
		for i, r := range p.isr {
			switch broker, known := l.now.brokers[r]; {
			case slices.Contains(p.isr[:i], r) || !slices.Contains(p.replicas, r):
				l.c.fail("ValidControllerIsrAndElr", "%v in the metadata: %v", name, p)
			case !known || broker.fenced:
				l.c.fail("ValidControllerIsrAndElr", "%v in the metadata: broker %d is fenced and in sync: %v", name, r, p)
			case slices.Contains(p.elr, r):
				l.c.fail("ValidControllerIsrAndElr", "%v in the metadata: %d is in sync and eligible: %v", name, r, p)
			}
		}
		if p.leader >= 0 && !slices.Contains(p.isr, p.leader) {
			l.c.fail("ValidControllerIsrAndElr", "%v in the metadata: the leader is not in sync: %v", name, p)
		}
		for _, r := range p.elr {
			if !slices.Contains(p.replicas, r) {
				l.c.fail("ValidControllerIsrAndElr", "%v in the metadata: %d is eligible and no replica: %v", name, r, p)
			}
		}
		if len(p.elr) > 0 && len(p.isr) >= leastInSync && name.topic != looseTopic {
			l.c.fail("ValidControllerIsrAndElr", "%v in the metadata: replicas are eligible though enough are in sync: %v", name, p)
		}
	}
}

// changed looks at one change of a partition.
func (l *metaLog) changed(id partID, old, now metaPartition, r *mr.PartitionChangeRecord) {
	topic := l.now.topics[id.topic]
	name := place{topic, id.index, l.now.end - 1}
	l.c.trace.note("metadata: %v: %v", name, now)
	l.reached(topic, old, now)
	if topic == stateTopic && old.leader >= 0 && now.leader != old.leader {
		l.deposed = append(l.deposed, deposed{old.leader, l.c.runningLife(old.leader), time.Now()})
	}
	// A leader that goes with the end of a reassignment brings the one that takes over into the ISR with the same record.
	handed := slices.Contains(old.removing, old.leader) && slices.Contains(now.isr, now.leader) && len(now.removing) == 0
	if now.leader >= 0 && now.leader != old.leader && !slices.Contains(old.isr, now.leader) && !slices.Contains(old.elr, now.leader) && !handed {
		lastKnown := len(old.lastKnown) == 1 && old.lastKnown[0] == now.leader
		if now.recovery != 1 || topic != looseTopic && !lastKnown {
			l.c.fail("ValidControllerState", "%v in the metadata: the new leader was neither in sync nor eligible: %v, before: %v", name, now, old)
		}
	}
	for _, gone := range old.replicas {
		switch {
		case slices.Contains(now.replicas, gone):
		case !slices.Contains(old.removing, gone) && !slices.Contains(old.adding, gone):
			l.c.fail("ReassignmentKeepsReplicas", "%v in the metadata: replica %d goes at once: %v, before: %v", name, gone, now, old)
		case now.leaderEpoch == old.leaderEpoch:
			l.c.fail("ReplicaLeavesByEpoch", "%v in the metadata: replica %d goes, and the leader epoch stays: %v, before: %v", name, gone, now, old)
		}
	}
	if len(old.adding)+len(old.removing) > 0 && len(now.adding)+len(now.removing) == 0 && containsAll(now.replicas, old.adding) {
		if !containsAll(now.isr, old.adding) || topic != looseTopic && len(now.isr) < leastInSync {
			l.c.fail("ReassignmentKeepsReplicas", "%v in the metadata: it ends before the new replicas are in sync: %v, before: %v", name, now, old)
		}
	}
}

func containsAll(list, wanted []int32) bool {
	return !slices.ContainsFunc(wanted, func(id int32) bool { return !slices.Contains(list, id) })
}

// reached counts what a change shows.
func (l *metaLog) reached(topic string, old, now metaPartition) {
	c := l.c
	elected := now.leader >= 0 && now.leader != old.leader
	switch {
	case elected && slices.Contains(old.isr, now.leader):
		c.reach("a leader elected from the ISR")
	case elected && slices.Contains(old.elr, now.leader):
		c.reach("a leader elected from the ELR")
	case elected && now.recovery == 1 && topic == looseTopic:
		c.reach("an unclean election")
	case elected && now.recovery == 1:
		c.reach("the last known leader elected")
	}
	if elected && now.leader == now.replicas[0] && old.leader >= 0 && slices.Contains(now.isr, old.leader) {
		c.reach("a leader went back to the preferred replica")
	}
	switch {
	case len(now.isr) < len(old.isr):
		c.reach("the ISR shrank")
	case len(now.isr) > len(old.isr) && len(old.isr) > 0:
		c.reach("the ISR grew")
	}
	if len(now.isr) == 1 && len(old.isr) > 1 {
		c.reach("an ISR of one")
	}
	if len(now.isr) == 0 && len(old.isr) > 0 {
		c.reach("an empty ISR")
	}
	if old.recovery == 1 && now.recovery == 0 {
		c.reach("a leader recovered")
	}
	if len(old.adding) > 0 && len(now.adding) == 0 {
		if containsAll(now.replicas, old.adding) {
			c.reach("a reassignment completed")
		} else {
			c.reach("a reassignment cancelled")
		}
	}
	if len(old.removing) > 0 && len(now.removing) == 0 && !slices.Contains(now.replicas, old.leader) && now.leader != old.leader {
		c.reach("a reassignment took the leader away")
	}
}

// noteTopics counts topics that come again, and registrations.
func (l *metaLog) noteTopics(b record.Batch, before int) {
	for v, err := range mr.Records(b) {
		if err != nil {
			return
		}
		switch r := v.Record.(type) {
		case *mr.TopicRecord:
			l.made[r.TopicID] = true
			if l.names[r.Name]++; l.names[r.Name] > 1 {
				l.c.reach("a topic made again")
			}
		case *mr.BrokerRegistrationChangeRecord:
			switch {
			case r.Fenced > 0:
				l.c.reach("a broker fenced")
			case r.Fenced < 0:
				l.c.reach("a broker unfenced")
			case r.InControlledShutdown > 0:
				l.c.reach("a controlled shutdown")
			case len(r.LogDirs) > 0:
				l.c.reach("a log directory reported offline")
			}
		}
	}
	for m, err := range mr.ControlRecords(b) {
		if err != nil {
			return
		}
		if _, ok := m.(*mr.VotersRecord); ok && l.c.voting != votersStatic {
			l.c.reach("voters written")
		}
	}
	if len(l.now.topics) < before {
		l.c.reach("a topic deleted")
	}
}
