package log

// mark ties an offset, where a batch starts or the log ends, to its place in a file.
type mark struct {
	offset int64
	seg    *segment
	pos    int64
}

// markRing remembers where the last appends ended, so that reads at the tail and the high watermark need no index. The
// log's tail lock guards it. The slots are made with the first append and dropped when the log is idle.
type markRing struct {
	slots []mark
	next  int
}

const marksKept = 32

func (r *markRing) add(m mark) {
	if r.slots == nil {
		r.slots = make([]mark, 0, 8)
	}
	if len(r.slots) < marksKept {
		r.slots = append(r.slots, m)
		return
	}
	r.slots[r.next] = m
	r.next = (r.next + 1) % marksKept
}

// at returns the mark of an offset; its segment is nil if it is not known.
func (r *markRing) at(offset int64) mark {
	for i := range r.slots {
		// The newest are asked for most, and stand before next.
		m := r.slots[(r.next+len(r.slots)-1-i)%len(r.slots)]
		if m.offset == offset {
			return m
		}
	}
	return mark{offset: offset}
}

func (r *markRing) clear() { *r = markRing{} }
