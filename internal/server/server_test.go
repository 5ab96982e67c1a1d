package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

func TestRequestsOfAllSizesAreAnswered(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	c := dial(t, s, "PLAINTEXT")
	for _, n := range []int{0, 1, 100, 4 << 10, 16<<10 - 80, 16 << 10, 64 << 10, 1 << 20, 5 << 20} {
		if got := baseOffset(c.ask(produceRequest(9, -1, make([]byte, n)))); got != int64(n) {
			t.Fatalf("%d bytes arrived as %d", n, got)
		}
	}
	if resp := c.ask(metadataRequest("a", "b")).(*kmsg.MetadataResponse); *resp.Topics[1].Topic != "b" {
		t.Fatal("metadata")
	}
	group := kmsg.NewPtrSyncGroupRequest()
	group.Version = 5
	group.GroupAssignment = append(group.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberAssignment: []byte("mine")})
	if resp := c.ask(group).(*kmsg.SyncGroupResponse); string(resp.MemberAssignment) != "mine" {
		t.Fatal("sync group")
	}
}

func TestBytesMayComeInAnyPieces(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	c := dial(t, s, "PLAINTEXT")
	f := kmsg.NewRequestFormatter()
	one := f.AppendRequest(nil, produceRequest(9, 1, make([]byte, 40_000)), 7)
	two := f.AppendRequest(nil, metadataRequest("x"), 8)
	all := append(append(append([]byte(nil), two...), one...), two...)
	for _, step := range []int{1, 3, 5, 1000, 17_000} {
		for at := 0; at < len(all); at += step {
			if step == 1 && at > len(two)+100 {
				step = 4096
			}
			if _, err := c.nc.Write(all[at:min(at+step, len(all))]); err != nil {
				t.Fatal(err)
			}
		}
		c.receive(metadataRequest())
		if _, resp := c.receive(produceRequest(9, 1, nil)); baseOffset(resp) != 40_000 {
			t.Fatal("produce in pieces")
		}
		c.receive(metadataRequest())
	}
}

func TestProduceIsPipelinedAndAnsweredInOrder(t *testing.T) {
	b := &broker{produced: make(chan *wire.Request, 100)}
	s, _ := serve(t, b, Limits{})
	c := dial(t, s, "PLAINTEXT")
	for n := range 5 {
		c.send(produceRequest(9, -1, make([]byte, n*20_000)))
	}
	var all []*wire.Request
	for range 5 {
		all = append(all, <-b.produced)
	}
	for _, i := range []int{4, 2, 0, 1, 3} {
		r := all[i]
		r.Reply(produceAnswer(r))
	}
	for n := range 5 {
		corr, resp := c.receive(produceRequest(9, -1, nil))
		if corr != int32(n+1) || baseOffset(resp) != int64(n*20_000) {
			t.Fatalf("answer %d: correlation id %d, %d bytes", n, corr, baseOffset(resp))
		}
	}
}

// What waits for the coordinator of transactions must not be overtaken by what its producer sent after it.
func TestRequestThatIsAloneIsNotOvertaken(t *testing.T) {
	b := &broker{produced: make(chan *wire.Request, 100)}
	s, _ := serve(t, b, Limits{})
	c := dial(t, s, "PLAINTEXT")
	c.send(produceRequest(9, -1, nil))
	first := <-b.produced
	b.alone.Store(true)
	for range 3 {
		c.send(produceRequest(9, -1, nil))
	}
	alone := <-b.produced // beside what was sent before it
	var waits *conn
	s.table.each(func(c *conn) { waits = c })
	held := func() {
		t.Helper()
		eventually(t, "the reader waits", func() bool {
			waits.mu.Lock()
			defer waits.mu.Unlock()
			return waits.waiting
		})
		if len(b.produced) != 0 {
			t.Fatal("a request went past the one that is alone")
		}
	}
	held()
	first.Reply(produceAnswer(first))
	c.receive(produceRequest(9, -1, nil))
	held()
	alone.Reply(produceAnswer(alone))
	third, fourth := <-b.produced, <-b.produced // which do not wait for each other
	fourth.Reply(produceAnswer(fourth))
	third.Reply(produceAnswer(third))
	for n := range 3 {
		if corr, _ := c.receive(produceRequest(9, -1, nil)); corr != int32(n+2) {
			t.Fatalf("answer %d has correlation id %d", n+2, corr)
		}
	}
	b.alone.Store(true) // and answered before the next comes
	c.send(produceRequest(9, -1, nil))
	r := <-b.produced
	r.Reply(produceAnswer(r))
	for range 2 {
		c.send(produceRequest(9, -1, nil))
	}
	for _, r := range []*wire.Request{<-b.produced, <-b.produced} {
		r.Reply(produceAnswer(r))
	}
}

func TestPipelineIsBounded(t *testing.T) {
	b := &broker{produced: make(chan *wire.Request, 100)}
	s, _ := serve(t, b, Limits{PipelineRequests: 3})
	c := dial(t, s, "PLAINTEXT")
	for range 10 {
		c.send(produceRequest(9, 0, []byte("x")))
	}
	var three []*wire.Request
	for range 3 {
		three = append(three, <-b.produced)
	}
	var waits *conn
	s.table.each(func(c *conn) { waits = c })
	eventually(t, "the reader waits", func() bool {
		waits.mu.Lock()
		defer waits.mu.Unlock()
		return waits.waiting
	})
	if len(b.produced) != 0 {
		t.Fatal("a fourth request was let in")
	}
	s.Stop(0)
	for _, r := range three {
		r.Reply(nil)
	}
}

func TestOtherRequestsAreStrictlyOneAfterTheOther(t *testing.T) {
	b := &broker{parked: make(chan *wire.Request, 1), produced: make(chan *wire.Request, 10)}
	s, _ := serve(t, b, Limits{})
	c := dial(t, s, "PLAINTEXT")
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 12
	c.send(fetch)
	r := <-b.parked
	c.send(metadataRequest("a"))
	c.send(produceRequest(9, 1, nil))
	var waits *conn
	s.table.each(func(c *conn) { waits = c })
	eventually(t, "the reader waits", func() bool {
		waits.mu.Lock()
		defer waits.mu.Unlock()
		return waits.waiting
	})
	b.mu.Lock()
	if len(b.seen) != 1 {
		t.Fatalf("handlers ran: %v", b.seen)
	}
	b.mu.Unlock()
	r.Reply(b.fetchAnswer())
	c.receive(fetch)
	c.receive(metadataRequest())
	p := <-b.produced
	p.Reply(produceAnswer(p))
	c.receive(produceRequest(9, 1, nil))
}

func TestAnswersBeforeABadRequestAreSent(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	f := kmsg.NewRequestFormatter()
	good := f.AppendRequest(nil, produceRequest(9, 1, []byte("abc")), 1)
	worse := f.AppendRequest(nil, produceRequest(9, 1, []byte("abc")), 2)
	worse[len(worse)-1] = 9 // a tag section that lies
	for _, bad := range [][]byte{{0xff, 0xff, 0xff, 0xff}, worse} {
		c := dial(t, s, "PLAINTEXT")
		c.nc.Write(append(append(bytes.Clone(good), good...), bad...))
		for range 2 {
			if _, resp := c.receive(produceRequest(9, 1, nil)); baseOffset(resp) != 3 {
				t.Fatal("answer")
			}
		}
		c.closed()
	}
}

// Requests of changing sizes in one stream: buffers are handed over, copied out and grown.
func TestMixedSizesInOneStream(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	c := dial(t, s, "PLAINTEXT")
	rng := rand.New(rand.NewPCG(1, 1))
	var sizes []int
	for range 400 {
		sizes = append(sizes, rng.IntN(1<<uint(rng.IntN(20))+1))
	}
	go func() {
		f := kmsg.NewRequestFormatter()
		var out []byte
		for i, n := range sizes {
			out = append(out, f.AppendRequest(nil, produceRequest(9, 1, bytes.Repeat([]byte{byte(i)}, n)), int32(i))...)
			if len(out) > 1<<rng.IntN(19) {
				c.nc.Write(out)
				out = nil
			}
		}
		c.nc.Write(out)
	}()
	for i, n := range sizes {
		corr, resp := c.receive(produceRequest(9, 1, nil))
		if int(corr) != i || baseOffset(resp) != int64(n) {
			t.Fatalf("answer %d: correlation id %d, %d bytes, want %d", i, corr, baseOffset(resp), n)
		}
	}
}

func TestAcksZeroHasNoAnswer(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	c := dial(t, s, "PLAINTEXT")
	for range 100 {
		c.send(produceRequest(9, 0, make([]byte, 100)))
	}
	c.ask(metadataRequest("a"))
}

func TestParkedFetchNoticesClosedPeer(t *testing.T) {
	b := &broker{parked: make(chan *wire.Request, 1)}
	s, _ := serve(t, b, Limits{})
	c := dial(t, s, "PLAINTEXT")
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 12
	c.send(fetch)
	r := <-b.parked
	c.nc.Close()
	select {
	case <-r.Done:
	case <-time.After(20 * time.Second):
		t.Fatal("Done was not closed")
	}
	eventually(t, "the connection is gone", func() bool { return s.Connections() == 0 })
	r.Reply(b.fetchAnswer())
}

func TestThrottleMutesTheConnection(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	c := dial(t, s, "PLAINTEXT")
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("throttled"))
	frame := f.AppendRequest(nil, metadataRequest("a"), 1)
	began := time.Now()
	c.nc.Write(frame)
	c.receive(metadataRequest())
	if took := time.Since(began); took > 250*time.Millisecond {
		t.Fatalf("the answer itself was held back for %v", took)
	}
	c.ask(metadataRequest("b"))
	if took := time.Since(began); took < 290*time.Millisecond {
		t.Fatalf("the next request was served after %v", took)
	}
}

func TestHangupSendsEarlierAnswersFirst(t *testing.T) {
	b := &broker{produced: make(chan *wire.Request, 10)}
	s, log := serve(t, b, Limits{})
	c := dial(t, s, "PLAINTEXT")
	c.send(produceRequest(9, 1, []byte("abc")))
	c.send(produceRequest(9, 0, nil))
	one, two := <-b.produced, <-b.produced
	two.Hangup("acks=0 went wrong")
	one.Reply(produceAnswer(one))
	if _, resp := c.receive(produceRequest(9, 1, nil)); baseOffset(resp) != 3 {
		t.Fatal("first answer")
	}
	c.closed()
	eventually(t, "the reason is logged", func() bool { return log.has("acks=0 went wrong") })
}

func fileRange(t testing.TB, fs vfs.FS, n int) (*vfs.Range, []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "segment")
	if err := fs.MkdirAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open(name, vfs.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	data := make([]byte, n+100)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return vfs.NewRange(f, 50, int64(n), nil), data[50 : 50+n]
}

func TestFetchSendsFileRanges(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"os": vfs.OS(), "memory": vfs.NewMem()} {
		for _, n := range []int{0, 1, 5000, 64 << 10, 300_000, 3 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				b := &broker{}
				file, want := fileRange(t, fs, n)
				released := false
				b.file = vfs.NewRange(file.File, file.Off, file.Len, func() { released = true })
				s, _ := serve(t, b, Limits{})
				defer func() {
					s.Stop(0)
					if b.file.Release(); !released {
						t.Error("an answer's range was not released")
					}
				}()
				c := dial(t, s, "PLAINTEXT")
				for _, version := range []int16{4, 11, 12, 18} {
					req := kmsg.NewPtrFetchRequest()
					req.Version = version
					resp := c.ask(req).(*kmsg.FetchResponse)
					if got := resp.Topics[0].Partitions[0].RecordBatches; !bytes.Equal(got, want) {
						t.Fatalf("version %d: %d bytes, want %d", version, len(got), len(want))
					}
				}
			})
		}
	}
}

func TestShortFileClosesTheConnection(t *testing.T) {
	b := &broker{}
	b.file, _ = fileRange(t, vfs.OS(), 200_000)
	if err := b.file.File.Truncate(100_000); err != nil {
		t.Fatal(err)
	}
	for _, least := range []int64{1, -1} {
		s, log := serve(t, b, Limits{SendfileBytes: least})
		c := dial(t, s, "PLAINTEXT")
		req := kmsg.NewPtrFetchRequest()
		req.Version = 12
		c.send(req)
		c.closed()
		eventually(t, "the reason is logged", func() bool { return log.has("is shorter than the answer") })
	}
}

func TestUnsupportedVersions(t *testing.T) {
	s, log := serve(t, &broker{}, Limits{})
	c := dial(t, s, "PLAINTEXT")
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 5
	c.send(req)
	old := kmsg.NewPtrApiVersionsRequest() // the answer is of version 0
	_, resp := c.receive(old)
	v := resp.(*kmsg.ApiVersionsResponse)
	if v.ErrorCode != int16(wire.UnsupportedVersion) || len(v.ApiKeys) != 1 || v.ApiKeys[0].MaxVersion != 4 {
		t.Fatalf("%+v", v)
	}
	req.Version = 4
	if v := c.ask(req).(*kmsg.ApiVersionsResponse); len(v.ApiKeys) != 5 || v.ApiKeys[0].MinVersion != 0 {
		t.Fatalf("%+v", v)
	}
	c.send(produceRequest(2, 1, nil))
	c.closed()
	eventually(t, "the reason is logged", func() bool { return log.has("Produce request of version 2") })
}

func TestStopLetsRequestsFinish(t *testing.T) {
	b := &broker{produced: make(chan *wire.Request, 1)}
	s, _ := serve(t, b, Limits{})
	idle, c := dial(t, s, "PLAINTEXT"), dial(t, s, "PLAINTEXT")
	idle.ask(metadataRequest("a"))
	c.send(produceRequest(9, 1, []byte("abc")))
	r := <-b.produced
	stopped := make(chan struct{})
	go func() { s.Stop(20 * time.Second); close(stopped) }()
	idle.closed()
	r.Reply(produceAnswer(r))
	if _, resp := c.receive(produceRequest(9, 1, nil)); baseOffset(resp) != 3 {
		t.Fatal("answer after stop")
	}
	c.closed()
	<-stopped
}

// franz-go takes the end of a connection before the first answer for a sign that it speaks without TLS to a port with TLS, and
// fails what it has to send. A reset it knows for what it is.
func TestStopResetsWhoHadNoAnswer(t *testing.T) {
	s, _ := serve(t, &broker{}, Limits{})
	fresh, idle := dial(t, s, "PLAINTEXT"), dial(t, s, "PLAINTEXT")
	idle.ask(metadataRequest("a"))
	eventually(t, "both are connected", func() bool { return s.Connections() == 2 })
	s.Stop(20 * time.Second)
	if _, err := idle.frame(); !errors.Is(err, io.EOF) {
		t.Errorf("who had an answer reads %v", err)
	}
	if _, err := fresh.frame(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("who had none reads %v", err)
	}
}

func TestStopGivesUpAfterItsTime(t *testing.T) {
	b := &broker{produced: make(chan *wire.Request, 1)}
	s, _ := serve(t, b, Limits{})
	c := dial(t, s, "PLAINTEXT")
	c.send(produceRequest(9, 1, []byte("abc")))
	r := <-b.produced
	s.Stop(10 * time.Millisecond)
	c.closed()
	<-r.Done
	r.Reply(produceAnswer(r))
}

type recorder struct {
	mu      sync.Mutex
	all     []Timing
	answers int
	opened  int
	closed  int
	auth    []string
	expired int
}

func (r *recorder) Request(t *Timing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, *t)
}

func (r *recorder) Answer(key int16, resp wire.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if resp.Key() == key {
		r.answers++
	}
}

func (r *recorder) ConnectionOpened(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened++
}

func (r *recorder) ConnectionClosed(string, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed++
}

func (r *recorder) Authenticated(l *Login) {
	mechanism, ok, again := l.Mechanism, l.OK, l.Again
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = append(r.auth, fmt.Sprintf("%s %v %v", mechanism, ok, again))
}

func (r *recorder) SessionExpired(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expired++
}

func TestObserverHearsTheParts(t *testing.T) {
	b := &broker{produced: make(chan *wire.Request, 1)}
	rec := &recorder{}
	s, err := New(Config{Listeners: []Listener{{Name: "L", Address: "127.0.0.1:0", Routes: b.routes()}}, Observer: rec})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, "L")
	c.ask(metadataRequest("a"))
	c.send(produceRequest(9, 1, nil))
	r := <-b.produced
	pause := time.NewTimer(20 * time.Millisecond)
	<-pause.C
	r.Reply(produceAnswer(r))
	c.receive(produceRequest(9, 1, nil))
	s.Stop(time.Second)
	if len(rec.all) != 2 || rec.answers != 2 || rec.opened != 1 || rec.closed != 1 {
		t.Fatalf("%+v", rec)
	}
	m, p := rec.all[0], rec.all[1]
	if m.Key != 3 || m.Version != 12 || m.Remote != 0 || m.ResponseBytes == 0 || m.RequestBytes == 0 || m.Total < m.Local {
		t.Errorf("%+v", m)
	}
	if p.Key != 0 || p.Remote < 15*time.Millisecond || p.Total < p.Remote {
		t.Errorf("%+v", p)
	}
}
