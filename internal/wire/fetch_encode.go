package wire

import (
	"encoding/binary"
	"math/bits"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/vfs"
)

// Cut is a place in encoded bytes where record bytes belong that were not copied there: Bytes or a file's Range,
// before the byte at position At.
type Cut struct {
	At    int
	Bytes []byte
	Range *vfs.Range
}

// Len is how many bytes belong at the place.
func (c *Cut) Len() int64 {
	if c.Range != nil {
		return c.Range.Len
	}
	return int64(len(c.Bytes))
}

// inlineBytes is up to which size in-memory records are copied between their neighbours.
const inlineBytes = 4 << 10

// Key is the API's key.
func (r *FetchResponse) Key() int16 { return 1 }

// Encode appends the answer without its larger records, and to cuts where those belong; positions count from the
// start of dst. It takes over nothing: the ranges stay with r.
func (r *FetchResponse) Encode(dst []byte, cuts []Cut) ([]byte, []Cut) {
	e := fetchEncoder{version: r.Version, flexible: r.Version >= 12, dst: dst, cuts: cuts}
	e.response(r)
	return e.dst, e.cuts
}

// Release gives back all ranges. The server calls it once the answer is sent or cannot be.
func (r *FetchResponse) Release() {
	for i := range r.Topics {
		for k := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[k]
			if p.Records != nil {
				p.Records.Release()
				p.Records = nil
			}
		}
	}
}

// AppendTo appends the whole answer, reading file ranges into memory; a range that cannot be read becomes zeros. It
// is for tests and for answers within the process; the server uses Encode.
func (r *FetchResponse) AppendTo(dst []byte) []byte {
	head, cuts := r.Encode(nil, nil)
	at := 0
	for i := range cuts {
		c := &cuts[i]
		dst = append(dst, head[at:c.At]...)
		at = c.At
		if c.Range == nil {
			dst = append(dst, c.Bytes...)
			continue
		}
		body := make([]byte, c.Range.Len)
		if n, err := c.Range.ReadAt(body, 0); err != nil {
			clear(body[n:])
		}
		dst = append(dst, body...)
	}
	return append(dst, head[at:]...)
}

type fetchEncoder struct {
	version  int16
	flexible bool
	dst      []byte
	cuts     []Cut
}

func (e *fetchEncoder) int16(v int16) { e.dst = binary.BigEndian.AppendUint16(e.dst, uint16(v)) }
func (e *fetchEncoder) int32(v int32) { e.dst = binary.BigEndian.AppendUint32(e.dst, uint32(v)) }
func (e *fetchEncoder) int64(v int64) { e.dst = binary.BigEndian.AppendUint64(e.dst, uint64(v)) }

func (e *fetchEncoder) uvarint(v uint32) { e.dst = binary.AppendUvarint(e.dst, uint64(v)) }

func (e *fetchEncoder) noTags() {
	if e.flexible {
		e.dst = append(e.dst, 0)
	}
}

// count writes an array's length; -1 is null.
func (e *fetchEncoder) count(n int) {
	if e.flexible {
		e.uvarint(uint32(n + 1))
	} else {
		e.int32(int32(n))
	}
}

func (e *fetchEncoder) string(s string) {
	if e.flexible {
		e.uvarint(uint32(len(s) + 1))
	} else {
		e.int16(int16(len(s)))
	}
	e.dst = append(e.dst, s...)
}

func (e *fetchEncoder) response(r *FetchResponse) {
	e.int32(r.ThrottleMs)
	if e.version >= 7 {
		e.int16(int16(r.ErrorCode))
		e.int32(r.SessionID)
	}
	e.count(len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		if e.version >= 13 {
			e.dst = append(e.dst, t.ID[:]...)
		} else {
			e.string(t.Name)
		}
		e.count(len(t.Partitions))
		for k := range t.Partitions {
			e.partition(&t.Partitions[k])
		}
		e.noTags()
	}
	if !e.flexible {
		return
	}
	if e.version < 16 || len(r.NodeEndpoints) == 0 {
		e.uvarint(0)
		return
	}
	e.endpoints(r.NodeEndpoints)
}

func (e *fetchEncoder) partition(p *FetchPartition) {
	e.int32(p.Index)
	e.int16(int16(p.ErrorCode))
	e.int64(p.HighWatermark)
	e.int64(p.LastStableOffset)
	if e.version >= 5 {
		e.int64(p.LogStartOffset)
	}
	if p.AbortedTransactions == nil {
		e.count(-1)
	} else {
		e.count(len(p.AbortedTransactions))
	}
	for _, a := range p.AbortedTransactions {
		e.int64(a.ProducerID)
		e.int64(a.FirstOffset)
		e.noTags()
	}
	if e.version >= 11 {
		e.int32(p.PreferredReadReplica)
	}
	e.records(p)
	if e.flexible {
		e.partitionTags(p)
	}
}

// records writes the length, and the bytes if they are few. No records are empty, not null, as Kafka has it.
func (e *fetchEncoder) records(p *FetchPartition) {
	n := int64(len(p.Bytes))
	inFile := p.Bytes == nil && p.Records != nil
	if inFile {
		n = p.Records.Len
	}
	e.count(int(n))
	switch {
	case n == 0:
	case inFile:
		e.cuts = append(e.cuts, Cut{At: len(e.dst), Range: p.Records})
	case n <= inlineBytes:
		e.dst = append(e.dst, p.Bytes...)
	default:
		e.cuts = append(e.cuts, Cut{At: len(e.dst), Bytes: p.Bytes})
	}
}

func (e *fetchEncoder) partitionTags(p *FetchPartition) {
	tags := uint32(0)
	for _, set := range [...]bool{p.DivergingEpoch != nil, p.CurrentLeader != nil, p.SnapshotID != nil} {
		if set {
			tags++
		}
	}
	e.uvarint(tags)
	if d := p.DivergingEpoch; d != nil {
		e.dst = append(e.dst, 0, 13)
		e.int32(d.Epoch)
		e.int64(d.EndOffset)
		e.noTags()
	}
	if l := p.CurrentLeader; l != nil {
		e.dst = append(e.dst, 1, 9)
		e.int32(l.LeaderID)
		e.int32(l.LeaderEpoch)
		e.noTags()
	}
	if s := p.SnapshotID; s != nil {
		e.dst = append(e.dst, 2, 13)
		e.int64(s.EndOffset)
		e.int32(s.Epoch)
		e.noTags()
	}
}

func (e *fetchEncoder) endpoints(nodes []kmsg.FetchResponseBroker) {
	size := uvarintSize(len(nodes) + 1)
	for i := range nodes {
		n := &nodes[i]
		size += 4 + uvarintSize(len(n.Host)+1) + len(n.Host) + 4 + 1 + 1
		if n.Rack != nil {
			size += uvarintSize(len(*n.Rack)+1) - 1 + len(*n.Rack)
		}
	}
	e.dst = append(e.dst, 1, 0) // one tag, number 0
	e.uvarint(uint32(size))
	e.count(len(nodes))
	for i := range nodes {
		n := &nodes[i]
		e.int32(n.NodeID)
		e.string(n.Host)
		e.int32(n.Port)
		if n.Rack == nil {
			e.uvarint(0)
		} else {
			e.string(*n.Rack)
		}
		e.noTags()
	}
}

func uvarintSize(n int) int { return max(1, (bits.Len32(uint32(n))+6)/7) }
