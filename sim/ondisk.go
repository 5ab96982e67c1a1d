package sim

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// diskLog is what a machine's disk has of a partition, behind the back of its process: the batches in order, the same whether
// they are synced or not. There is none if the machine has no such partition.
func (d *disk) diskLog(topic string, index int32) (batches []record.Batch, folders int, err error) {
	d.mu.Lock()
	mem := d.mem
	d.mu.Unlock()
	for _, folder := range foldersOf(topic, index) {
		names, err := mem.List(folder)
		if vfs.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, folders, err
		}
		folders++
		for _, n := range names { // by their base offsets
			if !strings.HasSuffix(n.Name, ".log") {
				continue
			}
			f, err := mem.Open(folder+"/"+n.Name, vfs.ReadOnly)
			if err != nil {
				return nil, folders, err
			}
			size, err := f.Size()
			data := make([]byte, size)
			if err == nil && size > 0 {
				_, err = f.ReadAt(data, 0)
			}
			_ = f.Close() // it was read only
			if err != nil {
				return nil, folders, err
			}
			for len(data) >= record.HeaderSize {
				b := record.Batch(data)
				if b.Size() < record.HeaderSize || b.Size() > len(data) {
					return batches, folders, fmt.Errorf("%s/%s has %d bytes at its end that are no batch", folder, n.Name, len(data))
				}
				batches = append(batches, b[:b.Size()])
				data = data[b.Size():]
			}
		}
	}
	return batches, folders, nil
}

// foldersOf are where a replica may lie.
func foldersOf(topic string, index int32) []string {
	return []string{fmt.Sprintf("/a/%s-%d", topic, index), fmt.Sprintf("/b/%s-%d", topic, index)}
}

// wrongEpoch holds the leader-epoch-checkpoint of a replica against its batches: an epoch in it begins with the first batch of that or a
// later one. The file may lack the last epochs, which are in memory. It returns what does not fit.
func (d *disk) wrongEpoch(topic string, index int32, batches []record.Batch) (string, error) {
	d.mu.Lock()
	mem := d.mem
	d.mu.Unlock()
	for _, folder := range foldersOf(topic, index) {
		text, err := vfs.ReadFile(mem, folder+"/leader-epoch-checkpoint", 1<<20)
		if vfs.IsNotExist(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if len(lines) < 3 {
			return "", nil
		}
		epochs, starts := make([]int32, len(lines)-2), make([]int64, len(lines)-2)
		for i, line := range lines[2:] {
			if _, err := fmt.Sscan(line, &epochs[i], &starts[i]); err != nil {
				return "", fmt.Errorf("%s: %q: %w", folder, line, err)
			}
		}
		for _, b := range batches {
			i := sort.Search(len(starts), func(i int) bool { return starts[i] > b.BaseOffset() }) - 1
			if i < 0 || b.LeaderEpoch() < epochs[i] || b.LeaderEpoch() > epochs[i] && i < len(epochs)-1 {
				return fmt.Sprintf("the batch at %d is of epoch %d, and the leader epochs are %v from %v on", b.BaseOffset(), b.LeaderEpoch(), epochs, starts), nil
			}
		}
	}
	return "", nil
}

// compareDisks is I2 on the disks: when nobody writes any more, all replicas of a partition have the same bytes, each once.
func (c *cluster) compareDisks(cl *client, topic string) {
	why := ""
	for range 60 {
		if err := cl.refresh(c.ctx, topic); err != nil {
			why = err.Error()
		} else if why = c.disksDiffer(cl, topic); why == "" {
			return
		}
		c.pause(500 * time.Millisecond) // the last records may be on their way
	}
	c.fail("I2 ReplicasAreEqual", "%s", why)
}

func (c *cluster) disksDiffer(cl *client, topic string) string {
	for _, p := range cl.meta[topic].Partitions {
		var first []record.Batch
		for i, id := range p.Replicas {
			log, folders, err := c.nodes[id-1].disk.diskLog(topic, p.Partition)
			switch {
			case err != nil:
				return fmt.Sprintf("%s-%d on broker %d: %v", topic, p.Partition, id, err)
			case folders != 1:
				return fmt.Sprintf("%s-%d is in %d directories of broker %d", topic, p.Partition, folders, id)
			case i == 0:
				first = log
			case len(log) != len(first):
				return fmt.Sprintf("%s-%d has %d batches on broker %d and %d on broker %d", topic, p.Partition, len(first), p.Replicas[0], len(log), id)
			}
			switch wrong, err := c.nodes[id-1].disk.wrongEpoch(topic, p.Partition, log); {
			case err != nil:
				return err.Error()
			case wrong != "":
				return fmt.Sprintf("%s-%d on broker %d: %s", topic, p.Partition, id, wrong)
			}
			for j, b := range log {
				if !bytes.Equal(b, first[j]) {
					return fmt.Sprintf("%s-%d: batch %d at %d of epoch %d on broker %d is another on broker %d: at %d of epoch %d", topic, p.Partition, j,
						first[j].BaseOffset(), first[j].LeaderEpoch(), p.Replicas[0], id, b.BaseOffset(), b.LeaderEpoch())
				}
				if want := int64(0); j > 0 {
					if want = log[j-1].NextOffset(); b.BaseOffset() != want {
						return fmt.Sprintf("%s-%d on broker %d: after %d comes %d", topic, p.Partition, id, want-1, b.BaseOffset())
					}
				}
			}
		}
	}
	return ""
}

// runningLife is the process that a broker is, nil while there is none that serves.
func (c *cluster) runningLife(broker int32) *process {
	m := c.nodes[broker-1]
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil || m.process.over {
		return nil
	}
	return m.process
}

// leads is I5 LeaderCompleteness: a broker that has answered as the leader in an epoch, being the process p all the while, has
// on its disk all that anybody was shown of the epochs before.
func (c *cluster) leads(p *process, topic string, id [16]byte, index, epoch int32) {
	h := c.history
	h.mu.Lock()
	k := ledKey{id, index, epoch}
	known := h.proved[k]
	h.proved[k] = true
	var want []place
	if !known {
		for at, s := range h.seen {
			if at.topic == topic && at.index == index && s.epoch < epoch {
				want = append(want, at)
			}
		}
	}
	h.mu.Unlock()
	if len(want) == 0 {
		return
	}
	log, _, err := p.m.disk.diskLog(topic, index)
	if c.runningLife(int32(p.m.id)) != p {
		return // what it has now may be less
	}
	if err != nil {
		c.fail("I5 LeaderCompleteness", "the log of %s-%d, which broker %d leads in epoch %d: %v", topic, index, p.m.id, epoch, err)
		return
	}
	have := map[int64]string{}
	for _, b := range log {
		if b.IsControl() {
			continue
		}
		it := b.Records(1 << 20)
		for it.Next() {
			have[it.Record().Offset] = string(it.Record().Value)
		}
		_ = it.Close() // what is not whole is missing
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range want {
		if s := h.seen[at]; have[at.offset] != s.value {
			c.fail("I5 LeaderCompleteness", "broker %d leads in epoch %d, and at %v, where %q of epoch %d was shown, it has %q", p.m.id, epoch, at, s.value, s.epoch, have[at.offset])
			return
		}
	}
}
