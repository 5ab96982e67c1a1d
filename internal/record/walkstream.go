package record

import (
	"io"

	"github.com/weir-stream/weir/internal/bufpool"
)

const streamWindow = 64 << 10

// window is a piece of a stream of records. Errors of the stream stay in err; all methods then do nothing.
type window struct {
	src   source
	buf   []byte
	pos   int
	end   int
	read  int64
	limit int64
	eof   bool
	err   error
}

// fill makes at least n bytes available, if the stream has them.
func (s *window) fill(n int) {
	if s.end-s.pos >= n || s.eof || s.err != nil {
		return
	}
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.pos = 0
	for s.end < n && !s.eof && s.err == nil {
		m, err := s.src.Read(s.buf[s.end:])
		s.end += m
		s.read += int64(m)
		if s.read > s.limit {
			s.err = tooLarge(int(s.limit))
		} else if err == io.EOF {
			s.eof = true
		} else {
			s.err = err
		}
	}
}

// skip drops n bytes; false if the stream ends before.
func (s *window) skip(n int) bool {
	for s.err == nil {
		have := s.end - s.pos
		if n <= have {
			s.pos += n
			return true
		}
		n -= have
		s.pos, s.end = 0, 0
		if s.eof {
			return false
		}
		s.fill(1)
	}
	return false
}

// varint reads a signed varint and lowers *left by its length; false if it is not valid or longer than left.
func (s *window) varint(left *int) (int32, bool) {
	s.fill(5)
	p := s.buf[s.pos:s.end]
	u, n := uvarint32(p[:min(len(p), *left)], 0)
	if n < 0 {
		return 0, false
	}
	s.pos += n
	*left -= n
	return unzigzag32(u), true
}

// stream checks count records that must be all that src holds, within a buffer of fixed size.
func (w *walk) stream(src source, count int32, limit int) error {
	buf := bufpool.Get(streamWindow)
	defer buf.Release()
	s := &window{src: src, buf: buf.B, limit: int64(limit)}
	defer func() { w.info.UncompressedBytes = s.read }()
	for n := int32(0); n < count; n++ {
		s.fill(5)
		what := w.streamed(s, n)
		if s.err != nil {
			return s.err
		}
		if what != "" {
			return w.malformed(what)
		}
	}
	s.fill(1)
	if s.err != nil {
		return s.err
	}
	if s.end > s.pos {
		return w.malformed(badTooMany)
	}
	return nil
}

// streamed checks one record: by fields if it fits the window, piece by piece otherwise.
func (w *walk) streamed(s *window, n int32) string {
	left := maxRecLen
	size, ok := s.varint(&left)
	if !ok || size < minRecBytes-1 {
		return badLength
	}
	left = int(size)
	if left <= len(s.buf) {
		if s.fill(left); s.end-s.pos < left {
			return badLength
		}
		delta, nullKey, what := w.fields(s.buf[s.pos:s.pos+left], n)
		if what == "" {
			s.pos += left
			w.record(delta, nullKey)
		}
		return what
	}
	if int64(left) > s.limit-s.read+int64(s.end-s.pos) {
		return badLength // it cannot be within the limit
	}
	return w.long(s, n, left)
}

func (w *walk) long(s *window, n int32, left int) string {
	s.fill(16)
	p := s.buf[s.pos:s.end]
	ts, i := uvarint64(p, 1)
	if i < 0 {
		return badStamp
	}
	s.pos += i
	left -= i
	if v, ok := s.varint(&left); !ok || v != n {
		return badDelta
	}
	key, ok := s.varint(&left)
	if !ok || key < -1 || int(key) > left {
		return badKey
	}
	if left -= max(int(key), 0); !s.skip(max(int(key), 0)) {
		return badKey
	}
	if !s.field(&left, -1) {
		return badValue
	}
	headers, ok := s.varint(&left)
	if !ok || headers < 0 {
		return badHeaders
	}
	for ; headers > 0; headers-- {
		if !s.field(&left, 0) || !s.field(&left, -1) {
			return badHeader
		}
	}
	if left != 0 {
		return badEnd
	}
	w.record(unzigzag64(ts), key < 0)
	return ""
}

// field skips a length and as many bytes; least is the smallest length that is allowed.
func (s *window) field(left *int, least int32) bool {
	size, ok := s.varint(left)
	if !ok || size < least || int(size) > *left {
		return false
	}
	n := max(int(size), 0)
	*left -= n
	return s.skip(n)
}
