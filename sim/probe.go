package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

const (
	metadataFolder = "/a/__cluster_metadata-0"
	// probeEvery is how often the nodes' disks are looked at, in virtual time.
	probeEvery = 500 * time.Millisecond
)

// metaReader is how far the metadata log of a disk was read.
type metaReader struct {
	mem     *vfs.Mem // another one after a power cut
	segment string
	pos     int64
	next    int64 // the offset that follows
}

// scan reads what nodes have written to their metadata logs since the last time.
func (l *metaLog) scan() {
	for _, m := range l.c.nodes {
		if l.broken {
			return
		}
		l.scanNode(m)
	}
}

func (l *metaLog) scanNode(m *machine) {
	mem := m.disk.memory()
	r := l.read[m]
	if r == nil || r.mem != mem {
		r = &metaReader{mem: mem}
		l.read[m] = r
	}
	infos, err := mem.List(metadataFolder)
	if err != nil {
		return // there is none yet
	}
	for _, i := range infos { // by their base offsets
		if !strings.HasSuffix(i.Name, ".log") || i.Name < r.segment {
			continue
		}
		if i.Name > r.segment {
			r.segment, r.pos = i.Name, 0
			if _, err := fmt.Sscanf(i.Name, "%d.log", &r.next); err != nil {
				return // it is none of the log's
			}
		}
		for _, b := range readFrom(mem, metadataFolder+"/"+i.Name, r.pos) {
			if b.BaseOffset() != r.next {
				return // a power cut has torn the offset, which no checksum covers
			}
			r.pos, r.next = r.pos+int64(b.Size()), b.NextOffset()
			if l.add(m.id, b); l.broken {
				return
			}
		}
	}
}

// readFrom gives the whole batches in a file from a position on. What is not valid, a torn tail, ends them.
func readFrom(mem *vfs.Mem, name string, from int64) (batches []record.Batch) {
	f, err := mem.Open(name, vfs.ReadOnly)
	if err != nil {
		return nil
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size <= from {
		return nil
	}
	data := make([]byte, size-from)
	if n, err := f.ReadAt(data, from); n < len(data) && err != nil {
		return nil // it was cut meanwhile
	}
	for len(data) > 0 {
		b, rest, err := record.Next(data)
		if err != nil || b.VerifyCRC() != nil {
			break
		}
		batches, data = append(batches, b), rest
	}
	return batches
}

func (d *disk) memory() *vfs.Mem {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mem
}

// watch looks at the nodes from outside until ctx ends: at the metadata that was committed, and at what is on the disks of
// those who may lead by it.
func (c *cluster) watch(ctx context.Context) {
	for wait(ctx, probeEvery) {
		if tips := c.history.shown(); !c.look(tips) {
			return
		}
	}
}

// tip is the last record of a partition that somebody was shown, or was told to be written.
type tip struct {
	topic  string
	index  int32
	offset int64
	value  string
}

// shown gives the tips of all partitions.
func (h *history) shown() []tip {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.tips))
}

// showing notes that a record was shown; h.mu is held.
func (h *history) showing(topic string, index int32, offset int64, value string) {
	if at := (place{topic: topic, index: index}); offset >= 0 && offset >= h.tips[at].offset {
		h.tips[at] = tip{topic, index, offset, value}
	}
}

// look is LeaderCandidateCompleteness: who is in sync or eligible, by the metadata, has what was shown before they were read,
// if it is the process that the metadata means. It reports whether there is more to look at.
func (c *cluster) look(tips []tip) bool {
	lives := map[int32]*process{}
	for _, m := range c.nodes {
		if m.serving() {
			lives[int32(m.id)] = c.runningLife(int32(m.id))
		}
	}
	l := c.meta
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scan(); l.broken {
		return false
	}
	for _, t := range tips {
		id, p := l.find(t.topic, t.index)
		for _, broker := range slices.Concat(p.isr, p.elr) {
			if lives[broker] == nil || c.nodes[broker-1].disk.has(t) {
				continue
			}
			// Its log may be gone since it was read that it counts.
			if l.scan(); l.broken {
				return false
			}
			if l.now.parts[id].epoch == p.epoch && c.runningLife(broker) == lives[broker] && !c.nodes[broker-1].disk.has(t) {
				c.fail("LeaderCandidateCompleteness", "broker %d has not %q at %v, which was shown: %v", broker, t.value, place{t.topic, t.index, t.offset}, p)
				return false
			}
		}
	}
	return true
}

// durable is Durable, the promise of weir.durability=fsync: what clients were shown outlives the power of everybody who was in
// sync or eligible. It cuts the machine's power by kill.
func (c *cluster) durable(m *machine, kill func()) {
	if !c.fsync || !m.serving() {
		kill()
		return
	}
	var promised []tip
	tips := c.history.shown()
	c.meta.mu.Lock()
	if c.meta.scan(); !c.meta.broken {
		for _, t := range tips {
			if _, p := c.meta.find(t.topic, t.index); slices.Contains(p.isr, int32(m.id)) || slices.Contains(p.elr, int32(m.id)) {
				promised = append(promised, t)
			}
		}
	}
	c.meta.mu.Unlock()
	kill()
	for _, t := range promised {
		if c.reach("a power cut of one that had promised"); !m.disk.has(t) {
			c.fail("Durable", "broker %d was in sync and has lost %q at %v, which was shown, with its power", m.id, t.value, place{t.topic, t.index, t.offset})
		}
	}
}

// find is a partition by its topic's name.
func (l *metaLog) find(topic string, index int32) (partID, metaPartition) {
	for id, p := range l.now.parts {
		if id.index == index && l.now.topics[id.topic] == topic {
			return id, p
		}
	}
	return partID{}, metaPartition{}
}

// has reports whether a record is on the disk.
func (d *disk) has(t tip) bool {
	log, _, err := d.diskLog(t.topic, t.index)
	if err != nil && len(log) == 0 {
		return false
	}
	for i := len(log) - 1; i >= 0; i-- {
		b := log[i]
		if b.BaseOffset() > t.offset || b.NextOffset() <= t.offset {
			continue
		}
		it := b.Records(1 << 20)
		for it.Next() {
			if r := it.Record(); r.Offset == t.offset {
				found := string(r.Value) == t.value
				_ = it.Close() // it was found
				return found
			}
		}
		_ = it.Close() // what is not whole has it not
	}
	return false
}

// compareMetadata is M at the end: all nodes have the same log, and their snapshots are what the log says.
func (c *cluster) compareMetadata() {
	cl := c.newClient("metadata")
	defer cl.close()
	c.compareImages(cl)
	if c.meta.broken {
		return
	}
	c.checkPromised()
	c.checkChurn(cl)
	want := map[int64][]*snapshotOf{}
	for _, m := range c.nodes {
		mem := m.disk.memory()
		infos, err := mem.List(metadataFolder)
		if err != nil {
			c.fail("M", "node %d has no metadata log: %v", m.id, err)
			continue
		}
		for _, i := range infos {
			id, ok := quorum.ParseSnapshotName(i.Name)
			if !ok || id.EndOffset == 0 {
				continue
			}
			s, err := quorum.ReadSnapshot(mem, metadataFolder+"/"+i.Name)
			if err != nil {
				continue // not whole; it is not used
			}
			want[id.EndOffset] = append(want[id.EndOffset], &snapshotOf{m.id, s})
		}
	}
	m := newMetadata()
	for _, b := range c.meta.batches {
		if err := m.apply(b, nil); err != nil {
			return // it was told of already
		}
		for _, s := range want[m.end] {
			c.reach("a snapshot compared")
			got := newMetadata()
			for v, err := range s.Records() {
				if err == nil {
					err = got.replay(v.Record, nil)
				}
				if err != nil {
					c.fail("M SnapshotIsTheLog", "the snapshot of node %d that ends at %d: %v", s.node, m.end, err)
					return
				}
			}
			if what := differs(m.all(), got.all()); what != "" {
				c.fail("M SnapshotIsTheLog", "the snapshot of node %d that ends at %d: %s", s.node, m.end, what)
				return
			}
		}
	}
}

// compareImages is M MetadataConverges: all brokers tell of the partitions what the metadata log says.
func (c *cluster) compareImages(cl *client) {
	why := ""
	for range 60 {
		if c.meta.scan(); c.meta.broken {
			return
		}
		if why = c.imagesDiffer(cl); why == "" {
			return
		}
		c.pause(300 * time.Millisecond)
	}
	c.fail("M MetadataConverges", "%s", why)
}

func (c *cluster) imagesDiffer(cl *client) string {
	for _, m := range c.nodes {
		if !m.broker() {
			continue
		}
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = nil
		ctx, cancel := context.WithTimeout(c.ctx, 3*time.Second)
		resp, err := cl.peer(m.address(brokerPort)).Do(ctx, req)
		cancel()
		if err != nil {
			return fmt.Sprintf("broker %d does not answer: %v", m.id, err)
		}
		told := 0
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			for _, p := range t.Partitions {
				told++
				want, ok := c.meta.now.parts[partID{t.TopicID, p.Partition}]
				if !ok || p.Leader != want.leader || p.LeaderEpoch != want.leaderEpoch || !slices.Equal(p.ISR, want.isr) || !slices.Equal(p.Replicas, want.replicas) {
					return fmt.Sprintf("broker %d says of %s-%d: leader %d in epoch %d, replicas %v, isr %v; the metadata log: %v", m.id, *t.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, want)
				}
			}
		}
		if told != len(c.meta.now.parts) {
			return fmt.Sprintf("broker %d tells of %d partitions, the metadata log has %d", m.id, told, len(c.meta.now.parts))
		}
	}
	return ""
}

type snapshotOf struct {
	node int
	*quorum.Snapshot
}
