package record

import (
	"fmt"

	"github.com/weir-stream/weir/internal/wire"
)

// walk is the check of a batch's records, one after the other, without keeping any. It is used through one of
// two drivers with the same outcome: bytes (all records in memory) and stream (decompressed piece by piece).
type walk struct {
	limits *Limits
	info   *Info

	baseTimestamp int64
	deltaMask     int64 // 0 if the batch says LogAppendTime: all records then have the maximum timestamp
	lowest        int64 // the window of timestamps; the widest if they are not checked
	highest       int64
	checkTime     bool
	refuseType    bool // every record is refused: a producer may not set LogAppendTime
	index         int32
}

func newWalk(b Batch, l *Limits, info *Info) walk {
	w := walk{limits: l, info: info, baseTimestamp: b.BaseTimestamp(), deltaMask: -1, lowest: -1 << 63, highest: 1<<63 - 1}
	if b.TimestampType() == LogAppendTime {
		w.deltaMask, w.baseTimestamp = 0, b.MaxTimestamp()
	}
	if l.FromClient {
		w.refuseType = b.TimestampType() == LogAppendTime
		if w.checkTime = l.TimestampType == CreateTime; w.checkTime {
			w.lowest = saturatingAdd(l.NowMs, -l.BeforeMaxMs)
			w.highest = saturatingAdd(l.NowMs, l.AfterMaxMs)
		}
	}
	info.MaxTimestamp = NoTimestamp
	return w
}

func saturatingAdd(a, b int64) int64 {
	s := a + b
	if a > 0 && b > 0 && s < 0 {
		return 1<<63 - 1
	}
	if a < 0 && b < 0 && s >= 0 {
		return -1 << 63
	}
	return s
}

// record takes in what is known of a record once its structure was checked.
func (w *walk) record(delta int64, nullKey bool) {
	ts := w.baseTimestamp + delta&w.deltaMask
	if ts > w.info.MaxTimestamp {
		w.info.MaxTimestamp = ts
		w.info.MaxTimestampDelta = w.index
	}
	if nullKey && w.limits.KeysRequired || ts < w.lowest || ts > w.highest || w.refuseType {
		w.judge(ts, nullKey)
	}
	w.index++
}

// judge decides on a record that may have to be refused.
func (w *walk) judge(ts int64, nullKey bool) {
	switch {
	case nullKey && w.limits.KeysRequired:
		w.info.refuse(w.index, false, func() string {
			return "Compacted topic cannot accept message without key in topic partition " + w.limits.Partition
		})
	case w.checkTime && ts != NoTimestamp:
		if ts < w.lowest || ts > w.highest {
			w.info.refuse(w.index, true, func() string {
				return fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]",
					ts, w.index, w.lowest, w.highest)
			})
		}
	case w.refuseType:
		w.info.refuse(w.index, true, func() string {
			return "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime."
		})
	}
}

func (w *walk) malformed(what string) error {
	return fmt.Errorf("record %d of the batch: %s: %w", w.index, what, wire.InvalidRecord)
}

const (
	badLength   = "its length is not valid"
	badDelta    = "its offset delta is not the next one"
	badStamp    = "its timestamp delta is not valid"
	badKey      = "its key length is not valid"
	badValue    = "its value length is not valid"
	badHeaders  = "its header count is not valid"
	badHeader   = "a header's length is not valid"
	badEnd      = "its fields do not fill its length"
	badTooMany  = "more bytes follow than the batch declares records"
	badTooFew   = "the batch ends before it"
	maxRecLen   = 1<<31 - 1
	minRecBytes = 7 // length, attributes, two deltas, key and value length, header count
)

// bytes checks count records that must fill p.
func (w *walk) bytes(p []byte, count int32) error {
	i := 0
	for n := int32(0); n < count; n++ {
		if size, delta, nullKey := plain(p[i:], n); size > 0 {
			w.record(delta, nullKey)
			i += size
			continue
		}
		u, j := uvarint32(p, i)
		if j < 0 {
			return w.malformed(badLength)
		}
		length := int(unzigzag32(u))
		if length < minRecBytes-1 || length > len(p)-j {
			return w.malformed(badLength)
		}
		end := j + length
		delta, nullKey, what := w.fields(p[j:end], n)
		if what != "" {
			return w.malformed(what)
		}
		w.record(delta, nullKey)
		i = end
	}
	if i != len(p) {
		return w.malformed(badTooMany)
	}
	return nil
}

// plain checks record n at the start of p if it has the shape of most: lengths below 8 KiB, deltas of at most three
// bytes, no headers. It returns the record's size, or 0 if it is of another shape or wrong: then fields decides.
func plain(p []byte, n int32) (size int, delta int64, nullKey bool) {
	if len(p) < 2 {
		return 0, 0, false
	}
	u, k := uint32(p[0]), 1
	if u >= 0x80 {
		if p[1] >= 0x80 {
			return 0, 0, false
		}
		u, k = u&0x7f|uint32(p[1])<<7, 2
	}
	size = k + int(u>>1)
	if u&1 != 0 || size > len(p) || size < k+12 {
		return 0, 0, false
	}
	r := p[k:size] // at least 12 bytes, which is as far as everything up to the key's length can reach
	t, i := uint64(r[1]), 2
	if t >= 0x80 {
		t, i = t&0x7f|uint64(r[2]&0x7f)<<7, 3
		if r[2] >= 0x80 {
			if r[3] >= 0x80 {
				return 0, 0, false
			}
			t, i = t|uint64(r[3])<<14, 4
		}
	}
	switch want := uint32(n) << 1; {
	case want < 1<<7:
		if r[i] != byte(want) {
			return 0, 0, false
		}
		i++
	case want < 1<<14:
		if r[i] != byte(want)|0x80 || r[i+1] != byte(want>>7) {
			return 0, 0, false
		}
		i += 2
	case want < 1<<21:
		if r[i] != byte(want)|0x80 || r[i+1] != byte(want>>7)|0x80 || r[i+2] != byte(want>>14) {
			return 0, 0, false
		}
		i += 3
	default:
		return 0, 0, false
	}
	nullKey = r[i] == 1
	for range 2 { // key and value
		if i+2 > len(r) {
			return 0, 0, false
		}
		u = uint32(r[i])
		i++
		if u == 1 { // null
			continue
		}
		if u >= 0x80 {
			if r[i] >= 0x80 {
				return 0, 0, false
			}
			u = u&0x7f | uint32(r[i])<<7
			i++
		}
		if u&1 != 0 {
			return 0, 0, false
		}
		i += int(u >> 1)
	}
	if i != len(r)-1 || r[i] != 0 {
		return 0, 0, false
	}
	return size, unzigzag64(t), nullKey
}

// fields checks one record after its length. It returns what is wrong, or "".
func (w *walk) fields(p []byte, n int32) (delta int64, nullKey bool, what string) {
	var ts uint64
	i := 1 // attributes: no bit is in use
	if p[i] < 0x80 {
		ts = uint64(p[i])
		i++
	} else if ts, i = uvarint64(p, i); i < 0 {
		return 0, false, badStamp
	}
	u, i := uvarint32(p, i)
	if i < 0 || u&1 != 0 || int32(u>>1) != n {
		return 0, false, badDelta
	}
	if u, i = uvarint32(p, i); i < 0 {
		return 0, false, badKey
	}
	size := int(unzigzag32(u))
	if nullKey = size < 0; nullKey {
		if size != -1 {
			return 0, false, badKey
		}
	} else if size > len(p)-i {
		return 0, false, badKey
	} else {
		i += size
	}
	if u, i = uvarint32(p, i); i < 0 {
		return 0, false, badValue
	}
	size = int(unzigzag32(u))
	if size > len(p)-i || size < -1 {
		return 0, false, badValue
	}
	i += max(size, 0)
	if u, i = uvarint32(p, i); i < 0 || u&1 != 0 {
		return 0, false, badHeaders
	}
	for h := u >> 1; h > 0; h-- {
		if i = skipHeader(p, i); i < 0 {
			return 0, false, badHeader
		}
	}
	if i != len(p) {
		return 0, false, badEnd
	}
	return unzigzag64(ts), nullKey, ""
}

// skipHeader returns the position after the header at p[i], or -1.
func skipHeader(p []byte, i int) int {
	u, i := uvarint32(p, i)
	if i < 0 {
		return -1
	}
	size := int(unzigzag32(u))
	if size < 0 || size > len(p)-i {
		return -1
	}
	u, i = uvarint32(p, i+size)
	if i < 0 {
		return -1
	}
	size = int(unzigzag32(u))
	if size < -1 || size > len(p)-i {
		return -1
	}
	return i + max(size, 0)
}
