package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"path/filepath"

	"github.com/weir-stream/weir/internal/vfs"
)

// The sidecar is an extra plain file in the root of a log directory, written at a clean stop, that knows where each log
// ends, so that the next start opens no segment. Apache Kafka ignores it. It counts only together with the
// mark of the same clean stop, and for a partition only while its directory and the two small files in it have the same
// modification times.
const (
	sidecarFile    = "weir-log-ends"
	sidecarMagic   = "WEIRENDS"
	sidecarVersion = 2
	maxSidecar     = 1 << 30
)

// sidecarEntry is one log as it was left.
type sidecarEntry struct {
	name          string
	id            TopicID
	modTimes      [3]int64 // ns, see modTimesOf
	end           int64
	firstUnstable int64
	producers     bool
	segments      []sidecarSegment
	epochs        []EpochEntry
	snapshots     []int64
}

type sidecarSegment struct {
	base, size                int64
	maxTimestamp, maxTsOffset int64
	modified                  int64
	txns                      bool
}

func encodeSidecar(brokerEpoch int64, ents []sidecarEntry) []byte {
	p := append([]byte(sidecarMagic), sidecarVersion)
	p = binary.AppendVarint(p, brokerEpoch)
	p = binary.AppendUvarint(p, uint64(len(ents)))
	for i := range ents {
		p = ents[i].appendTo(p)
	}
	return binary.BigEndian.AppendUint32(p, crc32.Checksum(p, castagnoli))
}

func (e *sidecarEntry) appendTo(p []byte) []byte {
	p = binary.AppendUvarint(p, uint64(len(e.name)))
	p = append(p, e.name...)
	p = append(p, e.id[:]...)
	for _, t := range e.modTimes {
		p = binary.AppendVarint(p, t)
	}
	p = binary.AppendVarint(p, e.end)
	p = binary.AppendVarint(p, e.firstUnstable)
	p = append(p, bit(e.producers))
	p = binary.AppendUvarint(p, uint64(len(e.segments)))
	for _, s := range e.segments {
		for _, v := range []int64{s.base, s.size, s.maxTimestamp, s.maxTsOffset, s.modified} {
			p = binary.AppendVarint(p, v)
		}
		p = append(p, bit(s.txns))
	}
	p = binary.AppendUvarint(p, uint64(len(e.epochs)))
	for _, ep := range e.epochs {
		p = binary.AppendVarint(p, int64(ep.Epoch))
		p = binary.AppendVarint(p, ep.StartOffset)
	}
	p = binary.AppendUvarint(p, uint64(len(e.snapshots)))
	for _, o := range e.snapshots {
		p = binary.AppendVarint(p, o)
	}
	return p
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// sidecarReader reads the encoding; the first fault sticks.
type sidecarReader struct {
	p   []byte
	bad bool
}

func (r *sidecarReader) varint() int64 {
	v, n := binary.Varint(r.p)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.p = r.p[n:]
	return v
}

// count reads a number of things that take at least size bytes each.
func (r *sidecarReader) count(size int) int {
	v, n := binary.Uvarint(r.p)
	if n <= 0 || v > uint64(len(r.p)/size) {
		r.bad = true
		return 0
	}
	r.p = r.p[n:]
	return int(v)
}

func (r *sidecarReader) bytes(n int) []byte {
	if n > len(r.p) {
		r.bad = true
		return make([]byte, n)
	}
	b := r.p[:n]
	r.p = r.p[n:]
	return b
}

func decodeSidecar(p []byte) (brokerEpoch int64, ents []sidecarEntry, err error) {
	if len(p) < len(sidecarMagic)+1+4 || string(p[:len(sidecarMagic)]) != sidecarMagic || p[len(sidecarMagic)] != sidecarVersion {
		return 0, nil, errors.New("not a list of log ends of a known version")
	}
	body, sum := p[:len(p)-4], binary.BigEndian.Uint32(p[len(p)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, nil, errors.New("wrong checksum")
	}
	r := &sidecarReader{p: body[len(sidecarMagic)+1:]}
	brokerEpoch = r.varint()
	n := r.count(24)
	ents = make([]sidecarEntry, 0, n)
	for range n {
		if r.bad {
			break
		}
		ents = append(ents, r.entry())
	}
	if r.bad || len(r.p) > 0 {
		return 0, nil, fmt.Errorf("malformed after %d entries", len(ents))
	}
	return brokerEpoch, ents, nil
}

func (r *sidecarReader) entry() sidecarEntry {
	e := sidecarEntry{name: string(r.bytes(r.count(1)))}
	copy(e.id[:], r.bytes(len(e.id)))
	for i := range e.modTimes {
		e.modTimes[i] = r.varint()
	}
	e.end, e.firstUnstable = r.varint(), r.varint()
	e.producers = r.bytes(1)[0] != 0
	n := r.count(6)
	e.segments = make([]sidecarSegment, 0, n)
	for range n {
		s := sidecarSegment{r.varint(), r.varint(), r.varint(), r.varint(), r.varint(), r.bytes(1)[0] != 0}
		if k := len(e.segments); s.base < 0 || s.size < 0 || k > 0 && s.base <= e.segments[k-1].base {
			r.bad = true
		}
		e.segments = append(e.segments, s)
	}
	if len(e.segments) == 0 || e.end < e.segments[len(e.segments)-1].base {
		r.bad = true
	}
	for range r.count(2) {
		e.epochs = append(e.epochs, EpochEntry{int32(r.varint()), r.varint()})
	}
	for range r.count(1) {
		e.snapshots = append(e.snapshots, r.varint())
	}
	return e
}

// readSidecar loads the sidecar of a cleanly left directory; nil if there is none for this stop.
func readSidecar(fsys vfs.FS, dir string, brokerEpoch int64) (map[string]sidecarEntry, error) {
	p, err := vfs.ReadFile(fsys, filepath.Join(dir, sidecarFile), maxSidecar)
	if vfs.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	epoch, ents, err := decodeSidecar(p)
	if err != nil || epoch != brokerEpoch {
		return nil, err
	}
	out := make(map[string]sidecarEntry, len(ents))
	for _, e := range ents {
		out[e.name] = e
	}
	return out, nil
}

// sidecarEntry describes a log that was shut.
func (l *Log) sidecarEntry() (sidecarEntry, error) {
	times, err := l.modTimesOf()
	if err != nil {
		return sidecarEntry{}, err
	}
	e := sidecarEntry{name: filepath.Base(l.dirPath()), id: l.TopicID(), modTimes: times, end: l.end.Load(),
		firstUnstable: -1, producers: l.producers == nil || len(l.producers.entries) > 0, epochs: l.epochs.entries(), snapshots: l.snapshots}
	if first := l.firstUnstable.Load(); first != math.MaxInt64 {
		e.firstUnstable = first
	}
	for _, s := range l.segments() {
		e.segments = append(e.segments, sidecarSegment{s.base, s.size.Load(), s.maxTimestamp.Load(), s.maxTimestampOffset.Load(),
			s.modified.Load(), s.hasTxns.Load()})
	}
	return e, nil
}

// modTimesOf returns the modification times of the partition's directory, leader-epoch-checkpoint and
// partition.metadata; 0 for a file that is not there.
func (l *Log) modTimesOf() (times [3]int64, err error) {
	for i, name := range []string{"", leaderEpochFile, partitionMetadataFile} {
		st, err := l.env.fs.Stat(filepath.Join(l.dirPath(), name))
		if err != nil && (i == 0 || !vfs.IsNotExist(err)) {
			return times, err
		}
		if err == nil {
			times[i] = st.ModTime.UnixNano()
		}
	}
	return times, nil
}

// adopt sets the log up from what the sidecar says, without opening a file.
func (l *Log) adopt(e sidecarEntry, st loadState, nowMs int64) error {
	segs := make([]*segment, 0, len(e.segments))
	for _, es := range e.segments {
		s := newSegment(l, es.base, es.modified)
		s.size.Store(es.size)
		s.maxTimestamp.Store(es.maxTimestamp)
		s.maxTimestampOffset.Store(es.maxTsOffset)
		s.hasTxns.Store(es.txns)
		segs = append(segs, s)
	}
	l.segs.Store(&segs)
	l.id.Store(&e.id)
	l.epochs.load(e.epochs)
	l.snapshots = e.snapshots
	l.end.Store(e.end)
	l.start.Store(min(max(st.start, segs[0].base), e.end))
	l.hw.Store(max(min(st.highWatermark, e.end), l.start.Load()))
	l.flushed.Store(e.end)
	l.pointWritten.Store(e.end)
	l.settled = true
	if l.fresh = e.end == 0; l.fresh {
		l.doubtFiles() // a stop does not sync them
	}
	if e.firstUnstable >= 0 {
		return l.rebuildProducers(l.start.Load(), e.end)
	}
	if !e.producers {
		l.producers = &producerState{mapEnd: e.end}
	}
	return nil
}
