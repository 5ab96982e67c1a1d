package log

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/vfs"
)

// openFile is an open segment file with a count of its users. The cache is one of them until it evicts the file; the
// last one to let go closes it, so that a range handed out stays readable.
type openFile struct {
	vfs.File
	refs  atomic.Int32
	used  atomic.Bool // since the clock hand last came by
	letGo func()      // release, bound once so that a read allocates no closure
	fault func(error) // told of read errors that whoever sends a range sees
}

func newOpenFile(f vfs.File, fault func(error)) *openFile {
	o := &openFile{File: f, fault: fault}
	o.refs.Store(1)
	o.letGo = o.release
	return o
}

// retain adds a user unless the last one has gone already.
func (o *openFile) retain() bool {
	for {
		n := o.refs.Load()
		if n == 0 {
			return false
		}
		if o.refs.CompareAndSwap(n, n+1) {
			o.used.Store(true)
			return true
		}
	}
}

// OSFile is the operating system's file, for sendfile; nil if the file system is not the operating system's.
func (o *openFile) OSFile() *os.File {
	if f, ok := o.File.(interface{ OSFile() *os.File }); ok {
		return f.OSFile()
	}
	return nil
}

// ReadFailed is for whoever sends a range and finds that the disk does not give it up.
func (o *openFile) ReadFailed(err error) { o.fault(err) }

func (o *openFile) release() {
	if o.refs.Add(-1) == 0 {
		// Everything that mattered was synced by its owner, so there is nobody to tell of an error here.
		_ = o.File.Close()
	}
}

// fileCache bounds how many segment files are open. Hits touch no lock: the segment holds the pointer. Which files go
// is decided by a clock over the slots (second chance). Safe for concurrent use.
type fileCache struct {
	max int

	mu    sync.Mutex
	slots []*segment
	hand  int
}

func newFileCache(limit int) *fileCache { return &fileCache{max: max(limit, 4)} }

// acquire returns the segment's file with one more user; the caller releases it.
func (c *fileCache) acquire(s *segment) (*openFile, error) {
	for range 100 {
		if o := s.file.Load(); o != nil {
			if o.retain() {
				return o, nil
			}
			s.file.CompareAndSwap(o, nil)
		}
		name := s.logPath()
		f, err := s.log.env.fs.Open(name, vfs.ReadWrite)
		if err != nil {
			// A rename of the file or its directory may have come in between.
			if vfs.IsNotExist(err) && s.logPath() != name {
				continue
			}
			return nil, err
		}
		c.adopt(s, newOpenFile(f, s.log.ReportReadError))
	}
	return nil, errors.New("segment file is renamed all the time")
}

// adopt makes an open file the segment's one, unless another was faster.
func (c *fileCache) adopt(s *segment, o *openFile) {
	if !s.file.CompareAndSwap(nil, o) {
		o.release()
		return
	}
	var victim *openFile
	c.mu.Lock()
	if len(c.slots) < c.max {
		c.slots = append(c.slots, s)
	} else {
		victim = c.replace(s)
	}
	c.mu.Unlock()
	if victim != nil {
		victim.release()
	}
}

// replace puts s in the place of a file that was not used since the last round. The caller holds mu.
func (c *fileCache) replace(s *segment) *openFile {
	for range 2 * len(c.slots) {
		c.hand = (c.hand + 1) % len(c.slots)
		old := c.slots[c.hand]
		o := old.file.Load()
		if o != nil && o.used.Swap(false) {
			continue
		}
		c.slots[c.hand] = s
		if o != nil && old.file.CompareAndSwap(o, nil) {
			return o
		}
		return nil
	}
	// All are busy: the first one under the hand goes all the same.
	c.hand = (c.hand + 1) % len(c.slots)
	old := c.slots[c.hand]
	c.slots[c.hand] = s
	if o := old.file.Load(); o != nil && old.file.CompareAndSwap(o, nil) {
		return o
	}
	return nil
}

// drop closes the segment's file once its users are gone.
func (c *fileCache) drop(s *segment) {
	c.mu.Lock()
	for i, other := range c.slots {
		if other == s {
			last := len(c.slots) - 1
			c.slots[i] = c.slots[last]
			c.slots[last] = nil
			c.slots = c.slots[:last]
			break
		}
	}
	if len(c.slots) > 0 {
		c.hand %= len(c.slots)
	}
	c.mu.Unlock()
	if o := s.file.Load(); o != nil && s.file.CompareAndSwap(o, nil) {
		o.release()
	}
}

// open is how many files the cache holds open.
func (c *fileCache) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.slots {
		if s.file.Load() != nil {
			n++
		}
	}
	return n
}
