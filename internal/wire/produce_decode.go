package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

// The least memory that an element of a ProduceRequest needs, for the bound of Decode.
const (
	produceTopicCost     = int(unsafe.Sizeof(ProduceTopic{}))
	producePartitionCost = int(unsafe.Sizeof(ProducePartition{}))
	// produceKeep is how many elements a ProduceRequest keeps for its next use.
	produceKeep = 256
)

// Decode reads the body of a Produce request of versions 3 to 13 into r, reusing r's slices. Names and records alias
// body. No more than limit bytes are allocated.
func (r *ProduceRequest) Decode(version int16, body []byte, limit int) error {
	d := produceDecoder{walker: walker{p: body, version: version, flexible: version >= 9, limit: limit}}
	d.request(r)
	if d.err != nil {
		r.Reset()
		return fmt.Errorf("Produce request of version %d is not valid: %w", version, d.err)
	}
	return nil
}

// Reset forgets the contents and keeps modest slices for the next Decode.
func (r *ProduceRequest) Reset() {
	topics := r.Topics[:cap(r.Topics)]
	if len(topics) > produceKeep {
		topics = nil
	}
	for i := range topics {
		partitions := topics[i].Partitions[:cap(topics[i].Partitions)]
		if len(partitions) > produceKeep {
			partitions = nil
		}
		clear(partitions)
		topics[i] = ProduceTopic{Partitions: partitions[:0]}
	}
	*r = ProduceRequest{Topics: topics[:0]}
}

type produceDecoder struct{ walker }

var errProduceVersion = errors.New("version is not supported")

func (d *produceDecoder) request(r *ProduceRequest) {
	if d.version < 3 || d.version > 13 {
		d.fail(errProduceVersion)
		return
	}
	r.TransactionalID = nil
	if id, ok := d.text(true); ok {
		s := string(id)
		r.TransactionalID = &s
	}
	fixed := d.take(6)
	if d.err != nil {
		return
	}
	r.Acks = int16(binary.BigEndian.Uint16(fixed))
	r.TimeoutMs = int32(binary.BigEndian.Uint32(fixed[2:]))
	r.Topics = r.Topics[:0]
	for n := d.count(); n > 0 && d.err == nil; n-- {
		d.charge(produceTopicCost)
		if len(r.Topics) < cap(r.Topics) {
			r.Topics = r.Topics[:len(r.Topics)+1]
		} else {
			r.Topics = append(r.Topics, ProduceTopic{})
		}
		d.topic(&r.Topics[len(r.Topics)-1])
	}
	d.end()
}

func (d *produceDecoder) topic(t *ProduceTopic) {
	t.Name, t.ID, t.Partitions = "", TopicID{}, t.Partitions[:0]
	if d.version >= 13 {
		copy(t.ID[:], d.take(16))
	} else if name, _ := d.text(false); len(name) > 0 {
		t.Name = unsafe.String(&name[0], len(name))
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		d.charge(producePartitionCost)
		var p ProducePartition
		if fixed := d.take(4); d.err == nil {
			p.Index = int32(binary.BigEndian.Uint32(fixed))
		}
		p.Records = d.records()
		d.end()
		t.Partitions = append(t.Partitions, p)
	}
	d.end()
}

// end reads the tag section, which has no known tags.
func (d *produceDecoder) end() {
	if d.flexible && d.err == nil {
		d.tags(nil)
	}
}

func (d *produceDecoder) take(n int) []byte {
	if n > len(d.p) {
		d.fail(errShort)
		return nil
	}
	b := d.p[:n:n]
	d.p = d.p[n:]
	return b
}

var nullable = field{nullMin: 0, nullMax: 32767}

func (d *produceDecoder) count() int { return d.length(nil, false) }

func (d *produceDecoder) text(null bool) (b []byte, ok bool) {
	var f *field
	if null {
		f = &nullable
	}
	n := d.length(f, true)
	if n > 32767 {
		d.fail(errLength)
	}
	if n < 0 || d.err != nil {
		return nil, false
	}
	return d.take(n), true
}

func (d *produceDecoder) records() []byte {
	n := d.length(&nullable, false)
	if n < 0 || d.err != nil {
		return nil
	}
	return d.take(n)
}
