package metricstore

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

const (
	// windowMs is how long a chunk may be.
	windowMs = int64(2 * time.Hour / time.Millisecond)
	// maxChunkSamples bounds a chunk of a series that is appended to quickly;
	// the encoding has room for 65 535.
	maxChunkSamples = 16_000
	noTime          = math.MinInt64
)

// chunk is samples of one series from start to end, both included.
type chunk struct {
	start, end int64
	data       []byte // XOR encoding; never changed
}

// series is one series; Store.mu guards it.
type series struct {
	id     int64
	labels labels.Labels
	last   int64 // time of the last sample
	gone   bool

	open        *chunkenc.XORChunk // nil: nothing appended since the start
	app         chunkenc.Appender
	openStart   int64
	dirty       bool    // the file lacks samples of the open chunk, but for the journal
	sealed      []chunk // full ones that are not in the file yet
	wroteSealed int     // how many of them a checkpoint is writing
}

// append adds a sample, which must be later than the last one.
func (r *series) append(t int64, v float64) error {
	if t <= r.last {
		return ErrOutOfOrder
	}
	if r.open != nil && (t/windowMs != r.openStart/windowMs || r.open.NumSamples() >= maxChunkSamples) {
		r.seal()
	}
	if r.open == nil {
		c := chunkenc.NewXORChunk()
		app, err := c.Appender()
		if err != nil {
			return err
		}
		r.open, r.app, r.openStart = c, app, t
	}
	r.app.Append(0, t, v)
	r.last, r.dirty = t, true
	return nil
}

func (r *series) seal() {
	if r.open.NumSamples() > 0 {
		r.sealed = append(r.sealed, chunk{r.openStart, r.last, r.open.Bytes()})
	}
	r.open, r.app, r.dirty = nil, nil, false
}

// inMemory copies the chunks that are in memory and touch [from, to]. covers
// says that the file has nothing more of that range.
func (r *series) inMemory(from, to int64) (out []chunk, covers bool) {
	oldest := int64(math.MaxInt64)
	add := func(c chunk, shared bool) {
		oldest = min(oldest, c.start)
		if c.start > to || c.end < from {
			return
		}
		if shared {
			c.data = slices.Clone(c.data)
		}
		out = append(out, c)
	}
	for _, c := range r.sealed {
		add(c, false)
	}
	if r.open != nil {
		add(chunk{r.openStart, r.last, r.open.Bytes()}, true)
	}
	return out, oldest <= from
}

// makeRoom drops the series that were silent the longest, a sixteenth of the
// limit at a time, and says whether there were any; s.mu is held.
func (s *Store) makeRoom() bool {
	now := s.opt.Now()
	if now.Sub(s.sinceScan) < time.Minute {
		return false
	}
	silent := s.silentSince(now.Add(-s.opt.SilentAfter))
	if len(silent) == 0 {
		s.sinceScan = now
		return false
	}
	slices.SortFunc(silent, func(a, b *series) int { return int(min(max(a.last-b.last, -1), 1)) })
	s.drop(silent[:min(len(silent), max(1, s.opt.MaxSeries/16))])
	return true
}

// silentSince lists the series whose last sample is before a time; s.mu is held.
func (s *Store) silentSince(t time.Time) []*series {
	var out []*series
	for _, rs := range s.byHash {
		for _, r := range rs {
			if r.last < t.UnixMilli() {
				out = append(out, r)
			}
		}
	}
	return out
}

// drop forgets series and has the file forget them; s.mu is held.
func (s *Store) drop(rs []*series) {
	isGone := func(r *series) bool { return r.gone }
	for _, r := range rs {
		r.gone = true
		h, name := r.labels.Hash(), r.labels.Get(model.MetricNameLabel)
		if s.byHash[h] = slices.DeleteFunc(s.byHash[h], isGone); len(s.byHash[h]) == 0 {
			delete(s.byHash, h)
		}
		if s.byName[name] = slices.DeleteFunc(s.byName[name], isGone); len(s.byName[name]) == 0 {
			delete(s.byName, name)
		}
		s.gone = append(s.gone, r.id)
		s.count--
	}
	s.fresh = slices.DeleteFunc(s.fresh, isGone)
}

// A journal is entries one after another: the series' id and the time as
// varints, the value as eight bytes.
func appendEntry(b []byte, id, t int64, v float64) []byte {
	b = binary.AppendVarint(binary.AppendVarint(b, id), t)
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

var errJournal = errors.New("damaged journal")

// readJournal calls f for each entry.
func readJournal(b []byte, f func(id, t int64, v float64)) error {
	for len(b) > 0 {
		id, n := binary.Varint(b)
		if n <= 0 {
			return errJournal
		}
		t, m := binary.Varint(b[n:])
		if m <= 0 || len(b) < n+m+8 {
			return errJournal
		}
		f(id, t, math.Float64frombits(binary.LittleEndian.Uint64(b[n+m:])))
		b = b[n+m+8:]
	}
	return nil
}
